//! The terminal, drawn from a snapshot: the same cards as on the page, as lines.
//!
//! Pure: a snapshot and what was chosen go in, lines come out. Who draws them has the terminal.

use ratatui_core::style::{Color, Modifier, Style};
use ratatui_core::text::{Line, Span};

use super::words::span;
use super::{Card, Incident, Part, Plot, Sentence, Snapshot, Status};
use crate::catalog::card::look_of;
use crate::promql::moment;

/// What is wrong that is shown above the list.
const SENTENCES: usize = 3;
/// Columns of a name.
const NAME: usize = 18;
/// Columns of a state.
const STATE: usize = 20;
/// Blocks of eight heights.
pub const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What the rows of the list are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// What needs a look comes first.
    #[default]
    Status,
    /// As on the page: devices, programs, pipelines and so on.
    Kind,
    /// By name.
    Name,
}

impl Order {
    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Status => Self::Kind,
            Self::Kind => Self::Name,
            Self::Name => Self::Status,
        }
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Kind => "kind",
            Self::Name => "name",
        }
    }
}

/// A row of the list.
#[derive(Clone, Copy, Debug)]
pub enum Row<'s> {
    /// A component.
    Card(&'s Card),
    /// An incident that is open.
    Incident(&'s Incident),
}

impl Row<'_> {
    /// What stays the same of it from one look to the next.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Card(card) => format!("{} {}", card.kind, card.name),
            Self::Incident(incident) => format!("incident {}", incident.id),
        }
    }
}

/// The rows of the list, those alone that contain the filter's text.
#[must_use]
pub fn rows<'s>(snapshot: &'s Snapshot, filter: &str, order: Order) -> Vec<Row<'s>> {
    let wanted = filter.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let cards = snapshot
        .cards
        .iter()
        .filter(|card| has(&card.name) || has(&card.kind) || card.state.as_deref().is_some_and(has));
    let mut cards: Vec<&Card> = cards.collect();
    match order {
        Order::Status => cards.sort_by_key(|card| std::cmp::Reverse(card.status)),
        Order::Kind => {}
        Order::Name => cards.sort_by(|a, b| a.name.cmp(&b.name)),
    }
    let incidents = snapshot.incidents.iter().filter(|incident| has(&incident.summary) || has("incident"));
    cards.into_iter().map(Row::Card).chain(incidents.map(Row::Incident)).collect()
}

/// The lines above the list: the verdict, and what is wrong.
#[must_use]
pub fn head(snapshot: &Snapshot, width: usize) -> Vec<Line<'static>> {
    let verdict = &snapshot.verdict;
    let words = format!(" {} {}", sign(verdict.status), clean(&verdict.words));
    let time = format!("{} ", moment(snapshot.at));
    let room = width.saturating_sub(words.chars().count() + time.chars().count());
    let mut lines = vec![bar(verdict.status, format!("{words}{}{time}", " ".repeat(room)))];
    lines.push(Line::raw(format!(" {}", clean(&verdict.summary))));
    for said in verdict.sentences.iter().take(SENTENCES) {
        lines.extend(sentence(said, snapshot.at));
    }
    let more = verdict.sentences.len().saturating_sub(SENTENCES);
    if more > 0 {
        lines.push(Line::styled(format!("   and {more} more"), quiet()));
    }
    lines
}

/// A line that is the heading of a screen.
#[must_use]
pub fn bar(status: Status, text: String) -> Line<'static> {
    Line::styled(text, style(status).add_modifier(Modifier::REVERSED | Modifier::BOLD))
}

/// The beginning of a row: what it is, its name, and how it is in a word.
#[must_use]
pub fn component(status: Status, kind: &str, name: &str, word: &str) -> Vec<Span<'static>> {
    vec![
        Span::styled(format!(" {} ", sign(status)), style(status)),
        Span::raw(format!("{} {} ", fit(kind, 9), fit(name, NAME))),
        Span::styled(format!("{} ", fit(word, STATE)), style(status)),
    ]
}

fn sentence(said: &Sentence, at: i64) -> Vec<Line<'static>> {
    let since = said
        .since
        .map_or_else(String::new, |since| format!(" for {}", span((at - since).max(0) as f64 / 1000.0)));
    let mut lines = vec![Line::from(vec![
        Span::styled(format!(" {} {}", sign(said.status), clean(&said.text)), style(said.status)),
        Span::styled(since, quiet()),
    ])];
    lines.extend(said.advice.as_ref().map(|advice| Line::styled(format!("   {}", clean(advice)), quiet())));
    lines
}

/// A row of the list, in one line.
#[must_use]
pub fn row(row: Row<'_>, chosen: bool, at: i64) -> Line<'static> {
    let mut line = match row {
        Row::Card(card) => card_row(card),
        Row::Incident(incident) => {
            let status = if incident.acknowledged { Status::Degraded } else { Status::Unhealthy };
            let since = span((at - incident.since).max(0) as f64 / 1000.0);
            let mut spans = component(status, "incident", id(incident), &incident.state);
            let what = format!("{} for {since}: {}", clean(&incident.priority), clean(&incident.summary));
            spans.push(Span::raw(what));
            Line::from(spans)
        }
    };
    if chosen {
        line.style = line.style.add_modifier(Modifier::REVERSED);
    }
    line
}

/// What people call an incident.
fn id(incident: &Incident) -> &str {
    incident.id.get(..8).unwrap_or(&incident.id)
}

fn card_row(card: &Card) -> Line<'static> {
    let state = card.state.as_deref().unwrap_or(card.status.as_str());
    let mut spans = component(card.status, &card.kind, &card.name, state);
    // What is wrong is read first.
    let mut facts: Vec<_> = card.facts.iter().collect();
    facts.sort_by_key(|fact| std::cmp::Reverse(fact.status));
    for (place, fact) in facts.into_iter().enumerate() {
        let comma = if place > 0 { ", " } else { "" };
        spans.push(Span::styled(format!("{comma}{} ", fact.label.to_lowercase()), quiet()));
        spans.push(Span::styled(clean(&fact.text), fact_style(fact.status)));
    }
    Line::from(spans)
}

/// The channels of a card in one line, if it has some: those that are bad are marked.
#[must_use]
pub fn cells(card: &Card) -> Option<Line<'static>> {
    if card.parts.is_empty() {
        return None;
    }
    let mut spans = vec![Span::raw(" ".repeat(13))];
    for part in &card.parts {
        let mark = mark(part).map_or_else(String::new, String::from);
        spans.push(Span::styled(format!("{}{mark}", clean(&part.name)), style(part.status)));
        spans.push(Span::raw("  "));
    }
    Some(Line::from(spans))
}

/// The sign of a part that is bad: that of the worst reason.
#[must_use]
pub fn mark(part: &Part) -> Option<char> {
    part.reasons.first().map(|reason| look_of(reason).map_or('✖', |(_, look)| look.sign))
}

/// Everything that is known of a card.
#[must_use]
pub fn whole(card: &Card, at: i64, width: usize) -> Vec<Line<'static>> {
    let name = if card.name.is_empty() { &card.kind } else { &card.name };
    let state = card.state.as_deref().unwrap_or(card.status.as_str());
    let mut lines = vec![Line::from(vec![
        Span::styled(
            format!(" {} {} ", sign(card.status), clean(name)),
            style(card.status).add_modifier(Modifier::BOLD),
        ),
        Span::styled(clean(state), style(card.status)),
    ])];
    card.sentences.iter().for_each(|said| lines.extend(sentence(said, at)));
    lines.push(Line::raw(""));
    for fact in &card.facts {
        lines.push(Line::from(vec![
            Span::styled(format!("   {} ", fit(&fact.label, 26)), quiet()),
            Span::styled(clean(&fact.text), fact_style(fact.status)),
        ]));
    }
    lines.push(Line::raw(""));
    for plot in &card.plots {
        lines.push(spark(plot, width));
    }
    if !card.parts.is_empty() {
        lines.push(Line::raw(""));
        lines.extend(table(&card.parts_heading, &card.parts, width));
    }
    lines
}

/// Points as blocks, in so many columns at most; a gap is a gap.
#[must_use]
pub fn blocks(points: &[Option<f64>], room: usize) -> String {
    let values = || points.iter().flatten().copied();
    let (least, greatest) =
        values().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    // What hardly varies is a flat line in the middle.
    let size = (greatest - least).max(greatest.abs() * 0.02).max(1e-9);
    let base = f64::midpoint(greatest, least) - size / 2.0;
    let each = points.len().div_ceil(room.max(1)).max(1);
    // Of points that share a column the greatest is drawn: a peak is not lost.
    let columns = points.chunks(each).map(|points| {
        points.iter().flatten().copied().reduce(f64::max).map_or(' ', |value| {
            let height = ((value - base) / size * 7.0).round().clamp(0.0, 7.0) as usize;
            BLOCKS.get(height).copied().unwrap_or(' ')
        })
    });
    columns.collect()
}

/// A plot in one line.
fn spark(plot: &Plot, width: usize) -> Line<'static> {
    let limit =
        plot.bound_text.as_deref().map_or_else(String::new, |bound| format!(" (limit {})", clean(bound)));
    let (least, greatest) = (clean(&plot.range.0), clean(&plot.range.1));
    let words =
        if least == greatest { format!(" {least}{limit}") } else { format!(" {least} to {greatest}{limit}") };
    let room = width.saturating_sub(words.chars().count() + 31).clamp(10, plot.points.len().max(10));
    Line::from(vec![
        Span::styled(format!("   {} ", fit(&plot.label, 26)), quiet()),
        Span::styled(blocks(&plot.points, room), Style::new().fg(Color::Cyan)),
        Span::styled(words, quiet()),
    ])
}

/// The parts, a line each; where the columns have no room beside each other, block by block.
fn table(heading: &str, parts: &[Part], width: usize) -> Vec<Line<'static>> {
    let mut labels: Vec<&str> = Vec::new();
    for fact in parts.iter().flat_map(|part| &part.facts) {
        if !labels.contains(&&*fact.label) {
            labels.push(&fact.label);
        }
    }
    let mut lines = Vec::new();
    let mut rest = &labels[..];
    loop {
        let mut used = 3 + 13 + 13;
        let fitting = rest.iter().take_while(|label| {
            used += wide(label) + 1;
            used <= width
        });
        let (block, after) = rest.split_at(fitting.count().max(1).min(rest.len()));
        lines.extend(columns(heading, parts, block));
        if after.is_empty() {
            return lines;
        }
        lines.push(Line::raw(""));
        rest = after;
    }
}

/// Columns of a number.
fn wide(label: &str) -> usize {
    label.chars().count().max(8)
}

fn columns(heading: &str, parts: &[Part], labels: &[&str]) -> Vec<Line<'static>> {
    let mut head = format!("   {} {} ", fit(heading, 12), fit("state", 12));
    head.extend(labels.iter().map(|label| format!("{:>1$} ", label, wide(label))));
    let mut lines = vec![Line::styled(head, quiet())];
    for part in parts {
        let state = if part.reasons.is_empty() { "good".to_owned() } else { part.reasons.join(", ") };
        let mut spans = vec![
            Span::raw(format!("   {} ", fit(&part.name, 12))),
            Span::styled(format!("{} ", fit(&state, 12)), style(part.status)),
        ];
        for label in labels {
            let fact = part.facts.iter().find(|fact| fact.label == **label);
            let text = fact.map_or("–", |fact| &fact.text);
            let text = format!("{:>1$} ", clean(text), wide(label));
            spans.push(Span::styled(text, fact.map_or_else(Style::new, |fact| fact_style(fact.status))));
        }
        lines.push(Line::from(spans));
    }
    lines
}

/// Everything, for a script or a small look: no keys, no end.
#[must_use]
pub fn once(snapshot: &Snapshot, width: usize) -> Vec<Line<'static>> {
    let mut lines = head(snapshot, width);
    lines.push(Line::raw(""));
    for one in rows(snapshot, "", Order::Status) {
        lines.push(row(one, false, snapshot.at));
        if let Row::Card(card) = one {
            lines.extend(cells(card));
        }
    }
    for note in &snapshot.notes {
        lines.push(Line::styled(format!(" note: {}", clean(note)), quiet()));
    }
    lines
}

/// Text from outside without what moves a cursor or changes a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

/// Text in exactly so many columns, cut with an ellipsis.
fn fit(text: &str, columns: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= columns {
        return format!("{text:columns$}");
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

/// The style of what is read last.
#[must_use]
pub fn quiet() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// The style of a status, which has the colour.
#[must_use]
pub fn style(status: Status) -> Style {
    Style::new().fg(match status {
        Status::Healthy => Color::Green,
        Status::Unknown => Color::Gray,
        Status::Degraded => Color::Yellow,
        Status::Unhealthy => Color::Red,
    })
}

/// That of a number: what is well has no colour, so that what is not stands out.
fn fact_style(status: Status) -> Style {
    if status == Status::Healthy { Style::new() } else { style(status).add_modifier(Modifier::BOLD) }
}

/// A sign beside each colour.
#[must_use]
pub fn sign(status: Status) -> &'static str {
    match status {
        Status::Healthy => "✔",
        Status::Unknown => "?",
        Status::Degraded => "▲",
        Status::Unhealthy => "✖",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Fact, Verdict};

    fn text(lines: &[Line<'_>]) -> String {
        let line = |line: &Line<'_>| line.spans.iter().map(|span| &*span.content).collect::<String>();
        lines.iter().map(|one| line(one) + "\n").collect()
    }

    fn snapshot() -> Snapshot {
        let fact = |label: &str, text: &str, status| Fact {
            label: label.into(),
            text: text.into(),
            status,
            ..Fact::default()
        };
        let part = |name: &str, reasons: &[&str]| Part {
            id: name.into(),
            name: name.into(),
            status: if reasons.is_empty() { Status::Healthy } else { Status::Degraded },
            reasons: reasons.iter().map(|one| (*one).to_owned()).collect(),
            facts: vec![fact("Quality", "97 %", Status::Healthy)],
            plots: Vec::new(),
        };
        let card = Card {
            kind: "device".into(),
            name: "cy\u{1b}[31mton".into(),
            status: Status::Degraded,
            state: Some("streams".into()),
            facts: vec![
                fact("Rate", "250 Hz of 250 Hz", Status::Healthy),
                fact("Lost", "5 %", Status::Degraded),
            ],
            parts_heading: "Channels".into(),
            parts: vec![part("Fp1", &[]), part("C3", &["flat"])],
            plots: vec![Plot {
                label: "Rate".into(),
                points: vec![Some(0.0), None, Some(7.0)],
                range: ("0 Hz".into(), "7 Hz".into()),
                ..Plot::default()
            }],
            ..Card::default()
        };
        let host = Card { kind: "host".into(), ..Card::default() };
        let said = Sentence {
            status: Status::Degraded,
            text: "it lost 5 %".into(),
            since: Some(0),
            ..Sentence::default()
        };
        Snapshot {
            at: 120_000,
            verdict: Verdict {
                status: Status::Degraded,
                words: "Attention".into(),
                sentences: vec![said],
                ..Verdict::default()
            },
            cards: vec![host, card],
            incidents: vec![Incident {
                id: "0123456789abcdef".into(),
                state: "open".into(),
                summary: "lost".into(),
                ..Incident::default()
            }],
            ..Snapshot::default()
        }
    }

    #[test]
    fn one_screen_has_the_verdict_the_cards_and_the_incidents() {
        let shown = text(&once(&snapshot(), 80));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0].chars().count(), 80);
        assert!(lines[0].starts_with(" ▲ Attention") && lines[0].ends_with("1970-01-01T00:02:00Z "));
        assert_eq!(lines[2], " ▲ it lost 5 % for 2 min");
        // What needs a look is first, and what is wrong with it.
        assert!(lines[4].starts_with(" ▲ device    cy·[31mton"), "{shown}");
        assert!(lines[4].contains("streams") && lines[4].contains("lost 5 %, rate 250 Hz"), "{shown}");
        assert!(lines[5].contains("Fp1  C3▁"));
        assert!(shown.contains("01234567") && !shown.contains('\u{1b}'));
    }

    #[test]
    fn rows_are_filtered_and_sorted() {
        let snapshot = snapshot();
        let keys =
            |filter: &str, order| rows(&snapshot, filter, order).iter().map(Row::key).collect::<Vec<_>>();
        assert_eq!(keys("HOST", Order::Status), ["host "]);
        assert_eq!(keys("", Order::Kind)[0], "host ");
        assert!(keys("", Order::Status)[0].starts_with("device"));
        assert_eq!(keys("incident", Order::Name), ["incident 0123456789abcdef"]);
        assert_eq!(keys("nothing", Order::Name), [""; 0]);
    }

    #[test]
    fn a_card_is_shown_whole() {
        let snapshot = snapshot();
        let shown = text(&whole(&snapshot.cards[1], snapshot.at, 80));
        assert!(shown.contains("▁ █ 0 Hz to 7 Hz"), "{shown}");
        assert!(shown.contains("C3           flat") && shown.contains("97 %"), "{shown}");
        // A peak is not lost where there is little room.
        let mut plot = Plot { points: vec![Some(0.0); 100], ..Plot::default() };
        plot.points[50] = Some(9.0);
        assert!(text(&[spark(&plot, 60)]).contains('█'));
    }
}
