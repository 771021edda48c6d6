//! The agent's life: build (bind everything), run, drain.
//!
//! Nothing is spawned before everything is bound, so whatever cannot be opened is a returned
//! error; every task is joined.

mod baselines;
mod elsewhere;
mod events;
mod files;
mod gateway;
mod history;
mod incidents;
mod input;
pub mod live;
pub mod log;
mod notify;
mod place;
mod push;
mod read;
mod reload;
mod rules;
mod sessions;
mod state_file;
mod summary;
mod tasks;
mod traces;
mod web;
mod web_files;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::analysis::{Budget, Peaks};
use crate::catalog::{PAGES, limit, pipeline};
use crate::clock::now;
use crate::config::Config;
use crate::document::Problem;
use crate::event::{Body, Event, SourceId};
use crate::http::{self, Listed, Site};
use crate::hub::Hub;
use crate::listen::Address;
use crate::metrics::{Limits, LostLines, Own, Registry};
use crate::respond::lines::Lines;
use crate::source::aside::apart_at_start;
use crate::source::record::{RECORDED, Recorder};
use crate::source::request::Devices;
pub use crate::source::socket::events_socket;
use crate::source::{Feed, itself};
use crate::sys;
use baselines::Baselines;
use events::Journal;
pub use files::files;
use gateway::Gateways;
pub use history::history_file;
use incidents::IncidentLog;
use input::Input;
pub use place::state_folder;
use push::Push;
use read::Files;
pub use read::mapping_notes;
use reload::Reading;
use rules::Evaluation;
pub use sessions::sessions_file;
use state_file::StateFile;
use tasks::Maintenance;
use traces::Tracing;
use web::Web;
use web_files::WebFiles;

/// How long sources may take to end.
const GRACE: Duration = Duration::from_secs(5);
/// Seconds between two looks at what the agent costs.
const VITALS: u64 = 5;
/// Seconds between two looks for memory that can be given back to the system.
const TRIM: u64 = 30;
/// Seconds between two writes of what outlives a restart.
const KEEP: u64 = 30;

/// What the reading of the configuration is called while it lasts.
const CONFIGURATION: &str = "the configuration";
/// And that of the files that it names.
const FILES: &str = "the files of sources";

/// Why the agent could not be built.
#[derive(Debug)]
pub enum Failure {
    /// The configuration is wrong.
    Config(Vec<Problem>),
    /// Something could not be opened: all of it.
    Open(Vec<String>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = match self {
            Self::Config(problems) => problems.iter().map(Problem::to_string).collect(),
            Self::Open(lines) => lines.clone(),
        };
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Failure {}

/// Reads the configuration, at start and at each reload.
pub type Load = Box<dyn Fn() -> Result<Config, Vec<Problem>> + Send + Sync>;

/// An agent that has opened everything and started nothing.
pub struct Agent {
    hub: Arc<Hub>,
    own: Arc<Own>,
    site: Arc<Site>,
    load: Arc<dyn Fn() -> Result<Config, Vec<Problem>> + Send + Sync>,
    config: Config,
    /// Sources by name.
    inputs: BTreeMap<String, Input>,
    /// The ids of all sources there ever were: a source that comes back continues with its series.
    ids: HashMap<String, SourceId>,
    web: Vec<(Address, TcpListener)>,
    /// What is known of the files of the web configuration.
    web_files: Arc<WebFiles>,
    asked: mpsc::Receiver<http::Reload>,
    recorder: Option<Arc<Recorder>>,
    state_file: Arc<StateFile>,
    /// The devices that hooks can ask for something.
    devices: Devices,
    /// What is shown of baselines.
    shown: Baselines,
    /// Spans that are sent.
    tracing: Tracing,
    /// Gateways that are pushed to.
    gateways: Gateways,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Agent {
    /// Opens everything that `load` says. Must be called within the runtime.
    ///
    /// # Errors
    /// Every mistake in the configuration, or everything that could not be opened.
    // Long: a list of what there is.
    pub fn build(load: Load) -> Result<Self, Failure> {
        let load = Arc::<dyn Fn() -> Result<Config, Vec<Problem>> + Send + Sync>::from(load);
        let unread = |why| Failure::Open(vec![format!("cannot read the configuration: {why}")]);
        let config = {
            let load = load.clone();
            apart_at_start(CONFIGURATION, read::PATIENCE, move || load()).map_err(unread)?
        };
        let config = config.map_err(Failure::Config)?;
        let mut files = {
            let sources = config.sources.clone();
            apart_at_start(FILES, read::PATIENCE, move || Files::of(&sources)).map_err(unread)?
        };
        let sys::Activated { sockets: mut activated, foreign } = sys::activated();
        if !foreign.is_empty() {
            let passed = activated.len();
            tracing::warn!(
                "LISTEN_FDS is larger than the number of passed sockets, {passed}; the descriptors {foreign:?} are ignored"
            );
        }
        let (mut inputs, mut wrong) = (BTreeMap::new(), Vec::new());
        for source in &config.sources {
            match Input::open(source, &config, &mut files, &HashMap::new(), &mut activated) {
                Ok(input) => drop(inputs.insert(source.name().to_owned(), input)),
                Err(why) => wrong.push(why),
            }
        }
        let mut web = Vec::new();
        for address in &*config.listen {
            match web::bind(address, &mut activated) {
                Ok(listener) => web.push((address.clone(), listener)),
                Err(why) => wrong.push(why),
            }
        }
        if !wrong.is_empty() {
            return Err(Failure::Open(wrong));
        }
        let state_file = Arc::new(StateFile::open(config.state_directory.as_deref()));
        let registry = Registry::new(PAGES, limits(&config), ladders(&config));
        let hub = Hub::new(registry, Budget::new(state_file.day()), Peaks::new(config.intervals.pipeline.0));
        let own = Arc::new(Own::new());
        let (ask, asked) = mpsc::channel(1);
        let site = Site::new(hub.clone(), own.clone(), ask);
        let agent = Self {
            hub,
            own,
            site,
            load,
            config: Config { sources: Vec::new(), ..config.clone() },
            inputs,
            ids: HashMap::new(),
            web,
            web_files: Arc::default(),
            asked,
            recorder: None,
            state_file,
            devices: Devices::default(),
            shown: Baselines::default(),
            tracing: Tracing::default(),
            gateways: Gateways::default(),
        };
        let (at, source) = (now(), SourceId::AGENT);
        // The first tick: what is announced now came into being now.
        agent.hub.lock().fold(&Event { at, source, body: Body::Tick });
        agent.apply(&config);
        agent.own.loaded(at);
        agent.own.config_successful.set(1);
        let agent = Self { config, ..agent };
        agent.own.config_hash.set(agent.hash());
        agent.show_config();
        // It is set once.
        drop(agent.site.log.set(http::LastLines(Box::new(log::last))));
        Ok(agent)
    }

    /// The addresses that `/metrics` is served on.
    #[must_use]
    pub fn addresses(&self) -> Vec<std::net::SocketAddr> {
        self.web.iter().filter_map(|(_, l)| l.local_addr().ok()).collect()
    }

    /// The sources and where they listen or ask.
    #[must_use]
    pub fn sources(&self) -> Vec<Listed> {
        self.inputs.values().map(Input::listed).collect()
    }

    /// Records every byte of the sources that can be recorded. Must be called before [`run`](Self::run).
    ///
    /// # Errors
    /// The file cannot be made, or nothing would be in it.
    pub fn record(&mut self, path: &std::path::Path) -> std::io::Result<()> {
        let sources: Vec<_> = self.inputs.values().filter_map(Input::recorded).collect();
        if sources.is_empty() {
            return Err(std::io::Error::other(format!("no source can be recorded: {RECORDED}")));
        }
        let own = path.to_owned();
        let made = apart_at_start(&path.display().to_string(), read::PATIENCE, move || {
            Recorder::create(&own, &sources)
        });
        self.recorder = Some(Arc::new(made.map_err(std::io::Error::other)??));
        Ok(())
    }

    /// Whether what this source sends can be recorded.
    #[must_use]
    pub fn is_recorded(&self, name: &str) -> bool {
        self.inputs.get(name).is_some_and(|input| input.recorded().is_some())
    }

    /// Runs until `stop` is ready, then drains: reads what was sent, writes what is kept, joins.
    ///
    /// # Errors
    /// The recording could not be written.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> std::io::Result<()> {
        // A client that learns that the agent is ready may request a reload immediately.
        let mut hang_up = hang_ups();
        // A client that reaches the agent may ask for its past at once.
        let mut evaluation = Evaluation::default();
        let mut incidents = IncidentLog::default();
        let mut journal = Journal::start(&self.config.events_log);
        let mut maintenance = Maintenance::default();
        Box::pin(self.respond(&mut incidents, &mut evaluation, &mut maintenance, &journal.log)).await;
        let history = self.remember(evaluation.observer(self.own.clone()));
        let mut web = Web::default();
        for (address, listener) in std::mem::take(&mut self.web) {
            web.start(address, listener, &self.site);
        }
        let names: Vec<String> = self.inputs.keys().cloned().collect();
        for name in names {
            self.start(&name);
        }
        self.list();
        notify::ready(&self.status());
        let mut push = Push::start(&self.config, &self.own);
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut seconds = 0_u64;
        let mut reading: Option<(Reading, Option<http::Reload>)> = None;
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(()) = next(&mut hang_up), if reading.is_none() => reading = Some((self.read(), None)),
                Some(answer) = self.asked.recv(), if reading.is_none() => {
                    reading = Some((self.read(), Some(answer)));
                }
                read = through(&mut reading) => {
                    let outcome = Box::pin(self.reload(read, &mut web, &mut push)).await;
                    if outcome.is_ok() {
                        Box::pin(self.respond(&mut incidents, &mut evaluation, &mut maintenance, &journal.log)).await;
                    }
                    if let Some(answer) = reading.take().and_then(|(_, answer)| answer) {
                        // The client may have gone.
                        drop(answer.send(outcome));
                    }
                }
                _ = ticks.tick() => {
                    self.tick(seconds);
                    self.look_at_notifier(&evaluation);
                    incidents.show(&self.own, &journal.log);
                    maintenance.look(&self.hub, &self.own);
                    journal.look(&self.hub, &self.own, seconds);
                    self.look_at_history(seconds, history.as_ref());
                    seconds += 1;
                }
            }
        }
        journal.look(&self.hub, &self.own, seconds);
        notify::stopping();
        tracing::info!("stopping");
        push.stop().await;
        all(self.inputs.values_mut().map(|input| input.stop(true)).collect()).await;
        // One disk may be slow for all of them: they wait for it at the same time.
        tokio::join!(maintenance.end(), Box::pin(end_memory(history, &mut evaluation, &mut incidents)));
        journal.end().await;
        self.end_events().await;
        web.stop().await;
        self.recorder.as_ref().map_or(Ok(()), |r| r.finish())
    }

    /// Begins what the configuration says of alerts, incidents and tasks, in the place of what runs now.
    async fn respond(
        &self,
        incidents: &mut IncidentLog,
        evaluation: &mut Evaluation,
        maintenance: &mut Maintenance,
        events: &Lines,
    ) {
        self.keep_incidents(incidents, events).await;
        self.evaluate(evaluation, incidents, events).await;
        self.maintain(maintenance, events).await;
        self.keep_benchmarks();
        self.trace().await;
        self.push_metrics().await;
    }

    /// The agent's second. The tick goes the way that every event goes, and only when it is
    /// through is the watchdog notified: a data path that is stuck is a dead agent.
    fn tick(&self, seconds: u64) {
        let event = Event { at: now(), source: SourceId::AGENT, body: Body::Tick };
        self.hub.lock().fold(&event);
        notify::alive();
        for c in self.hub.complaints(event.at) {
            let (source, kind) = (&*c.source, c.kind.as_str());
            tracing::warn!(source, kind, count = c.count, "input was refused");
            if let Some(line) = &c.line {
                tracing::debug!(source, kind, line = &**line, "one line of it");
            }
        }
        for (reason, lines) in log::lost() {
            let counter = self.own.log_lines_lost.get_or_create_owned(&LostLines { reason });
            counter.inc_by(lines.saturating_sub(counter.get()));
        }
        if let Some(recorder) = &self.recorder {
            let (pieces, bytes) = recorder.account().lost();
            self.own.recording_failing.set(recorder.account().is_failing().into());
            for (counter, lost) in
                [(&self.own.recording_lost, pieces), (&self.own.recording_lost_bytes, bytes)]
            {
                counter.inc_by(lost.saturating_sub(counter.get()));
            }
        }
        self.look_at_traces();
        self.look_at_web(seconds);
        if let Some(lines) = log::news() {
            tracing::warn!(
                lines,
                "log lines were dropped: the reader or the disk of the log did not accept them"
            );
        }
        if seconds.is_multiple_of(VITALS) {
            let vitals = itself::vitals();
            self.hub.lock().registry.set_vitals(event.at, &vitals);
        }
        if seconds % TRIM == TRIM - 1 {
            tokio::task::spawn_blocking(itself::give_memory_back);
        }
        if seconds % KEEP == KEEP - 1 {
            self.keep();
        }
    }

    /// Writes what is kept, aside: a disk that stalls must not stop the agent's second.
    fn keep(&self) {
        let (state_file, day) = (self.state_file.clone(), self.hub.lock().budget.day());
        drop(tokio::spawn(async move { state_file.keep(day).await }));
    }

    /// Writes what is kept of events, and sends what is sent of them.
    async fn end_events(&self) {
        let day = self.hub.lock().budget.day();
        tokio::join!(self.state_file.keep(day), self.end_traces(), self.end_pushes());
    }

    /// Starts one source.
    fn start(&mut self, name: &str) {
        let id = *self.ids.entry(name.to_owned()).or_insert_with(|| self.hub.add_source(name));
        let mut feed = Feed::new(self.hub.clone(), id, name);
        let Some(input) = self.inputs.get_mut(name) else { return };
        if let Some((recorder, recorded)) = self.recorder.as_ref().zip(input.recorded()) {
            match recorder.place(&recorded) {
                Some(place) => feed = feed.recorded(recorder.clone(), place),
                None => {
                    tracing::warn!(
                        source = name,
                        "this source was added after the recording started and is not recorded"
                    );
                }
            }
        }
        input.start(feed, &self.devices);
    }

    /// Tells the page of sources which sources run.
    fn list(&self) {
        self.site.sources.store(Arc::new(self.sources()));
    }

    fn status(&self) -> String {
        format!("{} sources, {} series", self.inputs.len(), self.hub.lock().registry.len())
    }

    /// The first 48 bits of a hash of what is in effect: a number that a gauge holds exactly.
    fn hash(&self) -> i64 {
        let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
        hasher.write(self.config.print().as_bytes());
        for page in &self.config.pages.0 {
            hasher.write(format!("{page:?}").as_bytes());
        }
        for input in self.inputs.values() {
            hasher.write_u32(input.edition());
        }
        i64::try_from(hasher.finish() >> 16).unwrap_or_default()
    }

    /// Applies what a configuration says of series, budgets and expected pipelines.
    fn apply(&self, config: &Config) {
        let mut state = self.hub.lock();
        state.registry.set_limits(limits(config));
        state.registry.set_ladders(ladders(config));
        state.registry.set_created(config.exposition.created);
        let llm = &config.llm;
        let tokens = llm.budget.tokens_per_day.map(|t| t as f64);
        state.budget.set_limits(tokens, llm.budget.cost_per_day, &llm.currency);
        self.own.series_limit.set(i64::try_from(config.limits.series).unwrap_or(i64::MAX));
        self.own.memory_limit.set(i64::try_from(config.limits.memory.0).unwrap_or(i64::MAX));
        state.registry.expect_nothing();
        state.registry.declare(&config.pages.0);
        // Refused before; and whatever asks for it, nothing is kept that must not be seen.
        state.keep_envelopes(config.page.preview && !config.page.exposes(&config.listen));
        self.site.names.store(Arc::new(place::names(config.http.hosts.clone())));
        self.site.catalogue.store(Arc::new(files::served(config)));
        self.apply_web(config);
        for p in &config.pipelines {
            for stage in &p.stages {
                state.registry.announce(&pipeline::DURATION, &[&p.name, stage]);
                state.registry.announce(&pipeline::FAILURES, &[&p.name, stage]);
            }
            for queue in &p.queues {
                state.registry.announce(&pipeline::QUEUE_DEPTH, &[&p.name, queue]);
            }
            for cache in &p.caches {
                state.registry.announce(&pipeline::CACHE_LOOKUPS, &[&p.name, cache]);
                state.registry.announce(&pipeline::CACHE_HITS, &[&p.name, cache]);
            }
        }
    }
}

/// Ends the history with what it evaluates, and the incidents, at the same time: each waits for the disk.
async fn end_memory(
    history: Option<history::Memory>,
    evaluation: &mut Evaluation,
    incidents: &mut IncidentLog,
) {
    let evaluated = async {
        history::forget(history).await;
        evaluation.end().await;
    };
    tokio::join!(evaluated, incidents.end());
}

/// Waits until all of these have ended, or for so long as sources may take.
async fn all(ending: Vec<impl Future<Output = ()>>) {
    let joined = async {
        for end in ending {
            end.await;
        }
    };
    drop(tokio::time::timeout(GRACE, joined).await);
}

fn limits(config: &Config) -> Limits {
    let l = &config.limits;
    Limits {
        series: l.series,
        series_per_family: l.series_per_family,
        series_per_source: l.series_per_source,
        families: l.families,
        memory: usize::try_from(l.memory.0).unwrap_or(usize::MAX),
        label_value_bytes: l.label_value_bytes,
        fresh_seconds: u32::try_from(config.expire.gauges.0.as_secs()).unwrap_or(u32::MAX),
    }
}

/// The bounds of every histogram whose own are not the catalogue's.
fn ladders(config: &Config) -> HashMap<String, Vec<f64>> {
    let limits = limit::Limits::changed(config.alerts.limits.clone());
    let mut ladders: HashMap<_, _> = config.histograms.clone().into_iter().collect();
    for metric in PAGES.iter().flat_map(|page| page.metrics).filter(|metric| !metric.judged.is_empty()) {
        let own = config.histograms.get(&metric.family()).map(Vec::as_slice);
        ladders.insert(metric.family(), metric.ladder(own, &limits));
    }
    ladders
}

fn hang_ups() -> Option<tokio::signal::unix::Signal> {
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok()
}

/// What was read, once it is; never ready where nothing is read.
async fn through(reading: &mut Option<(Reading, Option<http::Reload>)>) -> Result<(Config, Files), String> {
    match reading {
        Some((reading, _)) => reading.await,
        None => std::future::pending().await,
    }
}

/// The next hang-up; never ready where the signal is down.
async fn next(signal: &mut Option<tokio::signal::unix::Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
