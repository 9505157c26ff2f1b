//! The ladder: which of the models asked about are kept, and why the others are not.

use super::Section;
use super::view::View;
use checker::Consistency;
use checker::ladder::{self, Rung};
use checker::verdict::Summary;
use maud::html;

/// The section; none if only one model was asked about.
pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let rungs = &view.run.ladder;
    if rungs.is_empty() {
        return None;
    }
    let kept: Vec<&str> = ladder::strongest(rungs).into_iter().filter(|model| model.is_ordered()).map(Consistency::name).collect();
    let heading = match kept.as_slice() {
        [] => "None of the models that imply each other is known to be kept".into(),
        [name] => format!("The strongest model that is kept is {name}"),
        _ => format!("The strongest models that are kept are {}", super::text::list(&kept)),
    };
    let lead = html! {
        "Each model before those that it implies. The picture on this page is of " b { (view.run.verdict.consistency) } "."
    };
    let sign = |rung: &Rung| match rung.summary {
        Summary::Valid => ("good", "✓ valid"),
        Summary::Unknown if !rung.judged => ("more", "– unfit"),
        Summary::Unknown => ("doubt", "? unknown"),
        Summary::Invalid => ("bad", "✗ invalid"),
    };
    let body = html! {
        div class="wide" { table {
            thead { tr { th scope="col" { "model" } th scope="col" { "verdict" } th scope="col" { "why" } } }
            tbody { @for rung in rungs {
                @let (class, sign) = sign(rung);
                tr {
                    td { (rung.consistency.name()) }
                    td { span class=(class) { (sign) } }
                    td { (rung.reason.as_deref().map(super::text::capital).unwrap_or_default()) }
                }
            } }
        } }
    };
    Some(Section { id: "models", menu: "Models", heading, lead, body })
}
