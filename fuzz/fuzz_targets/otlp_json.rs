//! Requests of OTLP as JSON: none makes the reader panic, and `/metrics` stays readable. The first byte says what is sent.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::otlp::Form;
use neural_exporter::event::Telemetry;

mod exposed;
mod otlp;

fuzz_target!(|data: &[u8]| {
    let Some((&signal, body)) = data.split_first() else { return };
    let hub = exposed::hub();
    otlp::take(&hub, Telemetry::ALL[usize::from(signal) % 3], Form::Json, body);
    exposed::readable(&hub);
});
