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
//! If no line reaches a read, there is no order. Where there are too many lines or subsets only some are kept, those first that
//! count few ops of unknown outcome and these soon after their invocation, and few that differ in those alone: then an order is still an
//! order, and otherwise more are kept in the next round; after the last one the search must say.

use super::{Add, Read};
use crate::budget::{Account, Limit};
use crate::linear::deciders::{BYTES_PER_OP, No, Ops};
use crate::linear::path::{Paths, ROOT, Step, growth};
use crate::linear::problem::NEVER;
use histories::OpId;

/// Lines that are kept at each read, and places in subsets that one moment of one line may look at, in each round.
const ROUNDS: [(usize, u64); 3] = [(32, 1 << 12), (512, 1 << 16), (4096, 1 << 20)];
/// Places in subsets that one round may look at, per op and besides.
const TRIES_PER_OP: u64 = 200;
const TRIES: u64 = 20_000_000;
/// If more adds than this are of unknown outcome, and so many places are not enough to try all subsets, at most two of these adds
/// are tried at once, the latest first: one of so many, and two of so many.
const UNKNOWN_TOGETHER: usize = 12;
const TRIES_FOR_ALL: u64 = 1 << 11;
const UNKNOWN_TRIED: usize = 256;
const UNKNOWN_IN_PAIRS: usize = 48;
/// Sets of one sum that are kept for one moment of one line.
const SETS: usize = 1024;
/// What it costs to count one of unknown outcome, and to have it take effect twice as late.
const COST: u32 = 8;
/// Lines that differ in adds of unknown outcome alone, where not all are kept.
const ALIKE: usize = 4;

pub(super) fn decide(ops: &Ops<'_>, adds: &[Add], reads: &[Read], account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    for (width, tries) in ROUNDS {
        let mut lines = Lines::new(ops.entries.len(), adds, reads, width, tries);
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

struct Lines<'a> {
    adds: &'a [Add],
    reads: &'a [Read],
    width: usize,
    tries_per_moment: u64,
    /// Whether no line was left out so far.
    has_all: bool,
    tries: u64,
    now: Layer,
    next: Layer,
    paths: Paths,
    /// How many adds were invoked, by the last moment of the read.
    invoked: usize,
    /// Of those, the ones that some line may not count yet; those of unknown outcome apart.
    open: Vec<u32>,
    unknown: Vec<u32>,
    /// By add, the last line that counts it, by the number of the line among all that there ever were.
    counted_by: Vec<u32>,
    number: u32,
    subsets: Subsets,
    base_bytes: usize,
}

impl<'a> Lines<'a> {
    fn new(ops: usize, adds: &'a [Add], reads: &'a [Read], width: usize, tries_per_moment: u64) -> Lines<'a> {
        Lines {
            adds,
            reads,
            width,
            tries_per_moment,
            has_all: true,
            tries: (TRIES + TRIES_PER_OP * ops as u64).min(u32::MAX.into()),
            now: Layer { lines: vec![Line { moment: 0, path: ROOT, cost: 0, from: 0, middle: 0, to: 0 }], ahead: Vec::new() },
            next: Layer::default(),
            paths: Paths::new(),
            invoked: 0,
            open: Vec::new(),
            unknown: Vec::new(),
            counted_by: vec![0; adds.len()],
            number: 0,
            subsets: Subsets::default(),
            base_bytes: ops * BYTES_PER_OP,
        }
    }

    fn run(&mut self, account: &mut Account<'_>) -> Result<Ended, Limit> {
        for at in 0..self.reads.len() {
            self.invoke(self.reads[at].last);
            for line in 0..self.now.lines.len() {
                self.extend(at, line, account)?;
                if self.tries == 0 {
                    return Ok(Ended::Tired);
                }
            }
            self.settle();
            if self.now.lines.is_empty() {
                return Ok(Ended::Nowhere(at));
            }
            if self.paths.is_due() {
                account.hold(self.bytes() + self.paths.bytes_to_collect(self.now.lines.len()))?;
                self.paths.collect(self.now.lines.iter_mut().map(|line| &mut line.path));
                self.forget();
            }
        }
        let best = self.now.lines.iter().min_by_key(|line| line.cost);
        Ok(Ended::Reached(best.map_or_else(Vec::new, |line| self.paths.steps(line.path))))
    }

    fn bytes(&self) -> usize {
        self.base_bytes + self.now.bytes() + self.next.bytes() + self.paths.bytes() + self.subsets.bytes()
    }

    /// Takes note of the adds that are invoked up to a moment, and leaves out those that all lines count.
    fn invoke(&mut self, until: u32) {
        let earliest = self.now.lines.iter().map(|line| line.moment).min().unwrap_or(0);
        self.open.retain(|&i| self.adds[i as usize].ret > earliest);
        while let Some(add) = self.adds.get(self.invoked).filter(|add| add.call <= until) {
            if add.ret == NEVER { &mut self.unknown } else { &mut self.open }.push(self.invoked as u32);
            self.invoked += 1;
        }
    }

    /// All ways to go on from a line to a read.
    fn extend(&mut self, at: usize, line: usize, account: &mut Account<'_>) -> Result<(), Limit> {
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
        let unknown: Vec<u32> = self.unknown.iter().copied().filter(is_left).filter(|&i| self.adds[i as usize].amount <= rest).collect();
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
                let before = self.tries;
                self.find(&free, &perhaps, rest);
                account.work(16 + before - self.tries)?;
                self.count(at, line, moment, &forced, &[free, perhaps].concat(), account)?;
            }
        }
        account.work(16)
    }

    /// Finds what may be counted besides: sets of a sum among adds of known outcome and others.
    fn find(&mut self, free: &[u32], perhaps: &[u32], rest: i128) {
        let mut tries = self.tries_per_moment.min(self.tries);
        self.tries -= tries;
        let (adds, found) = (self.adds, &mut self.subsets);
        let amount = |i: u32| adds[i as usize].amount;
        let is_hard = perhaps.len() > UNKNOWN_TOGETHER;
        let mut quick = if is_hard { tries.min(TRIES_FOR_ALL) } else { tries };
        tries -= quick;
        found.clear();
        found.find(adds, free.iter().chain(perhaps), rest, &[], &mut quick);
        self.has_all &= quick > 0;
        if quick == 0 && is_hard {
            found.clear();
            found.find(adds, free.iter(), rest, &[], &mut tries);
            for (latest, &i) in perhaps.iter().rev().take(UNKNOWN_TRIED).enumerate() {
                found.find(adds, free.iter(), rest - amount(i), &[i], &mut tries);
                let others = if latest < UNKNOWN_IN_PAIRS { latest } else { 0 };
                for &other in perhaps.iter().rev().take(others) {
                    found.find(adds, free.iter(), rest - amount(i) - amount(other), &[i, other], &mut tries);
                }
            }
        }
        self.tries += tries + quick;
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
        let age = |i: u32| moment - self.adds[i as usize].call;
        let cost: u32 = counted().filter(|i| !is_known(i)).map(|i| COST + (age(i) + 1).ilog2()).sum();
        let path = counted().fold(line.path, |path, op| self.paths.push(path, Step { op, at: at as u32 }));
        self.next.lines.push(Line {
            moment,
            path,
            cost: line.cost.saturating_add(cost),
            from: from as u32,
            middle: middle as u32,
            to: self.next.ahead.len() as u32,
        });
    }

    /// Makes the next lines the present ones: each once, and not too many.
    fn settle(&mut self) {
        let mut lines = std::mem::take(&mut self.next.lines);
        let next = &self.next;
        let key = |line: &Line| (line.moment, line.cost);
        lines.sort_unstable_by(|a, b| {
            (next.known(a), key(a)).cmp(&(next.known(b), key(b))).then_with(|| next.unknown(a).cmp(next.unknown(b)))
        });
        lines.dedup_by(|a, b| a.moment == b.moment && next.known(a) == next.known(b) && next.unknown(a) == next.unknown(b));
        if lines.len() > self.width {
            self.has_all = false;
            let mut alike = 0;
            let mut previous: Option<Line> = None;
            lines.retain(|line| {
                let is_alike = previous.is_some_and(|previous| next.known(&previous) == next.known(line));
                alike = if is_alike { alike + 1 } else { 0 };
                previous = Some(*line);
                alike < ALIKE
            });
            lines.sort_unstable_by_key(|line| (line.cost, line.from));
            lines.truncate(self.width);
        }
        self.next.lines = lines;
        std::mem::swap(&mut self.now, &mut self.next);
        self.next.lines.clear();
        self.next.ahead.clear();
    }

    /// Forgets the adds of unknown outcome that all lines count.
    fn forget(&mut self) {
        let mut times = vec![0; self.adds.len()];
        for line in &self.now.lines {
            for &i in self.now.unknown(line) {
                times[i as usize] += 1;
            }
        }
        let all = self.now.lines.len();
        self.unknown.retain(|&i| times[i as usize] < all);
        let lines = std::mem::take(&mut self.now.lines);
        for line in &lines {
            let from = self.next.ahead.len() as u32;
            self.next.ahead.extend(self.now.known(line));
            let middle = self.next.ahead.len() as u32;
            self.next.ahead.extend(self.now.unknown(line).iter().filter(|&&i| times[i as usize] < all));
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

    /// Finds all sets with a sum, together with those in `with`, that leave nobody out who returns before one of the same amount;
    /// as many as can be with so many tries.
    fn find<'b>(&mut self, adds: &[Add], among: impl Iterator<Item = &'b u32>, sum: i128, with: &[u32], tries: &mut u64) {
        let amount = |i: u32| adds[i as usize].amount;
        if sum < 0 || *tries == 0 {
            return;
        }
        self.among.clear();
        self.among.extend(among.copied().filter(|&i| amount(i) <= sum && !with.contains(&i)));
        self.among.sort_unstable_by_key(|&i| (std::cmp::Reverse(amount(i)), adds[i as usize].ret, i));
        self.sums.clear();
        self.sums.extend(self.among.iter().rev().scan(0, |sum, &i| {
            *sum += amount(i);
            Some(*sum)
        }));
        self.sums.reverse();
        self.chosen.clear();
        let smallest = self.among.last().map_or(1, |&i| amount(i));
        let (mut left, mut place) = (sum, 0);
        while *tries > 0 {
            *tries -= 1;
            if left >= smallest && self.sums.get(place).is_some_and(|&sum| sum >= left) {
                if amount(self.among[place]) <= left {
                    left -= amount(self.among[place]);
                    self.chosen.push(place);
                }
                place += 1;
                continue;
            }
            if left == 0 {
                self.all.extend(self.chosen.iter().map(|&place| self.among[place]).chain(with.iter().copied()));
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
