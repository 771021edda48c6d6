//! `io.prometheus.write.v2.Request`, of version 2.0: each text once, in a table of symbols.

use std::collections::HashMap;

use super::Series;
use super::protobuf::Message;

/// Texts and their numbers. The first is the empty one.
struct Symbols<'s> {
    known: HashMap<&'s str, u64, foldhash::fast::FixedState>,
    written: Message,
}

impl<'s> Symbols<'s> {
    fn new() -> Self {
        let mut symbols = Self { known: HashMap::default(), written: Message::default() };
        symbols.number("");
        symbols
    }

    fn number(&mut self, text: &'s str) -> u64 {
        let next = self.known.len() as u64;
        *self.known.entry(text).or_insert_with(|| {
            self.written.bytes(4, text.as_bytes());
            next
        })
    }
}

pub(super) fn body(all: &[Series<'_>]) -> Vec<u8> {
    let mut symbols = Symbols::new();
    let (mut request, mut series, mut part) = (Message::default(), Message::default(), Message::default());
    for one in all {
        series.clear();
        part.clear();
        for (name, value) in one.labels {
            part.varint(symbols.number(name));
            part.varint(symbols.number(value));
        }
        series.bytes(1, &part.0);
        for sample in one.samples {
            series.sample(2, &mut part, sample.t, sample.v);
        }
        if let Some(family) = one.family {
            part.clear();
            part.number(1, family.number());
            part.number(3, symbols.number(&family.help));
            if !family.unit.is_empty() {
                part.number(4, symbols.number(&family.unit));
            }
            series.bytes(5, &part.0);
        }
        request.bytes(5, &series.0);
    }
    // The order of fields is free; the symbols come first, so that a reader has them.
    symbols.written.0.extend_from_slice(&request.0);
    symbols.written.0
}
