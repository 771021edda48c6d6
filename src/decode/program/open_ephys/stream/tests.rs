//! What a publisher sends, written here by hand, and what is reported of it.

use proptest::prelude::*;

use super::*;
use crate::decode::testing::cut_anywhere;

/// The greeting of libzmq 4.3, and that it is a publisher.
fn begin() -> Vec<u8> {
    let mut bytes = vec![0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3, 1];
    bytes.extend(b"NULL");
    bytes.resize(64, 0);
    bytes.extend(b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB");
    bytes
}

fn frame(body: &[u8], more: bool) -> Vec<u8> {
    let mut bytes = vec![u8::from(more) | if body.len() > 255 { 2 } else { 0 }];
    match u8::try_from(body.len()) {
        Ok(length) => bytes.push(length),
        Err(_) => bytes.extend((body.len() as u64).to_be_bytes()),
    }
    bytes.extend(body);
    bytes
}

/// A message with the samples of one channel, which are its number.
fn data(number: i64, channel: u32, first: i64, samples: u32) -> Vec<u8> {
    let header = format!(
        "{{\n  \"message_num\": {number},\n  \"type\": \"data\",\n  \"content\": {{\n    \"stream\": \"Rhythm\", \
         \"channel_num\": {channel}, \"channel_name\": \"CH{channel}\", \"num_samples\": {samples}, \
         \"sample_num\": {first}, \"sample_rate\": 30000.0}}, \"data_size\": {}, \"timestamp\": 1700000000123}}",
        4 * samples
    );
    let values: Vec<u8> = (0..samples).flat_map(|_| (channel as f32).to_le_bytes()).collect();
    [frame(b"DATA\0", true), frame(header.as_bytes(), true), frame(&values, false)].concat()
}

fn event(number: i64) -> Vec<u8> {
    let header =
        format!("{{\"message_num\": {number}, \"type\": \"event\", \"content\": {{\"sample_num\": 9}}}}");
    [frame(b"EVENT\0", true), frame(header.as_bytes(), true), frame(&[0; 10], false)].concat()
}

/// Blocks of ten samples of three channels, the messages numbered from 1 on.
fn blocks(count: i64) -> Vec<Vec<u8>> {
    (0..3 * count).map(|at| data(at + 1, (at % 3) as u32, at / 3 * 10, 10)).collect()
}

#[derive(Debug, Default, PartialEq)]
struct Decoded {
    devices: Vec<(u16, f64)>,
    samples: usize,
    values: Vec<f32>,
    lost: u64,
    faults: Vec<FaultKind>,
    bytes: u64,
    counts: Counts,
}

fn decoded(pieces: &[&[u8]]) -> Decoded {
    let mut decoded = Decoded::default();
    let mut stream = Stream::new(None);
    let mut out = |body: Body<'_>| match body {
        Body::Device(device) => decoded.devices.push((device.channels, device.rate)),
        Body::Samples(samples) => {
            decoded.samples += samples.count();
            decoded.values.extend(samples.values);
            decoded.bytes += samples.bytes;
            assert_eq!(samples.count(), samples.frames as usize);
        }
        Body::Lost(lost) => decoded.lost += u64::from(lost.packets),
        Body::ProgramMessage(answer) => decoded.bytes += answer.bytes,
        Body::Fault(fault) => {
            decoded.faults.push(fault.kind);
            decoded.bytes += fault.bytes;
        }
        other => panic!("{other:?}"),
    };
    pieces.iter().for_each(|piece| stream.decode(piece, &mut out));
    let counts = stream.counts();
    stream.end(&mut out);
    decoded.counts = counts;
    decoded
}

fn all(messages: &[Vec<u8>]) -> Decoded {
    let bytes = [begin(), messages.concat()].concat();
    let decoded = decoded(&[&bytes]);
    assert_eq!(decoded.bytes, bytes.len() as u64, "every byte is told");
    decoded
}

#[test]
fn blocks_are_put_together() {
    let decoded = all(&blocks(6));
    assert_eq!((&*decoded.devices, decoded.samples, decoded.lost), (&[(3, 30_000.0)][..], 60, 0));
    assert!(decoded.faults.is_empty() && decoded.values.chunks(3).all(|sample| sample == [0.0, 1.0, 2.0]));
    assert_eq!(decoded.counts.sent, Some(1_700_000_000.123));
    assert_eq!((decoded.counts.lost_messages, decoded.counts.edition), (0, 1));
}

#[test]
fn the_first_block_is_told_if_it_is_whole() {
    // So short that there is no third one: the end of one block and the beginning of another are all of both.
    let decoded = all(&blocks(2));
    assert_eq!((decoded.devices.len(), decoded.samples, decoded.lost, decoded.faults.len()), (1, 20, 0, 0));
    // In its midst the connection began, or the program ended.
    for (from, to, samples) in [(1, 9, 20), (2, 6, 0), (0, 5, 0), (1, 4, 0), (0, 3, 0), (0, 8, 20)] {
        let decoded = all(&blocks(3)[from..to]);
        assert_eq!((decoded.samples, decoded.lost), (samples, 0), "{from} {to}");
    }
    // A message of it is missing, and one of the second.
    for (gone, samples) in [(1, 30), (4, 20)] {
        let mut messages = blocks(4);
        messages.remove(gone);
        assert_eq!(all(&messages).samples, samples, "{gone}");
    }
    // It was of another stream.
    let mut messages = blocks(4);
    for message in &mut messages[..3] {
        let at = memchr::memmem::find(message, b"Rhythm").unwrap();
        message[at] = b'L';
    }
    let decoded = all(&messages);
    assert_eq!((decoded.samples, decoded.counts.edition), (30, 1));
}

#[test]
fn what_is_missing_is_counted_twice_over() {
    // One message of a block: all ten samples are missing.
    let mut messages = blocks(8);
    messages.remove(13);
    let decoded = all(&messages);
    assert_eq!((decoded.samples, decoded.lost), (70, 10));
    assert_eq!((decoded.counts.lost_messages, decoded.counts.missing, decoded.counts.gaps), (1, 10, 1));
    assert_eq!(decoded.faults, [FaultKind::Cut]);
    // Two blocks as a whole.
    let mut messages = blocks(8);
    messages.drain(12..18);
    let decoded = all(&messages);
    assert_eq!(
        (decoded.samples, decoded.lost, decoded.counts.lost_messages, decoded.faults.len()),
        (60, 20, 6, 0)
    );
    // Samples that the program itself lost: no message is missing.
    let messages: Vec<_> = (0..24)
        .map(|at| data(at + 1, (at % 3) as u32, at / 3 * 10 + if at >= 12 { 7 } else { 0 }, 10))
        .collect();
    let decoded = all(&messages);
    assert_eq!(
        (decoded.samples, decoded.lost, decoded.counts.lost_messages, decoded.counts.gaps),
        (80, 7, 0, 1)
    );
}

#[test]
fn events_are_counted_and_runs_begin_anew() {
    let mut messages = blocks(4);
    messages.insert(9, event(10));
    for (at, message) in messages.iter_mut().enumerate().skip(10) {
        *message = data(at as i64 + 1, (at as u32 - 1) % 3, 0, 10);
    }
    let decoded = all(&messages);
    assert_eq!((decoded.counts.events, decoded.counts.backward, decoded.lost), (1, 1, 0));
    assert_eq!(decoded.samples, 40);
}

#[test]
fn other_channels_are_another_device() {
    let mut messages = blocks(4);
    messages.extend((0..8).map(|at| data(13 + at, (at % 2) as u32 * 2, 40 + at / 2 * 10, 10)));
    let decoded = all(&messages);
    assert_eq!(decoded.devices, [(3, 30_000.0), (2, 30_000.0)]);
    assert_eq!((decoded.samples, decoded.lost), (40 + 40, 0));
}

#[test]
fn a_peer_that_lies_breaks_the_stream() {
    let good = blocks(3);
    let lies = |message: Vec<u8>, kind: FaultKind| {
        let mut messages = good.clone();
        messages.extend([message, data(11, 0, 30, 10)]);
        let decoded = all(&messages);
        assert_eq!(decoded.faults.last(), Some(&kind), "{decoded:?}");
        assert_eq!(decoded.samples, 30);
    };
    let text = |header: &str, payload: usize| {
        [frame(b"DATA\0", true), frame(header.as_bytes(), true), frame(&vec![0; payload], false)].concat()
    };
    let content = |samples: u32, channel: u32| {
        format!(
            "{{\"message_num\":10,\"content\":{{\"stream\":\"Rhythm\",\"channel_num\":{channel},\"num_samples\":{samples},\"sample_num\":30,\"sample_rate\":30000.0}}}}"
        )
    };
    lies(text(&content(10, 0), 44), FaultKind::BadValue);
    lies(text(&content(4_000_000, 0), 40), FaultKind::BadValue);
    lies(text(&content(10, 1_000_000), 40), FaultKind::BadValue);
    lies(text("{\"message_no\":10}", 40), FaultKind::MissingField);
    lies(text("nonsense", 40), FaultKind::Syntax);
    lies(frame(b"NOISE", false), FaultKind::UnknownType);
    // A header of 100 MB is refused when it is announced.
    let mut huge = frame(b"DATA\0", true);
    huge.extend([3]);
    huge.extend(100_000_000_u64.to_be_bytes());
    lies(huge, FaultKind::TooLong);
}

#[test]
fn a_server_that_is_none_is_refused() {
    for (bytes, kind) in [
        (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), FaultKind::Syntax),
        (
            [&begin()[..64], b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03REP"].concat(),
            FaultKind::BadValue,
        ),
    ] {
        let decoded = decoded(&[&bytes]);
        assert_eq!((&*decoded.faults, decoded.bytes <= bytes.len() as u64), (&[kind][..], true));
    }
}

#[test]
fn it_says_what_a_subscriber_says() {
    let mut stream = Stream::new(None);
    let mut said = Vec::new();
    let mut ignore = |_: Body<'_>| {};
    stream.poll_transmit(Duration::ZERO, &mut said);
    stream.poll_transmit(Duration::ZERO, &mut said);
    assert_eq!(said.len(), 64);
    stream.decode(&begin()[..64], &mut ignore);
    stream.poll_transmit(Duration::ZERO, &mut said);
    assert_eq!(&said[64..], zmtp::READY);
    assert!(stream.needs_more());
    stream.decode(&begin()[64..], &mut ignore);
    assert!(!stream.needs_more(), "nothing is acquired, and that may last");
    stream.poll_transmit(Duration::ZERO, &mut said);
    stream.poll_transmit(Duration::ZERO, &mut said);
    assert!(said.ends_with(b"SUB\x00\x01\x01") && said.len() == 64 + zmtp::READY.len() + 3);
}

/// Messages of a stream in any order, some damaged.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let message = prop_oneof![
        8 => (0..6_i64, 0..4_u32, 0..4_i64, 1..4_u32).prop_map(|(n, c, f, s)| data(n, c, f * 3, s)),
        2 => (0..6_i64).prop_map(event),
        1 => prop::collection::vec(any::<u8>(), 1..30),
    ];
    let damaged =
        (message, any::<usize>(), any::<u8>(), 0..8_u8).prop_map(|(mut message, place, byte, how)| {
            let place = place % message.len();
            match how {
                0 => message.truncate(place),
                1 => message[place] = byte,
                _ => {}
            }
            message
        });
    prop::collection::vec(damaged, 0..20).prop_map(|messages| messages.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn cuts_do_not_matter_and_every_byte_is_told(
        noise in noise(),
        places in prop::collection::vec(any::<usize>(), 0..6),
        greeted in any::<bool>(),
    ) {
        let bytes = if greeted { [begin(), noise].concat() } else { noise };
        let pieces = cut_anywhere(&bytes, &places);
        let whole = decoded(&[&bytes]);
        prop_assert_eq!(whole.bytes, bytes.len() as u64);
        prop_assert_eq!(decoded(&pieces), whole);
    }
}
