//! Alerts: is each stream on the network there, whole and on time?
//!
//! What comes of a stream is judged as any device's signal is; what is here needs its timestamps, its sender's clock,
//! or the other streams. A stream as a device or source of the hub has a slash in its name, which no other has.

use super::{Alert, Case, Chapter, Level, Priority, Record, Severity};

pub(super) static CHAPTER: Chapter = Chapter {
    page: "stream",
    group: "neural-stream",
    interval: 15,
    records: &[
        Record {
            name: "stream:neural_stream_missing_samples:ratio_rate5m",
            expr: "rate(neural_stream_missing_samples_total[5m])\n/\n(neural_stream_nominal_rate_hertz > 0)",
        },
        Record {
            name: "stream:neural_stream_sample_age_seconds:p95_rate5m",
            expr: "histogram_quantile(0.95, rate(neural_stream_sample_age_seconds_bucket[5m]))",
        },
        // Of a stream that is ahead from its beginning no sample has an age.
        Record {
            name: "stream:neural_stream_future_samples:ratio_rate5m",
            expr: "rate(neural_stream_future_samples_total[5m])\n/\n(\n  rate(neural_stream_future_samples_total[5m])\n  +\n  (rate(neural_stream_sample_age_seconds_count[5m]) or 0 * rate(neural_stream_future_samples_total[5m]))\n)",
        },
    ],
    alerts: &[
        &MISSING,
        &GONE,
        &STALLED,
        &GAPS,
        &LOW_RATE,
        &LATE,
        &AHEAD,
        &WRONG_UNIT,
        &BACKLOG,
        &CLOCK_JUMP,
        &DRIFT,
        &NOT_FINITE,
        &SAME_NAME,
        &SAME_ID,
        &REFUSED,
        &BLOCKING,
    ],
};

static MISSING: Alert = Alert {
    name: "NeuralStreamMissing",
    level: Level::new(Severity::Critical, Priority::P0, 30, "neural_stream_present == 0"),
    keep_firing: 60,
    summary: "The stream {{ $labels.stream }} is missing on {{ $labels.instance }}",
    description: "{{ $labels.stream }} is expected and does not answer. A recorder that was started now would not find it.",
    meaning: "The configuration says that there should be a stream of this name (`expect`), and none answers the agent's discovery: its program does not run, it is in another session or on a machine that discovery does not reach, or a firewall drops the packets.",
    immediate: &[
        "Check that the program of the stream runs and is connected to its device.",
        "See which streams answer: `neural-exporter devices --scope site`.",
    ],
    short_term: &[
        "On another machine: let UDP port 16571 and TCP and UDP ports 16572 to 16603 through its firewall, and set `scope: link` or `site`.",
        "Where multicast is blocked, or a VPN or Docker has the first network adapter, name the machine under `known_peers`.",
        "Compare sessions: `SessionID` in the program's `lsl_api.cfg`, and `session` of the source.",
    ],
    long_term: &["Give each stream a fixed name and source id, and expect those that a session needs."],
    queries: &["neural_stream_present", "neural_streams"],
    related: &["NeuralStreamAbsent", "NeuralStreamStalled"],
    fires: Case::fires(
        10,
        &[("neural_stream_present{source='lsl',stream='EEG'}", "1x5 0x10")],
        &[("source", "lsl"), ("stream", "EEG")],
        "0",
    ),
    quiet: Case::quiet(10, &[("neural_stream_present{source='lsl',stream='EEG'}", "1x15")]),
    ..Alert::BLANK
};

static GONE: Alert = Alert {
    name: "NeuralStreamAbsent",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        60,
        "label_replace(neural_source_up{source=~'.+/.+'} == 0, 'device', '$1', 'source', '(.+)')",
    ),
    summary: "The stream {{ $labels.device }} on {{ $labels.instance }} is gone",
    description: "It was found before, and no longer answers or cannot be read. After about ten minutes it is forgotten, unless it is expected.",
    meaning: "The program of the stream ended, or the network to it is interrupted. That is normal at the end of a session; the stream is not configured under `expect`. Where it answers and cannot be read, `NeuralSourceErrors` says why.",
    immediate: &["During a session, see whether the program that made the stream still runs."],
    short_term: &["If the stream must be there, name it under `expect`: its absence is then critical."],
    long_term: &[],
    queries: &["neural_source_up{source=~'.+/.+'}", "increase(neural_stream_reconnects_total[1h])"],
    related: &["NeuralStreamMissing", "NeuralSourceErrors", "NeuralSourceFlapping"],
    fires: Case::fires(
        10,
        &[("neural_source_up{source='lsl/EEG'}", "1x5 0x10")],
        &[("device", "lsl/EEG"), ("source", "lsl/EEG")],
        "0",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_source_up{source='lsl/EEG'}", "1x15"), ("neural_source_up{source='cyton'}", "1x5 0x10")],
    ),
    ..Alert::BLANK
};

static STALLED: Alert = Alert {
    name: "NeuralStreamStalled",
    level: Level::new(Severity::Critical, Priority::P0, 30, "neural_device_streaming{device=~'.+/.+'} == 0"),
    keep_firing: 60,
    summary: "The stream {{ $labels.device }} on {{ $labels.instance }} is stalled",
    description: "The stream {{ $labels.device }} is connected, and no sample has arrived for more than half a minute.",
    meaning: "The outlet answers, but its program pushes nothing into it: the device behind it is silent, or the program hangs. Inlets of liblsl wait silently, so a recorder does not show this.",
    immediate: &[
        "Check that the program of the stream is connected to its device, and that the device streams.",
        "Mark the time in the recording.",
    ],
    short_term: &["Restart the program. With a source id in its stream, recorders reconnect automatically."],
    long_term: &["Give streams a source id; without one, a restart looks like another stream."],
    queries: &[
        "neural_device_streaming{device=~'.+/.+'}",
        "neural_agent_time_seconds - on (job, instance) group_right neural_device_last_sample_timestamp_seconds",
    ],
    related: &["NeuralStreamMissing", "NeuralStreamAbsent"],
    fires: Case::fires(
        10,
        &[("neural_device_streaming{device='lsl/EEG'}", "1x5 0x10")],
        &[("device", "lsl/EEG")],
        "0",
    ),
    quiet: Case::quiet(
        10,
        &[
            ("neural_device_streaming{device='lsl/EEG'}", "1x15"),
            ("neural_device_streaming{device='cyton'}", "1x5 0x10"),
        ],
    ),
    ..Alert::BLANK
};

static GAPS: Alert = Alert {
    name: "NeuralStreamGaps",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        60,
        "stream:neural_stream_missing_samples:ratio_rate5m > ${stream_missing}",
    ),
    worse: Some(Level::new(
        Severity::Critical,
        Priority::P1,
        60,
        "stream:neural_stream_missing_samples:ratio_rate5m > ${stream_missing_critical}",
    )),
    keep_firing: 120,
    summary: "The stream {{ $labels.stream }} on {{ $labels.instance }} has gaps",
    description: "By its timestamps {{ $value | humanizePercentage }} of its samples are missing over five minutes; the limit is ${stream_missing}, above ${stream_missing_critical} a recording is of no use.",
    meaning: "Timestamps jump, and the samples around do not make up for it. Either the program behind the stream lost samples of its device, or the agent was too slow and the outlet dropped what it could not send: LSL drops silently and counts nothing. A program that pushes in groups or was late for a while does not fire this: see `neural_stream_irregular_samples_total`.",
    immediate: &[
        "See whether the agent was late at the time: `NeuralStreamBacklog`, and the age of samples.",
        "See whether the device behind the stream loses packets.",
    ],
    short_term: &[
        "If only the agent lags, follow this stream with `mode: decimate`.",
        "Let the program push chunks as the device delivers them, with the time of the last sample.",
    ],
    long_term: &["Count samples in a recording by the device's own counter, as a channel of the stream."],
    queries: &[
        "stream:neural_stream_missing_samples:ratio_rate5m",
        "increase(neural_stream_gaps_total[1h])",
        "neural_stream_backlog_bytes",
    ],
    related: &["NeuralStreamLowRate", "NeuralStreamBacklog", "NeuralDeviceLongGap"],
    fires: Case::fires(
        15,
        &[
            ("neural_stream_missing_samples_total{source='lsl',stream='EEG',machine=''}", "0+300x20"),
            ("neural_stream_nominal_rate_hertz{source='lsl',stream='EEG',machine=''}", "250x20"),
        ],
        &[("source", "lsl"), ("stream", "EEG")],
        "2%",
    ),
    worsens: Some(Case::fires(
        15,
        &[
            ("neural_stream_missing_samples_total{source='lsl',stream='EEG',machine=''}", "0+1500x20"),
            ("neural_stream_nominal_rate_hertz{source='lsl',stream='EEG',machine=''}", "250x20"),
        ],
        &[("source", "lsl"), ("stream", "EEG")],
        "10%",
    )),
    quiet: Case::quiet(
        15,
        &[
            ("neural_stream_missing_samples_total{source='lsl',stream='EEG',machine=''}", "0+30x20"),
            ("neural_stream_nominal_rate_hertz{source='lsl',stream='EEG',machine=''}", "250x20"),
            ("neural_stream_missing_samples_total{source='lsl',stream='marks',machine=''}", "0x20"),
            ("neural_stream_nominal_rate_hertz{source='lsl',stream='marks',machine=''}", "0x20"),
        ],
    ),
    ..Alert::BLANK
};

static LOW_RATE: Alert = Alert {
    name: "NeuralStreamLowRate",
    level: Level::new(
        Severity::High,
        Priority::P1,
        120,
        "neural_stream_rate_ratio < ${stream_rate}\nunless stream:neural_stream_missing_samples:ratio_rate5m > ${stream_missing}",
    ),
    keep_firing: 60,
    summary: "The stream {{ $labels.stream }} on {{ $labels.instance }} is slower than its nominal rate",
    description: "By its timestamps it delivers {{ $value | humanizePercentage }} of its nominal rate; the minimum is ${stream_rate}. No samples are missing, so the nominal rate is wrong, or its program cannot keep up.",
    meaning: "The nominal rate of a stream is declared by its program. A recording uses it, so every frequency and duration in the recording is wrong by that much.",
    immediate: &["Compare the rate that is set on the device with the nominal rate of the stream."],
    short_term: &["Note the effective rate with the recording, for the analysis."],
    long_term: &["Set the rate in one place, from which the program makes its stream."],
    queries: &[
        "neural_stream_rate_ratio",
        "neural_stream_effective_rate_hertz",
        "neural_stream_nominal_rate_hertz",
    ],
    related: &["NeuralStreamGaps", "NeuralDeviceHighRate"],
    fires: Case::fires(
        10,
        &[("neural_stream_rate_ratio{source='lsl',stream='EEG',machine=''}", "1x3 0.5x15")],
        &[("source", "lsl"), ("stream", "EEG")],
        "50%",
    ),
    quiet: Case::quiet(10, &[("neural_stream_rate_ratio{source='lsl',stream='EEG',machine=''}", "0.99x18")]),
    ..Alert::BLANK
};

static LATE: Alert = Alert {
    name: "NeuralStreamLate",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        60,
        "stream:neural_stream_sample_age_seconds:p95_rate5m > ${stream_age}",
    ),
    keep_firing: 60,
    summary: "Samples of {{ $labels.stream }} arrive late on {{ $labels.instance }}",
    description: "In five of a hundred reads the newest sample was older than {{ $value | humanizeDuration }}; the limit is ${stream_age}. A closed loop works on old data.",
    meaning: "The newest sample of a read is old when it arrives, by the sender's timestamp corrected by its clock offset. The program pushes large chunks, the network or the sender is overloaded, or its timestamps are of a clock that is not LSL's, which began later.",
    immediate: &[
        "Compare with other streams of the same machine: if all are late, the cause is the machine or the network.",
    ],
    short_term: &[
        "If the age is the same at all times, the timestamps are those of another clock: see how the program stamps.",
        "If it grows, a buffer fills: look at the sender's processor and at the network.",
    ],
    long_term: &["Push smaller chunks, and keep Wi-Fi out of closed loops."],
    queries: &[
        "stream:neural_stream_sample_age_seconds:p95_rate5m",
        "neural_stream_clock_round_trip_seconds",
        "neural_stream_backlog_bytes",
    ],
    related: &["NeuralStreamFutureTimestamps", "NeuralStreamBacklog", "NeuralStreamClockJump"],
    fires: Case::fires(
        15,
        &[
            (
                "neural_stream_sample_age_seconds_bucket{source='lsl',stream='EEG',machine='',le='2.5'}",
                "0x20",
            ),
            (
                "neural_stream_sample_age_seconds_bucket{source='lsl',stream='EEG',machine='',le='5'}",
                "0+600x20",
            ),
            (
                "neural_stream_sample_age_seconds_bucket{source='lsl',stream='EEG',machine='',le='+Inf'}",
                "0+600x20",
            ),
        ],
        &[("source", "lsl"), ("stream", "EEG")],
        "4.875s",
    ),
    quiet: Case::quiet(
        15,
        &[
            (
                "neural_stream_sample_age_seconds_bucket{source='lsl',stream='EEG',machine='',le='0.05'}",
                "0+600x20",
            ),
            (
                "neural_stream_sample_age_seconds_bucket{source='lsl',stream='EEG',machine='',le='+Inf'}",
                "0+600x20",
            ),
        ],
    ),
    ..Alert::BLANK
};

static AHEAD: Alert = Alert {
    name: "NeuralStreamFutureTimestamps",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        60,
        "stream:neural_stream_future_samples:ratio_rate5m > 0.05",
    ),
    keep_firing: 60,
    summary: "Samples of {{ $labels.stream }} have timestamps in the future on {{ $labels.instance }}",
    description: "{{ $value | humanizePercentage }} of the checked samples have a timestamp in the future; the limit is 5 %. In a recording the stream is misaligned with the others.",
    meaning: "The newest sample of a read has a timestamp later than its arrival, by more than 0.1 s beyond the uncertainty of the clock offset. Its timestamp is therefore of another clock. The usual mistake is a program that pushes `time.time()`, the time of day, where LSL wants `local_clock()`, the time since the machine was started: that is some fifty years ahead. How old such samples are cannot be told, so `NeuralStreamLate` is silent about them.",
    immediate: &[
        "See how the program stamps: `push_sample(x, time.time())` is wrong, `push_sample(x)` and `push_sample(x, local_clock())` are right.",
        "Mark the recording: the stream's timestamps are not on the scale of the others.",
    ],
    short_term: &[
        "A program with a device's clock: let it add how far that is from `local_clock()`, and measure that again from time to time.",
        "A program that stamps what it is going to push, as one that plays a file: stamp each chunk when it is pushed.",
        "A stream of BrainFlow from another machine is stamped by that machine's time of day: let both be set by NTP.",
    ],
    long_term: &["Let LSL timestamp samples unless the program has better timestamps."],
    queries: &[
        "stream:neural_stream_future_samples:ratio_rate5m",
        "neural_stream_clock_offset_seconds",
        "neural_stream_clock_uncertainty_seconds",
    ],
    related: &["NeuralStreamLate", "NeuralStreamClockJump"],
    fires: Case::fires(
        15,
        &[("neural_stream_future_samples_total{source='lsl',stream='EEG',machine=''}", "0+600x20")],
        &[("source", "lsl"), ("stream", "EEG")],
        "100%",
    ),
    quiet: Case::quiet(
        15,
        &[
            ("neural_stream_future_samples_total{source='lsl',stream='EEG',machine=''}", "0x5 1+6x15"),
            ("neural_stream_sample_age_seconds_count{source='lsl',stream='EEG',machine=''}", "0+600x20"),
            // Nothing is looked at of a stream whose sender's clock is not known.
            ("neural_stream_future_samples_total{source='lsl',stream='marks',machine=''}", "0x20"),
        ],
    ),
    ..Alert::BLANK
};

static WRONG_UNIT: Alert = Alert {
    name: "NeuralStreamWrongTimestampUnit",
    level: Level::new(Severity::Medium, Priority::P2, 60, "neural_stream_wrong_timestamp_unit == 1"),
    keep_firing: 60,
    summary: "The timestamps of {{ $labels.stream }} on {{ $labels.instance }} are not in seconds",
    description: "They step by a thousand, a million or a billion times the sample period, or by one per sample. In a recording the stream is misaligned with the others.",
    meaning: "LSL's timestamps are seconds of `local_clock()`. The program behind the stream pushes what it has: milliseconds of its device, microseconds of its own clock, or the number of the sample. No sample is lost by that, but neither its age nor its rate can be measured, and no recorder can align the stream with others.",
    immediate: &[
        "See how the program stamps: `push_sample(x)` and `push_sample(x, local_clock())` are right.",
        "Mark the recording: the stream's timestamps are not on the scale of the others.",
    ],
    short_term: &[
        "Divide what the program stamps with by 1,000 or 1,000,000, and add how far that clock is from `local_clock()`.",
    ],
    long_term: &["Let LSL timestamp samples unless the program has better timestamps."],
    queries: &["neural_stream_wrong_timestamp_unit", "neural_stream_nominal_rate_hertz"],
    related: &["NeuralStreamFutureTimestamps", "NeuralStreamLowRate"],
    fires: Case::fires(
        10,
        &[("neural_stream_wrong_timestamp_unit{source='lsl',stream='EEG',machine=''}", "0x3 1x15")],
        &[("source", "lsl"), ("stream", "EEG")],
        "1",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_stream_wrong_timestamp_unit{source='lsl',stream='EEG',machine=''}", "0x15")],
    ),
    ..Alert::BLANK
};

static BLOCKING: Alert = Alert {
    name: "NeuralStreamBlocking",
    level: Level::new(Severity::Low, Priority::P3, 60, "neural_stream_blocking == 1"),
    summary: "The outlet of {{ $labels.stream }} blocks on its readers, seen from {{ $labels.instance }}",
    description: "Its program blocks while one of its readers is slow. The agent reads its samples only with `read_blocking`.",
    meaning: "The program made its outlet with `transp_sync_blocking`: a push writes to each reader and waits until all took it, for up to ten seconds. A recorder or viewer that hangs holds up acquisition, and so would the agent when its machine is busy. So the agent checks whether the stream is present and queries its time, and reads no samples unless configured to.",
    immediate: &["See which programs read the stream: each of them can block it."],
    short_term: &[
        "Make the outlet without the flag, if the program can afford a copy of each sample.",
        "Or let the agent read it, with `read_blocking: true`, on a machine that is never too busy.",
    ],
    long_term: &[],
    queries: &["neural_stream_blocking"],
    related: &["NeuralStreamBacklog", "NeuralStreamStalled"],
    fires: Case::fires(
        10,
        &[("neural_stream_blocking{source='lsl',stream='EEG',machine=''}", "0x3 1x12")],
        &[("source", "lsl"), ("stream", "EEG")],
        "1",
    ),
    quiet: Case::quiet(10, &[("neural_stream_blocking{source='lsl',stream='EEG',machine=''}", "0x15")]),
    ..Alert::BLANK
};

static BACKLOG: Alert = Alert {
    name: "NeuralStreamBacklog",
    level: Level::new(Severity::Medium, Priority::P2, 60, "neural_stream_backlog_bytes > ${stream_backlog}"),
    keep_firing: 60,
    summary: "The agent on {{ $labels.instance }} falls behind with {{ $labels.stream }}",
    description: "{{ $value | humanize1024 }}B wait to be read; the limit is ${stream_backlog}. When the outlet's queue for the agent is full it drops the oldest samples, for the agent alone.",
    meaning: "The agent does not read the stream fast enough. Recorders have queues of their own in the outlet and lose nothing by this, but the agent's metrics will show gaps that the stream does not have.",
    immediate: &["See what uses the processors of the agent's machine."],
    short_term: &["Follow the largest streams with `mode: decimate` or `presence`."],
    long_term: &["Run the agent on the machine of the stream, or reserve a core for it."],
    queries: &[
        "neural_stream_backlog_bytes",
        "rate(neural_source_received_bytes_total{source=~'.+/.+'}[5m])",
    ],
    related: &["NeuralStreamGaps", "NeuralStreamLate", "NeuralHostCpu"],
    fires: Case::fires(
        10,
        &[("neural_stream_backlog_bytes{source='lsl',stream='EEG',machine=''}", "0x3 4194304x15")],
        &[("source", "lsl"), ("stream", "EEG")],
        "4Mi",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_stream_backlog_bytes{source='lsl',stream='EEG',machine=''}", "65536x18")],
    ),
    ..Alert::BLANK
};

static CLOCK_JUMP: Alert = Alert {
    name: "NeuralStreamClockJump",
    level: Level::new(Severity::Medium, Priority::P2, 0, "increase(neural_stream_clock_jumps_total[5m]) > 0"),
    keep_firing: 300,
    summary: "The clock of {{ $labels.stream }} was set, seen from {{ $labels.instance }}",
    description: "{{ $value | humanize }} times in five minutes the offset of its sender's clock changed by more than clocks drift. Streams recorded across that moment do not fit together without care.",
    meaning: "Timestamps of LSL count from the start of a machine and are never set, so the offset between two machines changes slowly. A jump means that the sending machine slept or was restarted, a virtual machine was moved, or a program stamps with a clock of its own.",
    immediate: &["Mark the time in the recording."],
    short_term: &[
        "See whether the sending machine was suspended: `journalctl -g suspend`.",
        "When loading the recording, let clock resets be handled: pyxdf does so by default.",
    ],
    long_term: &["Switch off suspend on machines that record."],
    queries: &["increase(neural_stream_clock_jumps_total[1h])", "neural_stream_clock_offset_seconds"],
    related: &["NeuralStreamClockDrift", "NeuralStreamLate"],
    fires: Case::fires(
        10,
        &[("neural_stream_clock_jumps_total{source='lsl',stream='EEG',machine='lab'}", "0+1x15")],
        &[("source", "lsl"), ("stream", "EEG"), ("machine", "lab")],
        "5",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_stream_clock_jumps_total{source='lsl',stream='EEG',machine='lab'}", "3x15")],
    ),
    ..Alert::BLANK
};

static DRIFT: Alert = Alert {
    name: "NeuralStreamClockDrift",
    level: Level::new(
        Severity::Low,
        Priority::P3,
        600,
        "abs(neural_stream_clock_drift_ratio) > ${stream_drift}",
    ),
    summary: "The clock of {{ $labels.stream }} runs away from that of {{ $labels.instance }}",
    description: "The two clocks run apart by {{ $value | humanizePercentage }}; the limit is ${stream_drift}. In an hour that adds up to much more than a sample.",
    meaning: "The quartz of the sending machine runs faster or slower than this machine's. Recorders that ask for clock offsets correct for it; programs that use timestamps as they are do not.",
    immediate: &[
        "Nothing is lost. Make sure that what joins streams corrects clocks (`processing flags` of an inlet, or pyxdf).",
    ],
    short_term: &["See whether one of the machines has a time daemon that slews its clock hard."],
    long_term: &["Record streams that must fit to the millisecond on one machine."],
    queries: &["neural_stream_clock_drift_ratio", "neural_stream_clock_uncertainty_seconds"],
    related: &["NeuralStreamClockJump", "NeuralDeviceDrift"],
    fires: Case::fires(
        20,
        &[("neural_stream_clock_drift_ratio{source='lsl',stream='EEG',machine=''}", "-0.0002x30")],
        &[("source", "lsl"), ("stream", "EEG")],
        "0.02%",
    ),
    quiet: Case::quiet(
        20,
        &[("neural_stream_clock_drift_ratio{source='lsl',stream='EEG',machine=''}", "0.00004x30")],
    ),
    ..Alert::BLANK
};

static NOT_FINITE: Alert = Alert {
    name: "NeuralStreamNotFinite",
    level: Level::new(
        Severity::Medium,
        Priority::P2,
        60,
        "rate(neural_stream_not_finite_values_total[5m]) > 0",
    ),
    keep_firing: 120,
    summary: "The stream {{ $labels.stream }} on {{ $labels.instance }} sends values that are not numbers",
    description: "{{ $value | humanize }} values a second are NaN or infinite. One of them spoils every filter that it passes.",
    meaning: "A program divides by zero, fills what it lost with NaN, or has not got its first samples yet. The agent takes such a value for 0.",
    immediate: &["See which program makes the stream, and whether it fills gaps in this way."],
    short_term: &["Let what reads the stream pass over such samples rather than filter them."],
    long_term: &["Let the program leave out what it does not have: timestamps show the gap."],
    queries: &["rate(neural_stream_not_finite_values_total[5m])"],
    related: &["NeuralStreamGaps"],
    fires: Case::fires(
        10,
        &[("neural_stream_not_finite_values_total{source='lsl',stream='EEG',machine=''}", "0+60x15")],
        &[("source", "lsl"), ("stream", "EEG")],
        "1",
    ),
    quiet: Case::quiet(
        10,
        &[("neural_stream_not_finite_values_total{source='lsl',stream='EEG',machine=''}", "5x15")],
    ),
    ..Alert::BLANK
};

static SAME_NAME: Alert = Alert {
    name: "NeuralStreamDuplicateName",
    level: Level::new(Severity::Low, Priority::P3, 60, "neural_streams_duplicate_name > 0"),
    summary: "Streams have the same name, seen from {{ $labels.instance }}",
    description: "{{ $value }} streams have the name of another one. A program that asks by name gets either.",
    meaning: "Two outlets have the same name: two programs of the same kind run, perhaps on two machines, or one was started twice. The agent adds a number to distinguish them; most programs do not.",
    immediate: &["See which they are: `neural-exporter devices --scope site`."],
    short_term: &["End the one that is not wanted, or let programs ask by source id or machine as well."],
    long_term: &["Give streams of one room names of their own, and each laboratory a session of its own."],
    queries: &["neural_streams_duplicate_name", "neural_stream_info"],
    related: &["NeuralStreamDuplicateId"],
    fires: Case::fires(
        10,
        &[("neural_streams_duplicate_name{source='lsl'}", "0x3 2x12")],
        &[("source", "lsl")],
        "2",
    ),
    quiet: Case::quiet(10, &[("neural_streams_duplicate_name{source='lsl'}", "0x15")]),
    ..Alert::BLANK
};

static SAME_ID: Alert = Alert {
    name: "NeuralStreamDuplicateId",
    level: Level::new(Severity::Medium, Priority::P2, 60, "neural_streams_duplicate_id > 0"),
    summary: "Streams have the same source id, seen from {{ $labels.instance }}",
    description: "{{ $value }} streams have the source id of another one. A recorder that reconnects may get the wrong one.",
    meaning: "A source id is what a recorder finds a stream by after its program was restarted. Two streams with one id are one program that runs twice, or programs whose id was copied.",
    immediate: &[
        "End the program that runs twice: `neural-exporter devices --scope site` shows machines and ids.",
    ],
    short_term: &["Give the programs ids of their own, such as the serial number of the device."],
    long_term: &[],
    queries: &["neural_streams_duplicate_id", "neural_stream_info"],
    related: &["NeuralStreamDuplicateName"],
    fires: Case::fires(
        10,
        &[("neural_streams_duplicate_id{source='lsl'}", "0x3 2x12")],
        &[("source", "lsl")],
        "2",
    ),
    quiet: Case::quiet(10, &[("neural_streams_duplicate_id{source='lsl'}", "0x15")]),
    ..Alert::BLANK
};

static REFUSED: Alert = Alert {
    name: "NeuralStreamsOverLimit",
    level: Level::new(Severity::Medium, Priority::P2, 60, "neural_streams_over_limit > 0"),
    summary: "The agent on {{ $labels.instance }} does not follow all streams",
    description: "{{ $value }} streams are not followed because there are too many. Nothing is known of them but that they are there.",
    meaning: "One source follows 256 streams. There are more on this network, or programs make streams with a new name at each start, each of which is remembered for ten minutes.",
    immediate: &["Name the streams that matter under `streams`: the others are then not followed."],
    short_term: &["See who makes so many: `neural-exporter devices --scope site`."],
    long_term: &["Keep laboratories apart by session (`SessionID`)."],
    queries: &["neural_streams_over_limit", "neural_streams"],
    related: &["NeuralAgentSeriesRefused"],
    fires: Case::fires(
        10,
        &[("neural_streams_over_limit{source='lsl'}", "0x3 4x12")],
        &[("source", "lsl")],
        "4",
    ),
    quiet: Case::quiet(10, &[("neural_streams_over_limit{source='lsl'}", "0x15")]),
    ..Alert::BLANK
};
