//! NeuroSky ThinkGear at 57600 baud: raw packets, and once a second what the chip makes of them.
//!
//! Packets are those of the ThinkGear Serial Stream Guide. It counts nothing and hears nothing. Behind the dongle of a
//! headset that is off, the dongle says once a second that it looks for one.

use std::time::Duration;

use super::{Board, Converter, Event, FTDI, Facts, Output};

/// Raw packets a second.
const RATE: u64 = 512;

/// How often a dongle, or a chip without raw output, says how it is.
const SECOND: Duration = Duration::from_secs(1);

/// A chip with raw output.
#[derive(Debug)]
pub struct ThinkGear {
    powered: bool,
    touches: bool,
    /// Charge, if it tells it.
    battery: Option<f64>,
    /// Whether it sends raw values.
    raw: bool,
    /// When it says next how it is, if no raw values come.
    due: Duration,
}

impl Default for ThinkGear {
    fn default() -> Self {
        Self { powered: true, touches: true, battery: None, raw: true, due: Duration::ZERO }
    }
}

impl ThinkGear {
    /// What the chip makes of a second: poor signal, attention, meditation, and the powers of eight bands.
    fn status(&self, number: u64, out: &mut Vec<u8>) {
        let mut payload = vec![2, if self.touches { 0 } else { 200 }];
        if let Some(charge) = self.battery {
            payload.extend([1, (charge * 127.0).round() as u8]);
        }
        payload.extend([0x83, 24]);
        let power = |band: u64| 400_000 / (band + 1) as u32 + (number % 977) as u32;
        (0..8).for_each(|band| payload.extend_from_slice(&power(band).to_be_bytes()[1..]));
        payload.extend(if self.touches { [4, 42, 5, 69] } else { [4, 0, 5, 0] });
        packet(&payload, out);
    }
}

fn packet(payload: &[u8], out: &mut Vec<u8>) {
    let sum = payload.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    // Payloads here are far shorter than the 169 that are allowed.
    out.extend([0xAA, 0xAA, payload.len() as u8]);
    out.extend_from_slice(payload);
    out.push(!sum);
}

impl Board for ThinkGear {
    fn facts(&self) -> Facts {
        Facts { channels: 1, rate: RATE as f64, frame_rate: RATE as f64, latency: FTDI }
    }

    fn converter(&self, _channel: usize) -> Converter {
        Converter::signed(12, 1.8e6 / 4096.0 / 2000.0)
    }

    fn streaming(&self) -> Option<u32> {
        (self.powered && self.raw).then_some(0)
    }

    fn frame(&mut self, number: u64, counts: &[i32], out: &mut Vec<u8>) -> u64 {
        let [high, low] = (counts.first().copied().unwrap_or_default() as i16).to_be_bytes();
        packet(&[0x80, 2, high, low], out);
        if number % RATE != RATE - 1 {
            return 1;
        }
        self.status(number, out);
        2
    }

    fn tick(&mut self, at: Duration, output: &mut Output) {
        if (self.powered && self.raw) || at < self.due {
            return;
        }
        self.due = at + SECOND;
        let mut out = Vec::new();
        if self.powered {
            self.status(at.as_secs(), &mut out);
        } else {
            packet(&[0xD4, 1, 1], &mut out);
        }
        output.send(Duration::ZERO, out);
    }

    fn reports_status(&self) -> bool {
        true
    }

    fn reports_battery(&self) -> bool {
        true
    }

    fn handle_event(&mut self, event: Event, _said: &mut Output) {
        match event {
            Event::Reset => self.powered = true,
            Event::Off => self.powered = false,
            Event::StatusOnly => self.raw = false,
            Event::Battery(charge) => self.battery = Some(charge),
            Event::Contact(_, touches) => self.touches = touches,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_guide() {
        let mut out = Vec::new();
        ThinkGear::default().frame(0, &[-100], &mut out);
        assert_eq!(out, [0xAA, 0xAA, 4, 0x80, 2, 0xFF, 0x9C, 0xE2]);
        out.clear();
        packet(&[2, 0, 4, 0x2A, 5, 0x45], &mut out);
        assert_eq!(out.last(), Some(&0x85));
        out.clear();
        packet(&[2, 0xC8], &mut out);
        assert_eq!(out, [0xAA, 0xAA, 2, 2, 0xC8, 0x35]);
    }
}
