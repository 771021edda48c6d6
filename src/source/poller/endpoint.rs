//! Where an HTTP endpoint is, the client that asks there, and what its requests carry.
//!
//! It asks nothing by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Url};

use crate::client::{self, causes};
use crate::secret::{Basic, Link, Value, base64};
use crate::source::aside::apart;
use crate::source::names::Names;
use crate::source::small;
use crate::sys::file;

/// Redirects that are followed within a host.
const REDIRECTS: usize = 3;
/// Bytes a file with certificates may have.
const CERTIFICATES: u64 = 4 << 20;

/// How an endpoint is asked, and who is trusted to be it.
#[derive(Clone, Debug)]
pub(super) struct Access {
    /// What is done to it, for errors: `scrape`.
    pub(super) verb: &'static str,
    /// The source's name.
    pub(super) name: String,
    /// How long an answer may take.
    pub(super) timeout: Duration,
    /// Further request headers.
    pub(super) headers: BTreeMap<String, Value>,
    /// A file whose text is sent as bearer token.
    pub(super) bearer_token_file: Option<PathBuf>,
    /// A user, and the file with its password.
    pub(super) basic: Option<Basic>,
    /// The certificates that are trusted.
    pub(super) ca_file: Option<PathBuf>,
    /// Whether redirects within the host are followed. Otherwise they are answers as any other.
    pub(super) redirects: bool,
    /// Whether the connection is kept for the next request.
    pub(super) keep: bool,
}

impl Access {
    /// The files that a request needs.
    fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let basic = self.basic.iter().map(|basic| &*basic.password_file);
        let headers = self.headers.values().filter_map(|value| match value {
            Value::File(of) => Some(&*of.value_file),
            Value::Text(_) => None,
        });
        self.bearer_token_file.iter().map(|file| &**file).chain(basic).chain(headers)
    }

    /// The headers that stand in files, which are read again.
    fn secrets(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, value: &str, file: &Path| {
            sensitive(value, || format!("what {} holds", file.display()))
                .map(|value| drop(headers.insert(name, value)))
        };
        if let Some(file) = &self.bearer_token_file {
            add(AUTHORIZATION, &format!("Bearer {}", small(file)?), file)?;
        }
        if let Some(Basic { user, password_file: file }) = &self.basic {
            let both = base64(&format!("{user}:{}", small(file)?));
            add(AUTHORIZATION, &format!("Basic {both}"), file)?;
        }
        for (name, value) in &self.headers {
            if let (Value::File(of), Ok(header)) = (value, HeaderName::try_from(name)) {
                add(header, &small(&of.value_file)?, &of.value_file)?;
            }
        }
        Ok(headers)
    }
}

/// An address, and the client for it.
#[derive(Debug)]
pub(super) struct Endpoint {
    link: Link,
    url: Url,
    access: Access,
    /// The address as it may be printed.
    pub(super) shown: String,
    client: Client,
}

impl Endpoint {
    /// Checks the address and reads the certificates. Sends nothing.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn open(access: Access, link: Link) -> Result<Self, String> {
        let Access { verb, name, .. } = &access;
        let url: Url = link.expose().parse().map_err(|why| {
            format!("cannot {verb} \"{name}\": its url is not one ({why}); write it as http://host:port/path")
        })?;
        let shown = link.shown();
        let wrong = |why: String| format!("cannot {verb} {shown}: {why}");
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("unsupported scheme; use http or https".into()));
        }
        let named = !(url.username().is_empty() && url.password().is_none());
        let ways = [
            ("a user in its url", named),
            ("a bearer_token_file", access.bearer_token_file.is_some()),
            ("a basic user", access.basic.is_some()),
            (
                "a header Authorization",
                access.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")),
            ),
        ];
        let ways: Vec<_> = ways.into_iter().filter(|(_, there)| *there).map(|(way, _)| way).collect();
        if ways.len() > 1 {
            return Err(wrong(format!("it has {}; keep one", ways.join(" and "))));
        }
        let client = client(&access, &url).map_err(wrong)?;
        Ok(Self { link, url, access, shown, client })
    }

    /// A request, with what of it stands in files.
    ///
    /// # Errors
    /// A file cannot be read.
    pub(super) async fn get(&self) -> Result<RequestBuilder, String> {
        let request = self.client.get(self.url.clone());
        let Some(first) = self.access.secret_files().next().map(|file| file.display().to_string()) else {
            return Ok(request);
        };
        let access = self.access.clone();
        let read = apart(&first, access.timeout, move || access.secrets()).await;
        Ok(request.headers(read.map_err(|why| format!("cannot read its secrets: {why}"))??))
    }

    /// Whether this is its address.
    pub(super) fn is_at(&self, link: &str) -> bool {
        self.link.expose() == link
    }
}

/// A client that goes nowhere else.
fn client(access: &Access, url: &Url) -> Result<Client, String> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in &access.headers {
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
    let within = Policy::custom(move |attempt| {
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
        .redirect(if access.redirects { within } else { Policy::none() })
        .no_proxy()
        .dns_resolver(Names)
        .timeout(access.timeout)
        .pool_max_idle_per_host(usize::from(access.keep));
    let mut trusted = None;
    if let Some(file) = &access.ca_file {
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

/// The value of a header, which no log shows.
fn sensitive(text: &str, what: impl Fn() -> String) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| format!("{} must be one line of visible characters", what()))?;
    value.set_sensitive(true);
    Ok(value)
}
