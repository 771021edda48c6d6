//! The agent beside an amplifier or a neural pipeline: bytes in, OpenMetrics out.

pub mod catalog;
pub mod decode;
pub mod event;
pub mod hub;
pub mod setting;
pub mod source;
