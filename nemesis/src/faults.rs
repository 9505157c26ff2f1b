//! The classes of faults, a file each; what several of them need is in [`support`].

pub mod admin;
pub mod clock;
pub mod crash;
pub mod disk;
pub mod membership;
pub mod packet;
pub mod partition;
pub mod process;
pub mod resources;
pub mod support;
