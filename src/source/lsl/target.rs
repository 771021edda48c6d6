//! Where a stream is, and whether it lives.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::decode::lsl::Info;

/// Where a stream is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) info: Info,
    /// From where it answered.
    pub(super) from: SocketAddr,
}

impl Target {
    /// Where samples are to be had.
    pub(super) fn data(&self) -> Option<SocketAddr> {
        self.place(self.info.data_port, self.info.data_port_v6)
    }

    /// Where the time is printed.
    pub(super) fn service(&self) -> Option<SocketAddr> {
        self.place(self.info.service_port, self.info.service_port_v6)
    }

    fn place(&self, fourth: u16, sixth: u16) -> Option<SocketAddr> {
        let mut place = self.from;
        place.set_port(if place.is_ipv4() { fourth } else { sixth });
        match place.port() {
            0 if self.from.is_ipv4() && self.from.ip().is_loopback() && sixth > 0 => {
                Some((Ipv6Addr::LOCALHOST, sixth).into())
            }
            0 => None,
            _ => Some(place),
        }
    }
}

/// What a connection says of whether its stream lives.
#[derive(Debug, Default)]
pub(super) struct Liveness(AtomicU8);

impl Liveness {
    const UNKNOWN: u8 = 0;
    const ALIVE: u8 = 1;
    const OVER: u8 = 2;

    /// A new place of the stream is known, or what was known of the old one no longer counts.
    pub(super) fn begin(&self) {
        self.0.store(Self::UNKNOWN, Ordering::Relaxed);
    }

    /// Samples come.
    pub(super) fn live(&self) {
        self.0.store(Self::ALIVE, Ordering::Relaxed);
    }

    /// Nobody is there any more.
    pub(super) fn end(&self) {
        self.0.store(Self::OVER, Ordering::Relaxed);
    }

    /// Whether samples come.
    pub(super) fn is_alive(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::ALIVE
    }

    /// Whether nobody is there any more.
    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::OVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_where_it_answered_from() {
        let of = |from: &str, data_port, data_port_v6| {
            let info = Info { data_port, data_port_v6, ..Info::default() };
            Target { info, from: from.parse().unwrap() }.data().map(|place| place.to_string())
        };
        assert_eq!(of("10.0.0.5:16572", 5, 6).as_deref(), Some("10.0.0.5:5"));
        assert_eq!(of("[fe80::1%3]:16572", 5, 6).as_deref(), Some("[fe80::1%3]:6"));
        assert_eq!(of("127.0.0.1:16572", 0, 6).as_deref(), Some("[::1]:6"));
        assert_eq!((of("10.0.0.5:16572", 0, 6), of("[::1]:16572", 5, 0)), (None, None));
    }
}
