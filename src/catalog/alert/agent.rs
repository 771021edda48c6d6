//! Alerts: the agent itself, and whether notifications of the others arrive.

use super::{Alert, Case, Chapter, Level, Priority, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "agent",
    group: "neural-agent",
    interval: 30,
    records: &[],
    alerts: &[
        &WATCHDOG,
        &DOWN,
        &ABSENT,
        &SLOW,
        &CLOCK,
        &REFUSED,
        &NEAR_LIMIT,
        &RELOAD,
        &RESTARTING,
        &MEMORY,
        &FILES,
        &LOG_LOST,
        &RECORDING,
        &HISTORY,
        &REPORTS,
        &RULES,
        &UNDELIVERED,
    ],
};

static WATCHDOG: Alert = Alert {
    name: "NeuralWatchdog",
    level: Level::new(Severity::Info, Priority::P3, 0, "vector(1)"),
    local: false,
    summary: "Alerting works",
    description: "This alert always fires. If it stops arriving, the others do not arrive either.",
    meaning: "A dead man's switch: it fires all the time, and an external service raises the alarm when it stops. If you receive it as a normal alert, its route is missing: set `alerts.watchdog`.",
    immediate: &["If it stopped: see whether Prometheus runs, evaluates its rules and reaches Alertmanager."],
    short_term: &["Look at Prometheus under Status, Rules, and at Alertmanager's own page."],
    long_term: &["Send it to a service that watches for silence, outside the network it watches."],
    queries: &["ALERTS{alertname='NeuralWatchdog'}", "prometheus_notifications_dropped_total"],
    related: &["NeuralAlertsUndelivered", "NeuralRuleFailures"],
    fires: Case::fires(5, &[("up", "1x10")], &[], "1"),
    // It never is.
    quiet: Case::quiet(0, &[]),
    ..Alert::BLANK
};

static DOWN: Alert = Alert {
    name: "NeuralAgentDown",
    level: Level::new(Severity::Critical, Priority::P0, 60, "up{job='${job}'} == 0"),
    summary: "The agent on {{ $labels.instance }} does not answer",
    description: "Prometheus cannot scrape it for more than a minute. The state of its devices and pipelines is unknown.",
    meaning: "The agent, its machine or the network between is down. Recording programs do not depend on the agent and continue while their machine runs.",
    immediate: &[
        "See whether the machine answers; if so: `systemctl status neural-exporter`.",
        "Query it by hand: `curl http://INSTANCE/metrics | head`.",
    ],
    short_term: &["If it listens on loopback alone, set `listen` to an address that Prometheus reaches."],
    long_term: &["Let systemd restart it: the unit that ships does."],
    queries: &["up", "scrape_duration_seconds"],
    related: &["NeuralAgentAbsent", "NeuralHostRebooted"],
    fires: Case::fires(10, &[("up", "1x3 0x12")], &[], "0"),
    quiet: Case::quiet(10, &[("up", "1x15")]),
    ..Alert::BLANK
};

static ABSENT: Alert = Alert {
    name: "NeuralAgentAbsent",
    level: Level::new(Severity::Critical, Priority::P1, 300, "absent(up{job='${job}'})"),
    local: false,
    summary: "Prometheus scrapes no agent",
    description: "There is no target with the job {{ $labels.job }}. No other alert of this set can fire.",
    meaning: "Prometheus has no target of that job: its scrape configuration was changed, its list of targets is empty, or the job has another name than `alerts.job` says.",
    immediate: &["Look at Prometheus under Status, Targets."],
    short_term: &["Check the file of targets: Prometheus silently ignores one that it cannot read."],
    long_term: &["Generate the scrape configuration from the same configuration as the rules."],
    queries: &["up", "prometheus_sd_file_read_errors_total"],
    related: &["NeuralAgentDown"],
    fires: Case::fires(10, &[("up{job='other'}", "1x15")], &[("job", "${job}")], "1"),
    quiet: Case::quiet(10, &[("up", "0x15")]),
    ..Alert::BLANK
};

static SLOW: Alert = Alert {
    name: "NeuralAgentScrapeSlow",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        300,
        "scrape_duration_seconds{job='${job}'} > ${agent_scrape}",
    ),
    summary: "Scraping the agent on {{ $labels.instance }} takes long",
    description: "{{ $value | humanizeDuration }} a scrape; the limit is ${agent_scrape}. The agent itself needs a millisecond or two.",
    meaning: "A scrape takes far longer than the agent needs to write it: a slow network, a machine that is busy, or very many series.",
    immediate: &[
        "Compare with `neural_agent_scrape_duration_seconds`: if that is short, the network or the machine is slow.",
    ],
    short_term: &["See how many series there are, and which family has most."],
    long_term: &["Drop labels that multiply series."],
    queries: &[
        "scrape_duration_seconds",
        "histogram_quantile(0.99, rate(neural_agent_scrape_duration_seconds_bucket[5m]))",
        "neural_agent_series",
    ],
    related: &["NeuralAgentSeriesLimit", "NeuralHostCpu"],
    fires: Case::fires(10, &[("scrape_duration_seconds", "3x15")], &[], "3s"),
    quiet: Case::quiet(10, &[("scrape_duration_seconds", "0.01x15")]),
    ..Alert::BLANK
};

static CLOCK: Alert = Alert {
    name: "NeuralAgentClockSkew",
    level: Level::new(
        Severity::Low,
        Priority::P2,
        300,
        "abs(timestamp(neural_agent_time_seconds) - neural_agent_time_seconds) > ${agent_clock}",
    ),
    summary: "The clock of {{ $labels.instance }} is wrong",
    description: "It is {{ $value | humanizeDuration }} from that of Prometheus; the limit is ${agent_clock}.",
    meaning: "The machine of the agent and that of Prometheus do not agree on the time. Timestamps made on the two machines, recordings included, differ by that much.",
    immediate: &["On both machines: `timedatectl`. One of them says that its clock is not synchronised."],
    short_term: &["Start time synchronisation there: `sudo timedatectl set-ntp true`."],
    long_term: &[
        "Let all machines of a session use the same time server, one of the lab's own if there is no network.",
    ],
    queries: &["timestamp(neural_agent_time_seconds) - neural_agent_time_seconds"],
    related: &["NeuralStageClockLag", "NeuralDeviceDrift"],
    fires: Case::fires(10, &[("neural_agent_time_seconds", "-300+60x15")], &[], "5m 0s"),
    quiet: Case::quiet(10, &[("neural_agent_time_seconds", "2+60x15")]),
    ..Alert::BLANK
};

static REFUSED: Alert = Alert {
    name: "NeuralAgentSeriesRefused",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        0,
        "increase(neural_agent_series_refused_total[10m]) > 0\nor\n(neural_agent_series_refused_total unless neural_agent_series_refused_total offset 10m)",
    ),
    keep_firing: 600,
    summary: "The agent on {{ $labels.instance }} refuses series of {{ $labels.family }}",
    description: "{{ $value | humanize }} events in ten minutes were for series above the limit. Counters continue in the series `_other`, gauges are lost.",
    meaning: "A metric has more label values than the limit allows: a sender puts an id, a time or a file name into a label.",
    immediate: &[
        "See which label it is: `count by (__name__) ({__name__=~'neural_.+'})`, then the values of that family.",
    ],
    short_term: &["Fix the sender: ids belong into logs or traces."],
    long_term: &["Raise `limits.series_per_family` only if every value is really of use."],
    queries: &[
        "increase(neural_agent_series_refused_total[1h])",
        "neural_agent_series / neural_agent_series_limit",
    ],
    related: &["NeuralAgentSeriesLimit"],
    fires: Case::fires(
        10,
        // One flood makes the series, and nothing comes after it.
        &[("neural_agent_series_refused_total{family='neural_stage_duration_seconds'}", "_x5 60x15")],
        &[("family", "neural_stage_duration_seconds")],
        "60",
    ),
    // Half an hour ago it was news.
    quiet: Case::quiet(
        30,
        &[("neural_agent_series_refused_total{family='neural_stage_duration_seconds'}", "6x35")],
    ),
    ..Alert::BLANK
};

static NEAR_LIMIT: Alert = Alert {
    name: "NeuralAgentSeriesLimit",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        600,
        "neural_agent_series / neural_agent_series_limit > ${agent_series}",
    ),
    summary: "The agent on {{ $labels.instance }} is close to its limit of series",
    description: "{{ $value | humanizePercentage }} of `limits.series`; the limit is ${agent_series}. Series above `limits.series` are rejected.",
    meaning: "The total number of series is close to the limit.",
    immediate: &["See which family grows: `topk(10, count by (__name__) ({__name__=~'neural_.+'}))`."],
    short_term: &["Drop labels that are not used."],
    long_term: &["Raise `limits.series` if they are needed; each costs a few hundred bytes."],
    queries: &["neural_agent_series", "topk(10, count by (__name__) ({__name__=~'neural_.+'}))"],
    related: &["NeuralAgentSeriesRefused"],
    fires: Case::fires(
        20,
        &[("neural_agent_series", "49000x25"), ("neural_agent_series_limit", "50000x25")],
        &[],
        "98%",
    ),
    quiet: Case::quiet(20, &[("neural_agent_series", "900x25"), ("neural_agent_series_limit", "50000x25")]),
    ..Alert::BLANK
};

static RELOAD: Alert = Alert {
    name: "NeuralAgentReloadFailed",
    level: Level::new(Severity::Medium, Priority::P2, 60, "neural_agent_config_last_reload_successful == 0"),
    summary: "The agent on {{ $labels.instance }} refused its new configuration",
    description: "The last attempt to reload failed. The previous configuration stays active until a reload succeeds.",
    meaning: "The new configuration has errors. The agent keeps the previous one.",
    immediate: &["List the errors: `neural-exporter check --config /etc/neural-exporter/config.yml`."],
    short_term: &["Fix it, or restore the previous one, and reload: the agent would not start with it."],
    long_term: &["Run `neural-exporter check` before you deploy a configuration."],
    queries: &[
        "neural_agent_config_last_reload_successful",
        "neural_agent_config_reload_failures_total",
        "neural_agent_config_last_reload_success_timestamp_seconds",
    ],
    related: &[],
    fires: Case::fires(90, &[("neural_agent_config_last_reload_successful", "1x10 0x85")], &[], "0"),
    quiet: Case::quiet(20, &[("neural_agent_config_last_reload_successful", "1x5 0x10 1x10")]),
    ..Alert::BLANK
};

static RESTARTING: Alert = Alert {
    name: "NeuralAgentRestarting",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        0,
        "changes(process_start_time_seconds{job='${job}',source=''}[30m]) > 2",
    ),
    keep_firing: 900,
    summary: "The agent on {{ $labels.instance }} restarts repeatedly",
    description: "{{ $value }} times in half an hour.",
    meaning: "The agent ends and is started again.",
    immediate: &["Read why: `journalctl -u neural-exporter -n 100`."],
    short_term: &["Report it, with the log and the configuration."],
    long_term: &[],
    queries: &[
        "changes(process_start_time_seconds{source=''}[30m])",
        "process_resident_memory_bytes{source=''}",
    ],
    related: &["NeuralAgentDown", "NeuralAgentMemory"],
    fires: Case::fires(10, &[("process_start_time_seconds", "1 1 1 2 2 3 3 4 4 5 5")], &[], "4"),
    quiet: Case::quiet(10, &[("process_start_time_seconds", "1x5 2x5")]),
    ..Alert::BLANK
};

static MEMORY: Alert = Alert {
    name: "NeuralAgentMemory",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        600,
        "process_resident_memory_bytes{job='${job}',source=''} > ${agent_memory}",
    ),
    summary: "The agent on {{ $labels.instance }} uses too much memory",
    description: "{{ $value | humanize1024 }}B; the limit is ${agent_memory}.",
    meaning: "The agent uses more memory than it should. Its memory grows with the number of series and connections.",
    immediate: &["See how many series and connections it has."],
    short_term: &["Lower `limits.series`, or fix the sender that multiplies them."],
    long_term: &["Report it, with the configuration, if the series are few."],
    queries: &["process_resident_memory_bytes{source=''}", "neural_agent_series", "neural_source_clients"],
    related: &["NeuralAgentSeriesLimit"],
    fires: Case::fires(20, &[("process_resident_memory_bytes", "268435456x25")], &[], "256Mi"),
    quiet: Case::quiet(20, &[("process_resident_memory_bytes", "20000000x25")]),
    ..Alert::BLANK
};

static LOG_LOST: Alert = Alert {
    name: "NeuralAgentLogDropped",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        0,
        "increase(neural_agent_log_lines_dropped_total[10m]) > 0",
    ),
    keep_firing: 600,
    summary: "The agent on {{ $labels.instance }} drops log lines",
    description: "{{ $value | humanize }} lines in ten minutes: {{ $labels.reason }}. Metrics are not affected.",
    meaning: "The agent never waits for its log. `queue_full`: the reader of the log does not keep up. `write_failed`: the disk of the log is full, or its reader is gone.",
    immediate: &[
        "With write_failed: `df` where the log is. With queue_full: see whether the collector of the log runs.",
    ],
    short_term: &["Free disk space, or restart the collector; you need not restart the agent."],
    long_term: &["Log to the journal: it limits its own size."],
    queries: &["increase(neural_agent_log_lines_dropped_total[1h])"],
    related: &["NeuralHostFilesystem"],
    fires: Case::fires(
        10,
        &[("neural_agent_log_lines_dropped_total{reason='write_failed'}", "0x5 10x10")],
        &[("reason", "write_failed")],
        "10",
    ),
    quiet: Case::quiet(30, &[("neural_agent_log_lines_dropped_total{reason='write_failed'}", "10x35")]),
    ..Alert::BLANK
};

static RECORDING: Alert = Alert {
    name: "NeuralAgentRecordingFailing",
    level: Level::new(
        Severity::High,
        Priority::P1,
        0,
        "max_over_time(neural_agent_recording_failing[1m]) > 0",
    ),
    summary: "The recording of the agent on {{ $labels.instance }} cannot be written",
    description: "Data waits in memory while there is room, and is lost after that. The log says why.",
    meaning: "The file of `neural-exporter record` cannot be written: its disk is full, or gone.",
    immediate: &[
        "Free space on the disk of the recording: `df`. The recording then continues, and the gap is marked in it.",
    ],
    short_term: &["See how much is missing: `neural_agent_recording_dropped_bytes_total`."],
    long_term: &["Record to a disk with room for the whole session."],
    queries: &["neural_agent_recording_failing", "neural_agent_recording_dropped_bytes_total"],
    related: &["NeuralHostFilesystem"],
    fires: Case::fires(5, &[("neural_agent_recording_failing", "0x2 1x10")], &[], "1"),
    quiet: Case::quiet(5, &[("neural_agent_recording_failing", "0x10")]),
    ..Alert::BLANK
};

static HISTORY: Alert = Alert {
    name: "NeuralAgentHistoryFailing",
    level: Level::new(Severity::Low, Priority::P2, 600, "neural_history_file_failing == 1"),
    summary: "The agent on {{ $labels.instance }} does not write its history to disk",
    description: "For more than ten minutes the file could not be written, or only slowly. Samples wait in memory; a restart loses them. Metrics are not affected.",
    meaning: "The file of the history in the state directory cannot be written: its disk is full, read-only, slow or gone, another agent has the same state directory, or a newer version of the program wrote the file.",
    immediate: &[
        "Read the reason: `journalctl -u neural-exporter | grep history`.",
        "With a full disk: free space where the state directory is. The agent continues by itself.",
    ],
    short_term: &[
        "With a disk that was remounted read-only: `dmesg` says which error it had; repair the file system.",
        "Of two agents with one state directory: give each its own with `state_directory`.",
    ],
    long_term: &[
        "Use a disk that survives constant small writes, or set a longer `history.flush`; set `history.enabled: false` where no history is needed.",
    ],
    queries: &[
        "neural_history_file_failing",
        "neural_history_scrapes_lost_total",
        "neural_history_file_bytes",
    ],
    related: &["NeuralHostFilesystem", "NeuralAgentRecordingFailing"],
    fires: Case::fires(20, &[("neural_history_file_failing", "0x2 1x20")], &[], "1"),
    // A disk that was full for five minutes.
    quiet: Case::quiet(20, &[("neural_history_file_failing", "0x2 1x5 0x15")]),
    ..Alert::BLANK
};

static REPORTS: Alert = Alert {
    name: "NeuralReportsFailing",
    level: Level::new(Severity::Low, Priority::P2, 300, "neural_agent_reports_failing == 1"),
    summary: "The agent on {{ $labels.instance }} cannot write, send or delete reports ({{ $labels.operation }})",
    description: "It fails for more than five minutes. Recordings do not depend on it.",
    meaning: "With `session`, the report of a session cannot be written into `reports.folder`, or not be made; it is tried again every 30 seconds for a week. With `schedule`, the last report of each day or week, or that of another task, could not be made, written or sent to one of `reports.receivers`. With `cleanup`, the folder is not there or cannot be read, or a report that `reports.keep` lets go cannot be deleted.",
    immediate: &[
        "Read the reason: `journalctl -u neural-exporter | grep report`; `neural-exporter session list` and `neural-exporter task list` show it as well.",
        "With a full disk: free space in the folder of reports. With a folder that is gone: mount or make it. The agent continues by itself.",
        "With `schedule`: run it when the reason is gone: `neural-exporter task run NAME`.",
    ],
    short_term: &["Give the agent's user the right to write there, also in its unit: `ReadWritePaths=`."],
    long_term: &[
        "Restrict what the reports take: `reports.keep`. Alert on the space of that disk: NeuralHostFilesystem.",
    ],
    queries: &[
        "neural_agent_reports_failing",
        "increase(neural_agent_report_failures_total[1h])",
        "increase(neural_agent_reports_dropped_total[1d])",
        "neural_agent_reports_bytes",
    ],
    related: &["NeuralTaskOverdue", "NeuralHostFilesystem", "NeuralAgentHistoryFailing"],
    fires: Case::fires(
        15,
        &[("neural_agent_reports_failing{operation='session'}", "0x2 1x20")],
        &[("operation", "session")],
        "1",
    ),
    // A server that was away for three minutes.
    quiet: Case::quiet(15, &[("neural_agent_reports_failing{operation='session'}", "0x2 1x3 0x15")]),
    ..Alert::BLANK
};

static FILES: Alert = Alert {
    name: "NeuralAgentOpenFiles",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        120,
        "process_open_fds{job='${job}',source=''} / process_max_fds{job='${job}',source=''} > ${process_files}",
    ),
    summary: "The agent on {{ $labels.instance }} is close to its limit of open files",
    description: "{{ $value | humanizePercentage }} of its limit; the limit is ${process_files}. At the limit it accepts no more connections.",
    meaning: "The agent has nearly reached its limit of open files. Usually a sender opens connections and never closes them.",
    immediate: &["See which source has the most clients: `neural_source_clients`."],
    short_term: &["Fix the sender, or raise `LimitNOFILE=` in the agent's unit."],
    long_term: &[],
    queries: &["process_open_fds{source=''} / process_max_fds{source=''}", "neural_source_clients"],
    related: &["NeuralSourceClientsRefused"],
    fires: Case::fires(10, &[("process_open_fds", "1000x15"), ("process_max_fds", "1024x15")], &[], "97.66%"),
    quiet: Case::quiet(10, &[("process_open_fds", "20x15"), ("process_max_fds", "1024x15")]),
    ..Alert::BLANK
};

static RULES: Alert = Alert {
    name: "NeuralRuleFailures",
    level: Level::new(
        Severity::High,
        Priority::P1,
        0,
        "increase(prometheus_rule_evaluation_failures_total{rule_group=~'.*;neural-.*'}[5m]) > 0",
    ),
    keep_firing: 300,
    summary: "Prometheus cannot evaluate rules of {{ $labels.rule_group }}",
    description: "{{ $value | humanize }} evaluations failed in five minutes. Alerts of that group cannot fire.",
    meaning: "The evaluation of a rule fails: two agents send the same series, or the server is overloaded.",
    immediate: &["Read the reason in Prometheus under Status, Rules."],
    short_term: &["Check that every agent has its own `instance`."],
    long_term: &["Report it, with the reason."],
    queries: &["increase(prometheus_rule_evaluation_failures_total[1h])"],
    related: &["NeuralWatchdog"],
    fires: Case::fires(
        10,
        &[(
            "prometheus_rule_evaluation_failures_total{rule_group='/etc/prometheus/rules/device.yml;neural-device'}",
            "0+1x15",
        )],
        &[("rule_group", "/etc/prometheus/rules/device.yml;neural-device")],
        "5",
    ),
    quiet: Case::quiet(
        10,
        &[(
            "prometheus_rule_evaluation_failures_total{rule_group='/etc/prometheus/rules/device.yml;neural-device'}",
            "4x15",
        )],
    ),
    ..Alert::BLANK
};

static UNDELIVERED: Alert = Alert {
    name: "NeuralAlertsUndelivered",
    level: Level::new(
        Severity::High,
        Priority::P1,
        // Longer than the window: a reload drops one or two, and their rate is seen for five minutes.
        600,
        "rate(prometheus_notifications_errors_total[5m]) > 0 or rate(prometheus_notifications_dropped_total[5m]) > 0 or neural_agent_notifications_waiting > 0 or rate(neural_agent_notifications_dropped_total[5m]) > 0",
    ),
    summary: "Alerts do not reach a receiver",
    description: "For more than ten minutes notifications fail, are dropped or wait.",
    meaning: "Prometheus or the agent cannot send alerts to Alertmanager, or the agent not to one of `alerts.receivers`; with the agent, nothing is lost as long as it waits, and everything is sent once the receiver answers. This alert may not arrive either; `NeuralWatchdog` covers that case. The one or two notifications that a reload of Prometheus drops are sent again and do not fire it.",
    immediate: &[
        "See whether Alertmanager runs, and its address under `alerting` in Prometheus' configuration.",
        "If the agent notifies: see the reason on its page or in its log, and check the receiver's URL, key and network.",
    ],
    short_term: &["Look at Alertmanager's log."],
    long_term: &["Run two Alertmanagers."],
    queries: &[
        "rate(prometheus_notifications_errors_total[5m])",
        "prometheus_notifications_queue_length",
        "neural_agent_notifications_waiting",
    ],
    related: &["NeuralWatchdog"],
    fires: Case::fires(
        15,
        &[
            ("prometheus_notifications_errors_total{alertmanager='http://am:9093'}", "0+60x20"),
            ("prometheus_notifications_dropped_total", "2x20"),
        ],
        &[("alertmanager", "http://am:9093")],
        "1",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("prometheus_notifications_errors_total{alertmanager='http://am:9093'}", "0x5 1x10"),
            ("prometheus_notifications_dropped_total", "0x5 2x10"),
        ],
    ),
    ..Alert::BLANK
};
