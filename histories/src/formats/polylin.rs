//! Operations on one object, a line each with the times of its call and of its return: the histories of `PolyLin`.
//!
//! ```text
//! # stack
//! push 1 1 2
//! pop 1 3 4
//! ```
//!
//! A line is `method value start end`, for a set `method value success start end`. The value -1 is none. Where a return and a call fall
//! together the return comes first. Nobody says who called: each operation is of a process of its own, and every one has returned.
//! The unit of time is nobody's business: only the order is taken.

use super::objects::{Does, Object, POLYLIN, named};
use crate::draft::Draft;
use crate::error::Fault;
use crate::history::{Builder, Kind};
use crate::sequence::ByLine;
use crate::value::Value;

/// What stands for no value.
const NONE: &str = "-1";

/// Whether the first line of a text names an object and nothing else.
pub(crate) fn looks_like_it(text: &str) -> bool {
    let first = text.lines().next().unwrap_or("");
    first.strip_prefix('#').is_some_and(|name| named(POLYLIN, name.trim()).is_some())
}

/// One operation.
#[derive(Debug)]
struct Row {
    f: &'static str,
    input: Value,
    output: Value,
    call: u64,
    end: u64,
    line: u32,
}

/// Reads operations.
#[derive(Debug, Default)]
pub(crate) struct PolyLin {
    object: Option<Object>,
    rows: Vec<Row>,
}

impl ByLine for PolyLin {
    fn line(&mut self, content: &str, at: usize, number: u32, builder: &mut Builder) -> Result<(), Fault> {
        if let Some(name) = content.strip_prefix('#') {
            // Further ones are comments.
            return if self.object.is_some() { Ok(()) } else { self.begin(name.trim(), at, builder) };
        }
        let object = self.object.ok_or_else(|| {
            Fault::syntax(at, "nothing has said of which object this is").help("the first line is `# stack`, or another object")
        })?;
        let row = row(object, content, number).map_err(|why| Fault::syntax(at, why))?;
        self.rows.push(row);
        Ok(())
    }

    fn finish(&mut self, builder: &mut Builder) -> Result<(), Fault> {
        /// In one moment: first those return who called before, then others call, last those return who called in it.
        const RETURNS: u8 = 0;
        const CALLS: u8 = 1;
        const RETURNS_AT_ONCE: u8 = 2;
        let mut events: Vec<(u64, u8, usize)> = Vec::with_capacity(2 * self.rows.len());
        for (i, row) in self.rows.iter().enumerate() {
            events.push((row.call, CALLS, i));
            events.push((row.end, if row.end == row.call { RETURNS_AT_ONCE } else { RETURNS }, i));
        }
        events.sort_unstable();
        for (_, phase, i) in events {
            let Row { f, input, output, line, .. } = &self.rows[i];
            let is_call = phase == CALLS;
            let mut draft = Draft::new(*line);
            draft.kind = Some(if is_call { Kind::Invoke } else { Kind::Ok });
            draft.f = Some((*f).into());
            draft.process = Some(builder.values().int(i as i64));
            draft.value = Some(builder.values().insert(if is_call { input } else { output }));
            draft.push(builder, 0)?;
        }
        Ok(())
    }
}

impl PolyLin {
    fn begin(&mut self, name: &str, at: usize, builder: &mut Builder) -> Result<(), Fault> {
        let object = named(POLYLIN, name).ok_or_else(|| {
            let known: Vec<&str> = POLYLIN.iter().map(|(name, _)| *name).collect();
            Fault::syntax(at, format!("an object {name:?} is not known; there are {}", known.join(", ")))
        })?;
        self.object = Some(object);
        builder.meta().header.insert("model".into(), Value::Str(object.model.into()));
        builder.meta().keyed = Some(false);
        Ok(())
    }
}

fn row(object: Object, content: &str, line: u32) -> Result<Row, String> {
    let words: Vec<&str> = content.split_ascii_whitespace().collect();
    let (f, does) = object.method(words.first().copied().unwrap_or_default())?;
    let (value, success, start, end) = match (does, words.as_slice()) {
        (Does::Takes | Does::Gives, [_, value, start, end]) => (*value, None, *start, *end),
        (Does::Answers, [_, value, success, start, end]) => (*value, Some(*success), *start, *end),
        (Does::Takes | Does::Gives, _) => return Err("a line is `method value start end`".into()),
        (Does::Answers, _) => return Err("a line of a set is `method value success start end`".into()),
    };
    let time = |word: &str| word.parse::<u64>().map_err(|_| format!("{word:?} is no time: times are whole numbers"));
    let (call, end) = (time(start)?, time(end)?);
    if end < call {
        return Err("this operation returns before it is called".into());
    }
    let told = |word: &str| word.parse().map_or_else(|_| Value::Str(word.into()), Value::Int);
    let (input, output) = match (does, success) {
        (Does::Gives, _) => (Value::Nil, if value == NONE { Value::Nil } else { told(value) }),
        (_, _) if value == NONE => return Err("-1 stands for no value, and cannot go in".into()),
        (_, None) => (told(value), told(value)),
        (_, Some("1" | "true")) => (told(value), Value::Bool(true)),
        (_, Some("0" | "false")) => (told(value), Value::Bool(false)),
        (_, Some(other)) => return Err(format!("{other:?} does not say whether it succeeded: 1 or 0")),
    };
    Ok(Row { f, input, output, call, end, line })
}

#[cfg(test)]
mod tests {
    use crate::formats::told;
    use crate::{Format, read_bytes};

    #[test]
    fn operations_in_the_order_of_their_times() {
        let text = "# stack\npop 1 4 6\npush 1 1 2\npush 2 2 2\npeek -1 0 1\n";
        let expected = [
            "3 invoke peek nil",
            "3 ok peek nil",
            "1 invoke push 1",
            "1 ok push 1",
            "2 invoke push 2",
            "2 ok push 2",
            "0 invoke pop nil",
            "0 ok pop 1",
        ];
        assert_eq!(told(text, "polylin"), expected);
        assert_eq!(told("# pqueue\ninsert 2 1 5\npoll 2 6 7\n", "polylin")[2..], ["1 invoke delete-max nil", "1 ok delete-max 2"]);
        assert_eq!(told("# deque\npush_front 6 3 25\npeek_back 6 26 27\n", "polylin")[2..], ["1 invoke peek-back nil", "1 ok peek-back 6"]);
        let set = "# set\ninsert 2 1 1 2\nremove 3 0 3 4\ncontains 2 1 5 6\n";
        let expected = ["0 ok add true", "1 ok remove false", "2 ok contains true"];
        assert_eq!(told(set, "polylin").into_iter().filter(|row| row.contains(" ok ")).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn refusals() {
        for (text, error) in [
            ("# cow\n", "1:1: an object \"cow\" is not known; there are stack, queue"),
            ("push 1 1 2\n", "1:1: nothing has said of which object"),
            ("# stack\npush 1 2\n", "2:1: a line is `method value start end`"),
            ("# set\nadd 1 1 2\n", "2:1: a line of a set is"),
            ("# stack\npush 1 3 2\n", "2:1: this operation returns before"),
            ("# stack\npush 1 x 2\n", "2:1: \"x\" is no time"),
            ("# stack\npush -1 1 2\n", "2:1: -1 stands for no value"),
            ("# stack\nmoo 1 1 2\n", "2:1: the model stack has no method moo"),
        ] {
            let refusal = read_bytes(text.as_bytes(), Some(Format::PolyLin)).unwrap_err().to_string();
            assert!(refusal.starts_with(error), "{text}: {refusal}");
        }
    }
}
