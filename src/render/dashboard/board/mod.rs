//! The dashboards that ship, one file each or two. What a page has beyond its tables here is drawn by
//! `default`.

mod agent;
mod alert;
mod channel;
mod device;
mod gpu;
mod host;
mod inference;
mod overview;
mod pipeline;
mod port;
mod program;
mod service;
mod stream;

use super::view::Board;

/// Every dashboard, in the order of their links.
pub(super) static BOARDS: &[&Board] = &[
    &overview::BOARD,
    &device::BOARD,
    &channel::BOARD,
    &program::BOARD,
    &stream::BOARD,
    &pipeline::BOARD,
    &inference::BOARD,
    &service::BOARD,
    &host::BOARD,
    &gpu::BOARD,
    &alert::BOARD,
    &agent::BOARD,
];
