//! Blackrock Cerebus and Gemini: what an amplifier sends to all programs that listen, in protocols 3.11, 4.0, and 4.1 and 4.2.
//!
//! Written from the headers and sources of CereLink (`cbproto/types.h`, `cbdev/protocol_detector.cpp`) and checked against
//! packets that pycbsdk, a reader of their authors, understands in the same way; no amplifier was at hand. Spikes, events and
//! answers are counted as packets and not looked into. Nothing is asked for.

mod group;
mod link;
mod packet;
#[cfg(test)]
mod tests;

pub use group::{Group, named};
pub use link::Cerebus;
pub use packet::Version;

use super::datagram::Datagrams;
use crate::decode::facts::{Carries, Facts};

/// What is known of the protocol.
pub(in crate::decode) const FACTS: Facts =
    Facts::new("cerebus", Carries::Datagrams, |_| Box::new(Datagrams::<Cerebus>::default()));
