//! The push when the agent starts: in the background, and never in the way of what is measured.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::files::files;
use crate::backoff::within;
use crate::clock::now;
use crate::config::Config;
use crate::metrics::{Own, PushedObjects};
use crate::provision::{Bundle, Ending, How, Operation, Outcome, RESULTS, Report, Run, line, run};
use crate::quote::quote;
use crate::source::aside::apart;

/// The first pause before servers that were not there are tried again; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(15);
/// How long a push that is broken off may take to end.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the first push waits at most, by chance: agents of a room that start at once do not push at once.
const SPREAD: Duration = Duration::from_secs(10);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(900);

/// A push that is under way, or over.
#[derive(Debug, Default)]
pub(super) struct Push {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Push {
    /// Starts it, if the configuration wants it.
    pub(super) fn start(config: &Config, own: &Arc<Own>) -> Self {
        let settings = &config.provision;
        if !settings.at_start || settings.targets.is_empty() {
            return Self::default();
        }
        let stop = CancellationToken::new();
        let (ended, config, own) = (stop.clone(), config.clone(), own.clone());
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(async {
                    tokio::select! {
                        () = ended.cancelled() => {}
                        () = push(&config, &own) => {}
                    }
                }),
                Err(why) => tracing::error!("nothing was pushed: {why}"),
            }
        };
        // It reads and writes files of others: a disk that does not answer holds it, and must hold nobody else.
        let task = tokio::spawn(async move {
            if let Err(why) = apart("the push", Duration::MAX, work).await {
                tracing::error!("the push failed: {why}");
            }
        });
        Self { stop, task: Some(task) }
    }

    /// Breaks it off and waits for its end, for a while: one that a disk holds ends with the process.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if let Some(task) = self.task {
            let abort = task.abort_handle();
            if tokio::time::timeout(PATIENCE, task).await.is_err() {
                abort.abort();
            }
        }
    }
}

async fn push(config: &Config, own: &Own) {
    let rendering = config.clone();
    let rendered = tokio::task::spawn_blocking(move || Bundle::of(files(&rendering))).await;
    let bundle = match rendered {
        Ok(Ok(bundle)) => bundle,
        Ok(Err(wrong)) => return tracing::error!("nothing was pushed:\n{}", wrong.join("\n")),
        Err(_) => return tracing::error!("nothing was pushed: the files cannot be generated"),
    };
    let targets = match config.targets() {
        Ok(targets) => targets,
        Err(why) => return tracing::error!("nothing was pushed: {why}"),
    };
    let settings = &config.provision;
    let how = How { force: false, prune: settings.prune };
    let (owner, wait) = (config.alerts.job.clone(), settings.wait.0);
    let mut what = Run { operation: Operation::Apply, dry: false, only: Vec::new(), how, owner, wait };
    let mut tell = |outcome: &Outcome| {
        let text = line(Operation::Apply, outcome);
        match outcome.result() {
            "failed" | "refused" => tracing::warn!("{}", quote(text)),
            "unchanged" => {}
            "left" => tracing::debug!("{}", quote(text)),
            _ => tracing::info!("{}", quote(text)),
        }
    };
    tokio::time::sleep(within(SPREAD)).await;
    let mut pause = PAUSE;
    loop {
        let report = run(&targets, &bundle, &what, &mut tell).await;
        for trouble in &report.troubles {
            tracing::error!("{}: {}", trouble.target, quote(&trouble.why));
        }
        tracing::info!("pushed:\n{}", report.summary().trim_end());
        for target in report.targets() {
            count(&report, target, own);
        }
        // A server that was not there may come; one that was asked has said what it had to say.
        what.only = report.troubles.iter().map(|trouble| trouble.target.clone()).collect();
        if what.only.is_empty() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

fn count(report: &Report, name: &str, own: &Own) {
    let target = || name.to_owned();
    for result in RESULTS {
        let number = i64::try_from(report.count(name, result)).unwrap_or(i64::MAX);
        own.provision_objects.get_or_create_owned(&PushedObjects { target: target(), result }).set(number);
    }
    let mut part = Report::new(report.operation);
    part.outcomes = report.outcomes.iter().filter(|o| o.target == name).cloned().collect();
    part.troubles = report.troubles.iter().filter(|t| t.target == name).cloned().collect();
    if part.ending() == Ending::Fine {
        own.in_place(name, now());
    }
}
