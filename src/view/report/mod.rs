//! A report over a time: what its tables say, what is wrong, what got better or worse, and where the time goes.
//!
//! Pure: [`questions`] lists what is to be asked, in PromQL; [`build`] makes a [`Report`] of the answers. A number that
//! has no answer is absent, never 0.

mod csv;
mod detail;
mod findings;
mod html;
mod strip;
mod text;
mod trend;

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::advice_of;
use super::words::{amount, count};
use super::{Sentence, Status};
use crate::catalog::Unit;
use crate::catalog::card::Bound;
use crate::catalog::limit::Limits;
use crate::catalog::line::{LINES, stepped};
use crate::catalog::report::{self as table, DETAILS, SECTIONS};
use crate::promql::{Labels, Value, When};
use crate::session::Session;

pub use csv::write as write_csv;
pub use detail::{Episode, Fired, Gap, GapKind, Mark, Strip, StripPart};
pub use findings::{Answer, Bottleneck, Stability, Usable};
pub use html::write as write_html;
pub use text::{write as write_text, write_markdown};
pub use trend::{Course, Trend};

/// What a report is called in the first field of its JSON.
pub const KIND: &str = "neural-exporter report";
/// How the JSON of a report begins, where it is not laid out for people.
pub const JSON_MARK: &str = "{\"kind\":\"neural-exporter report\"";
/// How its page begins.
pub const HTML_MARK: &str = "<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=generator content=\"neural-exporter report\">";

/// Points of a line, at most.
const POINTS: i64 = 60;
/// The least time from one point to the next, in ms: the longest usual time between scrapes, four times.
const STEP: i64 = 60_000;
/// Rows of one table.
const ROWS: usize = 5_000;

/// The time of a report, in ms since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// When it begins.
    pub start: i64,
    /// When it ends.
    pub end: i64,
}

impl Time {
    pub(in crate::view) fn window(self) -> i64 {
        self.end.saturating_sub(self.start).max(1)
    }

    /// From one point of a line to the next, in ms.
    fn step(self) -> i64 {
        (self.window() / POINTS).max(STEP)
    }
}

/// The JSON Schema of a report.
#[must_use]
pub fn schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    let mut schema = settings.into_generator().into_root_schema_for::<Report>();
    schema.insert("title".to_owned(), "Report of neural-exporter".into());
    schema.to_value()
}

/// A question: an expression and when it is asked.
pub type Question = (String, When);

/// What is to be asked for a report of a time, or of a session that has it: answers are given to [`build`] in the same order.
#[must_use]
pub fn questions(time: Time, session: Option<&Session>) -> Vec<Question> {
    let late = session.map_or(0, |session| session.gone().min(time.window() / 2));
    let columns = SECTIONS.iter().flat_map(|section| section.columns);
    let text = |ask| table::text(ask, time.start, time.window(), late);
    let numbers = columns.map(|column| (text(column.ask), When::At(time.end)));
    let step = time.step();
    // Points end with the time, and the first one has a whole step before it.
    let start = time.end - (time.window() / step - 1).max(0) * step;
    let lines =
        LINES.iter().map(|trend| (stepped(trend.ask, step), When::Range { start, end: time.end, step }));
    let details = DETAILS.iter().map(|detail| {
        let (start, step) = detail::grid(detail.points, time);
        (table::stepped(detail.ask, step), When::Range { start, end: time.end, step })
    });
    numbers.chain(lines).chain(details).collect()
}

/// A report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// What it is: `neural-exporter report`.
    #[schemars(extend("const" = KIND))]
    pub kind: String,
    /// The version of its form.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The session that it is about; absent where it is about a time alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<Session>,
    /// When its time begins: ms since the epoch.
    pub start: i64,
    /// When its time ends: ms since the epoch.
    pub end: i64,
    /// Who answered.
    pub source: String,
    /// Whether the data can be used, in a sentence.
    pub usable: Usable,
    /// How it was, in words.
    pub verdict: Verdict,
    /// Its tables; those without a row are omitted.
    pub sections: Vec<Section>,
    /// Where the time of each pipeline goes.
    pub bottlenecks: Vec<Bottleneck>,
    /// What rose, fell or stayed as it was.
    pub trends: Vec<Trend>,
    /// The share of what went well.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stability: Option<Stability>,
    /// When something was lost, or a device did not stream, in order.
    pub gaps: Vec<Gap>,
    /// The course of each channel.
    pub strips: Vec<Strip>,
    /// When there were markers, in order.
    pub marks: Vec<Mark>,
    /// When alerts fired, in order.
    pub fired: Vec<Fired>,
    /// The incidents that were open in the time, where they are kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incidents: Option<Vec<Episode>>,
    /// What keeps it from being complete.
    pub notes: Vec<String>,
}

/// How it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportVerdict")]
pub struct Verdict {
    /// That of what a recording depends on; degraded where only something else is wrong.
    pub status: Status,
    /// A few words.
    pub words: String,
    /// What is wrong, each with what to do: first with the data, the worst first, then with the rest.
    pub sentences: Vec<Sentence>,
}

impl Verdict {
    /// The words, and the first thing that is wrong.
    #[must_use]
    pub fn in_short(&self) -> String {
        match self.sentences.first() {
            Some(first) => format!("{}: {}", self.words, first.text),
            None => self.words.clone(),
        }
    }
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportSection")]
pub struct Section {
    /// Its name: `devices`.
    pub name: String,
    /// Its heading.
    pub heading: String,
    /// The labels that tell its rows apart.
    pub labels: Vec<String>,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// A column of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportColumn")]
pub struct Column {
    /// Its name: `lost`.
    pub key: String,
    /// Its heading.
    pub label: String,
    /// The unit of its numbers: `seconds`; empty for a number without one.
    pub unit: String,
}

/// A row of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportRow")]
pub struct Row {
    /// Which one it is.
    pub labels: BTreeMap<String, String>,
    /// Its values, by the key of the column. One that has no answer is absent.
    pub values: BTreeMap<String, Cell>,
    /// How it is.
    pub status: Status,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "ReportCell")]
pub enum Cell {
    /// A number in the unit of the column.
    Number(f64),
    /// A word.
    Word(String),
}

/// What a report is made of.
#[derive(Debug)]
pub struct ReportInput<'a> {
    /// Its time.
    pub time: Time,
    /// Who answered.
    pub source: String,
    /// The answers to [`questions`], in their order; nothing where there is none.
    pub answers: Vec<Option<Value>>,
    /// The numbers beyond which something is wrong.
    pub limits: &'a Limits,
    /// What a row must have, if it has the label at all: `device`, `cyton`.
    pub only: &'a [(String, String)],
    /// The session that it is about.
    pub session: Option<Session>,
    /// The incidents of the time, where they are kept.
    pub incidents: Option<Vec<Episode>>,
    /// What keeps it from being complete.
    pub notes: Vec<String>,
}

impl<'a> ReportInput<'a> {
    /// Answers of a source about a time, and nothing else.
    #[must_use]
    pub fn new(time: Time, source: String, answers: Vec<Option<Value>>, limits: &'a Limits) -> Self {
        Self { time, source, answers, limits, only: &[], session: None, incidents: None, notes: Vec::new() }
    }
}

/// Makes a report.
#[must_use]
pub fn build(given: ReportInput<'_>) -> Report {
    let mut answers = given.answers.into_iter();
    // What the data depends on is told first.
    let (mut sentences, mut others) = (Vec::new(), Vec::new());
    let mut sections = Vec::new();
    for section in SECTIONS {
        let answers: Vec<Option<Value>> = section.columns.iter().map(|_| answers.next().flatten()).collect();
        let said = if findings::is_of_data(section.name) { &mut sentences } else { &mut others };
        let found = Maker { section, limits: given.limits, only: given.only }.section(&answers, said);
        sections.extend(found.filter(|found| !found.rows.is_empty()));
    }
    let trends = LINES.iter().flat_map(|trend| {
        let lines = answers.next().flatten();
        trend::of(trend, lines.as_ref(), given.time, given.only)
    });
    let trends = trends.collect();
    let details = detail::of(answers, given.time, given.only);
    let usable = findings::usable(&sections, &sentences);
    others.extend(findings::doubts(&sections));
    for said in [&mut sentences, &mut others] {
        said.sort_by_key(|sentence: &Sentence| std::cmp::Reverse(sentence.status));
    }
    sentences.append(&mut others);
    let mut notes = given.notes;
    notes.extend(details.notes);
    notes.extend(given.session.as_ref().and_then(doubt));
    let mut report = Report {
        kind: KIND.to_owned(),
        version: 1,
        session: given.session,
        start: given.time.start,
        end: given.time.end,
        source: given.source,
        usable,
        verdict: Verdict::default(),
        bottlenecks: findings::bottlenecks(&sections),
        stability: findings::stability(&sections),
        sections,
        trends,
        gaps: details.gaps,
        strips: details.strips,
        marks: details.marks,
        fired: details.fired,
        incidents: given.incidents,
        notes,
    };
    report.verdict = findings::verdict(&report.sections, sentences);
    report
}

/// What is to be known of a session whose times are not what they seem.
fn doubt(session: &Session) -> Option<String> {
    let set = session.clock_set;
    (set != 0).then(|| {
        let way = if set < 0 { "back" } else { "forward" };
        let length = super::words::span(set.unsigned_abs() as f64 / 1000.0);
        format!("the clock was set {way} by {length} in this session: what was before that is reported only as far as its time is in this one")
    })
}

struct Maker<'a> {
    section: &'static table::Section,
    limits: &'a Limits,
    only: &'a [(String, String)],
}

/// Whether labels are of what is asked for.
pub(in crate::view) fn is_wanted(labels: &Labels, of: &[&str], only: &[(String, String)]) -> bool {
    only.iter().all(|(name, value)| !of.contains(&&**name) || labels.get(name) == value)
}

/// A text about something: `channel {channel} of {device}`.
pub(in crate::view) fn subject(template: &str, labels: &BTreeMap<String, String>) -> String {
    let mut text = template.to_owned();
    for (name, value) in labels {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    match labels.get("instance") {
        Some(instance) if !instance.is_empty() => format!("{text} at {instance}"),
        _ => text,
    }
}

/// How many different machines there are in answers: one is not named.
pub(in crate::view) fn instances(answers: &[&Labels]) -> usize {
    let mut all: Vec<&str> = answers.iter().map(|labels| labels.get("instance")).collect();
    all.sort_unstable();
    all.dedup();
    all.len()
}

impl Maker<'_> {
    /// The table, if the first column has an answer; what is wrong is added to the sentences.
    fn section(&self, answers: &[Option<Value>], sentences: &mut Vec<Sentence>) -> Option<Section> {
        let vector = |answer: &Option<Value>| match answer {
            Some(Value::Vector(elements)) => {
                elements.iter().map(|one| (one.labels.clone(), one.value)).collect::<Vec<_>>()
            }
            _ => Vec::new(),
        };
        let present = vector(answers.first()?);
        let named = instances(&present.iter().map(|(labels, _)| labels).collect::<Vec<_>>()) > 1;
        let key = |labels: &Labels| -> Vec<String> {
            let own = self.section.labels.iter().copied();
            let all = named.then_some("instance").into_iter().chain(own);
            all.map(|name| labels.get(name).to_owned()).collect()
        };
        let names: Vec<&str> =
            named.then_some("instance").into_iter().chain(self.section.labels.iter().copied()).collect();
        let mut rows: Vec<(Vec<String>, Row)> = Vec::new();
        let mut places = HashMap::new();
        let wanted = |labels: &Labels| is_wanted(labels, self.section.labels, self.only);
        for (labels, _) in present.iter().filter(|(labels, _)| wanted(labels)).take(ROWS) {
            let id = key(labels);
            let own = names.iter().map(|name| (*name).to_owned()).zip(id.iter().cloned()).collect();
            places.entry(id.clone()).or_insert_with(|| {
                rows.push((id, Row { labels: own, ..Row::default() }));
                rows.len() - 1
            });
        }
        for (column, answer) in self.section.columns.iter().zip(answers) {
            for (labels, value) in vector(answer).into_iter().filter(|(_, value)| value.is_finite()) {
                let Some((_, row)) = places.get(&key(&labels)).and_then(|place| rows.get_mut(*place)) else {
                    continue;
                };
                let cell = match column.shows {
                    Some(label) => Cell::Word(labels.get(label).to_owned()),
                    None => Cell::Number(value),
                };
                row.values.insert(column.key.to_owned(), cell);
            }
            self.judge(column, &mut rows, sentences);
        }
        rows.sort_by_cached_key(|(id, _)| {
            id.iter().map(|part| super::build::natural(part)).collect::<Vec<_>>()
        });
        Some(Section {
            name: self.section.name.to_owned(),
            heading: self.section.heading.to_owned(),
            labels: names.into_iter().map(str::to_owned).collect(),
            columns: self.section.columns.iter().map(Column::of).collect(),
            rows: rows.into_iter().map(|(_, row)| row).collect(),
        })
    }

    /// Compares a column with its limits. Of many that are wrong the worst are named.
    fn judge(&self, column: &table::Column, rows: &mut [(Vec<String>, Row)], sentences: &mut Vec<Sentence>) {
        let Some(judged) = &column.judged else { return };
        let mut wrong: Vec<(Status, f64, String)> = Vec::new();
        for (_, row) in rows {
            let Some(Cell::Number(value)) = row.values.get(column.key) else { continue };
            let passed = |bound: Bound| bound.is_passed(*value, |limit| self.limits.of(limit));
            let status = match judged.critical {
                Some(bound) if passed(bound) => Status::Unhealthy,
                _ if passed(judged.limit) => Status::Degraded,
                _ => continue,
            };
            wrong.push((status, *value, subject(self.section.subject, &row.labels)));
            row.status = row.status.max(status);
        }
        let low = judged.limit.is_passed(f64::NEG_INFINITY, |limit| self.limits.of(limit));
        wrong.sort_by(|a, b| b.0.cmp(&a.0).then(if low { a.1.total_cmp(&b.1) } else { b.1.total_cmp(&a.1) }));
        let alert = judged.alerts.first().map(|alert| (*alert).to_owned());
        let advice = alert.as_deref().and_then(advice_of);
        let number = wrong.len();
        for (place, (status, value, subject)) in wrong.into_iter().take(findings::NAMED).enumerate() {
            let more = number - findings::NAMED.min(number);
            let more = if place + 1 == findings::NAMED && more > 0 {
                format!(", and {more} more like it")
            } else {
                String::new()
            };
            let text = format!("{subject} {}{more}", judged.says.replace("{}", &amount(value, column.unit)));
            sentences.push(Sentence {
                status,
                text,
                advice: advice.clone(),
                since: None,
                alert: alert.clone(),
            });
        }
    }
}

/// The unit of a name: what [`Column::unit`] holds.
pub(in crate::view) fn unit_of(name: &str) -> Unit {
    Unit::ALL.into_iter().find(|unit| unit.suffix() == name).unwrap_or_default()
}

impl Column {
    fn of(column: &table::Column) -> Self {
        Self {
            key: column.key.to_owned(),
            label: column.label.to_owned(),
            unit: column.unit.suffix().to_owned(),
        }
    }
}

impl Section {
    /// What is known of a column.
    fn about(&self, key: &str) -> Option<&'static table::Column> {
        let section = SECTIONS.iter().find(|section| section.name == self.name)?;
        section.columns.iter().find(|column| column.key == key)
    }

    /// A value of a row as people read it; a dash where there is none.
    fn shown(&self, row: &Row, key: &str) -> String {
        let unit = self.about(key).map_or(Unit::None, |column| column.unit);
        match row.values.get(key) {
            Some(Cell::Number(value)) => amount(*value, unit),
            Some(Cell::Word(word)) => word.clone(),
            None => "–".to_owned(),
        }
    }

    /// The columns that have a value in some row: the others would be dashes alone.
    fn used(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| self.rows.iter().any(|row| row.values.contains_key(&column.key)))
    }
}

#[cfg(test)]
mod tests;
