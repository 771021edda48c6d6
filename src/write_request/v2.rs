//! `io.prometheus.write.v2.Request`, of version 2.0: each text once, in a table of symbols.

use std::collections::HashMap;

use super::{Series, kind, point};
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

impl<'s> Symbols<'s> {
    /// The numbers of names and values.
    fn labels(&mut self, all: impl Iterator<Item = (&'s str, &'s str)>, out: &mut Vec<u8>) {
        for (name, value) in all {
            put_varint(self.number(name), out);
            put_varint(self.number(value), out);
        }
    }
}

pub(super) fn body(all: &[Series<'_>]) -> Vec<u8> {
    let (mut symbols, mut out) = (Symbols::new(), Vec::new());
    for one in all {
        message(5, &mut out, |out| {
            let labels = one.labels.iter().map(|(name, value)| (&**name, &**value));
            message(1, out, |out| symbols.labels(labels, out));
            for of in one.samples {
                message(2, out, |out| {
                    point((1, 2), of.v, of.t, out);
                    one.began(*of).into_iter().for_each(|began| number(3, began.cast_unsigned(), out));
                });
            }
            for of in one.exemplars {
                message(4, out, |out| {
                    message(1, out, |out| symbols.labels(of.labels.iter(), out));
                    point((2, 3), of.v, of.t, out);
                });
            }
            // Up to release candidate 3 of the specification it stands here, once for all samples; who knows the later one skips it.
            let first = one.samples.first().and_then(|of| one.began(*of));
            first.into_iter().for_each(|began| number(6, began.cast_unsigned(), out));
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
