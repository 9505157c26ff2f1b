//! One key of a store of strings: `get`, `put`, `append`, `delete`, `cas [old new]`.

use super::{Call, Decoded, Model, Sees, cas_register, text};
use crate::options::{NilRead, Options};
use crate::verdict::{Others, Words};
use hashbrown::HashTable;
use histories::{History, Outcome, Value, ValueId, Values, View};
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::Arc;

/// A key that holds a string, at first the empty one; nil is the empty string too, unless the options say that the result of a get
/// of nil is unknown. (Also answers to `read` and `write`.)
///
/// The strings stay where they are, in the history: whole reads of what grows by appending are long.
#[derive(Clone, Debug)]
pub struct Kv<'h> {
    initial: Held,
    nil_read: NilRead,
    appends: bool,
    compares: bool,
    values: &'h Values,
    /// Where anybody appends, the strings of the history by their content: what is put together is known by its word again.
    words: HashTable<ValueId>,
    /// In bytes, of the strings that are appended.
    appended_lengths: BTreeSet<usize>,
}

/// What a key holds. A string that occurs in the history is always `Word`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// Nothing, or the empty string.
    Empty,
    /// A value of the history.
    Word(ValueId),
    /// A string that was put together by appending, and that no op of the history carries.
    Text(Arc<str>),
}

/// An op on a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Returns the string.
    Get(Held),
    /// Replaces it.
    Put(Held),
    /// Adds to its end.
    Append(Arc<str>),
    /// Replaces the first string by the second, and happens only where the key holds the first. A failed one did not happen.
    Cas(Held, Held),
}

impl<'h> Kv<'h> {
    /// A key of `history`'s store. Without an initial value in the options it is empty.
    pub fn new(history: &'h History, options: &Options) -> Kv<'h> {
        let initial = match &options.initial {
            None | Some(Value::Nil) => Held::Empty,
            Some(Value::Str(text)) if text.is_empty() => Held::Empty,
            Some(value) => cas_register::find(history, value).map_or_else(
                || {
                    Held::Text(match value {
                        Value::Str(text) => (&**text).into(),
                        other => other.to_string().into(),
                    })
                },
                Held::Word,
            ),
        };
        let appends = history.names().iter().any(|name| &**name == "append");
        let compares = history.names().iter().any(|name| &**name == "cas");
        let values = &history.values;
        let nil_read = options.nil_read.unwrap_or(NilRead::Missing);
        let mut kv = Kv { initial, nil_read, appends, compares, values, words: HashTable::new(), appended_lengths: BTreeSet::new() };
        if !appends {
            return kv;
        }
        for event in 0..history.len() as u32 {
            let value = history.value(event);
            let is_append = history.name(history.function(event)) == "append";
            let under = values.as_pair(value).map(|pair| pair.1);
            let compared = [Some(value), under].into_iter().flatten().filter_map(|id| values.as_pair(id)).flat_map(|(a, b)| [a, b]);
            for id in [Some(value), under].into_iter().flatten().chain(compared) {
                if let View::Str(text) = values.view(id)
                    && !text.is_empty()
                {
                    if is_append {
                        kv.appended_lengths.insert(text.len());
                    }
                    let rehash = |&id: &ValueId| hash(string(values, id));
                    kv.words.entry(hash(text), |&known| known == id, rehash).or_insert(id);
                }
            }
        }
        kv
    }

    fn held(values: &Values, id: ValueId) -> Held {
        match values.view(id) {
            View::Nil | View::Str("") => Held::Empty,
            _ => Held::Word(id),
        }
    }

    /// The string that a key holds; of values that are no strings (where nobody appends) the empty one.
    fn text<'a>(&'a self, held: &'a Held) -> &'a str {
        match held {
            Held::Empty => "",
            Held::Word(id) => string(self.values, *id),
            Held::Text(text) => text,
        }
    }

    /// Nothing can be appended to an initial value that is no string.
    fn appended(&self, held: &Held, more: &Arc<str>) -> Option<Held> {
        match (held, self.text(held)) {
            (Held::Empty, _) => Some(self.holding(more.clone())),
            (_, "") => None,
            (_, text) => Some(self.holding([text, &**more].concat().into())),
        }
    }

    /// The word of a string that occurs in the history.
    fn word(&self, text: &str) -> Option<ValueId> {
        self.words.find(hash(text), |&id| string(self.values, id) == text).copied()
    }

    /// What holds a string that is not empty.
    fn holding(&self, text: Arc<str>) -> Held {
        self.word(&text).map_or(Held::Text(text), Held::Word)
    }
}

fn hash(text: &str) -> u64 {
    rustc_hash::FxBuildHasher.hash_one(text)
}

/// A value that is a string; the empty one for every other.
fn string(values: &Values, id: ValueId) -> &str {
    if let View::Str(text) = values.view(id) { text } else { "" }
}

impl Model for Kv<'_> {
    type State = Held;
    type Op = Op;

    fn name(&self) -> &'static str {
        "kv"
    }

    fn init(&self) -> Held {
        self.initial.clone()
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let input = || Kv::held(call.values, call.input);
        let op = match call.f {
            "get" | "read" if call.output == Some(ValueId::NIL) && self.nil_read == NilRead::Wildcard => None,
            "get" | "read" => call.output.map(|value| Op::Get(Kv::held(call.values, value))),
            "put" | "write" => match input() {
                Held::Word(id) if self.appends && string(call.values, id).is_empty() => {
                    return Err(format!("where others append, put takes a string, not {}", call.values.display(id)));
                }
                value => Some(Op::Put(value)),
            },
            "append" => match call.values.view(call.input) {
                View::Str(text) if !text.is_empty() => Some(Op::Append(text.into())),
                View::Str(_) | View::Nil => None,
                _ => return Err(format!("append takes a string, not {}", call.values.display(call.input))),
            },
            "delete" => Some(Op::Put(Held::Empty)),
            "cas" => {
                let Some((old, new)) = call.values.as_pair(call.input) else {
                    return Err(format!("a cas needs a pair [old new], not {}", call.values.display(call.input)));
                };
                let (old, new) = (Kv::held(call.values, old), Kv::held(call.values, new));
                if self.appends
                    && [&old, &new].into_iter().any(|held| matches!(held, Held::Word(id) if string(call.values, *id).is_empty()))
                {
                    return Err(format!("where others append, cas takes strings, not {}", call.values.display(call.input)));
                }
                Some(Op::Cas(old, new))
            }
            other => return Err(format!("a kv store knows get, put, append, delete and cas, not {other}")),
        };
        let failed = call.outcome == Outcome::Fail;
        Ok(op.filter(|_| !failed).map_or(Decoded::Nothing, Decoded::Op))
    }

    fn step(&self, state: &Held, op: &Op) -> Option<Held> {
        match op {
            Op::Get(value) => (state == value).then(|| state.clone()),
            Op::Put(value) => Some(value.clone()),
            Op::Append(more) => self.appended(state, more),
            Op::Cas(old, new) => (state == old).then(|| new.clone()),
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        matches!(op, Op::Get(_))
    }

    fn is_blind_write(&self, op: &Op) -> bool {
        matches!(op, Op::Put(_))
    }

    fn sees(&self, op: &Op) -> Sees<Held> {
        match op {
            Op::Get(value) | Op::Cas(value, _) => Sees::Only(value.clone()),
            Op::Put(_) => Sees::Nothing,
            Op::Append(_) => Sees::Total,
        }
    }

    fn may_become(&self, from: &Held, to: &Held) -> bool {
        self.text(to).starts_with(self.text(from))
    }

    /// An appended string is the end of what it leads to.
    fn undo(&self, after: &Held) -> Vec<(Op, Held)> {
        let text = self.text(after);
        let cut = |&length: &usize| {
            let (before, end) = text.split_at_checked(text.len().checked_sub(length)?)?;
            let before = if before.is_empty() { Held::Empty } else { self.holding(before.into()) };
            self.word(end).map(|_| (Op::Append(end.into()), before))
        };
        self.appended_lengths.iter().filter_map(cut).collect()
    }

    fn op_bytes(&self, op: &Op) -> usize {
        if let Op::Append(text) = op { text.len() } else { 0 }
    }

    fn state_bytes(&self, state: &Held) -> usize {
        if let Held::Text(text) = state { 32 + text.len() } else { 0 }
    }

    fn contradictions(&self) -> &'static [Others] {
        // Appends reach strings without end, of which only comparing ops could tell which matter.
        if self.appends && self.compares { &[Others::AtMostOnce] } else { &[Others::AnyNumber, Others::AtMostOnce] }
    }

    fn tell_op(&self, op: &Op, _: bool, values: &Values) -> Vec<Words> {
        let value = |value: &Held| Words::Value(self.show_state(value, values));
        match op {
            Op::Get(Held::Empty) => vec![text("found the key empty")],
            Op::Get(v) => vec![text("got "), value(v)],
            Op::Put(v) => vec![text("put "), value(v)],
            Op::Append(more) => vec![text("appended "), Words::Value(format!("{more:?}"))],
            Op::Cas(old, new) => vec![text("found "), value(old), text(" and set "), value(new)],
        }
    }

    fn tell_absence(&self, state: &Held, again: bool, values: &Values) -> Vec<Words> {
        if *state == Held::Empty {
            return vec![text("nobody emptied it")];
        }
        vec![text("nobody stored "), Words::Value(self.show_state(state, values)), text(if again { " again" } else { "" })]
    }

    fn show_op(&self, op: &Op, values: &Values) -> String {
        match op {
            Op::Get(value) => format!("get→{}", self.show_state(value, values)),
            Op::Put(value) => format!("put {}", self.show_state(value, values)),
            Op::Append(more) => format!("append {more:?}"),
            Op::Cas(old, new) => format!("cas {}→{}", self.show_state(old, values), self.show_state(new, values)),
        }
    }

    fn show_state(&self, state: &Held, values: &Values) -> String {
        match state {
            Held::Empty => "\"\"".into(),
            Held::Word(id) => values.display(*id),
            Held::Text(text) => format!("{text:?}"),
        }
    }
}
