//! `rashomon lint`: what is wrong with recorded files, and where.

use super::options::{self, YesNo, initial};
use super::{Global, Outcome};
use crate::render::terminal;
use crate::ui::console;
use crate::ui::console::{Console, Ink};
use crate::ui::exit;
use crate::ui::format;
use crate::ui::format::{count, many};
use clap::Args;
use histories::lint::{Assume, Finding, Severity, lint};
use histories::{Format, History, Value};
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  rashomon lint history.edn
  rashomon lint --json *.jsonl                     one JSON object per file
  rashomon lint history.edn --keyed no --initial 5
";

const EXIT_CODES: &str = "\
Findings:
  error    no verdict on this history means anything; `check` says unknown
  warning  probably a mistake of the harness, or an anomaly of the store; changes no verdict
  note     a verdict on this history proves less than one may think

Exit codes:
  0 nothing but notes, 1 errors or warnings, 254 the command line makes no sense, 255 a file cannot be read
";

/// Say what is wrong with recorded history files: misuse, lost events, values nobody wrote
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = EXIT_CODES, help_template = super::TEMPLATE)]
pub(super) struct LintArgs {
    /// The files; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// The files' format [default: recognised by content]
    #[arg(long, value_name = "FORMAT", long_help = options::formats_help())]
    pub(super) format: Option<Format>,
    /// Whether values are [key value] pairs, each key an object of its own [default: what the file says, else guessed]
    #[arg(long, value_name = "YES|NO", value_enum)]
    pub(super) keyed: Option<YesNo>,
    /// The initial value of every object, in EDN, besides nil, 0, false and "": 5, "a"
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, value_parser = initial)]
    pub(super) initial: Option<Value>,
    /// One JSON object per file on standard output, and nothing else there
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &LintArgs, global: Global) -> Outcome {
    let assume = Assume { keyed: args.keyed.map(|keyed| keyed == YesNo::Yes), initial: args.initial.clone() };
    let mut code = exit::VALID;
    for (number, file) in args.files.iter().enumerate() {
        let history = match histories::read_path(file, args.format) {
            Ok(history) => history,
            Err(error) => {
                code = exit::worse(code, refused(file, &format::of_file(file, &error.to_string()), args, global)?);
                continue;
            }
        };
        let findings = lint(&history, &assume);
        if args.json {
            console::print_json(&format!("{}\n", object(file, &history, &findings)))?;
        } else {
            let gap = if number > 0 { "\n" } else { "" };
            console::print(&format!("{gap}{}", table(file, &history, &findings, global.stdout())))?;
        }
        if findings.iter().any(|finding| finding.severity > Severity::Note) {
            code = exit::worse(code, exit::INVALID);
        }
    }
    Ok(code)
}

/// A file that cannot be read does not keep the others from being looked at.
fn refused(file: &Path, why: &str, args: &LintArgs, global: Global) -> Outcome {
    if args.json {
        let file = file.display().to_string();
        console::print_json(&format!("{}\n", json!({ "file": file, "format": null, "ops": null, "findings": null, "reason": why })))?;
    }
    super::complain(why, global);
    Ok(exit::CRASH)
}

/// The object that `--json` prints for a file. The names of its fields are a promise.
fn object(file: &Path, history: &History, findings: &[Finding]) -> serde_json::Value {
    json!({ "file": file.display().to_string(), "format": history.meta.format, "ops": history.ops().len(), "findings": findings, "reason": null })
}

/// The findings as a person reads them.
fn table(file: &Path, history: &History, findings: &[Finding], console: Console) -> String {
    let mut out = format!("{}: {}\n", format::path(file), summary(history, findings));
    for finding in findings {
        let (name, ink) = match finding.severity {
            Severity::Error => ("error", Ink::Red),
            Severity::Warning => ("warning", Ink::Yellow),
            Severity::Note => ("note", Ink::Dim),
        };
        let _ = write!(out, "\n{}  {}\n", console.ink(ink, name), console.ink(Ink::Bold, finding.rule.id()));
        paragraph(&mut out, "", &finding.sentence, console);
        for place in &finding.places {
            paragraph(&mut out, &format!("{}  ", place.name()), &place.text, console);
        }
        if finding.places.len() < finding.count && !finding.places.is_empty() {
            let more = finding.count - finding.places.len();
            paragraph(&mut out, "", &format!("and {} more", count(more as u64, false)), console);
        }
        paragraph(&mut out, "likely  ", &finding.causes.join("; "), console);
        paragraph(&mut out, "do      ", finding.advice, console);
    }
    out
}

/// `1 error, 2 warnings, 1 note in 12 ops`.
fn summary(history: &History, findings: &[Finding]) -> String {
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let each = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| (of(severity), severity.name()));
    let each: Vec<String> = each.iter().filter(|(n, _)| *n > 0).map(|(n, name)| many(*n, name)).collect();
    let found = if each.is_empty() { "nothing is wrong".into() } else { each.join(", ") };
    format!("{found} in {}", many(history.ops().len(), "op"))
}

/// A paragraph behind a mark, indented by it.
fn paragraph(out: &mut String, mark: &str, text: &str, console: Console) {
    let indent = 2 + mark.chars().count();
    for (i, line) in terminal::wrap(&console.fit(text), console.width - indent).into_iter().enumerate() {
        let lead = if i == 0 { format!("  {mark}") } else { " ".repeat(indent) };
        let _ = writeln!(out, "{lead}{line}");
    }
}
