//! Paints the picture of a counter-example: see [`super::layout`] for where things stand and what they mean.

use super::arrows::{self, Arrow, Curve};
use super::layout::{self, Bar, CAPTION_HEIGHT, Layout, Row, RowKind, Shade, Sheet, TICKS_HEIGHT, mono_width};
use super::op::Palette;
use super::text::{self, Px};
use super::view::View;
use checker::Counterexample;
use checker::verdict::{Possible, StepKind};
use histories::OpId;
use maud::{Markup, html};
use std::fmt::Write;

/// What is drawn.
pub(super) struct Subject<'a> {
    /// The counter-example.
    pub(super) example: &'a Counterexample,
    /// The ops in the picture.
    pub(super) core: &'a [OpId],
    /// The op that cannot be placed.
    pub(super) stuck: Option<OpId>,
    /// All ops of the key.
    pub(super) key_ops: &'a [OpId],
    /// The colours of the values.
    pub(super) palette: &'a Palette,
    /// What the picture shows, in words, for those who cannot see it.
    pub(super) label: String,
}

/// The picture, and what had to be left out of it.
pub(super) struct Picture {
    /// The drawing.
    pub(super) svg: Markup,
    /// Other ops drawn in grey.
    pub(super) context: usize,
    /// Other ops there was no room for.
    pub(super) left_out: usize,
    /// Ops of unknown outcome that began before the time shown.
    pub(super) open_before: usize,
}

const STRIP_HEIGHT: f64 = 22.0;

/// Draws a counter-example on a sheet.
pub(super) fn draw(view: &View<'_>, subject: &Subject<'_>, sheet: Sheet) -> Picture {
    let layout = Layout::new(view, subject.core, subject.key_ops, sheet);
    let strip_top = layout.edges.1 + if sheet.gutter > 0.0 { 8.0 } else { 22.0 };
    let height = if subject.example.possible.is_empty() { layout.edges.1 + 6.0 } else { strip_top + STRIP_HEIGHT + 2.0 };
    let width = layout.scale.edges().1 + 4.0;
    let arrows = arrows::place(&subject.example.steps, &layout.core, |bar| subject.palette.of(&bar.mark));
    let svg = html! {
        svg class="core" viewBox={ "0 0 " (Px(width)) " " (Px(height)) } width=(Px(width)) height=(Px(height))
            role="group" aria-label=(subject.label) style={ "min-width:" (Px(width * 0.8)) "px" } {
            @for shade in &layout.shades { (shade_band(shade)) }
            (ticks(view, &layout, sheet, strip_top))
            (wall(&layout))
            @for shade in &layout.shades { (shade_caption(view, shade, &layout)) }
            @for side in &layout.sides { @if sheet.gutter > 0.0 { (bracket(side)) } }
            @for row in &layout.rows { (row_label(row, sheet)) }
            g class="ctx" { @for bar in &layout.context { (context_bar(view, bar)) } }
            @for bar in &layout.core { (core_bar(view, subject, bar)) }
            @for arrow in &arrows { (arrow_mark(arrow)) }
            @if !subject.example.possible.is_empty() { (strip(view, subject, &layout, sheet, strip_top)) }
        }
    };
    Picture { svg, context: layout.context.len(), left_out: layout.left_out, open_before: layout.open_before }
}

/// The stretch of rows a fault hits.
fn shade_band(shade: &Shade<'_>) -> Markup {
    let texture = texture(&shade.window.fault);
    let (left, right) = shade.x;
    html! {
        @for (top, bottom) in &shade.rows {
            rect class="band" x=(Px(left)) y=(Px(*top)) width=(Px(right - left)) height=(Px(bottom - top)) {}
            @if texture != "hatch" {
                rect class="texture" fill={ "url(#" (texture) ")" } x=(Px(left)) y=(Px(*top)) width=(Px(right - left)) height=(Px(bottom - top)) {}
            }
        }
    }
}

/// The texture of a fault, by its name.
pub(super) fn texture(fault: &str) -> &'static str {
    let is = |names: &[&str]| names.iter().any(|name| fault.contains(name));
    match () {
        () if is(&["kill", "crash", "stop", "restart"]) => "dense",
        () if is(&["pause"]) => "lines",
        () if is(&["clock"]) => "dots",
        () => "hatch",
    }
}

fn shade_caption(view: &View<'_>, shade: &Shade<'_>, layout: &Layout<'_>) -> Markup {
    let Some(line) = shade.line else { return html! {} };
    let y = TICKS_HEIGHT + line as f64 * CAPTION_HEIGHT;
    let (left, right) = shade.x;
    let divides = layout.wall.is_some_and(|wall| wall.1 == shade.x) && shade.window.groups.len() == 2;
    let caption = layout::caption(view, shade.window);
    let words = if divides { format!("{caption}: nothing passes the dotted line") } else { caption };
    let at_edge = left + text_width(&words) > layout.scale.edges().1;
    let (x, anchor) = if at_edge { (layout.scale.edges().1 - 4.0, "end") } else { (left + 5.0, "start") };
    let class = if shade.window.observed { "cap" } else { "cap none" };
    html! {
        rect class=(class) x=(Px(left)) y=(Px(y)) width=(Px((right - left).max(2.0))) height=(Px(CAPTION_HEIGHT - 2.0)) {}
        text class="s" x=(Px(x)) y=(Px(y + 10.5)) text-anchor=(anchor) { (words) }
    }
}

fn text_width(words: &str) -> f64 {
    words.chars().count() as f64 * 5.2
}

/// The times of the core's events above, and a hairline down from each.
fn ticks(view: &View<'_>, layout: &Layout<'_>, sheet: Sheet, bottom: f64) -> Markup {
    let decimals = decimals(view, layout);
    let places: Vec<(f64, String)> =
        layout.boundaries.iter().map(|b| (layout.scale.event(b.event, b.time), view.moment_number(b.time, decimals))).collect();
    let mut rows_end = [f64::NEG_INFINITY; 2];
    let mut place = |x: f64, label: &str| {
        let half = label.len() as f64 * 3.2;
        let row = rows_end.iter().position(|end| x - half > end + 5.0)?;
        rows_end[row] = x + half;
        Some(25.0 - 13.0 * row as f64)
    };
    html! {
        @if sheet.gutter > 0.0 { text class="a" x="0" y="25" { (view.unit()) "s →" } }
        @for (x, label) in &places {
            line class="hair" x1=(Px(*x)) x2=(Px(*x)) y1="30" y2=(Px(bottom)) {}
            @if let Some(y) = place(*x, label) {
                text class="a" x=(Px(*x)) y=(Px(y)) text-anchor="middle" { (label) }
            }
        }
    }
}

/// Three decimals, or as many as are needed to tell the core's events apart.
fn decimals(view: &View<'_>, layout: &Layout<'_>) -> usize {
    let distinct = |decimals: &usize| {
        let labels: Vec<String> = layout.boundaries.iter().map(|b| view.moment_number(b.time, *decimals)).collect();
        labels.windows(2).zip(layout.boundaries.windows(2)).all(|(text, b)| text[0] != text[1] || b[0].time == b[1].time)
    };
    (3..6).find(distinct).unwrap_or(6)
}

fn wall(layout: &Layout<'_>) -> Markup {
    let Some((y, (left, right))) = layout.wall else { return html! {} };
    html! { line class="wall" x1=(Px(left)) x2=(Px(right)) y1=(Px(y)) y2=(Px(y)) {} }
}

fn bracket(side: &layout::Side) -> Markup {
    let (top, bottom) = (side.top + 3.0, side.bottom - 3.0);
    let middle = f64::midpoint(top, bottom);
    html! {
        path class="bracket" d={ "M18 " (Px(top)) "h-6V" (Px(bottom)) "h6" } {}
        text class="s" text-anchor="middle" transform={ "translate(7 " (Px(middle)) ")rotate(-90)" } { (side.nodes) }
    }
}

fn row_label(row: &Row, sheet: Sheet) -> Markup {
    let beside = sheet.gutter > 0.0;
    let (x, anchor) = if beside { (sheet.gutter - 10.0, "end") } else { (4.0, "start") };
    let y = |nudge: f64| if beside { row.middle + nudge } else { row.top + 11.0 };
    html! {
        @match &row.kind {
            RowKind::Process(process) => {
                text class="l" x=(Px(x)) y=(Px(y(4.0))) text-anchor=(anchor) {
                    "process " (process) @if let Some(node) = &row.node { " " tspan class="b" { (node) } }
                }
            }
            RowKind::Others { first } => @if *first {
                text class="s" x=(Px(x)) y=(Px(y(3.5))) text-anchor=(anchor) {
                    "others" @if let Some(node) = &row.node { " on " (node) }
                }
            }
        }
    }
}

/// All that is known of an op, in one line.
pub(super) fn describe_op(view: &View<'_>, op: OpId, label: &str) -> String {
    let node = view.node(op).map_or_else(String::new, |node| format!(" on {node}"));
    let start = view.moment_number(view.start(op), 6);
    let end = match view.end(op) {
        Some(end) => format!("{start} to {}", view.moment_text(end, 6)),
        None => format!("from {}, no answer", view.moment_text(view.start(op), 6)),
    };
    format!("{label}, process {}{node}, {end}", view.process(op))
}

fn context_bar(view: &View<'_>, bar: &Bar) -> Markup {
    let (top, height) = (bar.y - bar.half, bar.half * 2.0);
    let width = bar.right - bar.left;
    let stores = bar.mark.stores.is_some();
    let label_x = if bar.mark.open { bar.left + 4.0 } else { bar.right + 3.0 };
    html! {
        g {
            title { (describe_op(view, bar.op, &bar.mark.label)) }
            @if bar.mark.open {
                path class="o dash" d={ "M" (Px(bar.right)) " " (Px(top)) "H" (Px(bar.left)) "v" (Px(height)) "H" (Px(bar.right)) } {}
            } @else {
                rect class=(if stores { "f" } else { "o" }) x=(Px(bar.left)) y=(Px(top)) width=(Px(width)) height=(Px(height)) {}
            }
            @if bar.labelled { text x=(Px(label_x)) y=(Px(bar.y + 3.3)) { (bar.mark.listed()) } }
        }
    }
}

fn core_bar(view: &View<'_>, subject: &Subject<'_>, bar: &Bar) -> Markup {
    let full = describe_op(view, bar.op, &bar.mark.label);
    let stuck = subject.stuck == Some(bar.op);
    html! {
        g class={ "bar " (subject.palette.of(&bar.mark)) } data-op=(bar.op.0) tabindex="0" role="img" aria-label=(full) {
            title { (full) }
            @match (&bar.mark.sees, &bar.mark.stores) {
                (Some(sees), Some(stores)) => (halves(subject, bar, sees, stores)),
                _ => (whole(bar)),
            }
            @if stuck { (ring(bar)) }
        }
    }
}

/// A write, a read, or anything else: one block.
fn whole(bar: &Bar) -> Markup {
    let (top, width, height) = (bar.y - bar.half, bar.right - bar.left, bar.half * 2.0);
    let class = match (bar.mark.open, bar.mark.stores.is_some()) {
        (true, _) => "u",
        (false, true) => "w",
        (false, false) => "r",
    };
    let on = if class == "w" && bar.labelled { "on" } else { "" };
    html! {
        @if bar.mark.open {
            rect class="fade" x=(Px(bar.left)) y=(Px(top)) width=(Px(width)) height=(Px(height)) {}
            path class="u" d=(open_outline(bar)) {}
        } @else {
            rect class=(class) x=(Px(bar.left)) y=(Px(top)) width=(Px(width)) height=(Px(height)) {}
        }
        (bar_label(bar, on))
    }
}

/// A compare-and-set: what it expects on the left, what it stores on the right.
fn halves(subject: &Subject<'_>, bar: &Bar, sees: &str, stores: &str) -> Markup {
    let (top, height) = (bar.y - bar.half, bar.half * 2.0);
    let end = bar.halves_end();
    let middle = f64::midpoint(bar.left, end);
    let old = subject.palette.class(Some(sees));
    let (expected, stored) = (format!("cas {}", text::shorten(sees)), format!("→{}", text::shorten(stores)));
    html! {
        @if bar.mark.open {
            rect class="fade" x=(Px(middle)) y=(Px(top)) width=(Px(bar.right - middle)) height=(Px(height)) {}
            path class="u" d=(open_outline(bar)) {}
            g class=(old) { rect class="r" x=(Px(bar.left)) y=(Px(top)) width=(Px(middle - bar.left)) height=(Px(height)) {} }
        } @else {
            g class=(old) { rect class="r" x=(Px(bar.left)) y=(Px(top)) width=(Px(middle - bar.left)) height=(Px(height)) {} }
            rect class="w" x=(Px(middle)) y=(Px(top)) width=(Px(bar.right - middle)) height=(Px(height)) {}
        }
        @if bar.labelled {
            text x=(Px(f64::midpoint(bar.left, middle))) y=(Px(bar.y + 4.0)) text-anchor="middle" { (expected) }
            @if bar.mark.open {
                text x=(Px(middle + 6.0)) y=(Px(bar.y + 4.0)) { (stored) tspan class="q" { " no answer" } }
            } @else {
                text class="on" x=(Px(f64::midpoint(middle, end))) y=(Px(bar.y + 4.0)) text-anchor="middle" { (stored) }
            }
        } @else {
            (bar_label(bar, ""))
        }
    }
}

/// Top, left and bottom: no right end.
fn open_outline(bar: &Bar) -> String {
    let (top, height) = (bar.y - bar.half, bar.half * 2.0);
    format!("M{} {}H{}v{}H{}", Px(bar.right), Px(top), Px(bar.left), Px(height), Px(bar.right))
}

/// In the bar if it fits, else above it.
fn bar_label(bar: &Bar, on: &str) -> Markup {
    html! {
        @if !bar.labelled {
            text x=(Px(bar.centre())) y=(Px(bar.y - bar.half - 3.5)) text-anchor="middle" { (bar.mark.listed()) }
        } @else if bar.mark.open {
            text x=(Px(bar.left + 8.0)) y=(Px(bar.y + 4.0)) { (bar.mark.short) tspan class="q" { " no answer" } }
        } @else {
            text class=(on) x=(Px(bar.centre())) y=(Px(bar.y + 4.0)) text-anchor="middle" { (bar.mark.short) }
        }
    }
}

fn ring(bar: &Bar) -> Markup {
    let away = 4.0;
    let (left, top) = (bar.left - away, bar.y - bar.half - away);
    let (width, height) = (bar.right - bar.left + 2.0 * away, (bar.half + away) * 2.0);
    html! { rect class="ring" x=(Px(left)) y=(Px(top)) width=(Px(width)) height=(Px(height)) rx="2" {} }
}

fn arrow_mark(arrow: &Arrow) -> Markup {
    let kind = match arrow.kind {
        StepKind::RealTime => "time",
        StepKind::Value => "flow",
        StepKind::Contradiction => "against",
    };
    let (x, y) = arrow.badge;
    html! {
        g class={ "arrow " (kind) " " (arrow.class) } data-step=(arrow.number) aria-hidden="true" {
            path class="line" d=(line(&arrow.curve)) {}
            path class="head" d=(head(&arrow.curve)) {}
            circle cx=(Px(x)) cy=(Px(y)) r="8.5" {}
            text x=(Px(x)) y=(Px(y + 4.0)) text-anchor="middle" { (arrow.number) }
        }
    }
}

/// The curve up to the head.
fn line(curve: &Curve) -> String {
    let [start, a, b, end] = curve.points;
    let (dx, dy) = curve.heading();
    let stop = (end.0 - dx * 6.0, end.1 - dy * 6.0);
    let mut d = String::new();
    let _ = write!(d, "M{} {}C{} {} {} {} {} {}", Px(start.0), Px(start.1), Px(a.0), Px(a.1), Px(b.0), Px(b.1), Px(stop.0), Px(stop.1));
    d
}

/// A triangle at the end.
fn head(curve: &Curve) -> String {
    let end = curve.points[3];
    let (dx, dy) = curve.heading();
    let back = (end.0 - dx * 9.0, end.1 - dy * 9.0);
    let (left, right) = ((back.0 - dy * 4.5, back.1 + dx * 4.5), (back.0 + dy * 4.5, back.1 - dx * 4.5));
    let mut d = String::new();
    let _ = write!(d, "M{} {}L{} {}L{} {}Z", Px(end.0), Px(end.1), Px(left.0), Px(left.1), Px(right.0), Px(right.1));
    d
}

/// The states that were possible from moment to moment.
fn strip(view: &View<'_>, subject: &Subject<'_>, layout: &Layout<'_>, sheet: Sheet, top: f64) -> Markup {
    let (left, right) = layout.scale.edges();
    let possible = &subject.example.possible;
    let place = |p: &Possible| layout.scale.event(p.event, view.at(p.event)).clamp(left, right);
    let ends = possible.iter().skip(1).map(place).chain([right]);
    let cells: Vec<(f64, f64, &Possible)> = possible.iter().zip(ends).map(|(p, end)| (place(p), end, p)).collect();
    html! {
        g class="strip" {
            @if sheet.gutter > 0.0 {
                text class="l" x=(Px(sheet.gutter - 10.0)) y=(Px(top + 9.0)) text-anchor="end" { "possible values" }
                text class="s" x=(Px(sheet.gutter - 10.0)) y=(Px(top + 20.0)) text-anchor="end" { "after each moment" }
            } @else {
                text class="s" x="4" y=(Px(top - 4.0)) { "possible values after each moment" }
            }
            @for (from, to, possible) in &cells { (cell(subject, *from, *to, top, possible)) }
        }
    }
}

/// More values than this are only counted.
const VALUES_MAX: usize = 5;

fn cell(subject: &Subject<'_>, from: f64, to: f64, top: f64, possible: &Possible) -> Markup {
    let none = possible.states.is_empty() && possible.more == 0;
    let to = if none { to.min(from + 58.0) } else { to };
    let count = possible.states.len() + possible.more;
    let names: Vec<String> = possible.states.iter().map(|state| text::shorten(state)).collect();
    let whole = names.join(" ");
    let counted = format!("{} values", text::count(count));
    let fits = |words: &str| mono_width(words, 11.0) + 6.0 <= to - from;
    let middle = f64::midpoint(from, to);
    let y = top + 15.0;
    let title = match (none, possible.more) {
        (true, _) => "no value: nothing explains what was seen".to_string(),
        (false, 0) => possible.states.join(", "),
        (false, more) => format!("{} and {} more", possible.states.join(", "), text::count(more)),
    };
    html! {
        g {
            title { (title) }
            rect class=(if none { "none" } else { "cell" }) x=(Px(from)) y=(Px(top)) width=(Px((to - from).max(1.0))) height=(Px(STRIP_HEIGHT)) {}
            @if none {
                text class="on" x=(Px(middle)) y=(Px(y)) text-anchor="middle" { "none" }
            } @else if count <= VALUES_MAX && fits(&whole) {
                text x=(Px(middle)) y=(Px(y)) text-anchor="middle" {
                    @for (i, (state, name)) in possible.states.iter().zip(&names).enumerate() {
                        @if i > 0 { " " }
                        tspan class=(subject.palette.class(Some(state))) { (name) }
                    }
                }
            } @else if fits(&counted) {
                text x=(Px(middle)) y=(Px(y)) text-anchor="middle" { (counted) }
            }
        }
    }
}
