//! One configured source: opened, then started, then stopped.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::place;
use super::read::Files;
use crate::config::{Config, Source};
use crate::decode::text::jsonl::{Price, Prices};
use crate::decode::text::mapping::Mapper;
use crate::event::{Body, Link};
use crate::http::Listed;
use crate::listen::Listen;
use crate::quote::plain;
use crate::source::Feed;
use crate::source::kind::{Context, Prepared, Start};
use crate::source::port::usb::Which;
use crate::source::record::Recorded;
use crate::source::request::Devices;
use crate::source::socket::{self, Bound};

/// A source and what it holds open.
pub(super) struct Input {
    settings: Source,
    sockets: Vec<(Listen, Arc<Bound>)>,
    /// What of the rest of the configuration it was opened with.
    context: Context,
    mapper: Arc<ArcSwap<Mapper>>,
    /// What was read of its files, until it starts.
    prepared: Prepared,
    /// Why a default source could not be opened.
    trouble: Option<String>,
    /// Whether the user listed it, rather than it being there by default.
    listed: bool,
    /// Whether another source read the same port until now.
    resumed: bool,
    stop: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
}

/// What of `config` changes what a source does.
fn context(source: &Source, config: &Config) -> Context {
    source.settings().context(&Context {
        line_bytes: config.limits.line_bytes,
        connections: config.limits.connections,
        prices: prices(config),
        device: config.intervals.device.0,
        system: config.intervals.system.0,
        names: Arc::new(place::names(config.http.hosts.clone())),
    })
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
        source: &Source,
        config: &Config,
        files: &mut Files,
        held: &HashMap<Listen, Arc<Bound>>,
        activated: &mut Vec<(String, OwnedFd)>,
    ) -> Result<Self, String> {
        let name = source.name();
        let mut input = Self {
            settings: source.clone(),
            sockets: Vec::new(),
            context: context(source, config),
            mapper: Arc::default(),
            prepared: Prepared::Nothing,
            trouble: None,
            listed: is_listed(source, config),
            resumed: false,
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let settings = source.settings();
        // Files of a source that was held to run on were not read.
        match files.take(name).unwrap_or_else(|| settings.prepare())? {
            Prepared::Mapping(mapper) => input.mapper.store(mapper),
            prepared => input.prepared = prepared,
        }
        let Some(options) = settings.options(&input.context) else { return Ok(input) };
        for listen in settings.listen_addresses() {
            let bound = match held.get(&listen) {
                Some(bound) => {
                    if *bound.options() != options {
                        tracing::warn!(source = name, %listen, "the socket stays open as it is; its buffer, mode, group, connections and interval change with a restart");
                    }
                    Ok(bound.clone())
                }
                None => settings
                    .prepare_socket(&listen)
                    .and_then(|()| socket::bind(&listen, &options, activated))
                    .map(Arc::new),
            };
            match bound {
                Ok(bound) => input.sockets.push((listen, bound)),
                // A source nobody asked for must not keep the agent from starting.
                Err(e) if !input.listed => {
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
            && self.listed == is_listed(settings, config)
            && self.context == context(settings, config)
            && self.trouble.is_none()
    }

    /// Whether this reads the port that one of these others read: what was streaming continues.
    pub(super) fn resume<'a>(&mut self, mut others: impl Iterator<Item = &'a Self>) {
        let port = |input: &Self| -> Option<Which> { input.settings.settings().port() };
        self.resumed = port(self).is_some_and(|own| others.any(|other| port(other).as_ref() == Some(&own)));
    }

    /// Its settings, if its files need not be read again as long as they stay the same.
    pub(super) fn keeps_files(&self) -> Option<Source> {
        Some(&self.settings).filter(|of| !of.settings().rereads_files()).cloned()
    }

    /// The sockets it holds.
    pub(super) fn sockets(&self) -> impl Iterator<Item = (Listen, Arc<Bound>)> {
        self.sockets.iter().cloned()
    }

    /// As the page of sources lists it.
    pub(super) fn listed(&self) -> Listed {
        let settings = self.settings.settings();
        Listed {
            name: settings.name().to_owned(),
            kind: self.settings.kind(),
            place: settings.place(),
            trouble: self.trouble.clone(),
        }
    }

    /// As a recording names it, if it can be recorded.
    pub(super) fn recorded(&self) -> Option<Recorded> {
        self.settings.settings().recorded()
    }

    /// Starts its tasks.
    pub(super) fn start(&mut self, feed: Feed, devices: &Devices) {
        let settings = self.settings.settings();
        if self.listed || !settings.is_optional() {
            feed.send(Body::Link(Link::Waiting));
        }
        settings.start(Start {
            feed,
            stop: self.stop.clone(),
            cut: self.cut.clone(),
            tasks: self.tasks.clone(),
            sockets: self.sockets.clone(),
            context: self.context.clone(),
            mapper: self.mapper.clone(),
            prepared: std::mem::take(&mut self.prepared),
            listed: self.listed,
            resumed: self.resumed,
            devices: devices.clone(),
        });
        self.tasks.close();
    }

    /// Takes other mapping rules; decoders follow them from the next line on.
    pub(super) fn set_mapping(&self, mapper: Arc<Mapper>) {
        self.mapper.store(mapper);
    }

    /// A number that changes with the mapping rules.
    pub(super) fn edition(&self) -> u32 {
        self.mapper.load().edition()
    }

    /// Ends its tasks; open connections too if `cut`. The future is ready when those that were cancelled have ended.
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

    /// Takes the place of one that was commanded to stop: connections that outlive that one end with this one.
    pub(super) fn replace(&mut self, old: &Self) {
        if !old.sockets.is_empty() {
            (self.cut, self.tasks) = (old.cut.clone(), old.tasks.clone());
        }
    }
}

/// Whether the user listed this source. What runs by default may run beside others that were added to it.
fn is_listed(settings: &Source, config: &Config) -> bool {
    let defaults = Source::defaults();
    !(config.sources.starts_with(&defaults) && defaults.contains(settings))
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
