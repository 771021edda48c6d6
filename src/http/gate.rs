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

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::{Method, Uri};

use super::{api, incident_path};

/// Where the files begin.
pub(super) const FILES: &str = "/provision/";
/// Where the runbooks begin that alerts name.
pub(super) const RUNBOOKS: &str = "/runbooks/";

/// Where an Alertmanager posts to.
pub(super) const WEBHOOK: &str = "/api/v1/alertmanager";

/// Where Alertmanager has all silences.
const SILENCES: &str = "/api/v2/silences";
/// Where it has one.
pub(super) const SILENCE: &str = "/api/v2/silence/";

/// Where tasks are listed.
const TASKS: &str = "/api/v1/tasks";

/// The name of the task that a path has run.
pub(super) fn begun_task(path: &str) -> Option<&str> {
    let name = path.strip_prefix(TASKS)?.strip_prefix('/')?.strip_suffix("/run")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Metrics,
    Healthy,
    Ready,
    Targets,
    Runbooks,
    Landing,
    /// The page of one card.
    Card,
    /// The sources, the alerts and the largest families as tables.
    Sources,
    /// The page of an alert.
    Alert,
    /// The page of an incident, or their list.
    Incident,
    /// The configuration in effect.
    Config,
    /// The last lines of the log.
    Log,
    /// What a device's signal looks like.
    Preview,
    /// How other programs reach the agent.
    Connect,
    /// The style and the script of pages.
    Style,
    Script,
    /// The pieces of the first page that change.
    Live,
    /// What the first page shows, as JSON.
    Snapshot,
    Files,
    Reload,
    /// Prometheus' API over the history.
    Api,
    /// Incidents, read.
    Incidents,
    /// Who acknowledges or closes one.
    IncidentChange,
    /// Alertmanager's webhook.
    Webhook,
    /// Silences, made and listed.
    Silences,
    /// One silence, shown and ended.
    Silence,
    /// What the agent does from time to time.
    Tasks,
    /// Having it done now.
    TaskRun,
}

/// Who may ask, and with which methods. What changes something is a `Change`, because nothing else takes more than
/// GET and HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Any client, under any name.
    Open,
    /// A client that knows the agent by its name.
    Page,
    /// The same; a long question comes as a form.
    Question,
    /// As a page, but no page of another origin.
    Change,
}

impl Route {
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/metrics" => Self::Metrics,
            "/" => Self::Landing,
            "/card" => Self::Card,
            "/sources" => Self::Sources,
            "/alert" => Self::Alert,
            "/incident" => Self::Incident,
            "/config" => Self::Config,
            "/log" => Self::Log,
            "/api/v1/preview" => Self::Preview,
            "/connect" => Self::Connect,
            "/page.css" => Self::Style,
            "/page.js" => Self::Script,
            "/live" => Self::Live,
            "/api/v1/snapshot" => Self::Snapshot,
            "/-/healthy" => Self::Healthy,
            "/-/ready" => Self::Ready,
            "/-/reload" => Self::Reload,
            "/api/v1/sd" => Self::Targets,
            "/provision" => Self::Files,
            WEBHOOK => Self::Webhook,
            SILENCES => Self::Silences,
            TASKS => Self::Tasks,
            _ if path.starts_with(SILENCE) => Self::Silence,
            _ if begun_task(path).is_some() => Self::TaskRun,
            _ if api::is_there(path) => Self::Api,
            _ if incident_path::changes(path) => Self::IncidentChange,
            _ if incident_path::is_there(path) => Self::Incidents,
            _ if path.starts_with(FILES) => Self::Files,
            _ if path.starts_with(RUNBOOKS) => Self::Runbooks,
            _ => return None,
        })
    }

    /// The label `path` of its requests.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Metrics => "/metrics",
            Self::Landing => "/",
            Self::Card => "/card",
            Self::Sources => "/sources",
            Self::Alert => "/alert",
            Self::Incident => "/incident",
            Self::Config => "/config",
            Self::Log => "/log",
            Self::Preview => "/api/v1/preview",
            Self::Connect => "/connect",
            Self::Style => "/page.css",
            Self::Script => "/page.js",
            Self::Live => "/live",
            Self::Snapshot => "/api/v1/snapshot",
            Self::Healthy => "/-/healthy",
            Self::Ready => "/-/ready",
            Self::Reload => "/-/reload",
            Self::Targets => "/api/v1/sd",
            Self::Api => "/api/v1",
            Self::Incidents | Self::IncidentChange => "/api/v1/incidents",
            Self::Webhook => WEBHOOK,
            Self::Silences | Self::Silence => SILENCES,
            Self::Tasks | Self::TaskRun => TASKS,
            Self::Files | Self::Runbooks => "/provision",
        }
    }

    fn access(self) -> Access {
        match self {
            Self::Metrics | Self::Healthy | Self::Ready | Self::Targets | Self::Runbooks => Access::Open,
            Self::Landing
            | Self::Card
            | Self::Sources
            | Self::Alert
            | Self::Incident
            | Self::Config
            | Self::Log
            | Self::Preview
            | Self::Connect
            | Self::Style
            | Self::Script
            | Self::Live
            | Self::Snapshot
            | Self::Files
            | Self::Incidents
            | Self::Tasks => Access::Page,
            Self::Api => Access::Question,
            Self::Reload
            | Self::IncidentChange
            | Self::Webhook
            | Self::Silences
            | Self::Silence
            | Self::TaskRun => Access::Change,
        }
    }

    /// The methods it takes, as the header `Allow` has them.
    fn methods(self) -> &'static str {
        match self.access() {
            Access::Change if self == Self::Silences => "GET, HEAD, POST",
            Access::Change if self == Self::Silence => "GET, HEAD, DELETE",
            Access::Change => "POST, PUT",
            Access::Question => "GET, HEAD, POST",
            Access::Open | Access::Page => "GET, HEAD",
        }
    }
}

/// The proof that a request was let through. Whatever changes something wants one.
#[derive(Debug)]
pub(super) struct Pass(());

/// Why a request is not let through.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Other methods are taken: these.
    Method(&'static str),
    /// No `Host`, or one that is none.
    Host,
    /// The agent is not known under this name.
    Name(String),
    /// A page of another origin asks.
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

    /// Lets a request through, or says why not.
    pub(super) fn check(
        &self,
        route: Route,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Pass, Refusal> {
        if !route.methods().split(", ").any(|taken| taken == method.as_str()) {
            return Err(Refusal::Method(route.methods()));
        }
        if route.access() == Access::Open {
            return Ok(Pass(()));
        }
        // Where the request line has a name, both must be ours.
        let named = uri.authority().map(|authority| authority.as_str());
        let host = only(headers, &HOST).ok_or(Refusal::Host)?;
        for authority in named.into_iter().chain([host]) {
            let (name, _) = split(authority).ok_or(Refusal::Host)?;
            if !self.has(name) {
                return Err(Refusal::Name(name.to_owned()));
            }
        }
        if route.access() == Access::Change {
            self.no_other_page(host, headers)?;
        }
        Ok(Pass(()))
    }

    /// Whether the request comes from a program, or from a page of the agent itself.
    fn no_other_page(&self, host: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        let other = |what: &str| Err(Refusal::Page(what.chars().take(255).collect()));
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
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let one = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(one)
}

/// A name or address, in brackets if it is one of IPv6, and the port.
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
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

fn bare(host: &str) -> &str {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn same(one: &str, two: &str) -> bool {
    bare(one).eq_ignore_ascii_case(bare(two))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Route; 13] = [
        Route::Metrics,
        Route::Healthy,
        Route::Ready,
        Route::Targets,
        Route::Runbooks,
        Route::Landing,
        Route::Files,
        Route::Reload,
        Route::Incidents,
        Route::IncidentChange,
        Route::Webhook,
        Route::Silences,
        Route::Silence,
    ];

    fn check(
        route: Route,
        method: &Method,
        uri: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(), Refusal> {
        let names = Names::new(["rig-1".to_owned(), "lab.example.org:8443".to_owned()]);
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            all.append(*name, value.parse().unwrap());
        }
        names.check(route, method, &uri.parse().unwrap(), &all).map(drop)
    }

    fn reload(headers: &[(&'static str, &str)]) -> Result<(), Refusal> {
        check(Route::Reload, &Method::POST, "/-/reload", headers)
    }

    #[test]
    fn a_path_names_a_task() {
        assert_eq!(begun_task("/api/v1/tasks/a.b-c/run"), Some("a.b-c"));
        for path in [
            "/api/v1/tasks",
            "/api/v1/tasks/a",
            "/api/v1/tasks//run",
            "/api/v1/tasks/a/b/run",
            "/api/v1/tasksa/run",
        ] {
            assert_eq!(begun_task(path), None, "{path}");
        }
    }

    #[test]
    fn whatever_is_not_a_read_passes_the_gate_for_changes() {
        for route in ALL {
            for method in
                [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::CONNECT]
            {
                let foreign = check(route, &method, "/", &[("host", "evil.example")]);
                assert!(foreign.is_err(), "{route:?} {method}");
                let page = [("host", "localhost:9612"), ("origin", "http://evil.example")];
                assert!(check(route, &method, "/", &page).is_err(), "{route:?} {method}");
                if check(route, &method, "/", &[("host", "localhost:9612")]).is_ok() {
                    assert_eq!(route.access(), Access::Change, "{route:?} {method}");
                }
            }
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
            assert_eq!(check(Route::Landing, &Method::GET, "/", &[("host", host)]), Ok(()), "{host}");
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
            assert!(check(Route::Files, &Method::GET, "/provision/", &[("host", host)]).is_err(), "{host}");
            assert_eq!(check(Route::Metrics, &Method::GET, "/metrics", &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(reload(&[]), Err(Refusal::Host));
        assert_eq!(reload(&[("host", "localhost"), ("host", "evil.example")]), Err(Refusal::Host));
        let absolute =
            check(Route::Reload, &Method::POST, "http://evil.example/-/reload", &[("host", "localhost")]);
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
