//! The wire format of Protocol Buffers, which OTLP and remote write speak. What a field means is said elsewhere.
//!
//! Fact: protobuf.dev, "Encoding".

mod read;
mod write;

pub(crate) use read::{Fields, Value, messages, numbers, zigzag};
pub(crate) use write::{bytes, fixed32, fixed64, message, number, put, put_varint};
