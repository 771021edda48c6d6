//! What dashboards are made of, as tables write it: boards of rows of views of queries.
//!
//! Nothing here knows JSON or Grafana's grid. A query names metrics as a scrape has them and says nothing of
//! `job`, `instance` and variables: each selector is given them where it is rendered.

use crate::catalog::draw::{Panel, State};
use crate::catalog::limit::Limit;

/// One dashboard.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// Its file, and the end of its uid.
    pub key: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// What it answers.
    pub about: &'static str,
    /// The pages whose metrics are drawn here when no view shows them. Without any of them there is no such
    /// dashboard; one that names none is always there.
    pub pages: &'static [&'static str],
    /// Whether its things are known by the machine they are on, as devices are and pipelines are not.
    pub by_machine: bool,
    /// Labels that can be chosen from, and what they are called.
    pub variables: &'static [(&'static str, &'static str)],
    /// How far back it looks.
    pub range: &'static str,
    /// How often it asks again.
    pub refresh: &'static str,
    /// From the top.
    pub rows: &'static [Row],
}

/// Panels under one heading.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The heading.
    pub title: &'static str,
    /// Whether it is open at first.
    pub open: bool,
    /// The variable for each of whose chosen values the row stands once; empty for a row that stands once.
    pub each: &'static str,
    /// Its panels.
    pub views: &'static [View],
}

/// One panel.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Over the panel.
    pub title: &'static str,
    /// What it means and what to do: whole sentences.
    pub about: &'static str,
    /// Of what kind.
    pub panel: Panel,
    /// Grafana's name of the unit.
    pub unit: &'static str,
    /// What it shows.
    pub queries: &'static [Query],
    /// The numbers that colour it.
    pub limits: &'static [&'static Limit],
    /// What single values mean.
    pub states: &'static [State],
    /// What zero means, where there is no limit.
    pub zero: Zero,
    /// Panels of its kind beside each other; 0 is as fits the panel.
    pub beside: u8,
    /// The lower end of its scale; none if values may be below zero.
    pub floor: Option<f64>,
    /// The upper end of its scale.
    pub ceiling: Option<f64>,
    /// What to write where there is nothing.
    pub empty: &'static str,
    /// Where states are shown of what is wrong alone: a query that has an answer while an agent looks, and what to write where
    /// none does. Without it nothing would mean that all is well.
    pub judged: Option<(&'static str, &'static str)>,
    /// The key of the dashboard that says more.
    pub to: &'static str,
    /// In a table, the columns that stand first, in their order.
    pub first: &'static [&'static str],
    /// In a table, the columns by which it is sorted, and whether the largest comes first.
    pub sorted: &'static [(&'static str, bool)],
    /// In a table, how many rows are seen without scrolling; 0 is as fits the panel.
    pub seen: u32,
    /// Whether a number is replaced by the name of its series, which it only colours.
    pub words: bool,
}

/// What zero means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zero {
    /// Nothing in particular.
    Plain,
    /// All is well, and anything else is not.
    Wanted,
    /// Nothing is there that should be.
    Missing,
}

/// One query of a panel.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// PromQL.
    pub expr: &'static str,
    /// The name of its series; in a table, of its column.
    pub legend: &'static str,
    /// In a table, the unit of its column.
    pub unit: &'static str,
    /// In a table, the numbers that colour its column.
    pub limits: &'static [&'static Limit],
    /// In a table, what single values mean.
    pub states: &'static [State],
    /// In a table, what zero means, where there is no limit.
    pub zero: Zero,
    /// Drawn as what something is compared with.
    pub dashed: bool,
}

/// A query.
pub const fn q(expr: &'static str, legend: &'static str) -> Query {
    Query { expr, legend, unit: "short", limits: &[], states: &[], zero: Zero::Plain, dashed: false }
}

/// A column of a table.
pub const fn column(expr: &'static str, title: &'static str, unit: &'static str) -> Query {
    Query { unit, ..q(expr, title) }
}

impl Query {
    /// Coloured by these.
    pub const fn limits(self, limits: &'static [&'static Limit]) -> Self {
        Self { limits, ..self }
    }

    /// Values that mean something.
    pub const fn states(self, states: &'static [State]) -> Self {
        Self { states, ..self }
    }

    /// Anything but zero is wrong.
    pub const fn zero_wanted(self) -> Self {
        Self { zero: Zero::Wanted, ..self }
    }

    /// Zero is wrong.
    pub const fn zero_missing(self) -> Self {
        Self { zero: Zero::Missing, ..self }
    }

    /// As what something is compared with.
    pub const fn dashed(self) -> Self {
        Self { dashed: true, ..self }
    }
}

/// An open row.
pub const fn open(title: &'static str, views: &'static [View]) -> Row {
    Row { title, open: true, each: "", views }
}

/// A row that is closed at first.
pub const fn closed(title: &'static str, views: &'static [View]) -> Row {
    Row { title, open: false, each: "", views }
}

impl Row {
    /// Once for each chosen value of a variable; its title names it as `$variable`.
    pub const fn each(self, each: &'static str) -> Self {
        Self { each, ..self }
    }
}

/// A view of a kind.
pub const fn view(
    panel: Panel,
    title: &'static str,
    unit: &'static str,
    about: &'static str,
    queries: &'static [Query],
) -> View {
    View {
        title,
        about,
        panel,
        unit,
        queries,
        limits: &[],
        states: &[],
        zero: Zero::Plain,
        beside: 0,
        floor: Some(0.0),
        ceiling: None,
        empty: "not reported",
        judged: None,
        to: "",
        first: &[],
        sorted: &[],
        seen: 0,
        words: false,
    }
}

/// Lines over time.
pub const fn lines(
    title: &'static str,
    unit: &'static str,
    about: &'static str,
    queries: &'static [Query],
) -> View {
    view(Panel::Lines, title, unit, about, queries)
}

/// One number.
pub const fn stat(
    title: &'static str,
    unit: &'static str,
    about: &'static str,
    queries: &'static [Query],
) -> View {
    view(Panel::Stat, title, unit, about, queries)
}

impl View {
    /// Coloured by these.
    pub const fn limits(self, limits: &'static [&'static Limit]) -> Self {
        Self { limits, ..self }
    }

    /// Values that mean something.
    pub const fn states(self, states: &'static [State]) -> Self {
        Self { states, ..self }
    }

    /// Anything but zero is wrong.
    pub const fn zero_wanted(self) -> Self {
        Self { zero: Zero::Wanted, ..self }
    }

    /// Zero is wrong.
    pub const fn zero_missing(self) -> Self {
        Self { zero: Zero::Missing, ..self }
    }

    /// So many beside each other.
    pub const fn beside(self, beside: u8) -> Self {
        Self { beside, ..self }
    }

    /// Values may be below zero.
    pub const fn signed(self) -> Self {
        Self { floor: None, ..self }
    }

    /// From 0 to 1.
    pub const fn whole(self) -> Self {
        Self { ceiling: Some(1.0), ..self }
    }

    /// What to write where there is nothing.
    pub const fn empty(self, empty: &'static str) -> Self {
        Self { empty, ..self }
    }

    /// Rows are there while something is wrong; nothing is said of the time in which `by` has no answer, but `unknown`.
    pub const fn judged(self, by: &'static str, unknown: &'static str) -> Self {
        Self { judged: Some((by, unknown)), ..self }
    }

    /// The dashboard that says more.
    pub const fn to(self, to: &'static str) -> Self {
        Self { to, ..self }
    }

    /// The names of its series, coloured by their values.
    pub const fn words(self) -> Self {
        Self { words: true, ..self }
    }

    /// A table with these columns first.
    pub const fn first(self, first: &'static [&'static str]) -> Self {
        Self { first, ..self }
    }

    /// A table that is sorted by these columns; where it is true, the largest comes first.
    pub const fn sorted(self, sorted: &'static [(&'static str, bool)]) -> Self {
        Self { sorted, ..self }
    }

    /// A table of which so many rows are seen without scrolling.
    pub const fn seen(self, rows: u32) -> Self {
        Self { seen: rows, ..self }
    }
}
