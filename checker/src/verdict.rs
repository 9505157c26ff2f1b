//! What the checker says. `Valid` carries a witness, `Invalid` a counter-example, `Unknown` its reason.
//!
//! Everything here is data: ops are named by [`OpId`] of the history that was checked, so that a report can look up their
//! process, node, times and values.

use crate::Consistency;
use crate::text::many;
use crate::transactions::anomaly::Anomaly;
use histories::{OpId, ValueId};
use serde::Serialize;

/// The verdict on one history under one consistency model.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The consistency model: `linearizable`, `causal`, ... ([`crate::Consistency::name`]).
    pub consistency: &'static str,
    /// The object's sequential model: `cas-register`, ...
    pub model: String,
    /// Whether the history was split by key, and whether that was guessed.
    pub keyed: bool,
    /// All keys together: the worst of them (`valid < unknown < invalid`).
    pub answer: Summary,
    /// The reason of an `Unknown` that concerns the whole history, not one key (no op at all, misuse of a process, ...).
    pub reason: Option<Reason>,
    /// One entry per key, in order of first appearance; a single one with `key: None` where there are no keys.
    pub keys: Vec<KeyVerdict>,
    /// What was assumed and not checked, in sentences for the user: guesses, dropped ops, defaults taken from the format.
    pub notes: Vec<String>,
}

/// An answer without its proof. Ordered by gravity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Summary {
    /// The promise was kept.
    Valid,
    /// Undecided.
    Unknown,
    /// The promise was broken.
    Invalid,
}

impl Summary {
    /// `valid`, `unknown`, `invalid`.
    pub fn name(self) -> &'static str {
        match self {
            Summary::Valid => "valid",
            Summary::Unknown => "unknown",
            Summary::Invalid => "invalid",
        }
    }
}

/// The verdict on one key.
#[derive(Clone, Debug)]
pub struct KeyVerdict {
    /// The key, or `None` for a history of a single object.
    pub key: Option<ValueId>,
    /// Client ops on this key, failed ones included.
    pub ops: usize,
    /// The answer with its proof.
    pub answer: Answer,
    /// Which procedure decided it: `search`, `zones`, ...
    pub algorithm: &'static str,
    /// Configurations visited.
    pub steps: u64,
    /// Of an `Unknown` by a limit: the smallest part that is known to hold what is undecided.
    pub undecided: Option<Undecided>,
}

/// A part of a key's ops: all ops that returned before it have an order, and between its ends the search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The ops of known outcome in it.
    pub ops: usize,
    /// The one of these that was invoked first.
    pub first: OpId,
    /// The one that completed last. Just before the first and just after the last none of known outcome is in flight, and at no
    /// moment between.
    pub last: OpId,
    /// Where the search ended; `None` if it had ordered nothing: then the part is the whole key.
    pub stopped: Option<Stopped>,
}

/// Where a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The op up to whose completion no order had been found yet.
    pub at: OpId,
    /// The ops of known outcome in flight when it completed, itself included.
    pub in_flight: usize,
    /// The ops of unknown outcome that had been invoked by then.
    pub unknown: usize,
}

impl Undecided {
    /// In words that can follow `Key 3: ` or stand alone, with a full stop.
    pub fn words(&self) -> Vec<Words> {
        let text = |text: String| Words::Text(text);
        let Some(stopped) = self.stopped else {
            return vec![text(format!("no part of its {} was decided.", many(self.ops, "operation")))];
        };
        let unknown = match stopped.unknown {
            0 => String::new(),
            unknown => format!(", {unknown} of unknown outcome having been invoked"),
        };
        vec![
            text("all that completed before ".into()),
            Words::Invoked(self.first),
            text(format!(" has an order; undecided: {} up to ", many(self.ops, "operation"))),
            Words::Completed(self.last),
            text(format!(". The search ended before it explained how {} in flight let ", many(stopped.in_flight, "operation"))),
            Words::Op(stopped.at),
            text(" complete at ".into()),
            Words::Completed(stopped.at),
            text(format!("{unknown}.")),
        ]
    }
}

/// An answer and its proof.
#[derive(Clone, Debug)]
pub enum Answer {
    /// One order explains everything.
    Valid(Witness),
    /// No order does, and this is why.
    Invalid(Box<Counterexample>),
    /// Undecided, and this is why.
    Unknown(Reason),
}

impl Answer {
    /// The answer without its proof.
    pub fn summary(&self) -> Summary {
        match self {
            Answer::Valid(_) => Summary::Valid,
            Answer::Unknown(_) => Summary::Unknown,
            Answer::Invalid(_) => Summary::Invalid,
        }
    }
}

/// An order in which the ops can have taken effect. Ops of unknown outcome that are not in it never took effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// The ops in their order. Of models in which each process may have an order of its own it is empty; of `causal` it keeps
    /// the causal order, and of `causal-convergence` it is the one order of all writes too.
    pub order: Vec<OpId>,
    /// For each session that reads, the order that it may have seen, where the model lets them differ.
    pub views: Vec<SessionView>,
}

/// An order that one session may have seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionView {
    /// All writes and the session's own ops, in a legal order. Reads of other sessions may stand in it and mean nothing there.
    pub order: Vec<OpId>,
    /// The first op of the session.
    pub first: Option<OpId>,
}

/// The kinds of contradiction to a model weaker than linearizable. Those of causal models are the bad patterns of Bouajjani,
/// Enea, Guerraoui and Hamza 2017, by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Pattern {
    /// A read of a value that nobody wrote.
    ThinAirRead,
    /// A read of a value that its own transaction replaced before it ended.
    IntermediateRead,
    /// A transaction does not read what it wrote itself, or reads what it writes only later.
    OwnWriteMissed,
    /// A transaction reads two values of one key.
    TwoValuesRead,
    /// The causal order is cyclic.
    #[serde(rename = "CyclicCO")]
    CyclicCo,
    /// A read of the initial value although a write of the key is causally before it.
    #[serde(rename = "WriteCOInitRead")]
    WriteCoInitRead,
    /// A read of a write although another one lies causally between them.
    #[serde(rename = "WriteCORead")]
    WriteCoRead,
    /// A transaction reads several writes that no order explains together.
    CyclicReads,
    /// The causal order and the conflicts between writes make a cycle.
    #[serde(rename = "CyclicCF")]
    CyclicCf,
    /// A read of the initial value although a write of the key must come before it in the view of its process.
    #[serde(rename = "WriteHBInitRead")]
    WriteHbInitRead,
    /// What must come before what in the view of one process makes a cycle.
    #[serde(rename = "CyclicHB")]
    CyclicHb,
    /// The same, of PRAM and the session guarantees.
    CyclicView,
    /// What would have to come before what in the one order of all processes is cyclic.
    #[serde(rename = "CyclicSC")]
    CyclicSc,
    /// Two final reads are not the same.
    FinalReadsDiffer,
    /// What was acknowledged is not there in the end.
    Lost,
    /// What was removed, by one that had seen it, is there in the end.
    NotRemoved,
    /// What was put there once is there twice.
    Duplicate,
    /// A counter's end is no sum of what was done to it.
    WrongSum,
    /// Of transactions, by the name of the anomaly.
    #[serde(untagged)]
    Anomaly(Anomaly),
}

impl Pattern {
    /// The name in the literature.
    pub fn name(self) -> &'static str {
        match self {
            Pattern::ThinAirRead => "ThinAirRead",
            Pattern::IntermediateRead => "IntermediateRead",
            Pattern::OwnWriteMissed => "OwnWriteMissed",
            Pattern::TwoValuesRead => "TwoValuesRead",
            Pattern::CyclicCo => "CyclicCO",
            Pattern::WriteCoInitRead => "WriteCOInitRead",
            Pattern::WriteCoRead => "WriteCORead",
            Pattern::CyclicReads => "CyclicReads",
            Pattern::CyclicCf => "CyclicCF",
            Pattern::WriteHbInitRead => "WriteHBInitRead",
            Pattern::CyclicHb => "CyclicHB",
            Pattern::CyclicView => "CyclicView",
            Pattern::CyclicSc => "CyclicSC",
            Pattern::FinalReadsDiffer => "FinalReadsDiffer",
            Pattern::Lost => "Lost",
            Pattern::NotRemoved => "NotRemoved",
            Pattern::Duplicate => "Duplicate",
            Pattern::WrongSum => "WrongSum",
            Pattern::Anomaly(anomaly) => anomaly.name(),
        }
    }
}

/// An op that must come before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The first.
    pub from: OpId,
    /// The second.
    pub to: OpId,
    /// Why.
    pub kind: EdgeKind,
    /// The read that is the reason, where it is neither of them.
    pub reader: Option<OpId>,
}

/// Why an op must come before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EdgeKind {
    /// Both are of one session, in this order.
    SessionOrder,
    /// The second read what the first wrote.
    ReadsFrom,
    /// A read of their session saw the first before the second.
    Saw,
    /// Both write a key of which the reader read the second's value, and the first comes before the reader.
    Forced,
    /// The first read a value of a key that the second replaced.
    Replaced,
    /// The first read the initial value of a key that the second writes.
    InitialRead,
    /// The second wrote a version of a key that follows one of the first.
    VersionOrder,
    /// The first had completed before the second was invoked.
    RealTime,
}

/// Why no order exists: a minimal contradiction, and how far an order gets.
#[derive(Clone, Debug, Default)]
pub struct Counterexample {
    /// The few ops that show it, in order of invocation: the `needed` ones, and the writes of the values that they saw.
    pub core: Vec<OpId>,
    /// The ops of the core that cannot be put in any order, **even if every other write takes effect as often as `others`
    /// says, or never, at any moments between its invocation and its completion, and every other read is ignored**. Leave
    /// out any one of them in this sense, and the rest can be ordered.
    pub needed: Vec<OpId>,
    /// How often the writes that are not needed may take effect.
    pub others: Others,
    /// Whether the second statement was verified (the first always was). False only where that would have taken too long.
    pub minimal: bool,
    /// The op of the core that cannot be placed: drawn in red, subject of the sentence.
    pub stuck: Option<OpId>,
    /// The verdict in one sentence without times and nodes of its own: see [`Step`] for how ops are named in text.
    pub sentence: Vec<Words>,
    /// Step by step, why. Empty where the contradiction is not a chain of this kind.
    pub steps: Vec<Step>,
    /// The longest prefix of the history that can be ordered, as an order.
    pub prefix: Vec<OpId>,
    /// The op whose completion ends that prefix: nothing can follow that explains it.
    pub blocked: Option<OpId>,
    /// The states the object may be in at the end of that prefix, described by the model, at most 100.
    pub states: Vec<String>,
    /// For the strip under the picture: from this event on, these states were possible (at most 8, then `more`). Covers the
    /// core's span of time only; the last entry has none.
    pub possible: Vec<Possible>,
    /// What kind of contradiction it is, of models weaker than linearizable.
    pub pattern: Option<Pattern>,
    /// The cycle: what would have to come before what, the end of each edge being the beginning of the next. Of models weaker
    /// than linearizable, and empty where one op alone is impossible.
    pub cycle: Vec<Edge>,
}

/// How often the writes outside a contradiction may take effect without resolving it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Others {
    /// As often as they like: the contradiction is complete in itself.
    #[default]
    AnyNumber,
    /// Once each, or never: there are too few of them.
    AtMostOnce,
    /// Once each, or never, and all ops on values that no needed op concerns are left out: what happens to one value of a
    /// collection does not depend on which others there are.
    SameValues,
    /// As their outcomes say: once, never, or perhaps. The contradiction is to all of them together.
    AsRecorded,
}

/// The states that were possible from one event on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Possible {
    /// The event (index into the history).
    pub event: u32,
    /// The states, described by the model.
    pub states: Vec<String>,
    /// How many more there were.
    pub more: usize,
}

/// One step of an explanation: a sentence, a smaller line on why it follows, and the arrow it draws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The sentence.
    pub words: Vec<Words>,
    /// Why it follows, smaller.
    pub because: Vec<Words>,
    /// The arrow's start.
    pub from: OpId,
    /// The arrow's end.
    pub to: OpId,
    /// What the arrow means.
    pub kind: StepKind,
}

/// What an arrow of an explanation means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// `from` had completed before `to` was invoked.
    RealTime,
    /// `to` saw the value that `from` stored.
    Value,
    /// `from` would have to come before `to`, against the other steps.
    Contradiction,
}

/// Text with references, so that the terminal and the page can each write ops and times in their own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// Plain text.
    Text(String),
    /// The op in short: `w 66`, `r→66`, drawn as a chip.
    Op(OpId),
    /// The op's process and node: `process 34 on n5`.
    Who(OpId),
    /// The time of the op's invocation.
    Invoked(OpId),
    /// The time of the op's completion.
    Completed(OpId),
    /// A value or state, as the model writes it.
    Value(String),
}

/// Why nothing could be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The time limit was reached.
    Time {
        /// Ops ordered when it was.
        ops_ordered: usize,
        /// Configurations open at that moment.
        states: usize,
    },
    /// The memory limit was reached.
    Memory {
        /// Ops ordered when it was.
        ops_ordered: usize,
        /// Configurations open at that moment.
        states: usize,
    },
    /// The limit of steps was reached.
    Steps {
        /// Ops ordered when it was.
        ops_ordered: usize,
        /// Configurations open at that moment.
        states: usize,
    },
    /// A person stopped the check.
    Interrupted,
    /// Another key is invalid, and this one was not decided with as many steps as each key got by then.
    OtherKey,
    /// The history itself makes any answer meaningless, and this is how: a sentence.
    History(String),
    /// The proof of the answer could not be re-checked within the budget: the answer is withheld.
    Uncertified(String),
}

impl Reason {
    /// The reason as a sentence that can follow `Key 3: `. `limit` is the limit that ended it, for people: `1.5 s`.
    pub fn in_words(&self, limit: Option<&str>) -> String {
        let limited = |what: &str, ops: usize, states: usize| {
            let limit = limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
            let (ops, states) = (many(ops, "operation"), many(states, "configuration"));
            format!("the search had ordered {ops} when it stopped at its {what}{limit}, with {states} open.")
        };
        match self {
            Reason::Time { ops_ordered, states } => limited("time limit", *ops_ordered, *states),
            Reason::Memory { ops_ordered, states } => limited("memory limit", *ops_ordered, *states),
            Reason::Steps { ops_ordered, states } => limited("limit of steps", *ops_ordered, *states),
            Reason::Interrupted => "the check was interrupted.".into(),
            Reason::OtherKey => "another key is invalid already, and this one is not easily decided; --all-keys decides it too.".into(),
            Reason::History(why) => why.clone(),
            Reason::Uncertified(why) => format!("an answer was found, but its proof could not be checked again: {why}"),
        }
    }
}

impl Verdict {
    /// Whether each key has a verdict of its own. Linearizability and convergence are local; the other models are not, and judge all
    /// keys together unless they are asked not to.
    pub fn is_per_key(&self) -> bool {
        let per_key = [Consistency::Linearizable, Consistency::SequentialPerKey, Consistency::Eventual];
        self.keyed && per_key.iter().any(|consistency| consistency.name() == self.consistency)
    }

    /// The worst of all keys, and of the whole.
    pub fn compose(reason: Option<&Reason>, keys: &[KeyVerdict]) -> Summary {
        let whole = if reason.is_some() { Summary::Unknown } else { Summary::Valid };
        keys.iter().map(|k| k.answer.summary()).max().unwrap_or(Summary::Valid).max(whole)
    }
}
