//! The rows of the demo's table: each scheme with what it should come out as, and why is told where the scheme is.
//!
//! A row says all there is to say: of every model that can be asked of its object, it follows from the row whether it is kept. What
//! is kept is kept by design, under every fault of the scene. What is not kept is shown every time, because the scene hurts the
//! scheme where it is weak and goes on until the clients have seen it. Replicated data types are judged by their own definition, and where
//! two of them could be taken for each other, the scene shows that they cannot.

use super::object::Object;
use super::stage::{Cast, Stage};
use super::{Kept, scenes};
use checker::Consistency;
use rand_chacha::ChaCha8Rng;
use workloads::systems::demo::Replication;

/// One row.
#[derive(Debug)]
pub struct Row {
    /// Its name: the scheme's, and how it is used if that matters.
    pub name: &'static str,
    /// The scheme.
    pub replication: Replication,
    /// What is asked of it.
    pub object: Object,
    /// The number of nodes.
    pub nodes: usize,
    /// What happens to them, in words.
    pub faults: &'static str,
    /// The strongest models that it keeps.
    pub keeps: &'static [Consistency],
    /// The weakest that it does not.
    pub breaks: &'static [Consistency],
    /// Objects that it cannot be taken for: as one of these it is not even eventual.
    pub unlike: &'static [Object],
    /// What happens.
    pub(super) scene: fn(&Stage, &mut ChaCha8Rng) -> anyhow::Result<()>,
}

impl Row {
    /// The row with this name.
    pub fn by_name(name: &str) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.name == name)
    }

    /// What the stage is opened for.
    pub(super) fn cast(&self) -> Cast {
        Cast { name: self.name, replication: self.replication, object: self.object, nodes: self.nodes }
    }

    /// What it should come out as.
    pub fn expected(&self) -> Kept {
        let in_order = |models: &[Consistency]| Consistency::ALL.into_iter().filter(|model| models.contains(model)).collect();
        Kept { keeps: in_order(self.keeps), breaks: in_order(self.breaks), unlike: self.unlike.to_vec() }
    }
}

use Consistency::{
    Causal, CausalConvergence, CausalMemory, Eventual, Linearizable, MonotonicReads, MonotonicWrites, Pram, ReadYourWrites, Sequential,
    WritesFollowReads,
};

/// Every fault once while clients on all nodes ask: one node cut off, two nodes cut off, one killed, one paused.
const STORM: &str = "storm";

/// All rows, the strongest schemes first.
pub const ROWS: &[Row] = &[
    Row {
        name: "quorum",
        replication: Replication::Quorum,
        object: Object::Register,
        nodes: 3,
        faults: STORM,
        keeps: &[Linearizable],
        breaks: &[],
        unlike: &[],
        scene: scenes::storm_alone,
    },
    Row {
        name: "sync-primary",
        replication: Replication::SyncPrimary,
        object: Object::CasRegister,
        nodes: 3,
        faults: STORM,
        keeps: &[Linearizable],
        breaks: &[],
        unlike: &[],
        scene: scenes::storm_alone,
    },
    Row {
        name: "total-order-reads",
        replication: Replication::TotalOrderReads,
        object: Object::CasRegister,
        nodes: 3,
        faults: STORM,
        keeps: &[Linearizable],
        breaks: &[],
        unlike: &[],
        scene: scenes::storm_alone,
    },
    Row {
        name: "total-order",
        replication: Replication::TotalOrder,
        object: Object::CasRegister,
        nodes: 3,
        faults: "a reader cut off, storm",
        keeps: &[Sequential, Eventual],
        breaks: &[Linearizable],
        unlike: &[],
        scene: scenes::total_order,
    },
    Row {
        name: "causal-broadcast",
        replication: Replication::CausalBroadcast,
        object: Object::Register,
        nodes: 3,
        faults: "partition, storm",
        keeps: &[CausalMemory],
        breaks: &[CausalConvergence, Eventual],
        unlike: &[],
        scene: scenes::causal_broadcast,
    },
    Row {
        name: "causal-convergent",
        replication: Replication::CausalConvergent,
        object: Object::Register,
        nodes: 3,
        faults: "partition, storm",
        keeps: &[CausalConvergence, ReadYourWrites, MonotonicReads, MonotonicWrites, WritesFollowReads, Eventual],
        breaks: &[Pram],
        unlike: &[],
        scene: scenes::causal_convergent,
    },
    Row {
        name: "multi-leader",
        replication: Replication::MultiLeader,
        object: Object::Register,
        nodes: 3,
        faults: "a clock an hour ahead; storm, wrong clocks",
        keeps: &[ReadYourWrites, MonotonicReads, MonotonicWrites, WritesFollowReads, Eventual],
        breaks: &[Causal, Pram],
        unlike: &[],
        scene: scenes::multi_leader,
    },
    Row {
        name: "quorum-no-repair",
        replication: Replication::QuorumNoRepair,
        object: Object::Register,
        nodes: 3,
        faults: "reads while a write is on its way, storm",
        keeps: &[ReadYourWrites, MonotonicWrites, WritesFollowReads],
        breaks: &[Causal, MonotonicReads, Eventual],
        unlike: &[],
        scene: scenes::quorum_no_repair,
    },
    Row {
        name: "async-primary-sticky",
        replication: Replication::AsyncPrimary,
        object: Object::Register,
        nodes: 3,
        faults: "reads at a follower that lags, storm",
        keeps: &[MonotonicReads, MonotonicWrites, WritesFollowReads, Eventual],
        breaks: &[Causal, ReadYourWrites],
        unlike: &[],
        scene: scenes::async_primary_sticky,
    },
    Row {
        name: "async-primary",
        replication: Replication::AsyncPrimary,
        object: Object::Register,
        nodes: 3,
        faults: "a follower cut off, clients that move, storm",
        keeps: &[MonotonicWrites, WritesFollowReads, Eventual],
        breaks: &[Causal, ReadYourWrites, MonotonicReads],
        unlike: &[],
        scene: scenes::async_primary,
    },
    Row {
        name: "sloppy-quorum",
        replication: Replication::SloppyQuorum,
        object: Object::Register,
        nodes: 5,
        faults: "homes cut off, then back, storm",
        keeps: &[MonotonicWrites, WritesFollowReads, Eventual],
        breaks: &[Causal, ReadYourWrites, MonotonicReads],
        unlike: &[],
        scene: scenes::sloppy_quorum,
    },
    Row {
        name: "g-counter",
        replication: Replication::GCounter,
        object: Object::GCounter,
        nodes: 3,
        faults: "partition, storm",
        keeps: &[Eventual],
        breaks: &[Linearizable],
        unlike: &[],
        scene: scenes::counter,
    },
    Row {
        name: "pn-counter",
        replication: Replication::PnCounter,
        object: Object::PnCounter,
        nodes: 3,
        faults: "partition, storm",
        keeps: &[Eventual],
        breaks: &[Linearizable],
        unlike: &[],
        scene: scenes::counter,
    },
    Row {
        name: "g-set",
        replication: Replication::GSet,
        object: Object::GSet,
        nodes: 3,
        faults: "partition, storm",
        keeps: &[Eventual],
        breaks: &[Linearizable],
        unlike: &[],
        scene: scenes::set,
    },
    Row {
        name: "2p-set",
        replication: Replication::TwoPhaseSet,
        object: Object::TwoPhaseSet,
        nodes: 3,
        faults: "partition, storm",
        keeps: &[Eventual],
        breaks: &[Linearizable],
        unlike: &[Object::OrSet],
        scene: scenes::set_with_removals,
    },
    Row {
        name: "or-set",
        replication: Replication::OrSet,
        object: Object::OrSet,
        nodes: 3,
        faults: "partition, storm",
        keeps: &[Eventual],
        breaks: &[Linearizable],
        unlike: &[Object::TwoPhaseSet],
        scene: scenes::set_with_removals,
    },
    Row {
        name: "lease-lock",
        replication: Replication::LeaseLock,
        object: Object::Guarded,
        nodes: 3,
        faults: "the holder paused past its lease, storm",
        keeps: &[],
        // Two clients replaced the same value, each by its own: no order of these lets both succeed.
        breaks: &[Linearizable, Eventual],
        unlike: &[],
        scene: scenes::paused_holder,
    },
    Row {
        name: "fenced-lock",
        replication: Replication::FencedLock,
        object: Object::Guarded,
        nodes: 3,
        faults: "the holder paused past its lease, storm",
        keeps: &[Linearizable],
        breaks: &[],
        unlike: &[],
        scene: scenes::paused_holder,
    },
    Row {
        name: "lease-mutex",
        replication: Replication::FencedLock,
        object: Object::Mutex,
        nodes: 3,
        faults: "a holder that takes longer than its lease",
        keeps: &[],
        breaks: &[Linearizable],
        unlike: &[],
        scene: scenes::overdue_holder,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Each model that can be asked of a row's object is either kept or not, and not both.
    #[test]
    fn every_row_says_it_all() {
        for row in ROWS {
            let Kept { keeps, breaks, .. } = row.expected();
            assert_eq!((keeps.len(), breaks.len()), (row.keeps.len(), row.breaks.len()), "{}", row.name);
            for model in Consistency::ALL.into_iter().filter(|&model| row.object.is_asked(model)) {
                // Of what is linearizable it is no news that replicas agree in the end.
                let goes_without_saying = model == Eventual && keeps.contains(&Linearizable);
                let kept = goes_without_saying || keeps.iter().any(|kept| kept.implies(model));
                let broken = breaks.iter().any(|&broken| model.implies(broken));
                assert!(kept != broken, "{}: {model:?} is kept: {kept}, broken: {broken}", row.name);
            }
            assert_eq!(Row::by_name(row.name).map(|found| found.name), Some(row.name));
        }
    }

    /// Every scheme has a row.
    #[test]
    fn every_scheme_is_shown() {
        for replication in Replication::all() {
            assert!(ROWS.iter().any(|row| row.replication == replication), "{}", replication.name());
        }
    }
}
