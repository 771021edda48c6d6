//! Open Ephys GUI: what its HTTP server answers, and the stream of its ZMQ Interface plugin.
//!
//! Facts are those of plugin-GUI 1.0 (`OpenEphysHttpServer.h`) and zmq-interface 1.0 (`ZmqInterface.cpp`). The GUI
//! itself was not run: answers are checked against our reading of these alone. The transport below the stream is
//! checked against libzmq.

pub mod answers;
mod header;
mod stream;
mod zmtp;

pub use stream::{Counts, Stream};
