//! Pure decision procedures: does a recorded history keep the promise of a consistency model?
//!
//! This crate knows histories and nothing else: no file, network, clock, environment or randomness. The same input gives the
//! same output, byte for byte, whatever the thread count. It cannot fail: what it cannot decide is [`Answer::Unknown`] with
//! the reason. Every answer that leaves it has been re-checked by `certify`, which shares no code with the searches.
//!
//! Start reading at [`verdict`] (what is said) and [`model`] (what an object promises). To gate an object of your own program in
//! its tests, begin with [`recorder`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod certify;
mod check;
mod explain;
mod linear;
mod shrink;

pub mod budget;
pub mod describe;
pub mod model;
pub mod options;
pub mod recorder;
pub mod verdict;

pub use budget::Budget;
pub use histories;
pub use model::Model;
pub use options::{FailedCas, NilRead, Options};
pub use verdict::{Answer, Counterexample, KeyVerdict, Reason, Verdict, Witness};

/// The models that [`check_linearizable`] knows, with a sentence each.
pub const MODELS: &[(&str, &str)] = &[
    ("register", "read, write"),
    ("cas-register", "read, write, cas [old new]"),
    ("kv", "get, put, append on string values; one key, or many"),
    ("mutex", "acquire, release"),
];

/// Decides whether a history is linearizable (Herlihy and Wing 1990), key by key, on all threads of the current rayon pool.
///
/// # Errors
/// An unknown model, or ops that the model cannot read: a sentence that names the op's line, event and value, and what to do.
pub fn check_linearizable(history: &histories::History, options: &Options, budget: &Budget) -> Result<Verdict, String> {
    check::check_linearizable(history, options, budget)
}

/// The Rust blocks of the project's README are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
