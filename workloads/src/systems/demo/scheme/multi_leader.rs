//! Multi-leader replication, where the last write by wall clock wins.
//!
//! Every node takes writes: it stamps a write with **its own wall clock**, keeps it, answers at once, and brings it to the other
//! nodes afterwards, in its order. Everywhere the write with the highest stamp wins (Johnson and Thomas 1975; Cassandra, and
//! the conflict handling of most multi-leader databases). A read is answered from what the node has.
//!
//! Promise, for a client that stays with its node and whatever the clocks do: each session guarantee by itself (what it read or
//! wrote does not give way to something older *by the stamps*), and convergence. Why: the winner of a key only ever changes to
//! one with a higher stamp, at every node, also through kills.
//!
//! Not causal and not PRAM: stamps do not know what a client has seen. Where a clock is behind, a client reads a value with a
//! stamp from the future, overwrites it, is told that all is well, and reads the old value again. **The acknowledged write is
//! gone, on every node and for ever.** Clocks that are right to a millisecond only make this rare.

use super::{Place, Scheme, Ticket, Turn};
use crate::systems::demo::protocol::{Answer, Call, Key, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most writes in one message.
const WRITES_MAX: usize = 256;

/// A write with its stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    key: Key,
    value: i64,
    /// The wall clock of the node that took it, in milliseconds.
    at_ms: i64,
}

/// What nodes say to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// The writes that I took, from this position on.
    Took {
        /// The position of the first one.
        from: usize,
        /// The writes.
        writes: Vec<Write>,
    },
    /// So many of your writes are on my disk.
    Has {
        /// Their number.
        count: usize,
    },
}

/// What is kept on disk: a node took this write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    node: usize,
    write: Write,
}

/// The stamp that decides: the clock, then the node, then the node's own order.
type Stamp = (i64, usize, usize);

/// A node.
#[derive(Debug)]
pub struct MultiLeader {
    place: Place,
    /// The writes that each node took, as far as they have come here.
    took: Vec<Vec<Write>>,
    /// The winner of each key.
    data: BTreeMap<Key, (Stamp, i64)>,
    /// How many of this node's writes each node has said to have.
    has: Vec<usize>,
}

impl MultiLeader {
    /// A node without data.
    pub fn new(place: Place) -> MultiLeader {
        MultiLeader { place, took: vec![Vec::new(); place.nodes], data: BTreeMap::new(), has: vec![0; place.nodes] }
    }

    fn keep(&mut self, record: Record, turn: &mut Turn<MultiLeader>) {
        self.recover(record);
        turn.record(record);
    }
}

impl Scheme for MultiLeader {
    type Message = Message;
    type Record = Record;

    fn recover(&mut self, Record { node, write }: Record) {
        let stamp = (write.at_ms, node, self.took[node].len());
        self.took[node].push(write);
        if self.data.get(&write.key).is_none_or(|(winner, _)| stamp > *winner) {
            self.data.insert(write.key, (stamp, write.value));
        }
    }

    fn snapshot(&self) -> Vec<Record> {
        let of = |(node, writes): (usize, &Vec<Write>)| writes.iter().map(move |&write| Record { node, write }).collect::<Vec<_>>();
        self.took.iter().enumerate().flat_map(of).collect()
    }

    fn is_data(message: &Message) -> bool {
        matches!(message, Message::Took { .. })
    }

    fn call(&mut self, ticket: Ticket, call: Call, turn: &mut Turn<MultiLeader>) {
        let answer = match call {
            Call::Read { key } => Answer::Ok(self.data.get(&key).map(|winner| winner.1).into()),
            Call::Write { key, value } => {
                let write = Write { key, value, at_ms: turn.wall_ms() };
                self.keep(Record { node: self.place.index, write }, turn);
                Answer::Ok(serde_json::Value::Null)
            }
            _ => Answer::Fail(Refusal::NotOffered),
        };
        turn.answer(ticket, answer);
    }

    fn receive(&mut self, node: usize, message: Message, turn: &mut Turn<MultiLeader>) {
        match message {
            Message::Took { from, writes } => {
                // They may overlap what is here, or leave a gap if a message was lost or overtaken.
                if let Some(known) = self.took[node].len().checked_sub(from) {
                    for &write in writes.iter().skip(known) {
                        self.keep(Record { node, write }, turn);
                    }
                }
                turn.send(node, Message::Has { count: self.took[node].len() });
            }
            Message::Has { count } => self.has[node] = self.has[node].max(count),
        }
    }

    fn tick(&mut self, turn: &mut Turn<MultiLeader>) {
        for peer in self.place.peers() {
            let from = self.has[peer];
            let writes: Vec<Write> = self.took[self.place.index].iter().skip(from).take(WRITES_MAX).copied().collect();
            if !writes.is_empty() {
                turn.send(peer, Message::Took { from, writes });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::demo::simulation::{Plan, judge, judge_as, seeds};
    use checker::Consistency;
    use checker::verdict::Summary;
    use std::time::Duration;

    #[test]
    fn session_guarantees_hold_under_every_fault_and_linearizability_does_not() {
        let plan = |seed| Plan { nodes: 3, threads: 6, clocks: Duration::from_secs(2), ..Plan::hard(seed) };
        let histories: Vec<_> = seeds(4).map(|seed| plan(seed).run(MultiLeader::new)).collect();
        for model in
            [Consistency::ReadYourWrites, Consistency::MonotonicReads, Consistency::MonotonicWrites, Consistency::WritesFollowReads]
        {
            assert_eq!(judge_as(&histories, model), vec![Summary::Valid; histories.len()], "{model:?}");
        }
        assert!(judge_as(&histories, Consistency::Causal).contains(&Summary::Invalid));
        assert!(judge(histories.into_iter(), "register").0.contains(&Summary::Invalid));
    }

    #[test]
    fn a_write_by_a_slow_clock_is_acknowledged_and_gone() {
        let mut node = MultiLeader::new(Place { index: 0, nodes: 2, boot: 1 });
        let mut turn = Turn::new(0, Duration::ZERO).at(1_000);
        let writes = vec![Write { key: 0, value: 1, at_ms: 9_000 }];
        node.receive(1, Message::Took { from: 0, writes }, &mut turn);
        node.call(Ticket(1), Call::Write { key: 0, value: 2 }, &mut turn);
        node.call(Ticket(2), Call::Read { key: 0 }, &mut turn);
        assert_eq!(turn.answers, [(Ticket(1), Answer::Ok(serde_json::Value::Null)), (Ticket(2), Answer::Ok(1.into()))]);
    }
}
