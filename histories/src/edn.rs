//! Reads Jepsen's EDN histories, event by event, straight from the text into a [`Builder`].
//!
//! One op map after another (a line is not an op), or one vector or list of them; commas, comments, `#_` discards; records
//! (`#jepsen.history.Op{...}`) and every other tag, known or not; ops as vectors `[process type f value error?]`. Values are
//! assembled on an explicit stack with a limit on nesting, so no input can exhaust the machine's stack, and nothing is boxed.
//!
//! Wider than the EDN specification where Jepsen's files are: `\x` characters and `#"..."` patterns, `#<...>` of old Clojure
//! versions, `0x1f`, ratios and `##NaN`, bare symbols such as `<init>` and `a$b__1`, metadata (passed over).

use crate::draft::{Draft, Field, Time, no_time};
use crate::error::Fault;
use crate::history::{Builder, Kind};
use crate::notation::{self, KEYWORD_TAG, SYMBOL_TAG, TAGGED_TAG};
use crate::number::Number;
use crate::sink::{NESTING_MAX, Nowhere, Sink};
use crate::text::{Container, SMALL_DIGITS_MAX, leading_digits, newlines, unescape};
use crate::value::{ValueId, Values, View};
use std::borrow::Cow;

/// A composite value, or a prefix that takes the next value, whose parts are still being read.
#[derive(Clone, Copy, Debug)]
struct Frame {
    open: Open,
    /// Where its parts begin in [`Reader::items`].
    start: usize,
    /// Where it begins in the text.
    at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    List,
    Vector,
    Set,
    Map,
    /// The tag is the word of a symbol.
    Tag(ValueId),
    /// A vector that stands for a tagged value: its tag was read.
    Tagged(ValueId),
    /// `#_`, and the map after `^`: the next value is read and dropped.
    Discard,
}

impl Open {
    fn closer(self) -> Option<u8> {
        match self {
            Open::List => Some(b')'),
            Open::Vector | Open::Tagged(_) => Some(b']'),
            Open::Set | Open::Map => Some(b'}'),
            Open::Tag(_) | Open::Discard => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Open::List => "a list",
            Open::Vector => "a vector",
            Open::Set => "a set",
            Open::Map => "a map",
            Open::Tag(_) | Open::Tagged(_) => "a tagged value",
            Open::Discard => "a discarded value",
        }
    }
}

/// Reads EDN from a text.
#[derive(Debug)]
pub(crate) struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    frames: Vec<Frame>,
    items: Vec<ValueId>,
    scratch: String,
    /// A comment that the text ends in.
    open_comment: Option<usize>,
    /// The number of line breaks before `counted`.
    lines: u32,
    counted: usize,
}

type Parsed<T> = Result<T, Fault>;

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t str) -> Reader<'t> {
        Reader {
            text,
            bytes: text.as_bytes(),
            at: 0,
            frames: Vec::new(),
            items: Vec::new(),
            scratch: String::new(),
            open_comment: None,
            lines: 0,
            counted: 0,
        }
    }

    /// The position of the next byte.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The number of line breaks up to there.
    pub(crate) fn lines(&self) -> u32 {
        self.lines + newlines(&self.bytes[self.counted..self.at])
    }

    /// Reads events to the end of the text, whose first line is number `first_line`. After a fault, [`Reader::position`] is the start of the event it is in; without
    /// one, it is the end of the text, or the start of a comment whose line is not ended.
    pub(crate) fn events(&mut self, builder: &mut Builder, container: &mut Container, first_line: u32) -> Parsed<()> {
        loop {
            self.blank();
            let start = self.at;
            self.lines = self.lines();
            self.counted = start;
            if start == self.bytes.len() {
                // The comment has no line break in it.
                self.at = self.open_comment.unwrap_or(start);
                self.counted = self.at;
                return Ok(());
            }
            if let Err(fault) = self.top_level(builder, container, first_line + self.lines) {
                let ended = fault.ended || self.at == self.bytes.len();
                self.at = start;
                self.frames.clear();
                self.items.clear();
                return Err(Fault { ended, ..fault });
            }
        }
    }

    /// An event, or the container's bracket.
    fn top_level(&mut self, builder: &mut Builder, container: &mut Container, line: u32) -> Parsed<()> {
        let at = self.at;
        match (self.bytes[at], *container) {
            (_, Container::Closed) => {
                Err(Fault::syntax(at, "something follows the closing bracket of the history").help("cut off what follows"))
            }
            (b'[' | b'(', Container::Unknown) if self.opens_container()? => {
                *container = Container::Open(if self.bytes[at] == b'[' { b']' } else { b')' });
                self.at += 1;
                Ok(())
            }
            (byte, Container::Open(closer)) if byte == closer => {
                *container = Container::Closed;
                self.at += 1;
                Ok(())
            }
            (b'#', _) if self.bytes.get(at + 1) == Some(&b'_') => {
                self.at += 2;
                self.value(&mut Nowhere).map(drop)
            }
            _ => {
                if *container == Container::Unknown {
                    *container = Container::Bare;
                }
                self.event(builder, line)
            }
        }
    }

    /// Whether the bracket here opens a container of events, and not an event that is itself a vector.
    fn opens_container(&self) -> Parsed<bool> {
        let mut ahead = Reader::new(self.text);
        ahead.at = self.at + 1;
        ahead.blank();
        match ahead.bytes.get(ahead.at) {
            Some(byte) => Ok(matches!(byte, b'{' | b'[' | b'(' | b'#' | b']' | b')')),
            None => Err(Fault::ended(self.at, "the history")),
        }
    }

    fn event(&mut self, builder: &mut Builder, line: u32) -> Parsed<()> {
        let start = self.at;
        if self.bytes[start] == b'#' {
            self.at += 1;
            self.token();
            self.blank();
        }
        match self.bytes.get(self.at) {
            Some(b'{') => {
                let draft = self.event_map(builder, line, start)?;
                draft.push(builder, start)?;
                Ok(())
            }
            Some(b'[' | b'(') => self.event_vector(builder, line, start),
            Some(_) => Err(Fault::event(start, "this is no event: expected a map {...} or a vector [process type f value]")
                .help("is this a history at all? Name its format with --format, or see which there are with --help")),
            None => Err(Fault::ended(start, "a tagged value")),
        }
    }

    fn event_map(&mut self, builder: &mut Builder, line: u32, start: usize) -> Parsed<Draft<'t>> {
        self.at += 1;
        let mut draft = Draft::new(line);
        loop {
            self.blank();
            let at = self.at;
            match self.bytes.get(at) {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(draft);
                }
                Some(b':') => {
                    self.at += 1;
                    let name = self.token();
                    self.blank();
                    match self.bytes.get(self.at) {
                        Some(b'}') => return Err(Fault::syntax(at, format!("the key :{name} has no value"))),
                        Some(_) => self.field(Field::of(name.as_bytes()), name, &mut draft, builder)?,
                        None => return Err(Fault::ended(start, "an event")),
                    }
                }
                Some(b'#') if self.bytes.get(at + 1) == Some(&b'_') => {
                    self.at += 2;
                    self.value(&mut Nowhere)?;
                }
                Some(_) => {
                    self.value(&mut Nowhere)?;
                    self.blank();
                    if self.bytes.get(self.at) == Some(&b'}') {
                        return Err(Fault::syntax(at, "this key has no value"));
                    }
                    self.value(&mut Nowhere)?;
                }
                None => return Err(Fault::ended(start, "an event")),
            }
        }
    }

    #[inline]
    fn field(&mut self, field: Field, name: &str, draft: &mut Draft<'t>, builder: &mut Builder) -> Parsed<()> {
        match field {
            Field::Type => draft.kind = Some(self.kind()?),
            Field::F => draft.f = self.function()?,
            Field::Process => draft.process = Some(self.value(builder.values())?).filter(|id| !id.is_nil()),
            Field::Value => draft.value = Some(self.value(builder.values())?),
            Field::Key => draft.key = Some(self.value(builder.values())?),
            Field::Error => draft.error = Some(self.value(builder.values())?),
            Field::Node => draft.node = Some(self.value(builder.values())?).filter(|id| !id.is_nil()),
            Field::Time => draft.time = self.time()?,
            Field::Thread => match self.small_int() {
                Some(id) => draft.thread = id.as_small_int().and_then(|i| u32::try_from(i).ok()),
                None => drop(self.value(&mut Nowhere)?),
            },
            Field::Index => drop(self.value(&mut Nowhere)?),
            Field::Other => {
                builder.passed_over(name);
                self.value(&mut Nowhere)?;
            }
        }
        Ok(())
    }

    /// `[process type f value error?]`.
    fn event_vector(&mut self, builder: &mut Builder, line: u32, start: usize) -> Parsed<()> {
        let closer = if self.bytes[self.at] == b'[' { b']' } else { b')' };
        self.at += 1;
        let mut draft = Draft::new(line);
        for position in 0.. {
            self.blank();
            match self.bytes.get(self.at) {
                Some(&byte) if byte == closer => {
                    self.at += 1;
                    break;
                }
                None => return Err(Fault::ended(start, "an event")),
                Some(_) => match position {
                    0 => self.field(Field::Process, "", &mut draft, builder)?,
                    1 => self.field(Field::Type, "", &mut draft, builder)?,
                    2 => self.field(Field::F, "", &mut draft, builder)?,
                    3 => self.field(Field::Value, "", &mut draft, builder)?,
                    4 => self.field(Field::Error, "", &mut draft, builder)?,
                    _ => {
                        return Err(Fault::event(
                            self.at,
                            "an event as a vector has at most five elements: process, type, f, value, error",
                        ));
                    }
                },
            }
        }
        draft.push(builder, start)?;
        Ok(())
    }

    /// A type: a keyword, or whatever else names one.
    #[inline]
    pub(crate) fn kind(&mut self) -> Parsed<Kind> {
        let at = self.at;
        let name = match self.bytes.get(at) {
            Some(b':') => {
                self.at += 1;
                self.token()
            }
            Some(b'"') => self.plain_string()?,
            _ => self.token(),
        };
        Kind::of(name)
            .ok_or_else(|| Fault::event(at, format!("the type of an event is {name:?}")).help("types are :invoke, :ok, :fail and :info"))
    }

    /// The name of a function: a keyword, or whatever else stands there, as it is written. `None` for nil.
    #[inline]
    pub(crate) fn function(&mut self) -> Parsed<Option<Cow<'t, str>>> {
        if self.bytes.get(self.at) == Some(&b':') {
            self.at += 1;
            return Ok(Some(Cow::Borrowed(self.token())));
        }
        let mut values = Values::new();
        let id = self.value(&mut values)?;
        if id.is_nil() {
            return Ok(None);
        }
        let name = match values.view(id) {
            View::Str(name) | View::Keyword(name) | View::Symbol(name) => name.to_owned(),
            _ => values.display(id),
        };
        Ok(Some(Cow::Owned(name)))
    }

    fn time(&mut self) -> Parsed<i64> {
        let at = self.at;
        let mut values = Values::new();
        let id = if let Some(id) = self.small_int() { id } else { self.value(&mut values)? };
        match Time::of(&values, id) {
            Some(Time::Whole(time)) => Ok(time),
            Some(Time::Fraction(_)) | None => Err(no_time(at, &values.display(id))),
        }
    }

    /// Passes over blanks, commas and comments.
    #[inline]
    pub(crate) fn blank(&mut self) {
        while let Some(&byte) = self.bytes.get(self.at) {
            if CLASS[byte as usize] == BLANK {
                self.at += 1;
            } else if byte == b';' {
                let rest = &self.bytes[self.at..];
                let end = memchr::memchr(b'\n', rest);
                if end.is_none() {
                    self.open_comment = Some(self.at);
                }
                self.at += end.unwrap_or(rest.len());
            } else {
                break;
            }
        }
    }

    /// The text up to the next delimiter; may be empty.
    #[inline]
    pub(crate) fn token(&mut self) -> &'t str {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(|&byte| CLASS[byte as usize] == TOKEN) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    /// An integer of up to 18 digits. Anything else is left where it is.
    #[inline]
    fn small_int(&mut self) -> Option<ValueId> {
        let (digits, negative) = match &self.bytes[self.at..] {
            [b'-', digits @ ..] => (digits, true),
            digits => (digits, false),
        };
        let (value, length) = leading_digits(digits);
        let is_whole = length > 0 && digits.get(length).is_none_or(|&byte| CLASS[byte as usize] != TOKEN);
        let is_octal = length > 1 && digits[0] == b'0';
        if !is_whole || is_octal || length > SMALL_DIGITS_MAX {
            return None;
        }
        self.at += length + usize::from(negative);
        ValueId::small_int(if negative { -value } else { value })
    }

    /// Reads one value.
    pub(crate) fn value<S: Sink>(&mut self, sink: &mut S) -> Parsed<ValueId> {
        let start = self.at;
        debug_assert!(self.frames.is_empty(), "one value at a time");
        loop {
            self.blank();
            let at = self.at;
            let Some(&byte) = self.bytes.get(at) else {
                let (at, inside) = self.frames.last().map_or((start, "a value"), |frame| (frame.at, frame.open.name()));
                return Err(Fault::ended(at, inside));
            };
            let mut done = match byte {
                b'0'..=b'9' | b'-' | b'+' => {
                    if let Some(id) = self.small_int() {
                        id
                    } else {
                        self.number_or_symbol(sink)?
                    }
                }
                b'[' => {
                    self.open(Open::Vector, 1)?;
                    continue;
                }
                b':' => {
                    self.at += 1;
                    let name = self.token();
                    sink.keyword(name)
                }
                b'{' => {
                    self.open(Open::Map, 1)?;
                    continue;
                }
                b'(' => {
                    self.open(Open::List, 1)?;
                    continue;
                }
                b')' | b']' | b'}' => self.close(byte, sink)?,
                b'"' => self.string(sink)?,
                b'#' => match self.dispatch(sink)? {
                    Some(id) => id,
                    None => continue,
                },
                b'^' => {
                    self.open(Open::Discard, 1)?;
                    continue;
                }
                b'\\' => self.character(sink)?,
                _ => match self.token() {
                    "nil" => ValueId::NIL,
                    "true" => ValueId::TRUE,
                    "false" => ValueId::FALSE,
                    name => sink.symbol(name),
                },
            };
            // The value goes to whatever is open around it.
            loop {
                match self.frames.last() {
                    None => return Ok(done),
                    Some(Frame { open: Open::Discard, .. }) => {
                        self.frames.pop();
                        break;
                    }
                    Some(&Frame { open: Open::Tag(tag), .. }) => {
                        self.frames.pop();
                        done = sink.tagged(tag, done);
                    }
                    Some(_) => {
                        self.items.push(done);
                        break;
                    }
                }
            }
        }
    }

    fn open(&mut self, open: Open, length: usize) -> Parsed<()> {
        if self.frames.len() == NESTING_MAX {
            return Err(Fault::limit(self.at, format!("values nest deeper than {NESTING_MAX} levels")));
        }
        self.frames.push(Frame { open, start: self.items.len(), at: self.at });
        self.at += length;
        Ok(())
    }

    fn close<S: Sink>(&mut self, byte: u8, sink: &mut S) -> Parsed<ValueId> {
        let shown = char::from(byte);
        let Some(&Frame { open, start, at }) = self.frames.last() else {
            return Err(Fault::syntax(self.at, format!("expected a value, found {shown:?}")));
        };
        if open.closer() != Some(byte) {
            return Err(Fault::syntax(self.at, format!("{shown:?} inside {}", open.name())));
        }
        let items = &self.items[start..];
        let id = match open {
            Open::List => sink.list(items),
            Open::Vector => sink.vector(items),
            Open::Set => sink.set(items),
            Open::Map if items.len().is_multiple_of(2) => sink.map(items),
            Open::Map => return Err(Fault::syntax(at, "a map has a key without a value")),
            Open::Tagged(tag) => match *items {
                [value] => sink.tagged(tag, value),
                _ => return Err(Fault::syntax(at, format!("a #{TAGGED_TAG} holds the text of a tag and one value"))),
            },
            Open::Tag(_) | Open::Discard => unreachable!("they have no closing bracket"),
        };
        self.items.truncate(start);
        self.frames.pop();
        self.at += 1;
        Ok(id)
    }

    /// What follows a `#`. `None`: something was opened, or passed over.
    fn dispatch<S: Sink>(&mut self, sink: &mut S) -> Parsed<Option<ValueId>> {
        let at = self.at;
        match self.bytes.get(at + 1) {
            Some(b'{') => self.open(Open::Set, 2)?,
            Some(b'_' | b'^') => self.open(Open::Discard, 2)?,
            Some(b'#') => {
                self.at += 2;
                let name = self.token();
                return match name {
                    "NaN" => Ok(Some(sink.float(f64::NAN))),
                    "Inf" => Ok(Some(sink.float(f64::INFINITY))),
                    "-Inf" => Ok(Some(sink.float(f64::NEG_INFINITY))),
                    _ => Err(Fault::syntax(at, format!("unknown symbolic value ##{name}"))),
                };
            }
            Some(b'"') => {
                self.at += 1;
                let text = self.raw_string()?;
                let text = sink.str(text);
                let tag = sink.symbol("regex");
                return Ok(Some(sink.tagged(tag, text)));
            }
            Some(b'<') => {
                let rest = &self.bytes[at..];
                let length = match memchr::memchr2(b'>', b'\n', rest) {
                    Some(length) if rest[length] == b'>' => length,
                    Some(_) => return Err(Fault::syntax(at, "#< without a > on its line")),
                    None => return Err(Fault::ended(at, "an unreadable value")),
                };
                let text = sink.str(&self.text[at + 2..at + length]);
                self.at += length + 1;
                let tag = sink.symbol("unreadable");
                return Ok(Some(sink.tagged(tag, text)));
            }
            Some(_) => {
                self.at += 1;
                let tag = self.token();
                if tag.is_empty() {
                    return Err(Fault::syntax(at, "a # without a tag"));
                }
                if tag.starts_with('\'') {
                    return Ok(Some(sink.symbol(&self.text[at..self.at])));
                }
                if matches!(tag, KEYWORD_TAG | SYMBOL_TAG | TAGGED_TAG) {
                    return self.quoted(tag, at, sink);
                }
                let tag = sink.symbol(tag);
                self.open(Open::Tag(tag), 0)?;
            }
            None => return Err(Fault::ended(at, "a tagged value")),
        }
        Ok(None)
    }

    /// What the writer puts in quotes under a tag, because no reader would take it for the word it is.
    fn quoted<S: Sink>(&mut self, tag: &str, at: usize, sink: &mut S) -> Parsed<Option<ValueId>> {
        self.blank();
        let is_tagged = tag == TAGGED_TAG;
        if is_tagged && self.bytes.get(self.at) == Some(&b'[') {
            self.at += 1;
            self.blank();
        }
        match self.bytes.get(self.at) {
            Some(b'"') => {}
            Some(_) => return Err(Fault::syntax(self.at, format!("a #{tag} begins with a string"))),
            None => return Err(Fault::ended(at, "a tagged value")),
        }
        let start = self.at;
        let raw = self.raw_string()?;
        let mut text = String::new();
        unescape(raw, &mut text).map_err(|(at, message)| Fault::syntax(start + 1 + at, message))?;
        if tag == KEYWORD_TAG {
            return Ok(Some(sink.keyword(&text)));
        }
        let word = sink.symbol(&text);
        if is_tagged {
            self.open(Open::Tagged(word), 0)?;
        }
        Ok((!is_tagged).then_some(word))
    }

    /// A number that is no small integer, or a symbol that begins like one (`-`, `->x`).
    fn number_or_symbol<S: Sink>(&mut self, sink: &mut S) -> Parsed<ValueId> {
        let at = self.at;
        let token = self.token();
        let digits = token.strip_prefix(['-', '+']).unwrap_or(token);
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(sink.symbol(token));
        }
        match Number::of(token) {
            Some(Number::Int(i)) => Ok(sink.int(i)),
            Some(Number::Float(x)) => Ok(sink.float(x)),
            Some(Number::Other(text)) => Ok(sink.number(&text)),
            None => Err(Fault::syntax(at, format!("{token:?} is no number"))),
        }
    }

    /// `\a`, `\newline`, `\u0041`: kept as the symbol that writes it, one for equal characters.
    fn character<S: Sink>(&mut self, sink: &mut S) -> Parsed<ValueId> {
        let start = self.at;
        let Some(c) = self.text[start + 1..].chars().next() else {
            return Err(Fault::ended(start, "a character"));
        };
        self.at += 1 + c.len_utf8();
        self.token();
        let text = &self.text[start..self.at];
        Ok(match notation::character(text) {
            Some(one) => sink.symbol(&one),
            None => sink.symbol(text),
        })
    }

    /// The text between two quotes, its escapes left as they are.
    fn raw_string(&mut self) -> Parsed<&'t str> {
        let start = self.at;
        let mut at = start + 1;
        loop {
            let Some(found) = memchr::memchr2(b'"', b'\\', &self.bytes[at..]) else {
                return Err(Fault::ended(start, "a string"));
            };
            at += found;
            if self.bytes[at] == b'"' {
                self.at = at + 1;
                return Ok(&self.text[start + 1..at]);
            }
            at += 2;
            if at > self.bytes.len() {
                return Err(Fault::ended(start, "a string"));
            }
        }
    }

    fn plain_string(&mut self) -> Parsed<&'t str> {
        let at = self.at;
        let text = self.raw_string()?;
        if text.contains('\\') { Err(Fault::event(at, "the type of an event has escapes in it")) } else { Ok(text) }
    }

    fn string<S: Sink>(&mut self, sink: &mut S) -> Parsed<ValueId> {
        let start = self.at;
        let raw = self.raw_string()?;
        if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
            return Ok(sink.str(raw));
        }
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        let unescaped = unescape(raw, &mut text).map_err(|(at, message)| Fault::syntax(start + 1 + at, message));
        let id = unescaped.map(|()| sink.str(&text));
        self.scratch = text;
        id
    }
}

const TOKEN: u8 = 0;
const BLANK: u8 = 1;
const DELIMITER: u8 = 2;

/// What each byte is to the reader. Bytes above 127 are parts of letters.
static CLASS: [u8; 256] = {
    let mut class = [TOKEN; 256];
    let blanks = b" ,\n\r\t\x0b\x0c\x1c\x1d\x1e\x1f";
    let mut i = 0;
    while i < blanks.len() {
        class[blanks[i] as usize] = BLANK;
        i += 1;
    }
    let delimiters = b"()[]{}\";";
    i = 0;
    while i < delimiters.len() {
        class[delimiters[i] as usize] = DELIMITER;
        i += 1;
    }
    class
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;

    fn values(text: &str) -> String {
        let mut values = Values::new();
        let mut reader = Reader::new(text);
        let id = reader.value(&mut values).unwrap();
        values.display(id)
    }

    fn history(text: &str) -> Result<History, String> {
        crate::read_bytes(text.as_bytes(), None).map_err(|error| error.to_string())
    }

    #[test]
    fn values_print_as_they_are_read() {
        for text in [
            "nil",
            "[1 -2 9223372036854775807 -9223372036854775808]",
            "12345678901234567890",
            "[1.5 0.0 1e300 ##NaN ##Inf ##-Inf]",
            "[-0.0955M 1/3 100M]",
            "(:a/b :c \"d\\n\\\"\\\\\" e <init> a$b__1 -> - +x \\a \\newline)",
            "{:from 5, :to #{1 2}, nil []}",
            "#inst \"2020-01-01T00:00:00.000-00:00\"",
            "#object [org.joda.time.DateTime 1 \"2015\"]",
            "#:ns {:a 1}",
            "#a #b c",
            "[#rashomon/keyword \"a b\" #rashomon/symbol \"\" #rashomon/tagged [\"a b\" [1]]]",
        ] {
            assert_eq!(values(text), text);
        }
    }

    #[test]
    fn values_print_as_what_they_mean() {
        for (text, meaning) in [
            ("[0x1a 0x1aN 2r101 017 -017N 5N 4/2 -0.0]", "[26 26 5 15 -15 5 2 0.0]"),
            ("[1e5M 2/6]", "[100000M 1/3]"),
            ("[\\u0041 \\u000a \\newline \\o101 \\space \\u0020]", "[\\A \\newline \\newline \\A \\space \\space]"),
            ("#inst \"2020-01-01T01:00+01:00\"", "#inst \"2020-01-01T00:00:00.000-00:00\""),
            ("#uuid \"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11\"", "#uuid \"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\""),
            ("+5", "5"),
            ("[1,2]", "[1 2]"),
            ("[1 #_ 2 #_ #_ 3 4 5]", "[1 5]"),
            ("^{:line 1} [1]", "[1]"),
            ("#<Foo foo@1f>", "#unreadable \"Foo foo@1f\""),
            ("#\"a\\d\"", "#regex \"a\\\\d\""),
            ("\"\\u00e9\\uD83D\\uDE00\\101\"", "\"é😀A\""),
            ("[1;2 3\n4]", "[1 4]"),
            ("#object[a 1]", "#object [a 1]"),
        ] {
            assert_eq!(values(text), meaning, "{text}");
        }
    }

    #[test]
    fn shapes() {
        let event = "{:type :invoke, :f :read, :process 0, :value nil}";
        for text in [
            format!("{event}{event}"),
            format!("[{event},\n {event}]"),
            format!("({event} {event})"),
            format!("; comment\n#jepsen.history.Op{event}\n\n#_{event} #a.b.Op {event}"),
            "[0 :invoke :read nil]\n(0 :invoke :read)".into(),
            "[[0 :invoke :read nil] [0 :invoke :read nil :why]]".into(),
            "{:type :invoke\n:f :read\n, :process 0 #_ :x :meta {:a [1 {}]} \"k\" 1} {:process 0 :type :invoke :f :read}".into(),
        ] {
            let history = history(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(history.len(), 2, "{text}");
            assert_eq!(history.names(), ["read".into()], "{text}");
        }
        let history = history("[]").unwrap();
        assert!(history.is_empty());
    }

    #[test]
    fn refusals_name_the_place() {
        for (text, error) in [
            ("{:type :invoke, :f :read\n", "1:1: the file ends inside an event"),
            ("{:type :ok :value [1}", "1:21: '}' inside a vector"),
            ("{:type :ok}\n  {:type :maybe}", "2:10: the type of an event is \"maybe\""),
            ("{:f :read}", "1:1: this is no event: it has no type"),
            ("{:type :ok :value 12x}", "1:19: \"12x\" is no number"),
            ("{:type :ok :value 1/0}", "1:19: \"1/0\" is no number"),
            ("{:type :ok :value 08}", "1:19: \"08\" is no number"),
            ("{:type :ok :value #rashomon/tagged [\"a\"]}", "1:40: a #rashomon/tagged holds"),
            ("{:type :ok :value #rashomon/symbol 1}", "1:36: a #rashomon/symbol begins with a string"),
            ("{:type :ok :value}", "1:12: the key :value has no value"),
            ("[{:type :ok}", "1:13: the file ends inside the history"),
            ("[{:type :ok}] {:type :ok}", "1:15: something follows"),
            ("{:type :ok :value \"a\\q\"}", "1:21: an unknown escape"),
            ("{:type :ok :time :now}", "1:18: the time of an event is :now"),
            ("{:type :ok :time 1.5}", "1:18: the time of an event is 1.5"),
            ("{:type :ok :time 0.25M}", "1:18: the time of an event is 0.25M"),
            ("{:type :ok :time 3/2}", "1:18: the time of an event is 3/2"),
            ("{:type :ok :time 1e300}", "1:18: the time of an event is 1e300"),
            ("{:type :ok :time ##Inf}", "1:18: the time of an event is ##Inf"),
            ("{:type :ok :time 99999999999999999999}", "1:18: the time of an event is 99999999999999999999"),
            ("{:type :ok :value {1}}", "1:19: a map has a key without a value"),
            ("{:type :ok :value ##Nan}", "1:19: unknown symbolic value"),
            ("{:type :ok :value [1 #_]}", "1:24: ']' inside a discarded value"),
        ] {
            let refusal = history(text).unwrap_err();
            assert!(refusal.starts_with(error), "{text}: {refusal}");
        }
        let deep = format!("{{:type :ok :value {}", "[".repeat(1_000_000));
        assert!(history(&deep).unwrap_err().contains("nest deeper than 128"));
    }
}
