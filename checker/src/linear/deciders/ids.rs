//! Ids are unique exactly if no two ops got the same one: then any order that respects real time will do.

use super::{FxMap, stuck};
use crate::linear::problem::Problem;
use crate::linear::zones::Zones;
use crate::model::Role;
use histories::ValueId;

pub(super) fn decide<O>(problem: &Problem<O>, roles: &[Role<'_>]) -> Zones {
    let mut first: FxMap<ValueId, u32> = FxMap::default();
    for (i, entry) in (0..).zip(&problem.entries) {
        let Role::Insert(id) = roles[entry.class as usize] else { return Zones::Open };
        if entry.is_crashed() {
            continue;
        }
        if let Some(twin) = first.insert(id, i) {
            return stuck(problem, [twin, i]);
        }
    }
    // In the order of their invocations, without those that nobody has to have seen.
    Zones::Order(problem.entries.iter().filter(|entry| !entry.is_crashed()).map(|entry| entry.id).collect())
}
