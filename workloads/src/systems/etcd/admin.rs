//! What operators have etcd do: compact, defragment, move the leader. Each is looked at from another side than the one that was asked.

use super::database::EtcdDatabase;
use super::gateway;
use super::server::BACKEND;
use super::status;
use nemesis::{Admin, Cluster, Command, Node, NodeError, Report};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a server may take to answer a question.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// How long it may take to do what it is told.
const DONE_WITHIN: Duration = Duration::from_secs(10);

/// How long the others are given to show that it was done.
const SHOWS_WITHIN: Duration = Duration::from_secs(3);

/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What etcd says of a revision that was thrown away.
const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

/// What a server says of itself. Numbers of 64 bits are strings, and left out if they are 0.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Status {
    header: Header,
    #[serde(rename = "dbSize", deserialize_with = "number")]
    db_bytes: u64,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Header {
    member_id: String,
    #[serde(deserialize_with = "number")]
    revision: u64,
}

fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

fn status_of(authority: &str) -> Result<Status, String> {
    gateway::post(authority, "/v3/maintenance/status", &json!({}), ANSWER_WITHIN)
}

/// Whether this server has thrown away a revision, asked by a read of what it has itself.
fn has_thrown_away(authority: &str, revision: u64) -> Result<bool, String> {
    let read = json!({ "key": "AA==", "revision": revision.to_string(), "serializable": true });
    match gateway::post::<Value>(authority, "/v3/kv/range", &read, ANSWER_WITHIN) {
        Ok(_) => Ok(false),
        Err(why) if why == COMPACTED => Ok(true),
        Err(why) => Err(why),
    }
}

/// Asks until an answer is as wanted, or time is over; the last answer.
fn until<T>(mut ask: impl FnMut() -> T, as_wanted: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + SHOWS_WITHIN;
    loop {
        let answer = ask();
        if as_wanted(&answer) || Instant::now() >= deadline {
            return answer;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

impl EtcdDatabase {
    /// The inode and the bytes of a server's data file, as its node's file system tells.
    fn data_file(&self, node: &Node) -> Result<(String, u64), NodeError> {
        let path = format!("{}/{BACKEND}", self.agent(node).directory());
        let text = self.agent(node).run_ok(&Command::new(["stat", "-c", "%i %s", &path]))?.text();
        let read = text.trim().split_once(' ').and_then(|(inode, bytes)| Some((inode.to_owned(), bytes.parse().ok()?)));
        read.ok_or_else(|| NodeError::new(&node.name, format!("`stat` of {path} says `{text}`")))
    }

    fn others<'a>(cluster: &'a Cluster, node: &Node) -> Vec<&'a Node> {
        let index = node.index;
        let others: Vec<&Node> = cluster.nodes.iter().filter(|other| other.index != index).collect();
        // A cluster of one can only be asked itself.
        if others.is_empty() { cluster.nodes.iter().collect() } else { others }
    }
}

impl Admin for EtcdDatabase {
    /// All versions before the present one are thrown away. No client of a test reads an old version.
    fn compact(&self, cluster: &Cluster, node: &Node) -> Result<Report, NodeError> {
        let authority = self.server.client_authority(node);
        let before = match status_of(&authority) {
            Ok(status) if status.header.revision > 1 => status,
            Ok(_) => return Ok(Report::nothing(format!("{} is not asked to compact: nothing was written yet", node.name))),
            Err(why) => return Ok(Report::nothing(format!("{} is not asked to compact: {why}", node.name))),
        };
        let (kept, old) = (before.header.revision, before.header.revision - 1);
        let others = Self::others(cluster, node);
        let look = || -> Vec<(&str, Result<bool, String>)> {
            others.iter().map(|other| (other.name.as_str(), has_thrown_away(&self.server.client_authority(other), old))).collect()
        };
        let had = look();
        let order = json!({ "revision": kept.to_string(), "physical": true });
        let done = gateway::post::<Value>(&authority, "/v3/kv/compaction", &order, DONE_WITHIN);
        let said = |told: &[(&str, Result<bool, String>)], wanted: bool| {
            told.iter().filter(|(_, told)| *told == Ok(wanted)).map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
        };
        let has = until(look, |told| told.iter().all(|(_, told)| *told != Ok(false)));
        let [had, has, keep] = [said(&had, false), said(&has, true), said(&has, false)];
        let mut report = Report::of(vec![node.index], format!("had {} compact to revision {kept}", node.name));
        report.observed = done.is_ok() && !has.is_empty() && keep.is_empty() && !had.is_empty();
        let after = status_of(&authority).map_or(before.db_bytes, |status| status.db_bytes);
        report.seen = format!("revision {old} was there on {had}, and is compacted on {has}; {} bytes, {after} now", before.db_bytes);
        if !keep.is_empty() {
            report.seen = format!("{}; it is still there on {keep}", report.seen);
        }
        if let Err(why) = done {
            report.seen = format!("{}; {}: {why}", report.seen, node.name);
        }
        Ok(report)
    }

    /// The server writes its data into a new file and puts it into the place of the old one.
    fn defragment(&self, _cluster: &Cluster, node: &Node) -> Result<Report, NodeError> {
        let authority = self.server.client_authority(node);
        if let Err(why) = status_of(&authority) {
            return Ok(Report::nothing(format!("{} is not defragmented: {why}", node.name)));
        }
        let before = self.data_file(node)?;
        let done = gateway::post::<Value>(&authority, "/v3/maintenance/defragment", &json!({}), DONE_WITHIN);
        let after = self.data_file(node)?;
        let mut report = Report::of(vec![node.index], format!("defragmented {}", node.name));
        report.observed = done.is_ok() && before.0 != after.0;
        let file = if before.0 == after.0 { "the same file as before" } else { "a new file" };
        report.seen = format!("{} had {} bytes of data, and has {} in {file}", node.name, before.1, after.1);
        if let Err(why) = done {
            report.seen = format!("{}; {why}", report.seen);
        }
        Ok(report)
    }

    fn move_leader(&self, cluster: &Cluster, to: &Node) -> Result<Report, NodeError> {
        let authorities: Vec<String> = cluster.nodes.iter().map(|node| self.server.client_authority(node)).collect();
        let Some(&leads) = status::leaders(&authorities).first() else {
            return Ok(Report::nothing(format!("{} does not get the lead: no node says that it leads", to.name)));
        };
        let (to, note) = if to.index == leads {
            (&cluster.nodes[(leads + 1) % cluster.len()], format!(" ({} leads already)", to.name))
        } else {
            (to, String::new())
        };
        if to.index == leads {
            return Ok(Report::nothing("there is no other node to lead".into()));
        }
        let id = match status_of(&authorities[to.index]) {
            Ok(status) => status.header.member_id,
            Err(why) => return Ok(Report::nothing(format!("{} does not get the lead{note}: {why}", to.name))),
        };
        let order = json!({ "targetID": id });
        let done = gateway::post::<Value>(&authorities[leads], "/v3/maintenance/transfer-leadership", &order, DONE_WITHIN);
        let others = Self::others(cluster, to);
        let asked: Vec<String> = others.iter().map(|other| authorities[other.index].clone()).collect();
        let follow = || -> Vec<&str> {
            let answers = status::ask(&asked).into_iter().zip(&others);
            answers
                .filter(|(said, _)| said.as_ref().is_ok_and(|said| said.leader.as_ref() == Some(&id)))
                .map(|(_, o)| o.name.as_str())
                .collect()
        };
        let followers = until(follow, |names| !names.is_empty());
        let was = &cluster.nodes[leads].name;
        let mut report = Report::of(vec![to.index], format!("moved the lead from {was} to {}{note}", to.name));
        report.observed = done.is_ok() && !followers.is_empty();
        report.seen = match followers.as_slice() {
            [] => format!("no other node follows {}", to.name),
            names => format!("{} follow {}, {was} led before", names.join(" "), to.name),
        };
        if let Err(why) = done {
            report.seen = format!("{}; {was}: {why}", report.seen);
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_with_its_defaults_left_out() {
        let text = r#"{"header":{"cluster_id":"8","member_id":"65","revision":"5","raft_term":"2"},"version":"3.4.23","dbSize":"20480"}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!((status.header.revision, status.header.member_id.as_str(), status.db_bytes), (5, "65", 20480));
        assert_eq!(serde_json::from_str::<Status>("{}").unwrap(), Status::default());
        assert!(serde_json::from_str::<Status>(r#"{"dbSize":"many"}"#).is_err());
    }
}
