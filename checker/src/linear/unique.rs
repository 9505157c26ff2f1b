//! Objects that are decided without a search, by looking at each value's own ops or by counting, in near-linear time.
//!
//! Each module says what must hold, why that is enough, and gives an order or the few ops that break it. What none of them
//! covers is left to the search. Of a collection in which some values were put in more than once only the others are looked at:
//! leave out all ops on some values, and a legal order stays one, so that a contradiction among the others stands; an order of
//! them says nothing.
//!
//! Positions are ranks among the object's own events. A *moment* is named after the event that it follows: an op can take effect
//! at the moments from its invocation on, before its return.

mod bag;
mod counter;
mod fencing_lock;
mod grow_only;
mod ids;
mod priority;
mod queue;
mod reentrant_mutex;
mod revisions;
mod segment_tree;
mod semaphore;
mod set;
mod stack;
mod value_intervals;

use super::problem::{Entry, Event, Problem};
use super::zones::Zones;
use crate::budget::{Account, Limit};
use crate::decode::NEVER;
use crate::interner::Interner;
use crate::model::{Collection, Deed, Model, Role, Tally, small};
use crate::options::Algorithm;
use hashbrown::HashMap;
use histories::{OpId, ValueId};
use rustc_hash::FxBuildHasher;

type FxMap<K, V> = HashMap<K, V, FxBuildHasher>;

/// No entry.
const NONE: u32 = u32::MAX;

/// What a procedure holds at most per op, in bytes: the op with ranks, a life, its places in orders and trees, tables by value.
pub(crate) const BYTES_PER_OP: usize = 224;

/// The ops of an object as the procedures see them.
struct Ops<'a> {
    /// In the order of their invocations; positions are ranks.
    entries: Vec<Entry>,
    /// By rank.
    events: &'a [(u32, Event)],
    /// What each class does.
    roles: &'a [Role<'a>],
    deeds: &'a [Deed],
}

impl Ops<'_> {
    fn deed(&self, entry: u32) -> Deed {
        self.deeds[self.entries[entry as usize].class as usize]
    }

    fn role(&self, entry: u32) -> Role<'_> {
        self.roles[self.entries[entry as usize].class as usize]
    }

    /// Whether it takes out a value that nobody knows.
    fn is_removal(&self, entry: u32) -> bool {
        matches!(self.role(entry), Role::RemoveAny)
    }

    fn found_nothing(&self, entry: u32) -> bool {
        matches!(self.role(entry), Role::Empty)
    }

    fn id(&self, entry: u32) -> OpId {
        self.entries[entry as usize].id
    }
}

/// Why a procedure found no order.
#[derive(Debug)]
enum No {
    /// These entries contradict each other.
    Broken(Vec<u32>),
    /// This entry cannot return, and the reason is in what came before.
    Blocked(u32),
    /// It does not cover this.
    Open,
    /// The budget ended.
    Out(Limit),
}

impl From<Limit> for No {
    fn from(limit: Limit) -> No {
        No::Out(limit)
    }
}

/// The procedures for a collection, in the order in which they are tried.
pub(crate) fn of_collection(collection: Collection) -> &'static [Algorithm] {
    match collection {
        Collection::Queue => &[Algorithm::QueueOrder],
        Collection::Stack => &[Algorithm::StackNesting],
        Collection::PriorityQueue(_) => &[Algorithm::PriorityOrder],
        Collection::Bag => &[Algorithm::BagMoments],
        Collection::Set => &[Algorithm::NestedReads, Algorithm::SetElements],
        Collection::List => &[Algorithm::ReadOrder],
        Collection::Ids => &[Algorithm::DistinctIds],
    }
}

/// The procedures for what is counted.
pub(crate) fn of_tally(tally: Tally) -> &'static [Algorithm] {
    match tally {
        Tally::Number(_) => &[Algorithm::CounterSums],
        Tally::Permits(_) => &[Algorithm::PermitCounts],
        Tally::Holds => &[Algorithm::HoldIntervals],
        Tally::Tokens => &[Algorithm::TokenOrder],
        Tally::Revisions { .. } => &[Algorithm::RevisionOrder, Algorithm::Zones],
    }
}

/// Decides, as far as the procedure goes.
///
/// # Errors
/// The budget ended.
pub(crate) fn decide<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    events: &[(u32, Event)],
    procedure: Algorithm,
    account: &mut Account<'_>,
) -> Result<Zones, Limit> {
    account.hold(problem.entries.len() * BYTES_PER_OP)?;
    let roles: Vec<Role<'_>> = problem.classes.iter().map(|op| model.role(op)).collect();
    let deeds: Vec<Deed> = problem.classes.iter().map(|op| model.deed(op)).collect();
    let ops = Ops { entries: ranked(&problem.entries, events), events, roles: &roles, deeds: &deeds };
    account.work(events.len() as u64)?;
    let found = match (procedure, model.tally()) {
        (Algorithm::QueueOrder, _) => queue::decide(&ops, account),
        (Algorithm::StackNesting, _) => stack::decide(&ops, account),
        (Algorithm::PriorityOrder, _) => match model.collection() {
            Some(Collection::PriorityQueue(first)) => priority::decide(&ops, first, account),
            _ => Err(No::Open),
        },
        (Algorithm::BagMoments, _) => bag::decide(&ops, account),
        (Algorithm::NestedReads, _) => grow_only::decide(&ops, grow_only::Order::None, account),
        (Algorithm::SetElements, _) => set::decide(&ops, account),
        (Algorithm::ReadOrder, _) => grow_only::decide(&ops, grow_only::Order::Listed, account),
        (Algorithm::DistinctIds, _) => ids::decide(&ops, account),
        (Algorithm::PermitCounts, Some(Tally::Permits(permits))) => semaphore::decide(&ops, permits, account),
        (Algorithm::HoldIntervals, _) => reentrant_mutex::decide(&ops, account),
        (Algorithm::TokenOrder, _) => fencing_lock::decide(&ops, account),
        (Algorithm::RevisionOrder, Some(Tally::Revisions { told: true })) => revisions::decide(&ops, account),
        (Algorithm::CounterSums, Some(Tally::Number(start))) => counter::decide(&ops, start, account),
        _ => Err(No::Open),
    };
    match found {
        Ok(order) => Ok(Zones::Order(order)),
        Err(No::Blocked(blocked)) => Ok(Zones::Stuck { blocked, suspects: Vec::new(), prefix: None }),
        Err(No::Broken(suspects)) => Ok(stuck(&ops, suspects)),
        Err(No::Open) => Ok(Zones::Open),
        Err(No::Out(limit)) => Err(limit),
    }
}

/// The entries with ranks for positions.
fn ranked(entries: &[Entry], events: &[(u32, Event)]) -> Vec<Entry> {
    let mut entries = entries.to_vec();
    for (rank, &(_, event)) in (0..).zip(events) {
        match event {
            Event::Call(entry) => entries[entry as usize].call = rank,
            Event::Return(entry) => entries[entry as usize].ret = rank,
        }
    }
    entries
}

/// A contradiction among the suspects: known at the latest when the last of them has returned.
fn stuck(ops: &Ops<'_>, mut suspects: Vec<u32>) -> Zones {
    suspects.retain(|&suspect| suspect != NONE);
    suspects.sort_unstable();
    suspects.dedup();
    let ret = |suspect: u32| ops.entries[suspect as usize].ret;
    let blocked = suspects.iter().copied().filter(|&suspect| ret(suspect) != NEVER).max_by_key(|&suspect| ret(suspect));
    blocked.map_or(Zones::Open, |blocked| Zones::Stuck { blocked, suspects, prefix: None })
}

/// Which entries put values in.
struct Inserts {
    numbers: Interner<ValueId>,
    /// By the number of a value: its only insert, or [`NONE`] if it has several.
    of: Vec<u32>,
}

impl Inserts {
    fn new(ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Inserts, Limit> {
        let mut inserts = Inserts { numbers: Interner::new(ops.entries.len()), of: Vec::new() };
        for (i, entry) in (0..).zip(&ops.entries) {
            account.work(2)?;
            if let Role::Insert(value) = ops.roles[entry.class as usize] {
                let next = inserts.of.len() as u32;
                match inserts.numbers.number(small(value), &value, next) {
                    number if number == next => inserts.of.push(i),
                    number => inserts.of[number as usize] = NONE,
                }
            }
        }
        Ok(inserts)
    }

    /// The entry that puts a value in: [`NONE`] if several do, `None` if none does.
    fn get(&self, value: ValueId) -> Option<u32> {
        self.numbers.get(small(value), &value).map(|number| self.of[number as usize])
    }

    /// Whether a value is put in more than once.
    fn any_repeated(&self) -> bool {
        self.of.contains(&NONE)
    }
}
