//! Where a source listens, as users write it. It opens nothing.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Listen {
    /// `udp://127.0.0.1:8125`
    Udp(SocketAddr),
    /// `tcp://[::1]:9125`
    Tcp(SocketAddr),
    /// `unix:/run/neural-exporter/events.sock`: a stream.
    Unix(PathBuf),
    /// `unixgram:/run/neural-exporter/statsd.sock`: datagrams.
    Unixgram(PathBuf),
    /// `systemd:NAME`: a socket that systemd opened, by its `FileDescriptorName=`.
    Systemd(String),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(format!("\"{text}\" has no scheme; write it as udp://127.0.0.1:8125 or unix:/path"));
        };
        let address = || {
            let host = rest.strip_prefix("//").unwrap_or(rest);
            let wrong =
                |_| format!("\"{host}\" is not an address and port; write it as {scheme}://127.0.0.1:8125");
            host.replacen("localhost:", "127.0.0.1:", 1).parse().map_err(wrong)
        };
        let path = || match rest.strip_prefix("//").unwrap_or(rest) {
            "" => {
                Err(format!("\"{text}\" has no path; write it as {scheme}:/run/neural-exporter/events.sock"))
            }
            path if path.len() > 107 => {
                Err(format!("\"{path}\" is longer than a socket's path can be (107 bytes)"))
            }
            path => Ok(PathBuf::from(path)),
        };
        match scheme {
            "udp" => address().map(Self::Udp),
            "tcp" => address().map(Self::Tcp),
            "unix" => path().map(Self::Unix),
            "unixgram" => path().map(Self::Unixgram),
            "systemd" if !rest.is_empty() => Ok(Self::Systemd(rest.to_owned())),
            "systemd" => {
                Err("\"systemd:\" has no name; write the socket unit's FileDescriptorName= after it".into())
            }
            _ if scheme.parse::<std::net::IpAddr>().is_ok() || scheme == "localhost" => {
                Err(format!("\"{text}\" has no scheme; write udp://{text} or tcp://{text}"))
            }
            _ => Err(format!("\"{scheme}:\" is not a scheme; known are udp, tcp, unix, unixgram, systemd")),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(a) => write!(f, "udp://{a}"),
            Self::Tcp(a) => write!(f, "tcp://{a}"),
            Self::Unix(p) => write!(f, "unix:{}", p.display()),
            Self::Unixgram(p) => write!(f, "unixgram:{}", p.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

impl Serialize for Listen {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Listen {
    fn schema_name() -> Cow<'static, str> {
        "Listen".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where to listen: udp://127.0.0.1:8125, tcp://127.0.0.1:9125, unix:/path (a stream), \
                            unixgram:/path (datagrams) or systemd:NAME (a socket that systemd opened).",
            "type": "string",
            "format": "listen"
        })
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
            "unix:/run/a.sock",
            "unixgram:/run/b.sock",
            "systemd:events",
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        assert_eq!("udp://localhost:1".parse::<Listen>().unwrap(), "udp://127.0.0.1:1".parse().unwrap());
    }

    #[test]
    fn mistakes_say_how_to_write_it() {
        for (text, want) in [
            ("8125", "no scheme"),
            ("127.0.0.1:8125", "write udp://127.0.0.1:8125"),
            ("udp://8125", "write it as udp://"),
            ("http://127.0.0.1:80", "known are"),
            ("unix:", "no path"),
            ("systemd:", "FileDescriptorName"),
        ] {
            let message = text.parse::<Listen>().unwrap_err();
            assert!(message.contains(want), "{text}: {message}");
        }
    }
}
