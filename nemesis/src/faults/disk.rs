//! Faults of the disk that the database's data lies on: of all of it ([`own`]), or of single files ([`files`]).

pub mod files;
pub mod own;

use crate::agent::protocol::damage::{Change, Harm};
use crate::agent::protocol::disk::DiskHarm;
use crate::fault::{Context, Fault};
use crate::faults::support::shuffle_bag::Deck;
use crate::faults::support::target::{Choice, Target};
use crate::report::Report;
use crate::{Cluster, NodeError};
use histories::names::quoted;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// To the whole disk.
    Disk(DiskHarm),
    /// To files on it.
    Files(Harm, Where),
}

/// Where files are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    /// Only where the database is certain to notice.
    Noticed,
    /// Anywhere. A database that takes the damage for the trace of its own crash cuts its log off there, and has then lost what it had
    /// promised. That is a finding, but nothing to be healed, so it must be asked for by name.
    Anywhere,
}

const BILLION: f64 = 1e9;

/// The words of the command line, and the usual amounts: one byte of 10 000, one chunk of 100, at most 64 KiB.
const HOWS: [(&str, How); 9] = [
    ("full", How::Disk(DiskHarm::Full)),
    ("read-only", How::Disk(DiskHarm::ReadOnly)),
    ("power-loss", How::Disk(DiskHarm::PowerLoss)),
    ("bitflip", How::Files(BITFLIP, Where::Noticed)),
    ("copy", How::Files(COPY, Where::Noticed)),
    ("truncate", How::Files(TRUNCATE, Where::Noticed)),
    ("bitflip-anywhere", How::Files(BITFLIP, Where::Anywhere)),
    ("copy-anywhere", How::Files(COPY, Where::Anywhere)),
    ("truncate-anywhere", How::Files(TRUNCATE, Where::Anywhere)),
];
const BITFLIP: Harm = Harm::Bitflip { per_billion: 100_000 };
const COPY: Harm = Harm::Copy { per_billion: 10_000_000 };
const TRUNCATE: Harm = Harm::Truncate { bytes_max: 64 << 10 };

/// The target that is all nodes, of which each chunk of the files is damaged on one only.
const HELIX: &str = "helix";

impl How {
    fn parse(text: &str) -> Result<How, String> {
        let (word, amount) = text.split_once('=').map_or((text, None), |(word, amount)| (word, Some(amount)));
        let Some((_, how)) = HOWS.iter().find(|(known, _)| *known == word) else {
            let words: Vec<&str> = HOWS.iter().map(|(word, _)| *word).collect();
            return Err(format!(
                "{} is nothing that can happen to a disk: say one of {}; a TARGET goes behind an @",
                quoted(word, words.iter().copied()),
                words.join(", ")
            ));
        };
        let Some(amount) = amount else { return Ok(*how) };
        let share = || match amount.parse::<f64>() {
            Ok(share) if share > 0.0 && share <= 1.0 => Ok((share * BILLION).ceil() as u64),
            _ => Err(format!("`{amount}` is no probability: say a number above 0 and up to 1, as in {word}=0.0001")),
        };
        match how {
            How::Disk(_) => Err(format!("`{word}` takes no amount")),
            How::Files(Harm::Bitflip { .. }, place) => Ok(How::Files(Harm::Bitflip { per_billion: share()? }, *place)),
            How::Files(Harm::Copy { .. }, place) => Ok(How::Files(Harm::Copy { per_billion: share()? }, *place)),
            How::Files(Harm::Truncate { .. }, place) => match amount.parse::<u64>() {
                Ok(bytes_max @ 1..) => Ok(How::Files(Harm::Truncate { bytes_max }, *place)),
                _ => Err(format!("`{amount}` is no number of bytes, as in {word}=4096")),
            },
        }
    }
}

/// Some things that can be done, and to whose disk.
#[derive(Clone, Debug)]
pub struct Way {
    hows: Vec<How>,
    choice: Choice,
    striped: bool,
}

impl Way {
    /// Reads `bitflip=0.001@minority`: anything that can be undone if `how` is missing; never a majority if `target` is, because no database that needs
    /// one is safe from losing what a majority has stored.
    pub fn parse(how: Option<&str>, target: Option<&str>, cluster: &Cluster) -> Result<Way, String> {
        let n = cluster.len();
        let hows = match how {
            None => HOWS.iter().map(|(_, how)| *how).filter(|how| !is_anywhere(how)).collect(),
            Some(how) => vec![How::parse(how)?],
        };
        if target == Some(HELIX) {
            let chunks = |how: &How| matches!(how, How::Files(Harm::Bitflip { .. } | Harm::Copy { .. }, _));
            if n < 3 || !hows.iter().all(chunks) {
                return Err(format!("`{HELIX}` is for bitflip and copy, on three nodes or more"));
            }
            return Ok(Way { hows, choice: Choice::new(vec![Target::All], n), striped: true });
        }
        let Some(target) = target else { return Ok(Way { hows, choice: Choice::few(n), striped: false }) };
        let target = Target::parse(target, cluster)?;
        target.check(n)?;
        Ok(Way { hows, choice: Choice::new(vec![target], n), striped: false })
    }

    /// Leaves out some of the things that can be done. An error, with the reason, if nothing is left.
    fn without(&mut self, out: fn(&How) -> bool, why: &NodeError) -> Result<(), NodeError> {
        self.hows.retain(|how| !out(how));
        if self.hows.is_empty() { Err(why.clone()) } else { Ok(()) }
    }
}

/// Hurts the disks of the database on some nodes, and puts them right.
pub struct DiskFault {
    ways: Vec<Way>,
    /// Each thing that is to be done, by the way in which it was asked for.
    deck: Deck<(usize, How)>,
    /// What cannot be had here, and why, if something else was asked for too.
    lacks: Vec<String>,
    active: Option<Active>,
}

struct Active {
    how: How,
    nodes: Vec<usize>,
    /// What was changed in files, by place in `nodes`.
    changes: Vec<Vec<Change>>,
}

impl DiskFault {
    /// Does everything that these ways ask for, in an order that is drawn, and then again in another.
    pub fn new(ways: Vec<Way>) -> DiskFault {
        let each = |(way, asked): (usize, &Way)| asked.hows.iter().map(move |how| (way, *how)).collect::<Vec<_>>();
        let deck = Deck::new(ways.iter().enumerate().flat_map(each).collect());
        DiskFault { ways, deck, lacks: Vec::new(), active: None }
    }

    fn wants(&self, what: fn(&How) -> bool) -> bool {
        self.ways.iter().any(|way| way.hows.iter().any(what))
    }

    /// What cannot be done is left out, and every report says so; refused if it was asked for by name.
    fn leave_out(&mut self, out: fn(&How) -> bool, why: &NodeError) -> Result<(), NodeError> {
        self.lacks.push(why.to_string());
        self.deck.retain(|(_, how)| !out(how));
        self.ways.iter_mut().try_for_each(|way| way.without(out, why))
    }
}

fn is_of_disk(how: &How) -> bool {
    matches!(how, How::Disk(_))
}

fn is_of_files(how: &How) -> bool {
    matches!(how, How::Files(..))
}

fn is_noticed(how: &How) -> bool {
    matches!(how, How::Files(_, Where::Noticed))
}

fn is_anywhere(how: &How) -> bool {
    matches!(how, How::Files(_, Where::Anywhere))
}

impl Fault for DiskFault {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn ways(&self) -> usize {
        self.deck.all().len()
    }

    fn prepare(&mut self, context: &Context) -> Result<(), NodeError> {
        if self.wants(is_of_files)
            && let Err(why) = files::files(context)
        {
            self.leave_out(is_of_files, &why)?;
        }
        if self.wants(is_noticed)
            && let Err(why) = files::that_notice(context)
        {
            self.leave_out(is_noticed, &why)?;
        }
        if self.wants(is_of_disk) {
            let disks = own::disks(context)?;
            match context.cluster.on_all(|node| disks.can_provide(node)) {
                Ok(_) => disks.provide(),
                Err(why) => self.leave_out(is_of_disk, &why)?,
            }
        }
        Ok(())
    }

    fn setup(&mut self, context: &Context) -> Result<(), NodeError> {
        if self.wants(is_of_disk) { own::all_right(context) } else { Ok(()) }
    }

    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError> {
        let Some((way, how)) = self.deck.draw(rng) else { return Ok(Report::nothing("there is nothing to do to a disk".into())) };
        let way = &self.ways[way];
        let seeds: Vec<u64> = context.cluster.nodes.iter().map(|_| rng.random()).collect();
        let (nodes, mut note) = way.choice.draw_fit(context, rng, |drawn| context.without_down(drawn));
        if !self.lacks.is_empty() {
            note = format!("{note} ({})", self.lacks.join("; "));
        }
        if nodes.is_empty() {
            return Ok(Report::nothing(format!("no disk is hurt{note}")));
        }
        // Active from now on, whatever goes wrong.
        let active = self.active.insert(Active { how, nodes, changes: Vec::new() });
        match how {
            How::Disk(harm) => own::inject(context, harm, &active.nodes, &note),
            How::Files(harm, place) => {
                let damage = files::Damage { harm, noticed: place == Where::Noticed, seeds: &seeds, striped: way.striped };
                files::inject(context, &damage, (&active.nodes, &note), &mut active.changes)
            }
        }
    }

    fn recover(&mut self, context: &Context) -> Result<Report, NodeError> {
        let Some(active) = &self.active else { return Ok(Report::idle()) };
        let report = match active.how {
            How::Disk(harm) => own::recover(context, harm, &active.nodes),
            How::Files(..) => files::recover(context, &active.nodes, &active.changes),
        }?;
        if report.observed {
            self.active = None;
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::cluster;
    use rand::SeedableRng;

    fn parse(how: Option<&str>, target: Option<&str>, n: usize) -> Result<Way, String> {
        Way::parse(how, target, &cluster(n))
    }

    #[test]
    fn what_makes_sense_is_read() {
        assert_eq!(parse(None, None, 3).unwrap().hows.len(), HOWS.len() - 3);
        for (how, expected) in [
            ("full", How::Disk(DiskHarm::Full)),
            ("bitflip=0.001", How::Files(Harm::Bitflip { per_billion: 1_000_000 }, Where::Noticed)),
            ("copy-anywhere=1", How::Files(Harm::Copy { per_billion: 1_000_000_000 }, Where::Anywhere)),
            ("truncate=4096", How::Files(Harm::Truncate { bytes_max: 4096 }, Where::Noticed)),
        ] {
            assert_eq!(parse(Some(how), None, 3).unwrap().hows, [expected]);
        }
        let helix = parse(Some("bitflip"), Some("helix"), 3).unwrap();
        assert!(helix.striped && !parse(Some("bitflip"), Some("all"), 3).unwrap().striped);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        for (how, target, n, words) in [
            (Some("slow"), None, 3, "`slow` is nothing that can happen to a disk: say one of full, read-only, power-loss, bitflip"),
            (Some("full=3"), None, 3, "`full` takes no amount"),
            (Some("bitflip=2"), None, 3, "`2` is no probability"),
            (Some("bitflip=0"), None, 3, "`0` is no probability"),
            (Some("truncate=0"), None, 3, "`0` is no number of bytes"),
            (Some("full"), Some("helix"), 3, "`helix` is for bitflip and copy"),
            (Some("bitflip"), Some("helix"), 2, "on three nodes or more"),
            (None, Some("helix"), 3, "`helix` is for"),
            (Some("full"), Some("n9"), 3, "`n9` is no target"),
            (None, Some("minority-third"), 3, "selects no node"),
        ] {
            let error = parse(how, target, n).unwrap_err();
            assert!(error.contains(words), "{how:?} {target:?}: {error}");
        }
    }

    #[test]
    fn everything_is_done_once_before_anything_is_done_again() {
        let mut fault = DiskFault::new(vec![parse(None, None, 3).unwrap(), parse(Some("full"), Some("n1"), 3).unwrap()]);
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let drawn: Vec<(usize, How)> = (0..14).filter_map(|_| fault.deck.draw(&mut rng)).collect();
        let (first, second) = drawn.split_at(7);
        assert!(second.iter().all(|how| first.contains(how)) && first.contains(&(1, How::Disk(DiskHarm::Full))), "{drawn:?}");
        assert!((1..7).all(|at| !first[..at].contains(&first[at])) && first != second, "{drawn:?}");
    }

    #[test]
    fn what_cannot_be_had_is_left_out_or_refused() {
        let why = NodeError::new("n1", "no loop device");
        let mut whole = DiskFault::new(vec![parse(None, None, 3).unwrap()]);
        whole.leave_out(is_of_disk, &why).unwrap();
        assert!(!whole.wants(is_of_disk) && whole.wants(is_of_files) && whole.lacks == ["n1: no loop device"]);
        let mut named = DiskFault::new(vec![parse(Some("full"), None, 3).unwrap(), parse(Some("copy"), None, 3).unwrap()]);
        assert_eq!(named.leave_out(is_of_disk, &why), Err(why));
    }
}
