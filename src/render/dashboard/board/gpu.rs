//! GPU: have the graphics processors time and memory left, and do they run as fast as they should?

use super::super::view::{Board, closed, lines, open, q, stat, view};
use crate::catalog::draw::{Panel, Rating, TROUBLE, state};
use crate::catalog::limit::{GPU_MEMORY, GPU_TEMPERATURE, GPU_UTILIZATION};

/// What a panel says on a machine without one.
const NONE: &str = "no GPU";

pub(super) static BOARD: Board = Board {
    key: "gpu",
    title: "GPU",
    about: "Whether the graphics processors have time and memory left and run at full speed.",
    pages: &["gpu"],
    by_machine: true,
    variables: &[("gpu", "GPU")],
    range: "now-3h",
    refresh: "30s",
    rows: &[
        open("Now", &[
            stat("GPUs awake", "none", "Cards that are powered. A suspended card has no other metrics.", &[q("sum(neural_gpu_awake)", "")])
                .zero_missing()
                .empty(NONE),
            stat("Busiest", "percentunit", "Share of time in which the busiest card was busy.", &[q("max(neural_gpu_utilization_ratio)", "")])
                .limits(&[&GPU_UTILIZATION])
                .empty(NONE),
            stat(
                "Fullest memory",
                "percentunit",
                "Share of memory in use of the fullest card. On a full card the next load of a model fails.",
                &[q("max(neural_gpu_memory_used_bytes / neural_gpu_memory_size_bytes)", "")],
            )
            .limits(&[&GPU_MEMORY])
            .empty(NONE),
            stat("Hottest", "celsius", "The hottest card, by its sensor at the edge. Beyond the limit cards slow down. Its hottest spot and its memory may be far hotter.", &[q("max(neural_gpu_temperature_celsius{sensor!~\"junction|memory\"})", "")])
                .limits(&[&GPU_TEMPERATURE])
                .empty(NONE),
            stat("Power now", "watt", "Power draw of all cards.", &[q("sum(neural_gpu_power_watts)", "")]).empty(NONE),
            stat("Throttled", "none", "Cards that are throttled, for a reason other than idling.", &[q(
                "count(max by (instance, gpu) (neural_gpu_throttled{reason!~\".*idle.*\"}) == 1) or vector(0)",
                "",
            )])
            .zero_wanted()
            .empty(NONE),
        ]),
        open("Use", &[
            lines("Utilisation", "percentunit", "Share of time in which a card was busy. High is good; 100 % with a queue in front of it is not.", &[q(
                "max by (instance, gpu) (neural_gpu_utilization_ratio)",
                "GPU {{gpu}}",
            )])
            .limits(&[&GPU_UTILIZATION])
            .whole()
            .empty(NONE),
            lines("Memory in use", "bytes", "Memory in use; the dashed line is the size.", &[
                q("max by (instance, gpu) (neural_gpu_memory_used_bytes)", "GPU {{gpu}}"),
                q("max by (instance, gpu) (neural_gpu_memory_size_bytes)", "size of GPU {{gpu}}").dashed(),
            ])
            .empty(NONE),
            view(Panel::Stack, "Memory by process", "bytes", "Memory of the card, by process name.", &[q(
                "sum by (instance, gpu, process) (neural_gpu_process_memory_bytes)",
                "{{gpu}} {{process}}",
            )])
            .empty(NONE),
            lines("Temperature", "celsius", "Temperatures of the cards, by sensor.", &[q(
                "max by (instance, gpu, sensor) (neural_gpu_temperature_celsius)",
                "{{gpu}} {{sensor}}",
            )])
            .limits(&[&GPU_TEMPERATURE])
            .empty(NONE),
            lines("Power", "watt", "Power draw of a card; the dashed line is its limit.", &[
                q("max by (instance, gpu) (neural_gpu_power_watts)", "GPU {{gpu}}"),
                q("max by (instance, gpu) (neural_gpu_power_limit_watts)", "limit of GPU {{gpu}}").dashed(),
            ])
            .empty(NONE),
            lines("Clocks", "hertz", "Clock of the processors and of the memory. One that falls under load is a card that slows down.", &[q(
                "max by (instance, gpu, clock) (neural_gpu_clock_hertz)",
                "{{gpu}} {{clock}}",
            )])
            .empty(NONE),
        ]),
        open("Trouble", &[
            view(Panel::States, "Throttled, by reason", "none", "Reasons, idling aside, for which a card was throttled in the selected time. Heat: clean it; power: it is at its limit.", &[q(
                // Most never hold, and there are nine of each card.
                "max by (instance, gpu, reason) (neural_gpu_throttled{reason!~\".*idle.*\"}) and on (instance, gpu, reason) max by (instance, gpu, reason) (max_over_time(neural_gpu_throttled[$__range] @ end())) == 1",
                "{{gpu}} {{reason}}",
            )])
            .states(TROUBLE)
            .beside(2)
            .empty("none throttled")
            .judged("neural_gpu_throttled", NONE),
            lines("Errors an hour", "none", "Errors of memory, and those that the driver reports by their XID. Replace a card with uncorrected ones.", &[
                q("sum by (instance, gpu, severity) (increase(neural_gpu_memory_errors_total[1h]))", "{{gpu}} memory {{severity}}"),
                q("sum by (instance, gpu, xid) (increase(neural_gpu_xid_errors_total[1h]))", "{{gpu}} XID {{xid}}"),
            ])
            .beside(2)
            .empty(NONE),
        ]),
        closed("Details", &[
            lines("Engines of the card", "percentunit", "Share of time in which memory, encoder and decoder worked.", &[
                q("max by (instance, gpu) (neural_gpu_memory_controller_utilization_ratio)", "{{gpu}} memory"),
                q("max by (instance, gpu) (neural_gpu_encoder_utilization_ratio)", "{{gpu}} encoder"),
                q("max by (instance, gpu) (neural_gpu_decoder_utilization_ratio)", "{{gpu}} decoder"),
            ])
            .whole()
            .beside(2)
            .empty(NONE),
            lines("PCIe", "Bps", "Bytes received and sent over PCIe per second, with the setting pcie.", &[
                q("max by (instance, gpu) (neural_gpu_pcie_received_bytes_per_second)", "{{gpu}} received"),
                q("max by (instance, gpu) (neural_gpu_pcie_transmitted_bytes_per_second)", "{{gpu}} sent"),
            ])
            .beside(2)
            .empty("not enabled"),
            lines("Fans", "percentunit", "Fan speed as a share of its maximum.", &[q("max by (instance, gpu, fan) (neural_gpu_fan_speed_ratio)", "{{gpu}} fan {{fan}}")])
                .whole()
                .empty("no fan"),
            lines("Energy an hour", "joule", "Energy used by a card within an hour.", &[q("sum by (instance, gpu) (increase(neural_gpu_energy_joules_total[1h]))", "GPU {{gpu}}")])
                .empty(NONE),
            view(Panel::States, "Awake", "none", "Whether each card is powered.", &[q("max by (instance, gpu) (neural_gpu_awake)", "GPU {{gpu}}")])
                .states(&[state(1.0, "awake", Rating::Good), state(0.0, "asleep", Rating::Plain)])
                .beside(3)
                .empty(NONE),
            view(Panel::Table, "Cards", "none", "Model and driver of each card.", &[q(
                "max by (instance, gpu, name, driver) (neural_gpu_info)",
                "",
            )])
            .first(&["gpu", "name"])
            .empty(NONE),
        ]),
    ],
};
