//! `generate`: the catalogue as files for Prometheus, Alertmanager, Grafana and Kubernetes.
//!
//! A list of what was written, with a sum of each file, lies beside the files. By it a file that was changed by hand
//! by hand, or put there, is known and left alone; and one that is no longer wanted is removed if it is still
//! what was written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::{Exit, FileArgs, complain, print, run};
use crate::agent::Failure;
use crate::catalog::{OWN, PAGES, Page};
use crate::file::{READABLE, make_folders, remove, replace};
use crate::render::{File, RULES_OF_OPERATOR, render};

/// Where the list lies, from the folder that is written into.
const LIST: &str = "provisioning/.generated";

pub(super) fn generate(args: &FileArgs, out: &Path, check: bool, force: bool) -> Exit {
    let config = match run::load(run::chosen(args).as_deref()) {
        Ok(config) => config,
        Err(problems) => {
            complain(&Failure::Config(problems));
            return Exit::Usage;
        }
    };
    let pages: Vec<&Page> =
        PAGES.iter().copied().chain(OWN.iter().copied()).chain(config.pages.0.iter().copied()).collect();
    let files = render(&pages, &config.settings());
    match compare(&files, out)
        .and_then(|steps| if check { report(&steps) } else { write(&steps, out, force) })
    {
        Ok((text, exit)) => match print(text.as_bytes()) {
            Exit::Fine => exit,
            failed => failed,
        },
        Err(why) => {
            complain(&why);
            Exit::Failed
        }
    }
}

/// What to do with one file.
struct FileChange<'a> {
    path: String,
    what: FileAction<'a>,
    /// Whether what is there is not what was written last.
    foreign: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum FileAction<'a> {
    Create(&'a str),
    Change(&'a str),
    Keep(&'a str),
    Remove,
}

impl FileAction<'_> {
    fn word(self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Change(_) => "change",
            Self::Keep(_) => "unchanged",
            Self::Remove => "remove",
        }
    }
}

fn compare<'a>(files: &'a [File], out: &Path) -> Result<Vec<FileChange<'a>>, String> {
    let list = read(&out.join(LIST))?.unwrap_or_default();
    let list = String::from_utf8_lossy(&list).into_owned();
    let known: BTreeMap<&str, &str> =
        list.lines().filter_map(|line| line.split_once("  ")).map(|(s, p)| (p, s)).collect();
    let mut steps = Vec::new();
    for File { path, text } in files {
        let there = read(&out.join(path))?;
        let foreign = |bytes: &[u8]| known.get(path.as_str()) != Some(&sum(bytes).as_str());
        steps.push(match there {
            None => FileChange { path: path.clone(), what: FileAction::Create(text), foreign: false },
            Some(bytes) if bytes == text.as_bytes() => {
                FileChange { path: path.clone(), what: FileAction::Keep(text), foreign: false }
            }
            Some(bytes) => {
                FileChange { path: path.clone(), what: FileAction::Change(text), foreign: foreign(&bytes) }
            }
        });
    }
    for (path, written) in known {
        // Only what lies below, and never the way out of it.
        let inside = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if files.iter().any(|file| file.path == path) || !inside {
            continue;
        }
        if let Some(bytes) = read(&out.join(path))? {
            steps.push(FileChange {
                path: path.to_owned(),
                what: FileAction::Remove,
                foreign: sum(&bytes) != written,
            });
        }
    }
    Ok(steps)
}

/// What differs.
fn report(steps: &[FileChange<'_>]) -> Result<(String, Exit), String> {
    let mut text = String::new();
    // A copy of other files is not kept in the repository: where it is missing, nothing is out of date.
    let is_different = |step: &&FileChange<'_>| {
        let missing_copy = matches!(step.what, FileAction::Create(_)) && step.path == RULES_OF_OPERATOR;
        !missing_copy && !matches!(step.what, FileAction::Keep(_))
    };
    for step in steps.iter().filter(is_different) {
        let by = if step.foreign { " (not as it was written)" } else { "" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {}{by}", step.what.word(), step.path);
    }
    let exit = if text.is_empty() { Exit::Fine } else { Exit::Differs };
    let _ = writeln!(text, "{}", count(steps));
    Ok((text, exit))
}

fn count(steps: &[FileChange<'_>]) -> String {
    let of = |word| steps.iter().filter(|step| step.what.word() == word).count();
    let counts = ["create", "change", "remove", "unchanged"].map(|word| format!("{} {word}", of(word)));
    format!("{} files: {}", steps.len(), counts.join(", "))
}

fn write(steps: &[FileChange<'_>], out: &Path, force: bool) -> Result<(String, Exit), String> {
    let (mut text, mut exit, mut list) = (String::new(), Exit::Fine, String::new());
    for step in steps {
        if step.foreign && !force {
            let why = "was changed by hand, or is not ours; kept, --force overwrites it";
            complain(&format!("{} {why}", out.join(&step.path).display()));
            exit = Exit::Failed;
            continue;
        }
        let path = out.join(&step.path);
        let cannot = |why: io::Error| format!("cannot {} {}: {why}", step.what.word(), path.display());
        match step.what {
            FileAction::Create(wanted) | FileAction::Change(wanted) => {
                put(&path, wanted.as_bytes()).map_err(cannot)?;
            }
            FileAction::Remove => remove(&path).map_err(cannot)?,
            FileAction::Keep(_) => {}
        }
        if let FileAction::Create(wanted) | FileAction::Change(wanted) | FileAction::Keep(wanted) = step.what
        {
            let _ = writeln!(list, "{}  {}", sum(wanted.as_bytes()), step.path);
        }
        if !matches!(step.what, FileAction::Keep(_)) {
            let _ = writeln!(text, "{} {}", step.what.word(), step.path);
        }
    }
    let path = out.join(LIST);
    if read(&path)?.as_deref() != Some(list.as_bytes()) {
        put(&path, list.as_bytes()).map_err(|why| format!("cannot write {}: {why}", path.display()))?;
    }
    let _ = writeln!(text, "{}", count(steps));
    Ok((text, exit))
}

/// Puts a file in place, where a server may read it meanwhile.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    make_folders(path)?;
    if let Some(note) = replace(path, bytes, READABLE)?.note() {
        complain(&format!("{}: {note}", path.display()));
    }
    Ok(())
}

/// The bytes of a file, if it is there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(format!("cannot read {}: {why}", path.display())),
    }
}

/// FNV-1a, 64 bits: to tell a change, not to prove anything.
fn sum(bytes: &[u8]) -> String {
    let fold = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}
