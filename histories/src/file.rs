//! Opens files: the only module of this crate that does.

use crate::error::ReadError;
use crate::format::Format;
use crate::history::History;
use crate::{read, write};
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

/// Writes a history to a new file, or over an old one; a path that ends in `.zst` is compressed. A file that cannot be written
/// whole is removed, so that none ever passes for a shorter history.
pub fn write_path(path: impl AsRef<Path>, history: &History, format: Format) -> io::Result<()> {
    let path = path.as_ref();
    let written = File::create(path).and_then(|file| {
        if path.extension().is_some_and(|extension| extension == "zst") {
            let mut encoder = zstd::Encoder::new(BufWriter::new(file), zstd::DEFAULT_COMPRESSION_LEVEL)?;
            write::write(&mut encoder, history, format)?;
            encoder.finish()?.flush()
        } else {
            write::write(BufWriter::new(file), history, format)
        }
    });
    if written.is_err() {
        // What went wrong first is what is worth telling.
        drop(std::fs::remove_file(path));
    }
    written
}
