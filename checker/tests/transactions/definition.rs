//! The definitions of the levels, by trying everything.

use histories::Outcome;
use rashomon_checker::Isolation;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum F {
    Read,
    Write,
}

/// A read with all values of the list (of a register at most one), or a write of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) f: F,
    pub(super) key: i64,
    pub(super) values: Vec<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) parts: Vec<Part>,
    pub(super) outcome: Outcome,
    pub(super) session: i64,
    pub(super) invoke: u32,
    pub(super) complete: u32,
}

use Isolation as I;

/// Whether the level is one of runs: of serial orders or of snapshots.
pub(super) fn is_run(level: I) -> bool {
    is_serial(level) || is_snapshot(level)
}

fn is_serial(level: I) -> bool {
    matches!(level, I::StrictSerializable | I::StrongSessionSerializable | I::Serializable | I::RepeatableRead)
}

fn is_snapshot(level: I) -> bool {
    matches!(level, I::StrongSnapshotIsolation | I::StrongSessionSnapshotIsolation | I::SnapshotIsolation)
}

/// Whether a history keeps a level: for some choice of those of unknown outcome that happened.
pub(super) fn keeps(all: &[Transaction], is_lists: bool, level: I) -> bool {
    let unknown: Vec<usize> = (0..all.len()).filter(|&at| all[at].outcome == Outcome::Info).collect();
    (0..1_usize << unknown.len()).any(|choice| {
        let is_chosen = |at: usize| unknown.iter().position(|&other| other == at).is_some_and(|bit| choice >> bit & 1 == 1);
        let here: Vec<usize> = (0..all.len()).filter(|&at| all[at].outcome == Outcome::Ok || is_chosen(at)).collect();
        let world = World { all, here, is_lists, level };
        if is_run(level) {
            world.has_run(&mut vec![0; all.len()], &mut Vec::new(), &BTreeMap::new())
        } else {
            world.has_order(&mut Vec::new())
        }
    })
}

struct World<'a> {
    all: &'a [Transaction],
    here: Vec<usize>,
    is_lists: bool,
    level: I,
}

type State = BTreeMap<i64, Vec<i64>>;

impl World<'_> {
    fn reads_hold(&self, at: usize, state: &State) -> bool {
        let mut state = state.clone();
        self.all[at].parts.iter().all(|part| {
            let held = state.entry(part.key).or_default();
            match part.f {
                F::Read if self.all[at].outcome != Outcome::Ok => true,
                F::Read => *held == part.values,
                F::Write => {
                    self.write(held, part.values[0]);
                    true
                }
            }
        })
    }

    fn write(&self, held: &mut Vec<i64>, value: i64) {
        if !self.is_lists {
            held.clear();
        }
        held.push(value);
    }

    fn comes_before(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.all[a], &self.all[b]);
        let in_session = a.session == b.session && a.invoke < b.invoke && a.outcome == Outcome::Ok;
        let in_time = a.outcome == Outcome::Ok && a.complete < b.invoke;
        match self.level {
            I::StrictSerializable | I::StrongSnapshotIsolation => in_time || in_session,
            I::StrongSessionSerializable
            | I::StrongSessionSnapshotIsolation
            | I::TransactionalCausal
            | I::ReadAtomic
            | I::StrongSessionReadCommitted => in_session,
            _ => false,
        }
    }

    fn writes(&self, at: usize, key: i64) -> bool {
        self.all[at].parts.iter().any(|part| part.f == F::Write && part.key == key)
    }

    /// Starts and commits, one after the other; `stages`: 0 not started, 1 started, 2 committed.
    fn has_run(&self, stages: &mut Vec<u8>, open: &mut Vec<usize>, state: &State) -> bool {
        if self.here.iter().all(|&at| stages[at] == 2) {
            return true;
        }
        for &at in &self.here {
            let stage = stages[at];
            if stage == 0 {
                let is_next = self.here.iter().all(|&other| other == at || stages[other] == 2 || !self.comes_before(other, at));
                if !is_next || !self.reads_hold(at, state) || is_serial(self.level) && !open.is_empty() {
                    continue;
                }
                stages[at] = 1;
                open.push(at);
                let found = self.has_run(stages, open, state);
                open.retain(|&other| other != at);
                stages[at] = 0;
                if found {
                    return true;
                }
            } else if stage == 1 {
                // Who writes the same key and is open now could never commit.
                let keys: Vec<i64> = self.all[at].parts.iter().filter(|part| part.f == F::Write).map(|part| part.key).collect();
                if open.iter().any(|&other| other != at && keys.iter().any(|&key| self.writes(other, key))) {
                    continue;
                }
                let mut after = state.clone();
                for part in self.all[at].parts.iter().filter(|part| part.f == F::Write) {
                    self.write(after.entry(part.key).or_default(), part.values[0]);
                }
                stages[at] = 2;
                open.retain(|&other| other != at);
                let found = self.has_run(stages, open, &after);
                open.push(at);
                stages[at] = 1;
                if found {
                    return true;
                }
            }
        }
        false
    }

    fn has_order(&self, order: &mut Vec<usize>) -> bool {
        if order.len() == self.here.len() {
            return self.order_holds(order);
        }
        for &at in &self.here {
            if !order.contains(&at) {
                order.push(at);
                let found = self.has_order(order);
                order.pop();
                if found {
                    return true;
                }
            }
        }
        false
    }

    fn writer(&self, key: i64, value: i64) -> Option<usize> {
        (0..self.all.len()).find(|&at| self.all[at].parts.iter().any(|p| p.f == F::Write && p.key == key && p.values == [value]))
    }

    /// The external reads: the place among the parts, the key, and who wrote it.
    fn sources(&self, at: usize) -> Vec<(usize, i64, Option<usize>)> {
        let parts = &self.all[at].parts;
        let mut sources = Vec::new();
        for (place, part) in parts.iter().enumerate().filter(|(_, part)| part.f == F::Read && self.all[at].outcome == Outcome::Ok) {
            let own = parts[..place].iter().filter(|p| p.f == F::Write && p.key == part.key).count();
            if self.is_lists || own == 0 {
                let base = &part.values[..part.values.len() - own.min(part.values.len())];
                sources.push((place, part.key, base.last().and_then(|&value| self.writer(part.key, value))));
            }
        }
        sources
    }

    fn order_holds(&self, order: &[usize]) -> bool {
        let place = |at: usize| order.iter().position(|&other| other == at);
        let mut lists = State::new();
        for &at in order {
            for part in self.all[at].parts.iter().filter(|part| part.f == F::Write) {
                lists.entry(part.key).or_default().push(part.values[0]);
            }
        }
        order.iter().all(|&at| self.values_are_right(at, &lists))
            && (self.level == I::ReadUncommitted || order.iter().all(|&at| self.sources_are_right(at, &place)))
            && order.iter().all(|&a| order.iter().all(|&b| !self.comes_before(a, b) || place(a) < place(b)))
            && order.iter().all(|&at| self.nothing_is_missed(at, order, &place))
    }

    /// Own writes are read; all else was written by somebody else; lists are beginnings.
    fn values_are_right(&self, at: usize, lists: &State) -> bool {
        let parts = &self.all[at].parts;
        parts.iter().enumerate().filter(|(_, part)| part.f == F::Read && self.all[at].outcome == Outcome::Ok).all(|(place, part)| {
            let own: Vec<i64> = parts[..place].iter().filter(|p| p.f == F::Write && p.key == part.key).map(|p| p.values[0]).collect();
            if !self.is_lists && !own.is_empty() {
                return part.values.last() == own.last();
            }
            if !part.values.ends_with(&own) {
                return false;
            }
            let base = &part.values[..part.values.len() - own.len()];
            if !base.iter().all(|&value| self.writer(part.key, value).is_some_and(|writer| writer != at)) {
                return false;
            }
            if !self.is_lists {
                return true;
            }
            let is_failed = |value: &&i64| self.writer(part.key, **value).is_some_and(|writer| self.all[writer].outcome == Outcome::Fail);
            let after_failed = part.values.iter().skip_while(|value| !is_failed(value));
            let is_dirty = after_failed.clone().any(|value| !is_failed(&value));
            let kept: Vec<i64> = part.values.iter().filter(|value| !is_failed(value)).copied().collect();
            let whole = if self.level == I::ReadUncommitted { &kept } else { &part.values };
            !is_dirty && lists.get(&part.key).map_or(&[][..], Vec::as_slice).starts_with(whole)
        })
    }

    /// What was read was committed and final, and comes before.
    fn sources_are_right(&self, at: usize, place: &impl Fn(usize) -> Option<usize>) -> bool {
        self.sources(at).iter().all(|&(part, key, source)| {
            let Some(source) = source else { return true };
            let last = self.all[source].parts.iter().rfind(|p| p.f == F::Write && p.key == key).unwrap();
            let own = self.all[at].parts[..part].iter().filter(|p| p.f == F::Write && p.key == key).count();
            let read = &self.all[at].parts[part].values;
            place(source).is_some_and(|source| Some(source) < place(at)) && read[read.len() - 1 - own.min(read.len() - 1)] == last.values[0]
        })
    }

    fn nothing_is_missed(&self, at: usize, order: &[usize], place: &impl Fn(usize) -> Option<usize>) -> bool {
        if matches!(self.level, I::ReadCommitted | I::ReadUncommitted) {
            return true;
        }
        let sources = self.sources(at);
        let is_repeated = |a: &(usize, i64, Option<usize>)| sources.iter().any(|b| a.1 == b.1 && a.2 != b.2);
        if self.level != I::StrongSessionReadCommitted && sources.iter().any(is_repeated) {
            return false;
        }
        sources.iter().all(|&(part, key, source)| {
            order.iter().filter(|&&writer| writer != at && Some(writer) != source && self.writes(writer, key)).all(|&writer| {
                let is_visible = match self.level {
                    I::StrongSessionReadCommitted => sources.iter().any(|earlier| earlier.0 < part && earlier.2 == Some(writer)),
                    I::ReadAtomic => self.steps_to(writer, at),
                    _ => self.reaches(writer, at, &mut Vec::new()),
                };
                !is_visible || source.is_some_and(|source| place(writer) < place(source))
            })
        })
    }

    fn steps_to(&self, a: usize, b: usize) -> bool {
        a != b && (self.comes_before(a, b) || self.sources(b).iter().any(|source| source.2 == Some(a)))
    }

    fn reaches(&self, a: usize, b: usize, seen: &mut Vec<usize>) -> bool {
        self.here.iter().any(|&before| {
            self.steps_to(before, b)
                && (before == a || {
                    let is_new = !seen.contains(&before);
                    seen.push(before);
                    is_new && self.reaches(a, before, seen)
                })
        })
    }
}
