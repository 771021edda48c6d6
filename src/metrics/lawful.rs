//! What an exposition can say: the last gate between a sender and `/metrics`.
//!
//! Decoders refuse what is wrong in their own format. What is refused here is a series or a value
//! that no reader of an exposition would accept, from any sender, because one such line would cost
//! the whole scrape.

use crate::event::{Change, FaultKind, Kind, LABELS, Spelled};

/// Whether a series may be called so. A unit that does not belong is taken away, and labels are sorted.
pub(super) fn series(spelled: &mut Spelled) -> Result<(), FaultKind> {
    let Spelled { name, kind, unit, labels, .. } = spelled;
    if !is_name(name, b":_") {
        return Err(FaultKind::BadName);
    }
    let reserved = match kind {
        Kind::Histogram | Kind::GaugeHistogram => "le",
        Kind::Summary => "quantile",
        _ => "",
    };
    if labels.len() > LABELS {
        return Err(FaultKind::Limit);
    }
    labels.sort_unstable();
    let twice = labels.windows(2).any(|pair| matches!(pair, [one, other] if one.0 == other.0));
    let bad = |label: &str| !is_name(label, b"_") || label.starts_with("__") || label == reserved;
    if twice || labels.iter().any(|(label, _)| bad(label)) {
        return Err(FaultKind::BadName);
    }
    if *kind == Kind::StateSet && !labels.iter().any(|(label, state)| label == name && !state.is_empty()) {
        return Err(FaultKind::MissingField);
    }
    let fits = name.strip_suffix(unit.as_str()).is_some_and(|stem| stem.ends_with('_'));
    if !fits || matches!(kind, Kind::Info | Kind::StateSet) {
        unit.clear();
    }
    Ok(())
}

/// What a change means to a series of this type, if it means anything.
pub(super) fn change(change: Change<'_>, kind: Kind) -> Result<Change<'_>, FaultKind> {
    let change = match (change, kind) {
        (Change::Takes(value), Kind::Counter) => Change::Add(value),
        (Change::Takes(value), Kind::Histogram) => Change::Observe { value, weight: 1.0 },
        (Change::Takes(value), _) => Change::Set(value),
        (change, _) => change,
    };
    match (kind, change) {
        (Kind::Counter, Change::Add(v) | Change::Reads(v)) if v >= 0.0 => Ok(change),
        (Kind::Counter, Change::Add(v) | Change::Reads(v)) => {
            Err(if v.is_nan() { FaultKind::NotFinite } else { FaultKind::Negative })
        }
        (Kind::Gauge | Kind::Unknown, Change::Set(_) | Change::Shift(_) | Change::Reads(_))
        | (Kind::Gauge, Change::Member(_))
        | (Kind::Summary, Change::Quantiles { .. }) => Ok(change),
        (Kind::Info, Change::Set(v) | Change::Reads(v)) if v == 1.0 => Ok(change),
        (Kind::StateSet, Change::Set(v) | Change::Reads(v)) if v == 0.0 || v == 1.0 => Ok(change),
        (Kind::Info | Kind::StateSet, Change::Set(_) | Change::Reads(_)) => Err(FaultKind::BadValue),
        (Kind::Histogram, Change::Observe { value, weight }) => {
            if value.is_nan() || weight.is_nan() {
                Err(FaultKind::NotFinite)
            } else if weight < 0.0 {
                Err(FaultKind::Negative)
            } else {
                Ok(change)
            }
        }
        (Kind::Histogram | Kind::GaugeHistogram, Change::Buckets { buckets, .. }) => {
            if rising(buckets) {
                Ok(change)
            } else {
                Err(FaultKind::BadValue)
            }
        }
        (Kind::Histogram, Change::AddBuckets { buckets, sum, .. }) => {
            if !ladder(buckets) || buckets.iter().any(|(_, more)| !more.is_finite()) {
                Err(FaultKind::BadValue)
            } else if buckets.iter().any(|(_, more)| *more < 0.0) {
                Err(FaultKind::Negative)
            } else if sum.is_some_and(|sum| !sum.is_finite()) {
                Err(FaultKind::NotFinite)
            } else {
                Ok(change)
            }
        }
        // The key is known as another type: the scraped program has changed its mind.
        _ => Err(FaultKind::Conflict),
    }
}

/// Whether bounds rise to the infinite one, and counts do not fall.
fn rising(buckets: &[(f64, f64)]) -> bool {
    ladder(buckets)
        && buckets.first().is_some_and(|(_, count)| *count >= 0.0)
        && buckets.windows(2).all(|pair| matches!(pair, [a, b] if a.1 <= b.1))
}

/// Whether bounds rise to the infinite one.
fn ladder(buckets: &[(f64, f64)]) -> bool {
    buckets.last().is_some_and(|(bound, _)| *bound == f64::INFINITY)
        && buckets.first().is_some_and(|(bound, _)| *bound > f64::NEG_INFINITY)
        && buckets.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0))
}

fn is_name(name: &str, besides: &[u8]) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || besides.contains(&b))
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(name: &str, kind: Kind, labels: &[&str]) -> Spelled {
        let labels = labels.iter().map(|label| ((*label).to_owned(), "v".to_owned())).collect();
        Spelled { name: name.to_owned(), kind, labels, unit: "seconds".to_owned(), ..Spelled::default() }
    }

    #[test]
    fn names_that_no_exposition_has_are_refused() {
        for (name, kind, labels, verdict) in [
            ("a:b", Kind::Gauge, &["le"][..], Ok(())),
            ("", Kind::Gauge, &[], Err(FaultKind::BadName)),
            ("7", Kind::Gauge, &[], Err(FaultKind::BadName)),
            ("a.b", Kind::Gauge, &[], Err(FaultKind::BadName)),
            ("a", Kind::Gauge, &["b:c"], Err(FaultKind::BadName)),
            ("a", Kind::Gauge, &["__name__"], Err(FaultKind::BadName)),
            ("a", Kind::Gauge, &["x", "y", "x"], Err(FaultKind::BadName)),
            ("a", Kind::Histogram, &["le"], Err(FaultKind::BadName)),
            ("a", Kind::Summary, &["quantile"], Err(FaultKind::BadName)),
            ("a", Kind::StateSet, &["a"], Ok(())),
            ("a", Kind::StateSet, &["b"], Err(FaultKind::MissingField)),
        ] {
            assert_eq!(series(&mut spelled(name, kind, labels)), verdict, "{name} {labels:?}");
        }
    }

    #[test]
    fn a_unit_that_does_not_belong_is_taken_away() {
        for (name, kind, unit) in [
            ("wait_seconds", Kind::Gauge, "seconds"),
            ("wait", Kind::Gauge, ""),
            ("seconds", Kind::Gauge, ""),
            ("wait_seconds", Kind::Info, ""),
        ] {
            let mut spelled = spelled(name, kind, &[]);
            series(&mut spelled).unwrap();
            assert_eq!(spelled.unit, unit, "{name}");
        }
    }

    #[test]
    fn changes_that_make_no_sense_are_refused() {
        let infinity = f64::INFINITY;
        let buckets = |buckets| Change::Buckets { buckets, sum: None };
        let more = |buckets, sum| Change::AddBuckets { buckets, sum, exemplar: None };
        for (kind, said, verdict) in [
            (Kind::Counter, Change::Takes(2.0), Ok(Change::Add(2.0))),
            (Kind::Gauge, Change::Takes(-2.0), Ok(Change::Set(-2.0))),
            (Kind::Histogram, Change::Takes(2.0), Ok(Change::Observe { value: 2.0, weight: 1.0 })),
            (Kind::Counter, Change::Takes(-2.0), Err(FaultKind::Negative)),
            (Kind::Counter, Change::Reads(f64::NAN), Err(FaultKind::NotFinite)),
            (Kind::Counter, Change::Set(1.0), Err(FaultKind::Conflict)),
            (Kind::Gauge, buckets(&[(infinity, 1.0)]), Err(FaultKind::Conflict)),
            (Kind::Histogram, buckets(&[(1.0, 1.0), (1.0, 1.0), (infinity, 1.0)]), Err(FaultKind::BadValue)),
            (Kind::Histogram, buckets(&[(1.0, 2.0), (infinity, 1.0)]), Err(FaultKind::BadValue)),
            (Kind::Histogram, buckets(&[(1.0, 2.0)]), Err(FaultKind::BadValue)),
            (Kind::Histogram, Change::Reads(1.0), Err(FaultKind::Conflict)),
            (
                Kind::Histogram,
                more(&[(1.0, 2.0), (infinity, 1.0)], Some(-2.0)),
                Ok(more(&[(1.0, 2.0), (infinity, 1.0)], Some(-2.0))),
            ),
            (Kind::Histogram, more(&[(1.0, 2.0), (infinity, -1.0)], None), Err(FaultKind::Negative)),
            (Kind::Histogram, more(&[(1.0, f64::NAN), (infinity, 1.0)], None), Err(FaultKind::BadValue)),
            (Kind::Histogram, more(&[(1.0, 2.0)], None), Err(FaultKind::BadValue)),
            (Kind::Histogram, more(&[(infinity, 2.0)], Some(infinity)), Err(FaultKind::NotFinite)),
            (Kind::GaugeHistogram, more(&[(infinity, 2.0)], None), Err(FaultKind::Conflict)),
            (Kind::Info, Change::Reads(2.0), Err(FaultKind::BadValue)),
            (Kind::StateSet, Change::Reads(0.0), Ok(Change::Reads(0.0))),
            (Kind::StateSet, Change::Reads(0.5), Err(FaultKind::BadValue)),
        ] {
            assert_eq!(change(said, kind), verdict, "{kind:?} {said:?}");
        }
    }
}
