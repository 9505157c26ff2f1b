//! Counters: whether one choice of the updates of unknown outcome explains all that was read.
//!
//! The number in the end is the initial one, all acknowledged changes, and those of unknown outcome that happened: a question of
//! sums, answered by a table ([`subset`]). Each read before is a sum of some of the changes that happened and that were invoked before
//! it completed ([`Sums`]). Both ask about *one* execution. Of changes by the same amount those that were invoked first explain
//! at least as much, so only how many there are of each amount is tried.

use super::Object;
use super::decode::{Act, Objects, Seen};
use crate::budget::{Account, Limit};
use crate::convergence::compare::{Found, Sum, Wrong, other};
use histories::{History, OpId};
use std::collections::{BTreeMap, BTreeSet};

/// A change of the number: when it was invoked, and by how much.
type Change = (u32, i128);

/// A read before the end: when it completed, and its number.
#[derive(Clone, Copy)]
struct Early {
    read: OpId,
    until: u32,
    number: i64,
}

/// Decides whether one execution explains all reads.
pub(super) fn counter(history: &History, objects: &Objects<'_>, object: &Object, account: &mut Account<'_>) -> Result<Found, Limit> {
    let early = early_reads(history, objects, object, account)?;
    let all: Vec<Change> = object.updates.iter().map(|update| (history.op(update.op).invoke, amount(update.act))).collect();
    let (unexplained, mut is_open) = unexplained(objects, &all, &early, account)?;
    if let Some(&(place, possible)) = unexplained.first() {
        return Ok(Found::Wrong(Wrong::EarlySum { read: early[place].read, seen: early[place].number, possible }));
    }
    let mut found = if object.reads.is_empty() { Found::Order(Vec::new()) } else { in_the_end(objects, object, account)? };
    let is_uncertain = object.updates.iter().any(|update| !update.is_done);
    if let (Found::Order(_), true, true, false) = (&found, is_uncertain, !object.reads.is_empty(), early.is_empty()) {
        (found, is_open) = one_execution(history, objects, object, &early, account)?;
    }
    match found {
        Found::Order(_) if is_open => {
            Ok(Found::Open("too many different sums are possible to find each that was read before the end".into()))
        }
        found => Ok(found),
    }
}

fn amount(act: Act) -> i128 {
    if let Act::Increase(amount) = act { amount.into() } else { 0 }
}

/// By completion; of those that say the same the first only.
fn early_reads(history: &History, objects: &Objects<'_>, object: &Object, account: &mut Account<'_>) -> Result<Vec<Early>, Limit> {
    let mut early = Vec::new();
    for &read in &object.early {
        account.work(8)?;
        for seen in object.seen(history, objects, read) {
            if let Seen::Number(number) = seen {
                early.push(Early { read, until: history.op(read).complete, number });
            }
        }
    }
    early.sort_unstable_by_key(|one| one.until);
    // Later more changes have begun: what was a sum stays one.
    let mut known = BTreeSet::new();
    early.retain(|one| known.insert(one.number));
    Ok(early)
}

/// A read by place, and the least and the greatest sum.
type Unexplained = (usize, (i128, i128));

/// The reads, by place, that no sum of these changes explains, with the least and the greatest sum; and whether of some that is not
/// known. Changes are by invocation, reads by completion.
fn unexplained(
    objects: &Objects<'_>,
    changes: &[Change],
    early: &[Early],
    account: &mut Account<'_>,
) -> Result<(Vec<Unexplained>, bool), Limit> {
    let mut sums = Sums::new(objects.initial_number.into());
    let mut changes = changes.iter().peekable();
    let (mut wrong, mut is_open) = (Vec::new(), false);
    for (place, read) in early.iter().enumerate() {
        while let Some((_, amount)) = changes.next_if(|change| change.0 < read.until) {
            sums.may_add(*amount, account)?;
        }
        match sums.has(read.number.into()) {
            Some(true) => {}
            Some(false) => wrong.push((place, (sums.low, sums.high))),
            None => is_open = true,
        }
    }
    Ok((wrong, is_open))
}

/// Choices of the updates of unknown outcome that are looked at, at most.
const CHOICES_MAX: usize = 1 << 12;

/// Looks for one choice of what happened that explains the end and all that was read before; and whether that stayed open.
fn one_execution(
    history: &History,
    objects: &Objects<'_>,
    object: &Object,
    early: &[Early],
    account: &mut Account<'_>,
) -> Result<(Found, bool), Limit> {
    let Some(Seen::Number(end)) = object.reads.first().map(|read| &read.seen) else { return Ok((Found::Order(Vec::new()), false)) };
    let done = object.updates.iter().filter(|update| update.is_done);
    let certain = i128::from(objects.initial_number) + done.map(|update| amount(update.act)).sum::<i128>();
    let mut choices = Choices::new(object, i128::from(*end) - certain);
    let mut failing: Vec<BTreeSet<usize>> = Vec::new();
    while let Some(chosen) = choices.next(account)? {
        let happened = object.updates.iter().filter(|update| update.is_done || chosen.contains(&update.op));
        let changes: Vec<Change> = happened.clone().map(|update| (history.op(update.op).invoke, amount(update.act))).collect();
        account.work(changes.len() as u64 + 1)?;
        let (wrong, open) = unexplained(objects, &changes, early, account)?;
        if wrong.is_empty() {
            return Ok((Found::Order(happened.map(|update| update.op).collect()), open));
        }
        failing.push(wrong.into_iter().map(|wrong| wrong.0).collect());
        if failing.len() >= CHOICES_MAX {
            return Ok((Found::Order(Vec::new()), true));
        }
    }
    if choices.is_cut_short || failing.is_empty() {
        return Ok((Found::Order(Vec::new()), true));
    }
    let early = few_of_all(&failing).into_iter().map(|place| early[place].read).collect();
    let read = object.reads[0].op;
    Ok((Found::Wrong(Wrong::EarlyAndLate { early, read, number: *end }), false))
}

/// A few places, of which each set has one, and none of which can be left out.
fn few_of_all(sets: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut few: Vec<usize> = sets.iter().flatten().copied().collect::<BTreeSet<usize>>().into_iter().collect();
    let is_enough = |few: &[usize]| sets.iter().all(|set| few.iter().any(|place| set.contains(place)));
    // One alone is easier to believe than several.
    if let Some(&one) = few.iter().find(|&&one| is_enough(&[one])) {
        return vec![one];
    }
    let mut at = few.len();
    while at > 0 {
        at -= 1;
        let mut fewer = few.clone();
        fewer.remove(at);
        if is_enough(&fewer) {
            few = fewer;
        }
    }
    few
}

/// The ways to reach a sum with changes of unknown outcome: of each amount the first so many.
struct Choices {
    /// By amount, with its ops by invocation.
    amounts: Vec<(i128, Vec<OpId>)>,
    /// The least and the greatest sum of the amounts from each place on.
    bounds: Vec<(i128, i128)>,
    target: i128,
    /// How many are taken of the first amounts, and how many that can be: the next choice goes on from there.
    taken: Vec<usize>,
    is_begun: bool,
    /// There may be more than were looked at.
    is_cut_short: bool,
}

/// Steps from one choice to the next, at most.
const STEPS_MAX: u64 = 1 << 20;

impl Choices {
    fn new(object: &Object, target: i128) -> Choices {
        let mut by_amount: BTreeMap<i128, Vec<OpId>> = BTreeMap::new();
        for update in object.updates.iter().filter(|update| !update.is_done && amount(update.act) != 0) {
            by_amount.entry(amount(update.act)).or_default().push(update.op);
        }
        let mut amounts: Vec<(i128, Vec<OpId>)> = by_amount.into_iter().collect();
        amounts.sort_by_key(|(amount, _)| std::cmp::Reverse(amount.abs()));
        let mut bounds = vec![(0, 0)];
        for (amount, ops) in amounts.iter().rev() {
            let (low, high) = bounds[bounds.len() - 1];
            let all = amount * ops.len() as i128;
            bounds.push((low + all.min(0), high + all.max(0)));
        }
        bounds.reverse();
        Choices { amounts, bounds, target, taken: Vec::new(), is_begun: false, is_cut_short: false }
    }

    /// The next choice, as many as can be of the first amounts first.
    fn next(&mut self, account: &mut Account<'_>) -> Result<Option<BTreeSet<OpId>>, Limit> {
        if std::mem::replace(&mut self.is_begun, true) && !self.go_back() {
            return Ok(None);
        }
        let mut steps = 0;
        loop {
            account.work(self.amounts.len() as u64 + 1)?;
            steps += 1;
            if steps > STEPS_MAX {
                self.is_cut_short = true;
                return Ok(None);
            }
            let sum: i128 = self.taken.iter().zip(&self.amounts).map(|(&n, (amount, _))| amount * n as i128).sum();
            let (low, high) = self.bounds[self.taken.len()];
            let is_possible = (low..=high).contains(&(self.target - sum));
            match self.amounts.get(self.taken.len()) {
                Some((_, ops)) if is_possible => self.taken.push(ops.len()),
                None if is_possible => {
                    let chosen = self.taken.iter().zip(&self.amounts).flat_map(|(&n, (_, ops))| &ops[..n]);
                    return Ok(Some(chosen.copied().collect()));
                }
                Some(_) | None => {
                    if !self.go_back() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// One less of the last amount of which there is one.
    fn go_back(&mut self) -> bool {
        while let Some(last) = self.taken.pop() {
            if last > 0 {
                self.taken.push(last - 1);
                return true;
            }
        }
        false
    }
}

/// Whether the end is a sum.
fn in_the_end(objects: &Objects<'_>, object: &Object, account: &mut Account<'_>) -> Result<Found, Limit> {
    let change = |act: Act| if let Act::Increase(amount) = act { amount } else { 0 };
    let unknown: Vec<(OpId, i64)> = object.updates.iter().filter(|u| !u.is_done).map(|u| (u.op, change(u.act))).collect();
    let part = |sign: i64| unknown.iter().filter(|u| u.1.signum() == sign).map(|u| i128::from(u.1)).sum::<i128>();
    let done = || object.updates.iter().filter(|update| update.is_done);
    let acknowledged = i128::from(objects.initial_number) + done().map(|u| amount(u.act)).sum::<i128>();
    let sum = Sum { acknowledged, changes: done().count(), unknown: (part(-1), part(1)) };
    let mut order = None;
    let mut first = None;
    for read in &object.reads {
        let Seen::Number(seen) = read.seen else { continue };
        if first.is_some_and(|first| first == seen) {
            continue;
        }
        match subset(&unknown, i128::from(seen) - acknowledged, account)? {
            Subset::Found(happened) => order = order.or(Some(happened)),
            Subset::None => return Ok(Found::Wrong(Wrong::Sum { read: read.op, seen, sum })),
            Subset::TooMany => return Ok(Found::Open("too many different sums are possible to find the one that was read".into())),
        }
        first = first.or(Some(seen));
    }
    if let Some((first, other)) = other(object) {
        return Ok(Found::Wrong(Wrong::Differ { here: first.op, there: other.op, element: None }));
    }
    Ok(Found::Order(done().map(|update| update.op).chain(order.unwrap_or_default()).collect()))
}

/// Whether some of the amounts add up to a number.
enum Subset {
    Found(Vec<OpId>),
    None,
    TooMany,
}

/// Bits of the table of sums, at most.
const SUMS_MAX: u128 = 1 << 28;

/// Which of the amounts add up to `target`: all negative ones are taken, and which of all are turned around is looked for by a
/// table of reachable sums, row by row; equal amounts are taken in groups of 1, 2, 4, ... (Bellman's knapsack). Time and bits:
/// the target times the number of groups.
fn subset(amounts: &[(OpId, i64)], target: i128, account: &mut Account<'_>) -> Result<Subset, Limit> {
    let negative: i128 = amounts.iter().map(|a| i128::from(a.1.min(0))).sum();
    let all: i128 = amounts.iter().map(|a| i128::from(a.1.unsigned_abs())).sum();
    let turned = target - negative;
    if turned < 0 || turned > all {
        return Ok(Subset::None);
    }
    let groups = groups(amounts);
    if (turned as u128 + 64) * (groups.len() as u128 + 1) > SUMS_MAX {
        return Ok(Subset::TooMany);
    }
    let (turned, words) = (turned as usize, turned as usize / 64 + 1);
    let mut account = Account::new(account.budget());
    account.hold(words * 8 * (groups.len() + 1))?;
    let mut rows = vec![vec![0_u64; words]];
    rows[0][0] = 1;
    for group in &groups {
        account.work(words as u64)?;
        let row = shifted(&rows[rows.len() - 1], group.weight);
        rows.push(row);
    }
    let has = |row: &[u64], at: usize| row[at / 64] >> (at % 64) & 1 == 1;
    if !has(&rows[groups.len()], turned) {
        return Ok(Subset::None);
    }
    let mut at = turned;
    let mut taken = Vec::new();
    for (i, group) in groups.iter().enumerate().rev() {
        let is_turned = !has(&rows[i], at);
        if is_turned {
            at -= group.weight as usize;
        }
        if is_turned != group.is_negative {
            taken.extend(group.ops.iter().copied());
        }
    }
    Ok(Subset::Found(taken))
}

/// Equal amounts that are taken together or not at all.
struct Group {
    weight: u128,
    is_negative: bool,
    ops: Vec<OpId>,
}

fn groups(amounts: &[(OpId, i64)]) -> Vec<Group> {
    let mut sorted = amounts.to_vec();
    sorted.sort_by_key(|a| (a.1, a.0));
    let mut groups = Vec::new();
    for equal in sorted.chunk_by(|a, b| a.1 == b.1) {
        let (mut rest, mut size) = (equal, 1);
        while !rest.is_empty() {
            let (group, others) = rest.split_at(size.min(rest.len()));
            let ops: Vec<OpId> = group.iter().map(|a| a.0).collect();
            let amount = equal[0].1;
            groups.push(Group { weight: u128::from(amount.unsigned_abs()) * ops.len() as u128, is_negative: amount < 0, ops });
            (rest, size) = (others, size * 2);
        }
    }
    groups
}

/// The row and the row moved up.
fn shifted(row: &[u64], by: u128) -> Vec<u64> {
    let mut next = row.to_vec();
    let (words, bits) = ((by / 64).min(row.len() as u128) as usize, (by % 64) as u32);
    for (from, to) in next.iter_mut().skip(words).enumerate() {
        *to |= row[from] << bits;
        if bits > 0 && from > 0 {
            *to |= row[from - 1] >> (64 - bits);
        }
    }
    next
}

/// The sums of some of the amounts that were given, and the initial number: all between two, or a table of them.
struct Sums {
    low: i128,
    high: i128,
    /// Which of the numbers from `low` on are sums, if not all up to `high` are.
    table: Option<Vec<u64>>,
    /// It became too large.
    is_lost: bool,
}

/// Bits of the table of sums, at most.
const TABLE_MAX: i128 = 1 << 22;

impl Sums {
    fn new(initial: i128) -> Sums {
        Sums { low: initial, high: initial, table: None, is_lost: false }
    }

    /// One more amount, that a sum may have or not.
    fn may_add(&mut self, amount: i128, account: &mut Account<'_>) -> Result<(), Limit> {
        let width = self.high - self.low + 1;
        let has_gaps = amount.abs() > width;
        (self.low, self.high) = (self.low + amount.min(0), self.high + amount.max(0));
        if self.is_lost || self.table.is_none() && !has_gaps {
            return Ok(());
        }
        let next = self.high - self.low + 1;
        if next > TABLE_MAX {
            (self.is_lost, self.table) = (true, None);
            return Ok(());
        }
        let words = (next as usize).div_ceil(64);
        account.work(words as u64)?;
        let mut table = self.table.take().unwrap_or_else(|| full(width as usize));
        table.resize(words, 0);
        // Downwards, the old sums move up in the table and those with the amount stay where the old ones were.
        let table = shifted(&table, amount.unsigned_abs());
        let count: u32 = table.iter().map(|word| word.count_ones()).sum();
        self.table = (i128::from(count) < next).then_some(table);
        Ok(())
    }

    /// Whether a number is one of them; `None` if nobody knows.
    fn has(&self, number: i128) -> Option<bool> {
        if number < self.low || number > self.high {
            return Some(false);
        }
        let at = (number - self.low) as usize;
        match &self.table {
            Some(table) => Some(table[at / 64] >> (at % 64) & 1 == 1),
            None if self.is_lost => None,
            None => Some(true),
        }
    }
}

/// So many bits, all set.
fn full(bits: usize) -> Vec<u64> {
    let mut words = vec![u64::MAX; bits / 64];
    if !bits.is_multiple_of(64) {
        words.push((1 << (bits % 64)) - 1);
    }
    words
}
