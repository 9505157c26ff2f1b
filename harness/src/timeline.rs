//! The phases of a run and the faults in it, by the run's clock.

/// The function of the event at which a phase begins. Its value is the phase's name.
pub const PHASE: &str = "phase";

/// A stretch of the run. Nanoseconds of the run's clock, which is zero when the first client may ask; set-up is before zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseSpan {
    /// Which.
    pub phase: Phase,
    /// Its start.
    pub from_ns: i64,
    /// Its end; `None` if the run was cut off in it.
    pub to_ns: Option<i64>,
}

/// The phases of a run, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Teardown, install, start, wait until the cluster answers.
    Setup,
    /// Clients ask while faults come and go.
    Main,
    /// Faults are healed; the cluster recovers.
    Recovery,
    /// Each thread reads until it is answered.
    FinalReads,
}

impl Phase {
    /// The name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Setup => "setup",
            Phase::Main => "main",
            Phase::Recovery => "recovery",
            Phase::FinalReads => "final-reads",
        }
    }
}

/// One fault, from its injection to its recovery.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultWindow {
    /// Its name on the command line: `partition`.
    pub fault: String,
    /// In words: `n1 n3 | n2 n4 n5`.
    pub what: String,
    /// The nodes that were hurt, by name.
    pub nodes: Vec<String>,
    /// When the nemesis began to inject it, in nanoseconds of the run's clock.
    pub from_ns: i64,
    /// When it had been injected and looked at; `None` if the run was cut off before.
    pub injected_ns: Option<i64>,
    /// When it was gone; `None` if the recording ends before.
    pub to_ns: Option<i64>,
    /// Whether it was seen, from outside what injected it, to have taken effect.
    pub observed: bool,
    /// What was seen; why it had no effect, if it had none.
    pub seen: String,
    /// Whether it was seen to be gone afterwards; `None` if nobody looked.
    pub recovered: Option<bool>,
    /// For partitions: the groups of nodes that still hear each other, the first of them the smaller side. Empty for other
    /// faults, and for grudges that do not form groups (one-way, rings).
    pub groups: Vec<Vec<String>>,
    /// What was read of clocks, when it was injected and when it was gone, in order of time for each node.
    pub clocks: Vec<ClockReading>,
    /// Those that said that they lead just before, by name; `None` if nobody was asked, or not all answered in time.
    pub leaders: Option<Vec<String>>,
    /// Further facts the nemesis noted, in words.
    pub facts: Vec<(String, String)>,
}

/// A reading of the time that processes of a node are told, beside the node's own clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// The node, by name.
    pub node: String,
    /// When, in nanoseconds of the run's clock.
    pub at_ns: i64,
    /// How far it was ahead, in nanoseconds; behind, if negative.
    pub ahead_ns: i64,
    /// How far this may be off.
    pub error_ns: i64,
}
