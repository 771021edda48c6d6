//! What a scraper wants: format and compression, by the weights it gives.

use hyper::HeaderMap;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};

use crate::metrics::Format;

/// The format a scraper gets, and what the reply calls it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Negotiated {
    pub format: Format,
    pub content_type: String,
}

/// The best format that is both wanted and known; the classic one if there is none.
pub(super) fn format(headers: &HeaderMap) -> Negotiated {
    let mut best: Option<(f64, Negotiated)> = None;
    for item in items(headers, &ACCEPT) {
        let mut parts = item.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let mut weight = 1.0;
        let (mut version, mut escaping) = ("", "");
        for (name, value) in parts.filter_map(|p| p.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => weight = value.trim().parse().unwrap_or(0.0),
                "version" => version = value.trim_matches('"'),
                "escaping" => escaping = value.trim_matches('"'),
                _ => {}
            }
        }
        let Some(wanted) = offer(&kind, version, escaping) else { continue };
        if weight > best.as_ref().map_or(0.0, |b| b.0) {
            best = Some((weight, wanted));
        }
    }
    best.map_or_else(classic, |b| b.1)
}

fn classic() -> Negotiated {
    Negotiated {
        format: Format::Classic,
        content_type: "text/plain; version=0.0.4; charset=utf-8".to_owned(),
    }
}

/// What an item of the `Accept` header gets. Our names are ASCII, so every escaping scheme gives
/// the same text.
fn offer(kind: &str, version: &str, escaping: &str) -> Option<Negotiated> {
    let scheme = match escaping {
        "allow-utf-8" | "underscores" | "dots" | "values" => format!("; escaping={escaping}"),
        _ => String::new(),
    };
    match (kind, version) {
        ("application/openmetrics-text", "" | "1.0.0" | "0.0.1") => {
            let version = if version.is_empty() { "1.0.0" } else { version };
            let content_type =
                format!("application/openmetrics-text; version={version}; charset=utf-8{scheme}");
            Some(Negotiated { format: Format::OpenMetrics, content_type })
        }
        ("text/plain", "1.0.0") => {
            let content_type = format!("text/plain; version=1.0.0; charset=utf-8{scheme}");
            Some(Negotiated { format: Format::Classic, content_type })
        }
        ("text/plain", "" | "0.0.4") | ("text/*" | "*/*", _) => Some(classic()),
        _ => None,
    }
}

/// Whether a browser asks, which shows what it gets to a person: programs do not ask for HTML.
pub(super) fn html(headers: &HeaderMap) -> bool {
    items(headers, &ACCEPT)
        .any(|item| item.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html")))
}

/// How much a client wants a media type, from 0 to 1: what fits it best counts. Who says nothing takes anything.
fn weight(headers: &HeaderMap, wanted: &str) -> f64 {
    let mut best: Option<(u8, f64)> = None;
    let mut said = false;
    for item in items(headers, &ACCEPT).filter(|item| !item.is_empty()) {
        said = true;
        let mut parts = item.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let q = parts
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        let q = q.map_or(1.0, |(_, q)| q.trim().parse().unwrap_or(0.0));
        let group = kind.strip_suffix('*').filter(|group| group.ends_with('/'));
        let fit = match group {
            Some("*/") => 1,
            Some(group) if wanted.starts_with(group) => 2,
            None if kind == wanted => 3,
            _ => continue,
        };
        if best.is_none_or(|(known, _)| fit > known) {
            best = Some((fit, q));
        }
    }
    best.map_or(if said { 0.0 } else { 1.0 }, |(_, q)| q)
}

/// Whether a client takes what is offered under one of these media types.
pub(super) fn takes<'k>(headers: &HeaderMap, kinds: impl IntoIterator<Item = &'k str>) -> bool {
    kinds.into_iter().any(|kind| weight(headers, kind.split(';').next().unwrap_or_default()) > 0.0)
}

/// Whether a client would rather have events as they come than one answer.
pub(super) fn events(headers: &HeaderMap) -> bool {
    weight(headers, "text/event-stream") > weight(headers, "application/json")
}

/// Whether the scraper takes gzip, and does not rather have the text as it is.
pub(super) fn gzip(headers: &HeaderMap) -> bool {
    let (mut packed, mut plain) = (0.0, 0.0);
    for item in items(headers, &ACCEPT_ENCODING) {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = parameters
            .split(';')
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
            .map_or(1.0, |(_, weight)| weight.trim().parse::<f64>().unwrap_or(0.0));
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => packed = weight,
            "identity" => plain = weight,
            _ => {}
        }
    }
    packed > 0.0 && packed >= plain
}

fn items<'h>(headers: &'h HeaderMap, name: &'h HeaderName) -> impl Iterator<Item = &'h str> {
    headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(accept: &str) -> (Format, String) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        let wanted = format(&headers);
        (wanted.format, wanted.content_type)
    }

    #[test]
    fn the_heaviest_known_format_wins() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          application/openmetrics-text;version=0.0.1;q=0.5,\
                          text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(wants(prometheus), (Format::OpenMetrics, format!("{open}; escaping=allow-utf-8")));
        assert_eq!(wants("Application/OpenMetrics-Text; Q=0.9, text/plain;q=0.2").0, Format::OpenMetrics);
        assert_eq!(wants("TEXT/PLAIN;VERSION=0.0.4").0, Format::Classic);
        assert_eq!(wants("application/openmetrics-text"), (Format::OpenMetrics, open.to_owned()));
        let classic = (Format::Classic, "text/plain; version=0.0.4; charset=utf-8".to_owned());
        for accept in
            ["*/*", "text/html, */*;q=0.1", "image/png", "application/openmetrics-text;version=9.0.0", ""]
        {
            assert_eq!(wants(accept), classic, "{accept}");
        }
        assert_eq!(wants("application/openmetrics-text;q=0.1,text/plain;q=0.9"), classic);
        assert_eq!(wants("application/openmetrics-text;q=0"), classic);
    }

    #[test]
    fn what_fits_best_counts() {
        let of = |accept: &str, kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            weight(&headers, kind)
        };
        for (accept, json, stream) in [
            ("", 1.0, 1.0),
            ("*/*", 1.0, 1.0),
            ("application/json", 1.0, 0.0),
            ("text/event-stream", 0.0, 1.0),
            ("text/*;q=0.5, */*;q=0.1", 0.1, 0.5),
            ("text/event-stream;q=0, text/*", 0.0, 0.0),
            ("image/png", 0.0, 0.0),
            ("application/*; q=x", 0.0, 0.0),
            ("Application/JSON ; Q=0.3", 0.3, 0.0),
        ] {
            assert_eq!(
                (of(accept, "application/json"), of(accept, "text/event-stream")),
                (json, stream),
                "{accept}"
            );
        }
        assert_eq!(weight(&HeaderMap::new(), "application/json"), 1.0);
    }

    #[test]
    fn gzip_is_taken_by_its_name() {
        for (value, want) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip;q=0.5, identity;q=1", false),
            ("identity; q=0.5, GZIP ; Q=0.8", true),
            ("gzip, identity", true),
            ("gzip;q=x", false),
            ("identity", false),
            ("br", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            assert_eq!(gzip(&headers), want, "{value}");
        }
    }
}
