//! Datagrams that overtake each other: what is missing between two of them may yet come.
//!
//! A network may hand on datagrams in another order than they were sent in. What is missing before one is therefore
//! not lost until some more have come: what fills the gap by then is out of order. What fills it later is so too, but
//! was called lost: a counter is not taken back. Within a datagram nothing is overtaken, and what is missing there was
//! lost before it was sent. A duplicate datagram is recognised by its bytes, also where others came between.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

/// Datagrams that a gap waits for what is missing.
const PATIENCE: u64 = 8;
/// Datagrams after which a gap is forgotten, and gaps that are remembered.
const REMEMBERED: u64 = 64;
const HOLES: usize = 16;
/// Datagrams of which it is known that they came.
const KNOWN: usize = 16;

/// What is missing in a row of datagrams.
#[derive(Debug)]
pub(super) struct Overtaken {
    holes: Vec<Hole>,
    /// Datagrams so far.
    now: u64,
    /// What the last of them were.
    known: [u64; KNOWN],
}

/// A gap between two packets, by whatever grows from one packet to the next.
#[derive(Clone, Copy, Debug)]
struct Hole {
    after: f64,
    before: f64,
    missing: u32,
    /// The datagram before which it is.
    at: u64,
    /// Whether the missing samples were reported as lost.
    reported: bool,
}

impl Default for Overtaken {
    fn default() -> Self {
        Self { holes: Vec::with_capacity(HOLES), now: 0, known: [0; KNOWN] }
    }
}

impl Overtaken {
    /// A datagram comes. Says whether it came before; tells what waited long enough.
    pub(super) fn come(&mut self, datagram: &[u8], lost: &mut dyn FnMut(u32)) -> bool {
        let mut hasher = FixedState::with_seed(0).build_hasher();
        hasher.write(datagram);
        // None is 0 but by chance.
        let hash = hasher.finish().max(1);
        if self.known.contains(&hash) {
            return true;
        }
        self.known.rotate_left(1);
        self.known[KNOWN - 1] = hash;
        self.now += 1;
        let now = self.now;
        self.holes.retain_mut(|hole| {
            if !hole.reported && now - hole.at > PATIENCE {
                hole.reported = true;
                lost(hole.missing);
            }
            now - hole.at <= REMEMBERED
        });
        false
    }

    /// So many packets did not come between two that did.
    pub(super) fn miss(&mut self, after: f64, before: f64, missing: u32, lost: &mut dyn FnMut(u32)) {
        if self.holes.len() == HOLES {
            let oldest = self.holes.remove(0);
            if !oldest.reported {
                lost(oldest.missing);
            }
        }
        self.holes.push(Hole { after, before, missing, at: self.now, reported: false });
    }

    /// So many packets came after others that are later. Says whether they were missing.
    pub(super) fn fill(&mut self, at: f64, packets: u32) -> bool {
        let fits = |hole: &&mut Hole| hole.missing > 0 && hole.after <= at && at <= hole.before;
        let Some(hole) = self.holes.iter_mut().rev().find(fits) else { return false };
        hole.missing = hole.missing.saturating_sub(packets);
        if hole.missing == 0 {
            // It is not reported.
            hole.reported = true;
        }
        true
    }

    /// No more comes that has to do with what came.
    pub(super) fn end(&mut self, lost: &mut dyn FnMut(u32)) {
        self.holes.drain(..).filter(|hole| !hole.reported).for_each(|hole| lost(hole.missing));
        self.known = [0; KNOWN];
    }
}
