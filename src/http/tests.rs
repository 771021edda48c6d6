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

/// A web configuration beside the certificates of the tests, and the folder that it is in.
fn web(text: &str) -> WebConfig {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/web");
    let own = tempfile::tempdir().unwrap();
    for name in ["server.crt", "server.key"] {
        std::fs::copy(folder.join(name), own.path().join(name)).unwrap();
    }
    std::fs::write(own.path().join("web.yml"), text).unwrap();
    WebConfig::read(&own.path().join("web.yml")).unwrap()
}

const TLS: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n";

/// A client of TLS that trusts the authority of the tests.
async fn shake(server: &Server) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    use rustls::pki_types::pem::PemObject;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/web/ca.crt");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_file(path).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect("localhost".try_into().unwrap(), server.open().await).await
}

#[tokio::test]
async fn who_has_no_password_gets_nothing_and_a_known_one_is_let_in() {
    let server = Server::start();
    // alice: "secret", by crypt(3).
    server.site.set_web(web(
        "basic_auth_users: {alice: $2y$05$tAeZykWQp6jvLjIL8jbzi.I8c90Aow8BLQpXZr4gTfveBGPqODTyu}\n\
         http_server_config: {headers: {X-Frame-Options: deny, Content-Security-Policy: \"default-src 'self'\"}}\n",
    ));
    let ask = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}Connection: close\r\n\r\n")
    };
    for path in ["/metrics", "/", "/-/healthy", "/nothing", "/api/v1/query?query=up"] {
        assert_eq!(server.status(&ask(path, "")).await, 401, "{path}");
    }
    let wrong = "Authorization: Basic YWxpY2U6d3Jvbmc=\r\n";
    assert_eq!(server.status(&ask("/metrics", wrong)).await, 401);
    let nobody = "Authorization: Basic bm9ib2R5OnNlY3JldA==\r\n";
    assert_eq!(server.status(&ask("/metrics", nobody)).await, 401);
    let right = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
    assert_eq!(server.status(&ask("/metrics", right)).await, 200);
    let reload = format!(
        "POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{wrong}Connection: close\r\n\r\n"
    );
    assert_eq!((server.status(&reload).await, server.reloads()), (401, 0));
    let mut stream = server.open().await;
    stream.write_all(ask("/connect", right).as_bytes()).await.unwrap();
    let mut head = String::new();
    stream.read_to_string(&mut head).await.unwrap();
    assert!(head.contains("x-frame-options: deny"));
    // The page's own policy stays, and the other one restricts it further.
    assert_eq!(head.matches("content-security-policy: ").count(), 2);
}

#[tokio::test]
async fn requests_beyond_the_rate_are_refused() {
    let server = Server::start();
    server.site.set_web(web("rate_limit: {interval: 1h, burst: 3}\n"));
    let ask = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(server.status(ask).await);
    }
    assert_eq!(seen, [200, 200, 200, 429, 429]);
    // A reload of the same rate gives no new burst.
    server.site.set_web(web("rate_limit: {interval: 1h, burst: 3}\n"));
    assert_eq!(server.status(ask).await, 429);
}

#[tokio::test]
async fn with_tls_a_scrape_is_encrypted_and_plain_http_is_told_so() {
    let server = Server::start();
    server.site.set_web(web(TLS));
    let mut stream = shake(&server).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(
        text.starts_with("HTTP/1.1 200 OK")
            && text.contains("neural_agent_certificate_expiry_timestamp_seconds{")
    );
    let mut plain = server.open().await;
    plain.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(status(&mut plain).await, 400);
    let failed = |reason| server.site.own.handshakes_failed.get_or_create_owned(&Unshaken { reason }).get();
    assert_eq!((failed("plain"), failed("closed")), (1, 0));
    // Switched off again for who comes from now on.
    server.site.set_web(WebConfig::default());
    assert_eq!(
        server.status("GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await,
        200
    );
}

#[tokio::test]
async fn handshakes_that_are_not_finished_leave_a_place_for_a_scrape() {
    let server = Server::start();
    server.site.set_web(web(TLS));
    let mut kept = shake(&server).await.unwrap();
    let mut held = Vec::new();
    for number in 0..500 {
        let mut stream = server.open().await;
        // Some begin and do not go on.
        if number % 2 == 0 {
            stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
        }
        held.push(stream);
    }
    let mut stream = shake(&server).await.unwrap();
    for stream in [&mut kept, &mut stream] {
        stream
            .write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    }
}
