//! Reads of a number that is out of reach of all that was added, each add at most once.
//!
//! By the time a read takes effect, some adds have: the needed ones that returned before it was invoked for certain, once each; the
//! needed ones that are in flight and all others that were invoked before it returned, perhaps. So it sees at least the former and
//! whatever of the latter takes away, and at most the former and whatever of the latter adds.

use super::{Claims, Effort, Unanswered};
use crate::decode::NEVER;
use crate::model::{Deed, Model, Tally};

/// Whether a needed read saw less than the least or more than the most that can be. `false` says nothing.
pub(super) fn contradict<M: Model>(claims: &Claims<'_, M>, is_needed: &[bool], effort: &mut Effort<'_>) -> Result<bool, Unanswered> {
    let Some(Tally::Number(start)) = claims.model.tally() else { return Ok(false) };
    effort.take(claims.events.len() as u64)?;
    let deed = |index: u32| claims.model.deed(&claims.kinds[claims.ops[index as usize].kind as usize]);
    // What was added for certain, and what may have been: of each how much up and how much down.
    let (mut certain, mut possible) = ([0i128; 2], [0i128; 2]);
    let mut certain_at_call = vec![[0i128; 2]; claims.ops.len()];
    for &(at, index) in &claims.events {
        let item = claims.ops[index as usize];
        let needed = is_needed[index as usize] && item.ret != NEVER;
        let is_call = at == item.call;
        match deed(index) {
            Deed::Add(amount) if is_call => possible[usize::from(amount < 0)] += i128::from(amount),
            Deed::Add(amount) if needed => certain[usize::from(amount < 0)] += i128::from(amount),
            Deed::Saw(_) if is_call => certain_at_call[index as usize] = certain,
            Deed::Saw(seen) if needed => {
                let [up, down] = certain_at_call[index as usize];
                // The least: what is certain, and all that may have been taken away. What is certain is possible, too.
                let (least, most) = (start + up + possible[1], start + possible[0] + down);
                if i128::from(seen) < least || i128::from(seen) > most {
                    return Ok(true);
                }
            }
            // An add that may not have happened when it returned; and what no number is made of.
            Deed::Add(_)
            | Deed::Saw(_)
            | Deed::Take { .. }
            | Deed::GiveBack { .. }
            | Deed::Enter(..)
            | Deed::Leave(..)
            | Deed::Has(..)
            | Deed::Show(..)
            | Deed::Store { .. }
            | Deed::Clear(_)
            | Deed::Other => {}
        }
    }
    Ok(false)
}
