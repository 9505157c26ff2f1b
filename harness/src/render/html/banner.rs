//! The top of the page: the verdict in a sentence, the facts of the run, the command that repeats it.

use super::text::{capital, count, list, many};
use super::view::View;
use super::{counterexample, prose, sign, undecided};
use crate::render::terminal;
use crate::run::TestFacts;
use crate::timeline::Phase;
use crate::ui::format;
use checker::Consistency;
use checker::verdict::Summary;
use histories::Outcome;
use maud::{Markup, html};
use std::time::Duration;

/// Everything above the line of contents.
pub(super) fn banner(view: &View<'_>) -> Markup {
    let (name, sign) = sign(view.run.overall());
    html! {
        div class="banner" id="top" {
            h1 { (sign) " " (name.to_uppercase()) span class="what" { (what(view)) } }
            p class="sentence" { (sentence(view)) }
            @for line in besides(view) { p class="besides" { (line) } }
        }
        dl class="facts" {
            @for fact in facts(view) {
                div { dt { (fact.name) } dd { (fact.value) @if !fact.more.is_empty() { span { (fact.more) } } } }
            }
        }
        div class="repeat" {
            code id="command" { (view.run.repeat) }
            button type="button" class="js" data-copy="command" { "copy" }
        }
    }
}

/// What the verdict is about, beside the word.
fn what(view: &View<'_>) -> String {
    view.run.overall.as_ref().map_or_else(|| terminal::what(view.run, |_| String::new()), |overall| overall.words.clone())
}

fn sentence(view: &View<'_>) -> Markup {
    let told = of_the_model(view);
    // Where several models were asked about, the word above is about all of them, and the page draws one.
    html! { @if view.run.overall.is_some() { "As to " (view.run.verdict.consistency) ": " } (told) }
}

fn of_the_model(view: &View<'_>) -> Markup {
    match view.run.summary() {
        Summary::Invalid => invalid(view),
        Summary::Unknown => html! { (undecided::sentence(view)) },
        Summary::Valid => html! { (valid(view)) },
    }
}

fn invalid(view: &View<'_>) -> Markup {
    let examples = counterexample::in_order(view);
    let Some(first) = examples.first() else { return html! { "No order explains what was recorded." } };
    let name = super::text::capital(&view.key_name(first.key));
    html! {
        @if view.is_by_key() { (name) ": " }
        @if first.proof.sentence.is_empty() {
            "no order of its operations explains what was recorded."
        } @else {
            (prose::sentence(view, &super::op::Palette::default(), &first.proof.sentence))
        }
    }
}

fn valid(view: &View<'_>) -> String {
    let ops = many(view.history().ops().len(), "operation");
    let what = if view.run.test.is_some() { "run" } else { "history" };
    if view.run.ops(Outcome::Ok) + view.run.ops(Outcome::Info) == 0 {
        "There is nothing to contradict: no operation took effect.".into()
    } else if view.consistency() != Consistency::Linearizable {
        format!("{} It has {ops}.", terminal::valid_sentence(view.run))
    } else if view.keyed() {
        let keys = many(view.run.verdict.keys.len(), "key");
        format!("Every answer of this {what} is explained by one order per key that respects real time: {ops} on {keys}.")
    } else {
        format!("Every answer of this {what} is explained by one order of its {ops} that respects real time.")
    }
}

/// What else must be known at once: the faults of that moment, the other keys, what was not tested.
fn besides(view: &View<'_>) -> Vec<String> {
    let found = &view.run.findings.found;
    let mut lines: Vec<String> = found.iter().map(|finding| format!("Found beside the history: {}.", finding.text)).collect();
    if view.run.summary() == Summary::Invalid {
        lines.extend(meanwhile(view));
        lines.extend(other_keys(view));
    } else {
        lines.extend(view.run.coverage.gaps.iter().skip(usize::from(undecided::sentence_is_a_gap(view))).cloned());
    }
    lines.extend(faults_without_effect(view));
    lines.extend(view.run.coverage.notes.iter().map(|note| format!("{}.", capital(note))));
    if lines.is_empty() { Vec::new() } else { vec![lines.join(" ")] }
}

/// The faults that were active when the contradiction came to light.
fn meanwhile(view: &View<'_>) -> Option<String> {
    let first = counterexample::in_order(view).into_iter().next()?;
    let (from, to) = first.last_op(view)?;
    let active =
        view.faults().iter().filter(|w| w.observed && view.moment(w.from_ns) <= to && w.to_ns.is_none_or(|end| view.moment(end) >= from));
    let names: Vec<String> = active
        .map(|w| {
            let name = if w.what.contains(&w.fault) { String::new() } else { format!("{} ", w.fault) };
            format!("{name}{} (from {})", w.what, view.moment_text(view.moment(w.from_ns), 3))
        })
        .collect();
    (!names.is_empty()).then(|| format!("Active at that moment: {}.", list(&names)))
}

fn other_keys(view: &View<'_>) -> Option<String> {
    let total = view.run.verdict.keys.len();
    let invalid = view.keys(Summary::Invalid).count();
    let unknown = view.keys(Summary::Unknown).count();
    let valid = total - invalid - unknown;
    if total < 2 {
        return None;
    }
    if invalid == total {
        return Some(format!("All {} keys are invalid.", count(total)));
    }
    let mut parts = vec![format!("{} of {} keys {} invalid", count(invalid), count(total), if invalid == 1 { "is" } else { "are" })];
    parts.extend((unknown > 0).then(|| format!("{} undecided", count(unknown))));
    parts.extend((valid > 0).then(|| format!("{} valid", count(valid))));
    Some(format!("{}.", list(&parts)))
}

fn faults_without_effect(view: &View<'_>) -> Option<String> {
    let without = view.run.windows.iter().filter(|w| !w.observed).count();
    (without > 0).then(|| {
        let (noun, verb) = if without == 1 { ("injection was", "it") } else { ("injections were", "them") };
        format!("{} fault {noun} not seen to take effect: the verdict says nothing about {verb}.", super::text::spelled(without))
    })
}

struct Fact {
    name: &'static str,
    value: Markup,
    more: String,
}

fn fact(name: &'static str, value: impl AsRef<str>, more: impl Into<String>) -> Fact {
    Fact { name, value: html! { (value.as_ref()) }, more: more.into() }
}

fn facts(view: &View<'_>) -> Vec<Fact> {
    let mut facts = match &view.run.test {
        Some(test) => test_facts(view, test),
        None => file_facts(view),
    };
    facts.push(fact("checked against", view.run.verdict.consistency, checked_how(view)));
    if let Some(test) = &view.run.test {
        facts.push(Fact { name: "seed", value: html! { code { (format!("{:#x}", test.seed)) } }, more: String::new() });
    }
    let check = &view.run.check;
    let memory = check.peak_rss_bytes.map_or_else(String::new, |bytes| format!("{} peak memory", format::bytes(bytes)));
    facts.push(fact("checking took", format::duration(check.check), memory));
    facts
}

fn test_facts(view: &View<'_>, test: &TestFacts) -> Vec<Fact> {
    let names: Vec<&str> = test.nodes.iter().map(|node| node.name.as_str()).collect();
    let nodes = match names.as_slice() {
        [first, .., last] => format!("{}, {first} to {last}", many(names.len(), "node")),
        [only] => format!("one node, {only}"),
        [] => "no node".into(),
    };
    let functions: Vec<&str> = view.run.counts.iter().map(|c| c.f.as_str()).collect();
    let options: Vec<String> = test.options.iter().take(2).map(|(name, value)| format!("{name}: {value}")).collect();
    let ops = many(view.history().ops().len(), "operation");
    let keys = if view.keyed() { format!("{}, ", many(view.run.verdict.keys.len(), "key")) } else { String::new() };
    vec![
        fact("database", format!("{} {}", test.database, test.database_version), options.join("; ")),
        fact("cluster", nodes, format!("{} client threads, op timeout {} ms", test.concurrency, count(test.op_timeout_ms as usize))),
        fact("workload", format!("{}: {}", test.workload, functions.join(", ")), format!("{keys}{ops}")),
        fact("main phase", main_phase(view, test), started(&test.started)),
        fact("faults", if test.nemesis.is_empty() { "none".into() } else { test.nemesis.join(", ") }, faults_seen(view)),
    ]
}

fn main_phase(view: &View<'_>, test: &TestFacts) -> String {
    let span = view.run.phases.iter().find(|span| span.phase == Phase::Main);
    let took = span.and_then(|span| Some(Duration::from_nanos((span.to_ns? - span.from_ns).max(0) as u64)));
    match took {
        Some(took) => format::duration(took),
        None => format!("cut off; {} was asked", format::duration(Duration::from_millis(test.time_limit_ms))),
    }
}

/// `2026-11-14 09:12:40 UTC` of `2026-11-14T09:12:40.431568497Z`; anything else as it is.
fn started(time: &str) -> String {
    match (time.get(..19), time.ends_with('Z')) {
        (Some(seconds), true) => format!("{} UTC", seconds.replace('T', " ")),
        _ => time.into(),
    }
}

fn faults_seen(view: &View<'_>) -> String {
    let windows = &view.run.windows;
    if windows.is_empty() {
        return String::new();
    }
    let observed = windows.iter().filter(|w| w.observed).count();
    format!("{} of {} took effect", count(observed), count(windows.len()))
}

fn file_facts(view: &View<'_>) -> Vec<Fact> {
    let run = view.run;
    let format = view.history().meta.format;
    let functions: Vec<&str> = run.counts.iter().map(|c| c.f.as_str()).collect();
    let outcomes =
        format!("{} ok, {} fail, {} info", count(run.ops(Outcome::Ok)), count(run.ops(Outcome::Fail)), count(run.ops(Outcome::Info)));
    let (first, last) = view.span;
    let span = if view.timed { format::duration(Duration::from_nanos((last - first).max(0) as u64)) } else { "no times recorded".into() };
    vec![
        fact("file", run.history_path.display().to_string(), if format.is_empty() { String::new() } else { format!("format {format}") }),
        fact("operations", many(view.history().ops().len(), "operation"), outcomes),
        fact("functions", functions.join(", "), many(clients(view), "client process").replace("processs", "processes")),
        fact("recorded", span, format!("read in {}", format::duration(run.check.parse))),
    ]
}

fn clients(view: &View<'_>) -> usize {
    let history = view.history();
    (0..history.process_count() as u32).filter(|&p| history.is_client(histories::Process(p))).count()
}

fn checked_how(view: &View<'_>) -> String {
    let verdict = &view.run.verdict;
    match (view.is_by_key(), verdict.keyed) {
        (true, _) => format!("{}, each key alone", verdict.model),
        (false, true) => format!("{}, all keys together", verdict.model),
        _ => verdict.model.clone(),
    }
}
