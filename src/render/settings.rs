//! What a user may change about alerts: numbers, names, where they go. The section `alerts` of the
//! configuration is read into these types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::alert::Priority;
use crate::secret::{Command, Link, Value, Webhook};
use crate::setting::Span;

/// Which alerts fire, their names, and who is notified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// Numbers beyond which something is wrong, by id: `device_loss: 0.02`. The runbooks name them.
    pub limits: BTreeMap<String, f64>,
    /// The names of alerts that are left out.
    pub off: Vec<String>,
    /// The words for how bad it is.
    pub severities: Severities,
    /// Where the runbooks are: what stands before `NeuralDeviceLoss.md`. Where the agent serves them if omitted, by the first address of
    /// `listen` that other machines reach, or by a name of `http.hosts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbooks: Option<Link>,
    /// Where people see Grafana, with the sub-path if there is one: `https://lab/grafana`. Alerts link to their
    /// dashboard there; that of the first Grafana under `provision` if omitted, no link without either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grafana: Option<Link>,
    /// The name of the scrape job of the agents.
    pub job: String,
    /// Labels that every alert gets besides, such as `team: neuro`.
    pub labels: BTreeMap<String, String>,
    /// Labels that every alert which the agent evaluates gets on its way, where it has no such label: those under `external_labels` of a
    /// Prometheus beside it, so that an Alertmanager sees one alert and not two.
    pub external_labels: BTreeMap<String, String>,
    /// The oldest Prometheus that must understand the rules.
    pub prometheus: Prometheus,
    /// Whether the agent evaluates the rules itself, over its history. Yes if omitted, unless rules are pushed to a server that
    /// does (`provision.targets`) or there is no history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluate: Option<bool>,
    /// Further files of rules that the agent evaluates, as Prometheus takes them, with `*` and its kin:
    /// `[/etc/neural-exporter/rules/*.yml]`.
    pub rule_files: Vec<String>,
    /// How often rules are evaluated, in place of the interval that each group has; whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// How far in the past rules are evaluated, for series that arrive late. Needs `prometheus: "3"`. Unit tests of
    /// the rules are not written then: their cases are given in the rules' own time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_offset: Option<Span>,
    /// Which log is the agents', for the rules of Loki: the selector of its streams, without a filter.
    #[schemars(extend("format" = "log-selector"))]
    pub logs: String,
    /// The oldest Alertmanager that must understand its configuration.
    pub alertmanager: Alertmanager,
    /// Who is notified, each item a mapping with one key: the kind.
    pub receivers: Vec<Receiver>,
    /// Who is notified of incidents that were escalated (`NeuralIncidentEscalated`), in place of `receivers`: who comes next. Each item as
    /// there.
    pub escalations: Vec<Receiver>,
    /// A URL that is notified every minute while alerting works, and raises the alarm itself when that stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<Webhook>,
    /// The file, on the machine that notifies, that holds that URL. Needs `alertmanager: "0.28"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watchdog_file: Option<String>,
    /// Quiet hours, for alerts that can wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Quiet>,
    /// How often what fires on is repeated, by priority, in place of 1h, 4h, 12h and 24h: `{P0: 30m}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub repeat: BTreeMap<Urgency, Span>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            limits: BTreeMap::new(),
            off: Vec::new(),
            severities: Severities::default(),
            runbooks: None,
            grafana: None,
            job: "neural".to_owned(),
            labels: BTreeMap::new(),
            external_labels: BTreeMap::new(),
            prometheus: Prometheus::default(),
            evaluate: None,
            rule_files: Vec::new(),
            interval: None,
            query_offset: None,
            logs: "{unit=\"neural-exporter.service\"}".to_owned(),
            alertmanager: Alertmanager::default(),
            receivers: Vec::new(),
            escalations: Vec::new(),
            watchdog: None,
            watchdog_file: None,
            quiet: None,
            repeat: BTreeMap::new(),
        }
    }
}

/// A list of receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Those of alerts.
    Receivers,
    /// Those of incidents that were escalated.
    Escalations,
}

impl List {
    /// Both, in the order of [`Alerts::every_receiver`].
    pub(super) const ALL: [Self; 2] = [Self::Receivers, Self::Escalations];

    /// Its key under `alerts`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Receivers => "receivers",
            Self::Escalations => "escalations",
        }
    }
}

impl Alerts {
    /// Every receiver, with its list and its place there.
    pub fn every_receiver(&self) -> impl Iterator<Item = (List, usize, &Receiver)> {
        List::ALL.into_iter().flat_map(|list| {
            self.list(list).iter().enumerate().map(move |(index, receiver)| (list, index, receiver))
        })
    }

    /// The receivers of a list.
    pub(super) fn list(&self, list: List) -> &[Receiver] {
        match list {
            List::Receivers => &self.receivers,
            List::Escalations => &self.escalations,
        }
    }

    /// What stands before the name of a runbook, with its slash.
    #[must_use]
    pub fn runbooks(&self) -> String {
        let base = self.runbooks.as_ref().map_or("http://127.0.0.1:9612/runbooks/", Link::expose);
        format!("{}/", base.trim_end_matches('/'))
    }

    /// Itself without secrets: for files that any client may fetch.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut alerts = self.clone();
        alerts.runbooks = self.runbooks.as_ref().map(Link::redacted);
        alerts.grafana = self.grafana.as_ref().map(Link::redacted);
        alerts.watchdog = self.watchdog.as_ref().map(Webhook::redacted);
        for receiver in alerts.receivers.iter_mut().chain(&mut alerts.escalations) {
            if let Receiver::Webhook(of) | Receiver::Teams(of) | Receiver::Discord(of) = receiver {
                of.url = of.url.as_ref().map(Webhook::redacted);
            }
        }
        alerts
    }
}

/// The words for how bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severities {
    /// critical, high, medium, low, info.
    #[default]
    Five,
    /// critical, warning, info: critical and high are `critical`, medium is `warning`, low and info are `info`.
    Three,
}

/// What a Prometheus server understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Prometheus {
    /// From 2.42 on.
    #[default]
    #[serde(rename = "2.42")]
    From2_42,
    /// From 3.0 on.
    #[serde(rename = "3")]
    From3,
}

/// What an Alertmanager understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Alertmanager {
    /// From 0.25 on.
    #[default]
    #[serde(rename = "0.25")]
    From0_25,
    /// From 0.28 on: Teams, and the URLs of webhooks and Discord in files.
    #[serde(rename = "0.28")]
    From0_28,
}

/// A receiver of notifications.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Receiver {
    /// A channel of Slack.
    Slack(Slack),
    /// A service of PagerDuty.
    Pagerduty(Pagerduty),
    /// An address.
    Email(Email),
    /// Anything that takes Alertmanager's JSON.
    Webhook(Hook),
    /// A channel of Microsoft Teams. Needs `alertmanager: "0.28"`.
    Teams(Hook),
    /// A channel of Discord.
    Discord(Hook),
    /// A program, which the agent itself runs: needs `respond.notify`.
    #[serde(rename = "exec")]
    Program(Program),
}

/// A channel of Slack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// The file, on the machine that notifies, that holds the URL of the incoming webhook.
    pub api_url_file: String,
    /// The channel, as `#lab`.
    pub channel: String,
    /// Priorities it receives; all if omitted.
    #[serde(default = "Urgency::every")]
    pub priorities: Vec<Urgency>,
}

/// A service of PagerDuty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pagerduty {
    /// The file, on the machine that notifies, that holds the integration key.
    pub routing_key_file: String,
    /// Where events are sent, if not to `https://events.pagerduty.com/v2/enqueue`: that of another region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Link>,
    /// Priorities it receives; all if omitted.
    #[serde(default = "Urgency::every")]
    pub priorities: Vec<Urgency>,
}

/// Addresses, and the mail server that takes mail for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// To whom: an address, or several with commas between them.
    pub to: String,
    /// From whom.
    pub from: String,
    /// The mail server, as `mail.example.org:587`.
    pub smarthost: String,
    /// Who logs in at the mail server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The file, on the machine that notifies, that holds the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    /// Whether mail is sent over TLS alone: with STARTTLS, and on port 465 from the first byte.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub require_tls: bool,
    /// Whether TLS begins with the connection, on whichever port; on port 465 alone if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implicit_tls: Option<bool>,
    /// The PEM file, on the machine that notifies, with the certificates that are trusted, in place of those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Whether there is a page of HTML beside the text.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub html: bool,
    /// Priorities it receives; all if omitted.
    #[serde(default = "Urgency::every")]
    pub priorities: Vec<Urgency>,
}

/// A program that is run for each notification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The program and its arguments. No shell reads them. It gets the notification on its standard input, as the JSON of
    /// Alertmanager's webhook, and the beginning of it in variables (`NEURAL_STATUS`, `NEURAL_TITLE`, `NEURAL_ALERT`, …).
    pub command: Command,
    /// Its environment, beside `PATH` and the variables of the notification: each a text, or `{value_file: /run/secrets/key}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Value>,
    /// How long it may take before it is ended with all that it started.
    #[serde(default = "Program::usual")]
    pub timeout: Span,
    /// Priorities it receives; all if omitted.
    #[serde(default = "Urgency::every")]
    pub priorities: Vec<Urgency>,
}

impl Program {
    fn usual() -> Span {
        Span::seconds(30)
    }
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_yes(value: &bool) -> bool {
    *value
}

impl Email {
    /// The host and the port of the mail server.
    #[must_use]
    pub fn server(&self) -> Option<(&str, u16)> {
        let (host, port) = self.smarthost.rsplit_once(':')?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']')?,
            None if host.contains(':') => return None,
            None => host,
        };
        let port = port.parse().ok().filter(|port| *port != 0)?;
        (!host.is_empty()).then_some((host, port))
    }

    /// Whether TLS begins with the connection.
    #[must_use]
    pub fn is_implicit_tls(&self) -> bool {
        self.implicit_tls.unwrap_or_else(|| self.is_port_of_tls())
    }

    fn is_port_of_tls(&self) -> bool {
        self.server().is_some_and(|(_, port)| port == 465)
    }

    /// Whether the mail server is on the machine that notifies.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let local = |(host, _): (&str, u16)| {
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        };
        self.server().is_some_and(local)
    }

    fn wrong(&self) -> Option<(&'static str, &'static str)> {
        let clear = !self.require_tls && !self.is_implicit_tls() && !self.is_local();
        match (&self.username, &self.password_file) {
            _ if self.server().is_none() => {
                Some(("smarthost is not a host and a port", "write it like mail.example.org:587"))
            }
            (Some(_), None) => Some(("username has no password", "name the file with it in password_file")),
            (None, Some(_)) => Some(("password_file is of nobody", "add username")),
            (Some(_), Some(_)) if clear => {
                Some(("the password would be sent without TLS", "remove `require_tls: false`"))
            }
            _ => None,
        }
    }
}

/// A URL, or a file that holds one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// The URL, where it is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Webhook>,
    /// The file, on the machine that notifies, that holds the URL. Needs `alertmanager: "0.28"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_file: Option<String>,
    /// Priorities it receives; all if omitted.
    #[serde(default = "Urgency::every")]
    pub priorities: Vec<Urgency>,
}

/// How soon you must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Urgency {
    /// Immediately.
    P0,
    /// Within a quarter of an hour.
    P1,
    /// Today.
    P2,
    /// When there is time.
    P3,
}

impl Urgency {
    fn every() -> Vec<Self> {
        vec![Self::P0, Self::P1, Self::P2, Self::P3]
    }

    /// Whether it is this priority of an alert.
    pub(super) fn is(self, priority: Priority) -> bool {
        self.as_str() == priority.as_str()
    }

    fn last() -> Vec<Self> {
        vec![Self::P3]
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
        }
    }
}

/// Quiet hours, for alerts that can wait: every night, and perhaps at weekends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// When the night begins: `20:00`.
    #[schemars(regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"), extend("format" = "time-of-day"))]
    pub from: String,
    /// When it ends: `07:00`.
    #[schemars(regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"), extend("format" = "time-of-day"))]
    pub to: String,
    /// Whether Saturday and Sunday are quiet as a whole.
    #[serde(default)]
    pub weekends: bool,
    /// Where: `Europe/Berlin`. UTC if omitted.
    #[serde(default = "utc")]
    pub location: String,
    /// Priorities that are muted then: P3 if omitted. All four suit a lab that switches its boards off for the night.
    #[serde(default = "Urgency::last")]
    pub priorities: Vec<Urgency>,
}

impl Quiet {
    /// Whether it keeps a priority quiet.
    #[must_use]
    pub fn covers(&self, priority: Priority) -> bool {
        self.priorities.iter().any(|of| of.is(priority))
    }
}

fn utc() -> String {
    "UTC".to_owned()
}

impl Receiver {
    /// Files that are read where the configuration is.
    pub fn paths(&mut self) -> impl Iterator<Item = &mut std::path::PathBuf> {
        let program = match self {
            Self::Program(of) => Some(of),
            _ => None,
        };
        program.into_iter().flat_map(|of| of.environment.values_mut().filter_map(Value::path))
    }

    /// What it hears of.
    #[must_use]
    pub fn priorities(&self) -> &[Urgency] {
        match self {
            Self::Slack(of) => &of.priorities,
            Self::Pagerduty(of) => &of.priorities,
            Self::Email(of) => &of.priorities,
            Self::Program(of) => &of.priorities,
            Self::Webhook(of) | Self::Teams(of) | Self::Discord(of) => &of.priorities,
        }
    }

    /// Whether it hears of a priority.
    #[must_use]
    pub fn hears(&self, priority: Priority) -> bool {
        self.priorities().iter().any(|of| of.is(priority))
    }

    /// What is wrong with it for that Alertmanager, and what to do.
    #[must_use]
    pub fn wrong(&self, alertmanager: Alertmanager) -> Option<(&'static str, &'static str)> {
        let newer = "set `alertmanager: \"0.28\"` if yours is that new";
        let old = alertmanager < Alertmanager::From0_28;
        match self {
            Self::Teams(_) if old => Some(("Alertmanager 0.25 knows no Teams", newer)),
            Self::Webhook(of) | Self::Discord(of) | Self::Teams(of) => match (&of.url, &of.url_file) {
                (None, None) => Some(("neither url nor url_file is there", "give one of them")),
                (Some(_), Some(_)) => Some(("both url and url_file are there", "give one of them")),
                (None, Some(_)) if old => Some(("Alertmanager 0.25 reads no URL from a file", newer)),
                _ => None,
            },
            Self::Email(of) => of.wrong(),
            Self::Program(of) if of.command.expose().first().is_none_or(String::is_empty) => {
                Some(("the command is empty", "write it like [/usr/local/bin/notify]"))
            }
            Self::Program(of) if of.timeout.0.is_zero() => Some(("the timeout is zero", "write it like 30s")),
            _ => None,
        }
    }

    /// Why an Alertmanager cannot notify it, if the agent alone can.
    #[must_use]
    pub fn is_the_agents(&self) -> Option<&'static str> {
        match self {
            Self::Email(of) if of.is_implicit_tls() != of.is_port_of_tls() => {
                Some("Alertmanager begins with TLS on port 465 and on no other")
            }
            Self::Program(_) => Some("Alertmanager runs no program"),
            _ => None,
        }
    }
}
