//! The etcd client against a server that misbehaves on purpose: every op is sent once, and what is uncertain is said to be.

#![allow(clippy::unwrap_used)] // A test stops at the first surprise.

use futures_util::FutureExt;
use histories::Value;
use rashomon_workloads::systems::etcd::{Consistency, EtcdClient};
use rashomon_workloads::{Client, Completion, Invocation};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A server that reads a request, writes these bytes and closes the connection.
struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

fn serve(answer: impl Into<Vec<u8>>) -> Server {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    // Ends with the test process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            if read_request(&mut stream).is_some() {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(&answer);
            }
        }
    });
    Server { address, requests }
}

/// Reads one request with its body.
fn read_request(stream: &mut TcpStream) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer).ok().filter(|&n| n > 0)?;
        text.extend_from_slice(&buffer[..n]);
        let request = String::from_utf8_lossy(&text).to_lowercase();
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok())?;
        if body.len() >= length {
            return Some(());
        }
    }
}

fn ask(address: SocketAddr, f: &'static str, value: Value) -> Completion {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut client = EtcdClient::new([127, 0, 0, 1].into(), address.port(), Consistency::Linearizable, true);
    client.open().now_or_never().unwrap().unwrap();
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(10), client.invoke(&Invocation { f, value })).await })
        .expect("an answer within 10 s")
}

fn kind(completion: &Completion) -> (&'static str, &'static str) {
    match completion {
        Completion::Ok(_) => ("ok", ""),
        Completion::Fail(error) => ("fail", error.kind),
        Completion::Info(error) => ("info", error.kind),
    }
}

/// A whole answer.
fn http(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The answer, and what a write and a read make of it.
type Case = (Vec<u8>, (&'static str, &'static str), (&'static str, &'static str));

fn cases() -> Vec<Case> {
    let redirect = "HTTP/1.1 307 Temporary Redirect\r\nlocation: /v3/kv/put\r\ncontent-length: 0\r\n\r\n";
    let retry_after = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
    let timed_out = r#"{"message":"etcdserver: request timed out"}"#;
    let too_many = r#"{"message":"etcdserver: too many requests"}"#;
    let lost = |answer: &str| (answer.into(), ("info", "connection-lost"), ("fail", "connection-lost"));
    let same = |answer, kind| (answer, ("info", kind), ("fail", kind));
    let definite = |answer, kind| (answer, ("fail", kind), ("fail", kind));
    vec![
        lost(""),
        lost("HTTP/1.1 200 OK\r\nconte"),
        lost("no HTTP at all\r\n\r\n"),
        same(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"header\":".to_vec(), "answer-cut-short"),
        same(http("200 OK", "{}"), "unreadable-answer"),
        same(http("200 OK", "hello"), "unreadable-answer"),
        same(http("206 Partial Content", r#"{"header":{}}"#), "http"),
        same(redirect.into(), "http"),
        same(retry_after.into(), "http"),
        same(http("503 Service Unavailable", timed_out), "etcd-timeout"),
        definite(http("404 Not Found", "404 page not found"), "no-such-api"),
        definite(http("429 Too Many Requests", too_many), "too-many-requests"),
        (http("200 OK", r#"{"header":{"revision":"7"}}"#), ("ok", ""), ("ok", "")),
        // A change always has a revision; of a key that is missing there is none to be told.
        (http("200 OK", r#"{"header":{}}"#), ("info", "unreadable-answer"), ("ok", "")),
    ]
}

#[test]
fn every_answer_is_classified_and_every_op_is_sent_once() {
    for (answer, write, read) in cases() {
        let text = String::from_utf8_lossy(&answer).into_owned();
        let server = serve(answer);
        let written = ask(server.address, "write", Value::pair(1, 2));
        assert_eq!(kind(&written), write, "write: {text:?}: {written:?}");
        assert_eq!(server.requests.load(Ordering::SeqCst), 1, "a write is sent once: {text:?}");
        let found = ask(server.address, "read", Value::pair(1, Value::Nil));
        assert_eq!(kind(&found), read, "read: {text:?}: {found:?}");
        assert_eq!(server.requests.load(Ordering::SeqCst), 2, "a read is sent once: {text:?}");
    }
}

#[test]
fn a_cas_without_a_word_on_success_has_failed() {
    let cas = |body| ask(serve(http("200 OK", body)).address, "cas", Value::pair(1, Value::pair(2, 3)));
    assert_eq!(kind(&cas(r#"{"header":{}}"#)), ("fail", "mismatch"));
    let done = Completion::Ok(Value::pair(1, Value::pair(Value::pair(2, 3), 9)));
    assert_eq!(cas(r#"{"header":{"revision":"9"},"succeeded":true}"#), done);
    assert_eq!(kind(&cas(r#"{"header":{},"succeeded":true}"#)), ("info", "unreadable-answer"), "a change has a revision");
    assert_eq!(kind(&cas("{}")), ("info", "unreadable-answer"));
}

#[test]
fn values_that_nobody_wrote_are_not_made_up() {
    let read = |kvs: &str| {
        let body = format!(r#"{{"header":{{}},"kvs":[{kvs}]}}"#);
        ask(serve(http("200 OK", &body)).address, "read", Value::pair(1, Value::Nil))
    };
    // "register/1" is cmVnaXN0ZXIvMQ==, "x" is eA==, "42" is NDI=.
    let whole = r#"{"key":"cmVnaXN0ZXIvMQ==","value":"NDI=","mod_revision":"7"}"#;
    assert_eq!(read(whole), Completion::Ok(Value::pair(1, Value::pair(42, 7))));
    let another_key = r#"{"key":"eA==","value":"NDI=","mod_revision":"7"}"#;
    let two_keys = &format!("{whole},{another_key}");
    let no_number = r#"{"key":"cmVnaXN0ZXIvMQ==","value":"eA==","mod_revision":"7"}"#;
    let empty = r#"{"key":"cmVnaXN0ZXIvMQ==","mod_revision":"7"}"#;
    let no_revision = r#"{"key":"cmVnaXN0ZXIvMQ==","value":"NDI="}"#;
    for kvs in [another_key, two_keys, no_number, empty, no_revision] {
        assert_eq!(kind(&read(kvs)), ("fail", "unreadable-answer"), "{kvs}");
    }
}

#[test]
fn nobody_listening_is_definite() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(kind(&ask(closed, "write", Value::pair(1, 2))), ("fail", "connection-refused"));
}
