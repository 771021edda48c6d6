//! `prometheus.WriteRequest`, of version 1.0.

use super::protobuf::Message;
use super::{Family, Series};

pub(super) fn body(all: &[Series<'_>]) -> Vec<u8> {
    let (mut request, mut series, mut part) = (Message::default(), Message::default(), Message::default());
    for one in all {
        series.clear();
        for (name, value) in one.labels {
            part.clear();
            part.bytes(1, name.as_bytes());
            part.bytes(2, value.as_bytes());
            series.bytes(1, &part.0);
        }
        for sample in one.samples {
            series.sample(2, &mut part, sample.t, sample.v);
        }
        request.bytes(1, &series.0);
    }
    request.0
}

pub(super) fn metadata<'f>(families: impl Iterator<Item = (&'f str, &'f Family)>) -> Vec<u8> {
    let (mut request, mut part) = (Message::default(), Message::default());
    for (name, family) in families {
        part.clear();
        part.number(1, family.number());
        part.bytes(2, name.as_bytes());
        part.bytes(4, family.help.as_bytes());
        if !family.unit.is_empty() {
            part.bytes(5, family.unit.as_bytes());
        }
        request.bytes(3, &part.0);
    }
    request.0
}
