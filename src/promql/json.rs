//! Answers and errors as Prometheus' HTTP API writes them.
//!
//! Facts: `web/api/v1` and `util/jsonutil` of Prometheus. Times are seconds with three digits or none; values are text, with an
//! exponent where they are very small or large.

use std::fmt::Write;

use super::error::{Error, Kind};
use super::eval::{Answer, Value, When};
use super::labels::Labels;
use super::text;

/// The most warnings, and the most infos, of an answer.
const NOTES: usize = 10;

/// The whole body of a successful answer.
#[must_use]
pub fn success(answer: &Answer, when: When) -> String {
    let mut out = String::from("{\"status\":\"success\",\"data\":");
    write_data(&mut out, &answer.value, when);
    for (name, notes, kind) in [("warnings", &answer.warnings, "warning"), ("infos", &answer.infos, "info")] {
        if notes.is_empty() {
            continue;
        }
        let _ = write!(out, ",\"{name}\":[");
        let rest = notes.len().saturating_sub(NOTES);
        let more = (rest > 0).then(|| format!("{rest} more {kind} annotations omitted"));
        for (i, note) in notes.iter().take(NOTES).chain(&more).enumerate() {
            comma(&mut out, i);
            write_string(&mut out, note);
        }
        out.push(']');
    }
    out.push('}');
    out
}

/// The whole body of an answer that is an error.
#[must_use]
pub fn failure(error: &Error) -> String {
    let mut out = String::from("{\"status\":\"error\",\"errorType\":");
    write_string(&mut out, error.kind.name());
    out.push_str(",\"error\":");
    write_string(&mut out, &error.text);
    out.push('}');
    out
}

impl Kind {
    /// What the API calls it: `bad_data`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "bad_data",
            Self::Execution | Self::Limit => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Storage => "internal",
        }
    }

    /// The status of the HTTP answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Execution | Self::Limit => 422,
            Self::Timeout => 503,
            Self::Canceled => 499,
            Self::Storage => 500,
        }
    }
}

/// A value with its type: `{"resultType":"vector","result":[…]}`.
pub fn write_data(out: &mut String, value: &Value, when: When) {
    let (time, _) = when.bounds();
    let kind = match value {
        Value::Scalar(_) => "scalar",
        Value::Text(_) => "string",
        Value::Vector(_) => "vector",
        Value::Matrix(_) => "matrix",
    };
    let _ = write!(out, "{{\"resultType\":\"{kind}\",\"result\":[");
    match value {
        Value::Scalar(number) => {
            let _ = write!(out, "{},\"{}\"", time as f64 / 1000.0, text::number(*number));
        }
        Value::Text(text) => {
            let _ = write!(out, "{},", time as f64 / 1000.0);
            write_string(out, text);
        }
        Value::Vector(elements) => {
            for (i, element) in elements.iter().enumerate() {
                comma(out, i);
                out.push_str("{\"metric\":");
                write_labels(out, &element.labels);
                out.push_str(",\"value\":");
                write_sample(out, time, element.value);
                out.push('}');
            }
        }
        Value::Matrix(series) => {
            for (i, series) in series.iter().enumerate() {
                comma(out, i);
                out.push_str("{\"metric\":");
                write_labels(out, &series.labels);
                out.push_str(",\"values\":[");
                for (i, sample) in series.samples.iter().enumerate() {
                    comma(out, i);
                    write_sample(out, sample.t, sample.v);
                }
                out.push_str("]}");
            }
        }
    }
    out.push_str("]}");
}

/// Labels as an object.
pub fn write_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (i, (name, value)) in labels.iter().enumerate() {
        comma(out, i);
        write_string(out, name);
        out.push(':');
        write_string(out, value);
    }
    out.push('}');
}

/// A text in quotes.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn comma(out: &mut String, place: usize) {
    if place > 0 {
        out.push(',');
    }
}

fn write_sample(out: &mut String, t: i64, value: f64) {
    let (sign, t) = (if t < 0 { "-" } else { "" }, t.unsigned_abs());
    let _ = write!(out, "[{sign}{}", t / 1000);
    if !t.is_multiple_of(1000) {
        let _ = write!(out, ".{:03}", t % 1000);
    }
    out.push_str(",\"");
    let size = value.abs();
    if value.is_finite() && size != 0.0 && !(1e-6..1e21).contains(&size) {
        out.push_str(&text::exponent(value));
    } else if value.is_finite() {
        let _ = write!(out, "{value}");
    } else {
        out.push_str(&text::number(value));
    }
    out.push_str("\"]");
}

#[cfg(test)]
mod tests {
    use super::super::eval::{Element, Series};
    use super::super::sample::Sample;
    use super::*;

    fn data(value: &Value, when: When) -> String {
        let mut out = String::new();
        write_data(&mut out, value, when);
        out
    }

    #[test]
    fn values_are_written_as_prometheus_writes_them() {
        let when = When::At(1_435_781_451_078);
        let element =
            |value| Element { labels: Labels::from_pairs([("__name__", "up"), ("a", "\"<\n")]), value };
        let vector = Value::Vector(vec![element(1.0), element(1e-7), element(f64::INFINITY)]);
        let metric = r#"{"__name__":"up","a":"\"<\n"}"#;
        let one = |value: &str| format!(r#"{{"metric":{metric},"value":[1435781451.078,"{value}"]}}"#);
        let expected =
            format!(r#"{{"resultType":"vector","result":[{},{},{}]}}"#, one("1"), one("1e-07"), one("+Inf"));
        assert_eq!(data(&vector, when), expected);
        let samples = vec![Sample { t: 1000, v: f64::NAN }, Sample { t: -1005, v: 1e21 }];
        let matrix = Value::Matrix(vec![Series { labels: Labels::empty(), samples }]);
        let expected =
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"NaN"],[-1.005,"1e+21"]]}]}"#;
        assert_eq!(data(&matrix, when), expected);
        let scalar = data(&Value::Scalar(1e21), When::At(1500));
        assert_eq!(scalar, r#"{"resultType":"scalar","result":[1.5,"1000000000000000000000"]}"#);
        let text = data(&Value::Text("é".into()), When::At(0));
        assert_eq!(text, r#"{"resultType":"string","result":[0,"é"]}"#);
    }

    #[test]
    fn notes_are_there_where_there_are_any() {
        let answer = |count: usize| {
            let warnings = (0..count).map(|i| i.to_string()).collect();
            let answer = Answer { value: Value::Vector(Vec::new()), warnings, infos: Vec::new(), peak: 0 };
            success(&answer, When::At(0))
        };
        let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}"#;
        assert_eq!(answer(0), format!("{empty}}}"));
        assert_eq!(answer(1), format!("{empty},\"warnings\":[\"0\"]}}"));
        assert!(answer(12).ends_with(r#""9","2 more warning annotations omitted"]}"#));
    }

    #[test]
    fn errors_have_kinds() {
        let error = Error::invalid("1:1: parse error: \"x\"");
        let expected = r#"{"status":"error","errorType":"bad_data","error":"1:1: parse error: \"x\""}"#;
        assert_eq!(failure(&error), expected);
    }
}
