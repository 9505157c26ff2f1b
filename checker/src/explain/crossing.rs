//! Two values that would each have to come before the other.
//!
//! A value that is stored once is there during one stretch of time: from the op that stores it to the op that replaces it. Two
//! such stretches do not overlap (they touch where a cas leads from one value to the other), so one of them comes first. If an
//! op that touches A (stores it or sees it) had completed before one that touches B was invoked, A comes first; if the same
//! holds the other way round, B does. Both cannot be: a contradiction of at most four ops, and the condition of Gibbons and
//! Korach (1997, section 3) that no two forward zones overlap and no backward zone lies in a forward one.
//!
//! The initial value, if nothing stores it again, comes before everything.

use super::Explainer;
use crate::budget::{Account, Limit};
use crate::decode::NEVER;
use crate::interner::Interner;
use crate::linear::problem::Entry;
use crate::model::Model;

/// The contradiction, as ops: `before` touches the old value and had completed before `newer_last`, which touches the newer
/// one, was invoked; `newer` touches the newer one and had completed before `stuck`, which sees the old one, was invoked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crossing {
    /// Touches the old value. `None` if that is the initial one.
    pub before: Option<Entry>,
    /// Touches the newer value, the last to be invoked.
    pub newer_last: Entry,
    /// Touches the newer value, the first to complete.
    pub newer: Entry,
    /// Sees the old value, the last to be invoked.
    pub stuck: Entry,
    /// Stores the old value.
    pub old_source: Option<Entry>,
    /// Stores the newer value.
    pub newer_source: Entry,
}

impl Crossing {
    /// Whether the op that sees the old value is the last to be invoked. Two values cross both ways; told in this way round,
    /// the story goes forward in time.
    fn ends_with_stuck(&self) -> bool {
        self.newer_last.call <= self.stuck.call && self.before.is_none_or(|before| before.call <= self.stuck.call)
    }

    /// The ops, each once, in the order of their invocations; with those that store the values, if asked for.
    pub(crate) fn ops(&self, with_sources: bool) -> Vec<Entry> {
        let mut ops = vec![self.newer_last, self.newer, self.stuck];
        ops.extend(self.before);
        if with_sources {
            ops.push(self.newer_source);
            ops.extend(self.old_source);
        }
        ops.sort_unstable_by_key(|e| e.call);
        ops.dedup();
        ops
    }
}

/// All that touches one value.
struct Cluster {
    /// How many ops store it; the beginning counts for the initial value.
    sources: u32,
    source: Option<Entry>,
    /// Of all, the first to complete.
    first: Option<Entry>,
    /// Of all, the last to be invoked.
    last: Option<Entry>,
    /// Of those that see it, the last to be invoked.
    last_seen: Option<Entry>,
}

impl Cluster {
    fn new() -> Cluster {
        Cluster { sources: 0, source: None, first: None, last: None, last_seen: None }
    }

    fn touch(&mut self, entry: Entry) {
        if entry.ret != NEVER && self.first.is_none_or(|first| entry.ret < first.ret) {
            self.first = Some(entry);
        }
        if self.last.is_none_or(|last| entry.call > last.call) {
            self.last = Some(entry);
        }
    }

    fn see(&mut self, entry: Entry) {
        self.touch(entry);
        // An op of unknown outcome need not have seen anything.
        if entry.ret != NEVER && self.last_seen.is_none_or(|last| entry.call > last.call) {
            self.last_seen = Some(entry);
        }
    }
}

/// The clusters of the values of one key, in the order of their first appearance.
struct Clusters<S> {
    number: Interner<S>,
    list: Vec<Cluster>,
}

impl<S: std::hash::Hash + Eq + Clone> Clusters<S> {
    fn of(&mut self, own: Option<u64>, state: &S) -> &mut Cluster {
        let next = self.list.len();
        let number = self.number.number(own, state, next as u32) as usize;
        if number == next {
            self.list.push(Cluster::new());
        }
        &mut self.list[number]
    }
}

impl<M: Model> Explainer<'_, M> {
    /// A crossing of a value that one of `needed` touches with any other: told forward in time if possible, of the
    /// fewest ops, the earliest. Only ops invoked before `end` count. O(ops + needed × values).
    ///
    /// # Errors
    /// The budget ended.
    pub(crate) fn crossing(&self, needed: &[Entry], end: u32, account: &mut Account<'_>) -> Result<Option<Crossing>, Limit> {
        let Some(clusters) = self.clusters(end, account)? else { return Ok(None) };
        let touched = needed.iter().flat_map(|&e| [self.seen(e), self.left_behind(e)]).flatten();
        let mut olds: Vec<usize> =
            touched.filter_map(|state| clusters.number.get(self.model.state_number(&state), &state)).map(|n| n as usize).collect();
        olds.sort_unstable();
        olds.dedup();
        let initial = self.model.init();
        let initial = clusters.number.get(self.model.state_number(&initial), &initial).map(|n| n as usize);
        account.work((olds.len() * clusters.list.len()) as u64)?;
        let pairs = olds.iter().flat_map(|&a| (0..clusters.list.len()).filter(move |&b| b != a).flat_map(move |b| [(a, b), (b, a)]));
        Ok(pairs.filter_map(|(old, newer)| crossing(&clusters.list[old], &clusters.list[newer], initial == Some(old))).min_by_key(
            |found| (!found.ends_with_stuck(), found.ops(false).len(), found.stuck.ret, found.newer.ret, found.newer_last.call),
        ))
    }

    /// `None` if an op sees or leaves more than one state: then nothing here applies.
    fn clusters(&self, end: u32, account: &mut Account<'_>) -> Result<Option<Clusters<M::State>>, Limit> {
        // Each class may have a value of its own; lists double.
        account
            .hold(self.problem.classes.len() * (3 * size_of::<Cluster>() + 3 * size_of::<(M::State, u32)>() + 12 * size_of::<u32>()) / 2)?;
        let mut clusters = Clusters { number: Interner::new(self.problem.classes.len()), list: Vec::new() };
        let of = |state: &M::State| self.model.state_number(state);
        let initial = self.model.init();
        clusters.of(of(&initial), &initial).sources = 1;
        for &entry in self.problem.entries.iter().filter(|e| e.call < end) {
            account.work(8)?;
            let (seen, left) = (self.seen(entry), self.left_behind(entry));
            if let Some(state) = &seen {
                clusters.of(of(state), state).see(entry);
            }
            if self.is_pure(entry) {
                continue;
            }
            let Some(left) = left else { return Ok(None) };
            let cluster = clusters.of(of(&left), &left);
            cluster.touch(entry);
            cluster.sources += 1;
            cluster.source = Some(entry);
        }
        Ok(Some(clusters))
    }
}

fn crossing(old: &Cluster, newer: &Cluster, old_is_initial: bool) -> Option<Crossing> {
    if old.sources != 1 || newer.sources != 1 {
        return None;
    }
    let (stuck, in_place, newer_last, newer_source) = (old.last_seen?, newer.first?, newer.last?, newer.source?);
    let before = if old_is_initial { None } else { Some(old.first?) };
    let comes_first = before.is_none_or(|before| before.ret < newer_last.call);
    (comes_first && in_place.ret < stuck.call).then_some(Crossing {
        before,
        // If one op shows both, it is enough.
        newer_last: if before.is_none_or(|before| before.ret < in_place.call) { in_place } else { newer_last },
        newer: in_place,
        stuck,
        old_source: old.source,
        newer_source,
    })
}
