//! The steps that explanations are made of: a sentence, why it follows, and an arrow.

use super::text;
use crate::linear::problem::Entry;
use crate::verdict::{Step, StepKind, Words};

/// `first` had completed before `second` was invoked.
pub(super) fn in_turn(first: Entry, second: Entry, because: Vec<Words>) -> Step {
    let words = vec![
        Words::Op(first.id),
        text(" had finished at "),
        Words::Completed(first.id),
        text(", before "),
        Words::Op(second.id),
        text(" was sent at "),
        Words::Invoked(second.id),
        text("."),
    ];
    Step { words, because, from: first.id, to: second.id, kind: StepKind::RealTime }
}

/// `reader` saw what `source` stored, as `told` says.
pub(super) fn took_effect(told: Vec<Words>, source: Entry, reader: Entry, stored: Words) -> Step {
    let so = vec![
        text(", so "),
        Words::Op(source.id),
        text(" of "),
        Words::Who(source.id),
        text(" had taken effect, by "),
        Words::Completed(reader.id),
        text("."),
    ];
    let because = vec![stored, text(" was stored by this operation and by no other.")];
    Step { words: [told, so].concat(), because, from: source.id, to: reader.id, kind: StepKind::Value }
}

/// `stuck` was invoked when `in_place` had been there: `before` had completed.
pub(super) fn later(before: Entry, stuck: Entry, in_place: Words) -> Step {
    let words = vec![
        text("Later, at "),
        Words::Invoked(stuck.id),
        text(", "),
        Words::Who(stuck.id),
        text(" sent "),
        Words::Op(stuck.id),
        text(". "),
        in_place,
        text(" was in place, or something newer."),
    ];
    let because = vec![text("Real time: the first had completed before the second was sent.")];
    Step { words, because, from: before.id, to: stuck.id, kind: StepKind::RealTime }
}

/// `stuck` needs what is there only before `replaced_by`, which it follows.
pub(super) fn too_late(stuck: Entry, replaced_by: Entry, needs: Words) -> Step {
    let words =
        vec![Words::Op(stuck.id), text(" needs "), needs, text(", which is only there before "), Words::Op(replaced_by.id), text(".")];
    let because = vec![text("It would have to come before an operation that it follows.")];
    Step { words, because, from: stuck.id, to: replaced_by.id, kind: StepKind::Contradiction }
}
