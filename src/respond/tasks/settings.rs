//! What can be set of tasks.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schedule::{Schedule, ms};
use super::work::Work;
use crate::secret::Exposed;
use crate::setting::Span;

/// The shortest interval.
const SHORTEST: Duration = Duration::from_secs(1);

/// What the agent does by itself from time to time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Task")]
pub struct Task {
    /// Its name, in the log, the metrics and paths: of letters, digits, `-`, `_` and `.`.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// From the begin of one run to that of the next.
    pub every: Span,
    /// By how much later a run begins, at most, by chance; a tenth of `every` if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Span>,
    /// How long a run may take. A program is then ended with all that it started.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Within which time a run has to succeed, or `NeuralTaskOverdue` fires; twice `every`, with `jitter` and `timeout`, if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Span>,
    /// What is done: a mapping with one key, the kind.
    #[serde(rename = "do")]
    pub work: Work,
}

fn timeout() -> Span {
    Span::seconds(600)
}

impl Task {
    /// The one that makes a report of each span of time; its name is that of the span.
    #[must_use]
    pub fn report(name: &str, every: Span) -> Self {
        Self {
            name: format!("report-of-{name}"),
            every,
            jitter: Some(Span::seconds(0)),
            timeout: timeout(),
            expected: None,
            work: Work::Report(super::report::Settings { last: every }),
        }
    }

    pub(super) fn schedule(&self) -> Schedule {
        let every = ms(self.every.0);
        let jitter = self.jitter.map_or(every / 10, |jitter| ms(jitter.0));
        let usual = every.saturating_mul(2).saturating_add(jitter).saturating_add(ms(self.timeout.0));
        Schedule { every, jitter, expected: self.expected.map_or(usual, |span| ms(span.0)) }
    }

    /// Files and folders that are named.
    pub fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.work.job_mut().paths()
    }

    /// Secrets that are written in the configuration itself.
    pub fn expose(&self, found: &mut Exposed<'_>) {
        self.work.job().expose(found);
    }
}

/// What is wrong with tasks: which one, the key below it, and why.
#[must_use]
pub fn problems(tasks: &[Task]) -> Vec<(usize, &'static str, String)> {
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    for (index, task) in tasks.iter().enumerate() {
        let mut wrong = |key, why: String| found.push((index, key, why));
        if !names.insert(&task.name) {
            wrong("name", format!("another task has the name \"{}\"", task.name));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !task.name.chars().all(plain) {
            wrong("name", format!("\"{}\" has other characters than letters, digits, - _ and .", task.name));
        }
        if task.every.0 < SHORTEST {
            wrong("every", format!("{} is too short; the minimum is 1s", task.every));
        }
        if task.timeout.0 < SHORTEST {
            wrong("timeout", format!("{} is too short; the minimum is 1s", task.timeout));
        }
        if task.expected.is_some_and(|expected| expected < task.every) {
            wrong("expected", "no run can succeed within less than `every`".to_owned());
        }
        if let Some(why) = task.work.job().problem() {
            wrong("do", why);
        }
    }
    found
}
