//! A register with compare-and-set: `read`, `write`, `cas [old new]`.

use super::{Call, Decoded, Model, Sees, small, text};
use crate::options::{FailedCas, NilRead, Options};
use crate::verdict::{Others, Words};
use histories::{History, Outcome, Value, ValueId, Values};

/// A register that holds one value, compared and replaced in one op.
#[derive(Clone, Debug)]
pub struct CasRegister {
    initial: Held,
    initial_text: String,
    nil_read: NilRead,
    failed_cas: FailedCas,
    assumed_nil_read: bool,
    assumed_failed_cas: bool,
}

/// An op of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Returns the register's value.
    Read(ValueId),
    /// Replaces it.
    Write(ValueId),
    /// Replaces the first value by the second, and happens only where the register holds the first.
    Cas(ValueId, ValueId),
    /// A cas that found another value than this.
    Mismatch(ValueId),
}

impl CasRegister {
    /// A register as the options want it; what they leave open is what the history's format means by it: Porcupine's logs
    /// read nil where a key is missing, and hold a failed cas against the register; in all others a read of nil returned
    /// nothing that could be known and a failed cas did not happen. The initial value is nil.
    pub fn new(history: &History, options: &Options) -> CasRegister {
        let porcupine = history.meta.format.starts_with("porcupine");
        let nil_read = if porcupine { NilRead::Missing } else { NilRead::Wildcard };
        CasRegister {
            initial: options.initial.as_ref().map_or(Some(ValueId::NIL), |v| find(history, v)),
            initial_text: options.initial.as_ref().map_or_else(|| "nil".into(), ToString::to_string),
            nil_read: options.nil_read.unwrap_or(nil_read),
            failed_cas: CasRegister::failed_cas(history, options),
            assumed_nil_read: options.nil_read.is_none(),
            assumed_failed_cas: options.failed_cas.is_none(),
        }
    }

    /// What a failed cas means, by the options or the history's format.
    pub(crate) fn failed_cas(history: &History, options: &Options) -> FailedCas {
        let usual = if history.meta.format.starts_with("porcupine") { FailedCas::Assert } else { FailedCas::Drop };
        options.failed_cas.unwrap_or(usual)
    }

    /// What was assumed where the options say nothing, in sentences.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.register_notes();
        if self.assumed_failed_cas {
            notes.push(match self.failed_cas {
                FailedCas::Drop => {
                    "a failed cas is taken as not having happened (--failed-cas assert holds it against the register)".into()
                }
                FailedCas::Assert => "a failed cas is taken as having found another value (--failed-cas drop ignores it)".into(),
            });
        }
        notes
    }

    /// The notes that concern a register without cas too.
    pub(super) fn register_notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.assumed_nil_read {
            notes.push(match self.nil_read {
                NilRead::Wildcard => "a read of nil is taken as a read of unknown result (--nil-read missing says otherwise)".into(),
                NilRead::Missing => "a read of nil is taken as finding nothing there (--nil-read wildcard says otherwise)".into(),
            });
        }
        notes
    }
}

/// What a register holds. `None` is an initial value that occurs nowhere in the history, so that no op can see it.
pub(crate) type Held = Option<ValueId>;

/// The history's word for a value, if it occurs there: as an event's value, or as a part of one.
pub(crate) fn find(history: &History, value: &Value) -> Held {
    let simple = match value {
        Value::Nil => Some(ValueId::NIL),
        Value::Bool(true) => Some(ValueId::TRUE),
        Value::Bool(false) => Some(ValueId::FALSE),
        Value::Int(i) => ValueId::small_int(*i),
        _ => None,
    };
    if simple.is_some() {
        return simple;
    }
    // Equal values have equal words, so each distinct word is compared once. Three levels: `[key [old new]]`.
    let mut level: Vec<ValueId> = (0..history.len() as u32).map(|event| history.value(event)).collect();
    for _ in 0..3 {
        level.sort_unstable();
        level.dedup();
        if let Some(&found) = level.iter().find(|&&id| history.values.get(id) == *value) {
            return Some(found);
        }
        level = level.iter().filter_map(|&id| history.values.elements(id)).flatten().copied().collect();
    }
    None
}

impl Model for CasRegister {
    type State = Held;
    type Op = Op;

    fn name(&self) -> &'static str {
        "cas-register"
    }

    fn init(&self) -> Held {
        self.initial
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let failed = call.outcome == Outcome::Fail;
        Ok(match (call.f, call.output) {
            ("read", Some(value)) if value != ValueId::NIL || self.nil_read == NilRead::Missing => Decoded::Op(Op::Read(value)),
            ("read", _) => Decoded::Nothing,
            ("write", _) if failed => Decoded::Nothing,
            ("write", _) => Decoded::Op(Op::Write(call.input)),
            ("cas", _) => {
                let Some((old, new)) = call.values.as_pair(call.input) else {
                    return Err(format!("a cas needs a pair [old new], not {}", call.values.display(call.input)));
                };
                match (failed, self.failed_cas) {
                    (false, _) => Decoded::Op(Op::Cas(old, new)),
                    (true, FailedCas::Drop) => Decoded::Nothing,
                    (true, FailedCas::Assert) => Decoded::Op(Op::Mismatch(old)),
                }
            }
            (other, _) => return Err(format!("a cas-register knows read, write and cas, not {other}")),
        })
    }

    fn step(&self, state: &Held, op: &Op) -> Option<Held> {
        match *op {
            Op::Read(value) => (*state == Some(value)).then_some(*state),
            Op::Write(value) => Some(Some(value)),
            Op::Cas(old, new) => (*state == Some(old)).then_some(Some(new)),
            Op::Mismatch(old) => (*state != Some(old)).then_some(*state),
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        matches!(op, Op::Read(_) | Op::Mismatch(_))
    }

    fn is_blind_write(&self, op: &Op) -> bool {
        matches!(op, Op::Write(_))
    }

    fn sees(&self, op: &Op) -> Sees<Held> {
        match *op {
            Op::Read(value) | Op::Cas(value, _) => Sees::Only(Some(value)),
            Op::Write(_) => Sees::Nothing,
            Op::Mismatch(value) => Sees::AllBut(Some(value)),
        }
    }

    fn op_number(&self, op: &Op) -> Option<u64> {
        match *op {
            Op::Read(value) => Some(small(value)? << 1),
            Op::Write(value) => Some(small(value)? << 1 | 1),
            Op::Cas(..) | Op::Mismatch(_) => None,
        }
    }

    fn state_number(&self, state: &Held) -> Option<u64> {
        state.and_then(small)
    }

    fn contradictions(&self) -> &'static [Others] {
        &[Others::AnyNumber, Others::AtMostOnce]
    }

    fn tell_op(&self, op: &Op, perfect: bool, values: &Values) -> Vec<Words> {
        let value = |value: ValueId| Words::Value(values.display(value));
        match *op {
            Op::Read(ValueId::NIL) => vec![text("read nothing ("), value(ValueId::NIL), text(")")],
            Op::Read(v) => vec![text("read "), value(v)],
            Op::Write(v) => vec![text(if perfect { "written " } else { "wrote " }), value(v)],
            Op::Cas(old, new) if perfect => vec![text("replaced "), value(old), text(" by "), value(new)],
            Op::Cas(old, new) => vec![text("found "), value(old), text(" and set "), value(new)],
            Op::Mismatch(v) => vec![text("found another value than "), value(v)],
        }
    }

    fn tell_absence(&self, state: &Held, again: bool, values: &Values) -> Vec<Words> {
        if *state == Some(ValueId::NIL) {
            return vec![text("nobody removed it")];
        }
        if !again && *state == self.initial {
            return vec![Words::Value(self.show_state(state, values)), text(" is only there at the beginning")];
        }
        vec![text("nobody wrote "), Words::Value(self.show_state(state, values)), text(if again { " again" } else { "" })]
    }

    fn show_op(&self, op: &Op, values: &Values) -> String {
        match *op {
            Op::Read(value) => format!("r→{}", values.display(value)),
            Op::Write(value) => format!("w {}", values.display(value)),
            Op::Cas(old, new) => format!("cas {}→{}", values.display(old), values.display(new)),
            Op::Mismatch(old) => format!("cas ≠{}", values.display(old)),
        }
    }

    fn show_state(&self, state: &Held, values: &Values) -> String {
        state.map_or_else(|| self.initial_text.clone(), |value| values.display(value))
    }
}
