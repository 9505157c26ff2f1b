//! Leaderless majorities, with and without repair by readers.
//!
//! **`quorum`** is the multi-writer register of Lynch and Shvartsman (1997), after Attiya, Bar-Noy and Dolev (1995). Any node
//! coordinates any call, in at most two phases, each of which waits for a majority:
//!
//! - a write asks for the highest version, then stores its value under a higher one that nobody else can choose;
//! - a read asks for the highest version and its value, then stores that version back, and only then answers.
//!
//! Promise: linearizable for read and write, whatever messages are lost or late and whichever nodes are paused or killed.
//! Why: order ops by version, a write before the reads of its version. When an op ends, a majority holds its version or a higher
//! one; an op that starts later asks a majority, which shares a node with the first, so it sees a version at least as high,
//! and a write chooses a higher one still. For reads the second phase is what makes "when an op ends" true. It may leave
//! out nodes that said in the first phase that they hold the version, and is empty if they are a majority.
//!
//! What crashes could spoil, and does not:
//! - A replica that acknowledged a version holds it in its next life: it was on disk before the acknowledgement left.
//! - A version is used once: it ends in the coordinator's index, life ([`Place::boot`], which is on disk before the node
//!   speaks) and a serial number within that life.
//! - Answers to an earlier life carry its boot number and are ignored.
//! - A coordinator that was paused between its phases stores an old version: its op has been in progress all the time, and
//!   takes its place before the newer versions that it did not see.
//!
//! **`quorum-no-repair`** leaves out the second phase of reads: a strict quorum (r + w > n) as in Dynamo (SOSP 2007)
//! with read repair switched off. Not linearizable, although any two quorums intersect: while a write is on its way a
//! read may see it and a later read may not.
//!
//! Neither offers cas: consensus cannot be solved with reads and writes (Herlihy 1991).

use super::{NodeSet, Place, Scheme, Ticket, Turn};
use crate::systems::demo::protocol::{Answer, Call, Key, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long each phase of an op may wait for its majority.
pub const PHASE_TIMEOUT: Duration = Duration::from_millis(250);

/// The version of a value. Versions are totally ordered, and no two writes choose the same one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// One more than the highest counter that a majority knew. 0 only for "never written".
    pub counter: u64,
    /// The node that coordinated the write: decides between equal counters.
    pub node: usize,
    /// The node's life.
    pub boot: u64,
    /// The op within that life.
    pub serial: u64,
}

/// A value and its version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned {
    /// Its version.
    pub version: Version,
    /// The value; `None` if the key was never written.
    pub value: Option<i64>,
}

/// An op of one coordinator: its life, and a serial number within that life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpNumber {
    /// The life.
    pub boot: u64,
    /// The number in that life.
    pub serial: u64,
}

/// What nodes say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// First phase: what do you hold?
    Ask {
        /// Whose question.
        op: OpNumber,
        /// The key.
        key: Key,
    },
    /// The answer.
    Holds {
        /// To which question.
        op: OpNumber,
        /// What the replica holds.
        held: Versioned,
    },
    /// Second phase: hold at least this.
    Store {
        /// Whose request.
        op: OpNumber,
        /// The key.
        key: Key,
        /// What to hold.
        held: Versioned,
    },
    /// It is on disk, or something newer is.
    Stored {
        /// Which request.
        op: OpNumber,
    },
}

/// What is kept on disk: a key got this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    key: Key,
    held: Versioned,
}

/// A node of the scheme: a replica of every key, and the coordinator of the calls that reach it.
#[derive(Debug)]
pub struct Quorum {
    place: Place,
    repair: bool,
    replica: BTreeMap<Key, Versioned>,
    ops: BTreeMap<u64, Coordinated>,
    serial: u64,
}

/// An op in progress at its coordinator.
#[derive(Debug)]
struct Coordinated {
    ticket: Ticket,
    key: Key,
    /// What to write; `None` for a read.
    write: Option<i64>,
    phase: Phase,
    deadline: Duration,
}

#[derive(Debug)]
enum Phase {
    /// Waits for a majority to say what it holds.
    Asking {
        heard: NodeSet,
        /// The highest version heard of.
        best: Versioned,
        /// Those of `heard` that hold it.
        holders: NodeSet,
    },
    /// Waits until a majority holds it.
    Storing { held: Versioned, holders: NodeSet },
}

impl Quorum {
    /// A node without data. With `repair` a read stores what it found before it answers.
    pub fn new(place: Place, repair: bool) -> Quorum {
        Quorum { place, repair, replica: BTreeMap::new(), ops: BTreeMap::new(), serial: 0 }
    }

    fn held(&self, key: Key) -> Versioned {
        self.replica.get(&key).copied().unwrap_or_default()
    }

    /// Takes a version if it is news. Returns whether it was.
    fn hold(&mut self, key: Key, held: Versioned) -> bool {
        let news = held.version > self.held(key).version;
        if news {
            self.replica.insert(key, held);
        }
        news
    }

    fn begin(&mut self, ticket: Ticket, key: Key, write: Option<i64>, turn: &mut Turn<Quorum>) {
        self.serial += 1;
        let phase = Phase::Asking { heard: NodeSet::default(), best: Versioned::default(), holders: NodeSet::default() };
        self.ops.insert(self.serial, Coordinated { ticket, key, write, phase, deadline: turn.now() + PHASE_TIMEOUT });
        let op = OpNumber { boot: self.place.boot, serial: self.serial };
        for node in 0..self.place.nodes {
            turn.send(node, Message::Ask { op, key });
        }
    }

    /// The op in progress that an answer belongs to, unless it has ended or was of an earlier life.
    fn coordinated(&mut self, op: OpNumber) -> Option<&mut Coordinated> {
        if op.boot == self.place.boot { self.ops.get_mut(&op.serial) } else { None }
    }

    /// A replica has said what it holds.
    fn on_holds(&mut self, from: usize, op: OpNumber, news: Versioned, turn: &mut Turn<Quorum>) {
        let majority = self.place.majority();
        let Some(Coordinated { phase: Phase::Asking { heard, best, holders }, .. }) = self.coordinated(op) else { return };
        heard.insert(from);
        if news.version > best.version {
            *best = news;
            *holders = NodeSet::default();
        }
        if news.version == best.version {
            holders.insert(from);
        }
        if heard.len() >= majority {
            let (best, holders) = (*best, *holders);
            self.asked(op, best, holders, turn);
        }
    }

    /// A majority has said what it holds: the first phase is over.
    fn asked(&mut self, op: OpNumber, best: Versioned, holders: NodeSet, turn: &mut Turn<Quorum>) {
        let place = self.place;
        let repair = self.repair;
        let Some(coordinated) = self.coordinated(op) else { return };
        let (held, holders) = match coordinated.write {
            Some(value) => {
                let version = Version { counter: best.version.counter + 1, node: place.index, boot: op.boot, serial: op.serial };
                (Versioned { version, value: Some(value) }, NodeSet::default())
            }
            None if holders.len() >= place.majority() || !repair => return self.end(op, best, turn),
            None => (best, holders),
        };
        coordinated.phase = Phase::Storing { held, holders };
        coordinated.deadline = turn.now() + PHASE_TIMEOUT;
        let key = coordinated.key;
        for node in (0..place.nodes).filter(|&node| !holders.contains(node)) {
            turn.send(node, Message::Store { op, key, held });
        }
    }

    /// A replica holds what was asked of it.
    fn on_stored(&mut self, from: usize, op: OpNumber, turn: &mut Turn<Quorum>) {
        let majority = self.place.majority();
        let Some(Coordinated { phase: Phase::Storing { held, holders }, .. }) = self.coordinated(op) else { return };
        holders.insert(from);
        if holders.len() >= majority {
            let held = *held;
            self.end(op, held, turn);
        }
    }

    /// Answers the client of an op that has got what it needs.
    fn end(&mut self, op: OpNumber, held: Versioned, turn: &mut Turn<Quorum>) {
        if let Some(coordinated) = self.ops.remove(&op.serial) {
            let result = if coordinated.write.is_some() { None } else { held.value };
            turn.answer(coordinated.ticket, Answer::Ok(result.into()));
        }
    }
}

impl Scheme for Quorum {
    type Message = Message;
    type Record = Record;

    fn recover(&mut self, Record { key, held }: Record) {
        self.hold(key, held);
    }

    fn snapshot(&self) -> Vec<Record> {
        self.replica.iter().map(|(&key, &held)| Record { key, held }).collect()
    }

    fn is_data(message: &Message) -> bool {
        matches!(message, Message::Store { .. })
    }

    fn call(&mut self, ticket: Ticket, call: Call, turn: &mut Turn<Quorum>) {
        match call {
            Call::Read { key } => self.begin(ticket, key, None, turn),
            Call::Write { key, value } => self.begin(ticket, key, Some(value), turn),
            _ => turn.answer(ticket, Answer::Fail(Refusal::NotOffered)),
        }
    }

    fn receive(&mut self, from: usize, message: Message, turn: &mut Turn<Quorum>) {
        match message {
            Message::Ask { op, key } => turn.send(from, Message::Holds { op, held: self.held(key) }),
            Message::Store { op, key, held } => {
                if self.hold(key, held) {
                    turn.record(Record { key, held });
                }
                turn.send(from, Message::Stored { op });
            }
            Message::Holds { op, held } => self.on_holds(from, op, held, turn),
            Message::Stored { op } => self.on_stored(from, op, turn),
        }
    }

    fn tick(&mut self, turn: &mut Turn<Quorum>) {
        let now = turn.now();
        for (_, late) in self.ops.extract_if(.., |_, op| op.deadline <= now) {
            turn.answer(late.ticket, late.timed_out());
        }
    }
}

impl Coordinated {
    /// What to say of an op that got no majority in time. Of a write in its first phase nothing has left this node, and nothing
    /// will: it did not happen. A read changes nothing, whatever it stored back. A write in its second phase may be anywhere.
    fn timed_out(&self) -> Answer {
        match (self.write, &self.phase) {
            (Some(_), Phase::Storing { .. }) => Answer::Info(Refusal::NoQuorum),
            _ => Answer::Fail(Refusal::NoQuorum),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::demo::simulation::{Plan, judge, seeds};
    use checker::verdict::Summary;

    #[test]
    fn linearizable_under_every_fault() {
        let histories = seeds(12).map(|seed| Plan::hard(seed).run(|place| Quorum::new(place, true)));
        let (verdicts, oks) = judge(histories, "register");
        let wrong: Vec<usize> = (0..verdicts.len()).filter(|&seed| verdicts[seed] != Summary::Valid).collect();
        assert!(wrong.is_empty(), "seeds {wrong:?}");
        assert!(oks > 300 * verdicts.len(), "{oks} ok");
    }

    /// A coordinator of three in a given life that has begun to write `value` and heard from one peer that nobody has written.
    fn storing(boot: u64, value: i64) -> (Quorum, Turn<Quorum>) {
        let mut quorum = Quorum::new(Place { index: 0, nodes: 3, boot }, true);
        let mut turn = Turn::new(0, Duration::ZERO);
        quorum.call(Ticket(1), Call::Write { key: 0, value }, &mut turn);
        turn.deliver_to_self(&mut quorum);
        quorum.receive(1, Message::Holds { op: OpNumber { boot, serial: 1 }, held: Versioned::default() }, &mut turn);
        turn.deliver_to_self(&mut quorum);
        (quorum, turn)
    }

    #[test]
    fn two_lives_never_choose_the_same_version() {
        let [first, second] = [1, 2].map(|boot| storing(boot, boot as i64).1.records[0].held);
        assert_ne!(first.value, second.value);
        assert_ne!(first.version, second.version);
    }

    #[test]
    fn answers_to_an_earlier_life_are_ignored() {
        let (mut quorum, mut turn) = storing(2, 7);
        quorum.receive(1, Message::Stored { op: OpNumber { boot: 1, serial: 1 } }, &mut turn);
        assert_eq!(turn.answers, []);
        quorum.receive(1, Message::Stored { op: OpNumber { boot: 2, serial: 1 } }, &mut turn);
        assert_eq!(turn.answers, [(Ticket(1), Answer::Ok(serde_json::Value::Null))]);
    }

    #[test]
    fn a_write_without_a_majority_is_refused_before_it_is_stored_anywhere_and_of_unknown_outcome_after() {
        let mut quorum = Quorum::new(Place { index: 0, nodes: 3, boot: 1 }, true);
        let mut turn = Turn::new(0, Duration::ZERO);
        quorum.call(Ticket(1), Call::Write { key: 0, value: 7 }, &mut turn);
        turn.deliver_to_self(&mut quorum);
        let mut late = Turn::new(0, PHASE_TIMEOUT);
        quorum.tick(&mut late);
        assert_eq!(late.answers, [(Ticket(1), Answer::Fail(Refusal::NoQuorum))]);
        // Answers that come after all start nothing.
        quorum.receive(1, Message::Holds { op: OpNumber { boot: 1, serial: 1 }, held: Versioned::default() }, &mut late);
        late.deliver_to_self(&mut quorum);
        assert!(late.sends.is_empty() && late.records.is_empty());

        let (mut quorum, _) = storing(1, 7);
        let mut late = Turn::new(0, PHASE_TIMEOUT);
        quorum.tick(&mut late);
        assert_eq!(late.answers, [(Ticket(1), Answer::Info(Refusal::NoQuorum))]);
    }

    #[test]
    fn without_repair_not_linearizable_even_without_faults() {
        let plan = |seed| Plan { fault_gap: None, time: Duration::from_millis(500), ..Plan::hard(seed) };
        let (verdicts, _) = judge(seeds(5).map(|seed| plan(seed).run(|place| Quorum::new(place, false))), "register");
        assert!(verdicts.iter().all(|&verdict| verdict == Summary::Invalid), "{verdicts:?}");
    }
}
