//! Whether all members hold the same: each is asked for the hash of its keys, values and their history up to one revision.
//!
//! The hash is asked for at the peer URL, where members ask each other for it (`/members/hashkv`): the gateway's `/v3/maintenance/hash` is
//! another one, of the whole file, and tells apart files that hold the same.
//!
//! Two members whose hashes differ at one revision, compacted to one revision, have lost or invented something, whatever their clients
//! were told: a finding. Members that are compacted to different revisions hash different things; they are not compared.

use super::database::EtcdDatabase;
use super::server::Standing;
use super::status::Hash;
use super::{authority, status};
use crate::systems::{Finding, Findings};
use nemesis::Cluster;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a member may take to have what another one has.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

impl EtcdDatabase {
    /// Asks every member for its hash at the newest revision that any of them knows.
    pub(super) fn compare_replicas(&self, cluster: &Cluster) -> Findings {
        let members: Vec<_> = cluster.nodes.iter().filter(|node| self.server.standing(node) != Standing::Out).collect();
        let names: Vec<&str> = members.iter().map(|node| node.name.as_str()).collect();
        let clients: Vec<String> = members.iter().map(|node| self.server.client_authority(node)).collect();
        let revision = newest_revision(&clients);
        let Some(revision) = revision else {
            return Findings {
                found: Vec::new(),
                notes: vec!["the members' data was not compared: none of them tells its revision".into()],
            };
        };
        let peers: Vec<String> = members.iter().map(|node| authority(self.server.address(node), self.server.peer_port())).collect();
        compare(&names, revision, &status::hashes(&peers, revision))
    }
}

/// The newest revision of which a member tells, once all who answer have it, or no longer want to wait.
fn newest_revision(authorities: &[String]) -> Option<i64> {
    let deadline = Instant::now() + CATCH_UP_WITHIN;
    loop {
        let told: Vec<i64> = status::ask(authorities).into_iter().filter_map(|status| Some(status.ok()?.revision)).collect();
        let newest = told.iter().copied().max().filter(|&newest| newest > 0)?;
        if told.iter().all(|&revision| revision == newest) || Instant::now() >= deadline {
            return Some(newest);
        }
        std::thread::sleep(POLL);
    }
}

/// What the hashes say.
fn compare(names: &[&str], revision: i64, hashes: &[Result<Hash, String>]) -> Findings {
    let mut findings = Findings::default();
    // By the revision that they are compacted to, by hash.
    let mut groups: BTreeMap<i64, BTreeMap<u32, Vec<&str>>> = BTreeMap::new();
    for (&name, hash) in names.iter().zip(hashes) {
        match hash {
            Ok(Hash { hash, compact_revision }) => groups.entry(*compact_revision).or_default().entry(*hash).or_default().push(name),
            Err(why) => findings.notes.push(format!("{name} did not tell the hash of its data: {why}")),
        }
    }
    for by_hash in groups.values().filter(|by_hash| by_hash.len() > 1) {
        let sides: Vec<String> = by_hash.iter().map(|(hash, names)| format!("{} {hash:#010x}", names.join(" "))).collect();
        let text = format!("the members hold different data: their hashes of all keys at revision {revision} are {}", sides.join(", "));
        findings.found.push(Finding { id: "replicas-differ", text });
    }
    if groups.len() > 1 {
        let sides: Vec<String> = groups
            .iter()
            .map(|(compacted, by_hash)| format!("{} to {compacted}", by_hash.values().flatten().copied().collect::<Vec<_>>().join(" ")))
            .collect();
        findings.notes.push(format!("members are compacted to different revisions, so not all were compared: {}", sides.join(", ")));
    }
    if let (true, [by_hash]) = (findings.found.is_empty(), groups.values().collect::<Vec<_>>().as_slice()) {
        let alike: usize = by_hash.values().map(Vec::len).sum();
        findings.notes.push(format!("{alike} of {} members hold the same at revision {revision}", names.len()));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["n1", "n2", "n3"];

    #[allow(clippy::unnecessary_wraps, reason = "as all answers")]
    fn said(hash: u32, compact_revision: i64) -> Result<Hash, String> {
        Ok(Hash { hash, compact_revision })
    }

    #[test]
    fn a_members_answer_is_understood_and_nonsense_is_quoted() {
        let answer = br#"{"header":{"cluster_id":1,"member_id":2,"revision":9,"raft_term":2},"hash":3067196932,"compact_revision":-1}"#;
        assert_eq!(Hash::parse(answer), said(3_067_196_932, -1));
        assert_eq!(Hash::parse(br#"{"header":{},"hash":7}"#), said(7, 0));
        assert!(Hash::parse(b"404 page not found\n").unwrap_err().contains("404 page not found"));
    }

    #[test]
    fn members_that_hold_the_same_are_no_finding() {
        let findings = compare(&NAMES, 9, &[said(5, -1), said(5, -1), said(5, -1)]);
        assert_eq!((findings.found, findings.notes), (vec![], vec!["3 of 3 members hold the same at revision 9".to_owned()]));
    }

    #[test]
    fn a_member_that_differs_is_a_finding_that_names_the_sides() {
        let findings = compare(&NAMES, 9, &[said(5, 3), said(6, 3), said(5, 3)]);
        assert_eq!((findings.found.len(), findings.notes.len()), (1, 0));
        assert_eq!(findings.found[0].id, "replicas-differ");
        let text = &findings.found[0].text;
        assert!(text.contains("at revision 9") && text.contains("n1 n3 0x00000005, n2 0x00000006"), "{text}");
    }

    #[test]
    fn what_was_compacted_differently_is_not_compared_and_silence_is_told() {
        let findings = compare(&NAMES, 9, &[said(5, 3), said(6, 4), Err("no answer".into())]);
        assert_eq!(findings.found, vec![]);
        assert_eq!(findings.notes.len(), 2, "{:?}", findings.notes);
        assert!(findings.notes[0].contains("n3 did not tell") && findings.notes[1].contains("n1 to 3, n2 to 4"), "{:?}", findings.notes);
        assert_eq!(compare(&NAMES, 9, &[said(5, 3), said(5, 4), said(6, 4)]).found.len(), 1, "those of one kind are");
    }
}
