//! Where alerts go: the configuration of Alertmanager, as a whole and as a part to put into one's own.
//!
//! Secrets never stand in it, only the names of files. One receiver a priority, and in it everybody who wants
//! to hear of that priority.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    Alertmanager, Alerts, Email, File, Hook, Pagerduty, Quiet, Receiver, Settings, Slack, Urgency, yaml,
};
use crate::catalog::alert::{CHAPTERS, Priority};

#[derive(Serialize)]
struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    global: Option<Global>,
    route: Route,
    inhibit_rules: Vec<Inhibit>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    time_intervals: Vec<Interval>,
    receivers: Vec<To>,
}

#[derive(Serialize)]
struct Global {
    resolve_timeout: &'static str,
}

#[derive(Default, Serialize)]
struct Route {
    receiver: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    matchers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    group_by: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_wait: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_interval: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat_interval: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mute_time_intervals: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Self>,
}

#[derive(Serialize)]
struct Inhibit {
    source_matchers: Vec<String>,
    target_matchers: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    equal: Vec<String>,
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

#[derive(Serialize)]
struct Interval {
    name: &'static str,
    time_intervals: Vec<Span>,
}

#[derive(Serialize)]
struct Span {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    times: Vec<Times>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    weekdays: Vec<&'static str>,
    location: String,
}

#[derive(Serialize)]
struct Times {
    start_time: String,
    end_time: String,
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
}

/// What the hours are called in which nobody wants to hear of what can wait.
pub const QUIET: &str = "neural-quiet";

const TITLE: &str =
    "{{ .CommonLabels.priority }} {{ .CommonLabels.alertname }}: {{ .Status }} ({{ .Alerts | len }})";
const LINES: &str = "{{ range .Alerts }}• {{ .Annotations.summary }}\n{{ .Annotations.description }}\n{{ .Annotations.runbook_url }}\n{{ with .Annotations.dashboard_url }}{{ . }}\n{{ end }}{{ end }}";
const COLOR: &str = "{{ if ne .Status \"firing\" }}good{{ else if eq .CommonLabels.priority \"P0\" }}danger{{ else }}warning{{ end }}";
const PAGER: &str = "{{ if eq .CommonLabels.severity \"critical\" }}critical{{ else if eq .CommonLabels.severity \"high\" }}error{{ else if match \"medium|warning\" .CommonLabels.severity }}warning{{ else }}info{{ end }}";

pub(super) fn render(settings: &Settings, files: &mut Vec<File>) {
    let mut add =
        |name: &str, text| files.push(File { path: format!("provisioning/alertmanager/{name}.yml"), text });
    add("alertmanager", yaml(&whole(&settings.alerts)));
    add("fragment", yaml(&fragment(&settings.alerts)));
    add("example", yaml(&whole(&example(&settings.alerts))));
    // The same hours for a Grafana that evaluates the alerts itself; its policies name them.
    if let Some(quiet) = settings.alerts.quiet.as_ref().map(quiet) {
        let times = Timings { api_version: 1, mute_times: [Timing { org_id: 1, of: quiet }] };
        files.push(File { path: TIMINGS.to_owned(), text: yaml(&times) });
    }
}

/// A file of its own: what is ours, and a root that tells nobody.
fn whole(alerts: &Alerts) -> Config {
    let mut config = fragment(alerts);
    let root = Route {
        receiver: "nobody".to_owned(),
        group_by: vec!["alertname"],
        routes: vec![config.route],
        ..Route::default()
    };
    config.route = root;
    config.global = Some(Global { resolve_timeout: "5m" });
    config.receivers.insert(0, To { name: "nobody".to_owned(), ..To::default() });
    config
}

/// What is merged into an existing file: a route, inhibitions, and the receivers.
fn fragment(alerts: &Alerts) -> Config {
    let waits = [("5s", "1m", "1h"), ("15s", "5m", "4h"), ("1m", "5m", "12h"), ("5m", "1h", "24h")];
    let mut routes = vec![Route {
        receiver: "neural-watchdog".to_owned(),
        matchers: vec!["alertname=\"NeuralWatchdog\"".to_owned()],
        group_wait: Some("0s"),
        group_interval: Some("1m"),
        repeat_interval: Some("1m"),
        ..Route::default()
    }];
    let mut receivers = vec![To {
        name: "neural-watchdog".to_owned(),
        webhook_configs: watchdog(alerts).into_iter().collect(),
        ..To::default()
    }];
    for (priority, (wait, interval, repeat)) in Priority::ALL.into_iter().zip(waits) {
        let name = format!("neural-{}", priority.as_str().to_lowercase());
        let quiet = alerts.quiet.as_ref().is_some_and(|quiet| quiet.covers(priority));
        routes.push(Route {
            receiver: name.clone(),
            matchers: vec![format!("priority=\"{}\"", priority.as_str())],
            group_wait: Some(wait),
            group_interval: Some(interval),
            repeat_interval: Some(repeat),
            mute_time_intervals: if quiet { vec![QUIET] } else { Vec::new() },
            ..Route::default()
        });
        receivers.push(to(name, priority, alerts));
    }
    Config {
        global: None,
        route: Route {
            // NeuralMaintenance has no priority and stays here.
            receiver: "neural-nobody".to_owned(),
            matchers: vec!["alertname=~\"Neural.+\"".to_owned()],
            group_by: vec!["alertname", "job", "instance", "device", "pipeline", "service"],
            routes,
            ..Route::default()
        },
        inhibit_rules: inhibitions(),
        time_intervals: alerts.quiet.iter().map(quiet).collect(),
        receivers: {
            receivers.insert(0, To { name: "neural-nobody".to_owned(), ..To::default() });
            receivers
        },
    }
}

/// Who receives the watchdog.
fn watchdog(alerts: &Alerts) -> Option<ToUrl> {
    let url = alerts.watchdog.as_ref().map(|url| url.expose().to_owned());
    let url_file = alerts.watchdog_file.clone().filter(|_| alerts.alertmanager >= Alertmanager::From0_28);
    (url.is_some() || url_file.is_some()).then_some(ToUrl { send_resolved: false, url, url_file })
}

/// Everybody who hears of a priority.
fn to(name: String, priority: Priority, alerts: &Alerts) -> To {
    let mut to = To { name, ..To::default() };
    let hears = |receiver: &&Receiver| receiver.priorities().iter().any(|of| of.is(priority));
    // What this Alertmanager would reject was reported when the configuration was read.
    let fits = |receiver: &&Receiver| receiver.wrong(alerts.alertmanager).is_none();
    for receiver in alerts.receivers.iter().filter(hears).filter(fits) {
        match receiver.clone() {
            Receiver::Slack(Slack { api_url_file, channel, .. }) => to.slack_configs.push(ToSlack {
                send_resolved: true,
                api_url_file,
                channel,
                color: COLOR,
                title: TITLE,
                text: LINES,
            }),
            Receiver::Pagerduty(Pagerduty { routing_key_file, .. }) => {
                to.pagerduty_configs.push(ToPagerduty {
                    send_resolved: true,
                    routing_key_file,
                    severity: PAGER,
                    description: TITLE,
                });
            }
            Receiver::Email(Email { to: address, from, smarthost, username, password_file, .. }) => {
                to.email_configs.push(ToEmail {
                    send_resolved: true,
                    to: address,
                    from,
                    smarthost,
                    auth_username: username,
                    auth_password_file: password_file,
                });
            }
            Receiver::Webhook(Hook { url, url_file, .. }) => {
                let url = url.map(|url| url.expose().to_owned());
                to.webhook_configs.push(ToUrl { send_resolved: true, url, url_file });
            }
            Receiver::Teams(hook) => to.msteamsv2_configs.push(webhook(hook)),
            Receiver::Discord(hook) => to.discord_configs.push(webhook(hook)),
        }
    }
    to
}

fn webhook(hook: Hook) -> ToWebhook {
    let webhook_url = hook.url.map(|url| url.expose().to_owned());
    ToWebhook { send_resolved: true, webhook_url, webhook_url_file: hook.url_file, title: TITLE }
}

/// What mutes what.
fn inhibitions() -> Vec<Inhibit> {
    let ours = || "alertname=~\"Neural.+\"".to_owned();
    let worse = [("P0", "P1|P2|P3"), ("P1", "P2|P3"), ("P2", "P3")].map(|(worse, better)| Inhibit {
        source_matchers: vec![ours(), format!("priority=\"{worse}\"")],
        target_matchers: vec![ours(), format!("priority=~\"{better}\"")],
        equal: identity(),
    });
    // A device that is gone has no rate, no contact and no clock.
    let gone = "\"NeuralDeviceUnplugged|NeuralDeviceSilent|NeuralStreamAbsent|NeuralStreamStalled\"";
    let device = Inhibit {
        source_matchers: vec![format!("alertname=~{gone}")],
        target_matchers: vec![
            "component=~\"device|signal|port|tap\"".to_owned(),
            format!("alertname!~{gone}"),
        ],
        equal: ["job", "instance", "device"].map(str::to_owned).into(),
    };
    let agent = Inhibit {
        source_matchers: vec!["alertname=\"NeuralAgentDown\"".to_owned()],
        target_matchers: vec![ours(), "alertname!=\"NeuralAgentDown\"".to_owned()],
        equal: ["job", "instance"].map(str::to_owned).into(),
    };
    let maintenance = ["device", "service", "pipeline", "instance"].map(|label| Inhibit {
        // A label that both lack would be equal: it must be there.
        source_matchers: vec!["alertname=\"NeuralMaintenance\"".to_owned(), format!("{label}=~\".+\"")],
        target_matchers: vec![
            ours(),
            "alertname!=\"NeuralMaintenance\"".to_owned(),
            "component!=\"agent\"".to_owned(),
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
    let time = |from: &str, to: &str| Times { start_time: from.to_owned(), end_time: to.to_owned() };
    // A range may not go past midnight.
    let times = if of.from < of.to {
        vec![time(&of.from, &of.to)]
    } else {
        let mut times = vec![time(&of.from, "24:00")];
        times.extend((of.to != "00:00").then(|| time("00:00", &of.to)));
        times
    };
    let mut spans = vec![Span { times, weekdays: Vec::new(), location: of.location.clone() }];
    if of.weekends {
        let weekdays = vec!["saturday", "sunday"];
        spans.push(Span { times: Vec::new(), weekdays, location: of.location.clone() });
    }
    Interval { name: QUIET, time_intervals: spans }
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
        Receiver::Pagerduty(Pagerduty { routing_key_file: secret("pagerduty"), priorities: urgent() }),
        Receiver::Email(Email {
            to: "lab@example.org".to_owned(),
            from: "alerts@example.org".to_owned(),
            smarthost: "mail.example.org:587".to_owned(),
            username: Some("alerts".to_owned()),
            password_file: Some(secret("mail")),
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
