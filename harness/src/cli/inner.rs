//! Commands that this program gives to itself: the agent on a node, and a node of the demo. Nobody else needs them.

use super::{Failure, Outcome};
use crate::ui::{exit, logging};
use clap::Args;
use std::process::ExitCode;
use workloads::systems::demo::node;
use workloads::systems::demo::node::NodeOptions;

/// What another part of this program reads.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct InnerArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// The agent on a node. No thread has been started yet.
pub(super) fn agent(args: &InnerArgs) -> ExitCode {
    nemesis::agent::node::serve::main(&args.arguments)
}

/// A node of the demo store. Its standard error is its log.
pub(super) fn demo_node(args: InnerArgs) -> Outcome {
    let options = NodeOptions::parse(args.arguments).map_err(Failure::usage)?;
    logging::to_standard_error();
    node::run(&options)?;
    Ok(exit::VALID)
}
