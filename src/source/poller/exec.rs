//! Runs a command every so often and reads the metrics it prints.
//!
//! There is no shell and no environment but `PATH`, a mark of the run and what is configured. When its time is up or
//! the agent stops, the command is killed with all that it started, also what became a daemon: see `family`.

mod family;
pub(crate) mod launch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::decode::engines::Rest;
use crate::decode::text::exposition::{Exposition, Format, Shape};
use crate::decode::text::relabel::Relabel;
use crate::event::{Body, Fault, Received};
use crate::secret::{Command as Words, Exposed, Value};
use crate::setting::Span;

use crate::clock::now;
use crate::source::kind::{self, Kind, Probing};
use crate::source::look::{Finding, Verdict, runs};
use crate::source::{Feed, poll};
use launch::{Run, environment};

/// Bytes a command may print.
const OUTPUT: usize = 4 << 20;
/// Samples a command may print.
const SAMPLES: usize = 50_000;
/// How long output that is here may take to be understood.
const UNDERSTAND: Duration = Duration::from_secs(2);

/// A command that prints metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The source's name; the value of the label `source`.
    pub name: String,
    /// The program and its arguments. No shell reads them.
    pub command: Words,
    /// How often it is run.
    #[serde(default = "interval")]
    pub interval: Span,
    /// How long it may run before it is killed.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Its environment, beside `PATH`: each a text, or `{value_file: /run/secrets/key}`, without white space around it.
    #[serde(default)]
    pub environment: BTreeMap<String, Value>,
    /// How the output is written. `auto` is OpenMetrics if it ends in `# EOF`, else the classic text.
    #[serde(default)]
    pub format: Format,
}

fn interval() -> Span {
    Span::seconds(60)
}

fn timeout() -> Span {
    Span::seconds(10)
}

impl Settings {
    /// The usual settings for a command.
    #[must_use]
    pub fn new(name: impl Into<String>, command: Vec<String>) -> Self {
        Self {
            name: name.into(),
            command: command.into(),
            interval: interval(),
            timeout: timeout(),
            environment: BTreeMap::new(),
            format: Format::default(),
        }
    }
}

impl Kind for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self) -> String {
        self.command.to_string()
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.environment.values_mut().filter_map(Value::path).collect()
    }

    fn look<'a>(&'a self, path: &'a str, _running: bool) -> Probing<'a> {
        Box::pin(async move {
            self.command.expose().first().map(|program| program_at(path, program)).into_iter().collect()
        })
    }

    fn expose(&self, found: &mut Exposed<'_>) {
        found.program("", &self.command, &self.environment);
    }

    fn start(&self, start: kind::Start) {
        start.try_run(run(self.clone(), start.feed.clone(), start.stop.clone()));
    }
}

/// Whether a program can be run.
pub(super) fn program_at(path: &str, program: &str) -> Finding {
    let here = if program.contains('/') {
        runs(Path::new(program))
    } else {
        let all = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&all).any(|folder| runs(&folder.join(program)))
    };
    if here {
        Finding::new(path, program, Verdict::Ok, "can be run")
    } else {
        Finding::new(path, program, Verdict::Failed, "no such program, or this user may not run it")
            .hint("install it, or write its full path")
    }
}

/// Runs the command until it is cancelled.
///
/// # Errors
/// What is wrong with the settings.
pub async fn run(settings: Settings, feed: Feed, stop: CancellationToken) -> Result<(), String> {
    let Settings { name, interval, .. } = &settings;
    if settings.command.expose().first().is_none_or(String::is_empty) {
        return Err(format!("cannot run \"{name}\": its command is empty"));
    }
    if *interval < Span::millis(100) {
        return Err(format!("cannot run \"{name}\" every {interval}: the shortest interval is 100ms"));
    }
    let shape = Arc::new(Shape {
        profile: None,
        rest: Rest::Keep,
        labels: vec![("source".into(), name.clone())],
        relabel: Relabel::default(),
        samples: SAMPLES,
        timestamps: true,
    });
    let (interval, timeout) = (interval.0, settings.timeout.0);
    let settings = Arc::new(settings);
    let ask = move |feed: &Feed| {
        let (settings, shape, feed) = (Arc::clone(&settings), Arc::clone(&shape), feed.clone());
        async move {
            let late = |_| Err(format!("no answer within {} s", timeout.as_secs_f64()));
            let output = tokio::time::timeout(timeout, output(&settings)).await.unwrap_or_else(late)?;
            let format = settings.format;
            let fold = tokio::task::spawn_blocking(move || fold(&output, format, &shape, &feed));
            fold.await.unwrap_or_else(|_| Err("cannot read its output".into()))
        }
    };
    // The wait above ends first.
    poll(feed, interval, timeout + UNDERSTAND, stop, ask).await;
    Ok(())
}

/// Folds what the command printed.
fn fold(output: &[u8], format: Format, shape: &Shape, feed: &Feed) -> Result<(), String> {
    let bytes = output.len() as u64;
    let dialect = format.dialect(None, output)?;
    match Exposition::read(output, dialect, shape) {
        Ok(read) => {
            feed.batch(now(), |out| read.emit(out));
            // The batch counted its events, which are those that found their series.
            feed.send(Body::Received(Received { bytes, reads: 1, events: 0 }));
            Ok(())
        }
        Err(why) => {
            feed.send(Body::Fault(Fault { kind: why.kind, bytes }));
            Err(format!("cannot parse the output of the command: {why}"))
        }
    }
}

/// What the command prints, if it ends well. Dropping the future kills it.
async fn output(settings: &Settings) -> Result<Vec<u8>, String> {
    let environment = environment(&settings.environment, settings.timeout.0).await?;
    let secrets = environment.values().map(String::as_str).chain(settings.command.secrets());
    let run = Run {
        command: &settings.command,
        environment: &environment,
        input: &[],
        patience: settings.timeout.0,
    };
    run.finish(Some(OUTPUT)).await?.success(&settings.command, secrets)
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shell(script: &str) -> Settings {
        Settings::new("s", vec!["sh".into(), "-c".into(), script.into()])
    }

    #[tokio::test]
    async fn it_reads_what_is_printed_in_a_bare_environment() {
        let mut settings = shell("echo a $HOME$KEY; [ -n \"$PATH\" ] && echo b 2");
        settings.environment.insert("KEY".into(), "1".into());
        assert_eq!(output(&settings).await.unwrap(), b"a 1\nb 2\n");
    }

    #[tokio::test]
    async fn what_fails_says_why() {
        let why = output(&shell("echo a 1; echo out of cheese >&2; exit 3")).await.unwrap_err();
        assert_eq!(why, "sh failed (exit status: 3), saying: out of cheese");
        let why = output(&shell("yes a 1")).await.unwrap_err();
        assert!(why.contains("more than"), "{why}");
        let why = output(&Settings::new("s", vec!["/nowhere/at/all".into()])).await.unwrap_err();
        assert!(why.starts_with("cannot run /nowhere/at/all"), "{why}");
        let long = output(&shell("yes x | head -c 100000 >&2; exit 1")).await.unwrap_err();
        assert!(long.len() < 300, "{long}");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; echo; wait", file.display());
        let late = tokio::time::timeout(Duration::from_millis(500), output(&shell(&script))).await;
        assert!(late.is_err());
        let child = std::fs::read_to_string(&file).unwrap();
        let stat = format!("/proc/{}/stat", child.trim());
        for _ in 0..100 {
            // Gone, or a zombie.
            let gone = std::fs::read_to_string(&stat).map_or(true, |line| line.contains(") Z "));
            if gone {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the child of the command lives on");
    }

    /// Whether a process whose id is in a file is gone within two seconds.
    async fn ends(file: &Path) -> bool {
        let Ok(id) = std::fs::read_to_string(file) else { return false };
        let stat = format!("/proc/{}/stat", id.trim());
        for _ in 0..100 {
            if std::fs::read_to_string(&stat).map_or(true, |line| line.contains(") Z ")) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn daemons_of_a_command_that_hangs_are_killed_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let daemon = |name: &str, before: &str| {
            let file = file(name);
            format!(
                "({before} setsid sh -c 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000' &)\n",
                file.display()
            )
        };
        // One that is left behind, one without our environment, one of a command that ended and holds its output.
        let waits = [daemon("a", ""), daemon("b", "env -i"), "sleep 1000".to_owned()].concat();
        for (script, daemons) in [(waits, &["a", "b"][..]), (daemon("c", ""), &["c"])] {
            let late = tokio::time::timeout(Duration::from_secs(2), output(&shell(&script))).await;
            assert!(late.is_err());
            for name in daemons {
                assert!(ends(&file(name)).await, "{name} lives on");
            }
        }
        // What a command that ended well leaves behind is its own affair.
        let quiet = format!("exec >/dev/null 2>&1; {}", daemon("d", ""));
        output(&shell(&quiet)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let id: i32 = std::fs::read_to_string(file("d")).unwrap().trim().parse().unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn it_runs_on_any_thread_until_it_is_stopped() {
        let stop = CancellationToken::new();
        let feed = Feed::new(Arc::default(), crate::event::SourceId(0), "test");
        let task = tokio::spawn(run(shell("echo a 1"), feed, stop.clone()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!task.is_finished());
        stop.cancel();
        task.await.unwrap().unwrap();
    }
}
