//! Contradictions among ops on a key whose changes are numbered, where each other update may take effect as often as it likes.
//!
//! Revisions grow with every change, so the states have no end. They are told apart as far as the needed ops can: of a value that no
//! needed op finds, nothing; of a revision that no needed op saw, only how small it may be. Of two states with the same value the one
//! whose revision may be as small can do all that the other can. What is merged can only allow more, so that a contradiction stands.

use super::{Claims, Effort, FxSet, Unanswered};
use crate::model::{Deed, Model};
use histories::ValueId;

/// Whether no order of the needed ops exists, see [`Claims::contradict`].
pub(super) fn contradict<M: Model>(claims: &Claims<'_, M>, is_needed: &[bool], effort: &mut Effort<'_>) -> Result<bool, Unanswered> {
    let names = Names::new(claims, is_needed, effort)?;
    let start = names.holds(ValueId::NIL, Revision::Exactly(0));
    let mut sweep = Sweep { claims, names, others: Vec::new(), in_flight: Vec::new(), free_slots: u64::MAX, reached: vec![(start, 0)] };
    for &(at, index) in &claims.events {
        effort.account.work(1)?;
        let item = claims.ops[index as usize];
        let needed = is_needed[index as usize];
        if !needed && !sweep.names.matters(claims.deed(item.kind)) {
            continue;
        }
        match (at == item.call, needed) {
            (true, true) => sweep.open_needed(index, effort)?,
            (true, false) => sweep.open_other(item.kind, effort)?,
            (false, true) => sweep.close_needed(index),
            (false, false) => sweep.close_other(item.kind),
        }
        if sweep.reached.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Follows everything that can be, event by event.
struct Sweep<'c, 'a, M: Model> {
    claims: &'c Claims<'a, M>,
    names: Names,
    /// Kinds of other ops in flight, and how many there are of each.
    others: Vec<(u32, u32)>,
    /// Needed ops in flight: (op, slot).
    in_flight: Vec<(u32, u32)>,
    free_slots: u64,
    /// What can be at this moment, and which of the needed ops in flight are done then.
    reached: Vec<(Holds, u64)>,
}

impl<M: Model> Sweep<'_, '_, M> {
    fn open_needed(&mut self, index: u32, effort: &mut Effort<'_>) -> Result<(), Unanswered> {
        if self.free_slots == 0 {
            return Err(Unanswered::TooHard);
        }
        let slot = self.free_slots.trailing_zeros();
        self.free_slots &= !(1 << slot);
        self.in_flight.push((index, slot));
        self.everything_again(effort)
    }

    fn open_other(&mut self, kind: u32, effort: &mut Effort<'_>) -> Result<(), Unanswered> {
        if let Some(open) = self.others.iter_mut().find(|open| open.0 == kind) {
            open.1 += 1;
            return Ok(());
        }
        self.others.push((kind, 1));
        self.everything_again(effort)
    }

    fn close_other(&mut self, kind: u32) {
        for open in self.others.iter_mut().filter(|open| open.0 == kind) {
            open.1 -= 1;
        }
        self.others.retain(|open| open.1 > 0);
    }

    fn close_needed(&mut self, index: u32) {
        let Some(place) = self.in_flight.iter().position(|f| f.0 == index) else { return };
        let bit = 1u64 << self.in_flight.swap_remove(place).1;
        self.free_slots |= bit;
        self.reached.retain(|reached| reached.1 & bit != 0);
        for reached in &mut self.reached {
            reached.1 &= !bit;
        }
    }

    /// Takes all steps from all that is reached, until nothing new is.
    fn everything_again(&mut self, effort: &mut Effort<'_>) -> Result<(), Unanswered> {
        let mut at = 0;
        while let Some(&(before, done)) = self.reached.get(at) {
            let others = self.others.iter().map(|open| (open.0, done));
            let needed = self.in_flight.iter().map(|&(op, slot)| (self.claims.ops[op as usize].kind, 1u64 << slot));
            let needed = needed.filter(|(_, bit)| done & bit == 0).map(|(kind, bit)| (kind, done | bit));
            let next: Vec<(Holds, u64)> = (others.chain(needed))
                .flat_map(|(kind, done)| {
                    self.names.steps(before, self.claims.deed(kind)).into_iter().flatten().map(move |next| (next, done))
                })
                .collect();
            effort.take(1 + (self.others.len() + self.in_flight.len() + next.len() * self.reached.len()) as u64)?;
            effort.account.hold((self.reached.len() + next.len()) * 2 * size_of::<(Holds, u64)>())?;
            for (next, done) in next {
                if !self.reached.iter().any(|known| known.1 == done && known.0.covers(next)) {
                    self.reached.push((next, done));
                }
            }
            at += 1;
        }
        Ok(())
    }
}

/// What the needed ops can tell apart.
pub(super) struct Names {
    values: FxSet<ValueId>,
    shown: FxSet<(ValueId, i64)>,
    /// Somebody saw the revision at which the key was emptied: then it matters what was there before.
    all_matter: bool,
}

impl Names {
    pub(super) fn new<M: Model>(claims: &Claims<'_, M>, is_needed: &[bool], effort: &mut Effort<'_>) -> Result<Names, Unanswered> {
        let mut names = Names { values: FxSet::default(), shown: FxSet::default(), all_matter: false };
        for (item, _) in claims.ops.iter().zip(is_needed).filter(|(_, needed)| **needed) {
            match claims.deed(item.kind) {
                Deed::Show(value, revision) => {
                    names.values.insert(value);
                    names.shown.extend(revision.map(|revision| (value, revision)));
                    names.all_matter |= value.is_nil() && revision.is_some();
                }
                Deed::Store { from: Some(from), .. } => {
                    names.values.insert(from);
                }
                // Where there is nothing to delete, any revision may be told.
                Deed::Clear(Some(_)) => {
                    names.values.insert(ValueId::NIL);
                }
                _ => {}
            }
        }
        // What leads to a value that is named by way of a cas.
        loop {
            effort.take(1 + claims.kinds.len() as u64 / 8)?;
            let known = names.values.len();
            for kind in 0..claims.kinds.len() as u32 {
                if let Deed::Store { from: Some(from), to, .. } = claims.deed(kind)
                    && names.values.contains(&to)
                {
                    names.values.insert(from);
                }
            }
            if names.values.len() == known {
                return Ok(names);
            }
        }
    }

    /// Whether another op makes a difference.
    pub(super) fn matters(&self, deed: Deed) -> bool {
        match deed {
            Deed::Store { to, .. } => self.all_matter || self.values.contains(&to),
            Deed::Clear(_) => self.all_matter || self.values.contains(&ValueId::NIL),
            _ => false,
        }
    }

    fn holds(&self, value: ValueId, revision: Revision) -> Holds {
        let revision = match revision {
            Revision::Exactly(exactly) if !self.shows(value, exactly) => Revision::Unseen(exactly),
            other => other,
        };
        Holds { value: self.values.contains(&value).then_some(value), revision }
    }

    fn shows(&self, value: ValueId, revision: i128) -> bool {
        i64::try_from(revision).is_ok_and(|revision| self.shown.contains(&(value, revision)))
    }

    /// What an op can lead to.
    fn steps(&self, before: Holds, deed: Deed) -> [Option<Holds>; 2] {
        let changed = |value, known: Option<i64>| {
            let least = before.revision.least();
            match known.map(i128::from) {
                None => Some(self.holds(value, Revision::AtLeast(least + 1))),
                Some(known) => (known > least).then(|| self.holds(value, Revision::Exactly(known))),
            }
        };
        match deed {
            Deed::Show(value, None) => [(before.value == Some(value)).then_some(before), None],
            Deed::Show(value, Some(seen)) => {
                let seen = i128::from(seen);
                let fits = match before.revision {
                    Revision::Exactly(known) => known == seen,
                    Revision::AtLeast(least) => least <= seen,
                    Revision::Unseen(_) => false,
                };
                [(fits && before.value == Some(value)).then(|| self.holds(value, Revision::Exactly(seen))), None]
            }
            Deed::Store { from: Some(from), .. } if before.value != Some(from) => [None, None],
            Deed::Store { to, revision, .. } => [changed(to, revision), None],
            Deed::Clear(revision) => {
                let may_hold_nothing = before.value.map_or(!self.values.contains(&ValueId::NIL), ValueId::is_nil);
                [may_hold_nothing.then_some(before), changed(ValueId::NIL, revision)]
            }
            _ => [Some(before), None],
        }
    }
}

/// What the key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holds {
    /// The value, if it is one that is named.
    value: Option<ValueId>,
    revision: Revision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Revision {
    /// This one, which a needed op saw.
    Exactly(i128),
    /// Nobody knows which, from this on.
    AtLeast(i128),
    /// One from this on that no needed op saw.
    Unseen(i128),
}

impl Revision {
    fn least(self) -> i128 {
        let (Revision::Exactly(least) | Revision::AtLeast(least) | Revision::Unseen(least)) = self;
        least
    }
}

impl Holds {
    /// Whether this one can do all that the other can.
    fn covers(self, other: Holds) -> bool {
        self.value == other.value
            && match (self.revision, other.revision) {
                (Revision::AtLeast(_), _) | (_, Revision::Unseen(_)) => self.revision.least() <= other.revision.least(),
                (Revision::Exactly(mine), Revision::Exactly(theirs)) => mine == theirs,
                (Revision::Exactly(_) | Revision::Unseen(_), _) => false,
            }
    }
}
