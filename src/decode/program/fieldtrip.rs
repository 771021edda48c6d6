//! The FieldTrip buffer, asked as its clients do: first for its header, then for the samples that are new.
//!
//! Wire: `message.h` of the FieldTrip buffer. A question and its answer begin with version 1 (u16), a command (u16) and
//! the bytes that follow (u32), in the byte order of who asks. The header tells how many samples there are in all, so
//! nothing is read twice and what the buffer has thrown away before it was read is counted.
//!
//! | command | what follows |
//! |---|---|
//! | 0x201 header, please | nothing |
//! | 0x202 samples, please | first and last, u32 |
//! | 0x204 here | header: channels, samples, events u32, rate f32, type of values, bytes u32, then pieces of type u32, bytes u32; samples: channels, samples, type, bytes u32, values |
//! | 0x205 no | nothing |
//!
//! Time is learnt from being asked ([`Dialogue::poll_transmit`]) about five times a second.

use std::time::Duration;

use super::message::{Claim, Fields, LONGEST, MessageHandler, Messages, SampleStream, Values};
use crate::decode::dialogue::Patience;
use crate::decode::{Decoder, Dialogue, Sink};
use crate::event::{Body, FaultKind, Lost, ProgramMessage, StreamState};

const VERSION: u16 = 1;
const GET_HEADER: u16 = 0x201;
const GET_SAMPLES: u16 = 0x202;
const OK: u16 = 0x204;
const ERROR: u16 = 0x205;
/// Bytes before what a message says.
const HEAD: usize = 8;
/// The piece of a header that says what one unit is, by channel.
const RESOLUTIONS: u32 = 3;
/// Bytes of samples that are asked for at once.
const ASKED: usize = LONGEST / 4;
/// Seconds of samples that may wait; older ones are skipped and counted.
const BEHIND: f64 = 10.0;
/// From one question of what there is to the next, where nothing new came.
const APART: Duration = Duration::from_millis(100);

/// Asks one buffer and decodes its answers.
#[derive(Debug)]
pub struct FieldTrip {
    messages: Messages,
    heard: Heard,
    /// Whether a byte came since the dialogue was last continued.
    came: bool,
    /// For how long none has come, once something was asked for.
    quiet: Option<Patience>,
}

#[derive(Debug)]
struct Heard {
    brought: SampleStream,
    asked: PendingRequest,
    /// Samples and events of the buffer, of which so many were read.
    held: BufferCounts,
    read: u32,
}

/// What was asked for and is not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PendingRequest {
    Nothing,
    Header,
    /// From one sample to another, the last not included.
    Samples(u32, u32),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct BufferCounts {
    samples: u32,
    events: u32,
}

impl FieldTrip {
    /// A client whose stream has the name of its source. `again` says that there was a connection before.
    #[must_use]
    pub fn new(source: &str, again: bool) -> Self {
        let heard = Heard {
            brought: SampleStream::new(source, again),
            asked: PendingRequest::Nothing,
            held: BufferCounts::default(),
            read: 0,
        };
        Self { messages: Messages::default(), heard, came: false, quiet: None }
    }
}

/// How values of a type are written.
fn values(kind: u32) -> Result<Values, FaultKind> {
    Ok(match kind {
        // Characters are samples too, if configured.
        0 | 1 => Values::U8,
        2 => Values::U16,
        3 => Values::U32,
        4 => Values::U64,
        5 => Values::I8,
        6 => Values::I16,
        7 => Values::I32,
        8 => Values::I64,
        9 => Values::F32,
        10 => Values::F64,
        _ => return Err(FaultKind::BadValue),
    })
}

impl MessageHandler for Heard {
    const HEAD: usize = HEAD;

    fn length(&self, head: &[u8]) -> Result<usize, FaultKind> {
        let mut fields = Fields(head);
        let (version, command) = (fields.u16()?, fields.u16()?);
        if version != VERSION || !matches!(command, OK | ERROR) {
            return Err(FaultKind::Syntax);
        }
        Ok(usize::try_from(fields.u32()?).unwrap_or(usize::MAX).saturating_add(HEAD))
    }

    fn handle_message(&mut self, message: &[u8], out: &mut Sink<'_>) -> Result<(), FaultKind> {
        let mut fields = Fields(message);
        let _version = fields.u16()?;
        let good = fields.u16()? == OK;
        let body = message.get(HEAD..).unwrap_or_default();
        match (std::mem::replace(&mut self.asked, PendingRequest::Nothing), good) {
            // What was not asked for is no answer.
            (PendingRequest::Nothing, _) => return Err(FaultKind::UnknownType),
            (PendingRequest::Header, true) => self.header(body, out)?,
            // There is no header yet.
            (PendingRequest::Header, false) => self.brought.forget(),
            (PendingRequest::Samples(from, to), true) => return self.samples(from, to, body, out),
            // The buffer has thrown them away.
            (PendingRequest::Samples(..), false) => self.skip(self.held.samples, out),
        }
        out(Body::ProgramMessage(ProgramMessage { bytes: message.len() as u64 }));
        Ok(())
    }
}

impl Heard {
    fn header(&mut self, body: &[u8], out: &mut Sink<'_>) -> Result<(), FaultKind> {
        let mut fields = Fields(body);
        let channels = Claim::channels(fields.u32()?)?;
        let held = BufferCounts { samples: fields.u32()?, events: fields.u32()? };
        let rate = Claim::rate(fields.f32()?.into())?;
        let format = values(fields.u32()?)?;
        let _bytes = fields.u32()?;
        let claim = Claim { protocol: "fieldtrip", format, channels, rate };
        let (known, before) = (self.brought.claim(), self.held);
        self.held = held;
        let mut state = StreamState::default();
        if known != Some(claim) || held.samples < self.read {
            self.brought.begin(claim, resolutions(&mut fields, channels)?, out);
            // What is in it already was sent before this connection.
            self.read = held.samples;
        } else {
            state.markers = held.events.saturating_sub(before.events).into();
            let most = (rate * BEHIND) as u32;
            if held.samples - self.read > most.max(1) {
                self.skip(held.samples - most, out);
            }
        }
        if state != StreamState::default() {
            self.brought.report(state, out);
        }
        Ok(())
    }

    fn samples(&mut self, from: u32, to: u32, body: &[u8], out: &mut Sink<'_>) -> Result<(), FaultKind> {
        let mut fields = Fields(body);
        let (channels, samples) = (fields.u32()?, fields.u32()?);
        let format = values(fields.u32()?)?;
        let size = fields.u32()? as usize;
        let same = self.brought.claim().is_some_and(|claim| u32::from(claim.channels) == channels);
        if !same || samples != to - from {
            return Err(FaultKind::BadValue);
        }
        let payload = fields.bytes(size)?;
        self.brought.samples(payload, format, samples, (HEAD + body.len()) as u64, out)?;
        self.read = to;
        Ok(())
    }

    /// Goes on with a later sample.
    fn skip(&mut self, to: u32, out: &mut Sink<'_>) {
        let packets = to.saturating_sub(self.read);
        self.read = to;
        if packets > 0 {
            out(Body::Lost(Lost { packets }));
            let missing = packets.into();
            self.brought.report(StreamState { gaps: 1, missing, ..StreamState::default() }, out);
        }
    }

    /// The samples that are to be asked for.
    fn wanted(&self) -> Option<(u32, u32)> {
        let claim = self.brought.claim()?;
        let width = usize::from(claim.channels) * claim.format.size();
        let most = u32::try_from((ASKED / width).max(1)).unwrap_or(u32::MAX);
        let to = self.held.samples.min(self.read.saturating_add(most));
        (to > self.read).then_some((self.read, to))
    }
}

/// Microvolts of one unit, as volts; nothing if the header does not say so for each channel.
fn resolutions(fields: &mut Fields<'_>, channels: u16) -> Result<Vec<f32>, FaultKind> {
    while !fields.0.is_empty() {
        let (kind, size) = (fields.u32()?, fields.u32()?);
        let mut piece = Fields(fields.bytes(size as usize)?);
        if kind == RESOLUTIONS && size == 8 * u32::from(channels) {
            return (0..channels).map(|_| piece.f64().map(|unit| (unit * 1e-6) as f32)).collect();
        }
    }
    Ok(Vec::new())
}

fn question(command: u16, with: &[u32], out: &mut Vec<u8>) {
    out.extend(VERSION.to_le_bytes());
    out.extend(command.to_le_bytes());
    out.extend((4 * with.len() as u32).to_le_bytes());
    with.iter().for_each(|word| out.extend(word.to_le_bytes()));
}

impl Decoder for FieldTrip {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        self.came |= !bytes.is_empty();
        self.messages.read(bytes, &mut self.heard, out);
    }

    fn dialogue(&mut self) -> Option<&mut dyn Dialogue> {
        Some(self)
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        self.messages.end(out);
        self.heard.brought.forget();
        (self.heard.asked, self.came, self.quiet) = (PendingRequest::Nothing, false, None);
    }

    fn is_broken(&self) -> bool {
        self.messages.is_broken()
    }

    fn needs_more(&self) -> bool {
        self.heard.asked != PendingRequest::Nothing || self.messages.needs_more()
    }
}

impl Dialogue for FieldTrip {
    fn poll_transmit(&mut self, now: Duration, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.came) {
            self.quiet = Some(Patience::default());
        }
        let due = self.quiet.as_mut().is_none_or(|quiet| quiet.by(now) >= APART);
        if self.heard.asked != PendingRequest::Nothing || self.is_broken() {
            return;
        }
        if let Some((from, to)) = self.heard.wanted() {
            self.heard.asked = PendingRequest::Samples(from, to);
            question(GET_SAMPLES, &[from, to - 1], out);
        } else if due {
            self.heard.asked = PendingRequest::Header;
            question(GET_HEADER, &[], out);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::dialogue::TICK;
    use crate::decode::testing::{Decoded, cut_anywhere};

    /// What the reference server answered: four channels at 100 Hz, 130 samples, two events; samples 100 to 119,
    /// channel k being the number of the sample + 100 k; and to a question for samples that it does not have.
    const HEADERS: [&[u8]; 2] = [
        include_bytes!("../../../tests/fixtures/fieldtrip/header-float32.bin"),
        include_bytes!("../../../tests/fixtures/fieldtrip/header-int16.bin"),
    ];
    const SAMPLES: [&[u8]; 2] = [
        include_bytes!("../../../tests/fixtures/fieldtrip/samples-float32.bin"),
        include_bytes!("../../../tests/fixtures/fieldtrip/samples-int16.bin"),
    ];
    const NONE: &[u8] = include_bytes!("../../../tests/fixtures/fieldtrip/none.bin");
    const HEADER_PLEASE: [u8; 8] = [1, 0, 1, 2, 0, 0, 0, 0];

    /// A recorded header, with other numbers of samples and events.
    fn header(which: usize, samples: u32, events: u32) -> Vec<u8> {
        let mut header = HEADERS[which].to_vec();
        header[12..16].copy_from_slice(&samples.to_le_bytes());
        header[16..20].copy_from_slice(&events.to_le_bytes());
        header
    }

    fn samples_please(from: u32, to: u32) -> Vec<u8> {
        [&[1, 0, 2, 2, 8, 0, 0, 0][..], &from.to_le_bytes(), &to.to_le_bytes()].concat()
    }

    /// A conversation: what is asked, and what is answered to it. Asked again when nothing comes of itself.
    struct Conversation {
        client: FieldTrip,
        decoded: Decoded,
        now: Duration,
    }

    impl Conversation {
        fn new() -> Self {
            Self { client: FieldTrip::new("buffer", false), decoded: Decoded::default(), now: Duration::ZERO }
        }

        fn ask(&mut self) -> Vec<u8> {
            let mut question = Vec::new();
            self.now += TICK;
            self.client.poll_transmit(self.now, &mut question);
            question
        }

        fn answer(&mut self, bytes: &[u8]) {
            self.client.decode(bytes, &mut |body| self.decoded.take(body));
        }
    }

    #[test]
    fn only_what_is_new_is_read() {
        for which in [0, 1] {
            let mut handler = Conversation::new();
            assert_eq!(handler.ask(), HEADER_PLEASE);
            assert!(handler.ask().is_empty(), "one question at a time");
            handler.answer(&header(which, 100, 7));
            let device = handler.decoded.devices[0];
            assert_eq!((device.channels, device.rate, device.volts), (4, 100.0, true));
            assert!(handler.ask().is_empty(), "what was there before is not read");
            assert_eq!(handler.ask(), HEADER_PLEASE);
            handler.answer(&header(which, 120, 9));
            assert_eq!(handler.ask(), samples_please(100, 119));
            handler.answer(SAMPLES[which]);
            assert_eq!(
                (handler.decoded.frames, handler.decoded.state.markers, handler.decoded.lost_packets()),
                (20, 2, 0)
            );
            let wanted = [100.0 * 0.1e-6, 200.0 * 0.1e-6, 300.0 * 0.5e-6, 400e-6];
            for (value, wanted) in handler.decoded.values.iter().zip(wanted) {
                assert!((f64::from(*value) - wanted).abs() < 1e-9, "{value} {wanted}");
            }
            assert!(handler.ask().is_empty());
            assert_eq!(handler.ask(), HEADER_PLEASE);
            assert!(handler.decoded.faults.is_empty());
        }
    }

    #[test]
    fn an_empty_buffer_is_asked_again() {
        let mut handler = Conversation::new();
        handler.ask();
        handler.answer(NONE);
        assert!(handler.ask().is_empty());
        assert_eq!(handler.ask(), HEADER_PLEASE);
        assert!(handler.decoded.devices.is_empty() && handler.decoded.faults.is_empty());
        assert_eq!(handler.decoded.understood, NONE.len() as u64);
    }

    #[test]
    fn samples_that_were_thrown_away_are_counted() {
        let mut handler = Conversation::new();
        handler.ask();
        handler.answer(&header(0, 100, 0));
        handler.ask();
        handler.ask();
        handler.answer(&header(0, 120, 0));
        handler.ask();
        handler.answer(NONE);
        assert_eq!(
            (handler.decoded.lost_packets(), handler.decoded.state.missing, handler.decoded.frames),
            (20, 20, 0)
        );
        // More than ten seconds behind.
        handler.ask();
        handler.ask();
        handler.answer(&header(0, 5000, 0));
        assert_eq!(handler.decoded.lost_packets(), 20 + 3880);
        assert_eq!(handler.ask(), samples_please(4000, 4999));
    }

    #[test]
    fn a_buffer_that_is_emptied_begins_anew() {
        let mut handler = Conversation::new();
        for samples in [100, 30] {
            while handler.ask() != HEADER_PLEASE {}
            handler.answer(&header(0, samples, 0));
        }
        assert_eq!((handler.decoded.state.reconnects, handler.decoded.lost_packets()), (1, 0));
    }

    #[test]
    fn liars_are_left() {
        let mut wrong = header(0, 120, 0);
        wrong[8..12].copy_from_slice(&0_u32.to_le_bytes());
        let mut long = header(0, 120, 0);
        long[4..8].copy_from_slice(&(100_u32 << 20).to_le_bytes());
        for (answer, kind) in [(wrong, FaultKind::BadValue), (long, FaultKind::TooLong)] {
            let mut handler = Conversation::new();
            handler.ask();
            handler.answer(&answer);
            assert!(handler.client.is_broken());
            assert!(handler.ask().is_empty());
            let Conversation { mut client, mut decoded, .. } = handler;
            client.end(&mut |body| decoded.take(body));
            assert_eq!((decoded.faults[0].kind, decoded.faulty()), (kind, answer.len() as u64));
        }
        // Fewer samples than were asked for.
        let mut handler = Conversation::new();
        handler.ask();
        handler.answer(&header(0, 100, 0));
        handler.ask();
        handler.ask();
        handler.answer(&header(0, 121, 0));
        handler.ask();
        handler.answer(SAMPLES[0]);
        assert!(handler.client.is_broken());
        // Nobody asked.
        let mut handler = Conversation::new();
        handler.answer(HEADERS[0]);
        assert!(handler.client.is_broken());
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter_and_nothing_panics(
            damage in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
            places in prop::collection::vec(any::<usize>(), 0..8),
        ) {
            let mut answers = [header(0, 100, 0), header(0, 120, 1), SAMPLES[0].to_vec()];
            for (at, byte) in damage {
                let answer = &mut answers[at % 3];
                let at = at / 3 % answer.len();
                answer[at] = byte;
            }
            let played = |cut: bool| {
                let mut handler = Conversation::new();
                for answer in &answers {
                    handler.ask();
                    handler.ask();
                    let pieces = if cut { cut_anywhere(answer, &places) } else { vec![&answer[..]] };
                    pieces.into_iter().for_each(|piece| handler.answer(piece));
                }
                let Conversation { mut client, mut decoded, .. } = handler;
                client.end(&mut |body| decoded.take(body));
                decoded
            };
            let whole = played(false);
            let sent: usize = answers.iter().map(Vec::len).sum();
            prop_assert_eq!(whole.understood + whole.faulty(), sent as u64);
            prop_assert!(whole.values.iter().all(|value| value.is_finite()));
            prop_assert_eq!(played(true), whole);
        }
    }
}
