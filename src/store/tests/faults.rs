//! Files that cannot be written or read, and clocks that are set: what each costs, and what it does not.

use super::*;

/// A text of so many series that no codec makes small, and one series that is there for a while.
fn noise(step: i64, count: u64) -> String {
    let mut text = format!("steps_total {step}\n");
    for series in 0..count {
        let mut seed = (step as u64 + 1).wrapping_mul(series + 7).wrapping_mul(6_364_136_223_846_793_005);
        seed ^= seed >> 29;
        writeln!(text, "noise{{n=\"{series}\"}} {}", seed as f64 / 1e19).unwrap();
    }
    if (100..200).contains(&step) {
        text.push_str("brief 1\n");
    }
    text
}

fn take(history: &History, step: i64, text: &str) {
    scraper::take(history, START + step * STEP, &mut |write| write(text), &mut |_| {});
}

#[test]
fn what_a_file_did_not_take_for_hours_is_written_when_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let path = options.file.clone().unwrap();
    std::fs::create_dir(&path).unwrap();
    let history = History::new(&options);
    let mut writer = Writer::new(&history, &options, &path);
    assert!(failing(&history).contains("history.db"), "{}", failing(&history));
    // More than waits as scrapes, and far longer than memory lasts.
    for step in 0..5_000 {
        take(&history, step, &noise(step, 60));
        if step % 20 == 19 {
            writer.flush();
        }
    }
    assert_eq!(history.status().lost, 0);
    std::fs::remove_dir(&path).unwrap();
    writer.retry = 0;
    writer.flush();
    assert_eq!(failing(&history), "");
    drop(writer);
    // Killed now.
    let history = History::read(&path).unwrap();
    let steps: Vec<(i64, f64)> = (0..5_000).map(|step| (START + step * STEP, step as f64)).collect();
    let mut found = read_bare(&history, "steps_total");
    assert_eq!(found.remove(0), steps);
    let brief = read_bare(&history, "brief").remove(0);
    assert_eq!((brief.len(), brief[100].0), (101, START + 200 * STEP));
    assert!(crate::promql::is_stale(brief[100].1));
}

/// The samples of each series of this name.
fn read_bare(history: &History, name: &str) -> Vec<Vec<(i64, f64)>> {
    read(history, name, START, START + 400 * 86_400_000).into_iter().map(|(_, samples)| samples).collect()
}

#[test]
fn what_waits_for_a_file_is_bounded_and_what_goes_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.memory.bytes = 200_000;
    let path = options.file.clone().unwrap();
    std::fs::create_dir(&path).unwrap();
    let history = History::new(&options);
    let mut writer = Writer::new(&history, &options, &path);
    for step in 0..6_000 {
        take(&history, step, &noise(step, 100));
        if step % 20 == 19 {
            writer.flush();
            assert!(writer.waiting_bytes() <= 200_000, "{}", writer.waiting_bytes());
        }
    }
    let lost = history.status().lost;
    assert!(lost > 1_000, "{lost}");
    std::fs::remove_dir(&path).unwrap();
    writer.retry = 0;
    writer.flush();
    drop(writer);
    let found = read_bare(&History::read(&path).unwrap(), "steps_total").remove(0);
    // To the unit: what is not there was counted.
    assert_eq!(found.len() as u64 + lost, 6_000);
    assert_eq!(found.last().unwrap().1, 5_999.0);
}

#[test]
fn a_file_that_is_removed_is_begun_again_with_what_memory_has() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let path = options.file.clone().unwrap();
    let history = History::new(&options);
    let mut writer = Writer::new(&history, &options, &path);
    for step in 0..1_200 {
        if step == 1_000 {
            for end in ["", "-wal", "-shm"] {
                std::fs::remove_file(format!("{}{end}", path.display())).unwrap();
            }
        }
        take(&history, step, &text(step));
        if step % 2 == 1 {
            writer.flush();
        }
    }
    assert_eq!(failing(&history), "");
    drop(writer);
    let found = one(&History::read(&path).unwrap(), "a_total", START, START + 1_200 * STEP);
    assert!(found.len() > 200 + 600, "{}", found.len());
    assert_eq!(found, counter(1_200 - found.len() as i64..1_200));
}

#[test]
fn a_file_of_another_disk_that_comes_back_gets_what_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let path = options.file.clone().unwrap();
    let history = History::new(&options);
    let mut writer = Writer::new(&history, &options, &path);
    let names = || {
        ["", "-wal", "-shm"]
            .map(|end| (format!("{}{end}", path.display()), format!("{}/away{end}", folder.path().display())))
    };
    for step in 0..900 {
        match step {
            // The disk goes, and the folder below it is written.
            300 => names().iter().for_each(|(from, to)| std::fs::rename(from, to).unwrap()),
            500 => names().iter().for_each(|(to, from)| std::fs::rename(from, to).unwrap()),
            _ => {}
        }
        take(&history, step, &text(step));
        if step % 2 == 1 {
            writer.flush();
        }
    }
    drop(writer);
    let mut found = one(&History::read(&path).unwrap(), "a_total", START, START + 900 * STEP);
    found.retain(|(_, v)| !crate::promql::is_stale(*v));
    assert_eq!(found, counter(0..900));
}

#[test]
fn what_cannot_be_read_costs_what_is_on_disk_and_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let history = run(&options, steps(0..2_000));
    let all = |history: &History| one(history, "a_total", START, START + 2_000 * STEP);
    assert_eq!((all(&history).len(), history.note()), (2_000, None));
    *history.readers.lock() = Some(Arc::new(Readers::new(&folder.path().join("gone"))));
    let found = all(&history);
    assert!(found.len() >= 720 && found == counter(2_000 - found.len() as i64..2_000), "{}", found.len());
    let why = history.note().unwrap();
    assert!(why.contains("are missing in this answer") && why.contains("gone"), "{why}");
    let mut names = 0;
    history.series(&[], START, START + 1, &mut |_| Ok(())).unwrap();
    history
        .series(&[], i64::MIN, i64::MAX, &mut |_| {
            names += 1;
            Ok(())
        })
        .unwrap();
    assert!(names > 5, "{names}");
    // Who passes on a time of which a part is on disk alone hears of it, and who needs nothing of the disk does not.
    let (start, end) = (START, START + 2_000 * STEP);
    assert_eq!(history.window(start, end, 0).missing.as_deref(), history.note().as_deref());
    let recent = history.window(end - 10 * STEP, end, 0);
    assert!(recent.missing.is_none() && !recent.series.is_empty());
    *history.readers.lock() = Some(Arc::new(Readers::new(options.file.as_ref().unwrap())));
    assert_eq!((all(&history).len(), history.note()), (2_000, None));
    let mut from = start;
    let mut seen = Vec::new();
    while from <= end {
        let window = history.window(from, end, 0);
        assert_eq!(window.missing, None);
        let found = window.series.iter().find(|stretch| stretch.labels.name() == "a_total").unwrap();
        seen.extend(found.samples.iter().map(|sample| (sample.t, sample.v)));
        from = window.to + 1;
    }
    assert_eq!(seen, counter(0..2_000), "each once and in order");
}

#[test]
fn a_clock_that_is_a_year_ahead_for_hours_makes_nothing_old() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    let hour = 3_600_000;
    options.retention = Retention { keep: 12 * hour, thin: 60_000, keep_thin: 24 * hour, bytes: 1 << 30 };
    let path = options.file.clone().unwrap();
    let history = History::new(&options);
    let mut writer = Writer::new(&history, &options, &path);
    let minute = |at: i64| START + at * 60_000;
    let mut go = |range: std::ops::Range<i64>, ahead: i64| {
        for at in range {
            scraper::take(
                &history,
                minute(at) + ahead,
                &mut |write| write(&format!("c_total {at}\n")),
                &mut |_| {},
            );
            writer.flush();
        }
    };
    let held = |from: i64, to: i64| one(&history, "c_total", minute(from), minute(to)).len() as i64;
    let year = 365 * 24 * 60;
    go(0..600, 0);
    go(600..780, year * 60_000);
    // What is within the last hours is there, and what the wrong clock wrote is as well.
    assert_eq!((held(0, 599), held(year, 2 * year)), (600, 180));
    go(780..1_000, 0);
    assert_eq!(held(0, 1_000), 820);
    // Time goes on, and what is too old goes although there are samples of next year.
    go(1_000..3_600, 0);
    assert_eq!(held(3_600 - 1_440, 3_599), 1_440);
    assert!(held(0, 1_900) < 60, "{}", held(0, 1_900));
    // A machine that was off for a month begins again: after half a day the old is old.
    go(50_000..50_060, 0);
    assert_eq!(held(3_600 - 1_440, 3_599), 1_440);
    go(50_060..51_000, 0);
    let old = read(&history, "c_total", minute(0), minute(3_599));
    assert!(old.iter().all(|(_, samples)| samples.is_empty()), "{old:?}");
}

#[test]
fn exemplars_of_the_past_are_found_by_series_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::new(&options(folder.path()));
    for step in 0..100 {
        let seconds = (START / 1000) + step * 5;
        let text = format!(
            "s_bucket{{le=\"1\"}} {step} # {{trace_id=\"t{}\"}} 0.5 {}.25\ns_sum 1\n",
            step / 10,
            seconds / 50 * 50
        );
        take(&history, step, &text);
    }
    let found = |name: &str, from: i64, to: i64| {
        let matchers = [Matcher::new(NAME, Op::Equal, name).unwrap()];
        let mut found = Vec::new();
        history.exemplars(&matchers, from, to, &mut |labels, text| {
            assert_eq!((labels.get("le"), labels.get("job")), ("1", "neural"));
            found.push(text.to_owned());
        });
        found
    };
    let all = found("s_bucket", i64::MIN, i64::MAX);
    assert_eq!((all.len(), &*all[3]), (10, &*format!("{{trace_id=\"t3\"}} 0.5 {}.25", START / 1000 + 150)));
    assert_eq!(found("s_bucket", START, START + 60_000).len(), 2);
    assert_eq!(found("s_sum", i64::MIN, i64::MAX), Vec::<String>::new());
}
