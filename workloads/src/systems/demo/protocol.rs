//! What is said on the wire: JSON, one value per line, on one port per node.
//!
//! A connection starts with any [`Request`]. After [`Request::Peer`] it carries a peer's [`Packet`]s and no answers; otherwise
//! every request gets one answer line: an [`Answer`] to a call, a [`Status`], or `true` or `false`.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// A key of the store.
pub type Key = i64;

/// The longest line that is read, in bytes. The largest honest one is a batch of log entries of at most a few kilobytes.
pub const LINE_BYTES_MAX: u64 = 1 << 20;

/// What a connection may ask of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// A client's op.
    Call(Call),
    /// Who are you? Answered with a [`Status`].
    Status,
    /// Send a probe with this number to a peer. Answered with whether the link to it was up.
    Probe {
        /// The peer's index.
        to: usize,
        /// The number to recognise it by.
        number: u64,
    },
    /// What became of a probe with this number? Answered with `true` if it was taken in, `false` if it was dropped, `null` if it
    /// has not been seen (yet).
    Heard {
        /// The number that was sent.
        number: u64,
    },
    /// From now on this connection carries the packets of the node with this index.
    Peer(usize),
}

/// A client's op, as the store understands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// The value of a key.
    Read {
        /// The key.
        key: Key,
    },
    /// Overwrites the value of a key.
    Write {
        /// The key.
        key: Key,
        /// Its new value.
        value: i64,
    },
    /// Writes `new` if the key holds `old`.
    Cas {
        /// The key.
        key: Key,
        /// The value it must hold.
        old: i64,
        /// The value it then gets.
        new: i64,
    },
    /// Puts a value into a set, or adds it to a counter.
    Add {
        /// The key.
        key: Key,
        /// The element, or the amount.
        value: i64,
    },
    /// Takes a value out of a set.
    Remove {
        /// The key.
        key: Key,
        /// The element.
        value: i64,
    },
    /// Takes a lock. Its result is the token of this holder.
    Acquire {
        /// The lock.
        key: Key,
    },
    /// Gives a lock back.
    Release {
        /// The lock.
        key: Key,
        /// The token that its holder got.
        token: i64,
    },
}

impl Call {
    /// The key that it is about.
    pub fn key(self) -> Key {
        match self {
            Call::Read { key }
            | Call::Write { key, .. }
            | Call::Cas { key, .. }
            | Call::Add { key, .. }
            | Call::Remove { key, .. }
            | Call::Acquire { key }
            | Call::Release { key, .. } => key,
        }
    }
}

/// What came of a [`Call`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It took effect, and this is its result (`null` for one that returns nothing).
    Ok(serde_json::Value),
    /// It did not take effect and never will.
    Fail(Refusal),
    /// It may have taken effect, or may yet.
    Info(Refusal),
}

/// Why a node did not say `ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Too few nodes answered in time.
    NoQuorum,
    /// The primary did not answer in time.
    NoPrimary,
    /// The key does not hold the value that the cas expects.
    Mismatch,
    /// This replication scheme does not offer such an op.
    NotOffered,
    /// The node has too much to do.
    Busy,
    /// Somebody else holds the lock.
    Held,
    /// The lock was given to somebody else meanwhile.
    Stale,
}

impl Refusal {
    /// The name to count by, as on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::NoQuorum => "no-quorum",
            Refusal::NoPrimary => "no-primary",
            Refusal::Mismatch => "mismatch",
            Refusal::NotOffered => "not-offered",
            Refusal::Busy => "busy",
            Refusal::Held => "held",
            Refusal::Stale => "stale",
        }
    }
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// Its replication scheme, by name.
    pub replication: String,
    /// Whether it leads.
    pub leads: bool,
    /// How many times it has been started on its data, this time included.
    pub boot: u64,
    /// How many peers it has an open connection to.
    pub links: usize,
}

/// What one node sends to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packet<M> {
    /// A message of the replication scheme.
    Message(M),
    /// A probe, which only shows that it arrived.
    Probe(u64),
}

/// A value as a line.
pub fn to_line(value: &impl Serialize) -> Vec<u8> {
    // Nothing here has a map with keys that are no text, the one thing that JSON cannot say.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads a line; `None` at the end of the stream. `buffer` is scratch space.
pub async fn read_line<T: DeserializeOwned>(stream: &mut (impl AsyncBufRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<Option<T>> {
    buffer.clear();
    stream.take(LINE_BYTES_MAX).read_until(b'\n', buffer).await?;
    if buffer.is_empty() {
        return Ok(None);
    }
    if buffer.last() != Some(&b'\n') {
        let why = if buffer.len() as u64 == LINE_BYTES_MAX { "a line that is too long" } else { "a line without an end" };
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(Some(serde_json::from_slice(buffer)?))
}
