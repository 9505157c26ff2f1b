//! Small sets of slots, as the words of a configuration's key.

use std::fmt::Debug;
use std::hash::Hash;

/// A set of slot numbers below [`Mask::SLOTS`].
pub(crate) trait Mask: Copy + Eq + Hash + Debug + Default + Send + Sync {
    /// How many slots there are.
    const SLOTS: usize;
    /// Whether the slot is in the set.
    fn has(self, slot: u32) -> bool;
    /// The set with the slot.
    #[must_use]
    fn with(self, slot: u32) -> Self;
    /// The set without the slot.
    #[must_use]
    fn without(self, slot: u32) -> Self;
    /// All of both sets.
    #[must_use]
    fn union(self, other: Self) -> Self;
    /// The set without what the other has.
    #[must_use]
    fn minus(self, other: Self) -> Self;
    /// How many slots are in the set.
    fn len(self) -> u32;
    /// A mixture of all bits, to hash with.
    fn word(self) -> u64;
}

macro_rules! integer_mask {
    ($type:ty) => {
        impl Mask for $type {
            const SLOTS: usize = <$type>::BITS as usize;
            fn has(self, slot: u32) -> bool {
                self >> slot & 1 == 1
            }
            fn with(self, slot: u32) -> Self {
                self | 1 << slot
            }
            fn without(self, slot: u32) -> Self {
                self & !(1 << slot)
            }
            fn union(self, other: Self) -> Self {
                self | other
            }
            fn minus(self, other: Self) -> Self {
                self & !other
            }
            fn len(self) -> u32 {
                self.count_ones()
            }
            fn word(self) -> u64 {
                (self ^ self.rotate_right(<$type>::BITS / 2)) as u64
            }
        }
    };
}
integer_mask!(u64);
integer_mask!(u128);

/// A set of up to 64 × `N` slots, for histories with very many ops in flight.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Wide<const N: usize>([u64; N]);

impl<const N: usize> Default for Wide<N> {
    fn default() -> Self {
        Wide([0; N])
    }
}

impl<const N: usize> Mask for Wide<N> {
    const SLOTS: usize = 64 * N;
    fn has(self, slot: u32) -> bool {
        self.0[slot as usize / 64].has(slot % 64)
    }
    fn with(mut self, slot: u32) -> Self {
        let word = &mut self.0[slot as usize / 64];
        *word = word.with(slot % 64);
        self
    }
    fn without(mut self, slot: u32) -> Self {
        let word = &mut self.0[slot as usize / 64];
        *word = word.without(slot % 64);
        self
    }
    fn union(mut self, other: Self) -> Self {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
        self
    }
    fn minus(mut self, other: Self) -> Self {
        for (word, less) in self.0.iter_mut().zip(other.0) {
            *word &= !less;
        }
        self
    }
    fn len(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
    fn word(self) -> u64 {
        self.0.iter().fold(0, |all, &word| (all.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behaves<K: Mask>() {
        let mut mask = K::default();
        for slot in (0..K::SLOTS as u32).step_by(7) {
            assert!(!mask.has(slot));
            mask = mask.with(slot);
            assert!(mask.has(slot) && (slot + 1 == K::SLOTS as u32 || !mask.has(slot + 1)));
        }
        assert_eq!(mask.len() as usize, K::SLOTS.div_ceil(7));
        assert_eq!(mask.minus(K::default().with(0).with(1)), mask.without(0));
        let last = K::SLOTS as u32 - 1;
        assert!(mask.with(last).has(last) && !mask.with(last).without(last).has(last));
        assert_eq!(mask.without(0).union(K::default().with(0)), mask);
        assert_ne!(mask.word(), mask.without(0).word());
    }

    #[test]
    fn all_widths_behave() {
        behaves::<u64>();
        behaves::<u128>();
        behaves::<Wide<4>>();
    }
}
