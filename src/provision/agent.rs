//! Where Grafana reaches the agent itself: it answers as a Prometheus does. Pure: it reads what is configured, and
//! looks nothing up.

use std::net::{IpAddr, SocketAddr};

use reqwest::Url;

use crate::listen::Address;
use crate::setting::Span;

/// What a configuration says of the agent's own answers.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Where it listens.
    pub listen: Vec<Address>,
    /// The names that it is known under, each perhaps with the port of a proxy.
    pub hosts: Vec<String>,
    /// How often it scrapes itself; nothing where it remembers nothing.
    pub interval: Option<Span>,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// What to write where nothing can be derived.
const BY_HAND: &str =
    "name the address that Grafana reaches: datasource: {url: 'http://rig-1:9612', scrape_interval: 5s}";

impl Agent {
    /// The addresses with a port that is known.
    fn tcp(&self) -> impl Iterator<Item = SocketAddr> {
        self.listen.iter().filter_map(|address| match address {
            Address::Tcp(address) if address.port() != 0 => Some(*address),
            _ => None,
        })
    }

    /// The address of a place of it.
    fn url(&self, place: impl std::fmt::Display) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{place}")
    }

    /// A name under which it is known. What has a port of its own is a proxy, of which nobody says whether it speaks TLS.
    fn name(&self) -> Option<&String> {
        self.hosts.iter().find(|name| !name.contains(':'))
    }

    /// The address that people follow, who may sit at another machine; nothing where the configuration tells none.
    #[must_use]
    pub fn for_people(&self) -> Option<String> {
        let reached = |address: &SocketAddr| !address.ip().is_loopback() && !address.ip().is_unspecified();
        let open = self.tcp().find(|address| address.ip().is_unspecified());
        let named = || Some(self.url(format_args!("{}:{}", self.name()?, open?.port())));
        let address =
            || self.tcp().find(reached).or_else(|| self.tcp().next()).map(|address| self.url(near(address)));
        named().or_else(address)
    }

    /// The agent's address, seen from a Grafana; from one of this machine where none is named.
    ///
    /// # Errors
    /// There is none that the configuration tells, and what to do.
    pub(super) fn seen_from(&self, grafana: Option<&str>) -> Result<String, String> {
        if self.interval.is_none() {
            return Err(
                "the agent has no history to answer from, because history.enabled is false\n  hint: delete \
                        that setting, or name a Prometheus: datasource: {url: 'http://127.0.0.1:9090'}"
                    .to_owned(),
            );
        }
        let listen: Vec<SocketAddr> = self.tcp().collect();
        let Some(first) = listen.first() else {
            return Err(format!(
                "listen has no address that Grafana could connect to, only sockets that systemd opens or port 0\n  \
                 hint: add one to listen, such as 127.0.0.1:9612, or {BY_HAND}"
            ));
        };
        let host =
            grafana.and_then(|url| url.parse::<Url>().ok()).and_then(|url| url.host_str().map(str::to_owned));
        let host = host.as_deref().map(|host| host.trim_matches(['[', ']']));
        let here = |host: &str| {
            let own = |ip: IpAddr| ip.is_loopback() || listen.iter().any(|address| address.ip() == ip);
            host == "localhost" || host.parse().is_ok_and(own)
        };
        if host.is_none_or(here) {
            let best =
                listen.iter().find(|address| address.ip().is_loopback() || address.ip().is_unspecified());
            return Ok(self.url(near(*best.unwrap_or(first))));
        }
        if let Some(address) =
            listen.iter().find(|address| !address.ip().is_loopback() && !address.ip().is_unspecified())
        {
            return Ok(self.url(address));
        }
        let open = listen.iter().find(|address| address.ip().is_unspecified());
        match (open, self.name()) {
            (Some(address), Some(name)) => Ok(self.url(format_args!("{name}:{}", address.port()))),
            (Some(address), None) => Err(format!(
                "no name is known under which the Grafana at {} reaches the agent, which listens on {address}\n  hint: \
                 list the name of this machine under http.hosts, or {BY_HAND}",
                host.unwrap_or_default()
            )),
            (None, _) => Err(format!(
                "the Grafana at {} does not reach {first}, where the agent listens\n  hint: listen on an address of \
                 this machine's network, or on 0.0.0.0:{} with its name under http.hosts; behind a proxy, {BY_HAND}",
                host.unwrap_or_default(),
                first.port()
            )),
        }
    }
}

/// An address as this machine connects to it.
fn near(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(listen: &[&str], hosts: &[&str]) -> Agent {
        Agent {
            listen: listen.iter().map(|text| text.parse().unwrap()).collect(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            interval: Some(Span::seconds(5)),
            tls: false,
        }
    }

    fn seen(listen: &[&str], hosts: &[&str], grafana: Option<&str>) -> Result<String, String> {
        agent(listen, hosts).seen_from(grafana)
    }

    #[test]
    fn people_follow_an_address_that_they_reach() {
        let of = |listen: &[&str], hosts: &[&str]| agent(listen, hosts).for_people();
        assert_eq!(of(&["127.0.0.1:9612", "10.0.0.7:80"], &[]).unwrap(), "http://10.0.0.7:80");
        assert_eq!(of(&["0.0.0.0:9700"], &["proxy:443", "rig-1"]).unwrap(), "http://rig-1:9700");
        assert_eq!(of(&["0.0.0.0:9700"], &[]).unwrap(), "http://127.0.0.1:9700");
        let with_tls = Agent { tls: true, ..agent(&["0.0.0.0:9700"], &["rig-1"]) };
        assert_eq!(with_tls.for_people().unwrap(), "https://rig-1:9700");
        assert_eq!(with_tls.seen_from(None).unwrap(), "https://127.0.0.1:9700");
        // A name is of no use where nobody else is let in.
        assert_eq!(of(&["127.0.0.1:1"], &["rig-1"]).unwrap(), "http://127.0.0.1:1");
        assert_eq!(of(&["systemd:http"], &["rig-1"]), None);
    }

    #[test]
    fn a_grafana_of_this_machine_connects_to_it() {
        let is = |listen: &[&str], grafana, want: &str| assert_eq!(seen(listen, &[], grafana).unwrap(), want);
        is(&["127.0.0.1:9612"], Some("http://localhost:3000/grafana"), "http://127.0.0.1:9612");
        is(&["0.0.0.0:80"], Some("http://127.0.0.1:3000"), "http://127.0.0.1:80");
        is(&["[::]:80"], Some("http://[::1]:3000"), "http://[::1]:80");
        is(&["10.0.0.7:1", "127.0.0.2:2"], Some("http://10.0.0.7:3000"), "http://127.0.0.2:2");
        is(&["systemd:http", "10.0.0.7:1"], None, "http://10.0.0.7:1");
        is(&["0.0.0.0:80"], None, "http://127.0.0.1:80");
    }

    #[test]
    fn a_grafana_elsewhere_gets_an_address_that_it_reaches() {
        let lab = Some("https://me:hunter2@lab/grafana");
        assert_eq!(seen(&["127.0.0.1:1", "10.0.0.7:2"], &[], lab).unwrap(), "http://10.0.0.7:2");
        assert_eq!(seen(&["0.0.0.0:3"], &["p.lab:443", "rig-1.lab"], lab).unwrap(), "http://rig-1.lab:3");
        let why = seen(&["0.0.0.0:3"], &["p.lab:443"], lab).unwrap_err();
        assert!(
            why.contains("Grafana at lab reaches the agent") && why.contains("under http.hosts"),
            "{why}"
        );
        let why = seen(&["127.0.0.1:1"], &["rig-1"], lab).unwrap_err();
        assert!(why.contains("lab does not reach 127.0.0.1:1") && why.contains("0.0.0.0:1"), "{why}");
    }

    #[test]
    fn what_cannot_be_derived_is_told_with_what_to_do() {
        for listen in ["systemd", "systemd:http", "127.0.0.1:0"] {
            let why = seen(&[listen], &["rig-1"], None).unwrap_err();
            assert!(
                why.contains("sockets that systemd opens") && why.contains("hint: add one to listen"),
                "{why}"
            );
        }
        let off = Agent {
            listen: vec!["127.0.0.1:1".parse().unwrap()],
            hosts: Vec::new(),
            interval: None,
            tls: false,
        };
        let why = off.seen_from(None).unwrap_err();
        assert!(why.contains("history.enabled is false") && why.contains("name a Prometheus"), "{why}");
    }
}
