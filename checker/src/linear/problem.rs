//! One key's ops, ready to be ordered: decoded, grouped into classes, with the positions of their events.

use crate::budget::{Account, Budget, Limit};
use crate::decode::NEVER;
use crate::decode::decode_op;
use crate::interner::Interner;
use crate::locality;
use crate::model::Model;
use histories::keyed::{KeyOps, Keys};
use histories::{History, OpId};

/// An op to be ordered. Positions are event indices of the history; an op takes effect strictly between its two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The op in the history.
    pub id: OpId,
    /// What it does, as an index into [`Problem::classes`].
    pub class: u32,
    /// Its invocation.
    pub call: u32,
    /// Its completion; [`NEVER`] if its outcome is unknown, and then it may also never happen.
    pub ret: u32,
}

impl Entry {
    /// Whether the outcome is unknown.
    pub(crate) fn is_crashed(self) -> bool {
        self.ret == NEVER
    }
}

/// One key's ops, in the order of their invocations.
#[derive(Debug)]
pub(crate) struct Problem<O> {
    /// The distinct decoded ops.
    pub classes: Vec<O>,
    /// The ops.
    pub entries: Vec<Entry>,
}

/// Why a key's ops could not be read.
#[derive(Clone, Debug)]
pub(crate) enum Unread {
    /// An op that a model cannot read, and why.
    Malformed(OpId, String),
    /// The budget ended.
    Out(Limit),
}

/// What was read of a key, and the account of its memory.
pub(crate) type Read<'b, O> = Result<(Account<'b>, Problem<O>), Unread>;

/// Reads the ops of some keys out of a history. Ops that say nothing about the object are left out: failed ones (unless the
/// model says otherwise), and ops of unknown outcome that would change nothing.
pub(crate) fn decode<'b, M: Model>(
    model: &M,
    history: &History,
    keys: &Keys,
    groups: &[KeyOps],
    budget: &'b Budget,
) -> Vec<Read<'b, M::Op>> {
    let mut decoders: Vec<Result<Decoder<'_, 'b, M>, Unread>> = groups.iter().map(|group| Decoder::new(group, budget)).collect();
    for end in locality::stretches(history.ops().len(), groups.len()) {
        for decoder in &mut decoders {
            if let Ok(going) = decoder
                && let Err(unread) = going.goes_on(model, history, keys, end)
            {
                *decoder = Err(unread);
            }
        }
    }
    decoders.into_iter().map(|decoder| decoder.and_then(Decoder::finish)).collect()
}

/// One key, as far as it has been read.
struct Decoder<'k, 'b, M: Model> {
    ops: std::slice::Iter<'k, OpId>,
    class_of: Interner<M::Op>,
    /// Classes that there is room for, the bytes of the table of their numbers, and what they point to.
    room: u32,
    table_bytes: usize,
    pointed_to_bytes: usize,
    problem: Problem<M::Op>,
    account: Account<'b>,
}

impl<'k, 'b, M: Model> Decoder<'k, 'b, M> {
    fn new(group: &'k KeyOps, budget: &'b Budget) -> Result<Self, Unread> {
        let mut account = Account::new(budget);
        let ops = group.ops.len();
        account.hold(ops * size_of::<Entry>()).map_err(Unread::Out)?;
        let problem = Problem { classes: Vec::new(), entries: Vec::with_capacity(ops) };
        Ok(Decoder {
            ops: group.ops.iter(),
            class_of: Interner::new(ops),
            room: 1024,
            table_bytes: 0,
            pointed_to_bytes: 0,
            problem,
            account,
        })
    }

    /// Reads the ops before `end`.
    fn goes_on(&mut self, model: &M, history: &History, keys: &Keys, end: OpId) -> Result<(), Unread> {
        while let Some(&id) = self.ops.as_slice().first().filter(|&&id| id < end) {
            self.ops.next();
            self.account.work(4).map_err(Unread::Out)?;
            let decoded = decode_op(model, history, keys, id).map_err(|(id, why)| Unread::Malformed(id, why))?;
            let Some((decoded, ret)) = decoded else { continue };
            let class = self.class(model, decoded).map_err(Unread::Out)?;
            self.problem.entries.push(Entry { id, class, call: history.op(id).invoke, ret });
        }
        Ok(())
    }

    fn class(&mut self, model: &M, op: M::Op) -> Result<u32, Limit> {
        let next = self.problem.classes.len() as u32;
        let own = model.op_number(&op);
        let growth = self.class_of.growth(own);
        if next == self.room || growth.is_some() {
            self.room *= if next == self.room { 2 } else { 1 };
            self.table_bytes = growth.unwrap_or(self.table_bytes);
            self.hold()?;
        }
        let class = self.class_of.number(own, &op, next);
        if class == next {
            let more = model.op_bytes(&op);
            if more > 0 {
                self.pointed_to_bytes += more;
                self.hold()?;
            }
            self.problem.classes.push(op);
        }
        Ok(class)
    }

    fn hold(&mut self) -> Result<(), Limit> {
        let entries_bytes = self.problem.entries.capacity() * size_of::<Entry>();
        let classes_bytes = self.room as usize * bytes_per_class::<M::Op>() + self.pointed_to_bytes;
        self.account.hold(entries_bytes + self.table_bytes + classes_bytes)
    }

    fn finish(mut self) -> Read<'b, M::Op> {
        let bytes = self.problem.entries.capacity() * size_of::<Entry>() + self.problem.classes.capacity() * size_of::<M::Op>();
        drop(self.class_of);
        self.account.hold(bytes + self.pointed_to_bytes).map_err(Unread::Out)?;
        Ok((self.account, self.problem))
    }
}

/// What a class takes at most while classes are being numbered: the list and the map double, the map is at most seven eighths
/// full, and while they are copied there are the old ones too.
const fn bytes_per_class<O>() -> usize {
    size_of::<O>() * 3 / 2 + size_of::<(O, u32)>() * 3 + 3
}

/// An event of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The entry is invoked.
    Call(u32),
    /// The entry completes.
    Return(u32),
}

/// A table of all positions is used if it has at most so many per entry; else events are sorted.
const PLACES_PER_ENTRY: usize = 4;

impl<O> Problem<O> {
    /// All events with their positions, in order.
    pub(crate) fn events(&self) -> Vec<(u32, Event)> {
        let mut events = Vec::with_capacity(self.entries.len() * 2);
        if let Some(places) = self.places() {
            let event = |(at, place): (usize, u32)| match place {
                NEVER => None,
                place => Some((at as u32, if place & 1 == 0 { Event::Call(place >> 1) } else { Event::Return(place >> 1) })),
            };
            events.extend(places.into_iter().enumerate().filter_map(event));
            return events;
        }
        for (i, entry) in (0..).zip(&self.entries) {
            events.push((entry.call, Event::Call(i)));
            if !entry.is_crashed() {
                events.push((entry.ret, Event::Return(i)));
            }
        }
        events.sort_unstable_by_key(|e| e.0);
        events
    }

    /// By position, what happens there: twice the entry, one more if it is its return. `None` if most positions are of others.
    fn places(&self) -> Option<Vec<u32>> {
        let last = self.entries.iter().map(|e| if e.is_crashed() { e.call } else { e.ret }).max()? as usize;
        if last >= self.entries.len() * PLACES_PER_ENTRY || self.entries.len() > (NEVER / 2) as usize {
            return None;
        }
        let mut places = vec![NEVER; last + 1];
        for (i, entry) in (0..).zip(&self.entries) {
            places[entry.call as usize] = 2 * i;
            if !entry.is_crashed() {
                places[entry.ret as usize] = 2 * i + 1;
            }
        }
        Some(places)
    }

    /// What was known just before the event `until`: ops that had not returned are of unknown outcome.
    pub(crate) fn before(&self, until: u32, is_pure: impl Fn(&O) -> bool) -> Problem<O>
    where
        O: Clone,
    {
        let known = self.entries.iter().filter(|e| e.call < until).map(|&e| if e.ret < until { e } else { Entry { ret: NEVER, ..e } });
        let entries = known.filter(|e| !e.is_crashed() || !is_pure(&self.classes[e.class as usize])).collect();
        Problem { classes: self.classes.clone(), entries }
    }

    /// The entry of an op of the problem.
    pub(crate) fn place(&self, id: OpId) -> u32 {
        self.entries.binary_search_by_key(&id, |e| e.id).expect("the op is in the problem") as u32
    }

    /// Bytes that [`Problem::events`] and [`Problem::before`] need for a moment.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.len() * (size_of::<Entry>() + 2 * size_of::<(u32, Event)>() + PLACES_PER_ENTRY * size_of::<u32>())
            + self.classes.len() * size_of::<O>()
    }

    /// The most ops of known outcome that are in flight at any moment. `events` are its own.
    pub(crate) fn width(&self, events: &[(u32, Event)]) -> usize {
        let mut open = 0usize;
        let mut most = 0;
        for &(_, event) in events {
            match event {
                Event::Call(i) if !self.entries[i as usize].is_crashed() => open += 1,
                Event::Call(_) => {}
                Event::Return(_) => open -= 1,
            }
            most = most.max(open);
        }
        most
    }
}
