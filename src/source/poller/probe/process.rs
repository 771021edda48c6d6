//! Whether a program runs, by the file name of its program.
//!
//! What belongs is decided as for a group of the source `process`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::process::find;
use super::state::Outcome;
use super::target::{Ask, Target};
use crate::source::aside::apart;

/// The program's file name, without its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Process(String);

impl Target for Process {
    fn place(&self) -> String {
        format!("processes of {}", self.0)
    }

    fn open(&self, _name: &str, timeout: Duration) -> Result<Ask, String> {
        let exe = self.0.clone();
        if exe.is_empty() || exe.contains('/') {
            return Err(format!("\"{exe}\" is no file name of a program; write it without its folder"));
        }
        // The one that was found last is looked at first: `/proc` as a whole takes longer.
        let last = Arc::new(AtomicU32::new(0));
        Ok(Box::new(move || {
            let (exe, last) = (exe.clone(), Arc::clone(&last));
            Box::pin(async move {
                let name = exe.clone();
                let key = format!("/proc, for {exe}");
                let look = move || {
                    let found = find(Path::new("/proc"), &name, last.load(Ordering::Relaxed));
                    last.store(found.as_ref().ok().copied().flatten().unwrap_or_default(), Ordering::Relaxed);
                    found
                };
                match apart(&key, timeout, look).await {
                    Ok(Ok(Some(_))) => Outcome::Good,
                    Ok(Ok(None)) => Outcome::Silent(format!("no process of {exe} runs")),
                    Ok(Err(why)) => Outcome::Unknown(format!("cannot list processes: {why}")),
                    Err(why) => Outcome::Unknown(why),
                }
            })
        }))
    }
}
