//! Values as text, as Go's `fmt` writes them.

use std::fmt::Write;

use super::Value;
use crate::promql::{Labels, digits, moment, short};

/// As an action writes its value.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Nil => "<no value>".into(),
        value => verb_v(value),
    }
}

/// `%v`.
fn verb_v(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(" ");
    match value {
        Value::Nil => "<nil>".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => short(*value),
        Value::Text(text) => text.clone(),
        Value::Labels(labels) => map(labels),
        Value::Sample(labels, value) => format!("&{{{} {}}}", map(labels), short(*value)),
        Value::List(values) => format!("[{}]", joined(values.iter().map(verb_v).collect())),
        Value::Map(values) => {
            format!(
                "map[{}]",
                joined(values.iter().map(|(name, value)| format!("{name}:{}", verb_v(value))).collect())
            )
        }
        Value::Time(time) => timestamp(*time),
        Value::Root => "{}".into(),
    }
}

fn map(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("map[{}]", pairs.join(" "))
}

/// A time in milliseconds as `time.Time` of Go: `2015-01-02 03:04:05.6 +0000 UTC`.
pub(super) fn timestamp(milliseconds: i64) -> String {
    let second = moment(milliseconds).replace('T', " ").replace('Z', "");
    let fraction = format!(".{:03}", milliseconds.rem_euclid(1000));
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{second}{fraction} +0000 UTC")
}

/// `print`: a space between two operands of which none is text.
pub(super) fn print(values: &[Value]) -> String {
    let mut text = String::new();
    let mut before: Option<&Value> = None;
    for value in values {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if before.is_some_and(|before| !is_text(before) && !is_text(value)) {
            text.push(' ');
        }
        text.push_str(&verb_v(value));
        before = Some(value);
    }
    text
}

/// `println`: spaces between all, and the end of a line.
pub(super) fn println(values: &[Value]) -> String {
    let parts: Vec<String> = values.iter().map(verb_v).collect();
    format!("{}\n", parts.join(" "))
}

/// Characters by which a number or text may be filled up.
const WIDEST: usize = 1000;

#[derive(Default)]
struct Flags {
    minus: bool,
    plus: bool,
    space: bool,
    zero: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// `printf`.
pub(super) fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest = format;
    while let Some((before, behind)) = rest.split_once('%') {
        out.push_str(before);
        let (flags, behind) = flags(behind, &mut values)?;
        let Some(verb) = behind.chars().next() else {
            out.push_str("%!(NOVERB)");
            return Ok(out);
        };
        rest = behind.get(verb.len_utf8()..).unwrap_or_default();
        if verb == '%' {
            out.push('%');
        } else if let Some(value) = values.next() {
            out.push_str(&one(verb, &flags, value));
        } else {
            let _ = write!(out, "%!{verb}(MISSING)");
        }
    }
    out.push_str(rest);
    let extra: Vec<String> = values.map(|value| format!("{}={}", value.kind(), verb_v(value))).collect();
    if !extra.is_empty() {
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    Ok(out)
}

/// Flags, width and precision of a verb, and what is behind them.
fn flags<'f>(text: &'f str, values: &mut std::slice::Iter<'_, Value>) -> Result<(Flags, &'f str), String> {
    let mut flags = Flags::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c {
            '-' => flags.minus = true,
            '+' => flags.plus = true,
            ' ' => flags.space = true,
            '0' => flags.zero = true,
            '#' => flags.sharp = true,
            _ => break,
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    let (width, behind) = size(rest, values)?;
    flags.width = width.unwrap_or(0);
    rest = behind;
    if let Some(behind) = rest.strip_prefix('.') {
        let (precision, behind) = size(behind, values)?;
        flags.precision = Some(precision.unwrap_or(0));
        rest = behind;
    }
    Ok((flags, rest))
}

fn size<'f>(
    text: &'f str,
    values: &mut std::slice::Iter<'_, Value>,
) -> Result<(Option<usize>, &'f str), String> {
    let too_wide = || format!("a width of more than {WIDEST}");
    if let Some(rest) = text.strip_prefix('*') {
        let Some(Value::Int(width)) = values.next() else {
            return Err("the width \"*\" takes a whole number".into());
        };
        let width = usize::try_from(*width).ok().filter(|width| *width <= WIDEST);
        return Ok((Some(width.ok_or_else(too_wide)?), rest));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(digits).unwrap_or((text, ""));
    if number.is_empty() {
        return Ok((None, rest));
    }
    let number = number.parse::<usize>().ok().filter(|number| *number <= WIDEST);
    Ok((Some(number.ok_or_else(too_wide)?), rest))
}

/// A value by a verb.
fn one(verb: char, flags: &Flags, value: &Value) -> String {
    let wrong = || format!("%!{verb}({}={})", value.kind(), verb_v(value));
    let cut = |text: &str| match flags.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text.to_owned(),
    };
    match (verb, value) {
        ('v', Value::Float(number)) => padded(&signed(short(*number), *number < 0.0, flags), true, flags),
        ('v', Value::Int(number)) => padded(&signed(number.to_string(), *number < 0, flags), true, flags),
        ('v', value) => padded(&cut(&verb_v(value)), false, flags),
        ('s', Value::Text(text)) => padded(&cut(text), false, flags),
        ('s', Value::Labels(_) | Value::List(_) | Value::Map(_) | Value::Time(_)) => {
            padded(&cut(&verb_v(value)), false, flags)
        }
        ('q', Value::Text(text)) => padded(&crate::promql::quoted(cut(text).as_bytes()), false, flags),
        ('t', Value::Bool(value)) => padded(&value.to_string(), false, flags),
        ('T', value) => padded(value.kind(), false, flags),
        ('d' | 'b' | 'o' | 'x' | 'X' | 'c', Value::Int(number)) => whole(verb, *number, flags),
        ('x' | 'X', Value::Text(text)) => {
            let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            padded(&if verb == 'X' { hex.to_uppercase() } else { hex }, false, flags)
        }
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(number)) => float(verb, *number, flags),
        _ => wrong(),
    }
}

fn whole(verb: char, number: i64, flags: &Flags) -> String {
    let size = number.unsigned_abs();
    let text = match verb {
        'b' => format!("{size:b}"),
        'o' => format!("{}{size:o}", if flags.sharp { "0" } else { "" }),
        'x' => format!("{}{size:x}", if flags.sharp { "0x" } else { "" }),
        'X' => format!("{}{size:X}", if flags.sharp { "0X" } else { "" }),
        'c' => {
            return padded(
                &u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string(),
                false,
                flags,
            );
        }
        _ => format!("{size:0>precision$}", precision = flags.precision.unwrap_or(0)),
    };
    let text = if number < 0 { format!("-{text}") } else { text };
    padded(&signed(text, number < 0, flags), true, flags)
}

fn float(verb: char, number: f64, flags: &Flags) -> String {
    let text = if number.is_nan() || number.is_infinite() {
        short(number)
    } else {
        match verb.to_ascii_lowercase() {
            'e' => {
                let digits = format!("{number:.*e}", flags.precision.unwrap_or(6));
                // Go writes an exponent of two digits and its sign.
                match digits.split_once('e') {
                    Some((digits, power)) => {
                        let (sign, power) =
                            power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
                        format!("{digits}e{sign}{power:0>2}")
                    }
                    None => digits,
                }
            }
            'f' => format!("{number:.*}", flags.precision.unwrap_or(6)),
            _ => match flags.precision {
                Some(precision) => digits(number, precision.max(1)),
                None => short(number),
            },
        }
    };
    let text = if verb.is_ascii_uppercase() { text.to_ascii_uppercase() } else { text };
    let text = if number.is_infinite() { text.trim_start_matches('+').to_owned() } else { text };
    let plus = if number.is_infinite() && number > 0.0 && !flags.plus { "+" } else { "" };
    padded(&format!("{plus}{}", signed(text, number < 0.0, flags)), number.is_finite(), flags)
}

/// With the sign that a flag asks for.
fn signed(text: String, negative: bool, flags: &Flags) -> String {
    match (negative || text.starts_with('+'), flags.plus, flags.space) {
        (false, true, _) => format!("+{text}"),
        (false, false, true) => format!(" {text}"),
        _ => text,
    }
}

/// Filled up to its width, behind its sign where it is filled with zeros.
fn padded(text: &str, number: bool, flags: &Flags) -> String {
    let missing = flags.width.saturating_sub(text.chars().count());
    if missing == 0 {
        return text.to_owned();
    }
    if flags.minus {
        return format!("{text}{}", " ".repeat(missing));
    }
    if flags.zero && number {
        let signs = usize::from(text.starts_with(['+', '-', ' ']));
        let (sign, digits) = text.split_at_checked(signs).unwrap_or(("", text));
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    format!("{}{text}", " ".repeat(missing))
}
