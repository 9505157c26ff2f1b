//! Who wrote a value: one cell per value of an object, in a flat array where values are small integers.

use crate::value::ValueId;
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

/// No op.
pub(super) const NOBODY: u32 = u32::MAX;

/// What is known of one value of one object. Positions are those of the ops' first events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// The first op that wrote it, or may have.
    pub(super) write: u32,
    /// The first op that wanted to write it, and failed.
    pub(super) fail: u32,
    /// An op other than a failed one was called with it.
    pub(super) asked: bool,
    /// A finding about it was told.
    pub(super) told: bool,
}

const EMPTY: Cell = Cell { write: NOBODY, fail: NOBODY, asked: false, told: false };

/// The cells of an object, or of all objects of transactions. It is emptied and used again.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Object 0, integers below `dense_max`.
    dense: Vec<Cell>,
    dense_max: usize,
    sparse: HashMap<(u32, ValueId), Cell, FxBuildHasher>,
}

/// Emptying a hash table costs its capacity: a larger one is dropped instead, lest many small objects pay for a large one.
const KEPT_MAX: usize = 1 << 12;

impl Table {
    /// Empties it, for this many ops.
    pub(super) fn begin(&mut self, ops: usize) {
        self.dense.clear();
        self.dense_max = 2 * ops + 1024;
        if self.sparse.capacity() > KEPT_MAX {
            self.sparse = HashMap::default();
        } else {
            self.sparse.clear();
        }
    }

    /// The cell of a value of an object. Expected O(1), amortised.
    pub(super) fn cell(&mut self, object: u32, value: ValueId) -> &mut Cell {
        let small = value.as_small_int().filter(|_| object == 0).and_then(|i| usize::try_from(i).ok());
        match small.filter(|&i| i < self.dense_max) {
            Some(i) => {
                if i >= self.dense.len() {
                    self.dense.resize(i + 1, EMPTY);
                }
                &mut self.dense[i]
            }
            None => self.sparse.entry((object, value)).or_insert(EMPTY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_begins_empty() {
        let values = [7, -7, 1 << 40].map(|i| ValueId::small_int(i).unwrap());
        let mut table = Table::default();
        // The larger hash table is dropped, the smaller one emptied.
        for others in [10_000, 10] {
            table.begin(1);
            for value in values {
                table.cell(0, value).write = 3;
                table.cell(1, value).write = 4;
            }
            for value in (0..others).filter_map(ValueId::small_int) {
                table.cell(2, value).fail = 5;
            }
            assert_eq!((table.cell(0, values[0]).write, table.cell(1, values[0]).write), (3, 4));
            table.begin(1);
            for (object, value) in [(0, values[0]), (0, values[1]), (1, values[2]), (2, values[0])] {
                let cell = table.cell(object, value);
                assert_eq!((cell.write, cell.fail, cell.asked, cell.told), (NOBODY, NOBODY, false, false));
            }
        }
    }
}
