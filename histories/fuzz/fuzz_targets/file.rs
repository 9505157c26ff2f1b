//! The recognition of formats and of compression.
#![no_main]

use histories::testing::any_file;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    any_file(input);
});
