//! Everything known of one run, or of one judged file: what the report is made from.
//!
//! This is plain data. The test's life fills it ([`crate::runner::test`]), `analyze` fills it from a stored run, `check` from a file
//! alone; [`crate::render::html`] and [`crate::render::terminal`] only read it. What is not known is absent, never made up.

use crate::cut::Cut;
use crate::findings::Findings;
use crate::timeline::{FaultWindow, PhaseSpan};
use checker::ladder::{Overall, Rung};
use checker::verdict::Summary;
use checker::{Consistency, KeyVerdict, Verdict};
use histories::{History, Outcome};
use nemesis::agent::protocol::touch::Touch;
use nemesis::clean::Picture;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// One run, judged.
#[derive(Debug)]
pub struct Run {
    /// What is judged, for headings: `demo, register`, or the file's name.
    pub title: String,
    /// The test that was run; `None` for a file that comes from elsewhere.
    pub test: Option<TestFacts>,
    /// What was recorded.
    pub history: History,
    /// What the checker says of it. The run's own answer is [`Run::summary`]: it also takes the coverage into account.
    pub verdict: Verdict,
    /// The consistency model that it was judged against.
    pub consistency: Consistency,
    /// Where it ended before its time; `None` if it was carried out. Unless that is accepted, it is a gap of the coverage too.
    pub cut: Option<Cut>,
    /// What the run really put to the test.
    pub coverage: Coverage,
    /// What was found beside the history.
    pub findings: Findings,
    /// When faults were active, in order of their start.
    pub windows: Vec<FaultWindow>,
    /// The phases of the run, in order.
    pub phases: Vec<PhaseSpan>,
    /// What was copied from the nodes, beside the report.
    pub node_files: Vec<NodeFile>,
    /// What the check itself cost.
    pub check: CheckFacts,
    /// Ops by function, in order of first appearance.
    pub counts: Vec<FunctionCount>,
    /// Ops that did not end `ok`, by kind of error, the most frequent first.
    pub errors: Vec<ErrorCount>,
    /// The file the history was read from, as the user would name it.
    pub history_path: PathBuf,
    /// The command line that repeats the run, or this check.
    pub repeat: String,
    /// The other models that were asked about too, with their answers; empty if there was only one.
    pub ladder: Vec<Rung>,
    /// What holds of all models that were asked about together; `None` if there was only one.
    pub overall: Option<Overall>,
}

impl Run {
    /// The answer: the checker's, made `unknown` where the run did not put enough to the test. Invalid stays invalid.
    pub fn summary(&self) -> Summary {
        if self.coverage.gaps.is_empty() { self.verdict.answer } else { self.verdict.answer.max(Summary::Unknown) }
    }

    /// The answer that the exit code gives too: of all models that were asked about, or of the only one.
    pub fn overall(&self) -> Summary {
        self.overall.as_ref().map_or_else(|| self.summary(), |overall| overall.summary)
    }

    /// The keys with this answer, in order of first appearance.
    pub fn keys(&self, answer: Summary) -> impl Iterator<Item = &KeyVerdict> {
        self.verdict.keys.iter().filter(move |key| key.answer.summary() == answer)
    }

    /// The number of client ops with this outcome.
    pub fn ops(&self, outcome: Outcome) -> usize {
        self.counts
            .iter()
            .map(|count| match outcome {
                Outcome::Ok => count.ok,
                Outcome::Fail => count.fail,
                Outcome::Info => count.info,
            })
            .sum()
    }
}

/// Pictures of nodes, by name.
pub type Pictures = BTreeMap<String, Picture>;

/// What was touched, by node.
pub type Footprints = BTreeMap<String, Vec<Touch>>;

/// The version of a run directory's files: raised when what an older program would read in it no longer means the same. Every version before
/// it is read for ever.
pub const RUN_FORMAT: u32 = 1;

/// What is needed to repeat a test, and to judge it again: `test.json` in the run's directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestFacts {
    /// The version of the run directory's files: [`RUN_FORMAT`] of whoever wrote it; 0 before there was one.
    #[serde(default)]
    pub format: u32,
    /// The version of Rashomon that ran it.
    pub rashomon: String,
    /// The store under test: `etcd`.
    pub database: String,
    /// Its version, as the first node reports it; empty if the run ended before it was asked.
    #[serde(default)]
    pub database_version: String,
    /// What was asked: `register`.
    pub workload: String,
    /// The nodes, in order.
    pub nodes: Vec<NodeFacts>,
    /// Client threads; thread i talks to node `i mod n`.
    pub concurrency: u32,
    /// The seed of everything random, as given or drawn.
    pub seed: u64,
    /// The command line that repeats the run, word by word, the seed included.
    pub command: Vec<String>,
    /// When the run's clock was zero, in wall-clock time (RFC 3339).
    pub started: String,
    /// How long the set-up took, in milliseconds; 0 if the run ended in it.
    #[serde(default)]
    pub setup_ms: u64,
    /// The length of the main phase that was asked for, in milliseconds.
    pub time_limit_ms: u64,
    /// The deadline of one op, in milliseconds.
    pub op_timeout_ms: u64,
    /// The faults that were asked for, by name.
    pub nemesis: Vec<String>,
    /// Every other option in words, in a fixed order: `replication: quorum`, `rate: unlimited`.
    pub options: Vec<(String, String)>,
    /// What the history is checked against.
    pub judged: Judged,
}

impl TestFacts {
    /// The name of the test, and of its directory in the store: `etcd-register`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.database, self.workload)
    }

    /// The names of the nodes, in order.
    pub fn node_names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// The command line in one line, quoted for a shell where needed.
    pub fn command_line(&self) -> String {
        crate::ui::format::shell(&self.command)
    }
}

/// A node of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Its name: `n1`.
    pub name: String,
    /// The address clients use.
    pub address: String,
}

/// What a history is checked against, and what a run must have shown to be called valid.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The consistency model, by its name; absent: linearizable.
    #[serde(default)]
    pub consistency: Option<String>,
    /// The procedure that decides, by its name; absent: all that fit.
    #[serde(default)]
    pub algorithm: Option<String>,
    /// The model's name: `cas-register`.
    pub model: String,
    /// Whether values are `[key value]` pairs.
    pub keyed: Option<bool>,
    /// The initial value of registers, in EDN notation; absent: the format's default.
    #[serde(default)]
    pub initial: Option<String>,
    /// `wildcard` or `missing`; absent: the format's default.
    #[serde(default)]
    pub nil_read: Option<String>,
    /// `drop` or `assert`; absent: the format's default.
    #[serde(default)]
    pub failed_cas: Option<String>,
    /// The permits of a semaphore; absent: one.
    #[serde(default)]
    pub permits: Option<u32>,
    /// The functions of which at least one op must end `ok`.
    #[serde(default)]
    pub must_succeed: Vec<String>,
    /// Whether the workload ends with final reads, of which at least one must end `ok`.
    #[serde(default)]
    pub final_reads: bool,
    /// Whether a run that was cut short is judged by its recorded part.
    #[serde(default)]
    pub accept_partial: bool,
}

/// What the run put to the test, and what it did not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Why a `valid` would claim too much, in sentences; empty if nothing is missing. Not empty: the run is at best `unknown`.
    pub gaps: Vec<String>,
    /// What a reader should know of how much was tested although it changes no verdict, in sentences.
    pub notes: Vec<String>,
    /// How much of the main phase was of use; `None` if it was too short to say.
    pub availability: Option<Availability>,
    /// Final reads that were to be made, of every key at every node, and were not answered.
    pub final_reads_missing: Option<usize>,
    /// The faults that were asked for, each with its counts, in the order asked.
    pub faults: Vec<FaultCoverage>,
    /// Final reads that ended `ok`; `None` if the workload has none.
    pub final_reads: Option<usize>,
    /// Ops that were in flight while an observed fault was active.
    pub ops_during_faults: usize,
}

/// The tenths of a second of the main phase in which any client asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Availability {
    /// In how many an op ended `ok`.
    pub answered: usize,
    /// How many there are.
    pub asked: usize,
}

impl Availability {
    /// The share with an op that ended `ok`, in percent.
    pub fn percent(self) -> usize {
        100 * self.answered / self.asked.max(1)
    }
}

/// How often a fault was injected and seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FaultCoverage {
    /// Its name.
    pub fault: String,
    /// Injections tried.
    pub injected: usize,
    /// Injections seen to take effect.
    pub observed: usize,
    /// Time it was active, all injections together, in milliseconds.
    pub active_ms: u64,
    /// The nodes hurt, by name, sorted.
    pub nodes: Vec<String>,
}

/// A file that was copied from a node into the run's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFile {
    /// The node.
    pub node: String,
    /// The file, relative to the run's directory.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

impl NodeFile {
    /// Whether it holds the data that the node held; else it is a log.
    pub fn is_data(&self) -> bool {
        self.path.to_string_lossy().ends_with(nemesis::pack::SUFFIX)
    }
}

/// What the check cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckFacts {
    /// Reading the history.
    pub parse: Duration,
    /// Deciding.
    pub check: Duration,
    /// The process's largest resident memory so far, in bytes, if the system says.
    pub peak_rss_bytes: Option<u64>,
    /// The most that the searches held at once, in bytes, by their own count.
    pub search_bytes: u64,
    /// The limit of time that was set.
    pub time_limit: Option<Duration>,
    /// The limit of memory that was set, in bytes.
    pub memory_limit_bytes: Option<u64>,
}

/// Ops of one function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FunctionCount {
    /// Its name.
    pub f: String,
    /// Took effect.
    pub ok: usize,
    /// Certainly did not.
    pub fail: usize,
    /// Nobody knows.
    pub info: usize,
}

/// Ops that ended with the same kind of error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorCount {
    /// The function.
    pub f: String,
    /// `fail` or `info`.
    pub outcome: String,
    /// The kind, short and stable: `timeout`, `connection-refused`.
    pub kind: String,
    /// How many.
    pub count: usize,
    /// The detail of the first one.
    pub example: String,
}
