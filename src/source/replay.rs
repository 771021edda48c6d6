//! A recording as a source: its bytes through the same decoders, at the pace they came or faster.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::record::{Piece, Recording, SAID};
use super::{Feed, now};
use crate::analysis::quality::{Judged, Settings};
use crate::decode::{Decoder, Protocol};
use crate::event::{Body, Link, SourceId, Timestamp};
use crate::hub::Hub;

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

    fn play(&mut self, recording: &Recording, piece: &Piece, at: Timestamp, feed: &Feed) {
        let Some(source) = recording.sources.get(piece.source as usize) else { return };
        let Some(&protocol) = Protocol::ALL.iter().find(|p| p.name() == source.protocol) else { return };
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
            let signal = self.signal;
            let decoder = self.decoders.entry(key).or_insert_with(|| {
                match source.board.decoder(protocol).unwrap_or_else(|| protocol.decoder()) {
                    decoder if protocol.brings_samples() => Box::new(Judged::new(decoder, signal)),
                    decoder => decoder,
                }
            });
            if piece.stream & SAID != 0 {
                feed.overhear(at, &piece.bytes, decoder.as_mut());
            } else {
                feed.take(at, &piece.bytes, 1, decoder.as_mut());
            }
        }
    }

    fn end(self, at: Timestamp, feed: &Feed) {
        self.decoders.into_values().for_each(|mut decoder| feed.end(at, decoder.as_mut()));
    }
}

/// What there was in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    /// How many pieces.
    pub pieces: u64,
    /// Whether it ended in the middle of one.
    pub cut: bool,
}

/// Plays a whole recording into the hub at once, with the times it was recorded at. Each source of
/// the recording is a source of the hub.
///
/// # Errors
/// The recording cannot be read.
pub fn play_at_once(path: &Path, hub: &std::sync::Arc<Hub>) -> io::Result<Played> {
    let mut recording = Recording::open(path)?;
    let feeds: Vec<Feed> =
        recording.sources.iter().map(|s| Feed::new(hub.clone(), hub.add_source(&s.name), &s.name)).collect();
    let mut streams = Streams::default();
    let (mut pieces, mut last) = (0, Timestamp::both(0));
    while let Some(piece) = recording.piece()? {
        let Some(feed) = feeds.get(piece.source as usize) else { continue };
        if last.steady_second() != piece.at.steady_second() {
            feed.send_at(piece.at, Body::Tick);
        }
        last = piece.at;
        streams.play(&recording, &piece, piece.at, feed);
        pieces += 1;
    }
    for ((source, _), mut decoder) in streams.decoders {
        if let Some(feed) = feeds.get(source as usize) {
            feed.end(last, decoder.as_mut());
        }
    }
    Hub::lock(hub).fold(&crate::event::Event { at: last, source: SourceId(u32::MAX), body: Body::Tick });
    Ok(Played { pieces, cut: recording.is_cut() })
}

/// Plays a recording as if it came now; `speed` 1 as it was, 10 ten times as fast, 0 without waiting.
pub async fn run(
    path: std::path::PathBuf,
    speed: f64,
    signal: Settings,
    feed: Feed,
    stop: CancellationToken,
) {
    if let Err(error) = play(&path, speed, Streams::new(signal), &feed, &stop).await {
        tracing::warn!(source = feed.name(), path = %path.display(), %error, "cannot play the recording");
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
    let mut recording = Recording::open(path)?;
    feed.send(Body::Link(Link::Up));
    #[expect(clippy::disallowed_methods, reason = "a recording is played at its own pace")]
    let began = tokio::time::Instant::now();
    let mut first = None;
    while let Some(piece) = recording.piece()? {
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
        streams.play(&recording, &piece, now(), feed);
    }
    if recording.is_cut() {
        tracing::warn!(source = feed.name(), path = %path.display(), "the recording ends in the middle of a piece");
    }
    streams.end(now(), feed);
    Ok(())
}
