//! A check with limits of its own: what a program that uses this crate begins with.

use crate::budget::Stop;
use crate::own::ModelKind;
use crate::{Budget, Consistency, MODELS, Options, Verdict, check};
use histories::{History, Value};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use thiserror::Error;

/// Why a history was not judged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CheckError {
    /// There is no model of this name; which there are.
    #[error("{0}")]
    UnknownModel(String),
    /// The model, or the consistency model, cannot judge the history: the op that it cannot read, or what to change.
    #[error("{0}")]
    Unfit(String),
}

/// A check of one history.
///
/// ```
/// use rashomon_checker::{Check, Consistency};
/// use rashomon_checker::histories::{Builder, Kind, Value};
/// use std::time::Duration;
///
/// let mut history = Builder::new();
/// history.event(0, Kind::Invoke, "write", &Value::Int(1), 0);
/// history.event(0, Kind::Ok, "write", &Value::Int(1), 1);
/// history.event(1, Kind::Invoke, "read", &Value::Nil, 2);
/// history.event(1, Kind::Ok, "read", &Value::Int(1), 3);
/// let history = history.finish();
///
/// let verdict = Check::new("register").time_limit(Duration::from_secs(10)).run(&history)?;
/// assert_eq!(verdict.answer.name(), "valid");
/// let verdict = Check::new("register").consistency(Consistency::Causal).run(&history)?;
/// assert_eq!(verdict.answer.name(), "valid");
/// # Ok::<(), rashomon_checker::CheckError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Check<'m> {
    consistency: Consistency,
    options: Options,
    own: Option<&'m dyn ModelKind>,
    time: Option<Duration>,
    bytes: Option<u64>,
    steps: Option<u64>,
}

impl<'m> Check<'m> {
    /// A check for a model of [`MODELS`]: whether a history is linearizable, without limits.
    pub fn new(model: &str) -> Check<'m> {
        Check {
            consistency: Consistency::Linearizable,
            options: Options { model: model.into(), ..Options::default() },
            own: None,
            time: None,
            bytes: None,
            steps: None,
        }
    }

    /// A check for a model of one's own.
    pub fn with(model: &'m dyn ModelKind) -> Check<'m> {
        Check { own: Some(model), ..Check::new(model.name()) }
    }

    /// What the history is to keep.
    pub fn consistency(mut self, consistency: Consistency) -> Check<'m> {
        self.consistency = consistency;
        self
    }

    /// Whether values are `[key value]` pairs, each key an object of its own. Guessed if nobody says.
    pub fn keyed(mut self, keyed: bool) -> Check<'m> {
        self.options.keyed = Some(keyed);
        self
    }

    /// What each object holds at first.
    pub fn initial(mut self, value: Value) -> Check<'m> {
        self.options.initial = Some(value);
        self
    }

    /// Everything else that can be said: the model's name in it is that of [`Check::new`].
    pub fn options(mut self, options: Options) -> Check<'m> {
        self.options = Options { model: self.options.model, ..options };
        self
    }

    /// After this time what is undecided is unknown.
    pub fn time_limit(mut self, limit: Duration) -> Check<'m> {
        self.time = Some(limit);
        self
    }

    /// The bytes that searches may hold beside the history; what needs more is unknown.
    pub fn memory_limit(mut self, bytes: u64) -> Check<'m> {
        self.bytes = Some(bytes);
        self
    }

    /// The steps of each search; what needs more is unknown. Unlike a limit of time it gives the same verdict on every machine.
    pub fn step_limit(mut self, steps: u64) -> Check<'m> {
        self.steps = Some(steps);
        self
    }

    /// Judges a history, on the threads of the current rayon pool. A limit of time takes one thread more.
    ///
    /// # Errors
    /// [`CheckError`]; that a limit was reached is no error but the reason of an unknown verdict.
    pub fn run(&self, history: &History) -> Result<Verdict, CheckError> {
        let mut budget = Budget::unlimited();
        (budget.bytes, budget.steps) = (self.bytes, self.steps);
        let budget = Arc::new(budget);
        let judged = match self.time {
            None => self.judge(history, &budget),
            Some(limit) => std::thread::scope(|scope| {
                let (done, ended) = channel::<()>();
                let watched = Arc::clone(&budget);
                scope.spawn(move || {
                    if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                        watched.stop(Stop::Deadline);
                    }
                });
                let judged = self.judge(history, &budget);
                drop(done);
                judged
            }),
        };
        judged.map_err(|why| {
            let is_known = self.own.is_some() || MODELS.iter().any(|(name, _)| *name == self.options.model);
            if is_known { CheckError::Unfit(why) } else { CheckError::UnknownModel(why) }
        })
    }

    fn judge(&self, history: &History, budget: &Budget) -> Result<Verdict, String> {
        match self.own {
            Some(own) => own.check(history, self.consistency, &self.options, budget),
            None => check(history, self.consistency, &self.options, budget),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Answer, Reason, Summary};
    use histories::Builder;
    use histories::generate::{self, Distinct, Model, Plan};

    /// What takes a search more than a few steps.
    fn history() -> History {
        let plan = Plan { concurrency: 10, seed: 7, values: Distinct::Few(5), ..Plan::new(Model::CasRegister, 20_000) };
        generate::history(&plan).unwrap().0
    }

    #[test]
    fn what_cannot_be_judged_is_a_typed_error() {
        let history = Builder::new().finish();
        assert!(
            matches!(Check::new("registr").run(&history), Err(CheckError::UnknownModel(why)) if why.contains("did you mean register?"))
        );
        let causal = Check::new("stack").consistency(Consistency::Causal);
        assert!(matches!(causal.run(&history), Err(CheckError::Unfit(why)) if why.contains("stack")));
    }

    #[test]
    fn a_limit_that_is_reached_is_the_reason_of_an_unknown_verdict() {
        let (history, check) = (history(), Check::new("cas-register").keyed(false));
        assert_eq!(check.run(&history).unwrap().answer, Summary::Valid);
        for limited in [check.clone().step_limit(1), check.clone().memory_limit(1), check.time_limit(Duration::ZERO)] {
            let verdict = limited.run(&history).unwrap();
            assert_eq!(verdict.answer, Summary::Unknown, "{verdict:?}");
            let reasons: Vec<&Answer> = verdict.keys.iter().map(|key| &key.answer).collect();
            assert!(reasons.iter().all(|answer| !matches!(answer, Answer::Unknown(Reason::Uncertified(_)))), "{reasons:?}");
        }
    }
}
