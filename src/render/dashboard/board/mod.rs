//! The dashboards that ship, one file each or two. What a page has beyond its tables here is drawn by
//! `default`.

/// "7 of 8", coloured by a number: the words are a label of the one series there is, because no panel puts two numbers
/// into a line. Where there is no whole, `none` is said.
macro_rules! of {
    (part: $part:expr, whole: $whole:expr, none: $none:literal) => {
        of!(part: $part, whole: $whole, colour: concat!("(", $whole, " - ", $part, ")"), none: $none)
    };
    (part: $part:expr, whole: $whole:expr, colour: $colour:expr, none: $none:literal) => {
        concat!(
            "label_join(\n  count_values(\"whole\", ", $whole, ")\n  * on () group_left (part) count_values(\"part\", ",
            $part, ")\n  * on () group_left () ", $colour,
            ",\n  \"said\", \" of \", \"part\", \"whole\"\n)\nor on () label_replace(vector(NaN), \"said\", \"", $none,
            "\", \"\", \"\")"
        )
    };
}

/// The name of what `of!` makes.
const SAID: &str = "{{said}}";

/// What alerts are about, as a label `where`: the thing first, of which a phone shows the beginning, the machine last, without the
/// port that an agent has by default. A source that has the name of its device is not said twice.
macro_rules! placed {
    ($alerts:literal) => {
        concat!(
            "label_replace(label_join(label_replace(label_replace(",
            $alerts,
            ", \"input_name\", \"$1\", \"source\", \"(.*)\"), \"input_name\", \"\", \"device\", \".+\"), \"where\", \" \", \"device\", \"gpu\", \"input_name\", \"stream\", \"channel\", \"input\", \"pipeline\", \"stage\", \"queue\", \"cache\", \"model\", \"engine\", \"service\", \"check\", \"database\", \"operation\", \"route\", \"group\", \"mount\", \"interface\", \"sensor\", \"resource\", \"reason\", \"kind\", \"error\", \"xid\", \"output\", \"family\", \"rule_group\", \"listen\", \"alert\", \"hook\", \"task\", \"metric\", \"baseline\", \"instance\"), \"where\", \"$1\", \"where\", \"\\\\s*(.*?)(:9612)?\\\\s*\")"
        )
    };
}

/// Every device that is configured, or was there within the chosen time, or whose source is still waited for: those that the table of
/// devices has. 1 if its link is up, 0 if its port is not open or it is gone.
macro_rules! devices {
    () => {
        "(max by (job, instance, device) (neural_port_state{state=~\"open|silent\"}) or max by (job, instance, device) (neural_device_info) or 0 * max by (job, instance, device) (last_over_time(neural_device_info[$__range])) or max by (job, instance, device) (neural_device_frames_total) * 0 and on (job, instance, device) label_replace(neural_source_up == 0, \"device\", \"$1\", \"source\", \"(.*)\"))"
    };
}

/// How many of them sent a sample within the last second.
macro_rules! streaming {
    () => {
        of!(
            part: "(sum(neural_device_streaming) or vector(0))",
            whole: concat!("count(", devices!(), ")"),
            none: "no device"
        )
    };
}

/// How many channels are bad, coloured by the score of the worst.
macro_rules! bad_channels {
    () => {
        of!(
            part: "sum(neural_device_bad_channels)",
            whole: "count(neural_channel_quality_ratio)",
            colour: "min(neural_channel_quality_ratio)",
            none: "no signal"
        )
    };
}

/// A series of each channel, with the label `channel_name`, which sorts in the order of the device.
macro_rules! named {
    ($channels:expr) => {
        named!($channels, "neural_channel_info")
    };
    ($channels:expr, $names:expr) => {
        concat!(
            "(", $channels,
            ")\n* on (job, instance, device, channel) group_left (channel_name)\ntopk by (job, instance, device, channel) (1, ",
            $names, ")"
        )
    };
}

/// The same series, sorted in the order of the device. Rows are drawn in the order of the series, which is that of their labels, and
/// `channel` stands before `channel_name`: 10 before 2. So the name is in a label before all others as well.
macro_rules! ordered {
    ($channels:expr) => {
        concat!("label_replace(", $channels, ", \"_order\", \"$1\", \"channel_name\", \"(.*)\")")
    };
}

/// How fast a counter grows for each of some labels, of those alone that grew most within the chosen time: so many as can be read.
/// Where they are chosen at each moment, lines would begin and end all the time.
macro_rules! busiest {
    ($many:literal, $counter:literal, $by:literal) => {
        concat!(
            "sum by (instance, ",
            $by,
            ") (rate(",
            $counter,
            "[$__rate_interval])) and on (instance, ",
            $by,
            ") topk(",
            $many,
            ", sum by (instance, ",
            $by,
            ") (increase(",
            $counter,
            "[$__range] @ end())))"
        )
    };
}

/// The same of what is no counter: those that were highest.
macro_rules! highest {
    ($many:literal, $gauge:literal, $by:literal) => {
        concat!(
            "max by (instance, ",
            $by,
            ") (",
            $gauge,
            ") and on (instance, ",
            $by,
            ") topk(",
            $many,
            ", max by (instance, ",
            $by,
            ") (max_over_time(",
            $gauge,
            "[$__range] @ end())))"
        )
    };
}

/// Follows `… or vector(0)` in a number of alerts, which is 0 only where rules are evaluated: the watchdog fires there. It
/// has no braces of its own name, so that the choices above a dashboard do not hide it.
macro_rules! evaluated {
    () => {
        " and on () {__name__=\"ALERTS\",alertname=\"NeuralWatchdog\"}"
    };
}

/// What is left out where the watchdog is off.
pub(super) const EVALUATED: &str = evaluated!();

/// What the numbers of a metric mean that says whether a file cannot be written.
const WRITTEN: &[State] =
    &[state(0.0, "written", Rating::Good), state(1.0, "cannot be written", Rating::Bad)];

mod agent;
mod alert;
mod channel;
mod device;
mod gpu;
mod host;
mod inference;
mod overview;
mod pipeline;
mod port;
mod program;
mod service;
mod stream;
mod traces;

use super::view::Board;
use crate::catalog::draw::{Rating, State, state};

/// Every dashboard, in the order of their links.
pub(super) static BOARDS: &[&Board] = &[
    &overview::BOARD,
    &device::BOARD,
    &channel::BOARD,
    &program::BOARD,
    &stream::BOARD,
    &pipeline::BOARD,
    &inference::BOARD,
    &service::BOARD,
    &traces::BOARD,
    &host::BOARD,
    &gpu::BOARD,
    &alert::BOARD,
    &agent::BOARD,
];
