//! `rashomon convert`: write a recorded file in another format.

use super::{Failure, Global, Outcome, options};
use crate::ui::{console, exit, format};
use clap::Args;
use histories::{Format, write};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  rashomon convert history.edn history.jsonl
  rashomon convert history.txt.gz history.jsonl.zst
  rashomon convert history.edn ops.json --to intervals  as Porcupine's operations
";

const FORMATS: &str = "\
Formats that are written:
  edn        Jepsen's, one op map per line
  jsonl      our own: nothing is lost
  json       one array of events, as Elle's command line reads it
  intervals  Porcupine's operations, with the times of their calls and returns
";

/// Write a recorded history file in another format.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = FORMATS, help_template = super::TEMPLATE)]
pub(super) struct ConvertArgs {
    /// The file; - is standard input
    #[arg(value_name = "IN")]
    pub(super) input: PathBuf,
    /// The file to write; .zst or .gz compresses it; - is standard output
    #[arg(value_name = "OUT")]
    pub(super) output: PathBuf,
    /// The input's format [default: recognised by content, and reported]
    #[arg(long, value_name = "FORMAT", long_help = options::formats_help())]
    pub(super) format: Option<Format>,
    /// The output's format [default: by the name's ending: .edn, .jsonl, .json]
    #[arg(long, value_name = "FORMAT")]
    pub(super) to: Option<Format>,
    /// Write over a file that exists
    #[arg(long)]
    pub(super) force: bool,
}

pub(super) fn run(args: &ConvertArgs, _global: Global) -> Outcome {
    let Some(to) = args.to.or_else(|| format_of_name(&args.output)) else {
        return Err(Failure::usage(format!("{}: name the format to write with --to", format::path(&args.output))));
    };
    if !to.is_written() {
        return Err(Failure::usage(write::only_read(to)));
    }
    if args.output.symlink_metadata().is_ok() && !args.force {
        return Err(Failure::usage(format!("{} exists; write over it with --force", format::path(&args.output))));
    }
    let history = histories::read_path(&args.input, args.format);
    let history = history.map_err(|error| Failure::error(format::of_file(&args.input, &error.to_string())))?;
    let written = if args.output.as_os_str() == "-" {
        console::print_data(|out| write::write(out, &history, to))
    } else {
        histories::file::write_path(&args.output, &history, to)
    };
    written.map_err(|error| Failure::error(format!("{}: cannot write it: {error}", format::path(&args.output))))?;
    let events = format::many(history.len(), "event");
    let mut told = vec![format!("{}: {events} read as {}, written as {to}", format::path(&args.output), history.meta.format)];
    told.extend(history.meta.torn_line.map(|line| format!("left out: line {line}, which its writer did not finish")));
    told.extend(
        history.meta.passed_over.iter().map(|field| format!("left out: the field {}, which means nothing here", format::name(field))),
    );
    told.extend(write::losses(&history, to).into_iter().map(|loss| format!("lost in {to}: {loss}")));
    console::complain(&(told.join("\n") + "\n"));
    Ok(exit::VALID)
}

/// The format that a file's name says, its compression aside.
pub(super) fn format_of_name(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".zst").or_else(|| name.strip_suffix(".gz")).unwrap_or(name);
    [(".edn", Format::Edn), (".jsonl", Format::Jsonl), (".json", Format::Json)]
        .into_iter()
        .find(|(ending, _)| name.ends_with(ending))
        .map(|(_, format)| format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_formats() {
        for (name, format) in [
            ("a.edn", Some(Format::Edn)),
            ("a b.jsonl.zst", Some(Format::Jsonl)),
            ("a.edn.gz", Some(Format::Edn)),
            ("x/y.json", Some(Format::Json)),
            ("a.txt", None),
            ("-", None),
        ] {
            assert_eq!(format_of_name(Path::new(name)), format, "{name}");
        }
    }
}
