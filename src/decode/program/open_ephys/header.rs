//! The second part of a message of the ZMQ Interface: JSON that says what the third holds.

use std::borrow::Cow;

use serde::Deserialize;

use crate::event::FaultKind;

/// Samples of one channel in one message, at most.
pub(super) const SAMPLES: u32 = 1 << 16;
/// Channels of a stream, at most.
pub(super) const CHANNELS: u32 = 4096;

/// Bytes of the name of a stream, at most.
const NAME: usize = 256;

/// What every message says.
#[derive(Debug, Deserialize)]
pub(super) struct Header<'a> {
    /// Goes up by one with each message of the plugin, whatever it is.
    pub(super) message_num: i64,
    /// When it was sent: milliseconds since the epoch, by the sender's clock.
    #[serde(default)]
    pub(super) timestamp: Option<f64>,
    /// Of a message with samples.
    #[serde(borrow, default)]
    pub(super) content: Option<Content<'a>>,
}

/// What a message with samples says of them; of one with an event, fewer.
#[derive(Debug, Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow, default)]
    pub(super) stream: Cow<'a, str>,
    #[serde(default)]
    pub(super) channel_num: Option<u32>,
    #[serde(borrow, default)]
    pub(super) channel_name: Cow<'a, str>,
    #[serde(default)]
    pub(super) num_samples: u32,
    /// The number of the first sample.
    #[serde(default)]
    pub(super) sample_num: i64,
    #[serde(default)]
    pub(super) sample_rate: f64,
}

impl<'a> Header<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, FaultKind> {
        let text = std::str::from_utf8(bytes).map_err(|_| FaultKind::Encoding)?;
        serde_json::from_str(text)
            .map_err(|why| if why.is_data() { FaultKind::MissingField } else { FaultKind::Syntax })
    }

    /// What it says of samples, if that is possible and as many as there are.
    pub(super) fn samples(&self, bytes: usize) -> Result<(&Content<'a>, u32), FaultKind> {
        let content = self.content.as_ref().ok_or(FaultKind::MissingField)?;
        let channel = content.channel_num.ok_or(FaultKind::MissingField)?;
        let Content { num_samples, sample_rate, .. } = *content;
        let sane = channel < CHANNELS && (1..=SAMPLES).contains(&num_samples);
        let rated = (1.0..=1e6).contains(&sample_rate) && content.stream.len() <= NAME;
        if !sane || !rated || num_samples as usize * 4 != bytes {
            return Err(FaultKind::BadValue);
        }
        Ok((content, channel))
    }
}
