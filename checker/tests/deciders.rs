//! Each decider against the search, and against objects that are correct by construction.
//!
//! `tests/objects` asks the definition about every object, on short histories. Here the procedures are named, so that none hides
//! behind another: on short random histories and on ones of a thousand ops the decider says what the search says, or that it does
//! not cover the history, which must be seldom; what a correct object did it finds valid, always. Every answer was certified: one
//! that could not be is a failure. `RASHOMON_TEST_SIZE` multiplies the number of histories.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod simulate;

use crate::size::size;
use histories::generate::{self, Model, Plan};
use histories::{History, Value};
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Algorithm, Answer, Budget, Options, Reason, check_linearizable};
use rayon::prelude::*;
use simulate::{OBJECTS, Object, Shape};

/// What a procedure says; `None` if it does not cover the history or has no time.
fn answer(object: &Object, history: &History, algorithm: Algorithm, steps: Option<u64>) -> Option<Summary> {
    let initial = matches!(object.algorithm, Algorithm::Zones).then_some(Value::Int(0));
    let options = Options { algorithm, keyed: Some(false), permits: Some(object.permits), initial, ..Options::from(object.model) };
    let mut budget = Budget::unlimited();
    budget.steps = steps;
    let verdict = check_linearizable(history, &options, &budget).unwrap();
    match &verdict.keys[0].answer {
        Answer::Unknown(Reason::Uncertified(why)) => panic!("{} by {algorithm:?}: {why}", object.model),
        Answer::Unknown(Reason::History(why)) => assert!(why.contains("does not cover"), "{why}"),
        _ => {}
    }
    Some(verdict.answer).filter(|answer| *answer != Summary::Unknown)
}

#[derive(Default)]
struct Tally {
    all: usize,
    valid: usize,
    invalid: usize,
    open: usize,
}

/// Compares the decider with the search on many histories.
fn compare(object: &Object, histories: u64, steps: u64, shape: impl Fn(u64) -> Shape + Sync) -> Tally {
    let answers: Vec<_> = (0..histories)
        .into_par_iter()
        .map(|seed| {
            let shape = shape(seed);
            let history = simulate::history(object, &shape, seed);
            let decided = answer(object, &history, object.algorithm, None);
            let searched = answer(object, &history, Algorithm::Search, Some(steps));
            if let (Some(decided), Some(searched)) = (decided, searched) {
                assert_eq!(decided, searched, "{} seed {seed}: {shape:?}", object.model);
            }
            if shape.is_honest() {
                assert_ne!(decided, Some(Summary::Invalid), "{} seed {seed}: {shape:?}", object.model);
            }
            (decided, searched)
        })
        .collect();
    let mut tally = Tally::default();
    for (decided, searched) in answers {
        tally.all += 1;
        match decided {
            None => tally.open += 1,
            Some(_) if searched.is_none() => {}
            Some(Summary::Valid) => tally.valid += 1,
            Some(_) => tally.invalid += 1,
        }
    }
    println!("{}: {} compared {} valid {} invalid, {} open", object.model, tally.all, tally.valid, tally.invalid, tally.open);
    tally
}

#[test]
fn short_histories_are_decided_as_by_the_search() {
    for object in OBJECTS {
        let tally = compare(object, (1_200.0 * size()) as u64, 1 << 20, Shape::short);
        assert!(tally.valid > tally.all / 5 && tally.invalid > tally.all / 50, "{}", object.model);
        assert!(tally.open * 1000 <= tally.all * object.open_per_mille, "{}: {} open", object.model, tally.open);
    }
}

#[test]
fn long_histories_are_decided_as_by_the_search() {
    for object in OBJECTS {
        let tally = compare(object, (6.0 * size()) as u64, 1 << 16, Shape::long);
        assert!(tally.valid + tally.invalid > tally.all / 8, "{}", object.model);
    }
}

/// Looks at what a decider says of histories of a correct object: valid; of objects that it may leave open, of four in five at least.
fn are_covered(object: &Object, answers: &[Option<Summary>]) -> bool {
    let valid = answers.iter().filter(|answer| **answer == Some(Summary::Valid)).count();
    let open = answers.iter().filter(|answer| answer.is_none()).count();
    println!("{}: {valid} of {} valid, {open} open", object.model, answers.len());
    valid + open == answers.len() && if object.may_be_open { 5 * valid >= 4 * answers.len() } else { open == 0 }
}

/// What a correct object did is found valid without a search.
#[test]
fn honest_histories_are_valid_and_covered() {
    for object in OBJECTS {
        let judge = |seed| answer(object, &simulate::history(object, &Shape::honest(seed), seed), object.algorithm, None);
        // What may be open takes a hundred times as long where it is.
        let histories = if object.may_be_open { 10.0 } else { 20.0 };
        let answers: Vec<_> = (0..(histories * size()) as u64).into_par_iter().map(judge).collect();
        assert!(are_covered(object, &answers), "{}: {answers:?}", object.model);
    }
}

#[test]
fn generated_histories_are_valid_and_covered() {
    let cases = [
        (Model::Queue, "fifo-queue"),
        (Model::Queue, "unordered-queue"),
        (Model::Stack, "stack"),
        (Model::Counter, "counter"),
        (Model::Mutex, "mutex"),
    ];
    for (model, name) in cases {
        let object = OBJECTS.iter().find(|object| object.model == name).unwrap();
        let judge = |seed: u64| {
            let info = [0.0, 0.01, 0.1][seed as usize % 3];
            let concurrency = [3, 10, 30][seed as usize / 3 % 3];
            let (history, _) = generate::history(&Plan { info, concurrency, seed, ..Plan::new(model, 2000) }).unwrap();
            answer(object, &history, object.algorithm, None)
        };
        let answers: Vec<_> = (0..(16.0 * size()) as u64).into_par_iter().map(judge).collect();
        assert!(are_covered(object, &answers), "{name}: {answers:?}");
    }
}
