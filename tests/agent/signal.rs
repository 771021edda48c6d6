//! The signal of a board from its bytes to its series, and their life.

use std::sync::Arc;

use neural_exporter::analysis::quality::{AssessedDecoder, Settings};
use neural_exporter::decode::{Decoder, Protocol};
use neural_exporter::event::{Body, Link, Timestamp};
use neural_exporter::hub::Hub;
use neural_exporter::source::Feed;

use super::{NOW, boards};

const SECOND: u64 = 1_000_000_000;

/// A Cyton that is judged, its first channel at the rail.
struct Board {
    hub: Arc<Hub>,
    feed: Feed,
    decoder: Box<dyn Decoder>,
    at: u64,
    /// Nanoseconds by which the wall clock was set.
    set: i64,
    number: u32,
}

impl Board {
    fn new() -> Self {
        let hub = Arc::new(Hub::default());
        let feed = Feed::new(hub.clone(), hub.add_source("eeg"), "eeg");
        feed.send_at(NOW, Body::Link(Link::Up));
        let decoder = Box::new(AssessedDecoder::new(Protocol::Cyton.decoder(), Settings::default()));
        Self { hub, feed, decoder, at: NOW.steady, set: 0, number: 0 }
    }

    fn now(&self) -> Timestamp {
        Timestamp { steady: self.at, wall: self.at.saturating_add_signed(self.set) }
    }

    fn stream(&mut self, seconds: u64) {
        for _ in 0..seconds * 50 {
            let mut bytes = Vec::new();
            for _ in 0..5 {
                let mut frame = boards::frame(Protocol::Cyton, self.number);
                frame[2..5].copy_from_slice(&[0x7F, 0xFF, 0xFF]);
                bytes.extend(frame);
                self.number += 1;
            }
            self.at += SECOND / 50;
            self.feed.decode(self.now(), &bytes, 1, &mut *self.decoder);
            if self.at.is_multiple_of(SECOND) {
                self.feed.send_at(self.now(), Body::Tick);
            }
        }
    }

    fn silence(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.at += SECOND;
            self.feed.send_at(self.now(), Body::Tick);
        }
    }

    fn number(&self, family: &str, labels: &str) -> Option<f64> {
        self.hub.lock().registry.number(family, labels)
    }

    fn railed(&self) -> Option<f64> {
        self.number("neural_channel_railed_ratio", "device=\"eeg\",channel=\"1\"")
    }

    fn bad_seconds(&self) -> Option<f64> {
        self.number("neural_channel_bad_seconds", "device=\"eeg\",channel=\"1\"")
    }
}

#[test]
fn a_board_is_judged_and_its_gauges_go_when_it_is_silent() {
    let mut board = Board::new();
    board.stream(1);
    assert_eq!(board.railed(), None, "judged before two seconds are there");
    board.stream(9);
    assert_eq!(board.railed(), Some(1.0));
    // From the second of two on, less the last frames that wait to be confirmed.
    assert!((8.0..=9.0).contains(&board.bad_seconds().unwrap()), "{:?}", board.bad_seconds());
    let reason = "device=\"eeg\",channel=\"1\",reason=\"railed\"";
    assert_eq!(board.number("neural_channel_bad", reason), Some(1.0));
    assert_eq!(board.number("neural_channel_bad", &reason.replace("\"1\"", "\"2\"")), None);
    let seconds = board.number("neural_device_bad_channel_seconds", "device=\"eeg\",reason=\"railed\"");
    assert_eq!(seconds, board.bad_seconds());
    assert!(board.number("neural_channel_band_rms_volts", "device=\"eeg\",channel=\"2\"").is_some());
    assert!(board.number("neural_channel_band_rms_counts", "device=\"eeg\",channel=\"2\"").is_none());
    let quality = board.number("neural_device_quality_ratio", "device=\"eeg\"").unwrap();
    assert!((0.0..1.0).contains(&quality), "{quality}");

    board.silence(1);
    assert_eq!(board.railed(), Some(1.0), "a second is no silence yet");
    let before = board.bad_seconds();
    board.silence(1);
    assert_eq!(board.railed(), None);
    assert_eq!(board.number("neural_device_quality_ratio", "device=\"eeg\""), None);
    assert_eq!(board.number("neural_channel_bad", reason), None);
    assert_eq!(board.bad_seconds(), before, "what was counted stays");
    assert_eq!(board.number("neural_device_channels", "device=\"eeg\""), Some(8.0), "the device is there");

    board.stream(2);
    assert_eq!(board.railed(), Some(1.0));
    board.feed.send_at(board.now(), Body::Link(Link::Down));
    assert_eq!(board.railed(), None);
}

/// A board, and what a replay of what it does in `session` makes of it.
fn replayed(session: impl FnOnce(&mut Board)) -> (Board, Arc<Hub>) {
    use neural_exporter::source::record::{Recorded, Recorder};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rec");
    let sources = [Recorded { name: "eeg".into(), protocol: "cyton".into(), board: Default::default() }];
    let recorder = Arc::new(Recorder::create(&path, &sources).unwrap());
    let mut board = Board::new();
    board.feed = board.feed.clone().recorded(recorder.clone(), 0);
    session(&mut board);
    recorder.finish().unwrap();
    let hub = Arc::new(Hub::default());
    neural_exporter::source::replay::play_at_once(&path, &hub).unwrap();
    (board, hub)
}

#[test]
fn a_wall_clock_that_is_set_loses_nothing_and_a_replay_says_the_same() {
    let device = "device=\"eeg\"";
    let (board, hub) = replayed(|board| {
        board.stream(10);
        for seconds in [2, 5, -2, -5, 3600, -86_400] {
            board.set += seconds * SECOND as i64;
            for _ in 0..12 {
                board.stream(1);
                let rate = board.number("neural_device_rate_hertz", device).unwrap();
                assert!((rate - 250.0).abs() < 0.1, "{seconds}: {rate}");
                let gap = board.number("neural_device_longest_gap_seconds", device).unwrap();
                assert!(gap < 0.03, "{seconds}: {gap}");
            }
            assert_eq!(board.number("neural_device_lost_packets", device), Some(0.0), "{seconds}");
        }
        board.silence(3);
        board.number += 750;
        board.stream(10);
    });
    assert_eq!(board.number("neural_device_lost_packets", device), Some(750.0));
    for family in ["neural_device_lost_packets", "neural_device_gaps", "neural_device_samples"] {
        assert_eq!(hub.lock().registry.number(family, device), board.number(family, device), "{family}");
    }
    let rate = hub.lock().registry.number("neural_device_rate_hertz", device).unwrap();
    let live = board.number("neural_device_rate_hertz", device).unwrap();
    assert!((rate - live).abs() < 2.0, "{rate} is not {live}");
}

#[test]
fn a_replay_judges_as_the_wire_does() {
    let (board, hub) = replayed(|board| board.stream(5));
    for (family, labels) in [
        ("neural_channel_quality_ratio", "device=\"eeg\",channel=\"5\""),
        ("neural_channel_band_rms_volts", "device=\"eeg\",channel=\"5\""),
        ("neural_channel_hum_decibels", "device=\"eeg\",channel=\"5\""),
        ("neural_channel_bad_seconds", "device=\"eeg\",channel=\"1\""),
        ("neural_device_mains_hertz", "device=\"eeg\""),
    ] {
        let replayed = hub.lock().registry.number(family, labels);
        assert_eq!(replayed, board.number(family, labels), "{family}");
        assert!(replayed.is_some(), "{family}");
    }
}
