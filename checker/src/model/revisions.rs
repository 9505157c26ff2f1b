//! One key of etcd's store, with revisions: `get`, `put`, `delete`, `cas [old new]`.

use super::{Call, Decoded, Deed, Model, Sees, Tally, text};
use crate::options::Options;
use crate::verdict::{Others, Words};
use histories::{History, Outcome, ValueId, Values, keyed};

/// A key that holds nothing at first. Every change gives it a greater revision; other keys have revisions in between.
///
/// A get returns `[value revision]`, or nil; a put, delete or cas that knows its revision returns `[input revision]`, where
/// input is what it was called with. Whatever else they return says nothing of revisions.
///
/// Where no op of the history tells a revision it is a register of values, and is decided as fast as one.
#[derive(Clone, Copy, Debug)]
pub struct EtcdKv {
    /// Whether any op tells a revision.
    is_numbered: bool,
}

impl EtcdKv {
    /// The model for a history.
    pub fn new(history: &History, options: &Options) -> EtcdKv {
        let is_keyed = options.keyed.or(history.meta.keyed).unwrap_or_else(|| keyed::guess(history).keyed);
        let values = &history.values;
        let told = |output: ValueId| {
            let output = if is_keyed { values.as_pair(output).map_or(output, |(_, under)| under) } else { output };
            with_revision(values, output).is_some()
        };
        EtcdKv { is_numbered: history.op_ids().any(|id| history.output(history.op(id)).is_some_and(told)) }
    }

    /// What an op that does not depend on revisions leads to.
    fn of_value(value: ValueId) -> State {
        State { value, revision: Revision::Exactly(0) }
    }
}

/// An op on a key. Revisions are `None` where nobody knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Returns the value, nil if there is none, and the revision of the change that stored it.
    Get(ValueId, Option<i64>),
    /// Replaces the value.
    Put(ValueId, Option<i64>),
    /// Takes it away.
    Delete(Option<i64>),
    /// Replaces the first value by the second, and happens only where the key holds the first.
    Cas(ValueId, ValueId, Option<i64>),
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    value: ValueId,
    /// The revision of the last change.
    revision: Revision,
}

/// A revision, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Revision {
    Exactly(i128),
    AtLeast(i128),
}

impl Revision {
    /// The next one, if it can be this.
    fn next(self, known: Option<i64>) -> Option<Revision> {
        let (Revision::Exactly(least) | Revision::AtLeast(least)) = self;
        match known {
            None => Some(Revision::AtLeast(least + 1)),
            Some(known) => (i128::from(known) > least).then_some(Revision::Exactly(known.into())),
        }
    }

    /// This one, if it is the one that was seen.
    fn seen(self, seen: i64) -> Option<Revision> {
        let fits = match self {
            Revision::Exactly(known) => known == seen.into(),
            Revision::AtLeast(least) => i128::from(seen) >= least,
        };
        fits.then_some(Revision::Exactly(seen.into()))
    }
}

/// The value and the revision of a result like `[value revision]`.
fn with_revision(values: &Values, result: ValueId) -> Option<(ValueId, i64)> {
    let (value, revision) = values.as_pair(result)?;
    Some((value, values.as_int(revision)?))
}

/// A result as those see it who do not look at revisions.
pub(crate) fn without_revision(values: &Values, result: ValueId) -> ValueId {
    with_revision(values, result).map_or(result, |(value, _)| value)
}

impl Model for EtcdKv {
    type State = State;
    type Op = Op;

    fn name(&self) -> &'static str {
        "etcd-kv"
    }

    fn init(&self) -> State {
        State { value: ValueId::NIL, revision: Revision::Exactly(0) }
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let told = call.output.and_then(|output| with_revision(call.values, output));
        let revision = told.filter(|told| told.0 == call.input).map(|told| told.1);
        let op = match call.f {
            "get" | "read" => call.output.map(|output| told.map_or(Op::Get(output, None), |(value, seen)| Op::Get(value, Some(seen)))),
            "put" | "write" => Some(Op::Put(call.input, revision)),
            "delete" => Some(Op::Delete(revision)),
            "cas" => match call.values.as_pair(call.input) {
                Some((old, new)) => Some(Op::Cas(old, new, revision)),
                None => return Err(format!("a cas needs a pair [old new], not {}", call.values.display(call.input))),
            },
            other => return Err(format!("etcd's kv knows get, put, delete and cas, not {other}")),
        };
        Ok(op.filter(|_| call.outcome != Outcome::Fail).map_or(Decoded::Nothing, Decoded::Op))
    }

    fn step(&self, state: &State, op: &Op) -> Option<State> {
        let changed = |value, revision| {
            if !self.is_numbered {
                return Some(EtcdKv::of_value(value));
            }
            state.revision.next(revision).map(|revision| State { value, revision })
        };
        match *op {
            Op::Get(value, _) if value != state.value => None,
            Op::Get(_, None) => Some(*state),
            Op::Get(value, Some(seen)) => state.revision.seen(seen).map(|revision| State { value, revision }),
            Op::Put(value, revision) => changed(value, revision),
            // To delete nothing is no change.
            Op::Delete(_) if state.value.is_nil() => Some(*state),
            Op::Delete(revision) => changed(ValueId::NIL, revision),
            Op::Cas(old, new, revision) => (old == state.value).then(|| changed(new, revision)).flatten(),
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        // One that tells a revision may tell that of a change which did not: then more is known than before.
        matches!(op, Op::Get(_, None))
    }

    fn is_blind_write(&self, op: &Op) -> bool {
        !self.is_numbered && matches!(op, Op::Put(..) | Op::Delete(_))
    }

    fn sees(&self, op: &Op) -> Sees<State> {
        match *op {
            _ if self.is_numbered => Sees::Something,
            Op::Get(value, _) | Op::Cas(value, ..) => Sees::Only(EtcdKv::of_value(value)),
            Op::Put(..) | Op::Delete(_) => Sees::Nothing,
        }
    }

    fn contradictions(&self) -> &'static [Others] {
        // Where revisions grow with each change there is no end to any number of them; `certify` has its own way.
        if self.is_numbered { &[Others::AtMostOnce] } else { &[Others::AnyNumber, Others::AtMostOnce] }
    }

    fn tally(&self) -> Option<Tally> {
        Some(Tally::Revisions { told: self.is_numbered })
    }

    fn deed(&self, op: &Op) -> Deed {
        match *op {
            Op::Get(value, revision) => Deed::Show(value, revision),
            Op::Put(to, revision) => Deed::Store { from: None, to, revision },
            Op::Delete(revision) => Deed::Clear(revision),
            Op::Cas(from, to, revision) => Deed::Store { from: Some(from), to, revision },
        }
    }

    fn tell_absence(&self, state: &State, again: bool, values: &Values) -> Vec<Words> {
        let end = if again { " again" } else { "" };
        let value = Words::Value(values.display(state.value));
        if state.value.is_nil() { vec![text("nobody deleted the key"), text(end)] } else { vec![text("nobody wrote "), value, text(end)] }
    }

    fn tell_op(&self, op: &Op, perfect: bool, values: &Values) -> Vec<Words> {
        let value = |value: ValueId| Words::Value(values.display(value));
        let at = |revision: Option<i64>| text(&revision.map_or_else(String::new, |revision| format!(" at revision {revision}")));
        match *op {
            Op::Get(v, revision) => vec![text("read "), value(v), at(revision)],
            Op::Put(v, revision) => vec![text(if perfect { "written " } else { "wrote " }), value(v), at(revision)],
            Op::Delete(revision) => vec![text("deleted the key"), at(revision)],
            Op::Cas(old, new, revision) => vec![text("found "), value(old), text(" and set "), value(new), at(revision)],
        }
    }

    fn show_op(&self, op: &Op, values: &Values) -> String {
        let at = |revision: Option<i64>| revision.map_or_else(String::new, |revision| format!(" @{revision}"));
        match *op {
            Op::Get(value, revision) => format!("r→{}{}", values.display(value), at(revision)),
            Op::Put(value, revision) => format!("w {}{}", values.display(value), at(revision)),
            Op::Delete(revision) => format!("delete{}", at(revision)),
            Op::Cas(old, new, revision) => format!("cas {}→{}{}", values.display(old), values.display(new), at(revision)),
        }
    }

    fn show_state(&self, state: &State, values: &Values) -> String {
        let value = values.display(state.value);
        match state.revision {
            Revision::Exactly(0) => value,
            Revision::Exactly(revision) => format!("{value} @{revision}"),
            Revision::AtLeast(revision) => format!("{value} @≥{revision}"),
        }
    }
}
