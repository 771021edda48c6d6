//! What is asked by the clock: the machine, its processes and cards, endpoints, commands and files.

mod amd;
mod endpoint;
pub mod exec;
pub mod gpu;
pub mod host;
mod linux;
mod nvidia;
pub mod probe;
pub mod process;
pub mod scrape;
pub mod textfile;
