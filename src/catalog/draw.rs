//! How a metric is drawn when nobody says more: which panel, which quantity, in which row, coloured by which
//! limits.
//!
//! What several metrics show together is not here: those panels are tables of `render::dashboard`. A metric
//! that one of them shows on its page's dashboard is not drawn a second time by itself.

use schemars::JsonSchema;
use serde::Deserialize;

use super::limit::Limit;

/// How a metric is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// In what kind of panel.
    pub panel: Panel,
    /// What of it.
    pub show: Show,
    /// Over the panel; written from the metric's name if empty.
    pub title: &'static str,
    /// What to do about it: whole sentences after the metric's help.
    pub advice: &'static str,
    /// The row it is in.
    pub row: &'static str,
    /// The numbers that colour it.
    pub limits: &'static [&'static Limit],
    /// What single values mean.
    pub states: &'static [State],
    /// Panels of its kind beside each other, 1 to 6; 0 is as fits the panel.
    pub beside: u8,
    /// Whether it may be below zero.
    pub signed: bool,
}

impl Draw {
    /// What an entry that says nothing else has.
    pub const BLANK: Self = Self {
        panel: Panel::Auto,
        show: Show::Auto,
        title: "",
        advice: "",
        row: "Details",
        limits: &[],
        states: &[],
        beside: 0,
        signed: false,
    };
}

/// Kinds of panels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Panel {
    /// As the metric's type suggests.
    #[default]
    Auto,
    /// None.
    Hidden,
    /// Lines over time.
    Lines,
    /// Areas over time, one on the other.
    Stack,
    /// Bars over time, one on the other, each of a minute or longer.
    Columns,
    /// The last value as a number.
    Stat,
    /// The last value on a dial.
    Gauge,
    /// The last values as bars.
    Bars,
    /// Bands of states over time.
    States,
    /// How a histogram spreads over time.
    Heat,
    /// A row of cells for each series.
    Cells,
    /// The last values as a table.
    Table,
    /// Shares of a whole.
    Pie,
}

/// What of a metric is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// A counter's rate, a histogram's quantiles, the time since a timestamp, else the last value.
    #[default]
    Auto,
    /// How much it grows in a second.
    Rate,
    /// The median, the 95th and the 99th of a hundred.
    Quantiles,
    /// The last value.
    Last,
    /// How long ago the timestamp was.
    Age,
    /// Its growth as a share of that of another metric with the same labels, by that one's name in queries.
    Share(&'static str),
}

/// What a value means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// The value.
    pub value: f64,
    /// What to write instead.
    pub text: &'static str,
    /// Whether that is good.
    pub rating: Rating,
}

/// Whether something is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rating {
    /// It is.
    Good,
    /// You should look, when you have time.
    Fair,
    /// You should look.
    Odd,
    /// It is not.
    Bad,
    /// Neither.
    Plain,
}

/// 1 is good, 0 is not.
pub const UP: &[State] = &[state(1.0, "up", Rating::Good), state(0.0, "down", Rating::Bad)];
/// 0 is good, 1 is not.
pub const TROUBLE: &[State] = &[state(0.0, "no", Rating::Good), state(1.0, "yes", Rating::Bad)];

/// A state, in a table of them.
#[must_use]
pub const fn state(value: f64, text: &'static str, rating: Rating) -> State {
    State { value, text, rating }
}
