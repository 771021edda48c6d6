//! A Prometheus whose rule files lie in a folder that can be written: files, reload, and a look at what it made of them.
//!
//! It takes no rules over HTTP, so the files are written here, checked by promtool before anything else, and put
//! back if the server does not like them. Other files of the folder are not touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::access::Access;
use super::bundle::rule_file;
use super::client::{Client, Request};
use super::files::{self, Staged, Verdict, check};
use super::mark::{sign, unsign};
use super::plan::{Action, ActualObject, DesiredObject, Kind, Step};
use super::target::{self, Rules, TargetKind, TargetSettings};
use super::{Bundle, Reporter, Run};
use crate::secret::{Exposed, Link};
use crate::setting::Span;

/// What the names of our files begin with.
const PREFIX: &str = "neural-exporter-";
/// The pause between two looks at the rules.
const LOOK: Duration = Duration::from_millis(250);
/// How long loaded groups may take to be listed.
const LISTED: Duration = Duration::from_secs(10);

/// A Prometheus whose rule files can be written here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prometheus {
    /// The target's name.
    #[serde(default = "prometheus")]
    pub name: String,
    /// Its root, with the sub-path if there is one.
    pub url: Link,
    /// How it is reached.
    #[serde(default, rename = "access")]
    pub server: Access,
    /// The folder that its `rule_files` names with `*.yml`.
    pub rules_directory: PathBuf,
    /// The program that checks rules before they are loaded.
    #[serde(default = "promtool")]
    pub promtool: String,
    /// How long rules may take to be evaluated for the first time. Those that take longer are not waited for.
    #[serde(default = "verify")]
    pub verify: Span,
}

fn prometheus() -> String {
    "prometheus".to_owned()
}

fn promtool() -> String {
    "promtool".to_owned()
}

fn verify() -> Span {
    Span::seconds(10)
}

impl TargetKind for Prometheus {
    fn name(&self) -> &str {
        &self.name
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.server.paths().chain([&mut self.rules_directory]).collect()
    }

    fn rules(&self) -> Rules {
        Rules::Evaluated
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.rules_directory)
    }

    fn expose(&self, found: &mut Exposed<'_>) {
        self.server.expose(&self.url, found);
    }
}

pub(super) struct Connection {
    client: Client,
    folder: PathBuf,
    promtool: String,
    verify: Duration,
    writes: u64,
}

/// What a server says of a group of a file.
struct Loaded {
    /// Seconds between two evaluations.
    interval: f64,
    rules: usize,
    /// Rules that were not yet evaluated.
    unknown: usize,
    errors: Vec<String>,
}

/// Why files that were written are not what the server runs, and which of them stand there all the same.
struct Unloaded {
    why: String,
    left: Vec<String>,
}

/// Groups by the name of their file and their own.
type Groups = BTreeMap<(String, String), Loaded>;

impl Connection {
    pub(super) fn open(settings: &Prometheus) -> Result<Self, String> {
        let folder = settings.rules_directory.clone();
        if !folder.is_dir() {
            return Err(format!("no such folder: {}", folder.display()));
        }
        Ok(Self {
            client: Client::open(&settings.url, &settings.server)?,
            folder,
            promtool: settings.promtool.clone(),
            verify: settings.verify.0,
            writes: 0,
        })
    }

    /// What the server has loaded.
    async fn loaded(&self) -> Result<Groups, String> {
        let answer = self.client.call(Request::get("/api/v1/rules")).await;
        let answer = answer
            .map_err(|why| format!("cannot read the rules of {}: {why}", self.client.root()))?
            .json()?;
        let mut groups = Groups::new();
        let list = answer.pointer("/data/groups").and_then(Value::as_array);
        for group in list.ok_or("the answer has no groups; is this a Prometheus?")? {
            let word = |key: &str| group.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let file =
                Path::new(&word("file")).file_name().unwrap_or_default().to_string_lossy().into_owned();
            let rules = group.get("rules").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let is =
                |rule: &Value, key: &str, word: &str| rule.get(key).and_then(Value::as_str) == Some(word);
            let wrong = |rule: &&Value| is(rule, "health", "err");
            let describe = |rule: &Value| {
                let word = |key: &str| rule.get(key).and_then(Value::as_str).unwrap_or_default();
                format!("{}: {}", word("name"), word("lastError"))
            };
            let loaded = Loaded {
                interval: group.get("interval").and_then(Value::as_f64).unwrap_or_default(),
                rules: rules.len(),
                unknown: rules.iter().filter(|rule| is(rule, "health", "unknown")).count(),
                errors: rules.iter().filter(wrong).map(describe).collect(),
            };
            groups.insert((file, word("name")), loaded);
        }
        Ok(groups)
    }

    /// Writes or removes one file, and gives what stood there before.
    async fn write(&self, step: &Step) -> Result<(Option<String>, Option<String>), String> {
        let path = self.folder.join(&step.name);
        let previous = files::read(&path)?;
        if step.action == Action::Delete {
            files::remove(&path)?;
            return Ok((previous, None));
        }
        let staged = Staged::write(&path, &sign(&step.text, &step.mark))?;
        let note =
            files::verify(&self.promtool, &["check", "rules"], staged.new_path(), "these rules").await?;
        let notes: Vec<String> = [note, staged.commit()?].into_iter().flatten().collect();
        Ok((previous, (!notes.is_empty()).then(|| notes.join("\n"))))
    }

    /// Reloads and verifies; puts the files back on failure.
    async fn load(
        &self,
        written: &[(Step, Option<String>, Option<String>)],
    ) -> Result<Option<String>, Unloaded> {
        let all = || written.iter().map(|(step, ..)| step.name.clone()).collect();
        let unloaded = |why: String| Unloaded { why: format!("written, but not loaded: {why}"), left: all() };
        let reloaded =
            self.client.send(Request::post("/-/reload")).await.map_err(|why| unloaded(why.into()))?;
        if reloaded.status == 403 {
            return Err(unloaded(format!(
                "{}\n  hint: start Prometheus with --web.enable-lifecycle, or have it read its files with: kill -HUP \
                 $(pidof prometheus)",
                reloaded.words()
            )));
        }
        let why = match reloaded.good() {
            Ok(_) => match self.verified(written).await {
                Ok(note) => return Ok(note),
                Err(why) => why,
            },
            Err(why) => format!("the server does not load them: {why}"),
        };
        let (mut reasons, mut left) = (vec![why], Vec::new());
        for (step, previous, _) in written {
            let path = self.folder.join(&step.name);
            // The server does not say what is wrong and where; promtool does.
            if step.action != Action::Delete
                && let Verdict::Wrong(words) = check(&self.promtool, &["check", "rules"], &path).await
            {
                reasons.push(words);
            }
            if let Err(why) = files::restore(&path, previous.as_deref()) {
                reasons.push(why);
                left.push(step.name.clone());
            }
        }
        let are = if left.is_empty() { "the files are" } else { "the other files are" };
        reasons.push(match self.client.call(Request::post("/-/reload")).await {
            Ok(_) => format!("{are} as before, and the server has reloaded them"),
            Err(why) => format!(
                "{are} as before, but the server does not reload them either ({why}), so that its \
                 configuration was broken before; see: promtool check config"
            ),
        });
        Err(Unloaded { why: reasons.join("\n"), left })
    }

    /// Whether what was written is what the server runs now.
    async fn verified(
        &self,
        written: &[(Step, Option<String>, Option<String>)],
    ) -> Result<Option<String>, String> {
        let about = self.client.call(Request::get("/api/v1/status/runtimeinfo")).await?.json()?;
        if about.pointer("/data/reloadConfigSuccess") == Some(&Value::Bool(false)) {
            return Err("the server says that its last reload failed".to_owned());
        }
        let (mut waited, longest) = (Duration::ZERO, self.verify);
        loop {
            let loaded = self.loaded().await?;
            let (mut gone, mut unknown, mut longest_interval) = (Vec::new(), 0, 0.0_f64);
            let mut errors = Vec::new();
            for (step, ..) in written {
                if step.action == Action::Delete {
                    let still = loaded.keys().any(|(file, _)| *file == step.name);
                    gone.extend(still.then(|| format!("{} is still loaded", step.name)));
                    continue;
                }
                gone.extend(missing(&step.name, &step.text, &loaded));
                for (_, group) in loaded.iter().filter(|((file, _), _)| *file == step.name) {
                    unknown += group.unknown;
                    if group.unknown > 0 {
                        longest_interval = longest_interval.max(group.interval);
                    }
                    errors.extend(group.errors.iter().cloned());
                }
            }
            if !errors.is_empty() {
                return Err(format!("rules cannot be evaluated:\n{}", errors.join("\n")));
            }
            if gone.is_empty() && (unknown == 0 || waited >= longest) {
                let root = self.client.root();
                let left = format!(
                    "{unknown} rules are loaded and not evaluated yet; look again in {longest_interval} s at {root}/rules"
                );
                return Ok((unknown > 0).then_some(left));
            }
            if !gone.is_empty() && waited >= LISTED {
                let folder = self.folder.display();
                return Err(format!(
                    "{}\n  hint: rule_files of the server's configuration must name {folder}/*.yml",
                    gone.join("\n")
                ));
            }
            tokio::time::sleep(LOOK).await;
            waited += LOOK;
        }
    }
}

impl TargetSettings for Prometheus {
    type Connection = Connection;

    fn open(&self) -> Result<Connection, String> {
        Connection::open(self)
    }
}

impl target::Connection for Connection {
    async fn ready(&mut self, within: Duration) -> Result<(), String> {
        self.client.ready("/-/ready", within).await
    }

    fn wanted(&self, bundle: &Bundle) -> Result<Vec<DesiredObject>, String> {
        let file = |rules: &super::RuleFile| DesiredObject {
            kind: Kind::RuleFile,
            name: format!("{PREFIX}{}", rules.name),
            text: rules.text.clone(),
        };
        Ok(bundle.rules.iter().map(file).collect())
    }

    async fn read(&mut self, _wanted: &[DesiredObject]) -> Result<Vec<ActualObject>, String> {
        let loaded = self.loaded().await?;
        let cannot = |why: std::io::Error| format!("cannot read {}: {why}", self.folder.display());
        let mut names: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(cannot)? {
            let name = entry.map_err(cannot)?.file_name().to_string_lossy().into_owned();
            if name.starts_with(PREFIX) && (name.ends_with(".yml") || name.ends_with(".yaml")) {
                names.push(name);
            }
        }
        names.sort();
        let mut found = Vec::new();
        for name in names {
            let Some(text) = files::read(&self.folder.join(&name))? else { continue };
            let (content, mark) = unsign(&text);
            let stale = missing(&name, content, &loaded);
            found.push(ActualObject {
                stale,
                ..ActualObject::exact(Kind::RuleFile, &*name, content, mark.map(str::to_owned))
            });
        }
        Ok(found)
    }

    /// Writes what can be written, has it loaded, looks at it, and puts everything back if that fails.
    async fn apply(&mut self, steps: Vec<Step>, _run: &Run, tell: &mut Reporter<'_, '_>) {
        // What is in place: the step, the text that stood there, and a note.
        let mut written: Vec<(Step, Option<String>, Option<String>)> = Vec::new();
        for step in steps {
            if !step.action.writes() {
                tell.done(step, Ok(None));
                continue;
            }
            match self.write(&step).await {
                Ok((previous, note)) => {
                    self.writes += 1;
                    written.push((step, previous, note));
                }
                Err(why) => tell.done(step, Err(why)),
            }
        }
        if written.is_empty() {
            return;
        }
        let result = self.load(&written).await;
        if let Ok(Some(remark)) = &result {
            tell.note(remark.clone());
        }
        for (step, _, note) in written {
            match &result {
                Ok(_) => tell.done(step, Ok(note)),
                Err(Unloaded { why, left }) if left.contains(&step.name) => tell.left(step, why.clone()),
                Err(Unloaded { why, .. }) => tell.done(step, Err(why.clone())),
            }
        }
    }

    fn writes(&self) -> u64 {
        self.client.writes() + self.writes
    }
}

/// What of a file the server has not loaded.
fn missing(file: &str, text: &str, loaded: &Groups) -> Option<String> {
    let wanted = rule_file(file, text).ok()?;
    let absent = wanted.groups.iter().find(|group| {
        let there = loaded.get(&(file.to_owned(), group.name.clone()));
        there.is_none_or(|there| there.rules != group.rules)
    })?;
    Some(format!("the server has not loaded group \"{}\" of {file}", absent.name))
}

#[cfg(test)]
mod tests {
    use super::super::plan::Step;
    use super::super::played::{run, script};
    use super::super::report::{Operation, Report};
    use super::*;

    /// What a Prometheus answers to a reload that it rejects (`web.go`, 2.x and 3.x).
    const REJECTED: &str =
        "failed to reload config: one or more errors occurred while applying the new configuration";

    #[tokio::test]
    async fn a_reload_that_is_rejected_is_not_sent_again() {
        let (url, asked) = script(|_, asked| match asked {
            "POST /-/reload" => (500, REJECTED.to_owned()),
            _ => (200, "{\"data\":{\"groups\":[]}}".to_owned()),
        });
        let folder = tempfile::tempdir().unwrap();
        let settings =
            serde_json::json!({"url": url, "rules_directory": folder.path(), "promtool": "no-promtool"});
        let mut connection = Connection::open(&serde_json::from_value(settings).unwrap()).unwrap();
        let step = Step {
            text: "groups: []\n".to_owned(),
            ..Step::bare(Kind::RuleFile, "neural-exporter-a.yml", Action::Create, None)
        };
        let mut report = Report::new(Operation::Apply);
        let mut tell = Reporter { target: "p", report: &mut report, tell: &mut |_| {} };
        target::Connection::apply(&mut connection, vec![step], &run(), &mut tell).await;
        let reloads = asked.lock().iter().filter(|line| *line == "POST /-/reload").count();
        assert_eq!(reloads, 2, "once with the file, once without it");
        let why = report.outcomes[0].failure.clone().unwrap();
        assert!(why.contains(REJECTED), "{why}");
        assert!(!folder.path().join("neural-exporter-a.yml").exists());
    }
}
