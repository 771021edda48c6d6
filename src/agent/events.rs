//! What the event log says of sources, devices, ports, programs, channels and sessions: what changed from one second to the next.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::summary::{Changes, Line};
use crate::hub::Hub;
use crate::metrics::{Own, Registry};
use crate::respond::event_log::{Settings, present};
use crate::respond::lines::Lines;

/// How the value of a series is read.
#[derive(Clone, Copy, Debug)]
enum Reading {
    /// 1 is the first, 0 the second.
    Flag(&'static str, &'static str),
    /// The values of this label whose series is 1.
    Named(&'static str),
    /// A number that only grows: how much more it is.
    Count,
}

/// A kind of event: the metric that it is read from.
#[derive(Debug)]
struct Row {
    event: &'static str,
    family: &'static str,
    reading: Reading,
}

/// Every kind.
const ROWS: &[Row] = &[
    Row { event: "source", family: "neural_source_up", reading: Reading::Flag("up", "down") },
    Row { event: "port", family: "neural_port_state", reading: Reading::Named("state") },
    Row { event: "device", family: "neural_device_streaming", reading: Reading::Flag("streaming", "silent") },
    Row { event: "program", family: "neural_program_state", reading: Reading::Named("state") },
    Row { event: "channel", family: "neural_channel_bad", reading: Reading::Named("reason") },
    Row { event: "lost_packets", family: "neural_device_lost_packets", reading: Reading::Count },
    Row { event: "session_started", family: "neural_sessions_started", reading: Reading::Count },
    Row { event: "session_ended", family: "neural_sessions_ended", reading: Reading::Count },
];

/// Labels of a series.
type Labels = Vec<(String, String)>;

/// What was last said of sources, devices and channels, in the log and in the event log.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) log: Lines,
    events: Events,
    changes: Changes,
}

impl Journal {
    /// Begins to write.
    pub(super) fn start(settings: &Settings) -> Self {
        Self { log: settings.start(), events: Events::default(), changes: Changes::default() }
    }

    /// Writes what changed, into the log as well, and updates the metrics of the event log.
    pub(super) fn look(&mut self, hub: &Hub, own: &Own, second: u64) {
        self.events.look(&hub.lock().registry, &self.log);
        let lines = self.changes.look(&hub.lock().registry, second);
        lines.iter().for_each(Line::log);
        let (dropped, failing) = self.log.account();
        own.event_log_dropped.inc_by(dropped.saturating_sub(own.event_log_dropped.get()));
        own.event_log_failing.set(failing.into());
    }

    /// Writes what waits.
    pub(super) async fn end(self) {
        drop(tokio::task::spawn_blocking(move || self.log.stop(PATIENCE)).await);
    }
}

/// How long the last lines may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was last known, by place in the rows and labels.
#[derive(Debug, Default)]
struct Events(BTreeMap<(usize, Labels), LastValue>);

#[derive(Clone, Debug, PartialEq)]
enum LastValue {
    /// Words, by name of the label.
    State(Vec<String>),
    Count(f64),
}

impl Events {
    /// Looks at the series, and writes what changed.
    fn look(&mut self, registry: &Registry, log: &Lines) {
        if log.is_on() {
            let at = present();
            for (event, labels, (name, value)) in self.changes(registry) {
                let labels = labels.into_iter().map(|(name, value)| (name, value.into()));
                log.write(at, event, &labels.chain([(name.to_owned(), value)]).collect());
            }
        }
    }

    fn changes(&mut self, registry: &Registry) -> Vec<(&'static str, Labels, (&'static str, Value))> {
        let mut seen: BTreeMap<(usize, Labels), LastValue> = BTreeMap::new();
        for (place, row) in ROWS.iter().enumerate() {
            for sample in registry.samples(row.family) {
                let word = if let Reading::Named(label) = row.reading { label } else { "" };
                let labels = sample.labels().filter(|(name, _)| *name != word);
                let labels = labels.map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
                let known = seen.entry((place, labels));
                match row.reading {
                    Reading::Flag(on, off) => {
                        let word = if sample.value == 1.0 { on } else { off };
                        known.or_insert_with(|| LastValue::State(vec![word.to_owned()]));
                    }
                    Reading::Count => drop(known.or_insert(LastValue::Count(sample.value))),
                    Reading::Named(label) => {
                        if let LastValue::State(words) = known.or_insert_with(|| LastValue::State(Vec::new()))
                            && sample.value == 1.0
                        {
                            words.push(sample.label(label).unwrap_or_default().into_owned());
                        }
                    }
                }
            }
        }
        let before = std::mem::replace(&mut self.0, seen);
        let mut changes = Vec::new();
        for ((place, labels), known) in &self.0 {
            let Some(row) = ROWS.get(*place) else { continue };
            let was = before.get(&(*place, labels.clone()));
            let change = match (known, was) {
                (LastValue::Count(now), was) => {
                    // A counter that begins again has counted what it shows.
                    let was = if let Some(LastValue::Count(was)) = was { *was } else { 0.0 };
                    let more = if *now < was { *now } else { now - was };
                    (more > 0.0).then(|| ("count", more.into()))
                }
                (LastValue::State(words), was) => {
                    // A channel that was never bad is no news.
                    let news = was != Some(known) && !(was.is_none() && words.is_empty());
                    let empty = if row.event == "channel" { "good" } else { "unknown" };
                    let words = if words.is_empty() { empty.to_owned() } else { words.join(", ") };
                    news.then(|| ("state", words.into()))
                }
            };
            changes.extend(change.map(|change| (row.event, labels.clone(), change)));
        }
        for ((place, labels), known) in &before {
            if matches!(known, LastValue::State(_)) && !self.0.contains_key(&(*place, labels.clone())) {
                let event = ROWS.get(*place).map_or("", |row| row.event);
                changes.push((event, labels.clone(), ("state", "gone".into())));
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::PAGES;
    use crate::event::{Body, Event, Link, Lost, SourceId, Timestamp};

    #[test]
    fn every_row_reads_a_metric_that_there_is() {
        for row in ROWS {
            let mut metrics = PAGES.iter().flat_map(|page| page.metrics);
            let metric = metrics.find(|metric| metric.family() == row.family);
            let metric = metric.unwrap_or_else(|| panic!("there is no {}", row.family));
            if let Reading::Named(label) = row.reading {
                assert!(metric.labels.contains(&label), "{} has no {label}", row.family);
            }
        }
    }

    #[test]
    fn a_change_is_told_once() {
        let hub = Hub::default();
        let source = hub.add_source("cyton");
        let fold = |source: SourceId, body| {
            let at = Timestamp::both(1);
            hub.lock().fold(&Event { at, source, body });
        };
        let mut events = Events::default();
        let mut told = || -> Vec<(String, Value)> {
            let changes = events.changes(&hub.lock().registry);
            changes.into_iter().map(|(event, _, (_, value))| (event.to_owned(), value)).collect()
        };
        assert_eq!(told(), []);
        fold(source, Body::Link(Link::Up));
        assert_eq!(told(), [("source".to_owned(), "up".into())]);
        assert_eq!(told(), []);
        fold(source, Body::Lost(Lost { packets: 3 }));
        assert!(told().contains(&("lost_packets".to_owned(), 3.0.into())));
        fold(source, Body::Lost(Lost { packets: 2 }));
        fold(source, Body::Link(Link::Down));
        let now = told();
        assert!(now.contains(&("lost_packets".to_owned(), 2.0.into())), "{now:?}");
        assert!(now.contains(&("source".to_owned(), "down".into())), "{now:?}");
        assert_eq!(told(), []);
    }
}
