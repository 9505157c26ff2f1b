//! From a contradiction somewhere in a history to the few ops that make it.
//!
//! [`Claims::contradict`] says whether some ops contradict each other with everything else relaxed. It is monotone: more
//! needed ops, more constraints. So: take the ops that returned last before the search got stuck, twice as many each time,
//! until they contradict; reads alone if that is enough (they are the easiest to believe), else updates too. Then leave out
//! what can be left out, in halves and quarters first and one by one in the end: what is left is minimal.

use crate::budget::{Budget, Limit};
use crate::certify::{Claims, Effort, Unanswered};
use crate::linear::problem::{Entry, Problem};
use crate::model::Model;
use crate::verdict::Others;
use histories::OpId;

/// Steps that a hard question may take, per op of the key and besides.
const STEPS_PER_OP: u64 = 50;
const STEPS_AT_LEAST: u64 = 1_000_000;

/// What the questions about one kind of contradiction may take.
#[derive(Clone, Copy)]
struct Patience {
    /// This part of a hard question each.
    part: u64,
    /// So many in all.
    questions: u64,
}

/// At first; and where there is no large contradiction either.
const LITTLE: Patience = Patience { part: 8, questions: 16 };
const MUCH: Patience = Patience { part: 1, questions: 20 };

/// How many steps the question about all ops may take for each that the search took: it is the same search without what made that
/// one quick.
const WHOLE_STEPS: u64 = 16;

/// Contradictions of more ops than this are hard to follow: another kind is tried.
const EASY: usize = 10;

/// Ops that contradict each other.
pub(crate) struct Core {
    /// The ops.
    pub needed: Vec<OpId>,
    /// How often the others may take effect.
    pub others: Others,
    /// Whether leaving out any one of them leaves no contradiction.
    pub minimal: bool,
}

struct Questions<'c, 'a, 'b, M: Model> {
    claims: &'c Claims<'a, M>,
    others: Others,
    budget: &'b Budget,
    each: u64,
    left: u64,
}

impl<'c, 'a, 'b, M: Model> Questions<'c, 'a, 'b, M> {
    /// `ops` is the number of ops of the key: it bounds the steps.
    fn new(claims: &'c Claims<'a, M>, others: Others, ops: usize, patience: Patience, budget: &'b Budget) -> Self {
        let each = (STEPS_AT_LEAST + STEPS_PER_OP * ops as u64) / patience.part;
        Questions { claims, others, budget, each, left: each * patience.questions }
    }

    fn contradict(&mut self, needed: &[OpId]) -> Result<bool, Unanswered> {
        let steps = self.left.min(self.each);
        let mut effort = Effort::new(steps, self.budget);
        let answer = self.claims.contradict(needed, self.others, &mut effort);
        self.left -= steps - effort.left;
        answer
    }

    /// The claims without what cannot matter to these ops, if there is much of that, and the memory that they take.
    fn focused(&mut self, needed: &[OpId]) -> Option<(Claims<'a, M>, Effort<'b>)> {
        if self.others != Others::AnyNumber || needed.len() > self.claims.len() / 8 {
            return None;
        }
        let mut effort = Effort::new(self.left.min(self.each), self.budget);
        let focused = self.claims.focused(needed, &mut effort).ok()?;
        Some((focused, effort))
    }

    /// Asks the same questions about other claims.
    fn about<T>(&mut self, focused: &(Claims<'a, M>, Effort<'b>), ask: impl FnOnce(&mut Questions<'_, 'a, 'b, M>) -> T) -> T {
        let mut questions = Questions { claims: &focused.0, others: self.others, budget: self.budget, each: self.each, left: self.left };
        let answer = ask(&mut questions);
        self.left = questions.left;
        answer
    }

    /// Whether nothing more is worth asking.
    fn is_over(&self) -> bool {
        self.left == 0 || self.budget.stopped().is_some()
    }
}

/// Where to look for a contradiction.
pub(crate) struct Candidates {
    /// Pure ops, the last to return first.
    reads: Vec<OpId>,
    /// All ops, the last to return first; then those in flight, of which matters only that they happen at most once.
    all: Vec<OpId>,
    /// How many of `all` have returned.
    returned: usize,
}

impl Candidates {
    /// The ops that were invoked before the one that is blocked would return. Bytes: [`Candidates::bytes`].
    pub(crate) fn new<M: Model>(model: &M, problem: &Problem<M::Op>, blocked: u32) -> Candidates {
        let end = problem.entries[blocked as usize].ret;
        let is_pure = |entry: &Entry| model.is_pure(&problem.classes[entry.class as usize]);
        let mut returned: Vec<Entry> = problem.entries.iter().filter(|e| e.ret <= end).copied().collect();
        returned.sort_unstable_by_key(|e| std::cmp::Reverse(e.ret));
        let in_flight = problem.entries.iter().rev().filter(|e| e.call < end && e.ret > end && !is_pure(e));
        Candidates {
            reads: returned.iter().filter(|e| is_pure(e)).map(|e| e.id).collect(),
            all: returned.iter().chain(in_flight).map(|e| e.id).collect(),
            returned: returned.len(),
        }
    }

    /// What it takes to find them, among so many ops.
    pub(crate) fn bytes(ops: usize) -> usize {
        ops * (size_of::<Entry>() + 2 * size_of::<OpId>())
    }
}

/// Finds a contradiction: a minimal one with a share of the steps; else one of all ops that returned, which took a search so many
/// steps to find; else, with more steps, a minimal one again. `None` if none of these is found.
///
/// # Errors
/// The budget ended before any contradiction was found. If it ends later, what was found by then is the answer.
pub(crate) fn shrink<M: Model>(
    claims: &Claims<'_, M>,
    candidates: &Candidates,
    searched: u64,
    budget: &Budget,
) -> Result<Option<Core>, Limit> {
    if let Some(core) = small(claims, candidates, LITTLE, budget)? {
        return Ok(Some(core));
    }
    match whole(claims, candidates, searched, budget)? {
        Some(core) => Ok(Some(core)),
        None => small(claims, candidates, MUCH, budget),
    }
}

/// All ops that returned before the search got stuck contradict each other: what it found out, asked once more in the plainest way.
fn whole<M: Model>(claims: &Claims<'_, M>, candidates: &Candidates, searched: u64, budget: &Budget) -> Result<Option<Core>, Limit> {
    let needed = &candidates.all[..candidates.returned];
    let steps = STEPS_AT_LEAST + STEPS_PER_OP * candidates.all.len() as u64 + WHOLE_STEPS * searched;
    match claims.contradict(needed, Others::AtMostOnce, &mut Effort::new(steps, budget)) {
        Ok(true) => Ok(Some(Core { needed: needed.to_vec(), others: Others::AtMostOnce, minimal: needed.len() == 1 })),
        Ok(false) | Err(Unanswered::TooHard) => Ok(None),
        Err(Unanswered::Out(limit)) => Err(limit),
    }
}

/// A minimal contradiction, or one from which the steps did not suffice to leave out more.
fn small<M: Model>(claims: &Claims<'_, M>, candidates: &Candidates, patience: Patience, budget: &Budget) -> Result<Option<Core>, Limit> {
    let core = |others| {
        let mut questions = Questions::new(claims, others, candidates.all.len(), patience, budget);
        for list in [&candidates.reads, &candidates.all] {
            if let Some(found) = first_window(&mut questions, list)? {
                return Ok(Some(minimize(&mut questions, found)));
            }
        }
        Ok(None)
    };
    let mut found: Vec<Core> = Vec::new();
    for &others in claims.contradictions() {
        match core(others) {
            Err(limit) if found.is_empty() => return Err(limit),
            Err(_) | Ok(None) => {}
            Ok(Some(core)) if core.minimal && core.needed.len() <= EASY => return Ok(Some(core)),
            Ok(Some(core)) => found.push(core),
        }
    }
    Ok(found.into_iter().min_by_key(|core| core.needed.len()))
}

/// A minimal contradiction among these few ops, if they contradict each other. `ops` is the number of ops of the key: it
/// bounds the steps.
pub(crate) fn shrink_among<M: Model>(claims: &Claims<'_, M>, suspects: &[OpId], ops: usize, budget: &Budget) -> Option<Core> {
    // The first kind is the most convincing; of numbered changes there may also be more than were made.
    let kinds = if claims.is_numbered() { 2 } else { 1 };
    claims.contradictions().iter().take(kinds).find_map(|&others| shrink_of(claims, others, suspects, ops, budget))
}

/// The same for one kind of contradiction.
fn shrink_of<M: Model>(claims: &Claims<'_, M>, others: Others, suspects: &[OpId], ops: usize, budget: &Budget) -> Option<Core> {
    let mut questions = Questions::new(claims, others, ops, MUCH, budget);
    if let Some(focused) = questions.focused(suspects) {
        let core = questions.about(&focused, |questions| {
            (questions.contradict(suspects) == Ok(true)).then(|| minimize_among(questions, suspects.to_vec()))
        })?;
        // The last word is that of the whole.
        return (questions.contradict(&core.needed) == Ok(true)).then_some(core);
    }
    (questions.contradict(suspects) == Ok(true)).then(|| minimize_among(&mut questions, suspects.to_vec()))
}

/// The shortest beginning of the candidates, of length 1, 2, 4, ..., that contradicts itself.
fn first_window<M: Model>(questions: &mut Questions<'_, '_, '_, M>, candidates: &[OpId]) -> Result<Option<Vec<OpId>>, Limit> {
    let mut length = 1;
    loop {
        let window = &candidates[..length.min(candidates.len())];
        match questions.contradict(window) {
            Ok(true) => return Ok(Some(window.to_vec())),
            Err(Unanswered::Out(limit)) => return Err(limit),
            _ if length < candidates.len() && !questions.is_over() => length *= 2,
            _ => return Ok(None),
        }
    }
}

/// Leaves out what can be left out, looking only at what matters to these.
fn minimize<M: Model>(questions: &mut Questions<'_, '_, '_, M>, needed: Vec<OpId>) -> Core {
    if let Some(focused) = questions.focused(&needed) {
        let core = questions.about(&focused, |questions| minimize_among(questions, needed.clone()));
        if questions.contradict(&core.needed) == Ok(true) {
            return core;
        }
    }
    minimize_among(questions, needed)
}

/// Leaves out what can be left out. Where the steps or the budget end before that is known of each, the rest is not minimal.
fn minimize_among<M: Model>(questions: &mut Questions<'_, '_, '_, M>, mut needed: Vec<OpId>) -> Core {
    let mut minimal = true;
    let mut chunk = needed.len().div_ceil(2);
    loop {
        // From the end: the least promising first.
        let mut end = needed.len();
        let mut removed = false;
        while end > 0 {
            if questions.is_over() {
                return Core { needed, others: questions.others, minimal: false };
            }
            let start = end.saturating_sub(chunk);
            let rest: Vec<OpId> = [&needed[..start], &needed[end..]].concat();
            match questions.contradict(&rest) {
                Ok(true) => {
                    needed = rest;
                    removed = true;
                }
                Ok(false) => {}
                Err(_) => minimal &= chunk > 1,
            }
            end = start;
        }
        if chunk > 1 {
            chunk = chunk.div_ceil(2);
        } else if !removed || !minimal {
            return Core { needed, others: questions.others, minimal };
        }
    }
}
