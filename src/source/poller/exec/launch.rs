//! A command from its start to its end, in a bare environment.
//!
//! What its output and its status mean is not known here.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::family::{Family, Start};
use crate::secret::{self, Command as Words, Value};
use crate::source::aside::apart;

/// Bytes that are kept of what is for people to read.
const WORDS: usize = 200;
/// Characters of a variable.
const VARIABLE: usize = 4_096;

/// A command that is to be run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    /// The program and its arguments.
    pub(crate) command: &'a Words,
    /// Its environment, beside `PATH` and a mark of the run.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// What it reads; nothing if that is empty.
    pub(crate) input: &'a [u8],
    /// How long it may take. The caller keeps that time, by dropping the future; a start on a disk that does not answer
    /// is given up shortly before.
    pub(crate) patience: Duration,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct CommandEnd {
    /// As the system has it.
    pub(crate) status: ExitStatus,
    /// What it printed.
    pub(crate) printed: Vec<u8>,
    /// The beginning of what it printed to its standard error.
    pub(crate) complaint: Vec<u8>,
}

impl CommandEnd {
    /// What it printed, if it ended well; else how it ended and what it complained of, without these secrets.
    ///
    /// # Errors
    /// It did not end well.
    pub(crate) fn success<'s>(
        self,
        command: &Words,
        secrets: impl IntoIterator<Item = &'s str>,
    ) -> Result<Vec<u8>, String> {
        if self.status.success() {
            return Ok(self.printed);
        }
        let complaint = said(&self.complaint, secrets);
        let says = if complaint.is_empty() { String::new() } else { format!(", saying: {complaint}") };
        let program = command.expose().first().map_or("it", String::as_str);
        Err(format!("{program} failed ({}){says}", self.status))
    }
}

/// A text from outside as the value of a variable: a program with one that is very long or has a zero in it is not started.
pub(crate) fn variable(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(VARIABLE).collect()
}

/// An environment as it is configured, with what stands in files.
///
/// # Errors
/// A file cannot be read.
pub(crate) async fn environment(
    of: &BTreeMap<String, Value>,
    patience: Duration,
) -> Result<BTreeMap<String, String>, String> {
    let mut all = BTreeMap::new();
    for (name, value) in of {
        let value = match value {
            Value::Text(text) => text.expose().to_owned(),
            Value::File(of) => {
                let file = of.value_file.clone();
                let key = file.display().to_string();
                let read = apart(&key, patience.mul_f64(0.9), move || crate::source::small(&file)).await;
                let read = read.map_err(|why| format!("cannot read its environment: {why}")).flatten();
                read.map_err(|why| format!("cannot set {name}: {why}"))?
            }
        };
        all.insert(name.clone(), value);
    }
    Ok(all)
}

impl Run<'_> {
    /// Runs it. Dropping the future kills it and all that it started. Printing more than `most` bytes is an error; without
    /// a number the beginning is kept, and the rest is read and forgotten.
    ///
    /// # Errors
    /// It cannot be started, or its output cannot be read.
    pub(crate) async fn finish(&self, most: Option<usize>) -> Result<CommandEnd, String> {
        let Some((program, arguments)) = self.command.expose().split_first() else {
            return Err("cannot run an empty command".into());
        };
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(self.environment);
        let stdin = if self.input.is_empty() { Stdio::null() } else { Stdio::piped() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mark = Family::mark(&mut command);
        let cannot = |why: &dyn std::fmt::Display| format!("cannot run {program}: {why}");
        let starting = Start::begin(&mut command).map_err(|why| cannot(&why))?;
        // A program on a disk that does not answer holds the thread that starts it.
        let runtime = tokio::runtime::Handle::current();
        let start = move || {
            let _within = runtime.enter();
            let child = command.spawn();
            child.map(|child| {
                let family = Family::of(child.id(), mark);
                (child, family)
            })
        };
        let started = apart(program, self.patience.mul_f64(0.9), start).await.map_err(|why| cannot(&why))?;
        // Dropped before the child is, so until it was waited for its id means nobody else.
        let (mut child, mut family) = started.map_err(|why| cannot(&why))?;
        starting.done();
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(format!("cannot read the output of {program}"));
        };
        let stdin = child.stdin.take();
        let give = async {
            if let Some(mut stdin) = stdin {
                // One that does not want to read it ends all the same.
                drop(stdin.write_all(self.input).await);
            }
            Ok(())
        };
        let (printed, complaint, ()) = tokio::try_join!(
            gather(stdout, most.unwrap_or(WORDS), most.is_some()),
            gather(stderr, WORDS, false),
            give
        )?;
        let status = child.wait().await.map_err(|why| format!("cannot wait for {program}: {why}"))?;
        family.release();
        Ok(CommandEnd { status, printed, complaint })
    }
}

/// What a command said, on one line and without these secrets.
pub(crate) fn said<'s>(text: &[u8], secrets: impl IntoIterator<Item = &'s str>) -> String {
    let text = secret::scrub(&String::from_utf8_lossy(text), secrets);
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
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
