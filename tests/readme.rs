//! The `console` blocks of the README and of the pages are run, and print what they show.
//!
//! A line that begins with `$ ` is a command, the lines below it are its output. Numbers may differ (times, counts, ports),
//! words may not; a line `...` stands for any lines; a block whose fence says `console ends=1` expects that exit code of its
//! last command (0 otherwise). `rashomon` and `cargo run --release --` both run the binary under test.

use snapbox::Data;
use snapbox::assert_data_eq;
use std::path::Path;
use std::process::Command;

/// A command of the README with the output that it shows.
#[derive(Debug)]
struct Example {
    line: usize,
    command: Vec<String>,
    output: String,
    exit_code: i32,
}

/// Instead of the first command of a block: this one is of another kind.
const NOT_RUN: usize = usize::MAX;

fn examples(readme: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut block: Option<(i32, usize)> = None;
    for (number, line) in readme.lines().enumerate() {
        if let Some(rest) = line.strip_prefix("```") {
            block = match block {
                None if rest.starts_with("console") => {
                    let code = rest.split("ends=").nth(1).map_or(0, |c| c.trim().parse().expect("ends=NUMBER"));
                    Some((code, found.len()))
                }
                None => Some((0, NOT_RUN)),
                Some((code, first)) => {
                    if let Some(last) = found.get_mut(first..).and_then(<[Example]>::last_mut) {
                        last.exit_code = code;
                    }
                    None
                }
            };
        } else if let Some((_, first)) = block.filter(|b| b.1 != NOT_RUN) {
            if let Some(command) = line.strip_prefix("$ ") {
                let command = command.split_whitespace().map(str::to_owned).collect();
                found.push(Example { line: number + 1, command, output: String::new(), exit_code: 0 });
            } else if let Some(example) = found.get_mut(first..).and_then(<[Example]>::last_mut) {
                example.output.push_str(line);
                example.output.push('\n');
            }
        }
    }
    found
}

/// The arguments for the binary, from `rashomon ARGS` or `cargo run --release -- ARGS`.
fn arguments(command: &[String]) -> &[String] {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["rashomon", ..] => &command[1..],
        ["cargo", "run", "--release", "--", ..] => &command[4..],
        _ => panic!("a console block may only run rashomon, not {words:?} (use a `sh` block for what is not run)"),
    }
}

/// Numbers are equal to each other; trailing blanks and the padding that numbers of other widths cause do not count.
fn comparable(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut words = Vec::new();
        for word in line.split_whitespace() {
            let mut masked = String::new();
            for c in word.chars() {
                if !c.is_ascii_digit() {
                    masked.push(c);
                } else if !masked.ends_with('#') {
                    masked.push('#');
                }
            }
            words.push(masked);
        }
        // 1 234 and 999 are both one number.
        words.dedup_by(|a, b| a == "#" && b == "#");
        out.push_str(&words.join(" "));
        out.push('\n');
    }
    out
}

#[test]
fn console_blocks_print_what_they_show() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("harness/doc")).expect("pages").map(|entry| entry.expect("entry").path());
    let pages: Vec<_> = pages.filter(|path| path.extension().is_some_and(|e| e == "md")).chain([root.join("README.md")]).collect();
    let shown: usize = pages.iter().map(|page| blocks_are_true(root, page)).sum();
    assert!(shown >= 8, "the pages show too little: {shown} commands");
}

/// Runs the blocks of a page; how many there are.
fn blocks_are_true(root: &Path, page: &Path) -> usize {
    let name = page.strip_prefix(root).expect("inside").display().to_string();
    let examples = examples(&std::fs::read_to_string(page).expect("page"));
    let count = examples.len();
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::os::unix::fs::symlink(root.join("tests"), folder.path().join("tests")).expect("symlink");
    for example in examples {
        let out = Command::new(env!("CARGO_BIN_EXE_rashomon"))
            .args(arguments(&example.command))
            .current_dir(folder.path())
            .env("NO_COLOR", "1")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("the binary runs");
        let errors = String::from_utf8(out.stderr).expect("UTF-8");
        // What a person sees first: the answer; where there is none, the error.
        let shown = if out.stdout.is_empty() { errors.clone() } else { String::from_utf8(out.stdout).expect("UTF-8") };
        let place = format!("{name}:{}: $ {}", example.line, example.command.join(" "));
        assert_eq!(out.status.code(), Some(example.exit_code), "{place}\n{shown}{errors}");
        assert_data_eq!(comparable(&shown), Data::text(comparable(&example.output)));
    }
    count
}

/// Links of the pages lead to files that there are.
#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("harness/doc")).expect("pages").map(|entry| entry.expect("entry").path());
    for page in pages.filter(|path| path.extension().is_some_and(|e| e == "md")).chain([root.join("README.md")]) {
        let text = std::fs::read_to_string(&page).expect("page");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.starts_with("http")) {
            let path = page.parent().expect("folder").join(link.split('#').next().unwrap_or_default());
            assert!(path.exists(), "{}: {link}", page.display());
        }
        assert!(page.file_name().is_none_or(|name| name != "README.md") || text.lines().count() <= 200, "the README is to be short");
    }
}

#[test]
fn comparing_ignores_numbers_and_padding_only() {
    assert_eq!(comparable("in 1 234 ops,  9.5 s "), comparable("in 99 ops, 10.25 s"));
    assert_ne!(comparable("2 ops failed"), comparable("2 ops passed"));
}
