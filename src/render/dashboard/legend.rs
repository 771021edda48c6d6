//! How many lines the legend of a panel over time has in a browser of 1280 pixels and on a phone, and how many there is room for.
//! Grafana 9 to 13 gives a legend below the lines 35 % of the panel; what does not fit can be scrolled to and is not seen.
//!
//! How many devices or sources there are is not known where dashboards are generated: a laboratory with many is assumed.

use super::variable::MACHINE;

/// A label, a part of the names of metrics for which it holds, and how many values the label has in a laboratory with many.
const MANY: &[(&str, &str, u32)] = &[
    ("device", "neural_host_", 3),
    ("device", "neural_tap_", 2),
    ("device", "", 9),
    ("source", "neural_program_", 4),
    ("source", "neural_source_other_messages", 6),
    ("source", "neural_stream_", 1),
    ("source", "neural_textfile_", 4),
    ("source", "probe", 8),
    ("source", "", 25),
    ("stream", "", 6),
    ("direction", "", 4),
    ("stage", "", 6),
    ("group", "", 3),
    ("state", "neural_host_tcp_connections", 6),
    ("reason", "neural_process_context_switches", 6),
    ("reason", "neural_agent_log_lines", 4),
    ("hook", "", 4),
    ("component", "", 14),
    ("alert", "", 25),
];

/// How many are above zero, or beyond whatever a query compares them with, at a time.
const FEW: u32 = 4;

/// Agents that are looked at together.
const AGENTS: u32 = 2;

/// Pixels of a letter; of the sign before a name and the space behind it; of a line.
const LETTER: f64 = 6.2;
const SIGN: f64 = 32.0;
const LINE: f64 = 23.4;

/// The letters of a value of a label, of the name of a stream's source (`lsl/demo-markers`), and of a machine with the sign before it.
const VALUE: usize = 8;
const STREAM: usize = 16;
const ADDRESS: usize = 11;

/// How many lines the names of the series take in a panel of so many of the 24 columns: the legend and the query of each target.
pub(super) fn lines<'a>(targets: impl Iterator<Item = (&'a str, &'a str)>, columns: u32) -> u32 {
    within(targets, f64::from(columns) * (1280.0 - 32.0) / 24.0 - 40.0)
}

/// The same on a phone, where a panel is as wide as the browser.
pub(super) fn lines_on_a_phone<'a>(targets: impl Iterator<Item = (&'a str, &'a str)>) -> u32 {
    within(targets, 390.0 - 48.0)
}

/// How many lines the names of the series take in so many pixels.
fn within<'a>(targets: impl Iterator<Item = (&'a str, &'a str)>, width: f64) -> u32 {
    let taken: f64 = targets
        .map(|(legend, expr)| {
            let (many, letters) = names(legend, expr);
            let each = letters as f64 * LETTER + SIGN;
            f64::from(many) / (width / each).floor().max(1.0)
        })
        .sum();
    // Lines are fewer than four thousand million.
    (taken - 1e-9).ceil().clamp(0.0, 1e6) as u32
}

/// How many lines are seen in a panel of a height.
pub(super) fn room(height: u32) -> u32 {
    ((f64::from(height) * 38.0 - 50.0) * 0.35 / LINE).clamp(0.0, 1e6) as u32
}

/// How many series a query has, and the letters of the name of each.
fn names(legend: &str, expr: &str) -> (u32, usize) {
    let machine = legend.contains(MACHINE) || legend.contains("{{instance}}");
    let labels: Vec<&str> = legend
        .split("{{")
        .skip(1)
        .filter_map(|rest| rest.split("}}").next())
        .filter(|of| *of != "instance")
        .collect();
    let plain: usize =
        legend.split("{{").map(|part| part.rsplit("}}").next().unwrap_or_default()).map(str::len).sum();
    let plain = plain - if legend.contains(MACHINE) { MACHINE.len() + 3 } else { 0 };
    let of = |label: &&str| {
        let known = MANY.iter().find(|(name, metric, _)| name == label && expr.contains(metric));
        known.map_or(1, |(.., many)| *many)
    };
    let many = labels.iter().map(of).max().unwrap_or(1);
    let most = expr.split("topk(").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok());
    let many = match most {
        Some(most) => many.min(most),
        // Each device has bad channels for several reasons.
        None if expr.trim_end().ends_with("> 0") => {
            many.min(if expr.contains("_bad_channel_") { 2 * FEW } else { FEW })
        }
        None => many,
    };
    let many = if many == 1 && machine { AGENTS } else { many };
    // Of a stream that its agent's own machine sends, the label is empty.
    let values = labels.iter().filter(|label| **label != "machine").count();
    let value = if expr.contains("neural_source_other_messages") { STREAM } else { VALUE };
    (many, plain + values * value + if machine { ADDRESS } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_as_they_were_seen() {
        let devices = || [("{{device}} ${shown_machine}", "max(neural_device_rate_hertz)")].into_iter();
        // Nine devices at two machines, in a third and in half of 1280 pixels, and on a phone.
        assert_eq!((lines(devices(), 8), lines(devices(), 12)), (5, 3));
        assert_eq!(lines_on_a_phone(devices()), 5);
        assert_eq!((room(8), room(9), room(11), room(12)), (3, 4, 5, 6));
        let streams =
            || [("{{stream}} {{machine}} ${shown_machine}", "max(neural_stream_rate_hertz)")].into_iter();
        assert_eq!((lines(streams(), 12), lines_on_a_phone(streams())), (2, 3));
        let failing = [("{{source}} ${shown_machine}", "sum(rate(neural_source_errors_total[5m])) > 0")];
        assert_eq!(lines(failing.into_iter(), 8), 2);
        let reasons = [(
            "{{device}} {{reason}} ${shown_machine}",
            "sum(rate(neural_device_bad_channel_seconds_total[5m])) > 0",
        )];
        assert_eq!(lines(reasons.into_iter(), 12), 4);
        let most = [(
            "{{source}} ${shown_machine}",
            "sum(rate(neural_source_events_total[5m])) and topk(5, neural_source_events_total)",
        )];
        assert_eq!(lines(most.into_iter(), 8), 3);
        let ways =
            [("{{direction}} errors ${shown_machine}", "sum(rate(neural_host_network_errors_total[5m]))")];
        // Received and transmitted, of two machines.
        assert_eq!(lines(ways.into_iter().chain(ways), 12), 4);
        // Names of streams' sources are long: one a line on a phone.
        let others = [("{{source}} ${shown_machine}", "sum(rate(neural_source_other_messages_total[5m]))")];
        assert_eq!(lines_on_a_phone(others.into_iter()), 6);
        assert_eq!(lines([("{{instance}}", "up")].into_iter(), 8), 1);
        assert_eq!(lines(std::iter::empty(), 8), 0);
    }
}
