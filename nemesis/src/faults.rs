//! The classes of faults, a file each; what several of them need is in [`support`].

pub mod partition;
pub mod packet;
pub mod process;
pub mod clock;
pub mod disk;
pub mod resources;
pub mod crash;
pub mod membership;
pub mod admin;
pub mod support;
