//! The schemas of settings: they say everything, and the validator knows every word of them.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// The kinds of sources and what their settings look like.
pub(super) fn variants(schema: &Value) -> Vec<(String, Value)> {
    let all = schema["$defs"]["Source"]["oneOf"].as_array().unwrap();
    all.iter()
        .map(|branch| branch["properties"].as_object().unwrap().iter().next().unwrap())
        .map(|(kind, of)| (kind.clone(), of.clone()))
        .collect()
}

/// Visits every schema inside of a schema.
fn each<'a>(path: &str, schema: &'a Value, see: &mut dyn FnMut(&str, &'a Value)) {
    see(path, schema);
    for under in ["properties", "$defs"] {
        for (key, of) in schema[under].as_object().into_iter().flatten() {
            each(&format!("{path}/{key}"), of, see);
        }
    }
    for under in ["oneOf", "anyOf"] {
        for (index, of) in schema[under].as_array().into_iter().flatten().enumerate() {
            each(&format!("{path}/{under}{index}"), of, see);
        }
    }
    for under in ["items", "additionalProperties"] {
        if let Some(of) = schema.get(under).filter(|of| of.is_object()) {
            each(&format!("{path}/{under}"), of, see);
        }
    }
}

#[test]
fn the_validator_knows_every_word_of_the_schemas() {
    const NOTES: [&str; 6] = ["default", "description", "deprecated", "examples", "title", "$schema"];
    for schema in [Config::schema(), pack::schema()] {
        each("", &schema, &mut |path, schema| {
            let words = schema.as_object().unwrap_or_else(|| panic!("{path}: {schema}"));
            for word in words.keys() {
                assert!(document::keywords().contains(&word.as_str()), "{path}: {word} is not obeyed");
            }
            let only = |word: &str| {
                words.keys().all(|key| key == word || NOTES.contains(&key.as_str()) || key == "$defs")
            };
            // Beside these, nothing else is obeyed.
            for word in ["$ref", "oneOf", "anyOf"] {
                assert!(!words.contains_key(word) || only(word), "{path}: {word} is not alone");
            }
            let typed =
                ["type", "$ref", "oneOf", "anyOf", "const"].iter().any(|word| words.contains_key(*word));
            assert!(typed, "{path} takes anything");
            let text = schema["type"] == "string"
                || schema["type"].as_array().is_some_and(|types| types.contains(&"string".into()));
            if let Some(format) = schema["format"].as_str().filter(|_| text) {
                assert!(FORMATS.iter().any(|known| known.name == format), "{path}: format {format}");
            }
            if schema["properties"].is_object() && words.get("const").is_none() {
                assert_eq!(schema["additionalProperties"], false, "{path} takes unknown keys");
            }
        });
    }
}

#[test]
fn every_setting_says_what_it_is() {
    for schema in [Config::schema(), pack::schema()] {
        each("", &schema, &mut |path, of| {
            for (key, property) in of["properties"].as_object().into_iter().flatten() {
                let variant = of["required"].as_array().is_some_and(|all| all.len() == 1)
                    && of["properties"].as_object().is_some_and(|all| all.len() == 1);
                let said = property["description"].is_string() || (variant && of["description"].is_string());
                assert!(said, "{path}/{key} does not say what it is");
            }
        });
    }
}

#[test]
fn no_key_takes_a_secret() {
    each("", &Config::schema(), &mut |path, schema| {
        for key in schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
            let secret = ["password", "token", "secret"].iter().any(|word| key.contains(word));
            assert!(!secret || key.ends_with("_file") || key.contains("tokens_per"), "{path}/{key}");
        }
    });
}

#[test]
fn the_default_obeys_the_schema() {
    let config = Config::default();
    assert_eq!(config.limits.series, 50_000);
    assert_eq!(config.intervals.pipeline, Span::millis(100));
    assert_eq!(config.expire.gauges, Span::seconds(300));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,120}") {
        let _ = parse("f", &text);
    }

    #[test]
    fn any_value_at_any_key_is_read_or_refused(
        key in "(listen|log|limits|sources|llm|histograms|pipelines|expire)",
        value in "(\\[\\]|\\{\\}|~|5|-1|1e400|\\.nan|yes|true|\\[1, a, \\{\\}\\]|\\[\\{jsonl: 5\\}\\]|\\[\\{statsd: , x: 1\\}\\]|\\{a: \\[1\\]\\}|\"\\\\0\")",
    ) {
        if let Err(problems) = parse("f", &format!("{key}: {value}\n")) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(problem.line == 1 && problem.column > 0, "{problem}");
            }
        }
    }
}
