//! The way from the thread that passes bytes to the thread that reads along. Neither ever waits for the
//! other, nor takes a lock: what does not fit is refused, and the one who gives counts it.
//!
//! One gives and one takes; that there are not two of either is what [`Ring::ends`] sees to. A position only
//! grows, and its remainder by the size is a place. A byte is stored before the position that covers it is
//! released, and is read before its place is released for the next one.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::event::Timestamp;

/// Bytes between two threads, so many at most.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: Box<[AtomicU8]>,
    /// How many were given, moved by the giver alone.
    given: AtomicU64,
    /// How many were taken, moved by the taker alone.
    taken: AtomicU64,
}

/// The end of a ring that gives.
#[derive(Debug)]
pub(super) struct Producer<'a>(&'a Ring);

/// The end of a ring that takes.
#[derive(Debug)]
pub(super) struct Consumer<'a>(&'a Ring);

impl Ring {
    /// A ring for so many bytes.
    pub(super) fn new(size: usize) -> Self {
        let bytes = (0..size.max(1)).map(|_| AtomicU8::new(0)).collect();
        Self { bytes, given: AtomicU64::new(0), taken: AtomicU64::new(0) }
    }

    /// Its two ends. They borrow it as its only users.
    pub(super) fn ends(&mut self) -> (Producer<'_>, Consumer<'_>) {
        (Producer(self), Consumer(self))
    }

    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The two runs of places from a position on, `length` together. `length` is at most the size.
    fn places(&self, position: u64, length: usize) -> impl Iterator<Item = &AtomicU8> {
        let first = (position % self.size()) as usize;
        let until_end = length.min(self.bytes.len() - first);
        let run = |from: usize, length: usize| self.bytes.get(from..from + length).unwrap_or_default().iter();
        run(first, until_end).chain(run(0, length - until_end))
    }
}

impl Producer<'_> {
    /// Gives all of the parts, one after the other, or none if they do not fit.
    pub(super) fn give(&mut self, parts: [&[u8]; 2]) -> bool {
        let Self(ring) = self;
        let length = parts[0].len() + parts[1].len();
        let given = ring.given.load(Ordering::Relaxed);
        let waiting = given - ring.taken.load(Ordering::Acquire);
        if length as u64 > ring.size() - waiting {
            return false;
        }
        let bytes = parts[0].iter().chain(parts[1]);
        for (place, byte) in ring.places(given, length).zip(bytes) {
            place.store(*byte, Ordering::Relaxed);
        }
        ring.given.store(given + length as u64, Ordering::Release);
        true
    }

    /// Whether at most half of it is in use.
    fn is_roomy(&self) -> bool {
        let waiting = self.0.given.load(Ordering::Relaxed) - self.0.taken.load(Ordering::Acquire);
        waiting <= self.0.size() / 2
    }
}

impl Consumer<'_> {
    /// Fills `bytes`, or takes nothing if there are not so many.
    pub(super) fn take(&mut self, bytes: &mut [u8]) -> bool {
        let Self(ring) = self;
        let taken = ring.taken.load(Ordering::Relaxed);
        let waiting = ring.given.load(Ordering::Acquire) - taken;
        if bytes.len() as u64 > waiting {
            return false;
        }
        let length = bytes.len();
        for (place, byte) in ring.places(taken, length).zip(bytes) {
            *byte = place.load(Ordering::Relaxed);
        }
        ring.taken.store(taken + length as u64, Ordering::Release);
        true
    }
}

/// Bytes before each piece: when it came, how long it is, whose it is and what happened before it.
const HEAD: usize = 8 + 8 + 4 + 1;
/// Something before it is missing.
const CUT: u8 = 1;
/// It is what the program said, not the device.
const SAID: u8 = 2;

/// Gives what passed, piece by piece.
#[derive(Debug)]
pub(super) struct CopySender<'a> {
    ring: Producer<'a>,
    /// Whether the piece before the next one was refused.
    cut: bool,
}

impl<'a> CopySender<'a> {
    pub(super) fn new(ring: Producer<'a>) -> Self {
        Self { ring, cut: false }
    }

    /// Gives a piece of the device, or of what the program said; false if there is no room. Once there was none, it
    /// takes until half of the ring is free: one large gap is better to read around than many small ones.
    pub(super) fn give(&mut self, at: Timestamp, bytes: &[u8], said: bool) -> bool {
        let mut head = [0; HEAD];
        let before = CUT * u8::from(self.cut) + SAID * u8::from(said);
        let fields = at.steady.to_le_bytes().into_iter().chain(at.wall.to_le_bytes());
        let fields = fields.chain(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        for (place, byte) in head.iter_mut().zip(fields.chain([before])) {
            *place = byte;
        }
        let fits = (!self.cut || self.ring.is_roomy()) && self.ring.give([&head, bytes]);
        self.cut = !fits;
        fits
    }
}

/// Takes what passed, piece by piece.
#[derive(Debug)]
pub(super) struct CopyReceiver<'a> {
    ring: Consumer<'a>,
    piece: Vec<u8>,
}

/// What a device sent, or a program said, read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// When it was read.
    pub(super) at: Timestamp,
    /// Whether something before it is missing.
    pub(super) cut: bool,
    /// Whether the program said it to the device.
    pub(super) said: bool,
    /// What it was.
    pub(super) bytes: &'a [u8],
}

impl<'a> CopyReceiver<'a> {
    /// `longest` bytes a piece need no allocation.
    pub(super) fn new(ring: Consumer<'a>, longest: usize) -> Self {
        Self { ring, piece: Vec::with_capacity(longest) }
    }

    /// The next piece, if there is one.
    pub(super) fn take(&mut self) -> Option<Piece<'_>> {
        let mut head = [0; HEAD];
        if !self.ring.take(&mut head) {
            return None;
        }
        let [steady, wall, length] = [0..8, 8..16, 16..20].map(|place| little(head.get(place)));
        let before = head.last().copied().unwrap_or_default();
        self.piece.resize(usize::try_from(length).unwrap_or_default(), 0);
        // A head and its piece are given at once.
        let whole = self.ring.take(&mut self.piece);
        whole.then_some(Piece {
            at: Timestamp { steady, wall },
            cut: before & CUT != 0,
            said: before & SAID != 0,
            bytes: self.piece.as_slice(),
        })
    }
}

/// A number, its lowest byte first.
fn little(bytes: Option<&[u8]>) -> u64 {
    bytes.unwrap_or_default().iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_arrive_as_they_were_given() {
        let mut ring = Ring::new(100);
        let (producer, consumer) = ring.ends();
        let (mut pieces, mut copies) = (CopySender::new(producer), CopyReceiver::new(consumer, 64));
        for round in 0..1000_u64 {
            let bytes: Vec<u8> = (0..round % 60).map(|i| (i * 7 + round) as u8).collect();
            assert!(pieces.give(Timestamp::both(round), &bytes, round % 2 == 1));
            assert_eq!(
                copies.take(),
                Some(Piece { at: Timestamp::both(round), cut: false, said: round % 2 == 1, bytes: &bytes })
            );
            assert_eq!(copies.take(), None);
        }
    }

    #[test]
    fn what_does_not_fit_is_one_hole_and_it_is_told() {
        let mut ring = Ring::new(130);
        let (producer, consumer) = ring.ends();
        let (mut pieces, mut copies) = (CopySender::new(producer), CopyReceiver::new(consumer, 64));
        let give = |pieces: &mut CopySender<'_>, at| pieces.give(Timestamp::both(at), &[at as u8; 10], false);
        assert_eq!((0..6).map(|at| give(&mut pieces, at)).filter(|given| *given).count(), 4);
        assert_eq!(copies.take().map(|piece| piece.at.steady), Some(0));
        // There is room for one, but not for half of the ring.
        assert!(!give(&mut pieces, 6));
        for at in 1..4 {
            assert_eq!(copies.take().map(|piece| (piece.at.steady, piece.cut)), Some((at, false)));
        }
        assert!(give(&mut pieces, 7) && give(&mut pieces, 8));
        assert_eq!(copies.take().map(|piece| (piece.at.steady, piece.cut)), Some((7, true)));
        assert_eq!(copies.take().map(|piece| (piece.at.steady, piece.cut)), Some((8, false)));
    }

    #[test]
    fn two_threads_agree_on_every_byte() {
        let mut ring = Ring::new(1000);
        let (producer, consumer) = ring.ends();
        let (mut pieces, mut copies) = (CopySender::new(producer), CopyReceiver::new(consumer, 256));
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut next = 0_u32;
                for at in 0..20_000 {
                    let bytes: Vec<u8> = (next..next + at % 200).map(|n| n.wrapping_mul(31) as u8).collect();
                    next += at % 200;
                    while !pieces.give(Timestamp::both(at.into()), &bytes, false) {
                        std::thread::yield_now();
                    }
                }
            });
            let (mut next, mut at) = (0_u32, 0);
            while at < 20_000 {
                let Some(piece) = copies.take() else {
                    std::thread::yield_now();
                    continue;
                };
                assert_eq!(piece.at.steady, at);
                for byte in piece.bytes {
                    assert_eq!(*byte, next.wrapping_mul(31) as u8);
                    next += 1;
                }
                at += 1;
            }
        });
    }
}
