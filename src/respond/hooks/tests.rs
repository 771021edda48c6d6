//! Hooks that run programs, with incidents and their file.

use std::collections::BTreeMap;
use std::path::Path;

use arc_swap::ArcSwapOption;

use super::*;
use crate::alert::incident::{EntryKind, Limits, Notice, Origin, Status};
use crate::promql::Labels;
use crate::render::Urgency;
use crate::respond::incidents::{Options, Retention};
use crate::setting::Span;
use crate::trace::{SessionTrace, TraceContext};

fn hook(name: &str, script: &str) -> Hook {
    let command = vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
    Hook {
        name: name.to_owned(),
        matches: Match::default(),
        exec: Some(Exec { command: command.into(), environment: BTreeMap::new() }),
        http: None,
        signal: None,
        systemctl: None,
        device: None,
        timeout: Span::seconds(5),
        cooldown: Span::seconds(60),
        retries: 0,
        verify: Span::seconds(60),
        dry_run: Some(false),
    }
}

struct Scene {
    folder: tempfile::TempDir,
    incidents: Incidents,
    hooks: Hooks,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// The trace that all of it belongs to.
fn context() -> TraceContext {
    SessionTrace::of("one").context()
}

fn parent() -> OpenTrace {
    Arc::new(ArcSwapOption::from_pointee(context()))
}

impl Scene {
    async fn new(make: impl FnOnce(&Path) -> Vec<Hook>) -> Self {
        Self::with(Actions::default(), tempfile::tempdir().unwrap(), make).await
    }

    async fn with(
        actions: Actions,
        folder: tempfile::TempDir,
        make: impl FnOnce(&Path) -> Vec<Hook>,
    ) -> Self {
        let scene = Self::begin(&actions, folder, make);
        scene.until("the file was read", || {
            scene.incidents.failing().is_none() && scene.incidents.status().bytes > 0
        });
        scene
    }

    fn begin(actions: &Actions, folder: tempfile::TempDir, make: impl FnOnce(&Path) -> Vec<Hook>) -> Self {
        let options = Options {
            path: folder.path().join("incidents.db"),
            limits: Limits { open: 100, closed: 100, acknowledge: [None; 4] },
            retention: Retention { keep: 86_400_000, bytes: 4 << 20 },
            evaluates: true,
            webhook: None,
        };
        let incidents = Incidents::start(options).unwrap();
        let (hooks, stop) = (make(folder.path()), CancellationToken::new());
        let logs = (folder.path().join("actions.jsonl"), Lines::default());
        let (hooks, task) = Hooks::new(
            actions,
            &hooks,
            logs,
            (incidents.clone(), &Devices::default(), parent()),
            stop.clone(),
        );
        Self { folder, incidents, hooks, stop, task: tokio::spawn(task) }
    }

    fn until(&self, what: &str, done: impl Fn() -> bool) {
        for _ in 0..500 {
            if done() {
                return;
            }
            tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(20)));
        }
        panic!("waited in vain: {what}: {:?}", self.hooks.account());
    }

    /// These devices are lost, and no others.
    fn fire(&self, devices: &[&str]) {
        let notice = |device: &&str| Notice {
            labels: Labels::from_pairs([
                ("alertname", "Lost"),
                ("severity", "critical"),
                ("device", *device),
            ]),
            annotations: Labels::from_pairs([("summary", "it's \"away\"; $(rm -rf /)")]),
            value: Some(7.5),
            worse: None,
            started: now().wall_milliseconds(),
            origin: Origin::Agent,
        };
        let firing: Vec<Notice> = devices.iter().map(notice).collect();
        self.incidents.survey(|| firing);
        self.incidents.news().iter().for_each(|news| self.hooks.tell(news));
    }

    fn count(&self, name: &str, step: Step) -> u64 {
        self.hooks.account().steps.get(&(name.to_owned(), step.as_str())).copied().unwrap_or_default()
    }

    fn open(&self) -> Vec<Incident> {
        let mut all = Vec::new();
        self.incidents.open(&mut |incident| all.push(incident.clone()));
        all
    }

    async fn end(self) -> String {
        self.stop.cancel();
        self.task.await.unwrap();
        // As long as a busy disk needs: what is not written by then is not known to the next.
        self.incidents.stop(Duration::from_secs(30));
        std::fs::read_to_string(self.folder.path().join("actions.jsonl")).unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_the_incident_and_its_success_is_that_the_alert_is_over() {
    let scene = Scene::new(|folder| {
        let file = folder.join("got").display().to_string();
        let script = format!(
            "cat > {file}; echo \"$NEURAL_ALERT $NEURAL_LABEL_DEVICE $NEURAL_SUMMARY ${{HOME:-bare}} $TRACEPARENT $TRACESTATE\" >> {file}; echo done"
        );
        vec![hook("ask", &script)]
    })
    .await;
    scene.fire(&["a"]);
    scene.until("it ended", || scene.count("ask", Step::Ended) == 1);
    let got = std::fs::read_to_string(scene.folder.path().join("got")).unwrap();
    let (json, variables) = got.rsplit_once("}").unwrap();
    let json: Value = serde_json::from_str(&format!("{json}}}")).unwrap();
    assert_eq!((&json["alert"], &json["values"]["start"]), (&"Lost".into(), &7.5.into()));
    let trace: Vec<String> = context().variables().map(|(_, value)| value).collect();
    assert_eq!(variables, format!("Lost a it's \"away\"; $(rm -rf /) bare {}\n", trace.join(" ")));
    assert_eq!(scene.count("ask", Step::Succeeded), 0, "that it ended is no success");
    scene.fire(&[]);
    scene.until("the alert is over", || scene.count("ask", Step::Succeeded) == 1);
    let audit = scene.end().await;
    let steps: Vec<String> = audit
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(steps, ["started", "ended", "succeeded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_touches_nothing_and_says_what_it_would_do() {
    let scene = Scene::new(|folder| {
        let script = format!("touch {}", folder.join("touched").display());
        vec![Hook { dry_run: None, ..hook("ask", &script) }]
    })
    .await;
    scene.fire(&["a"]);
    scene.until("it was said", || scene.count("ask", Step::DryRun) == 1);
    let history = scene.open().remove(0).history;
    let last = history.last().unwrap();
    assert!(last.by == "hook ask" && last.why.starts_with("dry run: it would run sh -c"), "{last:?}");
    assert!(!scene.folder.path().join("touched").exists());
    assert!(scene.end().await.contains("\"step\":\"dry_run\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_forks_or_prints_for_ever_costs_only_itself() {
    let scene = Scene::new(|folder| {
        let alone = folder.join("child").display().to_string();
        let quick = |name, script: &str| Hook { timeout: Span::millis(700), ..hook(name, script) };
        vec![
            quick("hangs", "sleep 1000"),
            quick("forks", &format!("sh -c 'echo $$ > {alone}; exec sleep 1000' & sleep 1000")),
            quick("prints", "yes"),
            quick("fails", "echo out of cheese >&2; exit 3"),
            Hook {
                exec: Some(Exec {
                    command: vec!["/nowhere".to_owned()].into(),
                    environment: BTreeMap::new(),
                }),
                ..quick("absent", "")
            },
            quick("well", "true"),
        ]
    })
    .await;
    scene.fire(&["a"]);
    for name in ["hangs", "forks", "prints", "fails", "absent"] {
        scene.until(name, || scene.count(name, Step::Failed) == 1);
    }
    scene.until("the one that is well", || scene.count("well", Step::Ended) == 1);
    let child = std::fs::read_to_string(scene.folder.path().join("child")).unwrap();
    scene.until("its child is gone", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        stat.map_or(true, |line| line.contains(") Z "))
    });
    let incident = scene.open().remove(0);
    assert_eq!(
        (incident.status, incident.history.iter().filter(|entry| entry.what.as_str() == "escalated").count()),
        (Status::Escalated, 1)
    );
    let audit = scene.end().await;
    for why in [
        "it took more than 0.7 s and was ended",
        "more than 1048576 bytes",
        "saying: out of cheese",
        "cannot run /nowhere",
    ] {
        assert!(audit.contains(why), "{why}: {audit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_ends_ends_what_runs() {
    let scene = Scene::new(|folder| {
        let file = folder.join("child").display().to_string();
        vec![hook("long", &format!("echo $$ > {file}.new; mv {file}.new {file}; exec sleep 1000"))]
    })
    .await;
    scene.fire(&["a"]);
    let file = scene.folder.path().join("child");
    scene.until("it runs", || file.exists());
    let child = std::fs::read_to_string(&file).unwrap();
    scene.end().await;
    for _ in 0..100 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        if stat.map_or(true, |line| line.contains(") Z ")) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_when_the_agent_ends_is_interrupted_and_not_run_again_by_the_next() {
    let make = |folder: &Path| {
        let file = folder.join("runs").display().to_string();
        vec![Hook {
            verify: Span::millis(500),
            ..hook("long", &format!("echo x >> {file}; exec sleep 1000"))
        }]
    };
    let mut scene = Scene::new(make).await;
    scene.fire(&["a"]);
    let file = scene.folder.path().join("runs");
    scene.until("it runs", || file.exists());
    let folder = std::mem::replace(&mut scene.folder, tempfile::tempdir().unwrap());
    scene.end().await;
    let audit = std::fs::read_to_string(folder.path().join("actions.jsonl")).unwrap();
    assert!(audit.lines().last().unwrap().contains("\"step\":\"interrupted\""), "{audit}");
    let scene = Scene::with(Actions::default(), folder, make).await;
    // Before its alert is told of it may be over.
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(scene.count("long", Step::Failed), 0);
    scene.fire(&["a"]);
    scene.until("its time is up", || scene.count("long", Step::Failed) == 1);
    let found = scene.open().remove(0);
    assert_eq!((&*found.actions["long"], found.status), ("failed", Status::Escalated));
    assert_eq!(std::fs::read_to_string(scene.folder.path().join("runs")).unwrap(), "x\n");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_and_a_reload_change_no_cooldown_and_no_breaker() {
    let make =
        |_: &Path| vec![hook("helps", "true"), Hook { verify: Span::millis(1), ..hook("fails", "false") }];
    let mut scene = Scene::new(make).await;
    for device in ["a", "b", "c", "d", "e"] {
        scene.fire(&[device]);
        scene.until("it ended", || {
            scene.open().first().is_some_and(|one| one.actions.len() == 2 && one.actions["helps"] == "ended")
        });
    }
    scene.until("five failed", || scene.count("fails", Step::Failed) == 5);
    scene.fire(&[]);
    scene.until("all are over", || scene.count("helps", Step::Succeeded) == 5);
    let folder = std::mem::replace(&mut scene.folder, tempfile::tempdir().unwrap());
    scene.end().await;
    let mut scene = Scene::with(Actions::default(), folder, make).await;
    scene.fire(&["a"]);
    scene.until("the last one is known", || scene.count("helps", Step::CoolingDown) == 1);
    scene.until("the failures are known", || scene.count("fails", Step::BreakerOpen) == 1);
    scene.fire(&["a", "x"]);
    scene.until("another alert", || scene.count("helps", Step::Ended) == 1);
    // After a reload others are in its place.
    scene.stop.cancel();
    (&mut scene.task).await.unwrap();
    let stop = CancellationToken::new();
    let logs = (scene.folder.path().join("actions.jsonl"), Lines::default());
    let (hooks, task) = Hooks::new(
        &Actions::default(),
        &make(Path::new("")),
        logs,
        (scene.incidents.clone(), &Devices::default(), OpenTrace::default()),
        stop.clone(),
    );
    (scene.hooks, scene.stop, scene.task) = (hooks, stop, tokio::spawn(task));
    scene.fire(&["a"]);
    // An episode that begins when the one before it ended is that one.
    tokio::time::sleep(Duration::from_millis(20)).await;
    scene.fire(&["a", "x"]);
    scene.until("the run before the reload is known", || scene.count("helps", Step::CoolingDown) == 1);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hook_is_run_before_it_is_known_which_ones_were() {
    let make = |folder: &Path| vec![hook("once", &format!("echo x >> {}", folder.join("runs").display()))];
    let mut scene = Scene::new(make).await;
    scene.fire(&["a"]);
    scene.until("it ended", || scene.count("once", Step::Ended) == 1);
    let folder = std::mem::replace(&mut scene.folder, tempfile::tempdir().unwrap());
    scene.end().await;
    // Another program holds the file: incidents begin without it.
    let other = rusqlite::Connection::open(folder.path().join("incidents.db")).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;").unwrap();
    let scene = Scene::begin(&Actions::default(), folder, make);
    scene.until("it is held", || scene.incidents.failing().is_some());
    let fired = || {
        scene.fire(&["a"]);
        !scene.open().is_empty()
    };
    scene.until("it is open", fired);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(scene.hooks.account().steps, BTreeMap::new());
    drop(other);
    scene.until("it goes on", || scene.open()[0].actions.get("once").is_some_and(|step| step == "ended"));
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    assert_eq!(std::fs::read_to_string(scene.folder.path().join("runs")).unwrap(), "x\n");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_no_hook_is_for_an_alert_is_said_where_one_is_expected() {
    let other = Match { alerts: vec!["Other".into()], ..Match::default() };
    let make = |_: &Path| vec![Hook { matches: other.clone(), ..hook("other", "true") }];
    for (priorities, escalate, count, status) in [
        (vec![Urgency::P0], false, 0, Status::Open),
        (vec![Urgency::P1], false, 1, Status::Open),
        (vec![Urgency::P1], true, 1, Status::Escalated),
    ] {
        let actions = Actions { missing: settings::Missing { priorities, escalate }, ..Actions::default() };
        let scene = Scene::with(actions, tempfile::tempdir().unwrap(), make).await;
        scene.fire(&["a"]);
        tokio::time::sleep(Duration::from_millis(700)).await;
        let account = scene.hooks.account();
        assert_eq!(account.missing.get("P1").copied().unwrap_or_default(), count);
        let found = scene.open().remove(0);
        let said =
            found.history.iter().filter(|entry| entry.why == MISSING && entry.what == EntryKind::Action);
        assert_eq!((said.count() as u64, found.status), (count, status));
        let audit = scene.end().await;
        assert_eq!(audit.matches("\"step\":\"missing\"").count() as u64, count);
    }
}

#[test]
fn what_is_wrong_with_hooks_is_found() {
    let actions = Actions { units: vec!["pipeline.service".into()], ..Actions::default() };
    let signal = |unit: Option<&str>, pid_file: Option<&str>, process: Option<&str>| Hook {
        exec: None,
        signal: Some(Signal {
            signal: SignalName::Usr1,
            unit: unit.map(str::to_owned),
            pid_file: pid_file.map(PathBuf::from),
            process: process.map(str::to_owned),
        }),
        ..hook("a", "")
    };
    let unit = |unit: &str, restart, properties: &[(&str, &str)]| Hook {
        exec: None,
        systemctl: Some(Systemctl {
            unit: unit.to_owned(),
            restart,
            properties: properties.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        }),
        ..hook("a", "")
    };
    for (wrong, why) in [
        (Hook { exec: None, ..hook("a", "") }, "exactly one of exec"),
        (
            Hook { signal: signal(Some("pipeline.service"), None, None).signal, ..hook("a", "") },
            "exactly one of exec",
        ),
        (signal(Some("sshd.service"), None, None), "\"sshd.service\" is not one of the units"),
        (signal(None, Some("/run/a.pid"), None), "to a process with its pid_file"),
        (signal(Some("pipeline.service"), Some("/run/a.pid"), Some("a")), "to a process with its pid_file"),
        (signal(None, None, None), "to a process with its pid_file"),
        (unit("sshd.service", true, &[]), "\"sshd.service\" is not one of the units"),
        (unit("pipeline.service", false, &[]), "exactly one of restart: true and properties"),
        (
            unit("pipeline.service", true, &[("CPUWeight", "20")]),
            "exactly one of restart: true and properties",
        ),
        (unit("pipeline.service", false, &[("--now", "20")]), "is not the name of a property"),
    ] {
        let found = problems(&actions, &[wrong]);
        assert!(found.iter().any(|(_, _, said)| said.contains(why)), "{why}: {found:?}");
    }
    for right in [
        signal(Some("pipeline.service"), None, None),
        signal(None, Some("/run/a.pid"), Some("a")),
        unit("pipeline.service", true, &[]),
        unit("pipeline.service", false, &[("CPUWeight", "20")]),
    ] {
        assert_eq!(problems(&actions, &[right]), []);
    }
    assert!(problems(&actions, &[hook("a", "x"), hook("a", "x")])[0].2.contains("another hook has the name"));
}
