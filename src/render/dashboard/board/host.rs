//! System and processes: have the machine and the watched programs what they need?

use super::super::view::{Board, closed, column, lines, open, q, stat, view};
use crate::catalog::draw::{Panel, TROUBLE};
use crate::catalog::limit::{
    FILESYSTEM, FILESYSTEM_CRITICAL, HOST_CPU, HOST_CPU_CRITICAL, HOST_DISK_BUSY, HOST_LOAD, HOST_MEMORY,
    HOST_MEMORY_CRITICAL, HOST_PRESSURE, PROCESS_FILES,
};

pub(super) static BOARD: Board = Board {
    key: "system",
    title: "System and processes",
    about: "Have the machine and the watched programs the processor time, memory, disk and network that they need?",
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
            stat("Memory", "percentunit", "Share of memory that programs hold on the fullest machine. When it is full the kernel kills one.", &[q(
                "max(neural_host_memory_used_bytes / neural_host_memory_size_bytes)",
                "",
            )])
            .limits(&[&HOST_MEMORY, &HOST_MEMORY_CRITICAL]),
            stat("Fullest file system", "percentunit", "Share in use of the fullest file system. Move recordings away before it is full.", &[q(
                "max(1 - neural_host_filesystem_available_bytes / neural_host_filesystem_size_bytes)",
                "",
            )])
            .limits(&[&FILESYSTEM, &FILESYSTEM_CRITICAL]),
            stat("Load for each processor", "none", "Tasks that run or want to, over one minute, for each processor.", &[q(
                "max(neural_host_load1 / neural_host_cpus)",
                "",
            )])
            .limits(&[&HOST_LOAD]),
            stat("Uptime", "s", "How long the machine that started last has been running.", &[q("min(neural_host_uptime_seconds)", "")]),
        ]),
        open("Machine", &[
            lines("CPU usage", "percentunit", "Share of the time of all processors in use.", &[q(
                "1 - sum by (instance) (rate(neural_host_cpu_seconds_total{mode=~\"idle|iowait\"}[$__rate_interval])) / sum by (instance) (rate(neural_host_cpu_seconds_total[$__rate_interval]))",
                "{{instance}}",
            )])
            .limits(&[&HOST_CPU, &HOST_CPU_CRITICAL])
            .whole(),
            lines("Memory usage", "bytes", "Memory that programs hold; the dashed line is what there is.", &[
                q("max by (instance) (neural_host_memory_used_bytes)", "used"),
                q("max by (instance) (neural_host_memory_cached_bytes)", "cached"),
                q("max by (instance) (neural_host_memory_size_bytes)", "size").dashed(),
            ]),
            lines("Memory usage, share", "percentunit", "Share of memory that programs hold.", &[q(
                "max by (instance) (neural_host_memory_used_bytes / neural_host_memory_size_bytes)",
                "{{instance}}",
            )])
            .limits(&[&HOST_MEMORY, &HOST_MEMORY_CRITICAL])
            .whole(),
            lines("Load", "none", "Tasks that run or want to; the dashed line is the number of processors.", &[
                q("max by (instance) (neural_host_load1)", "1 min"),
                q("max by (instance) (neural_host_load5)", "5 min"),
                q("max by (instance) (neural_host_load15)", "15 min"),
                q("max by (instance) (neural_host_cpus)", "processors").dashed(),
            ]),
            lines("Network", "Bps", "Bytes received and transmitted in a second, by interface.", &[
                q("sum by (instance, interface) (rate(neural_host_network_received_bytes_total{interface!~\"lo|ifb.*|veth.*|docker.*|br-.*\"}[$__rate_interval]))", "{{interface}} in"),
                q("sum by (instance, interface) (rate(neural_host_network_transmitted_bytes_total{interface!~\"lo|ifb.*|veth.*|docker.*|br-.*\"}[$__rate_interval]))", "{{interface}} out"),
            ]),
            lines("Disk read and written", "Bps", "Bytes read from and written to each disk in a second.", &[
                q("sum by (instance, device) (rate(neural_host_disk_read_bytes_total[$__rate_interval]))", "{{device}} read"),
                q("sum by (instance, device) (rate(neural_host_disk_written_bytes_total[$__rate_interval]))", "{{device}} written"),
            ])
            .empty("no disk is seen"),
            view(Panel::Bars, "File systems", "percentunit", "Share of each file system that is in use.", &[q(
                "max by (instance, mount) (1 - neural_host_filesystem_available_bytes / neural_host_filesystem_size_bytes)",
                "{{mount}}",
            )])
            .limits(&[&FILESYSTEM, &FILESYSTEM_CRITICAL])
            .whole()
            .beside(2),
            lines("Pressure", "percentunit", "Share of time in which some task waited for processor, disk or memory. It says that something is short before it is used up.", &[q(
                "max by (instance, resource) (rate(neural_host_pressure_seconds_total{stall=\"some\"}[$__rate_interval]))",
                "{{resource}}",
            )])
            .limits(&[&HOST_PRESSURE])
            .beside(2)
            .empty("the kernel does not tell"),
        ]),
        closed("Watched programs", &[
            stat("Programs alive", "none", "Processes of the watched groups that are alive.", &[q("sum(neural_process_instances)", "")])
                .empty("none watched"),
            lines("CPU of programs", "percentunit", "Processor time of each group: 100 % is one processor.", &[q(
                "sum by (instance, group) (rate(neural_process_cpu_seconds_total[$__rate_interval]))",
                "{{group}}",
            )])
            .empty("none watched"),
            lines("Memory of programs", "bytes", "Memory that each group holds. A line that only climbs is a leak.", &[q(
                "sum by (instance, group) (neural_process_resident_memory_bytes)",
                "{{group}}",
            )])
            .empty("none watched"),
            lines("Disk of programs", "Bps", "Bytes that each group read from and wrote to disks in a second.", &[
                q("sum by (instance, group) (rate(neural_process_read_bytes_total[$__rate_interval]))", "{{group}} read"),
                q("sum by (instance, group) (rate(neural_process_written_bytes_total[$__rate_interval]))", "{{group}} written"),
            ])
            .empty("none watched"),
            lines("Threads", "none", "Threads of each group.", &[q("sum by (instance, group) (neural_process_threads)", "{{group}}")])
                .empty("none watched"),
            lines("Open files", "none", "Open files of each group, sockets included; the dashed line is the lowest limit of one process.", &[
                q("sum by (instance, group) (neural_process_open_files)", "{{group}}"),
                q("min by (instance, group) (neural_process_open_files_limit)", "limit {{group}}").dashed(),
            ])
            .empty("none watched"),
            lines("Open files, of the limit", "percentunit", "The highest share of its limit of open files that any one process uses.", &[q(
                "max by (instance, group) (neural_process_open_files_ratio)",
                "{{group}}",
            )])
            .limits(&[&PROCESS_FILES])
            .whole()
            .empty("none watched"),
        ]),
        closed("Processors and memory in detail", &[
            view(Panel::Stack, "CPU by mode", "percentunit", "What the time of all processors was spent on.", &[q(
                "sum by (mode) (rate(neural_host_cpu_seconds_total{mode!=\"idle\"}[$__rate_interval])) / on () group_left () sum(rate(neural_host_cpu_seconds_total[$__rate_interval]))",
                "{{mode}}",
            )]),
            lines("Busiest processors", "percentunit", "Time in use of the eight busiest processors, if the setting asks for it.", &[q(
                "topk(8, 1 - sum by (instance, cpu) (rate(neural_host_cpu_core_seconds_total{mode=~\"idle|iowait\"}[$__rate_interval])))",
                "CPU {{cpu}}",
            )])
            .empty("not asked for"),
            lines("Context switches and forks", "ops", "Context switches of all processors, and processes and threads created, in a second.", &[
                q("sum by (instance) (rate(neural_host_context_switches_total[$__rate_interval]))", "switches"),
                q("sum by (instance) (rate(neural_host_forks_total[$__rate_interval]))", "forks"),
            ]),
            lines("Tasks", "none", "Tasks that are running, or blocked by a disk.", &[q(
                "max by (instance, state) (neural_host_tasks)",
                "{{state}}",
            )]),
            lines("Memory in detail", "bytes", "Memory that is available, free, and dirty: the last grows when a recording outruns its disk.", &[
                q("max by (instance) (neural_host_memory_available_bytes)", "available"),
                q("max by (instance) (neural_host_memory_free_bytes)", "free"),
                q("max by (instance) (neural_host_memory_dirty_bytes)", "dirty"),
            ]),
            lines("Swap", "bytes", "Swap space in use; dashed, all there is. A pipeline that is swapped is late.", &[
                q("max by (instance) (neural_host_swap_used_bytes)", "used"),
                q("max by (instance) (neural_host_swap_free_bytes)", "free"),
                q("max by (instance) (neural_host_swap_size_bytes)", "size").dashed(),
            ]),
        ]),
        closed("Disks in detail", &[
            lines("Disk busy", "percentunit", "Share of time in which a disk had a request under way.", &[q(
                "max by (instance, device) (rate(neural_host_disk_busy_seconds_total[$__rate_interval]))",
                "{{device}}",
            )])
            .limits(&[&HOST_DISK_BUSY])
            .whole()
            .empty("no disk is seen"),
            lines("Disk latency", "s", "Mean time of a read and of a write.", &[
                q("sum by (instance, device) (rate(neural_host_disk_read_time_seconds_total[$__rate_interval])) / sum by (instance, device) (rate(neural_host_disk_reads_total[$__rate_interval]))", "{{device}} read"),
                q("sum by (instance, device) (rate(neural_host_disk_write_time_seconds_total[$__rate_interval])) / sum by (instance, device) (rate(neural_host_disk_writes_total[$__rate_interval]))", "{{device}} write"),
            ])
            .empty("no disk is seen"),
            lines("Requests under way", "none", "Requests that a disk has under way.", &[q(
                "max by (instance, device) (neural_host_disk_requests_in_flight)",
                "{{device}}",
            )])
            .empty("no disk is seen"),
            view(Panel::Table, "File systems in detail", "bytes", "Every file system with its size, what is left, and whether it can still be written.", &[
                column("max by (instance, mount, fstype) (neural_host_filesystem_size_bytes)", "Size", "bytes"),
                column("max by (instance, mount, fstype) (neural_host_filesystem_available_bytes)", "Available", "bytes"),
                column("max by (instance, mount, fstype) (neural_host_filesystem_readonly)", "Read-only", "none").states(TROUBLE),
            ])
            .beside(2),
            view(Panel::States, "File systems that do not answer", "none", "Whether the kernel does not answer for the file systems, as when a file server is gone.", &[q(
                "max by (instance) (neural_host_filesystem_stalled)",
                "{{instance}}",
            )])
            .states(TROUBLE)
            .beside(2),
        ]),
        closed("Network and sensors in detail", &[
            lines("Packets", "pps", "Packets that passed all interfaces in a second.", &[q(
                "sum by (instance, direction) (rate(neural_host_network_packets_total[$__rate_interval]))",
                "{{direction}}",
            )]),
            lines("Network errors and drops", "pps", "Packets with errors, and dropped, in a second.", &[
                q("sum by (instance, direction) (rate(neural_host_network_errors_total[$__rate_interval]))", "{{direction}} errors"),
                q("sum by (instance, direction) (rate(neural_host_network_drops_total[$__rate_interval]))", "{{direction}} drops"),
            ]),
            lines("TCP retransmits, UDP overflows", "cps", "TCP segments that were sent again, and datagrams lost because some program's receive buffer was full.", &[
                q("sum by (instance) (rate(neural_host_tcp_retransmits_total[$__rate_interval]))", "TCP again"),
                q("sum by (instance) (rate(neural_host_udp_overflows_total[$__rate_interval]))", "UDP lost"),
            ]),
            lines("Connections", "none", "Sockets in use, and TCP connections by state.", &[
                q("max by (instance) (neural_host_sockets)", "sockets"),
                q("max by (instance, state) (neural_host_tcp_connections)", "TCP {{state}}"),
            ]),
            lines("Temperatures", "celsius", "What the machine's sensors read; dashed is where the hardware protects itself.", &[
                q("max by (instance, sensor) (neural_host_temperature_celsius)", "{{sensor}}"),
                q("max by (instance, sensor) (neural_host_temperature_critical_celsius)", "limit {{sensor}}").dashed(),
            ])
            .empty("no sensor"),
            lines("File handles", "none", "File handles in use on the machine; dashed, how many there may be.", &[q("max by (instance) (neural_host_file_handles)", "in use"), q("max by (instance) (neural_host_file_handles_limit)", "limit").dashed()]),
        ]),
        closed("Programs in detail", &[
            lines("Faults and switches", "cps", "Page faults that needed a disk, and context switches of the main threads.", &[
                q("sum by (instance, group) (rate(neural_process_major_faults_total[$__rate_interval]))", "{{group}} faults"),
                q("sum by (instance, group, reason) (rate(neural_process_context_switches_total[$__rate_interval]))", "{{group}} {{reason}}"),
            ])
            .empty("none watched"),
            view(Panel::Table, "Programs", "none", "Every watched group: how many are alive, and how long the oldest has been.", &[
                column("max by (instance, group) (neural_process_instances)", "Alive", "none"),
                column("time() - min by (instance, group) (neural_process_oldest_start_time_seconds)", "Oldest", "s"),
                column("sum by (instance, group) (neural_process_virtual_memory_bytes)", "Address space", "bytes"),
            ])
            .beside(2)
            .empty("none watched"),
            view(Panel::Table, "Machines", "none", "What runs on each machine, and since when.", &[column("(time() - max by (instance) (neural_host_boot_time_seconds)) * on (instance) group_left (system, kernel, architecture) max by (instance, system, kernel, architecture) (neural_host_info)", "Runs for", "s")])
            .beside(2),
        ]),
    ],
};
