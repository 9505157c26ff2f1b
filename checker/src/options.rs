//! What to check, and the choices that change verdicts of real files.

use crate::rules::Rules;
use histories::Value;

/// What to check a history against. `None` means: the default of the history's format (`Meta::format`), which the verdict's
/// notes then name.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The model's name, one of [`crate::MODELS`].
    pub model: String,
    /// Whether values are `[key value]` pairs. `None`: what the file says, else a guess, which is reported.
    pub keyed: Option<bool>,
    /// The initial value of registers and counters; a map for a multi-register or a bank.
    pub initial: Option<Value>,
    /// What an `ok` read of `nil` means.
    pub nil_read: Option<NilRead>,
    /// What a failed cas means.
    pub failed_cas: Option<FailedCas>,
    /// The permits of a semaphore.
    pub permits: Option<u32>,
    /// Switches for tests and benchmarks; no answer depends on them.
    pub rules: Rules,
}

impl From<&str> for Options {
    /// The model of this name, and the defaults.
    fn from(model: &str) -> Options {
        Options { model: model.into(), ..Options::default() }
    }
}

/// What an `ok` read of `nil` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NilRead {
    /// Nothing: the result is unknown (Knossos, Jepsen).
    Wildcard,
    /// The key holds nothing (Porcupine).
    Missing,
}

/// What a failed cas means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedCas {
    /// Nothing: it did not happen (Knossos, Jepsen).
    Drop,
    /// At some moment between its events the register did not hold the expected value (Porcupine).
    Assert,
}
