//! Questions to a node from outside, each on a connection of its own.

use super::protocol::{LINE_BYTES_MAX, Request, to_line};
use serde::de::DeserializeOwned;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long a node may take to answer. A paused one accepts connections and says nothing.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks the node that listens on a port of 127.0.0.1, once.
pub(super) fn ask<T: DeserializeOwned>(port: u16, request: &Request) -> io::Result<T> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(&to_line(request))?;
    let mut line = String::new();
    BufReader::new(stream).take(LINE_BYTES_MAX).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}
