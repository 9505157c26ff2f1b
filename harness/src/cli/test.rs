//! `rashomon test`: run a test from end to end.

pub(super) mod args;
mod list;

use super::script::Script;
use super::{Failure, Global, Outcome, after_the_verdict, plan};
use crate::check::analysis;
use crate::render::terminal;
use crate::run::Run;
use crate::runner::interrupt::Interrupt;
use crate::runner::test;
use crate::store::RunDir;
use crate::ui::console::Console;
use crate::ui::progress::Progress;
use crate::ui::{console, exit, format, logging};
use anyhow::Context as _;
pub(super) use args::TestCommand;

pub(super) fn run(command: &TestCommand, global: Global) -> Outcome {
    if command.args.list {
        return list::run(global);
    }
    let seed = command.args.seed.unwrap_or_else(plan::draw_seed);
    run_as(command, seed, plan::repeat(command.args.seed, seed), global)
}

/// Runs the test with this seed. `repeat` is the command line that repeats it.
pub(super) fn run_as(command: &TestCommand, seed: u64, repeat: Vec<String>, global: Global) -> Outcome {
    let args = &command.args;
    args.refuse_nonsense()?;
    let script = args.schedule.as_deref().map(Script::read).transpose()?;
    // A lab is entered before any thread starts, and this program has one thread so far.
    let lab = args.lab.as_deref().map(plan::enter_lab).transpose()?;
    let (out, err) = (global.stdout(), global.stderr());
    let interrupt = Interrupt::listen()?;
    let progress = Progress::new(err);
    let started = jiff::Zoned::now();
    let test = format!("{}-{}", args.system()?.name(), args.workload()?.name());
    let dir = RunDir::create(&args.store, &test, &started.strftime("%Y%m%d-%H%M%S").to_string())?;
    logging::to_file(&dir.log())?;
    tracing::info!(command = format::shell(&repeat), seed = format!("{seed:#x}"), version = env!("CARGO_PKG_VERSION"), "test");
    progress.say(&headline(&test, seed));
    let removes = test::removes(&repeat);
    let plan = match plan::of(command, script.as_ref(), lab, seed, repeat, &dir, &progress) {
        Ok(plan) => plan,
        Err(failure @ Failure::Usage(_)) => {
            dir.withdraw();
            return Err(failure);
        }
        // Its log may say more.
        Err(failure @ Failure::Error(_)) => return Err(failure),
    };
    dir.announce();
    let finished = test::run(plan, &dir, &progress, &interrupt)?;
    progress.clear();
    let code = tell(&finished.run, &dir, out, global);
    if finished.unhealed.is_empty() {
        return Ok(code);
    }
    let list = finished.unhealed.join("\n  ");
    super::complain(&format!("something is left on nodes; {removes} removes it:\n  {list}"), global);
    Ok(exit::worse(code, exit::CRASH))
}

/// Says the verdict of a stored run, then writes it: neither a full disk nor a closed pipe keeps it from anybody.
pub(super) fn tell(run: &Run, dir: &RunDir, out: Console, global: Global) -> u8 {
    let said = console::print(&terminal::verdict(run, Some(&dir.report()), out)).context("cannot write to standard output");
    let code = exit::worse(exit::of_run(run), after_the_verdict(said, global));
    exit::worse(code, after_the_verdict(analysis::write(dir, run), global))
}

/// `rashomon 0.1.0  test demo, register  seed 0x5a3`.
fn headline(test: &str, seed: u64) -> String {
    format!("rashomon {}  test {}  seed {seed:#x}", env!("CARGO_PKG_VERSION"), test.replacen('-', ", ", 1))
}
