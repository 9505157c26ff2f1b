//! Judges a file against several consistency models, and shows the ladder of answers ([`checker::ladder`]).

use crate::check::analysis::{FileError, FileOptions, RecordedFile};
use crate::render::{json, terminal};
use crate::run::Run;
use crate::ui::console::{Console, Ink};
use crate::ui::progress::Progress;
use checker::Consistency;
use checker::ladder::{Overall, Rung, hold_true, strongest};
use checker::verdict::Summary;
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::path::Path;

/// Judges a file against every model, of transactions against every isolation level, each before those that it implies.
///
/// # Errors
/// No model at all can be judged on it.
pub fn climb(
    file: &mut RecordedFile,
    how: &FileOptions,
    stop: impl Fn() -> bool + Sync,
    progress: &Progress,
) -> Result<Vec<Rung>, FileError> {
    let mut rungs = Vec::new();
    let mut unfit = None;
    for consistency in file.levels(how) {
        let how = FileOptions { consistency, ..how.clone() };
        rungs.push(match file.judge(&how, &stop, progress) {
            Ok(run) => rung(consistency, run),
            Err(FileError::Model(why)) => {
                unfit.get_or_insert(why.clone());
                Rung { consistency, summary: Summary::Unknown, reason: Some(why), judged: false }
            }
            Err(error) => return Err(error),
        });
    }
    let undecided = rungs.iter().all(|rung| rung.summary == Summary::Unknown);
    match unfit {
        Some(why) if undecided && rungs.iter().all(|rung| rung.reason.as_ref() == Some(&why)) => Err(FileError::Model(why)),
        _ => Ok(hold_true(&rungs)),
    }
}

/// The same for some models only, each judged only if its answer does not follow from others: the strongest first, because it may
/// hold, then the weakest, because it may not.
///
/// # Errors
/// A model cannot be judged on it.
pub fn climb_to_decide(
    file: &mut RecordedFile,
    how: &FileOptions,
    asked: impl Fn(Consistency) -> bool,
    stop: impl Fn() -> bool + Sync,
    progress: &Progress,
) -> Result<Vec<Rung>, FileError> {
    let open = |consistency| Rung { consistency, summary: Summary::Unknown, reason: None, judged: true };
    let mut rungs: Vec<Rung> = Consistency::ALL.into_iter().filter(|&model| asked(model)).map(open).collect();
    let first = (0..rungs.len()).take(1);
    for place in first.chain((1..rungs.len()).rev()) {
        let consistency = rungs[place].consistency;
        if hold_true(&rungs)[place].summary == Summary::Unknown {
            let run = file.judge(&FileOptions { consistency, ..how.clone() }, &stop, progress)?;
            rungs[place] = rung(consistency, run);
        }
    }
    Ok(hold_true(&rungs))
}

/// The ladder for the terminal.
pub fn block(rungs: &[Rung], overall: &Overall, console: Console) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}  {}\n", terminal::sign(overall.summary, console), console.ink(Ink::Bold, &overall.words));
    let longest = rungs.iter().map(|rung| rung.consistency.name().len()).max().unwrap_or(0).max(19);
    for rung in rungs {
        let (sign, ink) = match rung.summary {
            Summary::Valid => ("✓ valid  ", Ink::Green),
            Summary::Invalid => ("✗ invalid", Ink::Red),
            Summary::Unknown if !rung.judged => ("– unfit  ", Ink::Dim),
            Summary::Unknown => ("? unknown", Ink::Yellow),
        };
        let head = format!("{}  {:<longest$}", console.ink(ink, console.fit(sign)), rung.consistency.name());
        let reason = console.fit(rung.reason.as_deref().unwrap_or_default());
        let mut lines = terminal::wrap(&reason, console.width.saturating_sub(12 + longest)).into_iter();
        let _ = writeln!(out, "{}", format!("{head} {}", lines.next().unwrap_or_default()).trim_end());
        for line in lines {
            let _ = writeln!(out, "{:1$}{line}", "", 12 + longest);
        }
    }
    out
}

/// The ladder for machines. The names of its fields are a promise.
pub fn json(path: &Path, rungs: &[Rung], overall: &Overall, at_least: Option<Consistency>) -> Json {
    json!({
        "file": path.display().to_string(),
        "verdict": overall.summary,
        "at_least": at_least.map(Consistency::name),
        "strongest": strongest(rungs).into_iter().map(Consistency::name).collect::<Vec<_>>(),
        "ladder": rungs.iter().map(rung_json).collect::<Vec<_>>(),
    })
}

/// What judging a file against the model gave.
pub fn rung(consistency: Consistency, run: &Run) -> Rung {
    Rung { consistency, summary: run.summary(), reason: json::reason(run), judged: true }
}

/// For machines. The names of its fields are a promise.
pub fn rung_json(rung: &Rung) -> Json {
    json!({ "consistency": rung.consistency.name(), "verdict": rung.summary, "judged": rung.judged, "reason": rung.reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_on_the_terminal() {
        let rung = |consistency| {
            let is_one_order = [Consistency::Linearizable, Consistency::Sequential].contains(&consistency);
            Rung { consistency, summary: if is_one_order { Summary::Invalid } else { Summary::Valid }, reason: None, judged: true }
        };
        let rungs = hold_true(&Consistency::ALL.map(rung));
        let text = block(&rungs, &Overall::of_ladder(&rungs, None), Console::plain());
        assert!(text.starts_with("OK VALID  strongest model kept: causal-memory and causal-convergence and eventual\n"), "{text}");
        assert!(text.contains("valid    pram                it is causal-memory\n"), "{text}");
    }
}
