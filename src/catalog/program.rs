//! Page: does each acquisition program record, keep up and hand on what it should?

use super::{Keep, Metric, Page, Row, Unit};
use crate::event::{Body, Event, Kind, Output, Program, ProgramState, RecordNode, Topic};

/// Does each acquisition program record, keep up and hand on what it should?
pub static PAGE: Page = Page {
    id: "program",
    title: "Acquisition programs",
    about: "State of programs that acquire or record, read without touching the device: what they do, whether that is expected, and whether they keep up. Their samples are on the page of devices, where an output is named `source:output`.",
    metrics: &[
        &INFO,
        &STATE,
        &AS_EXPECTED,
        &CHANGES,
        &SAMPLES,
        &NOMINAL_RATE,
        &RATE,
        &RATE_RATIO,
        &CPU,
        &LATENCY,
        &EXPERIMENT,
        &RECORDING,
        &SYNCHRONIZED,
        &OUTPUT_TAKEN,
        &OUTPUT_LOST,
    ],
};

/// What every entry about a program has in common.
const ENTRY: Metric =
    Metric { labels: &["source"], keep: Keep::WhileUp, on: &[Topic::Program], ..Metric::BLANK };

/// What every entry about a node that records has in common. Nodes come and go while the program runs.
const NODE: Metric =
    Metric { labels: &["source", "node"], keep: Keep::Fresh, on: &[Topic::RecordNode], ..Metric::BLANK };

/// What every entry about an output has in common.
const OUTPUT: Metric = Metric { labels: &["source", "output"], on: &[Topic::Output], ..ENTRY };

fn gauge(event: &Event<'_>, row: &mut dyn Row, value: fn(&Program<'_>) -> Option<f64>) {
    if let Body::Program(program) = &event.body
        && let Some(value) = value(program)
    {
        row.set(&[&row.source()], value);
    }
}

fn node(event: &Event<'_>, row: &mut dyn Row, value: fn(&RecordNode<'_>) -> Option<f64>) {
    if let Body::RecordNode(node) = &event.body
        && let Some(value) = value(node)
    {
        row.set(&[&row.source(), node.node], value);
    }
}

fn output<'a>(event: &Event<'a>) -> Option<Output<'a>> {
    if let Body::Output(output) = event.body { Some(output) } else { None }
}

static INFO: Metric = Metric {
    name: "program",
    help: "Name and version of the program",
    kind: Kind::Info,
    labels: &["source", "program", "version"],
    read: |event, row| {
        if let Body::Program(program) = event.body {
            row.set(&[&row.source(), program.program, program.version], 1.0);
        }
    },
    ..ENTRY
};

static STATE: Metric = Metric {
    name: "program_state",
    prompt: true,
    help: "State of the program, 1 for the current state and 0 for the others",
    note: "`waiting` acquires and starts to record when it is triggered",
    labels: &["source", "state"],
    read: |event, row| {
        if let Body::Program(program) = event.body {
            for &state in ProgramState::ALL {
                row.set(&[&row.source(), state.as_str()], f64::from(state == program.state));
            }
        }
    },
    ..ENTRY
};

static AS_EXPECTED: Metric = Metric {
    name: "program_expected_state",
    prompt: true,
    help: "Whether the program is in the expected state or beyond (1) or not (0)",
    note: "Absent if the configuration expects nothing",
    read: |event, row| gauge(event, row, |program| program.expected.map(f64::from)),
    ..ENTRY
};

static CHANGES: Metric = Metric {
    name: "program_state_changes",
    help: "Times the program entered a state",
    kind: Kind::Counter,
    labels: &["source", "state"],
    keep: Keep::Always,
    read: |event, row| {
        if let Body::Program(program) = event.body {
            for &state in ProgramState::ALL {
                row.add(
                    &[&row.source(), state.as_str()],
                    f64::from(program.changed && state == program.state),
                );
            }
        }
    },
    ..ENTRY
};

static SAMPLES: Metric = Metric {
    name: "program_samples",
    help: "Samples acquired by the program's own count",
    note: "The count restarts with every acquisition",
    kind: Kind::Counter,
    keep: Keep::Always,
    read: |event, row| gauge(event, row, |program| program.position),
    ..ENTRY
};

static NOMINAL_RATE: Metric = Metric {
    name: "program_nominal_rate",
    help: "Sampling rate reported by the program",
    unit: Unit::Hertz,
    read: |event, row| gauge(event, row, |program| program.rate),
    ..ENTRY
};

static RATE: Metric = Metric {
    name: "program_rate",
    help: "Sampling rate over the last minute, by the program's own count",
    unit: Unit::Hertz,
    read: |event, row| gauge(event, row, |program| program.effective_rate),
    ..ENTRY
};

static RATE_RATIO: Metric = Metric {
    name: "program_rate",
    help: "Sampling rate over the last minute as a share of the reported rate",
    note: "Below 1 the program does not keep up",
    unit: Unit::Ratio,
    read: |event, row| {
        gauge(event, row, |program| {
            let nominal = program.rate.filter(|rate| *rate > 0.0)?;
            Some(program.effective_rate? / nominal)
        });
    },
    ..ENTRY
};

static CPU: Metric = Metric {
    name: "program_cpu",
    help: "Processing time of the program as a share of real time",
    note: "Above 1 the program does not keep up",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |program| program.cpu),
    ..ENTRY
};

static LATENCY: Metric = Metric {
    name: "program_latency",
    help: "Time from the start of a block to the end of a processing step",
    unit: Unit::Seconds,
    labels: &["source", "processor", "stream"],
    keep: Keep::Fresh,
    on: &[Topic::Processing],
    read: |event, row| {
        if let Body::Processing(step) = event.body {
            row.set(&[&row.source(), step.processor, step.stream], step.latency);
        }
    },
    ..ENTRY
};

static EXPERIMENT: Metric = Metric {
    name: "program_experiment_number",
    help: "Number of the experiment that a record node writes",
    read: |event, row| node(event, row, |node| Some(node.experiment)),
    ..NODE
};

static RECORDING: Metric = Metric {
    name: "program_recording_number",
    help: "Number of the recording within the experiment that a record node writes",
    read: |event, row| node(event, row, |node| Some(node.recording)),
    ..NODE
};

static SYNCHRONIZED: Metric = Metric {
    name: "program_synchronized",
    help: "Whether the streams of a record node are synchronized (1) or not (0)",
    read: |event, row| node(event, row, |node| node.synchronized.map(f64::from)),
    ..NODE
};

static OUTPUT_TAKEN: Metric = Metric {
    name: "program_output_connected",
    prompt: true,
    help: "Whether another program is connected to the output (1) or not (0)",
    read: |event, row| {
        if let Some(Output { output, taken: Some(taken), .. }) = output(event) {
            row.set(&[&row.source(), output], f64::from(taken));
        }
    },
    ..OUTPUT
};

static OUTPUT_LOST: Metric = Metric {
    name: "program_output_lost_messages",
    help: "Messages of an output that did not reach the agent, by their sequence numbers",
    kind: Kind::Counter,
    keep: Keep::Always,
    read: |event, row| {
        if let Some(Output { output, lost: Some(lost), .. }) = output(event) {
            row.add(&[&row.source(), output], lost as f64);
        }
    },
    ..OUTPUT
};
