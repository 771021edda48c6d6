//! What a decoder says of a stream, cut and whole.

use neural_exporter::decode::{Decoder, Protocol};
use neural_exporter::event::{Body, Fault};

/// What was said: everything as text, samples that follow each other as one piece; how many frames there were, how
/// many bytes were understood as frames or answers, and how many were refused.
#[derive(Debug, Default, PartialEq)]
pub struct Decoded {
    pub all: Vec<String>,
    pub frames: u64,
    pub understood: u64,
    pub refused: u64,
    open: (u64, u64, Vec<f32>),
}

impl Decoded {
    fn take(&mut self, body: Body<'_>) {
        if let Body::Samples(samples) = body {
            assert!(samples.values.iter().all(|value| value.is_finite()), "a sample is no number");
            assert_eq!(samples.values.len() % usize::from(samples.channels), 0, "a sample is not whole");
            self.frames += u64::from(samples.frames);
            self.understood += samples.bytes;
            self.open.0 += u64::from(samples.frames);
            self.open.1 += samples.bytes;
            self.open.2.extend_from_slice(samples.values);
            return;
        }
        self.close();
        match body {
            Body::Fault(Fault { bytes, .. }) => self.refused += bytes,
            Body::Answer(answer) => self.understood += answer.bytes,
            Body::ProgramMessage(aside) => self.understood += aside.bytes,
            _ => {}
        }
        self.all.push(format!("{body:?}"));
    }

    fn close(&mut self) {
        if self.open.0 > 0 {
            self.all.push(format!("{:?}", std::mem::take(&mut self.open)));
        }
    }
}

/// Decodes `bytes` at once and cut at `place`, and fails if that makes a difference.
#[allow(dead_code, reason = "not every target is of lines")]
pub fn cut(protocol: Protocol, bytes: &[u8], place: usize) {
    let whole = decoded(&mut *protocol.decoder(), &[bytes]);
    let (head, tail) = bytes.split_at(place.min(bytes.len()));
    assert_eq!(whole, decoded(&mut *protocol.decoder(), &[head, tail]));
    assert!(whole.refused <= bytes.len() as u64, "more bytes were refused than came");
}

/// The four laws of boards: no panic, no difference by two cuts, every byte accounted for, and a stream that is
/// understood again after noise, and as new after the end. Noise can be the beginning of a message that takes
/// `lost` clean frames along, at most.
#[allow(dead_code, reason = "not every target is of boards")]
pub fn laws(new: &dyn Fn() -> Box<dyn Decoder>, bytes: &[u8], cuts: [usize; 2], clean: &[u8], lost: u64) {
    let whole = decoded(&mut *new(), &[bytes]);
    let first = cuts[0].min(bytes.len());
    let second = cuts[1].clamp(first, bytes.len());
    let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
    let mut decoder = new();
    assert_eq!(whole, decoded(&mut *decoder, &pieces));
    assert_eq!(whole.understood + whole.refused, bytes.len() as u64, "a byte is not accounted for");
    let undisturbed = decoded(&mut *new(), &[clean]);
    assert_eq!(undisturbed, decoded(&mut *decoder, &[clean]), "the next connection is not as new");
    let after = decoded(&mut *new(), &[bytes, clean]);
    assert!(after.frames + lost >= whole.frames + undisturbed.frames, "noise cost too many frames");
}

/// What a decoder says of these pieces of a stream that then ends.
pub fn decoded(decoder: &mut dyn Decoder, pieces: &[&[u8]]) -> Decoded {
    let mut decoded = Decoded::default();
    for piece in pieces {
        decoder.decode(piece, &mut |body| decoded.take(body));
        let mut asked = Vec::new();
        if let Some(dialogue) = decoder.dialogue() {
            dialogue.poll_transmit(std::time::Duration::ZERO, &mut asked);
        }
    }
    decoder.end(&mut |body| decoded.take(body));
    decoded.close();
    decoded
}
