//! Requests of OTLP, taken apart again by the reader of the wire format.

use proptest::prelude::*;

use super::super::Label;
use super::*;
use crate::decode::text::families::Families;
use crate::promql::{Labels, STALE, Sample};
use crate::protobuf::{Fields, Value, messages, numbers};

const FAMILIES: &str = "# TYPE a_seconds histogram\n# HELP a_seconds how long\n# UNIT a_seconds seconds\n# TYPE b counter\n# TYPE c summary\n# TYPE d info\n\
    # TYPE e_ohms gauge\n# UNIT e_ohms ohms\n# TYPE f_ratio gauge\n# UNIT f_ratio ratio\n";

/// Series as they are told: labels in words, and values at the times 1,000, 2,000 and so on.
fn exports(all: &[(&str, &[f64])], most: usize) -> Vec<Export> {
    told(all, most, None, &[])
}

fn told(all: &[(&str, &[f64])], most: usize, began: Option<i64>, exemplars: &[Exemplar]) -> Vec<Export> {
    let families = Families::of(FAMILIES);
    let labels = |text: &str| -> Vec<Label<'static>> {
        let mut all: Vec<Label<'static>> = text
            .split(' ')
            .enumerate()
            .map(|(at, word)| match word.split_once('=') {
                Some((name, value)) if at > 0 => (name.to_owned().into(), value.to_owned().into()),
                _ => ("__name__".into(), word.to_owned().into()),
            })
            .collect();
        all.sort();
        all
    };
    let all: Vec<(Vec<Label<'_>>, Vec<Sample>)> = all
        .iter()
        .map(|(text, values)| {
            let samples = (1..).zip(*values).map(|(at, v)| Sample { t: at * 1000, v: *v });
            (labels(text), samples.collect())
        })
        .collect();
    let series = all.iter().map(|(labels, samples)| {
        let name = labels.iter().find(|(name, _)| name == "__name__").unwrap().1.as_ref();
        Series { labels, samples, began, exemplars, family: families.get(name) }
    });
    Exports::new(series, most).collect()
}

fn string(message: &[u8], field: u32) -> String {
    messages(message, field).map(|text| String::from_utf8_lossy(text)).collect()
}

/// The fixed numbers of a message in words, without its attributes.
fn double(message: &[u8], field: u32) -> Vec<f64> {
    numbers(message, field, true).map(f64::from_bits).collect()
}

/// The metrics of requests: name, unit, type, the field of the points, and points.
fn metrics(exports: &[Export]) -> Vec<(String, String, u32, Vec<Vec<u8>>)> {
    let mut all = Vec::new();
    for export in exports {
        for scope in messages(&export.body, 1).flat_map(|resource| messages(resource, 2)) {
            for metric in messages(scope, 2) {
                let (field, data) = Fields::of(metric)
                    .find_map(|(field, value)| match value {
                        Value::Bytes(data) if (5..=11).contains(&field) => Some((field, data)),
                        _ => None,
                    })
                    .unwrap();
                let points = messages(data, 1).map(<[u8]>::to_vec).collect();
                all.push((string(metric, 1), string(metric, 3), field, points));
            }
        }
    }
    all
}

#[test]
fn a_histogram_is_one_point_again_with_its_unit() {
    let all = exports(
        &[
            ("a_seconds_bucket le=+Inf x=y", &[5.0]),
            ("a_seconds_bucket le=0.5 x=y", &[3.0]),
            ("a_seconds_bucket le=0.1 x=y", &[1.0]),
            ("a_seconds_count x=y", &[5.0]),
            ("a_seconds_sum x=y", &[2.5]),
        ],
        10,
    );
    let metrics = metrics(&all);
    let [(name, unit, 9, points)] = &metrics[..] else { panic!("{metrics:?}") };
    assert_eq!((name.as_str(), unit.as_str()), ("a_seconds", "s"));
    let [point] = &points[..] else { panic!("{points:?}") };
    assert_eq!(numbers(point, 6, true).collect::<Vec<_>>(), [1, 2, 2]);
    assert_eq!(double(point, 7), [0.1, 0.5]);
    assert_eq!((numbers(point, 4, true).collect::<Vec<_>>(), double(point, 5)), (vec![5], vec![2.5]));
    let attribute = messages(point, 9).next().unwrap();
    assert_eq!((messages(point, 9).count(), string(attribute, 1)), (1, "x".to_owned()));
    assert_eq!((all[0].points, all[0].samples, all[0].incomplete), (1, 5, 0));
}

#[test]
fn types_and_units_are_those_of_the_specification() {
    let all = exports(
        &[
            ("b_total", &[1.0]),
            ("b_created", &[0.5]),
            ("c quantile=0.5", &[7.0]),
            ("c_count", &[2.0]),
            ("c_sum", &[9.0]),
            ("d_info", &[1.0]),
            ("e_ohms", &[1.0]),
            ("f_ratio", &[1.0]),
            ("up", &[1.0]),
        ],
        100,
    );
    let metrics = metrics(&all);
    let told: Vec<_> =
        metrics.iter().map(|(name, unit, field, _)| (name.as_str(), unit.as_str(), *field)).collect();
    assert_eq!(
        told,
        [
            ("b_total", "", 7),
            ("c", "", 11),
            ("d_info", "", 7),
            ("e_ohms", "", 5),
            ("f_ratio", "1", 5),
            ("up", "", 5)
        ]
    );
    let sum = &metrics[0].3[0];
    assert_eq!(numbers(sum, 2, true).collect::<Vec<_>>(), [500_000_000], "when it began");
    assert_eq!((numbers(sum, 3, true).collect::<Vec<_>>(), double(sum, 4)), (vec![1_000_000_000], vec![1.0]));
    let summary = &metrics[1].3[0];
    let quantile = messages(summary, 6).next().unwrap();
    assert_eq!(
        (double(quantile, 1), double(quantile, 2), double(summary, 5)),
        (vec![0.5], vec![7.0], vec![9.0])
    );
}

#[test]
fn what_ended_has_a_point_that_says_so() {
    let all = exports(
        &[
            ("a_seconds_bucket le=+Inf", &[1.0, STALE]),
            ("a_seconds_count", &[1.0, STALE]),
            ("a_seconds_sum", &[1.0, STALE]),
            ("up", &[1.0, STALE]),
        ],
        100,
    );
    for ((_, _, _, points), (flags, value)) in metrics(&all).into_iter().zip([(10, 4), (8, 4)]) {
        let flag = |point: &[u8]| numbers(point, flags, false).collect::<Vec<_>>();
        assert_eq!((flag(&points[0]), flag(&points[1])), (vec![], vec![1]));
        assert_eq!(numbers(&points[1], value, true).count(), 0, "it has no value");
    }
}

#[test]
fn what_contradicts_itself_is_counted_and_not_sent() {
    for wrong in [
        &[("a_seconds_bucket le=1", &[3.0][..]), ("a_seconds_bucket le=+Inf", &[2.0])][..],
        &[("a_seconds_bucket le=1", &[3.0])],
        &[
            ("a_seconds_bucket le=1", &[1.0]),
            ("a_seconds_bucket le=1.0", &[1.0]),
            ("a_seconds_count", &[1.0]),
        ],
        &[("a_seconds_bucket le=+Inf", &[0.5])],
        &[("a_seconds_bucket le=+Inf", &[f64::NAN])],
        &[("a_seconds_sum", &[1.0])],
        &[("c quantile=0.5", &[1.0]), ("c_sum", &[1.0])],
    ] {
        let all = exports(wrong, 10);
        assert_eq!((all.len(), all[0].points, all[0].incomplete), (1, 0, 1), "{wrong:?}");
        assert!(all[0].body.is_empty(), "{wrong:?}");
    }
}

#[test]
fn each_exemplar_is_with_the_first_point_after_it() {
    let exemplar = |t, trace: &str| Exemplar {
        labels: Labels::from_pairs([("trace_id", trace), ("user", "x")]),
        v: 0.2,
        t,
    };
    let id = "000102030405060708090a0b0c0d0e0f";
    let all = told(
        &[("b_total", &[1.0, 2.0, 3.0])],
        1,
        Some(2_000),
        &[exemplar(900, id), exemplar(1_500, "no id"), exemplar(9_000, id)],
    );
    assert_eq!(all.iter().map(|export| (export.points, export.exemplars)).collect::<Vec<_>>(), [(1, 1); 3]);
    let points: Vec<_> = metrics(&all).into_iter().flat_map(|(.., points)| points).collect();
    let begins: Vec<Vec<u64>> = points.iter().map(|point| numbers(point, 2, true).collect()).collect();
    assert_eq!(
        begins,
        [vec![], vec![2_000_000_000], vec![2_000_000_000]],
        "what was before is of another life"
    );
    let first = messages(&points[0], 5).next().unwrap();
    assert_eq!(messages(first, 5).next().unwrap(), (0..16).collect::<Vec<u8>>());
    assert_eq!((messages(first, 7).count(), double(first, 3)), (1, vec![0.2]));
    let second = messages(&points[1], 5).next().unwrap();
    assert_eq!(messages(second, 7).count(), 2, "what is no id is an attribute");
}

proptest! {
    #[test]
    fn every_sample_is_in_some_request_once(
        counts in proptest::collection::vec(0_u8..20, 1..30), most in 1_usize..9,
    ) {
        // Histograms and gauges of some sets of attributes, with samples of some times.
        let values: Vec<Vec<f64>> = counts.iter().map(|count| vec![1.0; usize::from(*count)]).collect();
        let names: Vec<[String; 3]> = (0..counts.len())
            .map(|at| [format!("a_seconds_bucket le=+Inf x={at}"), format!("a_seconds_sum x={at}"), format!("up instance={}", at % 3)])
            .collect();
        let all: Vec<(&str, &[f64])> = names.iter().zip(&values)
            .flat_map(|(names, values)| names.iter().map(|name| (name.as_str(), values.as_slice())))
            .collect();
        let requests = exports(&all, most);
        let times: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        prop_assert_eq!(requests.iter().map(|one| one.samples).sum::<u64>(), times * 3);
        prop_assert_eq!(requests.iter().map(|one| one.points).sum::<u64>(), times * 2);
        let written: usize = metrics(&requests).iter().map(|(.., points)| points.len()).sum();
        prop_assert_eq!(written as u64, times * 2);
        prop_assert!(requests.iter().all(|one| one.points <= most as u64 + 10), "one time of one set may be over");
    }
}
