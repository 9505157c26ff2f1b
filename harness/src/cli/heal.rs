//! `rashomon heal`: undo what a killed run left behind.

use super::{Failure, Global, Outcome, options};
use clap::Args;
use nemesis::lab;

const EXAMPLES: &str = "\
Examples:
  rashomon heal --nodes n1,n2,n3
  rashomon heal --lab
";

/// Undo every fault that a killed run left on nodes.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, help_template = super::TEMPLATE)]
pub(super) struct HealArgs {
    /// The nodes: names or addresses, separated by commas
    #[arg(long, value_name = "NODES", value_delimiter = ',', required_unless_present = "lab")]
    pub(super) nodes: Vec<String>,
    /// The hosts of `rashomon lab up`
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = lab::NAME_DEFAULT)]
    #[arg(conflicts_with = "nodes")]
    pub(super) lab: Option<String>,
    #[command(flatten)]
    pub(super) ssh: options::SshArgs,
}

pub(super) fn run(args: &HealArgs, global: Global) -> Outcome {
    let _ = (args, global);
    Err(Failure::error("nodes cannot be healed yet"))
}
