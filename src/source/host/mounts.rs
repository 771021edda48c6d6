//! The mounted file systems: their size, free space and whether they can be written.
//!
//! May block for as long as a file server likes; who calls this must not mind.

use sysinfo::{DiskRefreshKind, Disks};

use super::super::linux;
use super::Settings;
use crate::event::Filesystem;

/// The mounted file systems, kept between readings.
pub(super) struct Mounts {
    settings: Settings,
    disks: Option<Disks>,
    /// The table of mounts that `disks` was made from.
    table: Vec<u8>,
    buffer: Vec<u8>,
}

impl Mounts {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, disks: None, table: Vec::new(), buffer: Vec::new() }
    }

    pub(super) fn read(&mut self) -> Vec<Filesystem> {
        let table = table(&mut self.buffer);
        if self.disks.is_none() {
            self.disks = Disks::new().ok();
        }
        let Some(disks) = &mut self.disks else { return Vec::new() };
        // To list means to touch every mount, so only when the table says that something changed.
        if table.is_none_or(|table| table.as_bytes() != self.table) {
            disks.refresh_specifics(true, DiskRefreshKind::nothing());
            self.table.clear();
            self.table.extend_from_slice(table.unwrap_or_default().as_bytes());
        }
        let mut found: Vec<Filesystem> = Vec::new();
        for disk in disks.iter_mut() {
            let mount = disk.mount_point().to_string_lossy().into_owned();
            let fstype = disk.file_system().to_string_lossy().into_owned();
            if self.settings.exclude_mounts.finds(&mount) || self.settings.exclude_filesystems.finds(&fstype)
            {
                continue;
            }
            disk.refresh_specifics(DiskRefreshKind::nothing().with_storage());
            if disk.total_space() == 0 {
                continue;
            }
            let told = table.and_then(|table| linux::readonly(table, &mount));
            found.push(Filesystem {
                device: disk.name().to_string_lossy().into_owned(),
                size: disk.total_space() as f64,
                available: disk.available_space() as f64,
                readonly: told.unwrap_or_else(|| disk.is_read_only()),
                mount,
                fstype,
            });
        }
        once_each(found)
    }
}

/// What is mounted where, as the machine has it: a unit that may write nothing has everything read-only in its own table.
fn table(buffer: &mut Vec<u8>) -> Option<&str> {
    let machine = linux::slurp("/proc/1/mounts", buffer).is_some_and(|table| !table.is_empty());
    if machine { std::str::from_utf8(buffer).ok() } else { linux::slurp("/proc/self/mounts", buffer) }
}

/// A device that is mounted in many places, as containers do, is told once: at its shortest path.
fn once_each(mut found: Vec<Filesystem>) -> Vec<Filesystem> {
    found.sort_by(|a, b| (a.mount.len(), &a.mount).cmp(&(b.mount.len(), &b.mount)));
    let mut kept: Vec<Filesystem> = Vec::with_capacity(found.len());
    for fs in found {
        let again = fs.device.starts_with("/dev/") && kept.iter().any(|other| other.device == fs.device);
        if !again && kept.iter().all(|other| other.mount != fs.mount) {
            kept.push(fs);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::super::super::pattern::Pattern;
    use super::*;

    #[test]
    fn a_device_in_many_places_is_told_once() {
        let fs = |mount: &str, device: &str| Filesystem {
            mount: mount.to_owned(),
            device: device.to_owned(),
            ..Filesystem::default()
        };
        let got = once_each(vec![
            fs("/etc/hosts", "/dev/sda1"),
            fs("/", "/dev/sda1"),
            fs("/a", "pool"),
            fs("/b", "pool"),
        ]);
        let mounts: Vec<&str> = got.iter().map(|fs| fs.mount.as_str()).collect();
        assert_eq!(mounts, ["/", "/a", "/b"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_root_is_mounted() {
        let mut mounts =
            Mounts::new(Settings { exclude_filesystems: Pattern::default(), ..Settings::default() });
        for _ in 0..2 {
            let found = mounts.read();
            let root = found.iter().find(|fs| fs.mount == "/").unwrap();
            assert!(root.size > 0.0 && root.available <= root.size);
        }
    }
}
