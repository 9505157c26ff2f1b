//! Fencing locks, decided in O(n log n): tokens must grow, and between two acquires somebody releases.
//!
//! # The idea
//! (Ours.) Acquires come in the order of their tokens, so that order must respect real time, and no token is given twice. Releases
//! differ in their times only. So, as for mutexes (module `permits`), let each op be done as late as it can be: when somebody
//! returns who has not been done. An acquire lets those with smaller tokens be done before it. Where the lock must be released
//! first, the release that returns first is, of those that were invoked; where it must be acquired first, the acquire with the
//! next token, or if that was not invoked yet, one of unknown outcome. As long as none of those is used, the numbers of acquires and
//! releases are the least possible at each event, and where nobody is there to be done there is no order. After that, an order
//! is an order, and otherwise the search must say: tokens that nobody knows need room between those that are known.

use super::{No, Ops};
use crate::budget::Account;
use crate::linear::problem::Event;
use crate::model::Deed;
use histories::OpId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

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
    let mut line = Line {
        ops,
        by_token: &by_token,
        next: 0,
        last: i128::MIN,
        is_held: false,
        is_invoked: vec![false; ops.entries.len()],
        is_done: vec![false; ops.entries.len()],
        unknown: Vec::new(),
        used: 0,
        releases: BinaryHeap::new(),
        order: Vec::with_capacity(ops.entries.len()),
    };
    for &(_, event) in ops.events {
        account.work(8)?;
        match event {
            Event::Call(i) => line.invoke(i),
            Event::Return(i) => line.finish(i, account)?,
        }
    }
    Ok(line.order)
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

struct Line<'a> {
    ops: &'a Ops<'a>,
    by_token: &'a [(i64, u32)],
    /// The acquires before this one, by token, are done.
    next: usize,
    /// The last token; the least that it can be, if it is not known.
    last: i128,
    is_held: bool,
    is_invoked: Vec<bool>,
    is_done: Vec<bool>,
    /// Acquires of unknown outcome, and how many of them are done.
    unknown: Vec<u32>,
    used: usize,
    /// Invoked, the first to return first.
    releases: BinaryHeap<Reverse<(u32, u32)>>,
    order: Vec<OpId>,
}

impl Line<'_> {
    fn invoke(&mut self, i: u32) {
        self.is_invoked[i as usize] = true;
        match self.ops.deed(i) {
            Deed::Take { token: None, .. } => self.unknown.push(i),
            Deed::Take { .. } => {}
            _ => self.releases.push(Reverse((self.ops.entries[i as usize].ret, i))),
        }
    }

    /// An op returns: it must be done by now.
    fn finish(&mut self, i: u32, account: &mut Account<'_>) -> Result<(), No> {
        while !self.is_done[i as usize] {
            account.work(8)?;
            let is_over = match (self.ops.deed(i), self.is_held) {
                (Deed::Take { .. }, false) => self.acquire_next(),
                (_, true) => self.release(),
                (_, false) => self.acquire_next() || self.acquire_unknown(),
            };
            if !is_over {
                let is_certain = self.used == 0 && (self.is_held || !self.has_unknown());
                return Err(match self.by_token.get(self.next) {
                    _ if !is_certain => No::Open,
                    // Greater tokens would come too early.
                    Some(&(_, next)) if !self.is_invoked[next as usize] => No::Broken(vec![i, next]),
                    _ => No::Blocked(i),
                });
            }
        }
        Ok(())
    }

    fn has_unknown(&self) -> bool {
        self.unknown.len() > self.used
    }

    fn done(&mut self, i: u32) {
        self.is_done[i as usize] = true;
        self.order.push(self.ops.id(i));
    }

    fn acquire_next(&mut self) -> bool {
        let Some(&(token, i)) = self.by_token.get(self.next).filter(|next| self.is_invoked[next.1 as usize]) else { return false };
        self.next += 1;
        self.last = token.into();
        self.is_held = true;
        self.done(i);
        true
    }

    fn acquire_unknown(&mut self) -> bool {
        let token = self.last.max(i64::MIN.into()) + 1;
        let has_room = self.by_token.get(self.next).is_none_or(|next| token < next.0.into());
        let Some(&i) = self.unknown.get(self.used).filter(|_| has_room) else { return false };
        self.used += 1;
        self.last = token;
        self.is_held = true;
        self.done(i);
        true
    }

    fn release(&mut self) -> bool {
        while let Some(Reverse((_, i))) = self.releases.pop() {
            if !self.is_done[i as usize] {
                self.is_held = false;
                self.done(i);
                return true;
            }
        }
        false
    }
}
