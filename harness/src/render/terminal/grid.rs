//! The contradiction on a character grid: one row per process, time from left to right. Order and overlap are exact, lengths
//! are not: the numbers above the columns are the times.

use crate::run::Run;
use crate::timeline::FaultWindow;
use crate::ui::console::{Console, Ink};
use crate::ui::format::{many, name, seconds};
use checker::Counterexample;
use checker::describe::{self, Names};
use histories::history::NO_EVENT;
use histories::{History, OpId, Outcome};

/// The least and the most columns left of the grid: two of margin, the row's name, a space.
const NAMES_MIN: usize = 11;
const NAMES_MAX: usize = 24;

/// The least space between two boundaries.
const GAP_MIN: usize = 2;

/// The least room at the right, for the last time above, and the sign behind the op that cannot be placed.
const RIGHT_MIN: usize = 6;

/// An op of the core, as drawn.
struct Bar {
    op: OpId,
    row: usize,
    label: String,
    /// The boundary at which it begins.
    from: usize,
    /// The boundary at which it ends; `None`: unknown outcome, no end.
    to: Option<usize>,
    ink: Option<Ink>,
}

/// The grid of a counter-example, line by line; a plain list if it does not fit; nothing if there is no core to draw.
pub(super) fn draw(run: &Run, proof: &Counterexample, console: Console) -> Vec<String> {
    let history = &run.history;
    if proof.core.is_empty() || proof.core.iter().any(|&op| history.op(op).invoke == NO_EVENT) {
        return Vec::new();
    }
    let bounds = boundaries(history, &proof.core);
    let rows = rows(run, &proof.core);
    let named = super::names(run, proof);
    let bars = bars(run, proof, &named, &bounds, &rows, console);
    let names = rows.iter().map(|row| row.label.chars().count() + 3).max().unwrap_or(0).clamp(NAMES_MIN, NAMES_MAX);
    let Some(columns) = columns(&named, history, &bounds, &bars, console.width - names) else { return list(run, proof, &named, console) };
    let width = width(&bars, &columns, right(&named, history, &bounds));
    let mut canvas = Canvas { lines: Vec::new(), names, width, console };
    header(&named, history, &bounds, &columns, &mut canvas);
    let wall = wall(run, &rows, &bounds, &columns);
    for (row, row_name) in rows.iter().enumerate() {
        canvas.row(&row_name.label, None);
        for bar in bars.iter().filter(|bar| bar.row == row) {
            canvas.bar(bar, &columns, proof.stuck == Some(bar.op));
        }
        if let Some(wall) = wall.as_ref().filter(|wall| wall.after_row == row) {
            canvas.row("", Some(Ink::Dim));
            canvas.text(wall.at.min(width.saturating_sub(wall.text.chars().count())), &console.fit(&wall.text), Some(Ink::Dim));
        }
    }
    possible(proof, &bounds, &columns, &mut canvas);
    let mut lines = canvas.lines();
    lines.extend(meanwhile(run, &rows, &bounds, names, console));
    lines
}

/// The events at which ops of the core begin and end, in order.
fn boundaries(history: &History, core: &[OpId]) -> Vec<u32> {
    let mut bounds: Vec<u32> = core
        .iter()
        .flat_map(|&op| {
            let row = history.op(op);
            [Some(row.invoke), (history.outcome(row) != Outcome::Info).then_some(row.complete)]
        })
        .flatten()
        .collect();
    bounds.sort_unstable();
    bounds.dedup();
    bounds
}

/// A row: a process of the core.
struct Row {
    process: histories::Process,
    node: Option<String>,
    label: String,
}

/// The core's processes; those on one side of a partition together, else by node, else in order of their first op.
fn rows(run: &Run, core: &[OpId]) -> Vec<Row> {
    let history = &run.history;
    let mut rows: Vec<Row> = Vec::new();
    for &op in core {
        let process = history.op_process(history.op(op));
        if rows.iter().any(|row| row.process == process) {
            continue;
        }
        let node = history.node(process).map(str::to_owned);
        let name = history.values.display(history.process_name(process));
        let label = node.as_ref().map_or(format!("p{name}"), |node| format!("p{name} {node}"));
        rows.push(Row { process, node, label: self::name(&label) });
    }
    let partition = core_partition(run, core);
    let side = |row: &Row| {
        let groups = partition.map(|window| window.groups.as_slice()).unwrap_or_default();
        groups.iter().position(|group| row.node.as_ref().is_some_and(|node| group.contains(node))).unwrap_or(groups.len())
    };
    rows.sort_by(|a, b| (side(a), &a.node).cmp(&(side(b), &b.node)));
    rows
}

/// The partition that was active while the core happened, if it divided the nodes into groups.
fn core_partition<'a>(run: &'a Run, core: &[OpId]) -> Option<&'a FaultWindow> {
    let bounds = boundaries(&run.history, core);
    during(run, &bounds).find(|window| window.groups.len() > 1)
}

/// The observed faults that were active while the core happened.
fn during<'a>(run: &'a Run, bounds: &[u32]) -> impl Iterator<Item = &'a FaultWindow> + use<'a> {
    let time = |event: Option<&u32>| event.and_then(|&event| run.history.time(event));
    let (from, to) = (time(bounds.first()), time(bounds.last()));
    run.windows.iter().filter(move |window| {
        let (Some(from), Some(to)) = (from, to) else { return false };
        window.observed && window.from_ns <= to && window.to_ns.is_none_or(|end| end >= from)
    })
}

fn bars(run: &Run, proof: &Counterexample, named: &Names<'_>, bounds: &[u32], rows: &[Row], console: Console) -> Vec<Bar> {
    let history = &run.history;
    let keyed = run.verdict.is_per_key();
    let stored_or_seen = |op: OpId| describe::output(history, keyed, op).unwrap_or_else(|| describe::input(history, keyed, op));
    let wrong = proof.stuck.map(stored_or_seen);
    let place = |event: u32| bounds.partition_point(|&bound| bound < event);
    proof
        .core
        .iter()
        .map(|&op| {
            let shape = history.op(op);
            Bar {
                op,
                row: rows.iter().position(|row| row.process == history.op_process(shape)).unwrap_or(0),
                label: console.fit(&name(&named.short_label(op))),
                from: place(shape.invoke),
                to: (history.outcome(shape) != Outcome::Info).then(|| place(shape.complete)),
                ink: Some(if wrong == Some(stored_or_seen(op)) { Ink::Blue } else { Ink::Orange }),
            }
        })
        .collect()
}

impl Bar {
    /// The columns from its opening bracket to its closing one.
    fn span(&self) -> usize {
        self.label.chars().count() + 3
    }
}

/// The column of each boundary: as far apart as fits, so that most times can be written above. `None`: too wide.
fn columns(named: &Names<'_>, history: &History, bounds: &[u32], bars: &[Bar], room: usize) -> Option<Vec<usize>> {
    let time_width = bounds.iter().map(|&event| mark(named, history, event).chars().count() + 2).max().unwrap_or(GAP_MIN);
    let right = right(named, history, bounds);
    (GAP_MIN..=time_width.max(GAP_MIN)).rev().find_map(|gap| {
        let mut columns = vec![0; bounds.len()];
        for place in 1..bounds.len() {
            let closing = bars.iter().filter(|bar| bar.to == Some(place)).map(|bar| columns[bar.from] + bar.span());
            columns[place] = closing.max().unwrap_or(0).max(columns[place - 1] + gap);
        }
        (width(bars, &columns, right) <= room).then_some(columns)
    })
}

/// The room at the right of the last boundary.
fn right(named: &Names<'_>, history: &History, bounds: &[u32]) -> usize {
    bounds.last().map_or(0, |&event| mark(named, history, event).chars().count()).max(RIGHT_MIN)
}

/// The width of the grid: all boundaries with the room at the right, and the ops without an end.
fn width(bars: &[Bar], columns: &[usize], right: usize) -> usize {
    let open = bars.iter().filter(|bar| bar.to.is_none()).map(|bar| columns[bar.from] + bar.span());
    open.chain(columns.last().map(|x| x + right)).max().unwrap_or(0)
}

/// What stands above a boundary: its time, else its line.
fn mark(named: &Names<'_>, history: &History, event: u32) -> String {
    history.time(event).map_or_else(|| history.line(event).max(event).to_string(), |ns| named.seconds(ns))
}

fn header(named: &Names<'_>, history: &History, bounds: &[u32], columns: &[usize], canvas: &mut Canvas) {
    let timed = bounds.iter().all(|&event| history.time(event).is_some());
    let lined = bounds.iter().all(|&event| history.line(event) > 0);
    canvas.row(
        if timed {
            "seconds"
        } else if lined {
            "line"
        } else {
            "event"
        },
        Some(Ink::Dim),
    );
    let mut free = 0;
    for (&event, &x) in bounds.iter().zip(columns) {
        let text = mark(named, history, event);
        if x >= free {
            free = x + text.chars().count() + 1;
            canvas.text(x, &text, Some(Ink::Dim));
        }
    }
}

/// A partition between two rows.
struct Wall {
    after_row: usize,
    at: usize,
    text: String,
}

fn wall(run: &Run, rows: &[Row], bounds: &[u32], columns: &[usize]) -> Option<Wall> {
    let window = during(run, bounds).find(|window| window.groups.len() > 1)?;
    let near = &window.groups[0];
    let on_near_side = |row: &Row| row.node.as_ref().is_some_and(|node| near.contains(node));
    let after_row = rows.iter().rposition(on_near_side)?;
    if after_row + 1 == rows.len() {
        return None;
    }
    let begins = bounds.partition_point(|&event| run.history.time(event).is_some_and(|time| time < window.from_ns));
    let at = columns.get(begins).copied().unwrap_or(0);
    Some(Wall { after_row, at, text: format!("┄┄┄ partition from {}: nothing passes ┄┄┄", seconds(window.from_ns)) })
}

/// The states that were possible at each boundary, on the same columns.
fn possible(proof: &Counterexample, bounds: &[u32], columns: &[usize], canvas: &mut Canvas) {
    if proof.possible.is_empty() {
        return;
    }
    canvas.row("can hold", Some(Ink::Dim));
    let mut shown: Option<usize> = None;
    for (place, &event) in bounds.iter().enumerate() {
        let Some(entry) = proof.possible.partition_point(|possible| possible.event <= event).checked_sub(1) else { continue };
        if shown == Some(entry) {
            continue;
        }
        shown = Some(entry);
        let next_change = bounds[place..].iter().position(|&event| proof.possible.get(entry + 1).is_some_and(|p| p.event <= event));
        let end = next_change.map_or(canvas.width, |next| columns[place + next]);
        let possible = &proof.possible[entry];
        let states = possible.states.len() + possible.more;
        let start = columns[place];
        let all = possible.states.join(" ");
        let room = (end - start).saturating_sub(2);
        let (text, ink) = if states == 0 {
            ("none".to_owned(), Ink::Red)
        } else if possible.more == 0 && all.chars().count() <= room {
            (all, Ink::Dim)
        } else if many(states, "value").len() <= room {
            (many(states, "value"), Ink::Dim)
        } else {
            ("…".to_owned(), Ink::Dim)
        };
        if start > 0 {
            canvas.text(start - 1, &canvas.console.fit("│"), Some(Ink::Dim));
        }
        canvas.text(start, &canvas.console.fit(&text), Some(ink));
    }
}

/// The other faults that were active on the core's nodes.
fn meanwhile(run: &Run, rows: &[Row], bounds: &[u32], names: usize, console: Console) -> Vec<String> {
    let touched = |window: &&FaultWindow| {
        window.groups.len() < 2 && rows.iter().any(|row| row.node.as_ref().is_some_and(|node| window.nodes.contains(node)))
    };
    let told = during(run, bounds).filter(touched).map(|window| {
        let until = window.to_ns.map_or("the end".into(), |end| format!("{} s", seconds(end)));
        let text = format!("{} ({}) from {} s to {until}", window.fault, window.what, seconds(window.from_ns));
        format!("{}{}", " ".repeat(names), console.ink(Ink::Dim, console.fit(&text)))
    });
    told.collect()
}

/// The longest list: more than that nobody reads here, and the report has all.
const LISTED_MAX: usize = 20;

/// The core as a list, where the grid would be too wide.
fn list(run: &Run, proof: &Counterexample, named: &Names<'_>, console: Console) -> Vec<String> {
    let history = &run.history;
    let line = |&op: &OpId| {
        let shape = history.op(op);
        let ends = if history.outcome(shape) == Outcome::Info { "no answer".into() } else { mark(named, history, shape.complete) };
        let place = format!("  {:>9} to {ends:9}  {:28}", mark(named, history, shape.invoke), name(&describe::who(history, op)));
        let sign = if proof.stuck == Some(op) { " ✗" } else { "" };
        let (whole, short) = (name(&named.label(op)), name(&named.short_label(op)));
        let room = console.width.saturating_sub(place.chars().count() + 2);
        let label = if whole.chars().count() <= room { whole } else { short };
        console.fit(&format!("{place}{label}{sign}"))
    };
    let left_out = proof.core.len().saturating_sub(LISTED_MAX);
    let gap = (left_out > 0).then(|| console.fit(&format!("  … and {} before these", many(left_out, "operation"))));
    gap.into_iter().chain(proof.core[left_out..].iter().map(line)).collect()
}

/// Lines of coloured characters.
struct Canvas {
    lines: Vec<Vec<(char, Option<Ink>)>>,
    /// The columns left of the grid.
    names: usize,
    width: usize,
    console: Console,
}

impl Canvas {
    /// Begins a row and writes its name at the left.
    fn row(&mut self, name: &str, ink: Option<Ink>) {
        let mut cells = vec![(' ', None); self.names + self.width];
        for (cell, c) in cells[2..self.names - 1].iter_mut().zip(name.chars()) {
            *cell = (c, ink);
        }
        self.lines.push(cells);
    }

    /// Writes into the row begun last, from a column of the grid on; what does not fit is cut.
    fn text(&mut self, x: usize, text: &str, ink: Option<Ink>) {
        let Some(cells) = self.lines.last_mut() else { return };
        for (cell, c) in cells.iter_mut().skip(self.names + x).zip(text.chars()) {
            *cell = (c, ink);
        }
    }

    fn bar(&mut self, bar: &Bar, columns: &[usize], stuck: bool) {
        let x = columns[bar.from];
        if let Some(end) = bar.to.map(|to| columns[to]) {
            self.text(x, "[", None);
            self.text(x + 2, &bar.label, bar.ink);
            self.text(end, "]", None);
            if stuck {
                self.text(end + 2, &self.console.fit("✗"), Some(Ink::Red));
            }
            return;
        }
        let trail = "no answer";
        let room = self.width.saturating_sub(x + bar.span());
        let dashes = room.saturating_sub(if room > trail.len() + 3 { trail.len() + 1 } else { 0 });
        self.text(x, "[", Some(Ink::Yellow));
        self.text(x + 2, &bar.label, bar.ink);
        self.text(x + bar.span(), &self.console.fit(&"┄".repeat(dashes)), Some(Ink::Yellow));
        if room > dashes {
            self.text(x + bar.span() + dashes + 1, trail, Some(Ink::Yellow));
        }
    }

    /// The lines, with runs of one colour coloured together.
    fn lines(self) -> Vec<String> {
        let console = self.console;
        self.lines
            .iter()
            .map(|cells| {
                let end = cells.iter().rposition(|cell| cell.0 != ' ').map_or(0, |last| last + 1);
                let runs = cells[..end].chunk_by(|a, b| a.1 == b.1);
                let text = |run: &[(char, Option<Ink>)]| run.iter().map(|cell| cell.0).collect::<String>();
                runs.map(|run| run[0].1.map_or_else(|| text(run), |ink| console.ink(ink, text(run)))).collect()
            })
            .collect()
    }
}
