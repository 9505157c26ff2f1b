//! What a history is, and how to read and write one.
//!
//! A *history* is the sequence of events that the clients of a store recorded: invocations and their completions.
//! This crate knows nothing of consistency models, databases or test runs, and no other crate of the workspace.
//! Readers take bytes, writers take `Write`; one module opens files ([`mod@file`]).
//!
//! Start reading at [`history`]: the columns in memory. [`value`] is what an op carries. [`mod@read`] reads every [`mod@format`],
//! [`write`](mod@write) writes those that are written, [`jsonl`] appends to our own while a test runs. [`keyed`] splits a
//! history by its keys, [`lint`](mod@lint) says what is wrong with it. Of the private modules, `pieces` reads an input of any size
//! in parallel, `sequence` one whose parts mean nothing by themselves, and `edn` and `json` are the two grammars that do most of
//! the work. `testing` says what must hold of any input; property tests and the fuzz targets in `fuzz/` run it.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod decompress;
mod draft;
mod edn;
pub mod error;
pub mod file;
pub mod format;
mod formats;
pub mod generate;
pub mod history;
mod identity;
mod json;
pub mod jsonl;
pub mod keyed;
pub mod lint;
pub mod names;
mod notation;
mod number;
mod pieces;
pub mod read;
mod sequence;
mod sink;
pub mod stat;
#[cfg(any(test, feature = "fuzzing"))]
pub mod testing;
mod text;
mod tree;
pub mod value;
pub mod write;

pub use error::{ReadError, ReadErrorKind};
pub use file::read_path;
pub use format::Format;
pub use history::{Builder, Event, History, Kind, Misuse, MisuseKind, Op, OpId, Outcome, Process, Row};
pub use jsonl::{Actor, EventWriter, Record};
pub use keyed::{KeyOps, Keys};
pub use read::{read, read_bytes, read_value};
pub use value::{Value, ValueId, Values, View};
pub use write::write;

#[cfg(test)]
#[path = "../../tests/size.rs"]
mod test_size;
