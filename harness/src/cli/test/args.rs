//! The options of `rashomon test`.

use crate::cli::{Failure, TEMPLATE, options};
use crate::runner::keep;
use crate::ui::format;
use checker::{Algorithm, Consistency};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use nemesis::lab::NAME_DEFAULT;
use nemesis::schedule::Mix;
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;
use workloads::systems::demo::Replication;

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
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, help_template = TEMPLATE)]
pub(in crate::cli) struct TestArgs {
    /// Who is asked
    #[arg(value_enum)]
    pub(in crate::cli) database: DatabaseName,

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
    #[arg(long, value_enum, value_name = "NAME", default_value_t = WorkloadName::Register, help_heading = "Load")]
    pub(in crate::cli) workload: WorkloadName,
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
    /// Keys in use at the same time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Load")]
    pub(in crate::cli) keys: Option<u32>,
    /// Ops on a key before the next one takes its place
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000), help_heading = "Load")]
    pub(in crate::cli) ops_per_key: Option<u32>,
    /// Values written to a key: unique, or a number of values to draw from (finds less)
    #[arg(long, value_name = "N", value_parser = values, default_value = "unique", help_heading = "Load")]
    pub(in crate::cli) values: Values,

    /// Reads at the end, of every key at every node as far as they go: all, or a number
    #[arg(long, value_name = "N", value_parser = final_reads, default_value = "all", help_heading = "Load")]
    pub(in crate::cli) final_reads: FinalReads,

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

    /// demo: how the store copies its data
    #[arg(long, value_parser = SchemeNames, value_name = "SCHEME", help_heading = "Databases")]
    pub(in crate::cli) replication: Option<Replication>,
    /// etcd: the kind of reads clients ask for
    #[arg(long, value_enum, value_name = "KIND", help_heading = "Databases")]
    pub(in crate::cli) read: Option<ReadKind>,
    /// etcd: whether answers are recorded with their revisions and judged by them: a write that was acknowledged and lost shows even
    /// where the next one covers it [default: yes, if the run should be linearizable]
    #[arg(long, value_enum, value_name = "YES|NO", help_heading = "Databases")]
    pub(in crate::cli) revisions: Option<options::YesNo>,
    /// etcd: a binary of this machine to upload [default: the node's own]
    #[arg(long, value_name = "FILE", help_heading = "Databases")]
    pub(in crate::cli) etcd_binary: Option<PathBuf>,

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

/// The stores that can be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum DatabaseName {
    /// A small replicated store of Rashomon's own, as processes on this machine: nothing to install
    Demo,
    /// etcd, over SSH
    Etcd,
}

impl DatabaseName {
    /// The name on the command line.
    pub(in crate::cli) fn name(self) -> &'static str {
        match self {
            DatabaseName::Demo => "demo",
            DatabaseName::Etcd => "etcd",
        }
    }
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum WorkloadName {
    /// Reads, writes and compare-and-sets of independent keys
    Register,
}

impl WorkloadName {
    /// The name on the command line.
    pub(in crate::cli) fn name(self) -> &'static str {
        match self {
            WorkloadName::Register => "register",
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

/// The replication schemes of the demo, by name.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct SchemeNames;

impl TypedValueParser for SchemeNames {
    type Value = Replication;

    fn parse_ref(&self, command: &clap::Command, argument: Option<&clap::Arg>, name: &OsStr) -> Result<Replication, clap::Error> {
        let names = PossibleValuesParser::new(self.possible_values().into_iter().flatten());
        let name = names.parse_ref(command, argument, name)?;
        Ok(Replication::by_name(&name).unwrap_or_default())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let of_registers = Replication::all().filter(|scheme| scheme.offers("read") && scheme.offers("write"));
        Some(Box::new(of_registers.map(|scheme| PossibleValue::new(scheme.name()).help(scheme.describe()))))
    }
}

/// Kinds of reads of etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ReadKind {
    /// Through the leader's log
    Linearizable,
    /// From the node's own state, which may be old
    Serializable,
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

/// The values that are written to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Values {
    /// No value twice.
    Unique,
    /// So many, drawn again and again.
    Few(u32),
}

fn values(text: &str) -> Result<Values, String> {
    match (text, text.parse()) {
        ("unique", _) => Ok(Values::Unique),
        (_, Ok(n)) if n > 0 => Ok(Values::Few(n)),
        _ => Err("write unique, or a number of values like 5".into()),
    }
}

/// How much is read at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum FinalReads {
    /// Every key at every node.
    All,
    /// So many of these, the newest keys first.
    AtMost(u32),
}

impl FinalReads {
    /// The number, if there is one.
    pub(in crate::cli) fn most(self) -> Option<u32> {
        match self {
            FinalReads::All => None,
            FinalReads::AtMost(most) => Some(most),
        }
    }
}

fn final_reads(text: &str) -> Result<FinalReads, String> {
    match (text, text.parse()) {
        ("all", _) => Ok(FinalReads::All),
        (_, Ok(most)) if most > 0 => Ok(FinalReads::AtMost(most)),
        _ => Err("write all, or a number of reads like 10000".into()),
    }
}

impl TestArgs {
    /// Options that only the other database knows, and those that do not go together, are refused, not passed over.
    pub(super) fn refuse_nonsense(&self) -> Result<(), Failure> {
        let only = |database: DatabaseName, name: &str| {
            Failure::usage(format!("{name} is an option of {}, not of {}", database.name(), self.database.name()))
        };
        if (self.live || self.fail_fast) && self.consistency != Consistency::Linearizable {
            return Err(Failure::usage("--live and --fail-fast judge whether a run is linearizable; other models are judged at its end"));
        }
        options::refuse_algorithm(self.algorithm, &[self.consistency])?;
        match self.database {
            DatabaseName::Demo => {
                let etcd = [
                    ("--read", self.read.is_some()),
                    ("--revisions", self.revisions.is_some()),
                    ("--etcd-binary", self.etcd_binary.is_some()),
                    ("--lab", self.lab.is_some()),
                ];
                let given = etcd.into_iter().find(|(_, given)| *given).map(|(name, _)| name).or_else(|| self.ssh.given());
                given.map_or(Ok(()), |name| Err(only(DatabaseName::Etcd, name)))
            }
            DatabaseName::Etcd if self.replication.is_some() => Err(only(DatabaseName::Demo, "--replication")),
            DatabaseName::Etcd if self.nodes.is_empty() && self.lab.is_none() => {
                Err(Failure::usage("which nodes? Name them with --nodes n1,n2,n3, or make some with `rashomon lab up 5` and use --lab"))
            }
            DatabaseName::Etcd => Ok(()),
        }
    }
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
    fn rates_and_values() {
        assert_eq!(rate("unlimited"), Ok(Rate::Unlimited));
        assert_eq!(rate("500"), Ok(Rate::PerSecond(500.0)));
        assert!(rate("0").is_err() && rate("NaN").is_err() && rate("fast").is_err());
        assert_eq!(values("5"), Ok(Values::Few(5)));
        assert!(values("0").is_err() && values("many").is_err());
        assert_eq!((final_reads("all"), final_reads("7")), (Ok(FinalReads::All), Ok(FinalReads::AtMost(7))));
        assert!(final_reads("0").is_err() && final_reads("some").is_err());
    }
}
