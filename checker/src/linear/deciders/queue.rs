//! Queues in which every value is put in once, decided in O(n log n).
//!
//! # The idea
//! (Bouajjani, Emmi, Enea and Hamza 2015 give the forbidden patterns of a queue whose ops all returned; the procedure, and
//! what is said of unknown outcomes and of several answers "empty", are our own.) Call the ops on one value its *life*: the
//! enqueue e and the dequeue d. An order of the history gives an order of the lives, in which they enter and leave alike.
//!
//! 1. **Each life by itself.** A value that is dequeued was enqueued, once, by an op that was invoked before the dequeue
//!    returned; and it is dequeued once. Then e may be taken to return before d does, and d to be invoked after e.
//! 2. **Between lives.** a must come before b if e(a) returned before e(b) was invoked, or d(a) returned before d(b) was
//!    invoked; a value that is never dequeued has a d that is invoked after everything. *If no two lives must each come before
//!    the other, there is an order of all:* among the lives left, let x be the one whose e returns first, and y the one whose
//!    d does. If d(y) did not return before d(x) was invoked, no life must come before x. Otherwise y must come before x, so x
//!    need not come before y: e(x) did not return before e(y) was invoked, so no e did; and no life must come before y. Take
//!    that one, and go on. Each op then happens as soon as it was invoked and its turn has come: no op misses its return,
//!    because whoever it waited for was invoked before that. If neither can be taken, x and y are the contradiction.
//! 3. **Found empty.** Such an op happens at a moment at which no value is surely there: none whose e has returned and whose
//!    d is not yet invoked. At any such moment each life can be all over or not have begun: it is over if its d was invoked by
//!    then. (Whatever must come before a life that is over is over too: if by e, then its e has returned, so its d was
//!    invoked; if by d, its d has returned.) So these ops take the first such moment each, independently.
//! 4. **Unknown outcomes.** An enqueue that nobody noticed is left out; one that was noticed returned never. A dequeue of
//!    unknown outcome may have taken one value at any moment since its invocation. It helps a value u that stayed although a
//!    later one was dequeued: u must be gone before the first such d returns. That is a deadline; u is best taken by a dequeue
//!    that was invoked as early as possible, and values with early deadlines take the earliest: so sort both and compare. (The
//!    deadline of a value includes those of values after it, for whatever lies after them lies after it.) With answers
//!    "empty" besides, a value must be gone by the moment chosen too: if that works it is an order; if nothing works even
//!    without the values that stayed, there is none; otherwise the search must say.

use super::{FxMap, NONE, inserts, stuck};
use crate::linear::problem::{NEVER, Problem};
use crate::linear::zones::Zones;
use crate::model::Role;
use histories::{OpId, ValueId};

/// A value that stayed: its dequeue is invoked and returns after everything.
const STAYED: u32 = NEVER;
/// A dequeue of unknown outcome returns after everything that is known, and before the dequeue of a value that stayed.
const LATE: u32 = NEVER - 1;

/// The ops on one value. Positions are those of events, tightened as the first rule says.
#[derive(Clone, Copy, Debug)]
struct Life {
    enqueue: u32,
    /// [`NONE`] if it stayed.
    dequeue: u32,
    enqueue_call: u32,
    enqueue_ret: u32,
    dequeue_call: u32,
    dequeue_ret: u32,
    /// The stretch between two answers "empty".
    stretch: u32,
}

impl Life {
    fn stayed(&self) -> bool {
        self.dequeue == NONE
    }
}

/// What there is besides lives.
#[derive(Debug, Default)]
struct Others {
    /// Entries that found the queue empty.
    empties: Vec<u32>,
    /// Dequeues of unknown outcome, by invocation.
    unknown: Vec<u32>,
}

pub(super) fn decide<O>(problem: &Problem<O>, roles: &[Role<'_>]) -> Zones {
    let Some(inserts) = inserts(problem, roles) else { return Zones::Open };
    let (lives, others) = match lives(problem, roles, &inserts) {
        Ok(Some(known)) => known,
        Ok(None) => return Zones::Open,
        Err(suspects) => return stuck(problem, suspects),
    };
    let any_stayed = lives.iter().any(Life::stayed);
    if others.unknown.is_empty() || !any_stayed {
        return match arrange(problem, lives, &others.empties) {
            Ok(order) => Zones::Order(order),
            Err(suspects) => stuck(problem, suspects),
        };
    }
    let known: Vec<Life> = lives.iter().filter(|life| !life.stayed()).copied().collect();
    let moments = match moments(problem, &known, &others.empties) {
        Ok(moments) => moments,
        Err(suspects) => return stuck(problem, suspects),
    };
    if let Err(suspects) = arrange(problem, known, &others.empties) {
        return stuck(problem, suspects);
    }
    match take_out(problem, lives, &others, &moments) {
        Ok(lives) => arrange(problem, lives, &others.empties).map_or(Zones::Open, Zones::Order),
        Err(suspects) if others.empties.is_empty() => stuck(problem, suspects),
        Err(_) => Zones::Open,
    }
}

/// The lives and what there is besides; `None` if something here is not covered; or the ops that break the first rule.
fn lives<O>(problem: &Problem<O>, roles: &[Role<'_>], inserts: &FxMap<ValueId, u32>) -> Result<Option<(Vec<Life>, Others)>, Vec<u32>> {
    let mut dequeue_of: Vec<u32> = vec![NONE; problem.entries.len()];
    let mut others = Others::default();
    for (i, entry) in (0..).zip(&problem.entries) {
        match roles[entry.class as usize] {
            Role::Insert(_) => {}
            Role::RemoveAny if entry.is_crashed() => others.unknown.push(i),
            Role::Empty if !entry.is_crashed() => others.empties.push(i),
            Role::Remove(value) if !entry.is_crashed() => {
                let enqueue = inserts.get(&value).copied().unwrap_or(NONE);
                if enqueue == NONE || problem.entries[enqueue as usize].call > entry.ret {
                    return Err(vec![i, enqueue]);
                }
                let other = std::mem::replace(&mut dequeue_of[enqueue as usize], i);
                if other != NONE {
                    return Err(vec![i, other, enqueue]);
                }
            }
            _ => return Ok(None),
        }
    }
    let mut lives = Vec::with_capacity(inserts.len());
    for (enqueue, entry) in (0..).zip(&problem.entries) {
        let dequeue = dequeue_of[enqueue as usize];
        if !matches!(roles[entry.class as usize], Role::Insert(_)) || dequeue == NONE && entry.is_crashed() {
            continue;
        }
        let (call, ret) = match problem.entries.get(dequeue as usize) {
            Some(dequeue) => (dequeue.call.max(entry.call), dequeue.ret),
            None => (STAYED, STAYED),
        };
        let (enqueue_call, enqueue_ret) = (entry.call, entry.ret.min(ret));
        lives.push(Life { enqueue, dequeue, enqueue_call, enqueue_ret, dequeue_call: call, dequeue_ret: ret, stretch: 0 });
    }
    Ok(Some((lives, others)))
}

/// For each op that found the queue empty, the first event just after which no value is surely there.
fn moments<O>(problem: &Problem<O>, lives: &[Life], empties: &[u32]) -> Result<Vec<u32>, Vec<u32>> {
    if empties.is_empty() {
        return Ok(Vec::new());
    }
    let mut surely: Vec<&Life> = lives.iter().filter(|life| life.enqueue_ret < life.dequeue_call).collect();
    surely.sort_unstable_by_key(|life| life.enqueue_ret);
    // The stretches of time in which something is surely there.
    let mut stretches: Vec<(u32, u32)> = Vec::new();
    for life in &surely {
        match stretches.last_mut() {
            Some(last) if life.enqueue_ret <= last.1 => last.1 = last.1.max(life.dequeue_call),
            _ => stretches.push((life.enqueue_ret, life.dequeue_call)),
        }
    }
    let mut moments = Vec::with_capacity(empties.len());
    for &empty in empties {
        let entry = problem.entries[empty as usize];
        let next = stretches.partition_point(|stretch| stretch.0 <= entry.call);
        let moment = match next.checked_sub(1).map(|i| stretches[i]) {
            Some((_, end)) if end > entry.call => end,
            _ => entry.call,
        };
        if moment >= entry.ret {
            return Err(cover(&surely, entry.call, entry.ret).into_iter().chain([empty]).collect());
        }
        moments.push(moment);
    }
    Ok(moments)
}

/// The fewest lives of which one is surely there at every moment between two events; their ops.
fn cover(surely: &[&Life], from: u32, to: u32) -> Vec<u32> {
    let (mut ops, mut reached, mut next) = (Vec::new(), from, 0);
    while reached < to {
        let mut best: Option<&Life> = None;
        while next < surely.len() && surely[next].enqueue_ret <= reached {
            if best.is_none_or(|best| best.dequeue_call < surely[next].dequeue_call) {
                best = Some(surely[next]);
            }
            next += 1;
        }
        let Some(best) = best else { break };
        ops.extend([best.enqueue, best.dequeue]);
        reached = best.dequeue_call;
    }
    ops
}

/// Lets dequeues of unknown outcome take out what cannot have stayed. Otherwise: the values of which there are too many.
fn take_out<O>(problem: &Problem<O>, mut lives: Vec<Life>, others: &Others, moments: &[u32]) -> Result<Vec<Life>, Vec<u32>> {
    // Dequeued lives by the invocation of their enqueue, with the first return of a dequeue among the later ones.
    let mut known: Vec<Life> = lives.iter().filter(|life| !life.stayed()).copied().collect();
    known.sort_unstable_by_key(|life| life.enqueue_call);
    let mut first: Vec<usize> = (0..known.len()).collect();
    for i in (0..known.len().saturating_sub(1)).rev() {
        if known[first[i + 1]].dequeue_ret < known[i].dequeue_ret {
            first[i] = first[i + 1];
        }
    }
    let mut sorted_moments = moments.to_vec();
    sorted_moments.sort_unstable();
    let mut needy: Vec<(u32, usize, u32)> = Vec::new();
    for (i, life) in lives.iter().enumerate().filter(|(_, life)| life.stayed()) {
        let later = known.partition_point(|known| known.enqueue_call <= life.enqueue_ret);
        let overtaken = first.get(later).map(|&by| known[by]);
        let by_overtaking = overtaken.map_or(NEVER, |known| known.dequeue_ret);
        // It has to be gone just after that event: whoever takes it is invoked by then.
        let found_empty = sorted_moments.partition_point(|&moment| moment < life.enqueue_ret);
        let by_empty = sorted_moments.get(found_empty).map_or(NEVER, |&moment| moment + 1);
        if by_overtaking.min(by_empty) != NEVER {
            needy.push((by_overtaking.min(by_empty), i, overtaken.map_or(NONE, |known| known.dequeue)));
        }
    }
    needy.sort_unstable();
    for (place, &(deadline, i, _)) in needy.iter().enumerate() {
        let taker = others.unknown.get(place).copied().filter(|&taker| problem.entries[taker as usize].call < deadline);
        let Some(taker) = taker else {
            return Err(needy[..=place].iter().flat_map(|&(_, i, by)| [lives[i].enqueue, by]).collect());
        };
        let call = problem.entries[taker as usize].call.max(lives[i].enqueue_call);
        lives[i] = Life { dequeue: taker, dequeue_call: call, dequeue_ret: LATE, ..lives[i] };
    }
    Ok(lives)
}

/// The order of all ops, or those that contradict each other.
fn arrange<O>(problem: &Problem<O>, mut lives: Vec<Life>, empties: &[u32]) -> Result<Vec<OpId>, Vec<u32>> {
    let moments = moments(problem, &lives, empties)?;
    let mut cuts = moments.clone();
    cuts.sort_unstable();
    cuts.dedup();
    if !cuts.is_empty() {
        for life in &mut lives {
            life.stretch = cuts.partition_point(|&cut| cut < life.dequeue_call) as u32;
        }
    }
    let turns = turns(&lives)?;
    // (moment, stretch, enqueues first, turn, entry): sorted, that is the order.
    let mut placed: Vec<(u32, u32, u8, u32, u32)> = Vec::with_capacity(2 * lives.len() + empties.len());
    let (mut entered, mut left) = (0, 0);
    for (turn, &life) in (0..).zip(&turns) {
        let life = lives[life as usize];
        let cut = (life.stretch as usize).checked_sub(1).and_then(|before| cuts.get(before)).copied().unwrap_or(0);
        entered = life.enqueue_call.max(entered).max(cut);
        placed.push((entered, life.stretch, 0, turn, life.enqueue));
        if !life.stayed() {
            left = life.dequeue_call.max(left).max(entered);
            placed.push((left, life.stretch, 1, turn, life.dequeue));
        }
    }
    for (&empty, &moment) in empties.iter().zip(&moments) {
        let stretch = cuts.partition_point(|&cut| cut < moment) as u32;
        placed.push((moment, stretch, 2, empty, empty));
    }
    placed.sort_unstable();
    Ok(placed.into_iter().map(|(.., entry)| problem.entries[entry as usize].id).collect())
}

/// The order of the lives, or the ops of two that must each come before the other.
fn turns(lives: &[Life]) -> Result<Vec<u32>, Vec<u32>> {
    let all = || (0..lives.len() as u32).collect::<Vec<u32>>();
    let (mut by_enqueue, mut by_dequeue) = (all(), all());
    let life = |i: u32| lives[i as usize];
    by_enqueue.sort_unstable_by_key(|&i| (life(i).stretch, life(i).enqueue_ret));
    by_dequeue.sort_unstable_by_key(|&i| (life(i).stretch, life(i).dequeue_ret, life(i).enqueue_ret));
    let mut taken = vec![false; lives.len()];
    let mut turns = Vec::with_capacity(lives.len());
    let (mut next_enqueue, mut next_dequeue) = (0, 0);
    while turns.len() < lives.len() {
        while taken[by_enqueue[next_enqueue] as usize] {
            next_enqueue += 1;
        }
        while taken[by_dequeue[next_dequeue] as usize] {
            next_dequeue += 1;
        }
        let (x, y) = (by_enqueue[next_enqueue], by_dequeue[next_dequeue]);
        let next = if life(x).dequeue_call < life(y).dequeue_ret || life(y).dequeue_ret == STAYED {
            x
        } else if life(y).enqueue_call < life(x).enqueue_ret {
            y
        } else {
            return Err(vec![life(x).enqueue, life(x).dequeue, life(y).enqueue, life(y).dequeue]);
        };
        taken[next as usize] = true;
        turns.push(next);
    }
    Ok(turns)
}
