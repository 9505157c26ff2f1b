//! Functions that call themselves: the stack is not for what a history can make long.
//!
//! Seen are calls of a function by its own name, of a method by `self.` or `Self::`. What goes in circles over several functions or
//! over traits is not.

use super::{assert_none, root};
use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, ExprMethodCall, ImplItemFn, ItemFn, TraitItemFn};

/// Functions that may call themselves, and what bounds their depth.
const BOUNDED: [(&str, &str); 7] = [
    ("histories/src/jsonl.rs write_value", "a value's depth, which readers limit"),
    ("histories/src/notation.rs write_value", "a value's depth, which readers limit"),
    ("histories/src/value.rs insert", "a value's depth, which readers limit"),
    ("histories/src/value.rs get", "a value's depth, which readers limit"),
    ("checker/src/certify/causal.rs contradicts", "once: a stronger model asks a weaker one"),
    ("nemesis/src/remote/ssh_config.rs read_file", "INCLUDES_MAX"),
    ("workloads/src/systems/demo/client.rs value", "a value's depth, which serde_json limits"),
];

/// Finds functions that call themselves.
#[derive(Default)]
struct Finder {
    /// The functions that we are in, the innermost last.
    within: Vec<String>,
    found: Vec<String>,
}

impl Finder {
    fn enter(&mut self, name: String, go_on: impl FnOnce(&mut Finder)) {
        self.within.push(name);
        go_on(self);
        self.within.pop();
    }

    fn called(&mut self, name: &str) {
        if self.within.iter().any(|function| function == name) && !self.found.iter().any(|found| found == name) {
            self.found.push(name.to_owned());
        }
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.enter(item.sig.ident.to_string(), |finder| visit::visit_item_fn(finder, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.enter(format!("self.{}", item.sig.ident), |finder| visit::visit_impl_item_fn(finder, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.enter(format!("self.{}", item.sig.ident), |finder| visit::visit_trait_item_fn(finder, item));
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(path) = &*call.func {
            let names: Vec<String> = path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            match names.as_slice() {
                [name] => self.called(name),
                [own, name] if own == "Self" => self.called(&format!("self.{name}")),
                _ => {}
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if matches!(&*call.receiver, Expr::Path(path) if path.path.is_ident("self")) {
            self.called(&format!("self.{}", call.method));
        }
        visit::visit_expr_method_call(self, call);
    }
}

#[test]
fn nothing_recurses_over_its_input() {
    let mut found = Vec::new();
    for krate in ["histories", "checker", "nemesis", "workloads", "harness"] {
        for (path, text) in super::sources(&format!("{krate}/src")) {
            let mut finder = Finder::default();
            finder.visit_file(&syn::parse_file(&text).expect("source"));
            let name = path.strip_prefix(root()).expect("inside").display().to_string();
            found.extend(finder.found.iter().map(|function| format!("{name} {}", function.trim_start_matches("self."))));
        }
    }
    let allowed = |function: &String| BOUNDED.iter().any(|(name, _)| name == function);
    let (known, unknown): (Vec<_>, Vec<_>) = found.into_iter().partition(allowed);
    assert_none(&unknown, "functions that call themselves");
    assert_eq!(known.len(), BOUNDED.len(), "a row of the table is no longer true: {known:?}");
}

#[test]
fn recursion_is_seen() {
    let of = |text: &str| {
        let mut finder = Finder::default();
        finder.visit_file(&syn::parse_file(text).expect("source"));
        finder.found
    };
    assert_eq!(of("fn f(n: u8) { if n > 0 { f(n - 1) } }"), ["f"]);
    assert_eq!(of("impl X { fn g(&self) { self.g() } fn h() { Self::h() } fn i(&self) { self.x.i() } }"), ["self.g", "self.h"]);
    assert_eq!(of("fn a() { fn b() { a() } }"), ["a"]);
    assert!(of("fn len() { other::len(); x.len() }").is_empty());
}
