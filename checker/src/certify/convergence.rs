//! The second look at answers on eventual consistency.
//!
//! As `certify` does for linearizability: which reads are final is found again, an order is replayed update by update on a plain
//! value, set, list or number, and a contradiction is established on its few ops alone. Nothing is shared with the procedure that
//! decides but the reading of ops. What a replicated data type adds is in `replicated`.

mod cuts;
mod replicated;

use crate::convergence::decode::{Act, Fact, Objects, Seen, Shape};
use histories::history::NO_EVENT;
use histories::{History, OpId, Outcome, ValueId};
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
    /// Ops with all other `ok` reads.
    early: Vec<OpId>,
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
/// Choices of updates of unknown outcome that are looked at one by one, at most.
const CHOICES_MAX: usize = 1 << 14;

impl<'a> Claims<'a> {
    /// Reads the ops of the object `key`, all of which are among `ops`. `last` is [`last_update`].
    pub(crate) fn new(history: &'a History, objects: &'a Objects<'a>, key: ValueId, ops: &[OpId], last: Option<u32>) -> Claims<'a> {
        let mut claims = Claims { history, objects, updates: BTreeMap::new(), reads: BTreeMap::new(), early: Vec::new(), key };
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
                        claims.early.push(id);
                    }
                    Fact::Read(_) if is_done => claims.early.push(id),
                    Fact::Read(_) => {}
                }
            }
        }
        claims.reads.extend(last_read.into_values());
        claims.early.dedup();
        claims.early.retain(|id| !claims.reads.contains_key(id));
        claims
    }

    fn initial(&self) -> State {
        match self.objects.shape() {
            Shape::Set => State::Set(BTreeSet::new()),
            Shape::List => State::List(Vec::new()),
            Shape::Counter => State::Number(self.objects.initial_number.into()),
            Shape::Register => State::Initial,
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
                match *act {
                    Act::Replace(old, _) if !self.holds(&state, &Seen::Value(old)) => {
                        return Err(format!("op {} does not find what it replaces", id.0));
                    }
                    act => apply(&mut state, act)?,
                }
            }
        }
        let done = self.updates.iter().filter(|(_, update)| update.1).map(|(id, _)| id);
        match done.chain(self.reads.keys()).find(|id| !seen.contains(id)) {
            Some(missing) => Err(format!("op {} is missing from the order", missing.0)),
            None => self
                .explains_early(&seen)
                .and_then(|()| self.objects.data_type.map_or(Ok(()), |data_type| replicated::explains(self, data_type, &seen))),
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

    /// What an op found of the object.
    fn seen(&self, read: OpId) -> Vec<Seen> {
        let mut facts = Vec::new();
        if self.objects.decode(self.history, read, false, &mut facts).is_err() {
            return Vec::new();
        }
        facts
            .into_iter()
            .filter_map(|(key, fact)| if let Fact::Read(seen) = fact { Some(seen).filter(|_| key == self.key) } else { None })
            .collect()
    }

    /// When those of these updates that store or add something began, by what it is.
    fn begun(&self, may: impl Fn(OpId) -> bool) -> BTreeMap<ValueId, Vec<u32>> {
        let mut begun: BTreeMap<ValueId, Vec<u32>> = BTreeMap::new();
        for (&id, (acts, _)) in self.updates.iter().filter(|(id, _)| may(**id)) {
            for act in acts {
                if let Act::Write(value) | Act::Replace(_, value) | Act::Add(value) = *act {
                    begun.entry(value).or_default().push(self.history.op(id).invoke);
                }
            }
        }
        begun
    }

    /// Whether what a read returned had begun to be put there.
    fn could_return(&self, read: OpId, seen: &Seen, begun: &BTreeMap<ValueId, Vec<u32>>) -> bool {
        let until = self.history.op(read).complete;
        let before = |value: &ValueId| begun.get(value).map_or(0, |begun| begun.iter().filter(|&&began| began < until).count());
        match seen {
            Seen::Value(value) => self.objects.is_initial(self.history, *value) || before(value) > 0,
            Seen::Elements(elements) => times_of(elements).iter().all(|(element, &times)| {
                let possible = before(element);
                times <= if self.objects.is_set() { possible.min(1) } else { possible }
            }),
            // Sums are another question.
            Seen::Number(_) => true,
        }
    }

    /// Whether the updates that happened explain each read before the end.
    fn explains_early(&self, happened: &BTreeSet<OpId>) -> Result<(), String> {
        if self.objects.shape() == Shape::Counter {
            let are_sums = replicated::numbers_are_sums(self, &self.early, &|id| happened.contains(&id))?;
            return if are_sums { Ok(()) } else { Err("a read before the end is no sum".into()) };
        }
        let begun = self.begun(|id| happened.contains(&id));
        match self.early.iter().find(|&&read| !self.seen(read).iter().all(|seen| self.could_return(read, seen, &begun))) {
            Some(read) => Err(format!("op {} returned what nobody had begun to put there", read.0)),
            None => Ok(()),
        }
    }

    /// Whether no order explains the needed reads, if the needed updates took effect and each other one did or did not; a
    /// number is judged by all updates.
    ///
    /// # Errors
    /// An op that does not belong here, or too many sums to look at.
    pub(crate) fn contradict(&self, needed: &[OpId]) -> Result<bool, String> {
        let (mut reads, mut early, mut required) = (Vec::new(), Vec::new(), Vec::new());
        for id in needed {
            let is_early = self.early.binary_search(id).is_ok();
            early.extend(Some(*id).filter(|_| is_early));
            match (self.reads.get(id), self.updates.get(id)) {
                (Some(seen), _) => reads.push(seen),
                (None, Some((_, true))) => required.push(*id),
                (None, None) if is_early => {}
                _ => return Err(format!("op {} is no read and no acknowledged update", id.0)),
            }
        }
        if reads.windows(2).any(|pair| pair[0] != pair[1]) {
            return Ok(true);
        }
        let read = reads.first().copied();
        match (self.objects.data_type, self.objects.shape()) {
            (_, Shape::Counter) => self.numbers_contradict(read, &early),
            (Some(data_type), _) => Ok(replicated::contradict(self, data_type, read, &early, &required)),
            (None, shape) => {
                let begun = self.begun(|_| true);
                let is_extended = self.updates.values().flat_map(|update| &update.0).any(|act| *act == Act::Extend);
                let returns = |read: &OpId| is_extended || self.seen(*read).iter().all(|seen| self.could_return(*read, seen, &begun));
                if !early.iter().all(returns) {
                    return Ok(true);
                }
                Ok(match (shape, read) {
                    (Shape::Register, _) if is_extended => false,
                    (Shape::Register, read) => self.values_contradict(read, &early, &required),
                    (_, Some(Seen::Elements(seen))) => self.elements_contradict(seen, &early, &required),
                    (_, _) => false,
                })
            }
        }
    }

    fn values_contradict(&self, read: Option<&Seen>, early: &[OpId], required: &[OpId]) -> bool {
        let is_initial = |value: ValueId| self.objects.is_initial(self.history, value);
        let stores = |acts: &[Act], value: ValueId| acts.iter().any(|act| matches!(act, Act::Write(v) | Act::Replace(_, v) if *v == value));
        let last = if let Some(Seen::Value(value)) = read { Some(*value) } else { None };
        if last
            .is_some_and(|last| !is_initial(last) && !self.updates.values().any(|update| left(&update.0).any(|act| stores(&[act], last))))
        {
            return true;
        }
        // What is read before the end, and was stored by one update only, shows that this one happened.
        let mut happened: BTreeSet<OpId> = required.iter().copied().collect();
        for &read in early {
            for seen in self.seen(read) {
                let Seen::Value(value) = seen else { continue };
                let until = self.history.op(read).complete;
                let begun = self.updates.iter().filter(|(id, update)| self.history.op(**id).invoke < until && stores(&update.0, value));
                let begun: Vec<OpId> = begun.map(|(id, _)| *id).collect();
                // Of several that do the same it may as well be the first.
                let are_one = begun.windows(2).all(|two| self.updates[&two[0]].0 == self.updates[&two[1]].0);
                if are_one && !is_initial(value) && !begun.iter().any(|op| happened.contains(op)) {
                    happened.extend(begun.first());
                }
            }
        }
        let attempted = self.updates.values().flat_map(|update| left(&update.0)).collect();
        let needed = happened.iter().flat_map(|id| left(&self.updates[id].0)).collect();
        cuts::Register { attempted, needed, last, is_initial: &is_initial }.has_no_order()
    }

    fn elements_contradict(&self, seen: &[ValueId], early: &[OpId], required: &[OpId]) -> bool {
        let attempts = |act: Act| self.updates.values().flat_map(|update| &update.0).filter(|other| **other == act).count();
        let adds: Vec<(ValueId, u32)> = (required.iter())
            .flat_map(|id| self.updates[id].0.iter().map(|act| (*act, self.history.op(*id).invoke)))
            .filter_map(|(act, began)| if let Act::Add(element) = act { Some((element, began)) } else { None })
            .collect();
        let there = times_of(seen);
        let count = |element: ValueId| there.get(&element).copied().unwrap_or(0);
        // How often each was attempted is only counted where it may matter: elements are many.
        let mut possible: BTreeMap<ValueId, usize> = BTreeMap::new();
        for act in self.updates.values().flat_map(|update| &update.0) {
            if let Act::Add(element) = act {
                *possible.entry(*element).or_default() += 1;
            }
        }
        let is_set = self.objects.is_set();
        let too_often = |(element, &times): (&ValueId, &usize)| {
            let possible = possible.get(element).copied().unwrap_or(0);
            times > if is_set { possible.min(1) } else { possible }
        };
        if there.iter().any(too_often) {
            return true;
        }
        if is_set {
            let is_gone = |element: ValueId| count(element) == 0 && attempts(Act::Remove(element)) == 0;
            let read_before = early.iter().flat_map(|&read| self.seen(read)).any(|seen| match seen {
                Seen::Elements(elements) => elements.iter().any(|&element| is_gone(element)),
                Seen::Value(_) | Seen::Number(_) => false,
            });
            return read_before || adds.iter().any(|add| is_gone(add.0));
        }
        if adds.iter().any(|&(element, _)| count(element) < adds.iter().filter(|other| other.0 == element).count()) {
            return true;
        }
        early.iter().any(|&read| {
            let until = self.history.op(read).complete;
            // Of those that are there in the end, these are not among those that were read before.
            let later = |element: ValueId| adds.iter().filter(|add| add.0 == element && add.1 > until).count();
            self.seen(read).iter().any(|seen| match seen {
                Seen::Elements(elements) => times_of(elements).into_iter().any(|(element, times)| times + later(element) > count(element)),
                Seen::Value(_) | Seen::Number(_) => false,
            })
        })
    }

    /// Whether no one choice of the updates of unknown outcome explains the numbers that were read.
    fn numbers_contradict(&self, read: Option<&Seen>, early: &[OpId]) -> Result<bool, String> {
        if !replicated::numbers_are_sums(self, early, &|_| true)? {
            return Ok(true);
        }
        let Some(Seen::Number(number)) = read else { return Ok(false) };
        if !self.can_sum_to(i128::from(*number))? {
            return Ok(true);
        }
        if early.is_empty() {
            return Ok(false);
        }
        // Of those that change by the same the first explain the most.
        let mut uncertain: BTreeMap<i128, Vec<OpId>> = BTreeMap::new();
        let mut certain = i128::from(self.objects.initial_number);
        for (id, (acts, is_done)) in &self.updates {
            let amount: i128 = acts.iter().map(amount).sum();
            if *is_done {
                certain += amount;
            } else if amount != 0 {
                uncertain.entry(amount).or_default().push(*id);
            }
        }
        let choices = uncertain.values().try_fold(1_usize, |all, ops| all.checked_mul(ops.len() + 1)).filter(|all| *all <= CHOICES_MAX);
        let Some(choices) = choices else { return Err("too many choices are possible".into()) };
        for choice in 0..choices {
            let (mut rest, mut sum, mut left_out) = (choice, certain, BTreeSet::<OpId>::new());
            for (amount, ops) in &uncertain {
                let taken = rest % (ops.len() + 1);
                rest /= ops.len() + 1;
                sum += amount * taken as i128;
                left_out.extend(&ops[taken..]);
            }
            if sum == i128::from(*number) && replicated::numbers_are_sums(self, early, &|id| !left_out.contains(&id))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn can_sum_to(&self, number: i128) -> Result<bool, String> {
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

    /// As few of the needed ops as contradict each other.
    pub(crate) fn few(&self, needed: &[OpId]) -> Vec<OpId> {
        let mut few = needed.to_vec();
        for op in needed {
            let rest: Vec<OpId> = few.iter().copied().filter(|other| other != op).collect();
            if self.contradict(&rest) == Ok(true) {
                few = rest;
            }
        }
        few
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

fn amount(act: &Act) -> i128 {
    if let Act::Increase(amount) = act { i128::from(*amount) } else { 0 }
}

/// What an op does in the end: of several writes to one register the last one counts.
fn left(acts: &[Act]) -> impl Iterator<Item = Act> + '_ {
    let is_write = |act: &Act| matches!(act, Act::Write(_));
    acts.iter().enumerate().filter(move |&(at, act)| !(is_write(act) && acts[at + 1..].iter().any(is_write))).map(|(_, act)| *act)
}

/// How often each element is there.
fn times_of(elements: &[ValueId]) -> BTreeMap<ValueId, usize> {
    let mut times = BTreeMap::new();
    for &element in elements {
        *times.entry(element).or_default() += 1;
    }
    times
}

fn apply(state: &mut State, act: Act) -> Result<(), String> {
    match (&mut *state, act) {
        (State::Initial | State::Value(_), Act::Write(value) | Act::Replace(_, value)) => *state = State::Value(value),
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
