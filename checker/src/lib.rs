//! Pure decision procedures: does a recorded history keep the promise of a consistency model?
//!
//! This crate knows histories and nothing else: no file, network, clock, environment or randomness. The same input gives the
//! same output, byte for byte, whatever the thread count (only [`Check`] may look at a clock, for a limit of time). It cannot fail: what it cannot decide is [`Answer::Unknown`] with
//! the reason. Every answer that leaves it has been re-checked by `certify`, which shares no code with the searches.
//!
//! Start reading at [`verdict`] (what is said) and [`model`] (what an object promises). To gate an object of your own program in
//! its tests, begin with [`recorder`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod causal;
mod certify;
mod check;
mod consistency;
mod convergence;
mod decode;
mod explain;
mod interner;
mod limited;
mod linear;
mod locality;
mod minimize;
mod own;
mod sequential;
#[cfg(test)]
#[path = "../../tests/size.rs"]
mod test_size;
#[cfg(any(test, feature = "fuzzing"))]
pub mod testing;
mod transactions;

pub mod budget;
pub mod describe;
pub mod ladder;
pub mod model;
pub mod options;
pub mod recorder;
pub mod staleness;
pub mod switches;
pub mod text;
pub mod verdict;

pub use budget::Budget;
pub use consistency::Consistency;
pub use histories;
pub use limited::{Check, CheckError};
pub use model::Model;
pub use options::{Algorithm, FailedCas, NilRead, Options};
pub use own::{ModelKind, Own};
pub use switches::{Rule, Rules};
pub use transactions::anomaly::{Anomaly, Cycle, Shape};
pub use transactions::isolation::{Isolation, Keeps};
pub use verdict::{Answer, Counterexample, KeyVerdict, Reason, Verdict, Witness};

/// The models that [`check_linearizable`] knows, with a sentence each. The replicated ones are for [`Consistency::Eventual`]; whether they
/// are linearizable is asked of the same object used by one client at a time.
pub const MODELS: &[(&str, &str)] = &[
    ("register", "read, write"),
    ("cas-register", "read, write, cas [old new]"),
    ("kv", "get, put, append, delete, cas [old new] on string values; one key, or many"),
    ("mutex", "acquire, release"),
    ("counter", "add of a number, inc, dec, read"),
    ("set", "add, remove, contains, read of the whole"),
    ("g-counter", "a replicated counter that only grows: add, inc, read"),
    ("pn-counter", "a replicated counter: add, inc, dec, read"),
    ("g-set", "a replicated set that only grows: add, contains, read of the whole"),
    ("2p-set", "a replicated set whose removals are final: add, remove, contains, read of the whole"),
    ("or-set", "a replicated set whose removals remove what they have seen: add, remove, contains, read of the whole"),
    ("list-append", "append, read of the whole"),
    ("fifo-queue", "enqueue, dequeue (nil: it was empty), peek"),
    ("unordered-queue", "enqueue, dequeue of any value"),
    ("stack", "push, pop (nil: it was empty), peek"),
    ("deque", "push-front, push-back, pop-front, pop-back (nil: it was empty), peek-front, peek-back"),
    ("priority-queue", "insert of an integer, delete-min, peek"),
    ("max-priority-queue", "insert of an integer, delete-max, peek"),
    ("reentrant-mutex", "acquire, release, by one process as often as it likes"),
    ("semaphore", "acquire, release of permits"),
    ("fencing-lock", "acquire that returns a growing token, release"),
    ("id-generator", "generate that returns a new id"),
    ("multi-register", "txn [[:r x 1] [:w y 2] [:append z 3]]"),
    ("etcd-kv", "get, put, delete, cas [old new], with [value revision] as results"),
    ("bank", "transfer {:from a :to b :amount n}, read of all balances"),
];

/// Decides whether a history is linearizable (Herlihy and Wing 1990), key by key, on all threads of the current rayon pool.
///
/// # Errors
/// An unknown model, or ops that the model cannot read: a sentence that names the op's line, event and value, and what to do.
pub fn check_linearizable(history: &histories::History, options: &Options, budget: &Budget) -> Result<Verdict, String> {
    options.fit()?;
    check::check_linearizable(history, options, budget)
}

/// Decides whether a history keeps a consistency model. Sequential consistency takes any model and any values; see
/// [`check_sequential_with`]. Of models weaker than that it takes reads and writes of any
/// number of keys, cas, and transactions of them (`register`, `cas-register`, `kv`, `multi-register`, or no name), and needs every value to be written once per key: where it is not, and the
/// value was read, the answer may be unknown. Time is linear in ops times sessions but in rare cases.
///
/// # Errors
/// As [`check_linearizable`].
pub fn check(history: &histories::History, consistency: Consistency, options: &Options, budget: &Budget) -> Result<Verdict, String> {
    options.fit()?;
    match consistency {
        Consistency::Linearizable => check::check_linearizable(history, options, budget),
        Consistency::Sequential => sequential::check(history, options, false, budget),
        Consistency::SequentialPerKey => sequential::check(history, options, true, budget),
        Consistency::Eventual => convergence::check(history, options, budget),
        Consistency::Isolation(level) => transactions::check(history, level, options, budget),
        weaker => causal::check(history, weaker, options, budget),
    }
}

/// The same for a model of your own: see [`Model`], of which four methods are enough. Of the options only `keyed` matters.
///
/// # Errors
/// Ops that the model cannot read: a sentence that names the op's line, event and value.
pub fn check_linearizable_with<M: Model>(
    model: &M,
    history: &histories::History,
    options: &Options,
    budget: &Budget,
) -> Result<Verdict, String> {
    check::check(model, Vec::new(), history, options, budget)
}

/// Decides whether a history of your own model is sequentially consistent (Lamport 1979): whether there is one legal order of
/// all ops of all keys that keeps the order of each process. Of the options only `keyed` matters. Steps are exponential in the number
/// of processes at worst, and bounded by the budget.
///
/// # Errors
/// As [`check_linearizable_with`].
pub fn check_sequential_with<M: Model>(
    model: &M,
    history: &histories::History,
    options: &Options,
    budget: &Budget,
) -> Result<Verdict, String> {
    sequential::check_with(model, Vec::new(), history, options, false, budget)
}

/// The Rust blocks of the project's pages are compiled and run.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../harness/doc/ci.md")]
    struct Ci;
    #[doc = include_str!("../../harness/doc/models.md")]
    struct Models;
}
