//! What a schema cannot say: names that must differ, addresses that are taken, numbers that must fit.
//!
//! It reads the parts of a document that are right by themselves, so that one mistake does not
//! hide another.

use std::collections::BTreeMap;

use crate::analysis::quality;
use crate::ask;
use crate::catalog::alert::{CHAPTERS, LOGS};
use crate::catalog::{limit, lint};
use crate::document::{Check, Document, Path, Problem, suggest};
use crate::listen::{Address, Bytes, Listen, Many};
use crate::remote_write;
use crate::render::{Alertmanager, Alerts, Prometheus};
use crate::setting::Span;
use crate::source::kind::{Claim, Resource};
use crate::store::Benchmarks;

use super::section::EXPOSED;
use super::{Limits, Pipeline, Source, WebPage};

/// What the agent's own series take, with some room.
const LEAST_MEMORY: Bytes = Bytes(1 << 20);

/// The shortest and the longest time between two looks at anything: a counter whose readings are a day apart says
/// nothing of the hour.
const INTERVAL: (Span, Span) = (Span::millis(10), Span::seconds(86_400));
/// The shortest and the longest time after which a silent gauge leaves.
const EXPIRY: (Span, Span) = (Span::millis(10), Span::seconds(30 * 86_400));

/// The shortest and the longest time between two summaries in the log, where there are any.
const SUMMARIES: (Span, Span) = (Span::seconds(10), Span::seconds(86_400));
/// The shortest and the longest time between two comparisons with baselines.
const COMPARED: (Span, Span) = (Span::seconds(60), Span::seconds(86_400));
/// The shortest and the longest time that is compared: a comparison needs eight points, of a minute each.
const COMPARED_WINDOW: (Span, Span) = (Span::seconds(600), Span::seconds(86_400));
/// The shortest and the longest time between two scrapes of the history.
const INTERVALS: (Span, Span) = (Span::seconds(1), Span::seconds(60));
/// And between two writes of its file.
const FLUSHES: (Span, Span) = (Span::seconds(1), Span::seconds(600));
/// What it holds in memory.
const MEMORY: (Span, Span) = (Span::seconds(60), Span::seconds(86_400));
/// What it keeps.
const KEPT: (Span, Span) = (Span::seconds(3_600), Span::seconds(3_660 * 86_400));
/// How dense what is thinned stays.
const INTERVALS_THIN: (Span, Span) = (Span::seconds(10), Span::seconds(3_600));

/// The least that waits for a target of spans: a request.
const LEAST_QUEUE: u64 = 1 << 20;

/// Everything that is wrong beyond the schema. With the folder that paths start from, the files that sources read at
/// start are checked as well.
pub(super) fn check(document: &Document, folder: Option<&std::path::Path>) -> Vec<Problem> {
    let mut check = Check::new(document, folder);
    check.limits();
    check.page();
    check.pipelines();
    check.histograms();
    for name in ["pipeline", "device", "system"] {
        check.span(&Path::from("intervals").key(name), INTERVAL);
    }
    check.span(&Path::from("expire").key("gauges"), EXPIRY);
    let summary = Path::from("log").key("summary");
    if document.part::<Span>(&summary) != Some(Span::seconds(0)) {
        check.span(&summary, SUMMARIES);
    }
    check.history();
    check.benchmarks();
    check.ask();
    check.trace();
    check.remote_write();
    check.push();
    check.alerts();
    check.respond();
    check.reports();
    check.provision();
    check.sources();
    check.problems
}

impl Check<'_> {
    fn history(&mut self) {
        let path = Path::from("history");
        let times = [
            (path.key("interval"), INTERVALS),
            (path.key("flush"), FLUSHES),
            (path.key("memory"), MEMORY),
            (path.key("keep"), KEPT),
            (path.key("thin").key("interval"), INTERVALS_THIN),
            (path.key("thin").key("keep"), KEPT),
        ];
        for (path, bounds) in times {
            self.span(&path, bounds);
        }
    }

    /// What is compared, and how often.
    fn benchmarks(&mut self) {
        let path = Path::from("benchmarks");
        self.span(&path.key("every"), COMPARED);
        self.span(&path.key("window"), COMPARED_WINDOW);
        let Some(benchmarks) = self.document.part::<Benchmarks>(&path) else { return };
        let off = self.document.part::<bool>(&Path::from("history").key("enabled")) == Some(false);
        if off && !benchmarks.baselines.is_empty() {
            self.wrong(
                &path.key("baselines"),
                "nothing can be compared without a history: history.enabled is false",
            );
        }
    }

    /// Who sees the signals.
    fn page(&mut self) {
        let path = Path::from("page");
        let Some(page) = self.document.part::<WebPage>(&path) else { return };
        let listen = self.document.part::<Many<Address>>(&Path::from("listen"));
        if listen.is_some_and(|listen| page.exposes(&listen)) {
            let (why, hint) = EXPOSED;
            *self.wrong(&path.key("preview"), why) = Some(hint.to_owned());
        }
    }

    fn ask(&mut self) {
        let path = Path::from("ask");
        let server = path.key("prometheus");
        self.url(&server.key("url"));
        if let Some((key, why)) = self.document.part::<ask::Settings>(&path).and_then(|ask| ask.wrong()) {
            self.wrong(&server.key(key), why);
        }
    }

    /// Where spans are sent.
    fn trace(&mut self) {
        let path = Path::from("trace");
        self.span(&path.key("interval"), (Span::millis(100), Span::seconds(60)));
        let targets = path.key("targets");
        let mut seen = Vec::new();
        for index in 0..self.document.len(&targets) {
            let place = targets.item(index);
            self.url(&place.key("url"));
            self.span(&place.key("timeout"), (Span::millis(100), Span::seconds(120)));
            let Some(target) = self.document.part::<crate::respond::traces::Target>(&place) else { continue };
            if let Some((key, why)) = target.wrong() {
                self.wrong(&place.key(key), why);
            }
            if seen.contains(&target.url) {
                self.wrong(&place.key("url"), "another target has this url; it would get every span twice");
            }
            seen.push(target.url);
        }
        let memory = path.key("queue").key("memory");
        if self.document.part::<Bytes>(&memory).is_some_and(|bytes| bytes.0 < LEAST_QUEUE) {
            self.wrong(&memory, "that is less than one request; at least 1MiB");
        }
    }

    fn remote_write(&mut self) {
        let path = Path::from("remote_write");
        let Some(targets) = self.document.part::<Vec<remote_write::Settings>>(&path) else { return };
        for (index, target) in targets.iter().enumerate() {
            self.url(&path.item(index).key("url"));
            if let Some((key, why)) = target.wrong() {
                self.wrong(&path.item(index).key(key), why);
            }
        }
        if let Some((index, name)) = remote_write::twice(&targets) {
            self.wrong(
                &path.item(index),
                format!("another target is called {name}; give it a name of its own"),
            );
        }
        let history =
            self.document.part::<crate::store::Settings>(&Path::from("history")).unwrap_or_default();
        if !history.enabled && !targets.is_empty() {
            self.wrong(&path, "nothing can be sent without a history: history.enabled is false");
        }
    }

    fn push(&mut self) {
        let path = Path::from("push");
        for index in 0..self.document.len(&path) {
            let place = path.item(index);
            self.url(&place.key("url"));
            self.span(&place.key("interval"), (Span::seconds(1), Span::seconds(86_400)));
            self.span(&place.key("timeout"), (Span::millis(100), Span::seconds(120)));
            let Some(gateway) = self.document.part::<crate::pushgateway::Settings>(&place) else { continue };
            if let Some((key, why)) = gateway.wrong() {
                self.wrong(&place.key(key), why);
            }
        }
    }

    fn limits(&mut self) {
        let path = Path::from("limits");
        let Some(limits) = self.document.part::<Limits>(&path) else { return };
        if limits.memory < LEAST_MEMORY {
            let message =
                format!("{} is too little for the series of the agent's own sources", limits.memory);
            *self.wrong(&path.key("memory"), message) = Some(format!("at least {LEAST_MEMORY}"));
        }
        // A default above it does no harm, but what was written would not be true.
        let written = self.document.keys(&path);
        let parts = [
            ("series_per_family", limits.series_per_family),
            ("series_per_source", limits.series_per_source),
        ];
        for (key, limit) in parts {
            if limit > limits.series && written.iter().any(|written| written == key) {
                let message = format!("{limit} is more than limits.series, {}, lets in", limits.series);
                self.wrong(&path.key(key), message);
            }
        }
    }

    /// What alerts link to, and who is notified.
    fn links(&mut self, path: &Path) {
        for key in ["grafana", "runbooks", "watchdog"] {
            self.url(&path.key(key));
        }
        for list in ["receivers", "escalations"] {
            for index in 0..self.document.len(&path.key(list)) {
                let path = path.key(list).item(index);
                for kind in self.document.keys(&path) {
                    self.url(&path.key(&kind).key("url"));
                }
            }
        }
    }

    fn alerts(&mut self) {
        let path = Path::from("alerts");
        let limits = path.key("limits");
        for id in self.document.keys(&limits) {
            if let Some(limit) = limit::by_id(&id) {
                let number = self.document.part::<f64>(&limits.key(&id));
                if let Some((number, why)) = number.and_then(|number| Some((number, limit.refuses(number)?)))
                {
                    self.wrong(&limits.key(&id), format!("{number} {why}"));
                }
            } else {
                let ids = limit::LIMITS.iter().map(|limit| limit.id);
                let meant =
                    suggest(&id, ids).map(|id| format!("; did you mean \"{id}\"?")).unwrap_or_default();
                let problem = self.document.key_problem(&limits.key(&id), format!("unknown limit{meant}"));
                self.problems.push(problem);
            }
        }
        // Alerts link there: anything else would be a link within the page that shows the alert.
        self.links(&path);
        let Some(alerts) = self.document.part::<Alerts>(&path) else { return };
        for (index, name) in alerts.off.iter().enumerate() {
            // Those of packs are known to the packs alone.
            let chapters = || CHAPTERS.iter().copied().chain([&LOGS]);
            let known = || chapters().flat_map(|chapter| chapter.alerts).map(|alert| alert.name);
            let meant = suggest(name, known()).filter(|meant| meant != name);
            if let Some(meant) = meant.filter(|_| !known().any(|known| known == name)) {
                let message = format!("unknown alert \"{name}\"; did you mean \"{meant}\"?");
                self.wrong(&path.key("off").item(index), message);
            }
        }
        for (key, labels) in [("labels", &alerts.labels), ("external_labels", &alerts.external_labels)] {
            for name in labels.keys() {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let taken = ["severity", "priority", "component", "alertname", "job", "instance"];
                if name.is_empty()
                    || !name.chars().all(plain)
                    || name.starts_with(|c: char| c.is_ascii_digit())
                {
                    self.wrong(&path.key(key).key(name), "not the name of a label");
                } else if taken.contains(&name.as_str()) {
                    let message = format!("\"{name}\" is a label that alerts have already");
                    self.wrong(&path.key(key).key(name), message);
                }
            }
        }
        if alerts.interval.is_some_and(|span| span.0.is_zero() || span.0.subsec_nanos() != 0) {
            self.wrong(&path.key("interval"), "the interval is a whole number of seconds, at least 1");
        }
        if alerts.query_offset.is_some() && alerts.prometheus == Prometheus::From2_42 {
            let hint = "set `prometheus: \"3\"` if yours is that new".to_owned();
            *self.wrong(&path.key("query_offset"), "Prometheus 2.42 does not know it") = Some(hint);
        }
        if alerts.watchdog.is_some() && alerts.watchdog_file.is_some() {
            *self.wrong(&path.key("watchdog_file"), "watchdog has a URL already") =
                Some("remove one of them".to_owned());
        }
        self.receivers(&alerts);
    }

    /// Who is notified, and whether what notifies them can.
    fn receivers(&mut self, alerts: &Alerts) {
        let path = Path::from("alerts");
        // Where the agent notifies, it is the Alertmanager, and a new one.
        let alertmanager = if self.notifies() { Alertmanager::From0_28 } else { alerts.alertmanager };
        if alerts.watchdog_file.is_some() && alertmanager == Alertmanager::From0_25 {
            let hint = "set `alertmanager: \"0.28\"` if yours is that new".to_owned();
            *self.wrong(&path.key("watchdog_file"), "Alertmanager 0.25 reads no URL from a file") =
                Some(hint);
        }
        for (list, index, receiver) in alerts.every_receiver() {
            let place = path.key(list.key()).item(index);
            if let Some(why) = receiver.is_the_agents().filter(|_| !self.notifies()) {
                *self.wrong(&place, why) =
                    Some("set respond.notify: true, so that the agent itself notifies it".to_owned());
            }
            if let Some(why) = crate::respond::wrong_address(receiver) {
                self.wrong(&place, why);
            }
            if let Some((why, hint)) = receiver.wrong(alertmanager) {
                *self.wrong(&place, why) = Some(hint.to_owned());
            }
        }
    }

    fn pipelines(&mut self) {
        let pipelines = Path::from("pipelines");
        let mut seen = BTreeMap::new();
        for index in 0..self.document.len(&pipelines) {
            let path = pipelines.item(index);
            let Some(pipeline) = self.document.part::<Pipeline>(&path) else { continue };
            self.label(&path.key("name"), &pipeline.name);
            if let Some(first) = seen.insert(pipeline.name.clone(), index) {
                self.wrong(&path.key("name"), format!("pipelines[{first}] has this name already"));
            }
            let parts =
                [("stages", &pipeline.stages), ("queues", &pipeline.queues), ("caches", &pipeline.caches)];
            for (key, names) in parts {
                for (index, name) in names.iter().enumerate() {
                    let path = path.key(key).item(index);
                    self.label(&path, name);
                    if names.iter().take(index).any(|other| other == name) {
                        self.wrong(&path, format!("\"{name}\" is there already"));
                    }
                }
            }
        }
    }

    fn histograms(&mut self) {
        let histograms = Path::from("histograms");
        for name in self.document.keys(&histograms) {
            let path = histograms.key(&name);
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            if !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
                let problem = self.document.key_problem(&path, "not the name of a metric");
                self.problems.push(problem);
            }
            let Some(bounds) = self.document.part::<Vec<f64>>(&path) else { continue };
            // That a number is not finite has been reported of that number.
            if let Some(why) = lint::not_a_ladder(&bounds).filter(|_| bounds.iter().all(|b| b.is_finite())) {
                self.wrong(&path, why);
            }
        }
    }

    /// A waiting time must have an effect, and end within a session.
    fn span(&mut self, path: &Path, (least, most): (Span, Span)) {
        let Some(span) = self.document.part::<Span>(path) else { return };
        if span < least {
            self.wrong(path, format!("{span} is too short; the minimum is {least}"));
        } else if span > most {
            self.wrong(path, format!("{span} is too long; the maximum is {most}"));
        }
    }

    /// The address of a server, if there is one at `path`.
    pub(super) fn url(&mut self, path: &Path) {
        let Some(text) = self.document.part::<String>(path) else { return };
        let why = match text.parse::<reqwest::Url>() {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                "the url has no scheme http or https".to_owned()
            }
            Ok(url) if !url.has_host() => "the url has no host".to_owned(),
            Ok(_) => return,
            Err(why) => format!("not a url: {why}"),
        };
        *self.wrong(path, why) = Some("write it like http://127.0.0.1:9090".to_owned());
    }

    /// Whether the agent itself notifies receivers.
    fn notifies(&self) -> bool {
        self.document.part::<bool>(&Path::from("respond").key("notify")) == Some(true)
    }

    /// Who is notified, and whether there is anything to notify of.
    fn respond(&mut self) {
        let path = Path::from("respond").key("alertmanagers");
        if self.notifies() && self.document.len(&path) > 0 {
            *self.wrong(
                &Path::from("respond").key("notify"),
                "each receiver would be notified twice: an Alertmanager is notified as well",
            ) = Some("remove respond.alertmanagers, or respond.notify".to_owned());
        }
        for index in 0..self.document.len(&path) {
            self.url(&path.item(index).key("url"));
            self.span(&path.item(index).key("timeout"), (Span::millis(100), Span::seconds(300)));
        }
        self.span(&Path::from("respond").key("resend_delay"), (Span::seconds(1), Span::seconds(3_600)));
        let hooks = Path::from("respond").key("hooks");
        let own = self.document.part::<crate::respond::Settings>(&Path::from("respond"));
        for (index, key, why) in
            own.iter().flat_map(|own| crate::respond::hooks::problems(&own.actions, &own.hooks))
        {
            self.wrong(&hooks.item(index).key(key), why);
        }
        for (index, hook) in own.iter().flat_map(|own| own.hooks.iter().enumerate()) {
            let named = hook.device.as_ref().and_then(|device| device.source.as_deref());
            if let Some(why) = named.and_then(|name| self.refuses_requests(name)) {
                self.wrong(&hooks.item(index).key("device").key("source"), why);
            }
        }
        let tasks = Path::from("respond").key("tasks");
        for (index, key, why) in own.iter().flat_map(|own| crate::respond::tasks::problems(&own.tasks)) {
            self.wrong(&tasks.item(index).key(key), why);
        }
        for index in 0..self.document.len(&hooks) {
            self.url(&hooks.item(index).key("http").key("url"));
        }
        let at = Path::from("alerts").key("evaluate");
        let off = self.document.part::<bool>(&Path::from("history").key("enabled")) == Some(false);
        if off && self.document.part::<bool>(&at) == Some(true) {
            let message = "the agent cannot evaluate rules without a history: history.enabled is false";
            self.wrong(&at, message.to_owned());
        }
    }

    /// Whether there is a place for the reports that are filed, and whether receivers can be reached.
    fn reports(&mut self) {
        let path = Path::from("reports");
        let Some(reports) = self.document.part::<crate::respond::sessions::Settings>(&path) else { return };
        for (key, why, hint) in reports.problems() {
            *self.wrong(&path.key(key), why) = Some(hint.to_owned());
        }
        let off = self.document.part::<bool>(&Path::from("history").key("enabled")) == Some(false);
        if off && (reports.folder.is_some() || reports.every.is_some()) {
            let key = if reports.folder.is_some() { "folder" } else { "every" };
            *self
                .wrong(&path.key(key), "no report can be made without a history: history.enabled is false") =
                Some("remove history.enabled, or reports".to_owned());
        }
        self.span(&path.key("shortest"), (Span::seconds(0), Span::seconds(86_400)));
        self.span(&path.key("keep").key("age"), (Span::seconds(3_600), Span::seconds(100 * 365 * 86_400)));
        for (index, receiver) in reports.receivers.iter().enumerate() {
            let place = path.key("receivers").item(index);
            if let Some(why) = crate::respond::wrong_address(receiver) {
                self.wrong(&place, why);
            }
            if let Some((why, hint)) = receiver.wrong(Alertmanager::From0_28) {
                *self.wrong(&place, why) = Some(hint.to_owned());
            }
        }
    }

    /// Why the source of this name cannot be asked for anything, if it cannot.
    fn refuses_requests(&self, name: &str) -> Option<String> {
        let sources = Path::from("sources");
        let all =
            (0..self.document.len(&sources)).filter_map(|at| self.document.part::<Source>(&sources.item(at)));
        match all.into_iter().find(|source| source.settings().name() == name) {
            Some(source) => {
                source.settings().refuses_requests().map(|why| format!("{name} cannot be asked: {why}"))
            }
            None => Some(format!("there is no source \"{name}\"")),
        }
    }

    fn sources(&mut self) {
        let sources = Path::from("sources");
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        let mut taken = self.own_addresses();
        for index in 0..self.document.len(&sources) {
            let path = sources.item(index);
            for kind in self.document.keys(&path) {
                let path = path.key(&kind);
                for key in ["interval", "timeout", "retry"] {
                    self.span(&path.key(key), INTERVAL);
                }
                self.url(&path.key("url"));
            }
            let Some(source) = self.document.part::<Source>(&path) else { continue };
            let path = path.key(source.kind());
            let source = source.settings();
            if let Some(signal) = source.signal() {
                self.signal(signal, &path.key("signal"));
            }
            if source.datagram_address().is_some_and(|listen| !matches!(listen, Listen::Udp(_))) {
                self.wrong(&path.key("listen"), "datagrams arrive over UDP: udp://225.1.1.1:6677");
            }
            source.check(self, &path);
            self.name(source.name(), index, &path.key("name"), &mut names);
            for Claim { place, key, item } in source.claims() {
                let of = path.key(key);
                let at = item.map_or_else(|| of.clone(), |item| of.item(item));
                if self.document.omits(&at) {
                    continue;
                }
                if let Some((_, owner)) = taken.iter().find(|(other, _)| other.clashes(&place)) {
                    let message = format!("{place} is taken by {owner}");
                    self.wrong(&at, message);
                } else {
                    taken.push((place, format!("sources[{index}]")));
                }
            }
        }
    }

    /// The name of a source, which no other has.
    fn name(&mut self, name: &str, index: usize, path: &Path, names: &mut BTreeMap<String, usize>) {
        if self.document.omits(path) {
            // Its default name is nobody's.
            return;
        }
        if let Some(first) = names.get(name) {
            let message = format!("the name \"{name}\" is taken by sources[{first}]");
            *self.wrong(path, message) = Some("give each source a name of its own".to_owned());
        } else if !is_source_name(name) {
            let message = format!("\"{name}\" is not a name for a source");
            let hint = "up to 64 of a-z, 0-9, \"_\", \".\" and \"-\", a letter or digit first";
            *self.wrong(path, message) = Some(hint.to_owned());
        }
        names.entry(name.to_owned()).or_insert(index);
    }

    /// How a signal is judged.
    fn signal(&mut self, signal: &quality::Settings, path: &Path) {
        for (index, name) in signal.names.iter().enumerate() {
            let at = path.key("names").item(index);
            self.label(&at, name);
            if signal.names.iter().take(index).any(|other| other == name) {
                self.wrong(&at, format!("a second electrode is called {name}"));
            }
        }
        let [low, high] = signal.band;
        if low >= high {
            self.wrong(&path.key("band"), format!("a band from {low} to {high} Hz is empty"));
        }
        if signal.quiet >= signal.loud {
            let message = format!("below {} V is bad already, as quiet", signal.quiet);
            self.wrong(&path.key("loud"), message);
        }
    }

    /// Where `/metrics` is served.
    fn own_addresses(&mut self) -> Vec<(Resource, String)> {
        let path = Path::from("listen");
        if self.document.omits(&path) {
            return Vec::new();
        }
        let default = super::Config::default().listen;
        let listen = self.document.part::<Many<Address>>(&path).unwrap_or(default);
        if listen.is_empty() && self.document.keys(&Path::default()).contains(&"listen".to_owned()) {
            self.wrong(&path, "nothing could be scraped without an address");
        }
        let mut taken: Vec<(Resource, String)> = Vec::new();
        for (index, address) in listen.iter().enumerate() {
            let place = match address {
                Address::Tcp(address) => Resource::Listen(Listen::Tcp(*address)),
                Address::Systemd(Some(name)) => Resource::Listen(Listen::Systemd(name.clone())),
                Address::Systemd(None) => Resource::Listen(Listen::Systemd(String::new())),
            };
            if taken.iter().any(|(other, _)| other.clashes(&place)) {
                self.wrong(&path.item(index), format!("{address} is there already"));
            }
            taken.push((place, "listen".to_owned()));
        }
        taken
    }
}

fn is_source_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.starts_with(first) && name.len() <= 64 && name.chars().all(|c| first(c) || "_.-".contains(c))
}
