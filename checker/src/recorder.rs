//! Recording what the threads of a program do to an object, to gate it in the program's own tests.
//!
//! ```
//! use rashomon_checker::recorder::{Recorder, assert_linearizable};
//! use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
//!
//! let register = AtomicI64::new(0);
//! let recorder = Recorder::new();
//! std::thread::scope(|scope| {
//!     for thread in 0..4 {
//!         let (register, mut client) = (&register, recorder.client());
//!         scope.spawn(move || {
//!             for i in 0..100 {
//!                 let value = thread * 100 + i;
//!                 let op = client.invoke("write", value);
//!                 register.store(value, SeqCst);
//!                 op.ok(value);
//!                 let op = client.invoke("read", None::<i64>);
//!                 op.ok(register.load(SeqCst));
//!             }
//!         });
//!     }
//! });
//! assert_linearizable("register", &recorder.history());
//! ```
//!
//! What is recorded is the order in which invocations and completions were noted. An invocation is noted before the op begins and
//! a completion after it has ended, and noting one synchronizes with noting the next, so an op that the history says was over
//! before another began really was: what it did had happened before. A clock is not needed. To note something costs one shared
//! counter and a lock that nobody else holds, so threads still meet each other in the object rather than in the recorder.

use crate::options::Options;
use crate::{Answer, Budget, Verdict, describe};
use histories::history::NO_TIME;
use histories::{Builder, Event, History, Kind, Outcome, Value};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Records the ops of many threads as one history. Cheap to clone; all clones record into the same history.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The number of the next event: the order of the history.
    events: AtomicU64,
    /// The number of the next process.
    processes: AtomicU64,
    /// One log per client, so that clients do not wait for each other.
    logs: Mutex<Vec<Arc<Log>>>,
}

type Log = Mutex<Vec<Noted>>;

#[derive(Clone, Debug)]
struct Noted {
    number: u64,
    process: u64,
    kind: Kind,
    f: Arc<str>,
    value: Value,
}

/// A lock whose holder panicked guards a log that is whole all the same: it is only ever pushed to.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Nothing is recorded yet.
    pub fn new() -> Recorder {
        Recorder::default()
    }

    /// A client that does one op at a time: make one for each thread or task.
    pub fn client(&self) -> Client {
        let log = Arc::<Log>::default();
        lock(&self.shared.logs).push(Arc::clone(&log));
        let process = self.shared.processes.fetch_add(1, Ordering::Relaxed);
        Client { shared: Arc::clone(&self.shared), log, process }
    }

    /// What was recorded until now: ops that have not ended are of unknown outcome. May be asked while clients go on.
    pub fn history(&self) -> History {
        // A number is drawn with the client's log locked. So whatever has a smaller number than this one is in its log by the time
        // that log can be locked here, and the history is one that a clock would have seen.
        let end = self.shared.events.fetch_add(1, Ordering::SeqCst);
        let logs: Vec<Arc<Log>> = lock(&self.shared.logs).clone();
        let mut all: Vec<Noted> = logs.iter().flat_map(|log| lock(log).clone()).filter(|noted| noted.number < end).collect();
        all.sort_unstable_by_key(|noted| noted.number);
        let mut history = Builder::new();
        for Noted { process, kind, f, value, .. } in all {
            let process = history.values().int(process as i64);
            let value = history.values().insert(&value);
            let f = history.name(&f);
            history.push(Event { process, kind, f, value, time: NO_TIME, line: 0 });
        }
        history.finish()
    }
}

/// One process of the history: it does one op at a time.
#[derive(Debug)]
pub struct Client {
    shared: Arc<Shared>,
    log: Arc<Log>,
    process: u64,
}

impl Client {
    /// Notes that an op is about to begin: call it right before. `f` and `value` are in the words of the model (`"write", 7`); for
    /// independent keys the value is a [pair](Value::pair) of key and value.
    pub fn invoke(&mut self, f: &str, value: impl Into<Value>) -> Pending<'_> {
        let (f, value) = (Arc::<str>::from(f), value.into());
        self.note(Kind::Invoke, &f, value.clone());
        Pending { client: self, f, value, open: true }
    }

    fn note(&self, kind: Kind, f: &Arc<str>, value: Value) {
        let mut log = lock(&self.log);
        // Drawn with the log locked: see `Recorder::history`.
        let number = self.shared.events.fetch_add(1, Ordering::SeqCst);
        log.push(Noted { number, process: self.process, kind, f: Arc::clone(f), value });
    }
}

/// An op that has begun. Dropped without a word it is of unknown outcome, like [`Pending::info`]: so is an op that panics.
#[derive(Debug)]
#[must_use = "say how the op ended: ok, fail or info"]
pub struct Pending<'a> {
    client: &'a mut Client,
    f: Arc<str>,
    value: Value,
    open: bool,
}

impl Pending<'_> {
    /// The op has happened, with this result: for a write, what was written. Call it right after.
    pub fn ok(mut self, value: impl Into<Value>) {
        self.open = false;
        self.client.note(Kind::Ok, &self.f, value.into());
    }

    /// The op has **not** happened, and never will: a cas that found another value.
    pub fn fail(mut self) {
        self.open = false;
        self.client.note(Kind::Fail, &self.f, self.value.clone());
    }

    /// Nobody knows whether the op has happened, or still will: a timeout. The client goes on as a new process.
    pub fn info(self) {}
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.open {
            self.client.note(Kind::Info, &self.f, self.value.clone());
            self.client.process = self.client.shared.processes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Bytes that the assertion's search may hold.
const ASSERT_BYTES: u64 = 2 << 30;

/// Panics unless a history is linearizable, with the contradiction in words. `what` is a model's name, like `"register"`, or
/// [`Options`].
///
/// An answer that is not found in 2 GiB of memory panics as well: it is no proof. Give each key its own object, or record fewer
/// ops at once.
///
/// # Panics
/// If the history is not linearizable, if that could not be decided, or if the model cannot read it.
#[track_caller]
pub fn assert_linearizable(what: impl Into<Options>, history: &History) {
    let mut budget = Budget::unlimited();
    budget.bytes = Some(ASSERT_BYTES);
    match crate::check_linearizable(history, &what.into(), &budget) {
        Ok(verdict) => verdict.assert_valid(history),
        Err(why) => panic!("the history cannot be judged: {why}"),
    }
}

impl Verdict {
    /// Panics unless the verdict is valid, with the contradiction in words, or why there is no verdict.
    ///
    /// # Panics
    /// See above.
    #[track_caller]
    pub fn assert_valid(&self, history: &History) {
        assert!(self.answer == crate::verdict::Summary::Valid, "{}", self.in_words(history));
    }

    /// The verdict as plain text: for the first key that is not valid, the contradiction step by step, or why there is no verdict.
    pub fn in_words(&self, history: &History) -> String {
        let what = format!("{} ({})", self.consistency, self.model);
        let mut text = match self.answer {
            crate::verdict::Summary::Valid => return format!("{what}: every answer is explained by one order"),
            crate::verdict::Summary::Invalid => format!("not {what}"),
            crate::verdict::Summary::Unknown => format!("not known whether {what}"),
        };
        if let Some(reason) = &self.reason {
            let _ = write!(text, ": {}", reason.in_words(None));
        }
        if let Some(key) = self.keys.iter().find(|key| key.answer.summary() == self.answer) {
            if let Some(id) = key.key {
                let _ = write!(text, ", key {}", history.values.display(id));
            }
            self.tell(history, &key.answer, &mut text);
        }
        text
    }

    fn tell(&self, history: &History, answer: &Answer, text: &mut String) {
        let proof = match answer {
            Answer::Valid(_) => return,
            Answer::Unknown(reason) => {
                let _ = write!(text, ": {}", reason.in_words(None));
                return;
            }
            Answer::Invalid(proof) => proof,
        };
        let names = describe::Names::new(history, self.keyed, &proof.core);
        let sentence = names.text(&proof.sentence);
        let _ = write!(text, ": {}", if sentence.is_empty() { "no order of its operations explains what was seen" } else { &sentence });
        for (i, step) in proof.steps.iter().enumerate() {
            let told = names.sentence(&step.words);
            let because = names.sentence(&step.because);
            let _ = write!(text, "\n  {}. {} {because}", i + 1, told);
        }
        text.push_str("\nthese operations cannot be put in any order:");
        for &id in &proof.core {
            let op = history.op(id);
            let until = if history.outcome(op) == Outcome::Info { "?".into() } else { op.complete.to_string() };
            let (label, who) = (names.label(id), describe::who(history, id));
            let _ = write!(text, "\n  {label} of {who}, events {} to {until}", op.invoke);
        }
    }
}
