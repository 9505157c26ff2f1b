//! Opens files: the only module of this crate that does.

use crate::error::ReadError;
use crate::format::Format;
use crate::history::History;
use crate::{read, write};
use flate2::write::GzEncoder;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Reads a recorded history; `-` is standard input. `format`: `None` to recognise it by the content.
pub fn read_path(path: impl AsRef<Path>, format: Option<Format>) -> Result<History, ReadError> {
    let path = path.as_ref();
    let read = if path.as_os_str() == "-" {
        read::read(std::io::stdin(), format)
    } else {
        File::open(path).map_err(|error| ReadError::io(&error)).and_then(|file| read::read(file, format))
    };
    read.map_err(|error| error.in_file(path.display().to_string()))
}

/// Writes a history to a new file, or over an old one; a path that ends in `.zst` or `.gz` is compressed. A file that cannot be
/// written whole is removed, so that none ever passes for a shorter history.
pub fn write_path(path: impl AsRef<Path>, history: &History, format: Format) -> io::Result<()> {
    let path = path.as_ref();
    let written = File::create(path).map(BufWriter::new).and_then(|file| match path.extension().and_then(OsStr::to_str) {
        Some("zst") => {
            let mut encoder = zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            write::write(&mut encoder, history, format)?;
            encoder.finish()?.flush()
        }
        Some("gz") => {
            let mut encoder = GzEncoder::new(file, flate2::Compression::default());
            write::write(&mut encoder, history, format)?;
            encoder.finish()?.flush()
        }
        _ => write::write(file, history, format),
    });
    if written.is_err() {
        // What went wrong first is what is worth telling.
        drop(std::fs::remove_file(path));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_compressed_is_read_back() {
        let text = "{:type :invoke :f :read :process 0}\n".repeat(100);
        let history = crate::read_bytes(text.as_bytes(), None).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for name in ["h.edn", "h.edn.zst", "h.edn.gz"] {
            let path = dir.path().join(name);
            write_path(&path, &history, Format::Edn).unwrap();
            let stored = std::fs::read(&path).unwrap();
            assert_eq!(stored.len() < text.len() / 4, name != "h.edn", "{name}");
            assert_eq!(read_path(&path, None).unwrap().len(), history.len(), "{name}");
        }
    }
}
