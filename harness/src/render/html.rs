//! The report: one self-contained HTML file.
//!
//! A page is a list of sections, one file each, in the order in which a reader asks: the verdict, its proof, the evidence, the
//! data. A section without data is left out. Everything that a person must see is there without scripts; `report.js` adds
//! sorting, zoom and read-outs.
//!
//! Start reading at [`render`], then `view` (what sections read) and any section.

mod arrows;
mod banner;
mod clocks;
mod counterexample;
mod counts;
mod faults;
mod figure;
mod keys;
mod ladder;
mod lanes;
mod layout;
mod limits;
mod op;
mod performance;
mod plot;
mod prose;
mod repeat;
mod scale;
mod text;
mod undecided;
mod view;
mod witness;

use crate::run::Run;
use checker::verdict::Summary;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use view::View;

/// A part of the page with a heading that says what was found.
struct Section {
    /// Where links point.
    id: &'static str,
    /// Its name in the line of contents.
    menu: &'static str,
    /// The finding.
    heading: String,
    /// How to read what follows.
    lead: Markup,
    /// The rest.
    body: Markup,
}

/// Renders the report of a run: one file, nothing loaded from anywhere. The same run gives the same bytes.
pub fn render(run: &Run) -> String {
    let view = View::new(run);
    let sections: Vec<Section> = [
        counterexample::section(&view),
        ladder::section(&view),
        undecided::section(&view),
        witness::section(&view),
        faults::section(&view),
        clocks::section(&view),
        performance::section(&view),
        keys::section(&view),
        counts::section(&view),
        Some(repeat::section(&view)),
        Some(limits::section(&view)),
    ]
    .into_iter()
    .flatten()
    .collect();
    page(&view, &sections).into_string()
}

/// Nothing but this file: no image, font, script or connection from anywhere else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

fn page(view: &View<'_>, sections: &[Section]) -> Markup {
    let (name, sign) = sign(view.run.overall());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (sign) " " (name) ": " (view.run.title) }
                style { (PreEscaped(include_str!("html/report.css"))) }
            }
            body class=(name) {
                a class="skip" href="#main" { "Skip to the findings" }
                header { div class="column" { (banner::banner(view)) } }
                nav aria-label="Contents" { div class="column" {
                    a class="verdict" href="#top" { (sign) " " (name) }
                    @for section in sections { a href={ "#" (section.id) } { (section.menu) } }
                } }
                main id="main" class="column" { @for section in sections { (section_markup(section)) } }
                footer class="column" { p { "Rashomon " (env!("CARGO_PKG_VERSION")) ". One file; nothing is loaded from anywhere." } }
                (textures())
                script { (PreEscaped(include_str!("html/report.js"))) }
            }
        }
    }
}

fn section_markup(section: &Section) -> Markup {
    html! {
        section id=(section.id) aria-labelledby={ "h-" (section.id) } {
            h2 id={ "h-" (section.id) } { (section.heading) }
            div class="lead" { (section.lead) }
            (section.body)
        }
    }
}

/// The answer as a word and its sign.
fn sign(answer: Summary) -> (&'static str, &'static str) {
    let sign = match answer {
        Summary::Valid => "✓",
        Summary::Unknown => "?",
        Summary::Invalid => "✗",
    };
    (answer.name(), sign)
}

/// Fault textures and the fading of open bars, used by every drawing of the page.
fn textures() -> Markup {
    let fade = |value: &str| {
        html! {
            linearGradient id={ "fade-" (value) } class=(value) {
                stop offset="0" class="from" {}
                stop offset="1" class="to" {}
            }
        }
    };
    html! {
        svg class="defs" width="0" height="0" aria-hidden="true" {
            defs {
                pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" { path d="M0 0v6" {} }
                pattern id="dense" width="3" height="3" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" { path d="M0 0v3" {} }
                pattern id="lines" width="6" height="4" patternUnits="userSpaceOnUse" { path d="M0 2h6" {} }
                pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse" { circle cx="2" cy="2" r="1" {} }
                g id="cross" { path d="M-3 -3L3 3M3 -3L-3 3" {} }
                g id="triangle" { path d="M0 -3.6L3.6 2.8H-3.6Z" {} }
                @for value in ["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8"] { (fade(value)) }
            }
        }
    }
}
