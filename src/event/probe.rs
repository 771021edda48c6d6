//! What a probe finds of its target.

labels! {
    /// How the target of a probe is. Closed, because it becomes a label.
    ProbeState {
        /// It answers as it should.
        Healthy = "healthy",
        /// It answers, but late, or says itself that something is wrong.
        Degraded = "degraded",
        /// It does not answer, or not as it should.
        Unhealthy = "unhealthy",
        /// Not known: there was no attempt yet, or none can be made.
        Unknown = "unknown",
    }
}

impl ProbeState {
    /// The number of the state, as checks of services have it: 0, 1, 2, 3.
    #[must_use]
    pub fn code(self) -> f64 {
        match self {
            Self::Healthy => 0.0,
            Self::Degraded => 1.0,
            Self::Unhealthy => 2.0,
            Self::Unknown => 3.0,
        }
    }
}

/// How the target of a probe is, and how it was until now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// How it is.
    pub state: ProbeState,
    /// How it was since the last report.
    pub before: ProbeState,
    /// Seconds since that, by the steady clock.
    pub held: f64,
    /// Whether others depend on it, as the configuration says.
    pub critical: bool,
    /// The attempt that showed it; nothing before the first.
    pub attempt: Option<ProbeAttempt>,
}

/// One attempt of a probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbeAttempt {
    /// Whether the target answered as it should, late or not.
    pub ok: bool,
    /// Seconds until it answered, if it did.
    pub seconds: Option<f64>,
}
