//! The catalogue as a whole: its laws, and that every kind of event moves something.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::num::NonZeroU128;
use std::sync::{Arc, LazyLock};

use neural_exporter::catalog::lint::lint;
use neural_exporter::catalog::{Metric, OWN, PAGES, Page, Row};
use neural_exporter::event::*;

use super::NOW;

#[test]
fn the_laws_of_naming_are_kept() {
    let pages: Vec<&Page> = PAGES.iter().copied().chain(OWN.iter().copied()).collect();
    assert_eq!(lint(&pages), Vec::<String>::new());
}

/// Words that a HELP text does not need, each with the field's own.
const VAGUE: &[(&str, &str)] = &[
    ("told", "reported"),
    ("tells", "reports"),
    ("heard", "received, or listening"),
    ("asked", "requested, or polled"),
    ("comes", "arrives"),
    ("brought", "received, or returned"),
    ("brings", "sends"),
    ("nobody", "the passive"),
    ("somebody", "the passive"),
    ("anybody", "the passive"),
    ("hole", "gap"),
    ("holes", "gaps"),
    ("refused by", "rejected by"),
];

#[test]
fn each_help_is_one_plain_phrase() {
    let mut wrong = Vec::new();
    for metric in PAGES.iter().copied().chain(OWN.iter().copied()).flat_map(|page| page.metrics) {
        let mut say = |what: String| wrong.push(format!("{}: {what}", metric.name));
        if metric.help.len() > 100 {
            say(format!("{} characters are more than 100; use the note", metric.help.len()));
        }
        if metric.help.contains("; ") || metric.help.contains(". ") {
            say("more than one phrase; use the note".to_owned());
        }
        if metric.note.ends_with('.') || metric.note.starts_with(char::is_lowercase) {
            say("a note is sentences without the last full stop".to_owned());
        }
        for text in [metric.help, metric.note] {
            let words = format!(" {} ", text.replace(|c: char| !c.is_alphanumeric(), " "));
            for (word, instead) in VAGUE.iter().filter(|(word, _)| words.contains(&format!(" {word} "))) {
                say(format!("\"{word}\"; write {instead}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_two_metrics_share_a_sample() {
    let mut taken = BTreeSet::new();
    for metric in PAGES.iter().copied().chain(OWN.iter().copied()).flat_map(|page| page.metrics) {
        let suffixes: &[&str] = match metric.kind {
            Kind::Counter => &["", "_total", "_created"],
            Kind::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
            Kind::Info => &["", "_info"],
            _ => &[""],
        };
        for suffix in suffixes {
            let name = format!("{}{suffix}", metric.family());
            assert!(taken.insert(name.clone()), "{name} is there twice");
        }
    }
}

/// Topics that no metric of the catalogue listens to: observations find their series by name, the clock moves analysers,
/// and refused lines are for the log.
const UNREAD: &[Topic] = &[Topic::Observation, Topic::Refused, Topic::Tick];

#[test]
fn every_kind_of_event_moves_a_metric() {
    for &topic in Topic::ALL {
        let mut moved = 0;
        for body in bodies(topic) {
            assert_eq!(body.topic(), topic);
            let event = Event { at: NOW, source: SourceId(0), body };
            for metric in listeners(topic) {
                moved += moves(metric, &event);
            }
        }
        assert_eq!(moved > 0, !UNREAD.contains(&topic), "{topic:?} moves {moved} series");
    }
}

#[test]
fn every_metric_is_moved_by_some_event() {
    for metric in PAGES.iter().flat_map(|page| page.metrics) {
        let moved: usize = (metric.on.iter())
            .flat_map(|&topic| bodies(topic))
            .map(|body| moves(metric, &Event { at: NOW, source: SourceId(0), body }))
            .sum();
        assert!(moved > 0, "nothing moves {metric:?}");
    }
}

fn listeners(topic: Topic) -> impl Iterator<Item = &'static Metric> {
    PAGES.iter().flat_map(|page| page.metrics).copied().filter(move |metric| metric.on.contains(&topic))
}

/// How many series of a metric an event moves. Fails if it does so in a way that its type has not.
fn moves(metric: &'static Metric, event: &Event<'_>) -> usize {
    let mut witness = Witness { metric, moved: RefCell::default() };
    (metric.read)(event, &mut witness);
    witness.moved.into_inner()
}

struct Witness {
    metric: &'static Metric,
    moved: RefCell<usize>,
}

impl Witness {
    fn saw(&self, labels: &[&str], kinds: &[Kind]) {
        let Metric { labels: names, kind, .. } = self.metric;
        assert_eq!(labels.len(), names.len(), "{:?} has the labels {names:?}, not {labels:?}", self.metric);
        assert!(kinds.contains(kind), "{:?} is moved as one of {kinds:?}", self.metric);
        *self.moved.borrow_mut() += 1;
    }
}

impl Row for Witness {
    fn source(&self) -> Arc<str> {
        "source".into()
    }

    fn add(&mut self, labels: &[&str], by: f64) {
        assert!(by >= 0.0, "{:?} falls by {by}", self.metric);
        self.saw(labels, &[Kind::Counter]);
    }

    fn set(&mut self, labels: &[&str], _to: f64) {
        // A counter that somebody else keeps is set as well.
        self.saw(labels, &[Kind::Gauge, Kind::Counter, Kind::Info, Kind::StateSet]);
    }

    fn stamp(&mut self, labels: &[&str], _at: Timestamp) {
        self.saw(labels, &[Kind::Gauge]);
    }

    fn shift(&mut self, labels: &[&str], _by: f64) {
        self.saw(labels, &[Kind::Gauge]);
    }

    fn observe(&mut self, labels: &[&str], _value: f64, _trace: Option<TraceId>) {
        self.saw(labels, &[Kind::Histogram]);
    }
}

fn ports() -> Vec<Body<'static>> {
    static LINE: PortLine = PortLine {
        baud: 115_200,
        waiting: Some(33),
        latency_timer: Some(0.001),
        errors: Some(LineErrors { frame: 1, parity: 2, overrun: 3, buffer_overrun: 4, breaks: 5 }),
    };
    static USB: LazyLock<UsbDevice> = LazyLock::new(|| UsbDevice {
        id: "0403:6015".to_owned(),
        bits_per_second: Some(12e6),
        awake: Some(true),
        autosuspend: Some(true),
        power_limit: Some(0.45),
        renumbered: 1,
        ..UsbDevice::default()
    });
    let states = PortState::ALL.iter().map(|&state| Port::State(state));
    let ends = PortEnd::ALL.iter().flat_map(|&end| [Port::Lost(end), Port::Back(end)]);
    let greetings = Greeting::ALL.iter().map(|&greeting| Port::Greeted(greeting));
    let readings = [Port::Line(&LINE), Port::Usb(&USB)];
    states.chain(ends).chain(greetings).chain(readings).map(Body::Port).collect()
}

/// Events of a topic that say everything they can. A new topic does not compile without one.
fn bodies(topic: Topic) -> Vec<Body<'static>> {
    let trace_id = NonZeroU128::new(7).map(TraceId);
    let trace = trace_id.map(Trace::of);
    let (pipeline, error) = ("decoder", Some("timeout"));
    match topic {
        Topic::Link => [Link::Waiting, Link::Up, Link::Down].map(Body::Link).to_vec(),
        Topic::Received => vec![Body::Received(Received { bytes: 1, reads: 1, events: 1 })],
        Topic::Fault => FaultKind::ALL.iter().map(|&kind| Body::Fault(Fault { kind, bytes: 1 })).collect(),
        Topic::Refused => vec![Body::Refused(b"x")],
        Topic::Dropped => {
            DropReason::ALL.iter().map(|&reason| Body::Dropped(Dropped { reason, events: 1 })).collect()
        }
        Topic::Poll => {
            vec![Body::Poll(Poll { seconds: 0.1, ok: true }), Body::Poll(Poll { seconds: 0.1, ok: false })]
        }
        Topic::Probe => ProbeState::ALL
            .iter()
            .map(|&state| {
                let attempt = Some(ProbeAttempt { ok: true, seconds: Some(0.1) });
                Body::Probe(Probe { state, before: state, held: 1.0, critical: true, attempt })
            })
            .collect(),
        Topic::Socket => vec![Body::Socket(SocketState {
            listen: "udp://127.0.0.1:1",
            drops: 1,
            asked: 2,
            granted: 3,
            queued: 4,
        })],
        Topic::Textfile => {
            vec![Body::Textfile(Textfile { file: "a.prom", written: Some(1.0), ok: true })]
        }
        Topic::Clients => vec![Body::Clients(Clients { accepted: 2, ended: 1, refused: 3 })],
        Topic::Stage => vec![Body::Stage(Stage {
            pipeline,
            stage: "classify",
            seconds: 0.1,
            error,
            items: Some(8.0),
            ended: Some(NOW.wall_seconds()),
            trace,
        })],
        Topic::Queue => vec![Body::Queue(Queue { pipeline, queue: "q", depth: 3.0, limit: Some(10.0) })],
        Topic::Cache => vec![Body::Cache(Cache { pipeline, cache: "c", hits: 1.0, misses: 2.0 })],
        Topic::Call => vec![Body::Call(Call {
            model: "m",
            prompt_tokens: 10.0,
            completion_tokens: 20.0,
            cost: Some(0.01),
            seconds: Some(1.5),
            first_token_seconds: Some(0.2),
            cache_hit: Some(true),
            error,
            ended: Some(NOW.wall_seconds()),
            trace,
        })],
        Topic::Error => vec![Body::Error(PipelineError { pipeline, kind: "lost" })],
        Topic::Score => [ScoreSubject::Data, ScoreSubject::Model("m")]
            .map(|of| Body::Score(Score { pipeline, of, ratio: 0.9 }))
            .to_vec(),
        Topic::Session => {
            let seconds = Some(60.0);
            [SessionStep::Started, SessionStep::Ended { seconds }, SessionStep::Failed { seconds }]
                .map(|step| Body::Session(Session { pipeline, name: "", step }))
                .to_vec()
        }
        Topic::Request => [200, 503]
            .map(|status| {
                Body::Request(Request {
                    service: "api",
                    method: "GET",
                    route: "/v1/decode",
                    status,
                    seconds: 0.1,
                    ended: None,
                    trace,
                })
            })
            .to_vec(),
        Topic::Query => {
            vec![Body::Query(Query {
                database: "d",
                operation: "select",
                seconds: 0.1,
                failed: true,
                ended: None,
                trace,
            })]
        }
        Topic::Check => (0..=3).map(|status| Body::Check(Check { check: "disk", status })).collect(),
        Topic::Span => (SpanKind::ALL.iter())
            .map(|&kind| {
                Body::Span(Span {
                    service: "api",
                    name: "GET /",
                    kind,
                    seconds: 0.1,
                    failed: true,
                    trace: trace_id,
                })
            })
            .collect(),
        Topic::LogRecord => (Severity::ALL.iter())
            .map(|&severity| Body::LogRecord(LogRecord { service: "api", severity }))
            .collect(),
        Topic::Export => (Telemetry::ALL.iter())
            .map(|&signal| Body::Export(Export { service: "api", signal, newest: Some(1.0) }))
            .collect(),
        Topic::Observation => {
            struct Nameless;
            impl Spell for Nameless {
                fn spell(&self, _: &mut Spelled) -> Result<(), FaultKind> {
                    Ok(())
                }
            }
            let change = Change::Takes(1.0);
            vec![Body::Observation(Observation { key: b"k", spelling: &Nameless, change, trace: trace_id })]
        }
        Topic::Host => vec![Body::Host(&HOST)],
        Topic::Process => vec![Body::Process(&PROCESS)],
        Topic::Gpu => vec![Body::Gpu(&GPU)],
        Topic::Device => vec![Body::Device(Device {
            protocol: "cyton",
            channels: 8,
            rate: 250.0,
            packet_rate: 250.0,
            volts: true,
            modulus: 256,
            rails: Rails::All(-1.0, 1.0),
        })],
        Topic::Samples => {
            vec![Body::Samples(Samples { values: &[1e-6; 8], channels: 8, frames: 1, bytes: 33 })]
        }
        Topic::Lost => vec![Body::Lost(Lost { packets: 3 })],
        Topic::LostSamples => vec![Body::LostSamples(LostSamples { samples: 399 })],
        Topic::Port => ports(),
        Topic::Hidden => vec![Body::Hidden(Hidden { packets: 256, unseen: true })],
        Topic::Answer => [true, false]
            .map(|failed| Body::Answer(Answer { bytes: 9, failed, firmware: Some("v3.1.2") }))
            .to_vec(),
        Topic::ProgramMessage => vec![Body::ProgramMessage(ProgramMessage { bytes: 9 })],
        Topic::Contact => [Input::Positive, Input::Negative]
            .map(|input| Body::Contact(Contact { channel: 1, input, on: true }))
            .to_vec(),
        Topic::Repeated => vec![Body::Repeated(Repeated { packets: 1 })],
        Topic::Overtaken => vec![Body::Overtaken(Overtaken { packets: 1 })],
        Topic::Impedance => [0, 1].map(|channel| Body::Impedance(Impedance { channel, ohms: 5e3 })).to_vec(),
        Topic::Vital => {
            [Vital::Battery(0.5), Vital::Temperature(36.5), Vital::PoorSignal(0.1)].map(Body::Vital).to_vec()
        }
        Topic::Tap => {
            static TAP: Tap<'_> = Tap {
                reader: true,
                opens: 1,
                passed: BothWays { to_program: 33, to_device: 1 },
                dropped: BothWays { to_program: 33, to_device: 0 },
                waiting: BothWays { to_program: 66, to_device: 0 },
                behind: 33,
                failed: 33,
                wrong_speed: true,
                delays: &[0.000_02],
            };
            vec![Body::Tap(&TAP)]
        }
        Topic::Streams => {
            vec![Body::Streams(Streams { found: 3, same_name: 2, same_id: 2, refused: 1 })]
        }
        Topic::Expected => {
            [true, false].map(|present| Body::Expected(Expected { stream: "EEG", present })).to_vec()
        }
        Topic::Stream => vec![Body::Stream(Stream {
            name: STREAM,
            kind: "EEG",
            format: "float32",
            channels: 8,
            rate: 250.0,
        })],
        Topic::Channel => vec![Body::Channel(Channel {
            name: STREAM,
            channel: 1,
            label: "Cz",
            unit: "microvolts",
            kind: "EEG",
        })],
        Topic::StreamState => {
            static STATE: StreamState<'_> = StreamState {
                name: STREAM,
                reconnects: 1,
                markers: 2,
                gaps: 3,
                missing: 4,
                in_seconds: Some(false),
                blocking: Some(true),
                irregular: 5,
                backward: 6,
                not_finite: 7,
                jumps: 8,
                ages: &[0.01],
                rate: Some((249.9, Some(0.9996))),
                backlog: Some(9),
                clock: Some(StreamClock { offset: 5.0, uncertainty: 1e-5, rtt: 2e-5, drift: Some(5e-5) }),
            };
            vec![Body::StreamState(&STATE)]
        }
        Topic::Program => ProgramState::ALL
            .iter()
            .map(|&state| {
                Body::Program(Program {
                    program: "intan",
                    version: "3.4.0",
                    state,
                    changed: true,
                    expected: Some(true),
                    position: Some(30_000.0),
                    rate: Some(30_000.0),
                    effective_rate: Some(29_999.0),
                    cpu: Some(0.1),
                })
            })
            .collect(),
        Topic::Processing => {
            vec![Body::Processing(Processing { processor: "101 Filter", stream: "a", latency: 0.01 })]
        }
        Topic::RecordNode => vec![Body::RecordNode(RecordNode {
            node: "102",
            experiment: 1.0,
            recording: 2.0,
            synchronized: Some(true),
        })],
        Topic::Output => {
            vec![Body::Output(Output { output: "waveforms", taken: Some(true), lost: Some(1) })]
        }
        Topic::Flow => vec![Body::Flow(Flow {
            rate: Some(250.0),
            ratio: Some(1.0),
            longest_gap: 0.02,
            last: Some(NOW),
            streaming: true,
            drift: Some(5e-5),
        })],
        Topic::Arrivals => {
            vec![Body::Arrivals(Arrivals { delays: &[Delay { newest: 0.001, oldest: 0.013, packets: 4 }] })]
        }
        Topic::Stability => vec![Body::Stability(Stability { ratio: 0.9 })],
        Topic::Quality => QUALITIES.iter().map(Body::Quality).collect(),
        Topic::Signal => vec![Body::Signal(&SIGNAL)],
        Topic::Tick => vec![Body::Tick],
        Topic::StagePeak => vec![Body::StagePeak(Peak { pipeline, name: "classify", peak: 3.0 })],
        Topic::QueuePeak => vec![Body::QueuePeak(Peak { pipeline, name: "q", peak: 3.0 })],
        Topic::Spent => vec![Body::Spent(Spent {
            currency: "USD",
            tokens: 1.0,
            cost: 2.0,
            tokens_budget: Some(10.0),
            cost_budget: Some(20.0),
        })],
    }
}

static QUALITIES: LazyLock<[Quality; 2]> = LazyLock::new(|| {
    let mut bad = Reasons::default();
    bad.insert(Reason::Hum);
    [true, false].map(|volts| Quality {
        channel: 1,
        volts,
        railed: Some(0.1),
        peak: Some(0.9),
        band_rms: Some(1e-5),
        hum: Some(Hum { ratio: 0.9, decibels: 30.0 }),
        noise: Some(0.1),
        correlation: Some(0.5),
        bad,
        ever: bad,
        ..Quality::default()
    })
});

static SIGNAL: Signal =
    Signal { score: 0.9, bad: 1, mains: Some(50.0), seconds: 1, bad_seconds: [1; Reason::ALL.len()] };

const STREAM: StreamName<'static> = StreamName { source: "lsl", stream: "EEG", host: "rig" };

static HOST: LazyLock<Host> = LazyLock::new(|| {
    let text = str::to_owned;
    let cpu = CpuSeconds {
        user: 1.0,
        nice: 2.0,
        system: 3.0,
        idle: 4.0,
        iowait: 5.0,
        irq: 6.0,
        softirq: 7.0,
        steal: 8.0,
    };
    let traffic = Traffic { bytes: 1.0, packets: 2.0, errors: 3.0, drops: Some(4.0) };
    Host {
        info: HostInfo { system: text("Linux"), kernel: text("6.1"), architecture: text("x86_64") },
        boot_time: Some(1.0),
        uptime: Some(2.0),
        processors: Some(4.0),
        cpu: Some(cpu),
        cores: vec![(0, cpu)],
        load: Some(Load { one: 0.1, five: 0.2, fifteen: 0.3 }),
        scheduler: Some(Scheduler { context_switches: 1.0, forks: 2.0, running: 3.0, blocked: 4.0 }),
        memory: Some(Memory {
            size: 8.0,
            available: 4.0,
            used: 4.0,
            free: 2.0,
            cached: Some(2.0),
            dirty: Some(1.0),
        }),
        swap: Some(Swap { size: 2.0, used: 1.0, free: 1.0 }),
        pressure: vec![Pressure { resource: "io", some: 1.0, full: Some(0.5) }],
        filesystems: vec![Filesystem {
            mount: text("/"),
            device: text("/dev/sda1"),
            fstype: text("ext4"),
            size: 10.0,
            available: 5.0,
            readonly: true,
        }],
        filesystems_stalled: Some(true),
        disks: vec![Disk { device: text("sda"), reads: 1.0, ..Disk::default() }],
        interfaces: vec![Interface { name: text("eth0"), received: traffic, transmitted: traffic }],
        sockets: Sockets {
            used: Some(1.0),
            tcp_established: Some(2.0),
            tcp_waiting: Some(3.0),
            tcp_retransmits: Some(4.0),
            udp_overflows: Some(5.0),
        },
        sensors: vec![Sensor { name: text("cpu"), celsius: 50.0, critical: Some(100.0) }],
        files: Some(OpenFiles { allocated: 1.0, limit: 2.0 }),
    }
});

static PROCESS: LazyLock<ProcessGroup> = LazyLock::new(|| ProcessGroup {
    group: "decoder".to_owned(),
    alive: 1.0,
    cpu_seconds: 2.0,
    read_bytes: Some(3.0),
    written_bytes: Some(4.0),
    major_faults: Some(5.0),
    voluntary_switches: Some(6.0),
    involuntary_switches: Some(7.0),
    now: Some(ProcessGauges {
        resident_bytes: 1.0,
        virtual_bytes: 2.0,
        threads: Some(3.0),
        open_files: Some(4.0),
        open_files_limit: Some(5.0),
        open_files_ratio: Some(0.6),
        oldest_start: Some(7.0),
    }),
});

static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu {
    index: 0,
    name: "card".to_owned(),
    uuid: "GPU-0".to_owned(),
    driver: "550".to_owned(),
    awake: true,
    busy: Some(0.5),
    memory_busy: Some(0.4),
    encoder_busy: Some(0.3),
    decoder_busy: Some(0.2),
    memory_size: Some(8e9),
    memory_used: Some(4e9),
    temperatures: vec![("core".to_owned(), 60.0)],
    power: Some(100.0),
    power_limit: Some(300.0),
    energy: Some(1e6),
    clocks: vec![("sm", 1e9)],
    fans: vec![0.5],
    throttles: vec![("power_cap", true)],
    memory_errors: vec![("corrected", 1.0)],
    xids: vec![(79, 1.0)],
    pcie: Some((1.0, 2.0)),
    processes: vec![("python".to_owned(), 1e9)],
});
