//! Open Ephys GUI: asks its HTTP server what it does, and, where that is wanted, reads the stream of its ZMQ Interface.
//!
//! Of the server nothing is asked but a fixed list of paths, by GET, that change nothing. The stream is that of a
//! publisher, which sends to each of its readers and waits for none; no heartbeat is sent, so the plugin's list of
//! clients does not show the agent. Answers are checked against simulators written from the documents and the source;
//! the GUI itself was not run. The stream's transport is checked against libzmq.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::client::{self, Endpoint, Inlet, follow};
use super::{Expect, LastState};
use crate::analysis::quality::{self, Judge};
use crate::backoff::Backoff;
use crate::clock::now;
use crate::decode::program::open_ephys::{Counts, Stream as Decoded, answers};
use crate::decode::{Decoder, Dialogue, Sink};
use crate::event::{
    Body, Channel, Fault, FaultKind, Output, Processing, Program, ProgramState, Received, RecordNode, Stream,
    StreamName, StreamState,
};
use crate::setting::Span;
use crate::source::kind::{Kind, Start};
use crate::source::{Feed, names, poll};

/// Bytes of the longest answer that is read.
const ANSWER: usize = 4 << 20;
/// Steps and streams that are reported.
const STEPS: usize = 256;
/// Questions between two looks at the signal chain, unless the mode changes.
const CHAIN: u32 = 12;
/// Before the stream is connected to again.
const PAUSE: Backoff = Backoff::between(Duration::from_millis(500), Duration::from_secs(10));
/// Ages of samples that are reported in a second.
const AGES: usize = 1024;

/// Open Ephys GUI.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The name of the source.
    pub name: String,
    /// Where its HTTP server is.
    #[schemars(extend("format" = "endpoint"))]
    pub address: String,
    /// How often it is polled.
    pub interval: Span,
    /// How long its answers may take together.
    pub timeout: Span,
    /// What the program should do at least. An alert says when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// The stream of a ZMQ Interface plugin, which is left alone without this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zmq: Option<Zmq>,
    /// How the signal of the stream is judged.
    pub signal: quality::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "open_ephys".to_owned(),
            address: "127.0.0.1:37497".to_owned(),
            interval: Span::seconds(5),
            timeout: Span::seconds(3),
            expect: None,
            zmq: None,
            signal: quality::Settings::default(),
        }
    }
}

/// The stream of a ZMQ Interface plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Zmq {
    /// Its data port.
    #[schemars(extend("format" = "endpoint"))]
    pub address: String,
    /// Whether its channels are electrodes, whose values are microvolts.
    pub microvolts: bool,
}

impl Default for Zmq {
    fn default() -> Self {
        Self { address: "127.0.0.1:5556".to_owned(), microvolts: true }
    }
}

impl Kind for Settings {
    client::at_an_address!();

    fn start(&self, start: Start) {
        start.try_run(run(self.clone(), start.feed.clone(), start.stop.clone()));
    }
}

/// Asks, and reads what is wanted, until it is cancelled.
///
/// # Errors
/// What is wrong with the settings.
pub async fn run(settings: Settings, feed: Feed, stop: CancellationToken) -> Result<(), String> {
    let asked = Arc::new(Server::new(&settings)?);
    let stream = async {
        if let Some(zmq) = &settings.zmq {
            let feed = feed.stream(&format!("{}:zmq", settings.name));
            let place = Endpoint { address: zmq.address.clone(), pause: PAUSE };
            // Clocks of other machines say nothing of how old a message is.
            let here = ["127.", "localhost:", "[::1]"].iter().any(|begin| zmq.address.starts_with(begin));
            let scale = zmq.microvolts.then_some(1e-6);
            let mut seen = false;
            let new = || JudgedStream {
                source: settings.name.clone(),
                stream: Decoded::new(scale),
                judge: Judge::new(settings.signal.clone()),
                reported: Counts::default(),
                here,
                ages: Vec::with_capacity(AGES),
                again: std::mem::replace(&mut seen, true),
            };
            follow(place, feed.clone(), stop.clone(), new).await;
            feed.retire();
        }
    };
    let ask = move |feed: &Feed| {
        let (asked, feed) = (asked.clone(), feed.clone());
        async move { asked.poll_server(&feed).await }
    };
    let asking = poll(feed.clone(), settings.interval.0, settings.timeout.0, stop.clone(), ask);
    tokio::join!(stream, asking);
    Ok(())
}

/// The HTTP server, and what is known of the program.
struct Server {
    name: String,
    expect: Option<Expect>,
    base: Url,
    client: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: LastState,
    /// Questions until the signal chain is looked at.
    look: u32,
    /// What it was then. It is reported each time: what a poll does not show is taken for gone.
    chain: Arc<[answers::Processor]>,
}

impl Server {
    fn new(settings: &Settings) -> Result<Self, String> {
        let wrong = |why: String| format!("cannot ask {}: {why}", settings.address);
        let base: Url =
            format!("http://{}", settings.address).parse().map_err(|_| wrong("it is no address".into()))?;
        let client = crate::client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(names::Names)
            .tls_certs_only([])
            .timeout(settings.timeout.0)
            // The server closes a connection after a few answers, without a word.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|why| wrong(why.to_string()))?;
        let (name, expect) = (settings.name.clone(), settings.expect);
        Ok(Self { name, expect, base, client, state: Mutex::default() })
    }

    async fn poll_server(&self, feed: &Feed) -> Result<(), String> {
        let [status, recording, cpu, latency, processors] = answers::PATHS;
        let state = self.get(feed, status, answers::status).await?;
        let state =
            state.ok_or_else(|| format!("it has no {status}: it is no Open Ephys GUI of these years"))?;
        let nodes = self.get(feed, recording, answers::recording).await?.unwrap_or_default();
        let cpu = self.get(feed, cpu, answers::cpu).await?;
        let steps = self.get(feed, latency, answers::processors).await?.unwrap_or_default();
        let look = {
            let known = self.state.lock();
            known.look == 0 || known.known.0 != Some(state)
        };
        let chain = if look {
            Some(self.get(feed, processors, answers::processors).await?.unwrap_or_default())
        } else {
            None
        };
        // What was not reported because a question failed is still news.
        let (changed, chain) = {
            let mut known = self.state.lock();
            known.look = if look { CHAIN } else { known.look.saturating_sub(1) };
            if let Some(chain) = chain {
                known.chain = chain.into();
            }
            (known.known.changes(state), known.chain.clone())
        };
        let program = Program {
            program: "open_ephys",
            state,
            changed,
            expected: self.expect.map(|expect| expect.is_met_by(state)),
            cpu: cpu.filter(|_| state != ProgramState::Idle),
            ..Program::default()
        };
        feed.batch(now(), |out| {
            out(Body::Program(program));
            self.nodes(&nodes, out);
            // A stopped chain keeps reporting its last latencies.
            if state != ProgramState::Idle {
                self.latencies(&steps, out);
            }
            self.streams(&chain, out);
        });
        Ok(())
    }

    fn nodes(&self, nodes: &[answers::Node], out: &mut Sink<'_>) {
        for node in nodes.iter().take(STEPS) {
            out(Body::RecordNode(RecordNode {
                node: itoa::Buffer::new().format(node.node_id),
                experiment: node.experiment_number.max(0) as f64,
                recording: node.recording_number.max(0) as f64,
                synchronized: node.is_synchronized,
            }));
        }
        refuse(nodes.len(), out);
    }

    fn latencies(&self, steps: &[answers::Processor], out: &mut Sink<'_>) {
        let through = steps.iter().flat_map(|step| step.streams.iter().map(move |stream| (step, stream)));
        let mut count = 0;
        for (step, stream) in through {
            let Some(latency) = stream.latency.filter(|latency| *latency >= 0.0) else { continue };
            count += 1;
            if count <= STEPS {
                let processor = &*format!("{} {}", step.id, step.name);
                out(Body::Processing(Processing { processor, stream: &stream.name, latency: latency / 1e3 }));
            }
        }
        refuse(count, out);
    }

    /// Streams where they begin: each step lists those that go through it.
    fn streams(&self, chain: &[answers::Processor], out: &mut Sink<'_>) {
        let mut count = 0;
        for step in chain {
            let own = |stream: &&answers::Through| stream.source_id.is_none_or(|source| source == step.id);
            for stream in step.streams.iter().filter(own) {
                count += 1;
                if count <= STEPS {
                    out(Body::Stream(Stream {
                        name: StreamName { source: &self.name, stream: &stream.name, host: "" },
                        kind: &step.name,
                        format: "float32",
                        channels: u16::try_from(stream.channel_count).unwrap_or(u16::MAX),
                        rate: if stream.sample_rate.is_finite() { stream.sample_rate } else { 0.0 },
                    }));
                }
            }
        }
        refuse(count, out);
    }

    /// Asks for one path; `None` if the program does not know it.
    async fn get<T>(
        &self,
        feed: &Feed,
        path: &str,
        read: impl FnOnce(&[u8]) -> Result<T, FaultKind>,
    ) -> Result<Option<T>, String> {
        let url = self.base.join(path).map_err(|why| why.to_string())?;
        let failed = |why: reqwest::Error| {
            let next = if why.is_connect() {
                "; check that it runs, and its HTTP server is on in the File menu"
            } else {
                ""
            };
            format!("cannot read {path}: {}{next}", why.without_url())
        };
        let mut response = self.client.get(url).send().await.map_err(failed)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(format!("cannot read {path}: status {status}")),
        }
        let fault = |kind: FaultKind, bytes: usize| {
            feed.send(Body::Fault(Fault { kind, bytes: bytes as u64 }));
            format!("cannot understand the answer to {path}: {}", kind.as_str())
        };
        let announced = response.content_length().unwrap_or_default();
        if announced > ANSWER as u64 {
            return Err(fault(FaultKind::TooLong, 0));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER {
                return Err(fault(FaultKind::TooLong, body.len()));
            }
        }
        feed.send(Body::Received(Received { bytes: body.len() as u64, reads: 1, events: 0 }));
        read(&body).map(Some).map_err(|kind| fault(kind, body.len()))
    }
}

/// Logs that there were more than are reported.
fn refuse(count: usize, out: &mut Sink<'_>) {
    (STEPS..count).for_each(|_| out(Body::Fault(Fault { kind: FaultKind::Limit, bytes: 0 })));
}

/// The stream of a ZMQ Interface, and the judge of its samples.
struct JudgedStream {
    source: String,
    stream: Decoded,
    judge: Judge,
    reported: Counts,
    /// Whether the sender's clock is this machine's.
    here: bool,
    ages: Vec<f64>,
    /// Whether there was a connection before this one.
    again: bool,
}

impl Decoder for JudgedStream {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        let before = self.stream.counts().sent;
        self.judge.decode(&mut self.stream, bytes, out);
        let sent = self.stream.counts().sent.filter(|sent| before != Some(*sent));
        if let Some(sent) = sent.filter(|_| self.here && self.ages.len() < AGES) {
            self.ages.push(now().wall_seconds() - sent);
        }
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        self.judge.finish(&mut self.stream, out);
    }

    fn process_deferred(&mut self) -> bool {
        self.judge.process_deferred()
    }

    fn is_broken(&self) -> bool {
        self.stream.is_broken()
    }

    fn needs_more(&self) -> bool {
        self.stream.needs_more()
    }

    fn dialogue(&mut self) -> Option<&mut dyn Dialogue> {
        self.stream.dialogue()
    }
}

impl Inlet for JudgedStream {
    fn report(&mut self, out: &mut Sink<'_>) {
        let before = std::mem::replace(&mut self.reported, self.stream.counts());
        let grown = |of: fn(&Counts) -> u64| of(&self.reported).saturating_sub(of(&before));
        out(Body::Output(Output {
            output: "zmq",
            taken: None,
            lost: Some(grown(|counts| counts.lost_messages)),
        }));
        let Some((name, rate)) = self.stream.name() else { return };
        let channels = self.stream.channels();
        let name = StreamName { source: &self.source, stream: name, host: "" };
        if self.reported.edition != before.edition {
            let count = u16::try_from(channels.len()).unwrap_or(u16::MAX);
            out(Body::Stream(Stream {
                name,
                kind: "ZMQ Interface",
                format: "float32",
                channels: count,
                rate,
            }));
            for (label, number) in channels.zip(1..) {
                let unit = if self.stream.is_volts() { "microvolts" } else { "" };
                out(Body::Channel(Channel { name, channel: number, label, unit, kind: "" }));
            }
        }
        out(Body::StreamState(&StreamState {
            name,
            reconnects: u64::from(std::mem::take(&mut self.again)),
            markers: grown(|counts| counts.events),
            gaps: grown(|counts| counts.gaps),
            missing: grown(|counts| counts.missing),
            backward: grown(|counts| counts.backward),
            not_finite: grown(|counts| counts.not_finite),
            ages: &self.ages,
            ..StreamState::default()
        }));
        self.ages.clear();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::metrics::Format;
    use crate::source::aside::tests::feed;

    #[tokio::test]
    async fn what_it_does_is_news_until_it_was_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let mut failed = false;
            while let Ok((mut peer, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = peer.read_u8().await else { break };
                    request.push(byte);
                }
                let request = String::from_utf8(request).unwrap();
                let chain = request.starts_with("GET /api/processors ");
                let status = if chain && !std::mem::replace(&mut failed, true) {
                    "500 Internal Server Error"
                } else if chain || request.starts_with("GET /api/status ") {
                    "200 OK"
                } else {
                    "404 Not Found"
                };
                let body = if chain { r#"{"processors":null}"# } else { r#"{"mode":"RECORD"}"# };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                let _ = peer.write_all(answer.as_bytes()).await;
            }
        });
        let (hub, feed) = feed("open_ephys");
        let settings = Settings { address, timeout: Span::seconds(60), ..Settings::default() };
        let server = Server::new(&settings).unwrap();
        assert!(server.poll_server(&feed).await.unwrap_err().contains("500"));
        for _ in 0..2 {
            server.poll_server(&feed).await.unwrap();
        }
        let mut text = Vec::new();
        hub.write(Format::Classic, now(), &mut text);
        let wanted = r#"neural_program_state_changes_total{source="open_ephys",state="recording"} 1"#;
        let text = String::from_utf8(text).unwrap();
        assert!(text.lines().any(|line| line == wanted), "{text}");
    }
}
