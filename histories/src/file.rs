//! Opens files: the only module of this crate that does.

use crate::error::ReadError;
use crate::format::Format;
use crate::history::History;
use crate::read;
use std::fs::File;
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
