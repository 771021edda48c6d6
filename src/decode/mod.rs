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

pub mod engines;
pub mod exposition;
pub mod openmetrics;
pub mod relabel;

use crate::event::Body;

/// Takes the events of a decoder, one at a time, while their names are still in the buffer.
pub type Sink<'s> = dyn FnMut(Body<'_>) + 's;

/// Turns a stream of bytes into events.
pub trait Decoder: Send {
    /// Consumes `bytes` and hands over every event they complete.
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>);

    /// The stream, or the datagram, ended: reports what is left over.
    fn end(&mut self, out: &mut Sink<'_>);

    /// What must be sent before the other side starts talking.
    fn hello(&self) -> &'static [u8] {
        b""
    }

    /// What should be sent before the connection is closed.
    fn goodbye(&self) -> &'static [u8] {
        b""
    }
}
