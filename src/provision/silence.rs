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

/// Which alerts shall be silent.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The label, `device` or `session`.
    pub label: &'a str,
    /// Its value.
    pub value: &'a str,
    /// Maintenance: the alerts about the agent itself are not silent, nor those of others than ours.
    pub maintenance: bool,
}

impl About<'_> {
    /// The matchers: label, value, whether that is a regular expression, and whether it is to fit.
    fn matchers(&self) -> Vec<(&str, &str, bool, bool)> {
        let mut all = vec![(self.label, self.value, false, true)];
        if self.maintenance {
            all.extend([("alertname", "Neural.+", true, true), ("component", "agent", false, false)]);
        }
        all
    }

    /// As it is shown.
    fn shown(&self) -> String {
        joined(
            self.matchers().into_iter().map(|(name, value, regex, equal)| shown(name, value, regex, equal)),
        )
    }
}

/// What shall be silent.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// Which alerts.
    pub about: About<'a>,
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
    let wanted = new.about.shown();
    let there = list_with(&client).await?.into_iter().find(|s| s.state != "expired" && s.matchers == wanted);
    let matcher = |(name, value, regex, equal)| json!({"name": name, "value": value, "isRegex": regex, "isEqual": equal});
    let mut body = json!({
        "matchers": new.about.matchers().into_iter().map(matcher).collect::<Vec<_>>(),
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

/// Ends the silences of ours for these alerts, and gives their ids.
///
/// # Errors
/// What the server says.
pub async fn expire(settings: &Alertmanager, about: &About<'_>) -> Result<Vec<String>, String> {
    let client = Client::open(&settings.url, &settings.server)?;
    let wanted = about.shown();
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
            matchers: joined(matchers.iter().map(matcher)),
            ends: word("/endsAt"),
            comment: word("/comment"),
        });
    }
    Ok(silences)
}

/// Matchers in an order that does not depend on the server.
fn joined(matchers: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = matchers.collect();
    all.sort();
    all.join(", ")
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
