//! Sources without their tests, as items and as text.

use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::{Attribute, File, ImplItem, Item, Meta};

/// A source file without what is compiled for tests only.
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// The text; lines of tests are empty, so that numbers of lines stay what they are.
    pub(super) text: String,
    pub(super) file: File,
}

/// Reads a source file.
pub(super) fn read(path: &Path) -> Source {
    let text = std::fs::read_to_string(path).expect("source");
    let mut file = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut removed = Vec::new();
    remove_tests(&mut file.items, &mut removed);
    let is_kept = |line: usize| !removed.iter().any(|&(from, to)| (from..=to).contains(&line));
    let text = text.lines().enumerate().map(|(i, line)| if is_kept(i + 1) { line } else { "" });
    Source { path: path.to_path_buf(), text: text.collect::<Vec<_>>().join("\n"), file }
}

/// Removes items for tests, and notes their first and last lines.
fn remove_tests(items: &mut Vec<Item>, removed: &mut Vec<(usize, usize)>) {
    items.retain(|item| keep(attributes(item), item, removed));
    for item in items {
        match item {
            Item::Mod(module) => {
                if let Some((_, items)) = &mut module.content {
                    remove_tests(items, removed);
                }
            }
            Item::Impl(block) => block.items.retain(|item| match item {
                ImplItem::Fn(f) => keep(&f.attrs, f, removed),
                ImplItem::Const(c) => keep(&c.attrs, c, removed),
                _ => true,
            }),
            _ => {}
        }
    }
}

fn keep(attributes: &[Attribute], item: &impl Spanned, removed: &mut Vec<(usize, usize)>) -> bool {
    let is_test = |attribute: &Attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        Meta::Path(_) | Meta::NameValue(_) => false,
    };
    if !attributes.iter().any(is_test) {
        return true;
    }
    let lines = |span: proc_macro2::Span| (span.start().line, span.end().line);
    let first = attributes.iter().map(|attribute| lines(attribute.span()).0).min();
    let (from, to) = lines(item.span());
    removed.push((first.unwrap_or(from), to));
    false
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[test]
fn tests_are_left_out_wherever_they_stand() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.rs");
    let text = "fn a() {}\n#[cfg(test)]\nmod first {\n    fn b() {}\n}\nimpl X {\n    #[cfg(test)]\n    fn c(&self) {}\n    fn d(&self) {}\n}\n#[cfg(test)]\nmod x;\nfn e() {}\n";
    std::fs::write(&path, text).expect("written");
    let source = read(&path);
    let kept: Vec<&str> = source.text.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(kept, ["fn a() {}", "impl X {", "    fn d(&self) {}", "}", "fn e() {}"]);
    assert_eq!(source.text.lines().position(|line| line == "fn e() {}"), Some(12), "numbers of lines stay");
    assert_eq!(source.file.items.len(), 3);
}
