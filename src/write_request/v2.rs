//! `io.prometheus.write.v2.Request`, of version 2.0: each text once, in a table of symbols.

use std::collections::HashMap;

use super::{Series, kind, sample};
use crate::protobuf::{bytes, message, number, put_varint};

/// Texts and their numbers. The first is the empty one.
struct Symbols<'s> {
    known: HashMap<&'s str, u64, foldhash::fast::FixedState>,
    written: Vec<u8>,
}

impl<'s> Symbols<'s> {
    fn new() -> Self {
        let mut symbols = Self { known: HashMap::default(), written: Vec::new() };
        symbols.number("");
        symbols
    }

    fn number(&mut self, text: &'s str) -> u64 {
        let next = self.known.len() as u64;
        *self.known.entry(text).or_insert_with(|| {
            bytes(4, text.as_bytes(), &mut self.written);
            next
        })
    }
}

pub(super) fn body(all: &[Series<'_>]) -> Vec<u8> {
    let (mut symbols, mut out) = (Symbols::new(), Vec::new());
    for one in all {
        message(5, &mut out, |out| {
            message(1, out, |out| {
                for (name, value) in one.labels {
                    put_varint(symbols.number(name), out);
                    put_varint(symbols.number(value), out);
                }
            });
            one.samples.iter().for_each(|of| sample(2, *of, out));
            let Some(family) = one.family else { return };
            message(5, out, |out| {
                number(1, kind(family), out);
                number(3, symbols.number(&family.help), out);
                if !family.unit.is_empty() {
                    number(4, symbols.number(&family.unit), out);
                }
            });
        });
    }
    // The order of fields is free; the symbols come first, so that a reader has them.
    symbols.written.extend_from_slice(&out);
    symbols.written
}
