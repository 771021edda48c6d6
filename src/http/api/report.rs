//! A report over any time, from the history.

use super::{Parameters, Site, Until, invalid};
use crate::alert::incident::IncidentFilter;
use crate::clock::now;
use crate::promql::Error;
use crate::session::Session;
use crate::view::report::{self, Episode, Report, ReportInput, Time};

/// The time of a report where nothing is said, in ms.
const WINDOW: i64 = 3_600_000;

/// Incidents that are looked at for a report.
const INCIDENTS: usize = 5_000;
/// Those of a report.
const LISTED: usize = 1_000;

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
        let present = now().wall_milliseconds();
        let session = p.get("session").map(|name| self.session(name)).transpose();
        let session = session.map_err(|why| invalid("session", &why))?;
        let time = match &session {
            Some(session) => {
                if ["start", "end", "window"].iter().any(|name| p.get(name).is_some()) {
                    return Err(invalid(
                        "session",
                        "a session has its own time: leave out start, end and window",
                    ));
                }
                let (start, end) = session.time(present);
                Time { start, end }
            }
            None => {
                let end = p.time("end")?.unwrap_or(present);
                let window = p.duration("window")?.unwrap_or(WINDOW);
                Time { start: p.time("start")?.unwrap_or_else(|| end.saturating_sub(window)), end }
            }
        };
        if time.start >= time.end {
            return Err(invalid("window", "the time is empty: start is not before end"));
        }
        let named = |name: &str| Some((name.to_owned(), p.get(name)?.to_owned()));
        let only: Vec<(String, String)> = ["device", "pipeline"].into_iter().filter_map(named).collect();
        Ok(write(&self.report_about(session.as_ref(), time, &only, until)?))
    }

    /// A report of a time.
    pub(in crate::http) fn report_of(
        &self,
        time: Time,
        only: &[(String, String)],
        until: &Until,
    ) -> Result<Report, Error> {
        self.report_about(None, time, only, until)
    }

    /// The report of a session or a time, from the history and the incidents.
    fn report_about(
        &self,
        session: Option<&Session>,
        time: Time,
        only: &[(String, String)],
        until: &Until,
    ) -> Result<Report, Error> {
        let answers = self.answers(&report::questions(time, session), until)?;
        let limits = &self.catalogue.load().settings.limits;
        let (incidents, note) = self.episodes(time);
        Ok(report::build(ReportInput {
            only,
            // What becomes of the report is not known to it.
            session: session.cloned().map(Session::unfiled),
            incidents,
            notes: note.into_iter().collect(),
            ..ReportInput::new(time, "the agent's history".to_owned(), answers, limits)
        }))
    }

    /// The incidents that were open in a time, and what is missing.
    fn episodes(&self, time: Time) -> (Option<Vec<Episode>>, Option<String>) {
        let Some(incidents) = self.incidents.load_full() else { return (None, None) };
        let (mut found, mut looked) = (Vec::new(), 0);
        let wanted = IncidentFilter { to: Some(time.end), ..IncidentFilter::default() };
        let missing = incidents.0.list(&wanted, &mut |incident| {
            looked += 1;
            found.extend(Episode::of(&incident, time));
            looked < INCIDENTS && found.len() < LISTED
        });
        found.reverse();
        (Some(found), missing)
    }

    /// The report of a session, or of a time that is none, as it is filed.
    ///
    /// # Errors
    /// There is no history, or it cannot be read.
    pub fn filed(&self, session: Option<&Session>, (start, end): (i64, i64)) -> Result<Report, String> {
        self.report_about(session, Time { start, end }, &[], &Until::usual()).map_err(|error| error.text)
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
