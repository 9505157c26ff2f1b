//! What to check, and the choices that change verdicts of real files.

use crate::switches::Rules;
use histories::Value;
use std::str::FromStr;

/// What to check a history against. `None` means: the default of the history's format (`Meta::format`), which the verdict's
/// notes then name.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The model's name, one of [`crate::MODELS`].
    pub model: String,
    /// Whether values are `[key value]` pairs. `None`: what the file says, else a guess, which is reported.
    pub keyed: Option<bool>,
    /// The initial value of registers and counters; for a multi-register also a map, for a bank a map.
    pub initial: Option<Value>,
    /// What an `ok` read of `nil` means. A choice that the model would not heed is refused.
    pub nil_read: Option<NilRead>,
    /// What a failed cas means. Models of reads and writes cannot judge one that is asserted: of these nothing is then `valid`.
    pub failed_cas: Option<FailedCas>,
    /// The permits of a semaphore.
    pub permits: Option<u32>,
    /// Whether all keys are decided where one is invalid already. Otherwise the others get only as many steps as each had by then.
    pub all_keys: bool,
    /// Switches for tests and benchmarks; no answer depends on them.
    pub rules: Rules,
    /// Which procedure decides. What it does not cover is then unknown.
    pub algorithm: Algorithm,
}

impl Options {
    /// Refuses what the model would not heed: a choice that changes nothing reads like one that was made.
    ///
    /// # Errors
    /// A sentence that says which option does not fit the model.
    pub(crate) fn fit(&self) -> Result<(), String> {
        let heeds_nil = match self.model.as_str() {
            // Of a number, and of balances, nil is no reading.
            "counter" | "g-counter" | "pn-counter" | "bank" => self.nil_read != Some(NilRead::Missing),
            // What was never put, or was deleted, has no revision.
            "etcd-kv" => self.nil_read != Some(NilRead::Wildcard),
            "mutex" | "fifo-queue" | "unordered-queue" | "stack" | "deque" | "priority-queue" | "max-priority-queue"
            | "reentrant-mutex" | "semaphore" | "fencing-lock" | "id-generator" => self.nil_read.is_none(),
            // Registers, sets and lists heed both. That there is no such model is said elsewhere.
            _ => true,
        };
        if !heeds_nil {
            let choice = if self.nil_read == Some(NilRead::Missing) { "missing" } else { "wildcard" };
            return Err(format!("--nil-read {choice} does not fit the model {}: leave it out", self.model));
        }
        // A register has no cas that could fail.
        let heeds_failures = matches!(self.model.as_str(), "" | "register" | "cas-register");
        let is_known = crate::MODELS.iter().any(|model| model.0 == self.model);
        if self.failed_cas == Some(FailedCas::Assert) && is_known && !heeds_failures {
            return Err(format!("--failed-cas assert is for the model cas-register, not {}: leave it out", self.model));
        }
        Ok(())
    }
}

impl From<&str> for Options {
    /// The model of this name, and the defaults.
    fn from(model: &str) -> Options {
        Options { model: model.into(), ..Options::default() }
    }
}

/// What an `ok` read of `nil` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NilRead {
    /// Nothing: the result is unknown (Knossos, Jepsen).
    Wildcard,
    /// The key holds nothing (Porcupine).
    Missing,
}

/// What a failed cas means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedCas {
    /// Nothing: it did not happen (Knossos, Jepsen).
    Drop,
    /// At some moment between its events the register did not hold the expected value (Porcupine).
    Assert,
}

/// Which procedure decides whether a key is linearizable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// Those that fit the model, one after the other, until one has an answer; the search last.
    #[default]
    Auto,
    /// The search, which covers everything.
    Search,
    /// Registers, by what is read from which write.
    Zones,
    /// Queues of unique values.
    QueueOrder,
    /// Stacks of unique values.
    StackNesting,
    /// Priority queues of unique values.
    PriorityOrder,
    /// Unordered queues of unique values.
    BagMoments,
    /// Sets that only grow and are read as a whole.
    NestedReads,
    /// Sets of which single elements are asked.
    SetElements,
    /// Lists that only grow.
    ReadOrder,
    /// Generators of ids.
    DistinctIds,
    /// Mutexes and semaphores.
    PermitCounts,
    /// Reentrant mutexes.
    HoldIntervals,
    /// Fencing locks.
    TokenOrder,
    /// Counters.
    CounterSums,
    /// Keys whose changes are numbered.
    RevisionOrder,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 16] = [
        Algorithm::Auto,
        Algorithm::Search,
        Algorithm::Zones,
        Algorithm::QueueOrder,
        Algorithm::StackNesting,
        Algorithm::PriorityOrder,
        Algorithm::BagMoments,
        Algorithm::NestedReads,
        Algorithm::SetElements,
        Algorithm::ReadOrder,
        Algorithm::DistinctIds,
        Algorithm::PermitCounts,
        Algorithm::HoldIntervals,
        Algorithm::TokenOrder,
        Algorithm::CounterSums,
        Algorithm::RevisionOrder,
    ];

    /// The name, as verdicts tell it. On the command line hyphens may stand for the spaces.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Auto => "auto",
            Algorithm::Search => "search",
            Algorithm::Zones => "zones",
            Algorithm::QueueOrder => "queue order",
            Algorithm::StackNesting => "stack nesting",
            Algorithm::PriorityOrder => "priority order",
            Algorithm::BagMoments => "bag moments",
            Algorithm::NestedReads => "nested reads",
            Algorithm::SetElements => "set elements",
            Algorithm::ReadOrder => "read order",
            Algorithm::DistinctIds => "distinct ids",
            Algorithm::PermitCounts => "permit counts",
            Algorithm::HoldIntervals => "hold intervals",
            Algorithm::TokenOrder => "token order",
            Algorithm::CounterSums => "counter sums",
            Algorithm::RevisionOrder => "revision order",
        }
    }
}

impl Algorithm {
    /// The name on the command line.
    pub fn option(self) -> String {
        self.name().replace(' ', "-")
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(name: &str) -> Result<Algorithm, String> {
        let found = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name.replace('-', " "));
        let known = Algorithm::ALL.map(Algorithm::option);
        found.ok_or_else(|| histories::names::unknown("algorithm", name, known.iter().map(String::as_str)))
    }
}
