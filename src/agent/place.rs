//! Where things are put when nobody says where.

use std::path::PathBuf;

use crate::http::Names;

/// The folder for what outlives a restart.
#[must_use]
pub fn state_folder() -> Option<PathBuf> {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::source::socket::claim_folder;

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
    #[ignore = "the process that folders_are_closed_whatever_the_umask starts"]
    fn inner() {
        let folder = PathBuf::from(std::env::var_os("NEURAL_TEST_FOLDER").unwrap());
        claim_folder(&folder.join("run/a/events.sock")).unwrap();
        let day = crate::analysis::Day { day: 1, tokens: 1.0, cost: 0.0 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime
            .block_on(crate::agent::state_file::StateFile::open(Some(&folder.join("state"))).keep(Some(day)));
        drop(crate::sys::file::create(&folder.join("a.rec")).unwrap());
    }
}
