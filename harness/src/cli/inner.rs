//! Commands that this program gives to itself: the agent on a node, and a node of the demo. Nobody else needs them.

use super::{Failure, Outcome};
use crate::ui::exit;
use clap::Args;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
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
    let filter = EnvFilter::try_from_env("RASHOMON_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    node::run(&options)?;
    Ok(exit::VALID)
}
