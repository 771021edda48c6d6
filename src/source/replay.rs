//! A recording as a source: its bytes through the same decoders, at the pace they came or faster.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Feed;
use super::aside::apart;
use super::kind::{Kind, Probing, Start};
use super::look::{Finding, Verdict};
use super::record::{Hole, Piece, Recorded, Recording, SAID};
use crate::analysis::quality::{AssessedDecoder, Settings};
use crate::clock::now;
use crate::decode::{Decoder, Protocol};
use crate::event::{Body, Link, SourceId, Timestamp};
use crate::hub::Hub;
use crate::quote::{plain, quote};

/// A recording, played again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The name of the source.
    pub name: String,
    /// The recording.
    pub file: PathBuf,
    /// 1 as it was, 10 ten times as fast, 0 without waiting.
    #[serde(default = "Replay::speed")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub speed: f64,
    /// How the signal of the acquisition devices in it is judged.
    #[serde(default)]
    pub signal: Settings,
}

impl Replay {
    fn speed() -> f64 {
        1.0
    }
}

impl Kind for Replay {
    fn name(&self) -> &str {
        &self.name
    }

    fn place(&self) -> String {
        self.file.display().to_string()
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.file]
    }

    fn signal(&self) -> Option<&Settings> {
        Some(&self.signal)
    }

    fn look<'a>(&'a self, path: &'a str, _running: bool) -> Probing<'a> {
        Box::pin(async move {
            vec![match std::fs::metadata(&self.file) {
                Ok(_) => Finding::new(path, self.file.display(), Verdict::Ok, "is there"),
                Err(why) => Finding::new(path, self.file.display(), Verdict::Failed, plain(&why)),
            }]
        })
    }

    fn start(&self, start: Start) {
        let (feed, stop) = (start.feed.clone(), start.stop.clone());
        start.run(run(self.file.clone(), self.speed, self.signal.clone(), feed, stop));
    }
}

/// The decoders of a recording's streams.
#[derive(Default)]
struct Streams {
    decoders: HashMap<(u32, u32), Box<dyn Decoder>>,
    signal: Settings,
}

impl Streams {
    fn new(signal: Settings) -> Self {
        Self { signal, ..Self::default() }
    }

    fn play(&mut self, sources: &[Recorded], piece: &Piece, at: Timestamp, feed: &Feed) {
        let Some(source) = sources.get(piece.source as usize) else { return };
        let Some(protocol) = protocol(source) else { return };
        let key = (piece.source, piece.stream & !SAID);
        if piece.bytes.is_empty() {
            // What was learnt of a device outlives its stream, as it did when it was recorded.
            let device = protocol.brings_samples().then(|| self.decoders.get_mut(&key)).flatten();
            if let Some(decoder) = device {
                feed.end(at, decoder.as_mut());
            } else if let Some(mut decoder) = self.decoders.remove(&key) {
                feed.end(at, decoder.as_mut());
            }
        } else {
            let signal = &self.signal;
            let decoder =
                self.decoders.entry(key).or_insert_with(|| match protocol.decoder_with(&source.board) {
                    decoder if protocol.brings_samples() => {
                        Box::new(AssessedDecoder::new(decoder, signal.clone()))
                    }
                    decoder => decoder,
                });
            if piece.stream & SAID != 0 {
                feed.observe_command(at, &piece.bytes, decoder.as_mut());
            } else {
                feed.decode(at, &piece.bytes, 1, decoder.as_mut());
            }
        }
    }

    /// Something is missing here: what comes after it does not continue what came before.
    fn part<'f>(
        &mut self,
        sources: &[Recorded],
        hole: &Hole,
        at: Timestamp,
        feed: impl Fn(u32) -> Option<&'f Feed>,
    ) {
        self.decoders.retain(|(source, stream), decoder| {
            if !hole.is_in(*source, *stream) {
                return true;
            }
            if let Some(feed) = feed(*source) {
                feed.end(at, decoder.as_mut());
            }
            let of = sources.get(*source as usize);
            of.and_then(protocol).is_some_and(Protocol::brings_samples)
        });
    }

    fn end(self, at: Timestamp, feed: &Feed) {
        self.decoders.into_values().for_each(|mut decoder| feed.end(at, decoder.as_mut()));
    }
}

fn protocol(of: &Recorded) -> Option<Protocol> {
    Protocol::named(&of.protocol)
}

/// What there was in a recording.
#[derive(Debug)]
pub struct Played {
    /// How many pieces.
    pub pieces: u64,
    /// At which byte a piece begins that is not there to its end.
    pub cut: Option<u64>,
    /// Why and where it could not be read on.
    pub broken: Option<io::Error>,
    /// When the last piece was recorded.
    pub last: Timestamp,
    /// How many are missing in it, because the disk was full or too slow when it was made.
    pub missing: u64,
}

/// Plays a whole recording into the hub at once, with the times it was recorded at. Each source of
/// the recording is a source of the hub.
///
/// # Errors
/// The recording cannot be opened. What could be read of one that is damaged further on was played.
pub fn play_at_once(path: &Path, hub: &std::sync::Arc<Hub>) -> io::Result<Played> {
    let mut recording = Recording::open(path)?;
    let feeds: Vec<Feed> =
        recording.sources.iter().map(|s| Feed::new(hub.clone(), hub.add_source(&s.name), &s.name)).collect();
    let mut streams = Streams::default();
    let (mut pieces, mut missing, mut last) = (0, 0, Timestamp::both(0));
    let mut broken = None;
    while let Some(piece) = recording.piece().unwrap_or_else(|why| {
        broken = Some(why);
        None
    }) {
        if let Some(hole) = piece.hole() {
            missing += hole.pieces;
            streams.part(&recording.sources, &hole, piece.at, |source| feeds.get(source as usize));
        }
        let Some(feed) = feeds.get(piece.source as usize) else { continue };
        if last.steady_second() != piece.at.steady_second() {
            feed.send_at(piece.at, Body::Tick);
        }
        last = piece.at;
        streams.play(&recording.sources, &piece, piece.at, feed);
        pieces += 1;
    }
    for ((source, _), mut decoder) in streams.decoders {
        if let Some(feed) = feeds.get(source as usize) {
            feed.end(last, decoder.as_mut());
        }
    }
    Hub::lock(hub).fold(&crate::event::Event { at: last, source: SourceId::AGENT, body: Body::Tick });
    let cut = recording.is_cut().then(|| recording.place());
    Ok(Played { pieces, cut, broken, last, missing })
}

/// Plays a recording as if it came now; `speed` 1 as it was, 10 ten times as fast, 0 without waiting.
pub async fn run(path: PathBuf, speed: f64, signal: Settings, feed: Feed, stop: CancellationToken) {
    if let Err(error) = play(&path, speed, Streams::new(signal), &feed, &stop).await {
        tracing::warn!(source = feed.name(), path = %quote(path.display()), %error, "cannot play the recording to its end");
    }
    feed.send(Body::Link(Link::Down));
}

async fn play(
    path: &Path,
    speed: f64,
    mut streams: Streams,
    feed: &Feed,
    stop: &CancellationToken,
) -> io::Result<()> {
    let mut recording = Ahead::open(path).await?;
    feed.send(Body::Link(Link::Up));
    #[expect(clippy::disallowed_methods, reason = "a recording is played at its own pace")]
    let began = tokio::time::Instant::now();
    let mut first = None;
    let mut broken = None;
    while let Some(piece) = recording.piece().await.unwrap_or_else(|why| {
        broken = Some(why);
        None
    }) {
        let since = piece.at.steady.saturating_sub(*first.get_or_insert(piece.at.steady));
        if speed > 0.0 {
            let due = began + Duration::from_nanos(since).div_f64(speed);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep_until(due) => {}
            }
        } else {
            tokio::task::yield_now().await;
            if stop.is_cancelled() {
                return Ok(());
            }
        }
        if let Some(hole) = piece.hole() {
            tracing::warn!(
                source = feed.name(),
                pieces = hole.pieces,
                bytes = hole.bytes,
                "pieces are missing in the recording"
            );
            streams.part(&recording.sources, &hole, now(), |_| Some(feed));
        }
        streams.play(&recording.sources, &piece, now(), feed);
    }
    if recording.cut {
        tracing::warn!(source = feed.name(), path = %quote(path.display()), "the recording ends in the middle of a piece");
    }
    streams.end(now(), feed);
    broken.map_or(Ok(()), Err)
}

/// A recording that is read on a thread of its own, some pieces ahead: a disk that does not answer must hold nobody else.
struct Ahead {
    sources: Vec<Recorded>,
    pieces: mpsc::Receiver<io::Result<ReplayStep>>,
    cut: bool,
    path: String,
}

/// What is read.
enum ReplayStep {
    Piece(Piece),
    /// There is no more, and whether it ended in the middle of a piece.
    End(bool),
}

/// Pieces that are read ahead.
const AHEAD: usize = 4;
/// How long the disk may take for one.
const PATIENCE: Duration = Duration::from_secs(10);

impl Ahead {
    async fn open(path: &Path) -> io::Result<Self> {
        let (own, path) = (path.to_owned(), path.display().to_string());
        let opened = apart(&path, PATIENCE, move || Recording::open(&own)).await.map_err(io::Error::other)?;
        let mut recording = opened?;
        let sources = recording.sources.clone();
        let (tell, pieces) = mpsc::channel(AHEAD);
        std::thread::Builder::new().name("replay".to_owned()).spawn(move || {
            loop {
                let read = recording.piece().map(|piece| {
                    piece.map_or_else(|| ReplayStep::End(recording.is_cut()), ReplayStep::Piece)
                });
                let more = matches!(read, Ok(ReplayStep::Piece(_)));
                // Nobody listens any more once the source was stopped.
                if tell.blocking_send(read).is_err() || !more {
                    return;
                }
            }
        })?;
        Ok(Self { sources, pieces, cut: false, path })
    }

    async fn piece(&mut self) -> io::Result<Option<Piece>> {
        let late =
            |_| io::Error::other(format!("no answer within {} s from {}", PATIENCE.as_secs_f64(), self.path));
        match tokio::time::timeout(PATIENCE, self.pieces.recv()).await.map_err(late)?.transpose()? {
            Some(ReplayStep::Piece(piece)) => Ok(Some(piece)),
            Some(ReplayStep::End(cut)) => {
                self.cut = cut;
                Ok(None)
            }
            None => Ok(None),
        }
    }
}
