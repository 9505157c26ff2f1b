//! `rashomon analyze`: judge a stored run again.

use super::test::tell;
use super::{Global, Outcome, options};
use crate::check::analysis;
use crate::runner::interrupt::Interrupt;
use crate::store::RunDir;
use crate::ui::progress::Progress;
use checker::{Algorithm, Consistency};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  rashomon analyze store/latest
  rashomon analyze store/demo-register/20261114-091240 --time-limit 1h
  rashomon analyze store/latest --consistency causal
";

/// Judge a stored run again, also one whose harness was killed half-way.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, help_template = super::TEMPLATE)]
pub(super) struct AnalyzeArgs {
    /// The run's directory
    #[arg(value_name = "RUN_DIR", default_value = "store/latest")]
    pub(super) run: PathBuf,
    /// What the run should have kept: linearizable, sequential, causal, eventual, ... (see `rashomon check --help`) [default: what it was made for]
    #[arg(long, value_name = "NAME", value_parser = options::consistency)]
    pub(super) consistency: Option<Consistency>,
    /// Which procedure decides whether it is linearizable [default: that of the test]
    #[arg(long, value_name = "NAME", long_help = format!("{} [default: that of the test]", options::algorithms_help()))]
    pub(super) algorithm: Option<Algorithm>,
    /// Judge a run that was cut short by its recorded part, instead of calling it unknown
    #[arg(long)]
    pub(super) accept_partial: bool,
    #[command(flatten)]
    pub(super) limits: options::LimitArgs,
}

pub(super) fn run(args: &AnalyzeArgs, global: Global) -> Outcome {
    options::refuse_algorithm(args.algorithm.unwrap_or_default(), args.consistency.as_slice())?;
    let dir = RunDir::open(&args.run)?;
    let how = analysis::Otherwise { consistency: args.consistency, algorithm: args.algorithm, accept_partial: args.accept_partial };
    let interrupt = Interrupt::listen()?;
    let progress = Progress::new(global.stderr());
    let run = analysis::judge_run(&dir, how, args.limits.limits(), || interrupt.times() > 0, &progress)?;
    progress.clear();
    Ok(tell(&run, &dir, global.stdout(), global))
}
