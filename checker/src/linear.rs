//! Linearizability of one object (Herlihy and Wing 1990): reading the ops out of the history, and the procedures that decide.

mod configs;
mod mask;
mod path;
pub(crate) mod problem;
mod search;
mod states;
mod usage;
mod witness;

use crate::budget::Budget;
use crate::model::Model;
use crate::verdict::Reason;
use histories::OpId;
use mask::{Mask, Wide};
use problem::{Event, Problem};
use search::{Found, Limit, Progress, Search, Unknowns};

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
    Stuck {
        /// The entry that cannot return.
        blocked: u32,
        /// An order of the ops that returned before it.
        prefix: Vec<OpId>,
    },
    /// The budget ended.
    Unknown(Reason),
}

/// Decides whether the ops of one object can be ordered.
pub(crate) fn decide<M: Model>(model: &M, problem: &Problem<M::Op>, budget: &Budget) -> Decision {
    let events = problem.events();
    match problem.width() {
        0..=64 => decide_with::<M, u64>(model, problem, &events, budget),
        65..=128 => decide_with::<M, u128>(model, problem, &events, budget),
        129..=512 => decide_with::<M, Wide<8>>(model, problem, &events, budget),
        513..=4096 => decide_with::<M, Wide<64>>(model, problem, &events, budget),
        width => {
            let why = format!("{width} operations of known outcome are in flight at once; at most 4096 are supported");
            Decision { found: Answer::Unknown(Reason::History(why)), algorithm: "search", steps: 0 }
        }
    }
}

/// Without ops of unknown outcome there is one search. With them, two cheap answers come first: ops of unknown outcome that
/// may happen any number of times (if that explains nothing, nothing does), and few configurations (an order is an order).
fn decide_with<M: Model, K: Mask>(model: &M, problem: &Problem<M::Op>, events: &[(u32, Event)], budget: &Budget) -> Decision {
    let limit = budget.steps.unwrap_or(u64::MAX);
    let mut steps = 0;
    let mut search = |unknowns, limit: u64| {
        let (found, made) = Search::<M, K>::new(model, problem, unknowns, budget, limit).run(events);
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
                Some(Answer::Stuck { blocked: stuck.blocked, prefix })
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
