//! The codec of the history: samples of one series in time, as few bytes as hold them exactly.
//!
//! ```text
//! chunk  = count varint, first time zigzag, times, values
//! times  = first difference zigzag, then runs: difference of differences zigzag, how often varint
//! values = kind byte, then
//!   constant   8 bytes
//!   decimals   decimal places byte, exceptions, first zigzag, the first or second differences in groups
//!   floats     8 bytes, then XOR with the value before (Gorilla, VLDB 2015, section 4.1.3)
//! ```
//!
//! Decimals: most values of metrics are whole numbers or have few decimal places; they are exact as a whole number
//! over a power of ten. A group of 32 differences is Golomb-Rice coded with a parameter of its own; zeros alone cost
//! six bits. What is no such number (a staleness mark, an infinity) is an exception beside them. The shortest of the
//! three is kept.
//!
//! It does not check that bytes are what was written: the store does, with a checksum.

use super::bits::{BitReader, BitWriter, take_varint, unzigzag, zigzag};
use crate::protobuf::put_varint;

/// Samples of a chunk at most.
pub const MOST: usize = 1 << 14;

const CONSTANT: u8 = 0;
const FIRST_DIFFERENCES: u8 = 1;
const SECOND_DIFFERENCES: u8 = 2;
const FLOATS: u8 = 3;

/// Appends a chunk of these samples. Both slices have the same length, 1 to [`MOST`].
pub fn encode(times: &[i64], values: &[f64], out: &mut Vec<u8>) {
    debug_assert!(times.len() == values.len() && (1..=MOST).contains(&times.len()));
    put_varint(times.len() as u64, out);
    encode_times(times, out);
    let Some(first) = values.first() else { return };
    if values.iter().all(|value| value.to_bits() == first.to_bits()) {
        out.push(CONSTANT);
        out.extend_from_slice(&first.to_le_bytes());
        return;
    }
    let start = out.len();
    encode_floats(values, out);
    let floats = out.len() - start;
    if let Some(decimals) = Decimals::of(values) {
        for order in [FIRST_DIFFERENCES, SECOND_DIFFERENCES] {
            let tried = out.len();
            decimals.encode(order, out);
            if out.len() - tried < tried - start {
                out.drain(start..tried);
            } else {
                out.truncate(tried);
            }
        }
    }
    debug_assert!(out.len() - start <= floats);
}

/// The samples of a chunk, in order. `None` where the bytes are no chunk; what was visited until then is nothing to
/// rely on.
pub fn decode(mut bytes: &[u8], visit: &mut impl FnMut(i64, f64)) -> Option<()> {
    let count = usize::try_from(take_varint(&mut bytes)?).ok().filter(|count| (1..=MOST).contains(count))?;
    let mut times = Vec::with_capacity(count);
    decode_times(&mut bytes, count, &mut times)?;
    let (kind, mut bytes) = bytes.split_first()?;
    match *kind {
        CONSTANT => {
            let value = take_float(&mut bytes)?;
            times.iter().for_each(|&time| visit(time, value));
            Some(())
        }
        FLOATS => decode_floats(bytes, &times, visit),
        order @ (FIRST_DIFFERENCES | SECOND_DIFFERENCES) => decode_decimals(bytes, order, &times, visit),
        _ => None,
    }
}

fn take_float(bytes: &mut &[u8]) -> Option<f64> {
    let (float, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(f64::from_le_bytes(*float))
}

fn encode_times(times: &[i64], out: &mut Vec<u8>) {
    let Some(&first) = times.first() else { return };
    put_varint(zigzag(first), out);
    let (mut before, mut step) = (first, None);
    let mut run: Option<(i64, u64)> = None;
    let end = |run: &mut Option<(i64, u64)>, out: &mut Vec<u8>| {
        if let Some((change, often)) = run.take() {
            put_varint(zigzag(change), out);
            put_varint(often, out);
        }
    };
    for &time in times.iter().skip(1) {
        let difference = time.wrapping_sub(before);
        before = time;
        let Some(last) = step.replace(difference) else {
            put_varint(zigzag(difference), out);
            continue;
        };
        let change = difference.wrapping_sub(last);
        match &mut run {
            Some((same, often)) if *same == change => *often += 1,
            _ => {
                end(&mut run, out);
                run = Some((change, 1));
            }
        }
    }
    end(&mut run, out);
}

fn decode_times(bytes: &mut &[u8], count: usize, times: &mut Vec<i64>) -> Option<()> {
    let mut time = unzigzag(take_varint(bytes)?);
    times.push(time);
    if count == 1 {
        return Some(());
    }
    let mut step = unzigzag(take_varint(bytes)?);
    time = time.wrapping_add(step);
    times.push(time);
    while times.len() < count {
        let change = unzigzag(take_varint(bytes)?);
        let often = usize::try_from(take_varint(bytes)?).ok()?;
        if often == 0 || often > count - times.len() {
            return None;
        }
        for _ in 0..often {
            step = step.wrapping_add(change);
            time = time.wrapping_add(step);
            times.push(time);
        }
    }
    Some(())
}

fn encode_floats(values: &[f64], out: &mut Vec<u8>) {
    let Some((first, rest)) = values.split_first() else { return };
    out.push(FLOATS);
    out.extend_from_slice(&first.to_le_bytes());
    let mut bits = BitWriter::new(out);
    let mut before = first.to_bits();
    // Leading zeros and length of the bits that were written last.
    let mut window: Option<(u32, u32)> = None;
    for value in rest {
        let change = value.to_bits() ^ before;
        before = value.to_bits();
        if change == 0 {
            bits.put(0, 1);
            continue;
        }
        let (leading, trailing) = (change.leading_zeros().min(31), change.trailing_zeros());
        match window {
            Some((zeros, length)) if leading >= zeros && 64 - zeros - length <= trailing => {
                bits.put(0b10, 2);
                bits.put(change >> (64 - zeros - length), length);
            }
            _ => {
                let length = 64 - leading - trailing;
                window = Some((leading, length));
                bits.put(0b11, 2);
                bits.put(u64::from(leading), 5);
                bits.put(u64::from(length - 1), 6);
                bits.put(change >> trailing, length);
            }
        }
    }
    bits.finish();
}

fn decode_floats(mut bytes: &[u8], times: &[i64], visit: &mut impl FnMut(i64, f64)) -> Option<()> {
    let mut value = take_float(&mut bytes)?.to_bits();
    let mut bits = BitReader::new(bytes);
    let mut window = (0, 0);
    for (place, &time) in times.iter().enumerate() {
        if place > 0 && bits.bit()? {
            if bits.bit()? {
                let leading = bits.take(5)? as u32;
                window = (leading, bits.take(6)? as u32 + 1);
            }
            let (zeros, length) = window;
            let shift = 64_u32.checked_sub(zeros + length).filter(|_| length > 0)?;
            value ^= bits.take(length)? << shift;
        }
        visit(time, f64::from_bits(value));
    }
    Some(())
}

/// Whole numbers over a power of ten.
#[derive(Debug)]
struct Decimals {
    places: u8,
    whole: Vec<i64>,
    /// What is no such number, by place. The number before it stands instead.
    exceptions: Vec<(usize, f64)>,
}

/// Whole numbers above this are not all floats.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// The powers of ten that are tried. `as` and division are exact for them.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The whole number that divided by the power of ten is exactly this value.
fn whole(value: f64, power: f64) -> Option<i64> {
    let scaled = (value * power).round();
    let number = (scaled.abs() <= EXACT).then_some(scaled as i64)?;
    // By bits: a whole number has no negative zero.
    (number as f64 / power).to_bits().eq(&value.to_bits()).then_some(number)
}

impl Decimals {
    /// Nothing where more than an eighth of the values is no decimal number, or they have no power of ten in common.
    fn of(values: &[f64]) -> Option<Self> {
        let mut places = 0;
        let mut others = 0;
        for &value in values {
            match (places..POWERS.len()).find(|&p| whole(value, POWERS[p]).is_some()) {
                Some(needed) => places = needed,
                None if value.is_finite() && value != 0.0 => return None,
                None => others += 1,
            }
        }
        if others > values.len() / 8 {
            return None;
        }
        let mut decimals = Self {
            places: u8::try_from(places).ok()?,
            whole: Vec::with_capacity(values.len()),
            exceptions: Vec::new(),
        };
        for (place, &value) in values.iter().enumerate() {
            match whole(value, POWERS[places]) {
                Some(number) => decimals.whole.push(number),
                // A number that was found with fewer places and is too large with these.
                None if value.is_finite() && value != 0.0 => return None,
                None => {
                    decimals.whole.push(decimals.whole.last().copied().unwrap_or(0));
                    decimals.exceptions.push((place, value));
                }
            }
        }
        Some(decimals)
    }

    fn encode(&self, order: u8, out: &mut Vec<u8>) {
        out.push(order);
        out.push(self.places);
        put_varint(self.exceptions.len() as u64, out);
        let mut next = 0;
        for (place, value) in &self.exceptions {
            put_varint((place - next) as u64, out);
            out.extend_from_slice(&value.to_le_bytes());
            next = place + 1;
        }
        let Some((&first, rest)) = self.whole.split_first() else { return };
        put_varint(zigzag(first), out);
        let (mut before, mut step) = (first, 0_i64);
        let differences: Vec<u64> = rest
            .iter()
            .map(|&number| {
                let difference = number.wrapping_sub(before);
                before = number;
                let coded =
                    if order == SECOND_DIFFERENCES { difference.wrapping_sub(step) } else { difference };
                step = difference;
                zigzag(coded)
            })
            .collect();
        let mut bits = BitWriter::new(out);
        differences.chunks(GROUP).for_each(|group| encode_group(group, &mut bits));
        bits.finish();
    }
}

fn decode_decimals(
    mut bytes: &[u8],
    order: u8,
    times: &[i64],
    visit: &mut impl FnMut(i64, f64),
) -> Option<()> {
    let (&places, rest) = bytes.split_first()?;
    bytes = rest;
    let power = *POWERS.get(usize::from(places))?;
    let mut left = usize::try_from(take_varint(&mut bytes)?).ok().filter(|&count| count <= times.len())?;
    let mut exceptions = bytes;
    let mut skipped = bytes;
    for _ in 0..left {
        take_varint(&mut skipped)?;
        take_float(&mut skipped)?;
    }
    bytes = skipped;
    let mut exception = |after: usize| -> Option<Option<(usize, f64)>> {
        let Some(fewer) = left.checked_sub(1) else { return Some(None) };
        left = fewer;
        let gap = usize::try_from(take_varint(&mut exceptions)?).ok().filter(|&gap| gap < MOST)?;
        Some(Some((after + gap, take_float(&mut exceptions)?)))
    };
    let mut next = exception(0)?;
    let mut number = unzigzag(take_varint(&mut bytes)?);
    let mut step = 0_i64;
    let mut bits = BitReader::new(bytes);
    let mut parameter = 0;
    for (place, &time) in times.iter().enumerate() {
        if let Some(index) = place.checked_sub(1) {
            if index % GROUP == 0 {
                parameter = bits.take(HEADER)? as u32;
            }
            let coded = unzigzag(decode_number(&mut bits, parameter)?);
            step = if order == SECOND_DIFFERENCES { step.wrapping_add(coded) } else { coded };
            number = number.wrapping_add(step);
        }
        match next {
            Some((at, value)) if at == place => {
                visit(time, value);
                next = exception(place + 1)?;
            }
            _ => visit(time, number as f64 / power),
        }
    }
    Some(())
}

/// Differences that share a parameter.
const GROUP: usize = 32;
/// Bits of the parameter: 0 for zeros alone, else one more than the low bits of each number.
const HEADER: u32 = 6;
/// Ones after which a number stands whole: few that are far off cost no long row of ones.
const ESCAPE: u32 = 20;

fn encode_group(group: &[u64], bits: &mut BitWriter<'_>) {
    let all = group.iter().fold(0, |all, number| all | number);
    if all == 0 {
        bits.put(0, HEADER);
        return;
    }
    let cost = |low: u32| -> u64 { group.iter().map(|&number| cost_of(number, low)).sum() };
    // The cost has one minimum but for numbers that escape; each of the possible parameters is tried.
    let widest = (64 - all.leading_zeros()).min(62);
    let low = (0..=widest).min_by_key(|&low| cost(low)).unwrap_or(0);
    bits.put(u64::from(low + 1), HEADER);
    for &number in group {
        let high = number >> low;
        if high >= u64::from(ESCAPE) {
            bits.put((1 << ESCAPE) - 1, ESCAPE);
            bits.put(number, 64);
        } else {
            // So many ones and a zero.
            bits.put(((1 << high) - 1) << 1, high as u32 + 1);
            bits.put(number, low);
        }
    }
}

/// Bits that a number takes with so many low bits.
fn cost_of(number: u64, low: u32) -> u64 {
    let high = number >> low;
    if high >= u64::from(ESCAPE) { u64::from(ESCAPE) + 64 } else { high + 1 + u64::from(low) }
}

#[inline]
fn decode_number(bits: &mut BitReader<'_>, parameter: u32) -> Option<u64> {
    let Some(low) = parameter.checked_sub(1) else { return Some(0) };
    let high = bits.ones(ESCAPE)?;
    if high == ESCAPE {
        return bits.take(64);
    }
    Some((u64::from(high) << low) | bits.take(low)?)
}

/// Kind of a single value that is no decimal number.
const ALONE: u8 = 0xff;

/// Appends one value by itself, in a byte or two where it is a small number.
pub fn put_value(value: f64, out: &mut Vec<u8>) {
    let decimal = POWERS.iter().zip(0_u8..).find_map(|(power, places)| Some((places, whole(value, *power)?)));
    match decimal {
        Some((places, number)) => {
            out.push(places);
            put_varint(zigzag(number), out);
        }
        None => {
            out.push(ALONE);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Reads such a value from the beginning of the bytes.
pub fn take_value(bytes: &mut &[u8]) -> Option<f64> {
    let (places, rest) = bytes.split_first()?;
    *bytes = rest;
    if *places == ALONE {
        return take_float(bytes);
    }
    Some(unzigzag(take_varint(bytes)?) as f64 / POWERS.get(usize::from(*places))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::STALE;
    use proptest::prelude::*;

    fn back(times: &[i64], values: &[f64]) -> usize {
        let mut out = Vec::new();
        encode(times, values, &mut out);
        let mut read = Vec::new();
        decode(&out, &mut |t, v| read.push((t, v.to_bits()))).expect("it is a chunk");
        let wrote: Vec<_> = times.iter().zip(values).map(|(t, v)| (*t, v.to_bits())).collect();
        assert_eq!(read, wrote);
        out.len()
    }

    fn every(count: i64) -> Vec<i64> {
        (0..count).map(|i| 1_764_470_000_000 + i * 5_000).collect()
    }

    #[test]
    fn what_is_common_is_small() {
        let times = every(720);
        let n = |f: &dyn Fn(usize) -> f64| (0..720).map(f).collect::<Vec<_>>();
        assert!(back(&times, &n(&|_| 1.0)) <= 22);
        // 250 Hz exactly
        assert!(
            back(&times, &n(&|i| 1250.0 * i as f64)) <= 60,
            "{}",
            back(&times, &n(&|i| 1250.0 * i as f64))
        );
        let noisy = n(&|i| 1250.0 * i as f64 + f64::from((i * 7919 % 13) as u32));
        assert!(back(&times, &noisy) <= 720, "{}", back(&times, &noisy));
        let cpu = n(&|i| ((i * i * 7919) % 100) as f64 / 100.0);
        assert!(back(&times, &cpu) <= 720 * 9 / 8, "{}", back(&times, &cpu));
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            any::<u64>().prop_map(f64::from_bits),
            (-1000_i64..1000).prop_map(|v| v as f64),
            (any::<i64>()).prop_map(|v| v as f64),
            (-100_000_i64..100_000, 0..8).prop_map(|(v, p)| v as f64 / 10_f64.powi(p)),
            Just(STALE),
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(0.0),
            Just(-0.0),
        ]
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(
            samples in prop::collection::vec((0_i64..20_000, value()), 1..200),
            start in any::<i64>(),
        ) {
            let mut time = start;
            let times: Vec<i64> = samples.iter().map(|(gap, _)| { time = time.wrapping_add(*gap); time }).collect();
            let values: Vec<f64> = samples.iter().map(|(_, v)| *v).collect();
            back(&times, &values);
        }

        #[test]
        fn mostly_decimals(samples in prop::collection::vec((0_i64..3, prop_oneof![20 => (-5000_i64..5000).prop_map(|v| v as f64 / 100.0), 1 => value()]), 1..400)) {
            let mut time = 0;
            let times: Vec<i64> = samples.iter().map(|(gap, _)| { time += 5000 + *gap; time }).collect();
            let values: Vec<f64> = samples.iter().map(|(_, v)| *v).collect();
            back(&times, &values);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut count = 0;
            let _ = decode(&bytes, &mut |_, _| count += 1);
            assert!(count <= MOST);
        }
    }
}
