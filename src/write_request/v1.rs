//! `prometheus.WriteRequest`, of version 1.0.

use super::{Family, Series, kind, point};
use crate::protobuf::{bytes, message, number};

pub(super) fn body(all: &[Series<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for one in all {
        message(1, &mut out, |out| {
            one.labels.iter().for_each(|(name, value)| label(name, value, out));
            for of in one.samples {
                message(2, out, |out| point((1, 2), of.v, of.t, out));
            }
            for of in one.exemplars {
                message(3, out, |out| {
                    of.labels.iter().for_each(|(name, value)| label(name, value, out));
                    point((2, 3), of.v, of.t, out);
                });
            }
        });
    }
    out
}

fn label(name: &str, value: &str, out: &mut Vec<u8>) {
    message(1, out, |out| {
        bytes(1, name.as_bytes(), out);
        bytes(2, value.as_bytes(), out);
    });
}

pub(super) fn metadata<'f>(families: impl Iterator<Item = (&'f str, &'f Family)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, family) in families {
        message(3, &mut out, |out| {
            number(1, kind(family), out);
            bytes(2, name.as_bytes(), out);
            bytes(4, family.help.as_bytes(), out);
            if !family.unit.is_empty() {
                bytes(5, family.unit.as_bytes(), out);
            }
        });
    }
    out
}
