//! Asynchronous primary and followers.
//!
//! The first node is the primary, for ever. It takes every write: it appends it to its log, answers once that is on its own
//! disk, and brings the log to the followers afterwards. Every node answers reads from what it has. A call for the primary
//! that reaches a follower is forwarded.
//!
//! Promise: a follower's data is what the primary's was at some earlier moment, so reads of one follower never go back in time.
//! Not linearizable: a follower lags behind a write that has been answered, by a link's delay in good times and without limit
//! while it is cut off. This is the default of most relational databases and of Redis with replicas that answer reads.
//!
//! Writes and cas at the primary are safe by themselves: it is the only one to order them, and loses nothing answered when it is
//! killed. Only its reads would be linearizable together with them.

use super::{Place, Scheme, Ticket, Turn};
use crate::systems::demo::protocol::{Answer, Call, Key, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The index of the primary.
pub const PRIMARY: usize = 0;
/// How long a follower waits for the primary's answer to a call that it forwarded.
pub const FORWARD_TIMEOUT: Duration = Duration::from_millis(250);
/// The most entries in one message to a follower.
const ENTRIES_MAX: usize = 256;

/// A write, in the primary's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    key: Key,
    value: i64,
}

/// What nodes say to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// Follower to primary: a client's call.
    Forward {
        /// The follower's life.
        boot: u64,
        /// The call's number in that life.
        number: u64,
        /// The call.
        call: Call,
    },
    /// Primary to follower: what came of it.
    Forwarded {
        /// The life it was forwarded in.
        boot: u64,
        /// The call's number in that life.
        number: u64,
        /// What came of it.
        answer: Answer,
    },
    /// Primary to follower: the log from this position on.
    Append {
        /// The position of the first entry.
        from: usize,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// Follower to primary: the log up to here is on my disk.
    Has {
        /// The number of entries.
        length: usize,
    },
}

/// A node: the primary, or a follower.
#[derive(Debug)]
pub struct AsyncPrimary {
    place: Place,
    /// All writes, in the primary's order.
    log: Vec<Entry>,
    /// What they come to.
    data: BTreeMap<Key, i64>,
    /// At the primary: how much of the log each node has said to have.
    has: Vec<usize>,
    /// At a follower: calls that wait for the primary.
    forwarded: BTreeMap<u64, Forwarded>,
    number: u64,
}

#[derive(Debug)]
struct Forwarded {
    ticket: Ticket,
    deadline: Duration,
}

impl AsyncPrimary {
    /// A node without data.
    pub fn new(place: Place) -> AsyncPrimary {
        AsyncPrimary { place, log: Vec::new(), data: BTreeMap::new(), has: vec![0; place.nodes], forwarded: BTreeMap::new(), number: 0 }
    }

    fn apply(&mut self, entry: Entry) {
        self.log.push(entry);
        self.data.insert(entry.key, entry.value);
    }

    fn append(&mut self, entry: Entry, turn: &mut Turn<AsyncPrimary>) {
        self.apply(entry);
        turn.record(entry);
    }

    fn read(&self, key: Key) -> Answer {
        Answer::Ok(self.data.get(&key).copied().into())
    }

    /// Carries out a write or cas at the primary.
    fn decide(&mut self, call: Call, turn: &mut Turn<AsyncPrimary>) -> Answer {
        match call {
            Call::Read { key } => return self.read(key),
            Call::Write { key, value } => self.append(Entry { key, value }, turn),
            Call::Cas { key, old, .. } if self.data.get(&key) != Some(&old) => return Answer::Fail(Refusal::Mismatch),
            Call::Cas { key, new, .. } => self.append(Entry { key, value: new }, turn),
            _ => return Answer::Fail(Refusal::NotOffered),
        }
        Answer::Ok(serde_json::Value::Null)
    }

    fn forward(&mut self, ticket: Ticket, call: Call, turn: &mut Turn<AsyncPrimary>) {
        self.number += 1;
        self.forwarded.insert(self.number, Forwarded { ticket, deadline: turn.now() + FORWARD_TIMEOUT });
        turn.send(PRIMARY, Message::Forward { boot: self.place.boot, number: self.number, call });
    }

    /// Takes the entries that follow on what this follower has, and says how far it has come. The primary sends what is missing
    /// again and again, so entries may overlap, or leave a gap if a message was lost or overtaken.
    fn follow(&mut self, from: usize, entries: &[Entry], turn: &mut Turn<AsyncPrimary>) {
        if let Some(known) = self.log.len().checked_sub(from) {
            for &entry in entries.iter().skip(known) {
                self.append(entry, turn);
            }
        }
        turn.send(PRIMARY, Message::Has { length: self.log.len() });
    }
}

impl Scheme for AsyncPrimary {
    type Message = Message;
    type Record = Entry;

    fn recover(&mut self, entry: Entry) {
        self.apply(entry);
    }

    fn snapshot(&self) -> Vec<Entry> {
        self.log.clone()
    }

    fn is_data(message: &Message) -> bool {
        matches!(message, Message::Append { .. })
    }

    fn call(&mut self, ticket: Ticket, call: Call, turn: &mut Turn<AsyncPrimary>) {
        match call {
            Call::Read { key } => turn.answer(ticket, self.read(key)),
            _ if self.leads() => {
                let answer = self.decide(call, turn);
                turn.answer(ticket, answer);
            }
            _ => self.forward(ticket, call, turn),
        }
    }

    fn receive(&mut self, from: usize, message: Message, turn: &mut Turn<AsyncPrimary>) {
        match message {
            Message::Forward { boot, number, call } => {
                let answer = self.decide(call, turn);
                turn.send(from, Message::Forwarded { boot, number, answer });
            }
            Message::Forwarded { boot, number, answer } => {
                if boot == self.place.boot
                    && let Some(forwarded) = self.forwarded.remove(&number)
                {
                    turn.answer(forwarded.ticket, answer);
                }
            }
            Message::Append { from, entries } => self.follow(from, &entries, turn),
            Message::Has { length } => self.has[from] = self.has[from].max(length),
        }
    }

    fn tick(&mut self, turn: &mut Turn<AsyncPrimary>) {
        let now = turn.now();
        for (_, late) in self.forwarded.extract_if(.., |_, forwarded| forwarded.deadline <= now) {
            turn.answer(late.ticket, Answer::Info(Refusal::NoPrimary));
        }
        if self.leads() {
            for peer in self.place.peers() {
                let from = self.has[peer];
                let entries: Vec<Entry> = self.log.iter().skip(from).take(ENTRIES_MAX).copied().collect();
                if !entries.is_empty() {
                    turn.send(peer, Message::Append { from, entries });
                }
            }
        }
    }

    fn leads(&self) -> bool {
        self.place.index == PRIMARY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::demo::simulation::{Plan, judge, seeds};
    use checker::verdict::Summary;

    #[test]
    fn not_linearizable_even_without_faults() {
        let plan = |seed| Plan { fault_gap: None, mix: [5, 3], time: Duration::from_millis(500), ..Plan::hard(seed) };
        let (verdicts, _) = judge(seeds(5).map(|seed| plan(seed).run(AsyncPrimary::new)), "cas-register");
        assert!(verdicts.iter().all(|&verdict| verdict == Summary::Invalid), "{verdicts:?}");
    }

    #[test]
    fn the_primary_alone_is_linearizable_under_every_fault() {
        let plan = |seed| Plan { nodes: 1, mix: [5, 3], ..Plan::hard(seed) };
        let (verdicts, oks) = judge(seeds(5).map(|seed| plan(seed).run(AsyncPrimary::new)), "cas-register");
        assert!(verdicts.iter().all(|&verdict| verdict == Summary::Valid), "{verdicts:?}");
        assert!(oks > 300 * verdicts.len(), "{oks} ok");
    }
}
