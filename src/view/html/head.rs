//! Electrodes on a head, where their names are of the 10-20 or the 10-10 system.
//!
//! Places are computed from the names, as the system defines them: lines across the head in steps of a tenth of the way from nasion to
//! inion, and on each of them steps of a tenth from the middle to the ear. Odd numbers are on the left.

use std::fmt::Write;

use super::escape;
use crate::view::Part;

/// The lines across the head, from the front: their letters, in the middle and at the side, and the step from the front.
const LINES: &[(&str, &str, f64)] = &[
    ("N", "N", 0.0),
    ("FP", "FP", 1.0),
    ("AF", "AF", 2.0),
    ("F", "F", 3.0),
    ("FC", "FT", 4.0),
    ("C", "T", 5.0),
    ("CP", "TP", 6.0),
    ("P", "P", 7.0),
    ("PO", "PO", 8.0),
    ("O", "O", 9.0),
    ("I", "I", 10.0),
];
/// Names of the 10-20 system that the 10-10 system calls otherwise.
const OLD: &[(&str, &str)] = &[("T3", "T7"), ("T4", "T8"), ("T5", "P7"), ("T6", "P8")];
/// The ears and what is behind them.
const EARS: &[(&str, f64, f64)] =
    &[("A1", -1.06, 0.0), ("A2", 1.06, 0.0), ("M1", -1.02, 0.28), ("M2", 1.02, 0.28)];
/// How far from the middle the ring is on which FP1, T7 and O2 are; the head has a radius of 1.
const RING: f64 = 0.8;

/// Where an electrode is: to the right of the middle, and below it.
fn place(name: &str) -> Option<(f64, f64)> {
    let name = name.trim().to_ascii_uppercase();
    // An electrode may be named with its reference: `C3-A2`, `EEG C3`.
    let name = name.rsplit(' ').next()?.split(['-', '_', '.']).next()?;
    let name = OLD.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| *new);
    if let Some((_, x, y)) = EARS.iter().find(|(ear, ..)| *ear == name) {
        return Some((*x, *y));
    }
    let letters = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
    let (line, number) = name.split_at_checked(letters)?;
    let (line, number) = match (line.strip_suffix('Z'), number) {
        (Some(line), "") => (line, 0),
        (None, digits) => (line, digits.parse::<u32>().ok().filter(|number| (1..=10).contains(number))?),
        (Some(_), _) => return None,
    };
    let (_, _, step) =
        LINES.iter().find(|(middle, side, _)| if number > 6 { *side == line } else { *middle == line })?;
    let middle = (step - 5.0) / 5.0;
    // The first and the last line have two places beside the middle, on the ring.
    let out = match (*step as u32, number) {
        (_, 0) => 0.0,
        (1 | 9, 1 | 2) => 1.0,
        (0 | 10, _) => return None,
        (_, number) => f64::from(number.div_ceil(2)) / 4.0,
    };
    let angle = (step / 10.0 * std::f64::consts::PI).clamp(0.0, std::f64::consts::PI);
    let (x, y) = (RING * angle.sin(), -RING * angle.cos());
    let side = if number % 2 == 1 { -1.0 } else { 1.0 };
    // On its way to the ring a line bends away from the middle of the head.
    let middle = middle * if out == 0.0 || (1.0..=9.0).contains(step) { RING / 0.8 } else { 1.0 };
    Some((side * x * out, middle + (y - middle) * out * out))
}

/// Writes the head, if most names have a place on it. `look` gives the class of a part, and its sign if it has one.
pub(in crate::view) fn write(
    out: &mut String,
    parts: &[Part],
    look: impl Fn(&Part) -> (&'static str, Option<char>),
) {
    let placed: Vec<_> = parts.iter().filter_map(|part| Some((part, place(&part.name)?))).collect();
    if placed.len() < 3 || placed.len() * 2 < parts.len() {
        return;
    }
    out.push_str(
        "<svg class=head viewBox=\"-1.25 -1.25 2.5 2.5\" role=img aria-label=\"Electrodes on the head; the list has the same\">\
         <circle class=skull r=1 /><path class=skull d=\"M-.12 -.99L0 -1.15L.12 -.99\"/>",
    );
    for (part, (x, y)) in placed {
        // The sign is below the name: beside it there is no room in the circle.
        let (class, sign) = look(part);
        let (mark, up) = match sign {
            None => (String::new(), 0.0),
            Some(sign) => (format!("<text x={x:.2} y={:.2}>{sign}</text>", y + 0.11), 0.04),
        };
        let reasons = part.reasons.join(", ");
        let title = if reasons.is_empty() { "good" } else { &reasons };
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<g class={class}><title>{}: {}</title><circle cx={x:.2} cy={y:.2} r=.14 /><text x={x:.2} y={:.2}>{}</text>{mark}</g>",
            escape(&part.name),
            escape(title),
            y + 0.04 - up,
            // Boards number their channels: `3 C3`.
            escape(part.name.rsplit(' ').next().unwrap_or(&part.name))
        );
    }
    out.push_str("</svg>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn electrodes_are_where_the_system_puts_them() {
        let near = |name: &str, x: f64, y: f64| {
            let (a, b) = place(name).unwrap_or_else(|| panic!("{name} has no place"));
            assert!((a - x).abs() < 0.03 && (b - y).abs() < 0.03, "{name} is at {a:.2}, {b:.2}");
        };
        near("Cz", 0.0, 0.0);
        near("Fpz", 0.0, -0.8);
        near("Oz", 0.0, 0.8);
        near("T7", -0.8, 0.0);
        near("T3", -0.8, 0.0);
        near("T8", 0.8, 0.0);
        near("C3", -0.4, 0.0);
        near("C4", 0.4, 0.0);
        near("Fp1", -0.25, -0.76);
        near("O2", 0.25, 0.76);
        near("F7", -0.65, -0.47);
        near("P8", 0.65, 0.47);
        near("EEG C3-A2", -0.4, 0.0);
        // Left and right are mirrored, and numbers go outwards.
        let all = ["AF3", "F1", "F5", "FC3", "CP5", "P3", "PO3", "PO7", "TP7", "FT9", "F9"];
        for left in all {
            let (text, number) = left.split_at(left.len() - 1);
            let right = format!("{text}{}", number.parse::<u32>().unwrap() + 1);
            let ((a, b), (c, d)) = (place(left).unwrap(), place(&right).unwrap());
            assert!((a + c).abs() < 1e-9 && (b - d).abs() < 1e-9 && a < 0.0, "{left} {right}");
        }
        assert!(
            place("F1").unwrap().0 > place("F3").unwrap().0
                && place("F3").unwrap().0 > place("F7").unwrap().0
        );
        for none in ["", "1", "channel 1", "EMG", "ECG1", "Trigger", "C11", "Czz", "Q3", "Cz1", "µV", "AUX 3"]
        {
            assert_eq!(place(none), None, "{none}");
        }
    }
}
