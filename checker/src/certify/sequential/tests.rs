//! Only true witnesses pass, and only true contradictions.

use super::*;
use crate::budget::Budget;
use crate::model::CasRegister;
use crate::options::Options;
use crate::sequential::program::ByModel;
use histories::keyed::Keys;
use histories::{Builder, Kind, Value};

/// An op: its process, whether it writes, key, value, whether it returned.
type Told = (i64, bool, &'static str, i64, bool);

fn with_claims(ops: &[Told], check: impl FnOnce(&Claims<'_, CasRegister>)) {
    let mut builder = Builder::new();
    for &(process, is_write, key, value, is_done) in ops {
        let f = if is_write { "write" } else { "read" };
        let told = Value::pair(Value::Str(key.into()), Value::Int(value));
        builder.event(process, Kind::Invoke, f, &told, 0);
        builder.event(process, if is_done { Kind::Ok } else { Kind::Info }, f, &told, 0);
    }
    let history = builder.finish();
    let options = Options { initial: Some(Value::Int(0)), ..Options::from("cas-register") };
    let (model, keys) = (CasRegister::new(&history, &options), Keys::split(&history, Some(true)));
    let (reading, budget) = (ByModel { model: &model, keys: &keys }, Budget::unlimited());
    check(&Claims::new(&history, &reading, history.op_ids(), &mut Account::new(&budget)).unwrap());
}

fn ops(ids: &[u32]) -> Vec<OpId> {
    ids.iter().map(|&id| OpId(id)).collect()
}

/// A session that writes both keys, and one that reads both in the other order; a write of unknown outcome, after which its process
/// goes on as another session.
const TOLD: [Told; 6] = [
    (0, true, "x", 1, true),
    (0, true, "y", 1, true),
    (1, false, "y", 1, true),
    (1, false, "x", 1, true),
    (2, true, "x", 2, false),
    (2, false, "y", 0, true),
];

#[test]
fn only_true_orders_pass() {
    with_claims(&TOLD, |claims| {
        let budget = Budget::unlimited();
        let judge = |order: &[u32]| claims.holds(&ops(order), &mut Account::new(&budget));
        assert_eq!(judge(&[5, 0, 1, 2, 3]), Ok(()));
        assert_eq!(judge(&[5, 4, 0, 1, 2, 3]), Ok(()), "a session ends with an unknown outcome");
        for (wrong, why) in [
            (&[5, 0, 1, 2][..], "op 3 is missing"),
            (&[5, 0, 1, 2, 3, 3], "op 3 stands after a later one of its session, or twice"),
            (&[5, 0, 1, 3, 2], "op 2 stands after a later one of its session"),
            (&[5, 1, 0, 2, 3], "op 0 stands after a later one of its session"),
            (&[0, 1, 2, 3, 5], "op 5 cannot happen"),
            (&[5, 0, 4, 1, 2, 3], "op 3 cannot happen"),
            (&[5, 0, 1, 2, 3, 9], "op 9 is in the order and does not belong there"),
        ] {
            match judge(wrong) {
                Err(Refused::Wrong(said)) => assert!(said.contains(why), "{wrong:?}: {said}"),
                other => panic!("{wrong:?}: {other:?}"),
            }
        }
    });
}

fn contradicts(claims: &Claims<'_, CasRegister>, needed: &[u32], others: Others) -> bool {
    claims.contradict(&ops(needed), others, &mut Effort::new(100_000, &Budget::unlimited())).unwrap()
}

#[test]
fn only_true_contradictions_pass() {
    let both = [Others::AnyNumber, Others::AtMostOnce];
    with_claims(&TOLD, |claims| {
        for (chosen, others) in (0..1u32 << 6).flat_map(|chosen| both.map(|others| (chosen, others))) {
            let needed: Vec<u32> = (0..6).filter(|at| chosen >> at & 1 == 1).collect();
            assert!(!contradicts(claims, &needed, others), "{needed:?}");
        }
    });
    // y was there, x before it was not; in another session 2 was never written.
    let told = [(0, true, "x", 1, true), (0, true, "y", 1, true), (1, false, "y", 1, true), (1, false, "x", 0, true)];
    with_claims(&told, |claims| {
        for others in both {
            assert!(contradicts(claims, &[0, 1, 2, 3], others));
            for rest in [&[1, 2, 3], &[0, 2, 3], &[0, 1, 3], &[0, 1, 2]] {
                assert!(!contradicts(claims, rest, others), "{rest:?}");
            }
        }
    });
    // One write of 1 cannot be seen before and after the 2 of the same session that read both.
    let told =
        [(0, true, "x", 1, true), (1, true, "x", 2, true), (2, false, "x", 1, true), (2, false, "x", 2, true), (2, false, "x", 1, true)];
    with_claims(&told, |claims| {
        assert!(contradicts(claims, &[2, 3, 4], Others::AtMostOnce));
        assert!(!contradicts(claims, &[2, 3, 4], Others::AnyNumber));
        assert!(contradicts(claims, &[0, 2, 3, 4], Others::AnyNumber));
    });
}
