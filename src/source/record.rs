//! Recordings: raw bytes as they arrived, with when and from whom.
//!
//! A recording begins with [`MAGIC`] and a line of JSON that names the sources and their
//! protocols. Then come pieces, each a header of 28 bytes and its bytes: nanoseconds by the steady clock (u64),
//! nanoseconds since the epoch (u64), source (u32), stream (u32) and length (u32), all little endian. A piece of
//! length 0 ends its stream. What a program wrote to a device through a tap is a piece of a stream with the highest bit
//! of its number set: it says what the device sends then. Played through the same decoders it gives the same numbers.
//!
//! A piece of the source [`Hole::SOURCE`] says that pieces are missing here: of which source and stream (u32 each), how
//! many, and how many bytes were in them (u64 each).
//!
//! Version 1 had the time since the epoch alone, which is then that of both clocks. It is read and no longer written.

mod writer;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decode::Options;
use crate::event::Timestamp;
use crate::sys::file;
pub use writer::Account;
use writer::Writer;

/// The first bytes of a recording.
pub const MAGIC: &[u8] = b"neural-exporter recording 2\n";
/// Those of one that has the wall clock alone.
const WALL_ONLY: &[u8] = b"neural-exporter recording 1\n";
/// Which sources can be recorded, for people.
pub const RECORDED: &str = "only jsonl, statsd, serial, brainflow, cerebus and openbci_gui can be recorded";
/// In the number of a stream: it is what a program wrote to the device.
pub const SAID: u32 = 1 << 31;
/// Bytes of a piece's header.
const HEADER: usize = 28;
/// How long the end waits for what is not written yet.
const LAST: Duration = Duration::from_secs(3);
/// The longest piece that is believed.
const LONGEST: u32 = 16 << 20;

/// A source of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// The source's name.
    pub name: String,
    /// The protocol's name.
    pub protocol: String,
    /// What the settings said of the board.
    #[serde(default, skip_serializing_if = "Options::is_empty")]
    pub board: Options,
}

/// Some bytes that arrived together, or the end of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// When.
    pub at: Timestamp,
    /// From which source of the recording.
    pub source: u32,
    /// On which of its connections.
    pub stream: u32,
    /// What; empty at the end of the stream.
    pub bytes: Vec<u8>,
}

impl Piece {
    /// What is missing here, if this is a mark of that.
    #[must_use]
    pub fn hole(&self) -> Option<Hole> {
        let word = |at: usize| Some(u32::from_le_bytes(self.bytes.get(at..at + 4)?.try_into().ok()?));
        let long = |at: usize| Some(u64::from_le_bytes(self.bytes.get(at..at + 8)?.try_into().ok()?));
        if self.source != Hole::SOURCE {
            return None;
        }
        Some(Hole { source: word(0)?, stream: word(4)?, pieces: long(8)?, bytes: long(16)? })
    }
}

/// Pieces that are missing, because the disk was full or too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Of which source of the recording.
    pub source: u32,
    /// Of which of its connections.
    pub stream: u32,
    /// How many.
    pub pieces: u64,
    /// How many bytes were in them.
    pub bytes: u64,
}

impl Hole {
    /// The source that marks of gaps have.
    pub const SOURCE: u32 = u32::MAX;
    /// Source and stream of a gap in several.
    const ANY: (u32, u32) = (u32::MAX, u32::MAX);
    /// Bytes of a mark.
    const BYTES: usize = 24;

    /// Whether it is in this stream.
    #[must_use]
    pub fn is_in(&self, source: u32, stream: u32) -> bool {
        (self.source, self.stream) == Self::ANY
            || (self.source, self.stream & !SAID) == (source, stream & !SAID)
    }

    fn write(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let words = [self.source.to_le_bytes(), self.stream.to_le_bytes()];
        let longs = [self.pieces.to_le_bytes(), self.bytes.to_le_bytes()];
        let all = words.as_flattened().iter().chain(longs.as_flattened());
        out.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        out
    }
}

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder {
    sources: Vec<Recorded>,
    writer: Arc<Writer>,
}

impl Recorder {
    /// Begins a recording of these sources. Its header is in the file when this returns, and each piece soon after it
    /// came.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path, sources: &[Recorded]) -> io::Result<Self> {
        let mut head = MAGIC.to_vec();
        serde_json::to_writer(&mut head, sources)?;
        head.push(b'\n');
        let mut file = file::create(path)?;
        file.write_all(&head)?;
        Ok(Self { sources: sources.to_vec(), writer: Writer::start(file, path.to_owned())? })
    }

    /// The place of a source in the recording, if it is in it as it is now.
    #[must_use]
    pub fn place(&self, source: &Recorded) -> Option<u32> {
        let place = self.sources.iter().position(|known| known == source)?;
        u32::try_from(place).ok()
    }

    /// Adds a piece, and never waits. What the disk does not take is lost, counted and marked.
    pub fn piece(&self, at: Timestamp, source: u32, stream: u32, bytes: &[u8]) {
        self.writer.piece(at, source, stream, bytes);
    }

    /// What became of it so far.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.writer.account
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// What went wrong, now or before: then something is missing.
    pub fn finish(&self) -> io::Result<()> {
        self.writer.finish(LAST)
    }
}

fn header(at: Timestamp, source: u32, stream: u32, length: usize) -> [u8; HEADER] {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let times = [at.steady.to_le_bytes(), at.wall.to_le_bytes()];
    let words = [source.to_le_bytes(), stream.to_le_bytes(), length.to_le_bytes()];
    let mut out = [0; HEADER];
    let all = times.as_flattened().iter().chain(words.as_flattened());
    out.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
    out
}

/// How many of the first `done` bytes are whole pieces.
fn whole(pieces: &[u8], done: usize) -> usize {
    let mut end = 0;
    loop {
        let length = pieces.get(end + HEADER - 4..end + HEADER).and_then(|word| word.try_into().ok());
        let Some(length) = length.map(u32::from_le_bytes) else { return end };
        let next = end + HEADER + length as usize;
        if next > done {
            return end;
        }
        end = next;
    }
}

/// Reads a recording.
#[derive(Debug)]
pub struct Recording {
    /// The sources in it.
    pub sources: Vec<Recorded>,
    from: BufReader<File>,
    wall_only: bool,
    /// Where the next piece begins.
    place: u64,
    cut: bool,
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    /// The file cannot be read, or is no recording.
    pub fn open(path: &Path) -> io::Result<Self> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut from = BufReader::with_capacity(1 << 20, file::open(path)?);
        let mut magic = vec![0; MAGIC.len()];
        let whole = from.read_exact(&mut magic).is_ok();
        let wall_only = magic == WALL_ONLY;
        if !(whole && (wall_only || magic == MAGIC)) {
            return Err(wrong("this is not a recording that `neural-exporter record` made"));
        }
        let mut line = Vec::new();
        let mut byte = [0];
        while from.read_exact(&mut byte).is_ok() && byte != *b"\n" {
            line.extend_from_slice(&byte);
            if line.len() > 1 << 20 {
                return Err(wrong("the recording's list of sources is too long"));
            }
        }
        let sources = serde_json::from_slice(&line)
            .map_err(|e| wrong(&format!("the recording's list of sources: {e}")))?;
        let place = (MAGIC.len() + line.len() + 1) as u64;
        Ok(Self { sources, from, wall_only, place, cut: false })
    }

    /// The next piece; `None` at the end, also at one that was cut by a crash.
    ///
    /// # Errors
    /// The file cannot be read on: at which byte, why, and how much is left unread.
    pub fn piece(&mut self) -> io::Result<Option<Piece>> {
        if self.from.fill_buf()?.is_empty() {
            return Ok(None);
        }
        match self.rest() {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                self.cut = true;
                Ok(None)
            }
            Err(why) => Err(self.broken(&why)),
            Ok(piece) => {
                let head = if self.wall_only { HEADER - size_of::<u64>() } else { HEADER };
                self.place += (head + piece.bytes.len()) as u64;
                Ok(Some(piece))
            }
        }
    }

    fn broken(&self, why: &io::Error) -> io::Error {
        let size = self.from.get_ref().metadata().map_or(self.place, |about| about.len());
        let (at, left) = (self.place, size.saturating_sub(self.place));
        io::Error::new(
            why.kind(),
            format!("at byte {at}: {why}; the {left} bytes from there on are not read"),
        )
    }

    /// Where the next piece begins, or the one that cannot be read.
    #[must_use]
    pub fn place(&self) -> u64 {
        self.place
    }

    /// Whether it ended in the middle of a piece.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    fn rest(&mut self) -> io::Result<Piece> {
        let Self { from, wall_only, .. } = self;
        let steady = if *wall_only { None } else { Some(time(from)?) };
        let wall = time(from)?;
        let at = Timestamp { steady: steady.unwrap_or(wall), wall };
        let (source, stream, length) = (word(from)?, word(from)?, word(from)?);
        let damaged =
            |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("the file is damaged: {what}"));
        if length > LONGEST {
            return Err(damaged(format!("a piece of {length} bytes; the longest is {LONGEST}")));
        }
        if source != Hole::SOURCE && source as usize >= self.sources.len() {
            return Err(damaged(format!(
                "a piece of source {source}; it has {} sources",
                self.sources.len()
            )));
        }
        let mut bytes = vec![0; length as usize];
        self.from.read_exact(&mut bytes)?;
        Ok(Piece { at, source, stream, bytes })
    }
}

fn time(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes).map(|()| u64::from_le_bytes(bytes))
}

fn word(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes).map(|()| u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_reads_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rec");
        let sources =
            vec![Recorded { name: "p".into(), protocol: "jsonl".into(), board: Options::default() }];
        let recorder = Recorder::create(&path, &sources).unwrap();
        // The wall clock was set back in between.
        let at = |steady, wall| Timestamp { steady, wall };
        recorder.piece(at(5, 90), 0, 1, b"abc");
        recorder.piece(at(6, 80), 0, 1, b"");
        recorder.finish().unwrap();
        assert_eq!(recorder.place(&sources[0]), Some(0));
        assert_eq!(recorder.place(&Recorded { protocol: "statsd".into(), ..sources[0].clone() }), None);
        assert!(Recorder::create(&path, &sources).is_err(), "an old recording is not overwritten");
        let mut recording = Recording::open(&path).unwrap();
        assert_eq!(recording.sources, sources);
        let piece = |at, bytes: &[u8]| Piece { at, source: 0, stream: 1, bytes: bytes.into() };
        assert_eq!(recording.piece().unwrap(), Some(piece(at(5, 90), b"abc")));
        assert_eq!(recording.piece().unwrap(), Some(piece(at(6, 80), b"")));
        assert_eq!(recording.piece().unwrap(), None);
        assert!(!recording.is_cut());
        // Cut within the second header, and within the bytes of the first piece.
        let whole = std::fs::read(&path).unwrap();
        for (left, pieces) in [(1, 1), (27, 1), (29, 0), (50, 0)] {
            std::fs::write(&path, &whole[..whole.len() - left]).unwrap();
            let mut recording = Recording::open(&path).unwrap();
            let played = std::iter::from_fn(|| recording.piece().unwrap()).count();
            assert_eq!((played, recording.is_cut()), (pieces, true), "{left}");
        }
        std::fs::write(&path, "something else").unwrap();
        assert!(Recording::open(&path).is_err());
    }

    #[test]
    fn damage_in_the_middle_is_said_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rec");
        let recorder = Recorder::create(&path, &source()).unwrap();
        let line = b"{\"type\":\"stage\",\"pipeline\":\"p\",\"stage\":\"s\",\"seconds\":1}\n";
        (0..3).for_each(|_| recorder.piece(Timestamp::both(5), 0, 1, line));
        recorder.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        let piece = HEADER + line.len();
        let second = whole.len() - 2 * piece;
        for (at, byte, says) in
            [(27, 0x7F, "a piece of"), (19, 0x01, "a piece of source 16777216"), (16, 0x02, "source 2")]
        {
            let mut damaged = whole.clone();
            damaged[second + at] = byte;
            std::fs::write(&path, damaged).unwrap();
            let mut recording = Recording::open(&path).unwrap();
            assert!(recording.piece().unwrap().is_some());
            let why = recording.piece().unwrap_err().to_string();
            assert!(why.starts_with(&format!("at byte {second}: the file is damaged: ")), "{why}");
            assert!(why.contains(says) && why.contains(&format!("the {} bytes", 2 * piece)), "{why}");
            // What could be read is played.
            let hub = Arc::new(crate::hub::Hub::default());
            let played = crate::source::replay::play_at_once(&path, &hub).unwrap();
            assert_eq!((played.pieces, played.cut), (1, None));
            assert_eq!(played.broken.unwrap().to_string(), why);
            assert_eq!(hub.lock().accepted(), 1);
        }
        // One that breaks off says where.
        std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let played = crate::source::replay::play_at_once(&path, &Arc::default()).unwrap();
        assert_eq!(
            (played.pieces, played.cut, played.broken.is_some()),
            (2, Some((second + piece) as u64), false)
        );
    }

    #[test]
    fn a_recording_with_one_clock_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rec");
        let head = b"neural-exporter recording 1\n[{\"name\":\"p\",\"protocol\":\"jsonl\"}]\n";
        let piece = [&7_u64.to_le_bytes()[..], &[0; 4], &1_u32.to_le_bytes(), &3_u32.to_le_bytes(), b"abc"];
        std::fs::write(&path, [&head[..], &piece.concat()].concat()).unwrap();
        let mut recording = Recording::open(&path).unwrap();
        let piece = Piece { at: Timestamp::both(7), source: 0, stream: 1, bytes: b"abc".into() };
        assert_eq!(recording.piece().unwrap(), Some(piece));
        assert_eq!(recording.piece().unwrap(), None);
    }

    fn source() -> Vec<Recorded> {
        vec![Recorded { name: "p".into(), protocol: "jsonl".into(), board: Options::default() }]
    }

    #[test]
    fn what_came_is_in_the_file_within_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rec");
        let recorder = Recorder::create(&path, &source()).unwrap();
        assert_eq!(Recording::open(&path).unwrap().sources, source());
        recorder.piece(Timestamp::both(5), 0, 1, b"abc");
        std::thread::sleep(Duration::from_millis(900));
        // As a crash would leave it.
        let piece = Recording::open(&path).unwrap().piece().unwrap().unwrap();
        assert_eq!((piece.at, &*piece.bytes, piece.hole()), (Timestamp::both(5), &b"abc"[..], None));
    }

    #[test]
    fn pieces_that_got_through_are_told_from_one_that_broke_off() {
        let piece = |bytes: &[u8]| [&header(Timestamp::both(1), 0, 0, bytes.len())[..], bytes].concat();
        let all = [piece(b"abc"), piece(b""), piece(b"de")].concat();
        for (done, good) in [(0, 0), (30, 0), (31, 31), (58, 31), (59, 59), (88, 59), (89, 89)] {
            assert_eq!(whole(&all, done), good, "{done}");
        }
    }

    fn until(holds: impl Fn() -> bool) {
        for _ in 0..500 {
            if holds() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("not within ten seconds");
    }

    /// A disk that has room for so much, and later for more.
    #[test]
    fn a_full_disk_leaves_a_hole_and_the_recording_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let disk = folder.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        let mount = |options: &str| {
            let place = disk.to_str().unwrap();
            let done = std::process::Command::new("mount")
                .args(["-t", "tmpfs", "-o", options, "none", place])
                .output();
            done.is_ok_and(|done| done.status.success())
        };
        if !mount("size=1m") {
            eprintln!("not root: a full disk is not tested");
            return;
        }
        let path = disk.join("a.rec");
        let recorder = Recorder::create(&path, &source()).unwrap();
        let block = vec![b'x'; 60_000];
        let mut sent = 0_u64;
        // More than disk and memory take together.
        for round in 0..400 {
            recorder.piece(Timestamp::both(round), 0, 1, &block);
            sent += 1;
            if round == 20 {
                until(|| recorder.account().is_failing());
                assert_eq!(recorder.account().lost(), (0, 0));
            }
        }
        let (lost, bytes) = recorder.account().lost();
        assert!(lost > 50 && bytes == lost * 60_000);
        assert!(mount("remount,size=64m"));
        until(|| !recorder.account().is_failing());
        recorder.piece(Timestamp::both(900), 0, 1, b"after");
        let why = recorder.finish().unwrap_err().to_string();
        assert!(why.contains(&format!("{lost} pieces")), "{why}");
        let mut recording = Recording::open(&path).unwrap();
        let pieces: Vec<Piece> = std::iter::from_fn(|| recording.piece().unwrap()).collect();
        let holes: Vec<Hole> = pieces.iter().filter_map(Piece::hole).collect();
        let hole = Hole { source: 0, stream: 1, pieces: lost, bytes };
        let kept = pieces.len() as u64 - 2;
        drop(recording);
        let _ = std::process::Command::new("umount").arg("-l").arg(&disk).status();
        assert_eq!((holes, kept + lost), (vec![hole], sent));
        assert_eq!(pieces.last().unwrap().bytes, b"after");
        let (before, after) = (pieces[pieces.len() - 3].at, pieces[pieces.len() - 2].at);
        assert_eq!(after.steady, before.steady + 1, "the hole is where the pieces are missing");
    }
}
