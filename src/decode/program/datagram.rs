//! Datagrams in a row: each with its length and its sender's number before it, so that many are decoded in one go,
//! and a recording knows where each ended.
//!
//! What is in them is said by a [`Datagram`]. The four bytes before each are of the agent's own making and not of any
//! wire, so they are in no account of bytes, but for a piece that a recording broke off. A replay reads them from its
//! file, and counts them as received.

use crate::decode::{Decoder, Sink};
use crate::event::{Body, Fault, FaultKind};

/// Bytes before a datagram: its length and its sender, 16 bits each, little-endian.
pub const HEADER: usize = 4;

/// What stands before a datagram. One that is longer than 65,535 bytes does not exist.
#[must_use]
pub fn header(length: usize, sender: u16) -> [u8; HEADER] {
    let [a, b] = u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
    let [c, d] = sender.to_le_bytes();
    [a, b, c, d]
}

/// One kind of datagrams.
pub trait Datagram: Send {
    /// Understands one, whole. Each sender has a number; a later sender has a greater one. Every byte is in
    /// samples, in an answer or in a fault.
    fn datagram(&mut self, bytes: &[u8], sender: u16, out: &mut Sink<'_>);

    /// Tells what is not reported yet. Called after each read.
    fn settle(&mut self, _out: &mut Sink<'_>) {}

    /// No more will come; what comes next has nothing to do with what came before.
    fn end(&mut self, _out: &mut Sink<'_>) {}
}

/// Datagrams of an earlier sender in a row, after which it is followed again: the later one has gone.
const PATIENCE: u32 = 64;

/// Which of several senders is followed: the latest. A program that is restarted has another port, and its datagrams
/// have nothing to do with those before; two at once are not mixed.
#[derive(Debug, Default)]
pub struct Followed {
    sender: Option<u16>,
    /// Datagrams of an earlier sender since the last one of this.
    strange: u32,
}

/// Whose a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of the sender that is followed.
    Known,
    /// Of another one, which is followed from now on.
    Another,
    /// Of one that is not followed.
    Stranger,
}

impl Followed {
    /// Sees whose a datagram is. Another sender is followed if what it sent is `worth` that: of what strays to a port, no
    /// stream that runs is left.
    pub fn observe(&mut self, sender: u16, worth: impl FnOnce() -> bool) -> Whose {
        let Some(before) = self.sender.replace(sender).filter(|before| *before != sender) else {
            self.strange = 0;
            return Whose::Known;
        };
        // Numbers of senders go round.
        let newer = sender.wrapping_sub(before) < 1 << 15;
        if (newer || self.strange + 1 >= PATIENCE) && worth() {
            self.strange = 0;
            return Whose::Another;
        }
        self.strange = self.strange.saturating_add(1).min(PATIENCE);
        self.sender = Some(before);
        Whose::Stranger
    }

    /// Nobody is followed.
    pub fn end(&mut self) {
        *self = Self::default();
    }
}

/// Decodes datagrams in a row.
#[derive(Debug, Default)]
pub struct Datagrams<D> {
    inner: D,
    /// What came of a header and its datagram, where a read ended within.
    held: Vec<u8>,
}

impl<D: Datagram> Datagrams<D> {
    /// Datagrams of this kind.
    #[must_use]
    pub fn new(inner: D) -> Self {
        Self { inner, held: Vec::new() }
    }

    /// What makes sense of them.
    #[must_use]
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// The same, to be changed.
    pub fn inner_mut(&mut self) -> &mut D {
        &mut self.inner
    }

    /// Decodes the first datagram and gives what is left; gives nothing if it is not there as a whole.
    fn first<'b>(inner: &mut D, bytes: &'b [u8], out: &mut Sink<'_>) -> Option<&'b [u8]> {
        let (&[a, b, c, d], rest) = bytes.split_first_chunk::<HEADER>()?;
        let (datagram, rest) = rest.split_at_checked(u16::from_le_bytes([a, b]).into())?;
        inner.datagram(datagram, u16::from_le_bytes([c, d]), out);
        Some(rest)
    }

    /// How many bytes are missing of the datagram that is held.
    fn missing(&self) -> usize {
        match *self.held.as_slice() {
            [a, b, _, _, ..] => HEADER + usize::from(u16::from_le_bytes([a, b])) - self.held.len(),
            _ => HEADER - self.held.len(),
        }
    }
}

impl<D: Datagram> Decoder for Datagrams<D> {
    fn decode(&mut self, mut bytes: &[u8], out: &mut Sink<'_>) {
        while !self.held.is_empty() && !bytes.is_empty() {
            let (now, later) = bytes.split_at(self.missing().min(bytes.len()));
            self.held.extend_from_slice(now);
            bytes = later;
            if self.held.len() >= HEADER && self.missing() == 0 {
                Self::first(&mut self.inner, &self.held, out);
                self.held.clear();
            }
        }
        while let Some(rest) = Self::first(&mut self.inner, bytes, out) {
            bytes = rest;
        }
        self.held.extend_from_slice(bytes);
        self.inner.settle(out);
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        self.inner.end(out);
        if !self.held.is_empty() {
            out(Body::Fault(Fault { kind: FaultKind::Cut, bytes: self.held.len() as u64 }));
            self.held.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ProgramMessage;

    /// Tells each datagram as an answer.
    #[derive(Debug, Default)]
    struct Decoded(Vec<(usize, u16)>);

    impl Datagram for Decoded {
        fn datagram(&mut self, bytes: &[u8], sender: u16, out: &mut Sink<'_>) {
            self.0.push((bytes.len(), sender));
            out(Body::ProgramMessage(ProgramMessage { bytes: bytes.len() as u64 }));
        }
    }

    #[test]
    fn the_latest_sender_is_followed() {
        let mut followed = Followed::default();
        assert_eq!(
            [3, 3, 5, 5].map(|of| followed.observe(of, || true)),
            [Whose::Known, Whose::Known, Whose::Another, Whose::Known]
        );
        let one = [3, 3, 5, 3].map(|of| followed.observe(of, || true));
        assert_eq!(one, [Whose::Stranger, Whose::Stranger, Whose::Known, Whose::Stranger]);
        assert!((0..100).all(|_| followed.observe(9, || false) == Whose::Stranger));
        assert_eq!(followed.observe(5, || false), Whose::Known);
        assert_eq!(followed.observe(3, || true), Whose::Stranger);
        let alone: Vec<Whose> = (0..100).map(|_| followed.observe(3, || true)).collect();
        assert_eq!(alone.iter().filter(|whose| **whose == Whose::Stranger).count(), PATIENCE as usize - 2);
        assert_eq!(alone.iter().filter(|whose| **whose == Whose::Another).count(), 1);
    }

    #[test]
    fn datagrams_are_whole_however_they_are_cut() {
        let mut row = Vec::new();
        for (length, sender) in [(0, 1), (1, 1), (700, 2), (65_507, 3), (5, 1)] {
            row.extend(header(length, sender));
            row.resize(row.len() + length, 7);
        }
        for piece in [1, 2, 3, 5, 64, 1000, 70_000] {
            let mut decoder = Datagrams::new(Decoded::default());
            let mut bytes = 0;
            let mut out = |body: Body<'_>| match body {
                Body::ProgramMessage(answer) => bytes += answer.bytes,
                other => panic!("{other:?}"),
            };
            row.chunks(piece).for_each(|piece| decoder.decode(piece, &mut out));
            decoder.end(&mut out);
            assert_eq!(decoder.inner().0, [(0, 1), (1, 1), (700, 2), (65_507, 3), (5, 1)], "{piece}");
            assert_eq!(bytes, 66_213);
        }
        let mut decoder = Datagrams::new(Decoded::default());
        let mut cut = 0;
        decoder.decode(&row[..9], &mut |_| {});
        decoder.end(&mut |body| {
            if let Body::Fault(Fault { kind: FaultKind::Cut, bytes }) = body {
                cut += bytes;
            }
        });
        assert_eq!((cut, decoder.inner().0.len()), (0, 2));
        decoder.decode(&row[..11], &mut |_| {});
        decoder.end(&mut |body| {
            if let Body::Fault(Fault { kind: FaultKind::Cut, bytes }) = body {
                cut += bytes;
            }
        });
        assert_eq!(cut, 2);
    }
}
