//! Bodies of gRPC: frames, packed or not, cut or too large. None makes the reader panic, and what it takes has the size that is allowed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::otlp::Form;
use neural_exporter::event::Telemetry;
use neural_exporter::source::socket::otlp::grpc_message;

mod exposed;
mod otlp;

const LIMIT: usize = 64 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some((&first, framed)) = data.split_first() else { return };
    let Ok(message) = grpc_message(framed.to_vec(), first & 1 == 1, LIMIT) else { return };
    assert!(message.len() <= LIMIT);
    let hub = exposed::hub();
    otlp::take(&hub, Telemetry::ALL[usize::from(first >> 1) % 3], Form::Protobuf, &message);
    exposed::readable(&hub);
});
