//! Programs that acquire and record: do they record, keep up and hand on what they should?

use super::super::view::{Board, column, lines, open, q, stat, view};
use crate::catalog::draw::{Panel, Rating, State, state};
use crate::catalog::limit::{PROGRAM_CPU, PROGRAM_LATENCY, PROGRAM_RATE};

/// What a panel says where no program is asked.
const NONE: &str = "no program";

/// What a program does, as one of the numbers of `STATES`: exactly one of its series is 1.
const STATE: &str = "sum by (instance, source) (\n  neural_program_state{state=\"idle\"} * 1\n  or neural_program_state{state=\"acquiring\"} * 2\n  or neural_program_state{state=\"waiting\"} * 3\n  or neural_program_state{state=\"recording\"} * 4\n)";

const STATES: &[State] = &[
    state(1.0, "idle", Rating::Plain),
    state(2.0, "acquiring", Rating::Odd),
    state(3.0, "waits for a trigger", Rating::Odd),
    state(4.0, "records", Rating::Good),
];

/// Whether it does what is expected.
const EXPECTED: &[State] = &[state(1.0, "yes", Rating::Good), state(0.0, "no", Rating::Bad)];

pub(super) static BOARD: Board = Board {
    key: "program",
    title: "Acquisition programs",
    about: "Whether each acquisition program records, keeps up and publishes its data.",
    pages: &["program"],
    by_machine: true,
    variables: &[("source", "Program")],
    range: "now-3h",
    refresh: "15s",
    rows: &[
        open("Now", &[
            stat("Recording", "none", "Programs that record.", &[q("sum(neural_program_state{state=\"recording\"})", "")])
                .zero_missing()
                .empty(NONE),
            stat(
                "Not in expected state",
                "none",
                "Programs that are not in the expected state, such as recording. Data that is not recorded now is lost.",
                &[q("count(neural_program_expected_state == 0) or vector(0)", "")],
            )
            .zero_wanted(),
            stat(
                "Lowest rate",
                "percentunit",
                "Lowest sampling rate of a program over the last minute, as a share of its nominal rate.",
                &[q("min(neural_program_rate_ratio)", "")],
            )
            .limits(&[&PROGRAM_RATE])
            .empty("not reported"),
            stat(
                "Highest CPU load",
                "percentunit",
                "Highest share of real time that a program needs for processing.",
                &[q("max(neural_program_cpu_ratio)", "")],
            )
            .limits(&[&PROGRAM_CPU])
            .empty("not reported"),
            stat(
                "Longest latency",
                "s",
                "Longest processing time of a step of a program.",
                &[q("max(neural_program_latency_seconds)", "")],
            )
            .limits(&[&PROGRAM_LATENCY])
            .empty("not reported"),
            stat(
                "Messages lost",
                "none",
                "Messages of outputs that did not reach the agent within the last hour.",
                &[q("round(sum(increase(neural_program_output_lost_messages_total[1h]))) or vector(0)", "")],
            )
            .zero_wanted(),
        ]),
        open("Programs", &[
            view(
                Panel::Table,
                "Every program",
                "none",
                "Each program with its most important values. A low rate means that the program or the machine does not keep up.",
                &[
                    column("max by (instance, source, program, version) (neural_program_info)", "", "none"),
                    column(STATE, "Does", "none").states(STATES),
                    column("max by (instance, source) (neural_program_expected_state)", "As expected", "none").states(EXPECTED),
                    column("max by (instance, source) (neural_program_nominal_rate_hertz)", "Nominal", "rothz"),
                    column("max by (instance, source) (neural_program_rate_hertz)", "Rate", "rothz"),
                    column("max by (instance, source) (neural_program_rate_ratio)", "Of nominal", "percentunit")
                        .limits(&[&PROGRAM_RATE]),
                    column("sum by (instance, source) (increase(neural_program_samples_total[1h]))", "Samples, 1 h", "short"),
                    column("max by (instance, source) (neural_program_cpu_ratio)", "Busy", "percentunit")
                        .limits(&[&PROGRAM_CPU]),
                ],
            )
            .first(&["source", "Value #B", "Value #C"])
            .empty(NONE),
            view(Panel::States, "Program state", "none", "State of each program, as it reports it.", &[q(STATE, "{{source}}")])
                .states(STATES)
                .beside(2)
                .empty(NONE),
            view(
                Panel::States,
                "As expected",
                "none",
                "When each program was in the expected state. Data of other times may not be recorded.",
                &[q("max by (instance, source) (neural_program_expected_state)", "{{source}}")],
            )
            .states(EXPECTED)
            .beside(2)
            .empty("nothing is expected"),
        ]),
        open("Keeping up", &[
            lines(
                "Rate, of nominal",
                "percentunit",
                "Sampling rate by each program's own count, as a share of the rate it reports.",
                &[q("max by (instance, source) (neural_program_rate_ratio)", "{{source}}")],
            )
            .limits(&[&PROGRAM_RATE])
            .beside(2)
            .empty("not reported"),
            lines(
                "CPU load",
                "percentunit",
                "Share of real time that each program needs for processing. Above 100 % it drops data.",
                &[q("max by (instance, source) (neural_program_cpu_ratio)", "{{source}}")],
            )
            .limits(&[&PROGRAM_CPU])
            .beside(2)
            .empty("not reported"),
            // Steps are many: their names need a table beside the lines.
            lines(
                "Latency",
                "s",
                "Processing time of each step of a program's chain.",
                &[q(
                    "max by (instance, source, processor, stream) (neural_program_latency_seconds)",
                    "{{processor}} {{stream}}",
                )],
            )
            .limits(&[&PROGRAM_LATENCY])
            .beside(1)
            .empty("not reported"),
        ]),
        open("Recordings and outputs", &[
            view(
                Panel::Table,
                "Recordings",
                "none",
                "Experiment and recording number of each record node. Streams that are not synchronized cannot be compared sample by sample.",
                &[
                    column("max by (instance, source, node) (neural_program_experiment_number)", "Experiment", "none"),
                    column("max by (instance, source, node) (neural_program_recording_number)", "Recording", "none"),
                    column("min by (instance, source, node) (neural_program_synchronized)", "In sync", "none").states(EXPECTED),
                ],
            )
            .first(&["source", "node", "Value #C"])
            .beside(2)
            .empty("no record node"),
            lines(
                "Restarts in 1 h",
                "none",
                "State changes of each program in the hour before. Many in an unattended session mean a fragmented recording.",
                &[q(
                    "sum by (instance, source, state) (increase(neural_program_state_changes_total[1h])) > 0",
                    "{{source}} {{state}}",
                )],
            )
            .beside(2)
            .empty("none did"),
            view(
                Panel::States,
                "Outputs in use",
                "none",
                "When another program was connected to each output.",
                &[q("max by (instance, source, output) (neural_program_output_connected)", "{{source}} {{output}}")],
            )
            .states(&[state(1.0, "taken", Rating::Good), state(0.0, "not connected", Rating::Plain)])
            .beside(2)
            .empty("not reported"),
            lines(
                "Lost messages by output",
                "cps",
                "Messages of each output that did not reach the agent. The program's own recording is not affected.",
                &[q(
                    "sum by (instance, source, output) (rate(neural_program_output_lost_messages_total[$__rate_interval]))",
                    "{{source}} {{output}}",
                )],
            )
            .beside(2)
            .empty("no output is read"),
        ]),
    ],
};
