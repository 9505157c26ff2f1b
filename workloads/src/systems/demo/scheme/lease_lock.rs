//! A register guarded by a lock with a lease, without and with fencing tokens.
//!
//! The first node is the lock service, the second one the storage. A write or cas is a critical section of the node that a
//! client called: it takes the lock, reads the register if it has to, thinks for [`WORK`], writes, and gives the lock back. So that
//! a holder that is gone does not block everybody for ever, the service gives the lock away again after [`LEASE`].
//!
//! **`lease-lock`** is how it is usually done, and wrong: the service's clock says that the lease is over, and the holder, which
//! was paused for a while (a stop of the world, a swapped-out page, a packet that took its time), does not know. Two are in the
//! critical section, and the update of one is lost (Gray and Cheriton 1989 on what leases need; Kleppmann 2016 on locks that do
//! without it). Not linearizable, and not a mutex either. That the holder looks at its clock before it writes makes this rarer and
//! not impossible: it can be paused between the look and the write.
//!
//! **`fenced-lock`**: the service numbers the holders, each gets its number as a *fencing token*, and the storage refuses what
//! comes with a lower token than it has seen. Promise: the guarded register is linearizable, whatever clocks, pauses and links
//! do. Why: between a section's read and its write the storage has taken nothing from others: what comes from an earlier holder is
//! refused after the read, and once a later one has read, the write itself is. The lock as such is still no mutex: **it is the
//! storage that keeps order, and the lock only keeps clients from getting in each other's way.**
//!
//! Clients may also take and give back a lock for themselves.

use super::{Place, Scheme, Ticket, Turn};
use crate::systems::demo::protocol::{Answer, Call, Key, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The index of the node that gives out locks.
pub const SERVICE: usize = 0;
/// How long a holder has a lock for itself.
pub const LEASE: Duration = Duration::from_millis(500);
/// How long the work in a critical section takes, between reading and writing.
pub const WORK: Duration = Duration::from_millis(60);
/// How long each step of a call may take; waiting for a lock may take three leases.
pub const STEP_TIMEOUT: Duration = Duration::from_millis(300);

/// Who called: a node, its life, and the number of the call in that life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    node: usize,
    boot: u64,
    number: u64,
}

/// What nodes say to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// To the service: I want this lock. Said again until it is granted.
    Acquire(Caller, Key),
    /// From the service: it is yours; the token.
    Granted(Caller, i64),
    /// To the service: I am done with this lock, which I had with this token.
    Release(Caller, Key, i64),
    /// From the service: you had it until now, or not.
    Released(Caller, bool),
    /// To the storage: what is there? With the token of a holder, or without.
    Get(Caller, Key, Option<i64>),
    /// From the storage: the value.
    Got(Caller, Option<i64>),
    /// To the storage: put this there. The token.
    Put(Caller, Key, i64, i64),
    /// From the storage: whether it is there.
    Did(Caller, bool),
}

/// What is kept on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// The service: this is the lock's last token, and whether it is held.
    Lock(Key, i64, bool),
    /// The storage: this is the register's value, and the highest token that it has seen.
    Register(Key, Option<i64>, i64),
}

/// A node.
#[derive(Debug)]
pub struct LeaseLock {
    place: Place,
    fencing: bool,
    locks: BTreeMap<Key, Lock>,
    registers: BTreeMap<Key, (Option<i64>, i64)>,
    sections: BTreeMap<u64, Section>,
    number: u64,
}

/// A lock, at the service.
#[derive(Clone, Copy, Debug, Default)]
struct Lock {
    token: i64,
    held: bool,
    /// Who has it, if that was in this life.
    by: Option<Caller>,
    until: Duration,
}

/// A client's call in progress.
#[derive(Clone, Copy, Debug)]
struct Section {
    ticket: Ticket,
    call: Call,
    step: Step,
    deadline: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Waits for the lock.
    Acquiring,
    /// Waits for the register's value, with a token or without.
    Reading(Option<i64>),
    /// Works, with this token, until then.
    Working(i64, Duration),
    /// Waits to hear that its value is stored.
    Writing(i64),
    /// Waits to hear that the lock was given back.
    Releasing,
}

impl LeaseLock {
    /// A node without data. With `fencing` the storage looks at tokens.
    pub fn new(place: Place, fencing: bool) -> LeaseLock {
        LeaseLock { place, fencing, locks: BTreeMap::new(), registers: BTreeMap::new(), sections: BTreeMap::new(), number: 0 }
    }

    /// The index of the node that stores the registers.
    fn storage(&self) -> usize {
        1 % self.place.nodes
    }

    fn caller(&self, number: u64) -> Caller {
        Caller { node: self.place.index, boot: self.place.boot, number }
    }

    /// At the service: gives a lock to who asks, if it is free or its lease is over.
    fn acquire(&mut self, caller: Caller, key: Key, turn: &mut Turn<LeaseLock>) {
        let lock = self.locks.entry(key).or_default();
        let taken = lock.held && lock.until > turn.now();
        if taken && lock.by != Some(caller) {
            return;
        }
        if !taken {
            *lock = Lock { token: lock.token + 1, held: true, by: Some(caller), until: turn.now() + LEASE };
            turn.record(Record::Lock(key, lock.token, true));
        }
        turn.send(caller.node, Message::Granted(caller, lock.token));
    }

    /// At the service: takes a lock back, unless it is somebody else's by now.
    fn release(&mut self, caller: Caller, key: Key, token: i64, turn: &mut Turn<LeaseLock>) {
        let lock = self.locks.entry(key).or_default();
        let mine = lock.held && lock.token == token;
        if mine {
            lock.held = false;
            turn.record(Record::Lock(key, token, false));
        }
        turn.send(caller.node, Message::Released(caller, mine));
    }

    /// At the storage: whether somebody with this token may act. If so, nobody with a lower one may from now on.
    fn admits(&mut self, key: Key, token: i64, turn: &mut Turn<LeaseLock>) -> bool {
        let (value, seen) = self.registers.entry(key).or_default();
        if self.fencing && token < *seen {
            return false;
        }
        if token > *seen {
            *seen = token;
            turn.record(Record::Register(key, *value, token));
        }
        true
    }

    fn put(&mut self, caller: Caller, key: Key, value: i64, token: i64, turn: &mut Turn<LeaseLock>) {
        let admitted = self.admits(key, token, turn);
        if admitted && let Some(register) = self.registers.get_mut(&key) {
            register.0 = Some(value);
            turn.record(Record::Register(key, register.0, register.1));
        }
        turn.send(caller.node, Message::Did(caller, admitted));
    }

    /// The section that an answer belongs to, if it waits in such a step.
    fn section(&mut self, caller: Caller, is_step: impl Fn(Step) -> bool) -> Option<&mut Section> {
        let of_this_life = caller.boot == self.place.boot;
        self.sections.get_mut(&caller.number).filter(|section| of_this_life && is_step(section.step))
    }

    /// The lock is ours.
    fn granted(&mut self, caller: Caller, token: i64, turn: &mut Turn<LeaseLock>) {
        let storage = self.storage();
        let Some(section) = self.section(caller, |step| step == Step::Acquiring) else { return };
        section.deadline = turn.now() + STEP_TIMEOUT;
        match section.call {
            Call::Cas { key, .. } => {
                section.step = Step::Reading(Some(token));
                turn.send(storage, Message::Get(caller, key, Some(token)));
            }
            Call::Write { .. } => section.step = Step::Working(token, turn.now() + WORK),
            _ => {
                turn.answer(section.ticket, Answer::Ok(token.into()));
                self.sections.remove(&caller.number);
            }
        }
    }

    /// The storage has told the value.
    fn got(&mut self, caller: Caller, value: Option<i64>, turn: &mut Turn<LeaseLock>) {
        let Some(section) = self.section(caller, |step| matches!(step, Step::Reading(_))) else { return };
        match (section.step, section.call) {
            (Step::Reading(Some(token)), Call::Cas { old, .. }) if value == Some(old) => {
                section.step = Step::Working(token, turn.now() + WORK);
            }
            (Step::Reading(Some(token)), _) => self.end(caller, token, Answer::Fail(Refusal::Mismatch), turn),
            _ => {
                turn.answer(section.ticket, Answer::Ok(value.into()));
                self.sections.remove(&caller.number);
            }
        }
    }

    /// A section is over: the client hears of it, and the lock goes back.
    fn end(&mut self, caller: Caller, token: i64, answer: Answer, turn: &mut Turn<LeaseLock>) {
        let Some(section) = self.sections.remove(&caller.number) else { return };
        turn.answer(section.ticket, answer);
        turn.send(SERVICE, Message::Release(caller, section.call.key(), token));
    }
}

impl Scheme for LeaseLock {
    type Message = Message;
    type Record = Record;

    /// Whether a lock's lease was over is not known any more: it begins anew.
    fn recover(&mut self, record: Record) {
        match record {
            Record::Lock(key, token, held) => drop(self.locks.insert(key, Lock { token, held, by: None, until: LEASE })),
            Record::Register(key, value, seen) => drop(self.registers.insert(key, (value, seen))),
        }
    }

    fn snapshot(&self) -> Vec<Record> {
        let locks = self.locks.iter().map(|(&key, lock)| Record::Lock(key, lock.token, lock.held));
        locks.chain(self.registers.iter().map(|(&key, &(value, seen))| Record::Register(key, value, seen))).collect()
    }

    fn is_data(message: &Message) -> bool {
        matches!(message, Message::Put(..))
    }

    fn call(&mut self, ticket: Ticket, call: Call, turn: &mut Turn<LeaseLock>) {
        self.number += 1;
        let caller = self.caller(self.number);
        let (step, patience) = match call {
            Call::Read { key } => {
                turn.send(self.storage(), Message::Get(caller, key, None));
                (Step::Reading(None), STEP_TIMEOUT)
            }
            Call::Release { key, token } => {
                turn.send(SERVICE, Message::Release(caller, key, token));
                (Step::Releasing, STEP_TIMEOUT)
            }
            Call::Write { key, .. } | Call::Cas { key, .. } | Call::Acquire { key } => {
                turn.send(SERVICE, Message::Acquire(caller, key));
                (Step::Acquiring, 3 * LEASE)
            }
            _ => return turn.answer(ticket, Answer::Fail(Refusal::NotOffered)),
        };
        self.sections.insert(self.number, Section { ticket, call, step, deadline: turn.now() + patience });
    }

    fn receive(&mut self, _: usize, message: Message, turn: &mut Turn<LeaseLock>) {
        match message {
            Message::Acquire(caller, key) => self.acquire(caller, key, turn),
            Message::Release(caller, key, token) => self.release(caller, key, token, turn),
            Message::Get(caller, key, token) => {
                if token.is_none_or(|token| self.admits(key, token, turn)) {
                    let value = self.registers.get(&key).and_then(|register| register.0);
                    turn.send(caller.node, Message::Got(caller, value));
                } else {
                    turn.send(caller.node, Message::Did(caller, false));
                }
            }
            Message::Put(caller, key, value, token) => self.put(caller, key, value, token, turn),
            Message::Granted(caller, token) => self.granted(caller, token, turn),
            Message::Got(caller, value) => self.got(caller, value, turn),
            Message::Did(caller, done) => {
                let section = self.section(caller, |step| matches!(step, Step::Writing(_) | Step::Reading(Some(_))));
                if let Some(Step::Writing(token) | Step::Reading(Some(token))) = section.map(|section| section.step) {
                    let answer = if done { Answer::Ok(serde_json::Value::Null) } else { Answer::Fail(Refusal::Stale) };
                    self.end(caller, token, answer, turn);
                }
            }
            Message::Released(caller, mine) => {
                if let Some(section) = self.section(caller, |step| step == Step::Releasing) {
                    turn.answer(section.ticket, if mine { Answer::Ok(serde_json::Value::Null) } else { Answer::Fail(Refusal::Stale) });
                    self.sections.remove(&caller.number);
                }
            }
        }
    }

    fn tick(&mut self, turn: &mut Turn<LeaseLock>) {
        let (now, place, storage) = (turn.now(), self.place, self.storage());
        for (&number, section) in &mut self.sections {
            let caller = Caller { node: place.index, boot: place.boot, number };
            match (section.step, section.call) {
                (Step::Acquiring, call) if section.deadline > now => turn.send(SERVICE, Message::Acquire(caller, call.key())),
                // However late it is: the holder believes that the lock is its own.
                (Step::Working(token, until), Call::Write { key, value } | Call::Cas { key, new: value, .. }) if until <= now => {
                    section.step = Step::Writing(token);
                    section.deadline = now + STEP_TIMEOUT;
                    turn.send(storage, Message::Put(caller, key, value, token));
                }
                _ => {}
            }
        }
        for (_, late) in self.sections.extract_if(.., |_, section| section.deadline <= now && !matches!(section.step, Step::Working(..))) {
            turn.answer(late.ticket, late.timed_out());
        }
    }
}

impl Section {
    /// What to say of a call that got no answer in time. Before a value was sent to the storage nothing had happened; a lock that is
    /// granted after all goes back by itself when its lease is over, and nobody works with it.
    fn timed_out(&self) -> Answer {
        match (self.step, self.call) {
            (Step::Acquiring, Call::Acquire { .. }) => Answer::Info(Refusal::Held),
            (Step::Acquiring, _) => Answer::Fail(Refusal::Held),
            (Step::Writing(_) | Step::Releasing, _) => Answer::Info(Refusal::NoPrimary),
            _ => Answer::Fail(Refusal::NoPrimary),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::demo::simulation::{Plan, judge, seeds};
    use checker::verdict::Summary;

    #[test]
    fn with_fencing_tokens_linearizable_under_every_fault() {
        let plan = |seed| Plan { nodes: 3, threads: 6, mix: [3, 2], time: Duration::from_secs(6), ..Plan::hard(seed) };
        let (verdicts, oks) = judge(seeds(4).map(|seed| plan(seed).run(|place| LeaseLock::new(place, true))), "cas-register");
        assert!(verdicts.iter().all(|&verdict| verdict == Summary::Valid), "{verdicts:?}");
        assert!(oks > 20 * verdicts.len(), "{oks} ok");
    }

    /// What the storage says to two holders that both read the register before either writes: the first one slept.
    fn two_holders(fencing: bool) -> [bool; 2] {
        let mut storage = LeaseLock::new(Place { index: 1, nodes: 3, boot: 1 }, fencing);
        let mut turn = Turn::new(1, Duration::ZERO);
        let [first, second] = [1, 2].map(|number| Caller { node: 2, boot: 1, number });
        storage.receive(2, Message::Get(first, 0, Some(1)), &mut turn);
        storage.receive(2, Message::Get(second, 0, Some(2)), &mut turn);
        storage.receive(2, Message::Put(first, 0, 10, 1), &mut turn);
        storage.receive(2, Message::Put(second, 0, 20, 2), &mut turn);
        let did = |caller| turn.sends.iter().any(|(_, message)| *message == Message::Did(caller, true));
        [did(first), did(second)]
    }

    #[test]
    fn of_two_holders_only_the_later_one_writes_if_the_storage_looks_at_tokens() {
        assert_eq!(two_holders(false), [true, true]);
        assert_eq!(two_holders(true), [false, true]);
    }

    #[test]
    fn a_lock_goes_to_another_holder_when_its_lease_is_over() {
        let mut service = LeaseLock::new(Place { index: 0, nodes: 3, boot: 1 }, true);
        let [first, second] = [1, 2].map(|node| Caller { node, boot: 1, number: 1 });
        let mut granted = |caller: Caller, now| {
            let mut turn = Turn::new(0, now);
            service.receive(caller.node, Message::Acquire(caller, 0), &mut turn);
            turn.sends.first().map(|(_, message)| *message)
        };
        assert_eq!(granted(first, Duration::ZERO), Some(Message::Granted(first, 1)));
        assert_eq!(granted(second, LEASE / 2), None);
        assert_eq!(granted(second, LEASE), Some(Message::Granted(second, 2)));
    }
}
