//! Numbers and times as people read them.

use crate::catalog::Unit;

/// A number with its unit: `250 Hz`, `4.8 %`, `12 kΩ`. Three digits at most stand for what is measured.
#[must_use]
pub(super) fn amount(value: f64, unit: Unit) -> String {
    match unit {
        // Almost all is not all, and hardly any is not none.
        Unit::Ratio if (0.995..1.0).contains(&value) => {
            format!("{:.2} %", (value * 10_000.0).floor() / 100.0)
        }
        Unit::Ratio if value > 0.0 && value < 0.000_005 => "under 0.001 %".to_owned(),
        Unit::Ratio => format!("{} %", digits(value * 100.0)),
        Unit::Bytes => scaled(value, "B", 1.0, 4),
        Unit::Hertz => scaled(value, "Hz", 1.0, 4),
        Unit::Celsius => format!("{} °C", digits(value)),
        Unit::Watts => scaled(value, "W", 1.0, 3),
        Unit::Joules => scaled(value, "J", 1.0, 3),
        Unit::Ohms => scaled(value, "Ω", 1.0, 4),
        Unit::Volts => scaled(value, "V", 1e-9, 3),
        Unit::Seconds if value.abs() >= 100.0 => span(value),
        Unit::Seconds => scaled(value, "s", 1e-6, 1),
        Unit::None => digits(value),
    }
}

/// Prefixes of the thousands from 10⁻⁹ to 10¹².
const PREFIXES: &[(f64, &str)] =
    &[(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")];

/// A number with the prefix that leaves one to three digits before the point: none below `least`, and none greater than the `most`th
/// from one.
fn scaled(value: f64, unit: &str, least: f64, most: i32) -> String {
    let size = value.abs();
    let usable = |(factor, _): &&(f64, &str)| *factor >= least * 0.999 && *factor < 1e3f64.powi(most);
    let fitting = PREFIXES.iter().filter(usable).find(|(factor, _)| size >= factor * 0.9995);
    let (factor, prefix) = match fitting {
        Some(found) => *found,
        None if size == 0.0 => (1.0, ""),
        None => PREFIXES.iter().rfind(usable).copied().unwrap_or((1.0, "")),
    };
    format!("{} {prefix}{unit}", digits(value / factor))
}

/// Three digits of a number: `0`, `0.012`, `4.8`, `250`, `12,345`.
pub(super) fn digits(value: f64) -> String {
    let size = value.abs();
    let places = match size {
        _ if size < 0.000_5 => 0,
        _ if size < 0.1 => 3,
        _ if size < 9.95 => 2,
        _ if size < 99.5 => 1,
        _ => 0,
    };
    let text = format!("{value:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    if text == "0" {
        return "0".to_owned();
    }
    let whole = text.split('.').next().unwrap_or(text).len();
    let mut out = String::from(sign);
    for (place, character) in text.chars().enumerate() {
        if place > 0 && place < whole && (whole - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(character);
    }
    out
}

/// A time as long as this: `12 s`, `3 min`, `2 h 5 min`, `4 d`.
#[must_use]
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.abs().round().min(1e12) as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, ..) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

/// `a`, `a and b`, `a, b and c`, `a, b, c and 4 more`.
#[must_use]
pub(super) fn list(names: &[&str], most: usize) -> String {
    let shown = names.get(..most.min(names.len())).unwrap_or(names);
    let more = names.len() - shown.len();
    let last = if more > 0 { Some(format!("{more} more")) } else { None };
    let mut all: Vec<&str> = shown.to_vec();
    all.extend(last.as_deref());
    match all.split_last() {
        None => String::new(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

/// `1 channel`, `3 channels`.
#[must_use]
pub(super) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_prefix() {
        let all = [
            (amount(250.0, Unit::Hertz), "250 Hz"),
            (amount(30_000.0, Unit::Hertz), "30 kHz"),
            (amount(999.6, Unit::Hertz), "1 kHz"),
            (amount(0.25, Unit::Hertz), "0.25 Hz"),
            (amount(0.048_3, Unit::Ratio), "4.83 %"),
            (amount(1.0, Unit::Ratio), "100 %"),
            (amount(0.0, Unit::Ratio), "0 %"),
            (amount(0.000_004, Unit::Ratio), "under 0.001 %"),
            (amount(0.000_006, Unit::Ratio), "0.001 %"),
            (amount(0.999_999, Unit::Ratio), "99.99 %"),
            (amount(0.995, Unit::Ratio), "99.50 %"),
            (amount(12_300.0, Unit::Ohms), "12.3 kΩ"),
            (amount(0.000_012_3, Unit::Volts), "12.3 µV"),
            (amount(0.077, Unit::Seconds), "77 ms"),
            (amount(0.000_08, Unit::Seconds), "80 µs"),
            (amount(0.0, Unit::Seconds), "0 s"),
            (amount(12.0, Unit::Seconds), "12 s"),
            (amount(7_500.0, Unit::Seconds), "2 h 5 min"),
            (amount(1_234_567.0, Unit::None), "1,234,567"),
            (amount(-1_234.0, Unit::None), "-1,234"),
            (amount(0.5, Unit::None), "0.5"),
            (amount(17_500_000.0, Unit::Bytes), "17.5 MB"),
            (amount(3.0, Unit::Bytes), "3 B"),
            (amount(-0.000_1, Unit::None), "0"),
        ];
        for (got, want) in all {
            assert_eq!(got, want);
        }
    }

    #[test]
    fn lists_and_spans_are_sentences() {
        assert_eq!(list(&["a"], 3), "a");
        assert_eq!(list(&["a", "b"], 3), "a and b");
        assert_eq!(list(&["a", "b", "c", "d", "e"], 3), "a, b, c and 2 more");
        assert_eq!(list(&[], 3), "");
        assert_eq!((count(1, "device"), count(2, "device")), ("1 device".into(), "2 devices".into()));
        assert_eq!(
            (span(59.0), span(60.0), span(86_400.0 * 3.0 + 7_200.0)),
            ("59 s".into(), "1 min".into(), "3 d 2 h".into())
        );
    }
}
