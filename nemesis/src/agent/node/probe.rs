//! Probes: datagrams from agent to agent, so that each direction of a link is seen by itself; and datagrams that come back, which
//! tell how long it takes and how many are lost.

use crate::agent::protocol::traffic::{Echoes, Measured};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What every probe starts with; its number follows in 8 bytes.
const MAGIC: &[u8; 16] = b"rashomon-probe-1";

/// What an echo starts with on its way there, and on its way back. The number of its series follows in 8 bytes, its own in 4, and
/// then zeros: it comes back as long as it was.
const THERE: &[u8; 16] = b"rashomon-there-1";
const BACK: &[u8; 16] = b"rashomon-andback";

/// The shortest and the longest echo, and the most in a series.
const ECHO_BYTES_MIN: usize = 28;
const ECHO_BYTES_MAX: usize = 1400;
const ECHO_COUNT_MAX: u32 = 10_000;

/// How long to listen on for what comes twice, when all has come once.
const TWICE_WITHIN: Duration = Duration::from_millis(60);

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
    /// By series that somebody waits for: what came back, and when.
    series: Mutex<BTreeMap<u64, Vec<(u32, Instant)>>>,
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

    /// Sends a series of echoes and sums up what comes back.
    pub(super) fn echo(&self, to: SocketAddr, nonce: u64, echoes: &Echoes) -> Result<Measured, String> {
        if echoes.count > ECHO_COUNT_MAX {
            return Err(format!("at most {ECHO_COUNT_MAX} echoes at once"));
        }
        self.ears.series().insert(nonce, Vec::new());
        let sent = self.send_echoes(to, nonce, echoes);
        let deadline = Instant::now() + echoes.within;
        let complete = |arrivals: &[(u32, Instant)]| {
            let mut numbers: Vec<u32> = arrivals.iter().map(|(number, _)| *number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers.len() == echoes.count as usize
        };
        while Instant::now() < deadline && sent.is_ok() {
            if self.ears.series().get(&nonce).is_some_and(|arrivals| complete(arrivals)) {
                thread::sleep(TWICE_WITHIN);
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let arrivals = self.ears.series().remove(&nonce).unwrap_or_default();
        let sent = sent?;
        let time = |&(number, at): &(u32, Instant)| Some((number, at.duration_since(*sent.get(number as usize)?).as_micros() as u64));
        Ok(Measured::of(echoes.count, &arrivals.iter().filter_map(time).collect::<Vec<_>>()))
    }

    /// Sends a series and returns when each was sent.
    fn send_echoes(&self, to: SocketAddr, nonce: u64, echoes: &Echoes) -> Result<Vec<Instant>, String> {
        let to = self.reach(to);
        let mut datagram = vec![0; (echoes.bytes as usize).clamp(ECHO_BYTES_MIN, ECHO_BYTES_MAX)];
        datagram[..16].copy_from_slice(THERE);
        datagram[16..24].copy_from_slice(&nonce.to_be_bytes());
        let start = Instant::now();
        let mut sent = Vec::new();
        for number in 0..echoes.count {
            thread::sleep((start + number * echoes.every).saturating_duration_since(Instant::now()));
            datagram[24..28].copy_from_slice(&number.to_be_bytes());
            sent.push(Instant::now());
            match self.socket.send_to(&datagram, to) {
                // A packet that the firewall of this node drops on its way out is lost, like any other.
                Err(e) if e.kind() != io::ErrorKind::PermissionDenied => return Err(format!("cannot send an echo to {to}: {e}")),
                _ => {}
            }
        }
        Ok(sent)
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
        let mut datagram = [0; ECHO_BYTES_MAX + 1];
        loop {
            match socket.recv_from(&mut datagram) {
                Ok((length @ ECHO_BYTES_MIN..=ECHO_BYTES_MAX, from)) if datagram.starts_with(THERE) => {
                    datagram[..16].copy_from_slice(BACK);
                    let _ = socket.send_to(&datagram[..length], from);
                }
                Ok((ECHO_BYTES_MIN..=ECHO_BYTES_MAX, _)) if datagram.starts_with(BACK) => self.came_back(&datagram),
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

    fn series(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<(u32, Instant)>>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an echo that is back, if anybody waits for it.
    fn came_back(&self, datagram: &[u8; ECHO_BYTES_MAX + 1]) {
        let at = Instant::now();
        let (mut nonce, mut number) = ([0; 8], [0; 4]);
        nonce.copy_from_slice(&datagram[16..24]);
        number.copy_from_slice(&datagram[24..28]);
        if let Some(arrivals) = self.series().get_mut(&u64::from_be_bytes(nonce))
            && arrivals.len() < 4 * ECHO_COUNT_MAX as usize
        {
            arrivals.push((u32::from_be_bytes(number), at));
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
    fn echoes_come_back_and_are_summed_up() {
        let (a, b) = (Probe::listen(0).unwrap(), Probe::listen(0).unwrap());
        let to = SocketAddr::new([127, 0, 0, 1].into(), b.port());
        let echoes = Echoes { count: 50, bytes: 1200, every: Duration::from_millis(1), within: Duration::from_secs(5) };
        let measured = a.echo(to, 9, &echoes).unwrap();
        assert_eq!((measured.sent, measured.back, measured.duplicates), (50, 50, 0), "{measured:?}");
        assert!(measured.round_trip_us[0] > 0 && measured.round_trip_us.is_sorted(), "{measured:?}");
        // Nobody answers there.
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let echoes = Echoes { count: 5, within: Duration::from_millis(50), ..echoes };
        let measured = a.echo(silent.local_addr().unwrap(), 10, &echoes).unwrap();
        assert_eq!((measured.sent, measured.back), (5, 0));
        assert!(a.ears.series().is_empty());
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
