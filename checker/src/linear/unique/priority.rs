//! Priority queues in which every value is put in once, decided in O(n log n).
//!
//! # The idea
//! (The result is that of Lee and Mathur, OOPSLA 2025; this argument, and what is said of unknown outcomes, is our own.) A removal of
//! v happens at a moment at which no smaller value is there; so at one at which no smaller one is *surely* there (module `lives`).
//! *If each removal has such a moment, there is an order:* let it take the first one, and let each insert be as late as it can be:
//! just before it returns, or just before the removal if that comes first. Is anything smaller there when v is removed? A smaller
//! u that is surely there is not, by choice. One that is only there because its removal had to wait: all the time from the
//! invocation of u's removal until its moment something yet smaller was surely there, and that is so at v's moment too, against
//! the choice. Removals in one moment come in the order of values.
//!
//! Who found nothing is a removal of a value greater than all. One sweep over the events does it: of those that wait for their
//! moment the smallest goes first, if it is less than all that are surely there.
//!
//! Where the greatest comes out first, all this is said of ranks: the values with another sign.
//!
//! # Unknown outcomes
//! An insert that nobody noticed is left out, one that was noticed returned never. A removal of unknown outcome may take a value u
//! that stayed, at any moment since its invocation. If u stays, nothing greater can be removed once u is surely there. A greater v
//! whose first moment comes after that must have a moment after u is gone: u must be taken by an op that was invoked by the
//! *last* moment of v. That is a deadline; if the values with deadlines, sorted, find not as many removals that were invoked
//! early enough, there is no order. Otherwise an order is looked for: in the sweep a removal of v takes its first moment at
//! which all smaller values that stayed can be taken by ops that were invoked by then, or, in a second try, puts this off
//! until its last moment. If both fail, the search must say.

use super::{NONE, No, Ops};
use crate::budget::{Account, Limit};
use crate::decode::NEVER;
use crate::linear::unique::value_intervals::{Life, Needy, cover, lives, take_out};
use crate::model::{First, Role};
use histories::OpId;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// A rank among values; more than any for an op that found nothing.
const ABOVE_ALL: i64 = i64::MAX;
/// Where too many values stayed: so many of them are suspected.
const BLAMED: usize = 16;

/// In one moment.
const OUT: u8 = 0;
const IN: u8 = 1;

/// (moment, what comes first in it, turn, entry): sorted, that is the order.
type Placed = Vec<(u32, u8, u32, u32)>;

/// A removal: of a life, or by an op that found nothing.
#[derive(Clone, Copy, Debug)]
struct Removal {
    value: i64,
    entry: u32,
    call: u32,
    ret: u32,
}

/// When a removal of unknown outcome is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Take {
    Soon,
    /// At the last of these moments, by removal.
    Late,
}

pub(super) fn decide(ops: &Ops<'_>, first: First, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let found = lives(ops, account)?;
    let (known, stayed) = found.split();
    let mut removals: Vec<Removal> = Vec::with_capacity(known.len() + found.empties.len());
    removals.extend(known.iter().map(|life| Removal {
        value: rank_of(ops, first, life),
        entry: life.remove,
        call: life.out_call,
        ret: life.out_ret,
    }));
    removals.extend(found.empties.iter().map(|&entry| {
        let span = ops.entries[entry as usize];
        Removal { value: ABOVE_ALL, entry, call: span.call, ret: span.ret }
    }));
    let sweep = Sweep { ops, first, known: &known, stayed: &stayed, removals: &removals };
    if found.unknown.is_empty() || stayed.is_empty() {
        let placed = sweep.forward(&stayed, &[], Take::Soon, &[], account);
        let placed = placed.map_err(|no| sweep.explained(no, &stayed))?;
        return found.conclude(sweep.order(placed, account)?);
    }
    let first = sweep.forward(&[], &[], Take::Soon, &[], account);
    let first = first.map_err(|no| sweep.explained(no, &[]))?;
    let last = sweep.last_moments(account)?;
    sweep.check_deadlines(&first, &last, &found.unknown, account)?;
    for take in [Take::Soon, Take::Late] {
        match sweep.forward(&stayed, &found.unknown, take, &last, account) {
            Err(No::Blocked(_)) => {}
            placed => return found.conclude(sweep.order(placed?, account)?),
        }
    }
    Err(No::Open)
}

/// What comes out first has the least.
fn rank_of(ops: &Ops<'_>, first: First, life: &Life) -> i64 {
    match ops.role(life.insert) {
        Role::Insert(value) => value.as_small_int().map_or(ABOVE_ALL, |value| first.rank(value)),
        _ => ABOVE_ALL,
    }
}

struct Sweep<'a> {
    ops: &'a Ops<'a>,
    first: First,
    known: &'a [Life],
    stayed: &'a [Life],
    removals: &'a [Removal],
}

/// What happens just after an event, all by index: values become surely there, or cease to be; removals begin to wait.
#[derive(Clone, Copy, Default)]
struct Turn {
    comes: Option<u32>,
    goes: Option<u32>,
    waits: Option<u32>,
    must_be_over: Option<u32>,
}

impl Sweep<'_> {
    fn turns(&self) -> Vec<Turn> {
        let mut turns = vec![Turn::default(); self.ops.events.len() + 1];
        for (i, life) in (0..).zip(self.known).filter(|(_, life)| life.is_sure()) {
            turns[life.in_ret as usize].comes = Some(i);
            turns[life.out_call as usize].goes = Some(i);
        }
        for (i, removal) in (0..).zip(self.removals) {
            turns[removal.call as usize].waits = Some(i);
            turns[removal.ret as usize].must_be_over = Some(i);
        }
        turns
    }

    /// Places all removals, each as early as it can be. `stays` may be taken by `takers`, if there are any.
    ///
    /// # Errors
    /// The entry of a removal that finds no moment.
    fn forward(&self, stays: &[Life], takers: &[u32], take: Take, last: &[u32], account: &mut Account<'_>) -> Result<Placed, No> {
        let turns = self.turns();
        let mut placed = Placed::with_capacity(2 * self.known.len() + self.removals.len() + stays.len());
        let mut moment_of = vec![NONE; self.removals.len()];
        let mut there: BinaryHeap<Reverse<(i64, u32)>> = BinaryHeap::new();
        let mut is_gone = vec![false; self.known.len()];
        let mut waiting: BinaryHeap<Reverse<(i64, u32)>> = BinaryHeap::new();
        let mut staying = Staying::new(self.ops, self.first, stays, takers);
        for (rank, turn) in (0..).zip(&turns) {
            account.work(8)?;
            staying.until(rank);
            if let Some(late) = turn.must_be_over.filter(|&late| moment_of[late as usize] == NONE) {
                return Err(No::Blocked(self.removals[late as usize].entry));
            }
            if let Some(life) = turn.goes {
                is_gone[life as usize] = true;
            }
            there.extend(turn.comes.map(|life| Reverse((rank_of(self.ops, self.first, &self.known[life as usize]), life))));
            waiting.extend(turn.waits.map(|removal| Reverse((self.removals[removal as usize].value, removal))));
            while there.peek().is_some_and(|&Reverse((_, life))| is_gone[life as usize]) {
                there.pop();
            }
            let least = there.peek().map(|&Reverse((value, _))| value);
            // What waits and may go: up to the greatest for which it is worth to take out what stayed.
            let mut going: Vec<u32> = Vec::new();
            let mut worth = 0;
            while let Some(&Reverse((value, removal))) = waiting.peek().filter(|next| least.is_none_or(|least| next.0.0 < least)) {
                let Some(below) = staying.can_be_taken(value) else { break };
                account.work(1 + below as u64)?;
                waiting.pop();
                going.push(removal);
                if below == 0 || take == Take::Soon || last.get(removal as usize).is_none_or(|&last| last <= rank) {
                    worth = going.len();
                }
            }
            waiting.extend(going[worth..].iter().map(|&removal| Reverse((self.removals[removal as usize].value, removal))));
            for &removal in &going[..worth] {
                let Removal { value, entry, .. } = self.removals[removal as usize];
                staying.take_below(value, rank, &mut placed, account)?;
                moment_of[removal as usize] = rank;
                placed.push((rank, OUT, 2 * placed.len() as u32 + 1, entry));
            }
        }
        self.place_inserts(stays, &moment_of, &mut placed);
        Ok(placed)
    }

    /// Inserts come just before they return, or just before their removal.
    fn place_inserts(&self, stays: &[Life], moment_of: &[u32], placed: &mut Placed) {
        let mut turn_of = vec![NONE; self.ops.entries.len()];
        for &(_, _, turn, entry) in placed.iter() {
            turn_of[entry as usize] = turn;
        }
        for (life, &moment) in self.known.iter().zip(moment_of) {
            if moment < life.in_ret {
                placed.push((moment, OUT, turn_of[life.remove as usize] - 1, life.insert));
            } else {
                placed.push((life.in_ret - 1, IN, 0, life.insert));
            }
        }
        placed.extend(stays.iter().map(|life| (life.in_ret - 1, IN, 0, life.insert)));
    }

    fn order(&self, mut placed: Placed, account: &mut Account<'_>) -> Result<Vec<OpId>, Limit> {
        account.work(8 * placed.len() as u64)?;
        placed.sort_unstable();
        Ok(placed.into_iter().map(|(.., entry)| self.ops.id(entry)).collect())
    }

    /// The removal that finds no moment, and the fewest smaller values of which one is surely there all the time.
    fn explained(&self, no: No, stays: &[Life]) -> No {
        let No::Blocked(entry) = no else { return no };
        match self.removals.iter().find(|removal| removal.entry == entry) {
            Some(removal) => No::Broken(self.covered(removal, stays)),
            None => no,
        }
    }

    fn covered(&self, removal: &Removal, stays: &[Life]) -> Vec<u32> {
        let smaller = |life: &&Life| life.is_sure() && rank_of(self.ops, self.first, life) < removal.value;
        let mut surely: Vec<&Life> = self.known.iter().chain(stays).filter(smaller).collect();
        surely.sort_unstable_by_key(|life| life.in_ret);
        let mut suspects = cover(surely.into_iter(), removal.call, removal.ret);
        suspects.extend(self.known.iter().find(|life| life.remove == removal.entry).map(|life| life.insert));
        suspects.push(removal.entry);
        suspects
    }

    /// The last moment of each removal at which nothing smaller is surely there: the sweep, backwards.
    fn last_moments(&self, account: &mut Account<'_>) -> Result<Vec<u32>, Limit> {
        let mut last = vec![NONE; self.removals.len()];
        let mut there: BinaryHeap<Reverse<(i64, u32)>> = BinaryHeap::new();
        let mut is_gone = vec![false; self.known.len()];
        let mut waiting: BinaryHeap<Reverse<(i64, u32)>> = BinaryHeap::new();
        let turns = self.turns();
        for rank in (0..turns.len() as u32).rev() {
            let turn = turns[rank as usize];
            account.work(8)?;
            if let Some(life) = turn.comes {
                is_gone[life as usize] = true;
            }
            there.extend(turn.goes.map(|life| Reverse((rank_of(self.ops, self.first, &self.known[life as usize]), life))));
            waiting.extend(turn.must_be_over.map(|removal| Reverse((self.removals[removal as usize].value, removal))));
            while there.peek().is_some_and(|&Reverse((_, life))| is_gone[life as usize]) {
                there.pop();
            }
            let least = there.peek().map(|&Reverse((value, _))| value);
            while let Some(&Reverse((_, removal))) = waiting.peek().filter(|next| least.is_none_or(|least| next.0.0 < least)) {
                waiting.pop();
                last[removal as usize] = rank.saturating_sub(1);
            }
        }
        Ok(last)
    }

    /// That values that cannot have stayed find enough removals of unknown outcome in time.
    fn check_deadlines(&self, first: &Placed, last: &[u32], unknown: &[u32], account: &mut Account<'_>) -> Result<(), No> {
        let mut first_of = vec![0; self.ops.entries.len()];
        for &(moment, .., entry) in first {
            first_of[entry as usize] = moment;
        }
        let mut by_value: Vec<u32> = (0..self.removals.len() as u32).collect();
        by_value.sort_unstable_by_key(|&i| Reverse(self.removals[i as usize].value));
        let mut stayed: Vec<Life> = self.stayed.to_vec();
        stayed.sort_unstable_by_key(|life| Reverse(rank_of(self.ops, self.first, life)));
        let mut after = LeastAfter::new(self.ops.events.len());
        let (mut next, mut needy, mut because_of) = (0, Vec::new(), Vec::new());
        for life in stayed {
            while let Some(&i) = by_value.get(next).filter(|&&i| self.removals[i as usize].value > rank_of(self.ops, self.first, &life)) {
                account.work(32)?;
                after.put(first_of[self.removals[i as usize].entry as usize], (last[i as usize], i));
                next += 1;
            }
            let (moment, by) = after.least(life.in_ret);
            if moment != NEVER {
                needy.push(Needy { deadline: moment + 1, life });
                because_of.push((life.insert, by));
            }
        }
        let mut unknown = unknown.to_vec();
        let Err(place) = take_out(self.ops, &mut needy, &mut unknown) else { return Ok(()) };
        let too_many = &needy[..=place];
        let mut suspects: Vec<u32> = too_many.iter().map(|needy| needy.life.insert).collect();
        for needy in too_many.iter().take(BLAMED) {
            let by = because_of.iter().find(|because| because.0 == needy.life.insert).map(|because| self.removals[because.1 as usize]);
            suspects.extend(by.into_iter().flat_map(|removal| self.covered(&removal, &[needy.life])));
        }
        Err(No::Broken(suspects))
    }
}

/// Values that stayed and are surely there by now, and the removals that may take them.
struct Staying<'a> {
    ops: &'a Ops<'a>,
    first: First,
    /// The last to come first.
    to_come: Vec<Life>,
    /// By value.
    there: BTreeSet<(i64, u32)>,
    takers: &'a [u32],
    invoked: usize,
    used: usize,
}

impl<'a> Staying<'a> {
    fn new(ops: &'a Ops<'a>, first: First, stays: &[Life], takers: &'a [u32]) -> Staying<'a> {
        let mut to_come = stays.to_vec();
        to_come.sort_unstable_by_key(|life| Reverse(life.in_ret));
        Staying { ops, first, to_come, there: BTreeSet::new(), takers, invoked: 0, used: 0 }
    }

    fn until(&mut self, rank: u32) {
        while let Some(life) = self.to_come.pop_if(|life| life.in_ret <= rank) {
            self.there.insert((rank_of(self.ops, self.first, &life), life.insert));
        }
        while self.takers.get(self.invoked).is_some_and(|&taker| self.ops.entries[taker as usize].call <= rank) {
            self.invoked += 1;
        }
    }

    /// How many values below this one are there, if all can be taken.
    fn can_be_taken(&self, below: i64) -> Option<usize> {
        let free = self.invoked - self.used;
        let many = self.there.iter().take(free + 1).take_while(|there| there.0 < below).count();
        (many <= free).then_some(many)
    }

    fn take_below(&mut self, below: i64, rank: u32, placed: &mut Placed, account: &mut Account<'_>) -> Result<(), Limit> {
        while self.there.first().is_some_and(|there| there.0 < below) {
            account.work(8)?;
            self.there.pop_first();
            placed.push((rank, OUT, 2 * placed.len() as u32 + 1, self.takers[self.used]));
            self.used += 1;
        }
        Ok(())
    }
}

/// The least of what was put at a place or after it. A tree of sums with minima for sums (Fenwick 1994).
struct LeastAfter {
    tree: Vec<(u32, u32)>,
}

impl LeastAfter {
    fn new(places: usize) -> LeastAfter {
        LeastAfter { tree: vec![(NEVER, NONE); places + 2] }
    }

    fn put(&mut self, place: u32, what: (u32, u32)) {
        let mut node = self.tree.len() - 1 - place as usize;
        while node < self.tree.len() {
            self.tree[node] = self.tree[node].min(what);
            node += node & node.wrapping_neg();
        }
    }

    fn least(&self, from: u32) -> (u32, u32) {
        let mut node = (self.tree.len() - 1).saturating_sub(from as usize);
        let mut least = (NEVER, NONE);
        while node > 0 {
            least = least.min(self.tree[node]);
            node -= node & node.wrapping_neg();
        }
        least
    }
}
