//! Frames of acquisition boards: the four laws, whatever comes and however it is cut.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/agent/boards.rs"]
mod boards;
mod decoded;

fuzz_target!(|data: &[u8]| {
    let Some((&[which, one, two], bytes)) = data.split_first_chunk::<3>() else { return };
    let all: Vec<_> = boards::all().collect();
    let board = all[usize::from(which) % all.len()];
    // Streams that only one board makes are found faster from a frame of it.
    let stream = if one & 1 == 0 { bytes.to_vec() } else { mixed(board, bytes) };
    let clean = boards::frames(board, 0..300);
    decoded::laws(&|| board.decoder(), &stream, [usize::from(one), usize::from(two) * 3], &clean, 150);
});

/// Frames of a board, cut short and with other bytes between, as `bytes` say.
fn mixed(board: neural_exporter::decode::Protocol, bytes: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    for step in bytes.chunks(3).take(200) {
        let &[number, what, byte] = step else { break };
        let mut frame = boards::frame(board, number.into());
        let place = usize::from(what >> 2) % frame.len();
        match what & 3 {
            0 => frame.truncate(place),
            1 => frame[place] = byte,
            2 => frame.insert(place, byte),
            _ => {}
        }
        stream.extend(frame);
    }
    stream
}
