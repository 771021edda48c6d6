//! Bodies of Prometheus remote write, of both versions, and of OTLP, before they are compressed. It sends nothing and reads no clock.
//!
//! Facts of remote write are those of the specifications 1.0 and 2.0 of prometheus.io: a series has sorted labels with `__name__` among them, samples in
//! the order of their times, times in milliseconds, and a staleness mark is a NaN of fixed bits.

mod otlp;
mod v1;
mod v2;

use std::borrow::Cow;

use crate::decode::text::families::Family;
use crate::promql::{Exemplar, Sample, is_stale};
use crate::protobuf::{fixed64, number};
pub use otlp::{Export, Exports};

/// A label: its name and its value.
pub type Label<'l> = (Cow<'l, str>, Cow<'l, str>);

/// Some samples of one series.
#[derive(Clone, Copy, Debug)]
pub struct Series<'s> {
    /// Sorted by name, each name once.
    pub labels: &'s [Label<'s>],
    /// In the order of their times.
    pub samples: &'s [Sample],
    /// When it began to count, ms, where that is known: samples of that time and later are of this life.
    pub began: Option<i64>,
    /// Observations of the time of the samples, by their times.
    pub exemplars: &'s [Exemplar],
    /// What is known of its family.
    pub family: Option<&'s Family>,
}

impl Series<'_> {
    /// When the series began to count that a sample is of.
    fn began(&self, of: Sample) -> Option<i64> {
        self.began.filter(|began| *began <= of.t && !is_stale(of.v))
    }
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

/// What samples and exemplars of both versions have: a value and a time in milliseconds, at these fields.
fn point(fields: (u32, u32), v: f64, t: i64, out: &mut Vec<u8>) {
    fixed64(fields.0, v.to_bits(), out);
    number(fields.1, t.cast_unsigned(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::text::families::Families;
    use crate::promql::Labels;

    const BARE: Series<'static> =
        Series { labels: &[], samples: &[], began: None, exemplars: &[], family: None };

    fn label(name: &'static str, value: &'static str) -> Label<'static> {
        (name.into(), value.into())
    }

    #[test]
    fn the_first_version_is_what_the_specification_says() {
        let labels = [label("__name__", "up"), label("job", "n")];
        let samples = [Sample { t: 1_000, v: 1.0 }];
        let body = Version::V1.body(&[Series { labels: &labels, samples: &samples, ..BARE }]);
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
        let one = Series { labels: &labels, samples: &samples, family: Some(&family), ..BARE };
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
            let body = version.body(&[Series { labels: &labels, samples: &samples, ..BARE }]);
            let mark = [0x09, 2, 0, 0, 0, 0, 0, 0xf0, 0x7f];
            assert!(body.windows(9).any(|bytes| bytes == mark), "{version:?}: {body:x?}");
        }
    }

    #[test]
    fn exemplars_and_the_begin_are_what_the_specifications_say() {
        let labels = [label("__name__", "n")];
        let of = |t: i64, v: f64| Sample { t, v };
        let exemplars = [Exemplar { labels: Labels::from_pairs([("id", "x")]), v: 1.0, t: 3 }];
        let samples = [of(1, 1.0), of(2, 1.0), of(4, crate::promql::STALE)];
        let series =
            |samples| Series { labels: &labels, samples, began: Some(2), exemplars: &exemplars, ..BARE };
        let one: [u8; 9] = [0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f];
        let first = Version::V1.body(&[series(&samples[..1])]);
        let exemplar =
            [&[0x1a, 20, 0x0a, 7, 0x0a, 2, b'i', b'd', 0x12, 1, b'x', 0x11][..], &one[1..], &[0x18, 3]]
                .concat();
        assert!(first.ends_with(&exemplar), "{first:x?}");
        // What was before the begin is of another life, and the end counts nothing.
        let second = Version::V2.body(&[series(&samples)]);
        let symbols = [0x22, 0, 0x22, 8, b'_', b'_', b'n', b'a', b'm', b'e', b'_', b'_', 0x22, 1, b'n'];
        let symbols = [&symbols[..], &[0x22, 2, b'i', b'd', 0x22, 1, b'x']].concat();
        let written = [
            &[0x0a, 2, 1, 2, 0x12, 11][..],
            &one,
            &[0x10, 1],
            &[0x12, 13],
            &one,
            &[0x10, 2, 0x18, 2],
            &[0x12, 11, 0x09, 2, 0, 0, 0, 0, 0, 0xf0, 0x7f, 0x10, 4],
            &[0x22, 15, 0x0a, 2, 3, 4, 0x11],
            &one[1..],
            &[0x18, 3],
        ]
        .concat();
        let want = |written: &[u8]| [&symbols, &[0x2a, written.len() as u8][..], written].concat();
        assert_eq!(second, want(&written));
        // Where all are of this life, the series says so as well.
        let second = Version::V2.body(&[series(&samples[1..2])]);
        assert!(second.ends_with(&[0x18, 3, 0x30, 2]), "{second:x?}");
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
