//! The four laws that every decoder obeys, over the list of protocols.

use neural_exporter::decode::board::generic::{Frame, Generic};
use neural_exporter::decode::{Decoder, Options, Protocol};
use neural_exporter::event::{Body, Fault};
use proptest::prelude::*;

use super::boards;
use super::datagrams;
use super::described;
use super::noise::{self, Noise};

/// What a decoder says of these pieces of a stream that then ends.
#[derive(Debug, Default, PartialEq)]
struct Decoded {
    /// Everything, in order, as text. Samples that follow each other are one piece, however they came.
    all: Vec<String>,
    events: u64,
    faults: Vec<Fault>,
    /// Samples of devices.
    values: Vec<f32>,
    /// Frames of devices, and the bytes that were in them or in answers.
    frames: u64,
    understood: u64,
    /// The samples that came last, and nothing after them.
    open: (u64, u64, Vec<f32>),
}

impl Decoded {
    fn fault_bytes(&self) -> u64 {
        self.faults.iter().map(|fault| fault.bytes).sum()
    }

    fn take(&mut self, body: Body<'_>) {
        if matches!(body, Body::Refused(_)) {
            return;
        }
        if let Body::Samples(samples) = body {
            self.events += u64::from(samples.frames);
            self.frames += u64::from(samples.frames);
            self.understood += samples.bytes;
            self.values.extend_from_slice(samples.values);
            self.open.0 += u64::from(samples.frames);
            self.open.1 += samples.bytes;
            self.open.2.extend_from_slice(samples.values);
            return;
        }
        self.close();
        self.all.push(format!("{body:?}"));
        match body {
            Body::Fault(fault) => self.faults.push(fault),
            Body::Answer(answer) => self.understood += answer.bytes,
            Body::ProgramMessage(aside) => self.understood += aside.bytes,
            _ => self.events += 1,
        }
    }

    fn close(&mut self) {
        if self.open.0 > 0 {
            self.all.push(format!("{:?}", std::mem::take(&mut self.open)));
        }
    }
}

fn decoded(protocol: Protocol, pieces: &[&[u8]]) -> Decoded {
    told_by(&mut *protocol.decoder(), pieces)
}

fn told_by(decoder: &mut dyn Decoder, pieces: &[&[u8]]) -> Decoded {
    let mut decoded = Decoded::default();
    for piece in pieces {
        decoder.decode(piece, &mut |body| decoded.take(body));
    }
    decoder.end(&mut |body| decoded.take(body));
    decoded.close();
    decoded
}

/// `bytes`, cut at these places.
fn cut<'b>(bytes: &'b [u8], places: &[usize]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Frames in the clean stream of a board.
const FRAMES: u32 = 20;

/// A clean stream and the number of events in it.
fn clean(protocol: Protocol) -> (Vec<u8>, usize) {
    let statsd: &[&str] = &["a:1|c\n", "b:2|g\n", "c:3|ms|#x:y\n"];
    let pieces: Vec<Vec<u8>> = match protocol {
        Protocol::Jsonl => [
            "{\"type\":\"stage\",\"pipeline\":\"p\",\"stage\":\"s\",\"seconds\":1}\n",
            "{\"type\":\"queue\",\"pipeline\":\"p\",\"queue\":\"q\",\"depth\":2}\n",
            "{\"type\":\"error\",\"pipeline\":\"p\",\"error\":\"e\"}\n",
        ]
        .map(|line| line.as_bytes().to_vec())
        .to_vec(),
        Protocol::Statsd => statsd.iter().map(|line| line.as_bytes().to_vec()).collect(),
        Protocol::StatsdFrames => statsd.iter().map(|line| framed(line.as_bytes())).collect(),
        protocol if protocol.is_datagrams() => {
            return (datagrams::rows(protocol, 0..FRAMES), FRAMES as usize);
        }
        board => return (boards::frames(board, 0..FRAMES), FRAMES as usize),
    };
    (pieces.concat(), pieces.len())
}

fn framed(text: &[u8]) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_le_bytes()[..], text].concat()
}

/// The lines of a stream, each as it came, and the bytes that it is known by: without its end, but one
/// over the limit is thrown away as it is.
fn lines(bytes: &[u8], limit: usize) -> impl Iterator<Item = (&[u8], u64)> {
    bytes.split(|b| *b == b'\n').map(move |line| {
        let known = if line.len() > limit { line } else { line.strip_suffix(b"\r").unwrap_or(line) };
        (line, known.len() as u64)
    })
}

/// A description of a board, possible or not.
fn description() -> impl Strategy<Value = Frame> {
    prop::collection::vec(any::<u8>(), 40).prop_map(|bytes| described::from(&mut bytes.into_iter()))
}

/// A description that is possible.
fn possible() -> impl Strategy<Value = Frame> {
    description().prop_filter("an impossible description", |frame| frame.problems().is_empty())
}

/// Frames of a board that is described, with these numbers, filled with other bytes.
fn written(frame: &Frame, numbers: std::ops::Range<u32>, filling: &[u8]) -> Vec<u8> {
    let length = frame.length.unwrap_or_else(|| frame.least());
    let mut stream = Vec::new();
    let fill = |at: usize| filling.get(at % filling.len().max(1)).copied().unwrap_or(7);
    for number in numbers {
        let mut bytes: Vec<u8> = (0..length).map(|at| fill(at + number as usize)).collect();
        let mut put = |at: usize, value: u64, width: usize, little: bool| {
            let all = if little { value.to_le_bytes() } else { (value << (64 - 8 * width)).to_be_bytes() };
            bytes[at..at + width].copy_from_slice(&all[..width]);
        };
        let little = |order| order == neural_exporter::decode::board::generic::Order::Little;
        if let Some(field) = frame.length_field {
            put(field.offset, (length - field.plus) as u64, field.bytes, little(field.order));
        }
        if let Some(counter) = frame.counter {
            let values = counter.modulus.map_or(1_u64 << counter.bits, u64::from);
            let value = u64::from(number) * u64::from(counter.step) % values;
            put(counter.offset, value, counter.bits.div_ceil(8) as usize, little(counter.order));
        }
        bytes[..frame.sync.len()].copy_from_slice(&frame.sync);
        bytes[length - frame.tail.len()..].copy_from_slice(&frame.tail);
        if let Some(sum) = frame.checksum {
            let at = sum.offset.unwrap_or_else(|| length - frame.tail.len() - sum.kind.bytes());
            let value = sum.kind.of(&bytes[sum.from..sum.to.unwrap_or(at)], sum.poly, sum.init);
            let all = if little(sum.order) {
                value.to_le_bytes()
            } else {
                (value << (32 - 8 * sum.kind.bytes())).to_be_bytes()
            };
            bytes[at..at + sum.kind.bytes()].copy_from_slice(&all[..sum.kind.bytes()]);
        }
        stream.extend(bytes);
    }
    stream
}

fn described_board(frame: &Frame) -> Box<dyn Decoder> {
    let options = Options { frame: Some(frame.clone()), ..Options::default() };
    // As a recording keeps it.
    let kept: Options = serde_json::from_str(&serde_json::to_string(&options).unwrap()).unwrap();
    Protocol::Generic.decoder_with(&kept)
}

fn protocol() -> impl Strategy<Value = Protocol> {
    proptest::sample::select(Protocol::ALL)
}

/// A protocol, and noise in its manner.
fn noisy() -> impl Strategy<Value = (Protocol, Noise)> {
    protocol().prop_flat_map(|protocol| (Just(protocol), noise::like(protocol)))
}

/// A board, and noise in its manner.
fn noisy_board() -> impl Strategy<Value = (Protocol, Noise)> {
    let board = proptest::sample::select(boards::all().collect::<Vec<_>>());
    board.prop_flat_map(|board| (Just(board), noise::like(board)))
}

/// A protocol of datagrams, and some of them, right or not.
fn sent() -> impl Strategy<Value = (Protocol, Vec<Vec<u8>>)> {
    let protocol = proptest::sample::select(datagrams::all().collect::<Vec<_>>());
    protocol.prop_flat_map(|protocol| (Just(protocol), noise::sent(protocol)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn first_law_no_bytes_make_it_panic((protocol, bytes) in noisy(), any in noise::bytes()) {
        decoded(protocol, &[&bytes, &any]);
    }

    #[test]
    fn second_law_cuts_do_not_matter(
        (protocol, bytes) in noisy(),
        places in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        prop_assert_eq!(decoded(protocol, &cut(&bytes, &places)), decoded(protocol, &[&bytes]));
    }

    #[test]
    fn third_law_every_json_line_is_one_event_or_one_fault(bytes in noise::like(Protocol::Jsonl)) {
        let whole = decoded(Protocol::Jsonl, &[&bytes]);
        let (mut events, mut refused) = (0, 0);
        for (line, length) in lines(&bytes, 65_536).filter(|(line, _)| !line.iter().all(u8::is_ascii_whitespace)) {
            let one = decoded(Protocol::Jsonl, &[line, b"\n"]);
            prop_assert_eq!(one.all.len(), 1);
            prop_assert!(one.events == 1 || one.fault_bytes() == length, "{:?}", one);
            events += one.events;
            refused += one.fault_bytes();
        }
        prop_assert_eq!((whole.events, whole.fault_bytes()), (events, refused));
    }

    #[test]
    fn third_law_every_statsd_line_is_in_events_or_faults(bytes in noise::like(Protocol::Statsd)) {
        let whole = decoded(Protocol::Statsd, &[&bytes]);
        let mut all = Vec::new();
        for (line, length) in lines(&bytes, 8192).filter(|(_, length)| *length > 0) {
            let one = decoded(Protocol::Statsd, &[line, b"\n"]);
            prop_assert!(!one.all.is_empty());
            prop_assert!(one.fault_bytes() <= length, "{:?}", one);
            // A line that is one fault is in it as a whole.
            prop_assert!(one.events > 0 || one.faults.len() > 1 || one.fault_bytes() == length, "{:?}", one);
            all.extend(one.all);
        }
        prop_assert_eq!(whole.all, all);
    }

    #[test]
    fn third_law_a_value_alone_takes_its_line_along(value in "[a-f]{0,5}", again in any::<bool>()) {
        let line = format!("name:{value}|c|#x:y");
        let decoded = decoded(Protocol::Statsd, &[line.as_bytes()]);
        prop_assert_eq!(decoded.fault_bytes(), line.len() as u64);
        let line = format!("name:{value}|c{}", if again { ":1|c" } else { "" });
        let decoded = self::decoded(Protocol::Statsd, &[line.as_bytes()]);
        prop_assert_eq!(decoded.events, u64::from(again));
        prop_assert_eq!(decoded.fault_bytes(), (line.len() - if again { 3 } else { 0 }) as u64);
    }

    #[test]
    fn third_law_frames_are_their_contents(texts in prop::collection::vec(noise::like(Protocol::Statsd), 0..4)) {
        let texts: Vec<_> = texts.into_iter().filter(|text| text.len() < 65_000).collect();
        let stream: Vec<u8> = texts.iter().flat_map(|text| framed(text)).collect();
        let inside: Vec<String> = texts.iter().flat_map(|text| decoded(Protocol::Statsd, &[text]).all).collect();
        prop_assert_eq!(decoded(Protocol::StatsdFrames, &[&stream]).all, inside);
    }

    #[test]
    fn third_law_what_is_left_of_a_frame_is_a_fault(
        text in "[ac:|0-9]{0,40}",
        whole in any::<bool>(),
        rest in noise::bytes(),
    ) {
        let stream = if whole {
            // Too long a length: neither it nor anything after it can be trusted.
            [framed(b"a:1|c"), u32::MAX.to_le_bytes().to_vec(), rest.to_vec()].concat()
        } else {
            [framed(b"a:1|c"), 100_u32.to_le_bytes().to_vec(), text.clone().into_bytes()].concat()
        };
        let decoded = decoded(Protocol::StatsdFrames, &[&stream]);
        let left = if whole { rest.len() } else { text.len() };
        prop_assert_eq!(decoded.events, 1);
        prop_assert_eq!(decoded.fault_bytes(), 4 + left as u64);
    }

    #[test]
    fn third_law_every_byte_of_a_board_is_in_a_frame_an_answer_or_a_fault((board, bytes) in noisy_board()) {
        let decoded = decoded(board, &[&bytes]);
        prop_assert_eq!(decoded.understood + decoded.fault_bytes(), bytes.len() as u64, "{:?}", decoded);
        prop_assert!(decoded.values.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn third_law_every_byte_of_a_datagram_is_in_samples_an_answer_or_a_fault((protocol, all) in sent()) {
        let rows: Vec<u8> = all.iter().flat_map(|one| datagrams::row(one)).collect();
        let decoded = decoded(protocol, &[&rows]);
        let length: usize = all.iter().map(Vec::len).sum();
        prop_assert_eq!(decoded.understood + decoded.fault_bytes(), length as u64, "{:?}", decoded);
        prop_assert!(decoded.values.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn fourth_law_a_clean_stream_of_a_board_after_noise_loses_one_frame_at_most((board, noise) in noisy_board()) {
        let (stream, frames) = clean(board);
        let whole = decoded(board, &[&stream]);
        prop_assert_eq!((whole.frames, whole.fault_bytes()), (frames as u64, 0));
        let before = decoded(board, &[&noise]).frames;
        let after = decoded(board, &[&noise, &stream]);
        prop_assert!(after.frames + 1 >= before + whole.frames, "{} {} {}", before, whole.frames, after.frames);
        // Of a Ganglion a lost frame costs all samples until the next one with values.
        if board == Protocol::Ganglion {
            return Ok(());
        }
        // At most the first two samples of the stream may be missing: of some boards two frames are one sample.
        let channels = whole.values.len() / frames.max(1);
        prop_assert!(after.values.ends_with(&whole.values[2 * channels..]));
    }

    #[test]
    fn fourth_law_a_clean_stream_after_noise_loses_one_frame_at_most((protocol, noise) in noisy()) {
        if protocol.brings_samples() && !protocol.is_datagrams() {
            return Ok(());
        }
        let (stream, events) = clean(protocol);
        let whole = decoded(protocol, &[&stream]);
        if protocol.is_datagrams() {
            // What is within one datagram costs the next one nothing.
            let noise = noise.get(..60_000).unwrap_or(&noise);
            let after = decoded(protocol, &[&datagrams::row(noise), &stream]);
            prop_assert_eq!(whole.faults.len(), 0);
            prop_assert!(after.frames >= whole.frames && after.values.ends_with(&whole.values), "{:?}", after);
            return Ok(());
        }
        prop_assert_eq!(whole.all.len(), events);
        if protocol == Protocol::StatsdFrames {
            // Noise within frames costs the next frame nothing.
            let after = decoded(protocol, &[&framed(noise.get(..65_536).unwrap_or(&noise)), &stream]);
            prop_assert!(after.all.ends_with(&whole.all));
        } else {
            let after = decoded(protocol, &[&noise, b"\n", &stream]);
            prop_assert!(after.all.ends_with(&whole.all), "a line end: nothing is lost");
            let after = decoded(protocol, &[&noise, &stream]);
            prop_assert!(after.all.ends_with(&whole.all[1..]), "no line end: one frame is lost");
        }
    }

    #[test]
    fn no_description_makes_it_panic(frame in description(), bytes in noise::bytes()) {
        if let Ok(board) = Generic::new(frame) {
            told_by(&mut neural_exporter::decode::board::Boards::new(board), &[&bytes]);
        }
    }

    #[test]
    fn the_laws_hold_for_boards_that_are_described(
        frame in possible(),
        filling in prop::collection::vec(any::<u8>(), 1..40),
        noise in noise::bytes(),
        cut_short in any::<usize>(),
        places in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        // A length that its field cannot say.
        if frame.length_field.is_some_and(|field| frame.least() < field.plus || frame.least() - field.plus > 255) {
            return Ok(());
        }
        let clean = written(&frame, 0..6, &filling);
        let whole = told_by(&mut *described_board(&frame), &[&clean]);
        prop_assert_eq!((whole.frames, whole.fault_bytes()), (6, 0), "{:?}", frame);
        let values = 6 * frame.samples * frame.channels.count;
        prop_assert_eq!(whole.values.len(), values);
        let part = written(&frame, 40..44, &filling);
        let stream = [&noise[..], &part[..cut_short % part.len()], &noise, &clean].concat();
        let after = told_by(&mut *described_board(&frame), &[&stream]);
        prop_assert_eq!(&after, &told_by(&mut *described_board(&frame), &cut(&stream, &places)));
        prop_assert_eq!(after.understood + after.fault_bytes(), stream.len() as u64);
        prop_assert!(after.values.iter().all(|value| value.is_finite()));
        // With a counter, frames of noise cannot be in order by chance; a length within noise can be any.
        if frame.length_field.is_none() {
            prop_assert!(after.frames >= 5, "{} {:?}", after.frames, frame);
        }
    }

    #[test]
    fn fourth_law_a_new_connection_is_clean((protocol, noise) in noisy()) {
        let (stream, _) = clean(protocol);
        let mut decoder = protocol.decoder();
        decoder.decode(&noise, &mut |_| {});
        decoder.end(&mut |_| {});
        prop_assert!(!decoder.is_broken());
        prop_assert_eq!(told_by(&mut *decoder, &[&stream]), decoded(protocol, &[&stream]));
    }
}
