//! Trees over a row of numbers: which is below a bound, and where stretches leave a gap. Complete binary trees in arrays.

/// Numbers, and the question which in a range is below a bound.
pub(super) struct Minima {
    leaves: usize,
    tree: Vec<u32>,
}

impl Minima {
    pub(super) fn new(numbers: impl ExactSizeIterator<Item = u32>) -> Minima {
        let leaves = numbers.len().next_power_of_two();
        let mut tree = vec![u32::MAX; 2 * leaves];
        for (leaf, number) in tree[leaves..].iter_mut().zip(numbers) {
            *leaf = number;
        }
        for node in (1..leaves).rev() {
            tree[node] = tree[2 * node].min(tree[2 * node + 1]);
        }
        Minima { leaves, tree }
    }

    /// Takes a number out: it is below no bound any more.
    pub(super) fn remove(&mut self, place: usize) {
        let mut node = self.leaves + place;
        self.tree[node] = u32::MAX;
        while node > 1 {
            node /= 2;
            self.tree[node] = self.tree[2 * node].min(self.tree[2 * node + 1]);
        }
    }

    /// The least of a range.
    pub(super) fn least(&self, from: usize, to: usize) -> u32 {
        let (mut low, mut high, mut least) = (self.leaves + from, self.leaves + to, u32::MAX);
        while low < high {
            if low % 2 == 1 {
                least = least.min(self.tree[low]);
            }
            if high % 2 == 1 {
                least = least.min(self.tree[high - 1]);
            }
            low = low.div_ceil(2);
            high /= 2;
        }
        least
    }

    /// A place in `from..to` with a number below `bound`.
    pub(super) fn any_below(&self, from: usize, to: usize, bound: u32) -> Option<usize> {
        let (mut low, mut high) = (self.leaves + from, self.leaves + to);
        while low < high {
            for node in [(low % 2 == 1).then_some(low), (high % 2 == 1).then(|| high - 1)].into_iter().flatten() {
                if self.tree[node] < bound {
                    return Some(self.descend(node, bound));
                }
            }
            low = low.div_ceil(2);
            high /= 2;
        }
        None
    }

    fn descend(&self, mut node: usize, bound: u32) -> usize {
        while node < self.leaves {
            node = 2 * node + usize::from(self.tree[2 * node] >= bound);
        }
        node - self.leaves
    }
}

/// How many stretches cover each gap of a row. Gaps beyond the row are covered by none.
pub(super) struct Cover {
    leaves: usize,
    /// The least of the gaps below a node, without what was added above it.
    least: Vec<i32>,
    /// What was added to all gaps below a node.
    added: Vec<i32>,
}

impl Cover {
    /// So many gaps, covered by stretches `from..to`.
    pub(super) fn new(gaps: usize, stretches: impl Iterator<Item = (usize, usize)>) -> Cover {
        let leaves = (gaps + 1).next_power_of_two();
        let mut least = vec![0; 2 * leaves];
        for (from, to) in stretches {
            least[leaves + from] += 1;
            least[leaves + to] -= 1;
        }
        for gap in leaves + 1..2 * leaves {
            least[gap] += least[gap - 1];
        }
        for node in (1..leaves).rev() {
            least[node] = least[2 * node].min(least[2 * node + 1]);
        }
        Cover { leaves, least, added: vec![0; leaves] }
    }

    /// Takes a stretch away.
    pub(super) fn remove(&mut self, from: usize, to: usize) {
        let (mut low, mut high) = (self.leaves + from, self.leaves + to);
        let ends = [low, high - 1];
        while low < high {
            for node in [(low % 2 == 1).then_some(low), (high % 2 == 1).then(|| high - 1)].into_iter().flatten() {
                self.least[node] -= 1;
                if node < self.leaves {
                    self.added[node] -= 1;
                }
            }
            low = low.div_ceil(2);
            high /= 2;
        }
        for mut node in ends {
            while node > 1 {
                node /= 2;
                self.least[node] = self.least[2 * node].min(self.least[2 * node + 1]) + self.added[node];
            }
        }
    }

    /// What was added above a node.
    fn above(&self, mut node: usize) -> i32 {
        let mut above = 0;
        while node > 1 {
            node /= 2;
            above += self.added[node];
        }
        above
    }

    /// The first gap from here on that nothing covers.
    pub(super) fn next_open(&self, from: usize) -> usize {
        let mut node = self.leaves + from;
        let mut above = self.above(node);
        while self.least[node] + above != 0 {
            while node % 2 == 1 {
                node /= 2;
                above -= self.added[node];
            }
            node += 1;
        }
        while node < self.leaves {
            above += self.added[node];
            node = 2 * node + usize::from(self.least[2 * node] + above != 0);
        }
        node - self.leaves
    }

    /// The last gap up to here that nothing covers. The first one must be such.
    pub(super) fn last_open(&self, to: usize) -> usize {
        let mut node = self.leaves + to;
        let mut above = self.above(node);
        while self.least[node] + above != 0 {
            while node.is_multiple_of(2) {
                node /= 2;
                above -= self.added[node];
            }
            node -= 1;
        }
        while node < self.leaves {
            above += self.added[node];
            node = 2 * node + usize::from(self.least[2 * node + 1] + above == 0);
        }
        node - self.leaves
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn minima_answer_like_a_list() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for len in [1, 2, 3, 100, 128] {
            let mut list: Vec<u32> = (0..len).map(|_| rng.random_range(0..1000)).collect();
            let mut minima = Minima::new(list.iter().copied());
            for _ in 0..2 * len {
                let (a, b, bound) = (rng.random_range(0..=len), rng.random_range(0..=len), rng.random_range(0..1100));
                let (from, to) = (a.min(b), a.max(b));
                assert_eq!(minima.least(from, to), list[from..to].iter().copied().min().unwrap_or(u32::MAX));
                match minima.any_below(from, to, bound) {
                    Some(place) => assert!((from..to).contains(&place) && list[place] < bound),
                    None => assert!(list[from..to].iter().all(|&n| n >= bound)),
                }
                let gone = rng.random_range(0..len);
                list[gone] = u32::MAX;
                minima.remove(gone);
            }
        }
    }

    #[test]
    fn gaps_are_found_like_in_a_list() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for gaps in [2, 3, 8, 60] {
            for _ in 0..50 {
                let stretch = |rng: &mut ChaCha8Rng| {
                    let (a, b) = (rng.random_range(1..=gaps), rng.random_range(1..=gaps));
                    (a.min(b), a.max(b))
                };
                let mut stretches: Vec<(usize, usize)> = (0..gaps).map(|_| stretch(&mut rng)).filter(|s| s.0 < s.1).collect();
                let mut cover = Cover::new(gaps, stretches.iter().copied());
                while let Some((from, to)) = stretches.pop() {
                    cover.remove(from, to);
                    let open = |gap: &usize| stretches.iter().all(|s| !(s.0..s.1).contains(gap));
                    for gap in 0..gaps {
                        assert_eq!(cover.next_open(gap), (gap..=gaps).find(open).unwrap());
                        assert_eq!(cover.last_open(gap), (0..=gap).rev().find(open).unwrap());
                    }
                }
            }
        }
    }
}
