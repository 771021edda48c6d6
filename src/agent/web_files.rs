//! The files of the web configuration, while the agent runs: looked at every two seconds, and read again when they change.
//!
//! What is wrong in them is told once it was seen twice, because a certificate and its key are not replaced at the same moment;
//! until they are right, what was read before is served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Agent;
use crate::config::Config;
use crate::document::Problem;
use crate::http::{Site, WebConfig};
use crate::metrics::Own;
use crate::source::aside::apart;

/// Seconds between two looks at the files.
const LOOK: u64 = 2;
/// How long a look may take: a file server may not answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a look is called while it lasts.
const FILES: &str = "the web configuration";

/// What is known of the files.
#[derive(Debug, Default)]
pub(super) struct WebFiles {
    /// A look lasts.
    looking: AtomicBool,
    wrong: Mutex<Mistakes>,
}

/// What is wrong with them.
#[derive(Debug, Default)]
struct Mistakes {
    /// What the last look found.
    seen: Option<String>,
    /// What was told.
    told: Option<String>,
}

/// What a look found.
enum Look {
    /// What is served.
    Same,
    /// Something else, which may be served.
    Other(WebConfig),
    Mistaken(String),
}

impl Agent {
    /// How the agent is spoken to.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.config.web.has_tls() { "https" } else { "http" }
    }

    /// Where it is, as links to it begin.
    pub(super) fn url(&self) -> String {
        format!("{}://{}", self.scheme(), self.instance())
    }

    /// Serves by the web configuration that was read with the configuration.
    pub(super) fn apply_web(&self, config: &Config) {
        let web = &config.web;
        let open = config.open_to_others().map(|(addresses, lacks)| {
            let addresses = addresses.join(", ");
            format!(
                "Other machines reach {addresses} {lacks}. Listen on 127.0.0.1, or name certificates and users in a file: web_config."
            )
        });
        if let Some(open) = &open {
            tracing::warn!("{open}");
        }
        self.site.open.store(open.map(Arc::new));
        for note in web.notes() {
            tracing::warn!("the web configuration: {note}");
        }
        *self.web_files.wrong.lock() = Mistakes::default();
        self.site.set_web((**web).clone());
    }

    /// Looks at the files, aside, if it is time.
    pub(super) fn look_at_web(&self, seconds: u64) {
        let served = self.site.web();
        if !seconds.is_multiple_of(LOOK) || served.file().is_none() {
            return;
        }
        if self.web_files.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let (files, site, own) = (self.web_files.clone(), self.site.clone(), self.own.clone());
        drop(tokio::spawn(async move {
            let (before, always) = (served.clone(), files.wrong.lock().seen.is_some());
            let seen = apart(FILES, PATIENCE, move || look(&before, always)).await;
            files.take(seen.unwrap_or_else(Look::Mistaken), &served, &site, &own);
            files.looking.store(false, Ordering::Release);
        }));
    }
}

/// Reads the files, if they changed or something was wrong.
fn look(served: &WebConfig, always: bool) -> Look {
    let Some(path) = served.file().filter(|_| always || !served.is_current()) else { return Look::Same };
    match WebConfig::read(path) {
        Ok(read) => Look::Other(read),
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
            Look::Mistaken(lines.join("\n"))
        }
    }
}

impl WebFiles {
    fn take(&self, seen: Look, served: &Arc<WebConfig>, site: &Site, own: &Own) {
        let mut wrong = self.wrong.lock();
        if !Arc::ptr_eq(served, &site.web()) {
            // A reload was faster.
            return;
        }
        match seen {
            Look::Same => {}
            Look::Other(read) => {
                if read != **served {
                    for note in read.notes() {
                        tracing::warn!("the web configuration: {note}");
                    }
                    tracing::info!("the web configuration was reloaded");
                } else if wrong.told.is_some() {
                    tracing::info!("the web configuration is again the one that is active");
                }
                *wrong = Mistakes::default();
                site.set_web(read);
            }
            Look::Mistaken(why) => {
                let lasts = wrong.seen.as_ref() == Some(&why);
                if lasts && wrong.told.as_ref() != Some(&why) {
                    own.web_reload_failures.inc();
                    own.web_successful.set(0);
                    tracing::error!(
                        "the web configuration was not reloaded, the previous one stays active:\n{why}"
                    );
                    wrong.told = Some(why.clone());
                }
                wrong.seen = Some(why);
            }
        }
    }
}
