//! What is said of the values of a panel: their colours by number, and the words that stand for single ones.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::nothing::{ABSENT, UNKNOWN};
use super::spec::Steps;
use crate::catalog::draw::{Rating, State};

/// A grey that says nothing, under white and black words alike.
const NEUTRAL: &str = "#8e8e8e";

/// A darker one, for what nobody knows: beside the other, the two bands are told apart.
const DARK: &str = "#5c5c5c";

/// What an empty cell says.
pub(super) const NOTHING: &str = "–";

/// Colours by number, as Grafana has them.
#[derive(Serialize)]
pub(super) struct Thresholds {
    mode: &'static str,
    steps: Vec<ThresholdStep>,
}

#[derive(Serialize)]
struct ThresholdStep {
    color: &'static str,
    value: Option<f64>,
}

pub(super) fn thresholds(steps: &Steps) -> Thresholds {
    let lowest = ThresholdStep { color: steps.base.unwrap_or("blue"), value: None };
    let rest = steps.from.iter().map(|(number, color)| ThresholdStep { color, value: Some(*number) });
    Thresholds { mode: "absolute", steps: [lowest].into_iter().chain(rest).collect() }
}

/// What single values mean, and what nothing is called, in a colour that says nothing. Without that Grafana 9 to 13
/// gives nothing the colour of the lowest threshold.
pub(super) fn mappings(
    states: &[State],
    [absent, unknown]: [Option<&str>; 2],
    nothing: Option<&str>,
) -> Vec<Value> {
    let of = |state: &State, index: usize| {
        let colour = match state.rating {
            Rating::Good => "green",
            Rating::Fair => "yellow",
            Rating::Odd => "orange",
            Rating::Bad => "red",
            Rating::Plain => "blue",
        };
        (state.value.to_string(), json!({"text": state.text, "color": colour, "index": index}))
    };
    let mut options: Map<String, Value> =
        states.iter().enumerate().map(|(index, state)| of(state, index)).collect();
    if let Some(text) = absent {
        let said = json!({"text": text, "color": NEUTRAL, "index": states.len()});
        options.insert(ABSENT.to_string(), said);
    }
    if let Some(text) = unknown {
        let said = json!({"text": text, "color": DARK, "index": states.len() + 1});
        options.insert(UNKNOWN.to_string(), said);
    }
    let mut all = Vec::new();
    if !options.is_empty() {
        all.push(json!({"type": "value", "options": options}));
    }
    if let Some(text) = nothing {
        let result = json!({"text": text, "color": "text", "index": states.len()});
        all.push(json!({"type": "special", "options": {"match": "null+nan", "result": result}}));
    }
    all
}
