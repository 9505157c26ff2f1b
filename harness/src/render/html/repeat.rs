//! What is needed to get this run, or this check, again; and the files beside this page.

use super::Section;
use super::text::count;
use super::view::View;
use crate::run::TestFacts;
use crate::ui::format;
use maud::{Markup, html};

/// The section; always there.
pub(super) fn section(view: &View<'_>) -> Section {
    let lead = html! {
        @if view.run.test.is_some() {
            "The same seed asks the same operations and injects the same faults at the same times. Networks and schedulers differ from "
            "run to run: a rare violation may need several."
        } @else {
            "The same file gives the same verdict."
        }
    };
    Section { id: "repeat", menu: "Repeat it", heading: "Repeat it".into(), lead, body: body(view) }
}

fn body(view: &View<'_>) -> Markup {
    html! {
        div class="two" {
            dl class="list" {
                dt { "command" } dd { code { (view.run.repeat) } }
                @if let Some(test) = &view.run.test { (test_facts(test)) }
            }
            (files(view))
        }
    }
}

fn test_facts(test: &TestFacts) -> Markup {
    html! {
        dt { "rashomon" } dd { (test.rashomon) }
        dt { "database" } dd { (test.database) " " (test.database_version) }
        dt { "nodes" } dd { @for (i, node) in test.nodes.iter().enumerate() {
            @if i > 0 { ", " }
            (node.name) @if node.address != node.name { " (" (node.address) ")" }
        } }
        dt { "seed" } dd { code { (format!("{:#x}", test.seed)) } }
        dt { "started" } dd { (test.started) }
        dt { "client threads" } dd { (test.concurrency) }
        dt { "time limit" } dd { (count(test.time_limit_ms as usize)) " ms" }
        dt { "op timeout" } dd { (count(test.op_timeout_ms as usize)) " ms" }
        dt { "faults" } dd { (if test.nemesis.is_empty() { "none".into() } else { test.nemesis.join(", ") }) }
        @for (name, value) in &test.options { dt { (name) } dd { (value) } }
    }
}

fn files(view: &View<'_>) -> Markup {
    let run = view.run;
    html! {
        table class="files" {
            thead { tr { th scope="col" { "file" } th scope="col" class="n" { "size" } th scope="col" { "what it holds" } } }
            tbody {
                tr { td { code { (run.history_path.display()) } } td class="n" { "" } td { "every invocation and completion" } }
                @for file in &run.node_files {
                    @let what = if file.is_data() { "what was stored on " } else { "log of " };
                    tr { td { code { (file.path.display()) } } td class="n" { (format::bytes(file.bytes)) } td { (what) (file.node) } }
                }
            }
        }
    }
}
