//! What Intan RHX is asked on its command port, and what it answers.
//!
//! Questions are `get` alone: no setting is changed, nothing is executed. Questions end with `;`, answers with nothing:
//! `Return: SampleRateHertz 30000Return: 123456Return: RunMode Run`. So the mode is asked last, whose words are known,
//! and where it ends the answer does. What the program does not know it answers with words that do not begin with
//! `Return:`. The number of the newest sample comes without a name, and is -1 while nothing is acquired
//! (Intan-RHX 3.4, `commandparser.cpp`, `tcpdisplay.cpp`). Checked against our reading of that source only.

use crate::event::{FaultKind, ProgramState};

/// What does not change while the program runs, asked once.
pub const ASK_FACTS: &[u8] = b"get version;get sampleratehertz;get runmode;";
/// What does. The program shows each line of questions in a window, so they are few.
pub const ASK_STATE: &[u8] = b"get currenttimestamp;get tcpwaveformdataoutputconnectionstatus;get tcpspikedataoutputconnectionstatus;get runmode;";
/// Bytes of the longest answer that is read.
pub const ANSWER: usize = 4096;

const RETURN: &str = "Return: ";
const MODES: [(&str, ProgramState); 4] = [
    ("RunMode Stop", ProgramState::Idle),
    ("RunMode Run", ProgramState::Acquiring),
    ("RunMode Trigger", ProgramState::Waiting),
    ("RunMode Record", ProgramState::Recording),
];

/// What the program answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// What it does.
    pub state: ProgramState,
    /// Its version, if asked for.
    pub version: Option<String>,
    /// Samples per second, if asked for.
    pub rate: Option<f64>,
    /// The number of the newest sample, if asked for and something is acquired.
    pub position: Option<f64>,
    /// Whether a client takes its waveforms.
    pub waveforms: Option<bool>,
    /// Whether a client takes its spikes.
    pub spikes: Option<bool>,
}

impl Answer {
    /// Reads an answer; `None` if it is not complete.
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, FaultKind> {
        if bytes.len() > ANSWER {
            return Err(FaultKind::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| FaultKind::Encoding)?.trim_end();
        let Some((state, before)) = MODES
            .iter()
            .find_map(|(words, state)| Some((*state, text.strip_suffix(words)?.strip_suffix(RETURN)?)))
        else {
            return Ok(None);
        };
        let mut answer = Self { state, ..Self::default() };
        // What stands before the first is a refusal.
        for line in before.split(RETURN).skip(1) {
            // A refusal follows without a sign between.
            let line = line.split("Unrecognized").next().unwrap_or_default().trim();
            answer.take(line)?;
        }
        Ok(Some(answer))
    }

    fn take(&mut self, line: &str) -> Result<(), FaultKind> {
        let number = |text: &str| {
            let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            number.ok_or(FaultKind::BadValue)
        };
        let Some((name, value)) = line.split_once(' ') else {
            // Refused while it was said, or the one answer without a name.
            if !line.is_empty() {
                self.position = Some(number(line)?).filter(|position| *position >= 0.0);
            }
            return Ok(());
        };
        let connected = || value.trim().eq_ignore_ascii_case("connected");
        match name.to_ascii_lowercase().as_str() {
            "version" => self.version = Some(value.trim().chars().take(32).collect()),
            "sampleratehertz" => {
                self.rate = Some(number(value)?).filter(|rate| (1.0..=1e6).contains(rate));
            }
            "tcpwaveformdataoutputconnectionstatus" => self.waveforms = Some(connected()),
            "tcpspikedataoutputconnectionstatus" => self.spikes = Some(connected()),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_change_nothing() {
        for asked in [ASK_FACTS, ASK_STATE] {
            let text = std::str::from_utf8(asked).unwrap();
            assert!(text.ends_with("get runmode;"));
            assert!(text.trim_end_matches(';').split(';').all(|question| question.starts_with("get ")));
        }
    }

    #[test]
    fn answers_without_ends_are_told_apart() {
        let state = "Return: 123456Return: TCPWaveformDataOutputConnectionStatus ConnectedReturn: TCPSpikeDataOutputConnectionStatus PendingReturn: RunMode Record";
        let answer = Answer {
            state: ProgramState::Recording,
            position: Some(123_456.0),
            waveforms: Some(true),
            spikes: Some(false),
            ..Answer::default()
        };
        assert_eq!(Answer::read(state.as_bytes()), Ok(Some(answer)));
        for end in 0..state.len() {
            assert_eq!(Answer::read(&state.as_bytes()[..end]), Ok(None), "{end}");
        }
        let facts = b"Return: Version 3.4.0Return: SampleRateHertz 30000Return: RunMode Stop";
        let answer = Answer { version: Some("3.4.0".to_owned()), rate: Some(30_000.0), ..Answer::default() };
        assert_eq!(Answer::read(facts), Ok(Some(answer)));
        let refused = b"Unrecognized parameterReturn: -1Unrecognized parameterUnrecognized parameterReturn: RunMode Trigger";
        let answer = Answer { state: ProgramState::Waiting, ..Answer::default() };
        assert_eq!(Answer::read(refused), Ok(Some(answer)));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert_eq!(Answer::read(&[b'x'; ANSWER + 1]), Err(FaultKind::TooLong));
        assert_eq!(Answer::read(b"\xff\xfe"), Err(FaultKind::Encoding));
        assert_eq!(Answer::read(b"Return: lotsReturn: RunMode Run"), Err(FaultKind::BadValue));
        assert_eq!(Answer::read(b"Return: SampleRateHertz nanReturn: RunMode Run"), Err(FaultKind::BadValue));
    }
}
