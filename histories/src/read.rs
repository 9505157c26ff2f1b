//! Reads a history in any format.

use crate::error::{Fault, ReadError, ReadErrorKind};
use crate::format::Format;
use crate::formats::{sessions, tuples};
use crate::history::{Builder, History};
use crate::text::{Container, newlines};
use crate::{edn, json};
use std::io::Read;

/// How much of a file is looked at to recognise its format. Console logs may begin with a long preamble.
const HEAD: usize = 1 << 16;

/// Reads a history from an open input. `format`: `None` to recognise it by the content.
pub fn read(mut input: impl Read, format: Option<Format>) -> Result<History, ReadError> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(|error| ReadError::io(&error))?;
    read_bytes(&bytes, format)
}

/// Reads a history from memory. `format`: `None` to recognise it by the content.
pub fn read_bytes(bytes: &[u8], format: Option<Format>) -> Result<History, ReadError> {
    let Some(format) = format.or_else(|| Format::detect(&bytes[..bytes.len().min(HEAD)])) else {
        return Err(unknown_format(bytes));
    };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (text, cut) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => (std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""), Some(error)),
    };
    let mut builder = Builder::new();
    builder.meta().format = format.name();
    read_text(text, cut.is_some(), format, &mut builder).map_err(|fault| fault.locate(bytes, 1))?;
    if let Some(error) = cut
        && builder.meta().torn_line.is_none()
    {
        return Err(Fault::syntax(error.valid_up_to(), "this is no UTF-8 text")
            .help("is the file compressed, or binary?")
            .locate(bytes, 1));
    }
    Ok(builder.finish())
}

/// `cut`: the text goes on with what is no UTF-8.
fn read_text(text: &str, cut: bool, format: Format, builder: &mut Builder) -> Result<(), Fault> {
    let mut container = Container::default();
    match format {
        Format::Edn | Format::PorcupineKv => {
            edn::Reader::new(text).events(builder, &mut container, 1)?;
            match container {
                Container::Open(closer) => Err(Fault::ended(text.len(), &format!("the history: its {:?} is missing", char::from(closer)))),
                _ => Ok(()),
            }
        }
        Format::Jsonl | Format::Json => read_json(text, cut, builder),
        Format::Tuples => tuples::read(text, tuples::Lines::Ops, builder, 1),
        Format::Console => tuples::read(text, tuples::Lines::Log, builder, 1),
        Format::PorcupineEtcd => tuples::read(text, tuples::Lines::EtcdLog, builder, 1),
        Format::Awdit => sessions::read_awdit(text, builder, 1),
        Format::Plume => sessions::read_plume(text, builder, 1),
    }
}

/// A line of our own format that its writer could not finish before it was killed is left out, and noted.
fn read_json(text: &str, cut: bool, builder: &mut Builder) -> Result<(), Fault> {
    let mut container = Container::default();
    let mut reader = json::Reader::new(text, false);
    let fault = match (reader.events(builder, &mut container, 1), container) {
        (Ok(()), Container::Open(_)) => return Err(Fault::ended(text.len(), "the history: its ']' is missing")),
        (Ok(()), _) => return Ok(()),
        (Err(fault), _) => fault,
    };
    let start = reader.position();
    let is_last_line = memchr::memchr(b'\n', &text.as_bytes()[start..]).is_none();
    if fault.ended && is_last_line && reader.ours {
        builder.meta().torn_line = Some(newlines(&text.as_bytes()[..start]) + 1);
        return Ok(());
    }
    // The text ends where what is no UTF-8 begins: that is what is wrong with it.
    if fault.ended && cut { Err(Fault::syntax(text.len(), "this is no UTF-8 text")) } else { Err(fault) }
}

fn unknown_format(bytes: &[u8]) -> ReadError {
    let fault = Fault { kind: ReadErrorKind::UnknownFormat, ..Fault::syntax(0, "no known format of histories begins like this") };
    fault.help("name its format with --format; see which there are with --help").locate(bytes, 1)
}
