//! Ops as updates and reads of a replicated object: a register, a set, a list or a counter, or many of them by key.

use crate::causal::decode::{Micro, Rules};
use crate::check::unknown_model;
use crate::model::{Call, Counter, Decoded, ListAppend, Model, Set, counter, list, set};
use crate::options::Options;
use histories::keyed::Keys;
use histories::{History, OpId, Outcome, Value, ValueId};
use std::sync::Arc;

/// What an update does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Act {
    /// Replaces its value.
    Write(ValueId),
    /// Replaces its value, and happens only where it holds the first: a cas.
    Replace(ValueId, ValueId),
    /// Appends to its string, which is not followed further.
    Extend,
    /// Puts an element in; at the end, if it is a list.
    Add(ValueId),
    /// Takes an element out.
    Remove(ValueId),
    /// Adds to its number.
    Increase(i64),
}

/// What a read returned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Seen {
    /// A value.
    Value(ValueId),
    /// The elements: of a set sorted by word, of a list in their order.
    Elements(Arc<[ValueId]>),
    /// A number.
    Number(i64),
}

/// What an op does to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// It changes it.
    Update(Act),
    /// It returns all of it.
    Read(Seen),
}

/// A replicated data type: see [`super::replicated`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataType {
    /// A set that only grows.
    GrowOnlySet,
    /// A set whose removals are final.
    TwoPhaseSet,
    /// A set whose removals remove the adds that they have seen.
    ObservedRemoveSet,
    /// A counter, whether it only grows or not.
    Counter,
}

impl DataType {
    /// The type that a model's name names.
    fn by_name(model: &str) -> Option<DataType> {
        match model {
            "g-set" => Some(DataType::GrowOnlySet),
            "2p-set" => Some(DataType::TwoPhaseSet),
            "or-set" => Some(DataType::ObservedRemoveSet),
            "g-counter" | "pn-counter" => Some(DataType::Counter),
            _ => None,
        }
    }
}

/// What kind of object it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Holds a value.
    Register,
    /// Holds each element once.
    Set,
    /// Holds elements in their order.
    List,
    /// Holds a number.
    Counter,
}

/// The kind of object, with the model that reads its ops.
#[derive(Debug)]
enum Kind {
    Register,
    Set(Set),
    List(ListAppend),
    Counter(Counter),
}

/// How the ops of a history are to be understood.
#[derive(Debug)]
pub(crate) struct Objects<'a> {
    keys: &'a Keys,
    kind: Kind,
    /// Which replicated data type it is, if it is one.
    pub(crate) data_type: Option<DataType>,
    rules: Rules<'a>,
    /// What a counter holds at first.
    pub(crate) initial_number: i64,
}

impl<'a> Objects<'a> {
    /// The objects that the options name.
    ///
    /// # Errors
    /// A model of which it is not defined what its replicas agree on, in a sentence.
    pub(crate) fn new(history: &History, options: &Options, keys: &'a Keys) -> Result<Objects<'a>, String> {
        let mut initial_number = 0;
        let kind = match options.model.as_str() {
            "" | "register" | "cas-register" | "kv" | "etcd-kv" | "multi-register" => Kind::Register,
            "set" | "g-set" | "2p-set" | "or-set" => Kind::Set(Set::new(options)),
            "list-append" => Kind::List(ListAppend::new(options)),
            "counter" | "g-counter" | "pn-counter" => {
                initial_number = options.initial.as_ref().and_then(Value::as_int).unwrap_or(0);
                Kind::Counter(Counter::new(options)?)
            }
            other if crate::MODELS.iter().any(|model| model.0 == other) => {
                return Err(format!(
                    "convergence and staleness are judged of register, cas-register, kv, etcd-kv, multi-register, set (g-set, 2p-set, or-set), list-append and counter (g-counter, pn-counter), not of {other}"
                ));
            }
            other => return Err(unknown_model(other)),
        };
        if options.model == "multi-register" && matches!(options.initial, Some(Value::Map(_))) {
            return Err("every key begins with the same value here; --initial cannot be a map".into());
        }
        let data_type = DataType::by_name(&options.model);
        Ok(Objects { keys, kind, data_type, rules: Rules::new(history, options, keys), initial_number })
    }

    /// The kind of object by its model's name; a replicated set is a set.
    pub(crate) fn name(&self) -> &'static str {
        match self.shape() {
            Shape::Register => "register",
            Shape::Set => "set",
            Shape::List => "list-append",
            Shape::Counter => "counter",
        }
    }

    /// The kind of object.
    pub(crate) fn shape(&self) -> Shape {
        match &self.kind {
            Kind::Register => Shape::Register,
            Kind::Set(_) => Shape::Set,
            Kind::List(_) => Shape::List,
            Kind::Counter(_) => Shape::Counter,
        }
    }

    /// Whether an element can be in the object at most once.
    pub(crate) fn is_set(&self) -> bool {
        self.shape() == Shape::Set
    }

    /// What was assumed where the options say nothing, in sentences.
    pub(crate) fn notes(&self, options: &Options) -> Vec<String> {
        match self.kind {
            Kind::Register => self.rules.notes(options),
            Kind::Set(_) => crate::check::notes_on_nil("set", options),
            Kind::List(_) => crate::check::notes_on_nil("list-append", options),
            Kind::Counter(_) => Vec::new(),
        }
    }

    /// A failed cas that says something: it is a read before the end.
    pub(crate) fn unjudged_failure(&self, history: &History) -> bool {
        self.shape() == Shape::Register && self.rules.unjudged_failure(history).is_some()
    }

    /// Whether a value is what a register holds at first.
    pub(crate) fn is_initial(&self, history: &History, value: ValueId) -> bool {
        match &self.rules.initial {
            Value::Nil => value.is_nil(),
            initial => history.values.get(value) == *initial,
        }
    }

    /// Appends what an op did, or what it may have done if its outcome is unknown, with the objects' keys (nil where there are
    /// none). A failed op did nothing; `attempted` asks for what it would have done. Reads of unknown result, and ops that
    /// neither change an object nor return all of it, are left out.
    ///
    /// # Errors
    /// Why the op is none of the model's, in words.
    pub(crate) fn decode(&self, history: &History, id: OpId, attempted: bool, out: &mut Vec<(ValueId, Fact)>) -> Result<(), String> {
        let op = history.op(id);
        let outcome = history.outcome(op);
        if outcome == Outcome::Fail && !attempted {
            return Ok(());
        }
        if matches!(self.kind, Kind::Register) {
            return self.decode_register(history, id, out);
        }
        let Some(key) = self.key(history, id) else { return Ok(()) };
        let call = Call {
            f: history.name(history.op_function(op)),
            input: self.keys.input(history, op),
            output: self.keys.output(history, op),
            // What a failed op would have done is what one of unknown outcome may have done.
            outcome: if outcome == Outcome::Ok { outcome } else { Outcome::Info },
            process: history.op_process(op).0,
            values: &history.values,
        };
        // What a data type does not offer may have failed for that reason.
        let is_refused = outcome == Outcome::Fail && self.data_type.is_some();
        let fact = match &self.kind {
            Kind::Register => None,
            Kind::Set(model) => only(decoded(model, &call, is_refused)?).and_then(|op| match op {
                set::Op::Add(element, _) => Some(Fact::Update(Act::Add(element))),
                set::Op::Remove(element, _) => Some(Fact::Update(Act::Remove(element))),
                set::Op::Contains(..) => None,
                set::Op::Read(elements) => Some(Fact::Read(Seen::Elements(elements))),
            }),
            Kind::List(model) => only(model.decode(&call)?).map(|op| match op {
                list::Op::Append(element) => Fact::Update(Act::Add(element)),
                list::Op::Read(elements) => Fact::Read(Seen::Elements(elements)),
            }),
            Kind::Counter(model) => only(decoded(model, &call, is_refused)?).map(|op| match op {
                counter::Op::Add(amount) => Fact::Update(Act::Increase(amount)),
                counter::Op::Read(number) => Fact::Read(Seen::Number(number)),
            }),
        };
        out.extend(fact.map(|fact| (key, fact)));
        Ok(())
    }

    /// The key of an op: nil where there are none; `None` if it has none and should.
    fn key(&self, history: &History, id: OpId) -> Option<ValueId> {
        if !self.keys.is_keyed() {
            return Some(ValueId::NIL);
        }
        history.values.as_pair(history.input(history.op(id))).map(|pair| pair.0)
    }

    fn decode_register(&self, history: &History, id: OpId, out: &mut Vec<(ValueId, Fact)>) -> Result<(), String> {
        let op = history.op(id);
        let act = match history.name(history.op_function(op)) {
            "delete" => Act::Write(ValueId::NIL),
            "append" => Act::Extend,
            _ => {
                let mut micros: Vec<Micro> = Vec::new();
                self.rules.attempted(history, id, &mut micros)?;
                if let ("cas", &[found, stored]) = (history.name(history.op_function(op)), &micros[..]) {
                    out.push((found.key, Fact::Update(Act::Replace(found.value, stored.value))));
                    return Ok(());
                }
                let fact = |&Micro { is_write, value, .. }: &Micro| {
                    if is_write { Fact::Update(Act::Write(value)) } else { Fact::Read(Seen::Value(value)) }
                };
                out.extend(micros.iter().map(|micro| (micro.key, fact(micro))));
                return Ok(());
            }
        };
        out.extend(self.key(history, id).map(|key| (key, Fact::Update(act))));
        Ok(())
    }
}

fn decoded<M: Model>(model: &M, call: &Call<'_>, is_refused: bool) -> Result<Decoded<M::Op>, String> {
    match model.decode(call) {
        Err(_) if is_refused => Ok(Decoded::Nothing),
        decoded => decoded,
    }
}

fn only<O>(decoded: Decoded<O>) -> Option<O> {
    match decoded {
        Decoded::Op(op) => Some(op),
        Decoded::Nothing => None,
    }
}
