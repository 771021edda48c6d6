//! What a simulated board sent, and what it did not: the account that a reader's figures are held against.
//!
//! It counts and writes; it decides nothing.

use serde::Serialize;

/// What was done to one channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Channel {
    /// Its number, from 1.
    pub channel: usize,
    /// Samples at the highest count, because it was railed.
    pub railed: u64,
    /// Samples that did not move, because it was flat.
    pub flat: u64,
    /// Samples without an electrode.
    pub unplugged: u64,
    /// What is between skin and electrode, where the board can measure it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kiloohms: Option<f64>,
}

/// The account of one simulation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ledger {
    /// The device.
    pub device: String,
    /// What decided everything that looks random.
    pub seed: u64,
    /// Seconds of stream, what is missing included.
    pub seconds: f64,
    /// Packets that were sent whole, duplicates not counted.
    pub frames: u64,
    /// Packets that are missing between two that came.
    pub lost: u64,
    /// Times that packets are missing, however many.
    pub gaps: u64,
    /// Packets that are missing before the first or after the last one, where no counter shows it.
    pub unseen: u64,
    /// Times that bytes were sent that are no frame, and how many bytes.
    pub garbage: u64,
    /// Bytes that are no frame.
    pub garbage_bytes: u64,
    /// Frames of which half was sent; they are among those that are lost.
    pub truncated: u64,
    /// Bytes of these halves.
    pub truncated_bytes: u64,
    /// Frames that were sent twice.
    pub duplicates: u64,
    /// Times that the board started again.
    pub resets: u64,
    /// Times that a stream was started.
    pub starts: u64,
    /// Texts that the board wrote.
    pub answers: u64,
    /// Texts that say that something failed.
    pub failures: u64,
    /// Bytes that were written for a reader, and those that were heard from one.
    pub bytes: u64,
    /// Bytes that readers wrote.
    pub heard_bytes: u64,
    /// Packets and bytes that nobody was there to read, or that a reader was too slow for.
    pub unheard: u64,
    /// Bytes that nobody took.
    pub unheard_bytes: u64,
    /// Times that a reader came.
    pub readers: u64,
    /// Charge of the battery, 0 to 1, if it was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub battery: Option<f64>,
    /// What was done to each channel.
    pub channels: Vec<Channel>,
}

impl Ledger {
    /// An empty account.
    #[must_use]
    pub fn new(device: &str, seed: u64) -> Self {
        Self { device: device.to_owned(), seed, ..Self::default() }
    }

    /// As JSON, for programs.
    #[must_use]
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// In words; what did not happen is omitted.
    #[must_use]
    pub fn words(&self) -> String {
        let mut lines = vec![format!(
            "{}: {} packets in {:.1} s of stream, {} bytes",
            self.device, self.frames, self.seconds, self.bytes
        )];
        let mut line = |number: u64, what: String| {
            if number > 0 {
                lines.push(format!("  {what}"));
            }
        };
        line(self.lost, format!("{} packets lost in {} gaps", self.lost, self.gaps));
        line(self.unseen, format!("{} packets not sent at the beginning or end", self.unseen));
        line(self.garbage, format!("{} bytes of garbage, {} times", self.garbage_bytes, self.garbage));
        line(self.truncated, format!("{} half frames, {} bytes", self.truncated, self.truncated_bytes));
        line(self.duplicates, format!("{} frames twice", self.duplicates));
        line(self.resets, format!("{} times started again", self.resets));
        line(self.answers, format!("{} answers, {} of them failures", self.answers, self.failures));
        line(
            self.unheard_bytes,
            format!("{} packets, {} bytes that no program read", self.unheard, self.unheard_bytes),
        );
        line(self.readers, format!("{} readers, {} streams", self.readers, self.starts));
        for Channel { channel, railed, flat, unplugged, kiloohms } in &self.channels {
            for (samples, what) in [(railed, "railed"), (flat, "flat"), (unplugged, "without electrode")] {
                line(*samples, format!("channel {channel}: {samples} samples {what}"));
            }
            if let Some(kiloohms) = kiloohms {
                line(1, format!("channel {channel}: {kiloohms:.1} kiloohms"));
            }
        }
        lines.join("\n") + "\n"
    }
}
