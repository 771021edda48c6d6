//! Silences over HTTP, as Alertmanager's API v2 has them: what speaks to an Alertmanager speaks to the agent.

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use parking_lot::Mutex;

use super::gate::Pass;
use super::{Reply, Site, reply};
use crate::alert::silence::{Silence, SilenceError, Silences};
use crate::backoff::draw;
use crate::clock::now;

/// The silences of the agent, and who is notified that they changed.
pub struct Silencer {
    /// All of them.
    pub silences: Arc<Mutex<Silences>>,
    /// Hears of each change.
    pub changed: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Silencer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Silencer")
    }
}

impl Site {
    /// Answers for silences.
    pub(super) fn silence(&self, id: Option<&str>, request: &Parts, body: &[u8], _: Pass) -> Reply {
        let Some(silencer) = self.silencer.load_full() else {
            return reply::text(
                StatusCode::NOT_FOUND,
                "there are no silences here; set respond.notify, or ask the Alertmanager\n",
            );
        };
        let at = now().wall_milliseconds();
        let mut silences = silencer.silences.lock();
        let reply = match (&request.method, id) {
            (&Method::POST, _) => match serde_json::from_slice::<Silence>(body) {
                Ok(wanted) => match silences.set(wanted, uuid(), at) {
                    Ok(id) => reply::json(StatusCode::OK, serde_json::json!({ "silenceID": id }).to_string()),
                    Err(SilenceError::Unknown) => return wrong(StatusCode::NOT_FOUND, "silence not found"),
                    Err(SilenceError::Wrong(why)) => return wrong(StatusCode::BAD_REQUEST, &why),
                },
                Err(why) => return wrong(StatusCode::BAD_REQUEST, &format!("bad_data: {why}")),
            },
            (&Method::DELETE, id) => {
                if !silences.end(id.unwrap_or_default(), at) {
                    return wrong(StatusCode::NOT_FOUND, "silence not found");
                }
                reply::json(StatusCode::OK, "{}".to_owned())
            }
            (_, None) => return reply::json(StatusCode::OK, silences.list(at).to_string()),
            (_, Some(id)) => {
                return match silences.one(id, at) {
                    Some(one) => reply::json(StatusCode::OK, one.to_string()),
                    None => wrong(StatusCode::NOT_FOUND, "silence not found"),
                };
            }
        };
        drop(silences);
        (silencer.changed)();
        reply
    }
}

/// An error as Alertmanager writes it: a text in JSON.
fn wrong(status: StatusCode, why: &str) -> Reply {
    reply::json(status, serde_json::Value::from(why).to_string())
}

/// A name that no other silence has.
pub(super) fn uuid() -> String {
    let (high, low) = (draw(), draw());
    let high = high & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}
