//! Reads the metrics that other programs leave in `*.prom` files of a folder.
//!
//! A file is read as classic text and believed only without timestamps, because a file that nobody
//! writes any more would otherwise look fresh; its age is a metric instead. One bad file hides no other.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::decode::engines::Rest;
use crate::decode::text::exposition::{Exposition, Shape};
use crate::decode::text::openmetrics::{Dialect, ParseError};
use crate::decode::text::relabel::Relabel;
use crate::event::{Body, Fault, FaultKind, Received, Textfile};
use crate::quote::{plain, quote};
use crate::setting::Span;

use crate::clock::now;
use crate::source::aside::apart;
use crate::source::kind::{Kind, Probing, Start};
use crate::source::look::{Finding, Verdict};
use crate::source::{Feed, poll};
use crate::sys::file;

/// Bytes a file may have.
const BYTES: u64 = 4 << 20;
/// Files a folder may have.
const FILES: usize = 1000;
/// Samples a file may have.
const SAMPLES: usize = 50_000;
/// How long one look at the folder may take; disks of other machines can hang.
const DEADLINE: Duration = Duration::from_secs(10);

/// A folder with files of metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The source's name; the value of the label `source`.
    pub name: String,
    /// The folder whose `*.prom` files are read.
    pub directory: PathBuf,
    /// How often they are read.
    #[serde(default = "interval")]
    pub interval: Span,
}

fn interval() -> Span {
    Span::seconds(15)
}

impl Settings {
    /// The usual settings for a folder.
    #[must_use]
    pub fn new(name: impl Into<String>, directory: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), directory: directory.into(), interval: interval() }
    }
}

/// What became of one file.
#[derive(Debug)]
struct Outcome {
    file: String,
    /// When it was written, in seconds since the epoch.
    written: Option<f64>,
    bytes: u64,
    wrong: Option<(FaultKind, String)>,
}

impl Kind for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self) -> String {
        self.directory.display().to_string()
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.directory]
    }

    fn look<'a>(&'a self, path: &'a str, _running: bool) -> Probing<'a> {
        Box::pin(async move {
            let at = self.directory.display();
            vec![match std::fs::read_dir(&self.directory) {
                Ok(_) => Finding::new(path, at, Verdict::Ok, "can be read"),
                Err(why) => {
                    Finding::new(path, at, Verdict::Failed, format!("cannot be read: {}", plain(&why)))
                        .hint("create it, and let the agent's user read it")
                }
            }]
        })
    }

    fn start(&self, start: Start) {
        start.try_run(run(self.clone(), start.feed.clone(), start.stop.clone()));
    }
}

/// Reads the folder until it is cancelled.
///
/// # Errors
/// What is wrong with the settings.
pub async fn run(settings: Settings, feed: Feed, stop: CancellationToken) -> Result<(), String> {
    let Settings { name, directory, interval } = settings;
    if interval < Span::millis(100) {
        return Err(format!(
            "cannot read {} every {interval}: the shortest interval is 100ms",
            directory.display()
        ));
    }
    let shape = Shape {
        profile: None,
        rest: Rest::Keep,
        labels: vec![("source".into(), name)],
        relabel: Relabel::default(),
        samples: SAMPLES,
        timestamps: false,
    };
    let key = directory.display().to_string();
    let folder = Arc::new(Folder { directory, shape, said: Mutex::default() });
    let ask = move |feed: &Feed| {
        let (folder, feed, key) = (Arc::clone(&folder), feed.clone(), key.clone());
        async move { apart(&key, DEADLINE, move || folder.look(&feed)).await? }
    };
    // The wait above ends first, and knows of which file it was.
    poll(feed, interval.0, 2 * DEADLINE, stop, ask).await;
    Ok(())
}

/// A folder that is looked at repeatedly.
struct Folder {
    directory: PathBuf,
    shape: Shape,
    /// What was last said about each file, so that it is said once.
    said: Mutex<BTreeMap<String, String>>,
}

impl Folder {
    fn look(&self, feed: &Feed) -> Result<(), String> {
        let mut fold = |read: &Exposition<'_>| {
            feed.batch(now(), |out| read.emit(out));
        };
        let outcomes = read_folder(&self.directory, &self.shape, &mut fold)?;
        for outcome in &outcomes {
            emit(outcome, &mut |body| feed.send(body));
        }
        let mut said = self.said.lock();
        let wrong: BTreeMap<String, String> =
            outcomes.into_iter().filter_map(|o| Some((o.file, o.wrong?.1))).collect();
        for (file, why) in wrong.iter().filter(|(file, why)| said.get(*file) != Some(*why)) {
            let path = self.directory.join(file);
            say!(feed, warn, "cannot read a file of metrics", file = %quote(path.display()), why = %quote(why));
        }
        *said = wrong;
        Ok(())
    }
}

/// What became of a file, and its faults. Its series were counted when they were reported.
fn emit(outcome: &Outcome, out: &mut dyn FnMut(Body<'_>)) {
    let Outcome { file, written, bytes, wrong } = outcome;
    out(Body::Textfile(Textfile { file, written: *written, ok: wrong.is_none() }));
    if let Some((kind, _)) = wrong {
        out(Body::Fault(Fault { kind: *kind, bytes: *bytes }));
    }
    out(Body::Received(Received { bytes: *bytes, reads: 1, events: 0 }));
}

/// Reads every file, in the order of their names, and hands each that makes sense to `reported`.
fn read_folder(
    directory: &Path,
    shape: &Shape,
    fold: &mut dyn FnMut(&Exposition<'_>),
) -> Result<Vec<Outcome>, String> {
    let wrong = |why: io::Error| format!("cannot read the folder {}: {why}", directory.display());
    let mut names = Vec::new();
    for entry in file::list(directory).map_err(wrong)? {
        let name = entry.map_err(wrong)?.file_name();
        if name.to_string_lossy().ends_with(".prom") {
            names.push(name);
        }
        if names.len() > FILES {
            return Err(format!(
                "cannot read the folder {}: it has more than {FILES} files",
                directory.display()
            ));
        }
    }
    names.sort_unstable();
    let read = names.iter().map(|name| {
        let mut outcome =
            Outcome { file: name.to_string_lossy().into_owned(), written: None, bytes: 0, wrong: None };
        outcome.wrong = read_file(&directory.join(name), shape, fold, &mut outcome).err();
        outcome
    });
    Ok(read.collect())
}

fn read_file(
    path: &Path,
    shape: &Shape,
    fold: &mut dyn FnMut(&Exposition<'_>),
    outcome: &mut Outcome,
) -> Result<(), (FaultKind, String)> {
    let failed = |why: io::Error| {
        let kind = match why.kind() {
            io::ErrorKind::InvalidInput => FaultKind::BadValue,
            _ => FaultKind::MissingField,
        };
        (kind, why.to_string())
    };
    let file = file::open(path).map_err(failed)?;
    let written = file.metadata().and_then(|about| about.modified()).map_err(failed)?;
    outcome.written = Some(written.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    let mut text = Vec::new();
    file.take(BYTES + 1).read_to_end(&mut text).map_err(failed)?;
    outcome.bytes = text.len() as u64;
    if outcome.bytes > BYTES {
        return Err((FaultKind::TooLong, format!("it has more than {BYTES} bytes")));
    }
    let unread = |why: ParseError| (why.kind, why.to_string());
    let read = Exposition::read(&text, Dialect::Classic, shape).map_err(unread)?;
    // As node_exporter has it: a file with a line that is none may be half of one, and is left out as a whole.
    if let Some(why) = read.unreadable {
        return Err(unread(why));
    }
    fold(&read);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_file_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("a.prom", "a 1\n"),
            ("b.prom", "b{ 1\n"),
            ("c.prom", "c 1 1500\n"),
            ("d.prom", "d 1\nd{x=\"1\"} 2\n"),
            ("e.prom.tmp", "e 1\n"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::create_dir(folder.path().join("f.prom")).unwrap();
        let shape = Shape {
            profile: None,
            rest: Rest::Keep,
            labels: Vec::new(),
            relabel: Relabel::default(),
            samples: 10,
            timestamps: false,
        };
        let mut series = 0;
        let outcomes = read_folder(folder.path(), &shape, &mut |read| series += read.series.len()).unwrap();
        assert_eq!(series, 3);
        let seen: Vec<_> =
            outcomes.iter().map(|o| (&*o.file, o.wrong.as_ref().map(|(kind, _)| *kind))).collect();
        assert_eq!(
            seen,
            [
                ("a.prom", None),
                ("b.prom", Some(FaultKind::BadName)),
                ("c.prom", Some(FaultKind::BadValue)),
                ("d.prom", None),
                ("f.prom", Some(FaultKind::BadValue))
            ]
        );
        let mut reported = Vec::new();
        emit(&outcomes[1], &mut |body| reported.push(format!("{body:?}")));
        assert!(
            reported[0].contains("\"b.prom\", written: Some(") && reported[0].contains("ok: false"),
            "{reported:?}"
        );
        assert!(reported.len() == 3 && reported[1].contains("Fault(Fault { kind: BadName"), "{reported:?}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let shape = Shape {
            profile: None,
            rest: Rest::Keep,
            labels: Vec::new(),
            relabel: Relabel::default(),
            samples: 10,
            timestamps: false,
        };
        let why = read_folder(Path::new("/nowhere/at/all"), &shape, &mut |_| {}).unwrap_err();
        assert!(why.starts_with("cannot read the folder /nowhere/at/all"));
    }

    #[tokio::test]
    async fn it_runs_on_any_thread_until_it_is_stopped() {
        let stop = CancellationToken::new();
        let feed = Feed::new(Arc::default(), crate::event::SourceId(0), "test");
        let task = tokio::spawn(run(Settings::new("s", std::env::temp_dir()), feed, stop.clone()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!task.is_finished());
        stop.cancel();
        task.await.unwrap().unwrap();
    }
}
