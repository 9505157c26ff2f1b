//! Generators: what is asked when, by whom. Pure: context and seed in, op out.

use crate::client::{Completion, Invocation};

/// What a generator may know.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Nanoseconds since the start of the run.
    pub now: u64,
    /// The client threads that have no op in flight, in an order that rotates so that none starves.
    pub free: &'a [u32],
    /// The client threads this generator may use, ascending; free or not. All of them at the top; combinators that divide
    /// the threads (`reserve`, `each_thread`, keys) show the generators below them only their own.
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

/// What happened, for generators that learn from it (a cas compares with a value that was read).
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A thread invoked.
    Invoke(u32, &'a Invocation),
    /// A thread's op ended.
    Complete(u32, &'a Invocation, &'a Completion),
}

/// A generator of client ops. After [`Next::Op`] the op counts as taken: the interpreter will invoke it at once.
pub trait Generator: Send {
    /// The next op, if any, in this context.
    fn next(&mut self, context: &Context<'_>) -> Next;

    /// Hears of every event, its own and those of others.
    fn update(&mut self, context: &Context<'_>, event: &Event<'_>) {
        let _ = (context, event);
    }
}
