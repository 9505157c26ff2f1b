//! The checker's sentences, with ops drawn as chips and times in tabular figures.

use super::op::{Palette, chip};
use super::view::View;
use checker::verdict::Words;
use histories::OpId;
use maud::{Markup, html};

/// A sentence of an explanation.
pub(super) fn sentence(view: &View<'_>, palette: &Palette, words: &[Words]) -> Markup {
    html! {
        @for word in words {
            @match word {
                Words::Text(text) => (text),
                Words::Value(value) => span class={ "value " (palette.class(Some(value))) } { (value) },
                Words::Op(op) => (chip(view, palette, *op)),
                Words::Who(op) => (who(view, *op)),
                Words::Invoked(op) => span class="t" { (view.moment_text(view.start(*op), view.decimals(*op))) },
                Words::Completed(op) => span class="t" { (completed(view, *op)) },
            }
        }
    }
}

/// A process and its node.
pub(super) fn who(view: &View<'_>, op: OpId) -> Markup {
    html! { "process " (view.process(op)) @if let Some(node) = view.node(op) { " on " b { (node) } } }
}

fn completed(view: &View<'_>, op: OpId) -> String {
    view.end(op).map_or_else(|| "an unknown time".into(), |end| view.moment_text(end, view.decimals(op)))
}
