//! The web configuration file as it is written: the sections and keys of exporter-toolkit.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::document::Format;
use crate::secret::Secret;
use crate::setting::Invalid;

/// TLS, HTTP, users and rate of the HTTP server, as Prometheus and its exporters are told them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Web configuration of neural-exporter")]
pub(super) struct Settings {
    /// The certificate of the server, and what is asked of clients.
    pub(super) tls_server_config: Option<Tls>,
    /// HTTP/2 and headers.
    pub(super) http_server_config: Option<Http>,
    /// Users and their passwords, hashed with bcrypt.
    pub(super) basic_auth_users: Option<BTreeMap<String, Secret>>,
    /// How many requests are answered.
    pub(super) rate_limit: Option<RateLimit>,
}

/// `tls_server_config`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tls {
    /// The certificate and those between it and an authority, PEM.
    pub(super) cert: Option<String>,
    /// Its key, PEM.
    pub(super) key: Option<Secret>,
    /// The authorities of clients' certificates, PEM.
    pub(super) client_ca: Option<String>,
    /// The file with the certificate.
    pub(super) cert_file: Option<PathBuf>,
    /// The file with the key.
    pub(super) key_file: Option<PathBuf>,
    /// Which certificate a client must show.
    pub(super) client_auth_type: Option<String>,
    /// The file with the authorities of clients' certificates.
    pub(super) client_ca_file: Option<PathBuf>,
    /// One of these names must be in a client's certificate.
    pub(super) client_allowed_sans: Option<Vec<String>>,
    /// The cipher suites of TLS 1.2.
    pub(super) cipher_suites: Option<Vec<String>>,
    /// The curves of the key exchange.
    pub(super) curve_preferences: Option<Vec<String>>,
    /// The oldest version.
    pub(super) min_version: Option<String>,
    /// The newest version.
    pub(super) max_version: Option<String>,
    /// Whether the order of the server's suites decides; true if omitted.
    pub(super) prefer_server_cipher_suites: Option<bool>,
}

/// `http_server_config`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Http {
    /// HTTP/2 where TLS is on; true if omitted.
    pub(super) http2: Option<bool>,
    /// Headers of every response.
    pub(super) headers: Option<BTreeMap<String, Scalar>>,
}

/// `rate_limit`: a token bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RateLimit {
    /// The time from one request to the next; 0 for no limit.
    pub(super) interval: GoDuration,
    /// How many may come at once.
    pub(super) burst: u32,
}

/// A plain value as its text, as Go's reader of YAML takes one where it wants a text: `X-XSS-Protection: 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scalar(pub(super) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// A time as Go writes it: `1s`, `1m30s`, `250ms`, or a number of nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GoDuration(pub(super) Duration);

/// The units of Go's durations, in nanoseconds; what begins another one stands behind it.
const UNITS: [(&str, f64); 7] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];

impl FromStr for GoDuration {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            Invalid::new(format!("\"{text}\" is not a duration")).hint("write it as 1s, 250ms or 1m30s, or 0")
        };
        let (mut rest, mut all) = (text, 0.0);
        while !rest.is_empty() && rest != "0" {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let (number, unit) = rest.split_at(end);
            let number: f64 = number.parse().map_err(|_| wrong())?;
            let after = |(name, scale): &(&str, f64)| Some((unit.strip_prefix(name)?, *scale));
            let (after, scale) = UNITS.iter().find_map(after).ok_or_else(wrong)?;
            all += number * scale;
            rest = after;
        }
        if text.is_empty() {
            return Err(wrong());
        }
        Duration::try_from_secs_f64(all / 1e9).map(Self).map_err(|_| wrong())
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = GoDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 1s")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<GoDuration, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E>(self, nanoseconds: u64) -> Result<GoDuration, E> {
                Ok(GoDuration(Duration::from_nanos(nanoseconds)))
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for GoDuration {
    fn schema_name() -> Cow<'static, str> {
        "GoDuration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "format": "go-duration", "minimum": 0 })
    }
}

/// The named forms of text in the file.
pub(super) const FORMATS: &[Format] = &[Format {
    name: "go-duration",
    noun: "a duration such as 1s",
    check: |text| text.parse::<GoDuration>().map(drop),
}];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        let read = |text: &str| text.parse::<GoDuration>().ok().map(|read| read.0.as_nanos());
        for (text, nanoseconds) in [
            ("0", 0),
            ("1s", 1_000_000_000),
            ("1m30s", 90_000_000_000),
            ("250ms", 250_000_000),
            ("1.5h", 5_400_000_000_000),
            ("10us", 10_000),
            ("7ns", 7),
        ] {
            assert_eq!(read(text), Some(nanoseconds), "{text}");
        }
        for text in ["", "1", "1d", "s", "-1s", "1s 2s", "1..2s", "one"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
