//! Files that are replaced whole, and files that belong to others as well: a link is followed, owner and mode stay, and
//! what is mounted or may only be written where it stands is written there.
//!
//! A reader meanwhile sees the old text or the new one. Only where a file cannot be replaced may it see a part,
//! and then the caller receives the reason. Access lists and extended attributes are not kept.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// The mode of a new file that a server reads, whatever the umask is.
pub const READABLE: u32 = 0o644;
/// The mode of a new file that is nobody else's business.
pub const PRIVATE: u32 = 0o600;
/// Links that are followed, one after the other.
const LINKS: usize = 40;

/// How a file was put in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Whole: it was replaced.
    Whole,
    /// It was written where it stands, and why.
    InPlace(&'static str),
}

impl Put {
    /// What a person should know of it.
    #[must_use]
    pub fn note(self) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::InPlace(why) => {
                Some(format!("overwritten in place and not replaced atomically, because {why}"))
            }
        }
    }
}

/// A text that will be put in place, and lies beside it until then.
#[derive(Debug)]
pub struct Staged {
    /// Where it will stand: where links lead.
    target: PathBuf,
    /// Where it lies: a hidden file in the same folder, which no pattern of `*.yml` takes.
    new: PathBuf,
    /// Why it cannot be moved to where it shall stand.
    in_place: Option<&'static str>,
}

impl Staged {
    /// Writes the text beside the file. A file that is new gets `mode`, one that is there keeps its own.
    ///
    /// # Errors
    /// It can be written neither beside the file nor into it, or something else stands there.
    pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Self> {
        let target = follow(path)?;
        let there = about(&target)?;
        let mut in_place =
            there.as_ref().filter(|there| there.nlink() > 1).map(|_| "it has other hard links");
        let mut new = aside(&target, "new");
        let file = match make(&new) {
            Err(why) if there.is_some() && closed(&why) => {
                // Its folder is closed; it may be open, as one that is mounted into a container.
                OpenOptions::new().write(true).open(&target)?;
                in_place = Some("its folder cannot be written");
                new = elsewhere(&target, "new");
                make(&new)
            }
            made => made,
        };
        let mut staged = Self { target, new, in_place };
        // From here on what is staged is removed if it fails.
        staged.fill(file?, bytes, there.as_ref(), mode)?;
        Ok(staged)
    }

    fn fill(&mut self, mut file: File, bytes: &[u8], there: Option<&Metadata>, mode: u32) -> io::Result<()> {
        if let Some(there) = there {
            let is = file.metadata()?;
            let same = (is.uid(), is.gid()) == (there.uid(), there.gid());
            if !same && fchown(&file, Some(there.uid()), Some(there.gid())).is_err() {
                self.in_place = Some("its owner would change");
            }
        }
        let mode = there.map_or(mode, |there| there.permissions().mode() & 0o7777);
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Where the new text lies, for programs that check it.
    #[must_use]
    pub fn new_path(&self) -> &Path {
        &self.new
    }

    /// Puts the new text in place.
    ///
    /// # Errors
    /// It cannot be; what stood there still does, or the error says where it is.
    pub fn commit(&self) -> io::Result<Put> {
        let why = match self.in_place {
            Some(why) => why,
            None => match fs::rename(&self.new, &self.target) {
                Ok(()) => {
                    // The name is on the disk as well, where that can be had.
                    let folder = self.target.parent().map(File::open);
                    drop(folder.and_then(Result::ok).map(|folder| folder.sync_all()));
                    return Ok(Put::Whole);
                }
                // A mount cannot be moved over; in a folder that is sticky a file of others cannot.
                Err(why) => match why.kind() {
                    ErrorKind::ResourceBusy | ErrorKind::CrossesDevices => "it is mounted there",
                    ErrorKind::PermissionDenied => "its folder does not allow to replace it",
                    _ => return Err(why),
                },
            },
        };
        self.write_in_place().map(|()| Put::InPlace(why))
    }

    /// Writes over the file, with a copy of what stood there until that is done.
    fn write_in_place(&self) -> io::Result<()> {
        let (bytes, old) = (fs::read(&self.new)?, fs::read(&self.target)?);
        // One that may not be written is as it was.
        let mut target = OpenOptions::new().write(true).open(&self.target)?;
        let mut backup = aside(&self.target, "old");
        let file = make(&backup).or_else(|_| {
            backup = elsewhere(&self.target, "old");
            make(&backup)
        });
        let kept = file.and_then(|mut file| file.write_all(&old).and_then(|()| file.sync_all()));
        kept.inspect_err(|_| drop(fs::remove_file(&backup)))?;
        if let Err(why) = overwrite(&mut target, &bytes) {
            if let Err(more) = overwrite(&mut target, &old) {
                let backup = backup.display();
                return Err(io::Error::other(format!(
                    "{why}, then {more}; the previous file is in {backup}"
                )));
            }
            drop(fs::remove_file(&backup));
            return Err(why);
        }
        fs::remove_file(&backup)
    }
}

impl Drop for Staged {
    /// Gives up what was not put in place.
    fn drop(&mut self) {
        drop(fs::remove_file(&self.new));
    }
}

/// Replaces a file. One that is new gets `mode`, one that is there keeps its own.
///
/// # Errors
/// It cannot be replaced or written.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Put> {
    Staged::write(path, bytes, mode)?.commit()
}

/// Removes a file, or the link to it. One that is not there is removed; one that is mounted there is made empty.
///
/// # Errors
/// It cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        Err(why) if why.kind() == ErrorKind::ResourceBusy => {
            overwrite(&mut OpenOptions::new().write(true).open(path)?, b"")
        }
        done => done,
    }
}

/// Makes the folders that lead to a file. New ones can be entered by everybody, whatever the umask is.
///
/// # Errors
/// One cannot be made.
pub fn make_folders(path: &Path) -> io::Result<()> {
    let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing: Vec<&Path> = path.ancestors().skip(1).take_while(missing).collect();
    for folder in missing.into_iter().rev() {
        match fs::DirBuilder::new().mode(0o755).create(folder) {
            Err(why) if why.kind() == ErrorKind::AlreadyExists => {}
            made => {
                made?;
                fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
            }
        }
    }
    Ok(())
}

/// Where a path leads, link by link. What it leads to need not be there.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&at) {
            Ok(to) => at = at.parent().unwrap_or_else(|| Path::new("")).join(to),
            // It is no link, or not there.
            Err(_) => return Ok(at),
        }
    }
    Err(io::Error::other("it is a circular link"))
}

/// What is known of the file, if there is one.
fn about(target: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(target) {
        Ok(there) if there.is_file() => Ok(Some(there)),
        Ok(_) => Err(io::Error::new(ErrorKind::InvalidInput, "it exists and is not a regular file")),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why),
    }
}

fn closed(why: &io::Error) -> bool {
    matches!(why.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// A hidden name beside a file.
fn aside(target: &Path, end: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{end}"))
}

/// A name for what cannot lie beside a file.
fn elsewhere(target: &Path, end: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    std::env::temp_dir().join(format!("{name}.{}.{end}", std::process::id()))
}

/// Makes a file that was not there. What an earlier run left goes; a link is never followed.
fn make(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(why) if why.kind() != ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)
}

fn overwrite(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.rewind()?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

/// Has `link` lead to `place`, without a moment in which it leads nowhere.
///
/// # Errors
/// The link cannot be made there.
pub fn lead(link: &Path, place: &Path) -> io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(link.file_name().unwrap_or_default());
    name.push(".new");
    let new = link.with_file_name(name);
    // Left by an agent that was killed here.
    if fs::symlink_metadata(&new).is_ok_and(|there| there.is_symlink()) {
        fs::remove_file(&new)?;
    }
    std::os::unix::fs::symlink(place, &new)?;
    fs::rename(&new, link).inspect_err(|_| drop(fs::remove_file(&new)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn is_root() -> bool {
        fs::metadata("/proc/self").unwrap().uid() == 0
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real/a.yml"), folder.path().join("a.yml"));
        make_folders(&real).unwrap();
        fs::write(&real, "old").unwrap();
        // Relative, and by way of another.
        symlink("b.yml", &link).unwrap();
        symlink("real/a.yml", folder.path().join("b.yml")).unwrap();
        assert_eq!(replace(&link, b"new", READABLE).unwrap(), Put::Whole);
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("b.yml"));
        // What it leads to need not be there.
        fs::remove_file(&real).unwrap();
        assert_eq!(replace(&link, b"again", READABLE).unwrap(), Put::Whole);
        assert_eq!(fs::read_to_string(&real).unwrap(), "again");
        assert_eq!(
            (names(folder.path()), names(real.parent().unwrap())),
            (["a.yml", "b.yml", "real"].map(str::to_owned).to_vec(), vec!["a.yml".to_owned()])
        );
        symlink("round", folder.path().join("round")).unwrap();
        assert!(replace(&folder.path().join("round"), b"", READABLE).is_err());
        assert!(
            replace(folder.path(), b"", READABLE).unwrap_err().to_string().contains("not a regular file")
        );
    }

    #[test]
    fn mode_and_owner_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yml");
        assert_eq!(replace(&path, b"1", READABLE).unwrap(), Put::Whole);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        if is_root() {
            chown(&path, Some(1234), Some(4321)).unwrap();
        }
        let before = fs::metadata(&path).unwrap();
        replace(&path, b"2", READABLE).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
        assert_ne!(after.ino(), before.ino());
        // A file with two names keeps both.
        let twin = folder.path().join("twin");
        fs::hard_link(&path, &twin).unwrap();
        assert!(matches!(replace(&path, b"3", READABLE).unwrap(), Put::InPlace(_)));
        assert_eq!(fs::read_to_string(&twin).unwrap(), "3");
        assert_eq!(names(folder.path()), ["a.yml", "twin"]);
    }

    #[test]
    fn what_is_not_committed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yml");
        // Left by a run that was killed, and a trap.
        symlink("/etc/hostname-of-nobody", folder.path().join(".a.yml.new")).unwrap();
        let staged = Staged::write(&path, b"text", PRIVATE).unwrap();
        assert_eq!(fs::read_to_string(staged.new_path()).unwrap(), "text");
        drop(staged);
        assert_eq!(names(folder.path()), [""; 0]);
        remove(&path).unwrap();
    }
}
