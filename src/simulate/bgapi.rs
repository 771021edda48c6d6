//! A BLED112 dongle that speaks BGAPI, with one Ganglion in reach of its radio.
//!
//! Headers, commands and events are those that BrainFlow's bundled library names (Bluetooth Smart Software API).
//! What no program for a Ganglion asks for is not answered.

use std::time::Duration;

use super::ganglion::{Ganglion, PACKET};
use super::{Board, Converter, Event, Facts, Output};

const RESPONSE: u8 = 0x00;
const EVENT: u8 = 0x80;
/// The only connection.
const LINK: u8 = 0;
const ADDRESS: [u8; 6] = [0xEF, 0xBE, 0x5A, 0x12, 0x00, 0xD4];
/// How often the Ganglion advertises itself, how long the radio takes to connect, and to see that it is gone.
const ADVERTISE: Duration = Duration::from_millis(100);
const CONNECT: Duration = Duration::from_millis(60);
const SUPERVISE: Duration = Duration::from_millis(1000);
const GATT: Duration = Duration::from_millis(5);
/// Results: done, not in that state, and why a link ended: it was lost, or this side ended it.
const DONE: [u8; 2] = [0, 0];
const WRONG_STATE: [u8; 2] = [0x81, 0x01];
const LOST: [u8; 2] = [0x08, 0x02];
const ENDED: [u8; 2] = [0x16, 0x02];
/// Where the attributes of the Ganglion's service are.
const SERVICES: [(u16, u16, u16); 3] = [(1, 7, 0x1800), (8, 11, 0x1801), (12, 19, 0xFE84)];
const NOTIFY: u16 = 14;
const SWITCH: u16 = 15;
const WRITE: u16 = 17;
const LEAVE: u16 = 19;

/// The dongle.
#[derive(Debug)]
pub struct Dongle {
    board: Ganglion,
    powered: bool,
    /// When the Ganglion advertises itself next, if a dongle scans.
    scans: Option<Duration>,
    /// Whether a connection is wanted but the Ganglion does not answer.
    seeks: bool,
    connected: bool,
    notifies: bool,
    heard: Vec<u8>,
}

/// One message: its kind with the high bits of the payload's length, the low bits, a class, a command, the payload.
fn message(kind: u8, class: u8, command: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    [&[kind | high & 7, low, class, command], payload].concat()
}

/// The long name of one of the Ganglion's characteristics, as it is sent: backwards.
fn uuid(number: u8) -> [u8; 16] {
    [0x96, 5, 0x48, 0xEA, 0x84, 0x34, 0x3F, 0x92, 0xE6, 0x4C, 0x9F, 0xF3, number, 0xC0, 0x30, 0x2D]
}

/// A notification, as the dongle hands it on.
fn notification(packet: &[u8; PACKET]) -> Vec<u8> {
    let [low, high] = NOTIFY.to_le_bytes();
    message(EVENT, 4, 5, &[&[LINK, low, high, 1, PACKET as u8][..], packet].concat())
}

impl Dongle {
    /// A dongle near this board.
    #[must_use]
    pub fn new(board: Ganglion) -> Self {
        Self {
            board,
            powered: true,
            scans: None,
            seeks: false,
            connected: false,
            notifies: false,
            heard: Vec::new(),
        }
    }

    fn command(&mut self, at: Duration, class: u8, command: u8, payload: &[u8], output: &mut Output) {
        let mut respond =
            |payload: &[u8]| output.send(Duration::ZERO, message(RESPONSE, class, command, payload));
        match (class, command) {
            (0, 0) => {
                // The board sees its link end and stops.
                self.board.disconnect();
                (self.scans, self.seeks, self.connected, self.notifies) = (None, false, false, false);
            }
            (0, 1) => respond(&[]),
            (0, 6) => {
                respond(&[1]);
                output.send(Duration::ZERO, self.status());
            }
            (0, 8) => respond(&[1, 0, 3, 0, 2, 0, 122, 0, 3, 0, 1, 3]),
            (3, 0) => {
                respond(&[&[LINK], &if self.connected { DONE } else { WRONG_STATE }[..]].concat());
                if self.connected {
                    self.disconnect(ENDED, GATT, output);
                }
            }
            (3, 1) => respond(&[LINK, (-52_i8).cast_unsigned()]),
            (4, _) => self.attributes(command, payload, output),
            (6, 1 | 7) => respond(&DONE),
            (6, 2) => {
                self.scans = Some(at);
                respond(&DONE);
            }
            (6, 3) => {
                respond(&[&DONE[..], &[LINK]].concat());
                self.seeks = true;
                self.scans = None;
                self.seek(output);
            }
            (6, 4) => {
                let busy = self.scans.take().is_some() || std::mem::take(&mut self.seeks);
                respond(if busy { &DONE } else { &WRONG_STATE });
            }
            _ => {}
        }
    }

    /// What is asked of the connected device.
    fn attributes(&mut self, command: u8, payload: &[u8], output: &mut Output) {
        let result = if self.connected { DONE } else { WRONG_STATE };
        output.send(Duration::ZERO, message(RESPONSE, 4, command, &[&[LINK], &result[..]].concat()));
        if !self.connected {
            return;
        }
        let mut later = |command: u8, payload: &[u8]| output.send(GATT, message(EVENT, 4, command, payload));
        let mut handle = 0;
        let mut answer = "";
        match (command, payload) {
            (1, _) => {
                for (first, last, service) in SERVICES {
                    let [a, b] = first.to_le_bytes();
                    let [c, d] = last.to_le_bytes();
                    let [e, f] = service.to_le_bytes();
                    later(2, &[LINK, a, b, c, d, 2, e, f]);
                }
            }
            (3, [_, a, b, c, d, ..]) => {
                let asked = u16::from_le_bytes([*a, *b])..=u16::from_le_bytes([*c, *d]);
                let short = |number: u16| number.to_le_bytes().to_vec();
                let all = [
                    (12, short(0x2800)),
                    (13, short(0x2803)),
                    (NOTIFY, uuid(0x82).to_vec()),
                    (SWITCH, short(0x2902)),
                    (16, short(0x2803)),
                    (WRITE, uuid(0x83).to_vec()),
                    (18, short(0x2803)),
                    (LEAVE, uuid(0x84).to_vec()),
                ];
                for (at, uuid) in all.into_iter().filter(|(at, _)| asked.contains(at)) {
                    let [low, high] = u16::to_le_bytes(at);
                    later(4, &[&[LINK, low, high, uuid.len() as u8][..], &uuid].concat());
                }
            }
            (5 | 6, [_, low, high, length, data @ ..]) => {
                handle = u16::from_le_bytes([*low, *high]);
                let data = data.get(..usize::from(*length)).unwrap_or(data);
                match handle {
                    SWITCH => self.notifies = data.first().is_some_and(|bits| bits & 1 == 1),
                    WRITE => answer = self.board.receive(data),
                    _ => {}
                }
            }
            _ => {}
        }
        // Writing without an answer completes nothing.
        if command != 6 {
            let [low, high] = handle.to_le_bytes();
            later(1, &[LINK, DONE[0], DONE[1], low, high]);
        }
        if handle == LEAVE {
            self.disconnect(LOST, GATT, output);
        }
        if self.notifies && !answer.is_empty() {
            output.answers += 1;
            for packet in Ganglion::message(answer) {
                output.send(GATT, notification(&packet));
            }
        }
    }

    /// How the connection is.
    fn status(&self) -> Vec<u8> {
        // Connected, and that was just completed; interval 76 × 1.25 ms, timeout 100 × 10 ms.
        let flags = if self.connected { 5 } else { 0 };
        message(EVENT, 3, 0, &[&[LINK, flags][..], &ADDRESS, &[1, 76, 0, 100, 0, 0, 0, 0xFF]].concat())
    }

    fn seek(&mut self, output: &mut Output) {
        if self.seeks && self.powered {
            (self.seeks, self.connected) = (false, true);
            output.send(CONNECT, self.status());
        }
    }

    /// The link ends.
    fn disconnect(&mut self, why: [u8; 2], after: Duration, output: &mut Output) {
        self.board.disconnect();
        self.notifies = false;
        if std::mem::take(&mut self.connected) {
            output.send(after, message(EVENT, 3, 4, &[&[LINK], &why[..]].concat()));
        }
    }
}

impl Board for Dongle {
    fn facts(&self) -> Facts {
        self.board.facts()
    }

    fn converter(&self, _channel: usize) -> Converter {
        Ganglion::converter()
    }

    fn streaming(&self) -> Option<u32> {
        self.board.streaming().filter(|_| self.connected && self.notifies)
    }

    fn samples_in(&self, number: u64) -> usize {
        self.board.samples_in(number)
    }

    fn frame(&mut self, number: u64, counts: &[i32], out: &mut Vec<u8>) -> u64 {
        out.extend(notification(&self.board.packet(number, counts)));
        1
    }

    fn receive(&mut self, at: Duration, bytes: &[u8], output: &mut Output) {
        self.heard.extend_from_slice(bytes);
        let heard = std::mem::take(&mut self.heard);
        let mut rest = heard.as_slice();
        while let [kind, low, class, command, after @ ..] = rest {
            if kind & 0xF8 != 0 {
                // No command begins so.
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let length = usize::from(kind & 7) << 8 | usize::from(*low);
            let Some((payload, next)) = after.split_at_checked(length) else { break };
            self.command(at, *class, *command, payload, output);
            rest = next;
        }
        self.heard = rest.to_vec();
    }

    fn tick(&mut self, at: Duration, output: &mut Output) {
        if self.scans.is_some_and(|next| next <= at) && self.powered && !self.connected {
            self.scans = Some(at + ADVERTISE);
            let name = self.board.name().as_bytes();
            // Strength, a scan response, its sender with a random address, no bond, and the complete name.
            let data = [&[name.len() as u8 + 1, 9][..], name].concat();
            let head = [&[(-48_i8).cast_unsigned(), 4][..], &ADDRESS, &[1, 0xFF, data.len() as u8]].concat();
            output.send(Duration::ZERO, message(EVENT, 6, 0, &[head, data].concat()));
        }
    }

    fn handle_event(&mut self, event: Event, output: &mut Output) {
        match event {
            Event::Reset => {
                self.powered = true;
                self.board.reset();
                self.disconnect(LOST, SUPERVISE, output);
                self.seek(output);
            }
            Event::Off => {
                self.powered = false;
                self.board.reset();
                self.disconnect(LOST, SUPERVISE, output);
            }
            Event::StatusOnly | Event::Battery(_) | Event::Contact(..) => {}
        }
    }

    fn impedances(&self) -> Vec<f64> {
        self.board.impedances()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Protocol;
    use crate::simulate::ganglion::{CHANNELS, Firmware};

    /// What the dongle answers to these bytes at this moment.
    fn replies(dongle: &mut Dongle, at: u64, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut output = Output::default();
        dongle.receive(Duration::from_millis(at), bytes, &mut output);
        dongle.tick(Duration::from_millis(at), &mut output);
        output.replies.into_iter().map(|(_, bytes)| bytes).collect()
    }

    #[test]
    fn a_ganglion_that_is_greeted_again_is_found_again() {
        let mut dongle = Dongle::new(Ganglion::new(1, Firmware::Two));
        let mut decoder = Protocol::Ganglion.decoder();
        for greeting in 1..=2 {
            // Nobody said that its connection ended.
            decoder.end(&mut |_| {});
            let mut asked = decoder.dialogue().unwrap().handshake().concat();
            for round in 0..20 {
                let at = greeting * 10_000 + round * 200;
                decoder.dialogue().unwrap().poll_transmit(Duration::from_millis(at), &mut asked);
                for bytes in replies(&mut dongle, at, &std::mem::take(&mut asked)) {
                    decoder.decode(&bytes, &mut |_| {});
                }
            }
            assert_eq!(dongle.streaming().map(u64::from), Some(greeting));
        }
    }

    #[test]
    fn a_ganglion_is_found_connected_and_started() {
        let mut dongle = Dongle::new(Ganglion::new(1, Firmware::Three));
        assert_eq!(replies(&mut dongle, 0, &[0, 1, 0, 0, 0]), Vec::<Vec<u8>>::new());
        let found = replies(&mut dongle, 1, &[0, 1, 6, 2, 1]);
        assert_eq!(found[0], [0, 2, 6, 2, 0, 0]);
        assert_eq!(found[1][..6], [0x80, 32, 6, 0, 0xD0, 4]);
        // The data begin after their length; their 13th byte tells the firmware.
        assert_eq!((found[1][15], found[1][15 + 13]), (20, b'3'));
        assert_eq!(replies(&mut dongle, 2, &[0, 0, 6, 4])[0], [0, 2, 6, 4, 0, 0]);
        let connect = [&[0, 15, 6, 3][..], &ADDRESS, &[1, 10, 0, 76, 0, 100, 0, 0, 0]].concat();
        // A command may come in pieces.
        assert!(replies(&mut dongle, 3, &connect[..7]).is_empty());
        let connected = replies(&mut dongle, 3, &connect[7..]);
        assert_eq!(
            (&connected[0][..], &connected[1][..6]),
            (&[0, 3, 6, 3, 0, 0, 0][..], &[0x80, 16, 3, 0, 0, 5][..])
        );
        let services = replies(&mut dongle, 4, &[0, 8, 4, 1, 0, 1, 0, 0xFF, 0xFF, 2, 0, 0x28]);
        assert_eq!(services[3], [0x80, 8, 4, 2, 0, 12, 0, 19, 0, 2, 0x84, 0xFE]);
        assert_eq!(services[4][..4], [0x80, 5, 4, 1]);
        let found = replies(&mut dongle, 5, &[0, 5, 4, 3, 0, 12, 0, 19, 0]);
        assert_eq!(found[4], [0x80, 6, 4, 4, 0, 15, 0, 2, 2, 0x29]);
        assert_eq!(found.len(), 10);
        replies(&mut dongle, 6, &[0, 5, 4, 5, 0, WRITE as u8, 0, 1, b'b']);
        assert_eq!(dongle.streaming(), None);
        let written = replies(&mut dongle, 7, &[0, 6, 4, 5, 0, SWITCH as u8, 0, 2, 1, 0]);
        assert_eq!(written, [vec![0, 3, 4, 5, 0, 0, 0], vec![0x80, 5, 4, 1, 0, 0, 0, 15, 0]]);
        assert_eq!(dongle.streaming(), Some(1));
        let mut frame = Vec::new();
        dongle.frame(0, &[0; 2 * CHANNELS], &mut frame);
        assert_eq!((frame.len(), &frame[..10]), (29, &[0x80, 25, 4, 5, 0, 14, 0, 1, 20, 99][..]));
        let mut output = Output::default();
        dongle.handle_event(Event::Off, &mut output);
        assert_eq!(
            (output.replies[0].1.as_slice(), dongle.streaming()),
            (&[0x80, 3, 3, 4, 0, 8, 2][..], None)
        );
    }
}
