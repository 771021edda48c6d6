//! Lines of JSON in a file of their own that is rotated: the event log, and the audit of hooks.
//!
//! Nobody who writes waits: lines go through a bounded queue to a thread. What a disk does not take is counted.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::{Condvar, Mutex};
use serde_json::Value;

use crate::file::{PRIVATE, make_folders};
use crate::promql::moment_ms;

/// Bytes of lines that wait.
const WAITING: usize = 4 << 20;
/// From one attempt at a disk that fails to the next.
const AGAIN: Duration = Duration::from_secs(10);

/// How files are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes from which on another file is begun.
    pub bytes: u64,
    /// How many older files are kept.
    pub keep: u16,
    /// Whether these are packed.
    pub gzip: bool,
}

/// What is written line by line, or nothing. Copies write to the same file.
#[derive(Clone, Debug, Default)]
pub struct Lines(Option<Arc<Log>>);

#[derive(Debug, Default)]
struct Log {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: u64,
    failing: bool,
    ended: bool,
    /// Whether the thread is through.
    done: bool,
    /// Rotations that were asked for, those that were tried, and why the last one failed.
    rotations: (u64, u64, Option<String>),
}

impl Lines {
    /// Begins to write. `name` is what the log calls it. Without a thread nothing is written, which is said.
    #[must_use]
    pub fn start(name: &'static str, path: PathBuf, rotation: Rotation) -> Self {
        let log = Arc::new(Log::default());
        let of_thread = log.clone();
        let run = move || of_thread.run(&mut Rotated { name, path, rotation, open: None });
        match std::thread::Builder::new().name("lines".into()).spawn(run) {
            Ok(_) => Self(Some(log)),
            Err(error) => {
                tracing::error!(%error, "there is no {name}");
                Self::default()
            }
        }
    }

    /// Whether something is written.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Writes a line: its time, in milliseconds, what happened, and these fields of an object.
    pub fn write(&self, at: i64, event: &str, fields: &Value) {
        let Some(log) = &self.0 else { return };
        let fields = fields.to_string();
        let fields = fields.strip_prefix('{').unwrap_or("}");
        let line = format!("{{\"time\":\"{}\",\"event\":{},{fields}\n", moment_ms(at), Value::from(event));
        let line = line.into_bytes();
        let mut queue = log.queue.lock();
        if queue.bytes + line.len() > WAITING {
            queue.dropped += 1;
        } else {
            queue.bytes += line.len();
            queue.lines.push_back(line);
            drop(queue);
            log.changed.notify_all();
        }
    }

    /// Lines that had no room, and whether the file cannot be written.
    #[must_use]
    pub fn account(&self) -> (u64, bool) {
        self.0.as_ref().map_or((0, false), |log| {
            let queue = log.queue.lock();
            (queue.dropped, queue.failing)
        })
    }

    /// Begins another file. Says what became of the one before; waits for so long at most.
    ///
    /// # Errors
    /// It cannot be moved, or the disk does not answer.
    pub fn rotate(&self, patience: Duration) -> Result<String, String> {
        let Some(log) = &self.0 else { return Err("there is no such file".to_owned()) };
        let mut queue = log.queue.lock();
        queue.rotations.0 += 1;
        let wanted = queue.rotations.0;
        log.changed.notify_all();
        log.changed.wait_while_for(&mut queue, |queue| queue.rotations.1 < wanted && !queue.done, patience);
        match (queue.rotations.1 < wanted, &queue.rotations.2) {
            (true, _) => Err("its disk does not answer".to_owned()),
            (false, Some(why)) => Err(why.clone()),
            (false, None) => Ok("another file was begun".to_owned()),
        }
    }

    /// Writes what waits, for so long at most.
    pub fn stop(&self, patience: Duration) {
        let Some(log) = &self.0 else { return };
        let mut queue = log.queue.lock();
        queue.ended = true;
        log.changed.notify_all();
        log.changed.wait_while_for(&mut queue, |queue| !queue.done, patience);
    }
}

impl Log {
    fn run(&self, file: &mut Rotated) {
        let mut queue = self.queue.lock();
        loop {
            let Some(line) = queue.lines.pop_front() else {
                if queue.rotations.1 < queue.rotations.0 {
                    let wanted = queue.rotations.0;
                    drop(queue);
                    let done = file.begin_another();
                    queue = self.queue.lock();
                    let why = done.err().map(|error| format!("{}: {error}", file.path.display()));
                    (queue.rotations.1, queue.rotations.2) = (wanted, why);
                    self.changed.notify_all();
                    continue;
                }
                if queue.ended {
                    queue.done = true;
                    self.changed.notify_all();
                    return;
                }
                self.changed.wait(&mut queue);
                continue;
            };
            queue.bytes -= line.len();
            drop(queue);
            let written = file.append(&line);
            queue = self.queue.lock();
            match written {
                Ok(()) => {
                    if std::mem::take(&mut queue.failing) {
                        tracing::info!("the {} is written again to {}", file.name, file.path.display());
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut queue.failing, true) {
                        tracing::warn!(
                            "the {} cannot be written to {}: {error}",
                            file.name,
                            file.path.display()
                        );
                    }
                    queue.bytes += line.len();
                    queue.lines.push_front(line);
                    if queue.ended {
                        queue.dropped += queue.lines.len() as u64;
                        queue.lines.clear();
                    } else {
                        self.changed.wait_while_for(&mut queue, |queue| !queue.ended, AGAIN);
                    }
                }
            }
        }
    }
}

/// A file that is begun again when it is large.
#[derive(Debug)]
struct Rotated {
    name: &'static str,
    path: PathBuf,
    rotation: Rotation,
    open: Option<(File, u64)>,
}

impl Rotated {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let outcome = self.try_append(line);
        if outcome.is_err() {
            self.open = None;
        }
        outcome
    }

    fn try_append(&mut self, line: &[u8]) -> io::Result<()> {
        // A file that was moved away or removed, as logrotate does, is begun again.
        let same = |file: &File| -> io::Result<bool> {
            let (own, there) = (file.metadata()?, fs::metadata(&self.path));
            Ok(there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())))
        };
        if self.open.as_ref().is_some_and(|(file, _)| !same(file).unwrap_or(false)) {
            self.open = None;
        }
        if self.open.as_ref().is_some_and(|(_, length)| *length >= self.rotation.bytes) {
            self.open = None;
            self.rotate()?;
        }
        let (file, length) = match &mut self.open {
            Some(open) => open,
            none => {
                make_folders(&self.path)?;
                let file =
                    OpenOptions::new().create(true).read(true).append(true).mode(PRIVATE).open(&self.path)?;
                let mut length = file.metadata()?.len();
                length += end_line(&file, length)?;
                none.insert((file, length))
            }
        };
        let before = *length;
        file.write_all(line).inspect_err(|_| {
            // A part of a line is no line.
            drop(file.set_len(before));
        })?;
        *length += line.len() as u64;
        Ok(())
    }

    /// Begins another file, if there is something in this one.
    fn begin_another(&mut self) -> io::Result<()> {
        self.open = None;
        match fs::metadata(&self.path) {
            Ok(of) if of.len() > 0 => self.rotate(),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// `events.jsonl` becomes the first of the older files, and the last of them goes.
    fn rotate(&self) -> io::Result<()> {
        let Rotation { keep, gzip, .. } = self.rotation;
        if keep == 0 {
            return fs::remove_file(&self.path);
        }
        // A setting that was changed leaves files of the other kind.
        for end in ["", ".gz"] {
            gone(fs::remove_file(self.older(keep, end)))?;
            for number in (1..keep).rev() {
                gone(fs::rename(self.older(number, end), self.older(number + 1, end)))?;
            }
        }
        if !gzip {
            return fs::rename(&self.path, self.older(1, ""));
        }
        // The packed file has its name when it is whole.
        let whole = self.older(1, ".gz");
        let part = whole.with_extension("part");
        let packed = OpenOptions::new().create(true).write(true).truncate(true).mode(PRIVATE).open(&part)?;
        let mut encoder = GzEncoder::new(packed, Compression::default());
        io::copy(&mut File::open(&self.path)?, &mut encoder)?;
        encoder.finish()?.sync_all()?;
        fs::rename(&part, &whole)?;
        fs::remove_file(&self.path)
    }

    fn older(&self, number: u16, end: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}{end}"));
        name.into()
    }
}

/// A process that was killed may have left a part of a line: it is ended. Says by how many bytes the file grew.
fn end_line(file: &File, length: u64) -> io::Result<u64> {
    use std::os::unix::fs::FileExt;
    let mut last = [0];
    if length == 0 {
        return Ok(0);
    }
    file.read_exact_at(&mut last, length - 1)?;
    if last == *b"\n" {
        return Ok(0);
    }
    (&*file).write_all(b"\n")?;
    Ok(1)
}

/// What is not there need not be moved.
fn gone(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn start(path: &Path, bytes: u64, gzip: bool) -> Lines {
        Lines::start("test", path.to_owned(), Rotation { bytes, keep: 2, gzip })
    }

    fn write(log: &Lines, numbers: std::ops::Range<u64>) {
        for number in numbers {
            log.write(1_000, "test", &json!({"number": number}));
        }
        log.stop(Duration::from_secs(10));
    }

    fn numbers(text: &str) -> Vec<u64> {
        text.lines()
            .map(|line| {
                let line: Value = serde_json::from_str(line).unwrap();
                assert_eq!(
                    (&line["event"], &line["time"]),
                    (&"test".into(), &"1970-01-01T00:00:01.000Z".into())
                );
                line["number"].as_u64().unwrap()
            })
            .collect()
    }

    #[test]
    fn another_file_is_begun_when_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let log = start(&path, 1 << 20, true);
        let patience = Duration::from_secs(10);
        assert!(log.rotate(patience).is_ok(), "there is no file yet");
        log.write(1_000, "first", &json!({"number": 1}));
        assert!(log.rotate(patience).is_ok());
        log.write(1_000, "second", &json!({"number": 2}));
        log.stop(patience);
        assert!(fs::read_to_string(&path).unwrap().contains("second"));
        let mut packed = String::new();
        let older = File::open(folder.path().join("events.jsonl.1.gz")).unwrap();
        flate2::read::GzDecoder::new(older).read_to_string(&mut packed).unwrap();
        assert!(packed.contains("first") && !packed.contains("second"));
        assert!(Lines::default().rotate(patience).is_err());
    }

    #[test]
    fn files_are_rotated_packed_and_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/events.jsonl");
        for gzip in [true, false] {
            write(&start(&path, 500, gzip), 0..100);
            let newest = numbers(&fs::read_to_string(&path).unwrap());
            let mut text = String::new();
            let end = if gzip { ".1.gz" } else { ".1" };
            let first = File::open(format!("{}{end}", path.display())).unwrap();
            if gzip {
                flate2::read::GzDecoder::new(first).read_to_string(&mut text).unwrap();
            } else {
                (&first).read_to_string(&mut text).unwrap();
            }
            let before = numbers(&text);
            assert_eq!(newest.last(), Some(&99));
            assert_eq!(before.last().unwrap() + 1, newest[0], "nothing is lost between two files");
            let files = fs::read_dir(path.parent().unwrap()).unwrap().count();
            assert!(files <= 5, "{files} files");
        }
    }

    #[test]
    fn what_a_disk_does_not_take_waits_and_is_counted_beyond_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        // A folder in the place of the file.
        let path = folder.path().join("events.jsonl");
        fs::create_dir(&path).unwrap();
        let log = start(&path, 16 << 20, true);
        log.write(1_000, "test", &json!({"number": 1}));
        while !log.account().1 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let wide = "x".repeat(1 << 20);
        (0..6).for_each(|_| log.write(1_000, "test", &json!({"text": wide})));
        assert_eq!(log.account(), (3, true));
        fs::remove_dir(&path).unwrap();
        let again = start(&path, 16 << 20, true);
        write(&again, 7..8);
        assert_eq!(numbers(&fs::read_to_string(&path).unwrap()), [7]);
        // What waited is written with the end: the first line and those that had room.
        log.stop(Duration::from_secs(10));
        let lines = fs::read_to_string(&path).unwrap();
        assert_eq!(lines.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok()).count(), 5);
    }

    #[test]
    fn a_part_of_a_line_and_a_file_that_was_moved_away_cost_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "{\"torn").unwrap();
        let rotation = Rotation { bytes: 1 << 20, keep: 2, gzip: true };
        let mut file = Rotated { name: "test", path: path.clone(), rotation, open: None };
        file.append(b"{}\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"torn\n{}\n");
        fs::rename(&path, folder.path().join("moved")).unwrap();
        file.append(b"[]\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[]\n");
    }
}
