//! Where alerts go: the configuration of Alertmanager, as a whole and as a part to put into one's own.
//!
//! Secrets never stand in it, only the names of files. One receiver a priority, and in it everybody who wants
//! to hear of that priority.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::Serialize;

use super::{
    Alertmanager, Alerts, Email, File, Hook, List, Pagerduty, Quiet, Receiver, Settings, Slack, Urgency, yaml,
};
use crate::catalog::alert::{CHAPTERS, Priority};
use crate::routing::Compare::{Equal, Matches, MatchesNot, NotEqual};
use crate::routing::{Inhibition, Interval, Matcher, Minute, Route, Routing, Span, Time, Times, Weekday};

#[derive(Serialize)]
struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    global: Option<Global>,
    #[serde(flatten)]
    routing: Routing,
    receivers: Vec<To>,
}

#[derive(Serialize)]
struct Global {
    resolve_timeout: &'static str,
}

/// The file of Grafana's own mute timings, which it also reads by itself when the folder is mounted.
const TIMINGS: &str = "provisioning/grafana/alerting/neural-exporter.yml";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Timings {
    api_version: u8,
    mute_times: [Timing; 1],
}

#[derive(Serialize)]
struct Timing {
    #[serde(rename = "orgId")]
    org_id: u8,
    #[serde(flatten)]
    of: Interval,
}

#[derive(Default, Serialize)]
struct To {
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    slack_configs: Vec<ToSlack>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pagerduty_configs: Vec<ToPagerduty>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    email_configs: Vec<ToEmail>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    webhook_configs: Vec<ToUrl>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    msteamsv2_configs: Vec<ToWebhook>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    discord_configs: Vec<ToWebhook>,
}

#[derive(Serialize)]
struct ToSlack {
    send_resolved: bool,
    api_url_file: String,
    channel: String,
    color: &'static str,
    title: &'static str,
    text: &'static str,
}

#[derive(Serialize)]
struct ToPagerduty {
    send_resolved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    routing_key_file: String,
    severity: &'static str,
    description: &'static str,
}

#[derive(Serialize)]
struct ToEmail {
    send_resolved: bool,
    to: String,
    from: String,
    smarthost: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_password_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    require_tls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<Tls>,
    html: &'static str,
    text: &'static str,
}

#[derive(Serialize)]
struct Tls {
    ca_file: String,
}

#[derive(Serialize)]
struct ToUrl {
    send_resolved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_file: Option<String>,
}

#[derive(Serialize)]
struct ToWebhook {
    send_resolved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url_file: Option<String>,
    title: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

/// What the hours are called in which nobody wants to hear of what can wait.
pub const QUIET: &str = "neural-quiet";

/// The texts of notifications: templates, for Alertmanager and for the agent itself.
pub mod message {
    /// A line about a group of alerts.
    pub const TITLE: &str =
        "{{ .CommonLabels.priority }} {{ .CommonLabels.alertname }}: {{ .Status }} ({{ .Alerts | len }})";
    /// What each alert says.
    pub const LINES: &str = "{{ range .Alerts }}• {{ .Annotations.summary }}\n{{ .Annotations.description }}\n{{ .Annotations.runbook_url }}\n{{ with .Annotations.dashboard_url }}{{ . }}\n{{ end }}{{ end }}";
    /// The same as a page.
    pub const HTML: &str = "{{ range .Alerts }}<p><b>{{ .Annotations.summary | html }}</b> ({{ .Status | html }})<br>{{ .Annotations.description | html }}{{ with .Annotations.runbook_url }}{{ if match \"^https?://\" . }}<br><a href=\"{{ . | html }}\">Runbook</a>{{ end }}{{ end }}{{ with .Annotations.dashboard_url }}{{ if match \"^https?://\" . }}<br><a href=\"{{ . | html }}\">Dashboard</a>{{ end }}{{ end }}</p>\n{{ end }}";
    /// A colour, in Slack's words.
    pub const COLOR: &str = "{{ if ne .Status \"firing\" }}good{{ else if eq .CommonLabels.priority \"P0\" }}danger{{ else }}warning{{ end }}";
    /// How bad it is, in PagerDuty's words.
    pub const PAGER: &str = "{{ if eq .CommonLabels.severity \"critical\" }}critical{{ else if eq .CommonLabels.severity \"high\" }}error{{ else if match \"medium|warning\" .CommonLabels.severity }}warning{{ else }}info{{ end }}";
}

pub(super) fn render(settings: &Settings, files: &mut Vec<File>) {
    let mut add =
        |name: &str, text| files.push(File { path: format!("provisioning/alertmanager/{name}.yml"), text });
    let left = left_out(&settings.alerts);
    add("alertmanager", left.clone() + &yaml(&whole(&settings.alerts)));
    add("fragment", left + &yaml(&fragment(&settings.alerts)));
    add("example", yaml(&whole(&example(&settings.alerts))));
    // The same hours for a Grafana that evaluates the alerts itself; its policies name them.
    if let Some(quiet) = settings.alerts.quiet.as_ref().map(quiet) {
        let times = Timings { api_version: 1, mute_times: [Timing { org_id: 1, of: quiet }] };
        files.push(File { path: TIMINGS.to_owned(), text: yaml(&times) });
    }
}

/// A comment for each receiver that is in no file of Alertmanager.
fn left_out(alerts: &Alerts) -> String {
    let mut text = String::new();
    for (list, index, receiver) in alerts.every_receiver() {
        if let Some(why) = receiver.is_the_agents() {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "# alerts.{}[{index}] is the agent's alone (respond.notify): {why}.",
                list.key()
            );
        }
    }
    text
}

/// The whole tree: what is ours, and the alerts of `alerts.rule_files`, under a root that notifies nobody.
#[must_use]
pub fn routing(alerts: &Alerts) -> Routing {
    let mut routing = branch(alerts);
    let own = (!alerts.rule_files.is_empty()).then(|| own_rules(alerts));
    routing.route = Route {
        receiver: "nobody".to_owned(),
        group_by: Some(vec!["alertname".to_owned()]),
        routes: [routing.route].into_iter().chain(own).collect(),
        ..Route::default()
    };
    routing
}

/// The route of alerts that have other names than ours: by their priority, and without one by the severity that is usual elsewhere.
fn own_rules(alerts: &Alerts) -> Route {
    let of = |priority: Priority, matcher: Matcher| Route {
        matchers: vec![matcher],
        ..route(alerts, List::Receivers, priority)
    };
    let by_priority =
        Priority::ALL.map(|priority| of(priority, Matcher::new("priority", Equal, priority.as_str())));
    let by_severity = [
        of(Priority::P0, Matcher::new("severity", Equal, "critical")),
        of(Priority::P3, Matcher::new("severity", Equal, "info")),
    ];
    Route {
        matchers: vec![Matcher::new("alertname", MatchesNot, "Neural.+")],
        group_by: Some(group_by()),
        routes: by_priority.into_iter().chain(by_severity).collect(),
        ..route(alerts, List::Receivers, Priority::P2)
    }
}

/// The labels of which alerts of one notification have the same values.
fn group_by() -> Vec<String> {
    ["alertname", "job", "instance", "device", "pipeline", "service"].map(str::to_owned).into()
}

/// Who of a list hears of a priority, and when.
fn route(alerts: &Alerts, list: List, priority: Priority) -> Route {
    let quiet = alerts.quiet.as_ref().is_some_and(|quiet| quiet.covers(priority));
    let (wait, interval, repeat) = waits(priority);
    let own = alerts.repeat.iter().find(|(of, _)| of.is(priority));
    let repeat = own.map_or(repeat, |(_, span)| u32::try_from(span.0.as_secs()).unwrap_or(u32::MAX).max(1));
    Route {
        receiver: receiver(list, priority),
        group_wait: Some(Time(wait)),
        group_interval: Some(Time(interval)),
        repeat_interval: Some(Time(repeat)),
        mute_time_intervals: if quiet { vec![QUIET.to_owned()] } else { Vec::new() },
        ..Route::default()
    }
}

/// A file of its own: what is ours, and a root that tells nobody.
fn whole(alerts: &Alerts) -> Config {
    let mut config = Config { routing: routing(alerts), ..fragment(alerts) };
    config.global = Some(Global { resolve_timeout: "5m" });
    config.receivers.insert(0, To { name: "nobody".to_owned(), ..To::default() });
    config
}

/// What is merged into an existing file: a route, inhibitions, and the receivers.
fn fragment(alerts: &Alerts) -> Config {
    let watchdog = To {
        name: WATCHDOG.to_owned(),
        webhook_configs: watchdog(alerts).into_iter().collect(),
        ..To::default()
    };
    let nobody = To { name: NOBODY.to_owned(), ..To::default() };
    let lists =
        List::ALL.into_iter().filter(|list| *list == List::Receivers || !alerts.list(*list).is_empty());
    let all = lists.flat_map(|list| Priority::ALL.map(|priority| to(list, priority, alerts)));
    Config {
        global: None,
        routing: branch(alerts),
        receivers: [nobody, watchdog].into_iter().chain(all).collect(),
    }
}

/// The receiver that hears that alerting works.
pub const WATCHDOG: &str = "neural-watchdog";
/// The receiver that is nobody.
const NOBODY: &str = "neural-nobody";
/// Group wait, group interval and repeat interval of a priority, in seconds.
fn waits(of: Priority) -> (u32, u32, u32) {
    match of {
        Priority::P0 => (5, 60, 3600),
        Priority::P1 => (15, 300, 4 * 3600),
        Priority::P2 => (60, 300, 12 * 3600),
        Priority::P3 => (300, 3600, 24 * 3600),
    }
}

/// The alert of which those hear who come next.
const ESCALATED: &str = "NeuralIncidentEscalated";

/// The name of the receiver of a priority.
#[must_use]
pub fn receiver(list: List, priority: Priority) -> String {
    let escalated = if list == List::Escalations { "escalated-" } else { "" };
    format!("neural-{escalated}{}", priority.as_str().to_lowercase())
}

/// The route of our alerts, what mutes what, and the quiet hours.
fn branch(alerts: &Alerts) -> Routing {
    let mut routes = vec![Route {
        receiver: WATCHDOG.to_owned(),
        matchers: vec![Matcher::new("alertname", Equal, "NeuralWatchdog")],
        group_wait: Some(Time(0)),
        group_interval: Some(Time(60)),
        repeat_interval: Some(Time(60)),
        ..Route::default()
    }];
    let first = (!alerts.escalations.is_empty()).then_some(List::Escalations);
    let lists = first.into_iter().chain([List::Receivers]);
    for (list, priority) in lists.flat_map(|list| Priority::ALL.map(|priority| (list, priority))) {
        let escalated = (list == List::Escalations).then(|| Matcher::new("alertname", Equal, ESCALATED));
        let priority_is = Matcher::new("priority", Equal, priority.as_str());
        let matchers = escalated.into_iter().chain([priority_is]).collect();
        routes.push(Route { matchers, ..route(alerts, list, priority) });
    }
    Routing {
        route: Route {
            // NeuralMaintenance has no priority and stays here.
            receiver: NOBODY.to_owned(),
            matchers: vec![ours()],
            group_by: Some(group_by()),
            routes,
            ..Route::default()
        },
        inhibitions: inhibitions(),
        intervals: alerts.quiet.iter().map(quiet).collect(),
    }
}

/// Who receives the watchdog.
fn watchdog(alerts: &Alerts) -> Option<ToUrl> {
    let url = alerts.watchdog.as_ref().map(|url| url.expose().to_owned());
    let url_file = alerts.watchdog_file.clone().filter(|_| alerts.alertmanager >= Alertmanager::From0_28);
    (url.is_some() || url_file.is_some()).then_some(ToUrl { send_resolved: false, url, url_file })
}

/// Everybody of a list who hears of a priority.
fn to(list: List, priority: Priority, alerts: &Alerts) -> To {
    let mut to = To { name: receiver(list, priority), ..To::default() };
    // What this Alertmanager would reject was reported when the configuration was read.
    let fits = |receiver: &&Receiver| {
        receiver.wrong(alerts.alertmanager).is_none() && receiver.is_the_agents().is_none()
    };
    for receiver in alerts.list(list).iter().filter(|receiver| receiver.hears(priority)).filter(fits) {
        match receiver.clone() {
            Receiver::Slack(Slack { api_url_file, channel, .. }) => to.slack_configs.push(ToSlack {
                send_resolved: true,
                api_url_file,
                channel,
                color: message::COLOR,
                title: message::TITLE,
                text: message::LINES,
            }),
            Receiver::Pagerduty(Pagerduty { routing_key_file, url, .. }) => {
                to.pagerduty_configs.push(ToPagerduty {
                    send_resolved: true,
                    url: url.map(|url| url.expose().to_owned()),
                    routing_key_file,
                    severity: message::PAGER,
                    description: message::TITLE,
                });
            }
            Receiver::Email(of) => to.email_configs.push(mail(of)),
            Receiver::Webhook(Hook { url, url_file, .. }) => {
                let url = url.map(|url| url.expose().to_owned());
                to.webhook_configs.push(ToUrl { send_resolved: true, url, url_file });
            }
            Receiver::Teams(hook) => {
                to.msteamsv2_configs.push(ToWebhook { text: Some(message::LINES), ..webhook(hook) });
            }
            Receiver::Discord(hook) => {
                to.discord_configs.push(ToWebhook { message: Some(message::LINES), ..webhook(hook) });
            }
            // It is in a comment.
            Receiver::Program(_) => {}
        }
    }
    to
}

fn mail(of: Email) -> ToEmail {
    ToEmail {
        send_resolved: true,
        to: of.to,
        from: of.from,
        smarthost: of.smarthost,
        auth_username: of.username,
        auth_password_file: of.password_file,
        require_tls: (!of.require_tls).then_some(false),
        tls_config: of.ca_file.map(|ca_file| Tls { ca_file }),
        html: if of.html { message::HTML } else { "" },
        text: message::LINES,
    }
}

fn webhook(hook: Hook) -> ToWebhook {
    let webhook_url = hook.url.map(|url| url.expose().to_owned());
    let webhook_url_file = hook.url_file;
    ToWebhook {
        send_resolved: true,
        webhook_url,
        webhook_url_file,
        title: message::TITLE,
        text: None,
        message: None,
    }
}

fn ours() -> Matcher {
    Matcher::new("alertname", Matches, "Neural.+")
}

/// What mutes what.
fn inhibitions() -> Vec<Inhibition> {
    let worse = [("P0", "P1|P2|P3"), ("P1", "P2|P3"), ("P2", "P3")].map(|(worse, better)| Inhibition {
        source: vec![ours(), Matcher::new("priority", Equal, worse)],
        target: vec![ours(), Matcher::new("priority", Matches, better)],
        equal: identity(),
    });
    // A device that is gone has no rate, no contact and no clock.
    let gone = "NeuralDeviceUnplugged|NeuralDeviceSilent|NeuralStreamAbsent|NeuralStreamStalled";
    let device = Inhibition {
        source: vec![Matcher::new("alertname", Matches, gone)],
        target: vec![
            Matcher::new("component", Matches, "device|signal|port|tap"),
            Matcher::new("alertname", MatchesNot, gone),
        ],
        equal: ["job", "instance", "device"].map(str::to_owned).into(),
    };
    let agent = Inhibition {
        source: vec![Matcher::new("alertname", Equal, "NeuralAgentDown")],
        target: vec![ours(), Matcher::new("alertname", NotEqual, "NeuralAgentDown")],
        equal: ["job", "instance"].map(str::to_owned).into(),
    };
    let maintenance = ["device", "service", "pipeline", "instance"].map(|label| Inhibition {
        // A label that both lack would be equal: it must be there.
        source: vec![
            Matcher::new("alertname", Equal, "NeuralMaintenance"),
            Matcher::new(label, Matches, ".+"),
        ],
        target: vec![
            ours(),
            Matcher::new("alertname", NotEqual, "NeuralMaintenance"),
            Matcher::new("component", NotEqual, "agent"),
        ],
        equal: vec![label.to_owned()],
    });
    worse.into_iter().chain([device, agent]).chain(maintenance).collect()
}

/// Every label that tells one series of an alert from another.
fn identity() -> Vec<String> {
    let alerts = CHAPTERS.iter().flat_map(|chapter| chapter.alerts);
    let labels: BTreeSet<&str> = alerts.flat_map(|alert| alert.fires.labels).map(|(name, _)| *name).collect();
    ["alertname", "job", "instance"]
        .into_iter()
        .chain(labels.into_iter().filter(|label| *label != "job"))
        .map(str::to_owned)
        .collect()
}

fn quiet(of: &Quiet) -> Interval {
    // What is no time of day was reported when the configuration was read.
    let read = |text: &str| Minute::read(text).unwrap_or(Minute(0));
    let (from, to) = (read(&of.from), read(&of.to));
    // A range may not go past midnight.
    let times = if from < to {
        vec![Times { from, to }]
    } else {
        let mut times = vec![Times { from, to: Minute::END }];
        times.extend((to > Minute(0)).then_some(Times { from: Minute(0), to }));
        times
    };
    let mut spans = vec![Span { times, weekdays: Vec::new(), location: of.location.clone() }];
    if of.weekends {
        let weekdays = vec![Weekday::Saturday, Weekday::Sunday];
        spans.push(Span { times: Vec::new(), weekdays, location: of.location.clone() });
    }
    Interval { name: QUIET.to_owned(), spans }
}

/// One of everything that this Alertmanager knows, to copy from.
fn example(alerts: &Alerts) -> Alerts {
    let secret = |name: &str| format!("/etc/alertmanager/secrets/{name}");
    let urgent = || vec![Urgency::P0, Urgency::P1];
    let all = || vec![Urgency::P0, Urgency::P1, Urgency::P2, Urgency::P3];
    let hook = |url: &str, name: &str| {
        let old = alerts.alertmanager < Alertmanager::From0_28;
        Hook { url: old.then(|| url.into()), url_file: (!old).then(|| secret(name)), priorities: all() }
    };
    let receivers = vec![
        Receiver::Slack(Slack {
            api_url_file: secret("slack"),
            channel: "#lab".to_owned(),
            priorities: all(),
        }),
        Receiver::Pagerduty(Pagerduty {
            routing_key_file: secret("pagerduty"),
            url: None,
            priorities: urgent(),
        }),
        Receiver::Email(Email {
            to: "lab@example.org".to_owned(),
            from: "alerts@example.org".to_owned(),
            smarthost: "mail.example.org:587".to_owned(),
            username: Some("alerts".to_owned()),
            password_file: Some(secret("mail")),
            require_tls: true,
            implicit_tls: None,
            ca_file: None,
            html: true,
            priorities: urgent(),
        }),
        Receiver::Webhook(hook("http://127.0.0.1:9095/alerts", "webhook")),
        Receiver::Discord(hook("https://discord.example.org/api/webhooks/1/token", "discord")),
        Receiver::Teams(hook("https://teams.example.org/webhook", "teams")),
    ];
    Alerts {
        receivers,
        watchdog: Some("https://watchdog.example.org/ping".into()),
        quiet: Some(Quiet {
            from: "20:00".to_owned(),
            to: "07:00".to_owned(),
            weekends: true,
            location: "Europe/Berlin".to_owned(),
            priorities: vec![Urgency::P3],
        }),
        ..alerts.clone()
    }
}
