//! What is asked: generators and the model that must hold.

use crate::generator::Generator;

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
