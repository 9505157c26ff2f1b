//! The harness's log: `log.jsonl` in the run's directory, one JSON object per line.

use crate::store::{self, Readers};
use std::io;
use std::path::Path;
use std::sync::Mutex;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sends what the program logs from now on to a file. `RASHOMON_LOG` sets what is logged (default `info`), in the notation of
/// tracing: `debug`, `nemesis=trace,info`.
///
/// # Errors
/// The file cannot be created, or a log is being written already.
pub fn to_file(path: &Path) -> anyhow::Result<()> {
    let file = store::create_new(path, Readers::Owner)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display())))?;
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    // A full disk ends the run by way of the history; that the log cannot be written either is nothing to shout about.
    let lines = lines.log_internal_errors(false).with_writer(Mutex::new(file));
    tracing_subscriber::registry().with(wanted()).with(lines).try_init()?;
    Ok(())
}

/// Sends what an inner program logs to standard error, which whoever started it reads.
pub(crate) fn to_standard_error() {
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(io::stderr);
    tracing_subscriber::registry().with(wanted()).with(lines).init();
}

/// What is logged: what `RASHOMON_LOG` says, or `info`.
fn wanted() -> Targets {
    let told = std::env::var("RASHOMON_LOG").ok().and_then(|told| told.parse().ok());
    told.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))
}
