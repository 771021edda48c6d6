//! The numbers beyond which something is wrong: the one source of them for rules, panel colours, the agent's
//! own verdicts and reports.
//!
//! Users change the numbers in the configuration (`alerts.limits`), never an expression. An expression has
//! `${id}` where the number belongs.

use std::collections::BTreeMap;

use super::Unit;

/// A number beyond which something is wrong.
#[derive(Debug)]
pub struct Limit {
    /// What configuration and expressions call it; lower case with underscores.
    pub id: &'static str,
    /// What it bounds: a capitalised phrase without a full stop.
    pub help: &'static str,
    /// The unit of the number.
    pub unit: Unit,
    /// The number if nobody changed it.
    pub value: f64,
    /// On which side of it things are wrong.
    pub wrong: Side,
}

/// One side of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is larger.
    Above,
    /// What is smaller.
    Below,
}

/// Every limit, by subject.
pub static LIMITS: &[&Limit] = &[&DEVICE_LOSS, &DEVICE_LOSS_CRITICAL, &DEVICE_RATE];

/// Share of packets that may be missing.
pub static DEVICE_LOSS: Limit = Limit {
    id: "device_loss",
    help: "Share of a device's packets that may be missing",
    unit: Unit::Ratio,
    value: 0.01,
    wrong: Side::Above,
};

/// Share of packets beyond which a recording is not worth having.
pub static DEVICE_LOSS_CRITICAL: Limit = Limit {
    id: "device_loss_critical",
    help: "Share of missing packets beyond which a recording is not worth having",
    unit: Unit::Ratio,
    value: 0.05,
    wrong: Side::Above,
};

/// Share of the nominal rate that a device must bring.
pub static DEVICE_RATE: Limit = Limit {
    id: "device_rate",
    help: "Share of its nominal rate that a device must bring",
    unit: Unit::Ratio,
    value: 0.95,
    wrong: Side::Below,
};

/// The numbers that are in effect.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits(BTreeMap<String, f64>);

impl Limits {
    /// With numbers that a user changed, by id.
    #[must_use]
    pub fn changed(numbers: BTreeMap<String, f64>) -> Self {
        Self(numbers)
    }

    /// The number of a limit.
    #[must_use]
    pub fn of(&self, limit: &Limit) -> f64 {
        self.0.get(limit.id).copied().unwrap_or(limit.value)
    }

    /// `text` with each `${id}` replaced by its number.
    ///
    /// # Errors
    /// An id that no limit has.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (id, behind) = after.split_once('}').ok_or_else(|| format!("no end of ${{{after}"))?;
            let limit = LIMITS.iter().find(|limit| limit.id == id);
            let limit = limit.ok_or_else(|| format!("there is no limit {id}"))?;
            filled.push_str(before);
            filled.push_str(&self.of(limit).to_string());
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_where_their_ids_were() {
        let limits = Limits::changed(BTreeMap::from([("device_loss".to_owned(), 0.025)]));
        assert_eq!(limits.fill("a > ${device_loss} < ${device_rate}!").unwrap(), "a > 0.025 < 0.95!");
        assert!(limits.fill("${nothing}").is_err() && limits.fill("${device_loss").is_err());
    }
}
