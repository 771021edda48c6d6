//! Where things are put when nobody says where.

use std::path::PathBuf;

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

/// The folder for what outlives a restart.
#[must_use]
pub(super) fn state_folder() -> Option<PathBuf> {
    let from = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    from("STATE_DIRECTORY")
        .or_else(|| from("XDG_STATE_HOME").map(|f| f.join("neural-exporter")))
        .or_else(|| from("HOME").map(|f| f.join(".local/state/neural-exporter")))
}

/// The user that runs the agent: the owner of its own entry in `/proc`.
fn user_id() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").map_or(u32::MAX, |m| m.uid())
}
