//! Generated histories and the checker: what a correct object did is valid, and every planted anomaly is found.

use crate::size::times;
use histories::generate::{self, Anomaly, Distinct, Model, Plan, Refused};
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Algorithm, Budget, Options, check_linearizable};
use rayon::prelude::*;

fn answer(plan: &Plan, history: &histories::History) -> Summary {
    let model = if plan.model == Model::Queue { "fifo-queue" } else { plan.model.name() };
    let options = Options { model: model.into(), ..Options::default() };
    check_linearizable(history, &options, &Budget::unlimited()).expect("generated histories fit their models").answer
}

fn seeds() -> u64 {
    times(2)
}

/// Plans of all models that are checked: values, keys, shares of unknown outcomes, seeds.
fn plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    for model in [Model::Register, Model::CasRegister, Model::Kv, Model::Mutex] {
        for values in [Distinct::Unique, Distinct::Few(5), Distinct::Few(2)] {
            if model == Model::Mutex && values != Distinct::Unique {
                continue;
            }
            for (keys, info) in [(1, 0.0), (1, 0.03), (3, 0.0), (3, 0.1)] {
                for (seed, concurrency) in (0..seeds()).zip([3, 5].into_iter().cycle()) {
                    plans.push(Plan { values, keys, info, seed, concurrency, anomaly_at: 0.5, ..Plan::new(model, 160) });
                }
            }
        }
    }
    plans
}

#[test]
fn a_correct_object_is_valid() {
    plans().par_iter().for_each(|plan| {
        let (history, _) = generate::history(plan).expect("a plan that makes sense");
        assert_eq!(answer(plan, &history), Summary::Valid, "{plan:?}");
    });
}

/// Strings of which every part was put or appended once are decided by the zones: no search ends with so many in flight.
#[test]
fn strings_that_are_appended_to_need_no_search() {
    (0..5 * seeds()).into_par_iter().for_each(|seed| {
        let plan = Plan { concurrency: 20, info: 0.05, seed, ..Plan::new(Model::Kv, 2000) };
        let (history, _) = generate::history(&plan).expect("a plan that makes sense");
        let options = Options { model: "kv".into(), algorithm: Algorithm::Zones, ..Options::default() };
        let verdict = check_linearizable(&history, &options, &Budget::unlimited()).expect("generated histories fit their models");
        assert_eq!(verdict.answer, Summary::Valid, "{plan:?}");
    });
}

#[test]
fn an_object_that_lies_once_is_not() {
    let cases: Vec<Plan> = (plans().into_iter())
        .flat_map(|plan| plan.model.anomalies().iter().map(move |&anomaly| Plan { anomaly: Some(anomaly), ..plan.clone() }))
        .collect();
    let made: Vec<(Anomaly, bool)> = (cases.par_iter())
        .filter_map(|plan| match generate::history(plan) {
            Ok((history, planted)) => {
                assert_eq!(answer(plan, &history), Summary::Invalid, "{plan:?}: {planted:?}");
                Some((plan.anomaly?, true))
            }
            Err(Refused::NoPlace { anomaly, .. }) => Some((anomaly, false)),
            Err(refused) => panic!("{plan:?}: {refused}"),
        })
        .collect();
    for anomaly in Anomaly::ALL {
        let of: Vec<bool> = made.iter().filter(|case| case.0 == anomaly).map(|case| case.1).collect();
        let count = of.iter().filter(|&&is_made| is_made).count();
        assert!(2 * count >= of.len(), "{anomaly} was planted in {count} of {} histories only", of.len());
    }
}

/// What was planted is said, whatever it takes to show it in a few ops: where that is too hard, all of them show it.
#[test]
fn what_is_refuted_is_said_to_be_invalid() {
    let models = [Model::Bank, Model::Counter, Model::Set, Model::Queue, Model::Stack];
    // Whether money may be owed is not asked.
    let is_judged = |anomaly: &Anomaly| *anomaly != Anomaly::NegativeBalance;
    let cases: Vec<Plan> = (models.into_iter())
        .flat_map(|model| model.anomalies().iter().copied().filter(is_judged).map(move |anomaly| (model, anomaly)))
        .flat_map(|(model, anomaly)| [(2, 0.0), (3, 0.05)].map(|(concurrency, info)| (model, anomaly, concurrency, info)))
        .flat_map(|(model, anomaly, concurrency, info)| {
            let plan = Plan { anomaly: Some(anomaly), anomaly_at: 0.5, concurrency, info, ..Plan::new(model, 300) };
            (0..seeds().div_ceil(2)).map(move |seed| Plan { seed, ..plan.clone() })
        })
        .collect();
    let made = cases.par_iter().filter_map(|plan| generate::history(plan).ok().map(|(history, planted)| (plan, history, planted)));
    let answers: Vec<_> = made.map(|(plan, history, planted)| (plan, planted, answer(plan, &history))).collect();
    for (plan, planted, answer) in &answers {
        assert_eq!(*answer, Summary::Invalid, "{plan:?}: {planted:?}");
    }
    assert!(answers.len() * 2 > cases.len(), "{} of {} were made", answers.len(), cases.len());
}
