//! Files that are replaced whole, and put back if what reads them does not like them.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::{file, sys};

/// How long a checking program may take.
const CHECK: Duration = Duration::from_secs(60);
/// Bytes of a file that is read back.
const LONGEST: u64 = 16 << 20;

/// The text of a file; nothing if there is none.
///
/// # Errors
/// It is there and cannot be read.
pub(super) fn read(path: &Path) -> Result<Option<String>, String> {
    match sys::file::text(path, LONGEST) {
        Ok(text) => Ok(Some(text)),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(format!("cannot read {}: {why}", path.display())),
    }
}

/// A file that will be written, and what stood there.
#[derive(Debug)]
pub(super) struct Staged {
    path: PathBuf,
    new: file::Staged,
    previous: Option<String>,
}

impl Staged {
    /// Writes the new text beside the file.
    ///
    /// # Errors
    /// It can be written neither there nor into the file.
    pub(super) fn write(path: &Path, text: &str) -> Result<Self, String> {
        let cannot_write = |why: io::Error| {
            let hint = if why.kind() == io::ErrorKind::PermissionDenied {
                "\n  hint: this user must be able to write the file, or in its folder"
            } else {
                ""
            };
            format!("cannot write {}: {why}{hint}", path.display())
        };
        let previous = read(path)?;
        let new = file::Staged::write(path, text.as_bytes(), file::READABLE).map_err(cannot_write)?;
        Ok(Self { path: path.to_owned(), new, previous })
    }

    /// Where the new text stands, for programs that check it.
    pub(super) fn new_path(&self) -> &Path {
        self.new.new_path()
    }

    /// Puts the new text in place, and says what should be known of how. What is not put in place goes with this.
    pub(super) fn commit(&self) -> Result<Option<String>, String> {
        let put =
            self.new.commit().map_err(|why| format!("cannot replace {}: {why}", self.path.display()))?;
        Ok(put.note())
    }

    /// Puts back what stood there before.
    pub(super) fn restore(&self) -> Result<(), String> {
        restore(&self.path, self.previous.as_deref())
    }
}

/// Makes a file what it was; removes it if it was not there.
pub(super) fn restore(path: &Path, previous: Option<&str>) -> Result<(), String> {
    match previous {
        Some(text) => Staged::write(path, text)?.commit().map(drop),
        None => remove(path),
    }
}

/// Removes a file. One that is not there is removed.
pub(super) fn remove(path: &Path) -> Result<(), String> {
    file::remove(path).map_err(|why| format!("cannot remove {}: {why}", path.display()))
}

/// Where what stood in a file before ours is kept.
fn kept(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}.before-neural"))
}

/// Copies a file beside itself, with its permissions, and gives where to if there was no copy yet.
///
/// # Errors
/// There is a copy of something else, which is not written over.
pub(super) fn keep(path: &Path) -> Result<Option<PathBuf>, String> {
    let copy = kept(path);
    match read(&copy)? {
        Some(text) if read(path)?.as_ref() == Some(&text) => return Ok(None),
        Some(_) => {
            let copy = copy.display();
            return Err(format!("not written, because {copy} has an earlier original: move it away first"));
        }
        None => {}
    }
    let copied = || -> io::Result<()> {
        let about = std::fs::metadata(path)?;
        std::fs::copy(path, &copy)?;
        // Who could read it can still read it. Only root can give it away.
        drop(std::os::unix::fs::chown(&copy, Some(about.uid()), Some(about.gid())));
        Ok(())
    };
    copied().map_err(|why| {
        drop(std::fs::remove_file(&copy));
        format!("cannot keep a copy in {}: {why}", copy.display())
    })?;
    Ok(Some(copy))
}

/// Puts back what was kept, and says whether there was something.
pub(super) fn put_back(path: &Path) -> Result<bool, String> {
    let copy = kept(path);
    let Some(text) = read(&copy)? else { return Ok(false) };
    Staged::write(path, &text)?.commit()?;
    remove(&copy)?;
    Ok(true)
}

/// What a checking program says of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is right.
    Right,
    /// It is wrong, in the program's words.
    Wrong(String),
    /// There is no such program.
    Absent,
}

/// Has a program check a file before that takes its place. A note says that the program is not installed, so that the
/// server alone checks `what`.
pub(super) async fn verify(
    program: &str,
    words: &[&str],
    file: &Path,
    what: &str,
) -> Result<Option<String>, String> {
    match check(program, words, file).await {
        Verdict::Right => Ok(None),
        Verdict::Absent => {
            Ok(Some(format!("{program} is not installed: the server alone has checked {what}")))
        }
        Verdict::Wrong(words) => Err(format!("not written, because {words}")),
    }
}

/// Runs `program` on a file: `promtool check rules FILE`.
pub(super) async fn check(program: &str, words: &[&str], file: &Path) -> Verdict {
    let mut command = Command::new(program);
    command.args(words).arg(file).stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(CHECK, command.output()).await {
        Ok(Ok(done)) if done.status.success() => Verdict::Right,
        Ok(Ok(done)) => {
            let text = [done.stderr, done.stdout].concat();
            let words: String = String::from_utf8_lossy(&text).chars().take(4000).collect();
            Verdict::Wrong(format!("{program} says:\n{}", words.trim_end()))
        }
        Ok(Err(_)) => Verdict::Absent,
        Err(_) => Verdict::Wrong(format!("{program} did not end within {} s", CHECK.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yml");
        let staged = Staged::write(&path, "one").unwrap();
        assert_eq!(read(&path).unwrap(), None);
        staged.commit().unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("one"));
        let second = Staged::write(&path, "two").unwrap();
        second.commit().unwrap();
        second.restore().unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("one"));
        staged.restore().unwrap();
        assert_eq!(read(&path).unwrap(), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn an_original_is_kept_once_and_put_back() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yml");
        std::fs::write(&path, "theirs").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let copy = keep(&path).unwrap().unwrap();
        assert_eq!(copy, folder.path().join("a.yml.before-neural"));
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(keep(&path).unwrap(), None, "it is there already");
        std::fs::write(&path, "theirs, too").unwrap();
        assert!(keep(&path).unwrap_err().contains("earlier original"));
        assert_eq!(read(&copy).unwrap().as_deref(), Some("theirs"));
        assert!(put_back(&path).unwrap());
        assert_eq!(read(&path).unwrap().as_deref(), Some("theirs"));
        assert!(!put_back(&path).unwrap());
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_told() {
        let file = Path::new("/dev/null");
        assert_eq!(check("no-such-program-anywhere", &[], file).await, Verdict::Absent);
        assert_eq!(check("true", &[], file).await, Verdict::Right);
        assert!(matches!(check("false", &[], file).await, Verdict::Wrong(_)));
    }
}
