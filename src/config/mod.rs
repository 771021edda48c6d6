//! The configuration: what may be set, what is set if nothing is said, and the mistakes in a file.
//!
//! The types here and in `section` and `source` are the one place where a setting is
//! described; schema, defaults, checks and the printed configuration follow from them. Nothing is
//! opened here but the file and the packs beside it, and nothing is started.

mod check;
mod exposed;
mod format;
pub mod pack;
mod rules;
mod section;
mod source;
mod target;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::Definition;
use crate::ask;
use crate::catalog::{Page, lint};
use crate::document::{self, Document, LONGEST, Problem};
use crate::http::WebConfig;
use crate::listen::{Address, Many};
use crate::provision;
use crate::pushgateway;
use crate::remote_write;
use crate::render::{self, Alerts};
use crate::respond;
use crate::secret::Link;
use crate::store;
use crate::sys::file;

pub use format::FORMATS;
pub(crate) use format::log_filter;
pub use section::*;
pub use source::*;

/// Everything that can be set. Paths are relative to the folder of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "Configuration of neural-exporter")]
pub struct Config {
    /// Where `/metrics` is served: one address or a list.
    pub listen: Many<Address>,
    /// Under which names the agent's pages are reached.
    pub http: Http,
    /// The web configuration file of Prometheus and its exporters: TLS, certificates of clients, users, headers and rate of the
    /// HTTP server. It is read again when it changes. `--web.config.file` takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_config: Option<PathBuf>,
    /// What the pages show beside what everybody may see.
    pub page: WebPage,
    /// What the log says, and how.
    pub log: Log,
    /// A file with a line of JSON for each change.
    pub events_log: respond::event_log::Settings,
    /// The folder for what outlives a restart; `$STATE_DIRECTORY`, then
    /// `$XDG_STATE_HOME/neural-exporter`, if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_directory: Option<PathBuf>,
    /// The folder of packs, metrics that you declare yourself; `packs` beside this file if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packs: Option<PathBuf>,
    /// Pipelines that are expected, so that their series exist at zero before the first event.
    pub pipelines: Vec<Pipeline>,
    /// What bounds memory.
    pub limits: Limits,
    /// When series expire that receive no updates.
    pub expire: Expire,
    /// Upper bounds of buckets that replace those of the catalogue, by the exposed name of the
    /// metric: `neural_stage_duration_seconds: [0.001, 0.01, 0.1]`. The limits of alerts join them.
    pub histograms: BTreeMap<String, Vec<f64>>,
    /// How often things are looked at.
    pub intervals: Intervals,
    /// What is remembered, and for how long.
    pub history: store::Settings,
    /// Who answers questions of the past where the agent's own history is too small.
    pub ask: ask::Settings,
    /// What the last minutes are compared with.
    pub benchmarks: store::Benchmarks,
    /// Prices and budgets of language models.
    pub llm: Llm,
    /// How `/metrics` is written.
    pub exposition: Exposition,
    /// The files that `generate` writes: numbers beyond which something is wrong, and who is notified.
    pub alerts: Alerts,
    /// What the agent does when alerts fire that it evaluates itself. Nothing, unless you configure it.
    pub respond: respond::Settings,
    /// Spans that are sent to Jaeger, Tempo or a collector. None, until a target is named.
    pub trace: respond::traces::Settings,
    /// Reports that the agent files by itself: of each session, and of each day or week. None, until a folder is named.
    pub reports: respond::sessions::Settings,
    /// Where dashboards, rules and routes are pushed to. Nothing is pushed unless you configure it.
    pub provision: provision::Settings,
    /// Where the agent's metrics are sent by remote write, beside being scraped. Nothing is sent unless you configure it.
    pub remote_write: Vec<remote_write::Settings>,
    /// Pushgateways that get the agent's metrics from time to time and at its end: for agents that end before they are scraped. None, unless you
    /// configure it.
    pub push: Vec<pushgateway::Settings>,
    /// The inputs of the agent, each item a mapping with one key: the kind. A list here
    /// replaces the default sources; `[]` is none.
    pub sources: Vec<Source>,
    /// The folder that relative paths start from.
    #[serde(skip)]
    pub folder: PathBuf,
    /// The pages of the user's packs.
    #[serde(skip)]
    pub pages: Pages,
    /// What is in the files of `alerts.rule_files`.
    #[serde(skip)]
    pub rules: UserRules,
    /// What is in the file of `web_config`, once [`read_web`](Self::read_web) has read it.
    #[serde(skip)]
    pub web: Arc<WebConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Many(vec![Address::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], 9612)))]),
            http: Http::default(),
            web_config: None,
            page: WebPage::default(),
            log: Log::default(),
            events_log: respond::event_log::Settings::default(),
            state_directory: None,
            packs: None,
            pipelines: Vec::new(),
            limits: Limits::default(),
            expire: Expire::default(),
            histograms: BTreeMap::new(),
            intervals: Intervals::default(),
            history: store::Settings::default(),
            ask: ask::Settings::default(),
            benchmarks: store::Benchmarks::default(),
            llm: Llm::default(),
            exposition: Exposition::default(),
            alerts: Alerts::default(),
            respond: respond::Settings::default(),
            trace: respond::traces::Settings::default(),
            reports: respond::sessions::Settings::default(),
            provision: provision::Settings::default(),
            remote_write: Vec::new(),
            push: Vec::new(),
            sources: Source::defaults(),
            folder: PathBuf::new(),
            pages: Pages::default(),
            rules: UserRules::default(),
            web: Arc::default(),
        }
    }
}

/// Pages of user packs. They are the same if they are the same in memory, because a pack that did
/// not change is not read a second time.
#[derive(Clone, Debug, Default)]
pub struct Pages(pub Vec<&'static Page>);

impl PartialEq for Pages {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(one, two)| std::ptr::eq(*one, *two))
    }
}

/// Groups of rules that a user wrote, each with its file. They are the same if they are read from the same text.
#[derive(Clone, Debug, Default)]
pub struct UserRules(pub Vec<(String, Definition)>);

impl PartialEq for UserRules {
    fn eq(&self, other: &Self) -> bool {
        let of = |rules: &Self| format!("{:?}", rules.0);
        of(self) == of(other)
    }
}

impl Config {
    /// The JSON Schema, for editors.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }

    /// The configuration with everything that is in effect, as YAML that [`parse`] reads.
    #[must_use]
    pub fn print(&self) -> String {
        document::print(self).unwrap_or_else(|error| format!("# cannot be written as YAML: {error}\n"))
    }

    /// Reads the web configuration, and the certificates and keys that it names: for who serves, or checks. Who asks may not
    /// be able to read them.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn read_web(&mut self) -> Result<(), Vec<Problem>> {
        self.web = match &self.web_config {
            Some(path) => Arc::new(WebConfig::read(path)?),
            None => Arc::default(),
        };
        Ok(())
    }

    /// Whether the agent speaks TLS. Who cannot read the web configuration, which may hold secrets, takes it that it does.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        match (self.web.file(), &self.web_config) {
            (None, Some(path)) => WebConfig::speaks_tls(path),
            _ => self.web.has_tls(),
        }
    }

    /// The addresses that other machines reach though it lacks something of TLS and authentication, and what it lacks.
    #[must_use]
    pub fn open_to_others(&self) -> Option<(Vec<String>, &'static str)> {
        let lacks = match (self.web.has_tls(), self.web.authenticates()) {
            (true, true) => return None,
            (true, false) => "without authentication",
            (false, true) => "without TLS, so that passwords can be read on the way",
            (false, false) => "without TLS and without authentication",
        };
        let outside = |address: &Address| match address {
            Address::Tcp(at) if !at.ip().is_loopback() => Some(at.to_string()),
            _ => None,
        };
        let all: Vec<String> = self.listen.iter().filter_map(outside).collect();
        (!all.is_empty()).then_some((all, lacks))
    }

    /// What it says of where the agent itself is asked.
    #[must_use]
    pub fn agent(&self) -> provision::Agent {
        provision::Agent {
            listen: self.listen.to_vec(),
            hosts: self.http.hosts.clone(),
            interval: self.history.enabled.then_some(self.history.interval),
            tls: self.has_tls(),
        }
    }

    /// Where files are pushed to, with everything that follows from the rest of the configuration.
    ///
    /// # Errors
    /// The address of the agent, which a Grafana is to ask, cannot be derived; [`parse`] and [`load`] refuse that.
    pub fn targets(&self) -> Result<Vec<provision::Target>, String> {
        self.provision.settled(&self.agent())
    }

    /// What is wrong where its pages would show signals to other machines: with `--listen` as well as with `listen`.
    #[must_use]
    pub fn exposes_signals(&self) -> Option<Problem> {
        let (why, hint) = EXPOSED;
        self.page.exposes(&self.listen).then(|| Problem {
            path: "page.preview".to_owned(),
            hint: Some(hint.to_owned()),
            ..Problem::of_file("--listen", why)
        })
    }

    /// Whether the agent evaluates rules: it has a history, and no server that rules are pushed to does.
    #[must_use]
    pub fn evaluates(&self) -> bool {
        let elsewhere = || provision::evaluated_elsewhere(&self.provision.targets);
        self.history.enabled && self.alerts.evaluate.unwrap_or_else(|| !elsewhere())
    }

    /// Whether incidents are kept, where there is a state directory: wherever alerts are evaluated or taken.
    #[must_use]
    pub fn keeps_incidents(&self) -> bool {
        let incidents = &self.respond.incidents;
        incidents.enabled.unwrap_or_else(|| self.evaluates() || incidents.webhook.enabled)
    }

    /// What the generated files are made with.
    #[must_use]
    pub fn settings(&self) -> render::Settings {
        let mut settings = render::Settings::new(self.alerts.clone());
        let targets = self.listen.iter().filter_map(|address| match address {
            Address::Tcp(address) => Some(address.to_string()),
            Address::Systemd(_) => None,
        });
        settings.targets = targets.collect();
        settings.tls = self.has_tls();
        let grafana =
            self.provision.targets.iter().find_map(|target| target.settings().dashboards()).map(people);
        settings.source = self.provision.source(&self.agent()).unwrap_or_default();
        settings.alerts.grafana = settings.alerts.grafana.as_ref().map(people).or(grafana);
        let own = || self.agent().for_people().map(|url| format!("{url}/runbooks/").into());
        settings.alerts.runbooks = settings.alerts.runbooks.or_else(own);
        settings
    }

    /// Makes every path in it start from `folder`.
    fn settle(&mut self, folder: &Path) {
        let own = self
            .state_directory
            .iter_mut()
            .chain(&mut self.web_config)
            .chain(&mut self.packs)
            .chain(&mut self.events_log.path);
        let targets = self.provision.targets.iter_mut().flat_map(|target| target.settings_mut().paths());
        let alerts = &mut self.alerts;
        let receivers =
            alerts.receivers.iter_mut().chain(&mut alerts.escalations).chain(&mut self.reports.receivers);
        let receivers = receivers.flat_map(render::Receiver::paths);
        for path in own
            .chain(targets)
            .chain(receivers)
            .chain(self.respond.paths())
            .chain(&mut self.reports.folder)
            .chain(self.ask.paths())
            .chain(self.trace.paths())
            .chain(self.remote_write.iter_mut().flat_map(remote_write::Settings::paths))
            .chain(self.push.iter_mut().flat_map(pushgateway::Settings::paths))
            .chain(self.sources.iter_mut().flat_map(|source| source.settings_mut().paths()))
        {
            // An absolute path stays what it is.
            *path = folder.join(&path);
        }
        self.folder = folder.to_owned();
    }
}

/// The address that people follow to a server: without the user and password that the agent has.
fn people(url: &Link) -> Link {
    let Ok(mut parsed) = url.expose().parse::<reqwest::Url>() else { return url.redacted() };
    // Only addresses that cannot have a user refuse to be without one.
    let _ = (parsed.set_username(""), parsed.set_password(None));
    let text = parsed.to_string();
    text.trim_end_matches('/').into()
}

/// Reads a configuration from `text`; `file` is how problems call it. Paths stay as they are.
///
/// # Errors
/// Every mistake, in the order of the text.
pub fn parse(file: &str, text: &str) -> Result<Config, Vec<Problem>> {
    document::read(file, text, FORMATS, |document| check::check(document, None)).map(|(config, _)| config)
}

/// Reads the configuration at `path` and the packs that belong to it.
///
/// # Errors
/// Every mistake in the file, and in every pack.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    load_with(path, false)
}

/// The same, and the files that its sources read at start are checked as well.
///
/// # Errors
/// Every mistake in the file, in every pack, and in every file of a source.
pub fn load_whole(path: &Path) -> Result<Config, Vec<Problem>> {
    load_with(path, true)
}

fn load_with(path: &Path, files: bool) -> Result<Config, Vec<Problem>> {
    let file = path.display().to_string();
    let text = text(path, true).map_err(|problem| vec![problem])?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let parsed = document::read::<Config>(&file, &text, FORMATS, |document| {
        check::check(document, files.then_some(folder))
    });
    // Packs are read beside a configuration that is wrong, too, to tell their mistakes as well.
    let at = document::Path::from("packs");
    let document = Document::parse(&file, &text).ok().map(|(document, _)| document);
    let chosen = document.as_ref().and_then(|document| document.part::<PathBuf>(&at));
    let (pages, mut problems) = match &chosen {
        None => packs(&folder.join("packs")),
        Some(packs) if folder.join(packs).is_dir() => self::packs(&folder.join(packs)),
        Some(packs) => {
            let message = format!("no such folder: {}", folder.join(packs).display());
            (Vec::new(), document.iter().map(|document| document.problem(&at, message.clone())).collect())
        }
    };
    let at = document::Path::from("alerts").key("rule_files");
    let rules =
        match document.as_ref().and_then(|document| Some((document, document.part::<Vec<String>>(&at)?))) {
            Some((document, patterns)) => {
                let (rules, mut wrong) = rules::read(document, &at, folder, &patterns);
                problems.append(&mut wrong);
                rules
            }
            None => Vec::new(),
        };
    match parsed {
        Ok((mut config, _)) if problems.is_empty() => {
            config.settle(folder);
            config.pages = Pages(pages);
            config.rules = UserRules(rules);
            Ok(config)
        }
        Ok(_) => Err(problems),
        Err(mut wrong) => {
            wrong.append(&mut problems);
            Err(wrong)
        }
    }
}

/// The packs of a folder, in the order of their names, and what is wrong with them. Nothing, if there is no folder.
fn packs(folder: &Path) -> (Vec<&'static Page>, Vec<Problem>) {
    let (mut pages, mut problems) = (Vec::new(), Vec::new());
    if !folder.exists() {
        return (pages, problems);
    }
    let cannot = |why: std::io::Error| {
        Problem::of_file(&folder.display().to_string(), format!("cannot read the folder: {why}"))
    };
    let listed = file::list(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut files = match listed {
        Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect::<Vec<_>>(),
        Err(why) => return (pages, vec![cannot(why)]),
    };
    files.retain(|file| file.extension().is_some_and(|end| end == "yml" || end == "yaml"));
    files.sort();
    for path in files {
        match text(&path, false)
            .map_err(|problem| vec![problem])
            .and_then(|text| pack::parse(&path.display().to_string(), &text))
        {
            Ok(page) => pages.push(page),
            Err(mut wrong) => problems.append(&mut wrong),
        }
    }
    // Each pack is right by itself; what is left is what they do to each other.
    let findings = lint::lint(&pages).into_iter();
    problems.extend(findings.map(|message| Problem::of_file(&folder.display().to_string(), message)));
    (pages, problems)
}

/// The text of a file that is not longer than a document may be. What a user names may be a pipe, and is waited for;
/// what lies in a folder may not.
fn text(path: &Path, named: bool) -> Result<String, Problem> {
    let file = path.display().to_string();
    let mut bytes = Vec::new();
    file::turn_to(path);
    let opened = if named { std::fs::File::open(path) } else { file::open(path) };
    opened
        .and_then(|file| file.take(LONGEST as u64 + 1).read_to_end(&mut bytes))
        .map_err(|why| Problem::of_file(&file, format!("cannot read the file: {why}")))?;
    if bytes.len() > LONGEST {
        return Err(Problem::of_file(&file, format!("the file is longer than {LONGEST} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        Problem { line, column: 1, ..Problem::of_file(&file, "the line is not UTF-8") }
    })
}

#[cfg(test)]
mod tests;
