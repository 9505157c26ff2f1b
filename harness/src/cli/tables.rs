//! The tables that a program is made of: which systems and workloads its command line knows.

use super::Failure;
use clap::Command;
use clap::builder::PossibleValue;
use clap::error::{ContextKind, ContextValue, ErrorKind};
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
}

impl Default for Tables {
    /// What comes with Rashomon.
    fn default() -> Tables {
        Tables { systems: SYSTEMS, workloads: WORKLOADS }
    }
}

/// The tables of this process.
static TABLES: OnceLock<Tables> = OnceLock::new();

/// Sets the tables of this process; only the first time counts.
pub(super) fn set(tables: Tables) {
    let _ = TABLES.set(tables);
}

/// The tables of this process.
pub(super) fn get() -> Tables {
    *TABLES.get_or_init(Tables::default)
}

impl Tables {
    /// The system of this name.
    pub(super) fn system(&self, name: &str) -> Result<&'static dyn SystemKind, Failure> {
        let unknown = || Failure::usage(format!("there is no system `{name}`"));
        self.systems.iter().copied().find(|kind| kind.name() == name).ok_or_else(unknown)
    }

    /// The workload of this name.
    pub(super) fn workload(&self, name: &str) -> Result<&'static dyn WorkloadKind, Failure> {
        let unknown = || Failure::usage(format!("there is no workload `{name}`"));
        self.workloads.iter().copied().find(|kind| kind.name() == name).ok_or_else(unknown)
    }

    /// Names and help of the systems.
    pub(super) fn system_values(&self) -> Vec<PossibleValue> {
        self.systems.iter().map(|kind| PossibleValue::new(kind.name()).help(kind.about())).collect()
    }

    /// Names and help of the workloads.
    pub(super) fn workload_values(&self) -> Vec<PossibleValue> {
        self.workloads.iter().map(|kind| PossibleValue::new(kind.name()).help(kind.about())).collect()
    }

    /// The options of one test: those of its system and of its workload, each under a heading of its own.
    pub(super) fn augment(&self, command: Command, system: Option<&str>, workload: Option<&str>) -> Command {
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

    /// Says of an option that belongs to another row of the tables whose it is.
    pub(super) fn explain(&self, error: clap::Error, command: &mut Command) -> clap::Error {
        let argument = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(argument)) if error.kind() == ErrorKind::UnknownArgument => argument.clone(),
            _ => return error,
        };
        match self.knowing(&argument).as_slice() {
            [] => error,
            owners => command.error(ErrorKind::UnknownArgument, format!("{argument} is an option of {} only", owners.join(" and "))),
        }
    }

    /// The rows that know this option, which another row was given: `etcd`.
    pub(super) fn knowing(&self, option: &str) -> Vec<&'static str> {
        let long = option.trim_start_matches('-').split('=').next().unwrap_or_default();
        let knows = |command: &Command| command.get_arguments().any(|argument| argument.get_long() == Some(long));
        let bare = || Command::new("options");
        let systems = self.systems.iter().filter(|kind| knows(&kind.augment(bare()))).map(|kind| kind.name());
        let workloads = self.workloads.iter().filter(|kind| knows(&kind.augment(bare()))).map(|kind| kind.name());
        systems.chain(workloads).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    fn help(words: &[&str]) -> String {
        let words: Vec<_> = ["rashomon", "test"].iter().chain(words).map(Into::into).collect();
        let mut command = Cli::command_for(&words);
        command.find_subcommand_mut("test").unwrap().render_long_help().to_string()
    }

    #[test]
    fn every_pair_has_a_command_line_of_its_own() {
        for system in SYSTEMS {
            for workload in WORKLOADS {
                let words = ["rashomon", "test", system.name(), "--workload", workload.name()].map(Into::into);
                Cli::command_for(&words).debug_assert();
            }
            for promise in system.promises() {
                assert!(WORKLOADS.iter().any(|kind| kind.name() == promise.workload), "{}: {promise:?}", system.name());
                assert!(!promise.words.is_empty() && !promise.source.is_empty());
            }
        }
    }

    #[test]
    fn help_shows_the_options_of_the_system_that_is_named() {
        let (etcd, demo, none) = (help(&["etcd"]), help(&["demo"]), help(&[]));
        assert!(etcd.contains("--read <KIND>") && !etcd.contains("--replication") && etcd.contains("--user"), "{etcd}");
        assert!(demo.contains("--replication <SCHEME>") && !demo.contains("--read <KIND>") && !demo.contains("--user"), "{demo}");
        assert!(!none.contains("--replication") && none.contains("--values") && none.contains("etcd, over SSH"), "{none}");
    }

    #[test]
    fn an_option_of_another_system_is_told_whose_it_is() {
        let refused = |words: &[&str]| Cli::read(["rashomon", "test"].iter().chain(words)).err().unwrap().to_string();
        assert!(refused(&["demo", "--read", "serializable"]).contains("--read is an option of etcd only"));
        assert!(refused(&["etcd", "--replication", "quorum"]).contains("--replication is an option of demo only"));
        assert!(refused(&["demo", "--nonsense"]).contains("--nonsense"));
        assert!(refused(&["cassandra"]).contains("demo"), "what there is");
        assert!(Cli::read(["rashomon", "test", "--seed", "7", "demo", "--replication", "quorum", "--keys", "3"]).is_ok(), "in any order");
    }
}
