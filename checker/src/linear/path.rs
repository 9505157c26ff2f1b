//! How each configuration came to be: a shared chain of the updates it linearized, kept no longer than any configuration
//! can still tell apart.
//!
//! A search that stores only its present set of configurations still owes a witness at the end. Each linearized update is a
//! node that points to the one before it; configurations point to their last node. All present configurations usually share
//! all but the last few nodes: at each collection the unreachable nodes are dropped, and the part that all share is moved
//! out to a plain list. So memory is the witness itself plus what the present configurations do not share, never ops times
//! configurations.

/// No node: nothing has been linearized since the shared part.
pub(crate) const ROOT: u32 = u32::MAX;

/// An update that was linearized just before an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The op, as an index into the problem.
    pub op: u32,
    /// The position of the event.
    pub at: u32,
}

/// The chains of all configurations.
#[derive(Debug)]
pub(crate) struct Paths {
    shared: Vec<Step>,
    nodes: Vec<(u32, Step)>,
    collect_at: usize,
}

/// How many gather before the first collection. (Tests have small histories.)
const COLLECT_FIRST: usize = if cfg!(test) { 1 } else { 1 << 12 };

impl Paths {
    pub(crate) fn new() -> Paths {
        Paths { shared: Vec::new(), nodes: Vec::new(), collect_at: COLLECT_FIRST }
    }

    /// Continues a chain.
    pub(crate) fn push(&mut self, before: u32, step: Step) -> u32 {
        let node = self.nodes.len() as u32;
        self.nodes.push((before, step));
        node
    }

    /// Whether enough nodes have gathered to make a collection worth its while.
    pub(crate) fn is_due(&self) -> bool {
        self.nodes.len() >= self.collect_at
    }

    /// Bytes that so many more nodes may need besides those held.
    pub(crate) fn growth(&self, more: usize) -> usize {
        growth(&self.nodes, more)
    }

    /// Bytes that a collection needs besides those held, with so many ends; the shared part may double.
    pub(crate) fn bytes_to_collect(&self, ends: usize) -> usize {
        let moved =
            if self.shared.capacity() - self.shared.len() < self.nodes.len() { self.shared.capacity() + self.nodes.len() } else { 0 };
        self.nodes.len() * 10 + ends * size_of::<&u32>() + moved * size_of::<Step>()
    }

    /// Drops all nodes that none of `ends` reaches, and renumbers `ends`.
    pub(crate) fn collect<'a>(&mut self, ends: impl Iterator<Item = &'a mut u32>) {
        // Nodes are older than those that point to them, so one pass from the youngest to the oldest marks all.
        let mut ends: Vec<&mut u32> = ends.collect();
        let mut children = vec![0u32; self.nodes.len()];
        let mut from_root = 0u32;
        let mut count = |children: &mut [u32], node: u32| match children.get_mut(node as usize) {
            Some(n) => *n = n.saturating_add(1),
            None => from_root += 1,
        };
        let mut is_end = vec![false; self.nodes.len()];
        let mut ends_at_root = false;
        for end in &ends {
            match is_end.get_mut(**end as usize) {
                Some(flag) => *flag = true,
                None => ends_at_root = true,
            }
        }
        let mut kept = vec![false; self.nodes.len()];
        for node in (0..self.nodes.len()).rev() {
            kept[node] = is_end[node] || children[node] > 0;
            if kept[node] {
                count(&mut children, self.nodes[node].0);
            }
        }
        // The shared part: while exactly one chain leaves the root and no configuration ends there.
        let mut to_shared = !ends_at_root && from_root == 1;
        let mut renumbered = vec![ROOT; self.nodes.len()];
        let mut next = 0usize;
        for node in 0..self.nodes.len() {
            if !kept[node] {
                continue;
            }
            let (before, step) = self.nodes[node];
            if to_shared {
                self.shared.push(step);
                to_shared = !is_end[node] && children[node] == 1;
                continue;
            }
            let before = renumbered.get(before as usize).copied().unwrap_or(ROOT);
            self.nodes[next] = (before, step);
            renumbered[node] = next as u32;
            next += 1;
        }
        self.nodes.truncate(next);
        for end in &mut ends {
            **end = renumbered.get(**end as usize).copied().unwrap_or(ROOT);
        }
        self.collect_at = (2 * next).max(COLLECT_FIRST);
    }

    /// The whole chain that ends in a node, from the first step on.
    pub(crate) fn steps(&self, end: u32) -> Vec<Step> {
        let mut tail = Vec::new();
        let mut node = end;
        while node != ROOT {
            let (before, step) = self.nodes[node as usize];
            tail.push(step);
            node = before;
        }
        let mut steps = self.shared.clone();
        steps.extend(tail.into_iter().rev());
        steps
    }

    /// Bytes of memory held.
    pub(crate) fn bytes(&self) -> usize {
        self.shared.capacity() * size_of::<Step>() + self.nodes.capacity() * size_of::<(u32, Step)>()
    }
}

/// Bytes that a list may need besides those held to take in so many more: it doubles, and is copied meanwhile.
pub(crate) fn growth<T>(list: &Vec<T>, more: usize) -> usize {
    let needed = list.len() + more;
    if needed > list.capacity() { needed.max(2 * list.capacity()).max(4) * size_of::<T>() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collections change nothing but memory.
    #[test]
    fn chains_survive_collections() {
        let mut paths = Paths::new();
        let mut ends = [ROOT; 3];
        let mut expected: [Vec<Step>; 3] = Default::default();
        for round in 0..2000u32 {
            let who = (round * 7 % 3) as usize;
            if round % 50 == 49 {
                // One chain wins: the others fork from it.
                for other in 0..3 {
                    ends[other] = ends[who];
                    expected[other] = expected[who].clone();
                }
            }
            let step = Step { op: round, at: round / 2 };
            ends[who] = paths.push(ends[who], step);
            expected[who].push(step);
            if round % 11 == 0 {
                paths.collect(ends.iter_mut());
            }
            assert_eq!(paths.steps(ends[who]), expected[who]);
        }
        assert!(paths.nodes.len() < 200, "{} nodes are kept", paths.nodes.len());
        assert!(paths.shared.len() > 600, "{} nodes are shared", paths.shared.len());
    }
}
