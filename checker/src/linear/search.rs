//! The search: sets of configurations, extended just in time.
//!
//! A *configuration* is what a partial order leaves behind: the object's state, and which of the ops now in flight have
//! already taken effect. Everything else about the past is forgotten, so memory depends on how many ops overlap, not on how
//! many there are. (Wing and Gong 1993 search over orders; Lowe 2017, section 4, over configurations.)
//!
//! **Just in time** (Lowe 2017): ops are linearized only when some op o returns, and only until o has been. *Why nothing is
//! lost:* let an order be legal. Move each op to the latest return event that is not after its point in time; order among the
//! moved ones is kept, every op stays between its events, so it is the same order. At that event, an op that comes after o in
//! the order may as well be linearized at the next return, for every op that is pending after o's point and before its return
//! is pending at the next return too, or returns there.
//!
//! **Ops of the same class, earliest deadline first.** Of two pending ops that do the same, use the one that returns first.
//! *Why:* if an order uses the other one q, p comes later in it (p must happen before it returns, and both are pending now):
//! swap them. q then stands where p stood, which is before p's return and so before its own, and after now. Ops of unknown
//! outcome return never, hence last.
//!
//! **Free ops.** A pending op that is pure and can happen is linearized at once. *Why:* it leaves the state as it is, and an
//! order in which it comes later stays legal without it there.
//!
//! **More reads dominate.** Of two configurations of the same state in which the same updates are done, the one in which more of the
//! pending reads are done can do all that the other can. *Why:* from the other, go on to any legal order, and leave out of it the
//! reads that the one has done: they change nothing, so what comes after them is as legal without them.
//!
//! **Overwrites that nobody sees** ([`Unknowns::Lazy`]). A pending overwrite can take effect just before another one that takes
//! effect now, and nobody notices: so when one does, all others in flight become *free*. A free one may return without more
//! ado; it may also still be used, as long as it is in flight. The witness puts it before the overwrite that hid it.
//!
//! **Few configurations** ([`Unknowns::Few`]) and **unlimited unknowns** ([`Unknowns::Unlimited`]) answer one way only: whoever
//! keeps a part of all configurations finds orders that exist, and may miss some; whoever lets ops of unknown outcome happen as
//! often as they like finds all orders that exist, and some that do not. So an order of the one and the lack of one of the other
//! are answers. The latter ends only if ops that happen over and over lead to finitely many states.
//!
//! **Ops of unknown outcome** are never forced, are counted per class ([`super::usage`]), and of two configurations the one
//! that used fewer of them is kept.

use super::configs::{Config, Configs};
use super::mask::Mask;
use super::path::{Paths, ROOT, Step};
use super::problem::{Event, Problem};
use super::states::{IMPOSSIBLE, States};
use super::usage::{NOTHING_USED, Usages};
use crate::budget::{Account, Budget, Limit};
use crate::model::Model;
use crate::switches::{Rule, Rules};
use std::cmp::Reverse;
use std::sync::atomic::Ordering;

/// How the search treats ops of unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknowns {
    /// Each takes effect at most once: the definition.
    Exact,
    /// Each may take effect as often as it likes, from its invocation on. More orders are allowed than by the definition: if
    /// there is none, none exists.
    Unlimited,
    /// At most this many configurations of equal state and mask are kept, the first found. Orders are lost: if one is found,
    /// it exists.
    Few(usize),
    /// As that with two; overwrites are hidden where they can be, one that is hidden is used at its return either at once or
    /// not at all, and at each return only about this many configurations are kept, those with the fewest obligations.
    /// Orders are lost: if one is found, it exists.
    Lazy(usize),
}

/// What a search found.
#[derive(Debug)]
pub(crate) enum Found {
    /// An order: the updates, each with the event just before which it is linearized.
    Order(Vec<Step>),
    /// No order.
    Nothing(Stuck),
    /// The budget ended.
    Out(Limit, Progress),
}

/// Where the search ran out of configurations.
#[derive(Debug)]
pub(crate) struct Stuck {
    /// The entry that returns there.
    pub blocked: u32,
    /// An order of the updates before it.
    pub prefix: Vec<Step>,
}

/// How far a search got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Ops that have returned.
    pub ops_ordered: usize,
    /// Configurations open.
    pub states: usize,
}

/// An op in flight.
#[derive(Clone, Copy, Debug)]
struct Pending {
    slot: u32,
    entry: u32,
    class: u32,
    ret: u32,
}

/// Ops of unknown outcome of one class that have been invoked.
#[derive(Clone, Debug)]
struct Crashed {
    class: u32,
    /// In order of invocation.
    entries: Vec<u32>,
}

/// The states that were possible at a moment.
#[derive(Clone, Debug)]
pub(crate) struct Surveyed<S> {
    /// The event just before it.
    pub at: u32,
    /// Some of the states.
    pub states: Vec<S>,
    /// How many there are besides.
    pub more: usize,
}

/// A slot that no op has: to linearize until it is done is to linearize everything that can be.
const NO_SLOT: u32 = u32::MAX;

/// How often the steps are added to the budget's count, which is for progress.
const STEPS_BETWEEN_REPORTS: u64 = 2048;

/// Bytes of states that are asked for at once.
const ROOM_FOR_STATES: usize = 1 << 16;

/// How long a search may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Most {
    /// Configurations visited.
    pub steps: u64,
    /// Ops tried on them, those that were not possible included.
    pub tries: u64,
}

impl Most {
    /// So many steps, whatever they take.
    pub(crate) fn steps(steps: u64) -> Most {
        Most { steps, tries: u64::MAX }
    }

    /// So many steps, if they are not unusually hard.
    pub(crate) fn easy_steps(steps: u64) -> Most {
        Most { steps, tries: steps.saturating_mul(100) }
    }
}

pub(crate) struct Search<'a, M: Model, K: Mask> {
    problem: &'a Problem<M::Op>,
    pure: Vec<bool>,
    /// Classes of overwrites, if they are hidden.
    hides: Vec<bool>,
    /// Overwrites of known outcome in flight, if they are hidden.
    hidden: K,
    /// Classes whose ops of unknown outcome are left out.
    left_out: Vec<bool>,
    unknowns: Unknowns,
    rules: Rules,
    account: Account<'a>,
    most: Most,
    /// Steps made, and ops tried.
    steps: u64,
    tries: u64,
    /// Bytes that stay the same during the search.
    fixed_bytes: usize,
    states: States<'a, M>,
    /// Bytes of states up to which nothing needs to be said.
    states_granted: usize,
    usages: Usages,
    paths: Paths,
    free_slots: Vec<u32>,
    slot_of: Vec<u32>,
    /// Updates of known outcome in flight, by return.
    updates: Vec<Pending>,
    /// Pure ops in flight.
    reads: Vec<Pending>,
    /// Their slots, if those that have done more of them dominate.
    read_slots: K,
    crashed: Vec<Crashed>,
    crashed_of_class: Vec<u32>,
    /// Per state: which of `reads` can happen in it, as of which change of `reads`.
    legal_reads: Vec<(u64, K)>,
    reads_changed: u64,
    now: Vec<Config<K>>,
    returned: Configs<K>,
    waiting: Configs<K>,
    tried: Vec<u64>,
    try_number: u64,
}

impl<'a, M: Model, K: Mask> Search<'a, M, K> {
    /// A search that is about to begin.
    ///
    /// # Errors
    /// The memory limit, for what every search of this size needs.
    pub(crate) fn new(
        model: &'a M,
        problem: &'a Problem<M::Op>,
        unknowns: Unknowns,
        rules: Rules,
        budget: &'a Budget,
        most: Most,
    ) -> Result<Self, Limit> {
        let mut account = Account::new(budget);
        // Bytes and words per class, a slot per op, a list of slots.
        let fixed_bytes = problem.classes.len() * 15 + problem.entries.len() * 4 + K::SLOTS * 4;
        account.hold(fixed_bytes)?;
        let start = Config { done: K::default(), free: K::default(), state: 0, used: NOTHING_USED, path: ROOT };
        Ok(Search {
            problem,
            pure: problem.classes.iter().map(|op| rules.has(Rule::FreeReads) && model.is_pure(op)).collect(),
            hides: problem.classes.iter().map(|op| matches!(unknowns, Unknowns::Lazy(_)) && model.is_blind_write(op)).collect(),
            hidden: K::default(),
            left_out: vec![false; problem.classes.len()],
            unknowns,
            rules,
            account,
            most,
            steps: 0,
            tries: 0,
            fixed_bytes,
            states: States::new(model, &problem.classes, rules.has(Rule::KnownSteps)),
            states_granted: 0,
            usages: Usages::new(rules.has(Rule::Dominance)),
            paths: Paths::new(),
            free_slots: (0..K::SLOTS as u32).rev().collect(),
            slot_of: vec![0; problem.entries.len()],
            updates: Vec::new(),
            reads: Vec::new(),
            read_slots: K::default(),
            crashed: Vec::new(),
            crashed_of_class: vec![u32::MAX; problem.classes.len()],
            legal_reads: Vec::new(),
            reads_changed: 1,
            now: vec![start],
            returned: Configs::new(),
            waiting: Configs::new(),
            tried: vec![0; problem.classes.len()],
            try_number: 0,
        })
    }

    /// Leaves out the ops of unknown outcome of some classes: see [`super::unseen`].
    pub(crate) fn leave_out(mut self, classes: &[bool]) -> Self {
        self.left_out.copy_from_slice(classes);
        self
    }

    /// The states that the object can be in just after each of the events in `watched` (positions, ascending), at most `most`
    /// of each and how many more there are. Stops where nothing can be, or at a limit: then the rest is missing.
    pub(crate) fn survey(mut self, events: &[(u32, Event)], watched: &[u32], most: usize) -> Vec<Surveyed<M::State>> {
        let mut surveyed = Vec::new();
        let mut events = events.iter().peekable();
        'watched: for &at in watched {
            while let Some(&(at, event)) = events.next_if(|event| event.0 <= at) {
                let goes_on = match event {
                    Event::Call(entry) => self.call(entry).map(|()| true),
                    Event::Return(entry) => self.returns(entry, at),
                };
                if goes_on != Ok(true) {
                    break 'watched;
                }
            }
            let Ok(mut states) = self.reachable() else { break };
            let more = states.len().saturating_sub(most);
            states.truncate(most);
            surveyed.push(Surveyed { at, states: states.into_iter().map(|state| self.states.get(state).clone()).collect(), more });
        }
        surveyed
    }

    /// The states that the ops in flight can lead to, as they are found.
    fn reachable(&mut self) -> Result<Vec<u32>, Limit> {
        for i in 0..self.now.len() {
            self.keep(self.now[i], false, usize::MAX)?;
        }
        let mut seen = vec![false; self.states.len()];
        let mut states = Vec::new();
        let mut number = 0;
        while number < self.waiting.end() {
            self.count_step()?;
            if let Some(config) = self.waiting.get(number) {
                self.extend(config, NO_SLOT, 0, usize::MAX)?;
                seen.resize(self.states.len(), false);
                if !std::mem::replace(&mut seen[config.state as usize], true) {
                    states.push(config.state);
                }
            }
            number += 1;
        }
        self.waiting.clear();
        Ok(states)
    }

    /// Takes the events in their order.
    pub(crate) fn run(mut self, events: &[(u32, Event)]) -> (Found, u64) {
        let found = self.events(events);
        self.account.budget().steps_done.fetch_add(self.steps % STEPS_BETWEEN_REPORTS, Ordering::Relaxed);
        (found, self.steps)
    }

    fn events(&mut self, events: &[(u32, Event)]) -> Found {
        let mut ops_ordered = 0;
        for &(at, event) in events {
            let goes_on = match event {
                Event::Call(entry) => self.call(entry).map(|()| true),
                Event::Return(entry) => self.returns(entry, at),
            };
            match goes_on.and_then(|goes_on| self.collect().map(|()| goes_on)) {
                Ok(false) => {
                    let (Event::Return(entry) | Event::Call(entry)) = event;
                    return Found::Nothing(self.stuck(entry));
                }
                Ok(true) => ops_ordered += usize::from(matches!(event, Event::Return(_))),
                Err(limit) => {
                    let states = if self.waiting.len() + self.returned.len() > 0 {
                        self.waiting.len() + self.returned.len()
                    } else {
                        self.now.len()
                    };
                    return Found::Out(limit, Progress { ops_ordered, states });
                }
            }
        }
        let cheapest = self.now.iter().min_by_key(|c| self.usages.total(c.used));
        Found::Order(cheapest.map_or_else(Vec::new, |c| self.paths.steps(c.path)))
    }

    /// Drops what no configuration points to any more, now and then.
    fn collect(&mut self) -> Result<(), Limit> {
        if self.paths.is_due() {
            self.hold(self.paths.bytes_to_collect(self.now.len()))?;
            self.paths.collect(self.now.iter_mut().map(|c| &mut c.path));
        }
        if self.usages.is_due() {
            self.hold(self.usages.bytes_to_collect(self.now.len()))?;
            self.usages.collect(self.now.iter_mut().map(|c| &mut c.used));
        }
        Ok(())
    }

    fn call(&mut self, index: u32) -> Result<(), Limit> {
        self.account.work(1)?;
        let entry = self.problem.entries[index as usize];
        if entry.is_crashed() {
            if self.left_out[entry.class as usize] {
                return Ok(());
            }
            let class = &mut self.crashed_of_class[entry.class as usize];
            if *class == u32::MAX || !self.rules.has(Rule::CountedUnknowns) {
                *class = self.crashed.len() as u32;
                self.crashed.push(Crashed { class: entry.class, entries: Vec::new() });
            }
            self.crashed[*class as usize].entries.push(index);
            return Ok(());
        }
        let slot = self.free_slots.pop().expect("the mask is as wide as the history");
        self.slot_of[index as usize] = slot;
        let pending = Pending { slot, entry: index, class: entry.class, ret: entry.ret };
        if !self.pure[entry.class as usize] {
            if self.hides[entry.class as usize] {
                self.hidden = self.hidden.with(slot);
            }
            let at = self.updates.partition_point(|p| p.ret < entry.ret);
            self.updates.insert(at, pending);
            return Ok(());
        }
        // Where few are kept of each mask, as many masks as there are shall be.
        if self.rules.has(Rule::MoreReads) && matches!(self.unknowns, Unknowns::Exact | Unknowns::Unlimited) {
            self.read_slots = self.read_slots.with(slot);
        }
        self.reads.push(pending);
        self.reads_changed += 1;
        for i in 0..self.now.len() {
            if self.step(self.now[i].state, entry.class)? != IMPOSSIBLE {
                self.now[i].done = self.now[i].done.with(slot);
            }
        }
        self.account.work(self.now.len() as u64)
    }

    /// Keeps what allows the op to have happened. False if nothing does: then the configurations before it stay.
    fn returns(&mut self, index: u32, at: u32) -> Result<bool, Limit> {
        let slot = self.slot_of[index as usize];
        let (most, width) = match self.unknowns {
            Unknowns::Few(most) => (most, usize::MAX),
            Unknowns::Lazy(width) => (2, width),
            Unknowns::Exact | Unknowns::Unlimited => (usize::MAX, usize::MAX),
        };
        for i in 0..self.now.len() {
            self.account.work(1)?;
            let config = self.now[i];
            if config.free.has(slot) {
                self.keep(Config { free: config.free.without(slot), ..config }, true, most)?;
                self.use_free(config, index, at, most)?;
                continue;
            }
            let ready = config.done.has(slot);
            self.keep(Config { done: config.done.without(slot), ..config }, ready, most)?;
        }
        // Breadth first, so that those that use less come first.
        let mut number = 0;
        while number < self.waiting.end() && self.returned.len() < width {
            self.count_step()?;
            if let Some(config) = self.waiting.get(number) {
                self.extend(config, slot, at, most)?;
            }
            number += 1;
        }
        self.waiting.clear();
        if self.returned.len() == 0 {
            return Ok(false);
        }
        if self.now.capacity() < self.returned.len() {
            self.hold(self.returned.len() * size_of::<Config<K>>())?;
        }
        self.returned.drain_into(&mut self.now);
        if self.now.len() > width {
            let obligations = |config: &Config<K>| Reverse(config.done.len() + config.free.len());
            self.now.sort_by_key(obligations);
            self.now.truncate(width);
        }
        self.updates.retain(|p| p.entry != index);
        self.hidden = self.hidden.without(slot);
        if self.pure[self.problem.entries[index as usize].class as usize] {
            self.read_slots = self.read_slots.without(slot);
            self.reads.retain(|p| p.entry != index);
            self.reads_changed += 1;
        }
        self.free_slots.push(slot);
        Ok(true)
    }

    /// Uses an op that need not take effect any more, at the last moment.
    fn use_free(&mut self, config: Config<K>, index: u32, at: u32, most: usize) -> Result<(), Limit> {
        let class = self.problem.entries[index as usize].class;
        let state = self.step(config.state, class)?;
        if state == IMPOSSIBLE || state == config.state {
            return Ok(());
        }
        let slot = self.slot_of[index as usize];
        let done = config.done.with(slot);
        self.add(Config { done, free: self.hidden.minus(done), state, ..config }, index, slot, at, most)
    }

    /// What is free after an op of the class has taken effect.
    fn free_after(&self, config: &Config<K>, done: K, class: u32) -> K {
        let free = if self.hides[class as usize] { self.hidden } else { config.free };
        free.minus(done)
    }

    /// Linearizes one more pending op, in every way. Configurations in which the op of `target` is done are ready.
    fn extend(&mut self, config: Config<K>, target: u32, at: u32, most: usize) -> Result<(), Limit> {
        self.try_number += 1;
        self.count_tries((self.updates.len() + self.crashed.len()) as u64)?;
        for i in 0..self.updates.len() {
            let pending = self.updates[i];
            if config.done.has(pending.slot) || self.was_tried(pending.class) {
                continue;
            }
            let state = self.step(config.state, pending.class)?;
            if state != IMPOSSIBLE {
                let done = config.done.with(pending.slot);
                let free = self.free_after(&config, done, pending.class);
                let next = Config { done, free, state, ..config };
                self.add(next, pending.entry, target, at, most)?;
            }
        }
        for i in 0..self.crashed.len() {
            let class = self.crashed[i].class;
            // What leads nowhere is passed over before anything is counted: to stay in the same state costs an op and gains nothing.
            let leads_nowhere = |state: u32| state == IMPOSSIBLE || state == config.state && self.usages.dominance();
            if self.states.known(config.state, class).is_some_and(leads_nowhere) {
                continue;
            }
            let unlimited = self.unknowns == Unknowns::Unlimited;
            let used = if unlimited { 0 } else { self.usages.count(config.used, i as u32) };
            let Some(&entry) = self.crashed[i].entries.get(used as usize) else { continue };
            if self.was_tried(class) {
                continue;
            }
            let state = self.step(config.state, class)?;
            if state == IMPOSSIBLE || state == config.state && self.usages.dominance() {
                continue;
            }
            if unlimited {
                self.add(Config { state, ..config }, entry, target, at, most)?;
                continue;
            }
            let growth = self.usages.growth(config.used);
            if growth > 0 {
                self.hold(growth)?;
            }
            let used = self.usages.with_one_more(config.used, i as u32);
            let free = self.free_after(&config, config.done, class);
            self.add(Config { free, state, used, ..config }, entry, target, at, most)?;
        }
        Ok(())
    }

    /// Whether an op of the class, with an earlier return, was already tried on this configuration; from now on it is.
    fn was_tried(&mut self, class: u32) -> bool {
        let tried = &mut self.tried[class as usize];
        let before = *tried == self.try_number;
        *tried = self.try_number;
        before && self.rules.has(Rule::EarliestDeadline)
    }

    fn add(&mut self, mut config: Config<K>, entry: u32, target: u32, at: u32, most: usize) -> Result<(), Limit> {
        config.done = config.done.union(self.legal_reads(config.state)?);
        let ready = target != NO_SLOT && config.done.has(target);
        if ready {
            config.done = config.done.without(target);
        }
        if let Some(added) = self.keep(config, ready, most)? {
            let growth = self.paths.growth(1);
            if growth > 0 {
                self.hold(growth)?;
            }
            let path = self.paths.push(config.path, Step { op: entry, at });
            let set = if ready { &mut self.returned } else { &mut self.waiting };
            set.set_path(added, path);
        }
        Ok(())
    }

    /// Adds a configuration to those in which the op that returns is done, or to those in which it is not.
    fn keep(&mut self, config: Config<K>, ready: bool, most: usize) -> Result<Option<u32>, Limit> {
        let growth = if ready { self.returned.growth() } else { self.waiting.growth() };
        if growth > 0 {
            self.hold(growth)?;
        }
        let set = if ready { &mut self.returned } else { &mut self.waiting };
        Ok(set.insert(config, self.read_slots, &self.usages, most))
    }

    fn legal_reads(&mut self, state: u32) -> Result<K, Limit> {
        if self.legal_reads.len() < self.states.len() {
            self.legal_reads.resize(self.states.len(), (0, K::default()));
        }
        let (as_of, mask) = self.legal_reads[state as usize];
        if as_of == self.reads_changed {
            return Ok(mask);
        }
        let mut mask = K::default();
        for i in 0..self.reads.len() {
            if self.step(state, self.reads[i].class)? != IMPOSSIBLE {
                mask = mask.with(self.reads[i].slot);
            }
        }
        self.legal_reads[state as usize] = (self.reads_changed, mask);
        Ok(mask)
    }

    /// See [`States::step`]. If the model was asked, it may have taken long.
    fn step(&mut self, state: u32, class: u32) -> Result<u32, Limit> {
        let made = self.states.made();
        let next = self.states.step(state, class);
        if self.states.made() != made {
            self.account.stepped()?;
            if self.states.bytes() > self.states_granted {
                self.states_granted = self.states.bytes() + ROOM_FOR_STATES;
                self.hold(ROOM_FOR_STATES)?;
            }
        }
        Ok(next)
    }

    fn count_step(&mut self) -> Result<(), Limit> {
        self.steps += 1;
        if self.steps > self.most.steps {
            return Err(Limit::Steps);
        }
        if self.steps.is_multiple_of(STEPS_BETWEEN_REPORTS) {
            self.account.budget().steps_done.fetch_add(STEPS_BETWEEN_REPORTS, Ordering::Relaxed);
            self.hold(0)?;
        }
        Ok(())
    }

    fn count_tries(&mut self, tries: u64) -> Result<(), Limit> {
        self.tries += tries;
        if self.tries > self.most.tries { Err(Limit::Steps) } else { self.account.work(1 + tries) }
    }

    /// Says what is held, and about to be.
    fn hold(&mut self, more: usize) -> Result<(), Limit> {
        let held = self.fixed_bytes
            + self.states.bytes()
            + self.usages.bytes()
            + self.paths.bytes()
            + self.waiting.bytes()
            + self.returned.bytes()
            + self.now.capacity() * size_of::<Config<K>>()
            + self.legal_reads.capacity() * size_of::<(u64, K)>();
        self.account.hold(held + more)
    }

    fn stuck(&self, blocked: u32) -> Stuck {
        let cheapest = self.now.iter().min_by_key(|c| self.usages.total(c.used));
        Stuck { blocked, prefix: cheapest.map_or_else(Vec::new, |c| self.paths.steps(c.path)) }
    }
}
