//! NeuroSky ThinkGear (MindWave, MindFlex, TGAM), one channel: packets with a checksum and no number.
//!
//! The layout is that of the ThinkGear Serial Stream Guide. Without a number, loss is seen only as a low rate
//! and as damaged packets. What the chip computes (attention, bands, blinks) is not looked at.

use super::{Board, Boards, Segment, byte, uint16};
use crate::decode::Sink;
use crate::decode::facts::{Facts, Rates};
use crate::event::{Body, Contact, Device, Input, Rails, Vital};

/// Bytes before the payload, and the checksum after it.
const HEADER: usize = 3;
/// The longest payload.
const PAYLOAD: u8 = 169;
/// Volts of one count: 1.8 V over 4096 counts, amplified 2000 times (as the makers' support says; the guide
/// does not).
const SCALE: f64 = 1.8 / 4096.0 / 2000.0;

const BATTERY: u8 = 0x01;
const POOR_SIGNAL: u8 = 0x02;
const RAW: u8 = 0x80;
/// A code of a higher level follows; there are none yet.
const EXTENDED: u8 = 0x55;
/// What the dongle of a headset says of it (MindWave Dongle Communication Protocol).
const LINK: std::ops::RangeInclusive<u8> = 0xD0..=0xD4;
/// Packets without a raw value, one after the other, that say that none come. A chip that sends raw values sends one
/// other in 513.
const BARE: u32 = 2;

/// The value of poor signal that says that the electrode is not on skin.
const OFF: u8 = 200;

/// What is known of the board.
pub(in crate::decode) const FACTS: Facts = Facts {
    rates: Rates::Any,
    ..Facts::board("thinkgear", 57_600, |of| Box::new(Boards::new(ThinkGear::default()).at(of.rate)))
};

/// A ThinkGear chip that sends raw values, which it does at 57600 baud.
#[derive(Debug, Default)]
pub struct ThinkGear {
    /// Whether the electrode was on skin, if reported.
    on: Option<bool>,
    /// Packets since the last raw value.
    bare: u32,
    /// What the last of these said.
    says: Option<&'static str>,
}

impl Board for ThinkGear {
    const CONFIRM: usize = 1;

    fn device(&self) -> Device {
        Device {
            protocol: "thinkgear",
            channels: 1,
            rate: 512.0,
            packet_rate: 513.0,
            volts: true,
            modulus: 0,
            // The scale is that of a converter of 12 bits.
            rails: Rails::signed(12, SCALE),
        }
    }

    fn classify(&self, bytes: &[u8], _last: bool) -> Segment {
        let outer = packet(bytes);
        if let Segment::Frame(length) = outer {
            // One in 256 lengths that are none has the right checksum. What it would take in shows it.
            let payload = bytes.get(HEADER..length).unwrap_or_default();
            let right = |place| matches!(payload.get(place..).map(packet), Some(Segment::Frame(_)));
            if (0..payload.len()).any(right) {
                return Segment::No;
            }
        }
        outer
    }

    fn report_status(&mut self, frame: &[u8], out: &mut Sink<'_>) {
        (self.bare, self.says) = (self.bare.saturating_add(1), Some("status packets without raw values"));
        rows(frame, |code, value| match (code, value) {
            (RAW, [_, _]) => (self.bare, self.says) = (0, None),
            (code, value) if LINK.contains(&code) => self.says = Some(link(code, value)),
            // 0 to 127 (Serial Stream Guide).
            (BATTERY, [charge]) => out(Body::Vital(Vital::Battery((f64::from(*charge) / 127.0).min(1.0)))),
            (POOR_SIGNAL, [poor]) => {
                out(Body::Vital(Vital::PoorSignal((f64::from(*poor) / f64::from(OFF)).min(1.0))));
                let on = *poor < OFF;
                if self.on.replace(on) != Some(on) {
                    out(Body::Contact(Contact { channel: 1, input: Input::Positive, on }));
                }
            }
            _ => {}
        });
    }

    fn samples(&mut self, frame: &[u8], values: &mut Vec<f32>) {
        rows(frame, |code, value| {
            if code == RAW && value.len() == 2 {
                values.push((f64::from(uint16(value).cast_signed()) * SCALE) as f32);
            }
        });
    }

    fn silence_reason(&self) -> Option<&str> {
        self.says.filter(|_| self.bare >= BARE)
    }

    fn end(&mut self) {
        *self = Self::default();
    }
}

/// What a dongle says of its headset.
fn link(code: u8, value: &[u8]) -> &'static str {
    match (code, value) {
        (0xD0, _) => "headset connected",
        (0xD1, _) => "headset not found",
        (0xD2, _) => "headset disconnected",
        (0xD3, _) => "request denied",
        (_, [0]) => "standby, no headset",
        _ => "looking for a headset",
    }
}

/// What `bytes` are the beginning of, judged by marks, length and checksum.
fn packet(bytes: &[u8]) -> Segment {
    match *bytes {
        [] | [0xAA] | [0xAA, 0xAA] => Segment::More,
        // A third mark is the first or second of the packet that follows.
        [0xAA, 0xAA, length, ref rest @ ..] if length <= PAYLOAD => {
            let length = usize::from(length);
            let (Some(payload), Some(checksum)) = (rest.get(..length), rest.get(length)) else {
                return Segment::More;
            };
            let sum = payload.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            if !sum == *checksum { Segment::Frame(HEADER + length + 1) } else { Segment::Damaged }
        }
        _ => Segment::No,
    }
}

/// Goes through the rows of a packet: a code, and its value, which is one byte unless the code is `80` or
/// above and a length stands before it. A row that does not fit ends it.
fn rows(frame: &[u8], mut row: impl FnMut(u8, &[u8])) {
    let end = frame.len().saturating_sub(1);
    let mut rest = frame.get(HEADER..end).unwrap_or_default();
    while let Some((&code, after)) = rest.split_first() {
        if code == EXTENDED {
            // Rows of a higher level mean something else; none are known.
            return;
        }
        let (length, after) = if code < 0x80 {
            (1, after)
        } else {
            (byte(after, 0).into(), after.get(1..).unwrap_or_default())
        };
        let Some((value, next)) = after.split_at_checked(length) else { return };
        row(code, value);
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Decoder;
    use crate::decode::board::Boards;
    use crate::decode::testing::lines;

    fn decoded(bytes: &[u8]) -> Vec<String> {
        let mut lines = lines(&mut Boards::new(ThinkGear::default()), &[bytes], |body| {
            Some(match body {
                Body::Samples(s) => format!("{:?}", s.values),
                Body::Fault(fault) => format!("{} bytes {}", fault.bytes, fault.kind.as_str()),
                other => format!("{other:?}"),
            })
        });
        lines.split_off(1)
    }

    #[test]
    fn the_examples_of_the_guide() {
        let status = [0xAA, 0xAA, 6, 2, 0, 4, 0x2A, 5, 0x45, 0x85];
        assert_eq!(
            decoded(&status),
            ["Vital(PoorSignal(0.0))", "Contact(Contact { channel: 1, input: Positive, on: true })", "[]"]
        );
        assert_eq!(decoded(&[0xAA, 0xAA, 4, 0x80, 2, 0xFF, 0x9C, 0xE2]), ["[-2.1972657e-5]"]);
        let off = [0xAA, 0xAA, 2, 2, 0xC8, 0x35];
        assert_eq!(
            decoded(&off)[..2],
            ["Vital(PoorSignal(1.0))", "Contact(Contact { channel: 1, input: Positive, on: false })"]
        );
    }

    #[test]
    fn what_is_said_in_place_of_samples_is_known() {
        let mut decoder = Boards::new(ThinkGear::default());
        let mut reason_after = |bytes: &[u8]| {
            decoder.decode(bytes, &mut |_| {});
            decoder.dialogue().and_then(|dialogue| dialogue.silence_reason().map(str::to_owned))
        };
        let scan = [0xAA, 0xAA, 3, 0xD4, 1, 1, 0x29];
        assert_eq!(reason_after(&scan), None, "one packet says little");
        assert_eq!(reason_after(&scan).unwrap(), "looking for a headset");
        let raw = [0xAA, 0xAA, 4, 0x80, 2, 0, 1, 0x7C];
        assert_eq!(reason_after(&raw), None);
        let status = [0xAA, 0xAA, 6, 2, 0, 4, 0x2A, 5, 0x45, 0x85];
        assert_eq!(reason_after(&[&status[..], &raw].concat()), None, "between raw values");
        assert_eq!(reason_after(&[status, status].concat()).unwrap(), "status packets without raw values");
    }

    #[test]
    fn a_damaged_packet_costs_no_other() {
        let raw = [0xAA, 0xAA, 4, 0x80, 2, 0, 1, 0x7C];
        let mut damaged = raw;
        damaged[6] = 2;
        assert_eq!(decoded(&[raw, damaged, raw].concat())[1], "8 bytes checksum");
        // A third mark, and a length that takes in what follows.
        assert_eq!(decoded(&[&[0xAA][..], &raw].concat())[0], "1 bytes framing");
        assert_eq!(decoded(&[&[0xAA, 0xAA, 100][..], &raw].concat()), ["3 bytes framing", "[2.1972656e-7]"]);
    }
}
