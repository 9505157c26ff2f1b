//! What did not converge, in words.

use super::Object;
use super::decode::Act;
use crate::convergence::compare::Wrong;
use crate::text::{count, many};
use crate::verdict::{Counterexample, Others, Pattern, Step, StepKind, Words};
use histories::{History, OpId, ValueId};
use std::fmt::Write;

fn text(text: &str) -> Words {
    Words::Text(text.into())
}

/// The few ops that show it, and what they show.
pub(super) fn contradiction(history: &History, object: &Object, wrong: &Wrong) -> Counterexample {
    let value = |value: ValueId| Words::Value(history.values.display(value));
    let proof = match wrong.clone() {
        Wrong::Gone { read, value: seen, add, others } => gone(object, read, (seen, value(seen)), add, others),
        Wrong::CameBack { read, value: seen, known_by, remove } => came_back(object, read, value(seen), known_by, remove),
        Wrong::NotRemoved { read, value: seen, removes, known_by } => {
            not_removed(history, object, read, (seen, value(seen)), &removes, known_by)
        }
        Wrong::EarlySum { read, seen, possible } => early_sum(read, seen, possible),
        Wrong::Nowhere { read, value: seen } => nowhere(object, read, seen, value(seen)),
        Wrong::Twice { read, value: seen, times, attempted } => {
            let often = if times == 2 { "twice".into() } else { format!("{} times", count(times as u64, false)) };
            let attempted = match attempted {
                1 => "once".into(),
                n => format!("{} times", count(n as u64, false)),
            };
            let sentence = vec![
                Words::Who(read),
                text(" read "),
                value(seen),
                text(&format!(" {often}{}, and it can be there {attempted}.", when(object, read))),
            ];
            Counterexample { sentence, pattern: Some(Pattern::Duplicate), ..of(&[read], read) }
        }
        Wrong::Lost { read, value: seen, there, others } => missing(object, read, (seen, value(seen)), there, others),
        Wrong::AllLost { read, update, value: seen } => {
            let mut sentence = vec![
                Words::Who(read),
                text(" read the initial value ("),
                value(seen),
                text(") after the last update had ended, although "),
                Words::Op(update),
                text(" of "),
                Words::Who(update),
                text(" had been acknowledged"),
            ];
            sentence.extend([text(" at "), Words::Completed(update), text(".")]);
            let against = vec![Words::Who(read), text(" read at "), Words::Completed(read), text(" as if nothing had been written.")];
            Counterexample { sentence, steps: lost(read, update, against), pattern: Some(Pattern::Lost), ..of(&[update, read], read) }
        }
        Wrong::SeenThenGone { early, read, value: seen, there, adds } => seen_then_gone(early, read, &value(seen), there, &adds),
        Wrong::EarlyAndLate { early, read, number } => early_and_late(&early, read, number),
        Wrong::FoundTooOften { ops, read, times } => found_too_often(&ops, read, times),
        Wrong::NeverBack { read, op } => never_back(read, op),
        Wrong::Sum { read, seen, sum } => sum_of(read, seen, sum),
        Wrong::Differ { here, there, element } => differ(history, object, here, there, element),
    };
    Counterexample {
        others: if matches!(wrong, Wrong::Sum { .. } | Wrong::EarlySum { .. } | Wrong::EarlyAndLate { .. }) {
            Others::AsRecorded
        } else {
            Others::AtMostOnce
        },
        ..proof
    }
}

/// A counter-example of these ops, of which none has been said yet.
fn of(needed: &[OpId], stuck: OpId) -> Counterexample {
    let mut core = needed.to_vec();
    core.sort_unstable();
    Counterexample { core: core.clone(), needed: core, stuck: Some(stuck), ..Counterexample::default() }
}

/// An element that was added and is not there, or not as often as it was added.
fn missing(object: &Object, read: OpId, (element, shown): (ValueId, Words), there: usize, others: usize) -> Counterexample {
    let is_add = |update: &&super::Update| update.is_done && update.act == Act::Add(element);
    let adds: Vec<OpId> = object.updates.iter().filter(is_add).take(there + 1).map(|update| update.op).collect();
    let Some(&update) = adds.last() else { return Counterexample::default() };
    let mut sentence = vec![shown.clone(), text(", which "), Words::Who(update), text(" added ")];
    sentence.extend(acknowledged(update));
    let is_missing = match there {
        0 => ", is missing from what ".to_owned(),
        n => format!(
            " when it had been added {} before, is there only so often in what ",
            if n == 1 { "once".into() } else { format!("{n} times") }
        ),
    };
    sentence.extend([text(&is_missing), Words::Who(read), text(" read after the last update had ended")]);
    if others > 0 {
        sentence.push(text(&format!("; so {} {} more", if others == 1 { "is" } else { "are" }, count(others as u64, false))));
    }
    sentence.push(text("."));
    let against = vec![Words::Who(read), text(" read at "), Words::Completed(read), text(", and "), shown, text(" was not there.")];
    let needed = [adds, vec![read]].concat();
    Counterexample { sentence, steps: lost(read, update, against), pattern: Some(Pattern::Lost), ..of(&needed, read) }
}

fn acknowledged(update: OpId) -> [Words; 3] {
    [text("(acknowledged at "), Words::Completed(update), text(")")]
}

fn lost(read: OpId, update: OpId, against: Vec<Words>) -> Vec<Step> {
    let words =
        vec![Words::Op(update), text(" of "), Words::Who(update), text(" was acknowledged at "), Words::Completed(update), text(".")];
    let because = vec![text("The read began later, when all updates had ended.")];
    vec![
        Step { words, because, from: update, to: read, kind: StepKind::RealTime },
        Step {
            words: against,
            because: vec![text("No other update can have taken it away.")],
            from: read,
            to: update,
            kind: StepKind::Contradiction,
        },
    ]
}

fn nowhere(object: &Object, read: OpId, seen: ValueId, shown: Words) -> Counterexample {
    let mut proof = of(&[read], read);
    let failed =
        object.failed.iter().find(|(_, act)| matches!(act, Act::Write(value) | Act::Replace(_, value) | Act::Add(value) if *value == seen));
    proof.sentence = vec![Words::Who(read), text(" read "), shown, text(&format!("{}, ", when(object, read)))];
    match failed {
        None if !is_final(object, read) => proof.sentence.push(text("which nobody had begun to put there by then.")),
        None => proof.sentence.push(text("which nobody put there.")),
        Some((failed, _)) => {
            proof.core.push(*failed);
            proof.core.sort_unstable();
            proof.sentence.extend([text("which only "), Words::Op(*failed), text(" of "), Words::Who(*failed)]);
            proof.sentence.push(text(" would have put there, which had failed."));
        }
    }
    proof.pattern = Some(Pattern::ThinAirRead);
    proof
}

fn is_final(object: &Object, read: OpId) -> bool {
    object.reads.iter().any(|known| known.op == read)
}

fn when(object: &Object, read: OpId) -> &'static str {
    if is_final(object, read) { " after the last update had ended" } else { "" }
}

/// An element that no remove can have taken away.
fn gone(object: &Object, read: OpId, (element, shown): (ValueId, Words), add: OpId, others: usize) -> Counterexample {
    let was_removed = object.updates.iter().any(|update| update.act == Act::Remove(element));
    let mut sentence = vec![shown.clone(), text(", which "), Words::Who(add), text(" added ")];
    sentence.extend(acknowledged(add));
    sentence.push(text(if was_removed { " when every remove of it had ended" } else { "" }));
    sentence.extend([text(", is missing from what "), Words::Who(read), text(" read after the last update had ended")]);
    if others > 0 {
        sentence.push(text(&format!("; so {} {} more", if others == 1 { "is" } else { "are" }, count(others as u64, false))));
    }
    sentence.push(text("."));
    let against = vec![Words::Who(read), text(" read at "), Words::Completed(read), text(", and "), shown, text(" was not there.")];
    let mut steps = lost(read, add, against);
    if was_removed && let Some(last) = steps.last_mut() {
        last.because = vec![text("A remove takes away the adds that it has seen, and this one began later than all removes had ended.")];
    }
    Counterexample { sentence, steps, pattern: Some(Pattern::Lost), ..of(&[add, read], read) }
}

/// How somebody knew an element: by adding it, or by reading it.
fn knew(object: &Object, by: OpId) -> &'static str {
    if object.updates.iter().any(|update| update.op == by) { "had put it there" } else { "had read it" }
}

/// `process 1 on n2, which had read it, removed it (acknowledged at 0.02 s)`, as an arrow.
fn removed(object: &Object, remove: OpId, known_by: OpId) -> Step {
    let mut words = vec![Words::Who(remove), text(&format!(" {} (", knew(object, known_by))), Words::Op(known_by)];
    words.extend([text(") and then removed it, which was acknowledged at "), Words::Completed(remove), text(".")]);
    let because = vec![text("A remove has seen what its own process did and read before.")];
    Step { words, because, from: known_by, to: remove, kind: StepKind::RealTime }
}

fn came_back(object: &Object, read: OpId, shown: Words, known_by: OpId, remove: OpId) -> Counterexample {
    let mut sentence = vec![Words::Who(read), text(" read "), shown.clone(), text(" after the last update had ended, although ")];
    sentence.extend([Words::Who(remove), text(&format!(", who {}, had removed it ", knew(object, known_by)))]);
    sentence.extend(acknowledged(remove));
    sentence.push(text(": from a two-phase set an element is removed for ever."));
    let against = vec![Words::Who(read), text(" read at "), Words::Completed(read), text(", and "), shown, text(" was there.")];
    let because = vec![text("An add of what was removed does not bring it back.")];
    let steps =
        vec![removed(object, remove, known_by), Step { words: against, because, from: read, to: remove, kind: StepKind::Contradiction }];
    Counterexample { sentence, steps, pattern: Some(Pattern::NotRemoved), ..of(&[known_by, remove, read], read) }
}

fn not_removed(
    history: &History,
    object: &Object,
    read: OpId,
    (element, shown): (ValueId, Words),
    removes: &[OpId],
    known_by: Option<OpId>,
) -> Counterexample {
    let adds: Vec<OpId> = object.updates.iter().filter(|update| update.act == Act::Add(element)).map(|update| update.op).collect();
    let mut sentence = vec![Words::Who(read), text(" read "), shown.clone(), text(" after the last update had ended, although ")];
    if let [remove] = removes {
        sentence.extend([Words::Op(*remove), text(" of "), Words::Who(*remove), text(", acknowledged at "), Words::Completed(*remove)]);
        sentence.push(text(if adds.len() == 1 { ", had seen the only add of it." } else { ", had seen all adds of it." }));
    } else {
        sentence
            .push(text(&format!("every add of it had been seen by one of {} acknowledged removes.", count(removes.len() as u64, false))));
    }
    let mut steps: Vec<Step> = Vec::new();
    // An add by another process is known by a read; else each remove follows an add of its own process.
    let process = |op: OpId| history.op_process(history.op(op));
    let own = |op: OpId| removes.iter().copied().find(|&remove| process(op) == process(remove) && op < remove);
    for &add in adds.iter().take(STEPS_MAX) {
        match (own(add), known_by) {
            (Some(remove), _) => steps.push(removed(object, remove, add)),
            (None, Some(known_by)) => {
                steps.extend(own(known_by).map(|remove| removed(object, remove, known_by)));
            }
            (None, None) => {}
        }
    }
    let against = vec![Words::Who(read), text(" read at "), Words::Completed(read), text(", and "), shown, text(" was there.")];
    let because = vec![text("No add of it is left that was not seen by a remove.")];
    let last = removes.last().copied().unwrap_or(read);
    steps.push(Step { words: against, because, from: read, to: last, kind: StepKind::Contradiction });
    let needed: Vec<OpId> = removes.iter().copied().chain(known_by).chain([read]).collect();
    let mut proof = Counterexample { sentence, steps, pattern: Some(Pattern::NotRemoved), ..of(&needed, read) };
    proof.core.extend(adds);
    proof.core.sort_unstable();
    proof.core.dedup();
    proof
}

/// Adds that are explained one by one, at most.
const STEPS_MAX: usize = 8;

fn early_sum(read: OpId, seen: i64, (low, high): (i128, i128)) -> Counterexample {
    let seen_wide = i128::from(seen);
    let why = match () {
        () if seen_wide < low => format!(", and what had begun by then makes it {low} at least."),
        () if seen_wide > high => format!(", and what had begun by then makes it {high} at most."),
        () => ", which is no sum of changes that had begun by then.".into(),
    };
    let sentence = vec![Words::Who(read), text(" read "), Words::Value(seen.to_string()), text(&why)];
    Counterexample { sentence, pattern: Some(Pattern::WrongSum), ..of(&[read], read) }
}

/// An element that was read, and nobody removed.
fn seen_then_gone(early: OpId, read: OpId, shown: &Words, there: usize, adds: &[OpId]) -> Counterexample {
    let missing = match there {
        0 => " is missing from".to_owned(),
        1 => " is there only once in".into(),
        n => format!(" is there only {n} times in"),
    };
    let sentence = vec![
        shown.clone(),
        text(", which "),
        Words::Who(early),
        text(" had read at "),
        Words::Completed(early),
        text(","),
        text(&missing),
        text(" what "),
        Words::Who(read),
        text(" read after the last update had ended, and nothing took it away."),
    ];
    let words = vec![Words::Who(early), text(" read "), shown.clone(), text(" at "), Words::Completed(early), text(".")];
    let because = vec![text("What was read had happened, and counts in the end.")];
    let how = if there == 0 { " was not there." } else { " was there less often." };
    let against = vec![Words::Who(read), text(" read at "), Words::Completed(read), text(", and "), shown.clone(), text(how)];
    let steps = vec![
        Step { words, because, from: early, to: read, kind: StepKind::RealTime },
        Step {
            words: against,
            because: vec![text("No update can have taken it away.")],
            from: read,
            to: early,
            kind: StepKind::Contradiction,
        },
    ];
    let needed = [adds, &[early, read]].concat();
    Counterexample { sentence, steps, pattern: Some(Pattern::Lost), ..of(&needed, read) }
}

fn early_and_late(early: &[OpId], read: OpId, number: i64) -> Counterexample {
    let mut sentence = vec![Words::Who(read), text(" read "), Words::Value(number.to_string())];
    sentence
        .push(text(" after the last update had ended, and no choice of the updates of unknown outcome that gives this also gives what "));
    sentence.extend(listed(early, |op| [Words::Who(op), text(" had read at "), Words::Completed(op)]));
    sentence.push(text("."));
    Counterexample { sentence, pattern: Some(Pattern::WrongSum), ..of(&[early, &[read]].concat(), read) }
}

/// The first few ops in words, and how many more there are.
fn listed(ops: &[OpId], words: impl Fn(OpId) -> [Words; 3]) -> Vec<Words> {
    let mut list = Vec::new();
    for (place, &op) in ops.iter().take(STEPS_MAX).enumerate() {
        if place > 0 {
            list.push(text(if place + 1 == ops.len() { " and " } else { ", " }));
        }
        list.extend(words(op));
    }
    if ops.len() > STEPS_MAX {
        list.push(text(&format!(" and {} more", ops.len() - STEPS_MAX)));
    }
    list
}

/// Cas that found a value more often than it was there.
fn found_too_often(ops: &[OpId], read: Option<OpId>, times: Option<usize>) -> Counterexample {
    let needed: Vec<OpId> = ops.iter().copied().chain(read).collect();
    let mut sentence = listed(&needed, |op| [Words::Op(op), text(" of "), Words::Who(op)]);
    let often = match times {
        Some(0) => "was never there".to_owned(),
        Some(1) => "was there once at most".into(),
        Some(n) => format!("was there {n} times at most"),
        None => "was there less often".into(),
    };
    sentence.push(text(&match needed.len() {
        1 if times.is_none() => " found what cannot have been there.".to_owned(),
        1 => format!(" found what {often}."),
        _ => format!(" each found what {often}: no order of the updates explains them all."),
    }));
    let last = needed.last().copied().unwrap_or(OpId(0));
    Counterexample { sentence, pattern: (times == Some(0)).then_some(Pattern::ThinAirRead), ..of(&needed, last) }
}

/// A value that nothing brings back.
fn never_back(read: OpId, op: OpId) -> Counterexample {
    let sentence = vec![
        Words::Op(read),
        text(" of "),
        Words::Who(read),
        text(" after the last update had ended found what cannot have come back after "),
        Words::Op(op),
        text(" of "),
        Words::Who(op),
        text(": no write or cas stores it again."),
    ];
    let against = vec![Words::Who(read), text(" read at "), Words::Completed(read), text(" as if that had not happened.")];
    Counterexample { sentence, steps: lost(read, op, against), pattern: Some(Pattern::Lost), ..of(&[op, read], read) }
}

fn sum_of(read: OpId, seen: i64, sum: crate::convergence::compare::Sum) -> Counterexample {
    let (low, high) = (sum.acknowledged + sum.unknown.0, sum.acknowledged + sum.unknown.1);
    let mut told = format!(
        " after the last update had ended; {} acknowledged {} {}",
        if sum.changes == 1 { "the one".into() } else { format!("the {}", count(sum.changes as u64, false)) },
        if sum.changes == 1 { "change makes it" } else { "changes make it" },
        sum.acknowledged
    );
    if sum.unknown != (0, 0) {
        let _ = write!(told, ", or with those of unknown outcome between {low} and {high}");
    }
    let seen_wide = i128::from(seen);
    let _ = match () {
        () if seen_wide < low => write!(told, ": {} is gone.", low - seen_wide),
        () if seen_wide > high => write!(told, ": {} came from nowhere.", seen_wide - high),
        () => write!(told, ": none of the sums between is it."),
    };
    let sentence = vec![Words::Who(read), text(" read "), Words::Value(seen.to_string()), text(&told)];
    Counterexample { sentence, pattern: Some(Pattern::WrongSum), ..of(&[read], read) }
}

fn differ(history: &History, object: &Object, here: OpId, there: OpId, element: Option<ValueId>) -> Counterexample {
    let shown = |op: OpId| {
        let read = object.reads.iter().find(|read| read.op == op).map(|read| &read.seen);
        Words::Value(match read {
            Some(super::Seen::Value(value)) => history.values.display(*value),
            Some(super::Seen::Number(number)) => number.to_string(),
            Some(super::Seen::Elements(elements)) => many(elements.len(), "element"),
            None => String::new(),
        })
    };
    let is_list = object.reads.iter().any(|read| matches!(read.seen, super::Seen::Elements(_)));
    let both = [Words::Who(here), text(" and "), Words::Who(there)];
    let (sentence, against) = match element {
        Some(element) => {
            let element = Words::Value(history.values.display(element));
            let start = [both.to_vec(), vec![text(" differ after the last update had ended: the former read ")]].concat();
            let end = vec![element.clone(), text(", the latter did not.")];
            let against = vec![Words::Who(there), text(" did not read "), element, text(" at "), Words::Completed(there), text(".")];
            ([start, end].concat(), against)
        }
        None if is_list => {
            let end = vec![text(" read the same elements in different orders after the last update had ended.")];
            ([both.to_vec(), end].concat(), vec![Words::Who(there), text(" read them in another order.")])
        }
        None => {
            let end =
                vec![text(" read different values after the last update had ended: "), shown(here), text(" and "), shown(there), text(".")];
            let against = vec![Words::Who(there), text(" read "), shown(there), text(" at "), Words::Completed(there), text(".")];
            ([both.to_vec(), end].concat(), against)
        }
    };
    let because = vec![text("Nothing was updated any more: all final reads should be the same.")];
    let steps = vec![Step { words: against, because, from: here, to: there, kind: StepKind::Contradiction }];
    Counterexample { sentence, steps, pattern: Some(Pattern::FinalReadsDiffer), ..of(&[here, there], there) }
}
