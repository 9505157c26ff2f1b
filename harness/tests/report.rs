//! The report of runs made in memory: complete, escaped, bounded in size, the same every time. The pages are left in the target
//! directory (`tmp/report`), to be looked at.

#![allow(clippy::unwrap_used)] // tests

#[path = "report/samples.rs"]
mod samples;

use checker::verdict::Reason;
use checker::{Answer, Witness};
use histories::{Builder, Kind, Value};
use rashomon_harness::Run;
use rashomon_harness::render::html::render;
use rashomon_harness::timeline::ClockReading;
use std::path::Path;

/// Renders a run, checks what must hold for every page, and keeps it for a look.
fn page(name: &str, run: &Run) -> String {
    let html = render(run);
    assert_eq!(html, render(run), "{name}: the same run gives the same bytes");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.html")), &html).unwrap();
    sound(name, &html);
    html
}

/// What holds for every page: nothing from outside, no number that is none, one heading, unique ids, tags that pair.
fn sound(name: &str, html: &str) {
    for outside in ["http://", "https://", "@import", "src=", "<link", "<iframe", "<object", "url(\"", "url('"] {
        assert!(!html.contains(outside), "{name}: refers to something outside by {outside}");
    }
    let markup = html.split("<script>").next().unwrap();
    for bad in ["NaN", "inf ", "Infinity", "undefined", "null"] {
        assert!(!markup.contains(bad), "{name}: contains {bad}");
    }
    assert!(html.contains("default-src &#39;none&#39;") || html.contains("default-src 'none'"), "{name}: no policy");
    assert_eq!(html.matches("<h1").count(), 1, "{name}");
    assert_eq!(html.matches("<script>").count(), 1, "{name}");
    let mut ids: Vec<&str> = markup.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "{name}: an id is used twice");
    let links = markup.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next());
    for target in links {
        assert!(ids.binary_search(&target).is_ok(), "{name}: link to #{target}, which is not there");
    }
    paired(name, markup);
}

/// Every element that is opened is closed, in order.
fn paired(name: &str, markup: &str) {
    const VOID: [&str; 4] = ["meta", "input", "br", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    let body = markup.split_once("<style>").unwrap();
    let body = format!("{}{}", body.0, body.1.split_once("</style>").unwrap().1);
    let body: &str = &body;
    for tag in body.split('<').skip(1) {
        let inside = tag.split('>').next().unwrap();
        let word = inside.split([' ', '\n']).next().unwrap();
        if let Some(closed) = word.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "{name}");
        } else if !VOID.contains(&word) && !inside.ends_with('/') {
            open.push(word);
        }
    }
    assert_eq!(open, ["html", "body"], "{name}: what is open where the script begins");
}

fn has(html: &str, parts: &[&str]) {
    for part in parts {
        assert!(html.contains(part), "missing: {part}");
    }
}

fn has_not(html: &str, parts: &[&str]) {
    for part in parts {
        assert!(!html.contains(part), "not expected: {part}");
    }
}

#[test]
fn an_invalid_run_shows_its_counterexample() {
    let html = page("invalid", &samples::invalid_run());
    has(
        &html,
        &[
            "✗ INVALID",
            "Two of 8 keys are not linearizable",
            "Four operations on key 20 cannot be put in any order",
            "id=\"failing-1\"",
            "class=\"ring\"",
            "class=\"wall\"",
        ],
    );
    has(&html, &["id=\"faults\"", "id=\"performance\"", "id=\"keys\"", "id=\"counts\"", "id=\"repeat\"", "id=\"limits\"", "<b>n5</b>"]);
    has(&html, &["data-step=\"4\"", ">none</text>", "rashomon test pairstore --seed 0x5a3", "? not seen", "How far an order gets"]);
    has_not(&html, &["id=\"witness\"", "id=\"undecided\""]);
    assert!(html.len() <= 400_000, "{} bytes", html.len());
}

#[test]
fn every_failing_key_can_be_reached_and_names_itself() {
    // More than are drawn, and more than are told of with all their ops.
    let history = samples::history((0..220).flat_map(|key| samples::stale_read(key, key * 2_000_000_000, 5)).collect());
    let keys = (0..220)
        .map(|key| samples::key_verdict(&history, Some(key), Answer::Invalid(Box::new(samples::stale_read_example(&history, key, 5)))));
    let verdict = samples::verdict(keys.collect());
    let run = samples::file(history, verdict);
    let html = page("many-keys", &run);
    let section = html.split("id=\"counter-example\"").nth(1).unwrap();
    has(section.split("</h2>").next().unwrap(), &["220 of 220 keys are not linearizable"]);
    for key in 0..220 {
        has(&html, &[&format!("href=\"#key-{key}\""), &format!("id=\"key-{key}\"")]);
        let place = section.split(&format!("id=\"key-{key}\"")).nth(1).unwrap_or_else(|| panic!("key {key}"));
        let heading = place.split("</h3>").next().unwrap().split("</summary>").next().unwrap().split("</li>").next().unwrap();
        assert!(heading.to_lowercase().contains(&format!("key {key}")), "{heading}");
    }
}

#[test]
fn the_ringed_op_is_the_one_that_is_said_to_fit_nowhere() {
    for shift in 0..4 {
        let mut run = samples::invalid_run();
        let history = &run.history;
        let key = run.verdict.keys.iter_mut().find(|key| matches!(key.answer, Answer::Invalid(_))).unwrap();
        let Answer::Invalid(proof) = &mut key.answer else { unreachable!() };
        // What completes last among the contradicting ops, and so ends the prefix, may be any of them.
        proof.blocked = Some(proof.core[shift]);
        let stuck = checker::describe::Names::new(history, true, &proof.core).label(proof.stuck.unwrap());
        let who = history.values.display(history.process_name(history.op_process(history.op(proof.stuck.unwrap()))));
        let html = page(&format!("ring-{shift}"), &run);
        let ring = html.split("class=\"ring\"").next().unwrap().rsplit("class=\"bar ").next().unwrap();
        assert!(ring.contains(&stuck), "{ring}");
        let far = html.split("How far an order gets").nth(1).unwrap();
        let said = far.split("</p>").next().unwrap();
        let named = said.rsplit("class=\"chip").next().unwrap();
        assert!(named.contains(&format!(">{stuck}<")) && named.contains(&format!("process {who}")), "{said}");
        let order = far.split("fits nowhere").next().unwrap().rsplit("class=\"chip").next().unwrap();
        assert!(order.contains(&format!(">{stuck}<")), "{order}");
    }
}

#[test]
fn a_page_never_speaks_of_another_model_than_it_was_asked_about() {
    for model in checker::Consistency::named() {
        let mut run = samples::valid_run(200);
        (run.consistency, run.verdict.consistency) = (model, model.name());
        let html = page(&format!("model-{}", model.name()), &run);
        let heading = html.split("<h1>").nth(1).unwrap().split("</h1>").next().unwrap();
        assert!(heading.contains(model.name()), "{heading}");
        let sentence = html.split("class=\"sentence\">").nth(1).unwrap().split("</p>").next().unwrap();
        assert_eq!(sentence.contains("respects real time"), model == checker::Consistency::Linearizable, "{}: {sentence}", model.name());
    }
}

#[test]
fn a_kill_is_drawn_on_the_rows_of_its_node() {
    let html = page("cas", &samples::cas_run());
    has(&html, &["Five operations on key 9 cannot be put in any order", "url(#dense)", "cas 8", "data-step=\"5\"", "no answer"]);
    has_not(&html, &["class=\"wall\""]);
}

#[test]
fn a_valid_run_shows_its_orders() {
    let html = page("valid", &samples::valid_run(3_000));
    has(&html, &["✓ VALID", "id=\"witness\"", "All 8 keys are valid", "class=\"orderline\"", "in flight at the median"]);
    has_not(&html, &["id=\"counter-example\"", "id=\"undecided\"", "class=\"ring\""]);
    assert!(html.len() <= 400_000, "{} bytes", html.len());
}

#[test]
fn an_unknown_run_says_what_ran_out() {
    let html = page("unknown", &samples::unknown_run());
    has(&html, &["? UNKNOWN", "id=\"undecided\"", "its time limit of 60.0 s", "What would help", "--time-limit"]);
    has(
        &html,
        &["has an order; undecided: 7 operations up to", "how 4 operations in flight let", "2 of unknown outcome having been invoked"],
    );
    has_not(&html, &["id=\"counter-example\"", "id=\"witness\""]);
}

#[test]
fn gaps_in_the_coverage_make_a_run_unknown() {
    let mut run = samples::valid_run(500);
    run.coverage.gaps = vec!["No clock fault took effect although one was asked for.".into(), "No final read was answered.".into()];
    let html = page("gaps", &run);
    has(&html, &["? UNKNOWN", "Too little was put to the test", "No final read was answered.", "No clock fault took effect"]);
}

#[test]
fn one_bad_key_makes_a_run_invalid_even_if_others_are_undecided() {
    let mut run = samples::invalid_run();
    run.verdict.keys[0].answer = Answer::Unknown(Reason::Memory { ops_ordered: 10, states: 7 });
    let html = page("invalid-and-unknown", &run);
    has(&html, &["✗ INVALID", "id=\"counter-example\"", "id=\"undecided\"", "2 of 8 keys are invalid, 1 undecided"]);
}

#[test]
fn an_empty_history_is_a_page_too() {
    let history = Builder::new().finish();
    let verdict = samples::verdict(vec![samples::key_verdict(&history, None, Answer::Valid(Witness::default()))]);
    let html = page("empty", &samples::file(history, verdict));
    has(&html, &["✓ VALID", "There is nothing to contradict", "id=\"limits\""]);
    has_not(&html, &["id=\"performance\"", "id=\"counts\"", "id=\"faults\"", "id=\"keys\"", "id=\"witness\""]);
}

#[test]
fn a_history_of_faults_alone_shows_them() {
    let mut builder = Builder::new();
    let nemesis = builder.values().keyword("nemesis");
    let f = builder.name("kill");
    for time in [1_000, 2_000] {
        builder.push(histories::Event { process: nemesis, kind: Kind::Info, f, value: histories::ValueId::NIL, time, line: 0 });
    }
    let history = builder.finish();
    let verdict = samples::verdict(Vec::new());
    let html = page("only-faults", &samples::run(history, verdict));
    has(&html, &["id=\"faults\"", "killed n5"]);
    has_not(&html, &["id=\"performance\""]);
}

#[test]
fn readings_of_clocks_are_drawn_with_the_faults_behind_them() {
    let mut run = samples::valid_run(600);
    has_not(&page("no-clocks", &run), &["id=\"clocks\""]);
    let reading = |node: &str, ms: i64, ahead_ms: i64| ClockReading {
        node: node.into(),
        at_ns: ms * 1_000_000,
        ahead_ns: ahead_ms * 1_000_000,
        error_ns: 900,
    };
    let clock = run.windows.iter_mut().find(|window| window.fault == "clock").unwrap();
    clock.clocks = vec![reading("n2", 9_100, 0), reading("n2", 9_105, -250), reading("n4", 9_300, 60_000)];
    clock.leaders = Some(vec!["n2".into()]);
    let html = page("clocks", &run);
    has(&html, &["Clocks were up to 60.0 s ahead (n4) and 250 ms behind (n2)", "3 readings.", "n2 (hurt)", "+1 s"]);
    let section = html.split("id=\"clocks\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert_eq!((section.matches("class=\"band\"").count(), section.matches("class=\"clock\"").count()), (2, 2), "a panel per node");
}

#[test]
fn every_plot_has_the_faults_behind_it() {
    for (name, run) in [("invalid-shaded", samples::invalid_run()), ("unknown-shaded", samples::unknown_run())] {
        let html = page(name, &run);
        let panels = html.matches("class=\"row panel\"").count();
        let shaded = html.matches("<path class=\"band\" d=\"M").count();
        assert!(panels > 0 && panels == shaded, "{name}: {shaded} of {panels} panels are shaded");
    }
}

#[test]
fn a_file_without_times_is_drawn_by_position() {
    let mut run = samples::invalid_run();
    let mut builder = Builder::new();
    for event in 0..run.history.len() as u32 {
        let process = run.history.process_name(run.history.process(event)).as_small_int().unwrap();
        let value = run.history.values.get(run.history.value(event));
        let f = run.history.name(run.history.function(event));
        builder.event(process, run.history.kind(event), f, &value, histories::history::NO_TIME);
    }
    run.history = builder.finish();
    let html = page("no-times", &samples::file(run.history, run.verdict));
    has(&html, &["events →", "class=\"ring\"", "This file has no times", "at event "]);
    has_not(&html, &["id=\"performance\""]);
}

#[test]
fn text_from_the_history_is_only_text() {
    let evil = "\"></script><script>alert('x')</script><!-- ' & ]]>";
    let mut builder = Builder::new();
    for (process, f, value, node) in [(0, "write", evil, evil), (1, evil, "1", "n1")] {
        let name = builder.values().int(process);
        builder.node(name, node);
        builder.event(process, Kind::Invoke, f, &Value::Str(value.into()), 1_000_000 * process);
        builder.event(process, Kind::Ok, f, &Value::Str(value.into()), 5_000_000);
    }
    let history = builder.finish();
    let all: Vec<_> = history.op_ids().collect();
    let example = checker::Counterexample {
        core: all.clone(),
        stuck: Some(all[0]),
        blocked: Some(all[1]),
        states: vec![evil.into()],
        sentence: vec![checker::verdict::Words::Value(evil.into()), checker::verdict::Words::Who(all[0])],
        ..checker::Counterexample::default()
    };
    let mut verdict = samples::verdict(vec![samples::key_verdict(&history, None, Answer::Invalid(Box::new(example)))]);
    verdict.notes = vec![evil.into()];
    let mut run = samples::run(history, verdict);
    run.title = evil.into();
    run.repeat = evil.into();
    run.errors[..].iter_mut().for_each(|e| e.example = evil.into());
    run.windows[0].what = evil.into();
    run.windows[0].seen = evil.into();
    run.coverage.gaps = vec![evil.into()];
    run.node_files[0].path = evil.into();
    let html = page("evil", &run);
    assert_eq!(html.matches("</script>").count(), 1);
    has_not(&html, &["<script>alert", "<!--"]);
    has(&html, &["&lt;script&gt;alert"]);
}

#[test]
fn long_values_are_cut_in_the_picture_and_whole_in_its_titles() {
    let mut builder = Builder::new();
    let long = "x".repeat(300);
    builder.event(0, Kind::Invoke, "write", &Value::Str(long.as_str().into()), 0);
    builder.event(0, Kind::Ok, "write", &Value::Str(long.as_str().into()), 1_000_000);
    let history = builder.finish();
    let all: Vec<_> = history.op_ids().collect();
    let example = checker::Counterexample { core: all.clone(), stuck: Some(all[0]), ..checker::Counterexample::default() };
    let verdict = samples::verdict(vec![samples::key_verdict(&history, None, Answer::Invalid(Box::new(example)))]);
    let html = page("long-values", &samples::file(history, verdict));
    assert!(html.contains("w \"xxxx…xxxx\"") || html.contains("w &quot;xxxx…xxxx&quot;"), "cut in the middle");
    assert!(html.contains(&long), "whole in the title");
}

#[test]
fn a_hundred_thousand_ops_stay_small_and_say_what_was_left_out() {
    let html = page("large", &samples::valid_run(100_000));
    has(&html, &["ok dots drawn", "are not shown"]);
    assert!(html.len() <= 800_000, "{} bytes", html.len());
}
