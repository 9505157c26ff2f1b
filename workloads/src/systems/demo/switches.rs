//! What the nemesis may do to a node's links and its clock without privileges: a small file per node that the node looks at all the time.
//!
//! The file belongs to the network, not to the node's process: it can be switched while the process is down or paused, and
//! holds from the first packet of its next life. It is a part of the test bed, so the node obeys it without being asked twice.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The size of the file. It is always written and read whole, in one call each, padded with spaces.
const FILE_BYTES: usize = 1024;

/// The state of all switches of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Switches {
    /// The peers, by index, from which nothing is received.
    pub drop_from: Vec<usize>,
    /// Peers and the milliseconds by which what they send is received later.
    pub delay_from_ms: Vec<(usize, u64)>,
    /// By how many milliseconds the node's wall clock is ahead of the machine's; less than nothing: behind.
    pub clock_ahead_ms: i64,
}

impl Switches {
    /// What the file of a node says; all switches off if there is none.
    pub fn read(path: &Path) -> io::Result<Switches> {
        match std::fs::read(path) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Switches::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes the file of a node.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        if text.len() > FILE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "more switches than the file holds"));
        }
        text.resize(FILE_BYTES, b' ');
        OpenOptions::new().write(true).create(true).truncate(false).open(path)?.write_all_at(&text, 0)
    }
}

/// A node's look at its switches.
#[derive(Debug)]
pub struct Watched {
    file: File,
    text: [u8; FILE_BYTES],
    switches: Switches,
}

impl Watched {
    /// Opens the file; without one, makes it with all switches off.
    pub fn open(path: &Path) -> io::Result<Watched> {
        if !path.exists() {
            Switches::default().write(path)?;
        }
        let mut watched = Watched { file: File::open(path)?, text: [0; FILE_BYTES], switches: Switches::default() };
        watched.look()?;
        Ok(watched)
    }

    /// The switches as they were at the last look.
    pub fn current(&self) -> &Switches {
        &self.switches
    }

    /// The switches as they are now. Costs a system call; parses only what has changed. A file caught in the middle of being
    /// written is looked at again next time.
    pub fn look(&mut self) -> io::Result<&Switches> {
        let mut text = [0; FILE_BYTES];
        let read = self.file.read_at(&mut text, 0)?;
        if text != self.text
            && let Ok(switches) = serde_json::from_slice(&text[..read])
        {
            self.switches = switches;
            self.text = text;
        }
        Ok(&self.switches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_sees_every_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("switches");
        let mut watched = Watched::open(&path).unwrap();
        assert_eq!(*watched.look().unwrap(), Switches::default());
        for switches in [
            Switches { drop_from: vec![0, 4], delay_from_ms: vec![(3, 250)], clock_ahead_ms: -7_000 },
            Switches { drop_from: (0..64).collect(), ..Switches::default() },
            Switches::default(),
        ] {
            switches.write(&path).unwrap();
            assert_eq!(*watched.look().unwrap(), switches);
            assert_eq!(Switches::read(&path).unwrap(), switches);
        }
    }

    #[test]
    fn a_file_caught_in_the_middle_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("switches");
        let mut watched = Watched::open(&path).unwrap();
        let on = Switches { drop_from: vec![1], ..Switches::default() };
        on.write(&path).unwrap();
        watched.look().unwrap();
        std::fs::write(&path, b"{\"drop_from\":[").unwrap();
        assert_eq!(*watched.look().unwrap(), on);
    }
}
