//! The agent's own metrics: few, known when this is compiled, and of prometheus-client's types.

#![expect(
    clippy::disallowed_methods,
    reason = "the agent's own metrics are registered here, under the names of the catalogue"
)]

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric as Registered, Registry as Client, Unit};

use super::Format;
use super::labels::{
    Answered, DroppedSpans, ESCALATIONS, EscalatedIncidents, Escalation, LOST_LINES, LostLines, Notified,
    OfBaseline, OfCertificate, OfHook, OfHookStep, OfIncident, OfLine, OfPriority, OfQueue, OfReports,
    OfState, OfTarget, OfTask, OpenIncidents, Pushed, PushedObjects, REPORTS, SeriesRefusal, Unshaken,
};
use super::writes::{Pushes, Writes};
use crate::catalog::{Metric, OWN, agent, benchmark, incident, trace};
use crate::event::{Kind, Timestamp};

type Float = Gauge<f64, AtomicU64>;

/// The agent's own metrics.
#[derive(Debug)]
pub struct Own {
    registry: Client,
    /// Held by the writer of a scrape, so that another one changes nothing meanwhile.
    moments: Mutex<Moments>,
    /// Which configuration runs.
    pub config_hash: Gauge,
    /// Attempts to reload.
    pub reloads: Counter,
    /// Attempts to reload that were refused.
    pub reload_failures: Counter,
    /// Whether the last attempt succeeded.
    pub config_successful: Gauge,
    config_loaded: Float,
    /// Requests by path and status.
    pub requests: Family<Answered, Counter>,
    /// Idle connections that gave way to others.
    pub connections_ended: Counter,
    /// Handshakes that failed.
    pub handshakes_failed: Family<Unshaken, Counter>,
    /// When the certificate of the server ends.
    pub certificate_ends: Family<OfCertificate, Float>,
    /// Attempts to reload the web configuration that were refused.
    pub web_reload_failures: Counter,
    /// Whether the last attempt succeeded.
    pub web_successful: Gauge,
    /// Lines of the log that were lost.
    pub log_lines_lost: Family<LostLines, Counter>,
    /// Whether the event log cannot be written now.
    pub event_log_failing: Gauge,
    /// Lines of the event log that were lost.
    pub event_log_dropped: Counter,
    /// Whether the recording cannot be written now.
    pub recording_failing: Gauge,
    /// Pieces that are missing in the recording.
    pub recording_lost: Counter,
    /// Bytes that are missing in the recording.
    pub recording_lost_bytes: Counter,
    /// Series of the history in memory.
    pub history_series: Gauge,
    /// Bytes of the history in memory.
    pub history_memory: Gauge,
    /// Bytes of the history's file.
    pub history_file: Gauge,
    /// Whether the history's file cannot be written now.
    pub history_failing: Gauge,
    /// Series that the history had no room for.
    pub history_refused: Counter,
    /// Scrapes that are not in the history's file.
    pub history_lost: Counter,
    /// Chunks of the history's file that could not be read.
    pub history_damaged: Counter,
    /// Rules that were evaluated.
    pub rule_evaluations: Counter,
    /// Those that failed.
    pub rule_failures: Counter,
    /// Time that the evaluation of rules took.
    pub rule_seconds: Counter<f64, AtomicU64>,
    /// Alerts of the agent's own rules, by state.
    pub alerts: Family<OfState, Gauge>,
    /// Alerts that an Alertmanager took.
    pub notifications: Family<Notified, Counter>,
    /// Requests that it did not take.
    pub notification_failures: Family<Notified, Counter>,
    /// Alerts that had no room.
    pub notifications_dropped: Family<Notified, Counter>,
    /// Alerts that wait.
    pub notifications_waiting: Family<Notified, Gauge>,
    /// Seconds from the change of an alert to the answer.
    pub notification_latency: Family<Notified, Float>,
    /// Incidents that were opened.
    pub incidents: Family<OfIncident, Counter>,
    /// Incidents that are open.
    pub incidents_open: Family<OpenIncidents, Gauge>,
    /// Incidents that were escalated and that nobody acknowledged.
    pub incidents_escalated: Family<EscalatedIncidents, Gauge>,
    /// Escalations.
    pub incident_escalations: Family<Escalation, Counter>,
    /// Seconds to the first acknowledgement.
    pub incident_acknowledge: Family<OfPriority, Histogram, fn() -> Histogram>,
    /// Seconds to the end.
    pub incident_resolve: Family<OfPriority, Histogram, fn() -> Histogram>,
    /// Incidents that had no room.
    pub incidents_dropped: Counter,
    /// Bytes of the incidents' file.
    pub incidents_file: Gauge,
    /// Whether the incidents' file cannot be written now.
    pub incidents_failing: Gauge,
    /// What hooks did.
    pub actions: Family<OfHookStep, Counter>,
    /// Incidents that should have had a hook.
    pub actions_missing: Family<OfPriority, Counter>,
    /// Reports that were filed.
    pub reports_written: Counter,
    /// Attempts to file one that failed.
    pub report_failures: Counter,
    /// Reports that will never be written.
    pub reports_dropped: Counter,
    /// Whether something that is done with them fails.
    pub reports_failing: Family<OfReports, Gauge>,
    /// Bytes of the reports in their folder.
    pub reports_size: Gauge,
    /// Runs of tasks.
    pub task_runs: Family<OfTask, Counter>,
    /// Those that failed.
    pub task_failures: Family<OfTask, Counter>,
    /// When they succeeded last.
    pub task_last_success: Family<OfTask, Float>,
    /// How long the last run took.
    pub task_last_duration: Family<OfTask, Float>,
    /// Whether they have not succeeded for the expected time.
    pub task_overdue: Family<OfTask, Gauge>,
    /// What was measured, as a share of what a baseline has.
    pub baseline_ratio: Family<OfLine, Float>,
    /// By how many times its limit it is worse.
    pub baseline_regression: Family<OfLine, Float>,
    /// When it was compared.
    pub baseline_compared: Family<OfBaseline, Float>,
    /// Whether that failed.
    pub baseline_failing: Family<OfBaseline, Gauge>,
    /// Hooks that run now.
    pub actions_running: Gauge,
    /// Whether a hook is left alone.
    pub action_breaker: Family<OfHook, Gauge>,
    /// Lines of the audit that were lost.
    pub action_lines_lost: Counter,
    time: Float,
    /// Time to write a scrape.
    pub scrape_duration: Histogram,
    /// Size of the last scrape.
    pub scrape_size: Gauge,
    /// Series now.
    pub series: Gauge,
    /// Series at most.
    pub series_limit: Gauge,
    /// Bytes of series now.
    pub memory: Gauge,
    /// Bytes of series at most.
    pub memory_limit: Gauge,
    /// Events that found no series of their own.
    pub refused: Family<SeriesRefusal, Counter>,
    /// Label values that were cut.
    pub cut: Counter,
    /// Spans that a target took.
    pub trace_sent: Family<OfTarget, Counter>,
    /// Spans that it does not get.
    pub trace_dropped: Family<DroppedSpans, Counter>,
    /// Spans whose trace is not sampled.
    pub trace_unsampled: Counter,
    /// Requests that failed.
    pub trace_failures: Family<OfTarget, Counter>,
    /// Whether the last one did.
    pub trace_failing: Family<OfTarget, Gauge>,
    /// Spans that wait.
    pub trace_waiting: Family<OfTarget, Gauge>,
    /// Bytes that wait.
    pub trace_queue: Family<OfQueue, Gauge>,
    provisioned: Family<Pushed, Float>,
    /// What came of the objects of the last push.
    pub provision_objects: Family<PushedObjects, Gauge>,
    /// What became of samples that are sent by remote write.
    pub writes: Writes,
    /// Pushes to gateways.
    pub pushes: Pushes,
}

/// Events that are exposed as a timestamp.
#[derive(Debug, Default)]
struct Moments {
    /// The configuration that runs was loaded.
    loaded: Option<Timestamp>,
    /// Everything was last in place on a server.
    provisioned: HashMap<String, Timestamp>,
}

/// What a Prometheus server says of a target itself, and of its alerts: from a target, the same names would take the
/// place of its own words.
pub(super) const SERVER: [&str; 10] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
    "ALERTS",
    "ALERTS_FOR_STATE",
];

impl Own {
    /// The metrics, registered under the names that the catalogue gives them.
    // Long: a table.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Client::default();
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("neural_agent_build", agent::BUILD.help, build);
        let duration = Histogram::new(agent::SCRAPE_DURATION.bounds.iter().copied());
        let r = &mut registry;
        let own = Self {
            config_hash: enter(r, &agent::CONFIG, Gauge::default()),
            reloads: enter(r, &agent::RELOADS, Counter::default()),
            reload_failures: enter(r, &agent::RELOAD_FAILURES, Counter::default()),
            config_successful: enter(r, &agent::LAST_RELOAD_OK, Gauge::default()),
            config_loaded: enter(r, &agent::LAST_RELOAD, Float::default()),
            requests: enter(r, &agent::REQUESTS, Family::default()),
            connections_ended: enter(r, &agent::CONNECTIONS_ENDED, Counter::default()),
            handshakes_failed: enter(r, &agent::HANDSHAKES_FAILED, Family::default()),
            certificate_ends: enter(r, &agent::CERTIFICATE_ENDS, Family::default()),
            web_reload_failures: enter(r, &agent::WEB_RELOAD_FAILURES, Counter::default()),
            web_successful: enter(r, &agent::LAST_WEB_RELOAD_OK, Gauge::default()),
            log_lines_lost: enter(r, &agent::LOG_LINES_LOST, Family::default()),
            event_log_failing: enter(r, &agent::EVENT_LOG_FAILING, Gauge::default()),
            event_log_dropped: enter(r, &agent::EVENT_LOG_DROPPED, Counter::default()),
            reports_written: enter(r, &agent::REPORTS_WRITTEN, Counter::default()),
            report_failures: enter(r, &agent::REPORT_FAILURES, Counter::default()),
            reports_dropped: enter(r, &agent::REPORTS_DROPPED, Counter::default()),
            reports_failing: enter(r, &agent::REPORTS_FAILING, Family::default()),
            reports_size: enter(r, &agent::REPORTS_SIZE, Gauge::default()),
            recording_failing: enter(r, &agent::RECORDING_FAILING, Gauge::default()),
            recording_lost: enter(r, &agent::RECORDING_LOST, Counter::default()),
            recording_lost_bytes: enter(r, &agent::RECORDING_LOST_BYTES, Counter::default()),
            time: enter(r, &agent::TIME, Float::default()),
            scrape_duration: enter(r, &agent::SCRAPE_DURATION, duration),
            scrape_size: enter(r, &agent::SCRAPE_SIZE, Gauge::default()),
            series: enter(r, &agent::SERIES, Gauge::default()),
            series_limit: enter(r, &agent::SERIES_LIMIT, Gauge::default()),
            memory: enter(r, &agent::MEMORY, Gauge::default()),
            memory_limit: enter(r, &agent::MEMORY_LIMIT, Gauge::default()),
            refused: enter(r, &agent::REFUSED, Family::default()),
            cut: enter(r, &agent::CUT, Counter::default()),
            history_series: enter(r, &agent::HISTORY_SERIES, Gauge::default()),
            history_memory: enter(r, &agent::HISTORY_MEMORY, Gauge::default()),
            history_file: enter(r, &agent::HISTORY_FILE, Gauge::default()),
            history_failing: enter(r, &agent::HISTORY_FAILING, Gauge::default()),
            history_refused: enter(r, &agent::HISTORY_REFUSED, Counter::default()),
            history_lost: enter(r, &agent::HISTORY_LOST, Counter::default()),
            history_damaged: enter(r, &agent::HISTORY_DAMAGED, Counter::default()),
            rule_evaluations: enter(r, &agent::RULE_EVALUATIONS, Counter::default()),
            rule_failures: enter(r, &agent::RULE_FAILURES, Counter::default()),
            rule_seconds: enter(r, &agent::RULE_SECONDS, Counter::default()),
            alerts: enter(r, &agent::ALERTS, Family::default()),
            notifications: enter(r, &agent::NOTIFICATIONS, Family::default()),
            notification_failures: enter(r, &agent::NOTIFICATION_FAILURES, Family::default()),
            notifications_dropped: enter(r, &agent::NOTIFICATIONS_DROPPED, Family::default()),
            notifications_waiting: enter(r, &agent::NOTIFICATIONS_WAITING, Family::default()),
            notification_latency: enter(r, &agent::NOTIFICATION_LATENCY, Family::default()),
            provisioned: enter(r, &agent::PROVISION_SUCCESS, Family::default()),
            provision_objects: enter(r, &agent::PROVISION_OBJECTS, Family::default()),
            writes: writes(r),
            pushes: Pushes(enter(r, &agent::PUSHES, Family::default())),
            incidents: enter(r, &incident::INCIDENTS, Family::default()),
            incidents_open: enter(r, &incident::INCIDENTS_OPEN, Family::default()),
            incidents_escalated: enter(r, &incident::INCIDENTS_ESCALATED, Family::default()),
            incident_escalations: enter(r, &incident::INCIDENT_ESCALATIONS, Family::default()),
            incident_acknowledge: enter(
                r,
                &incident::INCIDENT_ACKNOWLEDGE,
                Family::new_with_constructor(|| {
                    Histogram::new(incident::INCIDENT_ACKNOWLEDGE.bounds.iter().copied())
                }),
            ),
            incident_resolve: enter(
                r,
                &incident::INCIDENT_RESOLVE,
                Family::new_with_constructor(|| {
                    Histogram::new(incident::INCIDENT_RESOLVE.bounds.iter().copied())
                }),
            ),
            incidents_dropped: enter(r, &incident::INCIDENTS_DROPPED, Counter::default()),
            incidents_file: enter(r, &incident::INCIDENTS_FILE, Gauge::default()),
            incidents_failing: enter(r, &incident::INCIDENTS_FAILING, Gauge::default()),
            actions: enter(r, &incident::ACTIONS, Family::default()),
            actions_missing: enter(r, &incident::ACTIONS_MISSING, Family::default()),
            actions_running: enter(r, &incident::ACTIONS_RUNNING, Gauge::default()),
            action_breaker: enter(r, &incident::ACTION_BREAKER, Family::default()),
            action_lines_lost: enter(r, &incident::ACTION_LINES_LOST, Counter::default()),
            task_runs: enter(r, &incident::TASK_RUNS, Family::default()),
            task_failures: enter(r, &incident::TASK_FAILURES, Family::default()),
            task_last_success: enter(r, &incident::TASK_LAST_SUCCESS, Family::default()),
            task_last_duration: enter(r, &incident::TASK_LAST_DURATION, Family::default()),
            task_overdue: enter(r, &incident::TASK_OVERDUE, Family::default()),
            baseline_ratio: enter(r, &benchmark::RATIO, Family::default()),
            baseline_regression: enter(r, &benchmark::REGRESSION, Family::default()),
            baseline_compared: enter(r, &benchmark::COMPARED, Family::default()),
            baseline_failing: enter(r, &benchmark::FAILING, Family::default()),
            trace_sent: enter(r, &trace::SENT, Family::default()),
            trace_dropped: enter(r, &trace::DROPPED, Family::default()),
            trace_unsampled: enter(r, &trace::UNSAMPLED, Counter::default()),
            trace_failures: enter(r, &trace::FAILURES, Family::default()),
            trace_failing: enter(r, &trace::FAILING, Family::default()),
            trace_waiting: enter(r, &trace::WAITING, Family::default()),
            trace_queue: enter(r, &trace::QUEUE, Family::default()),
            moments: Mutex::default(),
            registry,
        };
        // A counter that begins where it is seen first hides what it was seen with.
        for reason in LOST_LINES {
            drop(own.log_lines_lost.get_or_create_owned(&LostLines { reason }));
        }
        for operation in REPORTS {
            drop(own.reports_failing.get_or_create_owned(&OfReports { operation }));
        }
        for reason in ESCALATIONS {
            drop(own.incident_escalations.get_or_create_owned(&Escalation { reason }));
        }
        own
    }

    /// The configuration that runs was loaded.
    pub fn loaded(&self, at: Timestamp) {
        self.moments.lock().loaded = Some(at);
    }

    /// Everything is in place on this server.
    pub fn in_place(&self, target: &str, at: Timestamp) {
        self.moments.lock().provisioned.insert(target.to_owned(), at);
    }

    /// Appends the metrics as text, as they are at `now`. `refresh` updates those that others count; no other
    /// scrape does meanwhile.
    pub fn write(&self, format: Format, now: Timestamp, refresh: impl FnOnce(), out: &mut Vec<u8>) {
        let moments = self.moments.lock();
        self.time.set(now.wall_seconds());
        if let Some(at) = moments.loaded {
            self.config_loaded.set(at.wall_seconds_at(now));
        }
        for (target, at) in &moments.provisioned {
            let of = Pushed { target: target.clone() };
            self.provisioned.get_or_create_owned(&of).set(at.wall_seconds_at(now));
        }
        refresh();
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode_registry(&mut text, &self.registry);
        drop(moments);
        let text = buckets_first(&text);
        match format {
            Format::OpenMetrics => out.extend_from_slice(text.as_bytes()),
            Format::Classic => out.extend_from_slice(classic(&text).as_bytes()),
        }
    }
}

impl Default for Own {
    fn default() -> Self {
        Self::new()
    }
}

fn writes(r: &mut Client) -> Writes {
    Writes {
        sent: enter(r, &agent::REMOTE_WRITE_SENT, Family::default()),
        dropped: enter(r, &agent::REMOTE_WRITE_DROPPED, Family::default()),
        exemplars: enter(r, &agent::REMOTE_WRITE_EXEMPLARS, Family::default()),
        retries: enter(r, &agent::REMOTE_WRITE_RETRIES, Family::default()),
        lost: enter(r, &agent::REMOTE_WRITE_LOST, Family::default()),
        lag: enter(r, &agent::REMOTE_WRITE_LAG, Family::default()),
        pending: enter(r, &agent::REMOTE_WRITE_PENDING, Family::default()),
    }
}

/// The families of [`Own`], which nobody else may have.
pub(super) fn names() -> impl Iterator<Item = (String, Kind)> {
    OWN.iter().flat_map(|page| page.metrics).map(|m| (m.family(), m.kind))
}

/// Registers a metric under the name that its entry in the catalogue has.
fn enter<M: Registered + Clone>(registry: &mut Client, entry: &Metric, metric: M) -> M {
    let unit = (!entry.unit.suffix().is_empty()).then(|| Unit::Other(entry.unit.suffix().to_owned()));
    let name = format!("{}{}", crate::catalog::PREFIX, entry.name);
    match unit {
        Some(unit) => registry.register_with_unit(name, entry.help, unit, metric.clone()),
        None => registry.register(name, entry.help, metric.clone()),
    }
    metric
}

/// The same text with the sum and count of a histogram behind its buckets, as the standard and our writer have them.
fn buckets_first(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut held = String::new();
    for line in text.lines() {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let holds = name.ends_with("_sum") || name.ends_with("_count");
        if !holds && !name.ends_with("_bucket") {
            out.push_str(&std::mem::take(&mut held));
        }
        let to = if holds { &mut held } else { &mut out };
        to.push_str(line);
        to.push('\n');
    }
    out + &held
}

/// The same text in the classic format: a counter's metadata carries `_total`, an info is a gauge,
/// and there are no units.
fn classic(text: &str) -> String {
    let types: HashMap<&str, Kind> = text
        .lines()
        .filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' '))
        .filter_map(|(name, kind)| match kind {
            "counter" => Some((name, Kind::Counter)),
            "info" => Some((name, Kind::Info)),
            _ => None,
        })
        .collect();
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT"), ..) => {}
            (Some("#"), Some(word), Some(name), Some(rest)) => {
                let (suffix, rest) = match types.get(name) {
                    Some(Kind::Counter) => ("_total", rest),
                    Some(Kind::Info) if word == "TYPE" => ("_info", "gauge"),
                    Some(Kind::Info) => ("_info", rest),
                    _ => ("", rest),
                };
                // Writing to a string cannot fail.
                let _ = writeln!(out, "# {word} {name}{suffix} {rest}");
            }
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    // Long: a table.
    #[test]
    fn both_formats() {
        let own = Own::new();
        own.handshakes_failed.get_or_create(&Unshaken { reason: "plain" }).inc();
        own.certificate_ends.get_or_create(&OfCertificate { certificate: "server" }).set(1.0);
        own.requests.get_or_create(&Answered { path: "/metrics", status: 200 }).inc();
        own.refused.get_or_create(&SeriesRefusal { family: "a".to_owned() }).inc();
        own.in_place("g", Timestamp::both(1));
        own.writes.begin("g");
        own.pushes.begin("g");
        own.writes.lag("g", 1.0);
        own.writes.pending("g", 1);
        own.provision_objects
            .get_or_create(&PushedObjects { target: "g".to_owned(), result: "failed" })
            .set(1);
        own.alerts.get_or_create(&OfState { state: "firing" }).set(1);
        let server = Notified { integration: "alertmanager", receiver: "http://a".to_owned() };
        for counters in [&own.notifications, &own.notification_failures, &own.notifications_dropped] {
            counters.get_or_create(&server).inc();
        }
        own.notifications_waiting.get_or_create(&server).set(1);
        own.notification_latency.get_or_create(&server).set(0.5);
        let (alert, incident_priority) = ("A".to_owned(), "P0");
        own.incidents.get_or_create(&OfIncident { alert: alert.clone(), severity: String::new() }).inc();
        own.incidents_open.get_or_create(&OpenIncidents { state: "open", incident_priority }).set(1);
        own.incidents_escalated.get_or_create(&EscalatedIncidents { alert, incident_priority }).set(1);
        for histograms in [&own.incident_acknowledge, &own.incident_resolve] {
            histograms.get_or_create(&OfPriority { incident_priority }).observe(1.0);
        }
        own.actions.get_or_create(&OfHookStep { hook: "h".to_owned(), step: "failed" }).inc();
        own.action_breaker.get_or_create(&OfHook { hook: "h".to_owned() }).set(1);
        own.actions_missing.get_or_create(&OfPriority { incident_priority }).inc();
        let task = OfTask { task: "t".to_owned() };
        own.task_runs.get_or_create(&task).inc();
        own.task_failures.get_or_create(&task).inc();
        own.task_last_success.get_or_create(&task).set(1e9);
        own.task_last_duration.get_or_create(&task).set(0.5);
        own.task_overdue.get_or_create(&task).set(1);
        let (baseline, metric) = ("b".to_owned(), "m".to_owned());
        let line = OfLine { baseline: baseline.clone(), metric, labels: vec![("stage".into(), "s".into())] };
        own.baseline_ratio.get_or_create(&line).set(1.0);
        own.baseline_regression.get_or_create(&line).set(0.0);
        own.baseline_compared.get_or_create(&OfBaseline { baseline: baseline.clone() }).set(1e9);
        own.baseline_failing.get_or_create(&OfBaseline { baseline }).set(0);
        let target = "http://t".to_owned();
        for counters in [&own.trace_sent, &own.trace_failures] {
            counters.get_or_create(&OfTarget { target: target.clone() }).inc();
        }
        for gauges in [&own.trace_failing, &own.trace_waiting] {
            gauges.get_or_create(&OfTarget { target: target.clone() }).set(1);
        }
        own.trace_queue.get_or_create(&OfQueue { target: target.clone(), place: "disk" }).set(1);
        own.trace_dropped.get_or_create(&DroppedSpans { target, reason: "rejected" }).inc();
        let text = |format| {
            let mut out = Vec::new();
            own.write(format, Timestamp::default(), || {}, &mut out);
            String::from_utf8(out).unwrap()
        };
        let open = text(Format::OpenMetrics);
        for line in [
            "# TYPE neural_agent_build info",
            "# UNIT neural_agent_scrape_duration_seconds seconds",
            "neural_agent_http_requests_total{path=\"/metrics\",status=\"200\"} 1",
        ] {
            assert!(open.lines().any(|l| l == line), "{line}\n{open}");
        }
        let order = ["_bucket{le=\"+Inf\"} 0", "_sum 0", "_count 0"];
        let place = |end: &&str| open.find(&format!("\nneural_agent_scrape_duration_seconds{end}")).unwrap();
        assert!(order.iter().map(place).is_sorted(), "{open}");
        let classic = text(Format::Classic);
        for line in [
            "# TYPE neural_agent_build_info gauge",
            "# TYPE neural_agent_config_reloads_total counter",
            "# TYPE neural_agent_scrape_duration_seconds histogram",
        ] {
            assert!(classic.lines().any(|l| l == line), "{line}\n{classic}");
        }
        assert!(!classic.contains("# UNIT"));
        let exposed: Vec<&str> =
            open.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        assert_eq!(exposed, names().map(|(name, _)| name).collect::<Vec<_>>());
    }
}
