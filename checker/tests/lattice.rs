//! What a model does not imply: for each arrow that is not drawn a history that keeps the one and not the other.
//!
//! (That the arrows drawn hold is asserted over random histories in `weaker.rs`.) And answers on histories that a recording
//! can hold and random ones do not.

#![allow(clippy::unwrap_used, reason = "tests")]

use histories::{Builder, History, Kind, Value, read_bytes};
use rashomon_checker::verdict::{Pattern, Summary};
use rashomon_checker::{Answer, Budget, Consistency, Options, Reason, Verdict, check};

/// Sessions separated by `;`, ops by `,`, micro-ops by blanks: `wx1, rx2; wx2 wy3`. Every key holds 0 at first. Ops are
/// interleaved by turns.
fn history(text: &str) -> (History, bool) {
    let sessions: Vec<Vec<&str>> = text.split(';').map(|session| session.split(',').map(str::trim).collect()).collect();
    let transactions = sessions.iter().flatten().any(|op| op.contains(' '));
    let mut builder = Builder::new();
    for turn in 0..sessions.iter().map(Vec::len).max().unwrap() {
        for (process, op) in sessions.iter().enumerate().filter_map(|(process, session)| Some((process, session.get(turn)?))) {
            let micro_op = |text: &str| {
                let (name, key, value) = (&text[..1], &text[1..2], text[2..].parse().unwrap());
                (name == "w", Value::Vector(vec![Value::Keyword(name.into()), key.into(), Value::Int(value)]), key.to_owned(), value)
            };
            let parts: Vec<_> = op.split(' ').map(micro_op).collect();
            let (f, value) = match &parts[0] {
                _ if transactions => ("txn", Value::Vector(parts.iter().map(|part| part.1.clone()).collect())),
                (true, _, key, value) => ("write", Value::pair(&**key, *value)),
                (false, _, key, value) => ("read", Value::pair(&**key, *value)),
            };
            builder.event(process as i64, Kind::Invoke, f, &value, 0);
            builder.event(process as i64, Kind::Ok, f, &value, 0);
        }
    }
    (builder.finish(), transactions)
}

/// Each history, and all models that it keeps.
const EXAMPLES: [(&str, &[Consistency]); 11] = {
    use Consistency::{
        Causal, CausalConvergence, CausalMemory, Linearizable, MonotonicReads, MonotonicWrites, Pram, ReadYourWrites, Sequential,
        WritesFollowReads,
    };
    [
        // Everything.
        (
            "wx1, rx1; ry0, rx1",
            &[
                Linearizable,
                Sequential,
                CausalMemory,
                CausalConvergence,
                Causal,
                Pram,
                ReadYourWrites,
                MonotonicReads,
                MonotonicWrites,
                WritesFollowReads,
            ],
        ),
        // A process reads what had been replaced before it began.
        (
            "wx1; ry0, rx0",
            &[
                Sequential,
                CausalMemory,
                CausalConvergence,
                Causal,
                Pram,
                ReadYourWrites,
                MonotonicReads,
                MonotonicWrites,
                WritesFollowReads,
            ],
        ),
        // Each misses what the other wrote before it read.
        (
            "wx1, ry0; wy1, rx0",
            &[CausalMemory, CausalConvergence, Causal, Pram, ReadYourWrites, MonotonicReads, MonotonicWrites, WritesFollowReads],
        ),
        // Two processes see two writes in opposite orders.
        ("wx1, rx2; wx2, rx1", &[CausalMemory, Causal, Pram, ReadYourWrites, MonotonicReads, MonotonicWrites, WritesFollowReads]),
        // B reads its own write after one that it must have seen to come later, were its reads to be in one line with it.
        (
            "wz1, wx1, wy1; wx2, rz0, ry1, rx2",
            &[CausalConvergence, Causal, ReadYourWrites, MonotonicReads, MonotonicWrites, WritesFollowReads],
        ),
        // One process reads back and forth.
        ("wx1; wx2; rx1, rx2, rx1", &[Causal, ReadYourWrites, MonotonicWrites, WritesFollowReads]),
        // The reads of two transactions are explained by different subsets of the writes.
        ("wx5; wx3 wy1; rx5 ry0, ry1 rx5", &[CausalConvergence, Causal]),
        // An effect without its cause.
        ("wx1; rx1, wy1; ry1, rx0", &[Pram, ReadYourWrites, MonotonicReads, MonotonicWrites, WritesFollowReads]),
        // Each wrote what the other had read before it wrote.
        ("rx1, wy1; ry1, wx1", &[Pram, ReadYourWrites, MonotonicReads, MonotonicWrites]),
        // A process does not see its own write.
        ("wx1, rx0", &[MonotonicReads, MonotonicWrites, WritesFollowReads]),
        // A transaction sees the second of two writes and not the first.
        ("wx1, wy1; ry1 rx0", &[ReadYourWrites, MonotonicReads, WritesFollowReads]),
    ]
};

fn decide(history: &History, consistency: Consistency, options: &Options) -> Verdict {
    check(history, consistency, options, &Budget::unlimited()).unwrap()
}

fn keeps(text: &str, consistency: Consistency) -> bool {
    let (history, transactions) = history(text);
    if transactions && consistency == Consistency::Linearizable {
        return false;
    }
    let options = Options { keyed: Some(!transactions), initial: Some(Value::Int(0)), ..Options::from("register") };
    let verdict = decide(&history, consistency, &options);
    assert_ne!(verdict.answer, Summary::Unknown, "{text} {consistency:?}: {:?}", verdict.keys);
    verdict.answer == Summary::Valid
}

/// The models that imply each other.
fn ordered() -> impl Iterator<Item = Consistency> {
    Consistency::ALL.into_iter().filter(|model| model.is_ordered())
}

#[test]
fn every_example_keeps_what_it_says() {
    for (text, kept) in EXAMPLES {
        let found: Vec<Consistency> = ordered().filter(|&consistency| keeps(text, consistency)).collect();
        assert_eq!(found, kept, "{text}");
    }
}

#[test]
fn no_arrow_is_missing() {
    for stronger in ordered() {
        for weaker in ordered().filter(|&weaker| !stronger.implies(weaker)) {
            let shown = EXAMPLES.iter().any(|(_, kept)| kept.contains(&stronger) && !kept.contains(&weaker));
            assert!(shown, "no example keeps {stronger:?} and not {weaker:?}");
        }
    }
}

#[test]
fn names_are_read_back() {
    for consistency in Consistency::named() {
        assert_eq!(consistency.name().parse(), Ok(consistency));
    }
    assert!("causel".parse::<Consistency>().unwrap_err().contains("causal-memory"));
}

/// The bad patterns, one history each.
#[test]
fn patterns_have_their_names() {
    use Consistency::{Causal, CausalConvergence, CausalMemory, Pram};
    for (text, consistency, expected, sentence) in [
        ("wx1, rx7", Causal, Pattern::ThinAirRead, "Process 0 read 7 of key \"x\", which nobody wrote."),
        ("rx1, wy1; ry1, wx1", Causal, Pattern::CyclicCo, "comes causally before itself"),
        ("wx1, rx0", Causal, Pattern::WriteCoInitRead, "Process 0 read an initial value (r→0), although w 1 of process 0 comes before"),
        ("wx1, wx2; rx2, rx1", Causal, Pattern::WriteCoRead, "Process 1 read what w 1 of process 0 had written, although w 2"),
        ("wx1, rx2; wx2, rx1", CausalConvergence, Pattern::CyclicCf, "No single order of all writes"),
        ("wx1; wx2; rx1, rx2, rx1", CausalMemory, Pattern::CyclicHb, "No order of all writes explains what process 2 read"),
        ("wz1, wx1, wy1; wx2, rz0, ry1, rx2", CausalMemory, Pattern::WriteHbInitRead, "Process 1 read an initial value"),
        ("wx1; wx2; rx1, rx2, rx1", Pram, Pattern::CyclicView, "No order of all writes explains what process 2 read"),
        ("wx1 wy1; wx2 wy2; rx1 ry2", Causal, Pattern::CyclicReads, "Process 2 read in one transaction"),
        ("wx1 wx2; rx1", Causal, Pattern::IntermediateRead, "which process 0 replaced in the same transaction"),
        ("wx1 rx0", Causal, Pattern::OwnWriteMissed, "the same transaction had written another value"),
        ("rx1 wx1", Pram, Pattern::OwnWriteMissed, "only later"),
        ("wx1; rx0 rx1", Pram, Pattern::TwoValuesRead, "another value of the same key"),
    ] {
        let (history, transactions) = history(text);
        let options = Options { keyed: Some(!transactions), initial: Some(Value::Int(0)), ..Options::from("register") };
        let verdict = decide(&history, consistency, &options);
        let Answer::Invalid(proof) = &verdict.keys[0].answer else { panic!("{text}: {:?}", verdict.keys) };
        assert_eq!(proof.pattern, Some(expected), "{text}");
        let told = rashomon_checker::describe::Names::new(&history, verdict.keyed, &proof.core).sentence(&proof.sentence);
        assert!(told.contains(sentence), "{text}: {told}");
    }
}

fn edn(text: &str) -> History {
    read_bytes(text.as_bytes(), None).unwrap()
}

fn event(process: i64, kind: &str, f: &str, value: &str) -> String {
    format!("{{:process {process} :type :{kind} :f :{f} :value {value}}}\n")
}

fn answers(history: &History, options: &Options, expected: Summary) -> Verdict {
    let verdict = decide(history, Consistency::Causal, options);
    assert_eq!(verdict.answer, expected, "{:?} {:?}", verdict.reason, verdict.keys);
    verdict
}

fn reason(verdict: &Verdict) -> String {
    match (&verdict.reason, verdict.keys.first().map(|key| &key.answer)) {
        (Some(reason), _) | (None, Some(Answer::Unknown(reason))) => reason.in_words(None),
        other => panic!("no reason: {other:?}"),
    }
}

#[test]
fn a_value_stored_twice_is_unknown_unless_the_rest_is_invalid() {
    let twice = [(0, "write", "1"), (1, "write", "1"), (2, "read", "1")];
    let text: String = twice.iter().flat_map(|&(p, f, v)| [event(p, "invoke", f, v), event(p, "ok", f, v)]).collect();
    let verdict = answers(&edn(&text), &"register".into(), Summary::Unknown);
    assert!(reason(&verdict).contains("the value 1 was stored more than once"), "{}", reason(&verdict));
    let read = [event(3, "invoke", "read", "9"), event(3, "ok", "read", "9")].concat();
    answers(&edn(&(text + &read)), &"register".into(), Summary::Invalid);
}

#[test]
fn a_crashed_write_happened_if_it_was_read() {
    let crashed = [event(0, "invoke", "write", "1"), event(0, "info", "write", "1")].concat();
    let read = |p| [event(p, "invoke", "read", "nil"), event(p, "ok", "read", "1")].concat();
    answers(&edn(&(crashed.clone() + &read(1))), &"register".into(), Summary::Valid);
    // What its process does afterwards is another session.
    let nothing = |p| [event(p, "invoke", "read", "0"), event(p, "ok", "read", "0")].concat();
    let zero = Options { initial: Some(Value::Int(0)), ..Options::from("register") };
    answers(&edn(&(crashed + &read(1) + &nothing(0))), &zero, Summary::Valid);
    let failed = [event(0, "invoke", "write", "1"), event(0, "fail", "write", "1")].concat();
    let verdict = answers(&edn(&(failed + &read(1))), &zero, Summary::Invalid);
    let Answer::Invalid(proof) = &verdict.keys[0].answer else { panic!() };
    assert_eq!((proof.pattern, proof.core.len()), (Some(Pattern::ThinAirRead), 2));
}

#[test]
fn what_cannot_be_judged_says_why() {
    let lock = edn(&[event(0, "invoke", "acquire", "nil"), event(0, "ok", "acquire", "nil")].concat());
    for (model, why) in [("mutex", "not of mutex"), ("", "not acquire")] {
        let error = check(&lock, Consistency::Causal, &model.into(), &Budget::unlimited()).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let nobody = edn("{:type :ok :value [[:w 1 1]]}\n{:type :ok :value [[:r 1 1]]}\n");
    let verdict = answers(&nobody, &"".into(), Summary::Unknown);
    assert!(reason(&verdict).contains("no processes"), "{}", reason(&verdict));
    let two = edn(&[event(0, "invoke", "write", "1"), event(0, "invoke", "write", "2")].concat());
    let verdict = answers(&two, &"register".into(), Summary::Unknown);
    assert!(reason(&verdict).contains("still in flight"), "{}", reason(&verdict));
    let stopped = Budget::unlimited();
    stopped.stop(rashomon_checker::budget::Stop::Deadline);
    let one = edn(&[event(0, "invoke", "write", "1"), event(0, "ok", "write", "1")].concat());
    let verdict = check(&one, Consistency::CausalConvergence, &"register".into(), &stopped).unwrap();
    assert!(matches!(verdict.keys[0].answer, Answer::Unknown(Reason::Time { .. })), "{:?}", verdict.keys);
    let mut small = Budget::unlimited();
    small.bytes = Some(1);
    let verdict = check(&one, Consistency::CausalConvergence, &"register".into(), &small).unwrap();
    assert!(matches!(verdict.keys[0].answer, Answer::Unknown(Reason::Memory { .. })), "{:?}", verdict.keys);
    answers(&edn(""), &"register".into(), Summary::Valid);
}

#[test]
fn cas_reads_and_writes_in_one_op() {
    let pair = |p, f, value| [event(p, "invoke", f, value), event(p, "ok", f, value)].concat();
    let lost = [pair(0, "write", "1"), pair(1, "cas", "[1 2]"), pair(2, "cas", "[1 3]")].concat();
    let history = edn(&lost);
    answers(&history, &"cas-register".into(), Summary::Valid);
    let twice = edn(&(lost + &pair(0, "read", "2") + &pair(0, "read", "3") + &pair(0, "read", "2")));
    let verdict = decide(&twice, Consistency::MonotonicReads, &"cas-register".into());
    assert_eq!(verdict.answer, Summary::Invalid);
}

#[test]
fn session_text_begins_with_zero() {
    let history = edn("r 0 0\n-----\nw 0 1\n=====\nr 0 1\n");
    answers(&history, &"".into(), Summary::Valid);
    // Where somebody writes 0, it is that write that is read.
    let verdict = answers(&edn("w 0 1\n-----\nw 0 0\n=====\nr 0 0\n-----\nr 0 1\n"), &"".into(), Summary::Invalid);
    let Answer::Invalid(proof) = &verdict.keys[0].answer else { panic!() };
    assert_eq!(proof.pattern, Some(Pattern::WriteCoRead));
}
