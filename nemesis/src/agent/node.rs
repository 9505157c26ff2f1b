//! What runs as root on a node: answers requests, hurts what is asked, remembers it, and undoes it when nobody is there any more.
//!
//! It knows the protocol and nothing of the control side.

mod addresses;
pub mod cgroup;
pub mod clock;
mod cores;
pub mod damage;
pub mod disk;
mod endings;
mod files;
mod firewall;
pub mod footprint;
mod host;
pub mod journal;
mod packets;
mod probe;
mod process;
pub mod serve;
pub mod snapshot;
pub mod system_clock;
pub mod time_daemon;
pub mod vdso;
