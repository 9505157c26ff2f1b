//! Collections that only grow, whose reads show everything: lists with append, sets with add.
//!
//! Each value is put in by one op. What two reads saw tells which came first: the one that saw less; so all reads must be
//! nested (in a list: each a beginning of the next). The reads, sorted by how much they saw, and the values between them make
//! *stages*: the inserts of the values that a read saw and the read before it did not, then the reads that saw just that; in
//! the end the inserts that no read saw, of unknown outcome or not. That order of stages is forced. Inside a stage the inserts
//! into a list stand in the list's order, which is forced too; all else goes by invocation, which respects real time. So the
//! history can be ordered exactly if the reads are nested, saw nothing that was not yet put in, and no op of the order had
//! completed before one was invoked that stands before it.
//!
//! An insert of unknown outcome that nobody saw is left out. Linear in the total size of the reads, but for sorting.

use super::{Inserts, NONE, No, Ops};
use crate::budget::Account;
use crate::decode::NEVER;
use crate::model::Role;
use histories::{OpId, ValueId};

/// Whether the values have an order of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Reads are sorted by value.
    None,
    /// Reads show the values in the order in which they were put in.
    Listed,
}

struct Growing<'a> {
    ops: &'a Ops<'a>,
    inserts: Inserts,
    order: Order,
}

pub(super) fn decide(ops: &Ops<'_>, order: Order, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    if !ops.roles.iter().all(|role| matches!(role, Role::Insert(_) | Role::Read(_))) {
        return Err(No::Open);
    }
    let inserts = Inserts::new(ops, account)?;
    if inserts.any_repeated() {
        return Err(No::Open);
    }
    Growing { ops, inserts, order }.decide(account)
}

impl Growing<'_> {
    fn read(&self, entry: u32) -> Option<&[ValueId]> {
        match self.ops.role(entry) {
            Role::Read(values) => Some(values),
            _ => None,
        }
    }

    fn insert_of(&self, value: ValueId) -> u32 {
        self.inserts.get(value).unwrap_or(NONE)
    }

    /// The verdict, or the ops that contradict each other.
    fn decide(&self, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
        let mut reads: Vec<u32> = (0..self.ops.entries.len() as u32).filter(|&i| self.read(i).is_some()).collect();
        reads.sort_by_key(|&i| self.read(i).map_or(0, <[ValueId]>::len));
        let mut line: Vec<u32> = Vec::with_capacity(self.ops.entries.len());
        let mut is_placed = vec![false; self.ops.entries.len()];
        let mut before: &[ValueId] = &[];
        let mut before_of = NONE;
        for &read in &reads {
            let Some(values) = self.read(read) else { continue };
            account.work(4 + 4 * values.len() as u64)?;
            if values != before {
                let stage = line.len();
                for value in self.new_values(before, before_of, values, read).map_err(No::Broken)? {
                    let insert = self.insert_of(value);
                    if insert == NONE || self.ops.entries[insert as usize].call > self.ops.entries[read as usize].ret {
                        return Err(No::Broken(vec![read, insert]));
                    }
                    if std::mem::replace(&mut is_placed[insert as usize], true) {
                        return Err(No::Broken(vec![read, insert])); // It is there twice.
                    }
                    line.push(insert);
                }
                if self.order == Order::None {
                    line[stage..].sort_unstable(); // By invocation.
                }
                (before, before_of) = (values, read);
            }
            is_placed[read as usize] = true;
            line.push(read);
        }
        // Reads of one stage are still in the order of the entries, which is that of their invocations: the sort is stable.
        line.extend((0..).zip(&self.ops.entries).filter(|(i, e)| !is_placed[*i as usize] && !e.is_crashed()).map(|(i, _)| i));
        account.work(line.len() as u64)?;
        self.check_real_time(&line).map_err(No::Broken)?;
        Ok(line.iter().map(|&i| self.ops.id(i)).collect())
    }

    /// What a read saw and the one before did not.
    fn new_values(&self, before: &[ValueId], before_of: u32, values: &[ValueId], read: u32) -> Result<Vec<ValueId>, Vec<u32>> {
        if self.order == Order::Listed {
            let same = before.iter().zip(values).take_while(|(a, b)| a == b).count();
            if same < before.len() {
                return Err(vec![before_of, read, self.insert_of(before[same]), values.get(same).map_or(NONE, |&v| self.insert_of(v))]);
            }
            return Ok(values[same..].to_vec());
        }
        let mut new = Vec::with_capacity(values.len().saturating_sub(before.len()));
        let mut missing = NONE;
        let mut seen = before.iter().peekable();
        for (i, &value) in values.iter().enumerate() {
            if i > 0 && values[i - 1] == value {
                return Err(vec![read, self.insert_of(value)]); // It is there twice.
            }
            while let Some(&lost) = seen.next_if(|seen| **seen < value) {
                missing = self.insert_of(lost);
            }
            if seen.next_if(|seen| **seen == value).is_none() {
                new.push(value);
            }
        }
        if let Some(&lost) = seen.next() {
            missing = self.insert_of(lost);
        }
        if missing == NONE {
            return Ok(new);
        }
        Err(vec![before_of, read, missing, new.first().map_or(NONE, |&value| self.insert_of(value))])
    }

    /// That no op of the line had completed before one was invoked that stands before it. Otherwise: the two, and the reads
    /// and inserts that put them in this order.
    fn check_real_time(&self, line: &[u32]) -> Result<(), Vec<u32>> {
        let entry = |place: usize| self.ops.entries[line[place] as usize];
        let mut latest = 0;
        for place in 0..line.len() {
            if entry(place).ret != NEVER && entry(place).ret < entry(latest).call {
                return Err(self.around(line, latest, place));
            }
            if entry(place).call > entry(latest).call {
                latest = place;
            }
        }
        Ok(())
    }

    /// The ops at two places of the line, the inserts between a read and a later one, and the next read of all that was put
    /// in by then.
    fn around(&self, line: &[u32], first: usize, second: usize) -> Vec<u32> {
        let mut suspects = vec![line[first], line[second]];
        let is_read = |place: &usize| self.read(line[*place]).is_some();
        suspects.extend((second..line.len()).find(is_read).map(|place| line[place]));
        suspects.extend((first..line.len()).find(is_read).map(|place| line[place]));
        suspects.extend((first..second).find(|place| !is_read(place)).map(|place| line[place]));
        suspects
    }
}
