//! Programs that record or pass on a signal, watched from beside: what they send is read, what they say is asked for.
//!
//! Nothing is told to them that changes what they do, and no port is taken that another program has.

pub mod brainflow;
pub mod cerebus;
mod datagram;
pub mod openbci_gui;
mod stream;
