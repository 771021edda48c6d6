//! What a tap tells: bytes between a device and the program that records it.

/// What passed through a tap since the last report, and what is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tap<'a> {
    /// Whether a program has the tap open.
    pub reader: bool,
    /// How often one opened it.
    pub opens: u64,
    /// Bytes that were passed.
    pub passed: BothWays,
    /// Bytes that were dropped, because the reader did not take them.
    pub dropped: BothWays,
    /// Bytes that wait in the agent now.
    pub waiting: BothWays,
    /// Bytes that passed and that the agent did not look at, because it was behind.
    pub behind: u64,
    /// Bytes that passed and at which the agent's own decoder failed.
    pub failed: u64,
    /// Whether the program set another speed than the port has.
    pub wrong_speed: bool,
    /// How long pieces of the device's bytes stayed in the agent, seconds each.
    pub delays: &'a [f64],
}

/// One number for each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BothWays {
    /// From the device to the program.
    pub to_program: u64,
    /// From the program to the device.
    pub to_device: u64,
}
