//! A client of one demo node: one connection, one op at a time.

use super::protocol::{Answer, Call, Refusal, Request, read_line, to_line};
use crate::client::{Client, Completion, Invocation, OpError};
use futures_util::future::BoxFuture;
use histories::Value;
use std::io;
use std::net::Ipv4Addr;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A client of the node that listens on a port of 127.0.0.1.
#[derive(Debug)]
pub struct DemoClient {
    port: u16,
    /// The connection, while no op is in flight on it. An op that is given up in the middle takes it along: the answer that may
    /// still come must not be taken for that of the next op.
    connection: Option<BufReader<TcpStream>>,
}

impl DemoClient {
    /// A client that is not connected yet.
    pub fn new(port: u16) -> DemoClient {
        DemoClient { port, connection: None }
    }

    async fn connect(&mut self) -> Result<(), OpError> {
        if self.connection.is_none() {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.map_err(|error| not_sent(&error))?;
            stream.set_nodelay(true).map_err(|error| not_sent(&error))?;
            self.connection = Some(BufReader::new(stream));
        }
        Ok(())
    }

    async fn attempt(&mut self, op: &Invocation) -> Completion {
        let Some((key, call)) = call(op) else {
            return Completion::Fail(OpError { kind: "not-offered", detail: format!("{} {:?}", op.f, op.value) });
        };
        if let Err(error) = self.connect().await {
            return Completion::Fail(error);
        }
        let Some(mut connection) = self.connection.take() else {
            return Completion::Fail(OpError { kind: "not-connected", detail: "no connection".into() });
        };
        match exchange(&mut connection, call).await {
            Ok(answer) => {
                self.connection = Some(connection);
                complete(key, op, answer)
            }
            Err(error) => Completion::Info(OpError { kind: "connection-lost", detail: error.to_string() }),
        }
    }
}

impl Client for DemoClient {
    fn open(&mut self) -> BoxFuture<'_, Result<(), OpError>> {
        Box::pin(self.connect())
    }

    fn invoke<'a>(&'a mut self, op: &'a Invocation) -> BoxFuture<'a, Completion> {
        Box::pin(self.attempt(op))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.connection = None;
        Box::pin(async {})
    }
}

/// Sends a call and waits for its answer. From here on an error says nothing about the call.
async fn exchange(connection: &mut BufReader<TcpStream>, call: Call) -> io::Result<Answer> {
    connection.get_mut().write_all(&to_line(&Request::Call(call))).await?;
    let answer = read_line(connection, &mut Vec::new()).await?;
    answer.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the node closed the connection"))
}

fn not_sent(error: &io::Error) -> OpError {
    let kind = if error.kind() == io::ErrorKind::ConnectionRefused { "connection-refused" } else { "not-connected" };
    OpError { kind, detail: error.to_string() }
}

/// The key and the call of an op with an independent integer key: `[key argument]`.
fn call(op: &Invocation) -> Option<(i64, Call)> {
    let [key, argument] = op.value.elements()? else { return None };
    let key = key.as_int()?;
    let call = match op.f {
        "read" => Call::Read { key },
        "write" => Call::Write { key, value: argument.as_int()? },
        "cas" => {
            let [old, new] = argument.elements()? else { return None };
            Call::Cas { key, old: old.as_int()?, new: new.as_int()? }
        }
        "add" => Call::Add { key, value: argument.as_int()? },
        "remove" => Call::Remove { key, value: argument.as_int()? },
        "acquire" => Call::Acquire { key },
        "release" => Call::Release { key, token: argument.as_int()? },
        _ => return None,
    };
    Some((key, call))
}

fn complete(key: i64, op: &Invocation, answer: Answer) -> Completion {
    let refused = |refusal: Refusal| OpError { kind: refusal.name(), detail: format!("the node answered {}", refusal.name()) };
    match answer {
        Answer::Ok(result) if matches!(op.f, "read" | "acquire") => Completion::Ok(Value::pair(key, value(&result))),
        Answer::Ok(_) => Completion::Ok(op.value.clone()),
        Answer::Fail(refusal) => Completion::Fail(refused(refusal)),
        Answer::Info(refusal) => Completion::Info(refused(refusal)),
    }
}

/// A result as a value of a history.
fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(bool) => Value::Bool(*bool),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Number(number.to_string().into()),
        },
        serde_json::Value::String(text) => Value::Str(text.as_str().into()),
        serde_json::Value::Array(elements) => Value::Vector(elements.iter().map(value).collect()),
        serde_json::Value::Object(fields) => {
            Value::Map(fields.iter().map(|(name, field)| (Value::Str(name.as_str().into()), value(field))).collect())
        }
    }
}
