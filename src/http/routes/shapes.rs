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
fn of<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Json {
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

/// Fields of numbers that may not be known, after others.
fn numbers(first: &Json, names: &[&str]) -> Json {
    let mut all = first.clone();
    for name in names {
        if let Some(properties) = all.get_mut("properties").and_then(Json::as_object_mut) {
            properties.insert((*name).to_owned(), json!({"type": ["number", "null"]}));
        }
    }
    let known: Vec<Json> = all
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str().into())
        .collect();
    if let Some(all) = all.as_object_mut() {
        all.insert("required".to_owned(), known.into());
    }
    all
}

fn object_of(properties: &Json) -> Json {
    numbers(&json!({"type": "object", "properties": properties}), &[])
}

fn figures_of(names: &[&str]) -> Json {
    numbers(&json!({"type": "object", "properties": {}}), names)
}

fn moment() -> Json {
    json!({"type": "string", "format": "date-time"})
}

/// An answer of the replaced API.
fn answered(data: &Json) -> Json {
    json!({"type": "object", "required": ["status", "data"], "properties": {"status": {"const": "success"}, "data": data}})
}

pub(super) fn old_dashboard(_: &mut SchemaGenerator) -> Json {
    let trend = json!({"enum": ["increasing", "decreasing", "stable", null]});
    let metric = numbers(
        &json!({"type": "object", "properties": {"trend": trend}}),
        &["current", "average", "min", "max"],
    );
    answered(&object_of(&json!({
        "timestamp": moment(), "time_range": object_of(&json!({"start": moment(), "end": moment()})),
        "status": {"type": "string"}, "metrics": {"type": "object", "additionalProperties": metric},
        "services": {"type": "object"}, "active_alerts": list(&json!({"type": "object"}))
    })))
}

fn old_metric() -> Json {
    object_of(&json!({
        "name": {"type": "string"}, "value": {"type": "number"}, "metric_type": {"enum": ["gauge", "counter", "histogram"]},
        "timestamp": moment(), "service_name": {"type": ["string", "null"]}, "tags": labels(),
        "unit": {"type": "string"}, "description": {"type": "string"}
    }))
}

pub(super) fn old_metrics(_: &mut SchemaGenerator) -> Json {
    answered(&object_of(&json!({
        "metrics": list(&old_metric()), "count": {"type": "integer", "minimum": 0},
        "time_range": object_of(&json!({"start": moment(), "end": moment()}))
    })))
}

pub(super) fn new_metric(_: &mut SchemaGenerator) -> Json {
    json!({
        "type": "object", "required": ["name", "value", "service_name"],
        "properties": {
            "name": {"type": "string", "pattern": "^[a-zA-Z][a-zA-Z0-9_.-]{0,99}$", "description": "Dots and dashes become underscores."},
            "value": {"type": "number"},
            "metric_type": {"enum": ["gauge", "counter", "histogram", "timer"], "default": "gauge"},
            "service_name": {"type": "string"},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Labels beside `service`."},
            "unit": {"type": "string"}, "description": {"type": "string"}
        }
    })
}

pub(super) fn stored_metric(_: &mut SchemaGenerator) -> Json {
    let mut all = answered(&old_metric());
    if let Some(known) = all.get_mut("properties").and_then(Json::as_object_mut) {
        known.insert("message".to_owned(), json!({"type": "string"}));
    }
    all
}

pub(super) fn old_system(_: &mut SchemaGenerator) -> Json {
    answered(&numbers(
        &json!({"type": "object", "properties": {
            "timestamp": moment(),
            "memory": figures_of(&["usage_bytes", "usage_percent"]), "disk": figures_of(&["usage_bytes", "usage_percent"]),
            "network": figures_of(&["bytes_sent", "bytes_recv"]), "load_average": figures_of(&["1min", "5min", "15min"]),
            "processes": figures_of(&["count", "threads", "running"])
        }}),
        &["cpu_percent"],
    ))
}

pub(super) fn old_service(_: &mut SchemaGenerator) -> Json {
    answered(&numbers(
        &json!({"type": "object", "properties": {
            "service_name": {"type": "string"}, "timestamp": moment(),
            "memory": figures_of(&["usage_bytes", "usage_percent"]), "io": figures_of(&["read_bytes", "write_bytes"]),
            "files": figures_of(&["open"]), "network": figures_of(&["connections"]),
            "requests": figures_of(&["count", "errors", "response_time"])
        }}),
        &["cpu_percent", "threads"],
    ))
}

pub(super) fn old_health(_: &mut SchemaGenerator) -> Json {
    let maybe = json!({"type": ["string", "null"]});
    answered(&numbers(
        &json!({"type": "object", "properties": {
            "monitoring_active": {"type": "boolean"}, "dashboard_active": {"type": "boolean"},
            "recent_metrics_count": {"type": "integer"}, "database_path": maybe, "last_collection": maybe
        }}),
        &["collection_interval"],
    ))
}

pub(super) fn cleaned(_: &mut SchemaGenerator) -> Json {
    let data = object_of(
        &json!({"deleted_records": {"type": "integer", "minimum": 0}, "retention_days": {"type": "integer"}}),
    );
    let mut all = answered(&data);
    if let Some(known) = all.get_mut("properties").and_then(Json::as_object_mut) {
        known.insert("message".to_owned(), json!({"type": "string"}));
    }
    all
}

pub(super) fn old_regressions(_: &mut SchemaGenerator) -> Json {
    let (text, maybe) = (json!({"type": "string"}), json!({"type": ["string", "null"]}));
    let one = numbers(
        &json!({"type": "object", "properties": {
            "metric_name": text, "service_name": maybe, "is_regression": {"type": "boolean"}, "severity": maybe,
            "detected_at": maybe, "description": text
        }}),
        &["baseline_value", "current_value", "change_percent"],
    );
    answered(&object_of(&json!({
        "regressions": list(&one), "count": {"type": "integer", "minimum": 0}, "analysis_period_hours": {"type": "integer"},
        "baselines": {"type": "array", "items": {"type": "string"}, "description": "What was compared with; if there is none, nothing is known."}
    })))
}

pub(super) fn old_benchmarks(schemas: &mut SchemaGenerator) -> Json {
    let all = list(&of::<Listed>(schemas));
    answered(&object_of(&json!({"benchmarks": all, "count": {"type": "integer", "minimum": 0}})))
}

pub(super) fn old_comparison(schemas: &mut SchemaGenerator) -> Json {
    answered(&of::<Comparison>(schemas))
}

pub(super) fn recorded(_: &mut SchemaGenerator) -> Json {
    json!({
        "type": "object", "required": ["name"],
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$"},
            "duration_minutes": {"type": "integer", "minimum": 1, "maximum": 1440, "default": 60},
            "services": {"type": ["array", "null"], "items": {"type": "string"}, "description": "What is of these alone."}
        }
    })
}

pub(super) fn compared(_: &mut SchemaGenerator) -> Json {
    json!({
        "type": "object",
        "properties": {
            "baseline_name": {"type": "string", "description": "Not read: the path names it."},
            "duration_minutes": {"type": "integer", "minimum": 1, "maximum": 1440, "default": 60}
        }
    })
}

pub(super) fn old_realtime(_: &mut SchemaGenerator) -> Json {
    numbers(
        &json!({"type": "object", "properties": {"timestamp": moment(), "activeIssues": {"type": "integer"}}}),
        &[
            "currentThroughput",
            "averageLatency",
            "errorRate",
            "cacheHitRate",
            "queueDepth",
            "tokenUsagePercent",
        ],
    )
}

pub(super) fn old_issues(_: &mut SchemaGenerator) -> Json {
    let text = json!({"type": "string"});
    list(&numbers(
        &json!({"type": "object", "properties": {
            "id": text, "type": text, "category": text, "severity": {"enum": ["info", "warning", "critical"]}, "message": text,
            "timestamp": moment(), "recommendation": {"type": ["string", "null"]}
        }}),
        &["currentValue", "threshold"],
    ))
}

pub(super) fn old_report(_: &mut SchemaGenerator) -> Json {
    let stage = figures_of(&[
        "count",
        "totalDuration",
        "averageDuration",
        "minDuration",
        "maxDuration",
        "p50Duration",
        "p95Duration",
        "p99Duration",
        "errorCount",
        "errorRate",
    ]);
    let point = numbers(&json!({"type": "object", "properties": {"timestamp": moment()}}), &["depth"]);
    let queue = json!({"type": "object", "properties": {"depthHistory": list(&point)}});
    numbers(
        &json!({"type": "object", "properties": {
            "generatedAt": moment(), "timeWindowMinutes": {"type": "integer"},
            "stageBreakdown": {"type": "object", "additionalProperties": stage},
            "throughput": figures_of(&["signalsPerMinute", "signalsPerHour", "totalSignalsProcessed", "averageSignalsPerMinute"]),
            "cacheEfficiency": figures_of(&["totalRequests", "cacheHits", "cacheMisses", "hitRate"]),
            "tokenUsage": figures_of(&[
                "totalTokens", "totalCost", "averageTokensPerRequest", "dailyTokens", "dailyCost", "dailyLimit", "percentOfLimit",
            ]),
            "queueMetrics": numbers(&queue, &["currentDepth", "averageDepth", "maxDepth"])
        }}),
        &["averageTotalTime", "errorRate", "totalErrors"],
    )
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

fn list(items: &Json) -> Json {
    json!({"type": "array", "items": items})
}

fn labels() -> Json {
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
