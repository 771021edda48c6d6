//! What the evaluator asks of a storage. The evaluator takes no lock: for how long a storage takes its own is its affair.

use super::error::Error;
use super::labels::Labels;
use super::matcher::Matcher;
use super::sample::Sample;

/// Which series are wanted, and of which time.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'a> {
    /// All of them must match.
    pub matchers: &'a [Matcher],
    /// The first time that can matter, in milliseconds.
    pub from: i64,
    /// The last time that can matter, in milliseconds, itself included.
    pub to: i64,
    /// A hint: only the windows `(t - width, t]` matter, for `t` = `to`, `to - step`, `to - 2 * step` and so on. What lies
    /// between them may be left out. 0: there is one window.
    pub step: i64,
    /// The width of a window in milliseconds.
    pub width: i64,
}

/// Takes one series: its labels, and its samples by rising time.
pub type Each<'a> = dyn FnMut(&Labels, &[Sample]) -> Result<(), Error> + 'a;

/// A storage of series.
pub trait Select {
    /// Calls `each` once for each series that matches, with its samples by rising time.
    ///
    /// Samples outside of `from..=to` may be there and are ignored, so that whole chunks need no cutting. Staleness marks
    /// must be there. A series without samples may be left out. The slice is used before `each` returns.
    ///
    /// # Errors
    /// The first error of `each`, as it is and without a further call; or [`Error::storage`].
    fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error>;
}

/// A storage of series that is asked for more than samples.
pub trait Storage: Select + std::fmt::Debug + Send + Sync {
    /// Calls `each` for each series that matches and may have samples between these times, in milliseconds; twice where it is stored in
    /// two places.
    ///
    /// # Errors
    /// The first error of `each`, or [`Error::storage`].
    fn series(
        &self,
        matchers: &[Matcher],
        from: i64,
        to: i64,
        each: &mut dyn FnMut(&Labels) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Calls `each` for each exemplar between these times, in milliseconds, of a series that matches, oldest first: its text is
    /// `{label="value"} value seconds`, as a scrape shows it.
    fn exemplars(&self, matchers: &[Matcher], from: i64, to: i64, each: &mut dyn FnMut(&Labels, &str));

    /// What is missing in answers now, if something is: a warning beside them.
    fn note(&self) -> Option<String>;

    /// The first time of which it has samples at hand, in milliseconds.
    fn since(&self) -> Option<i64>;

    /// For how long samples are kept, for people.
    fn retention(&self) -> String;
}
