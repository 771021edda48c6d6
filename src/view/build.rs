//! A snapshot, made of answers.

use std::collections::{BTreeMap, HashMap};

use super::answers::{Answers, Past, course};
use super::latest::Latest;
use super::words::{amount, count, list};
use super::{Alert, Card, Fact, Figures, Incident, Numbers, Part, Plot, Sentence, Snapshot, Status, Verdict};
use crate::alert::health::{ComponentHealth as Component, Reason, Verdict as Health};
use crate::catalog::alert::CHAPTERS;
use crate::catalog::card::{
    self, Ask, Beside, Bound, CARDS, FLOW, Figure, GROUP, Mark, Parts, REQUESTS, SERVICE, STATES, SYSTEM,
    Word, look_of,
};
use crate::catalog::limit::Limits;
use crate::promql::{Interrupt, Labels, Select, read_moment};

/// Parts that a sentence names.
const NAMED: usize = 6;
/// The kinds of cards that a recording depends on.
const RECORDING: &[&str] = &["device", "stream", "program"];

/// What a snapshot is made of.
#[derive(Debug)]
pub struct SnapshotInput<'a> {
    /// The series as they are now.
    pub latest: &'a Latest,
    /// What the history answered.
    pub past: &'a Past,
    /// The numbers beyond which something is wrong.
    pub limits: &'a Limits,
    /// What the alerts say of each component.
    pub health: Health,
    /// Alerts that fire or wait.
    pub alerts: Vec<Alert>,
    /// Incidents that are open.
    pub incidents: Vec<Incident>,
    /// What is wrong with the agent itself.
    pub trouble: Vec<String>,
    /// What else keeps it from being complete.
    pub notes: Vec<String>,
}

/// What is shown.
#[must_use]
pub fn build(given: SnapshotInput<'_>) -> Snapshot {
    let answers = Answers::of(given.latest, given.past);
    let limits = given.limits;
    let mut cards = Vec::new();
    for kind in CARDS {
        cards.extend(Maker { kind, answers: &answers, limits }.cards());
    }
    let names: Vec<String> =
        cards.iter().filter(|card| card.kind == "device").map(|card| card.name.clone()).collect();
    // The card of a device says what that of the stream would say.
    cards.retain(|card| {
        card.kind != "stream" || card.status != Status::Healthy || !names.contains(&card.name)
    });
    given.health.components.iter().for_each(|component| hear(&mut cards, component));
    if let Some(agent) = cards.iter_mut().find(|card| card.kind == "agent") {
        for text in given.trouble {
            agent.status = agent.status.max(Status::Degraded);
            agent.sentences.push(Sentence { status: Status::Degraded, text, ..Sentence::default() });
        }
    }
    for card in &mut cards {
        card.sentences.sort_by_key(|sentence| std::cmp::Reverse(sentence.status));
    }
    let mut notes = given.notes;
    notes.extend(given.health.notes);
    notes.extend(given.past.notes.iter().cloned());
    Snapshot {
        at: given.latest.at(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        verdict: verdict(&cards),
        cards,
        alerts: given.alerts,
        incidents: given.incidents,
        figures: figures(&answers),
        notes,
    }
}

/// What flows, how the machine is, and how each group of processes is.
fn figures(answers: &Answers<'_>) -> Figures {
    let one = |figure: &Figure| (figure.key(), answers.to(figure.ask).first().map(|(_, value)| *value));
    let mut services: BTreeMap<String, Numbers> = BTreeMap::new();
    let all = || SERVICE.iter().chain(REQUESTS);
    for figure in all() {
        for (labels, value) in answers.to(figure.ask) {
            let unknown = || all().map(|figure| (figure.key(), None)).collect();
            let name = labels.get(GROUP).to_owned();
            services.entry(name).or_insert_with(unknown).insert(figure.key(), Some(*value));
        }
    }
    Figures { flow: FLOW.iter().map(one).collect(), system: SYSTEM.iter().map(one).collect(), services }
}

/// Makes the cards of one kind.
struct Maker<'a> {
    kind: &'static card::Card,
    answers: &'a Answers<'a>,
    limits: &'a Limits,
}

/// The values of these labels, as one name.
fn name_of(labels: &Labels, of: &[&str]) -> String {
    let values = of.iter().map(|label| labels.get(label)).filter(|value| !value.is_empty());
    values.collect::<Vec<_>>().join("/")
}

fn status_of(mark: Mark) -> Status {
    match mark {
        Mark::Good => Status::Healthy,
        Mark::Attention => Status::Degraded,
        Mark::Danger => Status::Unhealthy,
    }
}

impl Maker<'_> {
    fn cards(&self) -> Vec<Card> {
        let present = self.answers.to(self.kind.present);
        let mut names: Vec<String> =
            present.iter().map(|(labels, _)| name_of(labels, self.kind.labels)).collect();
        names.sort_by_cached_key(|name| natural(name));
        names.dedup();
        let mut parts = self.kind.parts.map_or_else(HashMap::new, |parts| self.parts(parts));
        names.into_iter().map(|name| self.card(&name, parts.remove(&name).unwrap_or_default())).collect()
    }

    fn card(&self, name: &str, parts: Vec<Part>) -> Card {
        let mut card =
            Card { kind: self.kind.component.to_owned(), name: name.to_owned(), ..Card::default() };
        let subject = if name.is_empty() { self.kind.heading } else { name };
        let mine = |labels: &Labels| name_of(labels, self.kind.labels) == name;
        if let Some((word, mark)) = self.state(&mine) {
            card.status = status_of(mark);
            if mark != Mark::Good {
                let advice = card::advice_for(&word).map(|advice| advice.text.to_owned());
                let text = format!("{subject}: {word}");
                card.sentences.push(Sentence { status: card.status, text, advice, ..Sentence::default() });
            }
            card.state = Some(word);
        }
        for fact in self.kind.facts {
            let Some((fact, sentence)) = self.fact(fact, subject, &mine) else { continue };
            card.status = card.status.max(fact.status);
            card.facts.push(fact);
            card.sentences.extend(sentence);
        }
        if let Some(about) = self.kind.parts.filter(|_| !parts.is_empty()) {
            card.parts_heading = about.heading.to_owned();
            let sentences = about_parts(subject, about, &parts);
            card.status = sentences.iter().map(|sentence| sentence.status).fold(card.status, Status::max);
            card.sentences.extend(sentences);
            card.parts = parts;
        }
        card.plots = self.kind.lines.iter().filter_map(|line| self.plot(line, &mine)).collect();
        card
    }

    fn state(&self, mine: &dyn Fn(&Labels) -> bool) -> Option<(String, Mark)> {
        STATES.iter().filter(|state| state.component == self.kind.component).find_map(|state| {
            let (labels, value) = self.answers.to(state.ask).iter().find(|(labels, _)| mine(labels))?;
            match state.word {
                Word::Label(label, good) => {
                    let word = labels.get(label);
                    let bad = !good.is_empty() && !good.contains(&word);
                    Some((word.replace('_', " "), if bad { Mark::Danger } else { Mark::Good }))
                }
                Word::Number(words) => {
                    let (word, mark) = words.get(*value as usize)?;
                    Some(((*word).to_owned(), *mark))
                }
            }
        })
    }

    fn find(&self, ask: Ask, mine: &dyn Fn(&Labels) -> bool) -> Option<f64> {
        self.answers.to(ask).iter().find(|(labels, _)| mine(labels)).map(|(_, value)| *value)
    }

    /// A fact of which nothing is wrong yet.
    fn known(&self, fact: &card::Fact, value: f64) -> Fact {
        // What is judged by another number has no limit of its own.
        let limit =
            fact.judged.filter(|judged| judged.by.is_none()).map(|judged| number(judged.limit, self.limits));
        Fact {
            label: fact.label.to_owned(),
            text: amount(value, fact.unit),
            status: Status::Healthy,
            key: fact.key(),
            value: Some(value),
            beside: None,
            limit,
            limit_text: limit.map(|limit| amount(limit, fact.unit)),
        }
    }

    /// A fact, and what is said if it is wrong.
    fn fact(
        &self,
        fact: &card::Fact,
        subject: &str,
        mine: &dyn Fn(&Labels) -> bool,
    ) -> Option<(Fact, Option<Sentence>)> {
        let value = self.find(fact.ask, mine)?;
        let mut text = match fact.words.get(value as usize) {
            Some(word) => (*word).to_owned(),
            None => amount(value, fact.unit),
        };
        let mut beside = None;
        // It is one for all: a currency has the labels of no card.
        if let Some((ask, label)) = fact.suffix
            && let Some((labels, _)) = self.answers.to(ask).first()
        {
            text = format!("{text} {}", labels.get(label));
        }
        if let Some(Beside { word, ask: other, .. }) = fact.beside
            && let Some(other) = self.find(other, mine)
        {
            text = format!("{text} {word} {}", amount(other, fact.unit));
            beside = Some(other);
        }
        let judged = fact.judged.and_then(|judged| {
            let (by, unit) =
                judged.by.map_or((Some(value), fact.unit), |(ask, unit)| (self.find(ask, mine), unit));
            let by = by?;
            let passed = |bound: Bound| bound.is_passed(by, |limit| self.limits.of(limit));
            let status = match judged.critical {
                Some(bound) if passed(bound) => Status::Unhealthy,
                _ if passed(judged.limit) => Status::Degraded,
                _ => return None,
            };
            let text = format!("{subject} {}", judged.says.replace("{}", &amount(by, unit)));
            let alert = judged.alerts.first().map(|alert| (*alert).to_owned());
            let advice = alert.as_deref().and_then(advice_of);
            Some(Sentence { status, text, advice, since: None, alert })
        });
        let status = judged.as_ref().map_or(Status::Healthy, |sentence| sentence.status);
        Some((Fact { text, status, beside, ..self.known(fact, value) }, judged))
    }

    fn plot(&self, line: &card::Line, mine: &dyn Fn(&Labels) -> bool) -> Option<Plot> {
        let past = self.answers.past();
        let (_, points) = past.lines(line.ask.text()).iter().find(|(labels, _)| mine(labels))?;
        drawn(line, points, past.span(), self.limits)
    }

    /// The parts of all components, by the name of the component.
    fn parts(&self, about: &Parts) -> HashMap<String, Vec<Part>> {
        let key = |labels: &Labels| (name_of(labels, self.kind.labels), labels.get(about.label).to_owned());
        let mut parts: BTreeMap<(String, String), Part> = BTreeMap::new();
        for (labels, _) in self.answers.to(about.present) {
            let id = labels.get(about.label).to_owned();
            parts.entry(key(labels)).or_insert_with(|| Part { name: id.clone(), id, ..Part::default() });
        }
        if let Some((ask, label)) = about.name {
            for (labels, _) in self.answers.to(ask) {
                let name = labels.get(label);
                if let Some(part) = parts.get_mut(&key(labels)).filter(|_| !name.is_empty()) {
                    part.name = name.to_owned();
                }
            }
        }
        if let Some((ask, label)) = about.bad {
            for (labels, _) in self.answers.to(ask) {
                if let Some(part) = parts.get_mut(&key(labels)) {
                    part.status = Status::Degraded;
                    part.reasons.push(labels.get(label).replace('_', " "));
                }
            }
        }
        for fact in about.facts {
            self.add_to_parts(fact, &mut parts, &key);
        }
        let mut of: HashMap<String, Vec<Part>> = HashMap::new();
        for ((component, _), mut part) in parts {
            // What is no reason of a channel is behind them, in its order.
            part.reasons.sort_by_key(|reason| rank(reason));
            of.entry(component).or_default().push(part);
        }
        of.values_mut().for_each(|parts| parts.sort_by_cached_key(|part| natural(&part.id)));
        of
    }

    fn add_to_parts(
        &self,
        fact: &card::Fact,
        parts: &mut BTreeMap<(String, String), Part>,
        key: &dyn Fn(&Labels) -> (String, String),
    ) {
        for (labels, value) in self.answers.to(fact.ask) {
            let Some(part) = parts.get_mut(&key(labels)) else { continue };
            let mut shown = self.known(fact, *value);
            if let Some(judged) = fact.judged {
                let passed = |bound: Bound| bound.is_passed(*value, |limit| self.limits.of(limit));
                shown.status = match judged.critical {
                    Some(bound) if passed(bound) => Status::Unhealthy,
                    _ if passed(judged.limit) => Status::Degraded,
                    _ => Status::Healthy,
                };
                if shown.status != Status::Healthy {
                    part.reasons.push(judged.says.replace("{}", &shown.text));
                    part.status = part.status.max(shown.status);
                }
            }
            part.facts.push(shown);
        }
    }
}

/// The place of a reason among those of channels, the worst first.
fn rank(reason: &str) -> usize {
    look_of(reason).map_or(usize::MAX, |(place, _)| place)
}

/// The number of a bound.
fn number(bound: Bound, limits: &Limits) -> f64 {
    match bound {
        Bound::Limit(limit) => limits.of(limit),
        Bound::Rest(limit) => 1.0 - limits.of(limit),
        Bound::Over(number) | Bound::Under(number) => number,
    }
}

/// A line as it is drawn; nothing where it has no number.
fn drawn(line: &card::Line, points: &[Option<f64>], span: (i64, i64), limits: &Limits) -> Option<Plot> {
    let values = || points.iter().flatten().copied();
    let least = values().fold(f64::INFINITY, f64::min);
    let greatest = values().fold(f64::NEG_INFINITY, f64::max);
    if least > greatest {
        return None;
    }
    let bound = line.bound.map(|bound| number(bound, limits));
    Some(Plot {
        label: line.label.to_owned(),
        span,
        points: points.to_vec(),
        range: (amount(least, line.unit), amount(greatest, line.unit)),
        bound,
        bound_text: bound.map(|bound| amount(bound, line.unit)),
    })
}

/// Draws what each part of a card was like in the last minutes: its page alone asks for that. What cannot be answered is missing.
pub fn draw_parts(
    card: &mut Card,
    past: &dyn Select,
    limits: &Limits,
    at: i64,
    interrupt: &dyn Fn() -> Option<Interrupt>,
) {
    let Some(kind) = CARDS.iter().find(|kind| kind.component == card.kind) else { return };
    let Some(about) = kind.parts else { return };
    for line in about.lines {
        let Ok((span, lines)) = course(line.ask.text(), at, past, interrupt) else { continue };
        for (labels, points) in lines.iter().filter(|(labels, _)| name_of(labels, kind.labels) == card.name) {
            let id = labels.get(about.label);
            if let Some(part) = card.parts.iter_mut().find(|part| part.id == id) {
                part.plots.extend(drawn(line, points, span, limits));
            }
        }
    }
}

/// What is wrong with the parts, by how bad it is: `Cyton: channels 2, 3 and 5 are bad (flat)`.
fn about_parts(subject: &str, about: &Parts, parts: &[Part]) -> Vec<Sentence> {
    let mut sentences = Vec::new();
    for status in [Status::Unhealthy, Status::Degraded] {
        let bad: Vec<&Part> = parts.iter().filter(|part| part.status == status).collect();
        let [first, ..] = &bad[..] else { continue };
        let names: Vec<&str> = bad.iter().map(|part| &*part.name).collect();
        let text = if about.bad.is_none() {
            // What is wrong with each has a number of its own: the first is told.
            let more = if bad.len() > 1 { format!(", and {} like it", bad.len() - 1) } else { String::new() };
            format!("{} {} of {subject} {}{more}", about.title, first.name, first.reasons.join(", "))
        } else {
            let mut reasons: Vec<&str> =
                bad.iter().flat_map(|part| &part.reasons).map(|reason| &**reason).collect();
            reasons.sort_unstable_by_key(|reason| (rank(reason), *reason));
            reasons.dedup();
            let are = if bad.len() == 1 { "is" } else { "are" };
            let title = if bad.len() == 1 { about.title.to_owned() } else { format!("{}s", about.title) };
            format!("{title} {} of {subject} {are} bad ({})", list(&names, NAMED), list(&reasons, NAMED))
        };
        let alert = if about.bad.is_some() { "NeuralChannelBad" } else { "NeuralStageLatency" };
        let (advice, alert) = (advice_of(alert), Some(alert.to_owned()));
        sentences.push(Sentence { status, text, advice, since: None, alert });
    }
    sentences
}

/// Adds what the alerts say of a component to its card.
fn hear(cards: &mut Vec<Card>, component: &Component) {
    if component.status <= Status::Unknown {
        return;
    }
    let place = cards.iter().position(|card| card.kind == component.component && card.name == component.name);
    // What is read has its card: a stream that of its device, a source that of what it reads.
    let read: &[&str] = match component.component.as_str() {
        "stream" => &["device"],
        "source" => &["device", "program", "probe"],
        _ => &[],
    };
    let place = place
        .or_else(|| cards.iter().position(|card| read.contains(&&*card.kind) && card.name == component.name));
    let place = place.unwrap_or_else(|| {
        cards.push(Card {
            kind: component.component.clone(),
            name: component.name.clone(),
            ..Card::default()
        });
        cards.len() - 1
    });
    let Some(card) = cards.get_mut(place) else { return };
    card.status = card.status.max(component.status);
    for reason in &component.reasons {
        add_reason(card, reason);
    }
}

fn add_reason(card: &mut Card, reason: &Reason) {
    let since = read_moment(&reason.since);
    let status = if reason.severity == "critical" { Status::Unhealthy } else { Status::Degraded };
    // What is said already gets the time since when.
    if let Some(said) = card.sentences.iter_mut().find(|said| is_told_by(said, &reason.alert)) {
        said.since = said.since.into_iter().chain(since).min();
        said.status = said.status.max(status);
        said.alert = Some(reason.alert.clone());
        return;
    }
    card.sentences.push(Sentence {
        status,
        text: reason.summary.clone(),
        advice: advice_of(&reason.alert),
        since,
        alert: Some(reason.alert.clone()),
    });
}

/// Whether a sentence says what this alert says.
fn is_told_by(said: &Sentence, alert: &str) -> bool {
    let Some(first) = said.alert.as_deref() else { return false };
    let facts = CARDS
        .iter()
        .flat_map(|card| card.facts.iter().chain(card.parts.map_or(&[][..], |parts| parts.facts)));
    let judged = facts.filter_map(|fact| fact.judged);
    first == alert
        || first == "NeuralChannelBad" && alert == "NeuralSignalBadChannels"
        || judged
            .filter(|judged| judged.alerts.first() == Some(&first))
            .any(|judged| judged.alerts.contains(&alert))
}

/// The first step of an alert's runbook.
pub(super) fn advice_of(alert: &str) -> Option<String> {
    let alerts = || CHAPTERS.iter().flat_map(|chapter| chapter.alerts);
    let found = alerts().find(|one| one.name == alert)?;
    found.immediate.first().map(|step| (*step).to_owned())
}

fn verdict(cards: &[Card]) -> Verdict {
    let worst = |kinds: &dyn Fn(&str) -> bool| {
        let of = cards.iter().filter(|card| kinds(&card.kind)).map(|card| card.status);
        of.max().unwrap_or_default()
    };
    let (recording, all) = (worst(&|kind| RECORDING.contains(&kind)), worst(&|_| true));
    let watched = cards.iter().any(|card| !matches!(&*card.kind, "host" | "agent" | "gpu"));
    let words = match (recording, all) {
        (Status::Unhealthy, _) => "Recording is in danger",
        (Status::Degraded, Status::Unhealthy) => "The recording and something else need attention",
        (Status::Degraded, _) => "The recording needs attention",
        (_, Status::Unhealthy) => "Something needs attention at once",
        (_, Status::Degraded) => "Something needs attention",
        _ if !watched => "Nothing is connected yet",
        _ => "All is well",
    };
    let mut sentences: Vec<Sentence> = cards.iter().flat_map(|card| card.sentences.iter().cloned()).collect();
    sentences.sort_by_key(|sentence| std::cmp::Reverse(sentence.status));
    Verdict { status: all, words: words.to_owned(), summary: summary(cards, watched), sentences }
}

/// What there is: `2 devices stream, 24 of 24 channels are good`.
fn summary(cards: &[Card], watched: bool) -> String {
    if !watched {
        return "Connect a device, start a stream, or send events; `neural-exporter devices` and `neural-exporter streams` list what is there."
            .to_owned();
    }
    let of = |kind: &str| cards.iter().filter(|card| card.kind == kind).collect::<Vec<_>>();
    let mut said = Vec::new();
    let devices = of("device");
    if !devices.is_empty() {
        let streaming = devices.iter().filter(|card| card.state.as_deref() == Some("streams")).count();
        said.push(format!(
            "{streaming} of {} {}",
            count(devices.len(), "device"),
            if streaming == 1 { "streams" } else { "stream" }
        ));
        let channels = devices.iter().flat_map(|card| &card.parts);
        let (good, all) = channels
            .fold((0, 0), |(good, all), part| (good + usize::from(part.status == Status::Healthy), all + 1));
        if all > 0 {
            said.push(format!(
                "{good} of {} {} good",
                count(all, "channel"),
                if good == 1 { "is" } else { "are" }
            ));
        }
    }
    let programs = of("program");
    let states: Vec<String> = programs
        .iter()
        .filter_map(|card| Some(format!("{} is {}", card.name, card.state.as_deref()?)))
        .collect();
    said.extend(states);
    let pipelines = of("pipeline").len();
    if pipelines > 0 {
        said.push(count(pipelines, "pipeline"));
    }
    let mut text = said.join(", ");
    if let Some(first) = text.get(..1).map(str::to_uppercase) {
        text.replace_range(..1, &first);
    }
    if text.is_empty() { text } else { text + "." }
}

/// A name as people sort it: its numbers by their size.
pub(super) fn natural(name: &str) -> Vec<(String, Option<u64>)> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, after) = rest.split_at_checked(digits).unwrap_or((rest, ""));
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (number, left) = after.split_at_checked(end).unwrap_or((after, ""));
        // Numbers beyond all counting are alike.
        let number = (!number.is_empty()).then(|| number.parse().unwrap_or(u64::MAX));
        pieces.push((text.to_owned(), number));
        rest = left;
    }
    pieces
}

#[cfg(test)]
mod tests;
