//! What programs that acquire offer to others: streams over TCP, and datagrams.

pub mod brainflow;
pub mod cerebus;
pub mod datagram;
pub mod fieldtrip;
pub mod intan;
mod message;
pub mod open_ephys;
pub mod openbci_gui;
mod overtaken;
pub mod rda;
