//! The page of sources: which there are and how they fare, and what fills the registry.

use std::fmt::Write;

use super::{Delivered, Listed};
use crate::alert::health::{Elsewhere, Judge, Status};
use crate::alert::{Group, Health};
use crate::catalog::card::{Advice, advice_for};
use crate::event::PortState;
use crate::hub::{self, Hub};
use crate::metrics::Registry;
use crate::view::html::{self, TABLE_END, escape};
use crate::view::{Alert, Incident};

/// Families the page lists.
const OFFENDERS: usize = 10;
/// Rows of what one source found by itself.
const FOUND: usize = 32;

/// Alerts of the rules that the agent evaluates, but those that are for information.
#[derive(Clone, Debug, Default)]
pub(super) struct Alerts {
    shown: Vec<Alert>,
    rules: usize,
    /// Rules that were not evaluated yet.
    unknown: usize,
    /// Rules that cannot be evaluated.
    failing: usize,
    judge: Judge,
    /// Who evaluates in the agent's place.
    elsewhere: Option<String>,
    /// Who is notified.
    pub(super) notified: Vec<Delivered>,
}

/// Incidents that are open.
#[derive(Clone, Debug, Default)]
pub(super) struct Incidents {
    /// All of them, if they are kept.
    pub open: Option<Vec<Incident>>,
    /// What is wrong with how they are kept.
    pub notes: Vec<String>,
    /// Now, ms.
    pub at: i64,
}

impl Incidents {
    fn write(&self, page: &mut String) {
        let Some(open) = &self.open else { return };
        page.push_str("<h2>Incidents</h2>");
        for note in &self.notes {
            // Writing to a string cannot fail.
            let _ = write!(page, "<p class=down role=alert>{}</p>", escape(note));
        }
        if open.is_empty() {
            page.push_str("<p class=up>No incident is open.</p>");
        } else {
            page.push_str(&html::incident_list(open, self.at));
        }
        page.push_str(
            "<p><a href=incident>All incidents</a>. <code>neural-exporter incidents ack NUMBER</code> says that you take care of one.</p>",
        );
    }
}

impl Alerts {
    /// Adds the alerts of a group.
    pub(super) fn take(&mut self, group: &Group) {
        self.judge.take(group);
        for live in &group.rules {
            self.rules += 1;
            self.unknown += usize::from(live.health == Health::Unknown);
            self.failing += usize::from(matches!(live.health, Health::Failed(_)));
        }
        self.shown.extend(super::view::shown(group));
    }

    /// Adds what a server says that evaluates in the agent's place.
    pub(super) fn hear(&mut self, elsewhere: &Elsewhere) {
        self.judge.hear(elsewhere);
        self.elsewhere = Some(elsewhere.server.clone());
    }

    fn write(&self, page: &mut String) {
        if self.rules == 0 {
            if let Some(server) = &self.elsewhere {
                self.write_health(page);
                // Writing to a string cannot fail.
                let _ = write!(page, ", by the alerts of {}</p>", escape(server));
            }
            return;
        }
        self.write_alerts(page);
        if self.notified.is_empty() {
            return;
        }
        page.push_str("<h2>Notifications</h2>");
        let columns = ["receiver", "state", "#delivered", "#failed", "#waiting"];
        page.push_str(&html::table("Notifications", &columns));
        for delivered in &self.notified {
            let (class, state) = match (delivered.failing, delivered.sent) {
                (true, _) => ("down", "does not take alerts"),
                (false, 0) => ("wait", "nothing delivered yet"),
                (false, _) => ("up", "takes alerts"),
            };
            let Delivered { sent, failures, waiting, .. } = delivered;
            let receiver = escape(&delivered.receiver);
            // Writing to a string cannot fail.
            let _ = write!(
                page,
                "<tr><td>{receiver}<td class={class}>{state}<td class=n>{sent}<td class=n>{failures}<td class=n>{waiting}</tr>"
            );
        }
        page.push_str(TABLE_END);
    }

    fn write_health(&self, page: &mut String) {
        let status = self.judge.status();
        let class = match status {
            Status::Healthy => "up",
            Status::Unknown | Status::Degraded => "wait",
            Status::Unhealthy => "down",
        };
        // Writing to a string cannot fail.
        let _ = write!(page, "<p>Health: <a class={class} href=\"api/v1/health\">{}</a>", status.as_str());
    }

    fn write_alerts(&self, page: &mut String) {
        self.write_health(page);
        page.push_str("</p><h2>Alerts</h2>");
        if self.failing > 0 {
            let rules = if self.failing == 1 { "rule" } else { "rules" };
            let _ = write!(
                page,
                "<p class=down role=alert>{} {rules} cannot be evaluated: <a href=\"api/v1/rules\">see which and why</a>.</p>",
                self.failing
            );
        }
        if self.unknown == self.rules {
            page.push_str("<p>The rules were not evaluated yet.</p>");
            return;
        }
        if self.shown.is_empty() {
            let _ = write!(
                page,
                "<p class=up>No alert fires or waits. Rules evaluated: {}.</p>",
                self.rules - self.failing
            );
            return;
        }
        let mut shown = self.shown.clone();
        super::view::sort(&mut shown);
        page.push_str(&html::alert_table(&shown));
    }
}

/// The columns of sources.
const SOURCES: &[&str] = &[
    "name",
    "kind",
    "where",
    "state",
    "#events",
    "#errors",
    "#dropped",
    "#dropped by the kernel",
    "#clients",
];

/// The page as HTML. Reasons are left to the log, because they quote the configuration and name files.
pub(super) fn sources(
    hub: &Hub,
    sources: &[Listed],
    trouble: &[String],
    (alerts, incidents): &(Alerts, Incidents),
) -> String {
    let mut page = html::begin("Sources – neural-exporter", "");
    let version = env!("CARGO_PKG_VERSION");
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<h1>Sources</h1><p>Version {version} · <a href=-/healthy>healthy</a> · <a href=-/ready>ready</a></p>"
    );
    for what in trouble {
        let _ = write!(page, "<p class=down role=alert>{}</p>", html::code(what));
    }
    alerts.write(&mut page);
    incidents.write(&mut page);
    let state = hub.lock();
    page.push_str("<h2>Sources</h2>");
    page.push_str(&html::table("Sources", SOURCES));
    for source in sources {
        row(&mut page, &state, source);
        // What it found by itself is known under a name that begins with its own.
        for mark in ["/", ":"] {
            let begin = format!("{}{mark}", source.name);
            let names = state.registry.samples("neural_source_up").filter_map(|up| up.label("source"));
            for name in names.filter(|name| name.starts_with(&begin)).take(FOUND) {
                let found = Listed {
                    name: name.into_owned(),
                    kind: source.kind,
                    place: String::new(),
                    trouble: None,
                };
                row(&mut page, &state, &found);
            }
        }
    }
    let held = state.registry.len();
    let _ = write!(
        page,
        "{TABLE_END}<h2>Series</h2><p>{held} series. Families that rejected events, then the largest:</p>"
    );
    page.push_str(&html::table("Series", &["family", "#series", "#events without a series of their own"]));
    for usage in state.registry.usage(OFFENDERS) {
        let _ = write!(
            page,
            "<tr><td><code>{}</code><td class=n>{}<td class=n>{}</tr>",
            escape(&usage.family),
            usage.series,
            usage.refused
        );
    }
    page.push_str(TABLE_END);
    page.push_str(&html::end(""));
    page
}

/// One source.
fn row(page: &mut String, state: &hub::State, source: &Listed) {
    let registry = &state.registry;
    let number = |family: &str| {
        let value = registry.value(family, &[("source", &source.name)]);
        value.map_or_else(|| "–".to_owned(), |value| format!("{value}"))
    };
    let sum = |family| {
        let samples = registry.samples(family).filter(|sample| sample.has("source", &source.name));
        samples.fold(0.0, |sum, sample| sum + sample.value)
    };
    let (errors, dropped) = (sum("neural_source_errors"), sum("neural_source_dropped_events"));
    let (class, word, advice) = device_status(registry, &source.name);
    let why = source.trouble.as_deref().or_else(|| state.why(&source.name).filter(|_| class != "up"));
    let said = match (why, advice) {
        (Some(why), Some(Advice { besides: true, text, .. })) => format!("{word}: {why}. {text}"),
        (Some(why), _) => format!("{word}: {why}"),
        (None, Some(advice)) => format!("{word}: {}", advice.text),
        (None, None) => word,
    };
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<tr><td>{}<td>{}<td><code>{}</code><td class={class}>{}<td class=n>{}<td class=n>{errors}\
         <td class=n>{dropped}<td class=n>{}<td class=n>{}</tr>",
        escape(&source.name),
        source.kind,
        escape(&source.place),
        html::code(&said),
        number("neural_source_events"),
        number("neural_source_kernel_drops"),
        number("neural_source_clients"),
    );
}

/// How a source fares: its port before its link, and what it misses.
fn device_status(registry: &Registry, name: &str) -> (&'static str, String, Option<&'static Advice>) {
    let is = |state: &PortState| {
        registry.value("neural_port_state", &[("device", name), ("state", state.as_str())]) == Some(1.0)
    };
    if let Some(state) = PortState::ALL.iter().find(|state| **state != PortState::Open && is(state)) {
        let word = state.as_str().replace('_', " ");
        let advice = advice_for(&word);
        return ("down", word, advice);
    }
    let streams = registry.samples("neural_stream_present").filter(|stream| stream.has("source", name));
    let missing: Vec<_> =
        streams.filter(|stream| stream.value < 1.0).filter_map(|stream| stream.label("stream")).collect();
    if !missing.is_empty() {
        return ("down", format!("missing: {}", missing.join(", ")), None);
    }
    match registry.value("neural_source_up", &[("source", name)]) {
        Some(up) if up > 0.0 => ("up", "up".to_owned(), None),
        Some(_) => ("down", "down".to_owned(), None),
        None => ("absent", "not here".to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Event, Expected, Link, Port, SourceId, Timestamp};
    use crate::{alert, promql};

    #[test]
    fn what_is_dead_is_not_up() {
        let hub = Hub::default();
        let send = |source: SourceId, body: Body<'_>| {
            hub.lock().fold(&Event { at: Timestamp::both(1), source, body });
        };
        let mut listed = Vec::new();
        let mut add = |name: &str, kind| {
            listed.push(Listed { name: name.to_owned(), kind, place: String::new(), trouble: None });
            let source = hub.add_source(name);
            send(source, Body::Link(Link::Up));
            source
        };
        let (board, lsl) = (add("board", "serial"), add("lsl", "lsl"));
        let shows = |part: &str| {
            let page = sources(&hub, &listed, &[], &Default::default());
            assert!(page.contains(part), "{part} is not in {page}");
        };
        shows("<tr><td>board<td>serial<td><code></code><td class=up>up<td");
        send(board, Body::Port(Port::State(PortState::WrongDevice)));
        shows("<td class=down>wrong device: Compare its protocol and speed");
        send(board, Body::Port(Port::State(PortState::Silent)));
        shows("<td class=down>silent: Check that the device is on, charged and in range.<td");
        // A reason that is known stands in place of what is said in general, and goes with the state.
        let because = |state, why: &str| {
            send(board, Body::Port(Port::State(state)));
            hub.lock().down(Timestamp::both(1), board, why);
        };
        because(PortState::WrongDevice, "it has a <Daisy>; write `protocol: daisy`");
        shows("<td class=down>wrong device: it has a &lt;Daisy&gt;; write <code>protocol: daisy</code><td");
        because(PortState::Failed, "it is no serial port");
        shows("<td class=down>failed: it is no serial port<td");
        because(PortState::Busy, "it is in use by cat (pid 7)");
        shows("<td class=down>busy: it is in use by cat (pid 7). Stop the program that has the port, or");
        send(board, Body::Port(Port::State(PortState::Silent)));
        shows("<td class=down>silent: Check that the device is on, charged and in range.<td");
        send(board, Body::Port(Port::State(PortState::Open)));
        shows("<tr><td>board<td>serial<td><code></code><td class=up>up<td");

        let eeg = hub.add_source("lsl/EEG <1>");
        send(eeg, Body::Link(Link::Up));
        shows("<tr><td>lsl/EEG &lt;1&gt;<td>lsl<td><code></code><td class=up>up<td");
        send(lsl, Body::Expected(Expected { stream: "EEG <1>", present: true }));
        shows("<tr><td>lsl<td>lsl<td><code></code><td class=up>up<td");
        send(lsl, Body::Expected(Expected { stream: "marks", present: false }));
        shows("<tr><td>lsl<td>lsl<td><code></code><td class=down>missing: marks<td");
    }

    #[test]
    fn a_source_that_is_down_says_why() {
        let hub = Hub::default();
        let source = hub.add_source("engine");
        let listed =
            [Listed { name: "engine".to_owned(), kind: "scrape", place: "here".to_owned(), trouble: None }];
        let link = |link| hub.lock().fold(&Event { at: Timestamp::both(0), source, body: Body::Link(link) });
        hub.lock().down(Timestamp::both(0), source, "line 1 is <wrong>");
        link(Link::Down);
        let page = sources(&hub, &listed, &[], &Default::default());
        assert!(page.contains("class=down>down: line 1 is &lt;wrong&gt;<td"), "{page}");
        link(Link::Up);
        assert!(sources(&hub, &listed, &[], &Default::default()).contains("class=up>up<td"));
    }

    /// No series at all.
    struct Nothing;

    impl promql::Select for Nothing {
        fn select(&self, _: &promql::Selection<'_>, _: &mut promql::Each<'_>) -> Result<(), promql::Error> {
            Ok(())
        }
    }

    impl alert::Storage for Nothing {
        fn append(&self, _: &promql::Labels, _: promql::Sample) {}
    }

    /// The page of these rules.
    fn page_of(rules: &[String], evaluated: bool) -> String {
        let text = format!("groups:\n- name: g\n  rules:\n{}", rules.concat());
        let mut alerts = Alerts::default();
        for definition in alert::RuleFile::read("r", &text).unwrap().groups {
            let mut group = Group::new("r", definition, 30_000);
            let context = alert::Context {
                storage: &Nothing,
                external_labels: &promql::Labels::empty(),
                external_url: "",
                subquery_step: 60_000,
                max_samples: 1000,
                interrupt: &|| None,
                clock: &|| 0,
            };
            if evaluated {
                group.evaluate(1_000_000, &context);
            }
            alerts.take(&group);
        }
        sources(&Hub::default(), &[], &[], &(alerts, Incidents::default()))
    }

    #[test]
    fn alerts_are_shown_worst_first_and_nothing_is_said_that_is_not_known() {
        let rule = |name: &str, expr: &str, more: &str| {
            format!(
                "  - {{alert: {name}, expr: '{expr}', labels: {{priority: P1, severity: high}}, annotations: \
                 {{summary: 'a <b> of {name}', runbook_url: 'http://x/runbooks/{name}.md'}}{more}}}\n"
            )
        };
        let quiet = rule("Quiet", "vector(1) < 0", "");
        let all = [rule("Waits", "vector(1)", ", for: 1h"), rule("Fires", "vector(1)", ""), quiet.clone()];
        let shown = page_of(&all, true);
        let at = |part: &str| shown.find(part).unwrap_or_else(|| panic!("{part} is not in {shown}"));
        let firing = at(
            "<td class=danger>✖ firing<td>P1<td><a href=\"alert?name=Fires\">a &lt;b&gt; of Fires</a><td><time>1970-",
        );
        assert!(firing < at("<td class=attention>▲ pending"));
        crate::http::same_page("sources.html", &shown);
        assert!(!shown.contains("of Quiet") && !shown.contains("No alert"));
        assert!(page_of(&all, false).contains("not evaluated yet"));
        assert!(page_of(&[quiet], true).contains("No alert fires or waits. Rules evaluated: 1."));
        let bad = rule("Bad", "label_replace(vector(1), \"a\", \"$1\", \"b\", \"(\")", "");
        let failing = page_of(&[bad], true);
        assert!(failing.contains("1 rule cannot be evaluated"), "{failing}");
        assert!(
            !page_of(&[], true).contains("<h2>Alerts"),
            "nothing is said of alerts where there are no rules"
        );
    }

    #[test]
    fn what_is_wrong_with_the_agent_is_seen() {
        let page = |trouble: &[String]| sources(&Hub::default(), &[], trouble, &Default::default());
        assert!(
            page(&["see <b> and `check`".to_owned()])
                .contains("role=alert>see &lt;b&gt; and <code>check</code></p>")
        );
        assert!(!page(&[]).contains("role=alert"));
    }
}
