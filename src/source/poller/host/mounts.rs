//! The mounted file systems: their size, free space and whether they can be written.
//!
//! One on a server that is gone answers never, and holds the thread that asks. So those that are not of a disk of this machine
//! are asked each on a thread of its own, and one that hangs hides no other.

use std::path::Path;
use std::time::Duration;

use tokio::task::JoinSet;

use super::super::linux::{self, Mount};
use super::Settings;
use crate::event::Filesystem;
use crate::source::aside::apart;
use crate::sys::file;

/// Types whose size the kernel knows by itself, without a disk, a server or another program. All others may hang.
const LOCAL: &[&str] = &[
    "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfsplus", "iso9660", "jfs",
    "msdos", "ntfs3", "overlay", "ramfs", "reiserfs", "squashfs", "tmpfs", "udf", "vfat", "xfs", "zfs",
];

/// The mounted file systems that answered within `patience`, and where those are mounted that did not.
pub(super) async fn read(settings: &Settings, patience: Duration) -> (Vec<Filesystem>, Vec<String>) {
    let (mut own, mut machine) = (Vec::new(), Vec::new());
    let table = linux::slurp("/proc/self/mounts", &mut own).unwrap_or_default();
    // A unit that may write nothing has everything read-only in its own table.
    let machine = linux::slurp("/proc/1/mounts", &mut machine).filter(|table| !table.is_empty());
    let (sure, unsure) = listed(table, settings);
    let mut asked = JoinSet::new();
    let names = sure.iter().map(|mount| mount.place.clone()).collect::<Vec<_>>();
    asked.spawn(async move {
        let work = move || sure.into_iter().filter_map(statvfs).collect::<Vec<_>>();
        // Whichever it is that hangs, none of these is known.
        apart("the file systems of this machine", patience, work).await.map_err(|_| names)
    });
    for mount in unsure {
        asked.spawn(async move {
            let place = mount.place.clone();
            let answer = apart(&place, patience, move || statvfs(mount)).await;
            answer.map(|found| found.into_iter().collect()).map_err(|_| vec![place])
        });
    }
    let (mut found, mut stalled) = (Vec::new(), Vec::new());
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok(Ok(answered)) => found.extend(answered),
            Ok(Err(places)) => stalled.extend(places),
            Err(_) => {}
        }
    }
    for one in &mut found {
        let readonly = linux::readonly(machine.unwrap_or(table), &one.mount);
        one.readonly = readonly.unwrap_or(one.readonly);
    }
    stalled.sort();
    (once_each(found), stalled)
}

/// What is mounted and wanted: what answers surely, and what may hang, because of its own type or that of one which it
/// is mounted within.
fn listed(table: &str, settings: &Settings) -> (Vec<Mount>, Vec<Mount>) {
    let mut all = linux::mounts(table);
    // Of several at one place the last one is seen.
    all.reverse();
    let mut places = std::collections::HashSet::new();
    all.retain(|mount| places.insert(mount.place.clone()));
    let doubtful: Vec<String> = (all.iter())
        .filter(|mount| !LOCAL.contains(&&*mount.fstype) && !KERNEL.contains(&&*mount.fstype))
        .map(|mount| mount.place.clone())
        .collect();
    let wanted = |mount: &Mount| {
        !settings.exclude_mounts.finds(&mount.place) && !settings.exclude_filesystems.finds(&mount.fstype)
    };
    all.retain(wanted);
    let within = |mount: &Mount| doubtful.iter().any(|place| Path::new(&mount.place).starts_with(place));
    all.into_iter().partition(|mount| !within(mount))
}

/// Types of the kernel's own, within which others are mounted.
const KERNEL: &[&str] = &["devtmpfs", "proc", "sysfs", "rootfs", "cgroup", "cgroup2", "debugfs", "tracefs"];

fn statvfs(mount: Mount) -> Option<Filesystem> {
    file::turn_to(Path::new(&mount.place));
    let stat = rustix::fs::statvfs(&*mount.place).ok()?;
    let size = stat.f_frsize.saturating_mul(stat.f_blocks);
    (size > 0).then(|| Filesystem {
        device: mount.device,
        size: size as f64,
        available: stat.f_frsize.saturating_mul(stat.f_bavail) as f64,
        readonly: stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        mount: mount.place,
        fstype: mount.fstype,
    })
}

/// A device that is mounted in many places, as containers do, is reported once: at its shortest path.
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
    use super::*;
    use crate::source::pattern::Pattern;

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

    #[tokio::test]
    async fn the_root_is_mounted() {
        let settings = Settings { exclude_filesystems: Pattern::default(), ..Settings::default() };
        for _ in 0..2 {
            let (found, stalled) = read(&settings, Duration::from_secs(5)).await;
            let root = found.iter().find(|fs| fs.mount == "/").unwrap();
            assert!(root.size > 0.0 && root.available <= root.size && stalled.is_empty());
        }
    }

    #[test]
    fn what_may_hang_is_asked_by_itself() {
        let table = "/dev/sda1 / ext4 rw 0 0\nproc /proc proc rw 0 0\nbinfmt /proc/fs binfmt_misc rw 0 0\n\
                     srv:/a /mnt/a nfs4 rw 0 0\n/dev/sdb1 /mnt/a/disk xfs ro 0 0\n/dev/sdc1 /mnt/b ext4 rw 0 0\n\
                     none /mnt/b fuse.x rw 0 0\n/dev/sdd1 /data vfat rw 0 0\n";
        let settings = Settings::default();
        let (sure, unsure) = listed(table, &settings);
        let places = |mounts: Vec<Mount>| {
            let mut places: Vec<String> = mounts.into_iter().map(|mount| mount.place).collect();
            places.sort();
            places
        };
        assert_eq!(places(sure), ["/", "/data"]);
        // Network file systems are omitted unless configured, and hold what is mounted within.
        assert_eq!(places(unsure), ["/mnt/a/disk", "/mnt/b"]);
    }
}
