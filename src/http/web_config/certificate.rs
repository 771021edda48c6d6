//! What of an X.509 certificate (RFC 5280) is asked here: its names, its time, and whether it is for clients.
//!
//! It verifies nothing: signatures and chains are rustls'. A certificate that is none gives nothing.

use std::net::IpAddr;

/// The subject's alternative names, by its object identifier 2.5.29.17.
const NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// What the key may be used for, 2.5.29.37.
const PURPOSES: &[u8] = &[0x55, 0x1d, 0x25];
/// To show who a client is, 1.3.6.1.5.5.7.3.2.
const CLIENT: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
/// For anything, 2.5.29.37.0.
const ANY: &[u8] = &[0x55, 0x1d, 0x25, 0x00];

const SEQUENCE: u8 = 0x30;
const OBJECT: u8 = 0x06;
const OCTETS: u8 = 0x04;
const EXTENSIONS: u8 = 0xa3;

/// What a certificate says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Certificate {
    /// Names of machines, addresses of mail, URIs and IP addresses of the subject, as text.
    pub(super) names: Vec<String>,
    /// Since when and until when it is valid, in seconds since 1970.
    pub(super) valid: (i64, i64),
    /// Whether a client may show it.
    pub(super) of_client: bool,
}

impl Certificate {
    /// Reads a certificate in DER.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let mut outer = Der(Der(der).take(SEQUENCE)?);
        let mut body = Der(outer.take(SEQUENCE)?);
        // The version is left out of the first version; the serial number, the algorithm and the issuer follow.
        let (first, _) = body.next()?;
        for _ in 0..if first == 0xa0 { 3 } else { 2 } {
            body.next()?;
        }
        let mut validity = Der(body.take(SEQUENCE)?);
        let valid = (seconds(validity.next()?)?, seconds(validity.next()?)?);
        let mut read = Self { names: Vec::new(), valid, of_client: true };
        while let Some((tag, value)) = body.next() {
            if tag == EXTENSIONS {
                read.extensions(value)?;
            }
        }
        Some(read)
    }

    fn extensions(&mut self, value: &[u8]) -> Option<()> {
        let mut all = Der(Der(value).take(SEQUENCE)?);
        while let Some((SEQUENCE, extension)) = all.next() {
            let mut extension = Der(extension);
            let id = extension.take(OBJECT)?;
            let (mut tag, mut value) = extension.next()?;
            // Whether it is critical may stand between.
            if tag != OCTETS {
                (tag, value) = extension.next()?;
            }
            if tag != OCTETS {
                return None;
            }
            match id {
                NAMES => self.names = names(value)?,
                PURPOSES => self.of_client = is_of_client(value)?,
                _ => {}
            }
        }
        Some(())
    }
}

fn names(value: &[u8]) -> Option<Vec<String>> {
    let mut all = Der(Der(value).take(SEQUENCE)?);
    let mut names = Vec::new();
    while let Some((tag, name)) = all.next() {
        names.extend(match tag {
            // rfc822Name, dNSName, uniformResourceIdentifier: ASCII.
            0x81 | 0x82 | 0x86 => str::from_utf8(name).ok().map(str::to_owned),
            0x87 => address(name).map(|address| address.to_string()),
            _ => None,
        });
    }
    Some(names)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::from(bytes).to_canonical()),
        _ => None,
    }
}

fn is_of_client(value: &[u8]) -> Option<bool> {
    let mut all = Der(Der(value).take(SEQUENCE)?);
    let mut found = false;
    while let Some((tag, purpose)) = all.next() {
        found |= tag == OBJECT && (purpose == CLIENT || purpose == ANY);
    }
    Some(found)
}

/// Seconds since 1970 of a `UTCTime` (`YYMMDDHHMMSSZ`) or a `GeneralizedTime` (`YYYYMMDDHHMMSSZ`).
fn seconds((tag, text): (u8, &[u8])) -> Option<i64> {
    let digits = text.strip_suffix(b"Z")?;
    let number = |from: usize, to: usize| -> Option<i64> {
        digits
            .get(from..to)?
            .iter()
            .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    };
    let (year, rest) = match (tag, digits.len()) {
        (0x17, 12) => (number(0, 2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2),
        (0x18, 14) => (number(0, 4)?, 4),
        _ => return None,
    };
    let part = |index: usize| number(rest + 2 * index, rest + 2 * index + 2);
    let (month, day) = (part(0)?, part(1)?);
    // The civil calendar, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 + day - 1;
    let days = era * 146_097 + day_of_era - 719_468;
    Some(days * 86_400 + part(2)? * 3_600 + part(3)? * 60 + part(4)?)
}

/// Values one after the other, each with its tag and its length.
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    fn next(&mut self) -> Option<(u8, &'d [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }

    fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(seconds((0x17, b"700101000000Z")), Some(0));
        assert_eq!(seconds((0x17, b"261201142000Z")), Some(1_796_134_800));
        assert_eq!(seconds((0x18, b"20720625091507Z")), Some(3_234_071_707));
        assert_eq!(seconds((0x17, b"491231235959Z")), seconds((0x18, b"20491231235959Z")));
        for wrong in [&b"261201142000"[..], b"26120114200Z", b"2612011420x0Z", b""] {
            assert_eq!(seconds((0x17, wrong)), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(Certificate::read(&bytes));
        }
    }
}
