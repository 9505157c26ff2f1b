//! From options to a test: the nodes, how they are reached, the store under test and what is asked of it.

use super::Failure;
use super::options;
use super::script::Script;
use super::test::args::{MixName, Rate, TestArgs, TestCommand};
use crate::check::analysis;
use crate::check::limits::Limits;
use crate::run::{Judged, NodeFacts, RUN_FORMAT, TestFacts};
use crate::runner::keep::Keep;
use crate::runner::test::{Plan, Watch};
use crate::store::{self, RunDir};
use crate::tables;
use crate::ui::format;
use crate::ui::progress::Progress;
use anyhow::Context;
use checker::Budget;
use histories::{Builder, History, Kind, Value};
use nemesis::lab::Lab;
use nemesis::remote::{ConfigFile, HostKeys};
use nemesis::schedule::{Gap, Schedule, Timing};
use nemesis::spec::Times;
use nemesis::{Access, AgentOptions, Agents, Cluster, Fault, Node, NodeError, SshOptions};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use workloads::generator::{Generator, stagger};
use workloads::systems::{MakeError, Nodes, Place, Site};
use workloads::workloads::Asked;
use workloads::{System, Workload};

/// The gaps of the nemesis, if nobody says: this share of the run, within these bounds.
const INTERVALS_PER_RUN: u32 = 10;
const INTERVAL_MIN: Duration = Duration::from_secs(1);
const INTERVAL_MAX: Duration = Duration::from_secs(10);

/// Faults that start and end by themselves are active for this share of a run on average, and for no less than so long. The pauses between
/// those of a class are at most so large a share of it that each class begins well before its end, whatever is drawn, and most twice.
const DOWNS_PER_RUN: u32 = 15;
const DOWN_MIN: Duration = Duration::from_millis(500);
const UP_PER_RUN_MAX: f64 = 0.4;

/// In rounds each way to hurt has a turn of its own if there is so much time for each.
const TURN_OF_WAY_MIN: Duration = Duration::from_secs(4);

/// Moves this process into a lab's network.
///
/// # Errors
/// There is no such lab, or it cannot be entered.
pub(super) fn enter_lab(name: &str) -> Result<Lab, Failure> {
    let lab = Lab::find(name)?;
    lab.enter()?;
    Ok(lab)
}

/// A seed nobody gave: short enough to be typed.
pub(super) fn draw_seed() -> u64 {
    // The standard library seeds its hash maps from the system's randomness; that is all that is needed here.
    std::collections::hash_map::RandomState::new().build_hasher().finish() >> 32
}

/// The words of the command line that repeats this run: as given, with the seed.
pub(super) fn repeat(given: Option<u64>, seed: u64) -> Vec<String> {
    let mut words: Vec<String> = std::iter::once("rashomon".into()).chain(std::env::args().skip(1)).collect();
    if given.is_none() {
        words.extend(["--seed".into(), format!("{seed:#x}")]);
    }
    words
}

/// Makes the test that the options describe. Nodes are connected to, and nothing is started on them.
///
/// # Errors
/// Options that make no sense together; nodes that cannot be reached.
pub(super) fn of(
    test: &TestCommand,
    script: Option<&Script>,
    lab: Option<Lab>,
    seed: u64,
    command: Vec<String>,
    dir: &RunDir,
    progress: &Progress,
) -> Result<Plan, Failure> {
    let args = &test.args;
    let (system, cluster, agents) = system(test, lab, seed, dir, progress)?;
    let concurrency = args.concurrency.threads(cluster.len())?;
    let (faults, schedule, about_faults) = faults(args, script, seed, &cluster, system.as_ref(), dir)?;
    let mut workload = workload(test, system.as_ref(), cluster.len(), concurrency, seed)?;
    workload.options.algorithm = args.algorithm;
    if args.consistency == checker::Consistency::Linearizable {
        // Whether the algorithm fits the model is better known before the run than after it.
        let little = if system.tells_revisions() { numbered() } else { Builder::new().finish() };
        let verdict = tables::check(&little, args.consistency, &workload.options, &Budget::unlimited()).map_err(Failure::usage)?;
        if system.tells_revisions() && verdict.answer != checker::verdict::Summary::Valid {
            let name = args.algorithm.name();
            return Err(Failure::usage(format!(
                "the algorithm {name} does not cover answers with revisions: leave it out, or say --revisions no"
            )));
        }
    }
    let mut options = system.describe();
    options.extend(workload.describe.iter().cloned());
    options.push(("rate".into(), rate_words(args.rate)));
    options.extend(about_faults);
    options.push(("recovery time".into(), format::duration(args.recovery_time)));
    let facts = TestFacts {
        format: RUN_FORMAT,
        rashomon: env!("CARGO_PKG_VERSION").into(),
        database: system.name().into(),
        database_version: String::new(),
        workload: workload.name.into(),
        nodes: cluster.nodes.iter().map(|node| NodeFacts { name: node.name.clone(), address: node.address.clone() }).collect(),
        concurrency,
        seed,
        command,
        started: String::new(),
        setup_ms: 0,
        time_limit_ms: millis(args.time_limit),
        op_timeout_ms: millis(args.op_timeout),
        nemesis: classes(&faults).into_iter().map(str::to_owned).collect(),
        options,
        judged: Judged {
            accept_partial: args.accept_partial,
            consistency: (args.consistency != checker::Consistency::default()).then(|| args.consistency.name().into()),
            ..analysis::judged(&workload.options, &workload.must_succeed, workload.last.is_some())
        },
    };
    Ok(Plan {
        facts,
        system,
        cluster,
        agents,
        workload,
        faults,
        schedule,
        time_limit: args.time_limit,
        op_timeout: args.op_timeout,
        recovery_time: args.recovery_time,
        limits: Limits { time: Some(args.check_time_limit), memory_bytes: args.memory_limit },
        keep: Keep { when: args.keep_data, bytes_max: args.keep_data_limit },
        watch: match args {
            TestArgs { fail_fast: true, .. } => Watch::EndAtViolation,
            TestArgs { live: true, .. } => Watch::Show,
            _ => Watch::No,
        },
    })
}

/// A history with a revision: what decides it is what decides a run of a system that tells them.
fn numbered() -> History {
    let mut builder = Builder::new();
    builder.event(0, Kind::Invoke, "write", &Value::pair(0, 1), 0);
    builder.event(0, Kind::Ok, "write", &Value::pair(0, Value::pair(1, 2)), 1);
    builder.finish()
}

/// The faults, when they start and end, and both in words for the report.
type Hurts = (Vec<Box<dyn Fault>>, Schedule, Vec<(String, String)>);

fn faults(
    args: &TestArgs,
    script: Option<&Script>,
    seed: u64,
    cluster: &Cluster,
    system: &dyn System,
    dir: &RunDir,
) -> Result<Hurts, Failure> {
    let lacks = |fault: &str| system.lacks(fault);
    let about = |rows: &[(&str, String)]| rows.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
    if let Some(script) = script {
        let (faults, steps) = script.faults(cluster, args.time_limit, &lacks).map_err(Failure::Usage)?;
        // Beside the run's other files, so that it can be replayed when the original has changed.
        store::write(&dir.schedule(), script.text().as_bytes())?;
        return Ok((faults, Schedule::scripted(&steps), about(&[("schedule", script.describe())])));
    }
    let asked = nemesis::spec::parse_for(&args.nemesis, cluster, &lacks)
        .map_err(|error| Failure::usage(format!("--nemesis {}: {}", error.item, options::refused_fault(&error))))?;
    let (faults, times): (Vec<Box<dyn Fault>>, Vec<Times>) = asked.into_iter().map(|asked| (asked.fault, asked.times)).unzip();
    let classes = classes(&faults);
    let is_timed = args.nemesis_down.is_some() || args.nemesis_up.is_some() || times.iter().any(|times| *times != Times::default());
    let usual = || if is_timed { MixName::FlipFlop } else { MixName::usual(classes.len()) };
    let mix = args.nemesis_mix.unwrap_or_else(usual);
    if mix == MixName::FlipFlop {
        return by_turns(args, faults, &times, seed);
    }
    if is_timed {
        return Err(Failure::usage(
            "how long faults last, and how often they begin, can be said only with --nemesis-mix flip-flop; in the other mixes --nemesis-interval says both",
        ));
    }
    let turns = if mix == MixName::Rounds { turns(args, &faults) } else { Vec::new() };
    let intervals = INTERVALS_PER_RUN.max(intervals_of_round(&turns));
    let interval = args.nemesis_interval.unwrap_or_else(|| (args.time_limit / intervals).clamp(INTERVAL_MIN, INTERVAL_MAX));
    let (schedule, mix) = match mix {
        MixName::Rounds if turns.iter().any(|&turns| turns > 1) => {
            (Schedule::rounds(&turns, interval, seed), "rounds: each way to hurt once a round")
        }
        mix => (Schedule::drawn(mix.into(), &classes, interval, seed), mix.words()),
    };
    let rows = [("nemesis", args.nemesis.clone()), ("nemesis mix", mix.into()), ("nemesis interval", format::duration(interval))];
    Ok((faults, schedule, about(&rows)))
}

/// Faults that start and end by themselves, each class with the times that are its own.
fn by_turns(args: &TestArgs, faults: Vec<Box<dyn Fault>>, times: &[Times], seed: u64) -> Result<Hurts, Failure> {
    let usual = usual_timing(args, faults.len());
    let mut timed = Vec::new();
    let mut rows = Vec::new();
    for (fault, times) in faults.iter().zip(times) {
        let down = times.lasts.map_or(usual.down, Gap::Exactly);
        let up = match times.every {
            None => usual.up,
            Some(every) => Gap::About(every.checked_sub(mean(down)).filter(|up| !up.is_zero()).ok_or_else(|| {
                let (every, lasts, name) = (format::duration(every), format::duration(mean(down)), fault.name());
                Failure::usage(format!(
                    "--nemesis: {name} cannot begin every {every} and last {lasts}: say how long by for=, like {name} for=50ms"
                ))
            })?),
        };
        rows.push(format!("{} {}, then {}", fault.name(), gap_words(down), gap_words(up)));
        timed.push((fault.name(), Timing { down, up }));
    }
    let rows = [
        ("nemesis", args.nemesis.clone()),
        ("nemesis mix", MixName::FlipFlop.words().into()),
        ("nemesis active, then away", rows.join("; ")),
    ];
    // The last says nothing where there are no faults.
    let rows = rows.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name.to_owned(), text)).collect();
    let schedule = Schedule::by_turns(&timed, seed);
    Ok((faults, schedule, rows))
}

/// How long faults are active and away if an item does not say so itself.
fn usual_timing(args: &TestArgs, classes: usize) -> Timing {
    let (down, up) = usual_gaps(args.time_limit, classes);
    let down = args.nemesis_down.or(args.nemesis_interval).unwrap_or(down);
    let up = args.nemesis_up.or(args.nemesis_interval).unwrap_or(up);
    Timing { down: Gap::About(down), up: Gap::About(up) }
}

/// What is usual: the more classes there are, the longer each is away, for the cluster works only while none keeps it from that, and needs
/// some time after each: etcd two seconds for an election, in which a run of ten seconds is answered in somewhat more than half of its time.
fn usual_gaps(run: Duration, classes: usize) -> (Duration, Duration) {
    let classes = u32::try_from(classes.max(1)).unwrap_or(u32::MAX);
    let down = (run / DOWNS_PER_RUN).clamp(DOWN_MIN, INTERVAL_MAX);
    let up = down.saturating_mul(2 * classes).min(run.mul_f64(UP_PER_RUN_MAX)).max(DOWN_MIN);
    (down, up)
}

fn mean(gap: Gap) -> Duration {
    let (Gap::Exactly(mean) | Gap::About(mean)) = gap;
    mean
}

fn gap_words(gap: Gap) -> String {
    match gap {
        Gap::Exactly(time) => format::duration(time),
        Gap::About(time) => format!("about {}", format::duration(time)),
    }
}

/// How often each class has its turn in a round: for each of its ways if the run is long enough for that, else once.
fn turns(args: &TestArgs, faults: &[Box<dyn Fault>]) -> Vec<usize> {
    let each_way: Vec<usize> = faults.iter().map(|fault| fault.ways()).collect();
    let interval = args.nemesis_interval.unwrap_or(TURN_OF_WAY_MIN);
    if interval.saturating_mul(intervals_of_round(&each_way)) <= args.time_limit { each_way } else { vec![1; faults.len()] }
}

/// The intervals that a round takes, with the beginning of a run and the recovery from the last fault.
fn intervals_of_round(turns: &[usize]) -> u32 {
    turns.iter().sum::<usize>() as u32 + 2
}

/// The classes of some faults, each once.
fn classes(faults: &[Box<dyn Fault>]) -> Vec<&'static str> {
    let mut classes: Vec<&str> = Vec::new();
    for fault in faults {
        if !classes.contains(&fault.name()) {
            classes.push(fault.name());
        }
    }
    classes
}

/// A store under test, its nodes, and the agents on them if there are any.
type Bed = (Arc<dyn System>, Cluster, Option<Agents>);

/// Makes the system on its nodes, and connects to these if they are hosts.
fn system(test: &TestCommand, lab: Option<Lab>, seed: u64, dir: &RunDir, progress: &Progress) -> Result<Bed, Failure> {
    let args = &test.args;
    let kind = args.system()?;
    let make = |nodes| {
        let made = kind.make(&test.matches, &Site { nodes, seed, consistency: args.consistency });
        made.map_err(|error| match error {
            MakeError::Usage(why) => Failure::usage(why),
            other => Failure::error(other.to_string()),
        })
    };
    match kind.place() {
        Place::Here { usual, possible } => {
            let wanted = format!("--nodes of {} is a number from {} to {}", kind.name(), possible.start(), possible.end());
            let count = match args.nodes.as_slice() {
                [] => usual,
                [number] => number.parse().map_err(|_| Failure::usage(&wanted))?,
                _ => return Err(Failure::usage(wanted)),
            };
            if !possible.contains(&count) {
                return Err(Failure::usage(wanted));
            }
            let (dir, program) = (std::path::absolute(dir.path())?, this_program()?);
            let made = make(Nodes::Here { count, dir: &dir, program: &program })?;
            // If it has agents of its own on this machine they go when it goes: this machine is no node that must be as it was.
            Ok((made.system, made.cluster, None))
        }
        Place::Hosts => {
            let lab_name = lab.as_ref().map(|lab| lab.name.clone());
            let (cluster, access) = reach(&args.nodes, lab, args.ssh.options()?)?;
            progress.begin("connect");
            progress.update(|| format!("logging in to {} and starting the agents", format::many(cluster.len(), "node")));
            let agents = Agents::connect(&cluster, &access, &AgentOptions::new(dir.path().display().to_string(), this_program()?))
                .map_err(|errors| all(&errors))?;
            progress.end(&format!("{} reached", format::many(cluster.len(), "node")));
            let made = make(Nodes::Hosts { cluster: &cluster, agents: &agents, lab: lab_name.as_deref() })?;
            Ok((made.system, made.cluster, Some(agents)))
        }
    }
}

/// The nodes of `--nodes` or of a lab, and how they are reached.
pub(super) fn reach(names: &[String], lab: Option<Lab>, ssh: SshOptions) -> Result<(Cluster, Access), Failure> {
    let (nodes, ssh) = match lab {
        Some(lab) => {
            let lab_ssh = SshOptions {
                user: Some("root".into()),
                keys: vec![lab.key],
                known_hosts: vec![lab.known_hosts],
                host_keys: Some(HostKeys::Strict),
                config: ConfigFile::Nothing,
                ..SshOptions::default()
            };
            (lab.nodes, lab_ssh)
        }
        None => (names.iter().map(|name| (name.trim().to_owned(), name.trim().to_owned())).collect(), ssh),
    };
    for (i, (name, _)) in nodes.iter().enumerate() {
        if name.is_empty() || nodes[..i].iter().any(|(other, _)| other == name) {
            return Err(Failure::usage(format!("--nodes names `{name}` twice, or nothing between two commas")));
        }
    }
    let node = |(index, (name, address)): (usize, (String, String))| Node { index, name, address };
    let cluster = Cluster { nodes: nodes.into_iter().enumerate().map(node).collect() };
    Ok((cluster, Access::Ssh(ssh)))
}

/// What the nodes say that could not be reached.
pub(super) fn all(errors: &[NodeError]) -> Failure {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Failure::error(lines.join("\n       "))
}

/// This program's own file, to be run as a demo node, or uploaded as an agent.
pub(super) fn this_program() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe().context("cannot find this program's own file")?;
    // A build may have replaced the file since this process started; the kernel still has it.
    Ok(if path.exists() { path } else { "/proc/self/exe".into() })
}

fn workload(test: &TestCommand, system: &dyn System, nodes: usize, concurrency: u32, seed: u64) -> Result<Workload, Failure> {
    let kind = test.args.workload()?;
    if let Some(f) = kind.needs().iter().find(|f| !system.offers(f)) {
        return Err(Failure::usage(format!("the workload {} asks for {f}, which {} does not offer", kind.name(), system.name())));
    }
    let mut workload = kind.make(&test.matches, &Asked { system, nodes, concurrency, seed }).map_err(Failure::Usage)?;
    if let Rate::PerSecond(rate) = test.args.rate {
        let mean_gap = Duration::from_secs_f64(1.0 / rate);
        let main: Box<dyn Generator> = Box::new(stagger(ChaCha8Rng::seed_from_u64(seed), mean_gap, workload.main));
        workload.main = main;
    }
    Ok(workload)
}

fn rate_words(rate: Rate) -> String {
    match rate {
        Rate::Unlimited => "unlimited".into(),
        Rate::PerSecond(rate) => format!("{rate} ops/s"),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each class begins in every run, and all together leave the cluster more time than they take.
    #[test]
    fn usual_faults_leave_time_to_work() {
        for seconds in [1, 4, 10, 60, 600, 36_000] {
            for classes in 1..=5 {
                let run = Duration::from_secs(seconds);
                let (down, up) = usual_gaps(run, classes);
                assert!(2 * up < run || seconds == 1, "{seconds} s, {classes} classes: the first may begin only after {up:?}");
                let share = down.as_secs_f64() / (down + up).as_secs_f64() * classes as f64;
                assert!(share < 0.55 || seconds < 10 || classes > 3, "{seconds} s, {classes} classes: active {share} of the time");
                assert!(down <= INTERVAL_MAX && up >= DOWN_MIN);
            }
        }
    }
}
