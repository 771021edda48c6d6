//! One configured source: opened, then started, then stopped.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::place;
use super::read::Files;
use crate::analysis::quality::Judged;
use crate::config::{Config, Framing, Gauges, Jsonl, Source, Statsd, plain};
use crate::decode::frame::{FRAME_BYTES, Frames};
use crate::decode::jsonl::{Jsonl as JsonlDecoder, Price, Prices};
use crate::decode::mapping::Mapper;
use crate::decode::statsd::{self, Statsd as StatsdDecoder};
use crate::decode::{self, Decoder, Protocol};
use crate::event::{Body, Link};
use crate::http::Listed;
use crate::listen::Listen;
use crate::quote::quote;
use crate::setting::Span;
use crate::source::program::{brainflow, cerebus, fieldtrip, intan, open_ephys, openbci_gui, rda};
use crate::source::record::Recorded;
use crate::source::scrape::Scrape;
use crate::source::socket::{self, Bound, NewDecoder, Options};
use crate::source::{Feed, exec, gpu, host, lsl, process, replay, serial, textfile};

/// A source and what it holds open.
pub(super) struct Input {
    settings: Source,
    sockets: Vec<(Listen, Arc<Bound>)>,
    /// What bounds its lines and connections, and prices: the rest of the configuration it was opened with.
    surroundings: Surroundings,
    mapper: Arc<ArcSwap<Mapper>>,
    /// The client of a scrape, ready to ask.
    scrape: Option<Scrape>,
    /// Why a default source could not be opened.
    trouble: Option<String>,
    /// Whether the user listed it, rather than it being there by default.
    asked: bool,
    /// Whether another source read the same port until now.
    resumed: bool,
    stop: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
}

/// Settings outside a source that change what it does. What it has no use for is left at its default, so that a
/// source runs on when that changes: it may be in the middle of a recording.
#[derive(Clone, Debug, Default, PartialEq)]
struct Surroundings {
    line_bytes: usize,
    connections: usize,
    prices: Arc<Prices>,
    device: Duration,
    system: Duration,
}

impl Surroundings {
    fn of(settings: &Source, config: &Config) -> Self {
        let none = Self::default();
        let socket = || Self {
            line_bytes: config.limits.line_bytes,
            connections: config.limits.connections,
            device: config.intervals.device.0,
            ..Self::default()
        };
        match settings {
            Source::Jsonl(_) => Self { prices: prices(config), ..socket() },
            Source::Statsd(_) => socket(),
            Source::Serial(of) if of.protocol.decoded() == Protocol::Jsonl => {
                Self { line_bytes: config.limits.line_bytes, prices: prices(config), ..none }
            }
            Source::Host(_) | Source::Process(_) | Source::Gpu(_) => {
                Self { system: config.intervals.system.0, ..none }
            }
            Source::Serial(_)
            | Source::Scrape(_)
            | Source::Textfile(_)
            | Source::Exec(_)
            | Source::Lsl(_)
            | Source::Intan(_)
            | Source::OpenEphys(_)
            | Source::Fieldtrip(_)
            | Source::Brainflow(_)
            | Source::Cerebus(_)
            | Source::OpenbciGui(_)
            | Source::Rda(_)
            | Source::Replay(_) => none,
        }
    }
}

fn prices(config: &Config) -> Arc<Prices> {
    let price = |p: &crate::config::Price| Price {
        prompt_per_million: p.prompt_per_million,
        completion_per_million: p.completion_per_million,
    };
    Arc::new(config.llm.prices.iter().map(|(model, p)| (model.clone(), price(p))).collect())
}

impl Input {
    /// Opens what the source needs. Sockets in `held` are shared instead of opened again.
    pub(super) fn open(
        settings: &Source,
        config: &Config,
        files: &mut Files,
        held: &HashMap<Listen, Arc<Bound>>,
        activated: &mut Vec<(String, OwnedFd)>,
    ) -> Result<Self, String> {
        let name = settings.name();
        let surroundings = Surroundings::of(settings, config);
        let mut input = Self {
            settings: settings.clone(),
            sockets: Vec::new(),
            surroundings,
            mapper: Arc::default(),
            scrape: None,
            trouble: None,
            asked: asked(settings, config),
            resumed: false,
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        input.scrape = match (settings, files.scrape(name)?) {
            // It was held to run on.
            (Source::Scrape(of), None) => {
                Some(Scrape::open(of.clone()).map_err(|why| format!("cannot ask source {name}: {why}"))?)
            }
            (_, scrape) => scrape,
        };
        if let Some(mapper) = files.mapping(name)? {
            input.mapper.store(mapper);
        }
        let options = input.options();
        for listen in input.listens() {
            let bound = match held.get(&listen) {
                Some(bound) => {
                    if *bound.options() != options {
                        tracing::warn!(source = name, %listen, "the socket stays open as it is; its buffer, mode, group, connections and interval change with a restart");
                    }
                    Ok(bound.clone())
                }
                None => input
                    .claim(&listen)
                    .and_then(|()| socket::bind(&listen, &options, activated))
                    .map(Arc::new),
            };
            match bound {
                Ok(bound) => input.sockets.push((listen, bound)),
                // A source nobody asked for must not keep the agent from starting.
                Err(e) if !input.asked => {
                    let why = format!("cannot listen on {listen}: {}", plain(&e));
                    tracing::warn!(source = name, "{why}; this source is off");
                    input.trouble = Some(why);
                }
                Err(e) => return Err(cannot_listen(name, &listen, &e)),
            }
        }
        Ok(input)
    }

    /// Whether this is the source that `settings` and `config` describe, so that it can run on.
    pub(super) fn runs(&self, settings: &Source, config: &Config) -> bool {
        self.settings == *settings
            && self.asked == asked(settings, config)
            && self.surroundings == Surroundings::of(settings, config)
            && self.trouble.is_none()
    }

    /// Whether this reads the port that one of these others read: what was streaming goes on.
    pub(super) fn resume<'a>(&mut self, mut others: impl Iterator<Item = &'a Self>) {
        let port = |input: &Self| match &input.settings {
            Source::Serial(of) => Some(of.which()),
            _ => None,
        };
        self.resumed = port(self).is_some_and(|own| others.any(|other| port(other).as_ref() == Some(&own)));
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.settings.name()
    }

    /// Its settings, if it asks an endpoint.
    pub(super) fn asks(&self) -> Option<Source> {
        Some(&self.settings).filter(|of| matches!(of, Source::Scrape(_))).cloned()
    }

    /// The sockets it holds.
    pub(super) fn sockets(&self) -> impl Iterator<Item = (Listen, Arc<Bound>)> {
        self.sockets.iter().cloned()
    }

    /// As the landing page lists it.
    pub(super) fn listed(&self) -> Listed {
        let listens: Vec<String> = self.listens().iter().map(Listen::to_string).collect();
        let place = match &self.settings {
            Source::Scrape(of) => match &of.url_file {
                Some(file) => format!("what {} says", file.display()),
                None => of.url.shown(),
            },
            Source::Textfile(of) => of.directory.display().to_string(),
            Source::Exec(of) => of.command.to_string(),
            Source::Serial(of) => of.which().to_string(),
            Source::Lsl(of) => format!("session {}", of.session),
            Source::Intan(of) => of.address.clone(),
            Source::OpenEphys(of) => of.address.clone(),
            Source::Fieldtrip(of) => of.address.clone(),
            Source::Rda(of) => of.address.clone(),
            Source::Replay(of) => of.file.display().to_string(),
            of => of.hears().map_or_else(|| listens.join(", "), Listen::to_string),
        };
        let name = self.settings.name().to_owned();
        Listed { name, kind: self.settings.kind(), place, trouble: self.trouble.clone() }
    }

    /// As a recording names it; nothing if what it brings is asked for, or is one half of a conversation, and cannot
    /// be played again.
    pub(super) fn recorded(&self) -> Option<Recorded> {
        let board = match &self.settings {
            Source::Serial(of) => of.options(),
            Source::Brainflow(of) => {
                decode::Options { brainflow: Some(of.streamed()), ..decode::Options::default() }
            }
            Source::OpenbciGui(of) => decode::Options { rate: Some(of.rate), ..decode::Options::default() },
            Source::Jsonl(_) | Source::Statsd(_) | Source::Cerebus(_) => decode::Options::default(),
            Source::Scrape(_)
            | Source::Textfile(_)
            | Source::Exec(_)
            | Source::Host(_)
            | Source::Process(_)
            | Source::Gpu(_)
            | Source::Lsl(_)
            | Source::Intan(_)
            | Source::OpenEphys(_)
            | Source::Fieldtrip(_)
            | Source::Rda(_)
            | Source::Replay(_) => return None,
        };
        let (name, protocol) = (self.settings.name().to_owned(), self.protocol().name().to_owned());
        Some(Recorded { name, protocol, board })
    }

    fn protocol(&self) -> Protocol {
        match &self.settings {
            Source::Statsd(Statsd { stream_framing: Framing::Length, .. }) => Protocol::StatsdFrames,
            Source::Statsd(_) => Protocol::Statsd,
            Source::Serial(of) => of.protocol.decoded(),
            Source::Brainflow(_) => Protocol::Brainflow,
            Source::Cerebus(_) => Protocol::Cerebus,
            Source::OpenbciGui(_) => Protocol::OpenbciGui,
            _ => Protocol::Jsonl,
        }
    }

    fn listens(&self) -> Vec<Listen> {
        match &self.settings {
            Source::Jsonl(of) if of.listen.is_empty() => vec![Listen::Unix(place::events_socket())],
            settings => settings.listens().to_vec(),
        }
    }

    /// Makes the folder of a socket whose place nobody chose.
    fn claim(&self, listen: &Listen) -> io::Result<()> {
        match (&self.settings, listen) {
            (Source::Jsonl(of), Listen::Unix(path)) if of.listen.is_empty() => place::claim_folder(path),
            _ => Ok(()),
        }
    }

    fn options(&self) -> Options {
        let jsonl = Jsonl::default();
        let (buffer, mode, group, connections) = match &self.settings {
            Source::Jsonl(of) => (of.receive_buffer, of.mode, &of.group, of.connections),
            Source::Statsd(of) => (of.receive_buffer, of.mode, &of.group, of.connections),
            _ => (jsonl.receive_buffer, jsonl.mode, &jsonl.group, None),
        };
        Options {
            receive_buffer: usize::try_from(buffer.0).unwrap_or(usize::MAX),
            mode: mode.0,
            group: group.clone(),
            ask: self.surroundings.device.max(Duration::from_millis(10)),
            connections: connections.map_or(self.surroundings.connections, |c| c as usize),
        }
    }

    /// Starts its tasks.
    pub(super) fn start(&mut self, feed: Feed) {
        // A graphics processor that nobody asked for and that is not there is no source that is down.
        if self.asked || !matches!(self.settings, Source::Gpu(_)) {
            feed.send(Body::Link(Link::Waiting));
        }
        let stop = self.stop.clone();
        let tasks = &self.tasks;
        match self.settings.clone() {
            Source::Jsonl(of) => self.listen(&feed.with_limit(of.events_per_second)),
            Source::Statsd(of) => self.listen(&feed.with_limit(of.events_per_second)),
            Source::Scrape(_) => {
                if let Some(scrape) = self.scrape.take() {
                    drop(tasks.spawn(scrape.run(feed, stop)));
                }
            }
            Source::Textfile(of) => drop(tasks.spawn(told(textfile::run(of, feed.clone(), stop), feed))),
            Source::Exec(of) => drop(tasks.spawn(told(exec::run(of, feed.clone(), stop), feed))),
            Source::Host(mut of) => {
                of.interval.get_or_insert(Span(self.surroundings.system));
                drop(tasks.spawn(host::run(of, feed, stop)));
            }
            Source::Process(mut of) => {
                of.interval.get_or_insert(Span(self.surroundings.system));
                drop(tasks.spawn(process::run(of, feed, stop)));
            }
            Source::Gpu(mut of) => {
                of.interval.get_or_insert(Span(self.surroundings.system));
                drop(tasks.spawn(gpu::run(of, self.asked, feed, stop)));
            }
            Source::Serial(of) => {
                drop(tasks.spawn(serial::run(of.settings(), self.new_decoder(false), feed, stop)));
            }
            Source::Lsl(of) => drop(tasks.spawn(told(lsl::run(of, feed.clone(), stop), feed))),
            Source::Intan(of) => drop(tasks.spawn(intan::run(of, feed, stop))),
            Source::OpenEphys(of) => drop(tasks.spawn(told(open_ephys::run(of, feed.clone(), stop), feed))),
            Source::Fieldtrip(of) => drop(tasks.spawn(fieldtrip::run(of, feed, stop))),
            Source::Rda(of) => drop(tasks.spawn(rda::run(of, feed, stop))),
            Source::Brainflow(of) => drop(tasks.spawn(told(brainflow::run(of, feed.clone(), stop), feed))),
            Source::Cerebus(of) => drop(tasks.spawn(told(cerebus::run(of, feed.clone(), stop), feed))),
            Source::OpenbciGui(of) => drop(tasks.spawn(told(openbci_gui::run(of, feed.clone(), stop), feed))),
            Source::Replay(of) => drop(tasks.spawn(replay::run(of.file, of.speed, of.signal, feed, stop))),
        }
        self.tasks.close();
    }

    fn listen(&self, feed: &Feed) {
        for (listen, bound) in &self.sockets {
            let stream = matches!(listen, Listen::Unix(_) | Listen::Tcp(_)) || bound.is_stream();
            let new_decoder = self.new_decoder(stream);
            let (stop, cut) = (self.stop.clone(), self.cut.clone());
            let serve =
                socket::serve(bound.clone(), new_decoder, feed.connection(), stop, cut, self.tasks.clone());
            drop(self.tasks.spawn(serve));
        }
    }

    /// What makes the decoders of its connections.
    fn new_decoder(&self, stream: bool) -> Arc<NewDecoder> {
        match (&self.settings, self.protocol()) {
            (Source::Statsd(of), protocol) => {
                let settings = decoder_settings(of, self.surroundings.line_bytes);
                let mapper = self.mapper.clone();
                let framed = protocol == Protocol::StatsdFrames && stream;
                Arc::new(move || -> Box<dyn Decoder> {
                    let decoder = StatsdDecoder::new(&settings, mapper.clone());
                    if framed { Box::new(Frames::new(decoder, FRAME_BYTES)) } else { Box::new(decoder) }
                })
            }
            (_, Protocol::Statsd) => {
                Arc::new(|| Box::new(StatsdDecoder::new(&statsd::Settings::default(), Arc::default())))
            }
            (Source::Serial(of), protocol) if protocol.brings_samples() => {
                let (signal, options) = (of.signal, of.options());
                let resumed = AtomicBool::new(self.resumed);
                Arc::new(move || {
                    let mut decoder = options.decoder(protocol).unwrap_or_else(|| protocol.decoder());
                    if resumed.swap(false, Ordering::Relaxed) {
                        decoder.resume();
                    }
                    Box::new(Judged::new(decoder, signal))
                })
            }
            (Source::Serial(_), protocol) if protocol != Protocol::Jsonl => {
                Arc::new(move || protocol.decoder())
            }
            (settings, _) => {
                let own = if let Source::Jsonl(of) = settings { of.line_bytes } else { None };
                let line_bytes = own.unwrap_or(self.surroundings.line_bytes);
                let prices = self.surroundings.prices.clone();
                Arc::new(move || Box::new(JsonlDecoder::new(line_bytes, prices.clone())))
            }
        }
    }

    /// Takes other mapping rules; decoders follow them from the next line on.
    pub(super) fn set_mapping(&self, mapper: Arc<Mapper>) {
        self.mapper.store(mapper);
    }

    /// A number that changes with the mapping rules.
    pub(super) fn edition(&self) -> u32 {
        self.mapper.load().edition()
    }

    /// Ends its tasks; open connections too if `cut`. The future is ready when those have ended that were told to.
    pub(super) fn stop(&mut self, cut: bool) -> impl Future<Output = ()> + use<> {
        self.stop.cancel();
        if cut {
            self.cut.cancel();
        }
        // Connections that are open are read to their end, with the settings they began with.
        let ends = cut || self.sockets.is_empty();
        let tasks = self.tasks.clone();
        async move {
            if ends {
                tasks.wait().await;
            }
        }
    }

    /// Takes the place of one that was told to stop: connections that outlive that one end with this one.
    pub(super) fn replace(&mut self, old: &Self) {
        if !old.sockets.is_empty() {
            (self.cut, self.tasks) = (old.cut.clone(), old.tasks.clone());
        }
    }
}

/// Whether the user listed this source. What runs by default may run beside others that were added to it.
fn asked(settings: &Source, config: &Config) -> bool {
    let defaults = Source::defaults();
    !(config.sources.starts_with(&defaults) && defaults.contains(settings))
}

/// Runs a source that can find its settings wrong; it is down then, and the log says why.
async fn told(run: impl Future<Output = Result<(), String>>, feed: Feed) {
    if let Err(why) = run.await {
        feed.down(&why);
        tracing::error!(source = feed.name(), "{}", quote(&why));
        feed.send(Body::Link(Link::Down));
    }
}

fn decoder_settings(of: &Statsd, line_bytes: usize) -> statsd::Settings {
    statsd::Settings {
        mapping: None,
        dogstatsd_tags: of.dogstatsd_tags,
        librato_tags: of.librato_tags,
        influxdb_tags: of.influxdb_tags,
        signalfx_tags: of.signalfx_tags,
        gauges: match of.gauges {
            Gauges::Signed => statsd::Gauges::Signed,
            Gauges::Absolute => statsd::Gauges::Absolute,
        },
        line_bytes: of.line_bytes.unwrap_or(line_bytes),
    }
}

fn cannot_listen(source: &str, listen: &Listen, error: &io::Error) -> String {
    let why = plain(error);
    let hint = match (error.kind(), listen) {
        (io::ErrorKind::AddrInUse, Listen::Udp(a)) => {
            format!("\n  hint: another program has this port; find it with: ss -lunp 'sport = :{}'", a.port())
        }
        (io::ErrorKind::AddrInUse, Listen::Tcp(a)) => {
            format!("\n  hint: another program has this port; find it with: ss -ltnp 'sport = :{}'", a.port())
        }
        (io::ErrorKind::PermissionDenied, Listen::Unix(p) | Listen::UnixDatagram(p)) => {
            let folder = p.parent().map_or_else(PathBuf::new, Path::to_owned);
            format!("\n  hint: the agent's user must be able to write in {}", folder.display())
        }
        _ => String::new(),
    };
    format!("cannot listen on {listen} for source {source}: {why}{hint}")
}
