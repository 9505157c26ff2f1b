//! Linearizability of one object (Herlihy and Wing 1990): reading the ops out of the history, and the procedures that decide.

mod configs;
mod mask;
mod path;
pub(crate) mod problem;
pub(crate) mod search;
mod states;
#[cfg(test)]
mod tests;
mod unseen;
mod usage;
mod witness;
mod zones;

use crate::budget::Budget;
use crate::model::Model;
use crate::verdict::Reason;
use histories::OpId;
use mask::{Mask, Wide};
use problem::{Event, Problem};
use search::{Found, Limit, Progress, Search, Surveyed, Unknowns};
use zones::Zones;

/// What the procedures found out about one object.
#[derive(Debug)]
pub(crate) struct Decision {
    /// The answer, not yet certified.
    pub found: Answer,
    /// The procedure that gave it.
    pub algorithm: &'static str,
    /// Configurations visited.
    pub steps: u64,
}

/// An answer that nobody has checked yet.
#[derive(Debug)]
pub(crate) enum Answer {
    /// An order of all ops.
    Order(Vec<OpId>),
    /// There is none.
    Stuck(Stuck),
    /// The budget ended.
    Unknown(Reason),
}

/// Steps that a search for the longest prefix may take once it is known that there is no order.
const PREFIX_STEPS: u64 = 1 << 20;

/// Where no order goes on.
#[derive(Debug)]
pub(crate) struct Stuck {
    /// The entry that cannot return.
    pub blocked: u32,
    /// Entries that may be the reason; may be empty.
    pub suspects: Vec<u32>,
    /// An order of the ops that returned before it; empty if none was easily found.
    pub prefix: Vec<OpId>,
}

/// Steps that may be spent on finding out which states were possible.
const SURVEY_STEPS: u64 = 1 << 19;

/// Decides whether the ops of one object can be ordered.
pub(crate) fn decide<M: Model>(model: &M, problem: &Problem<M::Op>, budget: &Budget) -> Decision {
    let events = problem.events();
    match zones::decide(model, problem, &events) {
        Zones::Order(order) => return Decision { found: Answer::Order(order), algorithm: "zones", steps: 0 },
        Zones::Stuck { blocked: found, mut suspects } => {
            let (blocked, prefix) = prefix(model, problem, found, budget);
            if blocked != found {
                suspects.clear(); // They are about something later.
            }
            return Decision { found: Answer::Stuck(Stuck { blocked, suspects, prefix }), algorithm: "zones", steps: 0 };
        }
        Zones::Open => {}
    }
    search(model, problem, &events, budget, budget.steps.unwrap_or(u64::MAX))
}

/// The first op that cannot return, and an order of those before it; empty if that is not easily found. Where the zones leave
/// ops out of their account, another op may be blocked before the one that they found: the ops up to there are asked again.
fn prefix<M: Model>(model: &M, problem: &Problem<M::Op>, mut blocked: u32, budget: &Budget) -> (u32, Vec<OpId>) {
    loop {
        let cut = problem.before(problem.entries[blocked as usize].ret, |op| model.is_pure(op));
        let events = cut.events();
        let place = |entry: u32| problem.place(cut.entries[entry as usize].id);
        match zones::decide(model, &cut, &events) {
            Zones::Order(order) => return (blocked, order),
            Zones::Stuck { blocked: earlier, .. } => blocked = place(earlier),
            Zones::Open => {
                return match search(model, &cut, &events, budget, PREFIX_STEPS).found {
                    Answer::Order(order) => (blocked, order),
                    Answer::Stuck(Stuck { blocked: earlier, prefix, .. }) => (place(earlier), prefix),
                    Answer::Unknown(_) => (blocked, Vec::new()),
                };
            }
        }
    }
}

/// The states that were possible after each of the events in `watched` before the entry `blocked` returned, at most `most` each.
/// Empty if that is not easily found.
pub(crate) fn survey<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    blocked: u32,
    watched: &[u32],
    most: usize,
    budget: &Budget,
) -> Vec<Surveyed<M::State>> {
    let cut = problem.before(problem.entries[blocked as usize].ret, |op| model.is_pure(op));
    let events = cut.events();
    match cut.width() {
        0..=64 => Search::<M, u64>::new(model, &cut, Unknowns::Exact, budget, SURVEY_STEPS).survey(&events, watched, most),
        65..=128 => Search::<M, u128>::new(model, &cut, Unknowns::Exact, budget, SURVEY_STEPS).survey(&events, watched, most),
        _ => Vec::new(),
    }
}

fn search<M: Model>(model: &M, problem: &Problem<M::Op>, events: &[(u32, Event)], budget: &Budget, limit: u64) -> Decision {
    match problem.width() {
        0..=64 => decide_with::<M, u64>(model, problem, events, budget, limit),
        65..=128 => decide_with::<M, u128>(model, problem, events, budget, limit),
        129..=512 => decide_with::<M, Wide<8>>(model, problem, events, budget, limit),
        513..=4096 => decide_with::<M, Wide<64>>(model, problem, events, budget, limit),
        width => {
            let why = format!("{width} operations of known outcome are in flight at once; at most 4096 are supported");
            Decision { found: Answer::Unknown(Reason::History(why)), algorithm: "search", steps: 0 }
        }
    }
}

/// Without ops of unknown outcome there is one search. With them, two cheap answers come first: ops of unknown outcome that
/// may happen any number of times (if that explains nothing, nothing does), and few configurations (an order is an order).
fn decide_with<M: Model, K: Mask>(model: &M, problem: &Problem<M::Op>, events: &[(u32, Event)], budget: &Budget, limit: u64) -> Decision {
    let mut steps = 0;
    let unseen = unseen::unseen(model, problem);
    let mut search = |unknowns, limit: u64| {
        let (found, made) = Search::<M, K>::new(model, problem, unknowns, budget, limit).leave_out(&unseen).run(events);
        steps += made;
        found
    };
    let plans: &[(Unknowns, &'static str, u64)] = if problem.entries.iter().any(|e| e.is_crashed()) {
        const QUICK: u64 = 1 << 16;
        &[
            (Unknowns::Exact, "search", QUICK),
            (Unknowns::Few(2), "search, few configurations", u64::MAX),
            (Unknowns::Unlimited, "search, unlimited unknowns", u64::MAX),
            (Unknowns::Exact, "search", u64::MAX),
        ]
    } else {
        &[(Unknowns::Exact, "search", u64::MAX)]
    };
    let mut out = (Limit::Steps, Progress { ops_ordered: 0, states: 0 });
    for &(unknowns, algorithm, most) in plans {
        let found = match (search(unknowns, most.min(limit)), unknowns) {
            (Found::Order(_), Unknowns::Unlimited) | (Found::Nothing(_), Unknowns::Few(_)) => continue,
            (Found::Out(why, progress), _) => {
                out = (why, progress);
                if matches!(why, Limit::Stopped(_)) {
                    break;
                }
                continue;
            }
            (Found::Order(updates), _) => witness::complete(model, problem, &updates, u32::MAX).map(Answer::Order),
            (Found::Nothing(stuck), _) => {
                let until = problem.entries[stuck.blocked as usize].ret - 1;
                let prefix = witness::complete(model, problem, &stuck.prefix, until).unwrap_or_default();
                Some(Answer::Stuck(Stuck { blocked: stuck.blocked, suspects: Vec::new(), prefix }))
            }
        };
        let found = found.unwrap_or_else(|| Answer::Unknown(Reason::Uncertified("the search lost its own order".into())));
        return Decision { found, algorithm, steps };
    }
    Decision { found: Answer::Unknown(reason(out.0, out.1)), algorithm: "search", steps }
}

fn reason(limit: Limit, Progress { ops_ordered, states }: Progress) -> Reason {
    match limit {
        Limit::Steps => Reason::Steps { ops_ordered, states },
        Limit::Memory => Reason::Memory { ops_ordered, states },
        Limit::Stopped(crate::budget::Stop::Deadline) => Reason::Time { ops_ordered, states },
        Limit::Stopped(crate::budget::Stop::Interrupt) => Reason::Interrupted,
    }
}
