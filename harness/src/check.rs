//! From a recorded history to a judged run: limits, what the run put to the test, and the verdict.

pub mod analysis;
pub mod counts;
pub mod coverage;
pub mod evidence;
pub mod fault_windows;
pub mod guess;
pub(crate) mod initial;
pub mod ladder;
pub mod limits;
pub mod live;
pub mod memory;
