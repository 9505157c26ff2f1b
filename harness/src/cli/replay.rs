//! `rashomon replay`: the test of a stored run, once more.

use super::{Cli, Command, Failure, Global, Outcome, test};
use crate::store::RunDir;
use crate::ui::format;
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  rashomon replay store/latest
  rashomon replay store/etcd-register/20261120-104220
";

/// Run the test of a stored run again: the same options and the same seed, so the same faults on the same nodes at the same times (or
/// as soon as the one before is done), and the same ops as far as the clients keep pace. Targets that ask the cluster (primary, primaries) are asked anew. The new run goes into
/// the same store.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, help_template = super::TEMPLATE)]
pub(super) struct ReplayArgs {
    /// The run's directory
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
}

pub(super) fn run(args: &ReplayArgs, global: Global) -> Outcome {
    let dir = RunDir::open(&args.run)?;
    let facts = dir.read_test()?;
    let mut test = test_of(&facts.command)?;
    if let Some(store) = dir.store() {
        test.args.store = store;
    }
    if test.args.schedule.is_some() {
        test.args.schedule = Some(dir.schedule());
    }
    test::run_as(&test, facts.seed, facts.command, global)
}

/// The options of the test that this command line ran.
pub(super) fn test_of(command: &[String]) -> Result<test::TestCommand, Failure> {
    let unknown = || Failure::error(format!("the run was made by `{}`, which is no test that this version knows", format::shell(command)));
    match Cli::read(command).map_err(|_| unknown())?.command {
        Command::Test(args) => Ok(*args),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_options_are_those_of_the_recorded_command_line() {
        let args = test_of(&words("rashomon test etcd --nodes a,b,c --nemesis kill:one --time-limit 7s --seed 0x5a3")).ok().unwrap().args;
        assert_eq!((args.seed, args.nemesis.as_str(), args.nodes.len()), (Some(0x5a3), "kill:one", 3));
        for bad in ["rashomon check x.edn", "rashomon test etcd --of-the-future 1 --seed 1", ""] {
            assert!(test_of(&words(bad)).is_err(), "{bad}");
        }
    }
}
