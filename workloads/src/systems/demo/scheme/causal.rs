//! Causal broadcast with version vectors.
//!
//! Every node takes writes, answers at once, and broadcasts them. A write carries a *version vector*: how many writes of each
//! node its own node had delivered before. A node delivers it when it has delivered all of those itself (Birman, Schiper and
//! Stephenson 1991). A read is answered from what the node has delivered.
//!
//! **`causal-broadcast`**: what is delivered last is what a key holds. Promise, for a client that stays with its node: causal
//! memory (Ahamad et al. 1995). Why: the order of delivery at a node, with the reads of its clients put in where they were
//! answered, is a legal order of all writes that keeps everything that happened before. Neither sequential nor convergent: two
//! nodes may deliver two concurrent writes in opposite orders, and then differ until somebody writes again.
//!
//! **`causal-convergent`**: a key holds the delivered write with the highest Lamport time (then node), which agrees with what
//! happened before. Promise: causal convergence (COPS's causal+, Lloyd et al. 2011), and each session guarantee by itself. Why:
//! that one order of all writes explains every read, as the last of the writes that were delivered. Not causal memory, not even
//! PRAM: a write that lost is never seen, and the reads around it tell at what time it should have been.
//!
//! What has been delivered is on disk before anybody can see it, so both hold through kills as well.

use super::{Place, Scheme, Ticket, Turn};
use crate::systems::demo::protocol::{Answer, Call, Key, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most writes in one message.
const WRITES_MAX: usize = 256;

/// A write and what happened before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    key: Key,
    value: i64,
    /// For each node how many of its writes had been delivered where this one was made.
    after: Vec<usize>,
    /// Its Lamport time.
    time: u64,
}

/// What nodes say to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// My writes, from this position on.
    Wrote {
        /// The position of the first one.
        from: usize,
        /// The writes.
        writes: Vec<Write>,
    },
    /// So many of your writes are delivered here.
    Has {
        /// Their number.
        count: usize,
    },
}

/// What is kept on disk, in the order of delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    node: usize,
    write: Write,
}

/// A node.
#[derive(Debug)]
pub struct Causal {
    place: Place,
    /// Whether one of concurrent writes wins everywhere.
    convergent: bool,
    /// Everything delivered, in its order.
    delivered: Vec<Record>,
    /// How many of them are of each node: the version vector.
    counts: Vec<usize>,
    /// This node's own writes: their places in `delivered`.
    own: Vec<usize>,
    /// What each key holds, and since when.
    data: BTreeMap<Key, ((u64, usize), i64)>,
    time: u64,
    /// How many of this node's writes each node has said to have.
    has: Vec<usize>,
}

impl Causal {
    /// A node without data.
    pub fn new(place: Place, convergent: bool) -> Causal {
        let zeros = vec![0; place.nodes];
        let (delivered, own, data) = (Vec::new(), Vec::new(), BTreeMap::new());
        Causal { place, convergent, delivered, counts: zeros.clone(), own, data, time: 0, has: zeros }
    }

    fn deliver(&mut self, node: usize, write: Write, turn: &mut Turn<Causal>) {
        let record = Record { node, write };
        turn.record(record.clone());
        self.recover(record);
    }

    /// Whether everything that happened before a write is delivered.
    fn is_ready(&self, write: &Write) -> bool {
        write.after.iter().zip(&self.counts).all(|(needed, count)| needed <= count)
    }
}

impl Scheme for Causal {
    type Message = Message;
    type Record = Record;

    fn recover(&mut self, record: Record) {
        let Record { node, write: Write { key, value, time, .. } } = record;
        self.counts[node] += 1;
        self.time = self.time.max(time);
        if node == self.place.index {
            self.own.push(self.delivered.len());
        }
        self.delivered.push(record);
        let stamp = (time, node);
        if !self.convergent || self.data.get(&key).is_none_or(|held| stamp > held.0) {
            self.data.insert(key, (stamp, value));
        }
    }

    fn snapshot(&self) -> Vec<Record> {
        self.delivered.clone()
    }

    fn is_data(message: &Message) -> bool {
        matches!(message, Message::Wrote { .. })
    }

    fn call(&mut self, ticket: Ticket, call: Call, turn: &mut Turn<Causal>) {
        let answer = match call {
            Call::Read { key } => Answer::Ok(self.data.get(&key).map(|held| held.1).into()),
            Call::Write { key, value } => {
                let write = Write { key, value, after: self.counts.clone(), time: self.time + 1 };
                self.deliver(self.place.index, write, turn);
                Answer::Ok(serde_json::Value::Null)
            }
            _ => Answer::Fail(Refusal::NotOffered),
        };
        turn.answer(ticket, answer);
    }

    fn receive(&mut self, node: usize, message: Message, turn: &mut Turn<Causal>) {
        match message {
            Message::Wrote { from, writes } => {
                // They may overlap what is here, or leave a gap if a message was lost or overtaken. What is not ready comes again.
                if let Some(known) = self.counts[node].checked_sub(from) {
                    for write in writes.into_iter().skip(known) {
                        if !self.is_ready(&write) {
                            break;
                        }
                        self.deliver(node, write, turn);
                    }
                }
                turn.send(node, Message::Has { count: self.counts[node] });
            }
            Message::Has { count } => self.has[node] = self.has[node].max(count),
        }
    }

    fn tick(&mut self, turn: &mut Turn<Causal>) {
        for peer in self.place.peers() {
            let from = self.has[peer];
            let places = self.own.iter().skip(from).take(WRITES_MAX);
            let writes: Vec<Write> = places.map(|&place| self.delivered[place].write.clone()).collect();
            if !writes.is_empty() {
                turn.send(peer, Message::Wrote { from, writes });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::demo::simulation::{Plan, judge_as, seeds};
    use checker::Consistency;
    use checker::verdict::Summary;
    use histories::History;

    fn histories(convergent: bool) -> Vec<History> {
        let plan = |seed| Plan { nodes: 3, threads: 6, ..Plan::hard(seed) };
        seeds(4).map(|seed| plan(seed).run(|place| Causal::new(place, convergent))).collect()
    }

    fn all_keep(histories: &[History], model: Consistency) {
        assert_eq!(judge_as(histories, model), vec![Summary::Valid; histories.len()], "{model:?}");
    }

    #[test]
    fn causal_memory_and_not_convergence_under_every_fault() {
        let histories = histories(false);
        all_keep(&histories, Consistency::CausalMemory);
        assert!(judge_as(&histories, Consistency::CausalConvergence).contains(&Summary::Invalid));
    }

    #[test]
    fn causal_convergence_under_every_fault() {
        let histories = histories(true);
        for model in [Consistency::CausalConvergence, Consistency::ReadYourWrites, Consistency::MonotonicReads] {
            all_keep(&histories, model);
        }
    }

    /// What a key holds where a write with a high Lamport time meets a concurrent one that comes later.
    fn meets(convergent: bool) -> Option<i64> {
        let mut node = Causal::new(Place { index: 0, nodes: 2, boot: 1 }, convergent);
        let mut turn = Turn::new(0, std::time::Duration::ZERO);
        for (key, value) in [(1, 1), (1, 2), (0, 3)] {
            node.call(Ticket(value as u64), Call::Write { key, value }, &mut turn);
        }
        let late = Write { key: 0, value: 4, after: vec![0, 0], time: 1 };
        let not_ready = Write { key: 0, value: 5, after: vec![0, 2], time: 3 };
        node.receive(1, Message::Wrote { from: 0, writes: vec![late, not_ready] }, &mut turn);
        assert_eq!(turn.sends.last(), Some(&(1, Message::Has { count: 1 })));
        node.data.get(&0).map(|held| held.1)
    }

    #[test]
    fn of_concurrent_writes_the_last_to_come_or_the_highest_in_time_wins() {
        assert_eq!(meets(false), Some(4));
        assert_eq!(meets(true), Some(3));
    }
}
