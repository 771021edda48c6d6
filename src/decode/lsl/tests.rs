//! What liblsl 1.18 sent, cut anywhere, and what liars send.

use proptest::prelude::*;

use super::*;
use crate::decode::Decoder;
use crate::event::{Body, Fault, FaultKind};

const PARTS: &[(&str, u32, &[u8])] = &[
    ("float32", 110, include_bytes!("../../../tests/fixtures/lsl/110-float32.bin")),
    ("double64", 110, include_bytes!("../../../tests/fixtures/lsl/110-double64.bin")),
    ("string", 110, include_bytes!("../../../tests/fixtures/lsl/110-string.bin")),
    ("int32", 110, include_bytes!("../../../tests/fixtures/lsl/110-int32.bin")),
    ("int16", 110, include_bytes!("../../../tests/fixtures/lsl/110-int16.bin")),
    ("int8", 110, include_bytes!("../../../tests/fixtures/lsl/110-int8.bin")),
    ("int64", 110, include_bytes!("../../../tests/fixtures/lsl/110-int64.bin")),
    ("float32", 100, include_bytes!("../../../tests/fixtures/lsl/100-float32.bin")),
    ("double64", 100, include_bytes!("../../../tests/fixtures/lsl/100-double64.bin")),
    ("string", 100, include_bytes!("../../../tests/fixtures/lsl/100-string.bin")),
    ("int32", 100, include_bytes!("../../../tests/fixtures/lsl/100-int32.bin")),
    ("int16", 100, include_bytes!("../../../tests/fixtures/lsl/100-int16.bin")),
    ("int8", 100, include_bytes!("../../../tests/fixtures/lsl/100-int8.bin")),
    ("int64", 100, include_bytes!("../../../tests/fixtures/lsl/100-int64.bin")),
];

/// The stream of a recorded connection: two channels at 100 Hz.
fn info(format: &str, version: u32, bytes: &[u8]) -> Info {
    let text = String::from_utf8_lossy(bytes);
    let after =
        |mark: &str| text.split_once(mark).map(|(_, rest)| rest.get(..36).unwrap_or_default().to_owned());
    let uid = after(if version < 110 { "<uid>" } else { "UID: " }).unwrap();
    let format = Format::ALL.iter().find(|(name, _)| *name == format).unwrap().1;
    Info { name: "x".into(), channels: 2, format, rate: 100.0, version, uid, ..Info::default() }
}

#[derive(Debug, Default, PartialEq)]
struct Decoded {
    all: Vec<String>,
    values: Vec<f32>,
    frames: u64,
    understood: u64,
    faults: Vec<Fault>,
}

impl Decoded {
    fn take(&mut self, body: Body<'_>) {
        match body {
            Body::Samples(samples) => {
                self.frames += u64::from(samples.frames);
                self.understood += samples.bytes;
                self.values.extend_from_slice(samples.values);
            }
            Body::Fault(fault) => self.faults.push(fault),
            body => {
                if let Body::ProgramMessage(answer) = body {
                    self.understood += answer.bytes;
                }
                self.all.push(format!("{body:?}"));
            }
        }
    }

    fn accounted(&self) -> u64 {
        self.understood + self.faults.iter().map(|fault| fault.bytes).sum::<u64>()
    }
}

fn decoded(inlet: &mut Inlet, pieces: &[&[u8]]) -> (Decoded, Stamps) {
    let mut decoded = Decoded::default();
    for piece in pieces {
        inlet.decode(piece, &mut |body| decoded.take(body));
    }
    let stamps = *inlet.stamps();
    inlet.end(&mut |body| decoded.take(body));
    (decoded, stamps)
}

#[test]
fn all_formats_in_both_protocols() {
    for (format, version, bytes) in PARTS {
        let mut inlet = Inlet::new(info(format, *version, bytes));
        let (decoded, stamps) = decoded(&mut inlet, &[bytes]);
        let of = format!("{format} {version}");
        assert_eq!((decoded.faults.as_slice(), decoded.accounted()), (&[][..], bytes.len() as u64), "{of}");
        assert_eq!((decoded.frames, stamps.samples), (3, 3), "{of}");
        // The last of the three was sent without a timestamp of its own.
        assert!((stamps.last.unwrap() - 1000.02).abs() < 1e-9 && stamps.irregular == 0, "{of}: {stamps:?}");
        if *format == "string" {
            assert!(decoded.values.is_empty() && decoded.all.len() == 1, "{of}: {decoded:?}");
        } else {
            assert_eq!(decoded.values, [1.0, -2.0, 2.0, -3.0, 3.0, -4.0], "{of}");
            assert!(decoded.all.len() == 2 && decoded.all[1].starts_with("Device"), "{of}: {decoded:?}");
        }
    }
}

#[test]
fn volts_where_all_channels_are_voltages() {
    let (format, version, bytes) = PARTS[0];
    let volt = Channel { unit: "uV".into(), ..Channel::default() };
    let info = Info { described: vec![volt.clone(), volt], ..info(format, version, bytes) };
    let mut inlet = Inlet::new(info);
    assert!(inlet.device().unwrap().volts);
    let (decoded, _) = decoded(&mut inlet, &[bytes]);
    assert_eq!(decoded.values[..2], [1e-6, -2e-6]);
}

#[test]
fn a_value_that_is_none_is_counted() {
    let (format, version, bytes) = PARTS[0];
    let mut bytes = bytes.to_vec();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    let mut inlet = Inlet::new(info(format, version, &bytes));
    inlet.decode(&bytes, &mut |_| ());
    assert_eq!(inlet.not_finite(), 1);
    assert!(!inlet.needs_more() && !inlet.is_broken());
}

#[test]
fn a_stream_that_is_no_longer_there() {
    let (format, version, bytes) = PARTS[0];
    let mut inlet = Inlet::new(info(format, version, bytes));
    let (decoded, _) = decoded(&mut inlet, &[b"LSL/110 404 Not found\r\n\r\n"]);
    assert!(
        decoded.faults.is_empty()
            && decoded.all == ["ProgramMessage(ProgramMessage { bytes: 25 })"]
            && decoded.accounted() == 25,
        "{decoded:?}"
    );
}

#[test]
fn liars_and_noise_break_the_inlet() {
    let (format, version, bytes) = PARTS[0];
    let right = info(format, version, bytes);
    let long = b"x".repeat(1 << 20);
    let with = |change: fn(&mut Info)| {
        let mut info = right.clone();
        change(&mut info);
        info
    };
    let old = info("float32", 100, PARTS[7].2);
    let huge = [&[0x7f, 1, 9, 4][..], &100_000_000_u32.to_le_bytes(), &long].concat();
    let negative = [&[0x7f, 1, 9, 0xff, 0x9c][..], &long].concat();
    let tag = [&bytes[..bytes.len() - 9], &[9; 30]].concat();
    let text = info("string", 110, PARTS[2].2);
    let lying = [PARTS[2].2, &[1, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, b'x']].concat();
    for (what, info, bytes, kind) in [
        ("more channels", with(|info| info.channels = 3), bytes, FaultKind::BadValue),
        ("fewer channels", with(|info| info.channels = 1), bytes, FaultKind::Frame),
        ("another format", with(|info| info.format = Format::Int32), bytes, FaultKind::BadValue),
        ("another start", with(|info| info.uid = "other".into()), bytes, FaultKind::BadValue),
        ("an endless greeting", right.clone(), &long, FaultKind::TooLong),
        ("no greeting", right.clone(), b"HTTP/1.1 200 OK\r\n\r\n", FaultKind::Syntax),
        ("a description of 100 MB", old.clone(), &huge, FaultKind::TooLong),
        ("a description of less than nothing", old.clone(), &negative, FaultKind::TooLong),
        ("no archive", old, b"LSL/110 200 OK\r\n\r\n", FaultKind::Syntax),
        ("no tag", right.clone(), &tag, FaultKind::Frame),
        ("a text without end", text, &lying, FaultKind::TooLong),
    ] {
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            let mut inlet = Inlet::new(info.clone());
            let (head, tail) = bytes.split_at(cut);
            inlet.decode(head, &mut |_| ());
            let (decoded, _) = decoded(&mut Inlet::new(info.clone()), &[head, tail]);
            assert_eq!(decoded.faults.len(), 1, "{what}: {decoded:?}");
            assert_eq!(decoded.faults[0].kind, kind, "{what}");
            assert_eq!(decoded.accounted(), bytes.len() as u64, "{what}");
        }
    }
    let mut inlet = Inlet::new(right);
    inlet.decode(&bytes[..bytes.len() - 1], &mut |_| ());
    assert!(inlet.needs_more() && !inlet.is_broken());
    let (decoded, _) = decoded(&mut inlet, &[]);
    assert_eq!(decoded.faults, [Fault { kind: FaultKind::Cut, bytes: 8 }]);
}

fn part() -> impl Strategy<Value = (&'static str, u32, &'static [u8])> {
    proptest::sample::select(PARTS)
}

/// Some of a connection, with some of it changed.
fn damaged() -> impl Strategy<Value = (&'static str, u32, Vec<u8>)> {
    (part(), proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), any::<Vec<u8>>())
        .prop_map(|((format, version, bytes), changes, more)| {
            let mut bytes = [bytes, &more].concat();
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            (format, version, bytes)
        })
}

proptest! {
    #[test]
    fn cut_anywhere_it_is_the_same_and_every_byte_is_told(
        (format, version, bytes) in damaged(),
        places in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let clean = PARTS.iter().find(|part| (part.0, part.1) == (format, version)).unwrap();
        let info = info(format, version, clean.2);
        let whole = decoded(&mut Inlet::new(info.clone()), &[&bytes]);
        let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let cut = decoded(&mut Inlet::new(info), &pieces);
        prop_assert_eq!(format!("{whole:?}"), format!("{cut:?}"));
        prop_assert_eq!(whole.0.accounted(), bytes.len() as u64);
        prop_assert!(whole.0.faults.len() <= 1);
    }

    #[test]
    fn no_description_does_harm(text in "[<>/a-z&;!\\[\\]\"' ]{0,80}", bytes in any::<Vec<u8>>()) {
        drop((Info::parse(text.as_bytes()), Info::parse(&bytes), talk::stream(&bytes), talk::time(&bytes)));
        drop(Info::parse(format!("<info><name>{text}</name></info>").as_bytes()));
    }
}
