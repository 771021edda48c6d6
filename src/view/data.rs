//! Components as data: every number of a card under a name with its unit, for programs.
//!
//! Values and their schema are written from one table, that of the cards. What is not known is null, never 0.

use serde_json::{Map, Value as Json, json};

use super::{Card, Fact, Numbers, Part, Sentence, Snapshot};
use crate::catalog::card::{self, CARDS, FLOW, Figure, Parts, REQUESTS, SERVICE, SYSTEM};
use crate::promql::moment_ms;

fn kind_of(component: &str) -> Option<&'static card::Card> {
    CARDS.iter().find(|kind| kind.component == component)
}

/// The numbers of facts: each that there may be.
fn numbers(of: &[card::Fact], known: &[Fact], out: &mut Map<String, Json>) {
    for fact in of {
        let found = known.iter().find(|one| one.key == fact.key());
        out.insert(fact.key(), found.and_then(|one| one.value).into());
        if let Some(beside) = fact.beside_key() {
            out.insert(beside, found.and_then(|one| one.beside).into());
        }
    }
}

fn sentence(said: &Sentence) -> Json {
    json!({
        "status": said.status, "text": said.text, "advice": said.advice, "since": said.since.map(moment_ms),
        "alert": said.alert
    })
}

fn part(of: &Part, about: &Parts) -> Json {
    let mut out = Map::new();
    out.insert("id".to_owned(), of.id.as_str().into());
    out.insert("name".to_owned(), of.name.as_str().into());
    out.insert("status".to_owned(), of.status.as_str().into());
    out.insert("reasons".to_owned(), of.reasons.as_slice().into());
    numbers(about.facts, &of.facts, &mut out);
    Json::Object(out)
}

/// A card as data.
#[must_use]
pub fn component(card: &Card) -> Json {
    let mut out = Map::new();
    out.insert("name".to_owned(), card.name.as_str().into());
    out.insert("status".to_owned(), card.status.as_str().into());
    out.insert("state".to_owned(), card.state.clone().into());
    out.insert("sentences".to_owned(), card.sentences.iter().map(sentence).collect());
    if let Some(kind) = kind_of(&card.kind) {
        numbers(kind.facts, &card.facts, &mut out);
        if let Some(about) = kind.parts {
            out.insert(about.list.to_owned(), card.parts.iter().map(|one| part(one, about)).collect());
        }
    }
    Json::Object(out)
}

/// How everything is at this moment, in a few numbers.
#[must_use]
pub fn realtime(snapshot: &Snapshot) -> Json {
    let mut out = Map::new();
    out.insert("time".to_owned(), moment_ms(snapshot.at).into());
    out.insert("status".to_owned(), snapshot.verdict.status.as_str().into());
    out.insert("words".to_owned(), snapshot.verdict.words.as_str().into());
    let count = |kind: &str| snapshot.cards.iter().filter(|card| card.kind == kind).count();
    let streaming = snapshot
        .cards
        .iter()
        .filter(|card| card.kind == "device" && card.state.as_deref() == Some("streams"));
    out.insert("devices".to_owned(), count("device").into());
    out.insert("devices_streaming".to_owned(), streaming.count().into());
    out.insert("pipelines".to_owned(), count("pipeline").into());
    out.insert(
        "alerts_firing".to_owned(),
        snapshot.alerts.iter().filter(|alert| alert.firing).count().into(),
    );
    out.insert("incidents_open".to_owned(), snapshot.incidents.len().into());
    for (name, value) in &snapshot.figures.flow {
        out.insert(name.clone(), (*value).into());
    }
    Json::Object(out)
}

fn number(about: &str) -> Json {
    json!({"type": ["number", "null"], "description": about})
}

fn object(properties: &Map<String, Json>) -> Json {
    let required: Vec<String> = properties.keys().cloned().collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn fact_schemas(of: &[card::Fact], out: &mut Map<String, Json>) {
    for fact in of {
        out.insert(fact.key(), number(fact.label));
        if let (Some(key), Some(beside)) = (fact.beside_key(), fact.beside) {
            out.insert(key, number(&format!("{}: {}", fact.label, beside.word)));
        }
    }
}

fn status_schema() -> Json {
    json!({"enum": ["healthy", "unknown", "degraded", "unhealthy"]})
}

/// The schema of what [`component`] makes of a card.
#[must_use]
pub fn component_schema(component: &str) -> Json {
    let mut out = Map::new();
    let text = json!({"type": "string"});
    let maybe = json!({"type": ["string", "null"]});
    out.insert("name".to_owned(), text.clone());
    out.insert("status".to_owned(), status_schema());
    out.insert(
        "state".to_owned(),
        json!({"type": ["string", "null"], "description": "How it is, in a word."}),
    );
    let said = [
        ("status", status_schema()),
        ("text", text.clone()),
        ("advice", maybe.clone()),
        ("since", maybe.clone()),
        ("alert", maybe),
    ];
    let said = object(&said.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect());
    out.insert(
        "sentences".to_owned(),
        json!({"type": "array", "items": said, "description": "What is wrong."}),
    );
    if let Some(kind) = kind_of(component) {
        fact_schemas(kind.facts, &mut out);
        if let Some(about) = kind.parts {
            let mut one = Map::new();
            one.insert("id".to_owned(), text.clone());
            one.insert("name".to_owned(), text.clone());
            one.insert("status".to_owned(), status_schema());
            one.insert("reasons".to_owned(), json!({"type": "array", "items": text}));
            fact_schemas(about.facts, &mut one);
            out.insert(about.list.to_owned(), json!({"type": "array", "items": object(&one)}));
        }
    }
    object(&out)
}

/// The schema of what [`realtime`] makes.
#[must_use]
pub fn realtime_schema() -> Json {
    let mut out = Map::new();
    out.insert("time".to_owned(), json!({"type": "string", "format": "date-time"}));
    out.insert("status".to_owned(), status_schema());
    out.insert("words".to_owned(), json!({"type": "string"}));
    for name in ["devices", "devices_streaming", "pipelines", "alerts_firing", "incidents_open"] {
        out.insert(name.to_owned(), json!({"type": "integer", "minimum": 0}));
    }
    figure_schemas(FLOW, &mut out);
    object(&out)
}

fn figure_schemas(of: &[Figure], out: &mut Map<String, Json>) {
    for figure in of {
        out.insert(figure.key(), number(figure.about));
    }
}

/// The schema of the numbers of a snapshot.
#[must_use]
pub fn figures_schema() -> Json {
    let of = |tables: &[&[Figure]]| {
        let mut out = Map::new();
        tables.iter().for_each(|table| figure_schemas(table, &mut out));
        object(&out)
    };
    json!({
        "type": "object", "required": ["flow", "system", "services"],
        "properties": {
            "flow": of(&[FLOW]), "system": of(&[SYSTEM]),
            "services": {"type": "object", "additionalProperties": of(&[SERVICE, REQUESTS])}
        }
    })
}

/// A number of some, if it is known.
#[must_use]
pub fn get(numbers: &Numbers, name: &str) -> Option<f64> {
    numbers.get(name).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Status;

    #[test]
    fn what_is_not_known_is_null_and_every_name_is_of_the_schema() {
        for kind in CARDS {
            let parts =
                kind.parts.map_or_else(Vec::new, |_| vec![Part { id: "1".into(), ..Part::default() }]);
            let card = Card { kind: kind.component.into(), name: "x".into(), parts, ..Card::default() };
            let (data, schema) = (component(&card), component_schema(kind.component));
            let names = |of: &Json| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&data), names(&schema["properties"]), "{}", kind.component);
            for fact in kind.facts {
                assert_eq!(data[fact.key()], Json::Null, "{}", fact.key());
            }
            if let Some(about) = kind.parts {
                let of = &schema["properties"][about.list]["items"]["properties"];
                assert_eq!(names(&data[about.list][0]), names(of));
            }
        }
    }

    #[test]
    fn names_have_their_units_and_are_there_once() {
        for kind in CARDS {
            for facts in [Some(kind.facts), kind.parts.map(|parts| parts.facts)].into_iter().flatten() {
                let mut names: Vec<String> =
                    facts.iter().flat_map(|fact| [Some(fact.key()), fact.beside_key()]).flatten().collect();
                assert!(
                    names.iter().all(|name| name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()))
                );
                let all = names.len();
                names.sort_unstable();
                names.dedup();
                assert_eq!(names.len(), all, "{}", kind.component);
            }
        }
        let fact = &CARDS[0].facts[0];
        assert_eq!((fact.key(), fact.beside_key()), ("rate_hertz".into(), Some("rate_of_hertz".into())));
    }

    /// Programs read these names: who changes one sees it here, and says so in the changelog.
    #[test]
    fn names_stay_whatever_labels_are() {
        let mut all: Vec<String> = Vec::new();
        for kind in CARDS {
            let mut take = |of: &str, fact: &card::Fact| {
                let names = [Some(fact.key()), fact.beside_key()].into_iter().flatten();
                all.extend(names.map(|name| format!("{}{of}.{name}\n", kind.component)));
            };
            kind.facts.iter().for_each(|fact| take("", fact));
            if let Some(parts) = kind.parts {
                parts.facts.iter().for_each(|fact| take(&format!(".{}", parts.list), fact));
            }
        }
        let lines = all.concat();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/page/names.txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(file, &lines).unwrap();
        }
        let known = std::fs::read_to_string(file).unwrap_or_default();
        assert_eq!(lines, known, "UPDATE=1 cargo test rewrites it");
        // A label is for people.
        let fact = card::Fact { label: "How fast it is", ..CARDS[0].facts[0] };
        let beside = fact.beside.map(|beside| card::Beside { word: "out of", ..beside });
        let renamed = card::Fact { beside, ..fact };
        assert_eq!(
            (renamed.key(), renamed.beside_key()),
            ("rate_hertz".into(), Some("rate_of_hertz".into()))
        );
    }

    #[test]
    fn numbers_are_those_of_the_facts() {
        let fact = |key: &str, value| Fact {
            key: key.into(),
            value: Some(value),
            beside: Some(250.0),
            ..Fact::default()
        };
        let card = Card {
            kind: "device".into(),
            facts: vec![fact("rate_hertz", 249.5)],
            status: Status::Degraded,
            ..Card::default()
        };
        let data = component(&card);
        assert_eq!((&data["rate_hertz"], &data["rate_of_hertz"]), (&json!(249.5), &json!(250.0)));
        assert_eq!(data["status"], "degraded");
    }
}
