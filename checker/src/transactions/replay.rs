//! Whether an order of points explains every read: a run, step by step.

use super::problem::{INITIAL, Problem};

/// Whether the order is a serial run (`width` 1), or one under snapshot isolation (2): each transaction reads at its start what
/// had been committed last, and when it commits nobody has committed a write of a key of its own since its start.
pub(crate) fn explains(problem: &Problem, width: u32, order: &[u32]) -> bool {
    let mut version = vec![INITIAL; problem.keys];
    // When the version was committed, and when each transaction started.
    let mut committed = vec![0_usize; problem.keys];
    let mut started = vec![0_usize; problem.len()];
    for (now, &point) in (1..).zip(order) {
        let node = point / width;
        if width == 1 || point % 2 == 0 {
            started[node as usize] = now;
            if problem.reads(node).iter().any(|read| version[read.key as usize] != read.source) {
                return false;
            }
        }
        if width == 1 || point % 2 == 1 {
            for &key in problem.writes(node) {
                let key = key as usize;
                if committed[key] > started[node as usize] {
                    return false;
                }
                (version[key], committed[key]) = (node, now);
            }
        }
    }
    true
}
