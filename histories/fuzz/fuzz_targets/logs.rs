//! The readers of logs that hold op lines.
#![no_main]

use histories::{Format, testing::any_input};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    any_input(Format::Console, input);
    any_input(Format::PorcupineEtcd, input);
});
