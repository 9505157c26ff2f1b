//! What a history is, and how to read and write one.
//!
//! A *history* is the sequence of events that the clients of a store recorded: invocations and their completions.
//! This crate knows nothing of consistency models, databases or test runs, and no other crate of the workspace.
//! Readers take bytes, writers take `Write`; one module opens files.
//!
//! Start reading at [`history`]: the columns in memory. [`value`] is what an op carries.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod history;
pub mod keyed;
pub mod value;

pub use history::{Builder, Event, History, Kind, Misuse, MisuseKind, Op, OpId, Outcome, Process};
pub use keyed::{KeyOps, Keys};
pub use value::{Value, ValueId, Values, View};
