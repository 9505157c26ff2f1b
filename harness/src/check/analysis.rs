//! From a recorded history to a judged [`Run`]: of a stored run, or of a file alone.

use crate::check::limits;
use crate::check::limits::{Judgement, Limits};
use crate::check::{counts, coverage, evidence, fault_windows, guess, initial, memory};
use crate::cut::{self, Cut};
use crate::findings::Findings;
use crate::render::{html, json};
use crate::run::{CheckFacts, Coverage, Judged, Run, TestFacts};
use crate::store::{self, RunDir};
use crate::timeline::{Phase, PhaseSpan};
use crate::ui::format;
use crate::ui::progress::{Progress, bar};
use anyhow::{Context, anyhow};
use checker::verdict::Summary;
use checker::{Algorithm, Budget, Consistency, FailedCas, Isolation, NilRead, Options, Verdict};
use histories::lint::{Assume, Rule, Severity, lint};
use histories::{Format, History, Value};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How a stored run is judged otherwise than it was made for; `None`: as it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Otherwise {
    /// What it should have kept.
    pub consistency: Option<Consistency>,
    /// Which procedure decides.
    pub algorithm: Option<Algorithm>,
    /// A run that was cut short is judged by its recorded part, also if it was not made for that.
    pub accept_partial: bool,
}

/// Judges a stored run, also one whose harness was killed half-way: against the consistency model given, else against the one that
/// the run was made for.
///
/// # Errors
/// Files that cannot be read, or that are not what Rashomon writes.
pub fn judge_run(
    dir: &RunDir,
    otherwise: Otherwise,
    limits: Limits,
    stop: impl Fn() -> bool + Sync,
    progress: &Progress,
) -> anyhow::Result<Run> {
    let facts = dir.read_test()?;
    let (history, parse) = read(&dir.history(), Some(Format::Jsonl))?;
    let mut options = options_of(&facts.judged)?;
    options.algorithm = otherwise.algorithm.unwrap_or(options.algorithm);
    let told = facts.judged.consistency.as_deref().map(Consistency::from_str);
    let told = told.transpose().map_err(|why| anyhow!("test.json: judged.consistency: {why}"))?;
    let misuse = misuse(&history, &options, &dir.history());
    let consistency = otherwise.consistency.or(told).unwrap_or_default();
    let judgement = judge(&history, consistency, &options, limits, stop, progress)?;
    let nodes = facts.node_names();
    let windows = fault_windows::windows(&history, &nodes);
    let phases = phases(&history, &facts);
    let cut = cut::of(&history, &phases, Some(facts.time_limit_ms));
    let mut coverage = coverage::of_run(&history, &facts, &windows, &phases);
    let lack = evidence::lack(&history, judgement.verdict.keyed, options.initial.as_ref());
    let accepted = otherwise.accept_partial || facts.judged.accept_partial;
    coverage.gaps.splice(0..0, cut_gap(cut.as_ref(), accepted).into_iter().chain(lack));
    let mut run = Run {
        title: format!("{}, {}", facts.database, facts.workload),
        coverage,
        cut,
        findings: dir.read_findings()?.explained(&windows),
        windows,
        phases,
        node_files: dir.node_files(&nodes),
        repeat: facts.command_line(),
        test: Some(facts),
        ..bare(history, dir.history(), consistency, judgement, limits, parse)
    };
    run.verdict.notes.extend(misuse);
    if let Some(line) = run.history.meta.torn_line {
        run.verdict.notes.push(format!("the recording was cut off in line {line}; that line is left out, what comes before it is judged"));
    }
    Ok(run)
}

/// How to judge a file that stands alone.
#[derive(Clone, Debug, Default)]
pub struct FileOptions {
    /// Its format, if not by its content.
    pub format: Option<Format>,
    /// What it should keep.
    pub consistency: Consistency,
    /// What to check it against; an empty model: guessed.
    pub options: Options,
    /// What the check may use.
    pub limits: Limits,
    /// A history of which no op says anything may be valid.
    pub allow_empty: bool,
    /// The history of a run that was cut short is judged by its recorded part.
    pub accept_partial: bool,
}

/// Why a file was not judged.
#[derive(Debug)]
pub enum FileError {
    /// It cannot be read, or is malformed.
    Read(String),
    /// The model does not fit it, or none can be guessed.
    Model(String),
}

/// A recorded file in memory, to be judged as often as one likes.
#[derive(Debug)]
pub struct RecordedFile {
    run: Run,
    /// What is noted whatever the model.
    notes: Vec<String>,
}

impl RecordedFile {
    /// The models of the ladder: of transactions the isolation levels, unless a model is named that has others.
    pub fn levels(&self, how: &FileOptions) -> Vec<Consistency> {
        let may_be = matches!(how.options.model.as_str(), "" | "list-append");
        if may_be && guess::transactions(&self.run.history).is_some() {
            return Isolation::ALL.map(Consistency::Isolation).to_vec();
        }
        Consistency::ALL.to_vec()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`FileError::Read`].
    pub fn read(path: &Path, how: &FileOptions, progress: &Progress) -> Result<RecordedFile, FileError> {
        progress.begin("reading");
        progress.update(|| format::path(path));
        let (history, parse) = read(path, how.format).map_err(|error| FileError::Read(format::of_file(path, &format!("{error:#}"))))?;
        let mut notes = misuse(&history, &how.options, path);
        notes.extend(
            history
                .meta
                .torn_line
                .map(|line| format!("the recording was cut off in line {line}; that line is left out, what comes before it is judged")),
        );
        let nodes = node_names(&history);
        let windows = fault_windows::windows(&history, &nodes);
        let phases = fault_windows::phases(&history);
        let cut = cut::of(&history, &phases, None);
        let run = Run { cut, windows, phases, ..bare(history, path.into(), how.consistency, unjudged(), how.limits, parse) };
        Ok(RecordedFile { run, notes })
    }

    /// Judges it.
    ///
    /// # Errors
    /// [`FileError::Model`].
    pub fn judge(&mut self, how: &FileOptions, stop: impl Fn() -> bool + Sync, progress: &Progress) -> Result<&mut Run, FileError> {
        let RecordedFile { run, notes } = self;
        let unfit = |why: &dyn std::fmt::Display| FileError::Model(format::name(&format!("{}: {why}", run.history_path.display())));
        let mut options = how.options.clone();
        let mut how = how.clone();
        let mut guessed = None;
        if options.model.is_empty() {
            let told = guess::model(&run.history).and_then(|found| match how.consistency {
                // The order of lists' versions is known: their levels are decided where a search would not end.
                Consistency::Linearizable if guess::is_generated_lists(&run.history) => Err(String::new()),
                _ => Ok(found),
            });
            match (how.consistency, told) {
                (_, Ok((model, why))) => {
                    options.model = model;
                    guessed = Some(why);
                }
                (Consistency::Linearizable, Err(why)) => {
                    let Some(what) = guess::transactions(&run.history) else { return Err(unfit(&why)) };
                    how.consistency = Consistency::Isolation(Isolation::StrictSerializable);
                    guessed = Some(format!(
                        "transactions on {what} were judged as strict-serializable, which is what linearizable means of them; \
                         --consistency names another level, and strongest all"
                    ));
                }
                // The weaker models are about reads and writes of any object that has them; and so is sequential consistency
                // of transactions.
                (_, Err(_)) => {}
            }
        }
        let judged = judge(&run.history, how.consistency, &options, how.limits, &stop, progress);
        let Judgement { verdict, took, search_bytes } = judged.map_err(|error| unfit(&format!("{error:#}")))?;
        let only_zeros = only_zeros(&run.history, &verdict, &how, &options, &stop);
        let lack =
            evidence::lack(&run.history, verdict.keyed, options.initial.as_ref()).filter(|_| !how.allow_empty && verdict.reason.is_none());
        let lack = lack.map(|why| format!("{why}; --allow-empty lets it count as valid"));
        let gaps = cut_gap(run.cut.as_ref(), how.accept_partial).into_iter().chain(lack).collect();
        run.coverage = Coverage { gaps, ..Coverage::default() };
        run.consistency = how.consistency;
        run.verdict = verdict;
        run.verdict.notes.extend(guessed);
        run.verdict.notes.extend(only_zeros);
        run.verdict.notes.extend(notes.iter().cloned());
        run.check = CheckFacts { check: took, search_bytes, peak_rss_bytes: memory::peak_rss_bytes(), ..run.check };
        Ok(run)
    }
}

/// The longest that is looked for a better initial value.
const SECOND_LOOK: Duration = Duration::from_secs(10);

/// That reads of 0, which nobody wrote, are all that contradicts a history: what a store answers whose keys begin with 0.
fn only_zeros(
    history: &History,
    verdict: &Verdict,
    how: &FileOptions,
    options: &Options,
    stop: impl Fn() -> bool + Sync,
) -> Option<String> {
    let may_be = verdict.answer == Summary::Invalid && options.initial.is_none();
    if !may_be || !initial::zero_is_read_and_not_written(history, verdict.keyed) {
        return None;
    }
    let options = Options { initial: Some(Value::Int(0)), ..options.clone() };
    let limits = Limits { time: Some(how.limits.time.unwrap_or(SECOND_LOOK).min(SECOND_LOOK)), ..how.limits };
    let again = limits::judge(history, how.consistency, &options, limits, stop, |_, _| {}).ok()?;
    let name = how.consistency.name();
    let is_kept = again.verdict.answer == Summary::Valid;
    is_kept.then(|| format!("reads of 0, which nobody wrote, are all that is wrong: if every key begins with 0 it is {name} (--initial 0)"))
}

/// Why a run that was cut short is not valid, unless its recorded part is accepted as the whole.
fn cut_gap(cut: Option<&Cut>, accepted: bool) -> Option<String> {
    let cut = cut.filter(|_| !accepted)?;
    Some(format!(
        "the run was {}: what it did not get to was not put to the test; --accept-partial judges the recorded part alone",
        cut.in_words()
    ))
}

/// Before anybody has judged.
fn unjudged() -> Judgement {
    let verdict = Verdict {
        consistency: Consistency::default().name(),
        model: String::new(),
        keyed: false,
        answer: Summary::Unknown,
        reason: None,
        keys: Vec::new(),
        notes: Vec::new(),
    };
    Judgement { verdict, took: Duration::ZERO, search_bytes: 0 }
}

/// What the verdict itself says of a history: errors are its reason, the others are among its notes.
const TOLD_BY_THE_VERDICT: [Rule; 3] = [Rule::GoesOnAfterInfo, Rule::WithoutKey, Rule::CompletionsOnly];

/// The warnings about a history, as notes. They change no verdict.
fn misuse(history: &History, options: &Options, path: &Path) -> Vec<String> {
    let assume = Assume { keyed: options.keyed, initial: options.initial.clone() };
    let findings = lint(history, &assume);
    let warnings = findings.iter().filter(|f| f.severity == Severity::Warning && !TOLD_BY_THE_VERDICT.contains(&f.rule));
    let mut notes: Vec<String> = warnings
        .map(|finding| {
            let place = finding.places.first().map(|place| format!("{}, ", place.name())).unwrap_or_default();
            format!("{} ({place}{})", finding.sentence.trim_end_matches('.'), finding.rule.id())
        })
        .collect();
    if !notes.is_empty() {
        let file = format::shell(&[path.display().to_string()]);
        notes.push(format!("rashomon lint {file} says where, what it may come from, and what to do"));
    }
    notes
}

/// Writes `results.json` and the report into a run's directory. Whoever calls it has said the verdict before: a full disk must not
/// keep it from anybody.
///
/// # Errors
/// They cannot be written.
pub fn write(dir: &RunDir, run: &Run) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(&json::of_run(run))?;
    text.push('\n');
    store::write(&dir.results(), text.as_bytes())?;
    store::write(&dir.report(), html::render(run).as_bytes())
}

fn read(path: &Path, format: Option<Format>) -> anyhow::Result<(History, Duration)> {
    let start = Instant::now();
    let history = histories::read_path(path, format)?;
    Ok((history, start.elapsed()))
}

fn judge(
    history: &History,
    consistency: Consistency,
    options: &Options,
    limits: Limits,
    stop: impl Fn() -> bool + Sync,
    progress: &Progress,
) -> anyhow::Result<Judgement> {
    progress.begin("checking");
    let judgement = limits::judge(history, consistency, options, limits, stop, |budget, _| progress.update(|| checking_line(budget)))
        .map_err(|why| anyhow!(why))?;
    progress.end(&checked_line(history, &judgement.verdict));
    Ok(judgement)
}

/// `█████·····  5 of 8 keys  1 212 ops ordered  1.7 GiB`.
fn checking_line(budget: &Budget) -> String {
    let load = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
    let (done, total) = (load(&budget.keys_done), load(&budget.keys_total));
    let share = if total == 0 { 0.0 } else { done as f64 / total as f64 };
    let count = |n| format::count(n, false);
    let ops = count(load(&budget.ops_done));
    format!("{}  {} of {} keys  {ops} ops ordered  {}", bar(share), count(done), count(total), format::bytes(budget.peak_bytes()))
}

fn checked_line(history: &History, verdict: &Verdict) -> String {
    let keys = if verdict.is_per_key() { format!("{}, ", format::many(verdict.keys.len(), "key")) } else { String::new() };
    format!("{keys}{}, model {}", format::many(history.ops().len(), "op"), verdict.model)
}

/// A run of which only the history and the verdict are known.
fn bare(history: History, path: PathBuf, consistency: Consistency, judgement: Judgement, limits: Limits, parse: Duration) -> Run {
    let Judgement { verdict, took, search_bytes } = judgement;
    Run {
        title: path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned()),
        test: None,
        verdict,
        consistency,
        cut: None,
        coverage: Coverage::default(),
        findings: Findings::default(),
        windows: Vec::new(),
        phases: Vec::new(),
        node_files: Vec::new(),
        check: CheckFacts {
            parse,
            check: took,
            peak_rss_bytes: memory::peak_rss_bytes(),
            search_bytes,
            time_limit: limits.time,
            memory_limit_bytes: limits.memory_bytes,
        },
        counts: counts::functions(&history),
        errors: counts::errors(&history),
        history_path: path,
        repeat: String::new(),
        ladder: Vec::new(),
        overall: None,
        history,
    }
}

/// The phases the history tells of, and the set-up before them.
fn phases(history: &History, facts: &TestFacts) -> Vec<PhaseSpan> {
    let setup_ns = i64::try_from(facts.setup_ms.saturating_mul(1_000_000)).unwrap_or(0);
    let setup = PhaseSpan { phase: Phase::Setup, from_ns: -setup_ns, to_ns: Some(0) };
    std::iter::once(setup).chain(fault_windows::phases(history)).collect()
}

/// The nodes that a history names, in order of first appearance.
fn node_names(history: &History) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for process in (0..history.process_count() as u32).map(histories::Process) {
        if let Some(node) = history.node(process).filter(|node| !names.iter().any(|name| name == node)) {
            names.push(node.into());
        }
    }
    names
}

/// What `test.json` says a history is checked against.
pub fn options_of(judged: &Judged) -> anyhow::Result<Options> {
    let initial = judged.initial.as_deref().map(histories::read_value);
    let algorithm = judged.algorithm.as_deref().map(Algorithm::from_str);
    Ok(Options {
        model: judged.model.clone(),
        keyed: judged.keyed,
        initial: initial.transpose().context("test.json: judged.initial")?,
        nil_read: judged.nil_read.as_deref().map(nil_read).transpose()?,
        failed_cas: judged.failed_cas.as_deref().map(failed_cas).transpose()?,
        permits: judged.permits,
        algorithm: algorithm.transpose().map_err(|why| anyhow!("test.json: judged.algorithm: {why}"))?.unwrap_or_default(),
        ..Options::default()
    })
}

/// The form of `options_of` that `test.json` holds.
pub fn judged(options: &Options, must_succeed: &[&str], final_reads: bool) -> Judged {
    Judged {
        consistency: None,
        algorithm: (options.algorithm != Algorithm::Auto).then(|| options.algorithm.name().into()),
        model: options.model.clone(),
        keyed: options.keyed,
        initial: options.initial.as_ref().map(ToString::to_string),
        nil_read: options.nil_read.map(|choice| match choice {
            NilRead::Wildcard => "wildcard".into(),
            NilRead::Missing => "missing".into(),
        }),
        failed_cas: options.failed_cas.map(|choice| match choice {
            FailedCas::Drop => "drop".into(),
            FailedCas::Assert => "assert".into(),
        }),
        permits: options.permits,
        must_succeed: must_succeed.iter().map(ToString::to_string).collect(),
        final_reads,
        accept_partial: false,
    }
}

fn nil_read(text: &str) -> anyhow::Result<NilRead> {
    match text {
        "wildcard" => Ok(NilRead::Wildcard),
        "missing" => Ok(NilRead::Missing),
        _ => Err(anyhow!("test.json: judged.nil_read is `{text}`; it can be wildcard or missing")),
    }
}

fn failed_cas(text: &str) -> anyhow::Result<FailedCas> {
    match text {
        "drop" => Ok(FailedCas::Drop),
        "assert" => Ok(FailedCas::Assert),
        _ => Err(anyhow!("test.json: judged.failed_cas is `{text}`; it can be drop or assert")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use histories::Value;

    #[test]
    fn options_survive_test_json() {
        let options = Options {
            model: "cas-register".into(),
            keyed: Some(true),
            initial: Some(Value::pair(1, "a b")),
            nil_read: Some(NilRead::Missing),
            failed_cas: Some(FailedCas::Assert),
            permits: Some(3),
            ..Options::default()
        };
        let judged = judged(&options, &["read"], true);
        let back = options_of(&serde_json::from_str(&serde_json::to_string(&judged).unwrap()).unwrap()).unwrap();
        assert_eq!((back.model, back.keyed, back.initial), (options.model, options.keyed, options.initial));
        assert_eq!((back.nil_read, back.failed_cas, back.permits), (options.nil_read, options.failed_cas, Some(3)));
        assert!(options_of(&Judged { nil_read: Some("no".into()), ..Judged::default() }).is_err());
    }
}
