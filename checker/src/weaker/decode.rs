//! Ops as reads and writes of keys: plain ops on a register or on a store of keys, `[key value]` pairs, cas, and transactions
//! of micro-ops `[[:r key value] [:w key value]]`.

use crate::model::without_revision;
use crate::options::{NilRead, Options};
use histories::keyed::Keys;
use histories::{History, OpId, Outcome, Value, ValueId, View};

/// One read or write of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Micro {
    pub(crate) is_write: bool,
    pub(crate) key: ValueId,
    pub(crate) value: ValueId,
}

/// How values are to be understood.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    keys: &'a Keys,
    /// What a plain read of nil means.
    nil_read: NilRead,
    /// The empty string is nil.
    empty_is_nil: bool,
    /// What was read may be `[value revision]`, of which the value counts.
    with_revisions: bool,
    /// What every key holds at first.
    pub(crate) initial: Value,
    /// A write of the initial value is the one that every read of it saw (session text: its first session writes it).
    pub(crate) initial_may_be_written: bool,
}

impl<'a> Rules<'a> {
    /// The rules that the options, or the history's format, want. See [`crate::model::CasRegister::new`]; session text begins
    /// with 0.
    pub(crate) fn new(history: &History, options: &Options, keys: &'a Keys) -> Rules<'a> {
        let sessions = matches!(history.meta.format, "awdit" | "plume" | "dbcop");
        let porcupine = history.meta.format.starts_with("porcupine");
        let kv = options.model == "kv";
        let with_revisions = options.model == "etcd-kv";
        let nil_read = if porcupine || kv || with_revisions { NilRead::Missing } else { NilRead::Wildcard };
        let initial = options.initial.clone().unwrap_or(if sessions { Value::Int(0) } else { Value::Nil });
        let empty_is_nil = kv || history.names().iter().any(|name| matches!(&**name, "get" | "put"));
        Rules {
            keys,
            nil_read: options.nil_read.unwrap_or(nil_read),
            empty_is_nil,
            with_revisions,
            initial_may_be_written: sessions && options.initial.is_none(),
            initial: if empty_is_nil && initial == Value::from("") { Value::Nil } else { initial },
        }
    }

    /// What was assumed where the options say nothing, in sentences.
    pub(crate) fn notes(&self, options: &Options) -> Vec<String> {
        let mut notes = Vec::new();
        if options.initial.is_none() {
            notes.push(format!("every key is taken to hold {} at first (--initial says otherwise)", self.initial));
        }
        if options.nil_read.is_none() && !self.empty_is_nil && self.nil_read == NilRead::Wildcard {
            notes.push("a plain read of nil is taken as a read of unknown result (--nil-read missing says otherwise)".into());
        }
        if self.with_revisions {
            notes.push("revisions are not looked at: only linearizable and sequential are judged by them".into());
        }
        notes
    }

    /// Appends what an op did, or, where its outcome is unknown, what it may have done. Reads of unknown result are left out;
    /// a failed op did nothing.
    ///
    /// # Errors
    /// Why the op is neither of these, in words.
    pub(crate) fn decode(&self, history: &History, id: OpId, out: &mut Vec<Micro>) -> Result<(), String> {
        if history.outcome(history.op(id)) == Outcome::Fail {
            return Ok(());
        }
        self.attempted(history, id, out)
    }

    /// The same, and what a failed op would have done.
    ///
    /// # Errors
    /// As [`Rules::decode`].
    pub(crate) fn attempted(&self, history: &History, id: OpId, out: &mut Vec<Micro>) -> Result<(), String> {
        let op = history.op(id);
        let outcome = history.outcome(op);
        let (input, output) = (history.input(op), history.output(op));
        let f = history.name(history.op_function(op));
        if !matches!(f, "write" | "put")
            && let Some(micro_ops) = self.transaction(history, f, output.unwrap_or(input))
        {
            return self.micro_ops(history, micro_ops, outcome == Outcome::Ok, out);
        }
        match f {
            "read" | "get" => {
                let Some((key, value)) = output.map(|value| self.split(history, value)) else { return Ok(()) };
                let value = if self.with_revisions { without_revision(&history.values, value) } else { value };
                let is_known = !value.is_nil() || self.nil_read == NilRead::Missing || f == "get";
                if is_known {
                    out.push(Micro { is_write: false, key, value });
                }
            }
            "write" | "put" => {
                let (key, value) = self.split(history, input);
                out.push(Micro { is_write: true, key, value });
            }
            "cas" => {
                let (key, both) = self.split(history, input);
                let Some((old, new)) = history.values.as_pair(both) else {
                    return Err(format!("a cas needs a pair [old new], not {}", history.values.display(both)));
                };
                out.push(Micro { is_write: false, key, value: old });
                out.push(Micro { is_write: true, key, value: new });
            }
            other => return Err(format!("models weaker than linearizable know reads, writes, cas and transactions of them, not {other}")),
        }
        Ok(())
    }

    /// The key and what is under it. Where there are no keys, the one object is called nil.
    fn split(&self, history: &History, value: ValueId) -> (ValueId, ValueId) {
        let (key, value) = match history.values.as_pair(value) {
            Some(pair) if self.keys.is_keyed() => pair,
            _ => (ValueId::NIL, value),
        };
        (key, self.normal(history, value))
    }

    fn normal(&self, history: &History, value: ValueId) -> ValueId {
        if self.empty_is_nil && history.values.view(value) == View::Str("") { ValueId::NIL } else { value }
    }

    /// The micro-ops, if the value is a list of them.
    fn transaction<'h>(&self, history: &'h History, f: &str, value: ValueId) -> Option<&'h [ValueId]> {
        let items = history.values.elements(value)?;
        let is_micro_op = |&item: &ValueId| {
            let parts = history.values.elements(item).unwrap_or(&[]);
            parts.len() >= 2 && !history.values.name(parts[0]).is_empty()
        };
        let is_transaction = if items.is_empty() { f == "txn" } else { !self.keys.is_keyed() && items.iter().all(is_micro_op) };
        is_transaction.then_some(items)
    }

    fn micro_ops(&self, history: &History, items: &[ValueId], is_done: bool, out: &mut Vec<Micro>) -> Result<(), String> {
        for &item in items {
            let parts = history.values.elements(item).unwrap_or(&[]);
            let (name, key, value) = match *parts {
                [name, key] => (name, key, None),
                [name, key, value] => (name, key, Some(value)),
                _ => return Err(format!("a micro-op is [:r key value] or [:w key value], not {}", history.values.display(item))),
            };
            match (history.values.name(name), value) {
                ("r" | "read", value) if is_done => {
                    let value = self.normal(history, value.unwrap_or(ValueId::NIL));
                    out.push(Micro { is_write: false, key, value });
                }
                ("r" | "read", _) => {}
                ("w" | "write", Some(value)) => out.push(Micro { is_write: true, key, value: self.normal(history, value) }),
                (other, _) => return Err(format!("a transaction of reads and writes cannot {other}")),
            }
        }
        Ok(())
    }
}
