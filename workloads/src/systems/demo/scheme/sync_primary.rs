//! Synchronous primary and backups.
//!
//! The first node is the primary, for ever. It takes every call (one that reaches a backup is forwarded), appends a write to its
//! log, sends the log to the backups, and answers a write **when every backup has it on disk**. Reads are answered by the
//! primary. This is the primary-backup scheme of Alsberg and Day (1976) and Budhiraja et al. (1993), and the synchronous mode
//! of most relational databases.
//!
//! Promise: linearizable, under every fault. Why: one node orders everything, at a moment between a call and its answer, and
//! what it has answered is on its disk, and on all others. That a read may return a write which is still on its way to the
//! backups does no harm, because the primary itself never forgets it. The price is paid in availability: while any backup is
//! cut off, paused or down, no write is answered. What the backups' copies are for, a new primary without anything lost, is left
//! to people here.

use super::{Place, Scheme, Ticket, Turn};
use crate::systems::demo::protocol::{Answer, Call, Key, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The index of the primary.
pub const PRIMARY: usize = 0;
/// How long a client's call may take.
pub const CALL_TIMEOUT: Duration = Duration::from_millis(400);
/// The most entries in one message to a backup.
const ENTRIES_MAX: usize = 256;

/// A write, in the primary's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    key: Key,
    value: i64,
}

/// Who called: a node, its life, and the number of the call in that life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    node: usize,
    boot: u64,
    number: u64,
}

/// What nodes say to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// To the primary: a client's call.
    Forward(Caller, Call),
    /// From the primary: what came of it.
    Forwarded(Caller, Answer),
    /// From the primary: the log from this position on.
    Append {
        /// The position of the first entry.
        from: usize,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// To the primary: so much of the log is on my disk.
    Has {
        /// The number of entries.
        length: usize,
    },
}

/// A node: the primary, or a backup.
#[derive(Debug)]
pub struct SyncPrimary {
    place: Place,
    log: Vec<Entry>,
    data: BTreeMap<Key, i64>,
    /// The clients of this node that wait, by the number of their call.
    clients: BTreeMap<u64, Client>,
    number: u64,
    /// At the primary: how much of the log each node has said to have, in this life of the primary.
    has: Vec<usize>,
    /// At the primary: writes that wait until every backup has so many entries.
    unconfirmed: BTreeMap<usize, Caller>,
}

#[derive(Debug)]
struct Client {
    ticket: Ticket,
    is_read: bool,
    deadline: Duration,
}

impl SyncPrimary {
    /// A node without data.
    pub fn new(place: Place) -> SyncPrimary {
        let has = vec![0; place.nodes];
        let (clients, unconfirmed) = (BTreeMap::new(), BTreeMap::new());
        SyncPrimary { place, log: Vec::new(), data: BTreeMap::new(), clients, number: 0, has, unconfirmed }
    }

    fn append(&mut self, entry: Entry, turn: &mut Turn<SyncPrimary>) {
        self.recover(entry);
        turn.record(entry);
    }

    /// At the primary: carries out a call. A write is answered later.
    fn decide(&mut self, caller: Caller, call: Call, turn: &mut Turn<SyncPrimary>) {
        let answer = match call {
            Call::Read { key } => Answer::Ok(self.data.get(&key).copied().into()),
            Call::Write { key, value } => return self.write(caller, Entry { key, value }, turn),
            Call::Cas { key, old, .. } if self.data.get(&key) != Some(&old) => Answer::Fail(Refusal::Mismatch),
            Call::Cas { key, new, .. } => return self.write(caller, Entry { key, value: new }, turn),
            _ => Answer::Fail(Refusal::NotOffered),
        };
        turn.send(caller.node, Message::Forwarded(caller, answer));
    }

    fn write(&mut self, caller: Caller, entry: Entry, turn: &mut Turn<SyncPrimary>) {
        let from = self.log.len();
        self.append(entry, turn);
        self.unconfirmed.insert(self.log.len(), caller);
        for peer in self.place.peers() {
            turn.send(peer, Message::Append { from, entries: vec![entry] });
        }
        self.confirm(turn);
    }

    /// Answers the writes that every backup has.
    fn confirm(&mut self, turn: &mut Turn<SyncPrimary>) {
        let everywhere = self.place.peers().map(|peer| self.has[peer]).min().unwrap_or(self.log.len());
        for (_, caller) in self.unconfirmed.extract_if(..=everywhere, |_, _| true) {
            turn.send(caller.node, Message::Forwarded(caller, Answer::Ok(serde_json::Value::Null)));
        }
    }
}

impl Scheme for SyncPrimary {
    type Message = Message;
    type Record = Entry;

    fn recover(&mut self, entry: Entry) {
        self.log.push(entry);
        self.data.insert(entry.key, entry.value);
    }

    fn snapshot(&self) -> Vec<Entry> {
        self.log.clone()
    }

    fn is_data(message: &Message) -> bool {
        matches!(message, Message::Append { .. })
    }

    fn call(&mut self, ticket: Ticket, call: Call, turn: &mut Turn<SyncPrimary>) {
        self.number += 1;
        let is_read = matches!(call, Call::Read { .. });
        self.clients.insert(self.number, Client { ticket, is_read, deadline: turn.now() + CALL_TIMEOUT });
        let caller = Caller { node: self.place.index, boot: self.place.boot, number: self.number };
        turn.send(PRIMARY, Message::Forward(caller, call));
    }

    fn receive(&mut self, from: usize, message: Message, turn: &mut Turn<SyncPrimary>) {
        match message {
            Message::Forward(caller, call) => self.decide(caller, call, turn),
            Message::Forwarded(caller, answer) => {
                if caller.boot == self.place.boot
                    && let Some(client) = self.clients.remove(&caller.number)
                {
                    turn.answer(client.ticket, answer);
                }
            }
            Message::Append { from, entries } => {
                // Entries may overlap what is here, or leave a gap if a message was lost or overtaken.
                if let Some(known) = self.log.len().checked_sub(from) {
                    for &entry in entries.iter().skip(known) {
                        self.append(entry, turn);
                    }
                }
                turn.send(PRIMARY, Message::Has { length: self.log.len() });
            }
            Message::Has { length } => {
                self.has[from] = self.has[from].max(length);
                self.confirm(turn);
            }
        }
    }

    fn tick(&mut self, turn: &mut Turn<SyncPrimary>) {
        let now = turn.now();
        for (_, late) in self.clients.extract_if(.., |_, client| client.deadline <= now) {
            let refusal = Refusal::NoQuorum;
            turn.answer(late.ticket, if late.is_read { Answer::Fail(refusal) } else { Answer::Info(refusal) });
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
    fn linearizable_under_every_fault() {
        let plan = |seed| Plan { nodes: 3, threads: 6, mix: [5, 3], ..Plan::hard(seed) };
        let (verdicts, oks) = judge(seeds(4).map(|seed| plan(seed).run(SyncPrimary::new)), "cas-register");
        assert!(verdicts.iter().all(|&verdict| verdict == Summary::Valid), "{verdicts:?}");
        assert!(oks > 100 * verdicts.len(), "{oks} ok");
    }

    #[test]
    fn a_write_is_answered_when_every_backup_has_it() {
        let mut primary = SyncPrimary::new(Place { index: 0, nodes: 3, boot: 1 });
        let mut turn = Turn::new(0, Duration::ZERO);
        primary.call(Ticket(1), Call::Write { key: 0, value: 7 }, &mut turn);
        turn.deliver_to_self(&mut primary);
        primary.receive(1, Message::Has { length: 1 }, &mut turn);
        turn.deliver_to_self(&mut primary);
        assert_eq!(turn.answers, []);
        primary.receive(2, Message::Has { length: 1 }, &mut turn);
        turn.deliver_to_self(&mut primary);
        assert_eq!(turn.answers, [(Ticket(1), Answer::Ok(serde_json::Value::Null))]);
    }
}
