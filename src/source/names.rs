//! Names of machines, looked up on threads of their own: a name server that is gone takes half a minute to say so, and would
//! fill the threads that others need.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::TcpStream;

use super::aside::apart;

/// How long a look-up may take; who asks is usually less patient.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks names up for the HTTP client.
#[derive(Debug)]
pub(super) struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = look_up(name.as_str().to_owned(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Connects to `address`: an IP address or a name, a colon and a port.
pub(super) async fn connect(address: &str) -> io::Result<TcpStream> {
    if let Ok(address) = address.parse::<SocketAddr>() {
        return TcpStream::connect(address).await;
    }
    let port = address.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
    let Some((name, port)) = port else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it has no port"));
    };
    TcpStream::connect(&*look_up(name.to_owned(), port).await?).await
}

/// The addresses of a name, with this port.
pub(super) async fn look_up(name: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    let key = format!("the name server for {name}");
    let found = apart(&key, PATIENCE, move || (&*name, port).to_socket_addrs().map(Vec::from_iter));
    found.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_and_addresses_are_connected_to() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            connect(&format!("{host}:{port}")).await.unwrap();
        }
        assert!(connect("localhost").await.is_err() && connect("no such name:80").await.is_err());
    }
}
