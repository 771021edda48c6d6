//! Users and their passwords, hashed with bcrypt: `$2y$10$…`.

use std::collections::BTreeMap;

use base64::Engine;
use bcrypt::BASE_64;

/// The hash of a password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash {
    /// Two to this many rounds.
    pub(super) cost: u32,
    salt: [u8; 16],
    hash: [u8; 23],
}

/// What a hash may cost: below, it is none.
const COSTS: std::ops::RangeInclusive<u32> = 4..=31;
/// The versions of bcrypt; all of them hash alike what is shorter than 256 bytes.
const VERSIONS: [&str; 4] = ["2a", "2b", "2x", "2y"];
/// Bytes of a password that count; what follows, bcrypt does not read.
pub(super) const LONGEST: usize = 72;

impl Hash {
    /// Reads a hash as `htpasswd -B` writes it.
    ///
    /// # Errors
    /// What is wrong with it; nothing of it is repeated.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let mut parts = text.split('$');
        let (before, version, cost, rest, after) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
        let known = version.is_some_and(|version| VERSIONS.contains(&version));
        let (Some(""), true, Some(cost), Some(rest), None) = (before, known, cost, rest, after) else {
            return Err("it is not the hash of a password by bcrypt");
        };
        let cost = cost.parse().ok().filter(|cost| COSTS.contains(cost));
        let cost = cost.ok_or("the cost of the hash is not from 4 to 31")?;
        let (mut salt, mut hash) = ([0; 16], [0; 23]);
        let parts = (rest.len() == 53).then(|| rest.split_at_checked(22)).flatten();
        let (first, second) = parts.ok_or("the hash is too short or too long")?;
        let decoded = |text: &str, into: &mut [u8]| BASE_64.decode_slice(text, into).is_ok();
        if !decoded(first, &mut salt) || !decoded(second, &mut hash) {
            return Err("the hash has characters that bcrypt does not use");
        }
        Ok(Self { cost, salt, hash })
    }

    /// A hash of nobody's password.
    fn of_nobody(cost: u32, salt: [u8; 16]) -> Self {
        Self { cost, salt, hash: [0; 23] }
    }

    /// Whether it is that of a password. It takes the time that its cost says.
    pub(super) fn fits(&self, password: &[u8]) -> bool {
        // A password ends with a zero, if that has room.
        let mut text: Vec<u8> = password.iter().copied().take(LONGEST).collect();
        if text.len() < LONGEST {
            text.push(0);
        }
        let made = bcrypt::bcrypt(self.cost, self.salt, &text);
        made.iter().zip(&self.hash).fold(0, |all, (one, two)| all | (one ^ two)) == 0
    }

    /// What tells it from others.
    pub(super) fn bytes(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[0] = self.cost as u8;
        bytes[1..17].copy_from_slice(&self.salt);
        bytes[17..].copy_from_slice(&self.hash);
        bytes
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hash of cost {}", self.cost)
    }
}

/// Everybody who has a password.
#[derive(Clone, Debug, Default)]
pub(super) struct Users(BTreeMap<String, Hash>);

impl Users {
    pub(super) fn new(all: BTreeMap<String, Hash>) -> Self {
        Self(all)
    }

    /// Whether nobody needs a password.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a user of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The hash of a user. Of a name that is nobody's, one that costs as much as a user's, always the same: `drawn` are
    /// bytes that follow from the name and that are secret.
    pub(super) fn hash(&self, name: &str, drawn: &[u8; 32]) -> Hash {
        if let Some(hash) = self.0.get(name) {
            return *hash;
        }
        let costs: Vec<u32> = self.0.values().map(|hash| hash.cost).collect();
        let cost = costs.get(usize::from(drawn[31]) % costs.len().max(1)).copied().unwrap_or(10);
        let salt = std::array::from_fn(|index| drawn[index]);
        Hash::of_nobody(cost, salt)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Users with passwords of the least cost.
    pub(in super::super) fn users(all: &[(&str, &str)]) -> Users {
        let hash = |(name, password): &(&str, &str)| {
            let mut text = password.as_bytes().to_vec();
            text.push(0);
            let made = bcrypt::bcrypt(4, [7; 16], &text);
            ((*name).to_owned(), Hash { cost: 4, salt: [7; 16], hash: made[..23].try_into().unwrap() })
        };
        Users::new(all.iter().map(hash).collect())
    }

    #[test]
    fn a_hash_is_that_of_its_password_alone() {
        // Published with crypt_blowfish, and one that `htpasswd -nbBC 4 u secret` wrote.
        for (hash, password) in [
            ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"),
            ("$2y$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*"),
            ("$2b$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a", "U*U*U"),
            ("$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy", ""),
        ] {
            let read = Hash::read(hash).unwrap();
            assert!(read.fits(password.as_bytes()), "{hash}");
            assert!(!read.fits(format!("{password}x").as_bytes()) && read.cost == 5);
        }
    }

    #[test]
    fn bytes_beyond_the_72nd_do_not_count() {
        let long = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored";
        let hash = Hash::read("$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui").unwrap();
        assert!(hash.fits(long.as_bytes()) && hash.fits(&long.as_bytes()[..72]));
        assert!(!hash.fits(&long.as_bytes()[..71]));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let good = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
        assert!(Hash::read(good).is_ok());
        for text in [
            "doe",
            "",
            "$2y$10$",
            "$1$abc$def",
            "$3y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG",
            "$2y$03$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG",
            "$2y$32$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG",
            "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7z",
            "$2y$10$X0h1gDsPszWURQaxFh!zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG",
            "$2y$10$é0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG",
        ] {
            assert!(Hash::read(text).is_err(), "{text}");
        }
        assert_eq!(format!("{:?}", Hash::read(good).unwrap()), "Hash of cost 10");
    }

    #[test]
    fn a_name_that_is_nobodys_costs_as_much_as_somebodys() {
        let all = [("a", 4), ("b", 7)].map(|(name, cost)| (name.to_owned(), Hash::of_nobody(cost, [1; 16])));
        let users = Users::new(all.into());
        let costs: Vec<u32> = (0..=255).map(|last| users.hash("nobody", &[last; 32]).cost).collect();
        assert_eq!(costs.iter().filter(|cost| **cost == 4).count(), 128);
        assert!(costs.iter().all(|cost| [4, 7].contains(cost)));
        assert_eq!(users.hash("b", &[0; 32]).cost, 7);
    }
}
