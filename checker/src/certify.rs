//! The second look: every proof is re-checked here before anyone sees the answer.
//!
//! This module reads the ops out of the history by itself and shares no code with the searches. It is written to be believed,
//! not to be fast: a witness is replayed, and a contradiction is established by plain enumeration of what its few ops allow.
//!
//! # What a contradiction claims
//! Given a few ops of the history, the *needed* ones, take all other ops of the key back as far as that makes sense: ignore
//! the pure ones (reads), and let each update take effect **at any moments between its invocation and its completion, as
//! often as it likes, or never**; one of unknown outcome, at any moments after its invocation. Every order of the real history
//! is an order of this relaxed one, so if the relaxed one has none, the history is not linearizable. The needed ops keep
//! their meaning: those that returned took effect exactly once in between, those of unknown outcome at most once.
//!
//! The relaxed history is decided by following everything that can be: the set of pairs (state, which of the needed ops in
//! flight are done), closed under every step that is possible at a moment. A needed op that returns keeps the pairs in which
//! it is done. Nobody has to remember what the other ops did, so the set stays small whatever the length of the history.
//!
//! Some contradictions are of another kind: there are too few writes of a value for all who saw it. Then the weaker claim is
//! made that lets each of the other updates take effect **at most once** ([`Others::AtMostOnce`]), which module `once` decides;
//! where numbers are added up, module `sums` looks first whether a read is out of their reach.
//! In a collection the ops on other values can also be left out altogether ([`Others::SameValues`]): see `same_values`.

pub(crate) mod causal;
pub(crate) mod convergence;
mod once;
pub(crate) mod order;
mod revisions;
mod same_values;
pub(crate) mod sequential;
mod sums;
pub(crate) mod transactions;

use crate::budget::{Account, Budget, Limit};
use crate::decode::{NEVER, decode_op};
use crate::model::{Deed, Model, Sees, Tally};
use crate::verdict::Others;
use hashbrown::{HashMap, HashSet};
use histories::keyed::{KeyOps, Keys};
use histories::{History, OpId};
use rustc_hash::FxBuildHasher;

type FxMap<K, V> = HashMap<K, V, FxBuildHasher>;
type FxSet<K> = HashSet<K, FxBuildHasher>;

/// The ops of one key, as the definition sees them.
pub(crate) struct Claims<'a, M: Model> {
    model: &'a M,
    ops: Vec<Item>,
    kinds: Vec<M::Op>,
    events: Vec<(u32, u32)>,
}

#[derive(Clone, Copy)]
struct Item {
    id: OpId,
    kind: u32,
    call: u32,
    ret: u32,
}

/// So many kinds are told apart. Where there are more, most ops are of a kind of their own, and each of the rest is taken for one:
/// two kinds that do the same only make the question longer.
const KINDS_TOLD_APART: usize = 4096;

/// Why a question got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// It needs more steps than were allowed, or more than 64 needed ops are in flight at once.
    TooHard,
    /// The budget ended.
    Out(Limit),
}

impl From<Limit> for Unanswered {
    fn from(limit: Limit) -> Unanswered {
        Unanswered::Out(limit)
    }
}

/// What one question may take.
pub(crate) struct Effort<'b> {
    /// Steps left.
    pub left: u64,
    account: Account<'b>,
}

impl<'b> Effort<'b> {
    /// So many steps.
    pub(crate) fn new(steps: u64, budget: &'b Budget) -> Effort<'b> {
        Effort { left: steps, account: Account::new(budget) }
    }

    fn take(&mut self, steps: u64) -> Result<(), Unanswered> {
        if steps > self.left {
            self.left = 0;
            return Err(Unanswered::TooHard);
        }
        self.left -= steps;
        Ok(self.account.work(steps)?)
    }
}

impl<'a, M: Model> Claims<'a, M> {
    /// Reads the ops of one key. Ops that cannot be decoded were refused before.
    ///
    /// # Errors
    /// The budget ended.
    pub(crate) fn new(
        model: &'a M,
        history: &History,
        keys: &Keys,
        group: &KeyOps,
        account: &mut Account<'_>,
    ) -> Result<Claims<'a, M>, Limit> {
        // Each may be of its own kind; and for each kind, the answer to a question needs some bytes.
        let kind_bytes = size_of::<M::Op>() + 2 * size_of::<usize>();
        let told_apart_bytes = KINDS_TOLD_APART * 4 * size_of::<(M::Op, u32)>();
        let mut bytes = group.ops.len() * (size_of::<Item>() + 4 * size_of::<(u32, u32)>() + kind_bytes) + told_apart_bytes;
        account.hold(bytes)?;
        let mut claims = Claims { model, ops: Vec::new(), kinds: Vec::new(), events: Vec::new() };
        claims.ops.reserve_exact(group.ops.len());
        claims.events.reserve_exact(group.ops.len() * 2);
        let mut returns = Vec::with_capacity(group.ops.len());
        let mut kind_of: FxMap<M::Op, u32> = FxMap::default();
        for &id in &group.ops {
            account.work(4)?;
            let Ok(Some((op, ret))) = decode_op(model, history, keys, id) else { continue };
            let next = claims.kinds.len() as u32;
            let kind = kind_of.get(&op).copied().unwrap_or(next);
            if kind == next {
                if kind_of.len() < KINDS_TOLD_APART {
                    kind_of.insert(op.clone(), next);
                } else if claims.kinds.len() == claims.kinds.capacity() {
                    // There will be more: not to be copied over and over.
                    claims.kinds.reserve_exact(group.ops.len() - claims.ops.len());
                }
                let more = model.op_bytes(&op);
                if more > 0 {
                    bytes += more;
                    account.hold(bytes)?;
                }
                claims.kinds.push(op);
            }
            let index = claims.ops.len() as u32;
            let call = history.op(id).invoke;
            claims.ops.push(Item { id, kind, call, ret });
            claims.events.push((call, index));
            if ret != NEVER {
                returns.push((ret, index));
            }
        }
        returns.sort_unstable();
        claims.events.append(&mut returns);
        claims.events.sort_by_key(|event| event.0); // Merges what is sorted already.
        Ok(claims)
    }

    /// The same without the ops that make no difference where these are needed, or some of them, and the others may happen any
    /// number of times. *Why it does not matter that these may be fewer later:* fewer needed ops can tell fewer states apart, so
    /// what makes no difference to all makes none to some.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub(crate) fn focused(&self, needed: &[OpId], effort: &mut Effort<'_>) -> Result<Claims<'a, M>, Unanswered> {
        let is_needed = self.are_needed(needed, effort)?;
        let matters = if self.is_numbered() { self.matter(&is_needed, effort)? } else { Sweep::new(self, &is_needed, effort)?.matters };
        let stays = |index: usize| is_needed[index] || matters[self.ops[index].kind as usize];
        let many = (0..self.ops.len()).filter(|&index| stays(index)).count();
        // Each may be of its own kind.
        effort.account.hold(self.kinds.len() * 4 + many * (size_of::<Item>() + 2 * size_of::<(u32, u32)>() + size_of::<M::Op>()))?;
        let mut focused = Claims { model: self.model, ops: Vec::with_capacity(many), kinds: Vec::new(), events: Vec::new() };
        let mut kind_of = vec![u32::MAX; self.kinds.len()];
        for index in (0..self.ops.len()).filter(|&index| stays(index)) {
            let item = self.ops[index];
            let kind = &mut kind_of[item.kind as usize];
            if *kind == u32::MAX {
                *kind = focused.kinds.len() as u32;
                focused.kinds.push(self.kinds[item.kind as usize].clone());
            }
            let index = focused.ops.len() as u32;
            focused.events.push((item.call, index));
            focused.events.extend((item.ret != NEVER).then_some((item.ret, index)));
            focused.ops.push(Item { kind: *kind, ..item });
        }
        focused.events.sort_unstable();
        Ok(focused)
    }

    /// Whether these are the ops of a key whose changes are numbered, and some op tells a number.
    pub(crate) fn is_numbered(&self) -> bool {
        self.model.tally() == Some(Tally::Revisions { told: true })
    }

    /// The kinds of contradictions worth looking for, the most convincing first.
    pub(crate) fn contradictions(&self) -> &'static [Others] {
        if self.is_numbered() { &[Others::AnyNumber, Others::AtMostOnce] } else { self.model.contradictions() }
    }

    fn deed(&self, kind: u32) -> Deed {
        self.model.deed(&self.kinds[kind as usize])
    }

    /// By kind, whether other ops of it can make a difference.
    fn matter(&self, is_needed: &[bool], effort: &mut Effort<'_>) -> Result<Vec<bool>, Unanswered> {
        effort.take(self.kinds.len() as u64 / 8)?;
        if !self.is_numbered() {
            return Ok(self.kinds.iter().map(|op| !self.model.is_pure(op)).collect());
        }
        let names = revisions::Names::new(self, is_needed, effort)?;
        Ok((0..self.kinds.len() as u32).map(|kind| names.matters(self.deed(kind))).collect())
    }

    /// How many ops there are.
    pub(crate) fn len(&self) -> usize {
        self.ops.len()
    }

    /// The state that an op leaves, if it is one only, whatever was before.
    fn leaves(&self, index: usize) -> Option<M::State> {
        self.model.leaves(&self.kinds[self.ops[index].kind as usize])
    }

    fn are_needed(&self, needed: &[OpId], effort: &mut Effort<'_>) -> Result<Vec<bool>, Unanswered> {
        // To read the question costs something too.
        effort.take((self.ops.len() + needed.len()) as u64 / 8)?;
        let mut is_needed = vec![false; self.ops.len()];
        for id in needed {
            let i = self.ops.binary_search_by_key(id, |item| item.id).map_err(|_| Unanswered::TooHard)?;
            is_needed[i] = true;
        }
        Ok(is_needed)
    }

    /// Whether the needed ops contradict each other, with all others relaxed as described above.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub(crate) fn contradict(&self, needed: &[OpId], others: Others, effort: &mut Effort<'_>) -> Result<bool, Unanswered> {
        let is_needed = self.are_needed(needed, effort)?;
        match others {
            Others::AnyNumber if self.is_numbered() => revisions::contradict(self, &is_needed, effort),
            Others::AnyNumber => self.contradict_any_number(&is_needed, effort),
            Others::AtMostOnce => Ok(sums::contradict(self, &is_needed, effort)? || once::contradict(self, &is_needed, effort)?),
            Others::SameValues => same_values::contradict(self, &is_needed, effort),
            // No contradiction to linearizability is of this kind.
            Others::AsRecorded => Err(Unanswered::TooHard),
        }
    }

    fn contradict_any_number(&self, is_needed: &[bool], effort: &mut Effort<'_>) -> Result<bool, Unanswered> {
        let mut sweep = Sweep::new(self, is_needed, effort)?;
        for &(at, index) in &self.events {
            effort.account.work(1)?;
            let item = self.ops[index as usize];
            let needed = is_needed[index as usize];
            if !needed && !sweep.matters[item.kind as usize] {
                continue;
            }
            match (at == item.call, needed) {
                (true, true) => sweep.open_needed(index, effort)?,
                (true, false) => sweep.open_other(item.kind, effort)?,
                (false, true) => sweep.close_needed(index),
                (false, false) => sweep.open[item.kind as usize] -= 1,
            }
            if sweep.reached.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A state, or `None` for all those that nothing that matters can see ([`Sees`]).
type Seen<S> = Option<S>;

/// The relaxed history, up to an event.
struct Sweep<'c, 'a, M: Model> {
    claims: &'c Claims<'a, M>,
    /// The states that must be told apart; `None`: all.
    visible: Option<Visible<M::State>>,
    /// The kinds of other ops that can make a difference.
    matters: Vec<bool>,
    /// How many other ops of a kind are in flight.
    open: Vec<u32>,
    /// Needed ops in flight: (op, slot).
    in_flight: Vec<(u32, u32)>,
    free_slots: u64,
    /// All that can be at this moment.
    reached: FxSet<(Seen<M::State>, u64)>,
    /// Those whose next steps have not been taken.
    fresh: Vec<(Seen<M::State>, u64)>,
    /// Kinds of other ops in flight.
    open_kinds: Vec<u32>,
}

impl<'c, 'a, M: Model> Sweep<'c, 'a, M> {
    fn new(claims: &'c Claims<'a, M>, is_needed: &[bool], effort: &mut Effort<'_>) -> Result<Self, Unanswered> {
        let model = claims.model;
        let updates: Vec<bool> = claims.kinds.iter().map(|op| !model.is_pure(op)).collect();
        let needed: Vec<&M::Op> =
            claims.ops.iter().zip(is_needed).filter(|(_, needed)| **needed).map(|(item, _)| &claims.kinds[item.kind as usize]).collect();
        let visible = visible(model, &needed, claims.kinds.iter().zip(&updates).filter(|(_, update)| **update).map(|(op, _)| op));
        let any_all_but = needed.iter().any(|op| matches!(model.sees(op), Sees::AllBut(_)));
        let mut matters = Vec::with_capacity(claims.kinds.len());
        for (op, &update) in claims.kinds.iter().zip(&updates) {
            effort.account.stepped()?;
            matters.push(match (model.sees(op), &visible) {
                // From states that are not told apart it leads to others that are not.
                (Sees::Only(from), Some(visible)) => update && visible.has(model, &from),
                // To be where nothing can be seen helps only those that want not to see something.
                (Sees::Nothing, Some(visible)) => {
                    update && (any_all_but || model.step(&model.init(), op).is_some_and(|next| visible.has(model, &next)))
                }
                (_, _) => update,
            });
        }
        let mut sweep = Sweep {
            claims,
            matters,
            visible,
            open: vec![0; claims.kinds.len()],
            in_flight: Vec::new(),
            free_slots: u64::MAX,
            reached: FxSet::default(),
            fresh: Vec::new(),
            open_kinds: Vec::new(),
        };
        let start = sweep.look(model.init());
        sweep.reached.insert((start, 0));
        effort.account.work(claims.kinds.len() as u64)?;
        Ok(sweep)
    }

    fn look(&self, state: M::State) -> Seen<M::State> {
        match &self.visible {
            Some(visible) if !visible.has(self.claims.model, &state) => None,
            _ => Some(state),
        }
    }

    fn step(&self, state: Option<&M::State>, kind: u32) -> Option<Seen<M::State>> {
        let (model, op) = (self.claims.model, &self.claims.kinds[kind as usize]);
        match (state, model.sees(op)) {
            (Some(state), _) => model.step(state, op).map(|next| self.look(next)),
            (None, Sees::Nothing) => model.step(&model.init(), op).map(|next| self.look(next)),
            (None, Sees::AllBut(_) | Sees::Total) => Some(None),
            (None, _) => None,
        }
    }

    fn open_needed(&mut self, index: u32, effort: &mut Effort<'_>) -> Result<(), Unanswered> {
        if self.free_slots == 0 {
            return Err(Unanswered::TooHard);
        }
        let slot = self.free_slots.trailing_zeros();
        self.free_slots &= !(1 << slot);
        self.in_flight.push((index, slot));
        self.everything_again(effort)
    }

    fn open_other(&mut self, kind: u32, effort: &mut Effort<'_>) -> Result<(), Unanswered> {
        self.open[kind as usize] += 1;
        if self.open[kind as usize] > 1 {
            return Ok(());
        }
        let open = &self.open;
        self.open_kinds.retain(|&k| open[k as usize] > 0 && k != kind);
        self.open_kinds.push(kind);
        self.everything_again(effort)
    }

    fn close_needed(&mut self, index: u32) {
        let Some(place) = self.in_flight.iter().position(|f| f.0 == index) else { return };
        let (_, slot) = self.in_flight.swap_remove(place);
        let bit = 1u64 << slot;
        self.free_slots |= bit;
        self.reached = self.reached.iter().filter(|(_, done)| done & bit != 0).map(|(state, done)| (state.clone(), done & !bit)).collect();
    }

    /// Takes all steps from all that is reached, until nothing new is.
    fn everything_again(&mut self, effort: &mut Effort<'_>) -> Result<(), Unanswered> {
        let open = &self.open;
        self.open_kinds.retain(|&k| open[k as usize] > 0);
        self.fresh = self.reached.iter().cloned().collect();
        while let Some((state, done)) = self.fresh.pop() {
            effort.take(1 + (self.open_kinds.len() + self.in_flight.len()) as u64)?;
            let most = self.reached.len() + self.open_kinds.len() + self.in_flight.len();
            if most > self.reached.capacity() {
                // The set doubles; the list of those that are fresh is no longer than it.
                effort.account.hold(most * 5 * size_of::<(Seen<M::State>, u64)>())?;
            }
            for i in 0..self.open_kinds.len() {
                if let Some(next) = self.step(state.as_ref(), self.open_kinds[i]) {
                    self.reach((next, done));
                }
                effort.account.stepped()?;
            }
            for i in 0..self.in_flight.len() {
                let (op, slot) = self.in_flight[i];
                let bit = 1u64 << slot;
                if done & bit == 0
                    && let Some(next) = self.step(state.as_ref(), self.claims.ops[op as usize].kind)
                {
                    self.reach((next, done | bit));
                }
                effort.account.stepped()?;
            }
        }
        Ok(())
    }

    fn reach(&mut self, pair: (Seen<M::State>, u64)) {
        if self.reached.insert(pair.clone()) {
            self.fresh.push(pair);
        }
    }
}

/// The states that must be told apart: those that the needed ops name, and those that may become such a one.
struct Visible<S> {
    states: FxSet<S>,
    /// Some update is total, so that states which are not named may become named ones.
    grows: bool,
}

impl<S: Eq + std::hash::Hash> Visible<S> {
    fn has<M: Model<State = S>>(&self, model: &M, state: &S) -> bool {
        self.states.contains(state) || self.grows && self.states.iter().any(|named| model.may_become(state, named))
    }
}

/// What must be told apart. `None`, everything, if an op does not say what it sees.
fn visible<'o, M: Model>(model: &M, needed: &[&'o M::Op], updates: impl Iterator<Item = &'o M::Op>) -> Option<Visible<M::State>>
where
    M::Op: 'o,
{
    let mut fresh = Vec::new();
    for op in needed {
        match model.sees(op) {
            Sees::Nothing | Sees::Total => {}
            Sees::Only(state) | Sees::AllBut(state) => fresh.push(state),
            Sees::Something => return None,
        }
    }
    let mut leads_to: FxMap<M::State, Vec<M::State>> = FxMap::default();
    let mut visible = Visible { states: FxSet::default(), grows: false };
    for op in updates {
        match model.sees(op) {
            Sees::Nothing => {}
            Sees::Total => visible.grows = true,
            Sees::Only(from) => {
                if let Some(to) = model.step(&from, op) {
                    leads_to.entry(to).or_default().push(from);
                }
            }
            Sees::AllBut(_) | Sees::Something => return None,
        }
    }
    if visible.grows && !leads_to.is_empty() {
        // Conditional and total updates together: chains of both are not followed here.
        return None;
    }
    while let Some(state) = fresh.pop() {
        if visible.states.insert(state.clone()) {
            fresh.extend(leads_to.get(&state).into_iter().flatten().cloned());
        }
    }
    Some(visible)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Register;
    use crate::options::Options;
    use histories::{Builder, Kind, Value};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// w 1 returns; then w 2 (no answer) and a read of 1 overlap; then a read of 2; a failed write of 3.
    fn history() -> History {
        let mut builder = Builder::new();
        let mut event = |process, kind, f, value| builder.event(process, kind, f, &Value::Int(value), 0);
        event(0, Kind::Invoke, "write", 1); // op 0
        event(0, Kind::Ok, "write", 1);
        event(1, Kind::Invoke, "write", 2); // op 1
        event(2, Kind::Invoke, "read", 0); // op 2
        event(2, Kind::Ok, "read", 1);
        event(3, Kind::Invoke, "read", 0); // op 3
        event(3, Kind::Ok, "read", 2);
        event(4, Kind::Invoke, "write", 3); // op 4
        event(4, Kind::Fail, "write", 3);
        event(1, Kind::Info, "write", 2);
        builder.finish()
    }

    fn with_claims(history: &History, check: impl FnOnce(&Claims<'_, Register>)) {
        let model = Register::new(history, &Options::default());
        let keys = Keys::split(history, Some(false));
        let budget = Budget::unlimited();
        check(&Claims::new(&model, history, &keys, &keys.groups()[0], &mut Account::new(&budget)).unwrap());
    }

    #[test]
    fn only_true_witnesses_pass() {
        let history = history();
        let model = Register::new(&history, &Options::default());
        let keys = Keys::split(&history, Some(false));
        let budget = Budget::unlimited();
        let judge = |order: &[u32], until: u32| {
            let order: Vec<OpId> = order.iter().map(|&i| OpId(i)).collect();
            order::holds(&order::Of { model: &model, history: &history, keys: &keys }, &keys.groups()[0], &order, until, &budget)
        };
        assert_eq!(judge(&[0, 2, 1, 3], NEVER), Ok(()));
        for (wrong, why) in [
            (&[0u32, 2, 1][..], "op 3 is missing"),
            (&[0, 2, 1, 3, 3], "op 3 is in the order twice"),
            (&[0, 2, 1, 3, 4], "op 4 is in the order and does not belong there"),
            (&[0, 2, 1, 3, 9], "op 9 is in the order and does not belong there"),
            (&[0, 1, 2, 3], "op 2 cannot happen"),
            (&[0, 2, 3], "op 3 cannot happen"),
            (&[2, 0, 1, 3], "op 2 cannot happen"),
            (&[1, 3, 0, 2], "op 0 had completed before one was invoked"),
        ] {
            match judge(wrong, NEVER) {
                Err(order::Refused::Wrong(said)) => assert!(said.contains(why), "{wrong:?}: {said}"),
                other => panic!("{wrong:?}: {other:?}"),
            }
        }
        assert_eq!(judge(&[0], 4), Ok(()));
        assert!(judge(&[0], 5).is_err(), "op 2 has returned before event 5");
        assert!(judge(&[0, 2], 3).is_err(), "op 2 is invoked at event 3");
    }

    #[test]
    fn what_can_be_ordered_is_no_contradiction() {
        let history = history();
        with_claims(&history, |claims| {
            let all: Vec<OpId> = [0, 1, 2, 3].map(OpId).to_vec();
            let budget = Budget::unlimited();
            let with = |steps| Effort::new(steps, &budget);
            for others in [Others::AnyNumber, Others::AtMostOnce] {
                for chosen in 0..16u32 {
                    let needed: Vec<OpId> = all.iter().copied().filter(|id| chosen >> id.0 & 1 == 1).collect();
                    assert_eq!(claims.contradict(&needed, others, &mut with(1000)), Ok(false), "{needed:?}");
                }
                assert_eq!(claims.contradict(&all, others, &mut with(1)), Err(Unanswered::TooHard));
            }
        });
    }

    /// Reads and writes of 0 and 1, up to three at once, in any way, some of unknown outcome.
    fn random_history(rng: &mut ChaCha8Rng) -> History {
        let mut builder = Builder::new();
        let mut open: Vec<(i64, &str, i64)> = Vec::new();
        for process in 0..rng.random_range(2..9) {
            let f = if rng.random() { "write" } else { "read" };
            let value = rng.random_range(0..2);
            builder.event(process, Kind::Invoke, f, &Value::Int(value), 0);
            open.push((process, f, value));
            while open.len() > 2 || !open.is_empty() && rng.random() {
                let (process, f, value) = open.swap_remove(rng.random_range(0..open.len()));
                let kind = if rng.random_bool(0.3) { Kind::Info } else { Kind::Ok };
                builder.event(process, kind, f, &Value::Int(value), 0);
            }
        }
        builder.finish()
    }

    /// The claim, literally: all orders of the needed ops, with any of the other updates in between, once each.
    fn ordered_once(
        claims: &Claims<'_, Register>,
        needed: &[OpId],
        state: Option<histories::ValueId>,
        left: &[Item],
        latest_call: u32,
    ) -> bool {
        let must = |item: &&Item| needed.contains(&item.id) && item.ret != NEVER;
        let Some(first_return) = left.iter().filter(must).map(|item| item.ret).min() else { return true };
        (0..left.len()).any(|i| {
            let item = left[i];
            let op = &claims.kinds[item.kind as usize];
            let ignored = !needed.contains(&item.id) && claims.model.is_pure(op);
            if ignored || item.call > first_return || item.ret < latest_call {
                return false;
            }
            let Some(next) = claims.model.step(&state, op) else { return false };
            let rest: Vec<Item> = [&left[..i], &left[i + 1..]].concat();
            ordered_once(claims, needed, next, &rest, latest_call.max(item.call))
        })
    }

    #[test]
    fn contradictions_are_those_of_the_definition() {
        let budget = Budget::unlimited();
        let mut contradictions = [0, 0];
        for seed in 0..60_000 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let history = random_history(&mut rng);
            with_claims(&history, |claims| {
                let needed: Vec<OpId> = claims.ops.iter().map(|item| item.id).filter(|_| rng.random_bool(0.7)).collect();
                let once = claims.contradict(&needed, Others::AtMostOnce, &mut Effort::new(1_000_000, &budget)).unwrap();
                let any_number = claims.contradict(&needed, Others::AnyNumber, &mut Effort::new(1_000_000, &budget)).unwrap();
                let expected = !ordered_once(claims, &needed, claims.model.init(), &claims.ops, 0);
                assert_eq!(once, expected, "seed {seed}: {needed:?}");
                assert!(!any_number || once, "seed {seed}: {needed:?}: what holds for any number holds for one");
                contradictions[0] += u32::from(any_number);
                contradictions[1] += u32::from(once && !any_number);
            });
        }
        assert!(contradictions.iter().all(|&n| n > 10), "{contradictions:?}");
    }
}
