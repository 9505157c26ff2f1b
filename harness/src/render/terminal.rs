//! The verdict on the terminal: sign and word, a sentence, the contradiction on a character grid, step by step why, what was
//! tested, and how to repeat it. The same order and words as the report, in the columns that the terminal has.

mod grid;

use crate::cut::Cut;
use crate::run::{NodeFile, Run};
use crate::ui::console::{Console, Ink};
use crate::ui::format::{count, duration, many, seconds};
use checker::describe::{self, Names, elide};
use checker::verdict::{Reason, Summary, Undecided};
use checker::{Answer, Consistency, Counterexample, KeyVerdict};
use histories::Outcome;
use std::fmt::Write;
use std::path::Path;

/// The width of the names at the left of the closing lines.
const NAME_WIDTH: usize = 9;

/// The most keys named in a line.
const KEYS_NAMED_MAX: usize = 5;

/// The verdict block of a run. `report` is the page's path, if there is one.
pub fn verdict(run: &Run, report: Option<&Path>, console: Console) -> String {
    let mut block = Block { out: String::new(), console };
    headline(run, &mut block);
    match run.summary() {
        Summary::Invalid => invalid(run, &mut block),
        Summary::Valid => block.paragraph(2, 2, valid_sentence(run)),
        Summary::Unknown => unknown(run, &mut block),
    }
    block.line("");
    for finding in &run.findings.found {
        let text = format!("! FOUND BESIDE THE HISTORY ({}): {}.", finding.id, finding.text);
        block.inked(2, 2, &text, Some(Ink::Red));
        block.line("");
    }
    facts(run, report, &mut block);
    block.out
}

/// Lines of text that fit the terminal.
struct Block {
    out: String,
    console: Console,
}

impl Block {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}", text.trim_end());
    }

    /// A paragraph, wrapped: the first line indented by `first`, the others by `rest`.
    fn paragraph(&mut self, first: usize, rest: usize, text: impl AsRef<str>) {
        self.inked(first, rest, text.as_ref(), None);
    }

    fn inked(&mut self, first: usize, rest: usize, text: &str, ink: Option<Ink>) {
        let text = self.console.fit(text);
        for (i, line) in wrap(&text, self.console.width - rest.max(first)).into_iter().enumerate() {
            let line = ink.map_or(line.clone(), |ink| self.console.ink(ink, &line));
            self.line(&format!("{}{line}", " ".repeat(if i == 0 { first } else { rest })));
        }
    }

    /// A paragraph behind a mark, indented by it.
    fn hanging(&mut self, mark: &str, text: &str) {
        let indent = 2 + mark.chars().count();
        for (i, line) in wrap(&self.console.fit(text), self.console.width - indent).into_iter().enumerate() {
            self.line(&if i == 0 { format!("  {mark}{line}") } else { format!("{}{line}", " ".repeat(indent)) });
        }
    }

    /// A name and a text beside it: `report   store/...`. Paths and commands are not wrapped, so that they can be copied.
    fn fact(&mut self, name: &str, text: &str, wrapped: bool) {
        let text = self.console.fit(text);
        let lines = if wrapped { wrap(&text, self.console.width - 2 - NAME_WIDTH) } else { vec![text] };
        for (i, line) in lines.iter().enumerate() {
            let name = self.console.ink(Ink::Dim, format!("{:NAME_WIDTH$}", if i == 0 { name } else { "" }));
            self.line(&format!("  {name}{line}"));
        }
    }
}

/// Breaks text at spaces into lines of at most `width` characters; a longer word stands alone.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let chars = word.chars().count();
        match lines.last_mut() {
            Some(line) if length + 1 + chars <= width => {
                line.push(' ');
                line.push_str(word);
                length += 1 + chars;
            }
            _ => {
                lines.push(word.into());
                length = chars;
            }
        }
    }
    lines
}

/// `✗ INVALID  not linearizable (3 of 8 keys)`.
fn headline(run: &Run, block: &mut Block) {
    let keys = run.verdict.keys.len();
    let of_keys =
        |n: usize| if run.verdict.is_per_key() { format!(" ({} of {})", count(n as u64, false), many(keys, "key")) } else { String::new() };
    let at = |answer| of_keys(run.keys(answer).count());
    let text = what(run, at);
    let sign = sign(run.summary(), block.console);
    block.line(&format!("{sign}  {}", block.console.fit(&text)));
    block.line("");
}

/// What the verdict is about, behind its word, in the first line of all that is told of a run. `of_keys` adds how many keys of all have
/// an answer.
pub(crate) fn what(run: &Run, of_keys: impl Fn(Summary) -> String) -> String {
    let consistency = run.verdict.consistency;
    let cut = run.cut.as_ref().map(Cut::in_words);
    let text = match (run.summary(), run.verdict.answer) {
        (Summary::Invalid, _) => format!("not {consistency}{}", of_keys(Summary::Invalid)),
        (Summary::Valid, _) => format!("{consistency}{}", of_keys(Summary::Valid)),
        (Summary::Unknown, Summary::Valid) => match &cut {
            // That it was cut short is all that keeps it from being valid.
            Some(cut) if run.coverage.gaps.len() == 1 => {
                return format!("{cut}; the recorded part is {consistency}{}", of_keys(Summary::Valid));
            }
            Some(cut) => return format!("{cut}; nothing contradicts the recorded part"),
            None => "nothing contradicts it, but too little was put to the test".into(),
        },
        (Summary::Unknown, _) if run.verdict.reason.is_some() => "this history cannot be judged".into(),
        (Summary::Unknown, _) => format!("neither an order nor a contradiction was found{}", of_keys(Summary::Unknown)),
    };
    cut.map_or(text.clone(), |cut| format!("{text}; {cut}"))
}

/// An answer's sign and word in its colour: `✗ INVALID`.
pub(crate) fn sign(summary: Summary, console: Console) -> String {
    let (sign, ink) = match summary {
        Summary::Invalid => ("✗ INVALID", Ink::Red),
        Summary::Valid => ("✓ VALID", Ink::Green),
        Summary::Unknown => ("? UNKNOWN", Ink::Yellow),
    };
    console.ink(ink, console.fit(sign))
}

fn key_name(run: &Run, key: &KeyVerdict) -> Option<String> {
    key.key.map(|key| run.history.values.display(key))
}

/// What a valid verdict says, in a sentence.
pub(crate) fn valid_sentence(run: &Run) -> String {
    let ops: usize = run.counts.iter().map(|count| count.ok + count.info).sum();
    if ops == 0 {
        return "There is nothing to contradict: no operation took effect.".into();
    }
    let what = if run.test.is_some() { "run" } else { "history" };
    let how = match run.consistency {
        Consistency::Linearizable | Consistency::SequentialPerKey if run.verdict.keyed => "by one order per key",
        Consistency::Sequential | Consistency::SequentialPerKey => "by one order that keeps that of each process",
        Consistency::Linearizable | Consistency::CausalConvergence => "by one order",
        Consistency::Causal => "by an order of what came causally before it",
        Consistency::Eventual => {
            return format!("In the end everybody read the same in this {what}, and nothing that was acknowledged is missing.");
        }
        Consistency::CausalMemory
        | Consistency::Pram
        | Consistency::ReadYourWrites
        | Consistency::MonotonicReads
        | Consistency::MonotonicWrites
        | Consistency::WritesFollowReads => "by one order per process",
        Consistency::Isolation(level) => {
            return format!("An order of the transactions explains what each read in this {what}: it is {}.", level.name());
        }
    };
    format!("Every answer of this {what} is explained {how}.")
}

fn invalid(run: &Run, block: &mut Block) {
    let Some((key, proof)) = first_invalid(run) else { return };
    sentence(run, key, proof, block);
    let grid = grid::draw(run, proof, block.console);
    if !grid.is_empty() {
        block.line("");
        for line in grid {
            block.line(&line);
        }
    }
    block.line("");
    steps(run, proof, block);
}

/// The counter-example to tell first: the one that was complete earliest.
pub fn first_invalid(run: &Run) -> Option<(&KeyVerdict, &Counterexample)> {
    let proofs = run.verdict.keys.iter().filter_map(|key| match &key.answer {
        Answer::Invalid(proof) => Some((key, &**proof)),
        _ => None,
    });
    let found_at = |proof: &Counterexample| {
        let completions = proof.core.iter().map(|&op| run.history.op(op).complete);
        completions.filter(|&event| event != histories::history::NO_EVENT).max().unwrap_or(u32::MAX)
    };
    proofs.min_by_key(|(_, proof)| found_at(proof))
}

/// What the ops of a counter-example are called, here and in the object for machines.
pub fn names<'a>(run: &'a Run, proof: &Counterexample) -> Names<'a> {
    Names::new(&run.history, run.verdict.is_per_key(), &proof.core)
}

fn sentence(run: &Run, key: &KeyVerdict, proof: &Counterexample, block: &mut Block) {
    let names = names(run, proof);
    let told = if key.key.is_none() { names.sentence(&proof.sentence) } else { names.text(&proof.sentence) };
    let told = if told.is_empty() { "no order of its operations explains what was read.".into() } else { told };
    let text = key_name(run, key).map_or_else(|| told.clone(), |key| format!("Key {key}: {told}"));
    block.inked(2, 2, &text, Some(Ink::Bold));
}

fn steps(run: &Run, proof: &Counterexample, block: &mut Block) {
    let names = names(run, proof);
    for (i, step) in proof.steps.iter().enumerate() {
        let mut text = names.sentence(&step.words);
        let because = names.sentence(&step.because);
        if !because.is_empty() {
            let _ = write!(text, " {because}");
        }
        block.hanging(&format!("{}  ", i + 1), &text);
    }
    if proof.steps.is_empty() {
        possible(run, proof, block);
    }
    if proof.minimal && proof.needed.len() > 1 {
        let labels: Vec<String> = proof.needed.iter().map(|&op| names.short_label(op)).collect();
        let which = if labels.len() <= 4 { labels.join(" or ") } else { format!("any one of these {} operations", labels.len()) };
        let explained = if run.consistency == Consistency::Eventual { "explained" } else { "ordered" };
        block.paragraph(2, 2, format!("Leave out {which}, and the rest can be {explained}."));
    }
}

/// Where there is no chain of reasons: how far an order gets, and what cannot follow.
fn possible(run: &Run, proof: &Counterexample, block: &mut Block) {
    let Some(blocked) = proof.blocked else { return };
    let states = states(&proof.states);
    let states = if states.is_empty() { states } else { format!("; then the state is {states}") };
    let names = names(run, proof);
    let named = |op| format!("{} of {}", names.short_label(op), describe::who(&run.history, op));
    let ordered = many(proof.prefix.len(), "operation");
    // What is said not to fit is the op that bears the sign in the grid.
    let end = match proof.stuck.filter(|&op| op != blocked) {
        None => format!("and {} cannot follow", named(blocked)),
        Some(stuck) => format!("and with {} none is left in which {} fits", named(blocked), named(stuck)),
    };
    block.paragraph(2, 2, format!("An order gets as far as {ordered}{states}, {end}."));
}

fn unknown(run: &Run, block: &mut Block) {
    for gap in &run.coverage.gaps {
        block.hanging("- ", gap);
    }
    if let Some(reason) = &run.verdict.reason {
        block.paragraph(2, 2, checker::text::capital(&reason_words(reason, run)));
    }
    let undecided: Vec<&KeyVerdict> = run.keys(Summary::Unknown).collect();
    for key in undecided.iter().take(KEYS_NAMED_MAX) {
        let Answer::Unknown(reason) = &key.answer else { continue };
        let told = reason_words(reason, run);
        let text = key_name(run, key).map_or_else(|| checker::text::capital(&told), |name| format!("Key {name}: {told}"));
        block.paragraph(2, 2, text);
        if let Some(part) = &key.undecided {
            block.paragraph(2, 2, part_sentence(part, run));
        }
    }
    if undecided.len() > KEYS_NAMED_MAX {
        block.paragraph(2, 2, format!("So do {} more.", many(undecided.len() - KEYS_NAMED_MAX, "key")));
    }
    if let Some((key, part)) = smallest_undecided(run).filter(|_| undecided.len() > 1) {
        let name = key_name(run, key).unwrap_or_default();
        block.paragraph(2, 2, format!("The smallest undecided part is that of key {name}, {}.", many(part.ops, "operation")));
    }
}

/// The undecided key of which the fewest ops are known to be undecided, and these.
pub fn smallest_undecided(run: &Run) -> Option<(&KeyVerdict, &Undecided)> {
    run.keys(Summary::Unknown).filter_map(|key| Some((key, key.undecided.as_ref()?))).min_by_key(|(_, part)| part.ops)
}

/// What of a key is undecided, in a sentence.
pub fn part_sentence(part: &Undecided, run: &Run) -> String {
    Names::new(&run.history, run.verdict.is_per_key(), &[]).sentence(&part.words())
}

/// Why nothing was decided, as a sentence that can follow `Key 3: `.
pub fn reason_words(reason: &Reason, run: &Run) -> String {
    let limit = match reason {
        Reason::Time { .. } => run.check.time_limit.map(duration),
        Reason::Memory { .. } => run.check.memory_limit_bytes.map(crate::ui::format::bytes),
        _ => None,
    };
    reason.in_words(limit.as_deref())
}

/// What was tested, how it was judged, where to read on, how to repeat it.
fn facts(run: &Run, report: Option<&Path>, block: &mut Block) {
    let ops = |outcome| count(run.ops(outcome) as u64, false);
    let text = format!("{} ok, {} fail, {} info", ops(Outcome::Ok), ops(Outcome::Fail), ops(Outcome::Info));
    block.fact("ops", &text, true);
    if let Some(faults) = faults(run) {
        block.fact("faults", &faults, true);
    }
    if let Some(share) = run.coverage.availability {
        let [answered, asked] = [share.answered, share.asked].map(|n| count(n as u64, false));
        block.fact(
            "answered",
            &format!("in {} % of the time that clients asked ({answered} of {asked} tenths of a second)", share.percent()),
            true,
        );
    }
    block.fact("model", &format!("{}, {}", run.verdict.model, algorithms(run)), true);
    if let Some(others) = others(run) {
        block.fact("also", &others, true);
    }
    for note in run.verdict.notes.iter().chain(&run.coverage.notes) {
        block.fact("note", note, true);
    }
    for note in &run.findings.notes {
        block.fact("nodes", note, true);
    }
    if let Some(try_this) = advice(run) {
        block.fact("try", try_this, true);
    }
    if let Some(kept) = kept(run, report) {
        block.fact("data", &kept, false);
    }
    if let Some(report) = report {
        block.fact("report", &crate::ui::format::path(report), false);
    }
    if !run.repeat.is_empty() {
        block.fact("repeat", &run.repeat, false);
    }
}

/// Where what the nodes stored is, if it was kept.
fn kept(run: &Run, report: Option<&Path>) -> Option<String> {
    let data: Vec<&NodeFile> = run.node_files.iter().filter(|file| file.is_data()).collect();
    let folder = report.and_then(Path::parent).unwrap_or(Path::new(""));
    let place = match data.as_slice() {
        [] => return None,
        [one] => folder.join(&one.path),
        [first, ..] => folder.join("*").join(first.path.file_name()?),
    };
    let bytes = crate::ui::format::bytes(data.iter().map(|file| file.bytes).sum());
    Some(format!("what the nodes stored ({bytes}): {}", crate::ui::format::path(&place)))
}

fn algorithms(run: &Run) -> String {
    let took = duration(run.check.check);
    match run.verdict.answer {
        Summary::Valid | Summary::Invalid => format!("decided in {took}"),
        Summary::Unknown => format!("not decided in {took}"),
    }
}

/// `partition 3 of 3 took effect; kill 0 of 2 took effect (at 3.1 s: n2 runs)`.
fn faults(run: &Run) -> Option<String> {
    let test = run.test.as_ref()?;
    if test.nemesis.is_empty() {
        return Some("none were asked for".into());
    }
    let each: Vec<String> = run
        .coverage
        .faults
        .iter()
        .map(|fault| {
            let seen = format!("{} {} of {} took effect", fault.fault, fault.observed, fault.injected);
            // Where some were seen, the report has the rest; where none was, the reason is why the run proves so little.
            let unseen = run.windows.iter().find(|w| w.fault == fault.fault && fault.observed == 0);
            unseen.map_or(seen.clone(), |window| format!("{seen} (at {} s: {})", seconds(window.from_ns), window.seen))
        })
        .collect();
    Some(each.join("; "))
}

/// The other keys that are not valid: `key 6 (4 operations), key 7 (3 operations)`.
fn others(run: &Run) -> Option<String> {
    if run.summary() != Summary::Invalid {
        return None;
    }
    let told = first_invalid(run)?.0.key;
    let others: Vec<(&KeyVerdict, usize)> = run
        .verdict
        .keys
        .iter()
        .filter_map(|key| match &key.answer {
            Answer::Invalid(proof) if key.key != told => Some((key, proof.core.len())),
            _ => None,
        })
        .collect();
    let mut named: Vec<String> = others
        .iter()
        .take(KEYS_NAMED_MAX)
        .map(|(key, ops)| format!("key {} ({})", key_name(run, key).unwrap_or_default(), many(*ops, "operation")))
        .collect();
    if others.len() > KEYS_NAMED_MAX {
        named.push(format!("and {} more", many(others.len() - KEYS_NAMED_MAX, "key")));
    }
    let undecided = run.keys(Summary::Unknown).count();
    if undecided > 0 {
        named.push(format!("{} undecided", many(undecided, "key")));
    }
    (!named.is_empty()).then(|| named.join(", "))
}

fn advice(run: &Run) -> Option<&'static str> {
    let reasons = run.verdict.keys.iter().filter_map(|key| match &key.answer {
        Answer::Unknown(reason) => Some(reason),
        _ => None,
    });
    reasons.chain(&run.verdict.reason).find_map(|reason| match reason {
        Reason::Time { .. } | Reason::Steps { .. } => {
            Some("a longer --time-limit; fewer ops per key; a longer --op-timeout, so that fewer outcomes are unknown")
        }
        Reason::Memory { .. } => {
            Some("a larger --memory-limit; fewer ops per key; a longer --op-timeout, so that fewer outcomes are unknown")
        }
        _ => None,
    })
}

/// States of which one holds: each text once, though several long ones may look alike in short.
fn states(states: &[String]) -> String {
    const SHOWN_MAX: usize = 8;
    let mut shown: Vec<String> = Vec::new();
    for state in states.iter().map(|state| elide(state)) {
        if shown.len() < SHOWN_MAX && !shown.contains(&state) {
            shown.push(state);
        }
    }
    let more = states.len() - shown.len();
    if more > 0 {
        shown.push(format!("one of {}", many(more, "other")));
    }
    shown.join(" or ")
}

#[cfg(test)]
mod tests;
