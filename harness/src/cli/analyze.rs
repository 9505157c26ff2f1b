//! `rashomon analyze`: judge a stored run again.

use super::{Failure, Global, Outcome, options};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  rashomon analyze store/latest
  rashomon analyze store/demo-register/20261114-091240 --time-limit 1h
";

/// Judge a stored run again, also one whose harness was killed half-way.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, help_template = super::TEMPLATE)]
pub(super) struct AnalyzeArgs {
    /// The run's directory
    #[arg(value_name = "RUN_DIR")]
    pub(super) run: PathBuf,
    #[command(flatten)]
    pub(super) limits: options::LimitArgs,
}

pub(super) fn run(args: &AnalyzeArgs, global: Global) -> Outcome {
    let _ = (args, global);
    Err(Failure::error("runs cannot be judged yet"))
}
