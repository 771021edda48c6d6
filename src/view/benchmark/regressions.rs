//! Regressions of the last hours, from what the agent exposes of its comparisons.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Severity;
use crate::catalog::benchmark::REGRESSIONS;
use crate::catalog::limit::{self, Limits};
use crate::catalog::line::{LABELS, LINES};
use crate::promql::{Labels, Value, When, moment};
use crate::view::screen::{clean, sign};
use crate::view::words::{count, digits};
use crate::view::{Status, report};

/// Something that was worse than a baseline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Regression {
    /// The name of the benchmark.
    pub baseline: String,
    /// Which line of the catalogue: `stage_duration`.
    pub metric: String,
    /// What it is, in words.
    pub subject: String,
    /// The labels that it has.
    pub labels: BTreeMap<String, String>,
    /// How bad it was at worst.
    pub severity: Option<Severity>,
    /// By how many times its limit it was worse, at most.
    pub worst: f64,
    /// And now; 0 if it is no regression any more.
    pub now: f64,
    /// What was measured last, as a share of the baseline; absent where that is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// When it was first seen in this time: ms since the epoch.
    pub since: Option<i64>,
    /// When it was last seen.
    pub last: Option<i64>,
}

/// What was worse than the baselines of a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Regressions {
    /// The baselines that were compared with in this time. If there is none, nothing is known.
    pub baselines: Vec<String>,
    /// The regressions, those that last first, then the worst.
    pub regressions: Vec<Regression>,
}

/// What is to be asked about a time of `window` ms up to `at`: answers are given to [`regressions`] in the same order.
#[must_use]
pub fn regression_questions(at: i64, window: i64) -> Vec<(String, When)> {
    let text = |ask: &str| ask.replace("$window", &format!("{window}ms"));
    REGRESSIONS.iter().map(|(_, ask)| (text(ask), When::At(at))).collect()
}

/// What the answers say.
#[must_use]
pub fn regressions(answers: Vec<Option<Value>>, limits: &Limits) -> Regressions {
    type Key = (String, String, BTreeMap<String, String>);
    let key = |labels: &Labels| -> Key {
        let own = LABELS.iter().chain(&["instance"]).filter(|name| !labels.get(name).is_empty());
        let own = own.map(|name| ((*name).to_owned(), labels.get(name).to_owned())).collect();
        (labels.get("baseline").to_owned(), labels.get("metric").to_owned(), own)
    };
    let (mut found, mut baselines) = (BTreeMap::<Key, Regression>::new(), Vec::new());
    for ((what, _), answer) in REGRESSIONS.iter().zip(answers) {
        let Some(Value::Vector(elements)) = answer else { continue };
        for one in elements {
            let (key, value) = (key(&one.labels), one.value);
            if *what == "worst" {
                found.insert(key, Regression { worst: value, ..Regression::default() });
                continue;
            }
            if *what == "compared" {
                baselines.push(key.0);
                continue;
            }
            let Some(regression) = found.get_mut(&key) else { continue };
            let moment = (value * 1000.0) as i64;
            match *what {
                "now" => regression.now = value,
                "since" => regression.since = Some(moment),
                "last" => regression.last = Some(moment),
                _ => regression.ratio = Some(value),
            }
        }
    }
    let several = {
        let mut machines: Vec<Option<&String>> =
            found.keys().map(|(.., labels)| labels.get("instance")).collect();
        machines.sort_unstable();
        machines.dedup();
        machines.len() > 1
    };
    let mut all: Vec<Regression> = found
        .into_iter()
        .map(|((baseline, metric, mut labels), one)| {
            if !several {
                labels.remove("instance");
            }
            let line = LINES.iter().find(|line| line.key == metric);
            let subject = line.map_or_else(|| metric.clone(), |line| report::subject(line.subject, &labels));
            let severity = match one.worst {
                worst if worst >= limits.of(&limit::REGRESSION_CRITICAL) => Severity::Critical,
                worst if worst >= limits.of(&limit::REGRESSION_WARNING) => Severity::Warning,
                _ => Severity::Info,
            };
            Regression { baseline, metric, subject, labels, severity: Some(severity), ..one }
        })
        .collect();
    all.sort_by(|a, b| (b.now >= 1.0).cmp(&(a.now >= 1.0)).then(b.worst.total_cmp(&a.worst)));
    Regressions { baselines, regressions: all }
}

/// For a terminal.
#[must_use]
pub fn write_regressions(found: &Regressions, hours: f64) -> String {
    let mut out = String::new();
    let all = &found.regressions;
    let lasting = all.iter().filter(|one| one.now >= 1.0).count();
    // Writing to a string cannot fail.
    let _ = match (all.len(), lasting) {
        (0, _) if found.baselines.is_empty() => writeln!(
            out,
            "{} Nothing is known: no baseline was compared with in {} h\n  hint: `neural-exporter benchmark record NAME`, and name it \
             under benchmarks.baselines in the configuration",
            sign(Status::Unknown),
            digits(hours)
        ),
        (0, _) => writeln!(
            out,
            "{} No regression in {} h, beside {}",
            sign(Status::Healthy),
            digits(hours),
            clean(&found.baselines.join(", "))
        ),
        (number, 0) => writeln!(
            out,
            "{} {} in {} h; all are over",
            sign(Status::Healthy),
            count(number, "regression"),
            digits(hours)
        ),
        (number, lasting) => writeln!(
            out,
            "{} {} in {} h; {lasting} now",
            sign(Status::Degraded),
            count(number, "regression"),
            digits(hours)
        ),
    };
    for one in all {
        let severity = one.severity.map_or("", Severity::as_str);
        let since = one.since.map(moment).unwrap_or_default();
        let until = if one.now >= 1.0 {
            String::new()
        } else {
            format!(" to {}", one.last.map(moment).unwrap_or_default())
        };
        let ratio = one
            .ratio
            .map_or_else(String::new, |ratio| format!(", last at {} % of it", digits(ratio * 100.0)));
        let _ = writeln!(
            out,
            "  {} {}: {}, {} times its limit worse than {}{ratio}, since {since}{until}",
            if one.now >= 1.0 { sign(Status::Degraded) } else { " " },
            clean(&one.subject),
            severity,
            digits(one.worst),
            clean(&one.baseline)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::Element;

    fn vector(values: &[(&str, f64)]) -> Option<Value> {
        let element = |(stage, value): &(&str, f64)| Element {
            labels: Labels::from_pairs([
                ("baseline", "tuesday"),
                ("instance", "a"),
                ("metric", "stage_duration"),
                ("pipeline", "bci"),
                ("stage", stage),
            ]),
            value: *value,
        };
        Some(Value::Vector(values.iter().map(element).collect()))
    }

    #[test]
    fn what_lasts_comes_first_and_what_never_was_is_not_told() {
        let answers = vec![
            vector(&[("decode", 1.2), ("filter", 3.0)]),
            vector(&[("decode", 1.1), ("filter", 0.0), ("other", 0.0)]),
            vector(&[("decode", 1_800_000_000.0), ("filter", 1_800_000_060.0)]),
            vector(&[("decode", 1_800_003_600.0), ("filter", 1_800_000_120.0)]),
            vector(&[("decode", 1.3), ("filter", 1.0), ("other", 1.0)]),
            vector(&[("", 1_800_003_600.0)]),
        ];
        let found = regressions(answers, &Limits::default());
        let (all, nothing) = (&found.regressions, Regressions::default());
        let told =
            |one: &Regression| (one.labels["stage"].clone(), one.severity, one.worst, one.now, one.ratio);
        assert_eq!(
            all.iter().map(told).collect::<Vec<_>>(),
            [
                ("decode".to_owned(), Some(Severity::Info), 1.2, 1.1, Some(1.3)),
                ("filter".to_owned(), Some(Severity::Critical), 3.0, 0.0, Some(1.0))
            ]
        );
        assert_eq!(
            (all[0].since, &*all[0].subject),
            (Some(1_800_000_000_000), "mean duration of decode of bci")
        );
        let text = write_regressions(&found, 24.0);
        assert!(text.starts_with("▲ 2 regressions in 24 h; 1 now\n"), "{text}");
        assert!(text.contains("mean duration of filter of bci: critical"), "{text}");
        let over = Regressions { regressions: all[1..].to_vec(), ..nothing.clone() };
        assert!(write_regressions(&over, 24.0).starts_with("✔ 1 regression in 24 h; all are over"));
        let none = Regressions { baselines: found.baselines.clone(), ..nothing.clone() };
        assert_eq!(write_regressions(&none, 24.0), "✔ No regression in 24 h, beside tuesday\n");
        // Where nothing was compared, that nothing is worse is not known.
        assert!(write_regressions(&nothing, 24.0).starts_with("? Nothing is known"));
    }

    #[test]
    fn every_question_is_promql() {
        for (text, _) in regression_questions(0, 86_400_000) {
            assert!(crate::promql::parse(&text).is_ok() && !text.contains('$'), "{text}");
        }
    }
}
