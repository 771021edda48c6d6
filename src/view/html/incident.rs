//! The page of an incident: how far it is, how bad it was, what was done, and the buttons of who takes care of it. And their list.

use std::fmt::Write;

use super::{TABLE_END, alert_address, begin, class_of, end, escape, table};
use crate::alert::ALERT_NAME;
use crate::alert::incident::{Incident, Status as How};
use crate::promql::{digits, moment};
use crate::view::Status;
use crate::view::screen::sign;
use crate::view::words::span;

/// What is known of an incident beside itself.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// Now: ms since the epoch.
    pub at: i64,
    /// Until when nobody is notified of it, if that is so: ms since the epoch.
    pub silenced: Option<i64>,
    /// Whether the agent keeps silences.
    pub silences: bool,
    /// Whether the agent has the runbook of its alert.
    pub runbook: bool,
}

/// How long a silence can be, as the page offers it; the first is what is chosen.
const SPANS: &[&str] = &["1h", "30m", "4h", "1d"];

/// How bad the state of an incident is.
fn status_of(how: How) -> Status {
    match how {
        How::Open | How::Escalated => Status::Unhealthy,
        How::Acknowledged => Status::Degraded,
        How::Resolved => Status::Healthy,
    }
}

/// The page of one incident.
#[must_use]
pub fn incident_page(about: &About<'_>) -> String {
    let incident = about.incident;
    let (status, id) = (status_of(incident.status), escape(&incident.id));
    let mut out = begin(&format!("{} – neural-exporter", incident.summary()), "");
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<h1>{}</h1><p class=\"state {}\"><span aria-hidden=true>{}</span> {}{}</p>",
        escape(incident.summary()),
        class_of(status),
        sign(status),
        incident.status.as_str(),
        if incident.by_hand { ", closed by hand" } else { "" },
    );
    buttons(&mut out, about, &id);
    out.push_str("<div class=cards>");
    times(&mut out, about);
    values(&mut out, incident);
    out.push_str("</div>");
    hooks(&mut out, incident);
    history(&mut out, incident);
    out.push_str("<h2>Its alert</h2>");
    if about.runbook {
        let address = alert_address(&incident.alert);
        let _ = write!(out, "<p><a href=\"{address}\">Runbook of {}</a></p>", escape(&incident.alert));
    }
    let labels = incident.labels.iter().filter(|(name, _)| *name != ALERT_NAME);
    let about_it = incident.annotations.iter().filter(|(name, _)| *name != "summary");
    let alert = std::iter::once(("alert", &*incident.alert));
    list(
        &mut out,
        alert.chain(labels).chain(about_it).map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let _ = write!(
        out,
        "<p class=quiet>Number <code>{id}</code>, <a href=\"api/v1/incidents/{id}\">as JSON</a></p>"
    );
    out.push_str(&end(""));
    out
}

/// What a person can do about it.
fn buttons(out: &mut String, about: &About<'_>, id: &str) {
    let how = about.incident.status;
    if how == How::Resolved {
        return;
    }
    out.push_str("<div class=buttons>");
    if how != How::Acknowledged {
        let _ = write!(
            out,
            "<form method=post action=\"api/v1/incidents/{id}/ack\"><input type=hidden name=back value=incident>\
             <button>Acknowledge</button></form>"
        );
    }
    if let Some(until) = about.silenced {
        let _ = write!(out, "<p>Silenced until {}</p>", moment(until));
    } else if about.silences {
        let _ = write!(
            out,
            "<form method=post action=\"api/v1/incidents/{id}/silence\"><input type=hidden name=back value=incident>\
             <label>for <select name=for>"
        );
        for span in SPANS {
            let _ = write!(out, "<option>{span}</option>");
        }
        out.push_str("</select></label> <button>Silence</button></form>");
    }
    out.push_str("</div>");
    if !about.silences {
        out.push_str(
            "<p class=quiet>The agent does not notify by itself (<code>respond.notify</code>): \
             <code>neural-exporter silence</code> makes silences in an Alertmanager.</p>",
        );
    }
}

/// When it was opened, acknowledged, escalated and resolved.
fn times(out: &mut String, about: &About<'_>) {
    let Incident { started, opened, acknowledged, escalated, resolved, .. } = *about.incident;
    let after = |at: i64| format!("{}, after {}", moment(at), seconds(at - started));
    let resolved = resolved.filter(|_| about.incident.status == How::Resolved);
    let mut rows = vec![("Its alert fires since".to_owned(), moment(started))];
    rows.push(("Opened".to_owned(), moment(opened)));
    rows.push(("Acknowledged".to_owned(), acknowledged.map_or_else(|| "not yet".to_owned(), after)));
    rows.push(("Escalated".to_owned(), escalated.map_or_else(|| "no".to_owned(), after)));
    rows.push((
        "Resolved".to_owned(),
        resolved.map_or_else(|| format!("not yet, after {}", seconds(about.at - started)), after),
    ));
    rows.push(("Priority".to_owned(), about.incident.priority.as_str().to_owned()));
    if !about.incident.severity.is_empty() {
        rows.push(("Severity".to_owned(), about.incident.severity.clone()));
    }
    out.push_str("<section class=card><h2>When</h2>");
    list(out, rows.into_iter());
    out.push_str("</section>");
}

/// The values of its alert's series.
fn values(out: &mut String, incident: &Incident) {
    let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| digits(value, 4));
    let values = incident.values;
    if values.start.is_none() && values.worst.is_none() && values.end.is_none() {
        return;
    }
    let last = if incident.status == How::Resolved { "At its end" } else { "Now" };
    let rows = [("At its start", values.start), ("At worst", values.worst), (last, values.end)];
    out.push_str("<section class=card><h2>The alert's value</h2>");
    list(out, rows.into_iter().map(|(name, value)| (name.to_owned(), number(value))));
    out.push_str("</section>");
}

/// What the agent did about it.
fn hooks(out: &mut String, incident: &Incident) {
    if incident.actions.is_empty() {
        return;
    }
    out.push_str("<h2>Hooks</h2>");
    out.push_str(&table("Hooks", &["Hook", "How far", "Began", "Judged"]));
    for (hook, step) in &incident.actions {
        let run = incident.runs.get(hook).copied().unwrap_or_default();
        let time = |at: Option<i64>| at.map_or_else(|| "–".to_owned(), moment);
        let class = match step.as_str() {
            "succeeded" => "ok",
            "failed" => "danger",
            _ => "",
        };
        let _ = write!(
            out,
            "<tr><th scope=row>{}<td class=\"{class}\">{}<td>{}<td>{}</tr>",
            escape(hook),
            escape(&step.replace('_', " ")),
            time(run.started),
            time(run.judged)
        );
    }
    out.push_str(TABLE_END);
}

/// What happened, in order.
fn history(out: &mut String, incident: &Incident) {
    out.push_str("<h2>What happened</h2>");
    out.push_str(&table("What happened", &["When", "What", "By", "Why"]));
    for entry in &incident.history {
        let _ = write!(
            out,
            "<tr><td><time>{}</time><td>{}<td>{}<td>{}</tr>",
            moment(entry.at),
            entry.what.as_str(),
            escape(&entry.by),
            escape(&entry.why)
        );
    }
    out.push_str(TABLE_END);
    if incident.omitted > 0 {
        let _ = write!(out, "<p class=quiet>{} entries in the middle had no room.</p>", incident.omitted);
    }
}

/// Names and values.
fn list(out: &mut String, rows: impl Iterator<Item = (String, String)>) {
    out.push_str("<dl>");
    for (name, value) in rows {
        let _ = write!(out, "<div><dt>{}</dt><dd>{}</dd></div>", escape(&name), escape(&value));
    }
    out.push_str("</dl>");
}

fn seconds(milliseconds: i64) -> String {
    span(milliseconds.max(0) as f64 / 1000.0)
}

/// The list of incidents, those that are open and those that were; `missing` says what it lacks.
#[must_use]
pub fn incidents_page(incidents: &[Incident], missing: &[String]) -> String {
    let mut out = begin("Incidents – neural-exporter", "");
    out.push_str("<h1>Incidents</h1>");
    if incidents.is_empty() {
        out.push_str("<p class=ok>✔ There was none.</p>");
    } else {
        out.push_str(&table("Incidents", &["State", "Priority", "What", "Since", "For"]));
    }
    for incident in incidents {
        let status = status_of(incident.status);
        let until = incident.resolved.filter(|_| incident.status == How::Resolved);
        let _ = write!(
            out,
            "<tr><td class={}>{} {}<td>{}<td><a href=\"{}\">{}</a><td><time>{}</time><td>{}</tr>",
            class_of(status),
            sign(status),
            incident.status.as_str(),
            incident.priority.as_str(),
            incident_address(&incident.id),
            escape(incident.summary()),
            moment(incident.started),
            until.map_or_else(|| "–".to_owned(), |until| seconds(until - incident.started)),
        );
    }
    if !incidents.is_empty() {
        out.push_str(TABLE_END);
    }
    for note in missing {
        let _ = write!(out, "<p class=quiet>{}</p>", escape(note));
    }
    out.push_str("<p class=quiet><a href=api/v1/incidents>as JSON</a>; <code>neural-exporter incidents export</code> writes all of them.</p>");
    out.push_str(&end(""));
    out
}

/// Where the page of an incident is.
pub(super) fn incident_address(id: &str) -> String {
    format!("incident?id={}", escape(id))
}
