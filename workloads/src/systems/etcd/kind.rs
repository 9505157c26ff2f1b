//! etcd as a row of the table of systems.

use super::{Consistency as Read, Etcd, EtcdOptions, VERSION};
use crate::systems::{Made, MakeError, Nodes, Place, Promise, Site, SystemKind};
use checker::Consistency;
use clap::{ArgMatches, Args, Command, FromArgMatches as _, ValueEnum};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

/// etcd.
#[derive(Clone, Copy, Debug)]
pub struct Kind;

/// Its options, in the words of the command line and of files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[group(skip)]
pub struct EtcdWords {
    /// The kind of reads clients ask for [default: linearizable]
    #[arg(long, value_enum, value_name = "KIND")]
    pub read: Option<Read>,
    /// Whether answers are recorded with their revisions and judged by them: a write that was acknowledged and lost shows even where
    /// the next one covers it [default: yes, if the run should be linearizable]
    #[arg(long, value_enum, value_name = "YES|NO", hide_possible_values = true)]
    pub revisions: Option<YesNo>,
    /// A binary of this machine to upload [default: the node's own]
    #[arg(long, value_name = "FILE")]
    pub etcd_binary: Option<PathBuf>,
}

/// `yes` or `no`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum YesNo {
    /// Yes.
    Yes,
    /// No.
    No,
}

impl SystemKind for Kind {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn about(&self) -> &'static str {
        "etcd, over SSH"
    }

    fn place(&self) -> Place {
        Place::Hosts
    }

    fn augment(&self, command: Command) -> Command {
        EtcdWords::augment_args(command)
    }

    fn make(&self, options: &ArgMatches, site: &Site<'_>) -> Result<Made, MakeError> {
        let words = EtcdWords::from_arg_matches(options).map_err(|error| MakeError::Usage(error.to_string()))?;
        let Nodes::Hosts { cluster, agents, lab } = site.nodes else {
            return Err(MakeError::Usage("etcd runs on hosts: name them with --nodes, or use --lab".into()));
        };
        if let Some(binary) = words.etcd_binary.as_ref().filter(|binary| !binary.is_file()) {
            return Err(MakeError::Usage(format!("--etcd-binary {}: there is no such file", binary.display())));
        }
        // Weaker models look at values alone, and all that is known of finding orders for them goes by values.
        let usual = site.consistency == Consistency::Linearizable;
        let options = EtcdOptions {
            read: words.read.unwrap_or_default(),
            revisions: words.revisions.map_or(usual, |told| told == YesNo::Yes),
            binary: words.etcd_binary,
            lab: lab.map(str::to_owned),
            ..EtcdOptions::default()
        };
        let etcd = Etcd::new(options, cluster, agents).map_err(MakeError::Nodes)?;
        Ok(Made { system: Arc::new(etcd), cluster: cluster.clone() })
    }

    fn promises(&self) -> &'static [Promise] {
        &[Promise {
            workload: "register",
            consistency: Consistency::Linearizable,
            words: "etcd ensures linearizability for all other operations by default",
            source: "https://etcd.io/docs/v3.5/learning/api_guarantees/",
        }]
    }

    fn version_command(&self) -> Option<&'static [&'static str]> {
        Some(VERSION)
    }
}
