//! Sets that are merged: G-set, 2P-set and OR-set (Shapiro et al. 2011).
//!
//! **`g-set`** only grows; states are merged by union.
//!
//! **`2p-set`** is a pair of such sets, of what was added and of what was removed. An element is in if it is in the first and
//! not in the second, so a removal is final: to add the element again is acknowledged and does nothing. That is its word, and
//! not that of a set; it suits elements that never come back.
//!
//! **`or-set`** (observed-remove) gives every addition a tag of its own. A removal takes away the tags that it sees and no others,
//! so an addition that it has not seen survives it: of an add and a remove at the same time the add wins, and an element may
//! come back.
//!
//! What all promise is in [`super::gossip`].

use super::gossip::{Join, Tag};
use crate::systems::demo::protocol::{Call, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A set that grows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrowOnly(BTreeSet<i64>);

impl Join for GrowOnly {
    fn join(&mut self, other: &GrowOnly) {
        self.0.extend(&other.0);
    }

    fn act(&self, call: Call, _: Tag) -> Result<GrowOnly, Refusal> {
        match call {
            Call::Add { value, .. } => Ok(GrowOnly([value].into())),
            _ => Err(Refusal::NotOffered),
        }
    }

    fn value(&self) -> serde_json::Value {
        self.0.iter().copied().collect()
    }
}

/// A set whose removals are final.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwoPhase {
    added: BTreeSet<i64>,
    removed: BTreeSet<i64>,
}

impl Join for TwoPhase {
    fn join(&mut self, other: &TwoPhase) {
        self.added.extend(&other.added);
        self.removed.extend(&other.removed);
    }

    fn act(&self, call: Call, _: Tag) -> Result<TwoPhase, Refusal> {
        match call {
            Call::Add { value, .. } => Ok(TwoPhase { added: [value].into(), ..TwoPhase::default() }),
            // What is not there is not removed: else it could never be added.
            Call::Remove { value, .. } if self.added.contains(&value) => Ok(TwoPhase { removed: [value].into(), ..TwoPhase::default() }),
            Call::Remove { .. } => Ok(TwoPhase::default()),
            _ => Err(Refusal::NotOffered),
        }
    }

    fn value(&self) -> serde_json::Value {
        self.added.difference(&self.removed).copied().collect()
    }
}

/// A set whose removals remove what they saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedRemove {
    /// The tags of each element's additions.
    added: BTreeMap<i64, BTreeSet<Tag>>,
    /// The tags that were seen by a removal.
    removed: BTreeSet<Tag>,
}

impl Join for ObservedRemove {
    fn join(&mut self, other: &ObservedRemove) {
        for (&element, tags) in &other.added {
            self.added.entry(element).or_default().extend(tags);
        }
        self.removed.extend(&other.removed);
    }

    fn act(&self, call: Call, tag: Tag) -> Result<ObservedRemove, Refusal> {
        match call {
            Call::Add { value, .. } => Ok(ObservedRemove { added: [(value, [tag].into())].into(), removed: BTreeSet::new() }),
            Call::Remove { value, .. } => {
                Ok(ObservedRemove { added: BTreeMap::new(), removed: self.added.get(&value).cloned().unwrap_or_default() })
            }
            _ => Err(Refusal::NotOffered),
        }
    }

    fn value(&self) -> serde_json::Value {
        let is_in = |tags: &BTreeSet<Tag>| !tags.is_subset(&self.removed);
        self.added.iter().filter(|(_, tags)| is_in(tags)).map(|(&element, _)| element).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::gossip::tests::converges;
    use super::*;
    use rand::RngExt;
    use serde_json::json;

    #[test]
    fn replicas_converge() {
        for seed in 0..50 {
            let add = |rng: &mut rand_chacha::ChaCha8Rng| Call::Add { key: 0, value: rng.random_range(0..8) };
            let any = |rng: &mut rand_chacha::ChaCha8Rng| match rng.random_range(0..8) {
                value if rng.random_bool(0.5) => Call::Add { key: 0, value },
                value => Call::Remove { key: 0, value },
            };
            converges::<GrowOnly>(seed, add);
            converges::<TwoPhase>(seed, any);
            converges::<ObservedRemove>(seed, any);
        }
    }

    fn did<S: Join>(state: &mut S, call: Call, serial: u64) {
        let news = state.act(call, Tag(0, 1, serial)).unwrap();
        state.join(&news);
    }

    /// An element that was added, removed and added again.
    fn again<S: Join>() -> serde_json::Value {
        let mut state = S::default();
        did(&mut state, Call::Add { key: 0, value: 7 }, 1);
        did(&mut state, Call::Remove { key: 0, value: 7 }, 2);
        assert_eq!(state.value(), json!([]));
        did(&mut state, Call::Add { key: 0, value: 7 }, 3);
        state.value()
    }

    #[test]
    fn an_element_comes_back_only_where_removals_are_not_final() {
        assert_eq!(again::<TwoPhase>(), json!([]));
        assert_eq!(again::<ObservedRemove>(), json!([7]));
    }

    #[test]
    fn an_addition_that_was_not_seen_survives_a_removal() {
        let mut here = ObservedRemove::default();
        did(&mut here, Call::Add { key: 0, value: 7 }, 1);
        let mut there = here.clone();
        did(&mut here, Call::Remove { key: 0, value: 7 }, 2);
        did(&mut there, Call::Add { key: 0, value: 7 }, 3);
        here.join(&there);
        assert_eq!(here.value(), json!([7]));
    }
}
