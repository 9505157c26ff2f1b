//! `rashomon demo`: every replication scheme of the demo store, and what it keeps.

use super::{Failure, Global, Outcome, options, plan};
use crate::check::limits::Limits;
use crate::demo::rows::{ROWS, Row};
use crate::demo::{self, Options};
use crate::render::terminal;
use crate::runner::interrupt::Interrupt;
use crate::ui::console;
use crate::ui::console::{Console, Ink};
use crate::ui::progress::Progress;
use crate::ui::{exit, format};
use anyhow::Context as _;
use checker::verdict::Summary;
use clap::Args;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  rashomon demo --all                              every scheme, in a table
  rashomon demo causal-broadcast                   one of them
  rashomon demo --all --seed 7 --json              for machines
";

const LIMITS: Limits = Limits { time: Some(Duration::from_secs(30)), memory_bytes: None };

/// Show what the checker can tell apart: replication schemes, hurt where it hurts, and what each of them keeps.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = schemes(), help_template = super::TEMPLATE)]
pub(super) struct DemoArgs {
    /// The schemes
    #[arg(value_name = "SCHEME", required_unless_present = "all", conflicts_with = "all")]
    schemes: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// What clients ask and when faults come follow from this: a number, decimal or 0x... [default: drawn, and reported]
    #[arg(long, value_name = "SEED", value_parser = options::seed)]
    seed: Option<u64>,
    /// The directory for the histories and the nodes' logs
    #[arg(long, value_name = "DIR", default_value = "store")]
    store: PathBuf,
    /// One JSON object per scheme on standard output, and nothing else there
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DemoArgs, global: Global) -> Outcome {
    let rows = if args.all { ROWS.iter().collect() } else { args.schemes.iter().map(|name| row(name)).collect::<Result<Vec<_>, _>>()? };
    let interrupt = Interrupt::listen()?;
    let progress = if args.json { Progress::quiet(global.stderr()) } else { Progress::new(global.stderr()) };
    let seed = args.seed.unwrap_or_else(plan::draw_seed);
    let dir = directory(&args.store, seed)?;
    progress.say(&format!("rashomon {}  demo of {}  seed {seed:#x}", env!("CARGO_PKG_VERSION"), format::many(rows.len(), "scheme")));
    let options = Options { dir, seed, binary: plan::this_program()?, limits: LIMITS };
    let (start, mut outcomes) = (Instant::now(), Vec::new());
    for (number, row) in rows.iter().enumerate() {
        progress.begin("running");
        progress.update(|| format!("{} of {}: {} ({})", number + 1, rows.len(), row.name, row.faults));
        let outcome = demo::run(row, &options, &progress, &interrupt);
        if interrupt.times() > 0 {
            return Err(Failure::error("interrupted"));
        }
        progress.say(&line(&outcome));
        if args.json {
            console::print_json(&format!("{}\n", outcome.json()))?;
        }
        outcomes.push(outcome);
    }
    if !args.json {
        let mut text = table(&outcomes, start.elapsed(), global.stdout());
        let _ = writeln!(text, "  histories {}/SCHEME.jsonl", format::path(&options.dir));
        let _ = writeln!(text, "  repeat    {}", format::shell(&plan::repeat(args.seed, seed)));
        console::print(&text)?;
    }
    Ok(outcomes.iter().fold(exit::VALID, |code, outcome| exit::worse(code, exit::of(outcome.summary()))))
}

/// A new directory for the histories.
fn directory(store: &Path, seed: u64) -> anyhow::Result<PathBuf> {
    let name = format!("{}-{seed:x}-{}", jiff::Zoned::now().strftime("%Y%m%d-%H%M%S"), std::process::id());
    let dir = std::path::absolute(store.join("demo").join(name))?;
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("cannot make the directory {}; choose another place with --store", dir.display()))?;
    Ok(dir)
}

/// The row with this name, or a usage error that lists all.
fn row(name: &str) -> Result<&'static Row, Failure> {
    let why = || format!("{}; or --all", histories::names::unknown("scheme", name, ROWS.iter().map(|row| row.name)));
    Row::by_name(name).ok_or_else(|| Failure::usage(why()))
}

/// The list of schemes for `--help`.
fn schemes() -> String {
    let mut text = String::from("Schemes:\n");
    for row in ROWS {
        let _ = writeln!(text, "  {:22}{}", row.name, row.replication.describe());
    }
    text
}

/// One line when a row is done.
fn line(outcome: &demo::Outcome) -> String {
    let found = match &outcome.rungs {
        Ok(_) => outcome.found().in_words(),
        Err(why) => format!("could not be shown: {why}"),
    };
    format!("{} {:22}{found}  ({})", sign(outcome).0, outcome.row.name, format::duration(outcome.took))
}

fn sign(outcome: &demo::Outcome) -> (&'static str, Ink) {
    match outcome.summary() {
        Summary::Valid => ("✓", Ink::Green),
        Summary::Invalid => ("✗", Ink::Red),
        Summary::Unknown => ("?", Ink::Yellow),
    }
}

/// The widths of the table's columns: scheme, faults, found, expected.
const COLUMNS: [usize; 4] = [21, 16, 21, 20];

fn table(outcomes: &[demo::Outcome], took: Duration, console: Console) -> String {
    let mut out = String::new();
    let head = ["scheme", "faults", "strongest found", "expected"].map(str::to_owned);
    let _ = writeln!(out, "\n{}", cells(&head, "  ", console));
    for outcome in outcomes {
        let found = match &outcome.rungs {
            Ok(_) => outcome.found().in_words(),
            Err(why) => why.clone(),
        };
        let texts = [outcome.row.name.into(), outcome.row.faults.into(), found, outcome.row.expected().in_words()];
        let (sign, ink) = sign(outcome);
        let sign = console.ink(ink, console.fit(sign));
        let _ = write!(out, "{}", cells(&texts, &format!("{sign} "), console));
        for rung in outcome.unknown() {
            let reason = rung.reason.as_deref().unwrap_or("no reason was given");
            let _ = writeln!(out, "  {} is unknown: {}", rung.consistency.name(), console.fit(reason));
        }
    }
    let matching = outcomes.iter().filter(|outcome| outcome.is_expected()).count();
    let all = format::many(outcomes.len(), "scheme");
    let _ = writeln!(out, "\nstorm: a node cut off, two cut off, one killed, one paused, while clients on all nodes ask");
    let _ = writeln!(out, "{matching} of {all} came out as expected, in {}", format::duration(took));
    out
}

/// The lines of one row of the table: each cell wrapped in its column.
fn cells(texts: &[String; COLUMNS.len()], sign: &str, console: Console) -> String {
    let wrapped: Vec<Vec<String>> = texts.iter().zip(COLUMNS).map(|(text, width)| terminal::wrap(&console.fit(text), width - 1)).collect();
    let mut out = String::new();
    for line in 0..wrapped.iter().map(Vec::len).max().unwrap_or(0) {
        let mut text = String::new();
        for (cell, width) in wrapped.iter().zip(COLUMNS) {
            let _ = write!(text, "{:width$}", cell.get(line).map_or("", String::as_str));
        }
        let _ = writeln!(out, "{}{}", if line == 0 { sign } else { "  " }, text.trim_end());
    }
    out
}
