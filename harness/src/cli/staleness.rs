//! `rashomon staleness`: by how many writes and by how much time the reads of recorded files are stale.

use super::{Global, Outcome, options};
use crate::check::guess;
use crate::check::limits;
use crate::check::limits::Limits;
use crate::render::{json, terminal};
use crate::runner::interrupt::Interrupt;
use crate::ui::progress::Progress;
use crate::ui::{console, exit, format};
use checker::describe;
use checker::staleness::{self, Bounds, KeyStaleness, Staleness};
use clap::Args;
use histories::{Format, History, OpId};
use serde_json::{Value as Json, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  rashomon staleness history.edn
  rashomon staleness --json *.jsonl                one JSON object per file
";

const MEANING: &str = "\
What is measured, key by key and in all:
  k        every read returns one of the k latest writes, in one order that keeps real time; 1: linearizable
  t        linearizable if every read may take effect up to t before it began: no read is staler
  window   until how long after its acknowledgement a write was not seen by a read that began later: what 50, 90, 99 and
           99.9 % of the writes do not exceed
k and t are told of registers (a cas counts as a write of its new value), windows of sets and lists too. Where a value was written
more than once, or a search ends at its limit, k and t lie between bounds.
";

/// Measure how stale the reads of recorded history files are
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = MEANING, help_template = super::TEMPLATE)]
pub(super) struct StalenessArgs {
    /// The files; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// The files' format [default: recognised by content]
    #[arg(long, value_name = "FORMAT", long_help = options::formats_help())]
    pub(super) format: Option<Format>,
    #[command(flatten)]
    pub(super) model: options::ModelArgs,
    #[command(flatten)]
    pub(super) limits: options::LimitArgs,
    /// One JSON object per file on standard output, and nothing else
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
}

/// Steps of the search for one k of one key.
const STEPS: u64 = 1 << 20;
/// Lost elements that are named for people.
const LOST_MAX: usize = 10;
/// Keys that are listed for people, the stalest first.
const KEYS_MAX: usize = 10;

pub(super) fn run(args: &StalenessArgs, global: Global) -> Outcome {
    let progress = if args.json { Progress::quiet(global.stderr()) } else { Progress::new(global.stderr()) };
    let interrupt = Interrupt::listen()?;
    let mut code = exit::VALID;
    for file in &args.files {
        code = exit::worse(code, measure(file, args, &progress, &interrupt, global)?);
        if interrupt.times() > 0 {
            break;
        }
    }
    Ok(code)
}

/// Measures one file and says so. A file of which nothing can be measured is told and does not keep the others from it.
fn measure(file: &Path, args: &StalenessArgs, progress: &Progress, interrupt: &Interrupt, global: Global) -> Outcome {
    let refused = |why: &str, code: u8| -> Outcome {
        if args.json {
            console::print_json(&format!("{}\n", json!({ "file": file.display().to_string(), "reason": why })))?;
        }
        super::complain(why, global);
        Ok(code)
    };
    let history = match histories::read_path(file, args.format) {
        Ok(history) => history,
        Err(error) => return refused(&format::of_file(file, &error.to_string()), exit::CRASH),
    };
    let mut options = args.model.options();
    let mut guessed = None;
    if options.model.is_empty()
        && let Ok((model, why)) = guess::model(&history)
    {
        (options.model, guessed) = (model, Some(why));
    }
    let limits: Limits = args.limits.limits();
    progress.begin("measuring");
    let stop = || interrupt.times() > 0;
    let told = limits::limited(limits, Some(STEPS), stop, |_, _| {}, |budget| staleness::measure(&history, &options, budget)).value;
    progress.clear();
    let told = match told {
        Ok(told) => told,
        Err(why) => return refused(&format::name(&format!("{}: {why}", file.display())), exit::USAGE),
    };
    if args.json {
        console::print_json(&format!("{}\n", to_json(file, &history, &told)))?;
    } else {
        console::print(&global.stdout().fit(&table(file, &history, &told, guessed.as_deref(), global.stdout().width)))?;
    }
    Ok(if told.reason.is_some() { exit::UNKNOWN } else { exit::VALID })
}

/// The numbers as a person reads them.
fn table(file: &Path, history: &History, told: &Staleness, guessed: Option<&str>, width: usize) -> String {
    const INDENT: usize = 12;
    let mut out = format!("{}\n", format::path(file));
    let mut row = |name: &str, text: &str| {
        for (i, line) in terminal::wrap(text, width - INDENT).iter().enumerate() {
            let name = if i == 0 { name } else { "" };
            let _ = writeln!(out, "{}", format!("  {name:<9} {line}").trim_end());
        }
    };
    if let Some(reason) = &told.reason {
        row("nothing", &format!("was measured: {}", reason.in_words(None)));
    } else {
        let all = &told.all;
        row("k", &versions(history, told, all));
        row("t", &time(history, told, all));
        for line in window(history, told, all) {
            row("window", &line);
        }
    }
    for note in guessed.into_iter().chain(told.notes.iter().map(String::as_str)) {
        row("note", note);
    }
    if told.keyed && told.reason.is_none() {
        out.push_str(&keys(history, told));
    }
    out
}

fn versions(history: &History, told: &Staleness, of: &KeyStaleness) -> String {
    let bounds = match &of.versions {
        Ok(bounds) => bounds,
        Err(why) => return format!("unknown: {why}"),
    };
    let mut text = match (bounds.is_exact(), bounds.most) {
        (true, 1) => "1: every read returned the latest write".into(),
        (true, k) => format!("{k}: every read returned one of the {k} latest writes"),
        (false, most) => format!("between {} and {most}: every read returned one of the {most} latest writes", bounds.least),
    };
    text.push_str(&shown(history, told, of.stalest_by_versions));
    text
}

fn time(history: &History, told: &Staleness, of: &KeyStaleness) -> String {
    let bounds = match &of.time_ns {
        Ok(bounds) => bounds,
        Err(why) => return format!("unknown: {why}"),
    };
    let mut text = match (bounds.is_exact(), bounds.most) {
        (true, 0) => "0: no read is stale".into(),
        (true, t) => format!("{}: no read is staler", nanoseconds(t)),
        (false, t) => format!("between {} and {}", nanoseconds(bounds.least), nanoseconds(t)),
    };
    text.push_str(&shown(history, told, of.stalest_by_time));
    text
}

/// `; process 3 read 66 at 0.062 s`.
fn shown(history: &History, told: &Staleness, read: Option<OpId>) -> String {
    let Some(read) = read else { return String::new() };
    let key = describe::key(history, told.keyed, read).map(|key| format!(" of key {}", history.values.display(key))).unwrap_or_default();
    format!("; {} by {}{key}, {}", describe::label(history, told.keyed, read), describe::who(history, read), began(history, read))
}

fn began(history: &History, op: OpId) -> String {
    match describe::invoked(history, op) {
        Some(ns) => format!("begun at {} s", format::seconds(ns)),
        None => format!("line {}", history.line(history.first_event(history.op(op)))),
    }
}

fn window(history: &History, told: &Staleness, of: &KeyStaleness) -> Vec<String> {
    let windows = match &of.windows {
        Ok(windows) => windows,
        Err(why) => return vec![format!("unknown: {why}")],
    };
    let count = windows.sorted_ns.len();
    let mut lines = Vec::new();
    if count > 0 {
        let quantile = |per_mille| windows.per_mille(per_mille).map(nanoseconds).unwrap_or_default();
        let [p50, p90, p99, p999] = [500, 900, 990, 999].map(quantile);
        lines.push(format!("50 % {p50}, 90 % {p90}, 99 % {p99}, 99.9 % {p999}, of {}", format::many(count, "acknowledged write")));
    }
    if let (Some((write, read)), Some(longest)) = (windows.longest, windows.sorted_ns.last()) {
        let who = |op| format!("{} by {}", describe::label(history, told.keyed, op), describe::who(history, op));
        lines.push(format!(
            "the longest, {}: {} was not seen by {}, {}",
            nanoseconds(*longest),
            who(write),
            who(read),
            began(history, read)
        ));
    }
    if !windows.unseen.is_empty() {
        let named: Vec<String> = (windows.unseen.iter().take(LOST_MAX))
            .map(|&op| {
                let key = describe::key(history, told.keyed && of.key.is_none(), op);
                let key = key.map(|key| format!(" of key {}", history.values.display(key))).unwrap_or_default();
                format!("{} by {}{key}", describe::label(history, told.keyed, op), describe::who(history, op))
            })
            .collect();
        let more = windows.unseen.len() - named.len();
        let more = if more > 0 { format!(" and {} more (--json lists all)", format::count(more as u64, false)) } else { String::new() };
        let count = format::many(windows.unseen.len(), "element");
        lines.push(format!("{count} acknowledged and not seen by the last read either: {}{more}", named.join(", ")));
    }
    if windows.untested > 0 {
        lines.push(format!("nobody read after the acknowledgement of {}", format::many(windows.untested, "write")));
    }
    lines
}

/// The stalest keys.
fn keys(history: &History, told: &Staleness) -> String {
    let most = |bounds: &Result<Bounds, String>| bounds.as_ref().map_or(u64::MAX, |bounds| bounds.most);
    let longest = |key: &KeyStaleness| key.windows.as_ref().ok().and_then(|windows| windows.sorted_ns.last().copied());
    let mut order: Vec<usize> = (0..told.keys.len()).collect();
    order.sort_by_key(|&i| {
        let key = &told.keys[i];
        (std::cmp::Reverse((most(&key.time_ns), most(&key.versions), longest(key))), i)
    });
    let mut out = format!("\n  {:<12} {:>8} {:>8} {:>16}\n", "key", "ops", "k", "t");
    for &i in order.iter().take(KEYS_MAX) {
        let key = &told.keys[i];
        let bounds = |of: &Result<Bounds, String>, show: fn(u64) -> String| match of {
            Ok(bounds) if bounds.is_exact() => show(bounds.most),
            Ok(bounds) => format!("{}..{}", show(bounds.least), show(bounds.most)),
            Err(_) => "?".into(),
        };
        let name = key.key.map_or("-".into(), |key| format::name(&history.values.display(key)));
        let (k, t) = (bounds(&key.versions, |k| k.to_string()), bounds(&key.time_ns, nanoseconds));
        let _ = writeln!(out, "  {name:<12} {:>8} {k:>8} {t:>16}", key.ops);
    }
    out.push_str(&windows(history, told, &order[..order.len().min(KEYS_MAX)]));
    if told.keys.len() > KEYS_MAX {
        let _ = writeln!(out, "  and {}, less stale", format::many(told.keys.len() - KEYS_MAX, "more key"));
    }
    out
}

/// The windows of some keys.
fn windows(history: &History, told: &Staleness, keys: &[usize]) -> String {
    if !keys.iter().any(|&i| told.keys[i].windows.as_ref().is_ok_and(|windows| !windows.sorted_ns.is_empty())) {
        return String::new();
    }
    let mut out = format!(
        "\n  {:<12} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
        "window", "writes", "50 %", "90 %", "99 %", "99.9 %", "longest", "unseen"
    );
    for key in keys.iter().map(|&i| &told.keys[i]) {
        let Ok(windows) = &key.windows else { continue };
        let name = key.key.map_or("-".into(), |key| format::name(&history.values.display(key)));
        let [p50, p90, p99, p999, longest] = [500, 900, 990, 999, 1000].map(|n| windows.per_mille(n).map_or("-".into(), nanoseconds));
        let (writes, unseen) = (windows.sorted_ns.len(), windows.unseen.len());
        let _ = writeln!(out, "  {name:<12} {writes:>8} {p50:>8} {p90:>8} {p99:>8} {p999:>8} {longest:>8} {unseen:>8}");
    }
    out
}

fn nanoseconds(ns: u64) -> String {
    match ns {
        0 => "0".into(),
        1..1_000 => format!("{ns} ns"),
        _ => format::duration(Duration::from_nanos(ns)),
    }
}

/// The numbers for machines. The names of the fields are a promise.
fn to_json(file: &Path, history: &History, told: &Staleness) -> Json {
    let op = |op: Option<OpId>| op.map(|op| json::op(history, told.keyed, op));
    let of = |of: &KeyStaleness| {
        let mut row = json!({
            "key": of.key.map(|key| history.values.display(key)),
            "ops": of.ops,
            "k": of.versions.as_ref().ok(),
            "k_unknown_because": of.versions.as_ref().err(),
            "k_shown_by": op(of.stalest_by_versions),
            "t_ns": of.time_ns.as_ref().ok(),
            "t_unknown_because": of.time_ns.as_ref().err(),
            "t_shown_by": op(of.stalest_by_time),
            "repeated_values": of.repeated,
            "window_unknown_because": of.windows.as_ref().err(),
        });
        row["window"] = of.windows.as_ref().map_or(Json::Null, |windows| {
            json!({
                "writes": windows.sorted_ns.len(),
                "p50_ns": windows.per_mille(500),
                "p90_ns": windows.per_mille(900),
                "p99_ns": windows.per_mille(990),
                "p99_9_ns": windows.per_mille(999),
                "max_ns": windows.sorted_ns.last(),
                "longest": windows.longest.map(|(write, read)| json!({ "write": op(Some(write)), "read": op(Some(read)) })),
                "untested": windows.untested,
                "unseen_by_the_last_read": windows.unseen.len(),
                "unseen": windows.unseen.iter().map(|&write| op(Some(write))).collect::<Vec<_>>(),
            })
        });
        row
    };
    json!({
        "file": file.display().to_string(),
        "model": told.model,
        "reason": told.reason.as_ref().map(|reason| reason.in_words(None)),
        "all": if told.reason.is_none() { of(&told.all) } else { Json::Null },
        "keys": told.keys.iter().map(of).collect::<Vec<_>>(),
        "notes": told.notes,
    })
}
