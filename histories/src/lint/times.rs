//! Times against the order in the file.

use super::{PLACES_MAX, Report, Rule, many, place_name, told};
use crate::history::{History, NO_EVENT, Outcome};

/// A run that is over sooner is none: a single op takes longer.
const SHORT_NS: i64 = 1_000;
/// A run that takes longer is none.
const LONG_NS: i64 = 365 * 24 * 60 * 60 * 1_000_000_000;

pub(super) fn lint(report: &mut Report<'_>) {
    let history = report.history;
    unit(report);
    if !runs_backwards(history) {
        return;
    }
    let backwards = backwards(history);
    if backwards.count == 0 {
        return;
    }
    let ends = ends_before_it_begins(history);
    let inverted = order_against_times(history);
    let harmless = ends.count == 0 && inverted.count == 0;
    let add = |report: &mut Report<'_>, rule, found: Found, sentence: &str| {
        if found.count > 0 {
            report.add(rule, found.count, format!("{} {sentence}", many(found.count, found.noun)), found.places);
        }
    };
    add(report, Rule::EndsBeforeItBegins, ends, "ended earlier than begun, by the times.");
    let order = "begun after others had ended, in the order of the file, and by the times it is the other way round.";
    add(report, Rule::OrderAgainstTimes, inverted, order);
    if harmless {
        add(
            report,
            Rule::TimesRunBackwards,
            backwards,
            "stamped earlier than one before it in the file; no op as a whole changes its place.",
        );
    }
}

/// Whether the times can be nanoseconds of a run, by how far the earliest and the latest are apart.
fn unit(report: &mut Report<'_>) {
    let history = report.history;
    let clients = (0..history.len() as u32).filter(|&event| history.is_client(history.process(event)));
    let timed = clients.filter_map(|event| Some((history.time(event)?, event)));
    let (mut first, mut last, mut count) = (None, None, 0);
    for time in timed {
        first = Some(first.map_or(time, |first| time.min(first)));
        last = Some(last.map_or(time, |last| time.max(last)));
        count += 1;
    }
    let (Some((first, earliest)), Some((last, latest))) = (first, last) else { return };
    let span_ns = last.saturating_sub(first);
    if count < 2 || (SHORT_NS..=LONG_NS).contains(&span_ns) {
        return;
    }
    let lasts = if span_ns < SHORT_NS { format!("{span_ns} ns") } else { format!("{} days", span_ns / (LONG_NS / 365)) };
    let place = |event, time| (event, format!("{} at {time} ns", told(history, event)));
    let sentence = format!("By its times the whole history lasts {lasts}.");
    report.add(Rule::TimesInAnotherUnit, count, sentence, vec![place(earliest, first), place(latest, last)]);
}

/// Places where something is wrong, and how many there are.
struct Found {
    count: usize,
    noun: &'static str,
    places: Vec<(u32, String)>,
}

impl Found {
    fn new(noun: &'static str) -> Found {
        Found { count: 0, noun, places: Vec::new() }
    }

    fn at(&mut self, event: u32, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.places.len() < PLACES_MAX {
            self.places.push((event, text()));
        }
    }
}

/// Whether any time, also one of the nemesis, is earlier than one before it: the one pass that every history pays for.
fn runs_backwards(history: &History) -> bool {
    let mut latest = i64::MIN;
    (0..history.len() as u32).any(|event| {
        let time = history.time(event).unwrap_or(latest);
        let earlier = time < latest;
        latest = time;
        earlier
    })
}

/// Events of clients with a time before the latest so far.
fn backwards(history: &History) -> Found {
    let mut found = Found::new("event");
    let mut latest: Option<(i64, u32)> = None;
    for event in (0..history.len() as u32).filter(|&event| history.is_client(history.process(event))) {
        let Some(time) = history.time(event) else { continue };
        match latest {
            Some((max, before)) if time < max => {
                found.at(event, || {
                    let earlier = max.saturating_sub(time);
                    format!("{earlier} ns before {}", place_name(history, before))
                });
            }
            _ => latest = Some((time, event)),
        }
    }
    found
}

fn ends_before_it_begins(history: &History) -> Found {
    let mut found = Found::new("op");
    for op in history.ops().iter().filter(|op| op.invoke != NO_EVENT && op.complete != NO_EVENT) {
        if let (Some(from), Some(to)) = (history.time(op.invoke), history.time(op.complete))
            && to < from
        {
            found.at(op.complete, || format!("{}, {} ns before it was invoked", told(history, op.complete), from.saturating_sub(to)));
        }
    }
    found
}

/// Ops that begin, in the file, after another has ended, and whose end is stamped before that other's begin. Ops of unknown
/// outcome end never.
fn order_against_times(history: &History) -> Found {
    let mut found = Found::new("op");
    let mut op_of = vec![u32::MAX; history.len()];
    for (id, op) in (0..).zip(history.ops()).filter(|(_, op)| op.invoke != NO_EVENT) {
        op_of[op.invoke as usize] = id;
        if matches!(history.outcome(*op), Outcome::Ok | Outcome::Fail) {
            op_of[op.complete as usize] = id;
        }
    }
    // Of the ops that have ended so far, the one that began latest by its time.
    let mut latest: Option<(i64, u32)> = None;
    for (event, &id) in (0..).zip(&op_of).filter(|(_, id)| **id != u32::MAX) {
        let op = history.ops()[id as usize];
        if event == op.invoke {
            let ended = matches!(history.outcome(op), Outcome::Ok | Outcome::Fail).then(|| history.time(op.complete)).flatten();
            if let (Some((began, other)), Some(ended)) = (latest, ended)
                && ended < began
            {
                found.at(event, || {
                    let by = began.saturating_sub(ended);
                    format!("{}: it ended {by} ns before the op of {} began", told(history, event), place_name(history, other))
                });
            }
        } else if let Some(began) = history.time(op.invoke)
            && latest.is_none_or(|(max, _)| began > max)
        {
            latest = Some((began, op.invoke));
        }
    }
    found
}
