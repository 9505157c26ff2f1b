//! Replicated data types: sets and counters whose replicas take updates by themselves and merge what they know.
//!
//! # The definition
//! The types are those of Shapiro, Preguiça, Baquero and Zawirski 2011 ("A comprehensive study of convergent and commutative
//! replicated data types"): G-counter (specification 6), PN-counter (7), G-set (11), 2P-set (12), OR-set (15). What they promise is
//! said as Burckhardt, Gotsman, Yang and Zawirski 2014 ("Replicated data types: specification, verification, optimality", section
//! 3) say it, by **visibility**: what a read returns depends on the updates that it sees, and on which of them had seen which:
//!
//! - **g-set**: the elements of which it sees an add. **g-counter**, **pn-counter**: the initial number and the sum of the
//!   changes that it sees.
//! - **or-set**: the elements of which it sees an add that none of the removes that it sees had seen: of an add and a remove at
//!   the same time the add wins.
//! - **2p-set**: the elements of which it sees an add, and no remove that takes effect. A remove that had seen an add of its element
//!   takes effect. Of one that had not, the specification says nothing (it may only be called where the element is), and
//!   implementations differ: it takes effect or not.
//!
//! A history keeps its type if there are a set of updates that **happened** (all acknowledged ones, any of unknown outcome, no
//! other) and a relation that says which adds each remove **had seen**, such that
//!
//! 1. *nobody sees the future*: a remove has seen no add that was invoked after the remove had completed (one of unknown outcome may
//!    still be on its way later);
//! 2. *a client knows what it did*: a remove has seen the acknowledged adds of its element by its own process that completed before;
//! 3. *a client knows what it read*: for each `ok` read of its own process that completed before and returned the element, a remove
//!    has seen an add of it that happened and that was invoked before that read completed;
//! 4. *the final reads* (see the parent module) each return what the type makes of all that happened. So they are equal, which is strong
//!    convergence: who has seen the same is in the same state;
//! 5. *every other `ok` read* by itself returns what the type makes of some of the updates that happened and that were invoked before it
//!    completed, with any relation between these that keeps 1: no element from nowhere, none twice, a sum that is one. Reads that
//!    miss what was acknowledged are not held against it here: until the end, that is what other models are about. But what was
//!    read had happened, and counts in the end.
//!
//! 2 and 3 are where a type says more than that its replicas converge: without them no remove would ever have to remove anything. They
//! hold where a client stays with its replica, and where one that moves takes along what it has seen.
//!
//! # The rules
//! Elements are independent, for what is seen of one says nothing about the others. The relation of 1 is acyclic together with
//! real time in any case: its arrows lead from adds to removes only, so that a cycle would take turns between arrows (the add
//! was invoked before the remove completed) and real time (the one completed before the other was invoked), and so go back to
//! an earlier moment with every step. So each pair of an add and a remove may be chosen by itself, but for 2 and 3. Let *A* be the
//! adds of an element, acknowledged or of unknown outcome, in the order of their invocations, and *R* its removes.
//!
//! - **A final read may lack it** if no add was acknowledged and no other read returned it; or of a 2p-set if *R* is not empty; or of
//!   an or-set if each acknowledged add, and if another read returned it, the first of *A* was invoked before some remove of *R* completed.
//!   *Necessary*: an acknowledged add happened, by 5 so did one of those that were invoked before the other read completed, and it is only
//!   hidden by a remove, that may have seen it; of those by 5 the first may have been seen if any may. *Sufficient*: let all of
//!   *R* happen and see all of *A* that 1 lets them, and of the adds of unknown outcome let only the first happen, if a read of 3 or 5
//!   asks for one: it is invoked before that read completed, so, for 3, before the remove did that follows the read, which then has
//!   seen it.
//! - **A final read may have it**
//!   - of a g-set, if *A* is not empty;
//!   - of a 2p-set, if moreover no acknowledged remove must have seen an add: by 2, or by 3. *Sufficient*: let the others see none
//!     and have no effect, and those of unknown outcome not happen.
//!   - of an or-set, if some add *a* of *A* need not be seen by any acknowledged remove: it is not one that 2 says, and with
//!     *c* the earliest completion of a read that 3 asks about (for an acknowledged remove), another add was invoked before *c* too.
//!     *Sufficient*: let all of *A* happen, the acknowledged removes see all but *a*, as far as 1 lets them, and those of unknown
//!     outcome not happen: for each read of 3 the remove that follows it has seen that other add. *Necessary*: if *a* is the only
//!     add that was invoked before *c*, then that remove has seen it.
//! - **Another read may have it** if an add of it was invoked before the read completed; it may always lack it, because it need not
//!   have seen any.
//!
//! For counters see [`super::sums`].

use super::decode::{Act, DataType, Objects, Seen};
use super::{FinalRead, Object};
use crate::budget::{Account, Limit};
use crate::convergence::compare::{Found, Wrong, difference};
use hashbrown::HashMap;
use histories::history::NO_EVENT;
use histories::{History, OpId, Outcome, Process, ValueId};
use rustc_hash::FxBuildHasher;

/// An add or a remove.
#[derive(Clone, Copy)]
struct Deed {
    element: ValueId,
    is_remove: bool,
    op: OpId,
    is_done: bool,
}

/// All that was done to the elements of a set, by element and then by invocation.
struct Deeds<'a> {
    history: &'a History,
    all: Vec<Deed>,
    /// Where the deeds of each element are: its adds first.
    places: HashMap<ValueId, (u32, u32), FxBuildHasher>,
    /// By process and element that somebody removes: the first read of it that returned it.
    first_seen: HashMap<(Process, ValueId), OpId, FxBuildHasher>,
    /// Of each element whose first add is of unknown outcome: the read before the end that returned it and completed first.
    first_read: HashMap<ValueId, OpId, FxBuildHasher>,
}

impl<'a> Deeds<'a> {
    fn new(history: &'a History, object: &Object) -> Deeds<'a> {
        let mut all: Vec<Deed> = Vec::with_capacity(object.updates.len());
        for update in &object.updates {
            let (is_remove, element) = match update.act {
                Act::Add(element) => (false, element),
                Act::Remove(element) => (true, element),
                _ => continue,
            };
            all.push(Deed { element, is_remove, op: update.op, is_done: update.is_done });
        }
        all.sort_unstable_by_key(|deed| (deed.element, deed.is_remove, deed.op));
        let mut places: HashMap<ValueId, (u32, u32), FxBuildHasher> = HashMap::default();
        let mut start = 0;
        for of_element in all.chunk_by(|a, b| a.element == b.element) {
            let end = start + of_element.len() as u32;
            places.insert(of_element[0].element, (start, end));
            start = end;
        }
        Deeds { history, all, places, first_seen: HashMap::default(), first_read: HashMap::default() }
    }

    fn of(&self, element: ValueId) -> (&[Deed], &[Deed]) {
        let (start, end) = self.places.get(&element).copied().unwrap_or((0, 0));
        let of_element = &self.all[start as usize..end as usize];
        of_element.split_at(of_element.partition_point(|deed| !deed.is_remove))
    }

    fn invoked(&self, op: OpId) -> u32 {
        self.history.op(op).invoke
    }

    /// When it was over: never, if its outcome is unknown.
    fn completed(&self, op: OpId) -> u32 {
        let of = self.history.op(op);
        if self.history.outcome(of) == Outcome::Ok { of.complete } else { NO_EVENT }
    }

    fn process(&self, op: OpId) -> Process {
        self.history.op_process(self.history.op(op))
    }

    /// What is wrong with a read that is not final; and remembers what it returned.
    fn take_early(&mut self, read: OpId, elements: &[ValueId]) -> Option<Wrong> {
        let (until, process) = (self.completed(read), self.process(read));
        for (place, &value) in elements.iter().enumerate() {
            let (adds, removes) = self.of(value);
            // The first was invoked first.
            let Some(first) = adds.first().filter(|add| self.invoked(add.op) < until) else { return Some(Wrong::Nowhere { read, value }) };
            let (is_known, is_removed) = (first.is_done, !removes.is_empty());
            // They are sorted.
            let times = elements[place..].iter().take_while(|&&other| other == value).count();
            if times > 1 {
                return Some(Wrong::Twice { read, value, times, attempted: 1 });
            }
            if is_removed {
                self.first_seen.entry((process, value)).or_insert(read);
            }
            if !is_known {
                let earliest = *self.first_read.entry(value).or_insert(read);
                if until < self.completed(earliest) {
                    self.first_read.insert(value, read);
                }
            }
        }
        None
    }

    /// The acknowledged removes that matter: the last of each process, by process. (It has seen all that others of it had to see.)
    fn last_removes(&self, removes: &[Deed]) -> Vec<(Process, OpId)> {
        let mut last: Vec<(Process, OpId)> =
            removes.iter().filter(|remove| remove.is_done).map(|remove| (self.process(remove.op), remove.op)).collect();
        last.sort_unstable();
        last.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1;
            }
            same
        });
        last
    }

    /// The read that 3 asks about and that completed first, with the remove that follows it.
    fn first_asked(&self, element: ValueId, last: &[(Process, OpId)]) -> Option<(OpId, OpId)> {
        let asked = last.iter().filter_map(|&(process, remove)| {
            let read = *self.first_seen.get(&(process, element))?;
            (read < remove).then_some((read, remove))
        });
        asked.min_by_key(|(read, _)| self.completed(*read))
    }

    /// The last remove of an add's own process, if it must have seen the add by 2.
    fn own_remove(&self, add: &Deed, last: &[(Process, OpId)]) -> Option<OpId> {
        let place = last.binary_search_by_key(&self.process(add.op), |own| own.0).ok()?;
        let remove = last[place].1;
        (add.is_done && add.op < remove).then_some(remove)
    }

    /// Why a final read must not have an element; `None` if it may.
    fn forbidden(&self, data_type: DataType, element: ValueId, read: OpId) -> Option<Wrong> {
        let (adds, removes) = self.of(element);
        let last = match data_type {
            DataType::TwoPhaseSet | DataType::ObservedRemoveSet if !removes.is_empty() => self.last_removes(removes),
            _ => return None,
        };
        let asked = self.first_asked(element, &last);
        if data_type == DataType::TwoPhaseSet {
            let own = adds.iter().find_map(|add| Some((add.op, self.own_remove(add, &last)?)));
            let (known_by, remove) = own.or(asked)?;
            return Some(Wrong::CameBack { read, value: element, known_by, remove });
        }
        let mut seen_by = Vec::new();
        let mut by_read = None;
        for (place, add) in adds.iter().enumerate() {
            let is_alone = |read: OpId| place == 0 && adds.get(1).is_none_or(|next| self.invoked(next.op) > self.completed(read));
            match self.own_remove(add, &last) {
                Some(remove) => seen_by.push(remove),
                None => by_read = Some(asked.filter(|(read, _)| is_alone(*read))?),
            }
        }
        seen_by.extend(by_read.map(|(_, remove)| remove));
        seen_by.sort_unstable();
        seen_by.dedup();
        Some(Wrong::NotRemoved { read, value: element, removes: seen_by, known_by: by_read.map(|(read, _)| read) })
    }

    /// An element that a read before the end had, that a final one lacks, and that nothing can have taken away.
    fn gone_since(&self, data_type: DataType, seen: &Seen, there: &[ValueId]) -> Option<ValueId> {
        let Seen::Elements(elements) = seen else { return None };
        let is_gone = |value: &&ValueId| {
            let (adds, removes) = self.of(**value);
            there.binary_search(value).is_err() && adds.first().is_some_and(|add| self.is_safe(data_type, add, removes))
        };
        elements.iter().find(is_gone).copied()
    }

    /// Whether no remove can have seen an add, if it happened, and with it all that came later.
    fn is_safe(&self, data_type: DataType, add: &Deed, removes: &[Deed]) -> bool {
        match (data_type, removes.iter().map(|remove| self.completed(remove.op)).max()) {
            (_, None) => true,
            (DataType::ObservedRemoveSet, Some(end)) => self.invoked(add.op) > end,
            (DataType::GrowOnlySet | DataType::TwoPhaseSet | DataType::Counter, Some(_)) => false,
        }
    }

    /// Why a final read must have the element: an acknowledged add, or a read before the end, that nothing can have taken away.
    fn required(&self, data_type: DataType, element: ValueId) -> Option<Required> {
        let (adds, removes) = self.of(element);
        let add =
            adds.iter().filter(|add| add.is_done).find(|add| self.is_safe(data_type, add, removes)).map(|add| Required::Added(add.op));
        let read =
            || self.first_read.get(&element).filter(|_| adds.first().is_some_and(|add| self.is_safe(data_type, add, removes))).copied();
        add.or_else(|| read().map(Required::Read))
    }

    /// What is wrong with a final read by itself.
    fn wrong(&self, data_type: DataType, read: OpId, elements: &[ValueId]) -> Option<Wrong> {
        for (place, &value) in elements.iter().enumerate() {
            if self.of(value).0.is_empty() {
                return Some(Wrong::Nowhere { read, value });
            }
            let times = elements[place..].iter().take_while(|&&other| other == value).count();
            if times > 1 {
                return Some(Wrong::Twice { read, value, times, attempted: 1 });
            }
        }
        // What one read shows by itself comes before what takes others too.
        if let Some(wrong) = elements.iter().find_map(|&value| self.forbidden(data_type, value, read)) {
            return Some(wrong);
        }
        let mut lost: Option<(OpId, ValueId)> = None;
        let mut unsaid: Option<(OpId, ValueId)> = None;
        let mut others = 0;
        for of_element in self.all.chunk_by(|a, b| a.element == b.element) {
            let element = of_element[0].element;
            match self.required(data_type, element).filter(|_| elements.binary_search(&element).is_err()) {
                None => {}
                Some(Required::Added(add)) => {
                    others += usize::from(lost.is_some());
                    lost = Some(lost.map_or((add, element), |known| known.min((add, element))));
                }
                Some(Required::Read(early)) => unsaid = Some(unsaid.map_or((early, element), |known| known.min((early, element)))),
            }
        }
        let gone = lost.map(|(add, value)| Wrong::Gone { read, value, add, others });
        gone.or_else(|| unsaid.map(|(early, value)| Wrong::SeenThenGone { early, read, value, there: 0, adds: Vec::new() }))
    }

    /// What happened, and in which order it can be played on a plain set: where an element stays, its adds come last, else its
    /// removes.
    fn order(&self, elements: &[ValueId]) -> Vec<OpId> {
        let (mut early, mut late) = (Vec::new(), Vec::new());
        for of_element in self.all.chunk_by(|a, b| a.element == b.element) {
            let element = of_element[0].element;
            let stays = elements.binary_search(&element).is_ok();
            let (adds, removes) = of_element.split_at(of_element.partition_point(|deed| !deed.is_remove));
            let is_asked = || self.first_asked(element, &self.last_removes(removes)).is_some();
            let asked = stays || self.first_read.contains_key(&element) || !removes.is_empty() && is_asked();
            for (place, add) in adds.iter().enumerate() {
                if add.is_done || stays || asked && place == 0 {
                    if stays { &mut late } else { &mut early }.push(add.op);
                }
            }
            for remove in removes.iter().filter(|remove| remove.is_done || !stays) {
                if stays { &mut early } else { &mut late }.push(remove.op);
            }
        }
        early.extend(late);
        early
    }
}

/// Why an element must be there.
enum Required {
    /// An acknowledged add.
    Added(OpId),
    /// A read before the end.
    Read(OpId),
}

/// Bytes for each update that [`Deeds`] takes.
const DEED_BYTES: usize = size_of::<Deed>() + 32;

/// Decides by the type of the set. Linear in the updates and the sizes of all reads, but for the sorting of the updates.
pub(super) fn decide(
    history: &History,
    objects: &Objects<'_>,
    object: &Object,
    data_type: DataType,
    account: &mut Account<'_>,
) -> Result<Found, Limit> {
    account.hold(object.updates.len() * DEED_BYTES)?;
    account.work(object.updates.len() as u64 * 8)?;
    let mut deeds = Deeds::new(history, object);
    for &read in &object.early {
        for seen in object.seen(history, objects, read) {
            let Seen::Elements(elements) = seen else { continue };
            account.work(elements.len() as u64 + 1)?;
            if let Some(wrong) = deeds.take_early(read, &elements) {
                return Ok(Found::Wrong(wrong));
            }
            account.hold(object.updates.len() * DEED_BYTES + (deeds.first_seen.len() + deeds.first_read.len()) * 32)?;
        }
    }
    let mut first: Option<(&FinalRead, &[ValueId])> = None;
    for read in &object.reads {
        let Seen::Elements(elements) = &read.seen else { continue };
        account.work((elements.len() + object.updates.len()) as u64)?;
        if first.is_some_and(|(_, known)| known == &**elements) {
            continue;
        }
        if let Some(wrong) = deeds.wrong(data_type, read.op, elements) {
            let early = wrong.known_by();
            let seen = early.map_or_else(Vec::new, |early| object.seen(history, objects, early));
            let gone = seen.iter().find_map(|seen| deeds.gone_since(data_type, seen, elements));
            return Ok(Found::Wrong(match (early, gone) {
                // A read that is needed shows this by itself.
                (Some(early), Some(value)) => Wrong::SeenThenGone { early, read: read.op, value, there: 0, adds: Vec::new() },
                _ => wrong,
            }));
        }
        if let Some((known, theirs)) = first {
            return Ok(Found::Wrong(difference((known.op, theirs), (read.op, elements))));
        }
        first = Some((read, elements));
    }
    Ok(Found::Order(first.map_or_else(Vec::new, |(_, elements)| deeds.order(elements))))
}
