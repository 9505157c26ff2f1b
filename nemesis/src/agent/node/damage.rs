//! Files that are damaged: bits flipped, ends cut off, pieces copied over others. Planned first, then done, and put back.
//!
//! Whoever uses the files must not run meanwhile. What is planned says what was there before, so that it can be put into the journal,
//! and be seen by somebody else, before anything is changed.

use super::files::Directory;
use crate::agent::protocol::damage::Change;
use crate::agent::protocol::damage::Harm;
use crate::agent::protocol::damage::Plan;
use crate::command::Program;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The piece of a file that is copied, or that one node alone is damaged in.
pub const CHUNK_BYTES: u64 = 4096;

/// What is changed around a bit, so that its place is known again when it is put back.
const BLOCK_BYTES: u64 = 16;

/// The most that is read of a file, and the most that is changed at once: it all stands in the journal.
const FILE_BYTES_MAX: u64 = 256 << 20;
const CHANGED_BYTES_MAX: u64 = 512 << 10;

/// The most zeros that what was written may end in: more than a request to a database holds.
const ZEROS_MAX: usize = 2 << 20;

/// A journal entry: files of a program are damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    /// Whose files they are, and how to start it again.
    pub program: Program,
    /// What was changed.
    pub changes: Vec<Change>,
}

/// What would be changed; nothing is yet. Of each file only the part up to the last byte that is not zero counts: what was set aside
/// and not yet written to is no data.
pub(super) fn plan(home: &Directory, plan: &Plan) -> Result<Vec<Change>, String> {
    let directory = home.below(&plan.directory)?;
    let fail = |e: io::Error| format!("cannot read the files in {}: {e}", directory.display());
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if entry.file_type().map_err(fail)?.is_file() && entry.file_name().to_string_lossy().ends_with(&plan.suffix) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
    let mut changes = Vec::new();
    for path in &paths {
        if fs::metadata(path).map_err(fail)?.len() > FILE_BYTES_MAX {
            continue;
        }
        let content = fs::read(path).map_err(fail)?;
        let place = path.display().to_string();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let pieces = plan.pieces.as_ref().map(|pieces| pieces.get(&*name).map_or(&[] as &[_], Vec::as_slice));
        changes.extend(of_file(&content, plan, pieces, &mut rng).into_iter().map(|(offset, old, new)| Change {
            path: place.clone(),
            offset,
            old,
            new,
        }));
    }
    let mut left = CHANGED_BYTES_MAX;
    changes.retain(|change| {
        let fits = change.old.len() as u64 <= left;
        left -= if fits { change.old.len() as u64 } else { 0 };
        fits
    });
    if changes.is_empty() {
        return Err(format!("no file in {} whose name ends in {} holds anything to damage", directory.display(), plan.suffix));
    }
    Ok(changes)
}

/// The changes of one file: where, what was there, what comes there. Only in these pieces of it if there are any to keep to.
fn of_file(content: &[u8], plan: &Plan, pieces: Option<&[(u64, u64)]>, rng: &mut ChaCha8Rng) -> Vec<(u64, Vec<u8>, Vec<u8>)> {
    let written = content.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let (chunk, block) = (CHUNK_BYTES as usize, BLOCK_BYTES as usize);
    let is_ours = |at: usize| plan.stripe.is_none_or(|(first, of)| (at / chunk) as u64 % of.max(1) == first);
    let inside = |&(from, to): &(u64, u64)| ((from as usize).min(written), (to as usize).min(written));
    let mut changes = Vec::new();
    match plan.harm {
        Harm::Truncate { bytes_max } => {
            let keep = if pieces.is_some() { written + ZEROS_MAX } else { 0 };
            let most = bytes_max.min(content.len().saturating_sub(keep) as u64).min(CHANGED_BYTES_MAX / 4);
            if most > 0 {
                let from = content.len() - rng.random_range(1..=most) as usize;
                changes.push((from as u64, content[from..].to_vec(), Vec::new()));
            }
        }
        Harm::Bitflip { per_billion } => {
            let places: Vec<usize> = match pieces {
                None => (0..written).filter(|&at| is_ours(at)).collect(),
                Some(pieces) => pieces.iter().map(inside).flat_map(|(from, to)| from..to).filter(|&at| is_ours(at)).collect(),
            };
            let mut hit: Vec<usize> = drawn(&places, per_billion, rng);
            hit.sort_unstable();
            for at in hit {
                let from = at / block * block;
                if changes.last().is_none_or(|&(last, ..)| last != from as u64) {
                    let old = content[from..content.len().min(from + block)].to_vec();
                    changes.push((from as u64, old.clone(), old));
                }
                let bit = 1 << rng.random_range(0..8_u32);
                if let Some((_, _, new)) = changes.last_mut() {
                    new[at - from] ^= bit;
                }
            }
        }
        Harm::Copy { per_billion } => {
            let all: Vec<(usize, usize)> = match pieces {
                None => (0..written / chunk).map(|at| (at * chunk, (at + 1) * chunk)).collect(),
                Some(pieces) => pieces.iter().map(inside).map(|(from, to)| (from, to.min(from + chunk))).collect(),
            };
            let ours: Vec<usize> = (0..all.len()).filter(|&at| all.len() > 1 && is_ours(all[at].0)).collect();
            for at in drawn(&ours, per_billion, rng) {
                // Another one; of two that differ in length, as much as there is of the shorter.
                let ((to, to_end), (from, from_end)) = (all[at], all[(at + rng.random_range(1..all.len())) % all.len()]);
                let length = (to_end - to).min(from_end - from);
                changes.push((to as u64, content[to..to + length].to_vec(), content[from..from + length].to_vec()));
            }
        }
    }
    changes.retain(|(_, old, new)| old != new);
    changes
}

/// Each of some places with a probability; one of them if none is drawn, so that something happens.
fn drawn(places: &[usize], per_billion: u64, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let anyway = (!places.is_empty()).then(|| places[rng.random_range(0..places.len())]);
    let drawn: Vec<usize> = places.iter().copied().filter(|_| rng.random_range(0..1_000_000_000) < per_billion).collect();
    if drawn.is_empty() { anyway.into_iter().collect() } else { drawn }
}

/// Damages files. Refused where something else is in them than was planned with.
pub(super) fn inflict(home: &Directory, changes: &[Change]) -> Result<(), String> {
    for change in changes {
        let (file, path) = open(home, change)?;
        if !holds(&file, change.offset, &change.old, change.new.is_empty()).map_err(|e| failed(&path, &e))? {
            return Err(format!("{} was written to after it was looked at: it is left alone", path.display()));
        }
    }
    changes.iter().try_for_each(|change| write(home, change, &change.new))?;
    sync(home, changes)
}

/// Puts back what was there, wherever the damage still is. Files that are gone, or were written to there, are left alone.
pub(super) fn repair(home: &Directory, changes: &[Change]) -> Result<(), String> {
    for change in changes.iter().rev() {
        if !home.below(&change.path)?.exists() {
            continue;
        }
        let (file, path) = open(home, change)?;
        if holds(&file, change.offset, &change.new, change.new.is_empty()).map_err(|e| failed(&path, &e))? {
            write(home, change, &change.old)?;
        }
    }
    sync(home, changes)
}

fn open(home: &Directory, change: &Change) -> Result<(File, PathBuf), String> {
    let path = home.below(&change.path)?;
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(&path).map_err(|e| failed(&path, &e))?;
    Ok((file, path))
}

fn failed(path: &Path, error: &io::Error) -> String {
    format!("cannot change {}: {error}", path.display())
}

/// Whether these bytes stand there, and whether the file ends behind them if it should.
fn holds(file: &File, offset: u64, wanted: &[u8], ends: bool) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let end = offset + wanted.len() as u64;
    if if ends { length != end } else { length < end } {
        return Ok(false);
    }
    let mut there = vec![0; wanted.len()];
    file.read_exact_at(&mut there, offset)?;
    Ok(there == wanted)
}

/// Writes what comes to a place; nothing cuts the file off there.
fn write(home: &Directory, change: &Change, content: &[u8]) -> Result<(), String> {
    let (file, path) = open(home, change)?;
    let written = if content.is_empty() { file.set_len(change.offset) } else { file.write_all_at(content, change.offset) };
    written.map_err(|e| failed(&path, &e))
}

/// Brings what was written to the disk, once for each file: there may be thousands of changes.
fn sync(home: &Directory, changes: &[Change]) -> Result<(), String> {
    let paths: BTreeSet<&str> = changes.iter().map(|change| change.path.as_str()).collect();
    for path in paths {
        let path = home.below(path)?;
        match File::open(&path).and_then(|file| file.sync_all()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(&path, &e)),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::protocol::damage::Pieces;

    struct Place {
        _temporary: tempfile::TempDir,
        home: Directory,
    }

    fn place(content: &[u8]) -> Place {
        let temporary = tempfile::tempdir().unwrap();
        let home = Directory::make(temporary.path()).unwrap();
        fs::create_dir(home.any("wal")).unwrap();
        fs::write(home.any("wal/1.wal"), content).unwrap();
        fs::write(home.any("wal/2.tmp"), content).unwrap();
        Place { _temporary: temporary, home }
    }

    fn a_plan(harm: Harm, stripe: Option<(u64, u64)>) -> Plan {
        Plan { directory: "wal".into(), suffix: ".wal".into(), harm, seed: 7, stripe, pieces: None }
    }

    fn content() -> Vec<u8> {
        let mut content: Vec<u8> = (0..100_000_u32).map(|i| (i % 251 + 1) as u8).collect();
        content.extend(vec![0; 50_000]);
        content
    }

    const HARMS: [Harm; 3] =
        [Harm::Bitflip { per_billion: 100_000 }, Harm::Copy { per_billion: 100_000_000 }, Harm::Truncate { bytes_max: 60_000 }];

    #[test]
    fn damage_is_as_planned_and_put_back() {
        for harm in HARMS {
            let place = place(&content());
            let read = || fs::read(place.home.any("wal/1.wal")).unwrap();
            let changes = plan(&place.home, &a_plan(harm, None)).unwrap();
            assert_eq!(read(), content(), "nothing is done yet");
            assert_eq!(plan(&place.home, &a_plan(harm, None)).unwrap(), changes, "the same seed, the same damage");
            inflict(&place.home, &changes).unwrap();
            assert_ne!(read(), content(), "{harm:?}");
            for change in changes.iter().filter(|change| !change.new.is_empty()) {
                assert!(change.offset + change.new.len() as u64 <= 100_016, "what was never written to is left alone");
                assert_eq!(read()[change.offset as usize..][..change.new.len()], change.new);
            }
            assert_eq!(fs::read(place.home.any("wal/2.tmp")).unwrap(), content());
            assert!(inflict(&place.home, &changes).unwrap_err().contains("was written to"), "twice");
            for _ in 0..2 {
                repair(&place.home, &changes).unwrap();
                assert_eq!(read(), content(), "{harm:?}");
            }
        }
    }

    #[test]
    fn what_was_written_meanwhile_stays() {
        for harm in HARMS {
            let place = place(&content());
            let changes = plan(&place.home, &a_plan(harm, None)).unwrap();
            inflict(&place.home, &changes).unwrap();
            let other = vec![9; 120_000];
            fs::write(place.home.any("wal/1.wal"), &other).unwrap();
            repair(&place.home, &changes).unwrap();
            assert_eq!(fs::read(place.home.any("wal/1.wal")).unwrap(), other, "{harm:?}");
            fs::remove_file(place.home.any("wal/1.wal")).unwrap();
            repair(&place.home, &changes).unwrap();
        }
    }

    #[test]
    fn stripes_of_different_nodes_never_meet() {
        let place = place(&content());
        let mut hit = std::collections::BTreeMap::new();
        for node in 0..3 {
            for change in plan(&place.home, &a_plan(Harm::Bitflip { per_billion: 10_000_000 }, Some((node, 3)))).unwrap() {
                assert_eq!(*hit.entry(change.offset / CHUNK_BYTES).or_insert(node), node);
            }
        }
        assert!(hit.len() > 20, "{hit:?}");
    }

    #[test]
    fn damage_keeps_to_pieces() {
        let place = place(&content());
        let read = || fs::read(place.home.any("wal/1.wal")).unwrap();
        // The last piece reaches into what was never written to.
        let pieces = vec![(10, 35), (1_000, 1_020), (50_001, 60_000), (99_990, 100_400)];
        let is_inside = |at: u64| at < 100_000 && pieces.iter().any(|(from, to)| (*from..*to).contains(&at));
        for harm in [Harm::Bitflip { per_billion: 10_000_000 }, Harm::Copy { per_billion: 1_000_000_000 }] {
            let plan_of = |pieces| Plan { pieces: Some(Pieces::from([("1.wal".into(), pieces)])), ..a_plan(harm, None) };
            let changes = plan(&place.home, &plan_of(pieces.clone())).unwrap();
            inflict(&place.home, &changes).unwrap();
            let changed: Vec<u64> =
                (0..).zip(read().iter().zip(content())).filter(|(_, (now, was))| **now != *was).map(|(at, _)| at).collect();
            assert!(changed.len() > 20 && changed.iter().all(|&at| is_inside(at)), "{harm:?}: {changed:?}");
            repair(&place.home, &changes).unwrap();
            assert_eq!(read(), content());
            assert!(plan(&place.home, &plan_of(Vec::new())).is_err(), "{harm:?}: there is no such piece");
        }
        let cut = Plan { pieces: Some(Pieces::new()), ..a_plan(Harm::Truncate { bytes_max: 1 << 30 }, None) };
        assert!(plan(&place.home, &cut).is_err(), "what was written may end in zeros");
        fs::write(place.home.any("wal/1.wal"), [content(), vec![0; 3 << 20]].concat()).unwrap();
        let changes = plan(&place.home, &cut).unwrap();
        assert!(changes[0].offset >= 100_000 + (2 << 20), "{}", changes[0].offset);
    }

    #[test]
    fn nothing_to_damage_is_said() {
        let error = |content: &[u8]| plan(&place(content).home, &a_plan(HARMS[0], None)).unwrap_err();
        assert!(error(&[]).contains("holds anything to damage") && error(&[0; 5000]).contains("holds anything"));
        let place = place(b"x");
        assert!(plan(&place.home, &Plan { directory: "/etc".into(), ..a_plan(HARMS[0], None) }).unwrap_err().contains("refused"));
    }
}
