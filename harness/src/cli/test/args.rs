//! The options of `rashomon test`.

use crate::cli::{Failure, TEMPLATE, options};
use crate::runner::keep;
use crate::tables::{self, Tables};
use crate::ui::format;
use checker::{Algorithm, Consistency};
use clap::builder::PossibleValuesParser;
use clap::{ArgMatches, Args, Command, FromArgMatches, ValueEnum};
use nemesis::lab::NAME_DEFAULT;
use nemesis::schedule::Mix;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;
use workloads::systems::Place;
use workloads::{SystemKind, WorkloadKind};

const EXAMPLES: &str = "\
Examples:
  rashomon test demo
  rashomon test demo --replication async-primary --seed 0x5a3
  rashomon test demo --replication async-primary --consistency eventual
  rashomon test etcd --nodes n1,n2,n3,n4,n5 --nemesis partition,kill,pause --time-limit 60s
  rashomon test etcd --nodes 10.0.0.1,10.0.0.2,10.0.0.3 --user admin --key ~/.ssh/id_ed25519
  rashomon test etcd --lab --nemesis all --nemesis-mix shifting --time-limit 3m
  rashomon test demo --schedule faults.toml        faults at the times that a file says
  rashomon test etcd --lab --read serializable     on hosts made by `rashomon lab up 5`
";

/// Run a test: drive clients against a cluster while faults come and go, then judge.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(before_help = EXAMPLES, help_template = TEMPLATE)]
pub(in crate::cli) struct TestArgs {
    /// Who is asked
    #[arg(value_name = "SYSTEM", required_unless_present = "list")]
    pub(in crate::cli) database: Option<String>,
    /// List the systems, what each can be asked, and what it promises
    #[arg(long)]
    pub(in crate::cli) list: bool,

    /// The nodes: names or addresses, separated by commas; for the demo, how many (3 to 9)
    #[arg(long, value_name = "NODES", value_delimiter = ',')]
    pub(in crate::cli) nodes: Vec<String>,
    /// Use the hosts of `rashomon lab up` as nodes (Linux, root); =NAME names the lab if there are several
    #[arg(long, value_name = "NAME", conflicts_with_all = options::NODES_AND_LOGIN, num_args = 0..=1, require_equals = true, default_missing_value = NAME_DEFAULT)]
    pub(in crate::cli) lab: Option<String>,
    /// The directory that holds all runs
    #[arg(long, value_name = "DIR", default_value = "store")]
    pub(in crate::cli) store: PathBuf,

    /// What is asked
    #[arg(long, value_name = "NAME", default_value = "register", help_heading = "Load")]
    pub(in crate::cli) workload: String,
    /// Clients: a number, or a multiple of the number of nodes like 2n
    #[arg(long, value_name = "N", value_parser = concurrency, default_value = "2n", help_heading = "Load")]
    pub(in crate::cli) concurrency: Concurrency,
    /// How long clients ask while faults come and go
    #[arg(long, value_name = "DURATION", value_parser = options::duration, default_value = "10s", help_heading = "Load")]
    pub(in crate::cli) time_limit: Duration,
    /// Ops a second of all clients together, or unlimited
    #[arg(long, value_name = "RATE", value_parser = rate, default_value = "unlimited", help_heading = "Load")]
    pub(in crate::cli) rate: Rate,
    /// The deadline of one op; its outcome is then unknown
    #[arg(long, value_name = "DURATION", value_parser = options::duration, default_value = "1s", help_heading = "Load")]
    pub(in crate::cli) op_timeout: Duration,
    /// How long the cluster may take to answer again after faults are healed, final reads included
    #[arg(long, value_name = "DURATION", value_parser = options::duration, default_value = "30s", help_heading = "Load")]
    pub(in crate::cli) recovery_time: Duration,
    /// The seed of ops, targets, faults and gaps: a number, decimal or 0x... [default: drawn, and reported]
    #[arg(long, value_name = "SEED", value_parser = options::seed, help_heading = "Load")]
    pub(in crate::cli) seed: Option<u64>,

    /// Faults, separated by commas
    #[arg(long, value_name = "FAULTS", default_value = "partition,kill,pause", help = nemesis_line(), long_help = nemesis_help(), help_heading = "Faults")]
    pub(in crate::cli) nemesis: String,
    /// The mean time that a fault is active, and the mean pause until the next of its class; in rounds, the time from one fault to the
    /// next [default: a tenth of the time limit, or so much that a round has room in it, 1s to 10s; without rounds see the next two]
    #[arg(long, value_name = "DURATION", value_parser = options::duration, help_heading = "Faults")]
    pub(in crate::cli) nemesis_interval: Option<Duration>,
    /// The mean time that a fault is active; a fault's own: --nemesis 'kill:one for=50ms every=3s' [default: so much that the cluster can
    /// work for more than half of the time]
    #[arg(long, value_name = "DURATION", value_parser = options::duration, help_heading = "Faults")]
    pub(in crate::cli) nemesis_down: Option<Duration>,
    /// The mean pause between the end of a fault and the next of its class [default: as for --nemesis-down]
    #[arg(long, value_name = "DURATION", value_parser = options::duration, help_heading = "Faults")]
    pub(in crate::cli) nemesis_up: Option<Duration>,
    /// How classes of faults are mixed [default: flip-flop, and rounds if there are more than five]
    #[arg(long, value_enum, value_name = "MIX", help_heading = "Faults")]
    pub(in crate::cli) nemesis_mix: Option<MixName>,
    /// A file that says which fault starts when, and for how long: [[schedule]] at = "10s" fault = "kill:one" for = "5s"
    #[arg(long, value_name = "FILE", conflicts_with_all = ["nemesis", "nemesis_interval", "nemesis_down", "nemesis_up", "nemesis_mix"], help_heading = "Faults")]
    pub(in crate::cli) schedule: Option<PathBuf>,

    /// What the run should keep: linearizable, sequential, causal, eventual, ... (see `rashomon check --help`)
    #[arg(long, value_name = "NAME", value_parser = options::consistency, default_value = "linearizable", help_heading = "Check")]
    pub(in crate::cli) consistency: Consistency,
    /// Which procedure decides whether it is linearizable: auto tries all that fit the model, the search last
    #[arg(long, value_name = "NAME", default_value = "auto", long_help = options::algorithms_help(), help_heading = "Check")]
    pub(in crate::cli) algorithm: Algorithm,
    /// Judge a run that is cut short (Ctrl-C, SIGTERM) by its recorded part, instead of calling it unknown
    #[arg(long, help_heading = "Check")]
    pub(in crate::cli) accept_partial: bool,
    /// Judge while the clients still ask: the progress line says what holds so far
    #[arg(long, help_heading = "Check")]
    pub(in crate::cli) live: bool,
    /// Judge while the clients still ask, and end the run at the first violation
    #[arg(long, help_heading = "Check")]
    pub(in crate::cli) fail_fast: bool,

    /// Keep what the nodes stored, compressed, in the run's directory: if the run failed (it is not valid, or something was found beside
    /// its history), always or never
    #[arg(long, value_enum, value_name = "WHEN", default_value = "failed", help_heading = "Records")]
    pub(in crate::cli) keep_data: keep::When,
    /// How much of a node's data is kept at most, compressed; of a node that has more nothing is kept
    #[arg(long, value_name = "SIZE", value_parser = format::parse_bytes, default_value = "256MB", help_heading = "Records")]
    pub(in crate::cli) keep_data_limit: u64,

    #[command(flatten)]
    pub(in crate::cli) ssh: options::SshArgs,

    /// Give the check up after this long with the verdict unknown
    #[arg(long, value_name = "DURATION", value_parser = options::duration, default_value = "10m", help_heading = "Check")]
    pub(in crate::cli) check_time_limit: Duration,
    /// Memory the check may hold, like 64MB or 4GiB [default: three quarters of what is available]
    #[arg(long, value_name = "SIZE", value_parser = format::parse_bytes, help_heading = "Check")]
    pub(in crate::cli) memory_limit: Option<u64>,
}

/// How classes of faults are mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum MixName {
    /// Each class starts and ends by itself, and classes overlap
    FlipFlop,
    /// A random subset of the classes for two intervals at a time, and none in a quarter of these periods
    Shifting,
    /// Each class once a round, in a long run in each of its ways: at first one at a time, later up to two
    Rounds,
}

impl MixName {
    /// What suits so many classes, if nobody says: of many that start and end by themselves, too many are active at once.
    pub(in crate::cli) fn usual(classes: usize) -> MixName {
        const FLIP_FLOP_MAX: usize = 5;
        if classes <= FLIP_FLOP_MAX { MixName::FlipFlop } else { MixName::Rounds }
    }

    /// In words for the report.
    pub(in crate::cli) fn words(self) -> &'static str {
        match self {
            MixName::FlipFlop => "flip-flop: each class starts and ends by itself",
            MixName::Shifting => "shifting: a random subset of the classes at a time",
            MixName::Rounds => "rounds: each class once a round",
        }
    }
}

impl From<MixName> for Mix {
    fn from(name: MixName) -> Mix {
        match name {
            MixName::FlipFlop => Mix::FlipFlop,
            MixName::Shifting => Mix::Shifting,
            MixName::Rounds => Mix::Rounds,
        }
    }
}

/// The classes of faults in a line, for `-h`.
fn nemesis_line() -> String {
    let names: Vec<&str> = nemesis::spec::CLASSES.iter().map(|class| class.name).collect();
    format!("Faults, separated by commas: {}, each with :HOW or @TARGET behind it; all, or none", names.join(", "))
}

/// What each class of faults does, for `--help`.
fn nemesis_help() -> String {
    let mut help = String::from(
        "Faults, separated by commas; all, or none. Behind one may stand how long it lasts and how often it begins: kill:one for=50ms every=3s. A TARGET is one, minority, majority, minority-third, primaries, random, all, or nodes like n1+n3:\n",
    );
    for class in nemesis::spec::CLASSES {
        let _ = write!(help, "\n- {}: {}", class.name, class.help);
    }
    help
}

/// A number of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Concurrency {
    /// This many.
    Threads(u32),
    /// This many for each node.
    PerNode(u32),
}

/// The most client threads a test may have.
const THREADS_MAX: u32 = 10_000;

impl Concurrency {
    /// The number of client threads on so many nodes.
    pub(in crate::cli) fn threads(self, nodes: usize) -> Result<u32, Failure> {
        let threads = match self {
            Concurrency::Threads(n) => n,
            Concurrency::PerNode(n) => n.saturating_mul(nodes as u32),
        };
        if threads <= THREADS_MAX {
            Ok(threads)
        } else {
            Err(Failure::usage(format!("--concurrency asks for {threads} clients; at most {THREADS_MAX} are possible")))
        }
    }
}

fn concurrency(text: &str) -> Result<Concurrency, String> {
    let (number, make): (&str, fn(u32) -> Concurrency) = match text.strip_suffix('n') {
        Some("") => ("1", Concurrency::PerNode),
        Some(number) => (number, Concurrency::PerNode),
        None => (text, Concurrency::Threads),
    };
    match number.parse() {
        Ok(n) if (1..=THREADS_MAX).contains(&n) => Ok(make(n)),
        _ => Err(format!("write a number from 1 to {THREADS_MAX}, or a multiple of the number of nodes like 2n")),
    }
}

/// How fast all clients together ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::cli) enum Rate {
    /// As fast as the answers come.
    Unlimited,
    /// Ops a second, in the mean.
    PerSecond(f64),
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "unlimited" {
        return Ok(Rate::Unlimited);
    }
    match text.parse::<f64>() {
        Ok(rate) if (0.01..=1e7).contains(&rate) => Ok(Rate::PerSecond(rate)),
        _ => Err("write ops a second, like 500, or unlimited".into()),
    }
}

impl TestArgs {
    /// Who is asked.
    pub(in crate::cli) fn system(&self) -> Result<&'static dyn SystemKind, Failure> {
        let name = self.database.as_deref().unwrap_or_default();
        tables::get().system(name).ok_or_else(|| Failure::usage(format!("there is no system `{name}`")))
    }

    /// What is asked.
    pub(in crate::cli) fn workload(&self) -> Result<&'static dyn WorkloadKind, Failure> {
        let name = &self.workload;
        tables::get().workload(name).ok_or_else(|| Failure::usage(format!("there is no workload `{name}`")))
    }

    /// Options that only other systems know, and those that do not go together, are refused, not passed over.
    pub(super) fn refuse_nonsense(&self) -> Result<(), Failure> {
        if (self.live || self.fail_fast) && self.consistency != Consistency::Linearizable {
            return Err(Failure::usage("--live and --fail-fast judge whether a run is linearizable; other models are judged at its end"));
        }
        options::refuse_algorithm(self.algorithm, &[self.consistency])?;
        let system = self.system()?;
        match system.place() {
            Place::Here { .. } => {
                let given = self.lab.as_ref().map(|_| "--lab").or_else(|| self.ssh.given());
                let on_hosts: Vec<&str> =
                    tables::get().systems.iter().filter(|kind| kind.place() == Place::Hosts).map(|kind| kind.name()).collect();
                given.map_or(Ok(()), |name| {
                    Err(Failure::usage(format!("{name} is an option of {}, not of {}", on_hosts.join(" and "), system.name())))
                })
            }
            Place::Hosts if self.nodes.is_empty() && self.lab.is_none() => {
                Err(Failure::usage("which nodes? Name them with --nodes n1,n2,n3, or make some with `rashomon lab up 5` and use --lab"))
            }
            Place::Hosts => Ok(()),
        }
    }
}

/// The options of a test as the user gave them, and those of its system and its workload, which each of these reads for itself.
#[derive(Clone, Debug)]
pub(in crate::cli) struct TestCommand {
    pub(in crate::cli) args: TestArgs,
    pub(in crate::cli) matches: ArgMatches,
}

impl FromArgMatches for TestCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<TestCommand, clap::Error> {
        Ok(TestCommand { args: TestArgs::from_arg_matches(matches)?, matches: matches.clone() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = TestCommand::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for TestCommand {
    fn augment_args(command: Command) -> Command {
        TestArgs::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        TestArgs::augment_args_for_update(command)
    }
}

/// The command line of this test: the systems and workloads that there are, the options of those that it names, and nothing that makes
/// no sense for them.
pub(in crate::cli) fn complete(command: Command, tables: &Tables, words: &[String]) -> Command {
    let system = tables.systems.iter().find(|kind| words.iter().any(|word| word == kind.name()));
    let workload = words.iter().position(|word| word == "--workload").and_then(|at| words.get(at + 1)).map(String::as_str);
    let workload = workload.or_else(|| words.iter().find_map(|word| word.strip_prefix("--workload=")));
    let mut command = tables.augment(command, system.map(|kind| kind.name()), workload);
    if let Some(Place::Here { .. }) = system.map(|kind| kind.place()) {
        for id in options::NODES_AND_LOGIN.into_iter().filter(|id| *id != "nodes").chain(["lab"]) {
            command = command.mut_arg(id, |argument| argument.hide(true));
        }
    }
    command
        .mut_arg("database", |argument| argument.value_parser(PossibleValuesParser::new(tables.system_values())))
        .mut_arg("workload", |argument| argument.value_parser(PossibleValuesParser::new(tables.workload_values())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_clients() {
        assert_eq!(concurrency("2n"), Ok(Concurrency::PerNode(2)));
        assert_eq!(concurrency("n"), Ok(Concurrency::PerNode(1)));
        assert_eq!(concurrency("12"), Ok(Concurrency::Threads(12)));
        for bad in ["", "0", "-1", "2m", "n2", "1000000n"] {
            assert!(concurrency(bad).is_err(), "{bad}");
        }
        assert_eq!(Concurrency::PerNode(2).threads(5).unwrap(), 10);
        assert!(Concurrency::PerNode(10_000).threads(5).is_err());
    }

    #[test]
    fn rates() {
        assert_eq!(rate("unlimited"), Ok(Rate::Unlimited));
        assert_eq!(rate("500"), Ok(Rate::PerSecond(500.0)));
        assert!(rate("0").is_err() && rate("NaN").is_err() && rate("fast").is_err());
    }
}
