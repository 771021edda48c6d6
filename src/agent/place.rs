//! Where things are put when nobody says where.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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
/// it first, and could then put a socket of their own in its place.
pub(super) fn claim_folder(socket: &Path) -> io::Result<()> {
    let Some(folder) = socket.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder)?;
    let owner = std::fs::metadata(folder)?.uid();
    if owner == user_id() || owner == 0 {
        return Ok(());
    }
    let why = format!("the folder {} belongs to another user", folder.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
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
    use super::*;

    #[test]
    fn a_folder_of_somebody_else_is_not_ours() {
        let shared = tempfile::tempdir().unwrap();
        let socket = shared.path().join("neural-exporter-1/events.sock");
        claim_folder(&socket).unwrap();
        // Root alone can give a folder away.
        if std::os::unix::fs::chown(socket.parent().unwrap(), Some(54_321), None).is_ok() {
            assert_eq!(claim_folder(&socket).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        }
    }
}
