//! Collections in which every value is put in once: decided by looking at each value's own ops, in near-linear time.
//!
//! Each module says what must hold, why that is enough, and gives an order or the few ops that break it. What none of them
//! covers (a value that was put in twice, an op of another kind) is left to the search.

mod growing;
mod ids;
mod queue;

use super::problem::{NEVER, Problem};
use super::zones::Zones;
use crate::model::{Collection, Model, Role};
use hashbrown::HashMap;
use histories::ValueId;
use rustc_hash::FxBuildHasher;

type FxMap<K, V> = HashMap<K, V, FxBuildHasher>;

/// No entry.
const NONE: u32 = u32::MAX;

/// What a procedure holds at most per op, in bytes: a life, its places in the orders, tables by value.
pub(crate) const BYTES_PER_OP: usize = 160;

/// The name of the procedure for a collection, as verdicts tell it.
pub(crate) fn name(collection: Collection) -> &'static str {
    match collection {
        Collection::Queue => "queue order",
        Collection::Set => "nested reads",
        Collection::List => "read order",
        Collection::Ids => "distinct ids",
        Collection::Stack | Collection::PriorityQueue | Collection::Bag => "search",
    }
}

/// Decides, as far as the collection's procedure goes.
pub(crate) fn decide<M: Model>(model: &M, problem: &Problem<M::Op>, collection: Collection) -> Zones {
    let roles: Vec<Role<'_>> = problem.classes.iter().map(|op| model.role(op)).collect();
    match collection {
        Collection::Queue => queue::decide(problem, &roles),
        Collection::Set => growing::decide(problem, &roles, growing::Order::None),
        Collection::List => growing::decide(problem, &roles, growing::Order::Listed),
        Collection::Ids => ids::decide(problem, &roles),
        Collection::Stack | Collection::PriorityQueue | Collection::Bag => Zones::Open,
    }
}

/// A contradiction among the suspects: known at the latest when the last of them has returned.
fn stuck<O>(problem: &Problem<O>, suspects: impl IntoIterator<Item = u32>) -> Zones {
    let mut suspects: Vec<u32> = suspects.into_iter().filter(|&suspect| suspect != NONE).collect();
    suspects.sort_unstable();
    suspects.dedup();
    let ret = |suspect: u32| problem.entries[suspect as usize].ret;
    let blocked = suspects.iter().copied().filter(|&suspect| ret(suspect) != NEVER).max_by_key(|&suspect| ret(suspect));
    blocked.map_or(Zones::Open, |blocked| Zones::Stuck { blocked, suspects })
}

/// The entry that puts each value in. `None` if a value is put in twice.
fn inserts<O>(problem: &Problem<O>, roles: &[Role<'_>]) -> Option<FxMap<ValueId, u32>> {
    let mut inserts = FxMap::default();
    for (i, entry) in (0..).zip(&problem.entries) {
        if let Role::Insert(value) = roles[entry.class as usize]
            && inserts.insert(value, i).is_some()
        {
            return None;
        }
    }
    Some(inserts)
}
