//! Whether a run leaves its nodes as it found them: a picture of each before, compared with what it is like after, and the list of
//! everything that was touched. Both are kept in the run's directory, so that the comparison can be made later too.

use crate::run::{Footprints, Pictures};
use crate::store::RunDir;
use anyhow::Context;
use nemesis::clean::{Difference, Picture};
use nemesis::{Agents, Cluster, Node, NodeError};

/// What is compared, for people.
pub const COMPARED: &str = "firewall, qdiscs, clock, time daemon, processes, mounts, files";

/// Takes a picture of every node and begins a new list of what is touched. Called when nothing of the run is there yet.
///
/// # Errors
/// A node cannot be looked at; the pictures cannot be written.
pub fn begin(cluster: &Cluster, agents: &Agents, dir: &RunDir) -> anyhow::Result<()> {
    let taken = cluster.on_all(|node| {
        agents.of(node).begin_footprint()?;
        Picture::take(agents.of(node))
    })?;
    let pictures: Pictures = cluster.nodes.iter().map(|node| node.name.clone()).zip(taken).collect();
    dir.write_before(&pictures)
}

/// What of a node is not as it was; why it could not be looked at.
pub type Looked = Result<Vec<Difference>, NodeError>;

/// Compares every node with its picture.
pub fn compare(cluster: &Cluster, agents: &Agents, before: &Pictures) -> Vec<Looked> {
    let compare = |node: &Node| {
        let missing = || NodeError::new(&node.name, "there is no picture of it from before the run");
        let before = before.get(&node.name).ok_or_else(missing)?;
        Ok(before.differences(&Picture::take(agents.of(node))?))
    };
    let all: Vec<usize> = (0..cluster.len()).collect();
    cluster.on(&all, compare)
}

/// Copies the list of what was touched from every node that can be asked into the run's directory.
///
/// # Errors
/// It cannot be written.
pub fn keep_footprints(cluster: &Cluster, agents: &Agents, dir: &RunDir) -> anyhow::Result<Footprints> {
    let all: Vec<usize> = (0..cluster.len()).collect();
    let lists = cluster.on(&all, |node| agents.of(node).footprint());
    let named = cluster.nodes.iter().zip(lists).filter_map(|(node, list)| Some((node.name.clone(), list.ok()?)));
    let footprints: Footprints = named.collect();
    dir.write_footprints(&footprints).context("cannot keep what was touched")?;
    Ok(footprints)
}

/// A difference in a line: which node, what, and how to remove it.
pub fn line(node: &str, difference: &Difference) -> String {
    format!("{node}: {} ({})", difference.what, difference.remedy)
}
