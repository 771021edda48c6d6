//! Where a Pushgateway is, and under which group the agent's metrics are there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::provision::Access;
use crate::secret::{Exposed, Link, Value};
use crate::setting::Span;

/// A Pushgateway, for an agent that ends before a Prometheus scrapes it. It gets what a scrape would show, from time to time and at the end,
/// and a group of it is replaced each time. Changes take effect at the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Pushgateway")]
pub struct Settings {
    /// Its address, without the path of the group: `http://pushgateway:9091`.
    pub url: Link,
    /// The label `job` of the group; that of `alerts.job` if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The other labels of the group. Two agents with the same job and labels replace what the other pushed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grouping_key: BTreeMap<String, String>,
    /// From one push to the next. The last one is at the end.
    #[serde(default = "interval")]
    pub interval: Span,
    /// How long an answer may take.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Whether the group is deleted when the agent is asked to end. One that is killed leaves it there.
    #[serde(default)]
    pub delete_at_end: bool,
    /// How it is reached.
    #[serde(default)]
    pub access: Access,
    /// Headers of every request, by name: a text, or `{value_file: FILE}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Value>,
}

fn interval() -> Span {
    Span::seconds(15)
}

fn timeout() -> Span {
    Span::seconds(10)
}

impl Settings {
    /// One at this address, with the defaults.
    #[must_use]
    pub fn at(url: Link) -> Self {
        Self {
            url,
            job: None,
            grouping_key: BTreeMap::new(),
            interval: interval(),
            timeout: timeout(),
            delete_at_end: false,
            access: Access::default(),
            headers: BTreeMap::new(),
        }
    }

    /// The files that it names.
    pub fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.access.paths().chain(self.headers.values_mut().filter_map(Value::path))
    }

    /// Says which secrets stand in it.
    pub fn expose(&self, found: &mut Exposed<'_>) {
        self.access.expose(&self.url, found);
        found.values("headers", &self.headers);
    }

    /// What is wrong with it, with the key that it stands at.
    #[must_use]
    pub fn wrong(&self) -> Option<(&'static str, String)> {
        if self.job.as_deref().is_some_and(str::is_empty) {
            return Some(("job", "a Pushgateway takes no empty job".to_owned()));
        }
        let bad = |name: &&String| !is_label(name);
        if let Some(name) = self.grouping_key.keys().find(bad) {
            return Some((
                "grouping_key",
                format!(
                    "\"{name}\" cannot be a label of the group: use letters, digits and _; job and names that begin with __ are taken"
                ),
            ));
        }
        let named = |name: &&String| reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err();
        let header = self.headers.keys().find(named)?;
        Some(("headers", format!("\"{header}\" is not the name of a header")))
    }

    /// The path of the group, after that of the address. A value that is empty or has a slash is written in base64, as the Pushgateway's
    /// documentation has it.
    pub(super) fn group(&self, job: &str) -> String {
        let mut path = String::from("metrics");
        let job = self.job.as_deref().unwrap_or(job);
        let all = std::iter::once(("job", job));
        for (name, value) in all.chain(self.grouping_key.iter().map(|(name, value)| (&**name, &**value))) {
            path.push('/');
            path.push_str(name);
            match value {
                // One equals sign: an empty part of a path would be lost on the way.
                "" => path.push_str("@base64/="),
                _ if value.contains('/') => {
                    path.push_str("@base64/");
                    URL_SAFE_NO_PAD.encode_string(value, &mut path);
                }
                _ => {
                    path.push('/');
                    path.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
                }
            }
        }
        path
    }
}

fn is_label(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    begins && plain && name != "job" && !name.starts_with("__")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(labels: &[(&str, &str)]) -> Settings {
        let key = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings { grouping_key: key, ..Settings::at("http://p:9091".into()) }
    }

    #[test]
    fn a_group_is_the_path_that_the_documentation_has() {
        assert_eq!(settings(&[]).group("neural"), "metrics/job/neural");
        // The examples of the Pushgateway's README.
        let path = Settings { job: Some("titan".into()), ..settings(&[("name", "Προμηθεύς")]) }.group("");
        assert_eq!(path, "metrics/job/titan/name/%CE%A0%CF%81%CE%BF%CE%BC%CE%B7%CE%B8%CE%B5%CF%8D%CF%82");
        let path = Settings { job: Some("directory_cleaner".into()), ..settings(&[("path", "/var/tmp")]) };
        assert_eq!(path.group(""), "metrics/job/directory%5Fcleaner/path@base64/L3Zhci90bXA");
        let path =
            Settings { job: Some("example".into()), ..settings(&[("first_label", ""), ("second", "f o")]) };
        assert_eq!(path.group(""), "metrics/job/example/first_label@base64/=/second/f%20o");
    }

    #[test]
    fn what_a_pushgateway_refuses_is_said_before() {
        assert_eq!(settings(&[("instance", "a/b"), ("_x1", "")]).wrong(), None);
        for name in ["job", "", "1a", "__x", "a-b", "ä"] {
            assert_eq!(settings(&[(name, "x")]).wrong().unwrap().0, "grouping_key", "{name}");
        }
        assert_eq!(Settings { job: Some(String::new()), ..settings(&[]) }.wrong().unwrap().0, "job");
    }
}
