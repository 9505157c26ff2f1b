//! From a search that found no order to the few ops that have none.
//!
//! [`Claims::contradict`] is monotone: more needed ops, more constraints. So: take the ops nearest to where the search got stuck,
//! twice as many each time, until they contradict each other; then leave out what can be left out, in halves and quarters
//! first and one by one in the end.

use crate::budget::{Budget, Limit};
use crate::certify::sequential::Claims;
use crate::certify::{Effort, Unanswered};
use crate::model::Model;
use crate::verdict::Others;
use histories::OpId;

/// Steps that one question may take, and all of one kind.
const STEPS_EACH: u64 = 4_000_000;
const STEPS_IN_ALL: u64 = 200_000_000;

/// Ops that contradict each other.
pub(crate) struct Core {
    pub(crate) needed: Vec<OpId>,
    pub(crate) others: Others,
    /// Whether leaving out any one of them leaves no contradiction.
    pub(crate) minimal: bool,
}

struct Questions<'c, 'a, 'b, M: Model> {
    claims: &'c Claims<'a, M>,
    others: Others,
    budget: &'b Budget,
    left: u64,
}

impl<M: Model> Questions<'_, '_, '_, M> {
    fn contradict(&mut self, needed: &[OpId]) -> Result<bool, Unanswered> {
        let steps = self.left.min(STEPS_EACH);
        let mut effort = Effort::new(steps, self.budget);
        let answer = self.claims.contradict(needed, self.others, &mut effort);
        self.left -= steps - effort.left;
        answer
    }

    fn is_over(&self) -> bool {
        self.left == 0 || self.budget.stopped().is_some()
    }

    /// The shortest beginning of the candidates, of length 1, 2, 4, ..., that contradicts itself.
    fn first_window(&mut self, candidates: &[OpId]) -> Result<Option<Vec<OpId>>, Limit> {
        let mut length = 1;
        loop {
            let window = &candidates[..length.min(candidates.len())];
            match self.contradict(window) {
                Ok(true) => return Ok(Some(window.to_vec())),
                Err(Unanswered::Out(limit)) => return Err(limit),
                _ if length < candidates.len() && !self.is_over() => length *= 2,
                _ => return Ok(None),
            }
        }
    }

    fn minimize(&mut self, mut needed: Vec<OpId>) -> Core {
        let mut minimal = true;
        let mut chunk = needed.len().div_ceil(2);
        loop {
            let mut end = needed.len();
            let mut removed = false;
            while end > 0 {
                if self.is_over() {
                    return Core { needed, others: self.others, minimal: false };
                }
                let start = end.saturating_sub(chunk);
                let rest: Vec<OpId> = [&needed[..start], &needed[end..]].concat();
                match self.contradict(&rest) {
                    Ok(true) => {
                        needed = rest;
                        removed = true;
                    }
                    Ok(false) => {}
                    Err(_) => minimal &= chunk > 1,
                }
                end = start;
            }
            if chunk > 1 {
                chunk = chunk.div_ceil(2);
            } else if !removed || !minimal {
                return Core { needed, others: self.others, minimal };
            }
        }
    }
}

/// A minimal contradiction among the candidates, the most promising of which come first. `None` if none is found with the
/// steps allowed.
///
/// # Errors
/// The budget ended before one was found.
pub(crate) fn shrink<M: Model>(
    claims: &Claims<'_, M>,
    candidates: &[OpId],
    kinds: &[Others],
    budget: &Budget,
) -> Result<Option<Core>, Limit> {
    for &others in kinds {
        let mut questions = Questions { claims, others, budget, left: STEPS_IN_ALL };
        if let Some(found) = questions.first_window(candidates)? {
            return Ok(Some(questions.minimize(found)));
        }
    }
    Ok(None)
}
