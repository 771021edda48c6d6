//! Numbers, durations and strings as Prometheus writes and reads them in expressions and messages.

use std::fmt::{self, Write};

/// A number without exponent, in as few digits as name it: `0.1`, `1000000000000000000000`, `+Inf`, `NaN`.
#[must_use]
pub fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".into() } else { "-Inf".into() }
    } else {
        value.to_string()
    }
}

/// A number as `%g` of Go writes it, in as few digits as name it: with an exponent below 1e-4 and from 1e6.
#[must_use]
pub fn short(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size == 0.0 || (1e-4..1e6).contains(&size) {
        return number(value);
    }
    exponent(value)
}

/// A number with an exponent of two digits or more: `1.5e-07`.
#[must_use]
pub fn exponent(value: f64) -> String {
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, power)) => {
            let (sign, power) = power.strip_prefix('-').map_or(("+", power), |power| ("-", power));
            format!("{digits}e{sign}{power:0>2}")
        }
        None => text,
    }
}

/// A number in at most so many digits, as `%.2g` of Go writes it with two.
#[must_use]
pub fn digits(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return number(value);
    }
    let rounded = format!("{value:.*e}", digits.saturating_sub(1));
    match rounded.parse::<f64>() {
        // From there on its exponent is written.
        Ok(rounded) if rounded != 0.0 && !(1e-4..10_f64.powi(digits as i32)).contains(&rounded.abs()) => {
            exponent(rounded)
        }
        Ok(rounded) => number(rounded),
        Err(_) => rounded,
    }
}

/// Units of a duration in milliseconds, largest first. Weeks and years are written only if nothing remains.
const UNITS: [(&str, i64, bool); 7] = [
    ("y", 365 * 86_400_000, true),
    ("w", 7 * 86_400_000, true),
    ("d", 86_400_000, false),
    ("h", 3_600_000, false),
    ("m", 60_000, false),
    ("s", 1000, false),
    ("ms", 1, false),
];

/// A duration in milliseconds as Prometheus writes it: `1h30m`, `5ms`, `0s`.
#[must_use]
pub fn duration(milliseconds: i64) -> String {
    if milliseconds == 0 {
        return "0s".into();
    }
    let mut rest = milliseconds.unsigned_abs();
    let mut text = String::from(if milliseconds < 0 { "-" } else { "" });
    for (unit, size, whole) in UNITS {
        let size = size.unsigned_abs();
        if whole && !rest.is_multiple_of(size) {
            continue;
        }
        if rest >= size {
            let _ = write!(text, "{}{unit}", rest / size);
            rest %= size;
        }
    }
    text
}

/// The milliseconds that a text like `1h30m` names: whole numbers, units from large to small, each at most once.
///
/// # Errors
/// What is wrong with it.
pub fn read_duration(text: &str) -> Result<i64, String> {
    let wrong = || format!("not a valid duration string: {}", quoted(text.as_bytes()));
    if text == "0" {
        return Ok(0);
    }
    let (mut rest, mut total, mut from) = (text, 0_i64, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest.bytes().skip(digits).take_while(u8::is_ascii_alphabetic).count();
        let (Some(count), Some(unit)) = (rest.get(..digits), rest.get(digits..digits + letters)) else {
            return Err(wrong());
        };
        let at = UNITS.iter().skip(from).position(|(name, ..)| *name == unit).ok_or_else(wrong)? + from;
        let Some((_, size, _)) = UNITS.get(at) else { return Err(wrong()) };
        let count: i64 = if digits == 0 {
            return Err(wrong());
        } else {
            count.parse().map_err(|_| "duration out of range")?
        };
        total = count
            .checked_mul(*size)
            .and_then(|part| total.checked_add(part))
            .ok_or("duration out of range")?;
        // Above this, nanoseconds do not fit in 64 bits.
        if total > i64::MAX / 1_000_000 {
            return Err("duration out of range".into());
        }
        from = at + 1;
        rest = rest.get(digits + letters..).unwrap_or_default();
    }
    if text.is_empty() { Err("empty duration string".into()) } else { Ok(total) }
}

/// Whether a name needs no quotes as the name of a label.
pub(super) fn plain_label(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.chars().next().is_some_and(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// Writes the name of a label, in quotes where it needs them.
pub(super) fn write_name(out: &mut impl Write, name: &str) -> fmt::Result {
    if plain_label(name) { out.write_str(name) } else { write_quoted(out, name.as_bytes()) }
}

/// A text in double quotes, with the escapes of Go.
#[must_use]
pub fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    let _ = write_quoted(&mut out, bytes);
    out
}

/// Writes a text in double quotes, with the escapes of Go: bytes that are no UTF-8 as `\x..`.
pub(super) fn write_quoted(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    out.write_char('"')?;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.write_str("\\\"")?,
                '\\' => out.write_str("\\\\")?,
                '\n' => out.write_str("\\n")?,
                '\r' => out.write_str("\\r")?,
                '\t' => out.write_str("\\t")?,
                '\u{7}' => out.write_str("\\a")?,
                '\u{8}' => out.write_str("\\b")?,
                '\u{c}' => out.write_str("\\f")?,
                '\u{b}' => out.write_str("\\v")?,
                c if (c as u32) < 0x20 || c == '\u{7f}' => write!(out, "\\x{:02x}", c as u32)?,
                c if c.is_control() || c == '\u{feff}' || (0x2028..=0x2029).contains(&(c as u32)) => {
                    write!(out, "\\u{:04x}", c as u32)?;
                }
                c => out.write_char(c)?,
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    out.write_char('"')
}

/// The text between quotes of one of the three kinds, its escapes resolved. Escapes may name bytes that are no UTF-8.
///
/// # Errors
/// What is wrong with it.
pub fn unquote(quoted: &str) -> Result<Vec<u8>, String> {
    let inner = |quote: char| quoted.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    if let Some(raw) = inner('`') {
        return Ok(raw.replace('\r', "").into_bytes());
    }
    let Some(text) = inner('"').or_else(|| inner('\'')) else { return Err("not a string".into()) };
    let mut out = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let c = chars.next().ok_or("the string ends in a backslash")?;
        let simple = match c {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            '\\' | '\'' | '"' => c as u8,
            'x' | 'u' | 'U' | '0'..='7' => {
                escaped(c, &mut chars, &mut out)?;
                continue;
            }
            c => return Err(format!("unknown escape sequence \\{c}")),
        };
        out.push(simple);
    }
    Ok(out)
}

/// An escape with digits: `\x41`, `\101`, `\u00e9`.
fn escaped(kind: char, chars: &mut std::str::Chars<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    let (digits, base) = match kind {
        'x' => (2, 16),
        'u' => (4, 16),
        'U' => (8, 16),
        _ => (2, 8),
    };
    let mut value = kind.to_digit(8).filter(|_| base == 8).unwrap_or(0);
    for _ in 0..digits {
        let digit = chars.next().and_then(|c| c.to_digit(base)).ok_or("an escape sequence lacks digits")?;
        value = value
            .checked_mul(base)
            .and_then(|value| value.checked_add(digit))
            .ok_or("escape out of range")?;
    }
    if matches!(kind, 'u' | 'U') {
        let c = char::from_u32(value).ok_or("an escape sequence is no Unicode code point")?;
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        out.push(u8::try_from(value).map_err(|_| "an octal escape is above 255")?);
    }
    Ok(())
}

/// `1970-01-01T00:00:00.123Z`: a time in milliseconds.
#[must_use]
pub fn moment_ms(milliseconds: i64) -> String {
    let seconds = moment(milliseconds);
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), milliseconds.rem_euclid(1000))
}

/// `1970-01-01T00:00:00Z`: a time in seconds.
#[must_use]
pub fn moment(milliseconds: i64) -> String {
    let date = super::functions::time::Date::at(milliseconds.div_euclid(1000));
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year, date.month, date.day, date.hour, date.minute, date.second
    )
}

/// A time of RFC 3339 as milliseconds since the epoch; what is finer is rounded.
#[must_use]
pub fn read_moment(text: &str) -> Option<i64> {
    let (date, clock) = text.split_once(['T', 't'])?;
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let (clock, offset) = match clock.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let at = clock.rfind(['+', '-'])?;
            let (clock, zone) = clock.split_at_checked(at)?;
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
            (clock, if zone.starts_with('-') { -minutes } else { minutes })
        }
    };
    let mut parts = clock.splitn(3, ':');
    let (hour, minute) = (parts.next()?.parse::<i64>().ok()?, parts.next()?.parse::<i64>().ok()?);
    let second = parts.next()?.parse::<f64>().ok()?;
    let right = (0..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..61.0).contains(&second);
    let days = right.then(|| days(year, month, day))?;
    Some(((days * 24 + hour) * 60 + minute - offset) * 60_000 + (second * 1000.0).round() as i64)
}

/// Days from the epoch to a date of the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let f: Vec<String> =
            [0.1, 1e21, -0.0, 5.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(number).into();
        assert_eq!(f, ["0.1", "1000000000000000000000", "-0", "5", "+Inf", "-Inf", "NaN"]);
        let g: Vec<String> = [1e21, 1e-5, 0.0001, 123_456_789.0, 1.5e-7].map(short).into();
        assert_eq!(g, ["1e+21", "1e-05", "0.0001", "1.23456789e+08", "1.5e-07"]);
    }

    #[test]
    fn durations_are_read_and_written() {
        for (text, milliseconds) in [
            ("1h30m", 5_400_000),
            ("5ms", 5),
            ("1w", 604_800_000),
            ("1y", 31_536_000_000),
            ("8d", 691_200_000),
        ] {
            assert_eq!(read_duration(text), Ok(milliseconds));
            assert_eq!(duration(milliseconds), text);
        }
        assert_eq!(duration(0), "0s");
        for wrong in ["", "1", "m", "1m1h", "1m1m", "1hs", "1.5h", "99999999999y", "1xs"] {
            assert!(read_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn strings_keep_their_bytes() {
        for (text, bytes) in [
            (r#""a\tb""#, b"a\tb".as_slice()),
            (r"'\'\x41\101\u00e9'", "'AA\u{e9}".as_bytes()),
            (r"`a\n`", br"a\n"),
            (r#""a\xc5z""#, b"a\xc5z"),
        ] {
            assert_eq!(unquote(text).unwrap(), bytes);
        }
        assert_eq!(quoted(b"a\xc5z\n\"\\\x01"), r#""a\xc5z\n\"\\\x01""#);
        for wrong in [r#""\q""#, r#""\x4""#, r#""\ud800""#, r#""\777""#] {
            assert!(unquote(wrong).is_err(), "{wrong}");
        }
    }
}
