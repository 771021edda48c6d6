//! Lines of CSV.

use super::screen::clean;

/// A field of a line of CSV, in quotes. What a spreadsheet would take for a formula is text.
#[must_use]
pub(super) fn field(text: &str) -> String {
    let text = clean(text);
    let mark = if text.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}
