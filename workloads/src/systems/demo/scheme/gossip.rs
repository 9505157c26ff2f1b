//! Gossip of whole states that can be merged: convergent replicated data types (Shapiro, Preguiça, Baquero and Zawirski 2011).
//!
//! Every node carries out every op by itself and answers at once. Now and then it sends all that it knows to another node, which
//! merges that into what it knows itself. Merging is a *join*: it does not matter in which order, how often and by which way states
//! arrive, so it does not matter either which messages the links lose.
//!
//! Promise: strong eventual consistency: nodes that have heard of the same ops are in the same state, and when faults end all hear
//! of all. What was acknowledged is on disk, so nothing acknowledged is lost. Nothing else: a read is of what has come to this
//! node, so it is neither linearizable nor sequential.

use super::{Place, Scheme, Ticket, Turn};
use crate::systems::demo::protocol::{Answer, Call, Key, Refusal};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often a node tells another one what it knows.
pub const GOSSIP_EVERY: Duration = Duration::from_millis(20);

/// A state that can be merged with others of its kind.
pub trait Join: Clone + Default + PartialEq + Send + Serialize + DeserializeOwned + 'static {
    /// Takes in what another state knows. Associative, commutative and idempotent.
    fn join(&mut self, other: &Self);

    /// What an op of a client adds to this state, as a state of its own; an error if this kind of object has no such op. `tag` is
    /// given to no other op of the cluster.
    ///
    /// # Errors
    /// Why nothing was done.
    fn act(&self, call: Call, tag: Tag) -> Result<Self, Refusal>;

    /// What a client reads.
    fn value(&self) -> serde_json::Value;
}

/// The name of an op: the node that took it, its life, and a number in that life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tag(pub usize, pub u64, pub u64);

/// The states of all keys, or of some.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "S: Join")]
pub struct States<S: Join>(BTreeMap<Key, S>);

/// A node.
#[derive(Debug)]
pub struct Gossip<S: Join> {
    place: Place,
    states: BTreeMap<Key, S>,
    serial: u64,
    /// The peer that hears next, counted on and on.
    next: usize,
    speak_at: Duration,
}

impl<S: Join> Gossip<S> {
    /// A node that knows nothing.
    pub fn new(place: Place) -> Gossip<S> {
        Gossip { place, states: BTreeMap::new(), serial: 0, next: place.index, speak_at: Duration::ZERO }
    }

    fn update(&mut self, key: Key, call: Call, turn: &mut Turn<Gossip<S>>) -> Answer {
        self.serial += 1;
        let state = self.states.entry(key).or_default();
        match state.act(call, Tag(self.place.index, self.place.boot, self.serial)) {
            Err(refusal) => Answer::Fail(refusal),
            Ok(news) => {
                state.join(&news);
                turn.record(States([(key, news)].into()));
                Answer::Ok(serde_json::Value::Null)
            }
        }
    }
}

impl<S: Join> Scheme for Gossip<S> {
    type Message = States<S>;
    type Record = States<S>;

    fn recover(&mut self, States(states): States<S>) {
        for (key, state) in &states {
            self.states.entry(*key).or_default().join(state);
        }
    }

    fn snapshot(&self) -> Vec<States<S>> {
        vec![States(self.states.clone())]
    }

    fn is_data(_: &States<S>) -> bool {
        true
    }

    fn call(&mut self, ticket: Ticket, call: Call, turn: &mut Turn<Gossip<S>>) {
        let answer = match call {
            Call::Read { key } => Answer::Ok(self.states.get(&key).cloned().unwrap_or_default().value()),
            Call::Add { key, .. } | Call::Remove { key, .. } => self.update(key, call, turn),
            _ => Answer::Fail(Refusal::NotOffered),
        };
        turn.answer(ticket, answer);
    }

    /// What is news is kept: a node that has shown something goes on showing it in its next life.
    fn receive(&mut self, _: usize, States(states): States<S>, turn: &mut Turn<Gossip<S>>) {
        let mut news = BTreeMap::new();
        for (key, state) in states {
            let mine = self.states.entry(key).or_default();
            let before = mine.clone();
            mine.join(&state);
            if *mine != before {
                news.insert(key, state);
            }
        }
        if !news.is_empty() {
            turn.record(States(news));
        }
    }

    fn tick(&mut self, turn: &mut Turn<Gossip<S>>) {
        if turn.now() < self.speak_at || self.place.nodes < 2 || self.states.is_empty() {
            return;
        }
        self.speak_at = turn.now() + GOSSIP_EVERY;
        self.next = (self.next + 1) % self.place.nodes;
        if self.next == self.place.index {
            self.next = (self.next + 1) % self.place.nodes;
        }
        turn.send(self.next, States(self.states.clone()));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Three replicas take random ops and random states of each other, in any order, lost or repeated; afterwards all states are
    /// joined in two orders. Whatever the way, the end is the same, and joining again changes nothing. Returns what is read then.
    pub(in crate::systems::demo::scheme) fn converges<S: Join + std::fmt::Debug>(
        seed: u64,
        call: impl Fn(&mut ChaCha8Rng) -> Call,
    ) -> Vec<serde_json::Value> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut replicas = vec![S::default(); 3];
        for serial in 0..40 {
            let (to, from) = (rng.random_range(0..3), rng.random_range(0..3));
            if rng.random_bool(0.5) {
                let other = replicas[from].clone();
                replicas[to].join(&other);
            } else if let Ok(news) = replicas[to].act(call(&mut rng), Tag(to, 1, serial)) {
                replicas[to].join(&news);
            }
        }
        let joined = |order: [usize; 4]| {
            order.iter().fold(S::default(), |mut all, &replica| {
                all.join(&replicas[replica]);
                all
            })
        };
        let all = joined([0, 1, 2, 2]);
        assert_eq!(all, joined([2, 1, 0, 1]));
        for mut replica in replicas {
            replica.join(&all);
            assert_eq!(replica, all);
        }
        vec![all.value()]
    }
}
