//! Where an endpoint is, and the client that asks there.
//!
//! It asks nothing by itself.

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};

use super::{Settings, sensitive};
use crate::client::{self, causes};
use crate::secret::{Link, Value};
use crate::source::names::Names;
use crate::sys::file;

/// Redirects that are followed within a host.
const REDIRECTS: usize = 3;
/// Bytes a file with certificates may have.
const CERTIFICATES: u64 = 4 << 20;

/// An address, and the client for it.
#[derive(Debug)]
pub(super) struct Endpoint {
    link: Link,
    pub(super) url: Url,
    /// The address as it may be printed.
    pub(super) shown: String,
    pub(super) client: Client,
}

impl Endpoint {
    /// Checks the address and reads the certificates. Sends nothing.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn open(settings: &Settings, link: Link) -> Result<Self, String> {
        let name = &settings.name;
        let url: Url = link.expose().parse().map_err(|why| {
            format!(
                "cannot scrape \"{name}\": its url is not one ({why}); write it as http://host:port/metrics"
            )
        })?;
        let shown = link.shown();
        let wrong = |why: String| format!("cannot scrape {shown}: {why}");
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("unsupported scheme; use http or https".into()));
        }
        let named = !(url.username().is_empty() && url.password().is_none());
        let ways = [
            ("a user in its url", named),
            ("a bearer_token_file", settings.bearer_token_file.is_some()),
            ("a basic user", settings.basic.is_some()),
            (
                "a header Authorization",
                settings.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")),
            ),
        ];
        let ways: Vec<_> = ways.into_iter().filter(|(_, there)| *there).map(|(way, _)| way).collect();
        if ways.len() > 1 {
            return Err(wrong(format!("it has {}; keep one", ways.join(" and "))));
        }
        let client = client(settings, &url).map_err(wrong)?;
        Ok(Self { link, url, shown, client })
    }

    /// Whether this is its address.
    pub(super) fn is_at(&self, link: &str) -> bool {
        self.link.expose() == link
    }
}

/// A client that keeps its connection and goes nowhere else.
fn client(settings: &Settings, url: &Url) -> Result<Client, String> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let seconds = settings.timeout.0.as_secs_f64().to_string();
    if let Ok(seconds) = HeaderValue::from_str(&seconds) {
        headers.insert(HeaderName::from_static("x-prometheus-scrape-timeout-seconds"), seconds);
    }
    for (name, value) in &settings.headers {
        let header =
            HeaderName::try_from(name).map_err(|_| format!("\"{name}\" is not the name of a header"))?;
        let Value::Text(value) = value else { continue };
        if matches!(header.as_str(), "authorization" | "proxy-authorization" | "cookie") {
            return Err(format!(
                "the header \"{name}\" is a secret; put it into a file and write {{value_file: FILE}}"
            ));
        }
        headers.insert(header, sensitive(value.expose(), || format!("the value of the header \"{name}\""))?);
    }
    let origin = url.origin();
    let policy = Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS {
            attempt.error("it redirects in circles")
        } else if attempt.url().origin() != origin {
            attempt.error("it redirects to another host")
        } else {
            attempt.follow()
        }
    });
    let http = client::builder()
        .default_headers(headers)
        .redirect(policy)
        .no_proxy()
        .dns_resolver(Names)
        .timeout(settings.timeout.0)
        .pool_max_idle_per_host(1);
    let mut trusted = None;
    if let Some(file) = &settings.ca_file {
        let certificates = file::read(file, CERTIFICATES)
            .map_err(|why| why.to_string())
            .and_then(|pem| Certificate::from_pem_bundle(&pem).map_err(|why| causes(&why)))
            .map_err(|why| format!("cannot read certificates from {}: {why}", file.display()))?;
        if certificates.is_empty() {
            return Err(format!("cannot find a certificate in {}; it must be PEM", file.display()));
        }
        trusted = Some(certificates);
    }
    client::trusting(http, trusted, url).build().map_err(|why| causes(&why))
}
