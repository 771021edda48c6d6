//! What the agent remembers: the codec, the last hour in memory, and how pieces that overlap are read as one.

mod bits;
mod block;
mod chunk;
mod exemplars;
mod head;
mod line;
mod pieces;

pub use bits::take_varint;
pub use block::Block;
pub use chunk::{MOST, decode, encode, put_value, take_value};
pub use exemplars::ExemplarSlice;
pub use head::{BEGAN, BLOCK, Changes, GAP, Head, Limits, Taking};
pub use line::{Names, Target, series_of, timed};
pub use pieces::Pieces;

/// The number of a series, as long as the head knows it. Never given again.
pub type SeriesId = u32;
