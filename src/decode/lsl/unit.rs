//! How many volts a unit is, however it is spelled.
//!
//! Descriptions are written by people: XDF's convention says `microvolts`, programs write `uV`, `µV` with either mu,
//! `UV`, `MicroVolts`, and MNE-LSL the exponent of ten that volts are multiplied by. What is not a voltage beyond doubt
//! is none: its values stay counts, which is better than volts that are a thousand times wrong. `MV` is such a one.

/// Prefixes as symbols, each with what it multiplies by. One of one letter is another in capitals, but for those of
/// which nobody has anything to measure.
const SYMBOLS: &[(&str, f32)] =
    &[("", 1.0), ("m", 1e-3), ("u", 1e-6), ("U", 1e-6), ("n", 1e-9), ("N", 1e-9), ("p", 1e-12), ("k", 1e3)];
/// Prefixes as words, lower case.
const WORDS: &[(&str, f32)] = &[
    ("", 1.0),
    ("m", 1e-3),
    ("milli", 1e-3),
    ("u", 1e-6),
    ("micro", 1e-6),
    ("mikro", 1e-6),
    ("n", 1e-9),
    ("nano", 1e-9),
    ("p", 1e-12),
    ("pico", 1e-12),
    ("piko", 1e-12),
    ("kilo", 1e3),
];
/// Channels whose unit may be an exponent, as MNE calls what they carry, lower case.
const ELECTRIC: &[&str] = &["eeg", "eog", "ecg", "emg", "seeg", "ecog", "dbs", "bio", "exg"];
/// Bytes of the longest spelling that is read.
const LONGEST: usize = 32;

/// What a value in this unit is to be multiplied with to be volts; `None` if it is no voltage. What the channel sends
/// says what a number in place of a unit means.
pub(super) fn volts(unit: &str, brings: &str) -> Option<f32> {
    if unit.len() > LONGEST {
        return None;
    }
    let plain: String = unit
        .trim_matches(|c: char| c.is_whitespace() || matches!(c, '[' | ']' | '(' | ')' | '{' | '}' | '.'))
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '_'))
        // Three letters look like mu: the micro sign and the Greek one, small and as a capital.
        .map(|c| if matches!(c, '\u{b5}' | '\u{3bc}' | '\u{39c}') { 'u' } else { c })
        .collect();
    if let Some(prefix) = plain.strip_suffix(['V', 'v']) {
        return SYMBOLS.iter().find(|(name, _)| *name == prefix).map(|(_, by)| *by);
    }
    let lower = plain.to_lowercase();
    if let Some(prefix) = lower.strip_suffix("volts").or_else(|| lower.strip_suffix("volt")) {
        return WORDS.iter().find(|(name, _)| *name == prefix).map(|(_, by)| *by);
    }
    let electric = ELECTRIC.iter().any(|kind| brings.trim().eq_ignore_ascii_case(kind));
    match unit.trim() {
        "0" if electric => Some(1.0),
        "-3" if electric => Some(1e-3),
        "-6" if electric => Some(1e-6),
        "-9" if electric => Some(1e-9),
        "-12" if electric => Some(1e-12),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_it_is_spelled() {
        for (by, spelled) in [
            (1.0, "V v volt volts Volt Volts VOLTS [V] (volts)"),
            (1e-3, "mV mv millivolt millivolts MilliVolts milliVolt mVolts (mV)"),
            (
                1e-6,
                "uV uv UV Uv \u{b5}V \u{3bc}V \u{b5}v \u{39c}V microvolt microvolts Microvolts MicroVolts MICROVOLTS",
            ),
            (1e-6, "uVolts [uV] micro-volts micro_volts \u{b5}volt Mikrovolt uV."),
            (1e-9, "nV nv NV nanovolt nanovolts NanoVolts"),
            (1e-12, "pV picovolts"),
            (1e3, "kV kilovolts"),
        ] {
            for unit in spelled.split(' ') {
                assert_eq!(volts(unit, ""), Some(by), "{unit}");
            }
        }
        assert_eq!((volts(" micro volts ", ""), volts("\tuV\n", "")), (Some(1e-6), Some(1e-6)));
        for (unit, by) in [("0", 1.0), ("-3", 1e-3), ("-6", 1e-6), (" -9 ", 1e-9)] {
            assert_eq!((volts(unit, "eeg"), volts(unit, "EEG"), volts(unit, "")), (Some(by), Some(by), None));
        }
        // A megavolt, or a millivolt in capitals: ambiguous.
        for none in
            ["", "MV", "counts", "g", "uT", "uA", "V/m", "uV/Hz", "uV^2", "none", "rev", "-6V6", "dBV"]
        {
            assert_eq!(volts(none, "EEG"), None, "{none}");
        }
        assert_eq!(volts(&"u".repeat(1 << 20), ""), None);
    }
}
