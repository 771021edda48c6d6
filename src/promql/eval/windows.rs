//! From samples to steps: the value of a selector at each step, and functions of the samples in a window before it.

use super::matrix::{ABSENT, Matrix, present};
use super::notes::Notes;
use super::{Evaluator, Frame, Shifted, check};
use crate::promql::error::{Error, Interrupt};
use crate::promql::functions::Run;
use crate::promql::labels::Labels;
use crate::promql::sample::{Sample, is_stale};
use crate::promql::select::Selection;
use crate::promql::syntax::{Call, Node, Selector, Subquery, Tree, Type};

/// The samples of a series in a stretch of time, without staleness marks; there is at least one.
pub(in crate::promql) struct Window<'w> {
    pub(in crate::promql) samples: &'w [Sample],
    /// The time of evaluation.
    pub(in crate::promql) now: i64,
    /// The window begins after this time …
    pub(in crate::promql) start: i64,
    /// … and ends with this one.
    pub(in crate::promql) end: i64,
    /// The numbers that the function takes beside the window, at this step.
    pub(in crate::promql) args: &'w [f64],
    /// Where the first argument stands in the text.
    pub(in crate::promql) first_arg: usize,
    pub(in crate::promql) notes: &'w mut Notes,
    /// Room for values, used again at each step.
    pub(in crate::promql) scratch: &'w mut Vec<f64>,
}

impl Window<'_> {
    /// Its length in milliseconds.
    pub(in crate::promql) fn width(&self) -> i64 {
        self.end.saturating_sub(self.start)
    }
}

/// How many samples are looked at without asking whether the query is still wanted.
const UNCHECKED: usize = 1 << 16;

/// How many samples are not after a time, where so many are known not to be: from step to step a few more, at the first step many.
#[inline]
fn after(samples: &[Sample], known: usize, time: i64) -> usize {
    let rest = samples.get(known..).unwrap_or_default();
    let is_before = |sample: &Sample| sample.t <= time;
    let (near, far) = rest.split_at(rest.len().min(NEAR));
    let some = near.iter().take_while(|sample| is_before(sample)).count();
    known + some + if some == NEAR { far.partition_point(is_before) } else { 0 }
}

/// Samples that are looked at one by one before the others are halved.
const NEAR: usize = 8;

/// Whether a staleness mark is among samples. All of some are compared at once.
fn has_stale(samples: &[Sample]) -> bool {
    samples.chunks(64).any(|some| some.iter().fold(false, |any, sample| any | is_stale(sample.v)))
}

/// A function with what it takes, over the windows of a frame.
struct Over<'q> {
    run: fn(&mut Window<'_>) -> Option<f64>,
    /// One row each.
    scalars: Vec<Matrix>,
    first_arg: usize,
    frame: Frame,
    shift: Shifted,
    width: i64,
    interrupt: &'q dyn Fn() -> Option<Interrupt>,
}

/// What is used again from series to series.
#[derive(Default)]
struct Scratch {
    samples: Vec<Sample>,
    values: Vec<f64>,
    args: Vec<f64>,
    cells: Vec<f64>,
}

impl Over<'_> {
    /// The value of the function at each step.
    fn run(&self, samples: &[Sample], notes: &mut Notes, scratch: &mut Scratch) -> Result<(), Error> {
        let Scratch { samples: kept, values, args, cells } = scratch;
        cells.clear();
        cells.resize(self.frame.steps, ABSENT);
        // Staleness marks are in no window.
        let samples = if has_stale(samples) {
            kept.clear();
            kept.extend(samples.iter().filter(|sample| !is_stale(sample.v)));
            &*kept
        } else {
            samples
        };
        let (mut begin, mut end, mut unchecked) = (0, 0, 0);
        for (step, cell) in cells.iter_mut().enumerate() {
            let now = self.frame.at(step);
            let last = self.shift.look(now);
            let before = last.saturating_sub(self.width);
            end = after(samples, end, last);
            begin = after(samples, begin, before);
            let Some(samples @ [_, ..]) = samples.get(begin..end) else { continue };
            args.clear();
            args.extend(
                self.scalars.iter().map(|scalar| scalar.cells().get(step).copied().unwrap_or(f64::NAN)),
            );
            // A series of many samples may take long by itself.
            unchecked += samples.len();
            if unchecked > UNCHECKED {
                check(self.interrupt)?;
                unchecked = 0;
            }
            let (start, end, first_arg) = (before, last, self.first_arg);
            let mut window = Window { samples, now, start, end, args, first_arg, notes, scratch: values };
            *cell = (self.run)(&mut window).unwrap_or(ABSENT);
        }
        Ok(())
    }
}

impl Evaluator<'_> {
    /// The value of a selector at each step, or, with `stamps`, when it was taken in seconds.
    pub(in crate::promql) fn selected(
        &mut self,
        selector: &Selector,
        frame: Frame,
        stamps: bool,
    ) -> Result<Matrix, Error> {
        let shift = self.shifted(&selector.shift)?;
        let lookback = self.query.lookback;
        let selection = selection(selector, frame, shift, lookback);
        let mut matrix = self.empty(frame);
        let (budget, interrupt) = (self.budget.clone(), self.query.interrupt);
        self.storage.select(&selection, &mut |labels: &Labels, samples: &[Sample]| {
            check(interrupt)?;
            budget.room(frame.steps)?;
            matrix.add_filled(labels.clone(), |cells| {
                let mut next = 0;
                for (step, cell) in cells.iter_mut().enumerate() {
                    let look = shift.look(frame.at(step));
                    next = after(samples, next, look);
                    let newest = next.checked_sub(1).and_then(|at| samples.get(at));
                    let fresh =
                        |sample: &&Sample| sample.t > look.saturating_sub(lookback) && !is_stale(sample.v);
                    if let Some(sample) = newest.filter(fresh) {
                        *cell = if stamps { sample.t as f64 / 1000.0 } else { sample.v };
                    }
                }
            })
        })?;
        Ok(matrix)
    }

    /// The samples of a range at the only step of a frame.
    pub(super) fn raw(&mut self, tree: &Tree, frame: Frame) -> Result<Vec<(Labels, Vec<Sample>)>, Error> {
        let mut all = Vec::new();
        let mut held = 0;
        let budget = self.budget.clone();
        let Some((shift, width)) = self.range(tree)? else { return Ok(all) };
        let last = shift.look(frame.start);
        let first = last.saturating_sub(width);
        self.sources(tree, frame, shift, width, |_, labels, samples| {
            let inside = |sample: &&Sample| sample.t > first && sample.t <= last && !is_stale(sample.v);
            let samples: Vec<Sample> = samples.iter().filter(inside).copied().collect();
            held += samples.len();
            budget.room(held)?;
            if !samples.is_empty() {
                all.push((labels.clone(), samples));
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// Where the windows of a range are.
    fn range(&self, tree: &Tree) -> Result<Option<(Shifted, i64)>, Error> {
        Ok(match &tree.bare().node {
            Node::Range(selector, range) => {
                Some((self.shifted(&selector.shift)?, self.length(range, false)?))
            }
            Node::Subquery(subquery) => {
                Some((self.shifted(&subquery.shift)?, self.length(&subquery.range, false)?))
            }
            _ => None,
        })
    }

    /// Each series of a range, with all samples that are in a window of the frame.
    fn sources(
        &mut self,
        tree: &Tree,
        frame: Frame,
        shift: Shifted,
        width: i64,
        mut each: impl FnMut(&mut Notes, &Labels, &[Sample]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match &tree.bare().node {
            Node::Range(selector, _) => {
                let selection = selection(selector, frame, shift, width);
                let (budget, interrupt, notes) = (self.budget.clone(), self.query.interrupt, &mut self.notes);
                self.storage.select(&selection, &mut |labels: &Labels, samples: &[Sample]| {
                    check(interrupt)?;
                    budget.room(samples.len())?;
                    each(notes, labels, samples)
                })
            }
            Node::Subquery(subquery) => {
                let Some(inner) = self.subframe(subquery, frame, shift, width)? else { return Ok(()) };
                let matrix = self.eval(&subquery.inner, inner)?;
                let mut samples = Vec::new();
                for (labels, cells) in matrix.series() {
                    self.check()?;
                    let values = cells.iter().enumerate().filter(|(_, cell)| present(**cell));
                    samples.clear();
                    samples.extend(values.map(|(step, cell)| Sample { t: inner.at(step), v: *cell }));
                    each(&mut self.notes, labels, &samples)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The times at which a subquery is evaluated: multiples of its step within all windows of the frame.
    fn subframe(
        &self,
        subquery: &Subquery,
        frame: Frame,
        shift: Shifted,
        width: i64,
    ) -> Result<Option<Frame>, Error> {
        let step = match &subquery.step {
            Some(step) => self.length(step, false)?,
            None => self.query.subquery_step,
        };
        // Shorter than a millisecond there is no time.
        let step = step.max(1);
        let before = shift.look(frame.start).saturating_sub(width);
        let start = before.div_euclid(step).saturating_add(1).saturating_mul(step);
        let last = shift.look(frame.last());
        if start > last {
            return Ok(None);
        }
        let steps =
            usize::try_from((last.saturating_sub(start) / step).saturating_add(1)).unwrap_or(usize::MAX);
        self.budget.room(steps)?;
        Ok(Some(Frame { start, step, steps }))
    }

    /// Hands the values of a function over windows to `each`, series by series.
    pub(in crate::promql) fn over(
        &mut self,
        call: &Call,
        frame: Frame,
        mut each: impl FnMut(&Labels, &[f64]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let is_range = |arg: &&Tree| arg.yields == Type::Matrix;
        let Some(range) = call.args.iter().find(is_range) else { return Ok(()) };
        let scalars: Result<Vec<Matrix>, Error> =
            call.args.iter().filter(|arg| !is_range(arg)).map(|arg| self.eval(arg, frame)).collect();
        let Some((shift, width)) = self.range(range)? else { return Ok(()) };
        let run = match call.function.run {
            Run::Over { run, .. } => run,
            _ => |_: &mut Window<'_>| Some(1.0),
        };
        let first_arg = call.args.first().map_or(0, |arg| arg.at);
        let over =
            Over { run, scalars: scalars?, first_arg, frame, shift, width, interrupt: self.query.interrupt };
        let mut scratch = Scratch::default();
        self.sources(range, frame, shift, width, |notes, labels, samples| {
            over.run(samples, notes, &mut scratch)?;
            each(labels, &scratch.cells)
        })
    }

    /// A function over windows.
    pub(super) fn windowed(&mut self, call: &Call, keeps_name: bool, frame: Frame) -> Result<Matrix, Error> {
        let mut matrix = self.empty(frame);
        let counts = matches!(call.function.name, "rate" | "increase");
        let place = call.args.first().map_or(0, |arg| arg.at);
        let mut names: Vec<Box<str>> = Vec::new();
        self.over(call, frame, |labels, values| {
            if !values.iter().any(|value| present(*value)) {
                return Ok(());
            }
            if names.last().is_none_or(|last| **last != *labels.name()) {
                names.push(labels.name().into());
            }
            let labels = if keeps_name { labels.clone() } else { labels.nameless() };
            matrix.add_filled(labels, |cells| cells.copy_from_slice(values))
        })?;
        if counts {
            names.iter().for_each(|name| self.notes.no_counter(name, place));
        }
        // Series of one name differ in what is kept.
        if !keeps_name && names.len() > 1 {
            matrix.distinct()?;
        }
        Ok(matrix)
    }
}

/// What a selector wants of a storage over a frame.
fn selection(selector: &Selector, frame: Frame, shift: Shifted, width: i64) -> Selection<'_> {
    let (first, to) = (shift.look(frame.start), shift.look(frame.last()));
    let from = first.saturating_sub(width).saturating_add(1);
    let step = if frame.steps > 1 && shift.at.is_none() { frame.step } else { 0 };
    Selection { matchers: &selector.matchers, from, to, step, width }
}
