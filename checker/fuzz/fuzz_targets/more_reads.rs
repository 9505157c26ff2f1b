//! `Rule::MoreReads` changes no answer.
#![no_main]

use checker::{Rule, testing::rule_changes_nothing};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    rule_changes_nothing(Rule::MoreReads, input);
});
