//! Benchmarks as files of a folder: one each, as it is exported, so that copying a file is a backup.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::PathBuf;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::file;
use crate::quote::quote;
use crate::setting::Span;
use crate::sys::file::{list, open};
use crate::view::benchmark::{Benchmark, Shelf, check_name};

/// Benchmarks, at most.
const MOST: usize = 200;
/// Bytes of one.
const SIZE: u64 = 4 << 20;
/// One is written at a time: of two of one name that come together, the second sees the first.
static TURN: Mutex<()> = Mutex::new(());

/// The benchmarks that the last minutes are compared with from time to time. `neural-exporter benchmark record NAME` makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Benchmarks")]
pub struct Benchmarks {
    /// Their names. The limits are those of `alerts.limits`: `regression_time` and its kin.
    #[schemars(length(max = 8), extend("items" = {"type": "string", "format": "benchmark-name", "pattern": r"^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$"}))]
    pub baselines: Vec<String>,
    /// From one comparison to the next: 1m to 1d.
    pub every: Span,
    /// How much of the past is compared: 10m to 1d.
    pub window: Span,
}

impl Default for Benchmarks {
    fn default() -> Self {
        Self { baselines: Vec::new(), every: Span::seconds(600), window: Span::seconds(1800) }
    }
}

/// A folder of benchmarks. It is made when the first one is written.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// That in a state directory.
    #[must_use]
    pub fn in_state_directory(folder: &std::path::Path) -> Self {
        Self(folder.join("benchmarks"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.json"))
    }

    fn said(&self, error: &io::Error) -> String {
        format!("{}: {error}", quote(&self.0.display().to_string()))
    }
}

impl Shelf for Folder {
    fn names(&self) -> Result<Vec<String>, String> {
        let entries = match list(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.said(&error)),
        };
        let name = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?.strip_suffix(".json")?.to_owned();
            check_name(&name).is_ok().then_some(name)
        };
        let mut names: Vec<String> = entries.filter_map(Result::ok).filter_map(name).take(2 * MOST).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn read(&self, name: &str) -> Result<Option<Benchmark>, String> {
        check_name(name)?;
        let file = match open(&self.path(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.said(&error)),
        };
        let mut text = Vec::new();
        file.take(SIZE + 1).read_to_end(&mut text).map_err(|error| self.said(&error))?;
        if text.len() as u64 > SIZE {
            return Err(format!("the file of the benchmark {name} has more than {} MiB", SIZE >> 20));
        }
        let read =
            Benchmark::read(&text).map_err(|why| format!("the file of the benchmark {name}: {why}"))?;
        // A file that was renamed by hand has the name of the file.
        Ok(Some(Benchmark { name: name.to_owned(), ..read }))
    }

    fn write(&self, benchmark: &Benchmark, replace: bool) -> Result<bool, String> {
        check_name(&benchmark.name)?;
        let path = self.path(&benchmark.name);
        let _turn = TURN.lock();
        let taken = path.exists();
        if taken && !replace {
            return Ok(false);
        }
        if !taken && self.names()?.len() >= MOST {
            return Err(format!("there are {MOST} benchmarks: delete one first"));
        }
        let text = serde_json::to_vec(benchmark).map_err(|error| error.to_string())?;
        if text.len() as u64 > SIZE {
            return Err(format!("it has more than {} MiB; choose lines with --match", SIZE >> 20));
        }
        fs::create_dir_all(&self.0).map_err(|error| self.said(&error))?;
        file::replace(&path, &text, file::PRIVATE).map(|_| true).map_err(|error| self.said(&error))
    }

    fn remove(&self, name: &str) -> Result<bool, String> {
        check_name(name)?;
        match fs::remove_file(self.path(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.said(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str) -> Benchmark {
        Benchmark { version: 1, name: name.to_owned(), ..Benchmark::default() }
    }

    #[test]
    fn what_is_written_is_there_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Folder::in_state_directory(folder.path());
        assert_eq!((shelf.names(), shelf.read("a")), (Ok(vec![]), Ok(None)));
        for name in ["b", "a"] {
            assert_eq!(shelf.write(&one(name), false), Ok(true));
        }
        assert_eq!(shelf.names().unwrap(), ["a", "b"]);
        assert_eq!(shelf.read("a").unwrap(), Some(one("a")));
        fs::rename(shelf.path("a"), shelf.path("c")).unwrap();
        assert_eq!(shelf.read("c").unwrap(), Some(one("c")));
        assert_eq!((shelf.remove("c"), shelf.remove("c")), (Ok(true), Ok(false)));
    }

    #[test]
    fn a_name_leads_nowhere_else_and_a_damaged_file_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Folder::in_state_directory(folder.path());
        fs::write(folder.path().join("secret.json"), "{}").unwrap();
        for name in ["../secret", "/etc/passwd", ".hidden", ""] {
            assert!(
                shelf.read(name).is_err()
                    && shelf.write(&one(name), true).is_err()
                    && shelf.remove(name).is_err()
            );
        }
        shelf.write(&one("a"), false).unwrap();
        fs::write(shelf.path("b"), "{damaged").unwrap();
        assert!(shelf.read("b").unwrap_err().contains("the file of the benchmark b"));
        assert_eq!(shelf.read("a").unwrap(), Some(one("a")));
        assert!(folder.path().join("secret.json").exists());
    }

    #[test]
    fn there_is_an_end_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Folder::in_state_directory(folder.path());
        for number in 0..MOST {
            shelf.write(&one(&number.to_string()), false).unwrap();
        }
        assert!(shelf.write(&one("more"), true).unwrap_err().contains("delete one first"));
        assert_eq!(shelf.write(&one("7"), true), Ok(true));
    }

    #[test]
    fn what_has_the_name_stays_unless_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Folder::in_state_directory(folder.path());
        let noted = |note: String| Benchmark { note, ..one("a") };
        // Of many that come together one is kept, whole.
        let kept = std::thread::scope(|scope| {
            let one = |number: usize| shelf.write(&noted(number.to_string().repeat(100_000)), false).unwrap();
            let all: Vec<_> = (0..8).map(|number| scope.spawn(move || one(number))).collect();
            all.into_iter().map(|one| one.join().unwrap()).filter(|kept| *kept).count()
        });
        assert_eq!(kept, 1);
        let first = shelf.read("a").unwrap().unwrap();
        assert_eq!(first.note.len(), 100_000);
        assert_eq!(shelf.write(&noted("new".into()), false), Ok(false));
        assert_eq!(shelf.read("a"), Ok(Some(first)));
        assert_eq!(shelf.write(&noted("new".into()), true), Ok(true));
        assert_eq!(shelf.read("a").unwrap().unwrap().note, "new");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_said() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("benchmarks"), "a file").unwrap();
        let shelf = Folder::in_state_directory(folder.path());
        assert!(shelf.write(&one("a"), true).is_err() && shelf.names().is_err());
    }
}
