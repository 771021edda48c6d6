//! Settings, and a server whose words are written here. What a real one does is tested with one.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use super::*;
use crate::alert::dispatch::Status;
use crate::respond::receivers::text::testing::message;

fn settings(to: &str) -> Settings {
    let text = format!(
        "{{to: \"{to}\", from: \"Agent <agent@lab>\", smarthost: \"127.0.0.1:25\", require_tls: false}}"
    );
    serde_yaml::from_str(&text).unwrap()
}

pub(super) fn email(to: &str) -> Email {
    let read: Mailboxes = to.parse().unwrap();
    let from = "agent@lab".parse().unwrap();
    let settings = settings(to);
    let served = Mutex::new(BTreeMap::new());
    Email { settings, host: "127.0.0.1".into(), port: 25, from, to: read.into(), served }
}

/// A server that says these lines, one for each line that it hears, and gives what it heard. After 354 it hears a mail.
async fn server(words: Vec<&'static str>) -> (u16, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut heard = Vec::new();
        for word in words {
            stream.write_all(word.as_bytes()).await.unwrap();
            let mut line = String::new();
            loop {
                line.clear();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0
                    || !word.starts_with("354")
                    || line == ".\r\n"
                {
                    break;
                }
            }
            heard.push(line.trim_end().to_owned());
        }
        heard
    });
    (port, task)
}

const HELLO: [&str; 2] = ["220 lab ESMTP\r\n", "250-lab\r\n250 8BITMIME\r\n"];

async fn said(of: &mut Email, words: &[&'static str]) -> (Result<(), Failure>, Vec<String>) {
    let (port, task) = server(HELLO.iter().chain(words).copied().collect()).await;
    of.port = port;
    let sent = of.deliver(&message(1, "P0", "critical", Status::Firing), "http://lab", None).await;
    (sent, task.await.unwrap())
}

#[tokio::test]
async fn some_recipients_do_not_wait_for_others() {
    let mut of = email("a@lab, b@lab, c@lab");
    let ok = "250 ok\r\n";
    let (sent, heard) = said(
        &mut of,
        &[ok, ok, "450 4.2.0 later\r\n", "550 5.1.1 nobody\r\n", "354 go\r\n", ok, "221 bye\r\n"],
    )
    .await;
    assert_eq!(sent.unwrap_err(), Failure::passing("b@lab: it answers 450: 4.2.0 later"));
    assert_eq!(
        heard[1..6],
        ["MAIL FROM:<agent@lab>", "RCPT TO:<a@lab>", "RCPT TO:<b@lab>", "RCPT TO:<c@lab>", "DATA"]
    );
    // The one that has it does not get it again.
    let (sent, heard) = said(&mut of, &[ok, ok, "550 nobody\r\n", "354 go\r\n", ok, "221 bye\r\n"]).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(heard[2..4], ["RCPT TO:<b@lab>", "RCPT TO:<c@lab>"]);
    assert!(of.served.lock().is_empty());
    // Nobody takes it.
    let no = "550 nobody\r\n";
    let (sent, heard) = said(&mut of, &[ok, no, no, no, "221 bye\r\n"]).await;
    assert_eq!(sent.unwrap_err(), Failure::lasting("a@lab: it answers 550: nobody"));
    assert!(!heard.contains(&"DATA".to_owned()));
}

#[tokio::test]
async fn what_a_server_says_is_believed_once() {
    let mut of = email("a@lab");
    let ok = "250 ok\r\n";
    for (words, why, lasts) in [
        (vec!["451 4.7.1 greylisted\r\n"], "it answers 451: 4.7.1 greylisted", false),
        (vec!["550 no\r\n"], "it answers 550: no", true),
        (vec![ok, ok, "354 go\r\n", "452 4.3.1 full\r\n"], "it answers 452: 4.3.1 full", false),
        (vec![ok, ok, "354 go\r\n", "554 spam\r\n"], "it answers 554: spam", true),
        (vec![ok, "999 x\r\n"], "response error", false),
        (vec![ok, "250-a\r\n550 b\r\n"], "response error", false),
        (vec![ok, "\u{1}\r\n"], "response error", false),
    ] {
        let (sent, _) = said(&mut of, &words).await;
        let failure = sent.unwrap_err();
        assert!(failure.why.contains(why) && failure.lasts == lasts, "{words:?}: {failure:?}");
    }
}

#[tokio::test]
async fn without_tls_no_password_leaves_the_machine() {
    let mut of = email("a@lab");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "a-long-secret\n").unwrap();
    (of.settings.username, of.settings.password_file) = (Some("me".into()), Some(file.display().to_string()));
    of.settings.smarthost = "mail.example.org:25".into();
    let (sent, heard) = said(&mut of, &["250 ok\r\n"]).await;
    assert!(
        sent.unwrap_err().why.contains("without TLS") && heard.iter().all(|line| !line.starts_with("AUTH")),
        "{heard:?}"
    );
    // A server that repeats what it was given does not bring it into the log.
    of.settings.smarthost = "127.0.0.1:25".into();
    let hello: Vec<&str> =
        vec!["220 lab\r\n", "250-lab\r\n250 AUTH PLAIN\r\n", "535 a-long-secret is wrong\r\n", "221 bye\r\n"];
    let (port, task) = server(hello).await;
    of.port = port;
    let failure = of.deliver(&message(1, "P0", "critical", Status::Firing), "", None).await.unwrap_err();
    assert!(
        failure.lasts && failure.why.contains("535") && !failure.why.contains("a-long-secret"),
        "{failure:?}"
    );
    assert!(task.await.unwrap()[1].starts_with("AUTH PLAIN"));
    // It wants TLS, and there is none.
    of.settings.require_tls = true;
    let (sent, _) = said(&mut of, &[]).await;
    assert_eq!(sent.unwrap_err(), Failure::passing("it does not offer STARTTLS, and require_tls is true"));
    std::fs::remove_file(&file).unwrap();
    let failure = of.deliver(&message(1, "P0", "critical", Status::Firing), "", None).await.unwrap_err();
    assert!(failure.lasts && failure.why.contains("password"), "{failure:?}");
}

#[test]
fn what_is_no_address_is_refused_when_it_is_read() {
    let why = |to: &str, from: &str, smarthost: &str| {
        let of = Settings { from: from.into(), smarthost: smarthost.into(), ..settings(to) };
        open(&of).map(|target| target.name).unwrap_err()
    };
    let target = open(&settings("Lab <a@lab>, b@lab")).unwrap();
    assert_eq!((target.kind, &*target.name), ("email", "a@lab, b@lab"));
    assert!(why("lab", "a@lab", "lab:25").starts_with("to: "));
    assert!(why("a@lab\r\nRCPT TO:<b@lab>", "a@lab", "lab:25").starts_with("to: "));
    assert!(why("a@lab", "a@lab, b@lab", "lab:25").starts_with("from: "));
    assert!(why("ä@lab", "a@lab", "lab:25").starts_with("to: "));
    for smarthost in ["lab", "lab:0", "lab:70000", ":25", "::1:25", "[::1:25"] {
        assert!(why("a@lab", "a@lab", smarthost).starts_with("smarthost"), "{smarthost}");
    }
    assert_eq!(Settings { smarthost: "[::1]:25".into(), ..settings("a@lab") }.server(), Some(("::1", 25)));
}
