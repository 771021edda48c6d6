//! Bodies of requests.

/// A value as JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // What is text and numbers can always be written.
    serde_json::to_vec(value).unwrap_or_default()
}
