//! What it costs to do without a rule of the engine.

use crate::rows::FOR_RULES;
use crate::{Limits, decide};
use rashomon_checker::verdict::Summary;
use rashomon_checker::{Rule, Rules};
use std::time::Duration;

/// Without a rule nothing needs to be fast.
const LIMITS: Limits = Limits { time: Duration::from_secs(10), bytes: Some(4_000_000_000) };

/// Prints a line for each rule: the time of each row without it.
pub(crate) fn print() {
    println!("\nSeconds without one of the rules (more than {} s, or 4 GB: -)\n", LIMITS.time.as_secs());
    for (number, row) in (1..).zip(FOR_RULES) {
        println!("  {number}  {}", row.title());
    }
    let histories: Vec<_> = FOR_RULES.iter().map(|row| row.history(false)).collect();
    let line = |name: &str, rules: Rules| {
        print!("\n{name:<22}");
        for (row, history) in FOR_RULES.iter().zip(&histories) {
            let outcome = decide(row.model(), history, rules, &LIMITS);
            match outcome.answer {
                Summary::Unknown => print!(" {:>8}", "-"),
                _ => print!(" {:>8.3}", outcome.took.as_secs_f64()),
            }
        }
    };
    line("all rules", Rules::default());
    for rule in Rule::ALL {
        line(rule.name(), Rules::default().without(rule));
    }
    // What a row is without the searches that are tried before the last one.
    let plain = [Rule::HiddenOverwrites, Rule::FewConfigurations, Rule::UnlimitedUnknowns].into_iter();
    line("the last three but one", plain.fold(Rules::default(), Rules::without));
    println!();
}
