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

pub mod bgapi;
pub mod bitalino;
pub mod board;
pub mod brainflow;
pub mod cerebus;
pub mod chords;
pub mod cyton;
pub mod datagram;
pub mod engines;
pub mod exposition;
pub mod fieldtrip;
pub mod frame;
pub mod freeeeg;
pub mod ganglion;
pub mod generic;
pub mod glob;
pub mod intan;
pub mod jsonl;
pub mod knight;
pub mod line;
pub mod lsl;
pub mod mapping;
mod message;
pub mod number;
pub mod open_ephys;
pub mod openbci_gui;
pub mod openeeg;
pub mod openmetrics;
mod options;
mod overtaken;
mod protocol;
pub mod rda;
pub mod re2;
pub mod relabel;
pub mod spikerbox;
pub mod statsd;
mod tags;
pub mod thinkgear;
use std::time::Duration;

use crate::event::Body;
pub use options::{MeasureImpedance, Options, Wanted};
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
    /// whether it found something to tell; decoding no bytes tells it, or a part of it, and it is asked again.
    fn reflect(&mut self) -> bool {
        false
    }

    /// Whether the stream can no longer be understood and should be closed.
    fn broken(&self) -> bool {
        false
    }

    /// Whether more must come before what came makes sense: the rest of a message, or an answer.
    fn waits(&self) -> bool {
        false
    }

    /// What must be sent before the other side starts talking, in pieces with a moment between them.
    fn hello(&self) -> &'static [&'static [u8]] {
        &[]
    }

    /// How long a device needs from one piece of its hello to the next.
    fn apart(&self) -> Duration {
        Duration::from_millis(150)
    }

    /// Appends what is to be sent now, in answer to what came. Asked after each read, and about five times a
    /// second when nothing comes, which is all a decoder learns of time.
    fn ask(&mut self, _out: &mut Vec<u8>) {}

    /// The stream ran a moment ago, and goes on: nothing is done before it that holds it up.
    fn resume(&mut self) {}

    /// Hears what a program told the device through a tap, and says whether that starts the stream. A setting that
    /// changes is told as the device.
    fn overhear(&mut self, said: &[u8], _out: &mut Sink<'_>) -> bool {
        starts(self.hello(), said)
    }

    /// The other side fell silent and was told to start once more. It may begin anew with that, or go on where it was:
    /// what comes tells.
    fn greeted(&mut self) {}

    /// What a person should know of what was asked for, once.
    fn word(&mut self) -> Option<String> {
        None
    }

    /// What the device says in place of samples, if it says something and brings none.
    fn excuse(&self) -> Option<&str> {
        None
    }

    /// What it seems to be, and what to write, if it is another device whose frames are the same.
    fn mistaken(&self) -> Option<&str> {
        None
    }

    /// What should be sent before the connection is closed.
    fn goodbye(&self) -> &'static [u8] {
        b""
    }

    /// Appends what should be sent before the connection is closed, where that depends on what came.
    fn farewell(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.goodbye());
    }
}

/// Whether what starts a stream, the last piece of a greeting, is in what was said.
fn starts(hello: &[&[u8]], said: &[u8]) -> bool {
    hello.last().is_some_and(|start| memchr::memmem::find(said, start).is_some())
}
