//! Serial ports: which there are, what comes from them, and how a program records one that the agent has open.

pub mod serial;
pub(crate) mod tap;
pub mod usb;
