//! A connection to a mail server, read with a bound and by single lines.
//!
//! The client that reads it keeps what it was given ahead of what it needs. It is never given more than one line, so that words which
//! someone put behind the answer to STARTTLS are read as TLS, and fail, and not as answers of the server.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::{AsyncTokioStream, TlsParameters};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::compat::FuturesAsyncReadCompatExt;

/// Bytes that a server may say in one session, those of TLS included.
const MOST: usize = 1 << 20;
/// Bytes that are read at once.
const BLOCK: usize = 4096;

/// A stream that is read by lines.
#[derive(Debug)]
pub(super) struct Line<S> {
    stream: S,
    peer: io::Result<SocketAddr>,
    read: Vec<u8>,
    given: usize,
    left: usize,
}

impl<S> Line<S> {
    fn of(stream: S, peer: io::Result<SocketAddr>) -> Self {
        Self { stream, peer, read: Vec::new(), given: 0, left: MOST }
    }
}

impl Line<TcpStream> {
    /// A connection.
    pub(super) fn new(stream: TcpStream) -> Self {
        let peer = stream.peer_addr();
        Self::of(stream, peer)
    }
}

/// A connection over TLS from its first byte.
#[expect(deprecated, reason = "the client opens no such connection over a stream that it is given")]
pub(super) async fn encrypted(stream: TcpStream, tls: TlsParameters) -> Result<impl AsyncTokioStream, Error> {
    use lettre::transport::smtp::client::AsyncNetworkStream;
    let peer = stream.peer_addr();
    let mut stream = AsyncNetworkStream::use_existing_tokio1(Box::new(stream));
    stream.upgrade_tls(tls).await?;
    Ok(Line::of(stream.compat(), peer))
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.given == this.read.len() {
            let mut block = [0; BLOCK];
            let mut block = ReadBuf::new(&mut block);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut block))?;
            let read = block.filled();
            this.left = this.left.checked_sub(read.len()).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("it says more than {MOST} bytes"))
            })?;
            this.read.clear();
            this.read.extend_from_slice(read);
            this.given = 0;
        }
        let rest = this.read.get(this.given..).unwrap_or_default();
        let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let count = line.min(into.remaining());
        into.put_slice(rest.get(..count).unwrap_or_default());
        this.given += count;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin> AsyncTokioStream for Line<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.peer.as_ref().copied().map_err(|why| io::Error::new(why.kind(), why.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn line(text: &[u8]) -> Line<io::Cursor<Vec<u8>>> {
        let nowhere = io::Error::new(io::ErrorKind::NotConnected, "a test");
        Line::of(io::Cursor::new(text.to_vec()), Err(nowhere))
    }

    #[tokio::test]
    async fn no_more_than_a_line_is_given_at_once() {
        let mut line = line(b"220 go\r\n250 forged\r\nx");
        let mut given = Vec::new();
        let mut into = [0; 64];
        while let count @ 1.. = line.read(&mut into).await.unwrap() {
            given.push(String::from_utf8_lossy(&into[..count]).into_owned());
        }
        assert_eq!(given, ["220 go\r\n", "250 forged\r\n", "x"]);
    }

    #[tokio::test]
    async fn a_server_that_says_too_much_is_not_read_further() {
        let mut all = Vec::new();
        assert!(line(&vec![b'a'; MOST]).read_to_end(&mut all).await.is_ok());
        let why = line(&vec![b'a'; MOST + 1]).read_to_end(&mut all).await.unwrap_err();
        assert!(why.to_string().contains("more than"), "{why}");
    }
}
