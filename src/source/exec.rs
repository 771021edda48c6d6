//! Runs a command every so often and reads the metrics it prints.
//!
//! There is no shell and no environment but `PATH` and what is configured. The command is a process
//! group of its own, and the whole group is killed when its time is up or the agent stops; on systems
//! without `/proc` only the command itself is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::decode::engines::Rest;
use crate::decode::exposition::{Exposition, Format, Shape};
use crate::decode::relabel::Relabel;
use crate::event::{Body, Fault, Received};
use crate::secret::{self, Command as Words, Value};
use crate::setting::Span;

use super::{Feed, now, poll};

/// Bytes a command may print.
const OUTPUT: usize = 4 << 20;
/// Bytes of its complaints that are kept.
const COMPLAINT: usize = 200;
/// Samples a command may print.
const SAMPLES: usize = 50_000;

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

impl Settings {
    /// The files that it names.
    pub fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.environment.values_mut().filter_map(Value::path)
    }

    /// Its environment, what stands in files included.
    async fn variables(&self) -> Result<BTreeMap<String, String>, String> {
        let mut all = BTreeMap::new();
        for (name, value) in &self.environment {
            let value = match value {
                Value::Text(text) => text.expose().to_owned(),
                Value::File(of) => {
                    let file = of.value_file.clone();
                    let read = tokio::task::spawn_blocking(move || super::small(&file));
                    let read = read.await.unwrap_or_else(|_| Err("cannot read its environment".into()));
                    read.map_err(|why| format!("cannot set {name}: {why}"))?
                }
            };
            all.insert(name.clone(), value);
        }
        Ok(all)
    }
}

/// Runs the command until told to stop.
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
            let output = output(&settings).await?;
            let format = settings.format;
            let fold = tokio::task::spawn_blocking(move || fold(&output, format, &shape, &feed));
            fold.await.unwrap_or_else(|_| Err("cannot read its output".into()))
        }
    };
    poll(feed, interval, timeout, stop, ask).await;
    Ok(())
}

/// Folds what the command printed.
fn fold(output: &[u8], format: Format, shape: &Shape, feed: &Feed) -> Result<(), String> {
    let bytes = output.len() as u64;
    let dialect = format.dialect(None, output)?;
    match Exposition::read(output, dialect, shape) {
        Ok(read) => {
            feed.batch(now(), |out| {
                read.tell(out);
                out(Body::Received(Received { bytes, reads: 1, events: read.series.len() as u64 }));
            });
            Ok(())
        }
        Err(why) => {
            feed.send(Body::Fault(Fault { kind: why.kind, bytes }));
            Err(format!("cannot understand what the command printed: {why}"))
        }
    }
}

/// What the command prints, if it ends well. Dropping the future kills it.
async fn output(settings: &Settings) -> Result<Vec<u8>, String> {
    let Some((program, arguments)) = settings.command.expose().split_first() else {
        return Err("cannot run an empty command".into());
    };
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    let environment = settings.variables().await?;
    command.envs(&environment);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|why| format!("cannot run {program}: {why}"))?;
    // Dropped before the child is, so until it was waited for its id means nobody else.
    let mut group = Group(child.id());
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(format!("cannot read the output of {program}"));
    };
    let (printed, complaint) =
        tokio::try_join!(gather(stdout, OUTPUT, true), gather(stderr, COMPLAINT, false))?;
    let status = child.wait().await.map_err(|why| format!("cannot wait for {program}: {why}"))?;
    group.0 = None;
    if status.success() {
        return Ok(printed);
    }
    let complaint = String::from_utf8_lossy(&complaint);
    let secrets = environment.values().map(String::as_str).chain(settings.command.secrets());
    let complaint = secret::scrub(&complaint, secrets);
    let complaint: String = complaint.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let says = if complaint.is_empty() { String::new() } else { format!(", saying: {complaint}") };
    Err(format!("{program} failed ({status}){says}"))
}

/// The first `limit` bytes. More is an error, or, if not `whole`, read and forgotten.
async fn gather(mut from: impl AsyncRead + Unpin, limit: usize, whole: bool) -> Result<Vec<u8>, String> {
    let mut kept = Vec::new();
    let mut block = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut block).await.map_err(|why| format!("cannot read its output: {why}"))?;
        if read == 0 {
            return Ok(kept);
        }
        let room = limit - kept.len();
        if read > room && whole {
            return Err(format!("cannot read its output: more than {limit} bytes"));
        }
        kept.extend_from_slice(block.get(..read.min(room)).unwrap_or_default());
    }
}

/// The group of a child that nobody has waited for yet. Killed when dropped.
///
/// Dropping cannot wait, so this asks the system directly.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let Some(leader) = self.0 else { return };
        let members = members(leader);
        let Ok(mut system) = sysinfo::System::new() else { return };
        system.refresh_processes_specifics(
            sysinfo::ProcessesToUpdate::Some(&members),
            false,
            sysinfo::ProcessRefreshKind::nothing(),
        );
        for process in system.processes().values() {
            process.kill();
        }
    }
}

/// The processes of a group.
fn members(leader: u32) -> Vec<sysinfo::Pid> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    (processes.flatten())
        .filter_map(|entry| {
            let process: u32 = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may hold anything; behind it come state, parent and group.
            let (_, behind) = line.rsplit_once(") ")?;
            let group: u32 = behind.split(' ').nth(2)?.parse().ok()?;
            (group == leader).then(|| sysinfo::Pid::from_u32(process))
        })
        .collect()
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
            // Gone, or waiting for somebody to take note of it.
            let gone = std::fs::read_to_string(&stat).map_or(true, |line| line.contains(") Z "));
            if gone {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the child of the command lives on");
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
