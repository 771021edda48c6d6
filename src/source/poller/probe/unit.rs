//! Whether a unit of systemd is active, as `systemctl` tells it.
//!
//! A control group shows processes alone, and a unit may be active without any: a mount, a socket, a service that did
//! its work. The bus of systemd would need a client for it. `systemctl` is there wherever systemd runs; without systemd
//! it is not started at all.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::exec::launch::{CommandEnd, Run, said};
use super::state::Outcome;
use super::target::{Ask, Target};

/// A folder that exists while systemd runs the machine.
const BOOTED: &str = "/run/systemd/system";

/// The name of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Unit(String);

impl Target for Unit {
    fn place(&self) -> String {
        full(&self.0)
    }

    fn open(&self, _name: &str, timeout: Duration) -> Result<Ask, String> {
        let unit = full(&self.0);
        // `systemctl` takes patterns as well, and would then tell of several.
        let known = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if self.0.is_empty() || !unit.chars().all(known) {
            return Err(format!("\"{}\" is no name of a unit; write it as name.service", self.0));
        }
        let words = ["systemctl", "show", "--property=LoadState,ActiveState,SubState", "--", &unit];
        let command = Arc::new(words.map(str::to_owned).to_vec().into());
        Ok(Box::new(move || {
            let (unit, command) = (unit.clone(), Arc::clone(&command));
            Box::pin(async move {
                if !Path::new(BOOTED).is_dir() {
                    return Outcome::Unknown(format!("cannot look at {unit}: systemd does not run here"));
                }
                let run =
                    Run { command: &command, environment: &BTreeMap::new(), input: &[], patience: timeout };
                match run.finish(None).await {
                    Ok(ended) => judge(&unit, &ended),
                    Err(why) => Outcome::Unknown(why),
                }
            })
        }))
    }
}

/// The whole name of a unit.
fn full(unit: &str) -> String {
    if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") }
}

fn judge(unit: &str, ended: &CommandEnd) -> Outcome {
    let printed = String::from_utf8_lossy(&ended.printed);
    let of = |key: &str| {
        let line = printed.lines().find_map(|line| line.split_once('=').filter(|(name, _)| *name == key));
        line.map(|(_, value)| value)
    };
    match (ended.status.success(), of("LoadState"), of("ActiveState"), of("SubState")) {
        // Those that `systemctl is-active` finds good.
        (true, _, Some("active" | "reloading" | "refreshing"), _) => Outcome::Good,
        (true, Some("not-found"), Some(_), _) => Outcome::Bad(format!("there is no unit {unit}")),
        (true, _, Some(active), sub) => {
            Outcome::Bad(format!("{unit} is {active} ({})", sub.unwrap_or("its state has no name")))
        }
        _ => Outcome::Unknown(format!(
            "systemctl does not tell how {unit} is ({}): {}",
            ended.status,
            said(&ended.complaint, [])
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn judged(code: i32, printed: &str, complaint: &str) -> Outcome {
        let status = ExitStatus::from_raw(code << 8);
        judge("a.service", &CommandEnd { status, printed: printed.into(), complaint: complaint.into() })
    }

    #[test]
    fn a_unit_is_as_its_active_state_says() {
        let of = |load: &str, active: &str, sub: &str| {
            judged(0, &format!("LoadState={load}\nActiveState={active}\nSubState={sub}\n"), "")
        };
        for (active, sub) in [("active", "running"), ("active", "exited"), ("reloading", "reload")] {
            assert_eq!(of("loaded", active, sub), Outcome::Good);
        }
        // One that is started again and again is never well.
        assert_eq!(
            of("loaded", "activating", "auto-restart"),
            Outcome::Bad("a.service is activating (auto-restart)".into())
        );
        assert_eq!(of("loaded", "failed", "failed").why(), "a.service is failed (failed)");
        assert_eq!(of("not-found", "inactive", "dead").why(), "there is no unit a.service");
        // A unit whose file was removed runs on.
        assert_eq!(of("not-found", "active", "running"), Outcome::Good);
    }

    #[test]
    fn what_systemctl_cannot_tell_is_unknown() {
        let why = judged(1, "", "Failed to connect to bus\n");
        assert_eq!(
            why,
            Outcome::Unknown(
                "systemctl does not tell how a.service is (exit status: 1): Failed to connect to bus".into()
            )
        );
        assert!(matches!(judged(0, "", ""), Outcome::Unknown(_)));
        assert!(matches!(judged(1, "ActiveState=active\n", ""), Outcome::Unknown(_)));
    }

    #[tokio::test]
    async fn without_systemd_nothing_is_known() {
        let open = |name: &str| Unit(name.into()).open("p", Duration::from_secs(5));
        for name in ["", "*.service", "a b", "a;b", "ä.service"] {
            assert!(open(name).is_err_and(|why| why.contains("no name of a unit")), "{name}");
        }
        if !Path::new(BOOTED).is_dir() {
            let why = open("neural-pipeline").unwrap()().await;
            let expected = "cannot look at neural-pipeline.service: systemd does not run here";
            assert_eq!(why, Outcome::Unknown(expected.into()));
        }
    }
}
