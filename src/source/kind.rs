//! What a kind of source is to the rest of the agent: where it reads, what it holds, how it starts.
//!
//! Each kind implements [`Kind`] beside its settings, and `config::Source` lists the kinds, one row each. Nobody else
//! tells one kind from another.

use std::any::Any;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Feed;
use super::look::{Finding, Verdict};
use super::port::usb::Which;
use super::record::Recorded;
use super::request::Devices;
use super::socket::{self, Bound, NewDecoder, Options};
use crate::analysis::quality;
use crate::decode::text::jsonl::Prices;
use crate::decode::text::mapping::Mapper;
use crate::document::{Check, Path};
use crate::event::{Body, Link};
use crate::listen::Listen;
use crate::origin::Names;
use crate::quote::quote;
use crate::secret::Exposed;

/// What is found, once it was looked for.
pub type Probing<'a> = Pin<Box<dyn Future<Output = Vec<Finding>> + Send + 'a>>;

/// A kind of source, with the settings of one.
pub trait Kind {
    /// The name of the source: the value of the label `source`.
    fn name(&self) -> &str;

    /// Where it reads, as the page of sources shows it.
    fn place(&self) -> String {
        let listens = self.listen_addresses();
        self.datagram_address().map_or_else(
            || listens.iter().map(Listen::to_string).collect::<Vec<_>>().join(", "),
            Listen::to_string,
        )
    }

    /// The sockets that are bound before anything starts.
    fn listen_addresses(&self) -> Vec<Listen> {
        Vec::new()
    }

    /// How those sockets are bound.
    fn options(&self, _context: &Context) -> Option<Options> {
        None
    }

    /// Prepares the place of a socket that is about to be bound.
    ///
    /// # Errors
    /// The socket would not be safe there, or cannot be made.
    fn prepare_socket(&self, _listen: &Listen) -> io::Result<()> {
        Ok(())
    }

    /// Where datagrams of a program arrive. The port is shared with other receivers.
    fn datagram_address(&self) -> Option<&Listen> {
        None
    }

    /// The serial port that it opens.
    fn port(&self) -> Option<Which> {
        None
    }

    /// What it alone can have.
    fn claims(&self) -> Vec<Claim> {
        let of = |place: &Listen, item| Claim { place: Resource::Listen(place.clone()), key: "listen", item };
        let heard = self.datagram_address().map(|listen| of(listen, None));
        let listens = self.listen_addresses();
        let bound = listens.iter().enumerate().map(|(index, listen)| of(listen, Some(index)));
        heard.into_iter().chain(bound).collect()
    }

    /// The files and folders that it names. Paths in a configuration start from the folder of its file.
    fn paths(&mut self) -> Vec<&mut PathBuf> {
        Vec::new()
    }

    /// Says which secrets stand in its settings.
    fn expose(&self, _found: &mut Exposed<'_>) {}

    /// How it judges a signal, if it sends one.
    fn signal(&self) -> Option<&quality::Settings> {
        None
    }

    /// Reports what is wrong with its settings beyond the schema; they stand at `path`.
    fn check(&self, _check: &mut Check<'_>, _path: &Path) {}

    /// What of the other settings changes what it does. Everything else is left at its default, so that a source runs
    /// on when that changes: it may be in the middle of a recording.
    fn context(&self, _all: &Context) -> Context {
        Context::default()
    }

    /// Reads the files that it needs before it runs. May block.
    ///
    /// # Errors
    /// Why it cannot run: a sentence for the log.
    fn prepare(&self) -> Result<Prepared, String> {
        Ok(Prepared::Nothing)
    }

    /// Whether files that change are taken over by a source that runs on.
    fn rereads_files(&self) -> bool {
        false
    }

    /// Whether it is no fault that there is nothing to read, as long as the user did not list the source.
    fn is_optional(&self) -> bool {
        false
    }

    /// Whether the program that it reads may have room for one client alone, so that nobody should connect to try.
    fn serves_one_client(&self) -> bool {
        false
    }

    /// Why its device cannot be asked to connect or to stream again; `None` where it can.
    fn refuses_requests(&self) -> Option<&'static str> {
        Some("it reads no serial port")
    }

    /// As a recording names it. Nothing if what it sends is polled, or is one half of a conversation: that cannot be
    /// played again.
    fn recorded(&self) -> Option<Recorded> {
        None
    }

    /// Looks for what it reads, without starting; its settings stand at `path`. `running` says that an agent runs here,
    /// perhaps with this source.
    fn look<'a>(&'a self, path: &'a str, _running: bool) -> Probing<'a> {
        let alone = self.serves_one_client().then(|| {
            let why = "not contacted: the program may have room for one client alone";
            Finding::new(path, self.name(), Verdict::Skipped, why)
        });
        Box::pin(async { alone.into_iter().collect() })
    }

    /// Starts its tasks.
    fn start(&self, start: Start);
}

/// Settings outside a source that change what it does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// Bytes of a line.
    pub line_bytes: usize,
    /// Connections at once.
    pub connections: usize,
    /// What tokens cost, by model.
    pub prices: Arc<Prices>,
    /// How often devices and sockets are looked at.
    pub device: Duration,
    /// How often the machine is read.
    pub system: Duration,
    /// The names under which the agent is reached over HTTP.
    pub names: Arc<Names>,
}

impl Context {
    /// What a socket that listens needs of it.
    #[must_use]
    pub fn of_socket(&self) -> Self {
        let Self { line_bytes, connections, device, .. } = *self;
        Self { line_bytes, connections, device, ..Self::default() }
    }

    /// What a reader of the machine needs of it.
    #[must_use]
    pub fn of_system(&self) -> Self {
        Self { system: self.system, ..Self::default() }
    }
}

/// What was read of the files of a source.
#[derive(Debug, Default)]
pub enum Prepared {
    /// It has none.
    #[default]
    Nothing,
    /// Mapping rules.
    Mapping(Arc<Mapper>),
    /// What the kind alone knows.
    Own(Box<dyn Any + Send>),
}

/// What one source alone can have, and the setting that asks for it.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What it is.
    pub place: Resource,
    /// The setting, within those of the source.
    pub key: &'static str,
    /// Which item of the setting, if that is a list.
    pub item: Option<usize>,
}

/// An address or a file that is read or made.
#[derive(Clone, Debug)]
pub enum Resource {
    /// A socket.
    Listen(Listen),
    /// The socket that pipelines send to when no other is configured.
    DefaultSocket,
    /// A serial port, or the link instead.
    Port(String),
}

impl Resource {
    /// Whether both cannot be had at once.
    #[must_use]
    pub fn clashes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Listen(one), Self::Listen(two)) => one.clashes(two),
            (Self::DefaultSocket, Self::DefaultSocket) => true,
            (Self::Port(one), Self::Port(two)) => one == two,
            _ => false,
        }
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen(listen) => listen.fmt(f),
            Self::DefaultSocket => f.write_str("the default socket"),
            Self::Port(port) => f.write_str(port),
        }
    }
}

/// What a source is given when it starts.
#[derive(Debug)]
pub struct Start {
    /// Its way into the hub.
    pub feed: Feed,
    /// Ends it: what was sent is still read, but no connection is accepted.
    pub stop: CancellationToken,
    /// Ends its open connections as well.
    pub cut: CancellationToken,
    /// Where its tasks run.
    pub tasks: TaskTracker,
    /// Its sockets.
    pub sockets: Vec<(Listen, Arc<Bound>)>,
    /// What [`Kind::context`] chose.
    pub context: Context,
    /// Its mapping rules, which a reload may replace.
    pub mapper: Arc<ArcSwap<Mapper>>,
    /// What [`Kind::prepare`] read, but for mapping rules.
    pub prepared: Prepared,
    /// Whether the user listed it, rather than it being there by default.
    pub listed: bool,
    /// Whether another source read the same port until now: what was streaming continues.
    pub resumed: bool,
    /// Where it says that it can be asked for something.
    pub devices: Devices,
}

impl Start {
    /// Runs what reads the source.
    pub fn run(&self, run: impl Future<Output = ()> + Send + 'static) {
        drop(self.tasks.spawn(run));
    }

    /// Runs what may find the settings wrong; the source is down then, and the log says why.
    pub fn try_run(&self, run: impl Future<Output = Result<(), String>> + Send + 'static) {
        let feed = self.feed.clone();
        self.run(async move {
            if let Err(why) = run.await {
                feed.down(&why);
                tracing::error!(source = feed.name(), "{}", quote(&why));
                feed.send(Body::Link(Link::Down));
            }
        });
    }

    /// Reads its sockets. `new_decoder` receives whether the socket is a stream.
    pub fn listen(&self, events_per_second: Option<u64>, new_decoder: impl Fn(bool) -> Arc<NewDecoder>) {
        let feed = self.feed.clone().with_limit(events_per_second);
        for (listen, bound) in &self.sockets {
            let stream = matches!(listen, Listen::Unix(_) | Listen::Tcp(_)) || bound.is_stream();
            let (stop, cut) = (self.stop.clone(), self.cut.clone());
            let (bound, feed, tasks) = (bound.clone(), feed.connection(), self.tasks.clone());
            self.run(socket::serve(bound, new_decoder(stream), feed, stop, cut, tasks));
        }
    }
}
