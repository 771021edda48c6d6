//! USB ids of the bridges and boards that acquisition devices have.
//!
//! From usb.ids and the makers' own files. A bridge is in many devices: its id never proves what is behind it.

/// What a USB id is known as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsbModel {
    /// Vendor and product.
    pub id: &'static str,
    /// The chip or board, and where it is met.
    pub name: &'static str,
    /// The protocol to try first, if one is likely.
    pub protocol: Option<&'static str>,
}

const fn row(id: &'static str, name: &'static str, protocol: Option<&'static str>) -> UsbModel {
    UsbModel { id, name, protocol }
}

const TABLE: &[UsbModel] = &[
    row("0403:6015", "FTDI FT230X or FT231X, as in the OpenBCI dongle and many others", Some("cyton")),
    row("0403:6001", "FTDI FT232R, as in OpenEEG boards, older SpikerBoxes and many cables", None),
    row("0403:6010", "FTDI FT2232, two ports", None),
    row("0403:6011", "FTDI FT4232, four ports", None),
    row("0403:6014", "FTDI FT232H", None),
    row("2458:0001", "Bluegiga BLED112 Bluetooth dongle, as used with the OpenBCI Ganglion", None),
    row("10c4:ea60", "Silicon Labs CP210x, as on many ESP32 and UART boards", None),
    row("1a86:7523", "WCH CH340, as on Arduino clones", Some("chords")),
    row("1a86:5523", "WCH CH341, as on Arduino clones", Some("chords")),
    row("2341:0043", "Arduino Uno R3, as used with Chords", Some("chords")),
    row("2341:0042", "Arduino Mega 2560 R3, as used with Chords", Some("chords")),
    row("0483:5740", "STM32 virtual port, as on boards with STM32 controllers", None),
    row("067b:2303", "Prolific PL2303, as in older cables", None),
    row("2e73:0004", "Backyard Brains Human SpikerBox", Some("spikerbox")),
];

/// What is known of a USB id.
#[must_use]
pub fn known(id: &str) -> Option<&'static UsbModel> {
    TABLE.iter().find(|known| known.id.eq_ignore_ascii_case(id))
}
