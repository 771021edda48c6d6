//! The description of the API, written from the table of routes.

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use super::Reply;
use super::reply::{self, Form};
use super::routes::{Effect, Operation, Parameter, ROUTES, Row, Verb, failure, problem};

/// The document: it is the same for as long as the program runs.
static DOCUMENT: LazyLock<(Bytes, String)> = LazyLock::new(|| {
    let text = serde_json::to_string(&write()).unwrap_or_default() + "\n";
    let tag = reply::tag(text.as_bytes());
    (text.into(), tag)
});

/// Answers with the document.
pub(super) fn document(headers: &HeaderMap) -> Reply {
    let (text, tag) = &*DOCUMENT;
    reply::tagged(headers, "application/json", tag, text.clone())
}

/// The whole document.
pub(super) fn write() -> Json {
    let place = |settings: &mut SchemaSettings| settings.definitions_path = "/components/schemas".into();
    let mut schemas = SchemaSettings::draft2020_12().for_serialize().with(place).into_generator();
    let mut paths = Map::new();
    for row in ROUTES.iter().filter(|row| row.documented) {
        let mut item = Map::new();
        for operation in row.operations {
            item.insert(operation.verb.as_str().to_ascii_lowercase(), describe(row, operation, &mut schemas));
        }
        paths.insert(row.path.to_owned(), Json::Object(item));
    }
    let mut known = schemas.take_definitions(true);
    known.insert("Problem".to_owned(), problem(&mut schemas));
    known.insert("Failure".to_owned(), failure(&mut schemas));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "neural-exporter",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "What an agent knows of devices, pipelines and the machine, and what it remembers.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"}
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": known}
    })
}

fn describe(row: &Row, operation: &Operation, schemas: &mut SchemaGenerator) -> Json {
    let mut about = json!({
        "operationId": operation.name,
        "summary": operation.about,
        "responses": responses(row, operation, schemas)
    });
    let Some(fields) = about.as_object_mut() else { return about };
    // What a form has does not stand in the query as well.
    let form = operation.effect == Effect::Question;
    let asks = operation.asks.iter().filter(|asked| !form || is_in_path(row, asked));
    let parameters: Vec<Json> = asks.map(|asked| parameter(row, asked)).collect();
    if !parameters.is_empty() {
        fields.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(body) = &operation.body {
        let schema = if form { form_of(row, operation.asks) } else { (body.shape)(schemas) };
        let required = !form || operation.asks.iter().any(|asked| asked.required && !is_in_path(row, asked));
        fields.insert(
            "requestBody".to_owned(),
            json!({"required": required, "content": {body.kind: {"schema": schema}}}),
        );
    }
    about
}

fn is_in_path(row: &Row, asked: &Parameter) -> bool {
    row.path.contains(&format!("{{{}}}", asked.name))
}

/// What a parameter may be. One that is empty is not said.
fn schema_of(asked: &Parameter) -> Json {
    let schema: Json = serde_json::from_str(asked.schema).unwrap_or_default();
    let kind = schema.get("type").and_then(Json::as_str);
    if asked.required || matches!(kind, Some("array" | "string")) {
        return schema;
    }
    json!({"anyOf": [schema, {"const": ""}]})
}

fn parameter(row: &Row, asked: &Parameter) -> Json {
    let place = if is_in_path(row, asked) { "path" } else { "query" };
    json!({
        "name": asked.name, "in": place, "required": asked.required, "description": asked.about,
        "schema": schema_of(asked)
    })
}

/// The parameters as the fields of a form, in which one of several may stand alone.
fn form_of(row: &Row, asks: &[Parameter]) -> Json {
    let fields = || asks.iter().filter(|asked| !is_in_path(row, asked));
    let schema = |asked: &Parameter| {
        let schema = schema_of(asked);
        let one = schema.get("items").cloned();
        one.map_or_else(|| schema.clone(), |one| json!({"anyOf": [schema, one]}))
    };
    let properties: Map<String, Json> =
        fields().map(|asked| (asked.name.to_owned(), schema(asked))).collect();
    let required: Vec<&str> = fields().filter(|asked| asked.required).map(|asked| asked.name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// Every answer by its status: what the operation gives, how it fails, and how anything of its kind fails.
fn responses(row: &Row, operation: &Operation, schemas: &mut SchemaGenerator) -> Json {
    let mut all = Map::new();
    for content in operation.gives {
        let known = all
            .entry(content.status.to_string())
            .or_insert_with(|| json!({"description": words(content.status), "content": {}}));
        if let Some(known) = known.get_mut("content").and_then(Json::as_object_mut) {
            known.insert(content.kind.to_owned(), json!({"schema": (content.shape)(schemas)}));
        }
    }
    let is_read = operation.verb == Verb::Get;
    // 503: other requests wait for a disk that does not answer.
    let usual: &[u16] = if is_read { &[400, 403, 503] } else { &[400, 403, 408, 413, 503] };
    let not_acceptable: &[u16] = if row.form == Form::Problem { &[406] } else { &[] };
    for status in usual.iter().chain(not_acceptable).chain(operation.fails) {
        let failure = error(row.form, *status);
        match all.get_mut(&status.to_string()).and_then(|known| known.get_mut("content")?.as_object_mut()) {
            Some(known) => {
                // A status that has an answer of its own as well: either.
                if let (Some(first), Some(second)) = (
                    known.get("application/json").cloned(),
                    failure.pointer("/content/application~1json/schema"),
                ) {
                    let either = json!({"schema": {"anyOf": [first.get("schema"), second]}});
                    known.insert("application/json".to_owned(), either);
                }
            }
            None => drop(all.insert(status.to_string(), failure)),
        }
    }
    Json::Object(all)
}

fn words(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("An answer")
}

/// An error in a form. What ends a request before its route is looked at is a line of text.
fn error(form: Form, status: u16) -> Json {
    let text = ("text/plain; charset=utf-8", json!({"type": "string"}));
    let (kind, schema) = match (form, status) {
        (_, 408 | 413) | (Form::Text, _) => text,
        (Form::Problem, _) => ("application/problem+json", json!({"$ref": "#/components/schemas/Problem"})),
        (Form::Prometheus, _) => ("application/json", json!({"$ref": "#/components/schemas/Failure"})),
        (Form::Alertmanager, _) => ("application/json", json!({"type": "string"})),
    };
    if status == 304 {
        return json!({"description": words(status)});
    }
    if status == 303 {
        return json!({"description": words(status), "headers": {"Location": {"schema": {"type": "string"}}}});
    }
    json!({"description": words(status), "content": {kind: {"schema": schema}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_every_operation_and_what_it_refers_to() {
        let whole = write();
        let operations: usize =
            whole["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
        let rows = ROUTES.iter().filter(|row| row.documented).map(|row| row.operations.len()).sum::<usize>();
        assert_eq!(operations, rows);
        let text = whole.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(whole.pointer(pointer).is_some(), "{pointer}");
        }
        assert!(!text.contains("\"schema\":null"), "a schema that is no JSON");
    }

    #[test]
    fn who_has_the_document_is_told_that_it_is_the_same() {
        let first = document(&HeaderMap::new());
        let tag = first.headers()["etag"].clone();
        for (known, status) in [
            (tag.to_str().unwrap().to_owned(), 304),
            (format!("\"other\", W/{}", tag.to_str().unwrap()), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("if-none-match", known.parse().unwrap());
            let reply = document(&headers);
            assert_eq!(reply.status(), status, "{known}");
            assert_eq!(reply.body().is_empty(), status == 304);
        }
    }
}
