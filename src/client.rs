//! An HTTP client: what all have in common that ask others.

use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, ClientBuilder, Url};

/// A client that names the agent, tells nobody where it came from, and speaks TLS; by HTTP/1.1, unless who builds it wants another.
pub fn builder() -> ClientBuilder {
    // A provider that is installed already is fine with us.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("neural-exporter/", env!("CARGO_PKG_VERSION")))
        .referer(false)
        .http1_only()
}

/// Trusts these certificates alone, or those of the system, if servers at `url` have any.
pub fn trusting(client: ClientBuilder, certificates: Option<Vec<Certificate>>, url: &Url) -> ClientBuilder {
    match certificates {
        Some(certificates) => client.tls_certs_only(certificates),
        // Without TLS the certificates of the system need not even exist.
        None if url.scheme() == "http" => client.tls_certs_only([]),
        None => client,
    }
}

/// An error with what caused it, on one line.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// How long a server wants to be left alone: it says so in seconds or as a date, which is compared with the wall clock, ns.
#[must_use]
pub fn retry_after(headers: &HeaderMap, wall: u64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(UNIX_EPOCH).ok()?.saturating_sub(Duration::from_nanos(wall)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_asks_for_a_pause_in_seconds_or_until_a_date() {
        let of = |text: &str| {
            retry_after(
                &HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]),
                784_111_770_000_000_000,
            )
        };
        assert_eq!(of(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(of("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO), "what is past is over");
        for bad in ["", "-1", "soon", "Sun, 06 Nov 1994 08 GMT"] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), 0), None);
    }
}
