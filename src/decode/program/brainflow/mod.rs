//! What BrainFlow streams to a group (`streaming_board://225.1.1.1:6677`): packages of float64, some in a datagram.
//!
//! There is no header: a datagram is packages, a package is the rows of the board, each eight bytes, little-endian
//! (`multicast_streamer.cpp` of BrainFlow 5.23, and datagrams that it sent). So the receiver must know the board;
//! that it does is checked by the number and the time in each package, and where one cannot be, the datagram is a
//! fault. Whether a package was lost on the way from the board or on the network cannot be determined from here.
//! Times are those at which BrainFlow's machine had the package, late where it was busy: where packages are numbered,
//! no gap is seen in times. A datagram whose numbers do not continue, and whose time lies in a gap before, was
//! overtaken.

mod board;

pub use board::{Layout, Numbers, Rows, Streamed};

use super::datagram::{Datagram, Datagrams, Followed, Whose};
use super::overtaken::Overtaken;
use crate::decode::Sink;
use crate::decode::facts::{Carries, Facts};
use crate::decode::lsl::Stamps;
use crate::event::{self, Body, Device, Fault, FaultKind, Lost, Rails, Repeated, Samples};

/// Bytes of one number.
const WIDTH: usize = 8;
/// Between which seconds since the epoch a time is one.
const TIMES: std::ops::Range<f64> = 1e8..1e11;
/// A stream whose numbers begin again after so many seconds without a package was stopped and started.
const PAUSE: f64 = 0.5;

/// What is known of the protocol.
pub(in crate::decode) const FACTS: Facts = Facts::new("brainflow", Carries::Datagrams, |of| {
    let streamed =
        of.brainflow.as_ref().and_then(|of| Some(Brainflow::new(of.layout().ok()?, of.full_scale)));
    Box::new(Datagrams::new(streamed.unwrap_or_default()))
});

/// Decodes packages of one board.
#[derive(Debug)]
pub struct Brainflow {
    layout: Layout,
    device: Device,
    reported: bool,
    followed: Followed,
    count: Count,
    overtaken: Overtaken,
    /// Packages so far, those that are missing included.
    place: u64,
    stamps: Stamps,
    not_finite: u64,
    restarts: u64,
    values: Vec<f32>,
    frames: u32,
    bytes: u64,
}

impl Default for Brainflow {
    /// Of the synthetic board.
    fn default() -> Self {
        Self::new(Layout::of("synthetic").unwrap_or_else(|| Rows::default().layout()), None)
    }
}

impl Brainflow {
    /// Of a board. A full scale in volts is taken in place of that of the board as it starts.
    #[must_use]
    pub fn new(layout: Layout, full_scale: Option<f64>) -> Self {
        let rails = match full_scale.or(layout.full_scale) {
            // What the largest count is as microvolts, and then as a float, is not exact.
            Some(most) => Rails::All(-(most * (1.0 - 1e-6)) as f32, (most * (1.0 - 1e-6)) as f32),
            None => Rails::Unknown,
        };
        let device = Device {
            protocol: "brainflow",
            channels: u16::try_from(layout.channels.len()).unwrap_or(u16::MAX),
            rate: layout.rate,
            packet_rate: layout.rate,
            volts: true,
            modulus: Count::new(layout.numbers).round(),
            rails,
        };
        Self {
            count: Count::new(layout.numbers),
            stamps: Stamps::new(if layout.numbers == Numbers::No { layout.rate } else { 0.0 }),
            layout,
            device,
            reported: false,
            followed: Followed::default(),
            overtaken: Overtaken::default(),
            place: 0,
            not_finite: 0,
            restarts: 0,
            values: Vec::new(),
            frames: 0,
            bytes: 0,
        }
    }

    /// What stands where.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the times of its packages said.
    pub fn stamps(&mut self) -> &mut Stamps {
        &mut self.stamps
    }

    /// Values that were NaN or infinite, so far.
    #[must_use]
    pub fn not_finite(&self) -> u64 {
        self.not_finite
    }

    /// Times that the stream began again, so far.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The stream was stopped, and another one begins.
    fn restart(&mut self, out: &mut Sink<'_>) {
        self.settle(out);
        self.overtaken.end(&mut |packets| out(Body::Lost(Lost { packets })));
        self.count.restart();
        self.stamps.restart();
        self.restarts += 1;
        out(Body::Device(self.device));
    }

    /// The packages of a datagram, if it is one of the board's.
    fn packages<'b>(&self, bytes: &'b [u8]) -> Option<std::slice::ChunksExact<'b, u8>> {
        let packages = bytes.chunks_exact((usize::from(self.layout.rows) * WIDTH).max(WIDTH));
        if bytes.is_empty() || !packages.remainder().is_empty() {
            return None;
        }
        let Layout { package, timestamp, numbers, .. } = &self.layout;
        let right = |bytes: &[u8]| {
            let number = package.is_none_or(|row| whole(number(bytes, row), *numbers).is_some());
            number && timestamp.is_none_or(|row| TIMES.contains(&self::number(bytes, row)))
        };
        packages.clone().all(right).then_some(packages)
    }

    /// The number and the time of a package, as far as it has them.
    fn mark(&self, package: &[u8]) -> (Option<u32>, Option<f64>) {
        let Layout { package: numbered, timestamp, numbers, .. } = self.layout;
        let number = numbered.and_then(|row| whole(number(package, row), numbers));
        (number, timestamp.map(|row| self::number(package, row)))
    }

    /// Whether a datagram was overtaken whose first package this is, of so many.
    fn is_overtaken(&mut self, package: &[u8], packages: u32) -> bool {
        let (Some(number), stamp) = self.mark(package) else { return false };
        let ahead = self.count.clone().observe(number);
        if ahead == 0 {
            return false;
        }
        let at = match stamp.zip(self.stamps.last) {
            Some((now, last)) => Some(now).filter(|now| *now < last),
            // By its number, if it is as far back as it is not ahead.
            None => Some(self.place as f64 - f64::from(self.count.round()) + f64::from(ahead) + 1.0),
        };
        at.is_some_and(|at| self.overtaken.fill(at, packages))
    }

    /// Takes a package that no other one overtook. `first` says of the first one of a datagram how many of the
    /// datagram have its number, if another one follows; 0 if none does.
    fn accept(&mut self, package: &[u8], first: Option<u32>, out: &mut Sink<'_>) {
        let (number, stamp) = self.mark(package);
        if let Some(number) = number {
            let last = self.stamps.last;
            let paused = last.zip(stamp).is_some_and(|(last, now)| !(0.0..PAUSE).contains(&(now - last)));
            if paused && self.count.begins(number) {
                self.restart(out);
            }
            let mut lost = self.count.observe(number);
            if let Some(run) = first.filter(|run| lost > 0 && *run > 0) {
                lost += self.count.last_of(number, run);
            }
            let before = self.place as f64;
            self.place += u64::from(lost) + 1;
            if lost > 0 {
                self.settle(out);
                let mut lose = |packets| out(Body::Lost(Lost { packets }));
                match (last.zip(stamp), first) {
                    (_, None) => lose(lost),
                    (Some((last, now)), Some(_)) => self.overtaken.miss(last, now, lost, &mut lose),
                    (None, Some(_)) => self.overtaken.miss(before, self.place as f64, lost, &mut lose),
                }
            }
        }
        if stamp.is_some() {
            self.stamps.observe(stamp);
        }
        self.take(package);
    }

    /// Takes the samples of a package.
    fn take(&mut self, package: &[u8]) {
        for row in &self.layout.channels {
            let value = (number(package, *row) * 1e-6) as f32;
            self.not_finite += u64::from(!value.is_finite());
            self.values.push(if value.is_finite() { value } else { 0.0 });
        }
        self.frames += 1;
        self.bytes += package.len() as u64;
    }
}

impl Datagram for Brainflow {
    fn datagram(&mut self, bytes: &[u8], sender: u16, out: &mut Sink<'_>) {
        if !std::mem::replace(&mut self.reported, true) {
            out(Body::Device(self.device));
        }
        let fault = |kind| Body::Fault(Fault { kind, bytes: bytes.len() as u64 });
        let Some(packages) = self.packages(bytes) else {
            self.settle(out);
            out(fault(if bytes.len().is_multiple_of(WIDTH) {
                FaultKind::BadValue
            } else {
                FaultKind::Frame
            }));
            return;
        };
        match self.followed.observe(sender, || true) {
            Whose::Known => {}
            Whose::Another => self.restart(out),
            Whose::Stranger => {
                self.settle(out);
                out(fault(FaultKind::Conflict));
                return;
            }
        }
        let packets = u32::try_from(packages.len()).unwrap_or(u32::MAX);
        let mut lost = Vec::new();
        if self.overtaken.come(bytes, &mut |packets| lost.push(packets)) {
            self.settle(out);
            out(Body::Repeated(Repeated { packets }));
            (self.frames, self.bytes) = (packets, bytes.len() as u64);
            return;
        }
        if !lost.is_empty() {
            self.settle(out);
            lost.into_iter().for_each(|packets| out(Body::Lost(Lost { packets })));
        }
        let first = packages.clone().next().unwrap_or_default();
        if self.is_overtaken(first, packets) {
            self.settle(out);
            out(Body::Overtaken(event::Overtaken { packets }));
            packages.for_each(|package| self.take(package));
            return;
        }
        let number = self.mark(first).0;
        let others = packages.clone().skip_while(|package| self.mark(package).0 == number).count();
        let run = if others > 0 { packages.len() - others } else { 0 };
        let run = u32::try_from(run).unwrap_or(u32::MAX);
        packages.enumerate().for_each(|(at, package)| self.accept(package, (at == 0).then_some(run), out));
    }

    fn settle(&mut self, out: &mut Sink<'_>) {
        if self.frames > 0 {
            let (frames, bytes) = (std::mem::take(&mut self.frames), std::mem::take(&mut self.bytes));
            let channels = self.device.channels.max(1);
            out(Body::Samples(Samples { values: &self.values, channels, frames, bytes }));
            self.values.clear();
        }
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        self.settle(out);
        self.overtaken.end(&mut |packets| out(Body::Lost(Lost { packets })));
        self.count.restart();
        self.stamps.restart();
        self.followed.end();
        self.reported = false;
    }
}

/// The number in a row; NaN beyond the end.
fn number(package: &[u8], row: u16) -> f64 {
    let from = usize::from(row) * WIDTH;
    let bytes = package.get(from..).and_then(|rest| rest.first_chunk::<WIDTH>());
    bytes.map_or(f64::NAN, |bytes| f64::from_le_bytes(*bytes))
}

/// A package's number, if it can be one.
fn whole(number: f64, numbers: Numbers) -> Option<u32> {
    let most = match numbers {
        Numbers::No => return Some(0),
        Numbers::Up { modulus, .. } => modulus,
        // Those above 200 send impedances or words.
        Numbers::Ganglion => 256,
    };
    let right = number >= 0.0 && number < f64::from(most) && number.fract() == 0.0;
    // Without a fraction, and less than 2^32.
    right.then_some(number as u32)
}

/// Where the stream is in the round of its numbers.
#[derive(Clone, Debug)]
struct Count {
    numbers: Numbers,
    /// The first number of the stream, as far as it was seen.
    start: Option<u32>,
    /// Whether a Ganglion with firmware 3.0.1 or later is in the round after its start, which is numbered from 99 on
    /// and not from 100 (`decode/board/ganglion.rs`). Where it begins with 255 instead, BrainFlow leaves that packet
    /// out.
    early: bool,
    /// The number before, and how many packages with it came before.
    last: Option<(u32, u32)>,
    /// Whether the numbers are those of a Ganglion with firmware 3.
    third: bool,
    /// Packages that are missing if it is no firmware 3: its round has one package less.
    perhaps: u32,
}

impl Count {
    fn new(numbers: Numbers) -> Self {
        Self { numbers, start: None, early: false, last: None, third: false, perhaps: 0 }
    }

    /// What comes may be of another board of the same kind.
    fn restart(&mut self) {
        *self = Self::new(self.numbers);
    }

    /// Packages of one round; 0 if they are not numbered.
    fn round(&self) -> u32 {
        match self.numbers {
            Numbers::No => 0,
            Numbers::Up { step, modulus, times } => (modulus / step.max(1)).saturating_mul(times),
            Numbers::Ganglion if self.third => 200,
            Numbers::Ganglion => 201,
        }
    }

    /// Whether a stream begins with this number.
    fn begins(&self, number: u32) -> bool {
        match self.numbers {
            Numbers::No => false,
            Numbers::Up { step, .. } => number < step,
            Numbers::Ganglion => matches!(number, 0 | 99 | 100),
        }
    }

    /// The place of a package in the round.
    fn place(&self, number: u32, before: u32) -> u32 {
        match self.numbers {
            Numbers::No => 0,
            Numbers::Up { step, times, .. } => (number / step.max(1)).saturating_mul(times) + before,
            Numbers::Ganglion if self.third => 2 * ((number + u32::from(self.early)) % 100) + before,
            Numbers::Ganglion if number == 0 => 0,
            Numbers::Ganglion => 2 * ((number - 1) % 100) + 1 + before,
        }
    }

    /// How many packages may have one number.
    fn times(&self) -> u32 {
        match self.numbers {
            Numbers::Up { times, .. } => times,
            Numbers::No => 1,
            Numbers::Ganglion => 2,
        }
    }

    /// The package that was seen last is one of so many with this number, and another number follows: they are the
    /// last of those with it. Says how many there must have been before it.
    fn last_of(&mut self, number: u32, run: u32) -> u32 {
        let times =
            if self.numbers == Numbers::Ganglion && number == 0 && !self.third { 1 } else { self.times() };
        let skipped = times.saturating_sub(run);
        if let Some((_, before)) = self.last.as_mut().filter(|_| skipped > 0) {
            *before = skipped;
        }
        skipped
    }

    /// Sees the number of a package, and says how many are missing before it.
    fn observe(&mut self, number: u32) -> u32 {
        if self.numbers == Numbers::No || (self.numbers == Numbers::Ganglion && number > 200) {
            return 0;
        }
        let Some((last, before)) = self.last else {
            (self.last, self.start) = (Some((number, 0)), Some(number));
            return 0;
        };
        let again = last == number && before + 1 < self.times();
        if last == number && !again {
            // The driver of a Daisy leaves the number as it was where the frame was lost that has it. That just as
            // many as there are numbers were lost is less likely, and seen by time.
            return 0;
        }
        if self.numbers == Numbers::Ganglion && !self.third {
            let zeros = again && number == 0;
            if zeros || (last == 99 && number == 0 && before == 1) {
                // The hundredth number is missing, or it is firmware 3, which has none: the next package tells.
                self.third = zeros;
                self.perhaps = if zeros { 0 } else { 2 };
                self.last = Some((number, u32::from(zeros)));
                return 0;
            }
        }
        // From 199 firmware 2 continues to 200, and from 100 to 0.
        let third = matches!((last, number), (199, 100) | (100, 101));
        let learnt = self.numbers == Numbers::Ganglion && third && !std::mem::replace(&mut self.third, true);
        self.early |= learnt && self.start == Some(99);
        let old = self.place(last, before);
        // The round is over: the next one has numbers of its own.
        self.early &= number % 100 > last % 100 || last == 99 || again;
        let before = if again { before + 1 } else { 0 };
        let now = self.place(number, before);
        self.last = Some((number, before));
        let round = u64::from(self.round().max(1));
        let step = (u64::from(now) + round - u64::from(old) % round) % round;
        // Who counts that far has begun again rather than lost so much.
        let far = round > 1 << 20 && step > round / 2;
        let missing = if far { 0 } else { (step + round - 1) % round };
        u32::try_from(missing).unwrap_or(u32::MAX) + std::mem::take(&mut self.perhaps)
    }
}

#[cfg(test)]
mod tests;
