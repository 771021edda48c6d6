//! The samples of one group of an amplifier, and what the times of its packets say.
//!
//! A packet is one sample of all channels of the group, 16 bits each. Its time goes up by the period, by ticks of 30
//! kHz or by nanoseconds, so missing samples are derived from it. A time that goes back a little is that of a
//! datagram that was overtaken; one that goes back far, that of a clock which began again. The value of a count is
//! announced on request alone, which is not sent here: values are counts unless configured. Of an odd number of
//! channels the packet has one value more, until another program asks the amplifier for its groups and the answer
//! passes by.

use super::packet::{Form, Packet, Version, step};
use crate::decode::Sink;
use crate::decode::lsl::Stamps;
use crate::decode::program::datagram::{Datagram, Followed, Whose};
use crate::decode::program::overtaken::Overtaken;
use crate::event::{self, Body, Device, Lost, Rails, Repeated, Samples};

/// Ticks a second.
const TICKS: f64 = 30_000.0;
/// A clock that makes smaller steps from one sample to the next is one of ticks.
const NANOS: u64 = 10_000;
/// Seconds after which a gap is an interruption.
const INTERRUPTION: f64 = 60.0;
/// Seconds by which a datagram that was overtaken is late, at most.
const LATE: f64 = 1.0;
/// Values that are reported in one event.
const TOLD: usize = 1 << 16;

/// Name and rate of a group: 1 to 6 (`cbPKT_GROUP`); those beyond are not known.
#[must_use]
pub fn named(group: u8) -> Option<(&'static str, f64)> {
    Some(match group {
        1 => ("500", 500.0),
        2 => ("1000", 1000.0),
        3 => ("2000", 2000.0),
        4 => ("10000", 10_000.0),
        5 => ("30000", 30_000.0),
        6 => ("raw", 30_000.0),
        _ => return None,
    })
}

/// Decodes the samples of one group.
#[derive(Debug)]
pub struct Group {
    number: u16,
    rate: f64,
    /// Volts that a count is worth.
    scale: Option<f64>,
    followed: Followed,
    form: Form,
    /// Channels as the amplifier listed them.
    listed: Option<u32>,
    channels: u16,
    /// The time of the packet before, and the same since the stream began.
    time: Option<u64>,
    since: u64,
    ticks: bool,
    stamps: Stamps,
    overtaken: Overtaken,
    /// Packets of this datagram that others overtook, and whether one of the group was met in it.
    late: u32,
    met: bool,
    restarts: u64,
    values: Vec<f32>,
    frames: u32,
    bytes: u64,
}

impl Group {
    /// Of the group with this number.
    #[must_use]
    pub fn new(number: u8, scale: Option<f64>) -> Self {
        let rate = named(number).map_or(0.0, |(_, rate)| rate);
        Self {
            number: number.into(),
            rate,
            scale,
            followed: Followed::default(),
            form: Form::default(),
            listed: None,
            channels: 0,
            time: None,
            since: 0,
            ticks: false,
            stamps: Stamps::new(rate),
            overtaken: Overtaken::default(),
            late: 0,
            met: false,
            restarts: 0,
            values: Vec::new(),
            frames: 0,
            bytes: 0,
        }
    }

    /// Channels as a list said that passed by before.
    pub fn list(&mut self, channels: u32) {
        self.listed = Some(channels);
    }

    /// Channels of a sample; 0 if there was none yet.
    #[must_use]
    pub fn channels(&self) -> u16 {
        self.channels
    }

    /// Samples per second; 0 if that is not known.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// What the times of its samples said.
    pub fn stamps(&mut self) -> &mut Stamps {
        &mut self.stamps
    }

    /// Times that the stream began again, so far.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    fn device(&self) -> Device {
        Device {
            protocol: "cerebus",
            channels: self.channels,
            rate: self.rate,
            packet_rate: self.rate,
            volts: self.scale.is_some(),
            modulus: 0,
            rails: Rails::signed(16, self.scale.unwrap_or(1.0)),
        }
    }

    fn accept(&mut self, packet: &Packet<'_>, version: Version, out: &mut Sink<'_>) {
        let held = packet.body.len() / 2;
        let listed = self.listed.and_then(|listed| usize::try_from(listed).ok());
        let channels =
            listed.filter(|listed| *listed == held || held.checked_sub(1) == Some(*listed)).unwrap_or(held);
        let channels = u16::try_from(channels).unwrap_or(u16::MAX);
        if channels != self.channels {
            self.settle(out);
            self.channels = channels;
            out(Body::Device(self.device()));
        }
        self.clock(packet.time, version, out);
        let scale = self.scale.unwrap_or(1.0) as f32;
        let counts = packet.body.chunks_exact(2).take(channels.into());
        self.values.extend(counts.map(|bytes| match *bytes {
            [low, high] => f32::from(i16::from_le_bytes([low, high])) * scale,
            _ => 0.0,
        }));
        self.frames += 1;
        // Its time and its type are in an account of their own.
        self.bytes += packet.body.len() as u64;
        if self.values.len() >= TOLD {
            self.settle(out);
        }
    }

    /// What a sample's time says of those before it.
    fn clock(&mut self, time: u64, version: Version, out: &mut Sink<'_>) {
        if let Some(before) = self.time.replace(time) {
            let Some(step) = step(version, before, time) else {
                if self.is_late(time, before, version) {
                    self.time = Some(before);
                    self.late += 1;
                    return;
                }
                self.restart(out);
                self.stamps.observe(Some(0.0));
                return;
            };
            self.ticks |= version.is_short() || (step > 0 && step < NANOS);
            let first = !std::mem::replace(&mut self.met, true);
            let unit = if self.ticks { TICKS } else { 1e9 };
            if step as f64 / unit > INTERRUPTION {
                self.restart(out);
            } else {
                self.since += step;
                let periods = (step as f64 / unit * self.rate).round();
                if periods > 1.0 {
                    self.settle(out);
                    // At most those of a minute.
                    let missing = periods as u32 - 1;
                    let mut lose = |packets| out(Body::Lost(Lost { packets }));
                    if first {
                        let now = self.since as f64;
                        self.overtaken.miss(now - step as f64, now, missing, &mut lose);
                    } else {
                        lose(missing);
                    }
                }
            }
        }
        let unit = if self.ticks { TICKS } else { 1e9 };
        self.stamps.observe(Some(self.since as f64 / unit));
    }

    /// Whether a packet whose time is before that of the last one is missing.
    fn is_late(&mut self, time: u64, last: u64, version: Version) -> bool {
        let unit = if self.ticks { TICKS } else { 1e9 };
        let back = step(version, time, last).map(|back| back as f64).filter(|back| back / unit <= LATE);
        back.is_some_and(|back| self.overtaken.fill(self.since as f64 - back, 1))
    }

    /// What comes has nothing to do with what came.
    fn restart(&mut self, out: &mut Sink<'_>) {
        self.settle(out);
        self.overtaken.end(&mut |packets| out(Body::Lost(Lost { packets })));
        // It may be another clock.
        (self.since, self.ticks) = (0, false);
        self.stamps.restart();
        self.restarts += 1;
        out(Body::Device(self.device()));
    }
}

impl Datagram for Group {
    fn datagram(&mut self, bytes: &[u8], sender: u16, out: &mut Sink<'_>) {
        match self.followed.observe(sender, || Form::is_packets(bytes)) {
            Whose::Known => {}
            Whose::Another => {
                self.form.forget();
                self.listed = None;
                if self.time.take().is_some() {
                    self.restart(out);
                }
            }
            // Told by who counts all packets.
            Whose::Stranger => return,
        }
        let Some(version) = self.form.of(bytes) else { return };
        let mut lost = Vec::new();
        let again = self.overtaken.come(bytes, &mut |packets| lost.push(packets));
        if !lost.is_empty() {
            self.settle(out);
            lost.into_iter().for_each(|packets| out(Body::Lost(Lost { packets })));
        }
        self.met = false;
        let mut repeated = 0;
        let mut rest = bytes;
        while let Some((packet, after)) = version.first(rest) {
            rest = after;
            if (packet.channel, packet.kind) == (0, self.number) && again {
                // Its samples came.
                repeated += 1;
                (self.frames, self.bytes) = (self.frames + 1, self.bytes + packet.body.len() as u64);
            } else if (packet.channel, packet.kind) == (0, self.number) {
                self.accept(&packet, version, out);
            } else if let Some((group, channels)) = packet.listed()
                && group == self.number
            {
                self.listed = Some(channels);
            }
        }
        if repeated > 0 {
            out(Body::Repeated(Repeated { packets: repeated }));
        }
        let packets = std::mem::take(&mut self.late);
        if packets > 0 {
            out(Body::Overtaken(event::Overtaken { packets }));
        }
    }

    fn settle(&mut self, out: &mut Sink<'_>) {
        if self.frames > 0 {
            let (frames, bytes) = (std::mem::take(&mut self.frames), std::mem::take(&mut self.bytes));
            let channels = self.channels.max(1);
            out(Body::Samples(Samples { values: &self.values, channels, frames, bytes }));
            self.values.clear();
        }
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        self.settle(out);
        self.overtaken.end(&mut |packets| out(Body::Lost(Lost { packets })));
        self.stamps.restart();
        self.followed.end();
        self.form.forget();
        (self.time, self.since, self.channels, self.ticks) = (None, 0, 0, false);
    }
}
