//! A request with spans, as it is sent and as it lies on disk.

use bytes::Bytes;

/// A request, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExportRequest {
    pub(super) body: Bytes,
    /// Whether it is packed.
    pub(super) gzip: bool,
    pub(super) spans: u64,
    /// Where it lies on disk as well.
    pub(super) spooled: Option<SpoolEntry>,
}

/// A request that lies on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpoolEntry {
    pub(super) number: u64,
    pub(super) spans: u64,
    pub(super) gzip: bool,
    pub(super) bytes: u64,
}

impl SpoolEntry {
    /// `NUMBER-SPANS.gz`, or `.pb` where it is not packed.
    pub(super) fn name(&self) -> String {
        format!("{:016x}-{}.{}", self.number, self.spans, if self.gzip { "gz" } else { "pb" })
    }

    pub(super) fn of(name: &str, bytes: u64) -> Option<Self> {
        let (stem, end) = name.split_once('.')?;
        let (number, spans) = stem.split_once('-')?;
        let gzip = match end {
            "gz" => true,
            "pb" => false,
            _ => return None,
        };
        Some(Self { number: u64::from_str_radix(number, 16).ok()?, spans: spans.parse().ok()?, gzip, bytes })
    }
}
