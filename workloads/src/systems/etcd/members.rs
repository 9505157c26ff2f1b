//! Who belongs to an etcd cluster: members that leave, and come back with empty data.
//!
//! A member that comes back is a new one in etcd's eyes, with an identity of its own. It joins as a *learner*, without a vote, and gets
//! one when it has caught up: an empty member with a vote would count for the majority before it knows anything. Member lists are
//! answered by each server from what it has applied, so before its list is believed, a server makes a linearizable read: then it has
//! applied all that was agreed on until then.

use super::database::EtcdDatabase;
use super::gateway;
use super::server::{NAME, Standing};
use nemesis::{Cluster, Membership, Node, NodeError, ProcessState};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a server may take to answer a question.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// How long a change of the members may take: it is agreed on, and the leader may have to change.
const CHANGE_WITHIN: Duration = Duration::from_secs(7);

/// What a server says, before it proposes anything, that has not been connected to all others for the last five seconds.
const UNHEALTHY: &str = "etcdserver: unhealthy cluster";

/// How long it is asked again then.
const HEALTHY_WITHIN: Duration = Duration::from_secs(8);

/// The pause before a step towards coming back is tried again.
const AGAIN: Duration = Duration::from_millis(150);

/// A member as etcd lists it. Fields that hold their default are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Listed {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(rename = "isLearner")]
    is_learner: bool,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    members: Vec<Listed>,
}

/// Makes the server read through the majority, and thereby catch up.
fn catch_up(authority: &str) -> Result<(), String> {
    // The key of one zero byte: which one does not matter.
    gateway::post::<Value>(authority, "/v3/kv/range", &json!({ "key": "AA==" }), ANSWER_WITHIN).map(|_| ())
}

/// The members, as this server knows them when it has caught up.
fn list(authority: &str) -> Result<Vec<Listed>, String> {
    catch_up(authority)?;
    gateway::post::<List>(authority, "/v3/cluster/member/list", &json!({}), ANSWER_WITHIN).map(|list| list.members)
}

impl EtcdDatabase {
    /// The members as another node than this one knows them, and where that one is asked.
    fn listed_by_another(&self, cluster: &Cluster, node: &Node) -> Result<(String, Vec<Listed>), NodeError> {
        let mut told = Vec::new();
        for other in cluster.nodes.iter().filter(|other| other.index != node.index) {
            let authority = self.server.client_authority(other);
            match list(&authority) {
                Ok(members) => return Ok((authority, members)),
                Err(why) => told.push(format!("{}: {why}", other.name)),
            }
        }
        Err(NodeError::new(&node.name, format!("no other member can say who the members are: {}", told.join("; "))))
    }

    /// Ends the process of a node that has left and removes its data.
    fn take_out(&self, node: &Node) -> Result<(), NodeError> {
        self.agent(node).stop(NAME)?;
        self.remove_data(node)?;
        self.server.set_standing(node, Standing::Out);
        Ok(())
    }

    /// One step of a node on its way back; true when it has arrived.
    fn step_back(&self, cluster: &Cluster, node: &Node) -> Result<bool, NodeError> {
        let (asked, members) = self.listed_by_another(cluster, node)?;
        let url = self.server.peer_url(node);
        let entry = members.iter().find(|member| member.peer_urls.contains(&url));
        let fail = |why: String| NodeError::new(&node.name, why);
        match (self.server.standing(node), entry) {
            (Standing::Leaving(id), Some(entry)) if entry.id == id => {
                // It never left.
                self.server.set_standing(node, Standing::Rejoined);
            }
            (Standing::Leaving(_), _) => self.take_out(node)?,
            (Standing::Out, None) => {
                let body = json!({ "peerURLs": [url], "isLearner": true });
                gateway::post::<Value>(&asked, "/v3/cluster/member/add", &body, CHANGE_WITHIN).map_err(fail)?;
                self.server.set_standing(node, Standing::Joining);
            }
            // The answer to an earlier request to let it in was lost.
            (Standing::Out, Some(_)) => self.server.set_standing(node, Standing::Joining),
            (Standing::Joining, Some(entry)) => {
                if self.agent(node).state(NAME)? == ProcessState::Down {
                    self.start_server(node)?;
                }
                if entry.is_learner {
                    let body = json!({ "ID": entry.id });
                    gateway::post::<Value>(&asked, "/v3/cluster/member/promote", &body, CHANGE_WITHIN).map_err(fail)?;
                }
                self.serves(node)?;
                self.server.set_standing(node, Standing::Rejoined);
            }
            (Standing::Joining, None) => return Err(fail("somebody else has removed it from the cluster".into())),
            (Standing::Founder | Standing::Rejoined, _) => return self.serves(node).map(|()| true),
        }
        Ok(false)
    }
}

impl Membership for EtcdDatabase {
    /// Whether it makes a linearizable read: a learner refuses to, and so does one that was removed.
    fn serves(&self, node: &Node) -> Result<(), NodeError> {
        catch_up(&self.server.client_authority(node)).map_err(|why| NodeError::new(&node.name, format!("it does not serve: {why}")))
    }

    fn voters(&self, cluster: &Cluster, asked: &Node) -> Result<Vec<usize>, NodeError> {
        let members = list(&self.server.client_authority(asked)).map_err(|why| NodeError::new(&asked.name, why))?;
        let votes = |node: &&Node| {
            let url = self.server.peer_url(node);
            members.iter().any(|member| !member.is_learner && member.peer_urls.contains(&url))
        };
        Ok(cluster.nodes.iter().filter(votes).map(|node| node.index).collect())
    }

    fn remove(&self, cluster: &Cluster, node: &Node) -> Result<(), NodeError> {
        let (asked, members) = self.listed_by_another(cluster, node)?;
        let url = self.server.peer_url(node);
        let Some(entry) = members.into_iter().find(|member| member.peer_urls.contains(&url)) else {
            return Err(NodeError::new(&node.name, "it is no member"));
        };
        self.server.set_standing(node, Standing::Leaving(entry.id.clone()));
        let deadline = Instant::now() + HEALTHY_WITHIN;
        let removed = loop {
            let removed = gateway::post::<Value>(&asked, "/v3/cluster/member/remove", &json!({ "ID": entry.id }), CHANGE_WITHIN);
            match removed {
                Err(why) if why == UNHEALTHY && Instant::now() < deadline => std::thread::sleep(AGAIN),
                removed => break removed,
            }
        };
        removed.map_err(|why| NodeError::new(&node.name, format!("the others did not remove it: {why}")))?;
        self.take_out(node)
    }

    fn add(&self, cluster: &Cluster, node: &Node, within: Duration) -> Result<(), NodeError> {
        let deadline = Instant::now() + within;
        loop {
            match self.step_back(cluster, node) {
                Ok(true) => return Ok(()),
                Ok(false) if Instant::now() < deadline => {}
                Ok(false) => return Err(NodeError::new(&node.name, format!("it is not back after {within:?}"))),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(AGAIN),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_its_defaults_left_out() {
        let text = r#"{"header":{"raft_term":"3"},"members":[
            {"ID":"15","peerURLs":["http://10.0.0.3:2380"],"isLearner":true},
            {"ID":"19","name":"n2","peerURLs":["http://10.0.0.2:2380"],"clientURLs":["http://10.0.0.2:2379"]}]}"#;
        let members = serde_json::from_str::<List>(text).unwrap().members;
        assert_eq!(members[0], Listed { id: "15".into(), peer_urls: vec!["http://10.0.0.3:2380".into()], is_learner: true });
        assert!(!members[1].is_learner);
        assert!(serde_json::from_str::<List>("{}").unwrap().members.is_empty());
    }
}
