//! The command line from outside: exit codes, what is printed where, and bad input at every door.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use serde_json::Value;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const VALID: &str = "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :ok, :f :write, :value 1}\n\
                     {:process 1, :type :invoke, :f :read, :value nil}\n{:process 1, :type :ok, :f :read, :value 1}\n";

/// A write that has completed is not seen by a later read.
const INVALID: &str = "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :ok, :f :write, :value 1}\n\
                       {:process 0, :type :invoke, :f :write, :value 2}\n{:process 0, :type :ok, :f :write, :value 2}\n\
                       {:process 1, :type :invoke, :f :read, :value nil}\n{:process 1, :type :ok, :f :read, :value 1}\n";

/// A process calls twice at once: any verdict would be meaningless.
const UNKNOWN: &str = "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :invoke, :f :write, :value 2}\n";

const MALFORMED: &str = "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :oops, :f :write, :value 1}\n";

struct Room {
    directory: tempfile::TempDir,
}

impl Room {
    fn new() -> Room {
        Room { directory: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs the program in this directory, without a terminal and with an almost empty environment.
    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rashomon"));
        command.args(args).current_dir(self.directory.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn exit_codes_say_what_came_of_it() {
    let room = Room::new();
    for (name, text, expected) in
        [("valid.edn", VALID, 0), ("invalid.edn", INVALID, 1), ("unknown.edn", UNKNOWN, 2), ("malformed.edn", MALFORMED, 255)]
    {
        room.file(name, text);
        let output = room.run(&["check", name, "--model", "register"]);
        assert_eq!(code(&output), expected, "{name}: {}{}", stdout(&output), stderr(&output));
    }
    for (args, expected) in [
        (&["check", "absent.edn"][..], 255),
        (&["check", "valid.edn", "--model", "regster"], 254),
        (&["check", "valid.edn", "--format", "xml"], 254),
        (&["check", "valid.edn", "--time-limit", "ten"], 254),
        (&["check", "valid.edn", "--initial", "[1"], 254),
        (&["check", "valid.edn", "invalid.edn", "--report", "page.html"], 254),
        (&["check"], 254),
        (&["frobnicate"], 254),
        (&[], 254),
        (&["analyze", "."], 255),
        (&["heal"], 254),
        (&["doctor"], 254),
        (&["verify-clean"], 254),
        (&["verify-clean", "."], 255),
        (&["test", "oracle"], 254),
        (&["test", "etcd"], 254),
        (&["test", "demo", "--read", "serializable"], 254),
        (&["test", "demo", "--nodes", "two"], 254),
        (&["test", "demo", "--concurrency", "many"], 254),
        (&["test", "demo", "--nemesis", "earthquake"], 254),
        (&["--help"], 0),
        (&["--version"], 0),
        (&["test", "--help"], 0),
    ] {
        let output = room.run(args);
        assert_eq!(code(&output), expected, "{args:?}: {}{}", stdout(&output), stderr(&output));
        assert_eq!(expected >= 254, !output.stderr.is_empty(), "{args:?}: errors, and only they, are on standard error");
    }
}

#[test]
fn of_several_files_the_worst_decides() {
    let room = Room::new();
    for (name, text) in [("valid.edn", VALID), ("invalid.edn", INVALID), ("unknown.edn", UNKNOWN), ("malformed.edn", MALFORMED)] {
        room.file(name, text);
    }
    for (files, expected) in [
        (&["valid.edn", "unknown.edn"][..], 2),
        (&["invalid.edn", "unknown.edn", "valid.edn"], 1),
        (&["unknown.edn", "malformed.edn", "valid.edn"], 255),
        // What was found invalid stays found, whatever else could not be read.
        (&["unknown.edn", "malformed.edn", "invalid.edn"], 1),
        (&["invalid.edn", "absent.edn"], 1),
    ] {
        let output = room.run(&[&["check"], files].concat());
        assert_eq!(code(&output), expected, "{files:?}: {}", stderr(&output));
        let told = stdout(&output);
        for file in files {
            let judged = !["malformed.edn", "absent.edn"].contains(file);
            assert!(if judged { told.contains(file) } else { stderr(&output).contains(file) }, "{file}: {told}{}", stderr(&output));
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_keeps_no_other_from_being_looked_at() {
    let room = Room::new();
    room.file("first.edn", VALID);
    room.file("last.edn", VALID);
    for command in ["check", "stat", "lint", "staleness"] {
        let output = room.run(&[command, "first.edn", "absent.edn", "last.edn"]);
        assert_eq!(code(&output), 255, "{command}: {}", stderr(&output));
        assert!(stdout(&output).contains("first.edn") && stdout(&output).contains("last.edn"), "{command}: {}", stdout(&output));
        assert!(stderr(&output).contains("absent.edn"), "{command}: {}", stderr(&output));
        let output = room.run(&[command, "--json", "first.edn", "absent.edn", "last.edn"]);
        let told = stdout(&output);
        let files: Vec<Value> = told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["file"].clone()).collect();
        assert_eq!(files, ["first.edn", "absent.edn", "last.edn"], "{command}: {told}");
    }
}

#[test]
fn mistakes_are_met_with_what_to_do() {
    let room = Room::new();
    room.file("malformed.edn", MALFORMED);
    room.file("valid.edn", VALID);
    room.file("faults.toml", "[[schedule]]\nat = \"1s\"\nfault = \"puase\"\n");
    for (args, wanted) in [
        (&["check", "malformed.edn"][..], &["malformed.edn:2:", ":oops"][..]),
        (&["check", "absent.edn"], &["absent.edn", "No such file"]),
        (&["check", "valid.edn", "--model", "registr"], &["registr", "did you mean register?", "cas-register", "mutex"]),
        (&["check", "valid.edn", "--format", "xml"], &["xml", "edn", "jsonl"]),
        (&["check", "valid.edn", "--format", "ednn"], &["did you mean edn?", "porcupine-etcd"]),
        (&["convert", "valid.edn", "-", "--to", "jsnol"], &["did you mean jsonl?"]),
        (&["convert", "valid.edn", "-", "--to", "awdit"], &["only read", "edn, jsonl, json, intervals"]),
        (&["check", "valid.edn", "--model", "queue"], &["did you mean fifo-queue, unordered-queue, priority-queue or max-priority-queue?"]),
        (&["check", "valid.edn", "--algorithm", "zone"], &["did you mean zones?", "queue-order"]),
        (&["check", "valid.edn", "--consistency", "sequentail"], &["did you mean sequential?", "causal-memory"]),
        (&["check", "valid.edn", "--consistency", "causal,strongst"], &["did you mean strongest?"]),
        (&["check", "valid.edn", "--consistency", "strongest", "--at-least", "casual"], &["did you mean causal?"]),
        (&["analyze", ".", "--consistency", "linear"], &["did you mean linearizable?"]),
        (&["generate", "--model", "cas_register"], &["did you mean cas-register?", "rw-register"]),
        (&["generate", "--model", "kv", "--anomaly", "stale-reed"], &["did you mean stale-read?", "phantom"]),
        (&["demo", "causal-broadcats"], &["did you mean causal-broadcast?", "--all"]),
        (&["test", "demo", "--nemesis", "partition,kil"], &["did you mean kill?", "packet"]),
        (&["test", "demo", "--schedule", "faults.toml"], &["faults.toml:3:9", "did you mean pause?"]),
        (&["test", "ectd"], &["similar", "etcd"]),
        (&["test", "demo", "--workload", "registr"], &["similar", "register"]),
        (&["test", "demo", "--replication", "async-primry"], &["similar", "async-primary"]),
        (&["tset", "demo"], &["similar", "test"]),
        (&["test", "demo", "--user", "me"], &["--user is an option of etcd, not of demo"]),
        (&["check", "valid.edn", "--time-limit", "10"], &["10", "write it like 10s"]),
        (&["check", "valid.edn", "--memory-limit", "much"], &["much", "64MB"]),
        (&["check", "valid.edn", "--memory-limit", "64"], &["64 of what?", "64MB", "64GiB"]),
        (&["test", "demo", "--memory-limit", "64"], &["64 of what?"]),
        (&["check", "valid.edn", "--at-least", "causal"], &["--at-least", "--consistency strongest"]),
        (&["check", "valid.edn", "--consistency", "strongest", "--at-least", "sequential-per-key"], &["no rung of the ladder"]),
        (&["analyze", "."], &["test.json", "store/latest"]),
        (&["test", "etcd"], &["--nodes", "--lab"]),
        (&["test", "etcd", "--lab", "--key", "id"], &["--lab", "--key", "cannot be used"]),
        (&["doctor"], &["--nodes", "--lab"]),
        (&["doctor", "--nodes", "n1,n1"], &["n1", "twice"]),
        (&["doctor", "--nodes", "n1", "--sudo-password-file", "valid.edn"], &["valid.edn", "chmod 600"]),
        (&["doctor", "--nodes", "n1", "--sudo-password-file", "absent"], &["absent", "No such file"]),
        (&["doctor", "--nodes", "n1", "--ask-sudo-password"], &["terminal", "--sudo-password-file"]),
        (&["doctor", "--nodes", "n1", "--sudo=perhaps"], &["perhaps", "always"]),
        (&["verify-clean", "."], &["test.json", "store/latest"]),
        (&["verify-clean", "absent"], &["absent", "test.json"]),
        (&["test", "demo", "--read", "serializable"], &["--read", "etcd", "demo"]),
        (&["test", "demo", "--nemesis", "earthquake"], &["earthquake", "partition"]),
    ] {
        let told = stderr(&room.run(args));
        for text in wanted {
            assert!(told.contains(text), "{args:?} should say {text}: {told}");
        }
    }
}

#[test]
fn a_reader_that_has_read_enough_changes_no_exit_code() {
    let room = Room::new();
    room.file("valid.edn", VALID);
    room.file("invalid.edn", INVALID);
    for args in [
        &["check", "valid.edn"][..],
        &["check", "invalid.edn"],
        &["check", "--json", "invalid.edn", "valid.edn"],
        &["check", "invalid.edn", "--report", "-"],
        &["check", "invalid.edn", "--consistency", "strongest"],
        &["stat", "valid.edn"],
        &["lint", "valid.edn"],
        &["staleness", "invalid.edn"],
        &["convert", "valid.edn", "-", "--to", "jsonl"],
        &["generate", "--model", "register"],
        &["--help"],
        &["--version"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = room.command(args).stdout(writer).output().unwrap();
        assert_eq!(code(&closed), code(&room.run(args)), "{args:?}: {}", stderr(&closed));
        assert!(!stderr(&closed).contains("error"), "{args:?}: {}", stderr(&closed));
    }
}

#[test]
fn the_page_goes_to_standard_output_and_the_verdict_beside_it() {
    let room = Room::new();
    room.file("invalid.edn", INVALID);
    for asked in ["linearizable", "strongest", "linearizable,sequential"] {
        let output = room.run(&["check", "invalid.edn", "--consistency", asked, "--report", "-"]);
        assert_eq!(code(&output), i32::from(asked != "strongest"), "{}", stderr(&output));
        let page = stdout(&output);
        assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"), "{asked}: nothing but the page: {page}");
        assert!(stderr(&output).contains("VALID") && !stderr(&output).contains("report   -"), "{}", stderr(&output));
    }
    assert_eq!(code(&room.run(&["check", "invalid.edn", "--json", "--report", "-"])), 254);
    assert!(!room.directory.path().join("-").exists());
}

/// Runs the program in a terminal of so many columns, made by `script` of Debian's bsdutils; what it says, without colours.
fn in_terminal(room: &Room, columns: u32, args: &str) -> String {
    let line = format!("stty rows 40 cols {columns}; exec {} --color never {args} 2>/dev/null", env!("CARGO_BIN_EXE_rashomon"));
    let output = Command::new("script").args(["-q", "-c", &line, "/dev/null"]).current_dir(room.directory.path()).output();
    stdout(&output.expect("script is installed")).replace('\r', "")
}

#[test]
fn lines_are_as_long_as_the_terminal_is_wide() {
    let room = Room::new();
    room.file("invalid.edn", INVALID);
    // A command is never broken, so that it can be copied.
    let wrapped = |line: &&str| !line.starts_with("  repeat");
    let longest = |text: &str| text.lines().filter(wrapped).map(|line| line.chars().count()).max().unwrap_or(0);
    for (columns, most) in [(20, 60), (70, 70), (120, 120), (500, 140)] {
        for args in ["check invalid.edn --model register", "lint invalid.edn"] {
            let told = in_terminal(&room, columns, args);
            assert!((most - 40..=most).contains(&longest(&told)), "{columns} columns, {args}: {}\n{told}", longest(&told));
        }
    }
    assert!(longest(&stdout(&room.run(&["check", "invalid.edn"]))) <= 80, "80 where there is no terminal");
}

#[test]
fn reads_of_zero_that_are_all_that_is_wrong_are_met_with_the_option() {
    let room = Room::new();
    let op = |f: &str, input: &str, output: &str| {
        format!("{{:process 0, :type :invoke, :f {f}, :value {input}}}\n{{:process 0, :type :ok, :f {f}, :value {output}}}\n")
    };
    let zero = op(":txn", "[[:r x nil] [:r y nil]]", "[[:r x 0] [:r y 0]]");
    let write = op(":txn", "[[:w x 1]]", "[[:w x 1]]");
    room.file("zero.edn", &(zero.clone() + &write));
    room.file("late.edn", &(write.clone() + &zero));
    room.file("plain.edn", &(op(":read", "nil", "0") + &op(":write", "1", "1") + &op(":read", "nil", "1")));
    let hint = "--initial 0";
    let mut hints = 0;
    // Isolation levels are of transactions.
    let is_isolation = |level: &str| level.parse::<checker::Isolation>().is_ok();
    let levels = || checker::Consistency::named().map(checker::Consistency::name);
    for (file, model) in [("zero.edn", "multi-register"), ("plain.edn", "register"), ("plain.edn", "cas-register")] {
        // Transactions are of many keys.
        let fits = |level: &&str| if model == "multi-register" { *level != "sequential-per-key" } else { !is_isolation(level) };
        for level in levels().filter(fits) {
            let args = ["check", file, "--model", model, "--consistency", level];
            let said = room.run(&args);
            let told = stdout(&said).split_whitespace().collect::<Vec<_>>().join(" ");
            let with = room.run(&[&args[..], &["--initial", "0"]].concat());
            // What nobody read in the end is unknown.
            let wanted: &[i32] = if level == "eventual" { &[0, 2] } else { &[0] };
            assert!(wanted.contains(&code(&with)), "{file} {level}: every level takes the value: {}{}", stdout(&with), stderr(&with));
            let hinted = told.contains("reads of 0, which nobody wrote");
            assert_eq!(hinted, code(&said) == 1 && code(&with) == 0, "{file} {level}: {told}");
            hints += usize::from(hinted);
        }
    }
    assert!(hints > 9, "{hints}");
    for level in ["linearizable", "sequential", "causal"] {
        let said = room.run(&["check", "late.edn", "--model", "multi-register", "--consistency", level]);
        assert!(code(&said) == 1 && !stdout(&said).contains(hint), "a lost write stays one: {}", stdout(&said));
    }
    // Session text begins with 0 at every level; its transactions have no beginning, so they have no order in real time.
    room.file("sessions.txt", "r 1 0\nw 1 1\n-----\nr 2 0\n");
    for level in levels().filter(|level| !["eventual", "sequential-per-key"].contains(level)) {
        let said = room.run(&["check", "sessions.txt", "--format", "awdit", "--model", "multi-register", "--consistency", level]);
        let is_timed = ["linearizable", "strict-serializable", "strong-snapshot-isolation"].contains(&level);
        let wanted = if is_timed { 2 } else { 0 };
        assert_eq!(code(&said), wanted, "{level}: {}{}", stdout(&said), stderr(&said));
    }
    room.file("lists.edn", &op(":txn", "[[:append x 1]]", "[[:append x 1]]"));
    let said = room.run(&["check", "lists.edn", "--model", "multi-register", "--initial", "0"]);
    assert!(code(&said) == 254 && stderr(&said).contains("lists begin empty"), "{}", stderr(&said));
}

#[test]
fn transactions_are_judged_by_isolation_levels() {
    let room = Room::new();
    let line = |process: u32, kind: &str, value: &str| format!("{{:process {process}, :type :{kind}, :f :txn, :value {value}}}\n");
    let both = |process: u32, asked: &str, answered: &str| line(process, "invoke", asked) + &line(process, "ok", answered);
    room.file("one.edn", &both(0, "[[:w x 1]]", "[[:w x 1]]"));
    let said = room.run(&["check", "one.edn"]);
    assert!(code(&said) == 0 && stdout(&said).contains("strict-serializable"), "{}{}", stdout(&said), stderr(&said));
    // Write skew, both at once.
    let (a, b) = ("[[:append x 1] [:r y nil]]", "[[:append y 1] [:r x nil]]");
    let skew = [line(0, "invoke", a), line(1, "invoke", b), line(0, "ok", a), line(1, "ok", b)].concat();
    room.file("skew.edn", &skew);
    let said = room.run(&["check", "skew.edn", "--consistency", "serializable"]);
    let told = stdout(&said).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(code(&said) == 1 && told.contains("G2-item") && told.contains("T1 < T2") && told.contains("did not observe"), "{told}");
    assert_eq!(code(&room.run(&["check", "skew.edn", "--consistency", "snapshot-isolation"])), 0);
    let said = room.run(&["check", "skew.edn", "--consistency", "PL-3"]);
    assert_eq!(code(&said), 1, "an alias: {}", stderr(&said));
    let said = room.run(&["check", "skew.edn", "--consistency", "strongest"]);
    let told = stdout(&said);
    assert!(code(&said) == 0 && told.contains("strongest model kept: strong-snapshot-isolation"), "{told}");
    let said = room.run(&["check", "skew.edn", "--consistency", "parallel-snapshot-isolation"]);
    assert!(code(&said) != 0 && stderr(&said).contains("snapshot-isolation"), "what is not checked is refused: {}", stderr(&said));
    room.file("other.edn", &both(0, "[[:cas x [1 2]]]", "[[:cas x [1 2]]]"));
    assert_eq!(code(&room.run(&["check", "other.edn"])), 254);
}

/// What stands behind a word of `--help` in one piece.
fn help(room: &Room, command: &str) -> String {
    stdout(&room.run(&[command, "--help"])).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn help_names_all_that_there_is() {
    let room = Room::new();
    let formats = histories::Format::ALL.map(histories::Format::name).join(", ");
    for command in ["check", "stat", "lint", "staleness", "convert"] {
        assert!(help(&room, command).contains(&formats), "{command}: {}", help(&room, command));
    }
    let algorithms = checker::Algorithm::ALL.map(checker::Algorithm::option).join(", ");
    for command in ["check", "analyze", "test", "staleness"] {
        assert!(help(&room, command).contains(&algorithms), "{command}: {}", help(&room, command));
    }
    for (model, functions) in checker::MODELS {
        assert!(help(&room, "check").contains(&format!("{model} {functions}")), "{model}: {}", help(&room, "check"));
    }
}

#[test]
fn help_shows_examples_before_options() {
    let room = Room::new();
    for args in [&["--help"][..], &["test", "--help"], &["check", "--help"], &["analyze", "--help"], &["heal", "--help"]] {
        let help = stdout(&room.run(args));
        let (examples, usage) = (help.find("Examples:"), help.find("Usage:"));
        assert!(examples.is_some() && examples < usage, "{args:?}: {help}");
        assert!(!help.contains("demo-node"), "{args:?} shows a command that is not for people: {help}");
    }
}

#[test]
fn json_is_one_object_per_file_with_the_promised_fields() {
    let room = Room::new();
    for (name, text) in [("valid.edn", VALID), ("invalid.edn", INVALID), ("unknown.edn", UNKNOWN), ("malformed.edn", MALFORMED)] {
        room.file(name, text);
    }
    let output = room.run(&["check", "--json", "valid.edn", "invalid.edn", "unknown.edn", "malformed.edn", "absent.edn"]);
    let objects: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fields = [
        "algorithm",
        "check_ms",
        "consistency",
        "counterexample",
        "file",
        "format",
        "keys",
        "model",
        "notes",
        "ops",
        "parse_ms",
        "peak_rss_bytes",
        "reason",
        "undecided",
        "verdict",
    ];
    for object in &objects {
        let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, fields, "{object}");
    }
    let verdicts: Vec<&Value> = objects.iter().map(|object| &object["verdict"]).collect();
    assert_eq!(verdicts, [&Value::from("valid"), &"invalid".into(), &"unknown".into(), &Value::Null, &Value::Null]);
    let [valid, invalid, unknown, malformed, _] = objects.as_slice() else { panic!("{objects:?}") };
    assert_eq!((&valid["file"], &valid["format"], &valid["model"]), (&"valid.edn".into(), &"edn".into(), &"register".into()));
    assert_eq!((&valid["ops"], &valid["keys"], &valid["reason"]), (&2.into(), &1.into(), &Value::Null));
    assert!(valid["check_ms"].is_number() && valid["parse_ms"].is_number() && valid["peak_rss_bytes"].as_u64().unwrap() > 0);
    assert!(valid["counterexample"].is_null());
    let core = invalid["counterexample"]["core"].as_array().unwrap();
    assert!((2..=3).contains(&core.len()) && core.iter().any(|op| op["f"] == "read" && op["complete_line"] == 6), "{invalid}");
    assert!(unknown["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{unknown}");
    assert!(malformed["reason"].as_str().is_some_and(|reason| reason.contains("malformed.edn:2:")), "{malformed}");
}

/// One process reads 2, then 1, which another had overwritten itself: no process can have seen that in one order of the writes.
const NOT_MONOTONIC: &str = "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :ok, :f :write, :value 1}\n\
                             {:process 0, :type :invoke, :f :write, :value 2}\n{:process 0, :type :ok, :f :write, :value 2}\n\
                             {:process 1, :type :invoke, :f :read, :value nil}\n{:process 1, :type :ok, :f :read, :value 2}\n\
                             {:process 1, :type :invoke, :f :read, :value nil}\n{:process 1, :type :ok, :f :read, :value 1}\n";

#[test]
fn several_consistency_models_are_judged_and_the_worst_decides() {
    let room = Room::new();
    room.file("stale.edn", INVALID);
    room.file("back.edn", NOT_MONOTONIC);
    let output = room.run(&["check", "stale.edn", "--consistency", "causal,pram"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("VALID  causal\n") && stdout(&output).contains("VALID  pram\n"), "{}", stdout(&output));
    assert_eq!(code(&room.run(&["check", "stale.edn", "--consistency", "causal,linearizable"])), 1);

    let output = room.run(&["check", "back.edn", "--consistency", "causal-memory"]);
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).contains("INVALID  not causal-memory") && stdout(&output).contains("rocess 1"), "{}", stdout(&output));
    let output = room.run(&["check", "back.edn", "--consistency", "causal", "--json"]);
    let told: Value = serde_json::from_str(stdout(&output).trim()).unwrap();
    assert_eq!((told["consistency"].as_str(), told["verdict"].as_str()), (Some("causal"), Some("invalid")), "{told}");
    assert_eq!(told["counterexample"]["pattern"], "WriteCORead", "{told}");
    assert!(told["counterexample"]["cycle"].as_array().unwrap().len() > 1, "{told}");
}

#[test]
fn the_ladder_names_the_strongest_model_that_is_kept() {
    let room = Room::new();
    room.file("stale.edn", INVALID);
    let output = room.run(&["check", "stale.edn", "--consistency", "strongest"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).starts_with("OK VALID  strongest model kept: sequential\n"), "{}", stdout(&output));
    let output = room.run(&["check", "stale.edn", "--consistency", "strongest", "--json"]);
    let told: Value = serde_json::from_str(stdout(&output).trim()).unwrap();
    assert_eq!(told["strongest"], serde_json::json!(["sequential"]));
    let of = |name: &str| told["ladder"].as_array().unwrap().iter().find(|rung| rung["consistency"] == name).unwrap()["verdict"].clone();
    assert_eq!((of("linearizable"), of("pram")), ("invalid".into(), "valid".into()));

    assert_eq!(code(&room.run(&["check", "nothing.edn", "--consistency", "strongest"])), 255);
    let output = room.run(&["check", "stale.edn", "--consistency", "eventualy"]);
    assert!(code(&output) == 254 && stderr(&output).contains("causal-memory"), "{}", stderr(&output));
}

/// The page in this file of the room.
fn page(room: &Room, name: &str) -> String {
    std::fs::read_to_string(room.directory.path().join(name)).unwrap()
}

#[test]
fn a_report_draws_counter_examples_to_weaker_models_and_the_ladder() {
    let room = Room::new();
    room.file("back.edn", NOT_MONOTONIC);
    let output = room.run(&["check", "back.edn", "--consistency", "causal", "--report", "causal.html"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let causal = page(&room, "causal.html");
    assert!(causal.contains("WriteCORead") && causal.contains("not causal") && !causal.contains("id=\"models\""), "{causal}");
    assert!(causal.contains("class=\"arrow against"), "the forced edge is drawn");

    let output = room.run(&["check", "back.edn", "--consistency", "strongest", "--report", "ladder.html"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let ladder = page(&room, "ladder.html");
    assert!(ladder.contains("id=\"models\"") && ladder.contains("writes-follow-reads") && ladder.contains("✓ valid"), "{ladder}");
    let output = room.run(&["check", "back.edn", "--consistency", "causal,linearizable", "--report", "both.html"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(page(&room, "both.html").contains("not causal"), "the weakest that is broken is drawn");
}

/// Each process adds an element; both read in the end, and one of them misses what was acknowledged.
fn added(last: &str) -> String {
    let op = |process: u32, f: &str, input: &str, output: &str, ms: u32| {
        format!(
            "{{:process {process}, :type :invoke, :f :{f}, :value {input}, :time {ms}000000}}\n\
             {{:process {process}, :type :ok, :f :{f}, :value {output}, :time {}000000}}\n",
            ms + 5
        )
    };
    let adds = op(0, "add", "1", "1", 10) + &op(1, "add", "2", "2", 20);
    adds + &op(0, "read", "nil", "#{1 2}", 100) + &op(1, "read", "nil", last, 110)
}

#[test]
fn what_did_not_converge_is_told() {
    let room = Room::new();
    room.file("same.edn", &added("#{2 1}"));
    room.file("lost.edn", &added("#{2}"));
    room.file("early.edn", VALID);
    room.file("lock.edn", "{:process 0, :type :invoke, :f :acquire}\n{:process 0, :type :ok, :f :acquire}\n");
    let eventual = |file: &str| room.run(&["check", file, "--consistency", "eventual"]);
    let output = eventual("same.edn");
    assert!(code(&output) == 0 && stdout(&output).contains("VALID  eventual"), "{}", stdout(&output));
    let output = eventual("lost.edn");
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let told = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("1, which process 0 added (acknowledged at 0.015 s), is missing from what process 1 read"), "{told}");
    let output = eventual("early.edn");
    assert!(code(&output) == 2 && stdout(&output).contains("rocess 0 did not read it"), "{}", stdout(&output));
    let output = eventual("lock.edn");
    assert!(code(&output) == 254 && stderr(&output).contains("not of mutex"), "{}", stderr(&output));
    let output = room.run(&["check", "lost.edn", "--consistency", "eventual", "--report", "lost.html", "--json"]);
    let told: Value = serde_json::from_str(stdout(&output).trim()).unwrap();
    assert_eq!((told["verdict"].as_str(), told["counterexample"]["pattern"].as_str()), (Some("invalid"), Some("Lost")), "{told}");
    assert!(page(&room, "lost.html").contains("What was acknowledged on the object is gone in the end"));
}

/// An element is added, removed and added again by one process; both read in the end.
fn added_again(last: &str) -> String {
    let op = |process: u32, f: &str, input: &str, output: &str, ms: u32| {
        format!(
            "{{:process {process}, :type :invoke, :f :{f}, :value {input}, :time {ms}000000}}\n\
             {{:process {process}, :type :ok, :f :{f}, :value {output}, :time {}000000}}\n",
            ms + 5
        )
    };
    let updates = op(0, "add", "7", "7", 10) + &op(0, "remove", "7", "7", 20) + &op(0, "add", "7", "7", 30);
    updates + &op(0, "read", "nil", last, 100) + &op(1, "read", "nil", last, 110)
}

#[test]
fn replicated_data_types_are_told_apart() {
    let room = Room::new();
    room.file("gone.edn", &added_again("#{}"));
    room.file("back.edn", &added_again("#{7}"));
    let check = |file: &str, model: &str| room.run(&["check", file, "--consistency", "eventual", "--model", model]);
    for (file, model, sentence) in [
        (
            "gone.edn",
            "or-set",
            "7, which process 0 added (acknowledged at 0.035 s) when every remove of it had ended, is missing from what",
        ),
        ("back.edn", "2p-set", "although process 0, who had put it there, had removed it (acknowledged at 0.025 s): from a two-phase set"),
    ] {
        let output = check(file, model);
        let told = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code(&output) == 1 && told.contains(sentence), "{told}");
    }
    for (file, model) in [("gone.edn", "2p-set"), ("back.edn", "or-set"), ("gone.edn", "set"), ("back.edn", "set")] {
        let output = check(file, model);
        assert_eq!(code(&output), 0, "{file} {model}: {}", stdout(&output));
        assert!(model == "set" || stdout(&output).contains("a remove is taken to have seen"), "{}", stdout(&output));
    }
    let output = check("back.edn", "g-set");
    assert!(code(&output) == 254 && stderr(&output).contains("only grows"), "{}", stderr(&output));
    let args = ["check", "back.edn", "--consistency", "eventual", "--model", "2p-set", "--report", "back.html", "--json"];
    let told: Value = serde_json::from_str(stdout(&room.run(&args)).trim()).unwrap();
    assert_eq!((told["verdict"].as_str(), told["counterexample"]["pattern"].as_str()), (Some("invalid"), Some("NotRemoved")), "{told}");
    assert!(page(&room, "back.html").contains("What was removed from the object is there in the end"));
    // Used by one client at a time it is linearizable as what it is.
    for (file, model, expected) in
        [("gone.edn", "2p-set", 0), ("gone.edn", "or-set", 1), ("back.edn", "2p-set", 1), ("back.edn", "or-set", 0)]
    {
        let output = room.run(&["check", file, "--model", model]);
        assert_eq!(code(&output), expected, "{file} {model}: {}", stdout(&output));
    }
}

#[test]
fn elements_that_stay_unseen_are_listed() {
    let room = Room::new();
    let op = |f: &str, input: &str, output: &str, ms: u32| {
        format!(
            "{{:process 0, :type :invoke, :f :{f}, :value [1 {input}], :time {ms}000000}}\n\
             {{:process 0, :type :ok, :f :{f}, :value [1 {output}], :time {}000000}}\n",
            ms + 5
        )
    };
    room.file("unseen.edn", &(op("add", "7", "7", 10) + &op("add", "8", "8", 20) + &op("read", "nil", "#{8}", 100)));
    let output = room.run(&["staleness", "unseen.edn", "--model", "g-set", "--keyed", "yes"]);
    let told = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("1 element acknowledged and not seen by the last read either: add 7 by process 0 of key 1"), "{told}");
    assert!(told.contains("window writes 50 % 90 % 99 % 99.9 % longest unseen 1 2 0 85"), "{told}");
    let output = room.run(&["staleness", "unseen.edn", "--model", "g-set", "--keyed", "yes", "--json"]);
    let told: Value = serde_json::from_str(stdout(&output).trim()).unwrap();
    assert_eq!(told["keys"][0]["window"]["unseen"].as_array().map(Vec::len), Some(1), "{told}");
}

#[test]
fn weaker_models_say_what_they_cannot_judge() {
    let room = Room::new();
    room.file("ends.edn", "{:process 0, :type :ok, :f :write, :value 1}\n{:process 1, :type :ok, :f :read, :value 1}\n");
    for model in ["linearizable", "eventual"] {
        let output = room.run(&["check", "ends.edn", "--consistency", model]);
        assert!(code(&output) == 2 && stdout(&output).contains("completions without"), "{model}: {}", stdout(&output));
    }
    let write = |process: u32| {
        format!("{{:process {process}, :type :invoke, :f :write, :value 1}}\n{{:process {process}, :type :ok, :f :write, :value 1}}\n")
    };
    let read = "{:process 2, :type :invoke, :f :read, :value nil}\n{:process 2, :type :ok, :f :read, :value 1}\n";
    room.file("twice.edn", &(write(0) + &write(1) + read));
    let output = room.run(&["check", "twice.edn", "--consistency", "causal"]);
    assert!(code(&output) == 2 && stdout(&output).contains("more than once"), "{}", stdout(&output));
    for asked in ["evental", "Causal", ""] {
        let output = room.run(&["check", "twice.edn", "--consistency", asked]);
        assert!(code(&output) == 254 && stderr(&output).contains("there is no consistency model"), "{}", stderr(&output));
    }
    let output = room.run(&["analyze", ".", "--consistency", "evental"]);
    assert!(code(&output) == 254 && stderr(&output).contains("there is no consistency model"), "{}", stderr(&output));
    let output = room.run(&["test", "demo", "--live", "--consistency", "causal"]);
    assert!(code(&output) == 254 && stderr(&output).contains("--live"), "{}", stderr(&output));
}

#[test]
fn staleness_is_measured_or_said_to_be_unknown() {
    let room = Room::new();
    let measured = |name: &str, text: &str| {
        room.file(name, text);
        let output = room.run(&["staleness", name, "--json"]);
        (code(&output), serde_json::from_str::<Value>(stdout(&output).trim()).unwrap_or(Value::Null))
    };
    let stale: String = INVALID.lines().zip(1..).map(|(line, ms)| line.replace('}', &format!(", :time {ms}000000}}\n"))).collect();
    let (code_, told) = measured("stale.edn", &stale);
    assert_eq!(code_, 0, "{told}");
    assert_eq!(told["all"]["k"], serde_json::json!({ "least": 2, "most": 2 }), "{told}");
    // The read began at 5 ms, when 2 had been there for at least 1 ms.
    assert_eq!(told["all"]["t_ns"], serde_json::json!({ "least": 1_000_000, "most": 1_000_000 }), "{told}");
    assert_eq!(told["all"]["window"]["max_ns"], 1_000_000, "{told}");
    let (code_, told) = measured("untimed.edn", INVALID);
    assert_eq!((code_, told["all"]["k"]["most"].as_u64()), (0, Some(2)), "{told}");
    assert!(told["all"]["t_unknown_because"].as_str().unwrap().contains("no times"), "{told}");
    let (code_, told) = measured("nobody.edn", &VALID.replace(":ok, :f :read, :value 1", ":ok, :f :read, :value 9"));
    assert!(code_ == 0 && told["all"]["k_unknown_because"].as_str().unwrap().contains("nobody had written"), "{told}");
    let (code_, told) = measured("misuse.edn", UNKNOWN);
    assert!(code_ == 2 && told["reason"].as_str().unwrap().contains("in flight"), "{told}");
    assert_eq!(measured("malformed.edn", MALFORMED).0, 255);
    assert_eq!(code(&room.run(&["staleness", "absent.edn"])), 255);
    assert_eq!(code(&room.run(&["staleness", "stale.edn", "--model", "mutex"])), 254);
}

/// Rounds of writes of few values that overlap, and of reads that see them in turn; nobody is in flight between two rounds. The last
/// read of all sees what nobody wrote.
fn hard(width: usize, rounds: usize) -> String {
    let event =
        |process: usize, kind: &str, f: &str, value: &str| format!("{{:process {process}, :type :{kind}, :f :{f}, :value {value}}}\n");
    let mut text = String::new();
    for round in 0..rounds {
        let value = |i: usize| if round + 1 == rounds && i + 1 == width { "9".into() } else { (i % 3).to_string() };
        for i in 0..width {
            text += &event(i, "invoke", "write", &(i % 3).to_string());
            text += &event(width + i, "invoke", "read", "nil");
        }
        for i in 0..width {
            text += &event(width + i, "ok", "read", &value(i));
            text += &event(i, "ok", "write", &(i % 3).to_string());
        }
    }
    text
}

#[test]
fn an_exhausted_limit_says_what_ran_out_how_far_it_got_and_what_is_undecided() {
    let room = Room::new();
    room.file("hard.edn", &hard(26, 3));
    let limited = ["check", "hard.edn", "--model", "register", "--keyed", "no", "--algorithm", "search", "--memory-limit", "200kB"];
    let output = room.run(&limited);
    let told = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code(&output), 2, "{told}");
    assert!(told.contains("memory limit of 195 KiB") && told.contains("operations when it stopped"), "{told}");
    assert!(told.contains("has an order; undecided: 52 operations up to line"), "{told}");
    let told: Value = serde_json::from_str(&stdout(&room.run(&[&limited[..], &["--json"]].concat()))).unwrap();
    let part = &told["undecided"];
    assert_eq!((&told["verdict"], &part["ops"], &part["key"]), (&"unknown".into(), &52.into(), &Value::Null), "{told}");
    // A round has 104 lines.
    let lines = (part["first"]["invoke_line"].as_u64().unwrap(), part["last"]["complete_line"].as_u64().unwrap());
    assert!(lines.0 % 104 == 1 && lines.1 == lines.0 + 103, "{part}");
    let at = part["stopped"]["at"]["complete_line"].as_u64().unwrap();
    assert!(lines.0 + 52 <= at && at <= lines.1 && part["stopped"]["unknown"] == 0, "{part}");
    assert_eq!(part["stopped"]["in_flight"], 52 - (at - lines.0 - 52), "{part}");
}

#[test]
fn the_algorithm_can_be_chosen_and_is_refused_where_it_does_not_fit() {
    let room = Room::new();
    room.file("valid.edn", VALID);
    room.file("twice.edn", &VALID.repeat(2));
    // (file, algorithm, exit code, what is said, the algorithm in the verdict).
    let cases = [
        ("valid.edn", "auto", 0, "valid", Some("zones")),
        ("valid.edn", "zones", 0, "valid", Some("zones")),
        ("valid.edn", "search", 0, "valid", Some("search")),
        ("twice.edn", "auto", 0, "valid", Some("search")),
        ("twice.edn", "zones", 2, "the algorithm asked for, zones, does not cover all of these operations", Some("zones")),
        ("valid.edn", "queue-order", 254, "does not fit the model register; what does: auto, search, zones", None),
        ("valid.edn", "magic", 254, "there is no algorithm `magic`; there are auto, search, zones, queue-order", None),
    ];
    for (file, algorithm, expected, says, by) in cases {
        let output = room.run(&["check", file, "--model", "register", "--algorithm", algorithm, "--json"]);
        let told = format!("{}{}", stdout(&output), stderr(&output));
        assert!(code(&output) == expected && told.contains(says), "{file} by {algorithm}: {told}");
        if let Some(by) = by {
            let object: Value = serde_json::from_str(&stdout(&output)).unwrap();
            assert_eq!(object["algorithm"], by, "{object}");
        }
    }
    let weaker = room.run(&["check", "valid.edn", "--consistency", "causal", "--algorithm", "zones"]);
    assert!(code(&weaker) == 254 && stderr(&weaker).contains("--algorithm"), "{}", stderr(&weaker));
    for asked in [&["--algorithm", "magic"][..], &["--algorithm", "queue-order"], &["--consistency", "causal", "--algorithm", "zones"]] {
        let output = room.run(&[&["test", "demo", "--time-limit", "1s"], asked].concat());
        assert!(code(&output) == 254 && stderr(&output).contains("algorithm"), "{asked:?}: {}", stderr(&output));
    }
}

#[test]
fn a_guess_is_reported_and_can_be_overruled() {
    let room = Room::new();
    room.file("valid.edn", VALID);
    let guessed = stdout(&room.run(&["check", "valid.edn"]));
    assert!(guessed.contains("guessed") && guessed.contains("--model"), "{guessed}");
    let told = stdout(&room.run(&["check", "valid.edn", "--model", "cas-register"]));
    assert!(!told.contains("model register was guessed") && told.contains("cas-register"), "{told}");
}

#[test]
fn colour_is_for_terminals_and_for_those_who_ask() {
    let room = Room::new();
    room.file("invalid.edn", INVALID);
    let coloured = |args: &[&str], no_color: bool| {
        let mut command = room.command(&[&["check", "invalid.edn"], args].concat());
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let output = command.output().unwrap();
        (stdout(&output) + &stderr(&output)).contains('\x1b')
    };
    assert!(!coloured(&[], false), "this is no terminal");
    assert!(!coloured(&["--color", "auto"], true));
    assert!(!coloured(&["--color", "never"], false));
    assert!(coloured(&["--color", "always"], false));
    assert!(coloured(&["--color", "always"], true), "what is asked for on the command line comes first");
}

#[test]
fn signs_follow_the_locale() {
    let room = Room::new();
    room.file("invalid.edn", INVALID);
    let told = |locale: &str| stdout(&room.command(&["check", "invalid.edn"]).env("LC_ALL", locale).output().unwrap());
    assert!(told("C.UTF-8").starts_with("✗ INVALID"), "{}", told("C.UTF-8"));
    assert!(told("C").starts_with("X INVALID") && told("C").is_ascii(), "{}", told("C"));
}

#[test]
fn a_report_is_written_where_it_is_asked_for() {
    let room = Room::new();
    room.file("invalid.edn", INVALID);
    let output = room.run(&["check", "invalid.edn", "--report", "page.html"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let page = std::fs::read_to_string(room.directory.path().join("page.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") || page.starts_with("<!doctype html>"), "{}", &page[..page.len().min(200)]);
    let output = room.run(&["check", "invalid.edn", "--report", "a/new/folder/page.html"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(room.directory.path().join("a/new/folder/page.html").is_file());
}

#[test]
fn a_verdict_is_not_lost_to_its_page_or_to_a_full_disk() {
    let room = Room::new();
    room.file("valid.edn", VALID);
    room.file("invalid.edn", INVALID);
    room.file("file", "");
    // A page in a folder that is a file; the exit code of what was found invalid stays.
    for ask in [&["--consistency", "linearizable"][..], &["--consistency", "linearizable,causal-memory"], &["--json"]] {
        for (file, word, expected) in [("valid.edn", "valid", 255), ("invalid.edn", "invalid", 1)] {
            let output = room.run(&[&["check", file, "--report", "file/page.html"], ask].concat());
            let told = stdout(&output).to_lowercase();
            assert_eq!(code(&output), expected, "{file} {ask:?}: {told}{}", stderr(&output));
            assert!(told.contains(word) && stderr(&output).contains("file/page.html"), "{file} {ask:?}: {told}{}", stderr(&output));
        }
    }
    for (file, word, expected) in [("valid.edn", "VALID", 255), ("invalid.edn", "INVALID", 1)] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = room.command(&["check", file, "--report", "page.html"]).stdout(full).output().unwrap();
        assert_eq!(code(&output), expected, "{}", stderr(&output));
        assert!(stderr(&output).contains(word) && stderr(&output).contains("No space left"), "{}", stderr(&output));
        assert!(page(&room, "page.html").contains(word), "the page is written all the same");
    }
}

/// What stands in a page between two texts.
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    page.split(from).nth(1).and_then(|rest| rest.split(to).next()).unwrap_or_default()
}

/// A process does not see what it has added itself; in the end all see all. Of a set, models between sequential and eventual are not
/// judged.
const EVENTUAL_ONLY: &str = "{:process 0, :type :invoke, :f :add, :value 1}\n{:process 0, :type :ok, :f :add, :value 1}\n\
                             {:process 0, :type :invoke, :f :read, :value nil}\n{:process 0, :type :ok, :f :read, :value #{}}\n\
                             {:process 1, :type :invoke, :f :add, :value 2}\n{:process 1, :type :ok, :f :add, :value 2}\n\
                             {:process 0, :type :invoke, :f :read, :value nil}\n{:process 0, :type :ok, :f :read, :value #{1 2}}\n\
                             {:process 1, :type :invoke, :f :read, :value nil}\n{:process 1, :type :ok, :f :read, :value #{1 2}}\n";

#[test]
fn page_text_json_and_exit_code_agree() {
    let room = Room::new();
    let files = [
        ("valid.edn", VALID),
        ("stale.edn", INVALID),
        ("back.edn", NOT_MONOTONIC),
        ("eventual.edn", EVENTUAL_ONLY),
        ("misuse.edn", UNKNOWN),
        ("empty.edn", ""),
    ];
    let mut asks: Vec<Vec<&str>> = vec![
        vec!["--consistency", "linearizable"],
        vec!["--consistency", "eventual"],
        vec!["--consistency", "causal,linearizable"],
        vec!["--consistency", "eventual,strongest"],
        vec!["--consistency", "strongest"],
    ];
    asks.extend(["linearizable", "causal", "eventual"].map(|model| vec!["--consistency", "strongest", "--at-least", model]));
    let mut seen = std::collections::BTreeSet::new();
    for (file, text) in files {
        room.file(file, text);
        for ask in &asks {
            let name = format!("{file} {ask:?}");
            let told = room.run(&[&["check", file, "--report", "page.html"], &ask[..]].concat());
            let json = room.run(&[&["check", file, "--json"], &ask[..]].concat());
            assert_eq!(code(&told), code(&json), "{name}: {}{}", stdout(&told), stderr(&told));
            let word = ["valid", "invalid", "unknown"][usize::try_from(code(&told)).unwrap()];
            seen.insert((file, word));
            // Of several verdicts the worst decides.
            let worst = |verdicts: &mut dyn Iterator<Item = String>| {
                verdicts.max_by_key(|verdict| ["valid", "unknown", "invalid"].iter().position(|known| known == verdict)).unwrap_or_default()
            };
            let objects = stdout(&json);
            // A model that does not fit the file has no verdict.
            let verdict = |line| serde_json::from_str::<Value>(line).unwrap()["verdict"].as_str().map(str::to_owned);
            let mut verdicts = objects.lines().filter_map(verdict);
            assert_eq!(worst(&mut verdicts), word, "{name}: {objects}");
            let text = stdout(&told);
            let mut heads = text.lines().filter_map(|line| {
                let sign = ["OK ", "X ", "? "].iter().find_map(|sign| line.strip_prefix(sign))?;
                // The ladder's rows have their answers in small letters.
                let word = sign.split(' ').next()?;
                (word == word.to_uppercase()).then(|| word.to_lowercase())
            });
            assert_eq!(worst(&mut heads), word, "{name}: {text}");
            let page = page(&room, "page.html");
            let heading = between(&page, "<h1>", "</h1>");
            assert!(heading.contains(&format!("{}<", word.to_uppercase())), "{name}: {heading}");
            assert!(between(&page, "<title>", "</title>").contains(&format!(" {word}: ")), "{name}");
            assert!(page.contains(&format!("<body class=\"{word}\">")), "{name}");
            assert!(between(&page, "class=\"verdict\" href=\"#top\">", "</a>").ends_with(word), "{name}");
        }
    }
    for word in ["valid", "invalid", "unknown"] {
        assert!(seen.contains(&("eventual.edn", word)), "{word}: {seen:?}");
    }
    let output = room.run(&["check", "eventual.edn", "--consistency", "strongest"]);
    assert!(code(&output) != 0 && stdout(&output).contains("eventual, which stands beside it, is"), "{}", stdout(&output));
}

#[test]
fn a_history_that_says_nothing_is_unknown_to_every_model() {
    let room = Room::new();
    room.file("empty.edn", "");
    let reads = "{:process 1, :type :invoke, :f :read, :value nil}\n{:process 1, :type :ok, :f :read, :value nil}\n";
    room.file("reads.edn", reads);
    for file in ["empty.edn", "reads.edn"] {
        let ladder = |more: &[&str]| {
            let output = room.run(&[&["check", file, "--model", "register", "--consistency", "strongest", "--json"], more].concat());
            let told: Value = serde_json::from_str(stdout(&output).trim()).unwrap();
            (code(&output), told)
        };
        let (code_, told) = ladder(&[]);
        assert_eq!(code_, 2, "{told}");
        for rung in told["ladder"].as_array().unwrap() {
            assert_eq!(rung["verdict"], "unknown", "{file}: {rung}");
            assert!(rung["reason"].as_str().unwrap().contains("--allow-empty"), "{file}: {rung}");
        }
        let (code_, told) = ladder(&["--allow-empty"]);
        assert_eq!((code_, &told["ladder"][0]["verdict"]), (0, &"valid".into()), "{told}");
    }
    // What was found stays found.
    room.file("thin.edn", &reads.replace(":ok, :f :read, :value nil", ":ok, :f :read, :value 7"));
    assert_eq!(code(&room.run(&["check", "thin.edn"])), 1);
}

/// What a terminal might obey, and what turns the direction of writing.
const HOSTILE: &str = "n\u{1b}[2J\u{1b}]0;pwned\u{7}\u{1b}[1;31mRED\u{9b}2J\u{202e}\r\nOK VALID\0\u{fdd0}1\u{fdd1}";

/// Whether a terminal gets nothing but text, ends of lines, and colours where they are asked for.
fn is_harmless(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let ours = ["1;31", "1;32", "33", "34", "38;5;208", "2", "1", "0"].map(|code| format!("\u{1b}[{code}m"));
    let plain = ours.iter().fold(text.into_owned(), |text, ink| text.replace(ink, ""));
    !plain
        .chars()
        .any(|c| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fdd0}' | '\u{fdd1}'))
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let room = Room::new();
    let op = |process: u32, f: &str, input: Value, output: Value, ms: u32| {
        let event = |kind: &str, value: Value, ms: u32| {
            serde_json::json!({ "process": process, "type": kind, "f": f, "node": HOSTILE, "value": [HOSTILE, value], "time": ms * 1_000_000 }).to_string() + "\n"
        };
        event("invoke", input, ms) + &event("ok", output, ms + 1)
    };
    let header = "{\"rashomon\":1,\"keyed\":true}\n";
    let write = |process, value: &str, ms| op(process, "write", value.into(), value.into(), ms);
    let stale = write(0, HOSTILE, 1) + &write(1, "b", 3) + &op(2, "read", Value::Null, HOSTILE.into(), 5);
    let name = HOSTILE.replace('\0', "");
    let unknown_f = op(0, HOSTILE, 1.into(), 1.into(), 1);
    let torn = format!("{header}{{\"process\":0,\"type\":\"{HOSTILE}\"}}\n{{}}\n");
    room.file(&format!("stale{name}.jsonl"), &(header.to_owned() + &stale));
    room.file(&format!("f{name}.jsonl"), &(header.to_owned() + &unknown_f));
    room.file(&format!("torn{name}.jsonl"), &torn);
    std::fs::create_dir(room.directory.path().join(format!("run{name}"))).unwrap();
    let stale = format!("stale{name}.jsonl");
    for file in [&stale, &format!("f{name}.jsonl"), &format!("torn{name}.jsonl"), &format!("absent{name}")] {
        for args in [
            &["check"][..],
            &["check", "--json"],
            &["check", "--model", "register", "--consistency", "linearizable,causal,strongest"],
            &["check", "--model", "register", "--consistency", "strongest", "--json"],
            &["check", "--model", "register", "--report", &format!("page{name}.html")],
            &["stat"],
            &["stat", "--json"],
            &["lint"],
            &["lint", "--json"],
            &["staleness"],
            &["staleness", "--json"],
            &["analyze"],
            &["convert", "--to", "edn", "--force", &format!("out{name}")],
            &["test", "demo", "--schedule"],
            &["replay"],
            &[HOSTILE.split('\0').next().unwrap()],
        ] {
            for (color, locale) in [("never", "C.UTF-8"), ("always", "C")] {
                let mut all = args.to_vec();
                all.insert(if args[0] == "test" { args.len() } else { 1 }, file);
                all.extend(["--color", color]);
                let output = room.command(&all).env("LC_ALL", locale).output().unwrap();
                for (stream, bytes) in [("output", &output.stdout), ("errors", &output.stderr)] {
                    let text = String::from_utf8_lossy(bytes);
                    assert!(is_harmless(bytes), "{all:?}: {stream}: {text:?}");
                    assert!(color == "always" || !text.contains('\u{1b}'), "{all:?}: {stream}: {text:?}");
                    let forged = text.lines().any(|line| line.starts_with("OK VALID"));
                    assert!(!forged, "{all:?}: {stream}: a name makes a line: {text:?}");
                }
            }
        }
    }
}

#[test]
fn an_output_that_cannot_be_written_is_an_error_and_a_closed_pipe_is_none() {
    let room = Room::new();
    room.file("valid.edn", VALID);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = room.command(&["check", "--json", "valid.edn"]).stdout(full).output().unwrap();
    assert_eq!(code(&output), 255, "{}", stderr(&output));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = room.command(&["check", "--json", "valid.edn"]).stdout(writer).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn standard_input_is_a_file_too() {
    let room = Room::new();
    let mut child =
        room.command(&["check", "-", "--json"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(INVALID.as_bytes()).unwrap();
    assert_eq!(code(&child.wait_with_output().unwrap()), 1);
}

/// A port of this machine on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_node_that_cannot_be_reached_is_named() {
    let room = Room::new();
    let start = Instant::now();
    let port = closed_port().to_string();
    let output = room.run(&["test", "etcd", "--nodes", "127.0.0.1", "--port", &port, "--insecure", "--time-limit", "5s"]);
    let told = stderr(&output);
    assert_eq!(code(&output), 255, "{told}");
    assert!(told.contains("127.0.0.1") && told.contains(&port) && told.contains("refused"), "{told}");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    let healed = room.run(&["heal", "--nodes", "127.0.0.1", "--port", &port, "--insecure"]);
    assert_eq!(code(&healed), 255, "{}", stderr(&healed));
    assert!(stdout(&healed).contains("127.0.0.1"), "{}", stdout(&healed));
    let looked = room.run(&["doctor", "--nodes", "127.0.0.1", "--port", &port, "--insecure"]);
    assert_eq!(code(&looked), 1, "{}", stderr(&looked));
    assert!(stdout(&looked).contains("ssh") && stdout(&looked).contains("refused"), "{}", stdout(&looked));
    let looked = room.run(&["doctor", "--nodes", "127.0.0.1", "--port", &port, "--insecure", "--json"]);
    let told: Value = serde_json::from_slice(&looked.stdout).unwrap();
    assert!(told["nodes"][0]["error"].as_str().unwrap().contains("refused"), "{told}");
}

/// The processes whose command line names this directory.
fn processes_of(directory: &Path) -> Vec<String> {
    let needle = directory.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    entries
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(needle) && line.contains("demo-node"))
        .collect()
}

#[test]
fn a_full_disk_ends_a_run_with_a_clear_error_and_nothing_left() {
    let room = Room::new();
    let store = room.directory.path().join("small");
    std::fs::create_dir(&store).unwrap();
    // In a mount namespace of its own: the file system is gone when the program is.
    let script = "mount -t tmpfs -o size=256k tmpfs \"$1\" && exec \"$0\" test demo --nemesis none --time-limit 60s --store \"$1\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_rashomon")]).arg(&store);
    let probe = Command::new("unshare").args(["--mount", "true"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        // Not by eprintln: the output of a test that passes is thrown away.
        let _ = writeln!(std::io::stderr(), "NOT RUN: a full disk: mount namespaces need root");
        return;
    }
    let start = Instant::now();
    let output = command.output().unwrap();
    let told = stderr(&output);
    assert_eq!(code(&output), 255, "{}{told}", stdout(&output));
    assert!(told.contains("No space left") || told.contains("disk is full"), "{told}");
    assert!(start.elapsed() < Duration::from_secs(55), "it went on for {:?}", start.elapsed());
    assert_eq!(processes_of(&store), Vec::<String>::new());
}

#[test]
fn a_mistyped_option_makes_no_run() {
    let room = Room::new();
    room.file("faults.toml", "[[schedule]]\nat = \"1s\"\nfault = \"earthquake\"\n");
    let latest = room.directory.path().join("kept/latest");
    std::fs::create_dir_all(room.directory.path().join("kept/demo-register/before")).unwrap();
    std::os::unix::fs::symlink("demo-register/before", &latest).unwrap();
    for args in [
        &["--nemesis", "earthquake"][..],
        &["--nodes", "two"],
        &["--nodes", "99"],
        &["--concurrency", "9999n"],
        &["--schedule", "faults.toml"],
        &["--schedule", "absent.toml"],
        &["--algorithm", "queue-order"],
        &["--memory-limit", "64"],
        &["--replication", "by-post"],
    ] {
        for store in ["store", "kept"] {
            let output = room.run(&[&["test", "demo", "--time-limit", "1s", "--store", store], args].concat());
            assert_eq!(code(&output), 254, "{args:?}: {}", stderr(&output));
        }
        assert!(!room.directory.path().join("store").exists(), "{args:?}");
        let kept = std::fs::read_dir(room.directory.path().join("kept/demo-register")).unwrap().count();
        assert_eq!((kept, std::fs::read_link(&latest).unwrap().to_str()), (1, Some("demo-register/before")), "{args:?}");
    }
}

#[test]
fn a_store_that_cannot_be_written_is_refused_before_anything_starts() {
    let room = Room::new();
    room.file("store", "this is a file");
    let output = room.run(&["test", "demo", "--time-limit", "5s"]);
    assert_eq!(code(&output), 255);
    assert!(stderr(&output).contains("--store"), "{}", stderr(&output));
}
