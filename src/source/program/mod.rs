//! Acquisition programs, watched through the sockets that they offer to others.
//!
//! The agent is one more client: it asks for what the program tells anyone, and sends nothing that changes what the
//! program does.

mod peer;

pub mod fieldtrip;
pub mod rda;
