//! Whether a command says by its exit status that all is well, as plugins of Nagios and Icinga do.
//!
//! It is started, and killed when its time is up, as a command of the source `exec` is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::exec::launch::{CommandEnd, Run, said};
use super::state::Outcome;
use super::target::{Ask, Target};
use crate::secret::{Command, Exposed};

impl Target for Command {
    fn place(&self) -> String {
        self.to_string()
    }

    fn expose(&self, found: &mut Exposed<'_>) {
        if self.hides() {
            found.add("check.command", self, "a file that the program reads");
        }
    }

    fn open(&self, _name: &str, timeout: Duration) -> Result<Ask, String> {
        if self.expose().first().is_none_or(String::is_empty) {
            return Err("the command is empty; write [program, argument]".to_owned());
        }
        let command = Arc::new(self.clone());
        Ok(Box::new(move || {
            let command = Arc::clone(&command);
            Box::pin(async move {
                let run =
                    Run { command: &command, environment: &BTreeMap::new(), input: &[], patience: timeout };
                match run.finish(None).await {
                    Ok(ended) => judge(&command, &ended),
                    Err(why) => Outcome::Unknown(why),
                }
            })
        }))
    }
}

fn judge(command: &Command, ended: &CommandEnd) -> Outcome {
    // What a plugin has to say is the first line that it prints.
    let first = ended.printed.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = said(first, command.secrets());
    let words = if first.is_empty() { said(&ended.complaint, command.secrets()) } else { first };
    let why = if words.is_empty() {
        ended.status.to_string()
    } else {
        format!("{}, saying: {words}", ended.status)
    };
    match ended.status.code() {
        Some(0) => Outcome::Good,
        Some(1) => Outcome::Warning(why),
        Some(2) => Outcome::Bad(why),
        // 3 is a plugin that cannot tell. Anything else is no plugin's word: the check itself is broken.
        _ => Outcome::Unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(words: &[&str]) -> Outcome {
        let command = Command::from(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        command.open("p", Duration::from_secs(20)).unwrap()().await
    }

    #[tokio::test]
    async fn the_exit_status_says_how_it_is() {
        let shell = async |script: &str| ask(&["sh", "-c", script]).await;
        assert_eq!(shell("exit 0").await, Outcome::Good);
        assert_eq!(
            shell("echo 'DISK WARNING|free=3'; echo more; exit 1").await,
            Outcome::Warning("exit status: 1, saying: DISK WARNING|free=3".into())
        );
        assert_eq!(shell("echo late >&2; exit 2").await, Outcome::Bad("exit status: 2, saying: late".into()));
        for script in ["exit 3", "exit 4", "kill -9 $$"] {
            assert!(matches!(shell(script).await, Outcome::Unknown(_)), "{script}");
        }
        // More output than is kept is no error.
        assert_eq!(shell("yes | head -c 1000000").await, Outcome::Good);
    }

    #[tokio::test]
    async fn a_command_that_cannot_be_started_says_nothing_of_its_target() {
        let why = ask(&["/nowhere/at/all"]).await;
        assert!(matches!(&why, Outcome::Unknown(why) if why.starts_with("cannot run /nowhere")), "{why:?}");
        assert!(Command::from(Vec::new()).open("p", Duration::from_secs(1)).is_err());
    }

    #[tokio::test]
    async fn what_it_says_hides_its_secrets() {
        let why = ask(&["sh", "-c", "echo $1; exit 2", "x", "--password=hunter22"]).await;
        assert!(!why.why().contains("hunter22") && why.why().contains("***"), "{why:?}");
    }
}
