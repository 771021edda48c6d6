//! x
use super::Page;
/// x
#[must_use]
pub fn markdown(_: &[&Page]) -> String {
    String::new()
}
