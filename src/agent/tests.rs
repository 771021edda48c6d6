//! Reloads of an agent that runs: what continues, what ends, and in which order.

use std::io::Write;
use std::os::unix::net::UnixStream;

use parking_lot::Mutex;
use serialport::{SerialPort, TTYPort};

use super::*;
use crate::config::{self, Jsonl, Serial, Source};
use crate::listen::Many;

/// An agent whose configuration a test may change.
struct Bench {
    agent: Agent,
    config: Arc<Mutex<Config>>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(sources: impl FnOnce(&std::path::Path) -> Vec<Source>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { sources: sources(folder.path()), ..Config::default() };
        config.listen = Many(vec!["127.0.0.1:0".parse().unwrap()]);
        config.state_directory = Some(folder.path().to_owned());
        let config = Arc::new(Mutex::new(config));
        let load = config.clone();
        let mut agent = Agent::build(Box::new(move || Ok(load.lock().clone()))).unwrap();
        let names: Vec<String> = agent.inputs.keys().cloned().collect();
        names.iter().for_each(|name| agent.start(name));
        Self { agent, config, folder }
    }

    async fn reload(&mut self, change: impl FnOnce(&mut Config)) -> String {
        self.try_reload(change).await.unwrap()
    }

    async fn try_reload(&mut self, change: impl FnOnce(&mut Config)) -> Result<String, String> {
        change(&mut self.config.lock());
        let (mut web, mut push) = (Web::default(), Push::default());
        let read = self.agent.read().await;
        let outcome = self.agent.reload(read, &mut web, &mut push).await;
        web.stop().await;
        outcome
    }

    fn number(&self, family: &str, labels: &str) -> Option<f64> {
        self.agent.hub.lock().registry.number(family, labels)
    }

    async fn becomes(&self, family: &str, labels: &str, want: impl Into<Option<f64>>) {
        let want = want.into();
        for _ in 0..1500 {
            if self.number(family, labels) == want {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{family}{{{labels}}} is {:?}, not {want:?}", self.number(family, labels));
    }

    async fn stop(&mut self) {
        all(self.agent.inputs.values_mut().map(|input| input.stop(true)).collect()).await;
    }
}

fn board(port: Option<String>) -> Source {
    let port = port.map(Into::into);
    Source::Serial(Serial {
        name: "board".to_owned(),
        port,
        protocol: crate::decode::Protocol::FreeEeg32,
        ..Serial::default()
    })
}

fn pty() -> (TTYPort, Option<String>) {
    let (device, line) = TTYPort::pair().unwrap();
    (device, line.name())
}

const UP: &str = "neural_source_up";
const BOARD: &str = "source=\"board\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_words_of_a_port_are_not_those_of_the_next() {
    let ((_first, one), (_second, two)) = (pty(), pty());
    let mut bench = Bench::new(|_| vec![board(one)]);
    bench.becomes(UP, BOARD, 1.0).await;
    bench.reload(|config| config.sources = vec![board(two)]).await;
    bench.becomes(UP, BOARD, 1.0).await;
    // Longer than a read waits for bytes, after which the first one noticed that it is to stop.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(bench.number(UP, BOARD), Some(1.0));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_is_left_alone_by_settings_that_are_not_its_own() {
    let (device, line) = pty();
    let mut bench = Bench::new(|_| vec![board(line)]);
    bench.becomes(UP, BOARD, 1.0).await;
    let outcome = bench
        .reload(|config| {
            config.limits.line_bytes += 1;
            config.limits.connections += 1;
            config.intervals.device = crate::setting::Span::seconds(7);
            config.intervals.system = crate::setting::Span::seconds(7);
            let price = config::Price { prompt_per_million: 1.0, completion_per_million: 1.0 };
            config.llm.prices.insert("m".to_owned(), price);
        })
        .await;
    assert!(outcome.contains(", 0 changed, ") && outcome.ends_with("1 as before"), "{outcome}");
    drop(device);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_from_before_a_reload_ends_with_the_agent() {
    let source = |folder: &std::path::Path, events| {
        let listen = format!("unix:{}/in", folder.display()).parse().unwrap();
        let jsonl = Jsonl { name: "in".to_owned(), listen: Many(vec![listen]), ..Jsonl::default() };
        vec![Source::Jsonl(Jsonl { events_per_second: events, ..jsonl })]
    };
    let mut bench = Bench::new(|folder| source(folder, None));
    let folder = bench.folder.path().to_owned();
    let mut client = UnixStream::connect(folder.join("in")).unwrap();
    client.write_all(b"{\"type\":").unwrap();
    bench.becomes("neural_source_received_bytes_total", "source=\"in\"", 8.0).await;
    bench.reload(|config| config.sources = source(&folder, Some(1000))).await;
    let hub = bench.agent.hub.clone();
    bench.stop().await;
    let cut = hub.lock().registry.number("neural_source_errors_total", "source=\"in\",reason=\"truncated\"");
    assert_eq!(cut, Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_a_socket_goes_with_it() {
    let source = |folder: &std::path::Path, names: &[&str]| {
        let listen = |name: &&str| format!("unixgram:{}/{name}", folder.display()).parse().unwrap();
        let listen = Many(names.iter().map(listen).collect());
        vec![Source::Statsd(config::Statsd { name: "s".to_owned(), listen, ..config::Statsd::default() })]
    };
    let mut bench = Bench::new(|folder| source(folder, &["one", "two"]));
    let folder = bench.folder.path().to_owned();
    let labels = |name: &str| format!("source=\"s\",listen=\"unixgram:{}/{name}\"", folder.display());
    const QUEUED: &str = "neural_source_receive_buffer_used_bytes";
    bench.becomes(QUEUED, &labels("one"), 0.0).await;
    bench.becomes(QUEUED, &labels("two"), 0.0).await;
    bench.reload(|config| config.sources = source(&folder, &["two", "three"])).await;
    bench.becomes(QUEUED, &labels("three"), 0.0).await;
    bench.becomes(QUEUED, &labels("one"), None).await;
    assert_eq!(bench.number("neural_source_kernel_drops", &labels("one")), Some(0.0), "what adds up stays");
    bench.becomes(QUEUED, &labels("two"), 0.0).await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_reload_is_known_until_one_succeeds() {
    let mut bench = Bench::new(|_| Vec::new());
    let successful = |bench: &Bench| bench.agent.own.config_successful.get();
    assert_eq!(successful(&bench), 1);
    let mapping = Some(bench.folder.path().join("none.yml"));
    let source =
        Source::Statsd(config::Statsd { name: "s".to_owned(), mapping, ..config::Statsd::default() });
    bench.try_reload(|config| config.sources = vec![source]).await.unwrap_err();
    assert_eq!(successful(&bench), 0);
    bench.reload(|config| config.sources.clear()).await;
    assert_eq!(successful(&bench), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_that_changed_has_its_effect_and_what_is_expected_is_there() {
    let mut bench = Bench::new(|_| Vec::new());
    let pack = |metric: &str| {
        let text =
            format!("id: lab\ntitle: Lab\nabout: A lab.\nmetrics:\n- {{name: loss, help: Loss, {metric}}}\n");
        config::Pages(vec![config::pack::parse("lab.yml", &text).unwrap()])
    };
    let told = |bench: &Bench, line: &str| {
        let mut out = Vec::new();
        bench.agent.hub.write(crate::metrics::Format::Classic, now(), &mut out);
        String::from_utf8(out).unwrap().lines().any(|l| l == line)
    };
    bench.reload(|config| config.pages = pack("kind: gauge")).await;
    assert!(told(&bench, "# TYPE neural_loss gauge") && told(&bench, "neural_loss 0"));
    let before = bench.agent.own.config_hash.get();
    bench.reload(|config| config.pages = pack("kind: histogram, buckets: [1, 2]")).await;
    assert!(told(&bench, "# TYPE neural_loss histogram") && told(&bench, "neural_loss_bucket{le=\"2.0\"} 0"));
    let hash = bench.agent.own.config_hash.get();
    bench.reload(|config| config.pages = pack("kind: histogram, buckets: [1, 3]")).await;
    assert!(told(&bench, "neural_loss_bucket{le=\"3.0\"} 0"));
    assert!(hash != before && hash != bench.agent.own.config_hash.get());

    let depth = |bench: &Bench| bench.number("neural_queue_depth", "pipeline=\"p\",queue=\"q\"");
    let pipeline = config::Pipeline {
        name: "p".to_owned(),
        stages: Vec::new(),
        queues: vec!["q".to_owned()],
        caches: Vec::new(),
    };
    bench.reload(|config| config.pipelines = vec![pipeline]).await;
    let hour = 3_600_000_000_000;
    let at = crate::event::Timestamp { steady: now().steady + hour, ..now() };
    bench.agent.hub.lock().fold(&Event { at, source: SourceId::AGENT, body: Body::Tick });
    assert_eq!(depth(&bench), Some(0.0));
    assert!(told(&bench, "neural_loss_bucket{le=\"3.0\"} 0"));
    bench.reload(|config| config.pipelines.clear()).await;
    assert_eq!(depth(&bench), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_does_not_take_a_new_source_for_an_old_one() {
    let source = |folder: &std::path::Path, name: &str| {
        let listen = format!("unix:{}/{name}", folder.display()).parse().unwrap();
        Source::Jsonl(Jsonl { name: name.to_owned(), listen: Many(vec![listen]), ..Jsonl::default() })
    };
    let mut bench = Bench::new(|folder| vec![source(folder, "b")]);
    let folder = bench.folder.path().to_owned();
    let file = folder.join("rec");
    bench.agent.record(&file).unwrap();
    let recorder = bench.agent.recorder.clone().unwrap();
    bench.reload(|config| config.sources.insert(0, source(&folder, "a"))).await;
    UnixStream::connect(folder.join("a")).unwrap().write_all(b"not in it\n").unwrap();
    bench.becomes("neural_source_errors_total", "source=\"a\",reason=\"syntax\"", 1.0).await;
    bench.stop().await;
    recorder.finish().unwrap();
    assert_eq!(crate::source::record::Recording::open(&file).unwrap().piece().unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_played_again_is_in_no_recording() {
    let lsl = |_: &std::path::Path| vec![Source::Lsl(crate::source::lsl::Settings::default())];
    let mut bench = Bench::new(lsl);
    let file = bench.folder.path().join("rec");
    let why = bench.agent.record(&file).unwrap_err().to_string();
    assert!(why.contains("no source can be recorded"), "{why}");
    assert!(!file.exists());
    let listen = |folder: &std::path::Path| format!("unix:{}/in", folder.display()).parse().unwrap();
    let jsonl = |f: &std::path::Path| Jsonl {
        name: "in".to_owned(),
        listen: Many(vec![listen(f)]),
        ..Jsonl::default()
    };
    let mut bench = Bench::new(|folder| [lsl(folder), vec![Source::Jsonl(jsonl(folder))]].concat());
    let file = bench.folder.path().join("rec");
    bench.agent.record(&file).unwrap();
    bench.agent.recorder.as_ref().unwrap().finish().unwrap();
    let recording = crate::source::record::Recording::open(&file).unwrap();
    assert_eq!(recording.sources.iter().map(|source| &*source.name).collect::<Vec<_>>(), ["in"]);
    assert!(bench.agent.is_recorded("in") && !bench.agent.is_recorded("lsl"));
    bench.stop().await;
}
