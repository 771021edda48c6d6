//! The parse_strict of a signal beside a decoder: whatever comes, and however it is cut, what it tells are numbers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::analysis::quality::{AssessedDecoder, Settings};
use neural_exporter::decode::Decoder;
use neural_exporter::event::Body;

#[path = "../../tests/agent/boards.rs"]
#[allow(dead_code, reason = "streams are made here")]
mod boards;

/// Bytes that make some seconds of most boards.
const ENOUGH: usize = 48 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some((&[which, cut, noise], bytes)) = data.split_first_chunk::<3>() else { return };
    let all: Vec<_> = boards::all().collect();
    let board = all[usize::from(which) % all.len()];
    let mut stream = Vec::with_capacity(ENOUGH + 4096);
    for number in 0.. {
        if stream.len() >= ENOUGH {
            break;
        }
        let mut frame = boards::frame(board, number);
        // What is written into the frames becomes samples, as long as they are not damaged by it.
        if !bytes.is_empty() && frame.len() > 4 {
            let last = frame.len() - 1;
            let from = (number as usize).wrapping_mul(usize::from(noise)) % bytes.len();
            for (at, byte) in frame[2..last].iter_mut().zip(bytes[from..].iter().cycle()) {
                *at = *byte;
            }
        }
        // Boards whose frames have a checksum would never get through.
        let damaged = noise & 1 == 1 && number % 2 == 1;
        stream.extend(if damaged { boards::frame(board, number) } else { frame });
    }
    let mut judged = AssessedDecoder::new(board.decoder(), Settings::default());
    let mut see = |body: Body<'_>| {
        if matches!(body, Body::Quality(_) | Body::Signal(_)) {
            let text = format!("{body:?}");
            let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
            assert!(!words.any(|word| word == "NaN" || word == "inf"), "{text}");
        }
    };
    for piece in stream.chunks(1 + 16 * usize::from(cut)) {
        judged.decode(piece, &mut see);
        while judged.process_deferred() {
            judged.decode(b"", &mut see);
        }
    }
    judged.end(&mut see);
});
