//! The spectrum of the last two seconds of each channel, and what is read from it.
//!
//! A transform of Fourier of our own: eight channels go through it at once, four as real and four as imaginary
//! parts, so that it needs no library (`realfft` would add eight crates and takes one channel at a time), and
//! is nothing beside the pass over the samples. All frequencies of the signal are judged from this one spectrum,
//! so there are no further filters.

use std::f64::consts::TAU;
use std::ops::Range;

use super::pass::{LANES, Lanes, passed};

/// Channels of one half of a tile.
const HALF: usize = LANES / 2;
/// Highest frequency that is looked at, as a share of the rate.
const HIGHEST: f64 = 0.45;
/// The same for noise above the band.
const NOISE: f64 = 0.4;
/// The spectrum around the hum, hertz to each side.
const AROUND: f64 = 10.0;
/// Frequencies that there must be to speak of noise.
const ENOUGH: usize = 8;
/// Frequencies of the mains.
pub(super) const MAINS: [f64; 2] = [50.0, 60.0];

/// Four complex numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Point {
    re: [f32; HALF],
    im: [f32; HALF],
}

/// What the spectrum says of a channel. Powers are squares of the samples' unit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    pub band: f64,
    /// Above the band, from the median, so that a few lines do not count.
    pub noise: f64,
    /// By frequency of the mains.
    pub hum: [Mains; MAINS.len()],
    pub kurtosis: f64,
}

/// Hum of one frequency.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mains {
    pub power: f64,
    /// Power of the band without it.
    pub rest: f64,
    /// Its peak over the spectrum around it.
    pub decibels: f64,
}

/// Where the hum of one frequency is.
#[derive(Clone, Debug)]
struct Hum {
    bins: Range<usize>,
    /// The spectrum below and above it.
    around: [Range<usize>; 2],
}

/// Makes spectra of one length.
#[derive(Debug)]
pub(super) struct Spectrum {
    /// The window of Hann, and of its squares the sum.
    window: Vec<f32>,
    weight: f64,
    twiddles: Vec<(f32, f32)>,
    work: Vec<Point>,
    /// Power of a tile, by frequency.
    power: Vec<Lanes>,
    /// What the filter before took from the power, by frequency, as what it is to be multiplied with.
    gain: Vec<f32>,
    band: Range<usize>,
    /// Where noise is looked for, and its width by that of the power of one frequency.
    noise: Range<usize>,
    hum: [Option<Hum>; MAINS.len()],
    scratch: Vec<f32>,
}

impl Spectrum {
    /// Of so many samples at a rate, which were slowed down by a factor, with a band in hertz.
    pub(super) fn new(kept: usize, rate: f64, factor: usize, [low, high]: [f64; 2]) -> Self {
        let size = kept.next_power_of_two().max(4);
        let step = rate / size as f64;
        let window: Vec<f32> =
            (0..kept).map(|i| (0.5 - 0.5 * (TAU * i as f64 / kept as f64).cos()) as f32).collect();
        let twiddle = |i: usize| (TAU * i as f64 / size as f64).sin_cos();
        // From and to a frequency, both included.
        let bins = |from: f64, to: f64| {
            let to = (to.min(HIGHEST * rate) / step + 1e-9).floor();
            let from = (from / step - 1e-9).ceil().max(1.0);
            from as usize..(to.max(0.0) as usize + 1).max(from as usize)
        };
        // Half the width of a line, as the window draws it.
        let line = 2.0 * rate / kept as f64;
        let hum = MAINS.map(|mains| {
            // Up to the highest frequency that there is: hum may be near it.
            let near = |from: f64, to: f64| {
                let to = (to / step + 1e-9).floor().min(size as f64 / 2.0);
                let from = (from / step - 1e-9).ceil().max(1.0);
                from as usize..(to.max(0.0) as usize + 1).max(from as usize)
            };
            let apart = 1.5 * line;
            let around = [near(mains - AROUND, mains - apart), near(mains + apart, mains + AROUND)];
            let bins = near(mains - line, mains + line);
            let possible =
                mains + line <= rate / 2.0 && bins.len() >= 3 && around.iter().any(|r| r.len() >= 3);
            possible.then_some(Hum { bins, around })
        });
        let noise = bins(high.min(HIGHEST * rate) + line, NOISE * rate);
        Self {
            weight: window.iter().map(|w| f64::from(*w).powi(2)).sum(),
            window,
            twiddles: (0..size / 2).map(twiddle).map(|(sin, cos)| (cos as f32, -sin as f32)).collect(),
            work: vec![Point::default(); size],
            power: vec![[0.0; LANES]; size / 2 + 1],
            gain: (0..=size / 2).map(|i| (1.0 / passed(i as f64 / size as f64, factor)) as f32).collect(),
            band: bins(low, high),
            noise: if noise.len() >= ENOUGH { noise } else { 0..0 },
            hum,
            scratch: Vec::with_capacity(size / 2 + 1),
        }
    }

    /// Frequencies in the band.
    pub(super) fn in_band(&self) -> usize {
        self.band.len()
    }

    /// Whether noise above the band can be measured.
    pub(super) fn tells_noise(&self) -> bool {
        !self.noise.is_empty() && self.in_band() > 0
    }

    /// Whether hum can be measured, by mains frequency.
    pub(super) fn measures_hum(&self) -> [bool; MAINS.len()] {
        [0, 1].map(|i| self.hum.get(i).is_some_and(Option::is_some))
    }

    /// Reads the samples of a tile, the older ones first. Appends to `shape` the band of its first channels, each as
    /// real and imaginary parts whose squares add up to 1, to be compared.
    pub(super) fn read(&mut self, samples: (&[Lanes], &[Lanes]), out: &mut [Lines], shape: &mut [f32]) {
        let rms = self.load(samples, out);
        self.transform();
        let scale = 2.0 / (self.work.len() as f64 * self.weight);
        self.separate(scale as f32, shape);
        for (lane, lines) in out.iter_mut().enumerate() {
            let square = rms.get(lane).map_or(0.0, |rms| rms * rms);
            self.lines(lane, square, lines);
        }
    }

    /// Takes mean and slope away, scales every channel to the same size, so that a large one does not round its
    /// neighbours away, and puts it where the transform begins. Says what size each had.
    fn load(&mut self, (older, newer): (&[Lanes], &[Lanes]), out: &mut [Lines]) -> [f64; LANES] {
        let rows = || older.iter().chain(newer);
        let n = (older.len() + newer.len()) as f64;
        let middle = (n - 1.0) / 2.0;
        let (mut sum, mut rising) = ([0.0_f64; LANES], [0.0_f64; LANES]);
        for (i, row) in rows().enumerate() {
            let at = i as f64 - middle;
            for lane in 0..LANES {
                sum[lane] += f64::from(row[lane]);
                rising[lane] += at * f64::from(row[lane]);
            }
        }
        let spread = (n * (n * n - 1.0) / 12.0).max(1.0);
        let line = |lane: usize, i: usize| sum[lane] / n + rising[lane] / spread * (i as f64 - middle);
        let (mut squares, mut fourths) = ([0.0_f64; LANES], [0.0_f64; LANES]);
        for (i, row) in rows().enumerate() {
            for lane in 0..LANES {
                let square = (f64::from(row[lane]) - line(lane, i)).powi(2);
                squares[lane] += square;
                fourths[lane] += square * square;
            }
        }
        // What is left of a channel that stands still or only rises is rounding.
        let rms: [f64; LANES] = std::array::from_fn(|lane| {
            let rms = (squares[lane] / n).sqrt();
            let size = (sum[lane] / n).abs() + (rising[lane] / spread * n).abs();
            if rms > size * 1e-7 && rms > 1e-30 { rms } else { 0.0 }
        });
        for (lane, lines) in out.iter_mut().enumerate().take(LANES) {
            let moved = rms[lane] > 0.0;
            lines.kurtosis = if moved { fourths[lane] * n / squares[lane].powi(2) - 3.0 } else { 0.0 };
        }
        let inverse = rms.map(|rms| if rms > 0.0 { 1.0 / rms } else { 0.0 });
        let size = self.work.len();
        let shift = usize::BITS - size.trailing_zeros();
        self.work.fill(Point::default());
        for (i, (row, window)) in rows().zip(&self.window).enumerate() {
            let Some(point) = self.work.get_mut(i.reverse_bits() >> shift) else { continue };
            let value =
                |lane: usize| ((f64::from(row[lane]) - line(lane, i)) * inverse[lane]) as f32 * window;
            *point = Point { re: std::array::from_fn(value), im: std::array::from_fn(|l| value(l + HALF)) };
        }
        rms
    }

    /// The transform of Cooley and Tukey, in place, from an order in which the bits of the index are reversed.
    fn transform(&mut self) {
        let size = self.work.len();
        let mut length = 2;
        while length <= size {
            for block in self.work.chunks_exact_mut(length) {
                let (low, high) = block.split_at_mut(length / 2);
                let twiddles = self.twiddles.iter().step_by(size / length);
                for ((a, b), (cos, sin)) in low.iter_mut().zip(high).zip(twiddles) {
                    for i in 0..HALF {
                        let re = b.re[i] * cos - b.im[i] * sin;
                        let im = b.re[i] * sin + b.im[i] * cos;
                        (b.re[i], b.im[i]) = (a.re[i] - re, a.im[i] - im);
                        (a.re[i], a.im[i]) = (a.re[i] + re, a.im[i] + im);
                    }
                }
            }
            length *= 2;
        }
    }

    /// Tells the channels that were real from those that were imaginary parts.
    fn separate(&mut self, scale: f32, shape: &mut [f32]) {
        let Self { work, power, gain, band, .. } = self;
        let size = work.len();
        let width = 2 * band.len();
        for (k, (power, gain)) in power.iter_mut().zip(gain).enumerate().skip(1) {
            let (Some(z), Some(mirror)) = (work.get(k), work.get(size - k)) else { continue };
            let parts: [(f32, f32); LANES] = std::array::from_fn(|lane| {
                let i = lane % HALF;
                if lane < HALF {
                    ((z.re[i] + mirror.re[i]) / 2.0, (z.im[i] - mirror.im[i]) / 2.0)
                } else {
                    ((z.im[i] + mirror.im[i]) / 2.0, (mirror.re[i] - z.re[i]) / 2.0)
                }
            });
            *power = parts.map(|(re, im)| (re * re + im * im) * scale * *gain);
            if band.contains(&k) {
                let at = 2 * (k - band.start);
                for (shape, (re, im)) in shape.chunks_exact_mut(width).zip(parts) {
                    if let Some([real, imaginary]) = shape.get_mut(at..at + 2) {
                        (*real, *imaginary) = (re * gain.sqrt(), im * gain.sqrt());
                    }
                }
            }
        }
        for shape in shape.chunks_exact_mut(width.max(1)) {
            let size = shape.iter().fold(0.0, |sum, v| sum + v * v).sqrt();
            let inverse = if size > 0.0 { 1.0 / size } else { 0.0 };
            shape.iter_mut().for_each(|v| *v *= inverse);
        }
    }

    /// Powers of one channel, whose square of a size is given back.
    fn lines(&mut self, lane: usize, square: f64, lines: &mut Lines) {
        let Self { power, band, noise, hum, scratch, .. } = self;
        let of = |bins: &Range<usize>| {
            let bins = power.get(bins.clone()).unwrap_or_default();
            bins.iter().map(move |power| power.get(lane).copied().unwrap_or_default())
        };
        let sum = |bins: &Range<usize>| of(bins).map(f64::from).fold(0.0, |a, b| a + b);
        lines.band = sum(band) * square;
        scratch.clear();
        scratch.extend(of(noise));
        // The power of noise falls off exponentially about its mean; the median of such numbers is ln 2 of it.
        lines.noise = median(scratch) / std::f64::consts::LN_2 * noise.len() as f64 * square;
        for (found, hum) in lines.hum.iter_mut().zip(hum) {
            let Some(Hum { bins, around: [below, above] }) = hum else { continue };
            scratch.clear();
            scratch.extend(of(below).chain(of(above)));
            let peak = of(bins).fold(0.0_f32, f32::max);
            // A floor far below any signal of 24 bits.
            let floor = 1e-15;
            let ratio = (f64::from(peak) + floor) / (median(scratch) + floor);
            let rest =
                sum(&(band.start..band.end.min(bins.start))) + sum(&(band.start.max(bins.end)..band.end));
            *found = Mains { power: sum(bins) * square, rest: rest * square, decibels: 10.0 * ratio.log10() };
        }
    }
}

/// The middle one, or the mean of both.
fn median(values: &mut [f32]) -> f64 {
    quantile(values, 0.5)
}

/// A quantile, between two numbers as far as it lies between them; 0 of nothing.
pub(super) fn quantile(values: &mut [f32], share: f64) -> f64 {
    let place = share * values.len().saturating_sub(1) as f64;
    if values.is_empty() {
        return 0.0;
    }
    let (_, &mut low, above) = values.select_nth_unstable_by(place as usize, f32::total_cmp);
    let high = above.iter().copied().min_by(f32::total_cmp).unwrap_or(low);
    f64::from(low) + f64::from(high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads one tile, each channel a function of seconds.
    fn read(rate: f64, kept: usize, value: impl Fn(usize, f64) -> f64) -> (Vec<Lines>, Vec<Vec<f32>>) {
        let mut spectrum = Spectrum::new(kept, rate, 1, [1.0, 45.0]);
        let rows: Vec<Lanes> =
            (0..kept).map(|i| std::array::from_fn(|lane| value(lane, i as f64 / rate) as f32)).collect();
        let mut lines = vec![Lines::default(); LANES];
        let mut shape = vec![0.0; LANES * 2 * spectrum.in_band()];
        spectrum.read((&rows[..kept / 3], &rows[kept / 3..]), &mut lines, &mut shape);
        (lines, shape.chunks(2 * spectrum.in_band()).map(<[f32]>::to_vec).collect())
    }

    fn wave(hertz: f64, seconds: f64) -> f64 {
        (TAU * hertz * seconds + 0.3).sin()
    }

    #[test]
    fn each_channel_has_its_own_lines() {
        // Amplitudes from 1 to 1e-7: none rounds another away.
        let size = |lane: usize| 10_f64.powi(-(lane as i32));
        let (lines, shapes) = read(250.0, 500, |lane, t| {
            size(lane) * (wave(5.0 + lane as f64, t) + 0.5 * wave(50.0, t)) + 0.2 + 0.1 * t
        });
        for (lane, lines) in lines.iter().enumerate() {
            // A wave has half the square of its amplitude.
            let unit = size(lane).powi(2);
            if lane < 5 {
                assert!((lines.band / unit - 0.5).abs() < 0.01, "{lane} {lines:?}");
                let [fifty, sixty] = lines.hum;
                assert!((fifty.power / unit - 0.125).abs() < 0.005, "{lane} {lines:?}");
                assert!(fifty.decibels > 30.0 && sixty.decibels < 20.0, "{lane} {lines:?}");
            }
        }
        let like = |a: usize, b: usize| shapes[a].iter().zip(&shapes[b]).map(|(a, b)| a * b).sum::<f32>();
        assert!((like(0, 0) - 1.0).abs() < 1e-5 && like(0, 4).abs() < 0.05, "{} {}", like(0, 0), like(0, 4));
    }

    #[test]
    fn noise_is_told_from_lines() {
        let mut state = 7_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        let noise: Vec<f64> = (0..4000).map(|_| random()).collect();
        let (lines, _) = read(250.0, 500, |lane, t| {
            noise[(t * 250.0).round() as usize * 8 + lane] + if lane == 1 { wave(80.0, t) } else { 0.0 }
        });
        // White noise of variance 1/12 has of it as much as its share of the 125 Hz.
        let want = 1.0 / 12.0 * (100.0 - 46.0) / 125.0;
        for lines in &lines {
            assert!((lines.noise / want - 1.0).abs() < 0.35, "{lines:?} {want}");
        }
    }

    #[test]
    fn quantiles_lie_between() {
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(median(&mut [3.0]), 3.0);
        assert_eq!(median(&mut [3.0, 1.0]), 2.0);
        assert_eq!(median(&mut [3.0, 1.0, 9.0]), 3.0);
        assert!((quantile(&mut [0.0, 10.0, 30.0, 20.0], 0.9) - 27.0).abs() < 1e-5);
    }

    #[test]
    fn what_a_rate_does_not_allow_is_not_told() {
        let reported = |rate: f64, kept| Spectrum::new(kept, rate, 1, [1.0, 45.0]).measures_hum();
        assert_eq!(reported(250.0, 500), [true, true]);
        assert_eq!(reported(125.0, 250), [true, true]);
        assert_eq!(reported(110.0, 220), [true, false]);
        assert_eq!(reported(100.0, 200), [false, false]);
        let slow = Spectrum::new(20, 10.0, 1, [1.0, 45.0]);
        assert!(slow.in_band() > 3 && !slow.tells_noise());
        assert!((0..=1).all(|kept| Spectrum::new(kept, 1.0, 1, [1.0, 45.0]).in_band() == 0));
    }
}
