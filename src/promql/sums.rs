//! Sums, averages and quantiles as Prometheus computes them: compensated, and safe from overflow.
//!
//! Facts: `util/kahansum`, `promql/functions.go` and `promql/quantile.go` of Prometheus.

/// A sum with Neumaier's compensation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    pub(super) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        self.lost = if total.is_infinite() {
            0.0
        } else if self.sum.abs() >= value.abs() {
            self.lost + ((self.sum - total) + value)
        } else {
            self.lost + ((value - total) + self.sum)
        };
        self.sum = total;
    }

    pub(super) fn value(&self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.plain() }
    }

    /// Both parts together, whatever they are.
    pub(super) fn plain(&self) -> f64 {
        self.sum + self.lost
    }

    fn scale(&mut self, by: f64) {
        self.sum *= by;
        self.lost *= by;
    }
}

/// A mean: of the sum, or, once that is beyond any number, moved by each value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Average {
    sum: Sum,
    count: f64,
    moving: bool,
}

impl Average {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.sum = Sum { sum: value, lost: 0.0 };
            return;
        }
        if !self.moving {
            let mut sum = self.sum;
            sum.add(value);
            if !sum.sum.is_infinite() {
                self.sum = sum;
                return;
            }
            self.moving = true;
            self.sum.sum /= self.count - 1.0;
            self.sum.lost /= self.count - 1.0;
        }
        self.sum.scale((self.count - 1.0) / self.count);
        self.sum.add(value / self.count);
    }

    pub(super) fn value(&self) -> f64 {
        if self.moving { self.sum.plain() } else { self.sum.sum / self.count + self.sum.lost / self.count }
    }
}

/// The quantile of values, which are sorted by it; NaN counts as the smallest one.
pub(super) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(rising);
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let weight = rank - rank.floor();
    let at = |place: usize| values.get(place).or_else(|| values.last()).copied().unwrap_or(f64::NAN);
    at(lower) * (1.0 - weight) + at(lower + 1) * weight
}

/// The order of values in which NaN is the smallest.
pub(super) fn rising(a: &f64, b: &f64) -> std::cmp::Ordering {
    b.is_nan().cmp(&a.is_nan()).then_with(|| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
}

/// Whether two numbers differ by less than their sum times `tolerance`. All NaN are alike but the staleness mark.
#[must_use]
pub fn almost_equal(a: f64, b: f64, tolerance: f64) -> bool {
    use super::sample::is_stale;
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < tolerance * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < tolerance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_survive_great_ones() {
        let mut sum = Sum::default();
        [1.0, 1e100, 1.0, -1e100].into_iter().for_each(|value| sum.add(value));
        assert_eq!(sum.value(), 2.0);
    }

    #[test]
    fn an_average_does_not_overflow() {
        let average = |values: &[f64]| {
            let mut average = Average::default();
            values.iter().for_each(|value| average.add(*value));
            average.value()
        };
        assert_eq!(average(&[1.5e308, 1.5e308, 1.5e308]), 1.5e308);
        assert_eq!(average(&[f64::INFINITY, 0.0]), f64::INFINITY);
        assert!(average(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn nan_is_the_smallest() {
        assert!(almost_equal(quantile(0.8, &mut [1.0, f64::NAN, 0.0]), 0.6, 1e-15));
        assert!(quantile(0.2, &mut [1.0, f64::NAN, 0.0]).is_nan());
        assert!(quantile(f64::NAN, &mut [1.0]).is_nan() && quantile(0.5, &mut []).is_nan());
    }
}
