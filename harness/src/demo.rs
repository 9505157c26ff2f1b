//! The demo of demos: every replication scheme of the demo store, hurt where it hurts, and the strongest model that it kept.
//!
//! A [`Row`] is a scheme, what is asked of it, a scene (`scenes`) that hurts it at the moment that matters, and what it should come
//! out as. A scene runs on a `Stage`: real processes, links that are really cut, clocks that are really wrong. What came of it
//! is found by judging the recorded history against every model there is, and by nothing else.

pub mod object;
pub mod rows;
mod scenes;
mod stage;

use crate::check::analysis::{FileError, FileOptions, RecordedFile};
use crate::check::ladder;
use crate::check::limits::Limits;
use crate::runner::interrupt::Interrupt;
use crate::ui::progress::Progress;
use anyhow::anyhow;
use checker::Consistency;
use checker::ladder::{Rung, strongest};
use checker::verdict::Summary;
use object::Object;
use rand_chacha::ChaCha8Rng;
use rows::Row;
use serde_json::{Value as Json, json};
use stage::Stage;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use workloads::generator::stream;

/// What an object was found to keep, or is expected to: the strongest models, and the weakest that it does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Models that are kept and that no other kept one implies.
    pub keeps: Vec<Consistency>,
    /// Models that are broken and that imply no other broken one.
    pub breaks: Vec<Consistency>,
    /// Objects for which it cannot be taken: as one of these it is not even eventual.
    pub unlike: Vec<Object>,
}

impl Kept {
    /// `sequential, not linearizable`; `eventual, not linearizable, as or-set not eventual`.
    pub fn in_words(&self) -> String {
        let names = |models: &[Consistency]| models.iter().map(|model| model.name()).collect::<Vec<_>>();
        let breaks = names(&self.breaks).iter().map(|name| format!("not {name}")).collect::<Vec<_>>();
        let unlike = self.unlike.iter().map(|object| format!("as {} not eventual", object.model()));
        let parts: Vec<String> = names(&self.keeps).into_iter().map(str::to_owned).chain(breaks).chain(unlike).collect();
        if parts.is_empty() { "nothing is known".into() } else { parts.join(", ") }
    }
}

/// What came of a row.
#[derive(Debug)]
pub struct Outcome {
    /// The row.
    pub row: &'static Row,
    /// The answer for each model that can be asked of its object, or why there is none.
    pub rungs: Result<Vec<Rung>, String>,
    /// The answer to eventual for each object that the row is unlike.
    pub taken_for: Vec<(Object, Rung)>,
    /// The recorded history.
    pub history: PathBuf,
    /// How long it all took.
    pub took: Duration,
}

impl Outcome {
    /// What was found.
    pub fn found(&self) -> Kept {
        let rungs = self.rungs.as_deref().unwrap_or_default();
        let broken: Vec<Consistency> = rungs.iter().filter(|rung| rung.summary == Summary::Invalid).map(|rung| rung.consistency).collect();
        let is_weakest = |&&mine: &&Consistency| broken.iter().all(|&other| other == mine || !mine.implies(other));
        let unlike = self.taken_for.iter().filter(|(_, rung)| rung.summary == Summary::Invalid).map(|(object, _)| *object);
        Kept { keeps: strongest(rungs), breaks: broken.iter().filter(is_weakest).copied().collect(), unlike: unlike.collect() }
    }

    /// The models of which nobody knows whether they are kept.
    pub fn unknown(&self) -> Vec<&Rung> {
        let all = self.rungs.as_deref().unwrap_or_default().iter().chain(self.taken_for.iter().map(|(_, rung)| rung));
        all.filter(|rung| rung.summary == Summary::Unknown).collect()
    }

    /// Whether it is as expected: the same models kept, the same broken, and nothing left open.
    pub fn is_expected(&self) -> bool {
        self.rungs.is_ok() && self.found() == self.row.expected() && self.unknown().is_empty()
    }

    /// Valid if all is as expected, unknown if something could not be decided or carried out, else invalid.
    pub fn summary(&self) -> Summary {
        match self.rungs {
            _ if self.is_expected() => Summary::Valid,
            Ok(_) if self.unknown().is_empty() => Summary::Invalid,
            _ => Summary::Unknown,
        }
    }

    /// For machines. The names of its fields are a promise.
    pub fn json(&self) -> Json {
        let names = |models: &[Consistency]| models.iter().map(|model| model.name()).collect::<Vec<_>>();
        let told = |kept: &Kept| {
            let unlike: Vec<&str> = kept.unlike.iter().map(|object| object.model()).collect();
            json!({ "keeps": names(&kept.keeps), "breaks": names(&kept.breaks), "not_eventual_as": unlike })
        };
        let (found, expected) = (self.found(), self.row.expected());
        json!({
            "scheme": self.row.name,
            "replication": self.row.replication.name(),
            "object": self.row.object.model(),
            "faults": self.row.faults,
            "found": told(&found),
            "expected": told(&expected),
            "matches": self.is_expected(),
            "error": self.rungs.as_ref().err(),
            "taken_for": self.taken_for.iter().map(|(object, rung)| json!({ "object": object.model(), "answer": ladder::rung_json(rung) })).collect::<Vec<_>>(),
            "ladder": self.rungs.as_deref().unwrap_or_default().iter().map(ladder::rung_json).collect::<Vec<_>>(),
            "history": self.history.display().to_string(),
            "seconds": self.took.as_secs_f64(),
        })
    }
}

/// Where and how rows are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory for histories and the nodes' logs.
    pub dir: PathBuf,
    /// What clients ask and when the nemesis strikes follow from this.
    pub seed: u64,
    /// This program's own file, for the nodes.
    pub binary: PathBuf,
    /// What a check may use.
    pub limits: Limits,
}

/// Runs one row and judges it.
pub fn run(row: &'static Row, options: &Options, progress: &Progress, interrupt: &Interrupt) -> Outcome {
    let start = Instant::now();
    let history = options.dir.join(format!("{}.jsonl", row.name));
    let judged = perform(row, options, &history, interrupt).and_then(|()| judge(row, options, &history, interrupt));
    progress.clear();
    let (rungs, taken_for) = match judged {
        Ok((rungs, taken_for)) => (Ok(rungs), taken_for),
        Err(error) => (Err(format!("{error:#}")), Vec::new()),
    };
    Outcome { row, rungs, taken_for, history, took: start.elapsed() }
}

fn perform(row: &'static Row, options: &Options, history: &Path, interrupt: &Interrupt) -> anyhow::Result<()> {
    let number = rows::ROWS.iter().position(|other| other.name == row.name).unwrap_or_default();
    let mut rng: ChaCha8Rng = stream(options.seed, "demo", number as u64);
    let stage = Stage::open(row.cast(), options, history, interrupt.clone())?;
    (row.scene)(&stage, &mut rng)?;
    stage.close()
}

/// The answers for the row's object, and the answer to eventual for each object that it is unlike.
type Judged = (Vec<Rung>, Vec<(Object, Rung)>);

fn judge(row: &Row, options: &Options, history: &Path, interrupt: &Interrupt) -> anyhow::Result<Judged> {
    let how = |object: Object| FileOptions { options: object.options(), limits: options.limits, ..FileOptions::default() };
    let quiet = Progress::quiet(crate::ui::console::Console::plain());
    let stop = || interrupt.times() > 0;
    let wrong = |error: FileError| match error {
        FileError::Read(why) | FileError::Model(why) => anyhow!(why),
    };
    let mut file = RecordedFile::read(history, &how(row.object), &quiet).map_err(wrong)?;
    let mut climb = |object: Object, asked: &dyn Fn(Consistency) -> bool| {
        ladder::climb_to_decide(&mut file, &how(object), asked, stop, &quiet).map_err(wrong)
    };
    let rungs = climb(row.object, &|model| row.object.is_asked(model))?;
    let mut taken_for = Vec::new();
    for &object in row.unlike {
        let told = climb(object, &|model| model == Consistency::Eventual)?;
        taken_for.extend(told.into_iter().map(|rung| (object, rung)));
    }
    Ok((rungs, taken_for))
}
