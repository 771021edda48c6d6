//! The names that Go has for what TLS negotiates, and what rustls has under them.

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{cipher_suite as suite, kx_group};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// Versions, oldest first; those that are not spoken here have nothing.
pub(super) const VERSIONS: &[(&str, Option<&SupportedProtocolVersion>)] =
    &[("TLS10", None), ("TLS11", None), ("TLS12", Some(&version::TLS12)), ("TLS13", Some(&version::TLS13))];

/// A cipher suite that Go takes for safe.
pub(super) struct Suite {
    pub(super) name: &'static str,
    /// What it is here; nothing if rustls does not have it.
    pub(super) here: Option<SupportedCipherSuite>,
}

const fn suite(name: &'static str, here: Option<SupportedCipherSuite>) -> Suite {
    Suite { name, here }
}

/// The suites of Go's `tls.CipherSuites()`.
pub(super) static SUITES: &[Suite] = &[
    suite("TLS_AES_128_GCM_SHA256", Some(suite::TLS13_AES_128_GCM_SHA256)),
    suite("TLS_AES_256_GCM_SHA384", Some(suite::TLS13_AES_256_GCM_SHA384)),
    suite("TLS_CHACHA20_POLY1305_SHA256", Some(suite::TLS13_CHACHA20_POLY1305_SHA256)),
    suite("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", None),
    suite("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", None),
    suite("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", None),
    suite("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", None),
    suite("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Some(suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)),
    suite("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", Some(suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)),
    suite("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Some(suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256)),
    suite("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", Some(suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)),
    suite(
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        Some(suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
    suite(
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        Some(suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ),
];

/// Either of these is required by HTTP/2 (RFC 9113, 9.2.2).
pub(super) const OF_HTTP2: [&str; 2] =
    ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"];

/// The curves that exporter-toolkit names; those that ring does not have have nothing.
pub(super) static CURVES: &[(&str, Option<&'static dyn SupportedKxGroup>)] = &[
    ("CurveP256", Some(kx_group::SECP256R1)),
    ("CurveP384", Some(kx_group::SECP384R1)),
    ("CurveP521", None),
    ("X25519", Some(kx_group::X25519)),
];

/// Who shows a certificate, by Go's names of policies and an old one of exporter-toolkit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) asks: bool,
    pub(super) requires: bool,
    pub(super) verifies: bool,
}

const fn policy(asks: bool, requires: bool, verifies: bool) -> Policy {
    Policy { asks, requires, verifies }
}

/// The policies, by their names.
pub(super) const POLICIES: &[(&str, Policy)] = &[
    ("NoClientCert", policy(false, false, false)),
    ("RequestClientCert", policy(true, false, false)),
    ("RequireAnyClientCert", policy(true, true, false)),
    ("RequireClientCert", policy(true, true, false)),
    ("VerifyClientCertIfGiven", policy(true, false, true)),
    ("RequireAndVerifyClientCert", policy(true, true, true)),
];
