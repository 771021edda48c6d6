//! Samples as lines of text: OpenMetrics with times, CSV, JSON lines. What `history export` writes is what `history import` reads.
//!
//! A staleness mark, which says that a series ended, is a missing value in CSV and JSON. OpenMetrics has no way to write one: a series that
//! is imported from it ends five minutes after its last sample.

use std::io::{self, Write};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::history::timed;
use crate::promql::{self, Labels, STALE, Sample, read_labels};

/// The form of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Lines of OpenMetrics with times, as `promtool tsdb create-blocks-from openmetrics` reads them. They do not say where a series ended.
    Openmetrics,
    /// A line a sample: series, seconds, value. The value is empty where the series ended.
    Csv,
    /// An object for some thousand samples of a series: labels, times in ms, values. A value is null where the series ended.
    Jsonl,
}

/// Samples of a JSON line at most.
const ROW: usize = 10_000;

/// Writes the samples of a series.
///
/// # Errors
/// Those of the output.
pub fn write_series(out: &mut impl Write, labels: &Labels, samples: &[Sample], form: Form) -> io::Result<()> {
    let text = labels.metric();
    let seconds = |sample: &Sample| sample.t as f64 / 1000.0;
    match form {
        Form::Openmetrics => samples
            .iter()
            .filter(|sample| !promql::is_stale(sample.v))
            .try_for_each(|sample| writeln!(out, "{text} {} {}", promql::number(sample.v), seconds(sample))),
        Form::Csv => {
            let text = text.replace('"', "\"\"");
            samples
                .iter()
                .try_for_each(|sample| writeln!(out, "\"{text}\",{},{}", seconds(sample), value(sample, "")))
        }
        Form::Jsonl => samples.chunks(ROW).try_for_each(|samples| {
            let mut text = String::from("{\"metric\":");
            promql::json::write_labels(&mut text, labels);
            let times: Vec<String> = samples.iter().map(|sample| sample.t.to_string()).collect();
            let values: Vec<String> = samples.iter().map(json_value).collect();
            writeln!(out, "{text},\"timestamps\":[{}],\"values\":[{}]}}", times.join(","), values.join(","))
        }),
    }
}

/// JSON has numbers that are finite; the others are texts, as VictoriaMetrics writes and reads them.
fn json_value(sample: &Sample) -> String {
    match sample.v {
        v if v.is_finite() => promql::number(v),
        f64::INFINITY => "\"Infinity\"".to_owned(),
        f64::NEG_INFINITY => "\"-Infinity\"".to_owned(),
        v if promql::is_stale(v) => "null".to_owned(),
        _ => "\"NaN\"".to_owned(),
    }
}

fn value(sample: &Sample, mark: &str) -> String {
    if promql::is_stale(sample.v) { mark.to_owned() } else { promql::number(sample.v) }
}

/// What a line of one of the forms says. Nothing where it is none.
pub(super) fn read(line: &str) -> Option<(Labels, Vec<Sample>)> {
    match line.as_bytes().first()? {
        b'{' => json(line),
        b'"' => csv(line),
        _ => {
            let (name, v, t) = timed(line)?;
            Some((read_labels(name).ok()?, vec![Sample { t, v }]))
        }
    }
}

fn csv(line: &str) -> Option<(Labels, Vec<Sample>)> {
    let (name, rest) = line.strip_prefix('"')?.rsplit_once("\",")?;
    let (seconds, value) = rest.split_once(',')?;
    let ms = (seconds.parse::<f64>().ok()? * 1000.0).round();
    let v = if value.is_empty() { STALE } else { value.parse().ok()? };
    let labels = read_labels(&name.replace("\"\"", "\"")).ok()?;
    (ms.abs() < 9e15).then(|| (labels, vec![Sample { t: ms as i64, v }]))
}

/// A line of ours, and of VictoriaMetrics' `/api/v1/export`.
#[derive(Deserialize)]
struct Row<'l> {
    metric: std::collections::BTreeMap<String, String>,
    timestamps: Vec<i64>,
    #[serde(borrow)]
    values: Vec<&'l RawValue>,
}

fn json(line: &str) -> Option<(Labels, Vec<Sample>)> {
    let row: Row<'_> = serde_json::from_str(line).ok()?;
    if row.timestamps.len() != row.values.len() {
        return None;
    }
    let value = |raw: &RawValue| match raw.get() {
        "null" => Some(STALE),
        text => text.trim_matches('"').parse().ok(),
    };
    let pairs = row.timestamps.iter().zip(&row.values);
    let samples: Option<Vec<Sample>> = pairs
        .map(|(&t, raw)| Some(Sample { t, v: value(raw)? }).filter(|s| s.t.abs() < 9_000_000_000_000_000))
        .collect();
    Some((Labels::from_pairs(row.metric), samples?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        Labels::from_pairs([("__name__", "a_total"), ("x", "q\"u,o\\te\n"), ("y", "1;y=2")])
    }

    fn written(samples: &[Sample], form: Form) -> String {
        let mut out = Vec::new();
        write_series(&mut out, &labels(), samples, form).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let values = [0.1, 1e300, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, STALE, 5e-324];
        let samples: Vec<Sample> = values
            .iter()
            .zip(0..)
            .map(|(v, at)| Sample { t: 1_764_460_800_005 + at * 5_001, v: *v })
            .collect();
        for form in [Form::Openmetrics, Form::Csv, Form::Jsonl] {
            let mut found = Vec::new();
            for line in written(&samples, form).lines() {
                let (of, samples) = read(line).unwrap_or_else(|| panic!("{line}"));
                assert_eq!(of, labels(), "{line}");
                found.extend(samples);
            }
            let kept = |sample: &&Sample| form != Form::Openmetrics || !promql::is_stale(sample.v);
            let bits = |sample: &Sample| (sample.t, sample.v.to_bits());
            let expected: Vec<_> = samples.iter().filter(kept).map(bits).collect();
            assert_eq!(found.iter().map(bits).collect::<Vec<_>>(), expected, "{form:?}");
        }
    }

    #[test]
    fn a_series_of_many_samples_is_several_rows() {
        let samples: Vec<Sample> = (0..25_000).map(|t| Sample { t, v: 1.0 }).collect();
        let text = written(&samples, Form::Jsonl);
        let rows: Vec<usize> = text.lines().map(|line| read(line).unwrap().1.len()).collect();
        assert_eq!(rows, [ROW, ROW, 5_000]);
    }

    #[test]
    fn what_is_no_sample_is_refused() {
        for line in [
            "",
            "a",
            "a 1",
            "a 1 noon",
            "{",
            "{}",
            r#"{"metric":{"__name__":"a"},"timestamps":[1],"values":[]}"#,
            r#"{"metric":{"__name__":"a"},"timestamps":[1],"values":["x"]}"#,
            r#"{"metric":{"__name__":"a"},"timestamps":[1.5],"values":["1"]}"#,
            r#"{"metric":{"__name__":7},"timestamps":[1],"values":["1"]}"#,
            r#"{"metric":{"__name__":"a"},"timestamps":[9223372036854775807],"values":["1"]}"#,
            r#""a",1"#,
            r#""a",,1"#,
            r#""a{",1,1"#,
            r#""a",1e300,1"#,
        ] {
            assert!(read(line).is_none(), "{line}");
        }
        // As VictoriaMetrics exports it.
        let (_, samples) =
            read(r#"{"metric":{"__name__":"up"},"values":[1,null],"timestamps":[10,20]}"#).unwrap();
        assert!(samples[0] == Sample { t: 10, v: 1.0 } && promql::is_stale(samples[1].v));
    }
}
