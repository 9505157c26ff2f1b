//! `rashomon check`: judge recorded files, with no cluster.

use super::generate::is_standard_output;
use super::{Failure, Global, Outcome, after_the_verdict, options};
use crate::check::analysis::{FileError, FileOptions, RecordedFile};
use crate::check::ladder;
use crate::render::{html, json, terminal};
use crate::run::Run;
use crate::runner::interrupt::Interrupt;
use crate::store;
use crate::tables;
use crate::ui::console::Console;
use crate::ui::progress::Progress;
use crate::ui::{console, exit, format};
use anyhow::{Context as _, anyhow};
use checker::Consistency;
use checker::ladder::{Overall, Rung};
use checker::verdict::Summary;
use clap::Args;
use histories::{Format, names};
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  rashomon check history.edn
  rashomon check history.edn --model cas-register --initial 0 --report report.html
  rashomon check history.edn --consistency causal,pram
  rashomon check history.edn --consistency strongest --at-least causal
  rashomon check --json *.jsonl                    one JSON object per file
";

/// The models for `--help`.
fn models() -> String {
    options::table("Models", tables::models())
}

/// Judge recorded history files.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = models(), help_template = super::TEMPLATE)]
pub(super) struct CheckArgs {
    /// The files; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,
    /// The files' format [default: recognised by content]
    #[arg(long, value_name = "FORMAT", long_help = options::formats_help())]
    pub(super) format: Option<Format>,
    #[command(flatten)]
    pub(super) model: options::ModelArgs,
    /// What the history should keep, several separated by commas, or strongest for the ladder of all
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = asked, default_value = "linearizable", long_help = consistency_help())]
    pub(super) consistency: Vec<Asked>,
    /// With --consistency strongest: the model that must be kept for exit code 0 [default: any but eventual]
    #[arg(long, value_name = "MODEL", value_parser = at_least)]
    pub(super) at_least: Option<Consistency>,
    /// Let a history count as valid of which no operation says anything: nothing ended ok, or only reads that found nothing
    #[arg(long)]
    pub(super) allow_empty: bool,
    /// Judge the history of a test that was cut short by its recorded part
    #[arg(long)]
    pub(super) accept_partial: bool,
    #[command(flatten)]
    pub(super) limits: options::LimitArgs,
    /// One JSON object per file on standard output, and nothing else there
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
    /// Also write the report, a self-contained page (for one file); - is standard output, and the verdict goes to standard error
    #[arg(long, value_name = "PAGE", help_heading = "Output")]
    pub(super) report: Option<PathBuf>,
}

pub(super) fn run(args: &CheckArgs, global: Global) -> Outcome {
    if args.report.is_some() && args.files.len() > 1 {
        return Err(Failure::usage("--report writes one page and takes one file; judge the files one by one"));
    }
    if args.report_is_output() && args.json {
        return Err(Failure::usage("--report - and --json both want standard output; give the page a name"));
    }
    let named = args.consistency.iter().map(|asked| if let Asked::Model(model) = asked { *model } else { Consistency::Linearizable });
    options::refuse_algorithm(args.model.algorithm, &named.collect::<Vec<_>>())?;
    if args.at_least.is_some() && !args.consistency.contains(&Asked::Strongest) {
        return Err(Failure::usage("--at-least says what of the ladder must be kept; use it with --consistency strongest"));
    }
    let progress = if args.json { Progress::quiet(global.stderr()) } else { Progress::new(global.stderr()) };
    let interrupt = Interrupt::listen()?;
    let mut how = FileOptions {
        format: args.format,
        consistency: Consistency::default(),
        options: args.model.options(),
        limits: args.limits.limits(),
        allow_empty: args.allow_empty,
        accept_partial: args.accept_partial,
    };
    let judge = Judge { args, progress: &progress, interrupt: &interrupt, global };
    let mut code = exit::VALID;
    for path in &args.files {
        let mut file = match RecordedFile::read(path, &how, &progress) {
            Ok(file) => file,
            Err(error) => {
                progress.clear();
                code = exit::worse(code, refuse(path, error, args, global));
                continue;
            }
        };
        let mut told = Told::default();
        for asked in &args.consistency {
            let of_model = match asked {
                Asked::Model(consistency) => {
                    how.consistency = *consistency;
                    judge.check(path, &mut file, &how, &mut told)
                }
                Asked::Strongest => judge.climb(path, &mut file, &how, &mut told),
            };
            code = exit::worse(code, of_model);
            if interrupt.times() > 0 {
                return Ok(code);
            }
        }
        if let Some(page) = args.report.as_ref().filter(|_| !is_one_model(args) && !told.rungs.is_empty()) {
            let drawn = judge.draw(page, &mut file, &how, told);
            code = exit::worse(code, after_the_verdict(drawn, global));
        }
    }
    Ok(code)
}

/// What was said of a file so far.
#[derive(Default)]
struct Told {
    /// The answer for each model that could be judged.
    rungs: Vec<Rung>,
    /// That of all together.
    overall: Option<Overall>,
}

impl Told {
    fn add(&mut self, rungs: Vec<Rung>, overall: Overall) {
        self.rungs.extend(rungs);
        self.overall = Some(match self.overall.take() {
            Some(before) => before.and(overall),
            None => overall,
        });
    }
}

/// Whether one model is asked about: then its page is written along with its verdict.
fn is_one_model(args: &CheckArgs) -> bool {
    matches!(args.consistency[..], [Asked::Model(_)])
}

/// What files are judged with.
struct Judge<'a> {
    args: &'a CheckArgs,
    progress: &'a Progress,
    interrupt: &'a Interrupt,
    global: Global,
}

impl Judge<'_> {
    /// Judges one file and says so. A file that cannot be judged is told and does not keep the others from being judged.
    fn check(&self, path: &Path, file: &mut RecordedFile, how: &FileOptions, all: &mut Told) -> u8 {
        let judged = file.judge(how, || self.interrupt.times() > 0, self.progress);
        self.progress.clear();
        let run = match judged {
            Ok(run) => run,
            Err(error) => return refuse(path, error, self.args, self.global),
        };
        run.repeat = super::command_line();
        let rung = vec![ladder::rung(run.consistency, run)];
        let overall = Overall::of_all(&rung);
        all.add(rung, overall);
        let said = say(self.args, &told(run, self.args, self.global));
        let code = exit::worse(exit::of(run.summary()), after_the_verdict(said, self.global));
        let Some(page) = self.args.report.as_ref().filter(|_| is_one_model(self.args)) else { return code };
        let written = write_page(page, run);
        exit::worse(code, after_the_verdict(written, self.global))
    }

    /// Says of one file what it keeps of all models, strongest first.
    fn climb(&self, path: &Path, file: &mut RecordedFile, how: &FileOptions, all: &mut Told) -> u8 {
        let climbed = ladder::climb(file, how, || self.interrupt.times() > 0, self.progress);
        self.progress.clear();
        let rungs = match climbed {
            Ok(rungs) => rungs,
            Err(error) => return refuse(path, error, self.args, self.global),
        };
        let overall = Overall::of_ladder(&rungs, self.args.at_least);
        let text = if self.args.json {
            format!("{}\n", ladder::json(path, &rungs, &overall, self.args.at_least))
        } else {
            let name = if self.args.files.len() > 1 { format!("{}\n", format::path(path)) } else { String::new() };
            format!("{name}{}", ladder::block(&rungs, &overall, self.args.console(self.global)))
        };
        let said = say(self.args, &text);
        let code = exit::worse(exit::of(overall.summary), after_the_verdict(said, self.global));
        all.add(rungs, overall);
        code
    }

    /// The page of several models: of the weakest one that is not kept, whose counter-example is one to all others that are not;
    /// else of the first that is kept.
    fn draw(&self, page: &Path, file: &mut RecordedFile, how: &FileOptions, told: Told) -> anyhow::Result<()> {
        let Told { rungs: ladder, overall } = told;
        let broken = || ladder.iter().filter(|rung| rung.summary == Summary::Invalid).map(|rung| rung.consistency);
        let weakest = broken().find(|mine| broken().all(|other| other == *mine || !mine.implies(other)));
        let kept = ladder.iter().find(|rung| rung.summary == Summary::Valid).map(|rung| rung.consistency);
        let how = FileOptions { consistency: weakest.or(kept).unwrap_or_default(), ..how.clone() };
        let judged = file.judge(&how, || self.interrupt.times() > 0, self.progress);
        self.progress.clear();
        let run = judged.map_err(|error| {
            let (FileError::Read(why) | FileError::Model(why)) = error;
            anyhow!("{} was not written: {why}", format::path(page))
        })?;
        run.repeat = super::command_line();
        run.ladder = ladder;
        run.overall = overall;
        write_page(page, run)
    }
}

impl CheckArgs {
    /// Whether the report is what goes to standard output.
    fn report_is_output(&self) -> bool {
        self.report.as_deref().is_some_and(is_standard_output)
    }

    /// Where the verdict is read.
    fn console(&self, global: Global) -> Console {
        if self.report_is_output() { global.stderr() } else { global.stdout() }
    }
}

/// Writes the page, and makes the folders that it is to lie in.
fn write_page(page: &Path, run: &Run) -> anyhow::Result<()> {
    if is_standard_output(page) {
        return console::print_data(|out| out.write_all(html::render(run).as_bytes())).context("cannot write to standard output");
    }
    store::make_parents(page)?;
    store::write(page, html::render(run).as_bytes())
}

fn say(args: &CheckArgs, text: &str) -> anyhow::Result<()> {
    if args.report_is_output() {
        console::complain(text);
        return Ok(());
    }
    if args.json { console::print_json(text) } else { console::print(text) }.context("cannot write to standard output")
}

/// Says why a file was not judged; the exit code.
fn refuse(file: &Path, error: FileError, args: &CheckArgs, global: Global) -> u8 {
    let (why, code) = match error {
        FileError::Read(why) => (why, exit::CRASH),
        FileError::Model(why) => (why, exit::USAGE),
    };
    let said = if args.json { say(args, &format!("{}\n", json::of_error(&file.display().to_string(), &why))) } else { Ok(()) };
    super::complain(&why, global);
    exit::worse(code, after_the_verdict(said, global))
}

/// What `--consistency` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// One model.
    Model(Consistency),
    /// The ladder of all.
    Strongest,
}

/// What asks for the ladder.
const STRONGEST: &str = "strongest";

fn asked(name: &str) -> Result<Asked, String> {
    if name == STRONGEST {
        return Ok(Asked::Strongest);
    }
    let found = name.parse().ok().map(Asked::Model);
    found.ok_or_else(|| names::unknown("consistency model", name, Consistency::named().map(Consistency::name).chain([STRONGEST])))
}

fn at_least(name: &str) -> Result<Consistency, String> {
    let model = options::consistency(name)?;
    let is_rung = Consistency::ALL.contains(&model) || matches!(model, Consistency::Isolation(_));
    if is_rung { Ok(model) } else { Err(format!("{name} is no rung of the ladder; ask for it with --consistency {name}")) }
}

fn consistency_help() -> String {
    let names: Vec<&str> = Consistency::named().map(Consistency::name).collect();
    format!(
        "What the history should keep, several separated by commas: {}. Linearizable is judged key by key; all others judge all keys \
         together, sequential-per-key aside. Those weaker than sequential are about reads and writes, and need each value to be \
         written once per key. Of transactions there are isolation levels, from strict-serializable, which is what is judged without this \
         option, to read-uncommitted: the verdict says what each means.\n\nstrongest: one line for each model, of transactions for each isolation level, \
         and the exit code is 0 if one of them is kept, 1 if none is, 2 if that is not known. Eventual stands beside the others and does \
         not count; --at-least names the model that must be kept",
        names.join(", ")
    )
}

fn told(run: &Run, args: &CheckArgs, global: Global) -> String {
    if args.json {
        return format!("{}\n", json::of_check(run));
    }
    let page = args.report.as_deref().filter(|page| !is_standard_output(page));
    let block = terminal::verdict(run, page, args.console(global));
    if args.files.len() > 1 { format!("{}\n{block}\n", format::path(&run.history_path)) } else { block }
}
