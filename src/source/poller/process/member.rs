//! Who belongs to a group of watched processes.
//!
//! Looks at one process at a time, in what `/proc` shows to everybody; whom to look at is not
//! decided here.

use std::path::{Path, PathBuf};

use super::super::linux;
use super::Group;
use crate::source::pattern::Pattern;

/// The kernel cuts a process's own name to this length.
const COMM: usize = 15;

/// A group's conditions, looked up once.
pub(super) struct Rule {
    exe: Option<String>,
    command: Option<Pattern>,
    unit: Option<String>,
    /// The number of the user; one that does not exist owns nothing.
    user: Option<Option<u32>>,
}

impl Rule {
    pub(super) fn new(group: &Group, passwd: &str) -> Self {
        Self {
            exe: group.exe.clone(),
            command: group.command.clone(),
            unit: group
                .unit
                .as_ref()
                .map(|unit| if unit.contains('.') { unit.clone() } else { format!("{unit}.service") }),
            user: group.user.as_ref().map(|user| user.parse().ok().or_else(|| linux::user_id(passwd, user))),
        }
    }

    /// The cheap questions first; a file is read only if a rule asks for it, and then once.
    pub(super) fn takes(&self, candidate: &mut Candidate<'_>) -> bool {
        if self.exe.is_none() && self.command.is_none() && self.unit.is_none() && self.user.is_none() {
            return false;
        }
        self.user.is_none_or(|user| user.is_some() && candidate.user() == user)
            && self.exe.as_ref().is_none_or(|exe| candidate.is_program(exe))
            && self.unit.as_ref().is_none_or(|unit| linux::in_unit(candidate.cgroup(), unit))
            && self.command.as_ref().is_none_or(|command| command.finds(candidate.command()))
    }
}

/// A process that may belong, and what was read of it so far.
pub(super) struct Candidate<'b> {
    folder: PathBuf,
    buffer: &'b mut Vec<u8>,
    comm: Option<String>,
    command: Option<String>,
    cgroup: Option<String>,
}

impl<'b> Candidate<'b> {
    pub(super) fn new(folder: PathBuf, buffer: &'b mut Vec<u8>) -> Self {
        Self { folder, buffer, comm: None, command: None, cgroup: None }
    }

    /// Whether it runs: what ended stays listed until its parent took note.
    pub(super) fn is_alive(&mut self) -> bool {
        let stat = lossy(&self.folder.join("stat"), self.buffer);
        // The name in brackets may hold anything, brackets too; the state follows it.
        let state = stat.rsplit_once(')').and_then(|(_, behind)| behind.trim_start().chars().next());
        state.is_some_and(|state| !"ZXx".contains(state))
    }

    fn is_program(&mut self, exe: &str) -> bool {
        let comm = self.comm.get_or_insert_with(|| lossy(&self.folder.join("comm"), self.buffer));
        if comm.trim_end() == exe {
            return true;
        }
        // Its own name may be cut short, or changed by itself; then its first word decides.
        if exe.len() > COMM && !comm.is_empty() && !exe.starts_with(comm.trim_end()) && comm.len() > COMM {
            return false;
        }
        self.command().split(' ').next().is_some_and(|word| word.rsplit('/').next() == Some(exe))
    }

    fn command(&mut self) -> &str {
        self.command.get_or_insert_with(|| {
            let words = lossy(&self.folder.join("cmdline"), self.buffer);
            words.trim_end_matches('\0').replace('\0', " ")
        })
    }

    fn cgroup(&mut self) -> &str {
        self.cgroup.get_or_insert_with(|| lossy(&self.folder.join("cgroup"), self.buffer))
    }

    fn user(&self) -> Option<u32> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            std::fs::metadata(&self.folder).ok().map(|entry| entry.uid())
        }
        #[cfg(not(unix))]
        None
    }
}

fn lossy(path: &Path, buffer: &mut Vec<u8>) -> String {
    // What is not UTF-8 is left in the buffer all the same.
    let _ = linux::slurp(path, buffer);
    String::from_utf8_lossy(buffer).into_owned()
}
