//! Models of one's own that are chosen by name while a program runs, beside those of [`crate::MODELS`].

use crate::model::Model;
use crate::verdict::Verdict;
use crate::{Budget, Consistency, Options, check, sequential};
use histories::History;

/// A model by its name.
pub trait ModelKind: Sync {
    /// Its name: `--model NAME`, and the model of a workload.
    fn name(&self) -> &'static str;

    /// What its ops are, in a line of help.
    fn about(&self) -> &'static str;

    /// Decides whether a history keeps a consistency model.
    ///
    /// # Errors
    /// As [`crate::check()`]; also a consistency model that is not judged of models of one's own.
    fn check(&self, history: &History, consistency: Consistency, options: &Options, budget: &Budget) -> Result<Verdict, String>;
}

/// A [`Model`] as a row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Own<M> {
    /// What its ops are, in a line of help.
    pub about: &'static str,
    /// The model.
    pub model: M,
}

impl<M: Model> ModelKind for Own<M> {
    fn name(&self) -> &'static str {
        self.model.name()
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn check(&self, history: &History, consistency: Consistency, options: &Options, budget: &Budget) -> Result<Verdict, String> {
        let sequential = |per_key| sequential::check_with(&self.model, Vec::new(), history, options, per_key, budget);
        match consistency {
            Consistency::Linearizable => check::check(&self.model, Vec::new(), history, options, budget),
            Consistency::Sequential => sequential(false),
            Consistency::SequentialPerKey => sequential(true),
            Consistency::CausalMemory
            | Consistency::CausalConvergence
            | Consistency::Causal
            | Consistency::Pram
            | Consistency::ReadYourWrites
            | Consistency::MonotonicReads
            | Consistency::MonotonicWrites
            | Consistency::WritesFollowReads
            | Consistency::Eventual
            | Consistency::Isolation(_) => Err(format!(
                "{} is judged of registers and stores of keys, not of {}: a model of one's own is judged as linearizable or sequential",
                consistency.name(),
                self.model.name()
            )),
        }
    }
}
