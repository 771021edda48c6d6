//! The server on a socket, asked as clients ask it.

use std::collections::HashMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::analysis::{Budget, Peaks};
use crate::metrics::{Limits, Registry};

/// A server on a port of its own, that counts how often somebody asked for a reload.
struct Server {
    at: std::net::SocketAddr,
    reloads: Arc<std::sync::atomic::AtomicU64>,
    site: Arc<Site>,
    _stop: tokio_util::sync::DropGuard,
}

impl Server {
    fn start() -> Self {
        let registry = Registry::new(&[], Limits::default(), HashMap::new());
        let hub = Hub::new(registry, Budget::default(), Peaks::new(Duration::from_secs(1)));
        let (ask, mut asked) = mpsc::channel::<Reload>(1);
        let site = Site::new(hub, Arc::new(Own::new()), ask);
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, site.clone(), stop.clone()));
        let reloads = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let count = reloads.clone();
        tokio::spawn(async move {
            while let Some(answer) = asked.recv().await {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                drop(answer.send(Ok("reloaded".to_owned())));
            }
        });
        Self { at, reloads, site, _stop: stop.drop_guard() }
    }

    async fn open(&self) -> TcpStream {
        TcpStream::connect(self.at).await.unwrap()
    }

    fn reloads(&self) -> u64 {
        self.reloads.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// The status of one request on a connection of its own.
    async fn status(&self, request: &str) -> u16 {
        let mut stream = self.open().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        status(&mut stream).await
    }
}

/// Reads one answer and gives its status; 0 if the server ended the connection instead.
async fn status(stream: &mut TcpStream) -> u16 {
    let reading = async {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => text.push(byte),
                Err(_) => return 0,
            }
        }
        let head = String::from_utf8(text).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await.unwrap();
        head.split(' ').nth(1).unwrap().parse().unwrap()
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("no answer")
}

#[tokio::test]
async fn every_connection_that_is_held_gives_way_to_a_scrape() {
    let server = Server::start();
    // More than sockets take that hardly have a buffer.
    let big = "x".repeat(256 << 10);
    server.site.sources.store(Arc::new(vec![Listed {
        name: big,
        kind: "test",
        place: String::new(),
        trouble: None,
    }]));
    let holds: [&str; 4] = [
        "",
        "GET /metrics HTTP/1.1\r\nHo",
        // A long reply that nobody reads, and more of the kind.
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ];
    for hold in holds {
        let mut held = Vec::new();
        for _ in 0..260 {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let mut stream = socket.connect(server.at).await.unwrap();
            drop(stream.write_all(hold.as_bytes()).await);
            held.push(stream);
        }
        for _ in 0..3 {
            assert_eq!(server.status("GET /metrics HTTP/1.1\r\nHost: any.name\r\n\r\n").await, 200, "{hold}");
        }
    }
    assert_eq!(server.reloads(), 0);
}

#[tokio::test]
async fn bodies_are_read_to_their_end_within_limits() {
    let server = Server::start();
    let chunked = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut stream = server.open().await;
    // Two on one connection: the second is understood because the first was read.
    for _ in 0..2 {
        stream.write_all(format!("{chunked}3\r\nabc\r\n2\r\nde\r\n").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(b"0\r\nTrailer: x\r\n\r\n").await.unwrap();
        assert_eq!(status(&mut stream).await, 200);
    }
    assert_eq!(server.reloads(), 2);
    let long = format!("{chunked}{:x}\r\n{}", BODY + 1, "x".repeat(BODY + 1));
    assert_eq!(server.status(&long).await, 413);
    let told = "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n";
    assert_eq!(server.status(told).await, 413);
    assert_eq!(server.status(&format!("{chunked}no number\r\n")).await, 400);
    assert_eq!(server.reloads(), 2);
    assert_eq!(server.status("GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await, 200);
}

#[tokio::test]
async fn nothing_is_changed_from_another_page_or_under_another_name() {
    let server = Server::start();
    for (head, status) in [
        ("Host: evil.example", 403),
        ("Host: evil.example\r\nOrigin: http://evil.example", 403),
        ("Host: localhost\r\nOrigin: http://evil.example", 403),
        ("Host: localhost\r\nOrigin: null", 403),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site", 403),
        ("Accept: */*", 400),
    ] {
        for method in ["POST", "PUT"] {
            let request = format!("{method} /-/reload HTTP/1.1\r\n{head}\r\n\r\n");
            assert_eq!(server.status(&request).await, status, "{head}");
        }
    }
    assert_eq!(server.reloads(), 0);
    let own = format!("POST /-/reload HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\n\r\n", server.at);
    assert_eq!(server.status(&own).await, 200);
    let listed = "POST /-/reload HTTP/1.1\r\nHost: lab.example\r\n\r\n";
    server.site.names.store(Arc::new(Names::new(["lab.example".to_owned()])));
    assert_eq!(server.status(listed).await, 200);
    assert_eq!(server.reloads(), 2);
    assert_eq!(server.status("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").await, 403);
    for path in ["/metrics", "/-/ready", "/api/v1/sd"] {
        assert_eq!(
            server.status(&format!("GET {path} HTTP/1.1\r\nHost: any.name\r\n\r\n")).await,
            200,
            "{path}"
        );
    }
    assert_eq!(server.status("DELETE /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await, 405);
}

#[tokio::test]
async fn scrapes_at_the_same_time_are_whole_each() {
    let limits = Limits { series_per_family: 2, ..Limits::default() };
    let registry = Registry::new(crate::catalog::PAGES, limits, HashMap::new());
    let hub = Hub::new(registry, Budget::default(), Peaks::new(Duration::from_secs(1)));
    let source = hub.add_source("s");
    for number in 0..50 {
        let pipeline = &*format!("p{number}");
        let stage = crate::event::Stage {
            pipeline,
            stage: "s",
            seconds: 0.1,
            error: None,
            items: None,
            ended: None,
            trace: None,
        };
        hub.lock().fold(&crate::event::Event { at: now(), source, body: crate::event::Body::Stage(stage) });
    }
    let site = Site::new(hub, Arc::new(Own::new()), mpsc::channel(1).0);
    let refused = |site: &Site| {
        let text = site.metrics(&header::HeaderMap::new()).into_body();
        let text = String::from_utf8(text.to_vec()).unwrap();
        let mut lines: Vec<_> = text
            .lines()
            .filter(|l| l.starts_with("neural_agent_series_refused"))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    let want = refused(&site);
    assert!(want.len() >= 2 && want.iter().any(|line| line.ends_with(" 48")), "{want:?}");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| assert_eq!(refused(&site), want)));
        }
    });
}
