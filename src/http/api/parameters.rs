//! What a question of the API says: the parameters of its URL and of its form, read as Prometheus reads them.

use std::time::Duration;

use hyper::http::request::Parts;

use super::TIMEOUT;
use crate::promql::{self, Error, Kind, Matcher};

/// The parameters of a request, of its URL and of a form in its body.
#[derive(Debug, Default)]
pub(in super::super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(in super::super) fn read(request: &Parts, body: &[u8]) -> Self {
        let form = request.headers.get(hyper::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let form = form.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let body = if form { body } else { &[] };
        let parts = [body, request.uri.query().unwrap_or_default().as_bytes()];
        Self(
            parts
                .iter()
                .flat_map(|part| form_urlencoded::parse(part))
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }

    pub(in super::super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| &**value)
            .filter(|value| !value.is_empty())
    }

    /// Each value of a parameter that may be given more than once.
    pub(in super::super) fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// Whether it was given several times, with different values.
    pub(in super::super) fn is_ambiguous(&self, name: &str) -> bool {
        let mut values = self.all(name);
        values.next().is_some_and(|first| values.any(|other| other != first))
    }

    /// A time in seconds or RFC 3339, as milliseconds.
    pub(in super::super) fn time(&self, name: &str) -> Result<Option<i64>, Error> {
        let Some(text) = self.get(name) else { return Ok(None) };
        time(text)
            .map(Some)
            .ok_or_else(|| invalid(name, &format!("cannot parse {text:?} to a valid timestamp")))
    }

    pub(super) fn required_time(&self, name: &str) -> Result<i64, Error> {
        self.time(name)?.ok_or_else(|| invalid(name, "cannot parse \"\" to a valid timestamp"))
    }

    /// A duration in seconds or as in an expression, as milliseconds.
    pub(in super::super) fn duration(&self, name: &str) -> Result<Option<i64>, Error> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let seconds = text.parse::<f64>().ok().map(|seconds| seconds * 1000.0);
        let ms = seconds.filter(|ms| ms.is_finite() && ms.abs() < 9e15).map(|ms| ms as i64);
        ms.or_else(|| promql::read_duration(text).ok())
            .map(Some)
            .ok_or_else(|| invalid(name, &format!("cannot parse {text:?} to a valid duration")))
    }

    /// How many results at most; 0 is all of them.
    pub(in super::super) fn limit(&self) -> Result<usize, Error> {
        let Some(text) = self.get("limit") else { return Ok(0) };
        text.parse().map_err(|_| invalid("limit", "limit must be non-negative"))
    }

    pub(super) fn selectors(&self) -> Result<Vec<Vec<Matcher>>, Error> {
        promql::parse_selectors(self.all("match[]")).map_err(|error| invalid("match[]", &error.text))
    }

    pub(super) fn timeout(&self) -> Result<Duration, Error> {
        let asked =
            self.duration("timeout")?.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
        Ok(asked.map_or(TIMEOUT, |asked| asked.min(TIMEOUT)))
    }
}

/// A parameter that cannot be read, in Prometheus' words.
pub(super) fn invalid(name: &str, why: &str) -> Error {
    Error { kind: Kind::Invalid, text: format!("invalid parameter {name:?}: {why}") }
}

/// A time in seconds since the epoch, or RFC 3339, as milliseconds.
fn time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds * 1000.0).round();
        return (ms.abs() < 9e15).then_some(ms as i64);
    }
    promql::read_moment(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_twice_is_ambiguous() {
        let request = hyper::Request::get("/?a=1&a=x&b=1&b=1&c=1").body(()).unwrap().into_parts().0;
        let given = Parameters::read(&request, &[]);
        assert_eq!(["a", "b", "c", "d"].map(|name| given.is_ambiguous(name)), [true, false, false, false]);
    }

    #[test]
    fn times_are_read_as_prometheus_reads_them() {
        for (text, ms) in [
            ("0", Some(0)),
            ("1435781451.781", Some(1_435_781_451_781)),
            ("2015-07-01T20:10:51.781Z", Some(1_435_781_451_781)),
            ("2015-07-01T22:10:51.781+02:00", Some(1_435_781_451_781)),
            ("1969-12-31T23:59:59Z", Some(-1000)),
            ("2000-02-29T00:00:00Z", Some(951_782_400_000)),
            ("yesterday", None),
            ("2015-13-01T20:10:51Z", None),
            ("2015-07-01", None),
            ("NaN", None),
            ("1e300", None),
        ] {
            assert_eq!(time(text), ms, "{text}");
        }
    }
}
