//! A ruler that takes groups of rules over HTTP: Mimir and its relatives, Loki for rules over logs, and Grafana's
//! endpoint for rules of Prometheus.
//!
//! Groups are pushed as they stand in the files. What was pushed, and how it looked, is kept in one more group whose
//! alert never fires: rules have no place for a mark that would not be seen in series or notifications.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_yaml::Value as Yaml;

use super::access::Access;
use super::client::{Answer, Client, Failure, Request};
use super::escape;
use super::mark::OURS;
use super::plan::{Action, ActualObject, DesiredObject, Kind, Step};
use super::target::{self, Rules, TargetKind, TargetSettings};
use super::{Bundle, Reporter, RuleFile, Run};
use crate::quote::quote;
use crate::secret::{Exposed, Link};

/// The group that knows the others.
const MARKS: &str = "neural-exporter-marks";
/// Its alert.
const ALERT: &str = "NeuralExporterMarks";

/// Where groups are, and what goes with each request.
#[derive(Debug)]
pub(super) struct Ruler {
    /// The path of all namespaces.
    pub(super) path: String,
    pub(super) namespace: String,
    /// Headers of requests that write.
    pub(super) headers: Vec<(&'static str, String)>,
    /// The marks of what we wrote, by group.
    marks: BTreeMap<String, String>,
    /// What of them this run has changed and not noted yet: a mark, or nothing for a group that was removed.
    changed: BTreeMap<String, Option<String>>,
}

impl Ruler {
    pub(super) fn new(path: &str, namespace: &str) -> Self {
        Self {
            path: path.trim_end_matches('/').to_owned(),
            namespace: namespace.to_owned(),
            headers: Vec::new(),
            marks: BTreeMap::new(),
            changed: BTreeMap::new(),
        }
    }

    pub(super) fn wanted(rules: &[RuleFile]) -> Vec<DesiredObject> {
        let groups = rules.iter().flat_map(|file| &file.groups);
        let group = |group: &super::Group| DesiredObject {
            kind: Kind::RuleGroup,
            name: group.name.clone(),
            text: canonical(&group.value),
        };
        groups.map(group).collect()
    }

    /// Every group of the namespace.
    pub(super) async fn read(&mut self, client: &Client) -> Result<Vec<ActualObject>, Failure> {
        let path = format!("{}/{}", self.path, escape(&self.namespace));
        let request = Request::get(&path).header("accept", "application/yaml");
        let answer = self.with(client, request).await?;
        if answer.status == 404 && answer.words().contains("page not found") {
            let why = format!("not found: {path}; check that the ruler is enabled and the prefix is right");
            return Err(why.into());
        }
        if let Some(why) = local(&answer) {
            return Err(why.into());
        }
        if answer.status == 404 {
            self.take(BTreeMap::new());
            return Ok(Vec::new());
        }
        let text =
            answer.good().map_err(|why| why.map_reason(|why| format!("cannot read {path}: {why}")))?.text();
        // JSON is YAML.
        let value: Yaml = serde_yaml::from_str(&text).map_err(|why| format!("{path}: not YAML: {why}"))?;
        // A map of namespaces, or of one; some answer with the list itself.
        let groups = value.get(&self.namespace).or_else(|| value.get("groups")).and_then(Yaml::as_sequence);
        let groups = groups.cloned().unwrap_or_default();
        let name = |group: &Yaml| group.get("name").and_then(Yaml::as_str).unwrap_or_default().to_owned();
        let mut noted = BTreeMap::new();
        for group in groups.iter().filter(|group| name(group) == MARKS) {
            let marks =
                group.get("rules").and_then(|rules| rules.get(0)?.get("annotations")?.get("marks")?.as_str());
            for (mark, group) in marks.unwrap_or_default().lines().filter_map(|line| line.split_once(' ')) {
                noted.insert(group.to_owned(), mark.to_owned());
            }
        }
        self.take(noted);
        let found = groups.iter().filter(|group| name(group) != MARKS).map(|group| {
            let name = name(group);
            let mark = self.marks.get(&name).cloned();
            ActualObject::exact(Kind::RuleGroup, name, canonical(group), mark)
        });
        Ok(found.collect())
    }

    /// Takes over the marks that the server has, under those of this run: it may be read again before they are noted.
    fn take(&mut self, noted: BTreeMap<String, String>) {
        self.marks = noted;
        for (group, mark) in &self.changed {
            match mark {
                Some(mark) => self.marks.insert(group.clone(), mark.clone()),
                None => self.marks.remove(group),
            };
        }
    }

    /// Writes or removes one group.
    pub(super) async fn write(&mut self, client: &Client, step: &Step) -> Result<Option<String>, Failure> {
        match step.action {
            Action::Create | Action::Update => {
                self.push(client, step.text.clone()).await?;
                self.marks.insert(step.name.clone(), step.mark.clone());
                self.changed.insert(step.name.clone(), Some(step.mark.clone()));
            }
            Action::Delete => {
                self.delete(client, &step.name).await?;
                self.marks.remove(&step.name);
                self.changed.insert(step.name.clone(), None);
            }
            Action::Unchanged | Action::Leave | Action::Refuse => {}
        }
        Ok(None)
    }

    /// Writes down what was pushed; removes the note if this run has removed the last of ours.
    pub(super) async fn finish(&mut self, client: &Client) -> Result<(), Failure> {
        if self.changed.is_empty() {
            return Ok(());
        }
        self.note(client).await?;
        self.changed.clear();
        Ok(())
    }

    async fn note(&self, client: &Client) -> Result<(), Failure> {
        if self.marks.is_empty() {
            return self.delete(client, MARKS).await;
        }
        // Names of annotations are letters and underscores, names of groups anything: they stand in the text.
        let marks: Vec<String> = self.marks.iter().map(|(group, mark)| format!("{mark} {group}")).collect();
        let rule = serde_json::json!({
            "alert": ALERT,
            "expr": "vector(0) > 1",
            "labels": {"managed_by": OURS},
            "annotations": {"marks": marks.join("\n")},
        });
        let group = serde_json::json!({"name": MARKS, "interval": "1h", "rules": [rule]});
        self.push(client, serde_yaml::to_string(&group).unwrap_or_default()).await
    }

    async fn push(&self, client: &Client, text: String) -> Result<(), Failure> {
        let path = format!("{}/{}", self.path, escape(&self.namespace));
        let answer = self.with(client, Request::post(path).yaml(text)).await?;
        if let Some(why) = local(&answer) {
            return Err(why.into());
        }
        if answer.status == 404 {
            let hint = "check that the ruler's API is enabled and the prefix is right";
            return Err(answer.failure().map_reason(|why| format!("{why}\n  hint: {hint}")));
        }
        answer.good().map(drop)
    }

    async fn delete(&self, client: &Client, group: &str) -> Result<(), Failure> {
        let path = format!("{}/{}/{}", self.path, escape(&self.namespace), escape(group));
        let answer = self.with(client, Request::delete(path)).await?;
        if answer.status == 404 { Ok(()) } else { answer.good().map(drop) }
    }

    async fn with<'a>(&'a self, client: &Client, mut request: Request<'a>) -> Result<Answer, Failure> {
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        client.send(request).await
    }
}

/// Why a ruler takes no rules, if its store is a folder of its own: the `local` store of Loki, Mimir and Cortex.
fn local(answer: &Answer) -> Option<String> {
    let words = answer.words();
    let missing = words.contains("no such file or directory");
    if answer.status < 400 || !(missing || words.contains("unsupported in rule local store")) {
        return None;
    }
    // `open /rules/fake/neural: no such file or directory`: what it looks for is a file of the namespace's name.
    let file = words.split("open ").nth(1).and_then(|rest| rest.split(": no such").next());
    let folder =
        file.and_then(|file| file.rsplit_once('/')).map(|(folder, _)| folder).filter(|f| !f.is_empty());
    let folder = folder.map_or_else(|| "<ruler storage directory>/<tenant>".to_owned(), str::to_owned);
    Some(format!(
        "this ruler keeps its rules in files (its store is `local`) and takes none over HTTP\n  hint: put the generated \
         files (alert-rules/loki for Loki, alert-rules for metrics) into {folder} on its machine and take this target out, \
         or give the ruler a store that can be written"
    ))
}

/// A group in the form that two equal ones share: sorted keys, spans in seconds, and nothing that says the default.
fn canonical(group: &Yaml) -> String {
    let mut value = serde_json::to_value(group).unwrap_or_default();
    plain(&mut value);
    serde_yaml::to_string(&value).unwrap_or_default()
}

fn plain(value: &mut serde_json::Value) {
    use serde_json::Value;
    if let Value::Object(map) = value {
        for key in ["for", "keep_firing_for", "interval", "query_offset"] {
            if let Some(Value::String(text)) = map.get(key) {
                let text = span(text);
                map.insert(key.to_owned(), Value::String(text));
            }
        }
        map.retain(|key, value| {
            let empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
            let zero = matches!(key.as_str(), "for" | "keep_firing_for" | "query_offset") && value == "0s";
            let unlimited = key == "limit" && *value == 0;
            !(empty || zero || unlimited)
        });
        map.values_mut().for_each(plain);
    } else if let Value::Array(items) = value {
        items.iter_mut().for_each(plain);
    }
}

/// A span as Prometheus writes it, in seconds: `1h30m` is `5400s`. Text that is none stays as it is.
pub(super) fn span(text: &str) -> String {
    let (mut total, mut number, mut unit) = (0.0_f64, String::new(), String::new());
    let mut parts: Vec<(String, String)> = Vec::new();
    for c in text.chars() {
        if c.is_ascii_digit() || c == '.' {
            if !unit.is_empty() {
                parts.push((std::mem::take(&mut number), std::mem::take(&mut unit)));
            }
            number.push(c);
        } else {
            unit.push(c);
        }
    }
    parts.push((number, unit));
    for (number, unit) in parts {
        let scale = match unit.as_str() {
            "ms" => 0.001,
            "s" => 1.0,
            "" if number == "0" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            "y" => 31_536_000.0,
            _ => return text.to_owned(),
        };
        let Ok(number) = number.parse::<f64>() else { return text.to_owned() };
        total += number * scale;
    }
    format!("{total}s")
}

/// A ruler that takes rules over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Ruler")]
struct Settings {
    /// The target's name; its kind if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its root.
    pub url: Link,
    /// How it is reached.
    #[serde(default, rename = "access")]
    pub server: Access,
    /// Whose rules these are, where there are several tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Where its rules are: `/prometheus/config/v1/rules` in Mimir and `/loki/api/v1/rules` in Loki, if it is not set;
    /// `/api/v1/rules` in Cortex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The namespace. Everything in it belongs to the agent.
    #[serde(default = "namespace")]
    pub namespace: String,
}

fn namespace() -> String {
    crate::render::FOLDER.to_owned()
}

/// A ruler over metrics: Mimir, Cortex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Mimir(Settings);

/// The ruler of Loki.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Loki(Settings);

macro_rules! ruler {
    ($kind:ident, $name:literal, $rules:ident, $over:ident) => {
        impl TargetKind for $kind {
            fn name(&self) -> &str {
                self.0.name.as_deref().unwrap_or($name)
            }

            fn paths(&mut self) -> Vec<&mut PathBuf> {
                self.0.server.paths().collect()
            }

            fn rules(&self) -> Rules {
                Rules::$rules
            }

            fn expose(&self, found: &mut Exposed<'_>) {
                self.0.server.expose(&self.0.url, found);
            }
        }

        impl TargetSettings for $kind {
            type Connection = Connection;

            fn open(&self) -> Result<Connection, String> {
                Connection::open(&self.0, Over::$over)
            }
        }
    };
}

ruler!(Mimir, "mimir", Evaluated, Metrics);
ruler!(Loki, "loki", Apart, Logs);

/// What a ruler evaluates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// PromQL over metrics.
    Metrics,
    /// LogQL over logs.
    Logs,
}

/// A ruler by itself.
pub(super) struct Connection {
    client: Client,
    ruler: Ruler,
    over: Over,
}

impl Connection {
    fn open(settings: &Settings, over: Over) -> Result<Self, String> {
        let usual = match over {
            Over::Metrics => "/prometheus/config/v1/rules",
            Over::Logs => "/loki/api/v1/rules",
        };
        let prefix = settings.prefix.as_deref().unwrap_or(usual);
        if over == Over::Metrics && prefix.trim_start_matches('/').starts_with("loki/") {
            return Err("Loki evaluates LogQL over logs, and these rules are PromQL over metrics: \
                        write `loki:` for `mimir:`, and it gets the rules for the agent's log"
                .to_owned());
        }
        let mut client = Client::open(&settings.url, &settings.server)?;
        if let Some(tenant) = &settings.tenant {
            client.always("x-scope-orgid", tenant)?;
        }
        Ok(Self { client, ruler: Ruler::new(prefix, &settings.namespace), over })
    }
}

impl target::Connection for Connection {
    /// There is no path that says it in every ruler, so whether it answers is asked where the rules are.
    async fn ready(&mut self, within: Duration) -> Result<(), String> {
        self.client.answers(&format!("{}/{}", self.ruler.path, escape(&self.ruler.namespace)), within).await
    }

    fn wanted(&self, bundle: &Bundle) -> Result<Vec<DesiredObject>, String> {
        Ok(Ruler::wanted(match self.over {
            Over::Metrics => &bundle.rules,
            Over::Logs => &bundle.log_rules,
        }))
    }

    async fn read(&mut self, _wanted: &[DesiredObject]) -> Result<Vec<ActualObject>, String> {
        Ok(self.ruler.read(&self.client).await?)
    }

    async fn apply(&mut self, steps: Vec<Step>, _run: &Run, tell: &mut Reporter<'_, '_>) {
        for step in steps {
            let result = self.ruler.write(&self.client, &step).await;
            tell.done(step, result.map_err(String::from));
        }
        if let Err(why) = self.ruler.finish(&self.client).await {
            tracing::error!(
                "cannot note what was pushed to {}: {}",
                self.client.root(),
                quote(why.to_string())
            );
        }
    }

    fn writes(&self) -> u64 {
        self.client.writes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A look in the middle of a run, because another writer was faster, forgets nothing of it.
    #[tokio::test]
    async fn marks_outlive_another_look() {
        let noted = "n: [{name: a, rules: []}, {name: neural-exporter-marks, rules: [{annotations: {marks: '1-o a'}}]}]";
        let (url, asked) = super::super::played::script(move |number, asked| match asked.split(' ').next() {
            Some("GET") if number > 2 => (500, "oops".to_owned()),
            Some("GET") => (200, noted.to_owned()),
            _ => (202, "{}".to_owned()),
        });
        let client = Client::open(&url.as_str().into(), &Access::default()).unwrap();
        let mut ruler = Ruler::new("/r", "n");
        let step = |name: &str, action: Action| {
            let text = format!("name: {name}\n");
            Step { text, mark: "2-o".to_owned(), ..Step::bare(Kind::RuleGroup, name, action, None) }
        };
        let marks = |ruler: &Ruler| ruler.marks.iter().map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>();
        ruler.read(&client).await.unwrap();
        ruler.write(&client, &step("b", Action::Create)).await.unwrap();
        ruler.read(&client).await.unwrap();
        assert_eq!(
            marks(&ruler),
            ["a 1-o", "b 2-o"],
            "what was written is known, although it is not noted yet"
        );
        ruler.read(&client).await.unwrap_err();
        assert_eq!(marks(&ruler), ["a 1-o", "b 2-o"], "a look that fails changes nothing");
        ruler.finish(&client).await.unwrap();
        assert_eq!(asked.lock().last().unwrap(), "POST /r/n");

        // The note goes only after the last group.
        let mut ruler = Ruler::new("/r", "n");
        ruler.read(&client).await.unwrap_err();
        ruler.finish(&client).await.unwrap();
        assert!(!asked.lock().iter().any(|line| line.starts_with("DELETE")), "nothing was removed");
        ruler.write(&client, &step("b", Action::Delete)).await.unwrap();
        ruler.finish(&client).await.unwrap();
        assert_eq!(asked.lock().last().unwrap(), "DELETE /r/n/neural-exporter-marks");
    }

    #[test]
    fn a_store_of_files_is_recognized() {
        let reported = |status: u16, body: &str| {
            local(&Answer { url: String::new(), status, body: body.into(), secrets: [].into() })
        };
        let why = reported(
            400,
            "error parsing /rules/fake/neural: open /rules/fake/neural: no such file or directory",
        )
        .unwrap();
        assert!(
            why.contains("its store is `local`") && why.contains("into /rules/fake on its machine"),
            "{why}"
        );
        let why =
            reported(400, "unable to read rule dir /rules/fake: open /rules/fake: no such file or directory")
                .unwrap();
        assert!(why.contains("into /rules on"), "{why}");
        let why = reported(500, "SetRuleGroup unsupported in rule local store\n").unwrap();
        assert!(why.contains("<ruler storage directory>/<tenant>"), "{why}");
        assert_eq!(reported(400, "could not parse expression"), None);
        assert_eq!(reported(200, "open /a: no such file or directory"), None);
    }

    #[test]
    fn spans_are_seconds() {
        for (text, want) in
            [("1h30m", "5400s"), ("4d", "345600s"), ("0s", "0s"), ("1m0s", "60s"), ("soon", "soon")]
        {
            assert_eq!(span(text), want);
        }
    }

    #[test]
    fn a_group_looks_the_same_however_it_comes_back() {
        let of = |text: &str| canonical(&serde_yaml::from_str(text).unwrap());
        let ours =
            of("name: a\ninterval: 1m\nrules:\n- alert: A\n  expr: up == 0\n  for: 4d\n  labels: {}\n");
        let theirs = of(
            "rules: [{expr: 'up == 0', for: 96h, alert: A, keep_firing_for: 0s}]\nname: a\ninterval: 60s\nlimit: 0",
        );
        assert_eq!(ours, theirs);
        assert_ne!(ours, of("name: a\nrules: [{alert: A, expr: 'up == 1', for: 4d}]\ninterval: 1m"));
    }
}
