//! The readers of session text.
#![no_main]

use histories::{Format, testing::any_input};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    any_input(Format::Awdit, input);
    any_input(Format::Plume, input);
});
