//! What is looked at beside the bytes of an open port: whether it is still there, and what its driver and the bus
//! say of it.
//!
//! A look costs one system call, and more of them each second. The latency timer is set once, when the port is
//! opened, and is not put back.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use serialport::{SerialPort, TTYPort};

use super::{LOOK, LatencyTimer, Settings, clock};
use crate::event::{Body, LineErrors, Port, PortLine, UsbDevice};
use crate::source::Feed;
use crate::source::port::usb::{Identity, LATENCY_RULE, Node, RULES, Usb, latency_timer};
use crate::sys::{LineCounts, line_counts};

/// How often the driver is asked.
const ASK: Duration = Duration::from_secs(1);
/// How often the bus is asked: once in so many times that the driver is.
const BUS: u32 = 5;
/// The latency timer that is wanted, milliseconds.
const SHORT: u32 = 1;

/// A line, and what its driver says of it.
pub(super) trait Line: Read + Write {
    /// What its driver counted, if it counts.
    fn counts(&self) -> Option<LineCounts>;
    /// Bytes that wait to be read.
    fn waiting(&self) -> Option<u64>;
}

impl Line for TTYPort {
    fn counts(&self) -> Option<LineCounts> {
        line_counts(self).ok()
    }

    fn waiting(&self) -> Option<u64> {
        self.bytes_to_read().ok().map(u64::from)
    }
}

/// Looks after one open port.
pub(super) struct Watch<'a> {
    settings: &'a Settings,
    feed: &'a Feed,
    node: Node,
    looked: Instant,
    asked: Option<Instant>,
    /// Times that the driver was asked.
    asks: u32,
    /// What the driver had counted when it was asked last.
    counts: Option<LineCounts>,
    /// Framing errors since the port was opened.
    frame_errors: u64,
    /// What the bus says, ready to be reported.
    usb: Option<(Usb, UsbDevice)>,
}

impl<'a> Watch<'a> {
    /// Looks after a port that was just opened. `number` is the device's number on the bus when it was open last.
    pub(super) fn new(
        node: &Node,
        settings: &'a Settings,
        feed: &'a Feed,
        number: &mut Option<(String, u32)>,
    ) -> Self {
        let usb = node.usb.clone().map(|usb| {
            let now = usb.bus().number.map(|n| (format!("{} {} {}", usb.id, usb.serial, usb.place), n));
            let renumbered = match (&*number, &now) {
                (Some((was, before)), Some((is, after))) => was == is && before != after,
                _ => false,
            };
            if now.is_some() {
                *number = now;
            }
            let device = UsbDevice {
                id: usb.id.clone(),
                product: usb.product.clone(),
                manufacturer: usb.manufacturer.clone(),
                serial: usb.serial.clone(),
                place: usb.place.clone(),
                renumbered: u64::from(renumbered),
                ..UsbDevice::default()
            };
            (usb, device)
        });
        let watch = Self {
            settings,
            feed,
            node: node.clone(),
            looked: clock(),
            asked: None,
            asks: 0,
            counts: None,
            frame_errors: 0,
            usb,
        };
        watch.set_latency_timer();
        watch
    }

    /// Sets the latency timer if that is wanted and allowed, and says so if it is not.
    fn set_latency_timer(&self) {
        let Some((path, ms)) = self.timer() else { return };
        if self.settings.latency_timer == LatencyTimer::Keep || ms <= SHORT {
            return;
        }
        let source = self.feed.name();
        match std::fs::write(&path, SHORT.to_string()) {
            Ok(()) => tracing::info!(source, "latency timer set from {ms} ms to {SHORT} ms; it stays so"),
            Err(error) => tracing::warn!(
                source,
                %error,
                "the latency timer is {ms} ms, so samples come in bursts, and the agent may not set it; put into \
                 {RULES}: {LATENCY_RULE} (then `sudo udevadm control --reload` and plug it in again), or \
                 write `latency_timer: keep`"
            ),
        }
    }

    fn timer(&self) -> Option<(std::path::PathBuf, u32)> {
        latency_timer(&self.settings.roots, self.node.tty.as_deref()?)
    }

    /// Looks, if it is time to, and says whether the port is gone.
    pub(super) fn check(&mut self, port: &impl Line) -> bool {
        let now = clock();
        if self.asked.is_none_or(|asked| now.duration_since(asked) >= ASK) {
            self.asked = Some(now);
            self.read_counts(port);
        }
        if now.duration_since(self.looked) < LOOK {
            return false;
        }
        self.looked = now;
        // A name that leads to another node now leads to a device that was plugged in since.
        !Identity::of(&self.node.path).is_some_and(|is| is.is_still(self.node.identity))
    }

    /// Framing errors since the port was opened.
    pub(super) fn frame_errors(&self) -> u64 {
        self.frame_errors
    }

    fn read_counts(&mut self, port: &impl Line) {
        let counts = port.counts();
        let errors = counts.map(|now| {
            let before = self.counts.unwrap_or(now);
            LineErrors {
                frame: now.frame.wrapping_sub(before.frame),
                parity: now.parity.wrapping_sub(before.parity),
                overrun: now.overrun.wrapping_sub(before.overrun),
                buffer_overrun: now.buffer_overrun.wrapping_sub(before.buffer_overrun),
                breaks: now.breaks.wrapping_sub(before.breaks),
            }
        });
        self.counts = counts;
        self.frame_errors += errors.map_or(0, |errors| u64::from(errors.frame));
        let waiting = port.waiting();
        let latency_timer = self.timer().map(|(_, ms)| f64::from(ms) / 1000.0);
        let line = PortLine { baud: self.settings.baud, waiting, latency_timer, errors };
        self.feed.send(Body::Port(Port::Line(&line)));
        if self.asks.is_multiple_of(BUS)
            && let Some((usb, device)) = &mut self.usb
        {
            let bus = usb.bus();
            device.bits_per_second = bus.bits_per_second;
            device.awake = bus.awake;
            device.autosuspend = bus.autosuspend;
            device.power_limit = bus.power_limit;
            self.feed.send(Body::Port(Port::Usb(device)));
            device.renumbered = 0;
        }
        self.asks = self.asks.wrapping_add(1);
    }
}
