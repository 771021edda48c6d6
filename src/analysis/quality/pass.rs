//! The pass over every sample: what can be said of a channel at the full rate, and the slower signal that the
//! spectrum is made of.
//!
//! It is written for a thousand channels at 30 kHz: channels stand side by side in tiles of eight, and the loop
//! over a row of a tile has no branch and no division, so that any vector unit takes it. Sums of a tenth of a
//! second are of 32 bits and about the mean of the tenth before; what lasts longer is of 64 bits.

use super::channel::{Channel, Part};

/// Channels of a tile.
pub(super) const LANES: usize = 8;

/// One number of each channel of a tile.
pub(super) type Lanes = [f32; LANES];

/// No sample is taken for more than this, so that no sum overflows.
const MOST: f32 = 1e15;
/// Parts of a second that are looked at by themselves.
const PARTS: usize = 10;
/// Samples that a part has at least.
const PART: usize = 4;
/// Numbers that are gone over at once.
const NEAR: usize = 8192;
/// Rates that the slower signal has: from the first number on, below twice as much.
const SLOW: f64 = 500.0;
/// Samples of the slower signal that are kept.
const KEPT: usize = 1024;
/// Seconds of it that are kept, if there are not too many samples.
const SECONDS: f64 = 2.0;

/// Eight channels.
#[derive(Clone, Debug)]
struct Tile {
    /// At or below and at or above which a sample is at a rail.
    rails: [Lanes; 2],
    /// What sums of this part are about.
    about: Lanes,
    sum: Lanes,
    squares: Lanes,
    least: Lanes,
    most: Lanes,
    railed: Lanes,
    /// The newest sample.
    last: Lanes,
    /// What the slower signal is about: the first sample.
    base: Lanes,
    /// Three samples of the slower signal, begun one after the other.
    begun: [Lanes; 3],
}

impl Tile {
    fn observe(&mut self, row: &Lanes) {
        let Self { rails: [low, high], about, sum, squares, least, most, railed, .. } = self;
        for lane in 0..LANES {
            let value = bounded(row[lane]);
            let from = value - about[lane];
            sum[lane] += from;
            squares[lane] += from * from;
            least[lane] = if value < least[lane] { value } else { least[lane] };
            most[lane] = if value > most[lane] { value } else { most[lane] };
            let at_rail = (value <= low[lane]) | (value >= high[lane]);
            railed[lane] += if at_rail { 1.0 } else { 0.0 };
        }
    }

    fn slow(&mut self, row: &Lanes, [new, older, oldest]: [f32; 3]) {
        let Self { base, begun: [first, second, third], .. } = self;
        for lane in 0..LANES {
            let from = bounded(row[lane]) - base[lane];
            first[lane] += new * from;
            second[lane] += older * from;
            third[lane] += oldest * from;
        }
    }

    fn part(&self, rows: usize, lane: usize) -> Part {
        let of = |lanes: &Lanes| lanes.get(lane).copied().unwrap_or_default();
        Part {
            rows: rows as f64,
            about: of(&self.about).into(),
            sum: of(&self.sum).into(),
            squares: of(&self.squares).into(),
            railed: of(&self.railed).into(),
            least: of(&self.least),
            most: of(&self.most),
            last: of(&self.last),
        }
    }

    fn begin_part(&mut self) {
        (self.sum, self.squares, self.railed) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        (self.least, self.most) = ([f32::MAX; LANES], [f32::MIN; LANES]);
    }
}

/// Spelled so that it is one instruction each, and takes what is no number for a very small one.
fn bounded(value: f32) -> f32 {
    let value = if value > -MOST { value } else { -MOST };
    if value < MOST { value } else { MOST }
}

/// All channels of a device.
#[derive(Debug)]
pub(super) struct Pass {
    pub channels: Vec<Channel>,
    tiles: Vec<Tile>,
    /// Rows of the full rate to one of the slower signal, and where in them the next is.
    pub factor: usize,
    phase: usize,
    /// What each of these rows counts in the three samples it is part of.
    weights: Vec<[f32; 3]>,
    /// Samples of the slower signal until it has settled.
    settling: usize,
    /// Rows of a second, and where in it the next is.
    second: usize,
    row: usize,
    parts: usize,
    part: usize,
    part_rows: usize,
    begun: bool,
    /// The slower signal, tile after tile, each a ring of `kept` rows; where the next goes; how many there are.
    slow: Vec<Lanes>,
    pub kept: usize,
    next: usize,
    filled: usize,
}

impl Pass {
    /// For so many channels at a rate of 1 Hz or more, with the rails of each.
    pub(super) fn new(channels: usize, rate: f64, rails: impl Fn(usize) -> Option<(f32, f32)>) -> Self {
        let factor = ((rate / SLOW) as usize).max(1);
        let kept = ((SECONDS * rate / factor as f64) as usize).clamp(1, KEPT);
        let second = (rate.round() as usize).max(1);
        let tile = |number: usize| {
            let mut bounds = [[f32::NEG_INFINITY; LANES], [f32::INFINITY; LANES]];
            let [lows, highs] = &mut bounds;
            for (lane, (low_lane, high_lane)) in lows.iter_mut().zip(highs).enumerate() {
                if let Some((low, high)) = rails(number * LANES + lane) {
                    // What differs by less is the same number in 32 bits.
                    let margin = (high - low) * 1e-6;
                    (*low_lane, *high_lane) = (low + margin, high - margin);
                }
            }
            let zero = [0.0; LANES];
            Tile {
                rails: bounds,
                about: zero,
                sum: zero,
                squares: zero,
                least: [f32::MAX; LANES],
                most: [f32::MIN; LANES],
                railed: zero,
                last: zero,
                base: zero,
                begun: [zero; 3],
            }
        };
        let tiles: Vec<_> = (0..channels.div_ceil(LANES)).map(tile).collect();
        Self {
            channels: vec![Channel::new(); channels],
            factor,
            phase: 0,
            weights: weights(factor),
            settling: if factor > 1 { 2 } else { 0 },
            second,
            row: 0,
            parts: (second / PART).clamp(1, PARTS),
            part: 0,
            part_rows: 0,
            begun: false,
            slow: vec![[0.0; LANES]; tiles.len() * kept],
            tiles,
            kept,
            next: 0,
            filled: 0,
        }
    }

    /// Sees samples up to the end of a second, and says what is left of them and whether that was the end.
    pub(super) fn observe<'v>(&mut self, mut values: &'v [f32]) -> (&'v [f32], bool) {
        let width = self.channels.len();
        if !self.begun && values.len() >= width {
            self.begun = true;
            for (tile, row) in self.tiles.iter_mut().zip(values.chunks(LANES)) {
                let first = padded(row).map(bounded);
                (tile.about, tile.base) = (first, first);
            }
        }
        while values.len() >= width {
            let part_end = self.second * (self.part + 1) / self.parts;
            let until = if self.factor > 1 { self.factor - self.phase } else { self.kept - self.next };
            // What is gone over tile by tile stays in the processor's first cache meanwhile.
            let near = (NEAR / width).max(1);
            let rows = (values.len() / width).min(part_end - self.row).min(until).min(near);
            let (now, rest) = values.split_at_checked(rows * width).unwrap_or((values, &[]));
            values = rest;
            self.rows(now, width);
            (self.row, self.part_rows, self.phase) =
                (self.row + rows, self.part_rows + rows, self.phase + rows);
            if self.factor == 1 {
                self.filled = (self.filled + rows).min(self.kept);
                self.next = (self.next + rows) % self.kept;
            } else if self.phase == self.factor {
                self.end_slow();
            }
            if self.row == part_end {
                self.end_part();
                if self.part == self.parts {
                    return (values, true);
                }
            }
        }
        (values, false)
    }

    fn rows(&mut self, values: &[f32], width: usize) {
        let Self { tiles, weights, slow, kept, next, factor, phase, .. } = self;
        for (number, tile) in tiles.iter_mut().enumerate() {
            let from = values.get(number * LANES..).unwrap_or_default();
            let newest = values.len().saturating_sub(width);
            tile.last = padded(values.get(newest + number * LANES..).unwrap_or_default()).map(bounded);
            // The last row of it is cut where the samples end, not where the tile does.
            let rows = from.chunks(width).map(|row| match row.first_chunk::<LANES>() {
                Some(whole) if (number + 1) * LANES <= width => *whole,
                _ => padded(row.get(..width - number * LANES).unwrap_or(row)),
            });
            if *factor == 1 {
                let ring = slow.get_mut(number * *kept + *next..).unwrap_or_default();
                for (row, slot) in rows.zip(ring) {
                    tile.observe(&row);
                    *slot = std::array::from_fn(|lane| bounded(row[lane]) - tile.base[lane]);
                }
            } else {
                let weights = weights.get(*phase..).unwrap_or_default();
                for (row, weights) in rows.zip(weights) {
                    tile.observe(&row);
                    tile.slow(&row, *weights);
                }
            }
        }
    }

    /// A sample of the slower signal is complete.
    fn end_slow(&mut self) {
        self.phase = 0;
        let settled = self.settling == 0;
        self.settling = self.settling.saturating_sub(1);
        for (number, tile) in self.tiles.iter_mut().enumerate() {
            let [first, second, third] = tile.begun;
            tile.begun = [[0.0; LANES], first, second];
            if let Some(slot) = self.slow.get_mut(number * self.kept + self.next).filter(|_| settled) {
                *slot = third;
            }
        }
        if settled {
            self.next = (self.next + 1) % self.kept;
            self.filled = (self.filled + 1).min(self.kept);
        }
    }

    fn end_part(&mut self) {
        let Self { channels, tiles, part_rows, .. } = self;
        for (channels, tile) in channels.chunks_mut(LANES).zip(tiles) {
            for (lane, channel) in channels.iter_mut().enumerate() {
                channel.part(&tile.part(*part_rows, lane));
            }
            let rows = *part_rows as f32;
            tile.about = std::array::from_fn(|lane| tile.about[lane] + tile.sum[lane] / rows);
            tile.begin_part();
        }
        self.part += 1;
        self.part_rows = 0;
        if self.part == self.parts {
            self.channels.iter_mut().for_each(|channel| channel.end_second(self.parts));
        }
    }

    /// After a second was looked at, the next begins.
    pub(super) fn begin_second(&mut self) {
        (self.row, self.part) = (0, 0);
        self.channels.iter_mut().for_each(Channel::begin_second);
    }

    /// Whether as much of the slower signal is there as is kept.
    pub(super) fn is_full(&self) -> bool {
        self.filled == self.kept
    }

    /// The slower signal of a tile, in two pieces, the older first.
    pub(super) fn slow(&self, tile: usize) -> (&[Lanes], &[Lanes]) {
        let ring = self.slow.get(tile * self.kept..(tile + 1) * self.kept).unwrap_or_default();
        let (newer, older) = ring.split_at_checked(self.next).unwrap_or((ring, &[]));
        (older, newer)
    }
}

/// The first channels of a row that are there, 0 for the others.
fn padded(row: &[f32]) -> Lanes {
    let mut lanes = [0.0; LANES];
    lanes.iter_mut().zip(row).for_each(|(lane, value)| *lane = *value);
    lanes
}

/// The filter before the rate is lowered: the mean of so many, three times over. It has zeros where the spectrum
/// folds onto 0 Hz, is 40 dB down at least on what folds below a tenth of the slower rate, and what it takes from
/// the frequencies that are looked at is known and given back.
fn weights(factor: usize) -> Vec<[f32; 3]> {
    let mut shape = vec![1.0_f64];
    for _ in 0..3 {
        let mut next = vec![0.0; shape.len() + factor - 1];
        for (i, weight) in shape.iter().enumerate() {
            next.iter_mut().skip(i).take(factor).for_each(|sum| *sum += weight / factor as f64);
        }
        shape = next;
    }
    let of = |i: usize| shape.get(i).copied().unwrap_or_default() as f32;
    (0..factor).map(|i| [of(i), of(i + factor), of(i + 2 * factor)]).collect()
}

/// How much of the power of a frequency that filter lets through; the frequency is a share of the slower rate.
pub(super) fn passed(frequency: f64, factor: usize) -> f64 {
    let angle = std::f64::consts::PI * frequency;
    let n = factor as f64;
    if factor == 1 || angle <= 0.0 {
        return 1.0;
    }
    (angle.sin() / (n * (angle / n).sin())).powi(6)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of so many channels for so many seconds.
    fn observe(pass: &mut Pass, rows: usize, value: impl Fn(usize, usize) -> f32) -> usize {
        let width = pass.channels.len();
        let values: Vec<f32> = (0..rows * width).map(|i| value(i / width, i % width)).collect();
        // Reads end where they like.
        let mut seconds = 0;
        for piece in values.chunks(7 * width) {
            let mut rest = piece;
            while !rest.is_empty() {
                let (left, ended) = pass.observe(rest);
                rest = left;
                if ended {
                    seconds += 1;
                    if seconds < rows / pass.second {
                        pass.begin_second();
                    }
                }
            }
        }
        seconds
    }

    #[test]
    fn moments_are_those_of_the_last_second() {
        for channels in [1, 8, 13] {
            let mut pass = Pass::new(channels, 250.0, |_| Some((-5.0, 5.0)));
            // A mean of 3 + channel, then ±1 from sample to sample.
            let value = |row: usize, channel: usize| {
                3.0 + channel as f32 + if row.is_multiple_of(2) { 1.0 } else { -1.0 }
            };
            assert_eq!(observe(&mut pass, 750, value), 3);
            for (number, channel) in pass.channels.iter().enumerate() {
                assert!((channel.offset() - (3.0 + number as f64)).abs() < 1e-6, "{channel:?}");
                assert!((channel.rms() - 1.0).abs() < 1e-6, "{channel:?}");
                let railed = [0.0, 0.5, 0.5, 1.0][number.min(3)];
                assert!((channel.railed() - railed).abs() < 1e-12, "{channels} {number} {channel:?}");
                let peak = ((4.0 + number as f64) / 5.0).min(1.0);
                assert!((channel.peak((-5.0, 5.0)) - peak).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn the_peak_is_that_of_what_came() {
        // Nothing came near the lower rail of a converter that counts from 0, nor in a second before the first.
        let rails = (0.0, 1023.0);
        let mut pass = Pass::new(1, 250.0, |_| Some(rails));
        observe(&mut pass, 500, |row, _| if row.is_multiple_of(2) { 500.0 } else { 613.8 });
        assert!((pass.channels[0].peak(rails) - 0.2).abs() < 1e-6, "{}", pass.channels[0].peak(rails));
    }

    #[test]
    fn a_small_signal_on_a_large_offset_is_not_lost() {
        let mut pass = Pass::new(1, 250.0, |_| None);
        let value = |row: usize, _| 0.1 + if row.is_multiple_of(2) { 1e-6 } else { -1e-6 };
        observe(&mut pass, 500, value);
        // What is left is the step of 32 bits at 0.1 V, 7.5 nV.
        assert!((pass.channels[0].rms() - 1e-6).abs() < 1e-8, "{:?}", pass.channels[0].rms());
    }

    #[test]
    fn the_slower_signal_is_the_signal() {
        let (rate, factor) = (30_000.0, 60);
        let mut pass = Pass::new(9, rate, |_| None);
        assert_eq!((pass.factor, pass.kept), (factor, 1000));
        let wave = |seconds: f64, hertz: f64| (std::f64::consts::TAU * hertz * seconds).sin();
        // 10 Hz of amplitude 1 on the first channel, 495 Hz, which would fold onto 5 Hz, on the last.
        observe(&mut pass, 90_000, |row, channel| {
            wave(row as f64 / rate, if channel == 8 { 495.0 } else { 10.0 }) as f32
        });
        assert!(pass.is_full());
        let rms = |tile: usize, lane: usize| {
            let (older, newer) = pass.slow(tile);
            let all = older.iter().chain(newer).map(|row| f64::from(row[lane]));
            let (sum, squares) = all.fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
            (squares / 1000.0 - (sum / 1000.0).powi(2)).sqrt()
        };
        let kept = passed(10.0 / 500.0, factor).sqrt() * std::f64::consts::FRAC_1_SQRT_2;
        assert!((rms(0, 0) - kept).abs() < 1e-4, "{} is not {kept}", rms(0, 0));
        assert!(rms(1, 0) < 1e-4, "{}", rms(1, 0));
    }

    #[test]
    fn dropouts_and_artefacts_are_counted_once_each() {
        let mut pass = Pass::new(2, 250.0, |_| None);
        let noise = |row: usize| ((row * 7919) % 101) as f32 / 101.0;
        observe(&mut pass, 2500, |row, channel| match (channel, row) {
            // Still for half a second, twice.
            (0, 700..825 | 1700..1825) => 0.25,
            // A step of ten times the noise and one back, and a blink.
            (1, 1000..1500) => 10.0 + noise(row),
            (1, 2000..2060) => noise(row) + 8.0 * (std::f32::consts::PI * (row - 2000) as f32 / 60.0).sin(),
            _ => noise(row),
        });
        let reported: Vec<_> = pass.channels.iter().map(|c| (c.dropouts, c.artefacts)).collect();
        assert_eq!(reported, [(2, 0), (0, 3)]);
    }
}
