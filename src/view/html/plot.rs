//! A line over time as SVG. A gap is a gap.

use std::fmt::Write;

use super::escape;
use crate::promql::moment;
use crate::view::Plot;
use crate::view::words::span;

/// The drawing's own units.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 60.0;
/// Room above and below the line.
const EDGE: f64 = 4.0;

/// Writes a plot with its words; `times` says whether the first and the last time are written below it.
pub(in crate::view) fn write(out: &mut String, plot: &Plot, times: bool) {
    let label = escape(&plot.label);
    let (least, greatest) = (escape(&plot.range.0), escape(&plot.range.1));
    let words = if least == greatest { greatest.clone() } else { format!("{least} to {greatest}") };
    let bound = plot.bound_text.as_deref().map(escape);
    let limit = bound.as_deref().map_or_else(String::new, |bound| format!(" (limit {bound})"));
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<figure class=plot><figcaption>{label}: <b>{words}</b>{limit}</figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=none role=img \
         aria-label=\"{label} over {}: {words}{limit}\">",
        length(plot)
    );
    draw(out, plot);
    out.push_str("</svg>");
    if times {
        let _ = write!(
            out,
            "<div class=times><span>{}</span><span>{}</span></div>",
            moment(plot.span.0),
            moment(plot.span.1)
        );
    }
    out.push_str("</figure>");
}

/// Writes a plot into a cell of a table whose heading says what it shows.
pub(super) fn write_cell(out: &mut String, plot: &Plot) {
    let (label, least, greatest) = (escape(&plot.label), escape(&plot.range.0), escape(&plot.range.1));
    let words = if least == greatest { greatest } else { format!("{least} to {greatest}") };
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "<div class=plot><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=none role=img \
         aria-label=\"{label} over {}: {words}\"><title>{words}</title>",
        length(plot)
    );
    draw(out, plot);
    out.push_str("</svg></div>");
}

/// The time that a plot is about, in words.
fn length(plot: &Plot) -> String {
    span((plot.span.1 - plot.span.0) as f64 / 1000.0)
}

fn draw(out: &mut String, plot: &Plot) {
    let values = || plot.points.iter().flatten().copied();
    let (least, greatest) =
        values().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    if least > greatest {
        return;
    }
    // What hardly varies is a flat line in the middle and no mountain range.
    let room = (greatest - least).max(greatest.abs() * 0.02).max(1e-9);
    let base = (greatest + least - room) / 2.0;
    let y = |value: f64| HEIGHT - EDGE - (value - base) / room * (HEIGHT - 2.0 * EDGE);
    let x = |place: usize| place as f64 / (plot.points.len().max(2) - 1) as f64 * WIDTH;
    if let Some(bound) = plot.bound.filter(|bound| (base..=base + room).contains(bound)) {
        let at = y(bound);
        let _ = write!(out, "<path class=bound d=\"M0 {at:.1}H{WIDTH}\"/>");
    }
    let mut path = String::new();
    let mut before = None;
    for (place, value) in plot.points.iter().enumerate() {
        let Some(value) = value else {
            before = None;
            continue;
        };
        let (x, y) = (x(place), y(*value));
        let alone = before.is_none() && plot.points.get(place + 1).is_none_or(Option::is_none);
        let _ = match before {
            Some(()) => write!(path, "L{x:.1} {y:.1}"),
            // A point without neighbours is a short line.
            None if alone => write!(path, "M{x:.1} {y:.1}h1"),
            None => write!(path, "M{x:.1} {y:.1}"),
        };
        before = Some(());
    }
    let _ = write!(out, "<path d=\"{path}\"/>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: &[Option<f64>]) -> String {
        let mut out = String::new();
        draw(&mut out, &Plot { points: points.to_vec(), bound: Some(1.5), ..Plot::default() });
        out
    }

    #[test]
    fn a_gap_is_a_gap() {
        let out = drawn(&[Some(1.0), Some(2.0), None, Some(1.0), None]);
        assert_eq!(out.matches('M').count(), 3, "two pieces and the limit: {out}");
        assert_eq!(out.matches('L').count(), 1);
        assert!(out.contains("h1"), "a point alone can be seen: {out}");
        assert!(out.contains("class=bound"));
        assert_eq!(drawn(&[None, None]), "");
    }

    #[test]
    fn what_hardly_varies_is_flat() {
        let out = drawn(&[Some(250.0), Some(250.01)]);
        let heights: Vec<f64> = out
            .split(['M', 'L'])
            .filter_map(|at| at.split(' ').nth(1)?.trim_end_matches("\"/>").parse().ok())
            .collect();
        assert!(matches!(heights[..], [a, b] if (a - b).abs() < 1.0), "{out}");
    }
}
