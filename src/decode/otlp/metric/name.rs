//! What Prometheus calls a metric, a unit and an attribute of OpenTelemetry.
//!
//! The rules are those of the specification of OpenTelemetry, "Prometheus and OpenMetrics compatibility", with suffixes.

use std::borrow::Cow;

use crate::event::Kind;

/// Units of UCUM that have a word in Prometheus. Of those that are not here the name has the letters.
const UNITS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// The same of what stands after a stroke.
const PER: &[(&str, &str)] = &[
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// The unit of UCUM that Prometheus calls so, where there is one.
#[must_use]
pub fn ucum(word: &str) -> Option<&'static str> {
    let known = |word: &str| UNITS.iter().find(|(_, known)| *known == word).map(|(unit, _)| *unit);
    match word {
        "" => None,
        "ratio" => Some("1"),
        word => known(word),
    }
}

/// A family's name, without `_total`, and the unit that it ends in.
pub(super) fn family(name: &str, unit: &str, kind: Kind) -> (String, String) {
    let mut words: Vec<Cow<'_, str>> = words(name, ':').map(Cow::from).collect();
    let (main, per) = units(unit);
    let mut ending = String::new();
    for suffix in [main, per] {
        if !suffix.is_empty() && !words.contains(&Cow::from(&*suffix)) {
            ending.push_str(if ending.is_empty() { "" } else { "_" });
            ending.push_str(&suffix);
            words.push(suffix.into());
        }
    }
    if kind == Kind::Counter {
        words.retain(|word| word != "total");
    }
    if kind == Kind::Gauge && unit == "1" {
        words.retain(|word| word != "ratio");
        words.push("ratio".into());
        "ratio".clone_into(&mut ending);
    }
    if ending.is_empty()
        && let (Some(last), (main, _)) = (words.last(), units(unit))
        && *last == main
    {
        ending = main;
    }
    let mut name = words.join("_");
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    (name, ending)
}

/// The pieces of a name that are letters and digits.
fn words(name: &str, besides: char) -> impl Iterator<Item = &str> {
    let fits = move |c: char| c.is_ascii_alphanumeric() || c == besides;
    name.split(move |c| !fits(c)).filter(|word| !word.is_empty())
}

/// The word of a unit, and that of what it is per.
fn units(unit: &str) -> (String, String) {
    let word = |unit: &str, table: &[(&str, &str)]| {
        // What is in braces is for people.
        let unit = unit.trim();
        if unit.contains(['{', '}']) {
            return String::new();
        }
        match table.iter().find(|(known, _)| *known == unit) {
            Some((_, word)) => (*word).to_owned(),
            None => words(unit, '\0').collect::<Vec<_>>().join("_"),
        }
    };
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let per = word(per, PER);
    (word(main, UNITS), if per.is_empty() { per } else { format!("per_{per}") })
}

/// A label's name.
pub(super) fn label(key: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut label: String = key.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    // Two underlines at the beginning are Prometheus' own.
    if label.starts_with(|c: char| c.is_ascii_digit()) || label.starts_with("__") {
        label.insert_str(0, if label.starts_with('_') { "key" } else { "key_" });
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        for (name, unit, kind, want, ending) in [
            (
                "http.server.request.duration",
                "s",
                Kind::Histogram,
                "http_server_request_duration_seconds",
                "seconds",
            ),
            ("requests", "1", Kind::Counter, "requests", ""),
            ("requests.total", "", Kind::Counter, "requests", ""),
            ("requests", "{request}", Kind::Counter, "requests", ""),
            ("system.memory.utilization", "1", Kind::Gauge, "system_memory_utilization_ratio", "ratio"),
            ("ratio.of.ratio", "1", Kind::Gauge, "of_ratio", "ratio"),
            ("disk.io", "By", Kind::Counter, "disk_io_bytes", "bytes"),
            ("disk_bytes", "By", Kind::Counter, "disk_bytes", "bytes"),
            ("bytes.read", "By", Kind::Counter, "bytes_read", ""),
            ("speed", "m/s", Kind::Gauge, "speed_meters_per_second", "meters_per_second"),
            ("rate", "{request}/m", Kind::Gauge, "rate_per_minute", "per_minute"),
            ("fuel", "l/{lap}", Kind::Gauge, "fuel_l", "l"),
            ("9lives", "", Kind::Gauge, "_9lives", ""),
            ("a..b--c__d", "", Kind::Gauge, "a_b_c_d", ""),
            ("a:b", "ms", Kind::Gauge, "a:b_milliseconds", "milliseconds"),
            ("ünï", "°", Kind::Gauge, "n", ""),
            ("...", "", Kind::Gauge, "", ""),
        ] {
            assert_eq!(family(name, unit, kind), (want.to_owned(), ending.to_owned()), "{name} {unit}");
        }
    }

    #[test]
    fn labels_are_those_of_prometheus() {
        for (key, want) in [
            ("http.method", "http_method"),
            ("5xx", "key_5xx"),
            ("__name__", "key__name__"),
            ("_a", "_a"),
            ("a b/c", "a_b_c"),
        ] {
            assert_eq!(label(key), want);
        }
    }
}
