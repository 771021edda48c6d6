//! Incidents on the page of sources.

use std::fmt::Write;

use super::ALERTS;
use crate::alert::incident::{Desk, Incident, Status};
use crate::promql::moment;
use crate::view::html::escape;

/// Incidents that are open.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Incidents {
    shown: Vec<Incident>,
    failing: bool,
    kept: bool,
}

impl Incidents {
    /// Those that are held, if some are.
    pub(in super::super) fn of(desk: Option<&dyn Desk>) -> Self {
        let Some(desk) = desk else { return Self::default() };
        let mut shown = Vec::new();
        desk.open(&mut |incident| shown.push(incident.clone()));
        shown.sort_by_key(|incident| (incident.acknowledged.is_some(), incident.priority, incident.started));
        Self { shown, failing: desk.failing().is_some(), kept: true }
    }

    pub(super) fn write(&self, page: &mut String) {
        if !self.kept {
            return;
        }
        page.push_str("<h2>Incidents</h2>");
        if self.failing {
            page.push_str(
                "<p class=down role=alert>Incidents are kept in memory only: their file cannot be written. See the reason in the log.</p>",
            );
        }
        if self.shown.is_empty() {
            page.push_str(
                "<p class=up>No incident is open. <a href=\"api/v1/incidents\">All incidents</a></p>",
            );
            return;
        }
        page.push_str("<table><tr><th>number<th>state<th>priority<th>what<th>since</tr>");
        for incident in self.shown.iter().take(ALERTS) {
            let class = match incident.status {
                Status::Acknowledged => "wait",
                _ => "down",
            };
            let id = escape(&incident.id);
            // Writing to a string cannot fail.
            let _ = write!(
                page,
                "<tr><td><a href=\"api/v1/incidents/{id}\"><code>{}</code></a><td class={class}>{}<td>{}<td>{}<td>{}</tr>",
                id.get(..8).unwrap_or(&id),
                incident.status.as_str(),
                incident.priority.as_str(),
                escape(incident.summary()),
                moment(incident.started)
            );
        }
        page.push_str("</table>");
        let more = self.shown.len().saturating_sub(ALERTS);
        let more = if more > 0 { format!("and {more} more: ") } else { String::new() };
        let _ = write!(
            page,
            "<p>{more}<a href=\"api/v1/incidents\">all incidents</a>. <code>neural-exporter incidents ack NUMBER</code> \
             says that you take care of one.</p>"
        );
    }
}
