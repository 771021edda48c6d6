//! The agent beside an amplifier or a neural pipeline: bytes in, OpenMetrics out.

pub mod agent;
pub mod analysis;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod decode;
pub mod document;
pub mod event;
pub mod http;
pub mod hub;
pub mod listen;
pub mod metrics;
pub mod setting;
pub mod source;
pub mod sys;
