//! Bodies of Prometheus remote write, of both versions, before they are compressed. It sends nothing and reads no clock.
//!
//! Facts are those of the specifications 1.0 and 2.0 of prometheus.io: a series has sorted labels with `__name__` among them, samples in
//! the order of their times, times in milliseconds, and a staleness mark is a NaN of fixed bits.

mod v1;
mod v2;

use std::borrow::Cow;

use crate::decode::text::families::Family;
use crate::promql::Sample;
use crate::protobuf::{fixed64, message, number};

/// A label: its name and its value.
pub type Label<'l> = (Cow<'l, str>, Cow<'l, str>);

/// Some samples of one series.
#[derive(Clone, Copy, Debug)]
pub struct Series<'s> {
    /// Sorted by name, each name once.
    pub labels: &'s [Label<'s>],
    /// In the order of their times.
    pub samples: &'s [Sample],
    /// What is known of its family.
    pub family: Option<&'s Family>,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.0: `prometheus.WriteRequest`.
    V1,
    /// 2.0: `io.prometheus.write.v2.Request`.
    V2,
}

impl Version {
    /// The header `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::V1 => "application/x-protobuf;proto=prometheus.WriteRequest",
            Self::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        }
    }

    /// The header `X-Prometheus-Remote-Write-Version`.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::V1 => "0.1.0",
            Self::V2 => "2.0.0",
        }
    }

    /// The body of a request with these series.
    #[must_use]
    pub fn body(self, series: &[Series<'_>]) -> Vec<u8> {
        match self {
            Self::V1 => v1::body(series),
            Self::V2 => v2::body(series),
        }
    }
}

/// The body of a request of version 1.0 that says what families are; version 2.0 says so with each series.
#[must_use]
pub fn metadata<'f>(families: impl Iterator<Item = (&'f str, &'f Family)>) -> Vec<u8> {
    v1::metadata(families)
}

/// The number of a family's type, the same in both versions.
fn kind(family: &Family) -> u64 {
    match family.kind.as_str() {
        "counter" => 1,
        "gauge" => 2,
        "histogram" => 3,
        "gaugehistogram" => 4,
        "summary" => 5,
        "info" => 6,
        "stateset" => 7,
        _ => 0,
    }
}

/// A sample, which both versions write alike.
fn sample(field: u32, of: Sample, out: &mut Vec<u8>) {
    message(field, out, |out| {
        fixed64(1, of.v.to_bits(), out);
        number(2, of.t.cast_unsigned(), out);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::text::families::Families;

    fn label(name: &'static str, value: &'static str) -> Label<'static> {
        (name.into(), value.into())
    }

    #[test]
    fn the_first_version_is_what_the_specification_says() {
        let labels = [label("__name__", "up"), label("job", "n")];
        let samples = [Sample { t: 1_000, v: 1.0 }];
        let body = Version::V1.body(&[Series { labels: &labels, samples: &samples, family: None }]);
        let want: &[u8] = &[
            0x0a, 37, // timeseries
            0x0a, 14, 0x0a, 8, b'_', b'_', b'n', b'a', b'm', b'e', b'_', b'_', 0x12, 2, b'u', b'p', 0x0a, 8,
            0x0a, 3, b'j', b'o', b'b', 0x12, 1, b'n', //
            0x12, 12, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0xe8, 7,
        ];
        let mut want = want.to_vec();
        want[1] = u8::try_from(want.len() - 2).unwrap();
        assert_eq!(body, want);
    }

    #[test]
    fn the_second_version_writes_each_text_once() {
        let family = Family { kind: "gauge".into(), help: "job".into(), unit: String::new() };
        let labels = [label("__name__", "up"), label("job", "n")];
        let samples = [Sample { t: 1_000, v: 1.0 }];
        let one = Series { labels: &labels, samples: &samples, family: Some(&family) };
        let body = Version::V2.body(&[one, one]);
        let series: &[u8] = &[
            0x2a, 26, 0x0a, 4, 1, 2, 3, 4, // labels_refs
            0x12, 12, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0xe8, 7, // samples
            0x2a, 4, 0x08, 2, 0x18, 3, // metadata: a gauge, whose help is a text that is there
        ];
        let symbols: &[u8] = &[
            0x22, 0, 0x22, 8, b'_', b'_', b'n', b'a', b'm', b'e', b'_', b'_', 0x22, 2, b'u', b'p', 0x22, 3,
            b'j', b'o', b'b', 0x22, 1, b'n',
        ];
        assert_eq!(body, [symbols, series, series].concat());
    }

    #[test]
    fn the_end_of_a_series_keeps_its_bits() {
        let labels = [label("__name__", "up")];
        let samples = [Sample { t: -1, v: crate::promql::STALE }];
        for version in [Version::V1, Version::V2] {
            let body = version.body(&[Series { labels: &labels, samples: &samples, family: None }]);
            let mark = [0x09, 2, 0, 0, 0, 0, 0, 0xf0, 0x7f];
            assert!(body.windows(9).any(|bytes| bytes == mark), "{version:?}: {body:x?}");
        }
    }

    #[test]
    fn metadata_have_their_own_request_in_the_first_version() {
        let families = Families::of("# TYPE a counter\n# HELP a b\n# UNIT a s\na_total 1\n");
        assert_eq!(
            metadata(families.iter()),
            [0x1a, 11, 0x08, 1, 0x12, 1, b'a', 0x22, 1, b'b', 0x2a, 1, b's']
        );
    }
}
