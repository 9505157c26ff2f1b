//! A register whose reads may return any of the latest k writes: k-atomicity as a model, for the searches to decide.

use crate::model::{Call, Decoded, Model, Sees, without_revision};
use crate::options::{NilRead, Options};
use crate::verdict::Words;
use histories::{History, Outcome, Value, ValueId, Values, View};

/// A register that remembers its latest k values.
#[derive(Clone, Debug)]
pub(crate) struct Latest {
    k: usize,
    initial: Option<ValueId>,
    /// What every read of nil means, if the options say so.
    nil_read: Option<NilRead>,
    /// What a `read` of nil means where they do not; a `get` finds nothing there.
    usual_nil_read: NilRead,
    empty_is_nil: bool,
    /// What was read may be `[value revision]`, of which the value counts.
    with_revisions: bool,
}

/// An op of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// Returns one of the latest values.
    Read(ValueId),
    /// Replaces the value.
    Write(ValueId),
}

impl Latest {
    /// As the options, or the history's format, want it: as models weaker than linearizable understand registers.
    pub(crate) fn new(history: &History, options: &Options, k: usize) -> Latest {
        let kv = options.model == "kv";
        let with_revisions = options.model == "etcd-kv";
        let empty_is_nil = kv || history.names().iter().any(|name| matches!(&**name, "get" | "put"));
        let missing = kv || with_revisions || history.meta.format.starts_with("porcupine");
        let usual_nil_read = if missing { NilRead::Missing } else { NilRead::Wildcard };
        let initial = match &options.initial {
            None | Some(Value::Nil) => Some(ValueId::NIL),
            Some(Value::Str(text)) if text.is_empty() && empty_is_nil => Some(ValueId::NIL),
            Some(value) => crate::model::find(history, value),
        };
        Latest { k, initial, nil_read: options.nil_read, usual_nil_read, empty_is_nil, with_revisions }
    }

    /// The same with another k.
    pub(crate) fn with(&self, k: usize) -> Latest {
        Latest { k, ..self.clone() }
    }

    /// The initial value; `None` if it occurs nowhere in the history.
    pub(crate) fn initial(&self) -> Option<ValueId> {
        self.initial
    }

    fn normal(&self, values: &Values, value: ValueId) -> ValueId {
        if self.empty_is_nil && values.view(value) == View::Str("") { ValueId::NIL } else { value }
    }
}

impl Model for Latest {
    /// The latest values, the newest last.
    type State = Vec<Option<ValueId>>;
    type Op = Op;

    fn name(&self) -> &'static str {
        "register"
    }

    fn init(&self) -> Vec<Option<ValueId>> {
        vec![self.initial]
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let value = |value| self.normal(call.values, value);
        let op = match (call.f, call.output) {
            ("read", Some(ValueId::NIL)) if self.nil_read.unwrap_or(self.usual_nil_read) == NilRead::Wildcard => None,
            ("get", Some(ValueId::NIL)) if self.nil_read == Some(NilRead::Wildcard) => None,
            ("read" | "get", Some(output)) if self.with_revisions => Some(Op::Read(value(without_revision(call.values, output)))),
            ("read" | "get", output) => output.map(|output| Op::Read(value(output))),
            ("write" | "put", _) => Some(Op::Write(value(call.input))),
            ("delete", _) => Some(Op::Write(ValueId::NIL)),
            ("cas", _) => match call.values.as_pair(call.input) {
                Some((_, new)) => Some(Op::Write(value(new))),
                None => return Err(format!("a cas needs a pair [old new], not {}", call.values.display(call.input))),
            },
            (other, _) => return Err(format!("staleness is measured of reads, writes and cas, not of {other}")),
        };
        Ok(op.filter(|_| call.outcome != Outcome::Fail).map_or(Decoded::Nothing, Decoded::Op))
    }

    fn step(&self, state: &Vec<Option<ValueId>>, op: &Op) -> Option<Vec<Option<ValueId>>> {
        match *op {
            Op::Read(value) => state.contains(&Some(value)).then(|| state.clone()),
            Op::Write(value) => {
                let kept = &state[(state.len() + 1).saturating_sub(self.k)..];
                Some(kept.iter().copied().chain([Some(value)]).collect())
            }
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        matches!(op, Op::Read(_))
    }

    fn is_blind_write(&self, op: &Op) -> bool {
        self.k == 1 && matches!(op, Op::Write(_))
    }

    fn sees(&self, op: &Op) -> Sees<Vec<Option<ValueId>>> {
        match *op {
            Op::Read(value) if self.k == 1 => Sees::Only(vec![Some(value)]),
            Op::Write(_) if self.k == 1 => Sees::Nothing,
            _ => Sees::Something,
        }
    }

    fn tell_op(&self, op: &Op, perfect: bool, values: &Values) -> Vec<Words> {
        let (word, value) = match *op {
            Op::Read(value) => ("read ", value),
            Op::Write(value) if perfect => ("written ", value),
            Op::Write(value) => ("wrote ", value),
        };
        vec![Words::Text(word.into()), Words::Value(values.display(value))]
    }
}
