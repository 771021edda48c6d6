//! Records of logs: how grave each is, and whose. Nothing else of them is read.

use super::attribute::text;
use super::resource::Resource;
use super::time::Newest;
use crate::event::{Body, LogRecord, Severity};
use crate::protobuf::{Fields, Value};

/// Reads one record.
pub(super) fn read<'a>(message: &[u8], resource: &'a Resource<'a>, newest: &mut Newest) -> Body<'a> {
    let (mut number, mut word, mut time) = (0, "", 0);
    for (field, value) in Fields::of(message) {
        match (field, value) {
            (1, Value::Fixed64(at)) => time = at,
            (11, Value::Fixed64(at)) if time == 0 => time = at,
            (2, Value::Varint(severity)) => number = severity,
            (3, Value::Bytes(severity)) => word = text(severity),
            _ => {}
        }
    }
    newest.see(time);
    Body::LogRecord(LogRecord { service: &resource.service, severity: severity(number, word) })
}

/// Four numbers are of one severity. Where there is none, its text may say it.
fn severity(number: u64, text: &str) -> Severity {
    match number {
        1..=4 => Severity::Trace,
        5..=8 => Severity::Debug,
        9..=12 => Severity::Info,
        13..=16 => Severity::Warn,
        17..=20 => Severity::Error,
        21..=24 => Severity::Fatal,
        _ => {
            let of = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
            let words: [(&[&str], Severity); 6] = [
                (&["trace"], Severity::Trace),
                (&["debug"], Severity::Debug),
                (&["info", "information", "notice"], Severity::Info),
                (&["warn", "warning"], Severity::Warn),
                (&["error", "err"], Severity::Error),
                (&["fatal", "critical", "crit", "alert", "emerg", "emergency", "panic"], Severity::Fatal),
            ];
            words.iter().find(|(words, _)| of(words)).map_or(Severity::Unspecified, |(_, severity)| *severity)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_before_words() {
        for (number, word, want) in [
            (1, "", Severity::Trace),
            (8, "ERROR", Severity::Debug),
            (9, "", Severity::Info),
            (16, "", Severity::Warn),
            (17, "", Severity::Error),
            (24, "", Severity::Fatal),
            (25, "", Severity::Unspecified),
            (0, "WARNING", Severity::Warn),
            (0, "Critical", Severity::Fatal),
            (0, "", Severity::Unspecified),
        ] {
            assert_eq!(severity(number, word), want, "{number} {word}");
        }
    }
}
