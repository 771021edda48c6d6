//! Text: lines that programs send, expositions that they offer, and the rules that rename what is in them.

pub mod exposition;
pub mod families;
pub mod frame;
pub mod glob;
pub mod jsonl;
pub mod line;
pub mod mapping;
pub mod number;
pub mod openmetrics;
pub mod relabel;
pub mod statsd;
mod tags;
