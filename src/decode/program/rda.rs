//! BrainVision Recorder's Remote Data Access, receive side: port 51244 sends 32-bit floats, 51234 16-bit integers.
//!
//! Wire: `RDA.h` of Brain Products, as FieldTrip's `rdadefs.h` has it. All numbers little end first. A message begins
//! with 16 bytes that are always the same, its length and its type. *Start* says what is streamed, channel by channel
//! the microvolts of one unit; *data* carry the number of their block, so that blocks which are missing are counted to
//! the unit; *stop* ends the stream.
//!
//! | message | after the head of 24 bytes |
//! |---|---|
//! | 1 start | channels u32, microseconds between samples f64, resolutions f64 each, names ending in NUL |
//! | 2 data, int16; 4 data, float32 | block u32, points u32, markers u32, samples, markers |
//! | 3 stop | nothing |
//! | a marker | its length u32, position u32, points u32, channel i32, type and description ending in NUL |
//!
//! Messages of other types are passed over.

use super::message::{Claim, Fields, MessageHandler, Messages, SampleStream, Values};
use crate::decode::{Decoder, Sink};
use crate::event::{Body, FaultKind, Lost, ProgramMessage, StreamState};

/// What every message begins with.
const MARK: [u8; 16] =
    [0x8E, 0x45, 0x58, 0x43, 0x96, 0xC9, 0x86, 0x4C, 0xAF, 0x4A, 0x98, 0xBB, 0xF6, 0xC9, 0x14, 0x50];
/// Bytes before what a message says.
const HEAD: usize = 24;
/// Bytes of the shortest marker.
const MARKER: u32 = 16;

/// Decodes what the Recorder sends on one connection.
#[derive(Debug)]
pub struct Rda {
    messages: Messages,
    heard: Heard,
}

#[derive(Debug)]
struct Heard {
    brought: SampleStream,
    /// The number of the last block.
    block: Option<u32>,
}

impl Rda {
    /// A decoder whose stream has the name of its source. `again` says that there was a connection before.
    #[must_use]
    pub fn new(source: &str, again: bool) -> Self {
        Self {
            messages: Messages::default(),
            heard: Heard { brought: SampleStream::new(source, again), block: None },
        }
    }
}

impl MessageHandler for Heard {
    const HEAD: usize = HEAD;

    fn length(&self, head: &[u8]) -> Result<usize, FaultKind> {
        let mut fields = Fields(head);
        if fields.bytes(MARK.len())? != MARK {
            return Err(FaultKind::Syntax);
        }
        let length = usize::try_from(fields.u32()?).unwrap_or(usize::MAX);
        if length < HEAD { Err(FaultKind::BadValue) } else { Ok(length) }
    }

    fn handle_message(&mut self, message: &[u8], out: &mut Sink<'_>) -> Result<(), FaultKind> {
        let mut fields = Fields(message.get(MARK.len() + 4..).unwrap_or_default());
        let whole = message.len() as u64;
        match fields.u32()? {
            1 => self.start(&mut fields, out)?,
            2 => return self.data(&mut fields, Values::I16, whole, out),
            4 => return self.data(&mut fields, Values::F32, whole, out),
            3 => {
                self.brought.forget();
                self.block = None;
            }
            _ => {}
        }
        out(Body::ProgramMessage(ProgramMessage { bytes: whole }));
        Ok(())
    }
}

impl Heard {
    fn start(&mut self, fields: &mut Fields<'_>, out: &mut Sink<'_>) -> Result<(), FaultKind> {
        let channels = Claim::channels(fields.u32()?)?;
        let rate = Claim::rate(1e6 / fields.f64()?)?;
        let resolution = |_| fields.f64().map(|microvolts| (microvolts * 1e-6) as f32);
        let scale = (0..channels).map(resolution).collect::<Result<Vec<f32>, _>>()?;
        // Which of the two it is the first data say.
        let format = Values::F32;
        self.block = None;
        self.brought.begin(Claim { protocol: "rda", format, channels, rate }, scale, out);
        Ok(())
    }

    fn data(
        &mut self,
        fields: &mut Fields<'_>,
        format: Values,
        whole: u64,
        out: &mut Sink<'_>,
    ) -> Result<(), FaultKind> {
        let (block, points, markers) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let Some(claim) = self.brought.claim() else { return Err(FaultKind::BadValue) };
        let width = usize::from(claim.channels) * format.size();
        let payload = fields.bytes((points as usize).checked_mul(width).ok_or(FaultKind::TooLong)?)?;
        for _ in 0..markers {
            let length = fields.u32()?;
            let rest = length.checked_sub(MARKER).ok_or(FaultKind::BadValue)?;
            fields.bytes(MARKER as usize - 4)?;
            fields.bytes(rest as usize)?;
        }
        let mut state = StreamState { markers: markers.into(), ..StreamState::default() };
        let step = self.block.map_or(1, |before| block.wrapping_sub(before));
        if step > u32::MAX / 2 || step == 0 {
            state.backward = points.into();
        } else if step > 1 {
            // All blocks but the last are of one length.
            let packets = (step - 1).saturating_mul(points);
            (state.gaps, state.missing) = (1, packets.into());
            out(Body::Lost(Lost { packets }));
        }
        self.block = Some(block);
        self.brought.samples(payload, format, points, whole, out)?;
        if state != StreamState::default() {
            self.brought.report(state, out);
        }
        Ok(())
    }
}

impl Decoder for Rda {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        self.messages.read(bytes, &mut self.heard, out);
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        self.messages.end(out);
        self.heard.brought.forget();
        self.heard.block = None;
    }

    fn is_broken(&self) -> bool {
        self.messages.is_broken()
    }

    fn needs_more(&self) -> bool {
        self.messages.needs_more()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::testing::{Decoded, cut_anywhere};

    /// What the RDA server of FieldTrip's buffer sent: four channels at 100 Hz, twelve blocks of ten points, channel k
    /// being the number of the sample + 100 k, two markers.
    const SENT: [&[u8]; 2] = [
        include_bytes!("../../../tests/fixtures/rda/float32.bin"),
        include_bytes!("../../../tests/fixtures/rda/int16.bin"),
    ];
    /// Bytes of the start message.
    const START: usize = 83;

    fn decoded(pieces: &[&[u8]]) -> Decoded {
        Decoded::of(&mut Rda::new("rda", false), pieces)
    }

    /// Where the messages of a stream are.
    fn messages(stream: &[u8]) -> Vec<&[u8]> {
        let mut rest = stream;
        std::iter::from_fn(|| {
            let length = u32::from_le_bytes(*rest.get(16..)?.first_chunk()?);
            let (message, later) = rest.split_at_checked(length as usize)?;
            rest = later;
            Some(message)
        })
        .collect()
    }

    #[test]
    fn what_a_server_of_others_sends_is_understood_to_the_last_byte() {
        for (sent, format) in SENT.into_iter().zip(["float32", "int16"]) {
            let decoded = decoded(&[sent]);
            assert_eq!((decoded.understood, &*decoded.faults), (sent.len() as u64, &[][..]));
            assert_eq!((decoded.frames, decoded.values.len()), (120, 480));
            assert_eq!((decoded.state.markers, decoded.state.missing, decoded.lost_packets()), (2, 0, 0));
            let device = decoded.devices[0];
            assert_eq!((device.channels, device.rate, device.volts), (4, 100.0, true));
            assert_eq!(decoded.format, format);
            // The resolutions are 0.1, 0.1, 0.5 and 1 microvolt.
            for (value, wanted) in
                decoded.values[..4].iter().zip([10.0 * 0.1e-6, 110.0 * 0.1e-6, 210.0 * 0.5e-6, 310e-6])
            {
                assert!((f64::from(*value) - wanted).abs() < 1e-9, "{value} {wanted}");
            }
        }
    }

    #[test]
    fn blocks_that_are_missing_are_counted_by_their_numbers() {
        let all = messages(SENT[0]);
        let without: Vec<&[u8]> = all
            .iter()
            .enumerate()
            .filter(|(k, _)| !(4..7).contains(k))
            .map(|(_, message)| *message)
            .collect();
        let decoded = decoded(&[&without.concat()]);
        assert_eq!(
            (decoded.lost_packets(), decoded.frames, decoded.state.missing, decoded.state.gaps),
            (30, 90, 30, 1)
        );
        assert!(decoded.faults.is_empty());
        // The same block again is nothing that is missing.
        let twice = self::decoded(&[&[&all[..3].concat(), all[2]].concat()]);
        assert_eq!((twice.lost_packets(), twice.state.backward), (0, 10));
    }

    #[test]
    fn a_stop_and_a_start_begin_anew() {
        let mut stop = SENT[0][..24].to_vec();
        stop[16..24].copy_from_slice(&[24, 0, 0, 0, 3, 0, 0, 0]);
        let decoded = decoded(&[SENT[0], &stop, SENT[1]]);
        assert_eq!((decoded.frames, decoded.lost_packets(), decoded.state.reconnects), (240, 0, 1));
        // Data of a stream that was stopped are of none.
        let after = self::decoded(&[SENT[0], &stop, &SENT[0][START..]]);
        assert_eq!((after.frames, after.faults.len(), after.faults[0].kind), (120, 1, FaultKind::BadValue));
    }

    #[test]
    fn liars_are_left() {
        let with = |at: usize, value: u32| {
            let mut sent = SENT[0].to_vec();
            sent[at..at + 4].copy_from_slice(&value.to_le_bytes());
            sent
        };
        // A message of 100 MB, one shorter than its head, no channel, too many, more points than there are.
        for (sent, kind) in [
            (with(16, 100 << 20), FaultKind::TooLong),
            (with(16, 3), FaultKind::BadValue),
            (with(24, 0), FaultKind::BadValue),
            (with(24, 1 << 31), FaultKind::BadValue),
            (with(START + 28, 11), FaultKind::MissingField),
            (with(START + 28, u32::MAX), FaultKind::MissingField),
            (with(START + 32, u32::MAX), FaultKind::MissingField),
            (with(0, 7), FaultKind::Syntax),
        ] {
            let mut decoder = Rda::new("rda", false);
            decoder.decode(&sent, &mut |_| {});
            assert!(decoder.is_broken(), "{kind:?}");
            let decoded = decoded(&[&sent]);
            assert_eq!(decoded.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), [kind]);
            assert_eq!(decoded.understood + decoded.faults[0].bytes, sent.len() as u64);
        }
        // Fewer points are bytes that are no marker's.
        assert_eq!(decoded(&[&with(START + 28, 9)]).frames, 119);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter_and_nothing_panics(
            which in 0..2_usize,
            damage in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
            places in prop::collection::vec(any::<usize>(), 0..8),
        ) {
            let mut sent = SENT[which].to_vec();
            for (at, byte) in damage {
                let at = at % sent.len();
                sent[at] = byte;
            }
            let whole = decoded(&[&sent]);
            prop_assert_eq!(whole.understood + whole.faulty(), sent.len() as u64);
            prop_assert!(whole.values.iter().all(|value| value.is_finite()));
            prop_assert_eq!(decoded(&cut_anywhere(&sent, &places)), whole);
        }
    }
}
