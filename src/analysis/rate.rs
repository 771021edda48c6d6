//! How each device streams: its rate, its gaps, and what a small counter hid in them.
//!
//! Time is that of arrival, which goes in bursts; nothing here is finer than a few of them. It does not
//! look at samples, only at how many there are.
//!
//! # What a counter hid
//!
//! A counter of n numbers tells what is missing up to a multiple of n. The rest is recognised by time, where three
//! things agree: nothing came for so long that n packets fit into the pause; what waited somewhere meanwhile has had
//! its time to come; and what is missing by the rate is nearest to so many rounds. The rate is the one that was
//! measured, before the pause or after it, and never the one that the device should have: a board that sends half of
//! what it should has a low rate, and loses nothing. Until there is a measurement a pause waits for it; if the stream
//! ends first, nothing is said of it.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::clock::{Clock, PacketRead};
use super::pace::Pace;
use super::stability::Memory;
use super::{Analyser, Report, seconds};
use crate::event::{Arrivals, Body, Delay, Device, Event, Flow, Hidden, SourceId, Timestamp};

const SECOND: u64 = 1_000_000_000;
/// The rate is that of so many ticks.
const MARKS: usize = 11;
/// The longest gap is remembered for this many slots of ten seconds.
const SLOTS: usize = 6;
const SLOT: u64 = 10 * SECOND;
/// Nothing for so long is silence, or for so many periods of a device that is slower.
const SILENT: u64 = SECOND;
const PERIODS: f64 = 2.0;
/// A pause that is shorter is a matter of the machine, not of the device.
const PAUSE: u64 = 200_000_000;
/// So long after a pause everything has arrived that waited in a buffer meanwhile, unless packets still come faster
/// than they are made: by more than this share, and for no longer than this, as a machine that is busy catches up.
const SETTLED: u64 = 500_000_000;
const FASTER: f64 = 0.1;
const CAUGHT_UP: u64 = 15 * SECOND;
/// A pause that is longer is no gap but an interruption: what was not sent then is not called lost.
const INTERRUPTION: u64 = 60 * SECOND;
/// Seconds by which a burst may come early or late.
const JITTER: f64 = 0.1;
/// A clock that is off by more than this share is no clock that is off: the device has another rate.
const OTHER: f64 = 0.1;

/// Reads that wait to be timed; those that are more in one second are not.
const READS: usize = 1024;

/// Follows the devices.
#[derive(Debug, Default)]
pub struct Rates {
    streams: HashMap<SourceId, Stream, RandomState>,
    /// Whether devices streamed at each tick; kept when their link is down.
    memories: HashMap<SourceId, Memory, RandomState>,
    /// For the report.
    delays: Vec<Delay>,
}

impl Rates {
    /// The devices that are there, whether they stream or not.
    pub fn devices(&self) -> impl Iterator<Item = (SourceId, Device)> {
        self.streams.iter().map(|(source, stream)| (*source, stream.device))
    }
}

impl Analyser for Rates {
    fn observe(&mut self, event: &Event<'_>) {
        match &event.body {
            Body::Device(device) => {
                self.streams.insert(event.source, Stream::new(*device, event.at.steady));
                self.memories.entry(event.source).or_default();
                self.delays.reserve(READS);
            }
            Body::Link(_) => {
                self.streams.remove(&event.source);
            }
            Body::Samples(samples) => {
                if let Some(stream) = self.streams.get_mut(&event.source) {
                    let again = std::mem::take(&mut stream.repeated).min(samples.frames);
                    stream.advance(event.at.steady, (samples.frames - again).into());
                    stream.timed(event.at.steady, samples.frames - again);
                    stream.sample(event.at, samples.count() as u64);
                }
            }
            // It is among the frames that are reported next.
            Body::Repeated(repeated) => {
                if let Some(stream) = self.streams.get_mut(&event.source) {
                    stream.repeated = stream.repeated.saturating_add(repeated.packets);
                }
            }
            Body::Lost(lost) => {
                if let Some(stream) = self.streams.get_mut(&event.source) {
                    stream.tells = true;
                    stream.advance(event.at.steady, lost.packets.into());
                    stream.timed(event.at.steady, 0);
                    if let Some(hole) = &mut stream.hole {
                        hole.seen = true;
                    }
                }
            }
            // Who talks had stopped: what was not sent meanwhile is not lost.
            Body::Answer(answer) if !answer.failed => {
                if let Some(stream) = self.streams.get_mut(&event.source) {
                    (stream.last_packet, stream.hole) = (None, None);
                }
            }
            Body::StreamState(state) => {
                if let Some(stream) = self.streams.get_mut(&event.source).filter(|stream| !stream.tells) {
                    stream.skip(state.missing);
                }
            }
            _ => {}
        }
    }

    fn report(&mut self, now: Timestamp, out: &mut Report<'_>) {
        for (&source, stream) in &mut self.streams {
            if let Some(hidden) = stream.settle(now.steady) {
                out(Some(source), Body::Hidden(hidden));
            }
            self.delays.clear();
            stream.time(&mut self.delays);
            if !self.delays.is_empty() {
                out(Some(source), Body::Arrivals(Arrivals { delays: &self.delays }));
            }
            let flow = stream.flow(now.steady);
            out(Some(source), Body::Flow(flow));
            if let Some(memory) = self.memories.get_mut(&source) {
                memory.streaming = flow.streaming;
            }
        }
        for (&source, memory) in &mut self.memories {
            out(Some(source), Body::Stability(memory.report()));
        }
    }

    fn retire(&mut self, source: SourceId) {
        self.streams.remove(&source);
        self.memories.remove(&source);
    }
}

/// One device. Times are nanoseconds by the steady clock.
#[derive(Debug)]
struct Stream {
    device: Device,
    opened: u64,
    samples: u64,
    /// By both clocks: people want to know when it was.
    last_sample: Option<Timestamp>,
    /// Packets by the device's counter, those that are missing included.
    packets: u64,
    last_packet: Option<u64>,
    /// Duplicate packets that are still to be reported as frames.
    repeated: u32,
    /// Whether it says itself what it lost: what is missing by its timestamps is the same once more.
    tells: bool,
    /// When packets began to come without a pause, and how many there had been.
    resumed: (u64, u64),
    /// Packets a second by the device's own clock, if they came without a pause for long enough to tell.
    steady: Option<f64>,
    /// The same of any stream.
    pace: Pace,
    hole: Option<Hole>,
    clock: Clock,
    /// Reads that wait to be timed: while a gap is open it is not known how many packets were in it.
    reads: Vec<PacketRead>,
    /// When there were how many samples, by tick; the newest last.
    marks: [(u64, u64); MARKS],
    marked: usize,
    /// Longest gap by slot of ten seconds, and the slot's number.
    slots: [(u64, u64); SLOTS],
}

/// A pause in which the counter may have gone round.
#[derive(Debug)]
struct Hole {
    /// The last packet before it.
    from: u64,
    /// The packets until then.
    packets: u64,
    /// When packets came again: for the first time, and after the last pause.
    began: u64,
    ended: u64,
    /// The longest pause.
    longest: u64,
    /// When it was looked last how many packets there were.
    mark: (u64, u64),
    /// Whether the counter jumped.
    seen: bool,
}

impl Stream {
    fn new(device: Device, opened: u64) -> Self {
        Self {
            device,
            opened,
            samples: 0,
            last_sample: None,
            packets: 0,
            last_packet: None,
            repeated: 0,
            tells: false,
            resumed: (opened, 0),
            steady: None,
            pace: Pace::default(),
            hole: None,
            clock: Clock::new(device.packet_rate),
            reads: Vec::with_capacity(READS),
            marks: [(0, 0); MARKS],
            marked: 0,
            slots: [(0, 0); SLOTS],
        }
    }

    /// The counter went up by so many packets.
    fn advance(&mut self, at: u64, packets: u64) {
        let pause = self.last_packet.map_or(u64::MAX, |last| at.saturating_sub(last));
        if let Some(last) = self.last_packet.filter(|_| pause > 0) {
            self.pace.observe(last, self.packets, pause > PAUSE);
        }
        if pause > INTERRUPTION || (pause > PAUSE && self.device.modulus == 0) {
            self.reads.clear();
            self.clock.restart();
        }
        if pause > PAUSE {
            if let Some(from) = self.last_packet.filter(|_| self.hides(pause)) {
                let before = self.packets;
                let mark = (at, before + packets);
                let hole =
                    Hole { from, packets: before, began: at, ended: at, longest: pause, mark, seen: false };
                let hole = self.hole.get_or_insert(hole);
                (hole.ended, hole.longest, hole.mark) = (at, hole.longest.max(pause), mark);
            }
            self.resumed = (at, self.packets + packets);
        }
        self.packets += packets;
        if pause == 0 && self.resumed.0 == at {
            // Still the read that ended the pause.
            self.resumed.1 = self.packets;
        }
        self.last_packet = Some(at);
    }

    /// Packets a second, as far as that was measured.
    fn measured(&self) -> Option<f64> {
        self.steady.or_else(|| self.pace.rate())
    }

    /// Whether the counter may have gone round in a pause: half a round would be taken for a whole one.
    fn hides(&self, pause: u64) -> bool {
        let round = f64::from(self.device.modulus);
        round > 0.0 && self.measured().is_none_or(|rate| seconds(pause) * rate >= round / 2.0)
    }

    /// Packets are missing by their timestamps: those that follow are not late for it. After a longer pause the clock
    /// has begun again, and never counted on them.
    fn skip(&mut self, packets: u64) {
        if (packets as f64) < self.device.packet_rate * seconds(PAUSE) {
            self.packets += packets;
        }
    }

    /// Remembers when packets came, to be timed with the next tick.
    fn timed(&mut self, at: u64, fresh: u32) {
        let (packets, room) = (self.packets, self.reads.len() < READS);
        match self.reads.last_mut().filter(|read| read.at == at) {
            Some(read) => (read.packets, read.fresh) = (packets, read.fresh + fresh),
            None if room => self.reads.push(PacketRead { at, packets, fresh }),
            None => {}
        }
    }

    /// Says how late the reads were whose packets are settled.
    fn time(&mut self, delays: &mut Vec<Delay>) {
        if self.hole.is_some() && self.reads.len() < READS {
            return;
        }
        let other = |rate: &f64| (rate / self.clock.rate() - 1.0).abs() > OTHER;
        if let Some(rate) = self.measured().filter(other).filter(|_| self.device.packet_rate > 0.0) {
            // What comes by another rate is not later and later.
            self.clock = Clock::new(rate);
        }
        for read in self.reads.drain(..) {
            delays.extend(self.clock.read(read));
        }
    }

    fn sample(&mut self, moment: Timestamp, count: u64) {
        if count == 0 {
            return;
        }
        self.samples += count;
        let at = moment.steady;
        let gap = self.last_sample.map_or(0, |last| at.saturating_sub(last.steady));
        let number = at / SLOT;
        if let Some(slot) = self.slots.get_mut(usize::try_from(number % SLOTS as u64).unwrap_or_default()) {
            *slot = if slot.0 == number { (number, slot.1.max(gap)) } else { (number, gap) };
        }
        self.last_sample = Some(moment);
        // The first read is where counting begins, all of it.
        match self.marks.first_mut().filter(|first| self.marked == 1 && first.0 == at) {
            Some(first) => first.1 = self.samples,
            None if self.marked == 0 => self.mark(at),
            None => {}
        }
    }

    fn mark(&mut self, at: u64) {
        if self.marked == MARKS {
            self.marks.rotate_left(1);
            self.marked -= 1;
        }
        if let Some(mark) = self.marks.get_mut(self.marked) {
            *mark = (at, self.samples);
            self.marked += 1;
        }
    }

    /// What the counter hid in a pause that is over. With m packets by the counter and e by the clock, it
    /// went round another (e - m) / modulus times, rounded.
    fn settle(&mut self, now: u64) -> Option<Hidden> {
        let last = self.last_packet?;
        let (since, packets) = self.resumed;
        if now.saturating_sub(last) < PAUSE && last.saturating_sub(since) > 5 * SECOND {
            self.steady = Some((self.packets - packets) as f64 / seconds(last - since));
        }
        let hides = self.hole.as_ref().is_some_and(|hole| {
            // One that nothing is known of in time is none.
            self.hides(hole.longest)
                && (now.saturating_sub(hole.ended) < INTERRUPTION || self.measured().is_some())
        });
        if !hides {
            self.hole = None;
        }
        let rate = self.measured()?;
        // Where bursts are as long as pauses, the last pause is never long ago.
        let due = |hole: &&mut Hole| {
            now.saturating_sub(hole.ended) >= SETTLED || now.saturating_sub(hole.began) >= CAUGHT_UP
        };
        let hole = self.hole.as_mut().filter(due)?;
        let (since, before) = std::mem::replace(&mut hole.mark, (now, self.packets));
        let made = rate * (seconds(now.saturating_sub(since)) * (1.0 + FASTER) + JITTER);
        let behind = (self.packets - before) as f64 > made && now.saturating_sub(hole.ended) < CAUGHT_UP;
        // What came late says nothing of how fast the device is.
        self.resumed = (last, self.packets);
        if behind {
            return None;
        }
        let hole = self.hole.take()?;
        let took = last.saturating_sub(hole.from);
        if took > INTERRUPTION {
            return None;
        }
        let modulus = f64::from(self.device.modulus);
        let missing = seconds(took) * rate - (self.packets - hole.packets) as f64;
        let hidden = (missing / modulus).round() * modulus;
        // Less than a late burst sends is no proof.
        (hidden >= 1.0 && hidden > JITTER * rate).then(|| {
            // At most a minute's packets.
            let packets = hidden as u64;
            self.packets += packets;
            self.pace.skip();
            self.resumed.1 += packets;
            self.reads.iter_mut().filter(|read| read.at > hole.from).for_each(|read| read.packets += packets);
            Hidden { packets, unseen: !hole.seen }
        })
    }

    /// By how much the device is faster than it should be, whatever rate its clock is followed by.
    fn drift(&self) -> Option<f64> {
        let share = self.clock.rate() / self.device.packet_rate;
        self.clock.drift().map(|drift| (1.0 + drift) * share - 1.0)
    }

    fn flow(&mut self, now: u64) -> Flow {
        if self.marked > 0 {
            self.mark(now);
        }
        let (then, before) = self.marks.first().copied().unwrap_or_default();
        let span = now.saturating_sub(then);
        let rate =
            (self.marked > 1 && span >= SECOND / 2).then(|| (self.samples - before) as f64 / seconds(span));
        let nominal = Some(self.device.rate).filter(|nominal| *nominal > 0.0);
        let newest = now / SLOT;
        let minute = newest.saturating_sub(SLOTS as u64 - 1)..=newest;
        let over =
            self.slots.iter().filter(|slot| minute.contains(&slot.0)).map(|slot| slot.1).max().unwrap_or(0);
        let silence = now.saturating_sub(self.last_sample.map_or(self.opened, |last| last.steady));
        let patience = nominal.map_or(SILENT, |nominal| SILENT.max((PERIODS * 1e9 / nominal) as u64));
        Flow {
            rate,
            ratio: rate.zip(nominal).map(|(rate, nominal)| rate / nominal),
            longest_gap: seconds(over.max(silence)),
            last: self.last_sample,
            streaming: self.last_sample.is_some() && silence <= patience,
            drift: self.drift(),
        }
    }
}

#[cfg(test)]
mod tests;
