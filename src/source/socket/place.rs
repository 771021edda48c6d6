//! The socket that pipelines send events to when no other is configured, and its folder.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::file::make_folders;

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

/// Makes the folder of the default socket. Under the temporary directory another user may have made
/// it first, or a link of this name, and could then put a socket of their own instead.
///
/// # Errors
/// The folder cannot be made, or is not ours.
pub fn claim_folder(socket: &Path) -> io::Result<()> {
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
}
