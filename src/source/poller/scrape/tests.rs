//! Endpoints that are asked, over sockets.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::event::SourceId;

use super::*;

/// Answers every request with what `answer` says to its text.
async fn endpoint(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let Ok(byte) = peer.read_u8().await else { break };
                request.push(byte);
            }
            let text = answer(&String::from_utf8(request).unwrap());
            let _ = peer.write_all(text.as_bytes()).await;
        }
    });
    format!("http://{address}/metrics")
}

fn answer(media: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

async fn fetch(settings: Settings) -> Result<Answer, String> {
    let scrape = Scrape::open(settings).unwrap();
    let place = scrape.place().await?;
    scrape.fetch(&place).await
}

fn why(answer: Result<Answer, String>) -> String {
    answer.map(|answer| answer.body.len()).unwrap_err()
}

#[tokio::test]
async fn it_asks_like_prometheus_and_reads_by_content_type() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "s3cret\n").unwrap();
    let asked = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&asked);
    let url = endpoint(move |request| {
        request.clone_into(&mut heard.lock().unwrap());
        answer("application/openmetrics-text; version=1.0.0", "a 1\n# EOF\n")
    })
    .await;
    let mut settings = Settings::new("s", url);
    settings.bearer_token_file = Some(file);
    settings.headers.insert("X-Lab".into(), "3".into());
    let answer = fetch(settings).await.unwrap();
    assert_eq!((answer.dialect, &*answer.body), (Dialect::OpenMetrics, &b"a 1\n# EOF\n"[..]));
    let asked = asked.lock().unwrap().to_lowercase();
    for line in [
        "accept: application/openmetrics-text;version=1.0.0",
        "accept-encoding: identity",
        "authorization: bearer s3cret",
        "x-lab: 3",
        "x-prometheus-scrape-timeout-seconds: 3",
    ] {
        assert!(asked.contains(line), "{line} in {asked}");
    }
}

#[tokio::test]
async fn the_url_of_a_file_is_the_one_that_it_holds_now() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let (one, other) = (
        endpoint(|_| answer("text/plain", "a 1\n")).await,
        endpoint(|_| answer("text/plain", "b 2\n")).await,
    );
    std::fs::write(&file, format!("{one}\n")).unwrap();
    let scrape = Scrape::open(Settings { url_file: Some(file.clone()), ..Settings::new("s", "") }).unwrap();
    let ask = async || {
        let place = scrape.place().await?;
        scrape.fetch(&place).await.map(|answer| String::from_utf8(answer.body).unwrap())
    };
    assert_eq!(ask().await.unwrap(), "a 1\n");
    let before = scrape.place().await.unwrap();
    assert!(Arc::ptr_eq(&before, &scrape.place().await.unwrap()), "its connections are kept");
    std::fs::write(&file, &other).unwrap();
    assert_eq!(ask().await.unwrap(), "b 2\n");
    std::fs::write(&file, "ftp://h/?token=hunter2").unwrap();
    let why = ask().await.unwrap_err();
    assert!(why.contains("use http or https") && !why.contains("hunter2"), "{why}");
    std::fs::remove_file(&file).unwrap();
    let why = ask().await.unwrap_err();
    assert!(why.starts_with("cannot scrape \"s\": ") && why.contains("url"), "{why}");
    std::fs::write(&file, &one).unwrap();
    assert_eq!(ask().await.unwrap(), "a 1\n");
}

#[tokio::test]
async fn openmetrics_that_is_none_is_asked_for_as_text() {
    let url = endpoint(|request| {
        if request.contains("openmetrics") {
            answer("application/openmetrics-text", "a 1\n")
        } else {
            answer("text/plain", "a 1\nb 2\na 3\n<br>\n")
        }
    })
    .await;
    let hub = Arc::new(crate::hub::Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("s"), "s");
    let scrape = Scrape::open(Settings::new("s", url)).unwrap();
    assert!(scrape.scrape(feed.clone()).await.unwrap_err().contains("without # EOF"));
    assert_eq!(scrape.scrape(feed).await, Ok(()));
    let read = |family: &str, labels: &str| hub.lock().registry.number(family, labels);
    assert_eq!(read("a", "source=\"s\""), Some(1.0));
    assert_eq!(read("neural_source_events", "source=\"s\""), Some(2.0), "each sample is one event");
    for kind in ["truncated", "conflict", "bad_name"] {
        let labels = format!("source=\"s\",reason=\"{kind}\"");
        assert_eq!(read("neural_source_errors", &labels), Some(1.0), "{kind}");
    }
}

#[tokio::test]
async fn what_fails_says_what_and_where() {
    let url = endpoint(|_| answer("text/html", "<html>")).await;
    assert!(why(fetch(Settings::new("s", &url)).await).contains("text/html is not a format of metrics"));

    let big = endpoint(|_| answer("text/plain", &"a 1\n".repeat(100))).await;
    let settings = Settings { body_limit: 100, ..Settings::new("s", big) };
    assert!(why(fetch(settings).await).contains("more than 100 bytes; raise body_limit"));

    let endless = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = "40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n";
    let endless = endpoint(move |_| format!("{endless}{}", chunk.repeat(100))).await;
    let settings = Settings { body_limit: 100, ..Settings::new("s", endless) };
    assert!(why(fetch(settings).await).contains("more than 100 bytes"));

    let shut = endpoint(|_| "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".into()).await;
    assert!(why(fetch(Settings::new("s", shut)).await).contains("401 Unauthorized; set bearer_token_file"));

    let away = "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n";
    let away = endpoint(move |_| away.into()).await;
    let why_away = why(fetch(Settings::new("s", away)).await);
    assert!(why_away.contains("it redirects to another host; set url"), "{why_away}");

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let hidden = format!("http://user:hunter2@{nobody}/metrics?key=hunter3");
    let refused = why(fetch(Settings::new("s", hidden)).await);
    assert!(refused.contains("check that it runs") && !refused.contains("hunter"), "{refused}");
}

#[test]
fn bad_settings_are_refused_at_once() {
    let open = |change: &dyn Fn(&mut Settings)| {
        let mut settings = Settings::new("s", "http://127.0.0.1:1/metrics");
        change(&mut settings);
        Scrape::open(settings).map(|_| ()).unwrap_err()
    };
    assert!(open(&|s| s.url = "metrics".into()).contains("its url is not one"));
    assert!(open(&|s| s.url = "ftp://h/".into()).contains("use http or https"));
    assert!(open(&|s| s.interval = Span::millis(1)).contains("shortest interval"));
    assert!(open(&|s| s.keep = vec!["(".into()]).contains("not a regular expression"));
    assert!(open(&|s| s.ca_file = Some("/nowhere".into())).contains("/nowhere"));
    assert!(
        open(&|s| {
            s.headers.insert("Authorization".into(), "x".into());
        })
        .contains("is a secret")
    );
}

#[tokio::test]
async fn it_runs_on_any_thread_until_it_is_stopped() {
    let url = endpoint(|_| answer("text/plain", "a 1\n")).await;
    let stop = CancellationToken::new();
    let feed = Feed::new(Arc::default(), SourceId(0), "test");
    let task = tokio::spawn(run(Settings::new("s", url), feed, stop.clone()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!task.is_finished());
    stop.cancel();
    task.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let settings = Settings { timeout: Span::millis(100), ..Settings::new("s", url) };
    let late = why(fetch(settings).await);
    assert!(late.contains("raise timeout"), "{late}");
}

#[test]
fn every_setting_is_described() {
    let schema = schemars::schema_for!(Settings).to_value();
    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(properties.len(), 18);
    for (name, property) in properties {
        assert!(property["description"].is_string(), "{name}: {property}");
    }
}

#[test]
fn settings_are_read_with_their_defaults_and_without_unknown_keys() {
    let text = "{name: engine, url: 'http://127.0.0.1:2242/metrics', profile: aphrodite, rest: keep}";
    let read: Settings = serde_yaml::from_str(text).unwrap();
    let usual = Settings::new("engine", "http://127.0.0.1:2242/metrics");
    assert_eq!(read, Settings { profile: Some(Profile::Aphrodite), rest: Rest::Keep, ..usual });
    assert!(serde_yaml::from_str::<Settings>("{name: a, url: b, urll: c}").is_err());
}
