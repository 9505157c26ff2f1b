//! How a process of the lab and the one that started it wait for each other: lines over a socket that is the child's standard input.
//!
//! Whoever dies closes its end. A child that reads the end of its input before it was told to go has made nothing yet, and ends;
//! so a lab that is killed while it is being made leaves no process behind that nobody knows of.

use super::error::{LabError, Try};
use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

/// The longest line: the end of a console is in there.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// One end of the socket.
#[derive(Debug)]
pub(super) struct Handshake {
    stream: BufReader<UnixStream>,
}

impl Handshake {
    /// A new socket: the parent's end, and the child's as a standard input.
    pub(super) fn pair() -> Result<(Handshake, Stdio), LabError> {
        let (ours, theirs) = UnixStream::pair().or_say(|| "make a socket".into())?;
        Ok((Handshake::over(ours), Stdio::from(OwnedFd::from(theirs))))
    }

    /// The child's end. Taken from standard input, which is empty from then on for this process and all that it starts.
    pub(super) fn from_stdin() -> Result<Handshake, LabError> {
        let stdin = io::stdin().as_fd().try_clone_to_owned().or_say(|| "take the standard input".into())?;
        super::process::forget_stdin().or_say(|| "close the standard input".into())?;
        Ok(Handshake::over(UnixStream::from(stdin)))
    }

    /// A socket that is connected already.
    pub(super) fn over(stream: UnixStream) -> Handshake {
        Handshake { stream: BufReader::new(stream) }
    }

    /// Says something. An error means that the other side is gone.
    pub(super) fn say(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line)
    }

    /// Waits for the other side to say something; `None` for ever, if no time is given.
    pub(super) fn hear<T: DeserializeOwned>(&mut self, within: Option<Duration>) -> io::Result<T> {
        self.stream.get_mut().set_read_timeout(within)?;
        let mut line = String::new();
        (&mut self.stream).take(LINE_BYTES_MAX).read_line(&mut line)?;
        if line.ends_with('\n') { Ok(serde_json::from_str(&line)?) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Tells the child to go on.
    pub(super) fn go(&mut self) -> io::Result<()> {
        self.say(&())
    }

    /// Waits until the parent says to go on; `false` if it died.
    pub(super) fn await_go(&mut self) -> bool {
        self.hear::<()>(None).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> (Handshake, Handshake) {
        let (a, b) = UnixStream::pair().unwrap();
        (Handshake::over(a), Handshake::over(b))
    }

    #[test]
    fn each_hears_the_other() {
        let (mut parent, mut child) = both();
        parent.go().unwrap();
        assert!(child.await_go());
        child.say(&Err::<(), _>("two\nlines")).unwrap();
        assert_eq!(parent.hear::<Result<(), String>>(None).unwrap(), Err("two\nlines".into()));
    }

    #[test]
    fn a_death_is_heard_and_silence_has_an_end() {
        let (parent, mut child) = both();
        assert!(child.hear::<()>(Some(Duration::from_millis(10))).is_err());
        drop(parent);
        assert!(!child.await_go());
    }
}
