//! Boards that are described: no description makes the decoder panic, and those that are possible keep the laws.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::generic::{
    Channels, Checksum, Counter, Format, Frame, Generic, Kind, LengthField, Octets, Order, Unit,
};
use neural_exporter::decode::{Options, Protocol};

mod told;

fuzz_target!(|data: &[u8]| {
    let mut from = data.iter().copied();
    let frame = described(&mut from);
    let (one, two) = (from.next().unwrap_or(0), from.next().unwrap_or(0));
    let bytes: Vec<u8> = from.collect();
    // What is read back from a recording is what was described.
    let text = serde_json::to_string(&frame).unwrap();
    assert_eq!(serde_json::from_str::<Frame>(&text).unwrap(), frame);
    if Generic::new(frame.clone()).is_err() {
        return;
    }
    // Whoever has one frame that is right has a stream: bytes that begin as frames do, repeated.
    let mut stream = Vec::new();
    for piece in bytes.chunks(frame.length.unwrap_or(40).max(1)) {
        if one & 1 == 1 {
            stream.extend_from_slice(&frame.sync);
        }
        stream.extend_from_slice(piece);
    }
    let options = Options { frame: Some(frame), ..Options::default() };
    let new = || options.decoder(Protocol::Generic).unwrap();
    told::laws(&new, &stream, [usize::from(one), usize::from(two) * 3], &[], 1);
});

fn described(from: &mut impl Iterator<Item = u8>) -> Frame {
    let mut next = || usize::from(from.next().unwrap_or(0));
    let order = |n: usize| if n & 0x80 == 0 { Order::Big } else { Order::Little };
    let what = next();
    let octets = |n: usize, byte: usize| Octets(vec![byte as u8; n % 4]);
    let (sync, tail) = (octets(next(), next()), octets(next(), next()));
    let length = (what & 1 == 0).then(|| next() * 2);
    let field = (what & 1 == 1).then(|| next());
    let length_field = field.map(|n| LengthField { offset: n & 15, bytes: 1 + (n >> 4 & 1), order: order(n), plus: n >> 5 });
    let counter = (what & 2 == 2).then(|| {
        let n = next();
        let bits = [4, 8, 16, 24, 32, 7][n >> 4 & 3];
        let modulus = (n & 0x40 != 0).then(|| next() as u32);
        Counter { offset: n & 15, bits, order: order(n), step: next() as u32 % 5, modulus }
    });
    let formats = [
        Format::Int8, Format::Int16, Format::Int24, Format::Int32, Format::Uint8, Format::Uint16,
        Format::Uint24, Format::Uint32, Format::Float32, Format::Float64,
    ];
    let n = next();
    let channels = Channels {
        offset: n & 31,
        count: next() % 40,
        format: formats[next() % formats.len()],
        order: order(n),
        stride: (what & 4 == 4).then(&mut next),
        sample_stride: (what & 8 == 8).then(&mut next),
    };
    let checksum = (what & 16 == 16).then(|| {
        let n = next();
        let kinds = [
            Kind::Sum8, Kind::Sum8Inverted, Kind::Xor8, Kind::Crc8, Kind::Crc16Ccitt, Kind::Crc16Modbus, Kind::Crc32,
        ];
        Checksum {
            kind: kinds[n % kinds.len()],
            poly: (n & 8 == 8).then(|| next() as u32),
            init: (n & 16 == 16).then(|| next() as u32),
            offset: (n & 32 == 32).then(&mut next),
            order: order(n),
            from: next() & 15,
            to: (n & 64 == 64).then(&mut next),
        }
    });
    let scale = f64::from_bits((next() as u64) << 56 | 0x0010_0000_0000_0000);
    Frame {
        sync,
        length,
        length_field,
        counter,
        channels,
        samples: next() % 5,
        rate: next() as f64,
        unit: if what & 32 == 0 { Unit::Counts } else { Unit::Volts },
        scale: if scale.is_finite() { scale } else { 1.0 },
        rails: None,
        checksum,
        tail,
        hello: vec![Octets(b"b".to_vec())],
        goodbye: Octets::default(),
    }
}
