//! The command line: one file per command.

mod analyze;
mod check;
mod convert;
mod demo;
mod doctor;
mod explain;
mod generate;
mod heal;
mod inner;
mod lab;
mod lint;
mod options;
mod plan;
mod replay;
mod script;
mod staleness;
mod stat;
mod test;
mod verify_clean;

use crate::tables::{self, Tables};
use crate::ui::console;
use crate::ui::console::{Color, Console};
use crate::ui::{exit, format};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Help with the examples before the options: people copy first and read later.
const TEMPLATE: &str = "{about}\n\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

const EXAMPLES: &str = "\
Examples:
  rashomon test demo                               five small nodes on this machine, ten seconds
  rashomon test etcd --nodes n1,n2,n3 --time-limit 60s --nemesis partition,kill,pause
  rashomon check history.edn --model cas-register  judge a recorded file
  rashomon analyze store/latest                    judge a stored run again
";

const EXIT_CODES: &str = "\
Exit codes:
  0 valid, 1 invalid, 2 unknown, 254 the command line makes no sense, 255 it could not be done
";

/// Decides whether a distributed store keeps its word.
#[derive(Debug, Parser)]
#[command(name = "rashomon", bin_name = "rashomon", version, help_template = TEMPLATE, before_help = EXAMPLES, after_help = EXIT_CODES)]
#[command(subcommand_required = true, arg_required_else_help = true, max_term_width = 100, infer_long_args = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Copy, Debug, Args)]
struct Global {
    /// When to colour the output: auto, always, never
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", hide_possible_values = true)]
    color: Color,
}

impl Global {
    fn stdout(self) -> Console {
        Console::stdout(self.color)
    }

    fn stderr(self) -> Console {
        Console::stderr(self.color)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a test: drive clients against a cluster while faults come and go, then judge
    Test(Box<test::TestCommand>),
    /// Run the test of a stored run again: the same options, faults, nodes and times
    Replay(replay::ReplayArgs),
    /// Show what the checker can tell apart: replication schemes, hurt where it hurts, and what each of them keeps
    Demo(demo::DemoArgs),
    /// Judge recorded history files
    Check(check::CheckArgs),
    /// Judge a stored run again, also one that was killed half-way
    Analyze(analyze::AnalyzeArgs),
    /// Count what recorded history files hold: ops, processes, concurrency, keys
    Stat(stat::StatArgs),
    /// Measure how stale the reads of recorded history files are: by writes and by time
    Staleness(staleness::StalenessArgs),
    /// Say what is wrong with recorded history files: misuse, lost events, values nobody wrote
    Lint(lint::LintArgs),
    /// Write a recorded history file in another format
    Convert(convert::ConvertArgs),
    /// Make a history: a simulated object, correct or with one planted anomaly
    Generate(generate::GenerateArgs),
    /// Say what a model, a consistency model, a fault, a system, a workload or a finding is
    Explain(explain::ExplainArgs),
    /// Look nodes over before a test: what they have, and which faults can be injected there
    Doctor(doctor::DoctorArgs),
    /// Undo every fault that a killed run left on nodes
    Heal(heal::HealArgs),
    /// Compare nodes with what they were like before a run; or list everything that it touched
    VerifyClean(verify_clean::VerifyCleanArgs),
    /// Make hosts on this machine for tests to use
    Lab(lab::LabArgs),
    /// The agent on a node
    #[command(hide = true)]
    Agent(inner::InnerArgs),
    /// A node of the demo store
    #[command(hide = true)]
    DemoNode(inner::InnerArgs),
}

/// What a command ends with: an exit code, or an error that says what to do.
type Outcome = Result<u8, Failure>;

/// Why a command could not do its work.
#[derive(Debug)]
enum Failure {
    /// The command line makes no sense: exit code [`exit::USAGE`].
    Usage(String),
    /// The work could not be done: exit code [`exit::CRASH`].
    Error(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Error(error.into())
    }
}

impl Failure {
    fn usage(message: impl Into<String>) -> Failure {
        Failure::Usage(message.into())
    }

    fn error(message: impl Into<String>) -> Failure {
        Failure::Error(anyhow::Error::msg(message.into()))
    }
}

impl Cli {
    /// The command line that these words are for: of a test, the options of its system and of its workload are among it.
    fn command_for(words: &[OsString]) -> clap::Command {
        let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let tables = tables::get();
        let systems = || clap::builder::PossibleValuesParser::new(tables.system_values());
        Cli::command()
            .mut_subcommand("test", |test| test::args::complete(test, &tables, &words))
            .mut_subcommand("doctor", |doctor| doctor.mut_arg("database", |argument| argument.value_parser(systems())))
    }

    /// Reads a command line. The first word is the program's name.
    fn read(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Cli, clap::Error> {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let mut command = Cli::command_for(&words);
        let matches = command.try_get_matches_from_mut(&words).map_err(|error| tables::get().explain(error, &mut command, &words))?;
        Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    main_with(Tables::default())
}

/// Runs the command line of this process with systems and workloads of one's own: those of [`Tables::default`] and more.
pub fn main_with(tables: Tables) -> ExitCode {
    tables::set(tables);
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    let outcome = match cli.command {
        Command::Test(args) => test::run(&args, cli.global),
        Command::Replay(args) => replay::run(&args, cli.global),
        Command::Demo(args) => demo::run(&args, cli.global),
        Command::Check(args) => check::run(&args, cli.global),
        Command::Analyze(args) => analyze::run(&args, cli.global),
        Command::Stat(args) => stat::run(&args, cli.global),
        Command::Staleness(args) => staleness::run(&args, cli.global),
        Command::Lint(args) => lint::run(&args, cli.global),
        Command::Convert(args) => convert::run(&args, cli.global),
        Command::Generate(args) => generate::run(&args, cli.global),
        Command::Explain(args) => explain::run(&args, cli.global),
        Command::Doctor(args) => doctor::run(&args, cli.global),
        Command::Heal(args) => heal::run(&args, cli.global),
        Command::VerifyClean(args) => verify_clean::run(&args, cli.global),
        Command::Lab(args) => lab::run(&args, cli.global),
        Command::Agent(args) => return inner::agent(&args),
        Command::DemoNode(args) => inner::demo_node(args),
    };
    let code = outcome.unwrap_or_else(|failure| {
        let (text, code) = match failure {
            Failure::Usage(text) => (format!("{text}\n\nFor more information, try '--help'."), exit::USAGE),
            Failure::Error(error) => (format!("{error:#}"), exit::CRASH),
        };
        complain(&text, cli.global);
        code
    });
    ExitCode::from(code)
}

/// Says what went wrong.
fn complain(text: &str, global: Global) {
    let console = global.stderr();
    console::complain(&format!("{}: {}\n", console.ink(console::Ink::Red, "error"), console.fit(text)));
}

/// The exit code of what was done when the verdict had been said: an error there is told, and leaves an invalid verdict what it is
/// (see [`exit::worse`]).
fn after_the_verdict(done: anyhow::Result<()>, global: Global) -> u8 {
    match done {
        Ok(()) => exit::VALID,
        Err(error) => {
            complain(&format!("{error:#}"), global);
            exit::CRASH
        }
    }
}

/// This process's command line, by the program's name: what repeats it.
fn command_line() -> String {
    let words: Vec<String> = std::iter::once("rashomon".into()).chain(std::env::args().skip(1)).collect();
    format::shell(&words)
}

/// Help and version are no errors; everything else clap refuses is one of usage (its own code for that is 2, our unknown).
fn refused(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::from(exit::VALID);
    }
    // It holds words of the command line, which may be names of files: they are shown in one line each.
    let shown = Cli::read(std::env::args_os().map(|word| format::name(&word.to_string_lossy())));
    let text = shown.map_or_else(|error| error, |_| Cli::command().error(error.kind(), "the command line makes no sense"));
    let text = text.render().to_string();
    let console = Console::stderr(Color::Auto);
    let text = text.strip_prefix("error: ").map_or(text.clone(), |rest| format!("{}: {rest}", console.ink(console::Ink::Red, "error")));
    console::complain(&text);
    ExitCode::from(exit::USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use workloads::systems::SYSTEMS;
    use workloads::workloads::WORKLOADS;

    fn help(words: &[&str]) -> String {
        let words: Vec<_> = ["rashomon", "test"].iter().chain(words).map(Into::into).collect();
        let mut command = Cli::command_for(&words);
        command.find_subcommand_mut("test").unwrap().render_long_help().to_string()
    }

    #[test]
    fn every_pair_has_a_command_line_of_its_own() {
        for system in SYSTEMS {
            for workload in WORKLOADS {
                let words = ["rashomon", "test", system.name(), "--workload", workload.name()].map(Into::into);
                Cli::command_for(&words).debug_assert();
            }
            for promise in system.promises() {
                assert!(WORKLOADS.iter().any(|kind| kind.name() == promise.workload), "{}: {promise:?}", system.name());
                assert!(!promise.words.is_empty() && !promise.source.is_empty());
            }
        }
    }

    #[test]
    fn help_shows_the_options_of_the_system_that_is_named() {
        let (etcd, demo, none) = (help(&["etcd"]), help(&["demo"]), help(&[]));
        assert!(etcd.contains("--read <KIND>") && !etcd.contains("--replication <SCHEME>") && etcd.contains("--user <NAME>"), "{etcd}");
        assert!(demo.contains("--replication <SCHEME>") && !demo.contains("--read <KIND>") && !demo.contains("--user <NAME>"), "{demo}");
        assert!(!none.contains("--replication <SCHEME>") && none.contains("--values") && none.contains("etcd, over SSH"), "{none}");
    }

    #[test]
    fn an_option_of_another_system_is_told_whose_it_is() {
        let refused = |words: &[&str]| Cli::read(["rashomon", "test"].iter().chain(words)).err().unwrap().to_string();
        assert!(refused(&["demo", "--read", "serializable"]).contains("--read is an option of etcd, not of demo"));
        assert!(refused(&["etcd", "--replication", "quorum"]).contains("--replication is an option of demo, not of etcd"));
        assert!(refused(&["demo", "--nonsense"]).contains("--nonsense"));
        assert!(refused(&["cassandra"]).contains("demo"), "what there is");
        assert!(Cli::read(["rashomon", "test", "--seed", "7", "demo", "--replication", "quorum", "--keys", "3"]).is_ok(), "in any order");
    }
}
