//! Cards.

use std::fmt::Write;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{TABLE_END, class_of, escape, head, plot, sentences};
use crate::catalog::card::{CARDS as KINDS, LOOKS, look_of};
use crate::view::screen::{mark, sign};
use crate::view::{Card, Fact, Part, Status};

/// Parts that a card shows; its page shows all.
const PARTS: usize = 256;
/// Parts that are called by their names; more are too small for them.
const NAMED: usize = 64;
/// Parts of a table in a card; its page has all.
const ROWS: usize = 12;
/// Cards of one kind.
const CARDS: usize = 64;

/// The cards of one kind under a heading; nothing where there are none.
pub(super) fn section<'c>(heading: &str, cards: impl Iterator<Item = &'c Card>) -> String {
    let mut cards: Vec<&Card> = cards.collect();
    if cards.is_empty() {
        return String::new();
    }
    // What needs a look is seen first; what is alike stays in its order.
    cards.sort_by_key(|card| std::cmp::Reverse(card.status));
    let mut out = format!("<h2>{}</h2><div class=cards>", escape(heading));
    for card in cards.iter().take(CARDS) {
        write(&mut out, card);
    }
    out.push_str("</div>");
    let more = cards.len().saturating_sub(CARDS);
    if more > 0 {
        let _ = write!(out, "<p>and {more} more that are not worse</p>");
    }
    out
}

/// Where the page of a card is.
fn address(card: &Card) -> String {
    let name = utf8_percent_encode(&card.name, NON_ALPHANUMERIC);
    let kind = utf8_percent_encode(&card.kind, NON_ALPHANUMERIC);
    format!("card?kind={kind}&amp;name={name}")
}

fn title(out: &mut String, card: &Card, level: u8) {
    let name = escape(if card.name.is_empty() { &card.kind } else { &card.name });
    let state =
        card.state.as_deref().unwrap_or(if card.sentences.is_empty() { "" } else { "needs attention" });
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<h{level}><a href=\"{}\">{name}</a></h{level}><p class=\"state {}\"><span aria-hidden=true>{}</span> {}</p>",
        address(card),
        class_of(card.status),
        sign(card.status),
        escape(if state.is_empty() { card.status.as_str() } else { state })
    );
}

fn facts(out: &mut String, facts: &[Fact]) {
    if facts.is_empty() {
        return;
    }
    out.push_str("<dl>");
    for fact in facts {
        let _ = write!(
            out,
            "<div class={}><dt>{}</dt><dd>{}</dd></div>",
            class_of(fact.status),
            escape(&fact.label),
            escape(&fact.text)
        );
    }
    out.push_str("</dl>");
}

fn write(out: &mut String, card: &Card) {
    let _ = write!(out, "<article class=\"card {}\">", class_of(card.status));
    title(out, card, 3);
    facts(out, &card.facts);
    if !card.parts.is_empty() {
        let parts = KINDS.iter().find(|kind| kind.component == card.kind).and_then(|kind| kind.parts);
        match parts.map_or(&[][..], |parts| parts.columns) {
            [] => {
                head::write(out, &card.parts, look);
                cells(out, card);
            }
            columns => rows(out, card, columns),
        }
    }
    card.plots.iter().for_each(|one| plot::write(out, one, false));
    out.push_str("</article>");
}

/// The class and the sign of a part: those of the worst reason for which it is bad.
fn look(part: &Part) -> (&'static str, Option<char>) {
    let known = part.reasons.first().and_then(|reason| look_of(reason));
    (known.map_or_else(|| class_of(part.status), |(_, look)| look.hue.class()), mark(part))
}

/// What the signs in a list of parts mean.
fn legend(out: &mut String, parts: &[Part]) {
    let worst =
        |reason: &str| parts.iter().any(|part| part.reasons.first().is_some_and(|first| first == reason));
    let seen: Vec<String> = LOOKS
        .iter()
        .filter(|look| worst(look.reason.as_str()))
        .map(|look| format!("<span class={}>{}</span> {}", look.hue.class(), look.sign, look.reason.as_str()))
        .collect();
    if !seen.is_empty() {
        // The list has the same in words.
        let _ = write!(out, "<p class=legend aria-hidden=true>{}</p>", seen.join(" "));
    }
}

/// A row for each part, with some of what is known of it. Where there are many, those that need a look.
fn rows(out: &mut String, card: &Card, columns: &[&str]) {
    let mut parts: Vec<&Part> = card.parts.iter().collect();
    if parts.len() > ROWS {
        parts.sort_by_key(|part| std::cmp::Reverse(part.status));
    }
    let limit_of = |label: &str| {
        let mut facts = card.parts.iter().flat_map(|part| &part.facts);
        facts.find(|fact| fact.label == label).and_then(|fact| fact.limit_text.as_deref())
    };
    let heads: Vec<String> = columns
        .iter()
        .map(|label| {
            limit_of(label).map_or_else(|| format!("#{label}"), |limit| format!("#{label} (limit {limit})"))
        })
        .collect();
    let heads: Vec<&str> = std::iter::once("Name").chain(heads.iter().map(String::as_str)).collect();
    out.push_str(&super::table(&card.parts_heading, &heads));
    for part in parts.iter().take(ROWS) {
        let mark = match part.status {
            Status::Healthy => String::new(),
            status => format!("<span aria-hidden=true> {}</span>", sign(status)),
        };
        let (class, name) = (class_of(part.status), escape(&part.name));
        let _ = write!(out, "<tr><th scope=row class={class}>{name}{mark}");
        columns.iter().for_each(|label| number(out, part, label));
        out.push_str("</tr>");
    }
    out.push_str(TABLE_END);
    let more = parts.len().saturating_sub(ROWS);
    if more > 0 {
        let _ = write!(out, "<p>and {more} more on <a href=\"{}\">its page</a></p>", address(card));
    }
}

/// A number of a part, in a table.
fn number(out: &mut String, part: &Part, label: &str) {
    let fact = part.facts.iter().find(|fact| fact.label == label);
    let class = fact.map_or("", |fact| class_of(fact.status));
    let _ = write!(out, "<td class=\"n {class}\">{}", escape(fact.map_or("–", |fact| &fact.text)));
}

/// A cell for each part.
fn cells(out: &mut String, card: &Card) {
    let small = if card.parts.len() > NAMED { " small" } else { "" };
    let _ = write!(out, "<ul class=\"cells{small}\" aria-label=\"{}\">", escape(&card.parts_heading));
    for part in card.parts.iter().take(PARTS) {
        let what = if part.reasons.is_empty() { "good".to_owned() } else { part.reasons.join(", ") };
        let (name, what, (class, sign)) = (escape(&part.name), escape(&what), look(part));
        let sign = sign.map_or_else(String::new, |sign| format!("<span aria-hidden=true> {sign}</span>"));
        let _ = write!(
            out,
            "<li class={class} title=\"{name}: {what}\">{name}<span class=hidden>: {what}</span>{sign}</li>"
        );
    }
    out.push_str("</ul>");
    legend(out, &card.parts);
    let more = card.parts.len().saturating_sub(PARTS);
    if more > 0 {
        let _ = write!(out, "<p>and {more} more on <a href=\"{}\">its page</a></p>", address(card));
    }
}

/// Everything that is known of a card.
pub(super) fn whole(out: &mut String, card: &Card, at: i64) {
    title(out, card, 1);
    if !card.sentences.is_empty() {
        sentences(out, &card.sentences, at);
    }
    facts(out, &card.facts);
    card.plots.iter().for_each(|one| plot::write(out, one, true));
    if card.parts.is_empty() {
        return;
    }
    let _ = write!(out, "<h2>{}</h2>", escape(&card.parts_heading));
    head::write(out, &card.parts, look);
    table(out, &card.parts_heading, &card.parts);
}

/// Every part with everything that is known of it.
fn table(out: &mut String, heading: &str, parts: &[Part]) {
    let mut labels: Vec<&str> = Vec::new();
    for fact in parts.iter().flat_map(|part| &part.facts) {
        if !labels.contains(&&*fact.label) {
            labels.push(&fact.label);
        }
    }
    let mut drawn: Vec<&str> = Vec::new();
    for plot in parts.iter().flat_map(|part| &part.plots) {
        if !drawn.contains(&&*plot.label) {
            drawn.push(&plot.label);
        }
    }
    let numbers = labels.iter().map(|label| format!("#{label}"));
    let lines = drawn.iter().map(|label| format!("{label}, 15 min"));
    let columns: Vec<String> =
        ["Name", "State"].map(str::to_owned).into_iter().chain(numbers).chain(lines).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    out.push_str(&super::table(heading, &columns));
    for part in parts {
        let state = if part.reasons.is_empty() { "good".to_owned() } else { part.reasons.join(", ") };
        let _ = write!(
            out,
            "<tr><th scope=row>{}<td class={}>{} {}",
            escape(&part.name),
            class_of(part.status),
            sign(part.status),
            escape(&state)
        );
        labels.iter().for_each(|label| number(out, part, label));
        for label in &drawn {
            out.push_str("<td>");
            if let Some(one) = part.plots.iter().find(|plot| plot.label == *label) {
                plot::write_cell(out, one);
            }
        }
        out.push_str("</tr>");
    }
    out.push_str(TABLE_END);
}
