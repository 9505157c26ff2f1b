//! Transactions as a history records them: micro-ops `[f key value]` of a transaction, or one that is an op by itself.

use crate::interner::Interner;
use crate::options::{NilRead, Options};
use histories::{History, OpId, Outcome, Value, ValueId};

/// An op of unknown outcome ends here: after every event.
pub(crate) const NEVER: u32 = u32::MAX;

/// One read or write of one key. A read of nothing has the value nil; one of a list has the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Micro {
    pub(crate) is_write: bool,
    pub(crate) key: u32,
    pub(crate) value: ValueId,
}

/// What the keys hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Lists, to which values are appended.
    Lists,
    /// Values, which are replaced.
    Values,
}

impl Holds {
    /// The model's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Holds::Lists => "list-append",
            Holds::Values => "rw-register",
        }
    }
}

/// All transactions of a history, failed ones included, in the order of their first events.
#[derive(Debug)]
pub(crate) struct Transactions {
    pub(crate) holds: Holds,
    pub(crate) op: Vec<OpId>,
    pub(crate) outcome: Vec<Outcome>,
    pub(crate) session: Vec<u32>,
    /// The event of the invocation, and that of the completion of those that are ok.
    pub(crate) invoke: Vec<u32>,
    pub(crate) complete: Vec<u32>,
    /// The keys, as the history names them.
    pub(crate) keys: Vec<ValueId>,
    starts: Vec<u32>,
    micros: Vec<Micro>,
    /// The value that every key holds at first, if it occurs.
    pub(crate) initial: ValueId,
    /// That it may be written as well: then the write is what was read.
    pub(crate) initial_may_be_written: bool,
    pub(crate) has_sessions: bool,
}

impl Transactions {
    /// Bytes for each op, about.
    pub(crate) const BYTES_PER_OP: usize = 160;

    pub(crate) fn len(&self) -> usize {
        self.op.len()
    }

    /// What a transaction did, in its order.
    pub(crate) fn micros(&self, transaction: u32) -> &[Micro] {
        let at = transaction as usize;
        &self.micros[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// Reads a history.
    ///
    /// # Errors
    /// An op that is no transaction, and why.
    pub(crate) fn new(history: &History, options: &Options) -> Result<Transactions, (OpId, String)> {
        let of_sessions = matches!(history.meta.format, "awdit" | "plume" | "dbcop");
        let mut all = Transactions {
            holds: Holds::Values,
            op: Vec::new(),
            outcome: Vec::new(),
            session: Vec::new(),
            invoke: Vec::new(),
            complete: Vec::new(),
            keys: Vec::new(),
            starts: vec![0],
            micros: Vec::new(),
            initial: ValueId::NIL,
            initial_may_be_written: of_sessions && options.initial.is_none(),
            has_sessions: history.has_processes(),
        };
        let mut reader = Reader {
            history,
            skip_nil: options.nil_read == Some(NilRead::Wildcard),
            keys: Interner::new(history.ops().len()),
            appends: None,
            writes: None,
        };
        for id in history.op_ids() {
            reader.transaction(&mut all, id).map_err(|why| (id, why))?;
            let op = history.op(id);
            let outcome = history.outcome(op);
            all.op.push(id);
            all.outcome.push(outcome);
            all.session.push(history.op_process(op).0);
            all.invoke.push(op.invoke);
            all.complete.push(if outcome == Outcome::Ok { op.complete } else { NEVER });
            all.starts.push(all.micros.len() as u32);
        }
        if let (Some(_), Some(op)) = (reader.appends, reader.writes) {
            return Err((op, "keys to which values are appended and keys that are replaced are not judged together".into()));
        }
        if reader.appends.is_some() || options.model == Holds::Lists.name() {
            all.holds = Holds::Lists;
        }
        all.begin_with(history, options);
        Ok(all)
    }

    fn begin_with(&mut self, history: &History, options: &Options) {
        let zero = Value::Int(0);
        let wanted = match &options.initial {
            Some(value) => value,
            None if self.initial_may_be_written => &zero,
            None => return,
        };
        let is = |micro: &&Micro| history.values.get(micro.value) == *wanted;
        self.initial = match wanted {
            Value::Nil => ValueId::NIL,
            Value::Int(i) if ValueId::small_int(*i).is_some() => ValueId::small_int(*i).unwrap_or(ValueId::NIL),
            _ => self.micros.iter().find(is).map_or(ValueId::NIL, |micro| micro.value),
        };
    }
}

struct Reader<'h> {
    history: &'h History,
    skip_nil: bool,
    keys: Interner<ValueId>,
    /// The first op that appends, and the first that replaces.
    appends: Option<OpId>,
    writes: Option<OpId>,
}

impl Reader<'_> {
    fn transaction(&mut self, all: &mut Transactions, id: OpId) -> Result<(), String> {
        let history = self.history;
        let op = history.op(id);
        let value = history.output(op).unwrap_or(history.input(op));
        let f = history.name(history.op_function(op));
        if matches!(f, "r" | "read" | "w" | "write" | "append") {
            let Some((key, value)) = history.values.as_pair(value) else {
                return Err(format!("{f} of a transaction by itself is of [key value], not {}", history.values.display(value)));
            };
            return self.micro(all, id, f, key, value);
        }
        let Some(parts) = history.values.elements(value) else {
            return Err(format!("a transaction is a vector like [[:r x 1] [:append y 2]], not {}", history.values.display(value)));
        };
        for &part in parts {
            let (f, key, value) = match history.values.elements(part) {
                Some(&[f, key, value]) => (f, key, value),
                Some(&[f, key]) => (f, key, ValueId::NIL),
                _ => {
                    return Err(format!(
                        "a micro-op is [:r key value], [:w key value] or [:append key value], not {}",
                        history.values.display(part)
                    ));
                }
            };
            self.micro(all, id, history.values.name(f), key, value)?;
        }
        Ok(())
    }

    fn micro(&mut self, all: &mut Transactions, id: OpId, f: &str, key: ValueId, value: ValueId) -> Result<(), String> {
        let is_write = match f {
            "r" | "read" => false,
            "w" | "write" => {
                self.writes = self.writes.or(Some(id));
                true
            }
            "append" => {
                self.appends = self.appends.or(Some(id));
                true
            }
            other => return Err(format!("a transaction reads (r), writes (w) or appends (append); it cannot {other}")),
        };
        let is_ok = self.history.outcome(self.history.op(id)) == Outcome::Ok;
        if !is_write && (!is_ok || value.is_nil() && self.skip_nil) {
            return Ok(());
        }
        let is_empty = self.history.values.elements(value).is_some_and(<[ValueId]>::is_empty);
        let value = if is_empty && !is_write { ValueId::NIL } else { value };
        let next = all.keys.len() as u32;
        let own = key.as_small_int().and_then(|own| u64::try_from(own).ok());
        let key_number = self.keys.number(own, &key, next);
        if key_number == next {
            all.keys.push(key);
        }
        all.micros.push(Micro { is_write, key: key_number, value });
        Ok(())
    }
}
