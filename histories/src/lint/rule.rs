//! The rules: their names, how much they matter, what they usually come from, what to do.

use serde::{Serialize, Serializer};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is as it may be; a verdict proves less than one may think.
    Note,
    /// Probably a mistake of the harness or an anomaly of the store.
    Warning,
    /// No verdict on this history means anything.
    Error,
}

impl Severity {
    /// `error`, `warning`, `note`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// Makes the rules from one table, so that nothing of a rule is forgotten.
macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $id:literal, $severity:ident, [$($cause:literal),*], $advice:literal;)*) => {
        /// What is looked for. The order is the order in which findings of one severity are told.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[$doc])* $rule,)*
        }

        impl Rule {
            /// All of them.
            pub const ALL: &[Rule] = &[$(Rule::$rule),*];

            /// The stable name: `two-ops-at-once`.
            pub fn id(self) -> &'static str {
                match self { $(Rule::$rule => $id,)* }
            }

            /// How much it usually matters. A finding that rests on little may be milder.
            pub fn severity(self) -> Severity {
                match self { $(Rule::$rule => Severity::$severity,)* }
            }

            /// What it usually comes from, the most likely first.
            pub fn causes(self) -> &'static [&'static str] {
                match self { $(Rule::$rule => &[$($cause),*],)* }
            }

            /// What to do about it.
            pub fn advice(self) -> &'static str {
                match self { $(Rule::$rule => $advice,)* }
            }
        }
    };
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

rules! {
    /// A completion whose process has no op in flight.
    CompletionWithoutInvocation = "completion-without-invocation", Error, [
        "the recording began after the clients did",
        "the invocation was lost, or filtered out",
        "a completion was recorded twice",
        "two clients share one process number"
    ], "Record every invocation before it is sent, and start recording before the clients start.";
    /// An invocation of a process that has an op in flight.
    TwoOpsAtOnce = "two-ops-at-once", Error, [
        "two clients share one process number",
        "the completion was lost: an op of unknown outcome needs an info event",
        "an invocation was recorded twice"
    ], "Give every client thread a process number of its own, and record a completion for every op.";
    /// A completion that names another function than its invocation.
    CompletesAnotherFunction = "completes-another-function", Error, [
        "two clients share one process number, and their events are mixed",
        "the client fills in the function of the completion wrongly"
    ], "Give every client thread a process number of its own.";
    /// A completion that contradicts its invocation.
    AnswersSomethingElse = "answers-something-else", Error, [
        "the client mixes up the answers of several requests",
        "an op that did not succeed (a cas that answers false) is recorded as ok",
        "the client fills in the value of the completion wrongly"
    ], "Let a completion repeat the value of its invocation, with what was read filled in; and record as fail what did not succeed.";
    /// An invocation of a process whose last op ended `info`.
    GoesOnAfterInfo = "goes-on-after-info", Warning, [
        "the harness does not give the thread a new process number after an unknown outcome",
        "the client retries by itself after a timeout"
    ], "After an info, let the thread go on as process + concurrency. Until then the op counts as still in flight, which is sound for \
        linearizability, but the order within the process is lost.";
    /// No invocation at all.
    CompletionsOnly = "completions-only", Warning, [
        "the recorder writes an op when it is over, and not when it begins",
        "the invocations were filtered out"
    ], "Record invocations as well. Without them nobody knows which op was over before which began: linearizability and other \
        real-time properties cannot be judged.";
    /// No event at all.
    EmptyHistory = "empty-history", Warning, [
        "the run ended before the clients began",
        "the wrong file"
    ], "There is nothing to judge: a verdict on this file says nothing about the store.";
    /// The nemesis's events, and no others.
    OnlyNemesis = "only-nemesis", Warning, [
        "the clients never started, or were not recorded",
        "the file is the nemesis's log"
    ], "There is nothing to judge: a verdict on this file says nothing about the store.";
    /// No successful op of some function.
    NeverOk = "never-ok", Warning, [
        "the client calls the function wrongly, or takes every answer for an error",
        "the store was not reachable",
        "the condition that the op needs (a cas's expected value) never held"
    ], "Look at the errors of these ops. A verdict says nothing about a function that never succeeded.";
    /// Every op of some function is of unknown outcome.
    AlwaysInfo = "always-info", Warning, [
        "the client's timeout is shorter than the store's answers",
        "the client takes every answer for an unknown error",
        "the store was not reachable"
    ], "Look at the errors of these ops. Ops of unknown outcome may have happened or not: they contradict nothing, and make checking hard.";
    /// Many ops without a completion.
    ManyUnfinished = "many-unfinished", Warning, [
        "the file was cut off in the middle of the run",
        "completions of unknown outcome (timeouts, lost connections) are not recorded",
        "the client crashed, and its thread went on under a new process number"
    ], "Record an info for every op whose outcome is unknown, and let the run drain before it ends. An op without a completion counts \
        as of unknown outcome.";
    /// No two ops overlap.
    NoOverlap = "no-overlap", Note, [
        "there is one client only",
        "a lock, or one connection, lets one op through at a time",
        "the recorder writes invocation and completion together when the op is over"
    ], "Most anomalies need ops in flight at the same time: run more clients, and record an invocation when it is sent.";
    /// A completion's time is before its invocation's.
    EndsBeforeItBegins = "ends-before-it-begins", Warning, [
        "the clock was set back during the run (wall-clock time instead of a monotonic clock)",
        "invocation and completion were stamped on different machines",
        "two ops are mixed up"
    ], "Stamp both events with one monotonic clock. Verdicts rest on the order in the file, not on the times.";
    /// Ops that follow each other in the file, and in time the other way round.
    OrderAgainstTimes = "order-against-times", Warning, [
        "the file was put together from logs of several clients without sorting it by time",
        "the file was sorted by something else: by process, by key",
        "the clock was set back during the run"
    ], "The order in the file decides: bring the events into the order in which they happened (sort by time if one clock stamped them all).";
    /// Times that cannot be nanoseconds of one run.
    TimesInAnotherUnit = "times-in-another-unit", Warning, [
        "the times are seconds, milliseconds or microseconds, or positions, and not nanoseconds",
        "some times count from the start of the run and some from 1970",
        "the history is made up"
    ], "Record nanoseconds. Verdicts rest on the order in the file; but staleness, timelines and everything else that is told in seconds is \
        wrong by the same factor.";
    /// Times that run backwards without consequence.
    TimesRunBackwards = "times-run-backwards", Note, [
        "events are stamped before they are queued for writing, so that neighbours swap",
        "the clock was adjusted during the run"
    ], "Nothing need be done: the order in the file decides, and it contradicts no time of an op as a whole.";
    /// All values but a few look like `[key value]`.
    NearlyKeyed = "nearly-keyed", Warning, [
        "a few ops lack their key",
        "ops of two tests are in one file"
    ], "If every key is an object of its own, correct these ops or say --keyed yes; if values are whole, say --keyed no.";
    /// Ops without a key in a history of keys.
    WithoutKey = "without-key", Warning, [
        "the values are whole, and the history has no keys",
        "these ops lack their key"
    ], "Such ops belong to no key and are left out of every verdict: correct them, or say --keyed no.";
    /// A completion under another key than its invocation.
    AnswersUnderAnotherKey = "answers-under-another-key", Warning, [
        "the client mixes up the answers of several requests",
        "the values are pairs that are not keys and values"
    ], "Look at how the client matches answers with requests; if the history has no keys, say --keyed no.";
    /// A field that looks like a misspelt one.
    MisspeltField = "misspelt-field", Warning, [
        "a typing error in the recorder, or in a file written by hand"
    ], "Correct the name: the field is passed over as it stands, and its event counts as having none.";
    /// A value that was read and never written.
    ReadOfUnwrittenValue = "read-of-unwritten-value", Warning, [
        "the initial value is another one than nil, 0, false or empty",
        "the invocation of the write was lost, or the recording began in a store that held data",
        "keys are mixed up",
        "the value is written as one type and read as another (7 and \"7\")",
        "the store made it up: corruption"
    ], "If it is the initial value, say so with --initial. Otherwise look for its write in the store's own log.";
    /// A value that only failed ops wrote.
    ReadOfFailedWrite = "read-of-failed-write", Warning, [
        "the client calls an error a failure that leaves the outcome unknown: it must be info",
        "a read saw what was undone later (an aborted read)"
    ], "Let the client say fail only for what certainly did not happen, and info for every other error. If the error is definite, the \
        store broke its word.";
    /// Writes that failed in transactions that committed.
    FailedInTransaction = "failed-in-transaction", Note, [
        "the store refused single writes and committed what was left"
    ], "Nothing need be done: such a write did not happen, and is a failed op of its own.";
    /// Writes that failed in transactions that committed, and were read.
    FailedWriteWasRead = "failed-write-was-read", Warning, [
        "the client calls an error a failure that leaves the outcome unknown"
    ], "Such a write counts as done, in its transaction. If the error is definite, the store broke its word.";
    /// A value that was read before anybody asked to write it.
    ReadBeforeWritten = "read-before-written", Warning, [
        "events of several clients were merged, and their clocks differ",
        "the invocation was recorded after the request was sent",
        "the value was in the store before: values of an earlier run or another key"
    ], "Record an invocation before the request is sent, with one clock and one writer for all clients.";
    /// Nearly every write has a value of its own, a few have not.
    RepeatedWrite = "repeated-write", Warning, [
        "an op of unknown outcome was tried again with the same value",
        "two clients draw from the same sequence of values",
        "random values that happen to be equal"
    ], "Give every attempt a value of its own. With unique values a read tells which write it saw, and checking is fast and sharp.";
    /// Every successful read returned nil.
    ReadsReturnNothing = "reads-return-nothing", Warning, [
        "the client does not put the value it read into the completion",
        "the client looks in the wrong place: another key, table or field",
        "nothing that was written was stored"
    ], "Put what was read into the completion's value. A read of nil says nothing in most models, so that a verdict on this history is \
        worth nothing.";
    /// A write of nil.
    WriteWithoutValue = "write-without-value", Warning, [
        "the value is missing in the invocation, or its field is misspelt",
        "nil is written to delete"
    ], "Put what is written into the invocation's value.";
}
