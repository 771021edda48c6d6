//! How what is wrong with a channel is shown: a colour and a sign for each reason, the worst first.

use crate::event::Reason;

/// What a colour stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hue {
    /// Nothing comes from the electrode.
    Lost,
    /// More comes than can be.
    Large,
    /// Something else is in it.
    Noisy,
    /// It is unlike the others.
    Unlike,
}

impl Hue {
    /// Its class on a page.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Large => "large",
            Self::Noisy => "noisy",
            Self::Unlike => "unlike",
        }
    }
}

/// How a reason is shown.
#[derive(Debug)]
pub struct Look {
    /// The reason.
    pub reason: Reason,
    /// Its colour.
    pub hue: Hue,
    /// Its sign: a colour is not all that tells it.
    pub sign: char,
}

const fn look(reason: Reason, hue: Hue, sign: char) -> Look {
    Look { reason, hue, sign }
}

/// Every reason, the worst first: what hides the others is before them.
pub static LOOKS: &[Look] = &[
    look(Reason::Contact, Hue::Lost, '⊘'),
    look(Reason::Railed, Hue::Large, '⊤'),
    look(Reason::Flat, Hue::Lost, '▁'),
    look(Reason::Quiet, Hue::Lost, '▽'),
    look(Reason::Loud, Hue::Large, '△'),
    look(Reason::Hum, Hue::Noisy, '∿'),
    look(Reason::Noise, Hue::Noisy, '≋'),
    look(Reason::Correlation, Hue::Unlike, '≠'),
];

/// Its place among the reasons, and how it is shown; nothing for what is none of them.
#[must_use]
pub fn look_of(reason: &str) -> Option<(usize, &'static Look)> {
    LOOKS.iter().enumerate().find(|(_, look)| look.reason.as_str() == reason)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_sign_of_its_own() {
        let signs: BTreeSet<char> = LOOKS.iter().map(|look| look.sign).collect();
        assert_eq!((signs.len(), LOOKS.len()), (Reason::ALL.len(), Reason::ALL.len()));
        assert!(Reason::ALL.iter().all(|reason| look_of(reason.as_str()).is_some()));
    }
}
