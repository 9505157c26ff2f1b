//! The reads and writes of one key, each read with the write that it returned.

use super::latest::{Latest, Op};
use crate::budget::Account;
use crate::decode::{NEVER, decode_op};
use crate::linear::problem::Unread;
use hashbrown::HashMap;
use histories::keyed::{KeyOps, Keys};
use histories::{History, OpId, ValueId};
use rustc_hash::FxBuildHasher;

/// A write that may have taken effect. Positions are events; the initial value's write is the first and stands before all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    pub(crate) op: Option<OpId>,
    /// The invocation, plus one; 0 of the initial value.
    pub(crate) call: u32,
    /// The completion, plus one; [`NEVER`] if its outcome is unknown.
    pub(crate) ret: u32,
    /// Whether no other write has its value.
    pub(crate) is_unique: bool,
    /// The first completion of it and of the reads that returned it.
    pub(crate) first_return: u32,
    /// The last invocation of a read that returned it, and the read.
    pub(crate) last_read: Option<(u32, OpId)>,
}

/// A read, and the write that it is taken to have returned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) op: OpId,
    pub(crate) call: u32,
    pub(crate) source: u32,
}

/// One key.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    /// By invocation, the initial value first. Those of unknown outcome are here too; if nobody read them they took no effect.
    pub(crate) writes: Vec<Write>,
    /// By invocation.
    pub(crate) reads: Vec<Read>,
    /// Values that several writes have.
    pub(crate) repeated: usize,
    /// A read that no write explains.
    pub(crate) impossible: Option<OpId>,
}

impl Write {
    /// Whether it certainly took effect.
    pub(crate) fn took_effect(&self) -> bool {
        self.ret != NEVER || self.last_read.is_some()
    }
}

impl Cell {
    /// Reads the ops of a key. A read whose value several writes have is taken to have returned the one invoked last before it ended.
    pub(crate) fn new(history: &History, keys: &Keys, group: &KeyOps, model: &Latest, account: &mut Account<'_>) -> Result<Cell, Unread> {
        account.hold(group.ops.len() * (size_of::<Write>() + size_of::<Read>() + 64)).map_err(Unread::Out)?;
        let mut cell = Cell::default();
        let mut of_value: HashMap<ValueId, Vec<u32>, FxBuildHasher> = HashMap::default();
        let start = Write { op: None, call: 0, ret: 0, is_unique: true, first_return: 0, last_read: None };
        cell.writes.push(start);
        of_value.extend(model.initial().map(|value| (value, vec![0])));
        let mut reads = Vec::new();
        for &id in &group.ops {
            account.work(8).map_err(Unread::Out)?;
            let decoded = decode_op(model, history, keys, id).map_err(|(op, why)| Unread::Malformed(op, why))?;
            let Some((op, ret)) = decoded else { continue };
            let (call, ret) = (history.op(id).invoke + 1, if ret == NEVER { NEVER } else { ret + 1 });
            match op {
                Op::Read(value) => reads.push((id, value, call, ret)),
                Op::Write(value) => {
                    of_value.entry(value).or_default().push(cell.writes.len() as u32);
                    cell.writes.push(Write { op: Some(id), call, ret, first_return: ret, ..start });
                }
            }
        }
        for write in of_value.values().filter(|writes| writes.len() > 1).flatten() {
            cell.writes[*write as usize].is_unique = false;
        }
        cell.repeated = of_value.values().filter(|writes| writes.len() > 1).count();
        for (op, value, call, ret) in reads {
            let sources = of_value.get(&value).map_or(&[][..], Vec::as_slice);
            let before = sources.partition_point(|&write| cell.writes[write as usize].call < ret);
            let Some(&source) = before.checked_sub(1).and_then(|at| sources.get(at)) else {
                cell.impossible = cell.impossible.or(Some(op));
                continue;
            };
            let write = &mut cell.writes[source as usize];
            write.first_return = write.first_return.min(ret);
            write.last_read = write.last_read.max(Some((call, op)));
            cell.reads.push(Read { op, call, source });
        }
        Ok(cell)
    }
}

/// The times of a history's events.
#[derive(Debug)]
pub(crate) struct Clock {
    /// For each position (an event plus one), the latest time up to it; `None` where the history has no times.
    pub(crate) times: Option<Vec<i64>>,
    backwards: usize,
}

impl Clock {
    /// Reads the times of all client events.
    pub(crate) fn new(history: &History) -> Clock {
        let mut is_client = vec![false; history.len()];
        for op in history.ops() {
            for event in [op.invoke, op.complete].into_iter().filter(|&event| event != histories::history::NO_EVENT) {
                is_client[event as usize] = true;
            }
        }
        let mut clock = Clock { times: None, backwards: 0 };
        let mut times = vec![i64::MIN];
        let mut latest = i64::MIN;
        for event in 0..history.len() as u32 {
            if is_client[event as usize] {
                let Some(time) = history.time(event) else { return clock };
                clock.backwards += usize::from(time < latest);
                latest = latest.max(time);
            }
            times.push(latest);
        }
        clock.times = Some(times);
        clock
    }

    /// What was made of times that run backwards.
    pub(crate) fn note(&self) -> Option<String> {
        (self.backwards > 0).then(|| {
            let times = crate::text::many(self.backwards, "event");
            format!("{times} have earlier times than events before them in the file; the latest time so far was taken for them")
        })
    }
}
