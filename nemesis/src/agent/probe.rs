//! Probes: datagrams from agent to agent, so that each direction of a link is seen by itself.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What every probe starts with; its number follows in 8 bytes.
const MAGIC: &[u8; 16] = b"rashomon-probe-1";

/// How many numbers are remembered.
const HEARD_MAX: usize = 4096;

/// How often a probe is sent, and how far apart: one lost datagram is no cut.
const COPIES: usize = 3;
const COPY_EVERY: Duration = Duration::from_millis(30);

/// A socket that hears probes, and sends them.
pub(super) struct Probe {
    socket: UdpSocket,
    ears: Arc<Ears>,
}

#[derive(Default)]
struct Ears {
    heard: Mutex<VecDeque<u64>>,
    rung: Condvar,
}

impl Probe {
    /// Listens on a port of all addresses, IPv4 and IPv6 where there is IPv6; on any free port if it is 0.
    pub(super) fn listen(port: u16) -> Result<Probe, String> {
        let socket = UdpSocket::bind(("::", port)).or_else(|_| UdpSocket::bind(("0.0.0.0", port)));
        let socket = socket.map_err(|e| format!("cannot listen for probes on UDP port {port}: {e}"))?;
        let ears = Arc::new(Ears::default());
        let (hears, theirs) = (socket.try_clone().map_err(|e| e.to_string())?, ears.clone());
        // The thread ends with the process; a test's agent leaves it waiting on its own socket.
        thread::spawn(move || theirs.listen(&hears));
        Ok(Probe { socket, ears })
    }

    pub(super) fn port(&self) -> u16 {
        self.socket.local_addr().map_or(0, |address| address.port())
    }

    /// Sends the number, a few times.
    pub(super) fn send(&self, to: SocketAddr, nonce: u64) -> Result<(), String> {
        let mut datagram = MAGIC.to_vec();
        datagram.extend(nonce.to_be_bytes());
        let to = self.reach(to);
        for copy in 0..COPIES {
            if copy > 0 {
                thread::sleep(COPY_EVERY);
            }
            self.socket.send_to(&datagram, to).map_err(|e| format!("cannot send a probe to {to}: {e}"))?;
        }
        Ok(())
    }

    /// An IPv6 socket reaches IPv4 addresses by their mapped form.
    fn reach(&self, to: SocketAddr) -> SocketAddr {
        match (self.socket.local_addr().map(|own| own.ip()), to.ip()) {
            (Ok(IpAddr::V6(_)), IpAddr::V4(v4)) => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
            _ => to,
        }
    }

    /// Whether the number was heard, or is within this time.
    pub(super) fn heard(&self, nonce: u64, within: Duration) -> bool {
        let heard = self.ears.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.ears.rung.wait_timeout_while(heard, within, |heard| !heard.contains(&nonce));
        waited.unwrap_or_else(PoisonError::into_inner).0.contains(&nonce)
    }
}

impl Ears {
    fn listen(&self, socket: &UdpSocket) {
        let mut datagram = [0; 64];
        loop {
            match socket.recv_from(&mut datagram) {
                Ok((length, _)) => {
                    if let Some(nonce) = read(&datagram[..length]) {
                        self.note(nonce);
                    }
                }
                // An ICMP error of an earlier probe of ours arrives here: not the end.
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::Interrupted) => {}
                Err(_) => thread::sleep(COPY_EVERY),
            }
        }
    }

    fn note(&self, nonce: u64) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.len() == HEARD_MAX {
            heard.pop_front();
        }
        heard.push_back(nonce);
        self.rung.notify_all();
    }
}

fn read(datagram: &[u8]) -> Option<u64> {
    let number = datagram.strip_prefix(MAGIC)?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_heard_and_nothing_else() {
        let (a, b) = (Probe::listen(0).unwrap(), Probe::listen(0).unwrap());
        let to = SocketAddr::new([127, 0, 0, 1].into(), b.port());
        a.send(to, 7).unwrap();
        assert!(b.heard(7, Duration::from_secs(5)));
        assert!(!b.heard(8, Duration::from_millis(20)));
        assert!(!a.heard(7, Duration::ZERO));
    }

    #[test]
    fn foreign_datagrams_are_ignored() {
        let probe = Probe::listen(0).unwrap();
        let to = ("127.0.0.1", probe.port());
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        for datagram in [&b""[..], b"rashomon-probe-1", b"rashomon-probe-1\0\0\0\0\0\0\0\0\x07", &[0xff; 64]] {
            stranger.send_to(datagram, to).unwrap();
        }
        for nonce in 1..=5000 {
            probe.ears.note(nonce);
        }
        assert!(!probe.heard(0, Duration::ZERO) && !probe.heard(1, Duration::ZERO), "only the latest are remembered");
        assert!(probe.heard(5000, Duration::ZERO));
    }
}
