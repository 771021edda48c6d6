//! Incidents over HTTP: who reads them, who acknowledges one, and where an Alertmanager posts.
//!
//! Answers have the form of Prometheus' API. What an answer says is `alert::incident`'s.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use serde_json::{Value as Json, json};

use super::api::Parameters;
use super::gate::Pass;
use super::incident_path::{Change, IncidentRequest, number};
use super::{Incidents, Reply, Site, reply};
use crate::alert::incident::{Changed, IncidentFilter, Refusal, Statistics, Status, Untaken};
use crate::catalog::alert::Priority;

/// Incidents of a list where it does not say how many.
const LISTED: usize = 100;
/// Bytes of a list.
const ANSWER: usize = 64 << 20;

impl Site {
    /// Answers a path that reads incidents.
    pub(super) async fn read_incidents(self: &Arc<Self>, request: &Parts) -> Reply {
        let Some(incidents) = self.incidents.load_full() else { return off() };
        let Some(asked) = IncidentRequest::of(request.uri.path()) else {
            return refused(&Refusal::Unknown, "that");
        };
        let parameters = Parameters::read(request, &[]);
        self.aside(move || answer(&incidents, &asked, &parameters)).await
    }

    /// Acknowledges an incident, closes it, or silences its alert.
    pub(super) async fn change_incident(
        self: &Arc<Self>,
        (change, id): (Change, &str),
        request: &Parts,
        body: &[u8],
        _: Pass,
    ) -> Reply {
        let Some(incidents) = self.incidents.load_full() else { return off() };
        let Some(id) = number(id) else { return refused(&Refusal::Unknown, id) };
        let parameters = Parameters::read(request, body);
        let from_page = super::accept::html(&request.headers);
        let site = self.clone();
        self.aside(move || {
            // A form of a page: back to it.
            let back = |id: &str| match parameters.get("back") {
                Some("incident") => reply::back(&format!("../../../../incident?id={id}")),
                _ => reply::back("../../../../"),
            };
            let transition = match change {
                Change::Transition(transition) => transition,
                Change::Silence => {
                    return match site.silence_incident(&incidents, &id, &parameters) {
                        Ok((incident, _)) if from_page => back(&incident.id),
                        Ok((_, silence)) => success(&json!({"silenceID": silence})),
                        Err((status, why)) => error(status, "not_silenced", &why),
                    };
                }
            };
            let by = parameters.get("by").unwrap_or("unnamed, over HTTP");
            let why = parameters.get("why").unwrap_or_default();
            match incidents.0.change(transition, &id, by, why) {
                Ok(changed) if from_page => back(&changed.incident.id),
                // What the page showed is over: it shows that.
                Err(Refusal::Resolved) if from_page => back(&id),
                Ok(Changed { incident, kept }) => {
                    let mut data = incident.json();
                    if let Some(data) = data.as_object_mut() {
                        data.insert("kept".into(), kept.into());
                    }
                    success(&data)
                }
                Err(refusal) => refused(&refusal, &id),
            }
        })
        .await
    }

    /// Takes a message of an Alertmanager.
    pub(super) async fn take_message(self: &Arc<Self>, request: &Parts, body: &[u8], _: Pass) -> Reply {
        let Some(incidents) = self.incidents.load_full() else { return off() };
        let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
        let body = body.to_vec();
        self.aside(move || match incidents.0.post(token.as_deref(), &body) {
            Ok(done) => reply::text(StatusCode::OK, &format!("{done}\n")),
            Err(Untaken::Wrong(why)) => reply::text(StatusCode::BAD_REQUEST, &format!("{why}\n")),
            Err(Untaken::Later(why)) => reply::text(StatusCode::SERVICE_UNAVAILABLE, &format!("{why}\n")),
            Err(Untaken::Stranger) => reply::text(
                StatusCode::UNAUTHORIZED,
                "the token is missing or wrong; set http_config.authorization in Alertmanager's receiver\n",
            ),
            Err(Untaken::Off) => reply::text(
                StatusCode::NOT_FOUND,
                "no messages are taken; set respond.incidents.webhook.enabled in the agent's configuration\n",
            ),
        })
        .await
    }
}

fn answer(Incidents(desk): &Incidents, asked: &IncidentRequest, parameters: &Parameters) -> Reply {
    match asked {
        IncidentRequest::One(id) => match desk.find(id) {
            Ok(incident) => success(&incident.json()),
            Err(refusal) => refused(&refusal, id),
        },
        IncidentRequest::Statistics => match wanted(parameters) {
            Ok((wanted, _)) => {
                let mut figures = Statistics::default();
                let missing = desk.list(&wanted, &mut |incident| {
                    if wanted.takes(&incident) {
                        figures.add(&incident);
                    }
                    true
                });
                with_warnings(&figures.json(), missing)
            }
            Err(why) => error(StatusCode::BAD_REQUEST, "bad_data", &why),
        },
        IncidentRequest::List => match wanted(parameters) {
            Ok((wanted, limit)) => list(&|each| desk.list(&wanted, each), limit),
            Err(why) => error(StatusCode::BAD_REQUEST, "bad_data", &why),
        },
    }
}

/// What shows incidents until it is told that it is enough, and what is missing.
type Show<'s> = &'s dyn Fn(&mut dyn FnMut(crate::alert::incident::Incident) -> bool) -> Option<String>;

fn list(show: Show<'_>, limit: usize) -> Reply {
    let (mut text, mut count, mut more) = (String::new(), 0, None);
    let missing = show(&mut |incident| {
        if limit > 0 && count == limit || text.len() > ANSWER {
            more = Some("there are more; ask for them with to, or with a higher limit".to_owned());
            return false;
        }
        if count > 0 {
            text.push(',');
        }
        text.push_str(&incident.json().to_string());
        count += 1;
        true
    });
    let warnings: Vec<String> = more.into_iter().chain(missing).collect();
    reply::json(
        StatusCode::OK,
        format!("{{\"status\":\"success\",\"data\":{{\"incidents\":[{text}]}}{}}}", warned(&warnings)),
    )
}

/// Which incidents a request asks for, and how many at most; 0 for all.
fn wanted(parameters: &Parameters) -> Result<(IncidentFilter, usize), String> {
    let all = |name: &str| -> Vec<String> {
        parameters.all(name).filter(|value| !value.is_empty()).map(str::to_owned).collect()
    };
    let read = |error: crate::promql::Error| error.text;
    let state = |name: &String| {
        Status::read(name).ok_or_else(|| {
            format!("no state {name:?}; states are open, escalated, acknowledged and resolved")
        })
    };
    let priority = |name: &String| {
        Priority::read(name).ok_or_else(|| format!("no priority {name:?}; priorities are P0, P1, P2 and P3"))
    };
    let wanted = IncidentFilter {
        states: all("state").iter().map(state).collect::<Result<_, _>>()?,
        alerts: all("alert"),
        severities: all("severity"),
        priorities: all("priority").iter().map(priority).collect::<Result<_, _>>()?,
        from: parameters.time("from").map_err(read)?,
        to: parameters.time("to").map_err(read)?,
    };
    let limit = match parameters.get("limit") {
        None => LISTED,
        Some(_) => parameters.limit().map_err(read)?,
    };
    Ok((wanted, limit))
}

fn warned(warnings: &[String]) -> String {
    if warnings.is_empty() { String::new() } else { format!(",\"warnings\":{}", json!(warnings)) }
}

pub(super) fn success(data: &Json) -> Reply {
    with_warnings(data, None)
}

fn with_warnings(data: &Json, warning: Option<String>) -> Reply {
    let warnings: Vec<String> = warning.into_iter().collect();
    reply::json(StatusCode::OK, format!("{{\"status\":\"success\",\"data\":{data}{}}}", warned(&warnings)))
}

pub(super) fn error(status: StatusCode, kind: &str, why: &str) -> Reply {
    reply::json(status, json!({"status": "error", "errorType": kind, "error": why}).to_string())
}

fn refused(refusal: &Refusal, id: &str) -> Reply {
    let kind = match refusal {
        Refusal::Unknown => "not_found",
        Refusal::Ambiguous(_) => "ambiguous",
        Refusal::Resolved => "resolved",
    };
    let (status, why) = why(refusal, id);
    error(status, kind, &why)
}

/// Why it is refused, in words, and the status that says so.
pub(super) fn why(refusal: &Refusal, id: &str) -> (StatusCode, String) {
    match refusal {
        Refusal::Unknown => (StatusCode::NOT_FOUND, format!("no incident has the number {id}")),
        Refusal::Ambiguous(some) => (
            StatusCode::CONFLICT,
            format!("{some} incidents or more have a number that begins with {id}; write more of it"),
        ),
        Refusal::Resolved => (StatusCode::CONFLICT, format!("the incident {id} is resolved already")),
    }
}

/// Why there are no incidents.
pub(super) const OFF: &str = "no incidents are kept: the agent evaluates no rules, has no state directory, or respond.incidents.enabled is false";

fn off() -> Reply {
    error(StatusCode::NOT_FOUND, "not_found", OFF)
}
