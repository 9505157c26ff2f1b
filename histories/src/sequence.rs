//! Reads an input in order, a part at a time, for formats whose text means nothing without what stands before it. Never more
//! of the input is in memory than one part and what is not yet whole.

use crate::error::{Fault, Place, ReadError};
use crate::history::Builder;
use crate::pieces::EVENT_MAX;
use std::io::Read;

/// Bytes that are read at once.
pub(crate) const PART: usize = 1 << 20;

/// A reader that is fed the input in order.
pub(crate) trait InOrder {
    /// Reads what is whole in some text, whose first line is number `line`, and gives the number of bytes that it holds. What
    /// is left comes again, with more behind it, unless `is_last`.
    fn take(&mut self, text: &[u8], line: u32, is_last: bool, builder: &mut Builder) -> Result<usize, Fault>;

    /// Called after the last text, all of which was taken.
    fn finish(&mut self, builder: &mut Builder) -> Result<(), Fault>;
}

/// Reads the input to its end, `part` bytes at a time. `head` was read from it already.
pub(crate) fn read(
    reader: &mut dyn InOrder,
    part: usize,
    head: Vec<u8>,
    mut input: impl Read,
    mut builder: Builder,
) -> Result<Builder, ReadError> {
    let mut pending = head;
    let mut place = Place::START;
    loop {
        // As much again as is pending, so that what is long is not read over and over.
        let wanted = pending.len().clamp(part, EVENT_MAX);
        let read = (&mut input).take(wanted as u64).read_to_end(&mut pending).map_err(|error| ReadError::io(&error))?;
        let is_last = read < wanted;
        let taken = reader.take(&pending, place.line as u32, is_last, &mut builder).map_err(|fault| fault.locate(&pending, place))?;
        place = place.after(&pending[..taken]);
        pending.drain(..taken);
        if is_last {
            return reader.finish(&mut builder).map_err(|fault| fault.locate(&pending, place)).map(|()| builder);
        }
        if pending.len() > EVENT_MAX {
            let fault = Fault::limit(0, format!("an event or a line is longer than {} MiB", EVENT_MAX >> 20));
            return Err(fault.locate(&pending, place));
        }
    }
}

/// The text that some bytes begin with, and the fault where it ends before they do. A character that is cut off by the end of
/// the bytes is a fault only if they are the last.
pub(crate) fn text_of(bytes: &[u8], is_last: bool) -> (&str, Option<Fault>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let text = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or("");
            let is_wrong = error.error_len().is_some() || is_last;
            (text, is_wrong.then(|| Fault::no_text(error.valid_up_to())))
        }
    }
}

/// A reader of lines, each of which means something by itself or continues what the last one began.
pub(crate) trait ByLine {
    /// Reads a line that is not empty, without the blanks around it. It begins at `at`, for the fault.
    fn line(&mut self, content: &str, at: usize, number: u32, builder: &mut Builder) -> Result<(), Fault>;

    /// Called after the last line.
    fn finish(&mut self, builder: &mut Builder) -> Result<(), Fault>;
}

/// Cuts the input into lines.
#[derive(Debug, Default)]
pub(crate) struct InLines<R>(pub(crate) R);

impl<R: ByLine> InOrder for InLines<R> {
    fn take(&mut self, text: &[u8], first_line: u32, is_last: bool, builder: &mut Builder) -> Result<usize, Fault> {
        let end = if is_last { text.len() } else { memchr::memrchr(b'\n', text).map_or(0, |i| i + 1) };
        let mut at = 0;
        for (number, line) in (first_line..).zip(text[..end].split_inclusive(|&byte| byte == b'\n')) {
            let content = std::str::from_utf8(line).map_err(|error| Fault::no_text(at + error.valid_up_to()))?;
            let trimmed = content.trim();
            if !trimmed.is_empty() {
                let blanks = content.len() - content.trim_start().len();
                self.0.line(trimmed, at + blanks, number, builder)?;
            }
            at += line.len();
        }
        Ok(end)
    }

    fn finish(&mut self, builder: &mut Builder) -> Result<(), Fault> {
        self.0.finish(builder)
    }
}
