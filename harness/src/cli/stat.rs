//! `rashomon stat`: what recorded files hold, in numbers.

use super::{Global, Outcome, options};
use crate::check::guess;
use crate::ui::{console, exit, format};
use clap::Args;
use histories::Format;
use histories::stat::Stat;
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  rashomon stat history.edn
  rashomon stat --json *.jsonl                     one JSON object per file
";

/// Count what recorded history files hold: ops, processes, concurrency, keys
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, help_template = super::TEMPLATE)]
pub(super) struct StatArgs {
    /// The files; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// The files' format [default: recognised by content, and reported]
    #[arg(long, value_name = "FORMAT", long_help = options::formats_help())]
    pub(super) format: Option<Format>,
    /// One JSON object per file on standard output, and nothing else
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &StatArgs, global: Global) -> Outcome {
    let mut code = exit::VALID;
    for (number, file) in args.files.iter().enumerate() {
        let history = match histories::read_path(file, args.format) {
            Ok(history) => history,
            // Told, and the others are counted all the same.
            Err(error) => {
                let why = format::of_file(file, &error.to_string());
                if args.json {
                    console::print_json(&format!("{}\n", json!({ "file": file.display().to_string(), "reason": why })))?;
                }
                super::complain(&why, global);
                code = exit::CRASH;
                continue;
            }
        };
        let stat = Stat::of(&history, None);
        let model = guess::model(&history);
        if args.json {
            let (model, why) = model.map_or_else(|why| (None, why), |(model, why)| (Some(model), why));
            let mut line = serde_json::to_value(&stat)?;
            line["file"] = json!(file.display().to_string());
            line["model"] = json!(model);
            line["model_because"] = json!(why);
            console::print_json(&format!("{line}\n"))?;
        } else {
            let model = model.map_or_else(|why| why, |(_, why)| why);
            let gap = if number > 0 { "\n" } else { "" };
            console::print(&format!("{gap}{}", global.stdout().fit(&table(file, &stat, &model))))?;
        }
    }
    Ok(code)
}

/// The numbers as a person reads them.
fn table(file: &Path, stat: &Stat, model: &str) -> String {
    let mut out = format!("{}\n", format::path(file));
    let mut row = |name: &str, text: String| {
        let _ = writeln!(out, "  {:<12} {}", format::name(name), format::name(&text));
    };
    row("format", stat.format.into());
    row("events", format!("{}, {} of them the nemesis's", stat.events, stat.nemesis_events));
    row("ops", format!("{}: {} ok, {} fail, {} info ({} unfinished)", stat.ops, stat.ok, stat.fail, stat.info, stat.unfinished));
    for f in &stat.functions {
        row(&format!("  {}", f.f), format!("{} ok, {} fail, {} info ({} unfinished)", f.ok, f.fail, f.info, f.unfinished));
    }
    row("processes", stat.processes.to_string());
    let crashed = stat.concurrency_with_crashed;
    row("concurrency", format!("at most {} in flight; {crashed} with ops of unknown outcome, which stay open", stat.concurrency));
    row("keys", format!("{} ({})", stat.keys.map_or("none".into(), |n| n.to_string()), stat.keyed_because));
    row("span", stat.span_ns.map_or("no times are recorded".into(), |ns| format!("{} s", format::seconds(ns))));
    if stat.misuses > 0 {
        row(
            "misuse",
            format!("{} that no client can produce: no verdict on this history means anything", format::many(stat.misuses, "event")),
        );
    }
    row("model", model.into());
    out
}
