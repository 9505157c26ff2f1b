//! A register: `read`, `write`.

use super::cas_register::{Held, Op};
use super::{Call, CasRegister, Decoded, Model, Sees};
use crate::options::Options;
use crate::verdict::{Others, Words};
use histories::{History, Values};

/// A register that holds one value. It is a [`CasRegister`] that nobody compares.
#[derive(Clone, Debug)]
pub struct Register(CasRegister);

impl Register {
    /// A register as the options, or the history's format, want it. See [`CasRegister::new`].
    pub fn new(history: &History, options: &Options) -> Register {
        Register(CasRegister::new(history, options))
    }

    /// What was assumed where the options say nothing, in sentences.
    pub fn notes(&self) -> Vec<String> {
        self.0.register_notes()
    }
}

impl Model for Register {
    type State = Held;
    type Op = Op;

    fn name(&self) -> &'static str {
        "register"
    }

    fn init(&self) -> Held {
        self.0.init()
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        match call.f {
            "read" | "write" => self.0.decode(call),
            "cas" => Err("a register has no cas; use --model cas-register".into()),
            other => Err(format!("a register knows read and write, not {other}")),
        }
    }

    fn step(&self, state: &Held, op: &Op) -> Option<Held> {
        self.0.step(state, op)
    }

    fn is_pure(&self, op: &Op) -> bool {
        self.0.is_pure(op)
    }

    fn is_blind_write(&self, op: &Op) -> bool {
        self.0.is_blind_write(op)
    }

    fn sees(&self, op: &Op) -> Sees<Held> {
        self.0.sees(op)
    }

    fn op_number(&self, op: &Op) -> Option<u64> {
        self.0.op_number(op)
    }

    fn state_number(&self, state: &Held) -> Option<u64> {
        self.0.state_number(state)
    }

    fn contradictions(&self) -> &'static [Others] {
        &[Others::AnyNumber, Others::AtMostOnce]
    }

    fn tell_op(&self, op: &Op, perfect: bool, values: &Values) -> Vec<Words> {
        self.0.tell_op(op, perfect, values)
    }

    fn tell_absence(&self, state: &Held, again: bool, values: &Values) -> Vec<Words> {
        self.0.tell_absence(state, again, values)
    }

    fn show_op(&self, op: &Op, values: &Values) -> String {
        self.0.show_op(op, values)
    }

    fn show_state(&self, state: &Held, values: &Values) -> String {
        self.0.show_state(state, values)
    }
}
