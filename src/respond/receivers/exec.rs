//! A program that is run for each notification. It takes one by ending well.
//!
//! It hears what Alertmanager's webhook carries. One that fails is run again, a bounded number of times for a notification; then the
//! notification waits for its group's next time, as one that a server refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::text::written;
use super::{Deliver, Failure, SendFuture, Target, Trace};
use crate::alert::dispatch::{Message, Status};
use crate::render::{Program, message};
use crate::source::poller::exec::launch::{Run, environment, variable};
use crate::trace::TraceContext;

/// Runs of a program for one notification.
const RUNS: u32 = 5;
/// Notifications whose runs are counted.
const COUNTED: usize = 1_000;
/// Bytes that it may print; one that prints more is ended.
const OUTPUT: usize = 1 << 20;

#[derive(Debug)]
struct Exec {
    program: Program,
    /// How often it failed, by group and when the notification was put together.
    failures: Mutex<BTreeMap<(Arc<str>, i64), u32>>,
}

impl Deliver for Exec {
    fn deliver<'a>(&'a self, message: &'a Message, url: &'a str, trace: Trace<'a>) -> SendFuture<'a> {
        Box::pin(async move {
            let patience = self.program.timeout.0;
            let late = |_| Err(format!("it took more than {} s and was ended", patience.as_secs_f64()));
            let run = tokio::time::timeout(patience, self.run(message, url, trace));
            self.account(message, run.await.unwrap_or_else(late).err())
        })
    }
}

impl Exec {
    async fn run(&self, message: &Message, url: &str, trace: Trace<'_>) -> Result<(), String> {
        let own = environment(&self.program.environment, self.program.timeout.0).await?;
        let secrets: Vec<&str> =
            own.values().map(String::as_str).chain(self.program.command.secrets()).collect();
        // The whole text is in the JSON.
        let title = written(message::TITLE, message, url).unwrap_or_default();
        let mut all = variables(message, &title);
        all.extend(trace.into_iter().flat_map(TraceContext::variables));
        all.extend(own.clone());
        let run = Run {
            command: &self.program.command,
            environment: &all,
            input: &message.json(url),
            patience: self.program.timeout.0,
        };
        run.finish(Some(OUTPUT)).await?.success(&self.program.command, secrets).map(drop)
    }

    /// Counts how often it failed for a notification: from some number on it is for good.
    fn account(&self, message: &Message, why: Option<String>) -> Result<(), Failure> {
        let key = (message.group_key.clone(), message.at);
        let mut failures = self.failures.lock();
        let Some(why) = why else {
            failures.remove(&key);
            return Ok(());
        };
        if failures.len() >= COUNTED {
            failures.clear();
        }
        let count = failures.entry(key.clone()).or_default();
        *count += 1;
        if *count < RUNS {
            return Err(Failure::passing(why));
        }
        failures.remove(&key);
        Err(Failure::lasting(why))
    }
}

/// What a program that reads no JSON needs.
fn variables(message: &Message, title: &str) -> BTreeMap<String, String> {
    let common = message.common_labels();
    let count = |status| message.with_status(status).count().to_string();
    let all = [
        ("NEURAL_STATUS", message.status().as_str().to_owned()),
        ("NEURAL_TITLE", title.to_owned()),
        ("NEURAL_RECEIVER", message.receiver.to_string()),
        ("NEURAL_ALERT", common.get("alertname").to_owned()),
        ("NEURAL_PRIORITY", common.get("priority").to_owned()),
        ("NEURAL_SEVERITY", common.get("severity").to_owned()),
        ("NEURAL_FIRING", count(Status::Firing)),
        ("NEURAL_RESOLVED", count(Status::Resolved)),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), variable(&value))).collect()
}

pub(super) fn open(of: &Program) -> Result<Target, String> {
    let name = of.command.expose().first().filter(|name| !name.is_empty()).ok_or("its command is empty")?;
    let identity = of.command.expose().join("\0");
    let exec = Exec { program: of.clone(), failures: Mutex::new(BTreeMap::new()) };
    Ok(Target::new("exec", name, &identity, exec))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::respond::receivers::text::testing::message;

    fn program(script: &str, timeout: &str) -> Exec {
        let text = format!(
            "{{command: [sh, -c, '{script}'], timeout: {timeout}, environment: {{OWN: a-long-secret}}}}"
        );
        Exec { program: serde_yaml::from_str(&text).unwrap(), failures: Mutex::new(BTreeMap::new()) }
    }

    #[tokio::test]
    async fn it_hears_what_a_webhook_hears_in_a_bare_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let script = format!("cat > {0}/in; env > {0}/env", folder.path().display());
        let of = program(&script, "10s");
        let two = message(2, "P0", "critical", Status::Firing);
        assert_eq!(of.deliver(&two, "http://lab", None).await, Ok(()));
        assert_eq!(std::fs::read(file("in")).unwrap(), two.json("http://lab"));
        let text = std::fs::read_to_string(file("env")).unwrap();
        let names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        for line in [
            "NEURAL_STATUS=firing",
            "NEURAL_TITLE=P0 X: firing (2)",
            "NEURAL_ALERT=X",
            "NEURAL_FIRING=2",
            "OWN=a-long-secret",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
        let known = |name: &&&str| {
            name.starts_with("NEURAL_") || ["OWN", "PATH", "PWD", "SHLVL", "_"].contains(*name)
        };
        assert_eq!(names.iter().filter(known).count(), names.len(), "{names:?}");
        // A label that is as long as a program's arguments may be, or has what no variable has.
        let long = message(1, &"x".repeat(3_000_000), "a\0b", Status::Firing);
        assert_eq!(of.deliver(&long, "", None).await, Ok(()));
        assert!(std::fs::read_to_string(file("env")).unwrap().contains("NEURAL_SEVERITY=ab\n"));
    }

    #[tokio::test]
    async fn one_that_fails_is_run_again_and_not_for_ever() {
        let of = program("echo $OWN is not a command >&2; exit 3", "10s");
        let one = message(1, "P0", "critical", Status::Firing);
        for run in 1..=RUNS {
            let Failure { why, lasts } = of.deliver(&one, "", None).await.unwrap_err();
            assert_eq!(why, "sh failed (exit status: 3), saying: *** is not a command");
            assert_eq!(lasts, run == RUNS);
        }
        assert!(!of.deliver(&one, "", None).await.unwrap_err().lasts, "it is counted from the beginning");
        // One that succeeds meanwhile has no failures.
        assert_eq!(of.account(&one, None), Ok(()));
        assert!(of.failures.lock().is_empty());
    }

    #[tokio::test]
    async fn one_that_hangs_or_prints_for_ever_is_ended() {
        let one = message(1, "P0", "critical", Status::Firing);
        let folder = tempfile::tempdir().unwrap();
        let child = folder.path().join("child");
        let script = format!("sleep 60 & echo $! > {}; wait", child.display());
        let why = program(&script, "500ms").deliver(&one, "", None).await.unwrap_err().why;
        assert_eq!(why, "it took more than 0.5 s and was ended");
        let id = std::fs::read_to_string(&child).unwrap();
        let stat = format!("/proc/{}/stat", id.trim());
        let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        for _ in 0..100 {
            if runs() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
        assert!(!runs());
        let why = program("yes", "20s").deliver(&one, "", None).await.unwrap_err().why;
        assert!(why.contains("more than 1048576 bytes"), "{why}");
    }
}
