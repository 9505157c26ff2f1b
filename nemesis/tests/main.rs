//! The node agent and the clocks of processes, from outside.
//!
//! One program, so that the library is linked once. `own_kernel.rs` is another: it is its own agent, in a machine of its own.

mod agent;
mod clock;
mod clock_agent;
mod served;
#[path = "../../tests/size.rs"]
mod size;
