//! Queues in which every value is put in once, decided in O(n log n).
//!
//! # The idea
//! (Bouajjani, Emmi, Enea and Hamza 2015 give the forbidden patterns of a queue whose ops all returned; the procedure, and
//! what is said of unknown outcomes and of several answers "empty", are our own.) Call the ops on one value its *life*: the
//! enqueue e and the dequeue d. An order of the history gives an order of the lives, in which they enter and leave alike.
//!
//! 1. **Each life by itself**: as module `lives` says, with e and d tightened.
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

use super::{NONE, No, Ops};
use crate::budget::Account;
use crate::decode::NEVER;
use crate::linear::unique::value_intervals::{GoneBy, Life, Lives, Needy, STAYED, lives, moments, take_out};
use histories::OpId;

/// Where there are too few dequeues: so many ops that found the queue empty are suspected.
const EMPTIES_BLAMED: usize = 64;

/// A life, and the stretch between two answers "empty" that it is in.
#[derive(Clone, Copy, Debug)]
struct Turn {
    life: Life,
    stretch: u32,
}

pub(super) fn decide(ops: &Ops<'_>, account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let found = lives(ops, account)?;
    let (mut known, mut stayed) = found.split();
    if found.unknown.is_empty() || stayed.is_empty() {
        let order = arrange(ops, &found.all, &found.empties, account)?;
        return found.conclude(order);
    }
    arrange(ops, &known, &found.empties, account)?;
    let (mut needy, overtaken_by) = needy(ops, &mut known, &mut stayed, &found, account)?;
    let mut unknown = found.unknown.clone();
    match take_out(ops, &mut needy, &mut unknown) {
        Ok(taken) => known.extend(taken),
        Err(place) => {
            let by = |needy: &Needy| overtaken_by.iter().find(|pair| pair.0 == needy.life.insert).map_or(NONE, |pair| pair.1);
            let mut suspects: Vec<u32> = needy[..=place].iter().flat_map(|needy| [needy.life.insert, by(needy)]).collect();
            suspects.extend(&found.empties[..found.empties.len().min(EMPTIES_BLAMED)]);
            return Err(No::Broken(suspects));
        }
    }
    known.extend(stayed);
    match arrange(ops, &known, &found.empties, account) {
        Err(No::Broken(_)) => Err(No::Open),
        order => found.conclude(order?),
    }
}

/// Values that stayed and must be gone; and for each that was overtaken, given by its enqueue, the dequeue of who overtook it.
type Overtaken = (Vec<Needy>, Vec<(u32, u32)>);

/// Those that cannot have stayed, taken out of the list.
fn needy(ops: &Ops<'_>, known: &mut [Life], stayed: &mut Vec<Life>, found: &Lives, account: &mut Account<'_>) -> Result<Overtaken, No> {
    let gone_by = GoneBy::new(&moments(ops, known, &found.empties, account)?);
    // With the first return of a dequeue among the later ones.
    known.sort_unstable_by_key(|life| life.in_call);
    let mut first: Vec<usize> = (0..known.len()).collect();
    for i in (0..known.len().saturating_sub(1)).rev() {
        if known[first[i + 1]].out_ret < known[i].out_ret {
            first[i] = first[i + 1];
        }
    }
    let (mut needy, mut overtaken_by) = (Vec::new(), Vec::new());
    for life in std::mem::take(stayed) {
        account.work(8)?;
        let later = known.partition_point(|known| known.in_call <= life.in_ret);
        let overtaker = first.get(later).map(|&by| known[by]);
        overtaken_by.extend(overtaker.map(|by| (life.insert, by.remove)));
        let deadline = overtaker.map_or(NEVER, |by| by.out_ret).min(gone_by.deadline(&life));
        if deadline == NEVER { stayed.push(life) } else { needy.push(Needy { deadline, life }) }
    }
    Ok((needy, overtaken_by))
}

/// The order of all ops, or those that contradict each other.
fn arrange(ops: &Ops<'_>, lives: &[Life], empties: &[u32], account: &mut Account<'_>) -> Result<Vec<OpId>, No> {
    let moments: Vec<u32> = moments(ops, lives, empties, account)?.into_iter().map(|moment| moment.0).collect();
    let mut cuts = moments.clone();
    cuts.sort_unstable();
    cuts.dedup();
    let stretch = |life: &Life| if cuts.is_empty() { 0 } else { cuts.partition_point(|&cut| cut < life.out_call) as u32 };
    let lives: Vec<Turn> = lives.iter().map(|life| Turn { life: *life, stretch: stretch(life) }).collect();
    let turns = turns(&lives, account)?;
    // (moment, stretch, enqueues first, turn, entry): sorted, that is the order. Those that enter are, and those that leave.
    let mut placed: Vec<(u32, u32, u8, u32, u32)> = Vec::with_capacity(2 * lives.len() + empties.len());
    let mut leaving = Vec::with_capacity(lives.len());
    let (mut entered, mut left) = (0, 0);
    for (turn, &place) in (0..).zip(&turns) {
        let Turn { life, stretch } = lives[place as usize];
        let cut = (stretch as usize).checked_sub(1).and_then(|before| cuts.get(before)).copied().unwrap_or(0);
        entered = life.in_call.max(entered).max(cut);
        placed.push((entered, stretch, 0, turn, life.insert));
        if !life.stayed() {
            left = life.out_call.max(left).max(entered);
            leaving.push((left, stretch, 1, turn, life.remove));
        }
    }
    placed.append(&mut leaving);
    for (&empty, &moment) in empties.iter().zip(&moments) {
        let stretch = cuts.partition_point(|&cut| cut < moment) as u32;
        placed.push((moment, stretch, 2, empty, empty));
    }
    account.work(8 * placed.len() as u64)?;
    placed.sort_by_key(|&(moment, stretch, kind, turn, _)| (moment, stretch, kind, turn)); // Merges what is sorted already.
    Ok(placed.into_iter().map(|(.., entry)| ops.id(entry)).collect())
}

/// The order of the lives, or the ops of two that must each come before the other.
fn turns(lives: &[Turn], account: &mut Account<'_>) -> Result<Vec<u32>, No> {
    let turn = |i: u32| lives[i as usize];
    let sorted = |key: fn(&Life) -> (u32, u32), account: &mut Account<'_>| {
        account.work(8 * lives.len() as u64)?;
        let mut keys: Vec<_> = (0u32..).zip(lives).map(|(i, turn)| (turn.stretch, key(&turn.life), i)).collect();
        keys.sort_unstable();
        Ok::<_, No>(keys.into_iter().map(|(.., i)| i).collect::<Vec<u32>>())
    };
    let by_enqueue = sorted(|life| (life.in_ret, 0), account)?;
    let by_dequeue = sorted(|life| (life.out_ret, life.in_ret), account)?;
    let mut taken = vec![false; lives.len()];
    let mut turns = Vec::with_capacity(lives.len());
    let (mut next_enqueue, mut next_dequeue) = (0, 0);
    while turns.len() < lives.len() {
        account.work(4)?;
        while taken[by_enqueue[next_enqueue] as usize] {
            next_enqueue += 1;
        }
        while taken[by_dequeue[next_dequeue] as usize] {
            next_dequeue += 1;
        }
        let next = [by_enqueue[next_enqueue], by_dequeue[next_dequeue]];
        let [x, y] = next.map(|i| turn(i).life);
        let next = if x.out_call < y.out_ret || y.out_ret == STAYED {
            next[0]
        } else if y.in_call < x.in_ret {
            next[1]
        } else {
            return Err(No::Broken(vec![x.insert, x.remove, y.insert, y.remove]));
        };
        taken[next as usize] = true;
        turns.push(next);
    }
    Ok(turns)
}
