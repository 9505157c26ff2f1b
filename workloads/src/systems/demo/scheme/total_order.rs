//! Total order broadcast: a replicated log that every node applies from its beginning, entry by entry.
//!
//! The first node is the *fixed sequencer* (Défago, Schiper and Urbán 2004): every call that has to be ordered is sent to it, it
//! appends the call to the log on its disk, and from there on the place in the order is settled. The log is brought to all
//! nodes; each applies it in order (the state machine approach, Lamport 1978 and Schneider 1990), and the node that a client
//! called answers when **it** has come to the client's entry.
//!
//! **`total-order`**: writes and cas go through the log, a read is answered at once from what the node has applied.
//! Promise: sequentially consistent for clients that stay with their node (Attiya and Welch 1994, the "fast read" algorithm).
//! Why: put each read behind the entry that its node had applied last. Writes are then in the order of the log; a client's own
//! ops stay in their order, since its node only goes forward, also through kills (what is applied is on its disk before anyone
//! sees it), and has applied the client's write before it says so. Not linearizable: a node that is cut off reads what was.
//!
//! **`total-order-reads`**: a read is an entry, too. Promise: linearizable, for an entry gets its place after the client asked
//! and before it is answered, and everybody sees the state at that place.
//!
//! A call whose entry does not come back in time may be in the log or not: the client is told that nobody knows.

use super::{Place, Scheme, Ticket, Turn};
use crate::systems::demo::protocol::{Answer, Call, Key, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The index of the sequencer.
pub const SEQUENCER: usize = 0;
/// How long a node waits for a call to come back through the log.
pub const ORDER_TIMEOUT: Duration = Duration::from_millis(500);
/// The most entries in one message.
const ENTRIES_MAX: usize = 256;

/// Where reads are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// At each node, from what it has applied.
    Local,
    /// In the log, like writes.
    InTheLog,
}

/// A call in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The node whose client called.
    origin: usize,
    /// That node's life.
    boot: u64,
    /// The call's number in that life.
    number: u64,
    call: Call,
}

/// What nodes say to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// To the sequencer: give this a place.
    Order(Entry),
    /// From the sequencer: the log from this position on.
    Log {
        /// The position of the first entry.
        from: usize,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// To the sequencer: I have applied so many entries.
    Has {
        /// The number of entries.
        length: usize,
    },
}

/// A node; the first one is the sequencer as well.
#[derive(Debug)]
pub struct TotalOrder {
    place: Place,
    reads: Reads,
    log: Vec<Entry>,
    /// What the log comes to.
    data: BTreeMap<Key, i64>,
    /// Clients of this node whose call is on its way through the log, by number.
    waiting: BTreeMap<u64, Waiting>,
    number: u64,
    /// At the sequencer: how much of the log each node has said to have.
    has: Vec<usize>,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    is_read: bool,
    deadline: Duration,
}

impl TotalOrder {
    /// A node without data.
    pub fn new(place: Place, reads: Reads) -> TotalOrder {
        let has = vec![0; place.nodes];
        TotalOrder { place, reads, log: Vec::new(), data: BTreeMap::new(), waiting: BTreeMap::new(), number: 0, has }
    }

    /// The next entry takes effect. Every node comes to the same result.
    fn apply(&mut self, entry: Entry) -> Answer {
        self.log.push(entry);
        match entry.call {
            Call::Read { key } => return Answer::Ok(self.data.get(&key).copied().into()),
            Call::Write { key, value } => drop(self.data.insert(key, value)),
            Call::Cas { key, old, .. } if self.data.get(&key) != Some(&old) => return Answer::Fail(Refusal::Mismatch),
            Call::Cas { key, new, .. } => drop(self.data.insert(key, new)),
            _ => return Answer::Fail(Refusal::NotOffered),
        }
        Answer::Ok(serde_json::Value::Null)
    }

    /// Applies an entry, keeps it, and answers the client that waits for it here.
    fn deliver(&mut self, entry: Entry, turn: &mut Turn<TotalOrder>) {
        let result = self.apply(entry);
        turn.record(entry);
        if (entry.origin, entry.boot) == (self.place.index, self.place.boot)
            && let Some(waiting) = self.waiting.remove(&entry.number)
        {
            turn.answer(waiting.ticket, result);
        }
    }

    /// The log from a position on, as far as it fits into a message.
    fn from(&self, from: usize) -> Option<Message> {
        let entries: Vec<Entry> = self.log.iter().skip(from).take(ENTRIES_MAX).copied().collect();
        (!entries.is_empty()).then_some(Message::Log { from, entries })
    }

    /// Gives a call its place. Everybody hears of it at once; who misses that hears of it again and again.
    fn order(&mut self, entry: Entry, turn: &mut Turn<TotalOrder>) {
        let position = self.log.len();
        self.deliver(entry, turn);
        for peer in self.place.peers() {
            turn.send(peer, Message::Log { from: position, entries: vec![entry] });
        }
    }
}

impl Scheme for TotalOrder {
    type Message = Message;
    type Record = Entry;

    fn recover(&mut self, entry: Entry) {
        self.apply(entry);
    }

    fn snapshot(&self) -> Vec<Entry> {
        self.log.clone()
    }

    fn is_data(message: &Message) -> bool {
        matches!(message, Message::Log { .. })
    }

    fn call(&mut self, ticket: Ticket, call: Call, turn: &mut Turn<TotalOrder>) {
        let is_read = matches!(call, Call::Read { .. });
        match call {
            Call::Read { key } if self.reads == Reads::Local => turn.answer(ticket, Answer::Ok(self.data.get(&key).copied().into())),
            Call::Read { .. } | Call::Write { .. } | Call::Cas { .. } => {
                self.number += 1;
                self.waiting.insert(self.number, Waiting { ticket, is_read, deadline: turn.now() + ORDER_TIMEOUT });
                let entry = Entry { origin: self.place.index, boot: self.place.boot, number: self.number, call };
                turn.send(SEQUENCER, Message::Order(entry));
            }
            _ => turn.answer(ticket, Answer::Fail(Refusal::NotOffered)),
        }
    }

    fn receive(&mut self, from: usize, message: Message, turn: &mut Turn<TotalOrder>) {
        match message {
            Message::Order(entry) => self.order(entry, turn),
            Message::Log { from, entries } => {
                // Entries may overlap what is here, or leave a gap if a message was lost or overtaken.
                if let Some(known) = self.log.len().checked_sub(from) {
                    for &entry in entries.iter().skip(known) {
                        self.deliver(entry, turn);
                    }
                }
                turn.send(SEQUENCER, Message::Has { length: self.log.len() });
            }
            Message::Has { length } => self.has[from] = self.has[from].max(length),
        }
    }

    fn tick(&mut self, turn: &mut Turn<TotalOrder>) {
        let now = turn.now();
        for (_, late) in self.waiting.extract_if(.., |_, waiting| waiting.deadline <= now) {
            let refusal = Refusal::NoPrimary;
            turn.answer(late.ticket, if late.is_read { Answer::Fail(refusal) } else { Answer::Info(refusal) });
        }
        if self.leads() {
            for peer in self.place.peers() {
                if let Some(message) = self.from(self.has[peer]) {
                    turn.send(peer, message);
                }
            }
        }
    }

    fn leads(&self) -> bool {
        self.place.index == SEQUENCER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::demo::simulation::{Plan, judge, judge_as, seeds};
    use checker::Consistency;
    use checker::verdict::Summary;

    fn plan(seed: u64) -> Plan {
        Plan { nodes: 3, threads: 6, mix: [5, 3], ..Plan::hard(seed) }
    }

    #[test]
    fn linearizable_through_the_log_under_every_fault() {
        let histories = seeds(4).map(|seed| plan(seed).run(|place| TotalOrder::new(place, Reads::InTheLog)));
        let (verdicts, oks) = judge(histories, "cas-register");
        assert!(verdicts.iter().all(|&verdict| verdict == Summary::Valid), "{verdicts:?}");
        assert!(oks > 100 * verdicts.len(), "{oks} ok");
    }

    #[test]
    fn local_reads_are_causal_and_not_linearizable_under_every_fault() {
        let histories: Vec<_> =
            seeds(4).map(|seed| Plan { mix: [6, 4], ..plan(seed) }.run(|place| TotalOrder::new(place, Reads::Local))).collect();
        for model in [Consistency::CausalMemory, Consistency::CausalConvergence] {
            assert_eq!(judge_as(&histories, model), vec![Summary::Valid; histories.len()], "{model:?}");
        }
        let (verdicts, _) = judge(histories.into_iter(), "register");
        assert!(verdicts.contains(&Summary::Invalid), "{verdicts:?}");
    }
}
