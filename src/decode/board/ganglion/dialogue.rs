//! What is said to a BLED112 dongle so that a Ganglion streams: look for it, connect, find its attributes, have
//! it notify, start it; and all of that again when it goes.
//!
//! It does not read samples, and receives the time. Who only listens never continues it, and nothing is sent.

use std::time::Duration;

use super::super::bgapi::{self, Message};
use crate::decode::dialogue::Patience;

/// The service of a Ganglion, the last byte first.
const SERVICE: &[u8] = &[0x84, 0xFE];
/// The descriptor that switches notifications on, the last byte first.
const SWITCH: &[u8] = &[0x02, 0x29];
/// What the UUIDs of its attributes have in common, the last byte first: `2d30c0xx-f39f-4ce6-923f-3484ea480596`.
const FAMILY: [u8; 12] = [0x96, 0x05, 0x48, 0xEA, 0x84, 0x34, 0x3F, 0x92, 0xE6, 0x4C, 0x9F, 0xF3];
/// The byte after it of what the board notifies.
const NOTIFIED: u8 = 0x82;
/// The same of where commands are written.
const COMMANDS: u8 = 0x83;
/// After so long in silence, a step has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Start commands before the connection is given up.
const STARTS: u32 = 3;

/// How far the dialogue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum Phase {
    /// Nothing was said.
    #[default]
    Silent,
    Looking,
    Connecting,
    Services,
    Attributes,
    Enabling,
    Starting,
    Streaming,
}

/// Handles of a connection's attributes; 0 is none.
#[derive(Clone, Copy, Debug, Default)]
struct Handles {
    service: (u16, u16),
    notified: u16,
    switch: u16,
    commands: u16,
}

/// The dialogue with a dongle.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    step: Phase,
    /// Whether what the step says was said.
    said: bool,
    /// For how long nothing came.
    quiet: Patience,
    /// Start commands sent.
    starts: u32,
    /// Where the board is, once it was found.
    board: Option<([u8; 6], u8)>,
    /// The connection that stands.
    connection: Option<u8>,
    handles: Handles,
}

impl Dialogue {
    /// Samples came.
    pub(super) fn streams(&mut self) {
        self.quiet.begin();
        self.starts = 0;
        if self.step == Phase::Starting {
            self.go(Phase::Streaming);
        }
    }

    /// Whether what a board advertises matters. Who only listens does not know which one others look for.
    pub(super) fn looks(&self) -> bool {
        self.step <= Phase::Looking
    }

    /// Hears a message. `wanted` says whether an advertisement is of the board.
    pub(super) fn handle_message(&mut self, message: Message<'_>, wanted: bool) {
        self.quiet.begin();
        match message {
            Message::Connected(connection) => self.connection = Some(connection),
            Message::Disconnected(_) | Message::Booted => self.connection = None,
            _ => {}
        }
        if self.step == Phase::Silent {
            return;
        }
        match (self.step, message) {
            (_, Message::Booted) => self.go(Phase::Looking),
            (Phase::Looking, Message::Found { address, kind, .. }) if wanted => {
                self.board = Some((address, kind));
                self.go(Phase::Connecting);
            }
            (Phase::Connecting, Message::Connected(_)) => {
                self.handles = Handles::default();
                self.go(Phase::Services);
            }
            // It was given up a moment before, and would never advertise.
            (Phase::Looking, Message::Connected(_)) => self.said = false,
            // BrainFlow connects at once to where it was; if it is not there, it is looked for again.
            (Phase::Looking, Message::Disconnected(_)) => {}
            (_, Message::Disconnected(_)) => {
                self.go(if self.board.is_some() { Phase::Connecting } else { Phase::Looking });
            }
            (Phase::Services, Message::Service(first, last, SERVICE)) => self.handles.service = (first, last),
            (Phase::Services, Message::Completed(_)) => {
                self.go(if self.handles.service.0 > 0 { Phase::Attributes } else { Phase::Looking });
            }
            (Phase::Attributes, Message::Attribute(handle, uuid)) => self.attribute(handle, uuid),
            (Phase::Attributes, Message::Completed(_)) => {
                let Handles { notified, switch, commands, .. } = self.handles;
                let all = notified > 0 && switch > 0 && commands > 0;
                self.go(if all { Phase::Enabling } else { Phase::Looking });
            }
            (Phase::Enabling, Message::Completed(0)) => self.go(Phase::Starting),
            (Phase::Starting, Message::Completed(0)) => self.go(Phase::Streaming),
            _ => {}
        }
    }

    fn attribute(&mut self, handle: u16, uuid: &[u8]) {
        let handles = &mut self.handles;
        match uuid {
            // The first switch after what is notified is that of it.
            SWITCH if handles.notified > 0 && handles.switch == 0 => handles.switch = handle,
            [family @ .., kind, 0xC0, 0x30, 0x2D] if *family == FAMILY => match *kind {
                NOTIFIED => handles.notified = handle,
                COMMANDS => handles.commands = handle,
                _ => {}
            },
            _ => {}
        }
    }

    fn go(&mut self, step: Phase) {
        (self.step, self.said) = (step, false);
        self.quiet.begin();
    }

    /// Appends what is to be said now.
    pub(super) fn poll_transmit(&mut self, now: Duration, out: &mut Vec<u8>) {
        if self.step == Phase::Silent {
            self.go(Phase::Looking);
        }
        if self.quiet.by(now) >= PATIENCE {
            self.quiet.begin();
            match self.step {
                Phase::Looking => self.said = false,
                Phase::Starting | Phase::Streaming if self.starts < STARTS => self.go(Phase::Starting),
                _ => self.go(Phase::Looking),
            }
        }
        if std::mem::replace(&mut self.said, true) {
            return;
        }
        let (connection, handles) = (self.connection.unwrap_or_default(), self.handles);
        match self.step {
            Phase::Silent | Phase::Streaming => {}
            Phase::Looking => {
                (self.starts, self.board) = (0, None);
                // A board that is connected does not advertise.
                self.leave(out);
                bgapi::end_procedure(out);
                bgapi::discover(out);
            }
            Phase::Connecting => {
                bgapi::end_procedure(out);
                if let Some((address, kind)) = self.board {
                    bgapi::connect(address, kind, out);
                }
            }
            Phase::Services => bgapi::services(connection, out),
            Phase::Attributes => bgapi::attributes(connection, handles.service, out),
            Phase::Enabling => bgapi::write(connection, handles.switch, &[1, 0], out),
            Phase::Starting => {
                self.starts += 1;
                bgapi::write(connection, handles.commands, b"b", out);
            }
        }
    }

    /// Appends what stops the board, if it was started, and leaves it.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        let started = matches!(self.step, Phase::Starting | Phase::Streaming);
        if let Some(connection) = self.connection.filter(|_| started) {
            bgapi::write(connection, self.handles.commands, b"s", out);
        }
        self.leave(out);
        bgapi::end_procedure(out);
        self.step = Phase::Silent;
    }

    /// Appends what ends the connection, if one stands.
    fn leave(&self, out: &mut Vec<u8>) {
        if let Some(connection) = self.connection {
            bgapi::disconnect(connection, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::dialogue::TICK;

    /// A dialogue that is continued each tick.
    #[derive(Default)]
    struct Talk {
        dialogue: Dialogue,
        now: Duration,
    }

    impl Talk {
        fn asked(&mut self) -> Vec<u8> {
            let mut out = Vec::new();
            self.now += TICK;
            self.dialogue.poll_transmit(self.now, &mut out);
            out
        }

        fn handle_message(&mut self, message: Message<'_>, wanted: bool) {
            self.dialogue.handle_message(message, wanted);
        }
    }

    /// Ticks of silence after which a step has failed.
    const SILENT: u32 = 26;

    fn uuid(kind: u8) -> Vec<u8> {
        [&FAMILY[..], &[kind, 0xC0, 0x30, 0x2D]].concat()
    }

    fn found() -> Message<'static> {
        Message::Found { address: [9; 6], kind: 1, data: &[] }
    }

    /// From the connection to the start.
    fn connect(dialogue: &mut Talk) {
        dialogue.handle_message(Message::Connected(2), false);
        assert_eq!(dialogue.asked(), [0, 8, 4, 1, 2, 1, 0, 0xFF, 0xFF, 2, 0, 0x28]);
        dialogue.handle_message(Message::Service(1, 9, &[0, 0x18]), false);
        dialogue.handle_message(Message::Service(20, 30, SERVICE), false);
        dialogue.handle_message(Message::Completed(0), false);
        assert_eq!(dialogue.asked(), [0, 5, 4, 3, 2, 20, 0, 30, 0]);
        let (notified, commands) = (uuid(0x82), uuid(0x83));
        for (handle, uuid) in [(22, &notified[..]), (23, SWITCH), (25, &commands), (26, SWITCH)] {
            dialogue.handle_message(Message::Attribute(handle, uuid), false);
        }
        dialogue.handle_message(Message::Completed(0), false);
        assert_eq!(dialogue.asked(), [0, 6, 4, 5, 2, 23, 0, 2, 1, 0]);
        assert_eq!(dialogue.asked(), b"");
        dialogue.handle_message(Message::Completed(0), false);
        assert_eq!(dialogue.asked(), [0, 5, 4, 5, 2, 25, 0, 1, b'b']);
    }

    #[test]
    fn a_board_is_found_started_and_left() {
        let mut dialogue = Talk::default();
        assert_eq!(dialogue.asked(), [0, 0, 6, 4, 0, 1, 6, 2, 2]);
        dialogue.handle_message(found(), false);
        assert_eq!(dialogue.asked(), b"", "another board");
        dialogue.handle_message(found(), true);
        let connecting = [0, 0, 6, 4, 0, 15, 6, 3, 9, 9, 9, 9, 9, 9, 1, 10, 0, 76, 0, 100, 0, 0, 0];
        assert_eq!(dialogue.asked(), connecting);
        connect(&mut dialogue);
        dialogue.dialogue.streams();
        assert_eq!(dialogue.asked(), b"");
        // It goes, and comes back.
        dialogue.handle_message(Message::Disconnected(0x208), false);
        assert_eq!(dialogue.asked(), connecting);
        connect(&mut dialogue);
        let mut out = Vec::new();
        dialogue.dialogue.close(&mut out);
        assert_eq!(out, [0, 5, 4, 5, 2, 25, 0, 1, b's', 0, 1, 3, 0, 2, 0, 0, 6, 4]);
    }

    #[test]
    fn silence_is_answered_by_trying_again() {
        let mut dialogue = Talk::default();
        let look = dialogue.asked();
        let later: Vec<u8> = (0..SILENT).flat_map(|_| dialogue.asked()).collect();
        assert_eq!(later, look, "once more");
        dialogue.handle_message(found(), true);
        dialogue.asked();
        connect(&mut dialogue);
        // Three starts in all, then from the beginning.
        let later: Vec<u8> = (0..3 * SILENT + 9).flat_map(|_| dialogue.asked()).collect();
        let starts = later.windows(9).filter(|at| **at == [0, 5, 4, 5, 2, 25, 0, 1, b'b']).count();
        assert_eq!(starts, 2);
        assert!(later.ends_with(&[&[0, 1, 3, 0, 2][..], &look].concat()), "{later:?}");
    }

    #[test]
    fn a_board_without_its_service_is_left_before_it_is_looked_for() {
        let mut dialogue = Talk::default();
        let look = dialogue.asked();
        let leave = [&[0, 1, 3, 0, 2][..], &look].concat();
        dialogue.handle_message(found(), true);
        dialogue.asked();
        dialogue.handle_message(Message::Connected(2), false);
        dialogue.asked();
        dialogue.handle_message(Message::Completed(0x181), false);
        assert_eq!(dialogue.asked(), leave);
        dialogue.handle_message(Message::Disconnected(0x216), false);
        // A connection that stands only after it was given up.
        dialogue.handle_message(Message::Connected(2), false);
        assert_eq!(dialogue.asked(), leave);
        dialogue.handle_message(Message::Disconnected(0x216), false);
        assert_eq!(dialogue.asked(), b"");
    }
}
