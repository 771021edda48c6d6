//! Probes, over sockets.

use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::hub::Hub;
use crate::source::aside::tests::feed;

fn settings(check: &str, more: &str) -> Settings {
    let text = format!(r#"{{"name": "p", "check": {check}, "interval": "100ms", "timeout": "300ms"{more}}}"#);
    serde_json::from_str(&text).unwrap()
}

/// A server that answers every request with the status that stands there, 0 being none, and its address.
async fn server(status: Arc<AtomicU16>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            let status = status.load(Ordering::Relaxed);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = peer.read_u8().await else { return };
                    request.push(byte);
                }
                if status == 0 {
                    std::future::pending::<()>().await;
                }
                // The body is announced and never sent: who waits for it hangs.
                let head = format!(
                    "HTTP/1.1 {status} X\r\nLocation: /elsewhere?token=hunter22\r\nContent-Length: 9\r\n\r\n"
                );
                let _ = peer.write_all(head.as_bytes()).await;
                std::future::pending::<()>().await;
            });
        }
    });
    format!("http://{address}/health")
}

async fn once(settings: &Settings) -> Outcome {
    settings.attempt(&settings.open().unwrap()).await.0
}

#[tokio::test]
async fn an_answer_is_judged_by_its_status_alone() {
    let status = Arc::new(AtomicU16::new(204));
    let url = server(status.clone()).await;
    let any = settings(&format!(r#"{{"http": {{"url": "{url}"}}}}"#), "");
    assert_eq!(once(&any).await, Outcome::Good);
    status.store(503, Ordering::Relaxed);
    assert_eq!(once(&any).await, Outcome::Bad("it answers 503 Service Unavailable".into()));
    status.store(302, Ordering::Relaxed);
    let Outcome::Bad(why) = once(&any).await else { panic!("it was followed") };
    assert!(why.starts_with("it answers 302 Found, to /elsewhere") && !why.contains("hunter22"), "{why}");
    let some = settings(&format!(r#"{{"http": {{"url": "{url}", "status": [302, 401]}}}}"#), "");
    assert_eq!(once(&some).await, Outcome::Good);
    status.store(200, Ordering::Relaxed);
    assert_eq!(once(&some).await, Outcome::Bad("it answers 200 OK".into()));
    status.store(0, Ordering::Relaxed);
    let why = once(&some).await;
    assert!(matches!(&why, Outcome::Silent(_)), "{why:?}");
}

/// Waits until a probe has so many seconds, or attempts, as is asked of the hub.
async fn until(hub: &Hub, true_of: impl Fn(&dyn Fn(&str) -> Option<f64>) -> bool) {
    for _ in 0..1000 {
        let read = |family: &str| hub.lock().registry.number(family, "source=\"p\"");
        if true_of(&read) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen");
}

#[tokio::test]
async fn a_target_that_is_down_is_no_source_that_is_down() {
    let status = Arc::new(AtomicU16::new(200));
    let url = server(status.clone()).await;
    let probe =
        settings(&format!(r#"{{"http": {{"url": "{url}"}}}}"#), r#", "failures": 2, "critical": true"#);
    let (hub, feed) = feed("p");
    let stop = CancellationToken::new();
    let task = tokio::spawn(run(probe.clone(), probe.open().unwrap(), feed, stop.clone()));
    until(&hub, |read| read("neural_probe_status") == Some(0.0)).await;
    let read = |family: &str| hub.lock().registry.number(family, "source=\"p\"");
    assert_eq!((read("neural_source_up"), read("neural_probe_success")), (Some(1.0), Some(1.0)));
    assert_eq!(read("neural_probe_critical"), Some(1.0));
    let took = read("neural_probe_duration_seconds");
    assert!(took.is_some());
    // A server that hangs: the state stays what it was for one attempt, and the duration is that of the last answer.
    status.store(0, Ordering::Relaxed);
    until(&hub, |read| read("neural_probe_success") == Some(0.0)).await;
    until(&hub, |read| read("neural_probe_status") == Some(2.0)).await;
    assert_eq!((read("neural_source_up"), read("neural_source_poll_failures")), (Some(1.0), Some(0.0)));
    assert!(read("neural_probe_duration_seconds").is_some_and(|seconds| seconds < 0.3));
    status.store(500, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(read("neural_probe_status"), Some(2.0));
    status.store(200, Ordering::Relaxed);
    until(&hub, |read| read("neural_probe_status") == Some(0.0)).await;
    let spent = |state| {
        hub.lock().registry.number("neural_probe_state_seconds", &format!("source=\"p\",state=\"{state}\""))
    };
    assert!(spent("healthy").unwrap() > 0.0 && spent("unhealthy").unwrap() > 0.3);
    assert_eq!(spent("degraded"), Some(0.0));
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn an_attempt_that_cannot_be_made_is_a_source_that_is_down() {
    let probe = settings(r#"{"command": ["/nowhere/at/all"]}"#, "");
    let (hub, feed) = feed("p");
    let stop = CancellationToken::new();
    let task = tokio::spawn(run(probe.clone(), probe.open().unwrap(), feed, stop.clone()));
    until(&hub, |read| read("neural_source_polls").is_some_and(|polls| polls > 3.0)).await;
    let read = |family: &str| hub.lock().registry.number(family, "source=\"p\"");
    assert_eq!((read("neural_source_up"), read("neural_probe_status")), (Some(0.0), Some(3.0)));
    assert_eq!(read("neural_probe_duration_seconds"), None);
    assert!(hub.lock().why("p").unwrap().starts_with("cannot run /nowhere/at/all"));
    stop.cancel();
    task.await.unwrap();
}

#[test]
fn settings_are_read_and_written() {
    let all = [
        r#"{"http": {"url": "https://lab/health", "status": [200], "headers": {"X-A": "b"}}}"#,
        r#"{"tcp": "127.0.0.1:1883"}"#,
        r#"{"unix": "/run/postgresql/.s.PGSQL.5432"}"#,
        r#"{"process": "LabRecorder"}"#,
        r#"{"unit": "neural-pipeline.service"}"#,
        r#"{"command": ["/usr/local/bin/check", "--fast"]}"#,
        r#"{"dns": "lab.example"}"#,
    ];
    for check in all {
        let read: Settings = serde_json::from_str(&format!(r#"{{"name": "p", "check": {check}}}"#)).unwrap();
        assert_eq!((read.interval, read.timeout, read.failures), (interval(), timeout(), 3));
        let again = serde_json::from_str::<Settings>(&serde_json::to_string(&read).unwrap());
        assert!(check.contains("X-A") || again.unwrap() == read, "{check}");
    }
    for wrong in
        [r#"{"tcp": "a:1", "dns": "a"}"#, r#"{"ping": "a"}"#, r#"{"http": {"url": "http://a", "body": ""}}"#]
    {
        assert!(serde_json::from_str::<Settings>(&format!(r#"{{"name": "p", "check": {wrong}}}"#)).is_err());
    }
}
