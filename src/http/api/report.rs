//! A report over any time, from the history.

use super::{Parameters, Site, Until, invalid};
use crate::clock::now;
use crate::promql::Error;
use crate::view::report::{self, Given, Report, Time};

/// The time of a report where nothing is said, in ms.
const WINDOW: i64 = 3_600_000;

/// A form of a report: its name, its media type, and what writes it.
type Form = (&'static str, &'static str, fn(&Report) -> String);

/// The forms of a report.
const FORMS: &[Form] = &[
    ("json", "application/json", |report| serde_json::to_string(report).unwrap_or_default()),
    ("html", "text/html; charset=utf-8", report::write_html),
    ("text", "text/plain; charset=utf-8", report::write_text),
    ("csv", "text/csv; charset=utf-8", report::write_csv),
    ("md", "text/markdown; charset=utf-8", report::write_markdown),
];

/// The media type of what a request asks for.
pub(super) fn kind(p: &Parameters) -> &'static str {
    let form = p.get("format").unwrap_or("json");
    FORMS.iter().find(|(name, ..)| *name == form).map_or("application/json", |(_, kind, _)| kind)
}

impl Site {
    /// A report of `window` up to `end` (now), or from `start` to `end`, of one `device` or `pipeline`, in a `format`.
    pub(super) fn report(&self, p: &Parameters, until: &Until) -> Result<String, Error> {
        let form = p.get("format").unwrap_or("json");
        let Some((.., write)) = FORMS.iter().find(|(name, ..)| *name == form) else {
            let names: Vec<&str> = FORMS.iter().map(|(name, ..)| *name).collect();
            return Err(invalid("format", &format!("it is one of {}", names.join(", "))));
        };
        let end = p.time("end")?.unwrap_or_else(|| now().wall_milliseconds());
        let window = p.duration("window")?.unwrap_or(WINDOW);
        let start = p.time("start")?.unwrap_or_else(|| end.saturating_sub(window));
        if start >= end {
            return Err(invalid("window", "the time is empty: start is not before end"));
        }
        let named = |name: &str| Some((name.to_owned(), p.get(name)?.to_owned()));
        let only: Vec<(String, String)> = ["device", "pipeline"].into_iter().filter_map(named).collect();
        Ok(write(&self.report_of(Time { start, end }, &only, until)?))
    }

    /// A report of a time.
    pub(in crate::http) fn report_of(
        &self,
        time: Time,
        only: &[(String, String)],
        until: &Until,
    ) -> Result<Report, Error> {
        let answers = self.answers(report::questions(time), until)?;
        let limits = &self.catalogue.load().settings.limits;
        let source = "the agent's history".to_owned();
        Ok(report::build(Given { time, source, answers, limits, only, notes: Vec::new() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_there_once() {
        let mut names: Vec<&str> = FORMS.iter().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FORMS.len());
    }
}
