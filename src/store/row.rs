//! What stands in a column of the history's file: bytes behind a checksum, and a scrape as such bytes.
//!
//! A bit that a disk turned must not become a number: what fails its checksum is not read, and is counted.

use flate2::Crc;

use crate::history::{Changes, SeriesId, put_value, take_value, take_varint};
use crate::protobuf::put_varint;

/// Puts the checksum (CRC-32) before the bytes.
pub(super) fn seal(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = checksum(bytes).to_le_bytes().to_vec();
    sealed.extend_from_slice(bytes);
    sealed
}

/// The bytes behind their checksum, if it is theirs.
pub(super) fn unseal(sealed: &[u8]) -> Option<&[u8]> {
    let (sum, bytes) = sealed.split_first_chunk()?;
    (u32::from_le_bytes(*sum) == checksum(bytes)).then_some(bytes)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// A scrape: the rows of its series in the file, by rising number, each with its value.
pub(super) fn encode(changes: &Changes, row_of: impl Fn(SeriesId) -> Option<i64>) -> Vec<u8> {
    let mut rows: Vec<(u64, f64)> = changes
        .values
        .iter()
        .filter_map(|(id, value)| Some((row_of(*id)?.cast_unsigned(), *value)))
        .collect();
    rows.sort_unstable_by_key(|(row, _)| *row);
    let mut bytes = vec![u8::from(changes.whole)];
    let mut before = 0;
    for (row, value) in rows {
        put_varint(row - before, &mut bytes);
        put_value(value, &mut bytes);
        before = row;
    }
    seal(&bytes)
}

/// A scrape as it was written: whether all values are in it, and the values by row.
pub(super) fn decode(sealed: &[u8]) -> Option<(bool, Vec<(i64, f64)>)> {
    let (whole, mut bytes) = unseal(sealed)?.split_first()?;
    let mut values = Vec::new();
    let mut row = 0_u64;
    while !bytes.is_empty() {
        row = row.checked_add(take_varint(&mut bytes)?)?;
        values.push((i64::try_from(row).ok()?, take_value(&mut bytes)?));
    }
    Some((*whole == 1, values))
}
