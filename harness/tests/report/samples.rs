//! Runs made in memory, from a simulated five-node store: what the report's tests render.

use checker::describe;
use checker::verdict::{Others, Possible, Reason, Step, StepKind, Stopped, Summary, Undecided, Words};
use checker::{Answer, Counterexample, KeyVerdict, Verdict, Witness};
use histories::{Builder, History, Kind, OpId, Outcome, Value, ValueId};
use rashomon_harness::findings::Findings;
use rashomon_harness::run::{CheckFacts, Coverage, ErrorCount, FaultCoverage, FunctionCount, Judged, NodeFacts, NodeFile, Run, TestFacts};
use rashomon_harness::timeline::{FaultWindow, Phase, PhaseSpan};
use std::collections::BTreeMap;
use std::time::Duration;

const MS: i64 = 1_000_000;

/// A small generator of pseudo-random numbers (xorshift64*): the same pages every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        ((self.roll() * n as f64) as usize).min(n - 1)
    }
}

/// An event before it is put in order: time, tie-breaker, process, kind, function, value.
pub(crate) type Draft = (i64, usize, i64, Kind, &'static str, Value);

/// A simulated run: events of ops, and for each key its ops in an order that explains them, by the number of the invocation.
pub(crate) struct Simulation {
    pub(crate) drafts: Vec<Draft>,
    order: Vec<(i64, i64, usize)>,
}

/// Clients of a correct store that is hurt by [`windows`]: registers under `keys` keys, `ops` ops over ten seconds.
pub(crate) fn simulate(seed: u64, ops: usize, keys: i64) -> Simulation {
    const PROCESSES: usize = 20;
    let mut dice = Dice(seed | 1);
    let mut calls: Vec<(i64, i64, i64, usize)> = Vec::new();
    let spacing = 10_000 * MS / (ops as i64 / PROCESSES as i64).max(1);
    for process in 0..PROCESSES {
        let mut at = (dice.roll() * spacing as f64) as i64;
        for _ in 0..ops / PROCESSES {
            let latency =
                ((3.0 + 12.0 * dice.roll() / (0.06 + dice.roll())) * MS as f64 * (spacing as f64 / 60e6).min(1.0)) as i64 + 50_000;
            let point = at + (latency as f64 * dice.roll()) as i64;
            calls.push((point, at, at + latency, process));
            at += latency.max((spacing as f64 * (0.7 + 0.6 * dice.roll())) as i64);
        }
    }
    calls.sort_unstable();
    let mut simulation = Simulation { drafts: Vec::new(), order: Vec::new() };
    let (mut state, mut written) = (BTreeMap::<i64, i64>::new(), 0);
    let mut crashed = [0_i64; PROCESSES];
    for (id, &(point, from, to, process)) in calls.iter().enumerate() {
        let key = dice.below(keys as usize) as i64;
        let cut = (3_000 * MS..4_800 * MS).contains(&from) && matches!(process % 5, 0 | 2)
            || (6_100 * MS..7_000 * MS).contains(&from) && process % 5 == 4;
        let luck = if cut { dice.roll() } else { 0.0 };
        let held = state.get(&key).copied();
        let (f, asked) = match dice.below(10) {
            0..5 => ("read", Value::Nil),
            5..8 => {
                written += 1;
                ("write", Value::Int(written))
            }
            _ => {
                written += 1;
                ("cas", Value::pair(if dice.roll() < 0.6 { held.unwrap_or(0) } else { written / 2 }, written))
            }
        };
        let (kind, answer) = outcome(&mut state, key, f, &asked, luck);
        let name = process as i64 + crashed[process] * PROCESSES as i64;
        let keyed = |value: Value| Value::Vector(vec![Value::Int(key), value]);
        let to = if kind == Kind::Info {
            from + 1_000 * MS
        } else if luck > 0.0 {
            from + 400_000
        } else {
            to
        };
        simulation.drafts.push((from, id, name, Kind::Invoke, f, keyed(asked)));
        simulation.drafts.push((to, id, name, kind, f, keyed(answer)));
        crashed[process] += i64::from(kind == Kind::Info);
        if kind == Kind::Ok {
            simulation.order.push((key, point, id));
        }
    }
    simulation
}

fn outcome(state: &mut BTreeMap<i64, i64>, key: i64, f: &str, asked: &Value, luck: f64) -> (Kind, Value) {
    let held = state.get(&key).copied();
    match (f, asked.elements()) {
        _ if luck > 0.35 => (Kind::Fail, asked.clone()),
        ("read", _) => (Kind::Ok, Value::from(held)),
        _ if luck > 0.28 => (Kind::Info, asked.clone()),
        ("cas", Some([old, new])) if old.as_int() == held => {
            state.insert(key, new.as_int().unwrap());
            (Kind::Ok, asked.clone())
        }
        ("cas", _) => (Kind::Fail, asked.clone()),
        _ => {
            state.insert(key, asked.as_int().unwrap());
            (Kind::Ok, asked.clone())
        }
    }
}

/// Puts drafts in order of time.
pub(crate) fn history(mut drafts: Vec<Draft>) -> History {
    drafts.sort_by_key(|draft| (draft.0, draft.1));
    let mut builder = Builder::new();
    for (at, _, process, kind, f, value) in &drafts {
        let event = builder.event(*process, *kind, f, value, *at);
        let name = builder.values().int(*process);
        builder.node(name, &format!("n{}", process.rem_euclid(5) + 1));
        if *kind == Kind::Info {
            let error = builder.values().str("timeout");
            builder.error(event, error);
        }
    }
    builder.meta().keyed = Some(true);
    builder.finish()
}

/// The faults of every simulated run.
pub(crate) fn windows() -> Vec<FaultWindow> {
    let window = |fault: &str, what: &str, nodes: &[&str], from: i64, to: i64, seen: &str| FaultWindow {
        fault: fault.into(),
        what: what.into(),
        nodes: nodes.iter().map(|n| (*n).into()).collect(),
        from_ns: from * MS,
        injected_ns: Some((from + 7) * MS),
        to_ns: Some(to * MS),
        observed: true,
        seen: seen.into(),
        recovered: Some(true),
        groups: Vec::new(),
        clocks: Vec::new(),
        leaders: None,
        facts: Vec::new(),
    };
    let groups = vec![vec!["n1".into(), "n3".into()], vec!["n2".into(), "n4".into(), "n5".into()]];
    vec![
        window("pause", "paused n4", &["n4"], 1_200, 1_900, "the process is stopped; a probe was not answered"),
        FaultWindow {
            groups,
            facts: vec![("links cut".into(), "12".into())],
            ..window("partition", "n1 n3 | n2 n4 n5", &["n1", "n3"], 3_000, 4_800, "n1 hears n3 only; n2 hears n4 and n5 only")
        },
        window("kill", "killed n5", &["n5"], 6_100, 7_000, "no process; the port refuses"),
        FaultWindow {
            observed: false,
            injected_ns: None,
            recovered: None,
            ..window("clock", "n2 by -250 ms", &["n2"], 9_100, 9_600, "operation not permitted: the offset stayed at 0.2 ms")
        },
    ]
}

fn test_facts() -> TestFacts {
    TestFacts {
        format: rashomon_harness::run::RUN_FORMAT,
        rashomon: "0.1.0".into(),
        database: "pairstore".into(),
        database_version: "0.4.2".into(),
        workload: "register".into(),
        nodes: (1..=5).map(|i| NodeFacts { name: format!("n{i}"), address: format!("192.0.2.{i}") }).collect(),
        concurrency: 20,
        seed: 0x5a3,
        command: ["rashomon", "test", "pairstore", "--seed", "0x5a3"].map(String::from).to_vec(),
        started: "2026-11-14T09:12:40Z".into(),
        setup_ms: 4_100,
        time_limit_ms: 10_000,
        op_timeout_ms: 1_000,
        nemesis: ["partition", "kill", "pause", "clock"].map(String::from).to_vec(),
        options: vec![("replication".into(), "async-primary".into()), ("rate".into(), "unlimited".into())],
        judged: Judged { model: "cas-register".into(), keyed: Some(true), ..Judged::default() },
    }
}

/// A run of the simulated store around a history and its verdict.
pub(crate) fn run(history: History, verdict: Verdict) -> Run {
    let windows = windows();
    let fault = |name: &str, ms: u64| {
        let of: Vec<&FaultWindow> = windows.iter().filter(|w| w.fault == name).collect();
        let observed = of.iter().filter(|w| w.observed).count();
        FaultCoverage {
            fault: name.into(),
            injected: of.len(),
            observed,
            active_ms: ms,
            nodes: of.iter().flat_map(|w| w.nodes.clone()).collect(),
        }
    };
    let faults = vec![fault("partition", 1_800), fault("kill", 900), fault("pause", 700), fault("clock", 0)];
    let span = |phase, from: i64, to: i64| PhaseSpan { phase, from_ns: from * MS, to_ns: Some(to * MS) };
    Run {
        title: "pairstore, register".into(),
        test: Some(test_facts()),
        counts: counts(&history),
        errors: errors(&history),
        coverage: Coverage { faults, final_reads: Some(20), ops_during_faults: 812, ..Coverage::default() },
        findings: Findings::default(),
        windows,
        phases: vec![span(Phase::Setup, -4_100, 0), span(Phase::Main, 0, 10_000)],
        node_files: (1..=5).map(|i| NodeFile { node: format!("n{i}"), path: format!("logs/n{i}.log").into(), bytes: 18_231 * i }).collect(),
        check: CheckFacts {
            parse: Duration::from_millis(12),
            check: Duration::from_millis(61),
            peak_rss_bytes: Some(212 << 20),
            search_bytes: 3 << 20,
            time_limit: Some(Duration::from_mins(1)),
            memory_limit_bytes: None,
        },
        history_path: "history.jsonl".into(),
        ladder: Vec::new(),
        overall: None,
        consistency: verdict.consistency.parse().unwrap(),
        cut: None,
        repeat: "rashomon test pairstore --seed 0x5a3".into(),
        history,
        verdict,
    }
}

/// A file from elsewhere: no test, no faults.
pub(crate) fn file(history: History, verdict: Verdict) -> Run {
    Run {
        title: "history.edn".into(),
        test: None,
        windows: Vec::new(),
        coverage: Coverage::default(),
        phases: Vec::new(),
        node_files: Vec::new(),
        history_path: "history.edn".into(),
        ladder: Vec::new(),
        repeat: "rashomon check history.edn --model cas-register".into(),
        ..run(history, verdict)
    }
}

fn counts(history: &History) -> Vec<FunctionCount> {
    let mut counts: Vec<FunctionCount> = Vec::new();
    for &op in history.ops() {
        let f = history.name(history.op_function(op));
        let at = counts.iter().position(|c| c.f == f).unwrap_or_else(|| {
            counts.push(FunctionCount { f: f.into(), ..FunctionCount::default() });
            counts.len() - 1
        });
        match history.outcome(op) {
            Outcome::Ok => counts[at].ok += 1,
            Outcome::Fail => counts[at].fail += 1,
            Outcome::Info => counts[at].info += 1,
        }
    }
    counts
}

fn errors(history: &History) -> Vec<ErrorCount> {
    let counts = counts(history);
    let error = |f: &str, outcome: &str, kind: &str, count: usize, example: &str| ErrorCount {
        f: f.into(),
        outcome: outcome.into(),
        kind: kind.into(),
        count,
        example: example.into(),
    };
    let of = |c: &FunctionCount| {
        [
            error(&c.f, "info", "timeout", c.info, "no reply within 1000 ms"),
            error(&c.f, "fail", "connection-refused", c.fail, "connect to 192.0.2.5:7400: connection refused"),
        ]
    };
    counts.iter().flat_map(of).filter(|e| e.count > 0).collect()
}

/// The verdict `valid`, with the orders that the simulation used.
pub(crate) fn valid(history: &History, simulation: &Simulation) -> Verdict {
    let mut by_id: BTreeMap<usize, OpId> = BTreeMap::new();
    let mut drafts: Vec<&Draft> = simulation.drafts.iter().collect();
    drafts.sort_by_key(|draft| (draft.0, draft.1));
    for (op, draft) in history.op_ids().zip(drafts.iter().filter(|draft| draft.3 == Kind::Invoke)) {
        by_id.insert(draft.1, op);
    }
    let mut orders: BTreeMap<i64, Vec<(i64, OpId)>> = BTreeMap::new();
    for &(key, point, id) in &simulation.order {
        orders.entry(key).or_default().push((point, by_id[&id]));
    }
    let key = |(key, mut order): (i64, Vec<(i64, OpId)>)| {
        order.sort_unstable();
        let order: Vec<OpId> = order.into_iter().map(|(_, op)| op).collect();
        key_verdict(history, Some(key), Answer::Valid(Witness { order, ..Witness::default() }))
    };
    verdict(orders.into_iter().map(key).collect())
}

/// The verdict on one key.
pub(crate) fn key_verdict(history: &History, key: Option<i64>, answer: Answer) -> KeyVerdict {
    let key = key.and_then(ValueId::small_int);
    let of_key = |op: &histories::Op| key.is_none() || history.values.as_pair(history.input(*op)).map(|p| p.0) == key;
    let ops = history.ops().iter().filter(|op| of_key(op)).count();
    KeyVerdict { key, ops, answer, algorithm: "search", steps: ops as u64 * 3, undecided: None }
}

/// Keys together.
pub(crate) fn verdict(keys: Vec<KeyVerdict>) -> Verdict {
    Verdict {
        consistency: "linearizable",
        model: "cas-register".into(),
        keyed: keys.iter().any(|key| key.key.is_some()),
        answer: Verdict::compose(None, &keys),
        reason: None,
        keys,
        notes: vec!["failed cas were dropped, as is usual for recordings of this format".into()],
    }
}

/// Events around a stale read on a key: a read that returns what an earlier read had already seen replaced. The core comes
/// first, in order of invocation; then its neighbours.
pub(crate) fn stale_read(key: i64, at: i64, value: i64) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let mut op = |process: i64, from: f64, to: Option<f64>, f: &'static str, asked: Value, answer: Value| {
        let keyed = |value: Value| Value::Vector(vec![Value::Int(key), value]);
        let id = 1_000_000 + drafts.len() + 100 * key as usize;
        let ns = |ms: f64| at + (ms * MS as f64) as i64;
        drafts.push((ns(from), id, process, Kind::Invoke, f, keyed(asked)));
        if let Some(to) = to {
            drafts.push((ns(to), id, process, Kind::Ok, f, keyed(answer)));
        }
    };
    let int = Value::Int;
    op(1_028, 0.0, Some(38.0), "write", int(value), int(value));
    op(1_033, 67.0, None, "write", int(value + 2), Value::Nil);
    op(1_000, 305.0, Some(313.0), "read", Value::Nil, int(value + 2));
    op(1_034, 698.0, Some(705.0), "read", Value::Nil, int(value));
    op(1_012, -160.0, Some(-20.0), "write", int(value - 2), int(value - 2));
    op(1_005, -60.0, Some(5.0), "write", int(value - 1), int(value - 1));
    op(1_003, 30.0, Some(70.0), "read", Value::Nil, int(value));
    op(1_010, 120.0, Some(128.0), "read", Value::Nil, int(value + 2));
    op(1_017, 250.0, Some(270.0), "read", Value::Nil, int(value + 2));
    op(1_029, 130.0, None, "write", int(value + 3), Value::Nil);
    op(1_007, 440.0, Some(520.0), "write", int(value + 5), int(value + 5));
    op(1_011, 430.0, None, "write", int(value + 4), Value::Nil);
    op(1_016, 480.0, None, "cas", Value::pair(value + 2, value + 6), Value::Nil);
    drafts
}

/// The counter-example to [`stale_read`].
pub(crate) fn stale_read_example(history: &History, key: i64, value: i64) -> Counterexample {
    let ops: Vec<OpId> = history.op_ids().filter(|&op| input(history, op).0 == key).collect();
    let find = |f: &str, stored: i64, process: i64| {
        let fits = |&&op: &&OpId| {
            let row = history.op(op);
            let seen = history.output(row).and_then(|out| history.values.as_pair(out)).and_then(|p| p.1.as_small_int());
            history.name(history.op_function(row)) == f
                && (input(history, op).1 == Some(stored) || seen == Some(stored))
                && history.process_name(history.op_process(row)).as_small_int() == Some(process)
        };
        *ops.iter().find(fits).unwrap()
    };
    let (first, second) = (find("write", value, 1_028), find("write", value + 2, 1_033));
    let (sees, stale) = (find("read", value + 2, 1_000), find("read", value, 1_034));
    let text = |s: &str| Words::Text(s.into());
    let step = |words, because: &str, from, to, kind| Step { words, because: vec![text(because)], from, to, kind };
    let steps = vec![
        step(
            vec![
                Words::Op(first),
                text(" had finished at "),
                Words::Completed(first),
                text(", before "),
                Words::Op(second),
                text(" was sent at "),
                Words::Invoked(second),
                text("."),
            ],
            "So in every order the second replaces the first.",
            first,
            second,
            StepKind::RealTime,
        ),
        step(
            vec![
                Words::Who(sees),
                text(" read "),
                Words::Value((value + 2).to_string()),
                text(", so "),
                Words::Op(second),
                text(" did take effect, by "),
                Words::Completed(sees),
                text("."),
            ],
            "The write was never answered, but its value was seen and nobody else wrote it.",
            second,
            sees,
            StepKind::Value,
        ),
        step(
            vec![text("Only later, at "), Words::Invoked(stale), text(", "), Words::Who(stale), text(" sent its read.")],
            "Real time: the first read was over.",
            sees,
            stale,
            StepKind::RealTime,
        ),
        step(
            vec![
                text("It returned "),
                Words::Value(value.to_string()),
                text(", which is there only before "),
                Words::Op(second),
                text("."),
            ],
            "The value was written once.",
            stale,
            second,
            StepKind::Contradiction,
        ),
    ];
    let end = history.op(stale).complete;
    let event = |op: OpId| history.op(op).invoke;
    let possible = |event: u32, states: &[i64]| Possible { event, states: states.iter().map(i64::to_string).collect(), more: 0 };
    Counterexample {
        core: vec![first, second, sees, stale],
        needed: vec![sees, stale],
        others: Others::AnyNumber,
        minimal: true,
        stuck: Some(stale),
        sentence: vec![
            Words::Who(stale),
            text(" read "),
            Words::Value(value.to_string()),
            text(" at "),
            Words::Completed(stale),
            text(", although "),
            Words::Who(sees),
            text(" had already read "),
            Words::Value((value + 2).to_string()),
            text(" at "),
            Words::Completed(sees),
            text(" and nobody wrote it again."),
        ],
        steps,
        prefix: ops.iter().copied().filter(|&op| history.outcome(history.op(op)) == Outcome::Ok && history.op(op).complete < end).collect(),
        blocked: Some(stale),
        states: vec![(value + 3).to_string(), (value + 4).to_string(), (value + 5).to_string()],
        possible: vec![
            possible(event(first), &[value - 2, value - 1, value]),
            possible(history.op(first).complete, &[value - 1, value]),
            possible(event(second), &[value, value + 2]),
            possible(event(sees), &[value + 2, value + 3]),
            possible(event(stale), &[value + 3, value + 4, value + 5]),
            possible(end, &[]),
        ],
        ..Counterexample::default()
    }
}

fn input(history: &History, op: OpId) -> (i64, Option<i64>) {
    let (key, value) = history.values.as_pair(history.input(history.op(op))).unwrap();
    (key.as_small_int().unwrap(), value.as_small_int())
}

/// The run whose keys 20 and 21 hold a stale read; the others are valid.
pub(crate) fn invalid_run() -> Run {
    let simulation = simulate(5, 3_000, 6);
    let mut drafts = simulation.drafts.clone();
    drafts.extend(stale_read(20, 2_926 * MS, 66));
    drafts.extend(stale_read(21, 6_020 * MS, 166));
    let history = history(drafts.clone());
    let mut verdict = valid(&history, &Simulation { drafts, order: simulation.order });
    for (key, value) in [(20, 66), (21, 166)] {
        let example = stale_read_example(&history, key, value);
        verdict.keys.push(key_verdict(&history, Some(key), Answer::Invalid(Box::new(example))));
    }
    verdict.answer = Summary::Invalid;
    run(history, verdict)
}

/// The run in which every answer is explained.
pub(crate) fn valid_run(ops: usize) -> Run {
    let simulation = simulate(9, ops, 8);
    let history = history(simulation.drafts.clone());
    let verdict = valid(&history, &simulation);
    run(history, verdict)
}

/// The run whose search ran out of time on one key.
pub(crate) fn unknown_run() -> Run {
    let mut run = valid_run(3_000);
    let key = &mut run.verdict.keys[3];
    key.answer = Answer::Unknown(Reason::Time { ops_ordered: 212, states: 2_100_000 });
    let ops: Vec<OpId> = run.history.op_ids().filter(|&op| describe::key(&run.history, true, op) == key.key).collect();
    let stopped = Some(Stopped { at: ops[214], in_flight: 4, unknown: 2 });
    key.undecided = Some(Undecided { ops: 7, first: ops[210], last: ops[216], stopped });
    run.verdict.answer = Summary::Unknown;
    run
}

/// A run whose one failing key is a chain of compare-and-sets during a kill and a pause, with an op on the node that was killed.
pub(crate) fn cas_run() -> Run {
    let simulation = simulate(11, 2_000, 4);
    let mut drafts = simulation.drafts.clone();
    let at = 6_050 * MS;
    let mut op = |process: i64, from: f64, to: Option<f64>, f: &'static str, asked: Value, answer: Value| {
        let keyed = |value: Value| Value::Vector(vec![Value::Int(9), value]);
        let id = 2_000_000 + drafts.len();
        let ns = |ms: f64| at + (ms * MS as f64) as i64;
        drafts.push((ns(from), id, process, Kind::Invoke, f, keyed(asked)));
        if let Some(to) = to {
            drafts.push((ns(to), id, process, Kind::Ok, f, keyed(answer)));
        }
    };
    let int = Value::Int;
    op(2_000, 0.0, Some(12.0), "write", int(7), int(7));
    op(2_001, 20.0, Some(21.5), "cas", Value::pair(7, 8), Value::pair(7, 8));
    op(2_004, 30.0, None, "cas", Value::pair(8, 9), Value::Nil);
    op(2_001, 60.0, Some(71.0), "read", Value::Nil, int(9));
    op(2_003, 80.0, Some(99.0), "cas", Value::pair(8, 10), Value::pair(8, 10));
    let history = history(drafts.clone());
    let mut verdict = valid(&history, &Simulation { drafts, order: simulation.order });
    let core: Vec<OpId> = history.op_ids().filter(|&op| input(&history, op).0 == 9).collect();
    let text = |s: &str| Words::Text(s.into());
    let step = |from: usize, to: usize, kind, words: Vec<Words>| Step { words, because: Vec::new(), from: core[from], to: core[to], kind };
    let op = |i: usize| Words::Op(core[i]);
    let steps = vec![
        step(0, 1, StepKind::Value, vec![op(1), text(" found the 7 that "), op(0), text(" had stored.")]),
        step(1, 2, StepKind::Value, vec![op(2), text(" found the 8 of "), op(1), text(".")]),
        step(2, 3, StepKind::Value, vec![op(3), text(" saw what "), op(2), text(" stored, so that took effect.")]),
        step(3, 4, StepKind::RealTime, vec![op(4), text(" was sent only after "), op(3), text(" was answered.")]),
        step(4, 2, StepKind::Contradiction, vec![op(4), text(" found 8 again: it would have to come before "), op(2), text(".")]),
    ];
    let sentence =
        vec![Words::Who(core[4]), text(" exchanged 8 for 10 at "), Words::Completed(core[4]), text(", although 8 had been replaced by 9.")];
    let example = Counterexample { stuck: Some(core[4]), core, steps, sentence, minimal: true, ..Counterexample::default() };
    verdict.keys.push(key_verdict(&history, Some(9), Answer::Invalid(Box::new(example))));
    verdict.answer = Summary::Invalid;
    run(history, verdict)
}
