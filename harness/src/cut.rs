//! A run that ended before its time: by whom, after how long, and what that does to its verdict.
//!
//! What was not recorded cannot contradict anything, so a run that was cut short is at best unknown, unless somebody says that
//! the recorded part is enough (`--accept-partial`). An invalid one stays invalid: no later event mends a contradiction.

use crate::timeline::PHASE;
use crate::timeline::{Phase, PhaseSpan};
use histories::{History, Value};
use serde::{Serialize, Serializer};

/// The function of the nemesis's event that says that a phase was ended early. Its value says by what: `SIGTERM`.
pub const CUT_SHORT: &str = "cut-short";

/// The entry of a history's header that says how long the main phase was to last, in milliseconds.
pub const TIME_LIMIT_MS: &str = "time-limit-ms";

/// Where and why a run ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// What ended it: `SIGTERM`, `Ctrl-C`; `None` where the recording just ends, because the harness was killed or could not go on.
    pub by: Option<String>,
    /// The phase in which it ended.
    pub phase: Phase,
    /// How much of the main phase was carried out, in nanoseconds.
    pub after_ns: i64,
    /// How long the main phase was to last, in milliseconds, if that is known.
    pub of_ms: Option<u64>,
}

impl Cut {
    /// `cut short after 3.5 of 10 s by SIGTERM`.
    pub fn in_words(&self) -> String {
        let seconds = self.after_ns as f64 / 1e9;
        let place = match (self.phase, self.of_ms) {
            (Phase::Setup, _) => "before the first client could ask".into(),
            (Phase::Main, Some(of)) => format!("after {seconds:.1} of {} s", of as f64 / 1e3),
            (Phase::Main, None) => format!("after {seconds:.1} s"),
            (Phase::Recovery, _) => "while the cluster recovered from the faults".into(),
            (Phase::FinalReads, _) => "during the final reads".into(),
        };
        match &self.by {
            Some(by) => format!("cut short {place} by {by}"),
            None => format!("cut short {place}, where the recording ends"),
        }
    }
}

impl Serialize for Cut {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.in_words())
    }
}

/// Whether a recorded run was cut short. `None` for one that was carried out, and for histories that do not tell of phases.
pub fn of(history: &History, phases: &[PhaseSpan], limit_ms: Option<u64>) -> Option<Cut> {
    let recorded = || phases.iter().filter(|span| span.phase != Phase::Setup);
    let last = recorded().next_back()?;
    let is = |event: &u32, f: &str| history.name(history.function(*event)) == f;
    let (by, span, at) = match history.nemesis_events().find(|event| is(event, CUT_SHORT)) {
        Some(event) => {
            // By the order of the events, for two may have the same time.
            let begun = history.nemesis_events().take_while(|other| *other < event).filter(|other| is(other, PHASE)).count();
            let span = recorded().nth(begun.saturating_sub(1)).unwrap_or(last);
            (Some(history.values.name(history.value(event)).to_owned()), span, history.time(event).unwrap_or(span.from_ns))
        }
        None if last.to_ns.is_none() => {
            (None, last, (0..history.len() as u32).rev().find_map(|event| history.time(event)).unwrap_or(last.from_ns))
        }
        None => return None,
    };
    let main = recorded().find(|span| span.phase == Phase::Main);
    let after_ns = main.map_or(0, |main| main.to_ns.unwrap_or(at).min(at) - main.from_ns);
    Some(Cut { by, phase: span.phase, after_ns, of_ms: limit_ms.or_else(|| limit_of_header(history)) })
}

fn limit_of_header(history: &History) -> Option<u64> {
    match history.meta.header.get(TIME_LIMIT_MS) {
        Some(Value::Int(ms)) => u64::try_from(*ms).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::fault_windows;
    use histories::{Builder, Event, Kind};

    /// A history of events of the nemesis: function, value, milliseconds.
    fn cut(events: &[(&str, &str, i64)], limit_ms: Option<u64>) -> Option<String> {
        let mut b = Builder::new();
        for (f, value, ms) in events {
            let (process, value, f) = (b.values().str("nemesis"), b.values().str(value), b.name(f));
            b.push(Event { process, kind: Kind::Info, f, value, time: ms * 1_000_000, line: 0 });
        }
        let history = b.finish();
        of(&history, &fault_windows::phases(&history), limit_ms).map(|cut| cut.in_words())
    }

    #[test]
    fn whoever_ends_a_run_early_is_named() {
        let (main, recovery, reads, end) =
            ((PHASE, "main", 0), (PHASE, "recovery", 3_500), (PHASE, "final-reads", 5_000), (PHASE, "end", 6_000));
        assert_eq!(cut(&[main, recovery, reads, end], Some(3_500)), None);
        assert_eq!(cut(&[], Some(10_000)), None, "no run of ours");
        for (events, words) in [
            (&[main, (CUT_SHORT, "SIGTERM", 3_500), recovery, reads, end][..], "cut short after 3.5 of 10 s by SIGTERM"),
            (&[main, ("start-kill", "", 2_000)], "cut short after 2.0 of 10 s, where the recording ends"),
            (&[main, recovery], "cut short while the cluster recovered from the faults, where the recording ends"),
            (&[main, recovery, reads, (CUT_SHORT, "Ctrl-C", 5_500), end], "cut short during the final reads by Ctrl-C"),
        ] {
            assert_eq!(cut(events, Some(10_000)).as_deref(), Some(words));
        }
        assert_eq!(cut(&[main, (CUT_SHORT, "SIGHUP", 250)], None).as_deref(), Some("cut short after 0.2 s by SIGHUP"));
    }
}
