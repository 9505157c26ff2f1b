//! The anomalies of transactions, by their names in Adya's thesis and in Elle.

use super::isolation::{Isolation, Keeps};
use serde::{Serialize, Serializer};

/// What a history shows that a level forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Anomaly {
    /// A value was read that nobody wrote.
    GarbageRead,
    /// A list was read in which an element stands twice.
    DuplicateElements,
    /// A transaction does not read what it wrote before.
    Internal,
    /// A transaction reads two versions of a key that it did not write between.
    Repeated,
    /// A transaction reads what it writes only later.
    FutureRead,
    /// A list was read in which the appends of one transaction do not stand in their order.
    CyclicVersions,
    /// Two transactions read the same version of a key, and both replaced it.
    LostUpdate,
    /// What was committed stands on what was aborted.
    DirtyUpdate,
    /// Two lists were read of which neither is the beginning of the other.
    IncompatibleOrder,
    /// A value was read whose transaction aborted.
    G1a,
    /// A value was read that its transaction replaced before it ended.
    G1b,
    /// A cycle of dependencies.
    Cycle(Cycle),
    /// An earlier read saw a later transaction than a later read of a key that this one writes.
    NonmonotonicRead,
    /// A transaction saw a part of another only.
    FracturedRead,
    /// A read missed a write that causally precedes it.
    CausalityViolation,
    /// No order of commits explains who read what; no single cycle of dependencies shows it.
    NoOrder,
}

/// A cycle of dependencies: of which kinds, and whether an order of whole transactions is a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cycle {
    /// The name without a suffix.
    pub shape: Shape,
    /// Which order takes part.
    pub order: Keeps,
}

/// Of which kinds the dependencies of a cycle are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// Writes only.
    G0,
    /// Writes and reads of what was written.
    G1c,
    /// One of them is an anti-dependency.
    GSingle,
    /// Several are, of which no two follow each other.
    GNonadjacent,
    /// Several are.
    G2,
}

impl Anomaly {
    /// The name, as Elle writes it.
    pub fn name(self) -> &'static str {
        match self {
            Anomaly::GarbageRead => "garbage-read",
            Anomaly::DuplicateElements => "duplicate-elements",
            Anomaly::Internal | Anomaly::Repeated => "internal",
            Anomaly::FutureRead => "future-read",
            Anomaly::CyclicVersions => "cyclic-versions",
            Anomaly::LostUpdate => "lost-update",
            Anomaly::DirtyUpdate => "dirty-update",
            Anomaly::IncompatibleOrder => "incompatible-order",
            Anomaly::G1a => "G1a",
            Anomaly::G1b => "G1b",
            Anomaly::NonmonotonicRead => "nonmonotonic-read",
            Anomaly::FracturedRead => "fractured-read",
            Anomaly::CausalityViolation => "causality-violation",
            Anomaly::NoOrder => "no-order",
            Anomaly::Cycle(cycle) => cycle.name(),
        }
    }

    /// Whether a level forbids it. (Of cycles: see `graph`.)
    pub(crate) fn is_forbidden_by(self, level: Isolation) -> bool {
        match self {
            Anomaly::IncompatibleOrder | Anomaly::G1a | Anomaly::G1b => level != Isolation::ReadUncommitted,
            Anomaly::Repeated => {
                !matches!(level, Isolation::ReadUncommitted | Isolation::ReadCommitted | Isolation::StrongSessionReadCommitted)
            }
            Anomaly::GarbageRead
            | Anomaly::DuplicateElements
            | Anomaly::Internal
            | Anomaly::FutureRead
            | Anomaly::CyclicVersions
            | Anomaly::LostUpdate
            | Anomaly::DirtyUpdate
            | Anomaly::Cycle(_)
            | Anomaly::NonmonotonicRead
            | Anomaly::FracturedRead
            | Anomaly::CausalityViolation
            | Anomaly::NoOrder => true,
        }
    }
}

impl Cycle {
    fn name(self) -> &'static str {
        match (self.shape, self.order) {
            (Shape::G0, Keeps::Data) => "G0",
            (Shape::G0, Keeps::Sessions) => "G0-process",
            (Shape::G0, Keeps::RealTime) => "G0-realtime",
            (Shape::G1c, Keeps::Data) => "G1c",
            (Shape::G1c, Keeps::Sessions) => "G1c-process",
            (Shape::G1c, Keeps::RealTime) => "G1c-realtime",
            (Shape::GSingle, Keeps::Data) => "G-single-item",
            (Shape::GSingle, Keeps::Sessions) => "G-single-item-process",
            (Shape::GSingle, Keeps::RealTime) => "G-single-item-realtime",
            (Shape::GNonadjacent, Keeps::Data) => "G-nonadjacent-item",
            (Shape::GNonadjacent, Keeps::Sessions) => "G-nonadjacent-item-process",
            (Shape::GNonadjacent, Keeps::RealTime) => "G-nonadjacent-item-realtime",
            (Shape::G2, Keeps::Data) => "G2-item",
            (Shape::G2, Keeps::Sessions) => "G2-item-process",
            (Shape::G2, Keeps::RealTime) => "G2-item-realtime",
        }
    }
}

impl Serialize for Anomaly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
