//! Where things are put when nobody says where.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::file::make_folders;
use crate::http::Names;

/// The socket that pipelines send events to: in systemd's runtime directory, in root's, in the
/// user's, or else in a folder of the user's own under the temporary directory.
#[must_use]
pub fn events_socket() -> PathBuf {
    runtime_folder().join("events.sock")
}

fn runtime_folder() -> PathBuf {
    let from = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(folder) = from("RUNTIME_DIRECTORY") {
        return folder;
    }
    let user = user_id();
    if user == 0 {
        return PathBuf::from("/run/neural-exporter");
    }
    match from("XDG_RUNTIME_DIR").filter(|f| f.is_dir()) {
        Some(folder) => folder.join("neural-exporter"),
        None => std::env::temp_dir().join(format!("neural-exporter-{user}")),
    }
}

/// Makes the folder of the default socket. Under the temporary directory somebody else may have made
/// it first, or a link of this name, and could then put a socket of their own in its place.
pub(super) fn claim_folder(socket: &Path) -> io::Result<()> {
    let Some(folder) = socket.parent() else { return Ok(()) };
    make_folders(socket)?;
    let ours = |about: &Metadata| about.uid() == user_id() || about.uid() == 0;
    let refused = |what: &str| {
        let why =
            format!("the folder {} {what}; remove it, or set listen to another place", folder.display());
        Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
    };
    // systemd makes links, as root.
    if !ours(&std::fs::symlink_metadata(folder)?) {
        return refused("belongs to another user");
    }
    let about = std::fs::metadata(folder)?;
    if !ours(&about) {
        return refused("leads to a folder of another user");
    }
    // As on the temporary directory itself, the sticky bit keeps others from what is ours.
    if about.mode() & 0o002 != 0 && about.mode() & 0o1000 == 0 {
        return refused("can be written by everybody");
    }
    Ok(())
}

/// The folder for what outlives a restart.
#[must_use]
pub(super) fn state_folder() -> Option<PathBuf> {
    let from = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    from("STATE_DIRECTORY")
        .or_else(|| from("XDG_STATE_HOME").map(|f| f.join("neural-exporter")))
        .or_else(|| from("HOME").map(|f| f.join(".local/state/neural-exporter")))
}

/// The names under which this machine is known, in its network too, and those that are configured.
pub(super) fn names(configured: Vec<String>) -> Names {
    let own = sysinfo::System::host_name().unwrap_or_default();
    let short = own.split('.').next().unwrap_or_default().to_owned();
    let resolver = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let domains = resolver
        .lines()
        .filter_map(|line| line.strip_prefix("search ").or_else(|| line.strip_prefix("domain ")))
        .flat_map(str::split_whitespace);
    let full = domains.chain(["local"]).map(|domain| format!("{short}.{domain}")).collect::<Vec<_>>();
    let own = full.into_iter().chain([own, short.clone()]).filter(|_| !short.is_empty());
    Names::new(own.chain(configured))
}

/// The user that runs the agent: the owner of its own entry in `/proc`.
fn user_id() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |m| m.uid())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    use super::*;

    #[test]
    fn a_folder_of_somebody_else_is_not_ours() {
        let shared = tempfile::tempdir().unwrap();
        let socket = shared.path().join("neural-exporter-1/events.sock");
        let folder = socket.parent().unwrap();
        let refused = || claim_folder(&socket).is_err_and(|e| e.kind() == io::ErrorKind::PermissionDenied);
        claim_folder(&socket).unwrap();
        assert_eq!(std::fs::metadata(folder).unwrap().mode() & 0o022, 0);
        let open = |mode| std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode)).unwrap();
        open(0o777);
        assert!(refused());
        open(0o755);
        claim_folder(&socket).unwrap();
        // Root alone can give a folder away.
        if chown(folder, Some(54_321), None).is_err() {
            return;
        }
        assert!(refused());
        // A link of ours to a folder of ours is fine; any other is not.
        let place = shared.path().join("elsewhere");
        std::fs::create_dir(&place).unwrap();
        std::fs::remove_dir(folder).unwrap();
        symlink(&place, folder).unwrap();
        claim_folder(&socket).unwrap();
        chown(&place, Some(54_321), None).unwrap();
        assert!(refused());
        chown(&place, Some(user_id()), None).unwrap();
        lchown(folder, Some(54_321), None).unwrap();
        assert!(refused());
    }

    /// The umask is the whole process's, so this is a process of its own.
    #[test]
    fn folders_are_closed_whatever_the_umask() {
        let shared = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        let inner = std::process::Command::new("sh")
            .args([
                "-c",
                "umask 000; exec \"$0\" --exact agent::place::tests::inner --ignored",
                program.to_str().unwrap(),
            ])
            .env("NEURAL_TEST_FOLDER", shared.path())
            .output()
            .unwrap();
        assert!(inner.status.success(), "{inner:?}");
        for made in ["run", "run/a", "state", "state/day.json", "a.rec"] {
            let about = std::fs::metadata(shared.path().join(made)).unwrap();
            assert_eq!(about.mode() & 0o022, 0, "{made}");
        }
    }

    #[test]
    #[ignore = "run by the test above"]
    fn inner() {
        let folder = PathBuf::from(std::env::var_os("NEURAL_TEST_FOLDER").unwrap());
        claim_folder(&folder.join("run/a/events.sock")).unwrap();
        let day = crate::analysis::Day { day: 1, tokens: 1.0, cost: 0.0 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(crate::agent::kept::Kept::open(Some(&folder.join("state"))).keep(Some(day)));
        drop(crate::sys::file::create(&folder.join("a.rec")).unwrap());
    }
}
