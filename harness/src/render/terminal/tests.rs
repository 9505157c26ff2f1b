use super::*;
use crate::check::counts;
use crate::findings::{Finding, Findings};
use crate::run::{Availability, CheckFacts, Coverage};
use crate::timeline::FaultWindow;
use crate::ui::console::WIDTH;
use crate::ui::exit;
use checker::verdict::{Possible, Step, StepKind, Undecided, Words};
use checker::{KeyVerdict, Verdict, Witness};
use histories::{Builder, Event, History, Kind, OpId, Value, ValueId};

/// Ops of the reference: process, node, function, argument, result (`None`: no answer), start and end in milliseconds.
type Told = (i64, &'static str, &'static str, Option<i64>, Option<Option<i64>>, i64, i64);

fn history(ops: &[Told]) -> History {
    let mut events: Vec<(i64, usize, bool)> = Vec::new();
    for (i, op) in ops.iter().enumerate() {
        events.push((op.5, i, true));
        if op.4.is_some() {
            events.push((op.6, i, false));
        }
    }
    events.sort_unstable();
    let mut b = Builder::new();
    for (ms, i, begins) in events {
        let (process, node, f, input, output, ..) = ops[i];
        let value = if begins { input } else { output.unwrap() };
        let process = b.values().int(process);
        b.node(process, node);
        let value = b.values().insert(&Value::pair(0, Value::from(value)));
        let f = b.name(f);
        b.push(Event { process, kind: if begins { Kind::Invoke } else { Kind::Ok }, f, value, time: ms * 1_000_000, line: 0 });
    }
    b.finish()
}

fn text(s: &str) -> Words {
    Words::Text(s.into())
}

/// The stale read of the reference design: w 66, then w 68 (no answer), seen by p0, then p34 reads 66.
fn stale_read() -> Run {
    let history = history(&[
        (28, "n4", "write", Some(66), Some(Some(66)), 2926, 2964),
        (28, "n4", "write", Some(68), None, 2993, 0),
        (0, "n1", "read", None, Some(Some(68)), 3231, 3239),
        (34, "n5", "read", None, Some(Some(66)), 3624, 3631),
    ]);
    let [first, second, seen, stale] = [0, 1, 2, 3].map(OpId);
    let possible = |event, states: &[&str]| Possible { event, states: states.iter().map(ToString::to_string).collect(), more: 0 };
    let proof = Counterexample {
        core: vec![first, second, seen, stale],
        needed: vec![seen, stale],
        minimal: true,
        stuck: Some(stale),
        sentence: vec![
            Words::Who(stale),
            text(" read 66 at "),
            Words::Completed(stale),
            text(", although "),
            Words::Who(seen),
            text(" had already read 68 at "),
            Words::Completed(seen),
            text(" and nobody wrote 66 again."),
        ],
        steps: vec![Step {
            words: vec![Words::Op(first), text(" had finished at "), Words::Completed(first), text(".")],
            because: vec![text("So it comes first.")],
            from: first,
            to: second,
            kind: StepKind::RealTime,
        }],
        possible: vec![possible(0, &["64", "66"]), possible(2, &["66", "68"]), possible(4, &["68"]), possible(6, &[])],
        ..Counterexample::default()
    };
    let keys = vec![
        KeyVerdict {
            key: ValueId::small_int(0),
            ops: 4,
            answer: Answer::Invalid(Box::new(proof)),
            algorithm: "search",
            steps: 9,
            undecided: None,
        },
        KeyVerdict {
            key: ValueId::small_int(1),
            ops: 0,
            answer: Answer::Valid(Witness::default()),
            algorithm: "search",
            steps: 1,
            undecided: None,
        },
    ];
    run(history, Summary::Invalid, keys)
}

fn run(history: History, answer: Summary, keys: Vec<KeyVerdict>) -> Run {
    let verdict = Verdict {
        consistency: "linearizable",
        model: "register".into(),
        keyed: true,
        answer,
        reason: None,
        keys,
        notes: vec!["model register was guessed".into()],
    };
    Run {
        title: "test".into(),
        test: None,
        verdict,
        consistency: Consistency::Linearizable,
        cut: None,
        coverage: Coverage::default(),
        findings: Findings::default(),
        windows: vec![],
        phases: vec![],
        node_files: vec![],
        check: CheckFacts::default(),
        counts: counts::functions(&history),
        errors: vec![],
        history_path: "history.jsonl".into(),
        repeat: "rashomon check history.jsonl".into(),
        ladder: vec![],
        overall: None,
        history,
    }
}

fn partition() -> FaultWindow {
    FaultWindow {
        fault: "partition".into(),
        what: "n1 | n4 n5".into(),
        nodes: vec!["n1".into()],
        from_ns: 3_000_000_000,
        injected_ns: Some(3_001_000_000),
        to_ns: None,
        observed: true,
        seen: String::new(),
        recovered: None,
        groups: vec![vec!["n1".into()], vec!["n4".into(), "n5".into()]],
        clocks: Vec::new(),
        leaders: None,
        facts: vec![],
    }
}

const UNICODE: Console = Console { color: false, unicode: true, terminal: false, width: WIDTH };

#[test]
fn a_stale_read_is_told_and_drawn() {
    let mut run = stale_read();
    run.windows = vec![partition()];
    let told = verdict(&run, Some(Path::new("store/x/report.html")), UNICODE);
    let expected = "\
✗ INVALID  not linearizable (1 of 2 keys)

  Key 0: process 34 on n5 read 66 at 3.631 s, although process 0 on n1 had
  already read 68 at 3.239 s and nobody wrote 66 again.

  seconds  2.926  2.964  2.993  3.231  3.239  3.624  3.631
  p0 n1                         [ r→68 ]
               ┄┄┄ partition from 3.000: nothing passes ┄┄┄
  p28 n4   [ w 66 ]      [ w 68 ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ no answer
  p34 n5                                      [ r→66 ] ✗
  can hold 64 66        │66 68        │68           │none

  1  w 66 had finished at 2.964 s. So it comes first.
  Leave out r→68 or r→66, and the rest can be ordered.

  ops      3 ok, 0 fail, 1 info
  model    register, decided in 0 µs
  note     model register was guessed
  report   store/x/report.html
  repeat   rashomon check history.jsonl
";
    assert_eq!(told, expected, "\n{told}");
}

#[test]
fn no_two_ops_of_a_counter_example_have_one_name() {
    let mut run = stale_read();
    run.history = history(&[
        (0, "n1", "read", None, Some(Some(66)), 708, 709),
        (0, "n1", "read", None, Some(Some(68)), 710, 720),
        (1, "n2", "read", None, Some(Some(66)), 730, 740),
        (1, "n2", "read", None, Some(Some(67)), 750, 760),
    ]);
    let told = verdict(&run, None, UNICODE);
    for text in ["[ r→66 #1", "[ r→66 #2 ]", "Leave out r→66 #2 or r→67", "r→66 #1 had finished at 0.709 s"] {
        assert!(told.contains(text), "{text}: {told}");
    }
    let page = crate::render::html::render(&run);
    assert!(page.contains("r→66 #1") && page.contains("r→66 #2") && !page.contains("r→67 #"), "the page calls them so too");
}

#[test]
fn times_that_need_more_decimals_are_written_in_full() {
    let mut run = stale_read();
    let mut b = Builder::new();
    let times = [
        (0, 2_926_000_100, 2_926_000_200),
        (1, 2_926_000_300, 2_926_000_400),
        (2, 3_231_000_500, 3_231_000_600),
        (3, 3_624_000_700, 3_631_000_800),
    ];
    for (process, from, to) in times {
        b.event(process, Kind::Invoke, "read", &Value::pair(0, Value::Nil), from);
        b.event(process, Kind::Ok, "read", &Value::pair(0, process), to);
    }
    run.history = b.finish();
    for width in [100, 120, 140] {
        let told = verdict(&run, None, Console { width, ..UNICODE });
        let axis = told.lines().find(|line| line.trim_start().starts_with("seconds"));
        assert!(axis.is_some_and(|axis| axis.ends_with("3.6310008") && axis.chars().count() <= width), "{told}");
        assert!(told.contains("read 66 at 3.6310008 s"), "{told}");
    }
}

#[test]
fn states_that_look_alike_are_told_once() {
    let long = |i: u32| format!("{{0 [1 2 3 4 5 6 {i} 7 8 9 10 11 12 13 14]}}");
    assert_eq!(states(&[long(20), long(21), long(22)]), "{0 [1 2 3 …12 13 14]} or one of 2 others");
    assert_eq!(states(&["1".into(), "2".into()]), "1 or 2");
    assert_eq!(states(&[]), "");
}

#[test]
fn without_unicode_every_character_is_ascii() {
    let told = verdict(&stale_read(), None, Console::plain());
    assert!(told.is_ascii(), "{told}");
    assert!(told.starts_with("X INVALID") && told.contains("[ r->66"), "{told}");
}

#[test]
fn lines_fit_the_terminal() {
    let mut run = stale_read();
    run.verdict.notes = vec!["a word ".repeat(40)];
    for width in [60, 80, 100, 140] {
        let told = verdict(&run, None, Console { width, ..UNICODE });
        let longest = told.lines().map(|line| line.chars().count()).max();
        assert!(longest.is_some_and(|longest| (width - 10..=width).contains(&longest)), "{width}: {longest:?}\n{told}");
    }
}

#[test]
fn a_gap_makes_a_valid_run_unknown_and_leaves_an_invalid_one() {
    let mut run = run(history(&[]), Summary::Valid, vec![]);
    assert!(verdict(&run, None, UNICODE).starts_with("✓ VALID"));
    run.coverage.gaps = vec!["no read ended ok".into()];
    let told = verdict(&run, None, UNICODE);
    assert!(told.starts_with("? UNKNOWN") && told.contains("- no read ended ok"), "{told}");
    let mut run = stale_read();
    run.coverage.gaps = vec!["no read ended ok".into()];
    assert!(verdict(&run, None, UNICODE).starts_with("✗ INVALID"));
}

#[test]
fn a_finding_stands_beside_the_verdict_and_is_an_exit_code_of_its_own() {
    let finding = Finding { id: "replicas-differ".into(), text: "n1 and n2 hold different data".into(), ..Finding::default() };
    let valid = || run(history(&[]), Summary::Valid, vec![]);
    let unknown = || Run { coverage: Coverage { gaps: vec!["no read ended ok".into()], ..Coverage::default() }, ..valid() };
    for (mut run, sign, without) in [(valid(), "✓ VALID", 0), (unknown(), "? UNKNOWN", 2), (stale_read(), "✗ INVALID", 1)] {
        assert_eq!(exit::of_run(&run), without);
        run.findings.found.push(finding.clone());
        run.findings.notes.push("n3 was not asked".into());
        let told = verdict(&run, None, UNICODE);
        assert!(told.starts_with(sign), "the verdict on the history stands: {told}");
        assert!(told.contains("(replicas-differ): n1 and n2 hold different data.") && told.contains("n3 was not asked"), "{told}");
        assert_eq!(exit::of_run(&run), exit::INVALID);
        let results = serde_json::to_value(crate::render::json::of_run(&run)).unwrap();
        assert_eq!(results["findings"][0]["id"], "replicas-differ");
    }
}

#[test]
fn the_share_of_answered_time_is_told() {
    let mut run = run(history(&[]), Summary::Valid, vec![]);
    run.coverage.availability = Some(Availability { answered: 62, asked: 100 });
    run.coverage.notes = vec!["2 final reads were left out".into()];
    let told = verdict(&run, None, UNICODE);
    assert!(told.contains("in 62 % of the time that clients asked") && told.contains("2 final reads were left out"), "{told}");
}

#[test]
fn an_exhausted_budget_says_how_far_it_got() {
    let reason = Reason::Time { ops_ordered: 1212, states: 2_100_000 };
    let key = KeyVerdict {
        key: ValueId::small_int(3),
        ops: 4870,
        answer: Answer::Unknown(reason),
        algorithm: "search",
        steps: 1,
        undecided: None,
    };
    let mut run = run(history(&[]), Summary::Unknown, vec![key]);
    run.check.time_limit = Some(std::time::Duration::from_mins(1));
    run.verdict.keys[0].undecided = Some(Undecided { ops: 4_870, first: OpId(0), last: OpId(1), stopped: None });
    let told = verdict(&run, None, UNICODE);
    assert!(told.contains("Key 3: the search had ordered 1 212 operations"), "{told}");
    assert!(told.contains("No part of its 4 870 operations was decided."), "{told}");
    assert!(told.contains("limit of 60.0 s") && told.contains("--time-limit"), "{told}");
}
