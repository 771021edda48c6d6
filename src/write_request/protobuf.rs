//! What messages of protobuf are written in: tags, numbers, bytes with their length.

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Message(pub(super) Vec<u8>);

impl Message {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// A number of 7 bits a byte, lowest first.
    pub(super) fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn tag(&mut self, field: u8, wire: u8) {
        self.varint(u64::from(field) << 3 | u64::from(wire));
    }

    pub(super) fn number(&mut self, field: u8, number: u64) {
        self.tag(field, 0);
        self.varint(number);
    }

    pub(super) fn double(&mut self, field: u8, value: f64) {
        self.tag(field, 1);
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(super) fn bytes(&mut self, field: u8, bytes: &[u8]) {
        self.tag(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A sample, which both versions write alike.
    pub(super) fn sample(&mut self, field: u8, scratch: &mut Self, time: i64, value: f64) {
        scratch.clear();
        scratch.double(1, value);
        // Two's complement, as an int64 is written.
        scratch.number(2, time as u64);
        self.bytes(field, &scratch.0);
    }
}
