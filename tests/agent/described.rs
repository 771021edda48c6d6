//! Descriptions of boards out of bytes, possible ones and others: the same bytes make the same description.

use neural_exporter::decode::board::generic::{
    Channels, Checksum, Counter, Format, Frame, Kind, LengthField, Octets, Order, Reading, Unit,
};

const FORMATS: [Format; 10] = [
    Format::Int8,
    Format::Int16,
    Format::Int24,
    Format::Int32,
    Format::Uint8,
    Format::Uint16,
    Format::Uint24,
    Format::Uint32,
    Format::Float32,
    Format::Float64,
];

const KINDS: [Kind; 7] = [
    Kind::Sum8,
    Kind::Sum8Inverted,
    Kind::Xor8,
    Kind::Crc8,
    Kind::Crc16Ccitt,
    Kind::Crc16Modbus,
    Kind::Crc32,
];

fn order(byte: usize) -> Order {
    if byte & 0x80 == 0 { Order::Big } else { Order::Little }
}

/// The description that bytes make. One part stands after the other, unless the first byte says that places are
/// chosen by bytes too.
pub(crate) fn from(bytes: &mut impl Iterator<Item = u8>) -> Frame {
    let mut next = || usize::from(bytes.next().unwrap_or(0));
    let what = next();
    let wild = what & 0xC0 == 0xC0;
    let mut octets = |count: usize| Octets((0..count).map(|_| next() as u8).collect());
    let (sync, tail) = (octets(1 + what % 3), octets(what >> 2 & 1));
    let mut at = sync.len();
    let mut place = |next: &mut dyn FnMut() -> usize, bytes: usize| {
        let here = if wild { next() & 31 } else { at };
        at += bytes;
        here
    };
    let field = (what & 8 == 8).then(&mut next);
    let length_field = field.map(|n| {
        let bytes = 1 + (n & 1);
        LengthField { offset: place(&mut next, bytes), bytes, order: order(n), plus: n >> 1 & 15 }
    });
    let counter = (what & 16 == 16).then(|| {
        let n = next();
        let bits = [4, 8, 16, 24, 32, 8, 8, 16][n & 7];
        let offset = place(&mut next, bits as usize / 8 + usize::from(bits == 4));
        let (step, modulus) = match n >> 3 & 3 {
            0 => (2, None),
            1 => (3, Some(12)),
            2 => (next() as u32, Some(next() as u32)),
            _ => (1, None),
        };
        Counter { offset, bits, order: order(n), step, modulus }
    });
    let (count, samples) = (1 + next() % 12, 1 + next() % 3);
    let format = FORMATS[next() % FORMATS.len()];
    let bytes = format.bytes();
    let (stride, sample_stride) = match next() % 4 {
        _ if wild => (Some(next()), Some(next())),
        0 => (Some(samples * bytes), Some(bytes)),
        1 => (Some(bytes + 1), None),
        _ => (None, None),
    };
    let offset = place(&mut next, 0);
    let channels = Channels { offset, count, format, order: order(next()), stride, sample_stride };
    let checksum = (what & 32 == 32).then(|| {
        let n = next();
        let kind = KINDS[n % KINDS.len()];
        let poly = (kind == Kind::Crc8 && n & 8 == 8).then(&mut next).map(|poly| poly as u32);
        let init = (kind.bytes() > 1 && n & 16 == 16).then(&mut next).map(|init| init as u32);
        let (offset, to) = if wild { (Some(next()), Some(next())) } else { (None, None) };
        Checksum { kind, poly, init, offset, order: order(n), from: n >> 5 & 1, to }
    });
    let mut frame = Frame {
        sync,
        length: None,
        length_field,
        counter,
        channels,
        samples,
        rate: 250.0,
        unit: Unit::Volts,
        scale: f64::from_bits((next() as u64) << 56 | 0x0010_0000_0000_0000),
        rails: None,
        battery: None,
        temperature: None,
        checksum,
        tail,
        hello: vec![Octets(b"b".to_vec())],
        goodbye: Octets::default(),
    };
    if !frame.scale.is_finite() {
        frame.scale = -1.0;
    }
    let n = next();
    if n & 1 == 1 {
        let before = Frame { checksum: None, tail: Octets::default(), ..frame.clone() }.least();
        let offset = if wild { next() & 31 } else { before };
        let format = FORMATS[(n >> 1) % FORMATS.len()];
        frame.temperature = Some(Reading { offset, format, order: order(n), scale: 0.5, plus: -40.0 });
    }
    if length_field.is_none() {
        frame.length = Some(if wild { next() } else { frame.least() + next() % 3 });
    }
    frame
}
