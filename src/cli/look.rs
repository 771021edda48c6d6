//! How commands show what people read: in the style of `top`, with colours on a terminal, and as plain text for everything else.

use std::io::IsTerminal;

use ratatui_core::style::{Color, Modifier, Style};
use ratatui_core::text::{Line, Span};

use crate::alert::health::Status;
use crate::view::{screen, table};

/// Lines as text; with colours if a person reads them.
pub(super) fn text(lines: &[Line<'_>]) -> String {
    written(lines, coloured())
}

/// One thing that was found, with what is known of it.
pub(super) fn block(status: Status, name: &str, what: &str, rows: &[(String, String)]) -> String {
    let bold = screen::style(status).add_modifier(Modifier::BOLD);
    let mut lines = vec![Line::from(vec![
        Span::styled(format!("{} {name}", screen::sign(status)), bold),
        Span::raw(format!("  {what}")),
    ])];
    lines.extend(rows.iter().map(|(name, value)| table::entry(&format!("  {name}"), 16, value)));
    text(&lines)
}

/// Whether standard output is a terminal of a person who did not ask for no colours.
fn coloured() -> bool {
    // As no-color.org has it: an empty variable asks for nothing.
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn written(lines: &[Line<'_>], coloured: bool) -> String {
    let mut out = String::new();
    for line in lines {
        let begin = out.len();
        for span in &line.spans {
            let codes = if coloured { codes(line.style.patch(span.style)) } else { String::new() };
            let end = if codes.is_empty() { "" } else { "\x1b[0m" };
            out.extend([&*codes, &*span.content, end]);
        }
        out.truncate(begin + out.get(begin..).unwrap_or_default().trim_end_matches(' ').len());
        out.push('\n');
    }
    out
}

/// What switches a terminal to a style.
fn codes(style: Style) -> String {
    let colour = match style.fg {
        Some(Color::Green) => "\x1b[32m",
        Some(Color::Yellow) => "\x1b[33m",
        Some(Color::Red) => "\x1b[31m",
        Some(Color::Cyan) => "\x1b[36m",
        _ => "",
    };
    let has = |modifier, code| if style.add_modifier.contains(modifier) { code } else { "" };
    let (bold, dim) = (has(Modifier::BOLD, "\x1b[1m"), has(Modifier::DIM, "\x1b[2m"));
    let reversed = has(Modifier::REVERSED, "\x1b[7m");
    [colour, bold, dim, reversed].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_people_alone() {
        let red = Style::new().fg(Color::Red);
        let lines = [Line::from(vec![Span::raw("a "), Span::styled("b", red)]), Line::raw("c   ")];
        assert_eq!(written(&lines, false), "a b\nc\n");
        assert_eq!(written(&lines, true), "a \x1b[31mb\x1b[0m\nc\n");
    }
}
