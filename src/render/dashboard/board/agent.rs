//! The agent itself: is each of its inputs heard, and what does it cost?

use super::super::view::{Board, closed, column, lines, open, q, stat, view};
use super::WRITTEN;
use crate::catalog::draw::{Panel, Rating, State, UP, state};
use crate::catalog::limit::{AGENT_MEMORY, AGENT_SCRAPE, AGENT_SERIES, SOURCE_ERROR_RATIO, SOURCE_SILENCE};

/// What came of the last reload.
const TAKEN: &[State] = &[state(1.0, "taken", Rating::Good), state(0.0, "refused", Rating::Odd)];

pub(super) static BOARD: Board = Board {
    key: "agent",
    title: "The agent itself",
    about: "State of each input of the agent, what is rejected or lost, and what the agent costs.",
    pages: &["source", "agent"],
    by_machine: true,
    variables: &[("source", "Source")],
    range: "now-1h",
    refresh: "30s",
    rows: &[
        open("Now", &[
            stat("Agents up", "none", "Agents that Prometheus reaches.", &[q("sum(up)", "")]).zero_missing().empty("no agent"),
            stat("Sources down", "none", "Inputs that are down. Check cable, port, permission and whether the other program runs.", &[q(
                "count(neural_source_up == 0) or vector(0)",
                "",
            )])
            .zero_wanted(),
            stat("Events now", "cps", "Events decoded per second.", &[q("sum(rate(neural_source_events_total[5m]))", "")]),
            stat("Refused, worst source", "percentunit", "Share of the input that was rejected in the last five minutes, of the source of which most was.", &[q(
                "max(sum by (instance, source) (rate(neural_source_errors_total[5m])) / (sum by (instance, source) (rate(neural_source_events_total[5m])) + sum by (instance, source) (rate(neural_source_errors_total[5m]))))",
                "",
            )])
            .limits(&[&SOURCE_ERROR_RATIO])
            .empty("none"),
            stat("Dropped", "cps", "Datagrams dropped by the kernel and events dropped by the agent, per second. Enlarge the receive buffer, or send less.", &[q(
                "(sum(rate(neural_source_dropped_events_total[5m])) or vector(0)) + (sum(rate(neural_source_kernel_drops_total[5m])) or vector(0))",
                "",
            )])
            .zero_wanted(),
            stat("Series in use", "percentunit", "Share of the limit of series. At the limit, new series are counted in one named _other.", &[q(
                "max(neural_agent_series / neural_agent_series_limit)",
                "",
            )])
            .limits(&[&AGENT_SERIES]),
        ]),
        open("Sources", &[
            view(Panel::States, "Inputs that were down", "none", "Inputs that were down in the selected time, and when; the table names all of them.", &[q(
                "max by (instance, source) (neural_source_up) and on (instance, source) max by (instance, source) (min_over_time(neural_source_up[$__range] @ end())) == 0",
                "{{source}}",
            )])
            .states(UP)
            .beside(2)
            .empty("none was down")
            .judged("neural_source_up", "no agent"),
            view(Panel::Table, "Every source", "none", "What each input sent: everything is counted as an event, an error, or dropped. Errors are those of the last hour.", &[
                column("max by (instance, source) (neural_source_up)", "Up", "none").states(UP),
                column("sum by (instance, source) (rate(neural_source_events_total[5m]))", "Events/s", "short"),
                column("clamp_min(max by (instance) (neural_agent_time_seconds) - on (instance) group_right max by (instance, source) (neural_source_last_event_timestamp_seconds), 0)", "Last seen", "s")
                    .limits(&[&SOURCE_SILENCE]),
                column("sum by (instance, source) (increase(neural_source_errors_total[1h]))", "Errors", "short"),
            ])
            .first(&["source", "Value #A"])
            .sorted(&[("Up", false), ("Errors", true)])
            .beside(2),
            lines("Events", "cps", "Events decoded per second, of the five sources with the most; the table has all.", &[q(
                busiest!("5", "neural_source_events_total", "source"),
                "{{source}}",
            )]),
            lines("Bytes", "Bps", "Bytes read per second, of the five sources with the most.", &[q(
                busiest!("5", "neural_source_received_bytes_total", "source"),
                "{{source}}",
            )]),
            lines("Errors, by reason", "cps", "Rejected input per second, by reason. The log says which.", &[q(
                busiest!("4", "neural_source_errors_total", "source, reason"),
                "{{source}} {{reason}}",
            )])
            .empty("no errors"),
            lines("Dropped, by reason", "cps", "Datagrams dropped by the kernel because the buffer was full, and events dropped by the agent, by reason.", &[
                q(busiest!("2", "neural_source_kernel_drops_total", "source"), "{{source}} kernel"),
                q(busiest!("2", "neural_source_dropped_events_total", "source, reason"), "{{source}} {{reason}}"),
            ]),
            lines("Polls that failed", "percentunit", "Share of polls that failed, of the five sources where most did.", &[q(
                "sum by (instance, source) (rate(neural_source_poll_failures_total[$__rate_interval])) / sum by (instance, source) (rate(neural_source_polls_total[$__rate_interval])) and on (instance, source) topk(5, sum by (instance, source) (increase(neural_source_poll_failures_total[$__range] @ end())) > 0)",
                "{{source}}",
            )])
            .whole()
            .empty("none failed"),
            lines("Time of polls", "s", "Duration of the last poll, of the five sources where it was longest.", &[q(
                highest!("5", "neural_source_poll_duration_seconds", "source"),
                "{{source}}",
            )]),
        ]),
        open("Cost", &[
            lines("CPU of the agent", "percentunit", "Processor time of the agent: 100 % is one processor.", &[q(
                "max by (instance) (rate(process_cpu_seconds_total{source=''}[$__rate_interval]))",
                "{{instance}}",
            )]),
            lines("Memory of the agent", "bytes", "Resident memory of the agent. It is flat while the number of series is.", &[q(
                "max by (instance) (process_resident_memory_bytes{source=''})",
                "{{instance}}",
            )])
            .limits(&[&AGENT_MEMORY]),
            lines("Time of a scrape", "s", "Time to write a scrape, and duration of the scrape in Prometheus.", &[
                q("histogram_quantile(0.99, sum by (instance, le) (rate(neural_agent_scrape_duration_seconds_bucket[$__rate_interval])))", "p99"),
                q("max by (instance) (scrape_duration_seconds)", "seen by Prometheus"),
            ])
            .limits(&[&AGENT_SCRAPE]),
        ]),
        closed("Series and requests", &[
            lines("Series", "none", "Series in memory.", &[q("max by (instance) (neural_agent_series)", "{{instance}}")]),
            lines("Memory of series, of the limit", "percentunit", "Memory of series, as a share of the limit.", &[q(
                "max by (instance) (neural_agent_series_memory_bytes / neural_agent_series_memory_limit_bytes)",
                "{{instance}}",
            )]),
            lines("Events without a series of their own", "cps", "Events over the limit of series, by family. Drop a label that has too many values.", &[q(
                "sum by (instance, family) (rate(neural_agent_series_refused_total[$__rate_interval]))",
                "{{family}}",
            )])
            .empty("none"),
            lines("Label values shortened", "cps", "Values of labels per second that were longer than the limit.", &[q(
                "sum by (instance) (rate(neural_agent_label_values_truncated_total[$__rate_interval]))",
                "{{instance}}",
            )]),
            lines("Requests", "reqps", "HTTP requests answered per second, connections closed to make room, and TLS handshakes that failed.", &[
                q("sum by (instance, path, status) (rate(neural_agent_http_requests_total[$__rate_interval]))", "{{path}} {{status}}"),
                q("sum by (instance) (rate(neural_agent_http_connections_closed_total[$__rate_interval]))", "closed"),
                q("sum by (instance, reason) (rate(neural_agent_tls_handshake_failures_total[$__rate_interval]))", "TLS {{reason}}"),
            ]),
            lines("Size of a scrape", "bytes", "Size of the last scrape before compression.", &[q(
                "max by (instance) (neural_agent_scrape_size_bytes)",
                "{{instance}}",
            )]),
            lines("Reloads in an hour", "none", "Attempts to reload the configuration, and those that failed.", &[
                q("sum by (instance) (increase(neural_agent_config_reloads_total[1h]))", "asked"),
                q("sum by (instance) (increase(neural_agent_config_reload_failures_total[1h]))", "refused"),
                q("sum by (instance) (increase(neural_agent_web_config_reload_failures_total[1h]))", "web configuration refused"),
            ]),
            view(Panel::Table, "Agents", "none", "Version of each agent, its uptime, the time of its last reload, and the time until its certificate expires.", &[
                column("clamp_min(time() - max by (instance) (process_start_time_seconds{source=''}), 0) * on (instance) group_left (version) max by (instance, version) (neural_agent_build_info)", "Uptime", "s"),
                column("clamp_min(time() - max by (instance) (neural_agent_config_last_reload_success_timestamp_seconds), 0) * on (instance) group_left (version) max by (instance, version) (neural_agent_build_info)", "Configured", "s"),
                column("max by (instance) (neural_agent_config_hash) * on (instance) group_left (version) max by (instance, version) (neural_agent_build_info)", "Configuration hash", "none"),
                column("max by (instance) (neural_agent_config_last_reload_successful) * on (instance) group_left (version) max by (instance, version) (neural_agent_build_info)", "Last reload", "none").states(TAKEN),
                column("max by (instance) (neural_agent_web_config_last_reload_successful) * on (instance) group_left (version) max by (instance, version) (neural_agent_build_info)", "Web configuration", "none").states(TAKEN),
                column("(min by (instance) (neural_agent_certificate_expiry_timestamp_seconds) - time()) * on (instance) group_left (version) max by (instance, version) (neural_agent_build_info)", "Certificate", "s"),
            ])
            .first(&["instance", "Value #D"]),
        ]),
        closed("Rules and notifications", &[
            lines("Time spent on rules", "percentunit", "Processor time of the evaluation of rules: 100 % is one processor.", &[q(
                "sum by (instance) (rate(neural_agent_rule_evaluation_seconds_total[$__rate_interval]))",
                "{{instance}}",
            )])
            .empty("the agent evaluates no rules"),
            lines("Rules evaluated", "cps", "Rules that the agent evaluated per second, and those that failed. The log names them.", &[
                q("sum by (instance) (rate(neural_agent_rule_evaluations_total[$__rate_interval]))", "evaluated"),
                q("sum by (instance) (rate(neural_agent_rule_evaluation_failures_total[$__rate_interval]))", "failed"),
            ]),
            lines("Alerts of the agent's own rules", "none", "Alerts that are pending or firing, and those that wait for an Alertmanager.", &[
                q("sum by (instance, state) (neural_agent_alerts)", "{{state}}"),
                q("sum by (instance, integration, receiver) (neural_agent_notifications_waiting)", "wait for {{integration}} {{receiver}}"),
            ]),
            lines("Notifications", "cps", "Alerts accepted per second by each Alertmanager, requests that it did not accept, and alerts dropped.", &[
                q("sum by (instance, integration, receiver) (rate(neural_agent_notifications_total[$__rate_interval]))", "{{integration}} {{receiver}}"),
                q("sum by (instance, integration, receiver) (rate(neural_agent_notification_failures_total[$__rate_interval]))", "{{integration}} {{receiver}} failed"),
                q("sum by (instance, integration, receiver) (rate(neural_agent_notifications_dropped_total[$__rate_interval]))", "{{integration}} {{receiver}} dropped"),
            ])
            .empty("no Alertmanager"),
            lines("Time to notify", "s", "Time from the change of an alert to the answer of the Alertmanager, of the last request.", &[q(
                "max by (instance, integration, receiver) (neural_agent_notification_latency_seconds)",
                "{{integration}} {{receiver}}",
            )])
            .empty("no Alertmanager"),
        ]),
        closed("Files of the agent", &[
            lines("History and reports in bytes", "bytes", "Size of the compressed samples in memory, of the file, and of the reports in their folder.", &[
                q("sum by (instance) (neural_history_memory_bytes)", "memory"),
                q("sum by (instance) (neural_history_file_bytes)", "file"),
                q("sum by (instance) (neural_agent_reports_bytes)", "reports"),
            ])
            .empty("no history"),
            lines("Series in the history", "none", "Series of which the history holds samples in memory.", &[q(
                "sum by (instance) (neural_history_series)",
                "{{instance}}",
            )])
            .empty("no history"),
            lines("What the history lost", "cps", "Samples without room, scrapes that did not reach the file, chunks that were damaged, per second.", &[
                q("sum by (instance) (rate(neural_history_samples_refused_total[$__rate_interval]))", "samples refused"),
                q("sum by (instance) (rate(neural_history_scrapes_lost_total[$__rate_interval]))", "scrapes lost"),
                q("sum by (instance) (rate(neural_history_chunks_damaged_total[$__rate_interval]))", "chunks damaged"),
            ])
            .empty("no history"),
            lines("What recordings lost", "Bps", "Bytes per second that are missing in the recording of the agent because the disk was full or too slow.", &[q(
                "sum by (instance) (rate(neural_agent_recording_dropped_bytes_total[$__rate_interval]))",
                "{{instance}}",
            )])
            .empty("no recording"),
            lines("Recorded reads and reports lost", "cps", "Reads per second that are missing in the recording of the agent, each of which is a gap that is marked in it; attempts to write a report that failed, and reports that will never be written.", &[
                q("sum by (instance) (rate(neural_agent_recording_dropped_reads_total[$__rate_interval]))", "reads"),
                q("sum by (instance) (rate(neural_agent_report_failures_total[$__rate_interval]))", "attempts at reports"),
                q("sum by (instance) (rate(neural_agent_reports_dropped_total[$__rate_interval]))", "reports"),
            ])
            .empty("no recording"),
            lines("What the logs lost", "cps", "Lines of the log and of the event log that were dropped per second.", &[
                q("sum by (instance, reason) (rate(neural_agent_log_lines_dropped_total[$__rate_interval]))", "log {{reason}}"),
                q("sum by (instance) (rate(neural_agent_event_log_dropped_lines_total[$__rate_interval]))", "event log"),
            ]),
            view(Panel::States, "Files that are written", "none", "Whether the files of the history, of recordings, of the event log and of reports can be written. If not, the log says why.", &[
                q("max by (instance) (neural_agent_reports_failing)", "reports"),
                q("max by (instance) (neural_history_file_failing)", "history"),
                q("max by (instance) (neural_agent_recording_failing)", "recording"),
                q("max by (instance) (neural_agent_event_log_failing)", "event log"),
            ])
            .states(WRITTEN)
            .empty("no file is written"),
        ]),
        closed("Sockets", &[
            lines("Connections", "none", "Open connections, of the five sources with the most.", &[q(highest!("5", "neural_source_clients", "source"), "{{source}}")])
                .empty("no stream"),
            lines("Connections refused and accepted", "cps", "Connections accepted per second, and those refused because too many were open.", &[
                q(busiest!("2", "neural_source_clients_accepted_total", "source"), "{{source}} accepted"),
                q(busiest!("2", "neural_source_clients_refused_total", "source"), "{{source}} refused"),
            ])
            .empty("no stream"),
            lines("Receive buffers", "bytes", "Memory of datagrams that wait; the dashed lines are the size and what was requested. Full buffers lose datagrams.", &[
                q(highest!("5", "neural_source_receive_buffer_used_bytes", "source"), "{{source}}"),
                q(highest!("5", "neural_source_receive_buffer_size_bytes", "source"), "size {{source}}").dashed(),
                q(highest!("5", "neural_source_receive_buffer_requested_bytes", "source"), "requested {{source}}").dashed(),
            ])
            .empty("no datagram socket"),
            lines("Reads", "cps", "Datagrams, or reads of a stream, per second, of the five sources with the most.", &[q(
                busiest!("5", "neural_source_reads_total", "source"),
                "{{source}}",
            )]),
            lines("Bytes rejected", "Bps", "Bytes of input rejected per second, of the five sources with the most.", &[q(
                busiest!("5", "neural_source_error_bytes_total", "source"),
                "{{source}}",
            )])
            .empty("none"),
            view(Panel::States, "Sources whose polls failed", "none", "Sources of which a poll failed in the selected time, and when.", &[q(
                "max by (instance, source) (neural_source_poll_success) and on (instance, source) max by (instance, source) (min_over_time(neural_source_poll_success[$__range] @ end())) == 0",
                "{{source}}",
            )])
            .states(&[state(1.0, "answered", Rating::Good), state(0.0, "failed", Rating::Bad)])
            .empty("none failed")
            .judged("neural_source_poll_success", "none is polled"),
        ]),
        closed("Sent to servers", &[
            lines("Time since last push", "s", "Time since the last push that left everything in place on its server, how far remote write is behind, and the time that it lost.", &[
                q("clamp_min(time() - max by (instance, target) (neural_provision_last_success_timestamp_seconds), 0)", "{{target}}"),
                q("max by (instance, target) (neural_remote_write_lag_seconds)", "remote write to {{target}}"),
                q("sum by (instance, target) (increase(neural_remote_write_lost_seconds_total[$__rate_interval]))", "lost for {{target}}"),
            ])
            .beside(3)
            .empty("this agent pushes nothing"),
            lines("Objects", "none", "Result for each object of the last push, samples of remote write that are not answered yet, and pushes to a Pushgateway that failed.", &[
                q("sum by (instance, target, result) (neural_provision_objects)", "{{target}} {{result}}"),
                q("sum by (instance, target) (neural_remote_write_pending_samples)", "{{target}} samples"),
                q("sum by (instance, target) (increase(neural_pushgateway_pushes_total{result=\"failure\"}[$__rate_interval]))", "{{target}} failed"),
            ])
            .beside(3)
            .empty("this agent pushes nothing"),
            lines("Remote write", "cps", "Samples per second that a target accepted, samples and exemplars that it did not get, and requests that are sent again.", &[
                q("sum by (instance, target) (rate(neural_remote_write_samples_total[$__rate_interval]))", "{{target}}"),
                q("sum by (instance, target, reason) (rate(neural_remote_write_dropped_samples_total[$__rate_interval]))", "{{target}} {{reason}}"),
                q("sum by (instance) (rate(neural_remote_write_exemplars_total{result!=\"sent\"}[$__rate_interval]))", "exemplars not sent"),
                q("sum by (instance) (rate(neural_remote_write_retries_total[$__rate_interval]))", "sent again"),
            ])
            .beside(3)
            .empty("no remote write"),
        ]),
    ],
};
