//! How much the tests try: `RASHOMON_TEST_SIZE` times what is usual (default 1, fractions too).
//!
//! The one place that reads this variable; every crate's tests include this file.

#![allow(dead_code, clippy::unwrap_used, reason = "each crate uses a part of it; a test fails by panicking")]

/// The size that is asked for.
pub(crate) fn size() -> f64 {
    std::env::var("RASHOMON_TEST_SIZE")
        .map_or(1.0, |size| size.parse().unwrap_or_else(|_| panic!("RASHOMON_TEST_SIZE={size} is no number")))
}

/// As many as this at the usual size; at least one.
pub(crate) fn times(usual: u64) -> u64 {
    (usual as f64 * size()).max(1.0) as u64
}
