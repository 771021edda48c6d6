//! What stands where in a package of a board that BrainFlow streams, and how the board numbers its packages.
//!
//! Rows, rates and columns are those that BrainFlow 5.23 tells itself (`BoardShim.get_board_descr`), numbers are as its
//! drivers fill them in (`src/board_controller`). Of boards whose numbers are not sure none are read: what is missing
//! is recognised by their timestamps then.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a board numbers its packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Not at all, or nobody knows how.
    No,
    /// Each number is that of so many packages; it goes up by a step, and after the modulus begins again.
    Up {
        /// From one number to the next.
        step: u32,
        /// A number is less.
        modulus: u32,
        /// Packages with the same number.
        times: u32,
    },
    /// As a Ganglion does: 0 once and 1 to 100 or 101 to 200 twice each, or, with firmware 3, 0 to 99 or 100 to 199
    /// twice each.
    Ganglion,
}

/// The numbers of one byte.
const BYTE: Numbers = Numbers::Up { step: 1, modulus: 256, times: 1 };
/// Those of a driver that counts for itself and does not stop.
const LONG: Numbers = Numbers::Up { step: 1, modulus: 1 << 31, times: 1 };
/// Those of a Muse: twelve packages of one message have its number.
const MUSE: Numbers = Numbers::Up { step: 1, modulus: 1 << 16, times: 12 };

/// What stands where in a package. Rows are counted from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The board's name, as settings write it; `rows` if it was described by hand.
    pub board: &'static str,
    /// What its channels carry.
    pub content: &'static str,
    /// Numbers in a package.
    pub rows: u16,
    /// Samples per second.
    pub rate: f64,
    /// The row of the package's number.
    pub package: Option<u16>,
    /// The row of the time, seconds since the epoch by the clock of BrainFlow's machine.
    pub timestamp: Option<u16>,
    /// The rows of the signal, microvolts.
    pub channels: Vec<u16>,
    /// How packages are numbered.
    pub numbers: Numbers,
    /// The largest value that its converter can give with the gain that the board starts with, volts.
    pub full_scale: Option<f64>,
}

/// One board: name, content, rows, rate, row of the number, row of the time, first row of the signal and how many,
/// numbers, full scale.
type Row = (&'static str, &'static str, u16, f64, Option<u16>, Option<u16>, (u16, u16), Numbers, Option<f64>);

/// ADS1299 with a gain of 24.
const ADS: Option<f64> = Some(0.1875);

const BOARDS: &[Row] = &[
    ("synthetic", "EEG", 32, 250.0, Some(0), Some(30), (1, 16), BYTE, None),
    ("cyton", "EEG", 24, 250.0, Some(0), Some(22), (1, 8), BYTE, ADS),
    (
        "daisy",
        "EEG",
        32,
        125.0,
        Some(0),
        Some(30),
        (1, 16),
        Numbers::Up { step: 2, modulus: 256, times: 1 },
        ADS,
    ),
    ("ganglion", "EEG", 15, 200.0, Some(0), Some(13), (1, 4), Numbers::Ganglion, Some(0.015_686)),
    ("cyton_wifi", "EEG", 24, 1000.0, Some(0), Some(22), (1, 8), BYTE, ADS),
    ("daisy_wifi", "EEG", 32, 1000.0, None, Some(30), (1, 16), Numbers::No, ADS),
    ("ganglion_wifi", "EEG", 25, 1600.0, Some(0), Some(23), (1, 4), BYTE, None),
    ("galea", "EEG", 29, 250.0, Some(0), Some(27), (9, 16), BYTE, None),
    ("knight", "EEG", 13, 125.0, Some(0), Some(11), (1, 8), BYTE, None),
    ("knight_imu", "EEG", 22, 125.0, Some(0), Some(20), (1, 8), BYTE, None),
    ("freeeeg32", "EEG", 35, 512.0, Some(0), Some(33), (1, 32), BYTE, None),
    ("freeeeg128", "EEG", 131, 256.0, Some(0), Some(129), (1, 128), BYTE, None),
    ("brainbit", "EEG", 12, 250.0, Some(0), Some(10), (1, 4), LONG, None),
    ("brainbit_bled", "EEG", 8, 250.0, None, Some(6), (1, 4), Numbers::No, None),
    ("callibri_eeg", "EEG", 4, 250.0, Some(0), Some(2), (1, 1), LONG, None),
    ("callibri_emg", "EMG", 4, 1000.0, Some(0), Some(2), (1, 1), LONG, None),
    ("callibri_ecg", "ECG", 4, 125.0, Some(0), Some(2), (1, 1), LONG, None),
    ("unicorn", "EEG", 19, 250.0, None, Some(17), (0, 8), Numbers::No, None),
    ("muse_2016", "EEG", 7, 256.0, Some(0), Some(5), (1, 4), MUSE, None),
    ("muse_2", "EEG", 8, 256.0, Some(0), Some(6), (1, 4), MUSE, None),
    ("muse_s", "EEG", 8, 256.0, Some(0), Some(6), (1, 4), MUSE, None),
    ("muse_s_athena", "EEG", 11, 256.0, None, Some(9), (1, 4), Numbers::No, None),
    ("notion_1", "EEG", 12, 250.0, None, None, (1, 8), Numbers::No, None),
    ("notion_2", "EEG", 12, 250.0, None, None, (1, 8), Numbers::No, None),
    ("crown", "EEG", 12, 256.0, None, None, (1, 8), Numbers::No, None),
    ("enophone", "EEG", 7, 250.0, None, Some(5), (1, 4), Numbers::No, None),
    ("explore_4", "EEG", 8, 250.0, None, Some(6), (1, 4), Numbers::No, None),
    ("explore_8", "EEG", 12, 250.0, None, Some(10), (1, 8), Numbers::No, None),
    ("explore_plus_32", "EEG", 36, 250.0, None, Some(34), (1, 32), Numbers::No, None),
    ("pieeg", "EEG", 11, 250.0, None, Some(9), (1, 8), Numbers::No, None),
    ("biolistener", "EEG", 13, 500.0, None, Some(11), (1, 8), Numbers::No, None),
    ("ironbci_32", "EEG", 35, 512.0, None, Some(33), (1, 32), Numbers::No, None),
    ("brainalive", "EEG", 17, 250.0, None, Some(16), (1, 8), Numbers::No, None),
];

impl Layout {
    /// That of a board, by the name that settings have for it.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let row = BOARDS.iter().find(|row| row.0 == name)?;
        let &(board, content, rows, rate, package, timestamp, (first, count), numbers, full_scale) = row;
        let channels = (first..first + count).collect();
        Some(Self { board, content, rows, rate, package, timestamp, channels, numbers, full_scale })
    }

    /// Boards that are known, by their names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BOARDS.iter().map(|row| row.0)
    }
}

/// A package, described by hand. Rows are counted from 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BrainflowRows")]
pub struct Rows {
    /// Numbers in a package: `num_rows` in the words of BrainFlow.
    #[schemars(range(min = 1, max = 4095))]
    pub count: u16,
    /// Samples per second: `sampling_rate`.
    #[schemars(range(min = 0.001, max = 1_000_000))]
    pub rate: f64,
    /// The rows of the signal, microvolts: `eeg_channels`, `emg_channels` or others.
    pub channels: Vec<u16>,
    /// The row of the time: `timestamp_channel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u16>,
    /// The row of the package's number: `package_num_channel`. Read if `modulus` is said too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<u16>,
    /// After so many, numbers begin again: 256 where they are a byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub modulus: Option<u32>,
    /// By how much the number goes up from one package to the next; 1 if omitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub step: Option<u32>,
}

impl Rows {
    /// As the decoder takes it.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let numbers = match (self.package, self.modulus) {
            (Some(_), Some(modulus)) => Numbers::Up { step: self.step.unwrap_or(1), modulus, times: 1 },
            _ => Numbers::No,
        };
        Layout {
            board: "rows",
            content: "",
            rows: self.count,
            rate: self.rate,
            package: self.package,
            timestamp: self.timestamp,
            channels: self.channels.clone(),
            numbers,
            full_scale: None,
        }
    }

    /// What cannot be: the key, and why.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        let beyond = |row: u16| row >= self.count;
        let rows = [("timestamp", self.timestamp), ("package", self.package)];
        let singles = rows.into_iter().filter_map(|(key, row)| row.map(|row| (key, row)));
        for (key, row) in singles.chain(self.channels.iter().map(|row| ("channels", *row))) {
            if beyond(row) {
                wrong.push((
                    key,
                    format!("row {row} is not among the {} rows, which begin with 0", self.count),
                ));
            }
        }
        if self.channels.is_empty() {
            wrong.push(("channels", "a signal needs a row".to_owned()));
        }
        let (step, modulus) = (self.step.unwrap_or(1), self.modulus.unwrap_or(u32::MAX));
        if step == 0 || (self.modulus.is_some() && (step >= modulus || modulus % step != 0)) {
            wrong.push(("step", format!("steps of {step} do not divide {modulus} numbers")));
        }
        wrong
    }
}

/// Which board is streamed, as a person says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Streamed {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// Its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Rows>,
    /// Its full scale, volts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_scale: Option<f64>,
}

impl Streamed {
    /// What stands where in its packages.
    ///
    /// # Errors
    /// The key that is wrong, and why.
    pub fn layout(&self) -> Result<Layout, (&'static str, String)> {
        match (&self.board, &self.rows) {
            (Some(board), None) => Layout::of(board).ok_or_else(|| {
                let known: Vec<&str> = Layout::names().collect();
                ("board", format!("unknown board \"{board}\"; use one of {}, or rows", known.join(", ")))
            }),
            (None, Some(rows)) => match rows.problems().into_iter().next() {
                Some((key, why)) => Err(("rows", format!("{key}: {why}"))),
                None => Ok(rows.layout()),
            },
            (Some(_), Some(_)) => Err(("rows", "those of the board are known".to_owned())),
            (None, None) => Err(("board", "the board is missing: set board: cyton, or rows".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_fit_their_rows() {
        for name in Layout::names() {
            let layout = Layout::of(name).unwrap();
            assert_eq!(Layout::names().filter(|other| *other == name).count(), 1, "{name}");
            let rows = layout.package.iter().chain(&layout.timestamp).chain(&layout.channels);
            let mut rows: Vec<u16> = rows.copied().collect();
            assert!(rows.iter().all(|row| *row < layout.rows), "{name}");
            rows.sort_unstable();
            rows.dedup();
            let expected = layout.channels.len()
                + usize::from(layout.package.is_some())
                + usize::from(layout.timestamp.is_some());
            assert_eq!(rows.len(), expected, "{name}");
            assert_eq!(layout.package.is_some(), layout.numbers != Numbers::No, "{name}");
        }
        assert_eq!(Layout::of("none"), None);
    }

    #[test]
    fn what_cannot_be_described() {
        let right = Rows { count: 4, rate: 100.0, channels: vec![1, 2], ..Rows::default() };
        assert!(right.problems().is_empty());
        let keys = |rows: Rows| rows.problems().iter().map(|(key, _)| *key).collect::<Vec<_>>();
        assert_eq!(keys(Rows { channels: Vec::new(), ..right.clone() }), ["channels"]);
        assert_eq!(
            keys(Rows { timestamp: Some(4), package: Some(9), ..right.clone() }),
            ["timestamp", "package"]
        );
        assert_eq!(keys(Rows { modulus: Some(256), step: Some(3), ..right.clone() }), ["step"]);
        assert_eq!(keys(Rows { channels: vec![4], step: Some(0), ..right }), ["channels", "step"]);
    }
}
