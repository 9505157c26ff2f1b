//! Reads JSON histories, event by event, straight from the text into a [`Builder`]: one object per line, or one array of
//! objects (Elle's), in lower or upper case.
//!
//! Our own files begin with a header object (`{"rashomon":1,...}`). After it, and only after it, the stand-ins of `FORMAT.md`
//! for what JSON lacks are understood: `":keyword"`, `["#set",1,2]` and so on. In everybody else's files a string is a string.

use crate::draft::{Draft, Field, Time, no_time};
use crate::error::Fault;
use crate::history::{Builder, Kind, NO_TIME};
use crate::jsonl::VERSION;
use crate::number::{self, Number};
use crate::sink::{NESTING_MAX, Nowhere, Sink};
use crate::text::{Container, SMALL_DIGITS_MAX, leading_digits, newlines, unescape};
use crate::value::{ValueId, Values};
use std::borrow::Cow;

/// A composite value whose parts are still being read.
#[derive(Clone, Copy, Debug)]
struct Frame {
    open: Open,
    /// Where its parts begin in [`Reader::items`].
    start: usize,
    /// Where it begins in the text.
    at: usize,
}

/// What will be made of an object's or an array's parts.
#[derive(Clone, Copy, Debug)]
enum Open {
    Object,
    Vector,
    List,
    Set,
    /// An array of alternating keys and values.
    Map,
    /// An array that holds one value under a tag.
    /// The tag is the word of a symbol.
    Tag(ValueId),
}

/// Reads JSON from a text.
#[derive(Debug)]
pub(crate) struct Reader<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    /// Whether the header was seen, and the stand-ins are understood.
    pub(crate) ours: bool,
    frames: Vec<Frame>,
    items: Vec<ValueId>,
    /// The number of line breaks before `counted`.
    lines: u32,
    counted: usize,
}

type Parsed<T> = Result<T, Fault>;

/// Strings up to this length are looked through byte by byte.
const SHORT: usize = 12;

impl<'t> Reader<'t> {
    pub(crate) fn new(text: &'t str, ours: bool) -> Reader<'t> {
        Reader { text, bytes: text.as_bytes(), at: 0, ours, frames: Vec::new(), items: Vec::new(), lines: 0, counted: 0 }
    }

    /// The position of the next byte.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The number of line breaks up to there.
    pub(crate) fn lines(&self) -> u32 {
        self.lines + newlines(&self.bytes[self.counted..self.at])
    }

    /// Reads events to the end of the text, whose first line is number `first_line`. After a fault, [`Reader::position`] is the start of the event it is in.
    pub(crate) fn events(&mut self, builder: &mut Builder, container: &mut Container, first_line: u32) -> Parsed<()> {
        loop {
            self.between();
            let start = self.at;
            self.lines = self.lines();
            self.counted = start;
            if start == self.bytes.len() {
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

    /// An event, the header, or the container's bracket.
    fn top_level(&mut self, builder: &mut Builder, container: &mut Container, line: u32) -> Parsed<()> {
        let at = self.at;
        match (self.bytes[at], *container) {
            (_, Container::Closed) => {
                Err(Fault::syntax(at, "something follows the closing bracket of the history").help("cut off what follows"))
            }
            (b'[', Container::Unknown) => {
                *container = Container::Open(b']');
                self.at += 1;
                Ok(())
            }
            (b']', Container::Open(_)) => {
                *container = Container::Closed;
                self.at += 1;
                Ok(())
            }
            (b'{', Container::Unknown) => {
                if self.at_header() {
                    self.header(builder)?;
                } else {
                    self.event(builder, line)?;
                }
                *container = Container::Bare;
                Ok(())
            }
            (b'{', _) => self.event(builder, line),
            _ => Err(Fault::event(at, "this is no event: expected an object {...}")
                .help("is this a history at all? Name its format with --format, or see which there are with --help")),
        }
    }

    /// Whether the object here is our header.
    fn at_header(&self) -> bool {
        let rest = self.text[self.at + 1..].trim_start();
        rest.starts_with("\"rashomon\"")
    }

    fn header(&mut self, builder: &mut Builder) -> Parsed<()> {
        let start = self.at;
        self.ours = true;
        self.at += 1;
        loop {
            let name = self.key(start)?.into_owned();
            let at = self.at;
            let id = self.value(builder.values())?;
            let value = builder.values().get(id);
            match name.as_str() {
                "rashomon" => match value.as_int() {
                    Some(version) if (1..=VERSION).contains(&version) => {}
                    _ => {
                        let message = format!("the file is of version {value}; this program reads versions 1 to {VERSION}");
                        return Err(Fault::event(at, message).help("read it with the program that wrote it, or a newer one"));
                    }
                },
                "keyed" => builder.meta().keyed = Some(value == crate::Value::Bool(true)),
                _ => drop(builder.meta().header.insert(name, value)),
            }
            if !self.another(b'}', start, "the header")? {
                return Ok(());
            }
        }
    }

    fn event(&mut self, builder: &mut Builder, line: u32) -> Parsed<()> {
        let start = self.at;
        self.at += 1;
        let mut draft = Draft::new(line);
        let mut shouts = false;
        let mut time = (0, Time::Whole(NO_TIME));
        self.blank();
        let mut more = !self.skip(b'}');
        while more {
            let name = self.key(start)?;
            match Field::of(name.as_bytes()) {
                Field::Type => (draft.kind, shouts) = self.kind()?,
                Field::F => draft.f = self.function()?,
                Field::Process => draft.process = Some(self.value(builder.values())?).filter(|id| !id.is_nil()),
                Field::Value => draft.value = Some(self.value(builder.values())?),
                Field::Key => draft.key = Some(self.value(builder.values())?),
                Field::Error => draft.error = Some(self.value(builder.values())?),
                Field::Node => draft.node = Some(self.value(builder.values())?).filter(|id| !id.is_nil()),
                Field::Time => time = (self.at, self.time()?),
                Field::Thread => {
                    let thread = self.value(&mut Values::new())?;
                    draft.thread = thread.as_small_int().and_then(|i| u32::try_from(i).ok());
                }
                Field::Index => drop(self.value(&mut Nowhere)?),
                Field::Other => {
                    builder.passed_over(&name);
                    self.value(&mut Nowhere)?;
                }
            }
            more = self.another(b'}', start, "an event")?;
        }
        let unit_ns = if shouts { NANOS_PER_MILLI } else { 1 };
        draft.time =
            nanoseconds(time.1, unit_ns).ok_or_else(|| no_time(time.0, self.text[time.0..].split([',', '}']).next().unwrap_or("")))?;
        if shouts {
            soften(&mut draft);
        }
        draft.push(builder, start)?;
        Ok(())
    }

    /// The type of an event, and whether it is in capitals.
    fn kind(&mut self) -> Parsed<(Option<Kind>, bool)> {
        let at = self.at;
        let name = self.string_here("the type of an event")?;
        let name = if self.ours { name } else { strip_colon(name) };
        if let Some(kind) = Kind::of(&name) {
            return Ok((Some(kind), false));
        }
        match Kind::of(&name.to_lowercase()) {
            Some(kind) => Ok((Some(kind), true)),
            None => Err(Fault::event(at, format!("the type of an event is {name:?}")).help("types are invoke, ok, fail and info")),
        }
    }

    fn function(&mut self) -> Parsed<Option<Cow<'t, str>>> {
        if self.bytes.get(self.at) == Some(&b'"') {
            return self.string_here("a function").map(Some);
        }
        let mut values = Values::new();
        let id = self.value(&mut values)?;
        Ok((!id.is_nil()).then(|| Cow::Owned(values.display(id))))
    }

    fn time(&mut self) -> Parsed<Time> {
        let at = self.at;
        let mut values = Values::new();
        let id = self.value(&mut values)?;
        Time::of(&values, id).ok_or_else(|| no_time(at, &values.display(id)))
    }

    /// A key and its colon; `at` is where the object begins.
    fn key(&mut self, at: usize) -> Parsed<Cow<'t, str>> {
        self.blank();
        match self.bytes.get(self.at) {
            Some(b'"') => {}
            Some(_) => return Err(Fault::syntax(self.at, "expected a key in quotes")),
            None => return Err(Fault::ended(at, "an object")),
        }
        let name = self.string()?;
        self.blank();
        match self.bytes.get(self.at) {
            Some(b':') => self.at += 1,
            Some(_) => return Err(Fault::syntax(self.at, "expected a colon after a key")),
            None => return Err(Fault::ended(at, "an object")),
        }
        self.blank();
        Ok(name)
    }

    /// Whether another part follows a part: passes over the comma, or over the closing byte.
    #[inline]
    fn another(&mut self, closer: u8, at: usize, inside: &str) -> Parsed<bool> {
        self.blank();
        match self.bytes.get(self.at) {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(&byte) if byte == closer => {
                self.at += 1;
                Ok(false)
            }
            Some(_) => Err(Fault::syntax(self.at, format!("expected a comma or {:?} inside {inside}", char::from(closer)))),
            None => Err(Fault::ended(at, inside)),
        }
    }

    pub(crate) fn skip(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    #[inline]
    fn blank(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// Blanks and commas between events.
    pub(crate) fn between(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r' | b',') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn string_here(&mut self, what: &str) -> Parsed<Cow<'t, str>> {
        match self.bytes.get(self.at) {
            Some(b'"') => self.string(),
            Some(_) => Err(Fault::event(self.at, format!("{what} is no string"))),
            None => Err(Fault::ended(self.at, what)),
        }
    }

    /// The string here; its opening quote was seen.
    #[inline]
    fn string(&mut self) -> Parsed<Cow<'t, str>> {
        let start = self.at + 1;
        // Nearly all strings are a few plain letters.
        let few = &self.bytes[start..self.bytes.len().min(start + SHORT)];
        if let Some(length) = few.iter().position(|&byte| byte == b'"' || byte == b'\\')
            && few[length] == b'"'
        {
            self.at = start + length + 1;
            return Ok(Cow::Borrowed(&self.text[start..start + length]));
        }
        let mut at = start;
        let mut escaped = false;
        loop {
            let Some(found) = memchr::memchr2(b'"', b'\\', &self.bytes[at..]) else {
                return Err(Fault::ended(start - 1, "a string"));
            };
            at += found;
            if self.bytes[at] == b'"' {
                break;
            }
            escaped = true;
            at += 2;
            if at > self.bytes.len() {
                return Err(Fault::ended(start - 1, "a string"));
            }
        }
        self.at = at + 1;
        let raw = &self.text[start..at];
        if !escaped {
            return Ok(Cow::Borrowed(raw));
        }
        let mut text = String::with_capacity(raw.len());
        unescape(raw, &mut text).map_err(|(offset, message)| Fault::syntax(start + offset, message))?;
        Ok(Cow::Owned(text))
    }

    /// Reads one value.
    pub(crate) fn value<S: Sink>(&mut self, sink: &mut S) -> Parsed<ValueId> {
        debug_assert!(self.frames.is_empty(), "one value at a time");
        loop {
            self.blank();
            let at = self.at;
            let mut done = match self.bytes.get(at) {
                Some(b'0'..=b'9' | b'-') => self.number(sink)?,
                Some(b'"') => {
                    let text = self.string()?;
                    match text.strip_prefix(':') {
                        Some(name) if self.ours => sink.keyword(name),
                        _ => sink.str(&text),
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    match self.open_array(at, sink)? {
                        Some(id) => id,
                        None => continue,
                    }
                }
                Some(b'{') => {
                    self.at += 1;
                    self.blank();
                    if self.skip(b'}') {
                        sink.map(&[])
                    } else {
                        self.open(Open::Object, at)?;
                        self.object_key(at, sink)?;
                        continue;
                    }
                }
                Some(_) => self.literal(sink)?,
                None => return Err(Fault::ended(self.frames.last().map_or(at, |frame| frame.at), "a value")),
            };
            // The value goes to whatever is open around it.
            loop {
                let Some(&frame) = self.frames.last() else {
                    return Ok(done);
                };
                self.items.push(done);
                let closer = if matches!(frame.open, Open::Object) { b'}' } else { b']' };
                if self.another(closer, frame.at, "a value")? {
                    if matches!(frame.open, Open::Object) {
                        self.object_key(frame.at, sink)?;
                    }
                    break;
                }
                done = self.close(frame, sink)?;
            }
        }
    }

    fn open(&mut self, open: Open, at: usize) -> Parsed<()> {
        if self.frames.len() == NESTING_MAX {
            return Err(Fault::limit(at, format!("values nest deeper than {NESTING_MAX} levels")));
        }
        self.frames.push(Frame { open, start: self.items.len(), at });
        Ok(())
    }

    fn close<S: Sink>(&mut self, frame: Frame, sink: &mut S) -> Parsed<ValueId> {
        let items = &self.items[frame.start..];
        let id = match (frame.open, items) {
            (Open::Vector, items) => sink.vector(items),
            (Open::List, items) => sink.list(items),
            (Open::Set, items) => sink.set(items),
            (Open::Map | Open::Object, items) if items.len().is_multiple_of(2) => sink.map(items),
            (Open::Tag(tag), &[value]) => sink.tagged(tag, value),
            (Open::Map | Open::Object, _) => return Err(Fault::syntax(frame.at, "a #map has a key without a value")),
            (Open::Tag(_), _) => return Err(Fault::syntax(frame.at, "a #tag holds a name and one value")),
        };
        self.items.truncate(frame.start);
        self.frames.pop();
        Ok(id)
    }

    fn object_key<S: Sink>(&mut self, at: usize, sink: &mut S) -> Parsed<()> {
        let name = self.key(at)?;
        let key = match name.strip_prefix(':') {
            Some(name) if self.ours => sink.keyword(name),
            _ => sink.str(&name),
        };
        self.items.push(key);
        Ok(())
    }

    /// What follows a `[`. A stand-in for a scalar, and an empty array, are complete values.
    fn open_array<S: Sink>(&mut self, at: usize, sink: &mut S) -> Parsed<Option<ValueId>> {
        self.blank();
        if self.skip(b']') {
            return Ok(Some(sink.vector(&[])));
        }
        if !(self.ours && self.bytes[self.at..].starts_with(b"\"#")) {
            return self.open(Open::Vector, at).map(|()| None);
        }
        let name = self.string()?;
        let open = match &*name {
            "#vector" => Open::Vector,
            "#list" => Open::List,
            "#set" => Open::Set,
            "#map" => Open::Map,
            "#tag" => Open::Tag(ValueId::NIL),
            "#str" | "#number" | "#symbol" | "#float" => return self.scalar(&name, at, sink).map(Some),
            _ => {
                return Err(Fault::syntax(at, format!("unknown stand-in {name:?}"))
                    .help("an array that begins with a string that begins with # is written [\"#vector\", ...]"));
            }
        };
        let has_parts = self.another(b']', at, "a value")?;
        let open = match open {
            Open::Tag(_) if has_parts => {
                self.blank();
                let tag = self.string_here("a tag")?;
                let tag = sink.symbol(&tag);
                if !self.another(b']', at, "a value")? {
                    return Err(Fault::syntax(at, "a #tag holds a name and one value"));
                }
                Open::Tag(tag)
            }
            open => open,
        };
        self.open(open, at)?;
        if has_parts {
            return Ok(None);
        }
        let frame = *self.frames.last().expect("it was just opened");
        self.close(frame, sink).map(Some)
    }

    /// `["#number","1/3"]` and the like; its name was read.
    fn scalar<S: Sink>(&mut self, name: &str, at: usize, sink: &mut S) -> Parsed<ValueId> {
        let fault = || Fault::syntax(at, format!("a {name} holds one string"));
        if !self.another(b']', at, "a value")? {
            return Err(fault());
        }
        self.blank();
        let text = self.string_here("what it holds")?;
        if self.another(b']', at, "a value")? {
            return Err(fault());
        }
        match (name, &*text) {
            ("#str", text) => Ok(sink.str(text)),
            ("#number", text) => match Number::of(text) {
                Some(Number::Int(i)) => Ok(sink.int(i)),
                Some(Number::Float(x)) => Ok(sink.float(x)),
                Some(Number::Other(text)) => Ok(sink.number(&text)),
                None => Err(Fault::syntax(at, format!("{text:?} is no number"))),
            },
            ("#symbol", text) => Ok(sink.symbol(text)),
            (_, "NaN") => Ok(sink.float(f64::NAN)),
            (_, "Infinity") => Ok(sink.float(f64::INFINITY)),
            (_, "-Infinity") => Ok(sink.float(f64::NEG_INFINITY)),
            _ => Err(Fault::syntax(at, format!("unknown #float {text:?}"))),
        }
    }

    /// A number: in our own files an integer if it is written as one, a double if it has a fraction or an exponent; in all others
    /// an integer if it is one.
    #[inline]
    fn number<S: Sink>(&mut self, sink: &mut S) -> Parsed<ValueId> {
        let (digits, negative) = match &self.bytes[self.at..] {
            [b'-', digits @ ..] => (digits, true),
            digits => (digits, false),
        };
        let (value, length) = leading_digits(digits);
        let continues = matches!(digits.get(length), Some(b'.' | b'e' | b'E' | b'+' | b'-' | b'a'..=b'z' | b'A'..=b'Z'));
        let has_leading_zero = length > 1 && digits[0] == b'0';
        if length > 0 && length <= SMALL_DIGITS_MAX && !continues && !has_leading_zero {
            self.at += length + usize::from(negative);
            return Ok(sink.int(if negative { -value } else { value }));
        }
        self.odd_number(sink)
    }

    #[cold]
    fn odd_number<S: Sink>(&mut self, sink: &mut S) -> Parsed<ValueId> {
        let start = self.at;
        let token = self.word();
        if token == "-Infinity" {
            return Ok(sink.float(f64::NEG_INFINITY));
        }
        let digits = token.strip_prefix('-').unwrap_or(token);
        let is_integer = digits.bytes().all(|b| b.is_ascii_digit());
        let begins_well =
            digits.starts_with(|c: char| c.is_ascii_digit()) && (digits.len() == 1 || !is_integer || !digits.starts_with('0'));
        let is_decimal = digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
        let parsed = if begins_well && is_decimal { token.parse::<f64>().ok() } else { None };
        match parsed {
            Some(_) if is_integer => Ok(match token.parse() {
                Ok(i) => sink.int(i),
                Err(_) => sink.number(token),
            }),
            // Others than our own files know one kind of number.
            Some(x) => Ok(match number::json_integer(token).filter(|_| !self.ours) {
                Some(Number::Int(i)) => sink.int(i),
                Some(Number::Other(text)) => sink.number(&text),
                Some(Number::Float(_)) | None => sink.float(x),
            }),
            None if self.at == self.bytes.len() => Err(Fault::ended(start, "a number")),
            None => Err(Fault::syntax(start, format!("{token:?} is no number"))),
        }
    }

    /// `null`, `true`, `false`, and what Python and JavaScript write for numbers that are none.
    fn literal<S: Sink>(&mut self, sink: &mut S) -> Parsed<ValueId> {
        let at = self.at;
        match self.word() {
            "null" => Ok(ValueId::NIL),
            "true" => Ok(ValueId::TRUE),
            "false" => Ok(ValueId::FALSE),
            "NaN" => Ok(sink.float(f64::NAN)),
            "Infinity" => Ok(sink.float(f64::INFINITY)),
            _ if self.at == self.bytes.len() && self.at > at => Err(Fault::ended(at, "a value")),
            _ => Err(Fault::syntax(at, "expected a value")),
        }
    }

    /// The text up to the next byte that is part of no number or literal.
    fn word(&mut self) -> &'t str {
        let start = self.at;
        while let Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'+' | b'-') = self.bytes.get(self.at) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }
}

/// The unit of times in the upper-case dialect.
const NANOS_PER_MILLI: i64 = 1_000_000;

/// A time in some unit as nanoseconds; `None` if they are not whole, or out of range. Units of more than one may have a
/// fraction: of that, as much counts as a double tells.
fn nanoseconds(time: Time, unit_ns: i64) -> Option<i64> {
    match time {
        Time::Whole(NO_TIME) => Some(NO_TIME),
        Time::Whole(time) => time.checked_mul(unit_ns),
        Time::Fraction(_) if unit_ns == 1 => None,
        Time::Fraction(time) => match Time::of_float((time * unit_ns as f64).round())? {
            Time::Whole(time) => Some(time),
            Time::Fraction(_) => None,
        },
    }
}

/// What else differs in the upper-case dialect: its functions are in capitals, and its reads are invoked with a placeholder.
fn soften(draft: &mut Draft<'_>) {
    draft.f = draft.f.take().map(|name| Cow::Owned(name.to_lowercase()));
    if draft.kind == Some(Kind::Invoke) && draft.f.as_deref() == Some("read") {
        draft.value = None;
    }
}

fn strip_colon(name: Cow<'_, str>) -> Cow<'_, str> {
    match name.strip_prefix(':') {
        Some(name) => Cow::Owned(name.to_owned()),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;

    fn history(text: &str) -> Result<History, String> {
        crate::read_bytes(text.as_bytes(), None).map_err(|error| error.to_string())
    }

    fn value(text: &str, ours: bool) -> String {
        let mut values = Values::new();
        let id = Reader::new(text, ours).value(&mut values).unwrap_or_else(|fault| panic!("{text}: {}", fault.message));
        values.display(id)
    }

    #[test]
    fn stand_ins_are_ours_alone() {
        for (text, ours, theirs) in [
            (r#"":a""#, ":a", r#"":a""#),
            (r##"["#set",1,2]"##, "#{1 2}", r##"["#set" 1 2]"##),
            (r##"["#list"]"##, "()", r##"["#list"]"##),
            (r##"["#map",0,100,1,[]]"##, "{0 100, 1 []}", r##"["#map" 0 100 1 []]"##),
            (r##"["#vector","#set"]"##, r##"["#set"]"##, r##"["#vector" "#set"]"##),
            (r##"["#tag","inst","x"]"##, r#"#inst "x""#, r##"["#tag" "inst" "x"]"##),
            (r##"["#number","1/3"]"##, "1/3", r##"["#number" "1/3"]"##),
            (r##"["#float","NaN"]"##, "##NaN", r##"["#float" "NaN"]"##),
            (r#"{":k":[{}]}"#, "{:k [{}]}", r#"{":k" [{}]}"#),
        ] {
            assert_eq!(value(text, true), ours);
            assert_eq!(value(text, false), theirs);
        }
        assert_eq!(value(r#" [ 1 , -2.5e3, true,null, "\u00e9\/" ] "#, false), r#"[1 -2500 true nil "é/"]"#);
        assert_eq!(value("[NaN,-Infinity,18446744073709551616,-0]", false), "[##NaN ##-Inf 18446744073709551616 0]");
    }

    #[test]
    fn upper_case_dialect() {
        let text = r#"{"client":7,"type":"INVOKE","value":0,"f":"READ","time":1.6E12,"latency":0.0}
            {"client":7,"type":"OK","value":3,"f":"READ","time":1.6E12,"latency":0.0}"#;
        let history = history(text).unwrap();
        let op = history.ops()[0];
        assert_eq!(history.name(history.op_function(op)), "read");
        assert!(history.input(op).is_nil());
        assert_eq!(history.output(op), ValueId::small_int(3));
        assert_eq!(history.time(0), Some(1_600_000_000_000_000_000));
        let fraction = super::tests::history(&text.replace("1.6E12", "1.5")).unwrap();
        assert_eq!(fraction.time(0), Some(1_500_000));
        assert_eq!(history.meta.passed_over, ["latency".into()]);
    }

    #[test]
    fn every_torn_end_is_forgiven_in_our_format_only() {
        let ours = concat!(
            "{\"rashomon\":1,\"keyed\":true,\"test\":\"t\"}\n",
            "{\"index\":0,\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\"value\":[1,null]}\n",
            "{\"index\":1,\"process\":0,\"type\":\"ok\",\"f\":\"read\",\"value\":[1,\"é\\n\",-1.5,true]}\n",
        );
        let last_line = ours[..ours.len() - 1].rfind('\n').unwrap() + 1;
        let bytes = ours.as_bytes();
        for end in last_line + 1..bytes.len() - 1 {
            let history = crate::read_bytes(&bytes[..end], None).unwrap_or_else(|error| panic!("{end}: {error}"));
            assert_eq!((history.len(), history.meta.torn_line), (1, Some(3)), "{end}");
        }
        let whole = history(ours).unwrap();
        assert_eq!((whole.len(), whole.meta.torn_line, whole.meta.keyed), (2, None, Some(true)));
        assert_eq!(whole.meta.header["test"], crate::Value::Str("t".into()));
        let theirs = ours.split_once('\n').unwrap().1;
        assert!(history(&theirs[..theirs.len() - 3]).unwrap_err().contains("the file ends inside"));
        let middle = ours.replacen("\"invoke\",", "\"invoke\"", 1);
        assert!(history(&middle).unwrap_err().starts_with("2:39: expected a comma"), "{:?}", history(&middle));
    }

    #[test]
    fn refusals_name_the_place() {
        for (text, error) in [
            ("{\"type\":\"ok\",\"value\":[1,]}", "1:25: expected a value"),
            ("{\"type\":\"ok\"}\n{\"type\":\"huh\"}", "2:9: the type of an event is \"huh\""),
            ("{\"rashomon\":99}\n", "1:13: the file is of version 99"),
            ("{\"type\":\"ok\",\"value\":01}", "1:22: \"01\" is no number"),
            ("[{\"type\":\"ok\"}", "1:15: the file ends inside the history"),
            ("{\"type\":\"ok\"} 3", "1:15: this is no event"),
            ("{\"type\" \"ok\"}", "1:9: expected a colon"),
            ("{\"time\":1.5,\"type\":\"ok\"}", "1:9: the time of an event is 1.5"),
            ("{\"type\":\"ok\",\"time\":1e300}", "1:21: the time of an event is 1e300"),
            ("{\"type\":\"OK\",\"time\":9223372036854775807}", "1:21: the time of an event is 9223372036854775807"),
        ] {
            let refusal = crate::read_bytes(text.as_bytes(), Some(crate::Format::Jsonl)).unwrap_err().to_string();
            assert!(refusal.starts_with(error), "{text}: {refusal}");
        }
        let deep = format!("{{\"type\":\"ok\",\"value\":{}", "[".repeat(1_000_000));
        assert!(history(&deep).unwrap_err().contains("nest deeper than 128"));
        assert!(
            crate::read_bytes(b"{\"type\":\"ok\",\"value\":\"\xff\"}", None).unwrap_err().to_string().starts_with("1:23: this is no UTF-8")
        );
    }
}
