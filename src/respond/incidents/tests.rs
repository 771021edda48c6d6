//! Incidents and their file, with the thread.

use std::path::Path;

use super::*;
use crate::alert::incident::Origin;
use crate::promql::Worse;

fn options(folder: &Path) -> Options {
    let acknowledge = [Some(900_000), Some(3_600_000), None, None];
    Options {
        path: folder.join("incidents.db"),
        limits: Limits { open: 1_000, closed: 1_000, acknowledge },
        retention: Retention { keep: 86_400_000, bytes: 4 << 20 },
        evaluates: true,
        webhook: None,
    }
}

fn start(options: Options) -> Incidents {
    let incidents = Incidents::start(options).unwrap();
    until("it was read", || incidents.0.held.lock().ready);
    incidents
}

fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("waited in vain: {what}");
}

fn notice(device: &str, started: i64) -> Notice {
    let labels = [("alertname", "Lost"), ("severity", "critical"), ("priority", "P0"), ("device", device)];
    Notice {
        labels: Labels::from_pairs(labels),
        annotations: Labels::from_pairs([("summary", "away")]),
        value: Some(1.0),
        worse: Some(Worse::Higher),
        started,
        origin: Origin::Agent,
    }
}

fn present() -> i64 {
    now().wall_milliseconds()
}

fn all(incidents: &Incidents, wanted: &IncidentFilter) -> Vec<Incident> {
    let mut found = Vec::new();
    let missing = incidents.list(wanted, &mut |incident| {
        found.push(incident);
        true
    });
    assert_eq!(missing, None);
    found
}

#[test]
fn what_is_acknowledged_is_on_disk_and_found_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (incidents, at) = (start(options(folder.path())), present());
    incidents.survey(|| vec![notice("a", at - 5_000), notice("b", at)]);
    let found = all(&incidents, &IncidentFilter::default());
    assert_eq!(found.iter().map(|one| one.labels.get("device")).collect::<Vec<_>>(), ["b", "a"]);
    let id = found[1].id.clone();
    let changed = incidents.change(Transition::Acknowledge, id.get(..6).unwrap(), "ada", "I look").unwrap();
    assert!(changed.kept && changed.incident.acknowledged.is_some());
    assert!(file::Reader::open(&incidents.path()).unwrap().has(&id));
    // Not stopped: what was said to be kept is there, whatever happens to the agent.
    let copy = tempfile::tempdir().unwrap();
    for end in ["db", "db-wal"] {
        let name = format!("incidents.{end}");
        std::fs::copy(folder.path().join(&name), copy.path().join(&name)).unwrap();
    }
    let next = start(options(copy.path()));
    let kept = next.find(&id).unwrap();
    assert_eq!(
        (kept.status, kept.history.last().map(|entry| &*entry.by)),
        (Progress::Acknowledged, Some("ada"))
    );
    next.survey(|| vec![notice("a", at - 5_000)]);
    let resolved = IncidentFilter { states: vec![Progress::Resolved], ..IncidentFilter::default() };
    assert_eq!(all(&next, &resolved).iter().map(|one| one.labels.get("device")).collect::<Vec<_>>(), ["b"]);
    next.stop(PATIENCE);
    assert_eq!(next.change(Transition::Acknowledge, &found[0].id, "ada", "").unwrap_err(), Refusal::Resolved);
    assert_eq!(next.change(Transition::Resolve, "ffff", "ada", "").unwrap_err(), Refusal::Unknown);
    incidents.stop(PATIENCE);
}

/// Whether this process has the file or one beside it open.
fn is_open(path: &Path) -> bool {
    let name = path.display().to_string();
    let stem = name.trim_end_matches("db");
    let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    files.into_iter().any(|fd| {
        std::fs::read_link(fd.path()).is_ok_and(|file| file.display().to_string().starts_with(stem))
    })
}

#[test]
fn a_file_that_is_not_written_is_not_held_and_what_comes_later_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (incidents, at) = (start(options(folder.path())), present());
    let path = incidents.path();
    until("it is closed", || !is_open(&path));
    incidents.survey(|| vec![notice("a", at)]);
    assert!(incidents.0.wait(incidents.0.ask()), "it is written");
    let first = all(&incidents, &IncidentFilter::default())[0].id.clone();
    assert!(file::Reader::open(&path).unwrap().has(&first));
    until("it is closed again", || !is_open(&path));
    // A file that was removed meanwhile: the next one has what is open.
    for end in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{}{end}", path.display())).unwrap();
    }
    incidents.survey(|| vec![notice("a", at), notice("b", at)]);
    let mut open = Vec::new();
    incidents.open(&mut |incident| open.push(incident.id.clone()));
    until("both are written", || {
        file::Reader::open(&path).is_ok_and(|reader| open.iter().all(|id| reader.has(id)))
    });
    assert_eq!((all(&incidents, &IncidentFilter::default()).len(), incidents.failing()), (2, None));
    incidents.stop(PATIENCE);
    until("the thread is through", || !is_open(&path));
    let next = start(options(folder.path()));
    assert_eq!(all(&next, &IncidentFilter::default()).len(), 2);
    next.stop(PATIENCE);
}

#[test]
fn a_list_is_of_memory_and_file_each_incident_once() {
    let folder = tempfile::tempdir().unwrap();
    let (incidents, at) = (start(options(folder.path())), present());
    for round in 0..20 {
        let name = round.to_string();
        incidents.survey(|| vec![notice(&name, at - 100_000 + round * 10), notice("x", at - 50_000)]);
    }
    until("it is written", || incidents.0.wait(incidents.0.ask()));
    let found = all(&incidents, &IncidentFilter::default());
    assert_eq!(found.len(), 21);
    assert!(found.is_sorted_by_key(|incident| std::cmp::Reverse(incident.started)));
    let some = IncidentFilter { from: Some(at - 99_950), to: Some(at - 99_900), ..IncidentFilter::default() };
    assert_eq!(all(&incidents, &some).len(), 6);
    let mut first = Vec::new();
    let none = incidents.list(&IncidentFilter::default(), &mut |incident| {
        first.push(incident.id);
        first.len() < 3
    });
    assert_eq!((first.len(), none), (3, None));
    assert_eq!(incidents.find("").unwrap_err(), Refusal::Unknown);
    incidents.stop(PATIENCE);
}

#[test]
fn a_folder_that_cannot_be_written_costs_the_disk_alone() {
    let folder = tempfile::tempdir().unwrap();
    let within = folder.path().join("file");
    std::fs::write(&within, "").unwrap();
    let incidents = start(Options { path: within.join("incidents.db"), ..options(folder.path()) });
    incidents.survey(|| vec![notice("a", present())]);
    let mut found = Vec::new();
    let missing = incidents.list(&IncidentFilter::default(), &mut |incident| {
        found.push(incident);
        true
    });
    assert!(missing.is_some_and(|why| why.contains("missing in this answer")));
    let changed = incidents.change(Transition::Acknowledge, &found[0].id, "ada", "").unwrap();
    assert!(!changed.kept && incidents.failing().is_some());
    // The disk comes back: what waited is written.
    std::fs::remove_file(&within).unwrap();
    until("it is written again", || incidents.failing().is_none());
    assert!(file::Reader::open(&incidents.path()).unwrap().has(&found[0].id));
    incidents.stop(PATIENCE);
}

#[test]
fn a_file_of_a_newer_program_is_left_alone_and_a_damaged_one_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let incidents = start(options(folder.path()));
    incidents.stop(PATIENCE);
    let path = incidents.path();
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let newer = start(options(folder.path()));
    let why = "it has format 7, this program knows up to 1";
    until("that it says why", || newer.failing().is_some_and(|said| said.contains(why)));
    newer.stop(PATIENCE);
    for end in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(format!("{}{end}", path.display())));
    }
    std::fs::write(&path, "no database at all, but a text that is long enough to be looked at").unwrap();
    let other = start(options(folder.path()));
    other.survey(|| vec![notice("a", present())]);
    until("it is written", || other.0.wait(other.0.ask()));
    assert_eq!(other.failing(), None);
    let kept = std::fs::read_dir(folder.path()).unwrap().flatten();
    assert!(kept.into_iter().any(|entry| entry.file_name().to_string_lossy().contains("damaged")));
    other.stop(PATIENCE);
}

#[test]
fn what_is_old_or_too_much_goes_and_what_is_open_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("incidents.db");
    let (mut file, _) = file::File::open(&path, None).unwrap();
    let mut book = Book::new(Limits { open: 10_000, closed: 10_000, acknowledge: [None; 4] });
    let at = 1_800_000_000_000;
    let many: Vec<Notice> = (0..3_000).map(|i| notice(&format!("{i:0>200}"), at)).collect();
    book.survey(&many, at);
    book.survey(&many[..10], at + 1_000);
    book.survey(&[&many[..10], &[notice("late", at + 2_000)]].concat(), at + 90_000_000);
    book.survey(&many[..10], at + 90_001_000);
    file.write(&book.take_changed(true)).unwrap();
    assert!(file.bytes() > 1 << 20);
    let keep = |keep, bytes| Retention { keep, bytes };
    assert_eq!(file.prune(&keep(100_000_000, 1 << 30), Some(at + 90_001_000)).unwrap(), 0);
    let some = file.prune(&keep(100_000_000, 1 << 20), Some(at + 90_001_000)).unwrap();
    assert!(some > 200 && some < 2_990 && file.bytes() <= 1 << 20, "{some}");
    assert_eq!(file.prune(&keep(86_400_000, 1 << 30), Some(at + 90_001_000)).unwrap(), 2_990 - some);
    let left = file.load(100).unwrap();
    assert_eq!(left.iter().filter(|incident| incident.resolved.is_none()).count(), 10);
    assert_eq!(left.len(), 11);
    assert_eq!(file.prune(&keep(0, 0), Some(i64::MAX)).unwrap(), 1);
}

#[test]
fn nobody_acknowledges_and_it_is_escalated() {
    let folder = tempfile::tempdir().unwrap();
    let mut quick = options(folder.path());
    quick.limits.acknowledge[0] = Some(100);
    let incidents = start(quick);
    incidents.survey(|| vec![notice("a", present())]);
    until("it is escalated", || {
        let mut escalated = false;
        incidents.open(&mut |incident| escalated = incident.status == Progress::Escalated);
        escalated
    });
    assert!(incidents.news().iter().any(|news| matches!(news, News::Escalated(_, "unacknowledged"))));
    incidents.stop(PATIENCE);
}

#[test]
fn a_message_needs_the_token_and_a_configuration() {
    let body =
        br#"{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A","severity":"critical"}}]}"#;
    for (webhook, token, taken) in [
        (None, None, Err(Untaken::Off)),
        (Some(None), None, Ok(())),
        (Some(Some("abc")), None, Err(Untaken::Stranger)),
        (Some(Some("abc")), Some("abd"), Err(Untaken::Stranger)),
        (Some(Some("abc")), Some("abcd"), Err(Untaken::Stranger)),
        (Some(Some("abc")), Some("abc"), Ok(())),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let webhook = webhook.map(|token: Option<&str>| Webhook(token.map(str::to_owned)));
        let incidents = start(Options { webhook, ..options(folder.path()) });
        assert_eq!(incidents.post(token, body).map(drop), taken, "{token:?}");
        let mut count = 0;
        incidents.open(&mut |_| count += 1);
        assert_eq!(count, usize::from(taken.is_ok()));
        incidents.stop(PATIENCE);
    }
}
