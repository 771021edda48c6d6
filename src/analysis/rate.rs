//! How each device streams: its rate, its holes, and what a small counter hid in them.
//!
//! Time is that of arrival, which goes in bursts; nothing here is finer than a few of them. It does not
//! look at samples, only at how many there are.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::clock::{Clock, Read};
use super::stability::Memory;
use crate::event::{Arrivals, Body, Delay, Device, Event, Flow, Hidden, SourceId, Timestamp};

const SECOND: u64 = 1_000_000_000;
/// The rate is that of so many ticks.
const MARKS: usize = 11;
/// The longest gap is remembered for this many slots of ten seconds.
const SLOTS: usize = 6;
const SLOT: u64 = 10 * SECOND;
/// Nothing for so long is silence.
const SILENT: u64 = SECOND;
/// A pause that is shorter is a matter of the machine, not of the device.
const PAUSE: u64 = 200_000_000;
/// So long after a pause everything has arrived that waited in a buffer meanwhile.
const SETTLED: u64 = 500_000_000;
/// A pause that is longer is no hole but an interruption: what was not sent then is not called lost.
const INTERRUPTION: u64 = 60 * SECOND;
/// Seconds by which a burst may come early or late.
const JITTER: f64 = 0.1;

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
    /// Sees one event.
    pub fn observe(&mut self, event: &Event<'_>) {
        match &event.body {
            Body::Device(device) => {
                self.streams.insert(event.source, Stream::new(*device, event.at.0));
                self.memories.entry(event.source).or_default();
                self.delays.reserve(READS);
            }
            Body::Link(_) => {
                self.streams.remove(&event.source);
            }
            Body::Samples(samples) => {
                if let Some(stream) = self.streams.get_mut(&event.source) {
                    stream.advance(event.at.0, samples.frames.into());
                    stream.timed(event.at.0, samples.frames);
                    stream.sample(event.at.0, samples.count() as u64);
                }
            }
            Body::Lost(lost) => {
                if let Some(stream) = self.streams.get_mut(&event.source) {
                    stream.advance(event.at.0, lost.packets.into());
                    stream.timed(event.at.0, 0);
                    if let Some(hole) = &mut stream.hole {
                        hole.seen = true;
                    }
                }
            }
            _ => {}
        }
    }

    /// Says how each device streams.
    pub fn report(&mut self, now: Timestamp, out: &mut dyn FnMut(SourceId, Body<'_>)) {
        for (&source, stream) in &mut self.streams {
            if let Some(hidden) = stream.settle(now.0) {
                out(source, Body::Hidden(hidden));
            }
            self.delays.clear();
            stream.time(&mut self.delays);
            if !self.delays.is_empty() {
                out(source, Body::Arrivals(Arrivals { delays: &self.delays }));
            }
            let flow = stream.flow(now.0);
            out(source, Body::Flow(flow));
            if let Some(memory) = self.memories.get_mut(&source) {
                memory.streaming = flow.streaming;
            }
        }
        for (&source, memory) in &mut self.memories {
            out(source, Body::Stability(memory.report()));
        }
    }

    /// The source is no longer configured.
    pub fn retire(&mut self, source: SourceId) {
        self.streams.remove(&source);
        self.memories.remove(&source);
    }
}

/// One device. Times are nanoseconds since the epoch.
#[derive(Debug)]
struct Stream {
    device: Device,
    opened: u64,
    samples: u64,
    last_sample: Option<u64>,
    /// Packets by the device's counter, those that are missing included.
    packets: u64,
    last_packet: Option<u64>,
    /// When packets began to come without a pause, and how many there had been.
    resumed: (u64, u64),
    /// Packets a second by the device's own clock, if they came without a pause for long enough to tell.
    steady: Option<f64>,
    hole: Option<Hole>,
    clock: Clock,
    /// Reads that wait to be timed: while a hole is open it is not known how many packets were in it.
    reads: Vec<Read>,
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
    /// When packets came again.
    ended: u64,
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
            resumed: (opened, 0),
            steady: None,
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
        if pause > INTERRUPTION || (pause > PAUSE && self.device.modulus == 0) {
            self.reads.clear();
            self.clock.restart();
        }
        if pause > PAUSE {
            if let Some(from) = self.last_packet.filter(|_| self.device.modulus > 0) {
                let packets = self.packets;
                let hole = self.hole.get_or_insert(Hole { from, packets, ended: at, seen: false });
                hole.ended = at;
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

    /// Remembers when packets came, to be timed with the next tick.
    fn timed(&mut self, at: u64, fresh: u32) {
        let (packets, room) = (self.packets, self.reads.len() < READS);
        match self.reads.last_mut().filter(|read| read.at == at) {
            Some(read) => (read.packets, read.fresh) = (packets, read.fresh + fresh),
            None if room => self.reads.push(Read { at, packets, fresh }),
            None => {}
        }
    }

    /// Says how late the reads were whose packets are settled.
    fn time(&mut self, delays: &mut Vec<Delay>) {
        if self.hole.is_some() && self.reads.len() < READS {
            return;
        }
        for read in self.reads.drain(..) {
            delays.extend(self.clock.read(read));
        }
    }

    fn sample(&mut self, at: u64, count: u64) {
        if count == 0 {
            return;
        }
        self.samples += count;
        let gap = at.saturating_sub(self.last_sample.unwrap_or(at));
        let number = at / SLOT;
        if let Some(slot) = self.slots.get_mut(usize::try_from(number % SLOTS as u64).unwrap_or_default()) {
            *slot = if slot.0 == number { (number, slot.1.max(gap)) } else { (number, gap) };
        }
        self.last_sample = Some(at);
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
        let hole = self.hole.take_if(|hole| now >= hole.ended + SETTLED)?;
        let took = last.saturating_sub(hole.from);
        if took > INTERRUPTION {
            return None;
        }
        let rate = self.steady.unwrap_or(self.device.packet_rate);
        let modulus = f64::from(self.device.modulus);
        let missing = seconds(took) * rate - (self.packets - hole.packets) as f64;
        let hidden = (missing / modulus).round() * modulus;
        // Less than a late burst brings is no proof.
        (hidden >= 1.0 && hidden > JITTER * rate).then(|| {
            // At most a minute's packets.
            let packets = hidden as u64;
            self.packets += packets;
            self.reads.iter_mut().filter(|read| read.at > hole.from).for_each(|read| read.packets += packets);
            Hidden { packets, unseen: !hole.seen }
        })
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
        let oldest = (now / SLOT).saturating_sub(SLOTS as u64 - 1);
        let over = self.slots.iter().filter(|slot| slot.0 >= oldest).map(|slot| slot.1).max().unwrap_or(0);
        let silence = now.saturating_sub(self.last_sample.unwrap_or(self.opened));
        Flow {
            rate,
            ratio: rate.zip(nominal).map(|(rate, nominal)| rate / nominal),
            longest_gap: seconds(over.max(silence)),
            last: self.last_sample.map(|last| Timestamp(last).seconds()),
            streaming: self.last_sample.is_some() && silence <= SILENT,
            drift: self.clock.drift(),
        }
    }
}

pub(super) fn seconds(nanos: u64) -> f64 {
    Timestamp(nanos).seconds()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Lost, Samples};

    const BEGAN: u64 = 1_700_000_000 * SECOND;
    const MS: u64 = 1_000_000;

    /// A device of one channel, 250 Hz and a counter of 8 bits, and a clock of milliseconds.
    struct Bench {
        rates: Rates,
        ms: u64,
        flow: Option<Flow>,
        hidden: Vec<Hidden>,
        delays: Vec<Delay>,
        stability: f64,
    }

    impl Bench {
        fn new() -> Self {
            let mut bench = Self {
                rates: Rates::default(),
                ms: 0,
                flow: None,
                hidden: Vec::new(),
                delays: Vec::new(),
                stability: 0.0,
            };
            bench.see(Body::Device(Device {
                protocol: "x",
                channels: 1,
                rate: 250.0,
                packet_rate: 250.0,
                volts: true,
                modulus: 256,
                rails: crate::event::Rails::Unknown,
            }));
            bench
        }

        fn see(&mut self, body: Body<'_>) {
            let at = Timestamp(BEGAN + self.ms * MS);
            self.rates.observe(&Event { at, source: SourceId(3), body });
        }

        fn samples(&mut self, count: usize) {
            let values = vec![0.0; count];
            let frames = u32::try_from(count).unwrap();
            self.see(Body::Samples(Samples { values: &values, channels: 1, frames, bytes: 0 }));
        }

        /// Lets time pass; with `samples` each 16 ms, as an FTDI chip brings them. Ticks once a second.
        fn pass(&mut self, ms: u64, samples: usize) {
            let end = self.ms + ms;
            while self.ms < end {
                self.ms += 4;
                if samples > 0 && self.ms.is_multiple_of(16) {
                    self.samples(samples);
                }
                if self.ms.is_multiple_of(1000) {
                    let Self { rates, flow, hidden, delays, stability, .. } = self;
                    rates.report(Timestamp(BEGAN + self.ms * MS), &mut |source, body| {
                        assert_eq!(source, SourceId(3));
                        match body {
                            Body::Flow(told) => *flow = Some(told),
                            Body::Hidden(told) => hidden.push(told),
                            Body::Arrivals(told) => delays.extend(told.delays),
                            Body::Stability(told) => *stability = told.ratio,
                            _ => {}
                        }
                    });
                }
            }
        }

        fn flow(&self) -> Flow {
            self.flow.unwrap()
        }
    }

    #[test]
    fn a_device_that_streams() {
        let mut bench = Bench::new();
        bench.pass(1000, 0);
        assert_eq!((bench.flow().rate, bench.flow().streaming, bench.flow().last), (None, false, None));
        bench.pass(20_000, 4);
        let flow = bench.flow();
        assert!(
            (flow.rate.unwrap() - 250.0).abs() < 1.0 && (flow.ratio.unwrap() - 1.0).abs() < 0.004,
            "{flow:?}"
        );
        assert!(flow.streaming && flow.longest_gap < 0.03, "{flow:?}");
        bench.pass(2000, 0);
        let flow = bench.flow();
        assert!(!flow.streaming && flow.longest_gap > 1.9, "{flow:?}");
        bench.pass(20_000, 0);
        assert_eq!(bench.flow().rate, Some(0.0));
        bench.pass(20_000, 3);
        // A rate that is low without holes is no loss.
        let flow = bench.flow();
        assert!((flow.ratio.unwrap() - 0.75).abs() < 0.01 && flow.streaming, "{flow:?}");
        assert!(flow.longest_gap > 20.0, "{flow:?}");
        bench.pass(60_000, 3);
        assert!(bench.flow().longest_gap < 0.03);
    }

    #[test]
    fn a_counter_of_eight_bits_hides_nothing() {
        for (hole, lost, want) in [
            (300_u64, 44, Some(Hidden { packets: 256, unseen: false })),
            (256, 0, Some(Hidden { packets: 256, unseen: true })),
            (1024, 0, Some(Hidden { packets: 1024, unseen: true })),
            (1000, 232, Some(Hidden { packets: 768, unseen: false })),
            (100, 100, None),
            (200, 200, None),
        ] {
            let mut bench = Bench::new();
            bench.pass(6000, 4);
            bench.pass(hole * 4, 0);
            if lost > 0 {
                bench.see(Body::Lost(Lost { packets: lost }));
            }
            bench.pass(5000, 4);
            assert_eq!(bench.hidden, Vec::from_iter(want), "{hole}");
        }
    }

    #[test]
    fn late_packets_are_told_as_late_and_hidden_ones_are_not() {
        let mut bench = Bench::new();
        bench.pass(10_000, 4);
        let told = bench.delays.len();
        assert!(told > 450, "{told}");
        assert!(
            bench.delays.iter().all(|d| d.newest < 1e-6 && (d.oldest - 0.012).abs() < 1e-6 && d.packets == 4)
        );
        // 300 packets are lost behind a counter of 8 bits; those after them are in time.
        bench.pass(1200, 0);
        bench.see(Body::Lost(Lost { packets: 44 }));
        bench.pass(4800, 4);
        assert!(bench.delays.iter().all(|d| d.newest < 0.001), "{:?}", bench.delays);
        // Nobody reads for two seconds.
        bench.pass(2000, 0);
        bench.samples(500);
        bench.pass(4000, 4);
        let late: Vec<_> = bench.delays.iter().filter(|d| d.packets == 500).collect();
        assert_eq!(late.len(), 1);
        assert!(late[0].newest < 0.017 && (late[0].oldest - 1.996).abs() < 0.02, "{late:?}");
    }

    #[test]
    fn stability_is_that_of_ten_minutes_and_outlives_the_link() {
        let mut bench = Bench::new();
        bench.pass(30_000, 4);
        bench.pass(10_000, 0);
        assert!((bench.stability - 0.75).abs() < 0.03, "{}", bench.stability);
        bench.see(Body::Link(crate::event::Link::Down));
        bench.pass(40_000, 0);
        assert!((bench.stability - 0.375).abs() < 0.02, "{}", bench.stability);
        bench.pass(600_000, 0);
        assert_eq!(bench.stability, 0.0);
        bench.rates.retire(SourceId(3));
        bench.stability = 9.0;
        bench.pass(2000, 0);
        assert_eq!(bench.stability, 9.0);
    }

    #[test]
    fn what_waited_in_a_buffer_is_not_lost() {
        let mut bench = Bench::new();
        bench.pass(6000, 4);
        bench.pass(4000, 0);
        // The agent did not read for four seconds; all of it comes at once, in several reads.
        (0..8).for_each(|_| bench.samples(125));
        bench.pass(5000, 4);
        assert_eq!(bench.hidden, []);
    }

    #[test]
    fn an_interruption_is_no_loss_and_neither_is_another_start() {
        let mut bench = Bench::new();
        bench.pass(6000, 4);
        bench.pass(90_000, 0);
        bench.pass(5000, 4);
        assert_eq!(bench.hidden, []);
        bench.see(Body::Link(crate::event::Link::Down));
        bench.flow = None;
        bench.pass(3000, 4);
        assert!(bench.flow.is_none() && bench.hidden.is_empty());
    }
}
