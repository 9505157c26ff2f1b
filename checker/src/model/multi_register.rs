//! Several registers under one roof, read and written by transactions: `txn [[:r x 1] [:w y 2] [:append z 3]]`.

use super::cas_register::find;
use super::{Call, Decoded, Model, text};
use crate::options::{NilRead, Options};
use crate::verdict::Words;
use histories::{History, Outcome, Value, ValueId, Values, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Registers by name. A transaction does all of its reads and writes at one moment: that it takes effect between its two
/// events makes this strict serializability.
#[derive(Clone, Debug)]
pub struct MultiRegister {
    initial: BTreeMap<ValueId, Held>,
    nil_read: NilRead,
}

/// What a register holds. One that holds nothing is in no state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// One value.
    Value(ValueId),
    /// Values that were appended, or a vector or list that was written.
    List(Vec<ValueId>),
    /// An initial value that occurs nowhere in the history.
    Unseen(Arc<str>),
}

/// A part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// Returned what the register holds; `None`: nothing.
    Read(ValueId, Option<Held>),
    /// Replaces it.
    Write(ValueId, Option<Held>),
    /// Adds a value at the end of a list.
    Append(ValueId, ValueId),
}

/// A transaction: its parts in their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transaction(Arc<[Part]>);

impl MultiRegister {
    /// Registers that hold the options' initial value, or what that says of each, if it is a map; the others nothing. Session text
    /// begins with 0, unless 0 is written: then that write is what every read of it saw. A read of nil found nothing, as transactional
    /// histories write it, unless the options say that its result is unknown.
    ///
    /// # Errors
    /// An initial value that nothing can be appended to, where something is.
    pub fn new(history: &History, options: &Options) -> Result<MultiRegister, String> {
        let mut initial = BTreeMap::new();
        match &options.initial {
            Some(Value::Map(pairs)) => {
                for (name, value) in pairs {
                    // A name that occurs nowhere in the history is read by nobody.
                    let Some(name) = find(history, name) else { continue };
                    initial.extend(at_first(history, value).map(|held| (name, held)));
                }
            }
            Some(value) => {
                let held = at_first(history, value);
                let micro_ops = || micro_ops(history);
                if matches!(held, Some(Held::Value(_) | Held::Unseen(_))) && micro_ops().any(|(f, ..)| f == "append") {
                    return Err(format!("nothing can be appended to {value}: lists begin empty; leave --initial out"));
                }
                initial.extend(held.into_iter().flat_map(|held| micro_ops().map(move |(_, name, _)| (name, held.clone()))));
            }
            None if begins_with_zero(history) => {
                let zero = find(history, &Value::Int(0));
                let held = at_first(history, &Value::Int(0));
                initial.extend(held.into_iter().flat_map(|held| micro_ops(history).map(move |(_, name, _)| (name, held.clone()))));
                for (f, name, value) in micro_ops(history) {
                    if matches!(f, "w" | "write") && value.is_some() && value == zero {
                        initial.remove(&name);
                    }
                }
            }
            None => {}
        }
        Ok(MultiRegister { initial, nil_read: options.nil_read.unwrap_or(NilRead::Missing) })
    }

    /// What was assumed where the options say nothing, in sentences.
    pub(crate) fn notes(history: &History, options: &Options) -> Vec<String> {
        let note = || "every key is taken to hold 0 at first (--initial says otherwise)".to_owned();
        (options.initial.is_none() && begins_with_zero(history)).then(note).into_iter().collect()
    }

    fn part(&self, call: &Call<'_>, part: ValueId) -> Result<Option<Part>, String> {
        let values = call.values;
        let wrong = || {
            let shown = values.display(part);
            format!("a transaction's parts are [:r name value], [:w name value] or [:append name value]; {shown} is none")
        };
        let (f, name, value) = match values.elements(part) {
            Some(&[f, name, value]) => (f, name, value),
            Some(&[f, name]) => (f, name, ValueId::NIL),
            _ => return Err(wrong()),
        };
        match values.name(f) {
            "r" | "read" if call.outcome != Outcome::Ok => Ok(None),
            "r" | "read" if value.is_nil() && self.nil_read == NilRead::Wildcard => Ok(None),
            "r" | "read" => Ok(Some(Part::Read(name, held(values, value)))),
            "w" | "write" => Ok(Some(Part::Write(name, held(values, value)))),
            "append" => Ok(Some(Part::Append(name, value))),
            _ => Err(wrong()),
        }
    }
}

/// Whether the history is session text: see [`crate::causal::decode::Rules::new`].
fn begins_with_zero(history: &History) -> bool {
    matches!(history.meta.format, "awdit" | "plume" | "dbcop")
}

/// What a register holds that begins with a value.
fn at_first(history: &History, value: &Value) -> Option<Held> {
    find(history, value).map_or_else(|| Some(Held::Unseen(value.to_string().into())), |value| held(&history.values, value))
}

/// The function, the register and the value of each part of each transaction, as it was asked for and as it was answered.
fn micro_ops(history: &History) -> impl Iterator<Item = (&str, ValueId, Option<ValueId>)> {
    let values = &history.values;
    let told = history.ops().iter().flat_map(|&op| [Some(history.input(op)), history.output(op)]).flatten();
    let parts = told.filter_map(|value| values.elements(value)).flatten();
    parts.filter_map(|&part| match values.elements(part)? {
        [f, name, rest @ ..] => Some((values.name(*f), *name, rest.first().copied())),
        _ => None,
    })
}

fn held(values: &Values, value: ValueId) -> Option<Held> {
    match values.view(value) {
        View::Nil | View::Vector([]) | View::List([]) => None,
        View::Vector(list) | View::List(list) => Some(Held::List(list.to_vec())),
        _ => Some(Held::Value(value)),
    }
}

impl Model for MultiRegister {
    type State = BTreeMap<ValueId, Held>;
    type Op = Transaction;

    fn name(&self) -> &'static str {
        "multi-register"
    }

    fn init(&self) -> Self::State {
        self.initial.clone()
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Transaction>, String> {
        let value = call.output.unwrap_or(call.input);
        let Some(parts) = call.values.elements(value) else {
            return Err(format!("a transaction is a vector like [[:r x 1] [:w y 2]], not {}", call.values.display(value)));
        };
        let mut read = Vec::with_capacity(parts.len());
        for &part in parts {
            read.extend(self.part(call, part)?);
        }
        let says_nothing = call.outcome == Outcome::Fail || read.is_empty();
        Ok(if says_nothing { Decoded::Nothing } else { Decoded::Op(Transaction(read.into())) })
    }

    fn step(&self, state: &Self::State, op: &Transaction) -> Option<Self::State> {
        let mut next = state.clone();
        self.apply(&mut next, op).then_some(next)
    }

    fn apply(&self, state: &mut Self::State, op: &Transaction) -> bool {
        for part in op.0.iter() {
            match part {
                Part::Read(name, seen) if state.get(name) != seen.as_ref() => return false,
                Part::Read(..) => {}
                Part::Write(name, Some(value)) => {
                    state.insert(*name, value.clone());
                }
                Part::Write(name, None) => {
                    state.remove(name);
                }
                Part::Append(name, value) => match state.entry(*name).or_insert_with(|| Held::List(Vec::new())) {
                    Held::List(list) => list.push(*value),
                    Held::Value(_) | Held::Unseen(_) => return false,
                },
            }
        }
        true
    }

    fn is_pure(&self, op: &Transaction) -> bool {
        op.0.iter().all(|part| matches!(part, Part::Read(..)))
    }

    fn op_bytes(&self, op: &Transaction) -> usize {
        let list = |part: &Part| match part {
            Part::Read(_, Some(Held::List(values))) | Part::Write(_, Some(Held::List(values))) => values.len() * size_of::<ValueId>(),
            _ => 0,
        };
        size_of_val(&*op.0) + op.0.iter().map(list).sum::<usize>()
    }

    fn state_bytes(&self, state: &BTreeMap<ValueId, Held>) -> usize {
        let lists = state.values().map(|held| if let Held::List(list) = held { list.len() * size_of::<ValueId>() } else { 0 });
        lists.sum::<usize>() + 16 + state.len() * 2 * size_of::<(ValueId, Held)>()
    }

    fn tell_op(&self, op: &Transaction, _: bool, values: &Values) -> Vec<Words> {
        vec![text("did "), Words::Value(self.show_op(op, values))]
    }

    fn show_op(&self, op: &Transaction, values: &Values) -> String {
        let show = |held: &Option<Held>| held.as_ref().map_or_else(|| "nil".into(), |held| held.show(values));
        let parts = op.0.iter().map(|part| match part {
            Part::Read(name, seen) => format!("r {}→{}", values.display(*name), show(seen)),
            Part::Write(name, value) => format!("w {} {}", values.display(*name), show(value)),
            Part::Append(name, value) => format!("append {} {}", values.display(*name), values.display(*value)),
        });
        parts.collect::<Vec<_>>().join(", ")
    }

    fn show_state(&self, state: &Self::State, values: &Values) -> String {
        let held = state.iter().map(|(name, held)| format!("{} {}", values.display(*name), held.show(values)));
        format!("{{{}}}", held.collect::<Vec<_>>().join(", "))
    }
}

impl Held {
    fn show(&self, values: &Values) -> String {
        match self {
            Held::Value(value) => values.display(*value),
            Held::Unseen(text) => text.to_string(),
            Held::List(list) => super::container::show_list(list.iter().map(|value| values.display(*value))),
        }
    }
}
