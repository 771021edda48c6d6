//! What programs answer and publish: the stream of Open Ephys' ZMQ Interface, that of BrainVision Recorder and the first
//! answer of a FieldTrip buffer, cut and whole, and answers to questions.

#![no_main]

use libfuzzer_sys::fuzz_target;
use neural_exporter::decode::Decoder;
use neural_exporter::decode::program::fieldtrip::FieldTrip;
use neural_exporter::decode::program::intan::talk::Answer;
use neural_exporter::decode::program::open_ephys::{Stream, answers};
use neural_exporter::decode::program::rda::Rda;
use neural_exporter::event::Body;

/// What a publisher says first, so that not all inputs must find it.
const BEGIN: &[u8] = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB";

fuzz_target!(|input: &[u8]| {
    let Some((&cut, bytes)) = input.split_first() else { return };
    drop((Answer::read(bytes), answers::status(bytes), answers::cpu(bytes)));
    drop((answers::recording(bytes), answers::processors(bytes)));
    let stream = if cut & 1 == 0 { bytes.to_vec() } else { [BEGIN, bytes].concat() };
    cut_anywhere(|| Stream::new(Some(1e-6)), &stream, cut.into());
    cut_anywhere(|| Rda::new("rda", false), bytes, cut.into());
    cut_anywhere(|| FieldTrip::new("buffer", false), bytes, cut.into());
});

fn cut_anywhere<D: Decoder>(new: impl Fn() -> D, stream: &[u8], at: usize) {
    let whole = decoded(new(), &[stream]);
    let (head, tail) = stream.split_at(at.min(stream.len()));
    assert_eq!(whole, decoded(new(), &[head, tail]));
    assert_eq!(whole.1, stream.len() as u64, "every byte is decoded");
}

/// What is said, and the bytes that were decoded.
fn decoded(mut stream: impl Decoder, pieces: &[&[u8]]) -> (Vec<String>, u64) {
    let (mut all, mut bytes) = (Vec::new(), 0);
    if let Some(dialogue) = stream.dialogue() {
        dialogue.poll_transmit(std::time::Duration::ZERO, &mut Vec::new());
    }
    let mut out = |body: Body<'_>| {
        bytes += match body {
            Body::Samples(samples) => samples.bytes,
            Body::Fault(fault) => fault.bytes,
            Body::Answer(answer) => answer.bytes,
            Body::ProgramMessage(aside) => aside.bytes,
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
