//! Page: does each acquisition program record, keep up and hand on what it should?

use super::{Keep, Metric, Page, Row, Unit};
use crate::event::{Body, Event, Kind, Output, Program, ProgramState, RecordNode, Topic};

/// Does each acquisition program record, keep up and hand on what it should?
pub static PAGE: Page = Page {
    id: "program",
    title: "Acquisition programs",
    about: "What a program that acquires or records says of itself, asked without touching the device: what it \
            does, whether that is what is expected, whether it keeps up, and what it hands on. Samples that it \
            hands on are on the page of devices, where they are called after the source and the output.",
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
    help: "Which program it is, and its version if it tells",
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
    help: "What the program does: exactly one state is 1. Waiting is acquiring, and recording as soon as it is \
           triggered",
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
    name: "program_as_expected",
    help: "Whether the program does at least what the configuration expects of it: 1 if so, 0 if not; absent where \
           nothing is expected",
    read: |event, row| gauge(event, row, |program| program.expected.map(f64::from)),
    ..ENTRY
};

static CHANGES: Metric = Metric {
    name: "program_changes",
    help: "Times that the program was seen to begin with each state",
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
    help: "Samples since the program began to acquire, by its own count, which begins again each time",
    kind: Kind::Counter,
    keep: Keep::Always,
    read: |event, row| gauge(event, row, |program| program.position),
    ..ENTRY
};

static NOMINAL_RATE: Metric = Metric {
    name: "program_nominal_rate",
    help: "Samples a second that the program says it acquires",
    unit: Unit::Hertz,
    read: |event, row| gauge(event, row, |program| program.rate),
    ..ENTRY
};

static RATE: Metric = Metric {
    name: "program_rate",
    help: "Samples a second by which the program's own count went up over the last minute",
    unit: Unit::Hertz,
    read: |event, row| gauge(event, row, |program| program.effective_rate),
    ..ENTRY
};

static RATE_RATIO: Metric = Metric {
    name: "program_rate",
    help: "Samples a second by which the program's own count went up over the last minute, as a share of what it \
           says it acquires: below 1 it does not keep up",
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
    help: "Share of the time it has that the program needs to process what comes; above 1 it falls behind",
    unit: Unit::Ratio,
    read: |event, row| gauge(event, row, |program| program.cpu),
    ..ENTRY
};

static LATENCY: Metric = Metric {
    name: "program_latency",
    help: "How long samples of a stream take through a step of the program, from when its block began to be processed",
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
    name: "program_experiment",
    help: "Number of the experiment that a node of the program writes",
    read: |event, row| node(event, row, |node| Some(node.experiment)),
    ..NODE
};

static RECORDING: Metric = Metric {
    name: "program_recording",
    help: "Number of the recording within the experiment that a node of the program writes",
    read: |event, row| node(event, row, |node| Some(node.recording)),
    ..NODE
};

static SYNCHRONIZED: Metric = Metric {
    name: "program_synchronized",
    help: "Whether the streams that a node of the program writes are on one clock: 1 if so",
    read: |event, row| node(event, row, |node| node.synchronized.map(f64::from)),
    ..NODE
};

static OUTPUT_TAKEN: Metric = Metric {
    name: "program_output_taken",
    help: "Whether another program takes what this output hands on: 1 if so",
    read: |event, row| {
        if let Some(Output { output, taken: Some(taken), .. }) = output(event) {
            row.set(&[&row.source(), output], f64::from(taken));
        }
    },
    ..OUTPUT
};

static OUTPUT_LOST: Metric = Metric {
    name: "program_output_lost_messages",
    help: "Messages of an output that did not come to the agent, by their numbers",
    kind: Kind::Counter,
    keep: Keep::Always,
    read: |event, row| {
        if let Some(Output { output, lost: Some(lost), .. }) = output(event) {
            row.add(&[&row.source(), output], lost as f64);
        }
    },
    ..OUTPUT
};
