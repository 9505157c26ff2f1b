//! The way from a history to a verdict: split by key, decode, decide, certify, explain.

use crate::budget::Budget;
use crate::certify::Claims;
use crate::explain::{Crossing, Explainer};
use crate::linear::problem::{Malformed, Problem, decode};
use crate::linear::{self, Decision, Stuck};
use crate::model::{CasRegister, Kv, Model, Mutex, Register};
use crate::options::Options;
use crate::shrink::{Candidates, Core, shrink, shrink_among};
use crate::verdict::{Answer, Counterexample, KeyVerdict, Reason, Verdict, Witness};
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
        "mutex" => check(&Mutex, Vec::new(), history, options, budget),
        other => {
            let names: Vec<&str> = crate::MODELS.iter().map(|m| m.0).collect();
            Err(format!("there is no model `{other}`; there are {}", names.join(", ")))
        }
    }
}

fn check<M: Model>(model: &M, mut notes: Vec<String>, history: &History, options: &Options, budget: &Budget) -> Result<Verdict, String> {
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
    let decoded: Vec<Result<Problem<M::Op>, Malformed>> =
        keys.groups().par_iter().map(|group| decode(model, history, &keys, group)).collect();
    let mut problems = Vec::with_capacity(decoded.len());
    let mut malformed: Option<Malformed> = None;
    for result in decoded {
        match result {
            Ok(problem) => problems.push(problem),
            Err(error) => malformed = Some(malformed.map_or(error.clone(), |first| if first.0 < error.0 { first } else { error })),
        }
    }
    if let Some((op, why)) = malformed {
        return Err(located(history, op, &why));
    }
    budget.keys_total.store(problems.len() as u64, Ordering::Relaxed);
    verdict.keys = (keys.groups().par_iter().zip(&problems))
        .map(|(group, problem)| {
            let key = decide_key(model, history, &keys, group, problem, budget);
            budget.keys_done.fetch_add(1, Ordering::Relaxed);
            budget.ops_done.fetch_add(group.ops.len() as u64, Ordering::Relaxed);
            key
        })
        .collect();
    verdict.answer = Verdict::compose(verdict.reason.as_ref(), &verdict.keys);
    Ok(verdict)
}

/// Why no verdict on this history would mean anything.
fn refusal(history: &History) -> Option<Reason> {
    let misuse = history.misuses().iter().find(|m| m.kind != MisuseKind::GoesOnAfterInfo);
    if let Some(misuse) = misuse {
        let process = history.values.display(history.process_name(history.process(misuse.event)));
        let f = history.name(history.function(misuse.event));
        let what = match misuse.kind {
            MisuseKind::CompletionWithoutInvocation => format!("process {process} completes {f} without having invoked anything"),
            MisuseKind::TwoOpsAtOnce => format!("process {process} invokes {f} while its last operation is still in flight"),
            MisuseKind::OtherFunction => format!("process {process} completes {f}, but invoked something else"),
            MisuseKind::GoesOnAfterInfo => format!("process {process} goes on after an unknown outcome"),
        };
        return Some(Reason::History(format!("{what} ({}); no verdict on such a history means anything", place(history, misuse.event))));
    }
    (!history.has_real_time()).then(|| {
        Reason::History("it records completions without invocations, so nobody knows which operation was over before which began".into())
    })
}

fn notes_on_keys(history: &History, keys: &Keys) -> Vec<String> {
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

fn located(history: &History, op: OpId, why: &str) -> String {
    let event = history.first_event(history.op(op));
    let (f, value) = (history.name(history.function(event)), history.values.display(history.value(event)));
    format!("{}: {why} (in {f} {value})", place(history, event))
}

fn decide_key<M: Model>(
    model: &M,
    history: &History,
    keys: &Keys,
    group: &KeyOps,
    problem: &Problem<M::Op>,
    budget: &Budget,
) -> KeyVerdict {
    let Decision { found, algorithm, steps } = linear::decide(model, problem, budget);
    let answer = match found {
        linear::Answer::Unknown(reason) => Answer::Unknown(reason),
        linear::Answer::Order(order) => {
            let claims = Claims::new(model, history, keys, group);
            match claims.witness(&order) {
                Ok(()) => Answer::Valid(Witness { order }),
                Err(why) => Answer::Unknown(Reason::Uncertified(format!("the order that was found does not hold: {why}"))),
            }
        }
        linear::Answer::Stuck(stuck) => {
            let claims = Claims::new(model, history, keys, group);
            counterexample(&Explainer { model, history, keys, group, problem }, &claims, stuck, budget)
        }
    };
    KeyVerdict { key: group.key, ops: group.ops.len(), answer, algorithm, steps }
}

/// The contradiction behind a search that got stuck.
fn counterexample<M: Model>(explainer: &Explainer<'_, M>, claims: &Claims<'_, M>, stuck: Stuck, budget: &Budget) -> Answer {
    let (model, problem) = (explainer.model, explainer.problem);
    let Some(core) = shrink(claims, &Candidates::new(model, problem, stuck.blocked, &stuck.suspects)) else {
        let why = "a contradiction was found, but not a small one that could be checked by itself";
        return Answer::Unknown(Reason::Uncertified(why.into()));
    };
    let blocked = problem.entries[stuck.blocked as usize];
    let crossed = crossed(explainer, claims, &core, blocked.ret);
    let (core, crossing) = crossed.map_or((core, None), |(core, crossing)| (core, Some(crossing)));
    let prefix = if claims.prefix(&stuck.prefix, blocked.ret).is_ok() { stuck.prefix } else { Vec::new() };
    let mut counterexample = explainer.explain(&core, crossing.as_ref(), blocked.id);
    explainer.possible(&mut counterexample, stuck.blocked, budget);
    Answer::Invalid(Box::new(Counterexample { prefix, blocked: Some(blocked.id), ..counterexample }))
}

/// The contradiction as a crossing of two values, the kind that is easiest to believe, if it is one. The ops that store the values
/// are needed only if their values could otherwise come back while they are in progress.
fn crossed<M: Model>(explainer: &Explainer<'_, M>, claims: &Claims<'_, M>, core: &Core, end: u32) -> Option<(Core, Crossing)> {
    let needed = explainer.needed(core);
    if needed.len() < 2 {
        return None;
    }
    let crossing = explainer.crossing(&needed, end)?;
    [false, true].into_iter().find_map(|with_sources| {
        let suspects: Vec<OpId> = crossing.ops(with_sources).iter().map(|e| e.id).collect();
        let found = shrink_among(claims, &suspects, explainer.problem.entries.len())?;
        Some((found, crossing))
    })
}
