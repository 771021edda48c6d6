//! The words that are sent to outlets, and the datagrams that come back.
//!
//! Nothing is remembered here: who asked, when and how often is the affair of the owner of the sockets.

use std::net::Ipv6Addr;
use std::ops::RangeInclusive;

use super::info::{Format, Info};
use crate::event::FaultKind;

/// The port that all outlets of a machine share.
pub const DISCOVERY: u16 = 16571;
/// The ports that outlets have of their own, the first and the last.
pub const PORTS: RangeInclusive<u16> = 16572..=16603;
/// Multicast groups within a link, and within a site.
pub const GROUPS: ([[u8; 4]; 2], [u8; 4]) = ([[224, 0, 0, 1], [224, 0, 0, 183]], [239, 255, 172, 215]);
/// The same over IPv6.
pub const GROUPS_V6: (Ipv6Addr, Ipv6Addr) = (sixth(0xff02), sixth(0xff05));
/// How many routers a datagram to the group of a site passes.
pub const SITE_TTL: u32 = 24;

/// The group of a scope: all have the same end.
const fn sixth(scope: u16) -> Ipv6Addr {
    Ipv6Addr::new(scope, 0x113d, 0x6fdd, 0x2c17, 0xa643, 0xffe2, 0x1bd1, 0x3cd2)
}

/// The question which streams of a session there are. Outlets answer to `port`, and repeat `id`.
#[must_use]
pub fn ask_streams(session: &str, port: u16, id: u64) -> Vec<u8> {
    // XPath has no way to write a quote within quotes, so it takes those that are not in the text.
    let quote = if session.contains('\'') { '"' } else { '\'' };
    format!("LSL:shortinfo\r\nsession_id={quote}{session}{quote}\r\n{port} {id}\r\n").into_bytes()
}

/// An answer to [`ask_streams`]: the id of the question, and a description that is not read yet.
///
/// # Errors
/// It is no answer.
pub fn answer(datagram: &[u8]) -> Result<(u64, &[u8]), FaultKind> {
    let end = memchr::memchr(b'\n', datagram).ok_or(FaultKind::Syntax)?;
    let (id, description) = datagram.split_at_checked(end).ok_or(FaultKind::Syntax)?;
    let id = std::str::from_utf8(id).ok().and_then(|id| id.trim().parse().ok()).ok_or(FaultKind::Syntax)?;
    Ok((id, description))
}

/// An answer to [`ask_streams`]: the id of the question, and a stream.
///
/// # Errors
/// What is wrong with it.
pub fn stream(datagram: &[u8]) -> Result<(u64, Info), FaultKind> {
    let (id, description) = answer(datagram)?;
    Ok((id, Info::parse(description).map_err(|odd| odd.kind)?))
}

/// Which start of a stream a description is of, without reading the rest: a start that is known says nothing new.
#[must_use]
pub fn uid(description: &[u8]) -> Option<&str> {
    let begin = memchr::memmem::find(description, b"<uid>")? + b"<uid>".len();
    let rest = description.get(begin..)?;
    let end = memchr::memchr(b'<', rest)?;
    std::str::from_utf8(rest.get(..end)?).ok().map(str::trim)
}

/// What is sent for the full description.
pub const ASK_DESCRIPTION: &[u8] = b"LSL:fullinfo\r\n";

/// What is sent for samples: the outlet keeps at most so many for this reader, and drops the oldest beyond.
#[must_use]
pub fn ask_samples(info: &Info, buffer: u32) -> Vec<u8> {
    if info.version < 110 {
        return format!("LSL:streamfeed\r\n{buffer} 0\r\n").into_bytes();
    }
    let size = if info.format == Format::Text { 4 } else { info.format.size() };
    let order = if cfg!(target_endian = "big") { 4321 } else { 1234 };
    let Info { uid, session, source_id, .. } = info;
    format!(
        "LSL:streamfeed/110 {uid}\r\nNative-Byte-Order: {order}\r\nEndian-Performance: 0\r\n\
         Has-IEEE754-Floats: 1\r\nSupports-Subnormals: 1\r\nValue-Size: {size}\r\n\
         Data-Protocol-Version: 110\r\nMax-Buffer-Length: {buffer}\r\nMax-Chunk-Length: 0\r\n\
         Hostname: neural-exporter\r\nSource-Id: {source_id}\r\nSession-Id: {session}\r\n\r\n"
    )
    .into_bytes()
}

/// What is sent to learn whether an outlet makes its program wait for each reader. Such an outlet of liblsl (1.18:
/// `transp_sync_blocking`) writes what it has in memory and cannot speak protocol 1.00, which this asks for by claiming
/// other floats. There is nothing else on the wire that tells it from others. An ordinary outlet has one more reader for
/// a moment, so this asks for as much room as readers do: with room for one sample alone, liblsl's queue
/// (`consumer_queue.h`) does not find it full, and its program gets stuck.
#[must_use]
pub fn ask_blocking(uid: &str) -> Vec<u8> {
    format!(
        "LSL:streamfeed/110 {uid}\r\nNative-Byte-Order: 1234\r\nEndian-Performance: 0\r\nHas-IEEE754-Floats: 0\r\n\
         Supports-Subnormals: 1\r\nData-Protocol-Version: 110\r\nMax-Buffer-Length: 500\r\nMax-Chunk-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// Whether the beginning of an answer to [`ask_blocking`] says that the outlet waits for readers. Others may not speak
/// protocol 1.00 either, so the outlet has to say so. `None` if it is no answer.
#[must_use]
pub fn blocking(answer: &[u8]) -> Option<bool> {
    let refused = status(answer)? == OTHER_VERSION;
    Some(refused && memchr::memmem::find(answer, b"Synchronous outlet").is_some())
}

/// The status of an answer of who speaks other versions.
const OTHER_VERSION: u16 = 505;

/// The status of an answer that samples follow.
pub const FOUND: u16 = 200;

/// The status that an answer begins with: 200 if there are samples, 404 if there is no such stream, 505 if it speaks
/// otherwise. `None` if it begins with none.
#[must_use]
pub fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.strip_prefix(b"LSL/")?;
    let line = std::str::from_utf8(line.get(..line.len().min(16))?).ok()?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The question what time it is, asked at `sent` seconds of this machine's clock.
#[must_use]
pub fn ask_time(wave: u32, sent: f64) -> Vec<u8> {
    format!("LSL:timedata\r\n{wave} {sent:.9}\r\n").into_bytes()
}

/// An answer to [`ask_time`], in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeReply {
    /// The wave of the question.
    pub wave: u32,
    /// When it was asked, by the clock of the asker, as the answer repeats it.
    pub asked: f64,
    /// When it came, by the clock of the outlet.
    pub came: f64,
    /// When the answer was sent, by the clock of the outlet.
    pub answered: f64,
}

/// Reads an answer to [`ask_time`].
#[must_use]
pub fn time(datagram: &[u8]) -> Option<TimeReply> {
    let text = std::str::from_utf8(datagram.get(..datagram.len().min(256))?).ok()?;
    let mut words = text.split_ascii_whitespace();
    let wave = words.next()?.parse().ok()?;
    let mut seconds = || words.next()?.parse::<f64>().ok().filter(|t| t.is_finite() && t.abs() < 1e12);
    Some(TimeReply { wave, asked: seconds()?, came: seconds()?, answered: seconds()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = include_str!("../../../tests/fixtures/lsl/fullinfo.xml");

    #[test]
    fn questions() {
        assert_eq!(ask_streams("a", 5000, 7), b"LSL:shortinfo\r\nsession_id='a'\r\n5000 7\r\n");
        assert!(ask_streams("it's", 5000, 7).starts_with(b"LSL:shortinfo\r\nsession_id=\"it's\"\r\n"));
        assert_eq!(ask_time(3, 1.5), b"LSL:timedata\r\n3 1.500000000\r\n");
        let info = Info::parse(FULL.as_bytes()).unwrap();
        let asked = String::from_utf8(ask_samples(&info, 500)).unwrap();
        assert!(asked.starts_with(&format!("LSL:streamfeed/110 {}\r\n", info.uid)), "{asked}");
        assert!(asked.contains("\r\nValue-Size: 4\r\n") && asked.ends_with("\r\n\r\n"), "{asked}");
        assert!(ask_blocking("u").starts_with(b"LSL:streamfeed/110 u\r\n"));
        assert_eq!(blocking(b"LSL/110 505 Synchronous outlet requires data protocol 1.10"), Some(true));
        assert_eq!(blocking(b"LSL/110 505 Version not supported"), Some(false));
        assert_eq!((blocking(b"LSL/110 200 OK\r\n"), blocking(b"")), (Some(false), None));
        let of = |answer: &[u8]| status(answer);
        assert_eq!((of(b"LSL/110 404 Not found"), of(b"LSL/110 200 OK\r\nUID: x")), (Some(404), Some(200)));
        assert_eq!(
            (of(b"LSL/110"), of(b"HTTP/1.1 404"), of(b"\x7f\x01\x09"), of(b"")),
            (None, None, None, None)
        );
        let old = Info { version: 100, ..info };
        assert_eq!(ask_samples(&old, 500), b"LSL:streamfeed\r\n500 0\r\n");
    }

    #[test]
    fn answers() {
        let (id, info) = stream(format!("77\r\n{FULL}").as_bytes()).unwrap();
        assert_eq!((id, &*info.name), (77, "x"));
        assert_eq!(stream(FULL.as_bytes()), Err(FaultKind::Syntax));
        assert_eq!(stream(b"77"), Err(FaultKind::Syntax));
        assert_eq!(stream(b"77\r\n<info/>"), Err(FaultKind::MissingField));
        assert_eq!(uid(FULL.as_bytes()), Some(&*info.uid));
        assert_eq!((uid(b"<uid>x"), uid(b"<info/>"), uid(b"<uid>\xff</uid>")), (None, None, None));
        assert_eq!(GROUPS_V6.0.to_string(), "ff02:113d:6fdd:2c17:a643:ffe2:1bd1:3cd2");
        let reply = TimeReply { wave: 3, asked: 1.5, came: -2.0, answered: 2.25 };
        assert_eq!(time(b" 3 1.5 -2 2.25\r\n"), Some(reply));
        for bad in ["", "3 1 2", "3 1 2 x", "3 1 2 NaN", "x 1 2 3", "3 1 2 1e300"] {
            assert_eq!(time(bad.as_bytes()), None, "{bad}");
        }
    }
}
