//! Where a search that ended early has left a history undecided.
//!
//! A search that has passed the return of some ops has an order of them, so what is undecided comes later. Between two moments at
//! which no op of known outcome is in flight nothing can be moved out: from the last such moment before the return at which the search
//! ended to the first one after it is the smallest part of which it can be said, without deciding anything, that it must be explained
//! next. (Ops of unknown outcome that were invoked before may still take effect in it.)

use super::problem::{Event, Problem};
use crate::verdict::{Stopped, Undecided};

/// The whole key; `None` if nothing in it has a known outcome.
pub(super) fn all<O>(problem: &Problem<O>) -> Option<Undecided> {
    let known = || problem.entries.iter().filter(|entry| !entry.is_crashed());
    let last = known().max_by_key(|entry| entry.ret)?;
    Some(Undecided { ops: known().count(), first: known().next()?.id, last: last.id, stopped: None })
}

/// The part in which a search ended that had passed so many returns. `events` are the problem's own.
pub(super) fn after<O>(problem: &Problem<O>, events: &[(u32, Event)], returns: usize) -> Option<Undecided> {
    let id = |entry: u32| problem.entries[entry as usize].id;
    let (mut in_flight, mut returned, mut unknown) = (0, 0, 0);
    let (mut ops, mut first) = (0, None);
    let mut stopped = None;
    for &(_, event) in events {
        match event {
            Event::Call(entry) if problem.entries[entry as usize].is_crashed() => unknown += 1,
            Event::Call(entry) => {
                (ops, first) = if in_flight == 0 { (1, Some(id(entry))) } else { (ops + 1, first) };
                in_flight += 1;
            }
            Event::Return(entry) => {
                if returned == returns {
                    stopped = Some(Stopped { at: id(entry), in_flight, unknown });
                }
                returned += 1;
                in_flight -= 1;
                if in_flight == 0 && stopped.is_some() {
                    return Some(Undecided { ops, first: first?, last: id(entry), stopped });
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::NEVER;
    use crate::linear::problem::Entry;
    use histories::OpId;

    /// The part in numbers: ops, first, last, and where the search ended: op, in flight, of unknown outcome.
    type Told = (usize, u32, u32, Option<(u32, usize, usize)>);

    fn told(part: Option<Undecided>) -> Option<Told> {
        part.map(|part| {
            (part.ops, part.first.0, part.last.0, part.stopped.map(|stopped| (stopped.at.0, stopped.in_flight, stopped.unknown)))
        })
    }

    #[test]
    fn the_part_lies_between_moments_with_no_op_in_flight() {
        // a [0 3] b [1 2] | c [4 9], d of unknown outcome from 5 on, e [6 8], f [7 11] | g [12 13].
        let spans = [(0, 3), (1, 2), (4, 9), (5, NEVER), (6, 8), (7, 11), (12, 13)];
        let entries = (0..).zip(spans).map(|(i, (call, ret))| Entry { id: OpId(i), class: 0, call, ret }).collect();
        let problem = Problem { classes: vec![()], entries };
        let events = problem.events();
        // (returns passed, the part).
        let cases: [(usize, Option<Told>); 8] = [
            (0, Some((2, 0, 0, Some((1, 2, 0))))),
            (1, Some((2, 0, 0, Some((0, 1, 0))))),
            (2, Some((3, 2, 5, Some((4, 3, 1))))),
            (3, Some((3, 2, 5, Some((2, 2, 1))))),
            (4, Some((3, 2, 5, Some((5, 1, 1))))),
            (5, Some((1, 6, 6, Some((6, 1, 1))))),
            (6, None),
            (7, None),
        ];
        for (returns, expected) in cases {
            assert_eq!(told(after(&problem, &events, returns)), expected, "after {returns} returns");
        }
        assert_eq!(told(all(&problem)), Some((6, 0, 6, None)));
        assert_eq!(told(all(&problem.before(1, |()| false))), None, "nothing has returned");
    }
}
