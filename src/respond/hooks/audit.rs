//! The audit: a line of JSON for everything that a hook did, in a file that is only appended to.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use serde::Serialize;

use crate::alert::action::Happened;
use crate::file::{PRIVATE, make_folders};
use crate::promql::moment_ms;

/// Lines that wait for the disk.
const WAITING: usize = 4_096;

/// A line.
#[derive(Debug, Serialize)]
struct Line<'a> {
    time: String,
    hook: &'a str,
    step: &'a str,
    #[serde(rename = "do")]
    what: &'a str,
    incident: &'a str,
    alert: &'a str,
    labels: serde_json::Value,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
}

/// The file and the thread that writes it. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Audit(Option<SyncSender<Vec<u8>>>);

impl Audit {
    /// In this file, which becomes another one when it has so many bytes. Without a thread nothing is written, which is said.
    pub(super) fn start(path: PathBuf, bytes: u64) -> Self {
        let (sender, lines) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("audit".into());
        let started = thread.spawn(move || write(&lines, &path, bytes));
        let started = started.inspect_err(|error| tracing::error!(%error, "there is no audit of actions"));
        Self(started.ok().map(|_| sender))
    }

    /// Writes a line. Says whether there was room.
    pub(super) fn write(&self, hook: &str, what: &str, happened: &Happened) -> bool {
        let labels: serde_json::Map<String, serde_json::Value> =
            happened.incident.labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let line = Line {
            time: moment_ms(happened.at),
            hook,
            step: happened.step.as_str(),
            what,
            incident: &happened.incident.id,
            alert: &happened.incident.alert,
            labels: labels.into(),
            text: &happened.text,
        };
        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        self.0.as_ref().is_some_and(|sender| sender.try_send(text).is_ok())
    }
}

fn write(lines: &Receiver<Vec<u8>>, path: &Path, bytes: u64) {
    let mut file: Option<(File, u64)> = None;
    let mut failing = false;
    for line in lines {
        let done = append(&mut file, path, bytes, &line);
        match done {
            Ok(()) if failing => {
                failing = false;
                tracing::info!("the audit of actions is written again to {}", path.display());
            }
            Err(error) => {
                file = None;
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!("the audit of actions cannot be written to {}: {error}", path.display());
                }
            }
            Ok(()) => {}
        }
    }
}

fn append(file: &mut Option<(File, u64)>, path: &Path, bytes: u64, line: &[u8]) -> std::io::Result<()> {
    if file.as_ref().is_some_and(|(_, length)| *length >= bytes) {
        *file = None;
        std::fs::rename(path, path.with_extension("jsonl.1"))?;
    }
    let (open, length) = match file {
        Some(file) => file,
        None => {
            make_folders(path)?;
            let open = OpenOptions::new().create(true).append(true).mode(PRIVATE).open(path)?;
            let length = open.metadata()?.len();
            file.insert((open, length))
        }
    };
    // One write for one line, so that a line is whole or not there.
    open.write_all(line)?;
    *length += line.len() as u64;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::action::Step;

    #[test]
    fn lines_are_appended_and_the_file_does_not_grow_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("actions.jsonl");
        std::fs::write(&path, "{\"before\":true}\n").unwrap();
        let incident =
            crate::alert::incident::testing::incident(&[("alertname", "A\n"), ("severity", "critical")], 0);
        let happened = Happened { at: 1_000, hook: 0, step: Step::Failed, incident, text: "x\ny".into() };
        let (sender, lines) = sync_channel(WAITING);
        let audit = Audit(Some(sender));
        (0..20).for_each(|_| assert!(audit.write("h", "run x", &happened)));
        drop(audit);
        write(&lines, &path, 1_000);
        let (now, before) = (std::fs::read_to_string(&path).unwrap(), path.with_extension("jsonl.1"));
        let before = std::fs::read_to_string(before).unwrap();
        assert!(before.len() < 1_400 && now.len() < 1_400, "{} {}", before.len(), now.len());
        for line in now.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(
                (&line["step"], &line["text"], &line["do"]),
                (&"failed".into(), &"x\ny".into(), &"run x".into())
            );
        }
    }
}
