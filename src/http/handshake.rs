//! The beginning of a connection with TLS: keys are agreed on, or it is said why not.
//!
//! How long that may take, and how many do it at once, is the pool's.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::{CertificateError, Error, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::metrics::{Own, Unshaken};
use crate::quote::quote;

/// What a client is told that speaks plain HTTP.
pub const NO_TLS: &str = "Client sent an HTTP request to an HTTPS server.\n";

/// The answer that says so.
fn no_tls() -> String {
    format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{NO_TLS}",
        NO_TLS.len()
    )
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct Failure {
    reason: &'static str,
    why: String,
}

/// Agrees on keys with a client.
pub(super) async fn shake(
    mut stream: TcpStream,
    tls: Arc<ServerConfig>,
) -> Result<TlsStream<TcpStream>, Failure> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        // A port that is looked at, and closed.
        Ok(0) => {
            return Err(Failure { reason: "closed", why: "the client closed the connection".to_owned() });
        }
        Ok(_) if first[0].is_ascii_uppercase() => {
            // Whether it arrives is the client's affair.
            drop(stream.write_all(no_tls().as_bytes()).await);
            drop(stream.shutdown().await);
            return Err(Failure { reason: "plain", why: "the client speaks HTTP without TLS".to_owned() });
        }
        _ => {}
    }
    TlsAcceptor::from(tls).accept(stream).await.map_err(|why| failure(&why))
}

fn failure(why: &io::Error) -> Failure {
    let inner = why.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let reason = match inner {
        None => "closed",
        Some(Error::NoCertificatesPresented) => "certificate_missing",
        Some(Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => "certificate_expired",
        Some(Error::InvalidCertificate(_)) => "certificate_rejected",
        Some(Error::PeerIncompatible(_)) => "incompatible",
        Some(Error::AlertReceived(_)) => "rejected_by_client",
        Some(_) => "protocol",
    };
    Failure { reason, why: why.to_string() }
}

/// Counts a failure. In the log it is seen at the level of debugging: there is no limit to how many clients cause.
pub(super) fn report(own: &Own, peer: IpAddr, failure: &Failure) {
    let Failure { reason, why } = failure;
    own.handshakes_failed.get_or_create_owned(&Unshaken { reason }).inc();
    tracing::debug!(%peer, reason, "no connection with TLS: {}", quote(why));
}
