//! The terminal, its words and numbers, progress, exit codes and the log.

pub mod console;
pub mod exit;
pub mod format;
pub mod logging;
pub mod progress;
