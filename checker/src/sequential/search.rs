//! The search for an order: one op after the other, session by session (Gibbons and Korach 1997, section 3: at most the
//! product of the sessions' lengths, times the states).
//!
//! A point of the search is how far each session has come and the place that each object is in. What can follow depends on
//! nothing else, so no point is gone into twice; points are remembered by 128 bits of hash, which may lose an order in
//! theory but proves nothing wrong: that there is none is only said with a contradiction that is established anew.
//!
//! * An op that changes nothing is placed as soon as it can be: in every order that goes on from here it can come first.
//! * Whoever replaces a state that somebody still has to find, and that nobody can bring back, has lost.
//! * Ops are tried in the order of their rank, so a good guess of the order is found at once.

use super::program::{ANY, ASK, Part, Program};
use crate::budget::{Account, Limit};
use crate::model::Model;
use hashbrown::{HashMap, HashSet};
use rustc_hash::FxBuildHasher;

/// What the search found out.
#[derive(Debug)]
pub(crate) enum Found {
    /// An order of all ops that are done, and some of unknown outcome.
    Order(Vec<u32>),
    /// There is none. How far each session came where most ops were placed.
    Nothing(Vec<u32>),
    /// The budget ended, when this many ops at most had been placed.
    Out(Limit, usize),
}

/// What is undone when the search goes back.
#[derive(Clone, Copy)]
struct Replaced {
    object: u32,
    place: u32,
}

/// A point where several ops could follow.
struct Fork {
    /// Ops placed when it was reached.
    placed: usize,
    /// Where its choices begin: those that are left are the last of all.
    first: usize,
}

pub(crate) struct Search<'a, M: Model> {
    model: &'a M,
    program: &'a Program<M>,
    rank: &'a [u32],
    places: Vec<(u32, M::State)>,
    place_of: HashMap<(u32, M::State), u32, FxBuildHasher>,
    /// The place after a class of op happened in one, where the model has to be asked; `ASK`: it cannot happen.
    steps: HashMap<(u32, u32), u32, FxBuildHasher>,
    /// What the states that were found on the way point to; and what of all that was found there is counted.
    found_bytes: usize,
    counted: usize,
    /// How far each session has come.
    next: Vec<u32>,
    /// The place of each object.
    at: Vec<u32>,
    /// How many ops still have to find each place, and how many can still leave it.
    wanted: Vec<u32>,
    supply: Vec<u32>,
    hash: (u64, u64),
    order: Vec<u32>,
    replaced: Vec<Replaced>,
    left: usize,
    forks: Vec<Fork>,
    choices: Vec<u32>,
    seen: HashSet<(u64, u64), FxBuildHasher>,
    best: (usize, Vec<u32>),
    /// Ops placed in all.
    pub(crate) made: u64,
}

impl<'a, M: Model> Search<'a, M> {
    /// A search that tries ops of lower rank first.
    pub(crate) fn new(model: &'a M, program: &'a Program<M>, rank: &'a [u32]) -> Search<'a, M> {
        let mut search = Search {
            model,
            program,
            rank,
            places: program.places.clone(),
            place_of: HashMap::default(),
            steps: HashMap::default(),
            found_bytes: 0,
            counted: 0,
            next: program.starts[..program.sessions()].to_vec(),
            at: program.init.clone(),
            wanted: vec![0; program.places.len()],
            supply: vec![0; program.places.len()],
            hash: (0, 0),
            order: Vec::with_capacity(program.len()),
            replaced: Vec::new(),
            left: program.ops.iter().filter(|op| op.is_done).count(),
            forks: Vec::new(),
            choices: Vec::new(),
            seen: HashSet::default(),
            best: (0, Vec::new()),
            made: 0,
        };
        if program.is_open.iter().any(|open| *open) {
            search.place_of.extend((0..).zip(&program.places).map(|(at, place)| (place.clone(), at)));
        }
        for op in 0..program.len() as u32 {
            search.count(op, true);
        }
        search
    }

    /// Bytes that a search holds at first, without what states point to.
    pub(crate) fn bytes(program: &Program<M>) -> usize {
        program.places.len() * (2 * size_of::<(u32, M::State)>() + 16) + program.len() * (4 + size_of::<Replaced>() * 2)
    }

    /// Looks for an order, in at most so many steps.
    pub(crate) fn run(mut self, steps: u64, account: &mut Account<'_>) -> (Found, u64) {
        let found = match self.look(steps, account) {
            Ok(true) => Found::Order(std::mem::take(&mut self.order)),
            Ok(false) => Found::Nothing(std::mem::take(&mut self.best.1)),
            Err(limit) => Found::Out(limit, self.best.0.max(self.order.len())),
        };
        (found, self.made)
    }

    fn look(&mut self, steps: u64, account: &mut Account<'_>) -> Result<bool, Limit> {
        loop {
            if self.made > steps {
                return Err(Limit::Steps);
            }
            account.work(2 + self.program.sessions() as u64 / 4)?;
            self.place_free();
            if self.left == 0 {
                return Ok(true);
            }
            self.fork(account)?;
            if !self.go_on() {
                return Ok(false);
            }
        }
    }

    /// Takes the next choice of the last fork that has one. False if there is none left.
    fn go_on(&mut self) -> bool {
        while let Some(&Fork { placed, first }) = self.forks.last() {
            while self.order.len() > placed {
                self.take_back();
            }
            if self.choices.len() > first {
                let Some(op) = self.choices.pop() else { return false };
                if self.place(op) {
                    return true;
                }
            } else {
                self.forks.pop();
            }
        }
        false
    }

    /// Remembers the point, and what can follow.
    fn fork(&mut self, account: &mut Account<'_>) -> Result<(), Limit> {
        if self.order.len() > self.best.0 || self.best.1.is_empty() {
            self.best = (self.order.len(), self.next.clone());
        }
        let before = self.choices.len();
        for session in 0..self.program.sessions() {
            let op = self.next[session];
            if op < self.program.starts[session + 1] && self.may_follow(op) {
                self.choices.push(op);
            }
        }
        if self.choices.len() > before + 1 {
            if self.seen.len() == self.seen.capacity() || self.asked() > self.counted {
                self.counted = 2 * self.asked();
                let seen = self.seen.capacity().max(1 << 10) * 3 * size_of::<(u64, u64)>();
                account.hold(seen + Self::bytes(self.program) + self.counted)?;
            }
            if !self.seen.insert(self.hash) {
                self.choices.truncate(before);
            }
        }
        let rank = self.rank;
        self.choices[before..].sort_unstable_by_key(|&op| std::cmp::Reverse((rank[op as usize], op)));
        self.forks.push(Fork { placed: self.order.len(), first: before });
        Ok(())
    }

    /// What the places that were found on the way take, roughly.
    fn asked(&self) -> usize {
        (self.places.len() - self.program.places.len()) * 2 * size_of::<(u32, M::State)>() + self.steps.capacity() * 16 + self.found_bytes
    }

    /// Places all ops that change nothing and can happen here.
    fn place_free(&mut self) {
        let mut session = 0;
        while session < self.program.sessions() {
            let op = self.next[session];
            if op < self.program.starts[session + 1] && self.program.ops[op as usize].is_pure && self.place(op) {
                continue;
            }
            session += 1;
        }
    }

    /// Whether an op is worth trying, before its parts are looked at one by one.
    fn may_follow(&mut self, op: u32) -> bool {
        let program = self.program;
        if program.ops[op as usize].is_pure {
            // Those that can happen have been placed.
            return false;
        }
        if let [part] = program.parts(op) {
            return self.step(part) != ASK;
        }
        true
    }

    /// The place that a part leads to; [`ASK`] if it cannot happen.
    fn step(&mut self, part: &Part) -> u32 {
        let at = self.at[part.object as usize];
        match part.needs {
            ANY => part.leaves,
            ASK => self.ask(at, part),
            needs if needs == at => part.leaves,
            _ => ASK,
        }
    }

    fn ask(&mut self, at: u32, part: &Part) -> u32 {
        if let Some(&known) = self.steps.get(&(at, part.class)) {
            return known;
        }
        let op = &self.program.classes[part.class as usize];
        let next = match self.model.step(&self.places[at as usize].1, op) {
            None => ASK,
            Some(_) if self.model.is_pure(op) => at,
            Some(state) => {
                let new = self.places.len() as u32;
                let Search { places, place_of, wanted, supply, found_bytes, .. } = self;
                *place_of.entry((part.object, state)).or_insert_with_key(|place| {
                    *found_bytes += 2 * self.model.state_bytes(&place.1);
                    places.push(place.clone());
                    wanted.push(0);
                    supply.push(0);
                    new
                })
            }
        };
        self.steps.insert((at, part.class), next);
        next
    }

    /// Counts what an op still has to find and can leave, or no longer.
    fn count(&mut self, op: u32, more: bool) {
        let program = self.program;
        let is_done = program.ops[op as usize].is_done;
        for part in program.parts(op) {
            let change = |count: &mut u32| *count = if more { *count + 1 } else { *count - 1 };
            if part.needs < ANY && is_done {
                change(&mut self.wanted[part.needs as usize]);
            }
            if part.leaves < ANY && part.leaves != part.needs {
                change(&mut self.supply[part.leaves as usize]);
            }
        }
    }

    /// Places an op if it can follow here; otherwise nothing changes.
    fn place(&mut self, op: u32) -> bool {
        let program = self.program;
        self.made += 1;
        self.advance(op, true);
        let before = self.replaced.len();
        for part in program.parts(op) {
            let next = self.step(part);
            if next == ASK {
                return self.fail(op, before);
            }
            let old = self.at[part.object as usize];
            self.replaced.push(Replaced { object: part.object, place: old });
            self.move_to(part.object, next);
        }
        // Judged when all parts have happened: one may bring back what another replaced.
        for at in before..self.replaced.len() {
            let Replaced { object, place } = self.replaced[at];
            let is_lost = self.wanted[place as usize] > 0 && self.supply[place as usize] == 0;
            if is_lost && self.at[object as usize] != place && !program.is_open[object as usize] {
                return self.fail(op, before);
            }
        }
        self.order.push(op);
        true
    }

    fn fail(&mut self, op: u32, before: usize) -> bool {
        self.restore(before);
        self.advance(op, false);
        false
    }

    fn take_back(&mut self) {
        let Some(op) = self.order.pop() else { return };
        let parts = self.program.parts(op).len();
        self.restore(self.replaced.len() - parts);
        self.advance(op, false);
    }

    fn restore(&mut self, before: usize) {
        while self.replaced.len() > before {
            if let Some(Replaced { object, place }) = self.replaced.pop() {
                self.move_to(object, place);
            }
        }
    }

    fn move_to(&mut self, object: u32, place: u32) {
        let old = std::mem::replace(&mut self.at[object as usize], place);
        self.mix(1, u64::from(object), u64::from(old));
        self.mix(1, u64::from(object), u64::from(place));
    }

    /// Moves an op's session past it, or back to it.
    fn advance(&mut self, op: u32, forward: bool) {
        let session = self.program.ops[op as usize].session;
        let (old, new) = if forward { (op, op + 1) } else { (op + 1, op) };
        self.next[session as usize] = new;
        self.mix(2, u64::from(session), u64::from(old));
        self.mix(2, u64::from(session), u64::from(new));
        self.count(op, !forward);
        if self.program.ops[op as usize].is_done {
            self.left = if forward { self.left - 1 } else { self.left + 1 };
        }
    }

    /// Adds a fact to the point's hash, or takes it away again.
    fn mix(&mut self, kind: u64, what: u64, value: u64) {
        let word = (what << 34) ^ (value << 2) ^ kind;
        self.hash.0 ^= scrambled(word ^ 0x9e37_79b9_7f4a_7c15);
        self.hash.1 ^= scrambled(word ^ 0xc2b2_ae3d_27d4_eb4f);
    }
}

/// A word, every bit of which depends on all of the given one (the finalizer of `SplitMix64`, Steele, Lea and Flood 2014).
fn scrambled(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
