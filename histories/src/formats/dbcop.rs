//! dbcop's binary histories (`history.bincode`): transactions of reads and writes by session, without invocations. As session
//! text, and read into the same: every transaction is an op of `f` txn, every session a process; a transaction that did not
//! commit is a `fail`.
//!
//! Every read and write says whether it succeeded. A read that did not read nothing, and is left out. A write that did not, in a
//! transaction that committed, did not happen: it becomes a `fail` op of its own, behind its transaction, with
//! [`FAILED_WRITE`] as its error. Only where somebody read its value, and no write that succeeded put it there, did it happen all
//! the same: it stays in its transaction, whose error is [`READ_FAILED_WRITE`]. That is known at the end of the file, so the
//! transactions are collected.
//!
//! The layout is that of bincode 1: little-endian, numbers and lengths in 8 bytes, booleans in one. Five numbers (id, nodes,
//! variables, transactions per session, events per transaction), three strings (a comment, start, end), then the sessions.

use crate::draft::Draft;
use crate::error::Fault;
use crate::history::{Builder, Kind};
use crate::sequence::InOrder;
use crate::value::{ValueId, Values};
use hashbrown::HashSet;
use rustc_hash::FxBuildHasher;

/// The error of an op that holds the writes that failed in a transaction that committed.
pub(crate) const FAILED_WRITE: &str = "failed in a transaction that committed";
/// The error of a transaction a write of which failed, and was read.
pub(crate) const READ_FAILED_WRITE: &str = "a write that failed was read";

/// Numbers before the first string.
const PARAMETERS: usize = 5;
/// The longest comment that is taken for one.
const COMMENT_MAX: u64 = 1 << 16;

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..length));
        let taken = taken.ok_or_else(|| Fault::ended(self.bytes.len(), "a binary history"))?;
        self.at += length;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, Fault> {
        let bytes = self.take(size_of::<u64>())?;
        Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn boolean(&mut self) -> Result<bool, Fault> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Fault::syntax(self.at - 1, "a boolean is neither 0 nor 1")),
        }
    }

    fn text(&mut self) -> Result<&'a str, Fault> {
        let at = self.at;
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        std::str::from_utf8(self.take(length)?).map_err(|_| Fault::syntax(at, "this is no UTF-8 text"))
    }

    /// The header's comment and the time of its start.
    fn header(&mut self) -> Result<(&'a str, &'a str), Fault> {
        for _ in 0..PARAMETERS {
            self.number()?;
        }
        let comment = self.text()?;
        let start = self.text()?;
        self.text()?;
        Ok((comment, start))
    }
}

/// Whether a file's beginning is dbcop's header: a time stands where the time of the start stands.
pub(crate) fn looks_like_it(head: &[u8]) -> bool {
    let is_time = |text: &str| text.len() >= 20 && text.as_bytes()[4] == b'-' && text.as_bytes()[10] == b'T';
    let mut comment = Input { bytes: head, at: PARAMETERS * size_of::<u64>() };
    let is_short = comment.number().is_ok_and(|length| length <= COMMENT_MAX);
    is_short && Input { bytes: head, at: 0 }.header().is_ok_and(|(_, start)| is_time(start))
}

/// A read or a write of a transaction.
#[derive(Clone, Copy, Debug)]
struct MicroOp {
    is_write: bool,
    key: u64,
    value: u64,
    succeeded: bool,
}

/// A transaction as it was recorded.
#[derive(Debug)]
struct Transaction {
    session: u64,
    micro_ops: Vec<MicroOp>,
    committed: bool,
}

/// Keys with values that they had.
type Seen = HashSet<(u64, u64), FxBuildHasher>;

/// Reads a binary history.
#[derive(Debug, Default)]
pub(crate) struct Dbcop {
    /// What is still to come; `None`: all of it, the header first.
    rest: Option<Rest>,
    transactions: Vec<Transaction>,
}

/// What is still to come.
#[derive(Debug, Default)]
struct Rest {
    sessions: u64,
    /// Of this session.
    transactions: u64,
    /// The number of the session, from 1.
    session: u64,
}

impl Dbcop {
    /// Reads the next header, number of a session's transactions, or transaction. `false`: the history is at its end.
    fn step(&mut self, input: &mut Input<'_>, builder: &mut Builder) -> Result<bool, Fault> {
        match &mut self.rest {
            None => {
                let (comment, _) = input.header()?;
                let sessions = input.number()?;
                builder.meta().header.insert("info".into(), comment.into());
                self.rest = Some(Rest { sessions, ..Rest::default() });
            }
            Some(Rest { sessions: 0, transactions: 0, .. }) => return Ok(false),
            Some(Rest { sessions, transactions: transactions @ 0, session }) => {
                *transactions = input.number()?;
                *sessions -= 1;
                *session += 1;
            }
            Some(Rest { transactions, session, .. }) => {
                self.transactions.push(transaction(input, *session - 1)?);
                *transactions -= 1;
            }
        }
        Ok(true)
    }
}

impl InOrder for Dbcop {
    fn take(&mut self, bytes: &[u8], _: u32, is_last: bool, builder: &mut Builder) -> Result<usize, Fault> {
        let mut input = Input { bytes, at: 0 };
        loop {
            let at = input.at;
            match self.step(&mut input, builder) {
                Ok(true) => {}
                Ok(false) if at < bytes.len() => {
                    return Err(Fault::syntax(at, "something follows the end of the history").help("cut off what follows"));
                }
                Ok(false) => return Ok(at),
                Err(fault) if fault.ended && !is_last => return Ok(at),
                Err(fault) => return Err(fault),
            }
        }
    }

    fn finish(&mut self, builder: &mut Builder) -> Result<(), Fault> {
        let transactions = std::mem::take(&mut self.transactions);
        let explained = explained_by_failed_writes(&transactions);
        transactions.iter().try_for_each(|transaction| push(transaction, &explained, builder))
    }
}

/// What was read, though nobody but a write that failed can have put it there.
fn explained_by_failed_writes(transactions: &[Transaction]) -> Seen {
    let all = |is_write: bool, succeeded: bool| {
        let micro_ops = transactions.iter().flat_map(|transaction| &transaction.micro_ops);
        let wanted = micro_ops.filter(move |micro_op| micro_op.is_write == is_write && micro_op.succeeded == succeeded);
        wanted.map(|micro_op| (micro_op.key, micro_op.value))
    };
    let failed: Seen = all(true, false).collect();
    let mut explained: Seen = all(false, true).filter(|read| failed.contains(read)).collect();
    for written in all(true, true) {
        explained.remove(&written);
    }
    explained
}

fn transaction(input: &mut Input<'_>, session: u64) -> Result<Transaction, Fault> {
    let mut micro_ops = Vec::new();
    for _ in 0..input.number()? {
        let is_write = input.boolean()?;
        let (key, value) = (input.number()?, input.number()?);
        micro_ops.push(MicroOp { is_write, key, value, succeeded: input.boolean()? });
    }
    Ok(Transaction { session, micro_ops, committed: input.boolean()? })
}

/// Appends the op of a transaction and, if there are any, that of its writes that did not happen.
fn push(transaction: &Transaction, explained: &Seen, builder: &mut Builder) -> Result<(), Fault> {
    let Transaction { session, micro_ops, committed } = transaction;
    let failed_write = |micro_op: &MicroOp| *committed && micro_op.is_write && !micro_op.succeeded;
    let (happened, failed): (Vec<MicroOp>, Vec<MicroOp>) = (micro_ops.iter().copied())
        .filter(|micro_op| micro_op.is_write || micro_op.succeeded)
        .partition(|micro_op| !failed_write(micro_op) || explained.contains(&(micro_op.key, micro_op.value)));
    let was_read = happened.iter().any(failed_write);
    let kind = if *committed { Kind::Ok } else { Kind::Fail };
    push_op(*session, kind, &happened, was_read.then_some(READ_FAILED_WRITE), builder)?;
    if failed.is_empty() { Ok(()) } else { push_op(*session, Kind::Fail, &failed, Some(FAILED_WRITE), builder) }
}

fn push_op(session: u64, kind: Kind, micro_ops: &[MicroOp], error: Option<&str>, builder: &mut Builder) -> Result<(), Fault> {
    let values = builder.values();
    let micro_op = |micro_op: &MicroOp, values: &mut Values| {
        let name = values.keyword(if micro_op.is_write { "w" } else { "r" });
        let parts = [name, unsigned(values, micro_op.key), unsigned(values, micro_op.value)];
        values.vector(&parts)
    };
    let micro_ops: Vec<ValueId> = micro_ops.iter().map(|one| micro_op(one, values)).collect();
    let mut draft = Draft::new(0);
    draft.kind = Some(kind);
    draft.process = Some(unsigned(values, session));
    draft.value = Some(values.vector(&micro_ops));
    draft.error = error.map(|error| values.str(error));
    draft.push(builder, 0)?;
    Ok(())
}

fn unsigned(values: &mut Values, number: u64) -> ValueId {
    match i64::try_from(number) {
        Ok(number) => values.int(number),
        Err(_) => values.number(&number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Format, Outcome, read_bytes};

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
    }

    fn numbers(numbers: &[u64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn event(write: bool, key: u64, value: u64, success: bool) -> Vec<u8> {
        [vec![u8::from(write)], numbers(&[key, value]), vec![u8::from(success)]].concat()
    }

    fn history() -> Vec<u8> {
        let time = "2024-05-24T21:18:04.900123456+02:00";
        [
            numbers(&[1, 2, 2, 1, 2]),
            text("made by hand"),
            text(time),
            text(time),
            numbers(&[2, 1, 2]),
            event(true, 0, 1, true),
            event(false, 1, 0, true),
            vec![1],
            numbers(&[1, 2]),
            event(true, 1, 7, true),
            event(false, 0, 0, false),
            vec![0],
        ]
        .concat()
    }

    #[test]
    fn reads_transactions() {
        let history = read_bytes(&history(), None).unwrap();
        assert_eq!(history.meta.format, Format::Dbcop.name());
        let ops: Vec<_> = history.ops().iter().map(|&op| (history.outcome(op), history.values.display(history.input(op)))).collect();
        assert_eq!(ops, [(Outcome::Ok, "[[:w 0 1] [:r 1 0]]".into()), (Outcome::Fail, "[[:w 1 7]]".into())]);
        assert!(!history.has_real_time());
        assert_eq!(history.misuses(), []);
    }

    /// A session's transactions, by their events and whether they committed.
    type Session<'a> = &'a [(&'a [(bool, u64, u64, bool)], bool)];

    fn recorded(sessions: &[Session<'_>]) -> crate::History {
        let time = "2024-05-24T21:18:04.900123456+02:00";
        let mut bytes = [numbers(&[1, 2, 2, 1, 2]), text(""), text(time), text(time), numbers(&[sessions.len() as u64])].concat();
        for session in sessions {
            bytes.extend(numbers(&[session.len() as u64]));
            for (events, committed) in *session {
                bytes.extend(numbers(&[events.len() as u64]));
                bytes.extend(events.iter().flat_map(|&(write, key, value, success)| event(write, key, value, success)));
                bytes.push(u8::from(*committed));
            }
        }
        read_bytes(&bytes, None).unwrap()
    }

    fn told(history: &crate::History) -> Vec<String> {
        let op = |&op| {
            let event = history.first_event(op);
            let error = history.error(event).map(|error| format!(" {}", history.values.display(error))).unwrap_or_default();
            let process = history.values.display(history.process_name(history.process(event)));
            format!("{process} {} {}{error}", history.kind(event).name(), history.values.display(history.input(op)))
        };
        history.ops().iter().map(op).collect()
    }

    #[test]
    fn a_write_that_failed_did_not_happen_unless_it_was_read() {
        let (w, r) = (true, false);
        let history = recorded(&[
            &[(&[(w, 1, 10, true), (w, 2, 20, false), (r, 2, 0, false)], true), (&[(w, 3, 30, false)], false)],
            &[(&[(w, 4, 40, false), (w, 5, 50, false)], true), (&[(r, 4, 40, true), (r, 2, 10, true)], true)],
        ]);
        assert_eq!(
            told(&history),
            [
                "0 ok [[:w 1 10]]",
                "0 fail [[:w 2 20]] \"failed in a transaction that committed\"",
                "0 fail [[:w 3 30]]",
                "1 ok [[:w 4 40]] \"a write that failed was read\"",
                "1 fail [[:w 5 50]] \"failed in a transaction that committed\"",
                "1 ok [[:r 4 40] [:r 2 10]]",
            ]
        );
        // A write that succeeded explains the read as well.
        let history = recorded(&[&[(&[(w, 1, 10, false)], true), (&[(w, 1, 10, true)], true), (&[(r, 1, 10, true)], true)]]);
        assert_eq!(told(&history)[..2], ["0 ok []", "0 fail [[:w 1 10]] \"failed in a transaction that committed\""]);
    }

    #[test]
    fn converted_they_are_still_failed() {
        let history = recorded(&[&[(&[(true, 1, 10, true), (true, 2, 20, false)], true), (&[(false, 1, 10, true)], true)]]);
        for format in [Format::Edn, Format::Jsonl] {
            let mut written = Vec::new();
            crate::write(&mut written, &history, format).unwrap();
            assert_eq!(told(&read_bytes(&written, None).unwrap()), told(&history), "{format}");
        }
    }

    #[test]
    fn refuses_what_is_cut_or_goes_on() {
        let whole = history();
        for end in 1..whole.len() {
            assert!(read_bytes(&whole[..end], Some(Format::Dbcop)).is_err(), "{end}");
        }
        let longer = [whole, vec![0]].concat();
        assert!(read_bytes(&longer, None).unwrap_err().to_string().contains("something follows"));
    }

    #[test]
    fn a_place_is_the_same_wherever_the_bytes_are_cut() {
        // A character of three bytes lies across the number of sessions and that of the first session's transactions.
        let time = "2024-05-24T21:18:04.900123456+02:00";
        let header = [numbers(&[1, 2, 2, 1, 2]), text("x"), text(time), text(time)].concat();
        let bytes = [header, vec![2, 0, 0, 0, 0, 0, 0xEF, 0xBB], vec![0xBF, 0, 0, 0, 0, 0, 0, 0], numbers(&[1]), vec![7; 40]].concat();
        let told = read_bytes(&bytes, Some(Format::Dbcop)).unwrap_err().to_string();
        assert!(told.contains("a boolean is neither 0 nor 1"), "{told}");
        for part in 1..60 {
            crate::testing::cuts_change_nothing(Format::Dbcop, &bytes, part, 1, 0);
        }
    }
}
