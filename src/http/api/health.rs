//! One verdict over everything that is watched.

use hyper::StatusCode;

use super::{Parameters, Site, Until, invalid};
use crate::alert::health::{Judge, ObjectiveHealth, Status, Verdict};
use crate::catalog::health::{COMPONENTS, OBJECTIVES};
use crate::clock::now;
use crate::promql::{self, Error, Labels, Query, Storage, Value, When};
use crate::setting::Span;

/// Over which time objectives are looked at where nothing is said: that of their budgets.
const WINDOW: i64 = 30 * 86_400_000;

impl Site {
    /// The verdict, as JSON: 503 unless things are known to work.
    pub(super) fn health(&self, p: &Parameters, until: &Until) -> Result<(StatusCode, String), Error> {
        let window = p.duration("window")?.unwrap_or(WINDOW);
        if window <= 0 {
            return Err(invalid("window", "it must be longer than 0"));
        }
        let verdict = self.verdict(window, until)?;
        let status = match verdict.status {
            Status::Healthy | Status::Degraded => StatusCode::OK,
            Status::Unhealthy | Status::Unknown => StatusCode::SERVICE_UNAVAILABLE,
        };
        let body = serde_json::to_string(&verdict).map_err(|why| Error::storage(why.to_string()))?;
        Ok((status, body))
    }

    /// Whether everything that is watched is well: else what is not. It may wait for a disk.
    ///
    /// # Errors
    /// Something is unhealthy, or nobody knows.
    pub fn well(&self) -> Result<String, String> {
        let until = Until::within(super::TIMEOUT);
        let verdict = self.verdict(WINDOW, &until).map_err(|error| error.to_string())?;
        let status = verdict.status.as_str();
        let worst = verdict.components.iter().filter(|one| one.status == verdict.status);
        let reasons: Vec<&str> =
            worst.flat_map(|one| one.reasons.iter().map(|reason| &*reason.summary)).take(5).collect();
        match verdict.status {
            Status::Healthy => Ok(format!("{} components are healthy", verdict.components.len())),
            Status::Degraded => Ok(format!("{status}: {}", reasons.join("; "))),
            Status::Unhealthy => Err(format!("{status}: {}", reasons.join("; "))),
            Status::Unknown => Err(format!("{status}: {}", verdict.notes.join("; "))),
        }
    }

    fn verdict(&self, window: i64, until: &Until) -> Result<Verdict, Error> {
        let mut judge = Judge::default();
        self.groups(&mut |group| judge.take(group));
        if let Some(elsewhere) = self.elsewhere.load().as_deref() {
            judge.hear(elsewhere);
        }
        let at = now().wall_milliseconds();
        let Some(past) = self.history.get() else {
            let mut verdict = judge.verdict(at);
            verdict.notes = vec!["the history is off, so nobody knows; set history.enabled: true".to_owned()];
            return Ok(verdict);
        };
        for component in COMPONENTS {
            let text = format!("group by ({}) ({})", component.labels.join(", "), component.present);
            ask(&**past, &text, at, until, &mut |labels, _| judge.present(component, labels))?;
        }
        let mut verdict = judge.verdict(at);
        let limits = &self.catalogue.load().settings.limits;
        let span = Span(std::time::Duration::from_millis(window.unsigned_abs())).to_string();
        for objective in OBJECTIVES {
            let target = limits.of(objective.target);
            let by = objective.labels.join(", ");
            let text = format!("max by ({by}) (avg_over_time({}[{window}ms]))", objective.missed);
            ask(&**past, &text, at, until, &mut |labels, missed| {
                verdict.objectives.push(ObjectiveHealth {
                    objective: objective.about.to_owned(),
                    name: objective.labels.iter().map(|name| labels.get(name)).collect::<Vec<_>>().join("/"),
                    target,
                    kept: 1.0 - missed,
                    budget_left: 1.0 - missed / (1.0 - target),
                    window: span.clone(),
                });
            })?;
        }
        verdict.notes.extend(past.note());
        Ok(verdict)
    }
}

/// Shows the labels and the value of each series of an answer.
fn ask(
    past: &dyn Storage,
    text: &str,
    at: i64,
    until: &Until,
    each: &mut dyn FnMut(&Labels, f64),
) -> Result<(), Error> {
    let interrupt = || until.interrupt();
    let query = Query { max_samples: super::SAMPLES, interrupt: &interrupt, ..Query::new(When::At(at)) };
    if let Value::Vector(elements) = promql::evaluate(&promql::parse(text)?, &query, past)?.value {
        elements.iter().for_each(|element| each(&element.labels, element.value));
    }
    Ok(())
}
