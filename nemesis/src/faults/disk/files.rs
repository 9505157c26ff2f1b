//! The database's files are damaged while it does not run, and it is started on them.
//!
//! What each change replaces is read by a program of the node before, during and after: by `od` and `stat`, not by what writes.

use crate::agent::protocol::damage::{Change, Harm, Plan};
use crate::database::DataFiles;
use crate::database::Files;
use crate::database::Found;
use crate::fault::Context;
use crate::faults::support::observe::look_until;
use crate::report::Report;
use crate::{Node, NodeError};

/// How many changes of a node are looked at.
const LOOKED_AT_MAX: usize = 6;

/// The files of the database; an error if nobody knows which they are.
pub(super) fn files(context: &Context) -> Result<&dyn Files, NodeError> {
    let name = context.database.name();
    context.database.files().ok_or_else(|| NodeError::new("control node", format!("nobody knows which files of {name} to damage")))
}

/// An error unless there are files of the database in which it is known where damage is certain to be noticed.
pub(super) fn that_notice(context: &Context) -> Result<(), NodeError> {
    let known = files(context)?.kinds().iter().any(|kind| kind.payloads.is_some());
    if known { Ok(()) } else { Err(NodeError::new("control node", crate::database::nobody_knows(context.database.name()))) }
}

/// How files are damaged.
pub(super) struct Damage<'a> {
    /// In what way.
    pub(super) harm: Harm,
    /// Whether only where the database is certain to notice.
    pub(super) noticed: bool,
    /// Decides where, for each node.
    pub(super) seeds: &'a [u64],
    /// Whether each chunk is damaged on one node only.
    pub(super) striped: bool,
}

/// Damages files of some nodes.
pub(super) fn inject(
    context: &Context,
    damage: &Damage<'_>,
    (nodes, note): (&[usize], &str),
    changes: &mut Vec<Vec<Change>>,
) -> Result<Report, NodeError> {
    let files = files(context)?;
    let kinds: Vec<&DataFiles> = files.kinds().iter().filter(|kind| !damage.noticed || kind.payloads.is_some()).collect();
    let kind = |node: &Node| kinds[(damage.seeds[node.index] % kinds.len().max(1) as u64) as usize];
    let names = context.cluster.names(nodes);
    let stripes = if damage.striped { ", each chunk on one node only" } else { "" };
    let mut report = Report::of(nodes.to_vec(), format!("{} files of {names}{stripes}{note}", words(damage.harm)));
    let of = context.cluster.len() as u64;
    let planned = context.cluster.on(nodes, |node| {
        let pieces = damage.noticed.then(|| files.payloads(node, kind(node))).transpose()?;
        let stripe = damage.striped.then_some((node.index as u64, of));
        let DataFiles { directory, suffix, .. } = kind(node).clone();
        let changes = files.plan(node, &Plan { directory, suffix, harm: damage.harm, seed: damage.seeds[node.index], stripe, pieces })?;
        let before = looked(files, node, &changes)?;
        let done = files.damage(node, &changes);
        if before.iter().any(|found| *found != Found::Old) {
            return Err(NodeError::new(&node.name, "its files were not as planned with, read before they were damaged"));
        }
        done.map(|()| changes)
    });
    let mut errors = Vec::new();
    *changes = planned.into_iter().map(|planned| planned.map_err(|error| errors.push(error)).unwrap_or_default()).collect();
    report.seen(look_until(context, nodes, |node| {
        let changes = of_node(nodes, changes, node);
        let found = looked(files, node, changes)?;
        let damaged = found.iter().filter(|found| **found == Found::New).count();
        let bytes: usize = changes.iter().map(|change| change.old.len()).sum();
        let what = kind(node).what;
        let said = format!(
            "{}: {} changes of {bytes} bytes in its {what}, {damaged} of {} looked at are on the disk",
            node.name,
            changes.len(),
            found.len()
        );
        Ok((damaged > 0 && damaged == found.len(), said))
    }));
    report.failed(&errors);
    Ok(report)
}

/// Puts the files of some nodes right.
pub(super) fn recover(context: &Context, nodes: &[usize], changes: &[Vec<Change>]) -> Result<Report, NodeError> {
    let files = files(context)?;
    let mut report = Report::of(nodes.to_vec(), format!("the files of {} are put right", context.cluster.names(nodes)));
    let errors = context.errors_on(nodes, |node| files.repair(node));
    report.seen(look_until(context, nodes, |node| {
        // A file that is gone holds no damage any more.
        let found: Vec<Found> =
            picked(of_node(nodes, changes, node)).map(|change| files.look(node, change).unwrap_or(Found::Other)).collect();
        let count = |wanted: Found| found.iter().filter(|found| **found == wanted).count();
        let said = format!(
            "{}: {} of {} hold again what they held, {} were written anew",
            node.name,
            count(Found::Old),
            found.len(),
            count(Found::Other)
        );
        Ok((count(Found::New) == 0, said))
    }));
    report.failed(&errors);
    Ok(report)
}

fn words(harm: Harm) -> &'static str {
    match harm {
        Harm::Bitflip { .. } => "flipped bits in",
        Harm::Copy { .. } => "copied chunks over others in",
        Harm::Truncate { .. } => "cut off the end of",
    }
}

fn of_node<'a>(nodes: &[usize], changes: &'a [Vec<Change>], node: &Node) -> &'a [Change] {
    let place = nodes.iter().position(|&index| index == node.index);
    place.and_then(|place| changes.get(place)).map_or(&[], Vec::as_slice)
}

fn picked(changes: &[Change]) -> impl Iterator<Item = &Change> {
    changes.iter().step_by(changes.len().div_ceil(LOOKED_AT_MAX).max(1))
}

fn looked(files: &dyn Files, node: &Node, changes: &[Change]) -> Result<Vec<Found>, NodeError> {
    picked(changes).map(|change| files.look(node, change)).collect()
}
