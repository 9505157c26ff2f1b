//! What must hold of any bytes that a reader is given, whatever they are. The property tests of this module and the fuzz targets
//! in `histories/fuzz` run the same bodies; they panic if something does not hold.
#![allow(clippy::unwrap_used, reason = "a body fails by panicking")]

use crate::error::ReadErrorKind;
use crate::lint::{Assume, lint};
use crate::pieces::Cutting;
use crate::stat::Stat;
use crate::{Builder, Format, History, ReadError, jsonl, read, read_bytes, write};
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Bytes of memory that a byte of input may cost, and those that any history may cost.
const BYTES_PER_BYTE: usize = 200;
const BYTES_AT_LEAST: usize = 1 << 16;

/// Reads some bytes in a format, in one piece and in many, and writes what was read in every format that is written.
pub fn any_input(format: Format, input: &[u8]) {
    let mut hasher = FxHasher::default();
    hasher.write(input);
    let chance = hasher.finish() as usize;
    let (piece, pieces, head) = (1 + chance % 199, 1 + chance / 199 % 4, chance / 1_000 % 100);
    cuts_change_nothing(format, input, piece, pieces, head);
    // As it is, even if it looks compressed: places and memory are those of what was compressed.
    what_was_read_is_written(&read_cut(format, input, usize::MAX, usize::MAX, input.len()), input);
}

/// Reads some bytes whose format and compression nobody told.
pub fn any_file(input: &[u8]) {
    let read = read_bytes(input, None);
    if let Err(error) = &read
        && error.kind != ReadErrorKind::Io
        && error.kind != ReadErrorKind::UnknownFormat
    {
        assert!(error.place.is_some(), "an error without a place: {error}");
    }
    if let Ok(history) = &read {
        let _ = Stat::of(history, None);
        let _ = lint(history, &Assume::default());
    }
}

/// The same history, or the same error at the same place, however the input is cut.
pub fn cuts_change_nothing(format: Format, input: &[u8], piece: usize, pieces: usize, head: usize) {
    let whole = told(read_cut(format, input, usize::MAX, usize::MAX, usize::MAX));
    let cut = told(read_cut(format, input, piece, piece * pieces, head));
    assert_eq!(whole, cut, "{}", String::from_utf8_lossy(input));
}

fn read_cut(format: Format, input: &[u8], piece: usize, batch: usize, head: usize) -> Result<History, ReadError> {
    let (head, rest) = input.split_at(head.min(input.len()));
    read::read_as(format, Cutting { piece, batch }, head.to_vec(), rest, Builder::new()).map(Builder::finish)
}

/// What the history says, or what is wrong with the input. The text shown with an error may end earlier in a piece.
fn told(read: Result<History, ReadError>) -> String {
    match read {
        Err(error) => format!("{:?} {:?} {} {}", error.kind, error.place, error.message, error.help),
        Ok(history) => {
            let lines: Vec<u32> = (0..history.len() as u32).map(|event| history.line(event)).collect();
            let facts = (&history.meta, history.names(), lines, history.ops());
            format!("{} {facts:?}", String::from_utf8(written(&history, Format::Jsonl)).unwrap())
        }
    }
}

fn written(history: &History, format: Format) -> Vec<u8> {
    let mut written = Vec::new();
    write(&mut written, history, format).unwrap();
    written
}

/// An error has its place; a history costs memory in proportion to the input, and comes back from every format.
fn what_was_read_is_written(read: &Result<History, ReadError>, input: &[u8]) {
    let history = match read {
        Ok(history) => history,
        Err(error) if error.kind == ReadErrorKind::Io => return,
        Err(error) => {
            let (line, column) = error.place.expect("an error has a place");
            let lines = 1 + memchr::memchr_iter(b'\n', input).count() as u64;
            assert!((1..=lines).contains(&line) && column >= 1 && column as usize <= input.len() + 1, "{error}");
            assert!(!error.message.is_empty());
            return;
        }
    };
    assert!(history.bytes() <= BYTES_PER_BYTE * input.len() + BYTES_AT_LEAST, "{} bytes for {}", history.bytes(), input.len());
    let _ = Stat::of(history, None);
    let _ = lint(history, &Assume::default());
    comes_back(history);
}

/// Parse → write → parse gives the same history, in every format that can hold it; in the others, what comes back is written as
/// it was read.
pub fn comes_back(history: &History) {
    let ours = written(history, Format::Jsonl);
    let again = read_back(&ours, Format::Jsonl);
    assert_eq!(history.difference(&again), None, "{}", String::from_utf8_lossy(&ours));
    assert_eq!(history.ops(), again.ops());
    let mut twice = Vec::new();
    jsonl::write_history(&mut twice, &again).unwrap();
    assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&twice));

    let edn = written(history, Format::Edn);
    let mut again = read_back(&edn, Format::Edn);
    again.meta.keyed = history.meta.keyed;
    assert_eq!(history.difference(&again), None, "{}", String::from_utf8_lossy(&edn));
    assert_eq!(history.ops(), again.ops());

    let plain = written(history, Format::Json);
    let again = read_back(&plain, Format::Json);
    assert_eq!(history.len(), again.len());
    assert_eq!(String::from_utf8_lossy(&plain), String::from_utf8_lossy(&written(&again, Format::Json)));

    let intervals = written(history, Format::Intervals);
    let again = read_back(&intervals, Format::Intervals);
    let invoked = history.ops().iter().filter(|op| op.invoke != crate::history::NO_EVENT).count();
    assert_eq!(again.ops().len(), invoked, "{}", String::from_utf8_lossy(&intervals));
}

fn read_back(written: &[u8], format: Format) -> History {
    read_bytes(written, Some(format)).unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(written)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Parts of texts, by format.
    const PARTS: &[(Format, &[&[u8]])] = &[
        (
            Format::Edn,
            &[
                b"{:type :invoke, :f :read, :process 0, :value nil}\n",
                b"{:type :ok, :f :read\n {:x 1} 2\n, :process 0\n\n, :value [1 [2 \"a\"]]}\n",
                b"{:type :info, :f :start, :process :nemesis, :value \"two\n{:lines}\n[\"}",
                "#jepsen.history.Op{:process 1, :type :ok, :f :w, :value #{1 \"é\"}, :index 3}\n".as_bytes(),
                b"#_ {:type\n :no}\n",
                b"; a comment {:type\n",
                b"  [3 :invoke :write [1 \"]\"]]\n",
                b"\n\n,\n",
                b"{:process 2 :type :fail :value {1 2 :a [\n{:b 1}\n]} :error [:timeout \"x\"] :tstag 1}\n",
                b"{:process 3 :type :ok :value #rashomon/keyword \"a b\" :error #rashomon/tagged [\"a b\" #rashomon/symbol \"\"]}",
            ],
        ),
        (
            Format::PorcupineKv,
            &[
                b"{:process 0, :type :invoke, :f :get, :key \"3\", :value nil}\n",
                b"{:process 0, :type :ok, :f :get, :key \"3\", :value \"x 0 0 y\"}\n",
                b"{:process 1, :type :invoke, :f :append, :key \"3\", :value \"x 0 1 y\"}\n",
            ],
        ),
        (
            Format::Jsonl,
            &[
                b"{\"rashomon\":1,\"a\":\":b\"}\n",
                b"{\"type\":\"invoke\",\"f\":\"read\",\"process\":0,\"value\":null}\n",
                b"{\"type\":\"ok\",\"f\":\"read\",\"process\":0,\"value\":[1,\n{\"a\":\n[\":k\"]}]}\n",
                "{\"type\":\"info\",\"f\":\"é\",\"process\":\"nemesis\",\"value\":[\"#set\",1.5,\"{\\\"\"],\"node\":\"n1\",\"thread\":2}".as_bytes(),
                b"{\"type\":\"ok\",\"client\":1,\"value\":[\"#symbol\",\"a b\"],\"error\":\":c d\",\"time\":1.5e3}\n",
                b"{\"type\":\"INVOKE\",\"f\":\"READ\",\"process\":0,\"value\":0}\n",
                b"\n\n  ",
            ],
        ),
        (
            Format::Json,
            &[
                b"[",
                b"{\"type\":\"invoke\",\"f\":\"txn\",\"process\":0,\"value\":[[\"r\",1,null]]},\n",
                b"{\"type\":\"ok\",\"f\":\"txn\",\"process\":0,\"value\":[[\"r\",1,[2]]]},\n",
                b"]",
            ],
        ),
        (
            Format::Tuples,
            &[
                b"0\t:invoke\t:read\tnil\n",
                b"0\t:ok\t:read\t[1 2]\t:why\n",
                b"\n",
                "; é\n".as_bytes(),
                b":nemesis :info :start free prose here\n",
            ],
        ),
        (
            Format::Console,
            &[
                b"INFO [2017-09-20 13:41] jepsen worker 3 - jepsen.util 3\t:invoke\t:cas\t[3 1]\n",
                b"INFO [2017-09-20 13:42] jepsen worker 3 - jepsen.util 3\t:info\t:cas\t[3 1]\t:timeout\n",
                "\tat foo.clj:12 é\n".as_bytes(),
            ],
        ),
        (
            Format::PorcupineEtcd,
            &[
                b"INFO  jepsen.util - 4\t:invoke\t:write\t0\n",
                b"INFO  jepsen.util - 4\t:info\t:write\t:timed-out\n",
                b"INFO  jepsen.core - Run complete, writing\n",
            ],
        ),
        (
            Format::Intervals,
            &[
                b"{\"ClientId\":0,\"Input\":{\"Op\":1,\"Key\":\"x\",\"Value\":\"a\"},\"Call\":10,\"Output\":{\"Value\":\"\"},\"Return\":20},\n",
                "{\"client_id\":7,\"input\":{\"op\":\"Cas\",\"key\":\"é\",\n\"value\":[1,2]},\"call\":1,\"output\":false,\"return_time\":2}".as_bytes(),
                b"{\"client_id\":8,\"input\":{\"op\":\"write\",\"value\":3},\"call\":1,\"output\":null,\"return_time\":null}\n",
                b"[",
                b"]",
            ],
        ),
        (Format::Awdit, &[b"w 0 1\n", b"r 0 1\n", b"-----\n", b"=====\n", b"\n", "é\n".as_bytes()]),
        (Format::Plume, &[b"w(1,1,0,0)\n", b"r(1,1,1,7)\n", b"w(9,9,1,-1)\n", b"\n", "é\n".as_bytes()]),
        (
            Format::Limo,
            &[b"# @object atomic-queue\n", b"[1] call enq(1)\n", b"[1] return\n", b"[2] call deq\n", b"[2] return 1\n", b"crash\n", "é\n".as_bytes()],
        ),
        (Format::PolyLin, &[b"# pqueue\n", b"insert 1 1 2\n", b"poll 1 2 3\n", b"peek -1 0 1\n", b"\n", "é\n".as_bytes()]),
        (
            Format::Dbcop,
            &[&[1, 0, 0, 0, 0, 0, 0, 0], &[2, 0, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 0, 0, 0, 0], &[1], &[0], "é".as_bytes()],
        ),
    ];
    /// What spoils a text when it is put somewhere into it.
    const SPOILERS: &[&str] = &["", "", "", "\"", "}", "]", "{", "\u{0}", "é", "12x", "#", ";", "\n", "\\", "[", ":a\u{a0}b", "1/0"];

    fn cases() -> impl Strategy<Value = (Format, Vec<u8>)> {
        let parts = (0..PARTS.len()).prop_flat_map(|which| {
            let (format, parts) = PARTS[which];
            (Just(format), prop::collection::vec(prop::sample::select(parts), 0..40))
        });
        let wrap = prop::sample::select(&["", "", "[", "header"][..]);
        let spoil = (prop::sample::select(SPOILERS), any::<prop::sample::Index>());
        (parts, wrap, spoil, prop::bool::weighted(0.2), any::<prop::sample::Index>()).prop_map(
            |((format, parts), wrap, (spoiler, place), cut, end)| {
                let is_json = matches!(format, Format::Json | Format::Jsonl | Format::Intervals);
                let mut text = match wrap {
                    "[" => [&b"["[..], &parts.join(if is_json { &b",\n"[..] } else { b"" }), b"]\n"].concat(),
                    "header" if is_json => [&b"{\"rashomon\":1,\"a\":\":b\"}\n"[..], &parts.concat()].concat(),
                    _ => parts.concat(),
                };
                let place = place.index(text.len() + 1);
                text.splice(place..place, spoiler.bytes());
                if cut {
                    text.truncate(end.index(text.len() + 1));
                }
                (format, text)
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::test_size::times(4_000) as u32))]
        #[test]
        fn cut_texts_are_read_alike((format, text) in cases(), piece in 1_usize..200, pieces in 1_usize..5, head in 0_usize..100) {
            cuts_change_nothing(format, &text, piece, pieces, head);
        }

        #[test]
        fn spoilt_texts((format, text) in cases()) {
            any_input(format, &text);
            any_file(&text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::test_size::times(2_000) as u32))]
        #[test]
        fn any_bytes(format in prop::sample::select(&Format::ALL[..]), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            any_input(format, &bytes);
            any_file(&bytes);
        }
    }

    #[test]
    fn a_place_beyond_the_end_of_what_is_compressed() {
        any_input(Format::Dbcop, &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x7a, 0x2b, 0x01, 0x00, 0x00]);
    }

    #[test]
    fn every_format_has_parts() {
        for format in Format::ALL {
            assert!(PARTS.iter().any(|(other, _)| *other == format), "{format}");
        }
    }
}
