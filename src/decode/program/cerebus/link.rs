//! Everything that an amplifier sends: how many packets came, how many it says it sent, and its heartbeat.
//!
//! Every 10 ms or so it tells how many packets it sent since its last report, itself among them
//! (`cbPKT_SYSPROTOCOLMONITOR`), so loss is exact. Where that packet is lost too, what it would have said is taken to
//! be what the one before said. Datagrams overtake each other: what is missing is lost only once eight more of these
//! packets have come, and one that comes after a later one says what was missing there. Samples are not looked at
//! here: this device's samples are the heartbeats, which have no channels.

use super::packet::{Form, Packet, SYSTEM, Version, step};
use crate::decode::Sink;
use crate::decode::program::datagram::{Datagram, Followed, Whose};
use crate::decode::program::overtaken::Overtaken;
use crate::event::{self, Body, Device, Fault, FaultKind, Lost, Rails, Repeated, Samples};

/// Types of packets of the system.
const HEARTBEAT: u16 = 0x00;
const MONITOR: u16 = 0x01;
/// Heartbeats a second (`HEARTBEAT_MS`).
const BEATS: f64 = 100.0;
/// Monitors in a row that are believed to be lost; more are an interruption.
const MOST: u64 = 6000;
/// Monitors for which what is missing is waited for, and by how many a late one is late at most.
const PATIENCE: usize = 8;
const LATE: u32 = 16;
/// What is said of a datagram without heartbeats.
const NOTHING: [f32; 64] = [0.0; 64];

/// Counts the packets of one amplifier.
#[derive(Debug, Default)]
pub struct Cerebus {
    followed: Followed,
    form: Form,
    reported: bool,
    overtaken: Overtaken,
    /// Packets since the last monitor.
    received: u64,
    monitor: Option<Monitor>,
    /// Packets that are missing, unless one of the next monitors says that they came late, by how long ago that was
    /// seen; and those that came early.
    missing: [u64; PATIENCE],
    early: u64,
    /// What a monitor that was not seen was taken to say.
    taken: u32,
    /// A bit for each group of which there were samples, and the channels of those that were listed.
    groups: u16,
    listed: [Option<u32>; 9],
    restarts: u64,
    beats: usize,
    frames: u32,
    bytes: u64,
}

/// The last monitor.
#[derive(Clone, Copy, Debug)]
struct Monitor {
    time: u64,
    counter: Option<u32>,
    sent: u32,
    /// The shortest time from one to the next.
    usual: u64,
}

impl Cerebus {
    /// The groups of which there were samples, from 1.
    pub fn groups(&self) -> impl Iterator<Item = u8> + use<> {
        let groups = self.groups;
        (1..=8).filter(move |group| groups >> group & 1 == 1)
    }

    /// The channels of a group, if its list passed by.
    #[must_use]
    pub fn listed(&self, group: u8) -> Option<u32> {
        self.listed.get(usize::from(group)).copied().flatten()
    }

    /// Times that the amplifier began to count again, so far.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    fn device() -> Device {
        Device {
            protocol: "cerebus",
            channels: 0,
            rate: BEATS,
            packet_rate: 0.0,
            volts: false,
            modulus: 0,
            rails: Rails::Unknown,
        }
    }

    fn observe(&mut self, packet: &Packet<'_>, version: Version, out: &mut Sink<'_>) {
        self.received += 1;
        match (packet.channel, packet.kind) {
            (0, group) => self.groups |= 1_u16.checked_shl(group.into()).unwrap_or_default(),
            (SYSTEM, HEARTBEAT) => {
                if !std::mem::replace(&mut self.reported, true) {
                    self.settle(out);
                    out(Body::Device(Self::device()));
                }
                self.beats += 1;
            }
            // Up to 4.0 it has no number, and another packet has the same type, but not the same length.
            (SYSTEM, MONITOR) if packet.body.len() == if version == Version::V41 { 8 } else { 4 } => {
                if let Some(sent) = packet.word(0) {
                    self.compare(
                        Monitor { time: packet.time, counter: packet.word(4), sent, usual: 0 },
                        version,
                        out,
                    );
                }
            }
            _ => {
                if let Some((group, channels)) = packet.listed()
                    && let Some(listed) = self.listed.get_mut(usize::from(group))
                {
                    *listed = Some(channels);
                }
            }
        }
    }

    /// Compares what was sent with what came.
    fn compare(&mut self, mut now: Monitor, version: Version, out: &mut Sink<'_>) {
        let received = std::mem::take(&mut self.received);
        let Some(last) = self.monitor else {
            self.monitor = Some(now);
            return;
        };
        let numbers = last.counter.zip(now.counter);
        let back = numbers.is_some_and(|(last, now)| now.wrapping_sub(last) > 1 << 31);
        if self.is_late(&last, &now, version) {
            // It says how many packets there were of which another number was taken.
            let more = u64::from(now.sent.saturating_sub(self.taken));
            let fewer = u64::from(self.taken.saturating_sub(now.sent));
            self.missing[0] += more;
            self.found(received + fewer);
            self.settle(out);
            out(Body::Overtaken(event::Overtaken { packets: u32::try_from(received).unwrap_or(u32::MAX) }));
            return;
        }
        let Some(took) = step(version, last.time, now.time).filter(|_| !back) else {
            self.restart(out);
            self.monitor = Some(now);
            return;
        };
        // A datagram that comes twice takes no time.
        now.usual = [last.usual, took].into_iter().filter(|took| *took > 0).min().unwrap_or_default();
        self.monitor = Some(now);
        let steps = match numbers {
            Some((last, now)) => now.wrapping_sub(last).into(),
            None => took.saturating_add(now.usual / 2).checked_div(now.usual).unwrap_or(1),
        };
        let unseen = steps.saturating_sub(1);
        if now.sent == 0 || unseen > MOST {
            self.tell_missing(out);
            return;
        }
        self.taken = last.sent.max(1);
        let sent = u64::from(now.sent) + unseen * u64::from(self.taken);
        let [.., overdue] = self.missing;
        self.tell_lost(overdue, out);
        self.missing.rotate_right(1);
        self.missing[0] = 0;
        // A packet may pass the monitor that counts it: what is too few now and too many then is no loss.
        if sent >= received {
            self.missing[0] = (sent - received).saturating_sub(std::mem::take(&mut self.early));
        } else {
            self.found(received - sent);
        }
    }

    /// Whether a monitor was overtaken by the last one.
    fn is_late(&self, last: &Monitor, now: &Monitor, version: Version) -> bool {
        // One that goes back further than its number, or than by a few, was begun again.
        let by = last.counter.zip(now.counter).map(|(last, now)| last.wrapping_sub(now));
        let most = by.map_or(LATE, |by| if (1..=LATE).contains(&by) { by + 1 } else { 0 });
        // Before the second one nothing is known of how far they are apart, but that it is some 10 ms, in ticks.
        let usual = if last.usual > 0 { last.usual } else { 300 };
        step(version, now.time, last.time)
            .is_some_and(|back| back > 0 && back <= usual.saturating_mul(most.into()))
    }

    /// So many packets came late, or early.
    fn found(&mut self, mut packets: u64) {
        for missing in &mut self.missing {
            let these = packets.min(*missing);
            *missing -= these;
            packets -= these;
        }
        self.early = packets;
    }

    fn tell_lost(&mut self, packets: u64, out: &mut Sink<'_>) {
        if packets > 0 {
            self.settle(out);
            out(Body::Lost(Lost { packets: u32::try_from(packets).unwrap_or(u32::MAX) }));
        }
    }

    fn tell_missing(&mut self, out: &mut Sink<'_>) {
        for packets in std::mem::take(&mut self.missing).into_iter().rev() {
            self.tell_lost(packets, out);
        }
    }

    /// The amplifier began again.
    fn restart(&mut self, out: &mut Sink<'_>) {
        self.tell_missing(out);
        self.overtaken.end(&mut |_| {});
        (self.monitor, self.received, self.early) = (None, 0, 0);
        self.restarts += 1;
    }
}

impl Datagram for Cerebus {
    fn datagram(&mut self, bytes: &[u8], sender: u16, out: &mut Sink<'_>) {
        let whose = self.followed.observe(sender, || Form::is_packets(bytes));
        if whose == Whose::Another {
            self.restart(out);
            self.form.forget();
            self.listed = Default::default();
        }
        let fault = |kind, bytes: &[u8]| Body::Fault(Fault { kind, bytes: bytes.len() as u64 });
        if whose == Whose::Stranger {
            self.settle(out);
            out(fault(FaultKind::Conflict, bytes));
            return;
        }
        let version = self.form.of(bytes);
        let again = self.overtaken.come(bytes, &mut |_| {});
        let mut repeated = 0;
        let mut rest = bytes;
        if let Some(version) = version {
            while let Some((packet, after)) = version.first(rest) {
                if again {
                    repeated += 1;
                } else {
                    self.observe(&packet, version, out);
                }
                self.frames += 1;
                self.bytes += (rest.len() - after.len()) as u64;
                rest = after;
            }
        }
        if repeated > 0 {
            self.settle(out);
            out(Body::Repeated(Repeated { packets: repeated }));
        }
        if !rest.is_empty() {
            self.settle(out);
            out(fault(FaultKind::Frame, rest));
        }
    }

    fn settle(&mut self, out: &mut Sink<'_>) {
        while self.frames > 0 {
            let beats = self.beats.min(NOTHING.len());
            self.beats -= beats;
            // A message in parts is reported with its last part.
            let last = self.beats == 0;
            let frames = if last { std::mem::take(&mut self.frames) } else { 0 };
            let bytes = if last { std::mem::take(&mut self.bytes) } else { 0 };
            let values = NOTHING.get(..beats).unwrap_or_default();
            out(Body::Samples(Samples { values, channels: 1, frames, bytes }));
        }
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        self.tell_missing(out);
        self.settle(out);
        self.overtaken.end(&mut |_| {});
        (self.monitor, self.received, self.early) = (None, 0, 0);
        self.followed.end();
        self.form.forget();
        self.reported = false;
    }
}
