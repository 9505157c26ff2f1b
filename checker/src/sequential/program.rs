//! The ops of a history as sequential consistency sees them: by session, in program order, each a few steps of objects.
//!
//! * A **session** is a process. After an op of unknown outcome whatever follows is a new session, under the same name or
//!   not: where a harness lets a thread go on as another process (Jepsen does, with another number), nothing orders what it
//!   did before and after.
//! * An **object** is a key, or all of a history without keys.
//! * An **op** takes effect on all of its objects at once, or not at all: transactions are one op.
//! * An **op of unknown outcome** is the last of its session. It may take effect at any place after the others of its
//!   session, or never.

use crate::budget::{Account, Limit};
use crate::causal::decode::{Micro, Rules};
use crate::decode::{NEVER, decode_op};
use crate::linear::problem::Unread;
use crate::model::{Call, Decoded, Model, Sees};
use hashbrown::{HashMap, HashSet};
use histories::keyed::Keys;
use histories::{History, OpId, Outcome, Value, ValueId};
use rustc_hash::FxBuildHasher;

type FxMap<K, V> = HashMap<K, V, FxBuildHasher>;

/// How the ops of a history are understood.
pub(crate) trait Reading<M: Model>: Sync {
    /// What objects do.
    fn model(&self) -> &M;
    /// Appends what an op does, or may do, to which objects, and says whether it certainly did.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, history: &History, id: OpId, out: &mut Vec<(ValueId, M::Op)>) -> Result<bool, String>;
    /// An object's state at first.
    fn init(&self, object: ValueId) -> M::State;
}

/// As a model reads them, each key being an object.
pub(crate) struct ByModel<'a, M> {
    pub(crate) model: &'a M,
    pub(crate) keys: &'a Keys,
}

impl<M: Model> Reading<M> for ByModel<'_, M> {
    fn model(&self) -> &M {
        self.model
    }

    fn read(&self, history: &History, id: OpId, out: &mut Vec<(ValueId, M::Op)>) -> Result<bool, String> {
        let object = match history.values.as_pair(history.input(history.op(id))) {
            _ if !self.keys.is_keyed() => ValueId::NIL,
            Some((key, _)) => key,
            None => return Ok(false),
        };
        let Some((op, ret)) = decode_op(self.model, history, self.keys, id).map_err(|(_, why)| why)? else { return Ok(false) };
        out.push((object, op));
        Ok(ret != NEVER)
    }

    fn init(&self, _: ValueId) -> M::State {
        self.model.init()
    }
}

/// A key that is read and written, by plain ops, cas, or transactions of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell;

/// One read or write of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CellOp {
    Read(ValueId),
    Write(ValueId),
}

impl Model for Cell {
    /// `None`: a value that no op names.
    type State = Option<ValueId>;
    type Op = CellOp;

    fn name(&self) -> &'static str {
        "register"
    }

    fn init(&self) -> Option<ValueId> {
        None
    }

    fn decode(&self, _: &Call<'_>) -> Result<Decoded<CellOp>, String> {
        Err("cells are read by their rules".into())
    }

    fn step(&self, state: &Option<ValueId>, op: &CellOp) -> Option<Option<ValueId>> {
        match op {
            CellOp::Read(value) => (*state == Some(*value)).then_some(*state),
            CellOp::Write(value) => Some(Some(*value)),
        }
    }

    fn is_pure(&self, op: &CellOp) -> bool {
        matches!(op, CellOp::Read(_))
    }

    fn is_blind_write(&self, op: &CellOp) -> bool {
        matches!(op, CellOp::Write(_))
    }

    fn sees(&self, op: &CellOp) -> Sees<Option<ValueId>> {
        match op {
            CellOp::Read(value) => Sees::Only(Some(*value)),
            CellOp::Write(_) => Sees::Nothing,
        }
    }
}

/// As the rules of reads and writes understand them.
pub(crate) struct ByRules<'a> {
    rules: &'a Rules<'a>,
    /// The history's word for the initial value, if it occurs there.
    initial: Option<ValueId>,
    /// Keys whose initial value is never seen, as somebody writes it.
    unseen: HashSet<ValueId, FxBuildHasher>,
}

impl<'a> ByRules<'a> {
    /// # Errors
    /// The first op that is neither read nor write, and why.
    pub(crate) fn new(history: &History, rules: &'a Rules<'a>) -> Result<ByRules<'a>, (OpId, String)> {
        let mut reading = ByRules { rules, initial: None, unseen: HashSet::default() };
        let mut known: FxMap<ValueId, bool> = FxMap::default();
        let mut micros = Vec::new();
        for id in history.op_ids() {
            micros.clear();
            rules.decode(history, id, &mut micros).map_err(|why| (id, why))?;
            for &Micro { is_write, key, value } in &micros {
                let is_initial = match (&rules.initial, value.as_small_int()) {
                    (Value::Nil, _) => value.is_nil(),
                    (Value::Int(initial), Some(value)) => *initial == value,
                    (initial, _) => *known.entry(value).or_insert_with(|| history.values.get(value) == *initial),
                };
                if is_initial {
                    reading.initial = Some(value);
                    if is_write && rules.initial_may_be_written {
                        reading.unseen.insert(key);
                    }
                }
            }
        }
        Ok(reading)
    }
}

impl Reading<Cell> for ByRules<'_> {
    fn model(&self) -> &Cell {
        &Cell
    }

    fn read(&self, history: &History, id: OpId, out: &mut Vec<(ValueId, CellOp)>) -> Result<bool, String> {
        let mut micros = Vec::new();
        self.rules.decode(history, id, &mut micros)?;
        let cell = |micro: &Micro| if micro.is_write { CellOp::Write(micro.value) } else { CellOp::Read(micro.value) };
        out.extend(micros.iter().map(|micro| (micro.key, cell(micro))));
        Ok(history.outcome(history.op(id)) == Outcome::Ok)
    }

    fn init(&self, object: ValueId) -> Option<ValueId> {
        self.initial.filter(|_| !self.unseen.contains(&object))
    }
}

/// What a step needs to find, where its model cannot say so beforehand: the model is asked each time.
pub(crate) const ASK: u32 = u32::MAX;
/// A step that can happen in any state.
pub(crate) const ANY: u32 = u32::MAX - 1;

/// What an op does to one object. A *place* is a state of one object, numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) object: u32,
    pub(crate) class: u32,
    /// The only place where it can happen, [`ANY`], or [`ASK`].
    pub(crate) needs: u32,
    /// The place after it, or [`ASK`].
    pub(crate) leaves: u32,
}

/// An op.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    pub(crate) id: OpId,
    pub(crate) session: u32,
    pub(crate) is_done: bool,
    /// Changes nothing.
    pub(crate) is_pure: bool,
    pub(crate) parts: (u32, u32),
}

/// The ops, session by session in program order.
#[derive(Debug)]
pub(crate) struct Program<M: Model> {
    pub(crate) ops: Vec<Op>,
    /// The first op of each session, and the number of ops.
    pub(crate) starts: Vec<u32>,
    parts: Vec<Part>,
    pub(crate) classes: Vec<M::Op>,
    /// The place of each object at first.
    pub(crate) init: Vec<u32>,
    /// Whether some op of the object leaves a place that is not known beforehand.
    pub(crate) is_open: Vec<bool>,
    /// The object and the state of each place that is known beforehand.
    pub(crate) places: Vec<(u32, M::State)>,
}

impl<M: Model> Program<M> {
    /// Reads the ops. Linear.
    ///
    /// # Errors
    /// See [`Unread`].
    pub(crate) fn new(
        history: &History,
        reading: &impl Reading<M>,
        ids: impl Iterator<Item = OpId>,
        account: &mut Account<'_>,
    ) -> Result<Program<M>, Unread> {
        let mut raw = Raw::new(reading);
        let mut session_of = vec![u32::MAX; history.process_count()];
        let has_processes = history.has_processes();
        let (mut found, mut counted) = (Vec::new(), 0);
        for id in ids {
            account.work(8).map_err(Unread::Out)?;
            if raw.is_full() || raw.points_to_bytes > counted {
                counted = raw.points_to_bytes;
                account.hold(raw.bytes() * 2).map_err(Unread::Out)?;
            }
            let op = history.op(id);
            found.clear();
            let is_done = reading.read(history, id, &mut found).map_err(|why| Unread::Malformed(id, why))?;
            let process = history.op_process(op).0 as usize;
            if !found.is_empty() {
                if session_of[process] == u32::MAX || !has_processes {
                    session_of[process] = raw.sessions;
                    raw.sessions += 1;
                }
                raw.push(id, session_of[process], is_done, &found);
            }
            if history.outcome(op) == Outcome::Info {
                session_of[process] = u32::MAX;
            }
        }
        account.hold(raw.bytes() * 2).map_err(Unread::Out)?;
        Ok(raw.lay_out())
    }

    /// Ops.
    pub(crate) fn len(&self) -> usize {
        self.ops.len()
    }

    /// Sessions.
    pub(crate) fn sessions(&self) -> usize {
        self.starts.len() - 1
    }

    /// What an op does.
    pub(crate) fn parts(&self, op: u32) -> &[Part] {
        let (from, to) = self.ops[op as usize].parts;
        &self.parts[from as usize..to as usize]
    }
}

struct Raw<'a, M: Model, R> {
    reading: &'a R,
    ops: Vec<Op>,
    sessions: u32,
    parts: Vec<Part>,
    objects: FxMap<ValueId, u32>,
    init: Vec<u32>,
    is_open: Vec<bool>,
    /// Whether some op of the object is asked each time whether it can happen: any state may be the one that it waits for.
    is_asked: Vec<bool>,
    classes: Vec<M::Op>,
    class_of: FxMap<M::Op, u32>,
    /// What the classes point to.
    points_to_bytes: usize,
    places: Vec<(u32, M::State)>,
    place_of: FxMap<(u32, M::State), u32>,
}

impl<'a, M: Model, R: Reading<M>> Raw<'a, M, R> {
    fn new(reading: &'a R) -> Self {
        Raw {
            reading,
            ops: Vec::new(),
            sessions: 0,
            parts: Vec::new(),
            objects: FxMap::default(),
            init: Vec::new(),
            is_open: Vec::new(),
            is_asked: Vec::new(),
            classes: Vec::new(),
            class_of: FxMap::default(),
            points_to_bytes: 0,
            places: Vec::new(),
            place_of: FxMap::default(),
        }
    }

    fn is_full(&self) -> bool {
        self.ops.len() == self.ops.capacity()
    }

    /// What it holds, tables included.
    fn bytes(&self) -> usize {
        let (class, place) = (size_of::<M::Op>() * 2 + 8, size_of::<(u32, M::State)>() * 2 + 8);
        let classes = self.classes.len() * class + self.points_to_bytes / 2; // It is not copied when all else is.
        self.ops.len() * size_of::<Op>() + self.parts.len() * size_of::<Part>() + classes + self.places.len() * place
    }

    fn place(&mut self, object: u32, state: M::State) -> u32 {
        let next = self.places.len() as u32;
        *self.place_of.entry((object, state)).or_insert_with_key(|place| {
            self.places.push(place.clone());
            next
        })
    }

    fn object(&mut self, key: ValueId) -> u32 {
        if let Some(&object) = self.objects.get(&key) {
            return object;
        }
        let object = self.init.len() as u32;
        self.objects.insert(key, object);
        let place = self.place(object, self.reading.init(key));
        self.init.push(place);
        self.is_open.push(false);
        self.is_asked.push(false);
        object
    }

    fn push(&mut self, id: OpId, session: u32, is_done: bool, found: &[(ValueId, M::Op)]) {
        let model = self.reading.model();
        let first = self.parts.len() as u32;
        let mut is_pure = true;
        for (key, op) in found {
            let object = self.object(*key);
            let next = self.classes.len() as u32;
            let class = *self.class_of.entry(op.clone()).or_insert_with_key(|op| {
                self.points_to_bytes += model.op_bytes(op);
                self.classes.push(op.clone());
                next
            });
            let (needs, leaves) = self.ends(object, op);
            let part_is_pure = model.is_pure(op);
            is_pure &= part_is_pure;
            self.is_open[object as usize] |= leaves == ASK && !part_is_pure;
            self.is_asked[object as usize] |= needs == ASK;
            self.parts.push(Part { object, class, needs, leaves });
        }
        self.ops.push(Op { id, session, is_done, is_pure, parts: (first, self.parts.len() as u32) });
    }

    /// The places before and after an op, as far as they are known beforehand.
    fn ends(&mut self, object: u32, op: &M::Op) -> (u32, u32) {
        let model = self.reading.model();
        let ends = match model.sees(op) {
            Sees::Nothing => model.step(&model.init(), op).map(|after| (None, after)),
            Sees::Only(before) => model.step(&before, op).map(|after| (Some(before), after)),
            Sees::AllBut(_) | Sees::Total | Sees::Something => None,
        };
        ends.map_or((ASK, ASK), |(before, after)| {
            let before = before.map_or(ANY, |before| self.place(object, before));
            (before, self.place(object, after))
        })
    }

    /// By session. An op of unknown outcome that leaves nothing anybody looks for is left out: it may as well never happen.
    fn lay_out(self) -> Program<M> {
        let mut is_wanted = vec![false; self.places.len()];
        for op in &self.ops {
            for part in &self.parts[op.parts.0 as usize..op.parts.1 as usize] {
                if let Some(wanted) = is_wanted.get_mut(part.needs as usize) {
                    *wanted = true;
                }
            }
        }
        let part_matters = |part: &Part| self.is_asked[part.object as usize] || is_wanted.get(part.leaves as usize) != Some(&false);
        let matters = |op: &Op| op.is_done || self.parts[op.parts.0 as usize..op.parts.1 as usize].iter().any(part_matters);
        let mut kept: Vec<Op> = self.ops.iter().copied().filter(matters).collect();
        // Stable: within a session they stay in the order of their invocations.
        kept.sort_by_key(|op| op.session);
        let mut starts = Vec::new();
        let mut last = u32::MAX;
        for (at, op) in (0..).zip(&mut kept) {
            if op.session != last {
                last = op.session;
                starts.push(at);
            }
            op.session = starts.len() as u32 - 1;
        }
        starts.push(kept.len() as u32);
        Program { ops: kept, starts, parts: self.parts, classes: self.classes, init: self.init, is_open: self.is_open, places: self.places }
    }
}

impl From<Limit> for Unread {
    fn from(limit: Limit) -> Unread {
        Unread::Out(limit)
    }
}
