//! Devices, pipelines and how everything is now, as data: what the page shows, for programs.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderValue, LINK};
use hyper::http::request::Parts;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;

use super::api::Parameters;
use super::reply::Form;
use super::{Reply, Site, accept, reply};
use crate::promql::moment_ms;
use crate::view::data;

/// Components of one answer, at most.
const MOST: usize = 1000;
/// Those of an answer where nothing is said.
const USUAL: usize = 100;

/// Why something is not answered, and the status that says so.
pub(super) type ErrorReply = (StatusCode, String);

/// A number of a query between bounds.
pub(super) fn number(
    parameters: &Parameters,
    name: &str,
    usual: usize,
    (least, most): (usize, usize),
) -> Result<usize, ErrorReply> {
    let Some(text) = parameters.get(name) else { return Ok(usual) };
    let known = text.parse().ok().filter(|number| (least..=most).contains(number));
    let why = || format!("{name} is a whole number from {least} to {most}");
    known.ok_or_else(|| (StatusCode::BAD_REQUEST, why()))
}

/// A part of a long list.
#[derive(Clone, Copy, Debug)]
struct Page {
    limit: usize,
    offset: usize,
}

impl Page {
    fn read(parameters: &Parameters) -> Result<Self, ErrorReply> {
        let limit = number(parameters, "limit", USUAL, (1, MOST))?;
        Ok(Self { limit, offset: number(parameters, "offset", 0, (0, u32::MAX as usize))? })
    }
}

impl Site {
    /// The components of a kind, as a list under a name.
    pub(super) async fn components(
        self: &Arc<Self>,
        kind: &'static str,
        list: &'static str,
        request: &Parts,
    ) -> Reply {
        let page = match Page::read(&Parameters::read(request, &[])) {
            Ok(page) => page,
            Err((status, why)) => return reply::problem(status, &why),
        };
        let made = self.shown(move |snapshot| {
            let all: Vec<_> = snapshot.cards.iter().filter(|card| card.kind == kind).collect();
            let some: Vec<Json> =
                all.iter().skip(page.offset).take(page.limit).map(|card| data::component(card)).collect();
            let next = page.offset.saturating_add(some.len());
            let next = (next < all.len() && !some.is_empty()).then_some(next);
            let body = json!({
                "time": moment_ms(snapshot.at), "total": all.len(), "next_offset": next, list: some,
                "notes": snapshot.notes
            });
            (body.to_string(), next)
        });
        let (body, next) = match made.await {
            Ok(made) => made,
            Err(why) => return why.reply(Form::Problem),
        };
        let mut reply = reply::json(StatusCode::OK, body);
        if let Some(next) = next
            && let Ok(link) =
                HeaderValue::from_str(&format!("<{list}?limit={}&offset={next}>; rel=\"next\"", page.limit))
        {
            reply.headers_mut().insert(LINK, link);
        }
        reply
    }

    /// One component.
    pub(super) async fn component(
        self: &Arc<Self>,
        kind: &'static str,
        list: &'static str,
        name: Option<String>,
    ) -> Reply {
        let wanted = name.unwrap_or_default();
        let made = self.shown(move |snapshot| {
            let card = snapshot.cards.iter().find(|card| card.kind == kind && card.name == wanted)?;
            let mut found = data::component(card);
            if let Some(found) = found.as_object_mut() {
                found.insert("time".to_owned(), moment_ms(snapshot.at).into());
            }
            Some(found.to_string())
        });
        match made.await {
            Ok(Some(text)) => reply::json(StatusCode::OK, text),
            Ok(None) => {
                let why = format!("no {kind} of this name is known now; /api/v1/{list} lists what is");
                reply::problem(StatusCode::NOT_FOUND, &why)
            }
            Err(why) => why.reply(Form::Problem),
        }
    }

    /// How everything is now; as events for who asks for events.
    pub(super) async fn realtime(self: &Arc<Self>, request: &Parts) -> Reply {
        if accept::events(&request.headers) {
            return reply::events();
        }
        let made = self.shown(|snapshot| data::realtime(snapshot).to_string()).await;
        made.map_or_else(|why| why.reply(Form::Problem), |text| reply::json(StatusCode::OK, text))
    }

    /// The same each second, for as long as the client reads it.
    pub(super) fn live_realtime(self: &Arc<Self>) -> mpsc::Receiver<Bytes> {
        self.follow(|pieces, _| pieces.realtime.clone())
    }

    /// What the page shows, as JSON. Its tag is of what it shows and not of when.
    pub(super) async fn snapshot_json(self: &Arc<Self>, request: &Parts) -> Reply {
        let made = self.shown(|snapshot| {
            let text = serde_json::to_string(snapshot).unwrap_or_default();
            let timeless = text.split_once(',').map_or("", |(_, rest)| rest);
            (format!("W/{}", reply::tag(timeless.as_bytes())), text)
        });
        let (tag, text) = match made.await {
            Ok(made) => made,
            Err(why) => return why.reply(Form::Problem),
        };
        reply::tagged(&request.headers, "application/json", &tag, text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds() {
        let of = |query: &str| {
            let request = hyper::Request::builder().uri(format!("/?{query}")).body(()).unwrap();
            Page::read(&Parameters::read(&request.into_parts().0, &[])).map(|page| (page.limit, page.offset))
        };
        assert_eq!(of("").unwrap(), (USUAL, 0));
        assert_eq!(of("limit=7&offset=20").unwrap(), (7, 20));
        for wrong in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "limit=-1",
            "offset=-1",
            "offset=1e3",
            "limit=99999999999999999999",
        ] {
            assert_eq!(of(wrong).unwrap_err().0, StatusCode::BAD_REQUEST, "{wrong}");
        }
    }
}
