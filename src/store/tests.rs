//! The history as a whole: what was taken is what is read, over restarts and faults.

use std::fmt::Write;
use std::path::Path;

use super::file::File;
use super::writer::Writer;
use super::*;

mod faults;
mod window;

const STEP: i64 = 5_000;
const START: i64 = 1_764_460_800_000;

fn options(folder: &Path) -> Options {
    Options {
        interval: Duration::from_secs(5),
        memory: Limits { span: 3_600_000, series: 10_000, bytes: 8 << 20, series_bytes: 8 << 20 },
        file: Some(folder.join("history.db")),
        flush: Duration::from_secs(10),
        retention: Retention { keep: 86_400_000, thin: 60_000, keep_thin: 30 * 86_400_000, bytes: 1 << 30 },
        target: Target { job: "neural".into(), instance: "here:9612".into() },
        names: Names::default(),
    }
}

/// What a scrape shows at this step.
fn text(step: i64) -> String {
    let mut text = format!("# TYPE a counter\na_total{{channel=\"1\"}} {}\nb {}.25\n", step * 3, step % 7);
    if step % 50 < 40 {
        text.push_str("sometimes{job=\"own\"} 1\n");
    }
    text
}

/// Takes scrapes as the threads do, and writes every other time.
fn run(options: &Options, times: impl Iterator<Item = (i64, i64)>) -> History {
    let history = History::new(options);
    let path = options.file.clone().unwrap_or_default();
    let mut writer = Writer::new(&history, options, &path);
    for (step, time) in times {
        scraper::take(&history, time, &mut |write| write(&text(step)), &mut |_| {});
        if step % 2 == 1 {
            writer.flush();
        }
    }
    drop(writer);
    history
}

fn steps(range: std::ops::Range<i64>) -> impl Iterator<Item = (i64, i64)> {
    range.map(|step| (step, START + step * STEP))
}

#[test]
fn labels_are_bounded_in_bytes_and_their_room_comes_back() {
    let limits = Limits { span: 60_000, series: 10_000, bytes: 1 << 20, series_bytes: 1 << 20 };
    let mut head = Head::new(Target::default(), Names::default(), limits);
    let wide = "v".repeat(10_000);
    // Each scrape shows ten series that no other does, and one that is always there.
    let shows = |head: &mut Head, step: i64| {
        let mut taking = head.take(START + step * STEP);
        taking.text("stays 1\n");
        (0..10).for_each(|n| taking.text(&format!("wide{{n=\"{step}-{n}\",l=\"{wide}\"}} 1\n")));
        taking.end();
    };
    (0..60).for_each(|step| shows(&mut head, step));
    let (refused, _) = head.lost();
    assert!(refused > 400, "{refused} refused");
    assert!(head.series_bytes() <= 1 << 20, "{} bytes", head.series_bytes());
    // Those that are over are forgotten with their blocks.
    head.seal();
    (200..320).for_each(|step| drop(head.take(START + step * STEP).end()));
    head.seal();
    assert!(head.series_bytes() < 10_000, "{} bytes", head.series_bytes());
    shows(&mut head, 400);
    assert_eq!((head.lost().0, head.series_count()), (refused, 11));
}

/// What a selector finds: by labels, without those of the target.
fn read(history: &History, name: &str, from: i64, to: i64) -> Vec<(String, Vec<(i64, f64)>)> {
    let matchers = [Matcher::new(NAME, Op::Equal, name).unwrap()];
    let selection = Selection { matchers: &matchers, from, to, step: 0, width: to - from };
    let mut found = Vec::new();
    history
        .select(&selection, &mut |labels, samples| {
            assert_eq!((labels.get("job"), labels.get("instance")), ("neural", "here:9612"));
            let within = samples.iter().filter(|sample| (from..=to).contains(&sample.t));
            found.push((labels.to_string(), within.map(|sample| (sample.t, sample.v)).collect()));
            Ok(())
        })
        .unwrap();
    found
}

fn one(history: &History, name: &str, from: i64, to: i64) -> Vec<(i64, f64)> {
    let mut found = read(history, name, from, to);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0).1
}

fn counter(range: std::ops::Range<i64>) -> Vec<(i64, f64)> {
    steps(range).map(|(step, time)| (time, (step * 3) as f64)).collect()
}

#[test]
fn what_was_taken_is_read_from_memory_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let history = run(&options(folder.path()), steps(0..2_000));
    // Older than an hour is in the file alone.
    assert_eq!(one(&history, "a_total", START, START + 2_000 * STEP), counter(0..2_000));
    assert_eq!(one(&history, "a_total", START + 1_990 * STEP, START + 2_000 * STEP), counter(1_990..2_000));
    let up = one(&history, "up", START, START + 2_000 * STEP);
    assert!(up.len() == 2_000 && up.iter().all(|(_, v)| *v == 1.0));
    let found = read(&history, "sometimes", START, START + 100 * STEP);
    assert!(found[0].0.contains("exported_job=\"own\""), "{found:?}");
    let ends: Vec<i64> =
        found[0].1.iter().filter(|(_, v)| crate::promql::is_stale(*v)).map(|(t, _)| *t).collect();
    assert_eq!(ends, [START + 40 * STEP, START + 90 * STEP]);
}

#[test]
fn a_killed_agent_finds_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    for (from, to) in [(0, 250), (260, 265), (265, 1_000)] {
        drop(run(&options, steps(from..to)));
    }
    let history = run(&options, steps(1_001..1_003));
    let mut read = one(&history, "a_total", START, START + 2_000 * STEP);
    // Each run ends with a mark, so that no value outlives it.
    let ends: Vec<i64> = read.extract_if(.., |(_, v)| crate::promql::is_stale(*v)).map(|(t, _)| t).collect();
    assert_eq!(ends, [250, 264, 1_000].map(|step| START + step * STEP));
    let mut expected = counter(0..250);
    // The scrape of an even step was not written when the agent was killed; the one before it was.
    expected.extend(counter(260..264));
    expected.extend(counter(265..1_000));
    expected.extend(counter(1_001..1_003));
    assert_eq!(read, expected);
}

/// Runs SQL on the file as another program would.
fn sql(options: &Options, text: &str) {
    let db = rusqlite::Connection::open(options.file.as_ref().unwrap()).unwrap();
    db.execute_batch(text).unwrap();
}

fn failing(history: &History) -> String {
    history.status().failing.unwrap_or_default()
}

#[test]
fn a_scrape_that_is_damaged_costs_those_that_need_it_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    drop(run(&options, steps(0..300)));
    // A bit of the fifty-first scrape turns; the next that stands by itself is the first of the next block.
    sql(&options, "UPDATE scrape SET data = zeroblob(length(data)) WHERE id = 51");
    let history = run(&options, steps(400..401));
    assert_eq!(history.status().lost, 70);
    let mut read = one(&history, "a_total", START, START + 399 * STEP);
    read.retain(|(_, v)| !crate::promql::is_stale(*v));
    let mut expected = counter(0..50);
    expected.extend(counter(120..300));
    assert_eq!(read, expected);
}

#[test]
fn a_chunk_that_is_damaged_is_counted_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let history = run(&options, steps(0..2_300));
    assert_eq!(one(&history, "a_total", START, START + 2_300 * STEP).len(), 2_300);
    sql(
        &options,
        "UPDATE chunk SET data = zeroblob(length(data)) WHERE start = (SELECT min(start) FROM chunk)",
    );
    let read = one(&history, "a_total", START, START + 2_300 * STEP);
    assert_eq!(read, counter(720..2_300));
    assert_eq!(history.status().damaged, 1);
}

#[test]
fn a_file_that_is_no_database_is_kept_under_another_name() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    std::fs::write(options.file.as_ref().unwrap(), vec![b'x'; 10_000]).unwrap();
    let history = run(&options, steps(0..10));
    assert_eq!(failing(&history), "");
    let names = |folder: &Path| -> Vec<String> {
        std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect()
    };
    let aside: Vec<String> =
        names(folder.path()).into_iter().filter(|name| name.contains("damaged")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(std::fs::read(folder.path().join(&aside[0])).unwrap(), vec![b'x'; 10_000]);
    drop(history);
    assert_eq!(one(&run(&options, steps(20..22)), "b", START, START + 9 * STEP).len(), 10);
}

#[test]
fn the_second_agent_on_a_file_keeps_its_history_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    let first = File::open(options.file.as_ref().unwrap()).unwrap();
    let history = run(&options, steps(0..500));
    assert!(failing(&history).contains("another agent writes it"), "{}", failing(&history));
    assert_eq!(one(&history, "a_total", START, START + 500 * STEP), counter(0..500));
    drop(first);
}

#[test]
fn a_file_of_a_newer_program_and_one_of_another_are_left_alone() {
    for (setup, words) in
        [("PRAGMA user_version = 99", "has format 99"), ("PRAGMA application_id = 7", "of another program")]
    {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        drop(run(&options, steps(0..10)));
        sql(&options, setup);
        let before = std::fs::read(options.file.as_ref().unwrap()).unwrap();
        let history = run(&options, steps(10..20));
        assert!(failing(&history).contains(words), "{}", failing(&history));
        assert_eq!(std::fs::read(options.file.as_ref().unwrap()).unwrap(), before);
    }
}

#[test]
fn a_clock_that_is_set_back_loses_and_doubles_nothing_that_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path());
    // After step 1,000 the clock goes back by an hour; then it is right.
    let back = (1_000..3_000).map(|step| (step, START + (step - 720) * STEP));
    let history = run(&options, steps(0..1_000).chain(back));
    let mut expected = counter(0..280);
    expected.extend((1_000..3_000).map(|step| (START + (step - 720) * STEP, (step * 3) as f64)));
    let read = one(&history, "a_total", START, START + 3_000 * STEP);
    assert_eq!(read.len(), expected.len());
    assert_eq!(read, expected);
}

#[test]
fn what_is_old_is_thinned_and_counts_stay_right() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.retention =
        Retention { keep: 3_600_000, thin: 60_000, keep_thin: 3 * 86_400_000, bytes: 1 << 30 };
    // Two days and a bit, every 15 s, with a counter that begins again at some steps.
    let value = |step: i64| (step % 1_111) * 2;
    let history = History::new(&options);
    let path = options.file.clone().unwrap();
    let mut writer = Writer::new(&history, &options, &path);
    let start = START.div_euclid(86_400_000) * 86_400_000;
    let count = 2 * 5_760 + 1_000;
    for step in 0..count {
        scraper::take(
            &history,
            start + step * 15_000,
            &mut |write| {
                write(&format!("c_total {}\ng {step}\n", value(step)));
            },
            &mut |_| {},
        );
        if step % 10 == 9 {
            writer.flush();
        }
    }
    let increase = |samples: &[(i64, f64)]| -> f64 {
        samples
            .windows(2)
            .map(|pair| if pair[1].1 < pair[0].1 { pair[1].1 } else { pair[1].1 - pair[0].1 })
            .sum()
    };
    let exact: Vec<(i64, f64)> = (0..5_760).map(|step| (start + step * 15_000, value(step) as f64)).collect();
    let day = one(&history, "c_total", start, start + 5_760 * 15_000 - 1);
    assert!((1_440..1_500).contains(&day.len()), "{}", day.len());
    let (first, last) = (exact.iter().find(|(t, _)| *t == day[0].0).unwrap().1, day.last().unwrap().1);
    let from = exact.iter().position(|(t, _)| *t == day[0].0).unwrap();
    let to = exact.iter().position(|(t, _)| *t == day.last().unwrap().0).unwrap();
    assert_eq!(increase(&day), increase(&exact[from..=to]), "{first} {last}");
    assert_eq!(one(&history, "g", start, start + 86_400_000 - 1).len(), 1_440);
    // The last hour is as it was.
    let recent = one(&history, "g", start + (count - 200) * 15_000, start + count * 15_000);
    assert_eq!(recent.len(), 200);
}

#[test]
fn the_file_is_never_much_larger_than_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    options.retention.bytes = 400_000;
    let history = History::new(&options);
    let path = options.file.clone().unwrap();
    let mut writer = Writer::new(&history, &options, &path);
    let mut seed = 1_u64;
    let mut most = 0;
    for step in 0..6_000 {
        let mut text = String::new();
        for series in 0..20 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            writeln!(text, "noise{{n=\"{series}\"}} {}", seed as f64 / 1e19).unwrap();
        }
        scraper::take(&history, START + step * STEP, &mut |write| write(&text), &mut |_| {});
        if step % 100 == 99 {
            writer.flush();
            most = most.max(std::fs::metadata(&path).unwrap().len());
        }
    }
    // An hour of scrapes waits beside the chunks.
    assert!(most < 400_000 + 500_000, "{most}");
    let held = one(&history, "up", START, START + 6_000 * STEP);
    assert!(held.len() > 700 && held.len() < 6_000, "{}", held.len());
    assert_eq!(held.last().unwrap().0, START + 5_999 * STEP);
}
