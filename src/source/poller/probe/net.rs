//! Whether something accepts connections, or a name has an address.
//!
//! A connection is closed as soon as it stands: nothing is sent, and nothing is read.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};

use super::state::Outcome;
use super::target::{Ask, Target};
use crate::source::aside::apart;
use crate::source::names;

/// A host, a colon and a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Tcp(String);

impl Target for Tcp {
    fn place(&self) -> String {
        format!("tcp://{}", self.0)
    }

    fn open(&self, _name: &str, _timeout: Duration) -> Result<Ask, String> {
        let address = self.0.clone();
        let named = || {
            let (host, port) = address.rsplit_once(':')?;
            Some(
                !host.is_empty()
                    && !host.contains([' ', '/', ':'])
                    && port.parse::<u16>().is_ok_and(|port| port > 0),
            )
        };
        if address.parse::<SocketAddr>().is_err() && named() != Some(true) {
            return Err(format!("\"{address}\" is no host with a port; write it as host:port"));
        }
        Ok(Box::new(move || {
            let address = address.clone();
            Box::pin(async move {
                match names::connect(&address).await {
                    Ok(_) => Outcome::Good,
                    Err(why) => Outcome::Silent(format!("cannot connect to {address}: {why}")),
                }
            })
        }))
    }
}

/// The socket's path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Unix(PathBuf);

impl Target for Unix {
    fn place(&self) -> String {
        format!("unix:{}", self.0.display())
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.0]
    }

    fn open(&self, _name: &str, timeout: Duration) -> Result<Ask, String> {
        let path = self.0.clone();
        SockAddr::unix(&path).map_err(|why| format!("{} is no path of a socket: {why}", path.display()))?;
        Ok(Box::new(move || {
            let path = path.clone();
            Box::pin(async move {
                let cannot = |why: &dyn std::fmt::Display| {
                    Outcome::Silent(format!("cannot connect to {}: {why}", path.display()))
                };
                let key = path.display().to_string();
                let at = path.clone();
                match apart(&key, timeout, move || connect(&at)).await {
                    Ok(Ok(())) => Outcome::Good,
                    Ok(Err(why)) if why.kind() == io::ErrorKind::WouldBlock => {
                        cannot(&"connections wait there already, and nobody accepts them")
                    }
                    Ok(Err(why)) => cannot(&why),
                    Err(why) => cannot(&why),
                }
            })
        }))
    }
}

/// Connects without waiting for room in the queue of the socket. The path may be on a disk that does not answer.
fn connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// The name of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Dns(String);

impl Target for Dns {
    fn place(&self) -> String {
        format!("the addresses of {}", self.0)
    }

    fn open(&self, _name: &str, _timeout: Duration) -> Result<Ask, String> {
        let name = self.0.clone();
        if name.parse::<IpAddr>().is_ok() {
            return Err(format!("{name} is an address already; write a name"));
        }
        if name.is_empty() || name.contains([' ', '/', ':']) {
            return Err(format!("\"{name}\" is no name of a host; write it without scheme and port"));
        }
        Ok(Box::new(move || {
            let name = name.clone();
            Box::pin(async move {
                match names::look_up(name.clone(), 0).await {
                    Ok(found) if found.is_empty() => Outcome::Bad(format!("{name} has no address")),
                    Ok(_) => Outcome::Good,
                    Err(why) => Outcome::Silent(format!("cannot resolve {name}: {why}")),
                }
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    async fn ask(target: &dyn Target) -> Outcome {
        target.open("p", SOON).unwrap()().await
    }

    fn wrong(target: &dyn Target) -> String {
        target.open("p", SOON).err().unwrap_or_default()
    }

    #[tokio::test]
    async fn a_port_that_listens_is_well_and_one_that_is_closed_is_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(ask(&Tcp(format!("{host}:{port}"))).await, Outcome::Good);
        }
        // An address of its own: a port that is free on the usual one is another test's at once.
        let closed = std::net::TcpListener::bind("127.84.1.9:0").unwrap().local_addr().unwrap();
        let Outcome::Silent(why) = ask(&Tcp(closed.to_string())).await else { panic!("it answers") };
        assert!(why.starts_with(&format!("cannot connect to {closed}: ")), "{why}");
        for text in ["", "host", "host:", ":80", "host:0", "host:http", "http://host:80", "::1:80:"] {
            assert!(wrong(&Tcp(text.into())).contains("host:port"), "{text}");
        }
        assert_eq!(wrong(&Tcp("[::1]:80".into())), "");
    }

    #[tokio::test]
    async fn a_socket_whose_queue_is_full_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert!(ask(&Unix(path.clone())).await.why().contains("No such file"));
        std::fs::write(&path, "").unwrap();
        assert!(ask(&Unix(path.clone())).await.why().contains("refused"));
        std::fs::remove_file(&path).unwrap();
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(0).unwrap();
        assert_eq!(ask(&Unix(path.clone())).await, Outcome::Good);
        // What the probe closed still waits to be accepted.
        let why = ask(&Unix(path)).await;
        assert!(matches!(&why, Outcome::Silent(why) if why.contains("nobody accepts")), "{why:?}");
        assert!(wrong(&Unix("/x".repeat(100).into())).contains("no path of a socket"));
    }

    #[tokio::test]
    async fn a_name_is_resolved_and_an_address_is_none() {
        assert_eq!(ask(&Dns("localhost".into())).await, Outcome::Good);
        let why = ask(&Dns("no-such-name.invalid".into())).await;
        assert!(matches!(&why, Outcome::Silent(why) if why.contains("no-such-name.invalid")), "{why:?}");
        assert!(wrong(&Dns("127.0.0.1".into())).contains("is an address already"));
        for text in ["", "a b", "http://lab", "lab:80"] {
            assert!(wrong(&Dns(text.into())).contains("no name of a host"), "{text}");
        }
    }
}
