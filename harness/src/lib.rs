//! Runs tests, stores runs, renders reports; the command line.
//!
//! This crate alone knows the terminal, the store directory, the wall clock and Ctrl-C, and only it prints.
//!
//! Start reading at [`run`]: everything known of one run.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod analysis;
pub mod clean;
mod cli;
pub mod clock;
pub mod console;
pub mod coverage;
pub mod cut;
pub mod demo;
pub mod evidence;
pub mod exit;
pub mod faults;
pub mod findings;
pub mod guess;
mod initial;
pub mod interpreter;
pub mod interrupt;
pub mod judge;
pub mod keep;
pub mod ladder;
pub mod live;
pub mod log;
pub mod memory;
pub mod nemesis_thread;
pub mod progress;
pub mod recorder;
pub mod report;
pub mod results;
pub mod run;
pub mod store;
pub mod tally;
pub mod terminal;
pub mod test;
pub mod timeline;
pub mod words;

pub use cli::main;
pub use run::Run;
