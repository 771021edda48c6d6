//! What answers look like: JSON Schemas.
//!
//! Those of our own types are generated from the types; those of Prometheus and Alertmanager are written here.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value as Json, json};

use crate::alert::health::Verdict;
use crate::view::benchmark::{Benchmark, Comparison, Listed, Regressions};
use crate::view::report::Report;
use crate::view::{Snapshot, data};

/// The schema of a type.
pub(super) fn of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Json {
    schemas.subschema_for::<T>().to_value()
}

pub(super) fn snapshot(schemas: &mut SchemaGenerator) -> Json {
    json!({"allOf": [of::<Snapshot>(schemas), {"type": "object", "properties": {"figures": data::figures_schema()}}]})
}

pub(super) fn health(schemas: &mut SchemaGenerator) -> Json {
    of::<Verdict>(schemas)
}

pub(super) fn report(schemas: &mut SchemaGenerator) -> Json {
    of::<Report>(schemas)
}

fn page_of(list: &str, component: &str) -> Json {
    json!({
        "type": "object", "required": ["time", "total", "next_offset", list, "notes"],
        "properties": {
            "time": {"type": "string", "format": "date-time"},
            "total": {"type": "integer", "minimum": 0, "description": "How many there are in all."},
            "next_offset": {"type": ["integer", "null"], "description": "The offset of the next page, if there is one."},
            list: {"type": "array", "items": data::component_schema(component)},
            "notes": {"type": "array", "items": {"type": "string"}, "description": "What keeps this from being complete."}
        }
    })
}

fn one_of(component: &str) -> Json {
    let time = json!({"type": "object", "required": ["time"], "properties": {"time": {"type": "string", "format": "date-time"}}});
    json!({"allOf": [data::component_schema(component), time]})
}

pub(super) fn devices(_: &mut SchemaGenerator) -> Json {
    page_of("devices", "device")
}

pub(super) fn device(_: &mut SchemaGenerator) -> Json {
    one_of("device")
}

pub(super) fn pipelines(_: &mut SchemaGenerator) -> Json {
    page_of("pipelines", "pipeline")
}

pub(super) fn pipeline(_: &mut SchemaGenerator) -> Json {
    one_of("pipeline")
}

pub(super) fn realtime(_: &mut SchemaGenerator) -> Json {
    data::realtime_schema()
}

pub(super) fn text(_: &mut SchemaGenerator) -> Json {
    json!({"type": "string"})
}

/// Problem details, as RFC 9457 has them.
pub(crate) fn problem(_: &mut SchemaGenerator) -> Json {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "const": "about:blank"},
            "title": {"type": "string", "description": "What the status means."},
            "status": {"type": "integer", "description": "The status of the answer."},
            "detail": {"type": "string", "description": "What is wrong, and what to do."}
        }
    })
}

/// An error of Prometheus.
pub(crate) fn failure(_: &mut SchemaGenerator) -> Json {
    json!({
        "type": "object",
        "required": ["status", "errorType", "error"],
        "properties": {"status": {"const": "error"}, "errorType": {"type": "string"}, "error": {"type": "string"}}
    })
}

/// An answer of Prometheus with these data.
fn success(data: &Json) -> Json {
    let words = json!({"type": "array", "items": {"type": "string"}});
    json!({
        "type": "object",
        "required": ["status", "data"],
        "properties": {"status": {"const": "success"}, "data": data, "warnings": words, "infos": words}
    })
}

pub(super) fn list(items: &Json) -> Json {
    json!({"type": "array", "items": items})
}

pub(super) fn labels() -> Json {
    json!({"type": "object", "additionalProperties": {"type": "string"}})
}

pub(super) fn query(_: &mut SchemaGenerator) -> Json {
    let sample = json!({
        "type": "array", "minItems": 2, "maxItems": 2,
        "items": {"type": ["number", "string"]},
        "description": "Seconds since the epoch, and the value as text."
    });
    let element = json!({
        "type": "object", "required": ["metric"],
        "properties": {"metric": labels(), "value": sample, "values": list(&sample)}
    });
    success(&json!({
        "type": "object",
        "required": ["resultType", "result"],
        "properties": {
            "resultType": {"enum": ["matrix", "vector", "scalar", "string"]},
            "result": {"anyOf": [list(&element), sample]}
        }
    }))
}

pub(super) fn series(_: &mut SchemaGenerator) -> Json {
    success(&list(&labels()))
}

pub(super) fn words(_: &mut SchemaGenerator) -> Json {
    success(&list(&json!({"type": "string"})))
}

pub(super) fn word(_: &mut SchemaGenerator) -> Json {
    success(&json!({"type": "string"}))
}

pub(super) fn metadata(_: &mut SchemaGenerator) -> Json {
    let about = json!({
        "type": "object", "required": ["type", "help", "unit"],
        "properties": {"type": {"type": "string"}, "help": {"type": "string"}, "unit": {"type": "string"}}
    });
    success(&json!({"type": "object", "additionalProperties": list(&about)}))
}

pub(super) fn exemplars(_: &mut SchemaGenerator) -> Json {
    let exemplar = json!({
        "type": "object", "required": ["labels", "value", "timestamp"],
        "properties": {"labels": labels(), "value": {"type": "string"}, "timestamp": {"type": "number"}}
    });
    success(&list(&json!({
        "type": "object", "required": ["seriesLabels", "exemplars"],
        "properties": {"seriesLabels": labels(), "exemplars": list(&exemplar)}
    })))
}

fn alert() -> Json {
    json!({
        "type": "object", "required": ["labels", "annotations", "state", "value"],
        "properties": {
            "labels": labels(), "annotations": labels(), "state": {"enum": ["pending", "firing", "inactive"]},
            "value": {"type": "string"}, "activeAt": {"type": "string"}
        }
    })
}

pub(super) fn alerts(_: &mut SchemaGenerator) -> Json {
    success(&json!({"type": "object", "required": ["alerts"], "properties": {"alerts": list(&alert())}}))
}

pub(super) fn rules(_: &mut SchemaGenerator) -> Json {
    let rule = json!({
        "type": "object", "required": ["name", "query", "health", "type"],
        "properties": {
            "name": {"type": "string"}, "query": {"type": "string"}, "health": {"type": "string"},
            "type": {"enum": ["alerting", "recording"]}, "alerts": list(&alert())
        }
    });
    let group = json!({
        "type": "object", "required": ["name", "file", "rules", "interval"],
        "properties": {
            "name": {"type": "string"}, "file": {"type": "string"}, "rules": list(&rule), "interval": {"type": "number"}
        }
    });
    success(&json!({"type": "object", "required": ["groups"], "properties": {"groups": list(&group)}}))
}

pub(super) fn object(_: &mut SchemaGenerator) -> Json {
    success(&json!({"type": "object"}))
}

pub(super) fn targets(_: &mut SchemaGenerator) -> Json {
    list(&json!({
        "type": "object", "required": ["targets", "labels"],
        "properties": {"targets": list(&json!({"type": "string"})), "labels": labels()}
    }))
}

/// Anything that is an object.
pub(super) fn any_object(_: &mut SchemaGenerator) -> Json {
    json!({"type": "object"})
}

fn matcher() -> Json {
    json!({
        "type": "object", "required": ["name", "value", "isRegex"],
        "properties": {
            "name": {"type": "string"}, "value": {"type": "string"}, "isRegex": {"type": "boolean"},
            "isEqual": {"type": "boolean", "default": true}
        }
    })
}

pub(super) fn new_silence(_: &mut SchemaGenerator) -> Json {
    let moment = json!({"type": "string", "format": "date-time"});
    json!({
        "type": "object", "required": ["matchers", "startsAt", "endsAt", "createdBy", "comment"],
        "properties": {
            "id": {"type": "string"}, "matchers": list(&matcher()), "startsAt": moment, "endsAt": moment,
            "createdBy": {"type": "string"}, "comment": {"type": "string"}
        }
    })
}

pub(super) fn silence(schemas: &mut SchemaGenerator) -> Json {
    let mut silence = new_silence(schemas);
    if let Some(known) = silence.get_mut("required").and_then(Json::as_array_mut) {
        known.extend(["id".into(), "status".into(), "updatedAt".into()]);
    }
    if let Some(known) = silence.get_mut("properties").and_then(Json::as_object_mut) {
        let states = json!(["active", "pending", "expired"]);
        known.insert("updatedAt".into(), json!({"type": "string", "format": "date-time"}));
        known.insert(
            "status".into(),
            json!({"type": "object", "required": ["state"], "properties": {"state": {"enum": states}}}),
        );
    }
    silence
}

pub(super) fn silences(schemas: &mut SchemaGenerator) -> Json {
    list(&silence(schemas))
}

pub(super) fn silence_id(_: &mut SchemaGenerator) -> Json {
    json!({"type": "object", "required": ["silenceID"], "properties": {"silenceID": {"type": "string"}}})
}

pub(super) fn message(_: &mut SchemaGenerator) -> Json {
    let alert = json!({
        "type": "object", "required": ["status", "labels"],
        "properties": {
            "status": {"type": "string", "description": "`firing` or `resolved`."}, "labels": labels(), "annotations": labels(),
            "startsAt": {"type": "string", "description": "RFC 3339."}, "endsAt": {"type": "string", "description": "RFC 3339."},
            "fingerprint": {}
        }
    });
    json!({
        "type": "object", "required": ["version", "alerts"],
        "properties": {"version": {"type": "string", "const": "4"}, "alerts": list(&alert)}
    })
}

fn incident() -> Json {
    json!({
        "type": "object", "required": ["id", "state"],
        "properties": {"id": {"type": "string"}, "state": {"enum": ["open", "escalated", "acknowledged", "resolved"]}}
    })
}

pub(super) fn one_incident(_: &mut SchemaGenerator) -> Json {
    success(&incident())
}

pub(super) fn incidents(_: &mut SchemaGenerator) -> Json {
    success(
        &json!({"type": "object", "required": ["incidents"], "properties": {"incidents": list(&incident())}}),
    )
}

pub(super) fn incident_silence(_: &mut SchemaGenerator) -> Json {
    success(
        &json!({"type": "object", "required": ["silenceID"], "properties": {"silenceID": {"type": "string"}}}),
    )
}

pub(super) fn tasks(_: &mut SchemaGenerator) -> Json {
    let task = json!({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}});
    success(&json!({"type": "object", "required": ["tasks"], "properties": {"tasks": list(&task)}}))
}

pub(super) fn begun(_: &mut SchemaGenerator) -> Json {
    success(&json!({
        "type": "object", "required": ["name", "runs"],
        "properties": {"name": {"type": "string"}, "runs": {"type": "integer", "minimum": 0}}
    }))
}

/// The document itself.
pub(super) fn document(_: &mut SchemaGenerator) -> Json {
    json!({
        "type": "object", "required": ["openapi", "info", "paths"],
        "properties": {"openapi": {"type": "string"}, "info": {"type": "object"}, "paths": {"type": "object"}}
    })
}

pub(super) fn preview(_: &mut SchemaGenerator) -> Json {
    let side = list(&json!({"type": ["number", "null"]}));
    let channel = json!({
        "type": "object", "required": ["channel", "least", "greatest"],
        "properties": {"channel": {"type": "integer"}, "least": side, "greatest": side}
    });
    json!({
        "type": "object", "required": ["device", "volts", "seconds_of_a_piece", "channels"],
        "properties": {
            "device": {"type": "string"}, "volts": {"type": "boolean"}, "seconds_of_a_piece": {"type": "number"},
            "channels": list(&channel)
        }
    })
}

pub(super) fn benchmark(schemas: &mut SchemaGenerator) -> Json {
    schemas.subschema_for::<Benchmark>().to_value()
}

pub(super) fn one_benchmark(schemas: &mut SchemaGenerator) -> Json {
    success(&benchmark(schemas))
}

pub(super) fn kept_benchmark(schemas: &mut SchemaGenerator) -> Json {
    success(&schemas.subschema_for::<Listed>().to_value())
}

pub(super) fn benchmarks(schemas: &mut SchemaGenerator) -> Json {
    let (one, words) =
        (schemas.subschema_for::<Listed>().to_value(), json!({"type": "array", "items": {"type": "string"}}));
    success(&json!({
        "type": "object", "required": ["benchmarks", "damaged"],
        "properties": {"benchmarks": list(&one), "damaged": words}
    }))
}

pub(super) fn comparison(schemas: &mut SchemaGenerator) -> Json {
    success(&schemas.subschema_for::<Comparison>().to_value())
}

pub(super) fn regressions(schemas: &mut SchemaGenerator) -> Json {
    success(&schemas.subschema_for::<Regressions>().to_value())
}

pub(super) fn removed(_: &mut SchemaGenerator) -> Json {
    success(
        &json!({"type": "object", "required": ["removed"], "properties": {"removed": {"type": "string"}}}),
    )
}

pub(super) fn session(schemas: &mut SchemaGenerator) -> Json {
    success(&schemas.subschema_for::<crate::session::Session>().to_value())
}

pub(super) fn sessions(schemas: &mut SchemaGenerator) -> Json {
    let one = schemas.subschema_for::<crate::session::Session>().to_value();
    success(&json!({
        "type": "object", "required": ["sessions"],
        "properties": {"sessions": list(&one), "next": {"type": ["string", "null"]}}
    }))
}
