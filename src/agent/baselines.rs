//! The baselines of a running agent: from time to time the last minutes are compared with them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Agent, place};
use crate::clock::now;
use crate::http;
use crate::metrics::{OfBaseline, OfLine, Own};
use crate::quote::quote;
use crate::source::aside::apart;
use crate::store::Folder;
use crate::view::benchmark::{self, Comparison, Outcome};

/// What a comparison is called while it lasts.
const COMPARISON: &str = "the comparison with the baselines";
/// How long it may take: a disk may be slow.
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds from the start to the first comparison: until then the sources have come up.
const FIRST: u64 = 60;

/// What is shown of baselines, so that what is gone is taken away.
#[derive(Debug, Default)]
pub(super) struct Shown {
    lines: BTreeSet<OfLine>,
    names: BTreeSet<String>,
    /// Why each could not be compared the last time.
    failing: BTreeSet<String>,
}

impl Agent {
    /// Where the benchmarks are, for those who ask over HTTP. Baselines that the configuration does not name any more are not shown.
    pub(super) fn keep_benchmarks(&self) {
        let folder: Option<PathBuf> = self.config.state_directory.clone().or_else(place::state_folder);
        let folder = folder.map(|folder| Folder::in_state_directory(&folder));
        self.site.benchmarks.store(folder.map(|folder| Arc::new(http::Benchmarks(Box::new(folder)))));
        let wanted = &self.config.benchmarks.baselines;
        self.shown.lock().keep(&self.own, |name| wanted.iter().any(|wanted| wanted == name));
    }

    /// Compares the last minutes with the baselines, aside, each time that is due.
    pub(super) fn look_at_baselines(&self, seconds: u64) {
        let settings = &self.config.benchmarks;
        let every = settings.every.0.as_secs().max(1);
        if settings.baselines.is_empty() || seconds < FIRST || !(seconds - FIRST).is_multiple_of(every) {
            return;
        }
        let (own, shown, site) = (self.own.clone(), self.shown.clone(), self.site.clone());
        let names = settings.baselines.clone();
        let window = i64::try_from(settings.window.0.as_millis()).unwrap_or(i64::MAX);
        drop(tokio::spawn(async move {
            let (end, wanted) = (now().wall_milliseconds(), names.clone());
            let work = move || {
                let one = |name: String| (site.beside(&name, window), name);
                wanted.into_iter().map(one).collect::<Vec<_>>()
            };
            let done = apart(COMPARISON, PATIENCE, work).await;
            let mut shown = shown.lock();
            match done {
                Ok(all) => {
                    for (outcome, name) in all {
                        match outcome {
                            Ok(comparison) => shown.show(&own, &name, &comparison, end),
                            Err(why) => shown.failed(&own, &name, &why),
                        }
                    }
                }
                Err(why) => names.iter().for_each(|name| shown.failed(&own, name, &why)),
            }
        }));
    }
}

impl Shown {
    fn show(&mut self, own: &Own, name: &str, comparison: &Comparison, at: i64) {
        let before = std::mem::take(&mut self.lines);
        let (gone, others): (BTreeSet<OfLine>, BTreeSet<OfLine>) =
            before.into_iter().partition(|line| line.baseline == name);
        self.lines = others;
        for row in &comparison.rows {
            let labels = row.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
            let line = OfLine { baseline: name.to_owned(), metric: row.metric.clone(), labels };
            match row.baseline {
                0.0 => drop(own.baseline_ratio.remove(&line)),
                was => {
                    own.baseline_ratio.get_or_create_owned(&line).set(row.current / was);
                }
            }
            match row.outcome {
                Outcome::Unjudged => drop(own.baseline_regression.remove(&line)),
                _ => {
                    own.baseline_regression.get_or_create_owned(&line).set(row.exceeds);
                }
            }
            self.lines.insert(line);
        }
        for line in gone.difference(&self.lines) {
            take_away(own, line);
        }
        self.names.insert(name.to_owned());
        let of = OfBaseline { baseline: name.to_owned() };
        own.baseline_compared.get_or_create_owned(&of).set(at as f64 / 1e3);
        own.baseline_failing.get_or_create_owned(&of).set(0);
        if self.failing.remove(name) {
            tracing::info!("the last minutes are compared with the baseline {name} again");
        }
        for row in comparison.rows.iter().filter(|row| row.outcome == Outcome::Degraded) {
            let severity = row.severity.map_or("", benchmark::Severity::as_str);
            tracing::info!(
                baseline = name,
                severity,
                exceeds = row.exceeds,
                "worse than the baseline: {}",
                quote(&row.subject)
            );
        }
    }

    /// Nothing is known of what could not be compared.
    fn failed(&mut self, own: &Own, name: &str, why: &str) {
        let (gone, others) = std::mem::take(&mut self.lines)
            .into_iter()
            .partition::<BTreeSet<_>, _>(|line| line.baseline == name);
        self.lines = others;
        gone.iter().for_each(|line| take_away(own, line));
        self.names.insert(name.to_owned());
        own.baseline_failing.get_or_create_owned(&OfBaseline { baseline: name.to_owned() }).set(1);
        if self.failing.insert(name.to_owned()) {
            tracing::warn!("the last minutes cannot be compared with the baseline {name}: {}", quote(why));
        }
    }

    /// Takes away what is of other baselines than those.
    fn keep(&mut self, own: &Own, is_wanted: impl Fn(&str) -> bool) {
        let (kept, gone) = std::mem::take(&mut self.lines)
            .into_iter()
            .partition::<BTreeSet<_>, _>(|line| is_wanted(&line.baseline));
        self.lines = kept;
        gone.iter().for_each(|line| take_away(own, line));
        for name in std::mem::take(&mut self.names) {
            if is_wanted(&name) {
                self.names.insert(name);
                continue;
            }
            self.failing.remove(&name);
            let of = OfBaseline { baseline: name };
            own.baseline_compared.remove(&of);
            own.baseline_failing.remove(&of);
        }
    }
}

fn take_away(own: &Own, line: &OfLine) {
    own.baseline_ratio.remove(line);
    own.baseline_regression.remove(line);
}

/// What is shown of baselines, shared with the tasks that compare.
pub(super) type Baselines = Arc<Mutex<Shown>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now as present;
    use crate::metrics::Format;
    use crate::view::benchmark::Row;

    fn row(stage: &str, current: f64, exceeds: f64, outcome: Outcome) -> Row {
        Row {
            metric: "stage_duration".into(),
            labels: [("stage".to_owned(), stage.to_owned())].into(),
            baseline: 2.0,
            current,
            exceeds,
            outcome,
            ..Row::default()
        }
    }

    fn text(own: &Own) -> Vec<String> {
        let mut out = Vec::new();
        own.write(Format::OpenMetrics, present(), || {}, &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("neural_baseline"));
        lines.filter(|line| !line.contains("compared")).map(str::to_owned).collect()
    }

    #[test]
    fn what_is_gone_is_not_shown() {
        let (own, mut shown) = (Own::new(), Shown::default());
        let both = Comparison {
            rows: vec![
                row("decode", 3.0, 2.0, Outcome::Degraded),
                row("filter", 2.0, 0.0, Outcome::Unjudged),
            ],
            ..Comparison::default()
        };
        shown.show(&own, "tuesday", &both, 1_800_000_000_000);
        let labels = |stage| format!("{{baseline=\"tuesday\",metric=\"stage_duration\",stage=\"{stage}\"}}");
        let mut lines = text(&own);
        lines.sort();
        let mut expected = [
            "neural_baseline_failing{baseline=\"tuesday\"} 0".to_owned(),
            format!("neural_baseline_ratio{} 1.5", labels("decode")),
            format!("neural_baseline_ratio{} 1.0", labels("filter")),
            format!("neural_baseline_regression_ratio{} 2.0", labels("decode")),
        ];
        expected.sort();
        assert_eq!(lines, expected);
        let one =
            Comparison { rows: vec![row("filter", 2.0, 0.0, Outcome::Stable)], ..Comparison::default() };
        shown.show(&own, "tuesday", &one, 1_800_000_000_000);
        assert!(!text(&own).concat().contains("decode"), "{:?}", text(&own));
        shown.failed(&own, "tuesday", "it is away");
        assert_eq!(text(&own), ["neural_baseline_failing{baseline=\"tuesday\"} 1"]);
        shown.keep(&own, |name| name != "tuesday");
        assert!(text(&own).is_empty());
    }
}
