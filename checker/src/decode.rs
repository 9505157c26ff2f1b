//! Ops as a model reads them.

use crate::model::{Call, Decoded, Model};
use histories::keyed::Keys;
use histories::{History, OpId, Outcome};

/// An op of unknown outcome ends here: after every event.
pub(crate) const NEVER: u32 = u32::MAX;

/// An op that a model cannot read, and why.
pub(crate) type Malformed = (OpId, String);

/// One op, decoded, with the position of its completion; `None` if it says nothing.
///
/// # Errors
/// An op that a model cannot read, and why.
pub(crate) fn decode_op<M: Model>(model: &M, history: &History, keys: &Keys, id: OpId) -> Result<Option<(M::Op, u32)>, Malformed> {
    let op = history.op(id);
    let outcome = history.outcome(op);
    let call = Call {
        f: history.name(history.op_function(op)),
        input: keys.input(history, op),
        output: keys.output(history, op),
        outcome,
        process: history.op_process(op).0,
        values: &history.values,
    };
    Ok(match model.decode(&call).map_err(|why| (id, why))? {
        Decoded::Nothing => None,
        Decoded::Op(decoded) if outcome == Outcome::Info => (!model.is_pure(&decoded)).then_some((decoded, NEVER)),
        Decoded::Op(decoded) => Some((decoded, op.complete)),
    })
}
