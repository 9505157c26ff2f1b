//! The second look at registers with cas: sets of values that were left more often than they can have been come to.
//!
//! For a set of values, count how often one of them can have been stored where none of them was: once at first if the initial value
//! is one of them, once for each write of one of them, and once for each cas that finds another value and stores one of them; of
//! unknown outcome or not. Each needed cas that finds one of them and stores another value leaves the set, and so does the end if
//! it is one of them. What is left more often than it was come to, has no order.
//!
//! If nothing comes to the set at all, no cas can find one of its values; and if only the beginning does, what happened outside
//! of it came later than all that happened in it.

use crate::convergence::decode::Act;
use histories::ValueId;
use std::collections::{BTreeMap, BTreeSet};

/// A value, or the initial one.
pub(super) type Held = Option<ValueId>;

/// Up to how many values all sets of them are looked at.
const VALUES_MAX: usize = 10;

/// What may have happened to a register, and what must have.
pub(super) struct Register<'a> {
    /// All that was attempted and did not fail.
    pub(super) attempted: Vec<Act>,
    /// What certainly happened.
    pub(super) needed: Vec<Act>,
    /// What was read in the end.
    pub(super) last: Option<ValueId>,
    /// Whether a value is the initial one.
    pub(super) is_initial: &'a dyn Fn(ValueId) -> bool,
}

impl Register<'_> {
    fn held(&self, value: ValueId) -> Held {
        Some(value).filter(|&value| !(self.is_initial)(value))
    }

    /// What an act finds, if it is a cas, and what it stores.
    fn ends(&self, act: Act) -> Option<(Option<Held>, Held)> {
        match act {
            Act::Write(value) => Some((None, self.held(value))),
            Act::Replace(old, new) => Some((Some(self.held(old)), self.held(new))),
            Act::Extend | Act::Add(_) | Act::Remove(_) | Act::Increase(_) => None,
        }
    }

    /// Whether one of the sets that are looked at shows that there is no order.
    pub(super) fn has_no_order(&self) -> bool {
        let of = |acts: &[Act]| acts.iter().filter_map(|&act| self.ends(act)).collect::<Vec<_>>();
        let (attempted, needed) = (of(&self.attempted), of(&self.needed));
        let last = self.last.map(|value| self.held(value));
        let begins: BTreeSet<Held> = needed.iter().filter_map(|ends| ends.0).chain(last).collect();
        let found: BTreeSet<Held> = attempted.iter().filter_map(|ends| ends.0).chain(last).collect();
        let mut sets: Vec<BTreeSet<Held>> = Vec::new();
        let mut leads_to: BTreeMap<Held, Vec<Held>> = BTreeMap::new();
        for &(old, new) in &attempted {
            leads_to.entry(new).or_default().extend(old);
        }
        for &value in &begins {
            sets.extend([BTreeSet::from([value]), that_lead_to(value, &leads_to)]);
        }
        if found.len() <= VALUES_MAX {
            let chosen = |mask: usize| found.iter().enumerate().filter(move |(at, _)| mask >> at & 1 == 1).map(|(_, value)| *value);
            sets.extend((1..1_usize << found.len()).map(|mask| chosen(mask).collect()));
        }
        sets.iter().any(|set| is_left_too_often(set, &attempted, &needed, last))
    }
}

/// All values from which cas lead to a value, and it.
fn that_lead_to(value: Held, leads_to: &BTreeMap<Held, Vec<Held>>) -> BTreeSet<Held> {
    let (mut set, mut todo) = (BTreeSet::new(), vec![value]);
    while let Some(value) = todo.pop() {
        if set.insert(value) {
            todo.extend(leads_to.get(&value).into_iter().flatten());
        }
    }
    set
}

fn is_left_too_often(
    set: &BTreeSet<Held>,
    attempted: &[(Option<Held>, Held)],
    needed: &[(Option<Held>, Held)],
    last: Option<Held>,
) -> bool {
    let has = |value: &Held| set.contains(value);
    let begins_here = has(&None);
    let stores = attempted.iter().filter(|(old, new)| has(new) && !old.as_ref().is_some_and(has)).count();
    let ends_here = last.as_ref().is_some_and(has);
    let leaves = needed.iter().filter(|(old, new)| old.as_ref().is_some_and(has) && !has(new)).count();
    if leaves + usize::from(ends_here) > stores + usize::from(begins_here) {
        return true;
    }
    match (begins_here, stores) {
        (false, 0) => needed.iter().any(|(old, _)| old.as_ref().is_some_and(has)),
        (true, 0) => ends_here && needed.iter().any(|(old, new)| !has(new) || old.as_ref().is_some_and(|old| !has(old))),
        _ => false,
    }
}
