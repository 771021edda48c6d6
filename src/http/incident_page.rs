//! The page of an incident, their list, and the silence that its button asks for.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::http::request::Parts;

use super::api::Parameters;
use super::{Incidents, Reply, Silencer, Site, incidents, reply};
use crate::alert::incident::{Incident, IncidentFilter};
use crate::alert::silence::{Silence, SilenceError};
use crate::clock::now;
use crate::setting::Span;
use crate::view::html::{self, About};

/// Incidents that the list shows.
const LISTED: usize = 200;
/// How long a silence may be that a form asks for, and how long it is where the form does not say.
const LONGEST: i64 = 30 * 86_400_000;
const USUAL: i64 = 3_600_000;

impl Site {
    /// The page of an incident, or the list of them where none is named.
    pub(super) async fn incident_page(self: &Arc<Self>, request: &Parts) -> Reply {
        let Some(incidents) = self.incidents.load_full() else {
            // Every page leads here: what is not kept is said on a page.
            return reply::page(html::incidents_page(&[], &[incidents::OFF.to_owned()]));
        };
        let id = Parameters::read(request, &[]).get("id").unwrap_or_default().to_owned();
        if id.is_empty() {
            return self.aside(move || reply::page(listed(&incidents))).await;
        }
        let runbook = self.files().await;
        let site = self.clone();
        self.aside(move || match incidents.0.find(&id) {
            Ok(incident) => {
                let path = format!("alert-rules/runbooks/{}.md", incident.alert);
                let runbook = runbook.is_some_and(|files| files.iter().any(|file| file.path == path));
                reply::page(site.write_incident(&incident, runbook))
            }
            Err(refusal) => {
                let (status, why) = incidents::why(&refusal, &id);
                reply::text(status, &format!("{why}; /incident lists them\n"))
            }
        })
        .await
    }

    fn write_incident(&self, incident: &Incident, runbook: bool) -> String {
        let at = now().wall_milliseconds();
        let silencer = self.silencer.load_full();
        let silenced = silencer.as_deref().and_then(|of| of.silences.lock().until(&incident.labels, at));
        html::incident_page(&About { incident, at, silenced, silences: silencer.is_some(), runbook })
    }

    /// Silences exactly the alert of an incident for a while, and says until when.
    ///
    /// # Errors
    /// The status and the reason.
    pub(super) fn silence_incident(
        &self,
        Incidents(desk): &Incidents,
        id: &str,
        parameters: &Parameters,
    ) -> Result<(Incident, String), (StatusCode, String)> {
        let incident = desk.find(id).map_err(|refusal| incidents::why(&refusal, id))?;
        let Some(silencer) = self.silencer.load_full() else {
            let why = "there are no silences here; set respond.notify, or ask the Alertmanager";
            return Err((StatusCode::NOT_FOUND, why.to_owned()));
        };
        let length = match parameters.get("for") {
            None => USUAL,
            Some(text) => text
                .parse::<Span>()
                .ok()
                .and_then(|span| i64::try_from(span.0.as_millis()).ok())
                .filter(|length| (1..=LONGEST).contains(length))
                .ok_or_else(|| {
                    (
                        StatusCode::BAD_REQUEST,
                        "for is a time like 30m, 4h or 1d, of 30 days at most".to_owned(),
                    )
                })?,
        };
        let at = now().wall_milliseconds();
        let by = parameters.get("by").unwrap_or("unnamed, over HTTP");
        let why = parameters
            .get("why")
            .filter(|why| !why.is_empty())
            .unwrap_or("silenced on the page of its incident");
        let id = make(&silencer, &Silence::exactly(&incident.labels, (at, at + length), by, why), at)?;
        Ok((incident, id))
    }
}

/// Makes a silence, and tells who notifies.
fn make(silencer: &Silencer, silence: &Silence, at: i64) -> Result<String, (StatusCode, String)> {
    let made = silencer.silences.lock().set(silence.clone(), super::silences::uuid(), at);
    match made {
        Ok(id) => {
            (silencer.changed)();
            Ok(id)
        }
        Err(SilenceError::Unknown) => Err((StatusCode::NOT_FOUND, "silence not found".to_owned())),
        Err(SilenceError::Wrong(why)) => Err((StatusCode::BAD_REQUEST, why)),
    }
}

fn listed(Incidents(desk): &Incidents) -> String {
    let (mut shown, mut more) = (Vec::new(), false);
    let missing = desk.list(&IncidentFilter::default(), &mut |incident| {
        more = shown.len() == LISTED;
        if !more {
            shown.push(incident);
        }
        !more
    });
    let more = more.then(|| format!("These are the newest {LISTED}."));
    html::incidents_page(&shown, &missing.into_iter().chain(more).collect::<Vec<_>>())
}
