//! Free ports of 127.0.0.1, kept free for the nodes of one run.
//!
//! They lie below the range from which the kernel takes the ports of outgoing connections: a node that is down must find its
//! port again when it comes back, and a connection attempt to it must be refused and not, by accident, be connected to itself.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpSocket;

/// How many ports are tried for each one that is needed.
const TRIES: usize = 200;
/// How far below the kernel's range ports are taken from.
const SPAN: u16 = 12_000;

/// Ports that other runs of this program will not take while this lives.
#[derive(Debug)]
pub struct Ports {
    /// Bound but not listening: connections are still refused, and a socket with `SO_REUSEADDR`, like a node's, can still
    /// listen there.
    reserved: Vec<(u16, TcpSocket)>,
}

impl Ports {
    /// Reserves so many ports, searching from a place that depends on the process.
    ///
    /// # Errors
    /// Too few are free.
    pub fn reserve(count: usize) -> io::Result<Ports> {
        let end = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
            .ok()
            .and_then(|range| range.split_whitespace().next()?.parse::<u16>().ok())
            .unwrap_or(32_768)
            .max(2_048);
        let start = end.saturating_sub(SPAN).max(1_024);
        let mut rng = ChaCha8Rng::seed_from_u64(u64::from(std::process::id()));
        let mut reserved = Vec::new();
        for _ in 0..TRIES * count {
            if reserved.len() == count {
                break;
            }
            let port = rng.random_range(start..end);
            if let Ok(socket) = reserve(port) {
                reserved.push((port, socket));
            }
        }
        if reserved.len() < count {
            let message = format!("only {} of {count} ports between {start} and {end} of 127.0.0.1 are free", reserved.len());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
        }
        Ok(Ports { reserved })
    }

    /// The port of one node.
    pub fn number(&self, node: usize) -> u16 {
        self.reserved[node].0
    }

    /// The ports, one per node.
    pub fn numbers(&self) -> Vec<u16> {
        self.reserved.iter().map(|(port, _)| *port).collect()
    }
}

/// Binds first without `SO_REUSEADDR`, which fails if anybody else has the port, and then shares it.
fn reserve(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn reserved_ports_refuse_connections_and_can_be_listened_on_again_and_again() {
        let ports = Ports::reserve(5).unwrap();
        for port in ports.numbers() {
            for _ in 0..3 {
                let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err();
                assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
                TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
                drop(listener);
            }
        }
    }

    #[test]
    fn nobody_else_reserves_them() {
        let ports = Ports::reserve(3).unwrap();
        for port in ports.numbers() {
            assert!(reserve(port).is_err());
            let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
            assert!(reserve(port).is_err());
        }
    }
}
