//! Frames of StatsD lines: no bytes make the decoder panic, and cuts do not matter.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::Protocol;

mod decoded;

fuzz_target!(|data: &[u8]| {
    let Some((&place, bytes)) = data.split_first() else { return };
    decoded::cut(Protocol::StatsdFrames, bytes, usize::from(place));
});
