//! Waiting for several descriptors at once.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// What to wait for on a descriptor.
#[derive(Clone, Copy)]
pub(super) struct Interest<'a> {
    pub(super) fd: BorrowedFd<'a>,
    pub(super) read: bool,
    pub(super) write: bool,
}

impl<'a> Interest<'a> {
    pub(super) fn read(fd: BorrowedFd<'a>) -> Interest<'a> {
        Interest { fd, read: true, write: false }
    }
}

/// Waits until one of the descriptors is ready, has failed or has ended, or until the timeout. Being interrupted is being ready.
#[allow(unsafe_code, reason = "the standard library has no poll")]
pub(super) fn wait(interests: &[Interest<'_>], timeout: Duration) -> io::Result<()> {
    let events =
        |interest: &Interest<'_>| (if interest.read { libc::POLLIN } else { 0 }) | (if interest.write { libc::POLLOUT } else { 0 });
    let mut fds: Vec<libc::pollfd> =
        interests.iter().map(|interest| libc::pollfd { fd: interest.fd.as_raw_fd(), events: events(interest), revents: 0 }).collect();
    // Rounded up: a wait of less than a millisecond must not become none.
    let timeout_ms = timeout.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as i32;
    // SAFETY: the array is as long as said, and the descriptors are open for as long as they are borrowed.
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout_ms) };
    match ready {
        -1 => match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            e => Err(e),
        },
        _ => Ok(()),
    }
}

/// Makes reads and writes of a descriptor return at once.
#[allow(unsafe_code, reason = "the standard library does this for sockets only")]
pub(super) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let fd = fd.as_raw_fd();
    // SAFETY: fcntl with these commands takes and gives integers only; the descriptor is open.
    let done = unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        flags != -1 && libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) != -1
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}
