//! What a report concludes from its tables.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cell, Row, Section, Verdict, subject};
use crate::view::{Sentence, Status};

/// Of several that are wrong in the same way, so many are named.
pub(super) const NAMED: usize = 3;
/// Less of the time than this share is worth a word.
const KNOWN: f64 = 0.97;
/// The tables that a recording depends on.
const RECORDING: &[&str] = &["devices", "channels", "streams", "expected_streams", "programs"];
/// The tables that say nothing of what is watched.
const ASIDE: &[&str] = &["host", "filesystems", "agent", "gpus", "processes", "alerts"];

/// Where the time of a pipeline goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportBottleneck")]
pub struct Bottleneck {
    /// The pipeline and its stage that takes the most time.
    pub labels: BTreeMap<String, String>,
    /// The share of the stages' time that it takes.
    pub share: f64,
    /// The mean time of one run of it, in seconds.
    pub mean: f64,
    /// What a run of the pipeline would gain if this stage took half the time, in seconds.
    pub gain: f64,
    /// The same in words.
    pub text: String,
}

/// The share of what went well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportStability")]
pub struct Stability {
    /// From 0 to 100.
    pub score: f64,
    /// How many shares it is the mean of.
    pub of: usize,
    /// How it is computed.
    pub formula: String,
}

/// Whether the data can be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportUsable")]
pub struct Usable {
    /// In a word.
    pub answer: Answer,
    /// In a sentence.
    pub sentence: String,
}

/// Whether the data can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ReportAnswer")]
pub enum Answer {
    /// Nothing that it depends on was beyond its limits.
    Yes,
    /// Something was, or a part of the time is not known.
    WithCare,
    /// Something was far beyond them.
    No,
    /// Nothing was there that makes data, or nobody looked.
    #[default]
    Unknown,
}

impl Answer {
    /// The word, as it is in JSON.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::WithCare => "with_care",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether a recording depends on what a table tells.
pub(super) fn is_of_data(section: &str) -> bool {
    RECORDING.contains(&section)
}

impl Stability {
    /// The score for people: less than 100 is never shown as 100.
    pub(super) fn shown(&self) -> String {
        let text = super::amount(self.score / 100.0, crate::catalog::Unit::Ratio);
        text.trim_end_matches(" %").to_owned()
    }
}

fn number(row: &Row, key: &str) -> Option<f64> {
    match row.values.get(key) {
        Some(Cell::Number(value)) => Some(*value),
        _ => None,
    }
}

/// The stage of each pipeline that takes the most time, where there are several.
pub(super) fn bottlenecks(sections: &[Section]) -> Vec<Bottleneck> {
    let Some(stages) = sections.iter().find(|section| section.name == "stages") else { return Vec::new() };
    let mut found: BTreeMap<Vec<&str>, (&Row, f64, usize)> = BTreeMap::new();
    for row in &stages.rows {
        let Some(share) = number(row, "share") else { continue };
        let of = row.labels.iter().filter(|(name, _)| *name != "stage").map(|(_, value)| &**value).collect();
        let (most, greatest, stages) = found.entry(of).or_insert((row, share, 0));
        *stages += 1;
        if share > *greatest {
            (*most, *greatest) = (row, share);
        }
    }
    let several = found.into_values().filter(|(_, _, stages)| *stages > 1);
    several
        .filter_map(|(row, share, _)| {
            let mean = number(row, "mean")?;
            let gain = mean / 2.0;
            let percent = (share * 100.0).round();
            let time = |seconds| super::amount(seconds, crate::catalog::Unit::Seconds);
            let text = format!(
                "{} takes {percent} % of the stages' time, {} a run; in half of that, a run would take {} less",
                subject("{stage} of {pipeline}", &row.labels),
                time(mean),
                time(gain)
            );
            Some(Bottleneck { labels: row.labels.clone(), share, mean, gain, text })
        })
        .collect()
}

/// The mean of every share that went well.
pub(super) fn stability(sections: &[Section]) -> Option<Stability> {
    let mut shares = Vec::new();
    for section in sections {
        for column in section
            .columns
            .iter()
            .filter(|column| section.about(&column.key).is_some_and(|column| column.is_share_well))
        {
            shares.extend(section.rows.iter().filter_map(|row| number(row, &column.key)));
        }
        // A device that streams and loses half is half well.
        if section.name == "devices" {
            shares.extend(section.rows.iter().filter_map(|row| number(row, "loss")).map(|loss| 1.0 - loss));
        }
    }
    let score = shares.iter().map(|share| share.clamp(0.0, 1.0)).sum::<f64>() / shares.len() as f64 * 100.0;
    let formula = "100 × the mean of: time that each device streamed, its packets that were not lost, time that each channel was good, time that each \
                   expected stream was there, that each program was in the expected state, that each probe and check was well, and runs \
                   of each pipeline without a failure";
    (!shares.is_empty()).then(|| Stability { score, of: shares.len(), formula: formula.to_owned() })
}

/// What is not known of the time, and what is known inexactly.
pub(super) fn doubts(sections: &[Section]) -> Vec<Sentence> {
    let agents = sections.iter().filter(|section| section.name == "agent").flat_map(|section| &section.rows);
    let mut doubts = Vec::new();
    for row in agents {
        let who = subject("the agent", &row.labels);
        let mut say =
            |text: String| doubts.push(Sentence { status: Status::Unknown, text, ..Sentence::default() });
        if let Some(known) = number(row, "known").filter(|known| *known < KNOWN) {
            let unknown = super::amount(1.0 - known, crate::catalog::Unit::Ratio);
            say(format!("of {unknown} of this time nothing is known: {who} did not run, or was not scraped"));
        }
        if let Some(restarts) = number(row, "restarts").filter(|restarts| *restarts > 0.0) {
            let times = super::count(restarts as usize, "time");
            say(format!("{who} was restarted {times}: counts of this time are estimates"));
        }
    }
    doubts
}

/// Whether the data can be used: `said` is what is wrong with it, the worst of all among it.
pub(super) fn usable(sections: &[Section], said: &[Sentence]) -> Usable {
    let of = |name: &str| sections.iter().find(|section| section.name == name);
    let rows = |name: &str| of(name).map_or(0, |section| section.rows.len());
    let makers =
        [(rows("devices"), "device"), (rows("streams"), "stream"), (rows("programs"), "recording program")];
    let there: Vec<String> = makers
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, one)| crate::view::words::count(*number, one))
        .collect();
    if there.is_empty() {
        let sentence = "Not known: nothing was there that makes data".to_owned();
        return Usable { answer: Answer::Unknown, sentence };
    }
    let worst = said.iter().map(|said| said.status).max().unwrap_or_default();
    let shares =
        of("agent").into_iter().flat_map(|agent| &agent.rows).map(|row| number(row, "known").unwrap_or(0.0));
    let known = shares.fold(1.0, f64::min);
    let unknown = super::amount(1.0 - known, crate::catalog::Unit::Ratio);
    let first = said.iter().find(|said| said.status == worst).map(|said| &*said.text).unwrap_or_default();
    let more = match said.len() {
        0 | 1 => String::new(),
        number => format!(", and {}", crate::view::words::count(number - 1, "other finding")),
    };
    let (answer, sentence) = match worst {
        Status::Unhealthy => (Answer::No, format!("Not usable as it is: {first}{more}")),
        Status::Degraded => (Answer::WithCare, format!("Usable with care: {first}{more}")),
        _ if known < KNOWN => {
            (Answer::WithCare, format!("Usable as far as is known: of {unknown} of the time nothing is"))
        }
        _ => {
            let there: Vec<&str> = there.iter().map(|one| &**one).collect();
            let there = crate::view::words::list(&there, there.len());
            (
                Answer::Yes,
                format!("Usable: {there}, and nothing that the data depends on was beyond its limits"),
            )
        }
    };
    Usable { answer, sentence }
}

/// How it was, in words.
pub(super) fn verdict(sections: &[Section], sentences: Vec<Sentence>) -> Verdict {
    let worst = |names: &dyn Fn(&str) -> bool| {
        let rows = sections.iter().filter(|section| names(&section.name)).flat_map(|section| &section.rows);
        rows.map(|row| row.status).max().unwrap_or_default()
    };
    let (recording, all) = (worst(&is_of_data), worst(&|_| true));
    let watched = sections.iter().any(|section| !ASIDE.contains(&&*section.name));
    let (status, words) = match (recording, all) {
        _ if sections.is_empty() => (Status::Unknown, "Nothing is known of this time"),
        (Status::Unhealthy, _) => (Status::Unhealthy, "Data was lost or is bad"),
        (Status::Degraded, _) => (Status::Degraded, "Usable with care"),
        (_, Status::Degraded | Status::Unhealthy) => {
            (Status::Degraded, "The data is usable; something else needs attention")
        }
        _ if !watched => (Status::Unknown, "Nothing was connected"),
        _ => (Status::Healthy, "All was well"),
    };
    Verdict { status, words: words.to_owned(), sentences }
}
