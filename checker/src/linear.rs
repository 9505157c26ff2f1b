//! Linearizability of one object (Herlihy and Wing 1990): reading the ops out of the history, and the procedures that decide.
//!
//! Each rule that makes the search fast has a switch ([`crate::switches`]) and its reason in the module that it lives in.
//!
//! # What was thought of and is not done
//! * **Overwrites are absorbed in the exact search.** The search with hidden overwrites does it, which keeps few configurations and
//!   so finds orders only. Exactly, a hidden overwrite that returns would have to go on both as hidden and as one that took effect
//!   anywhere before, and each of them doubles the configurations that it was to save.
//! * **Depth first, in competition.** It would find orders of wide histories without enumerating; so do the hidden overwrites,
//!   which decide 20 to 100 clients in fractions of a second.
//! * **In parallel inside a key, from one moment without an op in flight to the next.** Where nine clients of ten have an op in
//!   flight, n clients leave such a moment with chance 10⁻ⁿ: some twenty among a million ops of five clients, none of ten.
//! * **States with a value that nobody looks at any more are merged.** Where there are few values, somebody always looks; where
//!   each is written once, the zones decide. `certify` does it, for its few ops look at few values.

mod configs;
mod mask;
mod path;
pub(crate) mod problem;
pub(crate) mod search;
mod states;
#[cfg(test)]
mod tests;
mod undecided;
mod unique;
mod unseen;
mod usage;
mod witness;
mod zones;

use crate::budget::{Account, Budget, Limit};
use crate::model::{Model, Sees, Tally};
use crate::options::Algorithm;
use crate::switches::{Rule, Rules};
use crate::verdict::{Others, Reason, Undecided};
use histories::OpId;
use mask::{Mask, Wide};
use path::Step;
use problem::{Event, Problem};
use search::{Found, Most, Progress, Search, Surveyed, Unknowns};
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
    /// The part in which a search ended early.
    pub undecided: Option<Undecided>,
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

/// Where no order goes on.
#[derive(Debug)]
pub(crate) struct Stuck {
    /// The entry that cannot return.
    pub blocked: u32,
    /// Entries that may be the reason; may be empty.
    pub suspects: Vec<u32>,
    /// An order of the ops that returned before it, if the procedure has one at hand: see [`prefix`].
    pub prefix: Option<Vec<OpId>>,
}

/// Steps that may be spent on finding the longest prefix once it is known that there is no order, which is shown already; and how often
/// the zones are asked about a shorter one.
const PREFIX_STEPS: u64 = 1 << 15;
const PREFIX_ROUNDS: usize = 8;

/// Steps that may be spent on finding out which states were possible.
const SURVEY_STEPS: u64 = 1 << 19;

/// Decides whether the ops of one object can be ordered. The algorithm is one that [fits](procedures), the search with so many steps
/// at most, or all of these in turn.
pub(crate) fn decide<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    algorithm: Algorithm,
    rules: Rules,
    budget: &Budget,
    steps: u64,
) -> Decision {
    let mut account = Account::new(budget);
    let unknown = |reason: Reason, by: Algorithm| {
        let undecided = if matches!(reason, Reason::History(_)) { None } else { undecided::all(problem) };
        Decision { found: Answer::Unknown(reason), algorithm: by.name(), steps: 0, undecided }
    };
    let fitting = if rules.has(Rule::UniqueValues) { procedures(model) } else { &[] };
    let tried = fitting.iter().filter(|&&procedure| algorithm == Algorithm::Auto || algorithm == procedure);
    if let Err(limit) = account.hold(problem.bytes()) {
        return unknown(limit.reason(0, 0), tried.copied().next_back().unwrap_or(Algorithm::Search));
    }
    let events = problem.events();
    for &procedure in tried {
        // Its memory is free again before the next begins.
        let found = match quickly(model, problem, &events, procedure, budget) {
            Ok(Zones::Order(order)) => Answer::Order(order),
            Ok(Zones::Stuck { blocked, suspects, prefix }) => {
                let too_long = model.collection().is_some() && problem.entries.len() > OPS_WITH_PREFIX;
                Answer::Stuck(Stuck { blocked, suspects, prefix: prefix.or_else(|| too_long.then(Vec::new)) })
            }
            Ok(Zones::Open) => continue,
            Err(limit) => return unknown(limit.reason(0, 0), procedure),
        };
        return Decision { found, algorithm: procedure.name(), steps: 0, undecided: None };
    }
    if matches!(algorithm, Algorithm::Auto | Algorithm::Search) {
        return search(model, problem, &events, rules, budget, Most::steps(steps));
    }
    let why = format!("the algorithm asked for, {}, does not cover all of these operations; auto tries the search too", algorithm.name());
    unknown(Reason::History(why), algorithm)
}

/// The procedures besides the search that fit a model, in the order in which they are tried.
pub(crate) fn procedures<M: Model>(model: &M) -> &'static [Algorithm] {
    match (model.collection(), model.tally()) {
        (Some(collection), _) => unique::of_collection(collection),
        (None, Some(tally)) => unique::of_tally(tally),
        (None, None) => &[Algorithm::Zones],
    }
}

/// In a longer history of a collection, whose states are large, the longest prefix is not looked for.
const OPS_WITH_PREFIX: usize = 5000;

/// Decides without a search.
fn quickly<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    events: &[(u32, Event)],
    procedure: Algorithm,
    budget: &Budget,
) -> Result<Zones, Limit> {
    let mut account = Account::new(budget);
    match procedure {
        Algorithm::Zones => zones::decide(model, problem, events, &mut account),
        procedure => unique::decide(model, problem, events, procedure, &mut account),
    }
}

/// The first answer of a procedure that fits.
fn any_quickly<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    events: &[(u32, Event)],
    rules: Rules,
    budget: &Budget,
) -> Result<Zones, Limit> {
    if !rules.has(Rule::UniqueValues) {
        return Ok(Zones::Open);
    }
    for &procedure in procedures(model) {
        match quickly(model, problem, events, procedure, budget)? {
            Zones::Open => {}
            found => return Ok(found),
        }
    }
    Ok(Zones::Open)
}

/// The first op that cannot return, and an order of those before it; empty if that is not easily found. Where the zones leave
/// ops out of their account, another op may be blocked before the one that they found: the ops up to there are asked again.
///
/// # Errors
/// The budget ended.
pub(crate) fn prefix<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    mut blocked: u32,
    rules: Rules,
    budget: &Budget,
) -> Result<(u32, Vec<OpId>), Limit> {
    for _ in 0..PREFIX_ROUNDS {
        let mut account = Account::new(budget);
        account.hold(problem.bytes())?;
        let cut = problem.before(problem.entries[blocked as usize].ret, |op| model.is_pure(op));
        let events = cut.events();
        let place = |entry: u32| problem.place(cut.entries[entry as usize].id);
        match any_quickly(model, &cut, &events, rules, budget)? {
            Zones::Order(order) => return Ok((blocked, order)),
            Zones::Stuck { blocked: earlier, prefix: Some(prefix), .. } => return Ok((place(earlier), prefix)),
            Zones::Stuck { blocked: earlier, .. } => blocked = place(earlier),
            Zones::Open => match search(model, &cut, &events, rules, budget, Most::easy_steps(PREFIX_STEPS)).found {
                Answer::Order(order) => return Ok((blocked, order)),
                Answer::Stuck(Stuck { blocked: earlier, prefix: Some(prefix), .. }) => return Ok((place(earlier), prefix)),
                Answer::Stuck(Stuck { blocked: earlier, prefix: None, .. }) => blocked = place(earlier),
                Answer::Unknown(_) => return budget.stopped().map_or(Ok((blocked, Vec::new())), |why| Err(Limit::Stopped(why))),
            },
        }
    }
    Ok((blocked, Vec::new()))
}

/// The states that were possible after each of the events in `watched` before the entry `blocked` returned, at most `most` each.
///
/// # Errors
/// The budget ended, or this is not easily found.
pub(crate) fn survey<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    blocked: u32,
    watched: &[u32],
    most: usize,
    budget: &Budget,
) -> Result<Vec<Surveyed<M::State>>, Limit> {
    let mut account = Account::new(budget);
    account.work(0)?;
    account.hold(problem.bytes())?;
    let cut = problem.before(problem.entries[blocked as usize].ret, |op| model.is_pure(op));
    let updates = cut.entries.iter().filter(|e| !model.is_pure(&cut.classes[e.class as usize])).count();
    if updates as u64 > SURVEY_STEPS / 2 {
        return Err(Limit::Steps); // Not to be found with so few steps.
    }
    let events = cut.events();
    // With revisions each subset of what nobody saw leads to states of its own, which say nothing.
    let is_numbered = model.tally() == Some(Tally::Revisions { told: true });
    let unseen = if is_numbered { unseen::unseen(model, &cut, &mut account)? } else { vec![false; cut.classes.len()] };
    let limit = Most::easy_steps(SURVEY_STEPS);
    Ok(match cut.width(&events) {
        0..=64 => surveyed::<M, u64>(model, &cut, &unseen, budget, limit)?.survey(&events, watched, most),
        65..=128 => surveyed::<M, u128>(model, &cut, &unseen, budget, limit)?.survey(&events, watched, most),
        _ => return Err(Limit::Steps),
    })
}

fn surveyed<'a, M: Model, K: Mask>(
    model: &'a M,
    problem: &'a Problem<M::Op>,
    unseen: &[bool],
    budget: &'a Budget,
    limit: Most,
) -> Result<Search<'a, M, K>, Limit> {
    Ok(Search::new(model, problem, Unknowns::Exact, Rules::default(), budget, limit)?.leave_out(unseen))
}

fn search<M: Model>(model: &M, problem: &Problem<M::Op>, events: &[(u32, Event)], rules: Rules, budget: &Budget, most: Most) -> Decision {
    match problem.width(events) {
        0..=64 => decide_with::<M, u64>(model, problem, events, rules, budget, most),
        65..=128 => decide_with::<M, u128>(model, problem, events, rules, budget, most),
        129..=512 => decide_with::<M, Wide<8>>(model, problem, events, rules, budget, most),
        513..=4096 => decide_with::<M, Wide<64>>(model, problem, events, rules, budget, most),
        width => {
            let why = format!("{width} operations of known outcome are in flight at once; at most 4096 are supported");
            Decision { found: Answer::Unknown(Reason::History(why)), algorithm: "search", steps: 0, undecided: None }
        }
    }
}

/// Searches in the order in which they are tried, their names, and the steps of each: what is easy is decided exactly. Then
/// cheap answers come first: few configurations (an order is an order); and, where there are ops of unknown outcome, that they
/// may happen any number of times (if that explains nothing, nothing does).
const PLANS: [(Unknowns, &str, u64); 5] = [
    (Unknowns::Exact, "search", 1 << 16),
    (Unknowns::Lazy(256), "search, hidden overwrites", u64::MAX),
    (Unknowns::Few(2), "search, few configurations", u64::MAX),
    (Unknowns::Unlimited, "search, unlimited unknowns", u64::MAX),
    (Unknowns::Exact, "search", u64::MAX),
];

/// Tries the searches until one has an answer.
fn decide_with<M: Model, K: Mask>(
    model: &M,
    problem: &Problem<M::Op>,
    events: &[(u32, Event)],
    rules: Rules,
    budget: &Budget,
    most: Most,
) -> Decision {
    let mut steps = 0;
    let mut account = Account::new(budget);
    let unseen = match rules.has(Rule::Unseen).then(|| unseen::unseen(model, problem, &mut account)) {
        Some(Ok(unseen)) => unseen,
        None => vec![false; problem.classes.len()],
        Some(Err(limit)) => {
            let undecided = undecided::all(problem);
            return Decision { found: Answer::Unknown(limit.reason(0, 0)), algorithm: "search", steps, undecided };
        }
    };
    let mut search = |unknowns, most: Most| match Search::<M, K>::new(model, problem, unknowns, rules, budget, most) {
        Ok(search) => {
            let (found, made) = search.leave_out(&unseen).run(events);
            steps += made;
            found
        }
        Err(limit) => Found::Out(limit, Progress { ops_ordered: 0, states: 0 }),
    };
    let with_unknowns = problem.entries.iter().any(|e| e.is_crashed());
    // Where ops that happen without end lead to states without end, they must not: a search would not end.
    let grows = |class: u32| matches!(model.sees(&problem.classes[class as usize]), Sees::Total);
    let finite = model.contradictions().contains(&Others::AnyNumber) && !problem.entries.iter().any(|e| e.is_crashed() && grows(e.class));
    let plans = PLANS.iter().filter(|plan| match plan.0 {
        Unknowns::Exact => plan.2 == u64::MAX || rules.has(Rule::EasyFirst),
        Unknowns::Lazy(_) => rules.has(Rule::HiddenOverwrites),
        Unknowns::Few(_) => with_unknowns && rules.has(Rule::FewConfigurations),
        Unknowns::Unlimited => with_unknowns && finite && rules.has(Rule::UnlimitedUnknowns),
    });
    let mut out = (Limit::Steps, Progress { ops_ordered: 0, states: 0 });
    for &(unknowns, algorithm, quick) in plans {
        let found = match (search(unknowns, Most { steps: quick.min(most.steps), ..most }), unknowns) {
            (Found::Order(_), Unknowns::Unlimited) | (Found::Nothing(_), Unknowns::Few(_) | Unknowns::Lazy(_)) => continue,
            (Found::Out(why, progress), _) => {
                // One that lets ops of unknown outcome happen over and over has no order of what it passed.
                let is_further = unknowns != Unknowns::Unlimited && progress.ops_ordered >= out.1.ops_ordered;
                out = (why, if is_further { progress } else { out.1 });
                if matches!(why, Limit::Stopped(_)) {
                    break;
                }
                continue;
            }
            (Found::Order(mut updates), _) => {
                // Reads among them were branched on; they are put into the order like all others.
                updates.retain(|step| !model.is_pure(&problem.classes[problem.entries[step.op as usize].class as usize]));
                order(model, problem, &updates, &mut account)
            }
            // Others may be blocked earlier, and what came before it is no order.
            (Found::Nothing(stuck), Unknowns::Unlimited) => {
                Answer::Stuck(Stuck { blocked: stuck.blocked, suspects: Vec::new(), prefix: None })
            }
            (Found::Nothing(mut stuck), _) => {
                stuck.prefix.retain(|step| !model.is_pure(&problem.classes[problem.entries[step.op as usize].class as usize]));
                let until = problem.entries[stuck.blocked as usize].ret - 1;
                let prefix = witness::complete(model, problem, &stuck.prefix, until, &mut account);
                let prefix = Some(prefix.ok().flatten().unwrap_or_default());
                Answer::Stuck(Stuck { blocked: stuck.blocked, suspects: Vec::new(), prefix })
            }
        };
        return Decision { found, algorithm, steps, undecided: None };
    }
    let (limit, Progress { ops_ordered, states }) = out;
    let undecided = undecided::after(problem, events, ops_ordered);
    Decision { found: Answer::Unknown(limit.reason(ops_ordered, states)), algorithm: "search", steps, undecided }
}

fn order<M: Model>(model: &M, problem: &Problem<M::Op>, updates: &[Step], account: &mut Account<'_>) -> Answer {
    match witness::complete(model, problem, updates, u32::MAX, account) {
        Ok(Some(order)) => Answer::Order(order),
        Ok(None) => Answer::Unknown(Reason::Uncertified("the search lost its own order".into())),
        Err(limit) => Answer::Unknown(limit.reason(problem.entries.len(), 1)),
    }
}
