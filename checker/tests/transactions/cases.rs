//! The cases of Elle's own tests, each with the anomaly that refutes a level, or that it is kept.
//!
//! `ax1` appends 1 to x, `wx1` writes it; `rx12` read x = [1 2], `rx` nothing. Commas separate transactions. `seq`: one after the
//! other; else all at once. `f:` failed, `i:` of unknown outcome, a digit and a colon the process.

use super::definition::{F, Part, Transaction};
use super::{anomaly, history};
use histories::Outcome;
use rashomon_checker::Isolation::{
    self, ReadAtomic, ReadCommitted, ReadUncommitted, RepeatableRead, Serializable, SnapshotIsolation, StrictSerializable,
    StrongSessionSerializable, StrongSessionSnapshotIsolation, TransactionalCausal,
};

type Case = (&'static str, &'static [(Isolation, Option<&'static str>)]);

const CASES: &[Case] = &[
    ("ax1ay1, ax2ay2, rx12ry21", &[(ReadUncommitted, Some("G0")), (Serializable, Some("G0"))]),
    ("f:ax1, rx1", &[(ReadUncommitted, None), (ReadCommitted, Some("G1a")), (Serializable, Some("G1a"))]),
    ("seq ax1ax2, rx1", &[(ReadUncommitted, None), (ReadCommitted, Some("G1b"))]),
    ("ax1ry1, ax2ay1, rx12ry1", &[(ReadUncommitted, None), (ReadCommitted, Some("G1c"))]),
    ("ax1ay1, ax2ry, rx12", &[(ReadCommitted, None), (SnapshotIsolation, Some("G-single-item")), (RepeatableRead, Some("G-single-item"))]),
    (
        "ax1ry, ay1rx",
        &[(ReadCommitted, None), (SnapshotIsolation, None), (RepeatableRead, Some("G2-item")), (Serializable, Some("G2-item"))],
    ),
    ("seq 0:ax1, 1:ax2, 2:rx1, 3:rx12", &[(StrongSessionSerializable, None), (StrictSerializable, Some("G-single-item-realtime"))]),
    ("seq 0:ax1, 1:ax2, 1:rx1, 2:rx12", &[(Serializable, None), (StrongSessionSerializable, Some("G-single-item-process"))]),
    (
        "seq 0:rxrz1, 1:ax1, 1:rz, 2:az1",
        &[
            (Serializable, None),
            (StrongSessionSnapshotIsolation, Some("G-nonadjacent-item-process")),
            (StrongSessionSerializable, Some("G-nonadjacent-item-process")),
        ],
    ),
    ("ax1ry1, ax2, ax3ay1, rx13, rx123", &[(ReadCommitted, Some("incompatible-order"))]),
    ("f:ax1, ax2, rx12", &[(ReadUncommitted, Some("dirty-update"))]),
    ("f:ax1, i:ax2, ax3, rx123", &[(ReadUncommitted, Some("dirty-update"))]),
    ("ax1ry1, ax2ay1, rx121", &[(ReadUncommitted, Some("duplicate-elements"))]),
    ("ax1ax2ax4, ax3rx1234", &[(ReadCommitted, Some("internal")), (Serializable, Some("internal"))]),
    ("ax1, ax2, rx12ax3rx12", &[(Serializable, Some("internal"))]),
    ("ax1, ax2, ax4, rx12ax3rx1234", &[(Serializable, Some("internal"))]),
    ("ax1, ax2, rx12ax3rx1", &[(Serializable, Some("internal"))]),
    ("ax2, rxrx2", &[(ReadCommitted, None), (ReadAtomic, Some("internal")), (Serializable, Some("internal"))]),
    ("ax0, ax2, rx012ax1", &[(Serializable, Some("future-read"))]),
    ("rx1ax1", &[(Serializable, Some("future-read"))]),
    ("ax1ay1, ax2ay2, ax3ay3, rx12, ry2", &[(ReadUncommitted, Some("G0"))]),
    ("seq ax1, rx1ry, ay1, ry1rx", &[(ReadCommitted, None), (SnapshotIsolation, Some("G-nonadjacent-item"))]),
    ("seq ax5, rx5ay1, ryaz2, rzat3, rt3au4, ruax6", &[(SnapshotIsolation, None)]),
    ("seq ax0, rx0ax1, rx0ax2", &[(ReadCommitted, None), (SnapshotIsolation, Some("lost-update")), (Serializable, Some("G2-item"))]),
    ("seq rxax1ax2, rx12", &[(StrictSerializable, None)]),
    ("seq 1:rx1ay1, 2:ry1, 2:ax1", &[(ReadCommitted, None), (StrongSessionSerializable, Some("G1c-process"))]),
    ("i:ax2ry, ax1ay1, rx12ry1", &[(Serializable, None)]),
    ("i:ax2, rx, rx2", &[(Serializable, None)]),
    ("ax1, rx12", &[(ReadUncommitted, Some("garbage-read")), (Serializable, Some("garbage-read"))]),
    // A fractured read.
    ("ax1ay1, rx1ry", &[(ReadCommitted, None), (ReadAtomic, Some("fractured-read")), (TransactionalCausal, Some("causality-violation"))]),
    // Registers.
    ("wx1, wx2, rx1rx2", &[(ReadCommitted, None), (ReadAtomic, Some("internal"))]),
    ("seq 0:wx1wy2, 1:wx2wy1, 0:rx2, 1:ry2", &[(Serializable, None), (StrictSerializable, Some("no-order"))]),
    ("f:wx1, rx1", &[(ReadUncommitted, None), (ReadCommitted, Some("G1a"))]),
    ("wx1wx2, rx1", &[(ReadUncommitted, None), (ReadCommitted, Some("G1b"))]),
    ("wx1ry1, wy1rx1", &[(ReadCommitted, Some("G1c"))]),
    ("rxry1, wy1wx2", &[(ReadCommitted, None), (SnapshotIsolation, Some("G-single-item"))]),
    ("seq 0:rxwx1, 1:rxwx2", &[(ReadCommitted, None), (SnapshotIsolation, Some("lost-update"))]),
    ("wx1, rx2", &[(ReadUncommitted, Some("garbage-read")), (Serializable, Some("garbage-read"))]),
    ("seq 0:wx1, 1:rx", &[(Serializable, None), (StrictSerializable, Some("G-single-item-realtime"))]),
];

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(f) = letters.next() {
        let key = i64::from(u32::from(letters.next().unwrap()));
        let mut values = Vec::new();
        while let Some(digit) = letters.next_if(char::is_ascii_digit) {
            values.push(i64::from(digit.to_digit(10).unwrap()));
        }
        parts.push(Part { f: if f == 'r' { F::Read } else { F::Write }, key, values });
    }
    parts
}

fn transactions(case: &str) -> Vec<Transaction> {
    let is_sequential = case.starts_with("seq ");
    let texts = case.trim_start_matches("seq ").split(", ");
    let read = |(at, text): (usize, &str)| {
        let (mut outcome, mut session, mut rest) = (Outcome::Ok, at as i64 + 10, text);
        if let Some((head, tail)) = text.split_once(':') {
            rest = tail;
            match head {
                "f" => outcome = Outcome::Fail,
                "i" => outcome = Outcome::Info,
                process => session = process.parse().unwrap(),
            }
        }
        let at = at as u32;
        let (invoke, complete) = if is_sequential { (at * 2, at * 2 + 1) } else { (at, 100 + at) };
        Transaction { parts: parts(rest), outcome, session, invoke, complete }
    };
    texts.enumerate().map(read).collect()
}

#[test]
fn the_cases_of_elle() {
    let mut wrong = Vec::new();
    for (case, levels) in CASES {
        let history = history(&transactions(case), !case.contains('w'));
        for &(level, expected) in *levels {
            let got = anomaly(&history, level);
            if got != expected {
                wrong.push(format!("{case}: {} {got:?} instead of {expected:?}", level.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
