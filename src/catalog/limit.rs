//! The numbers beyond which something is wrong: the one source of them for rules, panel colours, the agent's
//! own verdicts and reports.
//!
//! Users change the numbers in the configuration (`alerts.limits`), never an expression. An expression has
//! `${id}` where the number belongs.

use std::collections::BTreeMap;

use super::Unit;

/// A number beyond which something is wrong.
#[derive(Debug)]
pub struct Limit {
    /// What configuration and expressions call it; lower case with underscores.
    pub id: &'static str,
    /// What it bounds: a capitalised phrase without a full stop.
    pub help: &'static str,
    /// The unit of the number.
    pub unit: Unit,
    /// The number if nobody changed it.
    pub value: f64,
    /// On which side of it things are wrong.
    pub wrong: Side,
}

/// One side of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is larger.
    Above,
    /// What is smaller.
    Below,
}

/// One line an entry: its name here, its id, its number, its unit, what is wrong, and meaning.
macro_rules! limits {
    ($($name:ident = $id:literal, $value:literal, $unit:ident, $wrong:ident, $help:literal;)*) => {
        /// Every limit, by subject.
        pub static LIMITS: &[&Limit] = &[$(&$name),*];

        $(
            #[doc = concat!($help, ".")]
            pub static $name: Limit =
                Limit { id: $id, help: $help, unit: Unit::$unit, value: $value, wrong: Side::$wrong };
        )*
    };
}

limits! {
    AGENT_CLOCK = "agent_clock", 5.0, Seconds, Above,
        "How far an agent's clock may be from that of Prometheus";
    AGENT_MEMORY = "agent_memory", 134_217_728.0, Bytes, Above,
        "Memory that the agent itself may take";
    AGENT_SCRAPE = "agent_scrape", 1.0, Seconds, Above,
        "Time that one scrape of the agent may take";
    AGENT_SERIES = "agent_series", 0.9, Ratio, Above,
        "Share of the series that the agent may hold";
    API_FAILURES = "api_failures", 0.05, Ratio, Above,
        "Share of a service's requests that may fail";
    API_FAILURES_CRITICAL = "api_failures_critical", 0.25, Ratio, Above,
        "Share of failed requests beyond which a service is of no use";
    API_LATENCY = "api_latency", 1.0, Seconds, Above,
        "Time within which 95 of 100 requests are answered";
    API_LATENCY_CRITICAL = "api_latency_critical", 5.0, Seconds, Above,
        "Time beyond which a service is of no use";
    API_TRAFFIC = "api_traffic", 0.05, Hertz, Below,
        "Requests per second below which a service is not judged";
    CACHE_HITS = "cache_hits", 0.5, Ratio, Below,
        "Share of lookups that a cache must answer";
    CACHE_TRAFFIC = "cache_traffic", 0.2, Hertz, Below,
        "Lookups per second below which a cache is not judged";
    CHANNEL_ALERTS = "channel_alerts", 8.0, None, Above,
        "Bad channels of a device up to which each channel has an alert of its own";
    CHANNEL_BAD = "channel_bad", 0.5, Ratio, Above,
        "Share of ten minutes for which a channel may be bad";
    CHANNEL_BAD_FAIR = "channel_bad_fair", 0.1, Ratio, Above,
        "Share of a time for which a channel may be bad and still be called good";
    CHANNEL_QUALITY = "channel_quality", 0.5, Ratio, Below,
        "Score below which a channel is bad";
    CHANNEL_QUALITY_GOOD = "channel_quality_good", 0.75, Ratio, Below,
        "Score at which a channel is good";
    DATA_QUALITY = "data_quality", 0.7, Ratio, Below,
        "Quality that the data of a pipeline must have";
    DATA_QUALITY_CRITICAL = "data_quality_critical", 0.4, Ratio, Below,
        "Quality below which the data of a pipeline are of no use";
    DB_FAILURES = "db_failures", 0.05, Ratio, Above,
        "Share of database queries that may fail";
    DB_LATENCY = "db_latency", 0.5, Seconds, Above,
        "Time within which 95 of 100 database queries are answered";
    DB_LATENCY_CRITICAL = "db_latency_critical", 2.0, Seconds, Above,
        "Time beyond which a database holds everything up";
    DEVICE_AVAILABILITY = "device_availability", 0.9, Ratio, Below,
        "Share of the last ten minutes that a device must have streamed";
    DEVICE_AVAILABILITY_CRITICAL = "device_availability_critical", 0.5, Ratio, Below,
        "Share of streaming below which a device is of no use";
    DEVICE_BAD_CHANNELS = "device_bad_channels", 0.25, Ratio, Above,
        "Share of a device's channels that may be bad";
    DEVICE_BATTERY = "device_battery", 0.2, Ratio, Below,
        "Charge below which a device should be changed or charged";
    DEVICE_BATTERY_CRITICAL = "device_battery_critical", 0.1, Ratio, Below,
        "Charge below which a device may stop at any moment";
    DEVICE_DRIFT = "device_drift", 0.0001, Ratio, Above,
        "How much a device's clock may differ from this machine's";
    DEVICE_FLAT = "device_flat", 0.1, Ratio, Above,
        "Share of a device's channels that may be flat";
    DEVICE_GAP = "device_gap", 0.5, Seconds, Above,
        "Longest time between two samples";
    DEVICE_GAPS = "device_gaps", 6.0, None, Above,
        "Gaps per minute that a device may have";
    DEVICE_HUM = "device_hum", 0.25, Ratio, Above,
        "Share of a device's channels that may hum";
    DEVICE_IMPEDANCE = "device_impedance", 100_000.0, Ohms, Above,
        "Impedance that an electrode may have";
    DEVICE_IMPEDANCE_FAIR = "device_impedance_fair", 20_000.0, Ohms, Above,
        "Impedance up to which an electrode serves most recordings";
    DEVICE_IMPEDANCE_GOOD = "device_impedance_good", 5_000.0, Ohms, Above,
        "Impedance up to which an electrode is good";
    DEVICE_JITTER = "device_jitter", 0.04, Seconds, Above,
        "Delay over the fastest delivery that the newest packet of a read may have";
    DEVICE_LATENCY = "device_latency", 0.1, Seconds, Above,
        "Delay over the fastest delivery that the oldest packet of a read may have";
    DEVICE_LOSS = "device_loss", 0.01, Ratio, Above,
        "Share of a device's packets that may be missing";
    DEVICE_LOSS_CRITICAL = "device_loss_critical", 0.05, Ratio, Above,
        "Share of missing packets above which a recording is of no use";
    DEVICE_POOR_SIGNAL = "device_poor_signal", 0.25, Ratio, Above,
        "How poor the signal may be by the device's own report";
    DEVICE_QUALITY = "device_quality", 0.7, Ratio, Below,
        "Mean score that the channels of a device must have";
    DEVICE_QUALITY_CRITICAL = "device_quality_critical", 0.4, Ratio, Below,
        "Mean score of channels below which a recording is of no use";
    DEVICE_RAILED = "device_railed", 0.1, Ratio, Above,
        "Share of a device's channels that may be at a rail";
    DEVICE_RATE = "device_rate", 0.95, Ratio, Below,
        "Share of its nominal rate that a device must deliver";
    DEVICE_RATE_HIGH = "device_rate_high", 1.05, Ratio, Above,
        "Share of its nominal rate above which a device is too fast";
    ENGINE_CACHE = "engine_cache", 0.95, Ratio, Above,
        "Share of an engine's key-value cache that may be in use";
    ENGINE_WAITING = "engine_waiting", 20.0, None, Above,
        "Requests that may wait for an engine";
    FILESYSTEM = "filesystem", 0.9, Ratio, Above,
        "Share of a file system that may be in use";
    FILESYSTEM_CRITICAL = "filesystem_critical", 0.95, Ratio, Above,
        "Share of a file system beyond which recordings break off";
    GPU_MEMORY = "gpu_memory", 0.95, Ratio, Above,
        "Share of a card's memory that may be in use";
    GPU_TEMPERATURE = "gpu_temperature", 85.0, Celsius, Above,
        "Temperature that a card's sensors may read";
    GPU_UTILIZATION = "gpu_utilization", 0.98, Ratio, Above,
        "Share of time in which a card may be busy";
    HOST_CPU = "host_cpu", 0.8, Ratio, Above,
        "Share of the processors' time that may be used";
    HOST_CPU_CRITICAL = "host_cpu_critical", 0.9, Ratio, Above,
        "Share of the processors' time beyond which stages wait";
    HOST_DIRTY = "host_dirty", 1_073_741_824.0, Bytes, Above,
        "Memory that may wait to be written to disk";
    HOST_DISK_BUSY = "host_disk_busy", 0.9, Ratio, Above,
        "Share of time in which a disk may be busy";
    HOST_FILES = "host_files", 0.9, Ratio, Above,
        "Share of the machine's file handles that may be in use";
    HOST_LOAD = "host_load", 2.0, None, Above,
        "Tasks that may want to run, for each processor";
    HOST_MEMORY = "host_memory", 0.8, Ratio, Above,
        "Share of the memory that may be used";
    HOST_MEMORY_CRITICAL = "host_memory_critical", 0.9, Ratio, Above,
        "Share of the memory beyond which programs get killed";
    HOST_NETWORK_ERRORS = "host_network_errors", 1.0, Hertz, Above,
        "Packets with errors or dropped packets per second that an interface may have";
    HOST_PRESSURE = "host_pressure", 0.3, Ratio, Above,
        "Share of time in which tasks may wait for memory or disks";
    HOST_TEMPERATURE = "host_temperature", 0.9, Ratio, Above,
        "Temperature that a sensor may read, as a share of its critical temperature";
    LLM_BUDGET = "llm_budget", 0.8, Ratio, Above,
        "Share of the day's budget that may be used";
    LLM_BUDGET_CRITICAL = "llm_budget_critical", 0.95, Ratio, Above,
        "Share of the day's budget above which it is nearly used up";
    LLM_FAILURES = "llm_failures", 0.05, Ratio, Above,
        "Share of calls of a language model that may fail";
    LLM_FAILURES_CRITICAL = "llm_failures_critical", 0.25, Ratio, Above,
        "Share of failed calls beyond which a model is of no use";
    LLM_FIRST_TOKEN = "llm_first_token", 2.0, Seconds, Above,
        "Time within which 95 of 100 calls return their first token";
    LLM_LATENCY = "llm_latency", 10.0, Seconds, Above,
        "Time within which 95 of 100 calls are done";
    LLM_TRAFFIC = "llm_traffic", 0.01, Hertz, Below,
        "Calls per second below which a model is not judged";
    MODEL_ACCURACY = "model_accuracy", 0.7, Ratio, Below,
        "Share of a model's answers that must be right";
    PIPELINE_ERRORS = "pipeline_errors", 0.1, Hertz, Above,
        "Errors per second that a pipeline may have outside its stages";
    PIPELINE_THROUGHPUT = "pipeline_throughput", 0.5, Ratio, Below,
        "Share of its rate an hour ago that a stage must keep";
    PORT_LATENCY_TIMER = "port_latency_timer", 0.001, Seconds, Above,
        "Time for which a USB bridge may hold bytes of a port back";
    PORT_LINE_ERRORS = "port_line_errors", 0.05, Hertz, Above,
        "Line errors per second that a port may have";
    PORT_RECONNECTS = "port_reconnects", 3.0, None, Above,
        "Reconnects in ten minutes that a port may have";
    PORT_WAITING = "port_waiting", 3072.0, None, Above,
        "Bytes that may wait in the kernel, where 4095 fit";
    PROCESS_FILES = "process_files", 0.8, Ratio, Above,
        "Share of its open files that a process may use";
    PROCESS_LEAK = "process_leak", 27_777.0, None, Above,
        "Bytes per second by which a program may grow for hours: 100 MB per hour";
    PROGRAM_CPU = "program_cpu", 0.8, Ratio, Above,
        "Share of real time that an acquisition program may need for processing";
    PROGRAM_LATENCY = "program_latency", 0.1, Seconds, Above,
        "Time that a processing step of an acquisition program may take";
    PROGRAM_RATE = "program_rate", 0.95, Ratio, Below,
        "Share of its nominal rate that an acquisition program must reach by its own count";
    QUEUE_DEPTH = "queue_depth", 100.0, None, Above,
        "Items that may wait in a queue of unknown capacity";
    QUEUE_DEPTH_CRITICAL = "queue_depth_critical", 200.0, None, Above,
        "Items above which a queue of unknown capacity is lost";
    QUEUE_FILL = "queue_fill", 0.8, Ratio, Above,
        "Share of a queue that may be full";
    QUEUE_FILL_CRITICAL = "queue_fill_critical", 0.95, Ratio, Above,
        "Share of a queue beyond which it overflows";
    REGRESSION_CPU = "regression_cpu", 0.2, Ratio, Above,
        "How much more CPU than a benchmark says is a regression, as a share of it";
    REGRESSION_CRITICAL = "regression_critical", 2.0, None, Above,
        "By how many times its limit a regression is critical";
    REGRESSION_ERRORS = "regression_errors", 0.05, Ratio, Above,
        "How many more losses and failures than a benchmark says are a regression, as a share of them";
    REGRESSION_MEMORY = "regression_memory", 0.15, Ratio, Above,
        "How much more memory than a benchmark says is a regression, as a share of it";
    REGRESSION_OTHER = "regression_other", 0.1, Ratio, Above,
        "How much worse than a benchmark says anything else is that is a regression, as a share of it";
    REGRESSION_TIME = "regression_time", 0.25, Ratio, Above,
        "How much more time than a benchmark says is a regression, as a share of it";
    REGRESSION_WARNING = "regression_warning", 1.5, None, Above,
        "By how many times its limit a regression is a warning";
    SLO_PROBE_AVAILABLE = "slo_probe_available", 0.99, Ratio, Below,
        "Share of time in which the target of a probe must not be unhealthy, over 30 days";
    SLO_STAGE_FAST = "slo_stage_fast", 0.99, Ratio, Below,
        "Share of a stage's runs that must stay within its time, over 30 days";
    SLO_STAGE_SUCCESS = "slo_stage_success", 0.999, Ratio, Below,
        "Share of a stage's runs that must succeed, over 30 days";
    SOURCE_ERROR_RATIO = "source_error_ratio", 0.05, Ratio, Above,
        "Share of its input that a source may have rejected";
    SOURCE_ERRORS = "source_errors", 0.01, Hertz, Above,
        "Rejected parts of the input per second that a source may have";
    SOURCE_SILENCE = "source_silence", 120.0, Seconds, Above,
        "Time for which a source may send nothing";
    STAGE_FAILURES = "stage_failures", 0.05, Ratio, Above,
        "Share of a stage's runs that may fail";
    STAGE_FAILURES_CRITICAL = "stage_failures_critical", 0.25, Ratio, Above,
        "Share of failed runs beyond which a stage is of no use";
    STAGE_LAG = "stage_lag", 5.0, Seconds, Above,
        "How far apart the sender's clock and the arrival may be";
    STAGE_LATENCY = "stage_latency", 0.1, Seconds, Above,
        "Time within which 95 of 100 runs of a stage are done";
    STAGE_LATENCY_CRITICAL = "stage_latency_critical", 1.0, Seconds, Above,
        "Time beyond which a stage is of no use";
    STAGE_REGRESSION = "stage_regression", 1.25, Ratio, Above,
        "Duration of a stage as a share of what it was a day ago";
    STAGE_REGRESSION_CRITICAL = "stage_regression_critical", 2.0, Ratio, Above,
        "Duration as a share of a day ago beyond which something broke";
    STAGE_TRAFFIC = "stage_traffic", 0.1, Hertz, Below,
        "Runs per second below which a stage is not judged";
    STREAM_AGE = "stream_age", 1.0, Seconds, Above,
        "Age that the newest sample of a stream may have when it arrives";
    STREAM_BACKLOG = "stream_backlog", 2_097_152.0, Bytes, Above,
        "Bytes of a stream that may wait to be read";
    STREAM_DRIFT = "stream_drift", 0.0001, Ratio, Above,
        "How much a sender's clock may differ from this machine's";
    STREAM_MISSING = "stream_missing", 0.01, Ratio, Above,
        "Share of a stream's samples that may be missing";
    STREAM_MISSING_CRITICAL = "stream_missing_critical", 0.05, Ratio, Above,
        "Share of missing samples above which a recording is of no use";
    STREAM_RATE = "stream_rate", 0.95, Ratio, Below,
        "Share of its nominal rate that a stream must deliver";
    TAP_DELAY = "tap_delay", 0.01, Seconds, Above,
        "Time for which bytes may wait for the recording program";
    ZSCORE = "zscore", 3.0, None, Above,
        "Standard deviations from the hour before that are an anomaly";
}

impl Limit {
    /// What is wrong with a number for it: one of its unit that no measurement has, so that its alert fires always or
    /// never.
    #[must_use]
    pub fn refuses(&self, number: f64) -> Option<String> {
        match self.unit {
            // A budget can be exceeded.
            Unit::Ratio if self.id.starts_with("llm_budget") && number >= 0.0 => None,
            // A share of what was before, or of what is nominal, may be more than all of it.
            Unit::Ratio if self.value <= 1.0 && !(0.0..=1.0).contains(&number) => {
                Some("is not a share from 0 to 1".to_owned())
            }
            Unit::Seconds if number <= 0.0 => Some("is not a time above 0 seconds".to_owned()),
            Unit::Celsius => None,
            unit if number < 0.0 => {
                Some(format!("is below 0; the default is {}", with_unit(self.value, unit)))
            }
            _ => None,
        }
    }
}

/// The numbers that are in effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits(BTreeMap<String, f64>);

impl Limits {
    /// With numbers that a user changed, by id.
    #[must_use]
    pub fn changed(numbers: BTreeMap<String, f64>) -> Self {
        Self(numbers)
    }

    /// The number of a limit.
    #[must_use]
    pub fn of(&self, limit: &Limit) -> f64 {
        self.0.get(limit.id).copied().unwrap_or(limit.value)
    }

    /// The limits whose numbers are not what they would be.
    pub fn altered(&self) -> impl Iterator<Item = &str> {
        let differs = |(id, number): &(&String, &f64)| by_id(id).is_some_and(|limit| limit.value != **number);
        self.0.iter().filter(differs).map(|(id, _)| id.as_str())
    }

    /// `text` with each `${id}` replaced by what `write` makes of the limit and its number. `write` also gets
    /// what stands behind a colon, as in `${id:le}`.
    ///
    /// # Errors
    /// An id that no limit has.
    pub fn fill(
        &self,
        text: &str,
        mut write: impl FnMut(&Limit, f64, &str) -> String,
    ) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').ok_or_else(|| format!("no end of ${{{after}"))?;
            let (id, how) = name.split_once(':').unwrap_or((name, ""));
            let limit = by_id(id).ok_or_else(|| format!("there is no limit {id}"))?;
            filled.push_str(before);
            filled.push_str(&write(limit, self.of(limit), how));
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// The limit of that id.
#[must_use]
pub fn by_id(id: &str) -> Option<&'static Limit> {
    LIMITS.iter().copied().find(|limit| limit.id == id)
}

/// A number as people say it in that unit: `1 %`, `100 ms`, `128 MiB`.
#[must_use]
pub fn with_unit(number: f64, unit: Unit) -> String {
    // What a division leaves behind the digits that matter is cut off.
    let short = |number: f64| (number * 1e6).round() / 1e6;
    match unit {
        Unit::Ratio if number.abs() < 0.001 && number != 0.0 => format!("{} ppm", short(number * 1e6)),
        Unit::Ratio => format!("{} %", short(number * 100.0)),
        Unit::Seconds if number.abs() < 1.0 && number != 0.0 => format!("{} ms", short(number * 1e3)),
        Unit::Seconds => format!("{} s", short(number)),
        Unit::Bytes if number >= 1_073_741_824.0 => format!("{} GiB", short(number / 1_073_741_824.0)),
        Unit::Bytes => format!("{} MiB", short(number / 1_048_576.0)),
        Unit::Hertz => format!("{} a second", short(number)),
        Unit::Celsius => format!("{} °C", short(number)),
        Unit::None => short(number).to_string(),
        other => format!("{} {}", short(number), other.suffix()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_where_their_ids_were() {
        let limits = Limits::changed(BTreeMap::from([("device_loss".to_owned(), 0.025)]));
        let plain = |text| limits.fill(text, |_, number, _| number.to_string());
        assert_eq!(plain("a > ${device_loss} < ${device_rate}!").unwrap(), "a > 0.025 < 0.95!");
        assert!(plain("${nothing}").is_err() && plain("${device_loss").is_err());
        assert_eq!(limits.fill("${device_loss:le}", |_, _, how| how.to_owned()).unwrap(), "le");
        assert_eq!(limits.altered().collect::<Vec<_>>(), ["device_loss"]);
    }

    #[test]
    fn numbers_are_told_with_their_units() {
        let all: Vec<String> = [
            (0.01, Unit::Ratio),
            (0.0001, Unit::Ratio),
            (0.1, Unit::Seconds),
            (5.0, Unit::Seconds),
            (134_217_728.0, Unit::Bytes),
            (85.0, Unit::Celsius),
            (0.05, Unit::Hertz),
        ]
        .map(|(number, unit)| with_unit(number, unit))
        .into();
        assert_eq!(all, ["1 %", "100 ppm", "100 ms", "5 s", "128 MiB", "85 °C", "0.05 a second"]);
    }

    #[test]
    fn a_number_that_cannot_be_right_is_refused() {
        for limit in LIMITS {
            assert_eq!(limit.refuses(limit.value), None, "{}", limit.id);
        }
        let wrong = |limit: &Limit, number| limit.refuses(number).is_some();
        assert!(wrong(&DEVICE_LOSS, -3.0) && wrong(&DEVICE_LOSS, 5.0) && !wrong(&DEVICE_LOSS, 0.0));
        assert!(wrong(&STAGE_LATENCY, 0.0) && !wrong(&STAGE_LATENCY, 0.001));
        assert!(!wrong(&STAGE_REGRESSION, 5.0) && wrong(&STAGE_REGRESSION, -1.0));
        assert!(!wrong(&LLM_BUDGET, 1.2) && wrong(&LLM_BUDGET, -0.1));
        assert!(wrong(&AGENT_MEMORY, -1.0) && !wrong(&GPU_TEMPERATURE, -5.0) && !wrong(&STAGE_TRAFFIC, 0.0));
    }

    #[test]
    fn each_limit_has_an_id_of_its_own_and_they_are_sorted() {
        assert!(LIMITS.is_sorted_by(|a, b| a.id < b.id));
    }
}
