//! An exemplar: one observation of a series, with labels of its own, which say which trace it belongs to.

use super::Labels;
use super::notation::read_labels;

/// One observation of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// What it is found by elsewhere: `trace_id`.
    pub labels: Labels,
    /// What was observed.
    pub v: f64,
    /// When, in milliseconds since the epoch.
    pub t: i64,
}

impl Exemplar {
    /// One from its text in a scrape: `{trace_id="…"} value seconds`. Nothing where it is no such text.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (rest, seconds) = text.rsplit_once(' ')?;
        let (labels, value) = rest.rsplit_once(' ')?;
        let ms = seconds.parse::<f64>().ok()? * 1000.0;
        let t = (ms.abs() < 9e15).then_some(ms.round() as i64)?;
        Some(Self { labels: read_labels(labels).ok()?, v: value.parse().ok()?, t })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_a_scrape_shows_it() {
        let read = Exemplar::read(r#"{span_id="b",trace_id="a} \"1"} 0.5 1764460800.123"#).unwrap();
        let labels = Labels::from_pairs([("trace_id", "a} \"1"), ("span_id", "b")]);
        assert_eq!(read, Exemplar { labels, v: 0.5, t: 1_764_460_800_123 });
        for wrong in
            ["", "{} 1", r#"{trace_id="a"} 1 noon"#, r#"{trace_id="a"} x 1"#, "trace 1 1e300", "{a 1 1"]
        {
            assert_eq!(Exemplar::read(wrong), None, "{wrong}");
        }
    }
}
