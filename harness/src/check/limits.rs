//! Judges a history within limits of time and memory: the one way to a verdict for `check`, `analyze` and `test`.

use crate::check::memory;
use crate::tables;
use checker::budget::Stop;
use checker::{Budget, Consistency, Options, Verdict};
use histories::History;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What a check may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Time, if limited.
    pub time: Option<Duration>,
    /// Memory of the searches in bytes; `None`: three quarters of what is available when the check starts.
    pub memory_bytes: Option<u64>,
}

/// A verdict and what it cost.
#[derive(Debug)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The time it took.
    pub took: Duration,
    /// The most that the searches held at once, in bytes, by their own count.
    pub search_bytes: u64,
}

/// How often the deadline, Ctrl-C and the progress line are looked at.
const TICK: Duration = Duration::from_millis(50);

/// Judges a history on all cores. Twenty times a second `stop` is asked whether a person wants an end, and `progress` is shown
/// the search's counters.
///
/// # Errors
/// A model that does not fit the history, as a sentence: see [`checker::check()`].
pub fn judge(
    history: &History,
    consistency: Consistency,
    options: &Options,
    limits: Limits,
    stop: impl Fn() -> bool + Sync,
    progress: impl Fn(&Budget, Duration) + Sync,
) -> Result<Judgement, String> {
    let done = limited(limits, None, stop, progress, |budget| tables::check(history, consistency, options, budget));
    Ok(Judgement { verdict: done.value?, took: done.took, search_bytes: done.search_bytes })
}

/// What a limited piece of work gave, and what it cost.
pub struct Done<T> {
    /// What it gave.
    pub value: T,
    /// The time it took.
    pub took: Duration,
    /// The most that it held at once, in bytes, by its own count.
    pub search_bytes: u64,
}

/// Does some work with a budget: see [`judge`]. `steps` limits each search of it.
pub fn limited<T>(
    limits: Limits,
    steps: Option<u64>,
    stop: impl Fn() -> bool + Sync,
    progress: impl Fn(&Budget, Duration) + Sync,
    work: impl FnOnce(&Budget) -> T,
) -> Done<T> {
    let mut budget = Budget::unlimited();
    budget.bytes = limits.memory_bytes.or_else(memory::default_limit_bytes);
    budget.steps = steps;
    let budget = Arc::new(budget);
    let start = Instant::now();
    let (done, ended) = channel::<()>();
    let value = std::thread::scope(|scope| {
        let (stop, progress, watched) = (&stop, &progress, Arc::clone(&budget));
        scope.spawn(move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                if limits.time.is_some_and(|limit| start.elapsed() >= limit) {
                    watched.stop(Stop::Deadline);
                }
                if stop() {
                    watched.stop(Stop::Interrupt);
                }
                progress(&watched, start.elapsed());
            }
        });
        let value = work(&budget);
        drop(done);
        value
    });
    Done { value, took: start.elapsed(), search_bytes: budget.peak_bytes() }
}
