//! The rules that make the engine fast, each with a switch, so that tests can ask whether it changes any answer and benchmarks
//! what it buys. Every combination of them is correct; nobody else has a reason to touch them.

/// A rule of the engine. What it says, and why it may be used, stands in the documentation of the module that it lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Rule {
    /// A pending read that can happen is linearized at once (`linear/search.rs`). Off: reads are branched on like updates.
    FreeReads,
    /// What has done more of the pending reads dominates (`linear/search.rs`). Off: only what has done the same is the same. Says
    /// nothing where reads are branched on.
    MoreReads,
    /// Of pending ops that do the same, the one that returns first is used (`linear/search.rs`). Off: each is tried.
    EarliestDeadline,
    /// Ops of unknown outcome that do the same are counted (`linear/usage.rs`). Off: it is remembered which of them were used.
    CountedUnknowns,
    /// What used fewer ops of unknown outcome dominates (`linear/usage.rs`). Off: only what used the same is the same.
    Dominance,
    /// Ops of unknown outcome that nobody can have noticed are left out (`linear/unseen.rs`).
    Unseen,
    /// A step from a state by a class of ops is computed once (`linear/states.rs`).
    KnownSteps,
    /// What is easy is searched exactly before anything else is tried (`linear.rs`).
    EasyFirst,
    /// A search in which overwrites hide others (`linear/search.rs`): finds orders only.
    HiddenOverwrites,
    /// A search that keeps few configurations of equal state and mask (`linear/search.rs`): finds orders only.
    FewConfigurations,
    /// A search in which ops of unknown outcome happen as often as they like (`linear/search.rs`): finds contradictions only.
    UnlimitedUnknowns,
    /// The procedures for values that are put in once (`linear/zones.rs`, `linear/unique.rs`).
    UniqueValues,
}

impl Rule {
    /// All of them.
    pub const ALL: [Rule; 12] = [
        Rule::FreeReads,
        Rule::MoreReads,
        Rule::EarliestDeadline,
        Rule::CountedUnknowns,
        Rule::Dominance,
        Rule::Unseen,
        Rule::KnownSteps,
        Rule::EasyFirst,
        Rule::HiddenOverwrites,
        Rule::FewConfigurations,
        Rule::UnlimitedUnknowns,
        Rule::UniqueValues,
    ];

    /// A few words, for a table.
    pub fn name(self) -> &'static str {
        match self {
            Rule::FreeReads => "free reads",
            Rule::MoreReads => "more reads",
            Rule::EarliestDeadline => "earliest deadline",
            Rule::CountedUnknowns => "counted unknowns",
            Rule::Dominance => "dominance",
            Rule::Unseen => "unseen left out",
            Rule::KnownSteps => "known steps",
            Rule::EasyFirst => "easy first",
            Rule::HiddenOverwrites => "hidden overwrites",
            Rule::FewConfigurations => "few configurations",
            Rule::UnlimitedUnknowns => "unlimited unknowns",
            Rule::UniqueValues => "unique values",
        }
    }
}

/// Which rules are on: all of them, unless told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules(u16);

impl Default for Rules {
    fn default() -> Rules {
        Rules::combination(Rules::COMBINATIONS - 1)
    }
}

impl Rules {
    /// How many combinations there are.
    pub const COMBINATIONS: u16 = 1 << Rule::ALL.len();

    /// One of the combinations, by its number; the last has all rules on, the first none.
    pub fn combination(number: u16) -> Rules {
        Rules(number % Rules::COMBINATIONS)
    }

    /// These and one more.
    #[must_use]
    pub fn with(self, rule: Rule) -> Rules {
        Rules(self.0 | 1 << rule as u16)
    }

    /// These without one.
    #[must_use]
    pub fn without(self, rule: Rule) -> Rules {
        Rules(self.0 & !(1 << rule as u16))
    }

    /// Whether a rule is on.
    pub fn has(self, rule: Rule) -> bool {
        self.0 >> rule as u16 & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_turns_off_its_rule_alone() {
        for rule in Rule::ALL {
            let rules = Rules::default().without(rule);
            assert!(Rule::ALL.into_iter().all(|other| rules.has(other) == (other != rule)), "{rule:?}");
        }
        assert!(Rule::ALL.into_iter().all(|rule| !Rules::combination(0).has(rule)));
    }
}
