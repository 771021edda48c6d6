//! The page, drawn from a snapshot: HTML that works without a script, in pieces that a script can replace.

mod card;
pub(in crate::view) mod head;
mod incident;
mod inside;
pub(super) mod plot;
mod preview;

use std::fmt::Write;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::screen::sign;
use super::words::span;
use super::{Alert, Incident, Sentence, Snapshot, Status};
use crate::analysis::EnvelopeView;
use crate::catalog::card::CARDS;
use crate::promql::moment;

pub use incident::{About, incident_page, incidents_page};
pub use inside::{InEffect, config_page, log_page};
pub use preview::{channel_names, preview};

/// The style of every page.
pub const STYLE: &str = include_str!("page.css");
/// The script that replaces what changed.
pub const SCRIPT: &str = include_str!("page.js");

/// Alerts that the page lists.
const ALERTS: usize = 50;
/// What is wrong that the verdict shows at once; the rest unfolds.
const SENTENCES: usize = 3;

/// A piece of the page, and the id under which it is replaced.
pub type Fragment = (&'static str, String);

/// Text as HTML.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The class of a status, which has the colour.
pub(super) fn class_of(status: Status) -> &'static str {
    match status {
        Status::Healthy => "ok",
        Status::Unknown => "unknown",
        Status::Degraded => "attention",
        Status::Unhealthy => "danger",
    }
}

/// The head of a page, up to its main part. `root` leads from its folder to the first page: nothing, or `../`.
#[must_use]
pub fn begin(title: &str, root: &str) -> String {
    begin_live(title, None, root)
}

/// The same of a page whose pieces are sent as they change, from this address.
fn begin_live(title: &str, live: Option<&str>, root: &str) -> String {
    // The first page alone has cards beside each other.
    let one = if live == Some(LIVE) { "" } else { " class=one" };
    let live = live.map_or_else(String::new, |address| format!(" data-live=\"{address}\""));
    format!(
        "<!doctype html>\n<html lang=en{live}><head><meta charset=utf-8><title>{}</title>\
         <meta name=viewport content=\"width=device-width\"><meta name=color-scheme content=\"light dark\">\
         <link rel=stylesheet href={root}page.css><script src={root}page.js defer></script></head><body>\
         <a class=skip href=#main>Skip to the content</a>\
         <header><a class=name href={root}./>neural-exporter</a><nav aria-label=Pages><a href={root}sources>sources</a>\
         <a href={root}provision/>dashboards and rules</a><a href={root}connect>connect</a><a href={root}metrics>metrics</a>\
         </nav></header><main id=main{one}>\n",
        escape(title)
    )
}

/// Where the page of an alert is.
fn alert_address(name: &str) -> String {
    format!("alert?name={}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

/// Where the pieces of the first page are sent.
const LIVE: &str = "live";

/// The end of a page, with where everything else is. `root` leads from its folder to the first page.
#[must_use]
pub fn end(root: &str) -> String {
    format!(
        "</main><footer><nav aria-label=\"More pages\"><a href={root}incident>incidents</a><a href={root}config>configuration</a>\
         <a href={root}log>log</a><a href=\"{root}api/v1/report?format=html&amp;window=1h\">report of the last hour</a>\
         <a href={root}api/v1/snapshot>the first page as JSON</a></nav></footer></body></html>\n"
    )
}

/// The whole first page.
#[must_use]
pub fn page(snapshot: &Snapshot) -> String {
    let mut out = begin_live(&format!("{} – neural-exporter", snapshot.verdict.words), Some(LIVE), "");
    for (id, html) in fragments(snapshot) {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "<section id={id}>{html}</section>");
    }
    // Who has no script asks again.
    out.push_str("<noscript><p class=quiet>Reload the page to see what changed.</p></noscript>");
    out.push_str(&end(""));
    out
}

/// The pieces of the first page, in their order.
#[must_use]
pub fn fragments(snapshot: &Snapshot) -> Vec<Fragment> {
    let mut all = vec![("verdict", verdict(snapshot)), ("seen", seen(snapshot))];
    for kind in CARDS {
        // The agent itself comes last. What has no kind of card of its own is there because something is wrong with it.
        if kind.component == "agent" {
            let known = |kind: &str| CARDS.iter().any(|card| card.component == kind);
            let others = snapshot.cards.iter().filter(|one| !known(&one.kind));
            all.push(("others", card::section("Others", others)));
            all.push(("incidents", incidents(snapshot)));
            all.push(("alerts", alerts(snapshot)));
        }
        let cards = snapshot.cards.iter().filter(|one| one.kind == kind.component);
        all.push((kind.component, card::section(kind.heading, cards)));
    }
    all.push(("notes", notes(snapshot)));
    all
}

/// The page of one card. Where signals may be seen `seen` has what is seen of its.
#[must_use]
pub fn card_page(
    snapshot: &Snapshot,
    kind: &str,
    name: &str,
    seen: Option<Option<&EnvelopeView>>,
) -> Option<String> {
    let found = snapshot.cards.iter().find(|card| card.kind == kind && card.name == name)?;
    let title = if name.is_empty() { kind } else { name };
    let address = format!("live?preview={}", utf8_percent_encode(name, NON_ALPHANUMERIC));
    let mut out = begin_live(&format!("{title} – neural-exporter"), seen.is_some().then_some(&*address), "");
    card::whole(&mut out, found, snapshot.at);
    if let Some(seen) = seen {
        // Writing to a string cannot fail.
        let _ = write!(out, "<section id=preview>{}</section>", preview(&channel_names(found), seen));
    }
    out.push_str(&end(""));
    Some(out)
}

fn verdict(snapshot: &Snapshot) -> String {
    let verdict = &snapshot.verdict;
    let (class, sign) = (class_of(verdict.status), sign(verdict.status));
    let mut out = format!(
        "<div class=\"verdict {class}\" role=status><h1><span aria-hidden=true>{sign}</span> {}</h1>",
        escape(&verdict.words)
    );
    if !verdict.summary.is_empty() {
        let _ = write!(out, "<p class=summary>{}</p>", escape(&verdict.summary));
    }
    if !verdict.sentences.is_empty() {
        let (first, more) = verdict.sentences.split_at(SENTENCES.min(verdict.sentences.len()));
        sentences(&mut out, first, snapshot.at);
        if !more.is_empty() {
            let _ = write!(out, "<details><summary>and {} more</summary>", more.len());
            sentences(&mut out, more, snapshot.at);
            out.push_str("</details>");
        }
    }
    out.push_str("</div>");
    out
}

/// When it was seen. Apart from what is read aloud, because it changes each second.
fn seen(snapshot: &Snapshot) -> String {
    format!("<p class=quiet>Seen at <time>{}</time></p>", moment(snapshot.at))
}

fn sentences(out: &mut String, all: &[Sentence], at: i64) {
    out.push_str("<ul class=sentences>");
    all.iter().for_each(|said| sentence(out, said, at));
    out.push_str("</ul>");
}

/// What is wrong, what to do, since when.
fn sentence(out: &mut String, said: &Sentence, at: i64) {
    let _ = write!(
        out,
        "<li class={}><span aria-hidden=true>{}</span> <b>{}</b>",
        class_of(said.status),
        sign(said.status),
        escape(&said.text)
    );
    if let Some(since) = said.since {
        let _ = write!(out, " <span class=quiet>for {}</span>", span((at - since).max(0) as f64 / 1000.0));
    }
    if let Some(advice) = &said.advice {
        let _ = write!(out, "<br>{}", code(advice));
    }
    if let Some(alert) = &said.alert {
        let _ = write!(
            out,
            " <a href=\"{}\">Runbook<span class=hidden> of {}</span></a>",
            alert_address(alert),
            escape(alert)
        );
    }
    out.push_str("</li>");
}

/// Text with what stands between backticks as code.
#[must_use]
pub fn code(text: &str) -> String {
    let mut out = String::new();
    for (place, piece) in text.split('`').enumerate() {
        let piece = escape(piece);
        let (begin, end) = if place % 2 == 1 { ("<code>", "</code>") } else { ("", "") };
        out.extend([begin, &piece, end]);
    }
    out
}

fn incidents(snapshot: &Snapshot) -> String {
    if snapshot.incidents.is_empty() {
        return String::new();
    }
    format!("<h2>Incidents</h2>{}", incident_list(&snapshot.incidents, snapshot.at))
}

/// The incidents that are open, with who can take care of them.
#[must_use]
pub fn incident_list(incidents: &[Incident], at: i64) -> String {
    let mut out = String::from("<ul class=incidents>");
    for incident in incidents.iter().take(ALERTS) {
        one_incident(&mut out, incident, at);
    }
    out.push_str("</ul>");
    let more = incidents.len().saturating_sub(ALERTS);
    if more > 0 {
        // Writing to a string cannot fail.
        let _ = write!(out, "<p>and {more} more: <a href=incident>all incidents</a></p>");
    }
    out
}

fn one_incident(out: &mut String, incident: &Incident, at: i64) {
    let id = escape(&incident.id);
    let class = if incident.acknowledged { "attention" } else { "danger" };
    let _ = write!(
        out,
        "<li class={class}><b>{}</b> {} <span class=quiet>{}, for {}</span> <a href=\"{}\">{}</a>",
        escape(&incident.priority),
        escape(&incident.summary),
        escape(&incident.state),
        span((at - incident.since).max(0) as f64 / 1000.0),
        incident::incident_address(&incident.id),
        id.get(..8).unwrap_or(&id),
    );
    if !incident.acknowledged {
        let _ = write!(
            out,
            "<form method=post action=\"api/v1/incidents/{id}/ack\"><button>Acknowledge<span class=hidden> {}</span></button></form>",
            escape(&incident.summary)
        );
    }
    match incident.silenced {
        None => {}
        Some(0) => {
            let _ = write!(
                out,
                "<form method=post action=\"api/v1/incidents/{id}/silence\"><button>Silence for 1h<span class=hidden>: {}</span></button></form>",
                escape(&incident.summary)
            );
        }
        Some(until) => {
            let _ = write!(out, " <span class=quiet>silenced until {}</span>", moment(until));
        }
    }
    out.push_str("</li>");
}

fn alerts(snapshot: &Snapshot) -> String {
    if snapshot.alerts.is_empty() {
        return String::new();
    }
    format!("<h2>Alerts</h2>{}", alert_table(&snapshot.alerts))
}

/// The alerts that fire or wait.
#[must_use]
pub fn alert_table(alerts: &[Alert]) -> String {
    let mut out = table("Alerts", &["State", "Priority", "What", "Since"]);
    for alert in alerts.iter().take(ALERTS) {
        one_alert(&mut out, alert);
    }
    out.push_str(TABLE_END);
    let more = alerts.len().saturating_sub(ALERTS);
    if more > 0 {
        // Writing to a string cannot fail.
        let _ = write!(out, "<p>and {more} more: <a href=api/v1/alerts>all alerts</a></p>");
    }
    out
}

/// The begin of a table up to its first row. One that is too wide scrolls within itself, and by keyboard too. A column whose name
/// begins with `#` has numbers.
#[must_use]
pub fn table(about: &str, columns: &[&str]) -> String {
    let mut out =
        format!("<div class=wide tabindex=0 role=region aria-label=\"{}\"><table><thead><tr>", escape(about));
    for column in columns {
        let (class, name) = column.strip_prefix('#').map_or(("", *column), |name| (" class=n", name));
        // Writing to a string cannot fail.
        let _ = write!(out, "<th{class}>{}", escape(name));
    }
    out.push_str("</tr></thead><tbody>");
    out
}

/// And its end.
pub const TABLE_END: &str = "</tbody></table></div>";

fn one_alert(out: &mut String, alert: &Alert) {
    let (class, state) = if alert.firing { ("danger", "✖ firing") } else { ("attention", "▲ pending") };
    let summary = escape(&alert.summary);
    let what = if alert.runbook {
        format!("<a href=\"{}\">{summary}</a>", alert_address(&alert.name))
    } else {
        summary
    };
    let _ = write!(
        out,
        "<tr><td class={class}>{state}<td>{}<td>{what}<td><time>{}</time></tr>",
        escape(&alert.priority),
        moment(alert.since)
    );
}

fn notes(snapshot: &Snapshot) -> String {
    if snapshot.notes.is_empty() {
        return String::new();
    }
    let mut out = String::from("<h2>What is not known</h2><ul>");
    for note in &snapshot.notes {
        let _ = write!(out, "<li>{}</li>", code(note));
    }
    out.push_str("</ul>");
    out
}
