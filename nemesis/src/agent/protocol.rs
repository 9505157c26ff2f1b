//! What the harness and the agent on a node say to each other: one JSON object per line.
//!
//! The agent speaks first: a [`Greeting`]. Then each [`Question`] gets one [`Answer`] with its id, in any order: long requests
//! do not hold up short ones.

pub mod clock;
pub mod damage;
pub mod disk;
pub mod group;
pub mod options;
pub mod snapshot;
pub mod touch;
pub mod traffic;

use crate::command::{Command, Ending, Output, ProcessState, Program, bytes};
use clock::{Reading, Skew, SystemReading};
use damage::{Change, Plan};
use disk::DiskHarm;
use group::Resource;
use serde::{Deserialize, Serialize};
use snapshot::Snapshot;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use touch::Touch;
use traffic::{Echoes, Measured, Shape};

/// The argument with which an agent says nothing, does nothing and succeeds: to see whether it can be run.
pub const HELLO: &str = "--hello";

/// The version of this protocol. An agent is the same build as the harness that uploads it, so a difference means that the
/// wrong program was started.
pub const VERSION: u32 = 1;

/// The longest line either side accepts.
pub const LINE_BYTES_MAX: usize = 4 << 20;

/// The most data of a file in one line.
pub const CHUNK_BYTES_MAX: usize = 256 << 10;

/// The agent's first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Greeting {
    /// At work.
    RashomonAgent(About),
    /// It will not work here; it has exited. The text says why and what to do.
    RashomonRefusal(String),
}

/// What the agent knows of its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// [`VERSION`].
    pub protocol: u32,
    /// The agent's process id.
    pub pid: u32,
    /// The user it runs as.
    pub uid: u32,
    /// Its directory: everything it and the database write is below.
    pub directory: String,
    /// The node's own addresses, without loopback and link-local ones.
    pub addresses: Vec<IpAddr>,
    /// The UDP port on which it hears probes.
    pub probe_port: u16,
    /// The number that its kernel gave itself when it booted: others that live on it have the same.
    pub boot: String,
    /// Where its control node talks to it from, if it was started over SSH.
    pub control: Option<IpAddr>,
    /// What it undid of an earlier run whose agent had been killed.
    pub undone: Vec<Undone>,
}

/// A fault that was undone, or could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The fault, in words.
    pub what: String,
    /// Why it could not be undone; `None` if it was.
    pub error: Option<String>,
}

/// A request with its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Chosen by the harness, distinct while in flight.
    pub id: u64,
    /// What is asked.
    pub ask: Request,
}

/// What the harness can ask. Paths are absolute or relative to the agent's directory; what is written or removed must lie
/// below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// A heartbeat.
    Ping,
    /// Run a command to its end.
    Run(Command),
    /// Write a part of a new file, next to its final place.
    Write {
        /// The file.
        path: String,
        /// Where the data goes; 0 starts anew.
        offset: u64,
        /// At most [`CHUNK_BYTES_MAX`].
        #[serde(with = "bytes")]
        data: Vec<u8>,
    },
    /// Put what was written in its place.
    Finish {
        /// The file.
        path: String,
        /// How long it must be by now.
        size: u64,
        /// Its permissions.
        mode: u32,
    },
    /// Read a part of a file.
    Read {
        /// The file.
        path: String,
        /// From here, at most [`CHUNK_BYTES_MAX`].
        offset: u64,
    },
    /// Remove a file or a directory with all below it. No harm if it is not there.
    RemoveTree {
        /// What to remove.
        path: String,
    },
    /// Copy what is there of files and directories into one compressed file.
    Pack {
        /// What to copy.
        paths: Vec<String>,
        /// Where to, below the agent's directory; what is there is replaced.
        to: String,
        /// How large it may become.
        bytes_max: u64,
    },
    /// Start a program. No harm if it runs.
    Start(Program),
    /// Kill a program for good: not a fault, not undone.
    Stop {
        /// Its name.
        name: String,
    },
    /// Kill a program as a fault: undone by starting it again.
    Kill {
        /// Its name.
        name: String,
    },
    /// End a program by SIGTERM as a fault: undone by starting it again.
    Terminate {
        /// Its name.
        name: String,
    },
    /// Note that the whole host is about to lose its power: after it, the program is to be started again.
    ExpectCrash {
        /// The program's name.
        name: String,
    },
    /// What tells a program's process from the one after a restart.
    Incarnation {
        /// Its name.
        name: String,
    },
    /// SIGSTOP, undone by SIGCONT.
    Pause {
        /// The program's name.
        name: String,
    },
    /// SIGCONT.
    Resume {
        /// The program's name.
        name: String,
    },
    /// Make a program's clock wrong: undone by putting back what was there.
    Skew {
        /// The program's name.
        name: String,
        /// In what way; none at all only prepares it to be read.
        skew: Skew,
    },
    /// Read a program's clock.
    ReadClock {
        /// The program's name.
        name: String,
    },
    /// Make a program's clock its own again.
    RestoreClock {
        /// The program's name.
        name: String,
    },
    /// See whether the node's own clock may be set, and by what it is kept right: an error says why not.
    TrySystemClock {
        /// The boots of the control node and of all other nodes: one that is ours, too, shares this kernel.
        others: Vec<String>,
    },
    /// Make the node's own clock wrong: undone by setting it right and starting its time daemon.
    SkewSystemClock {
        /// In what way; none at all stops the time daemon and prepares the clock to be read.
        skew: Skew,
        /// As in [`Request::TrySystemClock`].
        others: Vec<String>,
    },
    /// Read how far the node's own clock is off because of us.
    ReadSystemClock,
    /// Set the node's own clock right, and start its time daemon.
    RestoreSystemClock,
    /// Make a small disk as a program may have for itself, and remove it: an error where that cannot be done.
    TryDisk {
        /// How large a real one would be.
        bytes: u64,
    },
    /// Hurt a program's own disk: undone by what [`Request::HealDisk`] does.
    HurtDisk {
        /// The program's name.
        name: String,
        /// In what way.
        harm: DiskHarm,
    },
    /// Put a program's own disk right, and start the program if it ended because of it.
    HealDisk {
        /// The program's name.
        name: String,
    },
    /// Make control groups and remove them: an error where that cannot be done.
    TryGroups {
        /// Their name.
        name: String,
    },
    /// Give a program less than it wants: undone by what [`Request::Release`] does.
    Squeeze {
        /// The program's name.
        name: String,
        /// Of what.
        resource: Resource,
        /// The share that is left, of the memory in use or of one processor.
        thousandths: u32,
    },
    /// Give a program all it wants again, and start it if it ended because of that.
    Release {
        /// The program's name.
        name: String,
        /// Of what.
        resource: Resource,
    },
    /// Where the kernel tells what a group uses.
    UsageFiles {
        /// The group's name.
        name: String,
        /// Of what.
        resource: Resource,
    },
    /// Kill a program as a fault, and say how its files would be damaged.
    PlanDamage {
        /// The program's name.
        name: String,
        /// Which files, and how.
        plan: Plan,
    },
    /// Damage a killed program's files and start it: undone by what [`Request::Repair`] does.
    Damage {
        /// The program's name.
        name: String,
        /// As planned.
        changes: Vec<Change>,
    },
    /// Kill a program, put its files right and start it.
    Repair {
        /// The program's name.
        name: String,
    },
    /// How a program ended when nobody of ours had ended it.
    Endings {
        /// Its name.
        name: String,
    },
    /// Look at a program.
    State {
        /// Its name.
        name: String,
    },
    /// Drop all packets from these addresses and no others.
    DropFrom {
        /// The addresses; none removes every trace.
        addresses: Vec<IpAddr>,
    },
    /// Shape all packets to these addresses and no others.
    Shape {
        /// The addresses; none removes every trace.
        addresses: Vec<IpAddr>,
        /// What happens to them.
        shape: Shape,
        /// What decides what happens to which.
        seed: u64,
    },
    /// Send datagrams that the other agent sends back, and sum up what came.
    Echo {
        /// Where to.
        to: SocketAddr,
        /// Tells these from others.
        nonce: u64,
        /// How many, how long, how often.
        echoes: Echoes,
    },
    /// Send a few datagrams with this number.
    ProbeSend {
        /// Where to.
        to: SocketAddr,
        /// The number.
        nonce: u64,
    },
    /// Wait for a datagram with this number.
    ProbeHeard {
        /// The number.
        nonce: u64,
        /// How long.
        within: Duration,
    },
    /// Look at everything that a run may touch.
    Snapshot,
    /// Read the node's clock.
    Time,
    /// A run begins: forget what the one before touched.
    BeginFootprint,
    /// What the run touched.
    Footprint,
    /// Undo every fault now.
    Heal,
    /// Undo every fault and exit.
    Bye,
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The question's number; `None` if the line was not a question at all.
    pub id: Option<u64>,
    /// What came of it.
    pub outcome: Outcome,
}

/// Done, or why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Done.
    Done(Reply),
    /// Not done; the text says why and what to do.
    Failed(String),
}

/// The answers to what can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Nothing more to say.
    Nothing,
    /// What came of a command.
    Output(Output),
    /// A part of a file.
    Chunk {
        /// The data.
        #[serde(with = "bytes")]
        data: Vec<u8>,
        /// Whether the file ends here.
        end: bool,
    },
    /// How many files and directories were copied.
    Packed(u64),
    /// What a program does.
    State(ProcessState),
    /// How it ended.
    Endings(Vec<Ending>),
    /// What the clocks of a program's processes say.
    Clock(Vec<Reading>),
    /// What the node's own clock says.
    SystemClock(SystemReading),
    /// What keeps it right, by name.
    TimeDaemons(Vec<String>),
    /// What tells a program's process from others; `None` if it is down.
    Incarnation(Option<String>),
    /// Whether a probe was heard.
    Heard(bool),
    /// What came back of datagrams.
    Echoed(Measured),
    /// Three files: a limit, what is used, how often the limit was reached.
    Paths([String; 3]),
    /// How files would be damaged.
    Changes(Vec<Change>),
    /// What the node is like.
    Snapshot(Snapshot),
    /// The node's clock, in nanoseconds since 1970.
    Time(i64),
    /// What the run touched.
    Footprint(Vec<Touch>),
    /// What was undone.
    Undone(Vec<Undone>),
}
