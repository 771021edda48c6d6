//! What the routes of the replaced systems answer, as JSON Schemas.

use schemars::SchemaGenerator;
use serde_json::{Value as Json, json};

use super::shapes::{labels, list, of};
use crate::view::benchmark::{Comparison, Listed};

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

pub(super) fn dashboard(_: &mut SchemaGenerator) -> Json {
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

pub(super) fn metrics(_: &mut SchemaGenerator) -> Json {
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

pub(super) fn system(_: &mut SchemaGenerator) -> Json {
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

pub(super) fn service(_: &mut SchemaGenerator) -> Json {
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

pub(super) fn health(_: &mut SchemaGenerator) -> Json {
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

pub(super) fn regressions(_: &mut SchemaGenerator) -> Json {
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

pub(super) fn benchmarks(schemas: &mut SchemaGenerator) -> Json {
    let all = list(&of::<Listed>(schemas));
    answered(&object_of(&json!({"benchmarks": all, "count": {"type": "integer", "minimum": 0}})))
}

pub(super) fn comparison(schemas: &mut SchemaGenerator) -> Json {
    answered(&of::<Comparison>(schemas))
}

pub(super) fn recorded(_: &mut SchemaGenerator) -> Json {
    json!({
        "type": "object", "required": ["name"],
        "properties": {
            "name": {"type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$"},
            "duration_minutes": {"type": "integer", "minimum": 1, "maximum": 1440, "default": 60},
            "services": {"type": ["array", "null"], "items": {"type": "string"}, "description": "What is of these alone."},
            "replace": {"type": "boolean", "default": false, "description": "Whether it replaces what has this name; 409 if it does not."}
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

pub(super) fn realtime(_: &mut SchemaGenerator) -> Json {
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

pub(super) fn issues(_: &mut SchemaGenerator) -> Json {
    let text = json!({"type": "string"});
    list(&numbers(
        &json!({"type": "object", "properties": {
            "id": text, "type": text, "category": text, "severity": {"enum": ["info", "warning", "critical"]}, "message": text,
            "timestamp": moment(), "recommendation": {"type": ["string", "null"]}
        }}),
        &["currentValue", "threshold"],
    ))
}

pub(super) fn report(_: &mut SchemaGenerator) -> Json {
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
