//! Old files below folders are deleted, by age and by size. No link is followed, no other file system is entered, and nothing but files
//! goes: who can write below such a folder cannot have anything deleted that lies elsewhere.
//!
//! Every step is taken from the folder that was opened before it: a folder that becomes a link meanwhile is a link that is not followed.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat, unlinkat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::{Around, Job, Run};
use crate::clock::now;
use crate::listen::Bytes;
use crate::setting::Span;
use crate::source::aside::apart;

/// Folders below each other that are entered.
const DEEP: usize = 64;
/// Files that are held at once; what is more is looked at in the next run.
const MOST: usize = 1_000_000;

/// At least one of `older_than` and `max_bytes` says which files go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TaskClean")]
pub struct Settings {
    /// The folders, each with all that is below it; whole paths. Links are not followed, other file systems are not entered.
    #[schemars(length(min = 1))]
    pub folders: Vec<PathBuf>,
    /// Files go that were changed longer ago than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than: Option<Span>,
    /// Then the oldest go until what is below a folder has no more than so many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<Bytes>,
    /// Files that were changed within this time stay, whatever their size: they may be written now.
    #[serde(default = "young")]
    pub keep_newer_than: Span,
    /// This machine's clock is right even if it is more than 30 days ahead of what the agent knows: a machine that was off for longer and
    /// has no time server. Without it nothing is deleted then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trust_clock: bool,
    /// Only what would be deleted is said.
    #[serde(default)]
    pub dry_run: bool,
}

fn young() -> Span {
    Span::seconds(600)
}

impl Job for Settings {
    fn paths(&mut self) -> Vec<&mut PathBuf> {
        self.folders.iter_mut().collect()
    }

    fn problem(&self) -> Option<String> {
        if self.older_than.is_none() && self.max_bytes.is_none() {
            return Some("neither older_than nor max_bytes says which files go".to_owned());
        }
        let folder = self.folders.iter().find(|folder| !is_narrow(folder))?;
        Some(format!("{} is no whole path at least two folders deep, without ..", folder.display()))
    }

    fn run<'a>(&'a self, around: &'a Around, patience: Duration) -> Run<'a> {
        Box::pin(async move {
            around.trusts_clock(self.trust_clock).map_err(|doubt| {
                format!("nothing is deleted: {doubt}; set the clock, or trust_clock: true if it is right")
            })?;
            let (mut files, mut bytes) = (0, 0);
            for folder in &self.folders {
                let (of, own, wrong) = (self.clone(), folder.clone(), around.wrong.lock().clone());
                let key = format!("files below {}", folder.display());
                let gone = apart(&key, patience, move || clean(&own, &of, &wrong)).await.flatten()?;
                files += gone.files;
                bytes += gone.bytes;
            }
            let verb = if self.dry_run { "would be" } else { "were" };
            Ok(format!("{files} files with {bytes} bytes {verb} deleted"))
        })
    }
}

/// Whether everything below a folder may go: `/` and `/home` are mistakes.
fn is_narrow(folder: &Path) -> bool {
    use std::path::Component::{Normal, RootDir};
    let parts: Vec<_> = folder.components().collect();
    matches!(parts.first(), Some(RootDir))
        && parts.len() >= 3
        && parts.iter().skip(1).all(|part| matches!(part, Normal(_)))
}

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Removed {
    files: u64,
    bytes: u64,
}

/// A file, from the folder that is cleaned.
#[derive(Debug)]
struct CleanCandidate {
    /// The names of the folders on the way to it, and its own.
    way: Vec<CString>,
    /// When it was changed, s since 1970.
    changed: i64,
    bytes: u64,
    /// What tells it from another one of its name.
    inode: u64,
}

/// Files that were changed in one of the spans `wrong`, ms since 1970, are of an unknown age and stay.
fn clean(folder: &Path, of: &Settings, wrong: &[(i64, i64)]) -> Result<Removed, String> {
    let unknown = |at: i64| wrong.iter().any(|(from, to)| (from / 1000..=to / 1000 + 1).contains(&at));
    let wrong = |why: rustix::io::Errno| format!("{}: {why}", folder.display());
    let root = openat(CWD, folder, FOLDER, Mode::empty()).map_err(wrong)?;
    let device = rustix::fs::fstat(&root).map_err(wrong)?.st_dev;
    let mut found = Vec::new();
    look(&root, &mut Vec::new(), device, &mut found).map_err(wrong)?;
    found.sort_by_key(|file: &CleanCandidate| file.changed);
    let seconds = |span: Span| i64::try_from(span.0.as_secs()).unwrap_or(i64::MAX);
    let at = now().wall_milliseconds() / 1000;
    let old = of.older_than.map(|age| at.saturating_sub(seconds(age)));
    let young = at.saturating_sub(seconds(of.keep_newer_than));
    let mut all: u64 = found.iter().map(|file| file.bytes).sum();
    let mut gone = Removed::default();
    let mut refused = None;
    for file in &found {
        let over = of.max_bytes.is_some_and(|most| all > most.0);
        // A clock that is wrong by years makes everything old or new: what is from the future stays.
        if file.changed > young
            || unknown(file.changed)
            || !(over || old.is_some_and(|old| file.changed < old))
        {
            continue;
        }
        match if of.dry_run { Ok(()) } else { delete(&root, file) } {
            Ok(()) => {
                gone.files += 1;
                gone.bytes += file.bytes;
                all = all.saturating_sub(file.bytes);
            }
            // It went by itself.
            Err(rustix::io::Errno::NOENT) => {}
            Err(why) => {
                let name = file.way.last().map(|name| name.to_string_lossy()).unwrap_or_default();
                refused.get_or_insert_with(|| format!("{name} in {}: {why}", folder.display()));
            }
        }
    }
    refused.map_or(Ok(gone), |why| Err(format!("{} files were deleted, and not {why}", gone.files)))
}

/// How folders are opened.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Finds the files below a folder of the same file system.
fn look(
    at: &OwnedFd,
    way: &mut Vec<CString>,
    device: u64,
    found: &mut Vec<CleanCandidate>,
) -> rustix::io::Result<()> {
    let mut below = Vec::new();
    for entry in Dir::read_from(at)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") || found.len() >= MOST {
            continue;
        }
        // What went meanwhile is no fault.
        let Ok(of) = statat(at, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        match FileType::from_raw_mode(of.st_mode) {
            FileType::RegularFile if of.st_dev == device => {
                let mut way = way.clone();
                way.push(name.to_owned());
                let bytes = u64::try_from(of.st_blocks).unwrap_or_default().saturating_mul(512);
                found.push(CleanCandidate { way, changed: of.st_mtime, bytes, inode: of.st_ino });
            }
            FileType::Directory if of.st_dev == device => below.push(name.to_owned()),
            _ => {}
        }
    }
    if way.len() >= DEEP {
        return Ok(());
    }
    for name in below {
        let Ok(next) = openat(at, &*name, FOLDER, Mode::empty()) else { continue };
        way.push(name);
        // A folder that cannot be read keeps what it has.
        let _ = look(&next, way, device, found);
        way.pop();
    }
    Ok(())
}

/// Deletes a file, if it is still the one that was found.
fn delete(root: &OwnedFd, file: &CleanCandidate) -> rustix::io::Result<()> {
    let Some((name, folders)) = file.way.split_last() else { return Ok(()) };
    let mut open: Option<OwnedFd> = None;
    for folder in folders {
        let at = open.as_ref().map_or_else(|| root.as_fd(), AsFd::as_fd);
        open = Some(openat(at, &**folder, FOLDER, Mode::empty())?);
    }
    let at = open.as_ref().map_or_else(|| root.as_fd(), AsFd::as_fd);
    let now = statat(at, &**name, AtFlags::SYMLINK_NOFOLLOW)?;
    if (now.st_ino, now.st_mtime) != (file.inode, file.changed) {
        return Err(rustix::io::Errno::NOENT);
    }
    unlinkat(at, &**name, AtFlags::empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn settings(older_than: Option<u64>, max_bytes: Option<u64>) -> Settings {
        Settings {
            folders: Vec::new(),
            older_than: older_than.map(Span::seconds),
            max_bytes: max_bytes.map(Bytes),
            keep_newer_than: Span::seconds(60),
            trust_clock: false,
            dry_run: false,
        }
    }

    /// A file of so many bytes that was changed so many seconds ago.
    fn file(path: &Path, bytes: usize, ago: u64) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, vec![1; bytes]).unwrap();
        let at = std::time::UNIX_EPOCH + Duration::from_millis(now().wall_milliseconds().cast_unsigned())
            - Duration::from_secs(ago);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    fn left(folder: &Path) -> Vec<String> {
        fn walk(at: &Path, root: &Path, all: &mut Vec<String>) {
            for entry in std::fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    walk(&path, root, all);
                } else {
                    all.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        let mut all = Vec::new();
        walk(folder, folder, &mut all);
        all.sort();
        all
    }

    fn clean(folder: &Path, of: &Settings) -> Result<Removed, String> {
        super::clean(folder, of, &[])
    }

    #[test]
    fn what_a_wrong_clock_dated_is_of_an_unknown_age() {
        let folder = tempfile::tempdir().unwrap();
        file(&folder.path().join("a"), 10, 7_200);
        file(&folder.path().join("b"), 10, 90_000);
        let (at, all) = (now().wall_milliseconds(), settings(Some(3_600), Some(0)));
        let wrong = [(0, 1), (at - 100_000_000, at - 80_000_000)];
        assert_eq!(super::clean(folder.path(), &all, &wrong).unwrap().files, 1);
        assert_eq!(left(folder.path()), ["b"]);
    }

    #[test]
    fn old_files_go_and_links_are_not_followed() {
        let both = tempfile::tempdir().unwrap();
        let (folder, elsewhere) = (both.path().join("raw"), both.path().join("elsewhere"));
        file(&folder.join("old"), 10, 7_200);
        file(&folder.join("a/b/old"), 10, 7_200);
        file(&folder.join("a/new"), 10, 600);
        file(&elsewhere.join("theirs"), 10, 7_200);
        symlink(&elsewhere, folder.join("link")).unwrap();
        symlink(elsewhere.join("theirs"), folder.join("to-file")).unwrap();
        let mut dry = settings(Some(3_600), None);
        dry.dry_run = true;
        assert_eq!(clean(&folder, &dry).unwrap().files, 2);
        assert_eq!(left(&folder).len(), 5);
        assert_eq!(clean(&folder, &settings(Some(3_600), None)).unwrap().files, 2);
        assert_eq!(left(&folder), ["a/new", "link", "to-file"]);
        assert_eq!(left(&elsewhere), ["theirs"]);
        // A folder that is a link itself, one that is not there, and a file.
        for wrong in [both.path().join("raw/link"), both.path().join("none"), folder.join("a/new")] {
            assert!(clean(&wrong, &settings(Some(0), None)).is_err(), "{}", wrong.display());
        }
        assert_eq!(left(&elsewhere), ["theirs"]);
    }

    #[test]
    fn the_oldest_go_until_the_rest_is_small_enough_and_what_is_young_stays() {
        let folder = tempfile::tempdir().unwrap();
        for (name, ago) in [("a", 4_000), ("b", 3_000), ("c", 2_000), ("d", 10)] {
            file(&folder.path().join(name), 100_000, ago);
        }
        let one = std::fs::metadata(folder.path().join("a")).unwrap().blocks() * 512;
        assert_eq!(
            clean(folder.path(), &settings(None, Some(2 * one))).unwrap(),
            Removed { files: 2, bytes: 2 * one }
        );
        assert_eq!(left(folder.path()), ["c", "d"]);
        assert_eq!(clean(folder.path(), &settings(None, Some(0))).unwrap().files, 1);
        assert_eq!(left(folder.path()), ["d"], "it may be written now");
        // From the future, as when the clock was set back.
        file(&folder.path().join("e"), 1, 0);
        std::fs::File::options()
            .write(true)
            .open(folder.path().join("e"))
            .unwrap()
            .set_modified(std::time::UNIX_EPOCH + Duration::from_secs(99_999_999_999))
            .unwrap();
        assert_eq!(clean(folder.path(), &settings(Some(1), Some(0))).unwrap().files, 0);
    }

    #[test]
    fn what_changed_since_it_was_found_is_not_deleted() {
        let both = tempfile::tempdir().unwrap();
        let folder = both.path().join("raw");
        file(&folder.join("a/x"), 1, 7_200);
        file(&both.path().join("elsewhere/x"), 1, 7_200);
        let root = openat(CWD, &folder, FOLDER, Mode::empty()).unwrap();
        let mut found = Vec::new();
        let device = rustix::fs::fstat(&root).unwrap().st_dev;
        look(&root, &mut Vec::new(), device, &mut found).unwrap();
        assert_eq!(found.len(), 1);
        // The folder becomes a link to another.
        std::fs::rename(folder.join("a"), folder.join("b")).unwrap();
        symlink(both.path().join("elsewhere"), folder.join("a")).unwrap();
        assert!(delete(&root, &found[0]).is_err() && both.path().join("elsewhere/x").exists());
        // Another file has its name.
        std::fs::remove_file(folder.join("a")).unwrap();
        file(&folder.join("a/x"), 1, 10);
        assert_eq!(delete(&root, &found[0]), Err(rustix::io::Errno::NOENT));
        assert!(folder.join("a/x").exists());
    }

    #[test]
    fn a_folder_has_to_be_narrow() {
        for wrong in ["/", "/home", "raw", "raw/old", "/data/../etc", "/data/raw/.."] {
            assert!(!is_narrow(Path::new(wrong)), "{wrong}");
        }
        assert!(is_narrow(Path::new("/data/raw")));
        let mut of = settings(None, None);
        assert!(of.problem().unwrap().starts_with("neither"));
        (of.older_than, of.folders) = (Some(Span::seconds(1)), vec!["/".into()]);
        assert!(of.problem().unwrap().starts_with("/ is no whole path"));
    }
}
