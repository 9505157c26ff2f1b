//! One key's ops, ready to be ordered: decoded, grouped into classes, with the positions of their events.

use crate::budget::{Account, Limit};
use crate::model::{Call, Decoded, Model};
use histories::keyed::{KeyOps, Keys};
use histories::{History, OpId, Outcome};
use rustc_hash::FxBuildHasher;

/// An op of unknown outcome ends here: after every event.
pub(crate) const NEVER: u32 = u32::MAX;

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

/// An op that a model cannot read, and why.
pub(crate) type Malformed = (OpId, String);

/// Why a key's ops could not be read.
#[derive(Clone, Debug)]
pub(crate) enum Unread {
    /// An op that a model cannot read, and why.
    Malformed(OpId, String),
    /// The budget ended.
    Out(Limit),
}

/// Reads one key's ops out of a history. Ops that say nothing about the object are left out: failed ones (unless the model
/// says otherwise), and ops of unknown outcome that would change nothing.
///
/// # Errors
/// See [`Unread`].
pub(crate) fn decode<M: Model>(
    model: &M,
    history: &History,
    keys: &Keys,
    group: &KeyOps,
    account: &mut Account<'_>,
) -> Result<Problem<M::Op>, Unread> {
    let mut class_of: hashbrown::HashMap<M::Op, u32, FxBuildHasher> = hashbrown::HashMap::default();
    let entries_bytes = group.ops.len() * size_of::<Entry>();
    account.hold(entries_bytes).map_err(Unread::Out)?;
    let mut problem = Problem { classes: Vec::new(), entries: Vec::with_capacity(group.ops.len()) };
    let mut room = 1024;
    for &id in &group.ops {
        account.work(4).map_err(Unread::Out)?;
        let decoded = decode_op(model, history, keys, id).map_err(|(id, why)| Unread::Malformed(id, why))?;
        let Some((decoded, ret)) = decoded else { continue };
        let next = problem.classes.len() as u32;
        if next == room {
            room *= 2;
            account.hold(entries_bytes + room as usize * bytes_per_class::<M::Op>()).map_err(Unread::Out)?;
        }
        let class = *class_of.entry(decoded).or_insert_with_key(|op| {
            problem.classes.push(op.clone());
            next
        });
        problem.entries.push(Entry { id, class, call: history.op(id).invoke, ret });
    }
    account.hold(entries_bytes + problem.classes.capacity() * size_of::<M::Op>()).map_err(Unread::Out)?;
    Ok(problem)
}

/// What a class takes at most while classes are being numbered: the list and the map double, the map is at most seven eighths
/// full, and while they are copied there are the old ones too.
const fn bytes_per_class<O>() -> usize {
    size_of::<O>() * 3 / 2 + size_of::<(O, u32)>() * 3 + 3
}

/// One op, decoded, with the position of its completion; `None` if it says nothing.
///
/// # Errors
/// An op that a model cannot read, and why.
pub(crate) fn decode_op<M: Model>(model: &M, history: &History, keys: &Keys, id: OpId) -> Result<Option<(M::Op, u32)>, Malformed> {
    let op = history.op(id);
    let outcome = history.outcome(op);
    let call = Call {
        f: history.name(history.op_function(op)),
        input: keys.input(history, op),
        output: keys.output(history, op),
        outcome,
        process: history.op_process(op).0,
        values: &history.values,
    };
    Ok(match model.decode(&call).map_err(|why| (id, why))? {
        Decoded::Nothing => None,
        Decoded::Op(decoded) if outcome == Outcome::Info => (!model.is_pure(&decoded)).then_some((decoded, NEVER)),
        Decoded::Op(decoded) => Some((decoded, op.complete)),
    })
}

/// An event of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The entry is invoked.
    Call(u32),
    /// The entry completes.
    Return(u32),
}

impl<O> Problem<O> {
    /// All events with their positions, in order.
    pub(crate) fn events(&self) -> Vec<(u32, Event)> {
        let mut events = Vec::with_capacity(self.entries.len() * 2);
        for (i, entry) in (0..).zip(&self.entries) {
            events.push((entry.call, Event::Call(i)));
            if !entry.is_crashed() {
                events.push((entry.ret, Event::Return(i)));
            }
        }
        events.sort_unstable_by_key(|e| e.0);
        events
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
        self.entries.len() * (size_of::<Entry>() + 2 * size_of::<(u32, Event)>()) + self.classes.len() * size_of::<O>()
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
