//! Op lines: `process :type :f value error?`, separated by tabs or blanks.
//!
//! Jepsen's `history.txt` is made of them, its console logs hold them among everything else (`INFO [...] jepsen.util: 3 :invoke
//! :read nil`), and so does Porcupine's test data (`INFO  jepsen.util - 3 :invoke :read nil`), where the value of an op that
//! ended `info` is its error.

use crate::draft::Draft;
use crate::edn;
use crate::error::Fault;
use crate::history::{Builder, Kind};
use crate::sink::Nowhere;
use crate::text::Container;
use crate::value::View;

/// What may stand on the lines that are no ops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// Every line is an op, a comment or empty.
    Ops,
    /// A log: an op stands at the end of a line; other lines are passed over.
    Log,
    /// As [`Lines::Log`], and the value of an `info` is its error.
    EtcdLog,
}

/// What Knossos says, at the end of a log, before it prints the ops that the log holds already.
const PRINTED_AGAIN: &str = "Linearizable prefix was:";

/// Reads op lines to the end of the text, which ends between lines. `Err` holds a fault in a line that must be an op and is
/// none. In a log, the container is closed where Knossos begins to print ops again: none of what follows happened then.
pub(crate) fn read(text: &str, lines: Lines, builder: &mut Builder, container: &mut Container, first_line: u32) -> Result<(), Fault> {
    let mut at = 0;
    for (line, content) in (first_line..).zip(text.split_inclusive('\n')) {
        let trimmed = content.trim();
        if lines != Lines::Ops && trimmed.ends_with(PRINTED_AGAIN) {
            *container = Container::Closed;
        }
        if !trimmed.is_empty() && !trimmed.starts_with(';') {
            let op = find_op(trimmed);
            match op {
                Some(start) if *container == Container::Closed && is_logged(&trimmed[..start]) => {
                    let help = "a history is one run: cut the log in two where the next test begins";
                    return Err(Fault::event(at, "the log goes on with another test, behind the verdict on the first").help(help));
                }
                _ if *container == Container::Closed => {}
                Some(start) if lines != Lines::Ops || start == 0 => {
                    let offset = at + content.len() - content.trim_start().len() + start;
                    read_op(&trimmed[start..], lines, builder, line).map_err(|fault| in_line(fault, offset))?;
                }
                _ if lines == Lines::Ops => {
                    let help = "a line is: process, :invoke, :ok, :fail or :info, function, value, and an error if there is one";
                    return Err(Fault::event(at, "this line is no op").help(help));
                }
                _ => {}
            }
        }
        at += content.len();
    }
    Ok(())
}

/// Whether what stands before an op is a logger's: `INFO [2017-09-20 13:41] jepsen worker 3 - jepsen.util`.
fn is_logged(before: &str) -> bool {
    before.contains("jepsen.util") || before.contains("INFO")
}

/// A fault in a line that begins at `offset`. A line is whole: where it ends too early, no more text will mend it.
fn in_line(fault: Fault, offset: usize) -> Fault {
    let (message, help) =
        if fault.ended { (fault.message.replace("the file ends", "the line ends"), "") } else { (fault.message, fault.help) };
    Fault { at: fault.at + offset, ended: false, message, help, ..fault }
}

/// Where the op of a line begins: a process, directly followed by a type and a function.
pub(crate) fn find_op(line: &str) -> Option<usize> {
    [" :", "\t:"].iter().filter_map(|separator| find_op_by(line, separator)).min()
}

fn find_op_by(line: &str, separator: &str) -> Option<usize> {
    line.match_indices(separator).find_map(|(i, _)| {
        let rest = line[i + separator.len()..].split([' ', '\t']).next().unwrap_or("");
        Kind::of(rest)?;
        let before = line[..i].trim_end();
        let start = before.rfind([' ', '\t']).map_or(0, |blank| blank + 1);
        let process = &before[start..];
        let is_process = process.starts_with(':') || process.bytes().all(|b| b.is_ascii_digit());
        (is_process && !process.is_empty()).then_some(start)
    })
}

/// Reads an op from its process to the end of the line.
fn read_op(line: &str, lines: Lines, builder: &mut Builder, number: u32) -> Result<(), Fault> {
    let mut reader = edn::Reader::new(line);
    let mut draft = Draft::new(number);
    draft.process = Some(reader.value(builder.values())?);
    reader.blank();
    draft.kind = Some(reader.kind()?);
    reader.blank();
    if reader.position() == line.len() {
        return Err(Fault::event(reader.position(), "this op has no function"));
    }
    draft.f = reader.function()?;
    reader.blank();
    let rest = line[reader.position()..].trim_end();
    let (value, error) = split_value(rest);
    let mut read = |text: &str| {
        if is_one_value(text) { edn::Reader::new(text).value(builder.values()).ok() } else { Some(builder.values().str(text)) }
    };
    draft.value = value.and_then(&mut read);
    draft.error = error.and_then(&mut read);
    let is_error = |value| matches!(builder.values().view(value), View::Keyword(_) | View::Str(_));
    if lines == Lines::EtcdLog && draft.kind == Some(Kind::Info) && draft.error.is_none() && draft.value.is_some_and(is_error) {
        draft.error = draft.value.take();
    }
    draft.push(builder, 0)?;
    Ok(())
}

/// The value column and the error column. What begins like a value and goes on like prose is prose: all of it is the value.
fn split_value(rest: &str) -> (Option<&str>, Option<&str>) {
    if rest.is_empty() {
        return (None, None);
    }
    if let Some((value, error)) = rest.split_once('\t')
        && is_one_value(value)
    {
        return (Some(value), Some(error.trim()).filter(|error| !error.is_empty()));
    }
    let mut reader = edn::Reader::new(rest);
    if reader.value(&mut Nowhere).is_err() {
        return (Some(rest), None);
    }
    let end = reader.position();
    let error = rest[end..].trim();
    match error {
        "" => (Some(rest), None),
        error if is_one_value(error) => (Some(&rest[..end]), Some(error)),
        _ => (Some(rest), None),
    }
}

/// Whether a text is one EDN value and nothing else.
fn is_one_value(text: &str) -> bool {
    let mut reader = edn::Reader::new(text);
    if reader.value(&mut Nowhere).is_err() {
        return false;
    }
    reader.blank();
    reader.position() == text.len()
}

#[cfg(test)]
mod tests {
    use crate::{Format, read_bytes};

    fn told(text: &str, format: Option<Format>) -> Vec<String> {
        let history = read_bytes(text.as_bytes(), format).unwrap();
        let row = |event| {
            let row = history.row(event);
            let value = |id| history.values.display(id);
            let error = row.error.map_or(String::new(), |error| format!(" {}", value(error)));
            format!("{} {} {} {}{error}", value(row.process), row.kind.name(), row.f, value(row.value))
        };
        (0..history.len() as u32).map(row).collect()
    }

    #[test]
    fn ops_printed_again_are_none_wherever_the_log_is_cut() {
        let line = |i: usize| format!("INFO  jepsen.util - {i}\t:invoke\t:write\t{i}\nINFO  jepsen.util - {i}\t:ok\t:write\t{i}\n");
        let ops: String = (0..40).map(line).collect();
        let again = ops.replace("INFO  jepsen.util - ", "");
        let log = format!("{ops}Not linearizable. Linearizable prefix was:\n{again}\n3\t:invoke\t:read\tnil\n");
        for format in [Format::PorcupineEtcd, Format::Console] {
            assert_eq!(read_bytes(log.as_bytes(), Some(format)).unwrap().len(), 80);
            for part in [1, 30, 64, 500, 2_000, 3_000] {
                crate::testing::cuts_change_nothing(format, log.as_bytes(), part, 1, 0);
                crate::testing::cuts_change_nothing(format, log.as_bytes(), part, 4, 0);
            }
        }
    }

    #[test]
    fn op_lines() {
        let text = "0\t:invoke\t:write\t[1 2]\n; a comment\n\n0 :fail :write [1 2] :timeout\n:nemesis\t:info\t:start\tCut off n1 (again)\n";
        assert_eq!(told(text, None), ["0 invoke write [1 2]", "0 fail write [1 2] :timeout", ":nemesis info start \"Cut off n1 (again)\""]);
        let refusal = read_bytes(b"0\t:invoke\t:read\tnil\nfree prose\n", None).unwrap_err().to_string();
        assert!(refusal.starts_with("2:1: this line is no op"), "{refusal}");
    }

    #[test]
    fn logs() {
        let console = "Starting up: 3 things\nINFO [2017-09-20 13:41] jepsen worker 3 - jepsen.util 3\t:invoke\t:cas\t[3 1]\n\tat foo.clj:12\n\
                       INFO [2017-09-20 13:42] jepsen worker 3 - jepsen.util 3\t:info\t:cas\t[3 1]\t:timeout\n";
        assert_eq!(told(console, None), ["3 invoke cas [3 1]", "3 info cas [3 1] :timeout"]);
        let failed = format!(
            "{console}FAIL in (test)\nNot linearizable. Linearizable prefix was:\n3\t:invoke\t:cas\t[3 1]\n\nFollowed by:\n3 :ok :read 1\n"
        );
        assert_eq!(told(&failed, None), told(console, None));
        let twice = read_bytes(format!("{failed}{console}").as_bytes(), None).unwrap_err().to_string();
        assert!(twice.starts_with("12:1: the log goes on with another test"), "{twice}");
        // Where every line is an op, none of them is Knossos's.
        assert!(read_bytes(b"0 :invoke :read nil\nLinearizable prefix was:\n", Some(Format::Tuples)).is_err());
        let etcd = "INFO  jepsen.util - 4\t:invoke\t:write\t0\nINFO  jepsen.util - 4\t:info\t:write\t:timed-out\n";
        assert_eq!(told(etcd, None), ["4 invoke write 0", "4 info write nil :timed-out"]);
    }
}
