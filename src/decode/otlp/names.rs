//! The names that become labels although a program may make up any number of them.
//!
//! A name that has an id in it, `GET /user/4711`, would be a series each. So the first names of each service are taken,
//! and what comes after them is one name.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Names of all services that are remembered: eight bytes each.
const MOST: usize = 65_536;
/// Services whose names are counted.
const SERVICES: usize = 1_024;

/// The names of each service that were taken. Hashes stand for them: of two that only look alike, the second is taken
/// beyond the limit, and nothing else comes of it.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashTable<u64>,
    /// The hash of a service, and how many of its names are known.
    services: HashTable<(u64, u32)>,
    hasher: RandomState,
}

impl Names {
    /// Whether the name of this service becomes a label: it is known, or one of the first `most`.
    pub(super) fn admits(&mut self, service: &str, name: &str, most: u32) -> bool {
        let hash = self.hasher.hash_one((service, name));
        self.known.find(hash, |known| *known == hash).is_some() || self.take(hash, service, most)
    }

    #[cold]
    fn take(&mut self, hash: u64, service: &str, most: u32) -> bool {
        let Self { known, services, hasher } = self;
        if known.len() >= MOST {
            return false;
        }
        let of = hasher.hash_one(service);
        let full = services.len() >= SERVICES;
        match services.find_mut(of, |(service, _)| *service == of) {
            Some((_, names)) if *names >= most => return false,
            Some((_, names)) => *names += 1,
            None if full || most == 0 => return false,
            None => drop(services.insert_unique(of, (of, 1), |(service, _)| *service)),
        }
        known.insert_unique(hash, hash, |known| *known);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_its_first_names() {
        let mut names = Names::default();
        let admitted = |names: &mut Names, service: &str| {
            (0..1_000).filter(|id| names.admits(service, &format!("GET /user/{id}"), 20)).count()
        };
        assert_eq!(admitted(&mut names, "shop"), 20);
        assert_eq!(admitted(&mut names, "bank"), 20);
        assert_eq!(admitted(&mut names, "shop"), 20, "those that are known stay known");
        for service in 0..2 * SERVICES {
            names.admits(&format!("service {service}"), "a", 20);
        }
        assert_eq!(names.services.len(), SERVICES);
        assert!(names.known.len() < MOST);
    }
}
