//! Values that were read, against those that were written.
//!
//! For every object: first who wrote each value, then, in the order of the ops, every value that was read. A value is told once.
//! It counts as written if an op that did not fail was called with it, or answered that it wrote it, and began before the read
//! ended. Scalars are compared, and the scalar elements of a collection unless collections are written; never maps, of which
//! nobody knows what they mean.

use super::meaning::{Meaning, Touch, TouchKind};
use super::table::{NOBODY, Table};
use super::{Assume, PLACES_MAX, Report, Rule, last_event, many, place_name, shown, told};
use crate::history::{History, NO_EVENT, OpId, Outcome};
use crate::keyed::{KeyOps, Keys};
use crate::value::{Value, ValueId, View};
use hashbrown::HashMap;
use rayon::prelude::*;
use rustc_hash::FxBuildHasher;

/// Fewer reads tell nothing of a habit.
const READS_HABIT: usize = 5;
/// Fewer writes do not show that every one shall have a value of its own.
const UNIQUE_WRITES: usize = 50;
/// Nearly all are unique: at most one in so many is not. Twenty values, written at random and twice each, repeat more often.
const REPEATED_SHARE: usize = 50;

pub(super) fn lint(report: &mut Report<'_>, keys: &Keys, assume: &Assume) {
    let history = report.history;
    let Some(meaning) = Meaning::of(history) else { return };
    let Some(whole) = tally(history, keys, assume, &meaning) else { return };
    let teller = Teller { history, keys, meaning: &meaning };
    teller.unwritten(report, &whole.unwritten);
    teller.failed(report, &whole.failed);
    teller.early(report, &whole.early);
    teller.repeated(report, &whole);
    nothing_read(report, &whole);
    teller.without_value(report, &whole.without_value);
}

/// Examines all objects. `None`: an op cannot be understood, and may have written anything.
pub(super) fn tally(history: &History, keys: &Keys, assume: &Assume, meaning: &Meaning) -> Option<Tally> {
    let examiner = Examiner {
        history,
        keys,
        meaning,
        initial: assume.initial.as_ref(),
        timed: history.has_real_time(),
        sure_of_failures: history.has_processes() || history.ops().iter().all(|op| op.invoke == NO_EVENT),
    };
    let tallies: Vec<Option<Tally>> =
        keys.groups().par_iter().map_init(Table::default, |table, group| examiner.examine(table, group)).collect();
    let mut whole = Tally::default();
    for tally in tallies {
        whole.add(&mut tally?);
    }
    Some(whole)
}

/// A value at an op, and the other op that has to do with it, by its first event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) op: OpId,
    key: ValueId,
    pub(super) value: ValueId,
    other: u32,
}

/// How often something was found, and the first places.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) count: usize,
    pub(super) spots: Vec<Spot>,
    /// All are of the value of the first.
    one_value: bool,
}

impl Found {
    fn at(&mut self, spot: Spot) {
        self.count += 1;
        self.one_value = self.spots.first().is_none_or(|first| self.one_value && first.value == spot.value);
        if self.spots.len() < PLACES_MAX {
            self.spots.push(spot);
        }
    }

    fn add(&mut self, other: &mut Found) {
        let same = |first: &Spot| self.one_value && other.one_value && other.spots[0].value == first.value;
        if other.count > 0 {
            self.one_value = self.spots.first().map_or(other.one_value, same);
        }
        self.count += other.count;
        self.spots.append(&mut other.spots);
        self.spots.sort_by_key(|spot| spot.op);
        self.spots.truncate(PLACES_MAX);
    }
}

/// What was found under one key, or under all.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) unwritten: Found,
    pub(super) failed: Found,
    pub(super) early: Found,
    pub(super) repeated: Found,
    pub(super) without_value: Found,
    /// Writes to objects that were written more than once.
    pub(super) writes: usize,
    /// Writes of values that took effect.
    pub(super) writes_ok: usize,
    pub(super) reads: usize,
    pub(super) reads_nil: usize,
}

impl Tally {
    fn add(&mut self, other: &mut Tally) {
        self.unwritten.add(&mut other.unwritten);
        self.failed.add(&mut other.failed);
        self.early.add(&mut other.early);
        self.repeated.add(&mut other.repeated);
        self.without_value.add(&mut other.without_value);
        self.writes += other.writes;
        self.writes_ok += other.writes_ok;
        self.reads += other.reads;
        self.reads_nil += other.reads_nil;
    }
}

/// The objects of one group, as dense numbers: one, but for transactions.
#[derive(Debug)]
struct Objects {
    /// By key, for transactions.
    numbers: Option<HashMap<ValueId, u32, FxBuildHasher>>,
    /// Writes that did not fail, by object.
    writes: Vec<u32>,
    /// The last collection read of each object, and the event that returned it.
    collections: Vec<(ValueId, u32)>,
}

impl Objects {
    fn new(meaning: &Meaning) -> Objects {
        let numbers = meaning.transactions.then(HashMap::default);
        Objects { numbers, writes: vec![0], collections: vec![(ValueId::NIL, 0)] }
    }

    fn number(&mut self, key: ValueId) -> u32 {
        let Some(numbers) = &mut self.numbers else { return 0 };
        let next = self.writes.len() as u32;
        let number = *numbers.entry(key).or_insert(next);
        if number == next {
            self.writes.push(0);
            self.collections.push((ValueId::NIL, 0));
        }
        number
    }
}

/// Examines one group at a time.
struct Examiner<'a> {
    history: &'a History,
    keys: &'a Keys,
    meaning: &'a Meaning,
    initial: Option<&'a Value>,
    /// It is known which op was over before which began.
    timed: bool,
    /// Which op a failure belongs to is known.
    sure_of_failures: bool,
}

impl Examiner<'_> {
    /// `None`: an op cannot be understood.
    fn examine(&self, table: &mut Table, group: &KeyOps) -> Option<Tally> {
        table.begin(group.ops.len());
        let mut objects = Objects::new(self.meaning);
        let mut tally = Tally::default();
        let mut collections_written = false;
        for &id in &group.ops {
            let op = self.history.op(id);
            let outcome = self.history.outcome(op);
            let position = self.history.first_event(op);
            self.meaning.writes(self.history, self.keys, op, |Touch { key, value, kind }| {
                let asked = kind == TouchKind::Write;
                if value.is_nil() {
                    if asked {
                        tally.without_value.at(Spot { op: id, key, value, other: position });
                    }
                    return;
                }
                tally.writes_ok += usize::from(asked && outcome == Outcome::Ok);
                if !is_scalar(self.history, value) {
                    collections_written |= self.history.values.elements(value).is_some();
                    return;
                }
                let object = objects.number(key);
                let cell = table.cell(object, value);
                if outcome == Outcome::Fail && self.sure_of_failures {
                    cell.fail = cell.fail.min(position);
                    return;
                }
                if asked && cell.asked {
                    tally.repeated.at(Spot { op: id, key, value, other: cell.write });
                }
                cell.write = cell.write.min(position);
                cell.asked |= asked;
                objects.writes[object as usize] += u32::from(asked);
            })?;
        }
        tally.writes = objects.writes.iter().filter(|&&n| n > 1).map(|&n| n as usize).sum();
        for &id in &group.ops {
            let op = self.history.op(id);
            self.meaning.reads(self.history, self.keys, op, |Touch { key, value, kind }| {
                tally.reads += usize::from(kind == TouchKind::Read);
                tally.reads_nil += usize::from(kind == TouchKind::Read && value.is_nil());
                let read = Spot { op: id, key, value, other: NOBODY };
                self.read(&mut tally, table, &mut objects, read, op.complete, collections_written);
            })?;
        }
        Some(tally)
    }

    /// A value that was read, at the event `end`.
    fn read(&self, tally: &mut Tally, table: &mut Table, objects: &mut Objects, read: Spot, end: u32, collections_written: bool) {
        let values = &self.history.values;
        if let Some(elements) = values.elements(read.value) {
            if collections_written {
                return;
            }
            let object = objects.number(read.key);
            let last = &mut objects.collections[object as usize];
            // What the last one began with was looked at then, and the read that returned it was over before this one.
            let known = values.elements(last.0).filter(|_| last.1 <= end).unwrap_or_default();
            let common = known.iter().zip(elements).take_while(|(a, b)| a == b).count();
            *last = (read.value, end);
            for &value in &elements[common..] {
                if !value.is_nil() && is_scalar(self.history, value) {
                    self.value_read(tally, table, object, Spot { value, ..read }, end, true);
                }
            }
        } else if !self.meaning.combines && !read.value.is_nil() && is_scalar(self.history, read.value) {
            let object = objects.number(read.key);
            self.value_read(tally, table, object, read, end, false);
        }
    }

    fn value_read(&self, tally: &mut Tally, table: &mut Table, object: u32, read: Spot, end: u32, is_element: bool) {
        let began = |position: u32| position != NOBODY && (position < end || !self.timed);
        let cell = table.cell(object, read.value);
        if began(cell.write) || cell.told || self.is_initial(read.value, is_element) {
            return;
        }
        cell.told = true;
        let (found, other) = if began(cell.fail) {
            (&mut tally.failed, cell.fail)
        } else if cell.write != NOBODY || cell.fail != NOBODY {
            (&mut tally.early, cell.write.min(cell.fail))
        } else {
            (&mut tally.unwritten, NOBODY)
        };
        found.at(Spot { other, ..read });
    }

    /// Whether an object may hold the value from the start.
    fn is_initial(&self, value: ValueId, is_element: bool) -> bool {
        let common = match self.history.values.view(value) {
            View::Int(0) | View::Bool(false) | View::Str("") => true,
            View::Float(x) => x == 0.0,
            _ => false,
        };
        let told = |initial: &Value| match initial.elements() {
            Some(elements) => elements.contains(&self.history.values.get(value)),
            None => !is_element && *initial == self.history.values.get(value),
        };
        (common && !is_element) || self.initial.is_some_and(told)
    }
}

fn is_scalar(history: &History, value: ValueId) -> bool {
    let view = history.values.view(value);
    !matches!(view, View::List(_) | View::Vector(_) | View::Set(_) | View::Map(_) | View::Tagged(..))
}

/// Puts what was found into words.
struct Teller<'a> {
    history: &'a History,
    keys: &'a Keys,
    meaning: &'a Meaning,
}

impl Teller<'_> {
    fn unwritten(&self, report: &mut Report<'_>, found: &Found) {
        if found.count == 0 {
            return;
        }
        let elsewhere = self.elsewhere(&found.spots);
        let mut hints = elsewhere.iter();
        let places = self.places(found, |spot| {
            let what = if self.is_plain(spot) { String::new() } else { format!(": nobody wrote {}", self.value(spot)) };
            format!("{what}{}", hints.next().and_then(Option::as_ref).map(|hint| hint.text.as_str()).unwrap_or_default())
        });
        let were = if found.count == 1 { "was" } else { "were" };
        let sentence = format!("{} {were} read that nobody wrote.", many(found.count, "value"));
        let finding = report.add(Rule::ReadOfUnwrittenValue, found.count, sentence, places);
        // What the places show is the likeliest cause.
        let cause = match elsewhere.iter().flatten().next() {
            Some(hint) if hint.same_object => "the value is written as one type and read as another".into(),
            Some(_) => "keys are mixed up".into(),
            None if found.one_value => {
                let value = shown(self.history, found.spots[0].value);
                format!("every object starts with {value} (then say --initial {value})")
            }
            None => return,
        };
        finding
            .causes
            .retain(|other| !(other.starts_with(&cause) || cause.starts_with("every object") && other.starts_with("the initial")));
        finding.causes.insert(0, cause);
    }

    fn failed(&self, report: &mut Report<'_>, found: &Found) {
        let sentence = match found.count {
            0 => return,
            1 => "1 value was read whose only write so far had failed, or was to fail.".into(),
            n => format!("{n} values were read whose only writes so far had failed, or were to fail."),
        };
        let places = self.places(found, |spot| format!("{}, but the op of {} failed", self.of(spot), self.place(spot.other)));
        report.add(Rule::ReadOfFailedWrite, found.count, sentence, places);
    }

    fn early(&self, report: &mut Report<'_>, found: &Found) {
        if found.count == 0 {
            return;
        }
        let places =
            self.places(found, |spot| format!("{}, but its write was invoked later, in {}", self.of(spot), self.place(spot.other)));
        let were = if found.count == 1 { "was" } else { "were" };
        let sentence = format!("{} {were} read before anybody asked to write it.", many(found.count, "value"));
        report.add(Rule::ReadBeforeWritten, found.count, sentence, places);
    }

    fn repeated(&self, report: &mut Report<'_>, whole: &Tally) {
        let (found, writes) = (&whole.repeated, whole.writes);
        if found.count == 0 || writes < UNIQUE_WRITES || found.count * REPEATED_SHARE > writes {
            return;
        }
        let places = self.places(found, |spot| format!("{}, written before in {}", self.of(spot), self.place(spot.other)));
        let repeat = if found.count == 1 { "repeats" } else { "repeat" };
        let sentence = format!("{} of {} {repeat} a value, all others write one of their own.", found.count, many(writes, "write"));
        report.add(Rule::RepeatedWrite, found.count, sentence, places);
    }

    fn without_value(&self, report: &mut Report<'_>, found: &Found) {
        if found.count == 0 {
            return;
        }
        let place = |spot: &Spot| (spot.other, told(self.history, spot.other));
        let places = found.spots.iter().map(place).collect();
        let write = if found.count == 1 { "writes" } else { "write" };
        report.add(Rule::WriteWithoutValue, found.count, format!("{} {write} nil.", many(found.count, "op")), places);
    }

    /// The places, each with what happens there and what is wrong with it.
    fn places(&self, found: &Found, mut wrong: impl FnMut(&Spot) -> String) -> Vec<(u32, String)> {
        let place = |spot: &Spot| {
            let event = last_event(self.history, spot.op);
            (event, format!("{}{}", told(self.history, event), wrong(spot)))
        };
        found.spots.iter().map(place).collect()
    }

    fn place(&self, event: u32) -> String {
        place_name(self.history, event)
    }

    /// Whether the event says by itself which value is meant.
    fn is_plain(&self, spot: &Spot) -> bool {
        self.keys.output(self.history, self.history.op(spot.op)) == Some(spot.value)
    }

    /// `: 7 to key 3`, where the event does not say it by itself.
    fn of(&self, spot: &Spot) -> String {
        if self.is_plain(spot) { String::new() } else { format!(": {}", self.value(spot)) }
    }

    /// `7`, or `7 to key 3` of a transaction.
    fn value(&self, spot: &Spot) -> String {
        let value = shown(self.history, spot.value);
        if self.meaning.transactions { format!("{value} to key {}", shown(self.history, spot.key)) } else { value }
    }

    /// For each spot, where its value was written to another object, or one that looks like it to the same. One pass over the
    /// ops for the few spots there are.
    fn elsewhere(&self, spots: &[Spot]) -> Vec<Option<Hint>> {
        let history = self.history;
        let mut hints: Vec<Option<Hint>> = spots.iter().map(|_| None).collect();
        for group in self.keys.groups() {
            let here: Vec<bool> = spots.iter().map(|spot| group.ops.binary_search(&spot.op).is_ok()).collect();
            for &id in &group.ops {
                let op = history.op(id);
                // No op is misunderstood: otherwise there would be no spots.
                let _ = self.meaning.writes(history, self.keys, op, |touch| {
                    for ((spot, hint), here) in spots.iter().zip(&mut hints).zip(&here) {
                        let same_object = *here && touch.key == spot.key;
                        let better = hint.as_ref().is_none_or(|hint| same_object && !hint.same_object);
                        let fits = if same_object { looks_like(history, touch.value, spot.value) } else { touch.value == spot.value };
                        if touch.kind == TouchKind::Write && better && fits {
                            *hint =
                                Some(self.hint(spot, group.key.unwrap_or(touch.key), touch.value, same_object, history.first_event(op)));
                        }
                    }
                });
            }
        }
        hints
    }

    fn hint(&self, spot: &Spot, key: ValueId, value: ValueId, same_object: bool, event: u32) -> Hint {
        let place = self.place(event);
        let text = if same_object {
            format!("; {} was written in {place}", shown(self.history, value))
        } else {
            format!("; {} was written to key {} in {place}", shown(self.history, spot.value), shown(self.history, key))
        };
        Hint { same_object, text }
    }
}

fn nothing_read(report: &mut Report<'_>, whole: &Tally) {
    if whole.reads < READS_HABIT || whole.reads_nil < whole.reads || whole.writes_ok == 0 {
        return;
    }
    let sentence = format!("All {} reads that succeeded returned nil, although {} succeeded.", whole.reads, many(whole.writes_ok, "write"));
    report.add(Rule::ReadsReturnNothing, whole.reads, sentence, Vec::new());
}

/// Where the value that was read may come from.
#[derive(Debug)]
struct Hint {
    /// Another value that looks like it was written to the same object; else it was written to another object.
    same_object: bool,
    text: String,
}

/// Whether two values differ, in their type only: `7`, `7.0` and `"7"`.
fn looks_like(history: &History, a: ValueId, b: ValueId) -> bool {
    if a == b || (a.as_small_int().is_some() && b.as_small_int().is_some()) {
        return false;
    }
    let number = |id| match history.values.view(id) {
        View::Int(i) => Some((i as f64).to_bits()),
        View::Float(x) => Some(x.to_bits()),
        _ => history.values.name(id).parse::<f64>().ok().map(f64::to_bits),
    };
    let text = |id| Some(history.values.name(id)).filter(|text| !text.is_empty());
    matches!((number(a), number(b)), (Some(a), Some(b)) if a == b) || matches!((text(a), text(b)), (Some(a), Some(b)) if a == b)
}
