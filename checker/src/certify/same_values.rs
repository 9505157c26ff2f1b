//! Contradictions about a few values of a collection, all other values left out.
//!
//! What a queue, a stack, a set or a list does with some values does not depend on which others there are: take all ops on
//! the others out of a legal order, and it stays legal. So if the ops on a few values cannot be ordered by themselves, nothing
//! can. The few are the values of the needed ops, and what needed reads saw before any op put it in. Removals of unknown
//! outcome may have taken any value and stay; like all ops that are not needed, they happen at most once.

use super::{Claims, Effort, FxMap, FxSet, Item, Unanswered, once};
use crate::model::{Model, Role};
use histories::ValueId;

/// Whether no order of the needed ops exists, see [`Claims::contradict`].
pub(super) fn contradict<M: Model>(claims: &Claims<'_, M>, is_needed: &[bool], effort: &mut Effort<'_>) -> Result<bool, Unanswered> {
    let values = values(claims, is_needed);
    let keep = |value: ValueId| values.contains(&value);
    let is_pure: Vec<bool> = claims.kinds.iter().map(|op| claims.model.is_pure(op)).collect();
    let mut kind_of: FxMap<M::Op, u32> = FxMap::default();
    let mut restricted_kind: Vec<Option<Option<u32>>> = vec![None; claims.kinds.len()];
    let mut restricted = Claims { model: claims.model, ops: Vec::new(), kinds: Vec::new(), events: Vec::new() };
    let mut restricted_needed = Vec::new();
    for (item, &needed) in claims.ops.iter().zip(is_needed) {
        effort.take(1)?;
        if is_pure[item.kind as usize] && !needed {
            continue;
        }
        let kind = *restricted_kind[item.kind as usize].get_or_insert_with(|| {
            let op = claims.model.restrict(&claims.kinds[item.kind as usize], &keep)?;
            let next = restricted.kinds.len() as u32;
            Some(*kind_of.entry(op).or_insert_with_key(|op| {
                restricted.kinds.push(op.clone());
                next
            }))
        });
        let Some(kind) = kind else { continue };
        let index = restricted.ops.len() as u32;
        restricted.ops.push(Item { kind, ..*item });
        restricted_needed.push(needed);
        restricted.events.push((item.call, index));
        if item.ret != super::NEVER {
            restricted.events.push((item.ret, index));
        }
    }
    restricted.events.sort_unstable();
    once::contradict(&restricted, &restricted_needed, effort)
}

/// The values that the needed ops concern.
fn values<M: Model>(claims: &Claims<'_, M>, is_needed: &[bool]) -> FxSet<ValueId> {
    let role = |item: &Item| claims.model.role(&claims.kinds[item.kind as usize]);
    let mut values = FxSet::default();
    let mut reads = Vec::new();
    for (item, _) in claims.ops.iter().zip(is_needed).filter(|(_, needed)| **needed) {
        match role(item) {
            Role::Insert(value) | Role::Put(value) | Role::Remove(value) | Role::Concerns(value) => {
                values.insert(value);
            }
            Role::Read(list) => reads.push((item.ret, list)),
            Role::RemoveAny | Role::Empty | Role::Other => {}
        }
    }
    if reads.is_empty() {
        return values;
    }
    // The ops are in the order of their invocations.
    let mut first_put: FxMap<ValueId, u32> = FxMap::default();
    for item in &claims.ops {
        if let Role::Insert(value) | Role::Put(value) = role(item) {
            first_put.entry(value).or_insert(item.call);
        }
    }
    for (ret, list) in reads {
        values.extend(list.iter().filter(|value| first_put.get(*value).is_none_or(|&call| call > ret)));
    }
    values
}
