//! What is passed on of the history: each sample and exemplar once, in order, and when series began.

use super::*;
use crate::history::BEGAN;
use crate::promql::Exemplar;

fn take(history: &History, time: i64, text: &str) {
    scraper::take(history, time, &mut |write| write(text), &mut |_| {});
}

/// Every window from a time on, as a sender asks for them.
fn windows(history: &History, from: i64, to: i64, span: i64) -> Vec<Window> {
    let (mut all, mut at, mut since): (Vec<Window>, _, _) = (Vec::new(), from, 0);
    while at <= to {
        let window = history.window(at, to.min(at + span - 1), since);
        (at, since) = (window.to + 1, window.next);
        all.push(window);
    }
    all
}

fn of<'w>(window: &'w Window, name: &str) -> &'w Stretch {
    window.series.iter().find(|stretch| stretch.labels.name() == name).unwrap()
}

#[test]
fn an_exemplar_is_passed_on_once_with_the_samples_of_the_scrape_that_showed_it() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::new(&options(folder.path()));
    // Each is shown by some scrapes, and was observed a little before the first of them.
    let text = |step: i64| {
        let seen = START + step / 3 * 3 * STEP - 7;
        format!(
            "# TYPE h histogram\nh_bucket{{le=\"1.0\"}} {step} # {{trace_id=\"{:032x}\"}} 0.5 {}\nh_bucket{{le=\"+Inf\"}} {step}\n",
            step / 3,
            seen as f64 / 1000.0
        )
    };
    // More than one block.
    (0..300).for_each(|step| take(&history, START + step * STEP, &text(step)));
    for span in [STEP, 7 * STEP, 1_000 * STEP] {
        let all = windows(&history, START, START + 299 * STEP, span);
        let exemplars: Vec<(i64, &Exemplar)> = all
            .iter()
            .flat_map(|window| window.series.iter().map(move |stretch| (window, stretch)))
            .flat_map(|(window, stretch)| {
                assert!(stretch.labels.get("le") == "1.0" || stretch.exemplars.is_empty());
                stretch.exemplars.iter().map(move |one| (window.to, one))
            })
            .collect();
        assert_eq!(exemplars.len(), 100, "{span}");
        for (number, (to, one)) in exemplars.iter().enumerate() {
            assert_eq!(one.labels.get("trace_id"), format!("{number:032x}"));
            assert_eq!((one.v, one.t), (0.5, START + number as i64 * 3 * STEP - 7));
            assert!(span > STEP || *to == START + number as i64 * 3 * STEP + STEP - 1, "{to}");
        }
        assert!(all.iter().all(|window| window.gone == 0 && window.missing.is_none()));
    }
}

#[test]
fn a_series_says_when_its_life_began() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::new(&options(folder.path()));
    let second = START / 1000;
    let text = |a: i64| {
        format!(
            "# TYPE a counter\na_total 1\n{BEGAN}{a}\n# TYPE h histogram\nh_bucket{{le=\"+Inf\"}} 1\nh_sum 1\nh_count 1\n{BEGAN}{}\nh_bucket{{le=\"+Inf\",x=\"y\"}} 1\n{BEGAN}0\n# TYPE b gauge\nb 1\n",
            second - 9
        )
    };
    take(&history, START, &text(second - 10));
    let began = |from: i64, name: &str| of(&history.window(from, START + 900_000, 0), name).began;
    let ago = |seconds: i64| Some(START - seconds * 1000);
    for (name, want) in
        [("a_total", ago(10)), ("h_sum", ago(9)), ("h_count", ago(9)), ("b", None), ("up", None)]
    {
        assert_eq!(began(START, name), want, "{name}");
    }
    let window = history.window(START, START, 0);
    let buckets = window.series.iter().filter(|stretch| stretch.labels.name() == "h_bucket");
    let mut buckets: Vec<_> = buckets.map(|stretch| (stretch.labels.get("x"), stretch.began)).collect();
    buckets.sort();
    assert_eq!(buckets, [("", ago(9)), ("y", None)]);
    // It goes and comes again, which one scrape may hide; then it goes and what comes says nothing.
    take(&history, START + STEP, "b 1\n");
    take(&history, START + 2 * STEP, &text(second + 7));
    assert_eq!(began(START + 2 * STEP, "a_total"), ago(-7));
    take(&history, START + 3 * STEP, &text(second + 13));
    assert_eq!(began(START + 3 * STEP, "a_total"), ago(-13));
    // What is read from a block says the same.
    (4..130).for_each(|step| take(&history, START + step * STEP, &text(second + 13)));
    assert_eq!(began(START + 3 * STEP, "a_total"), ago(-13));
    take(&history, START + 130 * STEP, "b 1\n");
    take(&history, START + 131 * STEP, "# TYPE a counter\na_total 1\nb 1\n");
    assert_eq!(began(START + 131 * STEP, "a_total"), None);
}

#[test]
fn a_clock_that_is_set_back_or_forward_neither_hides_nor_doubles_a_scrape() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::new(&options(folder.path()));
    assert_eq!(history.turn(), (i64::MIN, i64::MIN));
    let hour = 3_600_000;
    let at = |step: i64| START + step * STEP;
    let shown = |from: i64, to: i64| -> Vec<(i64, f64)> {
        let all = windows(&history, from, to, 7 * STEP);
        let samples = all.iter().flat_map(|window| &window.series);
        let ours = samples.filter(|stretch| stretch.labels.name() == "n");
        ours.flat_map(|stretch| stretch.samples.iter().map(|one| (one.t, one.v))).collect()
    };
    let put = |step: i64, time: i64| take(&history, time, &format!("n {step}\n"));
    (0..30).for_each(|step| put(step, at(step)));
    assert_eq!(history.turn(), (at(0), i64::MIN), "the first of all");
    // Who was at the last scrape goes on at the first one since.
    (30..200).for_each(|step| put(step, at(step) - hour));
    assert_eq!(history.turn(), (at(30) - hour, at(29)));
    let want = |range: std::ops::Range<i64>, off: i64| -> Vec<(i64, f64)> {
        range.map(|step| (at(step) + off, step as f64)).collect()
    };
    assert_eq!(shown(at(30) - hour, at(199) - hour), want(30..200, -hour));
    // Forward: a gap, and no turn.
    (200..250).for_each(|step| put(step, at(step) + hour));
    assert_eq!(history.turn().0, at(30) - hour);
    assert_eq!(shown(at(200) - hour, at(249) + hour).iter().filter(|one| one.0 > at(30)).count(), 50);
    assert_eq!(shown(at(200) + hour, at(249) + hour), want(200..250, hour));
}

#[test]
fn a_series_that_comes_and_goes_ends_with_a_mark_in_the_window_of_that_scrape() {
    let folder = tempfile::tempdir().unwrap();
    let history = History::new(&options(folder.path()));
    (0..300).for_each(|step| {
        let text = if (130..140).contains(&step) { "stays 1\nbrief 1\n" } else { "stays 1\n" };
        take(&history, START + step * STEP, text);
    });
    for span in [STEP, 11 * STEP] {
        let all = windows(&history, START, START + 299 * STEP, span);
        let brief = all.iter().flat_map(|window| &window.series).filter(|one| one.labels.name() == "brief");
        let brief: Vec<(i64, bool)> = brief
            .flat_map(|one| one.samples.iter().map(|of| (of.t, crate::promql::is_stale(of.v))))
            .collect();
        let want: Vec<(i64, bool)> = (130..=140).map(|step| (START + step * STEP, step == 140)).collect();
        assert_eq!(brief, want, "{span}");
    }
}
