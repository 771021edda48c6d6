//! Sessions as an agent has them: kept, and filed.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::event::SessionStep;

fn told(step: SessionStep, at: Timestamp) -> SessionNotice {
    SessionNotice { pipeline: "decoder".into(), name: "../../a".into(), step, at }
}

/// So many seconds ago by both clocks.
fn ago(seconds: u64) -> Timestamp {
    let at = now();
    Timestamp { steady: at.steady - seconds * 1_000_000_000, wall: at.wall - seconds * 1_000_000_000 }
}

async fn until(sessions: &Sessions, what: &str, is: impl Fn(&Session) -> bool) -> Session {
    for _ in 0..200 {
        if let Ok(one) = sessions.find("last")
            && is(&one)
        {
            return one;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: {:?}", sessions.find("last"));
}

fn made(session: Option<&Session>) -> WrittenReport {
    let id = session.map_or_else(String::new, |one| one.id.clone());
    WrittenReport {
        json: format!("{{\"id\":\"{id}\"}}"),
        html: format!("<!-- \"id\":\"{id}\" -->"),
        ..WrittenReport::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_filed_when_its_folder_is_there_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let (file, reports) = (folder.path().join("sessions.json"), folder.path().join("reports"));
    let sessions = Sessions::open(Some(file.clone()), Box::new(|| {}));
    sessions.configure(&Settings { folder: Some(reports.clone()), ..Settings::default() });
    let stop = CancellationToken::new();
    let make: Arc<Make> = Arc::new(|session, _| Ok(made(session)));
    let task = tokio::spawn(file_reports(sessions.clone(), make, stop.clone()));
    let nothing = Present::default();
    sessions.look(
        now(),
        &[told(SessionStep::Started, ago(60)), told(SessionStep::Ended { seconds: None }, ago(5))],
        &nothing,
    );
    let one = until(
        &sessions,
        "a failure",
        |one| matches!(&one.report, Some(Filed::Waiting { why }) if !why.is_empty()),
    )
    .await;
    assert!(matches!(&one.report, Some(Filed::Waiting { why }) if why.contains("no such folder")), "{one:?}");
    assert!(sessions.account().failing && sessions.account().failures == 1);
    stop.cancel();
    task.await.unwrap();
    // Killed; the folder is there after the start.
    Desk::stop(&sessions, "").unwrap_err();
    sessions.stop();
    drop(sessions);
    std::fs::create_dir(&reports).unwrap();
    let sessions = Sessions::open(Some(file), Box::new(|| {}));
    sessions.configure(&Settings { folder: Some(reports.clone()), ..Settings::default() });
    let stop = CancellationToken::new();
    let make: Arc<Make> = Arc::new(|session, _| Ok(made(session)));
    let task = tokio::spawn(file_reports(sessions.clone(), make, stop.clone()));
    let one = until(&sessions, "the report", |one| matches!(one.report, Some(Filed::Written { .. }))).await;
    let Some(Filed::Written { files }) = &one.report else { panic!("{one:?}") };
    assert!(files.iter().all(|name| name.ends_with("_a.html") || name.ends_with("_a.json")), "{files:?}");
    assert_eq!(std::fs::read_dir(&reports).unwrap().count(), 2);
    assert_eq!(
        sessions.account(),
        Account { written: 1, bytes: sessions.account().bytes, ..Account::default() }
    );
    stop.cancel();
    task.await.unwrap();
}

#[test]
fn what_has_no_report_says_why() {
    let sessions = Sessions::open(None, Box::new(|| {}));
    let both = [told(SessionStep::Started, ago(60)), told(SessionStep::Ended { seconds: None }, ago(5))];
    let why = |settings: Settings, told: &[SessionNotice]| {
        sessions.configure(&settings);
        sessions.look(now(), told, &Present::default());
        match sessions.find("last").unwrap().report {
            Some(Filed::Not { why }) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(why(Settings::default(), &both).contains("set reports.folder"));
    let folder = Some(PathBuf::from("/x"));
    let own = Settings { folder: folder.clone(), sessions: vec![Origin::Hand], ..Settings::default() };
    let later = [told(SessionStep::Started, ago(4)), told(SessionStep::Ended { seconds: None }, ago(3))];
    assert!(why(own, &later).contains("does not have event"));
    let latest = [told(SessionStep::Started, ago(2)), told(SessionStep::Ended { seconds: None }, ago(1))];
    assert!(why(Settings { folder, ..Settings::default() }, &latest).contains("shorter than 10s"));
}

#[test]
fn what_begins_or_ends_is_looked_at_by_the_history_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sessions.json");
    let woken = Arc::new(Mutex::new(0));
    let own = woken.clone();
    let sessions = Sessions::open(Some(file.clone()), Box::new(move || *own.lock() += 1));
    let present = Present { programs: vec![("intan".into(), "intan".into())], ..Present::default() };
    sessions.look(now(), &[], &present);
    sessions.look(now(), &[], &present);
    assert_eq!(*woken.lock(), 1);
    sessions.start("rest").unwrap();
    assert!(sessions.start("rest").is_err());
    assert_eq!((*woken.lock(), sessions.account().open), (2, 2));
    sessions.stop();
    assert_eq!(kept(&file).open().count(), 2);
    // A file that is damaged.
    std::fs::write(&file, "{").unwrap();
    assert_eq!(kept(&file).all().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_cannot_be_made_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = Sessions::open(None, Box::new(|| {}));
    sessions.configure(&Settings { folder: Some(folder.path().to_owned()), ..Settings::default() });
    let of = |name: &str, step, at| SessionNotice { pipeline: "p".into(), name: name.into(), step, at };
    let both = |name: &str, from, to| {
        [of(name, SessionStep::Started, ago(from)), of(name, SessionStep::Ended { seconds: None }, ago(to))]
    };
    sessions.look(now(), &both("bad", 90, 70), &Present::default());
    sessions.look(now(), &both("good", 60, 40), &Present::default());
    let make: Arc<Make> = Arc::new(|session, _| match session {
        Some(one) if one.name == "bad" => Err("too much".to_owned()),
        session => Ok(made(session)),
    });
    let stop = CancellationToken::new();
    let task = tokio::spawn(file_reports(sessions.clone(), make, stop.clone()));
    let written = |one: &Session| one.name == "good" && matches!(one.report, Some(Filed::Written { .. }));
    until(&sessions, "the other report", written).await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    let account = sessions.account();
    assert!(account.failing && account.written == 1 && account.dropped == 0, "one still waits: {account:?}");
    // Where no folder is named there is nothing to be written.
    sessions.configure(&Settings::default());
    assert!(!sessions.account().failing);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_for_a_week_is_given_up_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sessions.json");
    let mut book = Book::default();
    let at = |days: i64| {
        let ms = now().wall_milliseconds() - days * 86_400_000;
        Timestamp { wall: ms.unsigned_abs() * 1_000_000, ..now() }
    };
    let id = book
        .begin(crate::session::NewSession { origin: Origin::Event, of: "p", name: "old" }, at(9))
        .unwrap();
    book.end(&id, at(8), State::Ended);
    book.file(&id, Some(Filed::Waiting { why: "it was full".into() }));
    let document = Document { version: 1, clock: None, sessions: book.all().to_vec() };
    std::fs::write(&file, serde_json::to_vec(&document).unwrap()).unwrap();
    let sessions = Sessions::open(Some(file), Box::new(|| {}));
    // What is not a folder can neither be written into nor be tidied.
    let full = folder.path().join("full");
    std::fs::write(&full, "").unwrap();
    sessions.configure(&Settings { folder: Some(full), ..Settings::default() });
    assert!(sessions.account().failing, "it is known from the file");
    let stop = CancellationToken::new();
    let make: Arc<Make> = Arc::new(|session, _| Ok(made(session)));
    let task = tokio::spawn(file_reports(sessions.clone(), make, stop.clone()));
    until(&sessions, "the end of it", |one| matches!(one.report, Some(Filed::Not { .. }))).await;
    for _ in 0..100 {
        if sessions.account().untidy {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let account = sessions.account();
    assert_eq!((account.dropped, account.failures, account.failing, account.untidy), (1, 1, false, true));
    stop.cancel();
    task.await.unwrap();
}
