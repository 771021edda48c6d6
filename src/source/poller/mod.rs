//! What is asked by the clock: the machine, its processes and cards, endpoints, commands and files.

mod amd;
pub mod exec;
pub mod gpu;
pub mod host;
mod linux;
mod nvidia;
pub mod process;
pub mod scrape;
pub mod textfile;
