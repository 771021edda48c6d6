//! Which requests are let through: what is there, by which methods, and who may ask for it.
//!
//! A page of another origin must not act on the agent, nor read more of it than `/metrics` tells. A browser says in
//! `Host` which name it looked up, so that a name that was bound again to this machine (DNS rebinding) gives itself
//! away, and in `Origin` and `Sec-Fetch-Site` which page asks. Programs send neither of the latter. Who may reach the
//! port at all is not decided here: that is for `listen`, a firewall or a proxy.
//!
//! `/metrics`, the health checks, service discovery and the runbooks are open under every name: Prometheus scrapes by
//! whichever name its configuration has.

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap};
use hyper::{Method, Uri};

use super::routes::{Access, Effect, Row};
use crate::origin::{Names, Stranger, bare, only, split};

/// Where the files begin.
pub(super) const FILES: &str = "/provision/";
/// Where the runbooks begin that alerts name.
pub(super) const RUNBOOKS: &str = "/runbooks/";

/// The proof that a request was let through. Whatever changes something wants one.
#[derive(Debug)]
pub(super) struct Pass(());

/// Why a request is not let through.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Other methods are taken: these.
    Method(String),
    /// No `Host`, or one that is none.
    Host,
    /// The agent is not known under this name.
    Name(String),
    /// A page of another origin asks.
    Page(String),
    /// Only a program of this machine may.
    Remote,
}

impl Names {
    /// Lets a request through, or says why not.
    pub(super) fn check(
        &self,
        row: &Row,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<Pass, Refusal> {
        let operation = row.operation(method).ok_or_else(|| Refusal::Method(row.methods()))?;
        if row.access == Access::Open && operation.effect == Effect::Read {
            return Ok(Pass(()));
        }
        let host = only(headers, &HOST).ok_or(Refusal::Host)?;
        self.named(uri, headers)?;
        if matches!(operation.effect, Effect::Change | Effect::LocalChange) {
            self.no_other_page(host, headers)?;
        }
        if operation.effect == Effect::LocalChange && !is_of_this_machine(host, headers, peer) {
            return Err(Refusal::Remote);
        }
        Ok(Pass(()))
    }
}

impl From<Stranger> for Refusal {
    fn from(stranger: Stranger) -> Self {
        match stranger {
            Stranger::Host => Self::Host,
            Stranger::Name(name) => Self::Name(name),
            Stranger::Page(page) => Self::Page(page),
        }
    }
}

/// Whether a program of this machine asks: over a loopback address, under a name of it, and not for another one, as a proxy does.
fn is_of_this_machine(host: &str, headers: &HeaderMap, peer: IpAddr) -> bool {
    let local = |name: &str| match bare(name).parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => bare(name).eq_ignore_ascii_case("localhost"),
    };
    let passed_on = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];
    peer.to_canonical().is_loopback()
        && split(host).is_some_and(|(name, _)| local(name))
        && !passed_on.iter().any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes::{ROUTES, find};

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn check(
        path: &str,
        method: &Method,
        uri: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(), Refusal> {
        let names = Names::new(["rig-1".to_owned(), "lab.example.org:8443".to_owned()]);
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, value.parse().unwrap());
        }
        names.check(find(path).unwrap().row, method, &uri.parse().unwrap(), &all, HERE).map(drop)
    }

    fn reload(headers: &[(&'static str, &str)]) -> Result<(), Refusal> {
        check("/-/reload", &Method::POST, "/-/reload", headers)
    }

    #[test]
    fn whatever_is_not_a_read_passes_the_gate_for_changes() {
        for row in ROUTES {
            let path = row.path.replace(['{', '}'], "");
            for method in
                [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::CONNECT]
            {
                let foreign = check(&path, &method, "/", &[("host", "evil.example")]);
                assert!(foreign.is_err(), "{path} {method}");
                let question = row.operation(&method).is_some_and(|one| one.effect == Effect::Question);
                let page = [("host", "localhost:9612"), ("origin", "http://evil.example")];
                assert_eq!(check(&path, &method, "/", &page).is_err(), !question, "{path} {method}");
                if check(&path, &method, "/", &[("host", "localhost:9612")]).is_ok() {
                    assert_ne!(row.operation(&method).unwrap().effect, Effect::Read, "{path} {method}");
                }
            }
        }
    }

    #[test]
    fn what_is_kept_is_changed_from_this_machine_alone() {
        let of = |host: &str, peer: &str, more: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            more.map(|name| headers.insert(name, "10.0.0.1".parse().unwrap()));
            is_of_this_machine(host, &headers, peer.parse().unwrap())
        };
        for (host, peer) in
            [("127.0.0.1:9612", "127.0.0.1"), ("localhost", "::1"), ("[::1]:9612", "::ffff:127.0.0.1")]
        {
            assert!(of(host, peer, None), "{host} {peer}");
        }
        for (host, peer, more) in [
            ("127.0.0.1:9612", "10.0.0.7", None),
            ("10.0.0.1:9612", "127.0.0.1", None),
            ("rig-1", "127.0.0.1", None),
            ("localhost", "127.0.0.1", Some("x-forwarded-for")),
            ("localhost", "127.0.0.1", Some("forwarded")),
        ] {
            assert!(!of(host, peer, more), "{host} {peer} {more:?}");
        }
    }

    #[test]
    fn a_host_is_ours_by_address_or_name() {
        for host in [
            "127.0.0.1:9612",
            "localhost",
            "LOCALHOST:1",
            "localhost.:9612",
            "[::1]:9612",
            "10.1.2.3",
            "rig-1:80",
            "RIG-1",
            "lab.example.org",
            "lab.example.org:1",
            "agent.localhost",
        ] {
            assert_eq!(reload(&[("host", host)]), Ok(()), "{host}");
            assert_eq!(check("/", &Method::GET, "/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9612",
            "rig-1.evil.example",
            "",
            "user@localhost",
            "localhost:x",
            "[::1",
            "xlocalhost",
            "evil.example#.localhost",
        ] {
            assert!(reload(&[("host", host)]).is_err(), "{host}");
            assert!(check("/provision/", &Method::GET, "/provision/", &[("host", host)]).is_err(), "{host}");
            assert_eq!(check("/metrics", &Method::GET, "/metrics", &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(reload(&[]), Err(Refusal::Host));
        assert_eq!(reload(&[("host", "localhost"), ("host", "evil.example")]), Err(Refusal::Host));
        let absolute =
            check("/-/reload", &Method::POST, "http://evil.example/-/reload", &[("host", "localhost")]);
        assert_eq!(absolute, Err(Refusal::Name("evil.example".to_owned())));
    }

    #[test]
    fn a_page_of_another_origin_changes_nothing() {
        let with = |host, origin| reload(&[("host", host), ("origin", origin)]);
        assert_eq!(with("localhost:9612", "http://localhost:9612"), Ok(()));
        assert_eq!(with("rig-1:9612", "http://RIG-1:9612"), Ok(()));
        // Behind a proxy that says where it asks rather than what it was asked for.
        assert_eq!(with("127.0.0.1:9612", "https://lab.example.org"), Ok(()));
        assert_eq!(with("127.0.0.1:9612", "https://lab.example.org:8443"), Ok(()));
        for origin in [
            "null",
            "http://evil.example",
            "http://localhost:3000",
            "http://localhost",
            "file://",
            "",
            "https://lab.example.org:3000",
            "http://rig-1.evil.example",
            "ftp://localhost:9612",
        ] {
            assert!(matches!(with("localhost:9612", origin), Err(Refusal::Page(_))), "{origin}");
        }
        for (site, ok) in [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)]
        {
            assert_eq!(reload(&[("host", "localhost"), ("sec-fetch-site", site)]).is_ok(), ok, "{site}");
        }
    }
}
