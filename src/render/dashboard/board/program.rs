//! Programs that acquire and record: do they record, keep up and hand on what they should?

use super::super::view::{Board, column, lines, open, q, stat, view};
use crate::catalog::draw::{Mood, Panel, State, state};
use crate::catalog::limit::{PROGRAM_CPU, PROGRAM_LATENCY, PROGRAM_RATE};

/// What a panel says where no program is asked.
const NONE: &str = "no program";

/// What a program does, as one of the numbers of `STATES`: exactly one of its series is 1.
const STATE: &str = "sum by (instance, source) (\n  neural_program_state{state=\"idle\"} * 1\n  or neural_program_state{state=\"acquiring\"} * 2\n  or neural_program_state{state=\"waiting\"} * 3\n  or neural_program_state{state=\"recording\"} * 4\n)";

const STATES: &[State] = &[
    state(1.0, "idle", Mood::Plain),
    state(2.0, "acquiring", Mood::Odd),
    state(3.0, "waits for a trigger", Mood::Odd),
    state(4.0, "records", Mood::Good),
];

/// Whether it does what is expected.
const EXPECTED: &[State] = &[state(1.0, "yes", Mood::Good), state(0.0, "no", Mood::Bad)];

pub(super) static BOARD: Board = Board {
    key: "program",
    title: "Acquisition programs",
    about: "Does each program that acquires or records record, keep up and hand on what it should?",
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
                "Not as expected",
                "none",
                "Programs that do less than the configuration expects, such as to record. What is not recorded now is lost.",
                &[q("count(neural_program_expected_state == 0) or vector(0)", "")],
            )
            .zero_wanted(),
            stat(
                "Lowest rate, of nominal",
                "percentunit",
                "The least share of its rate at which a program's own count of samples went up over the last minute.",
                &[q("min(neural_program_rate_ratio)", "")],
            )
            .limits(&[&PROGRAM_RATE])
            .empty("not told"),
            stat(
                "Highest CPU load",
                "percentunit",
                "The largest share of its time that a program needs to process what comes.",
                &[q("max(neural_program_cpu_ratio)", "")],
            )
            .limits(&[&PROGRAM_CPU])
            .empty("not told"),
            stat(
                "Longest latency",
                "s",
                "The longest time that samples take through a step of a program.",
                &[q("max(neural_program_latency_seconds)", "")],
            )
            .limits(&[&PROGRAM_LATENCY])
            .empty("not told"),
            stat(
                "Messages lost",
                "none",
                "Messages of outputs that did not come to the agent within the last hour.",
                &[q("round(sum(increase(neural_program_output_lost_messages_total[1h]))) or vector(0)", "")],
            )
            .zero_wanted(),
        ]),
        open("Programs", &[
            view(
                Panel::Table,
                "Every program",
                "none",
                "Each program with what matters most. A count that goes up too slowly is a program or a machine that does not keep up.",
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
            .empty(NONE),
            view(Panel::States, "Program state", "none", "What each program did. It is asked, and answers for itself.", &[q(STATE, "{{source}}")])
                .states(STATES)
                .beside(2)
                .empty(NONE),
            view(
                Panel::States,
                "As expected",
                "none",
                "When each program did at least what the configuration expects of it. Between, what was not recorded is lost.",
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
                "Samples a second by which each program's own count goes up, as a share of what it says it acquires.",
                &[q("max by (instance, source) (neural_program_rate_ratio)", "{{source}}")],
            )
            .limits(&[&PROGRAM_RATE])
            .beside(2)
            .empty("not told"),
            lines(
                "CPU load",
                "percentunit",
                "Share of its time that each program needs to process what comes. Beyond the whole it drops data.",
                &[q("max by (instance, source) (neural_program_cpu_ratio)", "{{source}}")],
            )
            .limits(&[&PROGRAM_CPU])
            .beside(2)
            .empty("not told"),
            // Steps are many: their names need a table beside the lines.
            lines(
                "Latency",
                "s",
                "How long samples take through each step of a program's chain.",
                &[q(
                    "max by (instance, source, processor, stream) (neural_program_latency_seconds)",
                    "{{processor}} {{stream}}",
                )],
            )
            .limits(&[&PROGRAM_LATENCY])
            .beside(1)
            .empty("not told"),
        ]),
        open("Recordings and outputs", &[
            view(
                Panel::Table,
                "Recordings",
                "none",
                "What each node of a program that writes has come to. Streams that are not on one clock cannot be compared to the sample.",
                &[
                    column("max by (instance, source, node) (neural_program_experiment_number)", "Experiment", "none"),
                    column("max by (instance, source, node) (neural_program_recording_number)", "Recording", "none"),
                    column("min by (instance, source, node) (neural_program_synchronized)", "One clock", "none").states(EXPECTED),
                ],
            )
            .beside(2)
            .empty("no node is told"),
            lines(
                "Restarts in 1 h",
                "none",
                "How often within the hour before each program was seen to begin with something. Many in an unattended session are a recording in pieces.",
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
                "When another program took what each output hands on.",
                &[q("max by (instance, source, output) (neural_program_output_connected)", "{{source}} {{output}}")],
            )
            .states(&[state(1.0, "taken", Mood::Good), state(0.0, "nobody takes it", Mood::Plain)])
            .beside(2)
            .empty("not told"),
            lines(
                "Lost messages by output",
                "cps",
                "Messages of each output that did not come to the agent. What the program itself records is not concerned.",
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
