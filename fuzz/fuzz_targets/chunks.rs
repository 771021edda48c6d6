//! Chunks of the history: any bytes are read without a panic, and what is written is what is read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::history::{MOST, decode, encode};

fuzz_target!(|data: &[u8]| {
    let mut count = 0;
    let _ = decode(data, &mut |_, _| count += 1);
    assert!(count <= MOST);
    // Pairs of a gap and a value, the values as they come, or as decimal numbers.
    let Some((&kind, data)) = data.split_first() else { return };
    let mut time = 0_i64;
    let (mut times, mut values) = (Vec::new(), Vec::new());
    for pair in data.chunks_exact(10) {
        let (gap, value) = pair.split_at(2);
        time += i64::from(u16::from_le_bytes([gap[0], gap[1]]));
        let bits = u64::from_le_bytes(value.try_into().unwrap_or_default());
        times.push(time);
        values.push(match kind % 3 {
            0 => f64::from_bits(bits),
            1 => (bits >> 40) as f64,
            _ => (bits >> 48) as f64 / 1000.0,
        });
    }
    if times.is_empty() {
        return;
    }
    let mut bytes = Vec::new();
    encode(&times, &values, &mut bytes);
    let mut read = Vec::new();
    decode(&bytes, &mut |time, value| read.push((time, value.to_bits()))).expect("what was written is a chunk");
    let wrote: Vec<_> = times.iter().zip(&values).map(|(time, value)| (*time, value.to_bits())).collect();
    assert_eq!(read, wrote);
});
