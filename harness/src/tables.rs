//! The tables that a program is made of: which systems, workloads and models its command line knows.

use checker::{Budget, Consistency, ModelKind, Options, Verdict};
use clap::Command;
use clap::builder::PossibleValue;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use histories::History;
use std::ffi::OsString;
use std::sync::OnceLock;
use workloads::systems::SYSTEMS;
use workloads::workloads::WORKLOADS;
use workloads::{SystemKind, WorkloadKind};

/// What a program knows. A program of one's own adds rows of its own: see [`crate::main_with`].
#[derive(Clone, Copy)]
pub struct Tables {
    /// The systems that can be tested.
    pub systems: &'static [&'static dyn SystemKind],
    /// What they can be asked.
    pub workloads: &'static [&'static dyn WorkloadKind],
    /// Models of one's own; those of [`checker::MODELS`] are always there.
    pub models: &'static [&'static dyn ModelKind],
}

impl Default for Tables {
    /// What comes with Rashomon.
    fn default() -> Tables {
        Tables { systems: SYSTEMS, workloads: WORKLOADS, models: &[] }
    }
}

/// The tables of this process.
static TABLES: OnceLock<Tables> = OnceLock::new();

/// Sets the tables of this process; only the first time counts.
pub(crate) fn set(tables: Tables) {
    let _ = TABLES.set(tables);
}

/// The tables of this process.
pub(crate) fn get() -> Tables {
    *TABLES.get_or_init(Tables::default)
}

/// Decides whether a history keeps a consistency model, with a model of one's own if the options name one.
///
/// # Errors
/// As [`checker::check()`].
pub(crate) fn check(history: &History, consistency: Consistency, options: &Options, budget: &Budget) -> Result<Verdict, String> {
    match get().model(&options.model) {
        Some(own) => own.check(history, consistency, options, budget),
        None => checker::check(history, consistency, options, budget),
    }
}

/// The names and the ops of all models.
pub(crate) fn models() -> impl Iterator<Item = (&'static str, &'static str)> + Clone {
    checker::MODELS.iter().copied().chain(get().models.iter().map(|kind| (kind.name(), kind.about())))
}

impl Tables {
    /// The system of this name.
    pub fn system(&self, name: &str) -> Option<&'static dyn SystemKind> {
        self.systems.iter().copied().find(|kind| kind.name() == name)
    }

    /// The workload of this name.
    pub fn workload(&self, name: &str) -> Option<&'static dyn WorkloadKind> {
        self.workloads.iter().copied().find(|kind| kind.name() == name)
    }

    /// The model of one's own of this name.
    pub fn model(&self, name: &str) -> Option<&'static dyn ModelKind> {
        self.models.iter().copied().find(|kind| kind.name() == name)
    }

    /// Names and help of the systems.
    pub(crate) fn system_values(&self) -> Vec<PossibleValue> {
        self.systems.iter().map(|kind| PossibleValue::new(kind.name()).help(kind.about())).collect()
    }

    /// Names and help of the workloads.
    pub(crate) fn workload_values(&self) -> Vec<PossibleValue> {
        self.workloads.iter().map(|kind| PossibleValue::new(kind.name()).help(kind.about())).collect()
    }

    /// The options of one test: those of its system and of its workload, each under a heading of its own.
    pub(crate) fn augment(&self, command: Command, system: Option<&str>, workload: Option<&str>) -> Command {
        let system = self.systems.iter().find(|kind| Some(kind.name()) == system);
        let workload = workload.map_or_else(|| self.workloads.first(), |name| self.workloads.iter().find(|kind| kind.name() == name));
        let command = match workload {
            Some(kind) => kind.augment(command.next_help_heading(format!("Workload {}", kind.name()))),
            None => command,
        };
        match system {
            Some(kind) => kind.augment(command.next_help_heading(format!("System {}", kind.name()))),
            None => command,
        }
    }

    /// Says of an option that belongs to another row of the tables whose it is. `words` are those of the command line.
    pub(crate) fn explain(&self, error: clap::Error, command: &mut Command, words: &[OsString]) -> clap::Error {
        let argument = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(argument)) if error.kind() == ErrorKind::UnknownArgument => argument.clone(),
            _ => return error,
        };
        let owners = self.knowing(&argument);
        if owners.is_empty() {
            return error;
        }
        let asked = self.systems.iter().find(|kind| words.iter().any(|word| word == kind.name()));
        let not = asked.map_or(String::new(), |kind| format!(", not of {}", kind.name()));
        command.error(ErrorKind::UnknownArgument, format!("{argument} is an option of {}{not}", owners.join(" and ")))
    }

    /// The rows that know this option, which another row was given: `etcd`.
    pub(crate) fn knowing(&self, option: &str) -> Vec<&'static str> {
        let long = option.trim_start_matches('-').split('=').next().unwrap_or_default();
        let knows = |command: &Command| command.get_arguments().any(|argument| argument.get_long() == Some(long));
        let bare = || Command::new("options");
        let systems = self.systems.iter().filter(|kind| knows(&kind.augment(bare()))).map(|kind| kind.name());
        let workloads = self.workloads.iter().filter(|kind| knows(&kind.augment(bare()))).map(|kind| kind.name());
        systems.chain(workloads).collect()
    }
}
