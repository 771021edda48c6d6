//! The machine as a source: its processors, memory, file systems, disks, network and temperatures.
//!
//! What `sysinfo` knows comes from it; what only Linux tells comes from `source::poller::linux`.
//! File systems are asked on a thread of their own, because one on a dead server answers never.
//! Single programs are the affair of [`process`](super::process).

mod mounts;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sysinfo::{Components, MemoryRefreshKind, Networks, System};
use tokio_util::sync::CancellationToken;

use super::linux;
use crate::clock::now;
use crate::event::{Body, Host, HostInfo, Interface, Load, Memory, Sensor, Swap, Traffic};
use crate::quote::quote;
use crate::setting::Span;
use crate::source::aside::{self, Attempt, SHORTEST, USUAL, Worker};
use crate::source::kind::{Context, Kind, Start};
use crate::source::pattern::Pattern;
use crate::source::{Feed, poll};

/// How the machine is read.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The source's name.
    pub name: String,
    /// How often the machine is read, 100 ms at least; `intervals.system` if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// CPU time by mode, context switches, running and blocked tasks.
    pub cpu: bool,
    /// CPU time of each processor as well as of all together.
    pub per_cpu: bool,
    /// Load averages.
    pub load: bool,
    /// Memory and swap.
    pub memory: bool,
    /// Time lost to waiting for CPU, memory and disks (Linux 4.20 and later).
    pub pressure: bool,
    /// Size and free space of file systems.
    pub disks: bool,
    /// What disks read and write (Linux).
    pub disk_io: bool,
    /// Partitions as well as whole disks in `disk_io`.
    pub partitions: bool,
    /// Traffic of network interfaces.
    pub network: bool,
    /// TCP connections, sockets, lost datagrams (Linux).
    pub sockets: bool,
    /// Temperature sensors.
    pub temperatures: bool,
    /// File handles in use (Linux).
    pub files: bool,
    /// Mount points to leave out.
    pub exclude_mounts: Pattern,
    /// Types of file systems to leave out: by default those without a disk, and those of the
    /// network, which may never answer.
    pub exclude_filesystems: Pattern,
    /// Disks to leave out of `disk_io`.
    pub exclude_disks: Pattern,
    /// Network interfaces to leave out.
    pub exclude_interfaces: Pattern,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "host".to_owned(),
            interval: None,
            cpu: true,
            per_cpu: false,
            load: true,
            memory: true,
            pressure: true,
            disks: true,
            disk_io: true,
            partitions: false,
            network: true,
            sockets: true,
            temperatures: true,
            files: true,
            exclude_mounts: Pattern::fixed("^/(dev|proc|run/credentials|sys|var/lib/docker/.+)($|/)"),
            exclude_filesystems: Pattern::fixed(concat!(
                "^(tmpfs|ramfs|devtmpfs|devpts|devfs|overlay|squashfs|erofs|iso9660|autofs|nsfs|mqueue|bpf",
                "|proc(fs)?|sysfs|cgroup2?|.*debugfs|tracefs|securityfs|selinuxfs|configfs|efivarfs|pstore",
                "|hugetlbfs|binfmt_misc|rpc_pipefs|fusectl|fuse[.](lxcfs|portal|snapfuse|gvfsd-fuse)",
                "|nfs[0-9]?|cifs|smb[0-9]?|smbfs|9p|afs|ceph|lustre|beegfs|fuse[.](sshfs|glusterfs|ceph|rclone|s3fs))$",
            )),
            exclude_disks: Pattern::fixed("^(loop|ram|zram|fd)[0-9]*$"),
            exclude_interfaces: Pattern::fixed("^(veth|docker|br-)"),
        }
    }
}

/// How long a pass waits for the machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a pass waits for file systems before it continues without them.
const MOUNT_PATIENCE: Duration = Duration::from_secs(1);
/// New temperature sensors are looked for once in so many passes.
const SENSORS_LISTED: u32 = 60;

impl Kind for Settings {
    aside::reads_the_machine!();
}

/// Reads the machine at each interval until it is cancelled.
pub async fn run(settings: Settings, feed: Feed, stop: CancellationToken) {
    let (interval, wants_mounts) = (settings.interval.unwrap_or(USUAL).0.max(SHORTEST), settings.disks);
    let mut reader = Machine::new(settings.clone());
    let settings = Arc::new(settings);
    let stalled = Arc::new(Mutex::new(Vec::new()));
    let Some(machine) = Worker::reader("host", "the machine", &feed, move || reader.read()) else { return };
    let ask = move |feed: &Feed| -> Attempt {
        let (feed, machine) = (feed.clone(), machine.clone());
        let (settings, before) = (settings.clone(), stalled.clone());
        Box::pin(async move {
            let mut host = machine.run(PATIENCE).await?;
            let at = now();
            if wants_mounts {
                let (filesystems, stalled) = mounts::read(&settings, MOUNT_PATIENCE).await;
                host.filesystems_stalled = Some(!stalled.is_empty());
                host.filesystems = filesystems;
                let mut before = before.lock();
                if *before != stalled && !stalled.is_empty() {
                    let places = stalled.join(", ");
                    tracing::warn!(
                        source = feed.name(),
                        "the kernel does not answer for what is mounted at {}",
                        quote(places)
                    );
                }
                *before = stalled;
            }
            feed.batch(at, |out| out(Body::Host(&host)));
            Ok(())
        })
    };
    poll(feed, interval, PATIENCE + 2 * MOUNT_PATIENCE, stop, ask).await;
}

/// What is kept between readings.
struct Machine {
    settings: Settings,
    info: HostInfo,
    system: Option<System>,
    sensors: Option<Components>,
    networks: Option<Networks>,
    passes: u32,
    buffer: Vec<u8>,
}

impl Machine {
    fn new(settings: Settings) -> Self {
        let info = HostInfo {
            system: System::long_os_version().unwrap_or_default(),
            kernel: System::kernel_version().unwrap_or_default(),
            architecture: System::cpu_arch(),
        };
        let sensors = if settings.temperatures { Components::new().ok() } else { None };
        Self {
            settings,
            info,
            system: System::new().ok(),
            sensors,
            networks: None,
            passes: 0,
            buffer: Vec::with_capacity(8 * 1024),
        }
    }

    fn read(&mut self) -> Host {
        let mut host = Host {
            info: self.info.clone(),
            // It moves with the wall clock.
            boot_time: System::boot_time().ok().map(|seconds| seconds as f64),
            uptime: System::uptime().ok().map(|seconds| seconds as f64),
            ..Host::default()
        };
        let buffer = &mut self.buffer;
        if self.settings.cpu
            && let Some(text) = linux::slurp("/proc/stat", buffer)
        {
            let stat = linux::stat(text, self.settings.per_cpu);
            host.cpu = stat.cpu;
            host.cores = stat.cores;
            host.processors = Some(stat.processors);
            host.scheduler = Some(stat.scheduler);
        }
        if self.settings.load {
            host.load = System::load_average().ok().map(|load| Load {
                one: load.one,
                five: load.five,
                fifteen: load.fifteen,
            });
        }
        if self.settings.pressure {
            for (resource, path) in [
                ("cpu", "/proc/pressure/cpu"),
                ("io", "/proc/pressure/io"),
                ("memory", "/proc/pressure/memory"),
            ] {
                let text = linux::slurp(path, buffer);
                host.pressure.extend(text.and_then(|text| linux::pressure(resource, text)));
            }
        }
        if self.settings.disk_io
            && let Some(text) = linux::slurp("/proc/diskstats", buffer)
        {
            host.disks = linux::diskstats(text, self.settings.partitions);
            host.disks.retain(|disk| !self.settings.exclude_disks.finds(&disk.device));
        }
        if self.settings.sockets {
            if let Some(text) = linux::slurp("/proc/net/sockstat", buffer) {
                linux::sockstat(text, &mut host.sockets);
            }
            if let Some(text) = linux::slurp("/proc/net/snmp", buffer) {
                linux::snmp(text, &mut host.sockets);
            }
        }
        if self.settings.files {
            host.files = linux::slurp("/proc/sys/fs/file-nr", buffer).and_then(linux::file_nr);
        }
        if self.settings.memory {
            self.memory(&mut host);
        }
        if self.settings.network {
            host.interfaces = self.interfaces();
        }
        if self.settings.temperatures {
            host.sensors = self.sensors();
        }
        self.passes = self.passes.wrapping_add(1);
        host
    }

    fn memory(&mut self, host: &mut Host) {
        let Some(system) = &mut self.system else { return };
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram().with_swap());
        let text = linux::slurp("/proc/meminfo", &mut self.buffer);
        let (cached, dirty) = text.map(linux::meminfo).unwrap_or_default();
        host.memory = Some(Memory {
            size: system.total_memory() as f64,
            available: system.available_memory() as f64,
            used: system.used_memory() as f64,
            free: system.free_memory() as f64,
            cached,
            dirty,
        });
        host.swap = Some(Swap {
            size: system.total_swap() as f64,
            used: system.used_swap() as f64,
            free: system.free_swap() as f64,
        });
    }

    /// One read where Linux tells everything in one file, drops included; on other systems, and
    /// there for the price of some ten files an interface, what `sysinfo` gathers.
    fn interfaces(&mut self) -> Vec<Interface> {
        let mut found = match linux::slurp("/proc/net/dev", &mut self.buffer) {
            Some(text) => linux::net_dev(text),
            None => gathered(&mut self.networks),
        };
        found.retain(|interface| !self.settings.exclude_interfaces.finds(&interface.name));
        found
    }

    fn sensors(&mut self) -> Vec<Sensor> {
        let Some(sensors) = &mut self.sensors else { return Vec::new() };
        if self.passes.is_multiple_of(SENSORS_LISTED) {
            sensors.refresh(true);
        } else {
            sensors.iter_mut().for_each(sysinfo::Component::refresh);
        }
        let finite = |celsius: Option<f32>| celsius.filter(|c| c.is_finite()).map(f64::from);
        sensors
            .iter()
            .filter_map(|sensor| {
                Some(Sensor {
                    name: sensor.label().to_owned(),
                    celsius: finite(sensor.temperature())?,
                    critical: finite(sensor.critical()),
                })
            })
            .collect()
    }
}

/// Interfaces as `sysinfo` sees them.
fn gathered(networks: &mut Option<Networks>) -> Vec<Interface> {
    if networks.is_none() {
        *networks = Networks::new().ok();
    }
    let Some(networks) = networks else { return Vec::new() };
    networks.refresh(true);
    networks
        .iter()
        .map(|(name, data)| {
            let side = |bytes: u64, packets: u64, errors: u64| Traffic {
                bytes: bytes as f64,
                packets: packets as f64,
                errors: errors as f64,
                drops: None,
            };
            Interface {
                name: name.to_string_lossy().into_owned(),
                received: side(
                    data.total_received(),
                    data.total_packets_received(),
                    data.total_errors_on_received(),
                ),
                transmitted: side(
                    data.total_transmitted(),
                    data.total_packets_transmitted(),
                    data.total_errors_on_transmitted(),
                ),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::aside;

    #[test]
    fn the_settings_that_are_built_in_hold_and_return() {
        let settings = Settings::default();
        assert!(settings.exclude_mounts.finds("/proc/sys") && settings.exclude_mounts.finds("/dev"));
        assert!(!settings.exclude_mounts.finds("/") && !settings.exclude_mounts.finds("/devices"));
        for without in ["tmpfs", "nfs4", "nfs", "proc", "overlay", "fuse.sshfs", "cgroup2", "smb3"] {
            assert!(settings.exclude_filesystems.finds(without), "{without}");
        }
        for with in ["ext4", "xfs", "btrfs", "zfs", "vfat", "fuseblk", "apfs", "ntfs3"] {
            assert!(!settings.exclude_filesystems.finds(with), "{with}");
        }
        assert!(settings.exclude_disks.finds("loop7") && !settings.exclude_disks.finds("sda"));
        assert!(settings.exclude_interfaces.finds("veth0a") && !settings.exclude_interfaces.finds("eth0"));
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), settings);
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), settings);
        assert!(serde_json::from_str::<Settings>("{\"cpus\": true}").is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_is_plausible() {
        let mut machine = Machine::new(Settings { per_cpu: true, ..Settings::default() });
        let first = machine.read();
        let memory = first.memory.unwrap();
        assert!(memory.size > 0.0 && memory.available <= memory.size && memory.free <= memory.size);
        assert!(memory.cached.unwrap() > 0.0);
        assert!(first.uptime.unwrap() > 0.0 && first.boot_time.unwrap() > 1.5e9);
        assert_eq!(first.processors.unwrap() as usize, first.cores.len());
        assert!(first.files.unwrap().allocated > 0.0);
        assert!(!first.info.kernel.is_empty() && !first.info.system.is_empty());
        let sum = |host: &Host| host.cpu.unwrap().modes().iter().map(|(_, seconds)| seconds).sum::<f64>();
        std::thread::sleep(Duration::from_millis(60));
        let second = machine.read();
        assert!(sum(&second) > sum(&first));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn both_ways_to_the_interfaces_agree() {
        let mut machine = Machine::new(Settings::default());
        machine.settings.exclude_interfaces = Pattern::default();
        let mut names: Vec<String> = machine.interfaces().into_iter().map(|i| i.name).collect();
        let mut other: Vec<String> = gathered(&mut None).into_iter().map(|i| i.name).collect();
        names.sort();
        other.sort();
        assert_eq!(names, other);
    }

    #[tokio::test]
    async fn it_runs_as_a_task_until_told_to_stop() {
        let (hub, feed) = aside::tests::feed("host");
        let stop = CancellationToken::new();
        let settings = Settings { interval: Some(Span::millis(5)), ..Settings::default() };
        let task = tokio::spawn(run(settings, feed, stop.clone()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!task.is_finished());
        stop.cancel();
        task.await.unwrap();
        let mut text = Vec::new();
        hub.write(crate::metrics::Format::Classic, now(), &mut text);
        let text = String::from_utf8(text).unwrap();
        let value = |series: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(series));
            line.unwrap_or_else(|| panic!("no {series} in\n{text}")).trim().parse().unwrap()
        };
        assert!(value("neural_host_memory_size_bytes ") > 0.0);
        if cfg!(target_os = "linux") {
            assert!(value("neural_host_cpu_seconds_total{mode=\"idle\"} ") > 0.0);
            assert_eq!(value("neural_host_filesystem_stalled "), 0.0);
        }
    }

    /// Not a benchmark: prints what a pass costs, and fails only if it is out of all proportion.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_pass_is_cheap() {
        let mut machine = Machine::new(Settings::default());
        let (settings, runtime) = (Settings::default(), tokio::runtime::Runtime::new().unwrap());
        for (name, read) in [
            ("machine", &mut (|| drop(machine.read())) as &mut dyn FnMut()),
            ("mounts", &mut || drop(runtime.block_on(mounts::read(&settings, PATIENCE)))),
        ] {
            read();
            #[expect(clippy::disallowed_methods, reason = "the test measures")]
            let clock = std::time::Instant::now();
            (0..50).for_each(|_| read());
            let each = clock.elapsed() / 50;
            println!("{name}: {} µs a pass", each.as_micros());
            assert!(each < Duration::from_millis(50));
        }
    }
}
