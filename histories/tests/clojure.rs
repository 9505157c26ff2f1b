//! Clojure's own reader reads the EDN that is written, and finds in it what was meant.
//!
//! Runs where the command `clojure` is installed (Debian: the package `clojure`), and must run where `RASHOMON_REQUIRE` names
//! `clojure`. `RASHOMON_CORPUS` adds the recorded histories of that folder.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and says so when it does not run")]

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rashomon_histories::{Builder, Event, Format, History, Kind, Value, read_path, write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Written files up to this length are compared; the whole would take minutes.
const COMPARED_MAX: usize = 1 << 18;
/// Values made up by chance.
const RANDOM_VALUES: usize = 600;

fn is_installed() -> bool {
    let is_there = Command::new("clojure").args(["-e", "1"]).output().is_ok_and(|output| output.status.success());
    let required = std::env::var("RASHOMON_REQUIRE").unwrap_or_default();
    assert!(is_there || !required.split(',').any(|part| part == "clojure"), "RASHOMON_REQUIRE names clojure, which is not installed");
    if !is_there {
        eprintln!("not run: the command clojure is not installed");
    }
    is_there
}

/// What Clojure finds in files, by file.
fn told_by_clojure(paths: &[PathBuf]) -> Vec<Vec<String>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clojure.clj");
    let output = Command::new("clojure").env("LC_ALL", "C.UTF-8").arg(script).args(paths).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}\n{}", told.lines().next_back().unwrap_or(""), String::from_utf8_lossy(&output.stderr));
    let mut files: Vec<Vec<String>> = Vec::new();
    for line in told.lines() {
        match line.strip_prefix("file ") {
            Some(_) => files.push(Vec::new()),
            None => files.last_mut().unwrap().push(line.to_owned()),
        }
    }
    files
}

/// The characters' numbers in UTF-16, as Java has them.
fn codes(text: &str) -> String {
    text.encode_utf16().map(|unit| unit.to_string()).collect::<Vec<_>>().join(".")
}

/// The same notation, from the value that was to be written.
fn show(value: &Value) -> String {
    let many = |items: &[Value]| items.iter().map(show).collect::<Vec<_>>();
    match value {
        Value::Nil => "n".into(),
        Value::Bool(b) => format!("b{b}"),
        Value::Int(i) => format!("i{i}"),
        Value::Float(x) if x.is_nan() => "fnan".into(),
        Value::Float(x) => format!("f{}", x.to_bits() as i64),
        Value::Number(text) => show_number(text),
        Value::Str(text) => format!("s{}", codes(text)),
        Value::Keyword(text) => format!("k{}", codes(text)),
        Value::Symbol(text) => show_symbol(text),
        Value::List(items) => format!("({})", many(items).join(" ")),
        Value::Vector(items) => format!("[{}]", many(items).join(" ")),
        Value::Set(items) => {
            let mut items = many(items);
            items.sort();
            format!("#{{{}}}", items.join(" "))
        }
        Value::Map(entries) => show_map(entries.iter().map(|(key, value)| (show(key), show(value))).collect()),
        Value::Tagged(tag, value) => format!("t{}<{}>", codes(tag), show(value)),
    }
}

fn show_map(entries: Vec<(String, String)>) -> String {
    let mut entries: Vec<String> = entries.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    entries.sort();
    format!("{{{}}}", entries.join(" "))
}

/// A number as the arena keeps it: in the one notation of all that are equal.
fn show_number(text: &str) -> String {
    match text.strip_suffix('M') {
        Some(decimal) => format!("d{decimal}"),
        None if text.contains('/') => format!("r{text}"),
        None => format!("i{text}"),
    }
}

fn show_symbol(text: &str) -> String {
    match text {
        "\\newline" => "c10".into(),
        "\\space" => "c32".into(),
        "\\u0041" => "c65".into(),
        "\\é" => "c233".into(),
        _ => match text.as_bytes() {
            [b'\\', byte] => format!("c{byte}"),
            _ => format!("y{}", codes(text)),
        },
    }
}

/// What Clojure ought to find in a line.
fn show_event(history: &History, event: u32) -> String {
    let row = history.row(event);
    let get = |id| show(&history.values.get(id));
    let keyword = |name: &str| format!("k{}", codes(name));
    let mut entries = vec![
        (keyword("index"), format!("i{event}")),
        (keyword("type"), keyword(row.kind.name())),
        (keyword("f"), keyword(row.f)),
        (keyword("value"), get(row.value)),
    ];
    if history.has_processes() {
        entries.push((keyword("process"), get(row.process)));
    }
    entries.extend(row.time.map(|time| (keyword("time"), format!("i{time}"))));
    entries.extend(row.error.map(|error| (keyword("error"), get(error))));
    entries.extend(row.node.map(|node| (keyword("node"), format!("s{}", codes(node)))));
    entries.extend(row.thread.map(|thread| (keyword("thread"), format!("i{thread}"))));
    show_map(entries)
}

/// Values as recorded histories have them, and those that readers trip over.
fn known_values() -> Vec<Value> {
    let word = |text: &str| [Value::Keyword(text.into()), Value::Symbol(text.into()), Value::Str(text.into())];
    let words = [
        "a",
        "x/y",
        "append",
        "<init>",
        "a$b__1",
        "->",
        "-",
        "+",
        "a.b.C",
        "é",
        "",
        " ",
        "a b",
        "nil",
        "true",
        "1",
        "1a",
        "-1",
        ":a",
        "a:",
        "a::b",
        "a/",
        "/",
        "/a",
        "a/b/c",
        "a/1",
        "#a",
        "#",
        "'a",
        "#'a",
        "^a",
        "a^b",
        "a\\b",
        "a;b",
        "\"",
        "{",
        "a\u{a0}b",
        "a\u{2003}b",
        "a\nb",
        "\u{0}",
        "\u{7f}",
        "😀",
        "@a",
        "`a",
        "~a",
        "%",
        "&",
        "=",
        ".",
        "a,b",
        "\u{feff}a",
        "..",
        ".5",
        "+a",
        "a'",
        "a#",
    ];
    let characters = ["\\a", "\\newline", "\\space", "\\u0041", "\\(", "\\\\", "\\\"", "\\é", "\\foo", "\\ud800", "\\😀"];
    let numbers = [
        "99999999999999999999",
        "-99999999999999999999",
        "12345678901234567890123N",
        "-0.095533108M",
        "1e2M",
        "0x1f",
        "0x1fN",
        "-017",
        "36rZZ",
        "2/6",
    ];
    let mut values: Vec<Value> = words.iter().flat_map(|text| word(text)).collect();
    values.extend(characters.iter().map(|text| Value::Symbol((*text).into())));
    values.extend(numbers.iter().map(|text| Value::Number((*text).into())));
    values.extend([0, 1, -1, i64::MAX, i64::MIN, 1 << 53].map(Value::Int));
    values.extend([0.0, -0.0, 1.5, 1e300, -1e-300, 1.6e12, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1].map(Value::Float));
    let tags = ["inst", "object", "jepsen.history.Op", "a/b", "a b", "", "_", "<", "1", "nil", "^", ":a", "{", "rashomon/keyword"];
    values.extend(tags.iter().map(|tag| Value::Tagged((*tag).into(), Box::new(Value::pair("x", 1)))));
    let micro_op = |f: &str, value| Value::Vector(vec![Value::Keyword(f.into()), Value::Int(3), value]);
    values.push(Value::Vector(vec![micro_op("append", Value::Int(2)), micro_op("r", Value::Vector(vec![Value::Int(1)]))]));
    values.push(Value::pair("key", Value::pair(1, 2)));
    values.push(Value::Map(vec![(Value::Int(0), Value::Int(100)), (Value::Keyword("from".into()), Value::Nil)]));
    values.push(Value::List(vec![Value::Set(vec![Value::Int(1), "a".into()]), Value::Bool(true), Value::List(Vec::new())]));
    values
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_map(Value::Float),
        any::<String>().prop_map(|text| Value::Str(text.into())),
        any::<String>().prop_map(|text| Value::Keyword(text.into())),
        "[a-z:/#'1.+-]{0,5}".prop_map(|text| Value::Keyword(text.into())),
        "[a-z:/#'1.+-]{0,5}".prop_map(|text| Value::Symbol(text.into())),
    ];
    // What Clojure takes for equal cannot stand twice in a set or as a key.
    let keys = prop::collection::btree_set(any::<i64>(), 0..4);
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let many = || prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            many().prop_map(Value::List),
            many().prop_map(Value::Vector),
            keys.clone().prop_map(|keys| Value::Set(keys.into_iter().map(Value::Int).collect())),
            (keys.clone(), inner.clone())
                .prop_map(|(keys, value)| Value::Map(keys.into_iter().map(|key| (Value::Int(key), value.clone())).collect())),
            ("[a-z:/#'_<1.+-]{0,4}", inner.clone())
                .prop_filter("a map under it is one of its name space", |(tag, _)| !tag.starts_with(':'))
                .prop_map(|(tag, value)| Value::Tagged(tag.into(), Box::new(value))),
        ]
    })
}

fn history_of(values: &[Value]) -> History {
    let mut builder = Builder::new();
    for (i, value) in values.iter().enumerate() {
        let f = builder.name(["read", "a b", "txn", "start!"][i % 4]);
        let id = builder.values().insert(value);
        let process = if i % 5 == 0 { builder.values().keyword("nemesis") } else { builder.values().int(i as i64 % 7) };
        let time = if i % 3 == 0 { rashomon_histories::history::NO_TIME } else { i as i64 * -1_000 };
        let event = builder.push(Event { process, kind: Kind::Info, f, value: id, time, line: 0 });
        if i % 4 == 0 && *value != Value::Nil {
            builder.error(event, id);
        }
        builder.node(process, "n\"1\"");
        builder.thread(process, 3);
    }
    builder.finish()
}

fn corpus_histories() -> Vec<(String, History)> {
    let Some(directory) = std::env::var_os("RASHOMON_CORPUS").map(PathBuf::from) else { return Vec::new() };
    let index = std::fs::read_to_string(directory.join("index.tsv")).unwrap();
    let files = index.lines().skip(1).filter_map(|line| line.split('\t').next());
    files.map(|file| (file.to_owned(), read_path(directory.join(file), None).unwrap())).collect()
}

#[test]
fn clojure_reads_what_is_written() {
    if !is_installed() {
        return;
    }
    let mut runner = TestRunner::deterministic();
    let mut values = known_values();
    values.extend((0..RANDOM_VALUES).map(|_| any_value().new_tree(&mut runner).unwrap().current()));
    let mut histories = vec![("made up".to_owned(), history_of(&values))];
    histories.extend(corpus_histories());
    let directory = std::env::temp_dir().join(format!("rashomon-clojure-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut paths = Vec::new();
    histories.retain(|(_, history)| {
        let mut written = Vec::new();
        write(&mut written, history, Format::Edn).unwrap();
        if written.len() <= COMPARED_MAX {
            paths.push(directory.join(format!("{}.edn", paths.len())));
            std::fs::write(paths.last().unwrap(), &written).unwrap();
        }
        written.len() <= COMPARED_MAX
    });
    assert_eq!(histories[0].0, "made up", "the values made up are too long");
    let told = told_by_clojure(&paths);
    assert_eq!(told.len(), histories.len());
    for ((name, history), told) in histories.iter().zip(told) {
        assert_eq!(told.len(), history.len(), "{name}");
        for (event, told) in (0..history.len() as u32).zip(told) {
            let value = history.values.display(history.value(event));
            assert_eq!(told, show_event(history, event), "{name}: event {event}, of value {value}");
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
