//! The body of a request: read to its end within the limits, and unpacked within the same.

use std::io::Read;
use std::sync::Arc;

use bytes::Buf;
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::SENT;
use super::receiver::Receiver;
use crate::event::FaultKind;

/// Why a body is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is larger than the limit, or would be unpacked.
    Large,
    /// Others are being read that fill the memory which there is for them: it may be sent again.
    Busy,
    /// It did not come in time.
    Slow,
    /// It broke off.
    Cut,
    /// It is not packed as it says.
    Packed,
}

impl Trouble {
    /// What it counts as. What may be sent again is not lost yet.
    pub(super) fn kind(self) -> Option<FaultKind> {
        match self {
            Self::Large => Some(FaultKind::TooLong),
            Self::Busy => None,
            Self::Slow | Self::Cut => Some(FaultKind::Cut),
            Self::Packed => Some(FaultKind::Syntax),
        }
    }

    /// A sentence for the sender.
    pub(super) fn why(self, limit: usize) -> String {
        match self {
            Self::Large => {
                format!(
                    "the request has more than {limit} bytes, unpacked if it is packed; send less at once, or raise body_limit"
                )
            }
            Self::Busy => "too much is being received at once; send it again".to_owned(),
            Self::Slow => format!("the request did not come within {} s", SENT.as_secs()),
            Self::Cut => "the request broke off".to_owned(),
            Self::Packed => "the request is not packed with gzip, or is cut".to_owned(),
        }
    }
}

/// A part of the memory that there is for requests; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl Share {
    /// One of so many bytes that are its own.
    pub(super) fn of(bytes: usize) -> Self {
        Self { budget: Arc::new(Semaphore::new(bytes)), held: None }
    }

    /// Takes so many bytes more.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Trouble> {
        let bytes = u32::try_from(bytes).map_err(|_| Trouble::Large)?;
        let more = self.budget.clone().try_acquire_many_owned(bytes).map_err(|_| Trouble::Busy)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read<B: Body + Unpin>(
    receiver: &Receiver,
    mut body: B,
    limit: usize,
) -> Result<(Vec<u8>, Share), Trouble> {
    let mut share = Share { budget: receiver.budget.clone(), held: None };
    let hint = body.size_hint().lower();
    if hint > limit as u64 {
        return Err(Trouble::Large);
    }
    let all = async {
        let mut all = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Trouble::Cut)?.into_data() else { continue };
            if all.len() + data.remaining() > limit {
                return Err(Trouble::Large);
            }
            share.grow(data.remaining())?;
            all.reserve(data.remaining());
            let mut data = data;
            while data.has_remaining() {
                let piece = data.chunk();
                all.extend_from_slice(piece);
                data.advance(piece.len());
            }
        }
        Ok(all)
    };
    let all = tokio::time::timeout(SENT, all).await.unwrap_or(Err(Trouble::Slow))?;
    Ok((all, share))
}

/// Unpacks what gzip packed into at most `limit` bytes.
pub(super) fn unpack(packed: &[u8], limit: usize, share: &mut Share) -> Result<Vec<u8>, Trouble> {
    let mut unpacked = Vec::new();
    let mut reader = MultiGzDecoder::new(packed);
    let mut piece = [0; 16 * 1024];
    loop {
        let read = reader.read(&mut piece).map_err(|_| Trouble::Packed)?;
        if read == 0 {
            return Ok(unpacked);
        }
        if unpacked.len() + read > limit {
            return Err(Trouble::Large);
        }
        share.grow(read)?;
        unpacked.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
}
