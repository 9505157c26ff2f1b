//! A generator of unique ids: `generate` returns one that was never returned before.

use super::{Call, Collection, Decoded, Model, Role, text};
use crate::verdict::{Others, Words};
use histories::{Outcome, ValueId, Values};
use std::collections::BTreeSet;

/// A generator of ids, of any kind. It promises nothing but that they are different.
#[derive(Clone, Copy, Debug)]
pub struct IdGenerator;

/// The id that was returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generated(ValueId);

impl Model for IdGenerator {
    /// The ids that were returned.
    type State = BTreeSet<ValueId>;
    type Op = Generated;

    fn name(&self) -> &'static str {
        "id-generator"
    }

    fn init(&self) -> BTreeSet<ValueId> {
        BTreeSet::new()
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Generated>, String> {
        if !matches!(call.f, "generate" | "generate-id" | "next-id") {
            return Err(format!("an id generator knows generate, which returns an id, not {}", call.f));
        }
        // An id that nobody got is nobody's twin.
        let id = call.output.filter(|id| call.outcome == Outcome::Ok && !id.is_nil());
        Ok(id.map_or(Decoded::Nothing, |id| Decoded::Op(Generated(id))))
    }

    fn step(&self, state: &BTreeSet<ValueId>, op: &Generated) -> Option<BTreeSet<ValueId>> {
        let mut next = state.clone();
        self.apply(&mut next, op).then_some(next)
    }

    fn apply(&self, state: &mut BTreeSet<ValueId>, op: &Generated) -> bool {
        state.insert(op.0)
    }

    fn state_bytes(&self, state: &BTreeSet<ValueId>) -> usize {
        16 + state.len() * 2 * size_of::<ValueId>()
    }

    fn contradictions(&self) -> &'static [Others] {
        &[Others::SameValues]
    }

    fn collection(&self) -> Option<Collection> {
        Some(Collection::Ids)
    }

    fn role<'o>(&self, op: &'o Generated) -> Role<'o> {
        Role::Insert(op.0)
    }

    fn restrict(&self, op: &Generated, keep: &dyn Fn(ValueId) -> bool) -> Option<Generated> {
        keep(op.0).then_some(*op)
    }

    fn tell_op(&self, op: &Generated, _: bool, values: &Values) -> Vec<Words> {
        vec![text("got the id "), Words::Value(values.display(op.0))]
    }

    fn show_op(&self, op: &Generated, values: &Values) -> String {
        format!("id→{}", values.display(op.0))
    }

    fn show_state(&self, state: &BTreeSet<ValueId>, values: &Values) -> String {
        super::container::show_list(state.iter().map(|id| values.display(*id)))
    }
}
