//! dbcop's binary histories (`history.bincode`): transactions of reads and writes by session, without invocations. As session
//! text, and read into the same: every transaction is an op of `f` txn, every session a process; a transaction that did not
//! commit is a `fail`.
//!
//! The layout is that of bincode 1: little-endian, numbers and lengths in 8 bytes, booleans in one. Five numbers (id, nodes,
//! variables, transactions per session, events per transaction), three strings (a comment, start, end), then the sessions.

use crate::draft::Draft;
use crate::error::Fault;
use crate::history::{Builder, Kind};
use crate::sequence::InOrder;
use crate::value::{ValueId, Values};

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

/// Reads a binary history.
#[derive(Debug, Default)]
pub(crate) struct Dbcop {
    /// What is still to come; `None`: all of it, the header first.
    rest: Option<Rest>,
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
                transaction(input, *session - 1, builder)?;
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

    fn finish(&mut self, _: &mut Builder) -> Result<(), Fault> {
        Ok(())
    }
}

fn transaction(input: &mut Input<'_>, session: u64, builder: &mut Builder) -> Result<(), Fault> {
    let at = input.at;
    let mut micro_ops = Vec::new();
    for _ in 0..input.number()? {
        let is_write = input.boolean()?;
        let (key, value) = (input.number()?, input.number()?);
        let took_place = input.boolean()?;
        // A read that did not take place read nothing.
        if took_place || is_write {
            let values = builder.values();
            let parts = [values.keyword(if is_write { "w" } else { "r" }), unsigned(values, key), unsigned(values, value)];
            micro_ops.push(values.vector(&parts));
        }
    }
    let mut draft = Draft::new(0);
    draft.kind = Some(if input.boolean()? { Kind::Ok } else { Kind::Fail });
    draft.process = Some(unsigned(builder.values(), session));
    draft.value = Some(builder.values().vector(&micro_ops));
    draft.push(builder, at)?;
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
