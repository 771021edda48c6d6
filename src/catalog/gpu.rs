//! The page of graphics processors of every maker.
//!
//! What a card does not tell is absent. Which driver tells it is the source's affair.

use super::{Keep, Metric, Page, Row, Unit};
use crate::event::{Body, Event, Gpu, Kind, Topic};

/// The page.
pub static PAGE: Page = Page {
    id: "gpu",
    title: "GPU",
    about: "Whether the graphics processors have time and memory left and run at full speed: temperature, power, clocks, throttling, errors, and which processes use their memory.",
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
    help: "Model, unique id and driver version of the card",
    kind: Kind::Info,
    labels: &["gpu", "name", "uuid", "driver"],
    read: |event, row| {
        card(event, |gpu, label| row.set(&[label, &gpu.name, &gpu.uuid, &gpu.driver], 1.0));
    },
    ..GAUGE
};

static AWAKE: Metric = Metric {
    name: "gpu_awake",
    help: "Whether the card is powered (1) or suspended (0)",
    note: "A suspended card is not queried, so it has no other series",
    read: |event, row| put(event, row, |gpu| Some(f64::from(gpu.awake))),
    ..GAUGE
};

static UTILIZATION: Metric = Metric {
    name: "gpu_utilization",
    help: "Share of time in which the card was busy",
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
    help: "Share of time in which the video encoder was busy",
    unit: Unit::Ratio,
    read: |event, row| put(event, row, |gpu| gpu.encoder_busy),
    ..GAUGE
};

static DECODER: Metric = Metric {
    name: "gpu_decoder_utilization",
    help: "Share of time in which the video decoder was busy",
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
    help: "Memory of the card in use",
    unit: Unit::Bytes,
    read: |event, row| put(event, row, |gpu| gpu.memory_used),
    ..GAUGE
};

static TEMPERATURE: Metric = Metric {
    name: "gpu_temperature",
    help: "Temperature of the card, by sensor",
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
    help: "Power draw of the card",
    unit: Unit::Watts,
    read: |event, row| put(event, row, |gpu| gpu.power),
    ..GAUGE
};

static POWER_LIMIT: Metric = Metric {
    name: "gpu_power_limit",
    help: "Power limit of the card",
    unit: Unit::Watts,
    read: |event, row| put(event, row, |gpu| gpu.power_limit),
    ..GAUGE
};

static ENERGY: Metric = Metric {
    name: "gpu_energy",
    help: "Energy used by the card since its driver was loaded",
    unit: Unit::Joules,
    read: |event, row| put(event, row, |gpu| gpu.energy),
    ..COUNTER
};

static CLOCK: Metric = Metric {
    name: "gpu_clock",
    help: "Clock frequency of the processors (sm) or of the memory",
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
    help: "Fan speed as a share of its maximum",
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
    help: "Whether the card is throttled for this reason (1) or not (0)",
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
    help: "Memory errors since the driver was loaded, corrected or uncorrected",
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
    help: "Errors reported by the NVIDIA driver since the agent started, by XID",
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
    help: "PCIe receive throughput, sampled over 20 ms",
    note: "Only with the setting `pcie`",
    read: |event, row| put(event, row, |gpu| gpu.pcie.map(|(received, _)| received)),
    ..GAUGE
};

static PCIE_SENT: Metric = Metric {
    name: "gpu_pcie_transmitted_bytes_per_second",
    help: "PCIe transmit throughput, sampled over 20 ms",
    note: "Only with the setting `pcie`",
    read: |event, row| put(event, row, |gpu| gpu.pcie.map(|(_, sent)| sent)),
    ..GAUGE
};

static PROCESS_MEMORY: Metric = Metric {
    name: "gpu_process_memory",
    help: "GPU memory of the processes with this name",
    note: "Only the largest",
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
        let exposed: Vec<String> = readings(&PAGE, Body::Gpu(&asleep))
            .into_iter()
            .filter_map(|(name, row)| (!row.rows.is_empty()).then_some(name))
            .collect();
        assert_eq!(exposed, ["neural_gpu", "neural_gpu_awake"]);
    }
}
