//! Spans that are sent to a server that answers what it is told to.

use std::collections::VecDeque;
use std::num::NonZeroU128;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::event::{Body, Event, SourceId, Stage, Timestamp, Trace, TraceId};
use crate::trace::Sampling;

/// What a server does with the next request.
type Answers = Arc<Mutex<VecDeque<String>>>;

/// A server that gives these answers, then 200. Returns where it is, and the bodies that it was sent.
async fn server(answers: &[&str]) -> (String, Arc<Mutex<Vec<(String, Vec<u8>)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers: Answers = Arc::new(Mutex::new(answers.iter().map(|text| (*text).to_owned()).collect()));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answers, seen) = (answers.clone(), all.clone());
            tokio::spawn(async move {
                let mut read = Vec::new();
                loop {
                    let end = read.windows(4).position(|four| four == b"\r\n\r\n");
                    let Some(end) = end else {
                        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                            return;
                        }
                        continue;
                    };
                    let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
                    let length =
                        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                    let length: usize = length.unwrap_or(0);
                    while read.len() < end + 4 + length {
                        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let rest = read.split_off(end + 4 + length);
                    seen.lock().push((head, read[end + 4..].to_vec()));
                    read = rest;
                    let answer = answers.lock().pop_front();
                    let answer = answer.unwrap_or_else(|| "200 OK\r\n".to_owned());
                    let text = format!("HTTP/1.1 {answer}content-length: 0\r\n\r\n");
                    if stream.write_all(text.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, seen)
}

fn hub() -> Arc<Hub> {
    let hub = Arc::new(Hub::default());
    hub.lock().collect_traces(Some(Arc::new(Sampling::new(&Default::default()))), 7);
    hub
}

fn span(hub: &Hub, number: u128) {
    let trace = NonZeroU128::new(number).map(|id| Trace::of(TraceId(id)));
    let body = Body::Stage(Stage {
        pipeline: "p",
        stage: "s",
        seconds: 0.1,
        error: None,
        items: None,
        ended: None,
        trace,
    });
    let at = Timestamp::both(1_700_000_000_000_000_000);
    hub.lock().fold(&Event { at, source: SourceId(0), body });
}

fn settings_of(url: &str) -> Settings {
    let text = format!("{{\"interval\": \"100ms\", \"targets\": [{{\"url\": \"{url}\"}}]}}");
    serde_json::from_str(&text).unwrap()
}

/// Waits until what was reported is so.
async fn until(traces: &Traces, all: &mut Account, good: impl Fn(&Account) -> bool) {
    for _ in 0..1_000 {
        for account in traces.report().targets {
            add(all, &account);
        }
        if good(all) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never is: {all:?}");
}

fn add(all: &mut Account, more: &Account) {
    let (sent, failures) = (all.sent + more.sent, all.failures + more.failures);
    let mut dropped = all.dropped.clone();
    more.dropped.iter().for_each(|(reason, spans)| *dropped.entry(reason).or_default() += spans);
    *all = Account { sent, failures, dropped, ..more.clone() };
}

#[tokio::test]
async fn what_may_come_later_is_sent_again_and_what_may_not_is_not() {
    let partial = "429 Too Many Requests\r\nretry-after: 1\r\n";
    let (url, seen) =
        server(&["503 Service Unavailable\r\n", partial, "200 OK\r\n", "400 Bad Request\r\n"]).await;
    let (hub, mut all) = (hub(), Account::default());
    let traces = Traces::start(&hub, &settings_of(&url), None);
    span(&hub, 1);
    until(&traces, &mut all, |all| all.sent == 1).await;
    assert_eq!((all.failures, all.dropped.len(), all.waiting), (2, 0, 0));
    span(&hub, 2);
    until(&traces, &mut all, |all| all.dropped.get("rejected") == Some(&1)).await;
    span(&hub, 3);
    until(&traces, &mut all, |all| all.sent == 2).await;
    assert_eq!((all.failures, all.waiting, all.failing.clone()), (3, 0, None));
    let seen = seen.lock();
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|(head, _)| head.starts_with("post /v1/traces ")
        && head.contains("content-encoding: gzip")
        && head.contains("content-type: application/x-protobuf")));
    assert!(seen[0].1 == seen[1].1 && seen[1].1 == seen[2].1, "the same bytes again");
}

#[tokio::test]
async fn what_waits_is_sent_at_the_end_or_kept() {
    let (url, seen) = server(&[]).await;
    let hub = hub();
    let settings = Settings { interval: crate::setting::Span::seconds(60), ..settings_of(&url) };
    let traces = Traces::start(&hub, &settings, None);
    (1..=9).for_each(|number| span(&hub, number));
    let report = traces.end().await;
    assert_eq!((report.targets[0].sent, seen.lock().len()), (9, 1));
    // A port at which nobody listens, and a folder.
    let folder = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dead = Settings { targets: settings_of(&format!("http://{closed}")).targets, ..settings.clone() };
    let kept = Some(folder.path().to_owned());
    let traces = Traces::start(&hub, &dead, kept.clone());
    (1..=9).for_each(|number| span(&hub, number));
    let report = traces.end().await;
    let account = &report.targets[0];
    assert_eq!((account.sent, account.waiting, account.dropped.len()), (0, 9, 0), "{account:?}");
    // The target is another one now, and gets what nobody took yet; what waited for the old one is the old one's.
    let traces = Traces::start(&hub, &dead, kept.clone());
    (1..=3).for_each(|number| span(&hub, number));
    let traces = traces.configure(&hub, &settings).await;
    span(&hub, 4);
    let mut all = Account::default();
    traces.end().await.targets.iter().for_each(|account| add(&mut all, account));
    assert_eq!((all.sent, all.waiting, all.dropped.len()), (4, 0, 0), "{all:?}");
    let traces = Traces::start(&hub, &dead, kept);
    until(&traces, &mut Account::default(), |account| account.waiting == 9).await;
}

#[tokio::test]
async fn without_a_target_nothing_is_collected() {
    let hub = Hub::default();
    span(&hub, 1);
    assert!(hub.lock().traces().is_none() && hub.lock().sampling().is_none());
}
