//! Tasks as they run: programs, a file, a stop.

use super::*;
use crate::respond::lines::Lines;

fn around(verdict: Result<String, String>) -> Around {
    let verdict = Arc::new(move || verdict.clone());
    Around {
        databases: Vec::new(),
        events: Lines::default(),
        verdict,
        make: Arc::new(|_, _| Err("no history".to_owned())),
        reports: crate::respond::sessions::Settings::default(),
        url: String::new(),
        clock: Arc::default(),
        wrong: Arc::default(),
    }
}

/// As the configuration is read: a mapping with one key is a kind.
fn given(text: &str) -> Vec<Task> {
    serde_json::from_value(serde_yaml::from_str(text).unwrap()).unwrap()
}

fn tasks(text: &str) -> Vec<Task> {
    let tasks = given(text);
    assert_eq!(problems(&tasks), []);
    tasks
}

async fn until(tasks: &Tasks, true_: impl Fn(&[Status]) -> bool) -> Vec<Status> {
    for _ in 0..400 {
        let list = tasks.list();
        if true_(&list) {
            return list;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{:#?}", tasks.list());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_costs_itself_alone_and_all_is_ended_at_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let child = folder.path().join("child");
    let text = format!(
        "- {{name: hangs, every: 1h, jitter: 0s, timeout: 1s, do: {{exec: {{command: [sleep, '60']}}}}}}\n\
         - {{name: long, every: 1h, jitter: 0s, do: {{exec: {{command: [sh, -c, 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 60']}}}}}}\n\
         - {{name: often, every: 1s, jitter: 0s, do: {{exec: {{command: [echo, done]}}}}}}\n\
         - {{name: fails, every: 1h, jitter: 0s, do: {{exec: {{command: [sh, -c, 'echo why >&2; exit 3']}}}}}}\n\
         - {{name: well, every: 1h, jitter: 0s, do: {{health: {{}}}}}}\n\
         - {{name: log, every: 1h, jitter: 0s, do: {{rotate: {{}}}}}}\n",
        child.display()
    );
    let (stop, file) = (CancellationToken::new(), folder.path().join("tasks.json"));
    let of = tasks(&text);
    let (tasks, run) = Tasks::new(&of, around(Ok("all is well".into())), Some(file.clone()), stop.clone());
    let run = tokio::spawn(run);
    let list = until(&tasks, |list| list[2].runs >= 2 && list[0].runs == 1 && list[5].runs == 1).await;
    assert_eq!((list[0].failing, &*list[0].outcome), (true, "it took more than 1 s"));
    assert!(list[1].running && list[1].due_seconds.is_none());
    assert_eq!((list[2].failing, &*list[2].outcome), (false, "done"));
    assert_eq!(&*list[3].outcome, "sh failed (exit status: 3), saying: why");
    assert_eq!((&*list[4].outcome, list[4].last_success.is_some()), ("all is well", true));
    assert!(list[5].outcome.starts_with("there is no event log"));
    assert_eq!(
        (tasks.begin("none"), tasks.begin("long")),
        (Err(StartError::Unknown), Err(StartError::Running))
    );
    assert_eq!(tasks.begin("fails"), Ok(1));
    until(&tasks, |list| list[3].failures == 2).await;
    stop.cancel();
    run.await.unwrap();
    let id = std::fs::read_to_string(&child).unwrap();
    for _ in 0..100 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.trim()));
        if !stat.is_ok_and(|stat| !stat.contains(") Z ")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        !std::fs::read_to_string(format!("/proc/{}/stat", id.trim()))
            .is_ok_and(|stat| !stat.contains(") Z "))
    );
    // After a restart what ran is not run again, and is known to have succeeded.
    let stop = CancellationToken::new();
    let (again, run) = Tasks::new(&of, around(Err("bad".into())), Some(file.clone()), stop.clone());
    let run = tokio::spawn(run);
    until(&again, |list| list[2].runs == 1).await;
    let list = again.list();
    assert!(list[4].runs == 0 && list[4].last_success.is_some() && list[4].due_seconds.unwrap() > 3_000.0);
    assert_eq!(again.begin("well"), Ok(0));
    let list = until(&again, |list| list[4].runs == 1).await;
    assert!(list[4].failing && list[4].outcome == "bad" && list[4].last_success.is_some());
    stop.cancel();
    run.await.unwrap();
    // A file that is damaged.
    std::fs::write(&file, "{").unwrap();
    assert!(saver::read::<Document>(&file, LONGEST, "the times of tasks").tasks.is_empty());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let of = |text: &str| {
        let tasks = given(text);
        problems(&tasks).into_iter().map(|(index, key, _)| (index, key)).collect::<Vec<_>>()
    };
    assert_eq!(
        of("[{name: a, every: 1h, do: {health: {}}}, {name: a, every: 1h, do: {health: {}}}]"),
        [(1, "name")]
    );
    assert_eq!(of("[{name: a/b, every: 1h, do: {health: {}}}]"), [(0, "name")]);
    assert_eq!(of("[{name: a, every: 10ms, timeout: 0s, do: {health: {}}}]"), [(0, "every"), (0, "timeout")]);
    assert_eq!(
        of("[{name: a, every: 1h, expected: 1m, do: {exec: {command: []}}}]"),
        [(0, "expected"), (0, "do")]
    );
    assert_eq!(of("[{name: a, every: 1h, do: {clean: {folders: [/data/raw]}}}]"), [(0, "do")]);
    assert_eq!(of("[{name: a, every: 1h, do: {clean: {folders: [/], older_than: 1d}}}]"), [(0, "do")]);
}
