//! Writes a history in EDN notation, an event a line.

use crate::history::{History, Row};
use crate::notation::{write_int, write_keyword, write_string, write_value};
use crate::tree::Stored;
use std::io::{self, Write};

/// Writes a whole history as Jepsen does: one op map per line.
pub(crate) fn write_history(mut out: impl Write, history: &History) -> io::Result<()> {
    let mut line = Vec::with_capacity(256);
    for event in 0..history.len() as u32 {
        line.clear();
        write_event(&mut line, history, event);
        out.write_all(&line)?;
    }
    out.flush()
}

fn write_event(line: &mut Vec<u8>, history: &History, event: u32) {
    let Row { kind, f, process, value, time, error, node, thread } = history.row(event);
    let stored = |id| Stored(&history.values, id);
    line.extend_from_slice(b"{:index ");
    write_int(line, i64::from(event));
    if let Some(time) = time {
        line.extend_from_slice(b", :time ");
        write_int(line, time);
    }
    line.extend_from_slice(b", :type :");
    line.extend_from_slice(kind.name().as_bytes());
    if !process.is_nil() {
        line.extend_from_slice(b", :process ");
        write_value(line, stored(process));
    }
    line.extend_from_slice(b", :f ");
    write_keyword(line, f);
    line.extend_from_slice(b", :value ");
    write_value(line, stored(value));
    if let Some(error) = error {
        line.extend_from_slice(b", :error ");
        write_value(line, stored(error));
    }
    if let Some(node) = node {
        line.extend_from_slice(b", :node ");
        write_string(line, node);
    }
    if let Some(thread) = thread {
        line.extend_from_slice(b", :thread ");
        write_int(line, i64::from(thread));
    }
    line.extend_from_slice(b"}\n");
}
