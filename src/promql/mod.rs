//! PromQL: an expression, a time and a selector of series to an answer. Pure: no I/O, no clock, no lock.
//!
//! Equal to Prometheus 3 for numbers and classic histograms; native histograms and what needs a flag there are refused by
//! name. [`parse`] reads and checks, [`evaluate`] answers from a [`Select`], [`format()`] writes an expression.

mod error;
mod eval;
mod exemplar;
mod functions;
pub mod json;
mod labels;
mod matcher;
mod notation;
mod parser;
mod printer;
mod recent;
mod sample;
mod select;
mod sums;
mod syntax;
mod text;
mod worse;

pub use error::{Error, Interrupt, Kind};
pub use eval::{Answer, Element, Query, Series, Value, When, evaluate};
pub use exemplar::Exemplar;
pub use labels::{BUCKET, Labels, NAME, Pairs};
pub use matcher::{Matcher, Op};
pub use notation::{Point, read_labels, read_series};
pub use parser::{parse, parse_selector, parse_selectors};
pub use printer::format;
pub use recent::Recent;
pub use sample::{STALE, Sample, is_stale};
pub use select::{Each, Select, Selection, Storage};
pub use sums::almost_equal;
pub use syntax::{Expr, Type};
pub use text::{
    digits, duration, exponent, moment, moment_ms, number, quoted, read_duration, read_moment, short, unquote,
};
pub use worse::Worse;
