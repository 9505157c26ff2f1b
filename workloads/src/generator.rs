//! Generators: what is asked when, by whom. Pure: context and seed in, op out.
//!
//! A generator is a value with state. The interpreter shows it the time and the threads that are free, and it answers with
//! an op for one of them, with a wish to be asked again later, or that it has nothing more ever. It hears of everything that
//! happens, so that it can learn (a cas compares with a value that was read). It knows no clock, no cluster and no randomness
//! but [`stream`]s of the run's seed: [`simulate`] runs it with none of them, and that is how each one is tested.
//!
//! | to | use |
//! |---|---|
//! | ask | [`once`], [`repeat`], [`sequence`], [`cycle`], [`from_fn`] |
//! | bound how much | [`limit`], [`process_limit`], [`concurrency_limit`], [`until_ok`] |
//! | bound when | [`stagger`] (random gaps, a total rate), [`delay`] (equal gaps), [`sleep`], [`time_limit`], [`rest`] |
//! | put in order | [`then`], [`phases`], [`synchronize`] |
//! | choose | [`mix`], [`any`], [`flip_flop`] |
//! | divide the threads | [`each_thread`], [`reserve`], [`on_threads`] |
//! | change | [`map`], [`filter`] |
//! | independent keys | [`concurrent_keys`], [`sequential_keys`] |
//!
//! All of them are cheap: one call costs well under a microsecond, and none costs more as the run grows.

mod ask;
mod bound;
mod change;
mod choose;
mod keys;
mod order;
mod pace;
mod random;
mod simulation;
mod threads;

pub use ask::{Cycle, FromFn, Repeat, Sequence, cycle, from_fn, once, repeat, sequence};
pub use bound::{ConcurrencyLimit, Limit, ProcessLimit, UntilOk, concurrency_limit, limit, process_limit, until_ok};
pub use change::{Filter, Map, filter, map};
pub use choose::{Any, FlipFlop, Mix, any, flip_flop, mix};
pub use keys::{Keys, concurrent_keys, sequential_keys};
pub use order::{Chain, Synchronize, phases, synchronize, then};
pub use pace::{Delay, Rest, Sleep, Stagger, TimeLimit, delay, rest, sleep, stagger, time_limit};
pub use random::stream;
pub use simulation::{End, Simulation, Step, Trace, simulate};
pub use threads::{Divided, OnThreads, each_thread, on_threads, reserve};

use crate::client::{Completion, Invocation};

/// What a generator may know.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Nanoseconds since the start of the run.
    pub now: u64,
    /// The client threads that have no op in flight, in an order that rotates so that none starves.
    pub free: &'a [u32],
    /// The client threads this generator may use, ascending; free or not. All of them at the top; combinators that divide
    /// the threads ([`reserve`], [`each_thread`], [`concurrent_keys`]) show the generators below them only their own.
    pub threads: &'a [u32],
    /// The process that each thread runs now, by thread number (of all threads, not only those in [`Context::threads`]).
    pub processes: &'a [u64],
    /// The number of nodes; thread `i` talks to node `i mod nodes`.
    pub nodes: u32,
}

impl Context<'_> {
    /// The node that a thread talks to.
    pub fn node_of(&self, thread: u32) -> u32 {
        thread % self.nodes.max(1)
    }

    /// Whether no op of these threads is in flight.
    pub fn all_free(&self) -> bool {
        self.free.len() == self.threads.len()
    }
}

/// What a generator wants next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// This thread (one of the free ones) shall invoke this now.
    Op {
        /// The thread.
        thread: u32,
        /// What it asks.
        invocation: Invocation,
    },
    /// Nothing before this time (nanoseconds since the start), or before the next event, whichever comes first.
    Pending {
        /// The time, if one is known.
        until: Option<u64>,
    },
    /// Nothing, ever.
    Done,
}

impl Next {
    /// Nothing before the next event.
    pub const PENDING: Next = Next::Pending { until: None };
}

/// What happened, for generators that learn from it (a cas compares with a value that was read).
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A thread invoked.
    Invoke(u32, &'a Invocation),
    /// A thread's op ended.
    Complete(u32, &'a Invocation, &'a Completion),
}

impl Event<'_> {
    /// The thread it happened on.
    pub fn thread(&self) -> u32 {
        match self {
            Event::Invoke(thread, _) | Event::Complete(thread, ..) => *thread,
        }
    }
}

/// A generator of client ops. After [`Next::Op`] the op counts as taken: the interpreter will invoke it at once.
pub trait Generator: Send {
    /// The next op, if any, in this context. With no thread free it gives no op.
    fn next(&mut self, context: &Context<'_>) -> Next;

    /// Hears of every event at time `now`: of ops of its own, and of those that other generators gave.
    fn update(&mut self, now: u64, event: &Event<'_>) {
        let _ = (now, event);
    }
}

impl<G: Generator + ?Sized> Generator for Box<G> {
    fn next(&mut self, context: &Context<'_>) -> Next {
        (**self).next(context)
    }

    fn update(&mut self, now: u64, event: &Event<'_>) {
        (**self).update(now, event);
    }
}

/// The earlier of two times at which to ask again; `None` is "no time is known".
fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Which threads run an op that this generator gave. A thread has at most one op in flight, so its number names the op.
#[derive(Debug, Default)]
struct InFlight {
    by_thread: Vec<bool>,
    count: usize,
}

impl InFlight {
    fn insert(&mut self, thread: u32) {
        let thread = thread as usize;
        if thread >= self.by_thread.len() {
            self.by_thread.resize(thread + 1, false);
        }
        if !std::mem::replace(&mut self.by_thread[thread], true) {
            self.count += 1;
        }
    }

    /// Forgets the thread's op; whether there was one.
    fn remove(&mut self, thread: u32) -> bool {
        let mine = self.by_thread.get_mut(thread as usize).is_some_and(std::mem::take);
        self.count -= usize::from(mine);
        mine
    }
}
