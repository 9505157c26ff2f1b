//! Sloppy quorums with hinted hand-off, as in Dynamo (SOSP 2007).
//!
//! Each key has three *home* nodes. A call is coordinated by the node that it reaches and needs two answers (r = w = 2, so
//! r + w > n), as in [`super::quorum`]: first the highest version, then, for a write, a higher one is stored. What makes it
//! sloppy: if too few homes answer in time, the next nodes take their place. A stand-in keeps a write with a *hint* whose it is,
//! and hands it on when that home can be reached again, which it tries now and then. Homes tell each other now and then what they
//! hold (anti-entropy), so that a write that has reached one of them reaches all.
//!
//! Promise: every call is answered as long as two nodes can be reached, and replicas converge when all are. That is all: two
//! quorums meet only if both are of homes. A client that wrote through stand-ins reads at the homes as soon as they are
//! back, before the hints are: it misses its own acknowledged write, and reads older values than it has read before.

use super::quorum::{OpNumber, Version, Versioned};
use super::{NodeSet, Place, Scheme, Ticket, Turn};
use crate::systems::demo::protocol::{Answer, Call, Key, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The copies of a key.
pub const COPIES: usize = 3;
/// The answers that a call needs.
pub const NEEDED: usize = 2;
/// How long a coordinator waits for homes before it asks stand-ins.
pub const PATIENCE: Duration = Duration::from_millis(60);
/// How long each phase of a call may take.
pub const PHASE_TIMEOUT: Duration = Duration::from_millis(400);
/// How often a stand-in tries to hand on what it keeps for others.
pub const HAND_OFF_EVERY: Duration = Duration::from_millis(1500);

/// How often a home tells the others what it holds.
pub const SYNC_EVERY: Duration = Duration::from_millis(500);

/// What nodes say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// What do you hold?
    Ask(OpNumber, Key),
    /// The answer.
    Holds(OpNumber, Versioned),
    /// Hold at least this: as a home, or for the home whose index is given.
    Store(OpNumber, Key, Versioned, Option<usize>),
    /// It is on disk.
    Stored(OpNumber),
    /// I kept this for you, or hold it like you.
    HandOff(Key, Versioned),
    /// It is on my disk: you may forget it.
    HandedOff(Key, Version),
}

/// What is kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// A home holds this.
    Held(Key, Versioned),
    /// A stand-in keeps this for a home.
    Hint(usize, Key, Versioned),
    /// The home has it.
    HandedOff(usize, Key, Version),
}

/// A node: a home of some keys, a stand-in for others, and the coordinator of the calls that reach it.
#[derive(Debug)]
pub struct SloppyQuorum {
    place: Place,
    replica: BTreeMap<Key, Versioned>,
    hints: BTreeMap<(usize, Key), Hint>,
    ops: BTreeMap<u64, Coordinated>,
    serial: u64,
    sync_at: Duration,
}

#[derive(Debug)]
struct Hint {
    held: Versioned,
    try_at: Duration,
}

/// A call in progress at its coordinator.
#[derive(Debug)]
struct Coordinated {
    ticket: Ticket,
    key: Key,
    write: Option<i64>,
    /// What is being stored; `None` in the first phase.
    storing: Option<Versioned>,
    /// The highest version heard of.
    best: Versioned,
    heard: NodeSet,
    /// When stand-ins are asked; `None` if they have been.
    widen_at: Option<Duration>,
    deadline: Duration,
}

impl SloppyQuorum {
    /// A node without data.
    pub fn new(place: Place) -> SloppyQuorum {
        SloppyQuorum { place, replica: BTreeMap::new(), hints: BTreeMap::new(), ops: BTreeMap::new(), serial: 0, sync_at: SYNC_EVERY }
    }

    /// All nodes, the homes of the key first, then its stand-ins.
    fn ring(&self, key: Key) -> Vec<usize> {
        let (nodes, first) = (self.place.nodes, key.rem_euclid(self.place.nodes as i64) as usize);
        (0..nodes).map(|step| (first + step) % nodes).collect()
    }

    /// The newest that this node has of a key, its own or kept for others.
    fn held(&self, key: Key) -> Versioned {
        let own = self.replica.get(&key).copied().unwrap_or_default();
        let kept = self.hints.iter().filter(|((_, of), _)| *of == key).map(|(_, hint)| hint.held);
        kept.fold(own, |best, held| if held.version > best.version { held } else { best })
    }

    fn keep(&mut self, record: Record, turn: &mut Turn<SloppyQuorum>) {
        self.recover(record);
        if let Record::Hint(home, key, _) = record
            && let Some(hint) = self.hints.get_mut(&(home, key))
        {
            hint.try_at = turn.now() + HAND_OFF_EVERY;
        }
        turn.record(record);
    }

    fn begin(&mut self, ticket: Ticket, key: Key, write: Option<i64>, turn: &mut Turn<SloppyQuorum>) {
        self.serial += 1;
        let (best, heard) = (Versioned::default(), NodeSet::default());
        let op = Coordinated { ticket, key, write, storing: None, best, heard, widen_at: None, deadline: Duration::ZERO };
        self.ops.insert(self.serial, op);
        self.ask_homes(self.serial, turn);
    }

    /// Begins a phase of a call.
    fn ask_homes(&mut self, serial: u64, turn: &mut Turn<SloppyQuorum>) {
        let Some(op) = self.ops.get_mut(&serial) else { return };
        op.widen_at = Some(turn.now() + PATIENCE);
        op.deadline = turn.now() + PHASE_TIMEOUT;
        op.heard = NodeSet::default();
        let (key, storing) = (op.key, op.storing);
        for home in self.ring(key).into_iter().take(COPIES) {
            self.ask(serial, home, key, storing, None, turn);
        }
    }

    fn ask(&self, serial: u64, node: usize, key: Key, storing: Option<Versioned>, instead: Option<usize>, turn: &mut Turn<SloppyQuorum>) {
        let op = OpNumber { boot: self.place.boot, serial };
        turn.send(node, storing.map_or(Message::Ask(op, key), |held| Message::Store(op, key, held, instead)));
    }

    /// Asks a stand-in for each home that has not answered.
    fn widen(&mut self, serial: u64, turn: &mut Turn<SloppyQuorum>) {
        let Some(op) = self.ops.get_mut(&serial) else { return };
        op.widen_at = None;
        let (key, storing, heard) = (op.key, op.storing, op.heard);
        let ring = self.ring(key);
        let (homes, others) = ring.split_at(COPIES.min(ring.len()));
        let missing: Vec<usize> = homes.iter().copied().filter(|&home| !heard.contains(home)).collect();
        for (&home, &instead) in missing.iter().zip(others) {
            self.ask(serial, instead, key, storing, Some(home), turn);
        }
    }

    /// Tells the other homes of each key what this one holds.
    fn sync(&self, turn: &mut Turn<SloppyQuorum>) {
        for (&key, &held) in &self.replica {
            for home in self.ring(key).into_iter().take(COPIES).filter(|&home| home != self.place.index) {
                turn.send(home, Message::HandOff(key, held));
            }
        }
    }

    /// A node has answered a call of this one. With enough answers the phase is over.
    fn heard(&mut self, from: usize, op: OpNumber, held: Option<Versioned>, turn: &mut Turn<SloppyQuorum>) {
        let place = self.place;
        let Some(call) = self.ops.get_mut(&op.serial).filter(|call| op.boot == place.boot && call.storing.is_none() == held.is_some())
        else {
            return;
        };
        call.heard.insert(from);
        if let Some(held) = held.filter(|held| held.version > call.best.version) {
            call.best = held;
        }
        if call.heard.len() < NEEDED.min(place.nodes) {
            return;
        }
        match call.write {
            Some(value) if call.storing.is_none() => {
                let version = Version { counter: call.best.version.counter + 1, node: place.index, boot: op.boot, serial: op.serial };
                call.storing = Some(Versioned { version, value: Some(value) });
                self.ask_homes(op.serial, turn);
            }
            write => {
                let result = if write.is_some() { None } else { call.best.value };
                turn.answer(call.ticket, Answer::Ok(result.into()));
                self.ops.remove(&op.serial);
            }
        }
    }
}

impl Scheme for SloppyQuorum {
    type Message = Message;
    type Record = Record;

    fn recover(&mut self, record: Record) {
        match record {
            Record::Held(key, held) => {
                let mine = self.replica.entry(key).or_default();
                if held.version > mine.version {
                    *mine = held;
                }
            }
            Record::Hint(home, key, held) => {
                let hint = self.hints.entry((home, key)).or_insert(Hint { held, try_at: HAND_OFF_EVERY });
                if held.version > hint.held.version {
                    hint.held = held;
                }
            }
            Record::HandedOff(home, key, version) => {
                if self.hints.get(&(home, key)).is_some_and(|hint| hint.held.version <= version) {
                    self.hints.remove(&(home, key));
                }
            }
        }
    }

    fn snapshot(&self) -> Vec<Record> {
        let held = self.replica.iter().map(|(&key, &held)| Record::Held(key, held));
        held.chain(self.hints.iter().map(|(&(home, key), hint)| Record::Hint(home, key, hint.held))).collect()
    }

    fn is_data(message: &Message) -> bool {
        matches!(message, Message::Store(..) | Message::HandOff(..))
    }

    fn call(&mut self, ticket: Ticket, call: Call, turn: &mut Turn<SloppyQuorum>) {
        match call {
            Call::Read { key } => self.begin(ticket, key, None, turn),
            Call::Write { key, value } => self.begin(ticket, key, Some(value), turn),
            _ => turn.answer(ticket, Answer::Fail(Refusal::NotOffered)),
        }
    }

    fn receive(&mut self, from: usize, message: Message, turn: &mut Turn<SloppyQuorum>) {
        match message {
            Message::Ask(op, key) => turn.send(from, Message::Holds(op, self.held(key))),
            Message::Holds(op, held) => self.heard(from, op, Some(held), turn),
            Message::Store(op, key, held, instead) => {
                self.keep(instead.map_or(Record::Held(key, held), |home| Record::Hint(home, key, held)), turn);
                turn.send(from, Message::Stored(op));
            }
            Message::Stored(op) => self.heard(from, op, None, turn),
            Message::HandOff(key, held) => {
                if self.replica.get(&key).is_none_or(|mine| mine.version < held.version) {
                    self.keep(Record::Held(key, held), turn);
                }
                turn.send(from, Message::HandedOff(key, held.version));
            }
            Message::HandedOff(key, version) => {
                if self.hints.contains_key(&(from, key)) {
                    self.keep(Record::HandedOff(from, key, version), turn);
                }
            }
        }
    }

    fn tick(&mut self, turn: &mut Turn<SloppyQuorum>) {
        let now = turn.now();
        let slow: Vec<u64> = self.ops.iter().filter(|(_, op)| op.widen_at.is_some_and(|at| at <= now)).map(|(&serial, _)| serial).collect();
        for serial in slow {
            self.widen(serial, turn);
        }
        for (_, late) in self.ops.extract_if(.., |_, op| op.deadline <= now) {
            // Before anything was stored a write has not happened, and a read changes nothing.
            let answer = if late.storing.is_some() { Answer::Info } else { Answer::Fail };
            turn.answer(late.ticket, answer(Refusal::NoQuorum));
        }
        for (&(home, key), hint) in self.hints.iter_mut().filter(|(_, hint)| hint.try_at <= now) {
            hint.try_at = now + HAND_OFF_EVERY;
            turn.send(home, Message::HandOff(key, hint.held));
        }
        if self.sync_at <= now {
            self.sync_at = now + SYNC_EVERY;
            self.sync(turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::demo::simulation::{Plan, judge, judge_as, seeds};
    use checker::Consistency;
    use checker::verdict::Summary;

    #[test]
    fn not_linearizable_under_faults_and_answers_nearly_always() {
        let plan = |seed| Plan { fault_gap: Some(Duration::from_millis(200)), ..Plan::hard(seed) };
        let histories: Vec<_> = seeds(5).map(|seed| plan(seed).run(SloppyQuorum::new)).collect();
        for model in [Consistency::MonotonicWrites, Consistency::WritesFollowReads] {
            assert_eq!(judge_as(&histories, model), vec![Summary::Valid; histories.len()], "{model:?}");
        }
        let (verdicts, oks) = judge(histories.into_iter(), "register");
        assert!(verdicts.contains(&Summary::Invalid), "{verdicts:?}");
        assert!(oks > 100 * verdicts.len(), "{oks} ok");
    }

    #[test]
    fn a_stand_in_hands_on_what_it_keeps_and_forgets_it() {
        let mut stand_in = SloppyQuorum::new(Place { index: 3, nodes: 5, boot: 1 });
        let version = Version { counter: 1, ..Version::default() };
        let held = Versioned { version, value: Some(7) };
        let mut turn = Turn::new(3, Duration::ZERO);
        stand_in.receive(4, Message::Store(OpNumber { boot: 1, serial: 1 }, 0, held, Some(1)), &mut turn);
        stand_in.tick(&mut turn);
        assert_eq!(turn.sends.len(), 1, "only its thanks");
        let mut later = Turn::new(3, HAND_OFF_EVERY);
        stand_in.tick(&mut later);
        assert_eq!(later.sends, [(1, Message::HandOff(0, held))]);
        stand_in.receive(1, Message::HandedOff(0, version), &mut later);
        assert!(stand_in.snapshot().is_empty());
    }
}
