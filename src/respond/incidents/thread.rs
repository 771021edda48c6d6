//! The thread that writes incidents, and escalates those that nobody acknowledged.

use std::path::Path;
use std::time::Duration;

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::file::{File, Inode};
use super::{Shared, Status};
use crate::alert::incident::Incident;
use crate::clock::{Trusted, now};
use crate::event::Timestamp;
use crate::store::Failure;
use crate::sys::is_clock_synchronised;

/// It looks at least so often: an escalation is due at any moment.
const LOOK: Duration = Duration::from_secs(1);
/// From one attempt to write or open the file to the next, ns.
const AGAIN: u64 = 5_000_000_000;
/// Without anything to write the file is closed after this time, ns: while it is open its disk can be neither unmounted nor repaired.
const IDLE: u64 = 1_000_000_000;
/// Values that alone changed are written so often, ns: the worst of a minute is what a killed agent loses.
const VALUES: u64 = 60_000_000_000;
/// Whether its disk can be written is looked at so often while nothing is, ns.
const LOOK_AT_DISK: u64 = 15_000_000_000;
/// What is too old is removed so often, ns.
const PRUNE: u64 = 3_600_000_000_000;

/// Whether the file system of a file is mounted for writing. What cannot be asked is found when it is opened.
fn is_writable(path: &Path) -> Result<(), Failure> {
    let of = path.parent().and_then(|folder| statvfs(folder).ok());
    match of.is_some_and(|of| of.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        true => Err(Failure::Disk(path.into(), "its file system is read-only".into())),
        false => Ok(()),
    }
}

struct Writer<'s> {
    shared: &'s Shared,
    file: Option<File>,
    /// The file that was read: opened again it is not read again, unless something failed meanwhile.
    read: Option<Inode>,
    sound: bool,
    /// When it was last used, when it is tried again, when values are written, and when what is old is removed, ns of the steady clock.
    used: u64,
    retry: u64,
    values: u64,
    prune: u64,
    /// When its disk is looked at again.
    look: u64,
    clock: Trusted,
    doubted: bool,
}

pub(super) fn run(shared: &Shared) {
    let mut writer = Writer {
        shared,
        file: None,
        read: None,
        sound: false,
        used: 0,
        retry: 0,
        values: 0,
        prune: 0,
        look: 0,
        clock: Trusted::default(),
        doubted: false,
    };
    writer.open();
    shared.held.lock().ready = true;
    loop {
        let (asked, stopping) = writer.wait();
        let evaluates = shared.options.lock().evaluates;
        {
            let mut held = shared.held.lock();
            let at = held.time();
            held.book.tick(at);
            if !evaluates {
                held.book.disown(at);
            }
        }
        let wrote = writer.write(stopping);
        let mut signal = shared.signal.lock();
        (signal.done, signal.wrote, signal.ended) = (asked, wrote, stopping);
        shared.changed.notify_all();
        if stopping {
            return;
        }
    }
}

impl Writer<'_> {
    /// Waits until a write is asked for, or it is time to look. Says up to which one, and whether to end.
    fn wait(&self) -> (u64, bool) {
        let mut signal = self.shared.signal.lock();
        if signal.asked == signal.done && !signal.stopping {
            self.shared.changed.wait_for(&mut signal, LOOK);
        }
        (signal.asked, signal.stopping)
    }

    /// Opens the file, and takes over what is in it unless that was done before.
    fn open(&mut self) {
        let (path, ends) = {
            let options = self.shared.options.lock();
            (options.path.clone(), options.limits.closed)
        };
        let known = self.read.filter(|_| self.sound);
        let opened = is_writable(&path).and_then(|()| File::open(&path, known)).and_then(|(file, aside)| {
            if let Some(aside) = aside {
                tracing::warn!(
                    "the incidents' file was damaged; it is kept as {}, and a new one begins",
                    aside.display()
                );
            }
            let again = known == Some(file.inode()) && !file.is_new();
            let incidents = if again { Ok(Vec::new()) } else { file.load(ends) };
            incidents.map(|incidents| (file, again, incidents))
        });
        match opened {
            Ok((file, again, incidents)) => {
                let before = self.read.replace(file.inode());
                let other = before.is_some_and(|before| file.is_new() || before != file.inode());
                if !again {
                    self.prune = 0;
                    self.clock = Trusted::since(file.newest());
                }
                (self.sound, self.used, self.file) = (true, now().steady, Some(file));
                self.take_over(incidents);
                self.shared.held.lock().read = true;
                if other {
                    tracing::warn!(
                        "the incidents' file was removed, or its disk was; what is open is written again"
                    );
                    self.shared.held.lock().book.change_all();
                }
            }
            Err(failure) => self.fail(&failure),
        }
    }

    /// Takes over what the file has. Where it could not be read before, an alert may have another incident by now.
    fn take_over(&self, incidents: Vec<Incident>) {
        let mut held = self.shared.held.lock();
        let at = held.time();
        for incident in incidents {
            held.book.take_over(incident, at);
        }
    }

    /// Writes what changed. Says whether everything is written.
    fn write(&mut self, last: bool) -> bool {
        let at = now();
        if self.file.as_ref().is_some_and(|file| !file.is_there()) {
            self.file = None;
            self.fail(&Failure::Disk(self.path(), "it was removed, or its disk was".into()));
            self.retry = 0;
        }
        self.look_at_disk(at.steady);
        let all = last || at.steady >= self.values;
        if all {
            self.values = at.steady.saturating_add(VALUES);
        }
        let changed = self.shared.held.lock().book.take_changed(all);
        let looks = !last && (self.is_failing() || at.steady >= self.prune);
        if self.file.is_none() && at.steady >= self.retry && (looks || !changed.is_empty()) {
            self.open();
        }
        let waits = at.steady < self.retry && !last;
        let done = match &mut self.file {
            _ if changed.is_empty() => Ok(()),
            Some(file) if !waits => {
                self.used = at.steady;
                file.write(&changed)
            }
            _ => {
                self.shared.held.lock().book.put_back(changed);
                return false;
            }
        };
        match done {
            Ok(()) => {
                if !changed.is_empty() {
                    self.retry = 0;
                }
                let pruned = self.prune(at);
                if pruned && self.file.is_some() && at.steady >= self.retry {
                    self.fine();
                    self.rest(at.steady);
                }
                !self.is_failing()
            }
            Err(failure) => {
                self.shared.held.lock().book.put_back(changed);
                self.fail(&failure);
                false
            }
        }
    }

    /// Removes what is too old, and what is too much. Says whether that could be done.
    fn prune(&mut self, at: Timestamp) -> bool {
        let retention = self.shared.options.lock().retention;
        let Some(file) = &mut self.file else { return true };
        if at.steady < self.prune && file.bytes() <= retention.bytes {
            return true;
        }
        self.prune = at.steady.saturating_add(PRUNE);
        let wall = at.wall_milliseconds();
        let believed = self.clock.judge(at, is_clock_synchronised(wall));
        if let Err(doubt) = believed
            && !self.doubted
        {
            tracing::warn!("no incident is removed because of its age: {doubt}");
        }
        self.doubted = believed.is_err();
        match file.prune(&retention, believed.is_ok().then_some(wall)) {
            Ok(0) => true,
            Ok(gone) => {
                tracing::info!(
                    "{gone} incidents were removed: they are older or more than the configuration keeps"
                );
                true
            }
            Err(failure) => {
                self.fail(&failure);
                false
            }
        }
    }

    /// Looks whether its disk can be written: it may be long until an incident has to be.
    fn look_at_disk(&mut self, steady: u64) {
        if self.file.is_some() || self.is_failing() || steady < self.look {
            return;
        }
        self.look = steady.saturating_add(LOOK_AT_DISK);
        if let Err(failure) = is_writable(&self.path()) {
            self.fail(&failure);
        }
    }

    /// Closes the file if nothing was written for a while.
    fn rest(&mut self, steady: u64) {
        if steady.saturating_sub(self.used) >= IDLE
            && let Some(file) = self.file.take()
        {
            file.leave();
        }
    }

    fn is_failing(&self) -> bool {
        self.shared.status.lock().failing.is_some()
    }

    fn fine(&self) {
        let bytes = self.file.as_ref().map_or(0, File::bytes);
        let mut status = self.shared.status.lock();
        if status.failing.is_some() {
            tracing::info!("incidents are written again to {}", self.path().display());
        }
        *status = Status { bytes, ..Status::default() };
    }

    fn fail(&mut self, failure: &Failure) {
        let why = failure.to_string();
        let mut status = self.shared.status.lock();
        if status.failing.as_ref() != Some(&why) {
            tracing::warn!("incidents are kept in memory alone: {why}");
        }
        status.failing = Some(why);
        drop(status);
        self.retry = now().steady.saturating_add(AGAIN);
        if !matches!(failure, Failure::Full(_) | Failure::Busy(_)) {
            (self.file, self.sound) = (None, false);
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.shared.options.lock().path.clone()
    }
}
