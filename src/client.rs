//! An HTTP client: what all have in common that ask others.

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
