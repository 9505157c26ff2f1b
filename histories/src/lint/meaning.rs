//! What the functions of a history are commonly taken to mean: which values an op wrote, and which it saw.

use crate::history::{History, NO_EVENT, Op};
use crate::keyed::Keys;
use crate::value::ValueId;

/// What a function, or a micro-op of a transaction, does to its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Returns what is there.
    Read,
    /// Returns something and removes it.
    Take,
    /// Puts a value in, whole.
    Write,
    /// Puts a value to what is there: into a set, at the end of a list, on top of a sum.
    Combine,
    /// Replaces one value by another.
    Cas,
}

fn role(f: &str) -> Option<Role> {
    Some(match f.to_ascii_lowercase().as_str() {
        "read" | "get" => Role::Read,
        "dequeue" | "pop" | "drain" => Role::Take,
        "write" | "put" | "enqueue" | "push" => Role::Write,
        "append" | "add" => Role::Combine,
        "cas" | "compare-and-set" | "compare-and-swap" => Role::Cas,
        _ => return None,
    })
}

fn micro_role(f: &str) -> Option<Role> {
    Some(match f {
        "r" | "read" => Role::Read,
        "w" | "write" => Role::Write,
        "append" => Role::Combine,
        _ => return None,
    })
}

/// The function of transactions.
const TRANSACTION: &str = "txn";

/// What an op does to the object under `key`, which is nil for all but transactions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Touch {
    pub(super) key: ValueId,
    pub(super) value: ValueId,
    pub(super) kind: TouchKind,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TouchKind {
    /// The op asked for the value to be put there.
    Write,
    /// The op was answered that the value was put there.
    Wrote,
    /// The op returned what it found there.
    Read,
    /// The op found it there, by what it did.
    Saw,
}

/// The meaning of all functions of a history.
#[derive(Debug)]
pub(super) struct Meaning {
    /// By function; `None` for transactions, and for functions that no client used.
    roles: Vec<Option<Role>>,
    /// Every op is a transaction of micro-ops.
    pub(super) transactions: bool,
    /// Some op, or micro-op, combines its value with what is there: a scalar that was read may be a sum, or a longer string.
    pub(super) combines: bool,
}

impl Meaning {
    /// The meaning, if every op of the history has one that is known.
    pub(super) fn of(history: &History) -> Option<Meaning> {
        let mut used = vec![false; history.names().len()];
        for &op in history.ops() {
            used[history.op_function(op) as usize] = true;
        }
        let names = || history.names().iter().zip(&used).filter(|(_, used)| **used).map(|(name, _)| &**name);
        let mut meaning = Meaning { roles: vec![None; used.len()], transactions: names().all(|f| f == TRANSACTION), combines: false };
        if !meaning.transactions {
            for (place, (name, _)) in meaning.roles.iter_mut().zip(history.names().iter().zip(&used)).filter(|(_, (_, used))| **used) {
                *place = Some(role(name)?);
            }
            meaning.combines = meaning.roles.contains(&Some(Role::Combine));
            return Some(meaning);
        }
        for &op in history.ops() {
            for &micro in history.values.elements(history.input(op))? {
                let (role, ..) = micro_op(history, micro)?;
                meaning.combines |= role == Role::Combine;
            }
        }
        Some(meaning)
    }

    /// What an op wrote, or wanted to. `None`: its value is not what its function takes, and what it did is not known.
    pub(super) fn writes(&self, history: &History, keys: &Keys, op: Op, mut visit: impl FnMut(Touch)) -> Option<()> {
        if self.transactions {
            return transaction_writes(history, op, visit);
        }
        let mut touch = |kind, value| visit(Touch { key: ValueId::NIL, value, kind });
        match self.roles[history.op_function(op) as usize]? {
            Role::Read | Role::Take => {}
            Role::Write | Role::Combine => {
                let input = keys.input(history, op);
                touch(TouchKind::Write, input);
                // Mostly it answers with the same word, key and all.
                let output = history.output(op).filter(|&output| output != history.input(op));
                if let Some(output) = output.map(|output| keys.strip(&history.values, output)).filter(|&output| output != input) {
                    touch(TouchKind::Wrote, output);
                }
            }
            Role::Cas => touch(TouchKind::Write, history.values.as_pair(keys.input(history, op))?.1),
        }
        Some(())
    }

    /// What an op that took effect found there. `None` as in [`Meaning::writes`].
    pub(super) fn reads(&self, history: &History, keys: &Keys, op: Op, mut visit: impl FnMut(Touch)) -> Option<()> {
        let Some(output) = history.output(op) else { return Some(()) };
        if self.transactions {
            return transaction_reads(history, output, visit);
        }
        let mut touch = |kind, value| visit(Touch { key: ValueId::NIL, value, kind });
        match self.roles[history.op_function(op) as usize]? {
            role @ (Role::Read | Role::Take) => {
                // The guess has looked at every answer's key.
                if !(keys.is_keyed() && !keys.is_guessed() && is_of_other_key(history, op, output)) {
                    touch(if role == Role::Read { TouchKind::Read } else { TouchKind::Saw }, keys.strip(&history.values, output));
                }
            }
            Role::Write | Role::Combine => {}
            Role::Cas => touch(TouchKind::Saw, history.values.as_pair(keys.input(history, op))?.0),
        }
        Some(())
    }
}

fn is_of_other_key(history: &History, op: Op, output: ValueId) -> bool {
    let key = |value| history.values.as_pair(value).map(|pair| pair.0);
    op.invoke != NO_EVENT && matches!((key(history.input(op)), key(output)), (Some(asked), Some(answered)) if asked != answered)
}

/// The writes that a transaction was called with, and those that it answered.
fn transaction_writes(history: &History, op: Op, mut visit: impl FnMut(Touch)) -> Option<()> {
    let input = history.input(op);
    let mut all = |value, kind| {
        for &micro in history.values.elements(value)? {
            let (role, key, value) = micro_op(history, micro)?;
            if role != Role::Read {
                visit(Touch { key, value, kind });
            }
        }
        Some(())
    };
    all(input, TouchKind::Write)?;
    match history.output(op).filter(|&output| output != input && history.values.elements(output).is_some()) {
        Some(output) => all(output, TouchKind::Wrote),
        None => Some(()),
    }
}

fn transaction_reads(history: &History, output: ValueId, mut visit: impl FnMut(Touch)) -> Option<()> {
    for &micro in history.values.elements(output).unwrap_or_default() {
        let (role, key, value) = micro_op(history, micro)?;
        if role == Role::Read {
            visit(Touch { key, value, kind: TouchKind::Read });
        }
    }
    Some(())
}

/// `[f key value]`, or `[f key]`.
fn micro_op(history: &History, micro: ValueId) -> Option<(Role, ValueId, ValueId)> {
    let (f, key, value) = match *history.values.elements(micro)? {
        [f, key] => (f, key, ValueId::NIL),
        [f, key, value] => (f, key, value),
        _ => return None,
    };
    Some((micro_role(history.values.name(f))?, key, value))
}
