//! Which adds are counted at which read: all partial answers at once, from read to read.
//!
//! # The idea
//! Let some adds be counted at a read, those at the reads before it included. The read cannot be earlier than the first moment
//! that its number allows, nor than the reads before it, nor than the invocation of any of these adds; and it can be as early as
//! that, for all that comes later only asks that it be early. So what is counted settles the moment, and whether the next reads
//! can go on depends on what is counted alone: two ways to count the same are one *line*. Of the adds that are counted only
//! those matter that return after that moment, for all others that have returned by then must be counted too. So the lines at a read
//! differ in some of the adds in flight, and the sum of those is known: there are few.
//!
//! From a line to the next read, the adds that have returned since must be counted now, and some that are in flight may be, so that
//! their sum is the difference: for each moment at which the read can be, all subsets of that sum are tried. Of two adds of one
//! amount in flight the one that returns first is taken: let an order count q at this read and p, which returns before q, later or
//! never: exchange them. (p never: then neither returns.) So where all adds are of few amounts there are few lines too.
//!
//! If no line reaches a read, there is no order. Where there are too many lines or subsets only some are kept and tried: then an
//! order is still an order, and otherwise more are kept in the next round; after the last one the search must say. Cheap lines come
//! first, those that count few ops of unknown outcome and these soon after their invocation, and few that differ in those alone.
//! Of many ops of unknown outcome with many amounts only the latest are tried in all subsets. Each other one is looked up by its
//! amount, where it is all that is missing from a sum, and so are two of them; for lines that others would push out anyway not
//! even that. (A sum of a few among hundreds can be had in very many ways. Hardly ever is one of them what happened.)

use super::{Add, Read};
use crate::budget::{Account, Limit};
use crate::decode::NEVER;
use crate::linear::path::{Paths, ROOT, Step, growth};
use crate::linear::unique::{BYTES_PER_OP, FxMap, No, Ops};
use histories::OpId;

/// What is tried in each round.
const ROUNDS: [Most; 4] = [
    Most { width: 32, tries_per_moment: 1 << 14, tries: 20_000_000, together: 4, besides: Besides::One },
    Most { width: 256, tries_per_moment: 1 << 16, tries: 200_000_000, together: 6, besides: Besides::Two },
    Most { width: 1024, tries_per_moment: 1 << 18, tries: 500_000_000, together: 8, besides: Besides::Two },
    Most { width: 4096, tries_per_moment: 1 << 20, tries: 500_000_000, together: 12, besides: Besides::Two },
];
/// Places in subsets that a round may look at besides, per op.
const TRIES_PER_OP: u64 = 200;
/// Of one amount of adds of unknown outcome at most so many are tried together.
const OF_ONE_AMOUNT: i128 = 12;
/// Where no line goes on, so many lines are tried with two adds of other amounts.
const LINES_WITH_PAIRS: usize = 64;
/// Sets of one sum that are kept for one moment of one line.
const SETS: usize = 1024;
/// What it costs to count one of unknown outcome, and to have it take effect twice as late.
const COST: u32 = 2;
/// Lines that differ in adds of unknown outcome alone, where not all are kept.
const ALIKE: usize = 4;
/// Costs of lines are told apart up to so much above the least.
const COSTS: usize = 256;

pub(super) fn decide(ops: &Ops<'_>, adds: &[Add], reads: &[Read], account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    for most in ROUNDS {
        let tries = most.tries + TRIES_PER_OP * ops.entries.len() as u64;
        let mut lines = Lines::new(ops.entries.len(), adds, reads, Most { tries, ..most });
        match lines.run(account)? {
            Ended::Reached(steps) => return lines.order(&steps, ops, account),
            Ended::Nowhere(read) if lines.has_all => {
                // Known when all of these have returned.
                let last = reads[..=read].iter().max_by_key(|read| ops.entries[read.entry as usize].ret);
                return Err(last.map_or(No::Open, |read| No::Blocked(read.entry)));
            }
            Ended::Nowhere(_) => {}
            Ended::Tired => break,
        }
    }
    Err(No::Open)
}

enum Ended {
    /// The last read was reached, with these adds on the way.
    Reached(Vec<Step>),
    /// No line reached this read.
    Nowhere(usize),
    /// Too much was tried.
    Tired,
}

/// One way to count up to a read.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// The read's moment.
    moment: u32,
    /// How it came about.
    path: u32,
    /// How unlikely the adds of unknown outcome are that it counts: most take effect soon or never.
    cost: u32,
    /// A number that lines which count the same adds of unknown outcome share.
    mark: u64,
    /// Where the adds that are counted and return later begin in the list of all lines, those of unknown outcome among them, and
    /// where they end.
    from: u32,
    middle: u32,
    to: u32,
}

/// All lines at a read.
#[derive(Debug, Default)]
struct Layer {
    lines: Vec<Line>,
    /// Of each line those that are counted and return later, by number, those of unknown outcome last.
    ahead: Vec<u32>,
}

impl Layer {
    fn known(&self, line: &Line) -> &[u32] {
        &self.ahead[line.from as usize..line.middle as usize]
    }

    fn unknown(&self, line: &Line) -> &[u32] {
        &self.ahead[line.middle as usize..line.to as usize]
    }

    fn bytes(&self) -> usize {
        self.lines.capacity() * size_of::<Line>() + self.ahead.capacity() * size_of::<u32>()
    }
}

/// What may be tried.
#[derive(Clone, Copy)]
struct Most {
    /// Lines at each read.
    width: usize,
    /// Places in subsets, at one moment of one line and in all.
    tries_per_moment: u64,
    tries: u64,
    /// Amounts of adds of unknown outcome that are tried together, those that were invoked last.
    together: usize,
    /// How many adds of other amounts may be counted besides.
    besides: Besides,
}

struct Lines<'a> {
    adds: &'a [Add],
    reads: &'a [Read],
    most: Most,
    /// Whether no line was left out so far.
    has_all: bool,
    now: Layer,
    next: Layer,
    /// How many of the next lines there are, by what they cost more than the cheapest one now.
    costs: Vec<usize>,
    paths: Paths,
    /// How many adds were invoked, by the last moment of the read.
    invoked: usize,
    /// Of those of known outcome, the ones that some line may not count yet.
    open: Vec<u32>,
    unknown: Unknown,
    /// By add, the last line that counts it, by the number of the line among all that there ever were.
    counted_by: Vec<u32>,
    number: u32,
    subsets: Subsets,
    base_bytes: usize,
}

impl<'a> Lines<'a> {
    fn new(ops: usize, adds: &'a [Add], reads: &'a [Read], most: Most) -> Lines<'a> {
        Lines {
            adds,
            reads,
            most,
            has_all: true,
            now: Layer { lines: vec![Line { moment: 0, path: ROOT, cost: 0, mark: 0, from: 0, middle: 0, to: 0 }], ahead: Vec::new() },
            next: Layer::default(),
            costs: vec![0; COSTS],
            paths: Paths::new(),
            invoked: 0,
            open: Vec::new(),
            unknown: Unknown::default(),
            counted_by: vec![0; adds.len()],
            number: 0,
            subsets: Subsets::default(),
            base_bytes: ops * BYTES_PER_OP,
        }
    }

    fn run(&mut self, account: &mut Account<'_>) -> Result<Ended, Limit> {
        for at in 0..self.reads.len() {
            self.invoke(self.reads[at].last);
            self.go_on(at, account)?;
            if self.most.tries == 0 {
                return Ok(Ended::Tired);
            }
            if self.next.lines.is_empty() && !self.has_all {
                for line in 0..self.now.lines.len().min(LINES_WITH_PAIRS) {
                    self.extend(at, line, Besides::Two, account)?;
                }
            }
            self.settle();
            if self.now.lines.is_empty() {
                return Ok(Ended::Nowhere(at));
            }
            if self.paths.is_due() {
                account.hold(self.bytes() + self.paths.bytes_to_collect(self.now.lines.len()))?;
                self.paths.collect(self.now.lines.iter_mut().map(|line| &mut line.path));
            }
            self.forget();
        }
        let best = self.now.lines.iter().min_by_key(|line| line.cost);
        Ok(Ended::Reached(best.map_or_else(Vec::new, |line| self.paths.steps(line.path))))
    }

    /// From all lines to a read, from the cheapest on, until others would be left out in any case.
    fn go_on(&mut self, at: usize, account: &mut Account<'_>) -> Result<(), Limit> {
        let least = self.now.lines.first().map_or(0, |line| line.cost);
        self.costs.fill(0);
        for line in 0..self.now.lines.len() {
            let cost = self.now.lines[line].cost;
            let cheaper = |than: u32| self.costs.iter().take((than - least) as usize).sum::<usize>();
            if cheaper(cost) >= 2 * self.most.width || self.most.tries == 0 {
                self.has_all = false;
                break;
            }
            let besides = if cheaper(cost + COST) < 2 * self.most.width { self.most.besides } else { Besides::None };
            self.extend(at, line, besides, account)?;
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.base_bytes + self.now.bytes() + self.next.bytes() + self.paths.bytes() + self.subsets.bytes()
    }

    /// Takes note of the adds that are invoked up to a moment, and leaves out those that all lines count.
    fn invoke(&mut self, until: u32) {
        let earliest = self.now.lines.iter().map(|line| line.moment).min().unwrap_or(0);
        self.open.retain(|&i| self.adds[i as usize].ret > earliest);
        while let Some(add) = self.adds.get(self.invoked).filter(|add| add.call <= until) {
            if add.ret == NEVER {
                self.unknown.invoke(*add, self.invoked as u32);
            } else {
                self.open.push(self.invoked as u32);
            }
            self.invoked += 1;
        }
    }

    /// All ways to go on from a line to a read.
    fn extend(&mut self, at: usize, line: usize, besides: Besides, account: &mut Account<'_>) -> Result<(), Limit> {
        let (read, line) = (self.reads[at], self.now.lines[line]);
        let earliest = line.moment.max(read.first);
        if earliest > read.last {
            return Ok(());
        }
        let before = at.checked_sub(1).map_or(0, |before| self.reads[before].number);
        let rest = read.number - before;
        self.number += 1;
        for &i in self.now.known(&line).iter().chain(self.now.unknown(&line)) {
            self.counted_by[i as usize] = self.number;
        }
        let is_left = |i: &u32| {
            let add = &self.adds[*i as usize];
            add.call <= read.last && add.ret > line.moment && self.counted_by[*i as usize] != self.number
        };
        let left: Vec<u32> = self.open.iter().copied().filter(is_left).collect();
        let (unknown, all) = self.unknown.latest(rest, earliest, self.most.together, |i| self.counted_by[i as usize] != self.number);
        self.has_all &= all;
        let besides = if all { Besides::None } else { besides };
        let mut later: Vec<u32> =
            left.iter().chain(&unknown).map(|&i| self.adds[i as usize].call).filter(|&call| call > earliest).collect();
        later.sort_unstable();
        later.truncate(if rest == 0 { 0 } else { later.len() });
        for moment in std::iter::once(earliest).chain(later) {
            // Whoever has returned, or gives the moment its name, is counted.
            let must = |add: &Add| add.ret <= moment || (add.call == moment && moment > earliest);
            let returned: i128 = left.iter().map(|&i| &self.adds[i as usize]).filter(|add| add.ret <= moment).map(|add| add.amount).sum();
            if returned > rest {
                break;
            }
            let among = |i: &&u32| self.adds[**i as usize].call <= moment;
            let (forced, free): (Vec<u32>, Vec<u32>) = left.iter().filter(among).partition(|&&i| must(&self.adds[i as usize]));
            let (named, perhaps): (Vec<u32>, Vec<u32>) = unknown.iter().filter(among).partition(|&&i| must(&self.adds[i as usize]));
            let forced = [forced, named].concat();
            let rest = rest - forced.iter().map(|&i| self.adds[i as usize].amount).sum::<i128>();
            if rest >= 0 {
                let before = self.most.tries;
                self.find(&forced, &free, &perhaps, rest, moment, besides);
                account.work(16 + before - self.most.tries)?;
                self.count(at, line, moment, &forced, &[free, perhaps].concat(), account)?;
            }
        }
        account.work(16)
    }

    /// Finds what may be counted besides: sets of a sum among adds of known outcome and others.
    fn find(&mut self, forced: &[u32], free: &[u32], perhaps: &[u32], rest: i128, moment: u32, besides: Besides) {
        let mut tries = self.most.tries_per_moment.min(self.most.tries);
        self.most.tries -= tries;
        let (adds, unknown, found) = (self.adds, &self.unknown, &mut self.subsets);
        let (counted_by, number) = (&self.counted_by, self.number);
        found.clear();
        found.find(adds, free.iter().chain(perhaps), rest, &mut tries);
        self.has_all &= tries > 0;
        let is_free =
            |i: u32| adds[i as usize].call <= moment && counted_by[i as usize] != number && !perhaps.contains(&i) && !forced.contains(&i);
        if besides != Besides::None {
            found.find_with(adds, free.iter().chain(perhaps), rest, unknown.most, &mut tries, |left, found, _| {
                found.extend(unknown.first(left, is_free).map(|one| [one, one]));
            });
        }
        if besides == Besides::Two {
            found.find_with(adds, free.iter(), rest, 2 * unknown.most, &mut tries, |left, found, tries| {
                *tries = tries.saturating_sub(unknown.amounts.len() as u64);
                for larger in unknown.amounts.iter().map(|of| of.amount).filter(|&amount| amount < left && left < 2 * amount) {
                    let two = unknown.first(larger, is_free).zip(unknown.first(left - larger, is_free));
                    found.extend(two.map(|(one, two)| [one, two]));
                }
            });
        }
        self.most.tries += tries;
    }

    /// Goes on from a line with some adds that are counted in any case, and each set that was found among others.
    fn count(&mut self, at: usize, line: Line, moment: u32, forced: &[u32], among: &[u32], account: &mut Account<'_>) -> Result<(), Limit> {
        let found = std::mem::take(&mut self.subsets);
        let (sets, adds) = (found.ends.len(), found.all.len() + found.ends.len() * forced.len());
        let ahead = adds + sets * (line.to - line.from) as usize;
        let more = growth(&self.next.lines, sets) + growth(&self.next.ahead, ahead) + self.paths.growth(adds);
        account.hold(self.bytes() + found.bytes() + more)?;
        for subset in found.iter() {
            if self.is_first_of_its_kind(forced, subset, among, moment) {
                self.push(at, line, moment, forced, subset);
            }
        }
        self.subsets = found;
        Ok(())
    }

    /// Whether nobody is left out who returns before one of the same amount that is counted and returns later.
    fn is_first_of_its_kind(&self, forced: &[u32], subset: &[u32], among: &[u32], moment: u32) -> bool {
        // Subsets are so by themselves: only the one which gives the moment its name remains.
        let Some(last) = forced.iter().map(|&i| self.adds[i as usize]).find(|add| add.call == moment && add.ret > moment) else {
            return true;
        };
        let goes_before = |add: &Add| add.amount == last.amount && (add.ret, add.call) < (last.ret, last.call);
        among.iter().all(|i| !goes_before(&self.adds[*i as usize]) || subset.contains(i))
    }

    fn push(&mut self, at: usize, line: Line, moment: u32, forced: &[u32], subset: &[u32]) {
        let from = self.next.ahead.len();
        let counted = || forced.iter().chain(subset).copied();
        let returns_later = |i: &u32| self.adds[*i as usize].ret > moment;
        let is_known = |i: &u32| self.adds[*i as usize].ret != NEVER;
        self.next.ahead.extend(self.now.known(&line).iter().copied().chain(counted()).filter(is_known).filter(returns_later));
        let middle = self.next.ahead.len();
        self.next.ahead[from..].sort_unstable();
        self.next.ahead.extend(self.now.unknown(&line).iter().copied().chain(counted().filter(|i| !is_known(i))));
        self.next.ahead[middle..].sort_unstable();
        let age = |i: u32| moment.saturating_sub(self.unknown.latest_call(self.adds[i as usize].amount, moment));
        let cost: u32 = counted().filter(|i| !is_known(i)).map(|i| COST + (age(i) + 1).ilog2()).sum();
        let cost = line.cost.saturating_add(cost);
        let least = self.now.lines.first().map_or(0, |line| line.cost);
        if let Some(as_cheap) = self.costs.get_mut((cost - least) as usize) {
            *as_cheap += 1;
        }
        let mark = counted().filter(|i| !is_known(i)).fold(line.mark, |mark, i| mark.wrapping_add(mark_of(i)));
        let path = counted().fold(line.path, |path, op| self.paths.push(path, Step { op, at: at as u32 }));
        let to = self.next.ahead.len() as u32;
        self.next.lines.push(Line { moment, path, cost, mark, from: from as u32, middle: middle as u32, to });
    }

    /// Makes the next lines the present ones: each once, and not too many.
    fn settle(&mut self) {
        let mut lines = std::mem::take(&mut self.next.lines);
        let next = &self.next;
        // Many begin with the same hundreds of adds of unknown outcome: these are compared where all else is the same.
        let key = |line: &Line| (line.moment, line.cost, line.mark);
        lines.sort_unstable_by(|a, b| {
            (next.known(a), key(a)).cmp(&(next.known(b), key(b))).then_with(|| next.unknown(a).cmp(next.unknown(b)))
        });
        lines.dedup_by(|a, b| {
            (a.moment, a.mark) == (b.moment, b.mark) && next.known(a) == next.known(b) && next.unknown(a) == next.unknown(b)
        });
        if lines.len() > self.most.width {
            self.has_all = false;
            let mut alike = 0;
            let mut previous: Option<Line> = None;
            lines.retain(|line| {
                let is_alike = previous.is_some_and(|previous| next.known(&previous) == next.known(line));
                alike = if is_alike { alike + 1 } else { 0 };
                previous = Some(*line);
                alike < ALIKE
            });
        }
        lines.sort_unstable_by_key(|line| (line.cost, line.from));
        lines.truncate(self.most.width);
        self.next.lines = lines;
        std::mem::swap(&mut self.now, &mut self.next);
        self.next.lines.clear();
        self.next.ahead.clear();
    }

    /// Forgets the adds of unknown outcome that all lines count.
    fn forget(&mut self) {
        let Some(first) = self.now.lines.first() else { return };
        let mut common = self.now.unknown(first).to_vec();
        for line in &self.now.lines {
            let counted = self.now.unknown(line);
            common.retain(|i| counted.binary_search(i).is_ok());
            if common.is_empty() {
                return;
            }
        }
        self.unknown.forget(self.adds, &common);
        let lines = std::mem::take(&mut self.now.lines);
        for line in &lines {
            let from = self.next.ahead.len() as u32;
            self.next.ahead.extend(self.now.known(line));
            let middle = self.next.ahead.len() as u32;
            self.next.ahead.extend(self.now.unknown(line).iter().filter(|i| common.binary_search(i).is_err()));
            self.next.lines.push(Line { from, middle, to: self.next.ahead.len() as u32, ..*line });
        }
        std::mem::swap(&mut self.now, &mut self.next);
        self.next.lines.clear();
        self.next.ahead.clear();
    }

    /// The order of all ops, given the adds with the number of the read that first counts each.
    fn order(&self, steps: &[Step], ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
        let mut order = Vec::with_capacity(ops.entries.len());
        let mut is_counted = vec![false; self.adds.len()];
        let mut moment = 0;
        let mut steps = steps.iter().peekable();
        let mut adds: Vec<u32> = Vec::new();
        for (at, read) in (0..).zip(self.reads) {
            account.work(8)?;
            adds.clear();
            while let Some(step) = steps.next_if(|step| step.at == at) {
                is_counted[step.op as usize] = true;
                adds.push(step.op);
            }
            adds.sort_unstable_by_key(|&i| self.adds[i as usize].call.max(moment));
            order.extend(adds.iter().map(|&i| ops.id(self.adds[i as usize].entry)));
            order.push(ops.id(read.entry));
            moment = adds.iter().map(|&i| self.adds[i as usize].call).fold(moment.max(read.first), u32::max);
        }
        // By invocation.
        let left = self.adds.iter().zip(&is_counted).filter(|(add, counted)| !**counted && add.ret != NEVER);
        order.extend(left.map(|(add, _)| ops.id(add.entry)));
        Ok(order)
    }
}

/// What an add of unknown outcome adds to the mark of a line: hardly any two sets have the same sum.
fn mark_of(add: u32) -> u64 {
    let mixed = (u64::from(add) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

/// How many adds of unknown outcome may be counted besides those that are tried together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Besides {
    None,
    One,
    Two,
}

/// The adds of unknown outcome that were invoked and that some line does not count, by amount. Of one amount they are used in the
/// order of their invocations.
#[derive(Debug, Default)]
struct Unknown {
    amounts: Vec<OfAmount>,
    by_amount: FxMap<i128, u32>,
    /// Amounts by the last invocation, the latest last.
    by_last: Vec<u32>,
    /// The greatest amount.
    most: i128,
}

#[derive(Debug)]
struct OfAmount {
    amount: i128,
    /// Those before `from` are counted by all lines, the others in the order of their invocations.
    adds: Vec<u32>,
    from: usize,
    calls: Vec<u32>,
}

impl Unknown {
    fn invoke(&mut self, Add { amount, call, .. }: Add, number_of_add: u32) {
        let next = self.amounts.len() as u32;
        let number = *self.by_amount.entry(amount).or_insert(next);
        if number == next {
            self.amounts.push(OfAmount { amount, adds: Vec::new(), from: 0, calls: Vec::new() });
        }
        self.amounts[number as usize].adds.push(number_of_add);
        self.amounts[number as usize].calls.push(call);
        self.by_last.retain(|&other| other != number);
        self.by_last.push(number);
        self.most = self.most.max(amount);
    }

    /// The adds that are tried together: of no more than a sum, of the amounts that were invoked last, all that were invoked after
    /// a moment among them. And whether these are all.
    fn latest(&self, sum: i128, moment: u32, together: usize, is_free: impl Fn(u32) -> bool) -> (Vec<u32>, bool) {
        let (mut latest, mut amounts, mut all) = (Vec::new(), 0, true);
        for of in self.by_last.iter().rev().map(|&number| &self.amounts[number as usize]) {
            let invoked_after = of.calls.last().is_some_and(|&last| last > moment);
            if amounts >= together && !invoked_after {
                return (latest, false);
            }
            let most = sum / of.amount;
            let before = latest.len();
            let mut free = of.adds[of.from..].iter().copied().filter(|&i| is_free(i));
            latest.extend(free.by_ref().take(most.min(OF_ONE_AMOUNT) as usize));
            all &= most <= OF_ONE_AMOUNT || free.next().is_none();
            amounts += usize::from(latest.len() > before);
        }
        (latest, all)
    }

    /// The first add of an amount that is free.
    fn first(&self, amount: i128, is_free: impl Fn(u32) -> bool) -> Option<u32> {
        let of = &self.amounts[*self.by_amount.get(&amount)? as usize];
        of.adds[of.from..].iter().copied().find(|&i| is_free(i))
    }

    /// The last invocation of an add of an amount up to a moment.
    fn latest_call(&self, amount: i128, moment: u32) -> u32 {
        let calls = self.by_amount.get(&amount).map_or(&[][..], |&number| &self.amounts[number as usize].calls);
        let until = calls.partition_point(|&call| call <= moment);
        until.checked_sub(1).map_or(0, |last| calls[last])
    }

    /// These are counted by all lines.
    fn forget(&mut self, adds: &[Add], counted: &[u32]) {
        for &i in counted {
            let Some(&number) = self.by_amount.get(&adds[i as usize].amount) else { continue };
            let of = &mut self.amounts[number as usize];
            // Those before it are counted as well, or would have been used instead.
            if let Some(place) = of.adds[of.from..].iter().position(|&other| other == i) {
                of.adds[of.from..=of.from + place].rotate_right(1);
                of.from += 1;
            }
        }
    }
}

/// Sets of adds of one sum.
#[derive(Debug, Default)]
struct Subsets {
    all: Vec<u32>,
    ends: Vec<usize>,
    /// The adds to choose from, the largest first, of one amount those that return first; and the sum from each place on.
    among: Vec<u32>,
    sums: Vec<i128>,
    chosen: Vec<usize>,
}

impl Subsets {
    fn clear(&mut self) {
        self.all.clear();
        self.ends.clear();
    }

    fn bytes(&self) -> usize {
        (self.all.capacity() + self.among.capacity()) * size_of::<u32>()
            + self.ends.capacity() * size_of::<usize>()
            + self.sums.capacity() * size_of::<i128>()
    }

    fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.ends.iter().enumerate().map(|(n, &end)| &self.all[n.checked_sub(1).map_or(0, |before| self.ends[before])..end])
    }

    fn choose_among<'b>(&mut self, adds: &[Add], among: impl Iterator<Item = &'b u32>, sum: i128) {
        let amount = |i: u32| adds[i as usize].amount;
        self.among.clear();
        self.among.extend(among.copied().filter(|&i| amount(i) <= sum));
        self.among.sort_unstable_by_key(|&i| (std::cmp::Reverse(amount(i)), adds[i as usize].ret, i));
        self.sums.clear();
        self.sums.extend(self.among.iter().rev().scan(0, |sum, &i| {
            *sum += amount(i);
            Some(*sum)
        }));
        self.sums.reverse();
        self.chosen.clear();
    }

    /// Finds sets that lack at most `most` of a sum, and completes them by one or two others (or twice the same one, which is then
    /// meant once), for which it asks with what they lack; as many as can be with so many tries.
    fn find_with<'b>(
        &mut self,
        adds: &[Add],
        among: impl Iterator<Item = &'b u32>,
        sum: i128,
        most: i128,
        tries: &mut u64,
        ask: impl Fn(i128, &mut Vec<[u32; 2]>, &mut u64),
    ) {
        let amount = |i: u32| adds[i as usize].amount;
        self.choose_among(adds, among, sum);
        let (mut left, mut place, mut is_new) = (sum, 0, true);
        let mut others = Vec::new();
        while *tries > 0 && self.ends.len() < SETS {
            *tries -= 1;
            if std::mem::take(&mut is_new) && 0 < left && left <= most {
                ask(left, &mut others, tries);
                for [one, two] in others.drain(..) {
                    self.all.extend(self.chosen.iter().map(|&place| self.among[place]).chain([one]));
                    self.all.extend((one != two).then_some(two));
                    self.ends.push(self.all.len());
                }
            }
            if self.sums.get(place).is_some_and(|&sum| left - sum <= most) {
                if amount(self.among[place]) < left {
                    left -= amount(self.among[place]);
                    self.chosen.push(place);
                    is_new = true;
                }
                place += 1;
                continue;
            }
            let Some(last) = self.chosen.pop() else { return };
            left += amount(self.among[last]);
            let same = |&i: &u32| amount(i) == amount(self.among[last]);
            place = last + self.among[last..].iter().take_while(|i| same(i)).count();
        }
    }

    /// Finds all sets with a sum that leave nobody out who returns before one of the same amount; as many as can be with so many
    /// tries.
    fn find<'b>(&mut self, adds: &[Add], among: impl Iterator<Item = &'b u32>, sum: i128, tries: &mut u64) {
        let amount = |i: u32| adds[i as usize].amount;
        self.choose_among(adds, among, sum);
        let smallest = self.among.last().map_or(1, |&i| amount(i));
        let (mut left, mut place) = (sum, 0);
        while *tries > 0 {
            *tries -= 1;
            // As many of the smallest as have room, each as large as the next one, must be enough.
            let fits = left >= smallest && self.sums.get(place).is_some_and(|&sum| sum >= left);
            if fits && (left >= 4 * smallest || amount(self.among[place]) * (left / smallest) >= left) {
                if amount(self.among[place]) <= left {
                    left -= amount(self.among[place]);
                    self.chosen.push(place);
                }
                place += 1;
                continue;
            }
            if left == 0 {
                self.all.extend(self.chosen.iter().map(|&place| self.among[place]));
                self.ends.push(self.all.len());
                if self.ends.len() >= SETS {
                    *tries = 0;
                    return;
                }
            }
            let Some(last) = self.chosen.pop() else { return };
            left += amount(self.among[last]);
            let same = |&i: &u32| amount(i) == amount(self.among[last]);
            place = last + self.among[last..].iter().take_while(|i| same(i)).count();
        }
    }
}
