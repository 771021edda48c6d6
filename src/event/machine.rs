//! What the machine tells: host, watched processes, graphics processors.
//!
//! Plain data in base units, read as a whole at one moment. What a machine does not tell is `None`
//! or an empty list, never a zero. How it was read is not said here.

/// One reading of the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// What runs on it.
    pub info: HostInfo,
    /// When it was started, seconds since the epoch.
    pub boot_time: Option<f64>,
    /// Seconds since it was started.
    pub uptime: Option<f64>,
    /// Processors that are online.
    pub processors: Option<f64>,
    /// CPU time of all processors together.
    pub cpu: Option<CpuSeconds>,
    /// CPU time of each processor by its number, if wanted.
    pub cores: Vec<(u32, CpuSeconds)>,
    /// Load averages.
    pub load: Option<Load>,
    /// What the scheduler counts.
    pub scheduler: Option<Scheduler>,
    /// Main memory.
    pub memory: Option<Memory>,
    /// Swap space.
    pub swap: Option<Swap>,
    /// Time lost to waiting for a resource.
    pub pressure: Vec<Pressure>,
    /// Mounted file systems.
    pub filesystems: Vec<Filesystem>,
    /// Whether the file systems did not answer in time; `None` if they were not asked.
    pub filesystems_stalled: Option<bool>,
    /// Block devices.
    pub disks: Vec<Disk>,
    /// Network interfaces.
    pub interfaces: Vec<Interface>,
    /// Sockets of the whole machine.
    pub sockets: Sockets,
    /// Temperature sensors.
    pub sensors: Vec<Sensor>,
    /// Open files of the whole machine.
    pub files: Option<OpenFiles>,
}

/// What runs on a machine. Its name is not among the facts, because it may be a person's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostInfo {
    /// The operating system and its version.
    pub system: String,
    /// The kernel's version.
    pub kernel: String,
    /// The processor's architecture.
    pub architecture: String,
}

/// Seconds of CPU time since the start, by what they were spent on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuSeconds {
    /// Programs, guests of a hypervisor included.
    pub user: f64,
    /// Programs of lowered priority, guests included.
    pub nice: f64,
    /// The kernel.
    pub system: f64,
    /// Nothing to do.
    pub idle: f64,
    /// Nothing to do but to wait for a disk.
    pub iowait: f64,
    /// Interrupts.
    pub irq: f64,
    /// Deferred work of interrupts.
    pub softirq: f64,
    /// Taken away by the hypervisor.
    pub steal: f64,
}

impl CpuSeconds {
    /// The value of the `mode` label and its seconds; together they are the whole time.
    #[must_use]
    pub fn modes(&self) -> [(&'static str, f64); 8] {
        [
            ("user", self.user),
            ("nice", self.nice),
            ("system", self.system),
            ("idle", self.idle),
            ("iowait", self.iowait),
            ("irq", self.irq),
            ("softirq", self.softirq),
            ("steal", self.steal),
        ]
    }
}

/// Tasks that run or want to, averaged over minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Over one minute.
    pub one: f64,
    /// Over five minutes.
    pub five: f64,
    /// Over fifteen minutes.
    pub fifteen: f64,
}

/// What the scheduler counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scheduler {
    /// Context switches since the start.
    pub context_switches: f64,
    /// Processes and threads created since the start.
    pub forks: f64,
    /// Tasks that run or could.
    pub running: f64,
    /// Tasks that wait for a disk.
    pub blocked: f64,
}

/// Main memory, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// All there is.
    pub size: f64,
    /// What programs could still have.
    pub available: f64,
    /// What programs could not have.
    pub used: f64,
    /// What nobody uses, not even as a cache.
    pub free: f64,
    /// File contents kept to save reading them again.
    pub cached: Option<f64>,
    /// Changed file contents that are not on a disk yet.
    pub dirty: Option<f64>,
}

/// Swap space, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Swap {
    /// All there is.
    pub size: f64,
    /// What is used.
    pub used: f64,
    /// What is free.
    pub free: f64,
}

/// Time lost to waiting for one resource, seconds since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// `cpu`, `io` or `memory`.
    pub resource: &'static str,
    /// At least one task waited.
    pub some: f64,
    /// All tasks waited.
    pub full: Option<f64>,
}

/// A mounted file system, bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filesystem {
    /// Where it is mounted.
    pub mount: String,
    /// What is mounted.
    pub device: String,
    /// Its type.
    pub fstype: String,
    /// All there is.
    pub size: f64,
    /// What is free for users who are not root.
    pub available: f64,
    /// Whether it cannot be written.
    pub readonly: bool,
}

/// A block device, counted since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disk {
    /// Its name.
    pub device: String,
    /// Bytes read.
    pub read_bytes: f64,
    /// Bytes written.
    pub written_bytes: f64,
    /// Reads completed.
    pub reads: f64,
    /// Writes completed.
    pub writes: f64,
    /// Seconds that reads took, summed over reads.
    pub read_seconds: f64,
    /// Seconds that writes took, summed over writes.
    pub write_seconds: f64,
    /// Seconds in which at least one request was under way.
    pub busy_seconds: f64,
    /// Requests under way now.
    pub in_flight: f64,
}

/// A network interface, counted since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What came in.
    pub received: Traffic,
    /// What went out.
    pub transmitted: Traffic,
}

/// One direction of a network interface, counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: f64,
    /// Packets.
    pub packets: f64,
    /// Packets with errors.
    pub errors: f64,
    /// Packets dropped, if the machine tells.
    pub drops: Option<f64>,
}

/// Sockets of the whole machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sockets {
    /// Sockets of any kind in use now.
    pub used: Option<f64>,
    /// TCP connections established now.
    pub tcp_established: Option<f64>,
    /// TCP connections that wait for stray packets after their end.
    pub tcp_waiting: Option<f64>,
    /// TCP segments sent again since the start.
    pub tcp_retransmits: Option<f64>,
    /// Datagrams lost since the start because a receive buffer was full.
    pub udp_overflows: Option<f64>,
}

/// A temperature sensor, degrees Celsius.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sensor {
    /// Its name.
    pub name: String,
    /// The temperature.
    pub celsius: f64,
    /// The temperature at which the hardware protects itself.
    pub critical: Option<f64>,
}

/// Open files of the whole machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OpenFiles {
    /// File handles in use.
    pub allocated: f64,
    /// File handles there can be.
    pub limit: f64,
}

/// One reading of the watched processes of one name.
///
/// What grows is counted over the group's whole life: a process that ends takes nothing away.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessGroup {
    /// The group's configured name.
    pub group: String,
    /// Processes alive.
    pub alive: f64,
    /// CPU time, seconds.
    pub cpu_seconds: f64,
    /// Bytes read from disks.
    pub read_bytes: Option<f64>,
    /// Bytes written to disks.
    pub written_bytes: Option<f64>,
    /// Page faults that needed a disk.
    pub major_faults: Option<f64>,
    /// Context switches of the main threads that they asked for.
    pub voluntary_switches: Option<f64>,
    /// Context switches of the main threads that were forced.
    pub involuntary_switches: Option<f64>,
    /// What those that are alive hold now; `None` if none is.
    pub now: Option<ProcessGauges>,
}

/// What the living processes of a group hold at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessGauges {
    /// Bytes of memory in use, shared pages counted in each process.
    pub resident_bytes: f64,
    /// Bytes of address space.
    pub virtual_bytes: f64,
    /// Threads.
    pub threads: Option<f64>,
    /// Open files.
    pub open_files: Option<f64>,
    /// The lowest limit of open files of any one process.
    pub open_files_limit: Option<f64>,
    /// The highest share of its limit that any one process uses, from 0 to 1.
    pub open_files_ratio: Option<f64>,
    /// When the oldest of them started, seconds since the epoch.
    pub oldest_start: Option<f64>,
}

/// One reading of a graphics processor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gpu {
    /// Its number, from 0.
    pub index: u32,
    /// Its model.
    pub name: String,
    /// Its unique id, empty if it does not tell.
    pub uuid: String,
    /// Its driver and the driver's version.
    pub driver: String,
    /// Whether it is powered. One that sleeps is not asked anything else.
    pub awake: bool,
    /// Share of time in which something ran.
    pub busy: Option<f64>,
    /// Share of time in which memory was read or written.
    pub memory_busy: Option<f64>,
    /// Share of time in which the video encoder ran.
    pub encoder_busy: Option<f64>,
    /// Share of time in which the video decoder ran.
    pub decoder_busy: Option<f64>,
    /// Bytes of memory.
    pub memory_size: Option<f64>,
    /// Bytes of memory in use.
    pub memory_used: Option<f64>,
    /// Temperatures by sensor, degrees Celsius.
    pub temperatures: Vec<(String, f64)>,
    /// Watts drawn.
    pub power: Option<f64>,
    /// Watts it may draw.
    pub power_limit: Option<f64>,
    /// Joules since its driver was loaded.
    pub energy: Option<f64>,
    /// Clocks by name (`sm`, `memory`), hertz.
    pub clocks: Vec<(&'static str, f64)>,
    /// Fan speeds in the order of the fans, share of the highest.
    pub fans: Vec<f64>,
    /// Every known reason to run slower, and whether it holds now.
    pub throttles: Vec<(&'static str, bool)>,
    /// Memory errors since its driver was loaded: corrected and not.
    pub memory_errors: Vec<(&'static str, f64)>,
    /// Errors that the driver reported since the agent watches, by their XID.
    pub xids: Vec<(u64, f64)>,
    /// Bytes per second received and sent over PCIe, if wanted.
    pub pcie: Option<(f64, f64)>,
    /// Bytes of its memory by name of process, the largest first.
    pub processes: Vec<(String, f64)>,
}
