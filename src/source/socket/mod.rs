//! Sockets that listen: UDP, TCP, Unix streams and Unix datagrams.
//!
//! Binding is apart from serving, so that a taken address is known before anything runs and a
//! socket can outlive a change of settings. It does not know what the bytes mean.

mod bound;
mod client;
mod datagram;
pub mod jsonl;
pub mod otlp;
mod pace;
mod place;
mod shares;
pub mod statsd;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Feed;
use crate::decode::Decoder;
use crate::event::{Body, Link};
use bound::Opened;
pub use bound::{Bound, Options, bind, group_id};
pub use place::{claim_folder, events_socket};

/// Makes the decoder of one connection or datagram socket.
pub type NewDecoder = dyn Fn() -> Box<dyn Decoder> + Send + Sync;

/// Reads a bound socket until it is cancelled.
///
/// `stop` ends the reading of datagrams and the accepting of connections; `cut` ends open
/// connections as well. Connections run on `tracker`.
pub async fn serve(
    bound: Arc<Bound>,
    new_decoder: Arc<NewDecoder>,
    feed: Feed,
    stop: CancellationToken,
    cut: CancellationToken,
    tracker: TaskTracker,
) {
    feed.send(Body::Link(Link::Up));
    match &bound.socket {
        Opened::Datagrams(socket) => {
            if let Err(error) = datagram::read(&bound, socket, &*new_decoder, &feed, &stop).await {
                say!(feed, error, "cannot read the socket any more", %error);
                feed.down(&format!("cannot read the socket any more: {error}"));
                feed.send(Body::Link(Link::Down));
            }
            // The next reader of the socket says it again.
            feed.close(&bound.listen);
        }
        Opened::Tcp(_) | Opened::Unix(_) => {
            client::serve(&bound, &new_decoder, &feed, &stop, &cut, &tracker).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::decode::Protocol;
    use crate::hub::Hub;

    /// What fills several batches is read to its end, also when nothing comes after it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_last_datagram_of_a_burst_does_not_wait_for_the_next() {
        let hub = Arc::new(Hub::default());
        let feed = Feed::new(hub.clone(), hub.add_source("s"), "s");
        let options = Options {
            receive_buffer: 4 << 20,
            mode: 0o600,
            group: None,
            connections: 1,
            ask: Duration::from_secs(3600),
        };
        let bound = bind(&"udp://127.0.0.1:0".parse().unwrap(), &options, &mut Vec::new()).unwrap();
        let Opened::Datagrams(socket) = &bound.socket else { panic!("a datagram socket") };
        let to = socket.local_addr().unwrap().as_socket().unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let lines = "burst:1|c\n".repeat(100);
        for _ in 0..400 {
            sender.send_to(lines.as_bytes(), to).unwrap();
        }
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let new_decoder: Arc<NewDecoder> = Arc::new(|| Protocol::Statsd.decoder());
        let tracker = TaskTracker::new();
        let reader = tokio::spawn(serve(Arc::new(bound), new_decoder, feed, stop.clone(), cut, tracker));
        let counted = || hub.lock().registry.number("burst", "");
        for _ in 0..200 {
            if counted() == Some(40_000.0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(counted(), Some(40_000.0));
        stop.cancel();
        reader.await.unwrap();
    }
}
