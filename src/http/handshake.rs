//! The beginning of a connection with TLS: keys are agreed on, or it is said why not.
//!
//! How long that may take, and how many do it at once, is the pool's.

use std::fmt::Display;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{CertificateError, Error, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::metrics::{Own, Unshaken};
use crate::quote::quote;

/// How long a client has to go whose handshake failed.
const LINGER: Duration = Duration::from_secs(1);
/// What a client is told that speaks plain HTTP.
pub const NO_TLS: &str = "Client sent an HTTP request to an HTTPS server.\n";

/// The answer that says so.
fn no_tls() -> String {
    format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{NO_TLS}",
        NO_TLS.len()
    )
}

/// Agrees on keys with a client. Where that fails it is counted, and the client learns why.
pub(super) async fn shake(
    mut stream: TcpStream,
    tls: Arc<ServerConfig>,
    own: &Own,
    peer: IpAddr,
) -> Option<TlsStream<TcpStream>> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        // A port that is looked at, and closed.
        Ok(0) => {
            report(own, peer, "closed", &"the client closed the connection");
            return None;
        }
        Ok(_) if first[0].is_ascii_uppercase() => {
            report(own, peer, "plain", &"the client speaks HTTP without TLS");
            // Whether it arrives is the client's affair.
            drop(stream.write_all(no_tls().as_bytes()).await);
            linger(stream).await;
            return None;
        }
        _ => {}
    }
    match TlsAcceptor::from(tls).accept(stream).into_fallible().await {
        Ok(stream) => Some(stream),
        Err((why, stream)) => {
            report(own, peer, reason(&why), &why);
            linger(stream).await;
            None
        }
    }
}

/// Closes a connection so that the alert arrives that says why: what the client has sent meanwhile would else break it off.
async fn linger(mut stream: TcpStream) {
    let mut rest = [0; 512];
    let read = async {
        stream.shutdown().await?;
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    // Whether the client goes is its own affair.
    drop(tokio::time::timeout(LINGER, read).await);
}

fn reason(why: &io::Error) -> &'static str {
    match why.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        None => "closed",
        Some(Error::NoCertificatesPresented) => "certificate_missing",
        Some(Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => "certificate_expired",
        Some(Error::InvalidCertificate(_)) => "certificate_rejected",
        Some(Error::PeerIncompatible(_)) => "incompatible",
        Some(Error::AlertReceived(_)) => "rejected_by_client",
        Some(_) => "protocol",
    }
}

/// Counts a failure. In the log it is seen at the level of debugging: there is no limit to how many clients cause.
fn report(own: &Own, peer: IpAddr, reason: &'static str, why: &dyn Display) {
    own.handshakes_failed.get_or_create_owned(&Unshaken { reason }).inc();
    tracing::debug!(%peer, reason, "no connection with TLS: {}", quote(why));
}
