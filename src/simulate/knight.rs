//! NeuroPawn Knight and Knight IMU, 8 channels at 125 Hz, as BrainFlow's driver reads them.
//!
//! They stream as long as they have power. Their commands are not documented, so they do not listen.

use super::{Board, Converter, Event, Facts, Output, USB};

const CHANNELS: usize = 8;

/// A Knight.
#[derive(Debug)]
pub struct Knight {
    imu: bool,
    powered: bool,
    /// Channels whose electrode is off, a bit each.
    off: u8,
}

impl Knight {
    /// One with or without an IMU.
    #[must_use]
    pub fn new(imu: bool) -> Self {
        Self { imu, powered: true, off: 0 }
    }
}

impl Board for Knight {
    fn facts(&self) -> Facts {
        Facts { channels: CHANNELS, rate: 125.0, frame_rate: 125.0, latency: USB }
    }

    fn converter(&self, _channel: usize) -> Converter {
        Converter::signed(16, 4e6 / 32_767.0 / 12.0)
    }

    fn streaming(&self) -> Option<u32> {
        self.powered.then_some(0)
    }

    fn frame(&mut self, number: u64, counts: &[i32], out: &mut Vec<u8>) -> u64 {
        out.extend([0xA0, number as u8]);
        counts.iter().for_each(|count| out.extend((*count as i16).to_be_bytes()));
        // What is off shows at the positive inputs.
        out.extend([self.off, 0]);
        if self.imu {
            let turn = (number as f32 / 125.0).sin();
            let axes = [0.01 * turn, 0.02, 0.98, 0.3 * turn, 0.0, 0.1, 21.0, -4.5, 43.0 + turn];
            axes.iter().for_each(|axis| out.extend(axis.to_le_bytes()));
        }
        out.push(0xC0);
        1
    }

    fn handle_event(&mut self, event: Event, _said: &mut Output) {
        match event {
            Event::Reset => self.powered = true,
            Event::Off => self.powered = false,
            Event::Contact(channel, touches) => {
                let bit = 1_u8.checked_shl(channel as u32).unwrap_or_default();
                self.off = if touches { self.off & !bit } else { self.off | bit };
            }
            Event::StatusOnly | Event::Battery(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_the_driver_reads_them() {
        let mut out = Vec::new();
        let mut board = Knight::new(false);
        board.handle_event(Event::Contact(2, false), &mut Output::default());
        board.frame(258, &[100, -1, 0, 0, 0, 0, 0, 0], &mut out);
        assert_eq!(
            (out.len(), &out[..6], &out[18..]),
            (21, &[0xA0, 2, 0, 100, 0xFF, 0xFF][..], &[4, 0, 0xC0][..])
        );
        assert!((100.0 * board.converter(0).step - 1017.28).abs() < 0.02);
        out.clear();
        Knight::new(true).frame(0, &[0; 8], &mut out);
        assert_eq!((out.len(), out[56]), (57, 0xC0));
    }
}
