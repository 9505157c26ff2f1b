//! An op as a mark: what it is called in short, what it stores and what it sees.

use crate::render::html::text;
use checker::describe;
use histories::{OpId, Outcome, Values};
use maud::{Markup, html};

use super::view::View;

/// An op, described for drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The op in a few characters, in full.
    pub(super) label: String,
    /// The same, long values shortened.
    pub(super) short: String,
    /// The value it leaves behind, if it overwrites.
    pub(super) stores: Option<String>,
    /// The value it must have found.
    pub(super) sees: Option<String>,
    /// Whether its outcome is unknown.
    pub(super) open: bool,
}

impl Mark {
    /// Describes an op of the run.
    pub(super) fn new(view: &View<'_>, op: OpId) -> Mark {
        // Where keys are judged together, an op is nothing without its key.
        let (history, keyed) = (view.history(), view.is_by_key());
        let values = &history.values;
        let (input, output) = (describe::input(history, keyed, op), describe::output(history, keyed, op));
        let display = |id| values.display(id);
        let f = history.name(history.op_function(history.op(op)));
        let (stores, sees) = match (f, values.as_pair(input)) {
            ("read" | "get", _) => (None, output.map(display)),
            ("write" | "put", _) => (Some(display(input)), None),
            ("cas", Some((old, new))) => (Some(display(new)), Some(display(old))),
            _ => (None, None),
        };
        let whole = describe::label(history, keyed, op);
        let (told, number) = view.label_and_number(op).unwrap_or((&whole, None));
        let short = shorten_values(values, told, [Some(input), output].into_iter().flatten());
        let label = number.map_or(whole.clone(), |number| format!("{whole} #{number}"));
        Mark { label, short, stores, sees, open: view.outcome(op) == Outcome::Info }
    }

    /// The label of lists: a `?` after ops of unknown outcome.
    pub(super) fn listed(&self) -> String {
        format!("{}{}", self.short, if self.open { " ?" } else { "" })
    }
}

/// The label with the values in it shortened: the op's own, and the parts of a pair.
fn shorten_values(values: &Values, label: &str, ids: impl Iterator<Item = histories::ValueId>) -> String {
    let mut short = label.to_string();
    for id in ids {
        let parts = values.as_pair(id).map_or([Some(id), None], |(a, b)| [Some(a), Some(b)]);
        for part in parts.into_iter().flatten() {
            let whole = values.display(part);
            let cut = text::shorten(&whole);
            if cut != whole {
                short = short.replace(&whole, &cut);
            }
        }
    }
    if short.chars().count() > 40 { text::shorten(&short) } else { short }
}

/// The colours of the values of one picture. The first belongs to the value that should be gone, the second to the one that
/// replaced it; values outside the picture have none.
#[derive(Clone, Debug, Default)]
pub(super) struct Palette(Vec<String>);

/// Distinct colours; values beyond them are grey, and their text alone tells them apart.
const COLOURS: usize = 8;

impl Palette {
    /// Colours the values of some ops, those in `first` before the others.
    pub(super) fn new(first: &[String], marks: &[Mark]) -> Palette {
        let mut values: Vec<String> = Vec::new();
        for value in first.iter().chain(marks.iter().flat_map(|mark| [&mark.sees, &mark.stores]).flatten()) {
            if !values.contains(value) && values.len() < COLOURS {
                values.push(value.clone());
            }
        }
        Palette(values)
    }

    /// The class that sets a value's colours: `v1` to `v8`, or nothing.
    pub(super) fn class(&self, value: Option<&str>) -> &'static str {
        const CLASSES: [&str; COLOURS] = ["v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8"];
        let place = value.and_then(|value| self.0.iter().position(|known| known == value));
        place.map_or("", |i| CLASSES[i])
    }

    /// The class of the one colour that stands for a mark: what it stores, else what it sees.
    pub(super) fn of(&self, mark: &Mark) -> &'static str {
        self.class(mark.stores.as_deref().or(mark.sees.as_deref()))
    }
}

/// An op in running text: filled if it stores, outlined if it sees, dashed if its outcome is unknown.
pub(super) fn chip(view: &View<'_>, palette: &Palette, op: OpId) -> Markup {
    let mark = Mark::new(view, op);
    let fill = if mark.stores.is_some() { "w" } else { "" };
    let open = if mark.open { "open" } else { "" };
    html! { span class={ "chip " (palette.of(&mark)) " " (fill) " " (open) } title=(mark.label) { (mark.listed()) } }
}
