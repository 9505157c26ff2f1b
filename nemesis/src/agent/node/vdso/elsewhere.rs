//! Processors for which there is no code to put into a process.

use super::{ClockError, Setting};
use crate::agent::protocol::clock::Reading;
use std::convert::Infallible;

/// A process whose vDSO leads to code of ours: there is none here.
#[derive(Debug)]
pub struct Rewritten(Infallible);

fn refused() -> ClockError {
    ClockError::Unfit(format!("clocks of processes can be changed on x86-64 only, not on {}", std::env::consts::ARCH))
}

impl Rewritten {
    /// Refuses.
    pub fn install(_pid: i32) -> Result<Rewritten, ClockError> {
        Err(refused())
    }

    /// None is.
    pub fn find(_pid: i32) -> Result<Option<Rewritten>, ClockError> {
        Ok(None)
    }

    /// Cannot be called.
    pub fn set(&self, _setting: &Setting) -> Result<(), ClockError> {
        match self.0 {}
    }

    /// Cannot be called.
    pub fn read(&self) -> Result<Reading, ClockError> {
        match self.0 {}
    }

    /// Cannot be called.
    pub fn restore(self) -> Result<(), ClockError> {
        match self.0 {}
    }
}
