//! What the verdict means, and what it does not.

use super::Section;
use super::text::{capital, count};
use super::view::View;
use checker::verdict::Summary;
use checker::{Consistency, Keeps};
use maud::html;

/// The section; always there.
pub(super) fn section(view: &View<'_>) -> Section {
    let heading = "What this verdict means, and what it does not";
    let (means, rests) = (means(view), rests_on(view));
    let lead = html! {};
    let body = html! {
        div class="two" {
            ul { @for line in &means { li { (line) } } }
            ul { @for line in &rests { li { (line) } } }
        }
    };
    Section { id: "limits", menu: "Limits", heading: heading.into(), lead, body }
}

fn means(view: &View<'_>) -> Vec<String> {
    let run = view.run;
    let consistency = run.verdict.consistency;
    let mut lines: Vec<String> = match run.summary() {
        Summary::Valid => vec![
            format!(
                "VALID is no guarantee. This history has an explanation that is {consistency}; a bug that this run did not provoke was not excluded."
            ),
            "The order shown is a possible one. The store may have used another.".into(),
        ],
        Summary::Invalid => vec![
            format!(
                "INVALID is a proof, if what was recorded is true: nothing that is {consistency} can have given these answers. The counter-example can be checked by hand."
            ),
            "It shows what was observed from outside, not which line of the store is at fault.".into(),
        ],
        Summary::Unknown => vec!["UNKNOWN is neither: the store may be right or wrong. It must not pass as valid.".into()],
    };
    if view.is_by_key() {
        lines.push("One key at a time: nothing here speaks of operations over several keys together.".into());
    }
    let silent = run.windows.iter().filter(|w| !w.observed).count();
    if silent > 0 {
        lines.push(format!("{} of the injected faults had no effect that could be seen, so nothing was learnt about them.", count(silent)));
    }
    if run.test.is_some() && run.windows.is_empty() {
        lines.push("No fault was active during this run: it says nothing about behaviour under faults.".into());
    }
    lines
}

fn rests_on(view: &View<'_>) -> Vec<String> {
    let consistency = view.consistency();
    let order = match consistency {
        Consistency::Linearizable => {
            "It rests on one clock: all events were ordered where the clients ran, whatever the clocks of the nodes said."
        }
        Consistency::Eventual => {
            "It rests on the pause before the final reads having been long enough, and on updates of unknown outcome having taken effect before it or never."
        }
        Consistency::Isolation(level) if level.keeps() == Keeps::RealTime => {
            "It rests on one clock: all events were ordered where the clients ran, whatever the clocks of the nodes said."
        }
        Consistency::Isolation(level) if level.keeps() == Keeps::Data => {
            "It rests on what the transactions read and wrote, and on nothing else: no clock plays a part, and no session's order."
        }
        _ => "It rests on the order of each process's operations, and on nothing else: no clock plays a part.",
    };
    let mut lines = vec![
        order.into(),
        "It rests on definite errors being definite: an operation recorded as failed must really have done nothing.".into(),
    ];
    if !matches!(consistency, Consistency::Linearizable | Consistency::Eventual) {
        lines.push(
            "An operation of unknown outcome ends its session: what the same client did afterwards counts as another session.".into(),
        );
    }
    if !view.history().has_real_time() {
        lines.push("This file records completions only: nothing could be concluded from real time.".into());
    }
    if !view.timed && !view.history().ops().is_empty() {
        lines.push("This file has no times: pictures show the order of events, and there are no charts.".into());
    }
    if view.shifted() {
        lines.push("Times on this page count from the first event; the file has absolute times.".into());
    }
    lines.extend(view.run.verdict.notes.iter().map(|note| capital(note)));
    lines
}
