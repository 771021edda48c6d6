//! The published schema of the JSON lines and the decoder say the same.

use std::collections::BTreeMap;

use neural_exporter::decode::Protocol;
use neural_exporter::event::{Body, Observation, Spelled};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::at;

fn schema() -> Value {
    serde_json::from_slice(&std::fs::read(at("deploy/events.schema.json")).unwrap()).unwrap()
}

/// Whether the decoder takes a line, down to the spelling of a metric's name.
fn taken(line: &str) -> bool {
    let mut taken = Vec::new();
    let mut decoder = Protocol::Jsonl.decoder();
    let mut out = |body: Body<'_>| {
        if matches!(body, Body::Refused(_)) {
            return;
        }
        taken.push(match body {
            Body::Fault(_) => false,
            Body::Observation(Observation { spelling, .. }) => {
                spelling.spell(&mut Spelled::default()).is_ok()
            }
            _ => true,
        });
    };
    decoder.decode(line.as_bytes(), &mut out);
    decoder.end(&mut out);
    taken == [true]
}

const GOOD: &[&str] = &[
    r#"{"type":"stage","pipeline":"p","stage":"s","seconds":0.85,"outcome":"ok"}"#,
    r#"{"type":"stage","pipeline":"p","stage":"s","start":1,"end":2.5,"outcome":"error","error":"timeout","items":3}"#,
    r#"{"type":"stage","pipeline":"p","stage":"s","seconds":0,"trace":"0af7651916cd43dd8448eb211c80319c","more":[1,{}]}"#,
    r#"{"type":"call","model":"m"}"#,
    r#"{"type":"llm","model":"m","prompt_tokens":1,"completion_tokens":2,"cost":0.1,"seconds":1,"first_token_seconds":0.1,"cache_hit":true}"#,
    r#"{"type":"queue","pipeline":"p","queue":"q","depth":0}"#,
    r#"{"type":"queue","pipeline":"p","queue":"q","depth":3,"limit":10}"#,
    r#"{"type":"cache","pipeline":"p","cache":"c","misses":1}"#,
    r#"{"type":"error","pipeline":"p","error":"lost"}"#,
    r#"{"type":"quality","pipeline":"p","ratio":0.7}"#,
    r#"{"type":"accuracy","pipeline":"p","model":"m","ratio":1}"#,
    r#"{"type":"session","pipeline":"p","step":"started"}"#,
    r#"{"type":"session","pipeline":"p","step":"failed","seconds":60}"#,
    r#"{"type":"request","service":"a","method":"GET","route":"/x","status":200,"seconds":0.1}"#,
    r#"{"type":"query","database":"d","operation":"select","start":1,"end":1,"error":"deadlock"}"#,
    r#"{"metric":"a_b","value":-1}"#,
    r#"{"metric":"a","type":"metric","value":1,"labels":{"x":"y","n":1,"b":true},"help":"What it is"}"#,
    r#"{"metric":"a","type":"counter","value":0}"#,
    r#"{"metric":"a","type":"histogram","value":2,"labels":{}}"#,
];

const BAD: &[&str] = &[
    r#"{"type":"stage","pipeline":"p","stage":"s"}"#,
    r#"{"type":"stage","pipeline":"p","stage":"s","start":1}"#,
    r#"{"type":"stage","pipeline":"p","seconds":1}"#,
    r#"{"type":"stage","pipeline":"","stage":"s","seconds":1}"#,
    r#"{"type":"stage","pipeline":"p","stage":"s","seconds":-1}"#,
    r#"{"type":"stage","pipeline":"p","stage":"s","seconds":"1"}"#,
    r#"{"type":"stage","pipeline":7,"stage":"s","seconds":1}"#,
    r#"{"type":"stage","pipeline":"p","stage":"s","seconds":1,"outcome":"meh"}"#,
    r#"{"type":"call","prompt_tokens":1}"#,
    r#"{"type":"call","model":"m","cost":-1}"#,
    r#"{"type":"call","model":"m","cache_hit":"yes"}"#,
    r#"{"type":"queue","pipeline":"p","queue":"q"}"#,
    r#"{"type":"cache","pipeline":"p","cache":"c"}"#,
    r#"{"type":"error","pipeline":"p"}"#,
    r#"{"type":"quality","pipeline":"p","ratio":1.5}"#,
    r#"{"type":"accuracy","pipeline":"p","ratio":0.5}"#,
    r#"{"type":"session","pipeline":"p","step":"paused"}"#,
    r#"{"type":"request","service":"a","method":"GET","route":"/x","status":"200","seconds":0.1}"#,
    r#"{"type":"request","service":"a","method":"GET","route":"/x","status":70000,"seconds":0.1}"#,
    r#"{"type":"query","database":"d","operation":"select"}"#,
    r#"{"type":"heartbeat"}"#,
    r#"{"pipeline":"p"}"#,
    r#"{"metric":"a b","value":1}"#,
    r#"{"metric":"a"}"#,
    r#"{"metric":"a","type":"summary","value":1}"#,
    r#"{"metric":"a","type":"counter","value":-1}"#,
    r#"{"metric":"a","value":1,"labels":{"le":"1"}}"#,
    r#"{"metric":"a","value":1,"labels":{"x":[1]}}"#,
    r#"{"metric":"a","value":1,"labels":[]}"#,
    "[]",
    "7",
];

#[test]
fn good_lines_are_good_to_both() {
    let schema = Schema(schema());
    for line in GOOD {
        assert!(taken(line), "the decoder refuses {line}");
        assert!(schema.takes(&serde_json::from_str(line).unwrap()), "the schema refuses {line}");
    }
}

#[test]
fn bad_lines_are_bad_to_both() {
    let schema = Schema(schema());
    for line in BAD {
        assert!(!taken(line), "the decoder takes {line}");
        assert!(!schema.takes(&serde_json::from_str(line).unwrap()), "the schema takes {line}");
    }
}

/// Every field of every branch, set to something of another type: where the schema says no, the
/// decoder says no.
#[test]
fn fields_have_the_types_that_the_schema_says() {
    let schema = Schema(schema());
    for line in GOOD {
        let good: Map<String, Value> = serde_json::from_str(line).unwrap();
        // That an end comes after its start is beyond a schema.
        for field in good.keys().filter(|field| *field != "end") {
            for wrong in [json!({"a": 1}), json!([1]), json!("\u{e9}"), json!(-3), json!(true)] {
                let mut line = good.clone();
                line.insert(field.clone(), wrong);
                let line = Value::Object(line);
                assert_eq!(schema.takes(&line), taken(&line.to_string()), "{line}");
            }
        }
    }
}

/// The fields that the decoder knows, as its source has them, are those of the schema.
#[test]
fn the_fields_are_the_decoder_s() {
    let source = std::fs::read_to_string(at("src/decode/text/jsonl.rs")).unwrap();
    let fields = source.split_once("\nfields! {").unwrap().1.split_once("\n}").unwrap().0;
    let field = Regex::new(r#"(?m)^    "(\w+)" \w+: "#).unwrap();
    let mut known: Vec<String> = field.captures_iter(fields).map(|c| c[1].to_owned()).collect();
    known.sort();
    let schema = schema();
    let mut said: BTreeMap<String, ()> = BTreeMap::new();
    for branch in schema["oneOf"].as_array().unwrap() {
        let branch = schema.pointer(branch["$ref"].as_str().unwrap().trim_start_matches('#')).unwrap();
        assert!(branch["title"].is_string());
        for (name, field) in branch["properties"].as_object().unwrap() {
            let target = field["$ref"].as_str().and_then(|to| schema.pointer(to.trim_start_matches('#')));
            let described = field["description"].is_string()
                || name == "type"
                || target.is_some_and(|t| t["description"].is_string());
            assert!(described, "{name} is not described");
            said.insert(name.clone(), ());
        }
    }
    assert_eq!(said.into_keys().collect::<Vec<_>>(), known);
}

/// As much of JSON Schema as the published one is written in; a word it does not know fails the test.
struct Schema(Value);

impl Schema {
    fn takes(&self, value: &Value) -> bool {
        self.fits(&self.0, value)
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let words = schema.as_object().unwrap();
        words.iter().all(|(word, rule)| match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" => true,
            "$ref" => {
                self.fits(self.0.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap(), value)
            }
            "type" => match rule {
                Value::String(kind) => is(value, kind),
                kinds => kinds.as_array().unwrap().iter().any(|kind| is(value, kind.as_str().unwrap())),
            },
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "oneOf" => rule.as_array().unwrap().iter().filter(|rule| self.fits(rule, value)).count() == 1,
            "anyOf" => rule.as_array().unwrap().iter().any(|rule| self.fits(rule, value)),
            "if" => !self.fits(rule, value) || self.fits(&words["then"], value),
            "then" => true,
            "minimum" => value.as_f64().is_none_or(|v| v >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|v| v <= rule.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|v| v.chars().count() as u64 >= rule.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|v| v.chars().count() as u64 <= rule.as_u64().unwrap()),
            "pattern" => value.as_str().is_none_or(|v| matches(rule.as_str().unwrap(), v)),
            "required" => value.as_object().is_none_or(|object| {
                rule.as_array().unwrap().iter().all(|name| object.contains_key(name.as_str().unwrap()))
            }),
            "properties" => value.as_object().is_none_or(|object| {
                let rules = rule.as_object().unwrap();
                object.iter().all(|(name, v)| rules.get(name).is_none_or(|rule| self.fits(rule, v)))
            }),
            "propertyNames" => value
                .as_object()
                .is_none_or(|object| object.keys().all(|name| self.fits(rule, &Value::String(name.clone())))),
            "additionalProperties" => {
                assert!(words.get("properties").is_none());
                value.as_object().is_none_or(|object| object.values().all(|v| self.fits(rule, v)))
            }
            unknown => panic!("the schema has the word {unknown}"),
        })
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        unknown => panic!("the schema has the type {unknown}"),
    }
}

/// A pattern as JavaScript has it: what may not stand at the beginning is a group of its own.
fn matches(pattern: &str, text: &str) -> bool {
    let Some(rest) = pattern.strip_prefix("^(?!") else { return Regex::new(pattern).unwrap().is_match(text) };
    let (not, rest) = rest.split_once(')').unwrap();
    !Regex::new(&format!("^(?:{not})")).unwrap().is_match(text)
        && Regex::new(&format!("^{rest}")).unwrap().is_match(text)
}
