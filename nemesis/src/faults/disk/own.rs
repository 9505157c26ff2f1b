//! The disk that the data lies on is full, read-only, or loses its power.
//!
//! Where that is asked for, the data is put on a small file system of its own, in a file of the node, before the database is set up:
//! the node's own disks are not touched. See [`crate::agent::node::disk`].

use crate::agent::protocol::disk::DiskHarm;
use crate::database::DiskLook;
use crate::database::Disks;
use crate::fault::Context;
use crate::faults::support::observe::look_until;
use crate::report::Report;
use crate::{Node, NodeError, ProcessState};

/// The disks of the database; an error if it has none that can be hurt.
pub(super) fn disks(context: &Context) -> Result<&dyn Disks, NodeError> {
    let name = context.database.name();
    context.database.disks().ok_or_else(|| NodeError::new("control node", format!("the disks of {name} cannot be hurt")))
}

/// An error unless the database can write to its disk on every node.
pub(super) fn all_right(context: &Context) -> Result<(), NodeError> {
    let disks = disks(context)?;
    let all: Vec<usize> = (0..context.cluster.len()).collect();
    let seen = look_until(context, &all, |node| disks.look(node).map(|look| told(node, &look, None)));
    if seen.observed { Ok(()) } else { Err(NodeError::new("disk", format!("a disk is hurt before any fault: {}", seen.what))) }
}

/// Hurts the disks of some nodes, each looked at before and after.
pub(super) fn inject(context: &Context, harm: DiskHarm, nodes: &[usize], note: &str) -> Result<Report, NodeError> {
    let disks = disks(context)?;
    let names = context.cluster.names(nodes);
    let what = match harm {
        DiskHarm::Full => format!("the disk of {names} is full{note}"),
        DiskHarm::ReadOnly => format!("the disk of {names} is read-only, its process started on it{note}"),
        DiskHarm::PowerLoss => format!("the power of the disk of {names} is cut, what was not synced is lost{note}"),
    };
    let mut report = Report::of(nodes.to_vec(), what);
    let errors = context.errors_on(nodes, |node| {
        let before = disks.look(node)?;
        if let Some(refused) = before.refused {
            return Err(NodeError::new(&node.name, format!("its disk was hurt before: {refused}")));
        }
        if harm == DiskHarm::PowerLoss {
            disks.plant(node)?;
        }
        disks.hurt(node, harm)
    });
    report.seen(look_until(context, nodes, |node| {
        let look = disks.look(node)?;
        let (good, mut said) = told(node, &look, Some(harm));
        if harm != DiskHarm::PowerLoss {
            if !good && harm == DiskHarm::Full {
                // The database may have removed something meanwhile.
                disks.hurt(node, harm)?;
            }
            return Ok((good, said));
        }
        let down = context.database.state(node)? == ProcessState::Down;
        said += if down { " and its process is down" } else { " and its process runs" };
        Ok((good && down, said))
    }));
    report.failed(&errors);
    Ok(report)
}

/// Puts the disks of some nodes right.
pub(super) fn recover(context: &Context, harm: DiskHarm, nodes: &[usize]) -> Result<Report, NodeError> {
    let disks = disks(context)?;
    let mut report = Report::of(nodes.to_vec(), format!("the disk of {} is right", context.cluster.names(nodes)));
    let errors = context.errors_on(nodes, |node| disks.heal(node));
    report.seen(look_until(context, nodes, |node| {
        let look = disks.look(node)?;
        // Its server was taken out of the cluster meanwhile, and the disk with it.
        let taken_out = !look.mounted && context.database.state(node)? == ProcessState::Down;
        Ok(if taken_out { (true, format!("{} has none now", node.name)) } else { told(node, &look, None) })
    }));
    if report.observed && harm == DiskHarm::PowerLoss {
        let found = context.cluster.on(nodes, |node| disks.reap(node).map(|found| survived(node, found)));
        let told: Vec<String> = found.into_iter().map(|told| told.unwrap_or_else(|error| error.to_string())).collect();
        report.seen = format!("{}, {}", report.seen, told.join(", "));
    }
    report.failed(&errors);
    Ok(report)
}

/// Whether a disk looks as it should with this harm done to it, or none; and what was seen.
fn told(node: &Node, look: &DiskLook, harm: Option<DiskHarm>) -> (bool, String) {
    let said = match &look.refused {
        None => format!("{} writes", node.name),
        Some(words) => format!("{} cannot write: {words}", node.name),
    };
    let good = match (harm, &look.refused) {
        (None, refused) => refused.is_none(),
        (Some(DiskHarm::Full), Some(words)) => words.contains("No space left"),
        (Some(DiskHarm::ReadOnly), Some(words)) => words.contains("Read-only"),
        (Some(DiskHarm::PowerLoss), Some(_)) => !look.mounted,
        (Some(_), None) => false,
    };
    (good, said)
}

/// What a cut of the power has left of the two files from before.
fn survived(node: &Node, [synced, unsynced]: [bool; 2]) -> String {
    let word = |there: bool| if there { "there" } else { "gone" };
    format!("on {} what was synced is {} and what was not is {}", node.name, word(synced), word(unsynced))
}
