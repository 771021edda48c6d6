//! How many connections of a socket are open, and whose they are.
//!
//! Who asks from this machine may have all of them: its programs and its users are the operator's affair. An address of
//! another machine may have as long as it has less than three times what is left, so that something is left for others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::listen::network;

/// The connections of one socket.
#[derive(Debug, Default)]
pub(super) struct Shares(Mutex<OpenShares>);

#[derive(Debug, Default)]
struct OpenShares {
    all: usize,
    /// Of other machines.
    of: HashMap<u128, usize>,
}

/// One connection. It is over when this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    shares: Arc<Shares>,
    whose: Option<u128>,
}

impl Shares {
    /// A place of `most` for a connection from this address; from none, if it is of this machine.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn admit(self: &Arc<Self>, peer: Option<IpAddr>, most: usize) -> Result<Permit, String> {
        let peer = peer.map(|peer| peer.to_canonical()).filter(|peer| !peer.is_loopback());
        let whose = peer.map(network);
        let mut open = self.0.lock();
        if open.all >= most {
            return Err(format!("{most} are connected, the limit; raise limits.connections"));
        }
        if let Some((whose, peer)) = whose.zip(peer) {
            let held = open.of.get(&whose).copied().unwrap_or_default();
            if held >= (most - open.all).saturating_mul(3) {
                return Err(format!(
                    "{held} of {most} connections are of {peer} or its network, and what is left is for others; raise \
                     limits.connections"
                ));
            }
            *open.of.entry(whose).or_default() += 1;
        }
        open.all += 1;
        drop(open);
        Ok(Permit { shares: self.clone(), whose })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.shares.0.lock();
        open.all -= 1;
        if let Some(whose) = self.whose
            && let Some(held) = open.of.get_mut(&whose)
        {
            *held -= 1;
            if *held == 0 {
                open.of.remove(&whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_something_to_the_others() {
        let shares = Arc::new(Shares::default());
        let mut places = Vec::new();
        let fill = |peer: Option<&str>, keep: &mut Vec<Permit>| {
            let peer = peer.map(|peer| peer.parse().unwrap());
            let before = keep.len();
            let why = loop {
                match shares.admit(peer, 1024) {
                    Ok(place) => keep.push(place),
                    Err(why) => break why,
                }
            };
            (keep.len() - before, why)
        };
        let (held, why) = fill(Some("10.0.0.1"), &mut places);
        assert_eq!(held, 768);
        assert!(why.contains("10.0.0.1") && why.contains("limits.connections"), "{why}");
        // The same address written otherwise is the same one; so is a network of IPv6.
        assert_eq!(fill(Some("::ffff:10.0.0.1"), &mut places).0, 0);
        assert_eq!(fill(Some("2001:db8::1"), &mut places).0, 192);
        assert_eq!(fill(Some("2001:db8::2"), &mut places).0, 0);
        assert_eq!(fill(Some("10.0.0.3"), &mut places).0, 48);
        // This machine may have the rest, and what was given back.
        assert_eq!(fill(Some("127.0.0.1"), &mut places).0, 16);
        assert_eq!(fill(None, &mut places).0, 0);
        places.clear();
        assert!(shares.0.lock().of.is_empty());
        assert_eq!(fill(None, &mut places).0, 1024);
        places.truncate(1);
        assert!(fill(Some("10.0.0.1"), &mut places).0 > 700);
    }

    #[test]
    fn where_there_are_few_places_one_address_may_have_them() {
        let shares = Arc::new(Shares::default());
        let peer = Some("10.0.0.1".parse().unwrap());
        let all: Vec<_> = (0..3).map(|_| shares.admit(peer, 3).unwrap()).collect();
        assert!(shares.admit(peer, 3).is_err());
        drop(all);
    }
}
