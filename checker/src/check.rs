//! The way from a history to a verdict: split by key, decode, decide, certify, explain.

use crate::budget::{Account, Budget, Limit};
use crate::causal::decode::NIL_IN_TRANSACTIONS;
use crate::certify::Claims;
use crate::certify::order::{self, Refused};
use crate::explain::{Crossing, Explainer};
use crate::linear::problem::{Problem, Read, Unread, decode};
use crate::linear::{self, Decision, Stuck};
use crate::locality;
use crate::minimize::{Candidates, Core, shrink, shrink_among};
use crate::model::{
    AnyModel, Bank, CasRegister, Counter, Deque, EtcdKv, FencingLock, FifoQueue, First, IdGenerator, Kv, ListAppend, Model, MultiRegister,
    Mutex, PriorityQueue, ReentrantMutex, Register, Semaphore, Set, Stack, TwoPhaseSet, UnorderedQueue,
};
use crate::options::{Algorithm, Options};
use crate::switches::Rules;
use crate::verdict::{Answer, Counterexample, KeyVerdict, Others, Reason, Undecided, Verdict, Witness};
use histories::keyed::{KeyOps, Keys};
use histories::{History, MisuseKind, OpId};
use rayon::prelude::*;
use std::sync::atomic::Ordering;

/// See [`crate::check_linearizable`].
pub(crate) fn check_linearizable(history: &History, options: &Options, budget: &Budget) -> Result<Verdict, String> {
    match options.model.as_str() {
        "register" => {
            let model = Register::new(history, options);
            check(&model, model.notes(), history, options, budget)
        }
        "cas-register" => {
            let model = CasRegister::new(history, options);
            check(&model, model.notes(), history, options, budget)
        }
        "kv" => check(&Kv::new(history, options), Vec::new(), history, options, budget),
        other => {
            let model = any_model(other, history, options)?;
            check(&model, notes_of_model(other, history, options), history, options, budget)
        }
    }
}

/// One of the models that the engine is not compiled for separately.
pub(crate) fn any_model(name: &str, history: &History, options: &Options) -> Result<AnyModel, String> {
    Ok(match name {
        "counter" | "g-counter" | "pn-counter" => AnyModel::Counter(Counter::new(options)?),
        "set" | "g-set" | "or-set" => AnyModel::Set(Set::new(options)),
        "2p-set" => AnyModel::TwoPhaseSet(TwoPhaseSet::new(options)),
        "list-append" => AnyModel::ListAppend(ListAppend::new(options)),
        "fifo-queue" => AnyModel::FifoQueue(FifoQueue),
        "unordered-queue" => AnyModel::UnorderedQueue(UnorderedQueue),
        "stack" => AnyModel::Stack(Stack),
        "mutex" => AnyModel::Mutex(Mutex),
        "priority-queue" => AnyModel::PriorityQueue(PriorityQueue(First::Smallest)),
        "max-priority-queue" => AnyModel::PriorityQueue(PriorityQueue(First::Greatest)),
        "deque" => AnyModel::Deque(Deque),
        "reentrant-mutex" => AnyModel::ReentrantMutex(ReentrantMutex),
        "semaphore" => AnyModel::Semaphore(Semaphore::new(options)),
        "fencing-lock" => AnyModel::FencingLock(FencingLock),
        "id-generator" => AnyModel::IdGenerator(IdGenerator),
        "multi-register" => AnyModel::MultiRegister(MultiRegister::new(history, options)?),
        "etcd-kv" => AnyModel::EtcdKv(EtcdKv::new(history, options)),
        "bank" => AnyModel::Bank(Bank::new(options)?),
        other => return Err(unknown_model(other)),
    })
}

/// Why there is no verdict on a model of this name, and which models there are.
pub(crate) fn unknown_model(name: &str) -> String {
    histories::names::unknown("model", name, crate::MODELS.iter().map(|model| model.0))
}

/// What is assumed of a model that the engine is not compiled for separately, where the options say nothing.
pub(crate) fn notes_of_model(model: &str, history: &History, options: &Options) -> Vec<String> {
    let of_initial = if model == "multi-register" { MultiRegister::notes(history, options) } else { Vec::new() };
    [of_initial, notes_on_nil(model, options)].concat()
}

/// What a read of nil is taken for where the options say nothing.
pub(crate) fn notes_on_nil(model: &str, options: &Options) -> Vec<String> {
    let note = match (options.nil_read, model) {
        (None, "set" | "g-set" | "2p-set" | "or-set") => {
            "a read of nil is taken as a read of unknown result (--nil-read missing says otherwise)"
        }
        (None, "multi-register") => NIL_IN_TRANSACTIONS,
        (None, "list-append") => "a read of nil is taken as the empty list (--nil-read wildcard says otherwise)",
        _ => return Vec::new(),
    };
    vec![note.into()]
}

/// See [`crate::check_linearizable_with`].
pub(crate) fn check<M: Model>(
    model: &M,
    mut notes: Vec<String>,
    history: &History,
    options: &Options,
    budget: &Budget,
) -> Result<Verdict, String> {
    fits(model, options.algorithm)?;
    let keys = Keys::split(history, options.keyed);
    notes.extend(notes_on_keys(history, &keys));
    let mut verdict = Verdict {
        consistency: "linearizable",
        model: model.name().into(),
        keyed: keys.is_keyed(),
        answer: crate::verdict::Summary::Unknown,
        reason: refusal(history),
        keys: Vec::new(),
        notes,
    };
    if verdict.reason.is_some() {
        return Ok(verdict);
    }
    let mut split = Account::new(budget);
    if let Err(limit) = split.hold(history.ops().len() * size_of::<OpId>()) {
        verdict.reason = Some(limit.reason(0, 0));
        return Ok(verdict);
    }
    let parts = locality::parts(keys.groups());
    let read: Vec<_> = parts.par_iter().flat_map_iter(|part| decode(model, history, &keys, part, budget)).collect();
    let malformed = read.iter().filter_map(|read| if let Err(Unread::Malformed(op, why)) = read { Some((*op, why)) } else { None });
    if let Some((op, why)) = malformed.min_by_key(|malformed| malformed.0) {
        return Err(located(history, op, why));
    }
    budget.keys_total.store(read.len() as u64, Ordering::Relaxed);
    verdict.keys = in_rounds(keys.groups(), read, options, budget, &|group, problem, steps| {
        decide_key(model, history, &keys, group, problem, options, budget, steps)
    });
    certify_orders(&order::Of { model, history, keys: &keys }, &mut verdict.keys, budget);
    verdict.answer = Verdict::compose(verdict.reason.as_ref(), &verdict.keys);
    Ok(verdict)
}

/// How many steps a key may take in the first round, and how many times as many in each that follows.
const STEPS_IN_FIRST_ROUND: u64 = 1 << 16;
const GROWTH: u64 = 8;

/// Decides the keys, what is easy first: in rounds, each with more steps for every key that is still undecided. Once a key is
/// invalid the others get no more than they had, unless all are asked for. Rounds are counted in steps, so that which keys are
/// decided is the same on every machine.
fn in_rounds<O: Send + Sync>(
    groups: &[KeyOps],
    read: Vec<Read<'_, O>>,
    options: &Options,
    budget: &Budget,
    decide: &(impl Fn(&KeyOps, &Problem<O>, u64) -> KeyVerdict + Sync),
) -> Vec<KeyVerdict> {
    let limit = budget.steps.unwrap_or(u64::MAX);
    let mut decided: Vec<Option<KeyVerdict>> = Vec::new();
    decided.resize_with(groups.len(), || None);
    let mut open: Vec<(usize, Read<'_, O>)> = read.into_iter().enumerate().collect();
    let mut steps = if groups.len() == 1 { limit } else { STEPS_IN_FIRST_ROUND.min(limit) };
    while !open.is_empty() {
        let found: Vec<_> = open.into_par_iter().map(|(at, read)| (at, round(&groups[at], read, steps, limit, budget, decide))).collect();
        open = Vec::new();
        for (at, (verdict, read)) in found {
            decided[at] = Some(verdict);
            open.extend(read.map(|read| (at, read)));
        }
        let is_refuted = || decided.iter().flatten().any(|key| matches!(key.answer, Answer::Invalid(_)));
        if !options.all_keys && !open.is_empty() && is_refuted() {
            for (at, _) in open.drain(..) {
                if let Some(key) = decided[at].as_mut().filter(|key| matches!(key.answer, Answer::Unknown(Reason::Steps { .. }))) {
                    key.answer = Answer::Unknown(Reason::OtherKey);
                }
            }
        }
        steps = steps.saturating_mul(GROWTH).min(limit);
    }
    decided.into_iter().flatten().collect()
}

/// A key's verdict, and the key again if more steps may decide it.
fn round<'b, O>(
    group: &KeyOps,
    read: Read<'b, O>,
    steps: u64,
    limit: u64,
    budget: &Budget,
    decide: &impl Fn(&KeyOps, &Problem<O>, u64) -> KeyVerdict,
) -> (KeyVerdict, Option<Read<'b, O>>) {
    let verdict = match &read {
        Ok((_, problem)) => decide(group, problem, steps),
        Err(Unread::Out(limit)) => unknown(group, *limit),
        // Refused before.
        Err(Unread::Malformed(..)) => unknown(group, Limit::Steps),
    };
    if read.is_ok() && steps < limit && matches!(verdict.answer, Answer::Unknown(Reason::Steps { .. })) {
        return (verdict, Some(read));
    }
    budget.keys_done.fetch_add(1, Ordering::Relaxed);
    budget.ops_done.fetch_add(group.ops.len() as u64, Ordering::Relaxed);
    (verdict, None)
}

/// Takes back every `valid` whose order does not hold.
fn certify_orders<M: Model>(of: &order::Of<'_, M>, verdicts: &mut [KeyVerdict], budget: &Budget) {
    let mut rest = verdicts;
    let mut parts = Vec::new();
    for groups in locality::parts(of.keys.groups()) {
        let (part, others) = rest.split_at_mut(groups.len());
        parts.push((groups, part));
        rest = others;
    }
    parts.into_par_iter().for_each(|(groups, verdicts)| {
        let orders: Vec<Option<&[OpId]>> = verdicts
            .iter()
            .map(|verdict| if let Answer::Valid(witness) = &verdict.answer { Some(&witness.order[..]) } else { None })
            .collect();
        let held = order::all_hold(of, groups, &orders, budget);
        for (verdict, held) in verdicts.iter_mut().zip(held) {
            match held {
                None | Some(Ok(())) => {}
                Some(Err(Refused::Wrong(why))) => {
                    verdict.answer = Answer::Unknown(Reason::Uncertified(format!("the order that was found does not hold: {why}")));
                }
                Some(Err(Refused::Out(limit))) => verdict.answer = Answer::Unknown(limit.reason(verdict.ops, 1)),
            }
        }
    });
}

/// Refuses an algorithm that cannot decide the model, and says which can.
fn fits<M: Model>(model: &M, algorithm: Algorithm) -> Result<(), String> {
    let procedures = linear::procedures(model);
    if matches!(algorithm, Algorithm::Auto | Algorithm::Search) || procedures.contains(&algorithm) {
        return Ok(());
    }
    let fitting: Vec<String> = procedures.iter().map(|procedure| procedure.option()).collect();
    let name = algorithm.option();
    Err(format!("the algorithm {name} does not fit the model {}; what does: auto, search, {}", model.name(), fitting.join(", ")))
}

/// Why no verdict on this history would mean anything.
pub(crate) fn refusal(history: &History) -> Option<Reason> {
    if let Some(why) = histories::lint::refusal(history) {
        return Some(Reason::History(why));
    }
    (!history.has_real_time()).then(|| {
        Reason::History("it records completions without invocations, so nobody knows which operation was over before which began".into())
    })
}

pub(crate) fn notes_on_keys(history: &History, keys: &Keys) -> Vec<String> {
    let mut notes = Vec::new();
    if history.meta.keyed.is_none() {
        notes.push(keys.reason().to_owned());
    }
    if let [first, ..] = keys.without_key() {
        let event = history.first_event(history.op(*first));
        let many = keys.without_key().len();
        notes.push(format!("{many} operations have no [key value] pair and were left out; the first is at {}", place(history, event)));
    }
    let after_info = history.misuses().iter().filter(|m| m.kind == MisuseKind::GoesOnAfterInfo).count();
    if after_info > 0 {
        notes
            .push(format!("{after_info} times a process goes on after an operation of unknown outcome, which is taken as still in flight"));
    }
    notes
}

fn place(history: &History, event: u32) -> String {
    match history.line(event) {
        0 => format!("event {event}"),
        line => format!("line {line}"),
    }
}

pub(crate) fn located(history: &History, op: OpId, why: &str) -> String {
    let event = history.first_event(history.op(op));
    let (f, value) = (history.name(history.function(event)), history.values.display(history.value(event)));
    format!("{}: {why} (in {f} {value})", place(history, event))
}

/// The verdict on a key whose ops were not even read.
fn unknown(group: &KeyOps, limit: Limit) -> KeyVerdict {
    let answer = Answer::Unknown(limit.reason(0, 0));
    let ends = group.ops.first().zip(group.ops.last());
    let undecided = ends.map(|(&first, &last)| Undecided { ops: group.ops.len(), first, last, stopped: None });
    KeyVerdict { key: group.key, ops: group.ops.len(), answer, algorithm: "none", steps: 0, undecided }
}

/// The verdict on a key, with so many steps at most where it has to be searched.
#[allow(clippy::too_many_arguments, reason = "a key is a part of all of these")]
pub(crate) fn decide_key<M: Model>(
    model: &M,
    history: &History,
    keys: &Keys,
    group: &KeyOps,
    problem: &Problem<M::Op>,
    options: &Options,
    budget: &Budget,
    steps: u64,
) -> KeyVerdict {
    let rules = options.rules;
    let Decision { found, algorithm, steps, undecided } = linear::decide(model, problem, options.algorithm, rules, budget, steps);
    let explainer = Explainer { model, history, keys, group, problem };
    let answer = match found {
        linear::Answer::Unknown(reason) => Answer::Unknown(reason),
        // Not to be believed yet.
        linear::Answer::Order(order) => Answer::Valid(Witness { order, ..Witness::default() }),
        linear::Answer::Stuck(stuck) => match counterexample(&explainer, &stuck, steps, rules, budget) {
            Ok(Some(found)) => Answer::Invalid(Box::new(found)),
            Ok(None) => {
                let why = "a contradiction was found, but not a small one that could be checked by itself";
                Answer::Unknown(Reason::Uncertified(why.into()))
            }
            Err(limit) => Answer::Unknown(limit.reason(returned_before(problem, stuck.blocked), 0)),
        },
    };
    KeyVerdict { key: group.key, ops: group.ops.len(), answer, algorithm, steps, undecided }
}

fn returned_before<O>(problem: &Problem<O>, blocked: u32) -> usize {
    let end = problem.entries[blocked as usize].ret;
    problem.entries.iter().filter(|e| e.ret < end).count()
}

/// The contradiction behind a search that got stuck after so many steps. What proves it comes first; all that only explains it is left out if the
/// budget ends before it is found. `None` if nothing was found that could be certified.
///
/// # Errors
/// The budget ended before a contradiction was certified.
fn counterexample<M: Model>(
    explainer: &Explainer<'_, M>,
    stuck: &Stuck,
    searched: u64,
    rules: Rules,
    budget: &Budget,
) -> Result<Option<Counterexample>, Limit> {
    let &Explainer { model, history, keys, group, problem } = explainer;
    let mut account = Account::new(budget);
    let holds = |prefix: &[OpId], blocked: u32| {
        let end = problem.entries[blocked as usize].ret;
        order::holds(&order::Of { model, history, keys }, group, prefix, end, budget).is_ok()
    };
    let (claims, known_holds) = rayon::join(
        || Claims::new(model, history, keys, group, &mut account),
        || stuck.prefix.as_ref().is_some_and(|prefix| holds(prefix, stuck.blocked)),
    );
    let claims = claims?;
    let suspects: Vec<OpId> = stuck.suspects.iter().map(|&i| problem.entries[i as usize].id).collect();
    let mut core = if suspects.is_empty() { None } else { shrink_among(&claims, &suspects, problem.entries.len(), budget) };
    let (blocked, prefix) = match &stuck.prefix {
        Some(prefix) => (stuck.blocked, prefix.clone()),
        None => match linear::prefix(model, problem, stuck.blocked, rules, budget) {
            Err(limit) if core.is_none() => return Err(limit),
            found => found.unwrap_or((stuck.blocked, Vec::new())),
        },
    };
    if core.is_none() || blocked != stuck.blocked {
        let mut account = Account::new(budget);
        // Rather a contradiction at the first op that is blocked than one about something later.
        let earlier = (account.hold(Candidates::bytes(problem.entries.len())))
            .and_then(|()| shrink(&claims, &Candidates::new(model, problem, blocked), searched, budget));
        match earlier {
            Ok(Some(earlier)) => core = Some(earlier),
            Err(limit) if core.is_none() => return Err(limit),
            _ => {}
        }
    }
    let Some(core) = core else { return Ok(None) };
    let end = problem.entries[blocked as usize].ret;
    let crossed = crossed(explainer, &claims, &core, end, budget);
    let (core, crossing) = crossed.map_or((core, None), |(core, crossing)| (core, Some(crossing)));
    drop((claims, account));
    let prefix = if known_holds || stuck.prefix.is_none() && holds(&prefix, blocked) { prefix } else { Vec::new() };
    let blocked_id = problem.entries[blocked as usize].id;
    let mut counterexample = explainer.explain(&core, crossing.as_ref(), blocked_id);
    explainer.possible(&mut counterexample, blocked, budget);
    Ok(Some(Counterexample { prefix, blocked: Some(blocked_id), ..counterexample }))
}

/// The contradiction as a crossing of two values, the kind that is easiest to believe, if it is one. The ops that store the values
/// are needed only if their values could otherwise come back while they are in progress.
fn crossed<M: Model>(
    explainer: &Explainer<'_, M>,
    claims: &Claims<'_, M>,
    core: &Core,
    end: u32,
    budget: &Budget,
) -> Option<(Core, Crossing)> {
    let needed = explainer.needed(core);
    if needed.len() < 2 || !explainer.model.contradictions().contains(&Others::AnyNumber) {
        return None;
    }
    let crossing = explainer.crossing(&needed, end, &mut Account::new(budget)).ok()??;
    [false, true].into_iter().find_map(|with_sources| {
        let suspects: Vec<OpId> = crossing.ops(with_sources).iter().map(|e| e.id).collect();
        let found = shrink_among(claims, &suspects, explainer.problem.entries.len(), budget)?;
        Some((found, crossing))
    })
}
