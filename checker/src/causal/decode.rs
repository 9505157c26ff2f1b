//! Ops as reads and writes of keys: plain ops on a register or on a store of keys, `[key value]` pairs, cas, and transactions
//! of micro-ops `[[:r key value] [:w key value]]`.

use crate::model::{CasRegister, without_revision};
use crate::options::{FailedCas, NilRead, Options};
use histories::keyed::Keys;
use histories::{History, OpId, Outcome, Value, ValueId, View};

/// One read or write of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Micro {
    pub(crate) is_write: bool,
    pub(crate) key: ValueId,
    pub(crate) value: ValueId,
}

/// The models whose ops are reads and writes, unless they turn out to do something else; without a name the ops say it.
pub(crate) const OF_CELLS: [&str; 5] = ["", "register", "cas-register", "kv", "multi-register"];

/// What nil is taken for in a transaction where the options say nothing (as Elle takes it).
pub(crate) const NIL_IN_TRANSACTIONS: &str =
    "a read of nil in a transaction is taken as finding nothing there (--nil-read wildcard says otherwise)";

/// How values are to be understood.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    keys: &'a Keys,
    /// What every read of nil means, if the options say so.
    nil_read: Option<NilRead>,
    /// What a plain `read` of nil means where they do not.
    plain_nil_read: NilRead,
    /// The empty string is nil.
    empty_is_nil: bool,
    /// What was read may be `[value revision]`, of which the value counts.
    with_revisions: bool,
    /// What a failed cas means. One that says something is neither read nor write: see [`Rules::unjudged_failure`].
    failed_cas: FailedCas,
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
        let plain_nil_read = if porcupine || kv || with_revisions { NilRead::Missing } else { NilRead::Wildcard };
        let initial = options.initial.clone().unwrap_or(if sessions { Value::Int(0) } else { Value::Nil });
        let strings = || history.names().iter().any(|name| matches!(&**name, "get" | "put"));
        let empty_is_nil = kv || options.model != "multi-register" && strings();
        let failed_cas = if matches!(options.model.as_str(), "" | "cas-register") {
            CasRegister::failed_cas(history, options)
        } else {
            options.failed_cas.unwrap_or(FailedCas::Drop)
        };
        Rules {
            keys,
            nil_read: options.nil_read,
            plain_nil_read,
            empty_is_nil,
            with_revisions,
            failed_cas,
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
        if options.nil_read.is_none() && options.model == "multi-register" {
            notes.push(NIL_IN_TRANSACTIONS.into());
        } else if options.nil_read.is_none() && !self.empty_is_nil && self.plain_nil_read == NilRead::Wildcard {
            notes.push("a plain read of nil is taken as a read of unknown result (--nil-read missing says otherwise)".into());
        }
        if self.with_revisions {
            notes.push("revisions are not looked at: only linearizable and sequential are judged by them".into());
        }
        notes
    }

    /// A failed cas that says which value the register did not hold, if the history has one.
    pub(crate) fn unjudged_failure(&self, history: &History) -> Option<OpId> {
        let is_failed_cas = |&id: &OpId| {
            let op = history.op(id);
            history.outcome(op) == Outcome::Fail && history.name(history.op_function(op)) == "cas"
        };
        if self.failed_cas == FailedCas::Assert { history.op_ids().find(is_failed_cas) } else { None }
    }

    /// Whether a read returned something that is known; `usual` is what nil means where the options do not say it.
    fn is_known(&self, value: ValueId, usual: NilRead) -> bool {
        !value.is_nil() || self.nil_read.unwrap_or(usual) == NilRead::Missing
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
                if self.is_known(value, if f == "get" { NilRead::Missing } else { self.plain_nil_read }) {
                    out.push(Micro { is_write: false, key, value: self.normal(history, value) });
                }
            }
            "write" | "put" => {
                let (key, value) = self.split(history, input);
                out.push(Micro { is_write: true, key, value: self.normal(history, value) });
            }
            "cas" => {
                let (key, both) = self.split(history, input);
                let Some((old, new)) = history.values.as_pair(both) else {
                    return Err(format!("a cas needs a pair [old new], not {}", history.values.display(both)));
                };
                out.push(Micro { is_write: false, key, value: self.normal(history, old) });
                out.push(Micro { is_write: true, key, value: self.normal(history, new) });
            }
            other => return Err(format!("models weaker than linearizable know reads, writes, cas and transactions of them, not {other}")),
        }
        Ok(())
    }

    /// The key and what is under it, as it was recorded. Where there are no keys, the one object is called nil.
    fn split(&self, history: &History, value: ValueId) -> (ValueId, ValueId) {
        match history.values.as_pair(value) {
            Some(pair) if self.keys.is_keyed() => pair,
            _ => (ValueId::NIL, value),
        }
    }

    /// The one word for all that means that nothing is there.
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

    /// In a transaction the empty list is nothing too, as for [`crate::model::MultiRegister`].
    fn normal_in_transaction(&self, history: &History, value: ValueId) -> ValueId {
        if history.values.elements(value).is_some_and(<[ValueId]>::is_empty) { ValueId::NIL } else { self.normal(history, value) }
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
                    let value = value.unwrap_or(ValueId::NIL);
                    if self.is_known(value, NilRead::Missing) {
                        out.push(Micro { is_write: false, key, value: self.normal_in_transaction(history, value) });
                    }
                }
                ("r" | "read", _) => {}
                ("w" | "write", Some(value)) => {
                    out.push(Micro { is_write: true, key, value: self.normal_in_transaction(history, value) });
                }
                (other, _) => return Err(format!("a transaction of reads and writes cannot {other}")),
            }
        }
        Ok(())
    }
}
