//! Only true witnesses pass, and only true contradictions.

use super::*;
use crate::budget::Budget;
use crate::options::Options;
use histories::keyed::Keys;
use histories::{Builder, Kind, Value};

/// An op: process, whether it writes, key, value, whether it returned.
type Told = (i64, bool, &'static str, i64, bool);

fn history(ops: &[Told]) -> History {
    let mut builder = Builder::new();
    for &(process, is_write, key, value, is_done) in ops {
        let f = if is_write { "write" } else { "read" };
        let told = |value: Value| Value::pair(Value::Str(key.into()), value);
        builder.event(process, Kind::Invoke, f, &told(if is_write { Value::Int(value) } else { Value::Nil }), 0);
        builder.event(process, if is_done { Kind::Ok } else { Kind::Info }, f, &told(Value::Int(value)), 0);
    }
    builder.finish()
}

fn with_claims(ops: &[Told], check: impl FnOnce(&Claims<'_>)) {
    let history = history(ops);
    let keys = Keys::split(&history, Some(true));
    let options = Options { initial: Some(Value::Int(0)), ..Options::from("register") };
    check(&Claims::new(&history, &Rules::new(&history, &options, &keys)));
}

/// Two processes that agree that 2 came after 1, and a write of unknown outcome.
const AGREED: [Told; 8] = [
    (0, true, "x", 1, true),  // op 0
    (0, false, "x", 1, true), // op 1
    (1, false, "x", 1, true), // op 2
    (1, true, "x", 2, true),  // op 3
    (1, false, "x", 2, true), // op 4
    (0, false, "x", 2, true), // op 5
    (2, true, "y", 5, false), // op 6
    (1, true, "y", 7, true),  // op 7
];

/// A process reads 1 after it read 2, which was written after it.
const WENT_BACK: [Told; 4] = [(0, true, "x", 1, true), (0, true, "x", 2, true), (1, false, "x", 2, true), (1, false, "x", 1, true)];

fn ops(ids: &[u32]) -> Vec<OpId> {
    ids.iter().map(|&id| OpId(id)).collect()
}

fn refused(found: &Result<(), String>, why: &str) {
    assert!(found.as_ref().is_err_and(|said| said.contains(why)), "{found:?}, not: {why}");
}

#[test]
fn only_true_views_pass() {
    with_claims(&AGREED, |claims| {
        let view = |first: u32, order: &[u32]| SessionView { first: Some(OpId(first)), order: ops(order) };
        let judge = |first: &[u32], second: &[u32], by| claims.views(&[view(0, first), view(2, second)], by);
        let second = [0, 2, 3, 4, 7];
        let of_both = [
            Consistency::Pram,
            Consistency::ReadYourWrites,
            Consistency::MonotonicReads,
            Consistency::MonotonicWrites,
            Consistency::WritesFollowReads,
        ];
        for by in of_both {
            assert_eq!(judge(&[0, 1, 3, 5, 7], &second, by), Ok(()), "{by:?}");
            assert_eq!(judge(&[6, 0, 1, 3, 5, 7], &[0, 2, 3, 4, 7, 6], by), Ok(()), "{by:?}");
            refused(&judge(&[0, 3, 1, 5, 7], &second, by), "op 1 does not find its value");
            refused(&judge(&[0, 1, 3, 7], &second, by), "op 5 is missing");
            refused(&judge(&[0, 1, 3, 5], &second, by), "op 7 is missing");
            refused(&judge(&[0, 1, 3, 5, 5, 7], &second, by), "op 5 is in an order twice");
            refused(&judge(&[0, 1, 3, 5, 7, 9], &second, by), "op 9 does not belong here");
            refused(&judge(&[6, 0, 1, 3, 5, 7], &second, by), "happened in one view and not in another");
            refused(&claims.views(&[view(0, &[0, 1, 3, 5, 7])], by), "reads and has no view");
        }
        // Everything before it, and then what each forbids.
        let swapped = [0, 1, 7, 3, 5];
        refused(&judge(&swapped, &second, Consistency::Pram), "op 3 stands after a later one of its session");
        refused(&judge(&swapped, &second, Consistency::MonotonicWrites), "op 3 stands after a later one of its session");
        assert_eq!(judge(&swapped, &second, Consistency::ReadYourWrites), Ok(()));
        let later_first = [3, 5, 0, 1, 7];
        refused(&judge(&later_first, &second, Consistency::Pram), "op 0 stands after a later one of its session");
        refused(&judge(&later_first, &second, Consistency::ReadYourWrites), "op 5 stands before a write of its own session");
        refused(&judge(&later_first, &second, Consistency::MonotonicReads), "op 5 stands before a write that its session had read");
        refused(&judge(&later_first, &second, Consistency::WritesFollowReads), "op 3 stands before a write that its session had read");
        assert_eq!(judge(&later_first, &second, Consistency::MonotonicWrites), Ok(()));
        let causal = |order: &[u32]| judge(order, &[0, 1, 2, 3, 4, 5, 7], Consistency::CausalMemory);
        assert_eq!(causal(&[0, 1, 2, 3, 4, 5, 7]), Ok(()));
        refused(&causal(&[0, 1, 3, 5, 7]), "op 2 is missing");
        refused(&causal(&[2, 0, 1, 3, 4, 5, 7]), "op 2 stands before one that it read from");
        refused(&causal(&[0, 1, 2, 3, 5, 7, 4]), "op 4 stands after a later one of its session");
    });
}

#[test]
fn only_true_orders_pass() {
    with_claims(&AGREED, |claims| {
        for converges in [false, true] {
            let judge = |order: &[u32]| claims.one_order(&ops(order), converges);
            assert_eq!(judge(&[0, 1, 2, 3, 4, 5, 7]), Ok(()));
            assert_eq!(judge(&[0, 2, 6, 3, 1, 5, 4, 7]), Ok(()), "what is not yet known may come later");
            refused(&judge(&[0, 1, 2, 3, 4, 5]), "op 7 is missing");
            refused(&judge(&[0, 1, 2, 3, 4, 5, 7, 7]), "op 7 is in an order twice");
            refused(&judge(&[1, 0, 2, 3, 4, 5, 7]), "op 0 stands after a later one of its session");
            refused(&judge(&[2, 0, 1, 3, 4, 5, 7]), "op 2 stands before one that it read from");
        }
    });
    with_claims(&WENT_BACK, |claims| {
        refused(&claims.one_order(&ops(&[0, 1, 2, 3]), false), "op 3 read what another write had replaced");
        refused(&claims.one_order(&ops(&[0, 1, 2, 3]), true), "op 3 read what a later write had replaced");
    });
    // Both saw the other's write last: one order for both there is not, one for each there is.
    let crossed = [(0, true, "x", 1, true), (1, true, "x", 2, true), (0, false, "x", 2, true), (1, false, "x", 1, true)];
    with_claims(&crossed, |claims| {
        assert_eq!(claims.one_order(&ops(&[0, 1, 2, 3]), false), Ok(()));
        refused(&claims.one_order(&ops(&[0, 1, 2, 3]), true), "op 3 read what a later write had replaced");
        refused(&claims.one_order(&ops(&[1, 0, 2, 3]), true), "op 2 read what a later write had replaced");
    });
    let lost = [(0, true, "x", 1, true), (0, false, "x", 0, true)];
    with_claims(&lost, |claims| refused(&claims.one_order(&ops(&[0, 1]), false), "op 1 read an initial value that was replaced"));
}

#[test]
fn only_true_contradictions_pass() {
    let edge = |from, to, kind, reader: Option<u32>| Edge { from: OpId(from), to: OpId(to), kind, reader: reader.map(OpId) };
    let budget = Budget::unlimited();
    let contradict =
        |claims: &Claims<'_>, needed: &[u32], cycle: &[Edge], by| claims.contradict(&ops(needed), cycle, by, &mut Account::new(&budget));
    with_claims(&WENT_BACK, |claims| {
        let cycle = [edge(0, 1, EdgeKind::SessionOrder, None), edge(1, 0, EdgeKind::Forced, Some(3))];
        let by = Consistency::Causal;
        assert_eq!(contradict(claims, &[0, 1, 2, 3], &cycle, by), Ok(true));
        assert_eq!(claims.is_minimal(&ops(&[0, 1, 2, 3]), by, &mut Account::new(&budget)), Ok(true));
        assert_eq!(contradict(claims, &[0, 1, 3], &cycle, by), Ok(false), "who wrote 2 need not have been noticed");
        assert!(contradict(claims, &[0, 1, 2, 3], &cycle[..1], by).is_err(), "no cycle");
        assert!(contradict(claims, &[0, 2, 3], &cycle, by).is_err(), "an edge to an op that is not needed");
        for untrue in [edge(0, 1, EdgeKind::ReadsFrom, None), edge(0, 2, EdgeKind::SessionOrder, None)] {
            let back = edge(untrue.to.0, untrue.from.0, EdgeKind::Forced, None);
            assert!(contradict(claims, &[0, 1, 2, 3], &[untrue, back], by).is_err(), "an edge that is none");
        }
        assert_eq!(contradict(claims, &[0, 1, 2, 3], &cycle, Consistency::ReadYourWrites), Ok(false));
    });
    // What one order explains contradicts no model, whichever of its ops are looked at.
    with_claims(&AGREED, |claims| {
        for chosen in 1..1u32 << 8 {
            let nodes: Vec<u32> = (0..8).filter(|at| chosen >> at & 1 == 1).collect();
            let core = Core::new(claims, &nodes).unwrap();
            for by in Consistency::ALL.into_iter().filter(|by| by.is_ordered() && *by != Consistency::Linearizable) {
                assert_eq!(core.contradicts(by, &mut Account::new(&budget)), Ok(false), "{by:?}: {nodes:?}");
            }
        }
    });
}
