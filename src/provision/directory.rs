//! A folder that gets every generated file, for servers that read their own files and for version control.
//!
//! What it wrote and how it looked is kept in one hidden file, because JSON takes no comments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files::{self, Staged};
use super::plan::{Action, ActualObject, DesiredObject, Kind, Step};
use super::target::{self, Rules, TargetKind, TargetSettings};
use super::{Bundle, Reporter, Run};
use crate::file::make_folders;

/// The file that knows the others.
const LIST: &str = ".neural-exporter.json";

/// A folder that gets every generated file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// The target's name.
    #[serde(default = "directory")]
    pub name: String,
    /// The folder.
    pub path: PathBuf,
}

fn directory() -> String {
    "directory".to_owned()
}

impl TargetKind for Directory {
    fn name(&self) -> &str {
        &self.name
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.path]
    }

    fn rules(&self) -> Rules {
        Rules::Filed
    }

    fn folder(&self) -> Option<&Path> {
        self.path.ancestors().find(|above| above.exists()).or(Some(&self.path))
    }
}

pub(super) struct Connection {
    path: PathBuf,
    /// The marks of the files by path.
    list: BTreeMap<String, String>,
    writes: u64,
}

impl Connection {
    fn open(settings: &Directory) -> Self {
        Self { path: settings.path.clone(), list: BTreeMap::new(), writes: 0 }
    }

    fn write(&mut self, step: &Step) -> Result<Option<String>, String> {
        let path = self.path.join(&step.name);
        let mut note = None;
        match step.action {
            Action::Create | Action::Update => {
                make_folders(&path)
                    .map_err(|why| format!("cannot make the folder of {}: {why}", path.display()))?;
                note = Staged::write(&path, &step.text)?.commit()?;
                self.list.insert(step.name.clone(), step.mark.clone());
            }
            Action::Delete => {
                files::remove(&path)?;
                self.list.remove(&step.name);
                // Folders that are empty now were made for it; one that is not stays.
                let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.path));
                for folder in above.filter(|folder| *folder != self.path) {
                    if std::fs::remove_dir(folder).is_err() {
                        break;
                    }
                }
            }
            Action::Unchanged | Action::Leave | Action::Refuse => return Ok(None),
        }
        self.writes += 1;
        Ok(note)
    }
}

impl TargetSettings for Directory {
    type Connection = Connection;

    fn open(&self) -> Result<Connection, String> {
        Ok(Connection::open(self))
    }
}

impl target::Connection for Connection {
    async fn ready(&mut self, _within: Duration) -> Result<(), String> {
        Ok(())
    }

    fn wanted(&self, bundle: &Bundle) -> Result<Vec<DesiredObject>, String> {
        let file = |file: &crate::render::File| DesiredObject {
            kind: Kind::File,
            name: file.path.clone(),
            text: file.text.clone(),
        };
        Ok(bundle.files.iter().map(file).collect())
    }

    async fn read(&mut self, wanted: &[DesiredObject]) -> Result<Vec<ActualObject>, String> {
        let list = self.path.join(LIST);
        if let Some(text) = files::read(&list)? {
            self.list = serde_json::from_str(&text).map_err(|why| format!("{}: {why}", list.display()))?;
        }
        let mut names: Vec<&str> = wanted.iter().map(|want| &*want.name).collect();
        names.extend(
            self.list.keys().map(|name| &**name).filter(|name| !names.contains(name)).collect::<Vec<_>>(),
        );
        let mut found = Vec::new();
        for name in names {
            if name.split('/').any(|part| part.is_empty() || part == "..") {
                return Err(format!("{}: \"{name}\" is outside of the folder", list.display()));
            }
            if let Some(text) = files::read(&self.path.join(name))? {
                found.push(ActualObject::exact(Kind::File, name, text, self.list.get(name).cloned()));
            }
        }
        Ok(found)
    }

    fn writes(&self) -> u64 {
        self.writes
    }

    async fn apply(&mut self, steps: Vec<Step>, _run: &Run, tell: &mut Reporter<'_, '_>) {
        for step in steps {
            let result = self.write(&step);
            tell.done(step, result);
        }
        self.list.retain(|name, _| self.path.join(name).exists());
        let list = self.path.join(LIST);
        let kept = if self.list.is_empty() {
            files::remove(&list)
        } else {
            let text = serde_json::to_string_pretty(&self.list).unwrap_or_default();
            Staged::write(&list, &text).and_then(|staged| staged.commit()).map(drop)
        };
        if let Err(why) = kept {
            tracing::error!("{why}; the next run will not recognise these files");
        }
    }
}
