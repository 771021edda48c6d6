//! Watched programs as a source: what the processes of each configured group take together.
//!
//! Who belongs is looked up in `/proc` now and then; in between only those who do are read. What
//! grows is kept as a sum per group, so that a process which ends takes nothing away. Processes
//! that no group asks for are never read.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tokio_util::sync::CancellationToken;

use super::aside::{Aside, Attempt, SHORTEST};
use super::pattern::Pattern;
use super::{Feed, linux, now, poll};
use crate::event::{Body, Link, ProcessGauges, ProcessGroup};
use crate::setting::Span;

/// Which programs are watched, and how often.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The source's name.
    pub name: String,
    /// How often the processes of the groups are read, 100 ms at least.
    pub interval: Span,
    /// How often processes that are new are looked for.
    pub scan: Span,
    /// The programs to watch. Without any the source does nothing.
    pub groups: Vec<Group>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "process".to_owned(),
            interval: Span::seconds(5),
            scan: Span::seconds(15),
            groups: Vec::new(),
        }
    }
}

/// A program to watch. A process belongs if everything that is said here is true of it; a group
/// that says nothing but its name holds no process.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The value of the `group` label.
    pub name: String,
    /// The program's file name, without its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// A regular expression that is found in the command line, its words joined by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Pattern>,
    /// A systemd unit; `.service` may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The user it runs as, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// How long a pass waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A process is looked at in two scans, because it may become another program after it was
/// created, and then again only when so many scans have passed.
const LOOKS: u8 = 2;
/// After so many scans every process is looked at again.
const FORGET: u32 = 20;
/// The kernel cuts a process's own name to this length.
const COMM: usize = 15;

/// Reads the groups at each interval until told to stop.
pub async fn run(settings: Settings, feed: Feed, stop: CancellationToken) {
    if settings.groups.is_empty() {
        stop.cancelled().await;
        return;
    }
    let interval = settings.interval.0.max(SHORTEST);
    let mut watch = Watch::new(&settings);
    let groups = match Aside::start("process", move || watch.read()) {
        Ok(groups) => groups,
        Err(why) => {
            tracing::error!(%why, "cannot start a thread to read processes");
            feed.send(Body::Link(Link::Down));
            return;
        }
    };
    let ask = move |feed: &Feed| -> Attempt {
        let (feed, groups) = (feed.clone(), groups.clone());
        Box::pin(async move {
            let groups = groups.ask(PATIENCE).await?;
            feed.batch(now(), |out| groups.iter().for_each(|group| out(Body::Process(group))));
            Ok(())
        })
    };
    poll(feed, interval, PATIENCE * 2, stop, ask).await;
}

/// What is kept between readings.
struct Watch {
    rules: Vec<Rule>,
    accounts: Vec<Account>,
    system: Option<System>,
    /// How often each process was looked at.
    seen: HashMap<u32, u8>,
    scans: u32,
    /// Readings between two scans.
    every: u32,
    readings: u32,
    buffer: Vec<u8>,
}

impl Watch {
    fn new(settings: &Settings) -> Self {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let every = settings.scan.0.as_secs_f64() / settings.interval.0.max(SHORTEST).as_secs_f64();
        Self {
            rules: settings.groups.iter().map(|group| Rule::new(group, &passwd)).collect(),
            accounts: settings.groups.iter().map(|group| Account::new(&group.name)).collect(),
            system: System::new().ok(),
            seen: HashMap::new(),
            scans: 0,
            every: every.round().clamp(1.0, 1e6) as u32,
            readings: 0,
            buffer: Vec::with_capacity(4096),
        }
    }

    fn read(&mut self) -> Vec<ProcessGroup> {
        if self.readings.is_multiple_of(self.every) {
            self.scan(Path::new("/proc"));
        }
        self.readings = self.readings.wrapping_add(1);
        let mut pids: Vec<Pid> = self
            .accounts
            .iter()
            .flat_map(|account| account.members.keys())
            .map(|pid| Pid::from_u32(*pid))
            .collect();
        pids.sort_unstable();
        pids.dedup();
        if let Some(system) = &mut self.system {
            let what =
                ProcessRefreshKind::nothing().with_cpu().with_memory().with_disk_usage().without_tasks();
            system.refresh_processes_specifics(ProcessesToUpdate::Some(&pids), true, what);
        }
        let (system, buffer) = (&self.system, &mut self.buffer);
        let alive: HashMap<u32, Reading> = pids
            .iter()
            .filter_map(|pid| Some((pid.as_u32(), reading(system.as_ref()?.process(*pid)?, buffer))))
            .collect();
        self.accounts.iter_mut().map(|account| account.settle(&alive)).collect()
    }

    /// Looks at the processes that were not looked at often enough yet.
    fn scan(&mut self, proc: &Path) {
        if self.scans.is_multiple_of(FORGET) {
            self.seen.clear();
        }
        self.scans = self.scans.wrapping_add(1);
        let Ok(entries) = std::fs::read_dir(proc) else { return };
        let mut present: HashMap<u32, u8> = HashMap::with_capacity(self.seen.len());
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let looks = self.seen.get(&pid).copied().unwrap_or_default();
            if looks < LOOKS {
                let mut candidate = Candidate::new(entry.path(), &mut self.buffer);
                for (rule, account) in self.rules.iter().zip(&mut self.accounts) {
                    if rule.takes(&mut candidate) {
                        account.members.entry(pid).or_default();
                    } else {
                        account.members.remove(&pid);
                    }
                }
            }
            present.insert(pid, looks.saturating_add(1).min(LOOKS));
        }
        self.seen = present;
    }
}

/// A group's conditions, looked up once.
struct Rule {
    exe: Option<String>,
    command: Option<Pattern>,
    unit: Option<String>,
    /// The number of the user; one that does not exist owns nothing.
    user: Option<Option<u32>>,
}

impl Rule {
    fn new(group: &Group, passwd: &str) -> Self {
        Self {
            exe: group.exe.clone(),
            command: group.command.clone(),
            unit: group
                .unit
                .as_ref()
                .map(|unit| if unit.contains('.') { unit.clone() } else { format!("{unit}.service") }),
            user: group.user.as_ref().map(|user| user.parse().ok().or_else(|| linux::user_id(passwd, user))),
        }
    }

    /// The cheap questions first; a file is read only if a rule asks for it, and then once.
    fn takes(&self, candidate: &mut Candidate<'_>) -> bool {
        if self.exe.is_none() && self.command.is_none() && self.unit.is_none() && self.user.is_none() {
            return false;
        }
        self.user.is_none_or(|user| user.is_some() && candidate.user() == user)
            && self.exe.as_ref().is_none_or(|exe| candidate.is_program(exe))
            && self.unit.as_ref().is_none_or(|unit| linux::in_unit(candidate.cgroup(), unit))
            && self.command.as_ref().is_none_or(|command| command.finds(candidate.command()))
    }
}

/// A process that may belong, and what was read of it so far.
struct Candidate<'b> {
    folder: std::path::PathBuf,
    buffer: &'b mut Vec<u8>,
    comm: Option<String>,
    command: Option<String>,
    cgroup: Option<String>,
}

impl<'b> Candidate<'b> {
    fn new(folder: std::path::PathBuf, buffer: &'b mut Vec<u8>) -> Self {
        Self { folder, buffer, comm: None, command: None, cgroup: None }
    }

    fn is_program(&mut self, exe: &str) -> bool {
        let comm = self.comm.get_or_insert_with(|| lossy(&self.folder.join("comm"), self.buffer));
        if comm.trim_end() == exe {
            return true;
        }
        // Its own name may be cut short, or changed by itself; then its first word decides.
        if exe.len() > COMM && !comm.is_empty() && !exe.starts_with(comm.trim_end()) && comm.len() > COMM {
            return false;
        }
        self.command().split(' ').next().is_some_and(|word| word.rsplit('/').next() == Some(exe))
    }

    fn command(&mut self) -> &str {
        self.command.get_or_insert_with(|| {
            let words = lossy(&self.folder.join("cmdline"), self.buffer);
            words.trim_end_matches('\0').replace('\0', " ")
        })
    }

    fn cgroup(&mut self) -> &str {
        self.cgroup.get_or_insert_with(|| lossy(&self.folder.join("cgroup"), self.buffer))
    }

    fn user(&self) -> Option<u32> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            std::fs::metadata(&self.folder).ok().map(|entry| entry.uid())
        }
        #[cfg(not(unix))]
        None
    }
}

fn lossy(path: &Path, buffer: &mut Vec<u8>) -> String {
    // What is not UTF-8 is left in the buffer all the same.
    let _ = linux::slurp(path, buffer);
    String::from_utf8_lossy(buffer).into_owned()
}

/// One process at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Reading {
    /// When it started, seconds since the epoch: with the number it tells processes apart.
    started: u64,
    grown: Grown,
    resident: f64,
    address_space: f64,
    threads: Option<f64>,
    files: Option<f64>,
    files_limit: Option<f64>,
}

/// What only grows as long as a process lives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Grown {
    cpu: f64,
    /// Bytes read and written, if the agent may know.
    disk: Option<(f64, f64)>,
    faults: Option<f64>,
    /// Context switches, voluntary and not.
    switches: Option<(f64, f64)>,
}

impl Grown {
    /// Adds what was gained from `before` to `after`.
    fn add(&mut self, before: &Self, after: &Self) {
        let gain = |before: f64, after: f64| (after - before).max(0.0);
        let pair = |sum: &mut Option<(f64, f64)>, before: Option<(f64, f64)>, after: Option<(f64, f64)>| {
            if let Some(after) = after {
                let (before, sum) = (before.unwrap_or_default(), sum.get_or_insert_default());
                *sum = (sum.0 + gain(before.0, after.0), sum.1 + gain(before.1, after.1));
            }
        };
        self.cpu += gain(before.cpu, after.cpu);
        if let Some(after) = after.faults {
            *self.faults.get_or_insert_default() += gain(before.faults.unwrap_or_default(), after);
        }
        pair(&mut self.disk, before.disk, after.disk);
        pair(&mut self.switches, before.switches, after.switches);
    }
}

fn reading(process: &sysinfo::Process, buffer: &mut Vec<u8>) -> Reading {
    let folder = Path::new("/proc").join(process.pid().to_string());
    let task = linux::slurp(folder.join("stat"), buffer).and_then(linux::task_stat);
    let switches = linux::slurp(folder.join("status"), buffer).and_then(linux::task_switches);
    let disk = process.disk_usage();
    let disk = (disk.total_read_bytes as f64, disk.total_written_bytes as f64);
    // A process that may not be asked reads as zeros.
    let disk = (disk != (0.0, 0.0) || std::fs::File::open(folder.join("io")).is_ok()).then_some(disk);
    let files = process.open_files().map(|files| files as f64);
    Reading {
        started: process.start_time(),
        grown: Grown {
            cpu: process.accumulated_cpu_time() as f64 / 1e3,
            disk,
            faults: task.map(|task| task.major_faults),
            switches,
        },
        resident: process.memory() as f64,
        address_space: process.virtual_memory() as f64,
        threads: task.map(|task| task.threads),
        files,
        files_limit: files.and_then(|_| process.open_files_limit()).map(|limit| limit as f64),
    }
}

/// A group's books.
struct Account {
    group: String,
    /// Who belongs, with the last reading that the sum already contains.
    members: HashMap<u32, Option<Reading>>,
    sum: Grown,
}

impl Account {
    fn new(group: &str) -> Self {
        Self { group: group.to_owned(), members: HashMap::new(), sum: Grown::default() }
    }

    /// Books what the living members gained, and lets go of the dead and of those whose number
    /// belongs to another process now.
    fn settle(&mut self, alive: &HashMap<u32, Reading>) -> ProcessGroup {
        let sum = &mut self.sum;
        self.members.retain(|pid, last| {
            let Some(reading) = alive.get(pid) else { return false };
            if last.is_some_and(|last| last.started != reading.started) {
                return false;
            }
            sum.add(&last.map(|last| last.grown).unwrap_or_default(), &reading.grown);
            *last = Some(*reading);
            true
        });
        let living: Vec<&Reading> = self.members.values().flatten().collect();
        ProcessGroup {
            group: self.group.clone(),
            alive: living.len() as f64,
            cpu_seconds: sum.cpu,
            read_bytes: sum.disk.map(|(read, _)| read),
            written_bytes: sum.disk.map(|(_, written)| written),
            major_faults: sum.faults,
            voluntary_switches: sum.switches.map(|(voluntary, _)| voluntary),
            involuntary_switches: sum.switches.map(|(_, forced)| forced),
            now: gauges(&living),
        }
    }
}

/// What the living hold together. A sum that one of them does not contribute to is not told.
fn gauges(living: &[&Reading]) -> Option<ProcessGauges> {
    let oldest = living.iter().map(|one| one.started).min()?;
    let sum = |value: fn(&Reading) -> Option<f64>| living.iter().copied().map(value).sum::<Option<f64>>();
    let shares =
        || living.iter().filter_map(|one| Some(one.files? / one.files_limit.filter(|limit| *limit > 0.0)?));
    Some(ProcessGauges {
        resident_bytes: living.iter().map(|one| one.resident).sum(),
        virtual_bytes: living.iter().map(|one| one.address_space).sum(),
        threads: sum(|one| one.threads),
        open_files: sum(|one| one.files),
        open_files_limit: living.iter().filter_map(|one| one.files_limit).reduce(f64::min),
        open_files_ratio: shares().reduce(f64::max),
        oldest_start: Some(oldest as f64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(started: u64, cpu: f64, resident: f64) -> Reading {
        Reading {
            started,
            grown: Grown { cpu, disk: Some((cpu * 10.0, 0.0)), faults: Some(1.0), switches: None },
            resident,
            threads: Some(2.0),
            files: Some(5.0),
            files_limit: Some(10.0),
            ..Reading::default()
        }
    }

    #[test]
    fn a_process_that_ends_takes_nothing_away() {
        let mut account = Account::new("decoder");
        account.members.extend([(1, None), (2, None)]);
        let both = HashMap::from([(1, process(100, 3.0, 50.0)), (2, process(90, 4.0, 60.0))]);
        let got = account.settle(&both);
        assert_eq!((got.alive, got.cpu_seconds, got.read_bytes), (2.0, 7.0, Some(70.0)));
        let now = got.now.unwrap();
        assert_eq!((now.resident_bytes, now.threads, now.oldest_start), (110.0, Some(4.0), Some(90.0)));
        assert_eq!(
            (now.open_files, now.open_files_limit, now.open_files_ratio),
            (Some(10.0), Some(10.0), Some(0.5))
        );

        let one = HashMap::from([(1, process(100, 3.5, 50.0))]);
        let got = account.settle(&one);
        assert_eq!((got.alive, got.cpu_seconds), (1.0, 7.5));
        assert_eq!(got.voluntary_switches, None);

        let none = account.settle(&HashMap::new());
        assert_eq!((none.alive, none.cpu_seconds, none.now), (0.0, 7.5, None));

        // The number came back as another process; it belongs only once a scan says so.
        assert_eq!(account.settle(&one).alive, 0.0);
        account.members.insert(1, None);
        assert_eq!(account.settle(&one).cpu_seconds, 11.0);
        let reused = HashMap::from([(1, process(200, 0.1, 1.0))]);
        assert_eq!((account.settle(&reused).alive, account.sum.cpu), (0.0, 11.0));
    }

    #[test]
    fn what_one_process_does_not_tell_is_not_summed() {
        let mut account = Account::new("decoder");
        account.members.extend([(1, None), (2, None)]);
        let silent = Reading { files: None, files_limit: None, ..process(1, 1.0, 1.0) };
        let now = account.settle(&HashMap::from([(1, process(1, 1.0, 1.0)), (2, silent)])).now.unwrap();
        assert_eq!((now.open_files, now.open_files_ratio), (None, Some(0.5)));
    }

    /// A folder that looks like `/proc` with one process per line: number, name, words, cgroup.
    fn proc(processes: &[(u32, &str, &str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (pid, comm, cmdline, cgroup) in processes {
            let folder = root.path().join(pid.to_string());
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("comm"), format!("{comm}\n")).unwrap();
            std::fs::write(folder.join("cmdline"), cmdline.replace(' ', "\0")).unwrap();
            std::fs::write(folder.join("cgroup"), format!("0::{cgroup}\n")).unwrap();
        }
        std::fs::create_dir(root.path().join("self")).unwrap();
        root
    }

    fn members(watch: &Watch) -> Vec<Vec<u32>> {
        let sorted = |account: &Account| {
            let mut pids: Vec<u32> = account.members.keys().copied().collect();
            pids.sort_unstable();
            pids
        };
        watch.accounts.iter().map(sorted).collect()
    }

    #[test]
    fn groups_find_their_processes() {
        let root = proc(&[
            (10, "python3", "/usr/bin/python3 -m decoder --fast", "/system.slice/decoder.service"),
            (11, "python3", "python3 other.py", "/user.slice"),
            (12, "a-very-long-pro", "/opt/a-very-long-program-name --x", "/"),
            (13, "renamed", "/usr/sbin/lslrecorder -v", "/system.slice/lab.scope"),
            (14, "kworker/0:1", "", "/"),
        ]);
        let text = r#"{"groups": [
            {"name": "python", "exe": "python3"},
            {"name": "decoder", "command": "-m decoder\\b"},
            {"name": "unit", "unit": "decoder"},
            {"name": "long", "exe": "a-very-long-program-name"},
            {"name": "renamed", "exe": "lslrecorder", "unit": "lab.scope"},
            {"name": "both", "exe": "python3", "unit": "lab.scope"},
            {"name": "nobody", "user": "no-such-user"},
            {"name": "empty"}
        ]}"#;
        let settings: Settings = serde_json::from_str(text).unwrap();
        let mut watch = Watch::new(&settings);
        watch.scan(root.path());
        let wanted: Vec<Vec<u32>> =
            vec![vec![10, 11], vec![10], vec![10], vec![12], vec![13], vec![], vec![], vec![]];
        assert_eq!(members(&watch), wanted);
        assert_eq!(
            serde_json::from_str::<Settings>(&serde_json::to_string(&settings).unwrap()).unwrap(),
            settings
        );
        let wrong = r#"{"groups": [{"name": "x", "exec": "y"}]}"#;
        assert!(serde_json::from_str::<Settings>(wrong).unwrap_err().to_string().contains("exec"));
    }

    #[test]
    fn a_process_that_becomes_another_program_is_noticed() {
        let root = proc(&[(10, "sh", "sh -c decoder", "/")]);
        let settings: Settings =
            serde_json::from_str(r#"{"groups": [{"name": "d", "exe": "decoder"}]}"#).unwrap();
        let mut watch = Watch::new(&settings);
        watch.scan(root.path());
        assert_eq!(members(&watch), [[]; 1] as [[u32; 0]; 1]);
        std::fs::write(root.path().join("10/comm"), "decoder\n").unwrap();
        watch.scan(root.path());
        assert_eq!(members(&watch), [[10]]);
        // Looked at twice, it is left alone until everything is looked at again.
        std::fs::write(root.path().join("10/comm"), "sh\n").unwrap();
        std::fs::remove_file(root.path().join("10/cmdline")).unwrap();
        watch.scan(root.path());
        assert_eq!(members(&watch), [[10]]);
        (3..=FORGET).for_each(|_| watch.scan(root.path()));
        assert_eq!(members(&watch), [[]; 1] as [[u32; 0]; 1]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_real_process_is_counted_through_its_death() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done; : busy-for-the-test"])
            .spawn()
            .unwrap();
        let text = r#"{"groups": [{"name": "busy", "command": ": busy-for-the-test$"}]}"#;
        let mut watch = Watch::new(&serde_json::from_str(text).unwrap());
        std::thread::sleep(Duration::from_millis(300));
        let got = watch.read().remove(0);
        let now = got.now.unwrap();
        assert_eq!((got.alive, now.threads), (1.0, Some(1.0)));
        assert!(got.cpu_seconds > 0.0 && now.resident_bytes > 0.0 && now.oldest_start.unwrap() > 1.5e9);
        assert!(
            now.open_files.unwrap() > 0.0 && got.read_bytes.is_some() && got.involuntary_switches.is_some()
        );

        let clock = std::time::Instant::now();
        watch.scans = 0;
        watch.scan(Path::new("/proc"));
        let scan = clock.elapsed();
        watch.readings = 1;
        let clock = std::time::Instant::now();
        watch.read();
        println!(
            "scan of {}: {} µs; reading of 1: {} µs",
            watch.seen.len(),
            scan.as_micros(),
            clock.elapsed().as_micros()
        );

        child.kill().unwrap();
        child.wait().unwrap();
        let gone = watch.read().remove(0);
        assert_eq!((gone.alive, gone.now), (0.0, None));
        assert!(gone.cpu_seconds >= got.cpu_seconds);
    }
}
