//! What `check --live` finds of one thing that a configuration names, without starting it.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, AtFlags, CWD, PROC_SUPER_MAGIC, accessat, statfs};
use serde::Serialize;

/// How long a server may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As the configuration needs it.
    Ok,
    /// The agent runs, but not as configured.
    Warning,
    /// The agent, or this part of it, cannot work.
    Failed,
    /// Not looked at, and why.
    Skipped,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The part of the configuration: `listen`, `sources[1].statsd`, `provision.targets[0].grafana`.
    pub path: String,
    /// What was looked at: an address, a port, a file.
    pub subject: String,
    /// How it was found.
    pub verdict: Verdict,
    /// What is wrong, or what was seen.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Finding {
    /// A finding without advice.
    pub fn new(
        path: &str,
        subject: impl std::fmt::Display,
        verdict: Verdict,
        message: impl Into<String>,
    ) -> Self {
        let (path, subject) = (path.to_owned(), format!("{subject}"));
        Self { path, subject, verdict, message: message.into(), hint: None }
    }

    /// What does not work, in the words of an error: its last line, or what it ends with, may be a hint.
    pub fn failed(path: &str, subject: impl std::fmt::Display, why: &str) -> Self {
        let (message, hint) = match why.split_once("\n  hint: ") {
            Some((message, hint)) => (message, Some(hint.to_owned())),
            None => match why.rsplit_once("; check that ") {
                Some((message, check)) => (message, Some(format!("check that {check}"))),
                None => (why, None),
            },
        };
        Self { hint, ..Self::new(path, subject, Verdict::Failed, message) }
    }

    /// The same, with what to do about it where it does not say so itself.
    #[must_use]
    pub fn or_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: self.hint.or_else(|| Some(hint.into())), ..self }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// The folder that a file is in.
pub(crate) fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or_else(|| Path::new("/"))
}

/// The folder, or what is there above it: the agent makes the folders below.
pub(crate) fn nearest(folder: &Path) -> &Path {
    folder.ancestors().find(|above| above.exists()).unwrap_or(folder)
}

/// Whether files can be made in a folder.
///
/// # Errors
/// Why they cannot.
pub(crate) fn may_write(folder: &Path) -> io::Result<()> {
    if !std::fs::metadata(folder)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    // The kernel lets root write there, and nobody make a file.
    if statfs(folder).is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "files cannot be created in /proc"));
    }
    accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).map_err(io::Error::from)
}

/// Whether a file is a program that this user may run.
pub(crate) fn runs(file: &Path) -> bool {
    file.is_file() && accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}
