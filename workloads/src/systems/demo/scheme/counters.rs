//! Counters that are merged: G-counter and PN-counter (Shapiro et al. 2011).
//!
//! A counter is a number per node: how much that node's own clients have added. A node changes only its own number, so two
//! states are merged by taking the greater number of each node, and the sum is what is read.
//!
//! **`g-counter`** only grows. **`pn-counter`** is a pair of such counters, one for what is added and one for what is taken away.
//! What both promise is in [`super::gossip`]: reads lag, and when all have heard of all, every node reads the sum of all that was
//! acknowledged.

use super::gossip::{Join, Tag};
use crate::systems::demo::protocol::{Call, Refusal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A counter that grows: how much each node has added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrowOnly(BTreeMap<usize, u64>);

impl GrowOnly {
    fn sum(&self) -> u64 {
        self.0.values().sum()
    }

    /// The node's number after it has added an amount.
    fn grown(&self, node: usize, amount: u64) -> GrowOnly {
        GrowOnly([(node, self.0.get(&node).copied().unwrap_or_default() + amount)].into())
    }
}

impl Join for GrowOnly {
    fn join(&mut self, other: &GrowOnly) {
        for (&node, &amount) in &other.0 {
            let mine = self.0.entry(node).or_default();
            *mine = amount.max(*mine);
        }
    }

    fn act(&self, call: Call, Tag(node, ..): Tag) -> Result<GrowOnly, Refusal> {
        match call {
            Call::Add { value, .. } if value >= 0 => Ok(self.grown(node, value.unsigned_abs())),
            _ => Err(Refusal::NotOffered),
        }
    }

    fn value(&self) -> serde_json::Value {
        self.sum().into()
    }
}

/// A counter that goes up and down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpDown {
    up: GrowOnly,
    down: GrowOnly,
}

impl Join for UpDown {
    fn join(&mut self, other: &UpDown) {
        self.up.join(&other.up);
        self.down.join(&other.down);
    }

    fn act(&self, call: Call, Tag(node, ..): Tag) -> Result<UpDown, Refusal> {
        match call {
            Call::Add { value, .. } if value >= 0 => Ok(UpDown { up: self.up.grown(node, value.unsigned_abs()), ..UpDown::default() }),
            Call::Add { value, .. } => Ok(UpDown { down: self.down.grown(node, value.unsigned_abs()), ..UpDown::default() }),
            _ => Err(Refusal::NotOffered),
        }
    }

    fn value(&self) -> serde_json::Value {
        (self.up.sum() as i64 - self.down.sum() as i64).into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::gossip::tests::converges;
    use super::*;
    use rand::RngExt;
    use std::cell::Cell;

    #[test]
    fn all_replicas_come_to_the_sum() {
        for seed in 0..50 {
            let sum = Cell::new(0);
            let add = |low: i64| {
                let sum = &sum;
                move |rng: &mut rand_chacha::ChaCha8Rng| {
                    let value = rng.random_range(low..10);
                    sum.set(sum.get() + value);
                    Call::Add { key: 0, value }
                }
            };
            let grown = converges::<GrowOnly>(seed, add(0));
            assert_eq!(grown, [serde_json::Value::from(sum.replace(0))]);
            let moved = converges::<UpDown>(seed, add(-9));
            assert_eq!(moved, [serde_json::Value::from(sum.get())]);
        }
    }

    #[test]
    fn a_counter_that_grows_does_not_go_down() {
        let refused = GrowOnly::default().act(Call::Add { key: 0, value: -1 }, Tag(0, 1, 1));
        assert_eq!(refused, Err(Refusal::NotOffered));
    }
}
