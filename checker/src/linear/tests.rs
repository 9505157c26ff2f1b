//! The procedures against each other, on histories too long for the definition (`tests/oracle.rs` asks that one about short
//! ones). Every combination of switches must agree with the plain search wherever it has an answer.

use super::problem::{Entry, Problem};
use super::search::{Found, Most, Search, Unknowns};
use super::unseen::unseen;
use super::witness;
use super::zones::{self, Zones};
use crate::budget::{Account, Budget};
use crate::decode::NEVER;
use crate::model::{CasRegister, Model};
use crate::options::{FailedCas, Options};
use crate::switches::Rules;
use histories::{History, OpId, ValueId};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Op = <CasRegister as Model>::Op;

/// Random ops on a register of few or of unique values, most of them as an honest register would answer.
fn random_problem(rng: &mut ChaCha8Rng, ops: usize) -> Problem<Op> {
    let (unique, clients, lies) = (rng.random_bool(0.5), rng.random_range(2..6usize), rng.random_bool(0.5));
    let crash = [0.0, 0.05, 0.3][rng.random_range(0..3usize)];
    let cas = rng.random_bool(0.5);
    let value = |v: i64| ValueId::small_int(v).unwrap();
    let mut problem = Problem { classes: Vec::new(), entries: Vec::new() };
    let mut add = |op: Op, call: u32, ret: u32| {
        let known = problem.classes.iter().position(|c| *c == op);
        let class = known.unwrap_or_else(|| {
            problem.classes.push(op);
            problem.classes.len() - 1
        });
        problem.entries.push(Entry { id: OpId(0), class: class as u32, call, ret });
    };
    let (mut held, mut fresh, mut now) = (0i64, 0i64, 0u32);
    // (op, invocation, whether it happened and what was seen)
    let mut open: Vec<(Op, u32, Option<i64>)> = Vec::new();
    for _ in 0..ops * 3 {
        if open.len() < clients && rng.random_bool(0.5) {
            fresh += 1;
            let new = if unique { fresh } else { rng.random_range(0..3) };
            let op = match rng.random_range(0..3) {
                0 => Op::Write(value(new)),
                1 if cas => Op::Cas(value(if unique { held } else { rng.random_range(0..3) }), value(new)),
                _ => Op::Read(value(-1)),
            };
            open.push((op, now, None));
            now += 1;
            continue;
        }
        if open.is_empty() {
            continue;
        }
        let i = rng.random_range(0..open.len());
        if open[i].2.is_none() {
            open[i].2 = Some(held);
            match open[i].0 {
                Op::Write(v) => held = v.as_small_int().unwrap(),
                Op::Cas(old, new) if old == value(held) => held = new.as_small_int().unwrap(),
                _ => {}
            }
        } else {
            let (op, call, seen) = open.swap_remove(i);
            let seen = if lies && rng.random_bool(0.01) { rng.random_range(0..=fresh.max(3)) } else { seen.unwrap() };
            let crashes = rng.random_bool(crash);
            match op {
                Op::Read(_) if !crashes => add(Op::Read(value(seen)), call, now),
                Op::Cas(old, _) if !crashes && old != value(seen) => {}
                Op::Read(_) => {}
                op => add(op, call, if crashes { NEVER } else { now }),
            }
            now += 1;
        }
    }
    problem.entries.sort_unstable_by_key(|e| e.call);
    for (i, entry) in (0..).zip(&mut problem.entries) {
        entry.id = OpId(i);
    }
    problem
}

fn register() -> CasRegister {
    let options = Options { initial: Some(histories::Value::Int(0)), failed_cas: Some(FailedCas::Drop), ..Options::default() };
    CasRegister::new(&History::default(), &options)
}

/// Whether an order was found; `None` if the step limit came first.
fn search(model: &CasRegister, problem: &Problem<Op>, unknowns: Unknowns, leave_out: bool, limit: u64) -> Option<bool> {
    let budget = Budget::unlimited();
    let unseen = || unseen(model, problem, &mut Account::new(&budget)).unwrap();
    let left_out = if leave_out { unseen() } else { vec![false; problem.classes.len()] };
    let search = Search::<CasRegister, u64>::new(model, problem, unknowns, Rules::default(), &budget, Most::steps(limit))
        .ok()
        .unwrap()
        .leave_out(&left_out);
    match search.run(&problem.events()).0 {
        Found::Order(updates) => {
            // What is hidden must have a place.
            let order = witness::complete(model, problem, &updates, NEVER, &mut Account::new(&budget)).unwrap();
            let returned = problem.entries.iter().filter(|e| !e.is_crashed()).count();
            assert!(order.is_some_and(|order| order.len() >= returned) || unknowns == Unknowns::Unlimited, "an order that is none");
            Some(true)
        }
        Found::Nothing(_) => Some(false),
        Found::Out(..) => None,
    }
}

#[test]
fn all_procedures_agree() {
    const LIMIT: u64 = 20_000;
    let model = register();
    let (mut decided, mut invalid, mut by_zones) = (0, 0, 0);
    let (mut few_missed, mut lazy_missed, mut unlimited_missed) = (0, 0, 0);
    for seed in 0..crate::test_size::times(12_000) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let ops = rng.random_range(5..150);
        let problem = random_problem(&mut rng, ops);
        let exact = search(&model, &problem, Unknowns::Exact, false, LIMIT);
        let quick = search(&model, &problem, Unknowns::Exact, true, LIMIT);
        let Some(expected) = exact.or(quick) else { continue };
        decided += 1;
        invalid += u32::from(!expected);
        assert!(quick.is_none_or(|answer| answer == expected), "seed {seed}: leaving out what nobody saw changes the answer");
        for leave_out in [false, true] {
            match search(&model, &problem, Unknowns::Few(2), leave_out, LIMIT) {
                Some(true) => assert!(expected, "seed {seed}: few configurations found an order that does not exist"),
                _ => few_missed += u32::from(expected),
            }
            for width in [1, 8, 256] {
                match search(&model, &problem, Unknowns::Lazy(width), leave_out, LIMIT) {
                    Some(true) => assert!(expected, "seed {seed}: with hidden overwrites an order was found that does not exist"),
                    _ if width == 256 => lazy_missed += u32::from(expected),
                    _ => {}
                }
            }
            match search(&model, &problem, Unknowns::Unlimited, leave_out, LIMIT) {
                Some(false) => assert!(!expected, "seed {seed}: unlimited unknowns missed an order"),
                _ => unlimited_missed += u32::from(!expected),
            }
        }
        match zones::decide(&model, &problem, &problem.events(), &mut Account::new(&Budget::unlimited())).unwrap() {
            Zones::Order(_) => assert!(expected, "seed {seed}: the zones found an order that does not exist"),
            Zones::Stuck { .. } => assert!(!expected, "seed {seed}: the zones missed an order"),
            Zones::Open => continue,
        }
        by_zones += 1;
    }
    let scaled = |n: u64| crate::test_size::times(n) as u32;
    assert!(decided > scaled(8_000) && invalid > scaled(1_200) && by_zones > scaled(4_000), "{decided} {invalid} {by_zones}");
    // The cheap answers are worth their while only if they mostly answer.
    let missed = [few_missed, lazy_missed, unlimited_missed];
    assert!(few_missed < decided / 10 && lazy_missed < decided / 10 && unlimited_missed < invalid / 2, "{missed:?} of {decided}");
}
