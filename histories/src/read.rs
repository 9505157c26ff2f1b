//! Reads a history in any format.

use crate::decompress;
use crate::edn;
use crate::error::{Fault, Place, ReadError, ReadErrorKind};
use crate::format::Format;
use crate::formats::dbcop::Dbcop;
use crate::formats::intervals::Operations;
use crate::formats::limo::Limo;
use crate::formats::polylin::PolyLin;
use crate::formats::sessions::{Awdit, Plume};
use crate::formats::tuples::Lines;
use crate::history::{Builder, History};
use crate::pieces::{self, Cutting, Syntax};
use crate::sequence::{self, InLines, InOrder};
use crate::value::{Value, Values};
use std::io::Read;

/// How much of a file is looked at to recognise its format. Console logs may begin with a long preamble.
const HEAD: u64 = 1 << 16;

/// Reads a history from an open input, in pieces, and undoes its compression (gzip, zstd). `format`: `None` to recognise it by
/// the content.
pub fn read(input: impl Read + Send, format: Option<Format>) -> Result<History, ReadError> {
    let mut input = decompress::open(input).map_err(|error| ReadError::io(&error))?;
    let mut head = Vec::new();
    (&mut input).take(HEAD).read_to_end(&mut head).map_err(|error| ReadError::io(&error))?;
    let Some(format) = format.or_else(|| Format::detect(&head)) else {
        return Err(unknown_format(&head));
    };
    if head.starts_with(BYTE_ORDER_MARK) {
        head.drain(..BYTE_ORDER_MARK.len());
    }
    let mut builder = Builder::new();
    builder.meta().format = format.name();
    read_as(format, Cutting::for_this_machine(), head, input, builder).map(Builder::finish)
}

/// Reads an input in a format. `head` was read from it already; `cutting` changes nothing but the speed.
pub(crate) fn read_as(
    format: Format,
    cutting: Cutting,
    head: Vec<u8>,
    input: impl Read + Send,
    builder: Builder,
) -> Result<Builder, ReadError> {
    match reader_of(format) {
        Reader::Pieces(syntax) => pieces::read(syntax, cutting, head, input, builder),
        Reader::InOrder(mut reader) => sequence::read(&mut *reader, cutting.batch.min(sequence::PART), head, input, builder),
    }
}

/// How a format is read.
enum Reader {
    /// In pieces, several at once.
    Pieces(Syntax),
    /// In order: a piece of it means nothing by itself.
    InOrder(Box<dyn InOrder>),
}

fn reader_of(format: Format) -> Reader {
    match format {
        Format::Edn | Format::PorcupineKv => Reader::Pieces(Syntax::Edn),
        Format::Jsonl | Format::Json => Reader::Pieces(Syntax::Json),
        Format::Tuples => Reader::Pieces(Syntax::Lines(Lines::Ops)),
        Format::Console => Reader::Pieces(Syntax::Lines(Lines::Log)),
        Format::PorcupineEtcd => Reader::Pieces(Syntax::Lines(Lines::EtcdLog)),
        Format::Intervals => Reader::InOrder(Box::<Operations>::default()),
        Format::Dbcop => Reader::InOrder(Box::<Dbcop>::default()),
        Format::Awdit => Reader::InOrder(Box::<InLines<Awdit>>::default()),
        Format::Plume => Reader::InOrder(Box::<InLines<Plume>>::default()),
        Format::Limo => Reader::InOrder(Box::<InLines<Limo>>::default()),
        Format::PolyLin => Reader::InOrder(Box::<InLines<PolyLin>>::default()),
    }
}

/// Reads a history from memory. `format`: `None` to recognise it by the content.
pub fn read_bytes(bytes: &[u8], format: Option<Format>) -> Result<History, ReadError> {
    read(bytes, format)
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads one value in EDN notation, for options: `nil`, `0`, `"a"`, `[1 2]`.
pub fn read_value(text: &str) -> Result<Value, ReadError> {
    let mut values = Values::new();
    let mut reader = edn::Reader::new(text);
    let end = |reader: &mut edn::Reader<'_>| {
        reader.blank();
        reader.position()
    };
    match reader.value(&mut values) {
        Ok(id) if end(&mut reader) == text.len() => Ok(values.get(id)),
        Ok(_) => Err(Fault::syntax(reader.position(), "one value was expected, and there is more").locate(text.as_bytes(), Place::START)),
        Err(fault) => Err(fault.locate(text.as_bytes(), Place::START)),
    }
}

fn unknown_format(head: &[u8]) -> ReadError {
    let fault = Fault { kind: ReadErrorKind::UnknownFormat, ..Fault::syntax(0, "no known format of histories begins like this") };
    fault.help("name its format with --format; see which there are with --help").locate(head, Place::START)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value() {
        assert_eq!(read_value(" [1 nil] ; two").unwrap(), Value::pair(1, Value::Nil));
        assert_eq!(read_value("-3").unwrap(), Value::Int(-3));
        for bad in ["", "1 2", "[1", ")", "\"a"] {
            assert!(read_value(bad).is_err(), "{bad}");
        }
    }
}
