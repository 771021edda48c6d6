//! The history in a file as one that answers: while the agent does not run.

use std::path::PathBuf;
use std::time::Duration;

use super::{Answer, Answering, Answers, Failure};
use crate::clock::now;
use crate::promql::{self, Interrupt, Kind, Query, Storage, When};
use crate::store::History;

/// The time that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Values that it may hold at once, 16 bytes each.
const SAMPLES: usize = 4_000_000;

/// The history of a file.
#[derive(Debug)]
pub struct Past(pub PathBuf);

impl Answers for Past {
    fn name(&self) -> String {
        format!("the file {}", self.0.display())
    }

    fn query<'a>(&'a self, expr: &'a str, when: When) -> Answering<'a> {
        let (path, expr) = (self.0.clone(), expr.to_owned());
        let work = move || {
            let history = History::read(&path).map_err(|failure| Failure::Absent(failure.to_string()))?;
            answer(&history, &expr, when)
        };
        Box::pin(async move {
            let answer = tokio::task::spawn_blocking(work).await;
            answer.unwrap_or_else(|_| Err(Failure::Server("the query panicked; please report it".into())))
        })
    }
}

fn answer(past: &dyn Storage, expr: &str, when: When) -> Result<Answer, Failure> {
    let failed = |error: promql::Error| match error.kind {
        Kind::Invalid => Failure::Question(error.text),
        _ => Failure::Server(error.text),
    };
    let expr = promql::parse(expr).map_err(failed)?;
    let deadline = now().steady.saturating_add(TIMEOUT.as_nanos() as u64);
    let interrupt = || (now().steady > deadline).then_some(Interrupt::Timeout);
    let query = Query { max_samples: SAMPLES, interrupt: &interrupt, ..Query::new(when) };
    let answer = promql::evaluate(&expr, &query, past).map_err(failed)?;
    let notes = answer.warnings.into_iter().chain(answer.infos).chain(past.note()).collect();
    Ok(Answer { value: answer.value, notes })
}
