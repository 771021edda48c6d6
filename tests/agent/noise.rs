//! What arrives on a bad day: arbitrary bytes, and bytes that look almost right.

use std::fmt;
use std::ops::Deref;

use neural_exporter::decode::Protocol;
use proptest::prelude::*;
use proptest::sample::select;

use super::{boards, datagrams};

/// Bytes, shown as text and not at length.
#[derive(Clone)]
pub(crate) struct Noise(Vec<u8>);

impl fmt::Debug for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..2000).unwrap_or(&self.0);
        write!(f, "{} bytes \"{}\"", self.0.len(), shown.escape_ascii())
    }
}

impl Deref for Noise {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Pieces of JSON lines, whole ones among them.
const JSONL: &[&str] = &[
    "{\"type\":\"stage\",\"pipeline\":\"p\",\"stage\":\"s\",\"seconds\":0.5,\"outcome\":\"ok\"}\n",
    "{\"type\":\"stage\",\"pipeline\":\"p\",\"stage\":\"s\",\"seconds\":1e308,\"outcome\":\"error\",\"error\":\"a\\\"b\"}\n",
    "{\"type\":\"call\",\"model\":\"m\",\"cost\":1e308,\"prompt_tokens\":1e308,\"trace\":\"0af7651916cd43dd8448eb211c80319c\"}\n",
    "{\"type\":\"queue\",\"pipeline\":\"p\",\"queue\":\"q\",\"depth\":3,\"limit\":10}\n",
    "{\"type\":\"session\",\"pipeline\":\"p\",\"step\":\"ended\",\"seconds\":60}\n",
    "{\"metric\":\"a\",\"value\":-1,\"type\":\"histogram\"}\n",
    "{\"metric\":\"a\",\"value\":1e308,\"type\":\"histogram\",\"labels\":{\"x\":\"y\\n\"}}\n",
    "{\"metric\":\"a_total\",\"value\":1}\n",
    "{\"metric\":\"a_bucket\",\"value\":1,\"type\":\"counter\"}\n",
    "{\"metric\":\"a_b\",\"value\":1,\"help\":\"a \\\\ \\n b\",\"labels\":{\"x\":1,\"z\":true}}\n",
    "{\"metric\":\"neural_agent_series\",\"value\":1}\n",
    "{\"metric\":\"process_cpu_seconds_total\",\"value\":1,\"type\":\"counter\"}\n",
    "{\"metric\":\"neural_source_up\",\"value\":7}\n",
    "{\"metric\":\"",
    "\",\"value\":",
    ",\"type\":\"counter\"",
    ",\"type\":\"gauge\"",
    ",\"labels\":{\"",
    "\":\"",
    "\"}",
    "}\n",
    "{\"type\":\"",
    "\"pipeline\":\"p\",",
    "\\u0000",
    "\\ud800",
    "NaN",
    "1e999",
    "-0.0",
    "[",
    "\r\n",
    "\n",
    " ",
    "é",
];

/// Pieces of StatsD lines, whole ones among them.
const STATSD: &[&str] = &[
    "a:1|c\n",
    "a:-1|g\n",
    "a:+1e308|g\n",
    "a:3|ms|@0.1|#x:1,y:2\n",
    "a:-1e308|h|@1e-300\n",
    "b:1:2:x:4|d|#le:1\n",
    "a_total:1|c:2|g\n",
    "a_bucket:1|c\n",
    "a_count:1|g\n",
    "u:member|s\n",
    "neural_source_up:1|g\n",
    "neural_agent_config_reloads:1|c\n",
    "process_open_fds:1|g\n",
    "_e{5,4}:title|text|t:warning|#a:b\n",
    "_sc|disk.ok|2|#a:b|m:text\n",
    "a[x=1,x=2]b:1|c\n",
    "a,x=1,quantile=2:1|g\n",
    "a#x=\"\\\":1|ms\n",
    "7.é-µ:1|c|#é:é,_:_\n",
    "a",
    ".",
    ":",
    "1",
    "nan",
    "inf",
    "|",
    "c",
    "g",
    "ms",
    "|@",
    "0",
    "|#",
    ",",
    "x:y",
    "=",
    "__name__",
    "\r\n",
    "\n",
    "\0",
    "\\",
    "\"",
];

/// Bytes of any kind, with some line ends.
pub(crate) fn bytes() -> BoxedStrategy<Noise> {
    let byte = prop_oneof![8 => any::<u8>(), 1 => Just(b'\n')];
    prop::collection::vec(byte, 0..300).prop_map(Noise).boxed()
}

/// Bytes that look like the protocol's own, or do not.
pub(crate) fn like(protocol: Protocol) -> BoxedStrategy<Noise> {
    match protocol {
        Protocol::Jsonl => prop_oneof![3 => pieces(JSONL, b'{'), 1 => bytes()].boxed(),
        Protocol::Statsd => prop_oneof![3 => pieces(STATSD, b'a'), 1 => bytes()].boxed(),
        Protocol::StatsdFrames => {
            let frames = prop::collection::vec(frame(), 0..6).prop_map(|frames| Noise(frames.concat()));
            prop_oneof![3 => frames, 1 => bytes()].boxed()
        }
        protocol if protocol.is_datagrams() => {
            let rows = sent(protocol)
                .prop_map(|all| Noise(all.iter().flat_map(|one| datagrams::row(one)).collect()));
            prop_oneof![3 => rows, 1 => bytes()].boxed()
        }
        board => prop_oneof![3 => streams(board), 1 => bytes()].boxed(),
    }
}

/// Datagrams of a program on a bad day: in order or not, changed, cut short, joined, or of something else.
pub(crate) fn sent(protocol: Protocol) -> BoxedStrategy<Vec<Vec<u8>>> {
    let one = move |number| datagrams::datagram(protocol, number);
    let texts = select(vec!["{\"type\":\"", "\"data\":[[", "]]}", "1e999", "[[]]", "null", "{}", "\u{7f}\0"]);
    let datagram = prop_oneof![
        6 => (0..40_u32).prop_map(one),
        2 => (0..40_u32, any::<usize>()).prop_map(move |(number, length)| {
            let mut bytes = one(number);
            bytes.truncate(length % (bytes.len() + 1));
            bytes
        }),
        2 => (0..40_u32, any::<usize>(), any::<u8>()).prop_map(move |(number, place, byte)| {
            let mut bytes = one(number);
            let place = place % bytes.len();
            bytes[place] = byte;
            bytes
        }),
        1 => (0..40_u32, 0..40_u32).prop_map(move |(a, b)| [one(a), one(b)].concat()),
        1 => texts.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    prop::collection::vec(datagram, 0..12).boxed()
}

/// What a board writes over a bad cable: frames that follow each other or not, whole or not, text, anything.
fn streams(board: Protocol) -> BoxedStrategy<Noise> {
    let marks = select(vec![&[0xA0][..], &[0xC0, 0xA0], &[0xAA, 0xAA], &[0xC7, 0x7C], &[0xA5, 0x5A]]);
    let texts =
        select(vec!["OpenBCI V3\nFirmware: v3.1.2\n$$$", "Failure: no board$$$", "$$$", "never ends"]);
    let piece = prop_oneof![
        6 => (0..600_u32, 1..12_u32).prop_map(move |(from, count)| boards::frames(board, from..from + count)),
        2 => (0..600_u32, any::<usize>()).prop_map(move |(number, length)| {
            let mut frame = boards::frame(board, number);
            frame.truncate(length % frame.len());
            frame
        }),
        2 => (0..600_u32, any::<usize>(), any::<u8>()).prop_map(move |(number, place, byte)| {
            let mut frame = boards::frame(board, number);
            let place = place % frame.len();
            frame[place] = byte;
            frame
        }),
        1 => marks.prop_map(<[u8]>::to_vec),
        1 => texts.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..80),
        1 => (500..3000_usize).prop_map(|length| vec![b'x'; length]),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| Noise(pieces.concat())).boxed()
}

/// One frame, whose length is mostly right.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let error = prop_oneof![10 => Just(0_u32), 1 => 0..200_u32, 1 => Just(u32::MAX / 2)];
    (like(Protocol::Statsd), error).prop_map(|(text, error)| {
        let length = u32::try_from(text.len()).unwrap() + error;
        [&length.to_le_bytes()[..], &text].concat()
    })
}

fn pieces(pieces: &'static [&'static str], filling: u8) -> BoxedStrategy<Noise> {
    let piece = prop_oneof![
        60 => select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        4 => prop::collection::vec(any::<u8>(), 1..4),
        // Over every limit of a line.
        1 => (8_000..70_000_usize).prop_map(move |length| vec![filling; length]),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| Noise(pieces.concat())).boxed()
}
