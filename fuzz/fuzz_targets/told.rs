//! What a decoder says of a stream, cut and whole.

use neural_exporter::decode::Protocol;
use neural_exporter::event::{Body, Fault};

/// Decodes `bytes` at once and cut at `place`, and fails if that makes a difference.
pub fn cut(protocol: Protocol, bytes: &[u8], place: usize) {
    let (head, tail) = bytes.split_at(place.min(bytes.len()));
    let whole = told(protocol, &[bytes]);
    assert_eq!(whole, told(protocol, &[head, tail]));
    assert!(whole.1 <= bytes.len() as u64, "more bytes were refused than came");
}

fn told(protocol: Protocol, pieces: &[&[u8]]) -> (Vec<String>, u64) {
    let (mut all, mut refused) = (Vec::new(), 0);
    let mut decoder = protocol.decoder();
    let mut out = |body: Body<'_>| {
        if let Body::Fault(Fault { bytes, .. }) = body {
            refused += bytes;
        }
        all.push(format!("{body:?}"));
    };
    for piece in pieces {
        decoder.decode(piece, &mut out);
    }
    decoder.end(&mut out);
    (all, refused)
}
