//! Orders of versions where they are not known: what follows from what is certain, to a fixed point; and then a search.
//!
//! Of two writers `a`, `b` of a key one comes first. If `a` does, then `a` commits before `b` starts, and whoever read the key
//! from `a` starts before `b` commits. Where one of the two closes a cycle with what is known the other holds; where both do there is no
//! order. Once each pair is decided and there is no cycle, every order of the points that keeps the edges is a run.

use super::graph::Graph;
use super::problem::{INITIAL, Problem};
use crate::budget::{Account, Budget, Limit};

/// More points than these are not closed over: the closure takes the square of their number in bits, for each guess.
const POINTS_MAX: usize = 6_000;
/// So many guesses are made without a limit of steps.
const GUESSES: u64 = 20_000;

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// An order of the points of the transactions.
    Order(Vec<u32>),
    /// There is none.
    NoOrder,
    /// Neither was found.
    Undecided(String),
}

/// Two writers of a key, of which either may come first.
#[derive(Clone, Copy)]
struct Pair {
    a: u32,
    b: u32,
}

/// Which points come before which: a bit for each two.
#[derive(Clone)]
struct Closure {
    words: usize,
    rows: Vec<u64>,
}

impl Closure {
    fn has(&self, from: u32, to: u32) -> bool {
        self.rows[from as usize * self.words + to as usize / 64] >> (to % 64) & 1 == 1
    }

    /// Adds an edge and what follows; says whether anything is new. The points must not come the other way round.
    fn add(&mut self, from: u32, to: u32) -> bool {
        if from == to || self.has(from, to) {
            return false;
        }
        let words = self.words;
        let mut reached: Vec<u64> = self.rows[to as usize * words..][..words].to_vec();
        reached[to as usize / 64] |= 1 << (to % 64);
        for row in 0..self.rows.len() / words {
            if row == from as usize || self.has(row as u32, from) {
                let row = &mut self.rows[row * words..][..words];
                row.iter_mut().zip(&reached).for_each(|(word, more)| *word |= more);
            }
        }
        true
    }
}

impl Closure {
    /// An order that keeps the closure: what has more before it comes later.
    fn order(&self, points: usize) -> Vec<u32> {
        let mut before = vec![0_u32; points];
        for row in self.rows.chunks(self.words) {
            for (at, &word) in row.iter().enumerate() {
                let mut word = word;
                while word != 0 {
                    before[at * 64 + word.trailing_zeros() as usize] += 1;
                    word &= word - 1;
                }
            }
        }
        let mut order: Vec<u32> = (0..points as u32).collect();
        order.sort_by_key(|&point| before[point as usize]);
        order
    }
}

struct Choices<'a> {
    problem: &'a Problem,
    width: u32,
    pairs: Vec<Pair>,
    /// The readers of each writer's version, by pair.
    readers: Vec<(Vec<u32>, Vec<u32>)>,
}

/// Decides a problem whose certain edges have no cycle.
///
/// # Errors
/// The budget ended.
pub(crate) fn decide(problem: &Problem, graph: &Graph, budget: &Budget, steps: &mut u64) -> Result<Outcome, Limit> {
    let mut account = Account::new(budget);
    let points = problem.len() * graph.width as usize;
    if graph.len() > 2 * POINTS_MAX || points > POINTS_MAX {
        let what = "the order of some versions is not known, the order in which the transactions completed does not explain every read";
        return Ok(Outcome::Undecided(format!("{what}, and {} transactions are too many to try others", problem.len())));
    }
    account.hold(graph.len() * graph.len() / 8)?;
    let mut closure = close(graph, points, &mut account)?;
    let mut choices = Choices { problem, width: graph.width, pairs: Vec::new(), readers: Vec::new() };
    choices.list();
    let mut open: Vec<u32> = (0..choices.pairs.len() as u32).collect();
    if choices.saturate(&mut closure, &mut open, &mut account)?.is_err() {
        return Ok(Outcome::NoOrder);
    }
    let limit = budget.steps.unwrap_or(GUESSES).min(GUESSES);
    let mut stack: Vec<(Closure, Vec<u32>)> = Vec::new();
    loop {
        let Some(&pair) = open.first() else {
            return Ok(Outcome::Order(closure.order(points)));
        };
        *steps += 1;
        if *steps > limit {
            return Ok(Outcome::Undecided(format!(
                "the order of {} pairs of versions is open, and no more guesses were allowed",
                open.len()
            )));
        }
        let Pair { a, b } = choices.pairs[pair as usize];
        let finished = |node: u32| (problem.complete[node as usize], problem.invoke[node as usize]);
        let a_first = finished(a) <= finished(b);
        account.hold((stack.len() + 3) * (closure.rows.len() * 8 + open.len() * 4) + graph.len() * graph.len() / 8)?;
        // The other way is kept for later.
        let mut other = closure.clone();
        choices.put(&mut other, pair, !a_first);
        stack.push((other, open.clone()));
        choices.put(&mut closure, pair, a_first);
        let mut holds = choices.saturate(&mut closure, &mut open, &mut account)?;
        while holds.is_err() {
            let Some((other, others)) = stack.pop() else {
                return Ok(Outcome::NoOrder);
            };
            (closure, open) = (other, others);
            holds = choices.saturate(&mut closure, &mut open, &mut account)?;
        }
    }
}

/// What comes before what by the edges, of the points of transactions only.
fn close(graph: &Graph, points: usize, account: &mut Account<'_>) -> Result<Closure, Limit> {
    let words = points.div_ceil(64).max(1);
    let mut rows = vec![0_u64; graph.len() * words];
    // Backwards in an order without cycles: what a point reaches is known before the point.
    let mut before = vec![0_u32; graph.len()];
    for point in 0..graph.len() as u32 {
        graph.arrows(point).iter().for_each(|arrow| before[arrow.to as usize] += 1);
    }
    let mut order: Vec<u32> = (0..graph.len() as u32).filter(|&point| before[point as usize] == 0).collect();
    let mut at = 0;
    while let Some(&point) = order.get(at) {
        at += 1;
        for arrow in graph.arrows(point) {
            before[arrow.to as usize] -= 1;
            if before[arrow.to as usize] == 0 {
                order.push(arrow.to);
            }
        }
    }
    for &point in order.iter().rev() {
        account.work((graph.arrows(point).len() * words) as u64)?;
        for arrow in graph.arrows(point) {
            if (arrow.to as usize) < points {
                rows[point as usize * words + arrow.to as usize / 64] |= 1 << (arrow.to % 64);
            }
            for word in 0..words {
                rows[point as usize * words + word] |= rows[arrow.to as usize * words + word];
            }
        }
    }
    rows.truncate(points * words);
    Ok(Closure { words, rows })
}

impl Choices<'_> {
    fn start(&self, node: u32) -> u32 {
        node * self.width
    }

    fn end(&self, node: u32) -> u32 {
        node * self.width + self.width - 1
    }

    /// All pairs of writers of each key, but those whose order the graph holds already with all that follows.
    fn list(&mut self) {
        let problem = self.problem;
        let mut readers: Vec<Vec<(u32, u32)>> = vec![Vec::new(); problem.keys];
        for node in 0..problem.len() as u32 {
            for read in problem.reads(node).iter().filter(|read| read.source != INITIAL) {
                readers[read.key as usize].push((read.source, node));
            }
        }
        for key in 0..problem.keys as u32 {
            let writers = problem.writers(key);
            let of = |writer: u32| readers[key as usize].iter().filter(|read| read.0 == writer).map(|read| read.1).collect::<Vec<_>>();
            let by_writer: Vec<Vec<u32>> = writers.iter().map(|&writer| of(writer)).collect();
            for (at, &a) in writers.iter().enumerate() {
                for (other, &b) in writers.iter().enumerate().skip(at + 1) {
                    self.pairs.push(Pair { a, b });
                    self.readers.push((by_writer[at].clone(), by_writer[other].clone()));
                }
            }
        }
    }

    /// Whether the pair may be in this order.
    fn may(&self, closure: &Closure, pair: u32, a_first: bool) -> bool {
        let (first, second, readers) = self.of(pair, a_first);
        // What starts before something commits cannot have been preceded by it; with one point for both they are the same.
        let follows = |from: u32, to: u32| from == to || closure.has(from, to);
        if follows(self.start(second), self.end(first)) {
            return false;
        }
        !readers.iter().any(|&reader| reader != second && follows(self.end(second), self.start(reader)))
    }

    fn of(&self, pair: u32, a_first: bool) -> (u32, u32, &[u32]) {
        let Pair { a, b } = self.pairs[pair as usize];
        let (of_a, of_b) = &self.readers[pair as usize];
        if a_first { (a, b, of_a) } else { (b, a, of_b) }
    }

    fn put(&self, closure: &mut Closure, pair: u32, a_first: bool) -> bool {
        let (first, second, readers) = self.of(pair, a_first);
        let mut is_new = closure.add(self.end(first), self.start(second));
        for &reader in readers.iter().filter(|&&reader| reader != second) {
            is_new |= closure.add(self.start(reader), self.end(second));
        }
        is_new
    }

    /// Decides all pairs of which only one order is left, until there are no more; `Err` where none is left.
    fn saturate(&self, closure: &mut Closure, open: &mut Vec<u32>, account: &mut Account<'_>) -> Result<Result<(), Pair>, Limit> {
        loop {
            let (mut is_new, mut kept) = (false, 0);
            for at in 0..open.len() {
                let pair = open[at];
                let (of_a, of_b) = &self.readers[pair as usize];
                account.work((2 + of_a.len() + of_b.len()) as u64)?;
                match (self.may(closure, pair, true), self.may(closure, pair, false)) {
                    (false, false) => return Ok(Err(self.pairs[pair as usize])),
                    (true, true) => {
                        open[kept] = pair;
                        kept += 1;
                    }
                    (a_first, _) => {
                        account.work(closure.rows.len() as u64 / 8)?;
                        is_new |= self.put(closure, pair, a_first);
                    }
                }
            }
            open.truncate(kept);
            if !is_new {
                return Ok(Ok(()));
            }
        }
    }
}
