//! Keys whose changes are numbered (etcd): the numbers are an order of the changes, so only the unknown ones are left to be placed.
//!
//! # The idea
//! (Ours.) Each change of a key has a revision greater than that of the change before. So whoever tells a revision tells its
//! place: the ops that tell one and the same are a *version*, namely the change that stored it and those that saw it, and the
//! versions follow one another by revision; reads of a key that holds nothing come before all of them. A history can be ordered exactly if
//!
//! 1. a version has one change and one value, and its revision is that of a change (1 or more);
//! 2. nobody of a later version returned before one of an earlier version was invoked, and no sight of a version returned before
//!    its change was invoked;
//! 3. every *demand* is met by an op of unknown outcome, each by another one. A version that was only seen demands one that stored
//!    it. A cas that found another value than that of the version before it demands one that stored what it found, in between:
//!    that needs a revision between the two that nobody told, and gets whichever is missing.
//!
//! **Who meets which demand.** An op of unknown outcome returns never, so all that is asked of its time is that it was invoked before
//! anybody of this version or a later one returned: the *deadline*, which grows along the order. A put of the value can meet any
//! demand for it, a cas only one that finds its old value in the version before. So go by deadline, take a cas if one fits, else a
//! put. *Why:* let an assignment meet all demands and differ at this one. What we take was invoked before this deadline, hence
//! before all later ones; so the two can be exchanged where the other is used later, for a put fits everywhere that a cas does.
//! Where nothing fits, and everything that stores the value and was invoked in time is in use, there are more demands for it than
//! such ops. Where there is one left that finds another value, a chain of several may do: that is left to the search.
//!
//! Ops of unknown outcome that meet no demand are left out: whatever came after them is as legal without. (Reads that came after a
//! delete would miss it; where there may be such, and where ops that returned keep their revision to themselves, nothing is said here.)
//! Besides the sorting, which is linear where the numbers grow with time as they do, everything takes linear time.

use super::{FxMap, NONE, No, Ops};
use crate::budget::Account;
use crate::decode::NEVER;
use crate::model::Deed;
use histories::{OpId, ValueId};
use std::collections::{BTreeMap, VecDeque};

pub(super) fn decide(ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let told = Told::new(ops, account)?;
    let versions = told.versions(ops, account)?;
    check_times(ops, &told.of_nothing, &versions, account)?;
    let deadlines = deadlines(ops, &versions);
    let mut unknown = Unknown::new(ops, account)?;
    let mut order = told.of_nothing.clone();
    let mut before = Before { value: ValueId::NIL, revision: 0, shown_by: NONE };
    for (version, &deadline) in versions.iter().zip(&deadlines) {
        account.work(8)?;
        let at = Place { before, version, deadline };
        if version.source == NONE {
            order.push(unknown.source(ops, &at)?);
        } else {
            order.extend(unknown.filler(ops, &at)?);
            order.push(version.source);
        }
        order.extend(&version.sights);
        let shown_by = version.sights.first().copied().unwrap_or(version.source);
        before = Before { value: version.value, revision: version.revision, shown_by };
    }
    Ok(order.into_iter().map(|entry| ops.id(entry)).collect())
}

/// What ops of known outcome tell.
struct Told {
    /// Reads of a key that holds nothing, by invocation.
    of_nothing: Vec<u32>,
    /// Revisions that were told, each with the one who did.
    by_revision: Vec<(i64, u32)>,
}

impl Told {
    fn new(ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Told, No> {
        let mut told = Told { of_nothing: Vec::new(), by_revision: Vec::new() };
        // Whether the key may hold nothing again, and whether anybody would notice.
        let (mut is_cleared, mut finds_nothing) = (false, false);
        for (i, entry) in (0..).zip(&ops.entries) {
            account.work(2)?;
            match (ops.deed(i), entry.is_crashed()) {
                (Deed::Show(..), true) => {}
                (Deed::Show(value, None), false) if value.is_nil() => told.of_nothing.push(i),
                (Deed::Show(value, _) | Deed::Store { to: value, .. }, _) if value.is_nil() => return Err(No::Open),
                (Deed::Show(_, Some(revision)) | Deed::Store { revision: Some(revision), .. }, false) => {
                    told.by_revision.push((revision, i));
                }
                (Deed::Store { .. }, true) => {}
                (Deed::Clear(_), true) => is_cleared = true,
                _ => return Err(No::Open),
            }
            finds_nothing |= matches!(ops.deed(i), Deed::Store { from: Some(from), .. } if from.is_nil());
        }
        if is_cleared && (finds_nothing || !told.of_nothing.is_empty()) {
            return Err(No::Open);
        }
        // Entries are in the order of their invocations, which stays among those of one revision.
        account.work(8 * told.by_revision.len() as u64)?;
        told.by_revision.sort_by_key(|told| told.0);
        Ok(told)
    }

    /// The ops that tell of one revision, together, for each revision.
    fn versions(&self, ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Vec<Version>, No> {
        let mut versions = Vec::new();
        for group in self.by_revision.chunk_by(|a, b| a.0 == b.0) {
            account.work(2 * group.len() as u64)?;
            let (revision, first) = group[0];
            let value = |i: u32| match ops.deed(i) {
                Deed::Show(value, _) | Deed::Store { to: value, .. } => value,
                _ => ValueId::NIL,
            };
            let mut version = Version { revision, value: value(first), source: NONE, sights: Vec::new() };
            for &(_, i) in group {
                let is_source = matches!(ops.deed(i), Deed::Store { .. });
                if revision < 1 {
                    return Err(No::Broken(vec![i]));
                }
                if value(i) != version.value || is_source && version.source != NONE {
                    return Err(No::Broken(vec![if is_source && version.source != NONE { version.source } else { first }, i]));
                }
                if is_source {
                    version.source = i;
                } else {
                    version.sights.push(i);
                }
            }
            versions.push(version);
        }
        Ok(versions)
    }
}

/// A change of the key of which the revision is known, and those who saw it.
struct Version {
    revision: i64,
    value: ValueId,
    /// The change, if its outcome is known.
    source: u32,
    /// By invocation.
    sights: Vec<u32>,
}

impl Version {
    fn ops(&self) -> impl Iterator<Item = u32> {
        self.sights.iter().copied().chain((self.source != NONE).then_some(self.source))
    }
}

/// Rule 2.
fn check_times(ops: &Ops<'_>, of_nothing: &[u32], versions: &[Version], account: &mut Account<'_>) -> Result<(), No> {
    let call = |i: u32| ops.entries[i as usize].call;
    let ret = |i: u32| ops.entries[i as usize].ret;
    let mut latest = of_nothing.last().copied();
    for version in versions {
        account.work(1 + version.sights.len() as u64)?;
        for i in version.ops() {
            let late = latest.filter(|&latest| ret(i) < call(latest));
            let late = late.or((version.source != NONE && ret(i) < call(version.source)).then_some(version.source));
            if let Some(late) = late {
                return Err(No::Broken(vec![late, i]));
            }
        }
        latest = version.ops().chain(latest).max_by_key(|&i| call(i));
    }
    Ok(())
}

/// By version, the op of it or of a later one that returns first.
fn deadlines(ops: &Ops<'_>, versions: &[Version]) -> Vec<u32> {
    let mut first = NONE;
    let mut deadlines: Vec<u32> = Vec::with_capacity(versions.len());
    for version in versions.iter().rev() {
        let known = (first != NONE).then_some(first);
        first = version.ops().chain(known).min_by_key(|&i| ops.entries[i as usize].ret).unwrap_or(NONE);
        deadlines.push(first);
    }
    deadlines.reverse();
    deadlines
}

/// The version before.
#[derive(Clone, Copy)]
struct Before {
    value: ValueId,
    revision: i64,
    /// One who tells so; [`NONE`] if it is the beginning.
    shown_by: u32,
}

/// Where something is missing.
struct Place<'v> {
    before: Before,
    version: &'v Version,
    /// The op that returns first of this version and the later ones.
    deadline: u32,
}

/// Updates of unknown outcome that nobody needed so far.
struct Unknown {
    /// By what they store, by what they find; in the order of their invocations.
    of: FxMap<ValueId, FxMap<Option<ValueId>, VecDeque<u32>>>,
    /// Where a history is cut off, some have not returned of which the revision is known.
    known: BTreeMap<i64, u32>,
    /// By value, who demanded it: what shows so, and the deadlines.
    demanded: FxMap<ValueId, Vec<u32>>,
}

impl Unknown {
    fn new(ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Unknown, No> {
        let mut unknown = Unknown { of: FxMap::default(), known: BTreeMap::new(), demanded: FxMap::default() };
        for (i, entry) in (0..).zip(&ops.entries) {
            account.work(2)?;
            match ops.deed(i) {
                Deed::Store { from, to, revision: None } if entry.ret == NEVER => {
                    unknown.of.entry(to).or_default().entry(from).or_default().push_back(i);
                }
                // Two of one revision cannot both have happened, and either may have.
                Deed::Store { revision: Some(revision), .. } if entry.ret == NEVER && unknown.known.insert(revision, i).is_some() => {
                    return Err(No::Open);
                }
                _ => {}
            }
        }
        Ok(unknown)
    }

    /// The op that stored a version which was only seen.
    fn source(&mut self, ops: &Ops<'_>, at: &Place<'_>) -> Result<u32, No> {
        if let Some(&known) = self.known.get(&at.version.revision) {
            let Deed::Store { from, to, .. } = ops.deed(known) else { return Err(No::Open) };
            let fits = to == at.version.value && from.is_none_or(|from| from == at.before.value) && is_in_time(ops, known, at);
            return if fits { Ok(known) } else { Err(No::Open) };
        }
        self.meet(ops, at, at.version.value, &at.version.sights[..1])
    }

    /// What must come between the version before and a cas that found something else.
    fn filler(&mut self, ops: &Ops<'_>, at: &Place<'_>) -> Result<Option<u32>, No> {
        let Deed::Store { from: Some(from), .. } = ops.deed(at.version.source) else { return Ok(None) };
        if from == at.before.value {
            return Ok(None);
        }
        let between = (at.before.revision + 1)..at.version.revision;
        if between.is_empty() {
            return Err(No::Broken(vec![at.before.shown_by, at.version.source]));
        }
        let mut known =
            self.known.range(between).map(|known| *known.1).filter(|&i| matches!(ops.deed(i), Deed::Store { to, .. } if to == from));
        if let Some(known) = known.next_back() {
            let Deed::Store { from, .. } = ops.deed(known) else { return Err(No::Open) };
            let fits = from.is_none_or(|from| from == at.before.value) && is_in_time(ops, known, at);
            return if fits { Ok(Some(known)) } else { Err(No::Open) };
        }
        self.meet(ops, at, from, &[at.version.source, at.before.shown_by]).map(Some)
    }

    /// An op that stores the value, and was invoked before the deadline. `shown_by` shows that there must be one.
    fn meet(&mut self, ops: &Ops<'_>, at: &Place<'_>, value: ValueId, shown_by: &[u32]) -> Result<u32, No> {
        let demanded = self.demanded.entry(value).or_default();
        demanded.extend(shown_by);
        demanded.push(at.deadline);
        if let Some(unknown) = self.of.get_mut(&value) {
            for finds in [Some(at.before.value), None] {
                let queue = unknown.get_mut(&finds);
                if let Some(met) = queue.and_then(|queue| queue.pop_front_if(|&mut first| is_in_time(ops, first, at))) {
                    return Ok(met);
                }
            }
            if unknown.values().flatten().any(|&left| is_in_time(ops, left, at)) {
                return Err(No::Open);
            }
        }
        Err(No::Broken(demanded.clone()))
    }
}

fn is_in_time(ops: &Ops<'_>, unknown: u32, at: &Place<'_>) -> bool {
    ops.entries[unknown as usize].call < ops.entries[at.deadline as usize].ret
}
