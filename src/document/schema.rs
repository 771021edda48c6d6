//! What a schema says of itself, and what a value is in the words of a schema.

use serde_json::Value as Schema;
use serde_yaml::Value;

/// The keywords of a schema that are obeyed, and those that say nothing about validity.
#[must_use]
pub fn keywords() -> &'static [&'static str] {
    &[
        "$defs",
        "$ref",
        "$schema",
        "additionalProperties",
        "anyOf",
        "const",
        "default",
        "deprecated",
        "description",
        "enum",
        "examples",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "oneOf",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
        "writeOnly",
    ]
}

/// The kind and the settings of a schema for one mapping with one key.
pub(super) fn variant(schema: &Schema) -> Option<(&str, &Schema)> {
    let properties = schema["properties"].as_object()?;
    let (key, of) = properties.iter().next()?;
    let required = schema["required"].as_array()?;
    let one = properties.len() == 1 && required.len() == 1 && required[0].as_str() == Some(key);
    (one && schema["additionalProperties"] == Schema::Bool(false)).then_some((key, of))
}

pub(super) fn types(schema: &Schema) -> Vec<&str> {
    match &schema["type"] {
        Schema::String(one) => vec![one],
        Schema::Array(many) => many.iter().filter_map(Schema::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The few values a schema allows, if it allows only a few.
pub(super) fn literals(schema: &Schema) -> Vec<&Schema> {
    match (schema.get("const"), schema["enum"].as_array()) {
        (Some(one), _) => vec![one],
        (None, Some(many)) => many.iter().collect(),
        _ => Vec::new(),
    }
}

pub(super) fn takes(schema: &Schema, kind: &str) -> bool {
    let types = types(schema);
    types.contains(&kind) || (types.is_empty() && schema != &Schema::Bool(false))
}

/// The types of a schema that a value is one of.
pub(super) fn kinds_of(value: &Value) -> &'static [&'static str] {
    match value {
        Value::Null => &["null"],
        Value::Bool(_) => &["boolean"],
        Value::Number(number) if number.is_f64() => &["number"],
        Value::Number(_) => &["integer", "number"],
        Value::String(_) => &["string"],
        Value::Sequence(_) => &["array"],
        Value::Mapping(_) => &["object"],
        Value::Tagged(_) => &[],
    }
}

pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("{value}"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(text) => format!("the text \"{}\"", short(text)),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Tagged(_) => "a tag".to_owned(),
    }
}

/// What it is, without what it says.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
        Value::Tagged(_) => "a tag",
    }
}

pub(super) fn short(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}
