//! What a replication scheme is: a state machine at each node, fed with calls, messages and time.
//!
//! A scheme does no input or output. It is told what happened in a [`Turn`] and leaves there what it wants done: records to be
//! kept on disk, messages to be sent, calls to be answered. Whoever drives it (the node process, or the simulation in the
//! tests) owes it two things:
//!
//! - **Nothing leaves a node before the records of its turn are on disk.** A scheme may therefore act on what it has just
//!   recorded: no other node and no client can see a state that a crash would undo.
//! - Links lose, delay and reorder messages. They never alter, invent or repeat one. A message a node sends to itself arrives,
//!   in the same turn.
//!
//! After a crash a node starts as a new scheme that is fed with the records kept, in order, and with a greater
//! [`Place::boot`]. Everything else it knew is gone.

use super::protocol::{Answer, Call};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::VecDeque;
use std::time::Duration;

pub mod async_primary;
pub mod causal;
pub mod counters;
pub mod gossip;
pub mod lease_lock;
pub mod multi_leader;
pub mod quorum;
pub mod sets;
pub mod sloppy_quorum;
pub mod sync_primary;
pub mod total_order;

/// The replication schemes, as the command line names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replication {
    /// [`quorum`] with repair.
    #[default]
    Quorum,
    /// [`quorum`] without repair.
    QuorumNoRepair,
    /// [`sloppy_quorum`].
    SloppyQuorum,
    /// [`async_primary`].
    AsyncPrimary,
    /// [`sync_primary`].
    SyncPrimary,
    /// [`multi_leader`].
    MultiLeader,
    /// [`total_order`], read at each node.
    TotalOrder,
    /// [`total_order`], read through the log.
    TotalOrderReads,
    /// [`causal`].
    CausalBroadcast,
    /// [`causal`], with one winner of concurrent writes.
    CausalConvergent,
    /// [`counters::GrowOnly`].
    GCounter,
    /// [`counters::UpDown`].
    PnCounter,
    /// [`sets::GrowOnly`].
    GSet,
    /// [`sets::TwoPhase`].
    TwoPhaseSet,
    /// [`sets::ObservedRemove`].
    OrSet,
    /// [`lease_lock`] without fencing tokens.
    LeaseLock,
    /// [`lease_lock`] with them.
    FencedLock,
}

/// What the command line and the harness know of a scheme.
#[derive(Clone, Copy)]
struct Facts {
    replication: Replication,
    name: &'static str,
    describe: &'static str,
    /// What clients can ask for.
    offers: &'static [&'static str],
    /// Whether one node leads the others.
    has_primary: bool,
}

const fn facts(replication: Replication, name: &'static str, describe: &'static str, offers: &'static [&'static str]) -> Facts {
    Facts { replication, name, describe, offers, has_primary: false }
}

const fn led(facts: Facts) -> Facts {
    Facts { has_primary: true, ..facts }
}

const REGISTER: &[&str] = &["read", "write"];
const CAS_REGISTER: &[&str] = &["read", "write", "cas"];

/// In the order of [`Replication`].
const FACTS: [Facts; 17] = [
    facts(Replication::Quorum, "quorum", "leaderless majorities, readers write back what they found", REGISTER),
    facts(Replication::QuorumNoRepair, "quorum-no-repair", "leaderless majorities, readers do not write back", REGISTER),
    facts(Replication::SloppyQuorum, "sloppy-quorum", "quorums of whoever can be reached, with hinted hand-off", REGISTER),
    led(facts(Replication::AsyncPrimary, "async-primary", "one primary takes writes, followers answer reads and lag", CAS_REGISTER)),
    led(facts(Replication::SyncPrimary, "sync-primary", "one primary answers when every backup has the write", CAS_REGISTER)),
    facts(Replication::MultiLeader, "multi-leader", "every node takes writes, the last by wall clock wins", REGISTER),
    led(facts(Replication::TotalOrder, "total-order", "a replicated log, read at each node", CAS_REGISTER)),
    led(facts(Replication::TotalOrderReads, "total-order-reads", "a replicated log, and reads go through it", CAS_REGISTER)),
    facts(Replication::CausalBroadcast, "causal-broadcast", "writes are delivered in causal order", REGISTER),
    facts(Replication::CausalConvergent, "causal-convergent", "in causal order, and one of concurrent writes wins everywhere", REGISTER),
    facts(Replication::GCounter, "g-counter", "a counter that grows, by gossip", &["read", "add"]),
    facts(Replication::PnCounter, "pn-counter", "a counter that goes up and down, by gossip", &["read", "add"]),
    facts(Replication::GSet, "g-set", "a set that grows, by gossip", &["read", "add"]),
    facts(Replication::TwoPhaseSet, "2p-set", "a set whose removals are final, by gossip", &["read", "add", "remove"]),
    facts(Replication::OrSet, "or-set", "a set whose removals remove what they saw, by gossip", &["read", "add", "remove"]),
    facts(
        Replication::LeaseLock,
        "lease-lock",
        "a register guarded by a lock with a lease",
        &["read", "write", "cas", "acquire", "release"],
    ),
    facts(
        Replication::FencedLock,
        "fenced-lock",
        "the same, and the register checks fencing tokens",
        &["read", "write", "cas", "acquire", "release"],
    ),
];

impl Replication {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Replication> {
        FACTS.iter().map(|facts| facts.replication)
    }

    fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The scheme with this name.
    pub fn by_name(name: &str) -> Option<Replication> {
        Replication::all().find(|replication| replication.name() == name)
    }

    /// What it does, in a few words.
    pub fn describe(self) -> &'static str {
        self.facts().describe
    }

    /// Whether one node leads the others.
    pub fn has_primary(self) -> bool {
        self.facts().has_primary
    }

    /// Whether clients can ask for `f`.
    pub fn offers(self, f: &str) -> bool {
        self.facts().offers.contains(&f)
    }
}

/// One replication scheme at one node.
pub trait Scheme: Send + Sized + 'static {
    /// What its nodes say to each other.
    type Message: Serialize + DeserializeOwned + Clone + Send;
    /// What it keeps on disk.
    type Record: Serialize + DeserializeOwned;

    /// Takes a record of an earlier life. Called before anything else.
    fn recover(&mut self, record: Self::Record);

    /// The fewest records that recover the present state: the log is rewritten with them when it has grown too long.
    fn snapshot(&self) -> Vec<Self::Record>;

    /// Whether a message carries data to be stored, rather than a question or a word of thanks. Links are slower for those.
    fn is_data(message: &Self::Message) -> bool;

    /// A client calls. The scheme answers in this turn or in a later one, exactly once, whatever the links do.
    fn call(&mut self, ticket: Ticket, call: Call, turn: &mut Turn<Self>);

    /// A message arrived.
    fn receive(&mut self, from: usize, message: Self::Message, turn: &mut Turn<Self>);

    /// Time has passed. Called every [`TICK`] or so.
    fn tick(&mut self, turn: &mut Turn<Self>);

    /// Whether this node leads. Schemes without a leader never do.
    fn leads(&self) -> bool {
        false
    }
}

/// How often [`Scheme::tick`] is called, at least, unless the node is paused or the machine overloaded.
pub const TICK: Duration = Duration::from_millis(10);

/// The most nodes of one cluster: what a [`NodeSet`] holds.
pub const NODES_MAX: usize = 64;

/// Where a scheme runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The index of this node.
    pub index: usize,
    /// The number of nodes.
    pub nodes: usize,
    /// How many times this node has been started, this time included. Greater than in every earlier life.
    pub boot: u64,
}

impl Place {
    /// The least number of nodes of which any two sets intersect.
    pub fn majority(&self) -> usize {
        self.nodes / 2 + 1
    }

    /// All other nodes.
    pub fn peers(&self) -> impl Iterator<Item = usize> + use<> {
        let index = self.index;
        (0..self.nodes).filter(move |&node| node != index)
    }
}

/// A client's call in progress at one node in one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// One turn: what a scheme knows of the world, and what it wants done.
#[derive(Debug)]
pub struct Turn<S: Scheme> {
    now: Duration,
    wall_ms: i64,
    index: usize,
    /// To be on disk before anything below happens.
    pub records: Vec<S::Record>,
    /// Messages to other nodes.
    pub sends: Vec<(usize, S::Message)>,
    /// Answers to calls.
    pub answers: Vec<(Ticket, Answer)>,
    to_self: VecDeque<S::Message>,
}

impl<S: Scheme> Turn<S> {
    /// An empty turn of the node with this index, at a time since its life began, by a clock that never goes back.
    pub fn new(index: usize, now: Duration) -> Turn<S> {
        Turn { now, wall_ms: 0, index, records: Vec::new(), sends: Vec::new(), answers: Vec::new(), to_self: VecDeque::new() }
    }

    /// The same turn, at a time of the node's wall clock.
    #[must_use]
    pub fn at(self, wall_ms: i64) -> Turn<S> {
        Turn { wall_ms, ..self }
    }

    /// Milliseconds since 1970 by the node's wall clock, which may be wrong, jump, and go back.
    pub fn wall_ms(&self) -> i64 {
        self.wall_ms
    }

    /// The time since this life began.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Keeps a record.
    pub fn record(&mut self, record: S::Record) {
        self.records.push(record);
    }

    /// Sends a message to a node, which may be this one.
    pub fn send(&mut self, to: usize, message: S::Message) {
        if to == self.index {
            self.to_self.push_back(message);
        } else {
            self.sends.push((to, message));
        }
    }

    /// Answers a call.
    pub fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.answers.push((ticket, answer));
    }

    /// Hands the node the messages that it sent to itself, and those that it sends itself on hearing them.
    pub fn deliver_to_self(&mut self, scheme: &mut S) {
        while let Some(message) = self.to_self.pop_front() {
            scheme.receive(self.index, message, self);
        }
    }
}

/// A set of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeSet(u64);

impl NodeSet {
    /// A set of one.
    pub fn of(node: usize) -> NodeSet {
        let mut set = NodeSet::default();
        set.insert(node);
        set
    }

    /// Adds a node; no harm if it is in.
    pub fn insert(&mut self, node: usize) {
        debug_assert!(node < NODES_MAX);
        self.0 |= 1 << node;
    }

    /// Whether a node is in.
    pub fn contains(self, node: usize) -> bool {
        self.0 >> node & 1 == 1
    }

    /// The number of nodes in it.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_is_found_by_its_name() {
        for replication in Replication::all() {
            assert_eq!(Replication::by_name(replication.name()), Some(replication));
            assert_eq!(replication.facts().replication, replication, "the table is in the order of the names");
            assert!(replication.offers("read") && !replication.offers("fly"));
        }
        assert_eq!(Replication::by_name("raid"), None);
    }
}
