//! The alert that a pack declares for a metric of its own: the same entry that a built-in alert has, written from
//! a limit. A gauge is compared as it is, a counter by its rate, a histogram by its 95th percentile.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::catalog::alert::{Alert, Case, Level, Priority, Severity};
use crate::catalog::lint::Entry;
use crate::event::Kind;
use crate::setting::Span;

/// When something is wrong with a metric.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Watch {
    /// What is larger is wrong.
    #[serde(default)]
    above: Option<f64>,
    /// What is smaller is wrong.
    #[serde(default)]
    below: Option<f64>,
    /// For how long it must be wrong; a minute if omitted.
    #[serde(default)]
    hold: Option<Span>,
    /// How bad it is.
    #[serde(default)]
    severity: Bad,
    /// One line that says what is wrong; may use `{{ $labels.model }}`.
    #[serde(default)]
    summary: Option<String>,
    /// What to do, for the runbook: sentences.
    #[serde(default)]
    actions: Vec<String>,
}

/// How bad it is; how soon you must look follows.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Bad {
    /// Immediately.
    Critical,
    /// Within a quarter of an hour.
    High,
    /// Today.
    #[default]
    Medium,
    /// When there is time.
    Low,
    /// Worth knowing.
    Info,
}

/// For as long as the process, as everything of a pack.
fn kept(text: String) -> &'static str {
    text.leak()
}

impl Watch {
    /// What is wrong with it.
    pub(super) fn wrong(&self) -> Option<String> {
        match (self.above, self.below) {
            (Some(_), Some(_)) => Some("both above and below are there; declare one".to_owned()),
            (None, None) => Some("neither above nor below is there".to_owned()),
            (Some(limit), None) | (None, Some(limit)) if !limit.is_finite() => {
                Some(format!("{limit} is no limit"))
            }
            _ => None,
        }
    }

    /// The alert of the metric.
    pub(super) fn alert(&self, of: &Entry<'_>) -> &'static Alert {
        let (limit, sign, word) = match (self.above, self.below) {
            (Some(limit), _) => (limit, ">", "High"),
            (None, below) => (below.unwrap_or_default(), "<", "Low"),
        };
        let family = super::family(of.name, of.unit);
        let (measured, what) = match of.kind {
            Kind::Counter => (format!("rate({family}_total[5m])"), "a second"),
            Kind::Histogram => {
                (format!("histogram_quantile(0.95, rate({family}_bucket[5m]))"), "in 95 of 100 cases")
            }
            _ => (family.clone(), ""),
        };
        let (severity, priority) = match self.severity {
            Bad::Critical => (Severity::Critical, Priority::P0),
            Bad::High => (Severity::High, Priority::P1),
            Bad::Medium => (Severity::Medium, Priority::P2),
            Bad::Low => (Severity::Low, Priority::P3),
            Bad::Info => (Severity::Info, Priority::P3),
        };
        let camel: String = (of.name.split('_'))
            .map(|part| {
                let mut letters = part.chars();
                letters
                    .next()
                    .map(|first| first.to_ascii_uppercase())
                    .into_iter()
                    .chain(letters)
                    .collect::<String>()
            })
            .collect();
        let hold: u32 = self.hold.map_or(60, |hold| u32::try_from(hold.0.as_secs()).unwrap_or(u32::MAX));
        let summary = self.summary.clone().unwrap_or_else(|| {
            let which: Vec<String> =
                of.labels.iter().map(|label| format!("{{{{ $labels.{label} }}}}")).collect();
            format!("{}: {} {}", of.help, word.to_lowercase(), which.join(" ")).trim_end().to_owned()
        });
        // The value is left out of the text, so that the test needs not to know how a server writes it.
        let described = format!("{} {what}", of.help).trim_end().to_owned();
        let side = if sign == ">" { "above" } else { "below" };
        let query = kept(measured.clone());
        let cases = Cases { family: &family, of, limit, above: sign == ">", minutes: hold.div_ceil(60) + 10 };
        Box::leak(Box::new(Alert {
            name: kept(format!("Neural{camel}{word}")),
            level: Level::new(severity, priority, hold, kept(format!("{measured} {sign} {limit}"))),
            summary: kept(summary),
            description: kept(format!("{described}: it is {side} {limit}.")),
            meaning: kept(format!(
                "{}. A pack of your own declares that it must not be {side} {limit}.",
                of.help
            )),
            immediate: self.actions.iter().map(|text| kept(text.clone())).collect::<Vec<_>>().leak(),
            queries: vec![query].leak(),
            fires: cases.case(true),
            quiet: cases.case(false),
            ..Alert::BLANK
        }))
    }
}

/// What makes the series of the two cases.
struct Cases<'a> {
    family: &'a str,
    of: &'a Entry<'a>,
    limit: f64,
    above: bool,
    minutes: u32,
}

impl Cases<'_> {
    fn case(&self, fires: bool) -> Case {
        let Self { family, of, limit, above, minutes } = self;
        let labels: Vec<(&'static str, &'static str)> =
            of.labels.iter().map(|label| (kept((*label).to_owned()), "a")).collect();
        let set: Vec<String> = labels.iter().map(|(name, value)| format!("{name}='{value}'")).collect();
        let with = |more: &str| {
            let all: Vec<&str> =
                set.iter().map(String::as_str).chain((!more.is_empty()).then_some(more)).collect();
            format!("{{{}}}", all.join(","))
        };
        let (steps, high) = (minutes + 5, fires == *above);
        // Clearly on one side of the limit, whatever its size.
        let far = limit.abs() + 1.0;
        let value = if high { limit + far } else { limit - far };
        let series: Vec<(String, String)> = match of.kind {
            // Counters do not fall: a limit that no rate can be below has no such case.
            Kind::Counter => {
                vec![(format!("{family}_total{}", with("")), format!("0+{}x{steps}", 60.0 * value.max(0.0)))]
            }
            Kind::Histogram => {
                let bound = |le: &str, grows: bool| {
                    let values = if grows { format!("0+60x{steps}") } else { format!("0x{steps}") };
                    (format!("{family}_bucket{}", with(&format!("le='{le}'"))), values)
                };
                let (low, up) = (limit.abs() / 2.0, limit.abs() * 2.0 + 1.0);
                vec![
                    bound(&low.to_string(), !high),
                    bound(&limit.to_string(), !high),
                    bound(&up.to_string(), true),
                    bound("+Inf", true),
                ]
            }
            _ => vec![(format!("{family}{}", with("")), format!("{value}x{steps}"))],
        };
        let series = series.into_iter().map(|(name, values)| (kept(name), kept(values))).collect::<Vec<_>>();
        if fires {
            Case::fires(*minutes, series.leak(), labels.leak(), "")
        } else {
            Case::quiet(*minutes, series.leak())
        }
    }
}
