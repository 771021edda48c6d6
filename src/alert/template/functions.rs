//! The functions of templates: Prometheus' own, and those of Go.

use std::net::IpAddr;

use regex::Regex;

use super::format::{print, printf, println, timestamp};
use super::{Data, Value, by_label, compare};
use crate::promql::digits;

/// Bytes that a text may have in which something was replaced.
const REPLACED: usize = 1 << 20;

/// What a function may ask of the template that calls it.
pub(super) trait Caller {
    /// What the template is about.
    fn data(&self) -> &Data<'_>;

    /// A regular expression, compiled once for all of the template.
    fn pattern(&mut self, text: &str) -> Result<Regex, String>;

    /// The text of a template that was defined.
    fn template(&mut self, name: &str, with: &Value) -> Result<String, String>;
}

/// Carries a function out.
pub(super) fn call(run: &mut dyn Caller, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let done = match compare::call(name, arguments) {
        Some(done) => done,
        None => match number(name, arguments).or_else(|| text(run, name, arguments)) {
            Some(done) => done,
            None => other(run, name, arguments),
        },
    };
    done.map_err(|why| format!("error calling {name}: {why}"))
}

/// The only argument.
fn only<'a>(name: &str, arguments: &'a [Value]) -> Result<&'a Value, String> {
    match arguments {
        [one] => Ok(one),
        other => Err(format!("wrong number of args for {name}: want 1 got {}", other.len())),
    }
}

fn as_text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("wrong type for value; expected string; got {}", other.kind())),
    }
}

/// What can be read as a number.
fn as_number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::Text(text) => {
            let number = text.trim_start_matches('+').parse();
            number.map_err(|_| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))
        }
        other => Err(format!("can't convert {} to float", other.kind())),
    }
}

/// Functions of one number.
fn number(name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    let write: fn(f64) -> Result<String, String> = match name {
        "humanize" => |v| Ok(scaled(v, 1000.0, &["k", "M", "G", "T", "P", "E", "Z", "Y"])),
        "humanize1024" => |v| Ok(binary(v)),
        "humanizeDuration" => |v| Ok(duration(v)),
        "humanizePercentage" => |v| Ok(format!("{}%", digits(v * 100.0, 4))),
        "humanizeTimestamp" => |v| match time(v) {
            _ if !v.is_finite() => Ok(digits(v, 4)),
            time => time.map(timestamp),
        },
        _ => return None,
    };
    Some(only(name, arguments).and_then(as_number).and_then(write).map(Value::Text))
}

/// Milliseconds of a time in seconds.
fn time(seconds: f64) -> Result<i64, String> {
    let nanoseconds = seconds * 1e9;
    if nanoseconds.abs() > i64::MAX as f64 || nanoseconds.is_nan() {
        return Err(format!(
            "{} cannot be represented as a nanoseconds timestamp since it overflows int64",
            crate::promql::short(seconds)
        ));
    }
    Ok((nanoseconds as i64).div_euclid(1_000_000))
}

const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// A number below 1000 with the prefix of its size.
fn scaled(value: f64, by: f64, large: &[&'static str]) -> String {
    if value == 0.0 || !value.is_finite() {
        return digits(value, 4);
    }
    let (mut value, mut prefix) = (value, "");
    if value.abs() >= 1.0 {
        for next in large {
            if value.abs() < by {
                break;
            }
            prefix = next;
            value /= by;
        }
    } else {
        for next in SMALL {
            if value.abs() >= 1.0 {
                break;
            }
            prefix = next;
            value *= by;
        }
    }
    format!("{}{prefix}", digits(value, 4))
}

fn binary(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return digits(value, 4);
    }
    scaled(value, 1024.0, &["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"])
}

/// Seconds as days, hours, minutes and seconds.
fn duration(value: f64) -> String {
    if !value.is_finite() {
        return digits(value, 4);
    }
    if value.abs() < 1.0 {
        return format!("{}s", scaled(value, 1000.0, &[]));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    let whole = value as i64;
    let (seconds, minutes, hours, days) = (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", digits(value, 4)),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

/// Functions of text, and of numbers that are text.
fn text(run: &dyn Caller, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
    let root = || run.data().external_url;
    let of_text: fn(&str) -> String = match name {
        "toUpper" => |text| text.to_uppercase(),
        "toLower" => |text| text.to_lowercase(),
        "title" => title,
        "stripPort" => |text| split_host_port(text).map_or(text, |(host, _)| host).to_owned(),
        "stripDomain" => strip_domain,
        "urlQueryEscape" => query_escape,
        "safeHtml" => |text| text.to_owned(),
        "graphLink" => |expr| format!("/graph?g0.expr={}&g0.tab=0", query_escape(expr)),
        "tableLink" => super::table_link,
        "externalURL" => return Some(Ok(Value::Text(root().to_owned()))),
        "pathPrefix" => {
            let behind = root().split_once("://").map_or("", |(_, rest)| rest);
            let path = behind.find('/').and_then(|at| behind.get(at..)).unwrap_or_default();
            return Some(Ok(Value::Text(path.trim_end_matches('/').to_owned())));
        }
        "html" => return Some(Ok(Value::Text(html(&print(arguments))))),
        "urlquery" => return Some(Ok(Value::Text(query_escape(&print(arguments))))),
        "print" => return Some(Ok(Value::Text(print(arguments)))),
        "println" => return Some(Ok(Value::Text(println(arguments)))),
        "printf" => {
            let Some((format, values)) = arguments.split_first() else {
                return Some(Err("wrong number of args for printf: want at least 1 got 0".into()));
            };
            return Some(as_text(format).and_then(|format| printf(format, values)).map(Value::Text));
        }
        _ => return None,
    };
    Some(only(name, arguments).and_then(as_text).map(|text| Value::Text(of_text(text))))
}

/// With a capital at the beginning of each word.
fn title(text: &str) -> String {
    let mut before = ' ';
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let separates = if before.is_ascii() {
            !(before.is_ascii_alphanumeric() || before == '_')
        } else {
            before.is_whitespace()
        };
        if separates {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        before = c;
    }
    out
}

/// Host and port as Go's `net.SplitHostPort` splits them.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(inner) => Some((inner.strip_suffix(']')?, port)),
        None => (!host.contains([':', '[', ']'])).then_some((host, port)),
    }
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let host = host.split('.').next().unwrap_or(host);
    if port.is_empty() { host.to_owned() } else { format!("{host}:{port}") }
}

/// What Go leaves as it is in a query.
const QUERY: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// As Go's `url.QueryEscape`: a space is `+`.
pub(super) fn query_escape(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, QUERY).to_string().replace("%20", "+")
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The text with every match replaced, where that is not too long.
fn replace_all(regex: &Regex, text: &str, with: &str) -> Result<String, String> {
    let (mut out, mut end) = (String::new(), 0);
    let groups = with.matches('$').count();
    for captures in regex.captures_iter(text) {
        let Some(all) = captures.get(0) else { continue };
        out.push_str(text.get(end..all.start()).unwrap_or_default());
        if out.len() + with.len() + groups * all.len() > REPLACED {
            return Err(format!("a text of more than {} MiB", REPLACED >> 20));
        }
        captures.expand(with, &mut out);
        end = all.end();
    }
    out.push_str(text.get(end..).unwrap_or_default());
    Ok(out)
}

/// Functions of lists, series and time.
fn other(run: &mut dyn Caller, name: &str, arguments: &[Value]) -> Result<Value, String> {
    let count = arguments.len();
    let wrong = || Err(format!("wrong number or type of arguments for {name}"));
    match (name, arguments) {
        ("not", [value]) => Ok(Value::Bool(!value.is_true())),
        ("len", [value]) => length(value),
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), |value, key| index(&value, key)),
        ("args", values) => {
            let named = values.iter().enumerate().map(|(at, value)| (format!("arg{at}"), value.clone()));
            Ok(Value::Map(named.collect()))
        }
        ("now", []) => Ok(Value::Float(run.data().now as f64 / 1000.0)),
        ("toTime", [value]) => as_number(value).and_then(time).map(Value::Time),
        ("parseDuration", [Value::Text(text)]) => {
            crate::promql::read_duration(text).map(|milliseconds| Value::Float(milliseconds as f64 / 1000.0))
        }
        ("match", [Value::Text(pattern), Value::Text(text)]) => {
            run.pattern(pattern).map(|regex| Value::Bool(regex.is_match(text)))
        }
        ("reReplaceAll", [Value::Text(pattern), Value::Text(with), Value::Text(text)]) => {
            run.pattern(pattern).and_then(|regex| replace_all(&regex, text, with)).map(Value::Text)
        }
        ("query", [Value::Text(expr)]) => {
            let found = (run.data().query)(expr)?;
            Ok(Value::List(found.into_iter().map(|one| Value::Sample(one.labels, one.value)).collect()))
        }
        ("first", [Value::List(values)]) => {
            values.first().cloned().ok_or_else(|| "first() called on vector with no elements".into())
        }
        ("label", [Value::Text(name), Value::Sample(labels, _)]) => {
            Ok(Value::Text(labels.get(name).to_owned()))
        }
        ("value", [Value::Sample(_, value)]) => Ok(Value::Float(*value)),
        ("strvalue", [Value::Sample(labels, _)]) => Ok(Value::Text(labels.get("__value__").to_owned())),
        ("sortByLabel", [Value::Text(name), Value::List(values)]) => {
            let mut values = values.clone();
            values.sort_by(|a, b| by_label(name, a, b));
            Ok(Value::List(values))
        }
        ("tmpl", [Value::Text(name), with]) => run.template(name, with).map(Value::Text),
        _ if count == 0 => Err(format!("{name} takes arguments")),
        _ => wrong(),
    }
}

fn length(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(values) => values.len(),
        Value::Labels(labels) => labels.iter().count(),
        Value::Map(values) => values.len(),
        other => return Err(format!("len of type {}", other.kind())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(value: &Value, key: &Value) -> Result<Value, String> {
    match (value, key) {
        (Value::Labels(labels), Value::Text(name)) => Ok(Value::Text(labels.get(name).to_owned())),
        (Value::Map(values), Value::Text(name)) => Ok(values.get(name).cloned().unwrap_or(Value::Nil)),
        (Value::List(values), Value::Int(at)) => {
            let found = usize::try_from(*at).ok().and_then(|at| values.get(at)).cloned();
            found.ok_or_else(|| format!("index out of range: {at}"))
        }
        (value, key) => Err(format!("can't index item of type {} by {}", value.kind(), key.kind())),
    }
}
