//! An Alertmanager whose configuration can be written: check, file, reload, and a look at what it runs.
//!
//! The file has one owner. One that is not ours is not touched unless that is forced, and then kept beside it
//! for when ours goes; its secrets are not shown.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_yaml::Value as Yaml;

use super::access::Access;
use super::client::{Client, Request};
use super::files::{self, Staged, verify};
use super::mark::{sign, unsign};
use super::plan::{Action, ActualObject, DesiredObject, Kind, Step};
use super::target::{self, Rules, TargetKind, TargetSettings};
use super::{Bundle, Reporter, Run};
use crate::secret::{Exposed, Link};

/// A configuration that notifies no receiver.
const NOTHING: &str = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n";

/// An Alertmanager whose configuration can be written here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alertmanager {
    /// The target's name.
    #[serde(default = "alertmanager")]
    pub name: String,
    /// Its root, with the sub-path if there is one.
    pub url: Link,
    /// How it is reached.
    #[serde(default, rename = "access")]
    pub server: Access,
    /// Its configuration. A file that is not ours is left alone, or with `--force` kept beside it under the
    /// name that ends with `.before-neural`, until `destroy` puts it back. A link is followed, and a file that is
    /// mounted is written where it stands.
    pub config_file: PathBuf,
    /// The program that checks the configuration before it is loaded.
    #[serde(default = "amtool")]
    pub amtool: String,
}

fn alertmanager() -> String {
    "alertmanager".to_owned()
}

fn amtool() -> String {
    "amtool".to_owned()
}

impl TargetKind for Alertmanager {
    fn name(&self) -> &str {
        &self.name
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.server.paths().chain([&mut self.config_file]).collect()
    }

    fn rules(&self) -> Rules {
        Rules::Apart
    }

    fn folder(&self) -> Option<&Path> {
        self.config_file.parent()
    }

    fn expose(&self, found: &mut Exposed<'_>) {
        self.server.expose(&self.url, found);
    }
}

pub(super) struct Connection {
    client: Client,
    file: PathBuf,
    amtool: String,
    writes: u64,
}

/// Why a step failed, and whether what it wrote stands there all the same.
struct Failed {
    why: String,
    left: bool,
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Self { why, left: false }
    }
}

impl Connection {
    pub(super) fn open(settings: &Alertmanager) -> Result<Self, String> {
        Ok(Self {
            client: Client::open(&settings.url, &settings.server)?,
            file: settings.config_file.clone(),
            amtool: settings.amtool.clone(),
            writes: 0,
        })
    }

    fn name(&self) -> String {
        self.file.display().to_string()
    }

    /// Fails if the server runs something else.
    async fn stale(&self, text: &str) -> Result<(), String> {
        let status = self.client.call(Request::get("/api/v2/status")).await?.json()?;
        let runs = status.pointer("/config/original").and_then(Value::as_str).unwrap_or_default();
        let (wanted, runs) = (receivers(text), receivers(runs));
        let absent = wanted.iter().find(|name| !runs.contains(name));
        absent.map_or(Ok(()), |name| Err(format!("the server has not loaded receiver \"{name}\"")))
    }

    async fn write(&mut self, step: &Step) -> Result<Option<String>, Failed> {
        let staged = Staged::write(&self.file, &sign(&step.text, &step.mark))?;
        let checked = verify(&self.amtool, &["check-config"], staged.new_path(), "this").await?;
        let mut notes: Vec<String> = checked.into_iter().collect();
        let kept = self.keep(&step.text)?;
        notes.extend(
            kept.iter().map(|copy| format!("the previous configuration is kept in {}", copy.display())),
        );
        match staged.commit() {
            Ok(note) => notes.extend(note),
            Err(why) => {
                // Nothing was replaced, so nothing is kept.
                kept.map_or(Ok(()), |copy| files::remove(&copy)).map_err(|more| format!("{why}\n{more}"))?;
                return Err(why.into());
            }
        }
        self.writes += 1;
        let loaded = match self.reload().await {
            Ok(()) => self.stale(&step.text).await,
            Err(why) => Err(format!("the server does not load it: {why}")),
        };
        let Err(why) = loaded else { return Ok((!notes.is_empty()).then(|| notes.join("\n"))) };
        if let Err(more) = staged.restore() {
            return Err(Failed { why: format!("{why}\n{more}"), left: true });
        }
        if let Some(copy) = kept {
            files::remove(&copy).map_err(|more| format!("{why}\n{more}"))?;
        }
        let after = match self.reload().await {
            Ok(()) => "the file is as before, and the server has reloaded it".to_owned(),
            Err(more) => format!("the file is as before; the server says: {more}"),
        };
        Err(format!("{why}\n{after}").into())
    }

    /// Keeps what stands there, if that is not ours.
    fn keep(&self, new: &str) -> Result<Option<PathBuf>, String> {
        let there = files::read(&self.file)?.unwrap_or_default();
        let (content, mark) = unsign(&there);
        let theirs = mark.is_none() && !nobodys(content) && content != new;
        if theirs { files::keep(&self.file) } else { Ok(None) }
    }

    /// What stood there before comes back. An Alertmanager cannot do without a file, so if nothing did, the one that
    /// stays notifies no receiver.
    async fn remove(&mut self) -> Result<Option<String>, Failed> {
        if files::put_back(&self.file)? {
            self.writes += 1;
            let note = "the configuration from before ours is restored";
            return match self.reload().await {
                Ok(()) => Ok(Some(note.to_owned())),
                Err(why) => {
                    let why = format!("{note}, but the server does not load it: {why}");
                    Err(Failed { why, left: true })
                }
            };
        }
        Staged::write(&self.file, NOTHING)?.commit()?;
        self.writes += 1;
        self.reload().await.map_err(|why| Failed { why, left: true })?;
        Ok(Some("a configuration without receivers replaces it, because a server needs one".to_owned()))
    }

    async fn reload(&self) -> Result<(), String> {
        Ok(self.client.call(Request::post("/-/reload")).await.map(drop)?)
    }
}

impl TargetSettings for Alertmanager {
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
        let config =
            |text: &String| DesiredObject { kind: Kind::Config, name: self.name(), text: text.clone() };
        Ok(bundle.alertmanager.iter().map(config).collect())
    }

    async fn read(&mut self, _wanted: &[DesiredObject]) -> Result<Vec<ActualObject>, String> {
        let Some(text) = files::read(&self.file)? else { return Ok(Vec::new()) };
        let (content, mark) = unsign(&text);
        if mark.is_none() && nobodys(content) {
            return Ok(Vec::new());
        }
        let stale = self.stale(content).await.err();
        Ok(vec![ActualObject {
            stale,
            ..ActualObject::exact(Kind::Config, self.name(), content, mark.map(str::to_owned))
        }])
    }

    async fn apply(&mut self, steps: Vec<Step>, _run: &Run, tell: &mut Reporter<'_, '_>) {
        for step in steps {
            let result = match step.action {
                Action::Create | Action::Update => self.write(&step).await,
                Action::Delete => self.remove().await,
                Action::Unchanged | Action::Leave | Action::Refuse => Ok(None),
            };
            match result {
                Err(Failed { why, left: true }) => tell.left(step, why),
                result => tell.done(step, result.map_err(|failed| failed.why)),
            }
        }
    }

    fn writes(&self) -> u64 {
        self.client.writes() + self.writes
    }
}

/// An empty file is nobody's, and so is what we leave behind.
fn nobodys(content: &str) -> bool {
    ["", NOTHING.trim()].contains(&content.trim())
}

fn receivers(text: &str) -> Vec<String> {
    let value: Yaml = serde_yaml::from_str(text).unwrap_or_default();
    let list = value.get("receivers").and_then(Yaml::as_sequence).cloned().unwrap_or_default();
    list.iter().filter_map(|receiver| receiver.get("name")?.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::plan::Step;
    use super::super::played::{run, script};
    use super::super::report::{Operation, Report};
    use super::*;

    /// What an Alertmanager answers to a reload that it rejects (`web.go`).
    const REJECTED: &str = "failed to reload config: undefined receiver \"a\" used in route";

    #[tokio::test]
    async fn a_reload_that_is_rejected_is_not_sent_again() {
        let (url, asked) = script(|_, asked| match asked {
            "POST /-/reload" => (500, REJECTED.to_owned()),
            _ => (200, "{}".to_owned()),
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alertmanager.yml");
        let settings = serde_json::json!({"url": url, "config_file": file, "amtool": "no-amtool"});
        let mut connection = Connection::open(&serde_json::from_value(settings).unwrap()).unwrap();
        let step = Step {
            text: "route: {receiver: a}\n".to_owned(),
            ..Step::bare(Kind::Config, "alertmanager.yml", Action::Create, None)
        };
        let mut report = Report::new(Operation::Apply);
        let mut tell = Reporter { target: "p", report: &mut report, tell: &mut |_| {} };
        target::Connection::apply(&mut connection, vec![step], &run(), &mut tell).await;
        let reloads = asked.lock().iter().filter(|line| *line == "POST /-/reload").count();
        assert_eq!(reloads, 2, "once with the file, once without it");
        let why = report.outcomes[0].failure.clone().unwrap();
        assert!(why.contains(REJECTED), "{why}");
        assert!(!file.exists());
    }
}
