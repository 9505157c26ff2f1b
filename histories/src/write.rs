//! Writes a history in any format that is written.

mod edn;

use crate::format::Format;
use crate::formats::intervals;
use crate::history::{History, NO_EVENT, Process};
use crate::jsonl;
use std::io::{self, Write};

/// Writes a history. What the format cannot hold is left out, or becomes what comes nearest: [`losses`] names it.
///
/// # Errors
/// What the output returns; [`io::ErrorKind::Unsupported`] for a format that is only read ([`Format::is_written`]).
pub fn write(out: impl Write, history: &History, format: Format) -> io::Result<()> {
    match format {
        Format::Jsonl => jsonl::write_history(out, history),
        Format::Edn => edn::write_history(out, history),
        Format::Json => jsonl::write_array_of_events(out, history),
        Format::Intervals => intervals::write(out, history),
        other => Err(io::Error::new(io::ErrorKind::Unsupported, only_read(other))),
    }
}

/// Why a history is not written in a format that is only read, and which formats are written.
pub fn only_read(format: Format) -> String {
    let names: Vec<&str> = Format::ALL.iter().filter(|format| format.is_written()).map(|format| format.name()).collect();
    format!("the format {format} is only read; formats that are written: {}", names.join(", "))
}

/// What of a history a format cannot hold, a sentence each.
pub fn losses(history: &History, format: Format) -> Vec<String> {
    let mut losses = Vec::new();
    if format != Format::Jsonl && history.meta.keyed.is_some() {
        losses.push("whether values are [key value] pairs: tell it with --keyed".into());
    }
    if format != Format::Jsonl && !history.meta.header.is_empty() {
        losses.push("the header's facts about the test".into());
    }
    if matches!(format, Format::Json | Format::Intervals) && history.values.exceed_json() {
        losses.push(
            "the kinds of values that JSON lacks: keywords and symbols become strings, sets and lists arrays, keys strings, 1.0 the \
                     integer 1"
                .into(),
        );
    }
    if format == Format::Intervals {
        let nemesis = history.nemesis_events().count();
        let without = history.ops().iter().filter(|op| op.invoke == NO_EVENT).count();
        for (count, what) in [(nemesis, "events of the nemesis"), (without, "completions without an invocation")] {
            if count > 0 {
                losses.push(format!("{count} {what}"));
            }
        }
        if history.has_errors() {
            losses.push("why ops failed".into());
        }
        let has_times = (0..history.len() as u32).any(|event| history.time(event).is_some());
        if has_times && !intervals::holds_times(history) {
            losses.push("times: they do not say which of the events came first, so the events' positions stand in their place".into());
        }
        let processes = || (0..history.process_count() as u32).map(Process);
        if processes().any(|process| history.node(process).is_some() || history.thread(process).is_some()) {
            losses.push("the nodes and threads of processes".into());
        }
    }
    losses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Builder;
    use crate::history::Kind;
    use crate::read_bytes;
    use crate::value::Value;
    use proptest::prelude::*;

    /// Any value that EDN writes as it is.
    fn value() -> impl Strategy<Value = Value> {
        let word = "[a-z][a-z0-9.*+!_?$%&=<>/-]{0,6}";
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-5_i64..5).prop_map(Value::Int),
            any::<f64>().prop_filter("compared by equality", |x| !x.is_nan()).prop_map(Value::Float),
            prop::sample::select(&["1/3", "-0.5M", "0x1f", "36rZZ", "99999999999999999999"][..]).prop_map(|s| Value::Number(s.into())),
            any::<String>().prop_map(|s| Value::Str(s.into())),
            prop::sample::select(&["", "#set", "#str", ":a", "#", ":", "#_", "nil"][..]).prop_map(|s| Value::Str(s.into())),
            word.prop_map(|s| Value::Keyword(s.into())),
            word.prop_filter("a word of its own", |s| !matches!(s.as_str(), "nil" | "true" | "false"))
                .prop_map(|s| Value::Symbol(s.into())),
        ];
        leaf.prop_recursive(4, 32, 5, move |inner| {
            let many = || prop::collection::vec(inner.clone(), 0..5);
            prop_oneof![
                many().prop_map(Value::List),
                many().prop_map(Value::Vector),
                many().prop_map(Value::Set),
                prop::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Value::Map),
                (word, inner.clone()).prop_map(|(tag, value)| Value::Tagged(tag.into(), Box::new(value))),
            ]
        })
    }

    fn history() -> impl Strategy<Value = History> {
        let kind = prop::sample::select(&[Kind::Invoke, Kind::Ok, Kind::Fail, Kind::Info][..]);
        let f = prop::sample::select(&["read", "write", "a-b", "start!"][..]);
        let process = prop_oneof![3 => (-1_i64..4).prop_map(Value::Int), 1 => Just(Value::Keyword("nemesis".into()))];
        let facts = (prop::option::of(any::<i64>().prop_filter("no time", |&t| t != i64::MIN)), prop::option::of("[a-z]{1,3}"), 0_u32..3);
        let event = (process, kind, f, value(), prop::option::weighted(0.2, value()), facts);
        (prop::collection::vec(event, 0..12), prop::option::of(any::<bool>())).prop_map(|(events, keyed)| {
            let mut builder = Builder::new();
            builder.meta().keyed = keyed;
            for (process, kind, f, value, error, (time, node, thread)) in events {
                let process = builder.values().insert(&process);
                let value = builder.values().insert(&value);
                let f = builder.name(f);
                let time = time.unwrap_or(crate::history::NO_TIME);
                let event = builder.push(crate::Event { process, kind, f, value, time, line: 0 });
                if let Some(error) = error.filter(|error| *error != Value::Nil) {
                    let error = builder.values().insert(&error);
                    builder.error(event, error);
                }
                if let Some(node) = node {
                    builder.node(process, &node);
                    builder.thread(process, thread);
                }
            }
            builder.finish()
        })
    }

    fn written(history: &History, format: Format) -> Vec<u8> {
        let mut written = Vec::new();
        write(&mut written, history, format).unwrap();
        written
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::test_size::times(1_000) as u32))]
        #[test]
        fn our_own_format_holds_everything(history in history()) {
            let written = written(&history, Format::Jsonl);
            let again = read_bytes(&written, None).unwrap();
            prop_assert_eq!(history.difference(&again), None, "{}", String::from_utf8_lossy(&written));
            prop_assert_eq!(history.ops(), again.ops());
        }

        #[test]
        fn edn_holds_everything_but_the_header(history in history()) {
            let written = written(&history, Format::Edn);
            let mut again = read_bytes(&written, Some(Format::Edn)).unwrap_or_else(|e| panic!("{e}\n{}", String::from_utf8_lossy(&written)));
            again.meta.keyed = history.meta.keyed;
            prop_assert_eq!(history.difference(&again), None, "{}", String::from_utf8_lossy(&written));
        }

        #[test]
        fn plain_json_is_json_and_settles(history in history()) {
            let first = written(&history, Format::Json);
            let parsed: serde_json::Value = serde_json::from_slice(&first).unwrap();
            prop_assert_eq!(parsed.as_array().unwrap().len(), history.len());
            let again = read_bytes(&first, Some(Format::Json)).unwrap();
            prop_assert_eq!(again.len(), history.len());
            let second = written(&again, Format::Json);
            prop_assert_eq!(String::from_utf8_lossy(&first), String::from_utf8_lossy(&second));
        }
    }

    #[test]
    fn losses_are_named() {
        let named = |text: &str, format, words: &[&str]| {
            let losses = losses(&read_bytes(text.as_bytes(), None).unwrap(), format);
            assert_eq!(losses.len(), words.len(), "{losses:?}");
            for (loss, word) in losses.iter().zip(words) {
                assert!(loss.contains(word), "{loss}: {word}");
            }
        };
        let plain = "{\"type\":\"invoke\",\"f\":\"read\",\"process\":0,\"value\":[1,{\"a\":1.5}]}";
        let ours = "{\"rashomon\":1,\"keyed\":true,\"seed\":9}\n{\"type\":\"ok\",\"f\":\"read\",\"process\":0,\"value\":[1,2]}";
        let edn = "{:type :invoke :f :r :process 0 :value :a :time 5 :node \"n1\"} {:type :fail :f :r :process 0 :error 1 :time 5} \
                   {:type :info :f :start :process :nemesis :time 6}";
        for format in [Format::Jsonl, Format::Edn, Format::Json, Format::Intervals] {
            named(plain, format, &[]);
        }
        named(ours, Format::Jsonl, &[]);
        named(ours, Format::Edn, &["--keyed", "header"]);
        named(ours, Format::Intervals, &["--keyed", "header", "1 completions without"]);
        named(edn, Format::Edn, &[]);
        named(edn, Format::Json, &["JSON lacks"]);
        named(edn, Format::Intervals, &["JSON lacks", "1 events of the nemesis", "why ops failed", "times", "nodes"]);
    }

    #[test]
    fn what_is_only_read() {
        let error = write(Vec::new(), &History::default(), Format::Plume).unwrap_err();
        assert_eq!(error.to_string(), "the format plume is only read; formats that are written: edn, jsonl, json, intervals");
    }
}
