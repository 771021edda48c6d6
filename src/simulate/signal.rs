//! What a head at rest puts on electrodes: a background that falls with frequency, alpha that waxes and wanes,
//! a little mains hum, slow drift, and blinks at the front. The same in every run with the same seed.
//!
//! It knows microvolts and nothing of boards. It is plausible, not physiology.

use std::f64::consts::TAU;

use super::rng::Rng;

/// What a board measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Plausible EEG.
    #[default]
    Eeg,
    /// Counts that are known: sample number + 100 × channel from 0, beginning again at 10000 or the highest count.
    Ramp,
    /// Nothing at all.
    Zero,
}

/// Hertz of the mains.
const MAINS: f64 = 50.0;
/// Where the background has its parts, hertz, and what each adds, microvolts RMS.
const BACKGROUND: [(f64, f64); 3] = [(0.5, 7.0), (4.0, 5.5), (30.0, 3.5)];
/// Share of the background that all channels have in common, as power.
const COMMON: f64 = 0.75;
/// Seconds that a blink takes.
const BLINK: f64 = 0.3;
/// Its height in microvolts.
const BLINK_HEIGHT: f64 = 140.0;

/// Noise that falls with frequency.
#[derive(Clone, Debug, Default)]
struct Pink([f64; BACKGROUND.len()]);

impl Pink {
    fn next(&mut self, rng: &mut Rng, rate: f64) -> f64 {
        let mut sum = 0.0;
        for (state, (corner, rms)) in self.0.iter_mut().zip(BACKGROUND) {
            let keep = (-TAU * corner / rate).exp();
            *state = keep * *state + (1.0 - keep * keep).sqrt() * rms * rng.bell();
            sum += *state;
        }
        sum
    }
}

#[derive(Clone, Debug)]
struct Electrode {
    rng: Rng,
    background: Pink,
    /// How much of the alpha and of blinks it sees, 0 to 1.
    alpha: f64,
    front: f64,
    /// Where it is in the waves.
    phase: f64,
    /// Microvolts of drift, and seconds of one swing.
    drift: (f64, f64),
}

/// All channels of one head.
#[derive(Clone, Debug)]
pub struct Signal {
    rate: f64,
    sample: u64,
    rng: Rng,
    common: Pink,
    electrodes: Vec<Electrode>,
    /// When the last blink began and the next one does, seconds.
    blinks: (f64, f64),
}

impl Signal {
    /// So many channels, so many samples per second.
    #[must_use]
    pub fn new(seed: u64, channels: usize, rate: f64) -> Self {
        let mut rng = Rng::new(seed);
        let electrode = |channel: usize| {
            let mut rng = Rng::new(seed ^ (channel as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
            // The first channels are at the front, the last at the back.
            let back = channel as f64 / channels.max(2) as f64;
            Electrode {
                background: Pink::default(),
                alpha: 0.35 + 0.65 * back,
                front: if channel < 2 { 1.0 } else { 0.08 },
                phase: 0.4 * rng.unit(),
                drift: (3.0 + 4.0 * rng.unit(), 20.0 + 20.0 * rng.unit()),
                rng,
            }
        };
        let electrodes = (0..channels).map(electrode).collect();
        let first = 2.0 + 3.0 * rng.unit();
        Self { rate, sample: 0, rng, common: Pink::default(), electrodes, blinks: (-1.0, first) }
    }

    /// Seconds since the first sample.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.sample as f64 / self.rate
    }

    /// The next sample, microvolts by channel.
    pub fn next(&mut self, microvolts: &mut Vec<f64>) {
        let t = self.seconds();
        self.sample += 1;
        if t >= self.blinks.1 {
            self.blinks = (t, t + 3.0 + 4.0 * self.rng.unit());
        }
        let since = (t - self.blinks.0) / BLINK;
        let blink = if since < 1.0 { BLINK_HEIGHT * (TAU * since / 2.0).sin() } else { 0.0 };
        // Two slow swings that never meet again in the same way.
        let waxing = 0.5 + 0.3 * (TAU * t / 5.3).sin() + 0.2 * (TAU * t / 2.9).sin();
        let alpha = 14.0 * waxing;
        let common = self.common.next(&mut self.rng, self.rate);
        microvolts.clear();
        microvolts.extend(self.electrodes.iter_mut().map(|at| {
            let own = at.background.next(&mut at.rng, self.rate);
            let (swing, period) = at.drift;
            common * COMMON.sqrt()
                + own * (1.0 - COMMON).sqrt()
                + at.alpha * alpha * (TAU * 10.1 * t + at.phase).sin()
                + 1.2 * (TAU * MAINS * t + at.phase).sin()
                + swing * (TAU * t / period + at.phase * 9.0).sin()
                + at.front * blink
        }));
    }

    /// What an electrode that touches nothing picks up at this moment, microvolts.
    pub fn floating(&mut self, channel: usize) -> f64 {
        let t = self.seconds();
        let noise = self.electrodes.get_mut(channel).map_or(0.0, |at| at.rng.bell());
        350.0 * (TAU * MAINS * t).sin() + 60.0 * (TAU * 3.0 * MAINS * t).sin() + 40.0 * noise
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_at_rest_is_plausible() {
        let mut signal = Signal::new(1, 8, 250.0);
        let (mut sample, mut all) = (Vec::new(), vec![Vec::new(); 8]);
        for _ in 0..250 * 60 {
            signal.next(&mut sample);
            all.iter_mut().zip(&sample).for_each(|(channel, value)| channel.push(*value));
        }
        for (number, channel) in all.iter().enumerate() {
            let mean = channel.iter().sum::<f64>() / channel.len() as f64;
            let rms = (channel.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / channel.len() as f64).sqrt();
            let most = channel.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
            assert!((8.0..40.0).contains(&rms) && most < 300.0, "channel {number}: {rms} {most}");
        }
        // What electrodes have in common shows between those without blinks.
        let (a, b) = (&all[4], &all[5]);
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let r = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        assert!(r > 0.4, "{r}");
        let mut again = Signal::new(1, 8, 250.0);
        (0..250 * 60).for_each(|_| again.next(&mut sample));
        assert_eq!(sample[3], *all[3].last().unwrap());
    }
}
