//! Carries a test out: set-up, clients, faults, recovery, clean nodes.

pub mod clean;
pub mod clock;
pub mod interpreter;
pub mod interrupt;
pub mod keep;
pub mod nemesis_thread;
pub mod recorder;
pub mod test;
