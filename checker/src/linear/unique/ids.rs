//! Ids are unique exactly if no two ops got the same one: then any order that respects real time will do.

use super::{FxMap, No, Ops};
use crate::budget::Account;
use crate::model::Role;
use histories::{OpId, ValueId};

pub(super) fn decide(ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let mut first: FxMap<ValueId, u32> = FxMap::default();
    for (i, entry) in (0..).zip(&ops.entries) {
        account.work(2)?;
        let Role::Insert(id) = ops.role(i) else { return Err(No::Open) };
        if entry.is_crashed() {
            continue;
        }
        if let Some(twin) = first.insert(id, i) {
            return Err(No::Broken(vec![twin, i]));
        }
    }
    // In the order of their invocations, without those that nobody has to have seen.
    Ok(ops.entries.iter().filter(|entry| !entry.is_crashed()).map(|entry| entry.id).collect())
}
