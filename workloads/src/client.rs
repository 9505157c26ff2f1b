//! One client of a store: it makes one attempt at an op and classifies what came of it.

use futures_util::future::BoxFuture;
use histories::Value;

/// What a process asks: a function and its argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// `read`, `write`, `cas`, ...
    pub f: &'static str,
    /// Its argument; `[key argument]` if the workload has independent keys.
    pub value: Value,
}

/// Why an op did not end `ok`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpError {
    /// A short, stable name to count by: `timeout`, `connection-refused`, `no-leader`.
    pub kind: &'static str,
    /// The detail, for people. Never a secret.
    pub detail: String,
}

impl OpError {
    /// The kind of a cas that found another value than it expected: the store worked, so nobody needs to rest before asking
    /// again. Every system uses this name.
    pub const MISMATCH: &'static str = "mismatch";

    /// An error of this kind.
    pub fn new(kind: &'static str, detail: impl Into<String>) -> OpError {
        OpError { kind, detail: detail.into() }
    }
}

/// What came of an op. Never a `Result`: an unknown outcome is a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Completion {
    /// It took effect; the value of the completion, in the form of the invocation's (`[key result]` with keys).
    Ok(Value),
    /// It certainly did not take effect.
    Fail(OpError),
    /// Nobody knows.
    Info(OpError),
}

/// A client of one process, bound to one node. It makes **one attempt** per op: it never retries, never sleeps, sets no
/// deadline (the interpreter does, and drops the future: the outcome is then `info`).
pub trait Client: Send {
    /// Connects, where that means something. A failure makes the process's next op `fail`: nothing was sent.
    fn open(&mut self) -> BoxFuture<'_, Result<(), OpError>>;

    /// One attempt.
    fn invoke<'a>(&'a mut self, op: &'a Invocation) -> BoxFuture<'a, Completion>;

    /// Disconnects. Dropping a client without it is allowed.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}
