//! Whether a request comes from where it may: under a name of the agent, and from no page of another origin.
//!
//! A browser says in `Host` which name it looked up, so that a name that was bound again to this machine (DNS rebinding)
//! gives itself away, and in `Origin` and `Sec-Fetch-Site` which page asks. Programs send neither of the latter. What
//! such a request may do is not decided here.

use std::net::IpAddr;

use hyper::Uri;
use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};

/// Who may not ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// Who names no host, or one that is none.
    Host,
    /// Who asks under a name that is not the agent's.
    Name(String),
    /// A page of another origin.
    Page(String),
}

/// The names under which the agent is known beside `localhost` and its addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// Each a name, or a name and the port that a proxy has there.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Whether a host is the agent's. An address always is: a name alone can be bound again.
    fn has(&self, host: &str) -> bool {
        let bare = bare(host);
        bare.parse::<IpAddr>().is_ok()
            || bare.eq_ignore_ascii_case("localhost")
            || bare.to_ascii_lowercase().ends_with(".localhost")
            || self.0.iter().any(|name| split(name).is_some_and(|(name, _)| same(name, host)))
    }

    /// Whether a configured name with its usual port, or with the one that stands there, is this authority.
    fn lists(&self, authority: &str) -> bool {
        let Some((host, port)) = split(authority) else { return false };
        let known = |(name, at): (&str, Option<u16>)| same(name, host) && (port.is_none() || port == at);
        self.0.iter().any(|name| split(name).is_some_and(known))
    }

    /// The host under which the agent is asked. Where the request line has a name as well, both must be the agent's.
    ///
    /// # Errors
    /// There is none, or it is not the agent's.
    pub fn named<'r>(&self, uri: &'r Uri, headers: &'r HeaderMap) -> Result<&'r str, Stranger> {
        let said =
            headers.contains_key(HOST).then(|| only(headers, &HOST).ok_or(Stranger::Host)).transpose()?;
        let line = uri.authority().map(|authority| authority.as_str());
        for authority in line.into_iter().chain(said) {
            let (name, _) = split(authority).ok_or(Stranger::Host)?;
            if !self.has(name) {
                return Err(Stranger::Name(name.to_owned()));
            }
        }
        said.or(line).ok_or(Stranger::Host)
    }

    /// Whether the request comes from a program, or from a page of the agent itself.
    ///
    /// # Errors
    /// Another page asks.
    pub fn no_other_page(&self, host: &str, headers: &HeaderMap) -> Result<(), Stranger> {
        let other = |what: &str| Err(Stranger::Page(what.chars().take(255).collect()));
        if headers.contains_key(ORIGIN) {
            let origin = only(headers, &ORIGIN).unwrap_or_default();
            let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            // A proxy may have written another Host.
            if !from.is_some_and(|from| from.eq_ignore_ascii_case(host) || self.lists(from)) {
                return other(if origin.is_empty() { "of another origin" } else { origin });
            }
        }
        let site = HeaderName::from_static("sec-fetch-site");
        match headers.contains_key(&site).then(|| only(headers, &site).unwrap_or_default()) {
            None | Some("same-origin" | "none") => Ok(()),
            Some(site) => other(site),
        }
    }
}

/// The value of a header that is there once.
pub(crate) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let one = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(one)
}

/// A name or address, in brackets if it is one of IPv6, and the port.
pub(crate) fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = if authority.starts_with('[') { authority.find(']')? + 1 } else { 0 };
    let (host, port) = match authority.get(end..)?.find(':') {
        Some(colon) => {
            (authority.get(..end + colon)?, authority.get(end + colon + 1..)?.parse().ok().map(Some)?)
        }
        None => (authority, None),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    (!host.is_empty() && host.len() <= 255 && host.chars().all(plain)).then_some((host, port))
}

pub(crate) fn bare(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn same(one: &str, two: &str) -> bool {
    bare(one).eq_ignore_ascii_case(bare(two))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_that_of_the_line_or_of_the_header() {
        let names = Names::new(["rig-1".to_owned()]);
        let named = |uri: &str, host: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in host {
                headers.append(HOST, host.parse().unwrap());
            }
            names.named(&uri.parse().unwrap(), &headers).map(str::to_owned)
        };
        assert_eq!(named("/", &["rig-1:4318"]), Ok("rig-1:4318".to_owned()));
        assert_eq!(named("http://127.0.0.1:4317/x", &[]), Ok("127.0.0.1:4317".to_owned()));
        assert_eq!(named("/", &[]), Err(Stranger::Host));
        assert_eq!(named("/", &["rig-1", "rig-1"]), Err(Stranger::Host));
        assert_eq!(named("http://rig-1/", &["evil.example"]), Err(Stranger::Name("evil.example".to_owned())));
        assert_eq!(named("http://evil.example/", &["rig-1"]), Err(Stranger::Name("evil.example".to_owned())));
    }
}
