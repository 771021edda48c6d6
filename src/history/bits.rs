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
    /// Bits that were taken from `bytes`, in the low end.
    word: u64,
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

    fn take_some(&mut self, count: u32) -> Option<u64> {
        while self.count < count {
            let (first, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            self.word = (self.word << 8) | u64::from(*first);
            self.count += 8;
        }
        self.count -= count;
        Some((self.word >> self.count) & ((1 << count) - 1))
    }

    pub(super) fn bit(&mut self) -> Option<bool> {
        self.take_some(1).map(|bit| bit == 1)
    }

    /// Ones up to the next zero, which is taken too; or `most` of them, after which there is none.
    pub(super) fn ones(&mut self, most: u32) -> Option<u32> {
        let mut count = 0;
        while count < most && self.bit()? {
            count += 1;
        }
        Some(count)
    }
}

/// Appends a number in seven bits a byte, the lowest first.
pub fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads such a number from the beginning of the bytes.
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
