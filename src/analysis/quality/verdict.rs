//! From measures to a score and reasons.
//!
//! Each measure becomes an *excess*: itself over its limit, 1 at the limit. A part of the score is
//! `1.5 - excess`, held between 0 and 1: whole up to half the limit, a half at the limit, nothing from one and a
//! half of it on. For a limit from below the excess is `2 - measure / limit`. A channel's score is the least of
//! its parts, so that no good part hides a bad one, and the channel is bad if it is below a half, which is if
//! some measure is beyond its limit. A device's score is the mean of its channels'.

use super::settings::Settings;
use crate::event::{Quality, Reason, Reasons};

/// What is judged beside the samples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Circumstances {
    /// Share of the last three seconds without a change.
    pub still: f64,
    /// Whether an electrode of the channel is off, or how poor the device finds its signal.
    pub off: f64,
    /// Whether channels should be alike.
    pub alike: bool,
}

/// How far a measure is beyond a limit from above.
fn over(measure: f64, limit: f64) -> f64 {
    if measure <= 0.0 { 0.0 } else { measure / limit }
}

/// How far a measure is beyond a limit from below.
fn under(measure: f64, limit: f64) -> f64 {
    if limit <= 0.0 { 0.0 } else { 2.0 - measure / limit }
}

/// Gives a channel its score and its reasons.
pub(super) fn judge(quality: &mut Quality, circumstances: Circumstances, settings: &Settings) {
    let Settings { railed, peak, flat, quiet, loud, hum, noise, correlation, .. } = *settings;
    let volts = quality.band_rms.filter(|_| quality.volts);
    let like = quality.correlation.filter(|_| circumstances.alike);
    let at_rail = quality.railed.map_or(0.0, |share| over(share, railed));
    let near_rail = quality.peak.map_or(0.0, |share| over(share, peak));
    let parts = [
        (Reason::Railed, at_rail.max(near_rail)),
        (Reason::Flat, over(circumstances.still, flat)),
        (Reason::Quiet, volts.map_or(0.0, |volts| under(volts, quiet))),
        (Reason::Loud, volts.map_or(0.0, |volts| over(volts, loud))),
        (Reason::Hum, quality.hum.map_or(0.0, |measured| over(measured.ratio, hum))),
        (Reason::Noise, quality.noise.map_or(0.0, |share| over(share, noise))),
        (Reason::Correlation, like.map_or(0.0, |like| under(like, correlation))),
        (Reason::Contact, over(circumstances.off, 0.5)),
    ];
    quality.score = 1.0;
    quality.bad = Reasons::default();
    for (reason, excess) in parts {
        let part = (1.5 - excess).clamp(0.0, 1.0);
        quality.score = quality.score.min(part);
        if part < 0.5 {
            quality.bad.insert(reason);
        }
    }
    quality.ever.extend(quality.bad);
    quality.bad_seconds = quality.bad_seconds.saturating_add(u32::from(!quality.bad.is_empty()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Hum;

    const GOOD: Quality = Quality {
        channel_name: String::new(),
        channel: 1,
        volts: true,
        railed: Some(0.0),
        peak: Some(0.1),
        flat: 0.0,
        offset: 0.0,
        rms: 10e-6,
        band_rms: Some(10e-6),
        hum: Some(Hum { ratio: 0.3, decibels: 10.0 }),
        noise: Some(0.1),
        correlation: Some(0.8),
        kurtosis: 0.0,
        score: 0.0,
        bad: EMPTY,
        ever: EMPTY,
        artefacts: 0,
        dropouts: 0,
        bad_seconds: 0,
    };
    const EMPTY: Reasons = Reasons::EMPTY;

    fn judged(quality: Quality, circumstances: Circumstances) -> (f64, Vec<&'static str>) {
        let mut quality = quality;
        judge(&mut quality, Circumstances { alike: true, ..circumstances }, &Settings::default());
        assert_eq!(quality.bad_seconds, u32::from(quality.score < 0.5));
        let bad = Reason::ALL.iter().filter(|reason| quality.bad.contains(**reason));
        (quality.score, bad.map(|reason| reason.as_str()).collect())
    }

    #[test]
    fn each_limit_has_its_reason() {
        let none = Circumstances::default();
        assert_eq!(judged(GOOD, none), (1.0, vec![]));
        for (quality, score, reason) in [
            (Quality { railed: Some(0.011), ..GOOD }, 0.4, "railed"),
            (Quality { peak: Some(0.99), ..GOOD }, 0.4, "railed"),
            (Quality { band_rms: Some(0.45e-6), ..GOOD }, 0.4, "quiet"),
            (Quality { band_rms: Some(110e-6), ..GOOD }, 0.4, "loud"),
            (Quality { hum: Some(Hum { ratio: 1.0, decibels: 0.0 }), ..GOOD }, 1.5 - 1.0 / 0.95, "hum"),
            (Quality { noise: Some(0.55), ..GOOD }, 0.4, "noise"),
            (Quality { correlation: Some(0.36), ..GOOD }, 0.4, "correlation"),
        ] {
            let (is, reasons) = judged(quality, none);
            assert!((is - score).abs() < 1e-9, "{reason}: {is}");
            assert_eq!(reasons, [reason]);
        }
        assert_eq!(judged(GOOD, Circumstances { still: 1.0, ..none }), (0.0, vec!["flat"]));
        assert_eq!(judged(GOOD, Circumstances { off: 1.0, ..none }), (0.0, vec!["contact"]));
        // At the limit it is not bad yet.
        assert_eq!(judged(Quality { noise: Some(0.5), ..GOOD }, none), (0.5, vec![]));
    }

    #[test]
    fn what_is_not_known_is_not_held_against_it() {
        let blank = Quality { score: 0.0, ..Quality::default() };
        assert_eq!(judged(blank, Circumstances::default()), (1.0, vec![]));
        // Counts are compared with no limit in volts.
        let counts = Quality { volts: false, band_rms: Some(1000.0), ..GOOD };
        assert_eq!(judged(counts, Circumstances::default()), (1.0, vec![]));
    }
}
