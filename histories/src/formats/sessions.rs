//! Session text: transactions of reads and writes, in the order in which each session committed them. No invocations, hence no
//! real-time order; every transaction is an `ok` op whose value is a vector of micro-ops `[:r key value]`, `[:w key value]`,
//! and every session is a process.
//!
//! AWDIT's: a line `r key value` or `w key value` per micro-op, `-----` between transactions, `=====` between sessions.
//! Plume's: a line `r(key,value,session,txn)` or `w(key,value,session,txn)` per micro-op; those of aborted transactions have
//! the transaction -1 and become `fail` ops.

use crate::draft::Draft;
use crate::error::Fault;
use crate::history::{Builder, Kind};
use crate::sequence::ByLine;
use crate::value::ValueId;
use hashbrown::HashMap;

/// A transaction in the making.
#[derive(Debug)]
struct Transaction {
    session: i64,
    kind: Kind,
    line: u32,
    micro_ops: Vec<ValueId>,
}

impl Transaction {
    fn push(self, builder: &mut Builder) -> Result<(), Fault> {
        let mut draft = Draft::new(self.line);
        draft.kind = Some(self.kind);
        draft.process = Some(builder.values().int(self.session));
        draft.value = Some(builder.values().vector(&self.micro_ops));
        draft.f = Some("txn".into());
        draft.push(builder, 0)?;
        Ok(())
    }
}

fn micro_op(builder: &mut Builder, name: &str, key: i64, value: i64) -> ValueId {
    let values = builder.values();
    let parts = [values.keyword(name), values.int(key), values.int(value)];
    values.vector(&parts)
}

/// Reads AWDIT's session text.
#[derive(Debug, Default)]
pub(crate) struct Awdit {
    session: i64,
    open: Option<Transaction>,
}

impl ByLine for Awdit {
    fn line(&mut self, content: &str, at: usize, number: u32, builder: &mut Builder) -> Result<(), Fault> {
        let is_rule = |c: char| content.len() >= 3 && content.chars().all(|d| d == c);
        if is_rule('-') || is_rule('=') {
            if let Some(transaction) = self.open.take() {
                transaction.push(builder)?;
            }
            self.session += i64::from(is_rule('='));
            return Ok(());
        }
        let mut words = content.split_ascii_whitespace();
        let parsed = (words.next(), words.next().and_then(integer), words.next().and_then(integer), words.next());
        let (Some(name @ ("r" | "w")), Some(key), Some(value), None) = parsed else {
            let help = "a line is `r key value`, `w key value`, ----- between transactions or ===== between sessions";
            return Err(Fault::syntax(at, "this is no read, no write and no separator").help(help));
        };
        let micro_op = micro_op(builder, name, key, value);
        let new = || Transaction { session: self.session, kind: Kind::Ok, line: number, micro_ops: Vec::new() };
        self.open.get_or_insert_with(new).micro_ops.push(micro_op);
        Ok(())
    }

    fn finish(&mut self, builder: &mut Builder) -> Result<(), Fault> {
        self.open.take().map_or(Ok(()), |transaction| transaction.push(builder))
    }
}

/// The transaction to which Plume assigns the micro-ops of all that were aborted.
const ABORTED: i64 = -1;

/// Reads Plume's session text. Transactions of different sessions may be interleaved; each stands where it begins.
#[derive(Debug, Default)]
pub(crate) struct Plume {
    transactions: Vec<Transaction>,
    /// Where each stands, by its session and its number.
    index: HashMap<(i64, i64), usize>,
}

impl ByLine for Plume {
    fn line(&mut self, content: &str, at: usize, number: u32, builder: &mut Builder) -> Result<(), Fault> {
        let Some((name, [key, value, session, transaction])) = plume_line(content) else {
            let help = "a line is `r(key,value,session,txn)` or `w(key,value,session,txn)`";
            return Err(Fault::syntax(at, "this is no read and no write").help(help));
        };
        let micro_op = micro_op(builder, name, key, value);
        let next = self.transactions.len();
        let is_aborted = transaction == ABORTED;
        let position = if is_aborted { next } else { *self.index.entry((session, transaction)).or_insert(next) };
        if position == next {
            let kind = if is_aborted { Kind::Fail } else { Kind::Ok };
            self.transactions.push(Transaction { session, kind, line: number, micro_ops: Vec::new() });
        }
        self.transactions[position].micro_ops.push(micro_op);
        Ok(())
    }

    fn finish(&mut self, builder: &mut Builder) -> Result<(), Fault> {
        std::mem::take(&mut self.transactions).into_iter().try_for_each(|transaction| transaction.push(builder))
    }
}

fn plume_line(line: &str) -> Option<(&str, [i64; 4])> {
    let (name, rest) = line.split_once('(')?;
    let mut numbers = rest.strip_suffix(')')?.split(',').map(|word| integer(word.trim()));
    let parsed = [numbers.next()??, numbers.next()??, numbers.next()??, numbers.next()??];
    (matches!(name, "r" | "w") && numbers.next().is_none()).then_some((name, parsed))
}

fn integer(word: &str) -> Option<i64> {
    word.parse().ok()
}

#[cfg(test)]
mod tests {
    use crate::{Outcome, read_bytes};

    fn told(text: &str) -> Vec<String> {
        let history = read_bytes(text.as_bytes(), None).unwrap();
        assert!(!history.has_real_time());
        assert_eq!(history.misuses(), []);
        let op = |&op| {
            let outcome = if history.outcome(op) == Outcome::Ok { "ok" } else { "fail" };
            let value = |id| history.values.display(id);
            format!("{} {outcome} {}", value(history.process_name(history.op_process(op))), value(history.input(op)))
        };
        history.ops().iter().map(op).collect()
    }

    #[test]
    fn awdit() {
        let text = "w 0 0\nr 1 0\n-----\nw 1 1\n=====\n\n-----\nr 0 0\n";
        assert_eq!(told(text), ["0 ok [[:w 0 0] [:r 1 0]]", "0 ok [[:w 1 1]]", "1 ok [[:r 0 0]]"]);
        assert!(read_bytes(b"w 0 0\nx 1 2\n", None).unwrap_err().to_string().starts_with("2:1: this is no read"));
    }

    #[test]
    fn plume() {
        let text = "w(1,1,0,0)\nr(1,1,1,7)\nw(2,1,0,0)\nw(9,9,1,-1)\nr(2,1,1,7)\n";
        assert_eq!(told(text), ["0 ok [[:w 1 1] [:w 2 1]]", "1 ok [[:r 1 1] [:r 2 1]]", "1 fail [[:w 9 9]]"]);
        assert!(read_bytes(b"r(1,1,0)\n", None).unwrap_err().to_string().starts_with("1:1: this is no read"));
    }
}
