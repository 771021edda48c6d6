//! What the log says of the last minutes, in one line; and what changed of devices and channels.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::catalog::summary::{FIGURES, Figure, Form};
use crate::clock::now;
use crate::metrics::Registry;
use crate::promql::{self, Query, Storage, Value, When};
use crate::quote::quote;
use crate::setting::Span;
use crate::source::aside::apart;

/// Seconds from one line about a device or a channel to the next.
const QUIET: u64 = 10;
/// Channels that a line names.
const NAMED: usize = 16;

/// What the making of a summary is called while it lasts.
const SUMMARY: &str = "the summary";
/// How long it may take: a disk may be slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// Writes the summary of the time up to now into the log, aside.
pub(super) fn say(past: Arc<dyn Storage>, window: Span) {
    let at = now().wall_milliseconds();
    drop(tokio::spawn(async move {
        match apart(SUMMARY, PATIENCE, move || summary(&*past, window, at)).await {
            Ok(line) => tracing::info!("summary of {window}: {line}"),
            Err(why) => tracing::warn!("there is no summary of {window}: {why}"),
        }
    }));
}

/// The summary of the time before `at`, in milliseconds.
fn summary(past: &dyn Storage, window: Span, at: i64) -> String {
    let figures = FIGURES.iter().filter_map(|figure| {
        let value = ask(past, figure, window, at)?;
        let name = figure.name;
        Some(match figure.form {
            Form::Count => format!("{name} {}", grouped(value)),
            Form::Percent => format!("{name} {value:.1} %"),
            Form::Milliseconds => format!("{name} {value:.1} ms"),
            Form::Rate => format!("{name} {value:.1}"),
        })
    });
    let figures: Vec<String> = figures.collect();
    if figures.is_empty() { "nothing".to_owned() } else { figures.join(", ") }
}

/// The number, if there is one.
fn ask(past: &dyn Storage, figure: &Figure, window: Span, at: i64) -> Option<f64> {
    let text = figure.expr.replace("$window", &format!("{}ms", window.0.as_millis()));
    let expr = promql::parse(&text).ok()?;
    let answer = promql::evaluate(&expr, &Query::new(When::At(at)), past).ok()?;
    let Value::Vector(elements) = answer.value else { return None };
    elements.first().map(|element| element.value).filter(|value| value.is_finite())
}

/// `12,345`: a whole number in groups of three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::from(if value <= -0.5 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A change that is worth a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Whether something got worse.
    pub(super) worse: bool,
    /// The line.
    pub(super) text: String,
}

impl Line {
    /// Writes it into the log.
    pub(super) fn log(&self) {
        let text = &self.text;
        if self.worse {
            tracing::warn!("{text}");
        } else {
            tracing::info!("{text}");
        }
    }
}

/// What was said of channels and losses, so that each change is said once, and a device or channel at most every ten seconds.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// By device and channel: why it is bad as it was last said, and in which second.
    channels: BTreeMap<(String, String), (String, Option<u64>)>,
    /// By device: packets lost as they were last said, and in which second.
    lost: BTreeMap<String, (f64, Option<u64>)>,
}

impl Changes {
    /// Looks at the series in this second and gives the lines that are due.
    pub(super) fn look(&mut self, registry: &Registry, second: u64) -> Vec<Line> {
        let mut lines = self.look_at_channels(registry, second);
        self.look_at_losses(registry, second, &mut lines);
        lines
    }

    fn look_at_channels(&mut self, registry: &Registry, second: u64) -> Vec<Line> {
        let mut present: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for bad in registry.samples("neural_channel_bad") {
            let label = |name| bad.label(name).unwrap_or_default().into_owned();
            let reasons = present.entry((label("device"), label("channel"))).or_default();
            if bad.value == 1.0 {
                reasons.push(label("reason"));
            }
        }
        self.channels.retain(|channel, _| present.contains_key(channel));
        // Channels of a device that change alike are one line.
        let mut changed: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for ((device, channel), reasons) in present {
            let now = reasons.join(", ");
            let (said, at) = self.channels.entry((device.clone(), channel.clone())).or_default();
            if *said != now && at.is_none_or(|at| second >= at + QUIET) {
                (*said, *at) = (now.clone(), Some(second));
                changed.entry((device, now)).or_default().push(channel);
            }
        }
        let line = |((device, reasons), mut channels): ((String, String), Vec<String>)| {
            channels.sort_by_key(|channel| (channel.len(), channel.clone()));
            let (count, device) = (channels.len(), quote(&device));
            channels.truncate(NAMED);
            let more = if count > NAMED { format!(" and {} more", count - NAMED) } else { String::new() };
            let (s, are) = if count == 1 { ("", "is") } else { ("s", "are") };
            let named = format!("channel{s} {}{more} of {device} {are}", channels.join(", "));
            let worse = !reasons.is_empty();
            Line {
                worse,
                text: if worse { format!("{named} bad: {reasons}") } else { format!("{named} good again") },
            }
        };
        changed.into_iter().map(line).collect()
    }

    fn look_at_losses(&mut self, registry: &Registry, second: u64, lines: &mut Vec<Line>) {
        let mut present = Vec::new();
        for lost in registry.samples("neural_device_lost_packets") {
            let device = lost.label("device").unwrap_or_default().into_owned();
            let (said, at) = self.lost.entry(device.clone()).or_default();
            // A counter that began again says what it has.
            let more = if lost.value < *said { lost.value } else { lost.value - *said };
            if more > 0.0 && at.is_none_or(|at| second >= at + QUIET) {
                let (device, packets) = (quote(&device), if more == 1.0 { "packet" } else { "packets" });
                lines.push(Line { worse: true, text: format!("{device} lost {} {packets}", grouped(more)) });
                (*said, *at) = (lost.value, Some(second));
            }
            present.push(device);
        }
        self.lost.retain(|device, _| present.contains(device));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Device, Event, Lost, SourceId, Timestamp};
    use crate::history::Target;
    use crate::hub::Hub;
    use crate::store::{History, Settings};

    #[test]
    fn numbers_are_grouped() {
        for (value, text) in [
            (0.0, "0"),
            (12.4, "12"),
            (999.6, "1,000"),
            (1_234_567.0, "1,234,567"),
            (-0.2, "0"),
            (-1234.0, "-1,234"),
        ] {
            assert_eq!(grouped(value), text);
        }
    }

    #[test]
    fn every_figure_is_a_question_of_metrics_that_there_are() {
        let known: Vec<String> = crate::catalog::PAGES
            .iter()
            .chain(crate::catalog::OWN)
            .flat_map(|page| page.metrics)
            .map(|metric| metric.family())
            .collect();
        for figure in FIGURES {
            let expr = promql::parse(&figure.expr.replace("$window", "600000ms"))
                .unwrap_or_else(|why| panic!("{}: {}", figure.name, why.text));
            for metric in expr.metrics() {
                let family = ["_total", "_count", "_bucket"]
                    .iter()
                    .find_map(|end| metric.strip_suffix(end))
                    .unwrap_or(metric);
                assert!(
                    metric == "ALERTS" || known.iter().any(|name| name == family),
                    "{}: there is no {metric}",
                    figure.name
                );
            }
        }
    }

    /// The summary of a history of one hour with a scrape each 5 s.
    fn summary_of(text: impl Fn(i64) -> String) -> String {
        let target = Target { job: "neural".into(), instance: "lab".into() };
        let options = Settings::default().options(None, target, 10_000);
        let scrapes = (1..=720).map(|step| (step * 5_000, text(step)));
        let history = History::replay(&options, scrapes).unwrap();
        summary(&history, Span::seconds(600), 3_600_000)
    }

    #[test]
    fn a_summary_says_what_was_counted_in_its_time_and_nothing_that_is_not_known() {
        assert_eq!(summary_of(|_| String::new()), "nothing");
        let text = summary_of(|step| {
            format!(
                "neural_source_events_total{{source=\"a\"}} {}\nneural_source_events_total{{source=\"b\"}} 7\n\
                 neural_device_streaming{{device=\"x\"}} 1\nneural_device_streaming{{device=\"y\"}} 0\n\
                 neural_cache_hits_total{{pipeline=\"p\"}} {}\nneural_cache_lookups_total{{pipeline=\"p\"}} {}\n\
                 neural_llm_tokens_today{{model=\"m\"}} 500\n",
                step * 100,
                step * 3,
                step * 4
            )
        });
        assert_eq!(
            text,
            "events 12,000, devices streaming 1, devices silent 1, cache hits 75.0 %, tokens today 500"
        );
    }

    fn lost(hub: &Hub, source: SourceId, packets: u32) {
        let at = Timestamp::both(1);
        hub.lock().fold(&Event { at, source, body: Body::Lost(Lost { packets }) });
    }

    #[test]
    fn a_loss_is_said_at_most_every_ten_seconds_and_none_is_left_out() {
        let hub = Hub::default();
        let source = hub.add_source("cyton");
        let device = Device {
            protocol: "cyton",
            channels: 8,
            rate: 250.0,
            packet_rate: 250.0,
            volts: true,
            modulus: 256,
            rails: crate::event::Rails::Unknown,
        };
        hub.lock().fold(&Event { at: Timestamp::both(1), source, body: Body::Device(device) });
        let mut changes = Changes::default();
        let mut look = |second| {
            changes.look(&hub.lock().registry, second).into_iter().map(|line| line.text).collect::<Vec<_>>()
        };
        assert!(look(1).is_empty());
        lost(&hub, source, 1);
        assert_eq!(look(2), ["cyton lost 1 packet"]);
        lost(&hub, source, 2);
        lost(&hub, source, 3);
        assert!(look(3).is_empty() && look(11).is_empty());
        assert_eq!(look(12), ["cyton lost 5 packets"]);
        assert!(look(40).is_empty());
    }
}
