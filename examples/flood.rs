//! A load generator: StatsD or JSON lines over every transport, to this machine only and for a bounded time.
//!
//! It says what really left, as one JSON object. Lines are made before the clock starts, so that it is
//! the kernel and the receiver that are measured.
//!
//! `cargo run --profile dist --example flood -- --to udp://127.0.0.1:8125 --seconds 5`

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::error::Error;
use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use neural_exporter::listen::Listen;

/// Sends lines as fast as they are wanted.
#[derive(Debug, Parser)]
struct Options {
    /// Where: udp://127.0.0.1:8125, tcp://…, unix:/path or unixgram:/path.
    #[arg(long)]
    to: Listen,
    /// What the lines are.
    #[arg(long, value_enum, default_value = "counter")]
    shape: Shape,
    /// Different series, taken in turn.
    #[arg(long, default_value_t = 1000)]
    names: usize,
    /// Lines in one datagram or one write.
    #[arg(long, default_value_t = 1)]
    pack: usize,
    /// Lines a second; 0 is as many as possible.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Ends after so many lines.
    #[arg(long)]
    lines: Option<u64>,
    /// Ends after so many seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shape {
    /// StatsD counters of about 16 bytes.
    Counter,
    /// DogStatsD counters with three tags.
    Tagged,
    /// DogStatsD gauges with one tag; each name is one series of one metric.
    Gauge,
    /// StatsD timers.
    Timer,
    /// Stage events as JSON lines, ten stages a pipeline.
    Stage,
}

impl Shape {
    fn line(self, i: usize) -> String {
        let ms = 1 + i * 7 % 400;
        match self {
            Self::Counter => format!("flood_c_{i:04}:1|c"),
            Self::Tagged => {
                format!("flood.tagged:1|c|#pipeline:p{},stage:s{},rig:north{}", i / 100, i / 10 % 10, i % 10)
            }
            Self::Gauge => format!("flood.gauge{}:{}.5|g|#id:{i:06}", i / 1000, i % 977),
            Self::Timer => format!("flood.stage{:03}.latency:{ms}|ms", i % 1000),
            Self::Stage => format!(
                "{{\"type\":\"stage\",\"pipeline\":\"flood{:03}\",\"stage\":\"stage{}\",\"seconds\":0.{ms:03},\"outcome\":\"ok\"}}",
                i / 10,
                i % 10
            ),
        }
    }
}

enum Way {
    Udp(UdpSocket),
    Unixgram(UnixDatagram),
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Way {
    fn open(to: &Listen) -> Result<Self, Box<dyn Error>> {
        Ok(match to {
            Listen::Udp(address) | Listen::Tcp(address) if !address.ip().is_loopback() => {
                return Err(format!("{address} is not this machine").into());
            }
            Listen::Udp(address) => {
                let socket = UdpSocket::bind(if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" })?;
                socket.connect(address)?;
                Self::Udp(socket)
            }
            Listen::Tcp(address) => Self::Tcp(TcpStream::connect(address)?),
            Listen::Unix(path) => Self::Unix(UnixStream::connect(path)?),
            Listen::UnixDatagram(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Self::Unixgram(socket)
            }
            Listen::Systemd(_) => return Err("systemd is nowhere to send to".into()),
        })
    }

    fn stream(&self) -> bool {
        matches!(self, Self::Tcp(_) | Self::Unix(_))
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(packet).map(drop),
            Self::Unixgram(socket) => socket.send(packet).map(drop),
            Self::Tcp(stream) => stream.write_all(packet),
            Self::Unix(stream) => stream.write_all(packet),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let pack = options.pack.max(1);
    let mut way = Way::open(&options.to)?;
    // As many packets as it takes until the names have come round, but not without end.
    let names = options.names.max(1);
    let packets: Vec<Vec<u8>> = (0..names.min(100_000))
        .step_by(if names.is_multiple_of(pack) { pack } else { 1 })
        .map(|first| {
            let lines: Vec<String> = (first..first + pack).map(|i| options.shape.line(i % names)).collect();
            let end = if way.stream() { "\n" } else { "" };
            (lines.join("\n") + end).into_bytes()
        })
        .collect();
    let limit = Duration::from_secs_f64(options.seconds.clamp(0.0, 3600.0));
    let most = options.lines.unwrap_or(u64::MAX);
    let (mut lines, mut sent, mut bytes, mut refused) = (0_u64, 0_u64, 0_u64, 0_u64);
    #[expect(clippy::disallowed_methods, reason = "the flood is timed")]
    let began = Instant::now();
    for packet in packets.iter().cycle() {
        if lines >= most {
            break;
        }
        // The clock is asked seldom if nobody cares for the rate.
        if options.rate > 0 || sent.is_multiple_of(64) {
            let mut passed = began.elapsed();
            while options.rate > 0
                && passed < limit
                && lines as f64 > passed.as_secs_f64() * options.rate as f64
            {
                std::thread::sleep(Duration::from_micros(200));
                passed = began.elapsed();
            }
            if passed >= limit {
                break;
            }
        }
        match way.send(packet) {
            Ok(()) => {
                lines += pack as u64;
                sent += 1;
                bytes += packet.len() as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{{\"lines\":{lines},\"packets\":{sent},\"bytes\":{bytes},\"refused\":{refused},\"seconds\":{seconds:.6}}}"
    );
    Ok(())
}
