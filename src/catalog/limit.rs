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

impl Limit {
    /// What is larger is wrong.
    const fn above(id: &'static str, help: &'static str, unit: Unit, value: f64) -> Self {
        Self { id, help, unit, value, wrong: Side::Above }
    }

    /// What is smaller is wrong.
    const fn below(id: &'static str, help: &'static str, unit: Unit, value: f64) -> Self {
        Self { id, help, unit, value, wrong: Side::Below }
    }
}

/// One side of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is larger.
    Above,
    /// What is smaller.
    Below,
}

/// Every limit, by subject.
pub static LIMITS: &[&Limit] = &[
    &DEVICE_LOSS,
    &DEVICE_LOSS_CRITICAL,
    &DEVICE_RATE,
    &DEVICE_STABILITY,
    &DEVICE_STABILITY_CRITICAL,
    &DEVICE_LATENCY,
    &DEVICE_GAP,
    &DEVICE_DRIFT,
    &BATTERY,
    &BATTERY_CRITICAL,
    &POOR_SIGNAL,
    &SOURCE_SILENCE,
    &STAGE_LATENCY,
    &STAGE_LATENCY_CRITICAL,
    &STAGE_ERRORS,
    &STAGE_ERRORS_CRITICAL,
    &STAGE_LAG,
    &QUEUE_FILL,
    &CACHE_HITS,
    &DATA_QUALITY,
    &DATA_QUALITY_CRITICAL,
    &ACCURACY,
    &LLM_ERRORS,
    &LLM_LATENCY,
    &LLM_BUDGET,
    &LLM_BUDGET_CRITICAL,
    &API_LATENCY,
    &API_ERRORS,
    &DB_LATENCY,
    &HOST_CPU,
    &HOST_CPU_CRITICAL,
    &HOST_MEMORY,
    &HOST_MEMORY_CRITICAL,
    &HOST_DISK,
    &HOST_DISK_CRITICAL,
    &HOST_PRESSURE,
    &OPEN_FILES,
    &GPU_BUSY,
    &GPU_MEMORY,
    &GPU_TEMPERATURE,
    &AGENT_SERIES,
];

/// Share of packets that may be missing.
pub static DEVICE_LOSS: Limit = Limit {
    id: "device_loss",
    help: "Share of a device's packets that may be missing",
    unit: Unit::Ratio,
    value: 0.01,
    wrong: Side::Above,
};

/// Share of packets beyond which a recording is not worth having.
pub static DEVICE_LOSS_CRITICAL: Limit = Limit {
    id: "device_loss_critical",
    help: "Share of missing packets beyond which a recording is not worth having",
    unit: Unit::Ratio,
    value: 0.05,
    wrong: Side::Above,
};

/// Share of the nominal rate that a device must bring.
pub static DEVICE_RATE: Limit = Limit {
    id: "device_rate",
    help: "Share of its nominal rate that a device must bring",
    unit: Unit::Ratio,
    value: 0.95,
    wrong: Side::Below,
};

/// Share of ten minutes for which a device must stream.
pub static DEVICE_STABILITY: Limit =
    Limit::below("device_stability", "Share of ten minutes for which a device must stream", Unit::Ratio, 0.9);

/// Share of ten minutes below which a device must not stream.
pub static DEVICE_STABILITY_CRITICAL: Limit = Limit::below(
    "device_stability_critical",
    "Share of ten minutes below which a device must not stream",
    Unit::Ratio,
    0.5,
);

/// Time that the 95th of a hundred packets may wait before it is read.
pub static DEVICE_LATENCY: Limit = Limit::above(
    "device_latency",
    "Time that the 95th of a hundred packets may wait before it is read",
    Unit::Seconds,
    0.1,
);

/// Time that may pass without a sample.
pub static DEVICE_GAP: Limit =
    Limit::above("device_gap", "Time that may pass without a sample", Unit::Seconds, 1.0);

/// Share by which a device's clock may be off.
pub static DEVICE_DRIFT: Limit =
    Limit::above("device_drift", "Share by which a device's clock may be off", Unit::Ratio, 0.0005);

/// Charge at which a battery should be exchanged.
pub static BATTERY: Limit =
    Limit::below("battery", "Charge at which a battery should be exchanged", Unit::Ratio, 0.2);

/// Charge with which a recording will not be finished.
pub static BATTERY_CRITICAL: Limit =
    Limit::below("battery_critical", "Charge with which a recording will not be finished", Unit::Ratio, 0.1);

/// How poor a device may find its own signal.
pub static POOR_SIGNAL: Limit =
    Limit::above("poor_signal", "How poor a device may find its own signal", Unit::Ratio, 0.25);

/// Time that may pass without an event of a source.
pub static SOURCE_SILENCE: Limit =
    Limit::above("source_silence", "Time that may pass without an event of a source", Unit::Seconds, 60.0);

/// Time that 95 of a hundred runs of a stage may take.
pub static STAGE_LATENCY: Limit =
    Limit::above("stage_latency", "Time that 95 of a hundred runs of a stage may take", Unit::Seconds, 0.1);

/// Time of a stage beyond which a loop is no longer closed.
pub static STAGE_LATENCY_CRITICAL: Limit = Limit::above(
    "stage_latency_critical",
    "Time of a stage beyond which a loop is no longer closed",
    Unit::Seconds,
    0.25,
);

/// Share of a stage's runs that may fail.
pub static STAGE_ERRORS: Limit =
    Limit::above("stage_errors", "Share of a stage's runs that may fail", Unit::Ratio, 0.01);

/// Share of failed runs beyond which a stage is out of order.
pub static STAGE_ERRORS_CRITICAL: Limit = Limit::above(
    "stage_errors_critical",
    "Share of failed runs beyond which a stage is out of order",
    Unit::Ratio,
    0.05,
);

/// Time that events of a stage may take to arrive.
pub static STAGE_LAG: Limit =
    Limit::above("stage_lag", "Time that events of a stage may take to arrive", Unit::Seconds, 1.0);

/// Share of a queue's places that may be taken.
pub static QUEUE_FILL: Limit =
    Limit::above("queue_fill", "Share of a queue's places that may be taken", Unit::Ratio, 0.8);

/// Share of look-ups that a cache must answer.
pub static CACHE_HITS: Limit =
    Limit::below("cache_hits", "Share of look-ups that a cache must answer", Unit::Ratio, 0.5);

/// Score at which data are good.
pub static DATA_QUALITY: Limit =
    Limit::below("data_quality", "Score at which data are good", Unit::Ratio, 0.9);

/// Score below which data are not worth having.
pub static DATA_QUALITY_CRITICAL: Limit =
    Limit::below("data_quality_critical", "Score below which data are not worth having", Unit::Ratio, 0.7);

/// Share of answers that a model must get right.
pub static ACCURACY: Limit =
    Limit::below("accuracy", "Share of answers that a model must get right", Unit::Ratio, 0.7);

/// Share of calls of a language model that may fail.
pub static LLM_ERRORS: Limit =
    Limit::above("llm_errors", "Share of calls of a language model that may fail", Unit::Ratio, 0.05);

/// Time that 95 of a hundred calls of a language model may take.
pub static LLM_LATENCY: Limit = Limit::above(
    "llm_latency",
    "Time that 95 of a hundred calls of a language model may take",
    Unit::Seconds,
    10.0,
);

/// Share of the day's budget at which somebody should know.
pub static LLM_BUDGET: Limit =
    Limit::above("llm_budget", "Share of the day's budget at which somebody should know", Unit::Ratio, 0.8);

/// Share of the day's budget beyond which calls will soon stop.
pub static LLM_BUDGET_CRITICAL: Limit = Limit::above(
    "llm_budget_critical",
    "Share of the day's budget beyond which calls will soon stop",
    Unit::Ratio,
    0.95,
);

/// Time that 95 of a hundred requests may take.
pub static API_LATENCY: Limit =
    Limit::above("api_latency", "Time that 95 of a hundred requests may take", Unit::Seconds, 1.0);

/// Share of requests that may fail.
pub static API_ERRORS: Limit =
    Limit::above("api_errors", "Share of requests that may fail", Unit::Ratio, 0.05);

/// Time that 95 of a hundred queries may take.
pub static DB_LATENCY: Limit =
    Limit::above("db_latency", "Time that 95 of a hundred queries may take", Unit::Seconds, 0.5);

/// Share of processor time that may be in use.
pub static HOST_CPU: Limit =
    Limit::above("host_cpu", "Share of processor time that may be in use", Unit::Ratio, 0.8);

/// Share of processor time beyond which samples wait.
pub static HOST_CPU_CRITICAL: Limit =
    Limit::above("host_cpu_critical", "Share of processor time beyond which samples wait", Unit::Ratio, 0.9);

/// Share of memory that may be in use.
pub static HOST_MEMORY: Limit =
    Limit::above("host_memory", "Share of memory that may be in use", Unit::Ratio, 0.8);

/// Share of memory beyond which programs are killed.
pub static HOST_MEMORY_CRITICAL: Limit = Limit::above(
    "host_memory_critical",
    "Share of memory beyond which programs are killed",
    Unit::Ratio,
    0.9,
);

/// Share of a file system that may be in use.
pub static HOST_DISK: Limit =
    Limit::above("host_disk", "Share of a file system that may be in use", Unit::Ratio, 0.8);

/// Share of a file system beyond which recordings fail.
pub static HOST_DISK_CRITICAL: Limit = Limit::above(
    "host_disk_critical",
    "Share of a file system beyond which recordings fail",
    Unit::Ratio,
    0.9,
);

/// Share of time in which tasks may wait for a resource.
pub static HOST_PRESSURE: Limit =
    Limit::above("host_pressure", "Share of time in which tasks may wait for a resource", Unit::Ratio, 0.2);

/// Share of its open files that a process may use.
pub static OPEN_FILES: Limit =
    Limit::above("open_files", "Share of its open files that a process may use", Unit::Ratio, 0.8);

/// Share of time that a graphics processor may be busy.
pub static GPU_BUSY: Limit =
    Limit::above("gpu_busy", "Share of time that a graphics processor may be busy", Unit::Ratio, 0.95);

/// Share of a graphics processor's memory that may be in use.
pub static GPU_MEMORY: Limit = Limit::above(
    "gpu_memory",
    "Share of a graphics processor's memory that may be in use",
    Unit::Ratio,
    0.95,
);

/// Temperature of a graphics processor.
pub static GPU_TEMPERATURE: Limit =
    Limit::above("gpu_temperature", "Temperature of a graphics processor", Unit::Celsius, 85.0);

/// Share of the series that the agent may hold.
pub static AGENT_SERIES: Limit =
    Limit::above("agent_series", "Share of the series that the agent may hold", Unit::Ratio, 0.8);

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

    /// `text` with each `${id}` replaced by its number.
    ///
    /// # Errors
    /// An id that no limit has.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (id, behind) = after.split_once('}').ok_or_else(|| format!("no end of ${{{after}"))?;
            let limit = LIMITS.iter().find(|limit| limit.id == id);
            let limit = limit.ok_or_else(|| format!("there is no limit {id}"))?;
            filled.push_str(before);
            filled.push_str(&self.of(limit).to_string());
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_where_their_ids_were() {
        let limits = Limits::changed(BTreeMap::from([("device_loss".to_owned(), 0.025)]));
        assert_eq!(limits.fill("a > ${device_loss} < ${device_rate}!").unwrap(), "a > 0.025 < 0.95!");
        assert!(limits.fill("${nothing}").is_err() && limits.fill("${device_loss").is_err());
    }
}
