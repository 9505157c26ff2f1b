//! Recording threads of this program: what is noted is what happened, and a map with a planted bug is found.

#[path = "../examples/gate_a_map.rs"]
#[allow(unreachable_pub, reason = "an example is a program of its own")]
mod gate_a_map;

use dashmap::DashMap;
use gate_a_map::{Hasty, judge, registers, use_map};
use rashomon_checker::histories::{Outcome, Value};
use rashomon_checker::recorder::{Recorder, assert_linearizable};
use rashomon_checker::verdict::Summary;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

#[test]
fn a_published_map_passes() {
    let history = use_map(&DashMap::new(), 1_000);
    assert_eq!(history.ops().len(), 8_000);
    assert_eq!(history.misuses(), []);
    assert_linearizable(registers(), &history);
}

#[test]
fn a_planted_bug_is_found_and_told() {
    let history = (0..20).map(|_| use_map(&Hasty::default(), 2_000)).find(|history| judge(history).answer == Summary::Invalid);
    let history = history.expect("the bug never showed in 20 runs");
    let failure = std::panic::catch_unwind(|| assert_linearizable(registers(), &history)).expect_err("it is invalid");
    let text = failure.downcast_ref::<String>().expect("a message");
    assert!(text.starts_with("not linearizable (cas-register), key ") && text.contains("cas ") && text.contains("process "), "{text}");
    assert!(text.contains("cannot be put in any order"), "{text}");
}

#[test]
fn ops_without_an_end_are_of_unknown_outcome() {
    let recorder = Recorder::new();
    let mut client = recorder.client();
    client.invoke("write", 1).info();
    client.invoke("write", 2).fail();
    drop(client.invoke("write", 3));
    client.invoke("read", None::<i64>).ok(1);
    let open = client.invoke("write", 4);
    let history = recorder.history();
    open.ok(4);
    let outcomes: Vec<Outcome> = history.ops().iter().map(|&op| history.outcome(op)).collect();
    assert_eq!(outcomes, [Outcome::Info, Outcome::Fail, Outcome::Info, Outcome::Ok, Outcome::Info]);
    assert_eq!(history.misuses(), [], "a client goes on as a new process");
    assert_linearizable("register", &history);
    assert_eq!(recorder.history().len(), history.len() + 1);
}

/// A history may be asked for at any moment: what one client saw is never in it without what another did before.
#[test]
fn a_history_in_the_middle_is_one_that_a_clock_would_have_seen() {
    let (register, recorder, done) = (AtomicI64::new(0), Recorder::new(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for thread in 1..=3 {
            let (register, done, mut client) = (&register, &done, recorder.client());
            scope.spawn(move || {
                for i in (1..5_000).take_while(|_| !done.load(Ordering::Relaxed)) {
                    let value = thread * 10_000 + i;
                    let op = client.invoke("write", value);
                    register.store(value, Ordering::SeqCst);
                    op.ok(value);
                    let op = client.invoke("read", None::<i64>);
                    op.ok(register.load(Ordering::SeqCst));
                }
            });
        }
        for _ in 0..20 {
            let history = recorder.history();
            assert_linearizable(
                rashomon_checker::Options { initial: Some(Value::Int(0)), ..rashomon_checker::Options::from("register") },
                &history,
            );
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
#[should_panic(expected = "there is no model `registre`")]
fn what_cannot_be_judged_does_not_pass() {
    assert_linearizable("registre", &Recorder::new().history());
}
