//! The page of graphics processors, whoever made them.
//!
//! What a card does not tell is absent. Which driver tells it is the source's affair.

use super::{Keep, Metric, Page, Row, Unit};
use crate::event::{Body, Event, Gpu, Kind, Topic};

/// The page.
pub static PAGE: Page = Page {
    id: "gpu",
    title: "GPU",
    about: "Whether the graphics processors have time and memory left, and run as fast as they should: \
            heat, power, clocks, reasons to slow down, errors, and who holds their memory.",
    metrics: &[
        &INFO,
        &AWAKE,
        &UTILIZATION,
        &MEMORY_CONTROLLER,
        &ENCODER,
        &DECODER,
        &MEMORY_SIZE,
        &MEMORY_USED,
        &TEMPERATURE,
        &POWER,
        &POWER_LIMIT,
        &ENERGY,
        &CLOCK,
        &FAN,
        &THROTTLED,
        &MEMORY_ERRORS,
        &XID_ERRORS,
        &PCIE_RECEIVED,
        &PCIE_SENT,
        &PROCESS_MEMORY,
    ],
};

/// Of a card that may fall off its bus, with a driver that may go.
const GAUGE: Metric = Metric { labels: &["gpu"], keep: Keep::WhileUp, on: &[Topic::Gpu], ..Metric::BLANK };
/// Counted by the driver.
const COUNTER: Metric = Metric { kind: Kind::Counter, keep: Keep::Always, ..GAUGE };

/// Hands over the card and its `gpu` label.
fn card(event: &Event<'_>, with: impl FnOnce(&Gpu, &str)) {
    if let Body::Gpu(gpu) = event.body {
        with(gpu, itoa::Buffer::new().format(gpu.index));
    }
}

fn put(event: &Event<'_>, row: &mut dyn Row, value: fn(&Gpu) -> Option<f64>) {
    card(event, |gpu, label| {
        if let Some(value) = value(gpu) {
            row.set(&[label], value);
        }
    });
}

static INFO: Metric = Metric {
    name: "gpu",
    help: "Model, unique id and driver of the card",
    kind: Kind::Info,
    labels: &["gpu", "name", "uuid", "driver"],
    read: |event, row| {
        card(event, |gpu, label| row.set(&[label, &gpu.name, &gpu.uuid, &gpu.driver], 1.0));
    },
    ..GAUGE
};

static AWAKE: Metric = Metric {
    name: "gpu_awake",
    help: "Whether the card is powered; one that sleeps is left alone and tells nothing else",
    read: |event, row| put(event, row, |gpu| Some(f64::from(gpu.awake))),
    ..GAUGE
};

static UTILIZATION: Metric = Metric {
    name: "gpu_utilization",
    help: "Share of time in which anything ran on the card",
    unit: Unit::Ratio,
    read: |event, row| put(event, row, |gpu| gpu.busy),
    ..GAUGE
};

static MEMORY_CONTROLLER: Metric = Metric {
    name: "gpu_memory_controller_utilization",
    help: "Share of time in which the card's memory was read or written",
    unit: Unit::Ratio,
    read: |event, row| put(event, row, |gpu| gpu.memory_busy),
    ..GAUGE
};

static ENCODER: Metric = Metric {
    name: "gpu_encoder_utilization",
    help: "Share of time in which the video encoder ran",
    unit: Unit::Ratio,
    read: |event, row| put(event, row, |gpu| gpu.encoder_busy),
    ..GAUGE
};

static DECODER: Metric = Metric {
    name: "gpu_decoder_utilization",
    help: "Share of time in which the video decoder ran",
    unit: Unit::Ratio,
    read: |event, row| put(event, row, |gpu| gpu.decoder_busy),
    ..GAUGE
};

static MEMORY_SIZE: Metric = Metric {
    name: "gpu_memory_size",
    help: "Memory of the card",
    unit: Unit::Bytes,
    read: |event, row| put(event, row, |gpu| gpu.memory_size),
    ..GAUGE
};

static MEMORY_USED: Metric = Metric {
    name: "gpu_memory_used",
    help: "Memory of the card that is in use",
    unit: Unit::Bytes,
    read: |event, row| put(event, row, |gpu| gpu.memory_used),
    ..GAUGE
};

static TEMPERATURE: Metric = Metric {
    name: "gpu_temperature",
    help: "What the card's sensor reads",
    unit: Unit::Celsius,
    labels: &["gpu", "sensor"],
    read: |event, row| {
        card(event, |gpu, label| {
            for (sensor, celsius) in &gpu.temperatures {
                row.set(&[label, sensor], *celsius);
            }
        });
    },
    ..GAUGE
};

static POWER: Metric = Metric {
    name: "gpu_power",
    help: "Power that the card draws",
    unit: Unit::Watts,
    read: |event, row| put(event, row, |gpu| gpu.power),
    ..GAUGE
};

static POWER_LIMIT: Metric = Metric {
    name: "gpu_power_limit",
    help: "Power that the card may draw",
    unit: Unit::Watts,
    read: |event, row| put(event, row, |gpu| gpu.power_limit),
    ..GAUGE
};

static ENERGY: Metric = Metric {
    name: "gpu_energy",
    help: "Energy that the card took since its driver was loaded",
    unit: Unit::Joules,
    read: |event, row| put(event, row, |gpu| gpu.energy),
    ..COUNTER
};

static CLOCK: Metric = Metric {
    name: "gpu_clock",
    help: "Clock of the processors (sm) and of the memory",
    unit: Unit::Hertz,
    labels: &["gpu", "clock"],
    read: |event, row| {
        card(event, |gpu, label| {
            for (clock, hertz) in &gpu.clocks {
                row.set(&[label, clock], *hertz);
            }
        });
    },
    ..GAUGE
};

static FAN: Metric = Metric {
    name: "gpu_fan_speed",
    help: "Speed of the fan, of its highest",
    unit: Unit::Ratio,
    labels: &["gpu", "fan"],
    read: |event, row| {
        card(event, |gpu, label| {
            for (fan, ratio) in gpu.fans.iter().enumerate() {
                row.set(&[label, itoa::Buffer::new().format(fan)], *ratio);
            }
        });
    },
    ..GAUGE
};

static THROTTLED: Metric = Metric {
    name: "gpu_throttled",
    help: "Whether the card runs slower than it could, for this reason",
    labels: &["gpu", "reason"],
    read: |event, row| {
        card(event, |gpu, label| {
            for (reason, holds) in &gpu.throttles {
                row.set(&[label, reason], f64::from(*holds));
            }
        });
    },
    ..GAUGE
};

static MEMORY_ERRORS: Metric = Metric {
    name: "gpu_memory_errors",
    help: "Errors of the card's memory since its driver was loaded, corrected and uncorrected",
    labels: &["gpu", "severity"],
    read: |event, row| {
        card(event, |gpu, label| {
            for (severity, errors) in &gpu.memory_errors {
                row.set(&[label, severity], *errors);
            }
        });
    },
    ..COUNTER
};

static XID_ERRORS: Metric = Metric {
    name: "gpu_xid_errors",
    help: "Errors that the NVIDIA driver reported since the agent watches, by their XID",
    labels: &["gpu", "xid"],
    read: |event, row| {
        card(event, |gpu, label| {
            for (xid, errors) in &gpu.xids {
                row.set(&[label, itoa::Buffer::new().format(*xid)], *errors);
            }
        });
    },
    ..COUNTER
};

static PCIE_RECEIVED: Metric = Metric {
    name: "gpu_pcie_received_bytes_per_second",
    help: "Bytes received over PCIe in a second, sampled over 20 ms, if the setting pcie asks for it",
    read: |event, row| put(event, row, |gpu| gpu.pcie.map(|(received, _)| received)),
    ..GAUGE
};

static PCIE_SENT: Metric = Metric {
    name: "gpu_pcie_sent_bytes_per_second",
    help: "Bytes sent over PCIe in a second, sampled over 20 ms, if the setting pcie asks for it",
    read: |event, row| put(event, row, |gpu| gpu.pcie.map(|(_, sent)| sent)),
    ..GAUGE
};

static PROCESS_MEMORY: Metric = Metric {
    name: "gpu_process_memory",
    help: "Memory of the card by the name of the processes that hold it, the largest alone",
    unit: Unit::Bytes,
    labels: &["gpu", "process"],
    read: |event, row| {
        card(event, |gpu, label| {
            for (process, bytes) in &gpu.processes {
                row.set(&[label, process], *bytes);
            }
        });
    },
    ..GAUGE
};

#[cfg(test)]
mod tests {
    use super::super::process::tests::readings;
    use super::*;

    #[test]
    fn every_metric_reads_a_card_that_tells_everything() {
        let gpu = Gpu {
            index: 1,
            name: "H200".to_owned(),
            uuid: "GPU-1".to_owned(),
            driver: "nvidia 600".to_owned(),
            awake: true,
            busy: Some(0.5),
            memory_busy: Some(0.4),
            encoder_busy: Some(0.3),
            decoder_busy: Some(0.2),
            memory_size: Some(2.0),
            memory_used: Some(1.0),
            temperatures: vec![("core".to_owned(), 40.0)],
            power: Some(300.0),
            power_limit: Some(700.0),
            energy: Some(1e6),
            clocks: vec![("sm", 1e9), ("memory", 2e9)],
            fans: vec![0.5, 0.6],
            throttles: vec![("power_cap", true)],
            memory_errors: vec![("corrected", 0.0)],
            xids: vec![(79, 1.0)],
            pcie: Some((1.0, 2.0)),
            processes: vec![("vllm".to_owned(), 1.0)],
        };
        let got = readings(&PAGE, Body::Gpu(&gpu));
        for (name, row) in &got {
            assert!(!row.rows.is_empty(), "{name} reads nothing");
        }
        let labels = |words: [&str; 2]| words.map(str::to_owned).to_vec();
        assert_eq!(got["neural_gpu_clock_hertz"].rows[&labels(["1", "memory"])], 2e9);
        assert_eq!(got["neural_gpu_fan_speed_ratio"].rows[&labels(["1", "1"])], 0.6);
        assert_eq!(got["neural_gpu_xid_errors"].rows[&labels(["1", "79"])], 1.0);

        let asleep = Gpu::default();
        let told: Vec<String> = readings(&PAGE, Body::Gpu(&asleep))
            .into_iter()
            .filter_map(|(name, row)| (!row.rows.is_empty()).then_some(name))
            .collect();
        assert_eq!(told, ["neural_gpu", "neural_gpu_awake"]);
    }
}
