//! The framing of DogStatsD on a Unix stream: four bytes of length, little-endian, then as many
//! bytes of what would be a datagram.
//!
//! A length over the limit ends the connection, because nothing after it can be trusted.

use super::statsd::Statsd;
use crate::decode::facts::{Carries, Facts};
use crate::decode::{Decoder, Sink};
use crate::event::{Body, Fault, FaultKind};

/// Longest frame that is read by default, in bytes: the largest datagram there is.
pub const FRAME_BYTES: u32 = 65_536;

const HEADER: usize = 4;

/// What is known of the protocol.
pub(in crate::decode) const FACTS: Facts =
    Facts::new("statsd_frames", Carries::Lines, |_| Box::new(Frames::new(Statsd::default(), FRAME_BYTES)));

/// Decodes frames of StatsD lines. One of it serves one connection.
#[derive(Debug)]
pub struct Frames {
    inner: Statsd,
    max: u32,
    header: [u8; HEADER],
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many bytes of the header have come.
    Header(usize),
    /// So many bytes of the frame are still to come; never 0.
    Body(u32),
    /// A length was over the limit; so many bytes came from there on.
    Broken(u64),
}

impl Frames {
    /// Frames of at most `max` bytes, the header not counted.
    #[must_use]
    pub fn new(inner: Statsd, max: u32) -> Self {
        Self { inner, max, header: [0; HEADER], state: State::Header(0) }
    }
}

impl Decoder for Frames {
    fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken(_))
    }

    fn decode(&mut self, mut bytes: &[u8], out: &mut Sink<'_>) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Broken(lost) => {
                    *lost += bytes.len() as u64;
                    return;
                }
                State::Header(have) => {
                    let Some(slot) = self.header.get_mut(*have..) else { return };
                    let take = slot.len().min(bytes.len());
                    let (head, rest) = bytes.split_at(take);
                    slot.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
                    bytes = rest;
                    *have += take;
                    if *have == HEADER {
                        self.state = match u32::from_le_bytes(self.header) {
                            0 => State::Header(0),
                            length if length > self.max => State::Broken(HEADER as u64),
                            length => State::Body(length),
                        };
                    }
                }
                State::Body(left) => {
                    let take = bytes.len().min(*left as usize);
                    let (body, rest) = bytes.split_at(take);
                    bytes = rest;
                    // `take` is at most `left`, a u32.
                    *left -= take as u32;
                    let whole = *left == 0;
                    self.inner.decode(body, out);
                    if whole {
                        self.inner.end(out);
                        self.state = State::Header(0);
                    }
                }
            }
        }
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        let fault = match self.state {
            State::Header(0) => None,
            State::Header(have) => Some((FaultKind::Cut, have as u64)),
            State::Body(_) => Some((FaultKind::Cut, HEADER as u64 + self.inner.drop_partial())),
            State::Broken(lost) => Some((FaultKind::TooLong, lost)),
        };
        self.state = State::Header(0);
        if let Some((kind, bytes)) = fault {
            out(Body::Fault(Fault { kind, bytes }));
        }
    }
}
