//! Runs tests, stores runs, renders reports; the command line.
//!
//! This crate alone knows the terminal, the store directory, the wall clock and Ctrl-C, and only it prints.
//!
//! Start reading at [`run`]: everything known of one run.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod check;
mod cli;
pub mod cut;
pub mod demo;
pub mod findings;
pub mod render;
pub mod run;
pub mod runner;
pub mod store;
pub mod tables;
pub mod timeline;
pub mod ui;

pub use cli::{main, main_with};
// What a program of one's own needs beside this crate.
pub use run::Run;
pub use tables::Tables;
pub use {checker, histories, nemesis, workloads};
