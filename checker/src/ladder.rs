//! The ladder: for each consistency model whether a history keeps it, and the strongest that it keeps.
//!
//! Models imply each other ([`Consistency::implies`]): what one procedure leaves open, the answer to a stronger or a weaker
//! model may decide. Should two answers contradict that, neither is given.

use crate::Consistency;
use crate::verdict::Summary;
use std::cmp::Ordering;

/// The answer for one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The model.
    pub consistency: Consistency,
    /// The answer.
    pub summary: Summary,
    /// Why it is not kept, or not known; from which model it follows, if it was not decided by itself.
    pub reason: Option<String>,
    /// Whether the model can be judged on this history at all. Where it cannot, the reason says why.
    pub judged: bool,
}

/// Fills in what follows from other answers, and withdraws answers that contradict each other.
pub fn hold_true(told: &[Rung]) -> Vec<Rung> {
    let said = |summary| told.iter().filter(move |rung| rung.summary == summary).map(|rung| rung.consistency);
    let rung = |rung: &Rung| {
        let mine = rung.consistency;
        let kept = said(Summary::Valid).find(|other| other.implies(mine));
        let broken = said(Summary::Invalid).find(|other| mine.implies(*other));
        let (summary, reason) = match (kept, broken) {
            (Some(kept), Some(broken)) => {
                let why = format!("{} was found kept and {} not, which cannot be; this is a fault of Rashomon", kept.name(), broken.name());
                (Summary::Unknown, Some(why))
            }
            (Some(kept), None) if kept != mine => (Summary::Valid, Some(format!("it is {}", kept.name()))),
            (None, Some(broken)) if rung.summary != Summary::Invalid => (Summary::Invalid, Some(format!("it is not {}", broken.name()))),
            _ => (rung.summary, rung.reason.clone()),
        };
        Rung { consistency: mine, summary, reason, judged: rung.judged || summary != Summary::Unknown }
    };
    told.iter().map(rung).collect()
}

/// The models that are kept and that no other kept one implies.
pub fn strongest(rungs: &[Rung]) -> Vec<Consistency> {
    let kept: Vec<Consistency> = rungs.iter().filter(|rung| rung.summary == Summary::Valid).map(|rung| rung.consistency).collect();
    // Of a history that is linearizable, what is read in the end is no news.
    let is_news = |mine: Consistency| mine.is_ordered() || !kept.contains(&Consistency::Linearizable);
    let is_strongest = |mine: Consistency| kept.iter().all(|&other| other == mine || !other.implies(mine));
    kept.iter().copied().filter(|&mine| is_strongest(mine) && is_news(mine)).collect()
}

/// The answer of several models together: what the exit code, the terminal, the object for machines and the page all say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overall {
    /// The answer.
    pub summary: Summary,
    /// What it means, in a few words: `strongest model kept: sequential`.
    pub words: String,
}

impl Overall {
    /// Of the ladder. What must be kept is `at_least`; without it any model of the ladder, of which eventual consistency is none: it
    /// stands beside them, and speaks of the end only.
    pub fn of_ladder(rungs: &[Rung], at_least: Option<Consistency>) -> Overall {
        let kept = strongest_in_words(rungs);
        let Some(least) = at_least else { return Overall { summary: of_any(rungs), words: kept } };
        let summary = rungs.iter().find(|rung| rung.consistency == least).map_or(Summary::Unknown, |rung| rung.summary);
        let words = match summary {
            Summary::Valid => format!("at least {}; {kept}", least.name()),
            Summary::Unknown => format!("whether it is at least {} is not known; {kept}", least.name()),
            Summary::Invalid => format!("not {}; {kept}", least.name()),
        };
        Overall { summary, words }
    }

    /// Of models all of which must be kept.
    pub fn of_all(rungs: &[Rung]) -> Overall {
        let worst = rungs.iter().map(|rung| rung.summary).max().unwrap_or(Summary::Unknown);
        let names = rungs.iter().filter(|rung| rung.summary == worst).map(|rung| rung.consistency.name()).collect::<Vec<_>>();
        let words = match worst {
            Summary::Valid => names.join(", "),
            Summary::Unknown => format!("whether it is {} is not known", names.join(", ")),
            Summary::Invalid => format!("not {}", names.join(", not ")),
        };
        Overall { summary: worst, words }
    }

    /// Of both: the worse one.
    #[must_use]
    pub fn and(self, other: Overall) -> Overall {
        match self.summary.cmp(&other.summary) {
            Ordering::Greater => self,
            Ordering::Less => other,
            Ordering::Equal => Overall { words: format!("{}; {}", self.words, other.words), ..self },
        }
    }
}

/// Valid if some model of the ladder is kept; invalid if none is of those that can be judged on the history; else unknown.
fn of_any(rungs: &[Rung]) -> Summary {
    let ordered = rungs.iter().filter(|rung| rung.consistency.is_ordered() && rung.judged);
    ordered.map(|rung| rung.summary).min().unwrap_or(Summary::Unknown)
}

fn strongest_in_words(rungs: &[Rung]) -> String {
    let kept = strongest(rungs);
    let names: Vec<&str> = kept.iter().map(|consistency| consistency.name()).collect();
    match (of_any(rungs), kept.is_empty()) {
        (Summary::Valid, _) => format!("strongest model kept: {}", names.join(" and ")),
        (Summary::Unknown, true) => "no model is known to be kept".into(),
        (Summary::Unknown, false) => {
            format!("no model of the ladder is known to be kept; {}, which stands beside it, is", names.join(" and "))
        }
        (Summary::Invalid, true) if rungs.iter().any(|rung| !rung.judged) => "no model that can be judged on it is kept".into(),
        (Summary::Invalid, true) => "no model is kept".into(),
        (Summary::Invalid, false) => format!("no model of the ladder is kept; {}, which stands beside it, is", names.join(" and ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(of: impl Fn(Consistency) -> Summary) -> Vec<Rung> {
        let rungs =
            Consistency::ALL.into_iter().map(|consistency| Rung { consistency, summary: of(consistency), reason: None, judged: true });
        hold_true(&rungs.collect::<Vec<_>>())
    }

    fn of(rungs: &[Rung], consistency: Consistency) -> &Rung {
        rungs.iter().find(|rung| rung.consistency == consistency).unwrap()
    }

    #[test]
    fn what_one_answer_decides_is_filled_in() {
        let rungs = ladder(|model| if model == Consistency::CausalMemory { Summary::Valid } else { Summary::Unknown });
        assert_eq!(strongest(&rungs), [Consistency::CausalMemory]);
        assert_eq!(of(&rungs, Consistency::MonotonicReads).reason.as_deref(), Some("it is causal-memory"));
        assert_eq!(of(&rungs, Consistency::CausalConvergence).summary, Summary::Unknown);
        assert_eq!(Overall::of_ladder(&rungs, None).summary, Summary::Valid);

        let rungs = ladder(|model| if model == Consistency::Causal { Summary::Invalid } else { Summary::Unknown });
        assert_eq!(of(&rungs, Consistency::Linearizable).summary, Summary::Invalid);
        assert_eq!(of(&rungs, Consistency::Pram).summary, Summary::Unknown);
        assert_eq!(Overall::of_ladder(&rungs, None).summary, Summary::Unknown);
        assert_eq!(Overall::of_ladder(&ladder(|_| Summary::Invalid), None).summary, Summary::Invalid);
    }

    #[test]
    fn eventual_consistency_alone_carries_no_answer() {
        let rungs = ladder(|model| if model == Consistency::Eventual { Summary::Valid } else { Summary::Invalid });
        let overall = Overall::of_ladder(&rungs, None);
        assert_eq!(overall.summary, Summary::Invalid);
        assert_eq!(overall.words, "no model of the ladder is kept; eventual, which stands beside it, is");
        assert_eq!(Overall::of_ladder(&rungs, Some(Consistency::Eventual)).summary, Summary::Valid, "it was asked for");
        let open = ladder(|model| if model == Consistency::Eventual { Summary::Valid } else { Summary::Unknown });
        assert_eq!(Overall::of_ladder(&open, None).summary, Summary::Unknown);
    }

    #[test]
    fn a_model_that_cannot_be_judged_hides_no_violation() {
        let unfit = |rungs: Vec<Rung>, is: fn(&Rung) -> bool| -> Vec<Rung> {
            rungs.into_iter().map(|rung| Rung { judged: !is(&rung), ..rung }).collect()
        };
        let below = |rung: &Rung| rung.summary == Summary::Unknown;
        let some = |summary| move |model| if model == Consistency::Sequential { summary } else { Summary::Unknown };
        let rungs = unfit(ladder(some(Summary::Invalid)), below);
        let overall = Overall::of_ladder(&rungs, None);
        assert_eq!((overall.summary, overall.words.as_str()), (Summary::Invalid, "no model that can be judged on it is kept"));
        assert_eq!(Overall::of_ladder(&rungs, Some(Consistency::Causal)).summary, Summary::Unknown, "it was asked for");
        let open = unfit(ladder(|_| Summary::Unknown), below);
        assert_eq!(Overall::of_ladder(&open, None).summary, Summary::Unknown);
        // One that could be judged, and was not, may be kept.
        let open = unfit(ladder(some(Summary::Invalid)), |rung| rung.consistency == Consistency::Pram);
        assert_eq!(Overall::of_ladder(&open, None).summary, Summary::Unknown);
    }

    #[test]
    fn what_must_hold_decides() {
        let broken = [Consistency::Linearizable, Consistency::Sequential];
        let rungs = ladder(|model| if broken.contains(&model) { Summary::Invalid } else { Summary::Valid });
        for least in Consistency::ALL {
            let overall = Overall::of_ladder(&rungs, Some(least));
            assert_eq!(overall.summary, of(&rungs, least).summary, "{}", least.name());
            assert!(overall.words.contains(least.name()), "{}", overall.words);
        }
        let all = Overall::of_all(&rungs);
        assert_eq!((all.summary, all.words.as_str()), (Summary::Invalid, "not linearizable, not sequential"));
        assert_eq!(all.clone().and(Overall::of_ladder(&rungs, None)), all, "the worse one");
    }

    #[test]
    fn answers_that_cannot_both_be_right_are_withdrawn() {
        let rungs = ladder(|model| match model {
            Consistency::Linearizable => Summary::Valid,
            Consistency::Pram => Summary::Invalid,
            _ => Summary::Unknown,
        });
        let pram = of(&rungs, Consistency::Pram);
        assert!(pram.summary == Summary::Unknown && pram.reason.as_ref().unwrap().contains("a fault of Rashomon"), "{pram:?}");
        assert_eq!(of(&rungs, Consistency::Linearizable).summary, Summary::Unknown);
        assert_eq!(of(&rungs, Consistency::Causal).summary, Summary::Valid, "nothing speaks against that");
    }

    #[test]
    fn two_models_may_be_the_strongest() {
        let one_order = [Consistency::Linearizable, Consistency::Sequential];
        let rungs = ladder(|model| if one_order.contains(&model) { Summary::Invalid } else { Summary::Valid });
        assert_eq!(strongest(&rungs), [Consistency::CausalMemory, Consistency::CausalConvergence, Consistency::Eventual]);
        let words = Overall::of_ladder(&rungs, None).words;
        assert_eq!(words, "strongest model kept: causal-memory and causal-convergence and eventual");
        assert_eq!(of(&rungs, Consistency::Pram).reason.as_deref(), Some("it is causal-memory"));
    }
}
