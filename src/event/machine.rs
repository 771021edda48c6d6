//! What the machine tells: host, processes, graphics processors.

/// One reading of the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {}

/// One reading of the watched processes of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProcessGroup {}

/// One reading of a graphics processor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gpu {}
