//! The consistency models: their names, and which implies which.

use crate::transactions::isolation::Isolation;

/// A consistency model: what the order, or the orders, behind a history must keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Consistency {
    /// One order for everybody, in which every op takes effect between its invocation and its completion (Herlihy and Wing
    /// 1990).
    #[default]
    Linearizable,
    /// One order for everybody that keeps each process's own (Lamport 1979). It does not hold of all keys together because it
    /// holds of each.
    Sequential,
    /// Each key by itself is sequentially consistent (also called coherence, or cache consistency). On request only: it is no
    /// rung of the ladder.
    SequentialPerKey,
    /// Each process has an order of all writes and its own reads that keeps the causal order (`CM`).
    CausalMemory,
    /// Everybody has the same order of all writes, and each read returns the last that is causally before it (`CCv`).
    CausalConvergence,
    /// Each op has an order of what is causally before it that explains it (`CC`).
    Causal,
    /// Each process has an order of all writes and its own reads that keeps every session's order.
    Pram,
    /// Each process has an order of all writes and its own reads in which its own writes come before its later reads.
    ReadYourWrites,
    /// Such an order in which the writes that an earlier read of the process saw come before a later one.
    MonotonicReads,
    /// Such an order that keeps the order of each session's writes.
    MonotonicWrites,
    /// Such an order in which each write comes after those that its session had read before it.
    WritesFollowReads,
    /// In the end, when the updates are over, everybody reads the same, and nothing that was acknowledged is missing: see
    /// `convergence`. It stands beside the others: none implies it, and it implies none.
    Eventual,
    /// An isolation level of transactions. They imply each other and none of the others, nor is one implied by these.
    Isolation(Isolation),
}

impl Consistency {
    /// The rungs of the ladder, each before those that it implies.
    pub const ALL: [Consistency; 11] = [
        Consistency::Linearizable,
        Consistency::Sequential,
        Consistency::CausalMemory,
        Consistency::CausalConvergence,
        Consistency::Causal,
        Consistency::Pram,
        Consistency::ReadYourWrites,
        Consistency::MonotonicReads,
        Consistency::MonotonicWrites,
        Consistency::WritesFollowReads,
        Consistency::Eventual,
    ];

    /// The consistency models that are no rung of the ladder: they are judged on request only.
    pub const BESIDE: [Consistency; 1] = [Consistency::SequentialPerKey];

    /// What implies what, and nothing that follows from two of them. Whatever is not here (or follows) is false, and each
    /// such pair has a history that shows it among the tests.
    pub const IMPLICATIONS: [(Consistency, Consistency); 11] = [
        (Consistency::Linearizable, Consistency::Sequential),
        (Consistency::Sequential, Consistency::SequentialPerKey),
        (Consistency::Sequential, Consistency::CausalMemory),
        (Consistency::Sequential, Consistency::CausalConvergence),
        (Consistency::CausalMemory, Consistency::Causal),
        (Consistency::CausalMemory, Consistency::Pram),
        (Consistency::CausalMemory, Consistency::WritesFollowReads),
        (Consistency::CausalConvergence, Consistency::Causal),
        (Consistency::Pram, Consistency::ReadYourWrites),
        (Consistency::Pram, Consistency::MonotonicReads),
        (Consistency::Pram, Consistency::MonotonicWrites),
    ];

    /// All that have a name: the rungs, then those beside them.
    pub fn named() -> impl Iterator<Item = Consistency> {
        Consistency::ALL.into_iter().chain(Consistency::BESIDE).chain(Isolation::ALL.map(Consistency::Isolation))
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Consistency::Linearizable => "linearizable",
            Consistency::Sequential => "sequential",
            Consistency::SequentialPerKey => "sequential-per-key",
            Consistency::CausalMemory => "causal-memory",
            Consistency::CausalConvergence => "causal-convergence",
            Consistency::Causal => "causal",
            Consistency::Pram => "pram",
            Consistency::ReadYourWrites => "read-your-writes",
            Consistency::MonotonicReads => "monotonic-reads",
            Consistency::MonotonicWrites => "monotonic-writes",
            Consistency::WritesFollowReads => "writes-follow-reads",
            Consistency::Eventual => "eventual",
            Consistency::Isolation(level) => level.name(),
        }
    }

    /// What this consistency model asks of a history, in a sentence or two with its source.
    pub fn definition(self) -> &'static str {
        match self {
            Consistency::Linearizable => {
                "One order of all operations explains every answer, and keeps real time: what had ended before another began stands before it \
                 (Herlihy and Wing 1990). It holds of all keys together if it holds of each."
            }
            Consistency::Sequential => {
                "One order of all operations of all keys explains every answer, and keeps the order of each process (Lamport 1979). Real time \
                 between processes does not count."
            }
            Consistency::SequentialPerKey => {
                "Each key by itself is sequentially consistent (also called coherence, or cache consistency). Keys together may be in no order."
            }
            Consistency::CausalMemory => {
                "Each process has an order of all writes and its own reads that explains what it read, and keeps the causal order: session \
                 order and reads-from, followed any number of times (CM: Bouajjani, Enea, Guerraoui and Hamza 2017, section 4; Ahamad et al. 1995)."
            }
            Consistency::CausalConvergence => {
                "One order of all writes for everybody, that keeps the causal order; each read returns the last write in it that is causally before \
                 the read (CCv: Bouajjani, Enea, Guerraoui and Hamza 2017)."
            }
            Consistency::Causal => {
                "Each operation has an order of what is causally before it that explains its answer (CC: Bouajjani, Enea, Guerraoui and Hamza \
                 2017). Two processes may see writes that are not causally related in different orders, and change their minds."
            }
            Consistency::Pram => {
                "Each process has an order of all writes and its own reads that explains what it read, and keeps the order of every session \
                 (Lipton and Sandberg 1988)."
            }
            Consistency::ReadYourWrites => {
                "Each process has an order of all writes and its own reads that explains what it read, with its own writes before its later reads \
                 (Terry et al. 1994)."
            }
            Consistency::MonotonicReads => {
                "Each process has an order of all writes and its own reads that explains what it read, in which the writes that an earlier read saw \
                 stand before a later one: what was seen is not lost from sight (Terry et al. 1994)."
            }
            Consistency::MonotonicWrites => {
                "Each process has an order of all writes and its own reads that explains what it read, and keeps the order of each session's \
                 writes (Terry et al. 1994)."
            }
            Consistency::WritesFollowReads => {
                "Each process has an order of all writes and its own reads that explains what it read, with every write behind those that its \
                 session had read before it (Terry et al. 1994)."
            }
            Consistency::Eventual => {
                "When the updates have ended, everybody reads the same, and nothing that was acknowledged is missing: judged by the final reads of \
                 each process. It stands beside the others: none implies it, and it implies none."
            }
            Consistency::Isolation(level) => level.definition(),
        }
    }

    /// Whether this consistency model is one of the ladder, which imply each other. Eventual consistency stands beside them: it speaks of the end only, and
    /// of updates of unknown outcome it assumes what the others do not.
    pub fn is_ordered(self) -> bool {
        self != Consistency::Eventual
    }

    /// Whether every history that keeps this model keeps the other.
    pub fn implies(self, other: Consistency) -> bool {
        if let (Consistency::Isolation(mine), Consistency::Isolation(other)) = (self, other) {
            return mine.implies(other);
        }
        let mut known = vec![self];
        let mut at = 0;
        while let Some(&from) = known.get(at) {
            known.extend(Consistency::IMPLICATIONS.iter().filter(|pair| pair.0 == from).map(|pair| pair.1));
            at += 1;
        }
        known.contains(&other)
    }
}

impl std::str::FromStr for Consistency {
    type Err = String;

    fn from_str(name: &str) -> Result<Consistency, String> {
        let level = || name.parse().ok().map(Consistency::Isolation);
        Consistency::named().find(|known| known.name() == name).or_else(level).ok_or_else(|| {
            let names: Vec<&str> = Consistency::named().map(Consistency::name).collect();
            format!("there is no consistency model `{name}`; there are {}", names.join(", "))
        })
    }
}
