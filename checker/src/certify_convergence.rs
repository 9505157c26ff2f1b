//! The second look at answers on eventual consistency.
//!
//! As `certify` does for linearizability: which reads are final is found again, an order is replayed update by update on a plain
//! value, set, list or number, and a contradiction is established on its few ops alone. Nothing is shared with the procedure that
//! decides but the reading of ops. What a replicated data type adds is in `replicated`.

mod replicated;

use crate::convergence::decode::{Act, Fact, Objects, Seen};
use histories::history::NO_EVENT;
use histories::{History, OpId, Outcome, ValueId};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// The last event of an update of the history: its completion; its invocation, if it has none.
pub(crate) fn last_update(history: &History, objects: &Objects<'_>) -> Option<u32> {
    let mut facts = Vec::new();
    let mut last = None;
    for id in history.op_ids() {
        facts.clear();
        let op = history.op(id);
        if objects.decode(history, id, false, &mut facts).is_ok() && facts.iter().any(|(_, fact)| matches!(fact, Fact::Update(_))) {
            let ends = [op.invoke, op.complete].into_iter().filter(|&event| event != NO_EVENT);
            last = last.max(ends.max());
        }
    }
    last
}

/// The ops of one object, as the definition sees them.
pub(crate) struct Claims<'a> {
    history: &'a History,
    objects: &'a Objects<'a>,
    /// What each op changes, and whether it certainly did.
    updates: BTreeMap<OpId, (Vec<Act>, bool)>,
    /// The final reads.
    reads: BTreeMap<OpId, Seen>,
    /// All other `ok` reads, if it is of a replicated data type.
    early: Vec<OpId>,
    /// When the first add of each element began, once somebody has asked.
    begun: OnceCell<BTreeMap<ValueId, u32>>,
    key: ValueId,
}

/// What an object holds.
#[derive(PartialEq)]
enum State {
    /// A register before its first write.
    Initial,
    Value(ValueId),
    Set(BTreeSet<ValueId>),
    List(Vec<ValueId>),
    Number(i128),
}

/// Sums that are looked at one by one, at most.
const SUMS_MAX: usize = 1 << 16;

impl<'a> Claims<'a> {
    /// Reads the ops of the object `key`, all of which are among `ops`. `last` is [`last_update`].
    pub(crate) fn new(history: &'a History, objects: &'a Objects<'a>, key: ValueId, ops: &[OpId], last: Option<u32>) -> Claims<'a> {
        let mut claims =
            Claims { history, objects, updates: BTreeMap::new(), reads: BTreeMap::new(), early: Vec::new(), begun: OnceCell::new(), key };
        let mut last_read = BTreeMap::new();
        let mut facts = Vec::new();
        for &id in ops {
            facts.clear();
            let op = history.op(id);
            if objects.decode(history, id, false, &mut facts).is_err() {
                continue;
            }
            let is_done = history.outcome(op) == Outcome::Ok;
            for (_, fact) in facts.drain(..).filter(|fact| fact.0 == key) {
                match fact {
                    Fact::Update(act) => claims.updates.entry(id).or_insert((Vec::new(), is_done)).0.push(act),
                    Fact::Read(seen) if is_done && last.is_none_or(|last| op.invoke > last) => {
                        last_read.insert(history.op_process(op), (id, seen));
                    }
                    Fact::Read(_) => {}
                }
                if objects.data_type.is_some() && is_done && !claims.updates.contains_key(&id) {
                    claims.early.push(id);
                }
            }
        }
        claims.reads.extend(last_read.into_values());
        claims.early.retain(|id| !claims.reads.contains_key(id));
        claims
    }

    fn initial(&self) -> State {
        match self.objects.name() {
            "set" => State::Set(BTreeSet::new()),
            "list-append" => State::List(Vec::new()),
            "counter" => State::Number(self.objects.initial_number.into()),
            _ => State::Initial,
        }
    }

    /// Whether an order has each acknowledged update once, no other but those of unknown outcome, and ends in what every final
    /// read returned.
    pub(crate) fn explains(&self, order: &[OpId]) -> Result<(), String> {
        let (mut state, mut seen, mut reading) = (self.initial(), BTreeSet::new(), false);
        for id in order {
            if !seen.insert(*id) {
                return Err(format!("op {} is in the order twice", id.0));
            }
            if let Some(read) = self.reads.get(id) {
                reading = true;
                if !self.holds(&state, read) {
                    return Err(format!("op {} does not find its result at the end of the order", id.0));
                }
                continue;
            }
            let Some((acts, _)) = self.updates.get(id).filter(|_| !reading) else {
                return Err(format!("op {} does not belong here", id.0));
            };
            for act in acts {
                apply(&mut state, *act)?;
            }
        }
        let done = self.updates.iter().filter(|(_, update)| update.1).map(|(id, _)| id);
        match done.chain(self.reads.keys()).find(|id| !seen.contains(id)) {
            Some(missing) => Err(format!("op {} is missing from the order", missing.0)),
            None => self.objects.data_type.map_or(Ok(()), |data_type| replicated::explains(self, data_type, &seen)),
        }
    }

    fn holds(&self, state: &State, read: &Seen) -> bool {
        match (state, read) {
            (State::Initial, Seen::Value(value)) => self.objects.is_initial(self.history, *value),
            (State::Value(held), Seen::Value(value)) => held == value,
            (State::Set(held), Seen::Elements(seen)) => held.iter().eq(seen.iter()),
            (State::List(held), Seen::Elements(seen)) => held[..] == seen[..],
            (State::Number(held), Seen::Number(seen)) => *held == i128::from(*seen),
            _ => false,
        }
    }

    /// Whether no order explains the needed reads, if the needed updates took effect and each other one did or did not; a
    /// number is judged by all updates.
    ///
    /// # Errors
    /// An op that does not belong here, or too many sums to look at.
    pub(crate) fn contradict(&self, needed: &[OpId]) -> Result<bool, String> {
        if let Some(data_type) = self.objects.data_type {
            return replicated::contradict(self, data_type, needed);
        }
        let (mut reads, mut required) = (Vec::new(), Vec::new());
        for id in needed {
            match (self.reads.get(id), self.updates.get(id)) {
                (Some(seen), _) => reads.push(seen),
                (None, Some((acts, true))) => required.extend(acts.iter().copied()),
                _ => return Err(format!("op {} is no final read and no acknowledged update", id.0)),
            }
        }
        if reads.windows(2).any(|pair| pair[0] != pair[1]) {
            return Ok(true);
        }
        reads.first().map_or(Ok(false), |read| self.explained(read, &required).map(|explained| !explained))
    }

    fn explained(&self, read: &Seen, required: &[Act]) -> Result<bool, String> {
        let attempted = || self.updates.values().flat_map(|update| update.0.iter());
        let count = |act: Act| attempted().filter(|other| **other == act).count();
        match read {
            Seen::Value(value) => {
                let written = attempted().any(|act| matches!(act, Act::Extend) || *act == Act::Write(*value));
                Ok(written || required.is_empty() && self.objects.is_initial(self.history, *value))
            }
            Seen::Elements(seen) => {
                let of_required = required.iter().filter_map(|act| if let Act::Add(element) = act { Some(*element) } else { None });
                let mut times: BTreeMap<ValueId, (usize, usize)> = BTreeMap::new();
                for element in of_required {
                    times.entry(element).or_default().1 += 1;
                }
                // How often each was attempted is only counted where it may matter: elements are many.
                let mut adds: BTreeMap<ValueId, usize> = BTreeMap::new();
                for act in attempted() {
                    if let Act::Add(element) = act {
                        *adds.entry(*element).or_default() += 1;
                    }
                }
                for element in &**seen {
                    times.entry(*element).or_default().0 += 1;
                }
                Ok(times.iter().all(|(element, &(there, needed))| {
                    let possible = adds.get(element).copied().unwrap_or(0);
                    if self.objects.is_set() {
                        there <= possible.min(1) && (there > 0 || needed == 0 || count(Act::Remove(*element)) > 0)
                    } else {
                        there <= possible && there >= needed
                    }
                }))
            }
            Seen::Number(number) => self.can_sum_to(i128::from(*number)),
        }
    }

    fn can_sum_to(&self, number: i128) -> Result<bool, String> {
        let amount = |act: &Act| if let Act::Increase(amount) = act { i128::from(*amount) } else { 0 };
        let sums = |done: bool| self.updates.values().filter(move |update| update.1 == done).map(move |u| u.0.iter().map(amount).sum());
        let certain = i128::from(self.objects.initial_number) + sums(true).sum::<i128>();
        let uncertain: Vec<i128> = sums(false).collect();
        let bound = |sign: i128| certain + uncertain.iter().filter(|a| a.signum() == sign).sum::<i128>();
        if number < bound(-1) || number > bound(1) {
            return Ok(false);
        }
        let mut reachable = BTreeSet::from([certain]);
        for amount in uncertain {
            let more: Vec<i128> = reachable.iter().map(|sum| sum + amount).collect();
            reachable.extend(more);
            if reachable.contains(&number) {
                return Ok(true);
            }
            if reachable.len() > SUMS_MAX {
                return Err("too many sums are possible".into());
            }
        }
        Ok(reachable.contains(&number))
    }

    /// Whether none of the needed ops can be left out.
    ///
    /// # Errors
    /// As [`Claims::contradict`].
    pub(crate) fn is_minimal(&self, needed: &[OpId]) -> Result<bool, String> {
        for left_out in needed {
            let rest: Vec<OpId> = needed.iter().copied().filter(|op| op != left_out).collect();
            if self.contradict(&rest)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn apply(state: &mut State, act: Act) -> Result<(), String> {
    match (&mut *state, act) {
        (State::Initial | State::Value(_), Act::Write(value)) => *state = State::Value(value),
        (State::Set(held), Act::Add(element)) => {
            held.insert(element);
        }
        (State::Set(held), Act::Remove(element)) => {
            held.remove(&element);
        }
        (State::List(held), Act::Add(element)) => held.push(element),
        (State::Number(held), Act::Increase(amount)) => *held += i128::from(amount),
        _ => return Err("an update does not fit its object".into()),
    }
    Ok(())
}
