//! The sessions of a running agent: which are open as the series say, what is kept of them, and the reports that are filed.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Agent, place};
use crate::clock::now;
use crate::config::Config;
use crate::http;
use crate::hub::Hub;
use crate::metrics::{OfReports, Own, Registry};
use crate::respond::sessions::{Make, Present, Sessions, WrittenReport, file_reports};
use crate::source::aside::apart;
use crate::view::report;

/// What the reading of the sessions is called while it lasts.
const SESSIONS: &str = "the sessions";
/// How long that may take, and the last write.
const PATIENCE: Duration = Duration::from_secs(2);
/// Their file in the state directory.
const FILE: &str = "sessions.json";

/// Sessions that are kept, and who files their reports.
#[derive(Debug)]
pub(super) struct Recordings {
    kept: Sessions,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Recordings {
    /// The agent's second.
    pub(super) fn look(&self, hub: &Hub, own: &Own) {
        let (told, present) = {
            let mut state = hub.lock();
            (state.take_sessions(), present(&state.registry))
        };
        self.kept.look(now(), &told, &present);
        let account = self.kept.account();
        own.reports_written.inc_by(account.written.saturating_sub(own.reports_written.get()));
        own.report_failures.inc_by(account.failures.saturating_sub(own.report_failures.get()));
        own.reports_dropped.inc_by(account.dropped.saturating_sub(own.reports_dropped.get()));
        for (operation, fails) in [("session", account.failing), ("cleanup", account.untidy)] {
            own.reports_failing.get_or_create_owned(&OfReports { operation }).set(fails.into());
        }
        own.reports_size.set(i64::try_from(account.bytes).unwrap_or(i64::MAX));
    }

    /// Writes what is not written. A report that is being written is finished after the next start.
    pub(super) async fn end(self) {
        self.stop.cancel();
        drop(tokio::time::timeout(PATIENCE, self.task).await);
        let kept = self.kept;
        drop(tokio::task::spawn_blocking(move || kept.stop()).await);
    }
}

/// The file in which the agent of a configuration keeps its sessions.
#[must_use]
pub fn sessions_file(config: &Config) -> Option<std::path::PathBuf> {
    let folder = config.state_directory.clone().or_else(place::state_folder);
    folder.map(|folder| folder.join(FILE))
}

/// Programs that record, and streams with a fixed rate.
fn present(registry: &Registry) -> Present {
    let mut present = Present::default();
    for sample in registry.samples("neural_program_state") {
        if sample.value == 1.0
            && sample.label("state").is_some_and(|state| state == "recording")
            && let Some(source) = sample.label("source")
        {
            present.programs.push((source.clone().into_owned(), source.into_owned()));
        }
    }
    for sample in registry.samples("neural_stream_nominal_rate_hertz").filter(|sample| sample.value > 0.0) {
        let label = |name: &str| sample.label(name).unwrap_or_default().into_owned();
        let (source, stream) = (label("source"), label("stream"));
        present.streams.push((format!("{source}/{stream}/{}", label("machine")), stream));
    }
    present
}

impl Agent {
    /// Keeps sessions, and files their reports as the configuration says now.
    pub(super) async fn keep_sessions(&self, sessions: &mut Option<Recordings>) {
        let settings = &self.config.reports;
        if let Some(recordings) = sessions {
            recordings.kept.configure(settings);
            return;
        }
        let file = sessions_file(&self.config);
        let hub = self.hub.clone();
        let opened = apart(SESSIONS, PATIENCE, move || {
            // It is called when the hub is not held.
            Sessions::open(file, Box::new(move || hub.lock().ring()))
        });
        let kept = match opened.await {
            Ok(kept) => kept,
            Err(why) => {
                tracing::error!("no sessions are kept: {why}");
                return;
            }
        };
        kept.configure(settings);
        self.site.sessions.store(Some(Arc::new(http::Sessions(Box::new(kept.clone())))));
        let stop = CancellationToken::new();
        let task = tokio::spawn(file_reports(kept.clone(), self.make_reports(), stop.clone()));
        *sessions = Some(Recordings { kept, stop, task });
    }

    /// What makes the reports that are filed.
    pub(super) fn make_reports(&self) -> Arc<Make> {
        let site = self.site.clone();
        Arc::new(move |session, time| {
            let report = site.filed(session, time)?;
            let json = serde_json::to_string(&report).map_err(|error| error.to_string())?;
            let (html, verdict) = (report::write_html(&report), report.usable.sentence.clone());
            let said: Vec<String> = report.verdict.sentences.iter().map(|said| said.text.clone()).collect();
            Ok(WrittenReport { html, json, verdict, said })
        })
    }
}
