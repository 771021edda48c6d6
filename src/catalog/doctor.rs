//! What a running agent is asked by `doctor`: a row each.

/// A question whose answer has a series where something is wrong.
#[derive(Debug)]
pub struct Question {
    /// The question, in PromQL.
    pub expr: &'static str,
    /// The labels that say what it is about; none if it is the agent.
    pub labels: &'static [&'static str],
    /// What is wrong.
    pub says: &'static str,
    /// What fixes it.
    pub mend: &'static str,
}

/// Every question.
pub static QUESTIONS: &[Question] = &[
    Question {
        expr: "neural_agent_config_last_reload_successful == 0",
        labels: &[],
        says: "the last reload failed, and the configuration before it is active",
        mend: "neural-exporter check",
    },
    Question {
        expr: "increase(neural_source_kernel_drops_total[1h]) > 0",
        labels: &["source", "listen"],
        says: "the kernel dropped datagrams in the last hour",
        mend: "a larger receive_buffer of the source, and sudo sysctl -w net.core.rmem_max=8388608",
    },
    Question {
        expr: "increase(neural_source_clients_refused_total[1h]) > 0",
        labels: &["source"],
        says: "clients were refused in the last hour",
        mend: "a larger limits.clients, or fewer clients that stay connected",
    },
    Question {
        expr: "increase(neural_agent_series_refused_total[1h]) > 0",
        labels: &["family"],
        says: "series were refused in the last hour",
        mend: "fewer label values from the sender, a mapping rule that drops them, or larger limits",
    },
    Question {
        expr: "neural_history_file_failing == 1",
        labels: &[],
        says: "the history is kept in memory only",
        mend: "read why in the log: journalctl -u neural-exporter",
    },
    Question {
        expr: "increase(neural_history_scrapes_lost_total[1h]) > 0",
        labels: &[],
        says: "scrapes of the history were lost in the last hour",
        mend: "a faster disk for state_directory, or a longer history.interval",
    },
    Question {
        expr: "increase(neural_agent_log_lines_dropped_total[1h]) > 0",
        labels: &["reason"],
        says: "lines of the log were dropped in the last hour",
        mend: "see that something reads the log, and that its disk has room",
    },
    Question {
        expr: "increase(neural_agent_rule_evaluation_failures_total[1h]) > 0",
        labels: &[],
        says: "rules could not be evaluated in the last hour",
        mend: "curl http://127.0.0.1:9612/api/v1/rules says which and why",
    },
    Question {
        expr: "increase(neural_agent_notification_failures_total[1h]) > 0",
        labels: &["integration", "receiver"],
        says: "notifications failed in the last hour",
        mend: "neural-exporter check --live reaches each receiver",
    },
    Question {
        expr: "increase(neural_tap_dropped_bytes_total[1h]) > 0",
        labels: &["device"],
        says: "bytes of a tap were dropped in the last hour",
        mend: "see which program reads the tap, and that it reads it",
    },
    Question {
        expr: "neural_agent_recording_failing == 1",
        labels: &[],
        says: "a recording of a source cannot be written",
        mend: "make room on its disk: df -h",
    },
];
