//! What the tests of decoders share: a stream that is cut into pieces, and what came of it.

use super::Decoder;
use crate::event::{Body, Device, Fault};

/// `bytes`, cut at these places.
pub(crate) fn cut_anywhere<'b>(bytes: &'b [u8], places: &[usize]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Decodes the pieces of a stream that then ends: a line of text for each event of which `line` makes one.
pub(crate) fn lines(
    decoder: &mut dyn Decoder,
    pieces: &[&[u8]],
    line: impl Fn(Body<'_>) -> Option<String>,
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut out = |body: Body<'_>| lines.extend(line(body));
    pieces.iter().for_each(|piece| decoder.decode(piece, &mut out));
    decoder.end(&mut out);
    lines
}

/// The sum of what a decoder of a signal emitted.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) devices: Vec<Device>,
    pub(crate) format: &'static str,
    pub(crate) values: Vec<f32>,
    pub(crate) frames: u64,
    pub(crate) samples: usize,
    /// Bytes of samples and messages.
    pub(crate) understood: u64,
    pub(crate) lost: Vec<u32>,
    pub(crate) repeated: u32,
    pub(crate) overtaken: u32,
    pub(crate) state: StreamCounters,
    pub(crate) faults: Vec<Fault>,
}

/// The counters of a stream's state.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct StreamCounters {
    pub(crate) reconnects: u64,
    pub(crate) markers: u64,
    pub(crate) gaps: u64,
    pub(crate) missing: u64,
    pub(crate) backward: u64,
    pub(crate) not_finite: u64,
}

impl Decoded {
    /// Of pieces of a stream that then ends.
    pub(crate) fn of(decoder: &mut dyn Decoder, pieces: &[&[u8]]) -> Self {
        let mut decoded = Self::default();
        pieces.iter().for_each(|piece| decoder.decode(piece, &mut |body| decoded.take(body)));
        decoder.end(&mut |body| decoded.take(body));
        decoded
    }

    /// Of bytes of a stream that continues.
    pub(crate) fn so_far(decoder: &mut dyn Decoder, bytes: &[u8]) -> Self {
        let mut decoded = Self::default();
        decoder.decode(bytes, &mut |body| decoded.take(body));
        decoded
    }

    pub(crate) fn faulty(&self) -> u64 {
        self.faults.iter().map(|fault| fault.bytes).sum()
    }

    pub(crate) fn lost_packets(&self) -> u64 {
        self.lost.iter().map(|packets| u64::from(*packets)).sum()
    }

    /// The channels of each device that was announced.
    pub(crate) fn channels(&self) -> Vec<u16> {
        self.devices.iter().map(|device| device.channels).collect()
    }

    pub(crate) fn take(&mut self, body: Body<'_>) {
        match body {
            Body::Device(device) => self.devices.push(device),
            Body::Stream(stream) => self.format = stream.format,
            Body::Samples(samples) => {
                self.frames += u64::from(samples.frames);
                self.samples += samples.count();
                self.understood += samples.bytes;
                self.values.extend_from_slice(samples.values);
            }
            Body::ProgramMessage(aside) => self.understood += aside.bytes,
            Body::Lost(lost) => self.lost.push(lost.packets),
            Body::Repeated(repeated) => self.repeated += repeated.packets,
            Body::Overtaken(overtaken) => self.overtaken += overtaken.packets,
            Body::StreamState(state) => {
                self.state.reconnects += state.reconnects;
                self.state.markers += state.markers;
                self.state.gaps += state.gaps;
                self.state.missing += state.missing;
                self.state.backward += state.backward;
                self.state.not_finite += state.not_finite;
            }
            Body::Fault(fault) => self.faults.push(fault),
            other => panic!("{other:?}"),
        }
    }
}
