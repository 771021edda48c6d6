//! How good the signal of a device is, channel by channel, judged once for each second of it.
//!
//! A [`Judge`] is fed with what a decoder says and writes one [`Quality`] a channel and one [`Signal`]. It
//! stands beside the decoder ([`AssessedDecoder`]), in the thread of the source, and does its work outside the hub's lock.
//! It keeps two seconds of a signal of at most 1 kHz, no more; a second is as many samples as the device should
//! send in one, and says nothing of when they came.
//!
//! Unless it says otherwise, a measure is over the last second, at the full rate. Measures of frequency are from the
//! periodogram of the last two seconds (of 1024 samples, if that is less; of a signal slowed down to 500–1000 Hz, if
//! the device is faster): mean and slope taken away, window of Hann, zeros up to a power of two. P(a, b) is its power
//! from a to b hertz, both included; *line* is half the width of the window's main lobe, 1 Hz at two seconds.
//!
//! | measure | formula | after |
//! |---|---|---|
//! | railed | samples at a rail / samples; a millionth of the range is at the rail too | share form of the OpenBCI GUI's "railed" |
//! | peak | max \|x - m\| / h over three seconds; m middle, h half of the range | OpenBCI GUI, BrainFlow `get_railed_percentage` |
//! | flat | tenths of a second in which no sample differs from the one before / tenths | OpenBCI GUI, BrainFlow, PREP |
//! | offset, rms | mean; root mean square about it | |
//! | band rms | √P(low, high) | quality-monitor, OpenBCI GUI `data_std_uV` |
//! | hum | H / (H + P(low, high) without it), H = P(f ± line), f = 50 or 60 | mne-python #1737 |
//! | hum, decibels | 10 log₁₀(largest bin in f ± line / median of the bins from 1.5 line to 10 Hz beside f) | quality-monitor |
//! | noise | N / (N + P(low, high)), N = median of the bins from high + line to 0.4 rate / ln 2 · their number | PREP's high-frequency noise, as a share |
//! | correlation | 98th percentile of \|r\| with the other channels, r = Re Σ XᵢX̄ⱼ / √(Σ\|Xᵢ\|² Σ\|Xⱼ\|²) over the band | PREP |
//! | kurtosis | m₄ / m₂² - 3 of the two seconds, slope taken away | |
//! | dropouts | times that a flat tenth follows one that is not | PREP |
//! | artefacts | times that a tenth becomes higher (its most less its least, the sample before it included) than four times what is usual: the mean of heights, the newest weighing a hundredth and held at four times, none flat, after ten to begin with; within three tenths of another it is the same one | |
//!
//! Of 50 and 60 Hz the one that stands out more, in decibels and as the mean over the channels, is the mains; another
//! one must be 3 dB higher for three seconds to replace it.
//!
//! Devices below 8 Hz, above 1 MHz or with more than 4096 channels are not judged, and none is before its first
//! two seconds are there. A stream that was interrupted continues where it stopped.

mod channel;
mod pass;
mod settings;
mod similarity;
mod spectrum;
mod verdict;

pub use settings::{Mains, Settings};

use std::ops::RangeInclusive;

use crate::decode::{Decoder, Dialogue, Sink};
use crate::event::{Body, Device, Hum, Input, Quality, Reason, Samples, Signal, Vital};
use pass::{LANES, Pass};
use similarity::Similarity;
use spectrum::{Lines, MAINS, Spectrum};
use verdict::Circumstances;

/// Rates that are judged, hertz.
const RATES: RangeInclusive<f64> = 8.0..=1e6;
/// Channels that are judged.
const CHANNELS: u16 = 4096;
/// Samples, each of one channel, that wait to be judged.
const WAITING: usize = 4096;
/// Or as many of each channel, if that is more.
const WAITING_EACH: usize = 64;
/// Channels that are reported under one lock.
const SLICE: usize = 64;
/// Channels from which on those of a device should be alike.
const ALIKE: usize = 8;
/// By how many decibels another mains must stand out more.
const STUBBORN: f64 = 3.0;
/// And for how many seconds.
const STUBBORN_SECONDS: u32 = 3;

/// Judges the signal of one device after another.
#[derive(Debug)]
pub struct Judge {
    settings: Settings,
    state: Option<Box<DeviceState>>,
}

impl Judge {
    /// A judge with these limits.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, state: None }
    }

    /// Sees what a decoder says. Samples are laid aside, as long as there is room.
    pub fn observe(&mut self, body: &Body<'_>) {
        match body {
            Body::Device(device) if self.state.as_ref().is_none_or(|state| state.device != *device) => {
                self.state = DeviceState::new(*device, &self.settings).map(Box::new);
            }
            Body::Samples(samples) => {
                if let Some(state) = &mut self.state {
                    state.buffer(samples);
                }
            }
            Body::Contact(contact) => {
                let at = usize::from(contact.channel.saturating_sub(1));
                if let Some(off) = self.state.as_mut().and_then(|state| state.off.get_mut(at)) {
                    let [positive, negative] = off;
                    match contact.input {
                        Input::Positive => *positive = !contact.on,
                        Input::Negative => *negative = !contact.on,
                    }
                }
            }
            Body::Vital(Vital::PoorSignal(share)) => {
                if let Some(state) = &mut self.state {
                    state.poor = *share;
                }
            }
            _ => {}
        }
    }

    /// Judges what was laid aside. Says whether there is something to tell.
    pub fn process_deferred(&mut self) -> bool {
        self.state.as_mut().is_some_and(|state| state.process_deferred())
    }

    /// Tells of some channels, and of the device after the last.
    pub fn emit(&mut self, out: &mut Sink<'_>) {
        if let Some(state) = &mut self.state {
            state.emit(out);
        }
    }

    /// Decodes, and judges its samples.
    pub fn decode(&mut self, decoder: &mut (impl Decoder + ?Sized), bytes: &[u8], out: &mut Sink<'_>) {
        decoder.decode(bytes, &mut |body| {
            self.observe(&body);
            out(body);
        });
        self.emit(out);
    }

    /// The decoder's stream ended.
    pub fn finish(&mut self, decoder: &mut (impl Decoder + ?Sized), out: &mut Sink<'_>) {
        decoder.end(&mut |body| {
            self.observe(&body);
            out(body);
        });
        self.end(out);
    }

    /// The stream ended: tells what there is to tell, and forgets the device.
    pub fn end(&mut self, out: &mut Sink<'_>) {
        while self.process_deferred() {
            self.emit(out);
        }
        self.state = None;
    }
}

/// What is known of one device.
#[derive(Debug)]
struct DeviceState {
    settings: Settings,
    device: Device,
    /// Samples that were not looked at yet.
    waiting: Vec<f32>,
    pass: Pass,
    spectrum: Spectrum,
    lines: Vec<Lines>,
    shapes: Vec<f32>,
    similarity: Similarity,
    /// Position in [`MAINS`], and for how many seconds the other stood out more.
    mains: Option<usize>,
    doubted: u32,
    /// What the device says of its electrodes, the positive and the negative.
    off: Vec<[bool; 2]>,
    poor: f64,
    qualities: Vec<Quality>,
    signal: Signal,
    /// The channel to report next, if any.
    telling: Option<usize>,
}

impl DeviceState {
    fn new(device: Device, settings: &Settings) -> Option<Self> {
        let Device { channels, rate, rails, volts, .. } = device;
        if channels == 0 || channels > CHANNELS || !RATES.contains(&rate) {
            return None;
        }
        let count = usize::from(channels);
        let pass = Pass::new(count, rate, |channel| rails.of(channel));
        let spectrum = Spectrum::new(pass.kept, rate / pass.factor as f64, pass.factor, settings.band);
        let measurable = spectrum.measures_hum();
        let wanted = match settings.mains {
            Mains::Auto => None,
            Mains::Fifty => Some(0),
            Mains::Sixty => Some(1),
        };
        let mains = (0..MAINS.len())
            .find(|i| wanted.is_none_or(|wanted| wanted == *i) && measurable.get(*i) == Some(&true));
        let quality = |channel| Quality {
            channel,
            channel_name: named(channel, channels, settings),
            volts,
            ..Quality::default()
        };
        Some(Self {
            settings: settings.clone(),
            device,
            waiting: Vec::with_capacity(WAITING.max(WAITING_EACH * count)),
            lines: vec![Lines::default(); count],
            shapes: vec![0.0; count * 2 * spectrum.in_band()],
            similarity: Similarity::new(if spectrum.in_band() > 0 { count } else { 0 }),
            mains,
            doubted: STUBBORN_SECONDS,
            off: vec![[false; 2]; count],
            poor: 0.0,
            qualities: (1..=channels).map(quality).collect(),
            signal: Signal::default(),
            telling: None,
            pass,
            spectrum,
        })
    }

    fn buffer(&mut self, samples: &Samples<'_>) {
        if samples.channels != self.device.channels {
            return;
        }
        let width = usize::from(samples.channels);
        let mut rest = samples.values;
        while !rest.is_empty() {
            let room = (self.waiting.capacity() - self.waiting.len()) / width * width;
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.waiting.extend_from_slice(now);
            rest = later;
            if !rest.is_empty() {
                // More came at once than there is room for: it is judged here and now.
                self.process_deferred();
            }
        }
    }

    fn process_deferred(&mut self) -> bool {
        let waiting = std::mem::take(&mut self.waiting);
        let mut rest = waiting.as_slice();
        while !rest.is_empty() {
            let (left, ended) = self.pass.observe(rest);
            if ended {
                if self.pass.is_full() {
                    self.judge();
                }
                self.pass.begin_second();
            } else {
                // Less than a row is no sample.
                break;
            }
            rest = left;
        }
        self.waiting = waiting;
        self.waiting.clear();
        self.telling.is_some()
    }

    /// A second is complete.
    fn judge(&mut self) {
        let Self { pass, spectrum, lines, shapes, similarity, .. } = self;
        let width = 2 * spectrum.in_band();
        for (tile, lines) in lines.chunks_mut(LANES).enumerate() {
            let from = (tile * LANES * width).min(shapes.len());
            let to = (from + lines.len() * width).min(shapes.len());
            spectrum.read(pass.slow(tile), lines, shapes.get_mut(from..to).unwrap_or_default());
        }
        similarity.compare(shapes, width);
        self.choose_mains();
        self.measure();
        self.telling = Some(0);
    }

    /// Which of the frequencies of the mains there is hum of.
    fn choose_mains(&mut self) {
        let Self { settings, spectrum, lines, mains, doubted, .. } = self;
        if settings.mains != Mains::Auto || spectrum.measures_hum() != [true; 2] {
            return;
        }
        let height = |which: usize| {
            let of = |lines: &Lines| lines.hum.get(which).map_or(0.0, |hum| hum.decibels);
            lines.iter().map(of).fold(0.0, |a, b| a + b) / lines.len() as f64
        };
        let now = mains.unwrap_or_default();
        let other = 1 - now.min(1);
        let ahead = height(other) - height(now);
        // The first time any lead will do.
        let first = *doubted == STUBBORN_SECONDS;
        if ahead > if first { 0.0 } else { STUBBORN } {
            *doubted += 1;
            if first || *doubted >= STUBBORN_SECONDS {
                (*mains, *doubted) = (Some(other), 0);
            }
        } else {
            *doubted = 0;
        }
    }

    fn measure(&mut self) {
        let Self { settings, device, pass, spectrum, lines, similarity, mains, off, poor, qualities, .. } =
            self;
        let (in_band, tells_noise) = (spectrum.in_band() > 0, spectrum.tells_noise());
        let alike = qualities.len() >= ALIKE;
        let share = |part: f64, whole: f64| if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 };
        let signal = &mut self.signal;
        (signal.score, signal.bad) = (0.0, 0);
        signal.mains = mains.and_then(|i| MAINS.get(i).copied());
        let channels = pass.channels.iter_mut().zip(lines.iter()).zip(off.iter());
        for (index, (quality, ((channel, lines), off))) in qualities.iter_mut().zip(channels).enumerate() {
            let rails = device.rails.of(index);
            quality.railed = rails.map(|_| channel.railed().min(1.0));
            quality.peak = rails.map(|rails| channel.peak(rails));
            quality.flat = channel.still[0];
            quality.offset = channel.offset();
            quality.rms = channel.rms();
            quality.band_rms = in_band.then(|| lines.band.sqrt());
            let hum = mains.and_then(|i| lines.hum.get(i));
            quality.hum =
                hum.map(|hum| Hum { ratio: share(hum.power, hum.power + hum.rest), decibels: hum.decibels });
            quality.noise = tells_noise.then(|| share(lines.noise, lines.noise + lines.band));
            quality.correlation = similarity.tells().then(|| similarity.of(index));
            quality.kurtosis = lines.kurtosis;
            quality.artefacts = quality.artefacts.saturating_add(std::mem::take(&mut channel.artefacts));
            quality.dropouts = quality.dropouts.saturating_add(std::mem::take(&mut channel.dropouts));
            let still = channel.still.iter().fold(0.0, |a, b| a + b) / 3.0;
            let off = if off.contains(&true) { 1.0 } else { *poor };
            verdict::judge(quality, Circumstances { still, off, alike }, settings);
            signal.score += quality.score;
            round(quality);
            signal.bad += u16::from(!quality.bad.is_empty());
            for (seconds, reason) in signal.bad_seconds.iter_mut().zip(Reason::ALL) {
                *seconds = seconds.saturating_add(u32::from(quality.bad.contains(*reason)));
            }
        }
        signal.score /= f64::from(device.channels);
        signal.seconds = signal.seconds.saturating_add(1);
    }

    fn emit(&mut self, out: &mut Sink<'_>) {
        let Some(from) = self.telling else { return };
        for quality in self.qualities.iter_mut().skip(from).take(SLICE) {
            out(Body::Quality(quality));
            (quality.artefacts, quality.dropouts, quality.bad_seconds) = (0, 0, 0);
        }
        if from + SLICE < self.qualities.len() {
            self.telling = Some(from + SLICE);
        } else {
            out(Body::Signal(&self.signal));
            (self.signal.seconds, self.signal.bad_seconds) = (0, [0; Reason::ALL.len()]);
            self.telling = None;
        }
    }
}

/// The number of a channel with as many digits as the last one has, and the name of its electrode.
fn named(channel: u16, last: u16, settings: &Settings) -> String {
    let name = settings.names.get(usize::from(channel).saturating_sub(1)).map_or("", String::as_str);
    let width = last.to_string().len();
    format!("{channel:0width$} {name}").trim_end().to_owned()
}

/// A decoder, and the judge of its samples.
pub struct AssessedDecoder {
    decoder: Box<dyn Decoder>,
    judge: Judge,
}

impl AssessedDecoder {
    /// Judges the samples of `decoder`.
    #[must_use]
    pub fn new(decoder: Box<dyn Decoder>, settings: Settings) -> Self {
        Self { decoder, judge: Judge::new(settings) }
    }
}

impl std::fmt::Debug for AssessedDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judged").field("judge", &self.judge).finish_non_exhaustive()
    }
}

impl Decoder for AssessedDecoder {
    fn decode(&mut self, bytes: &[u8], out: &mut Sink<'_>) {
        self.judge.decode(self.decoder.as_mut(), bytes, out);
    }

    fn end(&mut self, out: &mut Sink<'_>) {
        self.judge.finish(self.decoder.as_mut(), out);
    }

    fn process_deferred(&mut self) -> bool {
        // Both are asked: neither may be left without its turn.
        self.decoder.process_deferred() | self.judge.process_deferred()
    }

    fn is_broken(&self) -> bool {
        self.decoder.is_broken()
    }

    fn needs_more(&self) -> bool {
        self.decoder.needs_more()
    }

    fn observe_command(&mut self, said: &[u8], out: &mut Sink<'_>) -> bool {
        let Self { decoder, judge } = self;
        decoder.observe_command(said, &mut |body| {
            judge.observe(&body);
            out(body);
        })
    }

    fn dialogue(&mut self) -> Option<&mut dyn Dialogue> {
        self.decoder.dialogue()
    }
}

/// Cuts what was measured to the digits that mean something. A second of a signal tells its power to some percent;
/// the digits beyond are noise that every scrape and every store would carry along. Its mean is known better: microvolts
/// of drift matter beside an offset of some hundred millivolts. It was judged with all of them.
fn round(quality: &mut Quality) {
    let Quality { peak, offset, rms, band_rms, hum, noise, correlation, kurtosis, score, .. } = quality;
    let always = [rms, kurtosis, score];
    let known = [peak.as_mut(), band_rms.as_mut(), noise.as_mut(), correlation.as_mut()];
    let hum = hum.as_mut().map(|hum| [&mut hum.ratio, &mut hum.decibels]);
    for value in always.into_iter().chain(known.into_iter().flatten()).chain(hum.into_iter().flatten()) {
        *value = significant(*value, 4);
    }
    *offset = significant(*offset, 6);
}

/// The number with so many significant digits that is closest.
fn significant(value: f64, digits: i32) -> f64 {
    if !value.is_finite() || value == 0.0 {
        return value;
    }
    let places = digits - 1 - value.abs().log10().floor() as i32;
    // Multiplied by or divided by a power of ten that is exact, so that the result is the decimal number as it would
    // be read.
    let power = 10_f64.powi(places.abs().min(22));
    if places >= 0 { (value * power).round() / power } else { (value / power).round() * power }
}

#[cfg(test)]
mod tests;
