//! The example of a user's own model runs, and the page of models shows it as it is.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../examples/own_model.rs"]
mod example;

#[test]
fn the_page_of_models_shows_the_example() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../harness/doc/models.md")).unwrap();
    let example = std::fs::read_to_string(root.join("examples/own_model.rs")).unwrap();
    let blocks = page.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next());
    let shown: Vec<&str> = blocks.filter(|block| block.contains("impl Model for Switch")).collect();
    assert!(matches!(shown[..], [block] if example.contains(block)), "the page does not show checker/examples/own_model.rs");
}
