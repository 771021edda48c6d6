//! System and processes: have the machine and the watched programs what they need?

use super::super::view::{Board, closed, column, lines, open, q, stat, view};
use super::SAID;
use crate::catalog::draw::{Panel, TROUBLE};
use crate::catalog::limit::{
    FILESYSTEM, FILESYSTEM_CRITICAL, HOST_CPU, HOST_CPU_CRITICAL, HOST_DISK_BUSY, HOST_LOAD, HOST_MEMORY,
    HOST_MEMORY_CRITICAL, HOST_PRESSURE, PROCESS_FILES,
};

pub(super) static BOARD: Board = Board {
    key: "system",
    title: "System and processes",
    about: "Whether the machine and the monitored programs have the processor time, memory, disk and network they need.",
    pages: &["host", "process"],
    by_machine: true,
    variables: &[("group", "Programs")],
    range: "now-3h",
    refresh: "30s",
    rows: &[
        open("Now", &[
            stat("CPU", "percentunit", "Share of processor time in use on the busiest machine. Beyond the limit samples wait.", &[q(
                "max(1 - sum by (instance) (rate(neural_host_cpu_seconds_total{mode=~\"idle|iowait\"}[5m])) / sum by (instance) (rate(neural_host_cpu_seconds_total[5m])))",
                "",
            )])
            .limits(&[&HOST_CPU, &HOST_CPU_CRITICAL]),
            stat("Memory", "percentunit", "Share of memory in use on the fullest machine. When it is full, the kernel kills a program.", &[q(
                "max(neural_host_memory_used_bytes / neural_host_memory_size_bytes)",
                "",
            )])
            .limits(&[&HOST_MEMORY, &HOST_MEMORY_CRITICAL]),
            stat("Fullest file system", "percentunit", "Share in use of the fullest file system. Move recordings away before it is full.", &[q(
                "max(1 - neural_host_filesystem_available_bytes / neural_host_filesystem_size_bytes)",
                "",
            )])
            .limits(&[&FILESYSTEM, &FILESYSTEM_CRITICAL]),
            stat("Load for each processor", "none", "Load average over one minute, per processor.", &[q(
                "max(neural_host_load1 / neural_host_cpus)",
                "",
            )])
            .limits(&[&HOST_LOAD]),
            stat("Uptime", "s", "Uptime of the machine that booted last.", &[q("min(neural_host_uptime_seconds)", "")]),
        ]),
        open("Machine", &[
            lines("CPU usage", "percentunit", "Share of the time of all processors in use.", &[q(
                "1 - sum by (instance) (rate(neural_host_cpu_seconds_total{mode=~\"idle|iowait\"}[$__rate_interval])) / sum by (instance) (rate(neural_host_cpu_seconds_total[$__rate_interval]))",
                "{{instance}}",
            )])
            .limits(&[&HOST_CPU, &HOST_CPU_CRITICAL])
            .whole(),
            lines("Memory usage", "bytes", "Memory in use; the dashed line is the size.", &[
                q("max by (instance) (neural_host_memory_used_bytes)", "used"),
                q("max by (instance) (neural_host_memory_cached_bytes)", "cached"),
                q("max by (instance) (neural_host_memory_size_bytes)", "size").dashed(),
            ]),
            lines("Memory usage, share", "percentunit", "Share of memory in use.", &[q(
                "max by (instance) (neural_host_memory_used_bytes / neural_host_memory_size_bytes)",
                "{{instance}}",
            )])
            .limits(&[&HOST_MEMORY, &HOST_MEMORY_CRITICAL])
            .whole(),
            lines("Load", "none", "Load averages; the dashed line is the number of processors.", &[
                q("max by (instance) (neural_host_load1)", "1 min"),
                q("max by (instance) (neural_host_load5)", "5 min"),
                q("max by (instance) (neural_host_load15)", "15 min"),
                q("max by (instance) (neural_host_cpus)", "processors").dashed(),
            ]),
            lines("Network", "Bps", "Bytes received and transmitted per second, by interface.", &[
                q("sum by (instance, interface) (rate(neural_host_network_received_bytes_total{interface!~\"lo|ifb.*|veth.*|docker.*|br-.*\"}[$__rate_interval]))", "{{interface}} in"),
                q("sum by (instance, interface) (rate(neural_host_network_transmitted_bytes_total{interface!~\"lo|ifb.*|veth.*|docker.*|br-.*\"}[$__rate_interval]))", "{{interface}} out"),
            ]),
            lines("Disk read and written", "Bps", "Bytes read from and written to each disk per second.", &[
                q("sum by (instance, device) (rate(neural_host_disk_read_bytes_total[$__rate_interval]))", "{{device}} read"),
                q("sum by (instance, device) (rate(neural_host_disk_written_bytes_total[$__rate_interval]))", "{{device}} written"),
            ])
            .empty("no disk"),
            view(Panel::Bars, "File systems", "percentunit", "Share of each file system that is in use.", &[q(
                "max by (instance, mount) (1 - neural_host_filesystem_available_bytes / neural_host_filesystem_size_bytes)",
                "{{mount}}",
            )])
            .limits(&[&FILESYSTEM, &FILESYSTEM_CRITICAL])
            .whole()
            .beside(2),
            lines("Pressure", "percentunit", "Share of time in which some task waited for processor, disk or memory. It rises before a resource is used up.", &[q(
                "max by (instance, resource) (rate(neural_host_pressure_seconds_total{stall=\"some\"}[$__rate_interval]))",
                "{{resource}}",
            )])
            .limits(&[&HOST_PRESSURE])
            .beside(2)
            .empty("not reported by the kernel"),
        ]),
        closed("Monitored programs", &[
            stat("Programs running", "none", "Monitored groups that have a running process, of all. Red while one has none.", &[q(
                of!(
                    part: "(count(neural_process_instances > 0) or vector(0))",
                    whole: "count(neural_process_instances)",
                    none: "none monitored"
                ),
                SAID,
            )])
            .words()
            .zero_wanted()
            .empty("none monitored"),
            lines("CPU of programs", "percentunit", "Processor time of each group: 100 % is one processor.", &[q(
                "sum by (instance, group) (rate(neural_process_cpu_seconds_total[$__rate_interval]))",
                "{{group}}",
            )])
            .empty("none monitored"),
            lines("Memory of programs", "bytes", "Memory of each group. A line that only climbs is a leak.", &[q(
                "sum by (instance, group) (neural_process_resident_memory_bytes)",
                "{{group}}",
            )])
            .empty("none monitored"),
            lines("Disk of programs", "Bps", "Bytes that each group read from and wrote to disks per second.", &[
                q("sum by (instance, group) (rate(neural_process_read_bytes_total[$__rate_interval]))", "{{group}} read"),
                q("sum by (instance, group) (rate(neural_process_written_bytes_total[$__rate_interval]))", "{{group}} written"),
            ])
            .empty("none monitored"),
            lines("Threads", "none", "Threads of each group.", &[q("sum by (instance, group) (neural_process_threads)", "{{group}}")])
                .empty("none monitored"),
            lines("Open files", "none", "Open files of each group, sockets included. A number that only grows is a leak.", &[
                q("sum by (instance, group) (neural_process_open_files)", "{{group}}"),
            ])
            .empty("none monitored"),
            lines("Open files, of the limit", "percentunit", "The highest share of its limit of open files that any one process uses.", &[q(
                "max by (instance, group) (neural_process_open_files_ratio)",
                "{{group}}",
            )])
            .limits(&[&PROCESS_FILES])
            .whole()
            .empty("none monitored"),
        ]),
        closed("CPU and memory in detail", &[
            view(Panel::Stack, "CPU by mode", "percentunit", "CPU time of all processors, by mode.", &[q(
                "sum by (mode) (rate(neural_host_cpu_seconds_total{mode!=\"idle\"}[$__rate_interval])) / on () group_left () sum(rate(neural_host_cpu_seconds_total[$__rate_interval]))",
                "{{mode}}",
            )]),
            lines("Busiest processors", "percentunit", "Busy time of the eight busiest processors, with the setting per_cpu.", &[q(
                "1 - sum by (instance, cpu) (rate(neural_host_cpu_core_seconds_total{mode=~\"idle|iowait\"}[$__rate_interval])) and on (instance, cpu) bottomk(8, sum by (instance, cpu) (increase(neural_host_cpu_core_seconds_total{mode=~\"idle|iowait\"}[$__range] @ end())))",
                "CPU {{cpu}}",
            )])
            .empty("not enabled"),
            lines("Context switches and forks", "ops", "Context switches of all processors, and processes and threads created, per second.", &[
                q("sum by (instance) (rate(neural_host_context_switches_total[$__rate_interval]))", "switches"),
                q("sum by (instance) (rate(neural_host_forks_total[$__rate_interval]))", "forks"),
            ]),
            lines("Tasks", "none", "Tasks that are running, or blocked by a disk.", &[q(
                "max by (instance, state) (neural_host_tasks)",
                "{{state}}",
            )]),
            lines("Memory in detail", "bytes", "Available, free and dirty memory. Dirty memory grows when a recording is faster than its disk.", &[
                q("max by (instance) (neural_host_memory_available_bytes)", "available"),
                q("max by (instance) (neural_host_memory_free_bytes)", "free"),
                q("max by (instance) (neural_host_memory_dirty_bytes)", "dirty"),
            ]),
            lines("Swap", "bytes", "Swap space in use; the dashed line is its size. A pipeline that is swapped is late.", &[
                q("max by (instance) (neural_host_swap_used_bytes)", "used"),
                q("max by (instance) (neural_host_swap_free_bytes)", "free"),
                q("max by (instance) (neural_host_swap_size_bytes)", "size").dashed(),
            ]),
        ]),
        closed("Disks in detail", &[
            lines("Disk busy", "percentunit", "Share of time in which a disk had a request in flight.", &[q(
                "max by (instance, device) (rate(neural_host_disk_busy_seconds_total[$__rate_interval]))",
                "{{device}}",
            )])
            .limits(&[&HOST_DISK_BUSY])
            .whole()
            .empty("no disk"),
            lines("Disk latency", "s", "Mean time of a read and of a write.", &[
                q("sum by (instance, device) (rate(neural_host_disk_read_time_seconds_total[$__rate_interval])) / sum by (instance, device) (rate(neural_host_disk_reads_total[$__rate_interval]))", "{{device}} read"),
                q("sum by (instance, device) (rate(neural_host_disk_write_time_seconds_total[$__rate_interval])) / sum by (instance, device) (rate(neural_host_disk_writes_total[$__rate_interval]))", "{{device}} write"),
            ])
            .empty("no disk"),
            lines("Requests in flight", "none", "Requests in flight on each disk.", &[q(
                "max by (instance, device) (neural_host_disk_requests_in_flight)",
                "{{device}}",
            )])
            .empty("no disk"),
            view(Panel::Table, "File systems in detail", "bytes", "Every file system with its size, free space, and whether it is writable.", &[
                column("max by (instance, mount, fstype) (neural_host_filesystem_size_bytes)", "Size", "bytes"),
                column("max by (instance, mount, fstype) (neural_host_filesystem_available_bytes)", "Available", "bytes"),
                column("max by (instance, mount, fstype) (neural_host_filesystem_readonly)", "Read-only", "none").states(TROUBLE),
            ])
            .first(&["mount", "Value #C", "Value #A", "Value #B"])
            .beside(2),
            view(Panel::States, "File systems that do not answer", "none", "Whether reading the file systems hangs, as when a file server is gone.", &[q(
                "max by (instance) (neural_host_filesystem_stalled)",
                "{{instance}}",
            )])
            .states(TROUBLE)
            .beside(2),
        ]),
        closed("Network and sensors in detail", &[
            lines("Packets", "pps", "Packets of all interfaces per second.", &[q(
                "sum by (instance, direction) (rate(neural_host_network_packets_total[$__rate_interval]))",
                "{{direction}}",
            )]),
            lines("Network errors", "pps", "Packets with errors per second.", &[q(
                "sum by (instance, direction) (rate(neural_host_network_errors_total[$__rate_interval]))",
                "{{direction}}",
            )]),
            lines("Network drops", "pps", "Packets dropped per second.", &[q(
                "sum by (instance, direction) (rate(neural_host_network_drops_total[$__rate_interval]))",
                "{{direction}}",
            )]),
            lines("TCP retransmits, UDP overflows", "cps", "TCP segments retransmitted, and datagrams dropped because a receive buffer was full.", &[
                q("sum by (instance) (rate(neural_host_tcp_retransmits_total[$__rate_interval]))", "TCP retransmits"),
                q("sum by (instance) (rate(neural_host_udp_overflows_total[$__rate_interval]))", "UDP overflows"),
            ]),
            lines("Connections", "none", "Sockets in use, and TCP connections by state: the five states with most.", &[
                q("max by (instance) (neural_host_sockets)", "sockets"),
                q(highest!("5", "neural_host_tcp_connections", "state"), "TCP {{state}}"),
            ]),
            lines("Temperatures", "celsius", "Temperatures by sensor; the dashed line is the critical temperature.", &[
                q("max by (instance, sensor) (neural_host_temperature_celsius)", "{{sensor}}"),
                q("max by (instance, sensor) (neural_host_temperature_critical_celsius)", "limit {{sensor}}").dashed(),
            ])
            .empty("no sensor"),
            lines("File handles, of the limit", "percentunit", "Share of the machine's file handles that are in use.", &[q("max by (instance) (neural_host_file_handles / neural_host_file_handles_limit)", "{{instance}}")])
                .whole(),
        ]),
        closed("Programs in detail", &[
            lines("Page faults", "cps", "Page faults per second that needed a disk.", &[q(
                "sum by (instance, group) (rate(neural_process_major_faults_total[$__rate_interval]))",
                "{{group}}",
            )])
            .beside(2)
            .empty("none monitored"),
            lines("Context switches", "cps", "Context switches of the main threads per second, by reason: the five with most.", &[q(
                busiest!("5", "neural_process_context_switches_total", "group, reason"),
                "{{group}} {{reason}}",
            )])
            .beside(2)
            .empty("none monitored"),
            view(Panel::Table, "Programs", "none", "Every monitored group: running processes, the uptime of the oldest, virtual memory, and the lowest limit of open files of one process.", &[
                column("max by (instance, group) (neural_process_instances)", "Alive", "none").zero_missing(),
                column("clamp_min(time() - min by (instance, group) (neural_process_oldest_start_time_seconds), 0)", "Oldest", "s"),
                column("sum by (instance, group) (neural_process_virtual_memory_bytes)", "Virtual", "bytes"),
                column("min by (instance, group) (neural_process_open_files_limit)", "File limit", "short"),
            ])
            .first(&["group"])
            .beside(2)
            .empty("none monitored"),
            view(Panel::Table, "Machines", "none", "System and uptime of each machine.", &[column("clamp_min(time() - max by (instance) (neural_host_boot_time_seconds), 0) * on (instance) group_left (system, kernel, architecture) max by (instance, system, kernel, architecture) (neural_host_info)", "Uptime", "s")])
            .first(&["instance", "system"]),
        ]),
    ],
};
