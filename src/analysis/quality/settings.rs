//! Settings of signal quality: the mains frequency, the band, and the limits of bad channels.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How the signal of a device is judged, channel by channel. A limit of 1000 is never reached, one from below is
/// switched off by 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Signal")]
pub struct Settings {
    /// What the electrodes are called, in the order of the device's channels, such as `[Fp1, Fp2, C3, C4]`; the rest
    /// are numbers. Streams that describe their channels keep their own names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Frequency of the mains in hertz; `auto` is the one of 50 and 60 that stands out more.
    pub mains: Mains,
    /// The band of frequencies that matters, from and to, hertz. What a device's rate does not allow is cut off:
    /// it ends at 0.45 of the rate, and at 0.45 of 500 to 1000 Hz on a device that is faster.
    #[schemars(inner(range(min = 0, max = 450)))]
    pub band: [f64; 2],
    /// Share of the samples of a second at a rail above which a channel is bad.
    #[schemars(range(min = 0))]
    pub railed: f64,
    /// Share of full scale that a sample reaches above which a channel is bad.
    #[schemars(range(min = 0))]
    pub peak: f64,
    /// Share of the last three seconds without a change above which a channel is bad.
    #[schemars(range(min = 0))]
    pub flat: f64,
    /// Volts in the band, as root mean square, below which a channel is bad.
    #[schemars(range(min = 0))]
    pub quiet: f64,
    /// Volts in the band, as root mean square, above which a channel is bad.
    #[schemars(range(min = 0))]
    pub loud: f64,
    /// Power of the hum as a share of its own and the band's, above which a channel is bad.
    #[schemars(range(min = 0))]
    pub hum: f64,
    /// Power above the band as a share of its own and the band's, above which a channel is bad.
    #[schemars(range(min = 0))]
    pub noise: f64,
    /// Correlation with other channels below which a channel is bad. Applies to devices with eight channels or more.
    #[schemars(range(min = 0, max = 1))]
    pub correlation: f64,
}

impl Default for Settings {
    /// Limits that programs of the field use, where there are some: 90 % of full scale is what the OpenBCI GUI
    /// calls railed, 0.4 is the correlation of PREP, 100 µV is where session checks of EEG call it noise. The rest
    /// is ours: hum of twenty times the band's power is what a contact that failed causes, while a notch filter takes
    /// less away; nothing but hum leaves a score of 0.45, which no rule calls a lost recording.
    fn default() -> Self {
        Self {
            names: Vec::new(),
            mains: Mains::Auto,
            band: [1.0, 45.0],
            railed: 0.01,
            peak: 0.9,
            flat: 0.5,
            quiet: 0.5e-6,
            loud: 100e-6,
            hum: 0.95,
            noise: 0.5,
            correlation: 0.4,
        }
    }
}

/// Frequency of the mains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mains {
    /// Found out.
    #[default]
    Auto,
    /// 50 Hz.
    Fifty,
    /// 60 Hz.
    Sixty,
}

impl Serialize for Mains {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::Fifty => to.serialize_u64(50),
            Self::Sixty => to.serialize_u64(60),
        }
    }
}

impl<'de> Deserialize<'de> for Mains {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Mains;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("auto, 50 or 60")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Mains, E> {
                if text == "auto" { Ok(Mains::Auto) } else { Err(E::custom("not auto, 50 or 60")) }
            }
            fn visit_u64<E: serde::de::Error>(self, hertz: u64) -> Result<Mains, E> {
                match hertz {
                    50 => Ok(Mains::Fifty),
                    60 => Ok(Mains::Sixty),
                    _ => Err(E::custom("not auto, 50 or 60")),
                }
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for Mains {
    fn schema_name() -> Cow<'static, str> {
        "Mains".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Frequency of the mains in hertz.",
            "type": ["string", "integer"],
            "enum": ["auto", 50, 60]
        })
    }
}
