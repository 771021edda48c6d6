//! Streams: is each on the network there, whole and on time, and how do the clocks of their senders stand?
//!
//! Samples that arrive, and the quality of channels, are on the boards of devices and channels.

use super::super::view::{Board, closed, column, lines, open, q, stat, view};
use crate::catalog::draw::{Panel, Rating, state};
use crate::catalog::limit::{
    STREAM_AGE, STREAM_BACKLOG, STREAM_DRIFT, STREAM_MISSING, STREAM_MISSING_CRITICAL, STREAM_RATE,
};

pub(super) static BOARD: Board = Board {
    key: "streams",
    title: "Network streams",
    about: "Whether each stream of the Lab Streaming Layer is present, complete and on time.",
    pages: &["stream"],
    by_machine: true,
    variables: &[("stream", "Stream")],
    range: "now-1h",
    refresh: "10s",
    rows: &[
        open("Now", &[
            stat("LSL streams found", "none", "Streams of LSL that answer, followed or not. The table below has those of recording programs as well.", &[q("sum(neural_streams)", "")])
                .zero_missing()
                .empty("none"),
            stat(
                "Expected and missing",
                "none",
                "Streams that the configuration expects and that do not answer. Start their programs.",
                &[q("count(neural_stream_present == 0) or vector(0)", "")],
            )
            .zero_wanted(),
            stat(
                "Samples missing",
                "percentunit",
                "Highest share of a stream's samples that are missing by its timestamps over the last five minutes.",
                &[q(
                    "max(rate(neural_stream_missing_samples_total[5m]) / (neural_stream_nominal_rate_hertz > 0))",
                    "",
                )],
            )
            .limits(&[&STREAM_MISSING, &STREAM_MISSING_CRITICAL]),
            stat(
                "Oldest samples, p95",
                "s",
                "Age of the newest sample in a read, of the slowest stream.",
                &[q(
                    "max(histogram_quantile(0.95, sum by (instance, source, stream, machine, le) (rate(neural_stream_sample_age_seconds_bucket[5m]))))",
                    "",
                )],
            )
            .limits(&[&STREAM_AGE]),
            stat(
                "Duplicate names",
                "none",
                "Streams that share their name or source id with another: a program that resolves it gets either.",
                &[q("sum(neural_streams_duplicate_name) + sum(neural_streams_duplicate_id)", "")],
            )
            .zero_wanted()
            .empty("no stream"),
            stat(
                "Not followed",
                "none",
                "Streams above the agent's limit. List the important ones in the configuration.",
                &[q("sum(neural_streams_over_limit)", "")],
            )
            .zero_wanted()
            .empty("no stream"),
        ]),
        open("Each stream", &[
            view(
                Panel::Table,
                "Streams",
                "short",
                "Every stream that is followed. A low rate without gaps means a wrong nominal rate.",
                &[
                    column("max by (instance, source, stream, machine) (neural_stream_channels)", "Channels", "none"),
                    column("max by (instance, source, stream, machine) (neural_stream_nominal_rate_hertz)", "Nominal", "rothz"),
                    column("max by (instance, source, stream, machine) (neural_stream_effective_rate_hertz)", "Rate", "rothz"),
                    column("max by (instance, source, stream, machine) (neural_stream_rate_ratio)", "Rate %", "percentunit")
                        .limits(&[&STREAM_RATE]),
                    column(
                        "max by (instance, source, stream, machine) (rate(neural_stream_missing_samples_total[5m]) / (neural_stream_nominal_rate_hertz > 0))",
                        "Missing",
                        "percentunit",
                    )
                    .limits(&[&STREAM_MISSING, &STREAM_MISSING_CRITICAL]),
                    column(
                        "histogram_quantile(0.95, sum by (instance, source, stream, machine, le) (rate(neural_stream_sample_age_seconds_bucket[5m])))",
                        "Age, p95",
                        "s",
                    )
                    .limits(&[&STREAM_AGE]),
                    column("max by (instance, source, stream, machine) (neural_stream_backlog_bytes)", "Waiting", "bytes")
                        .limits(&[&STREAM_BACKLOG]),
                    column("max by (instance, source, stream, machine) (neural_stream_clock_offset_seconds)", "Offset", "s"),
                    column("max by (instance, source, stream, machine) (neural_stream_clock_round_trip_seconds)", "RTT", "s"),
                ],
            )
            .first(&["stream", "Value #D", "Value #E"])
            .empty("no stream"),
            view(
                Panel::States,
                "Expected streams",
                "none",
                "When each expected stream was present.",
                &[q("max by (instance, source, stream) (neural_stream_present)", "{{stream}}")],
            )
            .states(&[state(1.0, "there", Rating::Good), state(0.0, "missing", Rating::Bad)])
            .beside(2)
            .empty("none is expected"),
            lines(
                "Reconnects in 1 h",
                "none",
                "Reconnects of each stream in the hour before, after a restart of its program or a broken connection.",
                &[q(
                    "sum by (instance, stream, machine) (increase(neural_stream_reconnects_total[1h]))",
                    "{{stream}} {{machine}}",
                )],
            )
            .beside(2),
        ]),
        open("Rate and gaps", &[
            lines(
                "Effective rate, of nominal",
                "percentunit",
                "Samples per second by the sender's timestamps, as a share of the nominal rate.",
                &[q("max by (instance, stream, machine) (neural_stream_rate_ratio)", "{{stream}} {{machine}}")],
            )
            .limits(&[&STREAM_RATE])
            .beside(2),
            lines(
                "Missing samples",
                "percentunit",
                "Share of samples that are missing in gaps of the timestamps. LSL drops silently: this is where it shows.",
                &[q(
                    "max by (instance, stream, machine) (rate(neural_stream_missing_samples_total[$__rate_interval]) / (neural_stream_nominal_rate_hertz > 0))",
                    "{{stream}} {{machine}}",
                )],
            )
            .limits(&[&STREAM_MISSING, &STREAM_MISSING_CRITICAL])
            .beside(2),
            lines(
                "Gaps",
                "cps",
                "Gaps with missing samples, whatever their length. Many short gaps mean a busy network, few long ones a program that paused.",
                &[q("sum by (instance, stream, machine) (rate(neural_stream_gaps_total[$__rate_interval]))", "{{stream}} {{machine}}")],
            )
            .beside(2),
            lines(
                "Uneven timestamps",
                "cps",
                "Samples per second whose timestamp is off by more than half a period. Many are normal if a program pushes chunks.",
                &[q("sum by (instance, stream, machine) (rate(neural_stream_irregular_samples_total[$__rate_interval]))", "{{stream}} {{machine}}")],
            )
            .beside(2),
            lines(
                "Timestamps that go back",
                "cps",
                "Samples per second whose timestamp is before that of the one before. What sorts by time gives them in another order than they were sent in.",
                &[q("sum by (instance, stream, machine) (rate(neural_stream_out_of_order_samples_total[$__rate_interval]))", "{{stream}} {{machine}}")],
            )
            .beside(2),
        ]),
        open("Lateness", &[
            lines(
                "Age of samples, p95",
                "s",
                "Age of the newest sample in a read, 95th percentile, by the sender's timestamp corrected by its clock offset. Steady growth means that a buffer fills.",
                &[
                    q("histogram_quantile(0.95, sum by (instance, stream, machine, le) (rate(neural_stream_sample_age_seconds_bucket[$__rate_interval])))", "{{stream}} {{machine}}"),
                ],
            )
            .limits(&[&STREAM_AGE])
            .beside(2),
            lines(
                "Timestamps in the future",
                "cps",
                "Checked samples per second whose timestamp is after their arrival, so that they have no age. Their program uses a clock other than LSL's, such as the time of day.",
                &[q("sum by (instance, stream, machine) (rate(neural_stream_future_samples_total[$__rate_interval]))", "{{stream}} {{machine}}")],
            )
            .beside(4),
            lines(
                "Waiting to be read",
                "bytes",
                "Bytes received and not yet read. It grows if the agent does not keep up.",
                &[q("max by (instance, stream, machine) (neural_stream_backlog_bytes)", "{{stream}} {{machine}}")],
            )
            .limits(&[&STREAM_BACKLOG])
            .beside(4),
        ]),
        open("Clocks", &[
            lines(
                "Clock offset",
                "s",
                "Offset to add to the sender's timestamps to get this machine's time. A straight line is right, whatever its height; a step is a clock that was set.",
                &[q("max by (instance, stream, machine) (neural_stream_clock_offset_seconds)", "{{stream}} {{machine}}")],
            )
            .signed()
            .beside(2),
            lines(
                "Clock uncertainty",
                "s",
                "Largest possible error of the offset: half of the round trip time.",
                &[q("max by (instance, stream, machine) (neural_stream_clock_uncertainty_seconds)", "{{stream}} {{machine}}")],
            )
            .beside(2),
            lines(
                "Round trip time",
                "s",
                "Time from a question for the sender's time to its answer.",
                &[q("max by (instance, stream, machine) (neural_stream_clock_round_trip_seconds)", "{{stream}} {{machine}}")],
            )
            .beside(2),
            lines(
                "Clock drift",
                "ppm",
                "Drift of the sender's clock. Available after a minute.",
                &[q("1e6 * max by (instance, stream, machine) (neural_stream_clock_drift_ratio)", "{{stream}} {{machine}}")],
            )
            .limits(&[&STREAM_DRIFT])
            .signed()
            .beside(2)
            .empty("not available yet"),
            lines(
                "Clock jumps",
                "none",
                "Jumps of a sender's clock in the hour before. Samples before and after a jump are not on the same time scale.",
                &[q(
                    "sum by (instance, stream, machine) (increase(neural_stream_clock_jumps_total[1h]))",
                    "{{stream}} {{machine}}",
                )],
            )
            .beside(2),
        ]),
        closed("Markers and values", &[
            lines(
                "Markers",
                "cps",
                "Markers received per second. None during an experiment means that a program lost its outlet.",
                &[q("sum by (instance, stream, machine) (rate(neural_stream_markers_total[$__rate_interval]))", "{{stream}} {{machine}}")],
            )
            .beside(2),
            lines(
                "NaN or infinite values",
                "cps",
                "NaN or infinite values per second. One of them corrupts the output of every filter.",
                &[q("sum by (instance, stream, machine) (rate(neural_stream_not_finite_values_total[$__rate_interval]))", "{{stream}} {{machine}}")],
            )
            .beside(2),
        ]),
        closed("Descriptions", &[
            view(
                Panel::Table,
                "Content",
                "short",
                "Content type and format of each stream.",
                &[column(
                    "max by (instance, source, stream, machine, content, format) (neural_stream_info)",
                    "",
                    "none",
                )],
            )
            .first(&["stream", "content", "format"])
            .empty("no stream"),
            view(
                Panel::Table,
                "Channels",
                "short",
                "Channels by number, as each stream describes them.",
                &[column(
                    "max by (instance, source, stream, machine, channel, label, unit, content) (neural_stream_channel_info)",
                    "",
                    "none",
                )],
            )
            .first(&["stream", "channel", "label", "unit"])
            .sorted(&[("Stream", false), ("Channel", false)])
            .empty("no channel is described"),
        ]),
    ],
};
