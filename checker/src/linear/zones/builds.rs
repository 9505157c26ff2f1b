//! The roles of ops that build on what is there, as the parent module says: those that led to a state that was certainly there
//! are cas, the others writes of a value that nobody saw.

use super::{INITIAL, Role, Stages, bytes_of_roles};
use crate::budget::{Account, Limit};
use crate::linear::problem::Problem;
use crate::model::{Model, Sees};
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

/// Bytes of states, and ops undone, after which the search has to say.
const BYTES: usize = 1 << 28;
const UNDONE_PER_OP: usize = 64;

/// No class.
const NONE: u32 = u32::MAX;

/// Gives the classes in `builds` their roles. False if what led to a state that was certainly there is not clear.
///
/// # Errors
/// The budget ended.
pub(super) fn find_roles<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    builds: &[u32],
    roles: &mut [Role],
    stages: &mut Stages<M::State>,
    account: &mut Account<'_>,
) -> Result<bool, Limit> {
    // Of a history that was cut off, some classes have no op.
    let mut entries = vec![0u32; problem.classes.len()];
    let mut has_returned = vec![false; problem.classes.len()];
    for entry in &problem.entries {
        entries[entry.class as usize] += 1;
        has_returned[entry.class as usize] |= !entry.is_crashed();
    }
    if builds.iter().any(|&class| entries[class as usize] > 1) {
        return Ok(false);
    }
    let present = builds.iter().copied().filter(|&class| entries[class as usize] == 1);
    let class_of: HashMap<&M::Op, u32, FxBuildHasher> = present.map(|class| (&problem.classes[class as usize], class)).collect();
    let mut sources = Sources::of(roles, &entries, stages.list.len());
    // States to go back from, with what the object held then.
    let mut certain: Vec<(u32, M::State)> = Vec::new();
    let mut is_certain = vec![false; stages.list.len()];
    for ((op, role), _) in problem.classes.iter().zip(roles.iter()).zip(&has_returned).filter(|(_, returned)| **returned) {
        if let (Role::Read(stage) | Role::Cas(stage, _), Sees::Only(state)) = (*role, model.sees(op))
            && !std::mem::replace(&mut is_certain[stage as usize], true)
        {
            certain.push((stage, state));
        }
    }
    let (mut bytes, mut undone) = (0, 0);
    while let Some((stage, state)) = certain.pop() {
        account.work(16)?;
        let mut by = NONE;
        let mut before = None;
        for (op, from) in model.undo(&state) {
            undone += 1;
            if let Some(&class) = class_of.get(&op) {
                sources.count[stage as usize] += 1;
                (by, before) = (class, Some(from));
            }
        }
        if sources.count[stage as usize] > 1 || undone > UNDONE_PER_OP * (problem.entries.len() + 16) {
            return Ok(false);
        }
        let Some(from) = before.or_else(|| sources.found_by(model, problem, stage)) else { continue };
        bytes += 2 * (size_of::<(u32, M::State)>() + model.state_bytes(&from));
        if bytes > BYTES {
            return Ok(false);
        }
        account.hold(bytes_of_roles(model, problem) + bytes)?;
        let number = stages.number(model, &from);
        is_certain.resize(stages.list.len(), false);
        sources.count.resize(stages.list.len(), 0);
        sources.class.resize(stages.list.len(), NONE);
        if by != NONE {
            if roles[by as usize] != Role::Nothing {
                return Ok(false); // It would have led to two states.
            }
            roles[by as usize] = Role::Cas(number, stage);
        }
        if !std::mem::replace(&mut is_certain[number as usize], true) {
            certain.push((number, from));
        }
    }
    for &class in builds {
        let role = &mut roles[class as usize];
        if *role == Role::Nothing {
            *role = Role::Write(stages.of_its_own());
        }
    }
    Ok(true)
}

/// Who stores the values of the stages.
struct Sources {
    count: Vec<u32>,
    /// One of the classes that do.
    class: Vec<u32>,
}

impl Sources {
    fn of(roles: &[Role], entries: &[u32], stages: usize) -> Sources {
        let mut sources = Sources { count: vec![0; stages], class: vec![NONE; stages] };
        sources.count[INITIAL as usize] = 1;
        for ((class, role), entries) in (0..).zip(roles).zip(entries) {
            if let Role::Write(to) | Role::Cas(_, to) = *role {
                sources.count[to as usize] += entries;
                sources.class[to as usize] = class;
            }
        }
        sources
    }

    /// What the only source of the stage found, if it is a cas.
    fn found_by<M: Model>(&self, model: &M, problem: &Problem<M::Op>, stage: u32) -> Option<M::State> {
        let op = problem.classes.get(self.class[stage as usize] as usize)?;
        match model.sees(op) {
            Sees::Only(state) => Some(state),
            _ => None,
        }
    }
}
