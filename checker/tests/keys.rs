//! Several keys: what is easy comes first, and what one key shows ends the search of the others.

#![allow(clippy::unwrap_used, reason = "tests")]

use histories::generate::{self, Distinct, Model, Plan};
use histories::{Builder, History, Kind, Value};
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Answer, Budget, Options, Reason, Verdict, check_linearizable};

/// Registers: key 0 read what nobody wrote; each of the others takes more steps than the first round has.
fn one_lie_and_hard_keys(hard: i64) -> History {
    let plan = Plan { concurrency: 30, info: 0.1, values: Distinct::Few(5), seed: 1, ..Plan::new(Model::CasRegister, 4_000) };
    let (one, _) = generate::history(&plan).unwrap();
    let mut builder = Builder::new();
    builder.event(0, Kind::Invoke, "read", &pair(0, Value::Nil), 0);
    builder.event(0, Kind::Ok, "read", &pair(0, Value::Int(77)), 0);
    for key in 1..=hard {
        for event in 0..one.len() as u32 {
            let process = i64::from(one.process(event).0) + 1000 * key;
            let value = one.values.get(one.value(event));
            builder.event(process, one.kind(event), one.name(one.function(event)), &pair(key, value), 0);
        }
    }
    builder.finish()
}

fn pair(key: i64, value: Value) -> Value {
    Value::Vector(vec![Value::Int(key), value])
}

fn check(history: &History, all_keys: bool, threads: usize) -> Verdict {
    let options = Options { model: "cas-register".into(), keyed: Some(true), all_keys, ..Options::default() };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| check_linearizable(history, &options, &Budget::unlimited()).unwrap())
}

fn answers(verdict: &Verdict) -> Vec<(Summary, bool)> {
    verdict.keys.iter().map(|key| (key.answer.summary(), matches!(key.answer, Answer::Unknown(Reason::OtherKey)))).collect()
}

#[test]
fn an_invalid_key_ends_the_search_of_hard_ones() {
    let history = one_lie_and_hard_keys(3);
    let verdict = check(&history, false, 1);
    assert_eq!(verdict.answer, Summary::Invalid);
    assert_eq!(answers(&verdict)[0], (Summary::Invalid, false));
    assert!(answers(&verdict)[1..].iter().all(|key| *key == (Summary::Unknown, true)), "{:?}", answers(&verdict));
    assert_eq!(answers(&check(&history, false, 3)), answers(&verdict), "it does not depend on how fast it goes");

    let all = check(&history, true, 2);
    assert!(answers(&all)[1..].iter().all(|key| *key == (Summary::Valid, false)), "{:?}", answers(&all));
}
