//! The agent's loop on the node.

use std::process::ExitCode;

/// Runs the agent: what `rashomon agent ARGUMENTS` does. Must be called before the process has started any thread.
pub fn main(_arguments: &[String]) -> ExitCode {
    ExitCode::FAILURE
}
