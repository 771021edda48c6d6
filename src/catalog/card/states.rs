//! How things are in a word: a row for each question that knows one.

use super::Ask::{self, Now};

/// How good or bad a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// As it should be, or neither.
    Good,
    /// A person should look.
    Attention,
    /// The data is in danger.
    Danger,
}

/// A word for how something is.
#[derive(Debug)]
pub struct State {
    /// The kind of component.
    pub component: &'static str,
    /// What has a value for each.
    pub ask: Ask,
    /// Where the word is.
    pub word: Word,
}

/// Where a word is, and what it means.
#[derive(Debug)]
pub enum Word {
    /// In this label. Where some words are good all others are a danger; where none is, all are neither.
    Label(&'static str, &'static [&'static str]),
    /// The one at the place of the value.
    Number(&'static [(&'static str, Mark)]),
}

/// The states of ports, programs, checks and probes in words; of several of one component the first stands.
pub static STATES: &[State] = &[
    State {
        component: "device",
        ask: Now("neural_port_state{state!='open'} == 1"),
        word: Word::Label("state", &["open"]),
    },
    State {
        component: "device",
        ask: Now("label_replace(neural_source_up{source=~'.+/.+'}, 'device', '$1', 'source', '(.+)') == 0"),
        word: Word::Number(&[("ended", Mark::Attention)]),
    },
    State {
        component: "device",
        ask: Now("neural_device_streaming == 0 and on (device) neural_tap_open == 0"),
        word: Word::Number(&[("no program reads it", Mark::Good)]),
    },
    State {
        component: "device",
        ask: Now("neural_device_streaming"),
        word: Word::Number(&[("sends nothing", Mark::Danger), ("streams", Mark::Good)]),
    },
    State { component: "program", ask: Now("neural_program_state == 1"), word: Word::Label("state", &[]) },
    State { component: "service", ask: Now("neural_check_status"), word: Word::Number(CHECK) },
    State { component: "probe", ask: Now("neural_probe_status"), word: Word::Number(PROBED) },
];

/// What to do about a state.
#[derive(Debug)]
pub struct Advice {
    /// The words for the states.
    pub words: &'static [&'static str],
    /// The advice, a sentence or two; commands stand between backticks.
    pub text: &'static str,
    /// Whether it is given beside a reason that is known; others stand in the place of one.
    pub besides: bool,
}

/// What to do where this word says how something is.
#[must_use]
pub fn advice_for(word: &str) -> Option<&'static Advice> {
    ADVICE.iter().find(|advice| advice.words.contains(&word))
}

const fn alone(words: &'static [&'static str], text: &'static str) -> Advice {
    Advice { words, text, besides: false }
}

/// What to do about ports and devices that are not well.
static ADVICE: &[Advice] = &[
    alone(&["absent"], "Plug it in. `neural-exporter devices` lists the ports."),
    alone(&["ambiguous"], "Select one by its serial number or place in the configuration."),
    Advice {
        words: &["busy"],
        text: "Stop the program that has the port, or let it open a tap of the agent.",
        besides: true,
    },
    alone(&["not permitted"], "`neural-exporter devices` says how to permit it."),
    alone(&["failed"], "Read the reason in the log."),
    alone(&["silent", "sends nothing"], "Check that the device is on, charged and in range."),
    alone(&["wrong device"], "Compare its protocol and speed with the configuration."),
];

/// The values of checks.
const CHECK: &[(&str, Mark)] = &[
    ("ok", Mark::Good),
    ("warning", Mark::Attention),
    ("critical", Mark::Danger),
    ("unknown", Mark::Attention),
];
/// The values of probes.
const PROBED: &[(&str, Mark)] = &[
    ("healthy", Mark::Good),
    ("degraded", Mark::Attention),
    ("unhealthy", Mark::Danger),
    ("unknown", Mark::Attention),
];
