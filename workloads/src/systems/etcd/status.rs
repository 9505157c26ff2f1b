//! What the servers say of themselves, asked over HTTP from where the harness runs, all at once.

use super::client;
use futures_util::future::join_all;
use serde::Deserialize;
use std::fmt::Display;
use std::time::Duration;

/// How long a server may take to answer. Cut off or stopped, it never does.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// What a server knows of the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// The server's own id.
    pub(super) member: String,
    /// The id of the leader it follows; `None` if it knows none.
    pub(super) leader: Option<String>,
    /// Its Raft term.
    pub(super) term: u64,
    /// The revision of its store.
    pub(super) revision: i64,
}

impl Status {
    /// Whether the same server says the same of the leader.
    fn same_leader(&self, other: &Status) -> bool {
        (&self.member, &self.leader, self.term) == (&other.member, &other.leader, other.term)
    }

    /// Whether it says that it leads.
    pub(super) fn leads(&self) -> bool {
        self.leader.as_ref() == Some(&self.member)
    }
}

/// Asks each of these servers (`address:port`) at once. From a plain thread only, never from an async worker.
pub(super) fn ask(authorities: &[String]) -> Vec<Result<Status, String>> {
    at_once(authorities, async |http, authority| status(&http, &authority).await)
}

/// Whether each of these servers says that it is healthy: that it has a leader and can read through it.
pub(super) fn healthy(authorities: &[String]) -> Vec<Result<(), String>> {
    at_once(authorities, async |http, authority| health(&http, &authority).await)
}

/// Asks each of these members (`address:port` of its peer URL) for the hash of its data up to a revision.
pub(super) fn hashes(authorities: &[String], revision: i64) -> Vec<Result<Hash, String>> {
    at_once(authorities, async |http, authority| hash(&http, &authority, revision).await)
}

fn at_once<T>(authorities: &[String], ask: impl AsyncFn(reqwest::Client, String) -> Result<T, String>) -> Vec<Result<T, String>> {
    let answers = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
        let http = client::http().map_err(text)?;
        Ok(runtime.block_on(join_all(authorities.iter().map(|authority| bounded(ask(http.clone(), authority.clone()))))))
    };
    answers().unwrap_or_else(|error: String| vec![error; authorities.len()].into_iter().map(Err).collect())
}

async fn bounded<T>(answer: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = |_| format!("no answer within {ANSWER_WITHIN:?}");
    tokio::time::timeout(ANSWER_WITHIN, answer).await.map_err(late)?
}

fn text(error: impl Display) -> String {
    error.to_string()
}

async fn health(http: &reqwest::Client, authority: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Health {
        health: String,
    }
    let response = http.get(format!("http://{authority}/health")).send().await.map_err(|e| reason(&e))?;
    let body = response.bytes().await.map_err(|e| reason(&e))?;
    match serde_json::from_slice::<Health>(&body) {
        Ok(Health { health }) if health == "true" => Ok(()),
        _ => Err(format!("it says of its health: {}", String::from_utf8_lossy(&body))),
    }
}

async fn hash(http: &reqwest::Client, authority: &str, revision: i64) -> Result<Hash, String> {
    let url = format!("http://{authority}/members/hashkv");
    // With a body although it is a GET: so members ask each other.
    let request = http.get(url).body(format!("{{\"revision\":{revision}}}"));
    let response = request.send().await.map_err(|e| reason(&e))?;
    Hash::parse(&response.bytes().await.map_err(|e| reason(&e))?)
}

async fn status(http: &reqwest::Client, authority: &str) -> Result<Status, String> {
    let url = format!("http://{authority}/v3/maintenance/status");
    let response = http.post(url).body("{}").send().await.map_err(|e| reason(&e))?;
    let code = response.status().as_u16();
    let body = response.bytes().await.map_err(|e| reason(&e))?;
    match code {
        200 => parse(&body),
        404 => Err("it has no JSON gateway at /v3: etcd 3.4 or newer is needed".into()),
        _ => Err(format!("HTTP {code}: {}", String::from_utf8_lossy(&body))),
    }
}

/// Why a request failed, without the URL that everybody knows.
pub(super) fn reason(error: &reqwest::Error) -> String {
    if error.is_connect() { "nothing listens there yet, or it cannot be reached".into() } else { error.to_string() }
}

fn parse(body: &[u8]) -> Result<Status, String> {
    #[derive(Deserialize)]
    struct Header {
        #[serde(default)]
        member_id: String,
        #[serde(default)]
        raft_term: String,
        #[serde(default)]
        revision: String,
    }
    #[derive(Deserialize)]
    struct Body {
        header: Header,
        #[serde(default)]
        leader: String,
    }
    let Body { header, leader } = serde_json::from_slice(body).map_err(text)?;
    // A leader of 0 is left out, as every default.
    let leader = Some(leader).filter(|id| !id.is_empty() && id != "0");
    let (term, revision) = (header.raft_term.parse().unwrap_or(0), header.revision.parse().unwrap_or(0));
    Ok(Status { member: header.member_id, leader, term, revision })
}

/// The servers that say twice in a row, in the same term, that they lead, by index; the newest term first. A status is put
/// together from fields that are read one after another, so a single one may name a leader that never led.
pub(super) fn leaders(authorities: &[String]) -> Vec<usize> {
    let first = ask(authorities);
    let claims: Vec<(usize, Status)> =
        first.into_iter().enumerate().filter_map(|(i, s)| Some((i, s.ok().filter(Status::leads)?))).collect();
    let asked: Vec<String> = claims.iter().map(|(i, _)| authorities[*i].clone()).collect();
    let again = if asked.is_empty() { Vec::new() } else { ask(&asked) };
    confirmed(claims, again)
}

/// Those who say the same again; their stores go on meanwhile.
fn confirmed(claims: Vec<(usize, Status)>, again: Vec<Result<Status, String>>) -> Vec<usize> {
    let mut confirmed: Vec<(u64, usize)> = claims
        .into_iter()
        .zip(again)
        .filter(|((_, first), second)| second.as_ref().is_ok_and(|second| second.same_leader(first)))
        .map(|((i, s), _)| (s.term, i))
        .collect();
    confirmed.sort_unstable_by_key(|&(term, i)| (std::cmp::Reverse(term), i));
    confirmed.into_iter().map(|(_, i)| i).collect()
}

/// What a member says of its data.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Hash {
    pub(super) hash: u32,
    /// A default is left out.
    #[serde(default)]
    pub(super) compact_revision: i64,
}

impl Hash {
    pub(super) fn parse(body: &[u8]) -> Result<Hash, String> {
        serde_json::from_slice(body).map_err(|_| format!("it says of its hash: {}", String::from_utf8_lossy(body).trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(member: &str, leader: &str, term: u64) -> Status {
        Status { member: member.into(), leader: Some(leader.into()), term, revision: 1 }
    }

    #[test]
    fn an_answer_of_etcd_is_understood_with_or_without_a_leader() {
        let with = br#"{"header":{"cluster_id":"5","member_id":"7","revision":"1","raft_term":"2"},"version":"3.4.23","leader":"7","raftTerm":"2"}"#;
        assert_eq!(parse(with), Ok(said("7", "7", 2)));
        assert!(parse(with).unwrap().leads());
        let without = br#"{"header":{"member_id":"7","raft_term":"3"},"version":"3.4.23"}"#;
        assert_eq!(parse(without), Ok(Status { member: "7".into(), leader: None, term: 3, revision: 0 }));
        assert!(parse(b"{}").is_err());
    }

    #[test]
    fn a_leader_is_believed_when_it_says_so_twice() {
        let claims = vec![(0, said("a", "a", 4)), (2, said("c", "c", 5)), (3, said("d", "d", 4)), (4, said("e", "e", 4))];
        let again =
            vec![Ok(Status { revision: 9, ..said("a", "a", 4) }), Ok(said("c", "c", 5)), Ok(said("d", "c", 5)), Err("no answer".into())];
        assert_eq!(confirmed(claims, again), [2, 0], "the newest term first; one that changed its mind or fell silent is left out");
    }

    #[test]
    fn a_server_that_is_not_there_is_an_error_not_a_wait() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(ask(&[closed.to_string()])[0].as_ref().is_err_and(|e| e.contains("listens")));
        assert!(healthy(&[closed.to_string()])[0].is_err());
        assert!(leaders(&[closed.to_string()]).is_empty());
    }

    #[test]
    fn a_server_that_never_answers_is_given_up() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = silent.local_addr().unwrap().to_string();
        assert!(ask(&[authority])[0].as_ref().is_err_and(|e| e.contains("no answer within")));
    }
}
