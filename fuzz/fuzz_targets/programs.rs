//! What programs answer and publish: the stream of Open Ephys' ZMQ Interface, cut and whole, and answers to questions.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::Decoder;
use neural_exporter::decode::intan::talk::Answer;
use neural_exporter::decode::open_ephys::{Stream, answers};
use neural_exporter::event::Body;

/// What a publisher says first, so that not all inputs must find it.
const BEGIN: &[u8] = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB";

fuzz_target!(|input: &[u8]| {
    let Some((&cut, bytes)) = input.split_first() else { return };
    drop((Answer::read(bytes), answers::status(bytes), answers::cpu(bytes)));
    drop((answers::recording(bytes), answers::processors(bytes)));
    let stream = if cut & 1 == 0 { bytes.to_vec() } else { [BEGIN, bytes].concat() };
    let whole = told(&[&stream]);
    let (head, tail) = stream.split_at(usize::from(cut).min(stream.len()));
    assert_eq!(whole, told(&[head, tail]));
    assert_eq!(whole.1, stream.len() as u64, "every byte is told");
});

/// What is said, and the bytes that were told.
fn told(pieces: &[&[u8]]) -> (Vec<String>, u64) {
    let (mut all, mut bytes) = (Vec::new(), 0);
    let mut stream = Stream::new(Some(1e-6));
    let mut out = |body: Body<'_>| {
        bytes += match body {
            Body::Samples(samples) => samples.bytes,
            Body::Fault(fault) => fault.bytes,
            Body::Answer(answer) => answer.bytes,
            _ => 0,
        };
        all.push(format!("{body:?}"));
    };
    for piece in pieces {
        stream.decode(piece, &mut out);
    }
    stream.end(&mut out);
    (all, bytes)
}
