//! How an address is written that something listens at, and what belongs to it.
//!
//! It opens nothing and resolves no names.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::setting::Invalid;

/// Where a source listens: `udp://127.0.0.1:8125`, `tcp://[::1]:9125`, `unix:/run/x.sock`,
/// `unixgram:/run/x.sock` or `systemd:NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Listen {
    /// Datagrams over IP.
    Udp(SocketAddr),
    /// Streams over IP.
    Tcp(SocketAddr),
    /// Streams over a socket in the file system.
    Unix(PathBuf),
    /// Datagrams over a socket in the file system.
    UnixDatagram(PathBuf),
    /// A socket that systemd opened, by its `FileDescriptorName`.
    Systemd(String),
}

impl Listen {
    /// Whether two sources could not listen at both at once.
    #[must_use]
    pub fn clashes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Udp(one), Self::Udp(two)) | (Self::Tcp(one), Self::Tcp(two)) => overlap(*one, *two),
            (Self::Unix(one) | Self::UnixDatagram(one), Self::Unix(two) | Self::UnixDatagram(two)) => {
                one == two
            }
            (Self::Systemd(one), Self::Systemd(two)) => one == two,
            _ => false,
        }
    }
}

fn overlap(one: SocketAddr, two: SocketAddr) -> bool {
    let all = |ip: SocketAddr, of: SocketAddr| ip.ip().is_unspecified() && (ip.is_ipv6() || of.is_ipv4());
    one.port() != 0 && one.port() == two.port() && (one.ip() == two.ip() || all(one, two) || all(two, one))
}

/// The longest path the kernel takes for a socket, bytes (`sun_path` less its end).
pub const LONGEST_PATH: usize = 107;

impl FromStr for Listen {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        match scheme {
            "udp" => address(text, rest, 8125).map(Self::Udp),
            "tcp" => address(text, rest, 8125).map(Self::Tcp),
            "unix" => path(text, rest).map(Self::Unix),
            "unixgram" => path(text, rest).map(Self::UnixDatagram),
            "systemd" => name(text, rest).map(Self::Systemd),
            _ if text.starts_with('/') => {
                Err(Invalid::new(format!("\"{text}\" has no scheme")).hint(format!("write unix:{text}")))
            }
            _ if !text.contains("://") => {
                let port = text.rsplit(':').next().unwrap_or(text);
                let full = match text.parse::<SocketAddr>() {
                    Ok(address) => address.to_string(),
                    Err(_) if port.parse::<u16>().is_ok() => format!("127.0.0.1:{port}"),
                    Err(_) => "127.0.0.1:8125".to_owned(),
                };
                Err(Invalid::new(format!("\"{text}\" has no scheme")).hint(format!("write udp://{full}")))
            }
            _ => Err(Invalid::new(format!("unsupported scheme \"{scheme}\""))
                .hint("use udp://, tcp://, unix:, unixgram: or systemd:")),
        }
    }
}

/// An address with a port; `usual` is the port of the examples.
fn address(text: &str, rest: &str, usual: u16) -> Result<SocketAddr, Invalid> {
    let rest = rest.strip_prefix("//").unwrap_or(rest).trim_end_matches('/');
    rest.parse().map_err(|_| match rest.rsplit_once(':') {
        Some(("localhost", port)) => Invalid::new(format!("\"{text}\" contains a host name"))
            .hint(format!("write an address such as 127.0.0.1:{port}")),
        Some(("" | "*", port)) => Invalid::new(format!("\"{text}\" has no address"))
            .hint(format!("write 0.0.0.0:{port} for all of them")),
        Some(_) => Invalid::new(format!("\"{text}\" is not an address with a port"))
            .hint(format!("write it like 127.0.0.1:{usual} or [::1]:{usual}")),
        None if rest.parse::<u16>().is_ok() => {
            Invalid::new(format!("\"{text}\" is only a port")).hint(format!("write 127.0.0.1:{rest}"))
        }
        None => {
            Invalid::new(format!("\"{text}\" has no port")).hint(format!("write it like 127.0.0.1:{usual}"))
        }
    })
}

fn path(text: &str, rest: &str) -> Result<PathBuf, Invalid> {
    let rest = match rest.strip_prefix("//") {
        Some(rest) => rest,
        None => rest,
    };
    if !rest.starts_with('/') || rest.ends_with('/') || rest.contains('\0') {
        return Err(Invalid::new(format!("\"{text}\" has no absolute path"))
            .hint("write it like unix:/run/neural.sock"));
    }
    if rest.len() > LONGEST_PATH {
        return Err(Invalid::new(format!("the path of the socket has {} bytes", rest.len()))
            .hint(format!("{LONGEST_PATH} is the limit")));
    }
    Ok(PathBuf::from(rest))
}

fn name(text: &str, rest: &str) -> Result<String, Invalid> {
    let plain = |c: char| c.is_ascii_graphic() && c != ':';
    if rest.is_empty() || rest.len() > 255 || !rest.chars().all(plain) {
        return Err(Invalid::new(format!("\"{text}\" names no socket"))
            .hint("write systemd: and the FileDescriptorName of the socket unit"));
    }
    Ok(rest.to_owned())
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::UnixDatagram(path) => write!(f, "unixgram:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

/// Where `/metrics` is served: `127.0.0.1:9612`, or `systemd:NAME`; `systemd` alone is whatever
/// stream socket systemd passed that no source names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An address with a port.
    Tcp(SocketAddr),
    /// A socket that systemd opened.
    Systemd(Option<String>),
}

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.split_once(':') {
            None if text == "systemd" => Ok(Self::Systemd(None)),
            Some(("systemd", rest)) => name(text, rest).map(|name| Self::Systemd(Some(name))),
            _ => address(text, text.strip_prefix("tcp:").unwrap_or(text), 9612).map(Self::Tcp),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Systemd(None) => f.write_str("systemd"),
            Self::Systemd(Some(name)) => write!(f, "systemd:{name}"),
        }
    }
}

/// Who may use a socket in the file system: `"0660"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mode(pub u32);

impl FromStr for Mode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let octal = text.strip_prefix("0o").unwrap_or(text);
        match u32::from_str_radix(octal, 8) {
            Ok(mode) if (3..=4).contains(&octal.len()) && mode <= 0o777 => Ok(Self(mode)),
            _ => Err(Invalid::new(format!("\"{text}\" is not a file mode")).hint("write it like \"0660\"")),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// A size in bytes: `4MiB`, `64KiB`, or a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

impl FromStr for Bytes {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong =
            || Invalid::new(format!("\"{text}\" is not a size")).hint("write it like 4MiB, 64KiB or 65536");
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let scale = match unit.trim() {
            "" => 1,
            unit => SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1,
        };
        number.checked_mul(scale).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIZES.iter().take(3).find(|(_, scale)| self.0 > 0 && self.0.is_multiple_of(*scale)) {
            Some((unit, scale)) => write!(f, "{}{unit}", self.0 / scale),
            None => write!(f, "{}", self.0),
        }
    }
}

macro_rules! written {
    ($($type:ident $format:literal $types:tt $description:literal,)*) => { $(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($description)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$type, E> {
                        number.to_string().parse().map_err(E::custom)
                    }
                }
                from.deserialize_any(Visitor)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": $types, "format": $format, "description": $description })
            }
        }
    )* };
}

written! {
    Listen "listen" "string" "Where to listen: udp://127.0.0.1:8125, tcp://[::1]:9125, unix:/run/x.sock, unixgram:/run/x.sock or systemd:NAME.",
    Address "address" "string" "An address with a port, 127.0.0.1:9612; or systemd, or systemd:NAME, for a socket that systemd opens.",
    Mode "mode" "string" "Who may use a socket in the file system, in quotes: \"0660\".",
    Bytes "bytes" ["string", "integer"] "A size: 4MiB, 64KiB, or a number of bytes.",
}

/// One, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Many<T>(pub Vec<T>);

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Deref for Many<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Serialize> Serialize for Many<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(to),
            all => all.serialize(to),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
            type Value = Many<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one, or a list")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Many<T>, E> {
                let from = serde::de::value::StrDeserializer::<E>::new(text);
                T::deserialize(from).map(|one| Many(vec![one]))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut from: A) -> Result<Many<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = from.next_element()? {
                    all.push(one);
                }
                Ok(Many(all))
            }
        }
        from.deserialize_any(Visitor(std::marker::PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Many<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Many{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// An address as one who holds places: of IPv6 the network, because everybody has a whole one.
#[must_use]
pub fn network(peer: IpAddr) -> u128 {
    match peer.to_canonical() {
        IpAddr::V4(peer) => u128::from(peer.to_bits()),
        IpAddr::V6(peer) => peer.to_bits() >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_they_are_written() {
        for text in [
            "udp://127.0.0.1:8125",
            "tcp://[::1]:9125",
            "unix:/run/a b.sock",
            "unixgram:/run/x.sock",
            "systemd:statsd",
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        assert_eq!("unix:///run/x".parse::<Listen>().unwrap().to_string(), "unix:/run/x");
        for text in ["127.0.0.1:9612", "[::]:80", "systemd", "systemd:http"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("0660".parse::<Mode>().unwrap(), Mode(0o660));
        assert_eq!("4MiB".parse::<Bytes>().unwrap(), Bytes(4 << 20));
        assert_eq!(Bytes(4 << 20).to_string(), "4MiB");
        assert_eq!(Bytes(1000).to_string(), "1000");
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_write() {
        let message = |text: &str| text.parse::<Listen>().unwrap_err().to_string();
        assert_eq!(message("8125"), "\"8125\" has no scheme; write udp://127.0.0.1:8125");
        assert_eq!(message("0.0.0.0:1"), "\"0.0.0.0:1\" has no scheme; write udp://0.0.0.0:1");
        assert_eq!(message("/run/x"), "\"/run/x\" has no scheme; write unix:/run/x");
        assert_eq!(
            message("udp://localhost:1"),
            "\"udp://localhost:1\" contains a host name; write an address such as 127.0.0.1:1"
        );
        assert_eq!(message("udp://:1"), "\"udp://:1\" has no address; write 0.0.0.0:1 for all of them");
        assert_eq!(message("udp://1.2.3.4"), "\"udp://1.2.3.4\" has no port; write it like 127.0.0.1:8125");
        assert!(message("http://1.2.3.4:1").starts_with("unsupported scheme \"http\""));
        assert!(message("unix:run/x").contains("no absolute path"));
        assert!(message(&format!("unix:/{}", "x".repeat(107))).contains("107 is the limit"));
        assert!(message("systemd:").contains("names no socket"));
        assert!("660x".parse::<Mode>().is_err() && "9999".parse::<Mode>().is_err());
        assert!("4 parsecs".parse::<Bytes>().is_err() && "99999999999GiB".parse::<Bytes>().is_err());
    }

    #[test]
    fn two_cannot_listen_at_one_place() {
        let clash =
            |one: &str, two: &str| one.parse::<Listen>().unwrap().clashes(&two.parse::<Listen>().unwrap());
        assert!(clash("udp://127.0.0.1:1", "udp://127.0.0.1:1"));
        assert!(clash("udp://127.0.0.1:1", "udp://0.0.0.0:1"));
        assert!(clash("udp://127.0.0.1:1", "udp://[::]:1"));
        assert!(clash("unix:/a", "unixgram:/a"));
        assert!(!clash("udp://[::1]:1", "udp://0.0.0.0:1"));
        assert!(!clash("udp://127.0.0.1:1", "tcp://127.0.0.1:1"));
        assert!(!clash("udp://127.0.0.1:0", "udp://127.0.0.1:0"));
    }
}
