//! Annotations that say when a push changed something. Nobody chooses the id of an annotation, so tags say that it is
//! ours, of which push it is, and of which deployment.

use serde_json::{Value, json};

use super::Connection;
use crate::provision::client::{Failure, Request};
use crate::provision::escape;
use crate::provision::mark::{OURS, mark, short};
use crate::provision::plan::{ActualObject, Kind};

/// Annotations that are asked for at once.
const PAGE: usize = 1000;
/// What stands for all of them in a plan.
const NAME: &str = "of pushes";

/// Marks a push in time, once for the same change.
pub(super) async fn write(
    connection: &Connection,
    change: &str,
    count: usize,
    owner: &str,
) -> Result<(), Failure> {
    let tag = format!("{OURS}:{}", mark(change, owner));
    let there = connection.get(&format!("/api/annotations?tags={}&limit=1", escape(&tag))).await?;
    if there.and_then(|all| all.as_array().map(|all| !all.is_empty())) == Some(true) {
        return Ok(());
    }
    let text = format!("neural-exporter {}: {count} objects changed", env!("CARGO_PKG_VERSION"));
    let body = json!({"text": text, "tags": [OURS, "deploy", tag]});
    connection.client.call(Request::post("/api/annotations").json(&body)).await.map(drop)
}

/// Those of this deployment, as one object: a run that removes what is ours removes them all.
pub(super) async fn read(connection: &Connection, owner: &str) -> Result<Option<ActualObject>, Failure> {
    let ids = ids(connection, owner).await?;
    let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
    let made = Some(mark(&text, owner));
    Ok((!ids.is_empty()).then(|| ActualObject::exact(Kind::Annotations, NAME, text, made)))
}

/// Removes them, page by page, and says how many there were.
pub(super) async fn remove(connection: &Connection, owner: &str) -> Result<Option<String>, Failure> {
    let mut count = 0;
    loop {
        let ids = ids(connection, owner).await?;
        for id in &ids {
            let answer = connection.client.send(Request::delete(format!("/api/annotations/{id}"))).await?;
            if answer.status != 404 {
                answer.good()?;
            }
        }
        count += ids.len();
        if ids.len() < PAGE {
            return Ok(Some(format!("{count} annotations")));
        }
    }
}

async fn ids(connection: &Connection, owner: &str) -> Result<Vec<i64>, Failure> {
    // Those of panels are of people, whatever tags they have.
    // Grafana compares how many tags fit with how many it was asked for, and by its key each of `key` and `key:value` does: two
    // of ours are not one.
    let path = format!("/api/annotations?type=annotation&tags={OURS}&matchAny=true&limit={PAGE}");
    let all = connection.get(&path).await?.unwrap_or_default();
    let ours = all.as_array().into_iter().flatten().filter(|of| made_by(of, owner));
    Ok(ours.filter_map(|of| of.get("id").and_then(Value::as_i64)).collect())
}

/// Whether a tag says that this deployment made it. Before there was a deployment in the tag, that was not said.
fn made_by(annotation: &Value, owner: &str) -> bool {
    let tags = annotation.get("tags").and_then(Value::as_array).into_iter().flatten();
    let marks = tags.filter_map(|tag| tag.as_str()?.strip_prefix(OURS)?.strip_prefix(':'));
    marks.into_iter().any(|mark| mark.split('-').nth(1).is_none_or(|made| made == short(owner)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_of_people_and_of_other_deployments_are_not_ours() {
        let of = |tags: &[&str]| made_by(&json!({"tags": tags}), "neural");
        let tag = |owner: &str| format!("{OURS}:{}", mark("x", owner));
        assert!(of(&[OURS, "deploy", &tag("neural")]) && of(&[OURS, &format!("{OURS}:0123456789abcdef")]));
        assert!(!of(&[OURS, "deploy", &tag("rig2")]) && !of(&[OURS, "electrode changed"]) && !of(&[]));
    }
}
