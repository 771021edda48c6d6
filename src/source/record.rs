//! Recordings: raw bytes as they arrived, with when and from whom.
//!
//! A recording begins with [`MAGIC`] and a line of JSON that names the sources and their
//! protocols. Then come pieces, each a header of 28 bytes and its bytes: nanoseconds by the steady clock (u64),
//! nanoseconds since the epoch (u64), source (u32), stream (u32) and length (u32), all little endian. A piece of
//! length 0 ends its stream. What a program wrote to a device through a tap is a piece of a stream with the highest bit
//! of its number set: it says what the device sends then. Played through the same decoders it gives the same numbers.
//!
//! Version 1 had the time since the epoch alone, which is then that of both clocks. It is read and no longer written.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::decode::Options;
use crate::event::Timestamp;

/// The first bytes of a recording.
pub const MAGIC: &[u8] = b"neural-exporter recording 2\n";
/// Those of one that has the wall clock alone.
const WALL_ONLY: &[u8] = b"neural-exporter recording 1\n";
/// Which sources can be recorded, for people.
pub const RECORDED: &str =
    "only jsonl, statsd, serial, brainflow, cerebus and openbci_gui bring bytes that can be played again";
/// In the number of a stream: it is what a program wrote to the device.
pub const SAID: u32 = 1 << 31;
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

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder {
    sources: Vec<Recorded>,
    out: Mutex<(BufWriter<File>, Option<io::Error>)>,
}

impl Recorder {
    /// Begins a recording of these sources.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path, sources: &[Recorded]) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
        out.write_all(MAGIC)?;
        serde_json::to_writer(&mut out, sources)?;
        out.write_all(b"\n")?;
        Ok(Self { sources: sources.to_vec(), out: Mutex::new((out, None)) })
    }

    /// The place of a source in the recording, if it is in it as it is now.
    #[must_use]
    pub fn place(&self, source: &Recorded) -> Option<u32> {
        let place = self.sources.iter().position(|known| known == source)?;
        u32::try_from(place).ok()
    }

    /// Adds a piece. The first failure ends the recording; [`finish`](Self::finish) tells it.
    pub fn piece(&self, at: Timestamp, source: u32, stream: u32, bytes: &[u8]) {
        let mut out = self.out.lock();
        if out.1.is_some() {
            return;
        }
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let times = [at.steady.to_le_bytes(), at.wall.to_le_bytes()];
        let words = [source.to_le_bytes(), stream.to_le_bytes(), length.to_le_bytes()];
        let header = [times.as_flattened(), words.as_flattened()];
        let wrote =
            header.iter().try_for_each(|part| out.0.write_all(part)).and_then(|()| out.0.write_all(bytes));
        out.1 = wrote.err();
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// What went wrong, now or before.
    pub fn finish(&self) -> io::Result<()> {
        let mut out = self.out.lock();
        match out.1.take() {
            Some(error) => Err(error),
            None => out.0.flush(),
        }
    }
}

/// Reads a recording.
#[derive(Debug)]
pub struct Recording {
    /// The sources in it.
    pub sources: Vec<Recorded>,
    from: BufReader<File>,
    wall_only: bool,
    cut: bool,
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    /// The file cannot be read, or is no recording.
    pub fn open(path: &Path) -> io::Result<Self> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut from = BufReader::with_capacity(1 << 20, File::open(path)?);
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
        Ok(Self { sources, from, wall_only, cut: false })
    }

    /// The next piece; `None` at the end, also at one that was cut by a crash.
    ///
    /// # Errors
    /// The file cannot be read on.
    pub fn piece(&mut self) -> io::Result<Option<Piece>> {
        if self.from.fill_buf()?.is_empty() {
            return Ok(None);
        }
        match self.rest() {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                self.cut = true;
                Ok(None)
            }
            piece => piece.map(Some),
        }
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
        if length > LONGEST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a piece of {length} bytes: the file is damaged"),
            ));
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
}
