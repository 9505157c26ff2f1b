//! Which of etcd's errors are definite.
//!
//! A *definite* error says that the op did not take effect and never will: it is recorded as `fail`. Everything else is
//! *indefinite*, `info`: the op may have taken effect, or may do so later. A wrong `fail` makes a false alarm, a wrong `info`
//! only makes checking harder, so what is not listed is indefinite. A read changes nothing: any error of one is `fail`.
//!
//! | what happened | read | write, cas | why |
//! |---|---|---|---|
//! | connection refused, no route, name not found | fail | fail | nothing was sent |
//! | connection reset or closed, answer cut short or unreadable | fail | info | the request may have arrived |
//! | no answer before the op's deadline | info | info | the interpreter's doing: it drops the client |
//! | HTTP 404 or 405 that is not etcd's | fail | fail | no handler took the request |
//! | an error of etcd in [`RULES`] marked definite | fail | fail | see there |
//! | any other error of etcd, any other HTTP status | fail | info | unknown |
//! | cas: the comparison failed | | fail | `succeeded` is left out of the answer: [`OpError::MISMATCH`] |

use crate::client::{Completion, OpError};
use serde::Deserialize;

/// An error message of etcd, or of what it is made of, and what it says about the op.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The whole message.
    pub message: &'static str,
    /// Its short name in histories.
    pub kind: &'static str,
    /// Whether the op certainly did not and will not take effect.
    pub definite: bool,
    /// How this is known, from etcd's source (3.4 to 3.6).
    pub why: &'static str,
}

const fn definite(message: &'static str, kind: &'static str, why: &'static str) -> Rule {
    Rule { message, kind, definite: true, why }
}

const fn indefinite(message: &'static str, kind: &'static str, why: &'static str) -> Rule {
    Rule { message, kind, definite: false, why }
}

const CHECKED_FIRST: &str = "the request is checked before anything is proposed";
const WAITED_FOR: &str = "the proposal was made; only waiting for its result was given up";

/// Every message that is known. Others are indefinite.
pub const RULES: &[Rule] = &[
    definite("etcdserver: too many requests", "too-many-requests", "the server is behind in applying: refused before proposing"),
    definite("etcdserver: request is too large", "too-large", CHECKED_FIRST),
    definite("etcdserver: key is not provided", "bad-request", CHECKED_FIRST),
    definite("etcdserver: value is provided", "bad-request", CHECKED_FIRST),
    definite("etcdserver: lease is provided", "bad-request", CHECKED_FIRST),
    definite("etcdserver: too many operations in txn request", "bad-request", CHECKED_FIRST),
    definite("etcdserver: duplicate key given in txn request", "bad-request", CHECKED_FIRST),
    definite("etcdserver: no leader", "no-leader", "given by the interceptor in front of every handler"),
    definite("etcdserver: not capable", "not-capable", "given by the interceptor in front of every handler"),
    definite("etcdserver: rpc not supported for learner", "learner", "given by the interceptor in front of every handler"),
    definite("etcdserver: permission denied", "permission-denied", "checked before proposing and again instead of applying"),
    definite("etcdserver: invalid auth token", "invalid-auth-token", "checked before proposing"),
    definite("etcdserver: user name is empty", "no-user", "checked before proposing and again instead of applying"),
    definite("raft proposal dropped", "proposal-dropped", "the local raft node did not take it: it neither appended nor forwarded it"),
    definite("Not Found", "no-such-api", "the gateway's answer to a path without a handler"),
    indefinite("etcdserver: request timed out", "etcd-timeout", WAITED_FOR),
    indefinite("etcdserver: request timed out, possibly due to previous leader failure", "etcd-timeout", WAITED_FOR),
    indefinite("etcdserver: request timed out, possibly due to connection lost", "etcd-timeout", WAITED_FOR),
    indefinite("etcdserver: request timed out, waiting for the applied index took too long", "etcd-timeout", WAITED_FOR),
    indefinite("context deadline exceeded", "etcd-timeout", WAITED_FOR),
    indefinite("context canceled", "canceled", WAITED_FOR),
    indefinite("etcdserver: server stopped", "stopped", WAITED_FOR),
    indefinite("etcdserver: leader changed", "leader-changed", "known from reads; of a write it would not say where the proposal went"),
    indefinite("etcdserver: not leader", "not-leader", "a proposal may have been forwarded"),
    indefinite("etcdserver: unhealthy cluster", "unhealthy", "says nothing about the op"),
    indefinite("etcdserver: corrupt cluster", "corrupt", "nothing is certain in a corrupt cluster"),
    // Looks definite and is not: the server that notices first applies the op and then reports that there was no space.
    indefinite(
        "etcdserver: mvcc: database space exceeded",
        "no-space",
        "the quota is checked around applying: the first op beyond it is applied",
    ),
];

/// An error body of the JSON gateway. `error` and `message` are both given by 3.4 and 3.5; 3.6 gives `message` alone.
#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    error: String,
    #[serde(default)]
    message: String,
    /// The gRPC status code.
    #[serde(default)]
    code: u32,
}

/// The message and the code of an error body, if it is one.
pub(super) fn message_of(body: &[u8]) -> Option<(String, u32)> {
    let Body { error, message, code } = serde_json::from_slice(body).ok()?;
    let message = if message.is_empty() { error } else { message };
    (!message.is_empty()).then_some((message, code))
}

/// What an HTTP status other than 200, with its body, says.
pub(super) fn of_response(status: u16, body: &[u8]) -> Classified {
    let Some((message, code)) = message_of(body) else {
        let detail = format!("HTTP {status}: {}", excerpt(body));
        return match status {
            404 | 405 => Classified { definite: true, error: OpError::new("no-such-api", detail) },
            _ => Classified { definite: false, error: OpError::new("http", detail) },
        };
    };
    match RULES.iter().find(|rule| rule.message == message) {
        Some(rule) => Classified { definite: rule.definite, error: OpError::new(rule.kind, message) },
        None => Classified { definite: false, error: OpError::new(kind_of_code(code), format!("HTTP {status}, code {code}: {message}")) },
    }
}

/// A name for an error of which only the gRPC status code is known.
fn kind_of_code(code: u32) -> &'static str {
    match code {
        1 => "canceled",
        3 => "invalid-argument",
        4 => "etcd-timeout",
        8 => "resource-exhausted",
        14 => "unavailable",
        _ => "etcd",
    }
}

/// What a failure to ask or to hear the answer says.
pub(super) fn of_transport(error: &reqwest::Error) -> Classified {
    let detail = chain(error);
    if !error.is_connect() {
        let kind = if error.is_body() || error.is_decode() { "answer-cut-short" } else { "connection-lost" };
        return Classified { definite: false, error: OpError::new(kind, detail) };
    }
    let kind = match io_kind(error) {
        Some(std::io::ErrorKind::ConnectionRefused) => "connection-refused",
        Some(std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable) => "unreachable",
        _ => "cannot-connect",
    };
    Classified { definite: true, error: OpError::new(kind, detail) }
}

/// An answer with status 200 that is not what etcd answers.
pub(super) fn of_nonsense(body: &[u8]) -> Classified {
    Classified { definite: false, error: OpError::new("unreadable-answer", excerpt(body)) }
}

/// An error and whether it is definite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Classified {
    pub(super) definite: bool,
    pub(super) error: OpError,
}

impl Classified {
    /// What it means for a read.
    pub(super) fn of_read(self) -> Completion {
        Completion::Fail(self.error)
    }

    /// What it means for an op that changes something.
    pub(super) fn of_write(self) -> Completion {
        if self.definite { Completion::Fail(self.error) } else { Completion::Info(self.error) }
    }
}

/// The error and all that caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn io_kind(error: &dyn std::error::Error) -> Option<std::io::ErrorKind> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        source = cause.source();
    }
    None
}

/// The beginning of an answer, for people.
fn excerpt(body: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 200;
    String::from_utf8_lossy(body).trim().chars().take(CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(message: &str, code: u32) -> Vec<u8> {
        serde_json::to_vec(&serde_json::json!({ "error": message, "message": message, "code": code })).unwrap()
    }

    #[test]
    fn every_rule_is_found_by_its_whole_message() {
        for rule in RULES {
            let found = of_response(503, &gateway(rule.message, 14));
            assert_eq!((found.definite, found.error.kind), (rule.definite, rule.kind), "{}", rule.message);
        }
        let longer = of_response(503, &gateway("etcdserver: too many requests, or perhaps not", 8));
        assert!(!longer.definite, "a longer message is another message");
    }

    #[test]
    fn messages_are_listed_once_and_no_timeout_is_definite() {
        let mut messages: Vec<&str> = RULES.iter().map(|rule| rule.message).collect();
        messages.sort_unstable();
        messages.dedup();
        assert_eq!(messages.len(), RULES.len());
        for rule in RULES {
            assert!(!(rule.definite && (rule.message.contains("timed out") || rule.message.contains("deadline"))), "{}", rule.message);
        }
    }

    #[test]
    fn answers_of_all_kinds_are_classified() {
        let cases: &[(u16, &[u8], bool, &str)] = &[
            (
                503,
                br#"{"error":"etcdserver: request timed out","message":"etcdserver: request timed out","code":14}"#,
                false,
                "etcd-timeout",
            ),
            (503, br#"{"code":14,"message":"etcdserver: request timed out","details":[]}"#, false, "etcd-timeout"),
            (429, br#"{"error":"etcdserver: too many requests","code":8}"#, true, "too-many-requests"),
            (429, br#"{"error":"etcdserver: mvcc: database space exceeded","code":8}"#, false, "no-space"),
            (503, br#"{"error":"transport is closing","message":"transport is closing","code":14}"#, false, "unavailable"),
            (504, br#"{"error":"context deadline exceeded","code":4}"#, false, "etcd-timeout"),
            (500, br#"{"error":"something new","code":2}"#, false, "etcd"),
            (404, b"404 page not found\n", true, "no-such-api"),
            (404, br#"{"error":"Not Found","code":5}"#, true, "no-such-api"),
            (404, br#"{"error":"etcdserver: requested lease not found","code":5}"#, false, "etcd"),
            (502, b"<html>a proxy's error</html>", false, "http"),
            (503, b"", false, "http"),
            (400, br#"{"error":"invalid character 'x'","code":3}"#, false, "invalid-argument"),
        ];
        for (status, body, definite, kind) in cases {
            let found = of_response(*status, body);
            assert_eq!((found.definite, found.error.kind), (*definite, *kind), "{status} {}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn an_indefinite_error_fails_a_read_and_leaves_a_write_open() {
        let open = of_response(503, &gateway("etcdserver: request timed out", 14));
        assert!(matches!(open.clone().of_read(), Completion::Fail(_)));
        assert!(matches!(open.of_write(), Completion::Info(_)));
        let closed = of_response(429, &gateway("etcdserver: too many requests", 8));
        assert!(matches!(closed.clone().of_read(), Completion::Fail(_)));
        assert!(matches!(closed.of_write(), Completion::Fail(_)));
    }
}
