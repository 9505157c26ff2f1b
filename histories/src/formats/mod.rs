//! The formats of other tools, one file per family.

pub(crate) mod dbcop;
pub(crate) mod intervals;
pub(crate) mod limo;
mod objects;
pub(crate) mod polylin;
pub(crate) mod sessions;
pub(crate) mod tuples;

/// The events of a text whose format is recognised as this one, in words.
#[cfg(test)]
fn told(text: &str, format: &str) -> Vec<String> {
    let history = crate::read_bytes(text.as_bytes(), None).unwrap();
    assert_eq!((history.meta.format, history.misuses()), (format, &[][..]));
    let row = |event| {
        let row = history.row(event);
        let value = |id| history.values.display(id);
        format!("{} {} {} {}", value(row.process), row.kind.name(), row.f, value(row.value))
    };
    (0..history.len() as u32).map(row).collect()
}
