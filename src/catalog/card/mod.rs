//! What people look at, on the page and in the terminal: a card for each component, a row of it for each fact.
//!
//! A fact is PromQL, as the condition of an alert is. What shows how things are now is asked of the series as they are; what looks
//! back is asked of the history. The labels of an answer say whose fact it is.

mod cards;
mod figures;
mod reasons;
mod states;

use super::Unit;
use super::limit::{Limit, Side};
pub use cards::CARDS;
pub use figures::{FLOW, Figure, GROUP, REQUESTS, SERVICE, SYSTEM, figures};
pub use reasons::{LOOKS, Look, look_of};
pub use states::{Advice, Mark, STATES, State, Word, advice_for};

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Of the series as they are this second.
    Now(&'static str),
    /// Of the history: what looks back over a time.
    Past(&'static str),
}

impl Ask {
    /// The expression.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Now(text) | Self::Past(text) => text,
        }
    }
}

/// A kind of card.
#[derive(Debug)]
pub struct Card {
    /// The name of its kind of component: `device`.
    pub component: &'static str,
    /// What a person calls one.
    pub title: &'static str,
    /// The heading of several.
    pub heading: &'static str,
    /// The labels that tell one from another, of all its answers; none if there is one alone.
    pub labels: &'static [&'static str],
    /// What has a value for each that there is.
    pub present: Ask,
    /// Its rows.
    pub facts: &'static [Fact],
    /// What it draws of the last minutes.
    pub lines: &'static [Line],
    /// What it says of each of its parts, if it has some.
    pub parts: Option<&'static Parts>,
}

/// A row of a card.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    /// Its name in JSON, without its unit: it stays when the label is worded otherwise, for programs read it.
    pub name: &'static str,
    /// What it is called there.
    pub label: &'static str,
    /// The number.
    pub ask: Ask,
    /// Its unit.
    pub unit: Unit,
    /// A second number.
    pub beside: Option<Beside>,
    /// What a whole number means, if it is one of a few.
    pub words: &'static [&'static str],
    /// What is written behind the number: a label of the answer to another question.
    pub suffix: Option<(Ask, &'static str)>,
    /// When it is wrong.
    pub judged: Option<Threshold>,
}

/// A second number of a row.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// What its name in JSON has behind that of the row.
    pub name: &'static str,
    /// The word before it: of, limit.
    pub word: &'static str,
    /// The number.
    pub ask: Ask,
}

/// When a fact is wrong, and what is said then.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    /// What is compared with the limits where it is not the number of the row, and its unit.
    pub by: Option<(Ask, Unit)>,
    /// Beyond this something needs attention.
    pub limit: Bound,
    /// Beyond this the data is in danger.
    pub critical: Option<Bound>,
    /// What is said of the one that it is about; `{}` is the number that was compared.
    pub says: &'static str,
    /// The alerts that tell of the same; the first has the advice.
    pub alerts: &'static [&'static str],
}

/// A bound that a number must not pass.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// One that the configuration can move.
    Limit(&'static Limit),
    /// What a limit of a share leaves of the whole: what is smaller is wrong.
    Rest(&'static Limit),
    /// One that nothing moves: what is larger is wrong.
    Over(f64),
    /// What is smaller is wrong.
    Under(f64),
}

impl Bound {
    /// Whether a number is beyond it. `of` has the number of a limit.
    pub fn is_passed(self, value: f64, of: impl Fn(&Limit) -> f64) -> bool {
        match self {
            Self::Limit(limit) if limit.wrong == Side::Above => value > of(limit),
            Self::Limit(limit) => value < of(limit),
            Self::Rest(limit) => value < 1.0 - of(limit),
            Self::Over(bound) => value > bound,
            Self::Under(bound) => value < bound,
        }
    }
}

/// A line over the last minutes.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// What it shows.
    pub label: &'static str,
    /// The number, over time.
    pub ask: Ask,
    /// Its unit.
    pub unit: Unit,
    /// Where it should stay.
    pub bound: Option<Bound>,
}

/// The parts of a component that are looked at one by one: channels, stages.
#[derive(Debug)]
pub struct Parts {
    /// What one is called.
    pub title: &'static str,
    /// What all are called.
    pub heading: &'static str,
    /// The name of their list in JSON.
    pub list: &'static str,
    /// The label that tells them apart.
    pub label: &'static str,
    /// What has a value for each.
    pub present: Ask,
    /// A label of an answer of its own that names one for people.
    pub name: Option<(Ask, &'static str)>,
    /// What has the value 1 for each reason for which one is bad, and the label of the reason.
    pub bad: Option<(Ask, &'static str)>,
    /// What is known of each.
    pub facts: &'static [Fact],
    /// The facts, by their labels, that a card has of each in a table. Where there are none it has a cell for each.
    pub columns: &'static [&'static str],
    /// What the page of the component draws of each.
    pub lines: &'static [Line],
}

impl Fact {
    /// The name of its number in JSON.
    #[must_use]
    pub fn key(&self) -> String {
        with_unit(self.name, self.unit)
    }

    /// The name of its second number in JSON, if it has one.
    #[must_use]
    pub fn beside_key(&self) -> Option<String> {
        self.beside.map(|beside| with_unit(&format!("{}_{}", self.name, beside.name), self.unit))
    }

    /// A number that nothing is wrong with, whatever it is.
    const fn plain(name: &'static str, label: &'static str, unit: Unit, ask: Ask) -> Self {
        Self { name, label, ask, unit, beside: None, words: &[], suffix: None, judged: None }
    }

    const fn beside(self, name: &'static str, word: &'static str, ask: Ask) -> Self {
        Self { beside: Some(Beside { name, word, ask }), ..self }
    }

    const fn words(self, words: &'static [&'static str]) -> Self {
        Self { words, ..self }
    }

    const fn suffix(self, ask: Ask, label: &'static str) -> Self {
        Self { suffix: Some((ask, label)), ..self }
    }

    const fn judged(self, judged: Threshold) -> Self {
        Self { judged: Some(judged), ..self }
    }
}

impl Threshold {
    pub(in crate::catalog) const fn limit(
        limit: Bound,
        says: &'static str,
        alerts: &'static [&'static str],
    ) -> Self {
        Self { by: None, limit, critical: None, says, alerts }
    }

    pub(in crate::catalog) const fn critical(self, bound: Bound) -> Self {
        Self { critical: Some(bound), ..self }
    }

    const fn by(self, unit: Unit, ask: Ask) -> Self {
        Self { by: Some((ask, unit)), ..self }
    }
}

/// A name and its unit: `latency_seconds`.
fn with_unit(name: &str, unit: Unit) -> String {
    if unit == Unit::None { name.to_owned() } else { format!("{name}_{}", unit.suffix()) }
}

/// Every question of the cards of the series as they are now, and of the past.
pub fn questions() -> impl Iterator<Item = Ask> {
    let facts = |facts: &'static [Fact]| {
        facts.iter().flat_map(|fact| {
            let judged = fact.judged.and_then(|judged| judged.by).map(|(ask, _)| ask);
            let suffix = fact.suffix.map(|(ask, _)| ask);
            [Some(fact.ask), fact.beside.map(|beside| beside.ask), suffix, judged].into_iter().flatten()
        })
    };
    let parts = move |parts: &'static Parts| {
        let (name, bad) = (parts.name.map(|(ask, _)| ask), parts.bad.map(|(ask, _)| ask));
        [Some(parts.present), name, bad].into_iter().flatten().chain(facts(parts.facts))
    };
    let cards = CARDS.iter().flat_map(move |card| {
        [card.present].into_iter().chain(facts(card.facts)).chain(card.parts.into_iter().flat_map(parts))
    });
    cards.chain(STATES.iter().map(|state| state.ask)).chain(figures().map(|figure| figure.ask))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Ask::Past;
    use super::*;
    use crate::catalog::alert::CHAPTERS;
    use crate::catalog::health::COMPONENTS;
    use crate::event::PortState;

    #[test]
    fn what_cards_name_exists() {
        let alerts: BTreeSet<&str> =
            CHAPTERS.iter().flat_map(|chapter| chapter.alerts).map(|alert| alert.name).collect();
        for card in CARDS {
            assert!(COMPONENTS.iter().any(|one| one.name == card.component), "{}", card.component);
            let parts = card.parts.map_or(&[][..], |parts| parts.facts);
            for judged in card.facts.iter().chain(parts).filter_map(|fact| fact.judged) {
                for name in judged.alerts {
                    assert!(alerts.contains(name), "{name} of the card {} is no alert", card.component);
                }
                assert!(!judged.alerts.is_empty());
            }
        }
        assert!(STATES.iter().all(|state| CARDS.iter().any(|card| card.component == state.component)));
    }

    #[test]
    fn every_port_that_is_not_well_has_its_advice() {
        for state in PortState::ALL {
            let advice = advice_for(&state.as_str().replace('_', " "));
            assert_eq!(advice.is_some(), *state != PortState::Open, "{state:?}");
        }
    }

    #[test]
    fn what_looks_back_is_asked_of_the_past() {
        for ask in questions() {
            let back = ask.text().contains('[');
            assert_eq!(matches!(ask, Past(_)), back, "{}", ask.text());
        }
    }
}
