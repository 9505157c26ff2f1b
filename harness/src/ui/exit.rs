//! Exit codes: what scripts and CI build on.

use crate::run::Run;
use checker::verdict::Summary;

/// Everything that was judged is valid.
pub const VALID: u8 = 0;
/// Something is invalid, or something was found beside the history.
pub const INVALID: u8 = 1;
/// Nothing is invalid, and something could not be decided.
pub const UNKNOWN: u8 = 2;
/// The command line makes no sense. Nothing was done.
pub const USAGE: u8 = 254;
/// The work could not be done: a file that cannot be read, a node that cannot be reached, a full disk.
pub const CRASH: u8 = 255;

/// The exit code of an answer.
pub fn of(answer: Summary) -> u8 {
    match answer {
        Summary::Valid => VALID,
        Summary::Invalid => INVALID,
        Summary::Unknown => UNKNOWN,
    }
}

/// The exit code of a run: its answer's, and at least that of invalid if anything was found beside the history.
pub fn of_run(run: &Run) -> u8 {
    if run.findings.found.is_empty() { of(run.summary()) } else { worse(of(run.summary()), INVALID) }
}

/// The worse of two codes: valid, unknown, usage, crash, invalid, in this order. What was found invalid stays found, whatever
/// else could not be done; that is told beside it.
pub fn worse(a: u8, b: u8) -> u8 {
    let gravity = |code| match code {
        VALID => 0,
        UNKNOWN => 1,
        USAGE => 2,
        INVALID => 4,
        _ => 3,
    };
    if gravity(a) >= gravity(b) { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_masks_invalid() {
        assert_eq!(worse(UNKNOWN, INVALID), INVALID);
        assert_eq!(worse(INVALID, UNKNOWN), INVALID);
        assert_eq!(worse(VALID, UNKNOWN), UNKNOWN);
        assert_eq!(worse(INVALID, CRASH), INVALID);
        assert_eq!(worse(USAGE, INVALID), INVALID);
        assert_eq!(worse(UNKNOWN, CRASH), CRASH);
        assert_eq!(worse(VALID, VALID), VALID);
    }
}
