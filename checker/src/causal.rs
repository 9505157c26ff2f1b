//! Models weaker than linearizable: the way from a history to a verdict.
//!
//! Unlike linearizability these are not local: what holds for each key alone need not hold for all together (Herlihy and
//! Wing 1990, section 3.3), so a history is never split by key.
//!
//! A fast procedure finds either a proof or a few guilty ops (`patterns`, `views`, `session`). Of these the ones that are not
//! needed are left out, and what must come before what is said edge by edge (`minimize`). `certify::causal` checks both answers again.

pub(crate) mod decode;
pub(crate) mod execution;
mod explain;
pub(crate) mod graph;
mod minimize;
pub(crate) mod patterns;
mod search;
mod session;
mod views;

use crate::Consistency;
use crate::budget::{Account, Budget, Limit};
pub(crate) use crate::certify::causal::Claims;
use crate::certify::order::Refused;
use crate::check::{located, notes_on_keys};
use crate::options::{Algorithm, Options};
use crate::verdict::{Answer, KeyVerdict, Reason, SessionView, Summary, Verdict, Witness};
use decode::{OF_CELLS, Rules};
use execution::Execution;
use histories::keyed::Keys;
use histories::{History, OpId, Value};
use patterns::Causal;
use rayon::prelude::*;
use views::Keeps;

/// What was found out about an execution.
enum Decision {
    /// The order, or the views by session.
    Valid(Vec<u32>, Vec<(u32, Vec<u32>)>),
    /// Ops that show that there is none.
    Invalid(Vec<u32>),
    Unknown(Reason),
}

/// Up to how many ops the plain closure of all edges is tried where no faster procedure is exact.
const FEW: usize = 128;
/// Up to how many guilty ops are sifted.
const SUSPECTS_MAX: usize = 2_000;

/// See [`crate::check()`].
pub(crate) fn check(history: &History, consistency: Consistency, options: &Options, budget: &Budget) -> Result<Verdict, String> {
    if options.algorithm != Algorithm::Auto {
        return Err(format!("there is one algorithm for {}: leave the choice to auto", consistency.name()));
    }
    // Of results with revisions the values are judged.
    if !OF_CELLS.contains(&&*options.model) && options.model != "etcd-kv" {
        // Whatever the ops do: of reads alone of another object nothing can be said either.
        return Err(format!(
            "{} is judged of register, cas-register, kv, etcd-kv and multi-register, not of {}",
            consistency.name(),
            options.model
        ));
    }
    if options.model == "multi-register" && matches!(options.initial, Some(Value::Map(_))) {
        return Err(format!("for {} every key begins with the same value; --initial cannot be a map", consistency.name()));
    }
    let keys = Keys::split(history, options.keyed);
    let rules = Rules::new(history, options, &keys);
    let mut verdict = Verdict {
        consistency: consistency.name(),
        model: if options.model.is_empty() { "register".into() } else { options.model.clone() },
        keyed: keys.is_keyed(),
        answer: Summary::Unknown,
        reason: histories::lint::refusal(history).map(Reason::History),
        keys: Vec::new(),
        notes: notes_on_keys(history, &keys),
    };
    verdict.notes.extend(rules.notes(options));
    if verdict.reason.is_some() {
        return Ok(verdict);
    }
    let mut account = Account::new(budget);
    let answer = match account.hold(history.ops().len() * (Execution::BYTES_PER_OP + Claims::BYTES_PER_OP)) {
        Ok(()) => {
            let execution = Execution::new(history, &rules).map_err(|(op, why)| located(history, op, &why))?;
            answer(history, &rules, &execution, consistency, budget)
        }
        Err(limit) => Answer::Unknown(limit.reason(0, 0)),
    };
    verdict.keys =
        vec![KeyVerdict { key: None, ops: history.ops().len(), answer, algorithm: algorithm(consistency), steps: 0, undecided: None }];
    verdict.answer = Verdict::compose(None, &verdict.keys);
    Ok(verdict)
}

fn algorithm(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Causal | Consistency::CausalConvergence => "bad-patterns",
        _ => "views",
    }
}

fn answer(history: &History, rules: &Rules<'_>, execution: &Execution, consistency: Consistency, budget: &Budget) -> Answer {
    let claims = || Claims::new(history, rules);
    if let Some(answer) = impossible(history, rules, execution) {
        return answer;
    }
    match decide(execution, consistency, budget) {
        Decision::Unknown(reason) => Answer::Unknown(reason),
        Decision::Invalid(suspects) => refuted(history, &claims(), execution, &suspects, consistency, budget),
        Decision::Valid(..) if !execution.doubts.is_empty() => Answer::Unknown(Reason::History(execution.doubts.join("; "))),
        Decision::Valid(order, views) => {
            let ops = |nodes: Vec<u32>| nodes.into_iter().map(|node| execution.ops[node as usize]).collect::<Vec<OpId>>();
            let first = |session: u32| execution.nodes(session as usize).next().map(|node| execution.ops[node as usize]);
            let views = views.into_iter().map(|(session, order)| SessionView { first: first(session), order: ops(order) }).collect();
            let witness = Witness { order: ops(order), views };
            let certified = match consistency {
                Consistency::Causal => claims().one_order(&witness.order, false),
                Consistency::CausalConvergence => claims().one_order(&witness.order, true),
                _ => claims().views(&witness.views, consistency),
            };
            certified.map_or_else(uncertified, |()| Answer::Valid(witness))
        }
    }
}

/// The answer, if the history holds an op that no order explains.
pub(crate) fn impossible(history: &History, rules: &Rules<'_>, execution: &Execution) -> Option<Answer> {
    let impossible = execution.impossible?;
    Some(match Claims::new(history, rules).is_impossible(impossible.reader()) {
        Ok(true) => Answer::Invalid(Box::new(explain::impossible(history, &impossible))),
        Ok(false) => uncertified("an op that was taken for impossible is not".into()),
        Err(why) => uncertified(why),
    })
}

fn uncertified(why: String) -> Answer {
    Answer::Unknown(Reason::Uncertified(why))
}

/// The contradiction among the suspects, without those that are not needed, and certified.
pub(crate) fn refuted(
    history: &History,
    claims: &Claims<'_>,
    execution: &Execution,
    suspects: &[u32],
    consistency: Consistency,
    budget: &Budget,
) -> Answer {
    let mut suspects = suspects.to_vec();
    suspects.sort_unstable();
    suspects.dedup();
    if suspects.len() > SUSPECTS_MAX {
        return uncertified(format!("the contradiction takes {} operations", suspects.len()));
    }
    let mut account = Account::new(budget);
    let (nodes, found) = match minimize::shrink(execution, &suspects, consistency, &mut account) {
        Ok(Some(found)) => found,
        Ok(None) => return uncertified("the operations that contradict each other do not do so alone".into()),
        Err(limit) => return Answer::Unknown(limit.reason(0, 0)),
    };
    let mut counterexample = explain::contradiction(history, execution, &nodes, &found);
    match claims.contradict(&counterexample.needed, &counterexample.cycle, consistency, &mut account) {
        Ok(true) => {}
        Ok(false) => return uncertified("the operations can be ordered".into()),
        Err(Refused::Wrong(why)) => return uncertified(why),
        Err(Refused::Out(limit)) => return Answer::Unknown(limit.reason(0, 0)),
    }
    // A contradiction stands, whether or not there is time to see that none of it can be left out.
    counterexample.minimal = claims.is_minimal(&counterexample.needed, consistency, &mut account) == Ok(true);
    Answer::Invalid(Box::new(counterexample))
}

fn decide(execution: &Execution, consistency: Consistency, budget: &Budget) -> Decision {
    let found = match consistency {
        Consistency::Causal | Consistency::CausalConvergence | Consistency::CausalMemory => causality(execution, consistency, budget),
        Consistency::Pram => views(execution, Keeps::Sessions, budget),
        Consistency::MonotonicReads => match views(execution, Keeps::EarlierReads, budget) {
            Err(Decision::Invalid(suspects)) if !is_exact(execution) => by_closure(execution, &suspects, consistency, budget),
            other => other,
        },
        _ => session_guarantee(execution, consistency, budget),
    };
    found.unwrap_or_else(|decision| decision)
}

/// Whether no op both reads and writes.
fn is_exact(execution: &Execution) -> bool {
    (0..execution.len() as u32).all(|node| execution.reads(node).is_empty() || execution.writes(node).is_empty())
}

impl From<Limit> for Decision {
    fn from(limit: Limit) -> Decision {
        Decision::Unknown(limit.reason(0, 0))
    }
}

fn causality(execution: &Execution, consistency: Consistency, budget: &Budget) -> Result<Decision, Decision> {
    let mut account = Account::new(budget);
    account.hold(Causal::bytes(execution) as usize)?;
    causality_within(execution, consistency, budget)
}

fn causality_within(execution: &Execution, consistency: Consistency, budget: &Budget) -> Result<Decision, Decision> {
    let causal = Causal::new(execution).map_err(Decision::Invalid)?;
    if let Some((write, read)) = causal.wrong_read() {
        let mut suspects = causal.path(write, read);
        suspects.extend(execution.sources(read).filter(|&source| causal.reaches(source, write)).flat_map(|s| causal.path(s, write)));
        return Err(Decision::Invalid(suspects));
    }
    Account::new(budget).work(0)?;
    if consistency == Consistency::CausalMemory {
        return views(execution, Keeps::Causality, budget);
    }
    if consistency == Consistency::Causal && execution.is_plain() {
        return Ok(Decision::Valid(causal.order, Vec::new()));
    }
    match (causal.arbitration(&causal.conflicts()), consistency) {
        (Ok(order), _) => Ok(Decision::Valid(order, Vec::new())),
        (Err(suspects), Consistency::CausalConvergence) => Err(Decision::Invalid(suspects)),
        (Err(_), _) => match causal.several_reads() {
            Some(suspects) => Err(Decision::Invalid(suspects)),
            None => Ok(Decision::Valid(causal.order, Vec::new())),
        },
    }
}

fn sessions_that_read(execution: &Execution) -> Vec<u32> {
    let reads = |session: &u32| execution.nodes(*session as usize).any(|node| !execution.reads(node).is_empty());
    (0..execution.sessions() as u32).filter(reads).collect()
}

/// One view for each session that reads.
fn each_view(
    execution: &Execution,
    budget: &Budget,
    view: impl Fn(u32) -> Result<Vec<u32>, Decision> + Sync,
) -> Result<Decision, Decision> {
    let sessions = sessions_that_read(execution);
    let mut account = Account::new(budget);
    account.hold(sessions.len() * execution.len() * 4)?;
    let found: Vec<Result<(u32, Vec<u32>), Decision>> = sessions
        .par_iter()
        .map(|&session| {
            let mut account = Account::new(budget);
            account.work(0)?;
            account.hold(execution.len() * views::BYTES_PER_OP)?;
            view(session).map(|order| (session, order))
        })
        .collect();
    // An invalid one counts, whatever ended the others.
    let mut views = Vec::new();
    let mut ended = None;
    for result in found {
        match result {
            Ok(view) => views.push(view),
            Err(Decision::Invalid(suspects)) => return Err(Decision::Invalid(suspects)),
            Err(other) => ended = ended.or(Some(other)),
        }
    }
    ended.map_or(Ok(Decision::Valid(Vec::new(), views)), Err)
}

fn views(execution: &Execution, keeps: Keeps, budget: &Budget) -> Result<Decision, Decision> {
    let writes = patterns::KeyWrites::new(execution);
    each_view(execution, budget, |session| views::view(execution, &writes, session, keeps).map_err(Decision::Invalid))
}

fn session_guarantee(execution: &Execution, consistency: Consistency, budget: &Budget) -> Result<Decision, Decision> {
    let order = match consistency {
        Consistency::WritesFollowReads => session::writes_follow_reads(execution).map_err(Decision::Invalid)?,
        _ => session::monotonic_writes(execution),
    };
    if execution.is_plain() {
        return each_view(execution, budget, |session| match consistency {
            Consistency::ReadYourWrites => session::read_your_writes(execution, session as usize).map_err(Decision::Invalid),
            _ => Ok(session::with_reads(execution, session as usize, &order)),
        });
    }
    // A view that keeps more is one.
    let stronger = match consistency {
        Consistency::WritesFollowReads => causality(execution, Consistency::CausalMemory, budget),
        _ => views(execution, Keeps::Sessions, budget),
    };
    match stronger {
        Err(Decision::Invalid(suspects)) => by_closure(execution, &suspects, consistency, budget),
        other => other,
    }
}

/// Where no procedure is exact: what the necessary edges say among the ops that a stronger model finds guilty, or, if they are
/// few, among all; and then a search.
fn by_closure(execution: &Execution, suspects: &[u32], consistency: Consistency, budget: &Budget) -> Result<Decision, Decision> {
    let mut few = suspects.to_vec();
    few.sort_unstable();
    few.dedup();
    let mut account = Account::new(budget);
    if few.len() <= FEW && minimize::contradiction(&execution.restricted(&few), consistency, &mut account)?.is_some() {
        return Err(Decision::Invalid(few));
    }
    if execution.len() <= FEW && minimize::contradiction(execution, consistency, &mut account)?.is_some() {
        return Err(Decision::Invalid((0..execution.len() as u32).collect()));
    }
    drop(account);
    each_view(execution, budget, |session| {
        search::view(execution, session, consistency, budget)?.ok_or_else(|| {
            let why = "ops of several keys were seen in an order that a stronger model forbids, and neither an order nor a contradiction \
                       was found for this one";
            Decision::Unknown(Reason::History(why.into()))
        })
    })
}
