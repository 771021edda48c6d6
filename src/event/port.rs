//! What happens to the port that a device is plugged into.
//!
//! Only the port and its cable: what comes over it is recognised by other events.

/// News of a port.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Port<'a> {
    /// It is in another state now.
    State(PortState),
    /// It was open and no longer is.
    Lost(PortEnd),
    /// It is open again, after it was lost in this way.
    Back(PortEnd),
    /// A start command was sent to a device.
    Greeted(Greeting),
    /// What the line's driver says.
    Line(&'a PortLine),
    /// What the bus says of the device that makes the port.
    Usb(&'a UsbDevice),
}

labels! {
    /// How a port is. Closed, because it becomes a label.
    PortState {
        /// Not plugged in.
        Absent = "absent",
        /// More than one port fits what was configured.
        Ambiguous = "ambiguous",
        /// Another program has it.
        Busy = "busy",
        /// The agent may not open it.
        NotPermitted = "not_permitted",
        /// It cannot be opened, or not be kept open, for another reason.
        Failed = "failed",
        /// Open, and nothing speaks against what comes.
        Open = "open",
        /// Open, and nothing comes but answers to what the agent asks.
        Silent = "silent",
        /// Open, and what comes is not what the configured device writes.
        WrongDevice = "wrong_device",
    }
}

labels! {
    /// How an open port was lost. Closed, because it becomes a label.
    PortEnd {
        /// The port itself is gone.
        Unplugged = "unplugged",
        /// The other end hung up, and the port is still there.
        Hangup = "hangup",
        /// A read failed.
        ReadError = "read_error",
        /// A write failed, or was not taken in time.
        WriteError = "write_error",
    }
}

labels! {
    /// Why a start command was sent. Closed, because it becomes a label.
    Greeting {
        /// Its port was opened.
        Opened = "opened",
        /// It had started and sent nothing.
        Silent = "silent",
        /// A hook asked for it.
        Requested = "requested",
    }
}

/// What the driver of an open line says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PortLine {
    /// Bits in a second that it was opened with.
    pub baud: u32,
    /// Bytes that wait in the kernel to be read, if it tells.
    pub waiting: Option<u64>,
    /// How long the bridge holds bytes back to send more of them together, seconds, if it has such a timer.
    pub latency_timer: Option<f64>,
    /// Errors since the last report, if the driver counts them.
    pub errors: Option<LineErrors>,
}

/// Errors of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineErrors {
    /// Bytes whose stop bit was not one.
    pub frame: u32,
    /// Bytes whose parity was wrong.
    pub parity: u32,
    /// Bytes that the chip had no place for.
    pub overrun: u32,
    /// Bytes that the kernel had no place for.
    pub buffer_overrun: u32,
    /// Breaks: the line was low for longer than a byte.
    pub breaks: u32,
}

/// A device on the USB, as it describes itself, and what the bus says of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsbDevice {
    /// Vendor and product: `0403:6015`.
    pub id: String,
    /// What it calls itself; empty if it does not.
    pub product: String,
    /// Who made it; empty if it does not say.
    pub manufacturer: String,
    /// Its serial number; empty if it has none.
    pub serial: String,
    /// The chain of ports it hangs on: `1-1.2`.
    pub place: String,
    /// Bits in a second.
    pub bits_per_second: Option<f64>,
    /// Whether it is powered, rather than suspended.
    pub awake: Option<bool>,
    /// Whether the kernel may suspend it when it seems idle.
    pub autosuspend: Option<bool>,
    /// Watts that it says it may draw.
    pub power_limit: Option<f64>,
    /// Times that the bus gave it a new number since the last report.
    pub renumbered: u64,
}
