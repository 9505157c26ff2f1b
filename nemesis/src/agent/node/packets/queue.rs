//! Shaping in user space: the firewall hands packets to this process (`NFQUEUE`), which gives each back when its time has come,
//! or never.
//!
//! It is bounded at every place: the kernel's queue, which lets packets pass when it is full; what is held here, beyond which
//! packets are lost, as on a real line. The rule that hands packets over has `bypass`: when this process is gone, they pass.

use super::fate::{Fate, Wire};
use crate::agent::protocol::traffic::Shape;
use nfq::{Message, Queue, Verdict};
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketFlags, SocketType, sendto, socket_with};
use std::collections::BinaryHeap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The number of our queue: nobody else's by chance.
pub(in crate::agent) const NUMBER: u16 = 21_075;

/// The mark of packets that are sent a second time, so that they are not handed over again.
pub(in crate::agent) const MARK: u32 = 0x5253;

/// The most packets that wait in the kernel until this process takes them.
const WAITING_MAX: u32 = 4096;

/// The most packets that are held back. A real line loses what is more than its buffer.
const HELD_MAX: usize = 2000;

/// How much of a packet is copied: all of it on an Ethernet. Larger ones are delayed and lost, but not changed or doubled.
const COPIED_BYTES: u16 = 2048;

/// The pause between two looks at the queue: how exact delays are.
const TICK: Duration = Duration::from_micros(500);

/// The thread that shapes. Dropping it lets go what is held back.
pub(in crate::agent) struct Shaper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Shaper {
    /// Binds the queue and begins to take packets, once a rule hands some over.
    pub(in crate::agent) fn start(shape: &Shape, seed: u64) -> Result<Shaper, String> {
        let queue = open().map_err(|error| {
            let hint = match error.raw_os_error() {
                Some(libc::EBUSY) => ": another program has it",
                Some(libc::EPERM | libc::EACCES) => ": it needs root",
                _ => ": does the kernel have nfnetlink_queue?",
            };
            format!("cannot take packets from NFQUEUE {NUMBER}: {error}{hint}")
        })?;
        let copies = if shape.duplicate > 0 { Some(Copies::open().map_err(|e| format!("cannot send packets twice: {e}"))?) } else { None };
        let stop = Arc::new(AtomicBool::new(false));
        let (theirs, wire) = (stop.clone(), Wire::new(shape, seed));
        let line = Line { queue, copies, wire, held: BinaryHeap::new(), zero: Instant::now(), count: 0 };
        let thread = thread::Builder::new().name("packets".into()).spawn(move || line.run(&theirs)).map_err(|e| e.to_string())?;
        Ok(Shaper { stop, thread: Some(thread) })
    }
}

impl Drop for Shaper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open() -> io::Result<Queue> {
    let mut queue = Queue::open()?;
    keep_to_ourselves()?;
    queue.bind(NUMBER)?;
    queue.set_copy_range(NUMBER, COPIED_BYTES)?;
    queue.set_queue_max_len(NUMBER, WAITING_MAX)?;
    // Kernels before 3.6 drop what does not fit in.
    let _ = queue.set_fail_open(NUMBER, true);
    queue.set_nonblocking(true);
    Ok(queue)
}

/// Keeps processes that are started from now on from inheriting the queue's socket. Whoever has it keeps the queue bound, also when we
/// have let go of it: a database that was started while packets were shaped would make the next shaping fail.
///
/// The library opens it without `SOCK_CLOEXEC` and does not tell its descriptor, so the flag is set on every socket of its kind.
fn keep_to_ourselves() -> io::Result<()> {
    for descriptor in netfilter_sockets()? {
        #[allow(unsafe_code, reason = "the standard library has no safe call for this flag of a descriptor that is not ours to own")]
        // SAFETY: it takes two numbers; a descriptor that was closed meanwhile is an error.
        let set = unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        if set == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The sockets of this process by which it talks to the kernel's packet filters.
fn netfilter_sockets() -> io::Result<Vec<RawFd>> {
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    let is = |descriptor: &RawFd| {
        option(*descriptor, libc::SO_DOMAIN) == Some(libc::AF_NETLINK)
            && option(*descriptor, libc::SO_PROTOCOL) == Some(libc::NETLINK_NETFILTER)
    };
    Ok(open.into_iter().filter(is).collect())
}

/// An option of a socket that is a number; `None` if it is no socket.
fn option(descriptor: RawFd, name: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    #[allow(unsafe_code, reason = "the standard library asks no options of a descriptor that is not ours to own")]
    // SAFETY: the kernel writes at most `length` bytes into `value`, which is so long; any number may stand for a descriptor.
    let answer = unsafe { libc::getsockopt(descriptor, libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut length) };
    (answer == 0).then_some(value)
}

struct Line {
    queue: Queue,
    copies: Option<Copies>,
    wire: Wire,
    held: BinaryHeap<Held>,
    zero: Instant,
    count: u64,
}

/// A packet that waits. The one whose time comes first is the greatest; of two, the one that came first.
struct Held {
    at_us: u64,
    number: u64,
    message: Message,
    twice: bool,
}

impl PartialEq for Held {
    fn eq(&self, other: &Held) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Held) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Held) -> std::cmp::Ordering {
        (other.at_us, other.number).cmp(&(self.at_us, self.number))
    }
}

impl Line {
    fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            // A bounded number at a time, so that what is due is not kept waiting by what comes.
            for _ in 0..256 {
                match self.queue.recv() {
                    Ok(message) => self.take(message),
                    Err(_) => break,
                }
            }
            self.let_go(self.now_us());
            thread::sleep(TICK);
        }
        self.let_go(u64::MAX);
    }

    fn now_us(&self) -> u64 {
        self.zero.elapsed().as_micros() as u64
    }

    fn take(&mut self, mut message: Message) {
        let Fate { lost, twice, flipped, at_us } = self.wire.fate(self.now_us(), message.get_original_len());
        if lost || self.held.len() >= HELD_MAX {
            message.set_verdict(Verdict::Drop);
            let _ = self.queue.verdict(message);
            return;
        }
        let whole = message.get_payload().len() == message.get_original_len();
        if let (Some(bit), true) = (flipped, whole) {
            flip(message.get_payload_mut(), bit);
        }
        self.count += 1;
        self.held.push(Held { at_us, number: self.count, message, twice: twice && whole });
    }

    fn let_go(&mut self, until_us: u64) {
        while self.held.peek().is_some_and(|held| held.at_us <= until_us) {
            let Some(Held { mut message, twice, .. }) = self.held.pop() else { return };
            if let (Some(copies), true) = (&self.copies, twice) {
                copies.send(message.get_payload());
            }
            message.set_verdict(Verdict::Accept);
            // It may be gone already: the device went down, or the rule was removed.
            let _ = self.queue.verdict(message);
        }
    }
}

/// Flips one bit behind the IP header: a changed address would hurt somebody else.
fn flip(packet: &mut [u8], bit: u32) {
    let header = match packet.first().map(|first| first >> 4) {
        Some(4) => usize::from(packet[0] & 0xf) * 4,
        Some(6) => 40,
        _ => return,
    };
    let Some(body) = packet.get_mut(header..).filter(|body| !body.is_empty()) else { return };
    let bit = bit as usize % (body.len() * 8);
    body[bit / 8] ^= 1 << (bit % 8);
}

/// Where a packet goes.
fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(16..20)?).ok()?).into()),
        6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(packet.get(24..40)?).ok()?).into()),
        _ => None,
    }
}

/// Sockets that send whole packets.
struct Copies {
    v4: OwnedFd,
    v6: Option<OwnedFd>,
}

impl Copies {
    fn open() -> io::Result<Copies> {
        Ok(Copies { v4: raw(AddressFamily::INET)?, v6: raw(AddressFamily::INET6).ok() })
    }

    /// One that cannot be sent is a duplicate less.
    fn send(&self, packet: &[u8]) {
        let Some(to) = destination(packet) else { return };
        let socket = if to.is_ipv4() { Some(&self.v4) } else { self.v6.as_ref() };
        if let Some(socket) = socket {
            let _ = sendto(socket, packet, SendFlags::DONTWAIT, &SocketAddr::new(to, 0));
        }
    }
}

#[allow(unsafe_code, reason = "there is no safe wrapper for SO_MARK")]
fn raw(family: AddressFamily) -> io::Result<OwnedFd> {
    let protocol = NonZeroU32::new(libc::IPPROTO_RAW as u32).map(Protocol::from_raw);
    let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
    let mark = MARK;
    // SAFETY: the option's value is a u32 that lives until the call returns, and its size is given.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MARK, (&raw const mark).cast(), size_of::<u32>() as libc::socklen_t)
    };
    if result == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_behind_the_header_is_flipped_and_the_address_is_read() {
        let mut v4 = vec![0; 60];
        v4[0] = 0x46;
        v4[16..20].copy_from_slice(&[10, 0, 0, 7]);
        let mut v6 = vec![0; 50];
        v6[0] = 0x60;
        v6[24..40].copy_from_slice(&"fd00::7".parse::<Ipv6Addr>().unwrap().octets());
        for (packet, header, to) in [(v4, 24, "10.0.0.7"), (v6, 40, "fd00::7")] {
            assert_eq!(destination(&packet), Some(to.parse().unwrap()));
            for bit in 0..1000 {
                let mut changed = packet.clone();
                flip(&mut changed, bit);
                let difference: u32 = changed.iter().zip(&packet).map(|(a, b)| (a ^ b).count_ones()).sum();
                assert_eq!((difference, &changed[..header]), (1, &packet[..header]));
            }
        }
        for odd in [&mut [][..], &mut [0x45], &mut [0x45; 20], &mut [0x90; 80]] {
            flip(odd, 7);
        }
        assert_eq!(destination(&[0x45]), None);
    }

    /// As a database that is started while packets are shaped.
    #[test]
    fn a_process_that_is_started_does_not_inherit_the_queue() {
        let _queue = Queue::open().unwrap();
        keep_to_ourselves().unwrap();
        let mine = netfilter_sockets().unwrap();
        assert!(!mine.is_empty());
        let mut child = std::process::Command::new("sleep").arg("10").spawn().unwrap();
        let names = |directory: &str| -> Vec<std::path::PathBuf> {
            let open = std::fs::read_dir(directory).unwrap();
            open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect()
        };
        let theirs = names(&format!("/proc/{}/fd", child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!theirs.is_empty());
        for socket in mine.iter().filter_map(|socket| std::fs::read_link(format!("/proc/self/fd/{socket}")).ok()) {
            assert!(!theirs.contains(&socket), "{} of {theirs:?}", socket.display());
        }
    }
}
