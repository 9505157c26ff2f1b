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
pub mod quorum;

/// The replication schemes, as the command line names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replication {
    /// [`quorum`] with repair: linearizable.
    #[default]
    Quorum,
    /// [`quorum`] without repair: not linearizable.
    QuorumNoRepair,
    /// [`async_primary`]: not linearizable.
    AsyncPrimary,
}

impl Replication {
    /// All of them.
    pub const ALL: &[Replication] = &[Replication::Quorum, Replication::QuorumNoRepair, Replication::AsyncPrimary];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Replication::Quorum => "quorum",
            Replication::QuorumNoRepair => "quorum-no-repair",
            Replication::AsyncPrimary => "async-primary",
        }
    }

    /// The scheme with this name.
    pub fn by_name(name: &str) -> Option<Replication> {
        Replication::ALL.iter().copied().find(|replication| replication.name() == name)
    }

    /// What it does, in a few words.
    pub fn describe(self) -> &'static str {
        match self {
            Replication::Quorum => "leaderless majorities, readers write back what they found",
            Replication::QuorumNoRepair => "leaderless majorities, readers do not write back",
            Replication::AsyncPrimary => "one primary takes writes, followers answer reads and lag",
        }
    }

    /// Whether one node leads the others.
    pub fn has_primary(self) -> bool {
        self == Replication::AsyncPrimary
    }

    /// Whether clients can ask for `f`.
    pub fn offers(self, f: &str) -> bool {
        match f {
            "read" | "write" => true,
            "cas" => self == Replication::AsyncPrimary,
            _ => false,
        }
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
        Turn { now, index, records: Vec::new(), sends: Vec::new(), answers: Vec::new(), to_self: VecDeque::new() }
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
