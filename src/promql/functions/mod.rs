//! The functions: one row each, with what they take, what they yield and what computes them.
//!
//! A kind of function is a file beside this one. Those that a Prometheus has only by a flag, and those of native histograms,
//! are known by name and refused.

mod histogram;
mod labels;
mod math;
mod over_time;
mod rate;
mod regression;
mod sort;
pub(super) mod time;
mod vector;

pub(super) use histogram::Forced;
pub(super) use math::{greatest, least};

use std::fmt;

use super::error::Error;
use super::eval::{Evaluator, Frame, Matrix, Window};
use super::syntax::{Call, Type};

/// A function of the language.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// The types of its arguments; the last one is that of all further ones.
    pub(super) takes: &'static [Type],
    /// How many more than `takes` there may be; the last of `takes` is then optional.
    more: Option<usize>,
    pub(super) yields: Type,
    /// Whether its result depends on the time of evaluation even where its arguments do not.
    pub(super) follows_time: bool,
    pub(super) run: Run,
}

/// What computes a function.
pub(super) enum Run {
    /// From each value of a vector and the scalars behind it. `None` leaves the element out. Names go.
    Each(fn(f64, &[f64]) -> Option<f64>),
    /// From the samples of a window. Names go unless they are kept.
    Over { keeps_name: bool, run: fn(&mut Window<'_>) -> Option<f64> },
    /// From dates: those of a vector of seconds, or the time of evaluation.
    Date(fn(&time::Date) -> i64),
    /// In its own way.
    Own(fn(&mut Evaluator<'_>, &Call, At) -> Result<Matrix, Error>),
}

/// Where a call stands in the text, and the times it is evaluated for.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) place: usize,
    pub(super) frame: Frame,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Function {
    /// The fewest and the most arguments.
    pub(super) fn arguments(&self) -> (usize, usize) {
        let count = self.takes.len();
        match self.more {
            None => (count, count),
            Some(more) => (count.saturating_sub(1), count.saturating_sub(1).saturating_add(more)),
        }
    }

    const fn new(name: &'static str, takes: &'static [Type], run: Run) -> Self {
        Self { name, takes, more: None, yields: Type::Vector, follows_time: false, run }
    }

    const fn each(name: &'static str, run: fn(f64, &[f64]) -> Option<f64>) -> Self {
        Self::new(name, &[Type::Vector], Run::Each(run))
    }

    const fn each_with(
        name: &'static str,
        takes: &'static [Type],
        run: fn(f64, &[f64]) -> Option<f64>,
    ) -> Self {
        Self::new(name, takes, Run::Each(run))
    }

    const fn over(name: &'static str, run: fn(&mut Window<'_>) -> Option<f64>) -> Self {
        Self::new(name, &[Type::Matrix], Run::Over { keeps_name: false, run })
    }

    const fn over_with(
        name: &'static str,
        takes: &'static [Type],
        run: fn(&mut Window<'_>) -> Option<f64>,
    ) -> Self {
        Self::new(name, takes, Run::Over { keeps_name: false, run })
    }

    const fn named(name: &'static str, run: fn(&mut Window<'_>) -> Option<f64>) -> Self {
        Self::new(name, &[Type::Matrix], Run::Over { keeps_name: true, run })
    }

    const fn date(name: &'static str, run: fn(&time::Date) -> i64) -> Self {
        Self { more: Some(1), follows_time: true, ..Self::new(name, &[Type::Vector], Run::Date(run)) }
    }

    const fn own(
        name: &'static str,
        takes: &'static [Type],
        run: fn(&mut Evaluator<'_>, &Call, At) -> Result<Matrix, Error>,
    ) -> Self {
        Self::new(name, takes, Run::Own(run))
    }

    const fn scalar(self) -> Self {
        Self { yields: Type::Scalar, ..self }
    }

    const fn more(self, more: usize) -> Self {
        Self { more: Some(more), ..self }
    }

    const fn follows_time(self) -> Self {
        Self { follows_time: true, ..self }
    }
}

const S: Type = Type::Scalar;
const T: Type = Type::Text;
const V: Type = Type::Vector;
const M: Type = Type::Matrix;

/// All functions, by name.
pub(super) static FUNCTIONS: &[Function] = &[
    Function::each("abs", |v, _| Some(v.abs())),
    Function::own("absent", &[V], vector::absent),
    Function::own("absent_over_time", &[M], vector::absent_over_time),
    Function::each("acos", |v, _| Some(v.acos())),
    Function::each("acosh", |v, _| Some(v.acosh())),
    Function::each("asin", |v, _| Some(v.asin())),
    Function::each("asinh", |v, _| Some(v.asinh())),
    Function::each("atan", |v, _| Some(v.atan())),
    Function::each("atanh", |v, _| Some(v.atanh())),
    Function::over("avg_over_time", over_time::avg),
    Function::each("ceil", |v, _| Some(v.ceil())),
    Function::over("changes", rate::changes),
    Function::each_with("clamp", &[V, S, S], math::clamp),
    Function::each_with("clamp_max", &[V, S], math::clamp_max),
    Function::each_with("clamp_min", &[V, S], math::clamp_min),
    Function::each("cos", |v, _| Some(v.cos())),
    Function::each("cosh", |v, _| Some(v.cosh())),
    Function::over("count_over_time", over_time::count),
    Function::date("day_of_month", |date| date.day),
    Function::date("day_of_week", |date| date.weekday),
    Function::date("day_of_year", |date| date.yearday),
    Function::date("days_in_month", |date| date.days_in_month()),
    Function::each("deg", |v, _| Some(v * 180.0 / std::f64::consts::PI)),
    Function::over("delta", rate::delta),
    Function::over("deriv", regression::deriv),
    Function::each("exp", |v, _| Some(v.exp())),
    Function::named("first_over_time", over_time::first),
    Function::each("floor", |v, _| Some(v.floor())),
    Function::own("histogram_fraction", &[S, S, V], histogram::fraction),
    Function::own("histogram_quantile", &[S, V], histogram::quantile),
    Function::date("hour", |date| date.hour),
    Function::over("idelta", rate::idelta),
    Function::over("increase", rate::increase),
    Function::over("irate", rate::irate),
    Function::own("label_join", &[V, T, T, T], labels::join).more(usize::MAX),
    Function::own("label_replace", &[V, T, T, T, T], labels::replace),
    Function::named("last_over_time", over_time::last),
    Function::each("ln", |v, _| Some(v.ln())),
    Function::each("log10", |v, _| Some(v.log10())),
    Function::each("log2", |v, _| Some(v.log2())),
    Function::over("max_over_time", over_time::max),
    Function::over("min_over_time", over_time::min),
    Function::date("minute", |date| date.minute),
    Function::date("month", |date| date.month),
    Function::own("pi", &[], vector::pi).scalar(),
    Function::over_with("predict_linear", &[M, S], regression::predict).follows_time(),
    Function::over("present_over_time", over_time::present),
    Function::over_with("quantile_over_time", &[S, M], over_time::quantile),
    Function::each("rad", |v, _| Some(v * std::f64::consts::PI / 180.0)),
    Function::over("rate", rate::rate),
    Function::over("resets", rate::resets),
    Function::each_with("round", &[V, S], math::round).more(1),
    Function::own("scalar", &[V], vector::scalar).scalar(),
    Function::each("sgn", math::sgn),
    Function::each("sin", |v, _| Some(v.sin())),
    Function::each("sinh", |v, _| Some(v.sinh())),
    Function::own("sort", &[V], sort::rising),
    Function::own("sort_desc", &[V], sort::falling),
    Function::each("sqrt", |v, _| Some(v.sqrt())),
    Function::over("stddev_over_time", over_time::stddev),
    Function::over("stdvar_over_time", over_time::stdvar),
    Function::over("sum_over_time", over_time::sum),
    Function::each("tan", |v, _| Some(v.tan())),
    Function::each("tanh", |v, _| Some(v.tanh())),
    Function::own("time", &[], vector::time).scalar().follows_time(),
    Function::own("timestamp", &[V], vector::timestamp).follows_time(),
    Function::own("vector", &[S], vector::vector),
    Function::date("year", |date| date.year),
];

/// The function of a name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    let at = FUNCTIONS.binary_search_by(|function| function.name.cmp(name)).ok()?;
    FUNCTIONS.get(at)
}

const EXPERIMENTAL: &str = "it is experimental in Prometheus";
const NATIVE: &str = "it is for native histograms";

/// Functions of Prometheus that are not here, and why.
static UNSUPPORTED: &[(&str, &str)] = &[
    ("double_exponential_smoothing", EXPERIMENTAL),
    ("end", EXPERIMENTAL),
    ("histogram_avg", NATIVE),
    ("histogram_count", NATIVE),
    ("histogram_quantiles", EXPERIMENTAL),
    ("histogram_stddev", NATIVE),
    ("histogram_stdvar", NATIVE),
    ("histogram_sum", NATIVE),
    ("info", EXPERIMENTAL),
    ("mad_over_time", EXPERIMENTAL),
    ("max_of", EXPERIMENTAL),
    ("min_of", EXPERIMENTAL),
    ("range", EXPERIMENTAL),
    ("sort_by_label", EXPERIMENTAL),
    ("sort_by_label_desc", EXPERIMENTAL),
    ("start", EXPERIMENTAL),
    ("start_timestamp", EXPERIMENTAL),
    ("step", EXPERIMENTAL),
    ("ts_of_first_over_time", EXPERIMENTAL),
    ("ts_of_last_over_time", EXPERIMENTAL),
    ("ts_of_max_over_time", EXPERIMENTAL),
    ("ts_of_min_over_time", EXPERIMENTAL),
];

/// Why a function of Prometheus is not here.
pub(super) fn unsupported(name: &str) -> Option<&'static str> {
    UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == name).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        for function in FUNCTIONS {
            assert_eq!(find(function.name).map(|found| found.name), Some(function.name));
            assert_eq!(unsupported(function.name), None, "{} is and is not there", function.name);
        }
    }
}
