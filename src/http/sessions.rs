//! Sessions over HTTP: which there were, and who begins or ends one by hand.

use hyper::StatusCode;
use hyper::http::request::Parts;
use serde_json::{Value as Json, json};

use super::api::Parameters;
use super::gate::Pass;
use super::reply::Form;
use super::{Reply, Site, reply};
use crate::session::{Desk, Session, SessionFilter};

/// Sessions of a list where it does not say how many.
const LISTED: usize = 100;
/// Sessions of a list at most.
const MOST: usize = 1_000;

/// Who holds the sessions.
pub struct Sessions(pub Box<dyn Desk>);

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions")
    }
}

impl Site {
    /// Lists sessions, the newest first, a page at a time.
    pub(super) fn list_sessions(&self, request: &Parts) -> Reply {
        let Some(sessions) = self.sessions.load_full() else { return off() };
        let parameters = Parameters::read(request, &[]);
        let (wanted, limit) = match wanted(&parameters) {
            Ok(wanted) => wanted,
            Err(why) => return error(StatusCode::BAD_REQUEST, "bad_data", &why),
        };
        let (mut listed, mut next) = (Vec::<Session>::new(), None);
        sessions.0.list(&wanted, &mut |session| {
            if listed.len() == limit {
                next = listed.last().map(|last| last.id.clone());
                return false;
            }
            listed.push(session.clone());
            true
        });
        success(&json!({ "sessions": listed, "next": next }))
    }

    /// One session, by its id, its name, or as the last.
    pub(super) fn one_session(&self, name: &str) -> Reply {
        let Some(sessions) = self.sessions.load_full() else { return off() };
        match sessions.0.find(name) {
            Ok(session) => success(&json!(session)),
            Err(why) => error(StatusCode::NOT_FOUND, "not_found", &why),
        }
    }

    /// Begins a session by hand.
    pub(super) fn start_session(&self, request: &Parts, body: &[u8], _: Pass) -> Reply {
        let Some(sessions) = self.sessions.load_full() else { return off() };
        let parameters = Parameters::read(request, body);
        match sessions.0.start(parameters.get("name").unwrap_or_default()) {
            Ok(session) => success(&json!(session)),
            Err(why) => error(StatusCode::CONFLICT, "not_started", &why),
        }
    }

    /// Ends a session that was begun by hand: the only one, or that of a name.
    pub(super) fn stop_session(&self, name: &str, _: Pass) -> Reply {
        let Some(sessions) = self.sessions.load_full() else { return off() };
        let name = if name == "-" { "" } else { name };
        match sessions.0.stop(name) {
            Ok(session) => success(&json!(session)),
            Err(why) => error(StatusCode::CONFLICT, "not_stopped", &why),
        }
    }

    /// The session of a name, for a report.
    pub(super) fn session(&self, name: &str) -> Result<Session, String> {
        let sessions = self.sessions.load_full();
        sessions.ok_or_else(|| "the agent has not begun to keep sessions".to_owned())?.0.find(name)
    }
}

fn wanted(parameters: &Parameters) -> Result<(SessionFilter, usize), String> {
    let all = |name: &str| -> Vec<String> {
        parameters.all(name).filter(|value| !value.is_empty()).map(str::to_owned).collect()
    };
    let wanted = SessionFilter {
        states: all("state").iter().map(|text| text.parse()).collect::<Result<_, String>>()?,
        origins: all("origin").iter().map(|text| text.parse()).collect::<Result<_, String>>()?,
        name: parameters.get("name").map(str::to_owned),
        before: parameters.get("before").map(str::to_owned),
    };
    let limit = match parameters.get("limit") {
        None => LISTED,
        Some(_) => parameters.limit().map_err(|error| error.text)?,
    };
    if limit == 0 || limit > MOST {
        return Err(format!("limit is from 1 to {MOST}; ask for the next page with before"));
    }
    Ok((wanted, limit))
}

fn off() -> Reply {
    error(StatusCode::NOT_FOUND, "not_found", "the agent has not begun to keep sessions")
}

fn success(data: &Json) -> Reply {
    reply::json(StatusCode::OK, json!({ "status": "success", "data": data }).to_string())
}

fn error(status: StatusCode, kind: &str, why: &str) -> Reply {
    reply::error(Form::Prometheus, status, kind, why)
}
