//! What was found beside the history: `findings.json` of a run.
//!
//! The verdict on the history stands, with its certificate, whatever is found beside it; a finding has its own line everywhere, and its
//! own weight in the exit code.

use serde::{Deserialize, Serialize};

/// What was found beside the history of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// What no store should show, whatever its clients were told.
    pub found: Vec<Finding>,
    /// What was looked at without a finding, and what could not be looked at and why, in sentences.
    pub notes: Vec<String>,
}

/// Something that no store should show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind it is, short and stable: `replicas-differ`.
    pub id: String,
    /// What was found, in a sentence.
    pub text: String,
}

impl From<workloads::Findings> for Findings {
    fn from(findings: workloads::Findings) -> Findings {
        let found = findings.found.into_iter().map(|finding| Finding { id: finding.id.into(), text: finding.text });
        Findings { found: found.collect(), notes: findings.notes }
    }
}
