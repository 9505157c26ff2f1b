//! The second look at answers about sequential consistency.
//!
//! An order is replayed. A contradiction is established by plain enumeration of what its few ops allow, with all others
//! relaxed: the *needed* ops stay in the order of their sessions; of all others those that change nothing are ignored, and each
//! of the rest may take effect **anywhere, whatever its session did, as often as it likes or never** ([`Others::AnyNumber`]), or **once
//! or never** ([`Others::AtMostOnce`]); or the same with all ops on values that no needed op concerns left out
//! ([`Others::SameValues`], for collections in which each value goes its own way). Every order of the history contains one of the relaxed ops,
//! so if these have none, the history is not sequentially consistent.

use super::{Effort, FxMap, FxSet, Seen, Unanswered, Visible, visible};
use crate::budget::{Account, Limit};
use crate::certify::order::Refused;
use crate::model::{Model, Role, Sees};
use crate::sequential::program::Reading;
use crate::verdict::Others;
use histories::{History, OpId, Outcome, ValueId};

#[cfg(test)]
mod tests;

/// What an op does: to which object, and what kind of op.
type Parts = Vec<(usize, usize)>;

struct Item {
    id: OpId,
    session: usize,
    is_done: bool,
    parts: (usize, usize),
}

/// The ops of a history, as the definition sees them.
pub(crate) struct Claims<'a, M: Model> {
    model: &'a M,
    items: Vec<Item>,
    parts: Parts,
    kinds: Vec<M::Op>,
    objects: Vec<M::State>,
}

impl<'a, M: Model> Claims<'a, M> {
    /// Reads the ops. Those that cannot be decoded were refused before.
    ///
    /// # Errors
    /// The budget ended.
    pub(crate) fn new(
        history: &History,
        reading: &'a impl Reading<M>,
        ids: impl Iterator<Item = OpId>,
        account: &mut Account<'_>,
    ) -> Result<Claims<'a, M>, Limit> {
        let mut claims = Claims { model: reading.model(), items: Vec::new(), parts: Vec::new(), kinds: Vec::new(), objects: Vec::new() };
        let (mut object_of, mut kind_of) = (FxMap::<ValueId, usize>::default(), FxMap::<M::Op, usize>::default());
        let mut session_of = FxMap::<u32, usize>::default();
        let mut sessions = 0;
        let (mut points_to_bytes, mut counted) = (0, 0);
        let mut found = Vec::new();
        for id in ids {
            account.work(8)?;
            if claims.items.len() == claims.items.capacity() || points_to_bytes > counted {
                counted = points_to_bytes;
                let each = 2 * size_of::<Item>() + 4 * size_of::<M::Op>() + 64;
                account.hold((claims.items.len() + 64) * 2 * each + points_to_bytes)?;
            }
            found.clear();
            let Ok(is_done) = reading.read(history, id, &mut found) else { continue };
            let process = history.op_process(history.op(id)).0;
            let first = claims.parts.len();
            for (key, op) in found.drain(..) {
                let object = *object_of.entry(key).or_insert_with(|| {
                    claims.objects.push(reading.init(key));
                    claims.objects.len() - 1
                });
                let kind = *kind_of.entry(op).or_insert_with_key(|op| {
                    points_to_bytes += claims.model.op_bytes(op);
                    claims.kinds.push(op.clone());
                    claims.kinds.len() - 1
                });
                claims.parts.push((object, kind));
            }
            if claims.parts.len() > first {
                let session = *session_of.entry(process).or_insert_with(|| {
                    sessions += 1;
                    sessions - 1
                });
                claims.items.push(Item { id, session, is_done, parts: (first, claims.parts.len()) });
            }
            if history.outcome(history.op(id)) == Outcome::Info || !history.has_processes() {
                session_of.remove(&process);
            }
        }
        Ok(claims)
    }

    fn parts(&self, at: usize) -> &[(usize, usize)] {
        &self.parts[self.items[at].parts.0..self.items[at].parts.1]
    }

    fn at(&self, id: OpId) -> Option<usize> {
        self.items.binary_search_by_key(&id, |item| item.id).ok()
    }

    fn is_pure(&self, at: usize) -> bool {
        self.parts(at).iter().all(|&(_, kind)| self.model.is_pure(&self.kinds[kind]))
    }

    /// Whether an order is legal, keeps every session's, and holds each op that is done once, each other at most once.
    ///
    /// # Errors
    /// What is wrong with it, or that the budget ended.
    pub(crate) fn holds(&self, order: &[OpId], account: &mut Account<'_>) -> Result<(), Refused> {
        let sessions = self.items.iter().map(|item| item.session + 1).max().unwrap_or(0);
        account.hold(self.items.len() + sessions * 8 + self.objects.len() * size_of::<M::State>()).map_err(Refused::Out)?;
        let mut seen = vec![false; self.items.len()];
        let mut last = vec![0; sessions];
        let mut states = self.objects.clone();
        for &id in order {
            account.work(4).map_err(Refused::Out)?;
            let wrong = |what: &str| Err(Refused::Wrong(format!("op {} {what}", id.0)));
            let Some(at) = self.at(id) else { return wrong("is in the order and does not belong there") };
            let session = self.items[at].session;
            if at < last[session] {
                return wrong("stands after a later one of its session, or twice");
            }
            last[session] = at + 1;
            seen[at] = true;
            for &(object, kind) in self.parts(at) {
                if !self.model.apply(&mut states[object], &self.kinds[kind]) {
                    return wrong("cannot happen where it stands in the order");
                }
            }
        }
        match self.items.iter().zip(seen).find(|(item, seen)| item.is_done && !seen) {
            Some((item, _)) => Err(Refused::Wrong(format!("op {} is missing from the order", item.id.0))),
            None => Ok(()),
        }
    }

    /// Whether the needed ops contradict each other, with all others relaxed as described above.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub(crate) fn contradict(&self, needed: &[OpId], others: Others, effort: &mut Effort<'_>) -> Result<bool, Unanswered> {
        effort.take((self.items.len() + needed.len()) as u64 / 8)?;
        let mut needed = needed.iter().map(|&id| self.at(id)).collect::<Option<Vec<usize>>>().ok_or(Unanswered::TooHard)?;
        needed.sort_unstable();
        needed.dedup();
        let relaxed = Relaxed::new(self, &needed, others, effort)?;
        Ok(!relaxed.can_be(effort)?)
    }

    /// The values that some ops of collections concern: those that they name, and of what was seen, all.
    fn values(&self, ops: &[usize]) -> FxSet<ValueId> {
        let mut values = FxSet::default();
        for &(_, kind) in ops.iter().flat_map(|&at| self.parts(at)) {
            match self.model.role(&self.kinds[kind]) {
                Role::Insert(value) | Role::Put(value) | Role::Remove(value) | Role::Concerns(value) => {
                    values.insert(value);
                }
                Role::Read(list) => values.extend(list),
                Role::RemoveAny | Role::Empty | Role::Other => {}
            }
        }
        values
    }
}

/// An op of the relaxed history.
struct Step<O> {
    parts: Vec<(usize, O)>,
    is_done: bool,
    is_pure: bool,
}

impl<O> Step<O> {
    /// The parts of the op that concern one object.
    fn of(&self, object: usize) -> impl Iterator<Item = &O> {
        self.parts.iter().filter(move |part| part.0 == object).map(|part| &part.1)
    }
}

/// A point: how far each session of needed ops has come, the states, and which of the others have happened.
type Point<S> = (Vec<u32>, Vec<Seen<S>>, Vec<u64>);

/// The needed ops by session, and what may happen between them.
struct Relaxed<'a, M: Model> {
    model: &'a M,
    init: Vec<M::State>,
    /// The states of each object that must be told apart; `None`: all. What is appended as often as one likes has no end, and what
    /// no op can see any more is not followed.
    visible: Vec<Option<Visible<M::State>>>,
    sessions: Vec<Vec<Step<M::Op>>>,
    others: Vec<Step<M::Op>>,
    once: bool,
}

impl<'a, M: Model> Relaxed<'a, M> {
    fn new(claims: &Claims<'a, M>, needed: &[usize], others: Others, effort: &mut Effort<'_>) -> Result<Self, Unanswered> {
        let values = (others == Others::SameValues).then(|| claims.values(needed));
        // What happens to objects that no needed op concerns does not matter.
        let mut place_of = FxMap::<usize, usize>::default();
        let mut init = Vec::new();
        for &(object, _) in needed.iter().flat_map(|&at| claims.parts(at)) {
            place_of.entry(object).or_insert_with(|| {
                init.push(claims.objects[object].clone());
                init.len() - 1
            });
        }
        let step = |at: usize| {
            let part = |&(object, kind): &(usize, usize)| {
                let op = &claims.kinds[kind];
                let op = match &values {
                    Some(values) => claims.model.restrict(op, &|value| values.contains(&value))?,
                    None => op.clone(),
                };
                Some((*place_of.get(&object)?, op))
            };
            let parts: Vec<_> = claims.parts(at).iter().filter_map(part).collect();
            Step { parts, is_done: claims.items[at].is_done, is_pure: claims.is_pure(at) }
        };
        let mut relaxed = Relaxed {
            model: claims.model,
            init,
            visible: Vec::new(),
            sessions: Vec::new(),
            others: Vec::new(),
            once: others != Others::AnyNumber,
        };
        let mut session_of = FxMap::<usize, usize>::default();
        for &at in needed {
            let session = *session_of.entry(claims.items[at].session).or_insert_with(|| {
                relaxed.sessions.push(Vec::new());
                relaxed.sessions.len() - 1
            });
            relaxed.sessions[session].push(step(at));
        }
        let mut known = FxSet::default();
        for at in 0..claims.items.len() {
            effort.take(1)?;
            let concerns = claims.parts(at).iter().any(|part| place_of.contains_key(&part.0));
            if !concerns || needed.binary_search(&at).is_ok() || claims.is_pure(at) {
                continue;
            }
            let step = step(at);
            // Of those that may happen as often as they like one of each is enough.
            if !step.parts.is_empty() && (relaxed.once || known.insert(step.parts.clone())) {
                relaxed.others.push(step);
            }
        }
        relaxed.leave_out_useless();
        relaxed.visible = (0..relaxed.init.len()).map(|object| relaxed.visible_of(object)).collect();
        Ok(relaxed)
    }

    /// What must be told apart of an object: what the needed ops find there, and others that do more than one thing, whose other
    /// parts depend on it.
    fn visible_of(&self, object: usize) -> Option<Visible<M::State>> {
        let needed = self.sessions.iter().flatten();
        let several = self.others.iter().filter(|step| step.parts.len() > 1);
        let finds: Vec<&M::Op> = needed.clone().chain(several).flat_map(|step| step.of(object)).collect();
        let all = needed.chain(&self.others).flat_map(|step| step.of(object));
        visible(self.model, &finds, all.filter(|op| !self.model.is_pure(op)))
    }

    /// A state, if it must be told apart from others.
    fn look(&self, object: usize, state: M::State) -> Seen<M::State> {
        match &self.visible[object] {
            Some(visible) if !visible.has(self.model, &state) => None,
            _ => Some(state),
        }
    }

    /// Where every op finds one state or any, others are of use only if what they leave is found by somebody: without them
    /// the order is as legal.
    fn leave_out_useless(&mut self) {
        let ends = |(object, op): &(usize, M::Op)| {
            let before = match self.model.sees(op) {
                Sees::Nothing => None,
                Sees::Only(state) => Some((*object, state)),
                Sees::AllBut(_) | Sees::Total | Sees::Something => return None,
            };
            let from = before.as_ref().map_or_else(|| self.model.init(), |place| place.1.clone());
            let after = self.model.step(&from, op).map(|state| (*object, state));
            Some((before, after))
        };
        let needed = self.sessions.iter().flatten().flat_map(|step| &step.parts).map(ends).collect::<Option<Vec<_>>>();
        let others = self.others.iter().map(|step| step.parts.iter().map(ends).collect::<Option<Vec<_>>>()).collect::<Option<Vec<_>>>();
        let (Some(needed), Some(others)) = (needed, others) else { return };
        let mut found: FxSet<(usize, M::State)> = needed.into_iter().filter_map(|ends| ends.0).collect();
        let mut is_used = vec![false; others.len()];
        loop {
            let mut is_new = false;
            for (at, parts) in others.iter().enumerate() {
                let helps = parts.iter().any(|(_, after)| after.as_ref().is_some_and(|after| found.contains(after)));
                if helps && !std::mem::replace(&mut is_used[at], true) {
                    found.extend(parts.iter().filter_map(|(before, _)| before.clone()));
                    is_new = true;
                }
            }
            if !is_new {
                break;
            }
        }
        let mut used = is_used.into_iter();
        self.others.retain(|_| used.next() == Some(true));
    }

    /// Whether some order of the relaxed history places all needed ops that are done: everything that can be is followed.
    fn can_be(&self, effort: &mut Effort<'_>) -> Result<bool, Unanswered> {
        let words = if self.once { self.others.len().div_ceil(64) } else { 0 };
        let init = self.init.iter().enumerate().map(|(object, state)| self.look(object, state.clone())).collect();
        let start: Point<M::State> = (vec![0; self.sessions.len()], init, vec![0; words]);
        let each = size_of::<Point<M::State>>() + self.sessions.len() * 4 + self.init.len() * size_of::<M::State>() + words * 8;
        let mut seen: FxSet<Point<M::State>> = FxSet::default();
        let mut fresh = vec![start];
        // What the states of all points point to.
        let (mut points_to_bytes, mut counted) = (0, 0);
        while let Some(point) = fresh.pop() {
            effort.take(2 + (self.sessions.len() + self.others.len()) as u64)?;
            let point = self.with_free(point);
            let is_over = |(session, &next): (&Vec<Step<M::Op>>, &u32)| session[next as usize..].iter().all(|step| !step.is_done);
            if self.sessions.iter().zip(&point.0).all(is_over) {
                return Ok(true);
            }
            if seen.len() == seen.capacity() || points_to_bytes > counted {
                counted = 2 * points_to_bytes;
                effort.account.hold((seen.capacity().max(64) + fresh.len()) * 6 * each + 2 * counted)?;
            }
            if !seen.insert(point.clone()) {
                continue;
            }
            points_to_bytes += point.1.iter().flatten().map(|state| self.model.state_bytes(state)).sum::<usize>();
            for (at, session) in self.sessions.iter().enumerate() {
                let Some(step) = session.get(point.0[at] as usize) else { continue };
                if let Some(mut next) = self.happen(&point, step) {
                    next.0[at] += 1;
                    fresh.push(next);
                }
            }
            for (at, step) in self.others.iter().enumerate() {
                let (word, bit) = (at / 64, 1u64 << (at % 64));
                if self.once && point.2[word] & bit != 0 {
                    continue;
                }
                if let Some(mut next) = self.happen(&point, step) {
                    if self.once {
                        next.2[word] |= bit;
                    }
                    if self.once || next.1 != point.1 {
                        fresh.push(next);
                    }
                }
            }
        }
        Ok(false)
    }

    /// With every op that changes nothing placed that can be: in any order that goes on from here it may come first.
    fn with_free(&self, mut point: Point<M::State>) -> Point<M::State> {
        for (at, session) in self.sessions.iter().enumerate() {
            while let Some(step) = session.get(point.0[at] as usize).filter(|step| step.is_pure)
                && let Some(next) = self.happen(&point, step)
            {
                point = next;
                point.0[at] += 1;
            }
        }
        point
    }

    fn happen(&self, point: &Point<M::State>, step: &Step<M::Op>) -> Option<Point<M::State>> {
        let mut next = point.clone();
        for (object, op) in &step.parts {
            next.1[*object] = self.step(*object, next.1[*object].as_ref(), op)?;
        }
        Some(next)
    }

    fn step(&self, object: usize, state: Option<&M::State>, op: &M::Op) -> Option<Seen<M::State>> {
        match (state, self.model.sees(op)) {
            (Some(state), _) => self.model.step(state, op).map(|next| self.look(object, next)),
            (None, Sees::Nothing) => self.model.step(&self.model.init(), op).map(|next| self.look(object, next)),
            (None, Sees::AllBut(_) | Sees::Total) => Some(None),
            (None, Sees::Only(_) | Sees::Something) => None,
        }
    }
}
