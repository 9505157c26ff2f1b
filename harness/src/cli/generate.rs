//! `rashomon generate`: make a history by simulating a correct object, or one that lies once.

use super::convert::format_of_name;
use super::{Failure, Global, Outcome, options};
use crate::ui::{console, exit, format};
use clap::Args;
use histories::generate::{self, Anomaly, Distinct, Model, Plan, Planted, Refused, THINK_NS};
use histories::{Format, History, names, write};
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  rashomon generate --model register --ops 1000000 --concurrency 100 -o h.jsonl
  rashomon generate --model cas-register --ops 10000 --concurrency 20 --info 0.01 --anomaly stale-read -o h.edn
  rashomon generate --model kv --keys 100 --values 5 --seed 9 | rashomon check -
";

const MODELS: &str = "\
Models, and what can be planted in their histories:
  register      stale-read, lost-write, phantom
  cas-register  stale-read, lost-write, lost-update, phantom
  kv            stale-read, lost-write, phantom
  queue, stack  duplicate, reorder, lost-element, phantom
  set           stale-read, lost-element, phantom
  counter       stale-read, lost-write, phantom
  mutex         double-grant
  list-append   stale-read, lost-write, duplicate, reorder, fractured-read, phantom
  rw-register   stale-read, lost-update, fractured-read, phantom
  bank          lost-write, fractured-read, negative-balance
";

/// Make a history: a simulated object under random delays, correct or with one planted anomaly
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = MODELS, help_template = super::TEMPLATE)]
pub(super) struct GenerateArgs {
    /// The object; the models are below
    #[arg(long, value_name = "MODEL", value_parser = model)]
    pub(super) model: Model,
    /// Client operations
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(super) ops: u32,
    /// Clients, each with one operation in flight at most
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(super) concurrency: u32,
    /// The share of operations whose outcome nobody learns: 0.01 is one in a hundred
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub(super) info: f64,
    /// How many values are written, at random, or unique
    #[arg(long, value_name = "N|unique", value_parser = values, default_value = "unique")]
    pub(super) values: Distinct,
    /// Independent keys; for transactions the keys to choose from, for a bank the accounts [default: 1; 8]
    #[arg(long, value_name = "N")]
    pub(super) keys: Option<u32>,
    /// The mean gap between two operations of a client; one takes 1 ms on average, and the default leaves nine clients of
    /// ten with one in flight
    #[arg(long, value_name = "DURATION", value_parser = think)]
    pub(super) think: Option<Duration>,
    /// The same seed makes the same history
    #[arg(long, value_name = "SEED", value_parser = options::seed, default_value = "0")]
    pub(super) seed: u64,
    /// What goes wrong, once
    #[arg(long, value_name = "NAME", value_parser = anomaly)]
    pub(super) anomaly: Option<Anomaly>,
    /// The share of the history after which a place for it is looked for
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    pub(super) anomaly_at: f64,
    /// The file to write; .zst or .gz compresses it; - is standard output
    #[arg(short, long, value_name = "OUT", default_value = "-")]
    pub(super) output: PathBuf,
    /// The output's format [default: by the name's ending: .edn, .jsonl, .json; jsonl on standard output]
    #[arg(long, value_name = "FORMAT")]
    pub(super) to: Option<Format>,
    /// Write over a file that exists
    #[arg(long)]
    pub(super) force: bool,
}

fn model(name: &str) -> Result<Model, String> {
    let found = Model::ALL.into_iter().find(|model| model.name() == name);
    found.ok_or_else(|| names::unknown("model to simulate", name, Model::ALL.map(Model::name)))
}

fn anomaly(name: &str) -> Result<Anomaly, String> {
    let found = Anomaly::ALL.into_iter().find(|anomaly| anomaly.name() == name);
    found.ok_or_else(|| names::unknown("anomaly", name, Anomaly::ALL.map(Anomaly::name)))
}

fn values(text: &str) -> Result<Distinct, String> {
    match text {
        "unique" => Ok(Distinct::Unique),
        number => number.parse().map(Distinct::Few).map_err(|_| "write a number, like 5, or unique".into()),
    }
}

fn think(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 1ms, 100us or 0s"))
}

impl GenerateArgs {
    fn plan(&self) -> Plan {
        Plan {
            concurrency: self.concurrency,
            info: self.info,
            values: self.values,
            keys: self.keys.unwrap_or_else(|| self.model.default_keys()),
            seed: self.seed,
            think_ns: self.think.map_or(THINK_NS, |think| u64::try_from(think.as_nanos()).unwrap_or(u64::MAX)),
            anomaly: self.anomaly,
            anomaly_at: self.anomaly_at,
            ..Plan::new(self.model, self.ops)
        }
    }

    fn format(&self) -> Result<Format, Failure> {
        let by_name = || if is_standard_output(&self.output) { Some(Format::Jsonl) } else { format_of_name(&self.output) };
        let shown = format::path(&self.output);
        match self.to.or_else(by_name) {
            None => Err(Failure::usage(format!("{shown}: name the format to write with --to"))),
            Some(format) if !format.is_written() => Err(Failure::usage(write::only_read(format))),
            Some(format) => Ok(format),
        }
    }
}

/// Whether a file's name stands for standard output.
pub(super) fn is_standard_output(path: &Path) -> bool {
    path.as_os_str() == "-"
}

pub(super) fn run(args: &GenerateArgs, _global: Global) -> Outcome {
    let format = args.format()?;
    let to_terminal = is_standard_output(&args.output);
    if !to_terminal && args.output.symlink_metadata().is_ok() && !args.force {
        return Err(Failure::usage(format!("{} exists; write over it with --force", format::path(&args.output))));
    }
    let (history, planted) = generate::history(&args.plan()).map_err(|refused| match refused {
        Refused::Plan(why) => Failure::usage(why),
        no_place @ Refused::NoPlace { .. } => no_place.into(),
    })?;
    let written = if to_terminal {
        console::print_data(|out| write::write(out, &history, format))
    } else {
        histories::file::write_path(&args.output, &history, format)
    };
    written.map_err(|error| Failure::error(format!("{}: cannot write it: {error}", format::path(&args.output))))?;
    console::complain(&format!("{}\n", summary(args, &history, planted.as_ref(), format)));
    Ok(exit::VALID)
}

/// What was made, where, and what is wrong with it.
fn summary(args: &GenerateArgs, history: &History, planted: Option<&Planted>, format: Format) -> String {
    let place = if is_standard_output(&args.output) { "standard output".into() } else { format::path(&args.output) };
    let ops = format::many(history.ops().len(), "op");
    let clients = format::many(args.concurrency as usize, "client");
    let wrong = planted.map_or("nothing is wrong".into(), |planted| {
        let key = planted.key.map_or_else(String::new, |key| format!(" on key {key}"));
        format!("{} at op {} (event {}){key}: {}", planted.anomaly, planted.op, planted.event, planted.what)
    });
    format!("{place}: {ops} of {} by {clients}, written as {format}; {wrong}", args.model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_what_fits() {
        for model in Model::ALL {
            let line = MODELS.lines().find(|line| {
                let names = line.trim_start().split("  ").next().unwrap_or_default();
                names.split(", ").any(|name| name == model.name())
            });
            let line = line.unwrap_or_else(|| panic!("{model} is not in the help"));
            let told: Vec<&str> =
                line.trim_start().split("  ").skip(1).flat_map(|rest| rest.trim().split(", ")).filter(|w| !w.is_empty()).collect();
            assert_eq!(told, model.anomalies().iter().map(|anomaly| anomaly.name()).collect::<Vec<_>>(), "{model}");
        }
    }

    #[test]
    fn numbers_of_values() {
        assert_eq!(values("unique"), Ok(Distinct::Unique));
        assert_eq!(values("5"), Ok(Distinct::Few(5)));
        assert!(values("many").unwrap_err().contains("unique"));
    }
}
