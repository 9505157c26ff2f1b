//! The reader of EDN.
#![no_main]

use histories::{Format, testing::any_input};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    any_input(Format::Edn, input);
});
