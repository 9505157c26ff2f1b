//! What is asked: generators and the model that must hold.
//!
//! # Adding a workload
//!
//! One file named after what is asked, and a line in the table [`WORKLOADS`]; [`crate::workloads::register`] is the example. It has
//! a struct of options with a `Default`, and a function that makes a [`Workload`] of them, the number of nodes and threads, and
//! the seed; a [`WorkloadKind`] calls it with the words of the command line.
//!
//! - `main` is built from the combinators of [`crate::generator`]; its randomness comes from [`crate::generator::stream`]s
//!   named after the workload, so that a seed repeats. Wrap it in [`crate::generator::rest`]: a node that is down refuses in
//!   microseconds.
//! - **Choose values that make violations visible**: unique ones, so that a read says which write it saw. A run with few
//!   distinct values finds only some of the violations in it.
//! - Keep histories cheap to check: many small objects ([`crate::generator::concurrent_keys`]) and not a big one, because
//!   every crashed op stays open for the rest of its object's history.
//! - `last` asks what must be known at the end (the final reads of a set, a queue's drain), on every node, until it is `ok`.
//! - `options` names the model, and settles what a history alone leaves open: the initial value, what a read of `nil` means.
//! - `must_succeed` names the functions without which a `valid` would mean nothing.
//!
//! What the functions mean to clients stands in the module's documentation: `f`, its argument, its result.

pub mod register;

use crate::generator::Generator;
use crate::systems::System;
use clap::{ArgMatches, Command};

/// The workloads that come with Rashomon, in the order in which help lists them.
pub const WORKLOADS: &[&dyn WorkloadKind] = &[&register::Kind];

/// A row of the table of workloads: what is known of it before it runs.
pub trait WorkloadKind: Sync {
    /// Its name on the command line, and in the names of runs: `register`.
    fn name(&self) -> &'static str;

    /// What it asks, in a line of help.
    fn about(&self) -> &'static str;

    /// The functions that a system must offer.
    fn needs(&self) -> &'static [&'static str];

    /// Adds its options to a command line.
    fn augment(&self, command: Command) -> Command;

    /// Makes it from its options.
    ///
    /// # Errors
    /// Options that make no sense, and why.
    fn make(&self, options: &ArgMatches, asked: &Asked<'_>) -> Result<Workload, String>;
}

/// Who is asked, and by how many.
pub struct Asked<'a> {
    /// The system, which offers what the workload [needs](WorkloadKind::needs).
    pub system: &'a dyn System,
    /// The number of its nodes.
    pub nodes: usize,
    /// The number of client threads.
    pub concurrency: u32,
    /// The seed of the run.
    pub seed: u64,
}

/// A workload, ready to run once.
pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    /// The ops of the main phase. Never `Done` by itself unless all is asked; the interpreter ends it at the time limit.
    pub main: Box<dyn Generator>,
    /// After faults are healed: the final reads, each until it is `ok` or the recovery time is over.
    pub last: Option<Box<dyn Generator>>,
    /// What to check the history against.
    pub options: checker::Options,
    /// The functions of which at least one must end `ok`, or the verdict is `unknown`.
    pub must_succeed: Vec<&'static str>,
    /// Its options in words for the report: `values: unique`.
    pub describe: Vec<(String, String)>,
}
