//! Whether the data that the nodes held stays with the run when they are clean again.

use crate::run::Run;
use crate::store::RunDir;
use crate::ui::exit;
use clap::ValueEnum;

/// When the data of the nodes is kept in the run's directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// Never
    Never,
    /// If the run is not valid, or something was found beside its history
    #[default]
    Failed,
    /// Always
    Always,
}

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// When.
    pub when: When,
    /// How much of each node, compressed: of a node that has more nothing is kept.
    pub bytes_max: u64,
}

/// Removes what is not to be kept of a run that was judged.
pub(crate) fn settle(keep: Keep, run: &mut Run, dir: &RunDir) {
    let wanted = match keep.when {
        When::Never => false,
        When::Failed => exit::of_run(run) != exit::VALID,
        When::Always => true,
    };
    let Some(facts) = run.test.as_ref().filter(|_| !wanted) else { return };
    let nodes = facts.node_names();
    for node in &nodes {
        let data = dir.node_data(node);
        match std::fs::remove_file(&data) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => tracing::warn!(%error, data = %data.display(), "kept"),
            _ => {}
        }
    }
    run.node_files = dir.node_files(&nodes);
}
