//! Registers: which order of writes and cas explains what everybody reads.
//!
//! Without cas the last write of the order can be any, and nothing else matters; with them see [`conditional`].

use super::conditional::{self, INITIAL, Move, Stuck};
use super::decode::{Act, Objects, Seen};
use super::{FinalRead, Object, Update};
use crate::budget::{Account, Limit};
use crate::convergence::compare::{Found, Wrong, other};
use hashbrown::HashMap;
use histories::{History, OpId, ValueId};
use rustc_hash::FxBuildHasher;

/// What updates stored, and when each of it began.
struct Stored<'a> {
    history: &'a History,
    /// By value, those that were invoked first before the others.
    by_value: HashMap<ValueId, Vec<Update>, FxBuildHasher>,
}

impl<'a> Stored<'a> {
    fn new(history: &'a History, object: &Object) -> Stored<'a> {
        let mut by_value: HashMap<ValueId, Vec<Update>, FxBuildHasher> = HashMap::default();
        for update in object.updates.iter().chain(&object.passing) {
            if let Act::Write(value) | Act::Replace(_, value) = update.act {
                by_value.entry(value).or_default().push(*update);
            }
        }
        by_value.values_mut().for_each(|stored| stored.sort_by_key(|update| update.op));
        Stored { history, by_value }
    }

    /// The updates that stored a value and were invoked before an event.
    fn before(&self, value: ValueId, event: u32) -> &[Update] {
        let all = self.by_value.get(&value).map_or(&[][..], Vec::as_slice);
        &all[..all.partition_point(|update| self.history.op(update.op).invoke < event)]
    }
}

/// An update of unknown outcome that happened, because somebody read what it stored.
struct Implied {
    op: OpId,
    read: OpId,
    /// No other update can have stored it, or others that do the same, of which it may as well be the one.
    is_certain: bool,
}

/// Decides by what is read from which update.
pub(super) fn register(history: &History, objects: &Objects<'_>, object: &Object, account: &mut Account<'_>) -> Result<Found, Limit> {
    let stored = Stored::new(history, object);
    let extended = object.updates.iter().any(|update| update.act == Act::Extend);
    for read in &object.reads {
        let Seen::Value(value) = read.seen else { continue };
        if !extended && !objects.is_initial(history, value) && stored.before(value, u32::MAX).is_empty() {
            return Ok(Found::Wrong(Wrong::Nowhere { read: read.op, value }));
        }
    }
    let implied = match if extended { Ok(Vec::new()) } else { implied(history, objects, object, &stored, account)? } {
        Ok(implied) => implied,
        Err(wrong) => return Ok(Found::Wrong(wrong)),
    };
    if let Some((first, other)) = other(object) {
        return Ok(Found::Wrong(Wrong::Differ { here: first.op, there: other.op, element: None }));
    }
    if extended {
        return Ok(Found::Open("its strings were appended to, and which order of that explains what was read is not searched for".into()));
    }
    if object.updates.iter().any(|update| matches!(update.act, Act::Replace(..))) || !implied.is_empty() {
        return conditionally(history, objects, object, &implied, account);
    }
    let Some(FinalRead { op: read, seen: Seen::Value(value), .. }) = object.reads.first() else { return Ok(Found::Order(Vec::new())) };
    let done = || object.updates.iter().filter(|update| update.is_done).map(|update| update.op);
    let source = object.updates.iter().filter(|update| update.act == Act::Write(*value)).max_by_key(|update| update.is_done);
    Ok(match (source, object.updates.iter().rfind(|update| update.is_done)) {
        (Some(source), _) => Found::Order(done().filter(|op| *op != source.op).chain([source.op]).collect()),
        (None, Some(lost)) => Found::Wrong(Wrong::AllLost { read: *read, update: lost.op, value: *value }),
        (None, None) => Found::Order(Vec::new()),
    })
}

/// What happened because it was read before the end; or a read of what nobody had begun to store.
fn implied(
    history: &History,
    objects: &Objects<'_>,
    object: &Object,
    stored: &Stored<'_>,
    account: &mut Account<'_>,
) -> Result<Result<Vec<Implied>, Wrong>, Limit> {
    let mut implied: Vec<Implied> = Vec::new();
    // The first read of each value to complete says the most.
    let mut first: HashMap<ValueId, OpId, FxBuildHasher> = HashMap::default();
    for &read in &object.early {
        account.work(8)?;
        for seen in object.seen(history, objects, read) {
            let Seen::Value(value) = seen else { continue };
            let known = first.entry(value).or_insert(read);
            if history.op(read).complete < history.op(*known).complete {
                *known = read;
            }
        }
    }
    let mut first: Vec<(OpId, ValueId)> = first.into_iter().map(|(value, read)| (read, value)).collect();
    first.sort_unstable();
    for (read, value) in first.into_iter().filter(|(_, value)| !objects.is_initial(history, *value)) {
        let sources = stored.before(value, history.op(read).complete);
        if sources.is_empty() {
            return Ok(Err(Wrong::Nowhere { read, value }));
        }
        if sources.iter().any(|source| source.is_done) {
            continue;
        }
        // A write takes nothing away that others need.
        let write = sources.iter().find(|source| matches!(source.act, Act::Write(_)));
        let op = write.unwrap_or(&sources[0]).op;
        implied.push(Implied { op, read, is_certain: sources.iter().all(|source| source.act == sources[0].act) });
    }
    Ok(Ok(implied))
}

/// The values as vertices.
struct Vertices<'a> {
    history: &'a History,
    objects: &'a Objects<'a>,
    of: HashMap<ValueId, u32, FxBuildHasher>,
    /// After the initial value.
    values: Vec<ValueId>,
}

impl Vertices<'_> {
    fn vertex(&mut self, value: ValueId) -> u32 {
        let next = self.values.len() as u32 + 1;
        *self.of.entry(value).or_insert_with(|| {
            if self.objects.is_initial(self.history, value) {
                return INITIAL;
            }
            self.values.push(value);
            next
        })
    }
}

fn conditionally(
    history: &History,
    objects: &Objects<'_>,
    object: &Object,
    implied: &[Implied],
    account: &mut Account<'_>,
) -> Result<Found, Limit> {
    let mut vertices = Vertices { history, objects, of: HashMap::default(), values: Vec::new() };
    let mut moves = Vec::with_capacity(object.updates.len());
    for update in &object.updates {
        let (from, to) = match update.act {
            Act::Write(value) => (None, value),
            Act::Replace(old, new) => (Some(vertices.vertex(old)), new),
            Act::Extend | Act::Add(_) | Act::Remove(_) | Act::Increase(_) => continue,
        };
        moves.push(Move { from, to: vertices.vertex(to), is_needed: update.is_done });
    }
    let last = object.reads.first().and_then(|read| if let Seen::Value(value) = read.seen { Some(vertices.vertex(value)) } else { None });
    let count = vertices.values.len() + 1;
    account.hold(conditional::bytes(count, moves.len()) + object.updates.len() * 48)?;
    let place_of = |op: OpId| object.updates.iter().position(|update| update.op == op);
    for one in implied.iter().filter(|one| one.is_certain) {
        if let Some(place) = place_of(one.op) {
            moves[place].is_needed = true;
        }
    }
    let ops = |order: Vec<usize>| Found::Order(order.into_iter().map(|place| object.updates[place].op).collect());
    match conditional::order(count, &moves, last, account) {
        Ok(order) if implied.iter().all(|one| one.is_certain) => return Ok(ops(order)),
        Ok(_) => {}
        Err(stuck) => return wrong(object, implied, stuck),
    }
    // One of several must have happened: the likeliest is taken.
    for one in implied {
        if let Some(place) = place_of(one.op) {
            moves[place].is_needed = true;
        }
    }
    match conditional::order(count, &moves, last, account) {
        Ok(order) => Ok(ops(order)),
        Err(Stuck::Out(limit)) => Err(limit),
        Err(_) => Ok(open()),
    }
}

fn open() -> Found {
    Found::Open("no order of its writes and cas was found that explains what was read, and no contradiction".into())
}

/// What shows that there is no order. What is known to have happened by a read is shown by that read.
fn wrong(object: &Object, implied: &[Implied], stuck: Stuck) -> Result<Found, Limit> {
    let shown = |place: usize| {
        let update = object.updates[place];
        let read = implied.iter().find(|one| one.is_certain && one.op == update.op && !update.is_done);
        read.map_or(update.op, |one| one.read)
    };
    let end = object.reads.first().map(|read| read.op);
    Ok(Found::Wrong(match stuck {
        Stuck::TooOften { moves, ends_there, times } => {
            Wrong::FoundTooOften { ops: moves.into_iter().map(shown).collect(), read: end.filter(|_| ends_there), times: Some(times) }
        }
        Stuck::NeverThere(place) => Wrong::FoundTooOften { ops: vec![shown(place)], read: None, times: Some(0) },
        Stuck::NeverBack(place) => match end {
            Some(read) => Wrong::NeverBack { read, op: shown(place) },
            None => return Ok(open()),
        },
        Stuck::Open => return Ok(open()),
        Stuck::Out(limit) => return Err(limit),
    }))
}
