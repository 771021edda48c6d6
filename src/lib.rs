//! The agent beside an amplifier or a neural pipeline: bytes in, OpenMetrics out.

pub mod catalog;
pub mod config;
pub mod decode;
pub mod document;
pub mod event;
pub mod hub;
pub mod listen;
pub mod setting;
pub mod source;
