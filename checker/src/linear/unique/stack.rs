//! Stacks in which every value is put in once, decided in O(n log n).
//!
//! # The idea
//! (For stacks whose ops all returned: the decrease-and-conquer of Lee and Mathur, OOPSLA 2025; Abdulla et al., PLDI 2025, decide
//! the same in O(n²). What is said of unknown outcomes and of answers "empty" is our own.) In an order of a stack's ops the times
//! at which values are there are nested or apart. Each life has a push and a pop, tightened as module `lives` says.
//!
//! 1. **A value that is never surely there** can be pushed and popped in one moment. It disturbs nobody: leave it out.
//! 2. **A moment at which nothing is surely there** splits the history. Each life lies, as far as it is sure, before the moment or
//!    after it. Take any order; of the lives before, let those that are popped after the moment be popped in the same sequence just
//!    before it; of the lives after, let those that are pushed before it be pushed just after it: still an order, and now the stack
//!    is empty at the moment. So the sides can be ordered independently, and who found the stack empty takes the first such moment.
//! 3. **Where something is surely there from s to e without a gap**, one value lies at the bottom all that time: it was pushed
//!    before s and is popped after e. *Any life that can do so will do as the bottom.* Given an order of the others, let those that
//!    are pushed before s be pushed in the same sequence just before s, and those popped after e just after it; no push must come
//!    later than s (then it would be the bottom's), and no pop earlier than e. Around them goes the bottom. So take it out and go
//!    on with what is left, which may have gaps now. If no life can be the bottom, there is no order; and as few lives as cover the
//!    time from s to e contradict each other by themselves, for none of them can be the bottom of these.
//!
//! As time goes on s only grows and e only falls, so a life that was invoked before s stays so: two trees of minima tell each
//! life once that its push, and once that its pop, is far enough out. A tree of sums tells where gaps are.
//!
//! # Unknown outcomes
//! A push that nobody noticed is left out, one that was noticed returned never. A pop of unknown outcome may have taken a value u
//! that stayed; then it returns never. If u stays it needs a moment at which everything below it stays too: one of its push at
//! which no value that was popped is surely there. Otherwise it must be popped before one of those below it is. The best time for
//! its push leaves the most time: take out bottoms as above, always the one that can be popped the latest; a moment that opens
//! has a *level*, the least of the last pops of all bottoms around it; the deadline of u is the greatest level in its push. (A
//! bottom that another choice would have taken before u is free is still possible there, so this finds the greatest.) So there
//! is no order if the values that have deadlines, sorted, find not as many pops that were invoked early enough. If they find
//! them, these values are popped by them, which may give deadlines to further values; in the end all is decided as above: an
//! order is an order, and otherwise the search must say.

use super::{No, Ops};
use crate::budget::{Account, Limit};
use crate::decode::NEVER;
use crate::linear::unique::segment_tree::{Cover, Minima};
use crate::linear::unique::value_intervals::{GoneBy, LATE, Life, Lives, Needy, lives, moments, take_out};
use histories::OpId;
use std::collections::BinaryHeap;

/// How often values that got a deadline only because others were popped are looked for.
const ROUNDS: usize = 16;
/// If there are more values that cannot have stayed, what is below them is not looked for.
const BLAMED: usize = 4;

/// In one moment.
const POPS: u8 = 0;
const AT_ONCE: u8 = 1;
const EMPTIES: u8 = 2;
const PUSHES: u8 = 3;

pub(super) fn decide(ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let found = lives(ops, account)?;
    let (mut known, mut stayed) = found.split();
    if found.unknown.is_empty() || stayed.is_empty() {
        let order = arrange(ops, &found.all, &found.empties, account)?;
        return found.conclude(order);
    }
    let mut unknown = found.unknown.clone();
    for round in 0..ROUNDS {
        let mut needy = needy(ops, &known, &mut stayed, &found, account).map_err(|no| if round == 0 { no } else { No::Open })?;
        if needy.is_empty() {
            break;
        }
        match take_out(ops, &mut needy, &mut unknown) {
            Ok(taken) => known.extend(taken),
            Err(place) if round == 0 => return Err(No::Broken(blame(ops, &known, &needy[..=place], &found.empties, account)?)),
            Err(_) => return Err(No::Open),
        }
    }
    known.extend(stayed);
    match arrange(ops, &known, &found.empties, account) {
        Err(No::Broken(_)) => Err(No::Open),
        order => found.conclude(order?),
    }
}

/// Those that cannot stay, taken out of the list.
fn needy(ops: &Ops<'_>, known: &[Life], stayed: &mut Vec<Life>, found: &Lives, account: &mut Account<'_>) -> Result<Vec<Needy>, No> {
    let gone_by = GoneBy::new(&moments(ops, known, &found.empties, account)?);
    let mut nest = Nest::new(known);
    nest.run(account)?;
    if let Some(chain) = nest.chain() {
        return Err(No::Broken(chain));
    }
    let levels = Minima::new(nest.levels.iter().map(|&level| !level));
    let mut needy = Vec::new();
    for life in std::mem::take(stayed) {
        account.work(8)?;
        let gap = |moment: u32| nest.posts.partition_point(|&post| post <= moment);
        let level = !levels.least(gap(life.in_call), gap(life.in_ret - 1) + 1);
        let deadline = level.min(gone_by.deadline(&life));
        if deadline == NEVER { stayed.push(life) } else { needy.push(Needy { deadline, life }) }
    }
    Ok(needy)
}

/// The values that cannot have stayed, and what they contradict.
fn blame(ops: &Ops<'_>, known: &[Life], needy: &[Needy], empties: &[u32], account: &mut Account<'_>) -> Result<Vec<u32>, Limit> {
    let mut suspects: Vec<u32> = needy.iter().map(|needy| needy.life.insert).collect();
    for needy in needy.iter().take(BLAMED) {
        let mut lives = known.to_vec();
        lives.push(needy.life);
        match arrange(ops, &lives, empties, account) {
            Err(No::Broken(chain)) => suspects.extend(chain),
            Err(No::Out(limit)) => return Err(limit),
            _ => {}
        }
    }
    Ok(suspects)
}

/// The order of all ops, or those that contradict each other.
fn arrange(ops: &Ops<'_>, lives: &[Life], empties: &[u32], account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let moments = moments(ops, lives, empties, account)?;
    let mut nest = Nest::new(lives);
    nest.run(account)?;
    if let Some(chain) = nest.chain() {
        return Err(No::Broken(chain));
    }
    // (moment, what comes first in it, turn, entry): sorted, that is the order. Bottoms are pushed first and popped last.
    let mut placed: Vec<(u32, u8, u32, u32)> = Vec::with_capacity(2 * lives.len() + empties.len());
    for (turn, &(life, from, to)) in (0..).zip(&nest.order) {
        let life = lives[life as usize];
        placed.push((from - 1, PUSHES, turn, life.insert));
        if to < LATE {
            placed.push((to, POPS, !turn, life.remove));
        }
    }
    for (turn, life) in (0..).zip(lives).filter(|(_, life)| !life.is_sure()) {
        placed.push((life.out_call, AT_ONCE, 2 * turn, life.insert));
        placed.push((life.out_call, AT_ONCE, 2 * turn + 1, life.remove));
    }
    placed.extend(empties.iter().zip(&moments).map(|(&empty, moment)| (moment.0, EMPTIES, empty, empty)));
    account.work(8 * placed.len() as u64)?;
    placed.sort_unstable();
    Ok(placed.into_iter().map(|(.., entry)| ops.id(entry)).collect())
}

/// A life that is sure, between two of the *posts*: the events at which such stretches begin and end.
#[derive(Clone, Copy)]
struct Sure {
    life: u32,
    start: u32,
    end: u32,
    /// By when it must be popped.
    reach: u32,
    /// Its place among those sorted by end.
    by_end: u32,
}

/// The lives that are sure, while bottoms are taken out.
struct Nest<'l> {
    lives: &'l [Life],
    posts: Vec<u32>,
    /// By start.
    sure: Vec<Sure>,
    /// Places in `sure`, sorted by end.
    by_end: Vec<u32>,
    /// How many of `sure` start, and of `by_end` end, before each post.
    starts_before: Vec<u32>,
    ends_before: Vec<u32>,
    /// Gap k lies before post k.
    cover: Cover,
    /// Invocations of pushes by start, and complements of `reach` by end, of those that are not known to be far enough out.
    calls: Minima,
    reaches: Minima,
    /// Whether one of the two is.
    is_half: Vec<bool>,
    /// The next life by start that is not taken out.
    next: Vec<u32>,
    /// Lives that can be a bottom, by reach.
    ready: BinaryHeap<(u32, u32)>,
    /// By the post at which a stretch without a gap begins: the least reach of the bottoms around it.
    limits: Vec<u32>,
    /// The same for each gap, once it is one.
    levels: Vec<u32>,
    /// The bottoms as they are taken out: (life, the events from which and to which it lies below the others).
    order: Vec<(u32, u32, u32)>,
}

impl<'l> Nest<'l> {
    fn new(lives: &'l [Life]) -> Nest<'l> {
        let end = |life: &Life| life.out_call.min(LATE);
        let surely = || (0..).zip(lives).filter(|(_, life)| life.is_sure());
        let mut posts: Vec<u32> = surely().flat_map(|(_, life)| [life.in_ret, end(life)]).collect();
        posts.sort_unstable();
        posts.dedup();
        let post = |event: u32| posts.partition_point(|&post| post < event) as u32;
        let mut sure: Vec<Sure> = surely()
            .map(|(i, life)| {
                let reach = if life.out_ret >= LATE { NEVER } else { life.out_ret };
                Sure { life: i, start: post(life.in_ret), end: post(end(life)), reach, by_end: 0 }
            })
            .collect();
        sure.sort_unstable_by_key(|sure| sure.start);
        let mut by_end: Vec<u32> = (0..sure.len() as u32).collect();
        by_end.sort_unstable_by_key(|&i| sure[i as usize].end);
        for (place, &i) in (0..).zip(&by_end) {
            sure[i as usize].by_end = place;
        }
        let mut starts_before = vec![0; posts.len() + 2];
        let mut ends_before = vec![0; posts.len() + 2];
        for life in &sure {
            starts_before[life.start as usize + 1] += 1;
            ends_before[life.end as usize + 1] += 1;
        }
        for post in 1..posts.len() + 2 {
            starts_before[post] += starts_before[post - 1];
            ends_before[post] += ends_before[post - 1];
        }
        let life = |i: u32| lives[sure[i as usize].life as usize];
        Nest {
            lives,
            cover: Cover::new(posts.len() + 1, sure.iter().map(|life| (life.start as usize + 1, life.end as usize + 1))),
            calls: Minima::new((0..sure.len() as u32).map(|i| life(i).in_call)),
            reaches: Minima::new(by_end.iter().map(|&i| !sure[i as usize].reach)),
            is_half: vec![false; sure.len()],
            next: (0..=sure.len() as u32).collect(),
            ready: BinaryHeap::new(),
            limits: vec![NEVER; posts.len()],
            levels: vec![NEVER; posts.len() + 1],
            order: Vec::with_capacity(sure.len()),
            starts_before,
            ends_before,
            by_end,
            posts,
            sure,
        }
    }

    /// Takes out bottoms while there are any.
    fn run(&mut self, account: &mut Account<'_>) -> Result<(), Limit> {
        let mut from = 0;
        while let Some((start, end)) = self.stretch(from) {
            account.work(8)?;
            self.look(start, end);
            from = end + 1;
        }
        while let Some((reach, i)) = self.ready.pop() {
            account.work(64)?;
            self.take(i, reach);
        }
        Ok(())
    }

    /// The first stretch without a gap that begins at this post or later.
    fn stretch(&mut self, from: usize) -> Option<(usize, usize)> {
        let first = self.next_left(self.starts_before[from.min(self.posts.len())]);
        let start = self.sure.get(first as usize)?.start as usize;
        Some((start, self.cover.next_open(start + 1) - 1))
    }

    fn next_left(&mut self, mut i: u32) -> u32 {
        while self.next[i as usize] != i {
            self.next[i as usize] = self.next[self.next[i as usize] as usize];
            i = self.next[i as usize];
        }
        i
    }

    /// Finds out who can be the bottom of a stretch.
    fn look(&mut self, start: usize, end: usize) {
        let (s, e) = (self.posts[start], self.posts[end]);
        let among = self.starts_before[start] as usize..self.starts_before[end + 1] as usize;
        while let Some(i) = self.calls.any_below(among.start, among.end, s) {
            self.calls.remove(i);
            self.is_out(i);
        }
        let among = self.ends_before[start] as usize..self.ends_before[end + 1] as usize;
        while let Some(place) = self.reaches.any_below(among.start, among.end, !e) {
            self.reaches.remove(place);
            self.is_out(self.by_end[place] as usize);
        }
    }

    fn is_out(&mut self, i: usize) {
        if std::mem::replace(&mut self.is_half[i], true) {
            self.ready.push((self.sure[i].reach, i as u32));
        }
    }

    /// Takes out a bottom and looks at what is left of its stretch.
    fn take(&mut self, i: u32, reach: u32) {
        let Sure { life, start, end, .. } = self.sure[i as usize];
        let (start, end) = (start as usize, end as usize);
        let first = self.cover.last_open(start);
        let last = self.cover.next_open(end) - 1;
        let limit = self.limits[first].min(reach);
        self.order.push((life, self.posts[first], self.posts[last]));
        self.next[i as usize] = i + 1;
        self.cover.remove(start + 1, end + 1);
        // All gaps between its posts that are open now were not before.
        let (mut from, mut opens_from) = (first, start + 1);
        while let Some((s, e)) = self.stretch(from).filter(|stretch| stretch.0 <= end) {
            self.open(opens_from.max(from), s, limit);
            self.limits[s] = limit;
            self.look(s, e);
            (from, opens_from) = (e + 1, e + 1);
        }
        self.open(opens_from.max(from), end, limit);
    }

    fn open(&mut self, from: usize, to: usize, level: u32) {
        for gap in from..=to {
            self.levels[gap] = level;
        }
    }

    /// If lives are left: the fewest that cover a stretch of which none of them can be the bottom; their ops.
    fn chain(&mut self) -> Option<Vec<u32>> {
        let mut best: Option<Vec<u32>> = None;
        let mut from = 0;
        while let Some((start, end)) = self.stretch(from) {
            let (mut chain, mut reached, mut i) = (Vec::new(), start, self.starts_before[start]);
            while reached < end {
                let mut longest: Option<Sure> = None;
                while (i as usize) < self.sure.len() {
                    i = self.next_left(i);
                    let Some(&sure) = self.sure.get(i as usize).filter(|sure| sure.start as usize <= reached) else { break };
                    longest = longest.filter(|longest| longest.end >= sure.end).or(Some(sure));
                    i += 1;
                }
                let Some(sure) = longest else { break };
                let Life { insert, remove, .. } = self.lives[sure.life as usize];
                chain.extend([insert, remove]);
                reached = sure.end as usize;
            }
            if best.as_ref().is_none_or(|best| chain.len() < best.len()) {
                best = Some(chain);
            }
            from = end + 1;
        }
        best
    }
}
