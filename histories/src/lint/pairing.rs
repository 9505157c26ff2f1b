//! Events that do not pair.

use super::{PLACES_MAX, Report, Rule, Severity, place_name, times, told};
use crate::history::{History, Misuse, MisuseKind, NO_EVENT};

/// The rule that a misuse breaks.
pub(super) fn rule(kind: MisuseKind) -> Rule {
    match kind {
        MisuseKind::CompletionWithoutInvocation => Rule::CompletionWithoutInvocation,
        MisuseKind::TwoOpsAtOnce => Rule::TwoOpsAtOnce,
        MisuseKind::OtherFunction => Rule::CompletesAnotherFunction,
        MisuseKind::GoesOnAfterInfo => Rule::GoesOnAfterInfo,
    }
}

const KINDS: [(MisuseKind, &str); 4] = [
    (MisuseKind::CompletionWithoutInvocation, "a process completes an op without having invoked one"),
    (MisuseKind::TwoOpsAtOnce, "a process invokes an op while its last one is in flight"),
    (MisuseKind::OtherFunction, "a process completes another function than it invoked"),
    (MisuseKind::GoesOnAfterInfo, "a process goes on after an op of unknown outcome"),
];

pub(super) fn lint(report: &mut Report<'_>) {
    let history = report.history;
    for (kind, what) in KINDS {
        let found: Vec<Misuse> = history.misuses().iter().filter(|misuse| misuse.kind == kind).copied().collect();
        if found.is_empty() {
            continue;
        }
        let places = found.iter().take(PLACES_MAX).map(|&misuse| (misuse.event, place(history, misuse))).collect();
        report.add(rule(kind), found.len(), format!("{}, {what}.", capital(&times(found.len()))), places);
    }
    completions_only(report);
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What happens there, and what came before: the other half of the misuse.
fn place(history: &History, misuse: Misuse) -> String {
    let event = misuse.event;
    let process = history.process(event);
    let other = match misuse.kind {
        MisuseKind::CompletionWithoutInvocation => None,
        MisuseKind::OtherFunction => history.ops().iter().find(|op| op.complete == event).map(|op| op.invoke),
        MisuseKind::TwoOpsAtOnce | MisuseKind::GoesOnAfterInfo => (0..event).rev().find(|&e| history.process(e) == process),
    };
    let other = other.filter(|&other| other != NO_EVENT);
    let before = other.map(|other| format!(", after {} in {}", short(history, other), place_name(history, other)));
    format!("{}{}", told(history, event), before.unwrap_or_default())
}

/// `invoke write 5`.
fn short(history: &History, event: u32) -> String {
    format!("{} {}", history.kind(event).name(), super::call(history, event, history.value(event)))
}

/// Formats that have no invocations by their nature.
const WITHOUT_INVOCATIONS: [&str; 3] = ["awdit", "plume", "dbcop"];

fn completions_only(report: &mut Report<'_>) {
    let history = report.history;
    let ops = history.ops();
    if ops.is_empty() || ops.iter().any(|op| op.invoke != NO_EVENT) {
        return;
    }
    let sentence = "There are completions only, so that no real-time order is known.".into();
    let finding = report.add(Rule::CompletionsOnly, ops.len(), sentence, Vec::new());
    if WITHOUT_INVOCATIONS.contains(&history.meta.format) {
        finding.severity = Severity::Note;
        finding.causes = vec!["the format has no invocations".into()];
    }
}
