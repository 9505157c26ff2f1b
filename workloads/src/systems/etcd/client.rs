//! A client of etcd's version 3 interface, through its JSON gateway: plain HTTP, one request per op.
//!
//! Keys and values are base64, 64-bit numbers are strings, and **fields that hold their default are left out** of answers: no
//! `succeeded` when it is false, no `kvs` when there is none.
//!
//! Every answer carries a revision: a change tells its own, a read that of the change that stored what it found. They are recorded beside
//! the values, if that is wished: a change that was acknowledged and lost shows in them even where the next write covers it.

use super::errors::{self, Classified};
use super::{Consistency, authority};
use crate::client::{Client, Completion, Invocation, OpError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::future::{BoxFuture, FutureExt};
use histories::Value;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Response, Url};
use serde::Deserialize;
use serde_json::json;
use std::net::IpAddr;

/// A client of one process.
pub struct EtcdClient {
    /// `address:port` of the node's client URL.
    authority: String,
    read: Consistency,
    revisions: bool,
    connection: Option<Connection>,
}

/// What [`Client::open`] makes. The TCP connection itself is made with the first request and kept.
struct Connection {
    http: reqwest::Client,
    range: Url,
    put: Url,
    txn: Url,
}

/// An op as etcd knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Read,
    Write(i64),
    Cas(i64, i64),
}

impl EtcdClient {
    /// A client of the node at this address, not yet open. With `revisions` results are `[value revision]`.
    pub fn new(address: IpAddr, port: u16, read: Consistency, revisions: bool) -> EtcdClient {
        EtcdClient { authority: authority(address, port), read, revisions, connection: None }
    }
}

/// An HTTP client that sends each request once, over one connection of its own: no retry, no redirect, no proxy, no deadline.
pub(super) fn http() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(None)
        .build()
}

impl Connection {
    fn new(authority: &str) -> Result<Connection, OpError> {
        let url = |path: &str| {
            let text = format!("http://{authority}{path}");
            Url::parse(&text).map_err(|e| OpError::new("bad-address", format!("{text}: {e}")))
        };
        let http = http().map_err(|e| OpError::new("no-http-client", e.to_string()))?;
        Ok(Connection { http, range: url("/v3/kv/range")?, put: url("/v3/kv/put")?, txn: url("/v3/kv/txn")? })
    }

    /// Posts and hears the whole answer, or says why not.
    async fn post(&self, url: &Url, body: &serde_json::Value) -> Result<Vec<u8>, Classified> {
        const JSON: HeaderValue = HeaderValue::from_static("application/json");
        let request = self.http.post(url.clone()).header(CONTENT_TYPE, JSON).body(body.to_string());
        let response: Response = request.send().await.map_err(|e| errors::of_transport(&e))?;
        let status = response.status().as_u16();
        let answer = response.bytes().await.map_err(|e| errors::of_transport(&e))?;
        if status == 200 { Ok(answer.to_vec()) } else { Err(errors::of_response(status, &answer)) }
    }

    /// The value and the revision of the change that stored it.
    async fn read(&self, key: &str, consistency: Consistency) -> Result<Option<(i64, i64)>, Classified> {
        let mut request = json!({ "key": key });
        if consistency == Consistency::Serializable {
            request["serializable"] = true.into();
        }
        let answer = self.post(&self.range, &request).await?;
        let range: Range = parse(&answer)?;
        match range.kvs.as_slice() {
            [] => Ok(None),
            [kv] if kv.key == key => match (decode(&kv.value), revision(&kv.mod_revision)) {
                (Some(value), Some(revision)) => Ok(Some((value, revision))),
                _ => Err(errors::of_nonsense(&answer)),
            },
            _ => Err(errors::of_nonsense(&answer)),
        }
    }

    /// The revision of the change.
    async fn write(&self, key: &str, value: i64) -> Result<i64, Classified> {
        let answer = self.post(&self.put, &json!({ "key": key, "value": encode(value) })).await?;
        let put: Put = parse(&answer)?;
        revision(&put.header.revision).ok_or_else(|| errors::of_nonsense(&answer))
    }

    /// The revision of the change, if the comparison held.
    async fn cas(&self, key: &str, old: i64, new: i64) -> Result<Option<i64>, Classified> {
        let request = json!({
            "compare": [{ "key": key, "target": "VALUE", "result": "EQUAL", "value": encode(old) }],
            "success": [{ "requestPut": { "key": key, "value": encode(new) } }],
        });
        let answer = self.post(&self.txn, &request).await?;
        let txn: Txn = parse(&answer)?;
        match (txn.succeeded, revision(&txn.header.revision)) {
            (false, _) => Ok(None),
            (true, Some(revision)) => Ok(Some(revision)),
            (true, None) => Err(errors::of_nonsense(&answer)),
        }
    }
}

/// Every answer of etcd has a header; an answer without is from something else.
#[derive(Deserialize)]
struct Header {
    /// That of the store, after what was asked was done.
    #[serde(default)]
    revision: String,
}

#[derive(Deserialize)]
struct Range {
    #[serde(rename = "header")]
    _header: Header,
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    mod_revision: String,
}

#[derive(Deserialize)]
struct Put {
    header: Header,
}

#[derive(Deserialize)]
struct Txn {
    header: Header,
    #[serde(default)]
    succeeded: bool,
}

fn parse<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, Classified> {
    serde_json::from_slice(answer).map_err(|_| errors::of_nonsense(answer))
}

/// A value as etcd stores it: its decimal digits, in base64.
fn encode(value: i64) -> String {
    BASE64.encode(value.to_string())
}

/// A revision; 0 is none.
fn revision(text: &str) -> Option<i64> {
    text.parse().ok().filter(|&revision| revision > 0)
}

fn decode(text: &str) -> Option<i64> {
    String::from_utf8(BASE64.decode(text).ok()?).ok()?.parse().ok()
}

/// The key, in base64, and the op. `None` if this client cannot ask that.
fn understand(op: &Invocation) -> Option<(i64, String, Op)> {
    let [key, argument] = op.value.elements()? else { return None };
    let number = key.as_int()?;
    let op = match (op.f, argument.elements()) {
        ("read", _) => Op::Read,
        ("write", _) => Op::Write(argument.as_int()?),
        ("cas", Some([old, new])) => Op::Cas(old.as_int()?, new.as_int()?),
        _ => return None,
    };
    Some((number, BASE64.encode(format!("register/{number}")), op))
}

/// The op's own value, with the revision of the change if that is wished: `[key [value revision]]`.
fn changed(op: &Invocation, revision: Option<i64>) -> Value {
    match (op.value.elements(), revision) {
        (Some([key, argument]), Some(revision)) => Value::pair(key.clone(), Value::pair(argument.clone(), revision)),
        _ => op.value.clone(),
    }
}

async fn ask(connection: &Connection, consistency: Consistency, revisions: bool, op: &Invocation) -> Completion {
    let told = |revision: i64| revisions.then_some(revision);
    let Some((number, key, asked)) = understand(op) else {
        return Completion::Fail(OpError::new("unsupported", format!("the etcd client cannot ask {} {}", op.f, op.value)));
    };
    match asked {
        Op::Read => match connection.read(&key, consistency).await {
            Ok(Some((value, revision))) if revisions => Completion::Ok(Value::pair(number, Value::pair(value, revision))),
            Ok(found) => Completion::Ok(Value::pair(number, found.map(|(value, _)| value))),
            Err(error) => error.of_read(),
        },
        Op::Write(value) => match connection.write(&key, value).await {
            Ok(revision) => Completion::Ok(changed(op, told(revision))),
            Err(error) => error.of_write(),
        },
        Op::Cas(old, new) => match connection.cas(&key, old, new).await {
            Ok(Some(revision)) => Completion::Ok(changed(op, told(revision))),
            Ok(None) => Completion::Fail(OpError::new(OpError::MISMATCH, format!("did not hold {old}"))),
            Err(error) => error.of_write(),
        },
    }
}

impl Client for EtcdClient {
    fn open(&mut self) -> BoxFuture<'_, Result<(), OpError>> {
        let made = Connection::new(&self.authority).map(|connection| self.connection = Some(connection));
        std::future::ready(made).boxed()
    }

    fn invoke<'a>(&'a mut self, op: &'a Invocation) -> BoxFuture<'a, Completion> {
        match &self.connection {
            Some(connection) => ask(connection, self.read, self.revisions, op).boxed(),
            None => std::future::ready(Completion::Fail(OpError::new("not-open", "the client was not opened"))).boxed(),
        }
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.connection = None;
        std::future::ready(()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_way_there_and_back() {
        for value in [0, 1, -7, i64::MAX, i64::MIN] {
            assert_eq!(decode(&encode(value)), Some(value));
        }
        assert_eq!(encode(12), "MTI=");
        assert_eq!(decode("MTI"), None);
        assert_eq!(decode("eA=="), None, "x is no number");
    }

    #[test]
    fn ops_are_understood_or_refused() {
        let op = |f, value| understand(&Invocation { f, value }).map(|(key, _, op)| (key, op));
        assert_eq!(op("read", Value::pair(3, Value::Nil)), Some((3, Op::Read)));
        assert_eq!(op("write", Value::pair(3, 4)), Some((3, Op::Write(4))));
        assert_eq!(op("cas", Value::pair(3, Value::pair(4, 5))), Some((3, Op::Cas(4, 5))));
        assert_eq!(op("cas", Value::pair(3, 4)), None);
        assert_eq!(op("write", Value::pair(3, Value::Nil)), None);
        assert_eq!(op("append", Value::pair(3, 4)), None);
        assert_eq!(op("read", Value::Nil), None);
    }

    #[test]
    fn fields_left_out_have_their_default_and_an_answer_has_a_header() {
        let header = r#"{"header":{"cluster_id":"1","revision":"2"}"#;
        let txn = |rest: &str| parse::<Txn>(format!("{header}{rest}}}").as_bytes()).map(|t| t.succeeded).ok();
        assert_eq!((txn(""), txn(r#","succeeded":true"#), txn(r#","succeeded":1"#)), (Some(false), Some(true), None));
        assert!(parse::<Range>(format!("{header}}}").as_bytes()).is_ok_and(|r| r.kvs.is_empty()));
        assert!(parse::<Put>(b"{}").is_err());
        assert_eq!((revision("7"), revision("0"), revision("")), (Some(7), None, None), "a revision of 0 is none");
        assert!(parse::<Txn>(br#"{"succeeded":true}"#).is_err());
    }

    #[test]
    fn a_change_tells_its_revision_if_that_is_wished() {
        let op = Invocation { f: "cas", value: Value::pair(3, Value::pair(4, 5)) };
        assert_eq!(changed(&op, Some(9)), Value::pair(3, Value::pair(Value::pair(4, 5), 9)));
        assert_eq!(changed(&op, None), op.value);
    }

    #[test]
    fn a_client_that_is_not_open_sends_nothing() {
        let mut client = EtcdClient::new([127, 0, 0, 1].into(), 1, Consistency::Linearizable, true);
        let op = Invocation { f: "write", value: Value::pair(1, 2) };
        let completion = client.invoke(&op).now_or_never();
        assert!(matches!(completion, Some(Completion::Fail(OpError { kind: "not-open", .. }))));
    }
}
