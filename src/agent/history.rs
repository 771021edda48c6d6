//! The history of a running agent: begun with it, looked at each few seconds, ended last.

use std::sync::Arc;
use std::time::Duration;

use super::{Agent, VITALS, place, summary};
use crate::config::Config;
use crate::history::Target;
use crate::http::Forget;
use crate::listen::Address;
use crate::promql::Storage;
use crate::remote_write::{self, Common, Senders};
use crate::store::{History, Observer, Running, Scrape};

/// The file in which the agent of a configuration keeps its history.
#[must_use]
pub fn history_file(config: &Config) -> Option<std::path::PathBuf> {
    let folder = config.state_directory.clone().or_else(place::state_folder);
    config.history.options(folder, Target::default(), 0).file
}

/// What is remembered, and who is sent it.
pub(super) struct Memory {
    running: Running,
    senders: Senders,
}

/// How long the disk may take at the end.
const PATIENCE: Duration = Duration::from_secs(2);

impl Agent {
    /// Begins to remember, if that is wanted. Without its threads the agent runs on without a history.
    pub(super) fn remember(&self, observer: Box<dyn Observer>) -> Option<Memory> {
        let settings = &self.config.history;
        if !settings.enabled {
            return None;
        }
        let folder = self.config.state_directory.clone().or_else(place::state_folder);
        if folder.is_none() {
            tracing::warn!(
                "there is no state directory: the history is kept in memory alone; name one as state_directory"
            );
        }
        let positions = folder.clone();
        let target = Target { job: self.config.alerts.job.clone(), instance: self.instance() };
        let options = settings.options(folder, target, self.config.limits.series);
        let site = self.site.clone();
        // Nobody else is told when a series began.
        let begins = self.config.remote_write.iter().any(remote_write::Settings::tells_begins);
        let scrape: Box<Scrape> = if begins {
            Box::new(move |read| site.scrape_with_begins(read))
        } else {
            Box::new(move |read| site.scrape(read))
        };
        let running = History::start(options, scrape, Some(observer));
        let running = running
            .inspect_err(|error| tracing::warn!(%error, "there is no history: no thread for it"))
            .ok()?;
        let storage: Arc<dyn Storage> = running.history().clone();
        drop(self.site.history.set(storage));
        let history = running.history().clone();
        drop(self.site.forget.set(Forget(Box::new(move |days| history.forget(days)))));
        let history = running.history().clone();
        self.hub.lock().set_alarm(Box::new(move || history.wake()));
        let site = self.site.clone();
        let common = Common {
            history: running.history().clone(),
            scrape: Arc::new(move |read| site.scrape(read)),
            own: self.own.clone(),
            folder: positions,
        };
        let senders = Senders::start(&self.config.remote_write, &common);
        Some(Memory { running, senders })
    }

    /// The label `instance` that a Prometheus on this machine would give the agent: the first address that it listens on.
    pub(super) fn instance(&self) -> String {
        let first = self.config.listen.iter().find_map(|address| match address {
            Address::Tcp(address) => Some(*address),
            Address::Systemd(_) => None,
        });
        match first {
            Some(address) if address.ip().is_unspecified() => {
                let host = sysinfo::System::host_name().unwrap_or_else(|_| "localhost".into());
                format!("{host}:{}", address.port())
            }
            Some(address) => address.to_string(),
            None => "localhost".into(),
        }
    }

    /// Updates the metrics of the history, and writes a summary of it into the log, each in its time.
    pub(super) fn look_at_history(&self, seconds: u64, history: Option<&Memory>) {
        let Some(history) = history.map(|memory| memory.running.history()) else { return };
        if seconds.is_multiple_of(VITALS) {
            self.measure_history(history);
        }
        self.look_at_baselines(seconds);
        let window = self.config.log.summary;
        if window.0.as_secs() > 0 && seconds > 0 && seconds.is_multiple_of(window.0.as_secs()) {
            summary::say(history.clone(), window);
        }
    }

    fn measure_history(&self, history: &History) {
        let (own, status) = (&self.own, history.status());
        let number = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        own.history_series.set(number(status.series));
        own.history_memory.set(number(status.memory_bytes + status.series_bytes));
        own.history_file.set(i64::try_from(status.file_bytes).unwrap_or(i64::MAX));
        own.history_failing.set(status.failing.is_some().into());
        for (counter, now) in [
            (&own.history_refused, status.refused),
            (&own.history_lost, status.lost),
            (&own.history_damaged, status.damaged),
        ] {
            counter.inc_by(now.saturating_sub(counter.get()));
        }
    }
}

/// Ends it.
pub(super) async fn forget(memory: Option<Memory>) {
    if let Some(Memory { running, senders }) = memory {
        senders.stop().await;
        // It waits for its threads.
        drop(tokio::task::spawn_blocking(move || running.stop(PATIENCE)).await);
    }
}
