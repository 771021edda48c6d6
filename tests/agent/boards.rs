//! Streams as boards write them, put together from their documents and not from the decoders.

use neural_exporter::decode::Protocol;

/// The protocols of boards.
pub(crate) fn all() -> impl Iterator<Item = Protocol> {
    Protocol::ALL.iter().copied().filter(|protocol| is(*protocol))
}

/// Whether boards speak this protocol.
pub(crate) fn is(protocol: Protocol) -> bool {
    !matches!(protocol, Protocol::Jsonl | Protocol::Statsd | Protocol::StatsdFrames)
}

/// One frame with this number, whose samples depend on it and look like no mark.
pub(crate) fn frame(protocol: Protocol, number: u32) -> Vec<u8> {
    let wave = |channel: u32| 1 + (number * 7 + channel * 3) % 90;
    match protocol {
        Protocol::Cyton | Protocol::Daisy => {
            let mut frame = vec![0xA0, number as u8];
            (0..8).for_each(|channel| frame.extend(&wave(channel).to_be_bytes()[1..]));
            frame.extend([0, 0, 0, 0, 0, 0, 0xC0 + (number % 7) as u8]);
            frame
        }
        other => panic!("{other:?} is not of a board"),
    }
}

/// So many frames, one after the other.
pub(crate) fn frames(protocol: Protocol, numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    numbers.into_iter().flat_map(|number| frame(protocol, number)).collect()
}
