//! Alerts: does what others depend on answer, looked at from here?

use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "probe",
    group: "neural-probe",
    interval: 15,
    records: &[Record {
        name: "source:neural_probe_unhealthy:ratio_rate5m",
        expr: "sum without (state) (rate(neural_probe_state_seconds_total{state='unhealthy'}[5m]))\n/\n(sum without (state) (rate(neural_probe_state_seconds_total{state!='unknown'}[5m])) > 0)",
    }],
    alerts: &[&UNHEALTHY, &DEGRADED],
};

static UNHEALTHY: Alert = Alert {
    name: "NeuralProbeUnhealthy",
    // How many failures it takes is a setting of the probe, and they are waited for already.
    level: Level::new(Severity::High, Priority::P1, 0, "neural_probe_status == 2"),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P0,
        0,
        "neural_probe_status == 2\nand on (job, instance, source)\nneural_probe_critical == 1",
    )),
    keep_firing: 60,
    summary: "The target of {{ $labels.source }} is unhealthy",
    description: "As many attempts in a row as `failures` of the probe {{ $labels.source }} says found no answer, or a wrong one.",
    meaning: "What the probe looks at does not answer, or not as it should. The agent's log says why, once for each change. \
              The probe itself works: where it cannot make an attempt, `NeuralSourceDown` fires instead. It is critical if the \
              configuration says `critical: true` of the probe.",
    immediate: &[
        "Read the reason: `journalctl -u neural-exporter | grep \"probe is unhealthy\"`.",
        "Look once by hand: `neural-exporter check --live`.",
        "See whether the target runs, and read its log.",
    ],
    short_term: &["Restart the target only after you have read its log."],
    long_term: &["Let whatever starts the target start it again when it fails."],
    queries: &[
        "neural_probe_status",
        "neural_probe_success",
        "avg_over_time(source:neural_probe_unhealthy:ratio_rate5m[30d])",
    ],
    related: &[
        "NeuralProbeDegraded",
        "NeuralProbeBudgetBurn",
        "NeuralSourceDown",
        "NeuralCheckFailing",
        "NeuralProcessMissing",
    ],
    fires: Case::fires(
        10,
        &[
            ("neural_probe_status{source='engine'}", "0x3 2x12"),
            ("neural_probe_critical{source='engine'}", "0x15"),
        ],
        &[("source", "engine")],
        "2",
    ),
    worsens: Some(Case::fires(
        10,
        &[
            ("neural_probe_status{source='engine'}", "0x3 2x12"),
            ("neural_probe_critical{source='engine'}", "1x15"),
        ],
        &[("source", "engine")],
        "2",
    )),
    quiet: Case::quiet(
        10,
        &[
            ("neural_probe_status{source='engine'}", "1x15"),
            ("neural_probe_critical{source='engine'}", "1x15"),
            ("neural_probe_status{source='broker'}", "3x15"),
            ("neural_probe_critical{source='broker'}", "1x15"),
        ],
    ),
    ..Alert::BLANK
};

static DEGRADED: Alert = Alert {
    name: "NeuralProbeDegraded",
    level: Level::new(Severity::Medium, Priority::P2, 60, "neural_probe_status == 1"),
    keep_firing: 60,
    summary: "The target of {{ $labels.source }} is degraded",
    description: "It answers later than `degraded` of the probe {{ $labels.source }} says, or its check returns a warning.",
    meaning: "What the probe looks at answers, but it is slow or says itself that something is wrong. The agent's log says which, once for each change.",
    immediate: &[
        "Read the reason: `journalctl -u neural-exporter | grep \"probe is degraded\"`.",
        "Compare with the load of the machine that the target runs on.",
    ],
    short_term: &["See since when it takes longer: `neural_probe_duration_seconds`."],
    long_term: &["Set `degraded` of the probe to what its users notice."],
    queries: &["neural_probe_duration_seconds", "neural_probe_status"],
    related: &["NeuralProbeUnhealthy", "NeuralApiLatency", "NeuralHostCpu"],
    fires: Case::fires(
        10,
        &[("neural_probe_status{source='engine'}", "0x3 1x12")],
        &[("source", "engine")],
        "1",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("neural_probe_status{source='engine'}", "0x5 1 0x10"),
            ("neural_probe_status{source='broker'}", "2x15"),
        ],
    ),
    ..Alert::BLANK
};
