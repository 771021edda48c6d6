//! Bits in a row, the highest first. Reading ends with `None` where bits are missing, whatever the bytes are.

/// Appends bits to bytes.
#[derive(Debug)]
pub(super) struct BitWriter<'o> {
    out: &'o mut Vec<u8>,
    /// Bits that do not fill a byte yet, in the low end.
    pending: u64,
    /// How many: 0 to 7 between two calls.
    count: u32,
}

impl<'o> BitWriter<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, pending: 0, count: 0 }
    }

    /// Appends the low `count` bits, at most 64.
    pub(super) fn put(&mut self, bits: u64, count: u32) {
        if count > 32 {
            self.put_some(bits >> 32, count - 32);
            self.put_some(bits & 0xffff_ffff, 32);
        } else {
            self.put_some(bits, count);
        }
    }

    /// Appends at most 32 bits: with the 7 that may be pending they fit a word.
    fn put_some(&mut self, bits: u64, count: u32) {
        self.pending = (self.pending << count) | (bits & ((1 << count) - 1));
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            self.out.push((self.pending >> self.count) as u8);
        }
        self.pending &= (1 << self.count) - 1;
    }

    /// Fills the last byte with zeros.
    pub(super) fn finish(self) {
        if self.count > 0 {
            self.out.push((self.pending << (8 - self.count)) as u8);
        }
    }
}

/// Reads bits from bytes.
#[derive(Clone, Debug)]
pub(super) struct BitReader<'b> {
    bytes: &'b [u8],
    /// Bits that were taken from `bytes` and not read yet, the next one highest; zeros follow them.
    word: u64,
    /// How many.
    count: u32,
}

impl<'b> BitReader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, word: 0, count: 0 }
    }

    /// The next `count` bits, at most 64.
    pub(super) fn take(&mut self, count: u32) -> Option<u64> {
        if count > 32 {
            let high = self.take_some(count - 32)?;
            return Some((high << 32) | self.take_some(32)?);
        }
        self.take_some(count)
    }

    /// Takes bytes until more than 56 bits are at hand, or there are no more.
    #[inline]
    fn fill(&mut self) {
        if let Some((eight, _)) = self.bytes.split_first_chunk() {
            // Of eight bytes those whose bits all fit.
            let whole = (64 - self.count) / 8;
            let bits = u64::from_be_bytes(*eight);
            let kept = if whole == 8 { bits } else { bits & !(u64::MAX >> (8 * whole)) };
            self.word |= kept.checked_shr(self.count).unwrap_or(0);
            self.count += 8 * whole;
            self.bytes = self.bytes.get(whole as usize..).unwrap_or_default();
            return;
        }
        while self.count <= 56
            && let Some((first, rest)) = self.bytes.split_first()
        {
            self.bytes = rest;
            self.word |= u64::from(*first) << (56 - self.count);
            self.count += 8;
        }
    }

    /// Forgets the next `count` bits, at most 63, which are there.
    #[inline]
    fn skip(&mut self, count: u32) {
        self.word <<= count;
        self.count -= count;
    }

    /// The next `count` bits, at most 32.
    #[inline]
    fn take_some(&mut self, count: u32) -> Option<u64> {
        if self.count < count {
            self.fill();
            if self.count < count {
                return None;
            }
        }
        // In two steps, for 64 is no shift.
        let taken = (self.word >> 1) >> (63 - count);
        self.skip(count);
        Some(taken)
    }

    pub(super) fn bit(&mut self) -> Option<bool> {
        self.take_some(1).map(|bit| bit == 1)
    }

    /// Ones up to the next zero, which is taken too; or `most` of them, at most 32, after which there is none.
    #[inline]
    pub(super) fn ones(&mut self, most: u32) -> Option<u32> {
        if self.count <= most {
            self.fill();
        }
        let ones = self.word.leading_ones();
        let (ones, taken) = if ones >= most { (most, most) } else { (ones, ones + 1) };
        if taken > self.count {
            return None;
        }
        self.skip(taken);
        Some(ones)
    }
}

/// Reads a number in seven bits a byte, the lowest first, from the beginning of the bytes.
pub fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A signed number as one that is small where the signed one is close to zero.
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The reverse of [`zigzag`].
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The next bits of a row of them, one by one.
    fn plain(bits: &mut &[bool], count: u32) -> Option<u64> {
        let (taken, rest) = bits.split_at_checked(count as usize)?;
        *bits = rest;
        Some(taken.iter().fold(0, |number, bit| number << 1 | u64::from(*bit)))
    }

    fn plain_ones(bits: &mut &[bool], most: u32) -> Option<u32> {
        let mut count = 0;
        while count < most && plain(bits, 1)? == 1 {
            count += 1;
        }
        Some(count)
    }

    proptest! {
        #[test]
        fn bits_are_those_that_are_there(
            bytes in prop::collection::vec(prop_oneof![Just(0xff_u8), any::<u8>()], 0..40),
            asked in prop::collection::vec((any::<bool>(), 0_u32..=64), 0..60),
        ) {
            let all: Vec<bool> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
            let (mut reader, mut bits) = (BitReader::new(&bytes), &all[..]);
            for (ones, count) in asked {
                // What is beyond the end ends it: what is read then is nothing to rely on.
                if ones {
                    let most = count.min(32);
                    let read = reader.ones(most);
                    prop_assert_eq!(read, plain_ones(&mut bits, most));
                    if read.is_none() { break }
                } else {
                    let read = reader.take(count);
                    prop_assert_eq!(read, plain(&mut bits, count));
                    if read.is_none() { break }
                }
            }
        }
    }
}
