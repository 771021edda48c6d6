//! Bytes in, events out: no socket, no clock, no failure.
//!
//! A decoder is a state machine fed with slices. Bad bytes are an event too
//! ([`Fault`](crate::event::Fault)), so between the wire and `/metrics` there is no error path to
//! forget. Every protocol obeys four laws, tested once over the whole list:
//!
//! 1. no bytes make it panic;
//! 2. cut the stream anywhere and the totals are equal;
//! 3. every byte is in an event or in a fault;
//! 4. after noise a clean stream loses at most one frame.

mod batch;
pub mod board;
pub mod dialogue;
pub mod engines;
mod facts;
pub mod lsl;
mod options;
pub mod otlp;
pub mod program;
mod protocol;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;

use crate::event::Body;
pub use dialogue::Dialogue;
pub use options::{GanglionFilter, MeasureImpedance, Options};
pub use protocol::Protocol;

/// Takes the events of a decoder, one at a time, while their names are still in the buffer.
pub type Sink<'s> = dyn FnMut(Body<'_>) + 's;

/// Turns a stream of bytes into events.
pub trait Decoder: Send {
    /// Consumes `bytes` and hands over every event they complete. Given none, it may say what it decodes.
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>);

    /// The stream, or the datagram, ended: reports what is left over.
    fn end(&mut self, out: &mut Sink<'_>);

    /// Does what takes time and can be done while nobody waits: called after each read, outside any lock. Says
    /// whether it found something to report; decoding no bytes reports it, or a part of it, and it is called again.
    fn process_deferred(&mut self) -> bool {
        false
    }

    /// Whether the stream can no longer be understood and should be closed.
    fn is_broken(&self) -> bool {
        false
    }

    /// Whether more must come before what came makes sense: the rest of a message, or an answer.
    fn needs_more(&self) -> bool {
        false
    }

    /// Hears what a program sent the device through a tap, and says whether that starts the stream. A setting that
    /// changes is reported as the device.
    fn observe_command(&mut self, _said: &[u8], _out: &mut Sink<'_>) -> bool {
        false
    }

    /// The agent's side of the conversation, if the other side must be talked to.
    fn dialogue(&mut self) -> Option<&mut dyn Dialogue> {
        None
    }
}

/// Whether what starts a stream, the last piece of a handshake, is in what was said.
fn starts(handshake: &[&[u8]], said: &[u8]) -> bool {
    handshake.last().is_some_and(|start| memchr::memmem::find(said, start).is_some())
}
