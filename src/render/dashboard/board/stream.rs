//! Streams: is each on the network there, whole and on time, and how do the clocks of their senders stand?
//!
//! Samples that arrive, and the quality of channels, are on the boards of devices and channels.

use super::super::view::{Board, closed, column, lines, open, q, stat, view};
use crate::catalog::draw::{Mood, Panel, state};
use crate::catalog::limit::{
    STREAM_AGE, STREAM_BACKLOG, STREAM_DRIFT, STREAM_MISSING, STREAM_MISSING_CRITICAL, STREAM_RATE,
};

pub(super) static BOARD: Board = Board {
    key: "streams",
    title: "Network streams",
    about: "Is each stream of the Lab Streaming Layer there, whole and on time?",
    pages: &["stream"],
    by_machine: true,
    variables: &[("stream", "Stream")],
    range: "now-1h",
    refresh: "10s",
    rows: &[
        open("Now", &[
            stat("Streams found", "none", "Streams that answer, followed or not.", &[q("sum(neural_streams)", "")])
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
                "The largest share of a stream's samples that is missing by its timestamps over the last five minutes.",
                &[q(
                    "max(rate(neural_stream_missing_samples_total[5m]) / (neural_stream_nominal_rate_hertz > 0))",
                    "",
                )],
            )
            .limits(&[&STREAM_MISSING, &STREAM_MISSING_CRITICAL]),
            stat(
                "Oldest samples, p95",
                "s",
                "How old the newest sample of a read is when it comes, of the stream that is latest.",
                &[q(
                    "max(histogram_quantile(0.95, sum by (instance, source, stream, machine, le) (rate(neural_stream_sample_age_seconds_bucket[5m]))))",
                    "",
                )],
            )
            .limits(&[&STREAM_AGE]),
            stat(
                "Duplicate names",
                "none",
                "Streams that have the name or the source id of another one: a program that asks for it gets either.",
                &[q("sum(neural_streams_duplicate_name) + sum(neural_streams_duplicate_id)", "")],
            )
            .zero_wanted()
            .empty("no stream"),
            stat(
                "Not followed",
                "none",
                "Streams that are too many for the agent. Name those that matter in the configuration.",
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
                "Every stream that is followed. A low rate without holes is a stream that claims another rate than it has.",
                &[
                    column("max by (instance, source, stream, machine) (neural_stream_channels)", "Channels", "none"),
                    column("max by (instance, source, stream, machine) (neural_stream_nominal_rate_hertz)", "Nominal", "rothz"),
                    column("max by (instance, source, stream, machine) (neural_stream_effective_rate_hertz)", "Rate", "rothz"),
                    column("max by (instance, source, stream, machine) (neural_stream_rate_ratio)", "Of nominal", "percentunit")
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
                    column("max by (instance, source, stream, machine) (neural_stream_clock_offset_seconds)", "Clock offset", "s"),
                    column("max by (instance, source, stream, machine) (neural_stream_clock_round_trip_seconds)", "Round trip", "s"),
                ],
            )
            .empty("no stream"),
            view(
                Panel::States,
                "Expected streams",
                "none",
                "When each stream that is expected was there.",
                &[q("max by (instance, source, stream) (neural_stream_present)", "{{stream}}")],
            )
            .states(&[state(1.0, "there", Mood::Good), state(0.0, "missing", Mood::Bad)])
            .beside(2)
            .empty("none is expected"),
            lines(
                "Reconnects in 1 h",
                "none",
                "How often within the hour before a stream came back, after its program was started again or its connection broke.",
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
                "Samples a second by the sender's timestamps, as a share of what the stream claims.",
                &[q("max by (instance, stream, machine) (neural_stream_rate_ratio)", "{{stream}} {{machine}}")],
            )
            .limits(&[&STREAM_RATE])
            .beside(2),
            lines(
                "Missing samples",
                "percentunit",
                "Share of samples that are missing in holes of the timestamps. LSL drops silently: this is where it shows.",
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
                "How often samples are missing, however many. Many short holes are a busy network, few long ones a program that stood still.",
                &[q("sum by (instance, stream, machine) (rate(neural_stream_gaps_total[$__rate_interval]))", "{{stream}} {{machine}}")],
            )
            .beside(2),
            lines(
                "Uneven timestamps",
                "cps",
                "Samples a second whose timestamp is off by more than half a period, or goes back. Many are usual where a program pushes in groups.",
                &[
                    q("sum by (instance, stream, machine) (rate(neural_stream_irregular_samples_total[$__rate_interval]))", "uneven {{stream}} {{machine}}"),
                    q("sum by (instance, stream, machine) (rate(neural_stream_out_of_order_samples_total[$__rate_interval]))", "back {{stream}} {{machine}}"),
                ],
            )
            .beside(2),
        ]),
        open("Lateness", &[
            lines(
                "Age of samples",
                "s",
                "How old the newest sample of a read is, by the sender's timestamp put right by its clock. What grows is a buffer that fills.",
                &[
                    q("histogram_quantile(0.5, sum by (instance, stream, machine, le) (rate(neural_stream_sample_age_seconds_bucket[$__rate_interval])))", "p50 {{stream}} {{machine}}"),
                    q("histogram_quantile(0.95, sum by (instance, stream, machine, le) (rate(neural_stream_sample_age_seconds_bucket[$__rate_interval])))", "p95 {{stream}} {{machine}}"),
                ],
            )
            .limits(&[&STREAM_AGE])
            .beside(2),
            lines(
                "Timestamps in the future",
                "cps",
                "Samples looked at in a second that were stamped later than they came, and so have no age. Their program stamps by a clock that is not LSL's, such as the time of day.",
                &[q("sum by (instance, stream, machine) (rate(neural_stream_future_samples_total[$__rate_interval]))", "{{stream}} {{machine}}")],
            )
            .beside(4),
            lines(
                "Waiting to be read",
                "bytes",
                "Bytes that had come and were not read yet. It grows where the agent does not keep up.",
                &[q("max by (instance, stream, machine) (neural_stream_backlog_bytes)", "{{stream}} {{machine}}")],
            )
            .limits(&[&STREAM_BACKLOG])
            .beside(4),
        ]),
        open("Clocks", &[
            lines(
                "Clock offset",
                "s",
                "What is added to a sender's timestamp to have it by this machine's clock. A straight line is right, whatever its height; a step is a clock that was set.",
                &[q("max by (instance, stream, machine) (neural_stream_clock_offset_seconds)", "{{stream}} {{machine}}")],
            )
            .signed()
            .beside(2),
            lines(
                "Clock uncertainty and round trip",
                "s",
                "By how much the offset may be wrong, and how long a question and its answer took.",
                &[
                    q("max by (instance, stream, machine) (neural_stream_clock_uncertainty_seconds)", "uncertainty {{stream}} {{machine}}"),
                    q("max by (instance, stream, machine) (neural_stream_clock_round_trip_seconds)", "round trip {{stream}} {{machine}}"),
                ],
            )
            .beside(2),
            lines(
                "Clock drift",
                "ppm",
                "How much faster a sender's clock runs. Told after a minute.",
                &[q("1e6 * max by (instance, stream, machine) (neural_stream_clock_drift_ratio)", "{{stream}} {{machine}}")],
            )
            .limits(&[&STREAM_DRIFT])
            .signed()
            .beside(2)
            .empty("not told yet"),
            lines(
                "Clock jumps",
                "none",
                "How often within the hour before a sender's clock was seen to be set. Samples before and after are not on one scale of time.",
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
                "Markers that came in a second. None during an experiment is a program that lost its outlet.",
                &[q("sum by (instance, stream, machine) (rate(neural_stream_markers_total[$__rate_interval]))", "{{stream}} {{machine}}")],
            )
            .beside(2),
            lines(
                "NaN or infinite values",
                "cps",
                "Values a second that are NaN or infinite. One of them spoils every filter that it passes.",
                &[q("sum by (instance, stream, machine) (rate(neural_stream_not_finite_values_total[$__rate_interval]))", "{{stream}} {{machine}}")],
            )
            .beside(2),
        ]),
        closed("What they are", &[
            view(
                Panel::Table,
                "Content",
                "short",
                "What each stream brings, and as what.",
                &[column(
                    "max by (instance, source, stream, machine, content, format) (neural_stream_info)",
                    "",
                    "none",
                )],
            )
            .empty("no stream"),
            view(
                Panel::Table,
                "Channels",
                "short",
                "Channels by their numbers, in the words of whoever made the stream.",
                &[column(
                    "max by (instance, source, stream, machine, channel, label, unit, content) (neural_stream_channel_info)",
                    "",
                    "none",
                )],
            )
            .empty("no channel is described"),
        ]),
    ],
};
