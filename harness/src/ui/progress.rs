//! Progress, on standard error: a line that is redrawn where a person looks at a terminal, else a line now and then.

use crate::ui::console;
use crate::ui::console::{Console, Ink};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often a line appears where nothing can be redrawn.
const EVERY: Duration = Duration::from_secs(10);

/// Redraws a second.
const REDRAWS: u8 = 5;

/// The width of a stage's name: `   setup`, `checking`.
const NAME_WIDTH: usize = 9;

/// The width of the text beside it, up to the time at the line's end.
const TEXT_WIDTH: usize = 58;

/// Shows what goes on.
pub struct Progress {
    console: Console,
    quiet: bool,
    stage: Mutex<Option<Stage>>,
}

/// What goes on now.
struct Stage {
    name: &'static str,
    since: Instant,
    /// The line being redrawn; `None` where nothing can be.
    bar: Option<ProgressBar>,
    said: Instant,
}

impl Progress {
    /// Shows progress on this console.
    pub fn new(console: Console) -> Progress {
        Progress { console, quiet: false, stage: Mutex::new(None) }
    }

    /// Shows nothing.
    pub fn quiet(console: Console) -> Progress {
        Progress { quiet: true, ..Progress::new(console) }
    }

    /// A line that stays.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            console::complain(&format!("{}\n", self.console.fit(text)));
        }
    }

    /// A stage begins. One that was going on ends without a word.
    pub fn begin(&self, name: &'static str) {
        self.clear();
        let now = Instant::now();
        let bar = (self.console.terminal && !self.quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(REDRAWS));
            // The template is a constant that has been tried.
            let style = ProgressStyle::with_template("{prefix} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            bar.set_prefix(format!("{name:>NAME_WIDTH$} "));
            bar
        });
        *self.lock() = Some(Stage { name, since: now, bar, said: now });
    }

    /// What the stage has come to. Cheap to call often.
    pub fn update(&self, text: impl FnOnce() -> String) {
        let mut guard = self.lock();
        let Some(stage) = guard.as_mut().filter(|_| !self.quiet) else { return };
        match &stage.bar {
            Some(bar) => bar.set_message(self.console.fit(&text())),
            None if stage.said.elapsed() >= EVERY => {
                stage.said = Instant::now();
                console::complain(&self.line(stage, &text()));
            }
            None => {}
        }
    }

    /// The stage has ended, and this is what came of it: a line that stays, with the time it took.
    pub fn end(&self, text: &str) {
        let Some(stage) = self.lock().take() else { return };
        if let Some(bar) = &stage.bar {
            bar.finish_and_clear();
        }
        if !self.quiet {
            console::complain(&self.line(&stage, text));
        }
    }

    /// The stage has ended and nothing shall be said of it.
    pub fn clear(&self) {
        if let Some(bar) = self.lock().take().and_then(|stage| stage.bar) {
            bar.finish_and_clear();
        }
    }

    fn line(&self, stage: &Stage, text: &str) -> String {
        let name = self.console.ink(Ink::Dim, format!("{:>NAME_WIDTH$}", stage.name));
        let took = format!("{:>7.1} s", stage.since.elapsed().as_secs_f64());
        format!("{name}  {:TEXT_WIDTH$} {}\n", self.console.fit(text), self.console.ink(Ink::Dim, took))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Stage>> {
        self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A bar of ten cells: `███▌······`.
pub fn bar(done: f64) -> String {
    const CELLS: usize = 10;
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (done.clamp(0.0, 1.0) * (CELLS * 8) as f64) as usize;
    let mut out = "█".repeat(eighths / 8);
    if eighths / 8 < CELLS {
        if !eighths.is_multiple_of(8) {
            out.push(PARTS[eighths % 8]);
        }
        let rest = CELLS - out.chars().count();
        out.push_str(&"·".repeat(rest));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars() {
        assert_eq!(bar(0.0), "··········");
        assert_eq!(bar(0.35), "███▌······");
        assert_eq!(bar(1.0), "██████████");
        assert_eq!(bar(7.0).chars().count(), 10);
    }
}
