//! Samples that are reported together.

use super::Sink;
use crate::event::{Body, Samples};

/// Samples of some frames, until they are reported.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) values: Vec<f32>,
    pub(super) channels: u16,
    pub(super) frames: u32,
    pub(super) bytes: u64,
}

impl Batch {
    /// Tells them, if there are any.
    pub(super) fn emit(&mut self, out: &mut Sink<'_>) {
        if self.frames > 0 {
            let (frames, bytes) = (std::mem::take(&mut self.frames), std::mem::take(&mut self.bytes));
            out(Body::Samples(Samples { values: &self.values, channels: self.channels, frames, bytes }));
            self.values.clear();
        }
    }
}
