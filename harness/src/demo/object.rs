//! What clients take a scheme of the demo store for.

use checker::Consistency::{self, Eventual, Linearizable};
use checker::NilRead;

/// What clients take a scheme for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// Registers with unique values, many of them.
    Register,
    /// Registers with compare-and-set.
    CasRegister,
    /// Replicated counters that only grow.
    GCounter,
    /// Replicated counters.
    PnCounter,
    /// Replicated sets that only grow.
    GSet,
    /// Replicated sets whose removals are final.
    TwoPhaseSet,
    /// Replicated sets whose removals remove what they saw.
    OrSet,
    /// Registers that a lock guards.
    Guarded,
    /// Locks.
    Mutex,
}

impl Object {
    /// The name of its model.
    pub fn model(self) -> &'static str {
        match self {
            Object::Register => "register",
            Object::CasRegister | Object::Guarded => "cas-register",
            Object::GCounter => "g-counter",
            Object::PnCounter => "pn-counter",
            Object::GSet => "g-set",
            Object::TwoPhaseSet => "2p-set",
            Object::OrSet => "or-set",
            Object::Mutex => "mutex",
        }
    }

    /// What its histories are checked against.
    pub fn options(self) -> checker::Options {
        let options = checker::Options { model: self.model().into(), keyed: Some(true), ..checker::Options::default() };
        // A key that was never written is found missing.
        let nil_read = match self {
            Object::Register | Object::CasRegister | Object::Guarded | Object::GSet | Object::TwoPhaseSet | Object::OrSet => {
                Some(NilRead::Missing)
            }
            Object::GCounter | Object::PnCounter | Object::Mutex => None,
        };
        checker::Options { nil_read, ..options }
    }

    /// Whether a consistency model can be asked of it.
    pub fn is_asked(self, consistency: Consistency) -> bool {
        match self {
            Object::Register | Object::CasRegister => true,
            Object::Mutex => consistency == Linearizable,
            _ => matches!(consistency, Linearizable | Eventual),
        }
    }
}
