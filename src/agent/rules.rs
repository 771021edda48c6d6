//! The rules of a running agent: which ones, what they look at, and who is notified.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::elsewhere::Listener;
use super::incidents::IncidentLog;
use super::{Agent, place};
use crate::alert::{Act, RuleFile};
use crate::catalog::{OWN, PAGES, Page};
use crate::config::Config;
use crate::http::{Delivered, Deliveries, Groups, Silencer};
use crate::metrics::{Notified, OfState, Own};
use crate::promql::Labels;
use crate::respond::lines::Lines;
use crate::respond::{Account, Delivery, Desk, Left, Notifier, RuleSource, Rules, States};
use crate::source::aside::apart;
use crate::store::{Observer, Tick};

/// What the reading of the states is called while it lasts.
const STATES: &str = "the states of alerts";
/// What the reading of the notification log is called while it lasts.
const LOG: &str = "the notification log";
/// How long that may take, and the last notices.
const PATIENCE: Duration = Duration::from_secs(2);

/// What evaluates rules, and what sends alerts.
#[derive(Debug, Default)]
pub(super) struct Evaluation {
    /// Rules that take the place of those that run, for the history's thread.
    next: Arc<Mutex<Option<Rules>>>,
    notifier: Arc<Notifier>,
    desk: Option<Arc<Desk>>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// The rules on the history's thread.
struct Observing {
    rules: Option<Rules>,
    next: Arc<Mutex<Option<Rules>>>,
    own: Arc<Own>,
}

impl Observer for Observing {
    fn observe(&mut self, at: i64, tick: &Tick<'_>, woken: bool) {
        if let Some(mut next) = self.next.lock().take() {
            if let Some(old) = self.rules.take() {
                next.take_over(old);
            }
            self.rules = Some(next);
        }
        if let Some(rules) = &mut self.rules {
            rules.observe(at, tick, woken);
            show(&self.own, rules.account());
        }
    }

    fn due(&self) -> Option<i64> {
        self.rules.as_ref().and_then(Rules::due)
    }

    fn end(&mut self) {
        if let Some(rules) = &mut self.rules {
            rules.stop();
        }
    }
}

impl Evaluation {
    /// What looks at each scrape of the history. Without rules it looks at nothing.
    pub(super) fn observer(&self, own: Arc<Own>) -> Box<dyn Observer> {
        Box::new(Observing { rules: None, next: self.next.clone(), own })
    }

    /// Sends what is to be sent a last time.
    pub(super) async fn end(&mut self) {
        self.stop.cancel();
        let mut tasks: Vec<JoinHandle<()>> = self.tasks.drain(..).collect();
        let last = async {
            for task in &mut tasks {
                // A panic was said by the hook.
                drop(task.await);
            }
        };
        if tokio::time::timeout(PATIENCE, last).await.is_err() {
            // What was not sent is in the state file.
            tasks.iter().for_each(JoinHandle::abort);
        }
    }
}

/// The rules that a configuration wants evaluated: those that are generated from it, and those of its files.
fn sources(config: &Config) -> Vec<RuleSource> {
    let pages: Vec<&Page> =
        PAGES.iter().copied().chain(OWN.iter().copied()).chain(config.pages.0.iter().copied()).collect();
    let mut sources = Vec::new();
    for file in crate::render::rule_files(&pages, &config.settings()) {
        match RuleFile::read(&file.path, &file.text) {
            Ok(read) => {
                let of_file = |group| RuleSource { file: file.path.clone(), group };
                sources.extend(read.groups.into_iter().map(of_file));
            }
            // A test reads each of them; a pack's expression is checked when the pack is read.
            Err(problems) => {
                problems.iter().for_each(|problem| tracing::error!("a generated rule is wrong: {problem}"));
            }
        }
    }
    sources.extend(
        config.rules.0.iter().map(|(file, group)| RuleSource { file: file.clone(), group: group.clone() }),
    );
    sources
}

impl Agent {
    /// Begins to evaluate what the configuration says, in the place of what is evaluated now.
    pub(super) async fn evaluate(
        &self,
        evaluation: &mut Evaluation,
        incidents: &IncidentLog,
        events: &Lines,
    ) {
        evaluation.end().await;
        evaluation.stop = CancellationToken::new();
        let config = &self.config;
        let wanted = config.evaluates();
        if !wanted && (config.respond.notify || !config.respond.alertmanagers.is_empty()) {
            tracing::warn!(
                "nobody is notified: the agent evaluates no rules, because they are pushed to a server that does, or there is no \
                 history\n  hint: set alerts.evaluate: true"
            );
        }
        let folder = config.state_directory.clone().or_else(place::state_folder).filter(|_| wanted);
        let notifier = self.notifier(evaluation, wanted, folder.clone()).await;
        let notifier = notifier.unwrap_or_else(|why| {
            tracing::error!("nobody is notified: {why}");
            Notifier::default()
        });
        let external_labels = Labels::from_pairs(&config.alerts.external_labels);
        evaluation.notifier = Arc::new(notifier.with_external_labels(external_labels));
        self.site.silencer.store(evaluation.desk.clone().map(|desk| {
            let silences = desk.silences();
            Arc::new(Silencer { silences, changed: Box::new(move || desk.silences_changed()) })
        }));
        let notifier = evaluation.notifier.clone();
        let deliveries = move || notifier.deliveries().into_iter().map(delivered).collect();
        self.site.notified.store(Some(Arc::new(Deliveries(Box::new(deliveries)))));
        let step = i64::try_from(config.history.interval.0.as_millis()).unwrap_or(i64::MAX);
        let metrics = PAGES.iter().flat_map(|page| page.metrics);
        let prompt: Vec<String> =
            metrics.filter(|metric| metric.prompt).map(|metric| metric.family()).collect();
        let prompt = |name: &str| prompt.iter().any(|known| known == name);
        let url = self.url();
        self.listen_elsewhere(evaluation, wanted);
        let sources = if wanted { sources(config) } else { Vec::new() };
        let resend = i64::try_from(config.respond.resend_delay.0.as_millis()).unwrap_or(i64::MAX);
        let mut rules =
            Rules::new(sources, evaluation.notifier.clone(), step, &url, &prompt).resending(resend);
        rules.report_to(incidents.kept().filter(|_| wanted), events.clone());
        if let Some(folder) = folder {
            let path = folder.join("alerts.json");
            match apart(STATES, PATIENCE, move || States::read(path)).await {
                Ok(states) => rules.keep_in(states),
                Err(why) => tracing::warn!("the states of alerts are not kept: {why}"),
            }
        }
        let shared = rules.shared();
        self.site.rules.store(Some(Arc::new(Groups(Box::new(move |see| shared.visit(see))))));
        *evaluation.next.lock() = Some(rules);
    }

    /// Where another server evaluates the rules, and the configuration says which one answers, its alerts are looked at.
    fn listen_elsewhere(&self, evaluation: &mut Evaluation, wanted: bool) {
        self.site.elsewhere.store(None);
        let config = &self.config;
        let Some(server) = config.ask.prometheus.clone().filter(|_| !wanted) else { return };
        let groups = sources(config).into_iter().map(|source| source.group);
        let names = groups.flat_map(|group| group.rules).filter_map(|rule| match rule.act {
            Act::Alert { name, .. } => Some(name),
            Act::Record(_) => None,
        });
        let (known, job, instance) = (names.collect(), config.alerts.job.clone(), self.instance());
        let listener = Listener { server, known, job, instance };
        let listening = listener.listen(self.site.clone(), evaluation.stop.clone());
        evaluation.tasks.push(tokio::spawn(listening));
    }

    /// Who is notified of what is evaluated, and the tasks that send.
    async fn notifier(
        &self,
        evaluation: &mut Evaluation,
        wanted: bool,
        folder: Option<PathBuf>,
    ) -> Result<Notifier, String> {
        let config = &self.config;
        let before = evaluation.desk.take();
        if !wanted || !config.respond.notify {
            let servers = if wanted { &config.respond.alertmanagers[..] } else { &[] };
            let (notifier, tasks) = Notifier::new(servers, &self.tracing.parent, &evaluation.stop)?;
            evaluation.tasks = tasks.into_iter().map(tokio::spawn).collect();
            return Ok(notifier);
        }
        let mut file = folder.map(|folder| folder.join("notifications.json"));
        let left = match (before, &file) {
            (Some(before), _) => before.leave(),
            (None, None) => Left::default(),
            (None, Some(path)) => {
                let path = path.clone();
                apart(LOG, PATIENCE, move || Left::read(&path)).await.unwrap_or_else(|why| {
                    tracing::warn!("the notification log is not kept: {why}");
                    file = None;
                    Left::default()
                })
            }
        };
        let (url, trace) = (self.url(), self.tracing.parent.clone());
        let desk = Arc::new(Desk::new(&config.alerts, &url, trace, left, file)?);
        evaluation.tasks.push(tokio::spawn(desk.clone().run(evaluation.stop.clone())));
        evaluation.desk = Some(desk.clone());
        Ok(Notifier::to(desk))
    }

    /// Updates the metrics of what is sent.
    pub(super) fn look_at_notifier(&self, evaluation: &Evaluation) {
        let own: &Own = &self.own;
        for delivery in evaluation.notifier.deliveries() {
            let server = Notified { integration: delivery.integration, receiver: delivery.receiver.clone() };
            for (counters, now) in [
                (&own.notifications, delivery.sent),
                (&own.notification_failures, delivery.failures),
                (&own.notifications_dropped, delivery.dropped),
            ] {
                let counter = counters.get_or_create_owned(&server);
                // It begins again with a reload.
                counter.inc_by(now.saturating_sub(counter.get()));
            }
            let waiting = i64::try_from(delivery.waiting).unwrap_or(i64::MAX);
            own.notifications_waiting.get_or_create_owned(&server).set(waiting);
            own.notification_latency.get_or_create_owned(&server).set(delivery.latency);
        }
    }
}

/// How it went with one receiver, for the page.
fn delivered(of: Delivery) -> Delivered {
    let Delivery { integration, receiver, waiting, sent, failures, failing, .. } = of;
    Delivered {
        receiver: format!("{integration} {receiver}"),
        failing: failing.is_some(),
        sent,
        failures,
        waiting,
    }
}

/// Shows how the evaluation goes.
fn show(own: &Own, account: Account) {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    for (state, alerts) in [("pending", account.alerts.0), ("firing", account.alerts.1)] {
        own.alerts.get_or_create_owned(&OfState { state }).set(number(alerts));
    }
    for (counter, now) in
        [(&own.rule_evaluations, account.evaluations), (&own.rule_failures, account.failures)]
    {
        counter.inc_by(now.saturating_sub(counter.get()));
    }
    own.rule_seconds.inc_by((account.seconds - own.rule_seconds.get()).max(0.0));
}
