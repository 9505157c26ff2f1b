//! Registers with cas: an order of writes and cas in which each cas finds the value that it replaces.
//!
//! Take the values as the vertices of a graph and each cas as an edge from the value that it finds to the one that it stores. A
//! write may come at any place, so an order of all updates is: a trail (no edge twice) from the initial value, and for each write a
//! trail from its value, all edges together; the trail of the initial value comes first, and the last ends in what was read in the
//! end. With *s(v)* the trails that begin in *v*, such trails exist exactly if
//!
//! 1. nothing is left more often than it is come to: out(v) ≤ in(v) + s(v) for each value, and for the last one out(v) < in(v) + s(v);
//! 2. each connected part that has edges has a trail that begins in it;
//! 3. if there are writes, the part of the last value has one: its trail can be the last one, for two trails of one part meet, or
//!    meet others that do, and can go on as each other.
//!
//! *Sufficient*: a vertex besides, with an edge to where each trail begins and from where one must end (what is left of 1), makes
//! the graph balanced and connected, so it has an Eulerian circuit (Euler 1736; Hierholzer 1873), which that vertex cuts into trails.
//!
//! Updates of unknown outcome may be left out. Which cas are needed for 1 is a question of flow (Ford and Fulkerson 1956): where it has no
//! answer, its cut is a set of values that were left more often than they can have been come to, whatever happened. For 2 and 3 more
//! are added, one path after the other; to do this with as few as possible is hard (a rural postman's problem), so in rare cases
//! neither an order nor a contradiction is found.

use crate::budget::{Account, Limit};
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use std::collections::VecDeque;

/// The vertex of the initial value.
pub(super) const INITIAL: u32 = 0;

/// A write or a cas.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    /// The value that a cas finds; `None`: a write.
    pub(super) from: Option<u32>,
    /// The value that it stores.
    pub(super) to: u32,
    /// Whether the update certainly happened: one of unknown outcome may not have.
    pub(super) is_needed: bool,
}

/// Why there is no order: of each kind the moves, by place, that show it.
#[derive(Debug)]
pub(super) enum Stuck {
    /// These cas, and the end if it is one of the values, need one of some values more often than it was stored.
    TooOften {
        /// One more of them than can be (`ends_there`: as many as can be).
        moves: Vec<usize>,
        /// Whether the last value is one of these.
        ends_there: bool,
        /// How often one of the values can have been come to.
        times: usize,
    },
    /// This cas found what was never there.
    NeverThere(usize),
    /// After this move the last value cannot come back.
    NeverBack(usize),
    /// It is not known whether there is one.
    Open,
    /// The budget ended before.
    Out(Limit),
}

impl From<Limit> for Stuck {
    fn from(limit: Limit) -> Stuck {
        Stuck::Out(limit)
    }
}

/// An order of all moves that are needed, and some of the others, that ends in `last`, by their places.
pub(super) fn order(vertices: usize, moves: &[Move], last: Option<u32>, account: &mut Account<'_>) -> Result<Vec<usize>, Stuck> {
    let is_spare_write = |one: &Move| one.from.is_none() && !one.is_needed;
    account.work((vertices + moves.len()) as u64)?;
    let without = Graph::new(vertices, moves, last, false).order(account);
    if without.is_ok() || !moves.iter().any(is_spare_write) {
        return without;
    }
    Graph::new(vertices, moves, last, true).order(account)
}

/// Bytes that it takes, at most.
pub(super) fn bytes(vertices: usize, moves: usize) -> usize {
    vertices * 128 + moves * 160
}

/// The graph of what happened, as far as it is decided.
struct Graph<'a> {
    moves: &'a [Move],
    last: Option<u32>,
    /// Whether all writes of unknown outcome happened; else none did.
    spare_writes: bool,
    /// Which moves are in the order.
    is_used: Vec<bool>,
    /// How many trails that end in a value are not spoken for.
    spare: Vec<i64>,
    /// The cas of unknown outcome between two values, by the second.
    optional: Vec<Vec<Bundle>>,
    /// For each value the bundles that leave it: the value that they lead to, and the place there.
    leaving: Vec<Vec<(u32, usize)>>,
}

/// Optional cas of one value by another.
struct Bundle {
    from: u32,
    unused: Vec<usize>,
    used: Vec<usize>,
}

/// A step backwards: to take an unused cas, or to give one back.
#[derive(Clone, Copy)]
enum Step {
    Take(u32, usize),
    GiveBack(u32, usize),
}

impl<'a> Graph<'a> {
    fn new(vertices: usize, moves: &'a [Move], last: Option<u32>, spare_writes: bool) -> Graph<'a> {
        let is_used: Vec<bool> = moves.iter().map(|one| one.is_needed || one.from.is_none() && spare_writes).collect();
        let mut graph = Graph {
            moves,
            last,
            spare_writes,
            is_used,
            spare: vec![0; vertices],
            optional: (0..vertices).map(|_| Vec::new()).collect(),
            leaving: vec![Vec::new(); vertices],
        };
        graph.spare[INITIAL as usize] += 1;
        let mut bundle_of: HashMap<(u32, u32), usize, FxBuildHasher> = HashMap::default();
        for (at, one) in moves.iter().enumerate() {
            if graph.is_used[at] {
                graph.spare[one.to as usize] += 1;
            }
            match one.from {
                Some(from) if one.is_needed => graph.spare[from as usize] -= 1,
                Some(from) if from != one.to => {
                    let bundles = &mut graph.optional[one.to as usize];
                    let place = *bundle_of.entry((from, one.to)).or_insert(bundles.len());
                    if place == bundles.len() {
                        bundles.push(Bundle { from, unused: Vec::new(), used: Vec::new() });
                        graph.leaving[from as usize].push((one.to, place));
                    }
                    bundles[place].unused.push(at);
                }
                Some(_) | None => {}
            }
        }
        if let Some(last) = last {
            graph.spare[last as usize] -= 1;
        }
        graph
    }

    fn order(mut self, account: &mut Account<'_>) -> Result<Vec<usize>, Stuck> {
        for vertex in 0..self.spare.len() as u32 {
            while self.spare[vertex as usize] < 0 {
                account.work(self.spare.len() as u64)?;
                match self.way_back(&[vertex], true, |_| true) {
                    Ok(way) => self.go(&way),
                    Err(cut) => return Err(self.too_often(&cut)),
                }
            }
        }
        self.connect(account)?;
        Ok(self.trails())
    }

    /// Steps backwards from one of these to a value where a trail that is not spoken for ends; or all values on the way.
    fn way_back(&self, from: &[u32], gives_back: bool, is_end: impl Fn(u32) -> bool) -> Result<Vec<Step>, Vec<bool>> {
        let mut known = vec![false; self.spare.len()];
        let mut came_by: Vec<Option<Step>> = vec![None; self.spare.len()];
        let mut todo: VecDeque<u32> = from.iter().copied().collect();
        for &vertex in from {
            known[vertex as usize] = true;
        }
        while let Some(vertex) = todo.pop_front() {
            if self.spare[vertex as usize] > 0 && is_end(vertex) {
                return Ok(self.steps(&came_by, vertex));
            }
            let bundles = self.optional[vertex as usize].iter().enumerate();
            let takes =
                bundles.filter(|(_, bundle)| !bundle.unused.is_empty()).map(|(place, bundle)| (bundle.from, Step::Take(vertex, place)));
            let is_used = |&&(to, place): &&(u32, usize)| gives_back && !self.optional[to as usize][place].used.is_empty();
            let given_back = self.leaving[vertex as usize].iter().filter(is_used).map(|&(to, place)| (to, Step::GiveBack(to, place)));
            for (next, step) in takes.chain(given_back) {
                if !std::mem::replace(&mut known[next as usize], true) {
                    came_by[next as usize] = Some(step);
                    todo.push_back(next);
                }
            }
        }
        Err(known)
    }

    /// The steps that led to a value, the last one first.
    fn steps(&self, came_by: &[Option<Step>], mut vertex: u32) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(step) = came_by[vertex as usize] {
            steps.push(step);
            vertex = match step {
                Step::Take(to, _) => to,
                Step::GiveBack(to, place) => self.optional[to as usize][place].from,
            };
        }
        steps
    }

    fn go(&mut self, way: &[Step]) {
        for &step in way {
            let (Step::Take(to, place) | Step::GiveBack(to, place)) = step;
            let bundle = &mut self.optional[to as usize][place];
            let (source, target, change) = match step {
                Step::Take(..) => (&mut bundle.unused, &mut bundle.used, 1),
                Step::GiveBack(..) => (&mut bundle.used, &mut bundle.unused, -1),
            };
            if let Some(at) = source.pop() {
                target.push(at);
                self.is_used[at] = change > 0;
                self.spare[to as usize] += change;
                self.spare[bundle.from as usize] -= change;
            }
        }
    }

    /// What shows that the values of a cut were left too often.
    fn too_often(&self, cut: &[bool]) -> Stuck {
        let is_in = |vertex: u32| cut[vertex as usize];
        let comes = |one: &&Move| is_in(one.to) && one.from.is_none_or(|from| !is_in(from));
        let times = self.moves.iter().filter(comes).count() + usize::from(is_in(INITIAL));
        let leaves = |one: &Move| one.is_needed && !is_in(one.to) && one.from.is_some_and(is_in);
        let ends_there = self.last.is_some_and(is_in);
        let left = (0..self.moves.len()).filter(|&at| leaves(&self.moves[at]));
        Stuck::TooOften { moves: left.take(times + usize::from(!ends_there)).collect(), ends_there, times }
    }

    /// Adds what connects all parts with one where a trail begins, and that of the last value with one of a write.
    fn connect(&mut self, account: &mut Account<'_>) -> Result<(), Stuck> {
        loop {
            account.work((self.spare.len() + self.moves.len()) as u64)?;
            let parts = Parts::new(self);
            let lonely = self.used_cas().map(|(_, from, _)| from).find(|&vertex| !parts.has_start(vertex));
            let has_writes = self.used().any(|(_, one)| one.from.is_none());
            let (part, by_write) = match (lonely, self.last) {
                (Some(vertex), _) => (parts.of(vertex), false),
                (None, Some(last)) if has_writes && !parts.has_write(last) => (parts.of(last), true),
                (None, _) => return Ok(()),
            };
            let vertices: Vec<u32> = (0..self.spare.len() as u32).filter(|&vertex| parts.of(vertex) == part).collect();
            let is_end = |vertex: u32| if by_write { parts.has_write(vertex) } else { parts.has_start(vertex) };
            match self.way_back(&vertices, false, is_end) {
                Ok(way) => self.go(&way),
                Err(_) => return Err(self.cut_off(&vertices, by_write)),
            }
        }
    }

    /// What shows that nothing leads to these values, or none but the beginning.
    fn cut_off(&self, vertices: &[u32], by_write: bool) -> Stuck {
        let mut leads_to = vec![Vec::new(); self.spare.len()];
        for one in self.moves {
            leads_to[one.to as usize].extend(one.from);
        }
        let mut is_in = vec![false; self.spare.len()];
        let mut todo = vertices.to_vec();
        while let Some(vertex) = todo.pop() {
            if !std::mem::replace(&mut is_in[vertex as usize], true) {
                todo.extend(&leads_to[vertex as usize]);
            }
        }
        let inside = |vertex: u32| is_in[vertex as usize];
        let needed = |is_it: &dyn Fn(&Move) -> bool| self.moves.iter().position(|one| one.is_needed && is_it(one));
        if self.moves.iter().any(|one| one.from.is_none() && inside(one.to)) {
            return Stuck::Open;
        }
        if by_write && inside(INITIAL) {
            return needed(&|one| !inside(one.to)).map_or(Stuck::Open, Stuck::NeverBack);
        }
        if inside(INITIAL) {
            return Stuck::Open;
        }
        needed(&|one| one.from.is_some_and(inside)).map_or(Stuck::Open, Stuck::NeverThere)
    }

    fn used(&self) -> impl Iterator<Item = (usize, &Move)> {
        self.moves.iter().enumerate().filter(|(at, _)| self.is_used[*at])
    }

    /// The cas that are in the order: place, value found, value stored.
    fn used_cas(&self) -> impl Iterator<Item = (usize, u32, u32)> {
        self.used().filter_map(|(at, one)| Some((at, one.from?, one.to)))
    }

    /// All moves that are used, trail by trail.
    fn trails(&self) -> Vec<usize> {
        debug_assert!(self.spare_writes || self.used().all(|(_, one)| one.is_needed || one.from.is_some()));
        let hub = self.spare.len() as u32;
        // Edges: to where, and which move it is; none from where a trail ends to the hub, and from there to the initial value.
        let mut edges: Vec<Vec<(u32, Option<usize>)>> = vec![Vec::new(); self.spare.len() + 1];
        edges[hub as usize].push((INITIAL, None));
        for (at, one) in self.used() {
            edges[one.from.unwrap_or(hub) as usize].push((one.to, Some(at)));
        }
        for (vertex, &spare) in self.spare.iter().enumerate() {
            let ends = spare + i64::from(self.last == Some(vertex as u32));
            edges[vertex].extend((0..ends).map(|_| (hub, None)));
        }
        let mut trails = cut_at(hub, &circuit(&mut edges, hub));
        let begins = |trail: &Trail| trail.first().is_some_and(|edge| edge.1.is_none());
        if let Some(first) = trails.iter().position(begins) {
            trails.swap(0, first);
        }
        if let Some(last) = self.last {
            end_in(&mut trails, last);
        }
        trails.into_iter().flatten().filter_map(|edge| edge.1).collect()
    }
}

/// The edges of a trail, the one that leads to where it begins first.
type Trail = Vec<(u32, Option<usize>)>;

/// A circuit through all edges, from the hub: Hierholzer's.
fn circuit(edges: &mut [Vec<(u32, Option<usize>)>], hub: u32) -> Trail {
    let mut open = vec![(hub, None)];
    let mut done = Vec::new();
    while let Some(&(vertex, _)) = open.last() {
        match edges[vertex as usize].pop() {
            Some(edge) => open.push(edge),
            None => done.extend(open.pop()),
        }
    }
    done.reverse();
    done
}

fn cut_at(hub: u32, circuit: &[(u32, Option<usize>)]) -> Vec<Trail> {
    circuit.split(|edge| edge.0 == hub).filter(|trail| !trail.is_empty()).map(<[_]>::to_vec).collect()
}

/// Puts a trail that ends in `last` at the end. The first one stays the first, so if only that one ends there and there are others,
/// it goes on as one of these does from where they meet.
fn end_in(trails: &mut [Trail], last: u32) {
    let ends = |trail: &Trail| trail.last().is_some_and(|edge| edge.0 == last);
    let Some(end) = trails.len().checked_sub(1).filter(|&end| end > 0) else { return };
    if let Some(place) = (1..=end).find(|&place| ends(&trails[place])) {
        trails.swap(place, end);
        return;
    }
    let place_of: HashMap<u32, usize, FxBuildHasher> = trails[0].iter().enumerate().map(|(place, edge)| (edge.0, place)).collect();
    let meets = |place: usize| trails[place].iter().enumerate().find_map(|(there, edge)| Some((*place_of.get(&edge.0)?, place, there)));
    let Some((here, place, there)) = (1..=end).find_map(meets) else { return };
    let first = trails[0].split_off(here + 1);
    let other = trails[place].split_off(there + 1);
    trails[0].extend(other);
    trails[place].extend(first);
    trails.swap(place, end);
}

/// The connected parts of the graph of what is used.
struct Parts {
    of: Vec<u32>,
    starts: Vec<bool>,
    writes: Vec<bool>,
}

impl Parts {
    fn new(graph: &Graph<'_>) -> Parts {
        let mut parent: Vec<u32> = (0..graph.spare.len() as u32).collect();
        for (_, from, to) in graph.used_cas() {
            let (from, to) = (root(&mut parent, from), root(&mut parent, to));
            parent[from as usize] = to;
        }
        let of: Vec<u32> = (0..graph.spare.len() as u32).map(|vertex| root(&mut parent, vertex)).collect();
        let mut parts = Parts { starts: vec![false; of.len()], writes: vec![false; of.len()], of };
        parts.starts[parts.of[INITIAL as usize] as usize] = true;
        for (_, one) in graph.used().filter(|(_, one)| one.from.is_none()) {
            let part = parts.of[one.to as usize] as usize;
            (parts.starts[part], parts.writes[part]) = (true, true);
        }
        parts
    }

    fn of(&self, vertex: u32) -> u32 {
        self.of[vertex as usize]
    }

    fn has_start(&self, vertex: u32) -> bool {
        self.starts[self.of(vertex) as usize]
    }

    fn has_write(&self, vertex: u32) -> bool {
        self.writes[self.of(vertex) as usize]
    }
}

/// The vertex that stands for a part, with all on the way halfway nearer to it.
fn root(parent: &mut [u32], mut vertex: u32) -> u32 {
    while parent[vertex as usize] != vertex {
        parent[vertex as usize] = parent[parent[vertex as usize] as usize];
        vertex = parent[vertex as usize];
    }
    vertex
}
