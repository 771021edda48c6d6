//! A command and all that it started, so that nothing of it outlives its time.
//!
//! It is a process group of its own, and adopts what its descendants leave behind. Where it ended itself before they
//! did, they are known by a mark in their environment. Who takes off both is not found.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use tokio::process::Command;

use crate::clock::now;
use crate::source::aside::apart_at_start;
use crate::sys;

/// The variable that marks the processes of a run.
const MARK: &str = "NEURAL_EXPORTER_RUN";
/// Bytes of an environment that are looked at.
const ENVIRONMENT: u64 = 1 << 20;
/// How often is looked again for what was started meanwhile.
const ROUNDS: usize = 20;
/// How long a look may take: what `/proc` tells of a process that hangs can hang as well.
const PATIENCE: Duration = Duration::from_millis(500);

/// The command and what it started. Killed when dropped, unless it was [released](Self::release).
#[derive(Debug)]
pub(super) struct Family {
    leader: Option<Leader>,
    mark: String,
}

#[derive(Clone, Copy, Debug)]
struct Leader {
    id: Pid,
    /// When it started, in the kernel's ticks: another process may get its id.
    started: u64,
}

impl Family {
    /// Prepares a command, and gives its mark.
    pub(super) fn mark(command: &mut Command) -> String {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let mark =
            format!("{}.{}.{}", std::process::id(), now().steady, RUNS.fetch_add(1, Ordering::Relaxed));
        command.env(MARK, &mark).process_group(0);
        mark
    }

    /// That of a command that was just started.
    pub(super) fn of(id: Option<u32>, mark: String) -> Self {
        let leader = id.and_then(|id| {
            let id = i32::try_from(id).ok().and_then(Pid::from_raw)?;
            sys::lower_file_limit(id);
            Some(Leader { id, started: look(id.as_raw_pid())?.started })
        });
        Self { leader, mark }
    }

    /// It ended by itself: what it left behind may stay.
    pub(super) fn release(&mut self) {
        self.leader = None;
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        let Some(leader) = self.leader else { return };
        let mark = format!("{MARK}={}", self.mark).into_bytes();
        // Dropping cannot wait, so this asks the system directly. What is late continues by itself.
        let key = format!("what process {} started", leader.id.as_raw_nonzero());
        drop(apart_at_start(&key, PATIENCE, move || end(leader, &mark)));
    }
}

/// A command while it is started. If that is given up, the process that was to become it is killed: where the program
/// lies on a disk that does not answer, it would hold that disk's folder for longer than the agent lives.
#[derive(Debug)]
pub(super) struct Start {
    /// Where the process writes its id before it becomes the command; nothing once it has.
    born: Option<io::PipeReader>,
}

impl Start {
    /// From now on; the command is prepared for it.
    ///
    /// # Errors
    /// There can be no pipe.
    pub(super) fn begin(command: &mut Command) -> io::Result<Self> {
        let (born, tell) = io::pipe()?;
        // Who gives up waits for nothing.
        rustix::io::ioctl_fionbio(&born, true)?;
        sys::adopt_orphans(command.as_std_mut(), tell);
        Ok(Self { born: Some(born) })
    }

    /// It has become the command.
    pub(super) fn done(mut self) {
        self.born = None;
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        let Some(born) = self.born.take() else { return };
        let mut id = [0; 4];
        if rustix::io::read(&born, &mut id) != Ok(id.len()) {
            // There is no process, or it has a moment to go.
            return;
        }
        // Until its parent took note of its end, its id is nobody else's: it is our child, and goes on. `/proc` is not asked: it does
        // not answer of a process that waits for a disk while it becomes a command, and this thread has other work.
        let Some(id) = Pid::from_raw(i32::from_ne_bytes(id)) else { return };
        let without_waiting = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if matches!(waitid(WaitId::Pid(id), without_waiting), Ok(None)) {
            let _ = kill_process(id, Signal::KILL);
        }
    }
}

/// Ends everything: first what it started, as long as it is known by who started it, then the command itself.
fn end(leader: Leader, mark: &[u8]) {
    for _ in 0..ROUNDS {
        let all = everybody();
        let there = all.get(&leader.id.as_raw_pid()).is_some_and(|one| one.started == leader.started);
        let descendants = if there { descendants(leader.id.as_raw_pid(), &all) } else { HashSet::new() };
        let ours = |id: &i32, one: &ProcessStat| {
            !one.ended && *id != leader.id.as_raw_pid() && (descendants.contains(id) || marked(*id, mark))
        };
        let found: Vec<Pid> =
            all.iter().filter(|(id, one)| ours(id, one)).filter_map(|(id, _)| Pid::from_raw(*id)).collect();
        if found.is_empty() {
            break;
        }
        for id in found {
            // It may have ended by itself.
            let _ = kill_process(id, Signal::KILL);
        }
        std::thread::yield_now();
    }
    if look(leader.id.as_raw_pid()).is_some_and(|one| one.started == leader.started) {
        let _ = kill_process_group(leader.id, Signal::KILL);
    }
}

/// What `/proc/PID/stat` tells of a process.
#[derive(Clone, Copy, Debug)]
struct ProcessStat {
    parent: i32,
    started: u64,
    /// Whether it is a zombie.
    ended: bool,
}

fn everybody() -> HashMap<i32, ProcessStat> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return HashMap::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(|id: i32| Some((id, look(id)?))).collect()
}

fn look(id: i32) -> Option<ProcessStat> {
    let line = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything; behind it come state, parent and, as the 22nd of all, the start.
    let (_, behind) = line.rsplit_once(") ")?;
    let mut words = behind.split(' ');
    let (state, parent) = (words.next()?, words.next()?.parse().ok()?);
    Some(ProcessStat { parent, started: words.nth(17)?.parse().ok()?, ended: matches!(state, "Z" | "X") })
}

fn descendants(leader: i32, all: &HashMap<i32, ProcessStat>) -> HashSet<i32> {
    let mut found = HashSet::from([leader]);
    loop {
        let more: Vec<i32> = (all.iter())
            .filter(|(id, one)| found.contains(&one.parent) && !found.contains(*id))
            .map(|(id, _)| *id)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn marked(id: i32, mark: &[u8]) -> bool {
    use std::io::Read;
    let mut environment = Vec::new();
    let read = std::fs::File::open(Path::new("/proc").join(id.to_string()).join("environ"))
        .and_then(|file| file.take(ENVIRONMENT).read_to_end(&mut environment));
    read.is_ok() && environment.split(|byte| *byte == 0).any(|variable| variable == mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that waits: this one, asked for this test.
    #[test]
    #[ignore = "the program that a_start_that_is_given_up_ends_its_own_process_and_no_other starts"]
    fn waits() {
        std::thread::sleep(Duration::from_secs(20));
    }

    /// Whether a child was killed within a second.
    fn is_killed(child: &mut std::process::Child) -> bool {
        (0..50).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            child.try_wait().unwrap().is_some()
        })
    }

    #[tokio::test]
    async fn a_start_that_is_given_up_ends_its_own_process_and_no_other() {
        let this = std::env::current_exe().unwrap();
        let waits = ["--ignored", "--exact", "source::poller::exec::family::tests::waits"];
        // That of another source, which runs this very program.
        let mut other = std::process::Command::new(&this).args(waits).spawn().unwrap();
        let mut command = Command::new("sleep");
        let start = Start::begin(command.arg("20")).unwrap();
        drop(Start::begin(&mut Command::new("sleep")).unwrap());
        let mut own = command.as_std_mut().spawn().unwrap();
        std::thread::sleep(Duration::from_millis(400));
        drop(start);
        let killed = (is_killed(&mut own), is_killed(&mut other));
        let mut command = Command::new("sleep");
        let start = Start::begin(command.arg("20")).unwrap();
        let mut third = command.as_std_mut().spawn().unwrap();
        start.done();
        let third_killed = is_killed(&mut third);
        for mut child in [own, other, third] {
            drop(child.kill());
            drop(child.wait());
        }
        assert_eq!((killed, third_killed), ((true, false), false));
    }
}
