//! The folder of reports: files are put there whole, never in the place of another one, and the oldest go. Everything here may wait for a
//! disk.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::settings::Keep;

/// Files of one name at most.
const TURNS: usize = 1_000;
/// Files that are looked at in a folder.
const MOST: usize = 50_000;
/// The begin of a file, in which it says what it is.
const HEAD: u64 = 1_024;
/// Who may read a report: it is for others than the agent.
const MODE: u32 = 0o644;

/// A file of a report: the end of its name, and what is in it.
pub(super) type Piece = (&'static str, Vec<u8>);

/// Writes the files of a report. `stem` gives their name, `mark` is what tells them from any other, near their begin. What was
/// written before a kill is known again, and not written twice. Returns their names.
///
/// # Errors
/// The folder is not there, is full, or cannot be written.
pub(super) fn put(
    folder: &Path,
    stem: &dyn Fn(usize) -> String,
    mark: &str,
    pieces: &[Piece],
) -> Result<Vec<String>, String> {
    if !folder.is_dir() {
        return Err(format!("no such folder: {}; make it, or mount it", folder.display()));
    }
    for turn in 1..=TURNS {
        let stem = stem(turn);
        let names: Vec<String> = pieces.iter().map(|(ending, _)| format!("{stem}.{ending}")).collect();
        let there: Vec<Option<bool>> = names.iter().map(|name| ours(&folder.join(name), mark)).collect();
        // A name is taken whole: the page of one session never stands beside the numbers of another.
        let others = ["html", "json"]
            .iter()
            .any(|ending| ours(&folder.join(format!("{stem}.{ending}")), mark) == Some(false));
        if others {
            continue;
        }
        for (((_, bytes), name), there) in pieces.iter().zip(&names).zip(&there) {
            if there.is_none() {
                let wrong = |why: io::Error| format!("cannot write {}: {why}", folder.join(name).display());
                match place(folder, name, bytes) {
                    // Another program took the name meanwhile.
                    Err(why) if why.kind() == ErrorKind::AlreadyExists => return Err(wrong(why)),
                    placed => placed.map_err(wrong)?,
                }
            }
        }
        return Ok(names);
    }
    Err(format!("{TURNS} files of this name are in {}", folder.display()))
}

/// Whether there is something of this name, and whether it has the mark.
fn ours(path: &Path, mark: &str) -> Option<bool> {
    match fs::symlink_metadata(path) {
        Ok(about) => Some(about.is_file() && head(path).is_ok_and(|head| head.contains(mark))),
        Err(why) if why.kind() == ErrorKind::NotFound => None,
        // What cannot be looked at is not ours.
        Err(_) => Some(false),
    }
}

fn head(path: &Path) -> io::Result<String> {
    let mut text = Vec::new();
    crate::sys::file::open(path)?.take(HEAD).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Puts a file in place, if there is none.
fn place(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = folder.join(format!(".{name}.new"));
    let made = || OpenOptions::new().write(true).create_new(true).mode(MODE).open(&new);
    let mut file = match made() {
        // It is left of a write that was killed.
        Err(why) if why.kind() == ErrorKind::AlreadyExists && fs::symlink_metadata(&new)?.is_file() => {
            fs::remove_file(&new)?;
            made()?
        }
        made => made?,
    };
    let target = folder.join(name);
    let moved = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| settle(&new, &target));
    moved.inspect_err(|_| drop(fs::remove_file(&new)))?;
    // The name is on the disk as well, where that can be had.
    drop(File::open(folder).and_then(|folder| folder.sync_all()));
    Ok(())
}

/// Moves a file to a name that nobody has.
fn settle(new: &Path, target: &Path) -> io::Result<()> {
    match renameat_with(CWD, new, CWD, target, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // Not every file system can: another link takes no name either.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            match fs::hard_link(new, target) {
                Ok(()) => fs::remove_file(new),
                Err(why) if why.kind() == ErrorKind::AlreadyExists => Err(why),
                // Nor links, as FAT has none: what is left is to look first.
                Err(_) if fs::symlink_metadata(target).is_err() => fs::rename(new, target),
                Err(why) => Err(why),
            }
        }
        Err(why) => Err(why.into()),
    }
}

/// A report that is in the folder.
#[derive(Debug, Default)]
struct StoredReport {
    files: Vec<PathBuf>,
    /// When it was written, ms since the epoch.
    at: i64,
    bytes: u64,
}

/// Deletes the oldest reports that are too many, too large, or, where the clock can be believed, too old. Only regular files go that
/// begin as a report does. Returns how many went, and the bytes of those that are left.
///
/// # Errors
/// The folder cannot be read, or a file not be deleted.
pub(super) fn tidy(folder: &Path, keep: &Keep, now: Option<i64>, marks: &[&str]) -> io::Result<(usize, u64)> {
    let mut found: HashMap<String, StoredReport> = HashMap::new();
    for entry in fs::read_dir(folder)?.take(MOST) {
        let path = entry?.path();
        let ending = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned) else { continue };
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        let report = || head(&path).is_ok_and(|head| marks.iter().any(|mark| head.starts_with(mark)));
        if stem.starts_with('.') || !matches!(ending, "html" | "json") || !about.is_file() || !report() {
            continue;
        }
        let at = about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let at = at.map_or(0, |at| i64::try_from(at.as_millis()).unwrap_or(i64::MAX));
        let bytes = about.blocks().saturating_mul(512);
        let one = found.entry(stem).or_default();
        one.files.push(path);
        (one.at, one.bytes) = (one.at.max(at), one.bytes + bytes);
    }
    let mut found: Vec<(String, StoredReport)> = found.into_iter().collect();
    // The newest first.
    found.sort_unstable_by(|(stem, one), (other, two)| (two.at, other).cmp(&(one.at, stem)));
    let oldest = keep
        .age
        .zip(now)
        .map(|(age, now)| now.saturating_sub(i64::try_from(age.0.as_millis()).unwrap_or(i64::MAX)));
    let (mut gone, mut left) = (0, 0_u64);
    for (place, (_, one)) in found.iter().enumerate() {
        // The newest stays whatever it is: it has just been written.
        let over = place >= keep.number
            || left.saturating_add(one.bytes) > keep.max_bytes.0
            || oldest.is_some_and(|oldest| one.at < oldest);
        if place > 0 && over {
            one.files.iter().try_for_each(fs::remove_file)?;
            gone += 1;
        } else {
            left += one.bytes;
        }
    }
    Ok((gone, left))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;
    use crate::listen::Bytes;
    use crate::setting::Span;

    const MARKS: &[&str] = &["{\"kind\":\"x\""];

    fn pieces(id: &str) -> Vec<Piece> {
        ["html", "json"]
            .map(|ending| (ending, format!("{{\"kind\":\"x\",\"id\":\"{id}\"}}").into_bytes()))
            .into()
    }

    fn stem(turn: usize) -> String {
        if turn == 1 { "a".to_owned() } else { format!("a-{turn}") }
    }

    fn listed(folder: &Path) -> Vec<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn no_file_of_another_is_overwritten_and_what_is_written_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        assert_eq!(put(at, &stem, "\"id\":\"1\"", &pieces("1")).unwrap(), ["a.html", "a.json"]);
        // Killed before it was noted.
        assert_eq!(put(at, &stem, "\"id\":\"1\"", &pieces("1")).unwrap(), ["a.html", "a.json"]);
        assert_eq!(put(at, &stem, "\"id\":\"2\"", &pieces("2")).unwrap(), ["a-2.html", "a-2.json"]);
        // Killed between the two files, with a part of one.
        fs::remove_file(at.join("a-2.json")).unwrap();
        fs::write(at.join(".a-2.json.new"), "{").unwrap();
        assert_eq!(put(at, &stem, "\"id\":\"2\"", &pieces("2")).unwrap(), ["a-2.html", "a-2.json"]);
        // A person's page, a link that leads elsewhere, a folder.
        fs::write(at.join("a-3.html"), "mine").unwrap();
        symlink(at.join("elsewhere"), at.join("a-4.json")).unwrap();
        fs::create_dir(at.join("a-5.html")).unwrap();
        assert_eq!(put(at, &stem, "\"id\":\"3\"", &pieces("3")).unwrap(), ["a-6.html", "a-6.json"]);
        assert_eq!(fs::read_to_string(at.join("a-3.html")).unwrap(), "mine");
        assert!(!at.join("elsewhere").exists());
        assert_eq!(listed(at).len(), 9, "{:?}", listed(at));
        let why = put(&at.join("none"), &stem, "x", &pieces("4")).unwrap_err();
        assert!(why.contains("no such folder"), "{why}");
    }

    #[test]
    fn a_name_is_taken_whole() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), &stem, "\"id\":\"1\"", &pieces("1")[1..]).unwrap();
        // The page alone of another one does not go beside it.
        assert_eq!(put(folder.path(), &stem, "\"id\":\"2\"", &pieces("2")[..1]).unwrap(), ["a-2.html"]);
    }

    #[test]
    fn of_thousands_the_newest_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        // Their order in the folder, in their names and in time are three different ones.
        let when = |number: u64| number * 2_741 % 5_000;
        for number in 0..5_000 {
            for ending in ["html", "json"] {
                let path = at.join(format!("r{number}.{ending}"));
                let mut file = File::create(&path).unwrap();
                file.write_all(b"{\"kind\":\"x\"}").unwrap();
                // The page is written a moment before.
                let moment = Duration::from_millis(when(number) * 1_000 + u64::from(ending == "json"));
                file.set_modified(UNIX_EPOCH + Duration::from_secs(1_796_000_000) + moment).unwrap();
            }
        }
        let keep = Keep { age: None, number: 1_234, max_bytes: Bytes(u64::MAX) };
        let (gone, left) = tidy(at, &keep, None, MARKS).unwrap();
        assert_eq!(gone, 5_000 - 1_234);
        let mut names: Vec<u64> = Vec::new();
        for name in listed(at) {
            let number = name.trim_start_matches('r').split('.').next().unwrap().parse().unwrap();
            assert!(when(number) >= 5_000 - 1_234, "{name} is too old");
            names.push(number);
        }
        assert_eq!(names.len(), 2 * 1_234, "both files of each");
        let held: u64 =
            fs::read_dir(at).unwrap().map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512).sum();
        assert_eq!(left, held);
    }

    #[test]
    fn the_oldest_reports_go_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let now = 1_796_047_427_000_i64;
        let dated = |name: &str, text: &str, hours: u64| {
            fs::write(at.join(name), text).unwrap();
            let time =
                UNIX_EPOCH + Duration::from_millis(now.unsigned_abs()) - Duration::from_secs(hours * 3_600);
            File::options().write(true).open(at.join(name)).unwrap().set_modified(time).unwrap();
        };
        for hours in 1..=5 {
            for ending in ["html", "json"] {
                dated(&format!("r{hours}.{ending}"), "{\"kind\":\"x\"}", hours);
            }
        }
        dated("mine.html", "<h1>mine</h1>", 9_000);
        dated("data.json", "{}", 9_000);
        dated("r9.txt", "{\"kind\":\"x\"}", 9_000);
        symlink(at.join("mine.html"), at.join("r8.html")).unwrap();
        let keep = |age: Option<u64>, number, bytes| Keep {
            age: age.map(|hours| Span::seconds(hours * 3_600)),
            number,
            max_bytes: Bytes(bytes),
        };
        let others = ["data.json", "mine.html", "r8.html", "r9.txt"];
        let left = || listed(at).into_iter().filter(|name| !others.contains(&&**name)).collect::<Vec<_>>();
        let all = keep(None, 100, u64::MAX);
        assert_eq!(tidy(at, &all, Some(now), MARKS).unwrap().0, 0);
        assert_eq!(
            tidy(at, &keep(Some(4), 100, u64::MAX), None, MARKS).unwrap().0,
            0,
            "a clock that is not believed"
        );
        assert_eq!(tidy(at, &keep(Some(4), 100, u64::MAX), Some(now + 60_000), MARKS).unwrap().0, 2);
        assert_eq!(left(), ["r1.html", "r1.json", "r2.html", "r2.json", "r3.html", "r3.json"]);
        assert_eq!(tidy(at, &keep(None, 2, u64::MAX), Some(now), MARKS).unwrap().0, 1);
        assert_eq!(left(), ["r1.html", "r1.json", "r2.html", "r2.json"]);
        // The newest stays, whatever its size.
        assert_eq!(tidy(at, &keep(None, 2, 1), Some(now), MARKS).unwrap().0, 1);
        assert_eq!(left(), ["r1.html", "r1.json"]);
        assert_eq!(listed(at).len(), 6, "{:?}", listed(at));
    }
}
