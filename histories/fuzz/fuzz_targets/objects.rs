//! The readers of histories of concurrent objects.
#![no_main]

use histories::{Format, testing::any_input};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    any_input(Format::Limo, input);
    any_input(Format::PolyLin, input);
});
