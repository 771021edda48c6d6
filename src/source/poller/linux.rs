//! Linux alone: what `/proc` and `/sys` tell beyond the reach of `sysinfo`.
//!
//! Reading and understanding are apart, so that captured text can be understood anywhere. Where a
//! file is missing or unreadable the answer is `None`, which is what other systems get throughout.
//! Nothing is remembered here.

use std::io::Read;
use std::path::Path;

use crate::event::{CpuSeconds, Disk, Interface, OpenFiles, Pressure, Scheduler, Sockets, Traffic};

/// The kernel reports times in hundredths of a second, whatever its own tick
/// (`USER_HZ`, asm-generic/param.h).
const TICKS: f64 = 100.0;
/// `/proc/diskstats` counts in sectors of this size, whatever the device's own.
const SECTOR: f64 = 512.0;

/// Reads a small file whole into `buffer`. `None` if it cannot be read or is not UTF-8.
pub(super) fn slurp(path: impl AsRef<Path>, buffer: &mut Vec<u8>) -> Option<&str> {
    buffer.clear();
    std::fs::File::open(path).ok()?.read_to_end(buffer).ok()?;
    std::str::from_utf8(buffer).ok()
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|n: &f64| n.is_finite())
}

/// What `/proc/stat` tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stat {
    pub cpu: Option<CpuSeconds>,
    pub cores: Vec<(u32, CpuSeconds)>,
    pub processors: f64,
    pub scheduler: Scheduler,
}

/// Understands `/proc/stat`. The list of cores is filled if `each`.
pub(super) fn stat(text: &str, each: bool) -> Stat {
    let mut out = Stat::default();
    for line in text.lines() {
        let Some((key, rest)) = line.split_once(' ') else { continue };
        match key {
            "cpu" => out.cpu = cpu_seconds(rest),
            "ctxt" => out.scheduler.context_switches = number(rest).unwrap_or_default(),
            "processes" => out.scheduler.forks = number(rest).unwrap_or_default(),
            "procs_running" => out.scheduler.running = number(rest).unwrap_or_default(),
            "procs_blocked" => out.scheduler.blocked = number(rest).unwrap_or_default(),
            _ => {
                let Some(core) = key.strip_prefix("cpu").and_then(|n| n.parse().ok()) else { continue };
                out.processors += 1.0;
                if each {
                    out.cores.extend(cpu_seconds(rest).map(|seconds| (core, seconds)));
                }
            }
        }
    }
    out
}

fn cpu_seconds(fields: &str) -> Option<CpuSeconds> {
    let mut next = fields.split_ascii_whitespace().map(|ticks| number(ticks).map(|n| n / TICKS));
    // Guest time, columns nine and ten, is in `user` and `nice` already. Kernels before 2.6.11
    // have no `steal`.
    Some(CpuSeconds {
        user: next.next()??,
        nice: next.next()??,
        system: next.next()??,
        idle: next.next()??,
        iowait: next.next()??,
        irq: next.next()??,
        softirq: next.next()??,
        steal: next.next().flatten().unwrap_or_default(),
    })
}

/// Page cache and unwritten pages from `/proc/meminfo`, bytes.
pub(super) fn meminfo(text: &str) -> (Option<f64>, Option<f64>) {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(number(line.trim().strip_suffix("kB")?)? * 1024.0)
    };
    (field("Cached"), field("Dirty"))
}

/// Understands `/proc/diskstats`: whole disks, and partitions if wanted.
pub(super) fn diskstats(text: &str, partitions: bool) -> Vec<Disk> {
    let mut disks: Vec<Disk> = Vec::new();
    let mut whole: Vec<&str> = Vec::new();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some(device) = fields.nth(2) else { continue };
        if whole.iter().any(|disk| is_partition(disk, device)) {
            if !partitions {
                continue;
            }
        } else {
            whole.push(device);
        }
        let mut n = [0.0; 10];
        let read = n.iter_mut().zip(fields).map(|(slot, text)| *slot = number(text).unwrap_or_default());
        if read.count() < n.len() {
            continue;
        }
        // reads, merged, sectors, ms; writes, merged, sectors, ms; in flight, busy ms
        disks.push(Disk {
            device: device.to_owned(),
            reads: n[0],
            read_bytes: n[2] * SECTOR,
            read_seconds: n[3] / 1e3,
            writes: n[4],
            written_bytes: n[6] * SECTOR,
            write_seconds: n[7] / 1e3,
            in_flight: n[8],
            busy_seconds: n[9] / 1e3,
        });
    }
    disks
}

/// The kernel lists a disk before its partitions, and puts a `p` between a disk's name and the
/// number of a partition where the name ends in a digit.
fn is_partition(disk: &str, name: &str) -> bool {
    let Some(rest) = name.strip_prefix(disk) else { return false };
    let rest = if disk.ends_with(|c: char| c.is_ascii_digit()) { rest.strip_prefix('p') } else { Some(rest) };
    rest.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Understands `/proc/net/dev`.
pub(super) fn net_dev(text: &str) -> Vec<Interface> {
    text.lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            let mut n = [0.0; 12];
            let fields = rest.split_ascii_whitespace();
            let read = n.iter_mut().zip(fields).map(|(slot, text)| *slot = number(text).unwrap_or_default());
            (read.count() == n.len()).then(|| {
                let side = |at: usize| Traffic {
                    bytes: n[at],
                    packets: n[at + 1],
                    errors: n[at + 2],
                    drops: Some(n[at + 3]),
                };
                Interface { name: name.trim().to_owned(), received: side(0), transmitted: side(8) }
            })
        })
        .collect()
}

/// Understands `/proc/net/sockstat`: sockets used, TCP connections waiting.
pub(super) fn sockstat(text: &str, into: &mut Sockets) {
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("sockets:") => into.used = words.nth(1).and_then(number),
            Some("TCP:") => into.tcp_waiting = words.skip_while(|w| *w != "tw").nth(1).and_then(number),
            _ => {}
        }
    }
}

/// Understands `/proc/net/snmp`, where a line of names precedes the line of their values.
pub(super) fn snmp(text: &str, into: &mut Sockets) {
    let field = |protocol: &str, name: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(':'));
        let at = lines.next()?.split_ascii_whitespace().position(|word| word == name)?;
        number(lines.next()?.split_ascii_whitespace().nth(at)?)
    };
    into.tcp_established = field("Tcp", "CurrEstab");
    into.tcp_retransmits = field("Tcp", "RetransSegs");
    into.udp_overflows = field("Udp", "RcvbufErrors");
}

/// Understands `/proc/sys/fs/file-nr`: allocated, free (always 0), limit.
pub(super) fn file_nr(text: &str) -> Option<OpenFiles> {
    let mut words = text.split_ascii_whitespace();
    Some(OpenFiles { allocated: number(words.next()?)?, limit: number(words.nth(1)?)? })
}

/// Understands one file of `/proc/pressure`; its totals are microseconds.
pub(super) fn pressure(resource: &'static str, text: &str) -> Option<Pressure> {
    let total = |share: &str| {
        let line = text.lines().find(|line| line.starts_with(share))?;
        Some(number(line.rsplit_once("total=")?.1)? / 1e6)
    };
    Some(Pressure { resource, some: total("some")?, full: total("full") })
}

/// Whether each mount of `/proc/mounts` is read-only, by mount point. The last line of a mount
/// point wins, because it lies on top.
pub(super) fn readonly(text: &str, mount: &str) -> Option<bool> {
    text.lines().rev().find_map(|line| {
        let mut words = line.split(' ');
        let (place, options) = (words.nth(1)?, words.nth(1)?);
        (unescape(place) == mount).then(|| options.split(',').any(|option| option == "ro"))
    })
}

/// A file system that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub device: String,
    pub place: String,
    pub fstype: String,
}

/// Understands `/proc/self/mounts`.
pub(super) fn mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(' ').map(|word| unescape(word).into_owned());
            Some(Mount { device: words.next()?, place: words.next()?, fstype: words.next()? })
        })
        .collect()
}

/// The kernel writes white space and backslashes in paths as three octal digits.
fn unescape(path: &str) -> std::borrow::Cow<'_, str> {
    if !path.contains('\\') {
        return path.into();
    }
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\").into()
}

/// What `/proc/PID/stat` tells beyond CPU and memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TaskStat {
    pub major_faults: f64,
    pub threads: f64,
}

/// Understands `/proc/PID/stat`. The name in brackets may hold anything, brackets too.
pub(super) fn task_stat(text: &str) -> Option<TaskStat> {
    let mut words = text.rsplit_once(')')?.1.split_ascii_whitespace();
    // proc(5) numbers the fields from 1, and the first word here is field 3.
    Some(TaskStat { major_faults: number(words.nth(12 - 3)?)?, threads: number(words.nth(20 - 13)?)? })
}

/// Voluntary and forced context switches from `/proc/PID/status`: those of the main thread.
pub(super) fn task_switches(text: &str) -> Option<(f64, f64)> {
    let field = |name: &str| number(text.lines().rev().find_map(|line| line.strip_prefix(name))?);
    Some((field("voluntary_ctxt_switches:")?, field("nonvoluntary_ctxt_switches:")?))
}

/// Whether `/proc/PID/cgroup` puts the process into a systemd unit, or below it.
pub(super) fn in_unit(text: &str, unit: &str) -> bool {
    text.lines()
        .filter(|line| line.starts_with("0::") || line.contains(":name=systemd:"))
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .any(|path| path.split('/').any(|part| part == unit))
}

/// The number of a user in `/etc/passwd`.
pub(super) fn user_id(passwd: &str, name: &str) -> Option<u32> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "\
cpu  10132153 290696 3084719 46828483 16683 0 25195 12 175628 0
cpu0 1393280 32966 572056 13343292 6130 0 17875 2 23933 0
cpu1 8738873 257730 2512663 33485191 10553 0 7320 10 151695 0
intr 1462898 0 0 12
ctxt 115315
btime 1769041411
processes 26442
procs_running 3
procs_blocked 1
softirq 5057579 250191 1481983
";

    #[test]
    fn stat_gives_seconds_by_mode() {
        let got = stat(STAT, true);
        let cpu = got.cpu.unwrap();
        assert_eq!((cpu.user, cpu.nice, cpu.idle, cpu.steal), (101_321.53, 2906.96, 468_284.83, 0.12));
        assert_eq!(got.processors, 2.0);
        assert_eq!(got.cores.len(), 2);
        assert_eq!((got.cores[1].0, got.cores[1].1.iowait), (1, 105.53));
        let scheduler =
            Scheduler { context_switches: 115_315.0, forks: 26_442.0, running: 3.0, blocked: 1.0 };
        assert_eq!(got.scheduler, scheduler);
        assert!(stat(STAT, false).cores.is_empty());
    }

    #[test]
    fn stat_of_an_old_or_broken_kernel() {
        assert_eq!(stat("cpu  1 2 3 4 5 6 7\n", true).cpu.unwrap().steal, 0.0);
        assert_eq!(stat("cpu  1 2 3\n", true).cpu, None);
        assert_eq!(stat("", true), Stat::default());
    }

    #[test]
    fn memory_that_holds_files() {
        let text = "MemTotal:       16316412 kB\nBuffers:          345 kB\nCached:          5123456 kB\n\
                    SwapCached:            7 kB\nDirty:               812 kB\n";
        assert_eq!(meminfo(text), (Some(5_123_456.0 * 1024.0), Some(812.0 * 1024.0)));
        assert_eq!(meminfo("Cached: lots kB\n"), (None, None));
    }

    const DISKSTATS: &str = "\
   7       0 loop0 54 0 2212 45 0 0 0 0 0 68 45 0 0 0 0 0 0
 259       0 nvme0n1 571695 101559 38943220 165643 9824246 1076193 462375378 4140037 2 1038904 4740493 254020 0 1 68519 3 4
 259       1 nvme0n1p1 240 2360 15468 48 2 0 2 0 0 21 50 8 0 2373552 2 0 0
   8       0 sda 10 0 80 5 20 0 160 9 0 12 14
   8       1 sda1 10 0 80 5 20 0 160 9 0 12 14
 253       0 dm-1 1 0 8 1 1 0 8 1 0 1 2 0 0 0 0
 253       1 dm-10 1 0 8 1 1 0 8 1 0 1 2 0 0 0 0
   8       2 short 1 2 3
";

    #[test]
    fn disks_without_their_partitions() {
        let names = |partitions| {
            diskstats(DISKSTATS, partitions).into_iter().map(|disk| disk.device).collect::<Vec<_>>()
        };
        assert_eq!(names(false), ["loop0", "nvme0n1", "sda", "dm-1", "dm-10"]);
        assert_eq!(names(true), ["loop0", "nvme0n1", "nvme0n1p1", "sda", "sda1", "dm-1", "dm-10"]);
        let disk = &diskstats(DISKSTATS, false)[1];
        assert_eq!(disk.read_bytes, 38_943_220.0 * 512.0);
        assert_eq!(disk.written_bytes, 462_375_378.0 * 512.0);
        assert_eq!((disk.reads, disk.writes, disk.in_flight), (571_695.0, 9_824_246.0, 2.0));
        assert_eq!((disk.read_seconds, disk.write_seconds, disk.busy_seconds), (165.643, 4140.037, 1038.904));
    }

    #[test]
    fn interfaces_with_and_without_a_space_after_the_colon() {
        let text = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3193      29    0    0    0     0          0         0     3193      29    0    0    0     0       0          0
eth0:144934118    4954    1    2    0     0          0         0   302383    2840    3    4    0     0       0          0
broken: 1 2 3
";
        let got = net_dev(text);
        assert_eq!(got.len(), 2);
        assert_eq!(got[1].name, "eth0");
        let received = Traffic { bytes: 144_934_118.0, packets: 4954.0, errors: 1.0, drops: Some(2.0) };
        let transmitted = Traffic { bytes: 302_383.0, packets: 2840.0, errors: 3.0, drops: Some(4.0) };
        assert_eq!((got[1].received, got[1].transmitted), (received, transmitted));
    }

    #[test]
    fn sockets_from_two_files() {
        let mut got = Sockets::default();
        sockstat(
            "sockets: used 413\nTCP: inuse 21 orphan 0 tw 5 alloc 30 mem 2\nUDP: inuse 4 mem 1\n",
            &mut got,
        );
        snmp(
            "Tcp: RtoAlgorithm RtoMin CurrEstab InSegs RetransSegs\nTcp: 1 200 12 9000 34\n\
             Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors\nUdp: 100 0 7 90 6\n\
             UdpLite: InDatagrams\nUdpLite: 0\n",
            &mut got,
        );
        let wanted = Sockets {
            used: Some(413.0),
            tcp_established: Some(12.0),
            tcp_waiting: Some(5.0),
            tcp_retransmits: Some(34.0),
            udp_overflows: Some(6.0),
        };
        assert_eq!(got, wanted);
        let mut none = Sockets::default();
        sockstat("", &mut none);
        snmp("Tcp: CurrEstab\n", &mut none);
        assert_eq!(none, Sockets::default());
    }

    #[test]
    fn small_files() {
        assert_eq!(file_nr("3040\t0\t9223372\n"), Some(OpenFiles { allocated: 3040.0, limit: 9_223_372.0 }));
        assert_eq!(file_nr("3040"), None);
        let text = "some avg10=0.42 avg60=0.21 avg300=1.04 total=22027356\n\
                    full avg10=0.42 avg60=0.21 avg300=1.00 total=21373599\n";
        let wanted = Pressure { resource: "io", some: 22.027_356, full: Some(21.373_599) };
        assert_eq!(pressure("io", text), Some(wanted));
        assert_eq!(pressure("cpu", "some avg10=0.00 total=5\n").unwrap().full, None);
        assert_eq!(pressure("cpu", ""), None);
    }

    #[test]
    fn the_upper_mount_says_whether_it_can_be_written() {
        let text = "/dev/sda1 / ext4 rw,relatime 0 0\n/dev/sdb1 /media/my\\040disk vfat ro,nosuid 0 0\n\
                    /dev/sdc1 /data xfs rw 0 0\n/dev/sdd1 /data xfs ro,rw_hint 0 0\n";
        assert_eq!(readonly(text, "/"), Some(false));
        assert_eq!(readonly(text, "/media/my disk"), Some(true));
        assert_eq!(readonly(text, "/data"), Some(true));
        assert_eq!(readonly(text, "/none"), None);
    }

    #[test]
    fn a_task_with_a_nasty_name() {
        let text =
            "4242 (tricky ) name) S 1 4242 4242 0 -1 4194304 1021 0 17 0 120 34 0 0 20 0 9 0 5542 123 45\n";
        assert_eq!(task_stat(text), Some(TaskStat { major_faults: 17.0, threads: 9.0 }));
        assert_eq!(task_stat("4242 (cut"), None);
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n";
        assert_eq!(task_switches(status), Some((150.0, 545.0)));
    }

    #[test]
    fn units_of_both_cgroup_generations() {
        assert!(in_unit("0::/system.slice/decoder.service\n", "decoder.service"));
        assert!(in_unit("0::/system.slice/decoder.service/worker\n", "decoder.service"));
        assert!(in_unit("9:name=systemd:/system.slice/lsl@1.service\n8:pids:/x\n", "lsl@1.service"));
        assert!(!in_unit("8:pids:/system.slice/decoder.service\n0::/\n", "decoder.service"));
        assert!(!in_unit("0::/system.slice/decoder.service2\n", "decoder.service"));
    }

    #[test]
    fn users_by_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nlab:x:1001:1001::/home/lab:/bin/sh\n";
        assert_eq!(user_id(passwd, "lab"), Some(1001));
        assert_eq!(user_id(passwd, "la"), None);
    }
}
