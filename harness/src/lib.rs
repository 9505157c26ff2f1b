//! Runs tests, stores runs, renders reports; the command line.
//!
//! This crate alone knows the terminal, the store directory, the wall clock and Ctrl-C, and only it prints.
//!
//! Start reading at [`run`]: everything known of one run.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod report;
pub mod run;
pub mod words;

pub use run::Run;

/// The whole program. (The command line is not wired yet.)
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
