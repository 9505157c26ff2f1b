//! Reads an input of any size in pieces: each is parsed by itself, several at once, and what they hold is put together in
//! order. Never more than a few pieces of text are in memory, so a file costs what its history costs.
//!
//! A piece is cut where an event seems to begin, and parsed as if one did. That is certain exactly if the piece before it was
//! read to its last byte; so the pieces are put together from the first on, and where one ends inside an event (a string with
//! line breaks, an event of many lines) the rest is read again, in sequence. What is read, and every error, is therefore the
//! same however the input is cut and however many threads there are.

use crate::error::{Fault, Place, ReadError};
use crate::formats::tuples::{self, Lines};
use crate::history::Builder;
use crate::text::{Container, State, newlines};
use crate::value::ValueId;
use crate::{edn, json};
use rayon::prelude::*;
use std::io::{self, Read};
use std::ops::Range;

/// Pieces per thread that are read at once.
const PIECES_PER_THREAD: usize = 4;
/// How far back a cut may be moved to stand before an event.
const CUT_MAX: usize = 1 << 14;
/// The longest event, line or comment.
pub(crate) const EVENT_MAX: usize = 1 << 25;
/// After so many batches in a row whose cuts were wrong, the rest is read in sequence.
const WRONG_CUTS_MAX: u32 = 4;

/// How an input is cut. It changes nothing but the speed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cutting {
    /// Bytes of a piece: small enough that its values stay in the second-level cache, large enough that starting it is free.
    pub(crate) piece: usize,
    /// Bytes of the pieces that are parsed at once.
    pub(crate) batch: usize,
}

impl Cutting {
    pub(crate) fn for_this_machine() -> Cutting {
        let piece = 1 << 18;
        Cutting { piece, batch: piece * PIECES_PER_THREAD * rayon::current_num_threads() }
    }
}

/// A grammar whose texts can be cut between events.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Syntax {
    Edn,
    Json,
    Lines(Lines),
}

/// What became of a text.
#[derive(Debug, Default)]
struct Parsed {
    /// Its bytes up to here hold whole events, which were read.
    consumed: usize,
    /// The line breaks up to there.
    lines: u32,
    fault: Option<Fault>,
}

impl Syntax {
    /// Whether a text may be cut anywhere, not only between lines.
    fn cuts_anywhere(self) -> bool {
        !matches!(self, Syntax::Lines(_))
    }

    fn parse(self, text: &[u8], state: &mut State, builder: &mut Builder, first_line: u32) -> Parsed {
        let (valid, wrong) = match std::str::from_utf8(text) {
            Ok(valid) => (valid, None),
            Err(error) => (std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or(""), Some(error)),
        };
        let mut parsed = self.parse_text(valid, state, builder, first_line);
        if let Some(error) = wrong
            && parsed.fault.as_ref().is_none_or(|fault| fault.ended)
        {
            let ended = error.error_len().is_none();
            parsed.fault = Some(Fault { ended, ..Fault::no_text(error.valid_up_to()) });
        }
        parsed
    }

    fn parse_text(self, text: &str, state: &mut State, builder: &mut Builder, first_line: u32) -> Parsed {
        match self {
            Syntax::Edn => {
                let mut reader = edn::Reader::new(text);
                let fault = reader.events(builder, &mut state.container, first_line).err();
                Parsed { consumed: reader.position(), lines: reader.lines(), fault }
            }
            Syntax::Json => {
                let mut reader = json::Reader::new(text, state.ours);
                let fault = reader.events(builder, &mut state.container, first_line).err();
                state.ours = reader.ours;
                Parsed { consumed: reader.position(), lines: reader.lines(), fault }
            }
            Syntax::Lines(lines) => {
                let fault = tuples::read(text, lines, builder, &mut state.container, first_line).err();
                Parsed { consumed: text.len(), lines: newlines(text.as_bytes()), fault }
            }
        }
    }
}

/// Reads the input to its end. `head` was read from it already.
pub(crate) fn read(
    syntax: Syntax,
    cutting: Cutting,
    mut head: Vec<u8>,
    input: impl Read + Send,
    builder: Builder,
) -> Result<Builder, ReadError> {
    let mut sink = Sink::new(syntax, builder);
    // The head goes first, alone: what it says of the rest (a header, a container) must be known to read the rest.
    let rest = head.split_off(last_cut(&head).unwrap_or(head.len()));
    sink.feed(&head)?;
    let mut source = Source { input, rest, cutting };
    let (mut next, mut parsed) = (Batch::default(), Batch::default());
    source.fill(&mut next).map_err(|error| ReadError::io(&error))?;
    while !(next.text.is_empty() && parsed.text.is_empty()) {
        let state = sink.expected_state();
        let mut put_and_fill = |batch: &mut Batch| {
            sink.put(batch)?;
            source.fill(batch).map_err(|error| ReadError::io(&error))
        };
        rayon::join(|| next.parse(syntax, state), || put_and_fill(&mut parsed)).1?;
        std::mem::swap(&mut next, &mut parsed);
    }
    sink.finish()
}

/// Where the text comes from.
struct Source<R> {
    input: R,
    /// What was read after the last cut.
    rest: Vec<u8>,
    cutting: Cutting,
}

impl<R: Read> Source<R> {
    /// Refills a batch, and cuts it into pieces. At the end of the input the batch is empty.
    fn fill(&mut self, batch: &mut Batch) -> io::Result<()> {
        let text = &mut batch.text;
        text.clear();
        text.append(&mut self.rest);
        let missing = self.cutting.batch.saturating_sub(text.len()) as u64;
        let read = (&mut self.input).take(missing).read_to_end(text)? as u64;
        let at_end = read < missing;
        let cut = if at_end { Some(text.len()) } else { last_cut(text) };
        batch.pieces.clear();
        if let Some(cut) = cut {
            self.rest.extend_from_slice(&text[cut..]);
            text.truncate(cut);
            let mut start = 0;
            while start < cut {
                let end = start + self.cutting.piece;
                let end = if end >= cut { cut } else { start + last_cut(&text[start..end]).unwrap_or(cut - start) };
                batch.pieces.push(start..end);
                start = end;
            }
        }
        Ok(())
    }
}

/// Where to cut a text before its end: best after a line break before what looks like the start of an event, else after any
/// line break.
fn last_cut(text: &[u8]) -> Option<usize> {
    let mut end = text.len();
    let mut last_break = None;
    while let Some(found) = memchr::memrchr(b'\n', &text[..end]) {
        last_break.get_or_insert(found + 1);
        if text.len() - found > CUT_MAX {
            break;
        }
        let after = &text[found + 1..];
        let blanks = after.iter().take_while(|&&byte| byte == b' ').take(2).count();
        if matches!(after.get(blanks), Some(b'{' | b'[' | b'(' | b'#')) {
            return Some(found + 1);
        }
        end = found;
    }
    last_break
}

/// A few pieces of text, and what they hold.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    /// Empty where the text could not be cut.
    pieces: Vec<Range<usize>>,
    /// A part for every piece; further ones are spare.
    parts: Vec<Part>,
    /// What the pieces were parsed upon; `None`: they were not.
    state: Option<State>,
}

/// What a piece holds.
#[derive(Default)]
struct Part {
    builder: Builder,
    parsed: Parsed,
    state: State,
}

impl Batch {
    fn parse(&mut self, syntax: Syntax, state: Option<State>) {
        self.state = state;
        let Some(state) = state else { return };
        if self.parts.len() < self.pieces.len() {
            self.parts.resize_with(self.pieces.len(), Part::default);
        }
        let text = &self.text;
        self.parts.par_iter_mut().zip(&self.pieces).with_max_len(1).for_each(|(part, piece)| {
            let text = &text[piece.clone()];
            part.builder.clear();
            part.state = state;
            part.parsed = syntax.parse(text, &mut part.state, &mut part.builder, 0);
        });
    }
}

/// Where the history is put together.
struct Sink {
    syntax: Syntax,
    builder: Builder,
    /// What is known at the place up to which the input was read.
    state: State,
    place: Place,
    /// The text from there on that was seen: the beginning of an event.
    pending: Vec<u8>,
    /// How long it has to become before it is read again, so that a long event is not read over and over.
    try_at: usize,
    /// How many batches in a row were cut in wrong places.
    wrong_cuts: u32,
    words: Vec<ValueId>,
}

impl Sink {
    fn new(syntax: Syntax, builder: Builder) -> Sink {
        let state = State::default();
        Sink { syntax, builder, state, place: Place::START, pending: Vec::new(), try_at: 0, wrong_cuts: 0, words: Vec::new() }
    }

    /// What the text of the next batch is to be parsed upon; `None` where it has to be read in sequence.
    fn expected_state(&self) -> Option<State> {
        let is_known = self.state.container != Container::Unknown || matches!(self.syntax, Syntax::Lines(_));
        (is_known && self.pending.is_empty() && self.wrong_cuts < WRONG_CUTS_MAX).then_some(self.state)
    }

    /// Appends what a batch holds.
    fn put(&mut self, batch: &Batch) -> Result<(), ReadError> {
        let mut put = 0;
        for (piece, part) in batch.pieces.iter().zip(&batch.parts) {
            let fits = batch.state == Some(self.state) && self.pending.is_empty();
            let ended = part.parsed.consumed < piece.len() && part.parsed.fault.as_ref().is_none_or(|fault| fault.ended);
            if !fits || ended {
                break;
            }
            self.put_part(part, &batch.text[piece.clone()])?;
            put = piece.end;
        }
        if put < batch.text.len() {
            self.wrong_cuts += 1;
            self.feed(&batch.text[put..])
        } else {
            self.wrong_cuts = 0;
            Ok(())
        }
    }

    fn put_part(&mut self, part: &Part, text: &[u8]) -> Result<(), ReadError> {
        if let Some(fault) = &part.parsed.fault {
            return Err(fault.clone().locate(text, self.place));
        }
        if !self.builder.absorb(&part.builder, self.place.line as u32, &mut self.words) {
            let fault = Fault::limit(0, "more events, or more distinct functions or values, than fit into one history");
            return Err(fault.locate(text, self.place));
        }
        self.state = part.state;
        let place = Place { line: self.place.line + u64::from(part.parsed.lines), column: 1 };
        self.place = if text.ends_with(b"\n") { place } else { self.place.after(text) };
        Ok(())
    }

    /// Reads more text, in sequence.
    fn feed(&mut self, text: &[u8]) -> Result<(), ReadError> {
        self.pending.extend_from_slice(text);
        if self.pending.len() < self.try_at {
            return Ok(());
        }
        self.read_pending(false)?;
        if self.pending.len() > EVENT_MAX {
            let fault = Fault::limit(0, format!("an event, a line or a comment is longer than {} MiB", EVENT_MAX >> 20));
            return Err(fault.locate(&self.pending, self.place));
        }
        self.try_at = (self.pending.len() * 2).min(EVENT_MAX + 1);
        Ok(())
    }

    /// Reads what is pending, as far as it goes. Gives the fault of a text that ends too early.
    fn read_pending(&mut self, is_last: bool) -> Result<Option<Fault>, ReadError> {
        let cut = if is_last || self.syntax.cuts_anywhere() {
            self.pending.len()
        } else {
            memchr::memrchr(b'\n', &self.pending).map_or(0, |i| i + 1)
        };
        let text = &self.pending[..cut];
        let parsed = self.syntax.parse(text, &mut self.state, &mut self.builder, self.place.line as u32);
        let fault = match parsed.fault {
            Some(fault) if !fault.ended => return Err(fault.locate(text, self.place)),
            fault => fault,
        };
        self.place = self.place.after(&text[..parsed.consumed]);
        self.pending.drain(..parsed.consumed);
        Ok(fault.map(|fault| Fault { at: fault.at - parsed.consumed, ..fault }))
    }

    /// Reads the rest. A line of our own format that its writer could not finish before it was killed is left out, and noted.
    fn finish(mut self) -> Result<Builder, ReadError> {
        if let Some(fault) = self.read_pending(true)? {
            let is_last_line = memchr::memchr(b'\n', &self.pending).is_none();
            if !(self.state.ours && is_last_line) {
                return Err(fault.locate(&self.pending, self.place));
            }
            self.builder.meta().torn_line = Some(self.place.line as u32);
        }
        match self.state.container {
            Container::Open(closer) => {
                let fault = Fault::ended(self.pending.len(), &format!("the history: its {:?} is missing", char::from(closer)));
                Err(fault.locate(&self.pending, self.place))
            }
            _ => Ok(self.builder),
        }
    }
}
