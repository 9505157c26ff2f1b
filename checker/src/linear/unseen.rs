//! Ops of unknown outcome that nobody can have noticed.
//!
//! An op of unknown outcome whose effect no op can see need never have happened. *Why:* call a state *noticed* if an op that
//! returned can happen only there, or one of unknown outcome that leads to a noticed state. In a legal order, take a longest
//! run of ops of unknown outcome that lead to states which are not noticed. While such a state holds, nothing else can happen
//! but an overwrite: so after the run comes an overwrite, or the end. Leave the run out: the overwrite does not mind.
//!
//! This needs every op to say what it sees ([`Sees`]): where one does not, nothing is left out.
//!
//! **Keys whose changes are numbered.** The same is said of values instead of states: whoever sees a revision sees its value too. Leave
//! the run out, and the revision is no greater than it was, so that all that came after can. One who deletes and tells a revision may
//! tell a small one only where there is nothing to delete, so it sees that. (One who saw the revision of a key that
//! holds nothing could tell whether there had been something to take away: where there is such, nothing is left out.)

use super::problem::Problem;
use crate::budget::{Account, Limit};
use crate::model::{Deed, Model, Sees, Tally};
use hashbrown::{HashMap, HashSet};
use histories::ValueId;
use rustc_hash::FxBuildHasher;

/// The classes whose ops, if their outcome is unknown, can be left out.
///
/// # Errors
/// The budget ended.
pub(crate) fn unseen<M: Model>(model: &M, problem: &Problem<M::Op>, account: &mut Account<'_>) -> Result<Vec<bool>, Limit> {
    account.hold(problem.classes.len() * (3 + size_of::<M::State>() * 3 + size_of::<usize>() * 4))?;
    let mut crashed = vec![false; problem.classes.len()];
    let mut fresh: Vec<M::State> = Vec::new();
    let mut returned = vec![false; problem.classes.len()];
    for entry in &problem.entries {
        let which = if entry.is_crashed() { &mut crashed } else { &mut returned };
        which[entry.class as usize] = true;
    }
    // The classes of unknown outcome by the state they lead to.
    let mut sources: HashMap<M::State, Vec<usize>, FxBuildHasher> = HashMap::default();
    let none = vec![false; problem.classes.len()];
    if model.tally() == Some(Tally::Revisions { told: true }) {
        return Ok(unseen_values(model, problem, &crashed, &returned, account)?.unwrap_or(none));
    }
    for (class, op) in problem.classes.iter().enumerate() {
        account.stepped()?;
        let sees = model.sees(op);
        let leads_to = match &sees {
            Sees::Nothing => model.step(&model.init(), op),
            Sees::Only(state) => model.step(state, op),
            Sees::AllBut(_) | Sees::Total | Sees::Something => return Ok(none),
        };
        if let (Some(state), true) = (leads_to, crashed[class]) {
            sources.entry(state).or_default().push(class);
        }
        if let (Sees::Only(state), true) = (sees, returned[class]) {
            fresh.push(state);
        }
    }
    let mut unseen = crashed;
    let mut noticed: HashSet<M::State, FxBuildHasher> = HashSet::default();
    while let Some(state) = fresh.pop() {
        account.work(4)?;
        for &class in sources.get(&state).into_iter().flatten() {
            unseen[class] = false;
            if let Sees::Only(from) = model.sees(&problem.classes[class]) {
                fresh.extend((!noticed.contains(&from)).then_some(from));
            }
        }
        noticed.insert(state);
    }
    Ok(unseen)
}

/// By class, whether no op that matters can see the values that its updates store, as the documentation of the module says. `None`: none
/// can be left out.
fn unseen_values<M: Model>(
    model: &M,
    problem: &Problem<M::Op>,
    crashed: &[bool],
    returned: &[bool],
    account: &mut Account<'_>,
) -> Result<Option<Vec<bool>>, Limit> {
    // The values that ops of unknown outcome find, by the values that they store.
    let mut finds: HashMap<ValueId, Vec<ValueId>, FxBuildHasher> = HashMap::default();
    let mut fresh: Vec<ValueId> = Vec::new();
    for (class, op) in problem.classes.iter().enumerate() {
        account.stepped()?;
        match (model.deed(op), returned[class]) {
            (Deed::Show(value, Some(_)), _) if value.is_nil() => return Ok(None),
            (Deed::Show(value, _) | Deed::Store { from: Some(value), .. }, true) => fresh.push(value),
            (Deed::Clear(Some(_)), true) => fresh.push(ValueId::NIL),
            _ => {}
        }
        if let (Deed::Store { from: Some(from), to, .. }, true) = (model.deed(op), crashed[class]) {
            finds.entry(to).or_default().push(from);
        }
    }
    let mut noticed: HashSet<ValueId, FxBuildHasher> = HashSet::default();
    while let Some(value) = fresh.pop() {
        account.work(4)?;
        if noticed.insert(value) {
            fresh.extend(finds.get(&value).into_iter().flatten());
        }
    }
    let is_unseen = |(class, op): (usize, &M::Op)| {
        crashed[class]
            && match model.deed(op) {
                Deed::Store { to, .. } => !noticed.contains(&to),
                Deed::Clear(_) => !noticed.contains(&ValueId::NIL),
                _ => true,
            }
    };
    Ok(Some(problem.classes.iter().enumerate().map(is_unseen).collect()))
}
