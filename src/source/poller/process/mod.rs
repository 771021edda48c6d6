//! Watched programs as a source: what the processes of each configured group take together.
//!
//! Who belongs is looked up in `/proc` now and then; in between only those who do are read. What
//! grows is kept as a sum per group, so that a process which ends takes nothing away. Processes
//! that no group asks for are never read.

mod account;
mod member;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tokio_util::sync::CancellationToken;

use self::account::{Account, reading};
use self::member::{Candidate, Rule};
use crate::clock::now;
use crate::event::{Body, ProcessGroup};
use crate::setting::Span;
use crate::source::aside::{self, Attempt, SHORTEST, USUAL, Worker};
use crate::source::kind::{Context, Kind, Start};
use crate::source::pattern::Pattern;
use crate::source::{Feed, poll};

/// Which programs are watched, and how often.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The source's name.
    pub name: String,
    /// How often the processes of the groups are read, 100 ms at least; `intervals.system` if
    /// omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// How often processes that are new are looked for.
    pub scan: Span,
    /// The programs to watch. Without any the source does nothing.
    pub groups: Vec<Group>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { name: "process".to_owned(), interval: None, scan: Span::seconds(15), groups: Vec::new() }
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

impl Kind for Settings {
    aside::reads_the_machine!();
}

/// A process of a program of this file name that is alive, if there is one. `last` is looked at before the others.
///
/// # Errors
/// The processes cannot be listed.
pub(super) fn find(proc: &Path, exe: &str, last: u32) -> io::Result<Option<u32>> {
    let rule = Rule::new(&Group { exe: Some(exe.to_owned()), ..Group::default() }, "");
    let mut buffer = Vec::with_capacity(4096);
    let mut is_one = |pid: u32| {
        let mut candidate = Candidate::new(proc.join(pid.to_string()), &mut buffer);
        rule.takes(&mut candidate) && candidate.is_alive()
    };
    if last > 0 && is_one(last) {
        return Ok(Some(last));
    }
    let pids =
        std::fs::read_dir(proc)?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.into_iter().find(|pid| is_one(*pid)))
}

/// Reads the groups at each interval until it is cancelled.
pub async fn run(settings: Settings, feed: Feed, stop: CancellationToken) {
    if settings.groups.is_empty() {
        stop.cancelled().await;
        return;
    }
    let interval = settings.interval.unwrap_or(USUAL).0.max(SHORTEST);
    let mut watch = Watch::new(&settings);
    let Some(groups) = Worker::reader("process", "processes", &feed, move || watch.read()) else { return };
    let ask = move |feed: &Feed| -> Attempt {
        let (feed, groups) = (feed.clone(), groups.clone());
        Box::pin(async move {
            let groups = groups.run(PATIENCE).await?;
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
    /// When the machine was started, by the wall clock as it was set then; `system` counts from there.
    booted: u64,
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
        let every =
            settings.scan.0.as_secs_f64() / settings.interval.unwrap_or(USUAL).0.max(SHORTEST).as_secs_f64();
        Self {
            rules: settings.groups.iter().map(|group| Rule::new(group, &passwd)).collect(),
            accounts: settings.groups.iter().map(|group| Account::new(&group.name)).collect(),
            booted: System::boot_time().unwrap_or_default(),
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
        let alive: HashMap<u32, account::Reading> = pids
            .iter()
            .filter_map(|pid| Some((pid.as_u32(), reading(system.as_ref()?.process(*pid)?, buffer))))
            .collect();
        let set = System::boot_time().map_or(0.0, |booted| booted as f64 - self.booted as f64);
        self.accounts.iter_mut().map(|account| account.settle(&alive, set)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_zombie_is_no_process_that_runs() {
        let root =
            proc(&[(7, "sh", "sh", "/"), (8, "a) Z (b", "/opt/recorder -v", "/"), (9, "recorder", "", "/")]);
        let stat =
            |pid: u32, text: &str| std::fs::write(root.path().join(format!("{pid}/stat")), text).unwrap();
        stat(7, "7 (sh) S 1");
        stat(8, "8 (a) Z (b) S 1");
        stat(9, "9 (recorder) Z 1");
        assert_eq!(find(root.path(), "recorder", 0).unwrap(), Some(8));
        stat(8, "8 (a) Z (b) Z 1");
        assert_eq!(find(root.path(), "recorder", 8).unwrap(), None);
        stat(9, "9 (recorder) T 1");
        // The one that was found before is gone, and its number belongs to another program.
        assert_eq!(find(root.path(), "recorder", 7).unwrap(), Some(9));
        assert_eq!(find(root.path(), "nothing", 9).unwrap(), None);
        assert!(find(Path::new("/nowhere/at/all"), "sh", 0).is_err());
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

        #[expect(clippy::disallowed_methods, reason = "the test measures")]
        let clock = std::time::Instant::now();
        watch.scans = 0;
        watch.scan(Path::new("/proc"));
        let scan = clock.elapsed();
        watch.readings = 1;
        #[expect(clippy::disallowed_methods, reason = "the test measures")]
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
