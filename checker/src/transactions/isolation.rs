//! The isolation levels of transactions: their names, what each means here, and which implies which.
//!
//! A level that has a name is decided; there is no level that is only accepted. Plain names leave the order of sessions out
//! (Adya 1999), but for read-atomic and transactional-causal, of which it is a part (Biswas and Enea 2019).

use std::str::FromStr;

/// An isolation level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isolation {
    /// See [`Isolation::definition`], of this and of the others.
    StrictSerializable,
    /// Serializable, in an order that keeps each session's.
    StrongSessionSerializable,
    /// There is a serial order.
    Serializable,
    /// As serializable, for transactions that name the keys that they read.
    RepeatableRead,
    /// Snapshots that are never older than what had completed.
    StrongSnapshotIsolation,
    /// Snapshots that hold what the session did before.
    StrongSessionSnapshotIsolation,
    /// Reads from a snapshot; of two that write a key at the same time one fails.
    SnapshotIsolation,
    /// Whoever sees a transaction sees all that it saw.
    TransactionalCausal,
    /// Whoever sees a transaction sees all of it.
    ReadAtomic,
    /// Within a transaction reads go forward only, and no session's order is broken.
    StrongSessionReadCommitted,
    /// Only what was committed is read.
    ReadCommitted,
    /// Writes of two transactions do not interleave.
    ReadUncommitted,
}

/// Which order of whole transactions a level keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Keeps {
    /// No order but that of what they read and write.
    Data,
    /// Also that of each session.
    Sessions,
    /// Also that one had completed before the other was invoked.
    RealTime,
}

impl Isolation {
    /// All levels, each before those that it implies.
    pub const ALL: [Isolation; 12] = [
        Isolation::StrictSerializable,
        Isolation::StrongSessionSerializable,
        Isolation::Serializable,
        Isolation::RepeatableRead,
        Isolation::StrongSnapshotIsolation,
        Isolation::StrongSessionSnapshotIsolation,
        Isolation::SnapshotIsolation,
        Isolation::TransactionalCausal,
        Isolation::ReadAtomic,
        Isolation::StrongSessionReadCommitted,
        Isolation::ReadCommitted,
        Isolation::ReadUncommitted,
    ];

    /// What implies what, and nothing that follows from two of them. Repeatable read, of transactions that name their keys,
    /// implies serializable too: without predicates the two forbid the same cycles.
    pub const IMPLICATIONS: [(Isolation, Isolation); 14] = [
        (Isolation::StrictSerializable, Isolation::StrongSessionSerializable),
        (Isolation::StrictSerializable, Isolation::StrongSnapshotIsolation),
        (Isolation::StrongSessionSerializable, Isolation::Serializable),
        (Isolation::StrongSessionSerializable, Isolation::StrongSessionSnapshotIsolation),
        (Isolation::Serializable, Isolation::RepeatableRead),
        (Isolation::RepeatableRead, Isolation::SnapshotIsolation),
        (Isolation::StrongSnapshotIsolation, Isolation::StrongSessionSnapshotIsolation),
        (Isolation::StrongSessionSnapshotIsolation, Isolation::SnapshotIsolation),
        (Isolation::StrongSessionSnapshotIsolation, Isolation::TransactionalCausal),
        (Isolation::SnapshotIsolation, Isolation::ReadCommitted),
        (Isolation::TransactionalCausal, Isolation::ReadAtomic),
        (Isolation::ReadAtomic, Isolation::StrongSessionReadCommitted),
        (Isolation::StrongSessionReadCommitted, Isolation::ReadCommitted),
        (Isolation::ReadCommitted, Isolation::ReadUncommitted),
    ];

    /// The name on the command line, and in verdicts.
    pub fn name(self) -> &'static str {
        match self {
            Isolation::StrictSerializable => "strict-serializable",
            Isolation::StrongSessionSerializable => "strong-session-serializable",
            Isolation::Serializable => "serializable",
            Isolation::RepeatableRead => "repeatable-read",
            Isolation::StrongSnapshotIsolation => "strong-snapshot-isolation",
            Isolation::StrongSessionSnapshotIsolation => "strong-session-snapshot-isolation",
            Isolation::SnapshotIsolation => "snapshot-isolation",
            Isolation::TransactionalCausal => "transactional-causal",
            Isolation::ReadAtomic => "read-atomic",
            Isolation::StrongSessionReadCommitted => "strong-session-read-committed",
            Isolation::ReadCommitted => "read-committed",
            Isolation::ReadUncommitted => "read-uncommitted",
        }
    }

    /// Other names of the level.
    pub fn aliases(self) -> &'static [&'static str] {
        match self {
            Isolation::StrictSerializable => &["strong-serializable", "PL-SS", "strict-1SR"],
            Isolation::StrongSessionSerializable => &["strong-session-PL-3"],
            Isolation::Serializable => &["PL-3", "1SR"],
            Isolation::RepeatableRead => &["PL-2.99"],
            Isolation::StrongSnapshotIsolation => &["strong-PL-SI"],
            Isolation::StrongSessionSnapshotIsolation => &["strong-session-PL-SI"],
            Isolation::SnapshotIsolation => &["PL-SI", "SI"],
            Isolation::TransactionalCausal => &["TCC"],
            Isolation::StrongSessionReadCommitted | Isolation::ReadAtomic => &[],
            Isolation::ReadCommitted => &["PL-2"],
            Isolation::ReadUncommitted => &["PL-1"],
        }
    }

    /// What the level means here, in a sentence. To every level belongs that each value read was written by somebody, and that
    /// a transaction reads what it wrote itself.
    pub fn definition(self) -> &'static str {
        match self {
            Isolation::StrictSerializable => {
                "there is a serial order of the transactions that explains every read, and in which none stands before one that had completed \
                 before it was invoked"
            }
            Isolation::StrongSessionSerializable => {
                "there is a serial order of the transactions that explains every read and keeps the order of each session"
            }
            Isolation::Serializable => {
                "there is a serial order of the transactions that explains every read (Adya's PL-3 without predicates)"
            }
            Isolation::RepeatableRead => {
                "Adya's PL-2.99: versions can be ordered such that dependencies and item anti-dependencies have no cycle; without predicates \
                 this is serializable"
            }
            Isolation::StrongSnapshotIsolation => {
                "snapshot isolation in which each snapshot holds what had completed before the transaction was invoked"
            }
            Isolation::StrongSessionSnapshotIsolation => {
                "snapshot isolation in which each snapshot holds what the session did before (Cerone, Bernardi and Gotsman 2015)"
            }
            Isolation::SnapshotIsolation => {
                "each transaction reads from a snapshot of what had committed when it started, and none that writes the same key commits \
                 between its start and its commit (Adya's PL-SI, without the order of sessions)"
            }
            Isolation::TransactionalCausal => {
                "there is a commit order that keeps session order and what was read from whom, in which each read returns the last write of \
                 its key among all that causally precede it (Biswas and Enea 2019)"
            }
            Isolation::ReadAtomic => {
                "there is a commit order that keeps session order and what was read from whom, in which whoever reads a key from one \
                 transaction neither reads from a later writer of the key nor follows one in its session (Biswas and Enea 2019)"
            }
            Isolation::StrongSessionReadCommitted => {
                "there is a commit order that keeps session order and what was read from whom, in which no read of a key returns an older \
                 write than one by a transaction that an earlier read of the same transaction saw (read committed of Biswas and Enea 2019)"
            }
            Isolation::ReadCommitted => {
                "Adya's PL-2: nothing aborted or intermediate is read, and versions can be ordered such that dependencies have no cycle"
            }
            Isolation::ReadUncommitted => {
                "Adya's PL-1: versions can be ordered such that writes of two transactions do not interleave, and none that committed stands \
                 on an aborted one"
            }
        }
    }

    /// Whether every history that keeps this level keeps the other.
    pub fn implies(self, other: Isolation) -> bool {
        let mut known = vec![self];
        let mut at = 0;
        while let Some(&from) = known.get(at) {
            known.extend(Isolation::IMPLICATIONS.iter().filter(|pair| pair.0 == from).map(|pair| pair.1));
            at += 1;
        }
        known.contains(&other)
    }

    /// Which order of whole transactions it keeps.
    pub fn keeps(self) -> Keeps {
        match self {
            Isolation::StrictSerializable | Isolation::StrongSnapshotIsolation => Keeps::RealTime,
            Isolation::StrongSessionSerializable
            | Isolation::StrongSessionSnapshotIsolation
            | Isolation::TransactionalCausal
            | Isolation::ReadAtomic
            | Isolation::StrongSessionReadCommitted => Keeps::Sessions,
            Isolation::Serializable
            | Isolation::RepeatableRead
            | Isolation::SnapshotIsolation
            | Isolation::ReadCommitted
            | Isolation::ReadUncommitted => Keeps::Data,
        }
    }
}

impl FromStr for Isolation {
    type Err = String;

    fn from_str(name: &str) -> Result<Isolation, String> {
        let is = |level: &Isolation| level.name() == name || level.aliases().contains(&name);
        Isolation::ALL
            .into_iter()
            .find(is)
            .ok_or_else(|| histories::names::unknown("isolation level", name, Isolation::ALL.map(Isolation::name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_are_read() {
        let mut seen = std::collections::BTreeSet::new();
        for level in Isolation::ALL {
            for name in [level.name()].iter().chain(level.aliases()) {
                assert_eq!(name.parse::<Isolation>().unwrap(), level);
                assert!(seen.insert(*name), "{name} twice");
            }
        }
        let refused = "parallel-snapshot-isolation".parse::<Isolation>().unwrap_err();
        assert!(refused.contains("snapshot-isolation"), "{refused}");
    }

    #[test]
    fn each_comes_before_what_it_implies() {
        for (place, level) in Isolation::ALL.into_iter().enumerate() {
            assert!(Isolation::ALL[..place].iter().all(|earlier| !level.implies(*earlier)), "{level:?}");
        }
    }
}
