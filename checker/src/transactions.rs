//! Transactions: which isolation levels a history of reads, writes and appends of several keys keeps.
//!
//! `reading` takes the transactions off the history; `lists` and `registers` say who read which version and what is known of the
//! order of versions (`problem`), and which anomalies need no cycle. What must come before what is a `graph`; an order of it that
//! `replay` accepts is a witness, a `cycle` a contradiction. Where the order of versions is open `choices` decides. The weak levels
//! have graphs of their own (`weak`). `certify::transactions` checks both answers again.

pub(crate) mod anomaly;
mod choices;
mod cycle;
mod explain;
mod graph;
pub(crate) mod isolation;
mod lists;
mod problem;
mod reading;
mod registers;
mod replay;
mod versions;
mod weak;

use crate::budget::{Account, Budget, Limit};
use crate::certify::transactions::Transcript;
use crate::options::{Algorithm, Options};
use crate::verdict::{Answer, KeyVerdict, Reason, Summary, Verdict, Witness};
use anomaly::Anomaly;
use cycle::Link;
use graph::{Counts, Graph};
use histories::{History, OpId, Outcome, Value};
use isolation::{Isolation, Keeps};
use problem::{Finding, Problem};
use reading::{Holds, Transactions};
use rustc_hash::FxHashMap;

/// The models that name histories of transactions; without a name the ops say it.
pub(crate) const MODELS: [&str; 5] = ["", "list-append", "rw-register", "multi-register", "register"];

/// What was found out.
enum Found {
    /// An order of points, so many for each transaction.
    Order(u32, Vec<u32>),
    Finding(Finding),
    Cycle(Vec<Link>),
    /// No order of these, and no single cycle shows it.
    NoOrder(Vec<u32>),
    Unknown(Reason),
}

impl From<Limit> for Found {
    fn from(limit: Limit) -> Found {
        Found::Unknown(limit.reason(0, 0))
    }
}

/// Decides whether a history keeps an isolation level.
///
/// # Errors
/// Ops that are no transactions, or options that do not fit.
pub(crate) fn check(history: &History, level: Isolation, options: &Options, budget: &Budget) -> Result<Verdict, String> {
    if options.algorithm != Algorithm::Auto {
        return Err(format!("there is one algorithm for {}: leave the choice to auto", level.name()));
    }
    if !MODELS.contains(&&*options.model) {
        return Err(format!("{} is judged of transactions on lists and registers, not of {}", level.name(), options.model));
    }
    if matches!(options.initial, Some(Value::Map(_))) {
        return Err(format!("for {} every key begins with the same value; --initial cannot be a map", level.name()));
    }
    let mut verdict = Verdict {
        consistency: level.name(),
        model: options.model.clone(),
        keyed: false,
        answer: Summary::Unknown,
        reason: refusal(history, level),
        keys: Vec::new(),
        notes: vec![format!("{} means here: {}", level.name(), level.definition())],
    };
    let mut account = Account::new(budget);
    if let Err(limit) = account.hold(history.ops().len() * Transactions::BYTES_PER_OP) {
        verdict.reason = verdict.reason.or(Some(limit.reason(0, 0)));
    }
    let located = |(op, why): (OpId, String)| {
        let event = history.first_event(history.op(op));
        let place = if history.line(event) == 0 { format!("event {event}") } else { format!("line {}", history.line(event)) };
        format!("{place}: {why}")
    };
    let all = Transactions::new(history, options).map_err(located)?;
    verdict.model = all.holds.name().into();
    if verdict.reason.is_some() {
        return Ok(verdict);
    }
    if options.initial.is_some() && all.holds == Holds::Lists {
        return Err("lists begin empty: leave --initial out".into());
    }
    let problem = match all.holds {
        Holds::Lists => lists::problem(history, &all).map_err(located)?,
        Holds::Values => registers::problem(history, &all),
    };
    let mut steps = 0;
    let stopped = account.work(0).err();
    let found = stopped.map_or_else(|| decide(&all, &problem, level, budget, &mut steps), Err).unwrap_or_else(Found::from);
    let answer = certified(history, &all, &problem, level, options, found);
    verdict.keys = vec![KeyVerdict { key: None, ops: history.ops().len(), answer, algorithm: algorithm(level), steps, undecided: None }];
    verdict.answer = Verdict::compose(None, &verdict.keys);
    Ok(verdict)
}

/// Why no verdict on this history would mean anything.
fn refusal(history: &History, level: Isolation) -> Option<Reason> {
    if let Some(why) = histories::lint::refusal(history) {
        return Some(Reason::History(why));
    }
    if !history.ops().iter().any(|&op| history.outcome(op) == Outcome::Ok) {
        return Some(Reason::History("no transaction is known to have happened: there is nothing to judge".into()));
    }
    (level.keeps() == Keeps::RealTime && !history.has_real_time()).then(|| {
        let why = "it records completions without invocations, so nobody knows which transaction was over before which began";
        Reason::History(why.into())
    })
}

fn algorithm(level: Isolation) -> &'static str {
    match counts(level) {
        Some(_) => "dependency graph",
        None => "forced commits",
    }
}

/// Which dependencies a level looks at; `None`: it is one of Biswas and Enea's.
fn counts(level: Isolation) -> Option<Counts> {
    match level {
        Isolation::StrictSerializable | Isolation::StrongSessionSerializable | Isolation::Serializable | Isolation::RepeatableRead => {
            Some(Counts::Serial)
        }
        Isolation::StrongSnapshotIsolation | Isolation::StrongSessionSnapshotIsolation | Isolation::SnapshotIsolation => {
            Some(Counts::Snapshots)
        }
        Isolation::ReadCommitted => Some(Counts::Dependencies),
        Isolation::ReadUncommitted => Some(Counts::Writes),
        Isolation::TransactionalCausal | Isolation::ReadAtomic | Isolation::StrongSessionReadCommitted => None,
    }
}

fn decide(all: &Transactions, problem: &Problem, level: Isolation, budget: &Budget, steps: &mut u64) -> Result<Found, Limit> {
    if let Some(finding) = problem.findings.iter().find(|finding| finding.anomaly.is_forbidden_by(level)) {
        return Ok(Found::Finding(finding.clone()));
    }
    if let Some(why) = problem.no_version_order.as_ref().filter(|_| level == Isolation::ReadUncommitted) {
        return Ok(Found::Unknown(Reason::History(why.clone())));
    }
    let mut account = Account::new(budget);
    let counts = counts(level);
    account.hold(Graph::edges(problem) * Graph::BYTES_PER_EDGE)?;
    let graph = match counts {
        Some(counts) => Graph::new(problem, counts, level.keeps()),
        None => weak::graph(problem, level, &mut account)?,
    };
    account.work(graph.len() as u64)?;
    let Some(order) = graph.order(problem) else {
        if let Some(counts) = counts {
            return contradiction(problem, counts, level.keeps(), &mut account);
        }
        let found = cycle::shortest(&graph, problem.len(), false, &mut account)?;
        return Ok(found.map_or(Found::NoOrder(Vec::new()), Found::Cycle));
    };
    if let Some(why) = problem.doubts.first() {
        return Ok(Found::Unknown(Reason::History(why.clone())));
    }
    if matches!(counts, None | Some(Counts::Writes | Counts::Dependencies)) || replay::explains(problem, graph.width, &order) {
        return Ok(Found::Order(graph.width, order));
    }
    if let Some(finding) = lost_update(problem, all) {
        return Ok(Found::Finding(finding));
    }
    Ok(match choices::decide(problem, &graph, budget, steps)? {
        choices::Outcome::Order(order) => Found::Order(graph.width, order),
        choices::Outcome::NoOrder => Found::NoOrder(core(problem, counts.unwrap_or(Counts::Serial), level.keeps(), budget)?),
        choices::Outcome::Undecided(why) => Found::Unknown(Reason::History(why)),
    })
}

/// So many transactions of a contradiction can be checked again.
const CORE_MAX: usize = 10;

/// A few transactions of which there is no order: groups of them are left out, and smaller groups, as long as none of the rest has
/// an order.
fn core(problem: &Problem, counts: Counts, keeps: Keeps, budget: &Budget) -> Result<Vec<u32>, Limit> {
    let mut keep = vec![true; problem.len()];
    let mut size = problem.len();
    let mut group = size.div_ceil(2).max(1);
    loop {
        let mut is_less = false;
        let left: Vec<u32> = (0..problem.len() as u32).filter(|&node| keep[node as usize]).collect();
        for group in left.chunks(group) {
            for &node in group {
                keep[node as usize] = false;
            }
            if has_no_order(&problem.restricted(&keep).0, counts, keeps, budget)? {
                size -= group.len();
                is_less = true;
            } else {
                for &node in group {
                    keep[node as usize] = true;
                }
            }
        }
        if group == 1 && (!is_less || size <= CORE_MAX) {
            return Ok((0..problem.len() as u32).filter(|&node| keep[node as usize]).collect());
        }
        group = if group == 1 { 1 } else { group.div_ceil(2).min(size.max(1)) };
    }
}

fn has_no_order(part: &Problem, counts: Counts, keeps: Keeps, budget: &Budget) -> Result<bool, Limit> {
    let graph = Graph::new(part, counts, keeps);
    let Some(order) = graph.order(part) else { return Ok(true) };
    if replay::explains(part, graph.width, &order) {
        return Ok(false);
    }
    Ok(matches!(choices::decide(part, &graph, budget, &mut 0)?, choices::Outcome::NoOrder))
}

/// Two that read a version of a key and both replace it: whichever comes first, the other missed it.
fn lost_update(problem: &Problem, all: &Transactions) -> Option<Finding> {
    let mut first: FxHashMap<(u32, u32), u32> = FxHashMap::default();
    for node in 0..problem.len() as u32 {
        for read in problem.reads(node).iter().filter(|read| problem.writes(node).binary_search(&read.key).is_ok()) {
            let other = *first.entry((read.key, read.source)).or_insert(node);
            if other != node {
                // What was read shows as what the first of them read.
                let op = problem.op[node as usize];
                let at = all.op.binary_search(&op).unwrap_or(0) as u32;
                let micro = all.micros(at).iter().find(|micro| !micro.is_write && micro.key == read.key)?;
                let ops = vec![op, problem.op[other as usize]];
                return Some(Finding { anomaly: Anomaly::LostUpdate, key: read.key, value: micro.value, ops });
            }
        }
    }
    None
}

/// A cycle of the graph, of the weakest kind that there is: writes alone before reads, and these before anti-dependencies; without the
/// order of sessions and of real time before with it.
fn contradiction(problem: &Problem, counts: Counts, keeps: Keeps, account: &mut Account<'_>) -> Result<Found, Limit> {
    let kinds: &[(Counts, bool)] = match counts {
        Counts::Writes => &[(Counts::Writes, false)],
        Counts::Dependencies => &[(Counts::Writes, false), (Counts::Dependencies, false)],
        Counts::Snapshots => &[(Counts::Writes, false), (Counts::Dependencies, false), (Counts::Serial, true), (Counts::Snapshots, false)],
        Counts::Serial => &[
            (Counts::Writes, false),
            (Counts::Dependencies, false),
            (Counts::Serial, true),
            (Counts::Snapshots, false),
            (Counts::Serial, false),
        ],
    };
    for keeps in [Keeps::Data, Keeps::Sessions, Keeps::RealTime].into_iter().filter(|&order| order <= keeps) {
        for &(counts, one_replaced) in kinds {
            let graph = Graph::new(problem, counts, keeps);
            if let Some(links) = cycle::shortest(&graph, problem.len(), one_replaced, account)? {
                return Ok(Found::Cycle(links));
            }
        }
    }
    Ok(Found::Unknown(Reason::Uncertified("a cycle was seen and not found again".into())))
}

/// The answer, once its proof was checked from the history alone.
fn certified(history: &History, all: &Transactions, problem: &Problem, level: Isolation, options: &Options, found: Found) -> Answer {
    let transcript = || Transcript::new(history, options, all.holds == Holds::Lists);
    let uncertified = |why: String| Answer::Unknown(Reason::Uncertified(why));
    match found {
        Found::Unknown(reason) => Answer::Unknown(reason),
        Found::Order(width, order) => {
            let order: Vec<OpId> = order.into_iter().map(|point| problem.op[(point / width) as usize]).collect();
            match transcript().order(level, &order) {
                Ok(()) => Answer::Valid(Witness { order, ..Witness::default() }),
                Err(why) => uncertified(why),
            }
        }
        Found::Finding(finding) => match transcript().finding(&explain::of_finding(all, &finding)) {
            Ok(()) => Answer::Invalid(Box::new(explain::finding(history, all, &finding))),
            Err(why) => uncertified(why),
        },
        Found::Cycle(links) => match transcript().cycle(level, &explain::claims(all, problem, &links)) {
            Ok(()) => Answer::Invalid(Box::new(explain::cycle(history, all, problem, level, &links))),
            Err(why) => uncertified(why),
        },
        Found::NoOrder(nodes) => {
            let ops: Vec<OpId> = nodes.iter().map(|&node| problem.op[node as usize]).collect();
            match transcript().has_no_order(level, &ops) {
                Ok(()) => Answer::Invalid(Box::new(explain::no_order(history, all, problem, &nodes))),
                Err(why) => uncertified(why),
            }
        }
    }
}
