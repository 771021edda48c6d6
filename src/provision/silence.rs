//! Silences in an Alertmanager, one for a device or a session: made, listed and ended. Times are given by the caller.

use serde_json::{Value, json};

use super::alertmanager::Alertmanager;
use super::client::{Client, Request};
use super::mark::OURS;

/// A silence that is there.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Silence {
    /// The Alertmanager's name for it.
    pub id: String,
    /// `active`, `pending` or `expired`.
    pub state: String,
    /// What it silences: `device="a"`.
    pub matchers: String,
    /// When it ends, RFC 3339.
    pub ends: String,
    /// Why it is there.
    pub comment: String,
}

/// What shall be silent.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// The label, `device` or `session`.
    pub label: &'a str,
    /// Its value.
    pub value: &'a str,
    /// RFC 3339.
    pub starts: &'a str,
    /// RFC 3339.
    pub ends: &'a str,
    /// Why.
    pub comment: &'a str,
}

/// Makes a silence, or moves the end of the one that is there. Gives its id.
///
/// # Errors
/// What the server says.
pub async fn make(settings: &Alertmanager, new: &New<'_>) -> Result<String, String> {
    let client = Client::open(&settings.url, &settings.server)?;
    let wanted = shown(new.label, new.value, false, true);
    let there = list_with(&client).await?.into_iter().find(|s| s.state != "expired" && s.matchers == wanted);
    let mut body = json!({
        "matchers": [{"name": new.label, "value": new.value, "isRegex": false, "isEqual": true}],
        "startsAt": new.starts,
        "endsAt": new.ends,
        "createdBy": OURS,
        "comment": new.comment,
    });
    if let (Some(map), Some(there)) = (body.as_object_mut(), there) {
        map.insert("id".to_owned(), json!(there.id));
    }
    let answer = client.call(Request::post("/api/v2/silences").json(&body)).await?.json()?;
    let id = answer.get("silenceID").and_then(Value::as_str).map(str::to_owned);
    id.ok_or_else(|| "the answer has no silenceID".to_owned())
}

/// The silences that we made.
///
/// # Errors
/// What the server says.
pub async fn list(settings: &Alertmanager) -> Result<Vec<Silence>, String> {
    list_with(&Client::open(&settings.url, &settings.server)?).await
}

/// Ends the silences of ours for a label's value, and gives their ids.
///
/// # Errors
/// What the server says.
pub async fn expire(settings: &Alertmanager, label: &str, value: &str) -> Result<Vec<String>, String> {
    let client = Client::open(&settings.url, &settings.server)?;
    let wanted = shown(label, value, false, true);
    let mut ended = Vec::new();
    for silence in
        list_with(&client).await?.into_iter().filter(|s| s.state != "expired" && s.matchers == wanted)
    {
        client.call(Request::delete(format!("/api/v2/silence/{}", silence.id))).await?;
        ended.push(silence.id);
    }
    Ok(ended)
}

async fn list_with(client: &Client) -> Result<Vec<Silence>, String> {
    let all = client.call(Request::get("/api/v2/silences")).await?.json()?;
    let mut silences = Vec::new();
    for silence in all.as_array().into_iter().flatten() {
        let word = |path: &str| silence.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        if word("/createdBy") != OURS {
            continue;
        }
        let matchers =
            silence.get("matchers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let matcher = |matcher: &Value| {
            let word = |key: &str| matcher.get(key).and_then(Value::as_str).unwrap_or_default();
            let flag = |key: &str| matcher.get(key).and_then(Value::as_bool);
            shown(word("name"), word("value"), flag("isRegex") == Some(true), flag("isEqual") != Some(false))
        };
        silences.push(Silence {
            id: word("/id"),
            state: word("/status/state"),
            matchers: matchers.iter().map(matcher).collect::<Vec<_>>().join(", "),
            ends: word("/endsAt"),
            comment: word("/comment"),
        });
    }
    Ok(silences)
}

fn shown(label: &str, value: &str, regex: bool, equal: bool) -> String {
    let sign = match (regex, equal) {
        (false, true) => "=",
        (false, false) => "!=",
        (true, true) => "=~",
        (true, false) => "!~",
    };
    format!("{label}{sign}\"{value}\"")
}
