//! When faults start and end: for each class by turns, with uniform gaps, so that classes overlap; or a mix of classes that shifts from
//! period to period; or each class, or each way of it, once a round; or as a script says.
//!
//! Everything is drawn from the seed by `ChaCha8`, with a stream of its own for each class and use, so that the gaps (by turns) and the
//! targets of one class are the same whatever other classes there are, and whatever the cluster does.

use crate::fault::{Action, Phase};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// Uses of randomness: the low bits of a stream's number.
const GAPS: u64 = 0;
const TARGETS: u64 = 1;

/// The words of a target stream that belong to one injection: far more than any draws.
const WORDS_PER_INJECTION: u128 = 1 << 20;

/// The generator of a class of faults for one use.
fn stream(seed: u64, class: &str, usage: u64) -> ChaCha8Rng {
    // FNV-1a: the number of a class must depend on its name alone.
    let hash = class.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(hash << 1 | usage);
    rng
}

/// The generator for the targets of a class's injection number `count`: the same whatever the earlier ones drew.
pub(crate) fn targets(seed: u64, class: &str, count: u64) -> ChaCha8Rng {
    let mut rng = stream(seed, class, TARGETS);
    rng.set_word_pos(u128::from(count) * WORDS_PER_INJECTION);
    rng
}

/// How classes of faults are mixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mix {
    /// Each class starts and ends by itself; classes overlap.
    #[default]
    FlipFlop,
    /// In each period a random subset of the classes, and in a quarter of the periods none.
    Shifting,
    /// Each class once a round (or more often: [`Schedule::rounds`]), in an order drawn anew: in the first round one at a time, later up
    /// to two. Of many classes by turns so many are active at once that nothing is left standing to hurt, or to be seen hurt.
    Rounds,
}

/// How long the faults of a class are active and away, where it starts and ends by turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From its start to its end.
    pub down: Gap,
    /// From its end to the next start.
    pub up: Gap,
}

impl Timing {
    /// As long active as away, on average.
    pub fn even(interval: Duration) -> Timing {
        Timing { down: Gap::About(interval), up: Gap::About(interval) }
    }
}

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// Always this.
    Exactly(Duration),
    /// This on average: uniform below twice as much.
    About(Duration),
}

/// A fault that was asked for at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which: an index into the nemesis's list.
    pub fault: usize,
    /// Its start.
    pub at: Duration,
    /// Its end; `None`: the end of the run.
    pub until: Option<Duration>,
}

/// When faults start and end, in order of time. A drawn one has no end.
pub struct Schedule {
    kind: Kind,
    /// How many faults it speaks of.
    faults: usize,
    /// Whether it would go without some of more faults than that.
    leaves_none_out: bool,
}

/// A schedule and the faults that it is to inject do not fit each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// How many faults the schedule speaks of.
    pub scheduled: usize,
    /// How many faults there are.
    pub faults: usize,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Mismatch { scheduled, faults } = self;
        write!(f, "the schedule does not match the faults: it speaks of {scheduled}, and {faults} were asked for")
    }
}

impl std::error::Error for Mismatch {}

enum Kind {
    FlipFlop(Vec<Turns>),
    Shifting(Box<Shifting>),
    Rounds(Box<Rounds>),
    /// What is left, the last first.
    Scripted(Vec<Action>),
}

impl Schedule {
    /// The schedule of these classes, drawn from the seed.
    ///
    /// By `FlipFlop`, gaps between the start and the end of a fault, and between its end and the next start, are uniform in
    /// [0, 2 × `interval`). By `Shifting`, a period is twice the interval long, and whatever starts in it ends in it. By `Rounds`, a
    /// class begins every `interval`.
    pub fn drawn(mix: Mix, classes: &[&str], interval: Duration, seed: u64) -> Schedule {
        let kind = match mix {
            Mix::FlipFlop => {
                let timed: Vec<(&str, Timing)> = classes.iter().map(|&class| (class, Timing::even(interval))).collect();
                return Schedule::by_turns(&timed, seed);
            }
            Mix::Rounds => return Schedule::rounds(&vec![1; classes.len()], interval, seed),
            Mix::Shifting => Kind::Shifting(Box::new(Shifting::new(classes.len(), interval, seed))),
        };
        Schedule { kind, faults: classes.len(), leaves_none_out: true }
    }

    /// By turns, each class with its own lengths of time, drawn from the seed. The first pause is half as long as the others: within the
    /// time that is one on average, each class has begun.
    pub fn by_turns(classes: &[(&str, Timing)], seed: u64) -> Schedule {
        let turns = |&(class, timing): &(&str, Timing)| {
            let mut turns = Turns { gaps: stream(seed, class, GAPS), timing, phase: Phase::Start, at: Duration::ZERO };
            turns.advance();
            turns.at /= 2;
            turns
        };
        Schedule { kind: Kind::FlipFlop(classes.iter().map(turns).collect()), faults: classes.len(), leaves_none_out: true }
    }

    /// Rounds in which each class begins so many times, one class every `interval`. Two turns of a class do not overlap.
    pub fn rounds(turns: &[usize], interval: Duration, seed: u64) -> Schedule {
        Schedule { kind: Kind::Rounds(Box::new(Rounds::new(turns, interval, seed))), faults: turns.len(), leaves_none_out: true }
    }

    /// The schedule of these steps. Of actions at the same time, ends come first.
    pub fn scripted(steps: &[Step]) -> Schedule {
        let start = |step: &Step| Action { fault: step.fault, phase: Phase::Start, at: step.at };
        let stop = |step: &Step| step.until.map(|at| Action { fault: step.fault, phase: Phase::Stop, at });
        let mut actions: Vec<Action> = steps.iter().flat_map(|step| [Some(start(step)), stop(step)]).flatten().collect();
        actions.sort_by_key(|action| std::cmp::Reverse((action.at, action.phase == Phase::Start, action.fault)));
        let faults = steps.iter().map(|step| step.fault + 1).max().unwrap_or(0);
        Schedule { kind: Kind::Scripted(actions), faults, leaves_none_out: false }
    }

    /// Whether it can be performed with so many faults: each index that it will give is one of theirs, and a drawn one leaves none of
    /// them out.
    ///
    /// # Errors
    /// [`Mismatch`].
    pub fn fits(&self, faults: usize) -> Result<(), Mismatch> {
        let fits = if self.leaves_none_out { self.faults == faults } else { self.faults <= faults };
        if fits { Ok(()) } else { Err(Mismatch { scheduled: self.faults, faults }) }
    }
}

impl Iterator for Schedule {
    type Item = Action;

    /// The next action. `None` if there are no classes, or at the end of a script.
    fn next(&mut self) -> Option<Action> {
        match &mut self.kind {
            Kind::FlipFlop(classes) => {
                // Of two at the same time, that of the earlier class.
                let (fault, turns) = classes.iter_mut().enumerate().min_by_key(|(_, turns)| turns.at)?;
                let action = Action { fault, phase: turns.phase, at: turns.at };
                turns.phase = match turns.phase {
                    Phase::Start => Phase::Stop,
                    Phase::Stop => Phase::Start,
                };
                turns.advance();
                Some(action)
            }
            Kind::Shifting(shifting) => shifting.next(),
            Kind::Rounds(rounds) => rounds.next(),
            Kind::Scripted(actions) => actions.pop(),
        }
    }
}

/// A class that starts and ends by turns.
struct Turns {
    gaps: ChaCha8Rng,
    timing: Timing,
    /// What comes next, and when.
    phase: Phase,
    at: Duration,
}

impl Turns {
    /// Draws how long it is until what comes next.
    fn advance(&mut self) {
        let gap = match self.phase {
            Phase::Start => self.timing.up,
            Phase::Stop => self.timing.down,
        };
        let (Gap::About(mean) | Gap::Exactly(mean)) = gap;
        let gap_max = mean.saturating_mul(2).as_nanos().clamp(1, u128::from(u64::MAX)) as u64;
        // Drawn in any case: the gaps of the other kind do not depend on whether these are drawn.
        let drawn = Duration::from_nanos(self.gaps.random_range(0..gap_max));
        self.at = self.at.saturating_add(if matches!(gap, Gap::Exactly(_)) { mean } else { drawn });
    }
}

/// A period is so many intervals long.
const PERIOD_INTERVALS: u32 = 2;

/// One in so many periods is quiet.
const QUIET_ONE_IN: u32 = 4;

/// A mix that shifts from period to period.
struct Shifting {
    rng: ChaCha8Rng,
    classes: usize,
    period: Duration,
    /// The start of the next period.
    next: Duration,
    /// What is left to do in this one, the last first.
    actions: Vec<Action>,
}

impl Shifting {
    fn new(classes: usize, interval: Duration, seed: u64) -> Shifting {
        let period = (PERIOD_INTERVALS * interval).max(Duration::from_nanos(4));
        Shifting { rng: stream(seed, "shifting mix", GAPS), classes, period, next: Duration::ZERO, actions: Vec::new() }
    }

    /// Draws a period: classes start in its first quarter and end in its last one.
    fn draw(&mut self) {
        let quarter = (self.period / 4).as_nanos().clamp(1, u128::from(u64::MAX)) as u64;
        let quiet = self.rng.random_range(0..QUIET_ONE_IN) == 0;
        // One is sure to join: a period without any would be quiet, too.
        let sure = self.rng.random_range(0..self.classes);
        for fault in 0..self.classes {
            let joins: bool = self.rng.random();
            let [start, early] = [(); 2].map(|()| Duration::from_nanos(self.rng.random_range(0..quarter)));
            if !quiet && (joins || fault == sure) {
                let stop = (self.next + self.period).saturating_sub(early + Duration::from_nanos(1));
                self.actions.push(Action { fault, phase: Phase::Start, at: self.next + start });
                self.actions.push(Action { fault, phase: Phase::Stop, at: stop });
            }
        }
        self.actions.sort_by_key(|action| std::cmp::Reverse((action.at, action.phase == Phase::Stop, action.fault)));
        self.next = self.next.saturating_add(self.period);
    }

    fn next(&mut self) -> Option<Action> {
        while self.actions.is_empty() && self.classes > 0 {
            self.draw();
        }
        self.actions.pop()
    }
}

/// Rounds in which each class has its turns.
struct Rounds {
    rng: ChaCha8Rng,
    /// By turn, whose it is.
    order: Vec<usize>,
    interval: Duration,
    /// Whether the next round is the first.
    first: bool,
    /// The start of the next turn.
    next: Duration,
    /// What is left to do in this round, the last first.
    actions: Vec<Action>,
}

impl Rounds {
    fn new(turns: &[usize], interval: Duration, seed: u64) -> Rounds {
        let order = turns.iter().enumerate().flat_map(|(class, &turns)| std::iter::repeat_n(class, turns)).collect();
        let interval = interval.max(Duration::from_nanos(100));
        Rounds { rng: stream(seed, "rounds", GAPS), order, interval, first: true, next: Duration::ZERO, actions: Vec::new() }
    }

    /// Draws a round: a class starts early in its turn, and ends so early in it that the cluster may recover before the next one, or
    /// only in the next turn. It never does if the next is its own, as that after the last may be.
    fn draw(&mut self) {
        self.order.shuffle(&mut self.rng);
        for (i, &fault) in self.order.iter().enumerate() {
            let (overlaps, [start, stop]): (bool, [f64; 2]) = self.rng.random();
            let stays = overlaps && !self.first && self.order.get(i + 1).is_some_and(|&next| next != fault);
            let stop = if stays { 1.0 + stop / 2.0 } else { 0.4 + stop / 4.0 };
            let at = |turns: f64| self.next.saturating_add(self.interval.mul_f64(turns));
            self.actions.push(Action { fault, phase: Phase::Start, at: at(0.05 + start / 10.0) });
            self.actions.push(Action { fault, phase: Phase::Stop, at: at(stop) });
            self.next = self.next.saturating_add(self.interval);
        }
        self.actions.sort_by_key(|action| std::cmp::Reverse((action.at, action.phase == Phase::Start)));
        self.first = false;
    }

    fn next(&mut self) -> Option<Action> {
        if self.actions.is_empty() {
            self.draw();
        }
        self.actions.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn actions(classes: &[&str], seed: u64, count: usize) -> Vec<Action> {
        Schedule::drawn(Mix::FlipFlop, classes, INTERVAL, seed).take(count).collect()
    }

    #[test]
    fn a_schedule_fits_its_own_faults_and_no_others() {
        for mix in [Mix::FlipFlop, Mix::Shifting, Mix::Rounds] {
            let drawn = || Schedule::drawn(mix, &["kill", "pause"], INTERVAL, 1);
            let fitting: Vec<usize> = (0..5).filter(|&faults| drawn().fits(faults).is_ok()).collect();
            assert_eq!(fitting, [2], "{mix:?}");
            assert!(drawn().take(100).all(|action| action.fault < 2), "{mix:?}");
        }
        let step = |fault| Step { fault, at: Duration::ZERO, until: None };
        let scripted = Schedule::scripted(&[step(2), step(0)]);
        assert_eq!(scripted.fits(2), Err(Mismatch { scheduled: 3, faults: 2 }));
        assert_eq!((scripted.fits(3), scripted.fits(4)), (Ok(()), Ok(())), "a script may leave some out");
        assert!(scripted.fits(1).unwrap_err().to_string().contains("does not match the faults"));
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule_and_another_another() {
        let classes = ["partition", "kill", "pause"];
        assert_eq!(actions(&classes, 7, 200), actions(&classes, 7, 200));
        assert_ne!(actions(&classes, 7, 20), actions(&classes, 8, 20));
    }

    #[test]
    fn starts_and_stops_alternate_in_order_of_time() {
        let all = actions(&["partition", "kill"], 3, 400);
        assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at));
        for fault in 0..2 {
            let phases: Vec<Phase> = all.iter().filter(|a| a.fault == fault).map(|a| a.phase).collect();
            assert!(phases.chunks_exact(2).all(|pair| pair == [Phase::Start, Phase::Stop]));
        }
        let overlap = all.windows(2).any(|pair| pair[0].phase == Phase::Start && pair[1].phase == Phase::Start);
        assert!(overlap, "classes never overlap");
    }

    #[test]
    fn a_class_keeps_its_schedule_whatever_else_there_is() {
        let times = |classes: &[&str], class: usize| {
            actions(classes, 5, 60).into_iter().filter(|a| a.fault == class).map(|a| a.at).take(15).collect::<Vec<_>>()
        };
        assert_eq!(times(&["kill"], 0), times(&["partition", "kill", "pause"], 1));
    }

    #[test]
    fn gaps_are_uniform_below_twice_the_interval() {
        let all = actions(&["kill"], 1, 10_001);
        let gaps: Vec<f64> = all.windows(2).map(|pair| pair[1].at.as_secs_f64() - pair[0].at.as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        assert!((4.8..5.2).contains(&mean), "{mean}");
        assert!(gaps.iter().all(|&gap| gap < 10.0) && gaps.iter().any(|&gap| gap > 9.9) && gaps.iter().any(|&gap| gap < 0.1));
    }

    #[test]
    fn a_class_is_active_and_away_as_long_as_it_is_told() {
        let timing = Timing { down: Gap::Exactly(Duration::from_millis(50)), up: Gap::About(INTERVAL) };
        let all: Vec<Action> = Schedule::by_turns(&[("kill", timing)], 1).take(10_001).collect();
        let gaps: Vec<f64> = all.windows(2).map(|pair| pair[1].at.as_secs_f64() - pair[0].at.as_secs_f64()).collect();
        let (down, up): (Vec<f64>, Vec<f64>) = gaps.chunks_exact(2).map(|gaps| (gaps[0], gaps[1])).unzip();
        assert!(down.iter().all(|&down| (down - 0.05).abs() < 1e-9));
        let mean = up.iter().sum::<f64>() / up.len() as f64;
        assert!((4.7..5.3).contains(&mean) && up.iter().any(|&up| up > 9.5), "{mean}");
        for seed in 0..200 {
            let first = Schedule::by_turns(&[("kill", timing)], seed).next().unwrap();
            assert!(first.at < INTERVAL, "a class begins within the time of one pause: {first:?}");
        }
    }

    #[test]
    fn targets_of_an_injection_do_not_depend_on_earlier_draws() {
        let mut first = targets(1, "kill", 0);
        let _: [u64; 100] = first.random();
        let draw = |count| targets(1, "kill", count).random::<u64>();
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        assert_ne!(draw(0), targets(1, "pause", 0).random::<u64>());
    }

    #[test]
    fn a_shifting_mix_is_quiet_in_a_quarter_of_its_periods_and_shows_every_subset() {
        let classes = ["partition", "kill", "pause"];
        let draw = |seed| Schedule::drawn(Mix::Shifting, &classes, INTERVAL, seed).take(6000).collect::<Vec<_>>();
        let all = draw(4);
        assert_eq!(all, draw(4));
        assert_ne!(all, draw(5));
        assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at));
        let period = |action: &Action| action.at.as_nanos() / (PERIOD_INTERVALS * INTERVAL).as_nanos();
        let last = period(&all[all.len() - 1]);
        let mut subsets = vec![BTreeSet::new(); last as usize];
        for action in all.iter().filter(|action| period(action) < last) {
            let mine = &mut subsets[period(action) as usize];
            assert_eq!(mine.contains(&action.fault), action.phase == Phase::Stop, "what starts in a period ends in it");
            mine.insert(action.fault);
        }
        let quiet = subsets.iter().filter(|subset| subset.is_empty()).count() as f64 / subsets.len() as f64;
        assert!((0.2..0.3).contains(&quiet), "{quiet}");
        assert_eq!(subsets.into_iter().collect::<BTreeSet<_>>().len(), 8);
    }

    #[test]
    fn every_class_has_its_turn_in_every_round_and_no_more_than_two_are_active() {
        let classes = ["a", "b", "c", "d", "e", "f", "g"];
        let draw = |seed| Schedule::drawn(Mix::Rounds, &classes, INTERVAL, seed).take(2 * 7 * 50).collect::<Vec<_>>();
        let all = draw(4);
        assert_eq!(all, draw(4));
        assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at));
        let mut active = BTreeSet::new();
        let mut most = Vec::new();
        for round in all.chunks(2 * 7) {
            most.push(0);
            let begun: BTreeSet<usize> = round.iter().filter(|action| action.phase == Phase::Start).map(|action| action.fault).collect();
            assert_eq!(begun.len(), 7);
            for action in round {
                let changed = if action.phase == Phase::Start { active.insert(action.fault) } else { active.remove(&action.fault) };
                assert!(changed, "{action:?}");
                let last = most.len() - 1;
                most[last] = active.len().max(most[last]);
            }
            assert!(active.is_empty());
        }
        assert_eq!((most[0], most.iter().max()), (1, Some(&2)));
    }

    #[test]
    fn a_class_has_as_many_turns_in_a_round_as_it_is_given() {
        let turns = [1, 3, 2];
        let all: Vec<Action> = Schedule::rounds(&turns, INTERVAL, 4).take(2 * 6 * 50).collect();
        let mut active = BTreeSet::new();
        for round in all.chunks(2 * 6) {
            let begun = |class: usize| round.iter().filter(|action| action.phase == Phase::Start && action.fault == class).count();
            assert_eq!([begun(0), begun(1), begun(2)], turns);
            for action in round {
                let changed = if action.phase == Phase::Start { active.insert(action.fault) } else { active.remove(&action.fault) };
                assert!(changed && active.len() <= 2, "{action:?}");
            }
        }
        assert!(active.is_empty());
    }

    #[test]
    fn a_script_is_done_in_order_and_has_an_end() {
        let [s1, s2, s5] = [1, 2, 5].map(Duration::from_secs);
        let steps = [
            Step { fault: 0, at: s2, until: Some(s5) },
            Step { fault: 1, at: s1, until: Some(s2) },
            Step { fault: 2, at: s5, until: None },
        ];
        let done: Vec<_> = Schedule::scripted(&steps).map(|action| (action.at, action.phase, action.fault)).collect();
        assert_eq!(done, [(s1, Phase::Start, 1), (s2, Phase::Stop, 1), (s2, Phase::Start, 0), (s5, Phase::Stop, 0), (s5, Phase::Start, 2)]);
    }

    #[test]
    fn no_interval_is_no_endless_loop() {
        for mix in [Mix::FlipFlop, Mix::Shifting, Mix::Rounds] {
            assert_eq!(Schedule::drawn(mix, &["kill"], Duration::ZERO, 1).take(10).count(), 10);
            assert_eq!(Schedule::drawn(mix, &[], INTERVAL, 1).next(), None);
        }
        assert_eq!(Schedule::scripted(&[]).next(), None);
    }
}
