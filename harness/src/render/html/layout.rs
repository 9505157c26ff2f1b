//! Where everything in the picture of a counter-example goes: rows, bars, faults. Nothing is drawn here.

use super::lanes;
use super::op::Mark;
use super::scale::{Boundary, Need, Scale};
use super::view::View;
use crate::timeline::FaultWindow;
use histories::{OpId, Outcome};
use std::collections::BTreeSet;

/// The sheet that a picture is drawn on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sheet {
    /// Its width in pixels; the picture may become wider if its labels need it.
    pub(super) width: f64,
    /// The space for row labels on the left; without it they stand above their rows.
    pub(super) gutter: f64,
    /// Whether lengths are proportional to time.
    pub(super) proportional: bool,
}

impl Sheet {
    /// The least that a fitted picture may be shrunk before it scrolls. Without a gutter every pixel counts, and labels that
    /// do not fit into their bars stand above them.
    fn shrink_min(self) -> f64 {
        if self.gutter > 0.0 { 0.8 } else { 0.4 }
    }
}

/// What stands in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowKind {
    /// The ops of the picture that one process made.
    Process(String),
    /// Other ops on the same object, asked at one node: the first lane of them, or a further one.
    Others {
        /// Whether it is the first.
        first: bool,
    },
}

/// A row of the picture.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// What stands in it.
    pub(super) kind: RowKind,
    /// Its node, if known.
    pub(super) node: Option<String>,
    /// Its upper edge.
    pub(super) top: f64,
    /// Its height.
    pub(super) height: f64,
    /// The middle of its bars.
    pub(super) middle: f64,
}

/// An op, placed.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    /// The op.
    pub(super) op: OpId,
    /// Its description.
    pub(super) mark: Mark,
    /// The left end: its invocation.
    pub(super) left: f64,
    /// The right end: its completion, or the edge of the picture if its outcome is unknown.
    pub(super) right: f64,
    /// The middle of its row.
    pub(super) y: f64,
    /// Half of its height.
    pub(super) half: f64,
    /// Whether its label fits beside it without touching the next bar of its row (or into it, for bars of the core).
    pub(super) labelled: bool,
}

impl Bar {
    /// Its horizontal middle.
    pub(super) fn centre(&self) -> f64 {
        f64::midpoint(self.left, self.right)
    }

    /// Whether it is drawn in two halves: what it expects, and what it stores.
    fn is_halved(&self) -> bool {
        self.mark.sees.is_some() && self.mark.stores.is_some()
    }

    /// Where its halves end: an open one has its text near its left end.
    pub(super) fn halves_end(&self) -> f64 {
        if self.mark.open { self.right.min(self.left + OPEN_HALVES_WIDTH) } else { self.right }
    }

    /// Where an arrow that brings the value it saw should meet it, if anywhere near `wish` will do.
    pub(super) fn seeing(&self, wish: f64) -> f64 {
        match (self.is_halved(), self.mark.open) {
            (true, _) => self.left + (self.halves_end() - self.left) * 0.25,
            (false, true) => wish,
            (false, false) => self.centre(),
        }
    }

    /// Where an arrow that takes the value it stored should leave it, if anywhere near `wish` will do.
    pub(super) fn storing(&self, wish: f64) -> f64 {
        if self.is_halved() { self.left + (self.halves_end() - self.left) * 0.75 } else { wish }
    }
}

/// One side of a partition: its nodes and the rows they take.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// The nodes.
    pub(super) nodes: String,
    /// Upper edge.
    pub(super) top: f64,
    /// Lower edge.
    pub(super) bottom: f64,
}

/// A fault that was active in the time shown.
#[derive(Clone, Debug)]
pub(super) struct Shade<'a> {
    /// The fault.
    pub(super) window: &'a FaultWindow,
    /// From where, to where.
    pub(super) x: (f64, f64),
    /// The line of captions on which it is named; `None` if there was no room.
    pub(super) line: Option<usize>,
    /// The stretches of rows that it hits: upper and lower edge. Empty if it was not seen to take effect.
    pub(super) rows: Vec<(f64, f64)>,
}

/// The whole picture.
pub(super) struct Layout<'a> {
    /// Time to place.
    pub(super) scale: Scale,
    /// The boundaries that get a tick.
    pub(super) boundaries: Vec<Boundary>,
    /// From top to bottom.
    pub(super) rows: Vec<Row>,
    /// The ops of the core.
    pub(super) core: Vec<Bar>,
    /// Other ops on the same object.
    pub(super) context: Vec<Bar>,
    /// How many other ops there was no room for.
    pub(super) left_out: usize,
    /// How many ops of unknown outcome began before the time shown.
    pub(super) open_before: usize,
    /// The sides of the partition, if one splits the picture.
    pub(super) sides: Vec<Side>,
    /// Where nothing passes: height, and from where to where.
    pub(super) wall: Option<(f64, (f64, f64))>,
    /// The faults.
    pub(super) shades: Vec<Shade<'a>>,
    /// Upper and lower edge of all rows.
    pub(super) edges: (f64, f64),
    /// How many lines of captions stand above the rows.
    pub(super) captions: usize,
}

/// More ops than this are no picture; those nearest to the end are shown.
pub(super) const CORE_OPS_MAX: usize = 24;
/// The height of the scale above the rows.
pub(super) const TICKS_HEIGHT: f64 = 32.0;
/// The height of a line that names faults.
pub(super) const CAPTION_HEIGHT: f64 = 16.0;
const ROW_HEIGHT: f64 = 44.0;
const OPEN_HALVES_WIDTH: f64 = 120.0;
const LANE_HEIGHT: f64 = 15.0;
const LABEL_ABOVE: f64 = 18.0;
const BAR_HALF: f64 = 13.0;
const LANES_PER_NODE_MAX: usize = 2;
const LANES_MAX: usize = 12;
const CAPTION_LINES_MAX: usize = 4;

/// The width of a text in the fixed-width face of bars.
pub(super) fn mono_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.602
}

impl<'a> Layout<'a> {
    /// Lays out the core of a counter-example among the other ops of its key.
    pub(super) fn new(view: &View<'a>, core: &[OpId], key_ops: &[OpId], sheet: Sheet) -> Layout<'a> {
        let core = &core[core.len().saturating_sub(CORE_OPS_MAX)..];
        let boundaries = boundaries(view, core);
        let scale = scale(view, core, &boundaries, sheet);
        let mut layout = Layout {
            scale,
            boundaries,
            rows: Vec::new(),
            core: Vec::new(),
            context: Vec::new(),
            left_out: 0,
            open_before: 0,
            sides: Vec::new(),
            wall: None,
            shades: Vec::new(),
            edges: (0.0, 0.0),
            captions: 0,
        };
        layout.find_faults(view);
        let wall = layout.dividing(view, core);
        layout.place_rows(view, core, key_ops, wall, sheet);
        layout.hit_rows(wall);
        layout
    }

    /// The faults of the time shown, with their captions packed into lines.
    fn find_faults(&mut self, view: &View<'a>) {
        let (from, to) = self.scale.times();
        let shown: Vec<&FaultWindow> =
            view.faults().iter().filter(|w| view.moment(w.from_ns) < to && w.to_ns.is_none_or(|end| view.moment(end) > from)).collect();
        let edges = self.scale.edges();
        let place = |w: &FaultWindow| {
            let end = w.to_ns.map_or(edges.1, |end| self.scale.time(view.moment(end)));
            (self.scale.time(view.moment(w.from_ns)), end)
        };
        let extents: Vec<(f64, f64)> = shown
            .iter()
            .map(|w| {
                let (left, right) = place(w);
                let width = caption(view, w).chars().count() as f64 * 5.7;
                (left.min(edges.1 - width), right.max(left + width))
            })
            .collect();
        let lines = lanes::pack(&extents, 8.0, CAPTION_LINES_MAX);
        self.captions = lines.iter().flatten().max().map_or(0, |line| line + 1);
        self.shades = shown.iter().zip(lines).map(|(&window, line)| Shade { window, x: place(window), line, rows: Vec::new() }).collect();
    }

    /// The observed two-sided partition that lasted longest while the core's ops ran: the picture is divided by it.
    fn dividing(&self, view: &View<'_>, core: &[OpId]) -> Option<usize> {
        let from = core.iter().map(|&op| view.start(op)).min()?;
        let to = core.iter().filter_map(|&op| view.end(op)).max()?;
        let nodes: BTreeSet<&str> = core.iter().filter_map(|&op| view.node(op)).collect();
        let overlap = |w: &FaultWindow| w.to_ns.map_or(to, |end| view.moment(end)).min(to) - view.moment(w.from_ns).max(from);
        let divides =
            |w: &FaultWindow| w.observed && w.groups.len() == 2 && nodes.iter().all(|n| w.groups.iter().flatten().any(|m| m == n));
        let candidates = self.shades.iter().enumerate().filter(|(_, s)| divides(s.window) && overlap(s.window) > 0);
        candidates.max_by_key(|(i, s)| (overlap(s.window), std::cmp::Reverse(*i))).map(|(i, _)| i)
    }

    fn place_rows(&mut self, view: &View<'a>, core: &[OpId], key_ops: &[OpId], wall: Option<usize>, sheet: Sheet) {
        let others = self.others(view, core, key_ops);
        let top = TICKS_HEIGHT + self.captions as f64 * CAPTION_HEIGHT;
        let mut stack = Stack { y: top, above: if sheet.gutter > 0.0 { 0.0 } else { LABEL_ABOVE } };
        let mut lanes_left = LANES_MAX;
        if let Some(i) = wall {
            self.place_sides(view, core, &others, i, &mut lanes_left, &mut stack);
        } else {
            self.add_core(view, core, None, &mut stack);
            self.add_lanes(view, &others, None, &mut lanes_left, &mut stack);
        }
        self.edges = (top, stack.y);
        self.left_out = others.len() - self.context.len();
    }

    /// The two sides of a partition: the core next to the wall, the others outside, so that no arrow crosses them.
    fn place_sides(&mut self, view: &View<'a>, core: &[OpId], others: &[OpId], wall: usize, lanes_left: &mut usize, stack: &mut Stack) {
        let (window, x) = (self.shades[wall].window, self.shades[wall].x);
        for (side, nodes) in window.groups.iter().enumerate() {
            let from = stack.y;
            if side == 0 {
                self.add_lanes(view, others, Some(nodes), lanes_left, stack);
                self.add_core(view, core, Some(nodes), stack);
            } else {
                self.add_core(view, core, Some(nodes), stack);
                self.add_lanes(view, others, Some(nodes), lanes_left, stack);
            }
            self.sides.push(Side { nodes: nodes.join(" "), top: from, bottom: stack.y });
            if side == 0 {
                self.wall = Some((stack.y + 6.0, x));
                stack.y += 12.0;
            }
        }
    }

    /// One row per process of the core, by node.
    fn add_core(&mut self, view: &View<'_>, core: &[OpId], nodes: Option<&[String]>, stack: &mut Stack) {
        let belongs = |op: &OpId| nodes.is_none_or(|nodes| view.node(*op).is_some_and(|node| nodes.iter().any(|n| n == node)));
        let mut processes: Vec<(usize, String, Option<&str>)> = Vec::new();
        for &op in core.iter().filter(|op| belongs(op)) {
            let (process, node) = (view.process(op), view.node(op));
            if processes.iter().all(|p| p.1 != process) {
                let place = node.and_then(|node| view.nodes.iter().position(|n| n == node)).unwrap_or(usize::MAX);
                processes.push((place, process, node));
            }
        }
        processes.sort_by_key(|p| p.0);
        for (_, process, node) in processes {
            let row = stack.add(ROW_HEIGHT, RowKind::Process(process.clone()), node);
            for &op in core.iter().filter(|&&op| view.process(op) == process) {
                let bar = self.bar(view, op, row.middle, BAR_HALF);
                let labelled = bar.right - bar.left >= label_width(&bar.mark) - 8.0;
                self.core.push(Bar { labelled, ..bar });
            }
            self.rows.push(row);
        }
    }

    /// The other ops of the object, packed into a few lanes per node.
    fn add_lanes(&mut self, view: &View<'_>, others: &[OpId], nodes: Option<&[String]>, lanes_left: &mut usize, stack: &mut Stack) {
        let all: Vec<Option<&str>> = match nodes {
            Some(nodes) => nodes.iter().map(|n| Some(n.as_str())).collect(),
            None => view.nodes.iter().map(|n| Some(n.as_str())).chain([None]).collect(),
        };
        for node in all {
            let bars: Vec<Bar> = others
                .iter()
                .filter(|&&op| view.node(op) == node)
                .map(|&op| self.bar(view, op, 0.0, if view.end_event(op).is_none() { 6.0 } else { 4.0 }))
                .collect();
            let extents: Vec<(f64, f64)> = bars.iter().map(|bar| (bar.left, bar.right)).collect();
            let packed = lanes::pack(&extents, 3.0, LANES_PER_NODE_MAX.min(*lanes_left));
            let lanes = packed.iter().flatten().max().map_or(0, |lane| lane + 1);
            *lanes_left -= lanes;
            let above = stack.above;
            for lane in 0..lanes {
                stack.above = if lane == 0 { above } else { 0.0 };
                let row = stack.add(LANE_HEIGHT, RowKind::Others { first: lane == 0 }, node);
                let in_lane = bars.iter().zip(&packed).filter(|(_, place)| **place == Some(lane)).map(|(bar, _)| bar.clone());
                self.context.extend(with_labels(in_lane.collect(), row.middle, self.scale.edges().1));
                self.rows.push(row);
            }
            stack.above = above;
        }
    }

    /// The other ops that a reader may ask about: those of the time shown that may have taken effect. Sorted by place.
    fn others(&mut self, view: &View<'_>, core: &[OpId], key_ops: &[OpId]) -> Vec<OpId> {
        let (from, to) = self.scale.times();
        let mut others: Vec<OpId> = Vec::new();
        for &op in key_ops {
            let (start, outcome) = (view.start(op), view.outcome(op));
            if start > to || outcome == Outcome::Fail || view.end(op).is_some_and(|end| end < from) || core.contains(&op) {
                continue;
            }
            let name = view.history().name(view.history().op_function(view.history().op(op)));
            match outcome {
                Outcome::Info if matches!(name, "read" | "get") => {}
                Outcome::Info if start < from => self.open_before += 1,
                _ => others.push(op),
            }
        }
        others.sort_by(|&a, &b| self.left(view, a).total_cmp(&self.left(view, b)));
        others
    }

    fn left(&self, view: &View<'_>, op: OpId) -> f64 {
        self.scale.event(view.history().first_event(view.history().op(op)), view.start(op))
    }

    fn bar(&self, view: &View<'_>, op: OpId, y: f64, half: f64) -> Bar {
        let left = self.left(view, op);
        let right = view.end_event(op).map_or(self.scale.edges().1, |event| self.scale.event(event, view.at(event)));
        Bar { op, mark: Mark::new(view, op), left, right: right.max(left + 3.0), y, half, labelled: false }
    }

    /// Which rows each fault hits: a partition that divides the picture, or that has no plain sides, hits all of them.
    fn hit_rows(&mut self, wall: Option<usize>) {
        for (i, shade) in self.shades.iter_mut().enumerate() {
            if !shade.window.observed {
                continue;
            }
            let whole = Some(i) == wall || shade.window.fault.contains("partition");
            if whole {
                shade.rows = vec![self.edges];
            } else {
                let hit = |row: &&Row| row.node.as_ref().is_some_and(|node| shade.window.nodes.contains(node));
                shade.rows = self.rows.iter().filter(hit).map(|row| (row.top, row.top + row.height)).collect();
            }
        }
    }
}

/// The pen that goes down the sheet.
struct Stack {
    y: f64,
    above: f64,
}

impl Stack {
    fn add(&mut self, height: f64, kind: RowKind, node: Option<&str>) -> Row {
        let (top, height) = (self.y, height + self.above);
        self.y += height;
        Row { kind, node: node.map(String::from), top, height, middle: f64::midpoint(top + self.above, top + height) }
    }
}

/// What a fault is called above the rows.
pub(super) fn caption(view: &View<'_>, window: &FaultWindow) -> String {
    let what = if window.what.is_empty() { window.nodes.join(" ") } else { window.what.clone() };
    let name = if what.contains(&window.fault) { String::new() } else { format!("{} ", window.fault) };
    let from = view.moment_number(view.moment(window.from_ns), 3);
    let time = match window.to_ns {
        Some(end) => format!("{from} to {} s", view.moment_number(view.moment(end), 3)),
        None => format!("from {from} s"),
    };
    format!("{name}{what}, {time}{}", if window.observed { "" } else { ": not seen to take effect" })
}

fn boundaries(view: &View<'_>, core: &[OpId]) -> Vec<Boundary> {
    let history = view.history();
    let events = core.iter().flat_map(|&op| [Some(history.first_event(history.op(op))), view.end_event(op)]).flatten();
    let sorted: BTreeSet<u32> = events.collect();
    sorted.into_iter().map(|event| Boundary { event, time: view.at(event) }).collect()
}

fn scale(view: &View<'_>, core: &[OpId], boundaries: &[Boundary], sheet: Sheet) -> Scale {
    let span = boundaries.last().map_or(0, |b| b.time) - boundaries.first().map_or(0, |b| b.time);
    let lead = (span / 7).max(1_000_000);
    let (left, right) = (sheet.gutter.max(4.0), sheet.width - 4.0);
    if sheet.proportional {
        return Scale::proportional(boundaries, lead, left, right);
    }
    let history = view.history();
    let place = |event: u32| boundaries.partition_point(|b| b.event < event);
    let needs: Vec<Need> = core
        .iter()
        .map(|&op| {
            let width = label_width(&Mark::new(view, op));
            let to = view.end_event(op).map_or(boundaries.len(), place);
            Need { from: place(history.first_event(history.op(op))), to, width }
        })
        .collect();
    Scale::fitted(boundaries, lead, &needs, (left, right), sheet.shrink_min())
}

/// The width a bar of the core needs to hold its label.
fn label_width(mark: &Mark) -> f64 {
    let least = if mark.stores.is_some() && mark.sees.is_some() { 96.0 } else { 66.0 };
    let text = mono_width(&mark.short, 12.0) + 20.0;
    text.max(least) + if mark.open { 66.0 } else { 0.0 }
}

/// The bars of a lane at their height; a label stays if it ends before the next bar begins.
fn with_labels(bars: Vec<Bar>, y: f64, edge: f64) -> Vec<Bar> {
    let nexts: Vec<f64> = bars.iter().skip(1).map(|bar| bar.left).chain([edge]).collect();
    let fits = |bar: &Bar, next: f64| {
        let width = mono_width(&bar.mark.listed(), 10.0) + 6.0;
        if bar.mark.open { bar.left + width <= edge } else { bar.right + width <= next }
    };
    bars.into_iter().zip(nexts).map(|(bar, next)| Bar { labelled: fits(&bar, next), y, ..bar }).collect()
}
