//! Registers in which each value is stored by one op only: decided in O(n log n), while the history is read.
//!
//! # The idea
//! (Gibbons and Korach 1997, section 4.2, extended by cas, by unknown outcomes, and made to run event by event.)
//! Where every value has one source, each read says which op it follows. The ops around one value form a *stage*: the op that
//! stores it, then its reads. A successful cas from a to b is a read of a and a write of b in one, so the stage of b follows
//! the stage of a with nothing in between: stages that are glued by cas form a *block*. In every legal order the blocks follow
//! one another and do not mix. So a history can be ordered exactly if
//!
//! 1. every value seen was stored, by an op that was invoked before the sight of it returned, and no chain of cas is circular;
//! 2. no two cas that took effect start from the same value (it would have to be there twice);
//! 3. inside a block, no op of an earlier stage was invoked after an op of a later stage had returned;
//! 4. the blocks can be ordered. Let f(B) be the first return of B and s(B) its last invocation. B must come before C if
//!    f(B) < s(C). *Two blocks that must each come before the other are the only obstacle:* let no two blocks be so, and
//!    suppose B1, ..., Bk with f(Bi) < s(Bi+1) in a circle. Then s(Bi+1) ≤ f(Bi+2) because Bi+2 need not come before Bi+1, so
//!    f(Bi) < f(Bi+2) all around the circle, which cannot be. For the same reason sorting by min(f, s) is an order of the
//!    blocks: if f(B) < s(C), then s(B) ≤ f(C), and min(f(B), s(B)) < min(f(C), s(C)) follows in both cases.
//!
//! **Unknown outcomes.** An op of unknown outcome took effect exactly if its value was seen, by a read or by a cas that itself
//! took effect: then it belongs to the block, and returns never. Otherwise leave it out of any order: nobody saw the
//! difference. (A pure op that must *not* see a value would; where there are such, only rejections are used.)
//!
//! **The initial value** is stored by a write before time.
//!
//! **Event by event.** Everything above can be maintained at each return: the blocks, f (fixed at the first return, so blocks
//! come sorted by f), s, and the question of rule 4 by a tree of maxima over s. The first return at which a rule is broken is
//! the first prefix of the history that cannot be ordered.
//!
//! **Ops that happen everywhere and build on what is there**, such as an append to a string: where the model can
//! [undo](Model::undo) them. A state that was certainly there (an op saw it that returned) and that one op only can have led to,
//! of all that store it and all that can be undone to it, came about by that op: so that is a cas from the state before, which
//! then was certainly there as well, and so on. What is left of such ops leads to states that nobody saw: in a legal order they
//! stand where a write of a value of its own could stand, for after each block there is such a place, and inside a block there is
//! none. Where a state that was certainly there can have come about in several ways, or an op is the only way to two of them,
//! everything is left to the search; so is a history that breaks a rule, for what an op did may be known only from what was seen
//! later, and then the op that breaks the rule is not the first that is blocked.
//!
//! **Histories that are unique in part.** A value with several sources is left out of the account: its reads are ignored, its
//! writes too, a cas from it is taken for a plain write, a cas to it for a read. Each legal order of the history, restricted to
//! what is left, obeys the rules, so a rejection stands; an acceptance says nothing.

mod builds;

use super::problem::{Entry, Event, Problem};
use crate::budget::{Account, Limit};
use crate::decode::NEVER;
use crate::interner::Interner;
use crate::model::{Model, Sees};
use histories::OpId;

/// What the zones say.
#[derive(Debug)]
pub(crate) enum Zones {
    /// An order of all ops.
    Order(Vec<OpId>),
    /// There is none.
    Stuck {
        /// The entry that cannot return.
        blocked: u32,
        /// The entries around the rule that is broken.
        suspects: Vec<u32>,
        /// An order of the ops that returned before it, if there is one at hand.
        prefix: Option<Vec<OpId>>,
    },
    /// No contradiction among the values of one source; but there are others.
    Open,
}

const NONE: u32 = u32::MAX;

/// What an op does to stages, each named by its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Read(u32),
    Write(u32),
    Cas(u32, u32),
    Nothing,
}

/// A value, and what is known of its stage.
#[derive(Clone, Copy, Debug)]
struct Stage {
    /// The entry that stores it; [`NONE`] for the initial value, and for one that nobody stores.
    source: u32,
    /// The block, once anybody saw the value or its source returned.
    block: u32,
    /// The stages before and after it in the block.
    before: u32,
    after: u32,
    /// The first entry of a later stage of the block that returned.
    closed_by: u32,
}

/// Stages that are glued together. Positions are those of events, plus one; the initial value's write returns at 0.
#[derive(Clone, Copy, Debug)]
struct Block {
    first_stage: u32,
    first_return: u32,
    last_call: u32,
    /// The entries these come from.
    first_return_of: u32,
    last_call_of: u32,
    /// Its place among the blocks sorted by first return.
    place: u32,
}

/// The initial value's stage and block.
const INITIAL: u32 = 0;

struct Sorter<'a, O> {
    problem: &'a Problem<O>,
    roles: Vec<Role>,
    stages: Vec<Stage>,
    blocks: Vec<Block>,
    /// Blocks by first return; and these returns.
    by_first_return: Vec<u32>,
    first_returns: Vec<u32>,
    last_calls: Maxima,
    /// What the last return changed, as far as an order depends on it.
    changed: Changed,
}

/// What a return changed.
#[derive(Default)]
struct Changed {
    /// The stages that came into effect, in this order.
    stages: Vec<u32>,
    /// How many blocks there were, and how many that had a return.
    blocks: usize,
    placed: usize,
    /// Blocks and what their last invocation was.
    last_calls: Vec<(u32, u32)>,
}

/// Which entries break a rule.
struct Broken(Vec<u32>);

/// Decides by zones, as far as they go.
///
/// # Errors
/// The budget ended.
pub(crate) fn decide<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    events: &[(u32, Event)],
    account: &mut Account<'_>,
) -> Result<Zones, Limit> {
    let Some(Roles { of_classes: roles, stages, complete, from_later }) = roles(model, problem, account)? else { return Ok(Zones::Open) };
    if roles.iter().all(|role| *role == Role::Nothing) && !complete {
        return Ok(Zones::Open);
    }
    let mut sorter = Sorter {
        problem,
        roles,
        last_calls: Maxima::new(stages.len()),
        stages,
        blocks: Vec::new(),
        by_first_return: Vec::new(),
        first_returns: Vec::new(),
        changed: Changed::default(),
    };
    sorter.start();
    for &(at, event) in events {
        account.work(4)?;
        if let Event::Return(entry) = event
            && let Err(Broken(mut suspects)) = sorter.returns(entry, at)
        {
            if from_later {
                return Ok(Zones::Open); // This op may be blocked only by what is seen after it has returned.
            }
            suspects.push(entry);
            suspects.retain(|&suspect| suspect != NONE);
            suspects.sort_unstable();
            suspects.dedup();
            account.work(0)?;
            let prefix = complete.then(|| {
                sorter.undo();
                sorter.order(at)
            });
            return Ok(Zones::Stuck { blocked: entry, suspects, prefix });
        }
    }
    if !complete {
        return Ok(Zones::Open);
    }
    account.work(0)?;
    Ok(Zones::Order(sorter.order(NEVER)))
}

/// What the classes do.
struct Roles {
    of_classes: Vec<Role>,
    stages: Vec<Stage>,
    /// Whether they say everything.
    complete: bool,
    /// Whether some are known only from what was seen later.
    from_later: bool,
}

/// Bytes per class: its role; a stage and its entry in the map of values, with room to double; a block; places in the lists
/// by first return and of last invocations. Most classes share their stage with another.
const fn bytes_per_class<S>() -> usize {
    size_of::<Role>() + size_of::<Stage>() * 2 + size_of::<S>() * 2 + size_of::<Block>() + 16 + 12 * size_of::<u32>()
}

/// The roles; `None` if they say nothing.
fn roles<M: Model>(model: &M, problem: &Problem<M::Op>, account: &mut Account<'_>) -> Result<Option<Roles>, Limit> {
    account.hold(bytes_of_roles(model, problem))?;
    let mut known = Stages { of: Interner::new(problem.classes.len()), list: Vec::new() };
    known.number(model, &model.init());
    let mut complete = true;
    let mut builds = Vec::new();
    let mut roles = Vec::with_capacity(problem.classes.len());
    for (class, op) in (0..).zip(&problem.classes) {
        account.stepped()?;
        roles.push(match model.sees(op) {
            Sees::Only(state) if model.is_pure(op) => Role::Read(known.number(model, &state)),
            Sees::Only(state) => {
                let Some(next) = model.step(&state, op) else { return Ok(None) };
                Role::Cas(known.number(model, &state), known.number(model, &next))
            }
            Sees::Nothing => {
                let Some(next) = model.step(&model.init(), op) else { return Ok(None) };
                Role::Write(known.number(model, &next))
            }
            // What must not be seen does not matter for a rejection.
            Sees::AllBut(_) if model.is_pure(op) => {
                complete = false;
                Role::Nothing
            }
            Sees::Total => {
                builds.push(class);
                Role::Nothing
            }
            _ => return Ok(None),
        });
    }
    if !builds.is_empty() {
        let all = complete && builds::find_roles(model, problem, &builds, &mut roles, &mut known, account)?;
        if !all {
            return Ok(None);
        }
    }
    let mut stages = known.list;
    let mut sources = vec![0u32; stages.len()];
    sources[INITIAL as usize] = 1;
    for (i, entry) in (0..).zip(&problem.entries) {
        if let Role::Write(to) | Role::Cas(_, to) = roles[entry.class as usize] {
            sources[to as usize] += 1;
            stages[to as usize].source = i;
        }
    }
    for role in &mut roles {
        let unique = |stage: u32| sources[stage as usize] <= 1;
        let told = match *role {
            Role::Read(v) | Role::Write(v) if !unique(v) => Role::Nothing,
            Role::Cas(a, b) => match (unique(a), unique(b)) {
                (true, true) => *role,
                (true, false) => Role::Read(a),
                (false, true) => Role::Write(b),
                (false, false) => Role::Nothing,
            },
            told => told,
        };
        complete &= told == *role;
        *role = told;
    }
    if !complete && !builds.is_empty() {
        return Ok(None);
    }
    Ok(Some(Roles { of_classes: roles, stages, complete, from_later: !builds.is_empty() }))
}

/// What the roles take, with the order, and the reads to be sorted into it.
fn bytes_of_roles<M: Model>(_: &M, problem: &Problem<M::Op>) -> usize {
    problem.classes.len() * bytes_per_class::<M::State>() + problem.entries.len() * 12
}

/// The stages, by what the object holds in them.
struct Stages<S> {
    of: Interner<S>,
    list: Vec<Stage>,
}

impl<S: std::hash::Hash + Eq + Clone> Stages<S> {
    fn number<M: Model<State = S>>(&mut self, model: &M, state: &S) -> u32 {
        let next = self.list.len() as u32;
        let number = self.of.number(model.state_number(state), state, next);
        if number == next { self.of_its_own() } else { number }
    }

    /// A stage that nobody sees.
    fn of_its_own(&mut self) -> u32 {
        self.list.push(Stage { source: NONE, block: NONE, before: NONE, after: NONE, closed_by: NONE });
        self.list.len() as u32 - 1
    }
}

impl<O> Sorter<'_, O> {
    /// The initial value's write, before time.
    fn start(&mut self) {
        self.stages[INITIAL as usize].block = INITIAL;
        let start = Block { first_stage: INITIAL, first_return: 0, last_call: 0, first_return_of: NONE, last_call_of: NONE, place: 0 };
        self.blocks.push(start);
        self.by_first_return.push(INITIAL);
        self.first_returns.push(0);
    }

    fn entry(&self, index: u32) -> Entry {
        self.problem.entries[index as usize]
    }

    fn role(&self, index: u32) -> Role {
        self.roles[self.entry(index).class as usize]
    }

    fn returns(&mut self, index: u32, at: u32) -> Result<(), Broken> {
        let (Role::Read(seen) | Role::Write(seen) | Role::Cas(_, seen)) = self.role(index) else { return Ok(()) };
        self.changed.stages.clear();
        self.changed.last_calls.clear();
        (self.changed.blocks, self.changed.placed) = (self.blocks.len(), self.by_first_return.len());
        self.take_effect(seen, at)?;
        let entry = self.entry(index);
        // Rule 3. It cannot be broken the other way round: what returns now returns after everything was invoked.
        let closed_by = self.stages[seen as usize].closed_by;
        if closed_by != NONE && self.entry(closed_by).ret < entry.call {
            let source = self.stages[seen as usize].source;
            return Err(Broken(vec![closed_by, source]));
        }
        let mut stage = self.stages[seen as usize].before;
        while stage != NONE && self.stages[stage as usize].closed_by == NONE {
            self.stages[stage as usize].closed_by = index;
            stage = self.stages[stage as usize].before;
        }
        let block = self.stages[seen as usize].block;
        let extended = self.extend(block, index);
        self.first_return(block, index, at);
        if extended { self.compare(block) } else { Ok(()) }
    }

    /// As it was before the last return. Only good for an order: what was closed, and maxima, stay.
    fn undo(&mut self) {
        while let Some((block, last_call)) = self.changed.last_calls.pop() {
            self.blocks[block as usize].last_call = last_call;
        }
        for block in self.by_first_return.drain(self.changed.placed..) {
            self.blocks[block as usize].place = NONE;
        }
        self.first_returns.truncate(self.changed.placed);
        while let Some(stage) = self.changed.stages.pop() {
            let before = self.stages[stage as usize].before;
            if before != NONE {
                self.stages[before as usize].after = NONE;
            }
        }
        self.blocks.truncate(self.changed.blocks);
    }

    /// The value was there: so its source took effect, and, if that is a cas, the source of what it found.
    fn take_effect(&mut self, value: u32, at: u32) -> Result<(), Broken> {
        let mut chain = Vec::new();
        let mut stage = value;
        while self.stages[stage as usize].block == NONE {
            let source = self.stages[stage as usize].source;
            if source == NONE || self.entry(source).call > at || chain.len() > self.stages.len() {
                // Rule 1: nobody stored it, or not yet, or the chain is circular.
                return Err(Broken(chain.iter().map(|&stage: &u32| self.stages[stage as usize].source).chain([source]).collect()));
            }
            chain.push(stage);
            match self.role(source) {
                Role::Cas(from, _) => stage = from,
                _ => break,
            }
        }
        while let Some(stage) = chain.pop() {
            let source = self.stages[stage as usize].source;
            if let Role::Cas(from, _) = self.role(source) {
                let other = self.stages[from as usize].after;
                if other != NONE {
                    // Rule 2.
                    let (other, from) = (self.stages[other as usize].source, self.stages[from as usize].source);
                    return Err(Broken(vec![other, source, from]));
                }
                self.stages[from as usize].after = stage;
                self.stages[stage as usize].before = from;
                self.stages[stage as usize].block = self.stages[from as usize].block;
            } else {
                self.stages[stage as usize].block = self.blocks.len() as u32;
                self.blocks.push(Block {
                    first_stage: stage,
                    first_return: NEVER,
                    last_call: 0,
                    first_return_of: NONE,
                    last_call_of: NONE,
                    place: NONE,
                });
            }
            self.changed.stages.push(stage);
            let block = self.stages[stage as usize].block;
            if self.extend(block, source) {
                self.compare(block)?;
            }
        }
        Ok(())
    }

    /// The block has an op that was invoked then. Whether it is the last so far.
    fn extend(&mut self, number: u32, index: u32) -> bool {
        let call = self.entry(index).call + 1;
        let block = &mut self.blocks[number as usize];
        if call <= block.last_call {
            return false;
        }
        self.changed.last_calls.push((number, block.last_call));
        block.last_call = call;
        block.last_call_of = index;
        if block.place != NONE {
            self.last_calls.raise(block.place, call);
        }
        true
    }

    fn first_return(&mut self, number: u32, index: u32, at: u32) {
        let place = self.by_first_return.len() as u32;
        let block = &mut self.blocks[number as usize];
        if block.place == NONE && number != INITIAL {
            block.first_return = at + 1;
            block.first_return_of = index;
            block.place = place;
            self.by_first_return.push(number);
            self.first_returns.push(at + 1);
            self.last_calls.raise(place, block.last_call);
        }
    }

    /// Rule 4, for a block whose last invocation changed.
    fn compare(&self, number: u32) -> Result<(), Broken> {
        let block = self.blocks[number as usize];
        // Nothing of it has returned, so it need not come before any other; or nothing was invoked since, which is most often so.
        if block.place == NONE || self.last_calls.greatest() <= block.first_return {
            return Ok(());
        }
        // Those with an earlier first return than our last invocation, ourselves left out.
        let end = last_below(&self.first_returns, block.last_call) as u32;
        let before = self.last_calls.any_above(0, end.min(block.place), block.first_return);
        let Some(place) = before.or_else(|| self.last_calls.any_above(block.place + 1, end, block.first_return)) else {
            return Ok(());
        };
        let other = self.blocks[self.by_first_return[place as usize] as usize];
        Err(Broken(vec![block.first_return_of, block.last_call_of, other.first_return_of, other.last_call_of]))
    }

    /// Block by block, stage by stage: the source, then the reads by invocation that returned before the event `until`.
    fn order(&self, until: u32) -> Vec<OpId> {
        let (ends, reads) = self.reads(until);
        let placed = (0..).zip(&self.blocks).filter(|(_, block)| block.place != NONE);
        let mut blocks: Vec<(u32, u32)> = placed.map(|(i, block)| (block.first_return.min(block.last_call), i)).collect();
        blocks.sort_unstable();
        let mut order = Vec::with_capacity(self.problem.entries.len());
        for (_, block) in blocks {
            let mut stage = self.blocks[block as usize].first_stage;
            while stage != NONE {
                let source = self.stages[stage as usize].source;
                order.extend((source != NONE).then(|| self.entry(source).id));
                let first = if stage == 0 { 0 } else { ends[stage as usize - 1] };
                order.extend(reads[first as usize..ends[stage as usize] as usize].iter().copied());
                stage = self.stages[stage as usize].after;
            }
        }
        order
    }

    /// The reads that returned before the event `until`, by stage and then by invocation; and where those of each stage end.
    fn reads(&self, until: u32) -> (Vec<u32>, Vec<OpId>) {
        let seen = |entry: &Entry| match self.roles[entry.class as usize] {
            Role::Read(seen) if entry.ret < until => Some(seen as usize),
            _ => None,
        };
        let mut ends = vec![0u32; self.stages.len() + 1];
        for stage in self.problem.entries.iter().filter_map(seen) {
            ends[stage + 1] += 1;
        }
        for stage in 1..ends.len() {
            ends[stage] += ends[stage - 1];
        }
        let mut reads = vec![OpId(0); ends[self.stages.len()] as usize];
        // Where those of a stage begin; in the end, where they end.
        for entry in &self.problem.entries {
            if let Some(stage) = seen(entry) {
                reads[ends[stage] as usize] = entry.id;
                ends[stage] += 1;
            }
        }
        (ends, reads)
    }
}

/// How many of some ascending numbers are below a bound, which is most often near the last of them.
fn last_below(numbers: &[u32], bound: u32) -> usize {
    let (mut low, mut stride) = (numbers.len(), 1);
    while low > 0 && numbers[low - 1] >= bound {
        low = low.saturating_sub(stride);
        stride *= 2;
    }
    let high = (low + stride).min(numbers.len());
    low + numbers[low..high].partition_point(|&number| number < bound)
}

/// Numbers that only grow, and the question which in a range is above a bound. A complete binary tree in an array.
struct Maxima {
    leaves: usize,
    tree: Vec<u32>,
}

impl Maxima {
    fn new(len: usize) -> Maxima {
        let leaves = len.next_power_of_two();
        Maxima { leaves, tree: vec![0; 2 * leaves] }
    }

    fn raise(&mut self, place: u32, to: u32) {
        let mut node = self.leaves + place as usize;
        while node > 0 && self.tree[node] < to {
            self.tree[node] = to;
            node /= 2;
        }
    }

    fn greatest(&self) -> u32 {
        self.tree[1]
    }

    /// A place in `from..to` with a number above `bound`.
    fn any_above(&self, from: u32, to: u32, bound: u32) -> Option<u32> {
        let (mut low, mut high) = (self.leaves + from as usize, self.leaves + to as usize);
        while low < high {
            for node in [(low % 2 == 1).then_some(low), (high % 2 == 1).then(|| high - 1)].into_iter().flatten() {
                if self.tree[node] > bound {
                    return Some(self.descend(node, bound));
                }
            }
            low = low.div_ceil(2);
            high /= 2;
        }
        None
    }

    fn descend(&self, mut node: usize, bound: u32) -> u32 {
        while node < self.leaves {
            node = 2 * node + usize::from(self.tree[2 * node] <= bound);
        }
        (node - self.leaves) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_found_from_the_end() {
        let numbers: Vec<u32> = (0..40).map(|i| 3 * i + i % 2).collect();
        for len in 0..=numbers.len() {
            for bound in 0..130 {
                let expected = numbers[..len].partition_point(|&number| number < bound);
                assert_eq!(last_below(&numbers[..len], bound), expected, "{bound} of {len}");
            }
        }
    }

    #[test]
    fn maxima_answer_like_a_list() {
        let mut maxima = Maxima::new(100);
        let mut list = [0u32; 100];
        let mut random = 12345u32;
        let mut next = |below: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) % below
        };
        for _ in 0..5000 {
            let (place, to) = (next(100), next(1000));
            list[place as usize] = list[place as usize].max(to);
            maxima.raise(place, to);
            let (a, b, bound) = (next(101), next(101), next(1100));
            let (from, to) = (a.min(b), a.max(b));
            match maxima.any_above(from, to, bound) {
                Some(place) => assert!((from..to).contains(&place) && list[place as usize] > bound),
                None => assert!(list[from as usize..to as usize].iter().all(|&n| n <= bound)),
            }
        }
    }
}
