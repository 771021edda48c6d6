//! A stream's description and what its outlet sends, cut and whole.
//!
//! The input is a description up to the first zero, and the bytes of a connection after it; a description that is none
//! is replaced by a good one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::Decoder;
use neural_exporter::decode::lsl::{Info, Inlet, talk};
use neural_exporter::event::Body;

const GOOD: &[u8] = include_bytes!("../../tests/fixtures/lsl/fullinfo.xml");

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (text, bytes) = input.split_at(end);
    let bytes = bytes.get(1..).unwrap_or_default();
    drop((talk::stream(text), talk::time(text)));
    let Ok(mut info) = Info::parse(text).or_else(|_| Info::parse(GOOD)) else { return };
    if bytes.first().is_some_and(|byte| byte & 1 == 1) {
        info.version = 100;
    }
    let whole = decoded(&info, &[bytes]);
    let (head, tail) = bytes.split_at(end.min(bytes.len()));
    assert_eq!(whole, decoded(&info, &[head, tail]));
    assert_eq!(whole.1, bytes.len() as u64, "every byte is decoded");
});

/// What is said, samples aside, and the bytes that were decoded.
fn decoded(info: &Info, pieces: &[&[u8]]) -> (Vec<String>, u64) {
    let (mut all, mut bytes) = (Vec::new(), 0);
    let mut inlet = Inlet::new(info.clone());
    let mut out = |body: Body<'_>| {
        match body {
            Body::Samples(samples) => return bytes += samples.bytes,
            Body::Fault(fault) => bytes += fault.bytes,
            Body::Answer(answer) => bytes += answer.bytes,
            Body::ProgramMessage(aside) => bytes += aside.bytes,
            _ => {}
        }
        all.push(format!("{body:?}"));
    };
    for piece in pieces {
        inlet.decode(piece, &mut out);
    }
    inlet.end(&mut out);
    (all, bytes)
}
