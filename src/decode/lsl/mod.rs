//! Lab Streaming Layer, the side that receives: what outlets say of themselves, their samples, and their clocks.
//!
//! Written from the wire as liblsl 1.18 speaks it (`udp_server.cpp`, `tcp_server.cpp`, `sample.cpp`,
//! `time_receiver.cpp`) and from bytes that it sent. There is a crate, `labstream-core`, that speaks protocol 1.10 over
//! sockets of its own; here bytes come from elsewhere, protocol 1.00 is spoken as well, a peer that lies is a counted
//! fault, and nothing is allocated for a sample, none of which can be had around a client that owns its threads.
//!
//! Nothing here opens a socket, waits or knows the time. There is no way back to the beginning of a sample within a
//! stream: after noise an [`Inlet`] is broken, and the connection has to be made again.

mod archive;
mod clock;
mod info;
mod inlet;
mod stamps;
pub mod talk;
#[cfg(test)]
mod tests;
mod unit;
mod values;
mod xml;

pub use clock::{Clock, Offset};
pub use info::{Channel, DESCRIPTION, Format, Info, Odd};
pub use inlet::Inlet;
pub use stamps::Stamps;
