//! A simulated program that streams over the Lab Streaming Layer: electrodes and markers, for the demo.
//!
//! It answers who asks for its session on this machine and nobody else: a recorder of the laboratory that looks for
//! streams does not find it. Written from liblsl's wire format; it shares no code with the decoder.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::rng::Rng;

/// The ports that outlets of a machine have of their own.
const PORTS: std::ops::RangeInclusive<u16> = 16572..=16603;
/// Bytes of a request that are read.
const REQUEST: usize = 4096;
/// How long a reader may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often samples are sent.
const TURN: Duration = Duration::from_millis(40);
/// Samples per second of the electrodes.
const RATE: f64 = 100.0;
/// The electrodes.
const ELECTRODES: [&str; 4] = ["Fz", "Cz", "Pz", "Oz"];
/// The machine that the streams say they are on.
const HOST: &str = "localhost";
/// Seconds from one marker to the next.
const MARKERS: f64 = 2.0;

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Electrodes,
    Markers,
}

impl Content {
    /// Name, type, channels, format and rate of the stream.
    fn facts(self) -> (&'static str, &'static str, usize, &'static str, f64) {
        match self {
            Self::Electrodes => ("demo-eeg", "EEG", ELECTRODES.len(), "float32", RATE),
            Self::Markers => ("demo-markers", "Markers", 1, "string", 0.0),
        }
    }
}

/// A stream that can be asked for.
#[derive(Debug)]
struct Outlet {
    content: Content,
    session: String,
    uid: String,
    port: u16,
    /// When it began, seconds of the clock that timestamps are of.
    began: f64,
}

/// Streams until it is dropped.
///
/// # Errors
/// None of the ports is free that outlets are looked for at.
pub async fn stream(session: String) -> std::io::Result<()> {
    let mut tasks = JoinSet::new();
    for (number, content) in [Content::Electrodes, Content::Markers].into_iter().enumerate() {
        let (udp, tcp, port) = bind().await?;
        let began = clock();
        // Another start is another stream.
        let mut rng = Rng::new(began.to_bits() ^ (u64::from(std::process::id()) << 32) ^ number as u64);
        let (a, b) = (rng.roll(), rng.roll());
        let uid = format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        );
        let outlet = Arc::new(Outlet { content, session: session.clone(), uid, port, began });
        tasks.spawn(answer(udp, outlet.clone()));
        tasks.spawn(serve(tcp, outlet));
    }
    while tasks.join_next().await.is_some() {}
    Ok(())
}

/// A port that is free for datagrams and connections.
async fn bind() -> std::io::Result<(UdpSocket, TcpListener, u16)> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    for port in PORTS {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let both =
            async { Ok::<_, std::io::Error>((UdpSocket::bind(at).await?, TcpListener::bind(at).await?)) };
        match both.await {
            Ok((udp, tcp)) => return Ok((udp, tcp, port)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Seconds of the clock that liblsl uses.
fn clock() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Answers questions for streams and for the time. A datagram that is neither is not answered.
async fn answer(socket: UdpSocket, outlet: Arc<Outlet>) {
    let mut buffer = vec![0; REQUEST];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            // A port that answered "nobody here" to what was sent before.
            tokio::time::sleep(TURN).await;
            continue;
        };
        let came = clock();
        let question = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
        let Some((reply, port)) = outlet.reply(&question, came) else { continue };
        // Nobody waits for it any more.
        drop(
            socket
                .send_to(reply.as_bytes(), SocketAddr::from((from.ip(), port.unwrap_or_else(|| from.port()))))
                .await,
        );
    }
}

async fn serve(listener: TcpListener, outlet: Arc<Outlet>) {
    let mut readers = JoinSet::new();
    loop {
        if let Ok((peer, _)) = listener.accept().await {
            let outlet = outlet.clone();
            // A reader that goes away has what it wanted.
            readers.spawn(async move { drop(outlet.talk(peer).await) });
        } else {
            tokio::time::sleep(TURN).await;
        }
        while readers.try_join_next().is_some() {}
    }
}

impl Outlet {
    /// The answer to a datagram, and the port that it goes to if that is another.
    fn reply(&self, question: &str, came: f64) -> Option<(String, Option<u16>)> {
        let mut lines = question.lines();
        match lines.next()? {
            "LSL:shortinfo" => {
                let query = lines.next()?;
                let (port, id) = lines.next()?.trim().split_once(' ')?;
                let text = format!("{id}\r\n{}", self.describe(false));
                self.is_meant(query).then_some((text, Some(port.parse().ok()?)))
            }
            "LSL:timedata" => {
                let (wave, asked) = lines.next()?.trim().split_once(' ')?;
                Some((format!(" {wave} {asked} {came:.9} {:.9}", clock()), None))
            }
            _ => None,
        }
    }

    /// Whether a question is for this stream: its session, and whatever else is asked for. What is not understood is
    /// not answered.
    fn is_meant(&self, query: &str) -> bool {
        let (name, kind, ..) = self.content.facts();
        let mut session = false;
        let right = query.split(" and ").all(|part| {
            let Some((key, value)) = part.split_once('=') else { return false };
            let value = value.trim().trim_matches(['\'', '"']);
            match key.trim() {
                "session_id" => {
                    session = value == self.session;
                    session
                }
                "name" | "source_id" => value == name,
                "type" => value == kind,
                "hostname" => value == HOST,
                "uid" => value == self.uid,
                _ => false,
            }
        });
        right && session
    }

    fn describe(&self, whole: bool) -> String {
        let (name, kind, channels, format, rate) = self.content.facts();
        let mut described = String::new();
        if whole && self.content == Content::Electrodes {
            for label in ELECTRODES {
                // Writing to a string cannot fail.
                let _ = write!(
                    described,
                    "<channel><label>{label}</label><unit>microvolts</unit><type>EEG</type></channel>"
                );
            }
            described = format!("<channels>{described}</channels>");
        }
        let Self { session, uid, port, began, .. } = self;
        format!(
            "<?xml version=\"1.0\"?>\n<info><name>{name}</name><type>{kind}</type>\
             <channel_count>{channels}</channel_count><channel_format>{format}</channel_format>\
             <source_id>{name}</source_id><nominal_srate>{rate:.6}</nominal_srate><version>1.100000000000000</version>\
             <created_at>{began:.6}</created_at><uid>{uid}</uid><session_id>{session}</session_id>\
             <hostname>{HOST}</hostname><v4address /><v4data_port>{port}</v4data_port>\
             <v4service_port>{port}</v4service_port><v6address /><v6data_port>0</v6data_port>\
             <v6service_port>0</v6service_port><desc>{described}</desc></info>\n"
        )
    }

    async fn talk(&self, mut peer: TcpStream) -> std::io::Result<()> {
        let asked = tokio::time::timeout(PATIENCE, ask(&mut peer)).await??;
        let mut lines = asked.lines();
        let first = lines.next().unwrap_or_default();
        if first == "LSL:fullinfo" {
            return peer.write_all(self.describe(true).as_bytes()).await;
        }
        let Some(wanted) = first.strip_prefix("LSL:streamfeed/110 ") else { return Ok(()) };
        if wanted.trim() != self.uid {
            return peer.write_all(b"LSL/110 404 Not found\r\n\r\n").await;
        }
        let greeting = format!(
            "LSL/110 200 OK\r\nUID: {}\r\nByte-Order: 1234\r\nSuppress-Subnormals: 0\r\n\
             Data-Protocol-Version: 110\r\n\r\n",
            self.uid
        );
        let mut out = greeting.into_bytes();
        // Two samples that are known, so that the reader can see that it understands.
        for offset in [4, 2] {
            self.pattern(offset, &mut out);
        }
        peer.write_all(&out).await?;
        let mut next = self.due(clock());
        let mut ticks = tokio::time::interval(TURN);
        loop {
            ticks.tick().await;
            out.clear();
            while next < self.due(clock()) {
                self.sample(next, &mut out);
                next += 1;
            }
            peer.write_all(&out).await?;
        }
    }

    /// Seconds from one sample to the next.
    fn period(&self) -> f64 {
        if self.content == Content::Electrodes { 1.0 / RATE } else { MARKERS }
    }

    /// How many samples there are at a time: one at the start, and one more after each period.
    fn due(&self, now: f64) -> u64 {
        ((now - self.began) / self.period()) as u64 + 1
    }

    fn pattern(&self, offset: u8, out: &mut Vec<u8>) {
        out.push(2);
        out.extend(123_456.789_f64.to_le_bytes());
        match self.content {
            Content::Electrodes => {
                for (channel, sign) in (0..ELECTRODES.len() as u8).zip([1.0_f32, -1.0].into_iter().cycle()) {
                    out.extend((sign * f32::from(channel + offset)).to_le_bytes());
                }
            }
            // Of texts both samples are the same.
            Content::Markers => text("10", out),
        }
    }

    fn sample(&self, number: u64, out: &mut Vec<u8>) {
        out.push(2);
        let seconds = number as f64 * self.period();
        out.extend((self.began + seconds).to_le_bytes());
        match self.content {
            Content::Electrodes => {
                let mut rng = Rng::new(number);
                // A rhythm that all have in common, and a little of each one's own.
                let rhythm = 12.0 * (std::f64::consts::TAU * 10.0 * seconds).sin();
                for _ in ELECTRODES {
                    out.extend(((rhythm + 4.0 * rng.bell()) as f32).to_le_bytes());
                }
            }
            Content::Markers => text(if number.is_multiple_of(2) { "stimulus" } else { "response" }, out),
        }
    }
}

/// A text of at most 255 bytes: how long its length is, its length, itself.
fn text(text: &str, out: &mut Vec<u8>) {
    let short = text.get(..text.len().min(255)).unwrap_or_default();
    out.extend([1, short.len() as u8]);
    out.extend(short.as_bytes());
}

/// The lines of a request: one for a description, and as HTTP has them for samples.
async fn ask(peer: &mut TcpStream) -> std::io::Result<String> {
    let mut held = Vec::new();
    let mut buffer = [0; 512];
    while held.len() < REQUEST {
        let length = peer.read(&mut buffer).await?;
        held.extend(buffer.get(..length).unwrap_or_default());
        let whole =
            held.ends_with(b"\r\n\r\n") || (held.starts_with(b"LSL:fullinfo") && held.ends_with(b"\n"));
        if length == 0 || whole {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&held).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::lsl::talk;

    fn outlet(content: Content) -> Outlet {
        Outlet { content, session: "demo-1".into(), uid: "u".into(), port: 16580, began: clock() }
    }

    #[test]
    fn who_asks_for_another_session_is_not_answered() {
        let outlet = outlet(Content::Electrodes);
        let asked = |session: &str| String::from_utf8(talk::ask_streams(session, 5000, 7)).unwrap();
        let (reply, port) = outlet.reply(&asked("demo-1"), 1.0).unwrap();
        let (id, info) = talk::stream(reply.as_bytes()).unwrap();
        assert_eq!((id, &*info.name, info.channels, info.rate, port), (7, "demo-eeg", 4, 100.0, Some(5000)));
        for other in ["default", "demo-2", "demo-11"] {
            assert_eq!(outlet.reply(&asked(other), 1.0), None, "{other}");
        }
        let of = |more: &str| outlet.is_meant(&format!("session_id='demo-1'{more}"));
        assert!(of("") && of(" and name='demo-eeg'") && of(" and type='EEG' and source_id='demo-eeg'"));
        assert!(
            !of(" and name='demo-markers'") && !of(" and starts-with(name,'demo')") && !outlet.is_meant("")
        );
        let late = |content| {
            let outlet = self::outlet(content);
            let last = outlet.due(outlet.began + 9.99) - 1;
            9.99 - last as f64 * outlet.period()
        };
        assert!(late(Content::Electrodes) < 0.011 && late(Content::Markers) < 2.0);
        assert_eq!(self::outlet(Content::Markers).due(clock()), 1, "the first is not a period late");
        let (time, _) = outlet.reply("LSL:timedata\r\n3 1.5\r\n", 2.0).unwrap();
        let answer = talk::time(time.as_bytes()).unwrap();
        assert_eq!((answer.wave, answer.asked, answer.came), (3, 1.5, 2.0));
        for odd in ["", "LSL:shortinfo", "LSL:shortinfo\r\n\r\nx y", "LSL:timedata\r\n", "GET / HTTP/1.1\r\n"]
        {
            assert_eq!(outlet.reply(odd, 1.0), None, "{odd}");
        }
    }
}
