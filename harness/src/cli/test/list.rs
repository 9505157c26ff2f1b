//! `rashomon test --list`: who can be asked what, and what each system promises.

use crate::cli::{Global, Outcome};
use crate::render::terminal::wrap;
use crate::tables;
use crate::ui::console::Ink;
use crate::ui::{console, exit};
use std::fmt::Write;

/// Prints the pairs.
pub(super) fn run(global: Global) -> Outcome {
    let out = global.stdout();
    let tables = tables::get();
    let mut text = String::new();
    for system in tables.systems {
        let _ = writeln!(text, "{}  {}", out.ink(Ink::Bold, system.name()), out.fit(system.about()));
        for workload in tables.workloads {
            let promise = system.promises().iter().find(|promise| promise.workload == workload.name());
            let _ = writeln!(text, "  {:<10} {}", workload.name(), out.fit(workload.about()));
            if let Some(promise) = promise {
                let words = format!("promises {}: \u{201c}{}\u{201d} ({})", promise.consistency.name(), promise.words, promise.source);
                for line in wrap(&out.fit(&words), out.width.saturating_sub(13)) {
                    let _ = writeln!(text, "             {line}");
                }
            }
        }
    }
    console::print(&text)?;
    Ok(exit::VALID)
}
