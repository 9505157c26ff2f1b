//! Fencing locks: tokens must grow, and between two acquires somebody releases.
//!
//! # The idea
//! (Ours.) Acquires come in the order of their tokens, so that order must respect real time, and no token is given twice. Releases
//! differ in their times only, and so do acquires of unknown outcome, of whose tokens it is only known that they need room between
//! those that are known. So, as for mutexes (module `permits`), let each op be done as late as it can be: when somebody
//! returns who has not been done.
//!
//! * A release returns. If the lock is held it is done. Otherwise somebody acquires it before: the acquire with the next token, or one of
//!   unknown outcome.
//! * An acquire returns. Those with smaller tokens are done before it, and a release before each of them. Besides, before each
//!   of them an acquire of unknown outcome and a release may be done, as often as there is room between the tokens: there may be no
//!   room later, when that release returns.
//!
//! Of releases in flight the one that returns first is done, of acquires of unknown outcome the one that was invoked first: let an order
//! do another one instead, and exchange them. (That nothing more needs to be done before somebody returns, and that an order keeps its
//! meaning when ops are exchanged in this way: module `search`.) What is left to choose are the acquires of unknown outcome, so all
//! choices are followed at once; where two have done the same, the one that needed fewer of these is kept. If none goes on, there is no
//! order. Without ops of unknown outcome there is one choice, and the whole takes O(n log n). Where there are too many choices only some
//! are kept, those that needed few first: then an order is still an order, and otherwise the search must say.

use super::{No, Ops};
use crate::budget::{Account, Limit};
use crate::linear::path::{Paths, ROOT, Step};
use crate::linear::problem::Event;
use crate::model::Deed;
use histories::OpId;
use std::collections::BTreeSet;

/// Choices that are followed at once.
const WIDTH: usize = 1024;

pub(super) fn decide(ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let mut by_token: Vec<(i64, u32)> = Vec::new();
    for i in 0..ops.entries.len() as u32 {
        account.work(2)?;
        match ops.deed(i) {
            // In the beginning of a history there are acquires of unknown outcome whose token is known.
            Deed::Take { token: Some(token), .. } if !ops.entries[i as usize].is_crashed() => by_token.push((token, i)),
            Deed::Take { token: None, .. } if ops.entries[i as usize].is_crashed() => {}
            Deed::GiveBack { .. } => {}
            _ => return Err(No::Open),
        }
    }
    account.work(8 * by_token.len() as u64)?;
    by_token.sort_unstable();
    check_tokens(ops, &by_token)?;
    let mut holders = Holders::new(ops, &by_token);
    for (at, &(_, event)) in (0..).zip(ops.events) {
        account.work(8)?;
        match event {
            Event::Call(i) => holders.invoke(i),
            Event::Return(i) => holders.finish(i, at, account)?,
        }
    }
    let best = holders.now.iter().min_by_key(|choice| choice.used);
    let steps = best.map_or_else(Vec::new, |choice| holders.paths.steps(choice.path));
    Ok(steps.iter().map(|step| ops.id(step.op)).collect())
}

/// That no token was given twice, or to one who had returned before who got a smaller one was invoked.
fn check_tokens(ops: &Ops<'_>, by_token: &[(i64, u32)]) -> Result<(), No> {
    let mut latest: Option<u32> = None;
    for (place, &(token, i)) in by_token.iter().enumerate() {
        if let Some(&(twin, other)) = by_token.get(place + 1)
            && twin == token
        {
            return Err(No::Broken(vec![i, other]));
        }
        let call = |i: u32| ops.entries[i as usize].call;
        if let Some(latest) = latest.filter(|&latest| call(latest) > ops.entries[i as usize].ret) {
            return Err(No::Broken(vec![latest, i]));
        }
        latest = latest.filter(|&latest| call(latest) > call(i)).or(Some(i));
    }
    Ok(())
}

/// What was done so far, in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Choice {
    /// The acquires before this one, by token, are done.
    next: usize,
    /// Acquires of unknown outcome that were done after the last of them.
    since: u32,
    is_held: bool,
    /// Releases in flight that are done, by number.
    ahead: Vec<u32>,
    /// Acquires and releases of unknown outcome that are done.
    used: usize,
    used_releases: usize,
    path: u32,
}

struct Holders<'a> {
    ops: &'a Ops<'a>,
    by_token: &'a [(i64, u32)],
    /// The place of each acquire among the tokens.
    place: Vec<u32>,
    is_invoked: Vec<bool>,
    /// Acquires of unknown outcome that were invoked, and releases.
    unknown: Vec<u32>,
    unknown_releases: Vec<u32>,
    /// Releases in flight, the first to return first.
    releases: BTreeSet<(u32, u32)>,
    now: Vec<Choice>,
    paths: Paths,
    /// Whether no choice was left out so far.
    has_all: bool,
    base_bytes: usize,
}

impl<'a> Holders<'a> {
    fn new(ops: &'a Ops<'a>, by_token: &'a [(i64, u32)]) -> Holders<'a> {
        let mut place = vec![0; ops.entries.len()];
        for (at, &(_, i)) in (0..).zip(by_token) {
            place[i as usize] = at;
        }
        let start = Choice { next: 0, since: 0, is_held: false, ahead: Vec::new(), used: 0, used_releases: 0, path: ROOT };
        Holders {
            ops,
            by_token,
            place,
            is_invoked: vec![false; ops.entries.len()],
            unknown: Vec::new(),
            unknown_releases: Vec::new(),
            releases: BTreeSet::new(),
            now: vec![start],
            paths: Paths::new(),
            has_all: true,
            base_bytes: ops.entries.len() * super::BYTES_PER_OP,
        }
    }

    fn invoke(&mut self, i: u32) {
        self.is_invoked[i as usize] = true;
        let entry = self.ops.entries[i as usize];
        match self.ops.deed(i) {
            Deed::Take { token: None, .. } => self.unknown.push(i),
            Deed::Take { .. } => {}
            _ if entry.is_crashed() => self.unknown_releases.push(i),
            _ => {
                self.releases.insert((entry.ret, i));
            }
        }
    }

    /// An op returns: it must be done by now.
    fn finish(&mut self, i: u32, at: u32, account: &mut Account<'_>) -> Result<(), No> {
        let is_acquire = matches!(self.ops.deed(i), Deed::Take { .. });
        let now = std::mem::take(&mut self.now);
        let asked = now.iter().map(|choice| choice.next).fold(self.place[i as usize] as usize, usize::max);
        for choice in now {
            account.work(8)?;
            if is_acquire {
                self.acquired(choice, self.place[i as usize] as usize, at, account)?;
            } else {
                self.released(choice, i, at);
            }
        }
        self.releases.remove(&(self.ops.entries[i as usize].ret, i));
        if self.now.is_empty() {
            return Err(self.stuck(i, asked));
        }
        Ok(self.settle(account)?)
    }

    /// A release returns.
    fn released(&mut self, mut choice: Choice, i: u32, at: u32) {
        if let Ok(place) = choice.ahead.binary_search(&i) {
            choice.ahead.remove(place);
            self.now.push(choice);
        } else if choice.is_held {
            choice.is_held = false;
            self.note(&mut choice, i, at);
            self.now.push(choice);
        } else {
            for acquired in [self.acquire_next(choice.clone(), at), self.acquire_unknown(choice, at)] {
                self.now.extend(acquired.map(|mut choice| {
                    choice.is_held = false;
                    choice.path = self.paths.push(choice.path, Step { op: i, at });
                    choice
                }));
            }
        }
    }

    /// The acquire of this token returns.
    fn acquired(&mut self, choice: Choice, token: usize, at: u32, account: &mut Account<'_>) -> Result<(), Limit> {
        let mut open = vec![choice];
        while let Some(choice) = open.pop() {
            account.work(4)?;
            if choice.next > token {
                self.now.push(choice);
                continue;
            }
            let free = if choice.is_held { self.release(choice, at) } else { Some(choice) };
            let Some(free) = free else { continue };
            let pair = self.acquire_unknown(free.clone(), at).and_then(|held| self.release(held, at));
            self.has_all &= pair.is_none() || open.len() < WIDTH;
            open.extend(pair.filter(|_| open.len() < WIDTH));
            open.extend(self.acquire_next(free, at));
        }
        Ok(())
    }

    fn note(&mut self, choice: &mut Choice, op: u32, at: u32) {
        choice.path = self.paths.push(choice.path, Step { op, at });
    }

    fn acquire_next(&mut self, mut choice: Choice, at: u32) -> Option<Choice> {
        let &(_, i) = self.by_token.get(choice.next).filter(|next| self.is_invoked[next.1 as usize])?;
        (choice.next, choice.since, choice.is_held) = (choice.next + 1, 0, true);
        self.note(&mut choice, i, at);
        Some(choice)
    }

    fn acquire_unknown(&mut self, mut choice: Choice, at: u32) -> Option<Choice> {
        let before = choice.next.checked_sub(1).map_or(i128::from(i64::MIN), |before| self.by_token[before].0.into());
        let token = before + i128::from(choice.since) + 1;
        let has_room = self.by_token.get(choice.next).is_none_or(|next| token < next.0.into());
        let &i = self.unknown.get(choice.used).filter(|_| has_room)?;
        (choice.used, choice.since, choice.is_held) = (choice.used + 1, choice.since + 1, true);
        self.note(&mut choice, i, at);
        Some(choice)
    }

    /// The release that returns first.
    fn release(&mut self, mut choice: Choice, at: u32) -> Option<Choice> {
        let known = self.releases.iter().map(|release| release.1).find(|i| choice.ahead.binary_search(i).is_err());
        let i = known.or_else(|| self.unknown_releases.get(choice.used_releases).copied())?;
        match known.and_then(|i| choice.ahead.binary_search(&i).err()) {
            Some(place) => choice.ahead.insert(place, i),
            None => choice.used_releases += 1,
        }
        choice.is_held = false;
        self.note(&mut choice, i, at);
        Some(choice)
    }

    /// Keeps one of those that did the same, and not too many in all.
    fn settle(&mut self, account: &mut Account<'_>) -> Result<(), Limit> {
        if self.now.len() > 1 {
            let did = |choice: &Choice| (choice.next, choice.since, choice.is_held);
            self.now.sort_by(|a, b| did(a).cmp(&did(b)).then_with(|| a.ahead.cmp(&b.ahead)).then(a.used.cmp(&b.used)));
            self.now.dedup_by(|a, b| did(a) == did(b) && a.ahead == b.ahead);
            if self.now.len() > WIDTH {
                self.has_all = false;
                self.now.sort_by_key(|choice| choice.used);
                self.now.truncate(WIDTH);
            }
            account.work(self.now.len() as u64)?;
        }
        let ahead: usize = self.now.iter().map(|choice| choice.ahead.capacity() * size_of::<u32>()).sum();
        let bytes = self.base_bytes + self.now.capacity() * size_of::<Choice>() + ahead + self.paths.bytes() + self.paths.growth(1);
        account.hold(bytes)?;
        if self.paths.is_due() {
            account.hold(bytes + self.paths.bytes_to_collect(self.now.len()))?;
            self.paths.collect(self.now.iter_mut().map(|choice| &mut choice.path));
        }
        Ok(())
    }

    /// Nobody goes on where an op returns. All that was asked of acquires with smaller tokens is known when these have returned.
    fn stuck(&self, i: u32, asked: usize) -> No {
        if !self.has_all {
            return No::Open;
        }
        let asked = self.by_token.iter().take(asked + 1).map(|&(_, acquire)| acquire);
        let ret = |i: u32| self.ops.entries[i as usize].ret;
        No::Blocked(asked.fold(i, |last, acquire| if ret(acquire) > ret(last) { acquire } else { last }))
    }
}
