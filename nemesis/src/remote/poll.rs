//! Waiting for several descriptors at once.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::BorrowedFd;
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
pub(super) fn wait(interests: &[Interest<'_>], timeout: Duration) -> io::Result<()> {
    let mut fds: Vec<PollFd<'_>> = interests
        .iter()
        .map(|interest| {
            let mut events = PollFlags::empty();
            events.set(PollFlags::IN, interest.read);
            events.set(PollFlags::OUT, interest.write);
            PollFd::from_borrowed_fd(interest.fd, events)
        })
        .collect();
    // A timeout too long to be told is none.
    let timeout = Timespec::try_from(timeout).ok();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
