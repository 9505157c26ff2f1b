//! The proof of `invalid`: a few ops that cannot be put in any order, drawn, explained step by step, and as a table.

use super::figure::{self, Picture, Subject};
use super::layout::{CORE_OPS_MAX, Sheet};
use super::op::{Mark, Palette, chip};
use super::text::{capital, count, list, many, shorten, spelled};
use super::view::View;
use super::{Section, prose};
use checker::verdict::{Others, Pattern, StepKind, Summary};
use checker::{Answer, Consistency, Counterexample, KeyVerdict};
use histories::{OpId, Outcome};
use maud::{Markup, html};
use std::cmp::Reverse;

/// A key that fails.
pub(super) struct Example<'a> {
    /// Its position in the verdict.
    pub(super) place: usize,
    /// The key.
    pub(super) key: &'a KeyVerdict,
    /// Why it fails.
    pub(super) proof: &'a Counterexample,
}

impl Example<'_> {
    /// The ops to draw: the core, or at least the op at which no order goes on.
    pub(super) fn core(&self) -> Vec<OpId> {
        if self.proof.core.is_empty() { self.proof.blocked.into_iter().collect() } else { self.proof.core.clone() }
    }

    /// The op that cannot be placed.
    fn stuck(&self) -> Option<OpId> {
        self.proof.stuck.or(self.proof.blocked)
    }

    /// Whether there is something to stand beside the picture: steps, or at least the states that were possible.
    fn has_reasons(&self) -> bool {
        !self.proof.steps.is_empty() || !self.proof.possible.is_empty()
    }

    /// The start and the end of the op that shows the contradiction.
    pub(super) fn last_op(&self, view: &View<'_>) -> Option<(i64, i64)> {
        let op = self.stuck()?;
        let start = view.start(op);
        Some((start, view.end(op).unwrap_or(start)))
    }

    /// The event with which the contradiction was complete.
    fn complete(&self, view: &View<'_>) -> Option<u32> {
        self.core().iter().filter_map(|&op| view.end_event(op)).max()
    }

    /// When the contradiction was complete.
    pub(super) fn detected(&self, view: &View<'_>) -> Option<i64> {
        self.complete(view).map(|event| view.at(event))
    }
}

/// More failing keys than this are told of but not drawn.
const DRAWN_MAX: usize = 6;

/// And this many of those with all their reasons and ops.
const TOLD_MAX: usize = 200;

/// The failing keys, the one whose contradiction was complete first in front.
pub(super) fn in_order<'a>(view: &View<'a>) -> Vec<Example<'a>> {
    let mut examples: Vec<Example<'a>> = view
        .keys(Summary::Invalid)
        .filter_map(|(place, key)| match &key.answer {
            Answer::Invalid(proof) => Some(Example { place, key, proof }),
            Answer::Valid(_) | Answer::Unknown(_) => None,
        })
        .collect();
    examples.sort_by_key(|example| example.complete(view).unwrap_or(u32::MAX));
    examples
}

/// The section; none if no key fails.
pub(super) fn section(view: &View<'_>) -> Option<Section> {
    let examples = in_order(view);
    let first = examples.first()?;
    Some(Section {
        id: "counter-example",
        menu: "Counter-example",
        heading: if examples.len() == 1 { heading(view, first) } else { heading_of_all(view, examples.len()) },
        lead: lead(view, first, examples.iter().any(|e| !e.proof.steps.is_empty())),
        body: body(view, &examples),
    })
}

/// Which keys fail is said here, and what is wrong with each of them over its own picture.
fn heading_of_all(view: &View<'_>, failing: usize) -> String {
    let keys = many(view.run.verdict.keys.len(), "key");
    format!("{} of {keys} are not {}", spelled(failing), view.run.verdict.consistency)
}

/// What is wrong with a key.
fn heading(view: &View<'_>, first: &Example<'_>) -> String {
    let key = view.key_name(first.key);
    if let Some(told) = first.proof.pattern.and_then(|pattern| of_pattern(pattern, &key)) {
        return told;
    }
    match first.proof.core.len() {
        0 => format!("No order of the operations on {key} goes beyond one of them"),
        n if view.consistency() != Consistency::Linearizable => {
            format!("{} cannot be put in any order that is {}", capital(&many(n, "operation")), view.run.verdict.consistency)
        }
        1 => format!("One operation on {key} fits nowhere"),
        n => format!("{} operations on {key} cannot be put in any order", spelled(n)),
    }
}

/// The finding, where it is not that ops cannot be ordered.
fn of_pattern(pattern: Pattern, key: &str) -> Option<String> {
    Some(match pattern {
        Pattern::FinalReadsDiffer => format!("Two final reads of {key} are not the same"),
        Pattern::Lost => format!("What was acknowledged on {key} is gone in the end"),
        Pattern::NotRemoved => format!("What was removed from {key} is there in the end"),
        Pattern::Duplicate => format!("More than was put there is read of {key}"),
        Pattern::WrongSum => format!("What is read of {key} is no sum of what was done to it"),
        Pattern::ThinAirRead => "A read returned what nobody had written".into(),
        Pattern::IntermediateRead => "A read returned what its own transaction had replaced".into(),
        _ => return None,
    })
}

fn lead(view: &View<'_>, first: &Example<'_>, arrows: bool) -> Markup {
    let told = match view.consistency() {
        Consistency::Linearizable => {
            "The arrows carry the numbers of the steps: grey for real time, coloured for a value that is seen, \
             red for the order that cannot be."
        }
        Consistency::Eventual => "The arrows carry the numbers of the steps: grey for real time, red for what does not fit.",
        _ => {
            "The arrows carry the numbers of the steps, and say what would have to come before what: grey for the order of a session, \
             coloured for a value that is seen, red for what follows from these. Together they make a circle."
        }
    };
    html! {
        @if let Some(pattern) = first.proof.pattern { "Pattern " b { (pattern.name()) } ". " }
        "A bar lasts from invocation to completion. "
        span class="chip w" { "w 5" } " filled: stores a value. "
        span class="chip" { "r→5" } " outlined: sees one. No right end: nobody knows whether it took effect. "
        @if arrows { (told) }
    }
}

fn body(view: &View<'_>, examples: &[Example<'_>]) -> Markup {
    let drawn = &examples[..examples.len().min(DRAWN_MAX)];
    html! {
        @if let [only] = drawn {
            div class="pane" id=(anchor(only.place)) { (pane(view, only)) }
        } @else {
            div class="tabs" role="group" aria-label="Failing keys" {
                span class="tabs-name" { "Failing keys, the earliest first:" }
                @for (i, example) in drawn.iter().enumerate() {
                    input type="radio" name="failing" id={ "failing-" (i) } checked[i == 0];
                    label for={ "failing-" (i) } { (view.key_name(example.key)) " · " (many(example.core().len(), "op")) }
                    div class="pane" id=(anchor(example.place)) { h3 { (capital(&heading_with_key(view, example))) } (pane(view, example)) }
                }
            }
        }
        @if examples.len() > drawn.len() { (not_drawn(view, &examples[drawn.len()..])) }
    }
}

/// What is wrong with a key, with its name.
fn heading_with_key(view: &View<'_>, example: &Example<'_>) -> String {
    let (told, name) = (heading(view, example), view.key_name(example.key));
    if told.contains(&name) { told } else { format!("{name}: {told}") }
}

/// Where a link to a failing key points. `place`: its position in the verdict.
pub(super) fn anchor(place: usize) -> String {
    format!("key-{place}")
}

/// The failing keys without a picture: each with its reasons and its ops, and beyond [`TOLD_MAX`] with its sentence.
fn not_drawn(view: &View<'_>, rest: &[Example<'_>]) -> Markup {
    let (told, named) = rest.split_at(rest.len().min(TOLD_MAX));
    let sentence = |example: &Example<'_>| prose::sentence(view, &Palette::default(), &example.proof.sentence);
    html! {
        h3 { (capital(&many(rest.len(), "more failing key"))) ", without a picture" }
        @for example in told {
            details id=(anchor(example.place)) {
                summary { (capital(&heading_with_key(view, example))) }
                p { (sentence(example)) }
                (steps(view, example.proof, &Palette::default()))
                (table(view, example, &example.core()))
            }
        }
        @if !named.is_empty() {
            ul { @for example in named { li id=(anchor(example.place)) { (capital(&view.key_name(example.key))) ": " (sentence(example)) } } }
        }
    }
}

fn pane(view: &View<'_>, example: &Example<'_>) -> Markup {
    let core = example.core();
    let marks: Vec<Mark> = core.iter().map(|&op| Mark::new(view, op)).collect();
    let palette = Palette::new(&first_values(view, example), &marks);
    html! {
        div class={ "argument" @if !example.has_reasons() { " alone" } } {
            (pictures(view, example, &core, &palette))
            @if !example.proof.steps.is_empty() {
                (steps(view, example.proof, &palette))
            } @else if example.has_reasons() {
                (possible(view, example, &palette))
            }
        }
        @if core.len() > CORE_OPS_MAX {
            p class="note" { "The last " (CORE_OPS_MAX) " of " (count(core.len())) " operations are drawn." }
        }
        (how_far(view, example, &palette))
        (needed(view, example, &palette))
        (table(view, example, &core))
    }
}

/// The values that get the first two colours: the one that should be gone, and the one that replaced it.
fn first_values(view: &View<'_>, example: &Example<'_>) -> Vec<String> {
    let gone = example.stuck().and_then(|op| Mark::new(view, op).sees);
    let against = example.proof.steps.iter().find(|step| step.kind == StepKind::Contradiction);
    let replaced = against.map(|step| Mark::new(view, step.to)).and_then(|mark| mark.stores.or(mark.sees));
    gone.into_iter().chain(replaced).collect()
}

/// The same picture for three needs: fitted, true to scale, and for a narrow screen. Style sheets choose.
fn pictures(view: &View<'_>, example: &Example<'_>, core: &[OpId], palette: &Palette) -> Markup {
    let subject = Subject {
        example: example.proof,
        core: &core[core.len().saturating_sub(CORE_OPS_MAX)..],
        stuck: example.stuck(),
        key_ops: &view.key_ops[example.place],
        palette,
        label: format!("Timeline of {}: {}", view.key_name(example.key), many(core.len(), "contradicting operation")),
    };
    let width = if example.has_reasons() { 816.0 } else { 1184.0 };
    let draw = |width: f64, gutter: f64, proportional: bool| figure::draw(view, &subject, Sheet { width, gutter, proportional });
    let gutter = gutter(view, subject.core);
    let fitted = draw(width, gutter, false);
    let id = |name: &str| format!("{name}-{}", example.place);
    html! {
        div class="figure" {
            input type="checkbox" class="scale" id=(id("scale"));
            input type="checkbox" class="others" id=(id("others")) checked;
            div class="scroll fitted" tabindex="0" role="group" aria-label="picture" { (fitted.svg) }
            div class="scroll true" tabindex="0" role="group" aria-label="picture, true to scale" { (draw(width, gutter, true).svg) }
            div class="scroll narrow" tabindex="0" role="group" aria-label="picture" { (draw(358.0, 0.0, false).svg) }
            div class="tools" {
                button type="button" class="js" data-zoom="in" aria-label="zoom in" { "+" }
                button type="button" class="js" data-zoom="out" aria-label="zoom out" { "−" }
                button type="button" class="js" data-zoom="fit" { "fit" }
                label class="for-scale" for=(id("scale")) { "true time scale" }
                @if fitted.context > 0 {
                    label class="for-others" for=(id("others")) { "other ops" @if view.is_by_key() { " on this key" } " (" (count(fitted.context)) ")" }
                }
            }
            (left_out(&fitted))
        }
    }
}

/// The space for the longest label of a row, and for the bracket of a partition's side.
fn gutter(view: &View<'_>, core: &[OpId]) -> f64 {
    let label = |op: OpId| "process ".len() + view.process(op).chars().count() + view.node(op).map_or(0, |node| 1 + node.chars().count());
    let longest = core.iter().map(|&op| label(op)).max().unwrap_or(0).max("possible values".len());
    30.0 + 6.5 * longest.min(40) as f64
}

/// What the picture does not show, said beside it.
fn left_out(picture: &Picture) -> Markup {
    let mut parts: Vec<String> = Vec::new();
    if picture.left_out > 0 {
        parts.push(format!("{} in this window are not drawn for want of room", many(picture.left_out, "more operation")));
    }
    if picture.open_before > 0 {
        let verb = if picture.open_before == 1 { "is" } else { "are" };
        parts.push(format!("{} of unknown outcome from before it {verb} still open", many(picture.open_before, "operation")));
    }
    let fitted = "Order and overlap are exact, lengths are fitted: the numbers above are the true times.";
    html! { p class="note" { (fitted) @if !parts.is_empty() { " " (capital(&list(&parts))) "." } } }
}

fn steps(view: &View<'_>, example: &Counterexample, palette: &Palette) -> Markup {
    html! {
        ol class="steps" {
            @for (i, step) in example.steps.iter().enumerate() {
                @let against = step.kind == StepKind::Contradiction;
                li class=[against.then_some("against")] tabindex="0" data-step=(i + 1) data-ops={ (step.from.0) " " (step.to.0) } {
                    span class="number" aria-hidden="true" { (i + 1) }
                    div {
                        p { (prose::sentence(view, palette, &step.words)) }
                        @if !step.because.is_empty() { p class="because" { (prose::sentence(view, palette, &step.because)) } }
                    }
                }
            }
        }
    }
}

/// Where no chain of reasons is known: the states that were possible from moment to moment, until none was.
fn possible(view: &View<'_>, example: &Example<'_>, palette: &Palette) -> Markup {
    const ROWS_MAX: usize = 12;
    let possible = &example.proof.possible;
    let shown = &possible[possible.len().saturating_sub(ROWS_MAX)..];
    html! {
        div class="possible" {
            h3 { "What could be there" }
            table {
                thead { tr { th scope="col" class="n" { "from " (view.unit()) } th scope="col" { "possible values" } } }
                tbody { @for moment in shown {
                    @let none = moment.states.is_empty() && moment.more == 0;
                    tr class=[none.then_some("against")] {
                        td class="n" { (view.moment_number(view.at(moment.event), 3)) }
                        td { @if none { span class="bad" { "none" } } @else { (states_in_words(&moment.states, moment.more, palette)) } }
                    }
                } }
            }
            @if shown.len() < possible.len() { p class="note" { "The last " (shown.len()) " of " (count(possible.len())) " moments." } }
        }
    }
}

/// The longest prefix that can be ordered, and the op that fits after none of its orders: the one with the ring in the picture. What
/// ends the prefix may be another of the contradicting ops, whose completion leaves that one no place.
fn how_far(view: &View<'_>, example: &Example<'_>, palette: &Palette) -> Markup {
    let Some(blocked) = example.proof.blocked else { return html! {} };
    let states = &example.proof.states;
    let key = view.key_name(example.key);
    let ringed = example.stuck().filter(|&op| op != blocked);
    html! {
        h3 { "How far an order gets" }
        p {
            (capital(&many(example.proof.prefix.len(), "operation"))) " on " (key) " can be ordered. "
            "The next to complete, " (chip(view, palette, blocked)) " by " (prose::who(view, blocked))
            @if let Some(end) = view.end(blocked) { " at " (view.moment_text(end, view.decimals(blocked))) }
            @match ringed {
                None => ", fits after none of these orders",
                Some(op) => { ", leaves none of these orders in which " (chip(view, palette, op)) " by " (prose::who(view, op)) " fits" }
            }
            @if !states.is_empty() { ": the state there can only be " (states_in_words(states, 0, palette)) }
            "."
        }
        @if !example.proof.prefix.is_empty() { (order(view, example, palette, blocked)) }
    }
}

/// Some states, and how many more there are.
fn states_in_words(states: &[String], more: usize, palette: &Palette) -> Markup {
    const SHOWN: usize = 8;
    let more = more + states.len().saturating_sub(SHOWN);
    let last = states.len().saturating_sub(1);
    html! {
        @for (i, state) in states.iter().take(SHOWN).enumerate() {
            @if i > 0 { (if i == last && more == 0 { " or " } else { ", " }) }
            span class={ "value " (palette.class(Some(state))) } title=(state) { (shorten(state)) }
        }
        @if more > 0 { " or one of " (count(more)) " more" }
    }
}

/// One order of the prefix as chips, from the core's first op on.
fn order(view: &View<'_>, example: &Example<'_>, palette: &Palette, blocked: OpId) -> Markup {
    const CHIPS_MAX: usize = 40;
    let prefix = &example.proof.prefix;
    let core = example.core();
    let from = prefix.iter().position(|op| core.contains(op)).unwrap_or_else(|| prefix.len().saturating_sub(CHIPS_MAX));
    let runs = runs(view, &prefix[from..]);
    let (head, tail) = if runs.len() > CHIPS_MAX { (CHIPS_MAX / 4, CHIPS_MAX * 3 / 4) } else { (runs.len(), 0) };
    let run = |(op, times): &(OpId, usize)| html! { (chip(view, palette, *op)) @if *times > 1 { span class="times" { "×" (times) } } };
    html! {
        p class="order" {
            @if from > 0 { span { (many(from, "op")) " …" } }
            @for item in &runs[..head] { (run(item)) }
            @if tail > 0 { span { "…" } }
            @for item in &runs[runs.len() - tail..] { (run(item)) }
            span { "then" }
            (chip(view, palette, blocked))
            @match example.stuck().filter(|&op| op != blocked) {
                None => span class="bad" { "✗ fits nowhere" },
                Some(op) => { span { "and" } (chip(view, palette, op)) span class="bad" { "✗ fits nowhere" } }
            }
        }
    }
}

/// Neighbours that say the same and store nothing, counted together.
pub(super) fn runs(view: &View<'_>, order: &[OpId]) -> Vec<(OpId, usize)> {
    let mut runs: Vec<(OpId, usize, Mark)> = Vec::new();
    for &op in order {
        let mark = Mark::new(view, op);
        match runs.last_mut() {
            Some((_, times, last)) if last.label == mark.label && mark.stores.is_none() && mark.sees.is_some() => *times += 1,
            _ => runs.push((op, 1, mark)),
        }
    }
    runs.into_iter().map(|(op, times, _)| (op, times)).collect()
}

/// Why the picture is complete in itself.
fn needed(view: &View<'_>, example: &Example<'_>, palette: &Palette) -> Markup {
    let core = &example.proof.core;
    if core.is_empty() {
        return html! { p { "The check ended before a smaller contradiction was found." } };
    }
    let others = example.key.ops.saturating_sub(core.len());
    let often = match example.proof.others {
        Others::AnyNumber => "as often as it likes",
        Others::AtMostOnce | Others::SameValues | Others::AsRecorded => "at most once",
    };
    let needed = &example.proof.needed;
    let on_key = view.key_name(example.key);
    html! {
        p {
            @if others > 0 && example.proof.others == Others::AsRecorded {
                "All other operations on " (on_key) " are counted as their outcomes say. "
            } @else if others > 0 && view.consistency() == Consistency::Eventual {
                (capital(&many(others, "other operation"))) " on " (on_key) " cannot repair this: it stays so even if any other update took "
                "effect, once or never, in any order. "
            } @else if others > 0 && view.consistency() != Consistency::Linearizable {
                (capital(&many(others, "other operation"))) " cannot repair this: it stays contradictory whatever else happened. "
            } @else if others > 0 {
                "The other " (many(others, "operation")) " on " (on_key) " cannot repair this: "
                "it stays contradictory even if every other write takes effect " (often) ", at any moment between its invocation "
                "and its completion, or never. "
            }
            @if !example.proof.minimal {
                "The check ended before it was verified that none of these operations can be spared."
            } @else if let [first, rest @ ..] = needed.as_slice() {
                "Leave out " (chip(view, palette, *first))
                @for op in rest { " or " (chip(view, palette, *op)) }
                @if view.consistency() == Consistency::Eventual { ", and the rest can be explained." } @else { ", and the rest can be ordered." }
            }
        }
    }
}

fn table(view: &View<'_>, example: &Example<'_>, core: &[OpId]) -> Markup {
    let history = view.history();
    let mut ops = core.to_vec();
    ops.sort_by_key(|&op| (view.start(op), Reverse(view.end(op))));
    html! {
        details {
            summary { (capital(&many(core.len(), "operation"))) " of this picture as a table, with exact times" }
            div class="wide" { table {
                thead { tr {
                    th scope="col" { "operation" } th scope="col" { "process" } th scope="col" { "node" }
                    th scope="col" class="n" { "invoked" } th scope="col" class="n" { "completed" } th scope="col" { "outcome" }
                    th scope="col" class="n" { "line" }
                } }
                tbody { @for op in ops {
                    @let row = history.op(op);
                    tr class=[(example.stuck() == Some(op)).then_some("against")] {
                        td { code { (Mark::new(view, op).label) } }
                        td { (view.process(op)) }
                        td { (view.node(op).unwrap_or("–")) }
                        td class="n" { (view.moment_number(view.start(op), 6)) }
                        td class="n" { (view.end(op).map_or_else(|| "no answer".into(), |end| view.moment_number(end, 6))) }
                        td { (outcome(view.outcome(op))) }
                        td class="n" { @match history.line(history.first_event(row)) { 0 => "–", line => (count(line as usize)) } }
                    }
                } }
            } }
        }
    }
}

/// The word for an outcome.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Fail => "fail",
        Outcome::Info => "info",
    }
}
