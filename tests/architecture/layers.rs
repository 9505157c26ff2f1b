//! No circles among modules: whoever reads one can read what it rests on first.
//!
//! Modules are nodes; one that names something of another rests on it. That a child names what its parents have is no edge: they
//! are one room. A name that a module only hands on (`pub use`) belongs to the module that it comes from.

use super::source::{Source, read};
use super::{assert_none, root};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use syn::visit::{self, Visit};
use syn::{Item, ItemUse, Macro, UseTree};

type Module = Vec<String>;

/// The modules of a crate and the paths that each names.
#[derive(Default)]
struct Crate {
    names: BTreeMap<Module, BTreeSet<Vec<String>>>,
    /// Names that stand for something else: of a module, what its `use` calls so.
    imports: BTreeMap<(Module, String), Vec<String>>,
}

impl Crate {
    fn read(folder: &Path) -> Crate {
        let mut files = Vec::new();
        let mut folders = vec![folder.to_path_buf()];
        while let Some(at) = folders.pop() {
            for entry in std::fs::read_dir(&at).expect("folder") {
                let path = entry.expect("entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") && path.file_stem().is_none_or(|s| s != "tests") {
                    let module = module_of(path.strip_prefix(folder).expect("inside"));
                    files.push((module, read(&path)));
                }
            }
        }
        Crate::of(&files)
    }

    fn of(files: &[(Module, Source)]) -> Crate {
        let mut all = Crate::default();
        for (module, _) in files {
            all.names.entry(module.clone()).or_default();
        }
        for (module, source) in files {
            all.enter(module, module, &source.file.items);
        }
        all
    }

    /// What a file names is its module's, also in modules within the file (`at`).
    fn enter(&mut self, module: &Module, at: &Module, items: &[Item]) {
        for item in items {
            if let Item::Mod(inner) = item {
                if let Some((_, items)) = &inner.content {
                    self.enter(module, &child(at, &inner.ident.to_string()), items);
                }
                continue;
            }
            Names { of: self, module, at }.visit_item(item);
        }
    }

    /// The path from the root of the crate; `None` if it leads out of the crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let up = path.iter().take_while(|part| *part == "super").count();
                let base = &module[..module.len().checked_sub(up)?];
                Some([base, &path[up..]].concat())
            }
            _ => {
                let own = child(module, first);
                self.names.contains_key(&own).then(|| [&own, rest].concat())
            }
        }
    }

    fn note(&mut self, module: &Module, at: &Module, path: &[String]) {
        if let Some(absolute) = self.absolute(at, path) {
            self.names.entry(module.clone()).or_default().insert(absolute);
        }
    }

    /// The module that a path leads into, past names that are only handed on.
    fn target(&self, path: &[String]) -> Module {
        let mut path = path.to_vec();
        // As many steps as there are modules: whoever hands on in a circle is stopped.
        for _ in 0..self.names.len() {
            let module = (0..=path.len()).rev().map(|n| path[..n].to_vec()).find(|module| self.names.contains_key(module));
            let module = module.unwrap_or_default();
            let Some(name) = path.get(module.len()) else { return module };
            match self.imports.get(&(module.clone(), name.clone())) {
                Some(real) if *real != path => path = [&real[..], &path[module.len() + 1..]].concat(),
                _ => return module,
            }
        }
        Module::new()
    }

    fn edges(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let mut edges: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (module, paths) in &self.names {
            let targets = paths.iter().map(|path| self.target(path)).filter(|target| !module.starts_with(target));
            edges.entry(module.clone()).or_default().extend(targets);
        }
        edges
    }

    /// The edges that lead in circles, as `a -> b`.
    fn circles(&self) -> Vec<String> {
        let edges = self.edges();
        let reaches = |from: &Module| {
            let mut seen = BTreeSet::new();
            let mut open: Vec<&Module> = edges[from].iter().collect();
            while let Some(at) = open.pop() {
                if seen.insert(at) {
                    open.extend(&edges[at]);
                }
            }
            seen
        };
        let reached: BTreeMap<&Module, BTreeSet<&Module>> = edges.keys().map(|module| (module, reaches(module))).collect();
        let back = |(from, to): &(&Module, &Module)| reached[*to].contains(*from);
        let all = edges.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
        all.filter(back).map(|(from, to)| format!("{} -> {}", from.join("::"), to.join("::"))).collect()
    }
}

fn child(module: &Module, name: &str) -> Module {
    [&module[..], &[name.to_owned()]].concat()
}

fn module_of(file: &Path) -> Module {
    let mut module: Module = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod" || (module.len() == 1 && last == "lib")) {
        module.pop();
    }
    module
}

/// Finds what the code of a module names.
struct Names<'a> {
    of: &'a mut Crate,
    module: &'a Module,
    /// The module within the file's.
    at: &'a Module,
}

impl Names<'_> {
    fn import(&mut self, tree: &UseTree, path: &mut Vec<String>) {
        match tree {
            UseTree::Path(next) => {
                path.push(next.ident.to_string());
                self.import(&next.tree, path);
                path.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, path)),
            UseTree::Name(name) if name.ident == "self" => self.imported(path.last().cloned().unwrap_or_default(), path),
            UseTree::Name(name) => self.imported(name.ident.to_string(), &child(path, &name.ident.to_string())),
            UseTree::Rename(name) => self.imported(name.rename.to_string(), &child(path, &name.ident.to_string())),
            UseTree::Glob(_) => self.of.note(self.module, self.at, path),
        }
    }

    fn imported(&mut self, name: String, path: &[String]) {
        if let Some(absolute) = self.of.absolute(self.at, path) {
            self.of.imports.insert((self.module.clone(), name), absolute);
            self.of.note(self.module, self.at, path);
        }
    }
}

impl<'ast> Visit<'ast> for Names<'_> {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.import(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let path_of: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path_of.len() > 1 {
            self.of.note(self.module, self.at, &path_of);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        for path in paths_in(&call.tokens.to_string()) {
            self.of.note(self.module, self.at, &path);
        }
        visit::visit_macro(self, call);
    }
}

/// The paths in the tokens of a macro: words with `::` between them.
fn paths_in(tokens: &str) -> Vec<Vec<String>> {
    let joined = tokens.replace(" :: ", "::").replace(":: ", "::");
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = joined.split(|c| !is_part(c)).filter(|word| word.contains("::"));
    words.map(|word| word.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect()).collect()
}

#[test]
fn modules_are_layered() {
    for krate in ["histories", "checker", "nemesis", "workloads", "harness"] {
        let circles = Crate::read(&root().join(krate).join("src")).circles();
        assert_none(&circles, &format!("{krate}'s modules form circles"));
    }
}

#[test]
fn circles_are_seen() {
    let of = |files: &[(&str, &str)]| {
        let folder = tempfile::tempdir().expect("folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            std::fs::write(path, text).expect("written");
        }
        Crate::read(folder.path()).circles()
    };
    let lib = ("lib.rs", "mod a;\nmod b;\npub use b::Thing;\n");
    assert_eq!(of(&[lib, ("a.rs", "use crate::b;\n"), ("b.rs", "pub struct Thing;\n")]), Vec::<String>::new());
    let planted = [
        ("use crate::b::Thing;", "fn f() { crate::a::g() }"),
        ("use crate::Thing;", "fn f() { x!(super::a::g()) }"),
        ("fn f() { g::<super::b::Thing>() }", "use super::{a as other, a::inner::X};"),
        ("mod inner { use super::super::b; }", "use crate::a::*;"),
    ];
    for (a, b) in planted {
        assert!(of(&[lib, ("a.rs", a), ("b.rs", b)]).len() >= 2, "{a} {b}");
    }
    // A child and its parents are one room, and what tests use is not the house.
    let child = [
        ("lib.rs", "mod a;"),
        ("a.rs", "mod c;\nfn f() { c::g() }"),
        ("a/c.rs", "use super::f;\n#[cfg(test)]\nmod tests { use crate::b; }"),
    ];
    assert_eq!(of(&child), Vec::<String>::new());
}

/// What acts as root on a node knows the protocol and nothing of the control side.
#[test]
fn the_node_side_imports_nothing_of_the_control_side() {
    let allowed = ["agent::node", "agent::protocol", "cluster", "command", "exec", "machine", "pack"];
    let edges = Crate::read(&root().join("nemesis/src")).edges();
    let node = edges.iter().filter(|(module, _)| module.join("::").starts_with("agent::node"));
    let foreign = node.flat_map(|(module, targets)| targets.iter().map(move |target| (module.join("::"), target.join("::"))));
    let foreign = foreign.filter(|(_, target)| !allowed.iter().any(|room| target == room || target.starts_with(&format!("{room}::"))));
    assert_none(&foreign.map(|(module, target)| format!("{module} -> {target}")).collect::<Vec<_>>(), "agent/node");
}

/// What the certifier takes from the rest of the crate, and why that is no procedure of a search.
const SHARED_WITH_CERTIFY: [(&str, &str); 12] = [
    ("budget", "how much it may do"),
    ("causal::decode", "which reads and writes an op is"),
    ("consistency", "the names of the models"),
    ("convergence::decode", "which updates and reads an op is"),
    ("decode", "what a model reads in an op"),
    ("locality", "keys by turns"),
    ("model", "what an object does: the definition itself"),
    ("options", "what the user has said"),
    ("sequential::program", "what a model reads in an op, session by session"),
    ("transactions::anomaly", "the names of what is wrong with transactions"),
    ("transactions::isolation", "the names of the levels, and which order each keeps"),
    ("verdict", "what is certified"),
];

/// The certifier shares with the searches what an op means and what a verdict is, and no procedure: a mistake of a search must not be
/// certified by the code that made it. Decoding of ops is shared where it is a model's own; the oracles look at that.
#[test]
fn the_certifier_shares_no_search() {
    let edges = Crate::read(&root().join("checker/src")).edges();
    let of_certify = edges.iter().filter(|(module, _)| module.first().is_some_and(|first| first == "certify"));
    let mut shared: BTreeSet<String> = of_certify.flat_map(|(_, targets)| targets.iter().map(|target| target.join("::"))).collect();
    shared.retain(|target| !target.starts_with("certify"));
    let known: BTreeSet<String> = SHARED_WITH_CERTIFY.iter().map(|(module, _)| (*module).to_owned()).collect();
    assert_eq!(shared, known, "what the certifier takes from elsewhere");
}
