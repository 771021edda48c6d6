//! Dashboards: found by their fixed ids, distinguished from edited ones by a hash in a tag.
//!
//! A server may write defaults into what was pushed, or migrate it to a newer schema. Then the hash no longer fits, and
//! the message of the newest version says whether it is still ours.

use serde_json::{Value, json};

use super::{Connection, PROVISIONED};
use crate::provision::bundle::Dashboard;
use crate::provision::client::{Failure, Request};
use crate::provision::escape;
use crate::provision::mark::OURS;
use crate::provision::plan::{Action, ActualObject, DesiredObject, Kind, Step};

pub(super) fn wanted(board: &Dashboard, folder: &str) -> DesiredObject {
    DesiredObject { kind: Kind::Dashboard, name: board.uid.clone(), text: canonical(&board.model, folder) }
}

/// The content alone, with sorted keys: without numbers of the server and without our mark.
fn canonical(model: &Value, folder: &str) -> String {
    let mut model = model.clone();
    if let Some(map) = model.as_object_mut() {
        for key in ["id", "version", "iteration"] {
            map.remove(key);
        }
        let tags = map.get("tags").and_then(Value::as_array).cloned().unwrap_or_default();
        let ours = |tag: &Value| tag.as_str().is_some_and(|tag| tag == OURS || mark_of(tag).is_some());
        let tags: Vec<Value> = tags.into_iter().filter(|tag| !ours(tag)).collect();
        map.insert("tags".to_owned(), Value::Array(tags));
    }
    format!("folder: {folder}\n{}\n", serde_json::to_string_pretty(&model).unwrap_or_default())
}

fn mark_of(tag: &str) -> Option<&str> {
    tag.strip_prefix(OURS)?.strip_prefix(':')
}

pub(super) async fn read(
    connection: &mut Connection,
    wanted: &[DesiredObject],
) -> Result<Vec<ActualObject>, Failure> {
    let boards = wanted.iter().filter(|want| want.kind == Kind::Dashboard);
    let mut uids: Vec<String> = boards.map(|want| want.name.clone()).collect();
    let folder = connection.settings.folder_uid.clone();
    let path = format!("/api/search?type=dash-db&tag={OURS}&folderUIDs={}&limit=5000", escape(&folder));
    let tagged = connection.get(&path).await?.unwrap_or_default();
    for item in tagged.as_array().into_iter().flatten() {
        // A server that does not know a key of the query gives everything.
        let word = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
        let tags = item.get("tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let ours = tags.iter().any(|tag| tag == OURS) && word("folderUid") == folder;
        if ours && !uids.iter().any(|uid| uid == word("uid")) {
            uids.push(word("uid").to_owned());
        }
    }
    let mut found = Vec::new();
    for uid in uids {
        found.extend(one(connection, &uid).await?);
    }
    Ok(found)
}

pub(super) async fn one(connection: &mut Connection, uid: &str) -> Result<Option<ActualObject>, Failure> {
    let path = format!("/api/dashboards/uid/{}", escape(uid));
    let answer = connection.client.send(Request::get(&path)).await?;
    let answer = match answer.status {
        // What is not there is forbidden to all but admins.
        404 | 403 => return Ok(None),
        406 => {
            let locked = "it was saved in a schema that this API does not return; save it in the classic schema, or remove it";
            let found = ActualObject::exact(Kind::Dashboard, uid, "", None);
            return Ok(Some(ActualObject { locked: Some(locked.to_owned()), ..found }));
        }
        _ => {
            let unreadable = |why| format!("cannot read dashboard \"{uid}\": {why}");
            answer.good().map_err(|why| why.map_reason(unreadable))?.json()?
        }
    };
    let (model, meta) = (answer.get("dashboard").cloned().unwrap_or_default(), answer.get("meta"));
    let folder = meta.and_then(|meta| meta.get("folderUid")?.as_str()).unwrap_or_default();
    let provisioned = meta.and_then(|meta| meta.get("provisioned")?.as_bool()) == Some(true);
    let version = model.get("version").and_then(Value::as_i64).unwrap_or_default();
    connection.versions.insert((Kind::Dashboard, uid.to_owned()), version);
    let tags = model.get("tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mark = tags.iter().find_map(|tag| mark_of(tag.as_str()?)).map(str::to_owned);
    let mut found = ActualObject::exact(Kind::Dashboard, uid, canonical(&model, folder), mark);
    if found.edited && folder == connection.settings.folder_uid {
        found.edited = last_message(connection, uid).await? != found.mark;
    }
    if provisioned {
        found.locked = Some(PROVISIONED.to_owned());
    }
    Ok(Some(found))
}

/// The mark in the message of the newest version, if it is a message of ours.
async fn last_message(connection: &Connection, uid: &str) -> Result<Option<String>, Failure> {
    let answer = connection
        .client
        .send(Request::get(format!("/api/dashboards/uid/{}/versions?limit=1", escape(uid))))
        .await?;
    // A witness that may not be heard is none; the hash alone decides then.
    let Ok(answer) = answer.good() else { return Ok(None) };
    let answer = answer.json()?;
    // A list in older servers, a page with a list in newer ones.
    let list = answer.as_array().or_else(|| answer.get("versions")?.as_array());
    let message = list.and_then(|list| list.first()?.get("message")?.as_str());
    let mark = message.and_then(|message| message.strip_prefix(OURS)?.rsplit(' ').next());
    Ok(mark.map(str::to_owned))
}

pub(super) async fn write(connection: &Connection, step: &Step) -> Result<Option<String>, Failure> {
    let uid = &step.name;
    let path = format!("/api/dashboards/uid/{}", escape(uid));
    if step.action == Action::Delete {
        let answer = connection.client.send(Request::delete(path)).await?;
        return if answer.status == 404 { Ok(None) } else { answer.good().map(|_| None) };
    }
    let content = step.text.split_once('\n').map(|(_, model)| model).unwrap_or_default();
    let mut model: Value = serde_json::from_str(content).map_err(|why| why.to_string())?;
    let mark = &step.mark;
    if let Some(map) = model.as_object_mut() {
        map.insert("id".to_owned(), Value::Null);
        if step.action == Action::Update {
            let version = connection.versions.get(&(Kind::Dashboard, uid.clone())).copied();
            map.insert("version".to_owned(), json!(version.unwrap_or_default()));
        }
        if let Some(tags) = map.get_mut("tags").and_then(Value::as_array_mut) {
            tags.extend([json!(OURS), json!(format!("{OURS}:{mark}"))]);
        }
    }
    let body = json!({
        "dashboard": model,
        "folderUid": connection.settings.folder_uid,
        "message": format!("{OURS} {} {mark}", env!("CARGO_PKG_VERSION")),
        "overwrite": false,
    });
    let answer = connection.client.send(Request::post("/api/dashboards/db").json(&body)).await?;
    if answer.status == 412
        && answer.json().ok().and_then(|a| a.get("status").cloned()) == Some("name-exists".into())
    {
        let words = answer.words();
        return Err(
            format!("{words}; another dashboard in the folder has this title: rename or move it").into()
        );
    }
    let said = answer.good()?.json()?;
    if said.get("status").and_then(Value::as_str) == Some("pending") {
        let why = "not stored: the server hands dashboards to a repository, where it waits to be merged";
        return Err(why.to_owned().into());
    }
    match said.get("uid").and_then(Value::as_str) {
        Some(other) if other != uid => {
            Err(format!("the server wrote another dashboard instead, \"{other}\"").into())
        }
        _ => Ok(None),
    }
}
