//! Boards that are described: no description makes the decoder panic, and those that are possible keep the laws.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::board::generic::{Frame, Generic};
use neural_exporter::decode::{Options, Protocol};

#[path = "../../tests/agent/described.rs"]
mod described;
mod decoded;

fuzz_target!(|data: &[u8]| {
    let mut from = data.iter().copied();
    let frame = described::from(&mut from);
    let (one, two) = (from.next().unwrap_or(0), from.next().unwrap_or(0));
    let bytes: Vec<u8> = from.collect();
    // What is read back from a recording is what was described.
    let text = serde_json::to_string(&frame).unwrap();
    let mut read: Frame = serde_json::from_str(&text).unwrap();
    // The last bit of a number may be another one: what reads JSON is built for speed.
    assert!((read.scale / frame.scale - 1.0).abs() < 1e-15, "{text}");
    read.scale = frame.scale;
    assert_eq!(read, frame);
    if Generic::new(frame.clone()).is_err() {
        return;
    }
    // Whoever has one frame that is right has a stream: bytes that begin as frames do, repeated.
    let mut stream = Vec::new();
    for piece in bytes.chunks(frame.length.unwrap_or(40).max(1)) {
        if one & 1 == 1 {
            stream.extend_from_slice(&frame.sync);
        }
        stream.extend_from_slice(piece);
    }
    let options = Options { frame: Some(frame), ..Options::default() };
    let new = || Protocol::Generic.decoder_with(&options);
    decoded::laws(&new, &stream, [usize::from(one), usize::from(two) * 3], &[], 1);
});
