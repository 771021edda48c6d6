//! Datagrams of programs: whatever they hold, in whatever row, and however the row is cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::Protocol;
use neural_exporter::decode::program::datagram::header;

mod decoded;

fuzz_target!(|data: &[u8]| {
    let Some((&[which, place, size], bytes)) = data.split_first_chunk::<3>() else { return };
    let all: Vec<Protocol> = Protocol::ALL.iter().copied().filter(|protocol| protocol.is_datagrams()).collect();
    let protocol = all[usize::from(which) % all.len()];
    // Once as a row that is right, of datagrams with anything in them, and once as anything.
    let row: Vec<u8> = bytes
        .chunks(usize::from(size).max(8) * 4)
        .flat_map(|datagram| [&header(datagram.len(), 1 + u16::from(datagram[0] & 1))[..], datagram].concat())
        .collect();
    decoded::cut(protocol, &row, usize::from(place) * 8);
    decoded::cut(protocol, bytes, usize::from(place));
});
