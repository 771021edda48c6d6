//! A table for a terminal: columns as wide as they must be, a quiet heading, numbers on the right.

use ratatui_core::text::{Line, Span};

use super::Status;
use super::screen::{clean, quiet, sign, style};

/// What is between two columns.
const GAP: &str = "  ";

/// What stands in a column.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    status: Option<Status>,
}

impl Cell {
    /// A text that is neither good nor bad.
    #[must_use]
    pub fn plain(text: &str) -> Self {
        Self { text: clean(text), status: None }
    }

    /// A word for how something is, with its sign.
    #[must_use]
    pub fn state(status: Status, word: &str) -> Self {
        Self { text: format!("{} {}", sign(status), clean(word)), status: Some(status) }
    }
}

/// The lines of a table. The texts of a column whose name begins with `#` are numbers.
#[must_use]
pub fn table(columns: &[&str], rows: &[Vec<Cell>]) -> Vec<Line<'static>> {
    let names: Vec<(&str, bool)> = columns
        .iter()
        .map(|name| name.strip_prefix('#').map_or((*name, false), |name| (name, true)))
        .collect();
    let wide = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count());
        cells.chain(names.get(column).map(|(name, _)| name.chars().count())).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..names.len()).map(wide).collect();
    let placed = |text: &str, column: usize| {
        let width = widths.get(column).copied().unwrap_or_default();
        if names.get(column).is_some_and(|(_, number)| *number) {
            format!("{text:>width$}")
        } else {
            format!("{text:width$}")
        }
    };
    let heading: Vec<String> = names.iter().enumerate().map(|(at, (name, _))| placed(name, at)).collect();
    let mut lines = vec![Line::styled(heading.join(GAP), quiet())];
    for row in rows {
        let mut spans = Vec::new();
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                spans.push(Span::raw(GAP));
            }
            let text = placed(&cell.text, at);
            spans.push(
                cell.status.map_or_else(
                    || Span::raw(text.clone()),
                    |status| Span::styled(text.clone(), style(status)),
                ),
            );
        }
        lines.push(Line::from(spans));
    }
    lines
}

/// Lines as a text without colours, each with the same before it.
#[must_use]
pub fn plain(lines: &[Line<'_>], before: &str) -> String {
    let line = |line: &Line<'_>| -> String {
        let text: String = line.spans.iter().map(|span| &*span.content).collect();
        format!("{before}{}\n", text.trim_end())
    };
    lines.iter().map(line).collect()
}

/// A name and what it is, for a list of them below each other.
#[must_use]
pub fn entry(name: &str, width: usize, value: &str) -> Line<'static> {
    Line::from(vec![Span::styled(format!("{name:width$} "), quiet()), Span::raw(clean(value))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [
            vec![Cell::state(Status::Unhealthy, "open"), Cell::plain("9"), Cell::plain("a\u{1b}[31m")],
            vec![Cell::state(Status::Healthy, "resolved"), Cell::plain("1,000"), Cell::plain("b")],
        ];
        let lines = table(&["state", "#count", "what"], &rows);
        let text = |line: &Line<'_>| line.spans.iter().map(|span| &*span.content).collect::<String>();
        let texts: Vec<String> = lines.iter().map(|line| text(line).trim_end().to_owned()).collect();
        assert_eq!(texts, ["state       count  what", "✖ open          9  a·[31m", "✔ resolved  1,000  b"]);
        assert_eq!(lines[1].spans[0].style, style(Status::Unhealthy));
    }
}
