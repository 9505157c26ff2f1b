//! The example of a user's own model runs, and the README shows it as it is.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../examples/own_model.rs"]
mod example;

#[test]
fn the_readme_shows_the_example() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("../README.md")).unwrap();
    let example = std::fs::read_to_string(root.join("examples/own_model.rs")).unwrap();
    let blocks = readme.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next());
    let shown: Vec<&str> = blocks.filter(|block| block.contains("impl Model for Switch")).collect();
    assert!(matches!(shown[..], [block] if example.contains(block)), "the README does not show checker/examples/own_model.rs");
}
