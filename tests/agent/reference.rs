//! The reference pages under `docs/reference`, written from the schemas and the command line. `UPDATE=1` rewrites them.

use std::fmt::Write;

use serde_json::Value;

use neural_exporter::config::Config;

use super::at;
use super::golden::same;

/// A page in the making: what a schema says, in tables.
struct Page<'a> {
    schema: &'a Value,
    text: String,
}

impl<'a> Page<'a> {
    /// What a schema refers to.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let name = schema["$ref"].as_str().and_then(|at| at.strip_prefix("#/$defs/"));
        name.map_or(schema, |name| &self.schema["$defs"][name])
    }

    /// The one schema that is meant, where another is only `null`.
    fn meant(&self, schema: &'a Value) -> &'a Value {
        let several = schema["anyOf"].as_array().into_iter().flatten();
        let other = several.map(|one| self.resolve(one)).find(|one| one["type"] != "null");
        self.resolve(other.unwrap_or(schema))
    }

    /// Of what type a value is, in one line.
    fn kind(&self, schema: &'a Value) -> String {
        let schema = self.meant(schema);
        if let Some(values) = self.values(schema) {
            return values.iter().map(|(value, _)| format!("`{value}`")).collect::<Vec<_>>().join(", ");
        }
        let kinds: Vec<&str> = match &schema["type"] {
            Value::String(kind) => vec![kind],
            Value::Array(kinds) => {
                kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect()
            }
            _ => Vec::new(),
        };
        match (kinds.first().copied(), schema["format"].as_str()) {
            (Some("array"), _) => format!("list of {}", self.kind(&schema["items"])),
            (Some("object"), _) if schema["additionalProperties"].is_object() => {
                format!("name → {}", self.kind(&schema["additionalProperties"]))
            }
            (Some("object"), _) => "mapping".to_owned(),
            (Some("string"), Some(format)) => format.replace('-', " "),
            (Some("string"), None) => "text".to_owned(),
            (Some(kind), _) => kind.to_owned(),
            (None, _) if schema["oneOf"].is_array() => "mapping with one key".to_owned(),
            (None, _) if schema["anyOf"].is_array() => {
                let all = schema["anyOf"].as_array().into_iter().flatten();
                all.map(|one| self.kind(one)).collect::<Vec<_>>().join(" or ")
            }
            (None, _) => "any".to_owned(),
        }
    }

    /// The mapping that may stand where a word may.
    fn alternative(&self, schema: &'a Value) -> Option<&'a Value> {
        let all: Vec<&Value> = schema["anyOf"].as_array()?.iter().map(|one| self.resolve(one)).collect();
        let word = all.iter().any(|one| self.values(one).is_some());
        all.into_iter().find(|one| word && one["properties"].is_object())
    }

    /// The values of a choice, each with what it means.
    fn values(&self, schema: &'a Value) -> Option<Vec<(String, &'a str)>> {
        let said = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if let Some(values) = schema["enum"].as_array() {
            return Some(values.iter().map(|value| (said(value), "")).collect());
        }
        let of = |one: &'a Value| -> Vec<(String, &'a str)> {
            let about = one["description"].as_str().unwrap_or_default();
            match one.get("const") {
                Some(value) => vec![(said(value), about)],
                None => {
                    one["enum"].as_array().into_iter().flatten().map(|value| (said(value), about)).collect()
                }
            }
        };
        let all = schema["oneOf"].as_array()?.iter().map(of).collect::<Vec<_>>();
        all.iter().all(|values| !values.is_empty()).then(|| all.concat())
    }

    /// The table of a mapping, and after it those of the mappings in it.
    fn mapping(&mut self, depth: usize, path: &str, schema: &'a Value, about: &str) {
        writeln!(self.text, "\n{} `{path}`\n\n{about}\n", "#".repeat(depth.min(4))).unwrap();
        let properties = schema["properties"].as_object().into_iter().flatten();
        let required = |key: &str| schema["required"].as_array().is_some_and(|all| all.contains(&key.into()));
        let mut within = Vec::new();
        let mut rows = String::new();
        for (key, property) in properties {
            let default = match property.get("default") {
                _ if required(key) => "**required**".to_owned(),
                None | Some(Value::Null) => String::new(),
                Some(default) if default.is_object() => "below".to_owned(),
                Some(default) if default.to_string().len() > 80 => "see `check --print`".to_owned(),
                Some(default) => format!("`{default}`"),
            };
            let about = property["description"].as_str().unwrap_or_default();
            writeln!(rows, "| `{key}` | {} | {default} | {} |", self.kind(property), line(about)).unwrap();
            within.push((key, property));
        }
        if !rows.is_empty() {
            self.text += "| setting | type | default | meaning |\n|---|---|---|---|\n";
            self.text += &rows;
        }
        for (key, property) in within {
            self.inner(depth + 1, &format!("{path}.{key}"), property);
        }
    }

    /// What a value holds that has tables of its own.
    fn inner(&mut self, depth: usize, path: &str, property: &'a Value) {
        let path = path.trim_start_matches("configuration.").to_owned();
        let schema = self.meant(property);
        let about = schema["description"].as_str().unwrap_or_default();
        if schema["properties"].is_object() {
            self.mapping(depth, &path, schema, &line(about));
        } else if let Some(values) =
            self.values(schema).filter(|values| values.iter().any(|(_, about)| !about.is_empty()))
        {
            writeln!(self.text, "\n{} `{path}`\n", "#".repeat(depth.min(4))).unwrap();
            for (value, about) in values {
                writeln!(self.text, "- `{value}`: {}", line(about)).unwrap();
            }
        } else if let Some(mapping) = self.alternative(schema) {
            self.inner(depth, &path, mapping);
        } else if schema["items"].is_object() {
            self.inner(depth, &format!("{path}[]"), &schema["items"]);
        } else if schema["additionalProperties"].is_object() {
            self.inner(depth, &format!("{path}.NAME"), &schema["additionalProperties"]);
        } else if let Some(kinds) = schema["oneOf"].as_array() {
            writeln!(self.text, "\n{} `{path}`\n\n{}", "#".repeat(depth.min(4)), line(about)).unwrap();
            let kinds =
                || kinds.iter().filter_map(|one| Some((one, one["properties"].as_object()?.iter().next()?)));
            // Those that are no mapping have no table of their own.
            let plain = kinds().filter(|(_, (_, kind))| {
                let kind = self.meant(kind);
                !kind["properties"].is_object() && !kind["type"].is_null()
            });
            let rows: String = plain
                .map(|(one, (key, kind))| {
                    let about = line(one["description"].as_str().unwrap_or_default());
                    format!("- `{key}` ({}): {about}\n", self.kind(kind))
                })
                .collect();
            if !rows.is_empty() {
                write!(self.text, "\n{rows}").unwrap();
            }
            for (_, (key, kind)) in kinds() {
                self.inner(depth + 1, &format!("{path}.{key}"), kind);
            }
        }
    }
}

/// A text as one line of a table.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[test]
fn the_reference_of_the_configuration_is_current() {
    let schema = Config::schema();
    let mut page = Page { schema: &schema, text: String::new() };
    page.text += "# Configuration\n\nEvery setting, from the schema that `neural-exporter check` uses. `neural-exporter check --print` shows \
        what is in effect.\nTimes are written like `5s` or `200ms`, sizes like `4MiB`, addresses like `udp://127.0.0.1:8125`, `tcp://…`, \
        `unix:/path` or\n`unixgram:/path`. Relative paths start from the folder of the file.\n";
    page.mapping(2, "configuration", &schema, &line(schema["description"].as_str().unwrap_or_default()));
    same(&at("docs/reference/configuration.md"), &page.text);
}

#[test]
fn the_reference_of_the_command_line_is_current() {
    let mut text = "# Command line\n\nWhat `neural-exporter help` prints, for each command. Exit codes: 0 success, 1 failed while \
        running, 2 wrong usage or\nconfiguration, 3 differences found.\n"
        .to_owned();
    let mut all = neural_exporter::cli::commands();
    all.build();
    let names: Vec<String> = all.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    let shown = |command: &mut clap::Command| {
        let help = command.clone().term_width(100).render_long_help().to_string();
        help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    };
    writeln!(text, "\n```text\n{}\n```", shown(&mut all).trim()).unwrap();
    for name in names.iter().filter(|name| *name != "help") {
        let command = all.find_subcommand_mut(name).unwrap();
        writeln!(text, "\n## `neural-exporter {name}`\n\n```text\n{}\n```", shown(command).trim()).unwrap();
        let inner: Vec<String> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
        for within in inner.iter().filter(|name| *name != "help") {
            let help = shown(command.find_subcommand_mut(within).unwrap());
            writeln!(text, "\n### `neural-exporter {name} {within}`\n\n```text\n{}\n```", help.trim())
                .unwrap();
        }
    }
    same(&at("docs/reference/cli.md"), &text);
}
